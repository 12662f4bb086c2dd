package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// WarnIfOwner logs a warning if the login could act as the owner of the
// database, and so past all that the roles are for.
func WarnIfOwner(ctx context.Context, db Querier) error {
	var login string
	var owner bool
	err := db.QueryRow(ctx, `
		select session_user,
		       exists (select from pg_catalog.pg_roles r
		                where r.rolname = 'authserver_owner'
		                  and pg_catalog.pg_has_role(session_user, r.oid, 'member'))`).Scan(&login, &owner)
	if err != nil {
		return fmt.Errorf("roles of the database login: %w", err)
	}
	if owner {
		slog.WarnContext(ctx, "the database login may act as authserver_owner; use one that may not", "login", login)
	}
	return nil
}

// WarnIfOperator logs a warning if a daemon works as the role of the command
// line, or could: it may then do all that an operator may, and so may whoever
// steals it. daemon is the role that it should have.
func WarnIfOperator(ctx context.Context, db Querier, daemon string) error {
	var login string
	var operator bool
	err := db.QueryRow(ctx, `
		select session_user,
		       exists (select from pg_catalog.pg_roles r
		                where r.rolname = 'authserver_admin'
		                  and pg_catalog.pg_has_role(current_user, r.oid, 'member'))`).Scan(&login, &operator)
	if err != nil {
		return fmt.Errorf("roles of the database login: %w", err)
	}
	if operator {
		slog.WarnContext(ctx, "the database login may act as authserver_admin, which is for the command line", "login", login, "use", daemon)
	}
	return nil
}

// WarnIfOtherFunctions logs a warning if the stored functions are not those
// with this digest: the program was built with others. That works for a while,
// because functions change compatibly, and is not meant to last.
func WarnIfOtherFunctions(ctx context.Context, db Querier, digest string) error {
	var installed string
	if err := db.QueryRow(ctx, `select api.function_digest()`).Scan(&installed); err != nil {
		return fmt.Errorf("stored functions: %w", err)
	}
	if installed != digest {
		slog.WarnContext(ctx, "the stored functions in the database are those of another build; run authserver migrate with the newer one")
	}
	return nil
}

// CheckVersion returns an error that says what to run if the database is not
// at schema version want.
func CheckVersion(ctx context.Context, db Querier, want int) error {
	var version int
	err := db.QueryRow(ctx, `select api.schema_version()`).Scan(&version)
	switch sqlState(err) {
	case "3F000", "42883", "42501": // no schema, no function, no privilege
		return errors.New("database is not set up, or not for this login: run authserver db init and authserver migrate")
	}
	switch {
	case err != nil:
		return fmt.Errorf("schema version: %w", err)
	case version < want:
		return fmt.Errorf("database is at version %d, this program needs %d: run authserver migrate", version, want)
	case version > want:
		return fmt.Errorf("database is at version %d, newer than this program (%d)", version, want)
	}
	return nil
}
