package oidc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/session"
	"authbridge/authserver/token"
	"authbridge/internal/opaque"
	"authbridge/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const issuerURL = "https://auth.example.com/o2"

// house is a provider with these inhabitants:
//
//	alice  alice@example.com, in the groups dev and ops; may imap; signed in
//	bob    bob@example.com; signed in
//
// and these clients, all of them of example.com:
//
//	web     confidential, with an origin for scripts and a page to sign out to
//	locked  for group dev only
type house struct {
	t      testing.TB
	db     pgtest.DB
	server *Server
	mux    *http.ServeMux
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, db: pgtest.New(t, "authserver_web")}
	h.arrange(`insert into auth.domains (name, jwt_subdomains) values ('example.com', true)`)
	for _, a := range []token.Algorithm{token.RSA, token.P256} {
		h.createKey(a)
	}
	h.arrange(`insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user')`)
	h.arrange(`insert into auth.users (identifier, full_name) values ('alice', 'Alice Example'), ('bob', 'Bob')`)
	h.arrange(`insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d`)
	h.arrange(`update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id`)
	h.arrange(`insert into auth.groups (name) values ('dev'), ('ops')`)
	h.arrange(`insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where u.identifier = 'alice'`)
	h.arrange(`insert into auth.permissions (permission_name, name) values ('imap', 'Mail')`)
	h.arrange(`insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.users u, auth.permissions p where u.identifier = 'alice'`)
	h.arrange(`insert into auth.user_attributes (user_id, name, value) select u.id, 'state', 'Member' from auth.users u where u.identifier = 'alice'`)
	h.arrange(`insert into auth.oauth2_clients (client_id, name, domain_id, type, token_endpoint_auth_method, grant_types, redirect_uris, post_logout_redirect_uris, allowed_origins)
		select c.id, c.id, d.id, 'confidential', 'client_secret_basic', '{authorization_code,refresh_token}', '{https://rp.example.com/callback}',
		       c.after, '{https://app.example.com}'
		  from auth.domains d, (values ('web', '{https://rp.example.com/bye,https://rp.example.com/bye?from=us}'::text[]), ('locked', '{}')) c (id, after)`)
	h.arrange(`insert into auth.oauth2_client_groups (client_id, group_id) select c.id, g.id from auth.oauth2_clients c, auth.groups g where c.client_id = 'locked' and g.name = 'dev'`)

	keys, err := token.OpenKeys(t.Context(), h.db.Pool, func(_ string, sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil })
	if err != nil {
		t.Fatal(err)
	}
	verifier := &account.Verifier{DB: h.db.Pool, Profile: account.Standard}
	h.server = &Server{
		DB: h.db.Pool,
		Sessions: &session.Sessions{
			DB: h.db.Pool, Verifier: verifier, Idle: time.Hour, Lifetime: 24 * time.Hour, ContinueURL: "/o2/continue",
		},
		Issuer: &claims.Issuer{URL: issuerURL, Keys: keys},
		Base:   issuerURL,
	}
	h.reload()

	h.mux = http.NewServeMux()
	h.mux.Handle("GET /discovery", h.server.Handle(h.server.Discovery))
	h.mux.Handle("GET /jwks", h.server.Handle(h.server.JWKS))
	h.mux.Handle("/userinfo", h.server.Handle(h.server.UserInfo))
	h.mux.Handle("OPTIONS /userinfo", h.server.Handle(h.server.Preflight))
	h.mux.Handle("GET /fake-userinfo", h.server.Handle(h.server.FakeUserInfo))
	h.mux.Handle("/logout", h.server.Sessions.Handle(h.server.EndSession))
	h.mux.Handle("POST /logout/confirm", h.server.Sessions.Handle(h.server.ConfirmLogout))
	return h
}

// reload lets the server see the clients that there are now.
func (h *house) reload() {
	h.t.Helper()
	clients, err := client.Open(h.t.Context(), h.db.Pool)
	if err != nil {
		h.t.Fatal(err)
	}
	h.server.Clients, h.server.Issuer.Clients = clients, clients
}

func (h *house) arrange(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Owner.Exec(context.Background(), sql, args...); err != nil {
		h.t.Fatalf("%s\n%v", sql, err)
	}
}

// ask returns one value of the database.
func (h *house) ask(sql string, args ...any) (text string) {
	h.t.Helper()
	if err := h.db.Owner.QueryRow(context.Background(), sql, args...).Scan(&text); err != nil {
		h.t.Fatalf("%s\n%v", sql, err)
	}
	return text
}

// createKey makes an active key of example.com, which is not sealed.
func (h *house) createKey(a token.Algorithm) {
	h.t.Helper()
	signer, err := token.Generate(a)
	if err != nil {
		h.t.Fatal(err)
	}
	kid, err := token.KID(signer.Public())
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := token.MarshalPublic(signer.Public())
	if err != nil {
		h.t.Fatal(err)
	}
	private, err := token.MarshalPrivate(signer)
	if err != nil {
		h.t.Fatal(err)
	}
	h.arrange(`insert into auth.keys (domain_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by, activated_at)
		select d.id, 'jwt', $1, 'active', $2, $3, $4, 'nothing', now() from auth.domains d`, string(a), kid, public, private)
}

// visitor is a user who has signed in with a browser.
type visitor struct {
	h       *house
	name    string
	session string // its id
	cookie  string
}

func (h *house) signIn(name string) *visitor {
	h.t.Helper()
	secret := opaque.Kind{Prefix: "ss_", Name: "session"}.New()
	hash := secret.SHA256()
	id := h.ask(`insert into auth.sessions (secret_hash, user_id, auth_time, amr, acr, idle_timeout, expires_at)
		select $1, u.id, now(), '{pwd}', '1', interval '1 hour', now() + interval '1 day' from auth.users u where u.identifier = $2 returning id::text`, hash[:], name)
	return &visitor{h, name, id, secret.Text()}
}

// grant returns an access token and an ID token, as the token endpoint makes
// them.
func (v *visitor) grant(clientID string, change func(*claims.AccessToken), scope ...string) (accessToken, idToken, grantID string) {
	h := v.h
	h.t.Helper()
	grantID = h.ask(`insert into auth.oauth2_grants (client_id, user_id, session_id, grant_type, scope, auth_time, amr, acr, code_hash, code_expires_at, expires_at)
		select c.id, u.id, $1::uuid, 'authorization_code', $2, now(), '{pwd}', '1', sha256(gen_random_uuid()::text::bytea), now(), now() + interval '1 day'
		  from auth.users u, auth.oauth2_clients c where u.identifier = $3 and c.client_id = $4 returning id::text`, v.session, scope, v.name, clientID)
	userID := h.ask(`select u.id::text from auth.users u where u.identifier = $1`, v.name)
	c := h.server.Clients.Client(clientID)
	auth := &claims.Authentication{Time: time.Now(), AMR: []string{"pwd"}, ACR: "1", SessionID: v.session}
	t := claims.AccessToken{
		GrantID: grantID, Subject: userID, ClientID: clientID, JTI: "jti-" + grantID, Audience: []string{clientID}, Scope: scope,
		IssuedAt: time.Now(), ExpiresAt: time.Now().Add(5 * time.Minute), Auth: auth,
	}
	if change != nil {
		change(&t)
	}
	accessToken, err := h.server.Issuer.AccessToken(c, t)
	if err != nil {
		h.t.Fatal(err)
	}
	idToken, err = h.server.Issuer.IDToken(c, claims.IDToken{
		Identity: claims.Identity{UserID: userID, Subject: userID, Identifier: v.name}, Auth: *auth, Scope: scope, AccessToken: accessToken,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return accessToken, idToken, grantID
}

// answer is what somebody got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// send sends a request over TLS, as far as the server can tell. A form makes it
// a POST.
func (h *house) send(target string, form url.Values, change func(*http.Request)) answer {
	h.t.Helper()
	var r *http.Request
	if form == nil {
		r = httptest.NewRequest("GET", "https://auth.example.com"+target, nil)
	} else {
		r = httptest.NewRequest("POST", "https://auth.example.com"+target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.URL.Scheme = "https"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{w.Code, w.Result().Header, string(body)}
}

// bearing lets a request bear an access token.
func bearing(accessToken string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+accessToken) }
}

// with lets a request come from this browser; nil: from one that has not signed
// in.
func (v *visitor) with(r *http.Request) {
	if v != nil {
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: v.cookie})
	}
}

// signedIn reports whether the session is still there.
func (v *visitor) signedIn() bool {
	v.h.t.Helper()
	hash := sha256.Sum256([]byte(v.cookie))
	return v.h.ask(`select count(*)::text from auth.sessions s where s.secret_hash = $1`, hash[:]) == "1"
}
