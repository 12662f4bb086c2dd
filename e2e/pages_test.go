package e2e

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A stage is a provider whose pages are looked at in Chromium, and a client of
// its own, whose users come back to app.
type stage struct {
	t        *testing.T
	db       *Database
	auth     *Provider
	chromium *Chromium
	app      smallSite
	client   Credentials
}

// newStage starts all of them. The browser trusts other sites, too. Flags are of
// authserver oauth2 edit, for the client.
func newStage(t *testing.T, client string, app http.Handler, others []smallSite, flags ...string) *stage {
	t.Helper()
	s := &stage{t: t, db: OpenProviderDatabase(t), app: newSite(t, "app.example.org", app)}
	s.client = s.db.CreateClient(t, client, "--skip-pkce", "--redirect-uri", s.callback())
	if len(flags) > 0 {
		s.edit(flags...)
	}
	s.auth = StartProvider(t, "/o2")
	certificates := []string{s.auth.Certificate, s.app.certificate}
	for _, site := range others {
		certificates = append(certificates, site.certificate)
	}
	s.chromium = StartChromium(t, certificates...)
	return s
}

func (s *stage) edit(flags ...string) {
	s.t.Helper()
	s.db.Operate(s.t, append([]string{"oauth2", "edit", s.client.ClientID}, flags...)...)
}

func (s *stage) callback() string { return s.app.url + "/callback" }

// authorize returns an authorization request of the client, with some parameters
// changed.
func (s *stage) authorize(changes ...string) string {
	p := url.Values{
		"client_id": {s.client.ClientID}, "redirect_uri": {s.callback()}, "response_type": {"code"}, "scope": {"openid email"}, "state": {"on stage"},
	}
	for change := range slices.Chunk(changes, 2) {
		p.Set(change[0], change[1])
	}
	return s.auth.URL("/o2/authorize/?" + p.Encode())
}

// newSite starts a web site over TLS with this host name.
func newSite(t *testing.T, host string, pages http.Handler) smallSite {
	t.Helper()
	server := httptest.NewTLSServer(pages)
	t.Cleanup(server.Close)
	return smallSite{
		url:         strings.Replace(server.URL, "127.0.0.1", host, 1),
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	}
}

// show answers with a page that says something and shows what came with the
// request.
func show(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err := r.ParseForm()
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Site</title><p>%s: %s %v, %v.`, text, r.Method, err, r.Form)
	}
}

// write answers with a page.
func write(html string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><html lang="en"><title>Site</title>`+html)
	}
}

// signIn fills in the login page that a tab shows.
func (b *Tab) signIn(name, password string) {
	b.t.Helper()
	b.Fill("username", name)
	b.Fill("password", password)
	b.Press("Sign in")
}

// pressFirst is Press for the first element of a CSS selector, in pages of any
// language.
func (b *Tab) pressFirst(selector string) {
	b.t.Helper()
	b.navigate("pressing "+selector, chromedp.Click(selector, chromedp.ByQuery))
}

// shows expects words in the page.
func (b *Tab) shows(words ...string) {
	b.t.Helper()
	text := b.Text()
	for _, word := range words {
		if !strings.Contains(text, word) {
			b.t.Errorf("%s does not say %q:\n%s", b.URL(), word, text)
		}
	}
}

// isAt expects that the tab is at a URL that begins like this.
func (b *Tab) isAt(prefix string) {
	b.t.Helper()
	if url := b.URL(); !strings.HasPrefix(url, prefix) {
		b.t.Errorf("the tab is at %s, want %s\n%s", url, prefix, b.Text())
	}
}

// A form leads to an application of another origin: after a login, after a
// consent, and with a consent that is remembered. Policies of pages are violated
// nowhere, or the test fails.
func TestPagesRedirect(t *testing.T) {
	t.Parallel()
	s := newStage(t, "redirect", show("Application"), nil)
	for name, visitor := range map[string]Visitor{"alice": {}, "bob": {NoScript: true}} {
		password := map[string]string{"alice": "alice sings", "bob": "bob builds"}[name]
		tab := s.chromium.NewTab(visitor)
		tab.Open(s.authorize())
		tab.shows("redirect")
		tab.signIn(name+"@example.com", password)
		tab.shows("redirect", "email", "app.example.org")
		tab.Press("Allow")
		tab.isAt(s.callback() + "?code=oc_")
		tab.shows("Application: GET", "state:[on stage]")
		tab.Open(s.authorize())
		tab.isAt(s.callback() + "?code=oc_")

		tab = s.chromium.NewTab(visitor)
		tab.Open(s.authorize())
		tab.signIn(name+"@example.com", password)
		tab.isAt(s.callback() + "?code=oc_")
		tab.Open(s.authorize("prompt", "consent"))
		tab.Press("Deny")
		tab.isAt(s.callback() + "?error=access_denied")
	}
}

// An application may send the browser on to another origin if that is one of its
// own, and else the browser stops.
func TestPagesRedirectOn(t *testing.T) {
	t.Parallel()
	portal := newSite(t, "portal.example.com", show("Portal"))
	s := newStage(t, "redirect-on", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, portal.url+"/home?"+r.URL.RawQuery, http.StatusSeeOther)
	}), []smallSite{portal})

	// blocked presses what sends the form that the tab shows.
	blocked := func(tab *Tab, button string) {
		t.Helper()
		at := tab.URL()
		tab.Click(button)
		if violations := tab.AwaitViolation(); len(violations) != 1 || !strings.Contains(violations[0], "form-action") {
			t.Errorf("violations: %q", violations)
		}
		if tab.URL() != at {
			t.Errorf("the tab is at %s", tab.URL())
		}
	}
	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.authorize())
	tab.signIn("alice@example.com", "alice sings")
	blocked(tab, `[value="allow"]`)
	tab = s.chromium.NewTab(Visitor{})
	tab.Open(s.authorize())
	tab.Fill("username", "alice@example.com")
	tab.Fill("password", "alice sings")
	blocked(tab, "form button") // and its consent is known

	s.edit("--set-allowed-origin", portal.url)
	visit := func(tab *Tab) {
		t.Helper()
		tab.isAt(portal.url + "/home?code=oc_")
	}
	tab = s.chromium.NewTab(Visitor{})
	tab.await("hear of the client's origin", func() bool {
		tab.Open(s.authorize())
		return strings.Contains(tab.Header.Get("Content-Security-Policy"), portal.url)
	})
	tab.signIn("alice@example.com", "alice sings")
	visit(tab)
	tab.Open(s.authorize("prompt", "consent"))
	tab.Press("Allow")
	visit(tab)
	tab.Open(s.authorize("prompt", "consent", "response_mode", "form_post"))
	tab.Press("Allow")
	tab.AwaitURL(portal.url + "/home")
}

// An answer by a form is sent by a script, or by a person who has none.
func TestPagesFormPost(t *testing.T) {
	t.Parallel()
	s := newStage(t, "form-post", show("Application"), nil)
	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.authorize("response_mode", "form_post"))
	tab.signIn("alice@example.com", "alice sings")
	tab.Press("Allow")
	tab.AwaitURL(s.callback())
	tab.shows("Application: POST", "code:[oc_", "iss:["+s.auth.Issuer+"]", "state:[on stage]")
	// Whoever goes back from there does not send the form again.
	tab.back()
	tab.isAt(s.auth.URL(""))
	if text := tab.Text(); strings.Contains(text, "One moment") {
		t.Errorf("back is the form:\n%s", text)
	}

	tab = s.chromium.NewTab(Visitor{NoScript: true, Language: "en"})
	tab.Open(s.authorize("response_mode", "form_post"))
	tab.signIn("alice@example.com", "alice sings")
	tab.examine("form-post", "en", looks)
	tab.Press("Continue")
	tab.isAt(s.callback())
	tab.shows("Application: POST", "code:[oc_", "state:[on stage]")
	tab.Open(s.authorize("response_mode", "form_post", "prompt", "none", "max_age", "0"))
	tab.Press("Continue")
	tab.shows("Application: POST", "error:[login_required]")
}

// back goes back as a person does.
func (b *Tab) back() {
	b.t.Helper()
	b.navigate("going back", chromedp.ActionFunc(func(ctx context.Context) error {
		at, entries, err := page.GetNavigationHistory().Do(ctx)
		if err != nil {
			return err
		}
		if at == 0 {
			return fmt.Errorf("there is nothing to go back to")
		}
		return page.NavigateToHistoryEntry(entries[at-1].ID).Do(ctx)
	}))
}

// Programs on the person's own machine: a scheme of their own, and a port that
// is free.
func TestPagesNative(t *testing.T) {
	t.Parallel()
	const scheme = "com.example.app:/callback"
	policed := newSite(t, "policed.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, scheme, http.StatusSeeOther)
			return
		}
		w.Header().Set("Content-Security-Policy", "form-action 'self'")
		write(`<form method="post"><button>Go</button></form>`)(w, r)
	}))
	s := newStage(t, "native", show("Site"), []smallSite{policed}, "--set-client-type", "public", "--set-token-endpoint-auth-method", "none",
		"--set-redirect-uri", scheme, "--set-redirect-uri", "http://127.0.0.1/callback", "--set-redirect-uri", "http://[::1]/callback",
		"--set-redirect-uri", "http://localhost/callback", "--set-require-pkce")
	program := httptest.NewServer(show("Program"))
	t.Cleanup(program.Close)
	port := program.URL[strings.LastIndexByte(program.URL, ':'):]
	pkce := []string{"code_challenge", appChallenge, "code_challenge_method", "S256", "redirect_uri"}

	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.authorize(append(pkce, "http://127.0.0.1"+port+"/callback")...))
	tab.signIn("alice@example.com", "alice sings")
	tab.Press("Allow")
	tab.isAt("http://127.0.0.1" + port + "/callback?code=oc_")
	tab.Open(s.authorize(append(pkce, "http://localhost"+port+"/callback", "prompt", "consent")...))
	tab.Press("Allow")
	tab.isAt("http://localhost" + port + "/callback?code=oc_")

	// There is no such program here, and the tab stays where it is. A policy that
	// does not know of the scheme would be violated.
	launched := func(tab *Tab, button string) {
		t.Helper()
		events := make(chan any, 1000)
		chromedp.ListenTarget(tab.ctx, func(event any) {
			switch event.(type) {
			case *network.EventResponseReceivedExtraInfo, *network.EventLoadingFailed:
				events <- event
			}
		})
		tab.do("watching the network", network.Enable())
		tab.Click(button)
		var called network.RequestID
		deadline := time.After(patience)
		for {
			select {
			case event := <-events:
				switch event := event.(type) {
				case *network.EventResponseReceivedExtraInfo:
					if to := fmt.Sprint(event.Headers["Location"], event.Headers["location"]); strings.Contains(to, scheme+"?code=oc_") {
						called = event.RequestID
					}
				case *network.EventLoadingFailed:
					if event.RequestID != called {
						break
					}
					if event.BlockedReason != "" {
						t.Errorf("the program was not called: %s, %s", event.ErrorText, event.BlockedReason)
					}
					return
				}
			case <-deadline:
				t.Fatalf("the program was not called: %q", called)
			}
		}
	}
	tab.Open(policed.url)
	tab.Click("button")
	if violations := tab.AwaitViolation(); !strings.Contains(violations[0], "form-action") {
		t.Errorf("without the scheme in the policy: %q", violations)
	}
	tab.Open(s.authorize(append(pkce, scheme, "prompt", "consent")...))
	launched(tab, `[value="allow"]`)
	tab = s.chromium.NewTab(Visitor{})
	tab.Open(s.authorize(append(pkce, scheme)...))
	tab.signIn("alice@example.com", "alice sings")
	launched(tab, `[value="allow"]`) // once more: another program may have the scheme
}

// A look is a way to look at a page.
type look struct {
	name        string
	dark, phone bool
}

// looks are all of them. The first two have everything in them.
var looks = []look{{"light", false, false}, {"dark-phone", true, true}, {"phone", false, true}, {"dark", true, false}}

// look makes the tab that of a visitor with other eyes or another screen.
func (b *Tab) look(dark, phone bool) {
	b.t.Helper()
	colours := "light"
	if dark {
		colours = "dark"
	}
	screen := emulation.SetDeviceMetricsOverride(1280, 800, 1, false)
	if phone {
		screen = emulation.SetDeviceMetricsOverride(360, 740, 3, true)
	}
	b.do("looking", screen, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}))
}

// examine looks at a page in some ways: anybody can use it, on any screen, and it
// is in this language.
func (b *Tab) examine(name, language string, looks []look) {
	b.t.Helper()
	var lang string
	b.Eval(`document.documentElement.lang`, &lang)
	if lang != language || b.Header.Get("Content-Language") != language {
		b.t.Errorf("%s is in %q, its header says %q, want %q", name, lang, b.Header.Get("Content-Language"), language)
	}
	for _, l := range looks {
		b.look(l.dark, l.phone)
		for _, fault := range b.Faults() {
			b.t.Errorf("%s, %s, %s: %v", name, language, l.name, fault)
		}
		var size struct{ Page, Screen, Ground float64 }
		b.Eval(`({Page: document.documentElement.scrollWidth, Screen: innerWidth, Ground: Math.max(...[...document.querySelectorAll("main, main *")]
			.map(e => e.getBoundingClientRect().right))})`, &size)
		if size.Page > size.Screen || size.Ground > size.Screen {
			b.t.Errorf("%s, %s, %s: the page is wider than the screen: %+v", name, language, l.name, size)
		}
	}
	b.look(b.visitor.Dark, b.visitor.Phone)
}

// Every page there is, in every language, on every screen.
func TestPagesGallery(t *testing.T) {
	t.Parallel()
	s := newStage(t, "Photos & Friends <of a long name that nobody wants to read whole>", show("Application"), nil)
	denied := s.db.CreateClient(t, "gallery-denied", "--redirect-uri", s.callback(), "--skip-pkce")
	s.db.Operate(t, "permissions", "require", denied.ClientID, "smtp")
	s.edit("--set-scope", "openid", "--set-scope", "profile", "--set-scope", "email", "--set-scope", "groups", "--set-scope", "offline_access", "--set-scope", "eve:photos")

	for _, visitor := range []Visitor{{Language: "en"}, {Language: "de", NoScript: true}, {Language: "ru", NoScript: true}, {Language: "uk", NoScript: true}} {
		lang := visitor.Language
		ways := looks[:2]
		if lang == "en" {
			ways = looks
		}
		tab := s.chromium.NewTab(visitor)
		fill := func(name, password string) {
			t.Helper()
			tab.Fill("username", name)
			tab.Fill("password", password)
			tab.pressFirst("form button")
		}
		status := func(want int) {
			t.Helper()
			if tab.Status != want {
				t.Errorf("%s: status %d, want %d", tab.URL(), tab.Status, want)
			}
		}

		tab.Open(s.auth.URL("/"))
		tab.examine("home-nobody", lang, ways)
		tab.pressFirst("main a")
		tab.examine("login", lang, ways)
		tab.Open(s.authorize("scope", "openid profile email groups offline_access eve:photos", "response_mode", "form_post", "prompt", "consent"))
		tab.examine("login-client", lang, ways)
		nobody := "nobody-" + lang
		fill(nobody, "wrong")
		status(http.StatusForbidden)
		tab.examine("login-denied", lang, ways)
		var form struct{ Name, Password string }
		tab.Eval(`({Name: document.querySelector("[name=username]").value, Password: document.querySelector("[name=password]").value})`, &form)
		if form.Name != nobody || form.Password != "" {
			t.Errorf("after a wrong password, the form has %+v", form)
		}
		for guess := 0; guess < 20 && tab.Status != http.StatusTooManyRequests; guess++ {
			fill("nobody", fmt.Sprint("wrong ", guess))
		}
		status(http.StatusTooManyRequests)
		if tab.Header.Get("Retry-After") == "" {
			t.Error("throttled without Retry-After")
		}
		tab.examine("login-throttled", lang, ways)

		fill("carol@example.com", "carol cooks")
		status(http.StatusOK)
		tab.examine("consent", lang, ways)
		tab.pressFirst(`[value="allow"]`)
		if visitor.NoScript {
			tab.examine("form-post", lang, ways)
			tab.pressFirst("form button")
		}
		tab.AwaitURL(s.callback())
		tab.shows("Application: POST", "code:[oc_")

		tab.Open(s.authorize("client_id", denied.ClientID, "scope", "openid"))
		status(http.StatusForbidden)
		tab.examine("denied", lang, ways)
		if text := tab.Text(); strings.Contains(text, "gallery-denied") {
			t.Errorf("the denial names the application:\n%s", text)
		}
		tab.Open(s.authorize("redirect_uri", "https://evil.test/"))
		status(http.StatusBadRequest)
		tab.examine("error", lang, ways)
		tab.Open(s.auth.URL("/"))
		tab.shows("Carol")
		tab.examine("home", lang, ways)
		tab.Open(s.auth.URL("/logout"))
		tab.examine("logout-confirm", lang, ways)
		tab.Open(s.auth.URL("/o2/logout/"))
		tab.examine("end-session-confirm", lang, ways)
		tab.pressFirst("form button")
		tab.examine("logged-out", lang, ways)
		tab.Open(s.auth.URL("/logout"))
		tab.examine("logged-out-before", lang, ways)
	}
}

// What an application says of the language counts for more than what the browser
// says.
func TestPagesUILocales(t *testing.T) {
	t.Parallel()
	s := newStage(t, "ui-locales", show("Application"), nil)
	tab := s.chromium.NewTab(Visitor{Language: "de", NoScript: true})
	in := func(want string) {
		t.Helper()
		var got string
		tab.Eval(`document.documentElement.lang`, &got)
		if got != want {
			t.Errorf("%s is in %q, want %q", tab.URL(), got, want)
		}
	}
	tab.Open(s.authorize("ui_locales", "fr uk-UA ru", "response_mode", "form_post"))
	in("uk")
	tab.Fill("username", "alice@example.com")
	tab.Fill("password", "wrong")
	tab.pressFirst("form button")
	in("uk")
	tab.Fill("username", "alice@example.com")
	tab.Fill("password", "alice sings")
	tab.pressFirst("form button")
	in("uk")
	tab.pressFirst(`[value="allow"]`)
	in("uk")
	tab.Open(s.authorize("ui_locales", "ru", "redirect_uri", "https://evil.test/"))
	in("ru")
	tab.Open(s.auth.URL("/o2/logout/?ui_locales=ru"))
	in("ru")
	tab.pressFirst("form button")
	in("ru")
	tab.Open(s.auth.URL("/o2/logout/?ui_locales=tlh"))
	in("de")
}

// The cookie as the browser sees it: known to this host alone, and to no script.
func TestPagesCookie(t *testing.T) {
	t.Parallel()
	s := newStage(t, "cookie", show("Application"), nil)
	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.auth.URL("/login"))
	cookie := func() *http.Cookie {
		t.Helper()
		cookies := tab.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("cookies: %v", cookies)
		}
		c := cookies[0]
		if c.Name != "__Host-session" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" ||
			strings.HasPrefix(c.Domain, ".") || !c.Expires.IsZero() {
			t.Errorf("cookie: %+v", c)
		}
		return c
	}
	before := cookie()
	tab.signIn("alice@example.com", "alice sings")
	after := cookie()
	if before.Value == after.Value {
		t.Error("the cookie after the login is that of before")
	}
	var readable string
	if tab.Eval(`document.cookie`, &readable); readable != "" {
		t.Errorf("scripts read %q", readable)
	}
	tab.shows("Alice")
	tab.Press("Sign out")
	if cookies := tab.Cookies(); len(cookies) > 0 {
		t.Errorf("after signing out: %v", cookies)
	}
	tab.SetCookie(s.auth.URL("/"), after)
	tab.Open(s.auth.URL("/"))
	tab.shows("You are not signed in")
}

// No site can show our pages in a frame of its own.
func TestPagesFrame(t *testing.T) {
	t.Parallel()
	var s *stage
	evil := newSite(t, "evil.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		write(`<iframe src="`+strings.ReplaceAll(r.FormValue("show"), "&", "&amp;")+`"></iframe>`)(w, r)
	}))
	s = newStage(t, "frame", show("Application"), []smallSite{evil})
	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.auth.URL("/login"))
	tab.signIn("alice@example.com", "alice sings")
	for _, framed := range []string{
		s.auth.URL("/login"), s.auth.URL("/"), s.auth.URL("/logout"), s.auth.URL("/o2/logout/"), s.authorize(), s.authorize("redirect_uri", "https://evil.test/"),
	} {
		tab.Open(evil.url + "/?show=" + url.QueryEscape(framed))
		if violations := tab.AwaitViolation(); !strings.Contains(violations[0], "frame-ancestors") {
			t.Errorf("%s in a frame: %q", framed, violations)
		}
	}
}

// autoSubmit is a page of another site with a form that sends itself.
func autoSubmit(action string, fields url.Values) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<form method="post" action=%q>`, action)
	for name := range fields {
		fmt.Fprintf(&b, `<input name=%q value=%q>`, name, fields.Get(name))
	}
	return b.String() + `</form><script>document.forms[0].submit()</script>`
}

// No other site can sign somebody in, consent for them, or sign them out.
func TestPagesCSRF(t *testing.T) {
	t.Parallel()
	attack := "" // the page of the attacker
	evil := newSite(t, "evil.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { write(attack)(w, r) }))
	s := newStage(t, "csrf", show("Application"), []smallSite{evil})

	// The attacker has a form of their own, with a token that is good for them.
	attacker := NewPerson(t)
	attacker.Open(s.auth.URL("/login"))
	fields := attacker.form.fields
	fields.Set("username", "eve@example.com")
	fields.Set("password", "alice sings")
	signsIn := autoSubmit(s.auth.URL("/login"), fields)
	attacker.Send("username", "eve@example.com", "password", "alice sings")
	if !strings.Contains(attacker.Body, "Eve") {
		t.Fatalf("the attacker is not signed in:\n%s", attacker.Body)
	}
	attacker.Open(s.authorize())
	consent := attacker.form.fields
	consent.Set("decision", "allow")

	tab := s.chromium.NewTab(Visitor{})
	send := func(page string) {
		t.Helper()
		attack = page
		tab.Open(evil.url)
		tab.AwaitURL(s.auth.URL(""))
		if tab.Open(s.auth.URL("/")); tab.Status != http.StatusOK {
			t.Errorf("status %d", tab.Status)
		}
	}
	send(signsIn)
	tab.shows("You are not signed in")
	tab.Press("Sign in") // there is a cookie now, of no session
	send(signsIn)
	tab.shows("You are not signed in")

	tab.Press("Sign in")
	tab.signIn("alice@example.com", "alice sings")
	send(signsIn)
	tab.shows("Alice")
	send(autoSubmit(s.auth.URL("/logout"), url.Values{"csrf": {"x"}}))
	tab.shows("Alice")
	send(autoSubmit(s.auth.URL("/o2/logout/confirm"), url.Values{"csrf": {"x"}}))
	tab.shows("Alice")
	send(autoSubmit(s.auth.URL("/o2/logout/"), nil)) // asks
	tab.shows("Alice")
	send(autoSubmit(s.auth.URL("/o2/consent"), consent))
	if listed := s.db.Operate(t, "oauth2", "consent", "list", "-u", "alice", "-f", "json"); strings.Contains(listed, s.client.ClientID) {
		t.Errorf("somebody has consented for alice:\n%s", listed)
	}
}

// A cookie that somebody has planted is not the one of the session that begins.
func TestPagesSessionFixation(t *testing.T) {
	t.Parallel()
	s := newStage(t, "fixation", show("Application"), nil)
	attacker := s.chromium.NewTab(Visitor{})
	attacker.Open(s.auth.URL("/login"))
	unknown := attacker.Cookies()[0]
	attacker.signIn("eve@example.com", "alice sings")
	known := attacker.Cookies()[0]

	for name, planted := range map[string]*http.Cookie{"of nobody": unknown, "of the attacker": known} {
		victim := s.chromium.NewTab(Visitor{})
		victim.SetCookie(s.auth.URL("/"), planted)
		victim.Open(s.auth.URL("/login"))
		victim.signIn("alice@example.com", "alice sings")
		victim.shows("Alice")
		if got := victim.Cookies(); len(got) != 1 || got[0].Value == planted.Value {
			t.Errorf("a cookie %s: the victim has %v, the planted one is %v", name, got, planted)
		}
		attacker.SetCookie(s.auth.URL("/"), planted)
		attacker.Open(s.auth.URL("/"))
		if text := attacker.Text(); strings.Contains(text, "Alice") {
			t.Errorf("with the cookie %s, the attacker reads\n%s", name, text)
		}
	}
}

// A person is asked again when the application wants that, in whatever tab, and
// can go back.
func TestPagesAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t, "again", show("Application"), nil)
	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.authorize())
	tab.signIn("alice@example.com", "alice sings")
	tab.Press("Allow")
	for _, again := range [][]string{{"prompt", "login"}, {"prompt", "select_account"}, {"max_age", "0"}} {
		tab.Open(s.authorize(again...))
		tab.isAt(s.auth.URL("/login"))
		tab.signIn("alice@example.com", "alice sings")
		tab.isAt(s.callback() + "?code=oc_")
	}
	tab.Open(s.authorize("max_age", "1000"))
	tab.isAt(s.callback() + "?code=oc_")

	// One tab signs in while another is at it, too.
	first := s.chromium.NewTab(Visitor{})
	first.Open(s.authorize())
	second := first.Another()
	second.Open(s.authorize("state", "second"))
	second.signIn("alice@example.com", "alice sings")
	second.isAt(s.callback() + "?code=oc_")
	first.signIn("alice@example.com", "alice sings") // its form is too old
	first.shows("This page was open for too long")
	first.signIn("alice@example.com", "alice sings")
	first.isAt(s.callback() + "?code=oc_")
	first.shows("state:[on stage]")

	// Back from the application is no second answer; back to the login is a login.
	tab = s.chromium.NewTab(Visitor{})
	tab.Open(s.auth.URL("/"))
	tab.Press("Sign in")
	tab.signIn("alice@example.com", "alice sings")
	tab.Open(s.authorize("prompt", "consent"))
	tab.Press("Allow")
	tab.isAt(s.callback() + "?code=oc_")
	tab.back()
	tab.isAt(s.auth.URL("/o2/authorize/")) // asks once more
	tab.shows("again")
	tab.Press("Allow")
	tab.isAt(s.callback() + "?code=oc_")
	tab.Open(s.authorize("prompt", "login"))
	tab.signIn("alice@example.com", "alice sings")
	tab.isAt(s.callback() + "?code=oc_")
	tab.back()
	tab.isAt(s.auth.URL("/login"))
	tab.shows("This page was open for too long")
	tab.signIn("alice@example.com", "alice sings")
	tab.shows("Alice")
}

// A relying party signs its users in by a window that it opens, which knows who
// has opened it when it comes back.
func TestPagesPopup(t *testing.T) {
	t.Parallel()
	app := http.NewServeMux()
	app.HandleFunc("/callback", write(`<p>Back.<script>opener.postMessage("back " + location.search, location.origin)</script>`))
	app.HandleFunc("/{$}", write(`<p id="heard"></p><button>Sign in</button><script>
		let popup
		addEventListener("message", e => heard.textContent += e.data)
		document.querySelector("button").onclick = () => popup = open("", "popup", "popup")
	</script>`))
	s := newStage(t, "popup", app, nil)
	tab := s.chromium.NewTab(Visitor{})
	tab.Open(s.app.url + "/")
	opened := chromedp.WaitNewTarget(tab.ctx, func(info *target.Info) bool { return info.Type == "page" })
	tab.Click("button")
	// It goes nowhere before it is watched, and trusts whom it is told to.
	popup := s.chromium.newTab(tab.ctx, Visitor{}, chromedp.WithTargetID(<-opened))
	tab.Eval(fmt.Sprintf("popup.location = %q; true", s.authorize()), new(bool))
	popup.AwaitURL(s.auth.URL("/login"))
	popup.signIn("alice@example.com", "alice sings")
	popup.Press("Allow")
	popup.isAt(s.callback() + "?code=oc_")
	tab.await("hear from the popup", func() bool { return strings.Contains(tab.Text(), "back ?code=oc_") })
}
