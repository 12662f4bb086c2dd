package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var opensmtpds = map[string]struct{ root, database string }{
	"7.4": {root: "bookworm", database: ""},
	"7.6": {root: "trixie", database: "trixie"},
}

// opensmtpd is a server that is set up as the guide says, except for its
// ports.
type opensmtpd struct {
	*Root
	*Server
	submission int
}

func startOpenSMTPD(t *testing.T, version string, edit func(string) string) opensmtpd {
	t.Helper()
	db := OpenDatabase(t, opensmtpds[version].database)
	root := NewRoot(t, opensmtpds[version].root)
	return startOpenSMTPDIn(t, root, func(s string) string { return db.Configure(edit(s)) })
}

// startOpenSMTPDIn starts an OpenSMTPD whose files are those of the guide as
// edit makes them.
func startOpenSMTPDIn(t *testing.T, root *Root, edit func(string) string) opensmtpd {
	t.Helper()
	guide := ReadGuide(t, "opensmtpd.md", "Configuration")
	port, submission := FreePort(), FreePort()
	listen := strings.NewReplacer(
		"on 0.0.0.0 port 25 ", fmt.Sprintf("on 127.0.0.1 port %d hostname localhost ", port),
		"on 0.0.0.0 port 465 ", fmt.Sprintf("on 127.0.0.1 port %d hostname localhost ", FreePort()),
		"on 0.0.0.0 port 587 ", fmt.Sprintf("on 127.0.0.1 port %d hostname localhost ", submission),
	)
	root.follow(guide, func(s string) string { return edit(listen.Replace(s)) })
	root.WriteKey("/etc/ssl/certs/mail.example.com.pem", "/etc/ssl/private/mail.example.com.key")
	return opensmtpd{root, root.Start(port, "smtpd", "-d"), submission}
}

// maildirs returns the mailboxes that hold a message with this subject.
func maildirs(t *testing.T, root *Root, subject string) []string {
	t.Helper()
	files, err := filepath.Glob(root.Path("/var/vmail/*/*/Maildir/new/*"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		message, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(message), "Subject: "+subject+"\n") {
			dir, _ := filepath.Rel(root.Path("/var/vmail"), file)
			domain, rest, _ := strings.Cut(dir, "/")
			local, _, _ := strings.Cut(rest, "/")
			found = append(found, local+"@"+domain)
		}
	}
	slices.Sort(found)
	return found
}

func TestOpenSMTPDDelivery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, to string
		want     []string // nil: refused
	}{
		{"primary address", "alice@example.com", []string{"alice@example.com"}},
		{"another case", "ALICE@Example.com", []string{"alice@example.com"}},
		{"alias", "sales@example.com", []string{"alice@example.com"}},
		{"sub-address", "bob+shop@example.com", []string{"bob@example.com"}},
		{"mailing list", "team@example.com", []string{"alice@example.com", "bob@example.com"}},
		{"domain redirected to an address", "anybody@catchall.example", []string{"carol@example.com"}},

		{"unknown recipient", "mallory@example.com", nil},
		{"inactive user", "dave@example.com", nil},
		{"blocked alias", "old@example.com", nil},
		{"unknown domain", "alice@example.net", nil},
		{"name of a service user", "svc-printer@example.com", nil},
	}
	for version := range opensmtpds {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			smtpd := startOpenSMTPD(t, version, asItStands)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					subject := strings.ReplaceAll(tt.name, " ", "-")
					err := Send(DialSMTP(t, smtpd.Port, false), "somebody@sender.example", tt.to, subject)
					if tt.want == nil {
						if ReplyCode(err) != 550 {
							t.Errorf("reply: %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					smtpd.await(t, "deliver", func() bool { return len(maildirs(t, smtpd.Root, subject)) >= len(tt.want) })
					if got := maildirs(t, smtpd.Root, subject); !slices.Equal(got, tt.want) {
						t.Errorf("delivered to %q, want %q", got, tt.want)
					}
				})
			}
		})
	}
}

func TestOpenSMTPDSubmission(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, user, password, from string
		code                       int // of a refusal; 0: none
	}{
		{"primary address, yescrypt", "alice@example.com", "alice sings", "alice@example.com", 0},
		{"primary address, sha512crypt", "bob@example.com", "bob builds", "bob@example.com", 0},
		{"primary address, bcrypt", "carol@example.com", "carol cooks", "carol@example.com", 0},
		{"as an alias", "alice@example.com", "alice sings", "sales@example.com", 0},
		{"logged in by an alias", "sales@example.com", "alice sings", "alice@example.com", 0},
		{"service user", "svc-printer", "scan to mail", "alice@example.com", 0},
		{"service user with an app password", "svc-backup", "apz9y8x7-7q0wzr4-m8n5t1c-v6b2h9d-e3s7y3b", "alice@example.com", 0},

		{"as somebody else", "alice@example.com", "alice sings", "bob@example.com", 530},
		{"as a blocked alias", "eve@example.com", "alice sings", "old@example.com", 530},
		{"as a list", "alice@example.com", "alice sings", "team@example.com", 530},
		{"wrong password", "alice@example.com", "bob builds", "alice@example.com", 535},
		{"unknown", "mallory@example.com", "alice sings", "mallory@example.com", 535},
		{"inactive user", "dave@example.com", "alice sings", "dave@example.com", 535},
		{"blocked alias", "old@example.com", "alice sings", "old@example.com", 535},
		{"mailing list", "team@example.com", "alice sings", "alice@example.com", 535},
	}
	for version := range opensmtpds {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			smtpd := startOpenSMTPD(t, version, asItStands)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					c := DialSMTP(t, smtpd.submission, true)
					err := LoginSMTP(c, tt.user, tt.password)
					if err == nil {
						err = Send(c, tt.from, "bob@example.com", "hello")
					}
					if ReplyCode(err) != tt.code || (err == nil) != (tt.code == 0) {
						t.Errorf("reply: %v, want %d", err, tt.code)
					}
				})
			}
			t.Run("without TLS", func(t *testing.T) {
				c := DialSMTP(t, smtpd.submission, false)
				if ok, _ := c.Extension("AUTH"); ok {
					t.Error("AUTH is offered without TLS")
				}
			})
		})
	}
}

// OpenSMTPD hands mail to Dovecot as the guide says.
func TestOpenSMTPDToDovecot(t *testing.T) {
	t.Parallel()
	toDovecot := func(s string) string {
		return regexp.MustCompile(`maildir "[^"]*"`).ReplaceAllString(s, `lmtp "/run/dovecot/lmtp" rcpt-to`)
	}
	for version, dovecot := range map[string]string{"7.4": "2.3", "7.6": "2.4"} {
		t.Run(version+" and "+dovecot, func(t *testing.T) {
			t.Parallel()
			root, _ := startDovecot(t, dovecot, asItStands)
			db := OpenDatabase(t, opensmtpds[version].database)
			smtpd := startOpenSMTPDIn(t, root, func(s string) string { return db.Configure(toDovecot(s)) })
			for to, want := range map[string][]string{
				"Sales@example.com": {"alice@example.com"},
				"carol@example.com": {"carol@example.com"},
				"team@example.com":  {"alice@example.com", "bob@example.com"},
			} {
				if err := Send(DialSMTP(t, smtpd.Port, false), "somebody@sender.example", to, to); err != nil {
					t.Fatal(to, err)
				}
				smtpd.await(t, "deliver", func() bool { return len(maildirs(t, root, to)) >= len(want) })
				if got := maildirs(t, root, to); !slices.Equal(got, want) {
					t.Errorf("%s was delivered to %q, want %q", to, got, want)
				}
			}
		})
	}
}

// Deployments of the ancestor have these queries in their configuration.
func TestOpenSMTPDAncestorsQueries(t *testing.T) {
	t.Parallel()
	queries := `
query_alias SELECT * FROM authserver_resolve_alias($1, TRUE)
query_domain SELECT * FROM authserver_check_domain($1)
query_mailaddr SELECT * FROM authserver_resolve_alias($1, FALSE)
query_credentials SELECT creds.primary_alias AS username, creds.password AS password FROM authserver_resolve_alias($1, FALSE) AS res, authserver_get_credentials(res.alias, 'smtp') AS creds
`
	ancestors := func(s string) string {
		conninfo, _, ok := strings.Cut(s, "\n")
		if !ok || !strings.HasPrefix(conninfo, "conninfo ") {
			return strings.ReplaceAll(s, " senders <authserver>", "")
		}
		return conninfo + queries
	}
	for version := range opensmtpds {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			smtpd := startOpenSMTPD(t, version, ancestors)
			for _, to := range []string{"alice@example.com", "sales@example.com"} {
				if err := Send(DialSMTP(t, smtpd.Port, false), "somebody@sender.example", to, "to-"+to); err != nil {
					t.Fatal(to, err)
				}
				smtpd.await(t, "deliver", func() bool { return len(maildirs(t, smtpd.Root, "to-"+to)) == 1 })
				if got := maildirs(t, smtpd.Root, "to-"+to); got[0] != "alice@example.com" {
					t.Errorf("%s was delivered to %q", to, got)
				}
			}
			for to, code := range map[string]int{"mallory@example.com": 550, "alice@example.net": 550} {
				if err := Send(DialSMTP(t, smtpd.Port, false), "somebody@sender.example", to, "unknown"); ReplyCode(err) != code {
					t.Errorf("%s: %v, want %d", to, err, code)
				}
			}
			for _, tt := range []struct {
				user, password string
				code           int
			}{
				{"alice@example.com", "alice sings", 0},
				{"sales@example.com", "alice sings", 0},
				{"svc-printer", "scan to mail", 0},
				{"bob@example.com", "bob builds", 535}, // has no permission smtp
			} {
				if err := LoginSMTP(DialSMTP(t, smtpd.submission, true), tt.user, tt.password); ReplyCode(err) != tt.code {
					t.Errorf("%s: %v, want %d", tt.user, err, tt.code)
				}
			}
		})
	}
}
