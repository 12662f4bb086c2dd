package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// forwardAuth is Traefik's middleware of this name, as far as one server and
// one application can tell: what it sends, and what it does with the answer.
type forwardAuth struct {
	t           *testing.T
	address     string
	client      *http.Client
	sent, taken []string // headers of requests to the server, and of its answers
	removed     []string // before the application
	application http.Handler
}

func (f *forwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, f.address, nil)
	if err != nil {
		f.t.Error(err)
		return
	}
	for _, name := range f.sent {
		if values := r.Header.Values(name); values != nil {
			ask.Header[name] = values
		}
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr) // it has a port
	ask.Header.Set("X-Forwarded-For", client)
	ask.Header.Set("X-Forwarded-Method", r.Method)
	ask.Header.Set("X-Forwarded-Proto", "https")
	ask.Header.Set("X-Forwarded-Host", r.Host)
	ask.Header.Set("X-Forwarded-Port", "443")
	ask.Header.Set("X-Forwarded-Uri", r.URL.RequestURI())
	answer, err := f.client.Do(ask)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		io.Copy(w, answer.Body) // an error means that the browser has gone
		return
	}
	for _, name := range f.taken {
		r.Header.Del(name)
		if values := answer.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	for _, name := range f.removed {
		r.Header.Del(name)
	}
	f.application.ServeHTTP(w, r)
}

// startTraefik starts what behaves like a Traefik that is set up as the guide
// says.
func startTraefik(t *testing.T, auth *Authserver) string {
	t.Helper()
	files := ReadGuide(t, "traefik.md", "Configuration").Files
	if len(files) != 1 {
		t.Fatalf("the guide has %d files", len(files))
	}
	text := auth.Configure(files[0].Content)
	f := &forwardAuth{
		t:           t,
		address:     one(t, text, `address: "(.*)"`),
		client:      auth.Client(),
		sent:        strings.Fields(strings.ReplaceAll(one(t, text, `authRequestHeaders:\n((?: +- .*\n)+)`), "- ", "")),
		taken:       strings.Fields(strings.ReplaceAll(one(t, text, `authResponseHeaders:\n((?: +- .*\n)+)`), "- ", "")),
		application: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: NewApplication(t)}),
	}
	for _, m := range regexp.MustCompile(`(\S+): ""`).FindAllStringSubmatch(one(t, text, `customRequestHeaders:\n((?: +\S+: ""\n)+)`), -1) {
		f.removed = append(f.removed, m[1])
	}
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// one returns what a pattern finds in a text.
func one(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("there is no %s in:\n%s", pattern, text)
	}
	return m[1]
}

func TestTraefikLogin(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1")
	testGateLogins(t, db, startTraefik(t, auth))
}

func TestTraefikHeaders(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	testGateHeaders(t, startTraefik(t, auth))
}

func TestTraefikThrottle(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	url := startTraefik(t, StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1"))
	if status := testGateThrottle(t, db, url); status != http.StatusTooManyRequests {
		t.Errorf("status %d", status)
	}
}

func TestTraefikServerAway(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	url := startTraefik(t, auth)
	auth.stop(t)
	if status := testGateAway(t, url); status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
}
