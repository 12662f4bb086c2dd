package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/text/language"
)

// These tests walk through the certification plans of the OpenID Foundation's
// conformance suite for providers as the suite does: with clients that were
// registered by hand, by plain HTTP, and with a browser that knows no script. A
// subtest has the name of the module whose demands it makes, and each of them
// somewhat more. docs/conformance.md has them all.

// A conformance is a run of a plan.
type conformance struct {
	provider *Provider
	db       *Database
	http     *http.Client
	metadata metadata
	oidc     *oidc.Provider

	formPost bool // all requests say response_mode=form_post

	// What the suite is configured with. The clients do not know PKCE.
	client, client2, clientPost registered
}

// A registered is a client of the suite.
type registered struct {
	Credentials
	redirect     string
	authenticate func(*http.Request, url.Values, Credentials) // at the token endpoint
}

const (
	suiteSite       = "https://suite.example.com/test/a/authserver"
	suiteLoggedOut  = suiteSite + "/post_logout_redirect"
	conformanceUser = "alice@example.com"
)

func basic(r *http.Request, _ url.Values, c Credentials) {
	r.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
}

func inBody(_ *http.Request, form url.Values, c Credentials) {
	form.Set("client_id", c.ClientID)
	form.Set("client_secret", c.ClientSecret)
}

// metadata is what discovery says.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	JWKS          string `json:"jwks_uri"`
	EndSession    string `json:"end_session_endpoint"`
}

// newConformance registers the clients of a plan, and starts a provider that
// knows them.
func newConformance(t *testing.T, plan string) *conformance {
	t.Helper()
	c := &conformance{db: OpenProviderDatabase(t)}
	for name, to := range map[string]*registered{
		"client":     {redirect: suiteSite + "/callback", authenticate: basic},
		"client2":    {redirect: suiteSite + "/callback?dummy1=lorem&dummy2=ipsum", authenticate: basic},
		"clientPost": {redirect: suiteSite + "/callback", authenticate: inBody},
	} {
		to.Credentials = c.db.CreateClient(t, plan+" "+name, "--skip-pkce", "--redirect-uri", to.redirect)
		c.db.Operate(t, "oauth2", "edit", to.ClientID, "--set-post-logout-redirect-uri", suiteLoggedOut)
		switch name {
		case "client":
			c.client = *to
		case "client2":
			c.client2 = *to
		case "clientPost":
			c.clientPost = *to
		}
	}
	c.provider = StartProvider(t, "/o2")
	c.http = c.provider.Client()
	var err error
	if c.oidc, err = oidc.NewProvider(oidc.ClientContext(t.Context(), c.http), c.provider.Issuer); err != nil {
		t.Fatal(err)
	}
	if err := c.oidc.Claims(&c.metadata); err != nil {
		t.Fatal(err)
	}
	return c
}

// A module is one of the suite, by its name.
type module struct {
	name string
	walk func(*walk)
}

// run walks through modules. They take turns: some let time pass for all grants
// of a client.
func (c *conformance) run(t *testing.T, modules []module) {
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			m.walk(&walk{T: t, conformance: c, registered: c.client, person: NewPerson(t)})
		})
	}
}

// A walk is a module in progress: a client, and a person before a new browser.
type walk struct {
	*testing.T
	*conformance
	registered
	person *Person
}

// request returns an authorization request as the suite makes it, with some
// parameters changed; an empty one is left out.
func (w *walk) request(changes ...string) url.Values {
	p := url.Values{
		"client_id": {w.ClientID}, "redirect_uri": {w.redirect}, "response_type": {"code"}, "scope": {"openid"},
		"state": {rand.Text()}, "nonce": {rand.Text()},
	}
	if w.formPost {
		p.Set("response_mode", "form_post")
	}
	for change := range slices.Chunk(changes, 2) {
		p.Set(change[0], change[1])
	}
	maps.DeleteFunc(p, func(_ string, values []string) bool { return values[0] == "" })
	return p
}

func (w *walk) authorizationURL(p url.Values) string {
	return w.metadata.Authorization + "?" + p.Encode()
}

// authorize sends the person with a request, who signs in and consents if asked,
// and returns what comes back to the client.
func (w *walk) authorize(p url.Values) url.Values {
	w.Helper()
	return w.answer(p, w.person.SignIn(w.authorizationURL(p), conformanceUser, "alice sings"))
}

// answer checks that an answer to a request is where the request said and how,
// and returns what is in it.
func (w *walk) answer(p url.Values, back Return) url.Values {
	w.Helper()
	to, err := url.Parse(back.URL)
	if err != nil {
		w.Fatal(err)
	}
	want, err := url.Parse(p.Get("redirect_uri"))
	if err != nil {
		w.Fatal(err)
	}
	query := to.Query()
	for name := range want.Query() {
		if !slices.Equal(query[name], want.Query()[name]) {
			w.Errorf("the answer %s lacks the %s that the redirect URI has", back.URL, name)
		}
		query.Del(name)
	}
	to.RawQuery, want.RawQuery = "", ""
	if to.String() != want.String() {
		w.Errorf("the answer goes to %s, want %s", to, want)
	}
	got := query
	if w.formPost {
		if len(query) > 0 {
			w.Errorf("the answer has %v in the query", query)
		}
		if got, err = url.ParseQuery(back.Form); err != nil {
			w.Fatal(err)
		}
	} else if back.Form != "" {
		w.Errorf("the answer is a form: %s", back.Form)
	}
	if !slices.Equal(got["state"], p["state"]) {
		w.Errorf("state is %q, want %q", got["state"], p["state"])
	}
	if got.Get("iss") != w.metadata.Issuer {
		w.Errorf("iss is %q", got.Get("iss"))
	}
	if got.Has("code") == got.Has("error") {
		w.Errorf("the answer is %v", got)
	}
	return got
}

// code is authorize for a request that is answered by a code.
func (w *walk) code(p url.Values) string {
	w.Helper()
	got := w.authorize(p)
	if got.Get("code") == "" {
		w.Fatalf("the answer is %v, want a code", got)
	}
	return got.Get("code")
}

// refused expects an error of the authorization endpoint.
func (w *walk) refused(got url.Values, codes ...string) {
	w.Helper()
	if got.Has("code") || !slices.Contains(codes, got.Get("error")) {
		w.Errorf("the answer is %v, want one of %q", got, codes)
	}
}

// errorPage expects that the person sees an error of ours, and that no client
// hears of it.
func (w *walk) errorPage(code string) {
	w.Helper()
	p := w.person
	if p.Back != nil || p.Status != http.StatusBadRequest || p.form != nil || !strings.Contains(p.Body, "<code>"+code+"</code>") {
		w.Errorf("want a page with the error %s: status %d, %+v\n%s", code, p.Status, p.Back, p.Body)
	}
}

// loginPage opens a request, and expects that a password is asked for.
func (w *walk) loginPage(p url.Values) {
	w.Helper()
	w.person.Open(w.authorizationURL(p))
	if w.person.Back != nil || w.person.form == nil || !w.person.form.takes("password", "") {
		w.Fatalf("want a login page: %+v\n%s", w.person.Back, w.person.Body)
	}
}

// login fills in the login page that is open.
func (w *walk) login(p url.Values) url.Values {
	w.Helper()
	w.person.Send("username", conformanceUser, "password", "alice sings")
	if w.person.Back == nil && w.person.form.takes("decision", "allow") {
		w.person.Send("decision", "allow")
	}
	if w.person.Back == nil { // response_mode=form_post
		w.person.Send()
	}
	return w.answer(p, *w.person.Back)
}

// silent opens a request that is answered without asking anybody.
func (w *walk) silent(p url.Values) url.Values {
	w.Helper()
	w.person.Open(w.authorizationURL(p))
	if w.person.Back == nil && w.formPost {
		w.person.Send()
	}
	if w.person.Back == nil {
		w.Fatalf("want no page: status %d\n%s", w.person.Status, w.person.Body)
	}
	return w.answer(p, *w.person.Back)
}

// A reply is what the token endpoint says.
type reply struct {
	Status       int             `json:"-"`
	AccessToken  string          `json:"access_token"`
	RefreshToken string          `json:"refresh_token"`
	IDToken      string          `json:"id_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in"`
	Scope        string          `json:"scope"`
	Error        string          `json:"error"`
	Description  string          `json:"error_description"`
}

// token asks the token endpoint.
func (w *walk) token(form url.Values) reply {
	w.Helper()
	r := w.newRequest(http.MethodPost, w.metadata.Token, nil)
	w.authenticate(r, form, w.Credentials)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = io.NopCloser(strings.NewReader(form.Encode()))
	status, header, body := w.do(r)
	got := reply{Status: status}
	if err := json.Unmarshal(body, &got); err != nil {
		w.Fatalf("token endpoint: %v: %s", err, body)
	}
	if header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" || header.Get("Pragma") != "no-cache" {
		w.Errorf("token endpoint: headers %v", header)
	}
	return got
}

func (w *walk) exchange(code string) reply {
	w.Helper()
	return w.token(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {w.redirect}})
}

// tokens exchanges a code, and looks at the tokens as the suite does.
func (w *walk) tokens(p url.Values, code string) (reply, *oidc.IDToken) {
	w.Helper()
	got := w.exchange(code)
	return got, w.verify(p, got)
}

// verify looks at tokens that were got by an authorization request.
func (w *walk) verify(p url.Values, got reply) *oidc.IDToken {
	w.Helper()
	var seconds int
	if err := json.Unmarshal(got.ExpiresIn, &seconds); err != nil || seconds <= 0 {
		w.Errorf("expires_in is %s", got.ExpiresIn)
	}
	if got.Status != http.StatusOK || !strings.EqualFold(got.TokenType, "Bearer") || got.AccessToken == "" || got.IDToken == "" {
		w.Fatalf("token endpoint: %+v", got)
	}
	ctx := oidc.ClientContext(w.Context(), w.http)
	token, err := w.oidc.Verifier(&oidc.Config{ClientID: w.ClientID, SupportedSigningAlgs: []string{"RS256"}}).Verify(ctx, got.IDToken)
	if err != nil {
		w.Fatalf("ID token: %v", err)
	}
	if !slices.Equal(token.Audience, []string{w.ClientID}) || token.Subject == "" || len(token.Subject) > 255 {
		w.Errorf("ID token for %q about %q", token.Audience, token.Subject)
	}
	if age := time.Since(token.IssuedAt); age < -5*time.Second || age > 5*time.Minute {
		w.Errorf("the ID token is %v old", age)
	}
	if token.Nonce != p.Get("nonce") {
		w.Errorf("nonce is %q, want %q", token.Nonce, p.Get("nonce"))
	}
	if err := token.VerifyAccessToken(got.AccessToken); err != nil {
		w.Errorf("at_hash: %v", err)
	}
	return token
}

// happy is the whole way: a request, a login, tokens, and the claims of
// UserInfo.
func (w *walk) happy(changes ...string) (*oidc.IDToken, map[string]any) {
	w.Helper()
	p := w.request(changes...)
	got, token := w.tokens(p, w.code(p))
	return token, w.claims(token, w.userInfo(http.MethodGet, got.AccessToken, ""))
}

// userInfo asks UserInfo with a token in the header, or in a form.
func (w *walk) userInfo(method, inHeader, inForm string) *http.Request {
	var body io.Reader
	if inForm != "" {
		body = strings.NewReader(url.Values{"access_token": {inForm}}.Encode())
	}
	r := w.newRequest(method, w.metadata.UserInfo, body)
	if inForm != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if inHeader != "" {
		r.Header.Set("Authorization", "Bearer "+inHeader)
	}
	return r
}

// claims returns what UserInfo answers, which is about the same user as an ID
// token.
func (w *walk) claims(token *oidc.IDToken, r *http.Request) map[string]any {
	w.Helper()
	status, header, body := w.do(r)
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
		w.Fatalf("UserInfo: %v, status %d, %v\n%s", err, status, header, body)
	}
	if claims["sub"] != token.Subject {
		w.Errorf("UserInfo is about %v, the ID token about %s", claims["sub"], token.Subject)
	}
	for name, value := range claims {
		if value == nil || value == "" {
			w.Errorf("the claim %s is empty", name)
		}
	}
	return claims
}

func (w *walk) newRequest(method, url string, body io.Reader) *http.Request {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, url, body)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *walk) do(r *http.Request) (status int, header http.Header, body []byte) {
	w.Helper()
	answer, err := w.http.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		w.Fatal(err)
	}
	return answer.StatusCode, answer.Header, body
}

// pass lets time pass, for the grants of the client and the sessions that they
// are of.
func (w *walk) pass(seconds int) {
	w.Helper()
	conn := w.db.Connect(w.T)
	for _, statement := range []string{
		`update auth.sessions s set auth_time = s.auth_time - $2 * interval '1 s', expires_at = s.expires_at - $2 * interval '1 s'
		   from auth.oauth2_grants g, auth.oauth2_clients c
		  where g.session_id = s.id and c.id = g.client_id and c.client_id = $1`,
		`update auth.oauth2_grants g set created_at = g.created_at - $2 * interval '1 s', auth_time = g.auth_time - $2 * interval '1 s',
		        code_expires_at = g.code_expires_at - $2 * interval '1 s', redeemed_at = g.redeemed_at - $2 * interval '1 s',
		        expires_at = g.expires_at - $2 * interval '1 s'
		   from auth.oauth2_clients c
		  where c.id = g.client_id and c.client_id = $1`,
	} {
		if _, err := conn.Exec(w.Context(), statement, w.ClientID, seconds); err != nil {
			w.Fatal(err)
		}
	}
}

// authTime returns the claim auth_time.
func (w *walk) authTime(token *oidc.IDToken) int64 {
	w.Helper()
	var claims struct {
		AuthTime int64 `json:"auth_time"`
	}
	if err := token.Claims(&claims); err != nil || claims.AuthTime == 0 {
		w.Errorf("ID token without auth_time: %v", err)
	}
	return claims.AuthTime
}

// requestObject returns a request as an unsigned JWT (OpenID Connect Core
// section 6.1).
func requestObject(t *testing.T, p url.Values) string {
	t.Helper()
	claims := map[string]string{}
	for name := range p {
		claims[name] = p.Get(name)
	}
	return unsigned(t, claims)
}

// unsigned returns claims as a JWT that nobody has signed.
func unsigned(t *testing.T, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + "."
}

// basicModules are those of oidcc-basic-certification-test-plan, in its order.
var basicModules = []module{
	{"oidcc-server", func(w *walk) {
		w.happy()
		w.registered = w.client2 // has a redirect URI with a query
		w.happy()
	}},
	{"oidcc-response-type-missing", func(w *walk) {
		w.refused(w.silent(w.request("response_type", "")), "invalid_request", "unsupported_response_type")
		for _, other := range []string{"token", "id_token", "code id_token", "CODE"} {
			w.refused(w.silent(w.request("response_type", other)), "unsupported_response_type")
		}
	}},
	{"oidcc-idtoken-signature", func(w *walk) {
		p := w.request()
		got, _ := w.tokens(p, w.code(p))
		token, err := jose.ParseSignedCompact(got.IDToken, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil || token.Signatures[0].Header.KeyID == "" {
			w.Errorf("ID token: %v, %+v", err, token)
		}
	}},
	{"oidcc-idtoken-unsigned", func(w *walk) { // no client can ask for it, and so the suite leaves it out
		if document := w.discovery(); slices.Contains(document.IDTokenAlgs, "none") {
			w.Error("discovery says that ID tokens may be unsigned")
		}
	}},
	{"oidcc-userinfo-get", func(w *walk) { w.happy() }},
	{"oidcc-userinfo-post-header", func(w *walk) {
		p := w.request()
		got, token := w.tokens(p, w.code(p))
		w.claims(token, w.userInfo(http.MethodPost, got.AccessToken, ""))
	}},
	{"oidcc-userinfo-post-body", func(w *walk) {
		p := w.request()
		got, token := w.tokens(p, w.code(p))
		w.claims(token, w.userInfo(http.MethodPost, "", got.AccessToken))
	}},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", func(w *walk) {
		token, _ := w.happy("nonce", "")
		var claims map[string]any
		if err := token.Claims(&claims); err != nil || claims["nonce"] != nil {
			w.Errorf("ID token: %v, %v", claims, err)
		}
	}},
	{"oidcc-scope-profile", func(w *walk) {
		_, claims := w.happy("scope", "openid profile")
		if claims["name"] != "Alice" || claims["preferred_username"] != "alice" || claims["email"] != nil {
			w.Errorf("UserInfo: %v", claims)
		}
	}},
	{"oidcc-scope-email", func(w *walk) {
		_, claims := w.happy("scope", "openid email")
		if claims["email"] != conformanceUser || claims["email_verified"] != true || claims["name"] != nil {
			w.Errorf("UserInfo: %v", claims)
		}
	}},
	// Nobody's address and phone number are known here.
	{"oidcc-scope-address", func(w *walk) { w.lacks("address", "openid address") }},
	{"oidcc-scope-phone", func(w *walk) { w.lacks("phone_number", "openid phone") }},
	{"oidcc-scope-all", func(w *walk) {
		_, claims := w.happy("scope", "openid profile email address phone")
		if claims["name"] != "Alice" || claims["email"] != conformanceUser {
			w.Errorf("UserInfo: %v", claims)
		}
	}},
	{"oidcc-alternate-happy-flow", func(w *walk) {
		p := w.request()
		p.Del("scope")
		reordered := "scope=email+openid"
		for _, name := range slices.Backward(slices.Sorted(maps.Keys(p))) {
			reordered += "&" + url.Values{name: p[name]}.Encode()
		}
		back := w.person.SignIn(w.metadata.Authorization+"?"+reordered, conformanceUser, "alice sings")
		got, token := w.tokens(p, w.answer(p, back).Get("code"))
		if claims := w.claims(token, w.userInfo(http.MethodGet, got.AccessToken, "")); claims["email"] != conformanceUser {
			w.Errorf("UserInfo: %v", claims)
		}
	}},
	{"oidcc-display-page", func(w *walk) { w.happy("display", "page") }},
	{"oidcc-display-popup", func(w *walk) { w.happy("display", "popup") }},
	{"oidcc-prompt-login", func(w *walk) {
		p := w.request()
		code := w.code(p)
		w.pass(1)
		_, first := w.tokens(p, code)
		p = w.request("prompt", "login")
		w.loginPage(p)
		// Whoever does not sign in is asked again, though there is a session.
		w.loginPage(p)
		_, second := w.tokens(p, w.login(p).Get("code"))
		if first.Subject != second.Subject || w.authTime(second) <= w.authTime(first) {
			w.Errorf("auth_time was %d, is %d", w.authTime(first), w.authTime(second))
		}
	}},
	{"oidcc-prompt-none-not-logged-in", func(w *walk) {
		w.refused(w.silent(w.request("prompt", "none")), "login_required")
	}},
	{"oidcc-prompt-none-logged-in", func(w *walk) {
		first, _ := w.happy()
		p := w.request("prompt", "none")
		_, second := w.tokens(p, w.silent(p).Get("code"))
		if first.Subject != second.Subject || w.authTime(first) != w.authTime(second) {
			w.Errorf("%+v after %+v", second, first)
		}
	}},
	{"oidcc-max-age-1", func(w *walk) {
		p := w.request()
		code := w.code(p)
		w.pass(2)
		_, first := w.tokens(p, code)
		p = w.request("max_age", "1")
		w.loginPage(p)
		_, second := w.tokens(p, w.login(p).Get("code"))
		if first.Subject != second.Subject || w.authTime(second) <= w.authTime(first) || time.Now().Unix()-w.authTime(second) > 60 {
			w.Errorf("auth_time was %d, is %d", w.authTime(first), w.authTime(second))
		}
	}},
	{"oidcc-max-age-10000", func(w *walk) {
		first, _ := w.happy("max_age", "15000")
		p := w.request("max_age", "10000")
		_, second := w.tokens(p, w.silent(p).Get("code"))
		if first.Subject != second.Subject || w.authTime(first) != w.authTime(second) {
			w.Errorf("%+v after %+v", second, first)
		}
	}},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", func(w *walk) {
		w.happy("extra", "foobar", "https://example.com/extra", "ünknown")
	}},
	{"oidcc-id-token-hint", func(w *walk) {
		p := w.request()
		got, first := w.tokens(p, w.code(p))
		p = w.request("prompt", "none", "id_token_hint", got.IDToken)
		if _, second := w.tokens(p, w.silent(p).Get("code")); first.Subject != second.Subject {
			w.Errorf("%s after %s", second.Subject, first.Subject)
		}
		// Somebody else is signed in.
		other := NewPerson(w.T)
		other.SignIn(w.authorizationURL(w.request()), "bob@example.com", "bob builds")
		w.person = other
		w.refused(w.silent(p), "login_required")
	}},
	{"oidcc-login-hint", func(w *walk) {
		p := w.request("login_hint", "buffy@"+AuthHost)
		w.loginPage(p)
		if got := w.person.form.fields.Get("username"); got != "buffy@"+AuthHost {
			w.Errorf("the form has the name %q", got)
		}
		w.tokens(p, w.login(p).Get("code"))
	}},
	{"oidcc-ui-locales", func(w *walk) {
		p := w.request("ui_locales", "se")
		w.loginPage(p)
		if !strings.Contains(w.person.Body, `<html lang="en">`) {
			w.Errorf("in which language is this?\n%s", w.person.Body)
		}
		w.tokens(p, w.login(p).Get("code"))
		w.loginPage(w.request("ui_locales", "se uk de", "prompt", "login"))
		if !strings.Contains(w.person.Body, `<html lang="uk">`) {
			w.Errorf("in which language is this?\n%s", w.person.Body)
		}
	}},
	{"oidcc-claims-locales", func(w *walk) { w.happy("claims_locales", "se") }},
	{"oidcc-ensure-request-with-acr-values-succeeds", func(w *walk) {
		for _, values := range []string{"1 2", "urn:example:gold"} {
			token, _ := w.happy("acr_values", values)
			var claims struct{ ACR string }
			if err := token.Claims(&claims); err != nil || claims.ACR != "1" {
				w.Errorf("acr is %q, %v", claims.ACR, err)
			}
		}
	}},
	{"oidcc-codereuse", func(w *walk) { w.reuse(0) }},
	{"oidcc-codereuse-30seconds", func(w *walk) { w.reuse(30) }},
	{"oidcc-ensure-registered-redirect-uri", func(w *walk) {
		site, _ := url.Parse(w.redirect)
		for _, uri := range []string{
			w.redirect + "/" + rand.Text(), // which the suite sends
			w.redirect + "?a=b", w.redirect + "/", w.redirect + "#f", w.redirect + "%20", w.redirect + "/../callback",
			strings.ToUpper(w.redirect), strings.Replace(w.redirect, "https:", "http:", 1),
			strings.Replace(w.redirect, site.Host, site.Host+":8443", 1), strings.Replace(w.redirect, site.Host, "suite.example.com@evil.test", 1),
			strings.Replace(w.redirect, site.Host, site.Host+".", 1), strings.Replace(w.redirect, site.Host, site.Host+".evil.test", 1),
			strings.Replace(w.redirect, "callback", "c%61llback", 1), `https://suite.example.com\@evil.test/callback`,
			"javascript:alert(1)", "//suite.example.com/callback", "callback",
		} {
			w.person.Open(w.authorizationURL(w.request("redirect_uri", uri)))
			w.errorPage("invalid_request")
			if strings.Contains(w.person.Body, "evil.test") || w.person.Header.Get("Location") != "" {
				w.Errorf("%s: the page leads there\n%s", uri, w.person.Body)
			}
		}
	}},
	{"oidcc-ensure-post-request-succeeds", func(w *walk) {
		p := w.request()
		w.person.load(http.MethodPost, w.metadata.Authorization, strings.NewReader(p.Encode()))
		w.tokens(p, w.login(p).Get("code"))
	}},
	{"oidcc-server-client-secret-post", func(w *walk) {
		w.registered = w.clientPost
		w.happy()
	}},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", func(w *walk) {
		w.refused(w.silent(w.request("request_uri", suiteSite+"/requesturi")), "request_uri_not_supported")
	}},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", func(w *walk) {
		w.refused(w.silent(w.request("request", requestObject(w.T, w.request()))), "request_not_supported")
	}},
	{"oidcc-claims-essential", func(w *walk) {
		_, claims := w.happy("claims", `{"userinfo": {"name": {"essential": true}}}`)
		if claims["name"] != "Alice" {
			w.Errorf("UserInfo: %v", claims)
		}
	}},
	{"oidcc-ensure-request-object-with-redirect-uri", func(w *walk) {
		w.person.Open(w.authorizationURL(w.request("redirect_uri", w.redirect+"/"+rand.Text(), "request", requestObject(w.T, w.request()))))
		w.errorPage("invalid_request")
	}},
	{"oidcc-refresh-token", func(w *walk) {
		var tokens [2]string
		for i, client := range []registered{w.client, w.client2} {
			w.registered = client
			p := w.request("scope", "openid offline_access", "prompt", "consent")
			got, first := w.tokens(p, w.code(p))
			if strings.ContainsFunc(got.RefreshToken, func(r rune) bool { return r < ' ' || '~' < r }) || got.RefreshToken == "" {
				w.Fatalf("refresh token %q", got.RefreshToken)
			}
			again := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.RefreshToken}})
			tokens[i] = again.RefreshToken
			p.Set("nonce", "") // there is none, or the first one: either is right (OpenID Connect Core section 12.2)
			second := w.verify(p, again)
			if second.Subject != first.Subject || second.Issuer != first.Issuer || w.authTime(second) != w.authTime(first) ||
				second.IssuedAt.Before(first.IssuedAt) || again.AccessToken == got.AccessToken {
				w.Errorf("ID token %+v after %+v", second, first)
			}
			w.claims(second, w.userInfo(http.MethodGet, again.AccessToken, ""))
		}
		w.registered = w.client
		if got := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens[1]}}); got.Status != http.StatusBadRequest || got.Error != "invalid_grant" {
			w.Errorf("the refresh token of another client: %+v", got)
		}
	}},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", func(w *walk) {
		p := w.request("code_challenge", appChallenge, "code_challenge_method", "S256")
		form := url.Values{"grant_type": {"authorization_code"}, "code": {w.code(p)}, "redirect_uri": {w.redirect}}
		if got := w.token(form); got.Status != http.StatusBadRequest || got.Error != "invalid_grant" {
			w.Errorf("without the verifier: %+v", got)
		}
		form.Set("code_verifier", appVerifier)
		w.verify(p, w.token(form))
	}},
}

// lacks expects that a scope is taken, for which there is no claim.
func (w *walk) lacks(claim, scope string) {
	w.Helper()
	if _, claims := w.happy("scope", scope); claims[claim] != nil {
		w.Errorf("UserInfo: %v", claims)
	}
	if slices.Contains(w.discovery().Scopes, strings.TrimPrefix(scope, "openid ")) {
		w.Errorf("discovery says that there are claims for %s", scope)
	}
}

// reuse exchanges a code twice, with so many seconds between.
func (w *walk) reuse(after int) {
	w.Helper()
	p := w.request()
	code := w.code(p)
	got, token := w.tokens(p, code)
	w.claims(token, w.userInfo(http.MethodGet, got.AccessToken, ""))
	w.pass(after)
	if again := w.exchange(code); again.Status != http.StatusBadRequest || again.Error != "invalid_grant" || again.AccessToken != "" {
		w.Errorf("a code a second time: %+v", again)
	}
	status, header, body := w.do(w.userInfo(http.MethodGet, got.AccessToken, ""))
	if status != http.StatusUnauthorized || !strings.Contains(header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		w.Errorf("the access token of that code: status %d, %v\n%s", status, header, body)
	}
	if again := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.RefreshToken}}); again.Error != "invalid_grant" {
		w.Errorf("the refresh token of that code: %+v", again)
	}
}

// A discoveryDocument is what the suite looks at in it.
type discoveryDocument struct {
	metadata
	ResponseTypes    []string `json:"response_types_supported"`
	ResponseModes    []string `json:"response_modes_supported"`
	GrantTypes       []string `json:"grant_types_supported"`
	SubjectTypes     []string `json:"subject_types_supported"`
	IDTokenAlgs      []string `json:"id_token_signing_alg_values_supported"`
	Scopes           []string `json:"scopes_supported"`
	Claims           []string `json:"claims_supported"`
	UILocales        []string `json:"ui_locales_supported"`
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
	Registration     *string  `json:"registration_endpoint"`
	Request          *bool    `json:"request_parameter_supported"`
	RequestURI       *bool    `json:"request_uri_parameter_supported"`
	ClaimsParameter  bool     `json:"claims_parameter_supported"`
}

// discovery reads the document where the issuer has it.
func (w *walk) discovery() (document discoveryDocument) {
	w.Helper()
	status, header, body := w.do(w.newRequest(http.MethodGet, w.provider.Issuer+"/.well-known/openid-configuration", nil))
	if err := json.Unmarshal(body, &document); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
		w.Fatalf("discovery: %v, status %d, %v\n%s", err, status, header, body)
	}
	return document
}

// verifyDiscovery makes the checks of oidcc-discovery-endpoint-verification.
func (w *walk) verifyDiscovery() {
	d := w.discovery()
	if d.Issuer != w.provider.Issuer {
		w.Errorf("issuer is %q", d.Issuer)
	}
	for name, values := range map[string]struct{ got, want []string }{
		"response_types_supported":              {d.ResponseTypes, []string{"code"}},
		"response_modes_supported":              {d.ResponseModes, []string{"query", "form_post"}},
		"grant_types_supported":                 {d.GrantTypes, []string{"authorization_code", "refresh_token"}},
		"subject_types_supported":               {d.SubjectTypes, []string{"public"}},
		"id_token_signing_alg_values_supported": {d.IDTokenAlgs, []string{"RS256"}},
		"scopes_supported":                      {d.Scopes, []string{"openid", "offline_access"}},
		"claims_supported":                      {d.Claims, []string{"sub", "iss", "name", "email"}},
		"code_challenge_methods_supported":      {d.ChallengeMethods, []string{"S256"}},
	} {
		for _, want := range values.want {
			if !slices.Contains(values.got, want) {
				w.Errorf("%s is %q, want also %s", name, values.got, want)
			}
		}
	}
	for _, scope := range d.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			w.Errorf("scope %q", scope)
		}
	}
	for _, locale := range d.UILocales {
		if tag, err := language.Parse(locale); err != nil || tag.String() != locale {
			w.Errorf("locale %q: %v", locale, err)
		}
	}
	for name, endpoint := range map[string]string{
		"authorization": d.Authorization, "token": d.Token, "userinfo": d.UserInfo, "jwks": d.JWKS, "end session": d.EndSession,
	} {
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
			w.Errorf("endpoint %s: %q", name, endpoint)
		}
	}
	if d.Registration != nil || d.Request == nil || *d.Request || d.RequestURI == nil || *d.RequestURI || !d.ClaimsParameter {
		w.Errorf("discovery: %+v", d)
	}

	_, _, body := w.do(w.newRequest(http.MethodGet, d.JWKS, nil))
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(body, &keys); err != nil || len(keys.Keys) == 0 {
		w.Fatalf("keys: %v\n%s", err, body)
	}
	ids := map[string]bool{}
	for _, key := range keys.Keys {
		if !key.Valid() || !key.IsPublic() || key.KeyID == "" || key.Use != "sig" {
			w.Errorf("key %+v", key)
		}
		if ids[key.KeyID+key.Algorithm] {
			w.Errorf("two keys are %s", key.KeyID)
		}
		ids[key.KeyID+key.Algorithm] = true
	}
}

var configModules = []module{
	{"oidcc-discovery-endpoint-verification", (*walk).verifyDiscovery},
}

// logoutModules are those of oidcc-rp-initiated-logout-certification-test-plan.
var logoutModules = []module{
	{"oidcc-rp-initiated-logout-discovery-endpoint-verification", (*walk).verifyDiscovery},
	{"oidcc-rp-initiated-logout", func(w *walk) {
		w.person.Open(w.endSession(w.signIn(), "state", "a b&c"))
		w.signedOut(suiteLoggedOut + "?state=a+b%26c")
	}},
	{"oidcc-rp-initiated-logout-no-state", func(w *walk) {
		w.person.Open(w.endSession(w.signIn(), "state", ""))
		w.signedOut(suiteLoggedOut)
	}},
	{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", func(w *walk) {
		token := w.signIn()
		for _, uri := range []string{
			suiteLoggedOut + "/" + rand.Text(), "https://evil.test/", w.redirect, "http" + strings.TrimPrefix(suiteLoggedOut, "https"), suiteLoggedOut + "#f",
		} {
			w.person.Open(w.endSession(token, "post_logout_redirect_uri", uri))
			w.errorPage("invalid_request")
		}
		w.stillSignedIn()
	}},
	{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", func(w *walk) {
		w.person.Open(w.endSession(w.signIn(), "post_logout_redirect_uri", suiteLoggedOut+"?foo=bar"))
		w.errorPage("invalid_request")
		w.stillSignedIn()
	}},
	{"oidcc-rp-initiated-logout-modified-id-token-hint", func(w *walk) {
		_, payload, _ := strings.Cut(w.signIn(), ".")
		payload, _, _ = strings.Cut(payload, ".")
		claims, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			w.Fatal(err)
		}
		w.person.Open(w.endSession(unsigned(w.T, json.RawMessage(claims))))
		w.errorPage("invalid_request")
		w.stillSignedIn()
	}},
	{"oidcc-rp-initiated-logout-bad-id-token-hint", func(w *walk) {
		_, payload, _ := strings.Cut(w.signIn(), ".")
		payload, _, _ = strings.Cut(payload, ".")
		claims, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			w.Fatal(err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(w.ClientSecret)}, nil)
		if err != nil {
			w.Fatal(err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			w.Fatal(err)
		}
		forged, err := signed.CompactSerialize()
		if err != nil {
			w.Fatal(err)
		}
		w.person.Open(w.endSession(forged))
		w.errorPage("invalid_request")
		w.stillSignedIn()
	}},
	{"oidcc-rp-initiated-logout-no-id-token-hint", func(w *walk) {
		w.signIn()
		w.person.Open(w.endSession(""))
		w.errorPage("invalid_request")
		w.stillSignedIn()
	}},
	{"oidcc-rp-initiated-logout-no-params", func(w *walk) {
		w.signIn()
		w.person.Open(w.metadata.EndSession)
		w.confirm()
	}},
	{"oidcc-rp-initiated-logout-only-state", func(w *walk) {
		w.signIn()
		w.person.Open(w.metadata.EndSession + "?state=" + rand.Text())
		w.confirm()
	}},
	{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", func(w *walk) {
		w.person.Open(w.endSession(w.signIn(), "post_logout_redirect_uri", ""))
		w.signedOutPage()
	}},
}

// signIn signs the person in to the client, and returns the ID token.
func (w *walk) signIn() string {
	w.Helper()
	p := w.request()
	got, _ := w.tokens(p, w.code(p))
	return got.IDToken
}

// endSession returns the URL of a request to sign out, with some parameters
// changed; an empty one is left out.
func (w *walk) endSession(idToken string, changes ...string) string {
	p := url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {suiteLoggedOut}, "state": {rand.Text()}}
	for change := range slices.Chunk(changes, 2) {
		p.Set(change[0], change[1])
	}
	maps.DeleteFunc(p, func(_ string, values []string) bool { return values[0] == "" })
	return w.metadata.EndSession + "?" + p.Encode()
}

// signedOut expects that the person is signed out, and sent on to a URL.
func (w *walk) signedOut(to string) {
	w.Helper()
	if w.person.Back == nil || *w.person.Back != (Return{URL: to}) {
		w.Errorf("signing out leads to %+v, want %s\n%s", w.person.Back, to, w.person.Body)
	}
	w.refused(w.silent(w.request("prompt", "none")), "login_required")
}

// confirm expects that the person is asked, and signs out.
func (w *walk) confirm() {
	w.Helper()
	if w.person.Back != nil || w.person.form == nil {
		w.Fatalf("want a question: %+v\n%s", w.person.Back, w.person.Body)
	}
	w.stillSignedInAfter(func() { w.person.Send() })
	w.signedOutPage()
}

// stillSignedInAfter checks that showing a page has not signed out, before an
// action on it.
func (w *walk) stillSignedInAfter(act func()) {
	w.Helper()
	page, form, at := w.person.Page, w.person.form, w.person.URL
	w.stillSignedIn()
	w.person.Page, w.person.form, w.person.URL, w.person.Back = page, form, at, nil
	act()
}

// signedOutPage expects that the person is signed out, and told so.
func (w *walk) signedOutPage() {
	w.Helper()
	if w.person.Back != nil || w.person.Status != http.StatusOK || w.person.form != nil || !strings.Contains(w.person.Body, "You are signed out") {
		w.Errorf("want a page that says so: %+v, status %d\n%s", w.person.Back, w.person.Status, w.person.Body)
	}
	w.refused(w.silent(w.request("prompt", "none")), "login_required")
}

func (w *walk) stillSignedIn() {
	w.Helper()
	if got := w.silent(w.request("prompt", "none")); !got.Has("code") {
		w.Errorf("the person is signed out: %v", got)
	}
}

func TestConformanceBasic(t *testing.T) {
	t.Parallel()
	newConformance(t, "basic").run(t, basicModules)
}

func TestConformanceFormPost(t *testing.T) {
	t.Parallel()
	c := newConformance(t, "formpost")
	c.formPost = true
	c.run(t, basicModules)
}

func TestConformanceConfig(t *testing.T) {
	t.Parallel()
	newConformance(t, "config").run(t, configModules)
}

func TestConformanceLogout(t *testing.T) {
	t.Parallel()
	newConformance(t, "logout").run(t, logoutModules)
}

// What the page says to type makes the clients of the suite, and removes them.
func TestConformanceClients(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range regexp.MustCompile(`(?m)^\$ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, line[1])
	}
	db := OpenProviderDatabase(t)
	db.Type(t, strings.Join(lines, "\n"))
	var clients []struct {
		Name           string   `json:"client_name"`
		RequirePKCE    bool     `json:"require_pkce"`
		RedirectURIs   []string `json:"redirect_uris"`
		PostLogoutURIs []string `json:"post_logout_redirect_uris"`
	}
	shown := db.Operate(t, "oauth2", "show", "suite", "suite2", "suite3", "-f", "json")
	if err := json.Unmarshal([]byte(shown), &clients); err != nil || len(clients) != 3 {
		t.Fatalf("%v: %s", err, shown)
	}
	for _, c := range clients {
		want := "/callback"
		if c.Name == "suite2" {
			want = "/callback?dummy1=lorem&dummy2=ipsum"
		}
		if c.RequirePKCE || !slices.Contains(c.RedirectURIs, "https://localhost.emobix.co.uk:8443/test/a/authserver"+want) ||
			!slices.Equal(c.PostLogoutURIs, []string{"https://localhost.emobix.co.uk:8443/test/a/authserver/post_logout_redirect"}) {
			t.Errorf("client %+v", c)
		}
	}
	removal := regexp.MustCompile("`(authserver oauth2 remove [^`]+)`").FindStringSubmatch(string(text))
	if removal == nil {
		t.Fatal("the page does not say how they are removed")
	}
	db.Type(t, removal[1])
}

// The page says of each module which test shows it.
func TestConformancePage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	for plan, of := range map[string]struct {
		test    string
		modules []module
	}{
		"Basic":               {"TestConformanceBasic", basicModules},
		"Config":              {"TestConformanceConfig", configModules},
		"RP-initiated logout": {"TestConformanceLogout", logoutModules},
	} {
		_, section, ok := strings.Cut(string(text), "\n## "+plan+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !ok || !strings.Contains(section, "`"+of.test+"`") {
			t.Errorf("the section %s does not name %s", plan, of.test)
		}
		var listed, walked []string
		for line := range strings.Lines(section) {
			if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && strings.HasPrefix(line, "| `oidcc-") {
				listed = append(listed, name)
			}
		}
		for _, m := range of.modules {
			walked = append(walked, m.name)
		}
		if slices.Sort(listed); !slices.Equal(listed, slices.Sorted(slices.Values(walked))) {
			t.Errorf("%s lists\n%s\nand the tests walk through\n%s", plan, fmt.Sprint(listed), fmt.Sprint(walked))
		}
	}
	for _, named := range regexp.MustCompile("`([a-z0-9]+)\\.(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1) {
		dir := "../authserver/" + named[1]
		if named[1] == "e2e" {
			dir = "."
		}
		if !hasTest(t, dir, named[2]) {
			t.Errorf("there is no test %s.%s", named[1], named[2])
		}
	}
}

// hasTest tells whether a folder has a test with this name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
