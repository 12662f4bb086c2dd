package oauth2

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/client"
)

// From the application to the login page, to consent and back.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := &browser{h: h}
	res := b.authorize(wikiRequest())
	login := res.Header.Get("Location")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(login, "/login?request=rq_") || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s to %q", res.Status, login)
	}
	if got := h.take(); got != "api.authorize api.save_oauth2_request" {
		t.Errorf("calls %s", got)
	}
	form := body(b.get(login))
	res = b.post("/login", url.Values{
		"username": {"alice@example.com"}, "password": {password}, "request": {field(t, form, "request")}, "csrf": {field(t, form, "csrf")},
	})
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "/o2/continue?id=rq_") {
		t.Fatalf("%s to %q", res.Status, res.Header.Get("Location"))
	}

	res = b.get(res.Header.Get("Location"))
	policy := res.Header.Get("Content-Security-Policy")
	asked := page(t, res, http.StatusOK)
	if !strings.Contains(asked, "The wiki") || !strings.Contains(policy, "form-action 'self' https://wiki.example.org;") {
		t.Errorf("with the policy %s: %s", policy, asked)
	}
	got := answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), wikiURI)
	if got.Get("state") != "a state & more" || !strings.HasPrefix(got.Get("code"), "oc_") || len(got) != 3 {
		t.Errorf("answer %v", got)
	}
	issued := h.issued(t, exchange("wiki", got.Get("code"), wikiURI))
	if id := payload(t, issued.IDToken); id["nonce"] != "n-1" || id["sub"] != h.userID(t, "alice") || id["aud"] != "wiki" {
		t.Errorf("ID token %v", id)
	}

	// The next time, nobody is asked for anything; nor for less.
	h.take()
	b.code(t, wikiRequest())
	if got := h.take(); got != "api.authorize" {
		t.Errorf("calls %s", got)
	}
	b.code(t, wikiRequest("scope", "openid"))
	// But for more, again.
	page(t, b.authorize(wikiRequest("scope", "openid profile")), http.StatusOK)
	// What was answered is gone.
	page(t, b.post("/o2/consent", consentForm(t, asked, "allow")), http.StatusBadRequest)
	page(t, b.get("/o2/continue?id="+field(t, asked, "request")), http.StatusBadRequest)

	// Pages on the way are no answers.
	if want := map[string]int{"authorize ok": 3, "authorize invalid_request": 2, "authorization_code ok": 1}; !maps.Equal(h.observed, want) {
		t.Errorf("observed %v, want %v", h.observed, want)
	}
}

func TestConsentDenied(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	asked := page(t, b.authorize(wikiRequest()), http.StatusOK)
	got := answer(t, b.post("/o2/consent", consentForm(t, asked, "deny")), wikiURI)
	if got.Get("error") != "access_denied" || got.Get("state") != "a state & more" || got.Has("code") {
		t.Errorf("answer %v", got)
	}
	if n := value[int](t, h, `select (select count(*) from auth.oauth2_grants) + (select count(*) from auth.oauth2_consents) + (select count(*) from auth.oauth2_requests)`); n != 0 {
		t.Errorf("%d rows stay", n)
	}
	if h.observed["authorize access_denied"] != 1 {
		t.Errorf("observed %v", h.observed)
	}
	asked = page(t, b.authorize(wikiRequest()), http.StatusOK)
	page(t, b.post("/o2/consent", consentForm(t, asked, "perhaps")), http.StatusBadRequest)
	answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), wikiURI) // it was not the answer
}

// A POST from another site comes without our cookie, and comes back by a GET.
func TestAuthorizePOST(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	elsewhere := &browser{h: h}
	res := elsewhere.post("/o2/authorize", trustedRequest())
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "/o2/continue?id=rq_") {
		t.Fatalf("%s to %q", res.Status, res.Header.Get("Location"))
	}
	got := answer(t, b.get(res.Header.Get("Location")), "https://trusted.example.org/cb")
	if got.Get("code") == "" || got.Get("state") != "a state & more" {
		t.Errorf("answer %v", got)
	}
	h.issued(t, exchange("trusted", got.Get("code"), "https://trusted.example.org/cb"))

	// Mistakes are answered at once, with nothing stored.
	got = answer(t, elsewhere.post("/o2/authorize", trustedRequest("scope", "nonsense")), "https://trusted.example.org/cb")
	if got.Get("error") != "invalid_scope" {
		t.Errorf("answer %v", got)
	}
	page(t, elsewhere.post("/o2/authorize", trustedRequest("redirect_uri", "https://attacker.example.org/")), http.StatusBadRequest)
	page(t, elsewhere.post("/o2/authorize?client_id=trusted", trustedRequest("client_id", "")), http.StatusBadRequest)
	r := httptest.NewRequest("POST", "https://auth.example.com/o2/authorize", strings.NewReader(`{"client_id": "trusted"}`))
	r.Header.Set("Content-Type", "application/json")
	page(t, elsewhere.do(r), http.StatusBadRequest)
	if n := value[int](t, h, `select count(*) from auth.oauth2_requests`); n != 0 {
		t.Errorf("%d requests stay", n)
	}
}

func TestFormPost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	for name, p := range map[string]url.Values{
		"code":  trustedRequest("response_mode", "form_post", "ui_locales", "uk"),
		"error": trustedRequest("response_mode", "form_post", "ui_locales", "uk", "scope", "nonsense"),
	} {
		res := b.authorize(p)
		text := body(res)
		policy := res.Header.Get("Content-Security-Policy")
		if res.StatusCode != http.StatusOK || !strings.Contains(policy, "form-action 'self' https://trusted.example.org;") || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "origin" {
			t.Errorf("%s %v", res.Status, res.Header)
		}
		if !strings.Contains(text, `<html lang="uk">`) {
			t.Errorf("%s: in which language?\n%s", name, text)
		}
		if !strings.Contains(text, `action="https://trusted.example.org/cb"`) || field(t, text, "state") != "a state & more" || field(t, text, "iss") != issuer || field(t, text, name) == "" {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// What is wrong with client_id and redirect_uri is for people: nobody is sent
// anywhere by it.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	h.addClient(t, "off", `{"enabled": false, "grant_types": ["authorization_code"], "redirect_uris": ["https://off.example.org/cb"]}`)
	h.reload(t)
	twice := wikiRequest()
	twice.Add("redirect_uri", wikiURI)
	twiceClient := wikiRequest()
	twiceClient.Add("client_id", "wiki")
	requests := map[string]url.Values{
		"no client":                {},
		"client twice":             twiceClient,
		"unknown client":           wikiRequest("client_id", "nobody"),
		"disabled client":          wikiRequest("client_id", "off", "redirect_uri", "https://off.example.org/cb"),
		"NUL in the client":        wikiRequest("client_id", "wiki\x00"),
		"client that is no text":   wikiRequest("client_id", "wiki\xff"),
		"long client":              wikiRequest("client_id", strings.Repeat("w", 200<<10)),
		"no URI":                   wikiRequest("redirect_uri", ""), // an OpenID request needs it
		"no URI, two registered":   trustedRequest("redirect_uri", "", "scope", "email"),
		"URI twice":                twice,
		"URI of another client":    wikiRequest("redirect_uri", "https://trusted.example.org/cb"),
		"long URI":                 wikiRequest("redirect_uri", wikiURI+strings.Repeat("x", 200<<10)),
		"client with no URI":       wikiRequest("client_id", "robot"),
		"client with no URI, none": wikiRequest("client_id", "robot", "redirect_uri", "", "scope", "backup:read"),
	}
	// The tricks of those who want a code sent to them.
	for _, uri := range []string{
		"https://attacker.example.org/callback?from=here",
		"https://wiki.example.org/callback", "https://wiki.example.org/callback?from=here&more=1", "https://wiki.example.org/callback?from=here#", wikiURI + "#fragment",
		"https://wiki.example.org/callback/?from=here", "https://wiki.example.org/callback/../x?from=here", "https://wiki.example.org/./callback?from=here",
		"https://wiki.example.org/%63allback?from=here", "https://wiki.example.org/callback%2f..%2f?from=here", "https://WIKI.example.org/callback?from=here",
		"https://wiki.example.org:443/callback?from=here", "https://wiki.example.org:444/callback?from=here", "http://wiki.example.org/callback?from=here",
		"https://wiki.example.org@attacker.example.org/callback?from=here", "https://attacker@wiki.example.org/callback?from=here",
		"https://wiki.example.org.attacker.example.org/callback?from=here", "https://wiki.example.org./callback?from=here", "https://attacker.example.org\\@wiki.example.org/callback?from=here",
		"//wiki.example.org/callback?from=here", "/callback?from=here", "javascript:alert(1)", "data:text/html,x",
		wikiURI + "\r\nSet-Cookie: x=y", wikiURI + " ", " " + wikiURI, wikiURI + "\x00", "https://wiki.example.org/callback?from=her\u0435",
		"http://127.0.0.1/cb", // for public clients only
	} {
		requests[uri] = wikiRequest("redirect_uri", uri)
	}
	for _, uri := range []string{
		"http://127.0.0.1:1/cb/", "http://127.0.0.1:99999/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:80@attacker.example.org/cb", "http://127.0.0.1.attacker.example.org/cb",
		"http://127.0.0.1:/cb", "http://127.0.0.1:1/cb?x", "http://127.0.0.2:1/cb", "http://localhost:1/cb", "http://[::1]:1/cb", "https://127.0.0.1:1/cb", "http://127.1:1/cb",
		"com.example.app:/cb2", "com.example.APP:/cb", "com.example.app://cb", "http://127.0.0.1:1/cb#x",
	} {
		requests[uri] = wikiRequest("client_id", "app", "redirect_uri", uri)
	}
	for name, p := range requests {
		t.Run(name, func(t *testing.T) {
			text := page(t, b.authorize(p), http.StatusBadRequest)
			if strings.Contains(text, "oc_") || strings.Contains(text, "attacker") {
				t.Errorf("the page has it: %s", text)
			}
		})
	}
	res := b.get("/o2/authorize?client_id=%zz")
	page(t, res, http.StatusBadRequest)
	// Also whoever has not signed in does not hear that the client was there.
	page(t, (&browser{h: h}).authorize(wikiRequest("client_id", "off", "redirect_uri", "https://off.example.org/cb")), http.StatusBadRequest)
	if n := value[int](t, h, `select count(*) from auth.oauth2_grants`); n != 0 {
		t.Errorf("%d grants", n)
	}
}

// Nobody is asked for anything by a client that has left out PKCE, and nothing
// is stored.
func TestLackOfPKCE(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "trusted", `require_pkce = true`)
	p := trustedRequest("code_challenge", "", "code_challenge_method", "")
	for name, b := range map[string]*browser{"alice": h.signIn(t, "alice", time.Minute), "nobody": {h: h}} {
		for _, prompt := range []string{"", "none", "login", "consent"} {
			if got := answer(t, b.authorize(with(p, "prompt", prompt)), trustedURI); got.Get("error") != "invalid_request" || got.Get("state") == "" {
				t.Errorf("%s with prompt=%s: %v", name, prompt, got)
			}
		}
	}
	if n := value[int](t, h, `select (select count(*) from auth.oauth2_grants) + (select count(*) from auth.oauth2_requests)`); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	for _, uri := range []string{"http://127.0.0.1:51004/cb", "http://127.0.0.1/cb", "com.example.app:/cb"} {
		p := wikiRequest("client_id", "app", "redirect_uri", uri)
		asked := page(t, b.authorize(with(p, "prompt", "consent")), http.StatusOK)
		code := answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), uri).Get("code")
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {code}, "redirect_uri": {uri}, "code_verifier": {verifier}}
		h.issued(t, post("/o2/token", form))
	}
}

// All other mistakes are told to the application, with its state and who says
// so.
func TestRedirectErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.addClient(t, "nocode", `{"grant_types": ["client_credentials"], "redirect_uris": ["https://nocode.example.org/cb"]}`)
	h.addClient(t, "offline", `{"grant_types": ["authorization_code"], "redirect_uris": ["https://offline.example.org/cb"], "scope": ["offline_access"], "require_pkce": false}`)
	h.reload(t)
	b := h.signIn(t, "alice", time.Minute)
	long := strings.Repeat("x", maxParameter+1)
	add := func(name, value string) url.Values {
		p := wikiRequest()
		p.Add(name, value)
		return p
	}
	idToken := h.tokensOf(t).IDToken
	for name, tt := range map[string]struct {
		p     url.Values
		error string
	}{
		"no response_type":             {wikiRequest("response_type", ""), "invalid_request"},
		"response_type token":          {wikiRequest("response_type", "token"), "unsupported_response_type"},
		"response_type of hybrid":      {wikiRequest("response_type", "code id_token"), "unsupported_response_type"},
		"response_type twice":          {add("response_type", "code"), "invalid_request"},
		"response_mode fragment":       {wikiRequest("response_mode", "fragment"), "invalid_request"},
		"request object":               {wikiRequest("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"},
		"request_uri":                  {wikiRequest("request_uri", "https://wiki.example.org/r"), "request_uri_not_supported"},
		"registration":                 {wikiRequest("registration", "{}"), "registration_not_supported"},
		"unknown scope":                {wikiRequest("scope", "openid everything"), "invalid_scope"},
		"malformed scope":              {wikiRequest("scope", "openid \"email\""), "invalid_scope"},
		"scope of blanks":              {wikiRequest("scope", "  "), "invalid_scope"},
		"scope twice":                  {add("scope", "profile"), "invalid_request"},
		"no scope, and no default":     {wikiRequest("client_id", "offline", "redirect_uri", "https://offline.example.org/cb", "scope", ""), "invalid_scope"},
		"scope that is no text":        {wikiRequest("scope", "openid\xff"), "invalid_request"},
		"nonce with NUL":               {wikiRequest("nonce", "a\x00"), "invalid_request"},
		"nonce twice":                  {add("nonce", "n-2"), "invalid_request"},
		"long nonce":                   {wikiRequest("nonce", long), "invalid_request"},
		"long of what is ignored":      {wikiRequest("login_hint", long), "invalid_request"},
		"PKCE by plain":                {wikiRequest("code_challenge_method", "plain"), "invalid_request"},
		"PKCE by nothing":              {wikiRequest("code_challenge_method", ""), "invalid_request"},
		"PKCE without a challenge":     {wikiRequest("code_challenge", ""), "invalid_request"},
		"short challenge":              {wikiRequest("code_challenge", challenge[1:]), "invalid_request"},
		"challenge in plain base64":    {wikiRequest("code_challenge", strings.Repeat("+", 42)+"8"), "invalid_request"},
		"padded challenge":             {wikiRequest("code_challenge", challenge+"="), "invalid_request"},
		"challenge with a line break":  {wikiRequest("code_challenge", challenge+"\n"), "invalid_request"},
		"challenge twice":              {add("code_challenge", challenge), "invalid_request"},
		"public client without PKCE":   {wikiRequest("client_id", "app", "redirect_uri", "com.example.app:/cb", "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"client without this grant":    {wikiRequest("client_id", "nocode", "redirect_uri", "https://nocode.example.org/cb"), "unauthorized_client"},
		"prompt none and login":        {wikiRequest("prompt", "none login"), "invalid_request"},
		"prompt none and what?":        {wikiRequest("prompt", "what none"), "invalid_request"},
		"prompt none, no consent":      {wikiRequest("prompt", "none"), "consent_required"},
		"max_age in words":             {wikiRequest("max_age", "ten"), "invalid_request"},
		"max_age negative":             {wikiRequest("max_age", "-1"), "invalid_request"},
		"max_age with a plus":          {wikiRequest("max_age", "+1"), "invalid_request"},
		"resource of another":          {wikiRequest("resource", "https://elsewhere.example.org/"), "invalid_target"},
		"resource and another's":       {with(add("resource", apiURI), "resource", "https://elsewhere.example.org/"), "invalid_target"},
		"relative resource":            {wikiRequest("resource", "/v1"), "invalid_target"},
		"resource with a fragment":     {wikiRequest("resource", apiURI+"#x"), "invalid_target"},
		"client as a resource":         {wikiRequest("resource", "wiki"), "invalid_target"},
		"hint that is none":            {wikiRequest("id_token_hint", "e.e.e"), "invalid_request"},
		"hint that was for another":    {wikiRequest("id_token_hint", idToken), "invalid_request"},
		"hint that is an access token": {trustedRequest("id_token_hint", h.tokensOf(t).AccessToken), "invalid_request"},
		"hint and another sub":         {trustedRequest("id_token_hint", idToken, "claims", `{"id_token": {"sub": {"value": "bob"}}}`), "login_required"},
		"essential acr":                {trustedRequest("claims", `{"id_token": {"acr": {"essential": true, "values": ["2", "3"]}}}`), "unmet_authentication_requirements"},
		"too much in all":              {trustedRequest("nonce", long[:8000], "login_hint", long[:8000], "ui_locales", long[:8000], "acr_values", long[:8000], "claims", long[:8000]), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			uri := tt.p.Get("redirect_uri")
			got := answer(t, b.authorize(tt.p), uri)
			if got.Get("error") != tt.error || got.Get("state") != "a state & more" || got.Has("code") || got.Get("error_description") == "" {
				t.Errorf("answer %v, want %s", got, tt.error)
			}
			if strings.ContainsFunc(got.Get("error_description"), func(r rune) bool { return r < ' ' || '~' < r || r == '"' || r == '\\' }) {
				t.Errorf("description %q", got.Get("error_description"))
			}
			got = answer(t, b.authorize(with(tt.p, "state", "")), uri)
			if got.Get("error") != tt.error || got.Has("state") {
				t.Errorf("without a state: %v, want %s", got, tt.error)
			}
		})
	}

	// A state that cannot be sent back is not.
	for name, p := range map[string]url.Values{
		"long": wikiRequest("state", strings.Repeat("s", 200<<10)), "twice": add("state", "x"), "no text": wikiRequest("state", "\xff"), "NUL": wikiRequest("state", "\x00"),
	} {
		if got := answer(t, b.authorize(p), wikiURI); got.Get("error") != "invalid_request" || got.Has("state") {
			t.Errorf("%s state: %v", name, got)
		}
	}
	if n := value[int](t, h, `select count(*) from auth.oauth2_grants g join auth.oauth2_clients c on c.id = g.client_id where c.client_id = 'wiki'`); n != 0 {
		t.Errorf("%d grants", n)
	}
}

// What is not understood is ignored, where the specifications say so.
func TestIgnored(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	many := strings.Repeat(`"x":null,`, 800)
	twice := trustedRequest()
	twice["audience"] = []string{"one", "two"}
	for name, p := range map[string]url.Values{
		"unknown parameter, twice":   twice,
		"parameters without a value": trustedRequest("prompt", "", "max_age", "", "request", ""),
		"prompt":                     trustedRequest("prompt", "create party"),
		"acr_values":                 trustedRequest("acr_values", "2 urn:x"),
		"voluntary acr":              trustedRequest("claims", `{"id_token": {"acr": {"values": ["2"]}}}`),
		"malformed claims":           trustedRequest("claims", `{"id_token": [`),
		"claims that are a list":     trustedRequest("claims", `[]`),
		"claims that are null":       trustedRequest("claims", `null`),
		"claims with NUL":            trustedRequest("claims", `{"id_token": {"a\u0000b": null}}`),
		"claims with half a pair":    trustedRequest("claims", `{"id_token": {"\ud800": {"value": "\udc00"}}}`),
		"claims with a number":       trustedRequest("claims", `{"userinfo": {"x": {"value": 1e400000}}}`),
		"claims that are deep":       trustedRequest("claims", `{"userinfo": {"x": {"value": `+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`}}}`),
		"claims that are many":       trustedRequest("claims", `{"userinfo": {`+many+`"y":null}}`),
		"ui_locales":                 trustedRequest("ui_locales", "xx-yy zz"),
		"display":                    trustedRequest("display", "wap"),
		"max_age without end":        trustedRequest("max_age", strings.Repeat("9", 20)),
		"somebody's own parameter":   trustedRequest(defaultRedirect, "true"),
	} {
		t.Run(name, func(t *testing.T) {
			h.issued(t, exchange("trusted", b.code(t, p), "https://trusted.example.org/cb"))
		})
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	uri := "https://trusted.example.org/cb"
	nobody := &browser{h: h}
	if got := answer(t, nobody.authorize(trustedRequest("prompt", "none")), uri); got.Get("error") != "login_required" {
		t.Errorf("nobody with prompt=none: %v", got)
	}
	b := h.signIn(t, "alice", time.Hour)
	b.code(t, trustedRequest("prompt", "none"))
	b.code(t, trustedRequest("max_age", "3700"))
	for name, p := range map[string]url.Values{
		"prompt=login":          trustedRequest("prompt", "login"),
		"prompt=select_account": trustedRequest("prompt", "select_account consent"),
		"max_age":               trustedRequest("max_age", "3500"),
		"max_age=0":             trustedRequest("max_age", "0"),
	} {
		t.Run(name, func(t *testing.T) {
			b := h.signIn(t, "alice", time.Hour)
			if p.Get("prompt") == "" {
				if got := answer(t, b.authorize(with(url.Values{}, append([]string{"prompt", "none"}, flat(p)...)...)), uri); got.Get("error") != "login_required" {
					t.Errorf("with prompt=none: %v", got)
				}
			}
			res := b.authorize(p)
			login := res.Header.Get("Location")
			if !strings.HasPrefix(login, "/login?request=") {
				t.Fatalf("%s to %q", res.Status, login)
			}
			// Whoever goes on without it comes back.
			next := strings.Replace(login, "/login?request=", "/o2/continue?id=", 1)
			if res := b.get(next); res.Header.Get("Location") != login {
				t.Errorf("without a login: %s to %q", res.Status, res.Header.Get("Location"))
			}
			signedIn := h.signIn(t, "alice", 0)
			res = signedIn.get(next)
			if strings.Contains(p.Get("prompt"), "consent") {
				res = signedIn.post("/o2/consent", consentForm(t, page(t, res, http.StatusOK), "allow"))
			}
			code := answer(t, res, uri).Get("code")
			issued := h.issued(t, exchange("trusted", code, uri))
			if at := payload(t, issued.IDToken)["auth_time"].(float64); time.Since(time.Unix(int64(at), 0)) > time.Minute {
				t.Errorf("auth_time is %v", time.Unix(int64(at), 0))
			}
		})
	}

	// Consent counts again, also if it is there, or not needed.
	asked := page(t, b.authorize(trustedRequest("prompt", "consent")), http.StatusOK)
	answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), uri)
	page(t, b.authorize(trustedRequest("prompt", "consent")), http.StatusOK)
}

func flat(p url.Values) []string {
	var list []string
	for name, values := range p {
		list = append(list, name, values[0])
	}
	return list
}

// Another user than the client asks for has to sign in, and if it is another
// one still, the client hears of it.
func TestHint(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	uri := "https://trusted.example.org/cb"
	hint := h.tokensOf(t).IDToken
	for name, p := range map[string]url.Values{
		"id_token_hint": trustedRequest("id_token_hint", hint),
		"sub":           trustedRequest("claims", `{"id_token": {"sub": {"value": "`+h.userID(t, "alice")+`"}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			h.signIn(t, "alice", time.Hour).code(t, p)
			b := h.signIn(t, "bob", time.Hour)
			login := b.authorize(p).Header.Get("Location")
			if !strings.HasPrefix(login, "/login?request=") {
				t.Fatalf("to %q", login)
			}
			next := strings.Replace(login, "/login?request=", "/o2/continue?id=", 1)
			if again := b.get(next).Header.Get("Location"); again != login {
				t.Errorf("without a login: to %q", again)
			}
			if got := answer(t, b.authorize(with(p, "prompt", "none")), uri); got.Get("error") != "login_required" {
				t.Errorf("with prompt=none: %v", got)
			}
			if got := answer(t, h.signIn(t, "bob", 0).get(next), uri); got.Get("error") != "login_required" || got.Get("state") != "a state & more" {
				t.Errorf("after a login of another: %v", got)
			}
		})
	}
}

// A redirect URI need not be sent if there is one, but then it is not sent for
// the tokens, either (RFC 6749 section 4.1.3).
func TestDefaultRedirectURI(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "wiki", `trusted = true`)
	p := wikiRequest("redirect_uri", "", "scope", "email")
	b := h.signIn(t, "alice", time.Minute)
	code := answer(t, b.authorize(p), wikiURI).Get("code")
	h.refused(t, exchange("wiki", code, wikiURI), 400, "invalid_grant")
	h.issued(t, exchange("wiki", code, ""))

	// The same by way of the login page, which has to know it.
	res := (&browser{h: h}).authorize(with(p, "scope", "")) // the default scope has openid
	id := strings.TrimPrefix(res.Header.Get("Location"), "/login?request=")
	if got := value[string](t, h, `select r.parameters -> 'redirect_uri' ->> 0 from auth.oauth2_requests r`); got != wikiURI {
		t.Errorf("saved with %q", got)
	}
	code = answer(t, b.get("/o2/continue?id="+id), wikiURI).Get("code")
	h.refused(t, exchange("wiki", code, wikiURI), 400, "invalid_grant")
	h.issued(t, exchange("wiki", code, ""))
}

// What is saved is asked for as it was, whatever the client may ask for by then.
func TestSavedScope(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	asked := page(t, b.authorize(wikiRequest("scope", "")), http.StatusOK)
	if strings.Contains(asked, "offline") {
		t.Errorf("a default is offline_access: %s", asked)
	}
	h.edit(t, "wiki", `scope = '{openid,email,profile,phone,address,groups,scopes,permissions,access,username,secret}'`)
	code := answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), wikiURI).Get("code")
	if got := h.issued(t, exchange("wiki", code, wikiURI)); strings.Contains(got.Scope, "secret") || !strings.Contains(got.Scope, "openid profile") {
		t.Errorf("scope %q", got.Scope)
	}
	asked = page(t, b.authorize(wikiRequest("scope", "secret")), http.StatusOK)
	h.edit(t, "wiki", `scope = '{openid}'`)
	if got := answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), wikiURI); got.Get("error") != "invalid_scope" {
		t.Errorf("what may not be asked for any more: %v", got)
	}
}

// What the claims parameter asks for beyond the scope, the user is asked, too.
func TestImpliedConsent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	asked := page(t, b.authorize(wikiRequest("scope", "openid")), http.StatusOK)
	answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), wikiURI)
	b.code(t, wikiRequest("scope", "openid"))

	wanted, err := json.Marshal(map[string]any{"id_token": map[string]any{"email": nil}})
	if err != nil {
		t.Fatal(err)
	}
	p := wikiRequest("scope", "openid", "claims", string(wanted))
	if got := answer(t, b.authorize(with(p, "prompt", "none")), wikiURI); got.Get("error") != "consent_required" {
		t.Errorf("with prompt=none: %v", got)
	}
	again := page(t, b.authorize(with(p, "prompt", "")), http.StatusOK)
	if items := regexp.MustCompile(`<li`).FindAllString(again, -1); len(items) <= len(regexp.MustCompile(`<li`).FindAllString(asked, -1)) {
		t.Errorf("no more is asked for: %s", again)
	}
	code := answer(t, b.post("/o2/consent", consentForm(t, again, "allow")), wikiURI).Get("code")
	issued := h.issued(t, exchange("wiki", code, wikiURI))
	if got := payload(t, issued.IDToken)["email"]; got != "alice@example.com" || issued.Scope != "openid" {
		t.Errorf("email %v, scope %q", got, issued.Scope)
	}
}

// A program of the user can pretend to be one that was consented to, where
// nothing but a port or a scheme tells them apart: the user sees each time who
// asks (RFC 8252 section 8.6).
func TestConsentOfNativeClients(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	for _, uri := range []string{"http://127.0.0.1:51004/cb", "com.example.app:/cb"} {
		p := wikiRequest("client_id", "app", "redirect_uri", uri)
		for range 2 {
			asked := page(t, b.authorize(p), http.StatusOK)
			answer(t, b.post("/o2/consent", consentForm(t, asked, "allow")), uri)
		}
		if got := answer(t, b.authorize(with(p, "prompt", "none")), uri); got.Get("error") != "consent_required" || got.Has("code") {
			t.Errorf("%s, with prompt=none: %v", uri, got)
		}
	}
	h.arrange(t, `update auth.oauth2_clients set trusted = true where client_id = 'app'`)
	h.reload(t)
	b.code(t, wikiRequest("client_id", "app", "redirect_uri", "com.example.app:/cb"))
}

// Whoever has not signed in can have a request kept.
func TestAuthorizationRequestSize(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := &browser{h: h}
	for size, want := range map[int]string{6 << 10: "", 7 << 10: "invalid_request"} { // beside what else it says
		res := b.authorize(wikiRequest("state", "", "claims", `{"userinfo":{"name":null}}`, "nonce", strings.Repeat("n", size), "login_hint", strings.Repeat("h", 1<<10)))
		if location := res.Header.Get("Location"); strings.Contains(location, "error=invalid_request") != (want != "") {
			t.Errorf("%d bytes: %s to %.100s", size, res.Status, location)
		}
	}
}

// Requests that no browser sends that somebody uses.
func TestMethods(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	for _, path := range []string{"/o2/authorize?" + trustedRequest().Encode(), "/o2/continue?id=x"} {
		if res := b.do(httptest.NewRequest("HEAD", "https://auth.example.com"+path, nil)); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") == "" {
			t.Errorf("HEAD %s: %s", path, res.Status)
		}
		page(t, b.do(httptest.NewRequest("GET", "http://auth.example.com"+path, nil)), http.StatusBadRequest)
	}
	page(t, b.do(httptest.NewRequest("POST", "http://auth.example.com/o2/consent", nil)), http.StatusBadRequest)
	for _, path := range []string{"/o2/token", "/o2/revoke_token", "/o2/introspect"} {
		r := httptest.NewRequest("POST", "http://auth.example.com"+path, strings.NewReader("grant_type=client_credentials"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("robot", secrets["robot"])
		if got := h.refused(t, r, 400, "invalid_request"); !strings.Contains(got, "securely") {
			t.Errorf("%s: %q", path, got)
		}
	}
	if n := value[int](t, h, `select count(*) from auth.oauth2_grants`); n != 0 {
		t.Errorf("%d grants", n)
	}
}

func TestWithQuery(t *testing.T) {
	t.Parallel()
	add := [][2]string{{"code", "x"}, {"state", "a b&c=d"}}
	for uri, want := range map[string]string{
		"https://a.example.org/cb":       "https://a.example.org/cb?code=x&state=a+b%26c%3Dd",
		"https://a.example.org/cb?x=%20": "https://a.example.org/cb?x=%20&code=x&state=a+b%26c%3Dd",
		"https://a.example.org/cb?":      "https://a.example.org/cb?code=x&state=a+b%26c%3Dd",
		"https://a.example.org/cb?x&":    "https://a.example.org/cb?x&code=x&state=a+b%26c%3Dd",
		"com.example.app:/cb":            "com.example.app:/cb?code=x&state=a+b%26c%3Dd",
	} {
		if got := withQuery(uri, add); got != want {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

// Whatever stands in an authorization request, it is read, or refused as the
// client's doing; nothing that is there twice or is too long is read; and what
// is saved is read as the same request again.
func FuzzAuthorization(f *testing.F) {
	f.Add("client_id=wiki&redirect_uri=https%3A%2F%2Fwiki.example.org%2Fcb&response_type=code&scope=openid&state=x&code_challenge=" + challenge + "&code_challenge_method=S256")
	f.Add("client_id=wiki&response_type=code&prompt=login&max_age=0")
	f.Add("client_id=wiki&response_type=code&scope=openid&state=1&state=2")
	f.Add("client_id=wiki&response_type=code&resource=https://api.example.org/v1&resource=https://api.example.org/v1")
	f.Add("client_id=wiki&response_type=code&nonce=%00&ui_locales=%ff")
	f.Add("client_id=wiki&response_type=code&max_age=99999999999999999999&prompt=none+none")
	c := &client.Client{
		ClientID: "wiki", Enabled: true, Type: client.Confidential, GrantTypes: []string{client.AuthorizationCode},
		RedirectURIs: []string{"https://wiki.example.org/cb"}, Resources: []string{apiURI},
	}
	s := &Server{}
	parse := func(p url.Values) (*authorization, error) {
		q := &authorization{client: c, maxAge: -1, parameters: url.Values{}}
		for _, name := range []string{"id_token_hint", "claims"} { // which need an issuer
			p.Del(name)
		}
		return q, s.read(q, p)
	}
	f.Fuzz(func(t *testing.T, query string) {
		p, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := parse(p)
		if err != nil {
			if refusalOf(err) == nil {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		for _, name := range append([]string{"state"}, authorizationParameters...) {
			if len(p[name]) > 1 || len(p.Get(name)) > maxParameter || strings.Contains(p.Get(name), "\x00") {
				t.Errorf("%q: %s is read", query, name)
			}
		}
		if !within(q.resources, c.Resources) || c.Allows(q.scope) != "" || len(q.scope) == 0 || q.response.state != p.Get("state") {
			t.Errorf("%q is read as %+v", query, q)
		}
		saved, err := json.Marshal(q.parameters)
		if err != nil {
			t.Fatal(err)
		}
		var loaded url.Values
		if err := json.Unmarshal(saved, &loaded); err != nil {
			t.Fatal(err)
		}
		again, err := parse(loaded)
		if err != nil {
			t.Fatalf("%q is saved as %s: %v", query, saved, err)
		}
		if list(again.scope) != list(q.scope) || list(again.resources) != list(q.resources) || again.prompt != q.prompt || again.maxAge != q.maxAge ||
			!reflect.DeepEqual(again.response, q.response) || again.nonce != q.nonce || again.challenge != q.challenge {
			t.Errorf("%q is saved as %s, and read as %+v", query, saved, again)
		}
	})
}
