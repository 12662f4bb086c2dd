package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// A toyProvider is just enough of a provider to see that the relying parties
// of these tests ask and check what they should. Its code is the nonce and the
// challenge of the request.
type toyProvider struct {
	issuer      string
	certificate string
	public      *rsa.PublicKey
	signer      atomic.Pointer[rsa.PrivateKey] // of tokens
	assertion   *ecdsa.PublicKey               // of the client

	authentication atomic.Value // what the last token request used
}

func newToyProvider(t *testing.T, assertion *ecdsa.PublicKey) *toyProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &toyProvider{public: &key.PublicKey, assertion: assertion}
	p.signer.Store(key)
	mux := http.NewServeMux()
	answer := func(pattern string, f func(r *http.Request) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			body := f(r)
			if refused, ok := body.(map[string]string); ok {
				w.WriteHeader(http.StatusBadRequest)
				body = refused
			}
			json.NewEncoder(w).Encode(body)
		})
	}
	answer("GET /.well-known/openid-configuration", func(*http.Request) any {
		return map[string]any{
			"issuer": p.issuer, "jwks_uri": p.issuer + "/jwks",
			"authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token", "userinfo_endpoint": p.issuer + "/userinfo",
			"revocation_endpoint": p.issuer + "/revoke", "introspection_endpoint": p.issuer + "/introspect", "end_session_endpoint": p.issuer + "/end",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"authorization_response_iss_parameter_supported": true,
		}
	})
	answer("GET /jwks", func(*http.Request) any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.public, KeyID: "1", Algorithm: "RS256", Use: "sig"}}}
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		back := url.Values{"iss": {p.issuer}, "state": {r.FormValue("state")}, "code": {r.FormValue("nonce") + "." + r.FormValue("code_challenge")}}
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	answer("POST /token", p.token)
	answer("GET /userinfo", func(r *http.Request) any {
		return map[string]any{"sub": "alice", "authorization": r.Header.Get("Authorization")}
	})
	answer("POST /introspect", func(r *http.Request) any { return map[string]any{"active": r.FormValue("token") == "access"} })
	answer("POST /revoke", func(r *http.Request) any {
		if r.FormValue("token") != "access" {
			return map[string]string{"error": "unsupported_token_type", "error_description": "only access"}
		}
		return struct{}{}
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	p.issuer = server.URL
	p.certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return p
}

func (p *toyProvider) token(r *http.Request) any {
	_, secret, basic := r.BasicAuth()
	switch {
	case basic && secret == "secret":
		p.authentication.Store("client_secret_basic")
	case r.FormValue("client_secret") == "secret":
		p.authentication.Store("client_secret_post")
	case r.FormValue("client_assertion") != "":
		if _, err := jwt.Parse(r.FormValue("client_assertion"), func(*jwt.Token) (any, error) { return p.assertion, nil },
			jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(p.issuer), jwt.WithExpirationRequired()); err != nil {
			return map[string]string{"error": "invalid_client", "error_description": err.Error()}
		}
		p.authentication.Store("private_key_jwt")
	default:
		p.authentication.Store("none")
	}
	tokens := map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 60}
	switch r.FormValue("grant_type") {
	case "authorization_code":
		nonce, challenge, _ := strings.Cut(r.FormValue("code"), ".")
		digest := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if challenge != base64.RawURLEncoding.EncodeToString(digest[:]) {
			return map[string]string{"error": "invalid_grant", "error_description": "wrong verifier"}
		}
		tokens["refresh_token"] = "refresh"
		tokens["id_token"] = p.sign(jwt.MapClaims{"nonce": nonce})
	case "refresh_token":
		if r.FormValue("refresh_token") != "refresh" {
			return map[string]string{"error": "invalid_grant", "error_description": "unknown"}
		}
	}
	return tokens
}

// sign makes an ID token with more claims.
func (p *toyProvider) sign(claims jwt.MapClaims) string {
	all := jwt.MapClaims{"iss": p.issuer, "aud": "app", "sub": "alice", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, all)
	token.Header["kid"] = "1"
	signed, err := token.SignedString(p.signer.Load())
	if err != nil {
		panic(err)
	}
	return signed
}

// root returns a Debian root that trusts the provider.
func (p *toyProvider) root(t *testing.T) *Root {
	r := NewRoot(t, "trixie-browser")
	r.Write("/etc/ssl/auth.pem", p.certificate)
	return r
}

// openid-client logs in with Chromium, by each way to authenticate, and does
// all that a relying party does.
func TestRelyingParty(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := newToyProvider(t, &key.PublicKey)
	jwk, err := jose.JSONWebKey{Key: key, KeyID: "k", Algorithm: "ES256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	callback := StartCallback(t, "app.example.org")
	chromium := StartChromium(t, p.certificate, callback.Certificate)
	root := p.root(t)

	for authentication, registration := range map[string]Registration{
		"client_secret_basic": {ClientSecret: "secret"},
		"client_secret_post":  {ClientSecret: "secret", Authentication: "client_secret_post"},
		"private_key_jwt":     {Authentication: "private_key_jwt", Key: jwk},
		"none":                {},
	} {
		registration.Issuer, registration.ClientID = p.issuer, "app"
		app := StartRelyingParty(root, registration)
		if got := app.Provider["issuer"]; got != p.issuer {
			t.Errorf("%s: discovered %v", authentication, got)
		}
		tab := chromium.NewTab(Visitor{})
		tab.Open(app.Authorize(map[string]string{"redirect_uri": callback.URL, "scope": "openid email"}))
		back := callback.Await()
		if got := tab.URL(); got != back.URL {
			t.Errorf("%s: the tab is at %s, not %s", authentication, got, back.URL)
		}
		tokens, err := app.Redeem(back, nil)
		if err != nil || tokens.AccessToken != "access" || tokens.RefreshToken != "refresh" || tokens.Claims["sub"] != "alice" {
			t.Errorf("%s: redeeming: %+v, %v", authentication, tokens, err)
		}
		if got := p.authentication.Load(); got != authentication {
			t.Errorf("%s: the provider saw %s", authentication, got)
		}
		if tokens, err := app.Refresh("refresh", nil); err != nil || tokens.AccessToken != "access" {
			t.Errorf("%s: refreshing: %+v, %v", authentication, tokens, err)
		}
		var refused *ScriptError
		if _, err := app.Refresh("other", nil); !errors.As(err, &refused) || refused.OAuth != "invalid_grant" || refused.Description != "unknown" || refused.Status != 400 {
			t.Errorf("%s: refreshing another token: %v", authentication, err)
		}
		if tokens, err := app.ClientCredentials(map[string]string{"scope": "a"}); err != nil || tokens.AccessToken != "access" {
			t.Errorf("%s: client credentials: %+v, %v", authentication, tokens, err)
		}
		if claims, err := app.Userinfo("access", "alice"); err != nil || claims["authorization"] != "Bearer access" {
			t.Errorf("%s: userinfo: %v, %v", authentication, claims, err)
		}
		if _, err := app.Userinfo("access", "bob"); err == nil {
			t.Errorf("%s: userinfo of somebody else is accepted", authentication)
		}
		if got, err := app.Introspect("access"); err != nil || got["active"] != true {
			t.Errorf("%s: introspection: %v, %v", authentication, got, err)
		}
		if err := app.Revoke("access"); err != nil {
			t.Errorf("%s: revocation: %v", authentication, err)
		}
		if err := app.Revoke("refresh"); !errors.As(err, &refused) || refused.OAuth != "unsupported_token_type" {
			t.Errorf("%s: revocation of another token: %v", authentication, err)
		}
		end := app.EndSession(map[string]string{"id_token_hint": tokens.IDToken, "post_logout_redirect_uri": callback.URL})
		if !strings.HasPrefix(end, p.issuer+"/end?") || !strings.Contains(end, "id_token_hint="+tokens.IDToken) || !strings.Contains(end, "client_id=app") {
			t.Errorf("%s: end of session: %s", authentication, end)
		}
	}
}

// A relying party refuses what an attacker may send: these tests would see a
// provider that makes such things.
func TestRelyingPartyRefuses(t *testing.T) {
	t.Parallel()
	p := newToyProvider(t, nil)
	app := StartRelyingParty(p.root(t), Registration{Issuer: p.issuer, ClientID: "app"})
	login := func() url.Values {
		t.Helper()
		sent, err := url.Parse(app.Authorize(map[string]string{"redirect_uri": "https://app.example.org/callback"}))
		if err != nil {
			t.Fatal(err)
		}
		query := sent.Query()
		return url.Values{"iss": {p.issuer}, "state": {query.Get("state")}, "code": {query.Get("nonce") + "." + query.Get("code_challenge")}}
	}
	redeem := func(answer url.Values) error {
		t.Helper()
		_, err := app.Redeem(Return{URL: "https://app.example.org/callback?" + answer.Encode()}, nil)
		return err
	}
	if err := redeem(login()); err != nil {
		t.Fatal(err)
	}
	posted := login()
	if _, err := app.Redeem(Return{URL: "https://app.example.org/callback", Form: posted.Encode()}, nil); err != nil {
		t.Errorf("an answer by POST: %v", err)
	}
	for name, attack := range map[string]struct {
		change func(url.Values)
		reason string // in the error
	}{
		"another state":  {func(v url.Values) { v.Set("state", "other") }, "state"},
		"another issuer": {func(v url.Values) { v.Set("iss", "https://mallory.example.com") }, "iss"},
		"no issuer":      {func(v url.Values) { v.Del("iss") }, "iss"},
		"another nonce": {func(v url.Values) {
			_, challenge, _ := strings.Cut(v.Get("code"), ".")
			v.Set("code", "other."+challenge)
		}, "nonce"},
		"another verifier": {func(v url.Values) { v.Set("code", v.Get("code")+"x") }, "wrong verifier"},
		"an error":         {func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }, "access_denied"},
	} {
		answer := login()
		attack.change(answer)
		if err := redeem(answer); err == nil || !strings.Contains(err.Error(), attack.reason) {
			t.Errorf("%s: %v, want an error about %s", name, err, attack.reason)
		}
	}

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.signer.Store(other)
	if err := redeem(login()); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("an ID token signed by another key: %v", err)
	}
}

// The API server of Kubernetes takes names and groups from tokens of its
// issuer.
func TestKubernetesAnswers(t *testing.T) {
	t.Parallel()
	p := newToyProvider(t, nil)
	forged, _, _ := strings.Cut(p.sign(nil), ".")
	good := p.sign(jwt.MapClaims{"groups": []string{"admins", "staff"}})
	_, rest, _ := strings.Cut(good, ".")
	answers := AskKubernetes(p.root(t), []string{
		"--oidc-issuer-url=" + p.issuer, "--oidc-ca-file=/etc/ssl/auth.pem", "--oidc-client-id=app", "--oidc-groups-claim=groups", "--oidc-groups-prefix=oidc:",
	}, good, p.sign(jwt.MapClaims{"aud": "other"}), p.sign(jwt.MapClaims{"exp": 1}), p.sign(jwt.MapClaims{"iss": "https://example.com"}), forged+"."+rest[:len(rest)-8]+"AAAAAAAA")
	if got := answers[0]; got.Refused != "" || got.User != p.issuer+"#alice" || !slices.Equal(got.Groups, []string{"oidc:admins", "oidc:staff"}) {
		t.Errorf("a good token: %+v", got)
	}
	for i, want := range []string{"audience", "expired", "not of this issuer", "signature"} {
		if got := answers[i+1]; !strings.Contains(got.Refused, want) || got.User != "" {
			t.Errorf("bad token %d: %+v, want a refusal about %s", i+1, got, want)
		}
	}
	answers = AskKubernetes(p.root(t), []string{
		"--oidc-issuer-url=" + p.issuer, "--oidc-ca-file=/etc/ssl/auth.pem", "--oidc-client-id=app",
		"--oidc-username-claim=email", "--oidc-required-claim=email=alice@example.com",
	}, p.sign(jwt.MapClaims{"email": "alice@example.com"}), p.sign(jwt.MapClaims{"email": "bob@example.com"}))
	if answers[0].User != "alice@example.com" || answers[1].Refused == "" {
		t.Errorf("by e-mail address: %+v", answers)
	}
}
