package sql_test

import (
	"slices"
	"strings"
	"testing"

	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

// Without a superuser: first with one login that owns everything, as the
// ancestor was run, then with one that has CREATEROLE, then again with the first
// now that the roles exist. Roles belong to the whole cluster, so this test has
// one of its own.
func TestInstallWithoutSuperuser(t *testing.T) {
	t.Parallel()
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	super := connect(t, cluster.URL("postgres", "postgres"))
	exec(t, super, `create role plain login; create role dba login createrole; create role consumer login noinherit`)
	exec(t, super, `create database plain owner plain`)
	exec(t, super, `create database dba owner dba`)
	exec(t, super, `create database trapped owner dba`)
	exec(t, super, `grant create on database trapped to consumer`)

	t.Run("one login owns everything", func(t *testing.T) {
		conn := connect(t, cluster.URL("plain", "plain"))
		for range 2 {
			if err := sql.Migrate(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if err := sql.InstallSPAPI(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		exec(t, conn, mail)
		if err := sql.GrantSPAPI(t.Context(), conn, []string{"consumer"}); err != nil {
			t.Fatal(err)
		}
		consumer := connect(t, cluster.URL("consumer", "plain"))
		if got, want := prepareDeployed(t, consumer)(t), "alice@example.com $6$rounds=1000$abcdefgh$alice"; got[2] != want {
			t.Errorf("got %q, want %q", got[2], want)
		}
		if _, err := consumer.Exec(t.Context(), `select from auth.users`); state(err) != "42501" {
			t.Errorf("a consumer reads tables: %v", err)
		}
	})

	t.Run("CREATEROLE", func(t *testing.T) {
		conn := connect(t, cluster.URL("dba", "dba"))
		for range 2 {
			if err := sql.Init(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if err := sql.Migrate(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if err := sql.InstallSPAPI(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		rows, _ := conn.Query(t.Context(), `
			select distinct r.rolname::text from pg_proc p join pg_roles r on r.oid = p.proowner
			 where p.pronamespace in ('api'::regnamespace, 'auth'::regnamespace, 'public'::regnamespace) order by 1`)
		owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if want := []string{"authserver_owner", "authserver_spapi"}; err != nil || !slices.Equal(owners, want) {
			t.Errorf("functions belong to %q, want %q: %v", owners, want, err)
		}
		// The membership was for the transaction.
		if _, err := conn.Exec(t.Context(), `select from auth.users`); state(err) != "42501" {
			t.Errorf("the login still acts as the owner: %v", err)
		}
	})

	t.Run("one login owns everything, and the roles exist for another database", func(t *testing.T) {
		conn := connect(t, cluster.URL("plain", "plain"))
		exec(t, conn, `update auth.installed set api_digest = 'older'`)
		if err := sql.Migrate(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		// A superuser would leave functions that run as superuser.
		if err := sql.Migrate(t.Context(), connect(t, cluster.URL("postgres", "plain"))); err == nil || !strings.Contains(err.Error(), "plain") {
			t.Errorf("migrated for another owner: %v", err)
		}
	})

	t.Run("somebody else was there first", func(t *testing.T) {
		exec(t, connect(t, cluster.URL("consumer", "trapped")), `create schema api; grant all on schema api to public`)
		if err := sql.Migrate(t.Context(), connect(t, cluster.URL("postgres", "trapped"))); err == nil || !strings.Contains(err.Error(), "consumer") {
			t.Errorf("functions are put where somebody else may replace them: %v", err)
		}
	})
}
