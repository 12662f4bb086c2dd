package oauth2

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/claims"
	"authbridge/internal/audit"
	"authbridge/internal/opaque"
	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5"
)

// callTimeout is how long the database may take for an answer.
const callTimeout = 5 * time.Second

// bounded returns a context for a call of the database. Somebody who hangs up
// does not end it: that would cost the connection, and leave in the dark what
// was granted.
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

// A decision is what api.authorize has decided.
type decision struct {
	Outcome    string
	Reason     string
	UserID     string // empty: nobody is signed in
	Identifier string
	FullName   string
}

// authorize calls api.authorize. If the outcome is ok, the code is good.
func authorize(ctx context.Context, db pg.Querier, q *authorization, will consent, session []byte, code opaque.Secret, from netip.Addr) (decision, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var since *time.Time
	if t := q.since(); !t.IsZero() {
		since = &t
	}
	hash := code.SHA256()
	rows, _ := db.Query(ctx, // its error comes out of CollectExactlyOneRow
		`select outcome, coalesce(reason, '') as reason, coalesce(user_id::text, '') as user_id,
		        coalesce(identifier, '') as identifier, coalesce(full_name, '') as full_name
		   from api.authorize($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), nullif($7, ''), $8, $9, nullif($10, ''), $11, $12, $13, $14)`,
		session, q.client.ClientID, q.scope, q.resources, q.redirectURI, q.challenge, q.nonce, q.claims,
		since, q.subject, q.acr, string(will), hash[:], inet(from))
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[decision])
	if err != nil {
		return decision{}, fmt.Errorf("authorize: %w", err)
	}
	return d, nil
}

// A grant is what a user has let a client do. Fields may be empty unless the
// outcome is ok.
type grant struct {
	Outcome     string
	Reason      string // why it is denied, or what is wrong
	GrantID     string
	SessionID   string // empty: it does not belong to one
	Scope       []string
	Resources   []string
	Nonce       string
	Claims      []byte // the claims parameter; nil: there was none
	AuthTime    time.Time
	AMR         []string
	ACR         string
	ExpiresAt   time.Time
	Refreshable bool // the refresh token is stored that was offered

	claims.Identity
}

const grantColumns = `outcome, coalesce(refreshable, false) as refreshable, coalesce(reason, '') as reason, coalesce(grant_id::text, '') as grant_id,
	coalesce(session_id::text, '') as session_id, coalesce(scope, '{}') as scope, coalesce(resources, '{}') as resources,
	coalesce(nonce, '') as nonce, claims, coalesce(auth_time, 'epoch') as auth_time, coalesce(amr, '{}') as amr,
	coalesce(acr, '') as acr, coalesce(expires_at, 'epoch') as expires_at,
	coalesce(user_id::text, '') as user_id, coalesce(subject, '') as subject, coalesce(identifier, '') as identifier,
	coalesce(full_name, '') as full_name, coalesce(primary_address, '') as primary_address, groups, permissions, attributes`

// redeemCode calls api.redeem_code. first is the refresh token that is wanted;
// nil: none is.
func redeemCode(ctx context.Context, db pg.Querier, q *clientRequest, code opaque.Secret, challenge string, first *refreshToken) (grant, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := code.SHA256()
	family, secret := first.row()
	jti, jtiExpiresAt := q.jti()
	rows, _ := db.Query(ctx,
		`select `+grantColumns+` from api.redeem_code($1, $2, nullif($3, ''), nullif($4, ''), $5, $6, $7, $8)`,
		hash[:], q.client.ClientID, q.form.Get("redirect_uri"), challenge, family, secret, jti, jtiExpiresAt)
	return oneGrant("redeem code", rows)
}

// rotateRefreshToken calls api.rotate_refresh_token. A nil scope or nil
// resources are those that were granted.
func rotateRefreshToken(ctx context.Context, db pg.Querier, q *clientRequest, old, next refreshToken, scope, resources []string) (grant, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	jti, jtiExpiresAt := q.jti()
	rows, _ := db.Query(ctx,
		`select `+grantColumns+` from api.rotate_refresh_token($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		old.family, int32(old.generation), old.hash(), next.hash(), q.client.ClientID, scope, resources, refreshGrace, jti, jtiExpiresAt)
	return oneGrant("rotate refresh token", rows)
}

// createPasswordGrant calls api.create_password_grant.
func createPasswordGrant(ctx context.Context, db pg.Querier, q *clientRequest, who account.Account, scope, resources []string, first *refreshToken) (grant, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	family, secret := first.row()
	jti, jtiExpiresAt := q.jti()
	rows, _ := db.Query(ctx,
		`select `+grantColumns+` from api.create_password_grant($1, $2, nullif($3, ''), $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		q.client.ClientID, who.UserID, who.ServiceUser, who.CredentialSHA256, scope, resources, []string{"pwd"}, "1",
		family, secret, jti, jtiExpiresAt)
	return oneGrant("create password grant", rows)
}

func oneGrant(what string, rows pgx.Rows) (grant, error) {
	g, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[grant])
	if err != nil {
		return grant{}, fmt.Errorf("%s: %w", what, err)
	}
	return g, nil
}

// row is what the database has of a refresh token; nulls, if there is none.
func (t *refreshToken) row() (family *[16]byte, secret []byte) {
	if t == nil {
		return nil, nil
	}
	return &t.family, t.hash()
}

// spendAssertion calls api.spend_client_assertion. It reports whether the
// assertion was good.
func spendAssertion(ctx context.Context, db pg.Querier, q *clientRequest) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	jti, expiresAt := q.jti()
	rows, _ := db.Query(ctx, `select api.spend_client_assertion($1, $2, $3)`, q.client.ClientID, jti, expiresAt)
	fresh, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	if err != nil {
		return false, fmt.Errorf("spend client assertion: %w", err)
	}
	return fresh, nil
}

// revokeRefreshToken calls api.revoke_refresh_token, and returns its outcome.
func revokeRefreshToken(ctx context.Context, db pg.Querier, q *clientRequest, t refreshToken) (outcome string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	jti, jtiExpiresAt := q.jti()
	rows, _ := db.Query(ctx, `select api.revoke_refresh_token($1, $2, $3, $4, $5, $6)`,
		t.family, int32(t.generation), t.hash(), q.client.ClientID, jti, jtiExpiresAt)
	if outcome, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string]); err != nil {
		return "", fmt.Errorf("revoke refresh token: %w", err)
	}
	return outcome, nil
}

// revokeAccessToken calls api.revoke_access_token, and returns its outcome.
func revokeAccessToken(ctx context.Context, db pg.Querier, q *clientRequest, t claims.AccessToken) (outcome string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	jti, jtiExpiresAt := q.jti()
	rows, _ := db.Query(ctx, `select api.revoke_access_token($1, $2, $3, $4, $5)`,
		t.JTI, t.ExpiresAt, q.client.ClientID, jti, jtiExpiresAt)
	if outcome, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string]); err != nil {
		return "", fmt.Errorf("revoke access token: %w", err)
	}
	return outcome, nil
}

// An owner is whose an access token is; nobody's, of client credentials.
type owner struct {
	Identifier     string
	PrimaryAddress string
}

// checkAccessToken calls api.check_access_token; nil: the token is no longer
// good.
func checkAccessToken(ctx context.Context, db pg.Querier, t claims.AccessToken, from netip.Addr) (*owner, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx,
		`select outcome, coalesce(reason, '') as reason, coalesce(user_id::text, '') as user_id,
		        coalesce(identifier, '') as identifier, coalesce(primary_address, '') as primary_address
		   from api.check_access_token(nullif($1, '')::uuid, $2, $3, '{}', false)`,
		t.GrantID, t.JTI, t.ClientID)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Outcome string
		Reason  string
		UserID  string
		owner
	}])
	if err != nil {
		return nil, fmt.Errorf("check access token: %w", err)
	}
	switch row.Outcome {
	case "ok":
		return &row.owner, nil
	case "denied":
		audit.OAuth2Denied(ctx, from, audit.Denial{Stage: "introspect", Reason: row.Reason, ClientID: t.ClientID, UserID: row.UserID})
		return nil, nil
	case "revoked":
		return nil, nil
	}
	return nil, fmt.Errorf("check access token: unknown outcome %q", row.Outcome)
}

// refreshTokenState is what the database knows of a refresh token that is good.
type refreshTokenState struct {
	ClientID       string
	Subject        string
	Identifier     string
	PrimaryAddress string
	Scope          []string
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// checkRefreshToken calls api.check_refresh_token; nil: the token is not good.
func checkRefreshToken(ctx context.Context, db pg.Querier, t refreshToken) (*refreshTokenState, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx,
		`select outcome, coalesce(client_id, '') as client_id, coalesce(subject, '') as subject, coalesce(identifier, '') as identifier,
		        coalesce(primary_address, '') as primary_address, coalesce(scope, '{}') as scope,
		        coalesce(created_at, 'epoch') as created_at, coalesce(expires_at, 'epoch') as expires_at
		   from api.check_refresh_token($1, $2, $3)`,
		t.family, int32(t.generation), t.hash())
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Outcome string
		refreshTokenState
	}])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("check refresh token: %w", err)
	}
	switch row.Outcome {
	case "ok":
		return &row.refreshTokenState, nil
	case "unknown":
		return nil, nil
	}
	return nil, fmt.Errorf("check refresh token: unknown outcome %q", row.Outcome)
}
