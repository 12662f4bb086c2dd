package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// AuthHost is the name of the web server in the guides: roots resolve it to
// 127.0.0.1 after Authserver.Reachable.
const AuthHost = "auth.example.com"

// secretKey seals the private keys of the databases.
const secretKey = "a secret key of the tests that everybody may know"

// An Authserver is a running authserver serve.
type Authserver struct {
	*Server

	// Certificate is the server's, PEM; it is its own authority.
	Certificate string

	t  *testing.T
	db *Database
}

// StartAuthserver starts authserver serve over TLS, with these flags besides,
// as an account without rights, and waits until it is ready. PORT in a flag is
// the port that it will listen on.
func StartAuthserver(t *testing.T, db *Database, flags ...string) *Authserver {
	t.Helper()
	// Not t.TempDir: the folder around that is root's alone.
	dir, err := os.MkdirTemp("", "authserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	certificate, key := newCertificate(t)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, content := range map[string]string{certFile: certificate, keyFile: key} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	port := FreePort()
	args := []string{"serve", "--listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--tls-cert", certFile, "--tls-key", keyFile}
	for _, flag := range flags {
		args = append(args, strings.ReplaceAll(flag, "PORT", strconv.Itoa(port)))
	}
	s := &Server{Port: port, name: "authserver", done: make(chan struct{})}
	s.cmd = exec.Command(Binary(t, "authserver"), args...)
	s.cmd.Env = []string{"DATABASE_URL=" + db.cluster.URL("authserver_web", "authserver"), "SECRET_KEY=" + secretKey}
	s.cmd.Dir = "/"
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait() // how it ended is in its log
		close(s.done)
	}()
	t.Cleanup(func() { s.stop(t) })

	a := &Authserver{Server: s, Certificate: certificate, t: t, db: db}
	client := a.Client()
	s.await(t, "be ready", func() bool {
		answer, err := client.Get(a.URL("/readyz"))
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return a
}

// URL returns the URL of a path of this server.
func (a *Authserver) URL(path string) string {
	return "https://" + net.JoinHostPort(AuthHost, strconv.Itoa(a.Port)) + path
}

// Client returns a client that trusts this server, and knows where it is.
func (a *Authserver) Client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(a.Certificate))
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// Reachable lets a root know this server: its name, others that it has, and its
// certificate as the file /etc/ssl/auth.pem.
func (a *Authserver) Reachable(r *Root, names ...string) {
	r.t.Helper()
	r.Write("/etc/hosts", "127.0.0.1 localhost "+AuthHost+" "+strings.Join(names, " ")+"\n")
	r.Write("/etc/ssl/auth.pem", a.Certificate)
}

// Configure replaces the server that the guides name by this one.
func (a *Authserver) Configure(text string) string {
	return strings.ReplaceAll(text, "https://"+AuthHost, a.URL(""))
}

// Operate runs a command line of the operator, such as "apiclient", "create",
// "apache", and returns what it printed.
func (d *Database) Operate(t *testing.T, args ...string) string {
	t.Helper()
	program, err := binary("authserver")
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.operate(t.Context(), program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Type runs a line that a guide says to type, and returns what it printed.
func (d *Database) Type(t *testing.T, line string) string {
	t.Helper()
	out, err := d.operate(t.Context(), "/bin/sh", "-euc", line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (d *Database) operate(ctx context.Context, program string, args ...string) (string, error) {
	authserver, err := binary("authserver")
	if err != nil {
		return "", err
	}
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{
		"PATH=" + filepath.Dir(authserver), "DATABASE_URL=" + d.cluster.URL("authserver_admin", "authserver"),
		"SECRET_KEY=" + secretKey, "ISSUER=https://" + AuthHost,
	}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

// newCertificate makes a certificate for AuthHost, 127.0.0.1 and these names,
// and its key.
func newCertificate(t *testing.T, names ...string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: AuthHost},
		DNSNames:              append([]string{AuthHost}, names...),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
