package oidc

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// A relying party's library is the judge of the whole document.
func TestDiscovery(t *testing.T) {
	h := newHouse(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/o2/.well-known")
		r.URL.Path = map[string]string{"/openid-configuration": "/discovery", "/jwks.json": "/jwks"}[path]
		h.mux.ServeHTTP(w, r)
	}))
	defer site.Close()
	h.server.Issuer.URL, h.server.Base = site.URL+"/o2", site.URL+"/o2"

	provider, err := goidc.NewProvider(t.Context(), site.URL+"/o2")
	if err != nil {
		t.Fatal(err)
	}
	accessToken, idToken, _ := h.signIn("alice").grant("web", nil, "openid")
	if _, err := provider.Verifier(&goidc.Config{ClientID: "web"}).Verify(t.Context(), idToken); err != nil {
		t.Errorf("an ID token does not verify by what discovery says: %v", err)
	}
	// The signature of an access token is judged by the same keys.
	if _, err := provider.VerifierContext(t.Context(), &goidc.Config{ClientID: "web", SupportedSigningAlgs: []string{"ES256"}}).Verify(t.Context(), accessToken); err != nil {
		t.Errorf("an access token does not verify: %v", err)
	}
}

func TestDiscoveryTellsWhatWorks(t *testing.T) {
	h := newHouse(t)
	h.arrange(`insert into auth.oauth2_claims (name, attribute, scope) values ('eve_character_id', 'eve_character_id', 'eve'), ('eve_corporation', 'eve_corporation', 'eve')`)
	h.reload()
	a := h.send("/discovery", nil, nil)
	if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != "*" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Errorf("%d %v", a.status, a.header)
	}
	doc := a.json(t)
	for name, want := range map[string]any{
		"issuer":                                         issuerURL,
		"authorization_endpoint":                         issuerURL + "/authorize/",
		"token_endpoint":                                 issuerURL + "/token/",
		"userinfo_endpoint":                              issuerURL + "/userinfo/",
		"jwks_uri":                                       issuerURL + "/.well-known/jwks.json",
		"revocation_endpoint":                            issuerURL + "/revoke_token/",
		"introspection_endpoint":                         issuerURL + "/introspect/",
		"end_session_endpoint":                           issuerURL + "/logout/",
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"claims_parameter_supported":                     true,
		"authorization_response_iss_parameter_supported": true,
	} {
		if doc[name] != want {
			t.Errorf("%s is %v, want %v", name, doc[name], want)
		}
	}
	for name, want := range map[string][]string{
		"response_types_supported":              {"code"},
		"response_modes_supported":              {"query", "form_post"},
		"grant_types_supported":                 {"authorization_code", "refresh_token", "client_credentials"},
		"code_challenge_methods_supported":      {"S256"},
		"subject_types_supported":               {"public"},
		"id_token_signing_alg_values_supported": {"RS256", "PS256", "ES256"}, // there is no Ed25519 key
		"scopes_supported":                      {"openid", "profile", "email", "groups", "scopes", "permissions", "username", "offline_access", "eve"},
	} {
		got := texts(doc[name])
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	supported := texts(doc["claims_supported"])
	if slices.Sort(supported); len(slices.Compact(slices.Clone(supported))) != len(supported) {
		t.Errorf("claims_supported has a name twice: %q", supported)
	}
	for _, name := range []string{"sub", "email", "groups", "eve_character_id", "eve_corporation", "auth_time"} {
		if !slices.Contains(supported, name) {
			t.Errorf("claims_supported lacks %s", name)
		}
	}

	h.server.PasswordGrant = true
	if grants := texts(h.send("/discovery", nil, nil).json(t)["grant_types_supported"]); !slices.Contains(grants, "password") {
		t.Errorf("grant types %v, with the password grant allowed", grants)
	}
}

// A client that signs by PS256 looks for a key of PS256: one that says RS256 is
// passed over.
func TestJWKS(t *testing.T) {
	h := newHouse(t)
	read := func() jose.JSONWebKeySet {
		a := h.send("/jwks", nil, nil)
		if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Cache-Control") != "public, max-age=3600" {
			t.Fatalf("%d %v", a.status, a.header)
		}
		var keys jose.JSONWebKeySet
		unmarshal(t, a.body, &keys)
		return keys
	}
	algs := func(keys jose.JSONWebKeySet) (algs []string) {
		for _, k := range keys.Keys {
			if !k.IsPublic() {
				t.Errorf("%s is not public", k.KeyID)
			}
			algs = append(algs, k.Algorithm)
		}
		return algs
	}
	if got := algs(read()); !slices.Equal(got, []string{"RS256", "ES256"}) {
		t.Errorf("algorithms %q", got)
	}
	h.arrange(`update auth.oauth2_clients set id_token_alg = 'PS256' where client_id = 'web'`)
	h.reload()
	if got := algs(read()); !slices.Equal(got, []string{"", "ES256"}) {
		t.Errorf("algorithms %q, where one client has PS256", got)
	}
}
