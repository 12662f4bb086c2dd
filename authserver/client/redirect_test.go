package client

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// clientWith returns a client that may be answered at these URIs.
func clientWith(clientType string, uris ...string) *Client {
	return &Client{Type: clientType, RedirectURIs: uris, PostLogoutRedirectURIs: uris}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	const registered = "https://app.example.com/callback"
	refused := map[string]string{
		"nothing":                 "",
		"http":                    "http://app.example.com/callback",
		"another path":            "https://app.example.com/callback2",
		"a path below":            "https://app.example.com/callback/",
		"a path above":            "https://app.example.com/",
		"no path":                 "https://app.example.com",
		"a query":                 "https://app.example.com/callback?next=https://evil.test/",
		"an empty query":          "https://app.example.com/callback?",
		"a fragment":              "https://app.example.com/callback#x",
		"an empty fragment":       "https://app.example.com/callback#",
		"the default port":        "https://app.example.com:443/callback",
		"another port":            "https://app.example.com:8443/callback",
		"an empty port":           "https://app.example.com:/callback",
		"userinfo":                "https://evil@app.example.com/callback",
		"userinfo with a host":    "https://app.example.com@evil.test/callback",
		"userinfo with a port":    "https://app.example.com:443@evil.test/callback",
		"userinfo by a backslash": `https://evil.test\@app.example.com/callback`,
		"a host before":           "https://evil.test/https://app.example.com/callback",
		"a host behind":           "https://app.example.com.evil.test/callback",
		"a longer host":           "https://evilapp.example.com/callback",
		"a host below":            "https://x.app.example.com/callback",
		"a host above":            "https://example.com/callback",
		"upper case in the host":  "https://App.example.com/callback",
		"upper case in the path":  "https://app.example.com/Callback",
		"upper case scheme":       "HTTPS://app.example.com/callback",
		"a trailing dot":          "https://app.example.com./callback",
		"dot segments":            "https://app.example.com/x/../callback",
		"a dot segment":           "https://app.example.com/./callback",
		"encoded dot segments":    "https://app.example.com/x/%2e%2e/callback",
		"an encoded letter":       "https://app.example.com/c%61llback",
		"an encoded slash":        "https://app.example.com%2fcallback",
		"an encoded host":         "https://app%2eexample.com/callback",
		"a double slash":          "https://app.example.com//callback",
		"three slashes":           "https:///app.example.com/callback",
		"one slash":               "https:/app.example.com/callback",
		"no scheme":               "//app.example.com/callback",
		"a relative one":          "/callback",
		"a backslash":             `https://app.example.com\callback`,
		"an encoded backslash":    "https://app.example.com/callback%5c",
		"a blank before":          " https://app.example.com/callback",
		"a blank behind":          "https://app.example.com/callback ",
		"a tab within":            "https://app.exam\tple.com/callback",
		"a line break":            "https://app.example.com/callback\r\nSet-Cookie: x=y",
		"a NUL":                   "https://app.example.com/callback\x00",
		"an encoded NUL":          "https://app.example.com/callback%00",
		"a letter that looks so":  "https://app.ex\u0430mple.com/callback",
		"a wildcard":              "https://*.example.com/callback",
		"a script":                "javascript://app.example.com/callback%0aalert(1)",
		"loopback":                "http://127.0.0.1/callback",
	}
	for _, clientType := range []string{Confidential, Public} {
		c := clientWith(clientType, "https://other.example.com/", registered)
		if !c.Redirect(registered) || !c.PostLogoutRedirect(registered) {
			t.Errorf("%s: refused what is registered", clientType)
		}
		for name, uri := range refused {
			if c.Redirect(uri) || c.PostLogoutRedirect(uri) {
				t.Errorf("%s: %s: %q is taken", clientType, name, uri)
			}
		}
	}
	nowhere := clientWith(Public)
	for _, uri := range []string{"", "http://127.0.0.1/", registered} {
		if nowhere.Redirect(uri) {
			t.Errorf("%q is taken by a client without any", uri)
		}
	}
}

// The lists are apart.
func TestRedirectIsNotPostLogoutRedirect(t *testing.T) {
	t.Parallel()
	c := &Client{Type: Public, RedirectURIs: []string{"http://127.0.0.1/in"}, PostLogoutRedirectURIs: []string{"http://127.0.0.1/out"}}
	if !c.Redirect("http://127.0.0.1:1/in") || c.Redirect("http://127.0.0.1:1/out") ||
		!c.PostLogoutRedirect("http://127.0.0.1:1/out") || c.PostLogoutRedirect("http://127.0.0.1:1/in") {
		t.Error("one list stands for the other")
	}
}

func TestRedirectLoopback(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		registered string
		taken      []string
		refused    []string
	}{
		"IPv4": {
			"http://127.0.0.1/callback",
			[]string{
				"http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:80/callback", "http://127.0.0.1:65535/callback",
			},
			[]string{
				"https://127.0.0.1:8080/callback", "http://127.0.0.1:0/callback", "http://127.0.0.1:65536/callback", "http://127.0.0.1:/callback",
				"http://127.0.0.1:080/callback", "http://127.0.0.1:+80/callback", "http://127.0.0.1:8080", "http://127.0.0.1:8080/",
				"http://127.0.0.1:8080/callback/", "http://127.0.0.1:8080/callback?x", "http://127.0.0.1:8080/callback#x",
				"http://127.0.0.1:8080//callback", "http://127.0.0.1:8080/./callback", "http://127.0.0.1:8080/%63allback",
				"http://127.0.0.1:8080@evil.test/callback", "http://127.0.0.1@evil.test/callback", "http://x@127.0.0.1:8080/callback",
				`http://127.0.0.1:8080\@evil.test/callback`, `http://127.0.0.1\callback`, "http://127.0.0.1:8080.evil.test/callback",
				"http://127.0.0.1.evil.test/callback", "http://127.0.0.1.:8080/callback", "http://127.0.0.2:8080/callback",
				"http://127.1:8080/callback", "http://0x7f.1:8080/callback", "http://2130706433:8080/callback", "http://0177.0.0.1:8080/callback",
				"http://127.0.0.1%00:8080/callback", "http://127.0.0.1:80 80/callback", "http://127.0.0.1:\u0661/callback",
				"http://0.0.0.0:8080/callback", "http://[::1]:8080/callback", "http://localhost:8080/callback", "http://[::ffff:127.0.0.1]:8080/callback",
				"HTTP://127.0.0.1:8080/callback", "//127.0.0.1:8080/callback", "http:127.0.0.1:8080/callback", "http:/127.0.0.1:8080/callback",
				"http://127.0.0.1:8080:8081/callback", "http://127.0.0.1:99999999999999999999/callback",
			},
		},
		"IPv6": {
			"http://[::1]:1234/callback?a=b",
			[]string{"http://[::1]/callback?a=b", "http://[::1]:8080/callback?a=b"},
			[]string{
				"http://[::1]:8080/callback", "http://[::1]:8080/callback?a=c", "http://[::1]:8080/callback?a=b&c", "http://[::1%25eth0]:8080/callback?a=b",
				"http://[::1%eth0]:8080/callback?a=b", "http://[0:0:0:0:0:0:0:1]:8080/callback?a=b", "http://[::2]:8080/callback?a=b",
				"http://::1:8080/callback?a=b", "http://[::1]8080/callback?a=b", "http://[::1].evil.test/callback?a=b", "http://[::1]@evil.test/callback?a=b",
				"http://127.0.0.1:8080/callback?a=b",
			},
		},
		"by name": {
			"http://localhost:3000",
			[]string{"http://localhost", "http://localhost:8080"},
			[]string{
				"http://localhost.evil.test", "http://localhost.:8080", "http://LOCALHOST:8080", "http://localhost:8080/", "http://localhost@evil.test",
				"http://localhost:8080@evil.test", "http://localhostevil.test", "http://localhost-x:8080", "http://evil.localhost:8080", "http://127.0.0.1:8080",
				"http://localhost?x", "http://localhost#", "http://localhost%2f", `http://localhost\`, "https://localhost:8080",
			},
		},
		"https": {
			"https://localhost:3000/callback",
			[]string{"https://localhost:3000/callback"},
			[]string{"https://localhost:3001/callback", "http://localhost:3000/callback", "http://localhost:3001/callback"},
		},
		"elsewhere": {
			"http://app.example.com:80/callback",
			[]string{"http://app.example.com:80/callback"},
			[]string{"http://app.example.com:81/callback", "http://app.example.com/callback"},
		},
		"a scheme of its own": {
			"com.example.app:/callback",
			[]string{"com.example.app:/callback"},
			[]string{"com.example.app:8080/callback", "com.example.app://callback", "com.example.app2:/callback", "COM.example.app:/callback"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clientWith(Public, tt.registered)
			for _, uri := range tt.taken {
				if !c.Redirect(uri) {
					t.Errorf("%q is refused", uri)
				}
			}
			for _, uri := range tt.refused {
				if c.Redirect(uri) {
					t.Errorf("%q is taken", uri)
				}
			}
			// A web server knows its port.
			c = clientWith(Confidential, tt.registered)
			for _, uri := range append(tt.taken, tt.refused...) {
				if c.Redirect(uri) != (uri == tt.registered) {
					t.Errorf("confidential: %q is taken: %v", uri, c.Redirect(uri))
				}
			}
		})
	}
}

// What is taken is what is registered, and nothing that anybody would read as
// another place; or, on the own machine, the same with another port.
func FuzzRedirect(f *testing.F) {
	for _, registered := range []string{
		"https://app.example.com/callback", "http://127.0.0.1/callback", "http://[::1]:1/callback?a=b", "http://localhost:3000", "com.example.app:/callback",
	} {
		f.Add(registered, registered)
		f.Add(registered, strings.Replace(registered, "/callback", ":8080/callback", 1))
		f.Add(registered, "http://127.0.0.1:8080@evil.test/callback")
		f.Add(registered, "http://localhost:8080")
		f.Add(registered, "http://[::1]:8080/callback?a=b")
		f.Add(registered, `http://127.0.0.1:8080\@evil.test/callback`)
	}
	f.Fuzz(func(t *testing.T, registered, asked string) {
		if clientWith(Confidential, registered).Redirect(asked) != (registered == asked) {
			t.Fatalf("confidential, registered %q: %q is taken", registered, asked)
		}
		if !clientWith(Public, registered).Redirect(asked) || registered == asked {
			return
		}
		if _, err := ParseRedirectURI(registered); err != nil {
			return // never gets as far
		}
		if _, err := ParseRedirectURI(asked); err != nil {
			t.Fatalf("registered %q: %q is taken, and is %v", registered, asked, err)
		}
		r, err := url.Parse(registered)
		if err != nil {
			t.Fatalf("%q: %v", registered, err)
		}
		a, err := url.Parse(asked)
		if err != nil {
			t.Fatalf("%q: %v", asked, err)
		}
		own := a.Hostname() == "localhost"
		if address, err := netip.ParseAddr(a.Hostname()); err == nil {
			own = address.IsLoopback()
		}
		if !own || a.Scheme != "http" || r.Scheme != "http" || a.Hostname() != r.Hostname() || a.User != nil || a.Fragment != "" ||
			a.EscapedPath() != r.EscapedPath() || a.RawQuery != r.RawQuery || a.Port() == r.Port() {
			t.Fatalf("registered %q: %q is taken", registered, asked)
		}
	})
}
