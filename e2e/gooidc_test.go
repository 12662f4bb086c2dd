package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

const goOIDCPage = "go-oidc.md"

// The application of the guide is built, and signs a user in.
func TestGoOIDCGuide(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	port := FreePort()
	site, siteCertificate := startProxy(t, "journal.example.com", port)
	client := ReadCredentials(t, db.Type(t, strings.ReplaceAll(sectionLines(t, goOIDCPage, "Client")[0], "https://journal.example.com", site)))
	for _, line := range sectionLines(t, goOIDCPage, "Algorithms") {
		db.Type(t, line)
	}
	auth := StartProvider(t, "/o2")

	root := NewRoot(t, "trixie-browser")
	auth.Reachable(root)
	edit := strings.NewReplacer("https://journal.example.com", site, "https://"+AuthHost, auth.URL(""),
		"CLIENT_ID", client.ClientID, "CLIENT_SECRET", client.ClientSecret, "127.0.0.1:8080", "127.0.0.1:"+strconv.Itoa(port))
	for _, section := range []string{"Client", "Application"} {
		for _, f := range ReadGuide(t, goOIDCPage, section).Files {
			root.Write(f.Name, edit.Replace(f.Content))
		}
	}
	// Its modules are those of this one.
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", root.Path("/usr/local/bin/journal"), root.Path("/usr/local/src/journal/main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the application of the guide: %v\n%s", err, out)
	}
	root.Start(port, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "SSL_CERT_FILE=/etc/ssl/auth.pem", "journal")

	tab := StartChromium(t, auth.Certificate, siteCertificate).NewTab(Visitor{Language: "en"})
	tab.Open(site + "/")
	tab.Fill("username", "alice@example.com")
	tab.Fill("password", "alice sings")
	tab.Press("Sign in")
	tab.Press("Allow")
	if text := tab.Text(); !strings.HasPrefix(tab.URL(), site+"/callback?") || !strings.Contains(text, "Journal of Alice") || !strings.Contains(text, "alice@example.com") {
		t.Errorf("%s shows\n%s", tab.URL(), text)
	}
	tab.Open(tab.URL()) // the code, once more
	if tab.Status != http.StatusForbidden {
		t.Errorf("a code that was used: status %d\n%s", tab.Status, tab.Text())
	}
}

// A goClient is a relying party in Go.
type goClient struct {
	t        *testing.T
	ctx      context.Context // has the HTTP client
	provider *oidc.Provider
	config   oauth2.Config
}

// newGoClient discovers the provider for a client.
func newGoClient(t *testing.T, auth *Provider, client Credentials) *goClient {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), auth.Client())
	provider, err := oidc.NewProvider(ctx, auth.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return &goClient{t, ctx, provider, oauth2.Config{
		ClientID: client.ClientID, ClientSecret: client.ClientSecret,
		Endpoint: provider.Endpoint(), RedirectURL: goRedirect,
		Scopes: []string{oidc.ScopeOpenID, "email"},
	}}
}

const goRedirect = "https://go.example.com/callback"

// signIn gets tokens for somebody, and verifies them.
func (g *goClient) signIn(who *Person, user, password string) (*oauth2.Token, *oidc.IDToken) {
	g.t.Helper()
	verifier := oauth2.GenerateVerifier()
	back := who.SignIn(g.config.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier)), user, password).Parameters(g.t)
	if back.Get("state") != "the state" || back.Get("error") != "" {
		g.t.Fatalf("the answer is %v", back)
	}
	if _, err := g.config.Exchange(g.ctx, back.Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier())); !isRefused(err, "invalid_grant") {
		g.t.Errorf("exchanging a code with another verifier: %v", err)
	}
	tokens, err := g.config.Exchange(g.ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		g.t.Fatal(err)
	}
	idToken := g.verify(tokens)
	if idToken.Nonce != "the nonce" {
		g.t.Errorf("the nonce is %q", idToken.Nonce)
	}
	return tokens, idToken
}

// verify verifies the ID token of an answer, and that it is of this access token.
func (g *goClient) verify(tokens *oauth2.Token) *oidc.IDToken {
	g.t.Helper()
	text, _ := tokens.Extra("id_token").(string)
	idToken, err := g.provider.Verifier(&oidc.Config{ClientID: g.config.ClientID}).Verify(g.ctx, text)
	if err != nil {
		g.t.Fatalf("verifying an ID token: %v", err)
	}
	if err := idToken.VerifyAccessToken(tokens.AccessToken); err != nil {
		g.t.Errorf("at_hash: %v", err)
	}
	return idToken
}

func isRefused(err error, code string) bool {
	var refused *oauth2.RetrieveError
	return errors.As(err, &refused) && refused.ErrorCode == code
}

// expired makes a token source refresh.
func expired(tokens *oauth2.Token) *oauth2.Token {
	old := *tokens
	old.Expiry = time.Unix(1, 0)
	return &old
}

// header returns the header of a token.
func header(t *testing.T, token string) jose.Header {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Signatures[0].Header
}

// Users sign in by ID tokens of each algorithm, and programs refresh.
func TestGoOIDC(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	db.Operate(t, "domain", "create", "go.example.com", "--create-key", "jwt")
	clients := map[string]Credentials{}
	for alg, key := range map[string]string{"RS256": "", "ES256": "ecdsa-p256", "EdDSA": "ed25519"} {
		if key != "" {
			db.Operate(t, "domain", "edit", "go.example.com", "--create-key", "jwt", "--key-algorithm", key)
		}
		client := db.CreateClient(t, "go-"+alg, "--redirect-uri", goRedirect, "--domain", "go.example.com")
		db.Operate(t, "oauth2", "edit", client.ClientID, "--set-id-token-alg", alg)
		clients[alg] = client
	}
	auth := StartProvider(t, "/o2")
	alice, subjects := NewPerson(t), map[string]bool{}
	for alg, client := range clients {
		g := newGoClient(t, auth, client)
		tokens, idToken := g.signIn(alice, "alice@example.com", "alice sings")
		if got := header(t, tokens.Extra("id_token").(string)).Algorithm; got != alg {
			t.Errorf("%s: signed by %s", alg, got)
		}
		info, err := g.provider.UserInfo(g.ctx, oauth2.StaticTokenSource(tokens))
		if err != nil || info.Subject != idToken.Subject || info.Email != "alice@example.com" || !info.EmailVerified {
			t.Errorf("%s: UserInfo: %+v, %v", alg, info, err)
		}
		refreshed, err := g.config.TokenSource(g.ctx, expired(tokens)).Token()
		if err != nil || refreshed.RefreshToken == tokens.RefreshToken || refreshed.AccessToken == tokens.AccessToken {
			t.Fatalf("%s: refreshing: %v", alg, err)
		}
		if again := g.verify(refreshed); again.Subject != idToken.Subject || again.Nonce != "" && again.Nonce != "the nonce" {
			t.Errorf("%s: the refreshed ID token is of %s", alg, again.Subject)
		}
		subjects[idToken.Subject] = true

		// A token for one application is none for another.
		for other, stranger := range clients {
			_, err := g.provider.Verifier(&oidc.Config{ClientID: stranger.ClientID}).Verify(g.ctx, refreshed.Extra("id_token").(string))
			if (err == nil) != (other == alg) {
				t.Errorf("%s: as a token for the client of %s: %v", alg, other, err)
			}
		}
		wrong := g.config
		wrong.ClientSecret += "x"
		if _, err := wrong.TokenSource(g.ctx, expired(refreshed)).Token(); !isRefused(err, "invalid_client") {
			t.Errorf("%s: refreshing with another secret: %v", alg, err)
		}
	}
	if len(subjects) != 1 {
		t.Errorf("alice is %d people: %v", len(subjects), subjects)
	}
}

// A key is replaced: tokens of the old one stay good, and programs learn of the
// new one by themselves.
func TestGoOIDCKeyRotation(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	db.Operate(t, "domain", "create", "rotation.example.com", "--create-key", "jwt")
	client := db.CreateClient(t, "rotation", "--redirect-uri", goRedirect, "--domain", "rotation.example.com")
	auth := StartProvider(t, "/o2")
	g := newGoClient(t, auth, client)
	alice := NewPerson(t)
	before, _ := g.signIn(alice, "alice@example.com", "alice sings")
	was := header(t, before.Extra("id_token").(string)).KeyID

	published := map[string]bool{}
	kids := func() (kids []string) {
		t.Helper()
		answer, err := auth.Client().Get(auth.Issuer + "/.well-known/jwks.json")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var set jose.JSONWebKeySet
		if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
			t.Fatal(err)
		}
		for _, key := range set.Keys {
			kids = append(kids, key.KeyID)
		}
		return kids
	}
	for _, kid := range kids() {
		published[kid] = true
	}
	db.Operate(t, "domain", "publish-key", "rotation.example.com", "--key", "jwt")
	var states []struct{ KID, State string }
	if err := json.Unmarshal([]byte(db.Operate(t, "domain", "keys", "rotation.example.com", "-f", "json")), &states); err != nil {
		t.Fatal(err)
	}
	var next string
	for _, key := range states {
		if key.State == "published" {
			next = key.KID
		}
	}
	if next == "" || published[next] {
		t.Fatalf("the keys of the domain are %v", states)
	}
	auth.await(t, "publish the new key", func() bool { return slices.Contains(kids(), next) })
	tokens, _ := g.signIn(alice, "", "")
	if got := header(t, tokens.Extra("id_token").(string)).KeyID; got != was {
		t.Errorf("a key that is only published signs: %s, not %s", got, was)
	}

	db.Operate(t, "domain", "activate-key", "rotation.example.com", "--", next)
	auth.await(t, "sign by the new key", func() bool {
		refreshed, err := g.config.TokenSource(g.ctx, expired(tokens)).Token()
		if err != nil {
			t.Fatal(err)
		}
		tokens = refreshed
		g.verify(refreshed)
		return header(t, refreshed.Extra("id_token").(string)).KeyID == next
	})
	// Whoever comes anew, and whoever has known the old key only.
	for name, verifier := range map[string]*goClient{"new": newGoClient(t, auth, client), "old": g} {
		verifier.verify(before)
		verifier.verify(tokens)
		if _, err := verifier.provider.UserInfo(g.ctx, oauth2.StaticTokenSource(before)); err != nil {
			t.Errorf("%s: UserInfo with an access token of the old key: %v", name, err)
		}
	}
	// What was issued before is still a hint.
	parameters := []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("prompt", "none"), oauth2.SetAuthURLParam("id_token_hint", before.Extra("id_token").(string)),
		oauth2.S256ChallengeOption(oauth2.GenerateVerifier()),
	}
	if back := alice.Answer(g.config.AuthCodeURL("s", parameters...)).Parameters(t); back.Get("code") == "" {
		t.Errorf("an ID token of the old key as a hint: %v", back)
	}
}
