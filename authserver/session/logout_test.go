package session

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestLogout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b, thief, other := h.browser(), h.browser(), h.browser()
	b.login(t, "alice@example.com")
	other.login(t, "alice@example.com")
	thief.plant(b.cookie())
	thief.wantUser(t, "alice")
	id := b.who(t).ID

	h.calls()
	w := b.get("/logout")
	wantStatus(t, w, http.StatusOK)
	b.wantUser(t, "alice") // it only asks
	form := url.Values{"csrf": {field(t, w, "csrf")}}
	h.calls()
	b.log.take()
	w = b.post("/logout", form)
	wantRedirect(t, w, "/logout")
	if calls := h.calls(); calls != "api.end_session" {
		t.Errorf("a logout calls %s", calls)
	}
	if lines := w.Header()["Set-Cookie"]; !slices.Equal(lines, []string{removalLine}) || b.cookie() != "" {
		t.Errorf("cookies %q", lines)
	}
	if line := b.log.take(); line != "level=INFO msg=session.ended from=192.0.2.7 session="+id+"\n" {
		t.Errorf("log: %s", line)
	}
	b.wantUser(t, "")
	thief.wantUser(t, "") // with the same cookie
	other.wantUser(t, "alice")

	// Nobody is signed in: that is said, to whatever they do.
	for _, w := range []int{b.get("/logout").Code, b.post("/logout", form).Code, b.post("/logout", nil).Code} {
		if w != http.StatusOK {
			t.Errorf("status %d", w)
		}
	}
	if strings.Contains(b.get("/logout").Body.String(), "<form") {
		t.Error("somebody who is not signed in is asked")
	}
}

// Logout CSRF: somebody's page signs its visitor out.
func TestLogoutCSRF(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	victim, attacker := h.browser(), h.browser()
	victim.login(t, "alice@example.com")
	attacker.login(t, "bob@example.com")
	own := field(t, victim.get("/logout"), "csrf")
	cookie := victim.cookie()
	for name, tt := range map[string]struct {
		header http.Header
		csrf   string
	}{
		"from another site, which knows the token": {http.Header{"Sec-Fetch-Site": {"cross-site"}}, own},
		"from a neighbour, which knows the token":  {http.Header{"Sec-Fetch-Site": {"same-site"}}, own},
		"by Origin":                 {http.Header{"Origin": {"https://evil.example.org"}}, own},
		"the attacker's token":      {nil, field(t, attacker.get("/logout"), "csrf")},
		"no token":                  {nil, ""},
		"the token of another form": {nil, field(t, victim.get("/login"), "csrf")},
		"the session's id":          {nil, victim.who(t).ID},
	} {
		t.Run(name, func(t *testing.T) {
			r := victim.request(http.MethodPost, "/logout", url.Values{"csrf": {tt.csrf}}.Encode())
			for name, values := range tt.header {
				r.Header[name] = values
			}
			w := victim.do(r)
			wantStatus(t, w, http.StatusForbidden)
			if victim.cookie() != cookie {
				t.Error("the cookie has changed")
			}
			victim.wantUser(t, "alice")
			if field(t, w, "csrf") != own {
				t.Error("the page does not ask again")
			}
		})
	}
	// A link or a picture does not sign out, and neither does a request that has
	// the token where it does not belong.
	victim.get("/logout?csrf=" + url.QueryEscape(own))
	wantStatus(t, victim.post("/logout?csrf="+url.QueryEscape(own), nil), http.StatusForbidden)
	victim.wantUser(t, "alice")
}
