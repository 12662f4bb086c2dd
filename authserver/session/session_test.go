package session

import (
	"bytes"
	"context"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/opaque"
	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(logHandler{}))
	pgtest.Main(m)
}

const (
	right   = "correct horse: bättery 100%"    // of every user
	printer = "a staple that nobody sees, 42!" // of alice's service user
)

var (
	rightHash   = sync.OnceValues(func() (string, error) { return account.Hash(context.Background(), right, account.Standard) })
	printerHash = sync.OnceValues(func() (string, error) { return account.Hash(context.Background(), printer, account.Standard) })
)

// house is the sessions of a few inhabitants:
//
//	alice    alice@example.com, al@example.com; service user printer
//	bob      bob@example.com
//	carol    staff, without a mailbox
//	gone     gone@example.com, not active
//
// and a client wiki.
type house struct {
	db  pgtest.DB
	s   *Sessions
	mux *http.ServeMux

	mu      sync.Mutex
	queries []string // all of the sessions' and the verifier's
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{db: pgtest.New(t, "authserver_web")}
	rightHash, err := rightHash()
	if err != nil {
		t.Fatal(err)
	}
	printerHash, err := printerHash()
	if err != nil {
		t.Fatal(err)
	}
	h.arrange(t, `insert into auth.domains (name) values ('example.com')`)
	h.arrange(t, `insert into auth.login_names (name, kind) values
		('alice', 'user'), ('bob', 'user'), ('carol', 'user'), ('gone', 'user'), ('printer', 'service_user')`)
	h.arrange(t, `insert into auth.users (identifier, full_name, password_hash, active, staff)
		select n.name, initcap(n.name), $1, n.name <> 'gone', n.name = 'carol' from auth.login_names n where n.kind = 'user'`, rightHash)
	h.arrange(t, `insert into auth.aliases (local_part, domain_id, user_id)
		select n.local_part, d.id, u.id
		  from (values ('alice', 'alice'), ('al', 'alice'), ('bob', 'bob'), ('gone', 'gone')) n (local_part, identifier)
		  join auth.users u on u.identifier = n.identifier cross join auth.domains d`)
	h.arrange(t, `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id and a.local_part = u.identifier`)
	h.arrange(t, `insert into auth.service_users (user_id, username, password_hash) select u.id, 'printer', $1 from auth.users u where u.identifier = 'alice'`, printerHash)
	h.arrange(t, `insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, redirect_uris)
		values ('wiki', 'The <Wiki>', 'public', 'none', '{authorization_code}', '{https://wiki.example.org/callback}')`)

	config, err := pgxpool.ParseConfig(h.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = h
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h.s = &Sessions{
		DB:       pool,
		Verifier: &account.Verifier{DB: pool, Profile: account.Standard},
		Idle:     12 * time.Hour, Lifetime: 14 * 24 * time.Hour,
		ContinueURL: "/o2/continue",
	}
	t.Cleanup(h.s.Verifier.Wait)
	h.mux = http.NewServeMux()
	h.mux.Handle("/login", h.s.Handle(h.s.Login))
	h.mux.Handle("/logout", h.s.Handle(h.s.Logout))
	h.mux.Handle("/{$}", h.s.Handle(h.s.Home))
	return h
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

// calls returns the functions that were called since it was last asked.
func (h *house) calls() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, sql := range h.queries {
		names = append(names, function.FindString(sql))
	}
	h.queries = nil
	return strings.Join(names, " ")
}

func (h *house) arrange(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.db.Owner.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

func value[T any](t testing.TB, h *house, sql string, args ...any) (v T) {
	t.Helper()
	if err := h.db.Owner.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	return v
}

// save saves a request of the client wiki, whose answer goes to wiki.example.org.
func (h *house) save(t testing.TB, more ...string) (handle string) {
	t.Helper()
	p := url.Values{"redirect_uri": {"https://wiki.example.org/callback"}, "state": {"a b&c=d", "é"}}
	for i := 0; i < len(more); i += 2 {
		p.Set(more[i], more[i+1])
	}
	handle, err := h.s.Save(t.Context(), "wiki", p)
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

var site = &url.URL{Scheme: "https", Host: "auth.example.com", Path: "/"}

// A browser keeps the cookie and says where a form was, as browsers do.
type browser struct {
	h      *house
	jar    *cookiejar.Jar
	header http.Header
	log    *log
}

func (h *house) browser() *browser {
	jar, _ := cookiejar.New(nil) // never fails
	return &browser{h, jar, http.Header{"User-Agent": {"Test/1.0"}}, new(log)}
}

// cookie returns what the browser has; empty: nothing.
func (b *browser) cookie() string {
	for _, c := range b.jar.Cookies(site) {
		if c.Name == cookieName {
			return c.Value
		}
	}
	return ""
}

// plant makes the browser have a cookie that it did not get from us.
func (b *browser) plant(value string) {
	b.jar.SetCookies(site, []*http.Cookie{{Name: cookieName, Value: value, Path: "/", Secure: true}})
}

func (b *browser) request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, site.Scheme+"://"+site.Host+target, strings.NewReader(body))
	r = r.WithContext(context.WithValue(r.Context(), logKey{}, b.log))
	r.RemoteAddr = "192.0.2.7:4711"
	for name, values := range b.header {
		r.Header[name] = values
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range b.jar.Cookies(site) {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.h.mux.ServeHTTP(w, r)
	b.jar.SetCookies(site, w.Result().Cookies())
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.do(b.request(http.MethodGet, target, ""))
}

// post sends a form of our pages.
func (b *browser) post(target string, form url.Values) *httptest.ResponseRecorder {
	r := b.request(http.MethodPost, target, form.Encode())
	if b.header["Sec-Fetch-Site"] == nil && b.header["Origin"] == nil {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return b.do(r)
}

// form fills in the login page.
func (b *browser) form(t testing.TB, query, username, password string) url.Values {
	t.Helper()
	w := b.get("/login" + query)
	wantStatus(t, w, http.StatusOK)
	return fill(t, w, username, password)
}

func fill(t testing.TB, w *httptest.ResponseRecorder, username, password string) url.Values {
	t.Helper()
	return url.Values{
		"csrf":     {field(t, w, "csrf")},
		"request":  {field(t, w, "request")},
		"username": {username},
		"password": {password},
	}
}

// login signs in, from the page to the redirect.
func (b *browser) login(t testing.TB, username string) {
	t.Helper()
	w := b.post("/login", b.form(t, "", username, right))
	wantRedirect(t, w, "/")
}

// who returns the session that the browser is in; nil: none.
func (b *browser) who(t testing.TB) *Session {
	t.Helper()
	found, err := b.h.s.Find(b.request(http.MethodGet, "/", ""))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (b *browser) wantUser(t testing.TB, identifier string) {
	t.Helper()
	got := ""
	if found := b.who(t); found != nil {
		got = found.Identifier
	}
	if got != identifier {
		t.Errorf("signed in is %q, want %q", got, identifier)
	}
}

var input = regexp.MustCompile(`<input[^>]*>`)

// field returns the value of a field of the page's form; empty, too, if it has
// no such field.
func field(t testing.TB, w *httptest.ResponseRecorder, name string) string {
	t.Helper()
	for _, tag := range input.FindAllString(w.Body.String(), -1) {
		if strings.Contains(tag, ` name="`+name+`"`) {
			if found := regexp.MustCompile(` value="([^"]*)"`).FindStringSubmatch(tag); found != nil {
				return html.UnescapeString(found[1])
			}
			return ""
		}
	}
	return ""
}

func wantStatus(t testing.TB, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func wantRedirect(t testing.TB, w *httptest.ResponseRecorder, location string) {
	t.Helper()
	wantStatus(t, w, http.StatusSeeOther)
	if got := w.Header().Get("Location"); got != location {
		t.Errorf("redirect to %q, want %q", got, location)
	}
}

// A log keeps what is logged for a request.
type log struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

type logKey struct{}

func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.lines.Reset()
	return l.lines.String()
}

type logHandler struct{}

func (logHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h logHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h logHandler) WithGroup(string) slog.Handler          { return h }

func (logHandler) Handle(ctx context.Context, r slog.Record) error {
	l, ok := ctx.Value(logKey{}).(*log)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Time = time.Time{}
	return slog.NewTextHandler(&l.lines, &slog.HandlerOptions{Level: slog.LevelDebug}).Handle(ctx, r)
}

// What a session says of itself, and what of it is stored.
func TestFind(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	b.login(t, "al@example.com")
	found := b.who(t)
	if found == nil {
		t.Fatal("nobody is signed in")
	}
	want := Session{
		ID:             value[string](t, h, `select s.id::text from auth.sessions s`),
		UserID:         value[string](t, h, `select u.id::text from auth.users u where u.identifier = 'alice'`),
		Identifier:     "alice",
		FullName:       "Alice",
		PrimaryAddress: "alice@example.com",
		AuthTime:       value[time.Time](t, h, `select s.auth_time from auth.sessions s`),
		AMR:            []string{"pwd"},
		ACR:            "1",
	}
	if amr := found.AMR; !slices.Equal(amr, want.AMR) || !found.AuthTime.Equal(want.AuthTime) {
		t.Errorf("%+v, want %+v", *found, want)
	}
	plain := *found
	plain.AMR, plain.AuthTime = nil, time.Time{}
	want.AMR, want.AuthTime = nil, time.Time{}
	if got, want := plain, want; got.ID != want.ID || got.UserID != want.UserID || got.Identifier != want.Identifier ||
		got.FullName != want.FullName || got.PrimaryAddress != want.PrimaryAddress || got.ServiceUser != "" || got.ACR != want.ACR {
		t.Errorf("%+v, want %+v", got, want)
	}
	stored := value[string](t, h, `select concat_ws(' ', encode(s.secret_hash, 'hex'), s.idle_timeout, s.expires_at - s.created_at, s.client, s.user_agent) from auth.sessions s`)
	secret, _ := secrets.Parse(b.cookie())
	if hash := Hash(b.request("GET", "/", "")); stored != hexOf(hash)+" 12:00:00 14 days 192.0.2.7 Test/1.0" {
		t.Errorf("stored is %q of cookie %x", stored, secret.SHA256())
	}

	c := h.browser()
	c.login(t, "carol")
	if found := c.who(t); found == nil || found.PrimaryAddress != "" || found.DisplayName() != "Carol" {
		t.Errorf("%+v", found)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

func TestHome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	w := b.get("/")
	wantStatus(t, w, http.StatusOK)
	if strings.Contains(w.Body.String(), "Alice") || h.calls() != "" {
		t.Errorf("a stranger gets %s", w.Body)
	}
	b.login(t, "alice@example.com")
	h.calls()
	w = b.get("/")
	wantStatus(t, w, http.StatusOK)
	if body := w.Body.String(); !strings.Contains(body, "Alice") || !strings.Contains(body, "alice@example.com") {
		t.Errorf("alice gets %s", body)
	}
	if calls := h.calls(); calls != "api.find_session" {
		t.Errorf("calls %s", calls)
	}
	wantRedirect(t, b.post("/logout", url.Values{"csrf": {field(t, w, "csrf")}}), "/logout")
	b.wantUser(t, "")
}

// A session ends at once when its time is over, or its user is nobody any more.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, statement := range map[string]string{
		"nobody used it":       `update auth.sessions s set last_seen_at = now() - interval '12 hours 1 s'`,
		"it is too old":        `update auth.sessions s set expires_at = now() - interval '1 s'`,
		"deactivated in place": `update auth.users u set active = false where u.identifier = 'alice'`,
		"deactivated":          `select api.edit_users(array[u.id], null, null, null, null, null, false) from auth.users u where u.identifier = 'alice'`,
		"a new password":       `select api.edit_users(array[u.id], null, null, '$y$new', null, null, null) from auth.users u where u.identifier = 'alice'`,
		"the password removed": `select api.edit_users(array[u.id], null, null, null, true, null, null) from auth.users u where u.identifier = 'alice'`,
	} {
		t.Run(name, func(t *testing.T) {
			b, other := h.browser(), h.browser()
			b.login(t, "alice@example.com")
			b.wantUser(t, "alice")
			other.login(t, "bob@example.com")
			h.arrange(t, statement)
			b.wantUser(t, "")
			if strings.Contains(b.get("/").Body.String(), "Alice") {
				t.Error("the page knows the user")
			}
			if strings.Contains(statement, "alice") {
				other.wantUser(t, "bob")
			}
			hash, _ := rightHash()
			h.arrange(t, `delete from auth.sessions`)
			h.arrange(t, `update auth.users u set active = true, password_hash = $1 where u.identifier = 'alice'`, hash)
		})
	}

	b := h.browser()
	b.login(t, "alice@example.com")
	h.arrange(t, `update auth.sessions s set last_seen_at = now() - interval '11 hours 59 min', expires_at = now() + interval '1 min'`)
	b.wantUser(t, "alice")
	h.arrange(t, `select api.rehash_password(u.id, null, u.password_hash, '$y$rehashed') from auth.users u where u.identifier = 'alice'`)
	b.wantUser(t, "alice")
	h.arrange(t, `select api.edit_users(array[u.id], null, null, '$y$new', null, null, null) from auth.users u where u.identifier = 'alice'`)
	h.arrange(t, `select api.edit_users(array[u.id], null, null, '$y$rehashed', null, null, null) from auth.users u where u.identifier = 'alice'`)
	b.wantUser(t, "")
}

// A saved request is found again as it was, by its handle alone, for an hour.
func TestSaved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := url.Values{"state": {"a b&c=d", "\"é\\u0041"}, "scope": {""}, "nonce": nil}
	handle, err := h.s.Save(t.Context(), "wiki", p)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^rq_[a-z2-7]{52}$`).MatchString(handle) || LoginURL(handle) != "/login?request="+handle {
		t.Errorf("handle %q is at %s", handle, LoginURL(handle))
	}
	saved, err := h.s.Load(t.Context(), handle)
	if err != nil || saved == nil {
		t.Fatal(saved, err)
	}
	if saved.ClientID != "wiki" || saved.ClientName != "The <Wiki>" || saved.Parameters.Encode() != p.Encode() || time.Since(saved.CreatedAt).Abs() > time.Minute {
		t.Errorf("saved is %+v", saved)
	}
	if lifetime := value[string](t, h, `select (r.expires_at - r.created_at)::text from auth.oauth2_requests r`); lifetime != "01:00:00" {
		t.Errorf("for %s", lifetime)
	}

	h.calls()
	for _, other := range []string{"", handle[:20], strings.ToUpper(handle), handle + "\x00", secrets.New().Text(), strings.Repeat("a", 60<<10)} {
		if saved, err := h.s.Load(t.Context(), other); saved != nil || err != nil {
			t.Errorf("%.60q: %+v, %v", other, saved, err)
		}
		if err := h.s.Forget(t.Context(), other); err != nil {
			t.Errorf("%.60q: %v", other, err)
		}
	}
	if calls := h.calls(); calls != "" {
		t.Errorf("what is no handle costs %s", calls)
	}
	if saved, err := h.s.Load(t.Context(), handles.New().Text()); saved != nil || err != nil {
		t.Errorf("another handle finds %+v, %v", saved, err)
	}
	if err := h.s.Forget(t.Context(), handles.New().Text()); err != nil {
		t.Error(err)
	}

	for range 2 {
		if err := h.s.Forget(t.Context(), handle); err != nil {
			t.Error(err)
		}
		if saved, err := h.s.Load(t.Context(), handle); saved != nil || err != nil {
			t.Errorf("a forgotten request is %+v, %v", saved, err)
		}
	}

	handle = h.save(t)
	h.arrange(t, `update auth.oauth2_requests r set expires_at = now() - interval '1 s'`)
	if saved, err := h.s.Load(t.Context(), handle); saved != nil || err != nil {
		t.Errorf("an expired request is %+v, %v", saved, err)
	}
}

// What cannot be saved is the request's own doing.
func TestSaveRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, tt := range map[string]struct {
		client string
		p      url.Values
	}{
		"a client that has gone": {"gone", url.Values{}},
		"NUL in a value":         {"wiki", url.Values{"state": {"a\x00"}}},
		"NUL in a name":          {"wiki", url.Values{"\x00": {"a"}}},
		"not UTF-8":              {"wiki", url.Values{"state": {"good", "\xff"}}},
	} {
		t.Run(name, func(t *testing.T) {
			handle, err := h.s.Save(t.Context(), tt.client, tt.p)
			if refused := refusalOf(err); refused == nil || refused.Status != http.StatusBadRequest || handle != "" {
				t.Errorf("%q, %v", handle, err)
			}
		})
	}
}

// A database that is away is our trouble: a page says so, and the log why.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	handle := h.save(t)
	form := b.form(t, "?request="+handle, "alice@example.com", right)
	h.arrange(t, `alter schema api rename to away`)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"/":              b.get("/"),
		"/logout":        b.get("/logout"),
		"/login":         b.get(LoginURL(handle)),
		"POST /login":    b.post("/login", form),
		"POST /logout":   b.post("/logout", url.Values{"csrf": {csrf(mustParse(t, b.cookie()), forLogout)}}),
		"with the query": b.get(LoginURL(handle) + "&ui_locales=de"),
	} {
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q", name, w.Code, w.Header().Get("Retry-After"))
		}
		if body := w.Body.String(); !strings.Contains(body, "<html") || strings.Contains(body, "api.") || strings.Contains(body, "42883") || strings.Contains(body, "3F000") {
			t.Errorf("%s: %s", name, body)
		}
		if lines := w.Header()["Set-Cookie"]; len(lines) != 0 {
			t.Errorf("%s: cookies %q", name, lines)
		}
	}
	if line := b.log.take(); !strings.Contains(line, "api.find_session") && !strings.Contains(line, `schema \"api\"`) {
		t.Errorf("log: %s", line)
	}
}

func mustParse(t testing.TB, text string) opaque.Secret {
	t.Helper()
	secret, err := secrets.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}
