package clientapi

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
	"authbridge/authserver/token"
	"authbridge/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// password is alice's, and that of everybody who has one.
const password = "correct horse: bättery"

var passwordHash = sync.OnceValues(func() (string, error) {
	return account.Hash(context.Background(), password, account.Standard)
})

// house is a server with a few inhabitants:
//
//	alice        alice@example.com, staff; permissions imap and smtp, groups mail and staff,admins
//	bob          bob@example.com, not active
//	carol        carol@example.com, which is no mailbox
//	svc-alice    a service user of alice
//	blocked@     an address of alice that is blocked
//	list@        a mailing list of alice
//
// example.com has a key that signs for subdomains, example.org has none.
type house struct {
	db     pgtest.DB
	api    *API
	mux    *http.ServeMux
	secret string // of an API client
	app    account.AppPassword
	key    crypto.PublicKey // of example.com
}

func newHouse(t testing.TB) *house {
	t.Helper()
	db := pgtest.New(t, "authserver_web")
	h := &house{db: db, app: account.NewAppPassword()}
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.Generate(token.P256)
	if err != nil {
		t.Fatal(err)
	}
	h.key = signer.Public()
	kid, err := token.KID(h.key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := token.MarshalPublic(h.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := token.MarshalPrivate(signer)
	if err != nil {
		t.Fatal(err)
	}
	secret := account.APIClientSecret.New()
	h.secret = secret.Text()

	h.arrange(t, `insert into auth.domains (name, jwt_subdomains) values ('example.com', true), ('example.org', false)`)
	h.arrange(t, `insert into auth.keys (domain_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by, activated_at)
		select d.id, 'jwt', 'ecdsa-p256', 'active', $1, $2, $3, 'test', now() from auth.domains d where d.name = 'example.com'`, kid, public, private)
	h.arrange(t, `insert into auth.login_names (name, kind) values
		('alice', 'user'), ('bob', 'user'), ('carol', 'user'), ('svc-alice', 'service_user')`)
	h.arrange(t, `insert into auth.users (identifier, full_name, password_hash, active, staff) values
		('alice', 'Alice Ä. Example', $1, true, true), ('bob', 'Bob', $1, false, true), ('carol', 'Carol', $1, true, true)`, hash)
	h.arrange(t, `insert into auth.mailing_lists (name, owner_id) select 'list', u.id from auth.users u where u.identifier = 'alice'`)
	h.arrange(t, `insert into auth.aliases (local_part, domain_id, user_id, mailing_list_id, blocked)
		select n.name, d.id, u.id, l.id, n.name = 'blocked'
		  from (values ('alice', 'alice'), ('blocked', 'alice'), ('bob', 'bob'), ('carol', 'carol'), ('list', null)) n (name, owner)
		  join auth.domains d on d.name = 'example.com'
		  left join auth.users u on u.identifier = n.owner
		  left join auth.mailing_lists l on n.name = 'list'`)
	h.arrange(t, `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a
		 where a.user_id = u.id and a.local_part = u.identifier and u.identifier <> 'carol'`)
	h.arrange(t, `insert into auth.service_users (user_id, username, password_hash) select u.id, 'svc-alice', $1 from auth.users u where u.identifier = 'alice'`, hash)
	h.arrange(t, `insert into auth.permissions (permission_name, name) values ('imap', ''), ('smtp', ''), ('webdav', '')`)
	h.arrange(t, `insert into auth.groups (name) values ('mail'), ('staff,admins')`)
	h.arrange(t, `insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where u.identifier = 'alice'`)
	h.arrange(t, `insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p where g.name = 'mail' and p.permission_name = 'smtp'`)
	h.arrange(t, `insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.users u, auth.permissions p where p.permission_name = 'imap'`)
	appHash := h.app.SHA256()
	h.arrange(t, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services, networks)
		select $1, u.id, $2, '$6$x', '{imap}', '{198.51.100.0/24}' from auth.users u where u.identifier = 'alice'`, h.app.ID(), appHash[:])
	secretHash := secret.SHA256()
	h.arrange(t, `insert into auth.api_clients (name, secret_hash, networks) values ('mail', $1, '{192.0.2.0/24}')`, secretHash[:])

	keys, err := token.OpenKeys(t.Context(), db.Pool, func(_ string, sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil })
	if err != nil {
		t.Fatal(err)
	}
	h.api = &API{DB: db.Pool, Keys: keys, Verifier: &account.Verifier{DB: db.Pool, Profile: account.Standard}}
	t.Cleanup(h.api.Verifier.Wait)
	h.mux = http.NewServeMux()
	for pattern, endpoint := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /checkpassword":                    h.api.CheckPassword,
		"GET /getkey":                            h.api.GetKey,
		"POST /email-agent-auth-tokens/validate": h.api.ValidateAgentToken,
		"GET /.well-known/webfinger":             h.api.WebFinger,
		"POST /verify":                           h.api.Verify,
		"POST /dovecot/auth-policy":              h.api.DovecotPolicy,
		"/forward-auth":                          h.api.ForwardAuth,
	} {
		h.mux.Handle(pattern, h.api.Handle(endpoint))
	}
	return h
}

func (h *house) arrange(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.db.Owner.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

// newRequest is a request to auth.example.com over TLS, with a body of some media
// type.
func newRequest(method, target, mediaType, body string) *http.Request {
	r := httptest.NewRequest(method, "https://auth.example.com"+target, strings.NewReader(body))
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return r
}

func postJSON(target string, v any) *http.Request {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return newRequest("POST", target, "application/json", string(body))
}

func postForm(target string, form url.Values) *http.Request {
	return newRequest("POST", target, "application/x-www-form-urlencoded", form.Encode())
}

func withBasic(r *http.Request, name, password string) *http.Request {
	r.SetBasicAuth(name, password)
	return r
}

func withBearer(r *http.Request, secret string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+secret)
	return r
}

// withCertificate is a request over a connection whose client certificate was
// verified.
func withCertificate(r *http.Request) *http.Request {
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
	return r
}

type fields map[string]any

// answer is what was answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(r *http.Request) answer {
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body) // out of memory
	return answer{w.Code, w.Result().Header, string(body)}
}

// String is all of an answer, for comparisons.
func (a answer) String() string {
	var b strings.Builder
	b.WriteString(http.StatusText(a.status) + "\n")
	a.header.Write(&b)
	b.WriteString(a.body)
	return b.String()
}

// want checks the status and the body, as JSON.
func (a answer) want(t *testing.T, status int, body string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.body)
	}
	var got, want any
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Errorf("body %q is not JSON: %v", a.body, err)
		return
	}
	gotJSON, _ := json.Marshal(got)
	wantJSON, _ := json.Marshal(want)
	if !bytes.Equal(gotJSON, wantJSON) {
		t.Errorf("body %s, want %s", gotJSON, wantJSON)
	}
}

// denied is the answer of /checkpassword to whoever is not let in.
const denied = `{"authenticated": false, "authorized": false}`

// Every endpoint that takes a secret or tells one refuses plain HTTP, and lets
// nothing of its answers be kept.
func TestSecureOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, r := range []*http.Request{
		withBasic(newRequest("POST", "/checkpassword", "", ""), "alice@example.com", password),
		newRequest("GET", "/getkey", "", ""),
		postJSON("/email-agent-auth-tokens/validate", fields{"token": "x"}),
		newRequest("GET", "/.well-known/webfinger?resource=acct:alice@example.com", "", ""),
		withBearer(postJSON("/verify", fields{"username": "alice@example.com", "password": password, "service": "imap", "remote_ip": "192.0.2.9"}), h.secret),
		withBearer(postJSON("/dovecot/auth-policy?command=allow", fields{"login": "alice@example.com"}), h.secret),
		withBasic(newRequest("GET", "/forward-auth", "", ""), "alice@example.com", password),
	} {
		r.URL.Scheme = "http"
		got := h.do(r)
		got.want(t, 400, `{"error": "This endpoint must be called securely"}`)
		if c := got.header.Get("Cache-Control"); c != "no-store" {
			t.Errorf("%s: Cache-Control: %s", r.URL.Path, c)
		}
	}
}

// Our own trouble is a 503 that says nothing of its cause, on every endpoint
// that asks the database.
func TestDatabaseAway(t *testing.T) {
	h := newHouse(t)
	log := captureLog(t)
	h.db.Pool.Close()
	for _, r := range []*http.Request{
		withBasic(newRequest("POST", "/checkpassword", "", ""), "alice@example.com", password),
		withBearer(postJSON("/checkpassword", fields{"username": "alice@example.com"}), h.secret),
		withCertificate(postJSON("/checkpassword", fields{"username": "alice@example.com"})),
		postJSON("/email-agent-auth-tokens/validate", fields{"token": "x"}),
		withBearer(postJSON("/verify", fields{"username": "alice@example.com", "password": password, "service": "imap", "remote_ip": "192.0.2.9"}), h.secret),
		withCertificate(postJSON("/dovecot/auth-policy?command=allow", fields{"login": "alice@example.com"})),
		withCertificate(postJSON("/dovecot/auth-policy?command=report", fields{"login": "alice@example.com", "success": false})),
		withBasic(newRequest("GET", "/forward-auth", "", ""), "alice@example.com", password),
	} {
		log.Reset()
		got := h.do(r)
		got.want(t, 503, `{"error": "Temporarily unavailable"}`)
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", r.URL.Path)
		}
		if !strings.Contains(log.String(), "request failed") {
			t.Errorf("%s: nothing in the log: %s", r.URL.Path, log)
		}
	}
	h.do(newRequest("GET", "/getkey", "", "")).want(t, 200, h.pubkeyAnswer(t))
}

func TestHandle(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err        error
		status     int
		body       string
		retryAfter string
	}{
		"every core is busy":   {account.ErrBusy, 503, "Temporarily unavailable", "5"},
		"our trouble":          {io.ErrUnexpectedEOF, 503, "Temporarily unavailable", "5"},
		"too many guesses":     {&account.ThrottledError{RetryAfter: 7e9}, 429, "Too many wrong passwords, try again later", "7"},
		"the caller's doing":   {errNoKey, 400, "Domain is not JWT enabled", ""},
		"with a cause of ours": {&Error{Status: 404, Message: "Not here", Err: io.ErrUnexpectedEOF}, 404, "Not here", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			new(API).Handle(func(http.ResponseWriter, *http.Request) error { return tt.err }).ServeHTTP(w, newRequest("GET", "/", "", ""))
			answer{w.Code, w.Header(), w.Body.String()}.want(t, tt.status, `{"error": "`+tt.body+`"}`)
			if got := w.Header().Get("Retry-After"); got != tt.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, tt.retryAfter)
			}
		})
	}
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

// No secret is logged, whatever comes of the request: not of a password, a
// token or a client's secret, in any place where it can be, nor a JWT.
func TestLogHasNoSecrets(t *testing.T) {
	h := newHouse(t)
	agentToken := h.addAgentToken(t)
	log := captureLog(t)

	wrong := "wr0ng-and-n0t-to-be-seen"
	secrets := []string{password, "bättery", wrong, h.secret, h.app.Text(), agentToken, "eyJ", "s3cr"}
	for _, authorization := range []string{
		"", "Bearer " + h.secret, "Bearer " + h.secret[:40], "Bearer " + wrong, "Basic " + wrong, "Digest " + wrong,
		basic("alice@example.com", password), basic("alice@example.com", wrong), basic("nobody@example.com", h.app.Text()), basic("x", ""),
	} {
		for _, body := range []string{
			`{"username": "alice@example.com", "login": "alice@example.com", "service": "imap", "remote_ip": "192.0.2.9", "password": "` + password + `", "token": "` + agentToken + `", "success": true}`,
			`{"username": "alice@example.com", "login": "alice@example.com", "service": "imap", "remote_ip": "192.0.2.9", "password": "` + wrong + `", "pwhash": "` + wrong + `", "success": false}`,
			`{"username": "alice@example.com", "service": "` + strings.Repeat("x", 65) + `", "password": "` + wrong + `", "remote_ip": "` + wrong + `"}`,
			`{"username": "alice@example.com", "password": ["` + wrong + `"], "token": ["` + agentToken + `"], "pwhash": ["` + wrong + `"]}`,
			`{"password": "` + wrong + `", "token": "` + agentToken + `", "pwhash": "` + wrong,
			`"` + wrong + `"`,
			wrong,
			"username=alice@example.com&password=" + wrong + "&token=" + agentToken,
			"username=alice@example.com&password=%zz" + wrong + "&token=%zz" + agentToken,
			"username=alice@example.com;password=" + wrong,
			"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + wrong,
			strings.Repeat(wrong, request.MaxBody/len(wrong)+1),
		} {
			for _, mediaType := range []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", wrong} {
				for _, target := range []string{
					"/checkpassword", "/verify", "/dovecot/auth-policy?command=report", "/dovecot/auth-policy?command=" + wrong,
					"/email-agent-auth-tokens/validate", "/forward-auth", "/forward-auth?" + wrong,
				} {
					r := newRequest("POST", target, mediaType, body)
					if authorization != "" {
						r.Header.Set("Authorization", authorization)
					}
					if got := h.do(r); got.status >= 500 {
						t.Errorf("%s %q %q: %s", target, authorization, body, got)
					}
				}
			}
		}
	}
	h.do(newRequest("GET", "/getkey?domain="+wrong+"&format=pubkey", "", ""))
	h.do(newRequest("GET", "/getkey?format="+wrong, "", ""))

	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	for _, want := range []string{"login.failed", "request refused"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: has it been captured?", want)
		}
	}
}

// addAgentToken makes a token of alice.
func (h *house) addAgentToken(t testing.TB) string {
	t.Helper()
	hash := sha256.Sum256([]byte(t.Name()))
	text := hex.EncodeToString(hash[:16])
	stored := sha256.Sum256([]byte(text))
	h.arrange(t, `insert into auth.email_agent_tokens (creator_id, token_hash, token_hint)
		select u.id, $1, $2 from auth.users u where u.identifier = 'alice'`, stored[:], text[:12])
	return text
}

// names are names that do not log in with the password of everybody, and a name
// that does with another one.
var names = []string{
	"nobody@example.com", "nobody", "nobody@nowhere.test", // unknown
	"bob@example.com",   // not active
	"carol@example.com", // no mailbox
	"blocked@example.com", "list@example.com", "alice@example.com@example.com",
	"", "alice\x00", "alice\n", strings.Repeat("a", 5000) + "@example.com",
}

// Whoever has no password learns nothing about who exists: answers are the
// same to the byte, also for a user whose password is wrong.
func TestEnumeration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	asked := map[string]func(name, password string) *http.Request{
		"JSON": func(name, password string) *http.Request {
			return postJSON("/checkpassword", fields{"username": name, "password": password, "scopes": []string{"imap"}})
		},
		"form": func(name, password string) *http.Request {
			return postForm("/checkpassword", url.Values{"username": {name}, "password": {password}})
		},
		"Basic": func(name, password string) *http.Request {
			return withBasic(newRequest("POST", "/checkpassword", "", ""), name, password)
		},
		"verify": func(name, password string) *http.Request {
			return withBearer(postJSON("/verify", fields{"username": name, "password": password, "service": "imap", "remote_ip": "192.0.2.9"}), h.secret)
		},
		"forward-auth": func(name, password string) *http.Request {
			return withBasic(newRequest("GET", "/forward-auth?permission=imap", "", ""), name, password)
		},
		"lookup": func(name, _ string) *http.Request {
			return postJSON("/checkpassword", fields{"username": name, "scopes": []string{"imap"}})
		},
		"lookup with an empty password": func(name, _ string) *http.Request {
			return postJSON("/checkpassword", fields{"username": name, "password": ""})
		},
		"lookup by form": func(name, _ string) *http.Request {
			return postForm("/checkpassword", url.Values{"username": {name}, "password": {""}})
		},
		"app password": func(name, _ string) *http.Request {
			return withBasic(newRequest("POST", "/checkpassword", "", ""), name, h.app.Text())
		},
	}
	for how, ask := range asked {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			want := h.do(ask("alice@example.com", "not "+password))
			if want.status != 401 {
				t.Fatalf("alice with a wrong password: %s", want)
			}
			for _, name := range names {
				if got := h.do(ask(name, password)); got.String() != want.String() {
					t.Errorf("%.40q:\n%s\nwant\n%s", name, got, want)
				}
			}
			if got := h.do(ask("alice", "not "+password)); got.String() != want.String() {
				t.Errorf("alice by identifier:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Whoever has guessed too often hears so, right password or not, and the same
// about names that nobody has.
func TestThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for how, ask := range map[string]func(name, password string) *http.Request{
		"checkpassword": func(name, password string) *http.Request {
			return postJSON("/checkpassword", fields{"username": name, "password": password})
		},
		"imap": func(name, password string) *http.Request {
			return withBearer(postJSON("/verify", fields{"username": name, "password": password, "service": "imap", "remote_ip": "192.0.2.1"}), h.secret)
		},
		"http": func(name, password string) *http.Request {
			return withBasic(newRequest("GET", "/forward-auth", "", ""), name, password)
		},
	} {
		for _, name := range []string{"alice@example.com", "bob@example.com", "nobody@example.com"} {
			h.arrange(t, `insert into auth.login_throttles (login_hash, network, service, failures)
				values (auth.login_hash($1), '192.0.2.1', $2, 100)`, name, how)
			for _, password := range []string{password, "wrong"} {
				got := h.do(ask(name, password))
				got.want(t, 429, `{"error": "Too many wrong passwords, try again later"}`)
				if s, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || s < 5000 || s > 6000 {
					t.Errorf("%s: %s: Retry-After %q", how, name, got.header.Get("Retry-After"))
				}
			}
		}
	}
}
