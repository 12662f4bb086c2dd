package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/account"
	"authbridge/authserver/token"
	"authbridge/internal/pgtest"

	distribution "github.com/docker/distribution/context"
	"github.com/docker/distribution/registry/auth"
	registrytoken "github.com/docker/distribution/registry/auth/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// secret is the password of everybody who has one.
const secret = "correct horse: bättery 100%"

var passwordHash = sync.OnceValues(func() (string, error) {
	return account.Hash(context.Background(), secret, account.Standard)
})

// issuer is that of registries without one of their own.
const issuer = "auth.example.com"

// Registries of a house.
const (
	ours     = "registry.example.com:5000" // key of its own, by x5c+kid
	theirs   = "Other Registry"            // the same, by kid-libtrust, and an issuer of its own
	imported = "imported.example.com"      // key of example.com, by kid
	keyless  = "keyless.example.com"
)

// house is a server with registries and a few inhabitants:
//
//	alice      alice@example.com, in the group dev
//	bob        bob@example.com, not active
//	carol      carol@example.com and, as staff, carol; administrator of ours
//	svc-alice  a service user of alice
type house struct {
	db  pgtest.DB
	api *API
	mux *http.ServeMux

	mu      sync.Mutex
	granted map[string]int // by grant
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{db: pgtest.New(t, "authserver_web"), granted: map[string]int{}}
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	h.arrange(t, `insert into auth.domains (name) values ('example.com')`)
	h.arrange(t, `insert into auth.login_names (name, kind) values
		('alice', 'user'), ('bob', 'user'), ('carol', 'user'), ('svc-alice', 'service_user')`)
	h.arrange(t, `insert into auth.users (identifier, full_name, password_hash, active, staff) values
		('alice', 'Alice', $1, true, false), ('bob', 'Bob', $1, false, false), ('carol', 'Carol', $1, true, true)`, hash)
	h.arrange(t, `insert into auth.aliases (local_part, domain_id, user_id)
		select u.identifier, d.id, u.id from auth.users u, auth.domains d`)
	h.arrange(t, `insert into auth.service_users (user_id, username, password_hash) select u.id, 'svc-alice', $1 from auth.users u where u.identifier = 'alice'`, hash)
	h.arrange(t, `insert into auth.groups (name) values ('dev'), ('ops')`)
	h.arrange(t, `insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where g.name = 'dev' and u.identifier = 'alice'`)
	h.arrange(t, `insert into auth.docker_registries (client_id, name, domain_id, issuer, signing_key, key_hint, pull_lifetime, push_lifetime)
		select r.client_id, r.client_id, d.id, r.issuer, r.signing_key, r.key_hint, interval '5 min', interval '30 min'
		  from auth.domains d, (values
		    ($1, null,          'registry', 'x5c+kid'),
		    ($2, 'issuer.test', 'registry', 'kid-libtrust'),
		    ($3, null,          'domain',   'kid'),
		    ($4, null,          'registry', 'x5c+kid')) r (client_id, issuer, signing_key, key_hint)`, ours, theirs, imported, keyless)
	h.createKey(t, `(select d.id from auth.domains d)`, `null`)
	h.createKey(t, `null`, `(select r.id from auth.docker_registries r where r.client_id = '`+ours+`')`)
	h.createKey(t, `null`, `(select r.id from auth.docker_registries r where r.client_id = '`+theirs+`')`)
	for _, clientID := range []string{ours, theirs, imported} {
		h.allow(t, clientID, "anyone", "public/**", "pull")
		h.allow(t, clientID, "user:carol", "**", "pull", "push", "delete", "catalog")
		h.allow(t, clientID, "group:dev", "team/**", "pull", "push")
		h.allow(t, clientID, "users", "home/${user}/**", "pull", "push", "delete")
	}

	keys, err := token.OpenKeys(t.Context(), h.db.Pool, func(_ string, sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil })
	if err != nil {
		t.Fatal(err)
	}
	registries, err := OpenRegistries(t.Context(), h.db.Pool)
	if err != nil {
		t.Fatal(err)
	}
	h.api = &API{
		DB: h.db.Pool, Keys: keys, Registries: registries, Issuer: issuer,
		Verifier: &account.Verifier{DB: h.db.Pool, Profile: account.Standard},
		Observe: func(grant string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.granted[grant]++
		},
	}
	t.Cleanup(h.api.Verifier.Wait)
	h.mux = http.NewServeMux()
	h.mux.Handle("GET /docker/token", h.api.Handle(h.api.Token))
	h.mux.Handle("POST /docker/token", h.api.Handle(h.api.Token))
	return h
}

func (h *house) arrange(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.db.Owner.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

// createKey makes an active key, which is not sealed, for the owner in one of
// two columns.
func (h *house) createKey(t testing.TB, domain, registry string) {
	t.Helper()
	signer, err := token.Generate(token.P256)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := token.KID(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	public, err := token.MarshalPublic(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := token.MarshalPrivate(signer)
	if err != nil {
		t.Fatal(err)
	}
	h.arrange(t, `insert into auth.keys (domain_id, registry_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by, activated_at)
		values (`+domain+`, `+registry+`, 'jwt', 'ecdsa-p256', 'active', $1, $2, $3, 'test', now())`, kid, public, private)
}

// allow makes or extends a rule. who is KIND or KIND:NAME.
func (h *house) allow(t testing.TB, registry, who, pattern string, actions ...string) {
	t.Helper()
	h.changeRule(t, "allow", registry, who, pattern, actions)
}

// deny is the reverse.
func (h *house) deny(t testing.TB, registry, who, pattern string, actions ...string) {
	t.Helper()
	h.changeRule(t, "deny", registry, who, pattern, actions)
}

func (h *house) changeRule(t testing.TB, verb, registry, who, pattern string, actions []string) {
	t.Helper()
	kind, name, _ := strings.Cut(who, ":")
	var outcome string
	err := h.db.Owner.QueryRow(context.Background(), `
		select f.outcome from auth.docker_registries r,
		  lateral api.`+verb+`_docker_rule(r.id, $2, $3, case $3 when 'user' then $4 end, case $3 when 'group' then $4 end, $5) f
		 where r.client_id = $1`, registry, pattern, kind, name, actions).Scan(&outcome)
	if err != nil || outcome != "ok" {
		t.Fatalf("%s %s on %s: %s, %v", verb, who, pattern, outcome, err)
	}
}

// reload lets the registries be what the database has.
func (h *house) reload(t testing.TB) {
	t.Helper()
	if err := h.api.Registries.load(t.Context(), h.db.Pool); err != nil {
		t.Fatal(err)
	}
}

// addAppPassword makes an app password of alice for Docker. The limits may be
// nil.
func (h *house) addAppPassword(t testing.TB, registries, actions []string) account.AppPassword {
	t.Helper()
	app := account.NewAppPassword()
	hash := app.SHA256()
	h.arrange(t, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, registries, registry_actions)
		select $1, u.id, $2, '$6$x', '{docker}', $3, $4 from auth.users u where u.identifier = 'alice'`, app.ID(), hash[:], registries, actions)
	return app
}

// userID returns the id of a user.
func (h *house) userID(t testing.TB, identifier string) string {
	t.Helper()
	var id string
	if err := h.db.Owner.QueryRow(t.Context(), `select u.id::text from auth.users u where u.identifier = $1`, identifier).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// get is what docker and others send.
func get(query url.Values) *http.Request {
	return httptest.NewRequest("GET", "https://auth.example.com/docker/token?"+query.Encode(), nil)
}

// ask is a GET for scopes of a registry.
func ask(registry string, scopes ...string) *http.Request {
	return get(url.Values{"service": {registry}, "scope": scopes, "client_id": {"docker"}, "account": {"somebody"}})
}

func withBasic(r *http.Request, name, password string) *http.Request {
	r.SetBasicAuth(name, password)
	return r
}

func withAuthorization(r *http.Request, value string) *http.Request {
	r.Header.Add("Authorization", value)
	return r
}

// post is what containerd and others send.
func post(form url.Values) *http.Request {
	r := httptest.NewRequest("POST", "https://auth.example.com/docker/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// refresh is a POST with a refresh token.
func refresh(registry, refreshToken string, scopes ...string) *http.Request {
	return post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "service": {registry}, "scope": scopes, "client_id": {"registry-client"}})
}

func (h *house) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w.Result()
}

// issued is an answer with a token.
type issued struct {
	answer
	raw    map[string]any
	claims registrytoken.ClaimSet
}

// issue is do for a request that gets a token.
func (h *house) issue(t testing.TB, r *http.Request) issued {
	t.Helper()
	res := h.do(r)
	body, _ := io.ReadAll(res.Body) // out of memory
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v: %s", res.Status, res.Header, body)
	}
	var i issued
	if err := json.Unmarshal(body, &i.answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if err := json.Unmarshal(body, &i.raw); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	parsed, err := registrytoken.NewToken(i.Token)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	i.claims = *parsed.Claims
	return i
}

// access returns what a token grants, as scopes.
func (i issued) access() string {
	texts := make([]string, len(i.claims.Access))
	for n, a := range i.claims.Access {
		texts[n] = Access{a.Type, a.Name, a.Actions}.String()
	}
	return strings.Join(texts, " ")
}

// refused is do for a request that gets an error. It returns all of the answer.
func (h *house) refused(t testing.TB, r *http.Request, status int) string {
	t.Helper()
	res := h.do(r)
	body, _ := io.ReadAll(res.Body) // out of memory
	var e struct {
		Details     string
		Errors      []struct{ Code, Message string }
		Error       string
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%s: %s: %v", res.Status, body, err)
	}
	switch {
	case res.StatusCode != status:
		t.Errorf("%s, want %d: %s", res.Status, status, body)
	case e.Details == "" || len(e.Errors) != 1 || e.Errors[0].Code == "" || e.Errors[0].Message != e.Details || e.Error == "" || e.Description != e.Details:
		t.Errorf("not in the words of all: %s", body)
	case res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json":
		t.Errorf("headers %v", res.Header)
	case (status == 401) != strings.HasPrefix(res.Header.Get("WWW-Authenticate"), `Basic realm="`):
		t.Errorf("%d with the challenge %q", status, res.Header.Get("WWW-Authenticate"))
	case (status == 429 || status == 503) != (res.Header.Get("Retry-After") != ""):
		t.Errorf("%d with Retry-After %q", status, res.Header.Get("Retry-After"))
	}
	var all bytes.Buffer
	res.Header.Write(&all)
	return res.Status + "\n" + all.String() + string(body)
}

// guard is the access control of a real registry, version 2.8, that has fetched
// its bundle of certificates.
type guard struct{ auth.AccessController }

func (h *house) guard(t testing.TB, clientID, issuer string) guard {
	t.Helper()
	return h.guardWith(t, clientID, clientID, issuer)
}

// guardWith is a guard of clientID that has fetched the bundle of another.
func (h *house) guardWith(t testing.TB, bundleOf, clientID, issuer string) guard {
	t.Helper()
	bundle, err := h.api.Keys.Registry(bundleOf).Bundle()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(file, []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	controller, err := auth.GetAccessController("token", map[string]any{
		"realm": "https://auth.example.com/docker/token", "issuer": issuer, "service": clientID, "rootcertbundle": file,
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard{controller}
}

// lets reports whether the registry lets somebody with this token do what a
// scope says.
func (g guard) lets(t testing.TB, bearer, scope string) bool {
	t.Helper()
	var wanted []auth.Access
	for _, s := range scopes(t, scope) {
		for _, action := range s.Actions {
			wanted = append(wanted, auth.Access{Resource: auth.Resource{Type: s.Type, Name: s.Name}, Action: action})
		}
	}
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.Header.Set("Authorization", "Bearer "+bearer)
	_, err := g.Authorized(distribution.WithRequest(context.Background(), r), wanted...)
	return err == nil
}

// captureLog returns all that is logged until the end of the test, at every
// level. Tests that use it are not parallel.
func captureLog(t testing.TB) *bytes.Buffer {
	was := slog.Default()
	t.Cleanup(func() { slog.SetDefault(was) })
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 100})))
	return &log
}
