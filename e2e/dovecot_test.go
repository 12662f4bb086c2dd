package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// dovecots are the versions of Dovecot that the guide is for, each with a
// server of PostgreSQL.
var dovecots = map[string]struct{ root, database, heading, ports string }{
	"2.3": {
		root: "bookworm", database: "", heading: "Dovecot 2.3",
		// 2.3 answers an address that guessed wrong later and later.
		ports: "disable_plaintext_auth = no\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n" + dovecotPorts,
	},
	"2.4": {
		root: "trixie", database: "trixie", heading: "Dovecot 2.4",
		ports: "auth_allow_cleartext = yes\n" + dovecotPorts,
	},
}

// dovecotPorts are settings of these tests alone.
const dovecotPorts = `
listen = 127.0.0.1
log_path = /dev/stderr
auth_failure_delay = 0
service imap-login {
  inet_listener imap {
    port = %d
  }
  inet_listener imaps {
    port = 0
  }
}
`

// startDovecot starts a Dovecot that is set up as the guide says, except for
// what edit does to its files.
func startDovecot(t *testing.T, version string, edit func(string) string) (*Root, *Server) {
	t.Helper()
	db := OpenDatabase(t, dovecots[version].database)
	root := NewRoot(t, dovecots[version].root)
	return root, startDovecotIn(t, root, version, func(s string) string { return db.Configure(edit(s)) })
}

// startDovecotIn starts a Dovecot whose files are those of the guide as edit
// makes them.
func startDovecotIn(t *testing.T, root *Root, version string, edit func(string) string) *Server {
	t.Helper()
	d := dovecots[version]
	root.follow(ReadGuide(t, "dovecot.md", d.heading), edit)
	port := FreePort()
	root.Write("/etc/dovecot/conf.d/99-e2e.conf", fmt.Sprintf(d.ports, port))
	return root.Start(port, "dovecot", "-F")
}

func asItStands(s string) string { return s }

func TestDovecotLogin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, user, password string
		mailbox              string // empty: refused
	}{
		{"primary address, yescrypt", "alice@example.com", "alice sings", "alice"},
		{"primary address, sha512crypt", "bob@example.com", "bob builds", "bob"},
		{"primary address, bcrypt", "carol@example.com", "carol cooks", "carol"},
		{"another case", "Alice@Example.COM", "alice sings", "alice"},
		{"alias", "sales@example.com", "alice sings", "alice"},
		{"sub-address", "alice-phone@example.com", "alice sings", "alice"},
		{"service user", "svc-printer", "scan to mail", "alice"},
		{"service user with an app password", "svc-backup", "apz9y8x7-7q0wzr4-m8n5t1c-v6b2h9d-e3s7y3b", "alice"},
		{"app password", "carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", "carol"},
		{"app password typed by hand", "carol@example.com", "APK3F9X2 7QOWZR4 M8N5TIC V6B2H9D E3S7YXJ", "carol"},

		{"wrong password", "alice@example.com", "bob builds", ""},
		{"no password", "alice@example.com", "", ""},
		{"the hash itself", "svc-printer", "$6$rounds=1000$svcsaltsvc$Gokyy/BobJ4ZXMIC9QUKPPH7MgSgw1qsEdiEb3VTPQAX.FHt7e/Z.AdEGha6GY8IONDJ0ZxL/FA.Tmp/umc5Z.", ""},
		{"app password of somebody else", "bob@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", ""},
		{"inactive user", "dave@example.com", "alice sings", ""},
		{"blocked alias", "old@example.com", "alice sings", ""},
		{"mailing list", "team@example.com", "alice sings", ""},
		{"redirected domain", "alice@example.org", "alice sings", ""},
		{"user's identifier", "alice", "alice sings", ""},
		{"unknown", "mallory@example.com", "alice sings", ""},
		{"quoting", "alice@example.com' OR '1'='1", "alice sings", ""},
		{"quoting in the password", "alice@example.com", "' OR '1'='1", ""},
	}
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			root, dovecot := startDovecot(t, version, asItStands)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					client := DialIMAP(t, dovecot.Port)
					err := client.Login(tt.user, tt.password)
					if tt.mailbox == "" {
						if err == nil || !strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
							t.Errorf("login: %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					folder := strings.ReplaceAll(tt.name, " ", "-")
					if _, err := client.Do("CREATE %q", folder); err != nil {
						t.Fatal(err)
					}
					root.Read("/var/vmail/example.com/" + tt.mailbox + "/Maildir/." + folder + "/cur/../maildirfolder")
				})
			}
		})
	}
}

// The last use of an app password is noted.
func TestDovecotTouch(t *testing.T) {
	t.Parallel()
	for version, d := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, dovecot := startDovecot(t, version, asItStands)
			if err := DialIMAP(t, dovecot.Port).Login("carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj"); err != nil {
				t.Fatal(err)
			}
			var service, from string
			OpenDatabase(t, d.database).QueryRow(t, `
				select last_used_service, host(last_used_from) from auth.app_passwords where id = 'k3f9x2'`, &service, &from)
			if service != "imap" || from != "127.0.0.1" {
				t.Errorf("last used for %s from %s", service, from)
			}
		})
	}
}

// The two-argument call admits holders of a permission, as the guide says.
func TestDovecotPermission(t *testing.T) {
	t.Parallel()
	restrict := func(s string) string {
		return strings.NewReplacer(
			"authserver_get_credentials('%u')", "authserver_get_credentials('%u', 'imap')",
			"authserver_get_credentials('%{user}')", "authserver_get_credentials('%{user}', 'imap')",
			"'%r') AS v", "'%r', 'imap') AS v",
			"'%{remote_ip}') AS v", "'%{remote_ip}', 'imap') AS v",
		).Replace(s)
	}
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, dovecot := startDovecot(t, version, restrict)
			for _, tt := range []struct {
				name, user, password string
				ok                   bool
			}{
				{"held", "alice@example.com", "alice sings", true},
				{"held through a group", "bob@example.com", "bob builds", true},
				{"held by the service user's owner", "svc-printer", "scan to mail", true},
				{"held, with an app password", "svc-backup", "apz9y8x7-7q0wzr4-m8n5t1c-v6b2h9d-e3s7y3b", true},
				{"not held", "carol@example.com", "carol cooks", false},
				{"not held, with an app password", "carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", false},
			} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					if err := DialIMAP(t, dovecot.Port).Login(tt.user, tt.password); (err == nil) != tt.ok {
						t.Errorf("login: %v", err)
					}
				})
			}
		})
	}
}

// Deployments of the ancestor have this query in their configuration.
func TestDovecotAncestorsQuery(t *testing.T) {
	t.Parallel()
	ancestors := func(s string) string {
		return strings.NewReplacer(
			`SELECT primary_alias AS user, password \`, `SELECT creds.primary_alias AS user, creds.password AS password \`,
			"FROM authserver_get_credentials('%u')", "FROM authserver_resolve_alias('%u', FALSE) AS res, authserver_get_credentials(res.alias, 'imap') AS creds",
			"FROM authserver_get_credentials('%{user}')", "FROM authserver_resolve_alias('%{user}', FALSE) AS res, authserver_get_credentials(res.alias, 'imap') AS creds",
		).Replace(s)
	}
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, dovecot := startDovecot(t, version, ancestors)
			for _, tt := range []struct {
				name, user, password string
				ok                   bool
			}{
				{"primary address", "alice@example.com", "alice sings", true},
				{"alias", "sales@example.com", "alice sings", true},
				{"service user", "svc-printer", "scan to mail", true},
				{"not held", "carol@example.com", "carol cooks", false},
				{"wrong password", "alice@example.com", "carol cooks", false},
				{"inactive", "dave@example.com", "alice sings", false},
			} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					if err := DialIMAP(t, dovecot.Port).Login(tt.user, tt.password); (err == nil) != tt.ok {
						t.Errorf("login: %v", err)
					}
				})
			}
		})
	}
}

func TestDovecotIterate(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			root, _ := startDovecot(t, version, asItStands)
			got := strings.Fields(root.Run("doveadm", "user", "*"))
			slices.Sort(got)
			want := []string{"alice@example.com", "bob@example.com", "carol@example.com", "eve@example.com"}
			if !slices.Equal(got, want) {
				t.Errorf("doveadm user '*' printed %q, want %q", got, want)
			}
			if out := root.Run("doveadm", "user", "-f", "home", "alice@example.com"); strings.TrimSpace(out) != "/var/vmail/example.com/alice" {
				t.Errorf("home is %q", out)
			}
			if out, err := root.Try("doveadm", "user", "mallory@example.com"); err == nil {
				t.Errorf("there is a mallory: %s", out)
			}
		})
	}
}
