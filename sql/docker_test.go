package sql_test

import (
	"context"
	"testing"

	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

const registries = `
	insert into auth.domains (name) values ('example.com');
	insert into auth.docker_registries (client_id, name, domain_id) select n, n, d.id from auth.domains d, unnest(array['one', 'two']) n;
	insert into auth.login_names (name, kind) values ('alice', 'user'), ('svc', 'service_user');
	insert into auth.users (identifier, full_name, password_hash, staff) values ('alice', 'Alice', '$y$old', true);
	insert into auth.service_users (user_id, username, password_hash) select u.id, 'svc', '$y$old' from auth.users u`

// A refresh token is made while the password that it is bound to gets another
// hash, or is replaced: whoever comes second sees what the first has done, so
// that no token is lost by the one, nor outlives the other.
func TestRefreshTokenAndPasswordAtOnce(t *testing.T) {
	t.Parallel()
	for name, as := range map[string]string{"user": "null", "service user": "'svc'"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, "authserver_web")
			first, second := connect(t, db.URL), connect(t, db.URL)
			exec(t, connect(t, db.OwnerURL), registries)
			var alice string
			if err := db.Owner.QueryRow(t.Context(), `select u.id::text from auth.users u`).Scan(&alice); err != nil {
				t.Fatal(err)
			}
			login := as
			if as == "null" {
				login = "'alice'"
			}
			create := `select api.create_docker_refresh_token(sha256('token'), 'one', '` + alice + `', ` + login + `, ` + as + `, null, sha256('$y$old'), 'docker', null)`
			rehash := `select api.rehash_password('` + alice + `', ` + as + `, '$y$old', '$y$new')::text`
			answer := func(conn *pgx.Conn, statement string) string {
				t.Helper()
				var got string
				if err := conn.QueryRow(t.Context(), statement).Scan(&got); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
				return got
			}
			waits := func(statement string) {
				t.Helper()
				exec(t, second, `set lock_timeout = '50ms'`)
				if _, err := second.Exec(t.Context(), statement); state(err) != "55P03" { // lock_not_available
					t.Fatalf("%s did not wait: %v", statement, err)
				}
				exec(t, second, `set lock_timeout = '10s'`)
			}

			exec(t, first, `begin`)
			if got := answer(first, create); got != "ok" {
				t.Fatalf("create: %s", got)
			}
			waits(rehash)
			exec(t, first, `commit`)
			answer(second, rehash)
			if got := answer(first, `select u.outcome from api.use_docker_refresh_token(sha256('token'), 'one', null) u`); got != "ok" {
				t.Errorf("a token that was made just before the new hash is %s", got)
			}

			exec(t, connect(t, db.OwnerURL), `delete from auth.docker_refresh_tokens;
				update auth.users set password_hash = '$y$old'; update auth.service_users set password_hash = '$y$old'`)
			exec(t, first, `begin`)
			answer(first, rehash)
			waits(create)
			exec(t, first, `commit`)
			if got := answer(second, create); got != "gone" {
				t.Errorf("a token for a hash that has just gone: %s", got)
			}
		})
	}
}

// Two operators give two registries the same name: one of them is told.
func TestRegistriesOfOneNameAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	first, second := connect(t, db.URL), connect(t, db.URL)
	exec(t, connect(t, db.OwnerURL), registries)
	rename := func(ctx context.Context, conn *pgx.Conn, clientID string) (outcome string, err error) {
		err = conn.QueryRow(ctx, `select api.edit_docker_registry(f.id, 'Main', null, null, null, null, null, null)
			from api.find_docker_registries(array[$1::text]) f`, clientID).Scan(&outcome)
		return outcome, err
	}

	exec(t, first, `begin`)
	if got, err := rename(t.Context(), first, "one"); err != nil || got != "ok" {
		t.Fatalf("%s, %v", got, err)
	}
	answered := make(chan string)
	go func() {
		got, err := rename(t.Context(), second, "two")
		if err != nil {
			got = err.Error()
		}
		answered <- got
	}()
	waitForLock(t, db)
	exec(t, first, `commit`)
	if got := <-answered; got != "name_exists" {
		t.Errorf("the second got %s", got)
	}
}

// waitForLock returns once somebody waits for a lock in this database.
func waitForLock(t *testing.T, db pgtest.DB) {
	t.Helper()
	for range 1000 {
		var waiting bool
		if err := db.Owner.QueryRow(t.Context(), `
			select exists (select from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database())
			  from pg_sleep(0.01)`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
	t.Fatal("nobody waits")
}
