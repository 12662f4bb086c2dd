package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

func oauth2ApplyCommand(db *database, profile *account.Profile) *cli.Command {
	var dryRun bool
	var out format
	return &cli.Command{
		Name:  "apply",
		Usage: "make clients what a file says, as often as you like",
		Description: "FILE is a list of clients, or one, in JSON or YAML; \"-\" is stdin. Each has the names of\n" +
			"RFC 7591 (client_name, redirect_uris, grant_types, scope, …) and those that\n" +
			"\"authserver oauth2 show\" prints. It is the client with its client_id or, if it has none,\n" +
			"with its client_name; otherwise a new one. What is not said stays as it is, and clients\n" +
			"that are not in the file do.\n\n" +
			"client_secret is one that the client has already; it takes the place of any other.\n" +
			"client_secret_hash is what another system has stored of it, in a form that passwords of\n" +
			"users are imported in, too; it is for a client that has no secret from here. A new\n" +
			"client without both has none until \"authserver oauth2 rotate-secret\".\n\n" +
			"If one client is refused, the others are applied all the same, and the exit code is 1.",
		ArgsUsage: "FILE",
		Flags:     []cli.Flag{dryRunFlag(&dryRun), out.flag()},
		Action: func(c *cli.Context) error {
			clients, err := readClients(c, c.Args().First())
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if dryRun {
					say(c, "dry run: would do this")
				}
				var rows []appliedClient
				refused := 0
				for _, client := range clients {
					var row appliedClient
					apply := func() (err error) {
						row, err = client.apply(ctx, conn, *profile)
						return err
					}
					var err error
					if dryRun {
						err = rehearse(ctx, conn, apply)
					} else {
						err = apply()
					}
					if err != nil {
						say(c, "%s: %v", client.where, explain(err))
						refused++
						continue
					}
					if dryRun && row.Outcome == "created" && client.clientID == nil {
						row.ClientID = "" // it would be another one
					}
					rows = append(rows, row)
					if row.Outcome != "unchanged" {
						warnAboutSettings(c, client.settings)
					}
				}
				if len(rows) > 0 || out.name != "table" {
					if err := printList(c.App.Writer, out, rows, nil); err != nil {
						return err
					}
				}
				if refused > 0 {
					return fmt.Errorf("%d of %s refused", refused, plural(len(clients), "client", "clients"))
				}
				return nil
			})
		},
	}
}

// appliedClient is what has become of a client in a file.
type appliedClient struct {
	ClientID string   `json:"client_id"`
	Name     string   `json:"name"`
	Outcome  string   `json:"outcome"` // created, changed, unchanged
	Changed  []string `json:"changed"`
}

// fileClient is a client as a file has it.
type fileClient struct {
	where    string // "client 2", for messages
	clientID *string
	settings clientSettings
	secret   *command.Secret
	hash     *string // of a secret that nobody here knows
}

// maxClientFile is more than any list of clients needs.
const maxClientFile = 4 << 20

// readClients reads a file of clients, or stdin for "-". What is wrong with one of
// them is an error before anything is done.
func readClients(c *cli.Context, file string) ([]fileClient, error) {
	in := c.App.Reader
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		in = opened
	}
	content, err := interruptible(c.Context, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, maxClientFile+1)) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(content) > maxClientFile {
		return nil, command.Usagef("%s is longer than %d bytes", file, maxClientFile)
	}
	clients, err := parseClients(content)
	if err != nil {
		return nil, command.Usagef("%s: %v", file, err)
	}
	return clients, nil
}

// parseClients parses JSON or YAML: a list of clients, or one. No error repeats
// what stands in it as a secret.
func parseClients(content []byte) ([]fileClient, error) {
	if !json.Valid(content) {
		var tree any
		if err := yaml.Unmarshal(content, &tree); err != nil {
			return nil, errors.New("it is neither JSON nor YAML") // the error quotes what it does not understand
		}
		var err error
		if content, err = json.Marshal(tree); err != nil {
			return nil, errors.New("it has a name that is no text")
		}
	}
	objects := make([]map[string]json.RawMessage, 1)
	if json.Unmarshal(content, &objects[0]) != nil || objects[0] == nil {
		if json.Unmarshal(content, &objects) != nil {
			return nil, errors.New("want a list of clients, or one")
		}
	}
	var clients []fileClient
	seen := map[string]int{}
	for i, object := range objects {
		client, err := parseClient(object)
		client.where = fmt.Sprintf("client %d", i+1)
		if name := client.label(); name != "" {
			client.where += " (" + name + ")"
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", client.where, err)
		}
		if before, twice := seen[client.label()]; twice {
			return nil, fmt.Errorf("%s stands there before, as client %d", client.where, before)
		}
		seen[client.label()] = i + 1
		clients = append(clients, client)
	}
	return clients, nil
}

// label is what messages call the client: the name or, without one, the client
// id.
func (f fileClient) label() string {
	if name := settingOf[string](f.settings, "name"); name != "" || f.clientID == nil {
		return name
	}
	return *f.clientID
}

// parseClient returns a client of a file, with what it is called even if there is
// an error.
func parseClient(object map[string]json.RawMessage) (fileClient, error) {
	client := fileClient{settings: clientSettings{}}
	// The name comes first, for messages.
	names := slices.SortedFunc(maps.Keys(object), func(a, b string) int {
		return cmp.Or(strings.Compare(fileOrder(a), fileOrder(b)), strings.Compare(a, b))
	})
	for _, name := range names {
		if err := client.take(name, object[name]); err != nil {
			return client, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case client.label() == "":
		return client, errors.New("it has neither client_name nor client_id")
	case client.secret != nil && client.hash != nil:
		return client, errors.New("client_secret and client_secret_hash exclude each other")
	}
	return client, nil
}

// fileOrder sorts client_name and client_id before anything else.
func fileOrder(name string) string {
	if name == "client_name" || name == "client_id" {
		return ""
	}
	return name
}

// take reads one member of a client.
func (f *fileClient) take(name string, value json.RawMessage) error {
	text := func() (string, error) {
		var s string
		if json.Unmarshal(value, &s) != nil || s == "" {
			return "", errors.New("want a text")
		}
		return s, nil
	}
	switch name {
	case "secrets", "created_at": // what show prints besides
		return nil
	case "client_id":
		s, err := text()
		if err != nil {
			return err
		}
		var id oauth2ClientID
		if err := id.Set(s); err != nil {
			return err
		}
		f.clientID = &s
		return nil
	case "client_secret":
		s, err := text()
		if err != nil {
			return err
		}
		if !clientSecretForm.MatchString(s) {
			return errors.New("want 1 to 512 printable ASCII characters")
		}
		f.secret = (*command.Secret)(&s)
		return nil
	case "client_secret_hash":
		s, err := text()
		if err != nil {
			return err
		}
		hash, err := account.ImportHash(s)
		if err != nil || hash == account.Unusable {
			return errors.New("it is no hash of a form that is known here")
		}
		f.hash = &hash
		return nil
	case "response_types":
		var types []string
		if json.Unmarshal(value, &types) != nil || !slices.Equal(types, []string{"code"}) {
			return errors.New("want [\"code\"], the only response type of this server")
		}
		return nil
	case "id_token_signed_response_alg": // OpenID Connect Dynamic Client Registration section 2
		name = "id_token_alg"
	}
	setting := settingNamed(name)
	if setting == nil {
		return errors.New("there is no such setting")
	}
	var err error
	f.settings[setting.stored()], err = setting.fromFile(value)
	if err != nil {
		delete(f.settings, setting.stored())
	}
	return err
}

// apply makes the client what the file says.
func (f fileClient) apply(ctx context.Context, conn *pgx.Conn, profile account.Profile) (appliedClient, error) {
	was, err := f.find(ctx, conn)
	if err != nil {
		return appliedClient{}, err
	}
	settings := maps.Clone(f.settings)
	if was == nil {
		if settings["name"] == nil {
			return appliedClient{}, errors.New("it is not there yet, and has no client_name")
		}
		if settings["type"] == nil && settings["token_endpoint_auth_method"] == nil {
			settings["type"] = mustJSON("confidential")
		}
	}
	var before clientSettings
	if was != nil {
		before = was.Settings
	}
	if err := checkRedirectURIs(before, settings); err != nil {
		return appliedClient{}, err
	}
	stored, err := f.storedSecret(ctx, conn, was, profile)
	if err != nil {
		return appliedClient{}, err
	}
	return applyOAuth2Client(ctx, conn, f.clientID, settings, stored)
}

// find returns the client that the file means, or nil: by its id or, if it has
// none, by its name.
func (f fileClient) find(ctx context.Context, conn *pgx.Conn) (*oauth2Client, error) {
	all, err := findOAuth2Clients(ctx, conn, nil)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(client oauth2Client) bool {
		if f.clientID != nil {
			return client.ClientID == *f.clientID
		}
		return client.name() == f.label()
	})
	if i < 0 {
		return nil, nil
	}
	return &all[i], nil
}

// storedSecret returns what the client, nil for a new one, gets as a secret, or
// nothing if that of the file is one of its secrets.
func (f fileClient) storedSecret(ctx context.Context, conn *pgx.Conn, was *oauth2Client, profile account.Profile) (storedSecret, error) {
	switch {
	case f.hash != nil && (was == nil || len(was.Secrets) == 0):
		return storedSecret{hash: f.hash}, nil
	case f.secret == nil:
		return storedSecret{}, nil
	}
	if was != nil {
		live, err := liveSecrets(ctx, conn, was.ClientID)
		if err != nil {
			return storedSecret{}, err
		}
		for i := range live.SecretSHA256 {
			known, err := isSecret(ctx, string(*f.secret), live.SecretSHA256[i], live.SecretHash[i], profile)
			if known || err != nil {
				return storedSecret{}, err
			}
		}
	}
	return storeSecret(ctx, string(*f.secret), profile)
}

// isSecret tells whether a text is the secret that one of the two is stored of.
func isSecret(ctx context.Context, text string, sum []byte, hash string, profile account.Profile) (bool, error) {
	if hash == "" {
		got := sha256.Sum256([]byte(text))
		return bytes.Equal(got[:], sum), nil
	}
	ok, _, err := account.Verify(ctx, hash, text, profile)
	return ok, err
}

// storedSecrets are the secrets of a client that are good.
type storedSecrets struct {
	SecretSHA256 [][]byte
	SecretHash   []string
}

// liveSecrets calls api.oauth2_clients for one client.
func liveSecrets(ctx context.Context, conn *pgx.Conn, clientID string) (storedSecrets, error) {
	secrets, err := queryRow[storedSecrets](ctx, conn, `select secret_sha256, secret_hash from api.oauth2_clients() where client_id = $1`, clientID)
	if err != nil {
		return storedSecrets{}, fmt.Errorf("find secrets: %w", err)
	}
	return secrets, nil
}

// applyOAuth2Client calls api.apply_oauth2_client.
func applyOAuth2Client(ctx context.Context, conn *pgx.Conn, clientID *string, settings clientSettings, secret storedSecret) (appliedClient, error) {
	applied, err := queryRow[struct {
		Outcome  string
		Detail   []string
		ClientID string
	}](ctx, conn, `select outcome, detail, coalesce(client_id, '') as client_id from api.apply_oauth2_client($1, $2, $3, $4, $5)`,
		clientID, newOAuth2ClientID(), settings, secret.sha256, secret.hash)
	if err != nil {
		return appliedClient{}, explainClient("apply client", err)
	}
	row := appliedClient{ClientID: applied.ClientID, Name: settingOf[string](settings, "name"), Outcome: applied.Outcome, Changed: []string{}}
	switch applied.Outcome {
	case "created", "unchanged":
		return row, nil
	case "changed":
		row.Changed = settingNames(applied.Detail)
		return row, nil
	}
	return appliedClient{}, clientRefused("apply client", applied.Outcome, applied.Detail, settings)
}
