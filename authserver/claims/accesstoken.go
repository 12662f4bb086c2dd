package claims

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/token"
)

// An AccessToken is what a JWT of RFC 9068 says.
type AccessToken struct {
	GrantID   string          // empty: of client credentials
	Subject   string          // empty with client credentials, until it is verified: the client, then
	ClientID  string          // of what was verified; issued tokens have that of the client
	JTI       string          // empty: a new one
	Audience  []string        // empty: the client
	Scope     []string        // empty: none
	IssuedAt  time.Time       // zero: now
	ExpiresAt time.Time       // zero: after the client's access token lifetime
	Auth      *Authentication // nil: of client credentials; its session id is not in the token

	// Identity adds the claims of the scope, if the client's access tokens are
	// scoped: for programs that ask nobody else. Verified tokens have none.
	Identity *Identity
}

// AccessToken issues an access token.
func (i *Issuer) AccessToken(c *client.Client, t AccessToken) (signed string, err error) {
	s, claims, err := i.accessTokenClaims(c, t)
	if err != nil {
		return "", err
	}
	return s.sign(c, cmp.Or(token.Typ(c.AccessTokenTyp), token.TypAccessToken), claims)
}

// accessTokenClaims returns what AccessToken signs, and what with.
func (i *Issuer) accessTokenClaims(c *client.Client, t AccessToken) (signer, Object, error) {
	s, err := i.accessTokenSigner(c)
	if err != nil {
		return signer{}, Object{}, err
	}
	if t.GrantID == "" {
		t.Subject = c.ClientID // RFC 9068 section 2.2
	}
	if t.Subject == "" {
		return signer{}, Object{}, fmt.Errorf("access token for the client %s: it has no subject", c.ClientID)
	}
	if t.JTI == "" {
		t.JTI = rand.Text()
	}
	if t.IssuedAt.IsZero() {
		t.IssuedAt = time.Now()
	}
	if t.ExpiresAt.IsZero() {
		t.ExpiresAt = t.IssuedAt.Add(c.AccessTokenLifetime)
	}

	o := Object{make([]byte, 0, 512)}
	o.addText("iss", i.URL)
	o.addText("sub", t.Subject)
	switch len(t.Audience) {
	case 0:
		o.addText("aud", c.ClientID)
	case 1:
		o.addText("aud", t.Audience[0])
	default:
		o.addList("aud", t.Audience)
	}
	o.addText("client_id", c.ClientID)
	o.addText("scope", strings.Join(t.Scope, " "))
	o.addInteger("iat", t.IssuedAt.Unix())
	o.addInteger("exp", t.ExpiresAt.Unix())
	o.addText("jti", t.JTI)
	o.addText("grant_id", t.GrantID)
	if t.Auth != nil {
		o.addInteger("auth_time", t.Auth.Time.Unix())
		o.addText("acr", t.Auth.ACR)
		o.addList("amr", t.Auth.AMR)
	}
	if t.Identity != nil && c.AccessTokenClaims == "scoped" {
		i.addIdentity(&o, selection{client: c, scope: t.Scope}, t.Identity)
	}
	return s, o, nil
}

// VerifyAccessToken returns what an access token says that AccessToken has
// issued and that has not expired; else ErrToken. Whether it was revoked, and
// whether its audience is whoever was asked, the caller has to find out.
func (i *Issuer) VerifyAccessToken(text string) (AccessToken, error) {
	typ, m, err := i.verify(text)
	if err != nil {
		return AccessToken{}, err
	}
	// RFC 9068 section 4. There are clients whose tokens have the typ of all
	// others; then it is the claims that tell.
	if typ != token.TypAccessToken && typ != token.TypJWT {
		return AccessToken{}, fmt.Errorf("%w: its typ is %q", ErrToken, string(typ))
	}
	t := AccessToken{
		GrantID:   m.text("grant_id"),
		Subject:   m.text("sub"),
		ClientID:  m.text("client_id"),
		JTI:       m.text("jti"),
		Audience:  m.audience(),
		Scope:     strings.Fields(m.text("scope")),
		IssuedAt:  m.time("iat"),
		ExpiresAt: m.time("exp"),
	}
	if m.has("auth_time") {
		t.Auth = &Authentication{Time: m.time("auth_time"), AMR: m.list("amr"), ACR: m.text("acr")}
	}
	switch {
	case m.malformed:
		err = errors.New("a claim has another type")
	case t.Subject == "" || t.ClientID == "" || t.JTI == "" || len(t.JTI) > maxJTI || len(t.Audience) == 0 || !m.has("iat") || !m.has("exp"):
		err = errors.New("it lacks a claim of an access token")
	case t.GrantID == "" && (t.Subject != t.ClientID || m.has("grant_id") || t.Auth != nil):
		err = errors.New("it belongs to no grant")
	case t.GrantID != "" && !isUUID(t.GrantID):
		err = errors.New("its grant is none")
	case m.has("nonce") || m.has("at_hash") || m.has("events"):
		err = errors.New("it has claims of other tokens")
	case !time.Now().Before(t.ExpiresAt):
		err = errors.New("it has expired")
	}
	if err != nil {
		return AccessToken{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return t, nil
}

// maxJTI is the length of the longest jti that can be revoked.
const maxJTI = 64
