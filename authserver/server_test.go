package authserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/clientapi"
	"authbridge/internal/daemon"
	"authbridge/internal/pgtest"
	"authbridge/sql"

	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) {
	slog.SetDefault(quiet) // each request has a line
	pgtest.Main(m)
}

var quiet = slog.New(slog.DiscardHandler)

// newConfig returns the configuration of a server whose database has not
// answered yet.
func newConfig() Config {
	return Config{
		Rooms:   func() *Rooms { return nil },
		Metrics: NewMetrics(func() *pgxpool.Stat { return nil }),
		Version: "1.2.3",

		Mounts: []string{"/o2", "/oauth2"}, IssuerPath: "/o2",
	}
}

// start serves on a port of its own, with the limits of the real server.
func start(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config = daemon.NewServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.Start()
	t.Cleanup(server.Close)
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return server
}

// raw sends text as it is, and returns the answer.
func raw(t *testing.T, server *httptest.Server, text string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("answer to %.80q: %v", text, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("answer to %.80q: %v", text, err)
	}
	return res, string(body)
}

// serve lets a handler answer a request without a connection.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// seen is what an endpoint sees of a request.
type seen struct {
	Client, Scheme, Host string
	Headers              []string // names of those that tell of proxies
}

// echo answers with what it sees.
func echo(w http.ResponseWriter, r *http.Request) {
	s := seen{Client: r.RemoteAddr, Scheme: r.URL.Scheme, Host: r.Host}
	for name := range r.Header {
		if slices.Contains(forwarding, name) {
			s.Headers = append(s.Headers, name)
		}
	}
	json.NewEncoder(w).Encode(s)
}

func ask(t *testing.T, server *httptest.Server, headers map[string]string) seen {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "auth.example.com"
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var s seen
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Everything that a client may make up about itself.
var forged = map[string]string{
	"X-Forwarded-For":    "198.51.100.1",
	"X-Forwarded-Proto":  "https",
	"X-Forwarded-Host":   "evil.example.org",
	"X-Forwarded-Port":   "443",
	"X-Forwarded-Ssl":    "on",
	"X-Forwarded-Scheme": "https",
	"X-Real-IP":          "198.51.100.1",
	"X-Request-Id":       "forged",
	"Forwarded":          "for=198.51.100.1;proto=https;host=evil.example.org",
}

func TestUntrustedPeerIsNotBelieved(t *testing.T) {
	cfg := newConfig()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	cfg.ForwardedHost = true
	var id string
	server := start(t, cfg.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id = w.Header().Get("X-Request-Id")
		echo(w, r)
	})))
	s := ask(t, server, forged)
	if peer, err := netip.ParseAddrPort(s.Client); err != nil || !peer.Addr().IsLoopback() || peer.Port() == 0 {
		t.Errorf("client %q, want the address of this process", s.Client)
	}
	if s.Scheme != "http" || s.Host != "auth.example.com" || len(s.Headers) > 0 {
		t.Errorf("the endpoint sees %+v", s)
	}
	if len(id) != 32 || id == "forged" {
		t.Errorf("request id %q, want one of ours", id)
	}
}

func TestTrustedProxy(t *testing.T) {
	tests := map[string]struct {
		headers map[string]string
		want    seen
	}{
		"nothing told":               {nil, seen{Scheme: "http", Host: "auth.example.com"}},
		"all told":                   {forged, seen{Client: "198.51.100.1:0", Scheme: "https", Host: "evil.example.org"}},
		"left entries are made up":   {map[string]string{"X-Forwarded-For": "203.0.113.9, 127.0.0.1, 198.51.100.1"}, seen{Client: "198.51.100.1:0", Scheme: "http", Host: "auth.example.com"}},
		"two proxies":                {map[string]string{"X-Forwarded-For": "203.0.113.9, 198.51.100.1, 127.0.0.8"}, seen{Client: "198.51.100.1:0", Scheme: "http", Host: "auth.example.com"}},
		"trusted all the way":        {map[string]string{"X-Forwarded-For": "127.0.0.9, 127.0.0.8"}, seen{Client: "127.0.0.9:0", Scheme: "http", Host: "auth.example.com"}},
		"rubbish on the left":        {map[string]string{"X-Forwarded-For": "<script>, 198.51.100.1"}, seen{Client: "198.51.100.1:0", Scheme: "http", Host: "auth.example.com"}},
		"rubbish behind a proxy":     {map[string]string{"X-Forwarded-For": "198.51.100.1, unknown, 127.0.0.8"}, seen{Client: "127.0.0.8:0", Scheme: "http", Host: "auth.example.com"}},
		"address and port":           {map[string]string{"X-Forwarded-For": "[2001:db8::1]:4711"}, seen{Client: "[2001:db8::1]:4711", Scheme: "http", Host: "auth.example.com"}},
		"IPv4 mapped, zone":          {map[string]string{"X-Forwarded-For": "::ffff:198.51.100.1, fe80::1%eth0, ::ffff:127.0.0.8"}, seen{Client: "[fe80::1]:0", Scheme: "http", Host: "auth.example.com"}},
		"scheme in capitals":         {map[string]string{"X-Forwarded-Proto": "HTTPS"}, seen{Scheme: "https", Host: "auth.example.com"}},
		"scheme by several proxies":  {map[string]string{"X-Forwarded-Proto": "https, http"}, seen{Scheme: "http", Host: "auth.example.com"}},
		"another scheme":             {map[string]string{"X-Forwarded-Proto": "gopher"}, seen{Scheme: "http", Host: "auth.example.com"}},
		"host that is none":          {map[string]string{"X-Forwarded-Host": "a/b"}, seen{Scheme: "http", Host: "auth.example.com"}},
		"host and port":              {map[string]string{"X-Forwarded-Host": "example.org:8443"}, seen{Scheme: "http", Host: "example.org:8443"}},
		"a client that is nobody":    {map[string]string{"X-Forwarded-For": "0.0.0.0"}, seen{Client: "0.0.0.0:0", Scheme: "http", Host: "auth.example.com"}},
		"Forwarded alone is ignored": {map[string]string{"Forwarded": forged["Forwarded"]}, seen{Scheme: "http", Host: "auth.example.com"}},
	}
	cfg := newConfig()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	cfg.ForwardedHost = true
	server := start(t, cfg.around(http.HandlerFunc(echo)))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ask(t, server, tt.headers)
			if tt.want.Client == "" && strings.HasPrefix(got.Client, "127.0.0.1:") {
				got.Client = ""
			}
			if got.Client != tt.want.Client || got.Scheme != tt.want.Scheme || got.Host != tt.want.Host || len(got.Headers) > 0 {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}

	cfg.ForwardedHost = false
	if got := ask(t, start(t, cfg.around(http.HandlerFunc(echo))), forged); got.Host != "auth.example.com" {
		t.Errorf("without --use-x-forwarded-host the host is %q", got.Host)
	}
	cfg.AssumeHTTPS = true
	if got := ask(t, start(t, cfg.around(http.HandlerFunc(echo))), map[string]string{"X-Forwarded-Proto": "http"}); got.Scheme != "https" {
		t.Errorf("with --assume-https the scheme is %q", got.Scheme)
	}
}

// A proxy that shows a certificate of its own does not lend it to those whose
// requests it passes on.
func TestCertificateOfATrustedProxy(t *testing.T) {
	cfg := newConfig()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	for peer, want := range map[string]int{"192.0.2.1:1": 0, "192.0.2.2:1": 1} {
		r := httptest.NewRequest("POST", "https://auth.example.com/checkpassword", nil)
		r.RemoteAddr = peer
		shown := &x509.Certificate{}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{shown}, VerifiedChains: [][]*x509.Certificate{{shown}}}
		cfg.asClientSent(r)
		if len(r.TLS.VerifiedChains) != want || len(r.TLS.PeerCertificates) != want || r.URL.Scheme != "https" {
			t.Errorf("from %s: %d chains, %d certificates, %s; want %d of each, https",
				peer, len(r.TLS.VerifiedChains), len(r.TLS.PeerCertificates), r.URL.Scheme, want)
		}
	}
}

func TestRequestID(t *testing.T) {
	cfg := newConfig()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	h := cfg.around(http.HandlerFunc(echo))
	id := func(peer, sent string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Request-Id", sent)
		return serve(h, r).Header().Get("X-Request-Id")
	}
	if got := id("192.0.2.1:80", "0af7-651916cd"); got != "0af7-651916cd" {
		t.Errorf("a trusted proxy's id became %q", got)
	}
	for _, sent := range []string{"", "a b", "x\ny", `"`, strings.Repeat("x", 65)} {
		if got := id("192.0.2.1:80", sent); len(got) != 32 {
			t.Errorf("%q from a trusted proxy became %q", sent, got)
		}
	}
	if a, b := id("198.51.100.1:80", ""), id("198.51.100.1:80", ""); a == b || len(a) != 32 {
		t.Errorf("ids %q and %q", a, b)
	}
}

// Whatever a client writes in front, the address behind it counts.
func FuzzClientOf(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	proxy := netip.MustParseAddrPort("10.0.0.1:80")
	f.Add("")
	f.Add("10.0.0.2, fd00::1")
	f.Add("[fd00::1]:80,,[")
	f.Fuzz(func(t *testing.T, made string) {
		if got := clientOf(proxy, trusted, []string{made, "198.51.100.1, 10.0.0.3"}); got.Addr() != netip.MustParseAddr("198.51.100.1") {
			t.Errorf("behind %q the client is %v", made, got)
		}
		if outsider := netip.MustParseAddrPort("203.0.113.1:9"); clientOf(outsider, trusted, []string{made}) != outsider {
			t.Errorf("%q is believed from an untrusted peer", made)
		}
		if got := clientOf(proxy, trusted, []string{made}); !got.Addr().IsValid() || got.Addr().Zone() != "" || got.Addr().Is4In6() {
			t.Errorf("%q makes the client %v", made, got)
		}
	})
}

func TestRateLimit(t *testing.T) {
	cfg := newConfig()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	cfg.RateLimit, cfg.RateBurst = .001, 3
	asked := 0
	server := start(t, cfg.around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ })))
	status := func(client string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", client)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for i := range 3 {
		if res := status("198.51.100.1"); res.StatusCode != 200 {
			t.Fatalf("request %d: %s", i, res.Status)
		}
	}
	res := status("198.51.100.1")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "1000" {
		t.Errorf("a request too many: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	// What an attacker puts in front does not make another client of it.
	if res := status("203.0.113.77, 198.51.100.1"); res.StatusCode != 429 {
		t.Errorf("with a made-up address in front: %s", res.Status)
	}
	// All come by the same proxy, and others are not held up.
	if res := status("198.51.100.2"); res.StatusCode != 200 {
		t.Errorf("another client behind the same proxy: %s", res.Status)
	}
	if asked != 4 {
		t.Errorf("the site was asked %d times, want 4", asked)
	}
	for i, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:1", "2001:db8::4"} {
		want := 200
		if i == 3 {
			want = 429
		}
		if res := status(address); res.StatusCode != want {
			t.Errorf("%s: %s, want %d: a network of 64 bits is one client", address, res.Status, want)
		}
	}
	if res := status("2001:db8:0:1::1"); res.StatusCode != 200 {
		t.Errorf("another network: %s", res.Status)
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	cfg := newConfig()
	cfg.AllowedHosts = []HostPattern{"auth.example.com"}
	site := New(cfg)
	limited := cfg
	limited.RateLimit, limited.RateBurst = .001, 1
	tooMany := New(limited)
	serve(tooMany, httptest.NewRequest("GET", "http://auth.example.com/robots.txt", nil))

	tests := map[string]struct {
		handler      http.Handler
		method, path string
		status       int
	}{
		"page":              {site, "GET", "/robots.txt", 200},
		"unknown path":      {site, "GET", "/nothing", 404},
		"wrong method":      {site, "GET", "/checkpassword", 405},
		"database away":     {site, "POST", "/checkpassword", 503},
		"not a clean path":  {site, "POST", "//checkpassword", 404},
		"tunnel":            {site, "CONNECT", "/checkpassword", 405},
		"another host":      {site, "GET", "http://evil.example.org/robots.txt", 400},
		"rate limit":        {tooMany, "GET", "/robots.txt", 429},
		"panic":             {cfg.around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { clear(w.Header()); panic("x") })), "GET", "/", 500},
		"body too long":     {site, "POST", "/checkpassword", 413},
		"server's options":  {site, "OPTIONS", "*", 404},
		"headers replaced":  {cfg.around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", http.StatusTeapot) })), "GET", "/", http.StatusTeapot},
		"method of no name": {site, "BREW", "/getkey", 405},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var body io.Reader
			if name == "body too long" {
				body = strings.NewReader(strings.Repeat("x", maxBody+1))
			}
			r := httptest.NewRequest(tt.method, strings.Replace(tt.path, "//", "/", strings.Count(tt.path, "*")), body)
			if !strings.Contains(tt.path, "://") {
				r.Host = "auth.example.com"
				r.URL.Path = tt.path
			}
			for _, scheme := range []string{"http", "https"} {
				if scheme == "https" {
					r.TLS = httptest.NewRequest("GET", "https://auth.example.com/", nil).TLS
				}
				if body != nil {
					body.(*strings.Reader).Seek(0, io.SeekStart)
				}
				w := serve(tt.handler, r)
				if w.Code != tt.status {
					t.Errorf("%s: status %d, want %d", scheme, w.Code, tt.status)
				}
				for header, want := range map[string]string{
					"X-Robots-Tag":               "noindex, nofollow, noarchive, nosnippet, noimageindex, notranslate, max-image-preview:none, max-snippet:0, max-video-preview:0",
					"X-Frame-Options":            "DENY",
					"X-Content-Type-Options":     "nosniff",
					"Referrer-Policy":            "same-origin",
					"Cross-Origin-Opener-Policy": "same-origin",
					"Vary":                       "Cookie, origin",
					"Strict-Transport-Security":  map[string]string{"https": "max-age=31536000"}[scheme],
				} {
					if got := w.Header().Get(header); got != want {
						t.Errorf("%s: %s: %q, want %q", scheme, header, got, want)
					}
				}
				if w.Header().Get("X-Request-Id") == "" {
					t.Errorf("%s: no X-Request-Id", scheme)
				}
				if tt.status == 405 && w.Header().Get("Allow") == "" {
					t.Errorf("%s: 405 without Allow", scheme)
				}
			}
		})
	}
}

func TestPanic(t *testing.T) {
	t.Run("before the answer", func(t *testing.T) {
		w := serve(newConfig().around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "7")
			w.Header().Set("Set-Cookie", "half=done")
			panic("internal text")
		})), httptest.NewRequest("GET", "/", nil))
		if w.Code != 500 || w.Header().Get("Set-Cookie") != "" || w.Header().Get("Content-Length") != "" || strings.Contains(w.Body.String(), "internal text") {
			t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
		}
	})
	t.Run("within the answer", func(t *testing.T) {
		server := start(t, newConfig().around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic("x")
		})))
		res, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("half an answer, %q, looks like a whole one", body)
		}
	})
}

// The log tells who asked what and when, and nothing that opens anything.
func TestAccessLog(t *testing.T) {
	var log lockedBuffer
	daemon.Log{}.Start(&log)
	t.Cleanup(func() { slog.SetDefault(quiet) })
	server := start(t, newConfig().around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		slog.InfoContext(r.Context(), "within")
		w.WriteHeader(202)
		io.WriteString(w, "hello")
	})))
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/check%0Apassword/?token=sesame1", strings.NewReader("password=sesame2"))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("alice", "sesame3")
	r.Header.Set("Cookie", "session=sesame4")
	r.Header.Set("Referer", "http://example.com/?sesame5")
	r.Header.Set("User-Agent", "sesame6")
	r.Header.Set("X-Forwarded-For", "sesame7")
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	server.Close() // now the line is written

	text := log.String()
	for _, secret := range []string{"sesame", "YWxpY2U6c2VzYW1lMw"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log:\n%s", secret, text)
		}
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want that of the endpoint and that of the request:\n%s", len(lines), text)
	}
	id := res.Header.Get("X-Request-Id")
	for _, want := range []string{`msg=request`, `client=127.0.0.1`, `method=POST`, `path="/check\npassword/"`, `status=202`, `bytes=5`, `duration=`, `request_id=` + id} {
		if !strings.Contains(lines[1], want) {
			t.Errorf("no %s in %s", want, lines[1])
		}
	}
	if !strings.HasSuffix(lines[0], "msg=within request_id="+id) {
		t.Errorf("a line without the request's id: %s", lines[0])
	}
}

// lockedBuffer is for log lines of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestBodyLimit(t *testing.T) {
	read := 0
	server := start(t, newConfig().around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		read = int(n)
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		}
	})))
	post := func(body io.Reader) *http.Response {
		t.Helper()
		res, err := server.Client().Post(server.URL, "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	if res := post(strings.NewReader(strings.Repeat("x", maxBody))); res.StatusCode != 200 || read != maxBody {
		t.Errorf("%d bytes: %s, %d read", maxBody, res.Status, read)
	}
	read = 0
	if res := post(strings.NewReader(strings.Repeat("x", maxBody+1))); res.StatusCode != 413 || read != 0 || !res.Close {
		t.Errorf("%d bytes: %s, %d read, closed: %v", maxBody+1, res.Status, read, res.Close)
	}
	// Of unknown length.
	if res := post(io.MultiReader(strings.NewReader(strings.Repeat("x", maxBody+1)))); res.StatusCode != 413 || read > maxBody || !res.Close {
		t.Errorf("%d bytes in chunks: %s, %d read, closed: %v", maxBody+1, res.Status, read, res.Close)
	}
}

func TestHeaderLimit(t *testing.T) {
	server := start(t, New(newConfig()))
	res, _ := raw(t, server, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Filler: "+strings.Repeat("x", 32<<10)+"\r\n\r\n")
	if res.StatusCode != 431 {
		t.Errorf("32 KiB of headers: %s, want 431", res.Status)
	}
	if res, _ := raw(t, server, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Filler: "+strings.Repeat("x", 8<<10)+"\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("8 KiB of headers: %s, want 200", res.Status)
	}
}

func TestRoutes(t *testing.T) {
	server := start(t, New(newConfig()))
	for _, tt := range []struct {
		request string
		status  int
		allow   string
		body    string
	}{
		{"GET /robots.txt", 200, "", "User-agent: *\nDisallow: /\n"},
		{"GET /healthz", 200, "", "ok\n"},
		{"GET /healthz/", 200, "", "ok\n"},
		{"HEAD /healthz", 200, "", ""},
		{"POST /healthz/", 200, "", "ok\n"},
		{"GET /readyz", 503, "", "the database has not answered yet\n"},
		{"GET /health/", 503, "", `{"status": "error", "error": true, "version": "1.2.3"}`},
		{"POST /checkpassword/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /checkpassword", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /email-agent-auth-tokens/validate/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /verify", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /dovecot/auth-policy?command=allow", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"PROPFIND /forward-auth", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /getkey/?domain=example.com", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /.well-known/webfinger/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /docker/token/?service=x", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /docker/token/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /docker/token", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /auth/token?service=x", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /auth/token/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /login?request=x", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /action/login/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /action/logout/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /o2/authorize/?client_id=x", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /o2/authorize/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /o2/token/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"OPTIONS /o2/token/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /o2/introspect", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /o2/revoke_token/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /oauth2/revoke", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /oauth2/userinfo", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /o2/fake-userinfo/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /o2/logout/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"POST /o2/logout/confirm", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /o2/.well-known/openid-configuration/", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /oauth2/.well-known/jwks.json", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /.well-known/oauth-authorization-server/o2", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /.well-known/openid-configuration/o2", 503, "", `{"error": "Temporarily unavailable"}` + "\n"},
		{"GET /.well-known/openid-configuration", 404, "", "404 page not found\n"}, // another issuer's
		{"GET /o2/token", 405, "OPTIONS, POST", "Method Not Allowed\n"},
		{"GET /o2/introspect?token=x", 405, "POST", "Method Not Allowed\n"},
		{"GET /o2/consent", 405, "POST", "Method Not Allowed\n"},
		{"DELETE /o2/authorize", 405, "GET, HEAD, POST", "Method Not Allowed\n"},
		{"GET /o2/", 404, "", "404 page not found\n"},
		{"GET /o/authorize", 404, "", "404 page not found\n"}, // no mount of this server
		{"GET /static/x", 404, "", "404 page not found\n"},
		{"GET /static/", 404, "", "404 page not found\n"}, // and no redirect to itself
		{"PUT /docker/token/", 405, "GET, HEAD, POST", "Method Not Allowed\n"},
		{"GET /checkpassword/", 405, "POST", "Method Not Allowed\n"},
		{"TRACE /getkey/", 405, "GET, HEAD", "Method Not Allowed\n"},
		{"DELETE /verify", 405, "POST", "Method Not Allowed\n"},
		{"GET /healthz//", 404, "", "404 page not found\n"},
		{"GET /checkpassword/x", 404, "", "404 page not found\n"},
		{"GET /metrics", 404, "", "404 page not found\n"},
		{"POST //checkpassword", 404, "", "404 page not found\n"},
		{"POST /x/../checkpassword", 404, "", "404 page not found\n"},
		{"POST /checkpassword%2F", 404, "", "404 page not found\n"},
		{"POST /checkpassword/.", 404, "", "404 page not found\n"},
		{"POST http://evil.example.org", 404, "", "404 page not found\n"},
		{"POST http://evil.example.org//checkpassword", 404, "", "404 page not found\n"},
		{"OPTIONS *", 404, "", "404 page not found\n"},
		{"CONNECT evil.example.org:443", 405, "GET, HEAD, POST", "Method not allowed\n"},
	} {
		t.Run(tt.request, func(t *testing.T) {
			res, body := raw(t, server, tt.request+" HTTP/1.1\r\nHost: auth.example.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if res.StatusCode != tt.status || body != tt.body || res.Header.Get("Allow") != tt.allow {
				t.Errorf("%s %q, Allow: %q; want %d %q, %q", res.Status, body, res.Header.Get("Allow"), tt.status, tt.body, tt.allow)
			}
		})
	}
	res, _ := raw(t, server, "GET /robots.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got := res.Header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("robots.txt is %q", got)
	}
	if res, _ := raw(t, server, "POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); res.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

// A page of somebody else cannot send a form for the user of a browser, but it
// can send the browser here, and ask what clients ask.
func TestForms(t *testing.T) {
	site := New(newConfig())
	for path, refused := range map[string]bool{
		"/login": true, "/logout": true, "/action/login/": true, "/action/logout/": true, "/o2/consent": true, "/oauth2/logout/confirm": true,
		"/o2/authorize": false, "/o2/token": false, "/o2/userinfo": false, "/o2/logout": false, "/o2/revoke": false, "/checkpassword": false,
	} {
		for name, header := range map[string]http.Header{
			"Sec-Fetch-Site": {"Sec-Fetch-Site": {"cross-site"}},
			"a sister":       {"Sec-Fetch-Site": {"same-site"}},
			"Origin":         {"Origin": {"https://evil.example"}},
			"no origin":      {"Origin": {"null"}},
		} {
			r := httptest.NewRequest("POST", "https://auth.example.com"+path, nil)
			r.Header = header
			if w := serve(site, r); (w.Code == http.StatusForbidden) != refused {
				t.Errorf("%s, %s: %d", path, name, w.Code)
			}
		}
		r := httptest.NewRequest("POST", "https://auth.example.com"+path, nil)
		r.Header = http.Header{"Origin": {"https://auth.example.com"}, "Sec-Fetch-Site": {"same-origin"}}
		if w := serve(site, r); w.Code == http.StatusForbidden {
			t.Errorf("%s from our own page: %d", path, w.Code)
		}
	}
}

// Without an issuer there is no OpenID Connect, and nothing breaks.
func TestNoIssuer(t *testing.T) {
	cfg := newConfig()
	cfg.Rooms = func() *Rooms { return &Rooms{} }
	site := New(cfg)
	for _, request := range []string{"GET /o2/authorize", "POST /o2/token", "GET /o2/userinfo", "GET /o2/logout", "GET /o2/.well-known/openid-configuration"} {
		method, path, _ := strings.Cut(request, " ")
		w := serve(site, httptest.NewRequest(method, "https://auth.example.com"+path, nil))
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no issuer") {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
	}
}

func TestParseMount(t *testing.T) {
	for text, want := range map[string]Mount{
		"/oauth2": "/oauth2", "/o/": "/o", "/auth-server/v1": "/auth-server/v1",
		"": "", "/": "", "oauth2": "", "/o//x": "", "/o/{x}": "", "/o x": "", "/../o": "", "/login": "", "/docker/token": "", "/.well-known": "", "/static/": "",
	} {
		if m, err := ParseMount(text); m != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, m, err)
		}
	}
	if got := Mounts("/o2", []Mount{"/oauth2", "/o2"}); !slices.Equal(got, []string{"/o2", "/oauth2"}) {
		t.Errorf("mounts %q", got)
	}
	if got := Mounts("/sso", nil); !slices.Equal(got, []string{"/sso", "/o2"}) {
		t.Errorf("mounts %q", got)
	}
}

// No method and no path, however written, is answered by a redirect, or by a
// server error other than that the database is away.
func FuzzNoRedirect(f *testing.F) {
	for _, path := range []string{"/", "//", "/checkpassword", "/checkpassword/", "//checkpassword/", "/./checkpassword", "/a/../verify",
		"/checkpassword%2f", "/%63heckpassword", "/checkpassword//", "/..", "/%2e%2e/verify", "*", "http://x//verify", "/verify?//", "/verify;/", "/ver%00ify", "/%"} {
		f.Add("POST", path)
	}
	f.Add("CONNECT", "x:1")
	f.Add("GET", "/getkey/")
	cfg := newConfig()
	cfg.RateLimit = 0
	site := New(cfg)
	f.Fuzz(func(t *testing.T, method, path string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + path + " HTTP/1.1\r\nHost: auth.example.com\r\n\r\n")))
		if err != nil {
			return // net/http answers that by itself
		}
		r.RemoteAddr = "192.0.2.1:4711"
		w := serve(site, r)
		switch {
		case w.Code >= 300 && w.Code < 400, w.Header().Get("Location") != "":
			t.Errorf("%s %q: %d to %q", method, path, w.Code, w.Header().Get("Location"))
		case w.Code >= 500 && w.Code != 503:
			t.Errorf("%s %q: %d", method, path, w.Code)
		case w.Header().Get("X-Frame-Options") == "":
			t.Errorf("%s %q: %d without security headers", method, path, w.Code)
		}
	})
}

func TestAllowedHosts(t *testing.T) {
	cfg := newConfig()
	cfg.AllowedHosts = []HostPattern{"auth.example.com", ".example.org", "2001:db8::1"}
	site := New(cfg)
	for host, want := range map[string]int{
		"auth.example.com": 200, "AUTH.example.com:8443": 200, "auth.example.com.": 200,
		"example.org": 200, "a.b.example.org": 200, "[2001:db8::1]:443": 200, "[2001:db8::1]": 200,
		"example.com": 400, "x.auth.example.com": 400, "notexample.org": 400, "example.org.evil.test": 400, "": 400, "127.0.0.1": 400, "[2001:db8::2]": 400,
	} {
		r := httptest.NewRequest("GET", "/robots.txt", nil)
		r.Host = host
		if got := serve(site, r).Code; got != want {
			t.Errorf("host %q: %d, want %d", host, got, want)
		}
	}
	// Load balancers ask by address.
	for path, want := range map[string]int{"/healthz": 200, "/readyz/": 503, "/health/": 503} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "192.0.2.9:8999"
		if got := serve(site, r).Code; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestParseHostPattern(t *testing.T) {
	for in, want := range map[string]HostPattern{
		"*": "*", "Example.com": "example.com", ".Example.com": ".example.com", "[2001:db8::1]": "2001:db8::1", "192.0.2.1": "192.0.2.1", "localhost": "localhost",
		"": "", ".": "", "..example.com": "", "*.example.com": "", "example.com:80": "", "example.com/": "", "https://example.com": "", "a b": "", "a@b": "", ".[2001:db8::1]": "",
	} {
		got, err := ParseHostPattern(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseHostPattern(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

// A pattern that was read allows the host that it names, and no other host but
// what a wildcard covers.
func FuzzParseHostPattern(f *testing.F) {
	f.Add("example.com")
	f.Add(".example.com")
	f.Add("[::1]")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParseHostPattern(in)
		if err != nil {
			return
		}
		host := strings.TrimPrefix(in, ".")
		if p != "*" && !p.matches(hostName(host)) {
			t.Errorf("%q does not match itself", in)
		}
		if p != "*" && (p.matches("") || p.matches("evil.test-"+hostName(host))) {
			t.Errorf("%q matches another host", in)
		}
		if again, err := ParseHostPattern(strings.ToUpper(in)); err != nil || again != p {
			t.Errorf("in capitals, %q is %q, %v", in, again, err)
		}
	})
}

func TestHealth(t *testing.T) {
	db := pgtest.New(t, "authserver_web")
	cfg := newConfig()
	cfg.Rooms = func() *Rooms { return &Rooms{ClientAPI: &clientapi.API{DB: db.Pool}} }
	site := New(cfg)
	check := func(path string, status int, body string) {
		t.Helper()
		w := serve(site, httptest.NewRequest("GET", path, nil))
		if w.Code != status || w.Body.String() != body {
			t.Errorf("%s: %d %q, want %d %q", path, w.Code, w.Body, status, body)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", path)
		}
	}
	check("/readyz", 200, "ok\n")
	check("/health/", 200, `{"status": "ok", "error": false, "version": "1.2.3"}`)

	if _, err := db.Owner.Exec(t.Context(), `update auth.installed set version = version + 1`); err != nil {
		t.Fatal(err)
	}
	check("/readyz", 503, fmt.Sprintf("the database is at version %d, this program needs %d\n", sql.Version+1, sql.Version))
	check("/health", 503, `{"status": "error", "error": true, "version": "1.2.3"}`)

	away, err := pgxpool.New(t.Context(), "postgres://nobody:sesame@127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	cfg.Rooms = func() *Rooms { return &Rooms{ClientAPI: &clientapi.API{DB: away}} }
	site = New(cfg)
	check("/healthz", 200, "ok\n")
	check("/readyz", 503, "the database does not answer\n")
	check("/health", 503, `{"status": "error", "error": true, "version": "1.2.3"}`)
}

func TestMetrics(t *testing.T) {
	db := pgtest.New(t, "authserver_web")
	cfg := newConfig()
	cfg.Metrics = NewMetrics(db.Stat)
	cfg.RateLimit, cfg.RateBurst = .001, 4
	site := New(cfg)
	for _, path := range []string{"/healthz", "/healthz", "/some/secret", "/checkpassword", "/healthz"} {
		serve(site, httptest.NewRequest("GET", path, nil))
	}
	cfg.Metrics.Login("denied")
	w := serve(cfg.Metrics.Handler(), httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`authserver_http_request_duration_seconds_count{route="/healthz",status="2xx"} 2`,
		`authserver_http_request_duration_seconds_count{route="none",status="4xx"} 3`,
		`authserver_http_rate_limited_total 1`,
		`authserver_logins_total{outcome="denied"} 1`,
		`authserver_db_connections{state="used"} 0`,
		`authserver_db_connections_max 20`,
		`go_goroutines `,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "secret") {
		t.Error("a path that somebody made up is counted by itself")
	}
}
