package clientapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"authbridge/internal/opaque"

	"github.com/jackc/pgx/v5"
)

// callTimeout is how long the database may take for an answer.
const callTimeout = 5 * time.Second

// bounded returns a context for a call of the database. Somebody who hangs up
// does not end it: that would cost the connection.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
}

// querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// verifyAPIClient calls api.verify_api_client. The name is empty if there is no
// such API client, or if it is not in one of its networks.
func verifyAPIClient(ctx context.Context, db querier, secret opaque.Secret, from netip.Addr) (name string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := secret.SHA256()
	var inet *netip.Addr
	if from.IsValid() {
		inet = &from
	}
	rows, _ := db.Query(ctx, // its error comes out of CollectExactlyOneRow
		`select coalesce(name, '') from api.verify_api_client($1, $2)`, hash[:], inet)
	name, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("verify API client: %w", err)
	}
	return name, nil
}

// redeemedToken is a token that was good, and no longer is.
type redeemedToken struct {
	Creator        string
	CreatorID      string
	PrimaryAddress *string
	TokenHint      string
	BurnedAt       time.Time
}

// redeemAgentToken calls api.redeem_email_agent_token: of many who ask at once,
// one gets the token. Nil is a token that is not good.
func redeemAgentToken(ctx context.Context, db querier, token string) (*redeemedToken, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := sha256.Sum256([]byte(token))
	rows, _ := db.Query(ctx,
		`select outcome, coalesce(creator, '') as creator, coalesce(creator_id::text, '') as creator_id, primary_address,
		        coalesce(token_hint, '') as token_hint, coalesce(burned_at, 'epoch') as burned_at
		   from api.redeem_email_agent_token($1)`, hash[:])
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[struct {
		Outcome string
		redeemedToken
	}])
	if err != nil {
		return nil, fmt.Errorf("redeem email agent token: %w", err)
	}

	switch row.Outcome {
	case "valid":
		return &row.redeemedToken, nil
	case "burned", "inactive", "unknown":
		// One answer for all: whoever guesses tokens learns nothing.
		return nil, nil
	}
	return nil, fmt.Errorf("redeem email agent token: unknown outcome %q", row.Outcome)
}
