package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"authbridge/authserver/address"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// aliasSelectors is the help text about how aliases are selected.
const aliasSelectors = "Addresses and flags narrow the selection down together: an alias has to be one of\n" +
	"the addresses, if any is given, and what every flag says."

func emailAliasCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "emailalias",
		Usage: "the addresses that mail is received at",
		Subcommands: []*cli.Command{
			emailAliasListCommand(db),
			emailAliasCreateCommand(db),
			emailAliasEditCommand(db),
			emailAliasRemoveCommand(db),
			emailAliasBlockCommand(db),
			emailAliasUnblockCommand(db),
		},
	}
}

func emailAliasListCommand(db *database) *cli.Command {
	var selection aliasSelection
	var out format
	return &cli.Command{
		Name:        "list",
		Aliases:     []string{"show"},
		Usage:       "print addresses: all, or those that are selected",
		Description: aliasSelectors,
		ArgsUsage:   "[ADDRESS...]",
		Flags:       append(selection.flags(), out.flag()),
		Action: func(c *cli.Context) error {
			if err := selection.parse(c, false); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := selection.resolve(ctx, c, conn); err != nil {
					return err
				}
				aliases, err := findAliases(ctx, conn, selection.filter)
				return printFound(c.App.Writer, out, aliases, err)
			})
		},
	}
}

func emailAliasCreateCommand(db *database) *cli.Command {
	var local, domain, user, list string
	var blocked bool
	return &cli.Command{
		Name:  "create",
		Usage: "add an address of a user or of a mailing list",
		Description: "An address that is blocked may belong to nobody; that keeps it from use.\n" +
			"--mailprefix and --domain are another way to write ADDRESS.",
		ArgsUsage: "[ADDRESS]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "mailprefix", Usage: "the `LOCAL` part of the address", Destination: &local},
			&cli.StringFlag{Name: "domain", Aliases: []string{"d"}, Usage: "the `DOMAIN` of the address", Destination: &domain},
			userFlag(&user, "whose address it is", false),
			listFlag(&list, "the list that it leads to", false),
			&cli.BoolFlag{Name: "blacklisted", Aliases: []string{"blocked"}, Usage: "refuse mail for it", Destination: &blocked},
		},
		Action: func(c *cli.Context) error {
			text := c.Args().First()
			byFlags := c.IsSet("mailprefix") && c.IsSet("domain")
			switch {
			case c.Args().Present() == (c.IsSet("mailprefix") || c.IsSet("domain")), !c.Args().Present() && !byFlags:
				return command.Usagef("give either ADDRESS, or --mailprefix and --domain")
			case c.IsSet("user") && c.IsSet("mailing-list"):
				return command.Usagef("--user and --mailing-list exclude each other")
			case !c.IsSet("user") && !c.IsSet("mailing-list") && !blocked:
				return command.Usagef("whose is it? Give --user or --mailing-list, or block it by --blacklisted")
			case byFlags:
				text = local + "@" + domain
			}
			made, err := address.ParseAddress(text)
			if err != nil {
				return command.Usagef("%v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				owner, err := findOwner(ctx, c, conn, "user", user, "mailing-list", list)
				if err != nil {
					return err
				}
				redirect, err := createAlias(ctx, conn, made, owner, blocked)
				if err != nil {
					return err
				}
				say(c, "Alias %s created", made)
				if redirect != nil {
					say(c, "note: mail for %s goes to %s, and none to this alias", made.Domain, *redirect)
				}
				return nil
			})
		},
	}
}

func emailAliasEditCommand(db *database) *cli.Command {
	var selection aliasSelection
	var local, domain, user, list string
	var block, unblock bool
	var g consent
	return &cli.Command{
		Name:  "edit",
		Usage: "change addresses; what no flag names stays as it is",
		Description: aliasSelectors + "\n" +
			"Asks if there is more than one. The delivery mailbox of a user can get another name\n" +
			"but no other owner.",
		ArgsUsage: "[ADDRESS...]",
		Flags: append(append(selection.flags(), g.flags()...),
			&cli.StringFlag{Name: "set-user", Usage: "it becomes an address of the user whom `SELECTOR` means", Destination: &user},
			&cli.StringFlag{Name: "set-mailing-list", Usage: "it leads to the mailing `LIST` with this name or id", Destination: &list},
			&cli.StringFlag{Name: "set-mailprefix", Usage: "its new `LOCAL` part", Destination: &local},
			&cli.StringFlag{Name: "set-domain", Usage: "its new `DOMAIN`", Destination: &domain},
			&cli.BoolFlag{Name: "set-blacklisted", Aliases: []string{"set-blocked"}, Usage: "refuse mail for it", Destination: &block},
			&cli.BoolFlag{Name: "unset-blacklisted", Aliases: []string{"unset-blocked"}, Usage: "do not refuse it any more", Destination: &unblock}),
		Action: func(c *cli.Context) error {
			if err := selection.parse(c, true); err != nil {
				return err
			}
			var change aliasChange
			switch {
			case c.IsSet("set-user") && c.IsSet("set-mailing-list"):
				return command.Usagef("--set-user and --set-mailing-list exclude each other")
			case block && unblock:
				return command.Usagef("--set-blacklisted and --unset-blacklisted exclude each other")
			case block || unblock:
				change.blocked = &block
			}
			var err error
			if change.localPart, err = givenLocalPart(c, "set-mailprefix", local); err != nil {
				return err
			}
			if change.domain, err = givenDomain(c, "set-domain", domain); err != nil {
				return err
			}
			if change == (aliasChange{}) && !c.IsSet("set-user") && !c.IsSet("set-mailing-list") {
				return command.Usagef("there is nothing to change")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if change.owner, err = findOwner(ctx, c, conn, "set-user", user, "set-mailing-list", list); err != nil {
					return err
				}
				return changeAliases(ctx, c, conn, &selection, g, "edit", "edited", change)
			})
		},
	}
}

func emailAliasUnblockCommand(db *database) *cli.Command {
	var selection aliasSelection
	var g consent
	return &cli.Command{
		Name:        "unblacklist",
		Aliases:     []string{"unblock"},
		Usage:       "receive mail for addresses again",
		Description: aliasSelectors + "\nAsks if there is more than one.",
		ArgsUsage:   "[ADDRESS...]",
		Flags:       append(selection.flags(), g.flags()...),
		Action: func(c *cli.Context) error {
			if err := selection.parse(c, true); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				return changeAliases(ctx, c, conn, &selection, g, "unblock", "unblocked", aliasChange{blocked: new(bool)})
			})
		},
	}
}

// changeAliases changes the aliases that are selected. do and done are the verb.
func changeAliases(ctx context.Context, c *cli.Context, conn *pgx.Conn, selection *aliasSelection, g consent, do, done string, change aliasChange) error {
	aliases, err := selection.find(ctx, c, conn)
	if err != nil {
		return err
	}
	var edited []editedAlias
	edit := func() (err error) {
		edited, err = editAliases(ctx, conn, aliases, change)
		return err
	}
	if ok, err := askToChange(ctx, c, conn, g, do+" "+plural(len(aliases), "alias", "aliases"), aliases, edit); err != nil || !ok {
		return err
	}
	if err := edit(); err != nil {
		return err
	}
	for _, a := range edited {
		say(c, "Alias %s %s", a.Address, done)
		if a.MailboxOf != nil && a.NewAddress != a.Address {
			say(c, "note: %s is known by the address %s from now on", *a.MailboxOf, a.NewAddress)
		}
		if a.MailboxOf != nil && change.blocked != nil && *change.blocked {
			noteBlockedMailbox(c, *a.MailboxOf, a.NewAddress)
		}
	}
	return nil
}

func noteBlockedMailbox(c *cli.Context, identifier, mailbox string) {
	say(c, "note: %s is the delivery mailbox of %s, who receives no mail there any more", mailbox, identifier)
}

func emailAliasRemoveCommand(db *database) *cli.Command {
	var selection aliasSelection
	var g consent
	return &cli.Command{
		Name:        "remove",
		Usage:       "remove addresses",
		Description: aliasSelectors + "\nThe delivery mailbox of a user is not removed.",
		ArgsUsage:   "[ADDRESS...]",
		Flags:       append(selection.flags(), g.flags()...),
		Action: func(c *cli.Context) error {
			if err := selection.parse(c, true); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				aliases, err := selection.find(ctx, c, conn)
				if err != nil {
					return err
				}
				if _, err := removeAliases(ctx, conn, aliases, true); err != nil {
					return err
				}
				if ok, err := ask(c, g, "remove "+plural(len(aliases), "alias", "aliases"), aliases); err != nil || !ok {
					return err
				}
				removed, err := removeAliases(ctx, conn, aliases, false)
				if err != nil {
					return err
				}
				for _, address := range removed {
					say(c, "Alias %s removed", address)
				}
				return nil
			})
		},
	}
}

func emailAliasBlockCommand(db *database) *cli.Command {
	var user, list string
	var create, dryRun bool
	return &cli.Command{
		Name:    "blacklist",
		Aliases: []string{"block"},
		Usage:   "refuse mail for addresses",
		Description: "Does not ask. An address that --create-if-missing creates belongs to the user or list\n" +
			"that is named, or else to nobody.",
		ArgsUsage: "ADDRESS...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "create-if-missing", Usage: "also block addresses that are no aliases yet", Destination: &create},
			userFlag(&user, "whose address a new one is", false),
			listFlag(&list, "the list that a new one leads to", false),
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			if c.IsSet("user") && c.IsSet("mailing-list") {
				return command.Usagef("--user and --mailing-list exclude each other")
			}
			addresses, err := parseAddresses(c.Args().Slice())
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				owner, err := findOwner(ctx, c, conn, "user", user, "mailing-list", list)
				if err != nil {
					return err
				}
				blocked, err := blockAliases(ctx, conn, addresses, create, owner, dryRun)
				if err != nil {
					return err
				}
				if dryRun {
					return showDryRun(c, "block "+plural(len(blocked), "address", "addresses"), blocked)
				}
				var updated, created int
				for _, b := range blocked {
					if b.Created {
						created++
					} else {
						updated++
					}
					if b.MailboxOf != nil {
						noteBlockedMailbox(c, *b.MailboxOf, b.Address)
					}
				}
				say(c, "Blacklisted aliases: updated=%d created=%d", updated, created)
				return nil
			})
		},
	}
}

// aliasSelection is which aliases a command is about, as its arguments and
// flags say. parse makes filter of them, but for what the database has to be
// asked, which resolve does.
type aliasSelection struct {
	mailprefix, domain, contains, user, list string
	blocked, notBlocked                      bool

	filter aliasFilter
}

func (s *aliasSelection) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "mailprefix", Usage: "only those with this `LOCAL` part", Destination: &s.mailprefix},
		&cli.StringFlag{Name: "domain", Aliases: []string{"d"}, Usage: "only those of `DOMAIN`", Destination: &s.domain},
		containsFlag(&s.contains, "only those with `TEXT` in the address"),
		userFlag(&s.user, "only those of this user", false),
		listFlag(&s.list, "only those that lead to this list", false),
		&cli.BoolFlag{Name: "blacklisted", Aliases: []string{"blocked"}, Usage: "only those that are blocked", Destination: &s.blocked},
		&cli.BoolFlag{Name: "not-blacklisted", Aliases: []string{"not-blocked"}, Usage: "only those that are not", Destination: &s.notBlocked},
	}
}

// parse fills s.filter. If some selection is required, none is a usage error.
func (s *aliasSelection) parse(c *cli.Context, required bool) error {
	given := c.Args().Present() || s.blocked || s.notBlocked // --blacklisted=false selects nothing
	for _, name := range []string{"mailprefix", "domain", "contains", "user", "mailing-list"} {
		given = given || c.IsSet(name)
	}
	if required && !given {
		return command.Usagef("which ones? Give addresses, or flags that select some")
	}
	if s.blocked && s.notBlocked {
		return command.Usagef("--blacklisted and --not-blacklisted exclude each other")
	}
	if s.blocked || s.notBlocked {
		s.filter.blocked = &s.blocked
	}
	if c.IsSet("contains") {
		// A script may have got an empty text from nowhere; all would match.
		if s.contains == "" && required {
			return command.Usagef("--contains is empty")
		}
		s.filter.contains = &s.contains
	}
	var err error
	if s.filter.addresses, err = parseAddresses(c.Args().Slice()); err != nil {
		return err
	}
	if s.filter.localPart, err = givenLocalPart(c, "mailprefix", s.mailprefix); err != nil {
		return err
	}
	s.filter.domain, err = givenDomain(c, "domain", s.domain)
	return err
}

// resolve looks up the user and the list of s.filter.
func (s *aliasSelection) resolve(ctx context.Context, c *cli.Context, conn *pgx.Conn) error {
	var err error
	s.filter.owner, err = findOwner(ctx, c, conn, "user", s.user, "mailing-list", s.list)
	return err
}

// find returns the aliases that are selected: at least one.
func (s *aliasSelection) find(ctx context.Context, c *cli.Context, conn *pgx.Conn) ([]listedAlias, error) {
	if err := s.resolve(ctx, c, conn); err != nil {
		return nil, err
	}
	aliases, err := findAliases(ctx, conn, s.filter)
	if err == nil && len(aliases) == 0 {
		err = errors.New("no alias is selected")
	}
	return aliases, err
}

// parseAddresses returns addresses as they are stored, each once.
func parseAddresses(args []string) ([]string, error) {
	var addresses []string
	for _, arg := range args {
		a, err := address.ParseAddress(arg)
		if err != nil {
			return nil, command.Usagef("%q: %v", arg, err)
		}
		if !slices.Contains(addresses, a.String()) {
			addresses = append(addresses, a.String())
		}
	}
	return addresses, nil
}

// givenLocalPart returns the local part that the flag of this name has, or nil
// without the flag.
func givenLocalPart(c *cli.Context, flag, value string) (*string, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	local, err := parseLocalPart(value)
	if err != nil {
		return nil, command.Usagef("--%s: %v", flag, err)
	}
	return &local, nil
}

// parseLocalPart returns a local part as it is stored.
func parseLocalPart(s string) (string, error) {
	a, err := address.ParseAddress(s + "@localhost") // an '@' in s is refused as part of it
	return a.Local, err
}

// givenDomain returns the domain that the flag of this name has, or nil
// without the flag.
func givenDomain(c *cli.Context, flag, value string) (*address.Domain, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	d, err := address.ParseDomain(value)
	if err != nil {
		return nil, command.Usagef("--%s: %v", flag, err)
	}
	return &d, nil
}

// aliasOwner is whose an alias is: a user's, a mailing list's, or nobody's.
type aliasOwner struct {
	user *listedUser
	list *listedMailingList
}

// findOwner returns the owner that the selectors of two flags of these names
// mean.
func findOwner(ctx context.Context, c *cli.Context, conn *pgx.Conn, userFlag, user, listFlag, list string) (aliasOwner, error) {
	var owner aliasOwner
	var err error
	if owner.user, err = optionalUser(ctx, c, conn, userFlag, user); err != nil {
		return aliasOwner{}, err
	}
	if c.IsSet(listFlag) {
		l, err := oneMailingList(ctx, conn, list)
		if err != nil {
			return aliasOwner{}, err
		}
		owner.list = &l
	}
	return owner, nil
}

// listID returns the list's id as a stored function's parameter: null for none.
func (o aliasOwner) listID() *int64 {
	if o.list == nil {
		return nil
	}
	return &o.list.ID
}

// gone is the error for an owner whom somebody else removed meanwhile.
func (o aliasOwner) gone() error {
	if o.user != nil {
		return userGone([]listedUser{*o.user}, o.user.UUID)
	}
	return listGone(*o.list)
}

// createAlias calls api.create_alias. It returns where mail for the domain goes
// instead, or nil.
func createAlias(ctx context.Context, conn *pgx.Conn, a address.Address, owner aliasOwner, blocked bool) (redirect *string, err error) {
	made, err := queryRow[struct {
		Outcome    string
		RedirectTo *string
	}](ctx, conn, `select outcome, redirect_to from api.create_alias($1, $2, $3, $4, $5)`,
		a.Local, a.Domain.String(), idOf(owner.user), owner.listID(), blocked)
	if err != nil {
		return nil, fmt.Errorf("create alias: %w", err)
	}
	switch made.Outcome {
	case "ok":
		return made.RedirectTo, nil
	case "exists":
		return nil, aliasExists(a.String())
	case "unknown_domain":
		return nil, noDomain(a.Domain)
	case "no_user", "no_list":
		return nil, owner.gone()
	}
	return nil, fmt.Errorf("create alias: unknown outcome %q", made.Outcome)
}

func aliasExists(address string) error { return fmt.Errorf("alias %s already exists", address) }

// aliasFilter says which aliases api.find_aliases is to return. What is nil or
// empty matches all.
type aliasFilter struct {
	addresses           []string
	localPart, contains *string
	domain              *address.Domain
	owner               aliasOwner
	blocked             *bool
}

// listedAlias is an alias as lists show it. The target is a user's identifier
// or a list's name.
type listedAlias struct {
	ID         int64  `json:"id"`
	Alias      string `json:"alias"`
	LocalPart  string `json:"mailprefix"`
	Domain     string `json:"domain"`
	TargetType string `json:"target_type"`
	Target     string `json:"target"`
	Blocked    bool   `json:"blacklisted"`
}

// foundAlias is the alias that an address means, if there is one.
type foundAlias struct {
	Selector string
	listedAlias
}

func (f foundAlias) match() (selector, id string, row listedAlias) {
	if f.ID != 0 {
		id = strconv.FormatInt(f.ID, 10)
	}
	return f.Selector, id, f.listedAlias
}

// findAliases calls api.find_aliases. With an error about addresses that are no
// aliases come those that are.
func findAliases(ctx context.Context, conn *pgx.Conn, f aliasFilter) ([]listedAlias, error) {
	found, err := queryRows[foundAlias](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id, 0) as id, coalesce(local_part || '@' || domain, '') as alias,
		        coalesce(local_part, '') as local_part, coalesce(domain, '') as domain,
		        coalesce(target_type, '') as target_type, coalesce(target, '') as target, coalesce(blocked, false) as blocked
		   from api.find_aliases(nullif($1::text[], '{}'), $2, $3, $4, $5, $6, $7)`,
		f.addresses, f.localPart, (*string)(f.domain), f.contains, idOf(f.owner.user), f.owner.listID(), f.blocked)
	if err != nil {
		return nil, fmt.Errorf("find aliases: %w", err)
	}
	return matches(found, "alias has the address")
}

// aliasChange is what editAliases changes: what is not nil.
type aliasChange struct {
	localPart *string
	domain    *address.Domain
	owner     aliasOwner
	blocked   *bool
}

// editedAlias is an alias that was changed, and whose delivery mailbox it is.
type editedAlias struct {
	Address, NewAddress string
	MailboxOf           *string
}

// editAliases calls api.edit_aliases. It changes all of them or none.
func editAliases(ctx context.Context, conn *pgx.Conn, aliases []listedAlias, change aliasChange) ([]editedAlias, error) {
	results, err := queryRows[struct {
		Address, NewAddress, Outcome string
		MailboxOf                    *string
	}](ctx, conn,
		`select coalesce(address, '') as address, coalesce(new_address, '') as new_address, mailbox_of, outcome
		   from api.edit_aliases($1, $2, $3, $4, $5, $6)`,
		aliasIDs(aliases), change.localPart, (*string)(change.domain), idOf(change.owner.user), change.owner.listID(), change.blocked)
	if err != nil {
		return nil, fmt.Errorf("edit aliases: %w", err)
	}
	var edited []editedAlias
	for _, r := range results {
		switch r.Outcome {
		case "ok":
			edited = append(edited, editedAlias{r.Address, r.NewAddress, r.MailboxOf})
		case "gone":
			return nil, errors.New("one of the aliases is no longer there; nothing was done")
		case "unknown_domain":
			return nil, noDomain(*change.domain)
		case "no_user", "no_list":
			return nil, change.owner.gone()
		case "ownerless":
			return nil, fmt.Errorf("%s belongs to nobody, so it can only be blocked: remove it, or let edit give it an owner", r.Address)
		case "is_mailbox":
			return nil, mailboxStays(r.Address, *r.MailboxOf)
		case "too_long":
			return nil, fmt.Errorf("the address %s would be too long", r.NewAddress)
		case "exists":
			return nil, aliasExists(r.NewAddress)
		default:
			return nil, fmt.Errorf("edit aliases: unknown outcome %q", r.Outcome)
		}
	}
	return edited, nil
}

// mailboxStays is the error for a delivery mailbox that would be taken from its
// user.
func mailboxStays(address, identifier string) error {
	return fmt.Errorf("%s is the delivery mailbox of user %s: authserver user set-delivery-mailbox chooses another one first", address, identifier)
}

func aliasIDs(aliases []listedAlias) []int64 {
	var ids []int64
	for _, a := range aliases {
		ids = append(ids, a.ID)
	}
	return ids
}

// removeAliases calls api.remove_aliases, and returns the addresses. It removes
// all of them or none.
func removeAliases(ctx context.Context, conn *pgx.Conn, aliases []listedAlias, dryRun bool) ([]string, error) {
	results, err := queryRows[struct {
		Address, Outcome string
		MailboxOf        *string
	}](ctx, conn, `select address, mailbox_of, outcome from api.remove_aliases($1, $2)`, aliasIDs(aliases), dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove aliases: %w", err)
	}
	var removed []string
	for _, r := range results {
		switch r.Outcome {
		case "ok":
			removed = append(removed, r.Address)
		case "is_mailbox":
			return nil, mailboxStays(r.Address, *r.MailboxOf)
		default:
			return nil, fmt.Errorf("remove aliases: unknown outcome %q", r.Outcome)
		}
	}
	return removed, nil
}

// blockedAlias is an address that was blocked, and whose delivery mailbox it is.
type blockedAlias struct {
	Address   string  `json:"alias"`
	Created   bool    `json:"created"`
	MailboxOf *string `json:"delivery_mailbox_of"`
}

// blockAliases calls api.block_aliases. It blocks all of them or none.
func blockAliases(ctx context.Context, conn *pgx.Conn, addresses []string, create bool, owner aliasOwner, dryRun bool) ([]blockedAlias, error) {
	results, err := queryRows[struct {
		Address, Outcome string
		MailboxOf        *string
	}](ctx, conn, `select address, mailbox_of, outcome from api.block_aliases($1, $2, $3, $4, $5)`,
		addresses, create, idOf(owner.user), owner.listID(), dryRun)
	if err != nil {
		return nil, fmt.Errorf("block aliases: %w", err)
	}
	var blocked []blockedAlias
	for _, r := range results {
		switch r.Outcome {
		case "blocked", "created":
			blocked = append(blocked, blockedAlias{r.Address, r.Outcome == "created", r.MailboxOf})
		case "unknown":
			return nil, fmt.Errorf("no alias has the address %q; --create-if-missing makes one", r.Address)
		case "unknown_domain":
			return nil, fmt.Errorf("%s is at none of our domains", r.Address)
		case "no_user", "no_list":
			return nil, owner.gone()
		default:
			return nil, fmt.Errorf("block aliases: unknown outcome %q", r.Outcome)
		}
	}
	return blocked, nil
}
