package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// dovecotPatience lets Dovecot wait for answers as long as these tests do.
var dovecotPatience = map[string]string{
	"2.3": fmt.Sprintf("auth_policy_server_timeout_msecs = %d\n", patience.Milliseconds()),
	"2.4": fmt.Sprintf("auth_policy {\n  http_client_request_absolute_timeout = %s\n}\n", patience),
}

// startPolicyDovecot starts a Dovecot that verifies passwords itself and asks
// a server whether it may.
func startPolicyDovecot(t *testing.T, version string, edit func(string) string, more ...string) (*Database, *Authserver, *Server) {
	t.Helper()
	db := OpenDatabase(t, dovecots[version].database)
	auth := StartAuthserver(t, db)
	root := NewRoot(t, dovecots[version].root)
	auth.Reachable(root)
	secret := apiClient(t, db, "dovecot-policy.md")
	edited := func(s string) string {
		return db.Configure(strings.ReplaceAll(auth.Configure(edit(s)), "ac_change-me", secret))
	}
	root.Write("/etc/dovecot/conf.d/99-patience.conf", dovecotPatience[version])
	root.follow(ReadGuide(t, "dovecot.md", dovecots[version].heading), edited)
	for _, heading := range more {
		root.follow(ReadGuide(t, "dovecot-policy.md", heading), edited)
	}
	return db, auth, runDovecot(t, root, version, edited, ReadGuide(t, "dovecot-policy.md", dovecots[version].heading))
}

// awaitReports waits until the server was told of so many wrong passwords from
// an address: Dovecot does not wait for it.
func (a *Authserver) awaitReports(t *testing.T, from string, n int) {
	t.Helper()
	a.await(t, fmt.Sprintf("log %d wrong passwords from %s", n, from), func() bool {
		got := 0
		for line := range strings.Lines(a.log.String()) {
			if strings.Contains(line, "login.failed") && strings.Contains(line, from) {
				got++
			}
		}
		return got >= n
	})
}

func TestDovecotPolicy(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			db, auth, dovecot := startPolicyDovecot(t, version, asItStands)
			login := func(t *testing.T, from, user, password string) string {
				t.Helper()
				return responseCode(t, loginFrom(t, from, dovecot.Port, user, password))
			}

			t.Run("guesses", func(t *testing.T) {
				t.Parallel()
				attacker := newMailClient()
				for i := range 10 {
					if got := login(t, attacker, "bob@example.com", fmt.Sprint("guess ", i)); got != refused {
						t.Fatalf("guess %d: %q", i, got)
					}
				}
				auth.awaitReports(t, attacker, 10)
				err := loginFrom(t, attacker, dovecot.Port, "bob@example.com", "bob builds")
				if err == nil || !strings.Contains(err.Error(), "Too many wrong passwords") {
					t.Errorf("right password after ten wrong ones: %v", err)
				}
				if got := login(t, newMailClient(), "bob@example.com", "bob builds"); got != "" {
					t.Errorf("from another address: %q", got)
				}
				if got := login(t, attacker, "alice@example.com", "alice sings"); got != "" {
					t.Errorf("another user from the same address: %q", got)
				}
			})
			t.Run("the same wrong password", func(t *testing.T) {
				t.Parallel()
				phone := newMailClient()
				for range 20 {
					if got := login(t, phone, "bob@example.com", "bob built"); got != refused {
						t.Fatal(got)
					}
				}
				auth.awaitReports(t, phone, 20)
				if got := login(t, phone, "bob@example.com", "bob builds"); got != "" {
					t.Errorf("right password after a wrong one: %q", got)
				}
			})
			t.Run("a right password ends the count", func(t *testing.T) {
				t.Parallel()
				client := newMailClient()
				for i := range 9 {
					if got := login(t, client, "sales@example.com", fmt.Sprint("guess ", i)); got != refused {
						t.Fatal(got)
					}
				}
				auth.awaitReports(t, client, 9)
				if services := db.throttled(t, client); len(services) != 1 || services[0] != "imap" {
					t.Errorf("wrong passwords were counted for %q", services)
				}
				if got := login(t, client, "sales@example.com", "alice sings"); got != "" {
					t.Fatal(got)
				}
				auth.await(t, "forget wrong passwords", func() bool { return len(db.throttled(t, client)) == 0 })
			})
		})
	}
}

// The report tells which app password was used.
func TestDovecotPolicyLastUse(t *testing.T) {
	t.Parallel()
	for version, d := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			db, auth, dovecot := startPolicyDovecot(t, version, asItStands, "Last use with "+d.heading)
			client := newMailClient()
			password, id := newAppPassword(t, db)
			if err := loginFrom(t, client, dovecot.Port, "bob@example.com", password); err != nil {
				t.Fatal(err)
			}
			auth.await(t, "note the last use", func() bool {
				service, from := lastUse(t, db, id)
				return service == "imap" && from == client
			})
		})
	}
}

// Without an answer, Dovecot goes on by itself, or not, as it is told.
func TestDovecotPolicyAway(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		for _, reject := range []string{"no", "yes"} {
			t.Run(version+" auth_policy_reject_on_fail = "+reject, func(t *testing.T) {
				t.Parallel()
				_, auth, dovecot := startPolicyDovecot(t, version, func(s string) string {
					return strings.Replace(s, "auth_policy_hash_nonce", "auth_policy_reject_on_fail = "+reject+"\nauth_policy_hash_nonce", 1)
				})
				if err := loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "alice sings"); err != nil {
					t.Fatal(err)
				}
				auth.stop(t)
				if err := loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "alice sings"); (err == nil) != (reject == "no") {
					t.Errorf("login: %v", err)
				}
				if err := loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "bob builds"); err == nil {
					t.Error("a wrong password is right")
				}
			})
		}
	}
}

// A server with another certificate is not told who logs in.
func TestDovecotPolicyImpostor(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			address, _, asked := fakeVerify(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				fmt.Fprint(w, `{"status":0,"msg":""}`)
			})
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			_, _, dovecot := startPolicyDovecot(t, version, func(s string) string {
				return strings.ReplaceAll(s, "https://"+AuthHost+"/", "https://localhost:"+port+"/")
			})
			if err := loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "alice sings"); err != nil {
				t.Error(err)
			}
			if n := asked.Load(); n != 0 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}
