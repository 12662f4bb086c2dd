package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// Help texts about arguments.
const (
	listSelectors = "An id is looked for before a name, which several lists can have."
	listAddresses = "\"-\" reads addresses from stdin: one in a line, or several with commas between."
)

func mailingListCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "mailinglist",
		Usage: "lists of addresses that mail goes on to",
		Subcommands: []*cli.Command{
			mailingListCreateCommand(db),
			mailingListListCommand(db),
			mailingListEditCommand(db),
			mailingListRemoveCommand(db),
			mailingListAddAddressCommand(db),
			mailingListRemoveAddressCommand(db),
			mailingListSetAddressesCommand(db),
		},
	}
}

// listFlag returns --mailing-list.
func listFlag(selector *string, usage string, required bool) cli.Flag {
	return &cli.StringFlag{
		Name: "mailing-list", Aliases: []string{"m"},
		Usage: usage + ": `LIST`, a name or id", Destination: selector, Required: required,
	}
}

func mailingListCreateCommand(db *database) *cli.Command {
	var mailFrom, owner string
	return &cli.Command{
		Name:        "create",
		Usage:       "add a list; authserver emailalias create gives it an address",
		Description: listAddresses,
		ArgsUsage:   "NAME ADDRESS|-...",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "new-mailfrom", Usage: "`ADDRESS` that becomes the envelope sender; without it, senders are rewritten by SRS", Destination: &mailFrom},
			&cli.StringFlag{Name: "owner", Usage: "the user whom `SELECTOR` means, who may change the list", Destination: &owner},
		},
		Action: func(c *cli.Context) error {
			name, err := account.ParseName(c.Args().First())
			if err != nil {
				return command.Usagef("%v", err)
			}
			if mailFrom, err = parseMailFrom("new-mailfrom", mailFrom); err != nil {
				return err
			}
			addresses, err := readAddresses(c, c.Args().Tail())
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := optionalUser(ctx, c, conn, "owner", owner)
				if err != nil {
					return err
				}
				id, err := createMailingList(ctx, conn, name, mailFrom, user, addresses)
				if err != nil {
					return err
				}
				say(c, "Mailing list %s created with the id %d", name, id)
				return nil
			})
		},
	}
}

func mailingListListCommand(db *database) *cli.Command {
	var contains string
	var out format
	return &cli.Command{
		Name:        "list",
		Aliases:     []string{"show"},
		Usage:       "print lists: all, or those that are selected",
		Description: listSelectors,
		ArgsUsage:   "[NAME|ID...]",
		Flags: []cli.Flag{
			containsFlag(&contains, "only those with `TEXT` in the name"),
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				lists, err := findMailingLists(ctx, conn, c.Args().Slice(), contains)
				if out.name == "table" {
					return printFound(c.App.Writer, out, mailingListLines(lists), err)
				}
				return printFound(c.App.Writer, out, lists, err)
			})
		},
	}
}

func mailingListEditCommand(db *database) *cli.Command {
	var selection listSelection
	var name, mailFrom, owner string
	var ownerless bool
	var g consent
	return &cli.Command{
		Name:        "edit",
		Usage:       "change lists; what no flag names stays as it is",
		Description: listSelectors + "\nAsks if there is more than one.",
		ArgsUsage:   "[NAME|ID...]",
		Flags: append(append(selection.flags(), g.flags()...),
			&cli.StringFlag{Name: "set-name", Usage: "the new `NAME`", Destination: &name},
			&cli.StringFlag{Name: "set-new-mailfrom", Usage: "`ADDRESS` that becomes the envelope sender; empty: senders are rewritten by SRS", Destination: &mailFrom},
			&cli.StringFlag{Name: "set-owner", Usage: "the user whom `SELECTOR` means, who may change the list", Destination: &owner},
			&cli.BoolFlag{Name: "unset-owner", Usage: "only operators may change the list", Destination: &ownerless}),
		Action: func(c *cli.Context) error {
			if err := selection.check(c); err != nil {
				return err
			}
			change := listChange{ownerless: ownerless}
			var err error
			if c.IsSet("set-name") {
				if name, err = account.ParseName(name); err != nil {
					return command.Usagef("--set-name: %v", err)
				}
				change.name = &name
			}
			if c.IsSet("set-new-mailfrom") {
				if mailFrom, err = parseMailFrom("set-new-mailfrom", mailFrom); err != nil {
					return err
				}
				change.mailFrom = &mailFrom
			}
			switch {
			case c.IsSet("set-owner") && ownerless:
				return command.Usagef("--set-owner and --unset-owner exclude each other")
			case change == (listChange{}) && !c.IsSet("set-owner"):
				return command.Usagef("there is nothing to change")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				lists, err := selection.find(ctx, c, conn)
				if err != nil {
					return err
				}
				if change.owner, err = optionalUser(ctx, c, conn, "set-owner", owner); err != nil {
					return err
				}
				edit := func() error { return editMailingLists(ctx, conn, lists, change) }
				if ok, err := askToChange(ctx, c, conn, g, "edit "+plural(len(lists), "mailing list", "mailing lists"), mailingListLines(lists), edit); err != nil || !ok {
					return err
				}
				if err := edit(); err != nil {
					return err
				}
				for _, l := range lists {
					say(c, "Mailing list %s edited", l.Name)
				}
				return nil
			})
		},
	}
}

func mailingListRemoveCommand(db *database) *cli.Command {
	var selection listSelection
	var g consent
	return &cli.Command{
		Name:        "remove",
		Usage:       "remove lists, and the aliases that lead to them",
		Description: listSelectors,
		ArgsUsage:   "[NAME|ID...]",
		Flags:       append(selection.flags(), g.flags()...),
		Action: func(c *cli.Context) error {
			if err := selection.check(c); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				lists, err := selection.find(ctx, c, conn)
				if err != nil {
					return err
				}
				what := plural(len(lists), "mailing list", "mailing lists") + ", and the aliases that are shown"
				removed, err := askToRemove(c, g, what, func(dryRun bool) ([]listLoss, error) {
					return removeMailingLists(ctx, conn, lists, dryRun)
				})
				for _, l := range removed {
					say(c, "Mailing list %s removed", l.Name)
					for _, alias := range l.Aliases {
						say(c, "Alias %s removed", alias)
					}
				}
				return err
			})
		},
	}
}

func mailingListAddAddressCommand(db *database) *cli.Command {
	var list string
	return &cli.Command{
		Name:        "add-address",
		Usage:       "put addresses at the end of a list",
		Description: "An address that is on the list stays where it is.\n" + listAddresses,
		ArgsUsage:   "ADDRESS|-...",
		Flags:       []cli.Flag{listFlag(&list, "the list", true)},
		Action: func(c *cli.Context) error {
			return changeAddresses(db, c, list, func(ctx context.Context, conn *pgx.Conn, found listedMailingList, addresses []string) error {
				added, err := addListAddresses(ctx, conn, found, addresses)
				if err != nil {
					return err
				}
				already := ""
				if there := len(addresses) - len(added); there > 0 {
					already = fmt.Sprintf(", %d already there", there)
				}
				say(c, "%s added to mailing list %s%s", plural(len(added), "address", "addresses"), found.Name, already)
				return nil
			})
		},
	}
}

func mailingListRemoveAddressCommand(db *database) *cli.Command {
	var list string
	var dryRun bool
	return &cli.Command{
		Name:        "remove-address",
		Usage:       "take addresses off a list, but not all of them",
		Description: "Does not ask.\n" + listAddresses,
		ArgsUsage:   "ADDRESS|-...",
		Flags:       []cli.Flag{listFlag(&list, "the list", true), dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return changeAddresses(db, c, list, func(ctx context.Context, conn *pgx.Conn, found listedMailingList, addresses []string) error {
				if err := removeListAddresses(ctx, conn, found, addresses, dryRun); err != nil {
					return err
				}
				if dryRun {
					return showDryRun(c, "take these addresses off mailing list "+found.Name, addressChanges(nil, addresses))
				}
				say(c, "%s removed from mailing list %s", plural(len(addresses), "address", "addresses"), found.Name)
				return nil
			})
		},
	}
}

func mailingListSetAddressesCommand(db *database) *cli.Command {
	var list string
	var dryRun bool
	return &cli.Command{
		Name:        "set-addresses",
		Usage:       "give a list these addresses instead of those it has",
		Description: "Does not ask.\n" + listAddresses,
		ArgsUsage:   "ADDRESS|-...",
		Flags:       []cli.Flag{listFlag(&list, "the list", true), dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return changeAddresses(db, c, list, func(ctx context.Context, conn *pgx.Conn, found listedMailingList, addresses []string) error {
				added, removed, err := setListAddresses(ctx, conn, found, addresses, dryRun)
				if err != nil {
					return err
				}
				if dryRun {
					return showDryRun(c, "change mailing list "+found.Name, addressChanges(added, removed))
				}
				say(c, "Addresses of mailing list %s replaced: %d added, %d removed", found.Name, len(added), len(removed))
				return nil
			})
		},
	}
}

// changeAddresses runs change on the list that --mailing-list means, and the
// addresses that the arguments hold.
func changeAddresses(db *database, c *cli.Context, list string,
	change func(ctx context.Context, conn *pgx.Conn, found listedMailingList, addresses []string) error) error {
	addresses, err := readAddresses(c, c.Args().Slice())
	if err != nil {
		return err
	}
	return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
		found, err := oneMailingList(ctx, conn, list)
		if err != nil {
			return err
		}
		return change(ctx, conn, found, addresses)
	})
}

// listSelection is which lists a command changes.
type listSelection struct{ contains string }

func (s *listSelection) flags() []cli.Flag {
	return []cli.Flag{
		containsFlag(&s.contains, "those with `TEXT` in the name"),
	}
}

// check wants some selection.
func (s *listSelection) check(c *cli.Context) error {
	if c.IsSet("contains") && s.contains == "" {
		// A script may have got an empty text from nowhere; all would match.
		return command.Usagef("--contains is empty")
	}
	if !c.Args().Present() && !c.IsSet("contains") {
		return command.Usagef("which ones? Give names or ids, or --contains")
	}
	return nil
}

// find returns the lists that are selected: at least one, and one for each
// argument.
func (s *listSelection) find(ctx context.Context, c *cli.Context, conn *pgx.Conn) ([]listedMailingList, error) {
	for _, selector := range c.Args().Slice() {
		if _, err := oneMailingList(ctx, conn, selector); err != nil {
			return nil, err
		}
	}
	lists, err := findMailingLists(ctx, conn, c.Args().Slice(), s.contains)
	if err == nil && len(lists) == 0 {
		err = errors.New("no mailing list is selected")
	}
	return lists, err
}

// parseMailFrom returns the address that a flag has as it is stored. An empty
// one is none.
func parseMailFrom(flag, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	a, err := address.ParseAddress(value)
	if err != nil {
		return "", command.Usagef("--%s: %v", flag, err)
	}
	return a.String(), nil
}

// readAddresses returns the addresses that arguments and, for "-", stdin hold.
func readAddresses(c *cli.Context, args []string) ([]string, error) {
	var members addressList
	for _, arg := range args {
		if arg != "-" {
			if err := members.add(arg); err != nil {
				return nil, command.Usagef("%q: %v", arg, err)
			}
			continue
		}
		if _, err := interruptible(c.Context, func() (struct{}, error) { return struct{}{}, members.read(c.App.Reader) }); err != nil {
			return nil, err
		}
	}
	if len(members.addresses) == 0 {
		return nil, command.Usagef("stdin holds no address")
	}
	return members.addresses, nil
}

// maxAddressLine is more than any sensible line of addresses needs.
const maxAddressLine = 1 << 20

// addressList is addresses as they are stored, each once, in the order in
// which they came.
type addressList struct {
	addresses []string
	seen      map[string]bool
}

// add parses one address.
func (l *addressList) add(s string) error {
	a, err := address.ParseAddress(s)
	if err != nil {
		return err
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if !l.seen[a.String()] {
		l.seen[a.String()] = true
		l.addresses = append(l.addresses, a.String())
	}
	return nil
}

// read adds the addresses of a text: one in a line, or several with commas
// between. Blanks around them, and empty lines, mean nothing.
func (l *addressList) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAddressLine)
	for nr := 1; lines.Scan(); nr++ {
		for text := range strings.SplitSeq(lines.Text(), ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			if err := l.add(text); err != nil {
				return command.Usagef("stdin, line %d: %q: %v", nr, text, err)
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return command.Usagef("stdin has a line longer than %d bytes", maxAddressLine)
	case err != nil:
		return fmt.Errorf("addresses from stdin: %w", err)
	}
	return nil
}

// createMailingList calls api.create_mailing_list.
func createMailingList(ctx context.Context, conn *pgx.Conn, name, mailFrom string, owner *listedUser, addresses []string) (int64, error) {
	made, err := queryRow[struct {
		Outcome       string
		MailingListID *int64
	}](ctx, conn, `select outcome, mailing_list_id from api.create_mailing_list($1, nullif($2, ''), $3, $4)`,
		name, mailFrom, idOf(owner), addresses)
	if err != nil {
		return 0, fmt.Errorf("create mailing list: %w", err)
	}
	switch made.Outcome {
	case "ok":
		return *made.MailingListID, nil
	case "no_user":
		return 0, userGone([]listedUser{*owner}, owner.UUID)
	}
	return 0, fmt.Errorf("create mailing list: unknown outcome %q", made.Outcome)
}

// listedMailingList is a list as programs see it.
type listedMailingList struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	NewMailFrom string   `json:"new_mailfrom"`
	Addresses   []string `json:"addresses"`
	Owner       *string  `json:"owner"`
	Aliases     []string `json:"aliases"`
}

// mailingListLine is a list as people see it: most have too many addresses for a line.
type mailingListLine struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	NewMailFrom string   `json:"new_mailfrom"`
	Addresses   int      `json:"addresses"`
	Owner       *string  `json:"owner"`
	Aliases     []string `json:"aliases"`
}

func mailingListLines(lists []listedMailingList) []mailingListLine {
	var lines []mailingListLine
	for _, l := range lists {
		lines = append(lines, mailingListLine{l.ID, l.Name, l.NewMailFrom, len(l.Addresses), l.Owner, l.Aliases})
	}
	return lines
}

// foundMailingList is a list that a selector may mean, if there is one.
type foundMailingList struct {
	Selector string
	listedMailingList
}

func (f foundMailingList) match() (selector, id string, row listedMailingList) {
	if f.ID != 0 {
		id = strconv.FormatInt(f.ID, 10)
	}
	return f.Selector, id, f.listedMailingList
}

// findMailingLists calls api.find_mailing_lists. Without selectors it returns
// all that the filter lets through. With an error about selectors that mean
// none come the lists that the others may mean.
func findMailingLists(ctx context.Context, conn *pgx.Conn, selectors []string, contains string) ([]listedMailingList, error) {
	found, err := queryRows[foundMailingList](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id, 0) as id, coalesce(name, '') as name,
		        coalesce(new_mailfrom, '') as new_mail_from, addresses, owner, aliases
		   from api.find_mailing_lists(nullif($1::text[], '{}'), nullif($2, ''))`, selectors, contains)
	if err != nil {
		return nil, fmt.Errorf("find mailing lists: %w", err)
	}
	return matches(found, "mailing list has the name or id")
}

// oneMailingList returns the list that a selector means.
func oneMailingList(ctx context.Context, conn *pgx.Conn, selector string) (listedMailingList, error) {
	lists, err := findMailingLists(ctx, conn, []string{selector}, "")
	if err != nil {
		return listedMailingList{}, err
	}
	if len(lists) > 1 {
		var ids []string
		for _, l := range lists {
			ids = append(ids, strconv.FormatInt(l.ID, 10))
		}
		return listedMailingList{}, fmt.Errorf("%d mailing lists have the name %q: choose by id, one of %s", len(lists), selector, strings.Join(ids, ", "))
	}
	return lists[0], nil
}

// listGone is the error for a list that somebody else removed meanwhile.
func listGone(l listedMailingList) error {
	return fmt.Errorf("mailing list %s is no longer there; nothing was done", l.Name)
}

// listChange is what editMailingLists changes: what is not nil.
type listChange struct {
	name, mailFrom *string
	owner          *listedUser
	ownerless      bool
}

// editMailingLists calls api.edit_mailing_lists. It changes all of them or none.
func editMailingLists(ctx context.Context, conn *pgx.Conn, lists []listedMailingList, change listChange) error {
	outcome, err := queryValue[string](ctx, conn, `select api.edit_mailing_lists($1, $2, $3, $4, $5)`,
		listIDs(lists), change.name, change.mailFrom, idOf(change.owner), change.ownerless)
	if err != nil {
		return fmt.Errorf("edit mailing lists: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "gone":
		return errors.New("one of the mailing lists is no longer there; nothing was done")
	case "no_user":
		return userGone([]listedUser{*change.owner}, change.owner.UUID)
	}
	return fmt.Errorf("edit mailing lists: unknown outcome %q", outcome)
}

func listIDs(lists []listedMailingList) []int64 {
	var ids []int64
	for _, l := range lists {
		ids = append(ids, l.ID)
	}
	return ids
}

// listLoss is a list and what goes with it.
type listLoss struct {
	MailingListID int64    `json:"id"`
	Name          string   `json:"name"`
	Addresses     int64    `json:"addresses"`
	Aliases       []string `json:"aliases"`
}

// removeMailingLists calls api.remove_mailing_lists.
func removeMailingLists(ctx context.Context, conn *pgx.Conn, lists []listedMailingList, dryRun bool) ([]listLoss, error) {
	loss, err := queryRows[listLoss](ctx, conn,
		`select mailing_list_id, name, addresses, aliases from api.remove_mailing_lists($1, $2)`, listIDs(lists), dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove mailing lists: %w", err)
	}
	return loss, nil
}

// addressChange is an address that goes to a list or away from it.
type addressChange struct {
	Address string `json:"address"`
	Change  string `json:"change"`
}

func addressChanges(added, removed []string) []addressChange {
	var changes []addressChange
	for _, a := range added {
		changes = append(changes, addressChange{a, "add"})
	}
	for _, a := range removed {
		changes = append(changes, addressChange{a, "remove"})
	}
	return changes
}

// addListAddresses calls api.add_mailing_list_addresses, and returns those that
// were not on the list.
func addListAddresses(ctx context.Context, conn *pgx.Conn, list listedMailingList, addresses []string) ([]string, error) {
	result, err := queryRow[struct {
		Outcome string
		Added   []string
	}](ctx, conn, `select outcome, added from api.add_mailing_list_addresses($1, $2)`, list.ID, addresses)
	if err != nil {
		return nil, fmt.Errorf("add addresses: %w", err)
	}
	switch result.Outcome {
	case "ok":
		return result.Added, nil
	case "gone":
		return nil, listGone(list)
	}
	return nil, fmt.Errorf("add addresses: unknown outcome %q", result.Outcome)
}

// removeListAddresses calls api.remove_mailing_list_addresses. It removes all
// of them or none.
func removeListAddresses(ctx context.Context, conn *pgx.Conn, list listedMailingList, addresses []string, dryRun bool) error {
	result, err := queryRow[struct {
		Outcome string
		Missing []string
	}](ctx, conn, `select outcome, missing from api.remove_mailing_list_addresses($1, $2, $3)`, list.ID, addresses, dryRun)
	if err != nil {
		return fmt.Errorf("remove addresses: %w", err)
	}
	switch result.Outcome {
	case "ok":
		return nil
	case "gone":
		return listGone(list)
	case "missing":
		return fmt.Errorf("not on mailing list %s: %s; nothing was done", list.Name, strings.Join(result.Missing, ", "))
	case "empty":
		return fmt.Errorf("mailing list %s would have no address left: authserver mailinglist remove removes it", list.Name)
	}
	return fmt.Errorf("remove addresses: unknown outcome %q", result.Outcome)
}

// setListAddresses calls api.set_mailing_list_addresses.
func setListAddresses(ctx context.Context, conn *pgx.Conn, list listedMailingList, addresses []string, dryRun bool) (added, removed []string, err error) {
	result, err := queryRow[struct {
		Outcome        string
		Added, Removed []string
	}](ctx, conn, `select outcome, added, removed from api.set_mailing_list_addresses($1, $2, $3)`, list.ID, addresses, dryRun)
	if err != nil {
		return nil, nil, fmt.Errorf("set addresses: %w", err)
	}
	switch result.Outcome {
	case "ok":
		return result.Added, result.Removed, nil
	case "gone":
		return nil, nil, listGone(list)
	}
	return nil, nil, fmt.Errorf("set addresses: unknown outcome %q", result.Outcome)
}
