package oidc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"authbridge/authserver/client"
	"authbridge/authserver/token"
	"authbridge/authserver/web"
)

// metadata is what a relying party has to know (OpenID Connect Discovery 1.0
// section 3, RFC 8414 section 2): only what works.
type metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	UserInfoEndpoint      string `json:"userinfo_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
	EndSessionEndpoint    string `json:"end_session_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`

	ScopesSupported        []string `json:"scopes_supported"`
	ClaimsSupported        []string `json:"claims_supported"`
	ClaimTypesSupported    []string `json:"claim_types_supported"`
	ClaimsParameter        bool     `json:"claims_parameter_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	SubjectTypesSupported  []string `json:"subject_types_supported"`
	PromptValuesSupported  []string `json:"prompt_values_supported"`
	ACRValuesSupported     []string `json:"acr_values_supported"`
	UILocalesSupported     []string `json:"ui_locales_supported"`

	CodeChallengeMethods     []string `json:"code_challenge_methods_supported"`
	IDTokenAlgs              []string `json:"id_token_signing_alg_values_supported"`
	AccessTokenAlgs          []string `json:"access_token_signing_alg_values_supported"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs            []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	ResponseIssParameter     bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	RequestParameter         bool     `json:"request_parameter_supported"`
	RequestURIParameter      bool     `json:"request_uri_parameter_supported"` // if it is not said, it is true
	RequireRequestURI        bool     `json:"require_request_uri_registration"`
}

// Discovery serves GET of the well-known URLs.
func (s *Server) Discovery(w http.ResponseWriter, r *http.Request) error {
	var algs []string
	for _, alg := range s.Issuer.Keys.Algs() {
		algs = append(algs, string(alg))
	}
	authenticated := []string{client.SecretBasic, client.SecretPost, client.PrivateKeyJWT}
	anybody := append(authenticated[:len(authenticated):len(authenticated)], client.None)

	m := metadata{
		Issuer:                s.Issuer.URL,
		AuthorizationEndpoint: s.Base + "/authorize/",
		TokenEndpoint:         s.Base + "/token/",
		UserInfoEndpoint:      s.Base + "/userinfo/",
		JWKSURI:               s.Base + "/.well-known/jwks.json",
		EndSessionEndpoint:    s.Base + "/logout/",
		RevocationEndpoint:    s.Base + "/revoke_token/",
		IntrospectionEndpoint: s.Base + "/introspect/",

		ScopesSupported:        s.scopes(),
		ClaimsSupported:        s.claimNames(),
		ClaimTypesSupported:    []string{"normal"},
		ClaimsParameter:        true,
		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{"query", "form_post"},
		GrantTypesSupported:    []string{client.AuthorizationCode, client.RefreshToken, client.ClientCredentials},
		SubjectTypesSupported:  []string{"public"},
		PromptValuesSupported:  []string{"none", "login", "consent", "select_account"},
		ACRValuesSupported:     []string{"1"},
		UILocalesSupported:     web.Languages(),

		CodeChallengeMethods:     []string{"S256"},
		IDTokenAlgs:              algs,
		AccessTokenAlgs:          algs,
		TokenAuthMethods:         anybody,
		TokenAuthAlgs:            client.SigningAlgorithms,
		RevocationAuthMethods:    anybody,
		RevocationAuthAlgs:       client.SigningAlgorithms,
		IntrospectionAuthMethods: authenticated,
		IntrospectionAuthAlgs:    client.SigningAlgorithms,
		ResponseIssParameter:     true,
	}
	if s.PasswordGrant {
		m.GrantTypesSupported = append(m.GrantTypesSupported, client.Password)
	}
	// A program that reads this seldom asks again: it may keep it for as long as
	// it is likely to be true.
	return writePublic(w, "public, max-age=300", m)
}

// scopes are those that a client gets something for, unless it is limited to
// less. Others are taken and mean nothing: clients of the ancestor send them.
func (s *Server) scopes() []string {
	names := slices.DeleteFunc(slices.Clone(client.StandardScopes), func(name string) bool { return slices.Contains(client.EmptyScopes, name) })
	for _, claim := range s.Clients.Claims() {
		if !slices.Contains(names, claim.Scope) {
			names = append(names, claim.Scope)
		}
	}
	return names
}

// claimNames are the claims that there may be in an ID token or in the answer of
// UserInfo.
func (s *Server) claimNames() []string {
	ofTokens := []string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}
	return append(ofTokens, s.Issuer.Names()...)
}

// JWKS serves the keys by which tokens are verified: those that sign, those that
// will, and those that did.
func (s *Server) JWKS(w http.ResponseWriter, r *http.Request) error {
	usesPS256 := slices.ContainsFunc(s.Clients.All(), func(c *client.Client) bool {
		return c.IDTokenAlg == string(token.PS256) || c.AccessTokenAlg == string(token.PS256)
	})
	return writePublic(w, "public, max-age=3600", s.Issuer.Keys.JWKS(usesPS256))
}

// writePublic answers what everybody may read and keep, and every page ask for.
func writePublic(w http.ResponseWriter, cacheControl string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", cacheControl)
	h.Set("Access-Control-Allow-Origin", "*")
	w.Write(append(body, '\n')) // whether the client still listens is its own affair
	return nil
}
