package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// ask sends a request to a provider, and follows no redirect. A form is posted.
func (p *Provider) ask(t *testing.T, host, url string, form url.Values) Page {
	t.Helper()
	client := p.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Page{answer.StatusCode, answer.Header, string(body)}
}

// Whatever the issuer's path, it is the same provider at the paths of the
// ancestor and at those that it is mounted at, with and without a slash at the
// end, and it always says the same about itself.
func TestProviderPaths(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	client := db.CreateClient(t, "paths", "--redirect-uri", goRedirect, "--skip-authorization")
	for name, tt := range map[string]struct {
		path      string // of the issuer
		base      string // of the endpoints
		mounts    []string
		notMounts []string
		discovery []string // besides those below mounts
		none      []string
	}{
		"the path of the ancestor": {
			path: "/o2", base: "/o2", mounts: []string{"/o2", "/oauth2"}, notMounts: []string{"/oauth", ""},
			discovery: []string{"/.well-known/openid-configuration/o2", "/.well-known/oauth-authorization-server/o2"},
			none:      []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
		},
		"no path": {
			path: "", base: "/o2", mounts: []string{"/o2", "/oauth2"}, notMounts: []string{"/o", ""},
			discovery: []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
			none:      []string{"/.well-known/openid-configuration/o2"},
		},
		"a path with a slash at its end": {
			path: "/realms/example/", base: "/realms/example", mounts: []string{"/realms/example", "/o2", "/oauth2"}, notMounts: []string{"/realms"},
			discovery: []string{"/.well-known/openid-configuration/realms/example", "/.well-known/oauth-authorization-server/realms/example/"},
			none:      []string{"/.well-known/openid-configuration"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			auth := StartProvider(t, tt.path, "--oauth-mount", "/oauth2")
			base := auth.URL(tt.base)
			want := map[string]string{
				"issuer":                 auth.Issuer,
				"authorization_endpoint": base + "/authorize/",
				"token_endpoint":         base + "/token/",
				"userinfo_endpoint":      base + "/userinfo/",
				"revocation_endpoint":    base + "/revoke_token/",
				"introspection_endpoint": base + "/introspect/",
				"end_session_endpoint":   base + "/logout/",
				"jwks_uri":               base + "/.well-known/jwks.json",
			}
			discovery := tt.discovery
			for _, mount := range tt.mounts {
				discovery = append(discovery, mount+"/.well-known/openid-configuration", mount+"/.well-known/openid-configuration/", mount+"/.well-known/oauth-authorization-server")
			}
			for _, path := range discovery {
				page := auth.ask(t, "other.example.org", auth.URL(path), nil)
				var got map[string]any
				if err := json.Unmarshal([]byte(page.Body), &got); page.Status != http.StatusOK || err != nil {
					t.Errorf("%s: status %d, %v", path, page.Status, err)
					continue
				}
				for name, value := range want {
					if got[name] != value {
						t.Errorf("%s: %s is %v, want %s", path, name, got[name], value)
					}
				}
			}
			for _, path := range tt.none {
				if page := auth.ask(t, "", auth.URL(path), nil); page.Status != http.StatusNotFound {
					t.Errorf("%s: status %d", path, page.Status)
				}
			}

			form := url.Values{"a": {"b"}}
			endpoints := []struct {
				path   string
				form   url.Values
				status int
			}{
				{"/authorize", nil, 400},
				{"/authorize", form, 400},
				{"/token", form, 401},
				{"/userinfo", nil, 401},
				{"/userinfo", form, 401},
				{"/introspect", form, 401},
				{"/revoke_token", form, 401},
				{"/revoke", form, 401},
				{"/logout", nil, 200},
				{"/logout", form, 200},
				{"/fake-userinfo", nil, 401},
				{"/.well-known/jwks.json", nil, 200},
			}
			for _, e := range endpoints {
				for _, slash := range []string{"", "/"} {
					for _, mount := range tt.mounts {
						if page := auth.ask(t, "", auth.URL(mount+e.path+slash), e.form); page.Status != e.status {
							t.Errorf("%s%s%s: status %d, want %d\n%s", mount, e.path, slash, page.Status, e.status, page.Body)
						}
					}
					for _, mount := range tt.notMounts {
						if mount == "" && (e.path == "/logout" || e.path == "/.well-known/jwks.json") {
							continue // pages of the server itself
						}
						if page := auth.ask(t, "", auth.URL(mount+e.path+slash), e.form); page.Status != http.StatusNotFound {
							t.Errorf("%s%s%s, where it is not: status %d", mount, e.path, slash, page.Status)
						}
					}
				}
			}

			// A whole login at each mount, and what is issued is of the one issuer.
			alice := NewPerson(t)
			g := newGoClient(t, auth, client)
			for _, mount := range tt.mounts {
				for _, slash := range []string{"", "/"} {
					g.config.Endpoint = oauth2.Endpoint{AuthURL: auth.URL(mount + "/authorize" + slash), TokenURL: auth.URL(mount + "/token" + slash)}
					g.signIn(alice, "alice@example.com", "alice sings")
				}
			}
			back := alice.Answer(g.config.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))).Parameters(t)
			if back.Get("iss") != auth.Issuer {
				t.Errorf("iss is %s", back.Get("iss"))
			}
		})
	}
}

// What the page on OAuth 2.0 says to type about tokens tells of a login and ends
// it.
func TestTokensGuide(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	auth := StartProvider(t, "/o2")
	var wiki []struct {
		ClientID     string   `json:"client_id"`
		RedirectURIs []string `json:"redirect_uris"`
	}
	if err := json.Unmarshal([]byte(db.Operate(t, "oauth2", "show", "wiki", "-f", "json")), &wiki); err != nil || len(wiki) != 1 {
		t.Fatalf("the client wiki: %v, %v", wiki, err)
	}
	config := oauth2.Config{ClientID: wiki[0].ClientID, RedirectURL: wiki[0].RedirectURIs[0], Scopes: []string{"openid"}, Endpoint: oauth2.Endpoint{AuthURL: auth.URL("/o2/authorize/")}}
	alice := NewPerson(t)
	alice.SignIn(config.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), "alice@example.com", "alice sings")

	printed := map[string]string{}
	for _, line := range sectionLines(t, "../oauth2.md", "Tokens and how they end") {
		printed[strings.Fields(line)[2]] = db.Type(t, line)
	}
	if !strings.Contains(printed["tokens"], wiki[0].ClientID) || !strings.Contains(printed["consent"], wiki[0].ClientID) {
		t.Errorf("the commands print %v", printed)
	}
	if _, err := db.operate(t.Context(), "/bin/sh", "-euc", "authserver oauth2 tokens -u alice --client "+wiki[0].ClientID); err == nil {
		t.Error("after the command to revoke them, there are tokens")
	}
}

// The file of clients on the page on OAuth 2.0 is one that can be applied, as often
// as one likes.
func TestClientsGuide(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	text, err := os.ReadFile("../docs/oauth2.md")
	if err != nil {
		t.Fatal(err)
	}
	clients := section(string(text), "Clients")
	_, file, found := strings.Cut(clients, "```yaml\n")
	file, _, ended := strings.Cut(file, "```\n")
	if !found || !ended {
		t.Fatal("docs/oauth2.md has no file of clients")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "clients.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	enter := func(line string) string {
		out, err := db.operate(t.Context(), "/bin/sh", "-euc", "cd "+dir+" && "+line)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, line := range commandsIn(clients) {
		enter(line)
	}
	if again := enter("authserver oauth2 apply clients.yaml -f csv"); strings.Count(again, ",unchanged,") != 2 {
		t.Errorf("applied again: %s", again)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "board.json")); err != nil || !strings.Contains(string(text), `"client_secret": "cs_`) {
		t.Errorf("the credentials are %s, %v", text, err)
	}
}
