package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func oauth2ClaimCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "claim",
		Usage: "what tokens and userinfo say of users by their attributes",
		Subcommands: []*cli.Command{
			oauth2ClaimCreateCommand(db),
			oauth2ClaimListCommand(db),
			oauth2ClaimRemoveCommand(db),
		},
	}
}

func oauth2ClaimCreateCommand(db *database) *cli.Command {
	var prefix, attribute, scope string
	var dryRun bool
	claim := claimType("string")
	return &cli.Command{
		Name:  "create",
		Usage: "add a claim",
		Description: "It is made of the attribute NAME, or of that of --attribute. Users who have not that\n" +
			"attribute, or one that does not fit the type, have no such claim. A type list is words\n" +
			"between commas; json is whatever it is.",
		ArgsUsage: "NAME",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "prefix", Usage: "the claim is called `PREFIX` and then NAME, such as https://example.com/NAME", Destination: &prefix},
			&cli.StringFlag{Name: "attribute", Usage: "it is made of the attribute `NAME`, as \"authserver user attribute\" sets it", Destination: &attribute},
			&cli.StringFlag{Name: "scope", Usage: "clients that ask for `SCOPE` get it, one of OpenID Connect or another", Value: "profile", Destination: &scope},
			&cli.GenericFlag{Name: "type", Usage: "it is a `TYPE`: string, integer, boolean, list, json", Value: &claim},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			name := c.Args().First()
			if !c.IsSet("attribute") {
				attribute = name
			}
			name = prefix + name
			if !claimName.MatchString(name) {
				return command.Usagef("a claim's name consists of a letter and at most 126 letters, digits, and _ : . / -")
			}
			if err := checkAttributeName(attribute); err != nil {
				return err
			}
			if _, err := parseScopeToken(scope); err != nil {
				return command.Usagef("--scope: %v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				create := func() error {
					return createOAuth2Claim(ctx, conn, listedClaim{name, attribute, scope, string(claim)})
				}
				if dryRun {
					if err := rehearse(ctx, conn, create); err != nil {
						return err
					}
					say(c, "dry run: would create the claim %s", name)
					return nil
				}
				if err := create(); err != nil {
					return err
				}
				say(c, "Claim %s created", name)
				return nil
			})
		},
	}
}

// claimName is the form of a claim's name. The table auth.oauth2_claims has the
// same.
var claimName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_:./-]{0,126}$`)

// claimType is what the value of a claim is.
type claimType string

func (t *claimType) Set(s string) error {
	s, err := oneOf("string", "integer", "boolean", "list", "json")(s)
	*t = claimType(s)
	return err
}

func (t *claimType) String() string { return string(*t) }

func oauth2ClaimListCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print claims that are made of attributes, by name",
		Flags: []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				claims, err := oauth2Claims(ctx, conn)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, claims, nil)
			})
		},
	}
}

func oauth2ClaimRemoveCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "remove",
		Usage:       "remove claims; the attributes of users stay",
		Description: "Does not ask.",
		ArgsUsage:   "NAME...",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				names := c.Args().Slice()
				found, err := removeOAuth2Claims(ctx, conn, names, true)
				if err != nil {
					return err
				}
				there := map[string]bool{}
				for _, claim := range found {
					there[claim.Name] = true
				}
				var missing []string
				for _, name := range names {
					if !there[name] {
						missing = append(missing, name)
					}
				}
				if len(missing) > 0 {
					return fmt.Errorf("no claim has the name %s; nothing was done", quotedList(missing))
				}
				if dryRun {
					return showDryRun(c, "remove "+plural(len(found), "claim", "claims"), found)
				}
				removed, err := removeOAuth2Claims(ctx, conn, names, false)
				for _, claim := range removed {
					say(c, "Claim %s removed", claim.Name)
				}
				return err
			})
		},
	}
}

// listedClaim is a claim as lists show it.
type listedClaim struct {
	Name      string `json:"name"`
	Attribute string `json:"attribute"`
	Scope     string `json:"scope"`
	Type      string `json:"type"`
}

// createOAuth2Claim calls api.create_oauth2_claim.
func createOAuth2Claim(ctx context.Context, conn *pgx.Conn, claim listedClaim) error {
	outcome, err := queryValue[string](ctx, conn, `select api.create_oauth2_claim($1, $2, $3, $4)`, claim.Name, claim.Attribute, claim.Scope, claim.Type)
	if err != nil {
		return fmt.Errorf("create claim: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "exists":
		return fmt.Errorf("claim %s already exists", claim.Name)
	case "reserved":
		return fmt.Errorf("claim %s has a meaning of its own: --prefix gives this one another name", claim.Name)
	}
	return fmt.Errorf("create claim: unknown outcome %q", outcome)
}

// oauth2Claims calls api.oauth2_claims.
func oauth2Claims(ctx context.Context, conn *pgx.Conn) ([]listedClaim, error) {
	claims, err := queryRows[listedClaim](ctx, conn, `select name, attribute, scope, type from api.oauth2_claims()`)
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	return claims, nil
}

// removeOAuth2Claims calls api.remove_oauth2_claims.
func removeOAuth2Claims(ctx context.Context, conn *pgx.Conn, names []string, dryRun bool) ([]listedClaim, error) {
	claims, err := queryRows[listedClaim](ctx, conn, `select name, attribute, scope, type from api.remove_oauth2_claims($1, $2)`, names, dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove claims: %w", err)
	}
	return claims, nil
}

func oauth2PolicyCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "what users need to sign in to any client",
		Subcommands: []*cli.Command{
			oauth2PolicyShowCommand(db),
			oauth2PolicyEditCommand(db),
		},
	}
}

func oauth2PolicyShowCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:        "show",
		Usage:       "print the permission that every client requires",
		Description: "That none is required is an answer, too: the exit code is 0.",
		Flags:       []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				required, err := oauth2Policy(ctx, conn)
				if err != nil {
					return err
				}
				return printHeldPermissions(c, out, required)
			})
		},
	}
}

func oauth2PolicyEditCommand(db *database) *cli.Command {
	var permission string
	var none, dryRun bool
	return &cli.Command{
		Name:        "edit",
		Usage:       "let every client require a permission, or none",
		Description: "Does not ask. Users without it are refused from then on.\n" + permissionSelectors,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "set-permission", Usage: "users need `PERMISSION`", Destination: &permission},
			&cli.BoolFlag{Name: "unset-permission", Usage: "users need none", Destination: &none},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			if none == c.IsSet("set-permission") {
				return command.Usagef("want either --set-permission or --unset-permission")
			}
			var wanted *string
			if !none {
				wanted = &permission
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				edit := func() error {
					required, err := editOAuth2Policy(ctx, conn, wanted)
					if err != nil {
						return err
					}
					would := ""
					if dryRun {
						would = "dry run: "
					}
					if required == nil {
						say(c, "%sEverybody may sign in to clients", would)
					} else {
						say(c, "%sSigning in to any client takes the permission %s", would, *required)
					}
					return nil
				}
				if dryRun {
					return rehearse(ctx, conn, edit)
				}
				return edit()
			})
		},
	}
}

// oauth2Policy calls api.oauth2_policy.
func oauth2Policy(ctx context.Context, conn *pgx.Conn) ([]heldPermission, error) {
	required, err := queryRows[heldPermission](ctx, conn, `select permission_name, name from api.oauth2_policy()`)
	if err != nil {
		return nil, fmt.Errorf("show policy: %w", err)
	}
	return required, nil
}

// editOAuth2Policy calls api.edit_oauth2_policy. It returns what is required then,
// nil for nothing.
func editOAuth2Policy(ctx context.Context, conn *pgx.Conn, permission *string) (*string, error) {
	edited, err := queryRow[struct {
		Outcome        string
		Detail         []string
		PermissionName *string
	}](ctx, conn, `select outcome, detail, permission_name from api.edit_oauth2_policy($1)`, permission)
	if err != nil {
		return nil, fmt.Errorf("edit policy: %w", err)
	}
	switch edited.Outcome {
	case "ok":
		return edited.PermissionName, nil
	case "unknown":
		return nil, noPermission(edited.Detail)
	case "ambiguous":
		return nil, ambiguousPermission(edited.Detail)
	}
	return nil, fmt.Errorf("edit policy: unknown outcome %q", edited.Outcome)
}

// attributeName is the form of an attribute's name. The table
// auth.user_attributes has the same.
var attributeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

func checkAttributeName(s string) error {
	if !attributeName.MatchString(s) {
		return command.Exit(command.Usage, errors.New("an attribute's name consists of a small letter and at most 62 small letters, digits and _"))
	}
	return nil
}
