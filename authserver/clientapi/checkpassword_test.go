package clientapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/request"

	"github.com/golang-jwt/jwt/v5"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// readJWT returns the claims of an answer that is a JWT signed by example.com.
func (h *house) readJWT(t *testing.T, got answer) jwt.MapClaims {
	t.Helper()
	if got.status != 200 || got.header.Get("Content-Type") != "application/jwt" || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("no JWT: %s", got)
	}
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(got.body, claims, func(*jwt.Token) (any, error) { return h.key, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("example.com"), jwt.WithAudience("net.maurus.authclient"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	if parsed.Header["typ"] != "JWT" || parsed.Header["kid"] == "" {
		t.Errorf("header %v", parsed.Header)
	}
	return claims
}

// The nine claims that the interface has always had, and those that are new,
// however the question is sent.
func TestCheckPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var multi bytes.Buffer
	parts := multipart.NewWriter(&multi)
	for name, value := range map[string]string{"username": "Alice+x@Example.com", "password": password, "scopes": "imap, smtp"} {
		if err := parts.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	parts.Close() // into memory

	lowerBasic := newRequest("POST", "/checkpassword", "application/json", "not looked at")
	lowerBasic.Header.Set("Authorization", strings.Replace(basic("Alice+x@Example.com", password), "Basic", "bAsIc", 1))
	lowerBasic.Header.Set("X-Auth-Scopes", "imap, smtp")

	for name, r := range map[string]*http.Request{
		"JSON": postJSON("/checkpassword", fields{"username": "Alice+x@Example.com", "password": password, "scopes": []string{"imap", "smtp"}, "extra": fields{}}),
		"JSON with a charset": newRequest("POST", "/checkpassword", "Application/JSON; charset=utf-8",
			`{"username": "Alice+x@Example.com", "password": "`+password+`", "scopes": "imap,smtp"}`),
		"form":      postForm("/checkpassword", url.Values{"username": {"Alice+x@Example.com"}, "password": {password}, "scopes": {"imap", "smtp"}}),
		"multipart": newRequest("POST", "/checkpassword", parts.FormDataContentType(), multi.String()),
		"Basic":     lowerBasic,
	} {
		t.Run(name, func(t *testing.T) {
			claims := h.readJWT(t, h.do(r))
			now := time.Now().Unix()
			for name, within := range map[string]int64{"nbf": now - 5, "exp": now + 3600, "iat": now} {
				got, ok := claims[name].(float64)
				if !ok || int64(got) > within || int64(got) < within-10 {
					t.Errorf("%s = %v, want about %d", name, claims[name], within)
				}
				delete(claims, name)
			}
			if id, _ := claims["jti"].(string); len(id) < 22 {
				t.Errorf("jti = %v", claims["jti"])
			}
			delete(claims, "jti")
			want := jwt.MapClaims{
				"sub": "Alice+x@Example.com", "canonical_username": "alice@example.com",
				"authenticated": true, "authorized": true, "scopes": []any{"imap", "smtp"},
				"iss": "example.com", "aud": "net.maurus.authclient",
				"client_ip": "192.0.2.1", "cred": "primary", "amr": []any{"pwd"},
			}
			if !reflect.DeepEqual(claims, want) {
				t.Errorf("claims\n%v\nwant\n%v", claims, want)
			}
		})
	}
}

// aud is a string: some verifiers take nothing else.
func TestAudienceIsAString(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(claims{Audience: audience, Scopes: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"aud":"net.maurus.authclient"`, `"scopes":[]`, `"authenticated":false`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %s", text, want)
		}
	}
}

func TestCredentialClaim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.arrange(t, `update auth.app_passwords set services = null, networks = null`)
	for want, r := range map[string]*http.Request{
		"primary":           withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password),
		"service":           withBasic(newRequest("POST", "/checkpassword", "", ""), "svc-alice", password),
		"app:" + h.app.ID(): withBasic(newRequest("POST", "/checkpassword", "", ""), "alice@example.com", h.app.Text()),
	} {
		claims := h.readJWT(t, h.do(r))
		if claims["cred"] != want || claims["canonical_username"] != "alice@example.com" || !reflect.DeepEqual(claims["amr"], []any{"pwd"}) {
			t.Errorf("%v, want cred %s", claims, want)
		}
	}
}

func TestNonce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, tt := range map[string]struct {
		nonce any
		ok    bool
	}{
		"usual":    {"n-0S6_WzA2Mj", true},
		"longest":  {strings.Repeat("n", 255), true},
		"too long": {strings.Repeat("n", 256), false},
		"a number": {7, false},
		"a NUL":    {"a\x00b", false},
	} {
		got := h.do(postJSON("/checkpassword", fields{"username": "alice", "password": password, "nonce": tt.nonce}))
		if !tt.ok {
			got.want(t, 400, `{"error": "Missing or invalid parameters"}`)
			continue
		}
		if claims := h.readJWT(t, got); claims["nonce"] != tt.nonce {
			t.Errorf("%s: nonce %v, want %v", name, claims["nonce"], tt.nonce)
		}
	}
	byForm := h.do(postForm("/checkpassword", url.Values{"username": {"alice"}, "password": {password}, "nonce": {"n"}}))
	if claims := h.readJWT(t, byForm); claims["nonce"] != "n" {
		t.Errorf("by form: %v", claims)
	}
}

func TestCheckPasswordBadInput(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const parameters, badJSON, malformed = "Missing or invalid parameters", "Invalid JSON", "Malformed Basic credentials"
	authorized := func(header string) *http.Request {
		r := newRequest("POST", "/checkpassword", "", "")
		r.Header.Set("Authorization", header)
		return r
	}
	asJSON := func(body string) *http.Request { return newRequest("POST", "/checkpassword", "application/json", body) }
	asForm := func(body string) *http.Request {
		return newRequest("POST", "/checkpassword", "application/x-www-form-urlencoded", body)
	}
	right := `"username": "alice", "password": "` + password + `"`
	twoHeaders := authorized(basic("alice", password))
	twoHeaders.Header.Add("Authorization", basic("alice", password))

	for name, tt := range map[string]struct {
		r      *http.Request
		status int
		want   string
	}{
		"no body":                   {newRequest("POST", "/checkpassword", "", ""), 400, parameters},
		"a body of unknown kind":    {newRequest("POST", "/checkpassword", "", "{"+right+"}"), 400, parameters},
		"a damaged media type":      {newRequest("POST", "/checkpassword", ";;", "{"+right+"}"), 400, parameters},
		"empty JSON":                {asJSON(""), 400, badJSON},
		"cut JSON":                  {asJSON("{" + right), 400, badJSON},
		"two JSON values":           {asJSON("{" + right + "} {}"), 400, badJSON},
		"JSON that is not UTF-8":    {asJSON("{" + right + ", \"x\": \"\xff\"}"), 400, badJSON},
		"a JSON array":              {asJSON("[{" + right + "}]"), 400, parameters},
		"a JSON string":             {asJSON(`"alice"`), 400, parameters},
		"JSON null":                 {asJSON(`null`), 400, parameters},
		"no user name":              {asJSON(`{"password": "x"}`), 400, parameters},
		"user name is null":         {asJSON(`{"username": null, "password": "x"}`), 400, parameters},
		"user name is a number":     {asJSON(`{"username": 7, "password": "x"}`), 400, parameters},
		"password is a list":        {asJSON(`{"username": "alice", "password": ["x"]}`), 400, parameters},
		"password is true":          {asJSON(`{"username": "alice", "password": true}`), 400, parameters},
		"scopes are an object":      {asJSON("{" + right + `, "scopes": {"imap": true}}`), 400, parameters},
		"scopes are a number":       {asJSON("{" + right + `, "scopes": 7}`), 400, parameters},
		"a scope is a number":       {asJSON("{" + right + `, "scopes": ["imap", 7]}`), 400, parameters},
		"service is a number":       {asJSON("{" + right + `, "service": 7}`), 400, parameters},
		"form without password":     {asForm("username=alice"), 400, parameters},
		"form without user name":    {asForm("password=x"), 400, parameters},
		"form with a damaged field": {asForm("username=alice&password=%zz"), 400, parameters},
		"form with a damaged scope": {asForm("username=alice&password=" + url.QueryEscape(password) + "&scopes=%zz"), 400, parameters},
		"form with semicolons":      {asForm("username=alice&password=" + url.QueryEscape(password) + "&scopes=imap;webdav"), 400, parameters},
		"parameters in the URL":     {newRequest("POST", "/checkpassword?username=alice&password=x", "application/x-www-form-urlencoded", ""), 400, parameters},
		"a cut multipart form":      {newRequest("POST", "/checkpassword", "multipart/form-data; boundary=b", "--b\r\n"), 400, parameters},
		"Basic without credentials": {authorized("Basic"), 400, malformed},
		"Basic that is not base64":  {authorized("Basic ***"), 400, malformed},
		"Basic without colon":       {authorized("Basic " + base64.StdEncoding.EncodeToString([]byte("alice"))), 400, malformed},
		"Basic in base64url":        {authorized("Basic " + base64.URLEncoding.EncodeToString([]byte("alice:???>>>"))), 400, malformed},
		"two Authorization headers": {twoHeaders, 400, "More than one Authorization header"},
		"a secret of nobody":        {authorized("Bearer " + account.APIClientSecret.New().Text()), 401, "Not the secret of an API client"},
		"a bearer token of others":  {authorized("bearer eyJhbGciOiJub25lIn0."), 401, "Not the secret of an API client"},
		"long JSON":                 {asJSON("{" + right + `, "x": "` + strings.Repeat("x", request.MaxBody) + `"}`), 413, "Request body too large"},
		"a long form":               {asForm("username=alice&password=" + strings.Repeat("x", request.MaxBody)), 413, "Request body too large"},
		"deep JSON":                 {asJSON(strings.Repeat("[", 20000)), 400, badJSON},
	} {
		t.Run(name, func(t *testing.T) {
			h.do(tt.r).want(t, tt.status, `{"error": "`+tt.want+`"}`)
		})
	}
}

func TestAuthorizationDomain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const notOurs = `{"error": "Not a valid authorization domain"}`
	for host, want := range map[string]string{
		"example.com":                   "",
		"example.com:8443":              "",
		"AUTH.Example.COM":              "",
		"auth.example.com.":             "",
		"a.b.example.com":               "",
		"example.org":                   `{"error": "Domain is not JWT enabled"}`,
		"auth.example.org":              notOurs, // no subdomains
		"example.net":                   notOurs,
		"evilexample.com":               notOurs,
		"com":                           notOurs,
		"":                              notOurs,
		"192.0.2.1":                     notOurs,
		"[2001:db8::1]:443":             notOurs,
		"example.com@example.net":       notOurs,
		"example.net@example.com":       notOurs,
		"example.com/example.net":       notOurs,
		"example.com:80:90":             notOurs,
		"example.com:x":                 notOurs,
		"example.com?x":                 notOurs,
		"example.com,example.net":       notOurs,
		"example.com example.net":       notOurs,
		"example%2ecom":                 notOurs,
		strings.Repeat("a.", 5000) + "": notOurs,
	} {
		r := withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password)
		r.Host = host
		if got := h.do(r); want == "" {
			h.readJWT(t, got)
		} else {
			got.want(t, 400, want)
		}
	}
}

// A user who lacks a scope is refused, and hears nothing but what was asked.
func TestScopes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	headers := func(values ...string) *http.Request {
		r := withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password)
		r.Header["X-Auth-Scopes"] = values
		return r
	}
	asJSON := func(scopes any) *http.Request {
		return postJSON("/checkpassword", fields{"username": "alice", "password": password, "scopes": scopes})
	}
	for name, tt := range map[string]struct {
		r         *http.Request
		requested string // empty: all are held
	}{
		"none":                    {asJSON(nil), ""},
		"an empty list":           {asJSON([]string{}), ""},
		"a direct one":            {asJSON([]string{"imap"}), ""},
		"one of a group":          {asJSON([]string{"smtp"}), ""},
		"both":                    {asJSON("smtp,imap"), ""},
		"one that she lacks":      {asJSON([]string{"webdav"}), `["webdav"]`},
		"one of two":              {asJSON([]string{"imap", "webdav"}), `["imap", "webdav"]`},
		"one that nobody has":     {asJSON("imap,nothing"), `["imap", "nothing"]`},
		"another case":            {asJSON([]string{"IMAP"}), `["IMAP"]`},
		"an empty one in a list":  {asJSON([]string{""}), `[""]`},
		"null in a list":          {asJSON([]any{nil}), `[""]`},
		"a list in a list's item": {asJSON([]string{"imap,smtp"}), `["imap,smtp"]`},
		"quotes and markup":       {asJSON([]string{`"]</script>`}), `["\"]</script>"]`},
		"by header":               {headers("imap, smtp"), ""},
		"by an empty header":      {headers(" , "), ""},
		"lacking by header":       {headers("imap ,webdav"), `["imap", "webdav"]`},
		"by a second header":      {headers("imap", "webdav"), `["imap", "webdav"]`},
		"by a second field": {
			postForm("/checkpassword", url.Values{"username": {"alice"}, "password": {password}, "scopes": {"imap", "webdav"}}),
			`["imap", "webdav"]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.do(tt.r); tt.requested == "" {
				h.readJWT(t, got)
			} else {
				got.want(t, 403, `{"authenticated": true, "authorized": false, "requested": `+tt.requested+`}`)
			}
		})
	}
}

// A server in front that looks at the status alone must not take an empty
// password for a right one. That holds for every name and every caller, and
// where anybody may look others up.
func TestEmptyBasicPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, h.api.AnonymousLookup = range []bool{false, true} {
		for _, name := range append([]string{"alice@example.com", "alice", "svc-alice"}, names...) {
			r := withBasic(newRequest("POST", "/checkpassword", "application/json", `{"username": "alice@example.com"}`), name, "")
			h.do(r).want(t, 401, denied)
			h.do(withCertificate(r)).want(t, 401, denied)
		}
	}
}

// Whoever is not known to us cannot ask who somebody is; and a lookup never
// says that anybody has logged in.
func TestLookup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	absent := func(name string) *http.Request { return postJSON("/checkpassword", fields{"username": name}) }
	empty := func(name string) *http.Request {
		return postJSON("/checkpassword", fields{"username": name, "password": ""})
	}
	byForm := func(name string) *http.Request {
		return postForm("/checkpassword", url.Values{"username": {name}, "password": {""}})
	}
	isLookup := func(got answer) {
		t.Helper()
		claims := h.readJWT(t, got)
		if claims["authenticated"] != false || claims["authorized"] != true || claims["cred"] != nil || claims["amr"] != nil ||
			claims["canonical_username"] != "alice@example.com" {
			t.Errorf("claims %v", claims)
		}
	}

	h.do(absent("alice@example.com")).want(t, 401, denied)
	isLookup(h.do(withBearer(absent("alice@example.com"), h.secret)))
	isLookup(h.do(withCertificate(absent("svc-alice"))))
	for _, name := range names {
		h.do(withBearer(absent(name), h.secret)).want(t, 401, denied)
	}
	// A password that somebody left empty is a wrong one, whoever passes it on.
	for _, ask := range []func(string) *http.Request{empty, byForm} {
		h.do(ask("alice@example.com")).want(t, 401, denied)
		h.do(withBearer(ask("alice@example.com"), h.secret)).want(t, 401, denied)
		h.do(withCertificate(ask("svc-alice"))).want(t, 401, denied)
	}
	h.do(withBearer(postJSON("/checkpassword", fields{"username": "alice", "scopes": []string{"webdav"}}), h.secret)).
		want(t, 403, `{"authenticated": false, "authorized": false, "requested": ["webdav"]}`)

	// A certificate that the listener has not verified proves nothing.
	shown := absent("alice@example.com")
	shown.TLS.PeerCertificates = withCertificate(absent("")).TLS.VerifiedChains[0]
	h.do(shown).want(t, 401, denied)

	// Nor does the secret from another network than the client's, or of a
	// client that is gone.
	elsewhere := withBearer(absent("alice@example.com"), h.secret)
	elsewhere.RemoteAddr = "203.0.113.7:1234"
	h.do(elsewhere).want(t, 401, `{"error": "Not the secret of an API client"}`)
	nowhere := withBearer(absent("alice@example.com"), h.secret)
	nowhere.RemoteAddr = ""
	h.do(nowhere).want(t, 401, `{"error": "Not the secret of an API client"}`)
	h.arrange(t, `delete from auth.api_clients`)
	got := h.do(withBearer(absent("alice@example.com"), h.secret))
	got.want(t, 401, `{"error": "Not the secret of an API client"}`)
	if c := got.header.Get("WWW-Authenticate"); c != `Bearer realm="authserver", error="invalid_token"` {
		t.Errorf("challenge %s", c)
	}
}

// The switch for old clients: JSON only. A form with an empty password is what
// a browser sends.
func TestAnonymousLookup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.api.AnonymousLookup = true
	for _, body := range []fields{
		{"username": "alice@example.com"}, {"username": "alice@example.com", "password": ""}, {"username": "alice@example.com", "password": nil},
	} {
		claims := h.readJWT(t, h.do(postJSON("/checkpassword", body)))
		if claims["authenticated"] != false || claims["canonical_username"] != "alice@example.com" {
			t.Errorf("claims %v", claims)
		}
	}
	for _, name := range names {
		h.do(postJSON("/checkpassword", fields{"username": name})).want(t, 401, denied)
	}
	h.do(postForm("/checkpassword", url.Values{"username": {"alice@example.com"}, "password": {""}})).want(t, 401, denied)
	h.do(postJSON("/checkpassword", fields{"username": "alice@example.com", "password": "wrong"})).want(t, 401, denied)
}

// What a caller says about somebody else's client counts if we know the caller.
// The app password is for imap from 198.51.100.0/24; the requests come from
// 192.0.2.1.
func TestClientFields(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ask := func(more fields) *http.Request {
		body := fields{"username": "alice@example.com", "password": h.app.Text()}
		for name, value := range more {
			body[name] = value
		}
		return postJSON("/checkpassword", body)
	}
	good := fields{"service": "imap", "remote_ip": "198.51.100.9"}

	h.do(ask(nil)).want(t, 401, denied)
	h.do(ask(good)).want(t, 401, denied)
	for name, tt := range map[string]struct {
		more fields
		ip   string // empty: denied
	}{
		"all of it":       {good, "198.51.100.9"},
		"mapped":          {fields{"service": "imap", "remote_ip": "::ffff:198.51.100.9"}, "198.51.100.9"},
		"protocol":        {fields{"protocol": "imap", "remote_ip": "198.51.100.9"}, "198.51.100.9"},
		"service wins":    {fields{"protocol": "imap", "service": "smtp", "remote_ip": "198.51.100.9"}, ""},
		"no service":      {fields{"remote_ip": "198.51.100.9"}, ""},
		"no address":      {fields{"service": "imap"}, ""},
		"another address": {fields{"service": "imap", "remote_ip": "198.51.101.9"}, ""},
		"an IPv6 address": {fields{"service": "imap", "remote_ip": "fe80::1%eth0"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*http.Request{withBearer(ask(tt.more), h.secret), withCertificate(ask(tt.more))} {
				if got := h.do(r); tt.ip == "" {
					got.want(t, 401, denied)
				} else if claims := h.readJWT(t, got); claims["client_ip"] != tt.ip {
					t.Errorf("client_ip %v, want %s", claims["client_ip"], tt.ip)
				}
			}
		})
	}
	for name, more := range map[string]fields{
		"not an address":   {"service": "imap", "remote_ip": "198.51.100.9:25"},
		"a network":        {"service": "imap", "remote_ip": "198.51.100.0/24"},
		"a long service":   {"service": strings.Repeat("x", 65)},
		"a service of NUL": {"service": "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			h.do(withBearer(ask(more), h.secret)).want(t, 400, `{"error": "Missing or invalid parameters"}`)
			h.do(ask(more)).want(t, 401, denied) // not looked at
		})
	}

	// A stranger is counted by its own address, whatever it says.
	claims := h.readJWT(t, h.do(postJSON("/checkpassword", fields{"username": "alice", "password": password, "remote_ip": "198.51.100.9", "service": "imap"})))
	if claims["client_ip"] != "192.0.2.1" {
		t.Errorf("client_ip of a stranger: %v", claims["client_ip"])
	}
}

// Text in Basic credentials is UTF-8, and a password may have colons (password
// has both); other bytes are nobody's password.
func TestBasicText(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.readJWT(t, h.do(withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", password)))
	latin1 := strings.Replace(password, "ä", "\xe4", 1)
	h.do(withBasic(newRequest("POST", "/checkpassword", "", ""), "alice", latin1)).want(t, 401, denied)
	h.do(withBasic(newRequest("POST", "/checkpassword", "", ""), "alic\xe9", password)).want(t, 401, denied)
	h.do(withBasic(newRequest("POST", "/checkpassword", "", ""), "alice\nusers", password)).want(t, 401, denied)
}

// Not one part of a list is overlooked.
func FuzzSplitScopes(f *testing.F) {
	f.Add("imap, smtp", "webdav")
	f.Add(" ,,", "\t")
	f.Fuzz(func(t *testing.T, first, second string) {
		s := splitScopes([]string{first, second})
		for part := range strings.SplitSeq(first+","+second, ",") {
			if part = strings.TrimSpace(part); part != "" && !slices.Contains(s, part) {
				t.Errorf("%q and %q: no %q in %q", first, second, part, s)
			}
		}
	})
}

// No request without a right password is answered by 200, none by our own
// trouble, and every refusal is JSON.
func FuzzCheckPassword(f *testing.F) {
	h := newHouse(f)
	// No input has it.
	secret := account.NewAppPassword()
	hash := secret.SHA256()
	h.arrange(f, `update auth.app_passwords set id = $1, secret_hash = $2`, secret.ID(), hash[:])
	h.arrange(f, `update auth.users set password_hash = null`)
	h.arrange(f, `delete from auth.service_users`)

	f.Add("", "application/json", `{"username": "alice@example.com", "password": "x", "scopes": ["imap"], "nonce": "n", "remote_ip": "::1", "service": "imap"}`, "")
	f.Add("", "application/json", `{"username": "alice@example.com"}`, "")
	f.Add("", "application/x-www-form-urlencoded", "username=alice@example.com&password=&scopes=imap", "")
	f.Add("", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice\r\n--b--\r\n", "")
	f.Add(basic("alice@example.com", ""), "", "", "imap")
	f.Add(basic("alice@example.com", "x"), "", "", ",")
	f.Add("Basic Og==", "", "", "")
	f.Add("Bearer ac_", "application/json", `{"username": "alice@example.com"}`, "")
	f.Fuzz(func(t *testing.T, authorization, mediaType, body, scopes string) {
		r := newRequest("POST", "/checkpassword", mediaType, body)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Auth-Scopes", scopes)
		got := h.do(r)
		if got.status < 400 || got.status >= 500 || !json.Valid([]byte(got.body)) {
			t.Errorf("%q, %q, %q, %q: %s", authorization, mediaType, body, scopes, got)
		}
	})
}

// What a login with an app password costs, from the request to the JWT, with an
// ES256 key.
func BenchmarkCheckPassword(b *testing.B) {
	h := newHouse(b)
	h.arrange(b, `update auth.app_passwords set services = null, networks = null`)
	credentials := basic("alice@example.com", h.app.Text())
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := newRequest("POST", "/checkpassword", "", "")
			r.Header.Set("Authorization", credentials)
			if got := h.do(r); got.status != 200 {
				b.Errorf("%s", got)
			}
		}
	})
}
