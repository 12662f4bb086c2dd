package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"authbridge/docs"
	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

// people is who and what is in the database: see the head of the file.
//
//go:embed testdata/people.sql
var people string

// consumers are the logins that the guides create. They may call the stored
// functions and do nothing else.
var consumers = []string{"opensmtpd-authserver", "dovecot-authserver", "postfix-authserver"}

// Database is a database named authserver, set up as its administrator would.
type Database struct{ cluster *pgcluster.Cluster }

// databases are started by the first test that needs them and serve all tests
// of the process, which do not change what others look at.
var databases = map[string]func() (*Database, error){
	"":       sync.OnceValues(func() (*Database, error) { return newDatabase("") }),
	"trixie": sync.OnceValues(func() (*Database, error) { return newDatabase("trixie") }),
}

var started struct {
	sync.Mutex
	clusters []*pgcluster.Cluster
}

// OpenDatabase returns the database whose server is the one of this machine,
// or that of a Debian root.
func OpenDatabase(t *testing.T, root string) *Database {
	t.Helper()
	db, err := databases[root]()
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func newDatabase(root string) (*Database, error) {
	var opt pgcluster.Options
	if root != "" {
		dir, err := debianRoot(root)
		if err != nil {
			return nil, err
		}
		opt.Root = dir
		if err := privateTemp(filepath.Join(dir, "tmp")); err != nil {
			return nil, err
		}
	}
	ctx := context.Background()
	cluster, err := pgcluster.Start(ctx, opt)
	if err != nil {
		return nil, err
	}
	started.Lock()
	started.clusters = append(started.clusters, cluster)
	started.Unlock()

	conn, err := pgx.Connect(ctx, cluster.SuperuserURL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create database authserver"); err != nil {
		return nil, err
	}
	for _, page := range []string{"dovecot.md", "opensmtpd.md", "postfix.md"} {
		guide, err := docs.ReadGuide(page, "Database")
		if err != nil {
			return nil, err
		}
		for _, query := range guide.Queries {
			if _, err := conn.Exec(ctx, query); err != nil {
				return nil, fmt.Errorf("%s: %w", page, err)
			}
		}
	}

	owner, err := pgx.Connect(ctx, cluster.SuperuserURL("authserver"))
	if err != nil {
		return nil, err
	}
	defer owner.Close(ctx)
	for _, step := range []func(context.Context, *pgx.Conn) error{sql.Init, sql.Migrate, sql.InstallSPAPI} {
		if err := step(ctx, owner); err != nil {
			return nil, err
		}
	}
	if err := sql.GrantSPAPI(ctx, owner, consumers); err != nil {
		return nil, err
	}
	_, err = owner.PgConn().Exec(ctx, people).ReadAll()
	return &Database{cluster}, err
}

func stopDatabases() error {
	var errs []error
	for _, cluster := range started.clusters {
		errs = append(errs, cluster.Stop())
	}
	return errors.Join(errs...)
}

// Port is the TCP port on 127.0.0.1.
func (d *Database) Port() int { return d.cluster.Port() }

// Configure replaces the server that the guides name by this one.
func (d *Database) Configure(text string) string {
	return docs.Configure(text, "127.0.0.1", strconv.Itoa(d.Port()), docs.Password)
}

// QueryRow asks as the superuser, to look at what a server has left behind.
func (d *Database) QueryRow(t *testing.T, query string, dest ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.cluster.SuperuserURL("authserver"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), query).Scan(dest...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
