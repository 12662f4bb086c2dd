package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var postfixes = map[string]struct{ root, database, dovecot string }{
	"3.7":  {root: "bookworm-postfix", database: "", dovecot: "2.3"},
	"3.10": {root: "trixie-postfix", database: "trixie", dovecot: "2.4"},
}

// postfix is a server that is set up as the guide says, with a Dovecot beside
// it, except for its ports.
type postfix struct {
	*Root
	*Server
	submission int
}

// followPostfix sets Postfix and Dovecot up, and starts neither.
func followPostfix(t *testing.T, version string) postfix {
	t.Helper()
	v := postfixes[version]
	db := OpenDatabase(t, v.database)
	root := NewRoot(t, v.root)
	root.Follow(ReadGuide(t, "dovecot.md", dovecots[v.dovecot].heading), db)
	root.Follow(ReadGuide(t, "postfix.md", "Dovecot for Postfix"), db)
	root.Follow(ReadGuide(t, "postfix.md", "Maps"), db)

	p := postfix{Root: root, submission: FreePort()}
	guide := ReadGuide(t, "postfix.md", "Configuration")
	listen := strings.NewReplacer(
		"submission/inet", fmt.Sprintf("127.0.0.1:%d/inet", p.submission),
		"submission inet", fmt.Sprintf("127.0.0.1:%d inet", p.submission),
	)
	for i := range guide.Commands {
		guide.Commands[i] = listen.Replace(guide.Commands[i])
	}
	root.Follow(guide, db)
	return p
}

func startPostfix(t *testing.T, version string) postfix {
	t.Helper()
	p := followPostfix(t, version)
	p.Run("postfix", "check") // makes the folders of its sockets, as its first start does
	imap := FreePort()
	p.Write("/etc/dovecot/conf.d/99-e2e.conf", fmt.Sprintf(dovecots[postfixes[version].dovecot].ports, imap))
	p.Root.Start(imap, "dovecot", "-F")

	port := FreePort()
	p.WriteKey("/etc/ssl/certs/mail.example.com.pem", "/etc/ssl/private/mail.example.com.key")
	p.Run("postconf", "-MX", "smtp/inet")
	p.Run("postconf", "-M", fmt.Sprintf("127.0.0.1:%d/inet=127.0.0.1:%[1]d inet n - y - - smtpd", port))
	// The tests come from outside, though they run on this machine.
	p.Run("postconf", "-e", "mynetworks =", "inet_interfaces = 127.0.0.1", "maillog_file = /dev/stdout")
	p.Server = p.Root.Start(port, "postfix", "start-fg")
	return p
}

func TestPostfixMaps(t *testing.T) {
	t.Parallel()
	tests := []struct{ file, key, want string }{
		{"domains", "example.com", "example.com"},
		{"domains", "EXAMPLE.com", "example.com"},
		{"domains", "example.org", "example.org"}, // redirected
		{"domains", "example.net", ""},
		{"aliases", "alice@example.com", "alice@example.com"},
		{"aliases", "sales@example.com", "alice@example.com"},
		{"aliases", "alice+shop@example.com", "alice@example.com"},
		{"aliases", "team@example.com", "alice@example.com,bob@example.com"},
		{"aliases", "anybody@catchall.example", "carol@example.com"},
		{"aliases", "anybody@example.org", ""}, // mailforwarder's
		{"aliases", "old@example.com", ""},
		{"aliases", "dave@example.com", ""},
		{"aliases", "mallory@example.com", ""},
		{"aliases", "svc-printer", ""},
		{"aliases", "@example.com", ""},
		{"aliases", "x' OR '1'='1@example.com", ""},
		{"mailboxes", "alice@example.com", "alice@example.com"},
		{"mailboxes", "sales@example.com", ""},
		{"mailboxes", "team@example.com", ""},
		{"senders", "alice@example.com", "alice@example.com"},
		{"senders", "Sales@example.com", "alice@example.com"},
		{"senders", "team@example.com", ""},
		{"senders", "alice+shop@example.com", ""},
		{"senders", "old@example.com", ""},
		{"senders", "anybody@catchall.example", ""},
		{"senders", "svc-printer", ""},
	}
	for version := range postfixes {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := followPostfix(t, version)
			for _, tt := range tests {
				t.Run(tt.file+" "+tt.key, func(t *testing.T) {
					out, err := p.Try("postmap", "-q", tt.key, "pgsql:/etc/postfix/authserver-"+tt.file+".cf")
					if got := strings.TrimSpace(out); got != tt.want || (err == nil) != (tt.want != "") {
						t.Errorf("got %q (%v), want %q", got, err, tt.want)
					}
				})
			}
		})
	}
}

func TestPostfixDelivery(t *testing.T) {
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
	}
	for version := range postfixes {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := startPostfix(t, version)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					subject := strings.ReplaceAll(tt.name, " ", "-")
					err := Send(DialSMTP(t, p.Port, false), "somebody@sender.example", tt.to, subject)
					if tt.want == nil {
						if code := ReplyCode(err); code != 550 && code != 454 {
							t.Errorf("reply: %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					p.await(t, "deliver", func() bool { return len(maildirs(t, p.Root, subject)) >= len(tt.want) })
					if got := maildirs(t, p.Root, subject); !slices.Equal(got, tt.want) {
						t.Errorf("delivered to %q, want %q", got, tt.want)
					}
				})
			}
		})
	}
}

func TestPostfixSubmission(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, user, password, from string
		code                       int // of a refusal; 0: none
	}{
		{"primary address", "alice@example.com", "alice sings", "alice@example.com", 0},
		{"as an alias", "alice@example.com", "alice sings", "sales@example.com", 0},
		{"logged in by an alias", "sales@example.com", "alice sings", "alice@example.com", 0},
		{"service user", "svc-printer", "scan to mail", "sales@example.com", 0},

		{"as somebody else", "alice@example.com", "alice sings", "bob@example.com", 553},
		{"as a list", "alice@example.com", "alice sings", "team@example.com", 553},
		{"wrong password", "alice@example.com", "bob builds", "alice@example.com", 535},
		{"app password for another service", "carol@example.com", "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", "carol@example.com", 535},
		{"inactive user", "dave@example.com", "alice sings", "dave@example.com", 535},
	}
	for version := range postfixes {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := startPostfix(t, version)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					c := DialSMTP(t, p.submission, true)
					err := LoginSMTP(c, tt.user, tt.password)
					if err == nil {
						err = Send(c, tt.from, "bob@example.com", "hello")
					}
					if ReplyCode(err) != tt.code || (err == nil) != (tt.code == 0) {
						t.Errorf("reply: %v, want %d", err, tt.code)
					}
				})
			}
			t.Run("without a password", func(t *testing.T) {
				t.Parallel()
				if err := Send(DialSMTP(t, p.submission, true), "alice@example.com", "bob@example.com", "hello"); ReplyCode(err) < 500 {
					t.Errorf("reply: %v", err)
				}
			})
		})
	}
}
