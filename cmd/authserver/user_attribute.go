package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func userAttributeCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "attribute",
		Usage: "what else is known of users, for claims: texts by name",
		Description: "state is what clients may ask for besides groups. legacy_id is what another system\n" +
			"called the user. locale and picture are claims of the scope profile; \"authserver oauth2\n" +
			"claim create\" makes claims of any other.",
		Subcommands: []*cli.Command{
			userAttributeSetCommand(db),
			userAttributeUnsetCommand(db),
			userAttributeListCommand(db),
		},
	}
}

func userAttributeSetCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "set",
		Usage:       "give a user an attribute, or another value for it",
		Description: "Does not ask.\n" + userSelectors,
		ArgsUsage:   "SELECTOR NAME VALUE",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			name, value := c.Args().Get(1), c.Args().Get(2)
			if err := checkAttributeName(name); err != nil {
				return err
			}
			if len(value) == 0 || len(value) > 4096 {
				return command.Usagef("a value has 1 to 4096 octets; user attribute unset takes the attribute away")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				set := func() error {
					changed, err := setUserAttribute(ctx, conn, user, name, value)
					switch {
					case err != nil:
						return err
					case !changed:
						say(c, "Nothing to do: %s of %s is that", name, user.Identifier)
					case dryRun:
						say(c, "dry run: would set %s of %s", name, user.Identifier)
					default:
						say(c, "Attribute %s of %s set", name, user.Identifier)
					}
					return nil
				}
				if dryRun {
					return rehearse(ctx, conn, set)
				}
				return set()
			})
		},
	}
}

func userAttributeUnsetCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "unset",
		Usage:       "take attributes from a user; one that is not there is no error",
		Description: "Does not ask.\n" + userSelectors,
		ArgsUsage:   "SELECTOR NAME...",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			names := c.Args().Tail()
			if i := slices.IndexFunc(names, func(name string) bool { return checkAttributeName(name) != nil }); i >= 0 {
				return checkAttributeName(names[i])
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				gone, err := unsetUserAttributes(ctx, conn, user, names, dryRun)
				switch {
				case err != nil:
					return err
				case dryRun:
					return showDryRun(c, "take these from "+user.Identifier, gone)
				case len(gone) == 0:
					say(c, "Nothing to do: %s has none of this", user.Identifier)
				}
				for _, a := range gone {
					say(c, "Attribute %s of %s unset", a.Name, user.Identifier)
				}
				return nil
			})
		},
	}
}

func userAttributeListCommand(db *database) *cli.Command {
	var name string
	var out format
	return &cli.Command{
		Name:        "list",
		Aliases:     []string{"show"},
		Usage:       "print the attributes of a user, or of all",
		Description: userSelectors,
		ArgsUsage:   "[SELECTOR]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "only the attribute `NAME`", Destination: &name},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				var user *listedUser
				if c.Args().Present() {
					one, err := oneUser(ctx, conn, c.Args().First())
					if err != nil {
						return err
					}
					user = &one
				}
				attributes, err := findUserAttributes(ctx, conn, user, name)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, attributes, nil)
			})
		},
	}
}

// listedAttribute is an attribute as lists show it.
type listedAttribute struct {
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
	Value      string `json:"value"`
}

// findUserAttributes calls api.find_user_attributes. A nil user is all, an empty
// name, too.
func findUserAttributes(ctx context.Context, conn *pgx.Conn, user *listedUser, name string) ([]listedAttribute, error) {
	attributes, err := queryRows[listedAttribute](ctx, conn,
		`select identifier, name, value from api.find_user_attributes($1, nullif($2, ''))`, idOf(user), name)
	if err != nil {
		return nil, fmt.Errorf("find attributes: %w", err)
	}
	return attributes, nil
}

// setUserAttribute calls api.set_user_attribute. It tells whether that was a
// change.
func setUserAttribute(ctx context.Context, conn *pgx.Conn, user listedUser, name, value string) (bool, error) {
	outcome, err := queryValue[string](ctx, conn, `select api.set_user_attribute($1, $2, $3)`, user.UUID, name, value)
	if err != nil {
		return false, fmt.Errorf("set attribute: %w", err)
	}
	switch outcome {
	case "ok":
		return true, nil
	case "unchanged":
		return false, nil
	case "gone":
		return false, userGone([]listedUser{user}, user.UUID)
	case "taken":
		return false, errors.New("another user has this legacy_id, by which clients may know them; nothing was done")
	}
	return false, fmt.Errorf("set attribute: unknown outcome %q", outcome)
}

// unsetUserAttributes calls api.unset_user_attributes.
func unsetUserAttributes(ctx context.Context, conn *pgx.Conn, user listedUser, names []string, dryRun bool) ([]listedAttribute, error) {
	gone, err := queryRows[listedAttribute](ctx, conn,
		`select identifier, name, value from api.unset_user_attributes($1, $2, $3)`, user.UUID, names, dryRun)
	if err != nil {
		return nil, fmt.Errorf("unset attributes: %w", err)
	}
	return gone, nil
}
