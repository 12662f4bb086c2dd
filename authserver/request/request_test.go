package request_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"authbridge/authserver/request"
)

func TestAuthorization(t *testing.T) {
	for name, tt := range map[string]struct {
		headers             []string
		scheme, credentials string
		err                 error
	}{
		"none":                      {},
		"Basic":                     {[]string{"Basic Og=="}, "basic", "Og==", nil},
		"the scheme has any case":   {[]string{"bEARER Abc"}, "bearer", "Abc", nil},
		"blanks":                    {[]string{"Basic   Og== "}, "basic", "Og==", nil},
		"no credentials":            {[]string{"Negotiate"}, "negotiate", "", nil},
		"an empty header":           {[]string{""}, "", "", nil},
		"a proxy may see the other": {[]string{"Basic Og==", "Bearer x"}, "", "", request.ErrManyAuthorizations},
		"twice the same":            {[]string{"Basic Og==", "Basic Og=="}, "", "", request.ErrManyAuthorizations},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			for _, h := range tt.headers {
				r.Header.Add("Authorization", h)
			}
			scheme, credentials, err := request.Authorization(r)
			if scheme != tt.scheme || credentials != tt.credentials || !errors.Is(err, tt.err) {
				t.Errorf("%q, %q, %v; want %q, %q, %v", scheme, credentials, err, tt.scheme, tt.credentials, tt.err)
			}
		})
	}
}

func TestParseBasic(t *testing.T) {
	for credentials, want := range map[string]error{
		"":                         request.ErrMalformedBasic,
		"***":                      request.ErrMalformedBasic,
		"YWxpY2U=":                 request.ErrMalformedBasic, // alice
		"YWxpY2U6Pz8_Pj4-":         request.ErrMalformedBasic, // base64url
		"Og==":                     nil,
		"YWxpY2U6cGE6c3M6d8O2cmQ=": nil,
	} {
		if _, _, err := request.ParseBasic(credentials); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", credentials, err, want)
		}
	}
}

func FuzzParseBasic(f *testing.F) {
	f.Add("YWxpY2U6cGE6c3M=", "alice", "pa:ss")
	f.Add("Og==", "", "")
	f.Add("=", "\xff", "\x00")
	f.Fuzz(func(t *testing.T, credentials, name, password string) {
		// What is accepted can be written again.
		if n, p, err := request.ParseBasic(credentials); err == nil {
			decoded, _ := base64.StdEncoding.DecodeString(credentials)
			if strings.Contains(n, ":") || n+":"+p != string(decoded) {
				t.Errorf("%q is %q and %q", decoded, n, p)
			}
		}
		// What is written is read.
		if strings.Contains(name, ":") {
			return
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
		if n, p, err := request.ParseBasic(encoded); err != nil || n != name || p != password {
			t.Errorf("%q and %q read as %q and %q, %v", name, password, n, p, err)
		}
	})
}

func TestPeer(t *testing.T) {
	for remote, want := range map[string]netip.Addr{
		"192.0.2.7:4711":          netip.MustParseAddr("192.0.2.7"),
		"[::ffff:192.0.2.7]:4711": netip.MustParseAddr("192.0.2.7"),
		"[2001:db8::7%eth0]:4711": netip.MustParseAddr("2001:db8::7"),
		"@":                       {}, // a unix socket
		"":                        {},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		if got := request.Peer(r); got != want {
			t.Errorf("%q is %v, want %v", remote, got, want)
		}
	}
}

func TestSecure(t *testing.T) {
	for url, want := range map[string]bool{"https://auth.example.com/": true, "http://auth.example.com/": false, "/": false} {
		if got := request.Secure(httptest.NewRequest("GET", url, nil)); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}

func TestBody(t *testing.T) {
	for name, tt := range map[string]struct {
		body io.Reader
		want error
	}{
		"none":            {strings.NewReader(""), nil},
		"as long as can":  {strings.NewReader(strings.Repeat("x", request.MaxBody)), nil},
		"one byte longer": {strings.NewReader(strings.Repeat("x", request.MaxBody+1)), request.ErrTooLarge},
		"cut off":         {io.MultiReader(strings.NewReader("x"), broken{}), request.ErrMalformedBody},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", tt.body)
			if _, err := request.Body(httptest.NewRecorder(), r); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// broken is a connection that ends.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestReadForm(t *testing.T) {
	const urlencoded, multipart = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
	for name, tt := range map[string]struct {
		target, mediaType, body string
		want                    string // of the field a
		err                     error
	}{
		"a form":                      {"/", urlencoded, "a=1&b=2", "1", nil},
		"a form in parts":             {"/", multipart, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n", "1", nil},
		"no form":                     {"/", "text/plain", "a=1", "", nil},
		"a query is not the body":     {"/?a=1", urlencoded, "", "", nil},
		"a damaged field":             {"/", urlencoded, "a=1&b=%zz", "", request.ErrMalformedBody},
		"semicolons":                  {"/", urlencoded, "a=1;b=2", "", request.ErrMalformedBody},
		"parts that are cut off":      {"/", multipart, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1", "", request.ErrMalformedBody},
		"a damaged query":             {"/?a=%zz", urlencoded, "a=1", "", request.ErrMalformedBody},
		"too long":                    {"/", urlencoded, "a=" + strings.Repeat("x", request.MaxBody), "", request.ErrTooLarge},
		"a media type of other rules": {"/", "a/b; =", "a=1", "", request.ErrMalformedBody},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", tt.target, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.mediaType)
			err := request.ReadForm(httptest.NewRecorder(), r)
			if !errors.Is(err, tt.err) || err == nil && r.PostForm.Get("a") != tt.want {
				t.Errorf("%q, %v; want %q, %v", r.PostForm.Get("a"), err, tt.want, tt.err)
			}
		})
	}
}

// No error tells what was sent: it may be a part of a password.
func FuzzReadForm(f *testing.F) {
	f.Add("password=%zzs3cret", "application/x-www-form-urlencoded")
	f.Add("--b\r\nContent-Disposition: form-data; name=\"s3cret", "multipart/form-data; boundary=b")
	f.Fuzz(func(t *testing.T, body, mediaType string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {mediaType}}
		err := request.ReadForm(httptest.NewRecorder(), r)
		if err != nil && err != request.ErrTooLarge && err != request.ErrMalformedBody {
			t.Errorf("%q: %v", body, err)
		}
	})
}
