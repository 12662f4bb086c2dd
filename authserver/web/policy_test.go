package web

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestFormActionSource(t *testing.T) {
	for uri, want := range map[string]string{
		"https://rp.example.com/callback":            "https://rp.example.com",
		"https://rp.example.com":                     "https://rp.example.com",
		"https://RP.Example.COM/Callback?a=b;c,d":    "https://rp.example.com",
		"HTTPS://rp.example.com/":                    "https://rp.example.com",
		"https://rp.example.com:8443/cb":             "https://rp.example.com:8443",
		"https://alice:secret@rp.example.com/cb":     "https://rp.example.com",
		"http://127.0.0.1:8123/cb":                   "http://127.0.0.1:8123",
		"http://127.0.0.1/cb":                        "http://127.0.0.1",
		"http://localhost:8123/cb":                   "http://localhost:8123",
		"com.example.app:/cb":                        "com.example.app:",
		"com.example.app://cb":                       "com.example.app:",
		"com.example.app:cb":                         "com.example.app:",
		"com.example.app+x-1:/cb":                    "com.example.app+x-1:",
		"https://xn--bcher-kva.example/cb":           "https://xn--bcher-kva.example",
		"https://" + strings.Repeat("a", 253) + "/":  "https://" + strings.Repeat("a", 253),
		"https://" + strings.Repeat("a.", 127) + "a": "https:",

		// No source names these.
		"http://[::1]:8123/cb":           "http:",
		"https://[2001:db8::1]/cb":       "https:",
		"http://127.0.0.2/cb":            "http:",
		"https://192.0.2.1:8443/cb":      "https:",
		"https://0x7f.1/":                "https:",
		"https://2130706433/":            "https:",
		"https://bücher.example/cb":      "https:",
		"https://under_score.example/":   "https:",
		"https://rp.example.com./":       "https:",
		"https://rp.example.com:/":       "https:",
		"https://rp.example.com:0/":      "https:",
		"https://rp.example.com:99999/":  "https:",
		"https://*.example.com/":         "https:",
		"https://*/":                     "https:",
		"https://a;script-src'x'/":       "https:",
		"https://a,b/":                   "https:",
		"https://rp.example.com%3b%20x/": "",

		// Nothing leads to these.
		"":                              "",
		"/login":                        "",
		"//rp.example.com/cb":           "",
		"rp.example.com/cb":             "",
		"https:":                        "",
		"https:rp.example.com":          "",
		"https:///cb":                   "",
		"http://":                       "",
		"javascript:alert(1)":           "",
		"JavaScript:alert(1)":           "",
		" javascript:alert(1)":          "",
		"java\tscript:alert(1)":         "",
		"vbscript:x":                    "",
		"data:text/html,x":              "",
		"blob:https://rp.example.com/x": "",
		"file:///etc/passwd":            "",
		"1app:/cb":                      "",
		"app;x:/cb":                     "",
		"app x:/cb":                     "",
		"app\n:/cb":                     "",
		"https://rp.example.com /cb":    "",
		"https://rp.example.com\n/cb":   "",
		"https://rp.example.com;\x00":   "",
	} {
		if got := FormActionSource(uri); got != want {
			t.Errorf("%q: %q, want %q", uri, got, want)
		}
	}
}

// A source never ends itself or its directive, is always one that Render takes,
// and stays the same for the URI that it is.
func FuzzFormActionSource(f *testing.F) {
	for _, uri := range []string{"https://rp.example.com/cb", "http://[::1]:80/", "com.example.app:/x", "https://a;b,c d/", "javascript:x", "https://\u2028\u00a0/", "a:;script-src *"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		source := FormActionSource(uri)
		if strings.ContainsAny(source, ";,*'\"") || strings.ContainsFunc(source, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q", source)
		}
		if source == "" {
			return
		}
		if scheme, _, _ := strings.Cut(source, ":"); slices.Contains([]string{"javascript", "data", "vbscript"}, scheme) {
			t.Errorf("%q", source)
		}
		policy, err := Options{FormAction: []string{source}}.policy()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(strings.Split(policy, ";")); n != 6 {
			t.Errorf("%d directives: %s", n, policy)
		}
		if origin := strings.Contains(source, "://"); origin && FormActionSource(source) != source {
			t.Errorf("%q becomes %q", source, FormActionSource(source))
		}
	})
}

func TestPolicy(t *testing.T) {
	const (
		before = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'"
		after  = "; frame-ancestors 'none'; base-uri 'none'"
	)
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, before + after},
		{Options{Script: true}, before + after + "; script-src 'self'"},
		{Options{FormAction: []string{""}}, before + after},
		{Options{FormAction: []string{"https://rp.example.com", "", "com.example.app:"}}, before + " https://rp.example.com com.example.app:" + after},
	} {
		if got, err := tt.o.policy(); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v; want %q", tt.o, got, err, tt.want)
		}
	}
}

// Somebody who puts a URI where a source belongs gets an error, and no page
// with a policy of the URI's making.
func TestPolicyInjection(t *testing.T) {
	for _, source := range []string{
		"https://rp.example.com/cb", "https://rp.example.com;script-src", "https://a b", "https://a,https://b", "'unsafe-inline'",
		"*", "https://*", "*:", ":", "a;:", "https://rp.example.com:443;", "rp.example.com", "ftp://a", "https://", "\n", " ",
	} {
		w := httptest.NewRecorder()
		err := Home.Render(w, httptest.NewRequest("GET", "/", nil), 200, HomeData{}, Options{FormAction: []string{source}})
		if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%q: %v, %d bytes, headers %v", source, err, w.Body.Len(), w.Header())
		}
	}
}
