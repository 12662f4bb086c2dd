package oauth2

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// introspect is what a client hears about a token.
func (h *house) introspect(t testing.TB, clientID, token string) introspection {
	t.Helper()
	res := h.do(asClient(clientID, "/o2/introspect", url.Values{"token": {token}}))
	text := body(res)
	var got introspection
	if err := json.Unmarshal([]byte(text), &got); err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %s: %v", res.Status, text, err)
	}
	if !got.Active && text != `{"active":false}` {
		t.Errorf("of a token that is not active, more is said: %s", text)
	}
	return got
}

// revoke is a request that takes a token back.
func revoke(clientID, token string) *http.Request {
	return asClient(clientID, "/o2/revoke_token", url.Values{"token": {token}, "token_type_hint": {"nonsense"}})
}

func (h *house) revoked(t testing.TB, r *http.Request) {
	t.Helper()
	if res := h.do(r); res.StatusCode != http.StatusOK || body(res) != "" {
		t.Errorf("%s", res.Status)
	}
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "wiki", `trusted = true`)
	got := h.tokensOf(t)
	access := h.introspect(t, "trusted", got.AccessToken)
	claims := payload(t, got.AccessToken)
	if !access.Active || access.Username != "alice@example.com" || access.Email != "alice@example.com" || access.Subject != claims["sub"] || access.ClientID != "trusted" ||
		access.Scope != "openid email" || access.TokenType != "Bearer" || access.Issuer != issuer || access.JTI != claims["jti"] || float64(access.ExpiresAt) != claims["exp"] ||
		float64(access.IssuedAt) != claims["iat"] || list(access.Audience) != "trusted" || access.ACR != "1" || list(access.AMR) != "pwd" || access.AuthTime == 0 {
		t.Errorf("access token: %+v", access)
	}
	refreshed := h.introspect(t, "trusted", got.RefreshToken)
	if !refreshed.Active || refreshed.TokenType != "refresh_token" || refreshed.Username != "alice@example.com" || refreshed.ClientID != "trusted" || refreshed.Scope != "openid email" || refreshed.ExpiresAt <= time.Now().Unix() {
		t.Errorf("refresh token: %+v", refreshed)
	}
	// Whoever has no mailbox is known by the identifier; and nobody's address is
	// told whose scope has none.
	b := h.signIn(t, "carol", time.Minute)
	tokensOf := h.issued(t, exchange("trusted", b.code(t, trustedRequest()), trustedURI))
	if got := h.introspect(t, "trusted", tokensOf.AccessToken); got.Username != "carol" || got.Email != "" {
		t.Errorf("%+v", got)
	}
	if got := h.introspect(t, "trusted", h.tokensOf(t, "scope", "openid").AccessToken); got.Email != "" {
		t.Errorf("%+v", got)
	}

	// Who may know.
	for clientID, may := range map[string]bool{"mail": true, "wiki": false, "robot": false} {
		if h.introspect(t, clientID, got.AccessToken).Active != may {
			t.Errorf("%s may know: %t", clientID, !may)
		}
		if h.introspect(t, clientID, got.RefreshToken).Active {
			t.Errorf("%s may take a refresh token for an access token", clientID)
		}
	}
	own := h.issued(t, asClient("robot", "/o2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"backup:read"}}))
	if got := h.introspect(t, "robot", own.AccessToken); !got.Active || got.Subject != "robot" || got.Username != "" || got.Scope != "backup:read" || got.AuthTime != 0 {
		t.Errorf("client credentials: %+v", got)
	}

	// What is no token, or not for this.
	parts := strings.Split(got.AccessToken, ".")
	for name, token := range map[string]string{
		"nonsense": "x", "an ID token": got.IDToken, "a code": codes.New().Text(), "no signature": parts[0] + "." + parts[1] + ".", "another signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
		"another family": newRefreshToken().text(), "a line separator": "\u2028",
	} {
		if h.introspect(t, "mail", token).Active {
			t.Errorf("%s is active", name)
		}
	}
	h.refused(t, post("/o2/introspect", url.Values{"client_id": {"app"}, "token": {got.AccessToken}}), 401, "invalid_client")

	// The refresh token before is good for a while, to be used, and not active.
	h.issued(t, refresh("trusted", got.RefreshToken))
	if h.introspect(t, "trusted", got.RefreshToken).Active {
		t.Error("a refresh token that was used is active")
	}
}

// A resource server asks about tokens that are for it.
func TestIntrospectAudience(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := "https://files.example.org/"
	h.addClient(t, id, `{"grant_types": ["client_credentials"]}`)
	h.edit(t, "wiki", `trusted = true`)
	b := h.signIn(t, "alice", time.Minute)
	got := h.issued(t, exchange("wiki", b.code(t, wikiRequest("resource", id)), wikiURI))
	if found := h.introspect(t, id, got.AccessToken); !found.Active || list(found.Audience) != id {
		t.Errorf("%+v", found)
	}
	if h.introspect(t, id, got.RefreshToken).Active {
		t.Error("it may know about the refresh token")
	}
	got = h.issued(t, exchange("wiki", b.code(t, wikiRequest("resource", apiURI)), wikiURI))
	if h.introspect(t, id, got.AccessToken).Active {
		t.Error("it may know about tokens for others")
	}
}

// Whatever happens to user, client, policy and grant, is known at once.
func TestIntrospectAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, tt := range map[string]struct{ change, back string }{
		"user":       {`update auth.users set active = false where identifier = 'alice'`, `update auth.users set active = true`},
		"client":     {`update auth.oauth2_clients set enabled = false where client_id = 'trusted'`, `update auth.oauth2_clients set enabled = true`},
		"policy":     {`update auth.oauth2_clients set allowed_states = '{x}' where client_id = 'trusted'`, `update auth.oauth2_clients set allowed_states = '{}'`},
		"permission": {`update auth.oauth2_policy set permission_id = (select p.id from auth.permissions p where p.permission_name = 'all')`, `update auth.oauth2_policy set permission_id = null`},
		"grant":      {`update auth.oauth2_grants set revoked_at = now(), revoked_reason = 'test'`, `update auth.oauth2_grants set revoked_at = null, revoked_reason = null`},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.tokensOf(t)
			h.arrange(t, tt.change)
			tokens := map[string]string{"mail": got.AccessToken, "trusted": got.RefreshToken} // by who asks
			if name == "client" {
				delete(tokens, "trusted") // it cannot ask
			}
			for clientID, token := range tokens {
				if h.introspect(t, clientID, token).Active {
					t.Errorf("active, for %s", clientID)
				}
			}
			h.arrange(t, tt.back)
			for clientID, token := range tokens {
				if !h.introspect(t, clientID, token).Active {
					t.Errorf("not active again, for %s", clientID)
				}
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.tokensOf(t)
	next := h.issued(t, refresh("trusted", got.RefreshToken))

	// An access token goes alone.
	h.take()
	h.revoked(t, revoke("trusted", got.AccessToken))
	if calls := h.take(); calls != "api.revoke_access_token" {
		t.Errorf("calls %s", calls)
	}
	if h.introspect(t, "trusted", got.AccessToken).Active || !h.introspect(t, "trusted", next.AccessToken).Active {
		t.Error("not the one, or the other as well")
	}
	// Those of another client do not.
	for _, token := range []string{next.AccessToken, next.RefreshToken} {
		h.refused(t, revoke("other", token), 400, "invalid_grant")
		if !h.introspect(t, "trusted", token).Active {
			t.Error("another client has revoked it")
		}
	}
	// A refresh token takes all with it.
	h.take()
	h.revoked(t, revoke("trusted", next.RefreshToken))
	if calls := h.take(); calls != "api.revoke_refresh_token" {
		t.Errorf("calls %s", calls)
	}
	if h.introspect(t, "trusted", next.AccessToken).Active {
		t.Error("the access token is active")
	}
	h.refused(t, refresh("trusted", next.RefreshToken), 400, "invalid_grant")
	// Again, and what is none, is as good.
	for _, token := range []string{next.RefreshToken, next.AccessToken, got.AccessToken, "x", got.IDToken, codes.New().Text(), newRefreshToken().text()} {
		h.revoked(t, revoke("trusted", token))
	}
	// One that was used may be the last that its owner has got.
	got = h.tokensOf(t)
	h.issued(t, refresh("trusted", got.RefreshToken))
	h.revoked(t, revoke("trusted", got.RefreshToken))
	if h.introspect(t, "trusted", got.AccessToken).Active {
		t.Error("the access token is active")
	}
}

// An assertion counts once here, too, whatever the token.
func TestRevokeAssertion(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	own := func() string {
		p := assertion(t, issuer)
		p.Set("grant_type", "client_credentials")
		return h.issued(t, post("/o2/token", p)).AccessToken
	}
	for _, path := range []string{"/o2/revoke_token", "/o2/introspect"} {
		for name, token := range map[string]string{"own": own(), "none": "x", "another's": h.tokensOf(t).AccessToken, "refresh": newRefreshToken().text()} {
			p := with(assertion(t, "https://auth.example.com"+path+"/"), "token", token)
			want := http.StatusOK
			if name == "another's" && path == "/o2/revoke_token" {
				want = http.StatusBadRequest
			}
			if res := h.do(post(path, p)); res.StatusCode != want {
				t.Errorf("%s %s: %s: %s", path, name, res.Status, body(res))
			}
			h.refused(t, post(path, p), 401, "invalid_client")
		}
	}
}
