package docker

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"authbridge/authserver/account"
)

// offline is a login with a refresh token.
func (h *house) offline(t testing.TB, registry, name, password string) string {
	t.Helper()
	got := h.issue(t, withBasic(get(url.Values{"service": {registry}, "offline_token": {"true"}, "client_id": {"docker"}}), name, password))
	if _, err := refreshTokens.Parse(got.RefreshToken); err != nil {
		t.Fatalf("no refresh token: %+v", got.answer)
	}
	return got.RefreshToken
}

// A client that did not ask for a refresh token would store it in place of the
// password all the same.
func TestRefreshTokenOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	login := func(with url.Values) *http.Request {
		with.Set("service", ours)
		return withBasic(get(with), "alice@example.com", secret)
	}
	form := func(with url.Values) *http.Request {
		for name, value := range map[string]string{"service": ours, "grant_type": "password", "username": "alice@example.com", "password": secret} {
			with.Set(name, value)
		}
		return post(with)
	}
	for name, tt := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"GET":                           {login(url.Values{}), false},
		"GET, offline_token":            {login(url.Values{"offline_token": {"true"}}), true},
		"GET, no offline_token":         {login(url.Values{"offline_token": {"false"}}), false},
		"GET, an empty offline_token":   {login(url.Values{"offline_token": {""}}), false},
		"POST":                          {form(url.Values{}), false},
		"POST, offline":                 {form(url.Values{"access_type": {"offline"}}), true},
		"POST, online":                  {form(url.Values{"access_type": {"online"}}), false},
		"anonymous asks for a token":    {get(url.Values{"service": {ours}, "offline_token": {"true"}}), false},
		"anonymous, by its other name":  {get(url.Values{"service": {ours}, "access_type": {"offline"}}), false},
		"GET, what others call offline": {login(url.Values{"access_type": {"offline"}}), true},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.issue(t, tt.r)
			if _, has := got.raw["refresh_token"]; has != tt.want {
				t.Errorf("refresh_token is there: %v", has)
			}
		})
	}
}

// One token is used by several programs, again and again, and stays the same.
func TestRefresh(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, password := range map[string]string{"alice@example.com": secret, "svc-alice": secret, "alice+ci@example.com": h.addAppPassword(t, nil, nil).Text()} {
		refreshToken := h.offline(t, ours, name, password)
		for _, client := range []string{"registry-client", "go-containerregistry", "containers/image", ""} {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "service": {ours}, "scope": {"repository:team/app:pull,push", "repository:home/alice/a:pull"}, "client_id": {client}}
			got := h.issue(t, post(form))
			if got.access() != "repository:team/app:pull,push repository:home/alice/a:pull" || got.claims.Subject != h.userID(t, "alice") || got.RefreshToken != "" {
				t.Errorf("%s: %s for %s, %+v", name, got.access(), got.claims.Subject, got.answer)
			}
			form.Set("access_type", "offline")
			if got := h.issue(t, post(form)); got.RefreshToken != refreshToken {
				t.Errorf("another refresh token")
			}
		}
	}
	if h.granted["refresh_token"] != 24 {
		t.Errorf("counted %v", h.granted)
	}
}

// Each kind of token is good for one thing only.
func TestTokensAreNotInterchangeable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	refreshToken := h.offline(t, ours, "alice@example.com", secret)
	access := h.issue(t, withBasic(ask(ours, "repository:team/app:pull"), "alice@example.com", secret)).Token
	const what = "repository:team/app:pull"
	g := h.guard(t, ours, issuer)
	if !g.lets(t, access, what) {
		t.Error("the registry refuses the access token")
	}
	if g.lets(t, refreshToken, "") {
		t.Error("the registry takes a refresh token")
	}
	for name, r := range map[string]*http.Request{
		"an access token as refresh token":    refresh(ours, access, what),
		"a password as refresh token":         refresh(ours, secret, what),
		"an app password as refresh token":    refresh(ours, h.addAppPassword(t, nil, nil).Text(), what),
		"a refresh token of another registry": refresh(theirs, refreshToken, what),
		"a refresh token as password":         withBasic(ask(ours, what), "alice@example.com", refreshToken),
		"one of another registry, as Basic":   withBasic(ask(theirs, what), "<token>", refreshToken),
		"a refresh token as bearer":           withAuthorization(ask(ours, what), "Bearer "+refreshToken),
		"an access token as bearer":           withAuthorization(ask(ours, what), "Bearer "+access),
		"an access token as password":         withBasic(ask(ours, what), "alice@example.com", access),
		"in upper case":                       refresh(ours, strings.ToUpper(refreshToken), what),
		"with a blank":                        refresh(ours, refreshToken+" ", what),
		"without its prefix":                  refresh(ours, refreshToken[3:], what),
		"with another end":                    refresh(ours, refreshToken[:len(refreshToken)-1]+otherEnd(refreshToken), what),
	} {
		t.Run(name, func(t *testing.T) { h.refused(t, r, 401) })
	}
	h.issue(t, refresh(ours, refreshToken, what)) // nothing of this has ended it
}

// otherEnd is another last character.
func otherEnd(s string) string {
	if strings.HasSuffix(s, "a") {
		return "q"
	}
	return "a"
}

// A password that changes between its verification and the making of a refresh
// token is asked for again: another hash of it is as good, another password is
// not.
func TestPasswordChangesAtLogin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		becomes string
		status  int
	}{
		"another hash":     {secret, 200},
		"another password": {"another password", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			hash, err := account.Hash(t.Context(), tt.becomes, account.Standard)
			if err != nil {
				t.Fatal(err)
			}
			verified := 0
			h.api.Verifier.Observe = func(string) {
				if verified++; verified == 1 {
					h.arrange(t, `update auth.users set password_hash = $1`, hash)
				}
			}
			r := ask(ours)
			r.URL.RawQuery += "&offline_token=true"
			if tt.status == 200 {
				got := h.issue(t, withBasic(r, "alice@example.com", secret))
				h.issue(t, refresh(ours, got.RefreshToken))
			} else {
				h.refused(t, withBasic(r, "alice@example.com", secret), tt.status)
			}
			if verified != 2 {
				t.Errorf("verified %d times", verified)
			}
		})
	}
}

// A refresh token is good for what its user may now, as long as its credential
// is good.
func TestRefreshFollowsUser(t *testing.T) {
	t.Parallel()
	const what = "repository:team/app:pull,push"
	for name, change := range map[string]string{
		"user disabled":              `update auth.users u set active = false where u.identifier = 'alice'`,
		"user removed":               `delete from auth.users u where u.identifier = 'alice'`,
		"password changed":           `update auth.users u set password_hash = password_hash || 'x' where u.identifier = 'alice'`,
		"password removed":           `update auth.users u set password_hash = null where u.identifier = 'alice'`,
		"idle":                       `update auth.docker_refresh_tokens t set last_used_at = now() - interval '90 days 1 second'`,
		"revoked":                    `delete from auth.docker_refresh_tokens t`,
		"of another registry":        `update auth.docker_refresh_tokens t set registry_id = (select r.id from auth.docker_registries r where r.client_id = 'imported.example.com')`,
		"app password: revoked":      `update auth.app_passwords ap set revoked_at = now()`,
		"app password: expired":      `update auth.app_passwords ap set expires_at = now() - interval '1 second'`,
		"app password: removed":      `delete from auth.app_passwords ap`,
		"app password: not docker":   `update auth.app_passwords ap set services = '{imap}'`,
		"app password: elsewhere":    `update auth.app_passwords ap set registries = '{imported.example.com}'`,
		"app password: from nowhere": `update auth.app_passwords ap set networks = '{198.51.100.0/24}'`,
		"app password: user":         `update auth.users u set active = false where u.identifier = 'alice'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			password := secret
			if strings.HasPrefix(name, "app password") {
				password = h.addAppPassword(t, nil, nil).Text()
			}
			refreshToken := h.offline(t, ours, "alice@example.com", password)
			if got := h.issue(t, refresh(ours, refreshToken, what)); got.access() != what {
				t.Fatalf("granted %s", got.access())
			}
			h.arrange(t, change)
			got := h.refused(t, refresh(ours, refreshToken, what), 401)
			if want := h.refused(t, refresh(ours, "rt_", what), 401); got != want {
				t.Errorf("the reason is told: %s\nwant %s", got, want)
			}
		})
	}
	for name, tt := range map[string]struct{ change, want string }{
		"out of the group":       {`delete from auth.group_members gm`, "repository:team/app:"},
		"into another group":     {`update auth.group_members gm set group_id = (select g.id from auth.groups g where g.name = 'ops')`, "repository:team/app:"},
		"another last name":      {`update auth.users u set full_name = 'Alice Other'`, what},
		"app password: limited":  {`update auth.app_passwords ap set registry_actions = '{pull}'`, "repository:team/app:pull"},
		"app password: to this":  {`update auth.app_passwords ap set registries = array['registry.example.com:5000']`, what},
		"app password: password": {`update auth.users u set password_hash = password_hash || 'x'`, what},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			password := secret
			if strings.HasPrefix(name, "app password") {
				password = h.addAppPassword(t, nil, nil).Text()
			}
			refreshToken := h.offline(t, ours, "alice@example.com", password)
			h.arrange(t, tt.change)
			if got := h.issue(t, refresh(ours, refreshToken, what)); got.access() != tt.want {
				t.Errorf("granted %s, want %s", got.access(), tt.want)
			}
		})
	}
}

// A credential that ends while somebody logs in by it makes no refresh token.
func TestRefreshTokenOfEndedCredential(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := h.addAppPassword(t, nil, nil)
	q := tokenRequest{grant: password, offline: true, username: "alice@example.com", password: app.Text()}
	s, err := h.api.signer(h.api.Registries.Registry(ours))
	if err != nil {
		t.Fatal(err)
	}
	r := ask(ours)
	who, err := h.api.authenticate(r, q, s)
	if err != nil {
		t.Fatal(err)
	}
	h.arrange(t, `update auth.app_passwords ap set revoked_at = now()`)
	text, err := h.api.refreshToken(r, q, s, who)
	if text != "" || !errors.Is(err, errChanged) {
		t.Errorf("refresh token %t, %v", text != "", err)
	}
}

// What is refused is written for the operator, and not for fail2ban: a machine
// that goes on with what was good once is no guesser.
func TestRefusedRefreshIsLogged(t *testing.T) {
	h := newHouse(t)
	refreshToken := h.offline(t, ours, "alice@example.com", secret)
	app := h.offline(t, ours, "alice@example.com", h.addAppPassword(t, nil, nil).Text())
	h.arrange(t, `update auth.users u set password_hash = password_hash || 'x' where u.identifier = 'alice'`)
	h.arrange(t, `update auth.app_passwords ap set registries = '{imported.example.com}'`)
	for want, text := range map[string]string{
		"password changed":         refreshToken,
		"not a refresh token":      "eyJhbGciOiJSUzI1NiJ9.e30.",
		"unknown refresh token":    refreshTokens.New().Text(),
		"is not for this registry": app,
	} {
		log := captureLog(t)
		h.refused(t, refresh(ours, text), 401)
		if !strings.Contains(log.String(), "login.repeated from=192.0.2.1") || strings.Contains(log.String(), "login.failed") || !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
}
