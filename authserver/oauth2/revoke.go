package oauth2

import (
	"fmt"
	"net/http"
)

// Revoke serves POST /revoke_token (RFC 7009). A refresh token takes the grant
// that it belongs to with it, and all of its tokens; an access token goes alone.
//
// What is no token of ours is as good as revoked. A token of another client is
// refused, as section 2.1 says: its owner is not logged out by whoever has seen
// it. token_type_hint is not needed: a token shows what it is.
func (s *Server) Revoke(w http.ResponseWriter, r *http.Request) error {
	q, err := s.authenticate(w, r, "/revoke_token")
	if err != nil {
		return err
	}
	if err := s.revoke(r, q); err != nil {
		return q.named(err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) revoke(r *http.Request, q *clientRequest) error {
	text, err := q.token()
	if err != nil {
		return err
	}
	outcome, err := s.revokeToken(r, q, text)
	if err != nil {
		return err
	}
	switch outcome {
	case "ok", "unknown":
		return nil
	case "wrong_client":
		return invalidGrant("The token is another client's", outcome)
	case "assertion_replayed":
		return errAssertionReplayed(r)
	}
	return fmt.Errorf("revoke token: unknown outcome %q", outcome)
}

// revokeToken takes a token back, and returns what came of it. Whatever the
// token, the client's assertion is used up.
func (s *Server) revokeToken(r *http.Request, q *clientRequest, text string) (outcome string, err error) {
	if t, err := parseRefreshToken(text); err == nil {
		return revokeRefreshToken(r.Context(), s.DB, q, t)
	}
	t, err := s.Issuer.VerifyAccessToken(text)
	switch {
	case err != nil:
		return "unknown", s.spend(r, q)
	case t.ClientID != q.client.ClientID:
		return "wrong_client", s.spend(r, q)
	}
	return revokeAccessToken(r.Context(), s.DB, q, t)
}

// token returns the token that a request is about.
func (q *clientRequest) token() (string, error) {
	if err := q.read("token", "token_type_hint"); err != nil {
		return "", err
	}
	text := q.form.Get("token")
	if text == "" {
		return "", invalidRequest("token is missing")
	}
	return text, nil
}
