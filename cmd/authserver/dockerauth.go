package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// registrySelectors is the help text about arguments that select registries.
const registrySelectors = "A REGISTRY is meant by its client id or, if none has that, by its name."

func dockerAuthCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "dockerauth",
		Usage: "Docker registries that send their clients here for tokens, and who may do what there",
		Subcommands: []*cli.Command{
			registryCommand(db),
			ruleCommand(db),
			explainCommand(db),
			refreshTokenCommand(db),
		},
	}
}

// listedRegistry is a registry as lists show it.
type listedRegistry struct {
	ID           string     `json:"id"`
	ClientID     string     `json:"client_id"`
	Name         string     `json:"name"`
	Domain       string     `json:"domain"`
	Issuer       *string    `json:"issuer"` // nil: that of the server
	SigningKey   string     `json:"signing_key"`
	KeyHint      string     `json:"key_hint"`
	PullLifetime lifetime   `json:"pull_lifetime"`
	PushLifetime lifetime   `json:"push_lifetime"`
	Rules        int64      `json:"rules"`
	OwnKeys      int64      `json:"own_keys"`
	CreatedAt    *time.Time `json:"created_at"`
}

// foundRegistry is the registry that a selector means, if there is one.
type foundRegistry struct {
	Selector string
	listedRegistry
}

func (f foundRegistry) match() (selector, id string, row listedRegistry) {
	return f.Selector, f.ID, f.listedRegistry
}

// findRegistries calls api.find_docker_registries. Without selectors it returns
// all. With an error about selectors that mean none come the registries that
// the others mean.
func findRegistries(ctx context.Context, conn *pgx.Conn, selectors []string) ([]listedRegistry, error) {
	found, err := queryRows[foundRegistry](ctx, conn,
		`select coalesce(selector, '') as selector, coalesce(id::text, '') as id, coalesce(client_id, '') as client_id,
		        coalesce(name, '') as name, coalesce(domain, '') as domain, issuer, coalesce(signing_key, '') as signing_key,
		        coalesce(key_hint, '') as key_hint, pull_lifetime, push_lifetime, coalesce(rules, 0) as rules,
		        coalesce(keys, 0) as own_keys, created_at
		   from api.find_docker_registries(nullif($1::text[], '{}'))`, selectors)
	if err != nil {
		return nil, fmt.Errorf("find registries: %w", err)
	}
	return matches(found, "registry has the client id or name")
}

// oneRegistry returns the registry that a selector means.
func oneRegistry(ctx context.Context, conn *pgx.Conn, selector string) (listedRegistry, error) {
	registries, err := findRegistries(ctx, conn, []string{selector})
	if err != nil {
		return listedRegistry{}, err
	}
	return registries[0], nil
}

// optionalRegistry returns the registry that the selector of --registry means,
// or nil without that flag.
func optionalRegistry(ctx context.Context, c *cli.Context, conn *pgx.Conn, selector string) (*listedRegistry, error) {
	if !c.IsSet("registry") {
		return nil, nil
	}
	registry, err := oneRegistry(ctx, conn, selector)
	return &registry, err
}

// selectors is the value of a flag that may be given several times, and selects
// one thing each time.
type selectors []string

// Set implements flag.Value: it adds a selector. One that a script may have got
// from nowhere selects nothing.
func (s *selectors) Set(selector string) error {
	if selector == "" {
		return errors.New("it is empty")
	}
	*s = append(*s, selector)
	return nil
}

func (s *selectors) String() string { return strings.Join(*s, ", ") }

// id returns a registry as a stored function's parameter: null for nil.
func (r *listedRegistry) id() *string {
	if r == nil {
		return nil
	}
	return &r.ID
}

// registryFlag returns --registry, which selects a registry.
func registryFlag(selector *string, usage string) cli.Flag {
	return &cli.StringFlag{Name: "registry", Aliases: []string{"r"}, Usage: usage + ": `REGISTRY`, a client id or name", Destination: selector}
}

func registryGone(r listedRegistry) error {
	return fmt.Errorf("registry %s is no longer there; nothing was done", r.ClientID)
}
