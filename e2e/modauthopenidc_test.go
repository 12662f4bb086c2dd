package e2e

import (
	"crypto/rand"
	"net/http"
	neturl "net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const modAuthOpenIDCPage = "mod_auth_openidc.md"

// An openIDCSite is the Apache of the guide, with its sites.
type openIDCSite struct {
	*Server
	Site, API   string // origins
	Certificate string
	Client      Credentials
	Exporter    Credentials // asks the API for itself

	db   *Database
	auth *Provider
}

// typeClients runs lines of a guide that make clients and change them, and returns
// the clients by the names that they have in it. Tests share a database: in that
// they have others.
func typeClients(t *testing.T, db *Database, lines []string) map[string]Credentials {
	t.Helper()
	clients := map[string]Credentials{}
	for _, line := range lines {
		if words := strings.Fields(line); words[2] == "create" {
			name := words[3] + "-" + strconv.Itoa(int(lastClient.Add(1)))
			clients[words[3]] = ReadCredentials(t, db.Type(t, strings.Replace(line, words[3], name, 1)))
			continue
		}
		for name, client := range clients {
			for _, command := range []string{"edit", "require"} {
				line = strings.Replace(line, " "+command+" "+name+" ", " "+command+" "+client.ClientID+" ", 1)
			}
		}
		db.Type(t, line)
	}
	return clients
}

var lastClient atomic.Int32

// startOpenIDC does what the guide says, with files as edit makes them.
func startOpenIDC(t *testing.T, edit func(string) string) *openIDCSite {
	t.Helper()
	port := FreePort()
	at := ":" + strconv.Itoa(port)
	s := &openIDCSite{Site: "https://intranet.example.com" + at, API: "https://api.example.com" + at, db: OpenProviderDatabase(t)}
	inPlace := strings.NewReplacer("https://intranet.example.com", s.Site, "https://api.example.com", s.API)
	var lines []string
	for _, section := range []string{"Client", "API"} {
		for _, line := range sectionLines(t, modAuthOpenIDCPage, section) {
			lines = append(lines, inPlace.Replace(line))
		}
	}
	clients := typeClients(t, s.db, lines)
	s.Client, s.Exporter = clients["intranet"], clients["exporter"]
	s.db.Operate(t, "oauth2", "edit", s.Exporter.ClientID, "--set-resource", s.Site+"/api/", "--set-resource", s.API+"/")
	s.auth = StartProvider(t, "/o2")

	root := NewRoot(t, "bookworm-web")
	s.auth.Reachable(root)
	var key string
	s.Certificate, key = newCertificate(t, "intranet.example.com", "api.example.com")
	root.Write("/etc/ssl/intranet.pem", s.Certificate)
	root.Write("/etc/ssl/intranet.key", key)
	replacer := strings.NewReplacer(
		"https://intranet.example.com", s.Site, "https://api.example.com", s.API, "https://"+AuthHost, s.auth.URL(""), "*:443", "127.0.0.1"+at,
		"http://127.0.0.1:8080/", "http://"+NewApplication(t)+"/", "CHANGE_ME", rand.Text(),
		"API_CLIENT_ID", clients["intranet-api"].ClientID, "API_CLIENT_SECRET", clients["intranet-api"].ClientSecret,
		"CLIENT_ID", s.Client.ClientID, "CLIENT_SECRET", s.Client.ClientSecret,
	)
	for _, section := range []string{"Site", "API"} {
		root.follow(ReadGuide(t, modAuthOpenIDCPage, section), func(text string) string { return replacer.Replace(edit(text)) })
	}
	root.Write("/etc/apache2/ports.conf", "Listen 127.0.0.1"+at+"\n")
	root.Run("a2dissite", "000-default")
	root.Run("ln", "-sf", "/dev/stderr", "/var/log/apache2/error.log")
	s.Server = root.Start(port, "sh", "-ec", "mkdir -p /run/apache2; . /etc/apache2/envvars; exec apache2 -DFOREGROUND")
	return s
}

// newVisitor is NewPerson for Apache: it sends browsers away to sign in, and not
// programs, which it tells by what they accept.
func newVisitor(t *testing.T) *Person {
	p := NewPerson(t)
	p.http.Transport = acceptingHTML{p.http.Transport}
	return p
}

type acceptingHTML struct{ http.RoundTripper }

func (a acceptingHTML) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Close = true // after its own error pages, the module has Apache answer once more
	return a.RoundTripper.RoundTrip(r)
}

// visit opens a page of a site, and follows wherever that leads, back and forth.
func visit(p *Person, url string) {
	p.t.Helper()
	p.Open(url)
	comeBack(p)
}

// comeBack follows redirects of both sides until there is a page.
func comeBack(p *Person) {
	p.t.Helper()
	for range 10 {
		if p.Back == nil {
			return
		}
		p.Open(p.Back.URL)
	}
	p.t.Fatalf("redirects do not end: %s", p.Back.URL)
}

// signIn opens a page of the site and signs in at the provider.
func (s *openIDCSite) signIn(p *Person, path, user, password string) {
	p.t.Helper()
	visit(p, s.Site+path)
	if p.URL.Hostname() != AuthHost {
		p.t.Fatalf("nobody has to sign in: %s, status %d\n%s", p.URL, p.Status, p.Body)
	}
	p.Send("username", user, "password", password)
	comeBack(p)
}

// A member is a user whom only one test knows: in the group staff, which holds
// imap.
type member struct{ name, address, password string }

var lastMember atomic.Int32

// newMember adds a member to a database.
func newMember(t *testing.T, db *Database) member {
	t.Helper()
	name := "member-" + strconv.Itoa(int(lastMember.Add(1)))
	m := member{name, name + "@example.com", "carol cooks"}
	conn := db.Connect(t)
	for _, statement := range []string{
		"insert into auth.login_names (name, kind) values ($1, 'user')",
		"insert into auth.users (identifier, full_name, active, password_hash) select $1, 'A Member', true, u.password_hash from auth.users u where u.identifier = 'carol'",
		"insert into auth.aliases (local_part, domain_id, user_id) select $1, d.id, u.id from auth.domains d, auth.users u where d.name = 'example.com' and u.identifier = $1",
		"update auth.users set delivery_mailbox_id = a.id from auth.aliases a where a.local_part = $1 and identifier = $1",
	} {
		if _, err := conn.Exec(t.Context(), statement, name); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	db.Operate(t, "permissions", "grant", "membership", m.address, "staff")
	return m
}

// A member signs in and out, and the application knows who it is.
func TestOpenIDC(t *testing.T) {
	t.Parallel()
	s := startOpenIDC(t, asItStands)
	who := newMember(t, s.db)

	t.Run("signs in", func(t *testing.T) {
		p := newVisitor(t)
		s.signIn(p, "/page?x=1", who.address, who.password)
		if !p.IsApplication() || p.URL.String() != s.Site+"/page?x=1" {
			t.Fatalf("%s, status %d\n%s", p.URL, p.Status, p.Body)
		}
		for header, want := range map[string]string{
			"X-Remote-User": who.name, "OIDC-CLAIM-groups": "staff", "OIDC-CLAIM-email": who.address, "OIDC-CLAIM-name": "A Member",
		} {
			if got := p.Got(header); !slices.Equal(got, []string{want}) {
				t.Errorf("%s is %q, want %q", header, got, want)
			}
		}
		if len(p.Got("OIDC-CLAIM-sub")) != 1 || len(p.Got("OIDC-access-token")) != 1 {
			t.Errorf("the application got\n%s", p.Body)
		}

		// What a browser says about itself is not what the application hears.
		forged := (&Browser{t: t, client: p.http}).Visit(s.Site+"/", "", "",
			"X-Remote-User", "root", "OIDC_CLAIM_groups", "admins", "OIDC-CLAIM-groups", "admins", "OIDC_CLAIM_admin", "1", "OIDC_access_token", "x")
		if !forged.IsApplication() || !slices.Equal(forged.Got("X-Remote-User"), []string{who.name}) ||
			slices.Contains(forged.Got("OIDC-CLAIM-groups"), "admins") || len(forged.Got("OIDC-CLAIM-admin")) != 0 || len(forged.Got("OIDC-access-token")) != 1 {
			t.Errorf("forged headers: status %d\n%s", forged.Status, forged.Body)
		}

		// Another window of the same browser needs no password: there is a session.
		visit(p, s.Site+"/other")
		if !p.IsApplication() {
			t.Errorf("a second page: %s, status %d\n%s", p.URL, p.Status, p.Body)
		}
		visit(p, s.Site+"/oidc?logout="+neturl.QueryEscape(s.Site+"/bye.html"))
		if p.URL.String() != s.Site+"/bye.html" || !strings.Contains(p.Body, "signed out") {
			t.Fatalf("after signing out: %s, status %d\n%s", p.URL, p.Status, p.Body)
		}
		visit(p, s.Site+"/")
		if p.URL.Hostname() != AuthHost || !p.form.takes("password", "") {
			t.Errorf("after signing out, there is no login: %s, status %d\n%s", p.URL, p.Status, p.Body)
		}
	})

	t.Run("signs in with Chromium", func(t *testing.T) {
		tab := StartChromium(t, s.auth.Certificate, s.Certificate).NewTab(Visitor{Language: "en"})
		tab.Open(s.Site + "/page")
		tab.Fill("username", who.address)
		tab.Fill("password", who.password)
		tab.Press("Sign in")
		if text := tab.Text(); tab.URL() != s.Site+"/page" || !strings.Contains(text, "X-Remote-User: "+who.name) {
			t.Fatalf("%s shows\n%s", tab.URL(), text)
		}
		tab.Open(s.Site + "/oidc?logout=" + neturl.QueryEscape(s.Site+"/bye.html"))
		if text := tab.Text(); tab.URL() != s.Site+"/bye.html" || !strings.Contains(text, "You are signed out") {
			t.Fatalf("after signing out, %s shows\n%s", tab.URL(), text)
		}
		tab.Press("Sign in")
		if !strings.HasPrefix(tab.URL(), s.auth.URL("/login?")) {
			t.Errorf("after signing out, there is no login: %s", tab.URL())
		}
	})

	t.Run("no member", func(t *testing.T) {
		p := newVisitor(t)
		s.signIn(p, "/", "alice@example.com", "alice sings")
		if p.Status != http.StatusForbidden || p.URL.String() != s.Site+"/" || p.IsApplication() {
			t.Errorf("alice is admitted: %s, status %d\n%s", p.URL, p.Status, p.Body)
		}
	})

	t.Run("lacks the permission", func(t *testing.T) {
		other := newMember(t, s.db)
		s.db.Operate(t, "permissions", "revoke", "membership", other.address, "staff")
		p := newVisitor(t)
		for range 2 { // the second time, nobody has to sign in
			if p.URL == nil {
				s.signIn(p, "/", other.address, other.password)
			} else {
				visit(p, s.Site+"/")
			}
			if p.URL.Hostname() != AuthHost || p.Status != http.StatusForbidden || !strings.Contains(p.Body, other.name) || strings.Contains(p.Body, "intranet") {
				t.Errorf("%s, status %d\n%s", p.URL, p.Status, p.Body)
			}
		}
	})

	t.Run("no browser", func(t *testing.T) {
		for _, path := range []string{"/", "/page", "/%6fidc/../page", "//page", "/bye.html/../page"} {
			if got := NewBrowser(t).Visit(s.Site+path, "", ""); got.Status != http.StatusUnauthorized {
				t.Errorf("%s: status %d\n%s", path, got.Status, got.Body)
			}
		}
		if got := NewBrowser(t).Visit(s.Site+"/", who.address, who.password); got.Status != http.StatusUnauthorized {
			t.Errorf("a password by Basic: status %d", got.Status)
		}
	})

	// What one browser got is nothing worth in another, which has not asked.
	t.Run("somebody else's code", func(t *testing.T) {
		mallory, victim := newVisitor(t), newVisitor(t)
		mallory.Open(s.Site + "/")
		mallory.Send("username", who.address, "password", who.password)
		if mallory.Back == nil || !strings.HasPrefix(mallory.Back.URL, s.Site+"/oidc?") {
			t.Fatalf("no way back: %s, status %d\n%s", mallory.URL, mallory.Status, mallory.Body)
		}
		victim.Open(mallory.Back.URL)
		if victim.Back == nil && victim.IsApplication() {
			t.Error("the victim is signed in as somebody else")
		}
		visit(victim, s.Site+"/")
		if victim.URL.Hostname() != AuthHost {
			t.Errorf("the victim need not sign in: %s, status %d\n%s", victim.URL, victim.Status, victim.Body)
		}
	})

	t.Run("signing out leads nowhere else", func(t *testing.T) {
		p := newVisitor(t)
		s.signIn(p, "/", who.address, who.password)
		p.Open(s.Site + "/oidc?logout=" + neturl.QueryEscape("https://mallory.example.org/"))
		for p.Back != nil && strings.HasPrefix(p.Back.URL, s.Site+"/") {
			p.Open(p.Back.URL)
		}
		if p.Back != nil || p.URL.Host != strings.TrimPrefix(s.Site, "https://") || !strings.Contains(p.Body, "does not match the hostname") {
			t.Errorf("leads to %+v, status %d\n%s", p.Back, p.Status, p.Body)
		}
	})
}

// Who may come no more is out as soon as the site refreshes, and who may stay
// notices nothing, however many requests come at once.
func TestOpenIDCRefresh(t *testing.T) {
	t.Parallel()
	const age = 8 * time.Second // of an access token that is old enough
	s := startOpenIDC(t, func(text string) string {
		return strings.NewReplacer(
			"OIDCRefreshAccessTokenBeforeExpiry 30", "OIDCRefreshAccessTokenBeforeExpiry "+strconv.Itoa(int((5*time.Minute-age).Seconds())),
			"OIDCUserInfoRefreshInterval 300", "OIDCUserInfoRefreshInterval 1",
		).Replace(text)
	})
	out := func(t *testing.T, p *Person) {
		t.Helper()
		s.await(t, "notice that somebody is out", func() bool {
			visit(p, s.Site+"/")
			return p.URL.String() == s.Site+"/bye.html"
		})
		visit(p, s.Site+"/")
	}
	signedIn := func(t *testing.T) (*Person, member) {
		t.Helper()
		who := newMember(t, s.db)
		p := newVisitor(t)
		s.signIn(p, "/", who.address, who.password)
		if !p.IsApplication() {
			t.Fatalf("%s, status %d\n%s", p.URL, p.Status, p.Body)
		}
		return p, who
	}

	t.Run("stays", func(t *testing.T) {
		t.Parallel()
		p, who := signedIn(t)
		first := p.Got("OIDC-access-token")
		browser := &Browser{t: t, client: p.http}
		var requests sync.WaitGroup
		for range 8 {
			requests.Go(func() {
				<-time.After(age + time.Second)
				got, err := browser.visit(s.Site+"/", "", "", "Accept", "text/html")
				if err != nil || !got.IsApplication() || !slices.Equal(got.Got("X-Remote-User"), []string{who.name}) {
					t.Errorf("one of several requests: status %d, %v\n%s", got.Status, err, got.Body)
				}
			})
		}
		requests.Wait()
		p.Open(s.Site + "/")
		if !p.IsApplication() {
			t.Fatalf("after several requests at once: %+v, status %d\n%s", p.Back, p.Status, p.Body)
		}
		if now := p.Got("OIDC-access-token"); len(first) != 1 || len(now) != 1 || now[0] == first[0] {
			t.Error("the access token is not refreshed")
		}
	})

	t.Run("deactivated", func(t *testing.T) {
		t.Parallel()
		p, who := signedIn(t)
		s.db.Operate(t, "user", "deactivate", who.address)
		out(t, p)
		if p.URL.Hostname() != AuthHost || !p.form.takes("password", "") {
			t.Errorf("%s, status %d\n%s", p.URL, p.Status, p.Body)
		}
	})

	t.Run("signed out elsewhere", func(t *testing.T) {
		t.Parallel()
		p, _ := signedIn(t)
		p.Open(s.auth.URL("/logout"))
		p.Send()
		out(t, p)
		if p.URL.Hostname() != AuthHost || !p.form.takes("password", "") {
			t.Errorf("%s, status %d\n%s", p.URL, p.Status, p.Body)
		}
	})

	t.Run("not in the group any more", func(t *testing.T) {
		t.Parallel()
		p, who := signedIn(t)
		s.db.Operate(t, "permissions", "grant", "user", who.address, "imap")
		s.db.Operate(t, "permissions", "revoke", "membership", who.address, "staff")
		s.await(t, "notice that somebody has left the group", func() bool {
			visit(p, s.Site+"/")
			return p.Status == http.StatusForbidden && p.URL.String() == s.Site+"/"
		})
	})

	t.Run("without the permission", func(t *testing.T) {
		t.Parallel()
		p, who := signedIn(t)
		s.db.Operate(t, "permissions", "revoke", "membership", who.address, "staff")
		out(t, p)
		if p.URL.Hostname() != AuthHost || p.Status != http.StatusForbidden {
			t.Errorf("%s, status %d\n%s", p.URL, p.Status, p.Body)
		}
	})
}

// Programs show access tokens, which are for the API and for what it does.
func TestOpenIDCBearer(t *testing.T) {
	t.Parallel()
	s := startOpenIDC(t, asItStands)
	who := newMember(t, s.db)
	newClient := func(name string, resources ...string) *goClient {
		t.Helper()
		made := s.db.CreateClient(t, name, "--redirect-uri", goRedirect, "--skip-authorization")
		args := []string{"oauth2", "edit", made.ClientID, "--set-scope", "openid", "--set-scope", "email", "--set-scope", "reports.read", "--set-access-token-claims", "scoped"}
		for _, resource := range []string{s.Site + "/api/", s.API + "/", "https://other.example.com/"} {
			args = append(args, "--set-resource", resource)
		}
		s.db.Operate(t, args...)
		client := newGoClient(t, s.auth, made)
		client.config.Scopes = []string{"openid", "email", "reports.read"}
		for i, resource := range resources {
			client.config.Endpoint.AuthURL += map[bool]string{true: "?", false: "&"}[i == 0] + "resource=" + neturl.QueryEscape(resource)
		}
		return client
	}
	ask := func(url, token string, headers ...string) Page {
		return NewBrowser(t).Visit(url, "", "", append(headers, "Authorization", "Bearer "+token, "Connection", "close")...)
	}
	// Clients are known to a running server before long.
	app := newClient("app", s.Site+"/api/", s.API+"/")
	short := newClient("bearer-short", s.Site+"/api/", s.API+"/")
	s.db.Operate(t, "oauth2", "edit", short.config.ClientID, "--set-access-token-lifetime", "10s") // there is no shorter one
	plain := newClient("plain")
	other := newClient("other", "https://other.example.com/")
	poor := newClient("poor", s.Site+"/api/", s.API+"/")
	poor.config.Scopes = []string{"openid", "email"}
	p := NewPerson(t)
	s.auth.await(t, "know the clients", func() bool {
		p.Open(poor.config.AuthCodeURL("s"))
		return p.Status != http.StatusBadRequest || p.Back != nil
	})
	signedIn := func(client *goClient) *oauth2.Token {
		t.Helper()
		tokens, _ := client.signIn(p, who.address, who.password)
		return tokens
	}
	tokens := signedIn(app)
	aged := signedIn(short)
	idToken := tokens.Extra("id_token").(string)

	for name, api := range map[string]struct {
		url, resource string
		introspection bool
	}{
		"introspection": {s.Site + "/api/reports", s.Site + "/api/", true},
		"keys":          {s.API + "/reports", s.API + "/", false},
	} {
		t.Run(name, func(t *testing.T) {
			itself := clientcredentials.Config{
				ClientID: s.Exporter.ClientID, ClientSecret: s.Exporter.ClientSecret, TokenURL: app.config.Endpoint.TokenURL,
				Scopes: []string{"reports.read"}, EndpointParams: neturl.Values{"resource": {api.resource}},
			}
			exported, err := itself.Token(app.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(api.url, exported.AccessToken); !got.IsApplication() || !slices.Equal(got.Got("X-Remote-User"), []string{s.Exporter.ClientID}) {
				t.Errorf("a client's own token: status %d\n%s", got.Status, got.Body)
			}
			got := ask(api.url, tokens.AccessToken, "X-Remote-User", "root", "OIDC_CLAIM_email", "root@example.com")
			if !got.IsApplication() || !slices.Equal(got.Got("OIDC-CLAIM-email"), []string{who.address}) || len(got.Got("X-Remote-User")) != 1 || got.Got("X-Remote-User")[0] == "root" {
				t.Errorf("a user's token: status %d\n%s", got.Status, got.Body)
			}

			changed := []byte(tokens.AccessToken)
			changed[len(changed)-10] ^= 1
			for what, token := range map[string]string{
				"another signature":          string(changed),
				"another resource":           signedIn(other).AccessToken,
				"no resource":                signedIn(plain).AccessToken,
				"another scope":              signedIn(poor).AccessToken,
				"a refresh token":            tokens.RefreshToken,
				"an ID token":                idToken,
				"nothing that is ours":       "x",
				"an unsigned one":            "eyJhbGciOiJub25lIn0." + strings.Split(tokens.AccessToken, ".")[1] + ".",
				"the claims of another, too": strings.Split(tokens.AccessToken, ".")[0] + "." + strings.Split(exported.AccessToken, ".")[1] + "." + strings.Split(tokens.AccessToken, ".")[2],
			} {
				if got := ask(api.url, token); got.Status != http.StatusUnauthorized && got.Status != http.StatusForbidden || got.IsApplication() {
					t.Errorf("%s: status %d\n%s", what, got.Status, got.Body)
				}
			}
			got = NewBrowser(t).Visit(api.url+"?access_token="+tokens.AccessToken, "", "")
			if got.Status != http.StatusUnauthorized {
				t.Errorf("a token in the URL: status %d\n%s", got.Status, got.Body)
			}

			<-time.After(time.Until(aged.Expiry) + time.Second)
			if got := ask(api.url, aged.AccessToken); got.Status != http.StatusUnauthorized {
				t.Errorf("a token that has expired: status %d\n%s", got.Status, got.Body)
			}
		})
	}

	t.Run("a browser's session", func(t *testing.T) {
		browser := newVisitor(t)
		s.signIn(browser, "/", who.address, who.password)
		if !browser.IsApplication() {
			t.Fatalf("%s, status %d\n%s", browser.URL, browser.Status, browser.Body)
		}
		visit(browser, s.Site+"/api/reports")
		if browser.Status != http.StatusUnauthorized || browser.IsApplication() {
			t.Errorf("status %d\n%s", browser.Status, browser.Body)
		}
	})

	// Keys know nothing of it.
	s.db.Operate(t, "oauth2", "revoke", "-u", who.address, "--client", app.config.ClientID)
	if got := ask(s.Site+"/api/reports", tokens.AccessToken); got.Status != http.StatusUnauthorized {
		t.Errorf("a token that is revoked, by introspection: status %d\n%s", got.Status, got.Body)
	}
	if got := ask(s.API+"/reports", tokens.AccessToken); !got.IsApplication() {
		t.Errorf("a token that is revoked, by the keys: status %d\n%s", got.Status, got.Body)
	}
}
