package claims

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/token"

	registrytoken "github.com/docker/distribution/registry/auth/token"
	"github.com/golang-jwt/jwt/v5"
)

// accessToken is one of alice for the client wiki, which has not expired.
func accessToken() AccessToken {
	auth := signedIn()
	issued := time.Now().Truncate(time.Second)
	return AccessToken{
		GrantID: grantID, Subject: aliceID, JTI: "jti-of-a-test", Scope: []string{"openid", "email"},
		IssuedAt: issued, ExpiresAt: issued.Add(time.Minute), Auth: &auth,
	}
}

// RFC 9068 section 2.2.
func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	auth := signedIn()
	id := alice()
	at := func(edit func(t *AccessToken)) AccessToken {
		token := AccessToken{GrantID: grantID, Subject: aliceID, JTI: "x", IssuedAt: time.Unix(1800000000, 0), Auth: &auth}
		edit(&token)
		return token
	}
	const begins = `{"iss":"https://id.example.com/o2","sub":"4b3f6ac1-37a5-4c5e-9a9a-0d9c9f1f2a33",`
	const ends = `"iat":1800000000,"exp":1800000300,"jti":"x","grant_id":"9d5c5b9e-7a55-4e6d-8a8f-55a4e7a1b2c3","auth_time":1800000000,"acr":"1","amr":["pwd"]`
	scoped := edited(func(c *client.Client) { c.AccessTokenClaims = "scoped" })
	for name, tt := range map[string]struct {
		client *client.Client
		token  AccessToken
		want   string
	}{
		"nothing asked for": {wiki(), at(func(*AccessToken) {}), begins + `"aud":"wiki","client_id":"wiki",` + ends + `}`},
		"scope and one resource": {
			wiki(),
			at(func(t *AccessToken) {
				t.Scope, t.Audience = []string{"openid", "email"}, []string{"https://api.example.com/"}
			}),
			begins + `"aud":"https://api.example.com/","client_id":"wiki","scope":"openid email",` + ends + `}`,
		},
		"two resources": {
			wiki(),
			at(func(t *AccessToken) { t.Audience = []string{"https://a.example.com/", "https://b.example.com/"} }),
			begins + `"aud":["https://a.example.com/","https://b.example.com/"],"client_id":"wiki",` + ends + `}`,
		},
		"an identity for a client that is minimal": {
			wiki(),
			at(func(t *AccessToken) { t.Scope, t.Identity = []string{"email"}, &id }),
			begins + `"aud":"wiki","client_id":"wiki","scope":"email",` + ends + `}`,
		},
		"an identity for a client that is scoped": {
			scoped,
			at(func(t *AccessToken) { t.Scope, t.Identity = []string{"email", "username"}, &id }),
			begins + `"aud":"wiki","client_id":"wiki","scope":"email username",` + ends +
				`,"username":"alice@example.com","email":"alice@example.com","email_verified":true}`,
		},
		"client credentials": {
			wiki(),
			AccessToken{JTI: "x", Scope: []string{"jobs"}, IssuedAt: time.Unix(1800000000, 0)},
			`{"iss":"https://id.example.com/o2","sub":"wiki","aud":"wiki","client_id":"wiki","scope":"jobs","iat":1800000000,"exp":1800000300,"jti":"x"}`,
		},
		"client credentials with a subject, which is none": {
			wiki(),
			AccessToken{JTI: "x", Subject: aliceID, IssuedAt: time.Unix(1800000000, 0)},
			`{"iss":"https://id.example.com/o2","sub":"wiki","aud":"wiki","client_id":"wiki","iat":1800000000,"exp":1800000300,"jti":"x"}`,
		},
		"a scope that would be more than a string": {
			wiki(),
			AccessToken{JTI: "x", Scope: []string{`a","grant_id":"b`}, IssuedAt: time.Unix(1800000000, 0)},
			`{"iss":"https://id.example.com/o2","sub":"wiki","aud":"wiki","client_id":"wiki","scope":"a\",\"grant_id\":\"b","iat":1800000000,"exp":1800000300,"jti":"x"}`,
		},
	} {
		signed, err := h.AccessToken(tt.client, tt.token)
		if err != nil {
			t.Fatal(err)
		}
		header, payload := parts(t, signed)
		if payload != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, payload, tt.want)
		}
		if !strings.HasPrefix(header, `{"alg":"ES256","kid":"`) || !strings.HasSuffix(header, `","typ":"at+jwt"}`) {
			t.Errorf("%s: header %s", name, header)
		}
		if got := h.verifyJWS(t, signed, "ES256"); got != tt.want {
			t.Errorf("%s: another library reads %s", name, got)
		}
		checkNames(t, payload)
	}

	if signed, err := h.AccessToken(wiki(), AccessToken{GrantID: grantID}); err == nil {
		t.Errorf("a token of a grant is about nobody: %s", signed)
	}
	first, err := h.AccessToken(wiki(), AccessToken{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.AccessToken(wiki(), AccessToken{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := h.VerifyAccessToken(first)
	if err != nil {
		t.Fatal(err)
	}
	other, err := h.VerifyAccessToken(second)
	if err != nil || one.JTI == other.JTI || len(one.JTI) < 22 || len(one.JTI) > maxJTI {
		t.Errorf("jti %q and %q, %v", one.JTI, other.JTI, err)
	}
}

// Which key signs, the client says, or what there is.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, tt := range []struct {
		domain, access, id string
		typ                string
		want               string // of the access token
		wantID             string
	}{
		{"", "", "RS256", "", "ES256 at+jwt", "RS256 JWT"},
		{"", "", "", "JWT", "ES256 JWT", "RS256 JWT"},
		{"", "RS256", "ES256", "at+jwt", "RS256 at+jwt", "ES256 JWT"},
		{"", "PS256", "EdDSA", "at+jwt", "PS256 at+jwt", "EdDSA JWT"},
		{"", "EdDSA", "PS256", "JWT", "EdDSA JWT", "PS256 JWT"},
		{"example.com", "", "RS256", "at+jwt", "ES256 at+jwt", "RS256 JWT"},
		{"example.org", "", "RS256", "at+jwt", "RS256 at+jwt", "RS256 JWT"},
		{"example.org", "", "PS256", "at+jwt", "PS256 at+jwt", "PS256 JWT"},
	} {
		c := edited(func(c *client.Client) {
			c.Domain, c.AccessTokenAlg, c.IDTokenAlg, c.AccessTokenTyp = tt.domain, tt.access, tt.id, tt.typ
		})
		signed, err := h.AccessToken(c, accessToken())
		if err != nil {
			t.Fatal(err)
		}
		if got := algOf(t, signed); got != tt.want {
			t.Errorf("%+v: access token %s", tt, got)
		}
		alg, _, _ := strings.Cut(tt.want, " ")
		h.verifyJWS(t, signed, alg)
		if _, err := h.VerifyAccessToken(signed); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		if signed, err = h.IDToken(c, IDToken{Identity: alice(), Auth: signedIn()}); err != nil {
			t.Fatal(err)
		}
		if got := algOf(t, signed); got != tt.wantID {
			t.Errorf("%+v: ID token %s", tt, got)
		}
		alg, _, _ = strings.Cut(tt.wantID, " ")
		h.verifyJWS(t, signed, alg)
		if _, err := h.VerifyIDTokenHint(signed); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// Without a key there is no token, and the error says what to do.
func TestNoKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.createDomain(t, "sealed.example.com", sealingKey(t, "another secret that is long enough for this"), token.P256)
	h.load(t)
	of := func(domain, alg string) *client.Client {
		return edited(func(c *client.Client) { c.Domain, c.AccessTokenAlg, c.IDTokenAlg = domain, alg, alg })
	}
	elsewhere := &Issuer{URL: "https://id.example.invalid:8443", Keys: h.Keys, Clients: h.Clients}
	for name, tt := range map[string]struct {
		issuer *Issuer
		client *client.Client
		want   []string
	}{
		"no key of the algorithm":           {h.Issuer, of("example.org", "ES256"), []string{"wiki", "ES256", "authserver domain edit example.org --create-key jwt --key-algorithm ecdsa-p256"}},
		"no key at all":                     {h.Issuer, of("example.net", ""), []string{"wiki", "RS256", "authserver domain edit example.net --create-key jwt --key-algorithm rsa"}},
		"a key that is sealed":              {h.Issuer, of("sealed.example.com", "ES256"), []string{"wiki", "ES256", "sealed.example.com", "authserver secret check"}},
		"an algorithm that is none":         {h.Issuer, of("example.org", "HS256"), []string{"wiki", "HS256"}},
		"a domain that has just come":       {h.Issuer, of("new.example.com", "RS256"), []string{"wiki", "new.example.com", "not here yet"}},
		"a domain that nobody answers for":  {h.Issuer, of("new.example.invalid", "RS256"), []string{"wiki", "new.example.invalid", "not here yet"}},
		"an issuer that nobody answers for": {elsewhere, wiki(), []string{"wiki", `"id.example.invalid"`, "JWT key"}},
	} {
		signed, err := tt.issuer.AccessToken(tt.client, accessToken())
		if err == nil {
			t.Errorf("%s: %s", name, signed)
			continue
		}
		idToken, idErr := tt.issuer.IDToken(tt.client, IDToken{Identity: alice(), Auth: signedIn()})
		if idErr == nil {
			t.Errorf("%s: %s", name, idToken)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) || !strings.Contains(idErr.Error(), want) {
				t.Errorf("%s: %v; %v; want %q", name, err, idErr, want)
			}
		}
	}
}

func TestVerifyAccessToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	want := accessToken()
	want.ClientID, want.Audience = "wiki", []string{"wiki"}
	id := alice()
	for _, edit := range []func(*AccessToken){
		func(t *AccessToken) {},
		func(t *AccessToken) { t.Scope = []string{} },
		func(t *AccessToken) { t.Audience = []string{"https://a.example.com/", "https://b.example.com/"} },
		func(t *AccessToken) { t.GrantID, t.Subject, t.Auth = "", "wiki", nil },
		func(t *AccessToken) { t.Auth = &Authentication{Time: time.Unix(1, 0)} },
	} {
		tok := want
		edit(&tok)
		if tok.Auth != nil {
			auth := *tok.Auth
			auth.SessionID = "" // is not said
			tok.Auth = &auth
		}
		issue := tok
		issue.Identity = &id
		for _, c := range []*client.Client{wiki(), edited(func(c *client.Client) { c.AccessTokenTyp, c.AccessTokenClaims = "JWT", "scoped" })} {
			signed, err := h.AccessToken(c, issue)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.VerifyAccessToken(signed); err != nil || !reflect.DeepEqual(got, tok) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tok)
			}
		}
	}
}

func TestVerifyAccessTokenExpired(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, ends := range []time.Duration{0, -time.Second, -time.Hour} {
		tok := accessToken()
		tok.ExpiresAt = time.Now().Add(ends)
		signed, err := h.AccessToken(wiki(), tok)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.VerifyAccessToken(signed); !errors.Is(err, ErrToken) {
			t.Errorf("it ended %v ago: %+v, %v", -ends, got, err)
		}
	}
}

// A key that is retired signs no more, and what it has signed lasts; one that is
// gone takes its tokens along.
func TestVerifyAfterRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	signed, err := h.AccessToken(wiki(), accessToken())
	if err != nil {
		t.Fatal(err)
	}
	exec := func(statement string) {
		t.Helper()
		if _, err := h.db.Owner.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		h.load(t)
	}
	exec(`update auth.keys set state = 'retired', retired_at = now() where algorithm = 'ecdsa-p256'`)
	if _, err := h.VerifyAccessToken(signed); err != nil {
		t.Errorf("the key is retired: %v", err)
	}
	if other, err := h.AccessToken(wiki(), accessToken()); err != nil || algOf(t, other) != "RS256 at+jwt" {
		t.Errorf("without ES256 the access token is as the ID token: %s, %v", other, err)
	}
	exec(`delete from auth.keys where algorithm = 'ecdsa-p256'`)
	if got, err := h.VerifyAccessToken(signed); !errors.Is(err, ErrToken) {
		t.Errorf("the key is gone: %+v, %v", got, err)
	}
}

// Another issuer with the same keys is another issuer.
func TestVerifyIssuer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	access, err := h.AccessToken(wiki(), accessToken())
	if err != nil {
		t.Fatal(err)
	}
	idToken, err := h.IDToken(wiki(), IDToken{Identity: alice(), Auth: signedIn()})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"https://id.example.com", issuerURL + "/", "https://ID.example.com/o2", "http://id.example.com/o2", "", "https://id.example.com/o2 "} {
		other := &Issuer{URL: url, Keys: h.Keys, Clients: h.Clients}
		if got, err := other.VerifyAccessToken(access); !errors.Is(err, ErrToken) {
			t.Errorf("%q takes an access token: %+v, %v", url, got, err)
		}
		if got, err := other.VerifyIDTokenHint(idToken); !errors.Is(err, ErrToken) {
			t.Errorf("%q takes an ID token: %+v, %v", url, got, err)
		}
	}
}

// strangers returns tokens of all other kinds, each signed by our own key and as
// near to one of ours as whoever asks for it can get it. Of each, the issuer is
// the domain, as it is, or ours, as an operator may have it.
func (h *house) strangers(t testing.TB) map[string]string {
	t.Helper()
	d, err := h.Keys.Domain("id.example.com")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	all := map[string]string{}
	for _, iss := range []string{issuerURL, "example.com"} {
		for name, claims := range map[string]any{
			"a Docker token": registrytoken.ClaimSet{
				Issuer: iss, Subject: aliceID, Audience: "wiki", Expiration: now.Add(time.Hour).Unix(), NotBefore: now.Unix(), IssuedAt: now.Unix(), JWTID: "x",
				Access: []*registrytoken.ResourceActions{{Type: "repository", Name: "wiki", Actions: []string{"pull"}}},
			},
			"a Docker token of nobody": registrytoken.ClaimSet{Issuer: iss, Audience: "wiki", Expiration: now.Add(time.Hour).Unix(), IssuedAt: now.Unix(), JWTID: "x"},
			// The login name and the nonce are the caller's.
			"an answer of /checkpassword": map[string]any{
				"sub": "wiki", "canonical_username": "alice@example.com", "authenticated": true, "authorized": true, "scopes": []string{"openid"},
				"nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "iss": iss, "aud": "wiki", "jti": "x",
				"nonce": `","client_id":"wiki","grant_id":"` + grantID, "amr": []string{"pwd"},
			},
			// OpenID Connect Back-Channel Logout section 2.4.
			"a logout token": map[string]any{
				"iss": iss, "sub": aliceID, "aud": "wiki", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": "x", "sid": session,
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			},
			// RFC 7523 section 3, of a client that calls itself like the issuer.
			"a client assertion": map[string]any{
				"iss": iss, "sub": iss, "aud": iss, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "jti": "x",
			},
			"an answer of userinfo": map[string]any{
				"iss": iss, "sub": aliceID, "aud": "wiki", "email": "alice@example.com",
			},
			"nothing": map[string]any{"iss": iss},
		} {
			for _, alg := range []token.Alg{token.RS256, token.ES256} {
				signed, err := d.ActiveAlg(alg).Sign(claims)
				if err != nil {
					t.Fatal(err)
				}
				all[name+" of "+iss+", "+string(alg)] = signed
			}
		}
	}
	fake, err := h.FakeUserInfo(wiki(), alice(), now)
	if err != nil {
		t.Fatal(err)
	}
	if all["an answer of fake-userinfo"], err = d.ActiveAlg(token.RS256).Sign(fake); err != nil {
		t.Fatal(err)
	}
	return all
}

// The same keys sign tokens of many kinds: RFC 8725 section 2.8.
func TestTokensOfOtherKinds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, signed := range h.strangers(t) {
		if _, err := h.Keys.Verify(signed); err != nil {
			t.Fatalf("%s is not signed by us: %v", name, err)
		}
		if got, err := h.VerifyAccessToken(signed); !errors.Is(err, ErrToken) {
			t.Errorf("%s is taken as an access token: %+v, %v", name, got, err)
		}
		if got, err := h.VerifyIDTokenHint(signed); !errors.Is(err, ErrToken) {
			t.Errorf("%s is taken as an ID token: %+v, %v", name, got, err)
		}
	}

	// ID tokens and access tokens that are as like each other as they get.
	for _, typ := range []string{"JWT", "at+jwt"} {
		c := edited(func(c *client.Client) {
			c.AccessTokenTyp, c.AccessTokenClaims, c.IDTokenClaims = typ, "scoped", "scoped"
			c.IDTokenAlg, c.AccessTokenAlg = "ES256", "ES256"
		})
		id := alice()
		for _, scope := range [][]string{nil, client.StandardScopes, {"openid", "profile", "email", "groups", "org"}} {
			tok := accessToken()
			tok.Scope, tok.Identity = scope, &id
			access, err := h.AccessToken(c, tok)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.VerifyIDTokenHint(access); !errors.Is(err, ErrToken) {
				t.Errorf("an access token with typ %s is taken as an ID token: %+v, %v", typ, got, err)
			}
			own, err := h.AccessToken(c, AccessToken{Scope: scope})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.VerifyIDTokenHint(own); !errors.Is(err, ErrToken) {
				t.Errorf("an access token of client credentials with typ %s is taken as an ID token: %+v, %v", typ, got, err)
			}
			// Of a user who is called like the client.
			for _, subject := range []string{aliceID, "wiki"} {
				id := id
				id.Subject = subject
				idToken, err := h.IDToken(c, IDToken{
					Identity: id, Auth: signedIn(), Scope: scope, AccessToken: access,
					Nonce: `x","client_id":"wiki","jti":"x","grant_id":"` + grantID,
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := h.VerifyIDTokenHint(idToken); err != nil {
					t.Errorf("an ID token is none: %v", err)
				}
				if got, err := h.VerifyAccessToken(idToken); !errors.Is(err, ErrToken) {
					t.Errorf("an ID token is taken as an access token: %+v, %v", got, err)
				}
			}
		}
	}
}

// Custom claims that somebody got past the database make no access token of an
// ID token, nor the reverse.
func TestCustomClaimsForgeNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.db.Owner.Exec(t.Context(), `alter table auth.oauth2_claims drop constraint oauth2_claims_name_is_free`); err != nil {
		t.Fatal(err)
	}
	id := alice()
	for name, value := range map[string]string{"client_id": "wiki", "jti": "x", "grant_id": grantID, "scope": "openid", "auth_time": "1800000000", "iss": "x", "Sub": "mallory"} {
		h.createClaim(t, name, strings.ToLower(name), "profile", map[bool]string{true: "integer", false: "string"}[name == "auth_time"])
		id.Attributes[strings.ToLower(name)] = value
	}
	h.load(t)
	c := edited(func(c *client.Client) {
		c.AccessTokenTyp, c.AccessTokenClaims, c.IDTokenClaims = "JWT", "scoped", "scoped"
	})
	idToken, err := h.IDToken(c, IDToken{Identity: id, Auth: signedIn(), Scope: []string{"openid", "profile"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.VerifyAccessToken(idToken); !errors.Is(err, ErrToken) {
		t.Errorf("an ID token is taken as an access token: %+v, %v", got, err)
	}
	if _, err := h.VerifyIDTokenHint(idToken); err != nil {
		t.Error(err)
	}
	access, err := h.AccessToken(c, AccessToken{Scope: []string{"profile"}, Identity: &id})
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.VerifyAccessToken(access)
	if err != nil || got.Subject != "wiki" || got.GrantID != "" || got.Auth != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, signed := range []string{idToken, access} {
		_, payload := parts(t, signed)
		checkNames(t, payload)
	}
}

// Claims that no access token of ours has, signed by our own key all the same.
func TestVerifyAccessTokenRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, err := h.Keys.Domain("example.com")
	if err != nil {
		t.Fatal(err)
	}
	key := d.ActiveAlg(token.ES256)
	good := func() map[string]any {
		return map[string]any{
			"iss": issuerURL, "sub": aliceID, "aud": "wiki", "client_id": "wiki", "scope": "openid", "jti": "x", "grant_id": grantID,
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "auth_time": 1800000000, "acr": "1", "amr": []string{"pwd"},
		}
	}
	sign := func(claims map[string]any) string {
		signed, err := key.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	if _, err := h.VerifyAccessToken(sign(good())); err != nil {
		t.Fatalf("what is refused begins with what is not: %v", err)
	}
	type change struct {
		name  string
		value any
	}
	for _, c := range []change{
		{"iss", nil}, {"iss", []string{issuerURL}}, {"iss", "https://example.org/"},
		{"sub", ""}, {"sub", 1}, {"aud", []string{}}, {"aud", 1}, {"aud", []any{1}},
		{"client_id", ""}, {"client_id", []string{"wiki"}},
		{"jti", ""}, {"jti", strings.Repeat("x", maxJTI+1)},
		{"grant_id", ""}, {"grant_id", "x"}, {"grant_id", strings.ToUpper(grantID)}, {"grant_id", "{" + grantID[2:] + "}"}, {"grant_id", 1},
		{"exp", "1900000000"}, {"exp", 1900000000.5}, {"exp", -1}, {"exp", 0}, {"iat", "x"}, {"iat", map[string]int{}},
		{"auth_time", "x"}, {"acr", 1}, {"amr", "pwd"}, {"scope", []string{"openid"}},
		{"nonce", "x"}, {"at_hash", "x"}, {"events", map[string]any{}},
	} {
		claims := good()
		claims[c.name] = c.value
		if got, err := h.VerifyAccessToken(sign(claims)); !errors.Is(err, ErrToken) {
			t.Errorf("%s %v: %+v, %v", c.name, c.value, got, err)
		}
		claims[c.name] = nil
		if got, err := h.VerifyAccessToken(sign(claims)); !errors.Is(err, ErrToken) {
			t.Errorf("%s null: %+v, %v", c.name, got, err)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "client_id", "jti", "grant_id", "iat", "exp"} {
		claims := good()
		delete(claims, name)
		if got, err := h.VerifyAccessToken(sign(claims)); !errors.Is(err, ErrToken) {
			t.Errorf("without %s: %+v, %v", name, got, err)
		}
		claims[strings.ToUpper(name)] = good()[name]
		if got, err := h.VerifyAccessToken(sign(claims)); !errors.Is(err, ErrToken) {
			t.Errorf("%s in capitals: %+v, %v", name, got, err)
		}
	}

	// A token without a grant is the client's own.
	own := func() map[string]any {
		claims := good()
		claims["sub"] = "wiki"
		delete(claims, "grant_id")
		delete(claims, "auth_time")
		return claims
	}
	if _, err := h.VerifyAccessToken(sign(own())); err != nil {
		t.Fatalf("what is refused begins with what is not: %v", err)
	}
	for _, c := range []change{{"sub", aliceID}, {"sub", "Wiki"}, {"grant_id", ""}, {"auth_time", 1800000000}} {
		claims := own()
		claims[c.name] = c.value
		if got, err := h.VerifyAccessToken(sign(claims)); !errors.Is(err, ErrToken) {
			t.Errorf("without a grant, with %s %v: %+v, %v", c.name, c.value, got, err)
		}
	}

	// Other values of typ cannot be signed here, so this is signed elsewhere.
	private := mustKey(t, token.P256).(*ecdsa.PrivateKey)
	for _, typ := range []string{"", "logout+jwt", "dpop+jwt", "AT+JWT", "application/at+jwt", "jwt"} {
		foreign := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(good()))
		foreign.Header["kid"], foreign.Header["typ"] = key.KID, typ
		signed, err := foreign.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.VerifyAccessToken(signed); !errors.Is(err, ErrToken) {
			t.Errorf("typ %q: %+v, %v", typ, got, err)
		}
	}
}

// A token that is accepted is one that was issued, and says the same.
func FuzzVerifyAccessToken(f *testing.F) {
	h := newHouse(f)
	id := alice()
	issued := map[string]AccessToken{} // by what is signed
	for _, typ := range []string{"JWT", "at+jwt"} {
		for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
			c := edited(func(c *client.Client) { c.AccessTokenTyp, c.AccessTokenAlg, c.AccessTokenClaims = typ, alg, "scoped" })
			for _, tok := range []AccessToken{accessToken(), {JTI: "y", Scope: []string{"jobs"}, IssuedAt: time.Now()}} {
				tok.ExpiresAt = tok.IssuedAt.Add(24 * time.Hour).Truncate(time.Second)
				tok.Identity = &id
				signed, err := h.AccessToken(c, tok)
				if err != nil {
					f.Fatal(err)
				}
				if tok.GrantID == "" {
					tok.Subject = "wiki"
				}
				issued[signed[:strings.LastIndexByte(signed, '.')]] = tok
				f.Add(signed)
				f.Add(strings.Replace(signed, ".", ".e", 1))
			}
		}
	}
	idToken, err := h.IDToken(wiki(), IDToken{Identity: id, Auth: signedIn()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(idToken)
	for _, signed := range h.strangers(f) {
		f.Add(signed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := h.VerifyAccessToken(text)
		if err != nil {
			if !errors.Is(err, ErrToken) || !reflect.DeepEqual(got, AccessToken{}) {
				t.Errorf("%+v, %v", got, err)
			}
			return
		}
		want, known := issued[text[:strings.LastIndexByte(text, '.')]]
		if !known || got.JTI != want.JTI || got.GrantID != want.GrantID || got.Subject != want.Subject || got.ClientID != "wiki" ||
			!got.ExpiresAt.Equal(want.ExpiresAt) || !slices.Equal(got.Scope, want.Scope) {
			t.Errorf("%q is accepted as %+v, issued was %+v", text, got, want)
		}
	})
}

// A token that may not fit into a header is issued, and logged.
func TestLongToken(t *testing.T) {
	h := newHouse(t)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })

	id := alice()
	c := edited(func(c *client.Client) { c.AccessTokenClaims = "scoped" })
	issue := func() string {
		t.Helper()
		log.Reset()
		tok := accessToken()
		tok.Scope, tok.Identity = []string{"groups"}, &id
		signed, err := h.AccessToken(c, tok)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.VerifyAccessToken(signed); err != nil {
			t.Errorf("a token of %d bytes: %v", len(signed), err)
		}
		return signed
	}
	if signed := issue(); log.Len() != 0 {
		t.Errorf("a token of %d bytes is logged: %s", len(signed), &log)
	}
	id.Groups = []string{strings.Repeat("x", 4000)}
	signed := issue()
	if len(signed) <= maxUsual || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "client=wiki") {
		t.Errorf("a token of %d bytes is logged as %q", len(signed), &log)
	}
	if strings.Contains(log.String(), signed[:20]) || strings.Contains(log.String(), "alice") {
		t.Errorf("the log has what is in the token: %s", &log)
	}
}

func BenchmarkAccessToken(b *testing.B) {
	h := newHouse(b)
	id := alice()
	user := accessToken()
	user.Identity = &id
	own := AccessToken{Scope: []string{"jobs.read", "jobs.write"}, Audience: []string{"https://api.example.com/"}}
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		for name, bm := range map[string]struct {
			claims string
			token  AccessToken
		}{"client_credentials": {"minimal", own}, "grant": {"minimal", user}, "grant scoped": {"scoped", user}} {
			c := edited(func(c *client.Client) { c.AccessTokenAlg, c.AccessTokenClaims = alg, bm.claims })
			b.Run(alg+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := h.AccessToken(c, bm.token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	// What is not the signature.
	c := edited(func(c *client.Client) { c.AccessTokenAlg = "" })
	b.Run("claims", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := h.accessTokenClaims(c, own); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerifyAccessToken(b *testing.B) {
	h := newHouse(b)
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		signed, err := h.AccessToken(edited(func(c *client.Client) { c.AccessTokenAlg = alg }), AccessToken{
			Scope: []string{"jobs"}, ExpiresAt: time.Now().Add(time.Hour),
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.VerifyAccessToken(signed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
