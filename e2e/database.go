package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"authbridge/docs"
	"authbridge/internal/pgcluster"

	"github.com/jackc/pgx/v5"
)

// people is who and what is in the database: see the head of the file.
//
//go:embed testdata/people.sql
var people string

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
	// Who sets it up is no superuser.
	for _, statement := range []string{"create role operator login createrole", "create database authserver owner operator"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	commands := []string{"authserver db init --apply", "authserver migrate", "authserver spapi install"}
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
		lines, err := consoleLines(page)
		if err != nil {
			return nil, err
		}
		commands = append(commands, lines...)
	}
	program, err := binary("authserver")
	if err != nil {
		return nil, err
	}
	for _, command := range commands {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-euc", command)
		cmd.Env = []string{"PATH=" + filepath.Dir(program), "DATABASE_OWNER_URL=" + cluster.URL("operator", "authserver")}
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", command, err, out)
		}
	}

	db := &Database{cluster}
	super, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer super.Close(ctx)
	if _, err := super.PgConn().Exec(ctx, people).ReadAll(); err != nil {
		return nil, err
	}
	_, err = db.operate(ctx, program, "domain", "edit", "example.com", "--create-key", "jwt", "--jwt-allow-subdomain-signing", "true")
	return db, err
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

// Connect logs in as the superuser until the test ends.
func (d *Database) Connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := d.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (d *Database) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, d.cluster.SuperuserURL("authserver"))
}

// QueryRow asks as the superuser, to look at what a server has left behind.
func (d *Database) QueryRow(t *testing.T, query string, dest ...any) {
	t.Helper()
	conn := d.Connect(t)
	if err := conn.QueryRow(t.Context(), query).Scan(dest...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
