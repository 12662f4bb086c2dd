package checkpassword

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var t0 = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// A signer makes tokens as a server does.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
}

var signers = sync.OnceValue(func() map[string]signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]signer{
		"RS256": {jwt.SigningMethodRS256, rsaKey},
		"ES256": {jwt.SigningMethodES256, ecKey},
		"EdDSA": {jwt.SigningMethodEdDSA, edKey},
	}
})

func (s signer) sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(s.method, claims).SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// yes returns the claims of an answer to ask that is good in every way.
func yes(ask request) jwt.MapClaims {
	return jwt.MapClaims{
		"sub": ask.Username, "canonical_username": "alice@example.com",
		"authenticated": ask.Password != nil, "authorized": true,
		"scopes": []string{"imap", "webdav.read"},
		"iat":    t0.Unix(), "nbf": t0.Unix() - 5, "exp": t0.Unix() + 3600,
		"iss": "example.com", "aud": audience, "nonce": ask.Nonce, "jti": "1",
	}
}

var login = Question{Name: "alice@example.com", Password: "secret"}

// newClient returns a client of a server with this handler, which it trusts.
func newClient(t testing.TB, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server.URL + "/checkpassword")
	if err != nil {
		t.Fatal(err)
	}
	client, err := Connection{CAFile: ca}.Client(u)
	if err != nil {
		t.Fatal(err)
	}
	var keys Keys
	for _, s := range signers() {
		keys = append(keys, s.key.Public())
	}
	return &Client{
		URL: u, HTTP: client, Keys: keys, Issuer: "example.com",
		Now: func() time.Time { return t0 },
	}
}

// answers returns a handler that answers with the token that f makes.
func answers(t testing.TB, f func(request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var ask request
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			t.Errorf("request: %v", err)
		}
		w.Header().Set("Content-Type", "application/jwt")
		io.WriteString(w, f(ask))
	}
}

func TestAsk(t *testing.T) {
	for alg, s := range signers() {
		client := newClient(t, answers(t, func(ask request) string { return s.sign(t, yes(ask)) }))
		got, err := client.Ask(t.Context(), Question{Name: "alice@example.com", Password: "secret", Scopes: []string{"imap"}})
		want := Answer{User: "alice@example.com", Scopes: []string{"imap", "webdav.read"}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", alg, got, err)
		}
		if _, err := client.Ask(t.Context(), Question{Name: "alice@example.com", Lookup: true}); err != nil {
			t.Errorf("%s, lookup: %v", alg, err)
		}
	}
}

// What the server is sent, to the letter: no more about the user's machine than
// it would believe.
func TestRequest(t *testing.T) {
	var mu sync.Mutex
	var body map[string]any
	var header http.Header
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, header = nil, r.Header
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != "POST" || r.URL.Path != "/checkpassword" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	question := login
	question.Scopes, question.Service = []string{"imap"}, "imap"
	question.Client = netip.MustParseAddr("::ffff:192.0.2.7")

	seen := map[any]bool{}
	for _, known := range []bool{false, true} {
		want := map[string]any{
			"username": "alice@example.com", "password": "secret",
			"scopes": []any{"imap"}, "service": "imap",
		}
		authorization := ""
		if known {
			client.Secret, authorization = "ac_secret", "Bearer ac_secret"
			want["remote_ip"] = "192.0.2.7"
		}
		if _, err := client.Ask(t.Context(), question); !errors.Is(err, ErrDenied) {
			t.Errorf("401: %v", err)
		}
		mu.Lock()
		nonce, _ := body["nonce"].(string)
		if len(nonce) < 22 || seen[nonce] {
			t.Errorf("nonce %q", nonce)
		}
		seen[nonce] = true
		delete(body, "nonce")
		if !reflect.DeepEqual(body, want) {
			t.Errorf("body %v, want %v", body, want)
		}
		if got := header.Get("Authorization"); got != authorization {
			t.Errorf("Authorization %q, want %q", got, authorization)
		}
		mu.Unlock()
	}
	if _, err := client.Ask(t.Context(), Question{Name: "alice", Lookup: true}); err == nil {
		t.Error("401 to a lookup is a yes")
	}
	mu.Lock()
	defer mu.Unlock()
	if _, found := body["password"]; found {
		t.Error("a lookup has a password")
	}
}

// An empty password would ask who the user is, and get an answer.
func TestEmptyPassword(t *testing.T) {
	client := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	for _, q := range []Question{{Name: "alice@example.com"}, {Password: "secret"}, {Lookup: true}, {}} {
		if _, err := client.Ask(t.Context(), q); !errors.Is(err, ErrDenied) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// Answers that are signed as they should be, and say something else.
func TestSignedButNotYes(t *testing.T) {
	tests := map[string]func(jwt.MapClaims){
		"another audience":         func(c jwt.MapClaims) { c["aud"] = "registry.example.com" },
		"no audience":              func(c jwt.MapClaims) { delete(c, "aud") },
		"another issuer":           func(c jwt.MapClaims) { c["iss"] = "example.org" },
		"a subdomain as issuer":    func(c jwt.MapClaims) { c["iss"] = "a.example.com" },
		"no issuer":                func(c jwt.MapClaims) { delete(c, "iss") },
		"another user":             func(c jwt.MapClaims) { c["sub"] = "bob@example.com" },
		"the user in other case":   func(c jwt.MapClaims) { c["sub"] = "Alice@example.com" },
		"no user":                  func(c jwt.MapClaims) { delete(c, "sub") },
		"another nonce":            func(c jwt.MapClaims) { c["nonce"] = "AAAAAAAAAAAAAAAAAAAAAAAAAA" },
		"no nonce":                 func(c jwt.MapClaims) { delete(c, "nonce") },
		"expired":                  func(c jwt.MapClaims) { c["exp"] = t0.Unix() - 11 },
		"no expiry":                func(c jwt.MapClaims) { delete(c, "exp") },
		"not yet valid":            func(c jwt.MapClaims) { c["nbf"] = t0.Unix() + 11 },
		"no beginning":             func(c jwt.MapClaims) { delete(c, "nbf") },
		"not authenticated":        func(c jwt.MapClaims) { c["authenticated"] = false },
		"authenticated is missing": func(c jwt.MapClaims) { delete(c, "authenticated") },
		"not authorized":           func(c jwt.MapClaims) { c["authorized"] = false },
		"authorized is missing":    func(c jwt.MapClaims) { delete(c, "authorized") },
		"a scope is missing":       func(c jwt.MapClaims) { c["scopes"] = []string{"webdav.read"} },
		"no scopes":                func(c jwt.MapClaims) { delete(c, "scopes") },
	}
	question := login
	question.Scopes = []string{"imap"}
	for name, change := range tests {
		client := newClient(t, answers(t, func(ask request) string {
			c := yes(ask)
			change(c)
			return signers()["ES256"].sign(t, c)
		}))
		_, err := client.Ask(t.Context(), question)
		if !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", name, err)
		}
		if lacks := strings.Contains(name, "scope"); lacks != errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v; is a permission missing: %v", name, err, lacks)
		}
	}
}

func TestLeeway(t *testing.T) {
	for _, claim := range []jwt.MapClaims{{"exp": t0.Unix() - 9}, {"nbf": t0.Unix() + 9}} {
		client := newClient(t, answers(t, func(ask request) string {
			c := yes(ask)
			maps.Copy(c, claim)
			return signers()["ES256"].sign(t, c)
		}))
		if _, err := client.Ask(t.Context(), login); err != nil {
			t.Errorf("%v: %v", claim, err)
		}
	}
}

// An answer to one question is none to the next.
func TestReplay(t *testing.T) {
	var first atomic.Pointer[string]
	client := newClient(t, answers(t, func(ask request) string {
		token := signers()["ES256"].sign(t, yes(ask))
		if !first.CompareAndSwap(nil, &token) {
			token = *first.Load()
		}
		return token
	}))
	if _, err := client.Ask(t.Context(), login); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrDenied) {
		t.Errorf("replayed answer: %v", err)
	}
}

// RFC 8725 section 2.1: what the token says about its algorithm is not believed.
func TestAlgorithmConfusion(t *testing.T) {
	public := map[string][]byte{}
	for alg, s := range signers() {
		der, text := encode(t, s.key.Public())
		public[alg+" DER"], public[alg+" PEM"], public[alg+" PEM without line end"] = der, text, bytes.TrimSpace(text)
	}
	public["nothing"] = []byte{}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		for name, secret := range public {
			client := newClient(t, answers(t, func(ask request) string {
				token, err := jwt.NewWithClaims(method, yes(ask)).SignedString(secret)
				if err != nil {
					t.Error(err)
				}
				return token
			}))
			if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrDenied) {
				t.Errorf("%s with %s: %v, want ErrDenied", method.Alg(), name, err)
			}
		}
	}

	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "RS512", "PS256", "ES384", "XX"} {
		client := newClient(t, answers(t, func(ask request) string {
			token := signers()["RS256"].sign(t, yes(ask))
			_, rest, _ := strings.Cut(token, ".")
			if strings.EqualFold(alg, "none") {
				rest = rest[:strings.LastIndex(rest, ".")+1]
			}
			header := fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, alg)
			return segment(header) + "." + rest
		}))
		if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrDenied) {
			t.Errorf("alg %q: %v, want ErrDenied", alg, err)
		}
	}
}

func TestTokenType(t *testing.T) {
	client := newClient(t, answers(t, func(ask request) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, yes(ask))
		token.Header["typ"] = "at+jwt" // RFC 9068
		text, err := token.SignedString(signers()["ES256"].key)
		if err != nil {
			t.Error(err)
		}
		return text
	}))
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrDenied) {
		t.Errorf("access token: %v", err)
	}
}

// A key in the token's own header is not one of ours, and neither is one that
// the server has but the key file has not.
func TestWrongKey(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	token := func(ask request) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, yes(ask))
		token.Header["jwk"] = map[string]string{
			"kty": "EC", "crv": "P-256",
			"x": segment(string(stranger.X.FillBytes(make([]byte, 32)))),
			"y": segment(string(stranger.Y.FillBytes(make([]byte, 32)))),
		}
		text, err := token.SignedString(stranger)
		if err != nil {
			t.Error(err)
		}
		return text
	}
	client := newClient(t, answers(t, token))
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("another key: %v, want ErrUnavailable", err)
	}
	client.Keys = Keys{signers()["RS256"].key.Public()}
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no key of the type: %v, want ErrUnavailable", err)
	}
}

func TestTamperedToken(t *testing.T) {
	client := newClient(t, answers(t, func(ask request) string {
		c := yes(ask)
		c["authenticated"] = false
		header, rest, _ := strings.Cut(signers()["EdDSA"].sign(t, c), ".")
		_, signature, _ := strings.Cut(rest, ".")
		c["authenticated"] = true
		payload, err := json.Marshal(c)
		if err != nil {
			t.Error(err)
		}
		return header + "." + segment(string(payload)) + "." + signature
	}))
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("changed claims: %v", err)
	}
}

// Responses that say nothing about the user.
func TestNoAnswer(t *testing.T) {
	good := func(w http.ResponseWriter, r *http.Request) string {
		var ask request
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			t.Errorf("request: %v", err)
		}
		return signers()["ES256"].sign(t, yes(ask))
	}
	tests := map[string]http.HandlerFunc{
		"wait":         func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) },
		"bad request":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400) },
		"not found":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) },
		"internal":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) },
		"unavailable":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) },
		"an empty 200": func(w http.ResponseWriter, r *http.Request) {},
		"garbage": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/jwt")
			io.WriteString(w, "yes")
		},
		"a page": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, good(w, r))
		},
		"JSON": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"authenticated": true, "authorized": true}`)
		},
		"a yes with another status": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/jwt")
			token := good(w, r)
			w.WriteHeader(203)
			io.WriteString(w, token)
		},
		"a yes with more behind it": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/jwt")
			io.WriteString(w, good(w, r)+strings.Repeat("\n", maxBody))
		},
		"half of it": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/jwt")
			w.Header().Set("Content-Length", "100000")
			io.WriteString(w, good(w, r))
		},
		"nothing": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := newClient(t, handler).Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v, want ErrUnavailable", err)
			}
		})
	}
}

// The password is for the server that was named, even if another would say yes.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		asked := false
		client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				asked = true
			}
			http.Redirect(w, r, "/elsewhere", status)
		})
		if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) || asked {
			t.Errorf("status %d: %v, followed: %v", status, err, asked)
		}
	}
}

func TestServerAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, nil)
	client.URL.Host = listener.Addr().String()
	listener.Close()
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

// A server that takes its time, in each phase of the exchange.
func TestDeadline(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	slow := func(begin bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if begin {
				w.Header().Set("Content-Type", "application/jwt")
				io.WriteString(w, "ey")
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
			// Returning would answer: the client, which says goodbye before it
			// hangs up, might still hear it.
			panic(http.ErrAbortHandler)
		}
	}
	handshake := newClient(t, nil)
	handshake.URL.Host = silent.Addr().String()
	for name, client := range map[string]*Client{
		"handshake": handshake, "header": newClient(t, slow(false)), "body": newClient(t, slow(true)),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := client.Ask(ctx, login)
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestWrongCertificate(t *testing.T) {
	handler := answers(t, func(ask request) string { return signers()["ES256"].sign(t, yes(ask)) })
	client := newClient(t, handler)
	trusted := client.HTTP

	// Nobody on this machine vouches for the server.
	var err error
	if client.HTTP, err = (Connection{}).Client(client.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("unknown authority: %v", err)
	}

	// A certificate for another name.
	client.HTTP = trusted
	named := *client.URL
	client.URL.Host = "localhost:" + client.URL.Port()
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("another name: %v", err)
	}
	*client.URL = named

	if client.HTTP, err = (Connection{Insecure: true}).Client(client.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ask(t.Context(), login); err != nil {
		t.Errorf("not verified: %v", err)
	}
}

func TestProxy(t *testing.T) {
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()

	connection := Connection{Insecure: true}
	if err := connection.Proxy.Set(proxy.URL); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, nil)
	client.URL.Host = "auth.example.com"
	var err error
	if client.HTTP, err = connection.Client(client.URL); err != nil {
		t.Fatal(err)
	}
	// The proxy's 403 is not the server's.
	if _, err := client.Ask(t.Context(), login); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if got := <-asked; got != "CONNECT auth.example.com:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// Status 401 means the user, or the machine that asks. Mail for an unknown user
// bounces, so nothing else may look like one.
func TestUnauthorized(t *testing.T) {
	const refused = `{"authenticated": false, "authorized": false}`
	lookup := Question{Name: "carol@example.com", Lookup: true}
	tests := map[string]struct {
		question  Question
		secret    bool
		legacy    bool
		challenge string
		body      string
		want      error
	}{
		"wrong password":                    {login, false, false, "", refused, ErrDenied},
		"wrong password, challenge":         {login, false, false, `Basic realm="x"`, refused, ErrDenied},
		"wrong password, from a proxy":      {login, false, false, "", "<html>", ErrDenied},
		"credential refused at a login":     {login, true, false, `Bearer error="invalid_token"`, refused, ErrUnavailable},
		"unknown user":                      {lookup, true, false, "", refused, ErrUnknownUser},
		"credential refused":                {lookup, true, false, "bearer", refused, ErrUnavailable},
		"lookup without a credential":       {lookup, false, false, "", refused, ErrUnavailable},
		"lookup at an ancestor":             {lookup, false, true, "", refused, ErrUnknownUser},
		"lookup, and a proxy says no":       {lookup, true, false, "", "<html>", ErrUnavailable},
		"lookup, and nothing is refused":    {lookup, true, false, "", "{}", ErrUnavailable},
		"lookup, and it may after all":      {lookup, true, false, "", `{"authenticated": false, "authorized": true}`, ErrUnavailable},
		"lookup, and it contradicts itself": {lookup, true, false, "", `{"authenticated": true, "authorized": false}`, ErrUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.challenge != "" {
					w.Header().Set("WWW-Authenticate", tt.challenge)
				}
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w, tt.body)
			})
			client.Legacy = tt.legacy
			if tt.secret {
				client.Secret = "ac_secret"
			}
			_, err := client.Ask(t.Context(), tt.question)
			if !errors.Is(err, tt.want) || errors.Is(err, ErrUnknownUser) != (tt.want == ErrUnknownUser) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestForbidden(t *testing.T) {
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) })
	for _, q := range []Question{login, {Name: "alice@example.com", Lookup: true}} {
		// The user exists.
		if _, err := client.Ask(t.Context(), q); !errors.Is(err, ErrForbidden) || !errors.Is(err, ErrDenied) || errors.Is(err, ErrUnknownUser) || err.Error() != "denied: a permission is missing" {
			t.Errorf("%v, want ErrForbidden", err)
		}
	}
}

// A Python server sends no nonce. Having none is allowed then, having another
// is not.
func TestLegacyServer(t *testing.T) {
	for nonce, want := range map[any]error{nil: nil, "another": ErrDenied} {
		client := newClient(t, answers(t, func(ask request) string {
			c := yes(ask)
			delete(c, "nonce")
			if nonce != nil {
				c["nonce"] = nonce
			}
			return signers()["RS256"].sign(t, c)
		}))
		client.Legacy = true
		if _, err := client.Ask(t.Context(), login); !errors.Is(err, want) {
			t.Errorf("nonce %v: %v, want %v", nonce, err, want)
		}
	}
}

func TestIssuer(t *testing.T) {
	tests := []struct {
		host, issuer, want string // want: that is named; empty: none is
		good               bool
	}{
		{"auth.example.com", "auth.example.com", "", true},
		{"Auth.Example.com:8443", "auth.example.com", "", true},
		{"auth.example.com", "example.com", "", true},
		{"a.b.example.com", "example.com", "", true},
		{"auth.example.com", "com", "", false},
		{"auth.example.com", "", "", false},
		{"auth.example.com", "example.org", "", false},
		{"auth.example.com", "www.auth.example.com", "", false},
		{"auth.example.com", "th.example.com", "", false},
		{"auth.example.com", ".example.com", "", false},
		{"localhost", "localhost", "", true},
		{"127.0.0.1:8443", "127.0.0.1", "", true},
		{"127.0.0.1:8443", "0.1", "", false},
		{"127.0.0.1:8443", "example.com", "example.com", true},
		{"auth.example.com", "EXAMPLE.com", "example.com", true},
		{"auth.example.com", "auth.example.com", "example.com", false},
		{"auth.example.com", "example.com", "auth.example.com", false},
	}
	for _, tt := range tests {
		client := Client{URL: &url.URL{Host: tt.host}, Issuer: tt.want}
		if got := client.issuedBy(tt.issuer); got != tt.good {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// Whoever prints a question or an error does not print a password.
func TestNothingSecretShows(t *testing.T) {
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	client.Secret = "ac_credential"
	_, err := client.Ask(t.Context(), login)
	text := fmt.Sprintf("%v %+v %#v %v %+v", err, login, login, *client, Login{"alice", "secret"})
	if strings.Contains(text, "secret\"") || strings.Contains(text, ":secret") || strings.Contains(text, "ac_credential") {
		t.Error(text)
	}
}

func TestHoldsAny(t *testing.T) {
	a := Answer{Scopes: []string{"imap", "webdav.read"}}
	for want, sets := range map[bool][][]string{
		true:  {{"imap"}, {"admins", "imap"}, {"webdav.read", "imap"}},
		false: {nil, {"admins"}, {"ima", "webdav"}, {""}, {"IMAP"}},
	} {
		for _, set := range sets {
			if got := a.HoldsAny(set); got != want {
				t.Errorf("HoldsAny(%q) = %v", set, got)
			}
		}
	}
}
