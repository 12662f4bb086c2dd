package clientapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/authserver/request"
	"authbridge/authserver/token"
)

func TestWebFinger(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const (
		issuer   = `{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": "https://auth.example.com/o2"}`
		resource = `{"error": "Missing or invalid resource"}`
		notOurs  = `{"error": "Not a valid authorization domain"}`
	)
	for query, tt := range map[string]struct {
		status int
		want   string
	}{
		"resource=acct:alice@example.com":   {200, `{"subject": "acct:alice@example.com", "links": [` + issuer + `]}`},
		"resource=acct:nobody@Example.COM":  {200, `{"subject": "acct:nobody@Example.COM", "links": [` + issuer + `]}`},
		"resource=https://sub.example.com/": {200, `{"subject": "https://sub.example.com/", "links": [` + issuer + `]}`},
		"resource=acct:a%40b@example.com":   {200, `{"subject": "acct:a@b@example.com", "links": [` + issuer + `]}`},
		"resource=acct:a@example.com&rel=http%3A%2F%2Fopenid.net%2Fspecs%2Fconnect%2F1.0%2Fissuer":       {200, `{"subject": "acct:a@example.com", "links": [` + issuer + `]}`},
		"resource=acct:a@example.com&rel=x&rel=http%3A%2F%2Fopenid.net%2Fspecs%2Fconnect%2F1.0%2Fissuer": {200, `{"subject": "acct:a@example.com", "links": [` + issuer + `]}`},
		"resource=acct:a@example.com&rel=avatar":                                                         {200, `{"subject": "acct:a@example.com", "links": []}`},
		"":                                                                                               {400, resource},
		"resource=":                                                                                      {400, resource},
		"resource=alice@example.com":                                                                     {400, resource},
		"resource=acct:example.com":                                                                      {400, resource},
		"resource=acct:@example.com":                                                                     {400, resource},
		"resource=mailto:alice@example.com":                                                              {400, resource},
		"resource=acct:alice@example.net":                                                                {400, notOurs},
		"resource=acct:alice@example.org":                                                                {400, notOurs}, // no key
		"resource=acct:alice@example.com%2Fx":                                                            {400, notOurs},
	} {
		got := h.do(newRequest("GET", "/.well-known/webfinger?"+query, "", ""))
		got.want(t, tt.status, tt.want)
		if got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: no CORS header", query)
		}
		if ct := got.header.Get("Content-Type"); (ct == "application/jrd+json") != (got.status == 200) {
			t.Errorf("%s: Content-Type: %s", query, ct)
		}
	}

	h.arrange(t, `insert into auth.domains (name, jwt_subdomains) values ('other.test', true)`)
	h.arrange(t, `insert into auth.keys (domain_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by, activated_at)
		select d.id, k.purpose, k.algorithm, k.state, k.kid, k.public_key, k.sealed_key, k.sealed_by, now()
		  from auth.keys k, auth.domains d where d.name = 'other.test'`)
	other := newAPIOn(t, h)
	other.do(newRequest("GET", "/.well-known/webfinger?resource=acct:a@other.test", "", "")).
		want(t, 400, `{"error": "Resource does not match this authorization domain"}`)
	h.api.Issuer = "https://login.example.com/oidc"
	h.do(newRequest("GET", "/.well-known/webfinger?resource=acct:a@example.com", "", "")).
		want(t, 200, `{"subject": "acct:a@example.com", "links": [{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": "https://login.example.com/oidc"}]}`)
}

// newAPIOn is the same house with the keys that are there by now.
func newAPIOn(t *testing.T, h *house) *house {
	t.Helper()
	keys, err := token.OpenKeys(t.Context(), h.db.Pool, func(_ string, sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil })
	if err != nil {
		t.Fatal(err)
	}
	api := &API{DB: h.api.DB, Keys: keys, Verifier: h.api.Verifier}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/webfinger", api.Handle(api.WebFinger))
	return &house{db: h.db, api: api, mux: mux}
}

func TestValidateAgentToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const invalid = `{"valid": false}`
	const target = "/email-agent-auth-tokens/validate"
	asJSON := func(body string) *http.Request { return newRequest("POST", target, "application/json", body) }
	for name, tt := range map[string]struct {
		r      *http.Request
		status int
		want   string
	}{
		"unknown":            {postJSON(target, fields{"token": strings.Repeat("0", 32)}), 401, invalid},
		"not of the form":    {postJSON(target, fields{"token": "x\x00"}), 401, invalid},
		"empty":              {postJSON(target, fields{"token": ""}), 401, invalid},
		"blank":              {postJSON(target, fields{"token": " \n"}), 401, invalid},
		"missing":            {asJSON("{}"), 401, invalid},
		"missing in a form":  {postForm(target, url.Values{}), 401, invalid},
		"no body":            {newRequest("POST", target, "", ""), 401, invalid},
		"in the URL":         {newRequest("POST", target+"?token=x", "", ""), 401, invalid},
		"bad JSON":           {asJSON(`{"token": `), 400, `{"error": "Invalid JSON"}`},
		"a number":           {asJSON(`{"token": 7}`), 400, `{"error": "Missing or invalid parameters"}`},
		"an array":           {asJSON(`["x"]`), 400, `{"error": "Missing or invalid parameters"}`},
		"an array of tokens": {asJSON(`{"token": ["x"]}`), 400, `{"error": "Missing or invalid parameters"}`},
		"too long":           {asJSON(`{"token": "` + strings.Repeat("0", request.MaxBody) + `"}`), 413, `{"error": "Request body too large"}`},
	} {
		t.Run(name, func(t *testing.T) {
			h.do(tt.r).want(t, tt.status, tt.want)
		})
	}
}

// Of many who show one token at once, one hears that it was good.
func TestAgentTokenOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.addAgentToken(t)
	const target = "/email-agent-auth-tokens/validate"
	answers := make([]answer, 10)
	var wg sync.WaitGroup
	for i := range answers {
		r := postJSON(target, fields{"token": " " + strings.ToUpper(text) + "\n"})
		if i%2 == 0 {
			r = postForm(target, url.Values{"token": {text}})
		}
		wg.Go(func() { answers[i] = h.do(r) })
	}
	wg.Wait()

	good := 0
	for _, got := range answers {
		if got.status == 401 {
			got.want(t, 401, `{"valid": false}`)
			continue
		}
		good++
		var v validToken
		if err := json.Unmarshal([]byte(got.body), &v); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if age := time.Since(v.UsedAt); age < -time.Minute || age > time.Minute {
			t.Errorf("used_at %v", v.UsedAt)
		}
		if len(v.Creator.UUID) != 36 {
			t.Errorf("uuid %q", v.Creator.UUID)
		}
		used, _ := json.Marshal(v.UsedAt) // a time
		got.want(t, 200, `{"valid": true, "burned": true, "creator": {"identifier": "alice", "uuid": "`+v.Creator.UUID+
			`", "primary_email": "alice@example.com"}, "token_hint": "`+text[:12]+`", "used_at": `+string(used)+`}`)
	}
	if good != 1 {
		t.Errorf("%d were told that it is good, want 1", good)
	}
}

// The token of somebody who is no longer active is not good; that of somebody
// without mailbox has no address.
func TestAgentTokenCreator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.addAgentToken(t)
	h.arrange(t, `update auth.users set active = false, delivery_mailbox_id = null where identifier = 'alice'`)
	r := func() *http.Request { return postJSON("/email-agent-auth-tokens/validate", fields{"token": text}) }
	h.do(r()).want(t, 401, `{"valid": false}`)
	h.arrange(t, `update auth.users set active = true where identifier = 'alice'`)
	if got := h.do(r()); got.status != 200 || !strings.Contains(got.body, `"primary_email":null`) {
		t.Errorf("%s", got)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const parameters = `{"error": "Missing or invalid parameters"}`
	body := func(more fields) fields {
		b := fields{"username": "alice@example.com", "password": password, "service": "imap", "remote_ip": "198.51.100.9"}
		for name, value := range more {
			if b[name] = value; value == nil {
				delete(b, name)
			}
		}
		return b
	}
	alice := func(credential string) string {
		return `{"user": "alice@example.com", "identifier": "alice", "credential": "` + credential +
			`", "permissions": ["imap", "smtp"], "groups": ["mail", "staff,admins"]}`
	}
	for name, tt := range map[string]struct {
		more   fields
		status int
		want   string
	}{
		"password":                {nil, 200, alice("password")},
		"service user":            {fields{"username": "svc-alice"}, 200, alice("service")},
		"app password":            {fields{"password": h.app.Text()}, 200, alice("app:" + h.app.ID())},
		"for another service":     {fields{"password": h.app.Text(), "service": "smtp"}, 401, `{"error": "denied"}`},
		"from another network":    {fields{"password": h.app.Text(), "remote_ip": "192.0.2.1"}, 401, `{"error": "denied"}`},
		"from nobody knows where": {fields{"password": h.app.Text(), "remote_ip": ""}, 401, `{"error": "denied"}`},
		"password from there":     {fields{"remote_ip": ""}, 200, alice("password")},
		"no address":              {fields{"remote_ip": nil}, 400, parameters},
		"a number of an address":  {fields{"remote_ip": 7}, 400, parameters},
		"scopes":                  {fields{"scopes": []string{"smtp", "imap"}}, 200, alice("password")},
		"a scope too many":        {fields{"scopes": []string{"smtp", "webdav"}}, 403, `{"error": "forbidden"}`},
		"empty password":          {fields{"password": ""}, 401, `{"error": "denied"}`},
		"wrong password":          {fields{"password": "x"}, 401, `{"error": "denied"}`},
		"no password":             {fields{"password": nil}, 400, parameters},
		"no user name":            {fields{"username": nil}, 400, parameters},
		"no service":              {fields{"service": nil}, 400, parameters},
		"not an address":          {fields{"remote_ip": "x"}, 400, parameters},
		"scopes of a wrong type":  {fields{"scopes": 7}, 400, parameters},
	} {
		t.Run(name, func(t *testing.T) {
			h.do(withBearer(postJSON("/verify", body(tt.more)), h.secret)).want(t, tt.status, tt.want)
		})
	}
	h.do(withCertificate(postJSON("/verify", body(nil)))).want(t, 200, alice("password"))
	h.do(withBearer(newRequest("POST", "/verify", "", "{"), h.secret)).want(t, 400, `{"error": "Invalid JSON"}`)

	// Dovecot's login of somebody with the right password must not be what a
	// stranger is told.
	for _, r := range []*http.Request{
		postJSON("/verify", body(nil)),
		withBasic(postJSON("/verify", body(nil)), "alice@example.com", password),
	} {
		got := h.do(r)
		got.want(t, 401, `{"error": "This endpoint is for API clients"}`)
		if c := got.header.Get("WWW-Authenticate"); c != `Bearer realm="authserver"` {
			t.Errorf("challenge %q", c)
		}
	}
	h.do(withBearer(postJSON("/verify", body(nil)), h.secret[1:])).want(t, 401, `{"error": "Not the secret of an API client"}`)
}

func TestForwardAuth(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ask := func(query string) *http.Request {
		return withBasic(newRequest("GET", "/forward-auth"+query, "", ""), "alice+x@example.com", password)
	}
	for _, query := range []string{"", "?permission=imap&permission=smtp", "?service=webdav&realm=x"} {
		got := h.do(ask(query))
		if got.status != 200 || got.body != "" {
			t.Errorf("%s: %s", query, got)
		}
		for name, want := range map[string]string{
			"Remote-User":   "alice@example.com",
			"Remote-Email":  "alice@example.com",
			"Remote-Name":   "Alice Ä. Example",
			"Remote-Groups": "mail", // and not staff, nor admins: that group is called "staff,admins"
		} {
			if v := got.header.Values(name); len(v) != 1 || v[0] != want {
				t.Errorf("%s: %s: %q, want %q", query, name, v, want)
			}
		}
	}

	for query, tt := range map[string]struct {
		status int
		want   string
	}{
		"?permission=webdav":                 {403, "forbidden"},
		"?permission=imap&permission=webdav": {403, "forbidden"},
		"?permission=":                       {403, "forbidden"},
		"?permission=imap,smtp":              {403, "forbidden"},
		"?permission=%zz":                    {400, "Missing or invalid parameters"},
		"?permission=imap;webdav":            {400, "Missing or invalid parameters"},
		"?permissions=webdav":                {400, "Unknown parameter (can be permission, service or realm)"},
		"?Permission=webdav":                 {400, "Unknown parameter (can be permission, service or realm)"},
		"?service=http&service=webdav":       {400, "Missing or invalid parameters"},
		"?service=":                          {400, "Invalid service (without a client certificate, can be http, webdav, caldav, carddav, git)"},
		"?service=imap":                      {400, "Invalid service (without a client certificate, can be http, webdav, caldav, carddav, git)"},
		"?realm=%0d%0aSet-Cookie:x":          {400, "Invalid realm (want printable ASCII)"},
		"?realm=%C3%A4":                      {400, "Invalid realm (want printable ASCII)"},
	} {
		got := h.do(ask(query))
		got.want(t, tt.status, `{"error": "`+tt.want+`"}`)
		if got.header.Get("Remote-User") != "" {
			t.Errorf("%s: %s", query, got)
		}
	}
	if got := h.do(withCertificate(ask("?service=nextcloud"))); got.status != 200 {
		t.Errorf("a service of one's own, with a client certificate: %s", got)
	}
}

// Whatever is wrong with credentials, a browser is asked for others.
func TestForwardAuthChallenge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, authorization := range []string{
		"", "Basic", "Basic ***", "Basic YWxpY2U=", basic("alice", ""), basic("", ""), basic("alice", "wrong"),
		basic("carol", password), "Bearer " + h.secret, "Digest x",
	} {
		r := newRequest("GET", "/forward-auth?realm="+url.QueryEscape(`the "wiki\"`), "", "")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		got := h.do(r)
		got.want(t, 401, `{"error": "denied"}`)
		if c := got.header.Get("WWW-Authenticate"); c != `Basic realm="the \"wiki\\\"", charset="UTF-8"` {
			t.Errorf("%s: challenge %s", authorization, c)
		}
	}
}

// A query is read as a whole or not at all.
func FuzzParseGate(f *testing.F) {
	f.Add("permission=imap&permission=&service=http&realm=x")
	f.Add("permission=%zz;x")
	f.Add("realm=%22%5c")
	f.Fuzz(func(t *testing.T, query string) {
		r := newRequest("GET", "/forward-auth", "", "")
		r.URL.RawQuery = query
		g, err := parseGate(r)
		if err != nil {
			return
		}
		asked := 0
		for part := range strings.SplitSeq(query, "&") {
			if name, _, _ := strings.Cut(part, "="); part != "" {
				if name, err := url.QueryUnescape(name); err != nil || name == "permission" {
					asked++
				}
			}
		}
		if len(g.permissions) != asked {
			t.Errorf("%q: %q", query, g.permissions)
		}
		if strings.ContainsAny(g.denied(nil).(*Error).Challenge, "\r\n\x00") {
			t.Errorf("%q: realm %q", query, g.realm)
		}
	})
}

func FuzzHostname(f *testing.F) {
	for _, host := range []string{"example.com", "example.com:443", "[::1]:443", "a@b", "a/b", "a%41", "example.com."} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if name := hostname(host); strings.ContainsAny(name, "@/?# ") || !strings.Contains(host, name) {
			t.Errorf("%q: %q", host, name)
		}
	})
}

// failures returns how many wrong passwords are counted for alice from one
// address and service.
func (h *house) failures(t *testing.T, service, network string) float64 {
	t.Helper()
	var failures float64
	err := h.db.Owner.QueryRow(t.Context(), `select coalesce(sum(t.failures), 0) from auth.login_throttles t
		where t.service = $1 and t.network = $2::cidr`, service, network).Scan(&failures)
	if err != nil {
		t.Fatal(err)
	}
	return failures
}

func TestDovecotPolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const yes, no = `{"status": 0, "msg": ""}`, `{"status": -1, "msg": "Too many wrong passwords, try again later"}`
	ask := func(command string, more fields) answer {
		// As Dovecot 2.4 sends it; before, tls is true or false, and there is no
		// fail_type.
		b := fields{
			"login": "alice@example.com", "remote": "198.51.100.9", "pwhash": "01a", "protocol": "imap",
			"device_id": "", "session_id": "x", "tls": "TLSv1.3", "fail_type": "",
		}
		for name, value := range more {
			b[name] = value
		}
		return h.do(withBearer(postJSON("/dovecot/auth-policy?command="+command, b), h.secret))
	}
	wrong := func(pwhash string) fields {
		return fields{"success": false, "policy_reject": false, "fail_type": "credentials", "pwhash": pwhash}
	}

	ask("allow", nil).want(t, 200, yes)

	// The same wrong password counts once.
	for range 30 {
		ask("report", wrong("7ff")).want(t, 200, yes)
	}
	if n := h.failures(t, "imap", "198.51.100.9"); n < 0.9 || n > 1 {
		t.Errorf("%v wrong passwords, want 1", n)
	}
	// What says nothing about a password does not.
	for _, more := range []fields{
		{"policy_reject": true}, {"fail_type": "policy"}, {"fail_type": "internal"},
	} {
		b := wrong("other")
		for name, value := range more {
			b[name] = value
		}
		ask("report", b).want(t, 200, yes)
	}
	if n := h.failures(t, "imap", "198.51.100.9"); n > 1 {
		t.Errorf("%v wrong passwords, want 1", n)
	}

	for i := range 15 {
		ask("report", wrong(strings.Repeat("f", i+1))).want(t, 200, yes)
	}
	ask("allow", nil).want(t, 200, no)
	// Nobody else, nor the owner elsewhere, nor another service is.
	ask("allow", fields{"remote": "203.0.113.5"}).want(t, 200, yes)
	ask("allow", fields{"login": "svc-alice"}).want(t, 200, yes)
	ask("allow", fields{"protocol": "smtp"}).want(t, 200, yes)

	// A right password forgives, and notes what it was.
	right := fields{"success": true, "policy_reject": false, "attrs": fields{"cred": "app:" + h.app.ID()}}
	ask("report", right).want(t, 200, yes)
	ask("allow", nil).want(t, 200, yes)
	var service, from string
	err := h.db.Owner.QueryRow(t.Context(), `select ap.last_used_service, host(ap.last_used_from) from auth.app_passwords ap`).Scan(&service, &from)
	if err != nil || service != "imap" || from != "198.51.100.9" {
		t.Errorf("last use %s from %s, %v", service, from, err)
	}

	// Clients without an address or a name.
	ask("allow", fields{"remote": ""}).want(t, 200, yes)
	ask("allow", fields{"login": ""}).want(t, 200, yes)
	b := wrong("x")
	b["login"], b["remote"], b["protocol"] = "", "", ""
	ask("report", b).want(t, 200, yes)
	b["login"] = "bob@example.com"
	ask("report", b).want(t, 200, yes)
	if n := h.failures(t, "dovecot", "0.0.0.0/0"); n < 0.9 || n > 1 {
		t.Errorf("%v wrong passwords without address and service, want 1", n)
	}

	for name, got := range map[string]answer{
		"command":       ask("reset", nil),
		"no command":    ask("", nil),
		"no result":     ask("report", nil),
		"result":        ask("report", fields{"success": "true"}),
		"address":       ask("allow", fields{"remote": "x"}),
		"login":         ask("allow", fields{"login": 7}),
		"no login":      ask("allow", fields{"login": nil}),
		"attributes":    ask("allow", fields{"attrs": "x"}),
		"long protocol": ask("allow", fields{"protocol": strings.Repeat("x", 65)}),
	} {
		if got.status != 400 || !strings.Contains(got.body, `"error"`) {
			t.Errorf("bad %s: %s", name, got)
		}
	}
	stranger := h.do(postJSON("/dovecot/auth-policy?command=allow", fields{"login": "alice@example.com"}))
	stranger.want(t, 401, `{"error": "This endpoint is for API clients"}`)
}

// Whatever Dovecot sends, it gets an answer that it understands, or is told what
// is wrong.
func FuzzDovecotPolicy(f *testing.F) {
	h := newHouse(f)
	f.Add("allow", `{"login":"alice@example.com","pwhash":"12","remote":"192.0.2.7","protocol":"imap","tls":false}`)
	f.Add("report", `{"attrs":{"cred":"app:k3f9x2"},"login":"alice","pwhash":"12","remote":"::1","success":false,"policy_reject":false,"tls":"x"}`)
	f.Add("report", `{"login":"\u0000","success":true,"attrs":{"cred":"\u0000"}}`)
	f.Add("report", `{"login":"\ud800","protocol":"\ud800","success":false}`)
	f.Fuzz(func(t *testing.T, command, body string) {
		got := h.do(withBearer(newRequest("POST", "/dovecot/auth-policy?command="+url.QueryEscape(command), "application/json", body), h.secret))
		var answer struct {
			Status *int    `json:"status"`
			Msg    *string `json:"msg"`
			Error  string  `json:"error"`
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
			t.Fatalf("%q: %v: %s", body, err, got)
		}
		understood := got.status == 200 && answer.Status != nil && answer.Msg != nil && (*answer.Status == 0 || *answer.Status == -1)
		if !understood && (got.status != 400 && got.status != 413 || answer.Error == "") {
			t.Errorf("%q, %q: %s", command, body, got)
		}
	})
}
