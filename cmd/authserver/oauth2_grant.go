package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func oauth2ExplainCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "explain",
		Usage: "say whether a user may use a client, and why",
		Description: "deny_reason is disabled (the client is), inactive (the user is), subject (the client\n" +
			"calls users by what this one has not), global (oauth2 policy), or client (its required\n" +
			"permissions, or its groups and states). That it is no is an answer, too: the exit code\n" +
			"is 0.\n" + userSelectors + "\n" + clientSelectors,
		ArgsUsage: "USER CLIENT",
		Flags:     []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				decision, err := explainOAuth2Policy(ctx, conn, c.Args().Get(0), c.Args().Get(1))
				if err != nil {
					return err
				}
				say(c, "%s", decision.sentence())
				return printList(c.App.Writer, out, []oauth2Decision{decision}, nil)
			})
		},
	}
}

// oauth2Decision is whether a user may use a client, and what that depends on.
type oauth2Decision struct {
	Username            string   `json:"username"`
	ClientID            string   `json:"client_id"`
	AppName             string   `json:"app_name"`
	AppActive           bool     `json:"app_active"`
	UserActive          bool     `json:"user_active"`
	Decision            string   `json:"decision"`
	DenyReason          *string  `json:"deny_reason"`
	UserState           *string  `json:"user_state"`
	UserGroups          []string `json:"user_groups"`
	AppStates           []string `json:"app_states"`
	AppGroups           []string `json:"app_groups"`
	RequiredPermissions []string `json:"required_permissions"`
	MissingPermissions  []string `json:"missing_permissions"`
	GlobalPermission    *string  `json:"global_permission"`
	HasGlobalPermission *bool    `json:"has_global_permission"`
}

// revokedTokens is what oauth2 revoke has ended.
type revokedTokens struct {
	Username             string `json:"username"`
	RevokedGrants        int    `json:"revoked_grants"`
	RevokedRefreshTokens int    `json:"revoked_refresh_tokens"`
}

// sentence says it to people.
func (d oauth2Decision) sentence() string {
	if d.DenyReason == nil {
		return fmt.Sprintf("allowed: %s may use %s", d.Username, d.AppName)
	}
	why := *d.DenyReason
	switch {
	case why == "disabled":
		why = "the client is disabled"
	case why == "inactive":
		why = "the user is inactive"
	case why == "subject":
		why = "the user lacks what the client calls users by"
	case why == "global" && d.GlobalPermission != nil:
		why = "the user lacks the permission " + *d.GlobalPermission + ", which every sign-in needs"
	case len(d.MissingPermissions) > 0:
		why = "the user lacks the permissions " + strings.Join(d.MissingPermissions, ", ")
	case why == "client":
		why = "the user is in none of the groups and states " + strings.Join(append(slices.Clone(d.AppGroups), d.AppStates...), ", ")
	}
	return fmt.Sprintf("denied: %s may not use %s: %s", d.Username, d.AppName, why)
}

// explainOAuth2Policy calls api.explain_oauth2_policy.
func explainOAuth2Policy(ctx context.Context, conn *pgx.Conn, user, client string) (oauth2Decision, error) {
	explained, err := queryRow[struct {
		Outcome string
		oauth2Decision
	}](ctx, conn,
		`select outcome, coalesce(user_identifier, '') as username, coalesce(client_id, '') as client_id, coalesce(client_name, '') as app_name,
		        coalesce(client_enabled, false) as app_active, coalesce(user_active, false) as user_active, coalesce(decision, '') as decision,
		        deny_reason, user_state, coalesce(user_groups, '{}') as user_groups, allowed_states as app_states, allowed_groups as app_groups,
		        required_permissions, missing_permissions, global_permission, has_global_permission
		   from api.explain_oauth2_policy($1, $2)`, userSelector(user), client)
	if err != nil {
		return oauth2Decision{}, fmt.Errorf("explain policy: %w", err)
	}
	switch explained.Outcome {
	case "ok":
		return explained.oauth2Decision, nil
	case "no_user":
		return oauth2Decision{}, fmt.Errorf("no user is meant by %q", user)
	case "no_client":
		return oauth2Decision{}, noOAuth2Client(client)
	}
	return oauth2Decision{}, fmt.Errorf("explain policy: unknown outcome %q", explained.Outcome)
}

func noOAuth2Client(selector string) error {
	return fmt.Errorf("no client has the client id or name %q", selector)
}

func oauth2TokensCommand(db *database) *cli.Command {
	var selector, client string
	var ended bool
	var out format
	return &cli.Command{
		Name:  "tokens",
		Usage: "print what users have let clients do, what ends last first: all, or of a user or client",
		Description: "Each line is a grant, with all the tokens that came of it; generation is how often its\n" +
			"refresh token was used. No line has a token.",
		Flags: []cli.Flag{
			userFlag(&selector, "only those of this user", false),
			clientFlag(&client, "only those of this client"),
			&cli.BoolFlag{Name: "include-expired", Usage: "also those that are expired or revoked", Destination: &ended},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, app, err := optionalUserAndClient(ctx, c, conn, selector, client)
				if err != nil {
					return err
				}
				grants, err := findOAuth2Grants(ctx, conn, user, app, ended)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, grants, nil)
			})
		},
	}
}

func oauth2RevokeCommand(db *database) *cli.Command {
	var selector, client, reason string
	var dryRun bool
	var out format
	return &cli.Command{
		Name:  "revoke",
		Usage: "end all tokens of a user, or those that one client has; nothing to end is no error",
		Description: "Does not ask. The user's sessions and consents stay: \"oauth2 consent revoke\" takes\n" +
			"consent back, too. Access tokens that verify by themselves stay valid until they expire;\n" +
			"userinfo and introspection refuse them at once.",
		Flags: []cli.Flag{
			userFlag(&selector, "those of this user", true),
			clientFlag(&client, "only those of this client"),
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` that says why, for \"oauth2 tokens\"", Value: "revoked by the operator", Destination: &reason},
			dryRunFlag(&dryRun),
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			if _, err := account.ParseName(reason); err != nil {
				return command.Usagef("--reason: %s", strings.Replace(err.Error(), "name", "text", 1))
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, app, err := optionalUserAndClient(ctx, c, conn, selector, client)
				if err != nil {
					return err
				}
				revoked, err := revokeOAuth2Grants(ctx, conn, user, app, reason, dryRun)
				if err != nil {
					return err
				}
				what := fmt.Sprintf("%s of %s, %s", plural(revoked.Revoked, "grant", "grants"), user.Identifier,
					plural(revoked.RefreshTokens, "refresh token", "refresh tokens"))
				if dryRun {
					say(c, "dry run: would revoke %s", what)
				} else {
					say(c, "Revoked %s", what)
				}
				if !c.IsSet("format") {
					return nil
				}
				return printList(c.App.Writer, out, []revokedTokens{{user.Identifier, revoked.Revoked, revoked.RefreshTokens}}, nil)
			})
		},
	}
}

// optionalUserAndClient returns the user and the client that --user and --client
// select, nil without the flag.
func optionalUserAndClient(ctx context.Context, c *cli.Context, conn *pgx.Conn, user, client string) (*listedUser, *oauth2Client, error) {
	found, err := optionalUser(ctx, c, conn, "user", user)
	if err != nil {
		return nil, nil, err
	}
	app, err := optionalOAuth2Client(ctx, c, conn, client)
	return found, app, err
}

// listedGrant is a grant as lists show it.
type listedGrant struct {
	ID            string     `json:"id"`
	User          string     `json:"user"`
	ClientID      string     `json:"client_id"`
	Name          string     `json:"name"`
	GrantType     string     `json:"grant_type"`
	Scope         []string   `json:"scope"`
	CreatedAt     time.Time  `json:"created_at"`
	RedeemedAt    *time.Time `json:"redeemed_at"`
	LastUsedAt    *time.Time `json:"last_used_at"` // of the refresh token; nil: there is none
	Generation    *int       `json:"generation"`
	Expires       time.Time  `json:"expires"`
	Status        string     `json:"status"`
	RevokedReason *string    `json:"revoked_reason"`
}

// findOAuth2Grants calls api.find_oauth2_grants. A nil user or client is all.
func findOAuth2Grants(ctx context.Context, conn *pgx.Conn, user *listedUser, client *oauth2Client, ended bool) ([]listedGrant, error) {
	grants, err := queryRows[listedGrant](ctx, conn,
		`select id::text, user_identifier as user, client_id, client_name as name, grant_type, scope, created_at, redeemed_at, last_used_at,
		        generation, expires_at as expires, status, revoked_reason
		   from api.find_oauth2_grants($1, $2, $3)`, idOf(user), client.clientID(), ended)
	if err != nil {
		return nil, fmt.Errorf("find grants: %w", err)
	}
	return grants, nil
}

type revokedGrants struct{ Revoked, RefreshTokens int }

// revokeOAuth2Grants calls api.revoke_oauth2_grants. A nil client is all.
func revokeOAuth2Grants(ctx context.Context, conn *pgx.Conn, user *listedUser, client *oauth2Client, reason string, dryRun bool) (revokedGrants, error) {
	revoked, err := queryRow[revokedGrants](ctx, conn,
		`select revoked, refresh_tokens from api.revoke_oauth2_grants($1, $2, $3, $4)`, user.UUID, client.clientID(), reason, dryRun)
	if err != nil {
		return revokedGrants{}, fmt.Errorf("revoke grants: %w", err)
	}
	return revoked, nil
}

func oauth2ConsentCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "consent",
		Usage: "what users have allowed clients to ask for",
		Subcommands: []*cli.Command{
			oauth2ConsentListCommand(db),
			oauth2ConsentRevokeCommand(db),
		},
	}
}

func oauth2ConsentListCommand(db *database) *cli.Command {
	var selector, client string
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print consents, by user and client: all, or of a user or client",
		Flags: []cli.Flag{
			userFlag(&selector, "only those of this user", false),
			clientFlag(&client, "only those of this client"),
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, app, err := optionalUserAndClient(ctx, c, conn, selector, client)
				if err != nil {
					return err
				}
				consents, err := findOAuth2Consents(ctx, conn, user, app)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, consents, nil)
			})
		},
	}
}

func oauth2ConsentRevokeCommand(db *database) *cli.Command {
	var selector, client string
	var dryRun bool
	return &cli.Command{
		Name:        "revoke",
		Usage:       "take back what a user has allowed a client, or all clients, with all their tokens",
		Description: "Does not ask. The user is asked again when the client asks for something.",
		Flags: []cli.Flag{
			userFlag(&selector, "those of this user", true),
			clientFlag(&client, "only that of this client"),
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, app, err := optionalUserAndClient(ctx, c, conn, selector, client)
				if err != nil {
					return err
				}
				consents, err := findOAuth2Consents(ctx, conn, user, app)
				if err != nil {
					return err
				}
				if len(consents) == 0 && app != nil {
					// Nobody was asked, but there may be tokens all the same.
					consents = []listedConsent{{User: user.Identifier, ClientID: app.ClientID, Name: app.name()}}
				}
				revoked := 0
				for _, consent := range consents {
					grants, err := revokeOAuth2Consent(ctx, conn, user, consent.ClientID, dryRun)
					if errors.Is(err, errNoConsent) {
						continue
					}
					if err != nil {
						return err
					}
					revoked++
					would := "Consent of"
					if dryRun {
						would = "dry run: would revoke consent of"
					}
					say(c, "%s %s for client %s%s, with %s", would, user.Identifier, consent.Name,
						map[bool]string{true: "", false: " revoked"}[dryRun], plural(grants, "grant", "grants"))
				}
				if revoked == 0 {
					return errNoConsent
				}
				return nil
			})
		},
	}
}

// listedConsent is a consent as lists show it.
type listedConsent struct {
	User       string     `json:"user"`
	ClientID   string     `json:"client_id"`
	Name       string     `json:"name"`
	Scope      []string   `json:"scope"`
	CreatedAt  *time.Time `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// findOAuth2Consents calls api.find_oauth2_consents. A nil user or client is all.
func findOAuth2Consents(ctx context.Context, conn *pgx.Conn, user *listedUser, client *oauth2Client) ([]listedConsent, error) {
	consents, err := queryRows[listedConsent](ctx, conn,
		`select user_identifier as user, client_id, client_name as name, scope, created_at, last_used_at
		   from api.find_oauth2_consents($1, $2)`, idOf(user), client.clientID())
	if err != nil {
		return nil, fmt.Errorf("find consents: %w", err)
	}
	return consents, nil
}

var errNoConsent = errors.New("the user has allowed nothing, and no token is in use")

// revokeOAuth2Consent calls api.revoke_oauth2_consent. It returns how many grants
// went with the consent.
func revokeOAuth2Consent(ctx context.Context, conn *pgx.Conn, user *listedUser, clientID string, dryRun bool) (int, error) {
	revoked, err := queryRow[struct {
		Outcome string
		Grants  int
	}](ctx, conn, `select outcome, grants from api.revoke_oauth2_consent($1, $2, $3)`, user.UUID, clientID, dryRun)
	if err != nil {
		return 0, fmt.Errorf("revoke consent: %w", err)
	}
	switch revoked.Outcome {
	case "ok":
		return revoked.Grants, nil
	case "no_consent":
		return 0, errNoConsent
	}
	return 0, fmt.Errorf("revoke consent: unknown outcome %q", revoked.Outcome)
}
