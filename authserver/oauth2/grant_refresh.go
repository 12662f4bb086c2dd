package oauth2

import (
	"fmt"
	"net/http"
	"time"

	"authbridge/authserver/request"
	"authbridge/internal/audit"
)

// refreshGrace is how long a client may send a refresh token again whose
// successor it has not got: connections break, and programs have several tabs.
const refreshGrace = 10 * time.Second

// grantRefresh changes a refresh token into its successor and new tokens (RFC
// 6749 section 6), for fewer scopes and resources if that is wanted.
func (s *Server) grantRefresh(r *http.Request, q *clientRequest) (tokens, error) {
	if q.form.Get("refresh_token") == "" {
		return tokens{}, invalidRequest("refresh_token is missing")
	}
	var scope []string // nil: as granted
	if text := q.form.Get("scope"); text != "" {
		var err error
		if scope, err = parseScope(text); err != nil {
			return tokens{}, err
		}
	}
	resources, err := readResources(q.form)
	if err != nil {
		return tokens{}, err
	}
	if len(resources) == 0 {
		resources = nil // as granted
	}
	old, err := parseRefreshToken(q.form.Get("refresh_token"))
	if err != nil {
		return tokens{}, invalidGrant(refreshTokenNotValid, err.Error())
	}

	next := old.next(s.RefreshKey)
	g, err := rotateRefreshToken(r.Context(), s.DB, q, old, next, scope, resources)
	if err != nil {
		return tokens{}, err
	}
	switch g.Outcome {
	case "ok":
	case "replayed":
		audit.RefreshTokenReplayed(r.Context(), request.Peer(r), q.client.ClientID, g.UserID, g.GrantID)
		return tokens{}, invalidGrant("The refresh token was used before; what came of it is revoked", g.Outcome)
	case "denied":
		return tokens{}, q.denied(r, "refresh", g)
	case "wrong_scope":
		if g.Reason == "resources" {
			return tokens{}, errOtherTarget
		}
		return tokens{}, invalidScope("The scope is not within the one that was granted")
	case "assertion_replayed":
		return tokens{}, errAssertionReplayed(r)
	case "unknown", "retry", "expired", "revoked", "wrong_client":
		return tokens{}, invalidGrant(refreshTokenNotValid, g.Outcome)
	default:
		return tokens{}, fmt.Errorf("rotate refresh token: unknown outcome %q", g.Outcome)
	}

	issued, err := s.issue(q.client, g, "")
	if err != nil {
		return tokens{}, err
	}
	issued.RefreshToken = next.text()
	return issued, nil
}

const refreshTokenNotValid = "The refresh token is not valid"
