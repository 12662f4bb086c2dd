package oidc

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// bye is where web lets users go who have signed out.
const bye = "https://rp.example.com/bye"

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// An ID token of this very session signs out without a question.
func TestEndSession(t *testing.T) {
	for name, tt := range map[string]struct {
		parameters url.Values
		location   string // empty: a page says so
	}{
		"and back":                    {url.Values{"post_logout_redirect_uri": {bye}}, bye},
		"and back with state":         {url.Values{"post_logout_redirect_uri": {bye}, "state": {"a b&c"}}, bye + "?state=a+b%26c"},
		"to a URI that has a query":   {url.Values{"post_logout_redirect_uri": {bye + "?from=us"}, "state": {"x"}}, bye + "?from=us&state=x"},
		"with the client besides":     {url.Values{"post_logout_redirect_uri": {bye}, "client_id": {"web"}}, bye},
		"state alone":                 {url.Values{"state": {"x"}}, ""},
		"nothing else":                {url.Values{}, ""},
		"with languages of the pages": {url.Values{"ui_locales": {"de en"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} {
				h := newHouse(t)
				alice := h.signIn("alice")
				_, idToken, grantID := alice.grant("web", nil, "openid")
				_, _, offline := alice.grant("web", nil, "openid", "offline_access")
				parameters := url.Values{"id_token_hint": {idToken}}
				for name, values := range tt.parameters {
					parameters[name] = values
				}
				target, form := "/logout?"+parameters.Encode(), url.Values(nil)
				if method == "POST" {
					target, form = "/logout", parameters
				}
				a := h.send(target, form, alice.with)
				if tt.location == "" && a.status != http.StatusOK || tt.location != "" && (a.status != http.StatusSeeOther || a.header.Get("Location") != tt.location) {
					t.Errorf("%s: %d %q", method, a.status, a.header.Get("Location"))
				}
				if alice.signedIn() {
					t.Errorf("%s: still signed in", method)
				}
				if cookie := a.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-session=;") || !strings.Contains(cookie, "Max-Age=0") {
					t.Errorf("%s: the cookie stays: %q", method, cookie)
				}
				revoked := func(id string) string {
					return h.ask(`select (g.revoked_at is not null)::text from auth.oauth2_grants g where g.id = $1::uuid`, id)
				}
				if revoked(grantID) != "true" || revoked(offline) != "false" {
					t.Errorf("%s: grants revoked: %s, for offline access: %s", method, revoked(grantID), revoked(offline))
				}
			}
		})
	}
}

// Whoever does not prove the session is asked, and nothing has happened yet: any
// page can send a browser here.
func TestEndSessionAsks(t *testing.T) {
	h := newHouse(t)
	before := h.signIn("alice")
	_, old, _ := before.grant("web", nil, "openid")
	_, bobs, _ := h.signIn("bob").grant("web", nil, "openid")
	for name, parameters := range map[string]url.Values{
		"no parameters":                {},
		"a client":                     {"client_id": {"web"}, "post_logout_redirect_uri": {bye}, "state": {"x"}},
		"an ID token of an older one":  {"id_token_hint": {old}, "post_logout_redirect_uri": {bye}},
		"an ID token of somebody else": {"id_token_hint": {bobs}},
	} {
		t.Run(name, func(t *testing.T) {
			alice := h.signIn("alice")
			a := h.send("/logout?"+parameters.Encode(), nil, alice.with)
			found := csrfField.FindStringSubmatch(a.body)
			if a.status != http.StatusOK || found == nil || !alice.signedIn() {
				t.Fatalf("%d, signed in %v\n%s", a.status, alice.signedIn(), a.body)
			}
			if strings.Contains(a.body, "eyJ") {
				t.Error("the page has an ID token")
			}
			form := url.Values{"csrf": {found[1]}}
			for _, name := range []string{"client_id", "post_logout_redirect_uri", "state"} {
				if parameters.Has(name) {
					form[name] = parameters[name]
				}
			}
			if parameters.Has("id_token_hint") && parameters.Has("post_logout_redirect_uri") {
				form.Set("client_id", "web")
			}
			if parameters.Has("post_logout_redirect_uri") && !strings.Contains(a.header.Get("Content-Security-Policy"), "form-action 'self' https://rp.example.com") {
				t.Errorf("the browser must not go on: %s", a.header.Get("Content-Security-Policy"))
			}
			a = h.send("/logout/confirm", form, alice.with)
			if alice.signedIn() {
				t.Errorf("%d, and still signed in\n%s", a.status, a.body)
			}
			if parameters.Has("post_logout_redirect_uri") != (a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), bye)) {
				t.Errorf("%d %s", a.status, a.header.Get("Location"))
			}
		})
	}
}

// A page of somebody else cannot answer for the user.
func TestConfirmLogoutIsOurs(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.signIn("alice"), h.signIn("bob")
	bobsToken := csrfField.FindStringSubmatch(h.send("/logout", nil, bob.with).body)[1]
	for name, csrf := range map[string]string{"none": "", "made up": "x", "somebody else's": bobsToken} {
		a := h.send("/logout/confirm", url.Values{"csrf": {csrf}}, alice.with)
		if a.status != http.StatusBadRequest || !alice.signedIn() {
			t.Errorf("%s: %d, signed in %v", name, a.status, alice.signedIn())
		}
	}
}

// Nobody is sent where the client has not registered, and nothing is ended by a
// request that is not good.
func TestEndSessionRefuses(t *testing.T) {
	h := newHouse(t)
	alice := h.signIn("alice")
	_, idToken, _ := alice.grant("web", nil, "openid")
	for name, parameters := range map[string]url.Values{
		"another URI":                {"id_token_hint": {idToken}, "post_logout_redirect_uri": {"https://evil.example/"}},
		"a URI with more":            {"id_token_hint": {idToken}, "post_logout_redirect_uri": {bye + "/more"}},
		"a URI with a query":         {"id_token_hint": {idToken}, "post_logout_redirect_uri": {bye + "?a=b"}},
		"a URI with a user":          {"id_token_hint": {idToken}, "post_logout_redirect_uri": {"https://rp.example.com@evil.example/bye"}},
		"the redirect URI":           {"id_token_hint": {idToken}, "post_logout_redirect_uri": {"https://rp.example.com/callback"}},
		"a URI without a client":     {"post_logout_redirect_uri": {bye}},
		"another client":             {"id_token_hint": {idToken}, "client_id": {"locked"}},
		"an unknown client":          {"client_id": {"nobody"}},
		"no ID token":                {"id_token_hint": {"x"}},
		"an ID token that is forged": {"id_token_hint": {idToken[:len(idToken)-6] + "AAAAAA"}},
		"a parameter twice":          {"id_token_hint": {idToken}, "state": {"a", "b"}},
		"NUL":                        {"id_token_hint": {idToken}, "state": {"\x00"}},
		"a flood":                    {"id_token_hint": {idToken}, "state": {strings.Repeat("x", 9<<10)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, form := range []url.Values{nil, parameters} {
				target := "/logout"
				if form == nil {
					target += "?" + parameters.Encode()
				}
				a := h.send(target, form, alice.with)
				if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || !alice.signedIn() {
					t.Errorf("%d %q, signed in %v", a.status, a.header.Get("Location"), alice.signedIn())
				}
				if strings.Contains(a.body, "evil.example") {
					t.Error("the page has what was asked for")
				}
			}
		})
	}
}

// Whoever has signed out already is not asked.
func TestEndSessionOfNobody(t *testing.T) {
	h := newHouse(t)
	a := h.send("/logout?"+url.Values{"client_id": {"web"}, "post_logout_redirect_uri": {bye}, "state": {"x"}}.Encode(), nil, nil)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != bye+"?state=x" {
		t.Errorf("%d %q", a.status, a.header.Get("Location"))
	}
	if a := h.send("/logout", nil, nil); a.status != http.StatusOK {
		t.Errorf("%d", a.status)
	}
}
