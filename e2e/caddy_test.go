package e2e

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// newCaddy returns a root with Caddy, set up as the guide says, and the URL of
// its site.
func newCaddy(t *testing.T, auth *Authserver, edit func(string) string) (*Root, string) {
	t.Helper()
	root := NewRoot(t, "bookworm-web")
	auth.Reachable(root)
	certificate, key := newCertificate(t, site)
	root.Write("/etc/ssl/webmail.pem", certificate)
	root.Write("/etc/ssl/private/webmail.key", key)
	port := strconv.Itoa(FreePort())
	here := strings.NewReplacer(
		// Nothing but this one port, and a certificate that nobody has to issue.
		site+" {\n", "{\n\tadmin off\n\tauto_https disable_redirects\n}\nhttps://"+site+":"+port+" {\n\tbind 127.0.0.1\n\ttls /etc/ssl/webmail.pem /etc/ssl/private/webmail.key\n",
		"127.0.0.1:8080", NewApplication(t),
	)
	root.follow(ReadGuide(t, "caddy.md", "Configuration"), func(s string) string { return here.Replace(auth.Configure(edit(s))) })
	return root, "https://" + net.JoinHostPort(site, port) + "/"
}

func startCaddy(t *testing.T, auth *Authserver) string {
	t.Helper()
	root, url := newCaddy(t, auth, asItStands)
	root.startSite(url, "caddy", "run", "--config", "/etc/caddy/Caddyfile")
	return url
}

func TestCaddyLogin(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1")
	testGateLogins(t, db, startCaddy(t, auth))
}

func TestCaddyHeaders(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	testGateHeaders(t, startCaddy(t, auth))
}

func TestCaddyThrottle(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	url := startCaddy(t, StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1"))
	if status := testGateThrottle(t, db, url); status != http.StatusTooManyRequests {
		t.Errorf("status %d", status)
	}
}

// Whatever is wrong with the server, nobody passes.
func TestCaddyServerTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(*testing.T, *Root, *Authserver){
		"away": func(t *testing.T, root *Root, auth *Authserver) { auth.stop(t) },
		"silent": func(t *testing.T, root *Root, auth *Authserver) {
			auth.stop(t)
			listen(t, auth.Port, func(conn net.Conn) { io.Copy(io.Discard, conn) })
		},
		"wrong certificate": func(t *testing.T, root *Root, auth *Authserver) {
			other, _ := newCertificate(t)
			root.Write("/etc/ssl/auth.pem", other)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
			impatient := strings.NewReplacer("timeout 3s", "timeout 500ms", "response_header_timeout 10s", "response_header_timeout 500ms")
			root, url := newCaddy(t, auth, impatient.Replace)
			trouble(t, root, auth)
			root.startSite(url, "caddy", "run", "--config", "/etc/caddy/Caddyfile")
			want := http.StatusBadGateway
			if name == "silent" {
				want = http.StatusGatewayTimeout
			}
			if status := testGateAway(t, url); status != want {
				t.Errorf("status %d, want %d", status, want)
			}
		})
	}
}
