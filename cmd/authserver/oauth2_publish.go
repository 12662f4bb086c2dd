package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"authbridge/internal/command"

	vault "github.com/hashicorp/vault/api"
	"github.com/urfave/cli/v2"
)

// Credentials of a client are handed out when the database has them: what is
// published is good. Everything that can be known to be missing is asked for
// before.

// oauth2Credentials are what a client proves itself by. A public client has an
// empty secret.
type oauth2Credentials struct {
	Name         string
	ClientID     string
	ClientSecret command.Secret
}

// fields returns the credentials as the ancestor publishes them.
func (o oauth2Credentials) fields() publishedCredentials {
	return publishedCredentials{o.Name, o.ClientID, string(o.ClientSecret)}
}

type publishedCredentials struct {
	Name         string `json:"name"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// publisher is somewhere that credentials are published.
type publisher struct {
	where string // "in Vault", for messages
	put   func(ctx context.Context, credentials oauth2Credentials) error
}

type publishers []publisher

// publish hands credentials out. It returns where they are, and why they are not
// elsewhere.
func (p publishers) publish(ctx context.Context, credentials oauth2Credentials) (published []string, err error) {
	for _, to := range p {
		if failed := to.put(ctx, credentials); failed != nil {
			err = errors.Join(err, fmt.Errorf("the credentials are not %s: %w", to.where, failed))
		} else {
			published = append(published, to.where)
		}
	}
	return published, err
}

// publishFlags say where credentials are published.
type publishFlags struct {
	stdout          bool
	file            string
	consulPath      string
	consulURL       string
	consulToken     command.Secret
	consulTokenFile string
	vaultPath       string
}

func (f *publishFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "publish-to-stdout", Usage: "print the credentials as JSON; without another --publish flag, this is done", Destination: &f.stdout},
		&cli.StringFlag{Name: "publish-to-file", Usage: "write the credentials as JSON to `FILE`, which must not be there, for its owner to read", Destination: &f.file},
		&cli.StringFlag{Name: "publish-to-consulkv", Usage: "write the credentials to the keys json, name, client_id and client_secret below `PATH` in Consul", Destination: &f.consulPath},
		&cli.StringFlag{Name: "publish-to-vault", Usage: "write the credentials to `PATH` of a KV engine, version 1, in Vault; VAULT_ADDR and VAULT_TOKEN say where and as whom", Destination: &f.vaultPath},
		&cli.StringFlag{Name: "consul-url", Usage: "`URL` of Consul", EnvVars: []string{"CONSUL_HTTP_ADDR"}, Value: "http://127.0.0.1:8500/", Destination: &f.consulURL},
		&cli.GenericFlag{Name: "consul-token", Usage: "the `TOKEN` for Consul, visible to other users of this machine: better in the environment", EnvVars: []string{"CONSUL_HTTP_TOKEN"}, Value: &f.consulToken},
		&cli.StringFlag{Name: "consul-token-file", Usage: "read the token for Consul from `FILE`", EnvVars: []string{"CONSUL_HTTP_TOKEN_FILE"}, Destination: &f.consulTokenFile},
	}
}

// again returns a command line with the same flags.
func (f *publishFlags) again(line string) string {
	if f.file != "" {
		line += " --publish-to-file " + f.file
	}
	if f.consulPath != "" {
		line += " --publish-to-consulkv " + f.consulPath
	}
	if f.vaultPath != "" {
		line += " --publish-to-vault " + f.vaultPath
	}
	return line
}

// publishers returns where the flags say, or why that is not possible.
func (f *publishFlags) publishers(c *cli.Context) (publishers, error) {
	var all publishers
	for _, flag := range []string{"publish-to-file", "publish-to-consulkv", "publish-to-vault"} {
		if c.IsSet(flag) && c.String(flag) == "" {
			return nil, command.Usagef("--%s is empty", flag)
		}
	}
	if f.file != "" {
		if _, err := os.Lstat(f.file); err == nil {
			return nil, command.Usagef("--publish-to-file: %s is there already, and is not overwritten", f.file)
		}
		all = append(all, publisher{"in " + f.file, f.toFile})
	}
	if f.consulPath != "" {
		consul, err := f.consul(c)
		if err != nil {
			return nil, err
		}
		all = append(all, publisher{"in Consul", consul.put})
	}
	if f.vaultPath != "" {
		client, err := newVault()
		if err != nil {
			return nil, command.Exit(command.Usage, fmt.Errorf("--publish-to-vault: %w", err))
		}
		all = append(all, publisher{"in Vault", func(ctx context.Context, credentials oauth2Credentials) error {
			return toVault(ctx, client, f.vaultPath, credentials)
		}})
	}
	if f.stdout || len(all) == 0 {
		all = append(all, publisher{"on standard output", func(_ context.Context, credentials oauth2Credentials) error {
			return printJSON(c.App.Writer, credentials.fields())
		}})
	}
	return all, nil
}

// toFile writes credentials to a file that was not there.
func (f *publishFlags) toFile(_ context.Context, credentials oauth2Credentials) error {
	file, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(printJSON(file, credentials.fields()), file.Sync(), file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(f.file))
	}
	return nil
}

// consulTimeout is how long Consul may take. VAULT_CLIENT_TIMEOUT is how long
// Vault may.
const consulTimeout = 30 * time.Second

// consulKV is where Consul keeps the credentials.
type consulKV struct {
	transaction string // the URL of its transactions
	path        string
	token       command.Secret
}

// consul returns what the flags say about Consul.
func (f *publishFlags) consul(c *cli.Context) (*consulKV, error) {
	text := f.consulURL
	if !strings.Contains(text, "://") {
		text = "http://" + text // CONSUL_HTTP_ADDR is often without
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, command.Usagef("--consul-url: want a URL such as http://127.0.0.1:8500/")
	}
	if u.User != nil || u.RawQuery != "" {
		return nil, command.Usagef("--consul-url: the URL has a user or a query; the token has a place of its own")
	}
	token := f.consulToken
	switch {
	case f.consulTokenFile != "":
		content, err := os.ReadFile(f.consulTokenFile)
		if err != nil {
			return nil, command.Exit(command.Usage, fmt.Errorf("--consul-token-file: %w", err))
		}
		token = command.Secret(strings.TrimSpace(string(content)))
	case token != "" && string(token) != os.Getenv("CONSUL_HTTP_TOKEN"):
		say(c, "warning: the value of --consul-token can be seen in the process list; CONSUL_HTTP_TOKEN or --consul-token-file cannot")
	}
	return &consulKV{
		transaction: u.JoinPath("v1", "txn").String(),
		path:        strings.Trim(f.consulPath, "/"),
		token:       token,
	}, nil
}

// consulOperation is a part of a transaction: all of them are done, or none.
type consulOperation struct {
	KV consulSet
}

type consulSet struct {
	Verb  string
	Key   string
	Value []byte // in base64, as encoding/json writes it
}

// put writes credentials to Consul.
func (k *consulKV) put(ctx context.Context, credentials oauth2Credentials) error {
	fields := credentials.fields()
	var whole bytes.Buffer
	if err := printJSON(&whole, fields); err != nil {
		return err
	}
	body, err := json.Marshal([]consulOperation{
		{consulSet{"set", k.path + "/json", bytes.TrimSpace(whole.Bytes())}},
		{consulSet{"set", k.path + "/name", []byte(fields.Name)}},
		{consulSet{"set", k.path + "/client_id", []byte(fields.ClientID)}},
		{consulSet{"set", k.path + "/client_secret", []byte(fields.ClientSecret)}},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, k.transaction, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if k.token != "" {
		req.Header.Set("X-Consul-Token", string(k.token))
	}
	// A redirect would take the secret elsewhere.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", k.transaction, resp.Status) // what else it says may repeat the secret
	}
	return nil
}

// newVault returns a client for Vault, which the environment describes.
func newVault() (*vault.Client, error) {
	config := vault.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	if os.Getenv(vault.EnvVaultAddress) == "" && os.Getenv(vault.EnvVaultAgentAddr) == "" {
		return nil, errors.New("VAULT_ADDR is not set")
	}
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, err
	}
	// An agent may add a token of its own.
	if client.Token() == "" && os.Getenv(vault.EnvVaultAgentAddr) == "" {
		return nil, errors.New("VAULT_TOKEN is not set")
	}
	return client, nil
}

// toVault writes credentials to a KV engine, version 1.
func toVault(ctx context.Context, client *vault.Client, path string, credentials oauth2Credentials) error {
	fields := credentials.fields()
	_, err := client.Logical().WriteWithContext(ctx, strings.Trim(path, "/"), map[string]any{
		"name": fields.Name, "client_id": fields.ClientID, "client_secret": fields.ClientSecret,
	})
	var refused *vault.ResponseError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s answers %d: %s", refused.URL, refused.StatusCode, strings.Join(refused.Errors, "; "))
	}
	return err
}
