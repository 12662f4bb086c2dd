package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The tests of this file are those of every proxy that asks /forward-auth and
// hands requests on to an application of NewApplication, which is for holders
// of imap.

// site is the name of the application's web site in the guides.
const site = "webmail.example.com"

// testGateLogins tries who may pass.
func testGateLogins(t *testing.T, db *Database, url string) {
	for _, tt := range []struct {
		name, user, password string
		status               int
	}{
		{"primary address", "alice@example.com", "alice sings", http.StatusOK},
		{"alias", "sales@example.com", "alice sings", http.StatusOK},
		{"permission held through a group", "bob@example.com", "bob builds", http.StatusOK},
		{"service user", "svc-printer", "scan to mail", http.StatusOK},
		{"app password", "alice@example.com", appPassword(t, db, "alice"), http.StatusOK},

		{"permission not held", "carol@example.com", "carol cooks", http.StatusForbidden},

		{"nothing", "", "", http.StatusUnauthorized},
		{"wrong password", "alice@example.com", "bob builds", http.StatusUnauthorized},
		{"empty password", "alice@example.com", "", http.StatusUnauthorized},
		{"no name", "", "alice sings", http.StatusUnauthorized},
		{"permission not held, wrong password", "carol@example.com", "alice sings", http.StatusUnauthorized},
		{"app password for another service", "carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", http.StatusUnauthorized},
		{"inactive user", "dave@example.com", "alice sings", http.StatusUnauthorized},
		{"unknown", "mallory@example.com", "alice sings", http.StatusUnauthorized},
		{"line end in the name", "alice@example.com\n", "alice sings", http.StatusUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := NewBrowser(t).Visit(url, tt.user, tt.password)
			if got.Status != tt.status {
				t.Errorf("status %d, want %d", got.Status, tt.status)
			}
			if got.IsApplication() != (tt.status == http.StatusOK) {
				t.Errorf("got %q", got.Body)
			}
			asks := got.Header.Values("Www-Authenticate")
			if tt.status == http.StatusUnauthorized && (len(asks) != 1 || !strings.HasPrefix(asks[0], `Basic realm="Webmail"`)) {
				t.Errorf("WWW-Authenticate: %q", asks)
			}
		})
	}
}

// testGateHeaders has a browser name itself, and looks at what the application
// is told.
func testGateHeaders(t *testing.T, url string) {
	t.Helper()
	headers := []string{"Authorization-Info", "kept"}
	for _, name := range []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"} {
		headers = append(headers, name, "mallory", strings.ReplaceAll(name, "-", "_"), "mallory", strings.ToLower(name), "mallory")
	}
	for _, tt := range []struct {
		user, password            string
		wantUser, wantName, group []string
	}{
		{"bob@example.com", "bob builds", []string{"bob@example.com"}, []string{"Bob"}, []string{"staff"}},
		// An alias, and a user without groups.
		{"Sales@example.com", "alice sings", []string{"alice@example.com"}, []string{"Alice"}, nil},
	} {
		browser := NewBrowser(t)
		for range 2 { // the second time may be from a cache
			got := browser.Visit(url, tt.user, tt.password, headers...)
			if !got.IsApplication() {
				t.Fatalf("%s: status %d, %s", tt.user, got.Status, got.Body)
			}
			for name, want := range map[string][]string{
				"Remote-User": tt.wantUser, "Remote-Email": tt.wantUser, "Remote-Name": tt.wantName, "Remote-Groups": tt.group,
				"Authorization": nil, "Authorization-Info": {"kept"},
			} {
				// An empty header says as much as none.
				told := slices.DeleteFunc(got.Got(name), func(value string) bool { return value == "" })
				if !slices.Equal(told, want) {
					t.Errorf("%s: %s is %q, want %q", tt.user, name, told, want)
				}
			}
		}
	}
}

// testGateThrottle lets one browser guess, which claims to be another one, and
// returns the status that it gets for the right password then.
func testGateThrottle(t *testing.T, db *Database, url string) int {
	t.Helper()
	mallory, bob := NewBrowser(t), NewBrowser(t)
	as := []string{"X-Forwarded-For", bob.Address, "X-Real-Ip", bob.Address, "Forwarded", "for=" + bob.Address}
	mallory.Guess(url, "bob@example.com", as...)
	if got := db.throttled(t, mallory.Address); !slices.Equal(got, []string{"http"}) {
		t.Errorf("who guessed is counted for %q", got)
	}
	if got := db.throttled(t, bob.Address); len(got) > 0 {
		t.Errorf("bob is counted for %q", got)
	}
	got := mallory.Visit(url, "bob@example.com", "bob builds", as...)
	if got.IsApplication() {
		t.Error("there is no end to guessing")
	}
	if got := bob.Visit(url, "bob@example.com", "bob builds"); !got.IsApplication() {
		t.Errorf("bob is locked out: status %d", got.Status)
	}
	return got.Status
}

// testGateAway visits a site whose server is away, and returns the status.
func testGateAway(t *testing.T, url string) int {
	t.Helper()
	got := NewBrowser(t).Visit(url, "alice@example.com", "alice sings")
	if got.Status < 500 || strings.Contains(got.Body, "application") {
		t.Errorf("status %d, %s", got.Status, got.Body)
	}
	return got.Status
}
