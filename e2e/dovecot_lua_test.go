package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"authbridge/docs"
)

// dovecotQuick are more settings of these tests alone, so that failures are
// answered at once.
var dovecotQuick = map[string]string{
	"2.3": "",
	"2.4": "auth_internal_failure_delay = 0\n",
}

// runDovecot starts a Dovecot with the files of guides, as edit makes them.
func runDovecot(t *testing.T, root *Root, version string, edit func(string) string, guides ...docs.Guide) *Server {
	t.Helper()
	for _, guide := range guides {
		root.follow(guide, edit)
	}
	port := FreePort()
	root.Write("/etc/dovecot/conf.d/99-e2e.conf", fmt.Sprintf(dovecots[version].ports, port)+dovecotQuick[version])
	return root.Start(port, "dovecot", "-F")
}

// luaDovecot starts a Dovecot whose logins the Lua script asks for at url.
func luaDovecot(t *testing.T, version, certificate, secret string, edit func(string) string) (*Root, *Server) {
	t.Helper()
	root := NewRoot(t, dovecots[version].root)
	root.Run("mkdir", "-p", "/usr/share/authserver/dovecot")
	root.Install("../docs/integrations/authserver.lua", "/usr/share/authserver/dovecot/authserver.lua")
	(&Authserver{Certificate: certificate}).Reachable(root)
	return root, runDovecot(t, root, version, func(s string) string {
		return strings.ReplaceAll(edit(s), "ac_change-me", secret)
	}, ReadGuide(t, "dovecot-lua.md", dovecots[version].heading), ReadGuide(t, "dovecot-lua.md", "While the server is away"))
}

// startLuaDovecot is luaDovecot with a server of ours.
func startLuaDovecot(t *testing.T, version string, edit func(string) string) (*Database, *Authserver, *Root, *Server) {
	t.Helper()
	db := OpenDatabase(t, dovecots[version].database)
	auth := StartAuthserver(t, db)
	root, dovecot := luaDovecot(t, version, auth.Certificate, apiClient(t, db, "dovecot-lua.md"), func(s string) string {
		return strings.ReplaceAll(auth.Configure(edit(s)), "  secret_file", fmt.Sprintf("  timeout = %d,\n  secret_file", int(patience.Seconds())))
	})
	return db, auth, root, dovecot
}

var lastMailClient atomic.Int32

// newMailClient returns an address that nobody has used before, so that wrong
// passwords of one test are not counted for another.
func newMailClient() string {
	n := lastMailClient.Add(1)
	return net.IPv4(127, 2, byte(n>>8), byte(n)).String()
}

// loginFrom connects from an address of this machine and logs in by the
// mechanism PLAIN, which takes any password.
func loginFrom(t *testing.T, address string, port int, user, password string) error {
	t.Helper()
	_, err := imapFrom(t, address, port).Do("AUTHENTICATE PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
	return err
}

// imapFrom is DialIMAP from an address of this machine.
func imapFrom(t *testing.T, address string, port int) *IMAP {
	t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := from.DialContext(t.Context(), "tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := textproto.NewConn(conn)
	if greeting, err := c.ReadLine(); err != nil || !strings.HasPrefix(greeting, "* OK") {
		t.Fatalf("greeting %q, %v", greeting, err)
	}
	return &IMAP{t, c}
}

// responseCode is the code of an IMAP response (RFC 5530) that is an error;
// empty: the command was successful.
func responseCode(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	code, _, ok := strings.Cut(strings.TrimPrefix(err.Error(), "NO ["), "]")
	if !ok || !strings.HasPrefix(err.Error(), "NO [") {
		t.Fatalf("response without a code: %v", err)
	}
	return code
}

// The codes that are asked for.
const (
	refused     = "AUTHENTICATIONFAILED"
	unavailable = "UNAVAILABLE"
)

// passwordLogins are logins of the people of testdata, by any server that asks
// ours. Their app passwords are left to others.
var passwordLogins = []struct {
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

	{"wrong password", "alice@example.com", "bob builds", ""},
	{"more than the password", "alice@example.com", "alice sings\n", ""},
	{"a line after the password", "alice@example.com", "alice sings\nalice sings", ""},
	{"a return after the password", "alice@example.com", "alice sings\r", ""},
	{"a line before the password", "alice@example.com", "\nalice sings", ""},
	{"password that ends a JSON string", "alice@example.com", `x","password":"alice sings`, ""},
	{"password that is a variable", "alice@example.com", "%{password}%w%u", ""},
	{"password that is not UTF-8", "alice@example.com", "alice sings\xff", ""},
	{"the hash itself", "svc-printer", "$6$rounds=1000$svcsaltsvc$Gokyy/BobJ4ZXMIC9QUKPPH7MgSgw1qsEdiEb3VTPQAX.FHt7e/Z.AdEGha6GY8IONDJ0ZxL/FA.Tmp/umc5Z.", ""},
	{"app password of nobody", "alice@example.com", "apz9y8x7-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxk", ""},
	{"inactive user", "dave@example.com", "alice sings", ""},
	{"blocked alias", "old@example.com", "alice sings", ""},
	{"mailing list", "team@example.com", "alice sings", ""},
	{"redirected domain", "alice@example.org", "alice sings", ""},
	{"user's identifier", "alice", "alice sings", ""},
	{"unknown", "mallory@example.com", "alice sings", ""},
	{"a line after the name", "alice@example.com\nbob", "alice sings", ""},
	{"quoting in the name", `alice@example.com","x":"`, "alice sings", ""},
}

// testPasswordLogins logs in to a Dovecot as everybody, by all of the names.
func testPasswordLogins(t *testing.T, db *Database, root *Root, dovecot *Server) {
	for _, tt := range passwordLogins {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := newMailClient()
			if tt.mailbox == "" {
				if got := responseCode(t, loginFrom(t, client, dovecot.Port, tt.user, tt.password)); got != refused {
					t.Errorf("login: %q", got)
				}
				return
			}
			imap := imapFrom(t, client, dovecot.Port)
			if err := imap.Login(tt.user, tt.password); err != nil {
				t.Fatal(err)
			}
			folder := strings.ReplaceAll(tt.name, " ", "-")
			if _, err := imap.Do("CREATE %q", folder); err != nil {
				t.Fatal(err)
			}
			root.Read("/var/vmail/example.com/" + tt.mailbox + "/Maildir/." + folder + "/cur/../maildirfolder")
		})
	}
	for i, password := range []string{
		" two blanks ", `quote " and ' quote`, `back\slash\`, `\u0041`, "Grüße, 世界 😀", "100%u %{user} %%", "vertical\vtab\x7f", "{PLAIN}$1$", "</x>&",
	} {
		t.Run(fmt.Sprintf("password %q", password), func(t *testing.T) {
			t.Parallel()
			user := newServiceUser(t, db, root, password)
			client := newMailClient()
			if err := loginFrom(t, client, dovecot.Port, user, password); err != nil {
				t.Error(err)
			}
			if got := responseCode(t, loginFrom(t, client, dovecot.Port, user, password+strconv.Itoa(i))); got != refused {
				t.Errorf("login with more behind it: %q", got)
			}
		})
	}
}

var lastServiceUser atomic.Int32

// newServiceUser gives alice a service user with a password that Dovecot
// hashes, and returns its name.
func newServiceUser(t *testing.T, db *Database, root *Root, password string) string {
	t.Helper()
	hash := strings.TrimSpace(root.Run("doveadm", "pw", "-s", "SHA512-CRYPT", "-r", "1000", "-p", password))
	name := "svc-dovecot-" + strconv.Itoa(int(lastServiceUser.Add(1)))
	conn := db.Connect(t)
	for _, statement := range []struct {
		text string
		args []any
	}{
		{"insert into auth.login_names (name, kind) values ($1, 'service_user')", []any{name}},
		{"insert into auth.service_users (user_id, username, password_hash) select u.id, $1, $2 from auth.users u where u.identifier = 'alice'",
			[]any{name, strings.TrimPrefix(hash, "{SHA512-CRYPT}")}},
	} {
		if _, err := conn.Exec(t.Context(), statement.text, statement.args...); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// newAppPassword makes an app password of bob, and returns it and its id.
func newAppPassword(t *testing.T, db *Database, limits ...string) (password, id string) {
	t.Helper()
	password = strings.TrimSpace(db.Operate(t, append([]string{"apppassword", "create", "--user", "bob"}, limits...)...))
	return password, password[2:8]
}

// testAppPasswords logs in to a Dovecot with app passwords and their limits.
func testAppPasswords(t *testing.T, db *Database, root *Root, dovecot *Server) {
	any, _ := newAppPassword(t, db)
	forIMAP, _ := newAppPassword(t, db, "--service", "imap")
	forSMTP, _ := newAppPassword(t, db, "--service", "smtp")
	home := newMailClient()
	forHome, _ := newAppPassword(t, db, "--network", home+"/32")
	for _, tt := range []struct {
		name, user, password, from string
		code                       string
	}{
		{"for everything", "bob@example.com", any, newMailClient(), ""},
		{"of somebody else", "alice@example.com", any, newMailClient(), refused},
		{"for imap", "bob@example.com", forIMAP, newMailClient(), ""},
		{"for smtp", "bob@example.com", forSMTP, newMailClient(), refused},
		{"for this network", "bob@example.com", forHome, home, ""},
		{"for another network", "bob@example.com", forHome, newMailClient(), refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := responseCode(t, loginFrom(t, tt.from, dovecot.Port, tt.user, tt.password)); got != tt.code {
				t.Errorf("login: %q, want %q", got, tt.code)
			}
		})
	}
	for _, tt := range []struct {
		service, password string
		ok                bool
	}{
		{"pop3", any, true},
		{"pop3", forIMAP, false},
		{"submission", forIMAP, false},
		{"submission", forSMTP, true},
		{"smtp", forSMTP, true},
		{"sieve", forSMTP, false},
	} {
		t.Run(fmt.Sprint(tt.service, " admits ", tt.ok), func(t *testing.T) {
			t.Parallel()
			out, err := root.Try("doveadm", "auth", "test", "-x", "service="+tt.service, "-x", "rip="+newMailClient(), "bob@example.com", tt.password)
			if succeeded := strings.Contains(out, "auth succeeded"); succeeded != tt.ok || succeeded != (err == nil) || strings.Contains(out, "temp") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	t.Run("last use", func(t *testing.T) {
		from := newMailClient()
		password, id := newAppPassword(t, db)
		if err := loginFrom(t, from, dovecot.Port, "bob@example.com", password); err != nil {
			t.Fatal(err)
		}
		if service, last := lastUse(t, db, id); service != "imap" || last != from {
			t.Errorf("last used for %s from %s, want %s", service, last, from)
		}
	})
}

// lastUse returns for what and from where an app password was used last.
func lastUse(t *testing.T, db *Database, id string) (service, from string) {
	t.Helper()
	db.QueryRow(t, `
		select coalesce(last_used_service, ''), coalesce(host(last_used_from), '')
		  from auth.app_passwords where id = '`+id+`'`, &service, &from)
	return service, from
}

// testGuesses guesses bob's password from one address until nothing is
// answered there, and finds that it is answered elsewhere.
func testGuesses(t *testing.T, dovecot *Server) {
	t.Parallel()
	attacker, owner := newMailClient(), newMailClient()
	for i := range 10 {
		for range 2 { // a mail program tries again
			if got := responseCode(t, loginFrom(t, attacker, dovecot.Port, "bob@example.com", fmt.Sprint("guess ", i))); got != refused {
				t.Fatalf("guess %d: %q", i, got)
			}
		}
	}
	for _, password := range []string{"guess 10", "bob builds"} {
		if got := responseCode(t, loginFrom(t, attacker, dovecot.Port, "bob@example.com", password)); got != unavailable {
			t.Errorf("after ten wrong passwords, %q gets %q, want %q", password, got, unavailable)
		}
	}
	if err := loginFrom(t, owner, dovecot.Port, "bob@example.com", "bob builds"); err != nil {
		t.Errorf("from another address: %v", err)
	}
	if err := loginFrom(t, attacker, dovecot.Port, "alice@example.com", "alice sings"); err != nil {
		t.Errorf("another user from the same address: %v", err)
	}
}

func TestDovecotLua(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			db, _, root, dovecot := startLuaDovecot(t, version, asItStands)
			t.Run("passwords", func(t *testing.T) { testPasswordLogins(t, db, root, dovecot) })
			t.Run("app passwords", func(t *testing.T) { testAppPasswords(t, db, root, dovecot) })
			t.Run("guesses", func(t *testing.T) { testGuesses(t, dovecot) })
		})
	}
}

// Only holders of the permissions that the Lua file names are admitted.
func TestDovecotLuaPermissions(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, _, _, dovecot := startLuaDovecot(t, version, func(s string) string {
				return strings.ReplaceAll(s, "  secret_file", "  permissions = { \"imap\" },\n  secret_file")
			})
			for _, tt := range []struct{ name, user, password, code string }{
				{"held", "alice@example.com", "alice sings", ""},
				{"held through a group", "bob@example.com", "bob builds", ""},
				{"held by the service user's owner", "svc-printer", "scan to mail", ""},
				{"not held", "carol@example.com", "carol cooks", refused},
				{"not held, and a wrong password", "carol@example.com", "bob builds", refused},
			} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, tt.user, tt.password)); got != tt.code {
						t.Errorf("login: %q, want %q", got, tt.code)
					}
				})
			}
		})
	}
}

// While the server is away, who has logged in a moment ago can do so again,
// with the same password from the same address, and nobody else can.
func TestDovecotLuaAway(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, auth, _, dovecot := startLuaDovecot(t, version, asItStands)
			home := newMailClient()
			if err := loginFrom(t, home, dovecot.Port, "alice@example.com", "alice sings"); err != nil {
				t.Fatal(err)
			}
			auth.stop(t)
			for _, tt := range []struct{ name, from, user, password, code string }{
				{"again", home, "alice@example.com", "alice sings", ""},
				{"from elsewhere", newMailClient(), "alice@example.com", "alice sings", unavailable},
				{"for the first time", home, "bob@example.com", "bob builds", unavailable},
				{"as nobody", home, "mallory@example.com", "bob builds", unavailable},
			} {
				t.Run(tt.name, func(t *testing.T) {
					if got := responseCode(t, loginFrom(t, tt.from, dovecot.Port, tt.user, tt.password)); got != tt.code {
						t.Errorf("login: %q, want %q", got, tt.code)
					}
				})
			}
			// Dovecot may compare it with what it remembers, or not.
			if got := responseCode(t, loginFrom(t, home, dovecot.Port, "alice@example.com", "bob builds")); got != refused && got != unavailable {
				t.Errorf("login with a wrong password: %q", got)
			}
		})
	}
}

// fakeVerify listens where a server would, answers as answer says, and counts
// questions.
func fakeVerify(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, user string)) (address, certificate string, asked *atomic.Int32) {
	t.Helper()
	certificate, key := newCertificate(t)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	server := &http.Server{
		ErrorLog: nil,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			body, err := io.ReadAll(r.Body)
			var question struct{ Username string }
			if err != nil || json.Unmarshal(body, &question) != nil {
				t.Errorf("question: %q, %v", body, err)
			}
			answer(w, r, question.Username)
		}),
	}
	done := make(chan struct{})
	go func() {
		server.Serve(listener) // until it is closed
		close(done)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return listener.Addr().String(), certificate, asked
}

// Only a whole yes is a yes, and only a whole no is a no.
func TestDovecotLuaAnswers(t *testing.T) {
	t.Parallel()
	const yes = `{"user":"alice@example.com","identifier":"alice","credential":"password","permissions":["imap","smtp"],"groups":[]}`
	tests := []struct {
		name   string
		status int
		body   string
		code   string
	}{
		{"yes", 200, yes, ""},
		{"yes with more to it", 200, " { \"x\" : [ 1 , -2.5e3 , { } , [ ] , null , true , false , \"\" ] ,\r\n\t\"user\":\"alice@example.com\" } \n", ""},
		{"yes with escapes", 200, `{"groups":["\ud83d\ude00 \u00fc \"user\":\"bob@example.com\" \\"],"user":"\u0061lice\u0040example.com"}`, ""},
		{"no", 401, `{"error":"denied"}`, refused},
		{"not allowed", 403, `{"error":"forbidden"}`, refused},

		{"throttled", 429, `{"error":"Too many wrong passwords, try again later"}`, unavailable},
		{"unavailable", 503, `{"error":"Temporarily unavailable"}`, unavailable},
		{"error", 500, yes, unavailable},
		{"gateway", 502, "<html>Bad Gateway</html>", unavailable},
		{"wrong secret", 401, `{"error":"Not the secret of an API client"}`, unavailable},
		{"proxy's login page", 401, "<html>denied</html>", unavailable},
		{"proxy's forbidden", 403, "<html>forbidden</html>", unavailable},
		{"not found", 404, `{"error":"denied"}`, unavailable},
		{"another success", 201, yes, unavailable},
		{"nothing", 200, "", unavailable},
		{"a page", 200, "<html>user: alice@example.com</html>", unavailable},
		{"no user", 200, `{"identifier":"alice"}`, unavailable},
		{"a no with the status of a yes", 200, `{"error":"denied"}`, unavailable},
		{"user in a list", 200, `[{"user":"alice@example.com"}]`, unavailable},
		{"user deeper", 200, `{"account":{"user":"alice@example.com"}}`, unavailable},
		{"user in a text", 200, `{"group":"\"user\":\"alice@example.com\""}`, unavailable},
		{"user that is no text", 200, `{"user":["alice@example.com"]}`, unavailable},
		{"empty user", 200, `{"user":""}`, unavailable},
		{"user without a domain", 200, `{"user":"alice"}`, unavailable},
		{"user in another folder", 200, `{"user":"../alice@example.com"}`, unavailable},
		{"user with a field", 200, `{"user":"alice@example.com\tnologin"}`, unavailable},
		{"user with a line", 200, `{"user":"alice@example.com\n"}`, unavailable},
		{"user with a NUL", 200, `{"user":"alice@example.com\u0000"}`, unavailable},
		{"cut off", 200, yes[:len(yes)-1], unavailable},
		{"cut off in a text", 200, `{"user":"alice@example.com`, unavailable},
		{"cut off in an escape", 200, `{"user":"alice@example.com","x":"\u00`, unavailable},
		{"half a surrogate", 200, `{"user":"alice@example.com","x":"\ud83d"}`, unavailable},
		{"other half of a surrogate", 200, `{"user":"alice@example.com","x":"\udc00"}`, unavailable},
		{"more behind it", 200, yes + yes, unavailable},
		{"a comma too many", 200, `{"user":"alice@example.com",}`, unavailable},
		{"no comma", 200, `{"user":"alice@example.com" "x":1}`, unavailable},
		{"wrong bracket", 200, `{"user":"alice@example.com"]`, unavailable},
		{"no number", 200, `{"user":"alice@example.com","x":0x10}`, unavailable},
		{"no literal", 200, `{"user":"alice@example.com","x":nil}`, unavailable},
		{"no value", 200, `{"user":"alice@example.com","x":}`, unavailable},
		{"line in a text", 200, "{\"user\":\"alice@example.com\",\"x\":\"\n\"}", unavailable},
		{"too deep", 200, strings.Repeat("[", 300000), unavailable},
	}
	answers := map[string]func(http.ResponseWriter, *http.Request){
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/yes", http.StatusTemporaryRedirect)
		},
		"silent":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"hanging-up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut-off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(yes)))
			io.WriteString(w, yes[:len(yes)-1])
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, yes[:len(yes)-1])
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	}
	for i, tt := range tests {
		answers[strconv.Itoa(i)] = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}
	}
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			address, certificate, _ := fakeVerify(t, func(w http.ResponseWriter, r *http.Request, user string) {
				if r.URL.Path != "/verify" {
					io.WriteString(w, yes)
					return
				}
				answers[user](w, r)
			})
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			_, dovecot := luaDovecot(t, version, certificate, "ac_test", func(s string) string {
				return strings.ReplaceAll(s, "https://"+AuthHost, "https://"+AuthHost+":"+port)
			})
			for i, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, strconv.Itoa(i), "secret")); got != tt.code {
						t.Errorf("login: %q, want %q", got, tt.code)
					}
				})
			}
			for _, name := range []string{"redirected", "silent", "hanging-up", "cut-off", "slow"} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, name, "secret")); got != unavailable {
						t.Errorf("login: %q", got)
					}
				})
			}
		})
	}
}

// A server with another certificate is not told a password.
func TestDovecotLuaImpostor(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			address, _, asked := fakeVerify(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				io.WriteString(w, `{"user":"alice@example.com"}`)
			})
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			another, _ := newCertificate(t)
			_, dovecot := luaDovecot(t, version, another, "ac_test", func(s string) string {
				return strings.ReplaceAll(s, "https://"+AuthHost, "https://"+AuthHost+":"+port)
			})
			if got := responseCode(t, loginFrom(t, newMailClient(), dovecot.Port, "alice@example.com", "alice sings")); got != unavailable {
				t.Errorf("login: %q", got)
			}
			if n := asked.Load(); n != 0 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}
