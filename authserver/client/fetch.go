package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// A Fetcher reads keys that clients publish, wherever their owners say. It does
// so by https, from public addresses, and follows nobody elsewhere: otherwise
// owners of clients would see with the eyes of this server. The zero value is
// for production.
type Fetcher struct {
	// Permit reports whether to connect to an address; nil: to public ones only.
	Permit func(netip.Addr) bool

	// RootCAs verify servers; nil: those of the system.
	RootCAs *x509.CertPool

	lookup  func(ctx context.Context, host string) ([]netip.Addr, error) // nil: the system's resolver
	timeout time.Duration                                                // 0: fetchTimeout
}

const (
	fetchTimeout = 5 * time.Second // for all of it
	dialTimeout  = 2 * time.Second // for one of several addresses
	maxFetched   = 64 << 10        // bytes
)

// get returns what is at an address.
func (f *Fetcher) get(ctx context.Context, uri string) ([]byte, error) {
	if _, err := ParseJWKSURI(uri); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(f.timeout, fetchTimeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")

	transport := &http.Transport{
		// No proxy: it would look the name up again.
		DialContext:            f.dial,
		TLSClientConfig:        &tls.Config{RootCAs: f.RootCAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true, // what is small on the wire is small
		MaxResponseHeaderBytes: maxFetched,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFetched:
		return nil, fmt.Errorf("longer than %d bytes", maxFetched)
	}
	return text, nil
}

// dial connects to a host by an address that was found good. The name is looked
// up once: the next answer may be another one.
func (f *Fetcher) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	lookup := f.lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addresses, err := lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	permit := f.Permit
	if permit == nil {
		permit = isPublic
	}
	refused := errors.New("no address")
	for _, address := range addresses {
		address = address.Unmap()
		if !permit(address) {
			refused = fmt.Errorf("%v is not a public address", address)
			continue
		}
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(address.String(), port))
		if err == nil {
			return conn, nil
		}
		refused = err
	}
	return nil, refused
}

// isPublic reports whether an address is one that anybody on the Internet may
// have, and so nobody's inside.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) { // its last four bytes are where the packet goes
		b := a.As16()
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	}
	if a.Is6() && !globalUnicast6.Contains(a) { // nor is one with a zone in it
		return false
	}
	for _, special := range specialPurpose {
		if special.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

var (
	nat64          = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	globalUnicast6 = netip.MustParsePrefix("2000::/3")     // RFC 4291 section 2.4
)

// specialPurpose are the networks that IANA's special-purpose registries take
// out of IPv4 and of globalUnicast6 (RFC 6890), and multicast.
var specialPurpose = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("10.0.0.0/8"),      // private
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local
	netip.MustParsePrefix("172.16.0.0/12"),   // private
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),  // private
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("3fff::/20"),       // documentation
}
