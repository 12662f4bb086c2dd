package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"authbridge/internal/command"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func spapiCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "spapi",
		Usage: "the stored-procedure API that Dovecot, OpenSMTPD and Postfix call",
		Subcommands: []*cli.Command{
			spapiInstallCommand(db),
			spapiCheckCommand(db),
			spapiGrantCommand(db),
			spapiRevokeCommand(db),
		},
	}
}

func spapiInstallCommand(db *database) *cli.Command {
	var takeOver, dryRun bool
	var grant cli.StringSlice
	return &cli.Command{
		Name:  "install",
		Usage: "put the functions into schema public, or replace ours in place",
		Description: "Grants stay as they are. A database that holds the functions of the Python\n" +
			"authserver is refused; --take-over replaces those, keeps the grants that name a\n" +
			"login, and adds those of --grant, in one transaction. Uses --database-owner.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "take-over", Usage: "drop the functions of the Python authserver", Destination: &takeOver},
			&cli.StringSliceFlag{Name: "grant", Usage: "with --take-over: let `LOGIN` call the functions, too; may be repeated", Destination: &grant},
			&cli.BoolFlag{Name: "dry-run", Usage: "with --take-over: say who would have access, and do nothing", Destination: &dryRun},
		},
		Action: func(c *cli.Context) error {
			if slices.Contains(grant.Value(), "") {
				return command.Usagef("a login is empty")
			}
			if dryRun && !takeOver {
				return command.Usagef("--dry-run goes with --take-over")
			}
			if len(grant.Value()) > 0 && !takeOver {
				return command.Usagef("--grant goes with --take-over; otherwise use authserver spapi grant")
			}
			return db.useOwner(c, func(ctx context.Context, conn *pgx.Conn) error {
				if takeOver {
					consumers, err := sql.TakeOverSPAPI(ctx, conn, grant.Value(), dryRun)
					if err != nil {
						return err
					}
					if dryRun {
						say(c, "dry run: would install SPAPI. Logins with access: %s", strings.Join(consumers, ", "))
						return nil
					}
					say(c, "SPAPI is installed. Logins with access: %s", strings.Join(consumers, ", "))
					return nil
				}
				var foreign *sql.ForeignSPAPIError
				err := sql.InstallSPAPI(ctx, conn)
				if errors.As(err, &foreign) {
					return fmt.Errorf("%w; authserver spapi install --take-over --grant LOGIN replaces them", err)
				}
				return err
			})
		},
	}
}

func spapiCheckCommand(db *database) *cli.Command {
	var installed bool
	var login string
	return &cli.Command{
		Name:        "check",
		Usage:       "tell whether the functions are installed, or whether a login may call them",
		Description: "Exit code 0 means yes, 1 means no.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "installed", Usage: "are all functions there, and ours?", Destination: &installed},
			&cli.StringFlag{Name: "grant", Usage: "may `LOGIN` call them all?", Destination: &login},
		},
		Action: func(c *cli.Context) error {
			if installed == (login != "") {
				return command.Usagef("give either --installed or --grant LOGIN")
			}
			return db.useOwner(c, func(ctx context.Context, conn *pgx.Conn) error {
				if installed {
					yes, err := sql.SPAPIInstalled(ctx, conn)
					return answer(c, yes, err, "SPAPI is installed.", "SPAPI is NOT installed.")
				}
				yes, err := sql.SPAPIGranted(ctx, conn, login)
				return answer(c, yes, err,
					fmt.Sprintf("User %s has access to the stored procedure API.", login),
					fmt.Sprintf("User %s does NOT have access to the stored procedure API.", login))
			})
		},
	}
}

// answer writes the sentence for yes or no to stderr; no exits with Failed.
func answer(c *cli.Context, is bool, err error, yes, no string) error {
	if err != nil {
		return err
	}
	if !is {
		say(c, "%s", no)
		return command.Exit(command.Failed, nil)
	}
	say(c, "%s", yes)
	return nil
}

func spapiGrantCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:        "grant",
		Usage:       "let logins call the functions",
		Description: "All of the logins, or none. Uses --database-owner.",
		ArgsUsage:   "LOGIN...",
		Action: func(c *cli.Context) error {
			return changeAccess(c, db, sql.GrantSPAPI, "now has access")
		},
	}
}

func spapiRevokeCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "revoke",
		Usage:       "take that back",
		Description: "All of the logins, or none. Does not ask. Uses --database-owner.",
		ArgsUsage:   "LOGIN...",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			if dryRun {
				return showAccess(c, db)
			}
			return changeAccess(c, db, sql.RevokeSPAPI, "no longer has access")
		},
	}
}

// changeAccess grants or revokes, to or from the logins that are the arguments.
func changeAccess(c *cli.Context, db *database, change func(context.Context, *pgx.Conn, []string) error, done string) error {
	logins := c.Args().Slice()
	if slices.Contains(logins, "") {
		return command.Usagef("a login is empty")
	}
	return db.useOwner(c, func(ctx context.Context, conn *pgx.Conn) error {
		if err := change(ctx, conn, logins); err != nil {
			return err
		}
		for _, login := range logins {
			say(c, "User %s %s to the stored procedure API.", login, done)
		}
		return nil
	})
}

// access is whether a login may call the functions.
type access struct {
	Login  string `json:"login"`
	Access bool   `json:"access"`
}

// showAccess is the dry run of a revoke.
func showAccess(c *cli.Context, db *database) error {
	return db.useOwner(c, func(ctx context.Context, conn *pgx.Conn) error {
		var rows []access
		for _, login := range c.Args().Slice() {
			granted, err := sql.SPAPIGranted(ctx, conn, login)
			if err != nil {
				return err
			}
			rows = append(rows, access{login, granted})
		}
		return showDryRun(c, "revoke the access of these logins", rows)
	})
}
