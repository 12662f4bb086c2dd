package oauth2

import (
	"fmt"
	"net/http"
	"time"

	"authbridge/authserver/claims"
)

// grantClientCredentials gives a client tokens for itself (RFC 6749 section
// 4.4); a public client has no such grant type. Nothing is stored, and the
// database is not asked, unless for an assertion to count only once.
func (s *Server) grantClientCredentials(r *http.Request, q *clientRequest) (tokens, error) {
	c := q.client
	// Scopes of OpenID Connect are about a user, and there is none.
	scope := c.OwnScope()
	if text := q.form.Get("scope"); text != "" {
		asked, err := parseScope(text)
		if err != nil {
			return tokens{}, err
		}
		if !within(asked, scope) {
			return tokens{}, invalidScope("The client may not ask for this scope for itself")
		}
		scope = asked
	}
	resources, err := requestedResources(c, q.form)
	if err != nil {
		return tokens{}, err
	}
	if err := s.spend(r, q); err != nil {
		return tokens{}, err
	}
	now := time.Now()
	access, err := s.Issuer.AccessToken(c, claims.AccessToken{
		Audience:  resources,
		Scope:     scope,
		IssuedAt:  now,
		ExpiresAt: now.Add(c.AccessTokenLifetime),
	})
	if err != nil {
		return tokens{}, fmt.Errorf("access token for %s: %w", c.ClientID, err)
	}
	return tokens{
		AccessToken: access,
		TokenType:   "Bearer",
		ExpiresIn:   int(c.AccessTokenLifetime.Seconds()),
		Scope:       list(scope),
	}, nil
}

// spend makes the assertion of a request, if there is one, worth nothing from
// now on.
func (s *Server) spend(r *http.Request, q *clientRequest) error {
	if q.assertion == nil {
		return nil
	}
	fresh, err := spendAssertion(r.Context(), s.DB, q)
	if err != nil {
		return err
	}
	if !fresh {
		return errAssertionReplayed(r)
	}
	return nil
}
