package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newApache returns a root with Apache and checkpassword, set up as the guide
// says, except for what edit does to its files and commands. The server can have
// more names.
func newApache(t *testing.T, db *Database, auth *Authserver, edit func(string) string, names ...string) *Root {
	t.Helper()
	root := NewRoot(t, "bookworm-web")
	root.Install(Binary(t, "checkpassword"), "/usr/local/bin/checkpassword")
	auth.Reachable(root, names...)
	secret := apiClient(t, db, "apache.md")
	for _, section := range []string{"API client", "Key", "Configuration"} {
		root.follow(ReadGuide(t, "apache.md", section), func(s string) string {
			return strings.ReplaceAll(auth.Configure(edit(s)), "change-me", secret)
		})
	}
	for _, place := range []string{"intranet", "webmail", "lists", "dav"} {
		root.Write("/var/www/html/"+place+"/index.html", "this is "+place)
	}
	return root
}

// Apache is a running one.
type Apache struct {
	*Server
	root *Root
}

func startApache(t *testing.T, root *Root) Apache {
	t.Helper()
	port := FreePort()
	root.Write("/etc/apache2/ports.conf", "Listen 127.0.0.1:"+strconv.Itoa(port)+"\n")
	root.Run("sed", "-i", "s/<VirtualHost .*>/<VirtualHost *:"+strconv.Itoa(port)+">/", "/etc/apache2/sites-available/000-default.conf")
	root.Run("ln", "-sf", "/dev/stderr", "/var/log/apache2/error.log")
	return Apache{root.Start(port, "sh", "-ec", "mkdir -p /run/apache2; . /etc/apache2/envvars; exec apache2 -DFOREGROUND"), root}
}

func (a Apache) url(place string) string {
	return "http://127.0.0.1:" + strconv.Itoa(a.Port) + "/" + place + "/"
}

// admits visits a place, and fails the test unless there is a clear yes or no.
func (a Apache) admits(b *Browser, place, user, password string) bool {
	b.t.Helper()
	got := b.Visit(a.url(place), user, password)
	switch {
	case got.Status == http.StatusOK && got.Body == "this is "+place:
		return true
	case got.Status == http.StatusUnauthorized && strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Basic ") && !strings.Contains(got.Body, "this is"):
		return false
	}
	b.t.Fatalf("/%s/ as %q: status %d\n%v\n%s", place, user, got.Status, got.Header, got.Body)
	return false
}

func TestApacheLogin(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db)
	apache := startApache(t, newApache(t, db, auth, asItStands))
	for _, tt := range []struct {
		name, place, user, password string
		ok                          bool
	}{
		{"primary address, yescrypt", "intranet", "alice@example.com", "alice sings", true},
		{"primary address, sha512crypt", "intranet", "bob@example.com", "bob builds", true},
		{"primary address, bcrypt", "intranet", "carol@example.com", "carol cooks", true},
		{"another case", "intranet", "Alice@Example.COM", "alice sings", true},
		{"alias", "intranet", "sales@example.com", "alice sings", true},
		{"sub-address", "intranet", "alice-phone@example.com", "alice sings", true},
		{"service user", "intranet", "svc-printer", "scan to mail", true},
		{"app password", "intranet", "carol@example.com", appPassword(t, db, "carol"), true},
		{"app password for this service", "intranet", "carol@example.com", appPassword(t, db, "carol", "imap", "http"), true},

		{"wrong password", "intranet", "alice@example.com", "bob builds", false},
		{"no password", "intranet", "alice@example.com", "", false},
		{"no name", "intranet", "", "alice sings", false},
		{"nothing", "intranet", "", "", false},
		{"blanks around the password", "intranet", "alice@example.com", " alice sings ", false},
		{"app password for another service", "intranet", "carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", false},
		{"inactive user", "intranet", "dave@example.com", "alice sings", false},
		{"blocked alias", "intranet", "old@example.com", "alice sings", false},
		{"mailing list", "intranet", "team@example.com", "alice sings", false},
		{"unknown", "intranet", "mallory@example.com", "alice sings", false},
		{"as long as Apache reads", "intranet", "alice@example.com", strings.Repeat("x", 6000), false},

		{"context: all held", "webmail", "alice@example.com", "alice sings", true},
		{"context: one of two held", "webmail", "bob@example.com", "bob builds", false},
		{"context: none held", "webmail", "carol@example.com", "carol cooks", false},
		{"context: held by the service user's owner", "webmail", "svc-printer", "scan to mail", true},
		{"context: wrong password", "webmail", "alice@example.com", "bob builds", false},

		{"groups: all held", "lists", "alice@example.com", "alice sings", true},
		{"groups: any held, through a group", "lists", "bob@example.com", "bob builds", true},
		{"groups: held by the service user's owner", "lists", "svc-printer", "scan to mail", true},
		{"groups: none held", "lists", "carol@example.com", "carol cooks", false},
		{"groups: wrong password", "lists", "alice@example.com", "bob builds", false},
		{"groups: inactive user", "lists", "dave@example.com", "alice sings", false},

		{"cache", "dav", "alice@example.com", "alice sings", true},
		{"cache: wrong password", "dav", "alice@example.com", "bob builds", false},
		{"cache: context not held", "dav", "carol@example.com", "carol cooks", false},

		// What ends a line for one program does not for another.
		{"password in the name", "intranet", "alice@example.com\nalice sings", "x", false},
		{"password and the end in the name", "intranet", "alice@example.com\nalice sings\n", "x", false},
		{"more after the password", "intranet", "alice@example.com", "alice sings\nx", false},
		{"line end after the password", "intranet", "alice@example.com", "alice sings\n", false},
		{"password on the third line", "intranet", "alice@example.com", "x\nalice sings", false},
		{"CR after the name", "intranet", "alice@example.com\r", "alice sings", false},
		{"CR for a line end in the name", "intranet", "alice@example.com\ralice sings", "x", false},
		{"CR after the password", "intranet", "alice@example.com", "alice sings\r", false},
		{"CR LF after the password", "intranet", "alice@example.com", "alice sings\r\n", false},
		// Apache itself ends a text there.
		{"NUL after the name", "intranet", "alice@example.com\x00\nalice sings", "alice sings", false},
		{"group in the name", "lists", "carol@example.com\nimap", "carol cooks", false},
		{"group in the name, password of its kind", "lists", "carol@example.com\ncarol cooks", "imap", false},
		{"line in the name, cache", "dav", "alice@example.com\nalice sings", "x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := apache.admits(NewBrowser(t), tt.place, tt.user, tt.password); got != tt.ok {
				t.Errorf("admitted: %v", got)
			}
		})
	}
}

// An input of more than two lines is refused before anybody is asked.
func TestApacheInjectionAsksNobody(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db)
	apache := startApache(t, newApache(t, db, auth, asItStands))
	browser := NewBrowser(t)
	for _, login := range [][2]string{
		{"bob@example.com\nbob builds", "x"},
		{"bob@example.com", "bob builds\nx"},
		{"bob@example.com\rbob builds", "x"},
	} {
		if apache.admits(browser, "lists", login[0], login[1]) {
			t.Errorf("%q with %q was admitted", login[0], login[1])
		}
	}
	if strings.Contains(auth.log.String(), "checkpassword") {
		t.Error("the server was asked")
	}
	// The line above would have been seen.
	if !apache.admits(browser, "lists", "bob@example.com", "bob builds") {
		t.Error("bob was not admitted")
	}
	auth.await(t, "write that it was asked", func() bool { return strings.Contains(auth.log.String(), "checkpassword") })
}

// Nobody is in none of the groups: a line without any is no question.
func TestApacheZeroGroups(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	root := newApache(t, db, StartAuthserver(t, db), func(s string) string {
		return strings.ReplaceAll(s, "Require external-group imap smtp", `Require external-group ""`)
	})
	if apache := startApache(t, root); apache.admits(NewBrowser(t), "lists", "alice@example.com", "alice sings") {
		t.Error("alice was admitted")
	}
}

// Several lines of groups are alternatives.
func TestApacheGroupLines(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	root := newApache(t, db, StartAuthserver(t, db), func(s string) string {
		return strings.ReplaceAll(s, "Require external-group imap smtp", "Require external-group smtp admins\n  Require external-group imap")
	})
	apache := startApache(t, root)
	for login, ok := range map[[2]string]bool{
		{"alice@example.com", "alice sings"}: true,
		{"bob@example.com", "bob builds"}:    true,
		{"carol@example.com", "carol cooks"}: false,
	} {
		if got := apache.admits(NewBrowser(t), "lists", login[0], login[1]); got != ok {
			t.Errorf("%s admitted: %v", login[0], got)
		}
	}
}

// Without the secret of an API client, nobody learns who has which permission.
func TestApacheUnknownClient(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	for name, edit := range map[string]func(string) string{
		"no secret": func(s string) string {
			return strings.ReplaceAll(s, " --client-secret-file /etc/checkpassword/secret", "")
		},
		"an unknown secret": func(s string) string {
			return strings.ReplaceAll(s, "change-me", "ac_"+strings.Repeat("a", 52))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apache := startApache(t, newApache(t, db, StartAuthserver(t, db), edit))
			if apache.admits(NewBrowser(t), "lists", "alice@example.com", "alice sings") {
				t.Error("alice was admitted")
			}
		})
	}
}

// Who was admitted is admitted from the cache while nobody can be asked; a place
// with another context has another cache.
func TestApacheCache(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db)
	root := newApache(t, db, auth, func(s string) string {
		const place = `<Location "/dav">`
		before, dav, found := strings.Cut(s, place)
		if !found {
			return s
		}
		return before + place + dav + strings.NewReplacer(
			`"/dav"`, `"/webmail"`, "AuthExternalContext imap", "AuthExternalContext smtp", "AuthnCacheContext dav", "AuthnCacheContext webmail",
		).Replace(place+dav)
	})
	apache := startApache(t, root)
	browser := NewBrowser(t)
	if !apache.admits(browser, "dav", "bob@example.com", "bob builds") {
		t.Fatal("bob was not admitted")
	}
	if apache.admits(browser, "webmail", "bob@example.com", "bob builds") {
		t.Error("bob was admitted to where he lacks a permission")
	}

	auth.stop(t)
	for _, tt := range []struct {
		name, place, user, password string
		ok                          bool
	}{
		{"remembered", "dav", "bob@example.com", "bob builds", true},
		{"another password", "dav", "bob@example.com", "bob build", false},
		{"an alias that was not used", "dav", "BOB@example.com", "bob builds", false},
		{"somebody new", "dav", "alice@example.com", "alice sings", false},
		{"another place", "webmail", "bob@example.com", "bob builds", false},
		{"a place without a cache", "intranet", "bob@example.com", "bob builds", false},
	} {
		if got := apache.admits(browser, tt.place, tt.user, tt.password); got != tt.ok {
			t.Errorf("%s: admitted: %v", tt.name, got)
		}
	}
}

// Whatever is wrong with the server, the answer is no, and it comes in time.
func TestApacheServerTrouble(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	tests := map[string]func(*testing.T, *Root, *Authserver) *Root{
		"away": func(t *testing.T, root *Root, auth *Authserver) *Root {
			auth.stop(t)
			return root
		},
		"wrong certificate": func(t *testing.T, root *Root, auth *Authserver) *Root {
			other, _ := newCertificate(t)
			root.Write("/etc/ssl/auth.pem", other)
			return root
		},
		"somebody else's key": func(t *testing.T, root *Root, auth *Authserver) *Root {
			root.Write("/etc/checkpassword/keys", newPublicKey(t))
			return root
		},
		"no key": func(t *testing.T, root *Root, auth *Authserver) *Root {
			root.Run("rm", "/etc/checkpassword/keys")
			return root
		},
		"a secret that others can read": func(t *testing.T, root *Root, auth *Authserver) *Root {
			root.Run("chmod", "0644", "/etc/checkpassword/secret")
			return root
		},
		"a secret that it cannot read": func(t *testing.T, root *Root, auth *Authserver) *Root {
			root.Run("chown", "root:root", "/etc/checkpassword/secret")
			return root
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			auth := StartAuthserver(t, db)
			root := newApache(t, db, auth, asItStands)
			apache := startApache(t, spoil(t, root, auth))
			for _, place := range []string{"intranet", "lists", "dav"} {
				started := time.Now()
				if apache.admits(NewBrowser(t), place, "alice@example.com", "alice sings") {
					t.Errorf("alice was admitted to %s", place)
				}
				if took := time.Since(started); took > patience/2 {
					t.Errorf("it took %v", took)
				}
			}
		})
	}
}

// A server that says nothing is given up.
func TestApacheSilentServer(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db)
	root := newApache(t, db, auth, func(s string) string {
		return strings.ReplaceAll(s, "-m authext", "--timeout 500ms -m authext")
	})
	auth.stop(t)
	silent := listen(t, auth.Port, func(conn net.Conn) { io.Copy(io.Discard, conn) }) // until the client gives up
	apache := startApache(t, root)
	if apache.admits(NewBrowser(t), "intranet", "alice@example.com", "alice sings") {
		t.Error("alice was admitted")
	}
	if silent.Load() == 0 {
		t.Error("nobody has asked")
	}
}

// Who has another certificate gets no password.
func TestApacheImpostor(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db)
	root := newApache(t, db, auth, asItStands)
	auth.stop(t)
	certificate, key := newCertificate(t)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	var heard atomic.Int64
	listen(t, auth.Port, func(conn net.Conn) {
		n, _ := io.Copy(io.Discard, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}))
		heard.Add(n)
	})
	if apache := startApache(t, root); apache.admits(NewBrowser(t), "intranet", "alice@example.com", "alice sings") {
		t.Error("alice was admitted")
	}
	if heard.Load() != 0 {
		t.Error("the impostor was told something")
	}
}

// Wrong passwords are counted for the browser that sent them.
func TestApacheThrottle(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	apache := startApache(t, newApache(t, db, StartAuthserver(t, db), asItStands))
	mallory, bob := NewBrowser(t), NewBrowser(t)
	mallory.Guess(apache.url("intranet"), "bob@example.com")
	if got := db.throttled(t, mallory.Address); !slices.Equal(got, []string{"http"}) {
		t.Errorf("wrong passwords were counted for the services %q", got)
	}
	if apache.admits(mallory, "intranet", "bob@example.com", "bob builds") {
		t.Error("there is no end to guessing")
	}
	if !apache.admits(bob, "intranet", "bob@example.com", "bob builds") {
		t.Error("bob is locked out")
	}
}

// Many logins at once do not get in each other's way, neither at Apache, whose
// module ends the wrong programs if it can, nor at the server, to which they all
// come from one address.
func TestApacheManyLogins(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	apache := startApache(t, newApache(t, db, StartAuthserver(t, db), asItStands))
	password := appPassword(t, db, "bob")
	var refused, broken atomic.Int32
	var visitors sync.WaitGroup
	for range 8 {
		browser := NewBrowser(t)
		visitors.Go(func() {
			for range 25 {
				switch got, err := browser.visit(apache.url("lists"), "bob@example.com", password); {
				case err != nil:
					broken.Add(1)
				case got.Status != http.StatusOK:
					refused.Add(1)
				}
			}
		})
	}
	visitors.Wait()
	if refused.Load() > 0 || broken.Load() > 0 {
		t.Errorf("of 200 logins, %d were refused and %d got no answer", refused.Load(), broken.Load())
	}
}

// Keys change without a refused login: the next one is published, fetched, and
// only then used.
func TestApacheKeyRotation(t *testing.T) {
	t.Parallel()
	// A domain of its own: other tests use the keys of example.com.
	const domain, host = "rotation.test", "auth.rotation.test"
	db := OpenDatabase(t, "")
	db.Operate(t, "domain", "create", domain, "--create-key", "jwt", "--jwt-allow-subdomain-signing")
	auth := StartAuthserver(t, db)
	root := newApache(t, db, auth, rotating(auth), host)
	apache := startApache(t, root)
	admitted := func() bool {
		t.Helper()
		return apache.admits(NewBrowser(t), "lists", "alice@example.com", "alice sings")
	}
	if !admitted() {
		t.Fatal("alice was not admitted with the first key")
	}
	first := root.Read("/etc/checkpassword/keys")

	db.Operate(t, "domain", "publish-key", domain, "--key", "jwt")
	var next string
	for _, key := range domainKeys(t, db, domain) {
		if key.State == "published" {
			next = key.KID
		}
	}
	client := auth.Client()
	auth.await(t, "publish the next key", func() bool {
		return strings.Contains(ask(t, client, auth, http.MethodGet, "/getkey/?format=jwks", host), `"`+next+`"`)
	})
	root.follow(ReadGuide(t, "apache.md", "Changing keys"), rotating(auth))
	if root.Read("/etc/checkpassword/keys") == first {
		t.Fatal("the file of keys is the old one")
	}
	if !admitted() {
		t.Fatal("alice was not admitted with two keys")
	}

	db.Operate(t, "domain", "activate-key", "--", domain, next)
	auth.await(t, "sign with the next key", func() bool {
		if !admitted() {
			t.Fatal("alice was not admitted while the key changed")
		}
		header, _, _ := strings.Cut(ask(t, client, auth, http.MethodPost, "/checkpassword/", host), ".")
		decoded, err := base64.RawURLEncoding.DecodeString(header)
		return err == nil && strings.Contains(string(decoded), `"`+next+`"`)
	})
	if !admitted() {
		t.Error("alice was not admitted with the next key")
	}

	// Who has not fetched it admits nobody.
	root.Write("/etc/checkpassword/keys", first)
	if admitted() {
		t.Error("alice was admitted by a key that is not in the file")
	}
	root.follow(ReadGuide(t, "apache.md", "Changing keys"), rotating(auth))
	if !admitted() {
		t.Error("alice was not admitted after the keys were fetched again")
	}
}

// rotating lets the guide be about another domain, which the server has no
// certificate for.
func rotating(auth *Authserver) func(string) string {
	other := strings.NewReplacer(AuthHost, "auth.rotation.test", "--domain example.com", "--domain rotation.test", "--ca-file /etc/ssl/auth.pem", "--no-ssl-validate")
	return func(s string) string { return other.Replace(auth.Configure(s)) }
}

// domainKeys returns the keys of a domain.
func domainKeys(t *testing.T, db *Database, domain string) (keys []struct{ KID, State string }) {
	t.Helper()
	if err := json.Unmarshal([]byte(db.Operate(t, "domain", "keys", domain, "-f", "json")), &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

// ask sends alice's login to a server under one of its names, and returns what
// it says.
func ask(t *testing.T, client *http.Client, auth *Authserver, method, path, host string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, auth.URL(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.SetBasicAuth("alice@example.com", "alice sings")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// newPublicKey returns a key that nobody signs with, PEM.
func newPublicKey(t *testing.T) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
