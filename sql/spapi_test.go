package sql_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/account"
	"authbridge/internal/pgtest"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

// calls is every function of the contract, called as a consumer would.
var calls = []string{
	`select * from public.authserver_check_domain('example.com')`,
	`select * from public.authserver_resolve_alias('alice@example.com', true)`,
	`select * from public.authserver_resolve_alias('a-b+c@example.com')`,
	`select * from public.authserver_resolve_alias('svc-alice')`,
	`select * from public.authserver_get_credentials('alice@example.com')`,
	`select * from public.authserver_get_credentials('svc-alice', 'imap')`,
	`select * from public.authserver_iterate_users()`,
	`select * from public.authserver_get_senders('alice@example.com')`,
	`select * from public.authserver_verify('alice@example.com', 'apapp000-0123456-789abcd-efghjkm-npqrstv', 'imap', '192.0.2.1')`,
	`select public.authserver_touch('app000', 'imap', '192.0.2.1')`,
	`select public.authserver_api_version()`,
}

// mail is a domain with a user, enough for every call to find something.
const mail = `
	insert into auth.domains (name) values ('example.com');
	insert into auth.login_names (name, kind) values ('alice', 'user'), ('svc-alice', 'service_user');
	insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$6$rounds=1000$abcdefgh$alice');
	insert into auth.aliases (local_part, domain_id, user_id) select 'alice', d.id, u.id from auth.domains d, auth.users u;
	update auth.users u set delivery_mailbox_id = a.id from auth.aliases a;
	insert into auth.service_users (user_id, username, password_hash) select u.id, 'svc-alice', '$6$rounds=1000$abcdefgh$svc' from auth.users u;
	insert into auth.permissions (permission_name, name) values ('imap', 'IMAP');
	insert into auth.user_permissions (user_id, permission_id) select u.id, p.id from auth.users u, auth.permissions p;`

// login creates a role that may log in, for this test only, and returns its
// name and the URL it logs in with.
func login(t *testing.T, superURL string) (name, url string) {
	t.Helper()
	conn := connect(t, superURL)
	name = "stranger_" + conn.Config().Database
	exec(t, conn, `create role `+name+` login noinherit`)
	t.Cleanup(func() {
		conn := connect(t, superURL)
		exec(t, conn, `drop owned by `+name+`; drop role `+name)
	})
	return name, strings.Replace(superURL, "postgres@", name+"@", 1)
}

func TestSPAPIPublicHasNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	_, url := login(t, db.SuperURL)
	stranger := connect(t, url)
	for _, call := range append(calls,
		`select * from auth.users`, `select * from mailauth_domain`,
		`create temporary table domains (name text)`, `create table public.domains (name text)`) {
		_, err := stranger.Exec(t.Context(), call)
		if got := state(err); got != "42501" && got != "42P01" {
			t.Errorf("%s: SQLSTATE %q, %v", call, got, err)
		}
	}
}

// A login that may call the functions, and may also create temporary objects
// and a schema, tries to have its own code run as their owner. Each trap is an
// object that our functions would run into if they looked where the caller
// looks; a sprung one writes a row.
func TestSPAPITempObjectHijack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	super := connect(t, db.SuperURL)
	exec(t, super, mail)
	name, url := login(t, db.SuperURL)
	exec(t, super, `
		do $$ begin
		  execute format('grant create, temporary on database %I to `+name+`', current_database());
		end $$`)
	if err := sql.GrantSPAPI(t.Context(), super, []string{name}); err != nil {
		t.Fatal(err)
	}

	stranger := connect(t, url)
	exec(t, stranger, `
		create schema evil;
		grant usage on schema evil to public;
		create table evil.sprung (by name, what text);
		grant insert on evil.sprung to public;
		create function evil.spring(what text) returns boolean language plpgsql volatile as
		  $$ begin insert into evil.sprung values (current_user, what); return true; end $$;
		grant execute on function evil.spring(text) to public;

		-- tables and views of the names that our functions read
		create temporary view users as select gen_random_uuid() as id, 'x' as password_hash, 1 as delivery_mailbox_id, true as active, evil.spring('view users') as trap;
		create temporary view domains as select 1 as id, 'example.com' as name, null as redirect_to where evil.spring('view domains');
		create temporary table aliases (id bigint, local_part text);
		create view evil.users as select gen_random_uuid() as id, 'x' as password_hash where evil.spring('evil.users');
		create view evil.domains as select 1 as id, 'example.com' as name where evil.spring('evil.domains');
		grant select on pg_temp.users, pg_temp.domains, pg_temp.aliases, evil.users, evil.domains to public;

		-- functions that they call
		create function evil.lower(text) returns text language sql as $$ select case when evil.spring('lower') then $1 end $$;
		create function evil.strpos(text, text) returns int language sql as $$ select case when evil.spring('strpos') then 1 end $$;
		create function evil.strpos(varchar, text) returns int language sql as $$ select case when evil.spring('strpos') then 1 end $$;
		create function evil.sha256(bytea) returns bytea language sql as $$ select case when evil.spring('sha256') then $1 end $$;
		create function pg_temp.lower(text) returns text language sql as $$ select case when evil.spring('pg_temp.lower') then $1 end $$;

		-- operators, better matches than the built-in ones for varchar
		create function evil.eq(text, varchar) returns boolean language sql as $$ select evil.spring('operator =') $$;
		create function evil.eq(varchar, varchar) returns boolean language sql as $$ select evil.spring('operator =') $$;
		create function evil.cat(text, text) returns text language sql as $$ select case when evil.spring('operator ||') then '' end $$;
		create operator evil.= (leftarg = text, rightarg = varchar, function = evil.eq);
		create operator evil.= (leftarg = varchar, rightarg = varchar, function = evil.eq);
		create operator evil.|| (leftarg = text, rightarg = text, function = evil.cat);

		-- types
		create domain evil.text as pg_catalog.text check (evil.spring('type text'));
		create domain evil.inet as pg_catalog.inet check (evil.spring('type inet'));
		create domain pg_temp.inet as pg_catalog.inet check (evil.spring('type pg_temp.inet'));
		create type pg_temp.varchar as (x int);

		set search_path = pg_temp, evil, public, pg_catalog;

		-- settings that change what a function's text means
		set standard_conforming_strings = off;
		set transform_null_equals = on`)

	for _, call := range calls {
		if _, err := stranger.Exec(t.Context(), call, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	var found string
	if err := stranger.QueryRow(t.Context(), `select primary_alias from public.authserver_get_credentials('alice@example.com')`).
		Scan(&found); err != nil || found != "alice@example.com" {
		t.Errorf("the true answer is lost: %q, %v", found, err)
	}
	rows, _ := super.Query(t.Context(), `select s.by || ' ran ' || s.what from evil.sprung s`)
	if sprung, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(sprung) > 0 {
		t.Errorf("traps were sprung: %v, %v", sprung, err)
	}

	// The traps work: whoever does look there runs into them.
	if _, err := stranger.Exec(t.Context(), `select * from domains`); err != nil {
		t.Fatal(err)
	}
	var sprung int
	if err := super.QueryRow(t.Context(), `select count(*) from evil.sprung`).Scan(&sprung); err != nil || sprung == 0 {
		t.Errorf("the traps of this test spring for nobody: %v", err)
	}
	exec(t, stranger, `drop schema evil cascade`)
}

// What an administrator has granted or revoked stays so when the functions are
// installed again, and PUBLIC gets nothing.
func TestSPAPIReinstallKeepsGrants(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	super := connect(t, db.SuperURL)
	name, _ := login(t, db.SuperURL)
	if granted, err := sql.SPAPIGranted(t.Context(), super, name); err != nil || granted {
		t.Fatalf("granted before the grant: %v", err)
	}
	if err := sql.GrantSPAPI(t.Context(), super, []string{name}); err != nil {
		t.Fatal(err)
	}
	if err := sql.InstallSPAPI(t.Context(), super); err != nil {
		t.Fatal(err)
	}
	if granted, err := sql.SPAPIGranted(t.Context(), super, name); err != nil || !granted {
		t.Errorf("the grant is lost: %v", err)
	}
	if err := sql.RevokeSPAPI(t.Context(), super, []string{name}); err != nil {
		t.Fatal(err)
	}
	if err := sql.InstallSPAPI(t.Context(), super); err != nil {
		t.Fatal(err)
	}
	if granted, err := sql.SPAPIGranted(t.Context(), super, name); err != nil || granted {
		t.Errorf("the revoke is undone: %v", err)
	}
	var public bool
	if err := super.QueryRow(t.Context(), `select has_function_privilege('public', 'public.authserver_get_credentials(varchar)', 'execute')`).
		Scan(&public); err != nil || public {
		t.Errorf("PUBLIC may read hashes: %v", err)
	}
	if _, err := sql.SPAPIGranted(t.Context(), super, "no such login"); err == nil {
		t.Error("a login that does not exist has been looked up")
	}
	if err := sql.GrantSPAPI(t.Context(), super, []string{`"; drop table auth.users; --`}); err == nil {
		t.Error("granted to a login that does not exist")
	}
}

// The queries of the deployed configurations, prepared once, answer the same
// after every function was replaced.
func TestPreparedStatementsSurviveUpgrade(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	super := connect(t, db.SuperURL)
	exec(t, super, mail)
	name, url := login(t, db.SuperURL)
	if err := sql.GrantSPAPI(t.Context(), super, []string{name}); err != nil {
		t.Fatal(err)
	}
	ask := prepareDeployed(t, connect(t, url))
	before := ask(t)
	want := []string{"virtmail", "example.com", "alice@example.com $6$rounds=1000$abcdefgh$alice"}
	if !slices.Equal(before, want) {
		t.Errorf("got %q, want %q", before, want)
	}

	exec(t, super, `update auth.installed set api_digest = 'older'`)
	if err := sql.Migrate(t.Context(), super); err != nil {
		t.Fatal(err)
	}
	if after := ask(t); !slices.Equal(after, before) {
		t.Errorf("after the upgrade %q, before %q", after, before)
	}
}

// prepareDeployed prepares what the mail servers of the ancestor's deployment
// prepare, and returns a function that asks them about alice.
func prepareDeployed(t *testing.T, conn *pgx.Conn) func(t *testing.T) []string {
	t.Helper()
	for name, query := range map[string]string{
		"alias":  `SELECT * FROM authserver_resolve_alias($1, TRUE)`,
		"domain": `SELECT * FROM authserver_check_domain($1)`,
		"credentials": `SELECT creds.primary_alias AS user, creds.password AS password
			FROM authserver_resolve_alias($1, FALSE) AS res, authserver_get_credentials(res.alias) AS creds`,
		"permitted": `SELECT creds.primary_alias AS user, creds.password AS password
			FROM authserver_resolve_alias($1, FALSE) AS res, authserver_get_credentials(res.alias, 'imap') AS creds`,
	} {
		if _, err := conn.Prepare(t.Context(), name, query); err != nil {
			t.Fatal(err)
		}
	}
	return func(t *testing.T) []string {
		t.Helper()
		var alias, domain, user, password, permitted string
		if err := errors.Join(
			conn.QueryRow(t.Context(), "alias", "alice@example.com").Scan(&alias),
			conn.QueryRow(t.Context(), "domain", "example.com").Scan(&domain),
			conn.QueryRow(t.Context(), "credentials", "alice@example.com").Scan(&user, &password),
			conn.QueryRow(t.Context(), "permitted", "alice@example.com").Scan(&permitted, nil),
		); err != nil {
			t.Fatal(err)
		}
		if permitted != user {
			t.Errorf("with a permission %q logs in, without one %q", permitted, user)
		}
		return []string{alias, domain, user + " " + password}
	}
}

var arranging sync.Mutex

// ancestor returns a superuser's connection to a migrated database that also
// holds the Python authserver's tables and functions.
func ancestor(t *testing.T) *pgx.Conn {
	t.Helper()
	arranging.Lock() // the script creates roles, which belong to the whole cluster
	defer arranging.Unlock()
	super := connect(t, pgtest.NewEmpty(t))
	text, err := os.ReadFile("testdata/ancestor.sql")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, super, string(text))
	if err := errors.Join(sql.Init(t.Context(), super), sql.Migrate(t.Context(), super)); err != nil {
		t.Fatal(err)
	}
	exec(t, super, mail)
	return super
}

func TestInstallRefusesForeignFunctions(t *testing.T) {
	t.Parallel()
	super := ancestor(t)
	var foreign *sql.ForeignSPAPIError
	if err := sql.InstallSPAPI(t.Context(), super); !errors.As(err, &foreign) || len(foreign.Functions) != 7 {
		t.Fatalf("installed over the functions of another system: %v", err)
	}
	if !strings.Contains(foreign.Error(), "authserver_get_alias") || !strings.Contains(foreign.Error(), "of authserver") {
		t.Errorf("the error does not name function and owner: %v", foreign)
	}
	if installed, err := sql.SPAPIInstalled(t.Context(), super); err != nil || installed {
		t.Errorf("the ancestor's functions count as ours: %v", err)
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	super := ancestor(t)
	name, url := login(t, super.Config().ConnString())
	exec(t, super, `
		grant execute on function authserver_get_credentials(varchar), authserver_resolve_alias(varchar, boolean) to "dovecot-authserver";
		grant execute on function authserver_check_domain(varchar), authserver_get_alias(varchar, varchar) to "opensmtpd-authserver"`)
	ask := prepareDeployed(t, connect(t, url)) // by the right that PUBLIC has
	ask(t)

	consumers, err := sql.TakeOverSPAPI(t.Context(), super, []string{name}, false)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(consumers)
	if want := []string{"dovecot-authserver", "opensmtpd-authserver", name}; !slices.Equal(consumers, want) {
		t.Errorf("consumers are %q, want %q", consumers, want)
	}
	for _, consumer := range []string{"dovecot-authserver", name} {
		if granted, err := sql.SPAPIGranted(t.Context(), super, consumer); err != nil || !granted {
			t.Errorf("%s has lost its access: %v", consumer, err)
		}
	}
	var domains, hashes bool
	if err := super.QueryRow(t.Context(), `
		select has_function_privilege('opensmtpd-authserver', 'authserver_check_domain(varchar)', 'execute'),
		       has_function_privilege('opensmtpd-authserver', 'authserver_get_credentials(varchar)', 'execute')`).
		Scan(&domains, &hashes); err != nil || !domains || hashes {
		t.Errorf("a login that could ask for domains only: for domains %v, for hashes %v, %v", domains, hashes, err)
	}
	var recorded []string
	if err := super.QueryRow(t.Context(), `select array_agg(a.object order by a.object) from auth.audit a where a.action = 'spapi.grant'`).
		Scan(&recorded); err != nil || !slices.Equal(recorded, []string{"dovecot-authserver", "opensmtpd-authserver", name}) {
		t.Errorf("the audit trail has grants to %q, %v", recorded, err)
	}
	want := []string{"virtmail", "example.com", "alice@example.com $6$rounds=1000$abcdefgh$alice"}
	if got := ask(t); !slices.Equal(got, want) {
		t.Errorf("prepared before the take-over, answered after it: %q, want %q", got, want)
	}

	var left int
	if err := super.QueryRow(t.Context(), `
		select count(*) from pg_proc p
		 where p.pronamespace = 'public'::regnamespace and p.prosecdef and p.proowner = 'authserver'::regrole`).
		Scan(&left); err != nil || left != 0 {
		t.Errorf("%d functions still run as the old owner: %v", left, err)
	}
	if installed, err := sql.SPAPIInstalled(t.Context(), super); err != nil || !installed {
		t.Errorf("not installed: %v", err)
	}
	if err := sql.InstallSPAPI(t.Context(), super); err != nil {
		t.Errorf("installing again: %v", err)
	}
}

// A take-over that would leave the mail servers outside, or the door open, does
// not happen.
func TestTakeOverRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		arrange string
		grant   []string
		want    string
	}{
		"without a consumer":              {``, nil, "--grant"},
		"with one that does not exist":    {``, []string{"no-such-login"}, "no-such-login"},
		"while PUBLIC may create objects": {`do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$`, []string{"dovecot-authserver"}, "temporary"},
		"while a view depends on them":    {`create view public.domains as select * from public.authserver_check_domain('example.com')`, []string{"dovecot-authserver"}, "depend"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			super := ancestor(t)
			exec(t, super, tt.arrange)
			_, err := sql.TakeOverSPAPI(t.Context(), super, tt.grant, false)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("took over: %v", err)
			}
			var left int
			if err := super.QueryRow(t.Context(), `select count(*) from pg_proc p where p.proowner = 'authserver'::regrole and p.pronamespace = 'public'::regnamespace`).
				Scan(&left); err != nil || left != 7 {
				t.Errorf("%d of the 7 old functions are left: %v", left, err)
			}
		})
	}
}

// The owner of the old functions may be a role that logins only act as, and
// inherit nothing from.
func TestTakeOverAsRole(t *testing.T) {
	t.Parallel()
	super := ancestor(t)
	name, url := login(t, super.Config().ConnString())
	exec(t, super, `grant authserver, authserver_owner to `+name+`; grant connect on database `+super.Config().Database+` to `+name)
	conn := connect(t, url+"&role=authserver")
	exec(t, super, `grant authserver_owner to authserver`)
	t.Cleanup(func() {
		exec(t, connect(t, super.Config().ConnString()), `revoke authserver_owner from authserver`)
	})
	if _, err := sql.TakeOverSPAPI(t.Context(), conn, []string{"dovecot-authserver"}, false); err != nil {
		t.Error(err)
	}
}

// Grants are changes like any other.
func TestGrantsAreInTheAuditTrail(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	super := connect(t, db.SuperURL)
	name, _ := login(t, db.SuperURL)
	for range 2 { // the second changes nothing
		if err := sql.GrantSPAPI(t.Context(), super, []string{name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sql.RevokeSPAPI(t.Context(), super, []string{name}); err != nil {
		t.Fatal(err)
	}
	rows, _ := super.Query(t.Context(), `
		select a.action || ' ' || jsonb_array_length(a.before -> 'functions') || ' ' || jsonb_array_length(a.after -> 'functions')
		  from auth.audit a where a.object = $1 order by a.id`, name)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if want := []string{"spapi.grant 0 9", "spapi.revoke 9 0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: %v", got, want, err)
	}
}

// Whatever Go calls verifiable leaves through SQL, and what Go finds too costly
// or not a hash does not.
func TestCryptVerifiesAsGoDoes(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	sha := func(method, rounds string, n int) string {
		return "$" + method + "$" + rounds + "abcdefgh$" + strings.Repeat("x", n)
	}
	bcrypt := func(cost string) string { return "$2b$" + cost + "$" + strings.Repeat(".", 53) }
	yescrypt := func(parameters string) string {
		return "$y$j" + parameters + "$" + strings.Repeat(".", 22) + "$" + strings.Repeat(".", 43)
	}
	hashes := []string{
		sha("5", "", 43), sha("6", "", 86), sha("6", "rounds=1000$", 86), sha("5", "rounds=1070000$", 43),
		sha("6", "rounds=2000000$", 86), sha("6", "rounds=2000001$", 86), sha("6", "rounds=999999999$", 86),
		sha("6", "rounds=999$", 86), sha("6", "rounds=01000$", 86), sha("7", "", 86), sha("1", "", 22),
		bcrypt("03"), bcrypt("04"), bcrypt("12"), bcrypt("14"), bcrypt("15"), bcrypt("31"), bcrypt("99"), bcrypt("1"),
		yescrypt("9T"), "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21l$" + strings.Repeat("A", 43),
		"", "!", "*", "!" + sha("6", "", 86), "{SSHA}" + strings.Repeat("A", 32), "pbkdf2_sha256$1000$salt$" + strings.Repeat("A", 43) + "=",
		"$5$x", "$y$", "$2b$12$short", sha("6", "", 86) + "\n", sha("6", "", 86) + ":", "alice",
	}
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, n := range digits {
		for _, r := range digits {
			hashes = append(hashes, yescrypt(string(n)+string(r)))
		}
	}
	verifiable := 0
	for _, hash := range hashes {
		var inSQL bool
		if err := db.Owner.QueryRow(t.Context(), `select auth.crypt_verifies($1)`, hash).Scan(&inSQL); err != nil {
			t.Fatal(err)
		}
		inGo := account.CryptVerifiable(hash)
		if inGo != inSQL {
			t.Errorf("%q is verifiable in Go: %v, in SQL: %v", hash, inGo, inSQL)
		}
		if inGo {
			verifiable++
		}
	}
	if verifiable < 10 {
		t.Errorf("only %d of the hashes are verifiable", verifiable)
	}
}
