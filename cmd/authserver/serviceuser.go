package main

import (
	"context"
	"errors"
	"fmt"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// serviceUserLimits is the help text about limits on generated passwords.
const serviceUserLimits = "--service, --network and --expires are for generated passwords. A server that looks\n" +
	"up the password hash by SQL tells no client address, and its service only as the\n" +
	"permission it requires: it refuses a password that is limited to networks, or to\n" +
	"other services."

func serviceUserCommand(db *database, profile *account.Profile) *cli.Command {
	return &cli.Command{
		Name:  "serviceuser",
		Usage: "further login names of users, each with a password of its own",
		Subcommands: []*cli.Command{
			serviceUserCreateCommand(db, profile),
			serviceUserListCommand(db),
			serviceUserEditCommand(db, profile),
			serviceUserRemoveCommand(db),
		},
	}
}

func serviceUserCreateCommand(db *database, profile *account.Profile) *cli.Command {
	var selector, username, description string
	var password command.Secret
	var limit appPasswordLimits
	var out format
	return &cli.Command{
		Name:  "create",
		Usage: "add a service user; a password that is generated for it is printed",
		Description: "Without --password an app password is generated, which is shown this once. The\n" +
			"user must have a delivery mailbox.\n" + serviceUserLimits,
		Flags: append(limit.flags(),
			userFlag(&selector, "the user behind it", true),
			&cli.StringFlag{Name: "username", Usage: "`NAME` to log in with (default: a random UUID)", Destination: &username},
			&cli.StringFlag{Name: "description", Usage: "`TEXT` that tells it from others", Destination: &description},
			passwordFlag("password", &password),
			out.objectFlag()),
		Action: func(c *cli.Context) error {
			name, err := givenLoginName(c, "username", username)
			if err != nil {
				return err
			}
			if err := checkDescription(description); err != nil {
				return err
			}
			if c.IsSet("password") && limit.given() {
				return command.Usagef("--service, --network and --expires are for generated passwords")
			}
			hash, err := givenPassword(c, "password", password, *profile)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, selector)
				if err != nil {
					return err
				}
				made, err := createServiceUser(ctx, conn, user, name, description, newCredential{hash, hash == nil, limit})
				if err != nil {
					return err
				}
				say(c, "Service user %s of %s created", made.Username, user.Identifier)
				return made.print(c, out)
			})
		},
	}
}

func serviceUserListCommand(db *database) *cli.Command {
	var selector, contains string
	var out format
	return &cli.Command{
		Name:        "list",
		Aliases:     []string{"show"},
		Usage:       "print service users: all, or those with these names or ids",
		Description: "A name is looked for before an id.",
		ArgsUsage:   "[NAME|ID...]",
		Flags: []cli.Flag{
			userFlag(&selector, "only those of this user", false),
			containsFlag(&contains, "only those with `TEXT` in name or description"),
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := optionalUser(ctx, c, conn, "user", selector)
				if err != nil {
					return err
				}
				found, err := findServiceUsers(ctx, conn, c.Args().Slice(), contains, user)
				return printFound(c.App.Writer, out, found, err)
			})
		},
	}
}

func serviceUserEditCommand(db *database, profile *account.Profile) *cli.Command {
	var selector, username, description string
	var password command.Secret
	var generate bool
	var limit appPasswordLimits
	var g consent
	var out format
	return &cli.Command{
		Name:  "edit",
		Usage: "change service users; what no flag names stays as it is",
		Description: "Asks if there is more than one. A new password replaces the old one; an app password\n" +
			"that is replaced is revoked.\n" + serviceUserLimits,
		ArgsUsage: "NAME|ID...",
		Flags: append(append(g.flags(), limit.flags()...),
			&cli.StringFlag{Name: "set-username", Usage: "`NAME` to log in with, for one service user", Destination: &username},
			&cli.StringFlag{Name: "set-description", Usage: "`TEXT` that tells it from others", Destination: &description},
			&cli.StringFlag{Name: "set-user", Usage: "the user behind it: `SELECTOR`, a UUID, identifier, address or name of a service user", Destination: &selector},
			passwordFlag("set-password", &password),
			&cli.BoolFlag{Name: "new-password", Usage: "generate an app password, and print it", Destination: &generate},
			out.objectFlag()),
		Action: func(c *cli.Context) error {
			var change serviceUserChange
			var err error
			if change.username, err = givenLoginName(c, "set-username", username); err != nil {
				return err
			}
			if err := checkDescription(description); err != nil {
				return err
			}
			if c.IsSet("set-description") {
				change.description = &description
			}
			switch {
			case c.IsSet("set-password") && generate:
				return command.Usagef("--set-password and --new-password exclude each other")
			case limit.given() && !generate:
				return command.Usagef("--service, --network and --expires are for --new-password")
			case change == (serviceUserChange{}) && !generate && !c.IsSet("set-user") && !c.IsSet("set-password"):
				return command.Usagef("there is nothing to change")
			}
			hash, err := givenPassword(c, "set-password", password, *profile)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findServiceUsers(ctx, conn, c.Args().Slice(), "", nil)
				if err != nil {
					return err
				}
				if len(found) > 1 && (change.username != nil || hash != nil || generate) {
					return command.Usagef("a name or password is for one service user, and %d are selected", len(found))
				}
				if change.user, err = optionalUser(ctx, c, conn, "set-user", selector); err != nil {
					return err
				}
				var made madeServiceUser
				edit := func() (err error) {
					made, err = editServiceUsers(ctx, conn, found, change, newCredential{hash, generate, limit})
					return err
				}
				if ok, err := askToChange(ctx, c, conn, g, "edit "+plural(len(found), "service user", "service users"), found, edit); err != nil || !ok {
					return err
				}
				if err := edit(); err != nil {
					return err
				}
				for _, s := range found {
					say(c, "Service user %s edited", s.Username)
				}
				return made.print(c, out)
			})
		},
	}
}

func serviceUserRemoveCommand(db *database) *cli.Command {
	var g consent
	return &cli.Command{
		Name:      "remove",
		Usage:     "remove service users with their app passwords",
		ArgsUsage: "NAME|ID...",
		Flags:     g.flags(),
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findServiceUsers(ctx, conn, c.Args().Slice(), "", nil)
				if err != nil {
					return err
				}
				removed, err := askToRemove(c, g, plural(len(found), "service user", "service users"), func(dryRun bool) ([]serviceUserLoss, error) {
					return removeServiceUsers(ctx, conn, found, dryRun)
				})
				for _, s := range removed {
					say(c, "Service user %s removed", s.Username)
				}
				return err
			})
		},
	}
}

// givenLoginName returns the login name that the flag of this name has, or nil
// without the flag.
func givenLoginName(c *cli.Context, flag, value string) (*string, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	name, err := account.ParseLoginName(value)
	if err != nil {
		return nil, command.Usagef("--%s: %v", flag, err)
	}
	return &name, nil
}

// newCredential is what a service user is to log in with: the password with
// this hash, or one that is generated within limits; or, with neither, what it
// had.
type newCredential struct {
	hash     *string
	generate bool
	limit    appPasswordLimits
}

// args returns what the last seven parameters of api.create_service_user and
// api.edit_service_users get, and the app password among them, if any.
func (n newCredential) args() ([]any, *account.AppPassword, error) {
	if !n.generate {
		return []any{n.hash, nil, nil, nil, nil, nil, nil}, nil, nil
	}
	password, err := generateAppPassword()
	if err != nil {
		return nil, nil, err
	}
	hash := password.SHA256()
	args := []any{nil, password.ID(), hash[:], password.crypt, n.limit.services, n.limit.networks, n.limit.expires.at}
	return args, &password.AppPassword, nil
}

// madeServiceUser is a service user and the app password that was generated
// for it, if one was.
type madeServiceUser struct {
	ID, Username, User string
	password           *account.AppPassword
}

// print prints the generated password, which nobody can ask for again.
func (m madeServiceUser) print(c *cli.Context, out format) error {
	if out.name == "json" {
		var password *string
		if m.password != nil {
			text := m.password.Text()
			password = &text
		}
		return printJSON(c.App.Writer, struct {
			ID             string  `json:"id"`
			Username       string  `json:"username"`
			UserIdentifier string  `json:"user_identifier"`
			Password       *string `json:"password"`
		}{m.ID, m.Username, m.User, password})
	}
	if m.password == nil {
		return nil
	}
	_, err := fmt.Fprintln(c.App.Writer, m.password.Text())
	return err
}

// createServiceUser calls api.create_service_user. A nil name is a random UUID.
func createServiceUser(ctx context.Context, conn *pgx.Conn, user listedUser, name *string, description string, with newCredential) (madeServiceUser, error) {
	for range maxIDsTaken {
		args, password, err := with.args()
		if err != nil {
			return madeServiceUser{}, err
		}
		made, err := queryRow[struct {
			Outcome       string
			ServiceUserID *string
			Username      string
		}](ctx, conn,
			`select outcome, service_user_id::text, username
			   from api.create_service_user($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			append([]any{user.UUID, name, description}, args...)...)
		if err != nil {
			return madeServiceUser{}, fmt.Errorf("create service user: %w", err)
		}
		switch made.Outcome {
		case "ok":
			return madeServiceUser{*made.ServiceUserID, made.Username, user.Identifier, password}, nil
		case "gone":
			return madeServiceUser{}, userGone([]listedUser{user}, user.UUID)
		case "id_taken":
		default:
			return madeServiceUser{}, serviceUserRefused("create service user", made.Outcome, made.Username, user.Identifier)
		}
	}
	return madeServiceUser{}, errIDsTaken
}

// serviceUserRefused returns the error for the outcomes that creating and
// editing service users have in common.
func serviceUserRefused(doing, outcome, username, identifier string) error {
	switch outcome {
	case "exists":
		return fmt.Errorf("service user %q already exists", username)
	case "taken":
		return fmt.Errorf("%q is the identifier of a user", username)
	case "no_mailbox":
		return fmt.Errorf("%s has no delivery mailbox: authserver user set-delivery-mailbox chooses one", identifier)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

// listedServiceUser is a service user as lists show it. AppPassword is the id
// of a generated password.
type listedServiceUser struct {
	ID             string  `json:"id"`
	Username       string  `json:"username"`
	Description    string  `json:"description"`
	UserIdentifier string  `json:"user_identifier"`
	UserUUID       string  `json:"user_uuid"`
	AppPassword    *string `json:"app_password"`
}

// foundServiceUser is the service user that a selector means, if there is one.
type foundServiceUser struct {
	Selector string
	listedServiceUser
}

func (f foundServiceUser) match() (selector, id string, row listedServiceUser) {
	return f.Selector, f.ID, f.listedServiceUser
}

// findServiceUsers calls api.find_service_users. Without selectors it returns
// all that the filters let through; a nil user is everybody.
func findServiceUsers(ctx context.Context, conn *pgx.Conn, selectors []string, contains string, user *listedUser) ([]listedServiceUser, error) {
	found, err := queryRows[foundServiceUser](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id::text, '') as id, coalesce(username, '') as username,
		        coalesce(description, '') as description, coalesce(user_identifier, '') as user_identifier,
		        coalesce(user_id::text, '') as user_uuid, app_password_id as app_password
		   from api.find_service_users(nullif($1::text[], '{}'), nullif($2, ''), $3)`, selectors, contains, idOf(user))
	if err != nil {
		return nil, fmt.Errorf("find service users: %w", err)
	}
	return matches(found, "service user has the name or id")
}

// serviceUserChange is what editServiceUsers changes besides the password:
// what is not nil.
type serviceUserChange struct {
	username, description *string
	user                  *listedUser
}

// editServiceUsers calls api.edit_service_users. What it returns is about one
// service user only.
func editServiceUsers(ctx context.Context, conn *pgx.Conn, edited []listedServiceUser, change serviceUserChange, with newCredential) (madeServiceUser, error) {
	made := madeServiceUser{ID: edited[0].ID, Username: edited[0].Username, User: edited[0].UserIdentifier}
	if change.username != nil {
		made.Username = *change.username
	}
	if change.user != nil {
		made.User = change.user.Identifier
	}
	for range maxIDsTaken {
		args, password, err := with.args()
		if err != nil {
			return madeServiceUser{}, err
		}
		made.password = password
		refused, err := queryRow[struct {
			Outcome       string
			ServiceUserID *string
		}](ctx, conn,
			`select outcome, service_user_id::text
			   from api.edit_service_users($1::bigint[], $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			append([]any{serviceUserIDs(edited), change.username, change.description, idOf(change.user)}, args...)...)
		if err != nil {
			return madeServiceUser{}, fmt.Errorf("edit service users: %w", err)
		}
		switch refused.Outcome {
		case "ok":
			return made, nil
		case "gone":
			return madeServiceUser{}, fmt.Errorf("service user %s is no longer there; nothing was done", nameOf(edited, *refused.ServiceUserID))
		case "several":
			return madeServiceUser{}, errors.New("a name or password cannot be that of several service users")
		case "no_user":
			return madeServiceUser{}, userGone([]listedUser{*change.user}, change.user.UUID)
		case "id_taken":
		default:
			return madeServiceUser{}, serviceUserRefused("edit service users", refused.Outcome, made.Username, made.User)
		}
	}
	return madeServiceUser{}, errIDsTaken
}

func nameOf(list []listedServiceUser, id string) string {
	for _, s := range list {
		if s.ID == id {
			return s.Username
		}
	}
	return id
}

// serviceUserLoss is a service user and the app password that goes with it.
type serviceUserLoss struct {
	ID             string  `json:"id"`
	Username       string  `json:"username"`
	UserIdentifier string  `json:"user_identifier"`
	AppPasswordID  *string `json:"app_password"`
}

// removeServiceUsers calls api.remove_service_users.
func removeServiceUsers(ctx context.Context, conn *pgx.Conn, list []listedServiceUser, dryRun bool) ([]serviceUserLoss, error) {
	loss, err := queryRows[serviceUserLoss](ctx, conn,
		`select id::text, username, user_identifier, app_password_id from api.remove_service_users($1::bigint[], $2)`,
		serviceUserIDs(list), dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove service users: %w", err)
	}
	return loss, nil
}

func serviceUserIDs(list []listedServiceUser) []string {
	var ids []string
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}
