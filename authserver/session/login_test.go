package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, tt := range map[string]struct{ username, identifier string }{
		"by the primary address": {"alice@example.com", "alice"},
		"by another address":     {"al@example.com", "alice"},
		"by a sub-address":       {"alice+shop@example.com", "alice"},
		"in capitals":            {"Bob@Example.COM", "bob"},
		"with blanks around":     {"  bob@example.com\t", "bob"},
		"staff, by identifier":   {"carol", "carol"},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			b.login(t, tt.username)
			b.wantUser(t, tt.identifier)
			if line := b.log.take(); !strings.HasPrefix(line, "level=INFO msg=session.started from=192.0.2.7 session="+b.who(t).ID+" user="+tt.identifier+"\n") ||
				strings.Contains(line, b.cookie()) {
				t.Errorf("log: %s", line)
			}
		})
	}
}

// How often a login asks the database.
func TestLoginCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	handle := h.save(t)
	h.calls()
	b := h.browser()
	form := b.form(t, "?request="+handle, "alice@example.com", right)
	if calls := h.calls(); calls != "api.find_oauth2_request" {
		t.Errorf("the page calls %s", calls)
	}
	wantRedirect(t, b.post("/login", form), "/o2/continue?id="+handle)
	if calls := h.calls(); calls != "api.begin_login api.end_login api.start_session" {
		t.Errorf("a login calls %s", calls)
	}
	form = b.form(t, "", "alice@example.com", right)
	if calls := h.calls(); calls != "" {
		t.Errorf("the page calls %s", calls)
	}
	wantRedirect(t, b.post("/login", form), "/")
	if calls := h.calls(); calls != "api.begin_login api.start_session" {
		t.Errorf("a login with a password that was right a moment ago calls %s", calls)
	}
	wantStatus(t, b.post("/login", b.form(t, "", "alice@example.com", "wrong")), http.StatusForbidden)
	if calls := h.calls(); calls != "api.begin_login api.end_login" {
		t.Errorf("a wrong password calls %s", calls)
	}
	form.Set("csrf", "wrong")
	wantStatus(t, b.post("/login", form), http.StatusForbidden)
	if calls := h.calls(); calls != "" {
		t.Errorf("somebody else's form calls %s", calls)
	}
}

// The same page, whatever was wrong: nobody learns from it who exists.
func TestLoginDenied(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app, serviceApp := account.NewAppPassword(), account.NewAppPassword()
	for _, a := range []account.AppPassword{app, serviceApp} {
		sum := a.SHA256()
		h.arrange(t, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash) select $1, u.id, $2, '$6$x' from auth.users u where u.identifier = 'alice'`, a.ID(), sum[:])
	}
	h.arrange(t, `update auth.app_passwords a set services = '{imap}' where a.id = $1`, serviceApp.ID())
	pages := map[string]string{}
	for name, tt := range map[string]struct{ username, password string }{
		"a wrong password":               {"alice@example.com", "guess 1"},
		"nobody":                         {"nobody@example.com", right},
		"another domain":                 {"alice@example.org", right},
		"not active":                     {"gone@example.com", right},
		"an identifier of no staff":      {"alice", right},
		"no name":                        {"", right},
		"no password":                    {"alice@example.com", ""},
		"neither":                        {"", ""},
		"a service user's password":      {"alice@example.com", printer},
		"a user's password for printer":  {"printer", right},
		"NUL in the name":                {"alice@example.com\x00", right},
		"NUL in the password":            {"alice@example.com", right + "\x00"},
		"not UTF-8":                      {"alice\xff@example.com", right},
		"60 KB of password":              {"alice@example.com", strings.Repeat("x", 60<<10)},
		"30 KB of name":                  {strings.Repeat("x", 30<<10) + "@example.com", right},
		"the hash":                       {"alice@example.com", "$y$"},
		"an app password":                {"alice@example.com", app.Text()},
		"an app password for imap":       {"alice@example.com", serviceApp.Text()},
		"a password with a blank behind": {"alice@example.com", right + " "},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			form := b.form(t, "", tt.username, tt.password)
			before := b.cookie()
			w := b.post("/login", form)
			wantStatus(t, w, http.StatusForbidden)
			if b.cookie() != before || b.who(t) != nil || w.Header().Get("Location") != "" {
				t.Error("the browser is somebody else than before")
			}
			if len(tt.password) > 3 && (strings.Contains(w.Body.String(), tt.password) || strings.Contains(b.log.take(), tt.password)) {
				t.Error("the password is shown")
			}
			shown := field(t, w, "username")
			if want := strings.TrimSpace(tt.username); shown != want && !(shown == "" && (len(want) > 320 || !request.IsText(want))) {
				t.Errorf("the name is shown as %q", shown)
			}
			page := strings.NewReplacer(` value="`+shown+`"`, ` value=""`, field(t, w, "csrf"), "", " autofocus", "").Replace(w.Body.String())
			pages[page] = name
			if len(pages) != 1 {
				t.Errorf("another page than others get: %s", page)
			}
			// The page can be sent again at once.
			wantRedirect(t, b.post("/login", fill(t, w, "bob@example.com", right)), "/")
			b.wantUser(t, "bob")
		})
	}
	// A user's own app password that names the web is one.
	h.arrange(t, `update auth.app_passwords a set services = '{imap,web}' where a.id = $1`, serviceApp.ID())
	b := h.browser()
	wantRedirect(t, b.post("/login", b.form(t, "", "alice@example.com", serviceApp.Text())), "/")
	b.wantUser(t, "alice")
}

// Who guesses waits, and is told for how long; others of other networks do not.
func TestLoginThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.arrange(t, `insert into auth.login_throttles (login_hash, network, service, failures) values (auth.login_hash('bob@example.com'), '192.0.2.7/32', 'web', 10)`)
	b := h.browser()
	w := b.post("/login", b.form(t, "", "bob@example.com", right))
	wantStatus(t, w, http.StatusTooManyRequests)
	if after := w.Header().Get("Retry-After"); !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(after) {
		t.Errorf("Retry-After %q", after)
	}
	if b.who(t) != nil || field(t, w, "username") != "bob@example.com" {
		t.Error("signed in, or the name is forgotten")
	}
	if line := b.log.take(); !strings.HasPrefix(line, "level=WARN msg=login.throttled from=192.0.2.7 ") {
		t.Errorf("log: %s", line)
	}
	// The address is the peer's: a header does not change it.
	b.header.Set("X-Forwarded-For", "198.51.100.1")
	wantStatus(t, b.post("/login", b.form(t, "", "bob@example.com", right)), http.StatusTooManyRequests)

	form := b.form(t, "", "bob@example.com", right)
	r := b.request(http.MethodPost, "/login", form.Encode())
	r.RemoteAddr = "198.51.100.1:4711"
	wantRedirect(t, b.do(r), "/")
}

// A service user signs in to applications only.
func TestLoginServiceUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := account.NewAppPassword()
	sum := app.SHA256()
	h.arrange(t, `insert into auth.login_names (name, kind) values ('scanner', 'service_user')`)
	h.arrange(t, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash) select $1, u.id, $2, '$6$x' from auth.users u where u.identifier = 'alice'`, app.ID(), sum[:])
	h.arrange(t, `insert into auth.service_users (user_id, username, app_password_id) select u.id, 'scanner', $1 from auth.users u where u.identifier = 'alice'`, app.ID())
	gone := h.save(t)
	if err := h.s.Forget(t.Context(), gone); err != nil {
		t.Fatal(err)
	}

	for username, password := range map[string]string{"printer": printer, "scanner": app.Text()} {
		for name, handle := range map[string]string{
			"none": "", "malformed": "x", "one that is gone": gone, "one that there never was": handles.New().Text(), "a cookie": secrets.New().Text(),
		} {
			b := h.browser()
			form := b.form(t, "", username, password)
			form.Set("request", handle)
			w := b.post("/login", form)
			if w.Code != http.StatusForbidden || b.who(t) != nil {
				t.Errorf("%s with %s: status %d", username, name, w.Code)
			}
		}

		b := h.browser()
		handle := h.save(t)
		wantRedirect(t, b.post("/login", b.form(t, "?request="+handle, username, password)), "/o2/continue?id="+handle)
		found := b.who(t)
		if found == nil || found.ServiceUser != username || found.Identifier != "alice" {
			t.Errorf("%s is %+v", username, found)
		}
		if line := b.log.take(); !strings.Contains(line, " user=alice service_user="+username+"\n") {
			t.Errorf("log: %s", line)
		}
	}
}

// The account or its password may change between the verification and the
// start of the session.
func TestLoginGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	form := b.form(t, "", "alice@example.com", right)
	h.changePassword(t, "'$y$new'")
	h.calls()
	w := b.post("/login", form)
	wantStatus(t, w, http.StatusForbidden)
	if calls := h.calls(); calls != "api.begin_login api.end_login api.start_session api.begin_login api.end_login" {
		t.Errorf("calls %s", calls)
	}
	if b.who(t) != nil || value[int](t, h, `select count(*)::int from auth.sessions`) != 0 {
		t.Error("signed in with a password that is no more")
	}
}

// The same password may get a hash of today's kind meanwhile: that is no reason
// to refuse it.
func TestLoginRehashed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	form := b.form(t, "", "alice@example.com", right)
	other, err := account.Hash(t.Context(), right, account.Standard)
	if err != nil {
		t.Fatal(err)
	}
	h.changePassword(t, "'"+other+"'")
	wantRedirect(t, b.post("/login", form), "/")
	if who := b.who(t); who == nil || who.Identifier != "alice" {
		t.Errorf("signed in as %v", who)
	}
}

// changePassword lets alice have another hash as soon as her password was
// verified.
func (h *house) changePassword(t *testing.T, hash string) {
	t.Helper()
	h.arrange(t, `create function auth.gone() returns trigger language plpgsql as $$
		begin update auth.users u set password_hash = `+hash+` where u.identifier = 'alice'; return null; end $$`)
	h.arrange(t, `create trigger gone after update or delete on auth.login_throttles for each statement execute function auth.gone()`) // when end_login forgets failures
}

// Nobody knows whether the password was right: the page asks again.
func TestLoginBusy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	r := b.request(http.MethodPost, "/login", b.form(t, "", "alice@example.com", right).Encode())
	ctx, cancel := context.WithCancel(r.Context())
	cancel() // as if there were others before, for longer than anybody waits
	w := b.do(r.WithContext(ctx))
	wantStatus(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") != "5" || field(t, w, "username") != "alice@example.com" || b.who(t) != nil {
		t.Errorf("Retry-After %q: %s", w.Header().Get("Retry-After"), w.Body)
	}
	if line := b.log.take(); !strings.Contains(line, "level=WARN") || strings.Contains(w.Body.String(), "context canceled") {
		t.Errorf("log: %s", line)
	}
	wantRedirect(t, b.post("/login", fill(t, w, "alice@example.com", right)), "/")
}

// Logins that race for the place of one session all succeed, and one of them
// gets it.
func TestLoginRace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	b.login(t, "alice@example.com")
	first := b.who(t).ID
	names := []string{"alice@example.com", "bob@example.com", "al@example.com", "carol"}
	var answers [16]*httptest.ResponseRecorder
	form := b.form(t, "", "", right)
	var wg sync.WaitGroup
	for i := range answers {
		form.Set("username", names[i%len(names)])
		r := b.request(http.MethodPost, "/login", form.Encode())
		wg.Go(func() {
			answers[i] = httptest.NewRecorder()
			h.mux.ServeHTTP(answers[i], r)
		})
	}
	wg.Wait()
	heirs := 0
	for i, w := range answers {
		wantRedirect(t, w, "/")
		got := h.browser()
		got.jar.SetCookies(site, w.Result().Cookies())
		found := got.who(t)
		if found == nil || found.Identifier != map[string]string{"alice@example.com": "alice", "al@example.com": "alice", "bob@example.com": "bob", "carol": "carol"}[names[i%len(names)]] {
			t.Fatalf("%s is %+v", names[i%len(names)], found)
		}
		if found.ID == first {
			heirs++
		}
	}
	if heirs > 1 {
		t.Errorf("%d have the session", heirs)
	}
	b.wantUser(t, "")
}

// The page knows whom it is for, and in which language.
func TestLoginPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	handle := h.save(t, "login_hint", `"><script>@example.com`, "ui_locales", "xx de en")
	w := b.get(LoginURL(handle) + "&ui_locales=ru")
	wantStatus(t, w, http.StatusOK)
	if name, request := field(t, w, "username"), field(t, w, "request"); name != `"><script>@example.com` || request != handle {
		t.Errorf("the form begins with %q and %q", name, request)
	}
	if body := w.Body.String(); !strings.Contains(body, "The &lt;Wiki&gt;") || strings.Contains(body, "<script>@") || !strings.Contains(body, `<html lang="de"`) {
		t.Errorf("page: %s", body)
	}

	// What was typed stands, were it nothing.
	form := fill(t, w, "", "wrong")
	w = b.post("/login", form)
	wantStatus(t, w, http.StatusForbidden)
	if name, request := field(t, w, "username"), field(t, w, "request"); name != "" || request != handle || !strings.Contains(w.Body.String(), "The &lt;Wiki&gt;") {
		t.Errorf("the second form begins with %q and %q", name, request)
	}

	if body := b.get("/login?ui_locales=uk").Body.String(); !strings.Contains(body, `<html lang="uk"`) || strings.Contains(body, "Wiki") {
		t.Errorf("page: %s", body)
	}
	for name, hint := range map[string]string{"a long hint": strings.Repeat("x", 321), "none": ""} {
		if got := field(t, b.get(LoginURL(h.save(t, "login_hint", hint))), "username"); got != "" {
			t.Errorf("%s fills in %q", name, got)
		}
	}
	// A request that is gone is said, and not sent again.
	plain := b.get("/login").Body.String()
	for _, query := range []string{"?request=" + handles.New().Text(), "?request=x", "?request=%00"} {
		w := b.get("/login" + query)
		wantStatus(t, w, http.StatusOK)
		if field(t, w, "request") != "" || w.Body.String() == plain {
			t.Errorf("%s: %s", query, w.Body)
		}
	}
}

// No page of ours is shown within another, and forms lead where the page says
// and to whoever has asked.
func TestPagePolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	b.login(t, "alice@example.com")
	handle := h.save(t)
	app := h.save(t, "redirect_uri", "com.example.app:/callback")
	odd := h.save(t, "redirect_uri", "https://evil.example.org;script-src")
	none := h.save(t, "redirect_uri", "https://evil.example.org; script-src */")
	for path, formAction := range map[string]string{
		"/":                        "'self'",
		"/logout":                  "'self'",
		"/login":                   "'self'",
		LoginURL(handle):           "'self' https://wiki.example.org",
		LoginURL(app):              "'self' com.example.app:",
		LoginURL(odd):              "'self' https:",
		LoginURL(none):             "'self'",
		"/login?redirect_uri=x://": "'self'",
	} {
		w := b.get(path)
		wantStatus(t, w, http.StatusOK)
		directives := map[string]string{}
		for directive := range strings.SplitSeq(w.Header().Get("Content-Security-Policy"), ";") {
			name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
			directives[name] = sources
		}
		if directives["frame-ancestors"] != "'none'" || directives["default-src"] != "'none'" || directives["base-uri"] != "'none'" || directives["form-action"] != formAction || directives["script-src"] != "" {
			t.Errorf("%s: policy %q", path, directives)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
	}
}

// Nothing in the request says where a login leads but the handle of a saved
// request.
func TestLoginOpenRedirect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const evil = "https://evil.example.org/"
	for _, name := range []string{"next", "continue", "redirect_uri", "return_to", "rd", "url", "request", "id", "Action"} {
		for _, target := range []string{evil, "//evil.example.org", `/\evil.example.org`, "javascript:alert(1)", "../../x", "https:evil.example.org", "rq_" + evil, handles.New().Text() + evil} {
			b := h.browser()
			b.header["Referer"] = []string{evil}
			query := "?" + url.Values{name: {target}}.Encode()
			form := b.form(t, query, "bob@example.com", right)
			if form.Get("request") != "" {
				t.Fatalf("%s=%s is in the form", name, target)
			}
			form.Set(name, target)
			r := b.request(http.MethodPost, "/login"+query, form.Encode())
			r.Header.Set("X-Forwarded-Host", "evil.example.org")
			wantRedirect(t, b.do(r), "/")
		}
	}
	// A Host that is not ours does not get into it.
	b := h.browser()
	form := b.form(t, "", "bob@example.com", right)
	r := b.request(http.MethodPost, "/login", form.Encode())
	r.Host = "evil.example.org"
	wantRedirect(t, b.do(r), "/")
}

// Login CSRF: somebody's page signs its visitor in as that somebody.
func TestLoginCSRF(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	attacker := h.browser()
	theirs := attacker.form(t, "", "bob@example.com", right)
	for name, tt := range map[string]struct {
		header http.Header
		csrf   func(own string) string
	}{
		"from another site, which knows the token": {http.Header{"Sec-Fetch-Site": {"cross-site"}}, func(own string) string { return own }},
		"from a neighbour, which knows the token":  {http.Header{"Sec-Fetch-Site": {"same-site"}}, func(own string) string { return own }},
		"by Origin":             {http.Header{"Origin": {"https://evil.example.org"}}, func(own string) string { return own }},
		"by Origin null":        {http.Header{"Origin": {"null"}}, func(own string) string { return own }},
		"an attacker's token":   {nil, func(string) string { return theirs.Get("csrf") }},
		"no token":              {nil, func(string) string { return "" }},
		"the token of a logout": {nil, func(string) string { return "logout" }},
	} {
		for _, signedIn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, signed in %v", name, signedIn), func(t *testing.T) {
				victim := h.browser()
				want := ""
				if signedIn {
					victim.login(t, "alice@example.com")
					want = "alice"
				}
				own := victim.form(t, "", "", "").Get("csrf")
				before := victim.cookie()
				form := url.Values{"username": {"bob@example.com"}, "password": {right}, "csrf": {tt.csrf(own)}}
				if form.Get("csrf") == "logout" {
					form.Set("csrf", csrf(mustParse(t, before), forLogout))
				}
				h.calls()
				r := victim.request(http.MethodPost, "/login", form.Encode())
				for name, values := range tt.header {
					r.Header[name] = values
				}
				w := victim.do(r)
				wantStatus(t, w, http.StatusForbidden)
				if calls := h.calls(); calls != "" {
					t.Errorf("the password is looked at: %s", calls)
				}
				if victim.cookie() != before {
					t.Error("the cookie has changed")
				}
				victim.wantUser(t, want)
				// The page that is shown is one of ours, and goes on.
				wantRedirect(t, victim.post("/login", fill(t, w, "bob@example.com", right)), "/")
			})
		}
	}
	// A browser that has no cookie yet sends what the attacker's has got.
	victim := h.browser()
	wantStatus(t, victim.post("/login", theirs), http.StatusForbidden)
	victim.wantUser(t, "")
	// The query, which is in logs and links, has neither token nor password.
	form := victim.form(t, "", "bob@example.com", right)
	query := url.Values{"csrf": {form.Get("csrf")}}
	form.Del("csrf")
	wantStatus(t, victim.post("/login?"+query.Encode(), form), http.StatusForbidden)
	form, query = query, form
	wantStatus(t, victim.post("/login?"+query.Encode(), form), http.StatusForbidden)
	victim.wantUser(t, "")
	// An old browser says nothing of where the form was; its token is enough.
	old := h.browser()
	form = old.form(t, "", "alice@example.com", right)
	wantRedirect(t, old.do(old.request(http.MethodPost, "/login", form.Encode())), "/")
}

// Session fixation: a cookie that somebody has planted is worth nothing after
// a login, and is never what the browser is known by then.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)

	fresh := h.browser()
	fresh.get("/login") // of the attacker, who signs in nowhere
	attacker := h.browser()
	attacker.login(t, "bob@example.com")
	for name, planted := range map[string]string{
		"one that no row knows":    secrets.New().Text(),
		"one that we have made":    fresh.cookie(),
		"the attacker's session":   attacker.cookie(),
		"a text that is no secret": "attacker",
	} {
		t.Run(name, func(t *testing.T) {
			victim := h.browser()
			victim.plant(planted)
			victim.login(t, "alice@example.com")
			victim.wantUser(t, "alice")
			if victim.cookie() == planted {
				t.Error("the planted cookie is adopted")
			}
			thief := h.browser()
			thief.plant(planted)
			thief.wantUser(t, "")
		})
	}
}

// Each login makes a new secret, the old one is worth nothing; the session
// stays the same for the same user, and ends for another.
func TestRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b, thief := h.browser(), h.browser()
	b.login(t, "alice@example.com")
	first := b.who(t)
	thief.plant(b.cookie())
	thief.wantUser(t, "alice")

	b.login(t, "al@example.com")
	second := b.who(t)
	if first == nil || second == nil || second.ID != first.ID || !second.AuthTime.After(first.AuthTime) {
		t.Errorf("%+v became %+v", first, second)
	}
	thief.wantUser(t, "")
	wantRedirect(t, thief.post("/logout", url.Values{"csrf": {csrf(mustParse(t, thief.cookie()), forLogout)}}), "/logout")
	b.wantUser(t, "alice") // the old cookie ends nothing

	thief.plant(b.cookie())
	b.login(t, "bob@example.com")
	third := b.who(t)
	if third == nil || third.ID == first.ID || third.Identifier != "bob" {
		t.Errorf("%+v became %+v", second, third)
	}
	thief.wantUser(t, "")
	if n := value[int](t, h, `select count(*)::int from auth.sessions`); n != 1 {
		t.Errorf("%d sessions are left", n)
	}

	// A failed login changes nothing.
	before := b.cookie()
	wantStatus(t, b.post("/login", b.form(t, "", "alice@example.com", "wrong")), http.StatusForbidden)
	if b.cookie() != before {
		t.Error("the cookie has changed")
	}
	b.wantUser(t, "bob")
}

// A name that looks like a line of the log is none.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, name := range []string{
		"x\nlevel=WARN msg=login.failed from=198.51.100.1",
		"x\r\nlevel=INFO msg=session.started from=198.51.100.1 user=alice",
		`x" from=198.51.100.1 y="`,
		"\x1b[2K\u2028x",
	} {
		b := h.browser()
		b.header.Set("User-Agent", "x level=WARN msg=login.failed from=198.51.100.1")
		wantStatus(t, b.post("/login", b.form(t, "", name, "wrong")), http.StatusForbidden)
		lines := strings.Split(strings.TrimSuffix(b.log.take(), "\n"), "\n")
		if len(lines) != 1 || !strings.HasPrefix(lines[0], "level=WARN msg=login.failed from=192.0.2.7 ") || strings.ContainsAny(lines[0], "\r\x1b\u2028") {
			t.Errorf("%q is logged as %q", name, lines)
		}
	}
}

// What the browser calls itself is stored as far as it is text, and stops
// nobody from signing in.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for sent, want := range map[string]string{
		"":                           "",
		"A/1\t\x7f\u0085\x00\xffB/2": "A/1B/2",
		"A/1\u2028 \U0001f600":       "A/1\u2028 \U0001f600",
		strings.Repeat("é", 200):     strings.Repeat("é", 127),
		strings.Repeat("x", 60<<10):  strings.Repeat("x", 255),
	} {
		b := h.browser()
		b.header["User-Agent"] = []string{sent}
		b.login(t, "alice@example.com")
		if got := value[string](t, h, `select s.user_agent from auth.sessions s`); got != want {
			t.Errorf("%.60q is stored as %q", sent, got)
		}
		h.arrange(t, `delete from auth.sessions`)
	}
}

// Without TLS there is a page that says so, and nothing else.
func TestInsecure(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	b.login(t, "alice@example.com")
	h.calls()
	for _, target := range []string{"/", "/login", "/logout"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := b.request(method, target, "username=alice%40example.com&password="+url.QueryEscape(right))
			r.URL.Scheme = "http"
			w := b.do(r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "<html") || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s %s: status %d", method, target, w.Code)
			}
		}
	}
	if calls := h.calls(); calls != "" {
		t.Errorf("calls %s", calls)
	}
}

// A body that cannot be read is refused with a page, and costs nothing.
func TestBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	form := b.form(t, "", "alice@example.com", right)
	for name, tt := range map[string]struct {
		contentType, body string
		status            int
	}{
		"too large":            {"application/x-www-form-urlencoded", form.Encode() + "&x=" + strings.Repeat("x", 64<<10), http.StatusRequestEntityTooLarge},
		"a broken escape":      {"application/x-www-form-urlencoded", form.Encode() + "&x=%zz", http.StatusBadRequest},
		"a broken multipart":   {"multipart/form-data; boundary=x", "--x\r\nx", http.StatusBadRequest},
		"JSON":                 {"application/json", `{"username": "alice@example.com"}`, http.StatusForbidden},
		"what it says it is":   {"text/plain", form.Encode(), http.StatusForbidden},
		"in the query instead": {"application/x-www-form-urlencoded", "", http.StatusForbidden},
	} {
		for _, path := range []string{"/login", "/logout"} {
			h.calls()
			r := b.request(http.MethodPost, path+"?"+form.Encode(), tt.body)
			r.Header.Set("Content-Type", tt.contentType)
			w := b.do(r)
			if path == "/logout" && tt.status == http.StatusForbidden {
				tt.status = http.StatusOK // nobody is signed in: it says so
			}
			if w.Code != tt.status || strings.Contains(h.calls(), "login") || !strings.Contains(w.Body.String(), "<html") {
				t.Errorf("%s at %s: status %d", name, path, w.Code)
			}
		}
	}
	b.wantUser(t, "")
}

// Endpoints of other rooms show their errors by Handle.
func TestHandle(t *testing.T) {
	t.Parallel()
	s := new(Sessions)
	for name, tt := range map[string]struct {
		err        error
		status     int
		retryAfter string
		shown      string
	}{
		"a refusal": {&Error{Status: 400, Code: "invalid_request", Description: "The <b> is wrong", Err: fmt.Errorf("hidden")}, 400, "", "The &lt;b&gt; is wrong"},
		"throttled": {&account.ThrottledError{RetryAfter: 90e9}, 429, "90", "temporarily_unavailable"},
		"busy":      {fmt.Errorf("hidden: %w", account.ErrBusy), 503, "5", "temporarily_unavailable"},
		"ours":      {fmt.Errorf("hidden"), 503, "5", "temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.Handle(func(http.ResponseWriter, *http.Request) error { return tt.err }).ServeHTTP(w, httptest.NewRequest("GET", "https://auth.example.com/x?ui_locales=ru", nil))
			body := w.Body.String()
			if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retryAfter || !strings.Contains(body, tt.shown) || strings.Contains(body, "hidden") || !strings.Contains(body, `<html lang="ru"`) {
				t.Errorf("status %d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), body)
			}
		})
	}
}

// A cookie is not worth more than its hash in the database says: the hash
// itself, which a stolen backup has, signs nobody in.
func TestStolenHash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	b.login(t, "alice@example.com")
	sum := sha256.Sum256([]byte(b.cookie()))
	for _, text := range []string{hex.EncodeToString(sum[:]), string(sum[:]), "ss_" + hex.EncodeToString(sum[:])[:52]} {
		thief := h.browser()
		thief.header["Cookie"] = []string{cookieName + "=" + text}
		thief.wantUser(t, "")
	}
}
