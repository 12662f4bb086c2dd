package client

import (
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
)

var goodRedirectURIs = []string{
	"https://app.example.com", "https://app.example.com/", "https://app.example.com/callback", "https://app.example.com:8443/a/b?c=d&e",
	"https://App.example.com/", "https://a_b.example.com/", "https://localhost/", "https://xn--nxasmq6b.test/",
	"https://app.example.com/a%2Fb", "https://app.example.com//a", "https://app.example.com/~a;b=c,d/e@f:g", "https://app.example.com?tenant=1",
	"https://203.0.113.7/callback", "https://[2001:db8::1]/callback", "https://[2001:db8::1]:8443/callback", "https://3com.test/", "https://a.b3/",
	"https://app.example.com/.well-known/callback", "https://app.example.com/a..b/...", "https://app.example.com/?state_of=things",
	"http://127.0.0.1", "http://127.0.0.1/callback", "http://[::1]:1/callback", "http://localhost:3000", "http://intranet/callback",
	"com.example.app:/callback", "com.example.app://callback", "com.example.app:/", "com.example.app:///a",
}

var badRedirectURIs = map[string]string{
	"empty":                             "",
	"no URI":                            "callback",
	"a path":                            "/callback",
	"without scheme":                    "//app.example.com/callback",
	"a host":                            "app.example.com",
	"a fragment":                        "https://app.example.com/#x",
	"an empty fragment":                 "https://app.example.com/#",
	"userinfo":                          "https://a@app.example.com/",
	"userinfo with a password":          "https://a:b@app.example.com/",
	"empty userinfo":                    "https://@app.example.com/",
	"userinfo of a scheme of one's own": "com.example.app://a@b/",
	"no host":                           "https:///callback",
	"only a port":                       "https://:443/callback",
	"one slash":                         "https:/app.example.com",
	"no slash":                          "https:app.example.com",
	"a backslash":                       `https://app.example.com\callback`,
	"an encoded backslash":              "https://app.example.com/%5ccallback",
	"a dot segment":                     "https://app.example.com/./a",
	"dots":                              "https://app.example.com/a/..",
	"encoded dots":                      "https://app.example.com/%2e%2E/a",
	"a half-encoded dot":                "https://app.example.com/.%2e/a",
	"dots behind an encoded slash":      "https://app.example.com/a%2f..%2Fb",
	"dots in a scheme of one's own":     "com.example.app:/../a",
	"a NUL":                             "https://app.example.com/\x00",
	"an encoded NUL":                    "https://app.example.com/%00",
	"an encoded line break":             "https://app.example.com/?a=%0d%0a",
	"an encoded DEL":                    "https://app.example.com/%7f",
	"half of an encoding":               "https://app.example.com/%2",
	"no encoding":                       "https://app.example.com/%zz",
	"a blank":                           "https://app.example.com/a b",
	"two of them":                       "https://app.example.com/ https://app.example.org/",
	"a line break":                      "https://app.example.com/\n",
	"no ASCII":                          "https://app.example.com/ü",
	"a host in no ASCII":                "https://bücher.test/",
	"a wildcard":                        "https://*.example.com/",
	"quotes":                            `https://app.example.com/"`,
	"braces":                            "https://app.example.com/{id}",
	"angle brackets":                    "https://app.example.com/<script>",
	"brackets in the path":              "https://app.example.com/[",
	"brackets in the query":             "https://app.example.com/?a[]=1",
	"an encoded host":                   "https://app%2eexample.com/",
	"a trailing dot":                    "https://app.example.com./",
	"an empty label":                    "https://app..example.com/",
	"a hyphen first":                    "https://-app.example.com/",
	"a long label":                      "https://" + strings.Repeat("a", 64) + ".test/",
	"a long host":                       "https://" + strings.Repeat("a.", 127) + "test/",
	"a long path":                       "https://app.example.com/" + strings.Repeat("a", maxURI),
	"an empty port":                     "https://app.example.com:/",
	"port 0":                            "https://app.example.com:0/",
	"port 65536":                        "https://app.example.com:65536/",
	"port 0443":                         "https://app.example.com:0443/",
	"two ports":                         "https://app.example.com:1:2/",
	"a port that is none":               "https://app.example.com:http/",
	"IPv4 in short":                     "https://127.1/",
	"IPv4 as a number":                  "https://2130706433/",
	"IPv4 in hexadecimal":               "https://0x7f.1/",
	"IPv4 in octal":                     "https://0177.0.0.1/",
	"an empty hexadecimal":              "https://a.0x/",
	"a number last":                     "https://app.7/",
	"IPv6 without brackets":             "https://2001:db8::1/",
	"IPv6 with a zone":                  "https://[fe80::1%25eth0]/",
	"IPv6 with a bare zone":             "https://[fe80::1%eth0]/",
	"IPv4 as IPv6":                      "https://[::ffff:203.0.113.7]/",
	"IPv4 in brackets":                  "https://[203.0.113.7]/",
	"nothing in brackets":               "https://[]/",
	"half a bracket":                    "https://[2001:db8::1/",
	"something behind a bracket":        "https://[2001:db8::1]x/",
	"a script":                          "javascript:alert(1)",
	"data":                              "data:text/html,x",
	"a file":                            "file:///etc/passwd",
	"a scheme without a dot":            "myapp:/callback",
	"out of band":                       "urn:ietf:wg:oauth:2.0:oob",
	"a scheme in upper case":            "HTTPS://app.example.com/",
	"an opaque one":                     "com.example.app:callback",
	"no host of a scheme of one's own":  "com.example.app://[0000",
	"nothing behind a scheme":           "com.example.app:",
	"a scheme that begins with a digit": "7.example:/a",
	"a code":                            "https://app.example.com/?code=1",
	"an encoded state":                  "https://app.example.com/?a=b&%73tate=1",
	"an issuer":                         "https://app.example.com/?iss",
}

func TestParseRedirectURI(t *testing.T) {
	t.Parallel()
	for _, uri := range goodRedirectURIs {
		if got, err := ParseRedirectURI(uri); got != uri || err != nil {
			t.Errorf("ParseRedirectURI(%q) = %q, %v", uri, got, err)
		}
	}
	for name, uri := range badRedirectURIs {
		if got, err := ParseRedirectURI(uri); got != "" || err == nil {
			t.Errorf("%s: ParseRedirectURI(%q) = %q, %v", name, uri, got, err)
		}
		if _, err := CheckRedirectURI(uri, Confidential); err == nil {
			t.Errorf("%s: CheckRedirectURI(%q) finds nothing", name, uri)
		}
	}
}

func TestCheckRedirectURI(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ public, confidential string }{
		"https://app.example.com/":     {"", ""},
		"https://localhost/":           {"", ""},
		"com.example.app:/a":           {"", ""},
		"http://127.0.0.1/":            {"", ""},
		"http://[::1]:80":              {"", ""},
		"http://localhost":             {"", ""},
		"http://app.example.com/":      {"error", "warning"},
		"http://127.0.0.2/":            {"error", "warning"},
		"http://localhost.evil.test/":  {"error", "warning"},
		"http://LOCALHOST/":            {"error", "warning"},
		"http://user@127.0.0.1/":       {"error", "error"},
		"http://127.0.0.1/../callback": {"error", "error"},
	}
	for uri, want := range tests {
		for clientType, want := range map[string]string{Public: want.public, Confidential: want.confidential} {
			got := ""
			switch warning, err := CheckRedirectURI(uri, clientType); {
			case err != nil:
				got = "error"
			case warning != "":
				got = "warning"
			}
			if got != want {
				t.Errorf("%q of a %s client: %q, want %q", uri, clientType, got, want)
			}
		}
	}
}

// What can be registered means one thing to everybody who reads it.
func FuzzParseRedirectURI(f *testing.F) {
	for _, uri := range goodRedirectURIs {
		f.Add(uri)
	}
	for _, uri := range badRedirectURIs {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseRedirectURI(in)
		if err != nil {
			return
		}
		if got != in || strings.ContainsFunc(in, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`\#"<>^{|}`+"`", r) }) {
			t.Fatalf("%q is returned as %q", in, got)
		}
		u, err := url.Parse(in)
		if err != nil || !u.IsAbs() || u.User != nil || u.Fragment != "" || u.Opaque != "" {
			t.Fatalf("%q is read as %+v, %v", in, u, err)
		}
		if u.Scheme == "http" || u.Scheme == "https" {
			if u.Hostname() == "" || !strings.HasPrefix(in, u.Scheme+"://"+u.Host) {
				t.Fatalf("%q has the host %q", in, u.Host)
			}
			if address, err := netip.ParseAddr(u.Hostname()); err == nil && (address.Zone() != "" || address.Is4In6()) {
				t.Fatalf("%q has the host %q", in, u.Host)
			}
		} else if !strings.Contains(u.Scheme, ".") {
			t.Fatalf("%q has the scheme %q", in, u.Scheme)
		}
		// Decoded, it still goes where it says; doubled slashes stay as they are.
		for segment := range strings.SplitSeq(u.Path, "/") {
			if cleaned := path.Clean("/" + segment); strings.ContainsRune(segment, '\\') || segment == "." || cleaned == "/" && strings.Trim(segment, "/") != "" {
				t.Fatalf("%q goes to %q", in, u.Path)
			}
		}
		query, err := url.ParseQuery(u.RawQuery)
		for _, name := range responseParameters {
			if err == nil && query.Has(name) {
				t.Fatalf("%q has %s", in, name)
			}
		}
	})
}

func TestParseOrigin(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{
		"https://app.example.com", "https://app.example.com:8443", "https://localhost", "https://[2001:db8::1]", "https://203.0.113.7:1",
		"http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080", "https://app.example.com:80",
	} {
		if got, err := ParseOrigin(origin); got != origin || err != nil {
			t.Errorf("ParseOrigin(%q) = %q, %v", origin, got, err)
		}
	}
	for _, origin := range []string{
		"", "*", "null", "app.example.com", "https://app.example.com/", "https://app.example.com/a", "https://app.example.com?", "https://app.example.com#",
		"https://App.example.com", "HTTPS://app.example.com", "https://app.example.com:443", "http://localhost:80", "http://app.example.com",
		"https://a@app.example.com", "https://*.example.com", "https://app.example.com.", "https://[2001:DB8::1]", "https://[2001:db8:0::1]",
		"https://app.example.com https://b.test", "file://", "com.example.app://a", "https:app.example.com", "https://", "https://app.example.com\x00",
		"https://0x7f.1", "http://localhost.evil.test", "https://[fe80::1%25eth0]",
	} {
		if got, err := ParseOrigin(origin); got != "" || err == nil {
			t.Errorf("ParseOrigin(%q) = %q, %v", origin, got, err)
		}
	}
}

func TestParseResource(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		"https://api.example.com", "https://api.example.com/v1?a=b", "http://api.internal:8080/", "urn:example:api", "api://orders", "com.example.api:x",
	} {
		if got, err := ParseResource(resource); got != resource || err != nil {
			t.Errorf("ParseResource(%q) = %q, %v", resource, got, err)
		}
	}
	for _, resource := range []string{
		"", "api", "/api", "//api.example.com", "https://api.example.com#", "https://api.example.com/#x", "https://a@api.example.com", "api://a@b",
		"https:///x", "https://", "https:x", "urn:", "api://", "api://[x", "https://api.example.com/a b", "https://api.example.com/\n", "https://api.example.com/%0a",
		"https://ü.test", "URN:example", "https://" + strings.Repeat("a", maxURI),
	} {
		if got, err := ParseResource(resource); got != "" || err == nil {
			t.Errorf("ParseResource(%q) = %q, %v", resource, got, err)
		}
	}
}

func TestParseJWKSURI(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"https://app.example.com/jwks.json", "https://app.example.com:8443", "https://203.0.113.7/keys?a=b"} {
		if got, err := ParseJWKSURI(uri); got != uri || err != nil {
			t.Errorf("ParseJWKSURI(%q) = %q, %v", uri, got, err)
		}
	}
	for _, uri := range []string{
		"", "http://app.example.com/jwks.json", "http://localhost/", "file:///etc/passwd", "ftp://app.example.com/", "//app.example.com/",
		"https:app.example.com", "https://a@app.example.com/", "https://app.example.com/#x", "https://app.example.com/../a", "https://0x7f.1/",
		"com.example.app:/a", "https://[::ffff:127.0.0.1]/",
	} {
		if got, err := ParseJWKSURI(uri); got != "" || err == nil {
			t.Errorf("ParseJWKSURI(%q) = %q, %v", uri, got, err)
		}
	}
}
