package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/urfave/cli/v2"
)

// clientSelectors is the help text about arguments that select clients.
const clientSelectors = "A CLIENT is meant by its client id or, if none has that, by its name."

func oauth2Command(db *database, profile *account.Profile) *cli.Command {
	return &cli.Command{
		Name:  "oauth2",
		Usage: "applications that users sign in to, and programs that act for themselves",
		Description: "Clients of OAuth 2.0 and OpenID Connect. Which permissions one requires of its users,\n" +
			"\"authserver permissions require\" says.",
		Subcommands: []*cli.Command{
			oauth2CreateCommand(db, profile),
			oauth2ListCommand(db),
			oauth2ShowCommand(db),
			oauth2EditCommand(db),
			oauth2RemoveCommand(db),
			oauth2RotateSecretCommand(db, profile),
			oauth2EndSecretCommand(db),
			oauth2ApplyCommand(db, profile),
			oauth2ExplainCommand(db),
			oauth2TokensCommand(db),
			oauth2RevokeCommand(db),
			oauth2ConsentCommand(db),
			oauth2ClaimCommand(db),
			oauth2PolicyCommand(db),
			oauth2KeysCommand(db),
		},
	}
}

func oauth2ListCommand(db *database) *cli.Command {
	var id, name string
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print clients, by name",
		Description: "The lines are NAME ID. That there is no client is an answer, too: the exit code is 0.\n" +
			"Upper and lower case are the same in what is searched for.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "search-client-id", Usage: "only those with `TEXT` in the client id", Destination: &id},
			&cli.StringFlag{Name: "search-client-name", Usage: "only those with `TEXT` in the name", Destination: &name},
			out.flag("list"),
		},
		Action: func(c *cli.Context) error {
			if c.IsSet("search-client-id") && c.IsSet("search-client-name") {
				return command.Usagef("--search-client-id and --search-client-name exclude each other")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findOAuth2Clients(ctx, conn, nil)
				if err != nil {
					return err
				}
				found = slices.DeleteFunc(found, func(client oauth2Client) bool {
					return !containsFold(client.ClientID, id) || !containsFold(client.name(), name)
				})
				if len(found) == 0 && (out.name == "list" || out.name == "table") {
					say(c, "no client is there")
					return nil
				}
				var rows []listedOAuth2Client
				for _, client := range found {
					rows = append(rows, client.listed())
				}
				return printList(c.App.Writer, out, rows, func(row listedOAuth2Client) string {
					return command.OneLine(row.Name) + " " + row.ClientID
				})
			})
		},
	}
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func oauth2ShowCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "show",
		Usage: "print clients with all settings, without their secrets",
		Description: "Settings are called as \"authserver oauth2 apply\" calls them, which takes what\n" +
			"--format json prints. " + clientSelectors,
		ArgsUsage: "CLIENT...",
		Flags:     []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findOAuth2Clients(ctx, conn, c.Args().Slice())
				if err != nil && len(found) == 0 && out.name != "json" {
					return err
				}
				return errors.Join(printOAuth2Clients(c, out, found), err)
			})
		},
	}
}

// shownSetting is a setting of a client, as a line.
type shownSetting struct {
	ClientID string `json:"client_id"`
	Setting  string `json:"setting"`
	Value    string `json:"value"`
}

// printOAuth2Clients prints clients whole: an object for each as JSON, and
// otherwise a line for each setting.
func printOAuth2Clients(c *cli.Context, out format, clients []oauth2Client) error {
	if out.name == "json" {
		if clients == nil {
			clients = []oauth2Client{}
		}
		return printJSON(c.App.Writer, clients)
	}
	var rows []shownSetting
	for _, client := range clients {
		rows = append(rows, client.lines()...)
	}
	return printList(c.App.Writer, out, rows, nil)
}

func oauth2RemoveCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:  "remove",
		Usage: "remove clients with their secrets, consents and tokens",
		Description: "Does not ask. Access tokens that verify by themselves stay valid until they expire;\n" +
			"userinfo and introspection refuse them at once. " + clientSelectors,
		ArgsUsage: "CLIENT...",
		Flags:     []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findOAuth2Clients(ctx, conn, c.Args().Slice())
				if err != nil {
					return err
				}
				removed, err := removeOAuth2Clients(ctx, conn, found, dryRun)
				if err != nil {
					return err
				}
				if dryRun {
					return showDryRun(c, "remove "+plural(len(removed), "client", "clients"), removed)
				}
				for _, client := range removed {
					say(c, "Removed client %s (ID: %s)", client.Name, client.ClientID)
				}
				return nil
			})
		},
	}
}

// oauth2Client is a client as the database has it.
type oauth2Client struct {
	ID        string
	ClientID  string
	Settings  clientSettings
	Secrets   []oauth2Secret
	CreatedAt *time.Time
}

// oauth2Secret is what is known of a secret that is good.
type oauth2Secret struct {
	ID        int64      `json:"id"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // nil: never
	Imported  bool       `json:"imported"`   // it has a slow hash
}

// listedOAuth2Client is a client as lists show it.
type listedOAuth2Client struct {
	ClientID     string     `json:"client_id"`
	Name         string     `json:"name"`
	ClientType   string     `json:"client_type"`
	Enabled      bool       `json:"enabled"`
	GrantTypes   []string   `json:"grant_types"`
	RedirectURIs []string   `json:"redirect_uris"`
	Domain       *string    `json:"domain"` // nil: that of the issuer
	Trusted      bool       `json:"trusted"`
	Secrets      int        `json:"secrets"`
	CreatedAt    *time.Time `json:"created_at"`
}

func (o oauth2Client) name() string { return settingOf[string](o.Settings, "name") }

func (o oauth2Client) listed() listedOAuth2Client {
	return listedOAuth2Client{
		ClientID: o.ClientID, Name: o.name(),
		ClientType:   settingOf[string](o.Settings, "type"),
		Enabled:      settingOf[bool](o.Settings, "enabled"),
		GrantTypes:   settingOf[[]string](o.Settings, "grant_types"),
		RedirectURIs: settingOf[[]string](o.Settings, "redirect_uris"),
		Domain:       settingOf[*string](o.Settings, "domain"),
		Trusted:      settingOf[bool](o.Settings, "trusted"),
		Secrets:      len(o.Secrets),
		CreatedAt:    o.CreatedAt,
	}
}

// MarshalJSON returns the client as files have it, its settings in the order of
// the table oauth2Settings.
func (o oauth2Client) MarshalJSON() ([]byte, error) {
	object := []byte(`{"client_id":` + string(mustJSON(o.ClientID)))
	for _, s := range oauth2Settings {
		object = fmt.Appendf(object, ",%s:%s", mustJSON(s.name), s.toFile(o.Settings[s.stored()]))
	}
	secrets := o.Secrets
	if secrets == nil {
		secrets = []oauth2Secret{}
	}
	return fmt.Appendf(object, `,"secrets":%s,"created_at":%s}`, mustJSON(secrets), mustJSON(o.CreatedAt)), nil
}

// lines returns the client as lines.
func (o oauth2Client) lines() []shownSetting {
	var lines []shownSetting
	for _, s := range oauth2Settings {
		lines = append(lines, shownSetting{o.ClientID, s.name, s.toText(o.Settings[s.stored()])})
	}
	for _, secret := range o.Secrets {
		text := fmt.Sprintf("%d, since %s", secret.ID, secret.CreatedAt.UTC().Format(time.RFC3339))
		if secret.ExpiresAt != nil {
			text += ", until " + secret.ExpiresAt.UTC().Format(time.RFC3339)
		}
		if secret.Imported {
			text += ", imported"
		}
		lines = append(lines, shownSetting{o.ClientID, "secret", text})
	}
	return append(lines, shownSetting{o.ClientID, "created_at", o.CreatedAt.UTC().Format(time.RFC3339)})
}

// mustJSON returns v, which is made of texts, numbers and times, as JSON.
func mustJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// foundOAuth2Client is the client that a selector means, if there is one.
type foundOAuth2Client struct {
	Selector string
	oauth2Client
}

func (f foundOAuth2Client) match() (selector, id string, row oauth2Client) {
	return f.Selector, f.ID, f.oauth2Client
}

// findOAuth2Clients calls api.find_oauth2_clients. Without selectors it returns
// all. With an error about selectors that mean none come the clients that the
// others mean.
func findOAuth2Clients(ctx context.Context, conn *pgx.Conn, selectors []string) ([]oauth2Client, error) {
	found, err := queryRows[foundOAuth2Client](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id::text, '') as id, coalesce(client_id, '') as client_id,
		        settings, secrets, created_at
		   from api.find_oauth2_clients(nullif($1::text[], '{}'))`, selectors)
	if err != nil {
		return nil, fmt.Errorf("find clients: %w", err)
	}
	return matches(found, "client has the client id or name")
}

// oneOAuth2Client returns the client that a selector means.
func oneOAuth2Client(ctx context.Context, conn *pgx.Conn, selector string) (oauth2Client, error) {
	clients, err := findOAuth2Clients(ctx, conn, []string{selector})
	if err != nil {
		return oauth2Client{}, err
	}
	return clients[0], nil
}

// optionalOAuth2Client returns the client that the selector of --client means,
// or nil without that flag.
func optionalOAuth2Client(ctx context.Context, c *cli.Context, conn *pgx.Conn, selector string) (*oauth2Client, error) {
	if !c.IsSet("client") {
		return nil, nil
	}
	client, err := oneOAuth2Client(ctx, conn, selector)
	return &client, err
}

// clientID returns a client as a stored function's parameter: null for nil.
func (o *oauth2Client) clientID() *string {
	if o == nil {
		return nil
	}
	return &o.ClientID
}

// clientFlag returns --client, which selects a client.
func clientFlag(selector *string, usage string) cli.Flag {
	return &cli.StringFlag{Name: "client", Usage: usage + ": `CLIENT`, a client id or name", Destination: selector}
}

// oauth2ClientLoss is a client and what goes with it.
type oauth2ClientLoss struct {
	ClientID string `json:"client_id"`
	Name     string `json:"name"`
	Secrets  int    `json:"secrets"`
	Consents int    `json:"consents"`
	Grants   int    `json:"grants"`
}

// removeOAuth2Clients calls api.remove_oauth2_clients.
func removeOAuth2Clients(ctx context.Context, conn *pgx.Conn, list []oauth2Client, dryRun bool) ([]oauth2ClientLoss, error) {
	var ids []string
	for _, client := range list {
		ids = append(ids, client.ID)
	}
	loss, err := queryRows[oauth2ClientLoss](ctx, conn,
		`select client_id, name, secrets, consents, grants from api.remove_oauth2_clients($1::bigint[], $2)`, ids, dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove clients: %w", err)
	}
	return loss, nil
}

// errNoSecret is the error about a secret for a client that takes none.
var errNoSecret = errors.New("such a client takes no secret: its token_endpoint_auth_method is none or private_key_jwt")

// clientRefused returns the error for what the stored functions say of the
// settings of a client.
func clientRefused(doing, outcome string, detail []string, settings clientSettings) error {
	domain := settingOf[string](settings, "domain")
	switch outcome {
	case "gone":
		return errors.New("the client is no longer there; nothing was done")
	case "name_exists":
		return fmt.Errorf("another client has the name %q", settingOf[string](settings, "name"))
	case "no_domain":
		return fmt.Errorf("there is no domain %s", domain)
	case "no_key":
		if domain == "" {
			domain = "of the client"
		}
		return fmt.Errorf("domain %s has no key that signs by %s: domain edit --create-key jwt makes one", domain, strings.Join(detail, " or "))
	case "unknown_permission":
		return noPermission(detail)
	case "ambiguous_permission":
		return ambiguousPermission(detail)
	case "unknown_group":
		return fmt.Errorf("no group has the name or id %s; nothing was done", quotedList(detail))
	case "no_secret":
		return errNoSecret
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

// clientRules says what the constraints of the table auth.oauth2_clients demand,
// where a setting by itself is good.
var clientRules = map[string]string{
	"oauth2_clients_token_endpoint_auth_method": "a public client authenticates by none, and no other does",
	"oauth2_clients_grant_types":                "a client has at least one grant type",
	"oauth2_clients_public_has_users":           "client credentials are for confidential clients: who keeps no secret is nobody by itself",
	"oauth2_clients_public_uses_pkce":           "a public client has to use PKCE",
	"oauth2_clients_one_jwks":                   "a client that authenticates by private_key_jwt has its keys as jwks or at jwks_uri, and no other has",
	"oauth2_clients_lifetimes":                  "a lifetime is out of bounds: codes 10s to 10m, access and ID tokens 10s to 1d, refresh tokens and grants 1m to 3650d",
}

// explainClient says in the operator's terms which rule about clients an error is
// about.
func explainClient(doing string, err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "23514" && clientRules[pgErr.ConstraintName] != "" {
		return command.Usagef("%s", clientRules[pgErr.ConstraintName])
	}
	return fmt.Errorf("%s: %w", doing, err)
}
