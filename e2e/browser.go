package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A Chromium is a running Chromium without a window, for what depends on a
// person's browser. To ask a server, a Browser is enough.
type Chromium struct {
	t         *testing.T
	ctx       context.Context
	userAgent string
}

// chromiumUser is the account that Chromium runs as, without its sandbox: no
// user namespace can be made in a chroot.
const chromiumUser = 65534

var devTools = regexp.MustCompile(`(?m)^DevTools listening on (ws://\S+)$`)

// StartChromium starts Chromium with a profile that goes with the test. It
// trusts servers that have one of these certificates (PEM), and takes all names
// for those of this machine.
func StartChromium(t *testing.T, certificates ...string) *Chromium {
	t.Helper()
	r := NewRoot(t, "trixie-browser")
	const home = "/home/chromium"
	if err := errors.Join(os.MkdirAll(r.Path(home), 0o700), os.Chown(r.Path(home), chromiumUser, chromiumUser)); err != nil {
		t.Fatal(err)
	}
	var trusted []string
	for _, certificate := range certificates {
		trusted = append(trusted, keyDigest(t, certificate))
	}
	s := r.spawn(
		"setpriv", fmt.Sprintf("--reuid=%d", chromiumUser), fmt.Sprintf("--regid=%d", chromiumUser), "--clear-groups", "--no-new-privs",
		"env", "HOME="+home, "TMPDIR="+home, "/usr/lib/chromium/chromium-headless-shell",
		"--remote-debugging-port=0",
		"--user-data-dir="+home+"/profile",
		"--no-sandbox",
		"--disable-dev-shm-usage",
		"--disable-gpu",
		"--disable-breakpad",
		"--disable-background-networking",
		"--disable-component-update",
		"--log-level=2",
		"--host-resolver-rules=MAP * 127.0.0.1",
		"--ignore-certificate-errors-spki-list="+strings.Join(trusted, ","),
		"about:blank",
	)
	s.name = "chromium"
	var address string
	s.await(t, "say where it listens", func() bool {
		if found := devTools.FindStringSubmatch(s.log.String()); found != nil {
			address = found[1]
		}
		return address != ""
	})

	allocator, cancel := chromedp.NewRemoteAllocator(context.Background(), address, chromedp.NoModifyURL)
	t.Cleanup(cancel)
	// What the library does not understand is of newer versions than its own.
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	c := &Chromium{t: t, ctx: ctx}
	err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		_, _, _, c.userAgent, _, err = browser.GetVersion().Do(ctx)
		return err
	}))
	if err != nil {
		t.Fatalf("talking to chromium: %v", err)
	}
	return c
}

// keyDigest is how Chromium names the key of a certificate.
func keyDigest(t *testing.T, certificate string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		t.Fatal("the certificate is not PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}

// A Visitor is somebody in front of a browser. The zero Visitor has a large
// light screen and says nothing about languages.
type Visitor struct {
	Language string // the header Accept-Language
	Dark     bool   // prefers dark colours
	Phone    bool   // has a screen of 360 by 740 points
	NoScript bool   // has JavaScript disabled
}

// A Tab shows one page after the other. What goes wrong in it ends the test;
// so does, at the test's end, a violation of a Content Security Policy or an
// error of a script that the test has not taken away with Violations.
type Tab struct {
	// Status is the HTTP status of the page, and Header its headers.
	Status int
	Header http.Header

	t        testing.TB
	ctx      context.Context
	chromium *Chromium
	visitor  Visitor

	mu         sync.Mutex
	console    []string
	violations []string
	abort      context.CancelCauseFunc // of the navigation that is going on
}

// NewTab opens a tab for a visitor who has no cookies yet, and shares none with
// other tabs.
func (c *Chromium) NewTab(v Visitor) *Tab {
	c.t.Helper()
	return c.newTab(c.ctx, v, chromedp.WithNewBrowserContext())
}

// Another opens a second tab in the same window: of the same visitor, who has
// the same cookies in it.
func (b *Tab) Another() *Tab {
	b.t.Helper()
	return b.chromium.newTab(b.ctx, b.visitor)
}

func (c *Chromium) newTab(parent context.Context, v Visitor, opts ...chromedp.ContextOption) *Tab {
	c.t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opts...)
	tab := &Tab{t: c.t, ctx: ctx, chromium: c, visitor: v}
	c.t.Cleanup(func() {
		tab.finish()
		cancel()
	})
	// The first Run decides how long the tab lives: it has no deadline.
	if err := chromedp.Run(ctx); err != nil {
		c.t.Fatalf("opening a tab: %v", err)
	}
	chromedp.ListenTarget(ctx, tab.listen)

	screen := emulation.SetDeviceMetricsOverride(1280, 800, 1, false)
	if v.Phone {
		screen = emulation.SetDeviceMetricsOverride(360, 740, 3, true)
	}
	colours := "light"
	if v.Dark {
		colours = "dark"
	}
	setup := []chromedp.Action{
		cdplog.Enable(),
		runtime.Enable(),
		screen,
		emulation.SetTouchEmulationEnabled(v.Phone),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}),
		emulation.SetScriptExecutionDisabled(v.NoScript),
	}
	if v.Language != "" {
		setup = append(setup, emulation.SetUserAgentOverride(c.userAgent).WithAcceptLanguage(v.Language))
	}
	tab.do("setting up a tab", setup...)
	return tab
}

// listen notes what the browser says about the page.
func (b *Tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *cdplog.EventEntryAdded:
		line := event.Entry.Text
		if event.Entry.URL != "" {
			line += " (" + event.Entry.URL + ")"
		}
		b.console = append(b.console, line)
		if !strings.Contains(line, "Content Security Policy") {
			return
		}
		b.violations = append(b.violations, line)
		// No page will follow, which otherwise takes long to find out.
		if b.abort != nil && strings.Contains(line, "form-action") {
			b.abort(errors.New(line))
		}
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, arg := range event.Args {
			words = append(words, string(arg.Value)+arg.Description)
		}
		b.console = append(b.console, strings.Join(words, " "))
	case *runtime.EventExceptionThrown:
		line := event.ExceptionDetails.Error()
		b.console = append(b.console, line)
		b.violations = append(b.violations, line)
	}
}

// finish complains of violations that nobody expected.
func (b *Tab) finish() {
	for _, violation := range b.Violations() {
		b.t.Errorf("unexpected: %s", violation)
	}
	if b.t.Failed() {
		var url, text string
		err := b.try(chromedp.Location(&url), chromedp.Evaluate(innerText, &text))
		b.t.Logf("the tab shows %s, %v\n%s\nconsole: %q", url, err, text, b.Console())
	}
}

func (b *Tab) try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

func (b *Tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	if err := b.try(actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// navigate does something that makes the browser load a page, and waits until
// it has, with all redirects.
func (b *Tab) navigate(what string, action chromedp.Action) {
	b.t.Helper()
	deadline, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	ctx, abort := context.WithCancelCause(deadline)
	defer abort(nil)
	b.setAbort(abort)
	defer b.setAbort(nil)

	response, err := chromedp.RunResponse(ctx, action)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		b.settle()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("%s: %v %q", what, err, b.violations)
	}
	b.Status, b.Header = 0, http.Header{}
	if response != nil {
		b.Status = int(response.Status)
		for name, value := range response.Headers {
			b.Header[http.CanonicalHeaderKey(name)] = strings.Split(fmt.Sprint(value), "\n")
		}
	}
}

func (b *Tab) setAbort(abort context.CancelCauseFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.abort = abort
}

// Open goes to a URL.
func (b *Tab) Open(url string) {
	b.t.Helper()
	b.navigate("opening "+url, chromedp.ActionFunc(func(ctx context.Context) error {
		return chromedp.Navigate(url).Do(ctx)
	}))
}

// Fill types text into the field of a form that has this name.
func (b *Tab) Fill(name, text string) {
	b.t.Helper()
	field := fmt.Sprintf(`[name=%q]`, name)
	b.do("filling "+name, chromedp.Clear(field, chromedp.ByQuery), chromedp.SendKeys(field, text, chromedp.ByQuery))
}

// Press clicks on the button or link with this text, and waits for the page
// that follows.
func (b *Tab) Press(text string) {
	b.t.Helper()
	b.navigate(fmt.Sprintf("pressing %q", text), chromedp.Click(button(text), chromedp.BySearch))
}

// Click clicks on the first element of a CSS selector, and waits for nothing.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.do("clicking on "+selector, chromedp.Click(selector, chromedp.ByQuery))
}

// button returns the XPath of what can be pressed and has this text.
func button(text string) string {
	quoted := `"` + text + `"`
	if strings.Contains(text, `"`) {
		quoted = `'` + text + `'`
	}
	return fmt.Sprintf(`(//button | //a)[normalize-space()=%[1]s] | //input[@type="submit" and @value=%[1]s]`, quoted)
}

// URL returns where the tab is.
func (b *Tab) URL() string {
	b.t.Helper()
	var url string
	b.do("reading the URL", chromedp.Location(&url))
	return url
}

// AwaitURL waits until the tab is at a URL that begins like this, as it is some
// time after a page that sends itself on, and has loaded it.
func (b *Tab) AwaitURL(prefix string) string {
	b.t.Helper()
	var url string
	b.await("go to "+prefix, func() bool {
		var state string
		// It fails while one page replaces another.
		err := b.try(chromedp.Evaluate(`document.readyState`, &state), chromedp.Location(&url))
		return err == nil && state == "complete" && strings.HasPrefix(url, prefix)
	})
	return url
}

// await waits until something is so that the tab does.
func (b *Tab) await(what string, isSo func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	for wait := time.Millisecond; !isSo(); wait = min(2*wait, 100*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-deadline:
			b.t.Fatalf("the tab did not %s within %v", what, patience)
		}
	}
}

const innerText = `document.body ? document.body.innerText : ""`

// Text returns the text of the page, as a person sees it.
func (b *Tab) Text() string {
	b.t.Helper()
	var text string
	b.Eval(innerText, &text)
	return text
}

// Eval computes a JavaScript expression in the page, not bound by its Content
// Security Policy, nor by the visitor's choice to have no JavaScript. A promise
// is waited for.
func (b *Tab) Eval(expression string, result any) {
	b.t.Helper()
	b.do("computing "+expression, evaluate(expression, result))
}

func evaluate(expression string, result any) chromedp.Action {
	return chromedp.Evaluate(expression, result, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
		return p.WithAwaitPromise(true)
	})
}

// Cookies returns the cookies that the browser would send for the page.
func (b *Tab) Cookies() []*http.Cookie {
	b.t.Helper()
	var cookies []*http.Cookie
	b.do("reading cookies", chromedp.ActionFunc(func(ctx context.Context) error {
		all, err := network.GetCookies().Do(ctx)
		for _, c := range all {
			cookie := &http.Cookie{Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path, Secure: c.Secure, HttpOnly: c.HTTPOnly}
			switch c.SameSite {
			case network.CookieSameSiteStrict:
				cookie.SameSite = http.SameSiteStrictMode
			case network.CookieSameSiteLax:
				cookie.SameSite = http.SameSiteLaxMode
			case network.CookieSameSiteNone:
				cookie.SameSite = http.SameSiteNoneMode
			}
			if !c.Session {
				cookie.Expires = time.Unix(int64(c.Expires), 0)
			}
			cookies = append(cookies, cookie)
		}
		return err
	}))
	return cookies
}

// SetCookie plants a cookie, as if the server of the URL had set it.
func (b *Tab) SetCookie(url string, c *http.Cookie) {
	b.t.Helper()
	cookie := network.SetCookie(c.Name, c.Value).WithURL(url).WithSecure(c.Secure).WithHTTPOnly(c.HttpOnly)
	if c.Path != "" {
		cookie = cookie.WithPath(c.Path)
	}
	b.do("setting a cookie", cookie)
}

// Console returns what the browser and scripts have written to the console.
func (b *Tab) Console() []string {
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.console...)
}

// Violations returns what the Content Security Policies of pages have
// prevented, and the errors of their scripts, which the test has hereby seen.
func (b *Tab) Violations() []string {
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	violations := b.violations
	b.violations = nil
	return violations
}

// AwaitViolation waits until there is something that Violations returns, and
// returns it.
func (b *Tab) AwaitViolation() []string {
	b.t.Helper()
	var violations []string
	b.await("violate a policy", func() bool {
		violations = b.Violations()
		return len(violations) > 0
	})
	return violations
}

// settle waits for what the browser has said up to now: events and answers
// come in the order in which they happened. An error means that there is no
// page to say anything.
func (b *Tab) settle() {
	b.try(chromedp.Evaluate(`0`, nil))
}

// A Fault keeps some people from using a page.
type Fault struct {
	ID     string // the rule of axe-core that the page breaks
	Impact string
	Help   string
	Nodes  []struct{ HTML string }
}

func (f Fault) String() string {
	var nodes []string
	for _, node := range f.Nodes {
		nodes = append(nodes, node.HTML)
	}
	return fmt.Sprintf("%s (%s): %s: %s", f.ID, f.Impact, f.Help, strings.Join(nodes, ", "))
}

// Faults returns what axe-core finds wrong with the page, by all its rules.
func (b *Tab) Faults() []Fault {
	b.t.Helper()
	axe, err := os.ReadFile(filepath.Join(Tool(b.chromium.t, "node_modules"), "axe-core/axe.min.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	var result struct {
		Violations []Fault
		Passes     []struct{ ID string }
	}
	b.do("running axe-core", emulation.SetScriptExecutionDisabled(false), chromedp.Evaluate(string(axe), nil), evaluate(`axe.run()`, &result),
		emulation.SetScriptExecutionDisabled(b.visitor.NoScript))
	if len(result.Passes) == 0 {
		b.t.Fatal("axe-core has looked at nothing")
	}
	return result.Violations
}
