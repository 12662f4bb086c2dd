package main

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
)

// person is somebody before a browser, which takes this machine for safe as
// browsers do: it keeps cookies for https, and has one name for all ports.
type person struct {
	t    *testing.T
	http *http.Client
	page *url.URL
	body string

	mu      sync.Mutex
	cookies map[string]*http.Cookie
}

func newPerson(t *testing.T) *person {
	p := &person{t: t, cookies: map[string]*http.Cookie{}}
	p.http = &http.Client{Jar: p}
	t.Cleanup(p.http.CloseIdleConnections)
	return p
}

// SetCookies implements http.CookieJar.
func (p *person) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cookies {
		p.cookies[c.Name] = c
	}
}

// Cookies implements http.CookieJar.
func (p *person) Cookies(*url.URL) []*http.Cookie {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.cookies))
}

func (p *person) open(url string) { p.see(p.http.Get(url)) }

// submit sends the form of the page with these fields besides.
func (p *person) submit(fields map[string]string) {
	p.t.Helper()
	root, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		p.t.Fatal(err)
	}
	attribute := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	var action string
	values := url.Values{}
	for n := range root.Descendants() {
		switch {
		case n.Type == html.ElementNode && n.Data == "form" && action == "":
			action = attribute(n, "action")
		case n.Type == html.ElementNode && n.Data == "input" && attribute(n, "type") == "hidden":
			values.Set(attribute(n, "name"), attribute(n, "value"))
		}
	}
	for name, value := range fields {
		values.Set(name, value)
	}
	to, err := p.page.Parse(action)
	if err != nil || action == "" {
		p.t.Fatalf("no form in %s: %v\n%s", p.page, err, p.body)
	}
	p.see(p.http.PostForm(to.String(), values))
}

func (p *person) see(answer *http.Response, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s\n%s", answer.Request.URL, answer.Status, body)
	}
	p.page, p.body = answer.Request.URL, string(body)
}

// checkRelyingParty signs in at the relying party that quickstart has printed,
// and out again.
func checkRelyingParty(t *testing.T, printed string) {
	t.Helper()
	p := newPerson(t)
	rp := find(t, printed, `^A relying party of OpenID Connect is at (\S+)$`)
	p.open(rp)
	p.open(rp + "login")
	p.submit(map[string]string{
		"username": find(t, printed, `^  sign in there as (\S+) `),
		"password": find(t, printed, `^  sign in there .* the password (\S+)$`),
	})
	if strings.Contains(p.body, `name="decision"`) { // the first time
		p.submit(map[string]string{"decision": "allow"})
	}
	for _, told := range []string{"UserInfo<td>email<td>&#34;alice@example.test&#34;", "ID token<td>iss<td>&#34;http://localhost:", "&#34;Alice Example&#34;"} {
		if p.page.String() != rp || !strings.Contains(p.body, told) {
			t.Errorf("%s lacks %s:\n%s", p.page, told, p.body)
		}
	}
	p.open(rp + "logout")
	if p.page.String() != rp || !strings.Contains(p.body, "Sign in with authserver") {
		t.Errorf("after signing out, %s\n%s", p.page, p.body)
	}
}
