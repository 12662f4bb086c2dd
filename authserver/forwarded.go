package authserver

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"authbridge/internal/daemon"
)

// forwarding are the headers by which proxies tell what the client sent. None
// of them gets to an endpoint.
var forwarding = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto",
	"X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Real-Ip", "X-Request-Id",
}

// asClientSent gives r the address, scheme and host of the client itself. What
// headers say about these counts only if they come from a trusted proxy, and a
// client certificate only if it comes from nobody who is one.
//
// Forwarded (RFC 7239) is not read: proxies that set X-Forwarded-For often pass
// on a Forwarded that the client has made up.
func (cfg Config) asClientSent(r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	// A Unix socket, which systemd may open and only this machine reaches; or a
	// client that its proxy does not tell.
	if err != nil || peer.Addr().IsUnspecified() {
		peer = netip.AddrPort{}
	}
	peer = netip.AddrPortFrom(peer.Addr().Unmap().WithZone(""), peer.Port())

	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if daemon.Contains(cfg.TrustedProxies, peer.Addr()) {
		if r.TLS != nil {
			// The certificate is the proxy's, and whoever it lets through would
			// be taken for it.
			state := *r.TLS
			state.PeerCertificates, state.VerifiedChains = nil, nil
			r.TLS = &state
		}
		peer = clientOf(peer, cfg.TrustedProxies, r.Header.Values("X-Forwarded-For"))
		switch strings.ToLower(last(r.Header.Values("X-Forwarded-Proto"))) {
		case "https":
			scheme = "https"
		case "":
		default:
			scheme = "http"
		}
		if host := last(r.Header.Values("X-Forwarded-Host")); cfg.ForwardedHost && isHost(host) {
			r.Host = host
		}
	}
	if cfg.AssumeHTTPS {
		scheme = "https"
	}

	r.RemoteAddr = ""
	if peer.Addr().IsValid() {
		r.RemoteAddr = peer.String()
	}
	r.URL.Scheme = scheme
	for _, name := range forwarding {
		r.Header.Del(name)
	}
}

// clientOf returns the last address of a chain of proxies that was not told by
// an untrusted one. Each proxy adds on the right whom it has talked to, so that
// everything left of the first untrusted address may be made up.
func clientOf(peer netip.AddrPort, trusted []netip.Prefix, forwardedFor []string) netip.AddrPort {
	hops := strings.Split(strings.Join(forwardedFor, ","), ",")
	for i := len(hops) - 1; i >= 0 && daemon.Contains(trusted, peer.Addr()); i-- {
		hop, err := parseHop(hops[i])
		if err != nil {
			break // as far as can be told, the proxy that says so has asked by itself
		}
		peer = hop
	}
	return peer
}

// parseHop reads an address with or without a port, as proxies write them. The
// port is 0 if there is none.
func parseHop(s string) (netip.AddrPort, error) {
	s = strings.Trim(s, " \t")
	hop, err := netip.ParseAddrPort(s)
	if err != nil {
		var addr netip.Addr
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && strings.Contains(s, ":") {
			s = s[1 : len(s)-1]
		}
		if addr, err = netip.ParseAddr(s); err != nil {
			return netip.AddrPort{}, err
		}
		hop = netip.AddrPortFrom(addr, 0)
	}
	return netip.AddrPortFrom(hop.Addr().Unmap().WithZone(""), hop.Port()), nil
}

// last returns the last element of a header that is a list: the one that the
// nearest proxy has written.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	list := values[len(values)-1]
	return strings.Trim(list[strings.LastIndexByte(list, ',')+1:], " \t")
}

// isHost allows what a Host header may be: a name, an IPv4 address or an IPv6
// address in brackets, and a port.
func isHost(s string) bool {
	name, port, found := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		address, rest, _ := strings.Cut(s[1:], "]")
		addr, err := netip.ParseAddr(address)
		if err != nil || !addr.Is6() || addr.Zone() != "" || !strings.HasPrefix(s[1+len(address):], "]") {
			return false
		}
		name, port, found = "v6", strings.TrimPrefix(rest, ":"), rest != ""
		if found && !strings.HasPrefix(rest, ":") {
			return false
		}
	}
	if found {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
	}
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._", r))
	})
}

// hostName returns a Host header without its port, in lower case and without
// the dot that ends a fully qualified name.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// A HostPattern is a host name, or ".example.com": that domain and all below
// it; or "*": any.
type HostPattern string

func (p HostPattern) String() string { return string(p) }

// ParseHostPattern reads an entry of ALLOWED_HOSTS.
func ParseHostPattern(s string) (HostPattern, error) {
	name := strings.TrimPrefix(s, ".")
	address := strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]")
	if s != "*" && (!isHost(name) || !address && strings.ContainsAny(name, ":[") ||
		strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".")) {
		return "", fmt.Errorf("%q is no host name, want one without a port, \".example.com\" for a whole domain, or \"*\"", s)
	}
	return HostPattern(strings.ToLower(strings.Trim(s, "[]"))), nil
}

// matches takes a name that hostName has made.
func (p HostPattern) matches(name string) bool {
	if domain, whole := strings.CutPrefix(string(p), "."); whole {
		return name == domain || strings.HasSuffix(name, string(p))
	}
	return p == "*" || string(p) == name
}
