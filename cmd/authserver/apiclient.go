package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/command"
	"authbridge/internal/opaque"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func apiClientCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "apiclient",
		Usage: "machines that may ask on behalf of others, each with a secret",
		Description: "An API client may look users up without a password, and is believed when it says\n" +
			"from which address and for which service somebody logs in. It sends its secret as\n" +
			"Authorization: Bearer.",
		Subcommands: []*cli.Command{
			apiClientCreateCommand(db),
			apiClientListCommand(db),
			apiClientEditCommand(db),
			apiClientRotateCommand(db),
			apiClientRemoveCommand(db),
		},
	}
}

func apiClientCreateCommand(db *database) *cli.Command {
	var description string
	var from networks
	var out format
	return &cli.Command{
		Name:        "create",
		Usage:       "add an API client, and print its secret",
		Description: "The secret is shown this once. Put it into a file that only the API client reads.",
		ArgsUsage:   "NAME",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "description", Usage: "`TEXT` that tells it from others", Destination: &description},
			&cli.GenericFlag{Name: "network", Usage: "good from `CIDR` only; may be given several times", Value: &from},
			out.objectFlag(),
		},
		Action: func(c *cli.Context) error {
			name, err := parseAPIClientName(c.Args().First())
			if err != nil {
				return command.Usagef("%v", err)
			}
			if err := checkDescription(description); err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				made, err := createAPIClient(ctx, conn, name, description, from)
				if err != nil {
					return err
				}
				say(c, "API client %s created", made.name)
				return made.print(c, out)
			})
		},
	}
}

func apiClientListCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:        "list",
		Aliases:     []string{"show"},
		Usage:       "print API clients without their secrets: all, or those with these names",
		Description: "Empty networks mean: from everywhere. The time of last use is kept by the hour.",
		ArgsUsage:   "[NAME...]",
		Flags:       []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			names, err := apiClientNames(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findAPIClients(ctx, conn, names)
				return printFound(c.App.Writer, out, found, err)
			})
		},
	}
}

func apiClientEditCommand(db *database) *cli.Command {
	var description string
	var from networks
	var everywhere bool
	var g consent
	return &cli.Command{
		Name:        "edit",
		Usage:       "change API clients; what no flag names stays as it is",
		Description: "Asks if there is more than one.",
		ArgsUsage:   "NAME...",
		Flags: append(g.flags(),
			&cli.StringFlag{Name: "set-description", Usage: "`TEXT` that tells it from others", Destination: &description},
			&cli.GenericFlag{Name: "set-network", Usage: "good from `CIDR` only, in place of the networks before; may be given several times", Value: &from},
			&cli.BoolFlag{Name: "unset-networks", Usage: "good from everywhere", Destination: &everywhere}),
		Action: func(c *cli.Context) error {
			names, err := apiClientNames(c)
			if err != nil {
				return err
			}
			if err := checkDescription(description); err != nil {
				return err
			}
			change := apiClientChange{networks: from}
			if c.IsSet("set-description") {
				change.description = &description
			}
			switch {
			case everywhere && from != nil:
				return command.Usagef("--set-network and --unset-networks exclude each other")
			case everywhere:
				change.networks = networks{}
			}
			if change.description == nil && change.networks == nil {
				return command.Usagef("there is nothing to change")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findAPIClients(ctx, conn, names)
				if err != nil {
					return err
				}
				edit := func() error { return editAPIClients(ctx, conn, found, change) }
				if ok, err := askToChange(ctx, c, conn, g, "edit "+plural(len(found), "API client", "API clients"), found, edit); err != nil || !ok {
					return err
				}
				if err := edit(); err != nil {
					return err
				}
				for _, client := range found {
					say(c, "API client %s edited", client.Name)
				}
				return nil
			})
		},
	}
}

func apiClientRotateCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:        "rotate",
		Usage:       "give an API client a new secret, and print it; the old one ends at once",
		Description: "Does not ask. The secret is shown this once.",
		ArgsUsage:   "NAME",
		Flags:       []cli.Flag{out.objectFlag()},
		Action: func(c *cli.Context) error {
			names, err := apiClientNames(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findAPIClients(ctx, conn, names)
				if err != nil {
					return err
				}
				made, err := rotateAPIClientSecret(ctx, conn, found[0])
				if err != nil {
					return err
				}
				say(c, "API client %s has a new secret", made.name)
				return made.print(c, out)
			})
		},
	}
}

func apiClientRemoveCommand(db *database) *cli.Command {
	var g consent
	return &cli.Command{
		Name:      "remove",
		Usage:     "remove API clients; their secrets end at once",
		ArgsUsage: "NAME...",
		Flags:     g.flags(),
		Action: func(c *cli.Context) error {
			names, err := apiClientNames(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findAPIClients(ctx, conn, names)
				if err != nil {
					return err
				}
				removed, err := askToRemove(c, g, plural(len(found), "API client", "API clients"), func(dryRun bool) ([]apiClientLoss, error) {
					return removeAPIClients(ctx, conn, found, dryRun)
				})
				for _, client := range removed {
					say(c, "API client %s removed", client.Name)
				}
				return err
			})
		},
	}
}

// parseAPIClientName returns the name of an API client as it is stored: what a
// login name may be. The table auth.api_clients has the same rules.
func parseAPIClientName(s string) (string, error) {
	name, err := account.ParseLoginName(s)
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "login "))
	}
	return name, checkNoSecret(name)
}

// secretForm is what a secret of an API client looks like, also one that was
// never made.
var secretForm = regexp.MustCompile(`^ac_[a-z2-7]{52}$`)

// checkNoSecret refuses an argument that has the form of a secret: it would be
// shown in lists and errors. This error does not show it.
func checkNoSecret(name string) error {
	if secretForm.MatchString(name) {
		return errors.New("that is a secret where the name of an API client is expected")
	}
	return nil
}

// apiClientNames returns the arguments as names, or nil if there are none.
func apiClientNames(c *cli.Context) ([]string, error) {
	names := c.Args().Slice()
	for _, name := range names {
		if err := checkNoSecret(strings.ToLower(name)); err != nil {
			return nil, command.Usagef("%v", err)
		}
	}
	return names, nil
}

// madeAPIClient is an API client and the secret that was made for it.
type madeAPIClient struct {
	id, name string
	secret   opaque.Secret
}

// print prints the secret, which nobody can ask for again.
func (m madeAPIClient) print(c *cli.Context, out format) error {
	if out.name == "json" {
		return printJSON(c.App.Writer, struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Secret string `json:"secret"`
		}{m.id, m.name, m.secret.Text()})
	}
	_, err := fmt.Fprintln(c.App.Writer, m.secret.Text())
	return err
}

// createAPIClient calls api.create_api_client. Nil networks are everywhere.
func createAPIClient(ctx context.Context, conn *pgx.Conn, name, description string, from networks) (madeAPIClient, error) {
	secret := account.APIClientSecret.New()
	hash := secret.SHA256()
	made, err := queryRow[struct {
		Outcome     string
		APIClientID *string
	}](ctx, conn, `select outcome, api_client_id::text from api.create_api_client($1, $2, $3, $4)`, name, description, hash[:], from)
	if err != nil {
		return madeAPIClient{}, fmt.Errorf("create API client: %w", err)
	}
	switch made.Outcome {
	case "ok":
		return madeAPIClient{*made.APIClientID, name, secret}, nil
	case "exists":
		return madeAPIClient{}, fmt.Errorf("API client %q already exists", name)
	}
	return madeAPIClient{}, fmt.Errorf("create API client: unknown outcome %q", made.Outcome)
}

// listedAPIClient is an API client as lists show it. Nil networks are
// everywhere.
type listedAPIClient struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Description  string     `json:"description"`
	Networks     []string   `json:"networks"`
	CreatedAt    *time.Time `json:"created_at"`
	LastUsedAt   *time.Time `json:"last_used_at"`
	LastUsedFrom *string    `json:"last_used_from"`
}

// foundAPIClient is the API client with a name, if there is one.
type foundAPIClient struct {
	Selector string
	listedAPIClient
}

func (f foundAPIClient) match() (selector, id string, row listedAPIClient) {
	return f.Selector, f.ID, f.listedAPIClient
}

// findAPIClients calls api.find_api_clients. Without names it returns all.
func findAPIClients(ctx context.Context, conn *pgx.Conn, names []string) ([]listedAPIClient, error) {
	found, err := queryRows[foundAPIClient](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id::text, '') as id, coalesce(name, '') as name,
		        coalesce(description, '') as description, networks, created_at, last_used_at, last_used_from
		   from api.find_api_clients(nullif($1::text[], '{}'))`, names)
	if err != nil {
		return nil, fmt.Errorf("find API clients: %w", err)
	}
	return matches(found, "API client has the name")
}

// apiClientChange is what editAPIClients changes: what is not nil. Empty
// networks are everywhere.
type apiClientChange struct {
	description *string
	networks    networks
}

// editAPIClients calls api.edit_api_clients.
func editAPIClients(ctx context.Context, conn *pgx.Conn, edited []listedAPIClient, change apiClientChange) error {
	refused, err := queryRow[struct {
		Outcome     string
		APIClientID *string
	}](ctx, conn, `select outcome, api_client_id::text from api.edit_api_clients($1::bigint[], $2, $3)`,
		apiClientIDs(edited), change.description, change.networks)
	if err != nil {
		return fmt.Errorf("edit API clients: %w", err)
	}
	switch refused.Outcome {
	case "ok":
		return nil
	case "gone":
		for _, client := range edited {
			if client.ID == *refused.APIClientID {
				return apiClientGone(client)
			}
		}
	}
	return fmt.Errorf("edit API clients: unknown outcome %q", refused.Outcome)
}

// rotateAPIClientSecret calls api.rotate_api_client_secret.
func rotateAPIClientSecret(ctx context.Context, conn *pgx.Conn, client listedAPIClient) (madeAPIClient, error) {
	secret := account.APIClientSecret.New()
	hash := secret.SHA256()
	outcome, err := queryValue[string](ctx, conn, `select outcome from api.rotate_api_client_secret($1::bigint, $2)`, client.ID, hash[:])
	if err != nil {
		return madeAPIClient{}, fmt.Errorf("rotate the secret of an API client: %w", err)
	}
	switch outcome {
	case "ok":
		return madeAPIClient{client.ID, client.Name, secret}, nil
	case "gone":
		return madeAPIClient{}, apiClientGone(client)
	}
	return madeAPIClient{}, fmt.Errorf("rotate the secret of an API client: unknown outcome %q", outcome)
}

func apiClientGone(client listedAPIClient) error {
	return fmt.Errorf("API client %s is no longer there; nothing was done", client.Name)
}

// apiClientLoss is an API client that goes, and whether somebody may miss it.
type apiClientLoss struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	LastUsedAt  *time.Time `json:"last_used_at"`
}

// removeAPIClients calls api.remove_api_clients.
func removeAPIClients(ctx context.Context, conn *pgx.Conn, list []listedAPIClient, dryRun bool) ([]apiClientLoss, error) {
	loss, err := queryRows[apiClientLoss](ctx, conn,
		`select id::text, name, description, last_used_at from api.remove_api_clients($1::bigint[], $2)`, apiClientIDs(list), dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove API clients: %w", err)
	}
	return loss, nil
}

func apiClientIDs(list []listedAPIClient) []string {
	var ids []string
	for _, client := range list {
		ids = append(ids, client.ID)
	}
	return ids
}
