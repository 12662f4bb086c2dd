// Package session is browsers that have signed in: who is asking, and how they
// come and go.
//
//	session.go  Sessions; Find: who is asking
//	cookie.go   the cookie, and the tokens of forms that are derived from it
//	saved.go    requests that wait until somebody has signed in
//	login.go    /login
//	logout.go   /logout, and / which says who is signed in
//	error.go    what goes wrong, as pages
//	db.go       calls into sql/api/session.sql and sql/api/oauth2_request.sql
//
// A session is a row in the database, found by the SHA-256 of what the browser
// has in its cookie, so it can be ended there, at once and everywhere: by a
// logout, a new password, or when its user is deactivated. Each login makes a
// new secret: one that somebody has planted in a browser, or has taken from it
// before, is worth nothing afterwards.
//
// Where a login leads is said by the handle of a request that this server has
// saved, and by nothing else.
package session

import (
	"cmp"
	"net/http"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
	"authbridge/internal/audit"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Sessions are those of one installation. All fields are required.
type Sessions struct {
	DB       *pgxpool.Pool
	Verifier *account.Verifier

	Idle     time.Duration // after which a session ends that nobody uses
	Lifetime time.Duration // after which it ends however it is used

	// ContinueURL is the path where a saved request goes on after a login, by
	// the parameter id.
	ContinueURL string
}

// A Session is who has signed in with a browser, as of now.
type Session struct {
	ID             string // a UUID, and no secret: sid in ID tokens
	UserID         string // a UUID
	Identifier     string
	FullName       string
	PrimaryAddress string // empty: there is none
	ServiceUser    string // the service user that has signed in; empty: the user as such

	AuthTime time.Time // of the last proof of who it is
	AMR      []string  // how: RFC 8176
	ACR      string    // how sure that makes
}

// DisplayName is what a page calls who has signed in.
func (s *Session) DisplayName() string { return cmp.Or(s.PrimaryAddress, s.FullName, s.Identifier) }

// Find returns the session that a request belongs to; nil: nobody is signed in.
func (s *Sessions) Find(r *http.Request) (*Session, error) {
	secret, ok := cookie(r)
	if !ok {
		return nil, nil
	}
	return findSession(r.Context(), s.DB, secret)
}

// End ends the session that a request belongs to, if there is one, and takes
// the cookie back. Grants of the session that are not for offline access end
// with it.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) error {
	secret, ok := cookie(r)
	if ok {
		id, err := endSession(r.Context(), s.DB, secret)
		if err != nil {
			return err // the cookie is left, for another try
		}
		if id != "" {
			audit.SessionEnded(r.Context(), id, request.Peer(r))
		}
	}
	removeCookie(w)
	return nil
}
