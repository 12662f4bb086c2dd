package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// An accountRow is an account as api.begin_login and api.find_login describe
// it, with nothing where they have null.
type accountRow struct {
	UserID         string
	Identifier     string
	FullName       string
	Staff          bool
	PrimaryAddress string
	ServiceUser    string
	Groups         []string
	Permissions    []string
}

const accountColumns = `coalesce(user_id::text, '') as user_id, coalesce(identifier, '') as identifier,
	coalesce(full_name, '') as full_name, coalesce(staff, false) as staff, coalesce(primary_address, '') as primary_address,
	coalesce(service_user, '') as service_user, groups, permissions`

func (r accountRow) account(credential string) Account {
	return Account{
		UserID:         r.UserID,
		Identifier:     r.Identifier,
		FullName:       r.FullName,
		Staff:          r.Staff,
		PrimaryAddress: r.PrimaryAddress,
		ServiceUser:    r.ServiceUser,
		Credential:     credential,
		Groups:         r.Groups,
		Permissions:    r.Permissions,
	}
}

type begunLogin struct {
	Outcome      string
	Reason       string
	RetryAfter   int
	PasswordHash string
	accountRow

	RegistryActions  []string
	CredentialSHA256 []byte `db:"credential_sha256"`
}

// account is accountRow's, with what only a login has.
func (b begunLogin) account(credential string) Account {
	account := b.accountRow.account(credential)
	account.RegistryActions = b.RegistryActions
	account.CredentialSHA256 = b.CredentialSHA256
	return account
}

// client is what stands for a client's address, as Login.normal returns it, in
// a call.
func client(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return &a
}

// callTimeout is how long the database may take for an answer.
const callTimeout = 5 * time.Second

// bounded returns a context for a call of the database. Somebody who hangs up
// does not end it: that would cost the connection, and an attempt that was
// counted would not be taken back.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
}

// beginLogin calls api.begin_login.
func beginLogin(ctx context.Context, db querier, login Login, appID string, appSHA256, mac, knownHash []byte) (begunLogin, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx, // its error comes out of CollectExactlyOneRow
		`select outcome, coalesce(reason, '') as reason, coalesce(retry_after, 0) as retry_after,
		        coalesce(password_hash, '') as password_hash, `+accountColumns+`,
		        registry_actions, credential_sha256
		   from api.begin_login($1, $2, $3, nullif($4, ''), $5, $6, $7, nullif($8, ''))`,
		login.Name, login.Service, client(login.Client), appID, appSHA256, mac, knownHash, login.Registry)
	begun, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[begunLogin])
	if err != nil {
		return begunLogin{}, fmt.Errorf("begin login: %w", err)
	}
	return begun, nil
}

// endLogin calls api.end_login, and returns how long a wrong answer should
// wait.
func endLogin(ctx context.Context, db querier, login Login, mac []byte, stored, result string) (time.Duration, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx, `select api.end_login($1, $2, $3, $4, nullif($5, ''), $6)`,
		login.Name, login.Service, client(login.Client), mac, stored, result)
	delay, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		return 0, fmt.Errorf("end login: %w", err)
	}
	return time.Duration(delay) * time.Second, nil
}

// findLogin calls api.find_login.
func findLogin(ctx context.Context, db querier, name string) (Account, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx, `select `+accountColumns+` from api.find_login($1)`, name)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[accountRow])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Account{}, ErrDenied
	case err != nil:
		return Account{}, fmt.Errorf("find login: %w", err)
	}
	return row.account(""), nil
}

// checkLogin calls api.check_login; 0 means that nothing is throttled.
func checkLogin(ctx context.Context, db querier, login Login) (time.Duration, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx, `select coalesce(api.check_login($1, $2, $3), 0)`, login.Name, login.Service, client(login.Client))
	wait, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		return 0, fmt.Errorf("check login: %w", err)
	}
	return time.Duration(wait) * time.Second, nil
}

// reportLogin calls api.report_login.
func reportLogin(ctx context.Context, db querier, login Login, ok bool, mac []byte, appID string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx, `select from api.report_login($1, $2, $3, $4, $5, nullif($6, ''))`,
		login.Name, login.Service, client(login.Client), ok, mac, appID)
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("report login: %w", err)
	}
	return nil
}

// rehashPassword calls api.rehash_password.
func rehashPassword(ctx context.Context, db querier, begun begunLogin, made string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, _ := db.Query(ctx, `select from api.rehash_password($1, nullif($2, ''), $3, $4)`,
		begun.UserID, begun.ServiceUser, begun.PasswordHash, made)
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("rehash password: %w", err)
	}
	return nil
}
