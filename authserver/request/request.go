// Package request is what every endpoint does with a request in the same way:
// reading whether it came safely, from whom, with which credentials and what
// body, and refusing it.
//
//	request.go      Secure, Peer, IsText
//	credentials.go  the Authorization header (RFC 9110 section 11.6.2, RFC 7617)
//	body.go         Body and ReadForm, and how long a body may be
//	handle.go       Refusals: what the client hears of an error, and what the log
//
// What is wrong with a request is an error without any part of it: that may be
// one of a password. Each protocol has its own words and status for it.
package request

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// ErrInsecure is for the log, where a request is refused that is not Secure: what
// the operator can do about it.
var ErrInsecure = errors.New("plain HTTP: if a proxy has the TLS, name it by --trusted-proxy and let it send X-Forwarded-Proto")

// Secure reports whether the client sent the request with TLS, so that nobody
// on the way could read it.
func Secure(r *http.Request) bool { return r.URL.Scheme == "https" }

// Peer returns the address that the request came from; the zero Addr if nobody
// knows. IPv4 by way of IPv6 is IPv4.
func Peer(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from.Addr().Unmap().WithZone("")
}

// IsText reports whether s can be a parameter of a query, and in a token: it is
// UTF-8, and PostgreSQL has no text with NUL.
func IsText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
