// Package clientapi is what other servers ask this one: is this password
// right, which key verifies your answer, is this mail agent's token good.
//
//	checkpassword.go  /checkpassword: a password or a name, answered by a signed JWT
//	verify.go         /verify: a password, answered by JSON, for API clients
//	forwardauth.go    /forward-auth: for nginx, Caddy and Traefik, which read the status
//	dovecot.go        /dovecot/auth-policy: for Dovecot, which verifies passwords itself
//	agenttoken.go     /email-agent-auth-tokens/validate
//	getkey.go         /getkey: the public half of the keys of a domain or a Docker registry
//	webfinger.go      /.well-known/webfinger (RFC 7033)
//	login.go          what all that verify passwords do besides
//	caller.go         who asks, from where, by which name of ours
//	error.go          what goes wrong, for the caller and for the log
//	db.go             calls into sql/api
//
// Whether somebody may log in is decided by account.Verifier; here it is only
// asked. An answer that says no is the same whatever the reason. What a caller
// says about others, such as the address of the client, counts if the caller
// has proved who it is: an API client by its secret, or a verified TLS client
// certificate.
//
// docs/http.md has the inputs, answers and errors of every endpoint.
package clientapi

import (
	"authbridge/authserver/account"
	"authbridge/authserver/token"

	"github.com/jackc/pgx/v5/pgxpool"
)

// An API answers other servers. All fields but Issuer and AnonymousLookup are
// required.
type API struct {
	DB       *pgxpool.Pool
	Keys     *token.Keys
	Verifier *account.Verifier

	// Issuer is the OpenID Connect issuer that WebFinger names; empty: /o2 of
	// the host that was asked.
	Issuer string

	// AnonymousLookup lets anybody ask who a user is without a password, as
	// the ancestor did.
	AnonymousLookup bool
}
