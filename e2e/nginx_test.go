package e2e

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// newNginx returns a root with nginx, set up as sections of the guide say,
// except for what edit does to the files, and the URL of its site.
func newNginx(t *testing.T, auth *Authserver, edit func(string) string, sections ...string) (*Root, string) {
	t.Helper()
	root := NewRoot(t, "bookworm-web")
	auth.Reachable(root)
	certificate, key := newCertificate(t, site)
	root.Write("/etc/ssl/webmail.pem", certificate)
	root.Write("/etc/ssl/private/webmail.key", key)
	root.Run("rm", "/etc/nginx/sites-enabled/default")
	root.Run("ln", "-sf", "/dev/stderr", "/var/log/nginx/error.log")
	port := strconv.Itoa(FreePort())
	here := strings.NewReplacer("listen 443", "listen 127.0.0.1:"+port, "127.0.0.1:8080", NewApplication(t))
	for _, section := range sections {
		root.follow(ReadGuide(t, "nginx.md", section), func(s string) string { return here.Replace(auth.Configure(edit(s))) })
	}
	return root, "https://" + net.JoinHostPort(site, port) + "/"
}

func startNginx(t *testing.T, auth *Authserver, edit func(string) string, sections ...string) string {
	t.Helper()
	root, url := newNginx(t, auth, edit, sections...)
	root.startSite(url, "nginx", "-g", "daemon off;")
	return url
}

const nginxAsAncestors = "As with the Python authserver"

func TestNginxLogin(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1")
	testGateLogins(t, db, startNginx(t, auth, asItStands, "Configuration"))
}

func TestNginxHeaders(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	testGateHeaders(t, startNginx(t, auth, asItStands, "Configuration"))
}

func TestNginxThrottle(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	url := startNginx(t, StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1"), asItStands, "Configuration")
	if status := testGateThrottle(t, db, url); status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
}

// Nobody gets at the place that asks, nor at what is behind it.
func TestNginxInternal(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	url := startNginx(t, auth, asItStands, "Configuration")
	for _, path := range []string{"authserver", "authserver/", "authserver?permission=", "authserver/../authserver"} {
		got := NewBrowser(t).Visit(url+path, "alice@example.com", "alice sings")
		if got.Header.Get("Remote-User") != "" || got.IsApplication() && path == "authserver" {
			t.Errorf("%s: status %d, %v, %s", path, got.Status, got.Header, got.Body)
		}
	}
	// A query of the browser is not one of ours.
	if got := NewBrowser(t).Visit(url+"?permission=smtp&service=imap", "bob@example.com", "bob builds"); !got.IsApplication() {
		t.Errorf("status %d", got.Status)
	}
	if got := NewBrowser(t).Visit(url+"?service=imap", "carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj"); got.Status != http.StatusUnauthorized {
		t.Errorf("status %d", got.Status)
	}
}

// A yes is remembered for the login and the address that it was given to, and
// nothing else is.
func TestNginxCache(t *testing.T) {
	t.Parallel()
	for _, section := range []string{"Configuration", nginxAsAncestors} {
		t.Run(section, func(t *testing.T) {
			t.Parallel()
			auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
			url := startNginx(t, auth, asItStands, "Configuration", section)
			alice, bob := NewBrowser(t), NewBrowser(t)
			if got := alice.Visit(url, "alice@example.com", "alice sings"); !got.IsApplication() {
				t.Fatalf("status %d, %s", got.Status, got.Body)
			}
			for user, password := range map[string]string{"bob@example.com": "wrong", "carol@example.com": "carol cooks"} {
				if got := bob.Visit(url, user, password); got.Status != http.StatusUnauthorized && got.Status != http.StatusForbidden {
					t.Fatalf("status %d, %s", got.Status, got.Body)
				}
			}
			auth.stop(t)

			if got := alice.Visit(url, "alice@example.com", "alice sings"); !got.IsApplication() {
				t.Errorf("not remembered: status %d, %s", got.Status, got.Body)
			}
			for name, got := range map[string]Page{
				"another password":         alice.Visit(url, "alice@example.com", "alice sing"),
				"nothing":                  alice.Visit(url, "", ""),
				"another address":          bob.Visit(url, "alice@example.com", "alice sings"),
				"was refused":              bob.Visit(url, "bob@example.com", "wrong"),
				"was refused a permission": bob.Visit(url, "carol@example.com", "carol cooks"),
			} {
				if got.IsApplication() {
					t.Errorf("%s: passed", name)
				}
				if got.Status != http.StatusInternalServerError && name != "nothing" {
					t.Errorf("%s: status %d", name, got.Status)
				}
			}
		})
	}
}

// Passwords are in the keys of the cache: nobody else reads its folder.
func TestNginxCacheIsPrivate(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	root, url := newNginx(t, auth, asItStands, "Configuration")
	root.startSite(url, "nginx", "-g", "daemon off;")
	if got := NewBrowser(t).Visit(url, "alice@example.com", "alice sings"); !got.IsApplication() {
		t.Fatalf("status %d, %s", got.Status, got.Body)
	}
	if got := root.Run("stat", "-c", "%a %U", "/run/nginx-authserver"); got != "700 www-data\n" {
		t.Errorf("the folder of the cache is %s", got)
	}
	if got := root.Run("find", "/run/nginx-authserver", "-type", "f"); got == "" {
		t.Error("the cache is somewhere else")
	}
}

// Whatever is wrong with the server, nobody passes.
func TestNginxServerTrouble(t *testing.T) {
	t.Parallel()
	for _, section := range []string{"Configuration", nginxAsAncestors} {
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
			t.Run(section+"/"+name, func(t *testing.T) {
				t.Parallel()
				auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
				impatient := strings.NewReplacer("connect_timeout 3s", "connect_timeout 500ms", "read_timeout 10s", "read_timeout 500ms")
				root, url := newNginx(t, auth, impatient.Replace, "Configuration", section)
				trouble(t, root, auth)
				root.startSite(url, "nginx", "-g", "daemon off;")
				if status := testGateAway(t, url); status != http.StatusInternalServerError {
					t.Errorf("status %d", status)
				}
			})
		}
	}
}

// A browser that is behind no proxy of ours cannot make nginx one.
func TestNginxNotTrusted(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	url := startNginx(t, StartAuthserver(t, db), asItStands, "Configuration")
	browser := NewBrowser(t)
	if got := browser.Visit(url, "alice@example.com", "wrong"); got.Status != http.StatusUnauthorized {
		t.Errorf("status %d", got.Status)
	}
	if got := db.throttled(t, browser.Address); len(got) > 0 {
		t.Errorf("the browser's address was believed: counted for %q", got)
	}
}

// Configurations of the ancestor's time post to /checkpassword/ and look at the
// status.
func TestNginxAncestorsLogin(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db, "--trusted-proxy", "127.0.0.1")
	testGateLogins(t, db, startNginx(t, auth, asItStands, "Configuration", nginxAsAncestors))
}

func TestNginxAncestorsHeaders(t *testing.T) {
	t.Parallel()
	auth := StartAuthserver(t, OpenDatabase(t, ""), "--trusted-proxy", "127.0.0.1")
	url := startNginx(t, auth, asItStands, "Configuration", nginxAsAncestors)
	got := NewBrowser(t).Visit(url, "alice@example.com", "alice sings", "Remote-User", "mallory", "Remote_User", "mallory")
	if !got.IsApplication() || len(got.Got("Remote-User")) > 0 {
		t.Errorf("status %d, %s", got.Status, got.Body)
	}
}
