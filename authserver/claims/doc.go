// Package claims is what tokens and userinfo say, and how our own tokens are
// known again.
//
//	issuer.go       Issuer, and which key signs for a client
//	identity.go     claims about a user, by scope and by the claims parameter
//	request.go      the claims parameter: OpenID Connect Core section 5.5
//	accesstoken.go  JWTs of RFC 9068
//	idtoken.go      ID tokens, and those that come back as id_token_hint
//	userinfo.go     what userinfo answers
//	verify.go       what access tokens and ID tokens have in common when they come back
//	object.go       JSON objects whose members keep their order
//
// The keys of a domain sign access tokens, ID tokens, answers of /checkpassword,
// tokens for Docker registries and whatever may come. An access token may have
// the typ of all others, because there are programs that know no other. So a
// token is known by its content. An access token always has client_id and jti,
// and either grant_id or a subject that is the client; an ID token always has
// auth_time, and never client_id; both have the issuer's URL as iss, which no
// domain is. Nobody can put such a claim into a token of another kind: custom
// claims with these names are left out.
//
// What is said of a user is the same each time, byte by byte, as long as the
// user is the same. What is empty is left out; there is no null.
package claims
