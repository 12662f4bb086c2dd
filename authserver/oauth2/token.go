package oauth2

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/request"
	"authbridge/internal/audit"
)

// Token serves POST /token.
func (s *Server) Token(w http.ResponseWriter, r *http.Request) error {
	grantType, err := s.token(w, r)
	s.observe(grantType, outcomeOf(err))
	return err
}

// outcomeOf names how a request went.
func outcomeOf(err error) string {
	var throttled *account.ThrottledError
	switch refused := refusalOf(err); {
	case err == nil:
		return "ok"
	case refused != nil:
		return refused.Code
	case errors.As(err, &throttled):
		return "slow_down"
	}
	return "error"
}

// unknownGrant is what is counted that is no grant type.
const unknownGrant = "unknown"

// grantTypes are all that there are.
var grantTypes = []string{client.AuthorizationCode, client.RefreshToken, client.ClientCredentials, client.Password}

func (s *Server) token(w http.ResponseWriter, r *http.Request) (grantType string, err error) {
	q, err := s.authenticate(w, r, "/token")
	if err != nil {
		return unknownGrant, err
	}
	grantType, err = s.readGrantType(q)
	if err != nil {
		return grantType, q.named(err)
	}
	var issued tokens
	switch grantType {
	case client.AuthorizationCode:
		issued, err = s.grantCode(r, q)
	case client.RefreshToken:
		issued, err = s.grantRefresh(r, q)
	case client.ClientCredentials:
		issued, err = s.grantClientCredentials(r, q)
	case client.Password:
		issued, err = s.grantPassword(r, q)
	}
	if err != nil {
		return grantType, q.named(err)
	}
	q.log(r, grantType, issued)
	writeJSON(w, http.StatusOK, issued)
	return grantType, nil
}

// readGrantType returns by which grant the client asks. If there is an error, it
// is what is counted.
func (s *Server) readGrantType(q *clientRequest) (string, error) {
	if err := q.read("grant_type", "scope", "code", "redirect_uri", "code_verifier", "refresh_token", "username", "password"); err != nil {
		return unknownGrant, err
	}
	grantType := q.form.Get("grant_type")
	switch {
	case grantType == "":
		return unknownGrant, invalidRequest("grant_type is missing")
	case !slices.Contains(grantTypes, grantType), grantType == client.Password && !s.PasswordGrant:
		return unknownGrant, &Error{Code: "unsupported_grant_type", Description: "This server does not offer this grant type"}
	case !q.client.Grants(grantType):
		return grantType, &Error{Code: "unauthorized_client", Description: "The client may not use this grant type"}
	}
	return grantType, nil
}

// A clientRequest is a request of a client that has proved who it is. It has
// secrets.
type clientRequest struct {
	client    *client.Client
	assertion *client.Assertion // by which it did; nil: otherwise
	form      url.Values
}

// authenticate reads a request of a client to one of our endpoints. Scripts of
// the client's own sites may read the answer from then on.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, endpoint string) (*clientRequest, error) {
	if !request.Secure(r) {
		return nil, errInsecure
	}
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	q := &clientRequest{form: form}
	if err := q.read("client_id", "client_secret", "client_assertion", "client_assertion_type"); err != nil {
		return nil, err
	}
	// What an assertion may be for: RFC 7523 section 3, and with the slashes with
	// which the endpoints are advertised.
	audiences := []string{s.Issuer.URL, s.Base + "/token", s.Base + "/token/", s.Base + endpoint, s.Base + endpoint + "/"}
	q.client, q.assertion, err = s.Clients.Authenticate(r, form, audiences)
	if err != nil {
		return nil, clientError(r, err)
	}
	allowOrigin(w, r, q.client)
	return q, nil
}

// named says in the log whose request it was that went wrong.
func (q *clientRequest) named(err error) error {
	return fmt.Errorf("client %s: %w", q.client.ClientID, err)
}

// read makes sure that parameters are there once at most, and are texts.
func (q *clientRequest) read(names ...string) error {
	for _, name := range names {
		value, err := single(q.form, name)
		if err != nil {
			return err
		}
		if value == "" {
			q.form.Del(name)
		}
	}
	return nil
}

// jti returns what a stored function has to make sure of that it comes only
// once: nothing, if the client has proved itself otherwise.
func (q *clientRequest) jti() (hash []byte, expiresAt *time.Time) {
	if q.assertion == nil {
		return nil, nil
	}
	return q.assertion.JTIHash, &q.assertion.ExpiresAt
}

// tokens are a successful answer: RFC 6749 section 5.1, OpenID Connect Core
// section 3.1.3.3.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	IDToken      string `json:"id_token,omitempty"`

	userID string // for the log; empty: there is no user
}

// issue makes the tokens of a grant, but for the refresh token. With a nonce or
// without: that of a request is for the first ID token only (OpenID Connect Core
// section 12.2).
func (s *Server) issue(c *client.Client, g grant, nonce string) (tokens, error) {
	auth := claims.Authentication{Time: g.AuthTime, AMR: g.AMR, ACR: g.ACR, SessionID: g.SessionID}
	now := time.Now()
	expiresAt := now.Add(c.AccessTokenLifetime)
	if g.ExpiresAt.Before(expiresAt) {
		expiresAt = g.ExpiresAt
	}
	access, err := s.Issuer.AccessToken(c, claims.AccessToken{
		GrantID:   g.GrantID,
		Subject:   g.Subject,
		Audience:  g.Resources,
		Scope:     g.Scope,
		IssuedAt:  now,
		ExpiresAt: expiresAt,
		Auth:      &auth,
		Identity:  &g.Identity,
	})
	if err != nil {
		return tokens{}, fmt.Errorf("access token for %s: %w", c.ClientID, err)
	}
	issued := tokens{
		AccessToken: access,
		TokenType:   "Bearer",
		ExpiresIn:   int(expiresAt.Sub(now).Seconds()),
		Scope:       list(g.Scope),
		userID:      g.UserID,
	}
	if !slices.Contains(g.Scope, "openid") {
		return issued, nil
	}
	wanted, err := claims.ParseRequest(string(g.Claims))
	if err != nil {
		return tokens{}, fmt.Errorf("claims parameter of grant %s: %w", g.GrantID, err)
	}
	issued.IDToken, err = s.Issuer.IDToken(c, claims.IDToken{
		Identity:    g.Identity,
		Auth:        auth,
		Nonce:       nonce,
		Scope:       g.Scope,
		Request:     wanted,
		AccessToken: access,
	})
	if err != nil {
		return tokens{}, fmt.Errorf("ID token for %s: %w", c.ClientID, err)
	}
	return issued, nil
}

// log writes which tokens were issued. The operator sees it of clients that are
// being debugged.
func (q *clientRequest) log(r *http.Request, grantType string, issued tokens) {
	level := slog.LevelDebug
	if q.client.Debug {
		level = slog.LevelInfo
	}
	if !slog.Default().Enabled(r.Context(), level) {
		return
	}
	audit.TokenIssued(r.Context(), level, request.Peer(r), audit.Issued{
		ClientID:       q.client.ClientID,
		UserID:         issued.userID,
		GrantType:      grantType,
		RedirectURI:    q.form.Get("redirect_uri"),
		RequestedScope: q.form.Get("scope"),
		Scope:          issued.Scope,
		TokenType:      issued.TokenType,
		ExpiresIn:      issued.ExpiresIn,
		Code:           q.form.Has("code"),
		RefreshToken:   q.form.Has("refresh_token"),
		ClientSecret:   q.form.Has("client_secret") || r.Header.Get("Authorization") != "",
		Assertion:      q.form.Has("client_assertion"),
		AccessTokenOut: issued.AccessToken != "",
		RefreshOut:     issued.RefreshToken != "",
		IDTokenOut:     issued.IDToken != "",
	})
}

// denied writes who was refused tokens by a policy, and returns what the client
// hears of it.
func (q *clientRequest) denied(r *http.Request, stage string, g grant) error {
	audit.OAuth2Denied(r.Context(), request.Peer(r), audit.Denial{
		Stage: stage, Reason: g.Reason, ClientID: q.client.ClientID, UserID: g.UserID, Identifier: g.Identifier,
	})
	return invalidGrant("Access denied", "denied: "+g.Reason)
}

// errAssertionReplayed is for a client whose assertion somebody has used before.
func errAssertionReplayed(r *http.Request) error {
	return clientError(r, fmt.Errorf("%w: the assertion was used before", client.ErrInvalidClient))
}
