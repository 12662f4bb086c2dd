package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"authbridge/internal/pgtest"
)

const (
	right   = "correct horse"  // of every user
	printer = "battery staple" // of alice's service user
)

var (
	rightHash   = sync.OnceValues(func() (string, error) { return Hash(context.Background(), right, Standard) })
	printerHash = sync.OnceValues(func() (string, error) { return Hash(context.Background(), printer, Standard) })
)

// newVerifier returns a verifier of a database with users.
//
//	alice@example.com  al@, alice-b@ (bob's), old@ (blocked), alice@moved.test (redirected); service users printer, scanner
//	bob@example.com
//	carol              staff, without a mailbox
//	gone@example.com   staff, inactive, with a service user gone-printer
//	none@example.com   no password
func newVerifier(t testing.TB) (*Verifier, pgtest.DB) {
	t.Helper()
	db := pgtest.New(t, "authserver_web")
	rightHash, err := rightHash()
	if err != nil {
		t.Fatal(err)
	}
	printerHash, err := printerHash()
	if err != nil {
		t.Fatal(err)
	}
	arrange(t, db, `insert into auth.login_names (name, kind) values ('alice', 'user'), ('bob', 'user'), ('carol', 'user'), ('gone', 'user'), ('none', 'user'), ('printer', 'service_user'), ('scanner', 'service_user'), ('gone-printer', 'service_user')`)
	arrange(t, db, `insert into auth.users (identifier, full_name, password_hash, active, staff)
		select n.name, initcap(n.name), nullif($1, case when n.name = 'none' then $1 end), n.name <> 'gone', n.name in ('carol', 'gone') from auth.login_names n where n.kind = 'user'`, rightHash)
	arrange(t, db, `insert into auth.domains (name, redirect_to) values ('example.com', null), ('moved.test', 'example.com')`)
	arrange(t, db, `insert into auth.aliases (local_part, domain_id, user_id, blocked)
		select n.local_part, d.id, u.id, n.local_part = 'old'
		  from (values ('alice', 'alice'), ('al', 'alice'), ('old', 'alice'), ('alice-b', 'bob'), ('bob', 'bob'), ('gone', 'gone'), ('none', 'none')) n (local_part, identifier)
		  join auth.users u on u.identifier = n.identifier join auth.domains d on d.name = 'example.com' or n.local_part = 'alice'`)
	arrange(t, db, `update auth.users u set delivery_mailbox_id = a.id
		from auth.aliases a join auth.domains d on d.id = a.domain_id where a.user_id = u.id and a.local_part = u.identifier and d.name = 'example.com'`)
	arrange(t, db, `insert into auth.service_users (user_id, username, password_hash)
		select u.id, n.username, $1 from (values ('alice', 'printer'), ('gone', 'gone-printer')) n (identifier, username) join auth.users u on u.identifier = n.identifier`, printerHash)
	v := &Verifier{DB: db.Pool}
	t.Cleanup(v.Wait)
	return v, db
}

func arrange(t testing.TB, db pgtest.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Owner.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

func value[T any](t testing.TB, db pgtest.DB, sql string, args ...any) (v T) {
	t.Helper()
	if err := db.Owner.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	return v
}

// addAppPassword gives a user an app password.
func addAppPassword(t testing.TB, db pgtest.DB, identifier string) AppPassword {
	t.Helper()
	app := NewAppPassword()
	sum := app.SHA256()
	arrange(t, db, `insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash)
		select $1, u.id, $2, '$6$x' from auth.users u where u.identifier = $3`, app.ID(), sum[:], identifier)
	return app
}

// count arranges that so many wrong passwords were counted of imap(name, …).
func count(t testing.TB, db pgtest.DB, name string, failures float32) {
	t.Helper()
	arrange(t, db, `insert into auth.login_throttles (login_hash, network, service, failures) values (auth.login_hash($1), '192.0.2.7/32', 'imap', $2)`, name, failures)
}

// failures is what is counted of imap(name, …) as of when it last changed.
func failures(t testing.TB, db pgtest.DB, name string) float32 {
	t.Helper()
	return value[float32](t, db, `select coalesce(sum(t.failures), 0)::real from auth.login_throttles t
		where t.login_hash = auth.login_hash($1) and t.network = '192.0.2.7/32' and t.service = 'imap'`, name)
}

// imap is a login from a usual client.
func imap(name, password string) Login {
	return Login{Name: name, Password: password, Service: "imap", Client: netip.MustParseAddr("192.0.2.7")}
}

// outcome is what Verify said, in a word, or what trouble there was.
func outcome(err error) string {
	if word := outcomeOf(err); word != "error" {
		return word
	}
	return err.Error()
}

func verify(t testing.TB, v *Verifier, login Login, want string) Account {
	t.Helper()
	account, err := v.Verify(t.Context(), login)
	if outcome(err) != want {
		t.Errorf("%s from %v for %s: %v, want %s", login.Name, login.Client, login.Service, err, want)
	}
	if err != nil && account.UserID+account.Identifier+account.PrimaryAddress+account.Credential != "" {
		t.Errorf("%s: %v, and yet %+v", login.Name, err, account)
	}
	return account
}

// logged reports whether this is one line about an event, with these attributes.
func logged(line, event string, attrs ...string) bool {
	level := "WARN "
	if event == "login.repeated" {
		level = "INFO "
	}
	return strings.HasPrefix(line, level+event+" ") && !strings.Contains(line, "\n") &&
		!slices.ContainsFunc(attrs, func(a string) bool { return !strings.Contains(line, " "+a) })
}

// A dbFunc stands between a verifier and its database.
type dbFunc func(ctx context.Context, sql string, args ...any) (pgx.Rows, error)

func (f dbFunc) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return f(ctx, sql, args...)
}

// withoutCore is verify while others of the client's network are in the way of
// everybody who has to compute a hash: they are busy.
func withoutCore(t testing.TB, v *Verifier, login Login, want string) {
	t.Helper()
	for range max(1, cap(cores)/2) {
		leave, err := v.queues.Enter(t.Context(), login.Client)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	v.queues.most = time.Millisecond
	defer func() { v.queues.most = 0 }()
	var observed []string
	v.Observe = func(outcome string) { observed = append(observed, outcome) }
	defer func() { v.Observe = nil }()
	if _, err := v.Verify(t.Context(), login); outcome(err) != want || !slices.Equal(observed, []string{want}) {
		t.Errorf("%s, without a core: %v, want %s", login.Name, err, want)
	}
}

// remember has v remember that the password of a login was right for a hash.
func remember(t testing.TB, v *Verifier, login Login, hash func() (string, error)) {
	t.Helper()
	stored, err := hash()
	if err != nil {
		t.Fatal(err)
	}
	v.verified.add(login, stored)
}

// Whose password is asked for. Hashes are remembered and not computed, so that
// nobody is refused for a wrong password.
func TestVerify(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	scanner := addAppPassword(t, db, "alice")
	arrange(t, db, `insert into auth.service_users (user_id, username, app_password_id) select ap.user_id, 'scanner', ap.id from auth.app_passwords ap`)
	phone, bobs, gones := addAppPassword(t, db, "alice"), addAppPassword(t, db, "bob"), addAppPassword(t, db, "gone")
	nones := addAppPassword(t, db, "none")

	app := func(a AppPassword) string { return "app:" + a.ID() }
	for _, tt := range []struct{ name, password, identifier, credential string }{
		{"alice@example.com", right, "alice", "password"},
		{"AL@EXAMPLE.com", right, "alice", "password"},
		{"alice+shop@example.com", right, "alice", "password"},
		{"alice-shop@example.com", right, "alice", "password"},
		{"alice-b@example.com", right, "bob", "password"},
		{"old@example.com", right, "", ""},
		{"alice@moved.test", right, "", ""},
		{"nobody@example.com", right, "", ""},
		{"alice", right, "", ""}, // no staff
		{"Carol", right, "carol", "password"},
		{"none@example.com", right, "", ""},

		// Nobody who is not active, whatever way.
		{"gone@example.com", right, "", ""},
		{"gone", right, "", ""},
		{"gone-printer", printer, "", ""},
		{"gone@example.com", gones.Text(), "", ""},
		{"gone", gones.Text(), "", ""},

		{"Printer", printer, "alice", "service"},
		{"printer", right, "", ""},
		{"alice@example.com", printer, "", ""},
		{"scanner", right, "", ""},
		{"scanner", scanner.Text(), "alice", app(scanner)},
		{"scanner", phone.Text(), "", ""},
		{"printer", phone.Text(), "", ""},
		{"al+x@example.com", phone.Text(), "alice", app(phone)},
		{"alice@example.com", scanner.Text(), "alice", app(scanner)},
		{"alice@example.com", bobs.Text(), "", ""},
		{"old@example.com", phone.Text(), "", ""},
		{"none@example.com", nones.Text(), "none", app(nones)},
	} {
		var want string // of those who may not
		switch tt.password {
		case right:
			remember(t, v, imap(tt.name, right), rightHash)
			want = "busy"
		case printer:
			remember(t, v, imap(tt.name, printer), printerHash)
			want = "busy"
		default:
			want = "denied"
		}
		if tt.identifier == "" {
			withoutCore(t, v, imap(tt.name, tt.password), want)
			continue
		}
		if got := verify(t, v, imap(tt.name, tt.password), "ok"); got.Identifier != tt.identifier || got.Credential != tt.credential {
			t.Errorf("%s: %q by %q, want %q by %q", tt.name, got.Identifier, got.Credential, tt.identifier, tt.credential)
		}
	}

	// Computed.
	nothing := &Verifier{DB: v.DB}
	verify(t, nothing, imap("alice@example.com", right), "ok")
	withoutCore(t, nothing, imap("alice@example.com", right), "ok") // it is remembered now
	verify(t, nothing, imap("printer", printer), "ok")
	verify(t, nothing, imap("gone@example.com", right), "denied")
}

func TestAccount(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	arrange(t, db, `insert into auth.groups (name) values ('b'), ('A')`)
	arrange(t, db, `insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where u.identifier = 'alice'`)
	arrange(t, db, `insert into auth.permissions (permission_name, name) values ('imap', ''), ('Web', '')`)
	arrange(t, db, `insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p`)

	want := Account{
		UserID: value[string](t, db, `select u.id::text from auth.users u where u.identifier = 'alice'`), Identifier: "alice", FullName: "Alice",
		PrimaryAddress: "alice@example.com", ServiceUser: "printer", Credential: "service", Groups: []string{"A", "b"}, Permissions: []string{"Web", "imap"},
	}
	found, err := v.Find(t.Context(), "printer")
	if found.Credential = "service"; err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("found %+v, %v", found, err)
	}
	stored := sha256.Sum256([]byte(value[string](t, db, `select s.password_hash from auth.service_users s where s.username = 'printer'`)))
	want.CredentialSHA256 = stored[:]
	login := imap("printer", printer)
	for _, kind := range []string{"computed", "remembered"} {
		if got := verify(t, v, login, "ok"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nwant %+v", kind, got, want)
		}
	}
	if carol := verify(t, v, imap("carol", right), "ok"); carol.PrimaryAddress != "" || !carol.Staff || carol.Groups == nil || carol.Permissions == nil {
		t.Errorf("%+v", carol)
	}
	for _, name := range []string{"", "nobody", "gone@example.com", "old@example.com", "a\x00", "\xff", strings.Repeat("a", 1<<20)} {
		if got, err := v.Find(t.Context(), name); !errors.Is(err, ErrDenied) {
			t.Errorf("Find(%.20q) = %+v, %v", name, got, err)
		}
	}
}

// What an app password is limited to at Docker registries comes with the
// account, and with nobody else's.
func TestRegistryLimits(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	limited, reading, free := addAppPassword(t, db, "alice"), addAppPassword(t, db, "alice"), addAppPassword(t, db, "alice")
	arrange(t, db, `update auth.app_passwords set services = '{docker}'`)
	arrange(t, db, `update auth.app_passwords set registries = '{r.example.com,s.example.com}', registry_actions = '{pull,push}' where id = $1`, limited.ID())
	arrange(t, db, `update auth.app_passwords set registry_actions = '{pull}' where id = $1`, reading.ID())
	docker := func(registry, password string) Login {
		login := imap("alice@example.com", password)
		login.Service, login.Registry = "docker", registry
		return login
	}
	for _, tt := range []struct {
		login   Login
		outcome string
		actions []string
	}{
		{docker("r.example.com", limited.Text()), "ok", []string{"pull", "push"}},
		{docker("s.example.com", limited.Text()), "ok", []string{"pull", "push"}},
		{docker("t.example.com", limited.Text()), "denied", nil},
		{docker("t.example.com", reading.Text()), "ok", []string{"pull"}},
		{docker("t.example.com", free.Text()), "ok", nil},
		{docker("t.example.com", right), "ok", nil},
		// Whoever says that it is for docker, but not for which registry.
		{docker("", limited.Text()), "denied", nil},
		{docker("", reading.Text()), "denied", nil},
		{docker("", free.Text()), "ok", nil},
	} {
		got := verify(t, v, tt.login, tt.outcome)
		if !slices.Equal(got.RegistryActions, tt.actions) || (got.RegistryActions == nil) != (tt.actions == nil) {
			t.Errorf("%s at %q: limited to %q, want %q", got.Credential, tt.login.Registry, got.RegistryActions, tt.actions)
		}
		if bound := got.CredentialSHA256 != nil; bound != (tt.outcome == "ok") {
			t.Errorf("%s: bound to a hash: %v", got.Credential, bound)
		}
	}
	for _, login := range []Login{imap("bob@example.com", limited.Text()), imap("alice@example.com", limited.Text())} {
		if got, _ := v.Verify(t.Context(), login); got.RegistryActions != nil {
			t.Errorf("%s is told the limits: %+v", login.Name, got)
		}
	}
}

// A new password is another credential; a new hash of the same one is told, too.
func TestCredentialSHA256(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, vectors["LDAP"].stored)
	stored := func() []byte {
		return value[[]byte](t, db, `select sha256(convert_to(u.password_hash, 'UTF8')) from auth.users u where u.identifier = 'alice'`)
	}
	login := imap("alice@example.com", vectors["LDAP"].password)
	imported := stored()
	if got := verify(t, v, login, "ok").CredentialSHA256; !bytes.Equal(got, imported) {
		t.Errorf("an imported hash: %x, want %x", got, imported)
	}
	v.Wait() // for the hash of today's kind
	if got := verify(t, v, login, "ok").CredentialSHA256; !bytes.Equal(got, stored()) || bytes.Equal(got, imported) {
		t.Errorf("after it was hashed anew: %x, want %x", got, stored())
	}
	rightHash, err := rightHash()
	if err != nil {
		t.Fatal(err)
	}
	arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, rightHash)
	if got := verify(t, v, imap("alice@example.com", right), "ok").CredentialSHA256; !bytes.Equal(got, stored()) {
		t.Errorf("a new password: %x, want %x", got, stored())
	}
}

func TestHolds(t *testing.T) {
	a := Account{Permissions: []string{"web", "imap"}}
	for want, asked := range map[bool][][]string{
		true:  {nil, {"imap"}, {"web"}, {"imap", "web"}},
		false: {{""}, {"IMAP"}, {"ima"}, {"imap", "smtp"}},
	} {
		for _, permissions := range asked {
			if got := a.Holds(permissions); got != want {
				t.Errorf("Holds(%q) = %v", permissions, got)
			}
		}
	}
	if (Account{}).Holds([]string{"imap"}) {
		t.Error("nobody holds a permission")
	}
}

func TestVerifyAppPassword(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	app := addAppPassword(t, db, "alice")
	ctx, log := recorded(t.Context())
	try := func(login Login, want, reason string) {
		t.Helper()
		_, err := v.Verify(ctx, login)
		if got := log.take(); outcome(err) != want || !strings.Contains(got, reason) || (reason == "") != (got == "") {
			t.Errorf("%v, %q; want %s, %q", err, got, want, reason)
		}
		if withoutCore(t, v, login, want); log.take() != "" {
			t.Error("logged elsewhere")
		}
	}

	login := imap("alice@example.com", "")
	for _, typed := range []string{
		app.Text(), strings.ToUpper(app.Text()), strings.ReplaceAll(app.Text(), "-", ""), " " + strings.ReplaceAll(app.Text(), "-", " ") + " ",
	} {
		login.Password = typed
		try(login, "ok", "")
	}

	other := NewAppPassword()
	login.Password = other.Text()
	try(login, "denied", "unknown app password")
	payload := app.ID() + other.canonical[appFirstGroup:appTextLen-appCheckLen]
	login.Password = appPrefix + payload + appCheck(payload)
	try(login, "denied", "wrong app password")

	login.Password = app.Text()
	arrange(t, db, `update auth.app_passwords set networks = '{192.0.2.0/24}'`)
	for client, want := range map[string]string{"192.0.2.9": "ok", "::ffff:192.0.2.9": "ok", "198.51.100.9": "denied", "::192.0.2.9": "denied", "2001:db8::1": "denied"} {
		login.Client = netip.MustParseAddr(client)
		verify(t, v, login, want)
	}
	login.Client = netip.Addr{}
	try(login, "denied", "not for this network")
	login = imap("alice@example.com", app.Text())
	arrange(t, db, `update auth.app_passwords set services = '{smtp}'`)
	try(login, "denied", "not for this service")
	login.Service = "smtp"
	try(login, "ok", "")
	arrange(t, db, `update auth.app_passwords set expires_at = now()`)
	try(login, "denied", "expired app password "+app.ID())
	arrange(t, db, `update auth.app_passwords set revoked_at = now()`)
	try(login, "denied", "revoked app password "+app.ID())
	if n := value[int](t, db, `select count(*) from auth.login_throttles`); n != 0 {
		t.Errorf("%d counts of app passwords", n)
	}
}

// Who mistypes an app password is told without asking anybody.
func TestMistypedAppPassword(t *testing.T) {
	t.Parallel()
	v := &Verifier{DB: dbFunc(func(context.Context, string, ...any) (pgx.Rows, error) {
		t.Error("the database was asked")
		return nil, errors.New("not here")
	})}
	ctx, log := recorded(t.Context())
	text := []byte(NewAppPassword().canonical)
	text[10] = crockford[(strings.IndexByte(crockford, text[10])+1)%32]
	if _, err := v.Verify(ctx, imap("alice@example.com", string(text))); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	if got := log.take(); !strings.Contains(got, "typing error") || strings.Contains(got, string(text[10:])) {
		t.Errorf("logged %s", got)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	app := addAppPassword(t, db, "alice")
	ctx, log := recorded(t.Context())
	name := "alice@example.com"
	remember(t, v, imap(name, right), rightHash)
	count(t, db, name, 8)
	verify(t, v, imap(name, "wrong 1"), "denied")
	verify(t, v, imap(name, "wrong 2"), "denied")

	_, err := v.Verify(ctx, imap(name, "wrong 3"))
	var throttled *ThrottledError
	if !errors.As(err, &throttled) || throttled.RetryAfter < time.Second || throttled.RetryAfter > time.Minute || throttled.RetryAfter%time.Second != 0 {
		t.Fatalf("%v, want to be throttled for a minute", err)
	}
	if got := log.take(); !logged(got, "login.throttled", "name=alice@example.com", "service=imap", "from=192.0.2.7", "retry_after="+throttled.RetryAfter.String()) {
		t.Errorf("logged %s", got)
	}
	if err := v.Throttled(ctx, imap("alice+x@example.com", "")); !errors.As(err, &throttled) || throttled.RetryAfter > time.Minute {
		t.Errorf("Throttled: %v", err)
	}
	if got := log.take(); !logged(got, "login.throttled", "name=alice+x@example.com") {
		t.Errorf("logged %s", got)
	}
	withoutCore(t, v, imap(name, "wrong 2"), "denied")
	withoutCore(t, v, imap(name, right), "ok")
	withoutCore(t, v, imap(name, app.Text()), "ok")
	verify(t, v, imap("alice-x+y@example.com", right), "throttled")

	for what, change := range map[string]func(*Login){
		"another name":    func(l *Login) { l.Name = "al@example.com" },
		"another client":  func(l *Login) { l.Client = netip.MustParseAddr("192.0.2.8") },
		"unknown client":  func(l *Login) { l.Client = netip.Addr{} },
		"another service": func(l *Login) { l.Service = "smtp" },
	} {
		login := imap(name, right)
		change(&login)
		if err := v.Throttled(t.Context(), login); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		withoutCore(t, v, login, "busy")
	}

	// A password that was right from one client does not tell another, who is
	// throttled, that it is.
	elsewhere := imap(name, "")
	elsewhere.Client = netip.MustParseAddr("203.0.113.1")
	arrange(t, db, `insert into auth.login_throttles (login_hash, network, service, failures) values (auth.login_hash($1), '203.0.113.1/32', 'imap', 10)`, name)
	elsewhere.Password = right
	verify(t, v, elsewhere, "throttled")

}

// A success forgets the failures before it.
func TestSuccessForgets(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	count(t, db, "al@example.com", 9)
	verify(t, v, imap("al@example.com", right), "ok")
	if n := failures(t, db, "al@example.com"); n != 0 {
		t.Errorf("%v failures", n)
	}

	// But not those of somebody whose address is counted by the same name: bob
	// guesses alice's password, and is alice-b@.
	count(t, db, "alice@example.com", 9)
	verify(t, v, imap("alice-b@example.com", right), "ok")
	verify(t, v, imap("alice@example.com", "wrong 1"), "denied")
	verify(t, v, imap("alice@example.com", "wrong 2"), "throttled")
}

// A phone with an old password asks all day, and is no guesser.
func TestSameWrongPassword(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	for _, name := range []string{"alice@example.com", "nobody@example.com"} {
		verify(t, v, imap(name, "old"), "denied")
		ctx, log := recorded(t.Context())
		for range 100 {
			withoutCore(t, v, imap(name, "old"), "denied")
		}
		if _, err := v.Verify(ctx, imap(name, "old")); !errors.Is(err, ErrDenied) {
			t.Error(err)
		}
		if got := log.take(); !logged(got, "login.repeated", "name="+name, "service=imap", "from=192.0.2.7", "reason=the same wrong password again") {
			t.Errorf("logged %s", got)
		}
		if n := failures(t, db, name); n > 1 {
			t.Errorf("%s: %v failures", name, n)
		}
	}

	// All servers with one key know it, and the database alone knows nothing.
	withoutCore(t, &Verifier{DB: v.DB, MACKey: v.MACKey}, imap("alice@example.com", "old"), "denied")
	withoutCore(t, &Verifier{DB: v.DB, MACKey: [32]byte{1}}, imap("alice@example.com", "old"), "busy")

	old, err := Hash(t.Context(), "old", Standard)
	if err != nil {
		t.Fatal(err)
	}
	arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, old)
	verify(t, v, imap("alice@example.com", "old"), "ok")
}

// The answers to a guesser are the same whether there is such a user or not.
func TestNobodyIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	want := []string{"denied", "denied", "denied", "denied", "throttled", "denied", "throttled"}
	for _, name := range []string{"alice@example.com", "nobody@example.com", "gone@example.com"} {
		count(t, db, name, 7)
		var got []string
		for _, password := range []string{"wrong 1", "wrong 2", "wrong 1", "wrong 3", "wrong 4", "wrong 2", "wrong 5"} {
			_, err := v.Verify(t.Context(), imap(name, password))
			got = append(got, outcome(err))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// No answer to a wrong password comes without the work of a right one.
func TestDecoyForAll(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	arrange(t, db, `insert into auth.login_names (name, kind) values ('unusable', 'user'), ('unsupported', 'user'), ('costly', 'user')`)
	for name, hash := range map[string]string{"unusable": "!", "unsupported": "$1$md5", "costly": "$2b$31$" + strings.Repeat("a", 53)} {
		arrange(t, db, `insert into auth.users (identifier, full_name, password_hash, staff) values ($1, '', $2, true)`, name, hash)
	}
	for _, name := range []string{"alice@example.com", "nobody@example.com", "gone@example.com", "gone", "none@example.com", "old@example.com", "alice@moved.test", "bob", "scanner", "gone-printer", "not a name", "unusable", "unsupported", "costly"} {
		withoutCore(t, v, imap(name, "wrong"), "busy")
	}
	for name, want := range map[string]string{"unusable": "reason=wrong password", "unsupported": "ERROR a stored password hash cannot be verified", "costly": "identifier=costly"} {
		ctx, log := recorded(t.Context())
		_, err := v.Verify(ctx, imap(name, "!"))
		if got := log.take(); !errors.Is(err, ErrDenied) || !strings.Contains(got, want) || strings.Contains(got, "$2b$31") || strings.Contains(got, "md5") {
			t.Errorf("%v, logged %s", err, got)
		}
	}
}

// Imported hashes take longer than the others, or no time. Both would tell that
// somebody is there.
func TestImportedHashesTakeAsLong(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, vectors["LDAP"].stored)
	arrange(t, db, `update auth.users u set password_hash = '$5$rounds=100000$' || repeat('a', 16) || '$' || repeat('a', 43) where u.identifier = 'bob'`)
	verify(t, v, imap("nobody@example.com", "x"), "denied")
	if v.slowest.Load() != 0 {
		t.Errorf("%v, before there was an imported hash", time.Duration(v.slowest.Load()))
	}

	// Without a core an answer to a wrong password would be a cheap one.
	ctx, leave := context.WithCancel(t.Context())
	leave()
	began := time.Now()
	if ok, _, err := v.verifyHash(t.Context(), begunLogin{PasswordHash: vectors["LDAP"].stored}, "wrong"); ok || err != nil {
		t.Error(ok, err)
	}
	if took := time.Since(began); took < 2*time.Millisecond {
		t.Errorf("a wrong password for {SSHA} took %v", took)
	}
	if ok, _, err := v.verifyHash(ctx, begunLogin{PasswordHash: vectors["LDAP"].stored}, "wrong"); ok || err != nil {
		t.Errorf("a wrong password that was found to be so: %v, %v", ok, err)
	}

	verify(t, v, imap("bob@example.com", "wrong"), "denied")
	slowest := time.Duration(v.slowest.Load())
	if slowest < time.Millisecond || slowest > maxSlowest {
		t.Errorf("the imported hash took %v", slowest)
	}
	v.slow(time.Hour)
	if got := time.Duration(v.slowest.Load()); got != maxSlowest {
		t.Errorf("one that waited for a core counts for %v", got)
	}
	for _, name := range []string{"nobody@example.com", "alice@example.com", "carol"} {
		began := time.Now()
		verify(t, v, imap(name, "wrong, and slow"), "denied")
		if took := time.Since(began); took < maxSlowest {
			t.Errorf("the answer to %s took %v, less than %v", name, took, maxSlowest)
		}
	}
}

// Many guesses at once count like one after the other.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	v, _ := newVerifier(t)
	for _, name := range []string{"alice@example.com", "nobody@example.com"} {
		var wg sync.WaitGroup
		outcomes := make([]string, 64)
		for i := range outcomes {
			wg.Go(func() {
				login := imap(name, fmt.Sprint("wrong ", i))
				begun, err := beginLogin(t.Context(), v.DB, login, "", nil, v.mac(login), nil)
				if outcomes[i] = begun.Outcome; begun.Outcome == "verify" {
					_, err = endLogin(t.Context(), v.DB, login, v.mac(login), begun.PasswordHash, "wrong")
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		slices.Sort(outcomes)
		if want := append(slices.Repeat([]string{"throttled"}, 54), slices.Repeat([]string{"verify"}, 10)...); !slices.Equal(outcomes, want) {
			t.Errorf("%s: %q", name, outcomes)
		}
		verify(t, v, imap(name, "one more"), "throttled")
	}
}

// A page with thirty pictures, asked for by a browser that sends the right
// password with each: no guess, and one hash for each server.
func TestSameAtOnce(t *testing.T) {
	t.Parallel()
	first, db := newVerifier(t)
	second := &Verifier{DB: first.DB, MACKey: first.MACKey}
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			v := []*Verifier{first, second}[i%2]
			if who, err := v.Verify(t.Context(), imap("alice@example.com", right)); err != nil || who.Identifier != "alice" {
				t.Errorf("%v, %v", who, err)
			}
		})
	}
	wg.Wait()
	if n := value[float32](t, db, `select coalesce(sum(t.failures), 0)::real from auth.login_throttles t`); n != 0 {
		t.Errorf("%v failures", n)
	}
}

// Whom nobody can tell from others is never refused, or ten guesses would lock
// everybody out; wrong answers get slower.
func TestUnknownClient(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	nobody := func(password string) Login {
		return Login{Name: "alice@example.com", Password: password, Service: "imap"}
	}
	arrange(t, db, `insert into auth.login_throttles (login_hash, network, service, failures)
		values (auth.login_hash('alice@example.com'), auth.login_network(null), 'imap', 10)`)
	if err := v.Throttled(t.Context(), nobody("")); err != nil {
		t.Error(err)
	}
	began := time.Now()
	verify(t, v, nobody("wrong"), "denied")
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("a wrong answer took %v", took)
	}
	verify(t, v, nobody(right), "ok")
}

// One network's guesses wait for each other, and others do not wait for them.
func TestQueues(t *testing.T) {
	t.Parallel()
	var q Queues
	guesser, other, neighbour := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8::2")
	var leave []func()
	for range max(1, cap(cores)/2) {
		l, err := q.Enter(t.Context(), guesser)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	q.most = time.Millisecond
	if _, err := q.Enter(t.Context(), neighbour); !errors.Is(err, ErrBusy) {
		t.Errorf("the same /64: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Enter(ctx, neighbour); !errors.Is(err, ErrBusy) {
		t.Errorf("somebody who has left: %v", err)
	}
	if l, err := q.Enter(t.Context(), other); err != nil {
		t.Errorf("another network: %v", err)
	} else {
		l()
	}
	for _, l := range leave {
		l()
	}
	if l, err := q.Enter(t.Context(), neighbour); err != nil {
		t.Errorf("after the guesses: %v", err)
	} else {
		l()
	}
	if len(q.lines) != 0 {
		t.Errorf("%d lines are left", len(q.lines))
	}
}

// An attempt that could not be verified is given back.
func TestBusyIsNoFailure(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	for i := range 30 {
		withoutCore(t, v, imap("alice@example.com", fmt.Sprint("wrong ", i)), "busy")
	}
	if n := value[float32](t, db, `select sum(t.failures) from auth.login_throttles t`); n != 0 {
		t.Errorf("%v failures", n)
	}
	verify(t, v, imap("alice@example.com", right), "ok")
}

// The same with every core taken. Not parallel: nobody else may have them.
func TestVerifyBusy(t *testing.T) {
	v, db := newVerifier(t)
	app := addAppPassword(t, db, "alice")
	remember(t, v, imap("alice@example.com", right), rightHash)
	for range cap(cores) {
		if err := cores.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer cores.release()
	}
	verify(t, v, imap("alice@example.com", right), "ok")
	verify(t, v, imap("alice@example.com", app.Text()), "ok")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := v.Verify(ctx, imap("alice@example.com", "wrong")); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	v.Wait()
	if n := value[float32](t, db, `select sum(t.failures) from auth.login_throttles t`); n != 0 {
		t.Errorf("%v failures", n)
	}
}

// Who hangs up when the hash is computed has made an attempt.
func TestHangUpCounts(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	hangUp := func(password string) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		pool := v.DB
		defer func() { v.DB = pool }()
		v.DB = dbFunc(func(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
			if strings.Contains(sql, "end_login") {
				leave()
			}
			return pool.Query(ctx, sql, args...)
		})
		if _, err := v.Verify(ctx, imap("alice@example.com", password)); err == nil {
			t.Error("a wrong password is right")
		}
		v.Wait()
	}
	count(t, db, "alice@example.com", 8)
	hangUp("wrong 1")
	hangUp("wrong 2")
	verify(t, v, imap("alice@example.com", "wrong 3"), "throttled")
	withoutCore(t, v, imap("alice@example.com", "wrong 1"), "denied") // it was noted
}

// Guesses from everywhere get slow answers.
func TestGuessedFromEverywhere(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	for _, name := range []string{"alice@example.com", "nobody@example.com"} {
		arrange(t, db, `insert into auth.login_throttles (login_hash, network, service, failures) values (auth.login_hash($1), '::/0', '', 99.9)`, name)
		began := time.Now()
		verify(t, v, imap(name, "wrong"), "denied")
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("%s: answered after %v", name, took)
		}
	}
}

// A password that was right is no longer when the database says so, on all
// servers.
func TestRemembered(t *testing.T) {
	t.Parallel()
	const name = "alice@example.com"
	for what, change := range map[string]string{
		"password changed":  `update auth.users u set password_hash = '$y$j9T$other' where u.identifier = 'alice'`,
		"password removed":  `update auth.users u set password_hash = null where u.identifier = 'alice'`,
		"deactivated":       `update auth.users u set active = false where u.identifier = 'alice'`,
		"alias removed":     `with u as (update auth.users u set delivery_mailbox_id = null where u.identifier = 'alice') delete from auth.aliases a where a.local_part = 'alice'`,
		"alias blocked":     `update auth.aliases a set blocked = true where a.local_part = 'alice'`,
		"domain redirected": `update auth.domains d set redirect_to = 'example.org' where d.name = 'example.com'`,
		"alias of another":  `with u as (update auth.users u set delivery_mailbox_id = null where u.identifier = 'alice') update auth.aliases a set user_id = (select u.id from auth.users u where u.identifier = 'none') where a.local_part = 'alice'`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			one, db := newVerifier(t)
			two := &Verifier{DB: one.DB}
			for _, v := range []*Verifier{one, two} {
				withoutCore(t, v, imap(name, right), "busy")
				remember(t, v, imap(name, right), rightHash)
				withoutCore(t, v, imap(name, right), "ok")
				withoutCore(t, v, imap(name, "wrong"), "busy")
			}
			arrange(t, db, change)
			for _, v := range []*Verifier{one, two} {
				withoutCore(t, v, imap(name, right), "busy")
			}
		})
	}
	t.Run("service user", func(t *testing.T) {
		t.Parallel()
		v, db := newVerifier(t)
		remember(t, v, imap("printer", printer), printerHash)
		withoutCore(t, v, imap("printer", printer), "ok")
		arrange(t, db, `update auth.users u set active = false where u.identifier = 'alice'`)
		withoutCore(t, v, imap("printer", printer), "busy")
	})
}

func TestRehash(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	stored := func() string {
		return value[string](t, db, `select u.password_hash from auth.users u where u.identifier = 'alice'`)
	}
	for _, kind := range []string{"sha256-crypt, rounds", "Django", "LDAP"} {
		vector := vectors[kind]
		arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, vector.stored)
		verify(t, v, imap("alice@example.com", vector.password), "ok")
		v.Wait()
		if made := stored(); !Standard.made(made) {
			t.Errorf("%s became %s", vector.stored, made)
		}
		withoutCore(t, v, imap("alice@example.com", vector.password), "ok") // it is known to be right
		verify(t, &Verifier{DB: v.DB}, imap("alice@example.com", vector.password), "ok")
	}
	arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, vectors["LDAP"].stored)
	verify(t, v, imap("alice@example.com", "wrong"), "denied")
	if v.Wait(); stored() != vectors["LDAP"].stored {
		t.Errorf("a wrong password made %s", stored())
	}
	if got := value[string](t, db, `select string_agg(distinct concat_ws(' ', a.login, a.action, a.object, a.before, a.after), ', ') from auth.audit a`); got != `authserver_web user.rehash alice {} {"changed": ["password_hash"]}` {
		t.Errorf("audit trail: %s", got)
	}

	arrange(t, db, `update auth.service_users s set password_hash = $1 where s.username = 'printer'`, vectors["LDAP"].stored)
	verify(t, v, imap("printer", vectors["LDAP"].password), "ok")
	v.Wait()
	if got := value[string](t, db, `select s.password_hash from auth.service_users s where s.username = 'printer'`); !Standard.made(got) {
		t.Errorf("a service user's became %s", got)
	}

	// Changed while the new hash of the old password is computed.
	arrange(t, db, `update auth.users u set password_hash = $1 where u.identifier = 'alice'`, vectors["LDAP"].stored)
	pool := v.DB
	v.DB = dbFunc(func(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
		if strings.Contains(sql, "rehash_password") {
			arrange(t, db, `update auth.users u set password_hash = '$y$changed' where u.identifier = 'alice'`)
		}
		return pool.Query(ctx, sql, args...)
	})
	verify(t, v, imap("alice@example.com", vectors["LDAP"].password), "ok")
	if v.Wait(); stored() != "$y$changed" {
		t.Errorf("the changed password became %s", stored())
	}
}

// What no account can have is refused without asking, and logged.
func TestImpossibleLogins(t *testing.T) {
	t.Parallel()
	asked := false
	v := &Verifier{DB: dbFunc(func(context.Context, string, ...any) (pgx.Rows, error) {
		asked = true
		return nil, errors.New("not here")
	})}
	mega := strings.Repeat("a", 1<<20)
	for what, login := range map[string]Login{
		"no name":                  {Password: "x", Service: "imap"},
		"NUL in the name":          {Name: "alice\x00@example.com", Password: "x", Service: "imap"},
		"name that is not UTF-8":   {Name: "\xff\xfe", Password: "x", Service: "imap"},
		"long name":                {Name: mega, Password: "x", Service: "imap"},
		"no password":              {Name: "alice@example.com", Service: "imap"},
		"NUL in the password":      {Name: "alice@example.com", Password: "x\x00", Service: "imap"},
		"long password":            {Name: "alice@example.com", Password: mega, Service: "imap"},
		"no service":               {Name: "alice@example.com", Password: "x"},
		"NUL in the service":       {Name: "alice@example.com", Password: "x", Service: "imap\x00"},
		"service that is not UTF8": {Name: "alice@example.com", Password: "x", Service: "\xff"},
		"long service":             {Name: "alice@example.com", Password: "x", Service: mega},
	} {
		ctx, log := recorded(t.Context())
		if _, err := v.Verify(ctx, login); !errors.Is(err, ErrDenied) || asked {
			t.Errorf("%s: %v, asked: %v", what, err, asked)
		}
		if got := log.take(); !strings.HasPrefix(got, "WARN login.failed ") || len(got) > 2*maxLoginName {
			t.Errorf("%s: logged %.100s", what, got)
		}
	}
}

func hostile(f func(text string)) {
	for _, text := range []string{
		"", " ", "\x00", "\xff", "a\x00b@example.com", "alice@example.com\n", "\r\n", "\x1b[2J", "a@b@c", "@", "+@example.com", "--@example.com",
		"'; drop table auth.users; --", "\\", "%s", "\u202e", "é@example.com", "alice@bücher.example", "e\u0301@example.com", strings.Repeat("a", 1<<20),
		strings.Repeat("a-", 300) + "@example.com", "alice@" + strings.Repeat("é", 400), strings.Repeat("\U0001f512", 100), "ap" + strings.Repeat("0", 34),
	} {
		f(text)
	}
}

// Whatever is typed, the answer is about the login, and never about the
// database.
func checkLogins(t *testing.T, v *Verifier, name, password, service string) {
	t.Helper()
	login := Login{Name: name, Password: password, Service: service, Client: netip.MustParseAddr("192.0.2.7")}
	want := "busy" // and not what the database would say
	if _, err := ParseAppPassword(password); login.impossible() != "" || !errors.Is(err, ErrNotAppPassword) {
		want = "denied"
	}
	withoutCore(t, v, login, want)
	if account, err := v.Find(t.Context(), name); !errors.Is(err, ErrDenied) {
		t.Errorf("Find(%.50q) = %+v, %v", name, account, err)
	}
	for _, ok := range []bool{false, true} { // the counts begin anew
		if err := v.Report(t.Context(), login, ok, "app:"+password); err != nil {
			t.Errorf("Report(%.50q, %.50q, %.50q, %v): %v", name, password, service, ok, err)
		}
	}
	if err := v.Throttled(t.Context(), login); err != nil {
		t.Errorf("Throttled(%.50q, %.50q): %v", name, service, err)
	}
}

func TestHostileText(t *testing.T) {
	t.Parallel()
	v := &Verifier{DB: pgtest.New(t, "authserver_web").Pool} // with nobody in it
	hostile(func(text string) {
		checkLogins(t, v, text, "x", "imap")
		checkLogins(t, v, "alice@example.com", text, "imap")
		checkLogins(t, v, "alice@example.com", "x", text)
	})
}

func FuzzLogin(f *testing.F) {
	db := pgtest.New(f, "authserver_web")
	v := &Verifier{DB: db.Pool}
	hostile(func(text string) { f.Add(text, text) })
	f.Add("alice-a+b@example.com", "imap")
	f.Fuzz(func(t *testing.T, name, service string) {
		login := Login{Name: name, Service: service}
		if err := v.Report(t.Context(), login, false, name); err != nil {
			t.Errorf("Report(%q, %q): %v", name, service, err)
		}
		if _, err := v.Find(t.Context(), name); !errors.Is(err, ErrDenied) {
			t.Errorf("Find(%q): %v", name, err)
		}
		if !isLoginName(name) {
			return
		}
		// What is counted by one name is counted by the name that it became.
		var base string
		var same bool
		if err := db.Owner.QueryRow(t.Context(), `select b, auth.login_hash(b) = auth.login_hash($1) from auth.login_base($1) b`, name).Scan(&base, &same); err != nil || !same {
			t.Errorf("%q is counted as %q, which is counted as another: %v", name, base, err)
		}
		local, _, isAddress := strings.Cut(base, "@")
		if len(base) > len(name) || !utf8.ValidString(base) || isAddress && local != "" && strings.ContainsAny(local[1:], "+-") {
			t.Errorf("%q is counted as %q", name, base)
		}
	})
}

func TestReport(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	app := addAppPassword(t, db, "alice")
	ctx, log := recorded(t.Context())
	for i := range 12 {
		if err := v.Report(ctx, imap("al@example.com", fmt.Sprint("hash ", i)), false, ""); err != nil {
			t.Error(err)
		}
		if got := log.take(); !logged(got, "login.failed", "name=al@example.com", "service=imap", "from=192.0.2.7", "reason=reported") {
			t.Errorf("logged %s", got)
		}
	}
	verify(t, v, imap("al@example.com", right), "throttled")
	for range 12 {
		if err := v.Report(ctx, imap("bob@example.com", "same hash"), false, ""); err != nil {
			t.Error(err)
		}
	}
	if err := v.Throttled(ctx, imap("bob@example.com", "")); err != nil {
		t.Errorf("one wrong password, many times: %v", err)
	}

	if err := v.Report(ctx, imap("al@example.com", ""), true, "app:"+app.ID()); err != nil {
		t.Error(err)
	}
	if err := v.Throttled(ctx, imap("al@example.com", "")); err != nil {
		t.Errorf("after a success: %v", err)
	}
	if got := value[string](t, db, `select concat_ws(' ', ap.last_used_service, ap.last_used_from) from auth.app_passwords ap where ap.last_used_at is not null`); got != "imap 192.0.2.7" {
		t.Errorf("last used: %s", got)
	}

	// Without a service it would be counted for all of them.
	if err := v.Report(ctx, Login{Name: "al@example.com"}, false, ""); err != nil {
		t.Error(err)
	}
	if n := value[int](t, db, `select count(*) from auth.login_throttles t where t.service = '' and t.network <> '::/0'`); n != 0 {
		t.Error("counted without a service")
	}
}

// Logins, reports and the purge at once, over the same and crossing names.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	v, db := newVerifier(t)
	phone := addAppPassword(t, db, "alice")
	names := []string{"al@example.com", "alice-b@example.com", "alice+x@example.com", "bob@example.com", "nobody@example.com"}
	var wg sync.WaitGroup
	var ended atomic.Int32
	for worker := range 16 {
		wg.Go(func() {
			defer ended.Add(1)
			for i := range 40 {
				name := names[(worker+i*(1+worker%2))%len(names)]
				login := Login{Name: name, Password: fmt.Sprint(worker, i), Service: "imap", Client: netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 3)})}
				mac := v.mac(login)
				begun, err := beginLogin(t.Context(), v.DB, login, "", nil, mac, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if begun.Outcome == "verify" {
					_, err = endLogin(t.Context(), v.DB, login, mac, begun.PasswordHash, []string{"wrong", "ok", "abandoned"}[(worker+i)%3])
				}
				_, appErr := v.Verify(t.Context(), imap("al@example.com", phone.Text()))
				if err := errors.Join(err, appErr, v.Report(t.Context(), login, i%2 == 0, "app:"+phone.ID())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for ended.Load() < 16 {
		// Everything is old again, for the purge to find it while it changes.
		arrange(t, db, `with old as (select t.ctid from auth.login_throttles t for update skip locked)
			update auth.login_throttles t set changed_at = now() - interval '1 day' from old where t.ctid = old.ctid`)
		arrange(t, db, `update auth.app_passwords set last_used_at = null`)
		if _, err := db.Exec(t.Context(), `select api.purge_login_throttles()`); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// addThousand fills a database with what an installation of a thousand users
// has.
func addThousand(b *testing.B, db pgtest.DB) {
	for _, sql := range []string{
		`insert into auth.domains (name) values ('example.com')`,
		`insert into auth.login_names (name, kind) select 'user' || n, 'user' from generate_series(1, 1000) n`,
		`insert into auth.users (identifier, full_name) select name, name from auth.login_names`,
		`insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d`,
		`update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id`,
		`insert into auth.groups (name) select 'group' || n from generate_series(1, 10) n`,
		`insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u where (hashtext(u.identifier) + g.id) % 3 = 0`,
		`insert into auth.permissions (permission_name, name) select 'p' || n, '' from generate_series(1, 20) n`,
		`insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p where (g.id + p.id) % 3 = 0`,
		`insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.permissions p, auth.users u where (hashtext(u.identifier) + p.id) % 10 = 0`,
		`analyze auth.domains, auth.users, auth.aliases, auth.groups, auth.group_members, auth.permissions, auth.group_permissions, auth.user_permissions, auth.login_names`,
	} {
		arrange(b, db, sql)
	}
}

// What an app password costs on one connection, with the way there and back.
func BenchmarkVerifyAppPassword(b *testing.B) {
	db := pgtest.New(b, "authserver_web")
	addThousand(b, db)
	conn, err := db.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	v := &Verifier{DB: conn}
	login := imap("user500@example.com", addAppPassword(b, db, "user500").Text())
	for b.Loop() {
		if _, err := v.Verify(b.Context(), login); err != nil {
			b.Fatal(err)
		}
	}
}

// How long the answer to a wrong password takes: the medians in milliseconds,
// for somebody, for nobody, and for those who may not log in.
func BenchmarkDenied(b *testing.B) {
	v, db := newVerifier(b)
	names := []string{"alice@example.com", "nobody@example.com", "gone@example.com", "none@example.com", "alice@nowhere.test"}
	times := make([][]time.Duration, len(names))
	for round := 0; b.Loop(); round++ {
		arrange(b, db, `delete from auth.login_throttles`)
		for i, name := range names { // in turn, for all to meet the same noise
			began := time.Now()
			verify(b, v, imap(name, fmt.Sprint("wrong ", round)), "denied")
			times[i] = append(times[i], time.Since(began))
		}
	}
	for i, name := range names {
		slices.Sort(times[i])
		b.ReportMetric(times[i][len(times[i])/2].Seconds()*1000, name)
	}
}
