package e2e

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// A smallSite is a small web site over TLS, and its certificate.
type smallSite struct {
	url         string
	certificate string
}

// newSmallSite serves pages, from their path to what is between <main> and </main>,
// with a policy that allows nothing but forms to itself.
func newSmallSite(t *testing.T, pages map[string]string) smallSite {
	t.Helper()
	mux := http.NewServeMux()
	for path, main := range pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-n'; form-action 'self'")
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>Test</title>
				<meta name="viewport" content="width=device-width">
				<style nonce="n">
					@media (prefers-color-scheme: dark) { body { background: #000; color: #fff } }
					@media (max-width: 400px) { h1::after { content: " phone" } }
				</style></head>
				<body><main><h1>Test of %s</h1>%s</main></body></html>`, r.Header.Get("Accept-Language"), main)
		})
	}
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-name", Value: r.FormValue("name"), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, "/done?name="+url.QueryEscape(r.FormValue("name")), http.StatusSeeOther)
	})
	mux.HandleFunc("POST /away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://www.example.com/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusTeapot)
		cookie, _ := r.Cookie("__Host-name")
		fmt.Fprintf(w, "<!doctype html><title>Done</title><p>Hello, %s. <noscript>Without script.</noscript>", cookie.Value)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	return smallSite{
		url:         strings.Replace(server.URL, "127.0.0.1", "www.example.org", 1),
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	}
}

const nameForm = `<form method="post" action="/form"><label>Name <input name="name" value="nobody"></label>
	<button>Say "hello"</button></form>`

// A form is filled and sent, with JavaScript and without; a cookie is set, and
// visitors have their own.
func TestChromiumForm(t *testing.T) {
	t.Parallel()
	site := newSmallSite(t, map[string]string{"/{$}": nameForm})
	chromium := StartChromium(t, site.certificate)
	for name, visitor := range map[string]Visitor{
		"alice": {Dark: true, Language: "uk,en;q=0.5"},
		"bob":   {Phone: true, NoScript: true},
	} {
		tab := chromium.NewTab(visitor)
		tab.Open(site.url + "/")
		if tab.Status != http.StatusOK || !strings.Contains(tab.Header.Get("Content-Security-Policy"), "form-action") {
			t.Errorf("%s got %d, %v", name, tab.Status, tab.Header)
		}
		if len(tab.Cookies()) > 0 {
			t.Errorf("%s has the cookies %v already", name, tab.Cookies())
		}
		var look struct {
			Background, Title string
			Width             int
		}
		tab.Eval(`({Background: getComputedStyle(document.body).backgroundColor, Width: innerWidth,
			Title: getComputedStyle(document.querySelector("h1"), "::after").content})`, &look)
		if dark, phone := look.Background == "rgb(0, 0, 0)", look.Title == `" phone"`; dark != visitor.Dark || phone != visitor.Phone {
			t.Errorf("%s sees %+v", name, look)
		}
		if got := tab.Text(); !strings.Contains(got, "Test of "+visitor.Language) {
			t.Errorf("%s reads %q", name, got)
		}

		tab.Fill("name", name)
		tab.Press(`Say "hello"`)
		if tab.Status != http.StatusTeapot {
			t.Errorf("%s got %d", name, tab.Status)
		}
		if got, want := tab.URL(), site.url+"/done?name="+name; got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
		if got := tab.Text(); !strings.Contains(got, "Hello, "+name+".") || strings.Contains(got, "Without script.") != visitor.NoScript {
			t.Errorf("%s reads %q", name, got)
		}
		if got := tab.Cookies(); len(got) != 1 || got[0].Name != "__Host-name" || got[0].Value != name ||
			!got[0].HttpOnly || !got[0].Secure || got[0].SameSite != http.SameSiteLaxMode || !got[0].Expires.IsZero() {
			t.Errorf("%s has the cookies %v", name, got)
		}
		second := tab.Another()
		second.Open(site.url + "/done")
		if got := second.Text(); !strings.Contains(got, "Hello, "+name+".") || strings.Contains(got, "Without script.") != visitor.NoScript {
			t.Errorf("in a second tab, %s reads %q", name, got)
		}
		second.SetCookie(site.url, &http.Cookie{Name: "__Host-name", Value: "mallory", Path: "/", Secure: true})
		tab.Open(site.url + "/done")
		if got := tab.Text(); !strings.Contains(got, "Hello, mallory.") {
			t.Errorf("with a planted cookie, %s reads %q", name, got)
		}
	}
}

// What a Content Security Policy prevents is noticed, and so are errors of
// scripts.
func TestChromiumViolations(t *testing.T) {
	t.Parallel()
	site := newSmallSite(t, map[string]string{
		"/{$}":    nameForm,
		"/script": `<script>document.title = "attacked"</script>`,
		"/style":  `<p style="color: red">Red</p>`,
		"/image":  `<img src="https://www.example.com/a.png" alt="">`,
		"/form":   `<form method="post" action="https://www.example.com/"><button>Go</button></form>`,
	})
	tab := StartChromium(t, site.certificate).NewTab(Visitor{})
	for path, directive := range map[string]string{"/script": "script", "/style": "style-src", "/image": "img-src", "/": ""} {
		tab.Open(site.url + path)
		violations := tab.Violations()
		if directive == "" {
			if len(violations) > 0 {
				t.Errorf("%s: %q", path, violations)
			}
		} else if len(violations) != 1 || !strings.Contains(violations[0], directive) && !strings.Contains(violations[0], "default-src") {
			t.Errorf("%s: %q, want one of %s", path, violations, directive)
		}
		if !slices.Equal(tab.Violations(), nil) {
			t.Errorf("%s: violations are there twice", path)
		}
	}

	tab.Open(site.url + "/form")
	tab.Click("button")
	if violations := tab.AwaitViolation(); !strings.Contains(violations[0], "form-action") {
		t.Errorf("a form to elsewhere: %q", violations)
	}
	if got := tab.URL(); got != site.url+"/form" {
		t.Errorf("a form to elsewhere led to %s", got)
	}

	tab.Eval(`void setTimeout(() => { throw new Error("out of milk") }, 0)`, nil)
	if violations := tab.AwaitViolation(); !strings.Contains(violations[0], "out of milk") {
		t.Errorf("an error of a script: %q", violations)
	}
	tab.Eval(`console.log("hello", 7)`, nil)
	if got := tab.Console(); !strings.Contains(got[len(got)-1], `"hello" 7`) {
		t.Errorf("console: %q", got)
	}
}

// A form that a policy does not let go anywhere, or to where it is redirected,
// fails the test at once.
func TestChromiumPressForbidden(t *testing.T) {
	t.Parallel()
	const form = `<form method="post" action=%q><button>Go</button></form>`
	site := newSmallSite(t, map[string]string{"/elsewhere": fmt.Sprintf(form, "https://www.example.com/"), "/redirected": fmt.Sprintf(form, "/away")})
	chromium := StartChromium(t, site.certificate)
	for _, path := range []string{"/elsewhere", "/redirected"} {
		tab := chromium.NewTab(Visitor{})
		tab.Open(site.url + path)
		r := &recorder{TB: t}
		tab.t = r
		r.run(func() { tab.Press("Go") })
		tab.t = t
		if len(r.errors) != 1 || !strings.Contains(r.errors[0], "form-action") {
			t.Errorf("%s: %q", path, r.errors)
		}
		if got := tab.Violations(); len(got) != 1 || !strings.Contains(got[0], "form-action") {
			t.Errorf("%s: violations %q", path, got)
		}
	}
}

// A recorder notes the errors of a test, which does not fail.
type recorder struct {
	testing.TB
	errors []string
}

// run runs a part of a test, up to its end or its first fatal error.
func (r *recorder) run(part func()) {
	var running sync.WaitGroup
	running.Go(part)
	running.Wait()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// A test fails that has not looked at a violation.
func TestChromiumUnexpectedViolation(t *testing.T) {
	t.Parallel()
	site := newSmallSite(t, map[string]string{"/{$}": nameForm, "/script": `<script>document.title = "attacked"</script>`})
	tab := StartChromium(t, site.certificate).NewTab(Visitor{})
	r := &recorder{TB: t}
	tab.t = r
	tab.Open(site.url)
	if tab.finish(); len(r.errors) > 0 {
		t.Errorf("without a violation: %q", r.errors)
	}
	tab.Open(site.url + "/script")
	tab.Open(site.url)
	if tab.finish(); len(r.errors) != 1 || !strings.Contains(r.errors[0], "script") {
		t.Errorf("with one violation: %q", r.errors)
	}
}

// Planted faults are found, and a good page has none.
func TestChromiumFaults(t *testing.T) {
	t.Parallel()
	site := newSmallSite(t, map[string]string{
		"/{$}": nameForm,
		"/bad": `<form><input name="name"></form><h4>Small</h4>`,
	})
	chromium := StartChromium(t, site.certificate)
	for _, visitor := range []Visitor{{}, {Dark: true}, {Phone: true}, {NoScript: true}} {
		tab := chromium.NewTab(visitor)
		tab.Open(site.url + "/")
		for _, fault := range tab.Faults() {
			t.Errorf("%+v sees %v", visitor, fault)
		}
		tab.Open(site.url + "/bad")
		var ids []string
		for _, fault := range tab.Faults() {
			ids = append(ids, fault.ID)
		}
		if slices.Sort(ids); !slices.Equal(ids, []string{"heading-order", "label"}) {
			t.Errorf("%+v sees %q", visitor, ids)
		}
	}
}

// Nobody is trusted but those that the test names.
func TestChromiumUntrusted(t *testing.T) {
	t.Parallel()
	site := newSmallSite(t, map[string]string{"/{$}": nameForm})
	certificate, _ := newCertificate(t)
	tab := StartChromium(t, certificate).NewTab(Visitor{})
	if err := tab.try(chromedp.Navigate(site.url)); err == nil || !strings.Contains(err.Error(), "ERR_CERT") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

// A page that sends itself on is waited for.
func TestChromiumAwaitURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.Method == http.MethodPost {
			fmt.Fprintf(w, "<!doctype html><p>Got %s.", r.FormValue("code"))
			return
		}
		fmt.Fprint(w, `<!doctype html><form method="post" action="/callback"><input type="hidden" name="code" value="7"></form>
			<script>document.forms[0].submit()</script>`)
	}))
	t.Cleanup(server.Close)
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	tab := StartChromium(t, certificate).NewTab(Visitor{})
	tab.Open(server.URL)
	tab.AwaitURL(server.URL + "/callback")
	if got := tab.Text(); got != "Got 7." {
		t.Errorf("the page says %q", got)
	}
}
