package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func refreshTokenCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "refresh-token",
		Usage: "what Docker clients keep instead of a password",
		Subcommands: []*cli.Command{
			refreshTokenListCommand(db),
			refreshTokenRevokeCommand(db),
		},
	}
}

func refreshTokenListCommand(db *database) *cli.Command {
	var selector, registry string
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print refresh tokens without what is secret in them: all, or those with these ids",
		Description: "credential is what one was made with, and ends with: a password, the password of a\n" +
			"service user, or an app password. client_id is what the program called itself that\n" +
			"asked for it. The times of last use are kept by the hour.",
		ArgsUsage: "[ID...]",
		Flags: []cli.Flag{
			userFlag(&selector, "only those of this user", false),
			registryFlag(&registry, "only those for this registry"),
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			ids, err := refreshTokenIDs(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := selectRefreshTokens(ctx, c, conn, ids, selector, registry)
				return printFound(c.App.Writer, out, found, err)
			})
		},
	}
}

func refreshTokenRevokeCommand(db *database) *cli.Command {
	var selector, registry string
	var g consent
	return &cli.Command{
		Name:  "revoke",
		Usage: "end refresh tokens, those with these ids or all of a user or registry",
		Description: "Their clients have to log in again. Tokens that they have got stay valid until they\n" +
			"expire.",
		ArgsUsage: "[ID...]",
		Flags: append(g.flags(),
			userFlag(&selector, "only those of this user", false),
			registryFlag(&registry, "only those for this registry")),
		Action: func(c *cli.Context) error {
			ids, err := refreshTokenIDs(c)
			if err != nil {
				return err
			}
			if ids == nil && !c.IsSet("user") && !c.IsSet("registry") {
				return command.Usagef("which ones? Give their ids, --user or --registry")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := selectRefreshTokens(ctx, c, conn, ids, selector, registry)
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return errNoResults
				}
				if ok, err := ask(c, g, "revoke "+plural(len(found), "refresh token", "refresh tokens"), found); err != nil || !ok {
					return err
				}
				revoked, err := revokeRefreshTokens(ctx, conn, found)
				for _, t := range revoked {
					say(c, "Refresh token %s of %s for %s revoked", t.ID, t.UserIdentifier, t.Registry)
				}
				return err
			})
		},
	}
}

// refreshTokenIDs returns the arguments as ids of refresh tokens, or nil if
// there are none. No error repeats one: it may be a whole token.
func refreshTokenIDs(c *cli.Context) ([]int64, error) {
	var ids []int64
	for _, arg := range c.Args().Slice() {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return nil, command.Usagef("an ID is a number that dockerauth refresh-token list prints, and nothing of a token")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// listedRefreshToken is a refresh token as lists show it.
type listedRefreshToken struct {
	ID             string     `json:"id"`
	Registry       string     `json:"registry"`
	UserIdentifier string     `json:"user_identifier"`
	ServiceUser    *string    `json:"service_user"`
	Credential     string     `json:"credential"`
	ClientID       string     `json:"client_id"`
	Status         string     `json:"status"`
	Reason         *string    `json:"reason"`
	CreatedAt      *time.Time `json:"created_at"`
	CreatedFrom    *string    `json:"created_from"`
	LastUsedAt     *time.Time `json:"last_used_at"`
	LastUsedFrom   *string    `json:"last_used_from"`
}

// foundRefreshToken is the refresh token with an id, if there is one.
type foundRefreshToken struct {
	Selector string
	listedRefreshToken
}

func (f foundRefreshToken) match() (selector, id string, row listedRefreshToken) {
	return f.Selector, f.ID, f.listedRefreshToken
}

// selectRefreshTokens returns the refresh tokens that ids, --user and --registry
// let through.
func selectRefreshTokens(ctx context.Context, c *cli.Context, conn *pgx.Conn, ids []int64, selector, registry string) ([]listedRefreshToken, error) {
	user, err := optionalUser(ctx, c, conn, "user", selector)
	if err != nil {
		return nil, err
	}
	at, err := optionalRegistry(ctx, c, conn, registry)
	if err != nil {
		return nil, err
	}
	return findRefreshTokens(ctx, conn, ids, user, at)
}

// findRefreshTokens calls api.find_docker_refresh_tokens. Nil matches all.
func findRefreshTokens(ctx context.Context, conn *pgx.Conn, ids []int64, user *listedUser, registry *listedRegistry) ([]listedRefreshToken, error) {
	found, err := queryRows[foundRefreshToken](ctx, conn,
		`select coalesce(selector::text, '') as selector, coalesce(id::text, '') as id, coalesce(registry, '') as registry,
		        coalesce(user_identifier, '') as user_identifier, service_user, coalesce(credential, '') as credential,
		        coalesce(client_id, '') as client_id, coalesce(status, '') as status, reason,
		        created_at, created_from, last_used_at, last_used_from
		   from api.find_docker_refresh_tokens($1, $2, $3::bigint)`, ids, idOf(user), registry.id())
	if err != nil {
		return nil, fmt.Errorf("find refresh tokens: %w", err)
	}
	return matches(found, "refresh token has the id")
}

// revokedRefreshToken is a refresh token that is no more.
type revokedRefreshToken struct{ ID, Registry, UserIdentifier string }

// revokeRefreshTokens calls api.revoke_docker_refresh_tokens.
func revokeRefreshTokens(ctx context.Context, conn *pgx.Conn, list []listedRefreshToken) ([]revokedRefreshToken, error) {
	var ids []string
	for _, t := range list {
		ids = append(ids, t.ID)
	}
	revoked, err := queryRows[revokedRefreshToken](ctx, conn,
		`select id::text, registry, user_identifier from api.revoke_docker_refresh_tokens($1::bigint[], false)`, ids)
	if err != nil {
		return nil, fmt.Errorf("revoke refresh tokens: %w", err)
	}
	return revoked, nil
}
