package main

import (
	"context"
	"io"

	"authbridge/internal/command"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func dbCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:        "db",
		Usage:       "set up the database that everything is kept in",
		Subcommands: []*cli.Command{dbInitCommand(db)},
	}
}

func dbInitCommand(db *database) *cli.Command {
	var print, apply bool
	return &cli.Command{
		Name:  "init",
		Usage: "make the roles and give them the database",
		Description: "With --apply, --database-owner must log in as a superuser, or as the owner of the\n" +
			"database with CREATEROLE. With --print-sql, no database is needed: somebody who may\n" +
			"runs what is printed, in that database. Doing it again changes nothing. Then run\n" +
			"authserver migrate.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "print-sql", Usage: "print the statements", Destination: &print},
			&cli.BoolFlag{Name: "apply", Usage: "run the statements", Destination: &apply},
		},
		Action: func(c *cli.Context) error {
			switch {
			case print == apply:
				return command.Usagef("give either --print-sql or --apply")
			case print:
				_, err := io.WriteString(c.App.Writer, sql.RolesSQL())
				return err
			}
			return db.useOwner(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := sql.Init(ctx, conn); err != nil {
					return err
				}
				say(c, "The roles are ready; next: authserver migrate")
				return nil
			})
		},
	}
}
