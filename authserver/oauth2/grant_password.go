package oauth2

import (
	"errors"
	"fmt"
	"net/http"

	"authbridge/authserver/account"
	"authbridge/authserver/client"
	"authbridge/authserver/request"
)

// service is what logins here are counted by, and what an app password has to be
// for.
const service = "oauth2"

// grantPassword changes somebody's password into tokens (RFC 6749 section 4.3).
// The client gets to see the password, so both its record and the operator have
// to allow it.
func (s *Server) grantPassword(r *http.Request, q *clientRequest) (tokens, error) {
	if !q.form.Has("username") || !q.form.Has("password") {
		return tokens{}, invalidRequest("username or password is missing")
	}
	scope, err := requestedScope(q.client, q.form.Get("scope"))
	if err != nil {
		return tokens{}, err
	}
	resources, err := requestedResources(q.client, q.form)
	if err != nil {
		return tokens{}, err
	}
	var first *refreshToken
	if q.client.Grants(client.RefreshToken) {
		t := newRefreshToken()
		first = &t
	}

	var g grant
	for range 2 {
		who, err := s.Verifier.Verify(r.Context(), account.Login{
			Name: q.form.Get("username"), Password: q.form.Get("password"), Service: service, Client: request.Peer(r),
		})
		switch {
		case errors.Is(err, account.ErrDenied):
			return tokens{}, invalidGrant(wrongPassword, err.Error())
		case err != nil: // too many wrong ones, or our own trouble
			return tokens{}, err
		}
		if g, err = createPasswordGrant(r.Context(), s.DB, q, who, scope, resources, first); err != nil {
			return tokens{}, err
		}
		if g.Outcome != "gone" {
			break
		}
		// The password was changed just now, or got another hash: which of both, it
		// says itself.
	}
	switch g.Outcome {
	case "ok":
	case "gone":
		return tokens{}, invalidGrant(wrongPassword, g.Outcome)
	case "denied":
		return tokens{}, q.denied(r, "password", g)
	case "assertion_replayed":
		return tokens{}, errAssertionReplayed(r)
	case "no_client": // it was removed just now
		return tokens{}, clientError(r, fmt.Errorf("%w: removed", client.ErrInvalidClient))
	default:
		return tokens{}, fmt.Errorf("create password grant: unknown outcome %q", g.Outcome)
	}
	issued, err := s.issue(q.client, g, "")
	if err != nil {
		return tokens{}, err
	}
	if first != nil && g.Refreshable {
		issued.RefreshToken = first.text()
	}
	return issued, nil
}

const wrongPassword = "Wrong user name or password"
