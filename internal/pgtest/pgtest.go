// Package pgtest gives every test its own PostgreSQL database.
//
// The server is a private cluster that internal/pgcluster starts once per test
// binary; without PostgreSQL's programs the tests fail and name the package.
// One database is migrated, the tests get copies of it.
//
// A package that uses pgtest stops the cluster at its end by
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// Without this, or if the test binary is killed, the cluster still stops and
// its folder goes, but a moment after the binary has ended.
package pgtest

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"authbridge/internal/pgcluster"
	"authbridge/sql"
)

// DB is a fresh, migrated database. The embedded pool connects as the role
// under test, so that a missing grant fails the test and not the upgrade.
type DB struct {
	*pgxpool.Pool
	Owner *pgxpool.Pool // acts as authserver_owner: to arrange things, and to look behind the scenes

	// The database for programs that the test starts: as the role under test,
	// as the operator who installs and upgrades, as authserver_owner, and as
	// superuser. The operator is no superuser: it owns the database and has
	// CREATEROLE.
	URL, OperatorURL, OwnerURL, SuperURL string
}

// New returns a database that lasts as long as t, connected as role, one of
// the runtime roles. If t fails, what the server had to say about the database
// is logged.
func New(t testing.TB, role string) DB {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := s.create(t, templateName)
	db := DB{
		URL:         s.cluster.URL(role, name),
		OperatorURL: s.cluster.URL(operator, name),
		OwnerURL:    s.cluster.URL(superuser, name) + "&role=authserver_owner",
		SuperURL:    s.cluster.URL(superuser, name),
	}
	db.Pool = open(t, db.URL)
	db.Owner = open(t, db.OwnerURL)
	return db
}

// NewEmpty returns the superuser's URL of an empty database that lasts as long
// as t. Roles belong to the whole cluster, so those of sql.Init are there.
func NewEmpty(t testing.TB) (superURL string) {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s.cluster.URL(superuser, s.create(t, "template0"))
}

// Cluster returns the cluster that all databases are in. A test that changes
// roles or stops servers starts one of its own instead.
func Cluster(t testing.TB) *pgcluster.Cluster {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s.cluster
}

// Main runs the tests of a package, stops the cluster and exits.
func Main(m *testing.M) {
	code := m.Run()
	if c := running.Load(); c != nil {
		if err := c.Stop(); err != nil {
			log.Print(err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	superuser    = "postgres"
	templateName = "authserver_template"
	operator     = "operator"
)

// server is the cluster and a way to make databases.
type server struct {
	cluster *pgcluster.Cluster
	admin   *pgxpool.Pool
	count   atomic.Int64
}

var (
	shared  = sync.OnceValues(newServer)
	running atomic.Pointer[pgcluster.Cluster] // for Main
)

func newServer() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{Locale: "C"})
	if err != nil {
		return nil, err
	}
	running.Store(cluster)
	s := &server{cluster: cluster}
	if s.admin, err = pgxpool.New(ctx, cluster.URL(superuser, "postgres")); err != nil {
		return nil, err
	}
	if _, err := s.admin.Exec(ctx, "create role "+operator+" login createrole"); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if _, err := s.admin.Exec(ctx, "create database "+templateName+" owner "+operator+" template template0"); err != nil {
		return nil, fmt.Errorf("template database: %w", err)
	}
	if err := migrate(ctx, cluster.URL(operator, templateName)); err != nil {
		return nil, fmt.Errorf("template database: %w", err)
	}
	if err := clearAudit(ctx, cluster.URL(superuser, templateName)); err != nil {
		return nil, fmt.Errorf("template database: %w", err)
	}
	return s, nil
}

func migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, step := range []func(context.Context, *pgx.Conn) error{sql.Init, sql.Migrate, sql.InstallSPAPI} {
		if err := step(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// clearAudit empties the audit trail: that of a test begins with the test.
func clearAudit(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `truncate auth.audit restart identity`)
	return err
}

// create makes a copy of a template, which goes when t ends.
func (s *server) create(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.count.Add(1))
	// Copying files takes half the time of writing them through the log.
	if _, err := s.admin.Exec(t.Context(), "create database "+name+" owner "+operator+" template "+template+" strategy file_copy"); err != nil {
		t.Fatalf("test database: %v", err)
	}
	// The copy lacks the privileges on the database itself.
	if _, err := s.admin.Exec(t.Context(), `
		update pg_database set datacl = o.datacl
		  from pg_database o
		 where pg_database.datname = $1 and o.datname = $2`, name, template); err != nil {
		t.Fatalf("test database: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.messages(name))
		}
		// Nobody needs to wait for this, and it takes a tenth of a second:
		// the server looks only so often whether the last session has ended.
		go s.admin.Exec(context.Background(), "drop database "+name+" with (force)")
	})
	return name
}

// open returns a pool that connects when it is first used, and that t closes.
func open(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 20 // for races
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			pool.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(5 * time.Second):
			t.Errorf("the test leaves %d connections in use: rows that are not closed?", pool.Stat().AcquiredConns())
		}
	})
	return pool
}

// messages returns the server's last messages about a database.
func (s *server) messages(name string) string {
	content, err := os.ReadFile(s.cluster.LogFile())
	if err != nil {
		return err.Error()
	}
	var lines []string
	ours := false
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "\t") { // else a continuation
			ours = strings.Contains(line, " db="+name+" ")
		}
		if ours {
			lines = append(lines, line)
		}
	}
	return fmt.Sprintf("messages of the server about database %s:\n%s", name, strings.Join(lines[max(0, len(lines)-40):], ""))
}
