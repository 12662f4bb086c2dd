package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

const openidClientPage = "openid-client.md"

// The application of the guide signs a user in, refreshes its tokens, and signs
// the user out, everywhere.
func TestOpenIDClientGuide(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	port := FreePort()
	site, siteCertificate := startProxy(t, "notes.example.com", port)
	lines := sectionLines(t, openidClientPage, "Client")
	inPlace := strings.NewReplacer("https://notes.example.com", site)
	client := ReadCredentials(t, db.Type(t, inPlace.Replace(lines[0])))
	for _, line := range lines[1:] {
		db.Type(t, inPlace.Replace(line))
	}
	// The application refreshes half a minute before the end: always.
	db.Operate(t, "oauth2", "edit", client.ClientID, "--set-access-token-lifetime", "20s")
	auth := StartProvider(t, "/o2")

	root := NewRoot(t, "trixie-browser")
	auth.Reachable(root)
	if err := os.CopyFS(root.Path("/srv/notes/node_modules"), os.DirFS(Tool(t, "node_modules"))); err != nil {
		t.Fatal(err)
	}
	edit := strings.NewReplacer("https://notes.example.com", site, "https://"+AuthHost, auth.URL(""),
		"CLIENT_ID", client.ClientID, "CLIENT_SECRET", client.ClientSecret, "listen(3000,", "listen("+strconv.Itoa(port)+",")
	for _, section := range []string{"Client", "Application"} {
		for _, f := range ReadGuide(t, openidClientPage, section).Files {
			root.Write(f.Name, edit.Replace(f.Content))
		}
	}
	root.Start(port, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"env", "NODE_EXTRA_CA_CERTS=/etc/ssl/auth.pem", "node", "/srv/notes/notes.mjs")

	tab := StartChromium(t, auth.Certificate, siteCertificate).NewTab(Visitor{Language: "en"})
	tab.Open(site + "/")
	tab.Press("Sign in")
	tab.Fill("username", "alice@example.com")
	tab.Fill("password", "alice sings")
	tab.Press("Sign in")
	if text := tab.Text(); !strings.Contains(text, "notes") {
		t.Errorf("the page does not say who asks:\n%s", text)
	}
	tab.Press("Allow")
	for visit := range 3 { // each refreshes
		if text := tab.Text(); tab.URL() != site+"/" || !strings.Contains(text, "Notes of Alice") || !strings.Contains(text, "alice@example.com") {
			t.Fatalf("visit %d: %s shows\n%s", visit, tab.URL(), text)
		}
		tab.Open(site + "/")
	}
	tab.Press("Sign out")
	if text := tab.Text(); tab.URL() != site+"/" || strings.Contains(text, "Alice") {
		t.Errorf("signed out: %s shows\n%s", tab.URL(), text)
	}
	tab.Press("Sign in")
	if !strings.HasPrefix(tab.URL(), auth.URL("/login")) {
		t.Errorf("after signing out, a login leads to %s", tab.URL())
	}
}

// newKey returns the private JWK of a client, and the file of its JWK set.
func newKey(t *testing.T) (private json.RawMessage, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: "2026-11", Algorithm: "ES256", Use: "sig"}
	if private, err = json.Marshal(jwk); err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "reports.jwks.json")
	if err := os.WriteFile(file, set, 0o644); err != nil {
		t.Fatal(err)
	}
	return private, file
}

// A refusedAs tells whether an error of a relying party is this OAuth error.
func refusedAs(err error, code string) bool {
	var refused *ScriptError
	return errors.As(err, &refused) && refused.OAuth == code
}

// openid-client does all that a relying party does, by each way to authenticate.
func TestOpenIDClient(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	key, jwks := newKey(t)
	reports := sectionLines(t, openidClientPage, "Without a secret in two places")
	byKey := ReadCredentials(t, db.Type(t, reports[0]))
	db.Type(t, strings.NewReplacer("reports.jwks.json", jwks).Replace(reports[1]))
	viewer := ReadCredentials(t, db.Type(t, sectionLines(t, openidClientPage, "Programs that can keep no secret")[0]))
	if viewer.ClientSecret != "" {
		t.Errorf("a public client has a secret")
	}
	bySecret := db.CreateClient(t, "openid-client", "--redirect-uri", "https://app.example.org/callback")
	for _, id := range []string{byKey.ClientID, viewer.ClientID, bySecret.ClientID} {
		db.Operate(t, "oauth2", "edit", id, "--set-post-logout-redirect-uri", "https://app.example.org/bye")
	}
	auth := StartProvider(t, "/o2")
	root := NewRoot(t, "trixie-browser")
	auth.Reachable(root)

	for method, rp := range map[string]struct {
		Registration
		redirect string
	}{
		"client_secret_basic": {Registration{ClientID: bySecret.ClientID, ClientSecret: bySecret.ClientSecret}, "https://app.example.org/callback"},
		"client_secret_post":  {Registration{ClientID: bySecret.ClientID, ClientSecret: bySecret.ClientSecret}, "https://app.example.org/callback"},
		"private_key_jwt":     {Registration{ClientID: byKey.ClientID, Key: key}, "https://reports.example.com/callback"},
		"none":                {Registration{ClientID: viewer.ClientID}, "http://127.0.0.1:40123/callback"},
	} {
		t.Run(method, func(t *testing.T) {
			rp.Issuer, rp.Authentication = auth.Issuer, method
			testRelyingPartyAgainst(t, auth, StartRelyingParty(root, rp.Registration), method, rp.redirect)
		})
	}
}

func testRelyingPartyAgainst(t *testing.T, auth *Provider, app *RelyingParty, method, redirect string) {
	if got := app.Provider["issuer"]; got != auth.Issuer {
		t.Errorf("discovered %v, want %s", got, auth.Issuer)
	}
	alice := NewPerson(t)
	login := map[string]string{"redirect_uri": redirect, "scope": "openid profile email groups"}
	back := alice.SignIn(app.Authorize(login), "alice@example.com", "alice sings")
	tokens, err := app.Redeem(back, nil)
	if err != nil {
		t.Fatalf("redeeming: %v", err)
	}
	if tokens.TokenType != "bearer" || tokens.ExpiresIn != 300 || tokens.RefreshToken == "" || tokens.Claims["name"] != nil {
		t.Errorf("tokens: %+v", tokens)
	}
	subject, _ := tokens.Claims["sub"].(string)

	claims, err := app.Userinfo(tokens.AccessToken, subject)
	want := map[string]any{
		"sub": subject, "user_id": "alice@example.com", "name": "Alice", "preferred_username": "alice", "nickname": "alice",
		"username": "alice@example.com", "email": "alice@example.com", "email_verified": true,
		"eve_character_id": 90000001.0, // as the page on OAuth 2.0 makes it
	}
	if err != nil || !maps.Equal(claims, want) {
		t.Errorf("userinfo: %v, %v, want %v", claims, err, want)
	}

	// Each refresh has a successor. Who lost the answer gets the same again; who
	// has an old one is somebody else, and all ends.
	next, err := app.Refresh(tokens.RefreshToken, nil)
	if err != nil || next.RefreshToken == tokens.RefreshToken || next.Claims["sub"] != subject {
		t.Fatalf("refreshing: %+v, %v", next, err)
	}
	again, err := app.Refresh(tokens.RefreshToken, nil)
	if err != nil || again.RefreshToken != next.RefreshToken {
		t.Errorf("refreshing once more: %+v, %v, want the same successor", again, err)
	}
	last, err := app.Refresh(next.RefreshToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Userinfo(last.AccessToken, subject); err != nil {
		t.Errorf("userinfo with a refreshed token: %v", err)
	}
	if _, err := app.Refresh(tokens.RefreshToken, nil); !refusedAs(err, "invalid_grant") {
		t.Errorf("an old refresh token: %v", err)
	}
	if _, err := app.Refresh(last.RefreshToken, nil); !refusedAs(err, "invalid_grant") {
		t.Errorf("the current refresh token after an old one: %v", err)
	}
	if _, err := app.Userinfo(last.AccessToken, subject); err == nil {
		t.Errorf("userinfo answers after an old refresh token came")
	}

	// Nothing is asked a second time, unless it may be another program that asks.
	signedIn := func() Return {
		if method == "none" {
			return alice.SignIn(app.Authorize(login), "", "")
		}
		return alice.Answer(app.Authorize(login))
	}
	tokens, err = app.Redeem(signedIn(), nil)
	if err != nil {
		t.Fatal(err)
	}
	introspect := func(token string) any {
		t.Helper()
		answer, err := app.Introspect(token)
		if method == "none" {
			if !refusedAs(err, "invalid_client") {
				t.Errorf("introspection by a public client: %v, %v", answer, err)
			}
			return nil
		}
		if err != nil {
			t.Errorf("introspection: %v", err)
		}
		if answer["active"] == true && (answer["sub"] != subject || answer["username"] != "alice@example.com") {
			t.Errorf("introspection: %v", answer)
		}
		return answer["active"]
	}
	expect := func(what string, got any, active bool) {
		t.Helper()
		if method != "none" && got != active {
			t.Errorf("%s: active: %v, want %v", what, got, active)
		}
	}
	expect("an access token", introspect(tokens.AccessToken), true)
	expect("a refresh token", introspect(tokens.RefreshToken), true)
	expect("an ID token", introspect(tokens.IDToken), false)
	if err := app.Revoke(tokens.AccessToken); err != nil {
		t.Errorf("revoking an access token: %v", err)
	}
	expect("a revoked access token", introspect(tokens.AccessToken), false)
	if tokens, err = app.Refresh(tokens.RefreshToken, nil); err != nil {
		t.Errorf("refreshing after an access token was revoked: %v", err)
	}
	if err := app.Revoke(tokens.RefreshToken); err != nil {
		t.Errorf("revoking a refresh token: %v", err)
	}
	expect("an access token whose refresh token was revoked", introspect(tokens.AccessToken), false)
	if _, err := app.Refresh(tokens.RefreshToken, nil); !refusedAs(err, "invalid_grant") {
		t.Errorf("refreshing by a revoked token: %v", err)
	}
	if err := app.Revoke("or_nobody"); err != nil {
		t.Errorf("revoking what is no token: %v", err)
	}

	// Codes are for one exchange, and the second ends what the first has opened.
	tokens, err = app.Redeem(back, nil)
	if !refusedAs(err, "invalid_grant") {
		t.Errorf("redeeming a code twice: %+v, %v", tokens, err)
	}

	// Signing out ends what has not the scope offline_access.
	if tokens, err = app.Redeem(signedIn(), nil); err != nil {
		t.Fatal(err)
	}
	offline := maps.Clone(login)
	offline["scope"] += " offline_access"
	kept, err := app.Redeem(alice.SignIn(app.Authorize(offline), "", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	alice.Open(app.EndSession(map[string]string{"id_token_hint": tokens.IDToken, "post_logout_redirect_uri": "https://app.example.org/bye", "state": "a&b"}))
	if alice.Back == nil || alice.Back.URL != "https://app.example.org/bye?state=a%26b" {
		t.Errorf("signing out leads to %+v\n%s", alice.Back, alice.Body)
	}
	if _, err := app.Refresh(tokens.RefreshToken, nil); !refusedAs(err, "invalid_grant") {
		t.Errorf("refreshing after signing out: %v", err)
	}
	if _, err := app.Userinfo(tokens.AccessToken, subject); err == nil {
		t.Error("userinfo answers after signing out")
	}
	if _, err := app.Refresh(kept.RefreshToken, nil); err != nil {
		t.Errorf("refreshing with offline_access after signing out: %v", err)
	}
	silent := maps.Clone(login)
	silent["prompt"] = "none"
	if _, err := app.Redeem(alice.Answer(app.Authorize(silent)), nil); !refusedAs(err, "login_required") {
		t.Errorf("prompt=none after signing out: %v", err)
	}
}

// What an authorization request may say besides.
func TestOpenIDClientParameters(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	callback := StartCallback(t, "app.example.org")
	client := db.CreateClient(t, "parameters", "--redirect-uri", callback.URL)
	db.Operate(t, "permissions", "create", "notes", "--name", "Use the notes")
	for _, user := range []string{"alice@example.com", "bob@example.com"} {
		db.Operate(t, "permissions", "grant", "user", user, "notes")
	}
	db.Operate(t, "oauth2", "edit", client.ClientID, "--set-resource", "https://api.example.com/", "--set-required-permission", "notes")
	auth := StartProvider(t, "/o2")
	root := NewRoot(t, "trixie-browser")
	auth.Reachable(root)
	app := StartRelyingParty(root, Registration{Issuer: auth.Issuer, ClientID: client.ClientID, ClientSecret: client.ClientSecret})
	authorize := func(parameters ...string) string {
		t.Helper()
		with := map[string]string{"redirect_uri": callback.URL}
		for pair := range slices.Chunk(parameters, 2) {
			with[pair[0]] = pair[1]
		}
		return app.Authorize(with)
	}
	silently := func(who *Person, want string, parameters ...string) {
		t.Helper()
		back := who.Answer(authorize(append(parameters, "prompt", "none")...))
		_, err := app.Redeem(back, nil)
		if want == "" && err != nil || want != "" && !refusedAs(err, want) {
			t.Errorf("prompt=none: %v, want %q", err, want)
		}
		if got := back.Parameters(t); got.Get("iss") != auth.Issuer || got.Get("state") == "" {
			t.Errorf("prompt=none: the answer %s lacks iss or state", back.URL)
		}
	}

	// prompt=none
	alice := NewPerson(t)
	silently(alice, "login_required")
	if _, err := app.Redeem(alice.SignIn(authorize("scope", "openid email"), "alice@example.com", "alice sings"), nil); err != nil {
		t.Fatal(err)
	}
	silently(alice, "", "scope", "openid email")
	silently(alice, "", "scope", "openid")
	silently(alice, "consent_required", "scope", "openid email profile")
	silently(alice, "consent_required", "scope", "openid", "claims", `{"id_token": {"name": null}}`)
	silently(alice, "invalid_scope", "scope", "openid everything")
	silently(alice, "invalid_target", "scope", "openid", "resource", "https://other.example.com/")
	silently(alice, "login_required", "scope", "openid", "max_age", "0")
	// Carol may not use the application, which requires a permission; nobody
	// learns that from its name.
	carol := NewPerson(t)
	carol.Open(authorize())
	carol.Send("username", "carol@example.com", "password", "carol cooks")
	if carol.Back != nil || carol.Status != 403 || strings.Contains(carol.Body, "parameters") {
		t.Errorf("somebody who may not: %+v, status %d\n%s", carol.Back, carol.Status, carol.Body)
	}
	silently(carol, "access_denied")

	// Somebody who says no.
	bob := NewPerson(t)
	bob.Open(authorize())
	bob.Send("username", "bob@example.com", "password", "bob builds")
	bob.Send("decision", "deny")
	if _, err := app.Redeem(bob.Left(), nil); !refusedAs(err, "access_denied") {
		t.Errorf("somebody who does not consent: %v", err)
	}

	// form_post, without script and with.
	posted := alice.SignIn(authorize("scope", "openid", "response_mode", "form_post"), "", "")
	if tokens, err := app.Redeem(posted, nil); err != nil || posted.URL != callback.URL || posted.Form == "" || tokens.Claims["sub"] == "" {
		t.Errorf("form_post: %+v: %+v, %v", posted, tokens, err)
	}
	posted = alice.SignIn(authorize("scope", "openid profile", "response_mode", "form_post", "prompt", "none"), "", "")
	if _, err := app.Redeem(posted, nil); posted.Form == "" || !refusedAs(err, "consent_required") {
		t.Errorf("form_post of an error: %+v: %v", posted, err)
	}
	tab := StartChromium(t, auth.Certificate, callback.Certificate).NewTab(Visitor{Language: "en"})
	tab.Open(authorize("scope", "openid", "response_mode", "form_post"))
	tab.Fill("username", "alice@example.com")
	tab.Fill("password", "alice sings")
	tab.Press("Sign in") // and its consent is known
	back := callback.Await()
	if _, err := app.Redeem(back, nil); err != nil || back.Form == "" {
		t.Errorf("form_post by script: %+v, %v", back, err)
	}

	// A resource.
	const api = "https://api.example.com/"
	tokens, err := app.Redeem(alice.SignIn(authorize("scope", "openid email", "resource", api), "", ""), map[string]string{"resource": api})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := app.Introspect(tokens.AccessToken)
	if audience, _ := answer["aud"].([]any); err != nil || !slices.Equal(audience, []any{api}) {
		t.Errorf("introspection of a token for a resource: %v, %v", answer, err)
	}
	if _, err := app.Userinfo(tokens.AccessToken, ""); err == nil {
		t.Error("UserInfo takes a token that is for another resource")
	}
	if tokens, err = app.Refresh(tokens.RefreshToken, map[string]string{"resource": api}); err != nil {
		t.Errorf("refreshing for a resource: %v", err)
	}
	if _, err := app.Refresh(tokens.RefreshToken, map[string]string{"resource": "https://other.example.com/"}); !refusedAs(err, "invalid_target") {
		t.Errorf("refreshing for another resource: %v", err)
	}

	// Single claims. The page says so, and the consent counts once.
	claims := []string{"scope", "openid", "claims", `{"id_token": {"name": {"essential": true}}, "userinfo": {"email": null}}`}
	alice.Open(authorize(claims...))
	if alice.Back != nil {
		t.Fatalf("claims that nobody has consented to: %+v", alice.Back)
	}
	alice.Send("decision", "allow")
	if tokens, err = app.Redeem(alice.Left(), nil); err != nil || tokens.Claims["name"] != "Alice" || tokens.Claims["email"] != nil {
		t.Errorf("claims in the ID token: %v, %v", tokens.Claims, err)
	}
	info, err := app.Userinfo(tokens.AccessToken, "")
	if err != nil || info["email"] != "alice@example.com" || info["name"] != nil {
		t.Errorf("claims from UserInfo: %v, %v", info, err)
	}

	// Another login.
	alice.Open(authorize("scope", "openid", "prompt", "login", "login_hint", "bob"))
	if alice.Back != nil || alice.form == nil || alice.form.fields.Get("username") != "bob" {
		t.Errorf("prompt=login with a hint: %+v\n%s", alice.Back, alice.Body)
	}
	alice.Send("username", "alice@example.com", "password", "alice sings")
	if tokens, err = app.Redeem(alice.Left(), nil); err != nil {
		t.Errorf("prompt=login: %v", err)
	}
	silently(alice, "", "scope", "openid", "id_token_hint", tokens.IDToken)

	// Nobody is sent to a place that is not registered.
	for _, redirect := range []string{callback.URL + "/", callback.URL + "?a=b", "https://evil.example/callback", "http" + strings.TrimPrefix(callback.URL, "https")} {
		alice.Open(app.Authorize(map[string]string{"redirect_uri": redirect}))
		if alice.Back != nil || alice.Status != 400 {
			t.Errorf("redirect URI %s: %+v, status %d", redirect, alice.Back, alice.Status)
		}
	}
	request, err := url.Parse(authorize())
	if err != nil {
		t.Fatal(err)
	}
	query := request.Query()
	query.Set("client_id", "nobody")
	request.RawQuery = query.Encode()
	alice.Open(request.String())
	if alice.Back != nil || alice.Status != 400 {
		t.Errorf("an unknown client: %+v, status %d", alice.Back, alice.Status)
	}
}
