package claims

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/token"
)

// ask returns the claims parameter with these claims of the ID token.
func ask(t testing.TB, names ...string) Request {
	t.Helper()
	r, err := ParseRequest(`{"id_token":{"` + strings.Join(names, `":null,"`) + `":null}}`)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// OpenID Connect Core section 2, and which claims about the user are there
// depends on client, scope and claims parameter.
func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	minimal, scoped := wiki(), edited(func(c *client.Client) { c.IDTokenClaims = "scoped" })
	few := edited(func(c *client.Client) { c.Scope = []string{"openid", "profile"} })
	const (
		about   = `"name":"Alice Example","preferred_username":"alice","nickname":"alice","username":"alice@example.com","locale":"de","picture":"https://example.com/alice.png"`
		email   = `"email":"alice@example.com","email_verified":true`
		groups  = `"groups":["admins","wiki","member"]`
		org     = `"org.example/number":42,"roles":["editor","writer"],"staff":true`
		unit    = `"unit":{"b":[1,2],"a":null}`
		allowed = `"permissions":["wiki.read","wiki.write"]`
	)
	for name, tt := range map[string]struct {
		client *client.Client
		token  IDToken
		want   string // behind sid
	}{
		"minimal":              {minimal, IDToken{Scope: []string{"openid", "profile", "email", "groups"}}, ``},
		"scoped, openid alone": {scoped, IDToken{Scope: []string{"openid"}}, ``},
		"scoped":               {scoped, IDToken{Scope: []string{"openid", "profile", "email", "org"}}, "," + about + "," + email + "," + groups + "," + org + `,"team":"Blue",` + unit},
		"scoped, profile of a client whose profile has no groups": {
			edited(func(c *client.Client) { c.IDTokenClaims, c.GroupsInProfile = "scoped", false }),
			IDToken{Scope: []string{"profile"}}, "," + about + `,"team":"Blue"`,
		},
		"scoped, groups alone":                      {scoped, IDToken{Scope: []string{"groups"}}, "," + groups},
		"minimal, asked for":                        {minimal, IDToken{Scope: []string{"openid"}, Request: ask(t, "email", "groups", "team")}, "," + email + "," + groups + `,"team":"Blue"`},
		"minimal, asked for its verification":       {minimal, IDToken{Request: ask(t, "email_verified")}, `,"email_verified":true`},
		"minimal, permissions":                      {minimal, IDToken{Request: ask(t, "permissions")}, "," + allowed},
		"asked for by scope and by name":            {scoped, IDToken{Scope: []string{"email"}, Request: ask(t, "email")}, "," + email},
		"asked for what the client may not":         {few, IDToken{Request: ask(t, "email", "name", "permissions")}, `,"name":"Alice Example"`},
		"groups for a client that may only profile": {few, IDToken{Request: ask(t, "groups")}, "," + groups},
		"asked for what a token says itself":        {scoped, IDToken{Request: ask(t, "iss", "sub", "aud", "exp", "client_id", "user_id", "state", "nothing", "acr")}, ``},
		"asked for at userinfo":                     {minimal, IDToken{Request: Request{UserInfo: []Requested{{Name: "email"}}}}, ``},
		"a nonce":                                   {minimal, IDToken{Nonce: "<\"x\">\u00e9"}, ``},
	} {
		tt.token.Identity, tt.token.Auth = alice(), signedIn()
		before := time.Now().Unix()
		signed, err := h.IDToken(tt.client, tt.token)
		if err != nil {
			t.Fatal(err)
		}
		header, payload := parts(t, signed)
		if !strings.HasPrefix(header, `{"alg":"RS256","kid":"`) || !strings.HasSuffix(header, `","typ":"JWT"}`) {
			t.Errorf("%s: header %s", name, header)
		}
		checkNames(t, payload)

		begin, rest, _ := strings.Cut(payload, `"exp":`)
		if want := `{"iss":"https://id.example.com/o2","sub":"` + aliceID + `","aud":"wiki",`; begin != want {
			t.Errorf("%s: begins %s, want %s", name, begin, want)
		}
		_, rest, _ = strings.Cut(rest, `"auth_time":`)
		nonce := ""
		if tt.token.Nonce != "" {
			nonce = `"nonce":"\u003c\"x\"\u003e` + "\u00e9" + `",`
		}
		if want := `1800000000,` + nonce + `"acr":"1","amr":["pwd"],"sid":"` + session + `"` + tt.want + `}`; rest != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, rest, want)
		}

		peer, err := h.peer(t, "wiki", "RS256").Verify(t.Context(), signed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if peer.Subject != aliceID || peer.Nonce != tt.token.Nonce || peer.IssuedAt.Unix() < before || peer.Expiry.Sub(peer.IssuedAt) != time.Hour {
			t.Errorf("%s: another library reads %+v", name, peer)
		}
	}
	if signed, err := h.IDToken(wiki(), IDToken{Auth: signedIn()}); err == nil {
		t.Errorf("an ID token about nobody: %s", signed)
	}
}

// at_hash is made by the hash function of the signature, and a relying party
// compares it.
func TestAccessTokenHash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	access, err := h.AccessToken(wiki(), accessToken())
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		c := edited(func(c *client.Client) { c.IDTokenAlg = alg })
		signed, err := h.IDToken(c, IDToken{Identity: alice(), Auth: signedIn(), AccessToken: access})
		if err != nil {
			t.Fatal(err)
		}
		peer, err := h.peer(t, "wiki", alg).Verify(t.Context(), signed)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if err := peer.VerifyAccessToken(access); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if err := peer.VerifyAccessToken(access + "x"); err == nil {
			t.Errorf("%s: another access token has the same at_hash %s", alg, peer.AccessTokenHash)
		}
		if _, err := h.peer(t, "forum", alg).Verify(t.Context(), signed); err == nil {
			t.Errorf("%s: another client takes the ID token", alg)
		}
	}

	// OpenID Connect Core appendix A.3.
	if got, want := leftHalf(token.RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ"; got != want {
		t.Errorf("at_hash = %s, want %s", got, want)
	}
}

// There may be a session or not; a second factor or not.
func TestIDTokenAuthentication(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	signed, err := h.IDToken(wiki(), IDToken{Identity: alice(), Auth: Authentication{Time: time.Unix(1800000000, 999)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, payload := parts(t, signed); !strings.HasSuffix(payload, `"auth_time":1800000000}`) {
		t.Errorf("payload %s", payload)
	}
	if hint, err := h.VerifyIDTokenHint(signed); err != nil || hint != (Hint{ClientID: "wiki", Subject: aliceID}) {
		t.Errorf("hint %+v, %v", hint, err)
	}
}

// Whoever logs out may come with an ID token that expired long ago.
func TestVerifyIDTokenHint(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, lifetime := range []time.Duration{time.Hour, -time.Hour, -9000 * time.Hour} {
		c := edited(func(c *client.Client) { c.IDTokenLifetime, c.IDTokenClaims = lifetime, "scoped" })
		signed, err := h.IDToken(c, IDToken{Identity: alice(), Auth: signedIn(), Nonce: "x", Scope: client.StandardScopes, AccessToken: "x"})
		if err != nil {
			t.Fatal(err)
		}
		want := Hint{ClientID: "wiki", Subject: aliceID, SessionID: session}
		if got, err := h.VerifyIDTokenHint(signed); err != nil || got != want {
			t.Errorf("%v: %+v, %v", lifetime, got, err)
		}
		if got, err := h.VerifyIDTokenHint(signed[:len(signed)-4] + "AAAA"); !errors.Is(err, ErrToken) {
			t.Errorf("another signature: %+v, %v", got, err)
		}
	}
}

// Claims that no ID token of ours has, signed by our own key all the same.
func TestVerifyIDTokenHintRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, err := h.Keys.Domain("example.com")
	if err != nil {
		t.Fatal(err)
	}
	good := func() map[string]any {
		return map[string]any{
			"iss": issuerURL, "sub": aliceID, "aud": "wiki", "iat": 1800000000, "exp": 1800003600, "auth_time": 1800000000, "sid": session,
		}
	}
	try := func(typ token.Typ, claims map[string]any) (Hint, error) {
		var o Object
		for name, value := range claims {
			o.addJSON(name, mustJSON(t, value))
		}
		payload := text(t, o)
		signed, err := d.ActiveAlg(token.ES256).SignAs(token.ES256, typ, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return h.VerifyIDTokenHint(signed)
	}
	if _, err := try(token.TypJWT, good()); err != nil {
		t.Fatalf("what is refused begins with what is not: %v", err)
	}
	if got, err := try(token.TypAccessToken, good()); !errors.Is(err, ErrToken) {
		t.Errorf("typ at+jwt: %+v, %v", got, err)
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "exp", "auth_time"} {
		claims := good()
		delete(claims, name)
		if got, err := try(token.TypJWT, claims); !errors.Is(err, ErrToken) {
			t.Errorf("without %s: %+v, %v", name, got, err)
		}
		claims[strings.ToUpper(name)] = good()[name]
		if got, err := try(token.TypJWT, claims); !errors.Is(err, ErrToken) {
			t.Errorf("%s in capitals: %+v, %v", name, got, err)
		}
		for _, value := range []any{nil, "", []string{}, []string{"wiki", "forum"}, map[string]int{}, 1.5} {
			claims[name] = value
			if got, err := try(token.TypJWT, claims); !errors.Is(err, ErrToken) {
				t.Errorf("%s %v: %+v, %v", name, value, got, err)
			}
		}
	}
	for _, name := range []string{"client_id", "scope", "grant_id", "jti", "events"} {
		claims := good()
		claims[name] = "x"
		if got, err := try(token.TypJWT, claims); !errors.Is(err, ErrToken) {
			t.Errorf("with %s: %+v, %v", name, got, err)
		}
	}
}

func BenchmarkIDToken(b *testing.B) {
	h := newHouse(b)
	c := edited(func(c *client.Client) { c.IDTokenAlg, c.IDTokenClaims = "ES256", "scoped" })
	t := IDToken{Identity: alice(), Auth: signedIn(), Nonce: "n-0S6_WzA2Mj", Scope: []string{"openid", "profile", "email"}, AccessToken: "x"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.IDToken(c, t); err != nil {
			b.Fatal(err)
		}
	}
}

// What is asked of a user does not change what is known of the next one.
func TestIdentityIsNotChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := alice()
	id.Groups = append(make([]string, 0, 8), "a", "b", "c")
	h.UserInfo(wiki(), client.StandardScopes, Request{}, id)
	if all := id.Groups[:cap(id.Groups)]; !reflect.DeepEqual(all, append([]string{"a", "b", "c"}, make([]string, 5)...)) {
		t.Errorf("groups %q", all)
	}
	id.Groups, id.Permissions = []string{"b", "a"}, []string{"d", "c"}
	h.UserInfo(wiki(), client.StandardScopes, Request{}, id)
	if !reflect.DeepEqual(id.Groups, []string{"b", "a"}) || !reflect.DeepEqual(id.Permissions, []string{"d", "c"}) {
		t.Errorf("groups %q, permissions %q", id.Groups, id.Permissions)
	}
}
