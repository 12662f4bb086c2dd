package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
	"golang.org/x/text/unicode/norm"
)

func appPasswordCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "apppassword",
		Usage: "generated passwords of users, one for each device or program",
		Subcommands: []*cli.Command{
			appPasswordCreateCommand(db),
			appPasswordListCommand(db),
			appPasswordRevokeCommand(db),
			appPasswordRemoveCommand(db),
		},
	}
}

func appPasswordCreateCommand(db *database) *cli.Command {
	var selector, description string
	var limit appPasswordLimits
	var out format
	return &cli.Command{
		Name:  "create",
		Usage: "generate an app password for a user, and print it",
		Description: "The password is shown this once. It logs the user in under any of the user's\n" +
			"addresses, where the server asks authserver_verify or this program. Servers that\n" +
			"look up one password hash for each name need a service user.\n\n" +
			"--registry and --registry-actions make one for Docker registries, and nothing else.\n" +
			"It allows no more than its user may do there.",
		Flags: append(append(limit.flags(), limit.registryFlags()...),
			userFlag(&selector, "the user whose password it is", true),
			&cli.StringFlag{Name: "description", Usage: "`TEXT` that tells it from others", Destination: &description},
			out.objectFlag()),
		Action: func(c *cli.Context) error {
			if err := checkDescription(description); err != nil {
				return err
			}
			if err := limit.checkRegistries(); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, selector)
				if err != nil {
					return err
				}
				if err := limit.findRegistries(ctx, conn); err != nil {
					return err
				}
				password, err := createAppPassword(ctx, conn, user, description, limit)
				if err != nil {
					return err
				}
				say(c, "App password %s of %s created", password.ID(), user.Identifier)
				if out.name == "json" {
					return printJSON(c.App.Writer, struct {
						ID             string `json:"id"`
						UserIdentifier string `json:"user_identifier"`
						Password       string `json:"password"`
					}{password.ID(), user.Identifier, password.Text()})
				}
				_, err = fmt.Fprintln(c.App.Writer, password.Text())
				return err
			})
		},
	}
}

func appPasswordListCommand(db *database) *cli.Command {
	var selector, contains string
	var out format
	return &cli.Command{
		Name:    "list",
		Aliases: []string{"show"},
		Usage:   "print app passwords without the passwords: all, or those with these ids",
		Description: "Empty services, networks, registries and actions mean: all. The times of last use\n" +
			"are kept by the hour.",
		ArgsUsage: "[ID...]",
		Flags: []cli.Flag{
			userFlag(&selector, "only those of this user", false),
			containsFlag(&contains, "only those with `TEXT` in the description"),
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			ids, err := appPasswordIDs(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := optionalUser(ctx, c, conn, "user", selector)
				if err != nil {
					return err
				}
				found, err := findAppPasswords(ctx, conn, ids, contains, user)
				return printFound(c.App.Writer, out, found, err)
			})
		},
	}
}

func appPasswordRevokeCommand(db *database) *cli.Command {
	var g consent
	return &cli.Command{
		Name:  "revoke",
		Usage: "end app passwords; they stay in the list",
		Description: "A service user whose password one is cannot log in until it gets another by\n" +
			"authserver serviceuser edit --new-password.",
		ArgsUsage: "ID...",
		Flags:     g.flags(),
		Action: func(c *cli.Context) error {
			return endAppPasswords(db, c, g, "revoke", func(ctx context.Context, conn *pgx.Conn, ids []string, dryRun bool) error {
				if dryRun {
					return nil
				}
				return revokeAppPasswords(ctx, conn, ids)
			})
		},
	}
}

func appPasswordRemoveCommand(db *database) *cli.Command {
	var g consent
	return &cli.Command{
		Name:        "remove",
		Usage:       "end app passwords and forget them",
		Description: "Refused for the password of a service user.",
		ArgsUsage:   "ID...",
		Flags:       g.flags(),
		Action: func(c *cli.Context) error {
			return endAppPasswords(db, c, g, "remove", removeAppPasswords)
		},
	}
}

// endAppPasswords revokes or removes the app passwords with these ids by end,
// which with dryRun only says whether it would.
func endAppPasswords(db *database, c *cli.Context, g consent, doing string, end func(ctx context.Context, conn *pgx.Conn, ids []string, dryRun bool) error) error {
	ids, err := appPasswordIDs(c)
	if err != nil {
		return err
	}
	return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
		found, err := findAppPasswords(ctx, conn, ids, "", nil)
		if err != nil {
			return err
		}
		if err := end(ctx, conn, ids, true); err != nil {
			return err
		}
		if ok, err := ask(c, g, doing+" "+plural(len(found), "app password", "app passwords"), found); err != nil || !ok {
			return err
		}
		if err := end(ctx, conn, ids, false); err != nil {
			return err
		}
		for _, f := range found {
			say(c, "App password %s of %s %sd", f.ID, f.UserIdentifier, doing)
		}
		return nil
	})
}

// appPasswordIDs returns the arguments as ids of app passwords, or nil if there
// are none. No error repeats one: it may be a whole app password.
func appPasswordIDs(c *cli.Context) ([]string, error) {
	var ids []string
	for _, arg := range c.Args().Slice() {
		id, ok := parseAppPasswordID(arg)
		if !ok {
			return nil, command.Usagef("an ID is the 6 characters of an app password that follow its \"ap\", and nothing of the rest")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// parseAppPasswordID reads the id of an app password, with or without the "ap"
// before it, as somebody typed it.
func parseAppPasswordID(s string) (id string, ok bool) {
	if len(s) == len("ap")+6 && strings.EqualFold(s[:2], "ap") {
		s = s[2:]
	}
	if len(s) != 6 {
		return "", false
	}
	id = strings.NewReplacer("i", "1", "l", "1", "o", "0").Replace(strings.ToLower(s))
	for _, r := range id {
		if !strings.ContainsRune("0123456789abcdefghjkmnpqrstvwxyz", r) {
			return "", false
		}
	}
	return id, true
}

// appPasswordLimits is for what, from where and until when an app password is
// good.
type appPasswordLimits struct {
	services services
	networks networks
	expires  expiry

	registries selectors     // before findRegistries, then client ids
	actions    dockerActions // at registries
}

func (l *appPasswordLimits) flags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "service", Usage: "good for `NAME` only, such as imap; may be given several times", Value: &l.services},
		&cli.GenericFlag{Name: "network", Usage: "good from `CIDR` only; may be given several times", Value: &l.networks},
		&cli.GenericFlag{Name: "expires", Usage: "good until `DATE`, or for a number of days: 90d", Value: &l.expires},
	}
}

func (l *appPasswordLimits) registryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "registry", Aliases: []string{"r"}, Usage: "good for this Docker registry only: `REGISTRY`, a client id or name; may be given several times", Value: &l.registries},
		&cli.GenericFlag{Name: "registry-actions", Usage: "good for `ACTIONS` at Docker registries only: pull, push, delete, catalog, with commas between", Value: &l.actions},
	}
}

// checkRegistries lets limits at registries imply that the password is for
// nothing else, and refuses other services beside them.
func (l *appPasswordLimits) checkRegistries() error {
	if l.registries == nil && l.actions == nil {
		return nil
	}
	for _, s := range l.services {
		if s != dockerService {
			return command.Usagef("--registry and --registry-actions are for the service %s alone, and --service %s is given", dockerService, s)
		}
	}
	l.services = services{dockerService}
	return nil
}

// findRegistries replaces what selects registries by their client ids.
func (l *appPasswordLimits) findRegistries(ctx context.Context, conn *pgx.Conn) error {
	if l.registries == nil {
		return nil
	}
	found, err := findRegistries(ctx, conn, l.registries)
	if err != nil {
		return err
	}
	l.registries = nil
	for _, r := range found {
		l.registries = append(l.registries, r.ClientID)
	}
	return nil
}

// dockerService is the service that the token endpoint logs in for.
const dockerService = "docker"

func (l *appPasswordLimits) given() bool {
	return l.services != nil || l.networks != nil || l.expires.at != nil
}

// services are names of services, as the servers that offer them tell
// authserver_verify.
type services []string

// Set implements flag.Value: it adds a name.
func (s *services) Set(name string) error {
	if name == "" || len(name) > 64 {
		return errors.New("a service has a name of 1 to 64 octets")
	}
	if !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) {
		return errors.New("the service is not UTF-8 in Unicode normalization form NFC")
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == ',' {
			return fmt.Errorf("the service has the character %q; give the flag once for each", r)
		}
	}
	*s = append(*s, name)
	return nil
}

func (s *services) String() string { return strings.Join(*s, ", ") }

// networks are networks that clients may come from.
type networks []netip.Prefix

// Set implements flag.Value: it adds a network, or a single address.
func (n *networks) Set(s string) error {
	network, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return errors.New("neither a network such as 192.0.2.0/24 nor an address")
	case network.Addr().Is4In6():
		return errors.New("IPv4 has to be written as IPv4")
	case network != network.Masked():
		return fmt.Errorf("bits are set behind the prefix; the network is %s", network.Masked())
	}
	*n = append(*n, network)
	return nil
}

func (n *networks) String() string {
	var all []string
	for _, network := range *n {
		all = append(all, network.String())
	}
	return strings.Join(all, ", ")
}

// expiry is when something ends. A nil at is never.
type expiry struct{ at *time.Time }

// maxExpiryDays is a hundred years.
const maxExpiryDays = 36500

// Set implements flag.Value.
func (e *expiry) Set(s string) error {
	at, err := parseExpiry(s, time.Now())
	if err != nil {
		return err
	}
	e.at = &at
	return nil
}

func (e *expiry) String() string {
	if e.at == nil {
		return ""
	}
	return e.at.Format(time.RFC3339)
}

// parseExpiry reads a number of days from now, or a time in the future. A date
// is its beginning where the program runs.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n < 1 || n > maxExpiryDays {
			return time.Time{}, fmt.Errorf("days are a number from 1 to %d", maxExpiryDays)
		}
		return now.AddDate(0, 0, int(n)), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		at, err := time.ParseInLocation(layout, s, now.Location())
		if err != nil {
			continue
		}
		if !at.After(now) {
			return time.Time{}, errors.New("that is past")
		}
		return at, nil
	}
	return time.Time{}, errors.New("neither days such as 90d nor a date such as 2030-12-31")
}

// generated is an app password that is not stored yet, with its hash for
// crypt(3).
type generated struct {
	account.AppPassword
	crypt string
}

// generateAppPassword makes an app password.
func generateAppPassword() (generated, error) {
	password := account.NewAppPassword()
	crypt, err := password.Crypt()
	return generated{password, crypt}, err
}

// maxIDsTaken is how many app passwords are made until one has an id of its
// own. There are 2^30.
const maxIDsTaken = 10

var errIDsTaken = fmt.Errorf("%d generated app passwords all had an id that is taken", maxIDsTaken)

// createAppPassword calls api.create_app_password.
func createAppPassword(ctx context.Context, conn *pgx.Conn, user listedUser, description string, limit appPasswordLimits) (account.AppPassword, error) {
	for range maxIDsTaken {
		password, err := generateAppPassword()
		if err != nil {
			return account.AppPassword{}, err
		}
		hash := password.SHA256()
		outcome, err := queryValue[string](ctx, conn,
			`select outcome from api.create_app_password($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			user.UUID, password.ID(), description, hash[:], password.crypt, limit.services, limit.networks, limit.expires.at,
			[]string(limit.registries), []string(limit.actions))
		if err != nil {
			return account.AppPassword{}, fmt.Errorf("create app password: %w", err)
		}
		switch outcome {
		case "ok":
			return password.AppPassword, nil
		case "gone":
			return account.AppPassword{}, userGone([]listedUser{user}, user.UUID)
		case "id_taken":
		default:
			return account.AppPassword{}, fmt.Errorf("create app password: unknown outcome %q", outcome)
		}
	}
	return account.AppPassword{}, errIDsTaken
}

// listedAppPassword is an app password as lists show it. Nil services,
// networks, registries and actions are all.
type listedAppPassword struct {
	ID              string     `json:"id"`
	UserIdentifier  string     `json:"user_identifier"`
	ServiceUser     *string    `json:"service_user"`
	Description     string     `json:"description"`
	Services        []string   `json:"services"`
	Networks        []string   `json:"networks"`
	Status          string     `json:"status"`
	CreatedAt       *time.Time `json:"created_at"`
	ExpiresAt       *time.Time `json:"expires_at"`
	RevokedAt       *time.Time `json:"revoked_at"`
	LastUsedAt      *time.Time `json:"last_used_at"`
	LastUsedService *string    `json:"last_used_service"`
	LastUsedFrom    *string    `json:"last_used_from"`
	Registries      []string   `json:"registries"`
	RegistryActions []string   `json:"registry_actions"`
}

// foundAppPassword is the app password with an id, if there is one.
type foundAppPassword struct {
	Selector string
	listedAppPassword
}

func (f foundAppPassword) match() (selector, id string, row listedAppPassword) {
	return f.Selector, f.ID, f.listedAppPassword
}

// findAppPasswords calls api.find_app_passwords. Without ids it returns all
// that the filters let through; a nil user is everybody.
func findAppPasswords(ctx context.Context, conn *pgx.Conn, ids []string, contains string, user *listedUser) ([]listedAppPassword, error) {
	found, err := queryRows[foundAppPassword](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id, '') as id, coalesce(user_identifier, '') as user_identifier, service_user,
		        coalesce(description, '') as description, services, networks, coalesce(status, '') as status,
		        created_at, expires_at, revoked_at, last_used_at, last_used_service, last_used_from,
		        registries, registry_actions
		   from api.find_app_passwords($1, nullif($2, ''), $3)`, ids, contains, idOf(user))
	if err != nil {
		return nil, fmt.Errorf("find app passwords: %w", err)
	}
	return matches(found, "app password has the id")
}

// revokeAppPasswords calls api.revoke_app_passwords.
func revokeAppPasswords(ctx context.Context, conn *pgx.Conn, ids []string) error {
	refused, err := queryRow[appPasswordRefusal](ctx, conn,
		`select outcome, app_password_id, null as service_user from api.revoke_app_passwords($1)`, ids)
	if err != nil {
		return fmt.Errorf("revoke app passwords: %w", err)
	}
	return refused.err("revoke app passwords")
}

// removeAppPasswords calls api.remove_app_passwords.
func removeAppPasswords(ctx context.Context, conn *pgx.Conn, ids []string, dryRun bool) error {
	refused, err := queryRow[appPasswordRefusal](ctx, conn,
		`select outcome, app_password_id, service_user from api.remove_app_passwords($1, $2)`, ids, dryRun)
	if err != nil {
		return fmt.Errorf("remove app passwords: %w", err)
	}
	return refused.err("remove app passwords")
}

// appPasswordRefusal says why app passwords stay as they are, unless it is ok.
type appPasswordRefusal struct {
	Outcome       string
	AppPasswordID *string
	ServiceUser   *string
}

func (r appPasswordRefusal) err(doing string) error {
	switch r.Outcome {
	case "ok":
		return nil
	case "gone":
		return fmt.Errorf("app password %s is no longer there; nothing was done", *r.AppPasswordID)
	case "bound":
		return fmt.Errorf("app password %s is that of service user %s: remove the service user, or give it another by authserver serviceuser edit --new-password",
			*r.AppPasswordID, *r.ServiceUser)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, r.Outcome)
}

// checkDescription refuses a description that a list could not show.
func checkDescription(s string) error {
	if s == "" {
		return nil
	}
	if _, err := account.ParseName(s); err != nil {
		return command.Usagef("--description: %s", strings.Replace(err.Error(), "name", "text", 1))
	}
	return nil
}
