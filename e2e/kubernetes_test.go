package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const kubernetesPage = "kubernetes.md"

var oidcFlag = regexp.MustCompile(`(?m)^ *- (--oidc-\S+)$`)

// kubernetesFlags are those of the guide, for a provider.
func kubernetesFlags(t *testing.T, auth *Provider) (flags []string) {
	t.Helper()
	for _, f := range ReadGuide(t, kubernetesPage, "API server").Files {
		if f.Name == "/etc/kubernetes/manifests/kube-apiserver.yaml" {
			for _, m := range oidcFlag.FindAllStringSubmatch(f.Content, -1) {
				flags = append(flags, auth.Configure(m[1]))
			}
		}
	}
	if len(flags) == 0 {
		t.Fatal("the guide has no flags for the API server")
	}
	return flags
}

var pluginFlag = regexp.MustCompile(`(?m)^ *- --oidc-(issuer-url|client-id|extra-scope)=(\S+)$`)

// newKubelogin returns a client that signs in as the plugin of kubectl does which
// has the arguments of the guide.
func newKubelogin(t *testing.T, auth *Provider) *goClient {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs/integrations", kubernetesPage))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## kubectl\n")
	given := map[string][]string{}
	for _, m := range pluginFlag.FindAllStringSubmatch(section, -1) {
		given[m[1]] = append(given[m[1]], auth.Configure(m[2]))
	}
	if !slices.Equal(given["issuer-url"], []string{auth.Issuer}) || len(given["client-id"]) != 1 {
		t.Fatalf("the plugin's arguments in the guide are %v", given)
	}
	g := newGoClient(t, auth, Credentials{ClientID: given["client-id"][0]})
	g.config.RedirectURL = "http://localhost:8000"
	g.config.Scopes = append([]string{oidc.ScopeOpenID}, given["extra-scope"]...)
	return g
}

// The API server knows users and groups by the tokens that kubectl gets, and by no
// others.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	for _, line := range sectionLines(t, kubernetesPage, "Client") {
		db.Type(t, line)
	}
	db.Operate(t, "group", "create", "cluster-admins")
	db.Operate(t, "permissions", "grant", "membership", "bob@example.com", "cluster-admins")
	db.Operate(t, "permissions", "grant", "membership", "carol@example.com", "cluster-admins")
	db.Operate(t, "oauth2", "edit", "kubernetes", "--set-allowed-group", "staff", "--set-allowed-group", "cluster-admins")
	other := db.CreateClient(t, "dashboard", "--redirect-uri", goRedirect)
	db.Operate(t, "oauth2", "edit", other.ClientID, "--set-id-token-claims", "scoped")
	auth := StartProvider(t, "/o2")
	stranger := StartProvider(t, "") // with the same keys
	root := NewRoot(t, "trixie")
	auth.Reachable(root)
	flags := kubernetesFlags(t, auth)
	idToken := func(tokens *oauth2.Token) string {
		t.Helper()
		text, ok := tokens.Extra("id_token").(string)
		if !ok {
			t.Fatal("there is no ID token")
		}
		return text
	}

	// Bob and Carol may use the cluster, each port of localhost is as good, and
	// Alice is in no group.
	kubectl := newKubelogin(t, auth)
	atBob, _ := kubectl.signIn(NewPerson(t), "bob@example.com", "bob builds")
	kubectl.config.RedirectURL = "http://localhost:18000"
	carol := NewPerson(t)
	atCarol, _ := kubectl.signIn(carol, "carol@example.com", "carol cooks")
	kubectl.config.RedirectURL = "http://localhost:" + strconv.Itoa(FreePort())
	login := kubectl.config.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
	alice := NewPerson(t)
	alice.Open(login)
	alice.Send("username", "alice@example.com", "password", "alice sings")
	if alice.Back != nil || alice.Status != http.StatusForbidden {
		t.Errorf("somebody in no group: %+v, status %d", alice.Back, alice.Status)
	}
	for _, redirect := range []string{"http://localhost:8000/callback", "https://localhost:8000", "http://localhost.example.com:8000", "http://127.0.0.1:8000"} {
		kubectl.config.RedirectURL = redirect
		alice.Open(kubectl.config.AuthCodeURL("s", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
		if alice.Back != nil || alice.Status != http.StatusBadRequest {
			t.Errorf("%s: %+v, status %d", redirect, alice.Back, alice.Status)
		}
	}
	kubectl.config.RedirectURL = "http://localhost:8000"
	if back := carol.Answer(kubectl.config.AuthCodeURL("s")).Parameters(t); back.Get("error") != "invalid_request" {
		t.Errorf("without PKCE: %v", back)
	}

	dashboard := newGoClient(t, auth, other)
	dashboard.config.Scopes = kubectl.config.Scopes
	ofOther, _ := dashboard.signIn(carol, "", "")
	elsewhere := *kubectl
	elsewhere.provider = newGoClient(t, stranger, Credentials{}).provider
	elsewhere.config.Endpoint = elsewhere.provider.Endpoint()
	elsewhere.ctx = oidc.ClientContext(t.Context(), stranger.Client())
	ofStranger, _ := elsewhere.signIn(NewPerson(t), "bob@example.com", "bob builds")

	answers := AskKubernetes(root, flags,
		idToken(atBob), idToken(atCarol), idToken(ofOther), idToken(ofStranger), atBob.AccessToken, atBob.RefreshToken)
	if got := answers[0]; got.Refused != "" || got.User != "oidc:bob" || !slices.Equal(got.Groups, []string{"oidc:cluster-admins", "oidc:staff"}) {
		t.Errorf("bob: %+v", got)
	}
	if got := answers[1]; got.Refused != "" || got.User != "oidc:carol" || !slices.Equal(got.Groups, []string{"oidc:cluster-admins"}) {
		t.Errorf("carol: %+v", got)
	}
	for i, token := range []struct{ what, reason string }{
		{"of another client", "audience"},
		{"of another issuer", "not of this issuer"},
		{"an access token", "signed with unsupported algorithm"},
		{"a refresh token", "not of this issuer"},
	} {
		if got := answers[i+2]; got.User != "" || !strings.Contains(got.Refused, token.reason) {
			t.Errorf("%s: %+v, want a refusal about %q", token.what, got, token.reason)
		}
	}
	// An API server that takes ES256 as well.
	got := AskKubernetes(root, append(flags, "--oidc-signing-algs=RS256,ES256"), atBob.AccessToken, idToken(atBob))
	if !strings.Contains(got[0].Refused, "preferred_username") || got[1].Refused != "" {
		t.Errorf("with ES256, an access token: %+v, an ID token: %+v", got[0], got[1])
	}

	// Who loses a group has lost it at the next refresh; who loses all of them that
	// are allowed gets no more.
	db.Operate(t, "permissions", "revoke", "membership", "bob@example.com", "cluster-admins")
	db.Operate(t, "permissions", "revoke", "membership", "carol@example.com", "cluster-admins")
	refreshed, err := kubectl.config.TokenSource(kubectl.ctx, expired(atBob)).Token()
	if err != nil {
		t.Fatal(err)
	}
	if got := AskKubernetes(root, flags, idToken(refreshed))[0]; got.User != "oidc:bob" || !slices.Equal(got.Groups, []string{"oidc:staff"}) {
		t.Errorf("bob without the group: %+v", got)
	}
	if _, err := kubectl.config.TokenSource(kubectl.ctx, expired(atCarol)).Token(); !isRefused(err, "invalid_grant") {
		t.Errorf("refreshing without a group: %v", err)
	}
	db.Type(t, sectionLines(t, kubernetesPage, "What is refused")[0])
	if _, err := kubectl.config.TokenSource(kubectl.ctx, expired(refreshed)).Token(); !isRefused(err, "invalid_grant") {
		t.Errorf("refreshing what was revoked: %v", err)
	}
}

// An ID token that has expired is refused.
func TestKubernetesExpiry(t *testing.T) {
	t.Parallel()
	db := OpenProviderDatabase(t)
	client := db.CreateClient(t, "kubernetes-short", "--redirect-uri", goRedirect)
	db.Operate(t, "oauth2", "edit", client.ClientID, "--set-id-token-lifetime", "10s") // there is no shorter one
	auth := StartProvider(t, "/o2")
	root := NewRoot(t, "trixie")
	auth.Reachable(root)
	tokens, idToken := newGoClient(t, auth, client).signIn(NewPerson(t), "alice@example.com", "alice sings")
	ask := func() KubernetesAnswer {
		t.Helper()
		return AskKubernetes(root, []string{
			"--oidc-issuer-url=" + auth.Issuer, "--oidc-client-id=" + client.ClientID, "--oidc-ca-file=/etc/ssl/auth.pem",
		}, tokens.Extra("id_token").(string))[0]
	}
	if got := ask(); got.User != auth.Issuer+"#"+idToken.Subject {
		t.Errorf("a token that is good: %+v", got)
	}
	<-time.After(time.Until(idToken.Expiry))
	if got := ask(); !strings.Contains(got.Refused, "expired") {
		t.Errorf("a token that has expired: %+v", got)
	}
}
