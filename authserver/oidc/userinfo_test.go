package oidc

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/claims"
)

func unmarshal(t testing.TB, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

func texts(v any) (texts []string) {
	list, _ := v.([]any)
	for _, item := range list {
		text, _ := item.(string)
		texts = append(texts, text)
	}
	return texts
}

func TestUserInfo(t *testing.T) {
	h := newHouse(t)
	alice := h.signIn("alice")
	accessToken, _, _ := alice.grant("web", nil, "openid", "profile", "email")
	userID := h.ask(`select u.id::text from auth.users u where u.identifier = 'alice'`)
	want := map[string]any{
		"sub": userID, "name": "Alice Example", "preferred_username": "alice", "nickname": "alice", "username": "alice@example.com",
		"email": "alice@example.com", "email_verified": true, "groups": []any{"dev", "ops", "Member"}, "user_id": "alice@example.com",
	}
	for name, a := range map[string]answer{
		"GET":              h.send("/userinfo", nil, bearing(accessToken)),
		"POST by header":   h.send("/userinfo", url.Values{}, bearing(accessToken)),
		"POST in the body": h.send("/userinfo", url.Values{"access_token": {accessToken}}, nil),
	} {
		if got := a.json(t); a.status != http.StatusOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d %v, want %v", name, a.status, got, want)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: may be stored: %v", name, a.header)
		}
	}

	// What it says is true now, not when the token was made.
	h.arrange(`update auth.users set full_name = 'Alice Other' where identifier = 'alice'`)
	if got := h.send("/userinfo", nil, bearing(accessToken)).json(t)["name"]; got != "Alice Other" {
		t.Errorf("the name is %v", got)
	}
}

// What the claims parameter asked for when the user consented is told, too.
func TestUserInfoByClaimsParameter(t *testing.T) {
	h := newHouse(t)
	accessToken, _, grantID := h.signIn("alice").grant("web", nil, "openid")
	if got := h.send("/userinfo", nil, bearing(accessToken)).json(t); got["email"] != nil {
		t.Fatalf("%v without having asked", got)
	}
	h.arrange(`update auth.oauth2_grants set claims = '{"userinfo": {"email": {"essential": true}}}' where id = $1::uuid`, grantID)
	if got := h.send("/userinfo", nil, bearing(accessToken)).json(t); got["email"] != "alice@example.com" || got["name"] != nil {
		t.Errorf("%v", got)
	}
}

func TestUserInfoRefuses(t *testing.T) {
	h := newHouse(t)
	alice := h.signIn("alice")
	good, idToken, _ := alice.grant("web", nil, "openid")
	noOpenID, _, _ := alice.grant("web", nil, "email")
	expired, _, _ := alice.grant("web", func(a *claims.AccessToken) {
		a.IssuedAt, a.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	}, "openid")
	elsewhere, _, _ := alice.grant("web", func(a *claims.AccessToken) { a.Audience = []string{"https://api.example.com"} }, "openid")
	machine, err := h.server.Issuer.AccessToken(h.server.Clients.Client("web"), claims.AccessToken{
		Subject: "web", ClientID: "web", JTI: "machine", Audience: []string{"web"}, Scope: []string{"openid"}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	forged := good[:len(good)-4] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, good[len(good)-4:])

	for name, tt := range map[string]struct {
		answer answer
		status int
		code   string
	}{
		"no token":                 {h.send("/userinfo", nil, nil), 401, ""},
		"Basic":                    {h.send("/userinfo", nil, func(r *http.Request) { r.SetBasicAuth("web", "x") }), 401, ""},
		"in the query":             {h.send("/userinfo?access_token="+good, nil, nil), 401, ""},
		"no JWT":                   {h.send("/userinfo", nil, bearing("x")), 401, "invalid_token"},
		"another signature":        {h.send("/userinfo", nil, bearing(forged)), 401, "invalid_token"},
		"an ID token":              {h.send("/userinfo", nil, bearing(idToken)), 401, "invalid_token"},
		"expired":                  {h.send("/userinfo", nil, bearing(expired)), 401, "invalid_token"},
		"for another resource":     {h.send("/userinfo", nil, bearing(elsewhere)), 401, "invalid_token"},
		"of a client itself":       {h.send("/userinfo", nil, bearing(machine)), 401, "invalid_token"},
		"without scope openid":     {h.send("/userinfo", nil, bearing(noOpenID)), 403, "insufficient_scope"},
		"in header and body":       {h.send("/userinfo", url.Values{"access_token": {good}}, bearing(good)), 400, "invalid_request"},
		"twice in the body":        {h.send("/userinfo", url.Values{"access_token": {good, good}}, nil), 400, "invalid_request"},
		"two headers":              {h.send("/userinfo", nil, func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good} }), 400, "invalid_request"},
		"a body that is too large": {h.send("/userinfo", url.Values{"x": {strings.Repeat("x", 200<<10)}}, nil), 413, "invalid_request"},
		"without TLS":              {h.send("/userinfo", nil, func(r *http.Request) { r.URL.Scheme = "http"; bearing(good)(r) }), 400, "invalid_request"},
	} {
		a := tt.answer
		code, _ := a.json(t)["error"].(string)
		challenge := a.header.Get("WWW-Authenticate")
		if a.status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if (a.status == 401 || a.status == 403) != strings.HasPrefix(challenge, "Bearer ") || tt.code == "" && strings.Contains(challenge, "error") {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		if strings.Contains(a.body+challenge, "eyJ") {
			t.Errorf("%s: the answer has a part of the token: %q %s", name, challenge, a.body)
		}
	}
}

// Whatever ends access ends it now, while the token itself is still good.
func TestUserInfoLooksAgain(t *testing.T) {
	for name, end := range map[string]string{
		"the grant is revoked":       `update auth.oauth2_grants set revoked_at = now(), revoked_reason = 'test'`,
		"the token is revoked":       `insert into auth.oauth2_revoked_tokens (jti, expires_at) select 'jti-' || g.id, now() + interval '1 hour' from auth.oauth2_grants g`,
		"the grant has ended":        `update auth.oauth2_grants set expires_at = now()`,
		"the user is deactivated":    `update auth.users set active = false`,
		"the user is gone":           `delete from auth.login_names where name = 'alice'`,
		"the client is disabled":     `update auth.oauth2_clients set enabled = false`,
		"the user leaves the group":  `delete from auth.group_members`,
		"a permission is required":   `insert into auth.permissions (permission_name, name) values ('sso', ''); update auth.oauth2_policy set permission_id = (select p.id from auth.permissions p where p.permission_name = 'sso')`,
		"the client is gone":         `delete from auth.oauth2_clients`,
		"the client requires a perm": `insert into auth.permissions (permission_name, name) values ('wiki', ''); insert into auth.oauth2_client_permissions select c.id, p.id from auth.oauth2_clients c, auth.permissions p where p.permission_name = 'wiki'`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			accessToken, _, _ := h.signIn("alice").grant("locked", nil, "openid")
			if a := h.send("/userinfo", nil, bearing(accessToken)); a.status != http.StatusOK {
				t.Fatalf("before: %d %s", a.status, a.body)
			}
			for statement := range strings.SplitSeq(end, "; ") {
				h.arrange(statement)
			}
			// The server's own memory of clients is not what it relies on.
			if a := h.send("/userinfo", nil, bearing(accessToken)); a.status != http.StatusUnauthorized || a.json(t)["error"] != "invalid_token" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// Who was refused what they had before is for the operator to see.
func TestUserInfoAuditsDenials(t *testing.T) {
	h := newHouse(t)
	accessToken, _, _ := h.signIn("alice").grant("locked", nil, "openid")
	h.arrange(`delete from auth.group_members`)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	h.send("/userinfo", nil, bearing(accessToken))
	if want := "msg=oauth2.denied from=192.0.2.1 stage=userinfo reason=client client_id=locked"; !strings.Contains(log.String(), want) {
		t.Errorf("no %s in\n%s", want, log.String())
	}
}

func TestFakeUserInfo(t *testing.T) {
	h := newHouse(t)
	accessToken, _, _ := h.signIn("alice").grant("web", nil, "email")
	a := h.send("/fake-userinfo", nil, bearing(accessToken))
	got := a.json(t)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/jwt" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for name, want := range map[string]any{
		"email": "alice@example.com", "user_id": "alice@example.com", "email_verified": true, "iss": "example.com",
		"groups": []any{"dev", "ops", "Member"}, "scopes": []any{"imap"},
	} {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	elsewhere, _, _ := h.signIn("alice").grant("web", func(a *claims.AccessToken) { a.Audience = []string{"https://api.example.com"} }, "openid")
	if a := h.send("/fake-userinfo", nil, bearing(elsewhere)); a.status != http.StatusUnauthorized || a.json(t)["error"] != "invalid_token" {
		t.Errorf("a token for another resource: %d %s", a.status, a.body)
	}
	h.arrange(`update auth.users set delivery_mailbox_id = null`)
	if a := h.send("/fake-userinfo", nil, bearing(accessToken)); a.status != http.StatusBadRequest {
		t.Errorf("a user without a mailbox: %d %s", a.status, a.body)
	}
	if a := h.send("/fake-userinfo", nil, nil); a.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", a.status, a.body)
	}
}

// Scripts read an answer only from an origin of the client whose token they
// have, and never with cookies.
func TestUserInfoCORS(t *testing.T) {
	h := newHouse(t)
	h.arrange(`update auth.oauth2_clients set allowed_origins = '{https://other.example.com}' where client_id = 'locked'`)
	h.reload()
	accessToken, _, _ := h.signIn("alice").grant("web", nil, "openid")
	for origin, allowed := range map[string]struct{ preflight, get bool }{
		"https://app.example.com":   {true, true},
		"https://other.example.com": {true, false}, // another client's
		"https://evil.example":      {false, false},
		"null":                      {false, false},
	} {
		from := func(r *http.Request) { r.Header.Set("Origin", origin) }
		pre := h.send("/userinfo", nil, func(r *http.Request) { r.Method = "OPTIONS"; from(r) })
		get := h.send("/userinfo", nil, func(r *http.Request) { from(r); bearing(accessToken)(r) })
		for name, got := range map[string]struct {
			answer
			want bool
		}{"preflight": {pre, allowed.preflight}, "GET": {get, allowed.get}} {
			want := ""
			if got.want {
				want = origin
			}
			if header := got.header.Get("Access-Control-Allow-Origin"); header != want || got.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s, %s: %q", origin, name, header)
			}
		}
	}
}
