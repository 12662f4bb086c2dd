// Package client is the clients of OAuth 2.0: who may ask for tokens, and for
// which.
//
//	clients.go       all clients and custom claims, as the database has them
//	client.go        what one client may do
//	scope.go         what it may ask for
//	redirect.go      where answers may go
//	uri.go           what can be registered as such a place
//	authenticate.go  how a client proves who it is: RFC 6749 section 2.3
//	secret.go        by a secret
//	assertion.go     or by a JWT of its own: RFC 7523, OpenID Connect Core section 9
//	jwks.go          whose signature a key verifies
//	remote.go        keys that a client publishes, kept for a while
//	fetch.go         and how they are read from an address that somebody chose
//	db.go            calls into sql/api/oauth2_client.sql and oauth2_claim.sql
//
// Everything is in memory, and the database tells when it changes: finding and
// authenticating a client asks it nothing. What a client says about itself is
// compared byte for byte; nothing that it sends is normalised first.
package client
