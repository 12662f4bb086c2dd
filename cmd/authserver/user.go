package main

import (
	"context"
	"errors"
	"fmt"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// userSelectors is the help text about arguments that select users.
const userSelectors = "A SELECTOR is a user's UUID, identifier or address, or the name of one of the\n" +
	"user's service users; the first of these that fits is meant."

func userCommand(db *database, profile *account.Profile) *cli.Command {
	return &cli.Command{
		Name:  "user",
		Usage: "the people who log in and receive mail",
		Subcommands: []*cli.Command{
			userCreateCommand(db, profile),
			userListCommand(db),
			userEditCommand(db, profile),
			userPasswordCommand(db, profile),
			userActivateCommand(db, "activate", "let users log in and receive mail", true),
			userActivateCommand(db, "deactivate", "keep users from logging in and receiving mail; nothing of theirs is removed", false),
			userSetDeliveryMailboxCommand(db),
			userRemoveCommand(db),
			userAttributeCommand(db),
		},
	}
}

func userCreateCommand(db *database, profile *account.Profile) *cli.Command {
	var password command.Secret
	var staff bool
	return &cli.Command{
		Name:        "create",
		Usage:       "add a user, who has no mailbox yet",
		Description: "Without --password the user has none, and cannot log in with one.",
		ArgsUsage:   "IDENTIFIER FULLNAME",
		Flags: []cli.Flag{
			passwordFlag("password", &password),
			&cli.BoolFlag{Name: "staff", Usage: "the user may use the pages of administrators", Destination: &staff},
		},
		Action: func(c *cli.Context) error {
			identifier, err := account.ParseLoginName(c.Args().Get(0))
			if err != nil {
				return command.Usagef("%v", err)
			}
			fullName, err := account.ParseName(c.Args().Get(1))
			if err != nil {
				return command.Usagef("full %v", err)
			}
			hash, err := givenPassword(c, "password", password, *profile)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := createUser(ctx, conn, identifier, fullName, hash, staff); err != nil {
					return err
				}
				say(c, "User %s created", identifier)
				return nil
			})
		},
	}
}

func userListCommand(db *database) *cli.Command {
	var contains string
	var active, inactive bool
	var out format
	return &cli.Command{
		Name:        "list",
		Aliases:     []string{"show"},
		Usage:       "print users: all, or those that are selected",
		Description: userSelectors,
		ArgsUsage:   "[SELECTOR...]",
		Flags: []cli.Flag{
			containsFlag(&contains, "only those with `TEXT` in identifier or full name"),
			&cli.BoolFlag{Name: "active", Usage: "only active users", Destination: &active},
			&cli.BoolFlag{Name: "inactive", Usage: "only users who are not active", Destination: &inactive},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			if active && inactive {
				return command.Usagef("--active and --inactive exclude each other")
			}
			var wanted *bool
			if active || inactive {
				wanted = &active
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				users, err := findUsers(ctx, conn, c.Args().Slice(), contains, wanted)
				return printFound(c.App.Writer, out, users, err)
			})
		},
	}
}

func userEditCommand(db *database, profile *account.Profile) *cli.Command {
	var identifier, fullName string
	var password command.Secret
	var staff, noStaff, noPassword bool
	var g consent
	return &cli.Command{
		Name:        "edit",
		Usage:       "change users; what no flag names stays as it is",
		Description: userSelectors + "\nAsks if there is more than one.",
		ArgsUsage:   "SELECTOR...",
		Flags: append(g.flags(),
			&cli.StringFlag{Name: "set-identifier", Usage: "`NAME` to log in with, for one user", Destination: &identifier},
			&cli.StringFlag{Name: "set-fullname", Usage: "the `NAME` that people read", Destination: &fullName},
			passwordFlag("set-password", &password),
			&cli.BoolFlag{Name: "unset-password", Usage: "nobody can log in with a password of the user", Destination: &noPassword},
			&cli.BoolFlag{Name: "set-staff", Usage: "the user may use the pages of administrators", Destination: &staff},
			&cli.BoolFlag{Name: "unset-staff", Usage: "the user may not", Destination: &noStaff},
		),
		Action: func(c *cli.Context) error {
			var change userChange
			var err error
			if c.IsSet("set-identifier") {
				if identifier, err = account.ParseLoginName(identifier); err != nil {
					return command.Usagef("%v", err)
				}
				change.identifier = &identifier
			}
			if c.IsSet("set-fullname") {
				if fullName, err = account.ParseName(fullName); err != nil {
					return command.Usagef("full %v", err)
				}
				change.fullName = &fullName
			}
			switch {
			case staff && noStaff:
				return command.Usagef("--set-staff and --unset-staff exclude each other")
			case c.IsSet("set-password") && noPassword:
				return command.Usagef("--set-password and --unset-password exclude each other")
			}
			if staff || noStaff {
				change.staff = &staff
			}
			change.removePassword = noPassword
			if change == (userChange{}) && !c.IsSet("set-password") {
				return command.Usagef("there is nothing to change")
			}
			if change.passwordHash, err = givenPassword(c, "set-password", password, *profile); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				return changeUsers(ctx, c, conn, g, "edit", "edited", change)
			})
		},
	}
}

func userPasswordCommand(db *database, profile *account.Profile) *cli.Command {
	var password command.Secret
	return &cli.Command{
		Name:        "password",
		Usage:       "set a user's password: asks for it on the terminal",
		Description: userSelectors,
		ArgsUsage:   "SELECTOR",
		Flags:       []cli.Flag{passwordFlag("password", &password)},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				if password, err = readPassword(c, "password", password); err != nil {
					return err
				}
				hash, err := account.Hash(ctx, string(password), *profile)
				if err != nil {
					return err
				}
				if err := editUsers(ctx, conn, []listedUser{user}, userChange{passwordHash: &hash}); err != nil {
					return err
				}
				say(c, "Password of %s set", user.Identifier)
				return nil
			})
		},
	}
}

func userActivateCommand(db *database, name, usage string, active bool) *cli.Command {
	var g consent
	return &cli.Command{
		Name:        name,
		Usage:       usage,
		Description: userSelectors + "\nAsks if there is more than one.",
		ArgsUsage:   "SELECTOR...",
		Flags:       g.flags(),
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				return changeUsers(ctx, c, conn, g, name, name+"d", userChange{active: &active})
			})
		},
	}
}

// changeUsers changes the users whom the arguments select. do and done are the
// verb.
func changeUsers(ctx context.Context, c *cli.Context, conn *pgx.Conn, g consent, do, done string, change userChange) error {
	users, err := findUsers(ctx, conn, c.Args().Slice(), "", nil)
	if err != nil {
		return err
	}
	if (change.identifier != nil || change.passwordHash != nil) && len(users) > 1 {
		return command.Usagef("an identifier or password is for one user, and %d are selected", len(users))
	}
	edit := func() error { return editUsers(ctx, conn, users, change) }
	if ok, err := askToChange(ctx, c, conn, g, do+" "+plural(len(users), "user", "users"), users, edit); err != nil || !ok {
		return err
	}
	if err := edit(); err != nil {
		return err
	}
	for _, u := range users {
		say(c, "User %s %s", u.Identifier, done)
	}
	return nil
}

func userSetDeliveryMailboxCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:        "set-delivery-mailbox",
		Usage:       "make an address of a user the mailbox that receives all the user's mail",
		Description: userSelectors,
		ArgsUsage:   "SELECTOR ADDRESS",
		Action: func(c *cli.Context) error {
			mailbox, err := address.ParseAddress(c.Args().Get(1))
			if err != nil {
				return command.Usagef("%v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				if err := setDeliveryMailbox(ctx, conn, user, mailbox); err != nil {
					return err
				}
				say(c, "Mail for %s goes to %s", user.Identifier, mailbox)
				return nil
			})
		},
	}
}

func userRemoveCommand(db *database) *cli.Command {
	var g consent
	return &cli.Command{
		Name:  "remove",
		Usage: "remove users with everything that is theirs",
		Description: userSelectors + "\n" +
			"With a user go the addresses, service users, app passwords and email agent tokens\n" +
			"that are shown. Mailing lists stay, without an owner.",
		ArgsUsage: "SELECTOR...",
		Flags:     g.flags(),
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				users, err := findUsers(ctx, conn, c.Args().Slice(), "", nil)
				if err != nil {
					return err
				}
				removed, err := askToRemove(c, g, plural(len(users), "user", "users"), func(dryRun bool) ([]userLoss, error) {
					return removeUsers(ctx, conn, users, dryRun)
				})
				for _, u := range removed {
					say(c, "User %s removed", u.Identifier)
				}
				return err
			})
		},
	}
}

// givenPassword returns the hash of the password that the flag of this name
// has or points to, or nil without the flag.
func givenPassword(c *cli.Context, name string, password command.Secret, profile account.Profile) (*string, error) {
	if !c.IsSet(name) {
		return nil, nil
	}
	password, err := readPassword(c, name, password)
	if err != nil {
		return nil, err
	}
	hash, err := account.Hash(c.Context, string(password), profile)
	if err != nil {
		return nil, err
	}
	return &hash, nil
}

// createUser calls api.create_user. A nil hash is no password.
func createUser(ctx context.Context, conn *pgx.Conn, identifier, fullName string, hash *string, staff bool) error {
	outcome, err := queryValue[string](ctx, conn,
		`select outcome from api.create_user($1, $2, $3, $4)`, identifier, fullName, hash, staff)
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	if outcome == "ok" {
		return nil
	}
	return identifierRefused("create user", outcome, identifier)
}

// identifierRefused returns the error for an outcome of auth.claim_login_name.
func identifierRefused(doing, outcome, identifier string) error {
	switch outcome {
	case "exists":
		return fmt.Errorf("user %q already exists", identifier)
	case "taken":
		return fmt.Errorf("%q is the name of a service user", identifier)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

// listedUser is a user as lists show it.
type listedUser struct {
	UUID            string  `json:"uuid"`
	Identifier      string  `json:"identifier"`
	FullName        string  `json:"fullname"`
	DeliveryMailbox *string `json:"delivery_mailbox"`
	IsActive        bool    `json:"is_active"`
	IsStaff         bool    `json:"is_staff"`
}

// foundUser is the user that a selector means, if there is one.
type foundUser struct {
	Selector string
	listedUser
}

func (f foundUser) match() (selector, id string, row listedUser) {
	return f.Selector, f.UUID, f.listedUser
}

// findUsers calls api.find_users. Without selectors it returns all users whom
// the filters let through. With an error about selectors that mean nobody come
// the users that the others mean.
func findUsers(ctx context.Context, conn *pgx.Conn, selectors []string, contains string, active *bool) ([]listedUser, error) {
	wanted := make([]string, len(selectors))
	for i, s := range selectors {
		wanted[i] = userSelector(s)
	}
	found, err := queryRows[foundUser](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id::text, '') as uuid, coalesce(identifier, '') as identifier,
		        coalesce(full_name, '') as full_name, delivery_mailbox, coalesce(active, false) as is_active, coalesce(staff, false) as is_staff
		   from api.find_users(nullif($1::text[], '{}'), nullif($2, ''), $3)`, wanted, contains, active)
	if err != nil {
		return nil, fmt.Errorf("find users: %w", err)
	}
	return matches(found, "user is meant by")
}

// userSelector returns a selector as the database knows it: an address may
// have been typed with a domain in U-labels.
func userSelector(s string) string {
	if a, err := address.ParseAddress(s); err == nil {
		return a.String()
	}
	return s
}

// userFlag returns --user, which selects a user.
func userFlag(selector *string, usage string, required bool) cli.Flag {
	return &cli.StringFlag{
		Name: "user", Aliases: []string{"u"},
		Usage: usage + ": `SELECTOR`, a UUID, identifier, address or name of a service user", Destination: selector, Required: required,
	}
}

// optionalUser returns the user that the selector of the flag of this name
// means, or nil without that flag: an empty selector, which a script may have
// got from nowhere, is not everybody.
func optionalUser(ctx context.Context, c *cli.Context, conn *pgx.Conn, flag, selector string) (*listedUser, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	user, err := oneUser(ctx, conn, selector)
	return &user, err
}

// idOf returns a user's id as a stored function's parameter: null for nil.
func idOf(user *listedUser) *string {
	if user == nil {
		return nil
	}
	return &user.UUID
}

// oneUser returns the user that a selector means.
func oneUser(ctx context.Context, conn *pgx.Conn, selector string) (listedUser, error) {
	users, err := findUsers(ctx, conn, []string{selector}, "", nil)
	if err != nil {
		return listedUser{}, err
	}
	return users[0], nil
}

// userChange is what editUsers changes: what is not nil.
type userChange struct {
	identifier, fullName, passwordHash *string
	removePassword                     bool
	staff, active                      *bool
}

// editUsers calls api.edit_users.
func editUsers(ctx context.Context, conn *pgx.Conn, users []listedUser, change userChange) error {
	refused, err := queryRow[struct {
		Outcome string
		UserID  *string
	}](ctx, conn, `select outcome, user_id::text from api.edit_users($1::uuid[], $2, $3, $4, $5, $6, $7)`,
		userIDs(users), change.identifier, change.fullName, change.passwordHash, change.removePassword, change.staff, change.active)
	if err != nil {
		return fmt.Errorf("edit users: %w", err)
	}
	switch refused.Outcome {
	case "ok":
		return nil
	case "gone":
		return userGone(users, *refused.UserID)
	case "several":
		return errors.New("one identifier cannot be that of several users")
	}
	return identifierRefused("edit users", refused.Outcome, *change.identifier)
}

// userGone is the error for a user whom somebody else removed meanwhile.
func userGone(users []listedUser, id string) error {
	for _, u := range users {
		if u.UUID == id {
			return fmt.Errorf("user %s is no longer there; nothing was done", u.Identifier)
		}
	}
	return fmt.Errorf("user %s is no longer there; nothing was done", id)
}

// setDeliveryMailbox calls api.set_delivery_mailbox.
func setDeliveryMailbox(ctx context.Context, conn *pgx.Conn, user listedUser, mailbox address.Address) error {
	outcome, err := queryValue[string](ctx, conn,
		`select outcome from api.set_delivery_mailbox($1, $2)`, user.UUID, mailbox.String())
	if err != nil {
		return fmt.Errorf("set delivery mailbox: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "gone":
		return userGone([]listedUser{user}, user.UUID)
	case "unknown_alias":
		return fmt.Errorf("%s is no alias: authserver emailalias create makes one", mailbox)
	case "not_own":
		return fmt.Errorf("%s is not an alias of %s", mailbox, user.Identifier)
	}
	return fmt.Errorf("set delivery mailbox: unknown outcome %q", outcome)
}

// userLoss is a user and what goes with it.
type userLoss struct {
	UserID       string   `json:"uuid"`
	Identifier   string   `json:"identifier"`
	FullName     string   `json:"fullname"`
	Aliases      []string `json:"aliases"`
	ServiceUsers []string `json:"service_users"`
	AppPasswords int      `json:"app_passwords"`
	AgentTokens  int      `json:"agent_tokens"`
	MailingLists []string `json:"lists_without_owner"`
}

// removeUsers calls api.remove_users.
func removeUsers(ctx context.Context, conn *pgx.Conn, users []listedUser, dryRun bool) ([]userLoss, error) {
	loss, err := queryRows[userLoss](ctx, conn,
		`select user_id::text, identifier, full_name, aliases, service_users, app_passwords, agent_tokens, mailing_lists
		   from api.remove_users($1::uuid[], $2)`, userIDs(users), dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove users: %w", err)
	}
	return loss, nil
}

func userIDs(users []listedUser) []string {
	var ids []string
	for _, u := range users {
		ids = append(ids, u.UUID)
	}
	return ids
}
