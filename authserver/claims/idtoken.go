package claims

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/token"
)

// An IDToken is what there is to say in an ID token (OpenID Connect Core section
// 2).
type IDToken struct {
	Identity    Identity
	Auth        Authentication
	Nonce       string // as it was sent; empty: it was not
	Scope       []string
	Request     Request
	AccessToken string // that is issued with it; empty: none
}

// IDToken issues an ID token to a client. It has no azp: the client is the only
// audience.
func (i *Issuer) IDToken(c *client.Client, t IDToken) (string, error) {
	s, err := i.idTokenSigner(c)
	if err != nil {
		return "", err
	}
	if t.Identity.Subject == "" {
		return "", fmt.Errorf("ID token for the client %s: it has no subject", c.ClientID)
	}
	now := time.Now()
	o := Object{make([]byte, 0, 1024)}
	o.addText("iss", i.URL)
	o.addText("sub", t.Identity.Subject)
	o.addText("aud", c.ClientID)
	o.addInteger("exp", now.Add(c.IDTokenLifetime).Unix())
	o.addInteger("iat", now.Unix())
	o.addInteger("auth_time", t.Auth.Time.Unix())
	o.addText("nonce", t.Nonce)
	o.addText("acr", t.Auth.ACR)
	o.addList("amr", t.Auth.AMR)
	o.addText("sid", t.Auth.SessionID)
	if t.AccessToken != "" {
		o.addText("at_hash", leftHalf(s.alg, t.AccessToken))
	}
	asked := selection{client: c, asked: t.Request.IDToken}
	if c.IDTokenClaims == "scoped" {
		asked.scope = t.Scope
	}
	i.addIdentity(&o, asked, &t.Identity)
	return s.sign(c, token.TypJWT, o)
}

// leftHalf returns the left half of the hash of a text, by the hash function of
// the signature: Core section 3.1.3.6.
func leftHalf(alg token.Alg, text string) string {
	hash := alg.Hash()
	io.WriteString(hash, text)
	sum := hash.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// A Hint is what an ID token that comes back says (id_token_hint).
type Hint struct {
	ClientID  string
	Subject   string
	SessionID string // empty: it has none
}

// VerifyIDTokenHint returns what an ID token says that IDToken has issued,
// expired or not (RP-Initiated Logout section 4); else ErrToken.
func (i *Issuer) VerifyIDTokenHint(text string) (Hint, error) {
	typ, m, err := i.verify(text)
	if err != nil {
		return Hint{}, err
	}
	audience := m.audience()
	m.time("exp")
	m.time("iat")
	m.time("auth_time")
	h := Hint{Subject: m.text("sub"), SessionID: m.text("sid")}
	switch {
	case typ != token.TypJWT:
		err = fmt.Errorf("its typ is %q", string(typ))
	case m.malformed:
		err = errors.New("a claim has another type")
	case h.Subject == "" || len(audience) != 1 || audience[0] == "" || !m.has("exp") || !m.has("iat") || !m.has("auth_time"):
		err = errors.New("it lacks a claim of an ID token")
	case m.has("client_id") || m.has("scope") || m.has("grant_id") || m.has("jti") || m.has("events"):
		err = errors.New("it has claims of other tokens")
	}
	if err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	h.ClientID = audience[0]
	return h, nil
}
