package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/pires/go-proxyproto"
)

// An Address is where to listen: "HOST:PORT", ":PORT", or FromSystemd. The
// empty one is nowhere.
type Address string

// FromSystemd is the address of sockets that systemd has opened.
const FromSystemd Address = "systemd"

func (a Address) String() string { return string(a) }

// ParseAddress reads an address. Port 0 is any that is free.
func ParseAddress(s string) (Address, error) {
	if Address(s) == FromSystemd {
		return FromSystemd, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is no address, want HOST:PORT or %s", s, FromSystemd)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%q: the port is a number from 0 to 65535", s)
	}
	if _, err := netip.ParseAddr(host); err != nil && !isHostName(host) {
		return "", fmt.Errorf("%q: %q is neither an IP address nor a host name", s, host)
	}
	return Address(s), nil
}

// isHostName allows the empty name, which is all addresses of the machine.
func isHostName(s string) bool {
	return len(s) < 254 && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.')
	})
}

// Listen opens the addresses. Sockets that systemd has opened for this process
// take their place.
func Listen(addresses []Address) ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("sockets of systemd: %w", err)
	}
	if slices.Contains(passed, nil) {
		return nil, errors.New("systemd passes a socket that does not listen; the unit wants ListenStream= and Accept=no")
	}
	if len(passed) > 0 {
		return passed, nil
	}
	var listeners []net.Listener
	for _, a := range addresses {
		var l net.Listener
		var err error
		if a == FromSystemd {
			err = errors.New("systemd passes no socket to this process")
		} else {
			l, err = net.Listen("tcp", string(a))
		}
		if err != nil {
			for _, l := range listeners {
				l.Close() // nobody has connected yet
			}
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// proxyHeaderTimeout is how long a proxy may take for its first line.
const proxyHeaderTimeout = 5 * time.Second

// unknownClient is the address of a client that nobody tells.
var unknownClient = &net.TCPAddr{IP: net.IPv4zero}

// ProxyProtocol returns l with connections from trusted networks having the
// client's address that the PROXY protocol tells. These must begin with it: a
// connection without would look as if the proxy itself were the client, and
// what the real client writes into headers would be believed. Connections from
// elsewhere are what they are; a PROXY line in them is a bad request. A client
// that the proxy does not tell has the unspecified address.
func ProxyProtocol(l net.Listener, trusted []netip.Prefix) net.Listener {
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			peer, err := netip.ParseAddrPort(o.Upstream.String())
			if err == nil && Contains(trusted, peer.Addr()) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
		ValidateHeader: func(h *proxyproto.Header) error {
			if h.Command.IsLocal() || h.TransportProtocol == proxyproto.UNSPEC {
				// The proxy's own check of our health, or it does not know. Not
				// the proxy's address: what a client that it hides writes into
				// headers would be believed.
				h.Command, h.TransportProtocol = proxyproto.PROXY, proxyproto.TCPv4
				h.SourceAddr, h.DestinationAddr = unknownClient, unknownClient
				return nil
			}
			if _, ok := h.SourceAddr.(*net.TCPAddr); !ok {
				return fmt.Errorf("PROXY header with the address %v, which is not TCP", h.SourceAddr)
			}
			return nil
		},
	}
}

// Contains reports whether one of the networks has the address. Zones do not
// matter, and an IPv4 address counts as such even if it is mapped into IPv6.
func Contains(networks []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
