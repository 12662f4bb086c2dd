package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func auditCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:        "audit",
		Usage:       "who changed what",
		Subcommands: []*cli.Command{auditListCommand(db)},
	}
}

func auditListCommand(db *database) *cli.Command {
	var out format
	var object, action, actor string
	var past since
	limit := rowLimit(100)
	return &cli.Command{
		Name:      "list",
		Aliases:   []string{"show"},
		Usage:     "print changes, newest first",
		ArgsUsage: "[OBJECT]",
		Description: "OBJECT is the name of what was changed: a user's identifier, an address, a domain.\n" +
			"Hashes and keys are not in the trail; that one has changed is.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "action", Usage: "only this `ACTION`, such as user.create, or a noun, such as user", Destination: &action},
			&cli.StringFlag{Name: "actor", Usage: "only changes by `ACTOR`, such as cli:root", Destination: &actor},
			&cli.GenericFlag{Name: "since", Usage: "only changes after this `TIME` (2026-01-31, 2026-01-31T12:00:00Z), or so long ago (2h, 30d)", Value: &past},
			&cli.GenericFlag{Name: "limit", Usage: "at most `NUMBER`", Value: &limit},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			object = c.Args().First()
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				entries, err := auditTrail(ctx, conn, object, action, actor, time.Time(past), limit)
				if err != nil {
					return err
				}
				if out.name == "table" {
					return printList(c.App.Writer, out, auditLines(entries), nil)
				}
				return printList(c.App.Writer, out, entries, nil)
			})
		},
	}
}

// auditEntry is one change as the trail holds it.
type auditEntry struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Login  string    `json:"login"`
	Origin string    `json:"origin"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Before document  `json:"before"`
	After  document  `json:"after"`
}

// document is JSON that is printed as it is. Empty is null.
type document string

// MarshalJSON implements json.Marshaler.
func (d document) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return []byte(d), nil
}

// auditTrail calls api.audit_trail. Empty parameters match all.
func auditTrail(ctx context.Context, conn *pgx.Conn, object, action, actor string, since time.Time, limit rowLimit) ([]auditEntry, error) {
	entries, err := queryRows[auditEntry](ctx, conn, `
		select id::text, at, actor, login, origin, action, object,
		       coalesce(before::text, '') as before, coalesce(after::text, '') as after
		  from api.audit_trail(nullif($1, ''), nullif($2, ''), nullif($3, ''), nullif($4, '0001-01-01Z'::timestamptz), $5)`,
		object, action, actor, since, int(limit))
	if err != nil {
		return nil, fmt.Errorf("audit trail: %w", err)
	}
	return entries, nil
}

// auditLine is one change as a person reads it.
type auditLine struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Origin string    `json:"origin"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Change string    `json:"change"`
}

func auditLines(entries []auditEntry) []auditLine {
	lines := make([]auditLine, len(entries))
	for i, e := range entries {
		lines[i] = auditLine{e.At, e.Actor, e.Origin, e.Action, e.Object, change(e.Before, e.After)}
	}
	return lines
}

// change says which fields differ: "active: true → false". What was made or
// removed as a whole is said by the action.
func change(before, after document) string {
	var was, is map[string]json.RawMessage
	if json.Unmarshal([]byte(before), &was) != nil || json.Unmarshal([]byte(after), &is) != nil || was == nil || is == nil {
		return ""
	}
	var parts []string
	names := slices.Collect(maps.Keys(was))
	for name := range is {
		if _, both := was[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if string(was[name]) != string(is[name]) {
			parts = append(parts, fmt.Sprintf("%s: %s → %s", name, orNothing(was[name]), orNothing(is[name])))
		}
	}
	return strings.Join(parts, ", ")
}

func orNothing(value json.RawMessage) string {
	if value == nil {
		return "nothing"
	}
	return string(value)
}

// rowLimit is a flag's value: how many rows to print.
type rowLimit int

const maxRowLimit = 1_000_000

// Set implements flag.Value.
func (l *rowLimit) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxRowLimit {
		return fmt.Errorf("want a number from 1 to %d", maxRowLimit)
	}
	*l = rowLimit(n)
	return nil
}

func (l *rowLimit) String() string { return strconv.Itoa(int(*l)) }

// since is a flag's value: a time, or how long ago.
type since time.Time

func (s *since) String() string {
	if t := time.Time(*s); !t.IsZero() {
		return t.Format(time.RFC3339)
	}
	return ""
}

// Set implements flag.Value.
func (s *since) Set(text string) error {
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			*s = since(t)
			return nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			*s = since(time.Now().AddDate(0, 0, -int(n)))
			return nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		*s = since(time.Now().Add(-d))
		return nil
	}
	return errors.New("not a time like 2026-01-31 or 2026-01-31T12:00:00Z, nor how long ago like 2h or 30d")
}
