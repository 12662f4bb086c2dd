package client

import (
	"slices"
	"time"
)

// What a Client's Type may be: RFC 6749 section 2.1.
const (
	Confidential = "confidential"
	Public       = "public"
)

// What a Client's AuthMethod may be: token_endpoint_auth_method of RFC 7591
// section 2.
const (
	SecretBasic   = "client_secret_basic" // SecretPost is as good
	SecretPost    = "client_secret_post"  // SecretBasic is as good
	PrivateKeyJWT = "private_key_jwt"
	None          = "none"
)

// Grant types that a client may have.
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
	ClientCredentials = "client_credentials"
	Password          = "password"
)

// A Client is as the database had it when it was looked up. It is shared, and
// never changed.
type Client struct {
	ClientID string
	Name     string // for people
	Domain   string // whose keys sign its tokens, in A-labels; empty: that of the issuer
	Enabled  bool   // otherwise it does not authenticate

	Type                   string // Confidential or Public
	AuthMethod             string
	GrantTypes             []string
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	AllowedOrigins         []string // of scripts in browsers
	Scope                  []string // what it may ask for; nil: StandardScopes, and those of custom claims
	Resources              []string // what its access tokens may be for, besides itself: RFC 8707
	Trusted                bool     // users are not asked for consent
	RequirePKCE            bool     // always true of a Public one
	MayIntrospect          bool     // may ask about the tokens of all clients

	Subject           string // uuid, identifier, email or legacy_id
	IDTokenClaims     string // minimal or scoped
	AccessTokenClaims string // minimal or scoped
	GroupsInProfile   bool   // the scope profile is enough for groups
	IDTokenAlg        string
	AccessTokenAlg    string // empty: ES256 if there is such a key, else IDTokenAlg
	AccessTokenTyp    string // at+jwt or JWT

	CodeLifetime         time.Duration
	AccessTokenLifetime  time.Duration
	IDTokenLifetime      time.Duration
	RefreshTokenLifetime time.Duration // since its last use
	GrantLifetime        time.Duration // since the user signed in

	Debug bool // its requests are logged, without secrets

	secrets []*secret
	keys    keySource // nil: it has none
	custom  []string  // scopes of custom claims, sorted
}

// A Claim is made of an attribute of users.
type Claim struct {
	Name      string
	Attribute string
	Scope     string // that asks for it
	Type      string // string, integer, boolean, list or json
}

// Grants reports whether the client may use a grant type.
func (c *Client) Grants(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// Origin reports whether scripts from an origin, as browsers write it, may ask
// for this client.
func (c *Client) Origin(origin string) bool { return slices.Contains(c.AllowedOrigins, origin) }
