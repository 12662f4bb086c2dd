package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func domainCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "domain",
		Usage: "domains that mail is received for, and the keys they sign with",
		Subcommands: []*cli.Command{
			domainCreateCommand(db),
			domainEditCommand(db),
			domainListCommand(db),
			domainSearchCommand(db),
			domainRemoveCommand(db),
			domainPubkeyCommand(db),
			domainImportKeyCommand(db),
			domainKeysCommand(db),
			domainPublishKeyCommand(db),
			domainActivateKeyCommand(db),
			domainRetireKeyCommand(db),
			domainRemoveKeyCommand(db),
			domainDNSCommand(db),
			domainCheckDNSCommand(db),
		},
	}
}

func domainCreateCommand(db *database) *cli.Command {
	var made domainSettings
	var jwtSubdomains, transactional bool
	var keys keyFlags
	var secret secretKey
	return &cli.Command{
		Name:      "create",
		Usage:     "add a domain",
		ArgsUsage: "DOMAIN",
		Flags: append(append(made.flags(),
			&cli.BoolFlag{Name: "jwt-allow-subdomain-signing", Usage: "its JWT key may sign for domains below it", Destination: &jwtSubdomains},
			&cli.BoolFlag{Name: "transactional", Usage: "it may send through the transactional relay", Destination: &transactional}),
			append(keys.flags(), secret.flag())...),
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			made.jwtSubdomains, made.transactional = &jwtSubdomains, &transactional
			made.fillIn()
			fresh, err := keys.generate(c, &secret, domainOwner(domain, string(*made.selector)))
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if err := createDomain(ctx, conn, domain, made, fresh); err != nil {
					return err
				}
				say(c, "Domain %s created", domain)
				return nil
			})
		},
	}
}

func domainEditCommand(db *database) *cli.Command {
	var edit domainSettings
	var jwtSubdomains, transactional optionalBool
	var keys keyFlags
	var remove keyPurposes
	var replace, dryRun bool
	var secret secretKey
	return &cli.Command{
		Name:  "edit",
		Usage: "change a domain; what no flag names stays as it is",
		Description: "Does not ask. Another DKIM selector goes to the keys that are named after the old\n" +
			"one, unless --create-key makes new ones. A key that --overwrite replaces is retired,\n" +
			"or removed if it has the selector of the new one.",
		ArgsUsage: "DOMAIN",
		Flags: append(append(edit.flags(),
			&cli.GenericFlag{Name: "jwt-allow-subdomain-signing", Usage: "`true|false`: its JWT key may sign for domains below it", Value: &jwtSubdomains},
			&cli.GenericFlag{Name: "transactional", Usage: "`true|false`: it may send through the transactional relay", Value: &transactional},
			&cli.GenericFlag{Name: "remove-key", Usage: "remove all keys for `jwt|dkim`, for good; may be given twice", Value: &remove},
			&cli.BoolFlag{Name: "overwrite", Usage: "let new keys take the place of old ones", Destination: &replace},
			dryRunFlag(&dryRun)),
			append(keys.flags(), secret.flag())...),
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			if len(keys.create) > 0 && len(remove) > 0 {
				return errors.New("--create-key and --remove-key exclude each other: --overwrite replaces a key")
			}
			edit.jwtSubdomains, edit.transactional = jwtSubdomains.value, transactional.value
			if edit == (domainSettings{}) && len(keys.create) == 0 && len(remove) == 0 {
				return command.Usagef("there is nothing to change")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				was, err := findDomain(ctx, conn, domain)
				if err != nil {
					return err
				}
				selector := was.DKIMSelector
				if edit.selector != nil {
					selector = string(*edit.selector)
				}
				fresh, err := keys.generate(c, &secret, domainOwner(domain, selector))
				if err != nil {
					return err
				}
				change := keyChange{fresh, remove, replace}
				if dryRun {
					return tryEdit(c, conn, domain, edit, change)
				}
				if err := editDomain(ctx, conn, domain, edit, change); err != nil {
					return err
				}
				say(c, "Domain %s edited", domain)
				return nil
			})
		},
	}
}

// tryEdit edits a domain, shows what became of it and its keys, and takes
// everything back.
func tryEdit(c *cli.Context, conn *pgx.Conn, domain address.Domain, edit domainSettings, change keyChange) error {
	return rehearse(c.Context, conn, func() error {
		if err := editDomain(c.Context, conn, domain, edit, change); err != nil {
			return err
		}
		edited, err := findDomain(c.Context, conn, domain)
		if err != nil {
			return err
		}
		keys, err := findKeys(c.Context, conn, domainOwner(domain, ""))
		if err != nil {
			return err
		}
		if err := showDryRun(c, "edit this domain, which would then be", []listedDomain{edited}); err != nil {
			return err
		}
		return printTable(c.App.Writer, listKeys(keys))
	})
}

// domainArgument returns the first argument as a domain.
func domainArgument(c *cli.Context) (address.Domain, error) {
	domain, err := address.ParseDomain(c.Args().First())
	if err != nil {
		return "", command.Usagef("%v", err)
	}
	return domain, nil
}

// printDomains prints the domains that a filter lets through.
func printDomains(c *cli.Context, db *database, out format, filter domainFilter) error {
	return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
		domains, err := findDomains(ctx, conn, filter)
		if err != nil {
			return err
		}
		return printList(c.App.Writer, out, domains, listLine)
	})
}

// listLine is how the list format shows a domain.
func listLine(d listedDomain) string { return fmt.Sprintf("%4d   %s", d.ID, d.Name) }

func domainListCommand(db *database) *cli.Command {
	var out format
	var parents bool
	return &cli.Command{
		Name:      "list",
		Usage:     "print all domains, or one",
		ArgsUsage: "[DOMAIN]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "include-parent-domain", Usage: "and those that the domain is below", Destination: &parents},
			out.flag("list"),
		},
		Action: func(c *cli.Context) error {
			var filter domainFilter
			if c.Args().Present() {
				domain, err := domainArgument(c)
				if err != nil {
					return err
				}
				filter.name = (*string)(&domain)
				if parents {
					filter.above = filter.name
				}
			}
			return printDomains(c, db, out, filter)
		},
	}
}

func domainSearchCommand(db *database) *cli.Command {
	var out format
	var parents, signing bool
	return &cli.Command{
		Name:      "search",
		Usage:     "print the domains whose name contains a text",
		ArgsUsage: "[CONTAINS]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "include-parent-domain", Usage: "and those that a domain of this name is below", Destination: &parents},
			&cli.BoolFlag{Name: "require-subdomain-signing", Usage: "only those whose JWT key may sign for domains below", Destination: &signing},
			out.flag("list"),
		},
		Action: func(c *cli.Context) error {
			contains := c.Args().First()
			filter := domainFilter{contains: &contains}
			// A text that is no domain is part of some, and below none.
			if domain, err := address.ParseDomain(contains); err == nil && parents {
				filter.above = (*string)(&domain)
			}
			if signing {
				filter.jwtSubdomains = &signing
			}
			return printDomains(c, db, out, filter)
		},
	}
}

func domainRemoveCommand(db *database) *cli.Command {
	var g consent
	var several, withAliases bool
	return &cli.Command{
		Name:  "remove",
		Usage: "remove a domain with its keys",
		Description: "The argument is a domain or, if there is none of this name, a part of one.\n" +
			"A domain stays while an address of it is the delivery mailbox of a user, or a Docker\n" +
			"registry belongs to it.",
		ArgsUsage: "DOMAIN|CONTAINS",
		Flags: append(g.flags(),
			&cli.BoolFlag{Name: "remove-multiple", Usage: "remove all that contain the text", Destination: &several},
			&cli.BoolFlag{Name: "with-aliases", Usage: "remove the domain's addresses, too", Destination: &withAliases}),
		Action: func(c *cli.Context) error {
			wanted := c.Args().First()
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				ids, err := selectDomains(ctx, conn, wanted, several)
				if err != nil {
					return err
				}
				what := plural(len(ids), "domain", "domains") + " with all keys"
				if withAliases {
					what += " and aliases"
				}
				removed, err := askToRemove(c, g, what, func(dryRun bool) ([]removedDomain, error) {
					return removeDomains(ctx, conn, ids, withAliases, dryRun)
				})
				for _, r := range removed {
					say(c, "Domain %s removed", r.Name)
				}
				return err
			})
		},
	}
}

// selectDomains returns the ids of the domain with this name, or else of those
// that contain it.
func selectDomains(ctx context.Context, conn *pgx.Conn, wanted string, several bool) ([]int64, error) {
	var found []listedDomain
	if domain, err := address.ParseDomain(wanted); err == nil {
		if found, err = findDomains(ctx, conn, domainFilter{name: (*string)(&domain)}); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		var err error
		if found, err = findDomains(ctx, conn, domainFilter{contains: &wanted}); err != nil {
			return nil, err
		}
	}
	var ids []int64
	var names []string
	for _, d := range found {
		ids = append(ids, d.ID)
		names = append(names, d.Name)
	}
	switch {
	case wanted == "" || len(ids) == 0:
		return nil, fmt.Errorf("no domain is or contains %q", wanted)
	case len(ids) > 1 && !several:
		return nil, fmt.Errorf("%d domains contain %q, and --remove-multiple is not given: %s", len(ids), wanted, strings.Join(names, ", "))
	}
	return ids, nil
}

// domainSettings are the properties of a domain that flags set. Nil is not
// given: the default of a new domain, or what it was.
type domainSettings struct {
	redirect      *redirectTarget
	selector      *dkimSelector
	separators    *separatorSet
	jwtSubdomains *bool
	transactional *bool
}

// flags returns the flags that a new domain has as well as an old one.
func (s *domainSettings) flags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{
			Name: "redirect-all-email-to", Value: &optional[redirectTarget, *redirectTarget]{&s.redirect},
			Usage: "send mail for any address on to `DOMAIN|ADDRESS`; empty: do not",
		},
		&cli.GenericFlag{
			Name: "dkim-selector", Value: &optional[dkimSelector, *dkimSelector]{&s.selector},
			Usage: "name DKIM keys `SELECTOR`, and SELECTOR-ed25519 (a new domain: default)",
		},
		&cli.GenericFlag{
			Name: "subaddress-separators", Value: &optional[separatorSet, *separatorSet]{&s.separators},
			Usage: "`CHARACTERS`, + or - or both, that begin an extension of a local part; empty: none (a new domain: +-)",
		},
	}
}

// fillIn gives a new domain what no flag has set.
func (s *domainSettings) fillIn() {
	if s.redirect == nil {
		s.redirect = new(redirectTarget)
	}
	if s.selector == nil {
		first := dkimSelector("default")
		s.selector = &first
	}
	if s.separators == nil {
		both := separatorSet("+-")
		s.separators = &both
	}
}

// optional is a flag's value that is nil unless the flag is given.
type optional[T any, P interface {
	*T
	cli.Generic
}] struct{ value **T }

func (o *optional[T, P]) Set(s string) error {
	var v T
	if err := P(&v).Set(s); err != nil {
		return err
	}
	*o.value = &v
	return nil
}

func (o *optional[T, P]) String() string {
	if o.value == nil || *o.value == nil {
		return ""
	}
	return P(*o.value).String()
}

// redirectTarget is where mail for a domain goes: a domain, an address, or empty.
type redirectTarget string

func (r *redirectTarget) Set(s string) error {
	var err error
	switch {
	case s == "":
		*r = ""
	case strings.Contains(s, "@"):
		var a address.Address
		a, err = address.ParseAddress(s)
		*r = redirectTarget(a.String())
	default:
		var d address.Domain
		d, err = address.ParseDomain(s)
		*r = redirectTarget(d)
	}
	return err
}

func (r *redirectTarget) String() string { return string(*r) }

// dkimSelector is the name of a DKIM key below _domainkey (RFC 6376 section 3.1).
type dkimSelector string

// A selector may have the suffix of the Ed25519 key behind it.
const maxSelector = 63 - len(ed25519Suffix)

func (s *dkimSelector) Set(v string) error {
	if len(v) > maxSelector {
		return fmt.Errorf("a selector has at most %d characters", maxSelector)
	}
	for label := range strings.SplitSeq(v, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isSelectorRune(r) }) {
			return errors.New("a selector consists of letters, digits, - and _, with dots between labels")
		}
	}
	*s = dkimSelector(strings.ToLower(v))
	return nil
}

func isSelectorRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

func (s *dkimSelector) String() string { return string(*s) }

// separatorSet are the characters that begin an extension of a local part.
type separatorSet string

func (s *separatorSet) Set(v string) error {
	switch v {
	case "", "+", "-", "+-":
		*s = separatorSet(v)
	case "-+":
		*s = "+-"
	default:
		return errors.New("only + and - separate an extension")
	}
	return nil
}

func (s *separatorSet) String() string { return string(*s) }

// optionalBool is true or false, or nil if the flag is not given.
type optionalBool struct{ value *bool }

func (b *optionalBool) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("want true or false")
	}
	b.value = &v
	return nil
}

func (b *optionalBool) String() string {
	if b.value == nil {
		return ""
	}
	return strconv.FormatBool(*b.value)
}

// keyPurposes are what keys are made for or removed from.
type keyPurposes []token.Purpose

func (p *keyPurposes) Set(s string) error {
	var one keyPurpose
	if err := one.Set(s); err != nil {
		return err
	}
	if !slices.Contains(*p, token.Purpose(one)) {
		*p = append(*p, token.Purpose(one))
	}
	return nil
}

func (p *keyPurposes) String() string { return "" }

// createDomain calls api.create_domain.
func createDomain(ctx context.Context, conn *pgx.Conn, domain address.Domain, made domainSettings, keys []newKey) error {
	var unicode *string
	if u := domain.Unicode(); u != string(domain) {
		unicode = &u
	}
	result, err := queryRow[refusal](ctx, conn,
		`select outcome, coalesce(detail, '') as detail from api.create_domain($1, $2, nullif($3, ''), $4, $5, $6, $7, $8)`,
		domain.String(), unicode, made.redirect.String(), *made.jwtSubdomains, *made.transactional,
		made.selector.String(), made.separators.String(), keys)
	if err != nil {
		return fmt.Errorf("create domain: %w", err)
	}
	if result.Outcome == "exists" {
		return fmt.Errorf("domain %s already exists", domain)
	}
	return result.of(domain, "create domain")
}

// editDomain calls api.edit_domain.
func editDomain(ctx context.Context, conn *pgx.Conn, domain address.Domain, edit domainSettings, change keyChange) error {
	result, err := queryRow[refusal](ctx, conn,
		`select outcome, coalesce(detail, '') as detail from api.edit_domain($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		domain.String(), (*string)(edit.redirect), edit.jwtSubdomains, edit.transactional,
		(*string)(edit.selector), (*string)(edit.separators), change.remove, change.add, change.replace)
	if err != nil {
		return fmt.Errorf("edit domain: %w", err)
	}
	return result.of(domain, "edit domain")
}

// refusal is the outcome of a function that changes one domain, and what it is
// about.
type refusal struct{ Outcome, Detail string }

// of returns the refusal as an error about a domain, or nil if it is none.
func (r refusal) of(domain address.Domain, doing string) error {
	switch r.Outcome {
	case "ok":
		return nil
	case "unknown":
		return noDomain(domain)
	case "loop":
		return fmt.Errorf("this redirect of %s comes back to it: %s", domain, r.Detail)
	case "key_exists":
		return fmt.Errorf("domain %s already has the key %s; --overwrite takes its place", domain, r.Detail)
	case "selector_taken":
		return fmt.Errorf("another key of %s has the DKIM selector %s", domain, r.Detail)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, r.Outcome)
}

func noDomain(domain address.Domain) error {
	return fmt.Errorf("there is no domain %s", domain)
}

// domainFilter says which domains api.find_domains is to return. Nil matches
// all.
type domainFilter struct {
	name, contains, above *string
	jwtSubdomains         *bool
}

// listedDomain is a domain as the list shows it.
type listedDomain struct {
	Name                 string  `json:"name"`
	ID                   int64   `json:"id"`
	JWTSubdomains        bool    `json:"jwt_sign_subdomains"`
	HasJWTKey            bool    `json:"has_jwtkey"`
	HasDKIMKey           bool    `json:"has_dkimkey"`
	DKIMSelector         string  `json:"dkimselector"`
	UnicodeName          *string `json:"unicode_name"`
	RedirectTo           *string `json:"redirect_to"`
	Transactional        bool    `json:"transactional"`
	SubaddressSeparators string  `json:"subaddress_separators"`
}

// findDomains calls api.find_domains.
func findDomains(ctx context.Context, conn *pgx.Conn, f domainFilter) ([]listedDomain, error) {
	domains, err := queryRows[listedDomain](ctx, conn,
		`select * from api.find_domains($1, $2, $3, $4)`, f.name, f.contains, f.above, f.jwtSubdomains)
	if err != nil {
		return nil, fmt.Errorf("find domains: %w", err)
	}
	return domains, nil
}

// findDomain returns the domain of this name.
func findDomain(ctx context.Context, conn *pgx.Conn, domain address.Domain) (listedDomain, error) {
	domains, err := findDomains(ctx, conn, domainFilter{name: (*string)(&domain)})
	if err != nil {
		return listedDomain{}, err
	}
	if len(domains) == 0 {
		return listedDomain{}, noDomain(domain)
	}
	return domains[0], nil
}

// removedDomain is a domain and what goes with it.
type removedDomain struct {
	Name    string `json:"name"`
	Aliases int64  `json:"aliases"`
	Keys    int64  `json:"keys"`
}

// removeDomains calls api.remove_domains. It removes all of them or none.
func removeDomains(ctx context.Context, conn *pgx.Conn, ids []int64, withAliases, dryRun bool) ([]removedDomain, error) {
	results, err := queryRows[struct {
		Name, Outcome string
		Aliases, Keys int64
		Mailboxes     []string
		Registries    []string
		Clients       []string
	}](ctx, conn,
		`select coalesce(name, '') as name, outcome, aliases, keys, mailboxes, registries, clients from api.remove_domains($1, $2, $3)`,
		ids, withAliases, dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove domains: %w", err)
	}
	var removed []removedDomain
	for _, r := range results {
		switch r.Outcome {
		case "ok":
			removed = append(removed, removedDomain{r.Name, r.Aliases, r.Keys})
		case "gone":
			return nil, errors.New("one of the domains is gone already; nothing was removed")
		case "has_aliases":
			return nil, fmt.Errorf("%s has %s: --with-aliases removes them, too", r.Name, plural(int(r.Aliases), "address", "addresses"))
		case "has_mailboxes":
			return nil, fmt.Errorf("addresses of %s are the delivery mailboxes of %s: give these users another one, or remove them first",
				r.Name, strings.Join(r.Mailboxes, ", "))
		case "has_registries":
			return nil, fmt.Errorf("the Docker registries %s belong to %s: give them another domain (dockerauth registry edit --set-domain), or remove them first",
				strings.Join(r.Registries, ", "), r.Name)
		case "has_clients":
			return nil, fmt.Errorf("the OAuth 2.0 clients %s belong to %s: give them another domain (oauth2 edit --set-domain), or remove them first",
				strings.Join(r.Clients, ", "), r.Name)
		default:
			return nil, fmt.Errorf("remove domains: unknown outcome %q", r.Outcome)
		}
	}
	return removed, nil
}
