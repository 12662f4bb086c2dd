package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
	"golang.org/x/text/unicode/norm"
)

// permissionSelectors is the help text about arguments that name permissions.
const permissionSelectors = "A permission is looked for by what applications ask for (wiki.edit) before its name\n" +
	"for people (Edit the wiki), which several can have."

func permissionsCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "permissions",
		Usage: "what users may use, directly or as members of groups",
		Subcommands: []*cli.Command{
			permissionsCreateCommand(db),
			permissionsListCommand(db),
			permissionsRemoveCommand(db),
			permissionsGrantCommand(db),
			permissionsRevokeCommand(db),
			permissionsRequireCommand(db),
			permissionsDropCommand(db),
			permissionsShowCommand(db),
		},
	}
}

func permissionsCreateCommand(db *database) *cli.Command {
	var name string
	return &cli.Command{
		Name:      "create",
		Usage:     "add a permission that nobody has",
		ArgsUsage: "PERMISSION",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "the `NAME` that people read", Required: true, Destination: &name},
		},
		Action: func(c *cli.Context) error {
			permission, err := parsePermissionName(c.Args().First())
			if err != nil {
				return command.Usagef("%v", err)
			}
			if name, err = account.ParseName(name); err != nil {
				return command.Usagef("--name: %v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := createPermission(ctx, conn, permission, name); err != nil {
					return err
				}
				say(c, "Permission %s created", permission)
				return nil
			})
		},
	}
}

func permissionsListCommand(db *database) *cli.Command {
	var permission, name string
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print permissions",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "filter-permission", Usage: "only those with `TEXT` in what applications ask for", Destination: &permission},
			&cli.StringFlag{Name: "filter-name", Usage: "only those with `TEXT` in the name for people", Destination: &name},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				permissions, err := listPermissions(ctx, conn, permission, name)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, permissions, nil)
			})
		},
	}
}

func permissionsRemoveCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "remove",
		Usage:       "remove a permission; users and groups lose it",
		Description: "Does not ask. One that an OAuth 2.0 client requires stays.\n" + permissionSelectors,
		ArgsUsage:   "PERMISSION",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				loss, err := removePermission(ctx, conn, c.Args().First(), dryRun)
				if err != nil {
					return err
				}
				if dryRun {
					return showDryRun(c, "remove this permission", []permissionLoss{loss})
				}
				say(c, "Permission %s removed", loss.PermissionName)
				return nil
			})
		},
	}
}

func permissionsGrantCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "grant",
		Usage: "give permissions to users and groups, put users into groups",
		Subcommands: []*cli.Command{
			grantCommand(db, "user", "give permissions to a user", "SELECTOR PERMISSION...",
				userSelectors+"\n"+permissionSelectors, grantUserPermissions),
			grantCommand(db, "group", "give permissions to a group", "GROUP PERMISSION...",
				"GROUP is a name or id.\n"+permissionSelectors, grantGroupPermissions),
			grantCommand(db, "membership", "put a user into groups", "SELECTOR GROUP...",
				userSelectors+"\nGROUP is a name or id.", grantMemberships),
		},
	}
}

// grantCommand returns a verb that gives things to who, all of them or none.
func grantCommand(db *database, noun, usage, args, description string,
	grant func(ctx context.Context, conn *pgx.Conn, who string, what []string) (transfer, error)) *cli.Command {
	return &cli.Command{
		Name:        noun,
		Usage:       usage,
		Description: description,
		ArgsUsage:   args,
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				given, err := grant(ctx, conn, c.Args().First(), c.Args().Tail())
				if err != nil {
					return err
				}
				if len(given.Changed) == 0 {
					say(c, "Nothing to do: %s %s has all of this", given.kind, given.Holder)
					return nil
				}
				say(c, "Granted %s %s: %s", given.kind, given.Holder, strings.Join(given.Changed, ", "))
				return nil
			})
		},
	}
}

func permissionsRevokeCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "revoke",
		Usage: "take permissions from users and groups, take users out of groups",
		Subcommands: []*cli.Command{
			revokeCommand(db, "user", "take permissions from a user, who keeps those of their groups", "SELECTOR [PERMISSION...]",
				userSelectors+"\n"+permissionSelectors, revokeUserPermissions),
			revokeCommand(db, "group", "take permissions from a group", "GROUP [PERMISSION...]",
				"GROUP is a name or id.\n"+permissionSelectors, revokeGroupPermissions),
			revokeCommand(db, "membership", "take a user out of groups; a group that is not there is passed over", "SELECTOR [GROUP...]",
				userSelectors+"\nGROUP is a name or id.", revokeMemberships),
		},
	}
}

// revokeCommand returns a verb that takes things from who, all of them or none.
func revokeCommand(db *database, noun, usage, args, description string,
	revoke func(ctx context.Context, conn *pgx.Conn, who string, what []string, dryRun bool) (transfer, error)) *cli.Command {
	var all, dryRun bool
	return &cli.Command{
		Name:        noun,
		Usage:       usage,
		Description: "Does not ask.\n" + description,
		ArgsUsage:   args,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "all of them, whatever else is named", Destination: &all},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			what := c.Args().Tail()
			if all {
				what = nil
			} else if len(what) == 0 {
				return command.Usagef("which ones? Name them, or give --all")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				taken, err := revoke(ctx, conn, c.Args().First(), what, dryRun)
				if err != nil {
					return err
				}
				for _, group := range taken.Detail {
					say(c, "warning: %v", noGroup(group))
				}
				switch {
				case dryRun:
					return showDryRun(c, "revoke these from "+taken.kind+" "+taken.Holder, taken.rows())
				case len(taken.Changed) == 0:
					say(c, "Nothing to do: %s %s has none of this", taken.kind, taken.Holder)
				default:
					say(c, "Revoked from %s %s: %s", taken.kind, taken.Holder, strings.Join(taken.Changed, ", "))
				}
				return nil
			})
		},
	}
}

func permissionsRequireCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "require",
		Usage: "let an OAuth 2.0 client require permissions of its users, all of them; one that is not there is passed over",
		Description: "Users without them are refused from then on.\n" +
			clientSelectors + "\n" + permissionSelectors,
		ArgsUsage: "CLIENT PERMISSION...",
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				required, err := requirePermissions(ctx, conn, c.Args().First(), c.Args().Tail())
				if err != nil {
					return err
				}
				required.warn(c)
				if len(required.Changed) == 0 {
					say(c, "Nothing to do: client %s requires no more by this", required.Name)
					return nil
				}
				say(c, "Client %s requires: %s", required.Name, strings.Join(required.Changed, ", "))
				return nil
			})
		},
	}
}

func permissionsDropCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "drop",
		Usage:       "let an OAuth 2.0 client require permissions no more; one that is not there is passed over",
		Description: "Does not ask.\n" + clientSelectors + "\n" + permissionSelectors,
		ArgsUsage:   "CLIENT PERMISSION...",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				dropped, err := dropPermissions(ctx, conn, c.Args().First(), c.Args().Tail(), dryRun)
				if err != nil {
					return err
				}
				dropped.warn(c)
				switch {
				case dryRun:
					return showDryRun(c, "drop these from client "+dropped.Name, transfer{Changed: dropped.Changed}.rows())
				case len(dropped.Changed) == 0:
					say(c, "Nothing to do: client %s requires none of this", dropped.Name)
				default:
					say(c, "Client %s no longer requires: %s", dropped.Name, strings.Join(dropped.Changed, ", "))
				}
				if len(dropped.Changed) > 0 && dropped.Remaining == 0 {
					say(c, "warning: it requires no permission any more; oauth2 explain says who may use it")
				}
				return nil
			})
		},
	}
}

func permissionsShowCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "show",
		Usage: "print who may use what",
		Subcommands: []*cli.Command{
			permissionsShowUserCommand(db),
			permissionsShowGroupCommand(db),
			permissionsShowApplicationCommand(db),
			permissionsShowMembershipCommand(db),
		},
	}
}

func permissionsShowUserCommand(db *database) *cli.Command {
	var effective bool
	var out format
	return &cli.Command{
		Name:        "user",
		Usage:       "print the permissions that a user has directly",
		Description: userSelectors,
		ArgsUsage:   "SELECTOR",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "effective", Usage: "also those of the user's groups, and where each comes from", Destination: &effective},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				permissions, err := listUserPermissions(ctx, conn, user)
				if err != nil {
					return err
				}
				if effective {
					return printHeld(c, out, permissions, permissions)
				}
				var direct []heldPermission
				for _, p := range permissions {
					if p.Direct {
						direct = append(direct, heldPermission{p.PermissionName, p.Name})
					}
				}
				return printHeldPermissions(c, out, direct)
			})
		},
	}
}

func permissionsShowGroupCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:      "group",
		Usage:     "print the permissions of a group",
		ArgsUsage: "GROUP",
		Flags:     []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				group := c.Args().First()
				if _, err := findGroup(ctx, conn, group); err != nil {
					return err
				}
				permissions, err := listGroupPermissions(ctx, conn, group)
				if err != nil {
					return err
				}
				return printHeldPermissions(c, out, permissions)
			})
		},
	}
}

func permissionsShowApplicationCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:        "application",
		Usage:       "print the permissions that an OAuth 2.0 client requires of its users",
		Description: clientSelectors,
		ArgsUsage:   "CLIENT",
		Flags:       []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				client := c.Args().First()
				if _, err := oneOAuth2Client(ctx, conn, client); err != nil {
					return err
				}
				permissions, err := listClientPermissions(ctx, conn, client)
				if err != nil {
					return err
				}
				return printHeldPermissions(c, out, permissions)
			})
		},
	}
}

func permissionsShowMembershipCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:        "membership",
		Usage:       "print the groups that a user is in, and their permissions",
		Description: userSelectors,
		ArgsUsage:   "SELECTOR",
		Flags:       []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				memberships, err := listMemberships(ctx, conn, user)
				if err != nil {
					return err
				}
				objects := []map[string][]string{}
				for _, m := range memberships {
					objects = append(objects, map[string][]string{m.GroupName: m.Permissions})
				}
				return printHeld(c, out, memberships, objects)
			})
		},
	}
}

// printHeldPermissions prints permissions. In JSON each is an object of its
// own, whose one field has the permission_name for a name.
func printHeldPermissions(c *cli.Context, out format, permissions []heldPermission) error {
	objects := []map[string]string{}
	for _, p := range permissions {
		objects = append(objects, map[string]string{p.PermissionName: p.Name})
	}
	return printHeld(c, out, permissions, objects)
}

// printHeld prints what a user or group has. That this is nothing is an
// answer, too: unlike printList it then prints the head of the table.
func printHeld[T any](c *cli.Context, out format, rows []T, objects any) error {
	switch out.name {
	case "json":
		return printJSON(c.App.Writer, objects)
	case "table":
		return printTable(c.App.Writer, rows)
	}
	return printCSV(c.App.Writer, rows)
}

// parsePermissionName returns the name by which applications ask for a
// permission. Lists of such names are separated by blanks or commas, so it has
// neither. Case is kept.
func parsePermissionName(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("permission is empty")
	case !utf8.ValidString(s):
		return "", errors.New("permission is not valid UTF-8")
	case len(s) > 255:
		return "", errors.New("permission is longer than 255 octets")
	}
	for _, r := range s {
		if r <= ' ' || 0x7f <= r && r <= 0xa0 || r == ',' {
			return "", fmt.Errorf("permission has the character %q", r)
		}
	}
	if !norm.NFC.IsNormalString(s) {
		return "", errors.New("permission is not in Unicode normalization form NFC")
	}
	return s, nil
}

// createPermission calls api.create_permission.
func createPermission(ctx context.Context, conn *pgx.Conn, permission, name string) error {
	outcome, err := queryValue[string](ctx, conn, `select api.create_permission($1, $2)`, permission, name)
	if err != nil {
		return fmt.Errorf("create permission: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "exists":
		return fmt.Errorf("permission %s already exists", permission)
	}
	return fmt.Errorf("create permission: unknown outcome %q", outcome)
}

// listedPermission is a permission as the list shows it.
type listedPermission struct {
	PermissionName string `json:"permission_name"`
	Name           string `json:"name"`
	ID             int64  `json:"id"`
}

// listPermissions calls api.list_permissions. Empty texts are part of all.
func listPermissions(ctx context.Context, conn *pgx.Conn, permission, name string) ([]listedPermission, error) {
	permissions, err := queryRows[listedPermission](ctx, conn,
		`select permission_name, name, id from api.list_permissions($1, $2)`, permission, name)
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return permissions, nil
}

// permissionLoss is a permission, and how many lose it.
type permissionLoss struct {
	PermissionName string `json:"permission_name"`
	Name           string `json:"name"`
	Users          int    `json:"users"`
	Groups         int    `json:"groups"`
}

// removePermission calls api.remove_permission.
func removePermission(ctx context.Context, conn *pgx.Conn, selector string, dryRun bool) (permissionLoss, error) {
	removed, err := queryRow[struct {
		Outcome string
		Detail  []string
		permissionLoss
	}](ctx, conn,
		`select outcome, detail, coalesce(permission_name, '') as permission_name, coalesce(name, '') as name,
		        coalesce(users, 0) as users, coalesce(groups, 0) as groups
		   from api.remove_permission($1, $2)`, selector, dryRun)
	if err != nil {
		return permissionLoss{}, fmt.Errorf("remove permission: %w", err)
	}
	switch removed.Outcome {
	case "ok":
		return removed.permissionLoss, nil
	case "unknown":
		return permissionLoss{}, noPermission([]string{selector})
	case "ambiguous":
		return permissionLoss{}, ambiguousPermission(removed.Detail)
	case "required":
		return permissionLoss{}, fmt.Errorf("the clients %s require the permission of their users: permissions drop takes it from them", strings.Join(removed.Detail, ", "))
	case "global":
		return permissionLoss{}, errors.New("every client requires the permission of its users: oauth2 policy edit lets them require another, or none")
	}
	return permissionLoss{}, fmt.Errorf("remove permission: unknown outcome %q", removed.Outcome)
}

// noPermission is the error for texts that mean no permission.
func noPermission(selectors []string) error {
	return fmt.Errorf("no permission has the name %s; nothing was done", quotedList(selectors))
}

// ambiguousPermission is the error for a name that several permissions have.
func ambiguousPermission(permissions []string) error {
	return fmt.Errorf("one name is that of the permissions %s; nothing was done", strings.Join(permissions, ", "))
}

// quotedList returns `"a" or "b"`.
func quotedList(texts []string) string {
	var quoted []string
	for _, t := range texts {
		quoted = append(quoted, fmt.Sprintf("%q", t))
	}
	return strings.Join(quoted, " or ")
}

// transfer is what a call has given to or taken from a user or group: what it
// did not have, or had.
type transfer struct {
	Outcome string
	Detail  []string
	Holder  string // its identifier or name
	Changed []string

	kind string // user, group
}

// rows returns a table row for each thing.
func (t transfer) rows() []transferRow {
	var rows []transferRow
	for _, name := range t.Changed {
		rows = append(rows, transferRow{name})
	}
	return rows
}

type transferRow struct {
	Name string `json:"name"`
}

// grantUserPermissions calls api.grant_user_permissions.
func grantUserPermissions(ctx context.Context, conn *pgx.Conn, user string, permissions []string) (transfer, error) {
	return transferTo(ctx, conn, "user", "grant permissions", userSelector(user),
		`select outcome, detail, coalesce(identifier, '') as holder, changed from api.grant_user_permissions($1, $2)`, permissions)
}

// grantGroupPermissions calls api.grant_group_permissions.
func grantGroupPermissions(ctx context.Context, conn *pgx.Conn, group string, permissions []string) (transfer, error) {
	return transferTo(ctx, conn, "group", "grant permissions", group,
		`select outcome, detail, coalesce(name, '') as holder, changed from api.grant_group_permissions($1, $2)`, permissions)
}

// grantMemberships calls api.grant_memberships.
func grantMemberships(ctx context.Context, conn *pgx.Conn, user string, groups []string) (transfer, error) {
	return transferTo(ctx, conn, "user", "grant memberships", userSelector(user),
		`select outcome, detail, coalesce(identifier, '') as holder, changed from api.grant_memberships($1, $2)`, groups)
}

// revokeUserPermissions calls api.revoke_user_permissions; nil is all.
func revokeUserPermissions(ctx context.Context, conn *pgx.Conn, user string, permissions []string, dryRun bool) (transfer, error) {
	return transferTo(ctx, conn, "user", "revoke permissions", userSelector(user),
		`select outcome, detail, coalesce(identifier, '') as holder, changed from api.revoke_user_permissions($1, $2, $3)`, permissions, dryRun)
}

// revokeGroupPermissions calls api.revoke_group_permissions; nil is all.
func revokeGroupPermissions(ctx context.Context, conn *pgx.Conn, group string, permissions []string, dryRun bool) (transfer, error) {
	return transferTo(ctx, conn, "group", "revoke permissions", group,
		`select outcome, detail, coalesce(name, '') as holder, changed from api.revoke_group_permissions($1, $2, $3)`, permissions, dryRun)
}

// revokeMemberships calls api.revoke_memberships; nil is all. Detail is what
// means no group.
func revokeMemberships(ctx context.Context, conn *pgx.Conn, user string, groups []string, dryRun bool) (transfer, error) {
	return transferTo(ctx, conn, "user", "revoke memberships", userSelector(user),
		`select outcome, detail, coalesce(identifier, '') as holder, changed from api.revoke_memberships($1, $2, $3)`, groups, dryRun)
}

// transferTo runs a query of the functions above.
func transferTo(ctx context.Context, conn *pgx.Conn, kind, doing, who, query string, args ...any) (transfer, error) {
	t, err := queryRow[transfer](ctx, conn, query, append([]any{who}, args...)...)
	if err != nil {
		return transfer{}, fmt.Errorf("%s: %w", doing, err)
	}
	t.kind = kind
	switch t.Outcome {
	case "ok":
		return t, nil
	case "no_user":
		return transfer{}, fmt.Errorf("no user is meant by %q", who)
	case "no_group":
		return transfer{}, noGroup(who)
	case "unknown":
		return transfer{}, noPermission(t.Detail)
	case "ambiguous":
		return transfer{}, ambiguousPermission(t.Detail)
	case "unknown_group":
		return transfer{}, fmt.Errorf("no group has the name or id %s; nothing was done", quotedList(t.Detail))
	}
	return transfer{}, fmt.Errorf("%s: unknown outcome %q", doing, t.Outcome)
}

// heldPermission is a permission of a user or group.
type heldPermission struct {
	PermissionName string `json:"permission_name"`
	Name           string `json:"name"`
}

// effectivePermission is a permission of a user, and where it comes from.
type effectivePermission struct {
	PermissionName string   `json:"permission_name"`
	Name           string   `json:"name"`
	Direct         bool     `json:"direct"`
	Groups         []string `json:"groups"`
}

// listUserPermissions calls api.list_user_permissions.
func listUserPermissions(ctx context.Context, conn *pgx.Conn, user listedUser) ([]effectivePermission, error) {
	permissions, err := queryRows[effectivePermission](ctx, conn,
		`select permission_name, name, direct, groups from api.list_user_permissions($1)`, user.UUID)
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return permissions, nil
}

// listGroupPermissions calls api.list_group_permissions.
func listGroupPermissions(ctx context.Context, conn *pgx.Conn, group string) ([]heldPermission, error) {
	permissions, err := queryRows[heldPermission](ctx, conn,
		`select permission_name, name from api.list_group_permissions($1)`, group)
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return permissions, nil
}

// membership is a group that a user is in.
type membership struct {
	GroupName   string   `json:"group"`
	Permissions []string `json:"permissions"`
}

// listMemberships calls api.list_memberships.
func listMemberships(ctx context.Context, conn *pgx.Conn, user listedUser) ([]membership, error) {
	memberships, err := queryRows[membership](ctx, conn,
		`select group_name, permissions from api.list_memberships($1)`, user.UUID)
	if err != nil {
		return nil, fmt.Errorf("list memberships: %w", err)
	}
	return memberships, nil
}

// requirement is what a call has changed of what a client requires of its users.
type requirement struct {
	Outcome   string
	Detail    []string
	Name      string
	Changed   []string
	Remaining int // what it requires after a call of dropPermissions
}

// warn says which permissions were passed over.
func (r requirement) warn(c *cli.Context) {
	for _, permission := range r.Detail {
		say(c, "warning: no permission has the name %q", permission)
	}
}

// requirePermissions calls api.require_permissions. Detail is what means no
// permission.
func requirePermissions(ctx context.Context, conn *pgx.Conn, client string, permissions []string) (requirement, error) {
	return changeRequirement(ctx, conn, "require permissions", client,
		`select outcome, detail, coalesce(name, '') as name, changed, 0 as remaining from api.require_permissions($1, $2)`, permissions)
}

// dropPermissions calls api.drop_permissions. Detail is what means no permission.
func dropPermissions(ctx context.Context, conn *pgx.Conn, client string, permissions []string, dryRun bool) (requirement, error) {
	return changeRequirement(ctx, conn, "drop permissions", client,
		`select outcome, detail, coalesce(name, '') as name, changed, coalesce(remaining, 0) as remaining from api.drop_permissions($1, $2, $3)`, permissions, dryRun)
}

// changeRequirement runs a query of the functions above.
func changeRequirement(ctx context.Context, conn *pgx.Conn, doing, client, query string, args ...any) (requirement, error) {
	r, err := queryRow[requirement](ctx, conn, query, append([]any{client}, args...)...)
	if err != nil {
		return requirement{}, fmt.Errorf("%s: %w", doing, err)
	}
	switch r.Outcome {
	case "ok":
		return r, nil
	case "no_client":
		return requirement{}, noOAuth2Client(client)
	case "ambiguous":
		return requirement{}, ambiguousPermission(r.Detail)
	}
	return requirement{}, fmt.Errorf("%s: unknown outcome %q", doing, r.Outcome)
}

// listClientPermissions calls api.list_client_permissions.
func listClientPermissions(ctx context.Context, conn *pgx.Conn, client string) ([]heldPermission, error) {
	permissions, err := queryRows[heldPermission](ctx, conn,
		`select permission_name, name from api.list_client_permissions($1)`, client)
	if err != nil {
		return nil, fmt.Errorf("list permissions: %w", err)
	}
	return permissions, nil
}
