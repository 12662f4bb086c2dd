package oauth2

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// Somebody who may not use the client gets no further, wherever they are, and
// whatever was asked before. Each of these is the only one that is asked.
func TestDenied(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	deny := func(t *testing.T) {
		h.arrange(t, `update auth.oauth2_clients set allowed_states = '{member}'`)
		t.Cleanup(func() { h.arrange(t, `update auth.oauth2_clients set allowed_states = '{}'`) })
	}
	log := h.record()
	b := h.signIn(t, "alice", time.Hour)
	denied := func(t *testing.T, stage string) {
		t.Helper()
		line := log.take()
		if !strings.Contains(line, "msg=oauth2.denied") || !strings.Contains(line, "stage="+stage+" reason=client") || !strings.Contains(line, "user_id="+h.userID(t, "alice")) {
			t.Errorf("logged %s", line)
		}
	}
	// The page says nothing of the client.
	refusedPage := func(t *testing.T, res *http.Response) {
		t.Helper()
		if text := page(t, res, http.StatusForbidden); strings.Contains(text, "trusted") || strings.Contains(text, "wiki") || !strings.Contains(text, "alice") {
			t.Errorf("the page is %s", text)
		}
		denied(t, "authorize")
	}
	grants := func() int { return value[int](t, h, `select count(*) from auth.oauth2_grants`) }

	t.Run("authorize", func(t *testing.T) {
		deny(t)
		refusedPage(t, b.authorize(trustedRequest()))
		refusedPage(t, b.authorize(wikiRequest()))                                                         // before consent
		refusedPage(t, b.authorize(trustedRequest("prompt", "login")))                                     // before another login
		refusedPage(t, b.authorize(trustedRequest("max_age", "1")))                                        //
		refusedPage(t, b.authorize(wikiRequest("prompt", "consent", "acr_values", "9")))                   //
		refusedPage(t, b.authorize(trustedRequest("claims", `{"id_token":{"sub":{"value":"somebody"}}}`))) //
		if got := answer(t, b.authorize(trustedRequest("prompt", "none")), trustedURI); got.Get("error") != "access_denied" {
			t.Errorf("with prompt=none: %v", got)
		}
		denied(t, "authorize")
		// Before a lack of PKCE, too.
		app := wikiRequest("client_id", "app", "redirect_uri", "com.example.app:/cb", "code_challenge", "", "code_challenge_method", "")
		text := page(t, b.authorize(app), http.StatusForbidden)
		if strings.Contains(text, "PKCE") {
			t.Errorf("the page is %s", text)
		}
		log.take()
	})
	t.Run("authorize by POST", func(t *testing.T) {
		deny(t)
		refusedPage(t, b.get(b.post("/o2/authorize", trustedRequest()).Header.Get("Location")))
	})
	t.Run("continue", func(t *testing.T) {
		login := (&browser{h: h}).authorize(trustedRequest()).Header.Get("Location")
		deny(t)
		refusedPage(t, b.get(strings.Replace(login, "/login?request=", "/o2/continue?id=", 1)))
	})
	t.Run("consent", func(t *testing.T) {
		form := consentForm(t, page(t, b.authorize(wikiRequest()), http.StatusOK), "allow")
		deny(t)
		refusedPage(t, b.post("/o2/consent", form))
		if n := value[int](t, h, `select count(*) from auth.oauth2_consents`); n != 0 {
			t.Errorf("%d consents", n)
		}
	})
	if n := grants(); n != 0 {
		t.Errorf("%d grants", n)
	}
	t.Run("code", func(t *testing.T) {
		code := b.code(t, trustedRequest())
		deny(t)
		log.take()
		if got := h.refused(t, exchange("trusted", code, trustedURI), 400, "invalid_grant"); got != "Access denied" {
			t.Errorf("%q", got)
		}
		denied(t, "code")
		if n := value[int](t, h, `select count(*) from auth.oauth2_refresh_tokens`); n != 0 {
			t.Errorf("%d refresh tokens", n)
		}
	})
	t.Run("refresh", func(t *testing.T) {
		got := h.tokensOf(t)
		deny(t)
		log.take()
		h.refused(t, refresh("trusted", got.RefreshToken), 400, "invalid_grant")
		denied(t, "refresh")
	})
	t.Run("password", func(t *testing.T) {
		deny(t)
		log.take()
		h.refused(t, asClient("legacy", "/o2/token", url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {password}}), 400, "invalid_grant")
		denied(t, "password")
	})
	t.Run("the grant's row", func(t *testing.T) {
		deny(t)
		_, err := h.db.Owner.Exec(t.Context(), `insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, auth_time, amr, acr, expires_at)
			select c.id, u.id, 'password', '{}', now(), '{pwd}', '1', now() + interval '1 hour' from auth.oauth2_clients c, auth.users u where c.client_id = 'legacy' and u.identifier = 'alice'`)
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("stored: %v", err)
		}
	})
}

// A client that was disabled just now is as good as none.
func TestDisabledJustNow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	code := b.code(t, trustedRequest())
	got := h.tokensOf(t)
	h.arrange(t, `update auth.oauth2_clients set enabled = false where client_id = 'trusted'`) // which the server has not heard of
	unknown := page(t, b.authorize(trustedRequest("client_id", "nobody")), http.StatusBadRequest)
	if text := page(t, b.authorize(trustedRequest()), http.StatusBadRequest); text != unknown {
		t.Errorf("%s is not %s", text, unknown)
	}
	h.refused(t, exchange("trusted", code, trustedURI), 400, "invalid_grant")
	h.refused(t, refresh("trusted", got.RefreshToken), 400, "invalid_grant")
	h.reload(t)
	h.refused(t, refresh("trusted", got.RefreshToken), 401, "invalid_client")
}

// A code that somebody else has got for themselves, or for another client, is
// worth nothing to whoever gets it into an application: the application's
// verifier is not that of the code, and the issuer is named in the answer.
func TestCodeInjection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	mallory, alice := h.signIn(t, "bob", time.Minute), h.signIn(t, "alice", time.Minute)
	otherVerifier := strings.Repeat("m", 43)
	stolen := alice.code(t, trustedRequest())
	for name, r := range map[string]*http.Request{
		"with a verifier of the thief's":       exchange("trusted", stolen, trustedURI, "code_verifier", otherVerifier),
		"by a client of the thief's":           exchange("other", stolen, "https://other.example.org/cb"),
		"by a client of the thief's, same URI": exchange("other", stolen, trustedURI),
		"downgraded: no verifier":              exchange("trusted", stolen, trustedURI, "code_verifier", ""),
		"at another of the client's URIs":      exchange("trusted", stolen, "https://trusted.example.org/cb2"),
		"as a refresh token":                   refresh("trusted", stolen),
		"the client, without its secret":       post("/o2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {stolen}, "redirect_uri": {trustedURI}, "code_verifier": {verifier}}),
	} {
		t.Run(name, func(t *testing.T) { h.refused(t, r, 400, "invalid_grant") })
	}
	// A thief who leaves PKCE out of the request does not get around a verifier
	// that the application sends.
	downgraded := mallory.code(t, trustedRequest("code_challenge", "", "code_challenge_method", ""))
	h.refused(t, exchange("trusted", downgraded, trustedURI), 400, "invalid_grant")
	h.issued(t, exchange("trusted", stolen, trustedURI))
}

// Tokens are for whom they are.
func TestTokenSubstitution(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.tokensOf(t)
	for name, r := range map[string]*http.Request{
		"an access token to refresh": refresh("trusted", got.AccessToken),
		"an ID token to refresh":     refresh("trusted", got.IDToken),
		"a refresh token as a code":  exchange("trusted", got.RefreshToken, trustedURI),
		"another's refresh token":    refresh("other", got.RefreshToken),
	} {
		t.Run(name, func(t *testing.T) { h.refused(t, r, 400, "invalid_grant") })
	}
	public := post("/o2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {got.RefreshToken}})
	h.refused(t, public, 400, "invalid_grant")
	h.issued(t, refresh("trusted", got.RefreshToken)) // it is still good
}

// Nobody consents but who has seen the page, in the browser that has shown it.
func TestConsentCSRF(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.signIn(t, "alice", time.Minute), h.signIn(t, "bob", time.Minute)
	res := alice.authorize(wikiRequest())
	if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %s", policy)
	}
	form := consentForm(t, page(t, res, http.StatusOK), "allow")
	other := consentForm(t, page(t, alice.authorize(wikiRequest("scope", "openid profile groups")), http.StatusOK), "allow")
	bobs := consentForm(t, page(t, bob.authorize(wikiRequest()), http.StatusOK), "allow")
	swap := func(p url.Values, changes ...string) url.Values {
		return with(url.Values{}, append(flat(p), changes...)...)
	}
	for name, p := range map[string]url.Values{
		"no token":                     swap(form, "csrf", ""),
		"another's token":              swap(form, "csrf", bobs.Get("csrf")),
		"the token of another request": swap(form, "csrf", other.Get("csrf")),
		"the request of another token": swap(form, "request", other.Get("request")),
		"another's request":            swap(form, "request", bobs.Get("request")),
		"another's form":               bobs,
		"no request":                   swap(form, "request", ""),
		"denied, no token":             swap(form, "csrf", "", "decision", "deny"),
	} {
		t.Run(name, func(t *testing.T) { page(t, alice.post("/o2/consent", p), http.StatusForbidden) })
	}
	page(t, (&browser{h: h}).post("/o2/consent", form), http.StatusForbidden) // cross-site, so without the cookie
	for name, header := range map[string][2]string{"Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site"}, "Origin": {"Origin", "https://attacker.example.org"}} {
		r := post("/o2/consent", form)
		r.Header.Set(header[0], header[1])
		t.Run(name, func(t *testing.T) { page(t, alice.do(r), http.StatusForbidden) })
	}
	twice := swap(form)
	twice.Add("csrf", form.Get("csrf"))
	page(t, alice.post("/o2/consent", twice), http.StatusBadRequest)
	if n := value[int](t, h, `select (select count(*) from auth.oauth2_grants) + (select count(*) from auth.oauth2_consents)`); n != 0 {
		t.Errorf("%d rows", n)
	}
	answer(t, alice.post("/o2/consent", form), wikiURI)
}

// Whoever has a handle can go on only as who they are.
func TestSomebodyElsesRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	login := (&browser{h: h}).authorize(trustedRequest()).Header.Get("Location")
	next := strings.Replace(login, "/login?request=", "/o2/continue?id=", 1)
	if res := (&browser{h: h}).get(next); res.Header.Get("Location") != login {
		t.Errorf("nobody goes on to %q", res.Header.Get("Location"))
	}
	code := answer(t, h.signIn(t, "bob", time.Minute).get(next), trustedURI).Get("code")
	if got := payload(t, h.issued(t, exchange("trusted", code, trustedURI)).AccessToken)["sub"]; got != h.userID(t, "bob") {
		t.Errorf("the tokens are of %v", got)
	}
	for _, id := range []string{"", "x", strings.Repeat("x", 100000), "rq_" + strings.Repeat("a", 52), "%00"} {
		page(t, h.signIn(t, "bob", 0).get("/o2/continue?id="+id), http.StatusBadRequest)
	}
}

// No secret, code, token or password is in the log, whatever happens; and every
// refusal is.
func TestLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "trusted", `debug = true`)
	log := h.record()
	b := &browser{h: h}
	hidden := map[string]bool{verifier: true, password: true, url.QueryEscape(password): true, "correct horse": true, "wrong battery": true}
	for _, secret := range secrets {
		hidden[secret] = true
	}
	hide := func(texts ...string) {
		for _, text := range texts {
			if text != "" {
				hidden[text] = true
			}
		}
	}

	login := b.authorize(wikiRequest("state", "state-of-the-wiki", "nonce", "nonce-of-the-wiki", "login_hint", "alice")).Header.Get("Location")
	form := body(b.get(login))
	credentials := url.Values{"username": {"alice@example.com"}, "password": {"wrong battery"}, "request": {field(t, form, "request")}, "csrf": {field(t, form, "csrf")}}
	b.post("/login", credentials)
	next := b.post("/login", with(credentials, "password", password)).Header.Get("Location")
	consent := consentForm(t, page(t, b.get(next), http.StatusOK), "allow")
	b.post("/o2/consent", with(url.Values{}, append(flat(consent), "csrf", "x")...))
	code := answer(t, b.post("/o2/consent", consent), wikiURI).Get("code")
	hide(code, consent.Get("csrf"), consent.Get("request"), b.cookie, "state-of-the-wiki", "nonce-of-the-wiki")
	h.do(exchange("wiki", code, "https://elsewhere.example.org/"))
	h.do(exchange("wiki", code, wikiURI, "code_verifier", "wrong"+verifier))
	issued := []tokens{h.issued(t, exchange("wiki", code, wikiURI))}
	h.do(exchange("wiki", code, wikiURI))
	for _, clientID := range []string{"wiki", "nobody"} {
		r := exchange(clientID, code, wikiURI)
		r.SetBasicAuth(clientID, "wrong battery")
		h.do(r)
		h.do(post("/o2/token", url.Values{"client_id": {clientID}, "client_secret": {"wrong battery"}, "grant_type": {"x"}}))
	}
	h.do(post("/o2/token", url.Values{"client_id": {secrets["wiki"]}, "client_secret": {"wiki"}, "grant_type": {"x"}}))
	b.authorize(wikiRequest("client_id", secrets["wiki"]))

	code = b.code(t, trustedRequest())
	hide(code)
	issued = append(issued, h.issued(t, exchange("trusted", code, trustedURI)))
	issued = append(issued, h.issued(t, refresh("trusted", issued[1].RefreshToken)))
	issued = append(issued, h.issued(t, refresh("trusted", issued[2].RefreshToken)))
	h.do(refresh("other", issued[3].RefreshToken))
	h.do(revoke("other", issued[3].AccessToken))
	h.do(revoke("other", issued[3].RefreshToken))
	h.do(refresh("trusted", issued[1].RefreshToken)) // replayed
	h.do(refresh("trusted", issued[3].RefreshToken))
	h.introspect(t, "mail", issued[0].AccessToken)
	h.do(revoke("wiki", issued[0].RefreshToken))
	h.do(revoke("wiki", issued[0].AccessToken))
	b.authorize(trustedRequest("id_token_hint", issued[0].IDToken))
	for _, text := range []string{password, "wrong battery"} {
		res := h.do(asClient("legacy", "/o2/token", url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {text}, "scope": {"openid"}}))
		if res.StatusCode == http.StatusOK {
			hide(strings.Split(body(res), `"`)[3])
		}
	}
	proof := assertion(t, issuer)
	hide(proof.Get("client_assertion"))
	for range 2 {
		h.do(post("/o2/token", with(proof, "grant_type", "client_credentials")))
	}
	h.do(asClient("robot", "/o2/token", url.Values{"grant_type": {"client_credentials"}}))
	for _, got := range issued {
		hide(got.AccessToken, got.RefreshToken, got.IDToken)
	}

	// Our own trouble has a cause, which the client does not see.
	pool := h.s.DB
	broken, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broken.Release()
	h.arrange(t, `alter function api.redeem_code rename to redeem_code_away`)
	code = b.code(t, trustedRequest())
	hide(code)
	for range 2 {
		res := h.do(exchange("trusted", code, trustedURI))
		if text := body(res); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(text, "redeem_code") || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", res.Status, text)
		}
	}
	h.arrange(t, `alter function api.authorize rename to authorize_away`)
	if text := page(t, b.authorize(trustedRequest()), http.StatusServiceUnavailable); strings.Contains(text, "api.") {
		t.Errorf("%s", text)
	}

	text := log.take()
	for secret := range hidden {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log", secret)
		}
		// Nor is half of it.
		if half := len(secret) / 2; half > 20 && (strings.Contains(text, secret[:half]) || strings.Contains(text, secret[half:])) {
			t.Errorf("half of %q is in the log", secret)
		}
	}
	for _, want := range []string{
		"msg=oauth2.consent_given from=192.0.2.1 client_id=wiki scope=\"openid email\" user=alice",
		"level=INFO msg=oauth2.token_issued from=192.0.2.1 client_id=trusted grant_type=authorization_code user_id=" + h.userID(t, "alice") + " code=<redacted> client_secret=<redacted> token_type=Bearer",
		"level=DEBUG msg=oauth2.token_issued from=192.0.2.1 client_id=wiki",
		"refresh_token_sent=<redacted>", "client_assertion=<redacted>", "id_token=<redacted>",
		"msg=oauth2.code_replayed", "msg=oauth2.refresh_token_replayed", "wrong_verifier", "wrong_redirect_uri", "wrong_client", "redeem_code",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the log: %s", want, text)
		}
	}
}

// Another program's client, by TLS: from nobody to tokens, and to the next ones.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme = "https" // as the middleware does
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		h.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	person := site.Client()
	person.Jar = jar
	var arrived *url.URL
	person.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Hostname() == "wiki.example.org" {
			arrived = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	config := oauth2.Config{
		ClientID: "wiki", ClientSecret: secrets["wiki"], RedirectURL: wikiURI, Scopes: []string{"openid", "email"},
		Endpoint: oauth2.Endpoint{AuthURL: site.URL + "/o2/authorize/", TokenURL: site.URL + "/o2/token/", AuthStyle: oauth2.AuthStyleInHeader},
	}
	pkce := oauth2.GenerateVerifier()
	get := func(res *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return body(res)
	}
	form := get(person.Get(config.AuthCodeURL("the state", oauth2.S256ChallengeOption(pkce))))
	asked := get(person.PostForm(site.URL+"/login", url.Values{
		"username": {"alice@example.com"}, "password": {password}, "request": {field(t, form, "request")}, "csrf": {field(t, form, "csrf")},
	}))
	get(person.PostForm(site.URL+"/o2/consent", consentForm(t, asked, "allow")))
	if arrived == nil || arrived.Query().Get("state") != "the state" || arrived.Query().Get("from") != "here" {
		t.Fatalf("arrived at %v", arrived)
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, site.Client())
	first, err := config.Exchange(ctx, arrived.Query().Get("code"), oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	if first.Extra("id_token") == nil || !first.Valid() || first.Extra("scope") != "openid email" {
		t.Errorf("%+v", first)
	}
	first.Expiry = time.Now().Add(-time.Hour)
	second, err := config.TokenSource(ctx, first).Token()
	if err != nil || second.RefreshToken == first.RefreshToken || !second.Valid() {
		t.Errorf("%+v, %v", second, err)
	}
	if _, err := config.Exchange(ctx, arrived.Query().Get("code"), oauth2.VerifierOption(pkce)); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("the code again: %v", err)
	}
}
