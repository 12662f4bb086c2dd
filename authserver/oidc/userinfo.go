package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/request"
)

// UserInfo serves GET and POST of the endpoint with the claims about the user
// whose access token it is: as of now, not as of when the token was made.
//
// The token is in the Authorization header, or in a form (RFC 6750 sections 2.1
// and 2.2); never in the query, which is logged on the way.
func (s *Server) UserInfo(w http.ResponseWriter, r *http.Request) error {
	bearer, err := s.bearer(w, r)
	if err != nil {
		return err
	}
	if !slices.Contains(bearer.token.Scope, "openid") {
		return &Error{Status: http.StatusForbidden, Code: "insufficient_scope", Description: "The access token has no scope openid", Scope: "openid"}
	}
	state, err := checkAccessToken(r.Context(), s.DB, bearer.token, bearer.token.Scope, request.Peer(r))
	if err != nil {
		return err
	}
	return writePrivate(w, "application/json", s.Issuer.UserInfo(bearer.client, bearer.token.Scope, state.request, state.identity))
}

// FakeUserInfo serves what the ancestor had for servers that want the
// permissions of a user: JSON, which calls itself a JWT.
func (s *Server) FakeUserInfo(w http.ResponseWriter, r *http.Request) error {
	bearer, err := s.bearer(w, r)
	if err != nil {
		return err
	}
	state, err := checkAccessToken(r.Context(), s.DB, bearer.token, []string{"groups", "permissions"}, request.Peer(r))
	if err != nil {
		return err
	}
	if state.identity.PrimaryAddress == "" {
		return invalidRequest("The user has no primary email address")
	}
	info, err := s.Issuer.FakeUserInfo(bearer.client, state.identity, time.Now())
	if err != nil {
		return err
	}
	return writePrivate(w, "application/jwt", info)
}

// bearer is who sent a request: a client with an access token that was ours when
// it was made.
type bearer struct {
	client *client.Client
	token  claims.AccessToken
}

// bearer returns who sent the request, and lets scripts of that client's pages
// read the answer. Whether the token has been taken back, the database knows.
func (s *Server) bearer(w http.ResponseWriter, r *http.Request) (bearer, error) {
	s.allowOrigin(w, r)
	if !request.Secure(r) {
		return bearer{}, &Error{
			Status: http.StatusBadRequest, Code: "invalid_request", Description: "This endpoint must be called securely, by https", Err: request.ErrInsecure,
		}
	}
	text, err := accessToken(w, r)
	if err != nil {
		return bearer{}, err
	}
	token, err := s.Issuer.VerifyAccessToken(text)
	if err != nil {
		return bearer{}, invalidToken(err)
	}
	c := s.Clients.Client(token.ClientID)
	if c == nil || !c.Enabled || token.GrantID == "" {
		return bearer{}, invalidToken(errors.New("it is no token of a user for a client of ours"))
	}
	// A token for somebody else's resource is none for this one (RFC 8707
	// section 2.2).
	if !slices.Contains(token.Audience, c.ClientID) {
		return bearer{}, invalidToken(errors.New("its audience is another resource"))
	}
	if origin := r.Header.Get("Origin"); origin != "" && !c.Origin(origin) {
		w.Header().Del("Access-Control-Allow-Origin")
	}
	return bearer{c, token}, nil
}

// accessToken returns the token of a request (RFC 6750 section 2).
func accessToken(w http.ResponseWriter, r *http.Request) (string, error) {
	scheme, credentials, err := request.Authorization(r)
	if err != nil {
		return "", err
	}
	var inForm []string
	if r.Method == http.MethodPost {
		if err := request.ReadForm(w, r); err != nil {
			return "", err
		}
		inForm = r.PostForm["access_token"]
	}
	switch {
	case scheme == "bearer" && len(inForm) > 0, len(inForm) > 1:
		return "", invalidRequest("There is more than one access token")
	case scheme == "bearer" && credentials != "":
		return credentials, nil
	case len(inForm) == 1:
		return inForm[0], nil
	}
	return "", &Error{Status: http.StatusUnauthorized}
}

// Preflight answers browsers that ask whether a script may send a request (CORS
// in the Fetch standard).
func (s *Server) Preflight(w http.ResponseWriter, r *http.Request) error {
	s.allowOrigin(w, r)
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin lets scripts from an origin of any of our clients read the answer.
// They send no cookies.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" && s.Clients.AnyOrigin(origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
}

// writePrivate answers what only the caller may read.
func writePrivate(w http.ResponseWriter, mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Pragma", "no-cache")
	w.Write(append(body, '\n')) // whether the client still listens is its own affair
	return nil
}
