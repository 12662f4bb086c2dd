package main

import (
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
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"checkpassword": main,
		// hidden prints what hide has done to this process.
		"hidden": func() {
			hide()
			const prGetDumpable = 3 // linux/prctl.h
			dumpable, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prGetDumpable, 0, 0)
			var limit syscall.Rlimit
			err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit)
			fmt.Println("dumpable", dumpable, errno == 0, "cores", limit.Cur, err)
		},
	})
}

// TestScripts runs the program as other programs do: testdata/*.txtar, each
// with a server of its own.
func TestScripts(t *testing.T) {
	// With core dumps switched off from the start, nobody would see whether the
	// program does it.
	var cores syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &cores); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: cores.Max, Max: cores.Max}); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			s, err := newServer(env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(s.Close)
			systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(env.WorkDir, "notify")})
			if err != nil {
				return err
			}
			env.Defer(func() { systemd.Close() })
			env.Values["systemd"] = systemd
			env.Setenv("SERVER", s.URL)
			env.Setenv("PROXY", s.proxy.URL)
			away := httptest.NewServer(nil)
			away.Close()
			env.Setenv("AWAY", strings.Replace(away.URL, "http:", "https:", 1)+"/")
			// The flags of all questions.
			env.Setenv("ARGS", "--url "+s.URL+"/checkpassword/ --jwtkey "+env.WorkDir+"/key.pem --ca-file "+env.WorkDir+"/ca.pem --domain example.com")
			env.Setenv("SECRET", "--client-secret-file "+env.WorkDir+"/secret")
			// The race detector would hold up each command for a second.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values["server"] = s
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "asked": asked, "limited": limited, "rotate": rotate, "notified": notified,
		},
	})
}

// exits runs a command and compares its exit code: exits CODE COMMAND [ARG...].
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// asked compares the last question that the server was asked, without the
// nonce, and makes it forget the question: asked [JSON].
func asked(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("server").(*server)
	got := "nothing"
	select {
	case got = <-s.questions:
	default:
	}
	if neg || len(args) > 1 {
		ts.Fatalf("usage: asked [JSON]")
	}
	if want := strings.Join(append(args, "nothing")[:1], ""); got != want {
		ts.Fatalf("the server was asked %s, want %s", got, want)
	}
}

// limited waits until a server that does not answer is asked, and looks at who
// asks: it must not leave a core dump, nor its password in arguments and
// environment. Then it lets the server go away. It takes a background command.
func limited(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("server").(*server)
	<-s.hanging
	processes := ts.BackgroundCmds()
	if neg || len(args) > 0 || len(processes) != 1 {
		ts.Fatalf("usage: limited, with one command in the background")
	}
	proc := fmt.Sprintf("/proc/%d/", processes[0].Process.Pid)
	limits, err := os.ReadFile(proc + "limits")
	ts.Check(err)
	found := false
	for line := range strings.Lines(string(limits)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "Max core file size") {
			found = fields[4] == "0"
		}
	}
	if !found {
		ts.Fatalf("core dumps are not switched off:\n%s", limits)
	}
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(proc + name)
		ts.Check(err)
		if strings.Contains(string(text), "hunter2") {
			ts.Fatalf("the password is in %s", name)
		}
	}
	close(s.release)
}

// rotate makes the server add a key to those of its registry.
func rotate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: rotate")
	}
	ts.Check(ts.Value("server").(*server).addCertificate())
}

// notified waits until the socket notify is told something, as systemd is:
// notified STATE.
func notified(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: notified STATE")
	}
	systemd := ts.Value("systemd").(*net.UnixConn)
	ts.Check(systemd.SetReadDeadline(time.Now().Add(time.Minute)))
	state := make([]byte, 100)
	n, err := systemd.Read(state)
	ts.Check(err)
	if got := string(state[:n]); got != args[0] {
		ts.Fatalf("systemd was told %s, want %s", got, args[0])
	}
}

// server answers as an authserver does.
type server struct {
	*httptest.Server
	proxy     *httptest.Server // answers every request with 502
	key       *ecdsa.PrivateKey
	mu        sync.Mutex
	bundle    []byte // of the registry; the newest certificate is the first
	questions chan string
	hanging   chan struct{} // somebody waits at /hang
	release   chan struct{} // ends the wait
}

type user struct {
	password string
	address  string
	scopes   []string
}

const credential = "ac_abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst"

var users = map[string]user{
	"alice":             {"secret", "alice@example.com", []string{"admins", "imap"}},
	"alice@example.com": {"secret", "alice@example.com", []string{"admins", "imap"}},
	"bob":               {"hunter2", "bob@example.com", nil},
	"slash":             {"secret", "a/b@example.com", []string{"imap"}},
}

// newServer starts a server and leaves what its clients need in dir.
func newServer(dir string) (*server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &server{key: key, questions: make(chan string, 1), hanging: make(chan struct{}, 1), release: make(chan struct{})}

	if err := s.addCertificate(); err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /checkpassword/", s.checkPassword)
	mux.HandleFunc("GET /getkey/", s.getKey)
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil {
			code = 500
		}
		w.WriteHeader(code)
	})
	mux.HandleFunc("/garbage/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		io.WriteString(w, "yes.yes.yes")
	})
	mux.HandleFunc("/redirect/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/checkpassword/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/hang/", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or the server would not see its client go
		s.hanging <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
		w.WriteHeader(503)
	})
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	cert, ca, err := newCertificate()
	if err != nil {
		return nil, err
	}
	_, otherCA, err := newCertificate()
	if err != nil {
		return nil, err
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	s.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))

	files := map[string][]byte{"ca.pem": ca, "other-ca.pem": otherCA, "secret": []byte(credential + "\n"), "stranger": []byte("ac_other\n")}
	for name, key := range map[string]*ecdsa.PrivateKey{"key.pem": key, "other.pem": other} {
		if files[name], err = publicPEM(key); err != nil {
			return nil, err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *server) Close() {
	s.Server.Close()
	s.proxy.Close()
}

// newCertificate returns a certificate for a server on this machine, and the
// same as PEM for who trusts it. 0.0.0.0 is this machine, but no loopback
// address: proxies apply to it.
func newCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca, nil
}

func publicPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

func (s *server) checkPassword(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var ask struct {
		Username, Nonce string
		Password        *string
		Scopes          []string
	}
	if err != nil || json.Unmarshal(body, &ask) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case <-s.questions:
	default:
	}
	s.questions <- strings.Replace(string(body), `"nonce":"`+ask.Nonce+`"`, `"nonce":""`, 1)

	known := r.Header.Get("Authorization") == "Bearer "+credential
	user, found := users[ask.Username]
	switch {
	case ask.Password == nil && !known:
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return
	case !found, ask.Password != nil && *ask.Password != user.password:
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"authenticated": false, "authorized": false}`)
		return
	}
	for _, scope := range ask.Scopes {
		if !slices.Contains(user.scopes, scope) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"sub": ask.Username, "canonical_username": user.address, "nonce": ask.Nonce,
		"authenticated": ask.Password != nil, "authorized": true, "scopes": user.scopes,
		"iss": "example.com", "aud": "net.maurus.authclient",
		"nbf": time.Now().Unix() - 5, "exp": time.Now().Unix() + 3600,
	}).SignedString(s.key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	io.WriteString(w, token)
}

// registry is the client id of the registry that the server knows.
const registry = "Images of example.com:5000"

func (s *server) addCertificate() error {
	_, cert, err := newCertificate()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundle = append(cert, s.bundle...)
	return nil
}

func (s *server) getKey(w http.ResponseWriter, r *http.Request) {
	var response any
	text, err := publicPEM(s.key)
	switch domain, format := r.FormValue("domain"), r.FormValue("format"); {
	case err != nil, domain == "broken.example":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case r.FormValue("type") == "r" && domain == registry && format == "bundle":
		s.mu.Lock()
		response = map[string][]string{"bundle": strings.Split(string(s.bundle), "\n")}
		s.mu.Unlock()
	case r.FormValue("type") == "r":
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error": "Not a valid registry"}`)
		return
	case domain != "" && domain != "example.com":
		w.WriteHeader(http.StatusNotFound)
		return
	case format == "jwks":
		response = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), Use: "sig"}}}
	default:
		response = map[string][]string{"public_key_pem": strings.Split(string(text), "\n")}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(response); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func TestEndFlags(t *testing.T) {
	flags := app().Flags
	for in, want := range map[string]string{
		"":                              "",
		"prog":                          "-- prog",
		"prog -v -- x":                  "-- prog -v -- x",
		"-u URL prog -u X":              "-u URL -- prog -u X",
		"-uURL prog":                    "-uURL -- prog",
		"--url=URL prog":                "--url=URL -- prog",
		"--url URL prog":                "--url URL -- prog",
		"--no-ssl-validate prog":        "--no-ssl-validate -- prog",
		"--no-ssl-validate -s a prog":   "--no-ssl-validate -s a -- prog",
		"--envdir DIR prog":             "--envdir DIR -- prog",
		"-h prog":                       "-h -- prog",
		"-u URL -- prog -v":             "-u URL -- prog -v",
		"-u URL -- -v":                  "-u URL -- -v",
		"-u URL - -v":                   "-u URL -- - -v",
		"-u":                            "-u",
		"--unknown prog":                "--unknown -- prog",
		"-m authext --url URL":          "-m authext --url URL",
		"-hm authext prog --no-such -x": "-hm authext -- prog --no-such -x",
	} {
		if got := endFlags(flags, strings.Fields(in)); strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", in, got, want)
		}
	}
}
