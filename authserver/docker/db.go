package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/opaque"
	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5"
)

// callTimeout is how long the database may take for an answer.
const callTimeout = 5 * time.Second

// bounded returns a context for a call of the database. Somebody who hangs up
// does not end it: that would cost the connection.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
}

// inet is what stands for a client's address in a call.
func inet(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return &a
}

type registryRow struct {
	ClientID     string
	Issuer       string
	PullLifetime time.Duration
	PushLifetime time.Duration
}

func (r registryRow) registry() *Registry {
	return &Registry{
		ClientID:     r.ClientID,
		Issuer:       r.Issuer,
		PullLifetime: r.PullLifetime,
		PushLifetime: r.PushLifetime,
		user:         map[string]*rules{},
		group:        map[string]*rules{},
	}
}

// findRegistries calls api.docker_registries.
func findRegistries(ctx context.Context, db pg.Querier) ([]registryRow, error) {
	rows, _ := db.Query(ctx, // its error comes out of CollectRows
		`select client_id, coalesce(issuer, '') as issuer, pull_lifetime, push_lifetime
		   from api.docker_registries()`)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[registryRow])
	if err != nil {
		return nil, fmt.Errorf("registries: %w", err)
	}
	return found, nil
}

type ruleRow struct {
	Registry  string
	ID        int64
	Pattern   string
	Subject   string
	UserID    string
	GroupName string
	Actions   []string
}

func (r ruleRow) rule() (Rule, error) {
	pattern, err := ParsePattern(r.Pattern)
	if err != nil {
		return Rule{}, err
	}
	return Rule{
		ID:      r.ID,
		Pattern: pattern,
		Kind:    SubjectKind(r.Subject),
		UserID:  r.UserID,
		Group:   r.GroupName,
		Actions: r.Actions,
	}, nil
}

// findRules calls api.docker_rules.
func findRules(ctx context.Context, db pg.Querier) ([]ruleRow, error) {
	rows, _ := db.Query(ctx,
		`select registry, id, pattern, subject, coalesce(user_id::text, '') as user_id, coalesce(group_name, '') as group_name, actions
		   from api.docker_rules()`)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[ruleRow])
	if err != nil {
		return nil, fmt.Errorf("rules of registries: %w", err)
	}
	return found, nil
}

// errChanged means that a credential is no longer what was verified.
var errChanged = errors.New("the credential has changed since it was verified")

// createRefreshToken calls api.create_docker_refresh_token for somebody who has
// just logged in; errChanged, if that would no longer do.
func createRefreshToken(ctx context.Context, db pg.Querier, secret opaque.Secret, registry, login string, who account.Account, clientID string, client netip.Addr) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := secret.SHA256()
	rows, _ := db.Query(ctx,
		`select outcome from api.create_docker_refresh_token($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8, $9)`,
		hash[:], registry, who.UserID, login, who.ServiceUser, appPassword(who), who.CredentialSHA256, clientID, inet(client))
	outcome, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	switch {
	case err != nil:
		return fmt.Errorf("create Docker refresh token: %w", err)
	case outcome == "ok":
		return nil
	case outcome == "gone":
		return errChanged
	case outcome == "no_registry": // it was removed just now
		return errUnknownService
	}
	return fmt.Errorf("create Docker refresh token: unknown outcome %q", outcome)
}

// useRefreshToken calls api.use_docker_refresh_token. If it is denied, the error
// is account.ErrDenied, and reason is for the log.
func useRefreshToken(ctx context.Context, db pg.Querier, secret opaque.Secret, registry string, client netip.Addr) (who account.Account, reason string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := secret.SHA256()
	rows, _ := db.Query(ctx,
		`select outcome, coalesce(reason, '') as reason, coalesce(user_id::text, '') as user_id, coalesce(identifier, '') as identifier,
		        groups, registry_actions
		   from api.use_docker_refresh_token($1, $2, $3)`,
		hash[:], registry, inet(client))
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Outcome         string
		Reason          string
		UserID          string
		Identifier      string
		Groups          []string
		RegistryActions []string
	}])
	switch {
	case err != nil:
		return account.Account{}, "", fmt.Errorf("use Docker refresh token: %w", err)
	case row.Outcome == "denied":
		return account.Account{}, row.Reason, account.ErrDenied
	case row.Outcome != "ok":
		return account.Account{}, "", fmt.Errorf("use Docker refresh token: unknown outcome %q", row.Outcome)
	}
	return account.Account{
		UserID:          row.UserID,
		Identifier:      row.Identifier,
		Groups:          row.Groups,
		RegistryActions: row.RegistryActions,
	}, "", nil
}
