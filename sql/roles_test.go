package sql_test

import (
	"testing"

	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

var runtimeRoles = []string{"authserver_admin", "authserver_web", "authserver_dkimsigner", "authserver_mailforwarder"}

// Somebody who has stolen the login of a program tries to become more.
func TestRuntimeRolesStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	attempts := map[string]string{
		"becomes the owner":                         `set role authserver_owner`,
		"becomes the owner of the public functions": `set role authserver_spapi`,
		"becomes the command line":                  `set session authorization authserver_admin`,
		"makes itself superuser":                    `alter role current_user superuser`,
		"makes itself a member of the owner":        `grant authserver_owner to current_user`,
		"reads users":                               `select from auth.users`,
		"reads one column":                          `select password_hash from auth.users`,
		"reads keys":                                `select from auth.keys`,
		"reads the audit trail":                     `select from auth.audit`,
		"empties the audit trail":                   `delete from auth.audit`,
		"writes users":                              `update auth.users set staff = true`,
		"creates a table in public":                 `create table public.t ()`,
		"creates a table in auth":                   `create table auth.t ()`,
		"creates a function in api":                 `create function api.f() returns int language sql as 'select 1'`,
		"replaces a function":                       `create or replace function public.authserver_api_version() returns int language sql as 'select 666'`,
		"unpins a function":                         `alter function public.authserver_api_version() reset search_path`,
		"creates a temporary table":                 `create temporary table users ()`,
		"creates a schema":                          `create schema mine`,
		"reads a file":                              `copy (select 1) to program 'true'`,
		"calls a private function":                  `select auth.find_user('alice')`,
		"writes a false audit row":                  `select auth.record('user.create', 'x', null, null)`,
		"calls the public functions":                `select public.authserver_get_credentials('alice@example.com')`,
	}
	for _, role := range runtimeRoles {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, role)
			conn := connect(t, db.URL)
			for what, statement := range attempts {
				if role == "authserver_admin" && what == "becomes the command line" {
					continue // it is
				}
				_, err := conn.Exec(t.Context(), statement)
				if got := state(err); got != "42501" { // insufficient_privilege
					t.Errorf("%s %s: SQLSTATE %q, %v", role, what, got, err)
				}
			}

			// Passing on what one may not pass on is a warning only.
			var public bool
			if _, err := conn.Exec(t.Context(), `grant execute on function api.schema_version() to public`); err != nil {
				t.Error(err)
			}
			if err := conn.QueryRow(t.Context(), `select has_function_privilege('public', 'api.schema_version()', 'execute')`).Scan(&public); err != nil || public {
				t.Errorf("%s opens a function to everybody: %v", role, err)
			}

			// What each may is listed in grants.sql: nobody but the command
			// line makes users.
			_, err := conn.Exec(t.Context(), `select api.create_user('mallory', '', null, true)`)
			if role == "authserver_admin" {
				if err != nil {
					t.Errorf("authserver_admin cannot create a user: %v", err)
				}
			} else if got := state(err); got != "42501" {
				t.Errorf("%s creates a user: SQLSTATE %q, %v", role, got, err)
			}
			var version int
			if err := conn.QueryRow(t.Context(), `select api.schema_version()`).Scan(&version); err != nil {
				t.Errorf("%s cannot ask for the schema version: %v", role, err)
			}
		})
	}
}

// Nobody who can log in is a member of anything, nor owns anything.
func TestRolesOwnNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	rows, _ := db.Query(t.Context(), `
		select r.rolname::text
		  from pg_roles r
		 where r.rolname = any ($1)
		   and (r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls or not r.rolcanlogin
		        or exists (select from pg_auth_members m where m.member = r.oid)
		        or exists (select from pg_shdepend d where d.refobjid = r.oid and d.deptype = 'o'))`, runtimeRoles)
	more, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(more) > 0 {
		t.Errorf("more than they should be: %v, %v", more, err)
	}
	rows, _ = db.Query(t.Context(), `
		select r.rolname::text from pg_roles r
		 where r.rolname in ('authserver_owner', 'authserver_spapi') and (r.rolcanlogin or r.rolsuper or r.rolcreaterole)`)
	login, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(login) > 0 {
		t.Errorf("owners that log in: %v, %v", login, err)
	}
}
