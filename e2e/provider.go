package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
)

// A Provider is an authserver that is an OpenID provider.
type Provider struct {
	*Authserver
	Issuer string
}

// providerDatabase is the one of all tests of the provider. It is theirs alone:
// they make keys, clients and users. It begins with what the page on OAuth 2.0
// says to type before anybody signs in.
var providerDatabase = sync.OnceValues(func() (*Database, error) {
	db, err := newDatabase("")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("../docs/oauth2.md")
	if err != nil {
		return nil, err
	}
	for _, heading := range []string{"Setting it up", "Scopes and claims"} {
		lines := commandsIn(section(string(text), heading))
		if len(lines) == 0 {
			return nil, fmt.Errorf("docs/oauth2.md says nothing to type about %q", heading)
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "authserver serve ") { // see StartProvider
				continue
			}
			if _, err := db.operate(context.Background(), "/bin/sh", "-euc", line); err != nil {
				return nil, err
			}
		}
	}
	return db, nil
})

// OpenProviderDatabase returns the database for StartProvider.
func OpenProviderDatabase(t *testing.T) *Database {
	t.Helper()
	db, err := providerDatabase()
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// StartProvider starts an authserver whose issuer has this path. It knows the
// clients that are in the database by now; of others it hears before long.
func StartProvider(t *testing.T, path string, flags ...string) *Provider {
	t.Helper()
	auth := StartAuthserver(t, OpenProviderDatabase(t), append([]string{"--issuer", "https://" + AuthHost + ":PORT" + path}, flags...)...)
	return &Provider{auth, auth.URL(path)}
}

// Credentials are what authserver oauth2 create prints.
type Credentials struct {
	Name         string `json:"name"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// ReadCredentials reads what a command has published to standard output.
func ReadCredentials(t *testing.T, printed string) (c Credentials) {
	t.Helper()
	if err := json.Unmarshal([]byte(printed), &c); err != nil {
		t.Fatalf("credentials: %v\n%s", err, printed)
	}
	return c
}

// CreateClient makes a client with these flags of authserver oauth2 create.
func (d *Database) CreateClient(t *testing.T, name string, flags ...string) Credentials {
	t.Helper()
	return ReadCredentials(t, d.Operate(t, append([]string{"oauth2", "create", name}, flags...)...))
}

// A Person sits before a browser that knows no script: it keeps cookies, follows
// redirects, and sends the forms of pages as they are. The person never leaves
// the provider; where they are sent in the end is Back.
type Person struct {
	Page
	URL  *url.URL // of the page
	Back *Return  // nil: there is another page of the provider

	t    *testing.T
	http *http.Client
	form *pageForm
}

// NewPerson returns somebody whom the provider has not seen before.
func NewPerson(t *testing.T) *Person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Person{t: t, http: NewBrowser(t).client}
	p.http.Jar = jar
	p.http.CheckRedirect = func(to *http.Request, _ []*http.Request) error {
		if to.URL.Hostname() != AuthHost {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return p
}

// Open goes to a URL of the provider.
func (p *Person) Open(url string) {
	p.t.Helper()
	p.load(http.MethodGet, url, nil)
}

// Send sends the form of the page. What is filled in, and the button that is
// pressed, come as names and values.
func (p *Person) Send(filled ...string) {
	p.t.Helper()
	if p.form == nil {
		p.t.Fatalf("no form is on the page %s\n%s", p.URL, p.Body)
	}
	fields := p.form.fields
	for i := 0; i < len(filled); i += 2 {
		if !p.form.takes(filled[i], filled[i+1]) {
			p.t.Fatalf("the form on %s has no %s\n%s", p.URL, filled[i], p.Body)
		}
		fields.Set(filled[i], filled[i+1])
	}
	action, err := p.URL.Parse(p.form.action)
	if err != nil {
		p.t.Fatal(err)
	}
	if action.Hostname() != AuthHost {
		p.leave(Return{action.String(), fields.Encode()})
		return
	}
	p.load(http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
}

// SignIn opens the URL of an authorization request, and does whatever the pages
// want: it signs in, consents, and sends a form on. It returns where that leads.
func (p *Person) SignIn(url, user, password string) Return {
	p.t.Helper()
	p.Open(url)
	for range 3 {
		switch {
		case p.Back != nil:
			return *p.Back
		case p.Status == http.StatusForbidden:
			return p.Left()
		case p.form != nil && p.form.takes("password", password):
			p.Send("username", user, "password", password)
		case p.form != nil && p.form.takes("decision", "allow"):
			p.Send("decision", "allow")
		default: // response_mode=form_post
			p.Send()
		}
	}
	return p.Left()
}

// Answer opens the URL of an authorization request that is answered without a
// page, and returns the answer.
func (p *Person) Answer(url string) Return {
	p.t.Helper()
	p.Open(url)
	return p.Left()
}

// Left returns where the person was sent to, away from the provider.
func (p *Person) Left() Return {
	p.t.Helper()
	if p.Back == nil {
		p.t.Fatalf("there is a page at %s, status %d\n%s", p.URL, p.Status, p.Body)
	}
	return *p.Back
}

func (p *Person) leave(back Return) { p.Page, p.form, p.Back = Page{}, nil, &back }

func (p *Person) load(method, url string, form io.Reader) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, url, form)
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if to, err := answer.Location(); err == nil {
		p.leave(Return{URL: to.String()})
		return
	}
	p.Page = Page{answer.StatusCode, answer.Header, string(body)}
	p.URL, p.Back = answer.Request.URL, nil
	if p.form, err = readForm(p.Body); err != nil {
		p.t.Fatal(err)
	}
}

// pageForm is the form of a page.
type pageForm struct {
	action  string
	fields  url.Values // what is sent unless it is changed
	buttons url.Values
}

// takes tells whether the form can be sent with this field or button.
func (f *pageForm) takes(name, value string) bool {
	if f.fields.Has(name) {
		return true
	}
	for _, button := range f.buttons[name] {
		if button == value {
			return true
		}
	}
	return false
}

// readForm returns the last form of a page; nil: it has none.
func readForm(page string) (*pageForm, error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, err
	}
	var form *pageForm
	for node := range root.Descendants() {
		attributes := map[string]string{}
		for _, a := range node.Attr {
			attributes[a.Key] = a.Val
		}
		switch {
		case node.Type != html.ElementNode:
		case node.Data == "form":
			form = &pageForm{action: attributes["action"], fields: url.Values{}, buttons: url.Values{}}
		case form == nil || attributes["name"] == "":
		case node.Data == "button":
			form.buttons.Add(attributes["name"], attributes["value"])
		case node.Data == "input":
			form.fields.Add(attributes["name"], attributes["value"])
		}
	}
	return form, nil
}

// startProxy starts a site over TLS with this host name, whose answers are those
// of a server on a port of 127.0.0.1.
func startProxy(t *testing.T, host string, port int) (site, certificate string) {
	t.Helper()
	certificate, key := newCertificate(t, host)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, public, _ := net.SplitHostPort(server.Listener.Addr().String())
	return "https://" + net.JoinHostPort(host, public), certificate
}
