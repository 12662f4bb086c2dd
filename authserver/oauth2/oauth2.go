// Package oauth2 is the endpoints of OAuth 2.0 and OpenID Connect by which an
// application gets a user's permission, and tokens for it.
//
//	authorize.go                 /authorize (RFC 6749 section 3.1, OpenID Connect Core section 3.1.2) and /continue
//	consent.go                   /consent: what the user says to the application's wishes
//	parameters.go                what an authorization request says, read and checked
//	response.go                  its answer: a redirect, or a form that posts itself
//	scope.go                     scopes and resources (RFC 8707) as texts, and what a client gets of them
//	token.go                     /token (RFC 6749 section 3.2): who asks, by which grant
//	grant_code.go                a code for tokens (section 4.1.3, RFC 7636)
//	grant_refresh.go             a refresh token for the next one (section 6)
//	grant_client_credentials.go  a client by itself (section 4.4)
//	grant_password.go            somebody's password (section 4.3), where the operator allows it
//	refreshtoken.go              refresh tokens: their text, and which follows which
//	revoke.go                    /revoke_token (RFC 7009)
//	introspect.go                /introspect (RFC 7662)
//	cors.go                      who may ask from a script in a browser
//	error.go                     what goes wrong: as JSON, as a page, as a redirect
//	db.go                        calls into sql/api/oauth2_request.sql and oauth2_grant.sql
//
// A user's browser comes to /authorize with what an application asks for. If
// nobody is signed in, or nobody has consented yet, the request is saved and the
// browser sent on; it comes back to /continue with the saved request's handle,
// and the same question is asked again: one call of api.authorize decides, and
// stores what it grants. The application changes the code that it got into
// tokens, at /token.
//
// Until client and redirect URI are found good, an error is a page of ours: to
// redirect then would make us everybody's open redirect. Each request for tokens
// is one call of a stored function, which decides and changes what has to change
// in one transaction; of two who send the same code, one gets tokens. Access
// tokens and ID tokens are made by package claims, after that.
//
// No secret, code or token is in a log line, and none in an error.
package oauth2

import (
	"authbridge/authserver/account"
	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/session"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A Server is an authorization server. All fields but PasswordGrant and Observe
// are required.
type Server struct {
	DB       *pgxpool.Pool
	Clients  *client.Clients
	Issuer   *claims.Issuer
	Sessions *session.Sessions
	Verifier *account.Verifier // of the password grant

	// Base is the URL that all endpoints begin with, without a slash at its end:
	// https://auth.example.com/o2.
	Base string

	// RefreshKey is what refresh tokens follow each other by. All servers of an
	// installation have the same.
	RefreshKey [32]byte

	// PasswordGrant lets clients that have the grant type password send
	// somebody's password.
	PasswordGrant bool

	// Observe, if there is one, is told how each request for tokens went: by
	// which grant, and ok or the code of the error; and of each request for
	// authorization, as the grant authorize, how it was answered in the end.
	Observe func(grant, outcome string)
}

// observe tells it.
func (s *Server) observe(grant, outcome string) {
	if s.Observe != nil {
		s.Observe(grant, outcome)
	}
}
