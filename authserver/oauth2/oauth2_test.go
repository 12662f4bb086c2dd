package oauth2

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/session"
	"authbridge/authserver/token"
	"authbridge/internal/opaque"
	"authbridge/internal/pgtest"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(logHandler{}))
	pgtest.Main(m)
}

// password is that of everybody who has one.
const password = "correct horse: bättery 100%"

var passwordHash = sync.OnceValues(func() (string, error) {
	return account.Hash(context.Background(), password, account.Standard)
})

// issuer is whose tokens these are; its host is a domain with keys.
const (
	issuer = "https://auth.example.com/o2"
	base   = "https://auth.example.com/o2"
	origin = "https://wiki.example.org" // of scripts of the wiki and of the app
)

// verifier is what clients keep to themselves (RFC 7636), and challenge what
// they tell.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

var challenge = s256(verifier)

// keys are the same in all tests: RSA takes long to make.
var keys = sync.OnceValues(func() ([]crypto.Signer, error) {
	ec, err := token.Generate(token.P256)
	if err != nil {
		return nil, err
	}
	rsa, err := token.Generate(token.RSA)
	return []crypto.Signer{ec, rsa}, err
})

// house is an authorization server with a few users and clients:
//
//	alice  alice@example.com, in the group dev, with the permission wiki-read
//	bob    bob@example.com
//	carol  staff, without a mailbox
//
//	wiki     confidential, by a secret; PKCE is not required; may have tokens for api
//	trusted  the same, and nobody is asked for consent
//	app      public, with PKCE, on loopback ports and by a scheme of its own
//	robot    for itself, by a secret: backup:read, backup:write
//	signer   the same and for users, by a JWT
//	mail     a mail server: may introspect
//	legacy   the password grant
//	other    another confidential client with the redirect URI of the wiki
type house struct {
	db  pgtest.DB
	s   *Server
	mux *http.ServeMux

	mu       sync.Mutex
	queries  []string // all of the server's
	observed map[string]int
}

const (
	wikiURI = "https://wiki.example.org/callback?from=here"
	apiURI  = "https://api.example.org/v1"
)

// secrets are those of clients, by id.
var secrets = map[string]string{}

func init() {
	for _, id := range []string{"wiki", "trusted", "robot", "mail", "legacy", "other", "https://files.example.org/"} {
		secrets[id] = client.Secret.New().Text()
	}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{db: pgtest.New(t, "authserver_web"), observed: map[string]int{}}
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	h.arrange(t, `insert into auth.domains (name) values ('example.com'), ('auth.example.com')`)
	h.arrange(t, `insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user'), ('carol', 'user')`)
	h.arrange(t, `insert into auth.users (identifier, full_name, password_hash, staff)
		select n.name, initcap(n.name), $1, n.name = 'carol' from auth.login_names n`, hash)
	h.arrange(t, `insert into auth.aliases (local_part, domain_id, user_id)
		select u.identifier, d.id, u.id from auth.users u, auth.domains d where u.identifier <> 'carol' and d.name = 'example.com'`)
	h.arrange(t, `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id`)
	h.arrange(t, `insert into auth.groups (name) values ('dev'), ('ops')`)
	h.arrange(t, `insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where g.name = 'dev' and u.identifier = 'alice'`)
	h.arrange(t, `insert into auth.permissions (name, permission_name) values ('Wiki', 'wiki-read'), ('Everything', 'all')`)

	h.addClient(t, "wiki", `{"grant_types": ["authorization_code", "refresh_token"], "redirect_uris": ["`+wikiURI+`"], "allowed_origins": ["`+origin+`"],
		"require_pkce": false, "resources": ["`+apiURI+`", "https://files.example.org/"]}`)
	h.addClient(t, "trusted", `{"grant_types": ["authorization_code", "refresh_token"], "redirect_uris": ["https://trusted.example.org/cb", "https://trusted.example.org/cb2"],
		"require_pkce": false, "trusted": true}`)
	h.addClient(t, "app", `{"type": "public", "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
		"redirect_uris": ["http://127.0.0.1/cb", "com.example.app:/cb"], "allowed_origins": ["`+origin+`"]}`)
	h.addClient(t, "robot", `{"grant_types": ["client_credentials"], "scope": ["backup:read", "backup:write", "openid"], "resources": ["`+apiURI+`"]}`)
	h.addClient(t, "mail", `{"grant_types": ["client_credentials"], "may_introspect": true}`)
	h.addClient(t, "legacy", `{"grant_types": ["password", "refresh_token"]}`)
	h.addClient(t, "other", `{"grant_types": ["authorization_code", "refresh_token", "client_credentials"], "redirect_uris": ["`+wikiURI+`", "https://other.example.org/cb"], "require_pkce": false}`)

	signers, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	for i, algorithm := range []string{string(token.P256), string(token.RSA)} {
		h.addKey(t, signers[i], algorithm)
	}
	h.addSigner(t)

	config, err := pgxpool.ParseConfig(h.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 20
	config.ConnConfig.Tracer = h
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	open, err := token.OpenKeys(t.Context(), pool, func(_ string, sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil })
	if err != nil {
		t.Fatal(err)
	}
	clients, err := client.Open(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clients.Wait)
	accounts := &account.Verifier{DB: pool, Profile: account.Standard}
	t.Cleanup(accounts.Wait)
	h.s = &Server{
		DB:      pool,
		Clients: clients,
		Issuer:  &claims.Issuer{URL: issuer, Keys: open, Clients: clients},
		Sessions: &session.Sessions{
			DB: pool, Verifier: accounts, Idle: 12 * time.Hour, Lifetime: 14 * 24 * time.Hour, ContinueURL: "/o2/continue",
		},
		Verifier:      accounts,
		Base:          base,
		RefreshKey:    [32]byte{1, 2, 3},
		PasswordGrant: true,
		Observe: func(grant, outcome string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.observed[grant+" "+outcome]++
		},
	}
	h.mux = http.NewServeMux()
	h.mux.Handle("/o2/authorize", h.s.HandlePage(h.s.Authorize))
	h.mux.Handle("GET /o2/continue", h.s.HandlePage(h.s.Continue))
	h.mux.Handle("POST /o2/consent", h.s.HandlePage(h.s.Consent))
	h.mux.Handle("POST /o2/token", h.s.Handle(h.s.Token))
	h.mux.Handle("POST /o2/revoke_token", h.s.Handle(h.s.Revoke))
	h.mux.Handle("POST /o2/introspect", h.s.Handle(h.s.Introspect))
	h.mux.Handle("/login", h.s.Sessions.Handle(h.s.Sessions.Login))
	h.take()
	return h
}

func (h *house) arrange(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.db.Owner.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

// value returns what a query says.
func value[T any](t testing.TB, h *house, sql string, args ...any) (v T) {
	t.Helper()
	rows, _ := h.db.Owner.Query(context.Background(), sql, args...)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	return v
}

// addClient makes a client. What metadata does not say is that of a
// confidential one, with its secret.
func (h *house) addClient(t testing.TB, id, metadata string) {
	t.Helper()
	record := map[string]any{"client_id": id, "name": "The " + id, "type": "confidential", "token_endpoint_auth_method": "client_secret_basic"}
	if err := json.Unmarshal([]byte(metadata), &record); err != nil {
		t.Fatal(err)
	}
	columns := strings.Join(slices.Sorted(maps.Keys(record)), ", ")
	h.arrange(t, `insert into auth.oauth2_clients (`+columns+`) select `+columns+` from jsonb_populate_record(null::auth.oauth2_clients, $1)`, record)
	if secret := secrets[id]; secret != "" {
		sum := sha256.Sum256([]byte(secret))
		h.arrange(t, `insert into auth.oauth2_client_secrets (client_id, secret_sha256) select c.id, $2 from auth.oauth2_clients c where c.client_id = $1`, id, sum[:])
	}
}

// signingKey is that of the client signer.
var signingKey = sync.OnceValues(func() (crypto.Signer, error) { return token.Generate(token.P256) })

// addSigner makes the client that authenticates by a JWT.
func (h *house) addSigner(t testing.TB) {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	h.addClient(t, "signer", `{"token_endpoint_auth_method": "private_key_jwt", "grant_types": ["authorization_code", "refresh_token", "client_credentials", "password"],
		"redirect_uris": ["https://signer.example.org/cb"], "scope": ["openid", "email", "sign"],
		"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "x": "`+half(point[1:33])+`", "y": "`+half(point[33:])+`"}]}}`)
}

// assertion is by what the signer proves itself.
func assertion(t testing.TB, audience string) url.Values {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "signer", "sub": "signer", "aud": audience, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix(),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"client_assertion_type": {client.AssertionType}, "client_assertion": {text}}
}

// addKey makes an active key of both domains, which is not sealed.
func (h *house) addKey(t testing.TB, signer crypto.Signer, algorithm string) {
	t.Helper()
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
	h.arrange(t, `insert into auth.keys (domain_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by, activated_at)
		select d.id, 'jwt', $1, 'active', $2, $3, $4, 'test', now() from auth.domains d where d.name = 'auth.example.com'`, algorithm, kid, public, private)
}

// reload lets the server know what was arranged about clients.
func (h *house) reload(t testing.TB) {
	t.Helper()
	clients, err := client.Open(t.Context(), h.s.DB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clients.Wait)
	h.s.Clients, h.s.Issuer.Clients = clients, clients
	h.take()
}

// edit changes a client.
func (h *house) edit(t testing.TB, clientID, assignments string) {
	t.Helper()
	h.arrange(t, `update auth.oauth2_clients set `+assignments+` where client_id = $1`, clientID)
	h.reload(t)
}

// TraceQueryStart implements pgx.QueryTracer.
func (h *house) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queries = append(h.queries, data.SQL)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (h *house) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

var function = regexp.MustCompile(`api\.[a-z0-9_]+`)

// take returns what the server has called since it was last asked, one word for
// each statement.
func (h *house) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := []string{}
	for _, sql := range h.queries {
		if name := function.FindString(sql); name != "" {
			sql = name
		}
		names = append(names, sql)
	}
	h.queries = nil
	return strings.Join(names, " ")
}

// userID returns the id of a user.
func (h *house) userID(t testing.TB, identifier string) string {
	t.Helper()
	return value[string](t, h, `select u.id::text from auth.users u where u.identifier = $1`, identifier)
}

// A browser is somebody before one, with a cookie if they have signed in.
type browser struct {
	h      *house
	cookie string
}

var sessionSecrets = opaque.Kind{Prefix: "ss_", Name: "session"}

// signIn is a browser with a session, since some time ago.
func (h *house) signIn(t testing.TB, identifier string, ago time.Duration) *browser {
	t.Helper()
	secret := sessionSecrets.New()
	hash := secret.SHA256()
	h.arrange(t, `insert into auth.sessions (secret_hash, user_id, auth_time, amr, acr, idle_timeout, expires_at)
		select $1, u.id, now() - $3::interval, '{pwd}', '1', '12 h', now() + interval '14 days' from auth.users u where u.identifier = $2`, hash[:], identifier, ago)
	return &browser{h, secret.Text()}
}

// do sends a request as a browser of ours does, or one of another site's, and
// keeps the cookie that it gets.
func (b *browser) do(r *http.Request) *http.Response {
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-session", Value: b.cookie})
	}
	res := b.h.do(r)
	for _, c := range res.Cookies() {
		if c.Name == "__Host-session" {
			b.cookie = c.Value
		}
	}
	return res
}

func (b *browser) get(path string) *http.Response {
	return b.do(httptest.NewRequest("GET", "https://auth.example.com"+path, nil))
}

func (b *browser) post(path string, form url.Values) *http.Response {
	return b.do(post(path, form))
}

func post(path string, form url.Values) *http.Request {
	r := httptest.NewRequest("POST", "https://auth.example.com"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (h *house) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w.Result()
}

// wikiRequest is what the wiki asks for, with some of it changed: an empty value is
// not sent.
func wikiRequest(changes ...string) url.Values {
	p := url.Values{
		"client_id": {"wiki"}, "redirect_uri": {wikiURI}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"a state & more"}, "nonce": {"n-1"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	return with(p, changes...)
}

func with(p url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		p.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			p.Del(changes[i])
		}
	}
	return p
}

// trustedRequest is what the trusted client asks for.
func trustedRequest(changes ...string) url.Values {
	return with(wikiRequest("client_id", "trusted", "redirect_uri", "https://trusted.example.org/cb"), changes...)
}

func (b *browser) authorize(p url.Values) *http.Response {
	return b.get("/o2/authorize?" + p.Encode())
}

func body(res *http.Response) string {
	text, _ := io.ReadAll(res.Body) // out of memory
	return string(text)
}

// answer is the query of a redirect to the client.
func answer(t testing.TB, res *http.Response, uri string) url.Values {
	t.Helper()
	location := res.Header.Get("Location")
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	query, ok := strings.CutPrefix(location, uri+separator)
	if res.StatusCode != http.StatusSeeOther || !ok {
		t.Fatalf("%s to %q, want a redirect to %s: %s", res.Status, location, uri, body(res))
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the redirect has the headers %v", res.Header)
	}
	p, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range p {
		if len(values) != 1 {
			t.Errorf("%s is there %d times", name, len(values))
		}
	}
	if p.Get("iss") != issuer {
		t.Errorf("iss is %q", p.Get("iss"))
	}
	return p
}

// code is what the trusted client gets, or another that the user has consented
// to.
func (b *browser) code(t testing.TB, p url.Values) string {
	t.Helper()
	got := answer(t, b.authorize(p), p.Get("redirect_uri"))
	if got.Get("code") == "" || got.Get("state") != p.Get("state") {
		t.Fatalf("answer %v", got)
	}
	return got.Get("code")
}

// page is a page of ours, and not a redirect.
func page(t testing.TB, res *http.Response, status int) string {
	t.Helper()
	text := body(res)
	h := res.Header
	switch {
	case res.StatusCode != status || !strings.HasPrefix(h.Get("Content-Type"), "text/html"):
		t.Fatalf("%s %v, want a page with status %d: %s", res.Status, h, status, text)
	case h.Get("Location") != "":
		t.Errorf("the page has a Location")
	case h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "same-origin":
		t.Errorf("the page has the headers %v", h)
	case !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'"):
		t.Errorf("the page may be framed: %s", h.Get("Content-Security-Policy"))
	}
	return text
}

// field returns the value of a hidden field of a page.
func field(t testing.TB, page, name string) string {
	t.Helper()
	for _, input := range regexp.MustCompile(`<input[^>]*>`).FindAllString(page, -1) {
		if !strings.Contains(input, `name="`+name+`"`) {
			continue
		}
		if m := regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(input); m != nil {
			return html.UnescapeString(m[1])
		}
	}
	t.Fatalf("no field %s in %s", name, page)
	return ""
}

// consentForm is what the consent page sends.
func consentForm(t testing.TB, page, decision string) url.Values {
	t.Helper()
	return url.Values{"request": {field(t, page, "request")}, "csrf": {field(t, page, "csrf")}, "decision": {decision}}
}

// asClient is a request of a client to the token endpoint and others, by its secret.
func asClient(clientID, path string, form url.Values) *http.Request {
	r := post(path, form)
	r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secrets[clientID]))
	return r
}

// exchange is the request of a client for a code.
func exchange(clientID, code, redirectURI string, changes ...string) *http.Request {
	return asClient(clientID, "/o2/token", with(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}, changes...))
}

// refresh is the request of a client with a refresh token.
func refresh(clientID, refreshToken string, changes ...string) *http.Request {
	return asClient(clientID, "/o2/token", with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}, changes...))
}

// issued is do for a request that gets tokens.
func (h *house) issued(t testing.TB, r *http.Request) tokens {
	t.Helper()
	res := h.do(r)
	text := body(res)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Pragma") != "no-cache" {
		t.Fatalf("%s %v: %s", res.Status, res.Header, text)
	}
	var got tokens
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if got.AccessToken == "" || got.TokenType != "Bearer" || got.ExpiresIn <= 0 {
		t.Fatalf("%s", text)
	}
	return got
}

// refused is do for a request that gets an error. It returns the description.
func (h *house) refused(t testing.TB, r *http.Request, status int, code string) string {
	t.Helper()
	basic := r.Header.Get("Authorization") != ""
	res := h.do(r)
	text := body(res)
	var got struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%s: %q: %v", res.Status, text, err)
	}
	switch {
	case res.StatusCode != status || got.Error != code || got.Description == "":
		t.Errorf("%s: %s, want %d and %s", res.Status, text, status, code)
	case res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store":
		t.Errorf("headers %v", res.Header)
	case strings.ContainsFunc(got.Description, func(r rune) bool { return r < ' ' || '~' < r || r == '"' || r == '\\' }):
		t.Errorf("the description %q has a character that RFC 6749 has not", got.Description)
	case (status == http.StatusUnauthorized && basic) != (res.Header.Get("WWW-Authenticate") != ""):
		t.Errorf("%s with the challenge %q", res.Status, res.Header.Get("WWW-Authenticate"))
	}
	return got.Description
}

// tokensOf is tokens of alice for the trusted client.
func (h *house) tokensOf(t testing.TB, changes ...string) tokens {
	t.Helper()
	p := trustedRequest(changes...)
	code := h.signIn(t, "alice", time.Minute).code(t, p)
	return h.issued(t, exchange("trusted", code, p.Get("redirect_uri")))
}

// payload returns the claims of a token.
func payload(t testing.TB, text string) map[string]any {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", text)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(b, &claims) != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return claims
}

// A log keeps what is logged with the context of recorded.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

type logKey struct{}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take returns what was logged since it was last called.
func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	l.text.Reset()
	return text
}

// logHandler writes what a test does into the log of that test only.
type logHandler struct{}

func (logHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h logHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h logHandler) WithGroup(string) slog.Handler          { return h }

func (logHandler) Handle(ctx context.Context, r slog.Record) error {
	l, ok := ctx.Value(logKey{}).(*log)
	if !ok {
		return nil
	}
	return slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug - 100}).Handle(ctx, r)
}

// record lets all that the house does from now on be logged.
func (h *house) record() *log {
	l := new(log)
	mux := h.mux
	h.mux = http.NewServeMux()
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), logKey{}, l)))
	})
	return l
}
