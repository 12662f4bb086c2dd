package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/urfave/cli/v2"
)

func registryCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "registry",
		Usage: "the registries, and the keys that sign for them",
		Subcommands: []*cli.Command{
			registryCreateCommand(db),
			registryEditCommand(db),
			registryListCommand(db),
			registryShowCommand(db),
			registryRemoveCommand(db),
			registryConfigCommand(db),
			keysCommand(db, registryKeys, "print the registry's own keys, those that sign first"),
			publishKeyCommand(db, registryKeys,
				"The first step to replace a key without a gap. Wait until the registry has the new\n"+
					"one, which \"checkpassword -m watch-keys\" brings there. Then activate it, and remove\n"+
					"the old one when no token that it signed is valid any more.\n"+registrySelectors),
			activateKeyCommand(db, registryKeys),
			retireKeyCommand(db, registryKeys),
			removeKeyCommand(db, registryKeys,
				"What a retired key has signed cannot be verified any more: tokens with its kid.",
				func(registry, key string) removedRegistryKey { return removedRegistryKey{registry, key} }),
			everythingCommand(db, userRules),
			everythingCommand(db, groupRules),
		},
	}
}

// registryKeys is the noun registry, as the commands about keys need it.
var registryKeys = keyNoun{
	argument: "REGISTRY", name: "KID",
	owner: func(c *cli.Context) (ownerFinder, error) {
		return func(ctx context.Context, conn *pgx.Conn) (keyOwner, error) {
			registry, err := oneRegistry(ctx, conn, c.Args().First())
			return registryOwner(registry.ClientID), err
		}, nil
	},
}

// registryOwner returns a registry as the owner of keys.
func registryOwner(clientID string) keyOwner { return keyOwner{noun: registryNoun, name: clientID} }

// removedRegistryKey is a key that goes.
type removedRegistryKey struct {
	Registry string `json:"registry"`
	Key      string `json:"key"`
}

func registryCreateCommand(db *database) *cli.Command {
	made := newRegistry{settings: registrySettings{
		signingKey: new(signingKey), keyHint: new(keyHint), pullLifetime: new(lifetime), pushLifetime: new(lifetime),
	}}
	*made.settings.signingKey, *made.settings.keyHint = ownKey, keyHint(token.HintX5CKID)
	*made.settings.pullLifetime, *made.settings.pushLifetime = lifetime(5*time.Minute), lifetime(30*time.Minute)
	var domain domainName
	var exact, anyonePulls, anyonePushes bool
	keys := keyFlags{create: keyPurposes{token.JWT}}
	var secret secretKey
	return &cli.Command{
		Name:  "create",
		Usage: "add a registry, with a key of its own that signs for it",
		Description: "\"authserver dockerauth registry config\" prints what the registry's side takes. Nobody\n" +
			"may do anything there until \"authserver dockerauth rule allow\" says so.\n\n" +
			"A registry that was set up against the Python authserver and is to stay as it is has\n" +
			"--signing-key domain --key-hint kid, and --issuer as its configuration has it.",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "client-id", Usage: "what the registry calls itself, its service: `ID`, such as its host name; it never changes", Value: &made.clientID, Required: true},
			&cli.GenericFlag{Name: "name", Usage: "the `NAME` that people read", Value: &made.name, Required: true},
			&cli.GenericFlag{Name: "domain", Usage: "it belongs to `DOMAIN`, or to the nearest above it that may sign for it", Value: &domain, Required: true},
			&cli.BoolFlag{Name: "domain-exact-match", Usage: "it belongs to the very domain", Destination: &exact},
			&cli.BoolFlag{Name: "allow-unauthenticated-pull", Usage: "anybody may pull everything", Destination: &anyonePulls},
			&cli.BoolFlag{Name: "allow-unauthenticated-push", Usage: "anybody may push anything", Destination: &anyonePushes},
			&cli.GenericFlag{
				Name: "issuer", Value: &optional[issuerName, *issuerName]{&made.settings.issuer},
				Usage: "the issuer of its tokens, as its configuration has it: `HOST[:PORT]` (default: that of the server's ISSUER)",
			},
			&cli.GenericFlag{Name: "signing-key", Usage: "`registry|domain`: tokens are signed with a key of its own, or with that of its domain", Value: made.settings.signingKey},
			keys.jwtAlgorithmFlag(),
			&cli.GenericFlag{Name: "key-hint", Usage: keyHintUsage, Value: made.settings.keyHint},
			&cli.GenericFlag{Name: "pull-lifetime", Usage: "tokens that can only read are good for `DURATION`", Value: made.settings.pullLifetime},
			&cli.GenericFlag{Name: "push-lifetime", Usage: "other tokens are good for `DURATION`", Value: made.settings.pushLifetime},
			secret.flag(),
		},
		Action: func(c *cli.Context) error {
			if anyonePulls {
				made.anyone = append(made.anyone, "pull")
			}
			if anyonePushes {
				made.anyone = append(made.anyone, "push")
			}
			if *made.settings.signingKey == domainKey {
				if keys.algorithm != "" {
					return command.Usagef("--algorithm is for a key of the registry's own, and --signing-key is domain")
				}
				keys.create = nil
			}
			var err error
			if made.keys, err = keys.generate(c, &secret, registryOwner(string(made.clientID))); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				owner := address.Domain(domain)
				if !exact {
					if owner, err = findParentDomain(ctx, conn, owner); err != nil {
						return err
					}
				}
				made.settings.domain = &owner
				if err := createRegistry(ctx, conn, made); err != nil {
					return err
				}
				say(c, "Registry %s of %s created", made.clientID, owner)
				if anyonePushes {
					say(c, "warning: anybody may push anything to %s, without a password", made.clientID)
				}
				if anyonePushes && !anyonePulls {
					say(c, "warning: a push takes pull, too: --allow-unauthenticated-pull is not given")
				}
				if made.settings.issuer == nil && os.Getenv("ISSUER") == "" {
					say(c, "the issuer of its tokens is the host of ISSUER: \"authserver serve\" needs that (--issuer)")
				}
				return warnAboutDomainKey(ctx, c, conn, *made.settings.signingKey, owner)
			})
		},
	}
}

// warnAboutDomainKey says so if a registry signs with a key of a domain that
// has none.
func warnAboutDomainKey(ctx context.Context, c *cli.Context, conn *pgx.Conn, signs signingKey, domain address.Domain) error {
	if signs != domainKey {
		return nil
	}
	_, err := activeKey(ctx, conn, domain, token.JWT, "")
	if errors.Is(err, errNoKey) {
		say(c, "warning: nothing signs its tokens: domain %s has no key for jwt; domain edit --create-key jwt makes one", domain)
		return nil
	}
	return err
}

func registryEditCommand(db *database) *cli.Command {
	var edit registrySettings
	var domain *domainName
	var dryRun bool
	return &cli.Command{
		Name:  "edit",
		Usage: "change a registry; what no flag names stays as it is",
		Description: "Does not ask. Issuer, signing key and key hint are what the registry's configuration\n" +
			"has to fit: \"authserver dockerauth registry config\" prints it.\n" + registrySelectors,
		ArgsUsage: "REGISTRY",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "set-name", Usage: "the `NAME` that people read", Value: &optional[registryName, *registryName]{&edit.name}},
			&cli.GenericFlag{Name: "set-domain", Usage: "it belongs to `DOMAIN`", Value: &optional[domainName, *domainName]{&domain}},
			&cli.GenericFlag{Name: "set-issuer", Usage: "the issuer of its tokens: `HOST[:PORT]`; empty: that of the server's ISSUER", Value: &optional[issuerName, *issuerName]{&edit.issuer}},
			&cli.GenericFlag{
				Name: "set-signing-key", Value: &optional[signingKey, *signingKey]{&edit.signingKey},
				Usage: "`registry|domain`: tokens are signed with a key of its own, or with that of its domain",
			},
			&cli.GenericFlag{Name: "set-key-hint", Usage: keyHintUsage, Value: &optional[keyHint, *keyHint]{&edit.keyHint}},
			&cli.GenericFlag{Name: "set-pull-lifetime", Usage: "tokens that can only read are good for `DURATION`", Value: &optional[lifetime, *lifetime]{&edit.pullLifetime}},
			&cli.GenericFlag{Name: "set-push-lifetime", Usage: "other tokens are good for `DURATION`", Value: &optional[lifetime, *lifetime]{&edit.pushLifetime}},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			edit.domain = (*address.Domain)(domain)
			if edit == (registrySettings{}) {
				return command.Usagef("there is nothing to change")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				registry, err := oneRegistry(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				if dryRun {
					return rehearse(ctx, conn, func() error {
						if err := editRegistry(ctx, conn, registry, edit); err != nil {
							return err
						}
						edited, err := oneRegistry(ctx, conn, registry.ClientID)
						if err != nil {
							return err
						}
						return showDryRun(c, "edit this registry, which would then be", []listedRegistry{edited})
					})
				}
				if err := editRegistry(ctx, conn, registry, edit); err != nil {
					return err
				}
				say(c, "Registry %s edited", registry.ClientID)
				if edit.signingKey != nil && string(*edit.signingKey) != registry.SigningKey {
					say(c, "warning: tokens are signed by another key now; a registry that has not read it yet refuses them, and one that reads its keys again refuses those that were signed before")
				}
				return nil
			})
		},
	}
}

func registryListCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print all registries, by name",
		Flags: []cli.Flag{out.flag("list")},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				registries, err := findRegistries(ctx, conn, nil)
				if err != nil {
					return err
				}
				if out.name != "list" {
					return printList(c.App.Writer, out, registries, nil)
				}
				// What the ancestor printed, and scripts look through.
				var b strings.Builder
				for _, r := range registries {
					fmt.Fprintf(&b, "\"%s\" %s\n", command.OneLine(r.Name), r.ClientID)
				}
				fmt.Fprintf(&b, "(%d found)\n", len(registries))
				_, err = fmt.Fprint(c.App.Writer, b.String())
				return err
			})
		},
	}
}

func registryShowCommand(db *database) *cli.Command {
	var filter registryFilter
	var several, private bool
	var out format
	return &cli.Command{
		Name:  "show",
		Usage: "print registries",
		Description: "That no registry fits --name or --client-id is an answer: then nothing is printed, and\n" +
			"the exit code is 0.\n" + registrySelectors,
		ArgsUsage: "[REGISTRY...]",
		Flags: append(filter.flags(),
			&cli.BoolFlag{Name: "allow-partial", Usage: "also those that have the text somewhere in it", Destination: &filter.partial},
			&cli.BoolFlag{Name: "case-insensitive", Usage: "upper and lower case are the same", Destination: &filter.fold},
			&cli.BoolFlag{Name: "allow-multiple", Usage: "print all that there are, and not only one", Destination: &several},
			&cli.BoolFlag{Name: "output-private-key", Hidden: true, Destination: &private},
			out.flag()),
		Action: func(c *cli.Context) error {
			if private {
				return command.Usagef("--output-private-key: private keys do not leave the database; dockerauth registry config says how a registry gets the public ones")
			}
			if err := filter.check(c); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if c.Args().Present() {
					found, err := findRegistries(ctx, conn, c.Args().Slice())
					return printFound(c.App.Writer, out, found, err)
				}
				found, err := filter.find(ctx, conn)
				if err != nil {
					return err
				}
				switch {
				case len(found) > 1 && !several:
					return fmt.Errorf("%d registries fit, and --allow-multiple is not given: %s", len(found), clientIDs(found))
				case len(found) == 0 && out.name == "table":
					return nil
				}
				return printList(c.App.Writer, out, found, nil)
			})
		},
	}
}

func registryRemoveCommand(db *database) *cli.Command {
	var filter registryFilter
	var g consent
	return &cli.Command{
		Name:        "remove",
		Usage:       "remove registries with their keys and rules; refresh tokens for them end",
		Description: "Tokens that are there stay valid until they expire. " + registrySelectors,
		ArgsUsage:   "[REGISTRY...]",
		Flags:       append(filter.flags(), g.flags()...),
		Action: func(c *cli.Context) error {
			if err := filter.check(c); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				var found []listedRegistry
				var err error
				if c.Args().Present() {
					found, err = findRegistries(ctx, conn, c.Args().Slice())
				} else if found, err = filter.find(ctx, conn); err == nil && len(found) == 0 {
					err = fmt.Errorf("no registry has the %s", filter.what())
				}
				if err != nil {
					return err
				}
				removed, err := askToRemove(c, g, plural(len(found), "registry", "registries")+" with all keys and rules", func(dryRun bool) ([]registryLoss, error) {
					return removeRegistries(ctx, conn, found, dryRun)
				})
				for _, r := range removed {
					say(c, "Registry %s removed", r.ClientID)
				}
				return err
			})
		},
	}
}

// registryFilter selects registries by the ancestor's flags.
type registryFilter struct {
	name, clientID string
	partial, fold  bool
}

func (f *registryFilter) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "the one with this `NAME`", Destination: &f.name},
		&cli.StringFlag{Name: "client-id", Usage: "the one with this client id, `ID`", Destination: &f.clientID},
	}
}

// check refuses everything but one way to say which registry.
func (f *registryFilter) check(c *cli.Context) error {
	ways := 0
	for _, given := range []bool{c.Args().Present(), c.IsSet("name"), c.IsSet("client-id")} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return command.Usagef("which registry? Name it, or give either --name or --client-id")
	}
	if c.Args().Present() && (f.partial || f.fold) {
		return command.Usagef("--allow-partial and --case-insensitive are for --name and --client-id")
	}
	// A script may have got it from nowhere, and every text has an empty part.
	if !c.Args().Present() && f.name == "" && f.clientID == "" {
		return command.Usagef("the name or client id is empty")
	}
	return nil
}

// what is what is looked for, for messages.
func (f *registryFilter) what() string {
	if f.name != "" {
		return fmt.Sprintf("name %q", f.name)
	}
	return fmt.Sprintf("client id %q", f.clientID)
}

// find returns the registries that fit.
func (f *registryFilter) find(ctx context.Context, conn *pgx.Conn) ([]listedRegistry, error) {
	all, err := findRegistries(ctx, conn, nil)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r listedRegistry) bool { return !f.fits(r) }), nil
}

func (f *registryFilter) fits(r listedRegistry) bool {
	text, wanted := r.Name, f.name
	if f.name == "" {
		text, wanted = r.ClientID, f.clientID
	}
	if f.fold {
		text, wanted = strings.ToLower(text), strings.ToLower(wanted)
	}
	if f.partial {
		return strings.Contains(text, wanted)
	}
	return text == wanted
}

// clientIDs returns the registries as a text.
func clientIDs(registries []listedRegistry) string {
	var ids []string
	for _, r := range registries {
		ids = append(ids, r.ClientID)
	}
	return strings.Join(ids, ", ")
}

// newRegistry is a registry to be made.
type newRegistry struct {
	clientID clientID
	name     registryName
	settings registrySettings // but for the name, and all but the issuer is there
	keys     []newKey
	anyone   []string // what anybody may do there; nil: nothing
}

// registrySettings are the properties of a registry that can change. Nil is not
// given: the default of a new registry, or what it was.
type registrySettings struct {
	name                       *registryName
	domain                     *address.Domain
	issuer                     *issuerName // empty: that of the server
	signingKey                 *signingKey
	keyHint                    *keyHint
	pullLifetime, pushLifetime *lifetime
}

// clientID is what a registry calls itself. The table auth.docker_registries
// has the same rules.
type clientID string

func (i *clientID) Set(s string) error {
	switch {
	case s == "":
		return errors.New("the client id is empty")
	case len(s) > 255:
		return errors.New("the client id is longer than 255 characters")
	case s[0] == ' ' || s[len(s)-1] == ' ':
		return errors.New("the client id has a blank at its beginning or end")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
		return errors.New("a client id consists of printable ASCII characters but for \" and \\")
	}
	*i = clientID(s)
	return nil
}

func (i *clientID) String() string { return string(*i) }

// registryName is the name of a registry for people.
type registryName string

func (n *registryName) Set(s string) error {
	name, err := account.ParseName(s)
	*n = registryName(name)
	return err
}

func (n *registryName) String() string { return string(*n) }

// issuerName is the issuer of a registry's tokens, or empty.
type issuerName string

func (i *issuerName) Set(s string) error {
	if len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return errors.New("an issuer consists of at most 255 printable ASCII characters but for blank, \" and \\")
	}
	*i = issuerName(s)
	return nil
}

func (i *issuerName) String() string { return string(*i) }

// domainName is a domain, as a flag's value.
type domainName address.Domain

func (d *domainName) Set(s string) error {
	domain, err := address.ParseDomain(s)
	*d = domainName(domain)
	return err
}

func (d *domainName) String() string { return string(*d) }

// signingKey is whose keys sign for a registry.
type signingKey string

const (
	ownKey    signingKey = "registry"
	domainKey signingKey = "domain"
)

func (k *signingKey) Set(s string) error {
	if s != string(ownKey) && s != string(domainKey) {
		return fmt.Errorf("%q is neither %s nor %s", s, ownKey, domainKey)
	}
	*k = signingKey(s)
	return nil
}

func (k *signingKey) String() string { return string(*k) }

const keyHintUsage = "how a token says which key has signed it: `HINT` kid, kid-libtrust, x5c or x5c+kid"

// keyHint is how a token says which key has signed it, as a flag's value.
type keyHint token.Hint

func (h *keyHint) Set(s string) error {
	hint, err := token.ParseHint(s)
	*h = keyHint(hint)
	return err
}

func (h *keyHint) String() string { return string(*h) }

// lifetime is how long a token is good.
type lifetime time.Duration

// Bounds of lifetimes, as the table auth.docker_registries has them.
const (
	minLifetime = time.Minute
	maxLifetime = 24 * time.Hour
)

func (l *lifetime) Set(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New("want a duration such as 5m")
	case d < minLifetime || d > maxLifetime:
		return errors.New("want 1m to 24h: clients take 60 seconds for granted, and nothing takes a token back")
	case d%time.Second != 0:
		return errors.New("want whole seconds")
	}
	*l = lifetime(d)
	return nil
}

// String returns the lifetime without units that are zero: 5m, not 5m0s.
func (l lifetime) String() string {
	s := time.Duration(l).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (l lifetime) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// ScanInterval implements pgtype.IntervalScanner.
func (l *lifetime) ScanInterval(v pgtype.Interval) error {
	*l = 0
	if v.Valid {
		*l = lifetime(time.Duration(v.Microseconds)*time.Microsecond + time.Duration(v.Days)*24*time.Hour)
	}
	return nil
}

// IntervalValue implements pgtype.IntervalValuer.
func (l lifetime) IntervalValue() (pgtype.Interval, error) {
	return pgtype.Interval{Microseconds: time.Duration(l).Microseconds(), Valid: true}, nil
}

// createRegistry calls api.create_docker_registry.
func createRegistry(ctx context.Context, conn *pgx.Conn, made newRegistry) error {
	s := made.settings
	outcome, err := queryValue[string](ctx, conn,
		`select outcome from api.create_docker_registry($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10)`,
		made.clientID.String(), made.name.String(), s.domain.String(), (*string)(s.issuer), s.signingKey.String(), s.keyHint.String(),
		s.pullLifetime, s.pushLifetime, made.keys, made.anyone)
	if err != nil {
		return fmt.Errorf("create registry: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "exists":
		return fmt.Errorf("registry %s already exists", made.clientID)
	}
	return registryRefused("create registry", outcome, made.name.String(), s)
}

// registryRefused returns an outcome that creating and editing have in common
// as an error.
func registryRefused(doing, outcome, name string, s registrySettings) error {
	switch outcome {
	case "name_exists":
		return fmt.Errorf("another registry has the name %q", name)
	case "no_domain":
		return noDomain(*s.domain)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

// editRegistry calls api.edit_docker_registry.
func editRegistry(ctx context.Context, conn *pgx.Conn, was listedRegistry, edit registrySettings) error {
	outcome, err := queryValue[string](ctx, conn,
		`select outcome from api.edit_docker_registry($1::bigint, $2, $3, $4, $5, $6, $7, $8)`,
		was.ID, (*string)(edit.name), (*string)(edit.domain), (*string)(edit.issuer), (*string)(edit.signingKey), (*string)(edit.keyHint),
		edit.pullLifetime, edit.pushLifetime)
	if err != nil {
		return fmt.Errorf("edit registry: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "gone":
		return registryGone(was)
	case "no_key":
		signs, domain := signingKey(was.SigningKey), was.Domain
		if edit.signingKey != nil {
			signs = *edit.signingKey
		}
		if edit.domain != nil {
			domain = edit.domain.String()
		}
		if signs == domainKey {
			return fmt.Errorf("domain %s has no key for jwt that could sign for the registry; domain edit --create-key jwt makes one", domain)
		}
		return fmt.Errorf("registry %s has no key of its own that signs; dockerauth registry publish-key makes one, activate-key lets it sign", was.ClientID)
	}
	name := ""
	if edit.name != nil {
		name = edit.name.String()
	}
	return registryRefused("edit registry", outcome, name, edit)
}

// registryLoss is a registry and what goes with it.
type registryLoss struct {
	ID            string `json:"id"`
	ClientID      string `json:"client_id"`
	Name          string `json:"name"`
	Domain        string `json:"domain"`
	Rules         int64  `json:"rules"`
	Keys          int64  `json:"keys"`
	RefreshTokens int64  `json:"refresh_tokens"`
}

// removeRegistries calls api.remove_docker_registries.
func removeRegistries(ctx context.Context, conn *pgx.Conn, list []listedRegistry, dryRun bool) ([]registryLoss, error) {
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	loss, err := queryRows[registryLoss](ctx, conn,
		`select id::text, client_id, name, domain, rules, keys, refresh_tokens from api.remove_docker_registries($1::bigint[], $2)`, ids, dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove registries: %w", err)
	}
	return loss, nil
}
