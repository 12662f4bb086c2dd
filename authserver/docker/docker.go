// Package docker is the token endpoint of Docker registries: who is asking, and
// what may they do with which repositories of the registry that sent them.
//
//	token.go       /docker/token: from a request to a signed token
//	request.go     what a client says, by GET or POST
//	scope.go       what it asks for: repository:team/app:pull,push
//	access.go      who gets what of it, and why
//	pattern.go     the repositories that a rule is about
//	registries.go  registries and rules, in memory and up to date
//	refresh.go     what a client keeps instead of a password
//	error.go       what goes wrong, for the client and for the log
//	db.go          calls into sql/api/docker_registry.sql, docker_rule.sql and docker_refresh_token.sql
//
// A registry that gets a request without a token, or with one that is not
// enough, sends its client here with its own name (service) and what it wants to
// see granted (scope). The token that comes back lists what of that is granted,
// be it nothing: refusing is the registry's part. The clients' views of the
// protocol differ; the specification is
// https://distribution.github.io/distribution/spec/auth/.
//
// What is granted is what was asked for, as far as a rule allows it and the
// credential is good for it. A token cannot be taken back, so it lasts for
// minutes. A refresh token can: it is a row in the database, bound to a password.
//
// docs/http.md has the inputs, answers and errors of the endpoint.
package docker

import (
	"authbridge/authserver/account"
	"authbridge/authserver/token"

	"github.com/jackc/pgx/v5/pgxpool"
)

// An API issues tokens. All fields but Issuer and Observe are required.
type API struct {
	DB         *pgxpool.Pool
	Keys       *token.Keys
	Verifier   *account.Verifier
	Registries *Registries

	// Issuer is that of registries without one of their own; empty: those get
	// no tokens.
	Issuer string

	// Observe, if there is one, is told by which grant a token was issued:
	// password, refresh_token or anonymous.
	Observe func(grant string)
}
