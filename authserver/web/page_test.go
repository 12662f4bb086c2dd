package web

import (
	"errors"
	"html/template"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// A render writes a page whose every text is s.
type render func(w http.ResponseWriter, r *http.Request, s string, o Options) error

// pages are all pages in all their states.
var pages = map[string]render{
	"login": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Login.Render(w, r, 200, LoginData{Action: "/login", CSRF: s, Request: s, Name: s, Client: s}, o)
	},
	"login, nothing known": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Login.Render(w, r, 200, LoginData{Action: "/login", CSRF: s}, o)
	},
	"login denied":    loginProblem(LoginDenied),
	"login throttled": loginProblem(LoginThrottled),
	"login busy":      loginProblem(LoginBusy),
	"login expired":   loginProblem(LoginExpired),
	"login service":   loginProblem(LoginService),
	"consent": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Consent.Render(w, r, 200, ConsentData{Action: "/o2/consent", CSRF: s, Request: s, Client: s, User: s, Scope: []string{"openid", "email", s}, RedirectHost: s}, o)
	},
	"consent to nothing": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Consent.Render(w, r, 200, ConsentData{Action: "/o2/consent", CSRF: s, Request: s, Client: s, User: s}, o)
	},
	"denied": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Denied.Render(w, r, 403, DeniedData{User: s}, o)
	},
	"error": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		w.Header().Set("X-Request-Id", s)
		return Error.Render(w, r, 400, ErrorData{Code: s, Description: s}, o)
	},
	"error of ours": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Error.Render(w, r, 503, ErrorData{Code: s}, o)
	},
	"logout confirm": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return LogoutConfirm.Render(w, r, 200, LogoutConfirmData{Action: "/o2/logout", CSRF: s, User: s, Fields: [][2]string{{"state", s}, {s, "x"}}}, o)
	},
	"logged out": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return LoggedOut.Render(w, r, 200, LoggedOutData{}, o)
	},
	"logged out of an application": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return LoggedOut.Render(w, r, 200, LoggedOutData{Continue: "https://rp.example.com/?q=" + s, Client: s}, o)
	},
	"logged out, going on": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return LoggedOut.Render(w, r, 200, LoggedOutData{Continue: "com.example.app:/bye?q=" + s}, o)
	},
	"home": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Home.Render(w, r, 200, HomeData{User: s, FullName: s, CSRF: s}, o)
	},
	"home without a name": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Home.Render(w, r, 200, HomeData{User: s, CSRF: s}, o)
	},
	"home of nobody": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Home.Render(w, r, 200, HomeData{}, o)
	},
	"form post": func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		o.Script = true
		return FormPost.Render(w, r, 200, FormPostData{Action: "https://rp.example.com/cb?q=" + s, Fields: [][2]string{{"state", s}, {s, "x"}}}, o)
	},
}

func loginProblem(p LoginProblem) render {
	return func(w http.ResponseWriter, r *http.Request, s string, o Options) error {
		return Login.Render(w, r, 200, LoginData{Action: "/login", CSRF: s, Request: s, Name: s, Client: s, Problem: p}, o)
	}
}

// Names as people and attackers have them. None may be read as anything but
// text.
var awkward = []string{
	"Alice",
	`<script>alert("1")</script>"`,
	`" autofocus onfocus="alert(1)`,
	`' onfocus='alert(1)`,
	"x onfocus=alert(1) style=color:red `",
	`</title></textarea></style></main><h1>x</h1><!--`,
	`]]><?php {{.CSRF}} {client} {user} %s ${x}`,
	`javascript:alert(1)`,
	`&lt;b&gt; &amp; &#0; &quot`,
	"\u202e\u2066" + "elbisivni" + "\u200b\u2028",
	"شركة الأمثلة المحدودة",
	"👩‍👩‍👧 Zo\u0308e ﷽",
	strings.Repeat("Donaudampfschifffahrt", 400),
	strings.Repeat("wide 宽 ", 500),
}

func TestPages(t *testing.T) {
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			for _, lang := range Languages() {
				for _, s := range awkward {
					w := httptest.NewRecorder()
					r := httptest.NewRequest("GET", "/", nil)
					r.Header.Set("Accept-Language", lang)
					if err := page(w, r, s, Options{}); err != nil {
						t.Fatalf("%s: %.40q: %v", lang, s, err)
					}
					checkHeader(t, w.Header(), lang)
					if checkPage(t, w.Body.String(), lang, s); t.Failed() {
						t.Fatalf("%s: %.40q:\n%.4000s", lang, s, w.Body)
					}
				}
			}
		})
	}
}

func checkHeader(t *testing.T, h http.Header, lang string) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type":     "text/html; charset=utf-8",
		"Content-Language": lang,
		"Cache-Control":    "no-store",
		"Vary":             "Accept-Language",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if policy := h.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy: %q", policy)
	}
}

// checkPage looks at a page as a browser would read it, whose texts are s.
func checkPage(t *testing.T, page, lang, s string) {
	t.Helper()
	checkBalanced(t, page)
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template has found something unsafe")
	}
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}

	count := map[string]int{}
	ids := map[string]bool{}
	labels := map[string]string{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		if !slices.Contains(elements, n.Data) {
			t.Errorf("an element that no template has: %s", n.Data)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s has the attribute %s=%.40q", n.Data, a.Key, a.Val)
			}
		}
		if id, ok := attr(n, "id"); ok {
			if ids[id] {
				t.Errorf("two elements with the id %q", id)
			}
			ids[id] = true
		}
		if n.DataAtom == atom.Label {
			id, _ := attr(n, "for")
			labels[id] = text(n)
		}
	}
	for _, once := range []string{"html", "head", "title", "body", "main", "h1"} {
		if count[once] != 1 {
			t.Errorf("%d elements %s", count[once], once)
		}
	}
	if count["form"] > 1 || count["style"]+count["iframe"]+count["object"]+count["base"] > 0 {
		t.Errorf("elements: %v", count)
	}

	focused := 0
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, key := range []string{"aria-describedby", "aria-labelledby", "for"} {
			if id, ok := attr(n, key); ok && !ids[id] {
				t.Errorf("%s=%q of %s leads nowhere", key, id, n.Data)
			}
		}
		if _, ok := attr(n, "autofocus"); ok {
			focused++
		}
		switch n.DataAtom {
		case atom.Html:
			if got, _ := attr(n, "lang"); got != lang {
				t.Errorf("lang=%q", got)
			}
		case atom.Title, atom.H1, atom.H2, atom.Button, atom.A:
			if text(n) == "" {
				t.Errorf("an empty %s", n.Data)
			}
		case atom.Script:
			src, _ := attr(n, "src")
			if _, isDeferred := attr(n, "defer"); src != staticPaths["submit.js"] || n.FirstChild != nil || !isDeferred {
				t.Errorf("a script from %q with %q", src, text(n))
			}
		case atom.Link, atom.Img:
			src, _ := attr(n, "src")
			href, _ := attr(n, "href")
			if _, ok := statics[src+href]; !ok {
				t.Errorf("%s leads to %q, which is not served", n.Data, src+href)
			}
			if _, ok := attr(n, "alt"); !ok && n.DataAtom == atom.Img {
				t.Error("an image without alt")
			}
		case atom.Input:
			id, _ := attr(n, "id")
			if kind, _ := attr(n, "type"); kind != "hidden" && labels[id] == "" {
				t.Errorf("an input without a label: %v", n.Attr)
			}
		case atom.Form:
			checkForm(t, n)
		}
	}
	if focused > 1 {
		t.Errorf("%d elements have the focus", focused)
	}

	// What was given is there as it was, if it is anywhere.
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.DataAtom == atom.Bdi && n.Data != s {
			t.Errorf("bdi has %.60q", n.Data)
		}
		if value, ok := attr(n, "value"); ok {
			switch name, _ := attr(n, "name"); name {
			case "csrf", "request", "state", "username":
				if value != s && (name != "username" || value != "") {
					t.Errorf("%s has %.60q", name, value)
				}
			}
		}
	}
}

// elements are those that templates use.
var elements = strings.Fields("html head meta title link script body main img h1 h2 p bdi form input label button div a ul li code dl dt dd")

// checkForm: what changes something here has a CSRF token; what goes elsewhere
// takes none along.
func checkForm(t *testing.T, form *html.Node) {
	t.Helper()
	method, _ := attr(form, "method")
	action, _ := attr(form, "action")
	if method != "post" {
		t.Errorf("a form with method %q", method)
	}
	here := strings.HasPrefix(action, "/") && !strings.HasPrefix(action, "//")
	if !here && !strings.HasPrefix(action, "https://rp.example.com/cb?") {
		t.Errorf("a form leads to %.60q", action)
	}
	tokens, buttons := 0, 0
	for n := range form.Descendants() {
		if name, _ := attr(n, "name"); name == "csrf" && n.DataAtom == atom.Input {
			tokens++
		}
		if n.DataAtom == atom.Button {
			buttons++
		}
	}
	if here && tokens != 1 || !here && tokens != 0 {
		t.Errorf("the form to %.60q has %d CSRF tokens", action, tokens)
	}
	if buttons == 0 {
		t.Error("a form without a button")
	}
}

// checkBalanced: a browser repairs what a template has forgotten to close, and
// the parser with it.
func checkBalanced(t *testing.T, page string) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("not closed: %q", open)
			}
			return
		case html.StartTagToken:
			if token := z.Token(); !slices.Contains([]string{"meta", "link", "img", "input"}, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			token := z.Token()
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Errorf("%s ends in %q", token.Data, open)
				return
			}
			open = open[:len(open)-1]
		case html.CommentToken:
			t.Errorf("a comment: %s", z.Token())
		}
	}
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// get renders a page in English and returns it with its text.
func get[T any](t *testing.T, p Page[T], v T, o Options) (page, read string) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Render(w, httptest.NewRequest("GET", "/", nil), 200, v, o); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.DataAtom == atom.Main {
			return w.Body.String(), text(n)
		}
	}
	t.Fatal("no main")
	return "", ""
}

func contains(t *testing.T, s string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(s, part) {
			t.Errorf("no %q in\n%s", part, s)
		}
	}
}

// tag returns the tags of a page that match a pattern, which must be one.
func tag(t *testing.T, page, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllString(page, -1)
	if len(found) != 1 {
		t.Fatalf("%s: %q in\n%s", pattern, found, page)
	}
	return found[0]
}

func TestLogin(t *testing.T) {
	const username, password = `<input id="username"[^>]*>`, `<input id="password"[^>]*>`

	page, read := get(t, Login, LoginData{Action: "/login", CSRF: "c", Client: "Wiki"}, Options{})
	contains(t, read, "Sign in to continue to Wiki.")
	contains(t, tag(t, page, username), ` name="username"`, ` autocomplete="username"`, ` autocapitalize="none"`, ` required`, ` autofocus`)
	contains(t, tag(t, page, password), ` name="password"`, ` autocomplete="current-password"`, ` type="password"`, ` required`)
	if strings.Contains(page, "alert") || strings.Contains(page, "aria-") || strings.Contains(page, `name="request"`) {
		t.Errorf("a problem or a request that there is not:\n%s", page)
	}

	page, read = get(t, Login, LoginData{Action: "/login", CSRF: "c", Request: "rq", Name: "alice", Problem: LoginDenied}, Options{})
	contains(t, read, "The name or the password is wrong.")
	contains(t, tag(t, page, `<p[^>]*role="alert"[^>]*>`), ` id="problem"`)
	contains(t, tag(t, page, username), ` value="alice"`, ` aria-describedby="problem"`, ` aria-invalid="true"`)
	contains(t, tag(t, page, password), ` aria-describedby="problem"`, ` aria-invalid="true"`, ` autofocus`)
	contains(t, tag(t, page, `<input[^>]*name="request"[^>]*>`), ` value="rq"`)
	if strings.Contains(tag(t, page, username), "autofocus") || strings.Contains(tag(t, page, password), "value") {
		t.Errorf("the name is known, the password is not:\n%s", page)
	}

	// Only wrong names and passwords are the fault of what is in the fields.
	page, _ = get(t, Login, LoginData{Action: "/login", CSRF: "c", Problem: LoginBusy}, Options{})
	contains(t, tag(t, page, password), ` aria-describedby="problem"`)
	if strings.Contains(page, "aria-invalid") {
		t.Errorf("the fields are to blame:\n%s", page)
	}
}

func TestConsent(t *testing.T) {
	page, read := get(t, Consent, ConsentData{Action: "/o2/consent", CSRF: "c", Request: "rq", Client: "Wiki", User: "alice", Scope: []string{"openid", "example.read"}, RedirectHost: "wiki.example.com"}, Options{})
	contains(t, read, "Allow Wiki access to your account?", "You are signed in as alice.", "Confirmation of who you are", "example.read", "You will then be taken to wiki.example.com.")
	contains(t, tag(t, page, `<button[^>]*value="allow"[^>]*>`), ` name="decision"`)
	contains(t, tag(t, page, `<button[^>]*value="deny"[^>]*>`), ` name="decision"`)
	tag(t, page, `<input type="hidden" name="request" value="rq">`)

	_, read = get(t, Consent, ConsentData{Action: "/o2/consent", CSRF: "c", Request: "rq", Client: "Wiki", User: "alice"}, Options{})
	if strings.Contains(read, "asks for") || strings.Contains(read, "taken to") {
		t.Errorf("scopes or a host that there are not:\n%s", read)
	}
}

func TestError(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "0123456789abcdef")
	if err := Error.Render(w, httptest.NewRequest("GET", "/", nil), 400, ErrorData{"invalid_request", "Unknown redirect URI"}, Options{}); err != nil {
		t.Fatal(err)
	}
	if w.Code != 400 {
		t.Errorf("status %d", w.Code)
	}
	contains(t, w.Body.String(), "invalid_request", `<dd lang="en">Unknown redirect URI</dd>`, "0123456789abcdef", "This request cannot be completed.")

	w = httptest.NewRecorder()
	if err := Error.Render(w, httptest.NewRequest("GET", "/", nil), 503, ErrorData{Code: "temporarily_unavailable"}, Options{}); err != nil {
		t.Fatal(err)
	}
	contains(t, w.Body.String(), "The fault is on our side.")
	if strings.Contains(w.Body.String(), "Description") || strings.Contains(w.Body.String(), "Request ID") {
		t.Errorf("details that there are not:\n%s", w.Body)
	}
}

func TestLogoutConfirm(t *testing.T) {
	page, read := get(t, LogoutConfirm, LogoutConfirmData{Action: "/o2/logout", CSRF: "c", User: "alice", Fields: [][2]string{{"state", "s 1"}, {"state", "s 2"}}}, Options{})
	contains(t, read, "You are signed in as alice.")
	contains(t, page, `<input type="hidden" name="state" value="s 1">`, `<input type="hidden" name="state" value="s 2">`, `<a class="second button" href="/">`)
}

func TestLoggedOut(t *testing.T) {
	page, read := get(t, LoggedOut, LoggedOutData{Continue: "com.example.app:/bye?a=1&b=2", Client: "Wiki"}, Options{})
	contains(t, read, "Continue to Wiki")
	contains(t, page, `href="com.example.app:/bye?a=1&amp;b=2"`)

	page, _ = get(t, LoggedOut, LoggedOutData{}, Options{})
	contains(t, page, `href="/login"`)
}

func TestHome(t *testing.T) {
	page, read := get(t, Home, HomeData{User: "alice", FullName: "Alice Example", CSRF: "c"}, Options{})
	contains(t, read, "Alice Example You are signed in as alice.", "Sign out")
	contains(t, page, `action="/logout"`)

	page, _ = get(t, Home, HomeData{}, Options{})
	contains(t, page, `href="/login"`)
}

func TestFormPost(t *testing.T) {
	v := FormPostData{Action: "https://rp.example.com/cb?a=1", Fields: [][2]string{{"code", "oc_x"}, {"state", `"<&>"`}, {"iss", "https://op.example.com/o2"}}}
	page, _ := get(t, FormPost, v, Options{Script: true})
	contains(t, page, `<form id="continue" method="post" action="https://rp.example.com/cb?a=1">`, `name="code" value="oc_x"`,
		`<meta name="referrer" content="strict-origin">`, `<script src="`+staticPaths["submit.js"]+`" defer></script>`, "<button>")

	page, _ = get(t, FormPost, v, Options{})
	if strings.Contains(page, "<script") {
		t.Errorf("a script that the policy forbids:\n%s", page)
	}
}

// Links and forms lead to an application, and never run anything.
func TestUnsafeLink(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, uri := range []string{"javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,<script>alert(1)</script>", "//rp.example.com", "java\nscript:alert(1)", "vbscript:x"} {
		for name, render := range map[string]func(http.ResponseWriter) error{
			"logged out": func(w http.ResponseWriter) error {
				return LoggedOut.Render(w, r, 200, LoggedOutData{Continue: uri}, Options{})
			},
			"form post": func(w http.ResponseWriter) error {
				return FormPost.Render(w, r, 200, FormPostData{Action: uri}, Options{Script: true})
			},
		} {
			w := httptest.NewRecorder()
			if err := render(w); err == nil || w.Body.Len() > 0 {
				t.Errorf("%s: %q: %v\n%s", name, uri, err, w.Body)
			}
		}
	}
}

// The page of somebody who may not use an application does not tell which.
func TestDeniedNamesNobody(t *testing.T) {
	_, read := get(t, Denied, DeniedData{User: "alice"}, Options{})
	want := "Access denied You are signed in as alice. This account may not use the application. If you think that it should, please contact your administrator. Go to your account"
	if read != want {
		t.Errorf("%q, want %q", read, want)
	}
}

type failing struct{ Half string }

func (failing) Fail() (string, error) { return "", errors.New("broken") }

func TestNothingIsWrittenIfTheTemplateFails(t *testing.T) {
	tmpl := template.Must(template.ParseFS(templates, "templates/layout.html"))
	template.Must(tmpl.Parse(`{{define "title"}}T{{end}}{{define "main"}}{{.Data.Half}}{{.Data.Fail}}{{end}}`))
	w := httptest.NewRecorder()
	err := Page[failing]{tmpl}.Render(w, httptest.NewRequest("GET", "/", nil), 200, failing{"half"}, Options{})
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
	if w.Body.Len() > 0 || len(w.Header()) > 0 || w.Flushed {
		t.Errorf("headers %v, body %q", w.Header(), w.Body)
	}

	w = httptest.NewRecorder()
	err = Login.Render(w, httptest.NewRequest("GET", "/", nil), 200, LoginData{Problem: "nonsense"}, Options{})
	if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("a problem that there is not: %v, %q", err, w.Body)
	}
}

// What the server has set for everything else is replaced or kept.
func TestHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'none'")
	w.Header().Set("Vary", "Cookie, origin")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("Cache-Control", "public")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Language", "de")
	if err := Home.Render(w, r, 418, HomeData{}, Options{UILocales: "fr uk", FormAction: []string{"https://rp.example.com"}}); err != nil {
		t.Fatal(err)
	}
	h := w.Header()
	if w.Code != 418 || h.Get("Content-Language") != "uk" || h.Get("Cache-Control") != "no-store" || h.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d, %v", w.Code, h)
	}
	if got := h.Values("Content-Security-Policy"); len(got) != 1 || !strings.Contains(got[0], "form-action 'self' https://rp.example.com;") {
		t.Errorf("Content-Security-Policy: %q", got)
	}
	if got := h.Values("Vary"); !slices.Equal(got, []string{"Cookie, origin", "Accept-Language"}) {
		t.Errorf("Vary: %q", got)
	}
}

// No text reaches a page as anything but text.
func FuzzPages(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\x00\r") || strings.ToValidUTF8(s, "") != s || strings.TrimSpace(s) == "" {
			return // HTML has no such text, and nobody such a name
		}
		for name, page := range pages {
			w := httptest.NewRecorder()
			err := page(w, httptest.NewRequest("GET", "/", nil), s, Options{})
			// A URI may be none with s in it.
			if err != nil && !strings.Contains(err.Error(), "not a URI") {
				t.Fatalf("%s: %v", name, err)
			}
			if err == nil {
				if checkPage(t, w.Body.String(), "en", s); t.Failed() {
					t.Fatalf("%s:\n%s", name, w.Body)
				}
			}
		}
	})
}
