package sql_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

// A client with a user who has signed in: the session's secret is "cookie".
const relyingParty = `
	insert into auth.domains (name) values ('example.com');
	insert into auth.login_names (name, kind) values ('alice', 'user');
	insert into auth.users (identifier, full_name, password_hash) values ('alice', 'Alice', '$y$alice');
	insert into auth.aliases (local_part, domain_id, user_id) select 'alice', d.id, u.id from auth.domains d, auth.users u;
	update auth.users u set delivery_mailbox_id = a.id from auth.aliases a;
	insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, trusted)
	values ('wiki', 'Wiki', 'confidential', 'client_secret_basic', '{authorization_code,refresh_token}', true);
	select api.start_session(sha256('cookie'), null, u.id, null, sha256('$y$alice'), '{pwd}', '1', '12 hours', '14 days', null, '') from auth.users u`

// authorize makes a grant whose code is hashed from the name.
func authorize(t *testing.T, conn *pgx.Conn, code string) {
	t.Helper()
	if got := query(t, conn, `
		select a.outcome
		  from api.authorize(sha256('cookie'), 'wiki', '{openid,profile}', '{}', null, null, null, null, null, null, null, 'remembered', sha256($1::text::bytea), null) a`,
		code); got != "ok" {
		t.Fatalf("authorize: %s", got)
	}
}

// query returns the one text that a query has.
func query(t *testing.T, conn *pgx.Conn, statement string, args ...any) (got string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), statement, args...).Scan(&got); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
	return got
}

// race runs the statement on all connections at once, and returns how often
// which text came out.
func race(t *testing.T, conns []*pgx.Conn, statement string, args ...any) map[string]int {
	t.Helper()
	got := make([]string, len(conns))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, conn := range conns {
		wg.Go(func() {
			<-start
			got[i] = query(t, conn, statement, args...)
		})
	}
	close(start)
	wg.Wait()
	outcomes := map[string]int{}
	for _, g := range got {
		outcomes[g]++
	}
	return outcomes
}

const racers = 16

// racing returns a database with the relying party, and connections to it that
// have their plans.
func racing(t *testing.T) (db pgtest.DB, conns []*pgx.Conn) {
	t.Helper()
	db = pgtest.New(t, "authserver_web")
	exec(t, connect(t, db.OwnerURL), relyingParty)
	for range racers {
		conn := connect(t, db.URL)
		query(t, conn, redeem, "nothing")
		query(t, conn, rotate, "nothing", 0)
		conns = append(conns, conn)
	}
	return db, conns
}

// The family of refresh tokens of a code, and the secrets in it, are hashed from
// the code, too.
const (
	redeem = `
		select r.outcome
		  from api.redeem_code(sha256($1::text::bytea), 'wiki', null, null, md5($1)::uuid, sha256(($1 || 0)::bytea), null, null) r`
	rotate = `
		select r.outcome || coalesce(' ' || r.generation, '')
		  from api.rotate_refresh_token(md5($1::text)::uuid, $2::int, sha256(($1 || $2)::bytea), sha256(($1 || $2 + 1)::bytea), 'wiki', null, null, '10 s', null, null) r`
)

// Many requests race for one code: one wins, the rest are replays, which revoke
// what the winner got.
func TestRedeemCodeRace(t *testing.T) {
	t.Parallel()
	db, conns := racing(t)
	for i := range 25 {
		code := fmt.Sprint("code", i)
		authorize(t, conns[0], code)
		if got, want := race(t, conns, redeem, code), map[string]int{"ok": 1, "replayed": racers - 1}; !maps.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		if got := query(t, conns[0], rotate, code, 0); got != "revoked" {
			t.Fatalf("the winner's refresh token is %s", got)
		}
	}
	owner := connect(t, db.OwnerURL)
	if got := query(t, owner, `
		select format('%s grants, %s families, revoked %s times, %s', count(*), (select count(*) from auth.oauth2_refresh_tokens),
		              (select count(*) from auth.audit a where a.action = 'oauth2_grant.revoke'), string_agg(distinct g.revoked_reason, ','))
		  from auth.oauth2_grants g`); got != "25 grants, 25 families, revoked 25 times, code replayed" {
		t.Error(got)
	}
}

// Many requests race with one refresh token: each gets the one successor, and
// the grant goes on. Those who come with what is older end it.
func TestRotateRefreshTokenRace(t *testing.T) {
	t.Parallel()
	db, conns := racing(t)
	authorize(t, conns[0], "code")
	if got := query(t, conns[0], redeem, "code"); got != "ok" {
		t.Fatal(got)
	}
	for generation := range 25 {
		want := map[string]int{fmt.Sprint("ok ", generation+1): racers}
		if got := race(t, conns, rotate, "code", generation); !maps.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	owner := connect(t, db.OwnerURL)
	if got := query(t, owner, `
		select format('generation %s, %s', t.generation, (t.secret_hash, t.previous_hash) = (sha256('code25'), sha256('code24')))
		  from auth.oauth2_refresh_tokens t join auth.oauth2_grants g on g.id = t.grant_id and g.revoked_at is null`); got != "generation 25, t" {
		t.Error(got)
	}
	if got, want := race(t, conns, rotate, "code", 23), map[string]int{"replayed": racers}; !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if got := query(t, conns[0], rotate, "code", 25); got != "revoked" {
		t.Errorf("after a replay the current one is %s", got)
	}
}

// Without a grace there is one winner, and the others end the grant.
func TestRotateRefreshTokenRaceWithoutGrace(t *testing.T) {
	t.Parallel()
	_, conns := racing(t)
	authorize(t, conns[0], "code")
	if got := query(t, conns[0], redeem, "code"); got != "ok" {
		t.Fatal(got)
	}
	got := race(t, conns, `
		select r.outcome
		  from api.rotate_refresh_token(md5($1::text)::uuid, 0, sha256(($1 || 0)::bytea), sha256(($1 || 1)::bytea), 'wiki', null, null, '-1 hour', null, null) r`, "code")
	if want := map[string]int{"ok": 1, "replayed": racers - 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// One assertion proves a client once.
func TestSpendAssertionRace(t *testing.T) {
	t.Parallel()
	_, conns := racing(t)
	for i := range 25 {
		got := race(t, conns, `select api.spend_client_assertion('wiki', sha256($1::text::bytea), now() + interval '1 min')::text`, fmt.Sprint(i))
		if want := map[string]int{"true": 1, "false": racers - 1}; !maps.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// While what a grant stands on is taken away, grants are made, or not; none
// outlives it.
func TestAuthorizeRace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ arrange, take, refused string }{
		"signing out": {
			`select api.start_session(sha256('cookie'), sha256('cookie'), u.id, null, sha256('$y$alice'), '{pwd}', '1', '12 hours', '14 days', null, '') from auth.users u`,
			`select e.outcome from api.end_session(sha256('cookie')) e`,
			"login_required"},
		"revoking consent": {
			`update auth.oauth2_clients set trusted = false;
			 insert into auth.oauth2_consents (user_id, client_id, scope) select u.id, c.id, '{openid}' from auth.users u, auth.oauth2_clients c`,
			`select r.outcome from auth.users u, api.revoke_oauth2_consent(u.id, 'wiki', false) r`,
			"consent_required"},
		"a new password": {
			`update auth.users set password_hash = '$y$alice';
			 select api.start_session(sha256('cookie'), sha256('cookie'), u.id, null, sha256('$y$alice'), '{pwd}', '1', '12 hours', '14 days', null, '') from auth.users u`,
			`select e.outcome from api.edit_users(array(select u.id from auth.users u), null, null, '$y$new', null, null, null) e`,
			"login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, conns := racing(t)
			owner := connect(t, db.OwnerURL)
			for i := range 25 {
				exec(t, owner, tt.arrange)
				taken := make(chan string, 1)
				go func() { taken <- query(t, owner, tt.take) }()
				got := race(t, conns, `
					select a.outcome
					  from api.authorize(sha256('cookie'), 'wiki', '{openid}', '{}', null, null, null, null, null, null, null, 'remembered', sha256(uuid_send(gen_random_uuid())), null) a`)
				if outcome := <-taken; outcome != "ok" {
					t.Fatal(outcome)
				}
				if got["ok"]+got[tt.refused] != racers {
					t.Fatalf("%v", got)
				}
				if left := query(t, owner, `select count(*)::text from auth.oauth2_grants g where g.revoked_at is null`); left != "0" {
					t.Fatalf("round %d: %s grants go on: %v", i, left, got)
				}
			}
		})
	}
}

// The use of a refresh token is one row written in place: what the disks and
// the standbys have to do for it.
func TestRotateRefreshTokenWAL(t *testing.T) {
	t.Parallel()
	db, conns := racing(t)
	conn := conns[0]
	authorize(t, conn, "code")
	if got := query(t, conn, redeem, "code"); got != "ok" {
		t.Fatal(got)
	}
	// The least of several: others write in the same cluster, and the first
	// change of a page after a checkpoint writes all of it.
	least := 1 << 30
	owner := connect(t, db.OwnerURL)
	for generation := range 20 {
		before := query(t, owner, `select pg_current_wal_insert_lsn()::text`)
		if got := query(t, conn, rotate, "code", generation); got != fmt.Sprint("ok ", generation+1) {
			t.Fatal(got)
		}
		var n int
		if err := owner.QueryRow(t.Context(), `select (pg_current_wal_insert_lsn() - $1::text::pg_lsn)::int`, before).Scan(&n); err != nil {
			t.Fatal(err)
		}
		least = min(least, n)
	}
	t.Logf("%d bytes", least)
	if least > 500 {
		t.Errorf("a rotation writes %d bytes of WAL", least)
	}
}

// Whoever ends sessions locks their user first, as whoever changes the user does:
// signing out and a new password at once would else wait for each other, and one
// of them fail.
func TestEndSessionLocksUserFirst(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"signing out":             `select (api.end_session(sha256('cookie'))).outcome`,
		"another user signing in": `select (api.start_session(sha256('other'), sha256('cookie'), u.id, null, sha256('$y$bob'), '{pwd}', '1', '1 h', '1 h', null, '')).outcome from auth.users u where u.identifier = 'bob'`,
		"consent that is revoked": `select (api.revoke_oauth2_consent(u.id, 'wiki', false)).outcome from auth.users u where u.identifier = 'alice'`,
		"grants that are revoked": `select (api.revoke_oauth2_grants(u.id, null, 'x', false)).revoked::text from auth.users u where u.identifier = 'alice'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, "authserver_web")
			change, end := connect(t, db.OwnerURL), connect(t, db.OwnerURL)
			exec(t, change, relyingParty)
			exec(t, change, `
				insert into auth.login_names (name, kind) values ('bob', 'user');
				insert into auth.users (identifier, full_name, password_hash) values ('bob', 'Bob', '$y$bob');`)
			authorize(t, change, "code")
			exec(t, change, `begin; select from auth.users u where u.identifier = 'alice' for update`)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				query(t, end, statement)
			}()
			waitForLock(t, db)
			exec(t, change, `select from auth.sessions for update nowait; select from auth.oauth2_grants for update nowait; commit`)
			<-ended
		})
	}
}

// Any number of servers tidy up at once: everything goes once, and nobody waits
// or fails because of another.
func TestPurgeRace(t *testing.T) {
	t.Parallel()
	db, conns := racing(t)
	const sessions, grants = 3000, 3000
	owner := connect(t, db.OwnerURL)
	exec(t, owner, fmt.Sprintf(`
		insert into auth.sessions (secret_hash, user_id, auth_time, amr, acr, idle_timeout, expires_at)
		select sha256(i::text::bytea), u.id, now(), '{pwd}', '1', interval '1 hour', now() from auth.users u, generate_series(1, %d) i;
		insert into auth.oauth2_grants (client_id, user_id, grant_type, scope, auth_time, amr, acr, code_hash, code_expires_at, expires_at)
		select c.id, u.id, 'authorization_code', '{openid}', now(), '{pwd}', '1', sha256(i::text::bytea), now(), now()
		  from auth.oauth2_clients c, auth.users u, generate_series(1, %d) i`, sessions, grants))
	for _, purge := range []struct {
		call string
		want int
	}{{`select api.purge_sessions(100)::text`, sessions}, {`select api.purge_oauth2(100)::text`, grants}} {
		removed := 0
		for {
			now := 0
			for text, times := range race(t, conns, purge.call) {
				var n int
				if _, err := fmt.Sscan(text, &n); err != nil || n > 100 {
					t.Fatalf("%s: %q", purge.call, text)
				}
				now += n * times
			}
			if removed += now; now == 0 {
				break
			}
		}
		if removed != purge.want {
			t.Errorf("%s removed %d, want %d", purge.call, removed, purge.want)
		}
	}
	if left := query(t, owner, `select (select count(*) from auth.sessions) || ' ' || (select count(*) from auth.oauth2_grants)`); left != "1 0" {
		t.Errorf("left: %s, want the one session that goes on", left)
	}
}
