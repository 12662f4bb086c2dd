package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
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

// client is what stands for a client's address in a call.
func client(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return &a
}

// startSession calls api.start_session; errChanged, if the account or its password
// is not what it was when the password was verified.
func (s *Sessions) startSession(ctx context.Context, secret opaque.Secret, replaces []byte, who account.Account, from netip.Addr, userAgent string) (id string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := secret.SHA256()
	rows, _ := s.DB.Query(ctx, // its error comes out of CollectExactlyOneRow
		`select outcome, coalesce(session_id::text, '') as session_id
		   from api.start_session($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10, $11)`,
		hash[:], replaces, who.UserID, who.ServiceUser, who.CredentialSHA256, []string{"pwd"}, "1",
		s.Idle, s.Lifetime, client(from), userAgent)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[outcomeRow])
	if err != nil {
		return "", fmt.Errorf("start session: %w", err)
	}
	switch row.Outcome {
	case "ok":
		return row.SessionID, nil
	case "gone":
		return "", errChanged
	}
	return "", fmt.Errorf("start session: unknown outcome %q", row.Outcome)
}

type outcomeRow struct {
	Outcome   string
	SessionID string
}

// findSession calls api.find_session; nil: there is none.
func findSession(ctx context.Context, db pg.Querier, secret opaque.Secret) (*Session, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := secret.SHA256()
	rows, _ := db.Query(ctx,
		`select session_id::text as id, user_id::text as user_id, identifier, coalesce(full_name, '') as full_name,
		        coalesce(primary_address, '') as primary_address, coalesce(service_user, '') as service_user,
		        auth_time, amr, acr
		   from api.find_session($1)`, hash[:])
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[Session])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find session: %w", err)
	}
	return found, nil
}

// endSession calls api.end_session. The id is empty if there was no session.
func endSession(ctx context.Context, db pg.Querier, secret opaque.Secret) (id string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := secret.SHA256()
	rows, _ := db.Query(ctx,
		`select outcome, coalesce(session_id::text, '') as session_id from api.end_session($1)`, hash[:])
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[outcomeRow])
	if err != nil {
		return "", fmt.Errorf("end session: %w", err)
	}
	switch row.Outcome {
	case "ok":
		return row.SessionID, nil
	case "unknown":
		return "", nil
	}
	return "", fmt.Errorf("end session: unknown outcome %q", row.Outcome)
}

// saveRequest calls api.save_oauth2_request. A client that has gone meanwhile
// comes back as *Error.
func saveRequest(ctx context.Context, db pg.Querier, handle opaque.Secret, clientID string, p url.Values) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	parameters, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("save request: %w", err)
	}
	hash := handle.SHA256()
	rows, _ := db.Query(ctx, `select api.save_oauth2_request($1, $2, $3, $4)`, hash[:], clientID, parameters, savedLifetime)
	outcome, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("save request: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "full": // until those of an hour ago have gone
		return errors.New("save request: there are too many requests of people who have not signed in")
	case "no_client":
		return &Error{Status: http.StatusBadRequest, Code: "invalid_client", Description: "The application is not known here."}
	}
	return fmt.Errorf("save request: unknown outcome %q", outcome)
}

// findRequest calls api.find_oauth2_request; nil: there is none.
func findRequest(ctx context.Context, db pg.Querier, handle opaque.Secret) (*Saved, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := handle.SHA256()
	rows, _ := db.Query(ctx,
		`select client_id, client_name, allowed_origins, parameters, created_at from api.find_oauth2_request($1)`, hash[:])
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[Saved])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find saved request: %w", err)
	}
	return found, nil
}

// forgetRequest calls api.forget_oauth2_request.
func forgetRequest(ctx context.Context, db pg.Querier, handle opaque.Secret) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	hash := handle.SHA256()
	rows, _ := db.Query(ctx, `select from api.forget_oauth2_request($1)`, hash[:])
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("forget saved request: %w", err)
	}
	return nil
}
