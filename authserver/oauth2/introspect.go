package oauth2

import (
	"net/http"
	"slices"

	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/request"
)

// Introspect serves POST /introspect (RFC 7662): what a resource server has to
// know about a token that somebody has shown to it. It may ask about access tokens
// that are for it, and a client about its own; about all others only a client that
// may introspect. To whoever may not know, a token is not active, and no more is
// said of one that is not.
//
// Refresh tokens are a matter between us and their client. There are resource
// servers, Dovecot and mod_auth_openidc among them, that look at nothing but
// whether a token is active: they would take one for an access token.
func (s *Server) Introspect(w http.ResponseWriter, r *http.Request) error {
	q, err := s.authenticate(w, r, "/introspect")
	if err != nil {
		return err
	}
	found, err := s.introspect(r, q)
	if err != nil {
		return q.named(err)
	}
	writeJSON(w, http.StatusOK, found)
	return nil
}

func (s *Server) introspect(r *http.Request, q *clientRequest) (introspection, error) {
	if q.client.Type != client.Confidential { // section 2.1: whoever asks has to prove who it is
		return introspection{}, &Error{Status: http.StatusUnauthorized, Code: "invalid_client", Description: "A public client cannot introspect tokens"}
	}
	text, err := q.token()
	if err != nil {
		return introspection{}, err
	}
	if err := s.spend(r, q); err != nil {
		return introspection{}, err
	}
	if t, err := parseRefreshToken(text); err == nil {
		return s.introspectRefreshToken(r, q, t)
	}
	if t, err := s.Issuer.VerifyAccessToken(text); err == nil {
		return s.introspectAccessToken(r, q, t)
	}
	return introspection{}, nil
}

// introspection is an answer of RFC 7662 section 2.2.
type introspection struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	Email     string   `json:"email,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	TokenType string   `json:"token_type,omitempty"` // Bearer, or refresh_token
	IssuedAt  int64    `json:"iat,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"`
	JTI       string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
}

func (s *Server) introspectAccessToken(r *http.Request, q *clientRequest, t claims.AccessToken) (introspection, error) {
	c := q.client
	if t.ClientID != c.ClientID && !c.MayIntrospect && !slices.Contains(t.Audience, c.ClientID) {
		return introspection{}, nil
	}
	state, err := checkAccessToken(r.Context(), s.DB, t, request.Peer(r))
	if err != nil || state == nil {
		return introspection{}, err
	}
	found := introspection{
		Active:    true,
		Issuer:    s.Issuer.URL,
		Subject:   t.Subject,
		Audience:  t.Audience,
		ClientID:  t.ClientID,
		Username:  username(state.PrimaryAddress, state.Identifier),
		Scope:     list(t.Scope),
		TokenType: "Bearer",
		IssuedAt:  t.IssuedAt.Unix(),
		ExpiresAt: t.ExpiresAt.Unix(),
		JTI:       t.JTI,
	}
	if slices.Contains(t.Scope, "email") {
		found.Email = state.PrimaryAddress
	}
	if t.Auth != nil {
		found.AuthTime, found.ACR, found.AMR = t.Auth.Time.Unix(), t.Auth.ACR, t.Auth.AMR
	}
	return found, nil
}

func (s *Server) introspectRefreshToken(r *http.Request, q *clientRequest, t refreshToken) (introspection, error) {
	state, err := checkRefreshToken(r.Context(), s.DB, t)
	if err != nil || state == nil {
		return introspection{}, err
	}
	if state.ClientID != q.client.ClientID {
		return introspection{}, nil
	}
	return introspection{
		Active:    true,
		Issuer:    s.Issuer.URL,
		Subject:   state.Subject,
		ClientID:  state.ClientID,
		Username:  username(state.PrimaryAddress, state.Identifier),
		Scope:     list(state.Scope),
		TokenType: "refresh_token",
		IssuedAt:  state.CreatedAt.Unix(),
		ExpiresAt: state.ExpiresAt.Unix(),
	}, nil
}

// username is how mail servers know somebody: by the address of the mailbox, if
// there is one.
func username(primaryAddress, identifier string) string {
	if primaryAddress != "" {
		return primaryAddress
	}
	return identifier
}
