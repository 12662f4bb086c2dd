package client

import (
	"compress/gzip"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0",
		"223.255.255.255", "169.253.0.1", "2001:4860:4860::8888", "2606:4700::1111", "2a00::1", "2001:200::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	} {
		if !isPublic(netip.MustParseAddr(address)) {
			t.Errorf("%s is refused", address)
		}
	}
	for _, address := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.171", "192.0.2.1", "192.88.99.1", "192.168.0.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
		"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8", "100::1", "100:0:0:1::1",
		"2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "3fff::1",
		"4000::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::1111%eth0",
	} {
		if isPublic(netip.MustParseAddr(address)) {
			t.Errorf("%s is public", address)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// site is a web server on the own machine, and counts its visitors.
type site struct {
	*httptest.Server
	visits atomic.Int64
}

func newSite(t testing.TB, handler http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.visits.Add(1)
		handler(w, r)
	}))
	s.Config.ErrorLog = nil
	s.Server.StartTLS()
	t.Cleanup(s.Server.Close)
	return s
}

func (s *site) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func (s *site) port() string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// fetcher may go to the own machine, where every name leads.
func (s *site) fetcher() *Fetcher {
	return &Fetcher{
		Permit:  netip.Addr.IsLoopback,
		RootCAs: s.roots(),
		lookup:  func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{loopback}, nil },
		timeout: time.Minute, // however busy the machine is
	}
}

var loopback = netip.MustParseAddr("127.0.0.1")

func TestFetch(t *testing.T) {
	t.Parallel()
	exact := strings.Repeat("x", maxFetched)
	elsewhere := newSite(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "elsewhere") })
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			fmt.Fprintf(w, "%s %s?%s", r.Method, r.Host, r.URL.RawQuery)
		case "/exact":
			fmt.Fprint(w, exact)
		case "/long":
			fmt.Fprint(w, exact+"x")
		case "/endless":
			for {
				if _, err := fmt.Fprint(w, exact); err != nil {
					return
				}
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, strings.Repeat("x", 1<<20))
			z.Close()
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxFetched))
		case "/silent":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/stuck":
			<-r.Context().Done()
		case "/missing":
			http.NotFound(w, r)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/home":
			http.Redirect(w, r, "/keys", http.StatusTemporaryRedirect)
		}
	})
	base := "https://app.example.com:" + s.port()

	fetch := func(path string) (string, error) {
		f := s.fetcher()
		if path == "/silent" || path == "/stuck" {
			f.timeout = 50 * time.Millisecond
		}
		text, err := f.get(t.Context(), base+path)
		return string(text), err
	}
	for path, want := range map[string]string{"/keys?a=b": "GET app.example.com:" + s.port() + "?a=b", "/exact": exact} {
		if got, err := fetch(path); got != want || err != nil {
			t.Errorf("%s: %.100q, %v; want %.100q", path, got, err, want)
		}
	}
	for _, path := range []string{
		"/long", "/endless", "/header", "/silent", "/stuck", "/missing", "/empty", "/redirect", "/home", "/../keys",
	} {
		if got, err := fetch(path); got != "" || err == nil {
			t.Errorf("%s: %.100q, %v", path, got, err)
		}
	}
	// What is packed stays so.
	if got, err := fetch("/bomb"); err != nil || !strings.HasPrefix(got, "\x1f\x8b") {
		t.Errorf("/bomb: %d bytes, %v", len(got), err)
	}
	if n := elsewhere.visits.Load(); n != 0 {
		t.Errorf("a redirection was followed %d times", n)
	}

	// Without TLS, or with that of somebody else.
	before := s.visits.Load()
	for _, uri := range []string{
		"http://app.example.com:" + s.port() + "/keys", "//app.example.com/keys", "file:///etc/passwd", "gopher://app.example.com/", "",
		"https://user:pw@app.example.com:" + s.port() + "/keys", "https://other.test:" + s.port() + "/keys",
	} {
		if got, err := s.fetcher().get(t.Context(), uri); got != nil || err == nil {
			t.Errorf("%q: %q, %v", uri, got, err)
		}
	}
	if got, err := (&Fetcher{Permit: netip.Addr.IsLoopback, lookup: s.fetcher().lookup}).get(t.Context(), base+"/keys"); got != nil || err == nil {
		t.Errorf("an unknown authority: %q, %v", got, err)
	}
	if n := s.visits.Load(); n != before {
		t.Errorf("visited %d times", n-before)
	}
}

// The own machine and its neighbours are out of reach, whatever leads there.
func TestFetchRefusesPrivate(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "private") })
	connected := make(chan string, 100)
	for _, address := range []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::", "fe80::1%lo", "224.0.0.1",
	} {
		f := &Fetcher{RootCAs: s.roots(), lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(address), netip.MustParseAddr("127.0.0.1")}, nil
		}}
		if conn, err := f.dial(t.Context(), "tcp", "app.example.com:"+s.port()); err == nil {
			connected <- conn.RemoteAddr().String()
			conn.Close()
		} else if !strings.Contains(err.Error(), "not a public address") {
			t.Errorf("%s: %v", address, err)
		}
	}
	// By the system's resolver: literals, and the name of the own machine.
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		f := &Fetcher{RootCAs: s.roots()}
		if text, err := f.get(t.Context(), "https://"+host+":"+s.port()+"/"); err == nil {
			connected <- host + " says " + string(text)
		} else if !strings.Contains(err.Error(), "not a public address") {
			t.Errorf("%s: %v", host, err)
		}
	}
	close(connected)
	for what := range connected {
		t.Errorf("connected to %s", what)
	}
	if n := s.visits.Load(); n != 0 {
		t.Errorf("visited %d times", n)
	}
}

// A name that leads elsewhere the second time leads nowhere: there is one time.
func TestFetchLooksUpOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "keys") })
	var lookups atomic.Int64
	var permitted []netip.Addr
	f := s.fetcher()
	f.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "app.example.com" {
			t.Errorf("looked up %q", host)
		}
		if lookups.Add(1) > 1 {
			return []netip.Addr{netip.MustParseAddr("::1")}, nil
		}
		return []netip.Addr{loopback}, nil
	}
	f.Permit = func(a netip.Addr) bool {
		permitted = append(permitted, a)
		return a == loopback
	}
	if text, err := f.get(t.Context(), "https://app.example.com:"+s.port()+"/"); string(text) != "keys" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if lookups.Load() != 1 || len(permitted) != 1 {
		t.Errorf("looked up %d times, asked about %v", lookups.Load(), permitted)
	}
	// The next fetch asks again, and is refused.
	if text, err := f.get(t.Context(), "https://app.example.com:"+s.port()+"/"); text != nil || err == nil {
		t.Errorf("got %q, %v", text, err)
	}
	if s.visits.Load() != 1 {
		t.Errorf("visited %d times", s.visits.Load())
	}
}

// One address that does not answer is not the end, and no address is one.
func TestFetchTriesAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "keys") })
	f := s.fetcher()
	f.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.2"), loopback}, nil
	}
	if text, err := f.get(t.Context(), "https://app.example.com:"+s.port()+"/"); string(text) != "keys" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	f.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	if text, err := f.get(t.Context(), "https://app.example.com:"+s.port()+"/"); text != nil || err == nil {
		t.Errorf("got %q, %v", text, err)
	}
	f.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
	if text, err := f.get(t.Context(), "https://app.example.com:"+s.port()+"/"); text != nil || err == nil {
		t.Errorf("got %q, %v", text, err)
	}
}

// No proxy is asked: it would look up the name itself. Not parallel, because of
// the environment.
func TestFetchWithoutProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "keys") })
	if text, err := s.fetcher().get(t.Context(), "https://app.example.com:"+s.port()+"/"); string(text) != "keys" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestAuthenticateByPublishedKeys(t *testing.T) {
	t.Parallel()
	keys := signers()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(jwks(t, map[string]crypto.Signer{"d": keys.ed}))
	})
	row := signing("signs", nil)
	row.JWKSURI = "https://app.example.com:" + s.port() + "/jwks"
	other := row
	other.ClientID = "shares"
	inside := row
	inside.ClientID, inside.JWKSURI = "inside", "https://app.example.com:"+s.port()+"/other"

	cs := with(t, row, other, inside)
	cs.Fetch = *s.fetcher()
	ask := func(id string) error {
		_, _, err := cs.assert(t.Context(), sign(t, jwt.SigningMethodEdDSA, keys.ed, nil, claimsOf(id, nil)))
		return err
	}
	for _, id := range []string{"signs", "shares", "signs"} {
		if err := ask(id); err != nil {
			t.Error(err)
		}
	}
	cs.replace(t.Context(), []clientRow{other, row}, nil)
	if err := ask("signs"); err != nil {
		t.Error(err)
	}
	// One address is asked once, through loads and for all.
	if n := s.visits.Load(); n != 1 {
		t.Errorf("visited %d times", n)
	}

	// What is refused for its own sake makes nobody fetch.
	cs.replace(t.Context(), []clientRow{inside, row.disabled()}, nil)
	for _, claims := range []map[string]any{{"exp": 1}, {"aud": "x"}, {"jti": nil}} {
		text := sign(t, jwt.SigningMethodEdDSA, keys.ed, nil, claimsOf("inside", claims))
		if _, _, err := cs.assert(t.Context(), text); !errors.Is(err, ErrInvalidClient) {
			t.Error(err)
		}
	}
	if err := ask("signs"); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
	if n := s.visits.Load(); n != 1 {
		t.Errorf("visited %d times", n)
	}

	// Who hangs up meanwhile is not refused.
	cs.replace(t.Context(), []clientRow{inside}, nil)
	cs.Client("inside").keys.(*remoteKeys).fetching <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text := sign(t, jwt.SigningMethodEdDSA, keys.ed, nil, claimsOf("inside", nil))
	if _, _, err := cs.assert(ctx, text); !errors.Is(err, context.Canceled) || errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}

	// To production, that address is private.
	cs = with(t, row)
	cs.Fetch.RootCAs = s.roots()
	cs.Fetch.lookup = s.fetcher().lookup
	if err := ask("signs"); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
	if n := s.visits.Load(); n != 1 {
		t.Errorf("visited %d times", n)
	}
}
