package client

import (
	"slices"
	"strconv"
	"strings"
)

// Redirect reports whether an authorization response may go to uri: it is
// registered, byte for byte. For a public client the port of a loopback
// address may be another one (RFC 8252 section 7.3).
func (c *Client) Redirect(uri string) bool { return c.goesTo(c.RedirectURIs, uri) }

// PostLogoutRedirect is Redirect for where a browser may go after logout.
func (c *Client) PostLogoutRedirect(uri string) bool { return c.goesTo(c.PostLogoutRedirectURIs, uri) }

func (c *Client) goesTo(registered []string, uri string) bool {
	if slices.Contains(registered, uri) {
		return true
	}
	if c.Type != Public {
		return false
	}
	host, rest, ok := cutLoopback(uri)
	return ok && slices.ContainsFunc(registered, func(r string) bool {
		registeredHost, registeredRest, ok := cutLoopback(r)
		return ok && registeredHost == host && registeredRest == rest
	})
}

// Assured reports whether it is the client that gets what is sent to one of its
// redirect URIs. Any program of the user can listen on a port or claim a scheme,
// and a public client has no secret that tells it from them (RFC 8252 section
// 8.6).
func (c *Client) Assured(uri string) bool {
	return c.Type != Public || strings.HasPrefix(uri, "https://")
}

// loopbackHosts are how a program on the user's own machine is called. The name
// is for those who cannot do better: RFC 8252 section 8.3.
var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// cutLoopback returns a URI of the own machine without scheme and port. There
// is one spelling of everything before the port, and what is behind it does not
// matter as long as nothing but a path or a query can begin there.
func cutLoopback(uri string) (host, rest string, ok bool) {
	authority, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	for _, host := range loopbackHosts {
		rest, ok := strings.CutPrefix(authority, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			rest = strings.TrimLeft(port, "0123456789")
			if !isPort(port[:len(port)-len(rest)]) {
				return "", "", false
			}
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return host, rest, true
		}
	}
	return "", "", false
}

// isPort reports whether digits are a port, in the only way to write it.
func isPort(digits string) bool {
	port, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && port > 0 && strconv.FormatUint(port, 10) == digits
}
