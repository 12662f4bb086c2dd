package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authbridge/internal/command"
	"authbridge/internal/daemon"
	"authbridge/internal/pg"
	"authbridge/internal/pgtest"
	"authbridge/internal/seal"
	"authbridge/sql"

	"github.com/urfave/cli/v2"
)

// running is a server that the test has started.
type running struct {
	addrs []string
	stop  func() error    // ends it, if it has not ended, and returns what serve has
	ended <-chan struct{} // for servers that end by themselves
}

// startServe runs serve with a database, on free ports, and waits until it
// listens.
func startServe(t *testing.T, database string, change func(*serveConfig)) running {
	t.Helper()
	cfg := newServeConfig()
	cfg.database = pg.Config{URL: pg.URL{Secret: command.Secret(database)}, ApplicationName: "serve under test"}
	cfg.listen = []daemon.Address{"127.0.0.1:0"}
	master, err := seal.NewMaster("a secret key of the tests that everybody may know")
	if err != nil {
		t.Fatal(err)
	}
	cfg.master = master
	if change != nil {
		change(&cfg)
	}
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan []net.Addr, 1)
	cfg.listening = func(addrs []net.Addr) { listening <- addrs }

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var result error
	go func() {
		result = serve(ctx, cfg)
		close(ended)
	}()
	r := running{ended: ended, stop: func() error {
		cancel()
		<-ended
		return result
	}}
	t.Cleanup(func() { r.stop() }) // a test looks at what it has
	select {
	case addrs := <-listening:
		for _, a := range addrs {
			r.addrs = append(r.addrs, a.String())
		}
	case <-ended:
		t.Fatalf("serve: %v", result)
	}
	return r
}

func fetch(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	res, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

// await asks until the status is what is wanted.
func await(t *testing.T, address, path string, want int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		status, body := fetch(t, address, path)
		if status == want {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %d %q, want %d", path, status, body, want)
		case <-again.C:
		}
	}
}

func TestServe(t *testing.T) {
	db := pgtest.New(t, "authserver_web")
	r := startServe(t, db.URL, func(cfg *serveConfig) { cfg.metricsListen = "127.0.0.1:0" })
	await(t, r.addrs[0], "/readyz", 200)
	for path, want := range map[string]int{"/healthz": 200, "/health/": 200, "/robots.txt": 200, "/metrics": 404, "/nothing": 404, "/": 400, "/checkpassword/": 405} {
		if status, body := fetch(t, r.addrs[0], path); status != want {
			t.Errorf("%s: %d %q, want %d", path, status, body, want)
		}
	}
	status, body := fetch(t, r.addrs[1], "/metrics")
	if status != 200 || !strings.Contains(body, "authserver_http_request_duration_seconds_count") || !strings.Contains(body, "authserver_db_connections_max") {
		t.Errorf("/metrics: %d\n%s", status, body)
	}
	if status, _ := fetch(t, r.addrs[1], "/healthz"); status != 404 {
		t.Errorf("the site is on the listener for Prometheus: %d", status)
	}
	sessions := func() (n int) {
		t.Helper()
		if err := db.Owner.QueryRow(t.Context(), `
			select count(*) from pg_stat_activity a
			 where a.datname = current_database() and a.usename = 'authserver_web'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if sessions() == 0 {
		t.Error("a server without a session in the database")
	}
	if err := r.stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
	// The database notices a little later.
	deadline := time.After(10 * time.Second)
	for sessions() > 0 {
		select {
		case <-deadline:
			t.Fatal("sessions stay in the database")
		default:
		}
	}
}

// The database may come later than the server, go, and come back.
func TestServeWaitsForTheDatabase(t *testing.T) {
	db := pgtest.New(t, "authserver_web")
	relay := newRelay(t, db.URL)
	r := startServe(t, relay.url, nil)
	if status, _ := fetch(t, r.addrs[0], "/healthz"); status != 200 {
		t.Errorf("/healthz without a database: %d", status)
	}
	if status, body := fetch(t, r.addrs[0], "/readyz"); status != 503 || strings.Contains(body, relay.address) {
		t.Errorf("/readyz without a database: %d %q", status, body)
	}
	res, err := http.Post("http://"+r.addrs[0]+"/checkpassword/", "application/json", strings.NewReader(`{"username": "alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("/checkpassword/ without a database: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	relay.open.Store(true)
	await(t, r.addrs[0], "/readyz", 200)
	relay.open.Store(false)
	relay.cut()
	await(t, r.addrs[0], "/readyz", 503)
	relay.open.Store(true)
	await(t, r.addrs[0], "/readyz", 200)
	if err := r.stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
}

// A database of another version does not come to fit by itself.
func TestServeRefusesAnotherVersion(t *testing.T) {
	for step, hint := range map[int]string{-1: "run authserver migrate", 1: "newer than this program"} {
		db := pgtest.New(t, "authserver_web")
		if _, err := db.Owner.Exec(t.Context(), `update auth.installed set version = version + $1`, step); err != nil {
			t.Fatal(err)
		}
		relay := newRelay(t, db.URL)
		r := startServe(t, relay.url, nil)
		relay.open.Store(true)
		select {
		case <-r.ended:
			if err := r.stop(); err == nil || !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), fmt.Sprint(sql.Version)) {
				t.Errorf("version %+d: %v, want %q", step, err, hint)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("version %+d: still serving", step)
		}
	}
}

func TestServeCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := newServeConfig()
	for name, change := range map[string]func(*serveConfig){
		"site": func(cfg *serveConfig) {
			cfg.listen = []daemon.Address{"127.0.0.1:0", daemon.Address(taken.Addr().String())}
		},
		"metrics":     func(cfg *serveConfig) { cfg.metricsListen = daemon.Address(taken.Addr().String()) },
		"certificate": func(cfg *serveConfig) { cfg.certFile, cfg.keyFile = "missing.pem", "missing.pem" },
	} {
		cfg := cfg
		cfg.listen = []daemon.Address{"127.0.0.1:0"}
		change(&cfg)
		if err := serve(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "in use") && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// relay is a way to the database that can be closed.
type relay struct {
	url, address string
	open         atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, database string) *relay {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr().String()
	r := &relay{url: u.String(), address: u.Host}
	t.Cleanup(func() {
		l.Close()
		r.cut()
	})
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			if !r.open.Load() {
				from.Close()
				continue
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, to)
			r.mu.Unlock()
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					io.Copy(pair[0], pair[1])
					pair[0].Close()
				}()
			}
		}
	}()
	return r
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// parseServe returns what serve would work with, or the exit code.
func parseServe(t *testing.T, args ...string) (lists map[string]string, code int, stderr string) {
	t.Helper()
	proxies := list[netip.Prefix]{parse: parseNetwork, variable: "TRUSTED_PROXIES"}
	var issued issuer
	app := &cli.App{
		Name: "x",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "trusted-proxy", EnvVars: []string{proxies.variable}, Value: &proxies},
			&cli.GenericFlag{Name: "issuer", Value: &issued},
		},
		Action: func(*cli.Context) error { return nil },
	}
	var out strings.Builder
	code = command.Run(t.Context(), app, args, strings.NewReader(""), io.Discard, &out)
	return map[string]string{"proxies": proxies.String(), "issuer": string(issued)}, code, out.String()
}

// The flag takes the place of the variable, also if it says the same.
func TestListFlag(t *testing.T) {
	for _, tt := range []struct {
		variable string
		args     []string
		want     string
	}{
		{"", nil, ""},
		{"192.0.2.1, 10.0.0.0/8", nil, "192.0.2.1/32, 10.0.0.0/8"},
		{"", []string{"--trusted-proxy", "192.0.2.1", "--trusted-proxy", "192.0.2.2"}, "192.0.2.1/32, 192.0.2.2/32"},
		{"10.0.0.0/8", []string{"--trusted-proxy", "192.0.2.1", "--trusted-proxy", "192.0.2.2"}, "192.0.2.1/32, 192.0.2.2/32"},
		{"192.0.2.1", []string{"--trusted-proxy", "192.0.2.1"}, "192.0.2.1/32"},
	} {
		t.Setenv("TRUSTED_PROXIES", tt.variable)
		if got, code, stderr := parseServe(t, tt.args...); got["proxies"] != tt.want || code != 0 {
			t.Errorf("TRUSTED_PROXIES=%q and %q: %q, exit code %d %s; want %q", tt.variable, tt.args, got["proxies"], code, stderr, tt.want)
		}
	}
}

// Whatever is an issuer is an https URL without query and fragment, and is
// kept as it was written.
func FuzzIssuer(f *testing.F) {
	for _, s := range []string{"https://auth.example.com", "https://auth.example.com/o2", "http://auth.example.com", "https://", "https://u:p@x", "https://x/?", "https://x/#", "https:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var i issuer
		if err := i.Set(in); err != nil {
			return
		}
		u, err := url.Parse(in)
		if string(i) != in || err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(in, "?# \n") {
			t.Errorf("%q is an issuer: %v, %v", in, u, err)
		}
	})
}

func TestIssuer(t *testing.T) {
	for in, ok := range map[string]bool{
		"https://auth.example.com": true, "https://auth.example.com/o2": true, "https://auth.example.com:8443/o2/": true,
		"http://auth.example.com": false, "auth.example.com": false, "https://": false, "https:///o2": false, "https://:80": false,
		"https://u:hunter2@auth.example.com": false, "https://auth.example.com/?": false, "https://auth.example.com/#": false, "https:auth.example.com": false, "": false,
	} {
		var i issuer
		err := i.Set(in)
		if (err == nil) != ok {
			t.Errorf("issuer %q: %v", in, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}
