package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// publishedTo is a Consul and a Vault, as far as credentials are published there.
type publishedTo struct {
	mu      sync.Mutex
	refuses bool
	stored  map[string]string
}

const (
	consulTestToken = "consul-t0ken"
	vaultTestToken  = "vault-t0ken"
)

func (p *publishedTo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.refuses:
		http.Error(w, `{"errors": ["sealed"]}`, http.StatusServiceUnavailable)
	case r.Method == http.MethodPut && r.URL.Path == "/v1/txn":
		var operations []consulOperation
		if r.Header.Get("X-Consul-Token") != consulTestToken || json.NewDecoder(r.Body).Decode(&operations) != nil {
			http.Error(w, "rpc error: Permission denied", http.StatusForbidden)
			return
		}
		for _, operation := range operations {
			if operation.KV.Verb == "set" {
				p.stored[operation.KV.Key] = string(operation.KV.Value)
			}
		}
		fmt.Fprintln(w, `{"Results": [], "Errors": null}`)
	case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v1/secret/"):
		var secret json.RawMessage
		if r.Header.Get("X-Vault-Token") != vaultTestToken || json.NewDecoder(r.Body).Decode(&secret) != nil {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"errors": ["permission denied"]}`)
			return
		}
		p.stored[strings.TrimPrefix(r.URL.Path, "/v1/")] = string(secret)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

// command is the script command published: "published start" brings Consul and
// Vault up, at the addresses in CONSUL and VAULT; "published refuse" and
// "published accept" are how they answer; "published get KEY" prints what is
// there.
func (p *publishedTo) command(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 1 && args[0] == "start" && p.stored == nil && !neg {
		p.stored = map[string]string{}
		server := httptest.NewServer(p)
		ts.Defer(server.Close)
		ts.Setenv("CONSUL", server.URL)
		ts.Setenv("VAULT", server.URL)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case slices.Equal(args, []string{"refuse"}) && !neg:
		p.refuses = true
	case slices.Equal(args, []string{"accept"}) && !neg:
		p.refuses = false
	case len(args) == 2 && args[0] == "get":
		value, ok := p.stored[args[1]]
		if ok == neg {
			ts.Fatalf("%s: there %v", args[1], ok)
		}
		fmt.Fprintln(ts.Stdout(), value)
	default:
		ts.Fatalf("usage: published start | refuse | accept | get KEY")
	}
}

// The command line takes what servers take: they pass over anything else.
func TestCheckRedirectURIs(t *testing.T) {
	uris := func(clientType, uri string) clientSettings {
		return clientSettings{"type": mustJSON(clientType), "redirect_uris": mustJSON([]string{uri})}
	}
	tests := map[string]struct {
		was, settings clientSettings
		refused       bool
	}{
		"plain http of a server":                       {nil, uris("confidential", "http://intranet.example.com/cb"), false},
		"plain http of a public client":                {nil, uris("public", "http://intranet.example.com/cb"), true},
		"on the user's own machine":                    {nil, uris("public", "http://127.0.0.1/cb"), false},
		"after a logout":                               {nil, clientSettings{"type": mustJSON("public"), "post_logout_redirect_uris": mustJSON([]string{"http://a.test/"})}, true},
		"a client that becomes public":                 {uris("confidential", "http://a.test/"), clientSettings{"type": mustJSON("public")}, true},
		"and says so by how it proves itself":          {uris("confidential", "http://a.test/"), clientSettings{"token_endpoint_auth_method": mustJSON("none")}, true},
		"a client that is public no longer":            {uris("public", "https://a.test/"), clientSettings{"token_endpoint_auth_method": mustJSON("client_secret_basic"), "redirect_uris": mustJSON([]string{"http://a.test/"})}, false},
		"something else of a client that is as it was": {uris("public", "https://a.test/"), clientSettings{"debug": mustJSON(true)}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := checkRedirectURIs(tt.was, tt.settings); (err != nil) != tt.refused {
				t.Errorf("got %v, want it refused: %v", err, tt.refused)
			}
		})
	}
}

func TestParseSpan(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"5m": 5 * time.Minute, "90d": 90 * 24 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "24h": 24 * time.Hour, "0s": 0, "3650d": 3650 * 24 * time.Hour,
	} {
		got, err := parseSpan(s)
		if got != want || err != nil {
			t.Errorf("parseSpan(%q) = %v, %v; want %v", s, got, err, want)
		}
		if again, err := parseSpan(spanText(want)); again != want || err != nil {
			t.Errorf("%v is written %q, which is read as %v, %v", want, spanText(want), again, err)
		}
	}
	for _, s := range []string{"", "5", "d", "-1d", "1.5d", "-5m", "1.5s", "99999d", "5 m", "1d2h"} {
		if got, err := parseSpan(s); err == nil {
			t.Errorf("parseSpan(%q) = %v, want an error", s, got)
		}
	}
}

// A public key as RFC 7517 appendix A.1 has one, and what is none.
func TestParseJWKS(t *testing.T) {
	const public = `{"kty": "EC", "crv": "P-256", "kid": "1", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	private := strings.Replace(public, `"kid"`, `"d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE", "kid"`, 1)
	if _, err := parseJWKS([]byte(`{"keys": [` + public + `]}`)); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"no JSON": "x", "no set": public, "no key": `{"keys": []}`, "null": "null", "a list": "[]",
		"a private key": `{"keys": [` + public + `, ` + private + `]}`,
		"a secret key":  `{"keys": [{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}]}`,
		"half a key":    `{"keys": [{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseJWKS([]byte(text))
			if err == nil {
				t.Fatalf("got %s, want an error", got)
			}
			if strings.Contains(err.Error(), "870MB6") || strings.Contains(err.Error(), "AyM1Sy") {
				t.Errorf("the error has the key: %v", err)
			}
		})
	}
}

// A setting that was read from a file is written as it was.
func TestSettingsOfFilesComeBack(t *testing.T) {
	for name, text := range map[string]string{
		"client_name": `"Wiki"`, "enabled": "true", "grant_types": `["authorization_code","refresh_token"]`, "scope": `"openid profile"`, "redirect_uris": "[]",
		"access_token_lifetime": `"5m"`, "grant_lifetime": `"90d"`, "access_token_alg": "null", "jwks": "null", "domain": `"example.com"`,
	} {
		s := settingNamed(name)
		stored, err := s.fromFile(json.RawMessage(text))
		if err != nil {
			t.Errorf("%s: %s: %v", name, text, err)
			continue
		}
		if got := string(s.toFile(stored)); got != text {
			t.Errorf("%s: %s is stored as %s and written as %s", name, text, stored, got)
		}
	}
}

// Whatever a file is: no panic, and only settings that there are, with values
// that can be stored.
func FuzzParseClients(f *testing.F) {
	f.Add([]byte(`[{"client_name": "Wiki", "client_id": "wiki", "client_secret": "s3cret", "scope": "openid", "access_token_lifetime": "5m"}]`))
	f.Add([]byte("- client_name: Wiki\n  redirect_uris:\n  - https://wiki.example.com/cb\n  client_secret_hash: '$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a'\n"))
	f.Add([]byte(`{"client_name": "Wiki", "jwks": {"keys": []}}`))
	stored := map[string]bool{}
	for _, s := range oauth2Settings {
		stored[s.stored()] = true
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		clients, err := parseClients(content)
		if err != nil {
			return
		}
		for _, client := range clients {
			if client.label() == "" {
				t.Error("a client is called nothing")
			}
			for column, value := range client.settings {
				if !stored[column] || !json.Valid(value) {
					t.Errorf("%s is %s", column, value)
				}
			}
		}
	})
}

func TestParseClients(t *testing.T) {
	clients, err := parseClients([]byte(`
- client_name: Wiki
  client_id: wiki
  client_secret: s3cret
  redirect_uris: [https://wiki.example.com/cb]
  scope: openid email
  access_token_lifetime: 300
- client_name: Batch
  grant_types: [client_credentials]
  id_token_signed_response_alg: ES256
  response_types: [code]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []clientSettings{
		{"name": mustJSON("Wiki"), "redirect_uris": mustJSON([]string{"https://wiki.example.com/cb"}), "scope": mustJSON([]string{"openid", "email"}), "access_token_lifetime": mustJSON(300)},
		{"name": mustJSON("Batch"), "grant_types": mustJSON([]string{"client_credentials"}), "id_token_alg": mustJSON("ES256")},
	}
	for i, client := range clients {
		if !reflect.DeepEqual(client.settings, want[i]) {
			t.Errorf("client %d is %s, want %s", i, client.settings, want[i])
		}
	}
	if *clients[0].clientID != "wiki" || string(*clients[0].secret) != "s3cret" || clients[1].clientID != nil || clients[1].secret != nil {
		t.Error("the credentials are not those of the file")
	}

	for name, tt := range map[string]struct{ text, want string }{
		"neither":            {"\tx: [", "neither JSON nor YAML"},
		"a text":             {"wiki", "want a list of clients"},
		"a list of texts":    {`["wiki"]`, "want a list of clients"},
		"a client twice":     {`[{"client_name": "a"}, {"client_name": "a"}]`, "client 2 (a) stands there before, as client 1"},
		"no name":            {`[{"trusted": true}]`, "client 1: it has neither client_name nor client_id"},
		"an unknown setting": {`[{"client_name": "a", "colour": "red"}]`, "client 1 (a): colour: there is no such setting"},
		"the name of a column": {`[{"client_id": "a", "name": "a"}]`,
			"client 1 (a): name: there is no such setting"},
		"a wrong type":        {`[{"client_name": "a", "trusted": "yes"}]`, "trusted: want true or false"},
		"a text for a list":   {`[{"client_name": "a", "redirect_uris": "https://x.test/"}]`, "redirect_uris: want a list of texts"},
		"a bad URI":           {`[{"client_name": "a", "redirect_uris": ["x"]}]`, "redirect_uris: it does not begin with a scheme"},
		"null where none may": {`[{"client_name": "a", "trusted": null}]`, "trusted: want a value"},
		"implicit":            {`[{"client_name": "a", "response_types": ["token"]}]`, "response_types: want"},
		"both secrets":        {`[{"client_name": "a", "client_secret": "x", "client_secret_hash": "$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"}]`, "exclude each other"},
		"no hash":             {`[{"client_name": "a", "client_secret_hash": "s3cret"}]`, "client_secret_hash: it is no hash"},
		"an empty secret":     {`[{"client_name": "a", "client_secret": ""}]`, "client_secret: want a text"},
		"a number as secret":  {`[{"client_name": "a", "client_secret": 7}]`, "client_secret: want a text"},
		"a duration of days":  {`[{"client_name": "a", "grant_lifetime": "x"}]`, "grant_lifetime: want a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseClients([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAzpNames(t *testing.T) {
	for id, want := range map[string][]string{
		"mail":             {"mail"},
		"mail.example.com": {"mail.example.com", "mail%2eexample%2ecom"},
		"a/b%c":            {"a%2fb%25c"},
		"..":               {"..", "%2e%2e"},
	} {
		if got := azpNames(id); !slices.Equal(got, want) {
			t.Errorf("azpNames(%q) = %q, want %q", id, got, want)
		}
	}
}
