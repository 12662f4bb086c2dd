package claims

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/token"
)

// An Issuer makes tokens, and verifies those that it has made. All fields are
// needed.
type Issuer struct {
	URL     string // iss, byte by byte
	Keys    *token.Keys
	Clients *client.Clients // of whom only the custom claims are asked for
}

// An Authentication is how and when a user signed in.
type Authentication struct {
	Time      time.Time
	AMR       []string // RFC 8176; empty: unknown
	ACR       string   // empty: unknown
	SessionID string   // sid in ID tokens; empty: there is none
}

// domain returns the domain whose keys sign for a client.
func (i *Issuer) domain(c *client.Client) (*token.Domain, error) {
	name := cmp.Or(c.Domain, host(i.URL))
	d, err := i.Keys.Domain(name)
	switch {
	case c.Domain != "" && (err != nil || d.Name != c.Domain): // both were made just now
		return nil, fmt.Errorf("the keys of %s, the domain of the client %s, are not here yet", c.Domain, c.ClientID)
	case err != nil:
		return nil, fmt.Errorf("the host of the issuer is %q, and %w: let a domain answer for it that has a JWT key, "+
			"or give the client %s such a domain", name, err, c.ClientID)
	}
	return d, nil
}

// host returns the host name of a URL without its port.
func host(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	authority, _, _ := strings.Cut(rest, "/")
	name, _, _ := strings.Cut(authority, ":")
	return name
}

// A signer is a key with the way in which it signs.
type signer struct {
	key *token.SigningKey
	alg token.Alg
}

// signerFor returns what signs for a client by an algorithm. It is our own
// trouble if there is none, and the error says what to do about it.
func signerFor(c *client.Client, d *token.Domain, name string) (signer, error) {
	alg, err := token.ParseAlg(name)
	if err != nil {
		return signer{}, fmt.Errorf("tokens for the client %s: %w", c.ClientID, err)
	}
	if key := d.ActiveAlg(alg); key != nil {
		return signer{key, alg}, nil
	}
	if key := d.SealedAlg(alg); key != nil {
		return signer{}, fmt.Errorf("tokens for the client %s are signed by %s, and the key %s of %s cannot be opened: see authserver secret check",
			c.ClientID, alg, key.KID, d.Name)
	}
	return signer{}, fmt.Errorf("tokens for the client %s are signed by %s, and %s has no active key for that: authserver domain edit %[3]s --create-key jwt --key-algorithm %s",
		c.ClientID, alg, d.Name, alg.Key())
}

// idTokenSigner returns what signs ID tokens for a client.
func (i *Issuer) idTokenSigner(c *client.Client) (signer, error) {
	d, err := i.domain(c)
	if err != nil {
		return signer{}, err
	}
	return signerFor(c, d, idTokenAlg(c))
}

// accessTokenSigner returns what signs access tokens for a client.
func (i *Issuer) accessTokenSigner(c *client.Client) (signer, error) {
	d, err := i.domain(c)
	if err != nil {
		return signer{}, err
	}
	alg := c.AccessTokenAlg
	switch {
	case alg != "":
	case d.ActiveAlg(token.ES256) != nil:
		alg = string(token.ES256)
	default:
		alg = idTokenAlg(c)
	}
	return signerFor(c, d, alg)
}

// idTokenAlg returns what OpenID Connect Registration section 2 says of a client
// that says nothing.
func idTokenAlg(c *client.Client) string { return cmp.Or(c.IDTokenAlg, string(token.RS256)) }

// maxUsual is the length beyond which a token may not fit where it has to go:
// servers bound headers to 8 KiB, and there are others.
const maxUsual = 4096

// sign returns a token of a client.
func (s signer) sign(c *client.Client, typ token.Typ, claims Object) (string, error) {
	payload, _ := claims.MarshalJSON() // has no error
	signed, err := s.key.SignAs(s.alg, typ, payload)
	if err != nil {
		return "", fmt.Errorf("token for the client %s: %w", c.ClientID, err)
	}
	if len(signed) > maxUsual {
		slog.Warn("token is so long that a server may refuse it", "client", c.ClientID, "typ", string(typ), "bytes", len(signed))
	}
	return signed, nil
}
