package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"authbridge/authserver/claims"
	"authbridge/internal/audit"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// callTimeout is how long the database may take for an answer.
const callTimeout = 5 * time.Second

// tokenState is what the database knows about an access token.
type tokenState struct {
	identity claims.Identity
	request  claims.Request // what its grant asked for
}

// checkAccessToken calls api.check_access_token for what scope, and the claims
// parameter of the grant, ask about the user. A token that is not good any more
// comes back as *Error.
func checkAccessToken(ctx context.Context, db *pgxpool.Pool, t claims.AccessToken, scope []string, from netip.Addr) (tokenState, error) {
	// Somebody who hangs up does not end the call: that would cost the connection.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	rows, _ := db.Query(ctx, // its error comes out of CollectExactlyOneRow
		`select outcome, coalesce(reason, '') as reason, claims, coalesce(user_id::text, '') as user_id, coalesce(subject, '') as subject,
		        coalesce(identifier, '') as identifier, coalesce(full_name, '') as full_name, coalesce(primary_address, '') as primary_address,
		        groups, permissions, attributes
		   from api.check_access_token($1, $2, $3, $4, true)`,
		t.GrantID, t.JTI, t.ClientID, scope)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Outcome string
		Reason  string
		Claims  []byte
		claims.Identity
	}])
	switch {
	case err != nil:
		return tokenState{}, fmt.Errorf("check access token: %w", err)
	case row.Outcome == "revoked":
		return tokenState{}, invalidToken(errors.New("it is revoked"))
	case row.Outcome == "denied":
		audit.OAuth2Denied(ctx, from, audit.Denial{Stage: "userinfo", Reason: row.Reason, ClientID: t.ClientID, UserID: row.UserID})
		return tokenState{}, invalidToken(errors.New("denied: " + row.Reason))
	case row.Outcome != "ok":
		return tokenState{}, fmt.Errorf("check access token: unknown outcome %q", row.Outcome)
	}
	request, err := claims.ParseRequest(string(row.Claims))
	if err != nil && len(row.Claims) > 0 {
		return tokenState{}, fmt.Errorf("check access token: claims of the grant: %w", err)
	}
	return tokenState{row.Identity, request}, nil
}
