package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func throttleCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "throttle",
		Usage: "logins that have to wait after too many wrong passwords",
		Description: "LOGIN is what somebody types to log in: an address, the name of a service user or an\n" +
			"identifier. Each is counted by itself, but alice+shop@example.com is alice@example.com.",
		Subcommands: []*cli.Command{
			throttleShowCommand(db),
			throttleClearCommand(db),
		},
	}
}

func throttleShowCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "show",
		Usage: "print the wrong passwords that are counted for a login, by network and service",
		Description: "One is forgiven each minute. The network 0.0.0.0/0 is clients of unknown address, ::/0\n" +
			"without a service is all networks together; neither throttles, both make wrong answers\n" +
			"slower.",
		ArgsUsage: "LOGIN",
		Flags:     []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findLoginThrottles(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, found, nil)
			})
		},
	}
}

func throttleClearCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "clear",
		Usage:       "forget the wrong passwords of a login, from everywhere; it may be tried at once",
		Description: "Does not ask.",
		ArgsUsage:   "LOGIN",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				cleared, err := clearLoginThrottles(ctx, conn, c.Args().First(), dryRun)
				if err != nil {
					return err
				}
				throttles := plural(cleared.Removed, "throttle", "throttles")
				if dryRun {
					say(c, "dry run: would clear %s of login %s", throttles, cleared.Login)
				} else {
					say(c, "%s of login %s cleared", throttles, cleared.Login)
				}
				return nil
			})
		},
	}
}

// loginThrottle is what is counted for a login from one network for one
// service. A nil ThrottledUntil: nobody has to wait.
type loginThrottle struct {
	Network        string     `json:"network"`
	Service        string     `json:"service"`
	Failures       float64    `json:"failures"` // to a tenth, less those forgiven
	ThrottledUntil *time.Time `json:"throttled_until"`
	ChangedAt      time.Time  `json:"changed_at"`
}

// findLoginThrottles calls api.find_login_throttles.
func findLoginThrottles(ctx context.Context, conn *pgx.Conn, login string) ([]loginThrottle, error) {
	found, err := queryRows[loginThrottle](ctx, conn,
		`select network::text, service, round(failures::numeric, 1)::float8 as failures, throttled_until, changed_at
		   from api.find_login_throttles($1)`, login)
	if err != nil {
		return nil, fmt.Errorf("find login throttles: %w", err)
	}
	return found, nil
}

// clearedLogin is a login, by the name that it is counted by, and how many
// throttles it has lost.
type clearedLogin struct {
	Login   string
	Removed int
}

// clearLoginThrottles calls api.clear_login_throttles. That there is nothing to
// clear is an error: the login may be mistyped.
func clearLoginThrottles(ctx context.Context, conn *pgx.Conn, login string, dryRun bool) (clearedLogin, error) {
	cleared, err := queryRow[clearedLogin](ctx, conn, `select login, removed from api.clear_login_throttles($1, $2)`, login, dryRun)
	if err != nil {
		return clearedLogin{}, fmt.Errorf("clear login throttles: %w", err)
	}
	if cleared.Removed == 0 {
		return clearedLogin{}, fmt.Errorf("no wrong password is counted for login %q", cleared.Login)
	}
	return cleared, nil
}
