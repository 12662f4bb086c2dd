package e2e

import (
	"fmt"
	"net/textproto"
	"strings"
	"testing"
)

// startCheckpasswordDovecot starts a Dovecot 2.3 that is set up as the guide
// says, and returns the port of its LMTP server, too.
func startCheckpasswordDovecot(t *testing.T, edit func(string) string) (*Database, *Authserver, *Root, *Server, int) {
	t.Helper()
	db := OpenDatabase(t, "")
	auth := StartAuthserver(t, db)
	root := NewRoot(t, dovecots["2.3"].root)
	root.Install(Binary(t, "checkpassword"), "/usr/local/bin/checkpassword")
	auth.Reachable(root)
	secret := apiClient(t, db, "dovecot-checkpassword.md")
	lmtp := FreePort()
	root.Write("/etc/dovecot/conf.d/99-lmtp.conf", fmt.Sprintf("service lmtp {\n  inet_listener lmtp {\n    port = %d\n  }\n}\n", lmtp))
	dovecot := runDovecot(t, root, "2.3", func(s string) string {
		s = strings.ReplaceAll(auth.Configure(edit(s)), "ac_change-me", secret)
		return strings.ReplaceAll(s, " --home /var/vmail/%%", " --timeout "+patience.String()+" --home /var/vmail/%%")
	}, ReadGuide(t, "dovecot-checkpassword.md", "Dovecot 2.3"))
	return db, auth, root, dovecot, lmtp
}

// lmtpRecipient asks an LMTP server (RFC 2033) whether it takes mail for
// somebody, and returns the code of its reply.
func lmtpRecipient(t *testing.T, port int, to string) int {
	t.Helper()
	conn, err := textproto.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := conn.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"LHLO localhost", "MAIL FROM:<>"} {
		if _, err := conn.Cmd("%s", command); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadResponse(250); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	if _, err := conn.Cmd("RCPT TO:<%s>", to); err != nil {
		t.Fatal(err)
	}
	code, _, err := conn.ReadResponse(0)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestDovecotCheckpassword(t *testing.T) {
	t.Parallel()
	db, _, root, dovecot, lmtp := startCheckpasswordDovecot(t, asItStands)
	t.Run("passwords", func(t *testing.T) { testPasswordLogins(t, db, root, dovecot) })
	t.Run("app passwords", func(t *testing.T) { testAppPasswords(t, db, root, dovecot) })
	t.Run("guesses", func(t *testing.T) { testGuesses(t, dovecot) })

	t.Run("longer than the interface allows", func(t *testing.T) {
		t.Parallel()
		if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", strings.Repeat("x", 512))); got != refused {
			t.Errorf("login: %q", got)
		}
	})
	for to, want := range map[string]int{
		"alice@example.com":   250,
		"Alice@Example.com":   250,
		"sales@example.com":   250,
		"mallory@example.com": 550,
		"dave@example.com":    550, // not active
		"old@example.com":     550, // blocked
		"team@example.com":    550, // a mailing list
		"alice@example.net":   550,
	} {
		t.Run("LMTP to "+to, func(t *testing.T) {
			t.Parallel()
			if got := lmtpRecipient(t, lmtp, to); got != want {
				t.Errorf("reply %d, want %d", got, want)
			}
		})
	}
	t.Run("mailbox", func(t *testing.T) {
		t.Parallel()
		for _, user := range []string{"alice@example.com", "sales@example.com", "svc-printer"} {
			if out := root.Run("doveadm", "user", "-f", "home", user); strings.TrimSpace(out) != "/var/vmail/example.com/alice" {
				t.Errorf("home of %s is %q", user, out)
			}
		}
		if out, err := root.Try("doveadm", "user", "mallory@example.com"); err == nil {
			t.Errorf("there is a mallory: %s", out)
		}
	})
}

// An empty password is one that somebody has typed, also when Dovecot asks for
// a user without a password at the same time.
func TestDovecotCheckpasswordEmpty(t *testing.T) {
	t.Parallel()
	_, _, root, dovecot, _ := startCheckpasswordDovecot(t, asItStands)
	if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "")); got != refused {
		t.Errorf("login: %q", got)
	}
	if out, err := root.Try("doveadm", "auth", "test", "alice@example.com", ""); err == nil {
		t.Errorf("login: %s", out)
	}
}

func TestDovecotCheckpasswordPermissions(t *testing.T) {
	t.Parallel()
	_, _, _, dovecot, _ := startCheckpasswordDovecot(t, func(s string) string {
		return strings.ReplaceAll(s, " --service ", " --scope imap --service ")
	})
	for _, tt := range []struct{ name, user, password, code string }{
		{"held", "alice@example.com", "alice sings", ""},
		{"held through a group", "bob@example.com", "bob builds", ""},
		{"not held", "carol@example.com", "carol cooks", refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, tt.user, tt.password)); got != tt.code {
				t.Errorf("login: %q, want %q", got, tt.code)
			}
		})
	}
}

// Trouble is not a no, and never a yes: mail is not bounced for it.
func TestDovecotCheckpasswordTrouble(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, dovecot *Server, lmtp int) {
		t.Helper()
		if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "alice sings")); got != unavailable {
			t.Errorf("login: %q", got)
		}
		for _, to := range []string{"alice@example.com", "mallory@example.com"} {
			if got := lmtpRecipient(t, lmtp, to); got != 451 {
				t.Errorf("LMTP to %s: reply %d", to, got)
			}
		}
	}
	t.Run("server away", func(t *testing.T) {
		t.Parallel()
		_, auth, _, dovecot, lmtp := startCheckpasswordDovecot(t, asItStands)
		auth.stop(t)
		check(t, dovecot, lmtp)
	})
	t.Run("another certificate", func(t *testing.T) {
		t.Parallel()
		_, _, root, dovecot, lmtp := startCheckpasswordDovecot(t, asItStands)
		another, _ := newCertificate(t)
		root.Write("/etc/ssl/auth.pem", another)
		check(t, dovecot, lmtp)
	})
	t.Run("revoked secret", func(t *testing.T) {
		t.Parallel()
		_, _, root, dovecot, lmtp := startCheckpasswordDovecot(t, asItStands)
		root.Write("/etc/checkpassword/secret", "ac_"+strings.Repeat("a", 52)+"\n")
		check(t, dovecot, lmtp)
	})
}
