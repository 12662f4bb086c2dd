package main

import (
	"context"

	"authbridge/sql"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func migrateCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "bring tables and stored functions to the version of this program",
		Description: "Does nothing if they are. Everything happens in one transaction; grants and prepared\n" +
			"statements of other servers stay. Uses --database-owner.",
		Action: func(c *cli.Context) error {
			return db.useOwner(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := sql.Migrate(ctx, conn); err != nil {
					return err
				}
				say(c, "Database is at version %d", sql.Version)
				return nil
			})
		},
	}
}
