// Package sql is the database: its tables, its stored functions, its roles,
// and the code that installs them.
//
//	roles.sql      the roles, set up once by somebody who may (Init)
//	bootstrap.sql  schemas auth and api, and the row that says what is installed
//	migrations/    tables: numbered, applied once, never edited (Migrate)
//	api/           stored functions in schema api, one file per noun of the
//	               command line or Go package that calls them
//	spapi.sql      the functions in schema public that OpenSMTPD, Dovecot and
//	               Postfix call: a frozen contract (InstallSPAPI)
//	grants.sql     who may execute and read what, on one screen
//
// Tables change by migrations. Functions are source code: an upgrade replaces
// them all in place, so the files always say what is running, and the grants
// that others hold on them stay. A function that goes away, or changes its
// parameters or columns, is dropped by a migration.
package sql

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed roles.sql bootstrap.sql migrations/*.sql api/*.sql spapi.sql grants.sql
var files embed.FS

// Version is the schema version of this program: what api.schema_version()
// returns once Migrate has run.
var Version = func() int {
	migrations, _ := fs.Glob(files, "migrations/*.sql")
	return len(migrations)
}()

// FunctionDigest identifies the stored functions of this program: what
// api.function_digest() returns once Migrate has run.
var FunctionDigest = func() string {
	_, digest, err := functions(files)
	if err != nil {
		panic(err) // embedded above
	}
	return digest
}()

// ErrNewer says that the database was migrated by a newer program.
var ErrNewer = errors.New("database is newer than this program")

// RolesSQL is the text that Init runs, for somebody else to run by hand.
func RolesSQL() string {
	text, err := files.ReadFile("roles.sql")
	if err != nil {
		panic(err) // embedded above
	}
	return string(text)
}

// Init creates the roles and gives them what they need in the database of
// conn, in one transaction. The login must be a superuser, or own the database
// and have CREATEROLE. Doing it again changes nothing.
func Init(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		return execFile(ctx, tx, files, "roles.sql")
	})
}

// Migrate brings the database to the version of this program, or leaves it
// untouched. It does nothing if the database is already there.
//
// It acts as authserver_owner: the login must be a superuser, have CREATEROLE,
// or be a member. Where the roles do not exist, the login itself becomes the
// owner of everything, which works, and is worth the warning it gets.
func Migrate(ctx context.Context, conn *pgx.Conn) error { return migrate(ctx, conn, files) }

func migrate(ctx context.Context, conn *pgx.Conn, files fs.FS) error {
	return asOwner(ctx, conn, func(tx pgx.Tx, split bool) error {
		var exists bool
		if err := tx.QueryRow(ctx, `select to_regclass('auth.installed') is not null`).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			if err := checkServer(ctx, tx); err != nil {
				return err
			}
			if err := execFile(ctx, tx, files, "bootstrap.sql"); err != nil {
				return err
			}
		}

		migrations, err := fs.Glob(files, "migrations/*.sql") // sorted
		if err != nil {
			return err
		}
		functions, digest, err := functions(files)
		if err != nil {
			return err
		}

		var at struct {
			Version int
			Digest  string
			SPAPI   bool
		}
		if err := tx.QueryRow(ctx, `select i.version, i.api_digest, i.spapi from auth.installed i`).
			Scan(&at.Version, &at.Digest, &at.SPAPI); err != nil {
			return err
		}
		if at.Version > len(migrations) {
			return fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, at.Version, len(migrations))
		}
		if at.Version == len(migrations) && at.Digest == digest {
			return nil
		}

		for _, name := range append(migrations[at.Version:], functions...) {
			if err := execFile(ctx, tx, files, name); err != nil {
				return err
			}
		}
		if split {
			if err := execFile(ctx, tx, files, "grants.sql"); err != nil {
				return err
			}
		}
		if at.SPAPI {
			if err := replaceSPAPI(ctx, tx, files, split); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `update auth.installed set version = $1, api_digest = $2`, len(migrations), digest); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			select auth.record('db.migrate', current_database(),
			         jsonb_build_object('version', $1::int, 'functions', nullif($2, '')),
			         jsonb_build_object('version', $3::int, 'functions', $4::text))`,
			at.Version, at.Digest, len(migrations), digest)
		return err
	})
}

// asOwner runs f in a transaction that holds the migration lock and acts as
// authserver_owner. split is false where the login itself owns everything: the
// roles do not exist, or did not when this database was first migrated.
func asOwner(ctx context.Context, conn *pgx.Conn, f func(tx pgx.Tx, split bool) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Two operators at once: the first migrates, the other waits here and
		// finds nothing left to do.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('authserver.migrate'))`); err != nil {
			return err
		}
		// Schemas of somebody else are not used: who owns a schema decides what
		// is in it.
		var login, stranger string
		var split, mine, may, mayBecome bool
		if err := tx.QueryRow(ctx, `
			select current_user, o.oid is not null, s.mine, s.stranger,
			       -- From 16 on, the creator of a role is a member that may not act as it.
			       coalesce(pg_has_role(current_user, o.oid,
			         case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end), false),
			       l.rolcreaterole
			  from pg_roles l left join pg_roles o on o.rolname = 'authserver_owner'
			 cross join lateral (
			       select coalesce(bool_and(n.nspowner = l.oid), false) as mine,
			              coalesce(min(r.rolname) filter (where r.oid not in (l.oid, coalesce(o.oid, l.oid))), '') as stranger
			         from pg_namespace n join pg_roles r on r.oid = n.nspowner
			        where n.nspname in ('auth', 'api')) s
			 where l.rolname = current_user`).Scan(&login, &split, &mine, &stranger, &may, &mayBecome); err != nil {
			return err
		}

		me := pgx.Identifier{login}.Sanitize()
		switch {
		case stranger != "":
			return fmt.Errorf("schema auth or api belongs to %s, not to authserver_owner or login %s", stranger, login)
		case !split, mine && login != "authserver_owner":
			slog.WarnContext(ctx, "without the roles of authserver db init, this login owns every table and function, so whoever steals it has everything", "login", login)
			return f(tx, false)
		case may:
			if _, err := tx.Exec(ctx, `set local role authserver_owner`); err != nil {
				return err
			}
			return f(tx, true)
		case mayBecome:
			// A login with CREATEROLE may make itself a member. It is one for
			// this transaction only.
			if _, err := tx.Exec(ctx, `grant authserver_owner to `+me+`; set local role authserver_owner`); err != nil {
				return fmt.Errorf("acting as authserver_owner: %w", err)
			}
			if err := f(tx, true); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `set local role `+me+`; revoke authserver_owner from `+me)
			return err
		}
		return fmt.Errorf("login %s may not act as authserver_owner: use one that is superuser or a member of it (--database-owner, DATABASE_OWNER_URL)", login)
	})
}

// checkServer refuses a database that cannot hold what we store.
func checkServer(ctx context.Context, tx pgx.Tx) error {
	var version int
	var encoding string
	if err := tx.QueryRow(ctx, `select current_setting('server_version_num')::int, current_setting('server_encoding')`).
		Scan(&version, &encoding); err != nil {
		return err
	}
	if version < 150000 {
		return fmt.Errorf("PostgreSQL 15 or newer is needed, this is %d", version/10000)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database must have encoding UTF8, this one has %s", encoding)
	}
	return nil
}

// functions returns the names of the files of schema api, and what identifies
// the contents of all files that are replaced as a whole.
func functions(files fs.FS) (names []string, digest string, err error) {
	names, err = fs.Glob(files, "api/*.sql")
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	for _, name := range append(slices.Clone(names), "spapi.sql", "grants.sql") {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	return names, hex.EncodeToString(h.Sum(nil)), nil
}

// execFile runs all statements of a file. An error names the line:
// "sql/api/address.sql:41: ERROR: column … does not exist (SQLSTATE 42703)".
func execFile(ctx context.Context, tx pgx.Tx, files fs.FS, name string) error {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	// The simple protocol takes many statements at once.
	_, err = tx.Conn().PgConn().Exec(ctx, string(text)).ReadAll()
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) {
		line := 1
		if runes := []rune(string(text)); int(pgErr.Position) <= len(runes) && pgErr.Position > 0 {
			line += strings.Count(string(runes[:pgErr.Position-1]), "\n")
		}
		return fmt.Errorf("sql/%s:%d: %w", name, line, err)
	}
	if err != nil {
		return fmt.Errorf("sql/%s: %w", name, err)
	}
	return nil
}
