package oauth2

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/authserver/account"

	"github.com/golang-jwt/jwt/v5"
)

const trustedURI = "https://trusted.example.org/cb"

func TestGrantCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	code := b.code(t, trustedRequest())
	h.take()
	got := h.issued(t, exchange("trusted", code, trustedURI))
	if calls := h.take(); calls != "api.redeem_code" {
		t.Errorf("calls %s", calls)
	}
	if got.Scope != "openid email" || got.ExpiresIn != 300 || !strings.HasPrefix(got.RefreshToken, "or_") {
		t.Errorf("%+v", got)
	}
	access, id := payload(t, got.AccessToken), payload(t, got.IDToken)
	if access["iss"] != issuer || access["aud"] != "trusted" || access["client_id"] != "trusted" || access["sub"] != h.userID(t, "alice") || access["scope"] != "openid email" || access["grant_id"] == nil {
		t.Errorf("access token %v", access)
	}
	if id["iss"] != issuer || id["aud"] != "trusted" || id["sub"] != access["sub"] || id["nonce"] != "n-1" || id["at_hash"] == nil || id["sid"] == nil || id["auth_time"] == nil || id["acr"] != "1" {
		t.Errorf("ID token %v", id)
	}

	// Nobody gets an ID token who does not ask, or a refresh token who does not
	// use them.
	h.edit(t, "trusted", `grant_types = '{authorization_code}'`)
	got = h.issued(t, exchange("trusted", b.code(t, trustedRequest("scope", "email")), trustedURI))
	if got.IDToken != "" || got.RefreshToken != "" {
		t.Errorf("%+v", got)
	}
	if n := value[int](t, h, `select count(*) from auth.oauth2_refresh_tokens`); n != 1 {
		t.Errorf("%d families", n)
	}
	// Tokens do not outlast their grant.
	h.edit(t, "trusted", `grant_lifetime = '2 min', access_token_lifetime = '1 hour'`)
	if got = h.issued(t, exchange("trusted", b.code(t, trustedRequest()), trustedURI)); got.ExpiresIn > 60 {
		t.Errorf("a grant of a minute has a token of %d s", got.ExpiresIn)
	}
}

func TestGrantCodeRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "wiki", `trusted = true`)
	b := h.signIn(t, "alice", time.Minute)
	fresh := func(changes ...string) string { return b.code(t, wikiRequest(changes...)) }
	code := fresh()
	for name, tt := range map[string]struct {
		r    *http.Request
		code string
	}{
		"no code":                    {exchange("wiki", "", wikiURI), "invalid_request"},
		"another code":               {exchange("wiki", codes.New().Text(), wikiURI), "invalid_grant"},
		"what is no code":            {exchange("wiki", "x", wikiURI), "invalid_grant"},
		"a code in upper case":       {exchange("wiki", strings.ToUpper(code), wikiURI), "invalid_grant"},
		"a refresh token":            {exchange("wiki", newRefreshToken().text(), wikiURI), "invalid_grant"},
		"code with NUL":              {exchange("wiki", code+"\x00", wikiURI), "invalid_request"},
		"long code":                  {exchange("wiki", code+strings.Repeat("x", maxParameter), wikiURI), "invalid_request"},
		"another URI":                {exchange("wiki", code, "https://other.example.org/cb"), "invalid_grant"},
		"nearly the URI":             {exchange("wiki", code, wikiURI+"&x"), "invalid_grant"},
		"no URI":                     {exchange("wiki", code, ""), "invalid_grant"},
		"another client, same URI":   {exchange("other", code, wikiURI), "invalid_grant"},
		"no verifier":                {exchange("wiki", code, wikiURI, "code_verifier", ""), "invalid_grant"},
		"another verifier":           {exchange("wiki", code, wikiURI, "code_verifier", verifier[1:]+"x"), "invalid_grant"},
		"the challenge":              {exchange("wiki", code, wikiURI, "code_verifier", challenge), "invalid_grant"},
		"verifier where none was":    {exchange("wiki", fresh("code_challenge", "", "code_challenge_method", ""), wikiURI), "invalid_grant"},
		"resource that is malformed": {exchange("wiki", code, wikiURI, "resource", "v1"), "invalid_target"},
		"client without this grant":  {exchange("robot", code, wikiURI), "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) { h.refused(t, tt.r, 400, tt.code) })
	}
	// All that has not used it up.
	h.issued(t, exchange("wiki", code, wikiURI))

	code = fresh()
	h.arrange(t, `update auth.oauth2_grants set code_expires_at = now() where redeemed_at is null`)
	h.refused(t, exchange("wiki", code, wikiURI), 400, "invalid_grant")
	code = fresh()
	h.arrange(t, `update auth.oauth2_grants set revoked_at = now(), revoked_reason = 'test' where redeemed_at is null`)
	h.refused(t, exchange("wiki", code, wikiURI), 400, "invalid_grant")
}

// A code that is used twice has leaked: what came of it is worth nothing.
func TestCodeReplayed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	log := h.record()
	code := h.signIn(t, "alice", time.Minute).code(t, trustedRequest())
	got := h.issued(t, exchange("trusted", code, trustedURI))
	log.take()
	h.refused(t, exchange("trusted", code, trustedURI), 400, "invalid_grant")
	if line := log.take(); !strings.Contains(line, "msg=oauth2.code_replayed") || !strings.Contains(line, "client_id=trusted") || !strings.Contains(line, h.userID(t, "alice")) {
		t.Errorf("logged %s", line)
	}
	h.refused(t, refresh("trusted", got.RefreshToken), 400, "invalid_grant")
	if h.introspect(t, "trusted", got.AccessToken).Active {
		t.Error("the access token is active")
	}

	// Whoever it is that has it.
	code = h.signIn(t, "alice", time.Minute).code(t, trustedRequest())
	got = h.issued(t, exchange("trusted", code, trustedURI))
	h.refused(t, exchange("other", code, "https://other.example.org/cb"), 400, "invalid_grant")
	h.refused(t, refresh("trusted", got.RefreshToken), 400, "invalid_grant")
}

// Of many who come with a code, one gets tokens.
func TestCodeRace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signIn(t, "alice", time.Minute)
	for range 5 {
		code := b.code(t, trustedRequest())
		var mu sync.Mutex
		statuses := map[int]int{}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				res := h.do(exchange("trusted", code, trustedURI))
				mu.Lock()
				defer mu.Unlock()
				statuses[res.StatusCode]++
			})
		}
		wg.Wait()
		if statuses[200] != 1 || statuses[400] != 15 {
			t.Errorf("statuses %v", statuses)
		}
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "wiki", `trusted = true`)
	b := h.signIn(t, "alice", time.Minute)
	both := wikiRequest()
	both["resource"] = []string{apiURI, "https://files.example.org/", apiURI}
	aud := func(got tokens) string { return fmt.Sprint(payload(t, got.AccessToken)["aud"]) }

	got := h.issued(t, exchange("wiki", b.code(t, both), wikiURI))
	if aud(got) != "["+apiURI+" https://files.example.org/]" {
		t.Errorf("for both: %s", aud(got))
	}
	next := h.issued(t, refresh("wiki", got.RefreshToken, "resource", apiURI))
	if aud(next) != apiURI {
		t.Errorf("refreshed for one: %s", aud(next))
	}
	h.refused(t, refresh("wiki", next.RefreshToken, "resource", "https://elsewhere.example.org/"), 400, "invalid_target")
	if again := h.issued(t, refresh("wiki", next.RefreshToken)); aud(again) != aud(got) {
		t.Errorf("refreshed for all: %s", aud(again))
	}

	got = h.issued(t, exchange("wiki", b.code(t, both), wikiURI, "resource", "https://files.example.org/"))
	if aud(got) != "https://files.example.org/" {
		t.Errorf("exchanged for one: %s", aud(got))
	}
	got = h.issued(t, exchange("wiki", b.code(t, wikiRequest()), wikiURI))
	if aud(got) != "wiki" {
		t.Errorf("for none: %s", aud(got))
	}
	h.refused(t, exchange("wiki", b.code(t, wikiRequest()), wikiURI, "resource", apiURI), 400, "invalid_target")
	many := wikiRequest()
	for i := range maxResources + 1 {
		many.Add("resource", fmt.Sprintf("https://api.example.org/%d", i))
	}
	if got := answer(t, b.authorize(many), wikiURI); got.Get("error") != "invalid_target" {
		t.Errorf("many: %v", got)
	}
	// Nobody needs credentials to ask: no more of them are looked at than may be
	// there. One that is malformed, behind those, is not found.
	many["resource"] = append(many["resource"][:maxResources+1], "#")
	if got := answer(t, b.authorize(many), wikiURI); got.Get("error_description") != "There are too many resources" {
		t.Errorf("more than many: %v", got)
	}
}

func TestGrantRefresh(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.tokensOf(t, "scope", "openid email offline_access")
	h.take()
	second := h.issued(t, refresh("trusted", first.RefreshToken))
	if calls := h.take(); calls != "api.rotate_refresh_token" {
		t.Errorf("calls %s", calls)
	}
	was, is := payload(t, first.IDToken), payload(t, second.IDToken)
	if second.RefreshToken == first.RefreshToken || second.Scope != first.Scope || is["nonce"] != nil || is["auth_time"] != was["auth_time"] || is["sub"] != was["sub"] || is["sid"] != was["sid"] {
		t.Errorf("%+v: %v", second, is)
	}
	// Fewer scopes this time are all again the next time.
	third := h.issued(t, refresh("trusted", second.RefreshToken, "scope", "email"))
	if third.Scope != "email" || third.IDToken != "" || payload(t, third.AccessToken)["scope"] != "email" {
		t.Errorf("%+v", third)
	}
	fourth := h.issued(t, refresh("trusted", third.RefreshToken))
	if fourth.Scope != first.Scope || fourth.IDToken == "" {
		t.Errorf("%+v", fourth)
	}

	// Whoever lost an answer gets the same.
	again := h.issued(t, refresh("trusted", third.RefreshToken))
	if again.RefreshToken != fourth.RefreshToken {
		t.Error("the second answer has another refresh token")
	}
	h.issued(t, refresh("trusted", fourth.RefreshToken))
}

func TestGrantRefreshRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.tokensOf(t)
	parsed, err := parseRefreshToken(got.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	wrongSecret, later := parsed, parsed
	wrongSecret.secret[0]++
	later.generation = 7
	for name, tt := range map[string]struct {
		r    *http.Request
		code string
	}{
		"none":                 {refresh("trusted", ""), "invalid_request"},
		"what is none":         {refresh("trusted", "x"), "invalid_grant"},
		"an access token":      {refresh("trusted", got.AccessToken), "invalid_grant"},
		"another family":       {refresh("trusted", newRefreshToken().text()), "invalid_grant"},
		"another secret":       {refresh("trusted", wrongSecret.text()), "invalid_grant"},
		"one that is to come":  {refresh("trusted", later.text()), "invalid_grant"},
		"another client":       {refresh("other", got.RefreshToken), "invalid_grant"},
		"more scopes":          {refresh("trusted", got.RefreshToken, "scope", "openid profile"), "invalid_scope"},
		"scopes of blanks":     {refresh("trusted", got.RefreshToken, "scope", " "), "invalid_scope"},
		"malformed scopes":     {refresh("trusted", got.RefreshToken, "scope", "a\"b"), "invalid_scope"},
		"client without it":    {refresh("robot", got.RefreshToken), "unauthorized_client"},
		"malformed resource":   {refresh("trusted", got.RefreshToken, "resource", "#"), "invalid_target"},
		"resource of the wiki": {refresh("trusted", got.RefreshToken, "resource", apiURI), "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) { h.refused(t, tt.r, 400, tt.code) })
	}
	// All that has not revoked anything.
	got = h.issued(t, refresh("trusted", got.RefreshToken))

	h.arrange(t, `update auth.oauth2_refresh_tokens set rotated_at = now() - interval '15 days'`)
	h.refused(t, refresh("trusted", got.RefreshToken), 400, "invalid_grant")
}

// A refresh token that was used some time ago was stolen, by whoever uses it now
// or by whoever did: nobody of them gets any more.
func TestRefreshTokenReplayed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	log := h.record()
	for name, replay := range map[string]func(t *testing.T) (replayed, current tokens){
		"the previous one, after the grace": func(t *testing.T) (tokens, tokens) {
			first := h.tokensOf(t)
			second := h.issued(t, refresh("trusted", first.RefreshToken))
			h.arrange(t, `update auth.oauth2_refresh_tokens set rotated_at = rotated_at - interval '11 s'`)
			return first, second
		},
		"an older one": func(t *testing.T) (tokens, tokens) {
			first := h.tokensOf(t)
			second := h.issued(t, refresh("trusted", first.RefreshToken))
			return first, h.issued(t, refresh("trusted", second.RefreshToken))
		},
	} {
		t.Run(name, func(t *testing.T) {
			replayed, current := replay(t)
			log.take()
			h.refused(t, refresh("trusted", replayed.RefreshToken), 400, "invalid_grant")
			if line := log.take(); !strings.Contains(line, "msg=oauth2.refresh_token_replayed") || !strings.Contains(line, h.userID(t, "alice")) {
				t.Errorf("logged %s", line)
			}
			h.refused(t, refresh("trusted", current.RefreshToken), 400, "invalid_grant")
			if h.introspect(t, "trusted", current.AccessToken).Active {
				t.Error("the access token is active")
			}
		})
	}
}

// A new key changes successors: whoever comes again for one gets none, and keeps
// what they have.
func TestRefreshKeyChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.tokensOf(t)
	second := h.issued(t, refresh("trusted", first.RefreshToken))
	h.s.RefreshKey[0]++
	h.refused(t, refresh("trusted", first.RefreshToken), 400, "invalid_grant")
	h.issued(t, refresh("trusted", second.RefreshToken))
}

func TestRefreshRace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	current := h.tokensOf(t).RefreshToken
	for range 5 {
		var mu sync.Mutex
		next := map[string]int{}
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				got := h.issued(t, refresh("trusted", current))
				mu.Lock()
				defer mu.Unlock()
				next[got.RefreshToken]++
			})
		}
		wg.Wait()
		if len(next) != 1 {
			t.Fatalf("%d successors", len(next))
		}
		for current = range next {
		}
	}
}

func TestGrantClientCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	own := func(changes ...string) *http.Request {
		return asClient("robot", "/o2/token", with(url.Values{"grant_type": {"client_credentials"}}, changes...))
	}
	got := h.issued(t, own())
	if calls := h.take(); calls != "" {
		t.Errorf("calls %s", calls)
	}
	access := payload(t, got.AccessToken)
	if got.Scope != "backup:read backup:write" || got.RefreshToken != "" || got.IDToken != "" || access["sub"] != "robot" || access["client_id"] != "robot" || access["aud"] != "robot" || access["grant_id"] != nil {
		t.Errorf("%+v: %v", got, access)
	}
	got = h.issued(t, own("scope", "backup:read", "resource", apiURI))
	if got.Scope != "backup:read" || payload(t, got.AccessToken)["aud"] != apiURI {
		t.Errorf("%+v", got)
	}
	h.refused(t, own("scope", "backup:delete"), 400, "invalid_scope")
	h.refused(t, own("scope", "openid"), 400, "invalid_scope") // nobody has signed in
	h.refused(t, own("scope", "\""), 400, "invalid_scope")
	h.refused(t, own("resource", "https://elsewhere.example.org/"), 400, "invalid_target")
	if calls := h.take(); calls != "" {
		t.Errorf("calls %s", calls)
	}
	// A client that has no such scopes gets a token without.
	if got := h.issued(t, asClient("mail", "/o2/token", url.Values{"grant_type": {"client_credentials"}})); got.Scope != "" {
		t.Errorf("%+v", got)
	}
	h.refused(t, post("/o2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}}), 400, "unauthorized_client")
}

func TestAssertion(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "signer", `trusted = true`)
	b := h.signIn(t, "alice", time.Minute)
	uri := "https://signer.example.org/cb"
	signed := func(audience string, p url.Values, changes ...string) *http.Request {
		all := assertion(t, audience)
		for name, values := range p {
			all[name] = values
		}
		return post("/o2/token", with(all, changes...))
	}
	again := func(r *http.Request) *http.Request {
		p := url.Values{}
		for name, values := range r.PostForm {
			p[name] = values
		}
		return post(r.URL.Path, p)
	}

	// One call for each, and each assertion counts once.
	var refreshToken string
	for _, tt := range []struct{ calls, grantType string }{
		{"api.spend_client_assertion", "client_credentials"}, {"api.redeem_code", "authorization_code"}, {"api.rotate_refresh_token", "refresh_token"},
	} {
		p := url.Values{"grant_type": {tt.grantType}}
		switch tt.grantType {
		case "authorization_code":
			p.Set("code", b.code(t, wikiRequest("client_id", "signer", "redirect_uri", uri)))
			p.Set("redirect_uri", uri)
			p.Set("code_verifier", verifier)
		case "refresh_token":
			p.Set("refresh_token", refreshToken)
		}
		r := signed(base+"/token/", p)
		h.take()
		got := h.issued(t, r)
		if calls := h.take(); calls != tt.calls {
			t.Errorf("%s: calls %s", tt.grantType, calls)
		}
		if tt.grantType != "client_credentials" {
			refreshToken = got.RefreshToken
		}
		h.refused(t, again(r), 401, "invalid_client")
		if tt.calls == "api.redeem_code" { // which has replayed the assertion, and not the code
			continue
		}
	}
	p := url.Values{"grant_type": {"client_credentials"}}
	for _, audience := range []string{issuer, base + "/token"} {
		h.issued(t, signed(audience, p))
	}
	for _, audience := range []string{"https://attacker.example.org/o2", base, "wiki", "https://auth.example.com/", base + "/revoke_token"} {
		if audience == base { // which is the issuer here
			continue
		}
		h.refused(t, signed(audience, p), 401, "invalid_client")
	}

	// Algorithm confusion, and other ways to be the signer.
	public := value[string](t, h, `select c.jwks::text from auth.oauth2_clients c where c.client_id = 'signer'`)
	claims := jwt.MapClaims{"iss": "signer", "sub": "signer", "aud": issuer, "jti": "x", "exp": time.Now().Add(time.Minute).Unix()}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	good := assertion(t, issuer).Get("client_assertion")
	parts := strings.Split(good, ".")
	ours := h.issued(t, signed(issuer, p)).AccessToken
	for name, text := range map[string]string{
		"none": unsigned, "HS256 by the public key": symmetric, "no signature": parts[0] + "." + parts[1] + ".", "another's signature": parts[0] + "." + parts[1] + "." + strings.Split(ours, ".")[2],
		"an access token": ours, "no JWT": "x", "two JWTs": good + "." + good, "with a blank": " " + good,
	} {
		h.refused(t, signed(issuer, p, "client_assertion", text), 401, "invalid_client")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	h.refused(t, signed(issuer, p, "client_assertion_type", "x"), 400, "invalid_request")
	h.refused(t, signed(issuer, p, "client_id", "wiki"), 400, "invalid_request")
	h.refused(t, post("/o2/token", with(p, "client_id", "signer")), 401, "invalid_client")
}

func TestGrantPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	grant := func(clientID, username, password string, changes ...string) *http.Request {
		return asClient(clientID, "/o2/token", with(url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}}, changes...))
	}
	got := h.issued(t, grant("legacy", "alice@example.com", password, "scope", "openid email"))
	if id := payload(t, got.IDToken); got.Scope != "openid email" || got.RefreshToken == "" || id["sub"] != h.userID(t, "alice") || id["sid"] != nil || id["nonce"] != nil {
		t.Errorf("%+v: %v", got, id)
	}
	h.issued(t, refresh("legacy", got.RefreshToken))
	if got := h.issued(t, grant("legacy", "alice@example.com", password)); strings.Contains(got.Scope, "offline_access") || !strings.Contains(got.Scope, "profile") {
		t.Errorf("the default scope is %q", got.Scope)
	}

	unknown := h.refused(t, grant("legacy", "nobody@example.com", password), 400, "invalid_grant")
	if wrong := h.refused(t, grant("legacy", "alice@example.com", "wrong"), 400, "invalid_grant"); wrong != unknown {
		t.Errorf("%q and %q", wrong, unknown)
	}
	h.refused(t, grant("legacy", "alice@example.com", ""), 400, "invalid_request")
	h.refused(t, grant("legacy", "", password), 400, "invalid_request")
	h.refused(t, grant("legacy", "alice@example.com", password, "scope", "nonsense"), 400, "invalid_scope")
	h.refused(t, grant("legacy", "alice@example.com", password, "resource", apiURI), 400, "invalid_target")
	h.refused(t, grant("trusted", "alice@example.com", password), 400, "unauthorized_client")

	// An app password has to be for this.
	for service, want := range map[string]int{"imap": 400, "oauth2": 200} {
		app := account.NewAppPassword()
		hash := app.SHA256()
		h.arrange(t, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash, services)
			select $1, u.id, $2, '$6$x', array[$3] from auth.users u where u.identifier = 'alice'`, app.ID(), hash[:], service)
		if res := h.do(grant("legacy", "alice@example.com", app.Text())); res.StatusCode != want {
			t.Errorf("app password for %s: %s", service, res.Status)
		}
	}

	h.s.PasswordGrant = false
	h.refused(t, grant("legacy", "alice@example.com", password), 400, "unsupported_grant_type")
	h.s.PasswordGrant = true
	for i := 0; ; i++ {
		res := h.do(grant("legacy", "bob@example.com", fmt.Sprint("wrong ", i)))
		if res.StatusCode == http.StatusTooManyRequests {
			if text := body(res); res.Header.Get("Retry-After") == "" || !strings.Contains(text, `"error":"slow_down"`) {
				t.Errorf("%v: %s", res.Header, text)
			}
			break
		}
		if res.StatusCode != http.StatusBadRequest || i > 100 {
			t.Fatalf("after %d wrong passwords: %s", i, res.Status)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.observed["password slow_down"] != 1 || h.observed["password ok"] != 3 || h.observed["unknown unsupported_grant_type"] != 1 || h.observed["refresh_token ok"] != 1 {
		t.Errorf("observed %v", h.observed)
	}
}

// The password may change, or get a hash of today's kind, while it is verified.
// The first is a reason to refuse it, the second none, also if the client's
// assertion counts only once.
func TestGrantPasswordOfNow(t *testing.T) {
	t.Parallel()
	today, err := account.Hash(t.Context(), password, account.Standard)
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]int{today: 200, "$y$new": 400} {
		h := newHouse(t)
		h.arrange(t, `create function auth.change() returns trigger language plpgsql as $$
			begin update auth.users u set password_hash = '`+hash+`' where u.identifier = 'alice'; return null; end $$`)
		h.arrange(t, `create trigger change after update or delete on auth.login_throttles for each statement execute function auth.change()`) // when end_login forgets failures
		form := with(assertion(t, base+"/token"), "grant_type", "password", "username", "alice@example.com", "password", password)
		if res := h.do(post("/o2/token", form)); res.StatusCode != want {
			t.Errorf("%s: %s", res.Status, body(res))
		}
		if calls := h.take(); strings.Count(calls, "api.begin_login") != 2 {
			t.Errorf("calls %s", calls)
		}
		if got := value[bool](t, h, `select exists (select from auth.oauth2_grants)`); got != (want == 200) {
			t.Errorf("there is a grant: %t", got)
		}
	}
}

// Who has learned of a stolen password changes it: what was got by it ends.
func TestGrantPasswordEndsWithIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.issued(t, asClient("legacy", "/o2/token", url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {password}, "scope": {"openid offline_access"}}))
	h.arrange(t, `select api.edit_users(array(select u.id from auth.users u where u.identifier = 'alice'), null, null, '$y$new', null, null, null)`)
	h.refused(t, refresh("legacy", got.RefreshToken), 400, "invalid_grant")
	if h.introspect(t, "mail", got.AccessToken).Active {
		t.Error("the access token is active")
	}
}

// Who asks is settled before what for.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "wiki", `trusted = true`)
	code := h.signIn(t, "alice", time.Minute).code(t, wikiRequest())
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {wikiURI}, "code_verifier": {verifier}}
	basic := func(id, secret string, changes ...string) *http.Request {
		r := post("/o2/token", with(url.Values{}, append(flat(form), changes...)...))
		r.SetBasicAuth(id, secret)
		return r
	}
	inBody := func(changes ...string) *http.Request {
		return post("/o2/token", with(url.Values{}, append(flat(form), changes...)...))
	}
	for _, path := range []string{"/o2/token", "/o2/revoke_token", "/o2/introspect"} {
		at := func(r *http.Request) *http.Request {
			r.URL.Path = path
			return r
		}
		for name, r := range map[string]*http.Request{
			"nobody":                at(inBody()),
			"only the id":           at(inBody("client_id", "wiki")),
			"wrong secret":          at(basic("wiki", "wrong")),
			"another's secret":      at(basic("wiki", secrets["trusted"])),
			"unknown client":        at(basic("nobody", secrets["wiki"])),
			"wrong secret, in body": at(inBody("client_id", "wiki", "client_secret", "wrong")),
			"secret of a public":    at(inBody("client_id", "app", "client_secret", "x")),
			"nonsense to do":        at(basic("wiki", "wrong", "grant_type", "nonsense")),
		} {
			t.Run(path+" "+name, func(t *testing.T) { h.refused(t, r, 401, "invalid_client") })
		}
		h.refused(t, at(basic("wiki", secrets["wiki"], "client_id", "wiki", "client_secret", secrets["wiki"])), 400, "invalid_request")
		h.refused(t, at(basic("wiki", secrets["wiki"], "client_id", "trusted")), 400, "invalid_request")
		r := at(basic("wiki", secrets["wiki"]))
		r.Header.Add("Authorization", "Bearer x")
		h.refused(t, r, 400, "invalid_request")
	}
	for name, p := range map[string]string{
		"none": "", "unknown": "urn:ietf:params:oauth:grant-type:device_code", "implicit": "implicit", "in upper case": "AUTHORIZATION_CODE",
	} {
		want := "unsupported_grant_type"
		if p == "" {
			want = "invalid_request"
		}
		t.Run(name, func(t *testing.T) { h.refused(t, basic("wiki", secrets["wiki"], "grant_type", p), 400, want) })
	}

	// Dovecot sends empty parameters beside the header.
	r := post("/o2/token", url.Values{"client_id": {""}, "client_secret": {""}, "grant_type": {"client_credentials"}})
	r.SetBasicAuth("robot", secrets["robot"])
	h.issued(t, r)
	h.issued(t, inBody("client_id", "wiki", "client_secret", secrets["wiki"]))
	h.mu.Lock()
	defer h.mu.Unlock()
	for seen := range h.observed {
		grant, _, _ := strings.Cut(seen, " ")
		if grant != unknownGrant && grant != authorizing && !slices.Contains(grantTypes, grant) {
			t.Errorf("observed %q", seen)
		}
	}
}

// Parameters are where they belong, and there once.
func TestPollution(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.tokensOf(t)
	for _, name := range []string{"grant_type", "refresh_token", "scope", "client_id", "client_secret", "client_assertion", "code", "redirect_uri", "code_verifier", "username", "password"} {
		p := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.RefreshToken}}
		p[name] = append(p[name], "x", "x")
		h.refused(t, asClient("trusted", "/o2/token", p), 400, "invalid_request")
	}
	for _, path := range []string{"/o2/revoke_token", "/o2/introspect"} {
		h.refused(t, asClient("trusted", path, url.Values{"token": {got.RefreshToken, "x"}}), 400, "invalid_request")
		h.refused(t, asClient("trusted", path, url.Values{"token": {got.RefreshToken}, "token_type_hint": {"a", "b"}}), 400, "invalid_request")
		h.refused(t, asClient("trusted", path, url.Values{}), 400, "invalid_request")
		h.refused(t, asClient("trusted", path, url.Values{"token": {""}}), 400, "invalid_request")
	}
	p := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.RefreshToken}}
	for _, path := range []string{"/o2/token", "/o2/revoke_token", "/o2/introspect"} {
		h.refused(t, asClient("trusted", path+"?refresh_token=x", p), 400, "invalid_request")
		r := asClient("trusted", path, p)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		h.refused(t, r, 400, "invalid_request")
		r = asClient("trusted", path, p)
		r.Header.Del("Content-Type")
		h.refused(t, r, 400, "invalid_request")
		r = asClient("trusted", path, url.Values{"grant_type": {strings.Repeat("x", 200<<10)}})
		h.refused(t, r, http.StatusRequestEntityTooLarge, "invalid_request")
		r = asClient("trusted", path, url.Values{"grant_type": {strings.Repeat("x", 20<<10)}, "token": {strings.Repeat("x", 20<<10)}})
		h.refused(t, r, 400, "invalid_request")
	}
	h.issued(t, refresh("trusted", got.RefreshToken)) // nothing has come of all that
}

func TestCORS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.edit(t, "app", `trusted = true`)
	code := h.signIn(t, "alice", time.Minute).code(t, wikiRequest("client_id", "app", "redirect_uri", "com.example.app:/cb"))
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {code}, "redirect_uri": {"com.example.app:/cb"}, "code_verifier": {verifier}}
	from := func(r *http.Request, origin string) *http.Request {
		r.Header.Set("Origin", origin)
		return r
	}
	allowed := func(res *http.Response) string { return res.Header.Get("Access-Control-Allow-Origin") }
	res := h.do(from(post("/o2/token", form), origin))
	if res.StatusCode != 200 || allowed(res) != origin || res.Header.Get("Vary") != "Origin" || res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if res = h.do(from(post("/o2/token", form), origin)); res.StatusCode != 400 || allowed(res) != origin {
		t.Errorf("an error: %s %v", res.Status, res.Header)
	}
	if res = h.do(from(post("/o2/revoke_token", url.Values{"client_id": {"app"}, "token": {"x"}}), origin)); res.StatusCode != 200 || allowed(res) != origin {
		t.Errorf("revoke: %s %v", res.Status, res.Header)
	}
	for _, other := range []string{"https://attacker.example.org", "null", origin + ":8443", "http://wiki.example.org", origin + ".attacker.example.org", "*"} {
		if res = h.do(from(post("/o2/token", form), other)); allowed(res) != "" {
			t.Errorf("%s: %v", other, res.Header)
		}
	}
	// The origin is one client's, and not everybody's.
	if res = h.do(from(refresh("trusted", "x"), origin)); allowed(res) != "" {
		t.Errorf("another client: %v", res.Header)
	}
}
