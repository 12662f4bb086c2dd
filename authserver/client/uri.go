package client

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxURI is longer than anybody's, and short enough to be carried along.
const maxURI = 2048

// ParseRedirectURI returns s if it can be registered as a redirect URI: https,
// http, or a private-use scheme with a dot in it (RFC 8252 section 7.1), without
// userinfo, fragment or dot segments. The error says what is wrong with it.
func ParseRedirectURI(s string) (string, error) {
	u, err := parseURI(s)
	if err != nil {
		return "", err
	}
	switch {
	case u.scheme == "https" || u.scheme == "http":
		if !u.hasAuthority {
			return "", fmt.Errorf("%q is not followed by // and a host", u.scheme+":")
		}
	case !strings.Contains(u.scheme, "."):
		return "", fmt.Errorf("%s is neither https nor http, nor a scheme of one's own, like com.example.app", u.scheme)
	case !u.hasAuthority && !strings.HasPrefix(u.path, "/"):
		return "", fmt.Errorf("%q is not followed by a slash", u.scheme+":")
	}
	if err := u.checkAuthority(); err != nil {
		return "", err
	}
	if err := checkPath(u.path); err != nil {
		return "", err
	}
	// What the answer adds must not be there already: a client would see two of
	// them, or that of somebody else.
	for parameter := range strings.SplitSeq(u.query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		name, _ = url.QueryUnescape(name) // parseURI has seen its escapes
		if slices.Contains(responseParameters, name) {
			return "", fmt.Errorf("its query has %s, which is a parameter of the answer", name)
		}
	}
	return s, nil
}

// responseParameters are those of an authorization response (RFC 6749 section
// 4.1.2, RFC 9207) and of one to a logout.
var responseParameters = []string{"code", "state", "iss", "error", "error_description", "error_uri", "response"}

// CheckRedirectURI is ParseRedirectURI for a client of this type: http beyond
// the own machine is refused for a Public one, and a warning for another.
func CheckRedirectURI(s, clientType string) (warning string, err error) {
	if _, err := ParseRedirectURI(s); err != nil {
		return "", err
	}
	if _, _, own := cutLoopback(s); own || !strings.HasPrefix(s, "http:") {
		return "", nil
	}
	if clientType == Public {
		return "", errors.New("a public client needs https, http://127.0.0.1, http://[::1], http://localhost or a scheme of its own")
	}
	return "with http, everybody on the way reads the codes; use https", nil
}

// ParseOrigin returns s if it is an origin as browsers send it (RFC 6454
// section 6.2): https, or http of the own machine.
func ParseOrigin(s string) (string, error) {
	u, err := parseURI(s)
	if err != nil {
		return "", err
	}
	switch {
	case u.scheme != "https" && u.scheme != "http":
		return "", fmt.Errorf("%s is neither https nor http", u.scheme)
	case !u.hasAuthority:
		return "", fmt.Errorf("%q is not followed by // and a host", u.scheme+":")
	case u.path != "" || u.hasQuery:
		return "", errors.New("an origin ends with its host or port, without a slash")
	}
	if err := u.checkAuthority(); err != nil {
		return "", err
	}
	host, port := cutPort(u.authority)
	switch {
	case host != strings.ToLower(host):
		return "", errors.New("browsers send the host in lower case")
	case u.scheme == "https" && port == "443" || u.scheme == "http" && port == "80":
		return "", fmt.Errorf("browsers send no port if it is %s", port)
	case u.scheme == "http" && !slices.Contains(loopbackHosts, host):
		return "", errors.New("http is for 127.0.0.1, [::1] and localhost; use https")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]")); err == nil && "["+address.String()+"]" != host {
			return "", fmt.Errorf("browsers send [%s]", address)
		}
	}
	return s, nil
}

// ParseResource returns s if it is a resource indicator (RFC 8707 section 2):
// an absolute URI without a fragment.
func ParseResource(s string) (string, error) {
	u, err := parseURI(s)
	if err != nil {
		return "", err
	}
	if err := u.checkAuthority(); err != nil {
		return "", err
	}
	if u.authority == "" && u.path == "" {
		return "", errors.New("nothing follows its scheme")
	}
	return s, nil
}

// ParseJWKSURI returns s if keys of a client may be read there: https.
func ParseJWKSURI(s string) (string, error) {
	u, err := parseURI(s)
	if err != nil {
		return "", err
	}
	if u.scheme != "https" || !u.hasAuthority {
		return "", errors.New("keys are read by https only")
	}
	if err := u.checkAuthority(); err != nil {
		return "", err
	}
	if err := checkPath(u.path); err != nil {
		return "", err
	}
	return s, nil
}

// uri is what is written between the delimiters of RFC 3986 section 3, as it
// is.
type uri struct {
	scheme, authority, path, query string
	hasAuthority, hasQuery         bool
}

// parseURI takes an absolute URI apart that has no fragment. It does what
// net/url does not: it refuses what browsers would read in another way, like
// backslashes, and leaves the rest as it is.
func parseURI(s string) (uri, error) {
	switch {
	case s == "":
		return uri{}, errors.New("it is empty")
	case len(s) > maxURI:
		return uri{}, fmt.Errorf("it is longer than %d bytes", maxURI)
	case strings.Contains(s, "#"):
		return uri{}, errors.New("it has a fragment, from # on")
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return uri{}, errors.New("a % is not followed by two hexadecimal digits")
			}
			if decoded := unhex(s[i+1])<<4 | unhex(s[i+2]); decoded < ' ' || decoded == 0x7f {
				return uri{}, fmt.Errorf("it has the control character %s", s[i:i+3])
			}
		case !isUnreserved(c) && !strings.ContainsRune(":/?[]@!$&'()*+,;=", rune(c)):
			return uri{}, fmt.Errorf("it has the character %+q, which no URI has", c)
		}
	}

	scheme, rest, found := strings.Cut(s, ":")
	if !found || !isScheme(scheme) {
		return uri{}, errors.New("it does not begin with a scheme in lower case, like https")
	}
	u := uri{scheme: scheme}
	rest, u.query, u.hasQuery = strings.Cut(rest, "?")
	u.path = rest
	if rest, u.hasAuthority = strings.CutPrefix(rest, "//"); u.hasAuthority {
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		u.authority, u.path = rest[:end], rest[end:]
	}
	if strings.ContainsAny(u.path+u.query, "[]") {
		return uri{}, errors.New("it has brackets that are not around an IPv6 address")
	}
	if strings.Contains(u.authority, "@") {
		return uri{}, errors.New("it has userinfo, before an @")
	}
	return u, nil
}

// isScheme reports whether s is a scheme (RFC 3986 section 3.1) in its
// canonical form.
func isScheme(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("+-.", r)
	})
}

// cutPort returns the host of an authority without userinfo, with the brackets
// of IPv6, and its port; empty: it has none.
func cutPort(authority string) (host, port string) {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i], authority[i+1:]
	}
	return authority, ""
}

// checkAuthority returns an error if the authority is not a host that everybody
// takes for the same, and maybe a port. Schemes of one's own need none.
func (u uri) checkAuthority() error {
	if u.authority == "" && u.scheme != "https" && u.scheme != "http" {
		return nil
	}
	host, port := cutPort(u.authority)
	if len(host) < len(u.authority) && !isPort(port) {
		return errors.New("a colon is not followed by a port")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		address, err := netip.ParseAddr(inner)
		if !ok || err != nil || !address.Is6() || address.Is4In6() || address.Zone() != "" {
			return errors.New("what is in brackets is not an IPv6 address")
		}
		return nil
	}
	return checkName(host)
}

// checkName returns an error if a host is neither a name in A-labels nor an IPv4
// address.
func checkName(host string) error {
	if host == "" {
		return errors.New("it has no host")
	}
	if len(host) > 253 {
		return errors.New("its host is longer than 253 bytes")
	}
	if strings.HasSuffix(host, ".") {
		return errors.New("its host ends with a dot")
	}
	label := ""
	for label = range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return fmt.Errorf("%q is not a host", host)
		}
	}
	// What ends in a number is an address for browsers: 0x7f.1 is one, too.
	digits, hexadecimal := strings.CutPrefix(strings.ToLower(label), "0x")
	number := strings.Trim(digits, "0123456789") == ""
	if hexadecimal {
		number = strings.Trim(digits, "0123456789abcdef") == ""
	}
	if !number {
		return nil
	}
	if address, err := netip.ParseAddr(host); err != nil || !address.Is4() {
		return fmt.Errorf("%q is not an IPv4 address", host)
	}
	return nil
}

// checkPath returns an error if a path is not where a browser or the server
// behind it goes: dots in it would be resolved, and backslashes taken for
// slashes.
func checkPath(path string) error {
	path = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", `\`).Replace(strings.ToLower(path))
	if strings.Contains(path, `\`) {
		return errors.New("its path has a backslash")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("its path has a segment of dots")
		}
	}
	return nil
}

// isUnreserved: RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// unhex returns what a hexadecimal digit stands for; -1: it is none.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
