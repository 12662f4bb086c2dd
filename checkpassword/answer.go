package checkpassword

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// audience is in every answer, so that no other token of the server is one.
	audience = "net.maurus.authclient"

	// leeway is by how much the clocks of server and client may differ.
	leeway = 10 * time.Second
)

// An Answer is a yes: the user exists, may log in, has every scope asked for,
// and, unless it was a lookup, has this password.
type Answer struct {
	User   string   // the user's primary address
	Scopes []string // all permissions of the user
}

// HoldsAny reports whether the user has at least one of these permissions.
func (a Answer) HoldsAny(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(a.Scopes, s) })
}

type claims struct {
	jwt.RegisteredClaims
	CanonicalUsername string   `json:"canonical_username"`
	Authenticated     bool     `json:"authenticated"`
	Authorized        bool     `json:"authorized"`
	Scopes            []string `json:"scopes"`
	Nonce             string   `json:"nonce"`
}

// verify returns the answer in token if it is one to q. A token that is no JWT
// or signed by a key that is not ours says nothing about the user, and is
// ErrUnavailable: somebody has rotated keys, or put another server in between.
// A token that says something else than yes to this question is ErrDenied.
func (c *Client) verify(token string, q Question, nonce string) (Answer, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods(algorithms),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(c.Now),
	)
	var got claims
	keyed := false // the algorithm was good, and so it is about keys
	parsed, err := parser.ParseWithClaims(token, &got, func(t *jwt.Token) (any, error) {
		keyed = true
		return c.Keys.forMethod(t.Method.Alg())
	})
	switch {
	case err == nil:
	case errors.Is(err, jwt.ErrTokenMalformed):
		return Answer{}, fmt.Errorf("%w: the response is no JWT", ErrUnavailable)
	case keyed && (errors.Is(err, jwt.ErrTokenUnverifiable) || errors.Is(err, jwt.ErrTokenSignatureInvalid)):
		return Answer{}, fmt.Errorf("%w: the answer is not signed by a key in the key file", ErrUnavailable)
	default:
		return Answer{}, fmt.Errorf("%w: %w", ErrDenied, err)
	}

	typ, _ := parsed.Header["typ"].(string)
	switch {
	case !strings.EqualFold(typ, "JWT"):
		return Answer{}, fmt.Errorf("%w: the token is of another type", ErrDenied)
	case got.NotBefore == nil:
		return Answer{}, fmt.Errorf("%w: the answer has no nbf", ErrDenied)
	case !c.issuedBy(got.Issuer):
		return Answer{}, fmt.Errorf("%w: the answer is issued by %q", ErrDenied, got.Issuer)
	case got.Subject != q.Name:
		return Answer{}, fmt.Errorf("%w: the answer is about somebody else", ErrDenied)
	case got.Nonce == "" && c.Legacy:
	case subtle.ConstantTimeCompare([]byte(got.Nonce), []byte(nonce)) == 0:
		return Answer{}, fmt.Errorf("%w: the answer is to another question", ErrDenied)
	}
	switch {
	case !got.Authenticated && !q.Lookup:
		return Answer{}, fmt.Errorf("%w: not authenticated", ErrDenied)
	case !got.Authorized:
		return Answer{}, fmt.Errorf("%w: not authorized", ErrDenied)
	}
	for _, scope := range q.Scopes {
		if !slices.Contains(got.Scopes, scope) {
			return Answer{}, ErrForbidden
		}
	}
	return Answer{User: got.CanonicalUsername, Scopes: got.Scopes}, nil
}

// issuedBy tells whether answers may have this issuer. The server signs with
// the key of the domain that its host name selects, which is that name or one
// above it. A name without a dot is above too many to be trusted without being
// named.
func (c *Client) issuedBy(issuer string) bool {
	if c.Issuer != "" {
		return strings.EqualFold(issuer, c.Issuer)
	}
	host, issuer := strings.ToLower(c.URL.Hostname()), strings.ToLower(issuer)
	if issuer == "" || issuer == host {
		return issuer != ""
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	return strings.Contains(issuer, ".") && strings.HasSuffix(host, "."+issuer)
}
