package clientapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/token"

	"github.com/jackc/pgx/v5"
)

// faces are the endpoints that verify passwords, from 192.0.2.1.
func (h *house) faces() map[string]func(name, password, permission string) *http.Request {
	return map[string]func(name, password, permission string) *http.Request{
		"checkpassword": func(name, password, permission string) *http.Request {
			return postJSON("/checkpassword", fields{"username": name, "password": password, "scopes": permission})
		},
		"imap": func(name, password, permission string) *http.Request {
			return withBearer(postJSON("/verify", fields{
				"username": name, "password": password, "scopes": permission, "service": "imap", "remote_ip": "192.0.2.1",
			}), h.secret)
		},
		"http": func(name, password, permission string) *http.Request {
			query := ""
			for scope := range strings.SplitSeq(permission, ",") {
				query += "&permission=" + scope
			}
			return withBasic(newRequest("GET", "/forward-auth?service=http"+query, "", ""), name, password)
		},
	}
}

// Of permissions that were asked for, the log has those that are missing; the
// answer has not.
func TestForbiddenIsLogged(t *testing.T) {
	h := newHouse(t)
	log := captureLog(t)
	for service, ask := range h.faces() {
		log.Reset()
		if got := h.do(ask("alice@example.com", password, "imap,webdav")); got.status != 403 {
			t.Errorf("%s: %s", service, got)
		}
		want := "level=INFO msg=login.forbidden from=192.0.2.1 missing=webdav service=" + service + " name=alice@example.com\n"
		if n := strings.Count(log.String(), want); n != 1 || strings.Contains(log.String(), "login.failed") {
			t.Errorf("%s: want once %q in\n%s", service, want, log)
		}

		// Whoever has no right password is not told apart by permissions.
		log.Reset()
		h.do(ask("alice@example.com", "wrong", "imap,webdav"))
		h.do(ask("alice@example.com", password, "imap,smtp"))
		if strings.Contains(log.String(), "login.forbidden") {
			t.Errorf("%s: %s", service, log)
		}
	}
}

// Somebody without a mailbox is refused with the right password; only the log
// says why.
func TestNoMailboxIsLogged(t *testing.T) {
	h := newHouse(t)
	log := captureLog(t)
	for service, ask := range h.faces() {
		log.Reset()
		if got := h.do(ask("carol@example.com", password, "imap")); got.status != 401 {
			t.Errorf("%s: %s", service, got)
		}
		want := `level=WARN msg=login.failed from=192.0.2.1 reason="no mailbox" service=` + service + " name=carol@example.com\n"
		if n := strings.Count(log.String(), want); n != 1 || strings.Count(log.String(), "login.") != 1 {
			t.Errorf("%s: want once %q in\n%s", service, want, log)
		}
	}
	// A lookup is nobody's login.
	log.Reset()
	h.do(withBearer(postJSON("/checkpassword", fields{"username": "carol@example.com"}), h.secret)).want(t, 401, denied)
	if strings.Contains(log.String(), "login.") {
		t.Errorf("%s", log)
	}
}

// The server that sends a wrong secret is in the log, and the secret is not.
// The answer does not tell an unknown secret from one in a wrong network.
func TestRefusedClientIsLogged(t *testing.T) {
	h := newHouse(t)
	log := captureLog(t)
	ask := func(secret, from string) string {
		log.Reset()
		r := withBearer(postJSON("/verify", fields{"username": "alice", "password": password, "service": "imap", "remote_ip": ""}), secret)
		r.RemoteAddr = from + ":1234"
		got := h.do(r)
		got.want(t, 401, `{"error": "Not the secret of an API client"}`)
		want := "level=WARN msg=client.refused from=" + from + "\n"
		if n := strings.Count(log.String(), want); n != 1 || strings.Contains(log.String(), secret) {
			t.Errorf("want once %q in\n%s", want, log)
		}
		return got.String()
	}
	elsewhere := ask(h.secret, "203.0.113.7")
	for _, secret := range []string{account.APIClientSecret.New().Text(), "not-even-one"} {
		if got := ask(secret, "203.0.113.7"); got != elsewhere {
			t.Errorf("%s\nwant\n%s", got, elsewhere)
		}
	}

	log.Reset()
	h.do(postJSON("/verify", fields{}))
	h.do(withBearer(postJSON("/verify", fields{}), h.secret))
	if strings.Contains(log.String(), "client.refused") {
		t.Errorf("nobody has sent a wrong secret: %s", log)
	}
}

// The log names the host that was asked, and what the operator has to do.
func TestAuthorizationDomainInTheLog(t *testing.T) {
	h := newHouse(t)
	h.arrange(t, `update auth.domains set jwt_subdomains = false`)
	h.reopen(t, nil)
	log := captureLog(t)
	const remedy = "example.com has a key but may not sign for auth.example.com: authserver domain edit example.com --jwt-allow-subdomain-signing true"
	for host, want := range map[string]string{
		"auth.example.com":          remedy,
		"AUTH.example.com:8443":     remedy,
		"auth.example.net":          `auth.example.net`,
		"auth.example.org":          `auth.example.org`, // there is no key
		"x\nlevel=ERROR msg=made":   `x\\nlevel=ERROR msg=made`,
		strings.Repeat("x", 10_000): strings.Repeat("x", 253),
	} {
		log.Reset()
		r := withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password)
		r.Host = host
		h.do(r).want(t, 400, `{"error": "Not a valid authorization domain"}`)
		if !strings.Contains(log.String(), want) || strings.Count(log.String(), "\n") != 1 || log.Len() > 1000 ||
			want != remedy && strings.Contains(log.String(), "authserver domain edit") {
			t.Errorf("%.99q: want %q in\n%.1000s", host, want, log)
		}
	}
}

// reopen loads the keys anew; with an error, none of them opens.
func (h *house) reopen(t *testing.T, err error) {
	t.Helper()
	keys, openErr := token.OpenKeys(t.Context(), h.db.Pool, func(_ string, sealed []byte) ([]byte, error) { return sealed, err })
	if openErr != nil {
		t.Fatal(openErr)
	}
	h.api.Keys = keys
}

// With a wrong SECRET_KEY nobody is told that a domain has no key: that is our
// trouble, and passes. What was signed before can still be verified.
func TestSealedKey(t *testing.T) {
	h := newHouse(t)
	log := captureLog(t)
	before := h.do(newRequest("GET", "/getkey?format=jwks", "", ""))
	h.reopen(t, errors.New("sealed with another key"))
	log.Reset()

	for _, r := range []*http.Request{
		withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password),
		withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", "wrong"),
		newRequest("GET", "/getkey?format=cert", "", ""),
	} {
		got := h.do(r)
		got.want(t, 503, `{"error": "Temporarily unavailable"}`)
		if got.header.Get("Retry-After") == "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s", r.URL, got)
		}
	}
	if !strings.Contains(log.String(), "authserver secret check") {
		t.Errorf("the log does not tell: %s", log)
	}
	h.do(newRequest("GET", "/getkey", "", "")).want(t, 200, h.pubkeyAnswer(t))
	h.do(newRequest("GET", "/getkey?format=jwks", "", "")).want(t, 200, before.body)
	if got := h.do(newRequest("GET", "/.well-known/webfinger?resource=acct:alice@example.com", "", "")); got.status != 200 {
		t.Errorf("%s", got)
	}

	// A domain that has no key at all.
	keyless := withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password)
	keyless.Host = "example.org"
	h.do(keyless).want(t, 400, `{"error": "Domain is not JWT enabled"}`)

	// A key that cannot even be read.
	h.arrange(t, `update auth.keys set public_key = 'x'`)
	h.reopen(t, nil)
	for _, format := range []string{"pubkey", "cert", "jwks"} {
		h.do(newRequest("GET", "/getkey?format="+format, "", "")).want(t, 503, `{"error": "Temporarily unavailable"}`)
	}
}

// watched is a database that notes the contexts of its calls.
type watched struct {
	querier
	deadlines []time.Duration
}

func (w *watched) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	deadline, _ := ctx.Deadline()
	w.deadlines = append(w.deadlines, time.Until(deadline))
	return w.querier.Query(ctx, sql, args...)
}

// Somebody who has hung up does not end a call of the database, which would
// cost the connection. Each has a deadline of its own.
func TestCallsOutliveTheRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	agentToken := h.addAgentToken(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	secret, err := account.APIClientSecret.Parse(h.secret)
	if err != nil {
		t.Fatal(err)
	}

	db := &watched{querier: h.db.Pool}
	if name, err := verifyAPIClient(ctx, db, secret, netip.MustParseAddr("192.0.2.1")); err != nil || name != "mail" {
		t.Errorf("API client %q, %v", name, err)
	}
	if redeemed, err := redeemAgentToken(ctx, db, agentToken); err != nil || redeemed == nil {
		t.Errorf("agent token %v, %v", redeemed, err)
	}
	for _, left := range db.deadlines {
		if left <= 0 || left > callTimeout {
			t.Errorf("a call has %v", left)
		}
	}
	if len(db.deadlines) != 2 {
		t.Errorf("%d calls", len(db.deadlines))
	}
}
