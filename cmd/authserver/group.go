package main

import (
	"context"
	"fmt"
	"strings"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func groupCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "group",
		Usage: "groups of users who hold permissions together",
		Subcommands: []*cli.Command{
			groupCreateCommand(db),
			groupListCommand(db),
			groupRemoveCommand(db),
		},
	}
}

func groupCreateCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "add a group without members",
		ArgsUsage: "NAME",
		Action: func(c *cli.Context) error {
			name, err := account.ParseName(c.Args().First())
			if err != nil {
				return command.Usagef("%v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := createGroup(ctx, conn, name); err != nil {
					return err
				}
				say(c, "Group %s created", name)
				return nil
			})
		},
	}
}

func groupListCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print all groups",
		Flags: []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				groups, err := listGroups(ctx, conn)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, groups, nil)
			})
		},
	}
}

func groupRemoveCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:  "remove",
		Usage: "remove a group; its members lose the permissions that they hold only through it",
		Description: "Does not ask. A group that an OAuth 2.0 client is for stays. A group's name is looked\n" +
			"for before its id.",
		ArgsUsage: "NAME|ID",
		Flags:     []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			selector := c.Args().First()
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if !dryRun {
					if err := removeGroup(ctx, conn, selector); err != nil {
						return err
					}
					say(c, "Group %s removed", selector)
					return nil
				}
				loss, err := findGroup(ctx, conn, selector)
				if err != nil {
					return err
				}
				return rehearse(ctx, conn, func() error {
					if err := removeGroup(ctx, conn, selector); err != nil {
						return err
					}
					return showDryRun(c, "remove this group", loss)
				})
			})
		},
	}
}

// createGroup calls api.create_group.
func createGroup(ctx context.Context, conn *pgx.Conn, name string) error {
	outcome, err := queryValue[string](ctx, conn, `select outcome from api.create_group($1)`, name)
	if err != nil {
		return fmt.Errorf("create group: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "exists":
		return fmt.Errorf("group %q already exists", name)
	}
	return fmt.Errorf("create group: unknown outcome %q", outcome)
}

// listedGroup is a group as the list shows it.
type listedGroup struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// listGroups calls api.list_groups for all groups.
func listGroups(ctx context.Context, conn *pgx.Conn) ([]listedGroup, error) {
	groups, err := queryRows[listedGroup](ctx, conn, `select id::text, name from api.list_groups(null)`)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return groups, nil
}

// groupLoss is a group and what goes with it.
type groupLoss struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Members     int    `json:"members"`
	Permissions int    `json:"permissions"`
}

// findGroup calls api.list_groups for the group with this name or id.
func findGroup(ctx context.Context, conn *pgx.Conn, selector string) ([]groupLoss, error) {
	groups, err := queryRows[groupLoss](ctx, conn,
		`select id::text, name, members, permissions from api.list_groups($1)`, selector)
	if err != nil {
		return nil, fmt.Errorf("find group: %w", err)
	}
	if len(groups) == 0 {
		return nil, noGroup(selector)
	}
	return groups, nil
}

// removeGroup calls api.remove_group.
func removeGroup(ctx context.Context, conn *pgx.Conn, selector string) error {
	removed, err := queryRow[struct {
		Outcome string
		Detail  []string
	}](ctx, conn, `select outcome, detail from api.remove_group($1)`, selector)
	if err != nil {
		return fmt.Errorf("remove group: %w", err)
	}
	switch removed.Outcome {
	case "ok":
		return nil
	case "unknown":
		return noGroup(selector)
	case "required":
		return fmt.Errorf("the group is what lets users use the clients %s: oauth2 edit takes it from them", strings.Join(removed.Detail, ", "))
	}
	return fmt.Errorf("remove group: unknown outcome %q", removed.Outcome)
}

func noGroup(selector string) error {
	return fmt.Errorf("no group has the name or id %q", selector)
}
