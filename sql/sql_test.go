package sql_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"authbridge/internal/pgtest"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// connect opens a connection that the test closes. It is of use in Cleanup, too,
// when the test's own context has ended.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// exec runs statements that must succeed.
func exec(t *testing.T, conn *pgx.Conn, statements string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(context.Background(), statements).ReadAll(); err != nil {
		t.Fatalf("%s\n%v", statements, err)
	}
}

// Every file of sql/tests runs in one transaction, which is rolled back, on a
// migrated database.
func TestPGTAP(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("tests/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal("no tests", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".sql"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			conn := connect(t, pgtest.New(t, "authserver_admin").SuperURL)
			exec(t, conn, `
				begin;
				set local client_min_messages = warning;
				do $$ begin execute format('grant temporary on database %I to authserver_owner', current_database()); end $$;
				create extension pgtap schema public;
				set local role authserver_owner;
				set local search_path = auth, public, pg_temp`)
			results, err := conn.PgConn().Exec(t.Context(), string(text)).ReadAll()

			asserted := false
			for _, result := range results {
				for _, row := range result.Rows {
					if len(row) != 1 {
						continue
					}
					line := string(row[0])
					switch {
					case strings.HasPrefix(line, "ok "):
						asserted = true
					case strings.HasPrefix(line, "not ok"), strings.HasPrefix(line, "# Looks like"):
						t.Error(line)
					}
				}
			}
			if err != nil {
				t.Error(err)
			}
			if !asserted {
				t.Error("nothing was asserted")
			}
		})
	}
}

func TestMigrateAgainDoesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	conn := connect(t, db.SuperURL)
	functions := func() (ids []string) {
		rows, _ := conn.Query(t.Context(), `
			select p.oid::regprocedure || ' ' || p.xmin || ' ' || coalesce(p.proacl::text, '')
			  from pg_proc p where p.pronamespace in ('api'::regnamespace, 'auth'::regnamespace, 'public'::regnamespace) order by 1`)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	before := functions()
	if err := sql.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if after := functions(); !slices.Equal(before, after) {
		t.Error("an up-to-date database was changed")
	}
	var version int
	if err := db.QueryRow(t.Context(), `select api.schema_version()`).Scan(&version); err != nil || version != sql.Version {
		t.Errorf("schema_version() = %d, %v; want %d", version, err, sql.Version)
	}
}

// Operators who migrate one new database at once do not meet half of it.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.NewEmpty(t)
	exec(t, connect(t, url), sql.RolesSQL())
	var wg sync.WaitGroup
	for range 8 {
		conn := connect(t, url)
		wg.Go(func() {
			if err := sql.Migrate(t.Context(), conn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// What an operator does to the database as a whole is in the audit trail, too.
func TestMigrateIsAudited(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.NewEmpty(t))
	exec(t, conn, sql.RolesSQL())
	for range 2 {
		if err := errors.Join(sql.Migrate(t.Context(), conn), sql.InstallSPAPI(t.Context(), conn)); err != nil {
			t.Fatal(err)
		}
	}
	rows, _ := conn.Query(t.Context(), `select a.action || ' ' || (a.before - 'functions')::text || ' ' || (a.after - 'functions')::text from auth.audit a order by a.id`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	want := []string{
		fmt.Sprintf(`db.migrate {"version": 0} {"version": %d}`, sql.Version),
		`spapi.install {"installed": false} {"installed": true}`,
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the trail is %q, want %q: %v", got, want, err)
	}
}

func TestMigrateRefusesNewerDatabase(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t, "authserver_admin").SuperURL)
	exec(t, conn, `update auth.installed set version = 9999`)
	if err := sql.Migrate(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "9999") {
		t.Errorf("migrated a database of version 9999: %v", err)
	}
}

func TestMigrateRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.NewEmpty(t))
	name := pgx.Identifier{"latin1_" + conn.Config().Database}.Sanitize()
	exec(t, conn, `create database `+name+` encoding 'LATIN1' locale 'C' template template0`)
	t.Cleanup(func() {
		conn := connect(t, conn.Config().ConnString())
		exec(t, conn, `drop database `+name+` with (force)`)
	})
	config := conn.Config().Copy()
	config.Database = strings.Trim(name, `"`)
	latin1, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { latin1.Close(context.Background()) })
	if err := sql.Migrate(t.Context(), latin1); err == nil || !strings.Contains(err.Error(), "UTF8") {
		t.Errorf("migrated a database with encoding LATIN1: %v", err)
	}
}

// A login that may not act as the owner is told which one may.
func TestMigrateNeedsTheOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_web")
	conn := connect(t, db.URL)
	if err := sql.Migrate(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "DATABASE_OWNER_URL") {
		t.Errorf("authserver_web may migrate: %v", err)
	}
}

// Fresh and upgraded are the same: every released schema, frozen with data in
// it, becomes what Migrate makes of an empty database, and keeps its rows and
// the grants that others hold.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	dumps, err := filepath.Glob("tests/upgrade/*.sql")
	if err != nil || len(dumps) == 0 {
		t.Fatal("no frozen dump", err)
	}
	fresh := catalog(t, connect(t, pgtest.New(t, "authserver_admin").SuperURL))
	for _, dump := range dumps {
		t.Run(filepath.Base(dump), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(dump)
			if err != nil {
				t.Fatal(err)
			}
			conn := connect(t, pgtest.NewEmpty(t))
			exec(t, conn, sql.RolesSQL())
			exec(t, conn, string(text))
			exec(t, conn, `reset all`)
			rows := counts(t, conn)
			consumer := "consumer_" + conn.Config().Database
			exec(t, conn, `create role `+consumer+` login noinherit`)
			t.Cleanup(func() {
				conn := connect(t, conn.Config().ConnString())
				exec(t, conn, `drop owned by `+consumer+`; drop role `+consumer)
			})
			if err := sql.GrantSPAPI(t.Context(), conn, []string{consumer}); err != nil {
				t.Fatal(err)
			}

			// Whatever its functions were, they are replaced.
			exec(t, conn, `update auth.installed set api_digest = 'frozen'`)
			if err := sql.Migrate(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if granted, err := sql.SPAPIGranted(t.Context(), conn, consumer); err != nil || !granted {
				t.Errorf("the grant of a consumer is lost: %v", err)
			}
			exec(t, conn, `drop owned by `+consumer)
			upgraded := catalog(t, conn)
			for _, line := range fresh {
				if !slices.Contains(upgraded, line) {
					t.Errorf("missing after the upgrade: %s", line)
				}
			}
			for _, line := range upgraded {
				if !slices.Contains(fresh, line) {
					t.Errorf("left over by the upgrade: %s", line)
				}
			}
			for table, n := range rows {
				if got := counts(t, conn)[table]; got < n {
					t.Errorf("%s had %d rows, has %d", table, n, got)
				}
			}
		})
	}
}

// catalog describes everything that Migrate makes, a line each.
func catalog(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, _ := conn.Query(t.Context(), `
		with ours as (select n.oid, n.nspname from pg_namespace n where n.nspname in ('auth', 'api'))
		select 'schema ' || n.nspname || ' ' || n.nspowner::regrole || ' ' || coalesce(n.nspacl::text, '')
		  from pg_namespace n join ours o using (oid)
		union all
		select 'default privileges ' || d.defaclrole::regrole || ' ' || d.defaclnamespace || d.defaclobjtype::text || ' ' || d.defaclacl::text
		  from pg_default_acl d
		union all
		select 'column ' || c.oid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
		       || ' ' || a.attnotnull::text || a.attidentity::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(a.attacl::text, '')
		  from pg_class c join ours o on o.oid = c.relnamespace
		  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
		 where c.relkind = 'r'
		union all
		select 'relation ' || c.oid::regclass || ' ' || c.relowner::regrole || ' ' || coalesce(c.relacl::text, '') || ' '
		       || case when c.relkind = 'i' then pg_get_indexdef(c.oid) else '' end
		  from pg_class c join ours o on o.oid = c.relnamespace
		union all
		-- A restored "between" has other parentheses than one that was typed.
		select 'constraint ' || k.conrelid::regclass || ' ' || k.conname || ' ' || translate(pg_get_constraintdef(k.oid), '()', '')
		  from pg_constraint k join ours o on o.oid = k.connamespace
		union all
		select 'trigger ' || pg_get_triggerdef(t.oid)
		  from pg_trigger t join pg_class c on c.oid = t.tgrelid join ours o on o.oid = c.relnamespace
		 where not t.tgisinternal
		union all
		select 'function ' || p.oid::regprocedure || ' ' || p.proowner::regrole || ' ' || coalesce(p.proacl::text, '') || ' ' || pg_get_functiondef(p.oid)
		  from pg_proc p
		 where p.pronamespace in (select oid from ours) or p.pronamespace = 'public'::regnamespace and p.proname like 'authserver\_%'`)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// counts returns how many rows each table of schema auth has.
func counts(t *testing.T, conn *pgx.Conn) map[string]int {
	t.Helper()
	rows, _ := conn.Query(t.Context(), `select c.relname::text from pg_class c where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r'`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, table := range tables {
		var count int
		if err := conn.QueryRow(t.Context(), `select count(*) from auth.`+table).Scan(&count); err != nil {
			t.Fatal(err)
		}
		n[table] = count
	}
	return n
}

// A migration holds tables; functions are replaced as a whole (package sql).
func TestMigrationsHoldNoFunctions(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS("."), "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?i)create\s+(or\s+replace\s+)?(function|procedure)`)
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if function.Match(text) {
			t.Errorf("%s holds a function", file)
		}
		if want := fmt.Sprintf("migrations/%04d_", i+1); !strings.HasPrefix(file, want) {
			t.Errorf("%s should begin with %s", file, want)
		}
	}
}

// state returns the SQLSTATE of an error, "" if it has none.
func state(err error) string {
	if pgErr, ok := err.(*pgconn.PgError); ok {
		return pgErr.Code
	}
	return ""
}
