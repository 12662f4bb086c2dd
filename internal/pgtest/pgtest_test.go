package pgtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestMain(m *testing.M) { Main(m) }

func state(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"authserver_admin", "authserver_web", "authserver_dkimsigner", "authserver_mailforwarder"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			db := New(t, role)
			var login, current string
			var version int
			if err := db.QueryRow(t.Context(), "select session_user, current_user, api.schema_version()").Scan(&login, &current, &version); err != nil || login != role || current != role || version == 0 {
				t.Errorf("login %s, role %s, version %d, %v", login, current, version, err)
			}
			t.Logf("first answer after %v", time.Since(began))
			if _, err := db.Exec(t.Context(), "select from auth.installed"); state(err) != "42501" {
				t.Errorf("reading a table: %v", err)
			}
			// A privilege on the database, which a copy of it does not have.
			if _, err := db.Exec(t.Context(), "create temporary table x ()"); state(err) != "42501" {
				t.Errorf("creating a temporary table: %v", err)
			}

			if err := db.Owner.QueryRow(t.Context(), "select current_user from auth.installed").Scan(&current); err != nil || current != "authserver_owner" {
				t.Errorf("Owner is %s, %v", current, err)
			}
			for url, want := range map[string]string{db.URL: role, db.OwnerURL: "authserver_owner", db.SuperURL: "postgres"} {
				conn, err := pgx.Connect(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(t.Context())
				if err := conn.QueryRow(t.Context(), "select current_user").Scan(&current); err != nil || current != want {
					t.Errorf("%s: %s, %v", url, current, err)
				}
			}
		})
	}
}

func TestDatabasesAreSeparateAndGo(t *testing.T) {
	t.Parallel()
	var one string
	t.Run("two databases", func(t *testing.T) {
		a, b := New(t, "authserver_web"), New(t, "authserver_web")
		if _, err := a.Owner.Exec(t.Context(), "create table auth.only_here ()"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Owner.Exec(t.Context(), "select from auth.only_here"); state(err) != "42P01" {
			t.Errorf("a table of another database: %v", err)
		}
		one = a.SuperURL
	})
	super, err := pgx.Connect(t.Context(), Cluster(t).URL("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(t.Context())
	_, name, _ := strings.Cut(one, "/test_")
	name, _, _ = strings.Cut("test_"+name, "?")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for there := true; there; {
		if err := super.QueryRow(ctx, "select exists (select from pg_database where datname = $1) from pg_sleep(0.01)", name).Scan(&there); err != nil {
			t.Fatalf("%s is still there: %v", name, err)
		}
	}
}

func TestNewEmpty(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), NewEmpty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var super, empty bool
	if err := conn.QueryRow(t.Context(), `
		select r.rolsuper, to_regnamespace('auth') is null and to_regnamespace('api') is null
		  from pg_roles r where r.rolname = current_user`).Scan(&super, &empty); err != nil || !super || !empty {
		t.Errorf("superuser: %v, empty: %v, %v", super, empty, err)
	}
}

// What a failed test logs.
func TestMessages(t *testing.T) {
	t.Parallel()
	a, b := New(t, "authserver_web"), New(t, "authserver_web")
	for db, statement := range map[*DB]string{&a: "select 'a\nb', wrong_here", &b: "select wrong_there"} {
		if _, err := db.Exec(t.Context(), statement); state(err) != "42703" {
			t.Fatal(err)
		}
	}
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	got := s.messages(a.Config().ConnConfig.Database)
	if !strings.Contains(got, `column "wrong_here" does not exist`) || !strings.Contains(got, "b', wrong_here") || strings.Contains(got, "wrong_there") {
		t.Error(got)
	}
}

func BenchmarkNew(b *testing.B) {
	Cluster(b)
	for b.Loop() {
		if err := New(b, "authserver_web").Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
