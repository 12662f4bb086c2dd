// Package oidc is what OpenID Connect adds to OAuth 2.0: who the provider is,
// who the user is, and the end of a session.
//
//	discovery.go  /.well-known/openid-configuration (OpenID Connect Discovery 1.0,
//	              RFC 8414) and the JWKS
//	userinfo.go   UserInfo (OpenID Connect Core 1.0 section 5.3), and what the
//	              ancestor called fake-userinfo
//	logout.go     the end session endpoint (OpenID Connect RP-Initiated Logout 1.0)
//	error.go      what goes wrong, for the caller and for the log (RFC 6750)
//	db.go         calls into sql/api
//
// ID tokens come from the token endpoint, in package oauth2. What is in them,
// and in the answer of UserInfo, is decided in package claims.
package oidc

import (
	"net/url"

	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/session"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A Server answers relying parties and the browsers that they send. All fields
// are required.
type Server struct {
	DB       *pgxpool.Pool
	Clients  *client.Clients
	Issuer   *claims.Issuer
	Sessions *session.Sessions
	Base     string // URL of the endpoints, without a slash at its end

	// PasswordGrant is whether clients may use it: discovery says so.
	PasswordGrant bool
}

// basePath is the path of Base, to which our own forms are sent.
func (s *Server) basePath() string {
	base, err := url.Parse(s.Base)
	if err != nil {
		return "" // Base is made of a URL that was parsed
	}
	return base.Path
}
