package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain turns the test binary into a program that answers one request on
// what Listen returns, if the environment says so.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if address := os.Getenv("DAEMON_TEST_LISTEN"); address != "" {
		if err := answerOnce(Address(address)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func answerOnce(address Address) error {
	listeners, err := Listen([]Address{address})
	if err != nil {
		return err
	}
	conn, err := listeners[0].Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%d %s", len(listeners), listeners[0].Addr())
	return err
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// run serves in the background. stop ends it, and returns what Serve has.
func run(t *testing.T, deadline time.Duration, server *http.Server, l net.Listener) (stop func() error) {
	t.Helper()
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, deadline, Server{server, l}) }()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { stop() })
	return stop
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads one answer, and returns its body.
func answer(t *testing.T, conn net.Conn) string {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

const get = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"

// A request that is being answered at the end is answered; connections that
// wait for another one are closed, and nobody new is let in.
func TestGracefulStop(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	l := listen(t)
	stop := run(t, time.Minute, NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-finish
			if err := r.Context().Err(); err != nil {
				t.Errorf("the request's context: %v", err)
			}
		}
		io.WriteString(w, "whole")
	})), l)

	idle, slow := dial(t, l), dial(t, l)
	send(t, idle, get)
	if got := answer(t, idle); got != "whole" {
		t.Fatalf("answer %q", got)
	}
	send(t, slow, strings.Replace(get, "/ ", "/slow ", 1))
	<-began
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the idle connection: %v, want its end", err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("somebody new is let in")
	}
	select {
	case err := <-ended:
		t.Fatalf("ended with a request to answer: %v", err)
	default:
	}
	close(finish)
	if got := answer(t, slow); got != "whole" {
		t.Errorf("answer %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestStopCutsOff(t *testing.T) {
	began := make(chan struct{})
	l := listen(t)
	stop := run(t, 50*time.Millisecond, NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})), l)
	conn := dial(t, l)
	send(t, conn, get)
	<-began
	if err := stop(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Serve: %v, want that requests were cut off", err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the connection goes on: %d, %v", n, err)
	}
}

func TestServeEndsWithAListener(t *testing.T) {
	a, b := listen(t), listen(t)
	ended := make(chan error, 1)
	server := func(l net.Listener) Server { return Server{NewServer(http.NotFoundHandler()), l} }
	go func() { ended <- Serve(t.Context(), time.Minute, server(a), server(b)) }()
	send(t, dial(t, b), get)
	a.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), a.Addr().String()) {
		t.Errorf("Serve: %v, want that the listener %s is closed", err, a.Addr())
	}
	if conn, err := net.Dial("tcp", b.Addr().String()); err == nil {
		conn.Close()
		t.Error("the other server goes on")
	}
}

// Somebody who sends a byte now and then does not hold a connection.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	l := listen(t)
	run(t, time.Minute, NewServer(http.NotFoundHandler()), l)
	conn := dial(t, l)
	begin := time.Now()
	send(t, conn, "GET / HTTP/1.1\r\nX-Slow: ")
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
		}
	}()
	// The server may say 408 before it closes, or reset.
	io.Copy(io.Discard, conn)
	if d := time.Since(begin); d < 4*time.Second || d > 10*time.Second {
		t.Errorf("cut off after %v, want about 5s", d)
	}
}

func TestParseAddress(t *testing.T) {
	for in, ok := range map[string]bool{
		"127.0.0.1:8999": true, ":80": true, "[::1]:0": true, "localhost:65535": true, "systemd": true, "[fe80::1%eth0]:1": true,
		"": false, "8999": false, "127.0.0.1": false, "127.0.0.1:http": false, "127.0.0.1:65536": false, "::1:80": false,
		"a b:80": false, "/run/x.sock": false, "1.2.3.4:-1": false, "1.2.3.4:+1": false,
	} {
		if _, err := ParseAddress(in); (err == nil) != ok {
			t.Errorf("ParseAddress(%q): %v", in, err)
		}
	}
}

// What is read as an address is one to package net, too.
func FuzzParseAddress(f *testing.F) {
	f.Add("127.0.0.1:8999")
	f.Add("[::1]:80")
	f.Add("systemd")
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil || a == FromSystemd {
			return
		}
		host, port, err := net.SplitHostPort(string(a))
		if err != nil || strings.ContainsAny(host, "/ \x00") {
			t.Errorf("%q: host %q, %v", in, host, err)
		}
		if n, err := net.LookupPort("tcp", port); err != nil || fmt.Sprint(n) != strings.TrimLeft(port, "0") && n != 0 {
			t.Errorf("%q: port %q is %d, %v", in, port, n, err)
		}
	})
}

// systemd passes sockets from descriptor 3 on, and says so in the environment.
func TestSystemdSocket(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func(address string, files ...*os.File) *exec.Cmd {
		// The process id is known to the shell that becomes the program.
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
		cmd.Env = append(os.Environ(), "DAEMON_TEST_LISTEN="+address, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "GORACE=atexit_sleep_ms=0")
		cmd.ExtraFiles = files
		return cmd
	}

	l := listen(t)
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// The address is in use: listening there would fail.
	for _, address := range []string{"systemd", l.Addr().String()} {
		cmd := start(address, file)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(dial(t, l))
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", address, err, &stderr)
		}
		if want := "1 " + l.Addr().String(); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", address, got, err, want)
		}
	}

	out, err := start("systemd").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "systemd passes no socket") {
		t.Errorf("without sockets: %v: %s", err, out)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	out, err = start("systemd", null).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "does not listen") {
		t.Errorf("with a file: %v: %s", err, out)
	}
}

func TestProxyProtocol(t *testing.T) {
	serve := func(trusted string) net.Listener {
		l := listen(t)
		run(t, time.Minute, NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				host = err.Error()
			}
			io.WriteString(w, host)
		})), ProxyProtocol(l, []netip.Prefix{netip.MustParsePrefix(trusted)}))
		return l
	}
	const v1 = "PROXY TCP4 198.51.100.1 192.0.2.1 4711 80\r\n"
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	trusted, untrusted := serve("127.0.0.0/8"), serve("192.0.2.0/24")
	for name, tt := range map[string]struct {
		l      net.Listener
		header string
		want   string // empty: no answer but 400
	}{
		"trusted":                {trusted, v1, "198.51.100.1"},
		"trusted, binary":        {trusted, v2 + "\x21\x11\x00\x0c" + "\xc6\x33\x64\x02\xc0\x00\x02\x01\x12\x67\x00\x50", "198.51.100.2"},
		"trusted, own check":     {trusted, v2 + "\x20\x00\x00\x00", "0.0.0.0"},
		"trusted, client hidden": {trusted, "PROXY UNKNOWN\r\n", "0.0.0.0"},
		"trusted, IPv6":          {trusted, "PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n", "2001:db8::1"},
		"trusted, no header":     {trusted, "", ""},
		"trusted, twice":         {trusted, v1 + v1, ""},
		"trusted, rubbish":       {trusted, "PROXY TCP4 example.com 192.0.2.1 4711 80\r\n", ""},
		"trusted, Unix socket":   {trusted, v2 + "\x21\x31\x00\xd8" + strings.Repeat("a", 216), ""},
		"untrusted":              {untrusted, v1, ""},
		"untrusted, binary":      {untrusted, v2 + "\x21\x11\x00\x0c" + "\xc6\x33\x64\x02\xc0\x00\x02\x01\x12\x67\x00\x50", ""},
		"untrusted, no header":   {untrusted, "", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, tt.l)
			send(t, conn, tt.header+get)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if tt.want == "" {
				if err == nil && res.StatusCode != 400 {
					t.Errorf("answered: %s", res.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); string(body) != tt.want || err != nil {
				t.Errorf("client %q, %v; want %q", body, err, tt.want)
			}
		})
	}
}

// authority issues certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: rand.Text()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if template, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return authority{template, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a authority) issue(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	der2, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der2})
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// connect returns a TLS connection and the serial number of the server's
// certificate.
func connect(t *testing.T, l net.Listener, config *tls.Config) (*tls.Conn, int64) {
	t.Helper()
	conn := tls.Client(dial(t, l), config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn, conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// New connections get a new certificate, and those that exist go on.
func TestCertificatesAreReadAgain(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace := func(serial int64) {
		cert, key := ca.issue(t, serial)
		write(t, certFile, cert)
		write(t, keyFile, key)
	}
	replace(1)
	certificates, err := LoadCertificates(certFile, keyFile, "")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "whole") }))
	server.TLSConfig = certificates.Config()
	run(t, time.Minute, server, l)
	client := &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"}

	old, serial := connect(t, l, client)
	if serial != 1 {
		t.Fatalf("certificate %d, want 1", serial)
	}
	send(t, old, get)
	answer(t, old)

	hangups := make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reloaded := make(chan error, 1)
	go Hangups(ctx, hangups, func() error {
		err := certificates.Reload()
		reloaded <- err
		return err
	})
	replace(2)
	hangups <- os.Interrupt
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	if _, serial := connect(t, l, client); serial != 2 {
		t.Errorf("certificate %d, want 2", serial)
	}
	send(t, old, get)
	if got := answer(t, old); got != "whole" {
		t.Errorf("the connection with the old certificate has %q", got)
	}

	// Files that are no good change nothing.
	write(t, keyFile, []byte("half a ke"))
	hangups <- os.Interrupt
	if err := <-reloaded; err == nil || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("Reload: %v, want an error about %s", err, keyFile)
	}
	if _, serial := connect(t, l, client); serial != 2 {
		t.Errorf("certificate %d, want still 2", serial)
	}

	// Nor does a look at files that nobody has changed; without a signal, a
	// change is found.
	if changed, err := certificates.reloadIfChanged(); changed || err != nil {
		t.Errorf("without a change: %v, %v", changed, err)
	}
	go certificates.Watch(ctx, time.Millisecond)
	replace(3)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, serial := connect(t, l, client); serial == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the third certificate is not found")
		}
	}
	send(t, old, get)
	answer(t, old)
}

func TestHTTP2(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := ca.issue(t, 1)
	write(t, filepath.Join(dir, "cert"), cert)
	write(t, filepath.Join(dir, "key"), key)
	certificates, err := LoadCertificates(filepath.Join(dir, "cert"), filepath.Join(dir, "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.TLSConfig = certificates.Config()
	run(t, time.Minute, server, l)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool()}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "HTTP/2.0" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.pool(), MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestClientCertificates(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	certFile, keyFile, caFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	cert, key := ours.issue(t, 1)
	write(t, certFile, cert)
	write(t, keyFile, key)
	write(t, caFile, ours.pem)
	certificates, err := LoadCertificates(certFile, keyFile, caFile)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.TLS.VerifiedChains))
	}))
	server.TLSConfig = certificates.Config()
	run(t, time.Minute, server, l)

	cache := tls.NewLRUClientSessionCache(4)
	asked := func(a *authority) (string, error) {
		config := &tls.Config{RootCAs: ours.pool(), ClientSessionCache: cache}
		if a != nil {
			cert, key := a.issue(t, 7)
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			// Whatever authorities the server names.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	if got, err := asked(&ours); got != "1" || err != nil {
		t.Errorf("a certificate of ours: %q, %v", got, err)
	}
	if got, err := asked(nil); got != "0" || err != nil {
		t.Errorf("no certificate: %q, %v; want an answer, and a session that was not resumed", got, err)
	}
	if got, err := asked(&other); err == nil {
		t.Errorf("a certificate of somebody else: %q", got)
	}
	// The authority changes: who was let in by the old one is not any more.
	write(t, caFile, other.pem)
	if err := certificates.Reload(); err != nil {
		t.Fatal(err)
	}
	if got, err := asked(&ours); err == nil {
		t.Errorf("a certificate of the former authority: %q", got)
	}
	if got, err := asked(&other); got != "1" || err != nil {
		t.Errorf("a certificate of the new authority: %q, %v", got, err)
	}

	write(t, caFile, []byte("nothing"))
	if _, err := LoadCertificates(certFile, keyFile, caFile); err == nil || !strings.Contains(err.Error(), caFile) {
		t.Errorf("no authority in the file: %v", err)
	}
}

func TestNotify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	told := func() string {
		t.Helper()
		buf := make([]byte, 100)
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}

	Ready()
	if got := told(); got != "READY=1" {
		t.Errorf("ready: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hangups := make(chan os.Signal, 2)
	hangups <- os.Interrupt
	hangups <- os.Interrupt
	calls := 0
	go Hangups(ctx, hangups, func() error {
		if calls++; calls == 1 {
			return errors.New("no good")
		}
		return nil
	})
	for range 2 {
		if got := told(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") || strings.HasSuffix(got, "=0") {
			t.Errorf("reloading: %q", got)
		}
		if got := told(); got != "READY=1" {
			t.Errorf("reloaded: %q", got)
		}
	}
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	watched := make(chan struct{})
	alive, die := context.WithCancel(t.Context())
	go func() { Watchdog(alive); close(watched) }()
	for range 2 {
		if got := told(); got != "WATCHDOG=1" {
			t.Errorf("sign of life: %q", got)
		}
	}
	die()
	<-watched
	t.Setenv("WATCHDOG_PID", "1")
	Watchdog(t.Context()) // of another process: returns

	Stopping()
	for got := told(); got != "STOPPING=1"; got = told() {
		if got != "WATCHDOG=1" {
			t.Fatalf("stopping: %q", got)
		}
	}
}

func TestLog(t *testing.T) {
	var l Log
	for _, flag := range l.Flags() {
		if env := flag.Names(); len(env) == 0 {
			t.Error("a flag without a name")
		}
	}
	for name, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "Warning": slog.LevelWarn, "warn": slog.LevelWarn,
		"error": slog.LevelError, "CRITICAL": slog.LevelError,
	} {
		if err := l.Level.Set(name); err != nil || slog.Level(l.Level) != want {
			t.Errorf("level %q is %v, %v", name, slog.Level(l.Level), err)
		}
	}
	for _, name := range []string{"", "loud", "INFO+1", "0"} {
		if err := l.Level.Set(name); err == nil {
			t.Errorf("level %q is taken", name)
		}
	}
	if err := l.Format.Set("xml"); err == nil {
		t.Error("format xml is taken")
	}

	if err := errors.Join(l.Format.Set("json"), l.Level.Set("warning")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	logger := slog.New(l.handler(&out))
	ctx := WithLogAttr(WithLogAttr(t.Context(), slog.String("request_id", "r1")), slog.Int("n", 2))
	logger.InfoContext(ctx, "quiet")
	logger.With("a", 1).ErrorContext(ctx, "loud")
	var line struct {
		Msg       string
		A, N      int
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "loud" || line.A != 1 || line.N != 2 || line.RequestID != "r1" {
		t.Errorf("%v: %s", err, &out)
	}
}

func TestContains(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fe80::1%eth0": true, "11.0.0.1": false, "::1": false, "::10.1.2.3": false,
	} {
		if got := Contains(networks, netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if Contains([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, netip.Addr{}) {
		t.Error("an unknown address is in a network")
	}
}
