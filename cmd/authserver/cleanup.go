package main

import (
	"context"
	"fmt"

	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// cleanupBatch is how many rows are forgotten at once: not so many that anybody
// waits for them.
const cleanupBatch = 1000

// A cleanup forgets rows of some kind that have ended.
type cleanup struct {
	what    string
	query   string
	bounded bool // it takes at most as many as it is told
}

// cleanups are what servers forget by themselves, too.
var cleanups = []cleanup{
	{"sessions", `select api.purge_sessions($1)`, true},
	{"oauth2", `select api.purge_oauth2($1)`, true},
	{"login_throttles", `select api.purge_login_throttles()`, false},
	{"docker_refresh_tokens", `select api.purge_docker_refresh_tokens()`, false},
}

// run forgets all that there is, batch by batch, and returns how much that was.
func (c cleanup) run(ctx context.Context, db pg.Querier) (removed int64, err error) {
	var args []any
	if c.bounded {
		args = []any{cleanupBatch}
	}
	for {
		var batch int64
		if err := db.QueryRow(ctx, c.query, args...).Scan(&batch); err != nil {
			return removed, fmt.Errorf("clean up %s: %w", c.what, err)
		}
		removed += batch
		if !c.bounded || batch < cleanupBatch {
			return removed, nil
		}
	}
}

func cleanupCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "cleanup",
		Usage: "forget what has ended: sessions, codes, grants, throttles, refresh tokens",
		Description: "Servers do that by themselves, and nothing that has ended is good for anything before.\n" +
			"Many may do it at once. oauth2 is grants with their codes and tokens, requests that wait\n" +
			"for a login, and what was used once.",
		Flags: []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				var rows []cleanedUp
				for _, cleanup := range cleanups {
					removed, err := cleanup.run(ctx, conn)
					if err != nil {
						return err
					}
					rows = append(rows, cleanedUp{cleanup.what, removed})
				}
				return printList(c.App.Writer, out, rows, nil)
			})
		},
	}
}

// cleanedUp is how many rows of a kind were forgotten.
type cleanedUp struct {
	What    string `json:"what"`
	Removed int64  `json:"removed"`
}
