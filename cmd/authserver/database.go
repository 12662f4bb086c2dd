package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"authbridge/internal/command"
	"authbridge/internal/pg"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/urfave/cli/v2"
)

// database is how the commands reach PostgreSQL: as authserver_admin, or, to
// install something, as a login that may act as the owner.
type database struct{ admin, owner pg.Config }

func (d *database) flags() []cli.Flag {
	for _, config := range []*pg.Config{&d.admin, &d.owner} {
		config.ApplicationName = "authserver"
		config.Actor, config.Origin = actor(), origin()
	}
	return append(d.admin.Flags(), d.owner.OwnerFlags(&d.admin)...)
}

// actor is who audit rows say has made a change: the account that runs this
// command, or the one that became root for it by sudo.
func actor() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && os.Getuid() == 0 {
		name = sudo
	}
	return command.OneLine("cli:" + name)
}

// origin is where audit rows say that it was made.
func origin() string {
	host, err := os.Hostname()
	if err != nil {
		return "" // the database puts the client's address there
	}
	return command.OneLine(host)
}

// use runs f with a connection to a database whose schema is of our version. A
// login that could act as the owner is warned about.
func (d *database) use(c *cli.Context, f func(ctx context.Context, conn *pgx.Conn) error) error {
	return with(c, d.admin, func(ctx context.Context, conn *pgx.Conn) error {
		if err := pg.CheckVersion(ctx, conn, sql.Version); err != nil {
			return err
		}
		if err := pg.WarnIfOtherFunctions(ctx, conn, sql.FunctionDigest); err != nil {
			return err
		}
		if err := pg.WarnIfOwner(ctx, conn); err != nil {
			return err
		}
		return f(ctx, conn)
	})
}

// useOwner runs f with a connection that may install things, in whatever state
// the database is.
func (d *database) useOwner(c *cli.Context, f func(ctx context.Context, conn *pgx.Conn) error) error {
	return with(c, d.owner, f)
}

func with(c *cli.Context, config pg.Config, f func(ctx context.Context, conn *pgx.Conn) error) error {
	conn, err := config.Connect(c.Context)
	if err != nil {
		return err
	}
	defer func() {
		// After an interrupt, too, the server is told; but it gets no long time.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), time.Second)
		defer cancel()
		conn.Close(ctx) // what was committed is committed
		select {
		case <-conn.PgConn().CleanupDone(): // a statement that still runs has been cancelled
		case <-ctx.Done():
		}
	}()
	return config.Explain(explain(f(c.Context, conn)))
}

// explain says in the operator's terms what PostgreSQL refused.
func explain(err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err
	}
	switch pgErr.Code {
	case "42501": // insufficient_privilege
		return fmt.Errorf("%w; has authserver migrate run, and does --database name the login authserver_admin?", err)
	case "22021": // character_not_in_repertoire
		return command.Usagef("an argument is not valid UTF-8")
	case "23514": // check_violation: the parsers of arguments are laxer than the table
		return command.Usagef("an argument is not valid (%s)", pgErr.ConstraintName)
	case "42704": // undefined_object: a role that somebody typed
		return errors.New(pgErr.Message)
	}
	return err
}

// queryValue returns the single value that a query yields.
func queryValue[T any](ctx context.Context, conn *pgx.Conn, query string, args ...any) (T, error) {
	rows, _ := conn.Query(ctx, query, args...) // its error comes out of CollectExactlyOneRow
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
}

// queryRow returns the single row of a query as a struct with a field for each
// column.
func queryRow[T any](ctx context.Context, conn *pgx.Conn, query string, args ...any) (T, error) {
	rows, _ := conn.Query(ctx, query, args...) // its error comes out of CollectExactlyOneRow
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
}

// queryRows returns all rows of a query as structs with a field for each
// column.
func queryRows[T any](ctx context.Context, conn *pgx.Conn, query string, args ...any) ([]T, error) {
	rows, _ := conn.Query(ctx, query, args...) // its error comes out of CollectRows
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}

// rehearse runs f in a transaction, and takes everything back.
func rehearse(ctx context.Context, conn *pgx.Conn, f func() error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		tx.Rollback(context.WithoutCancel(ctx)) // closing the connection does it, too
		return err
	}
	return tx.Rollback(ctx)
}
