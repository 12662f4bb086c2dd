package oauth2

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"

	"authbridge/authserver/client"
	"authbridge/authserver/request"
	"authbridge/internal/audit"
)

// grantCode changes an authorization code into tokens (RFC 6749 section 4.1.3).
func (s *Server) grantCode(r *http.Request, q *clientRequest) (tokens, error) {
	if q.form.Get("code") == "" {
		return tokens{}, invalidRequest("code is missing")
	}
	resources, err := readResources(q.form)
	if err != nil {
		return tokens{}, err
	}
	code, err := codes.Parse(q.form.Get("code"))
	if err != nil {
		return tokens{}, invalidGrant(codeNotValid, "code has not the form of one")
	}
	var first *refreshToken
	if q.client.Grants(client.RefreshToken) {
		t := newRefreshToken()
		first = &t
	}

	g, err := redeemCode(r.Context(), s.DB, q, code, s256(q.form.Get("code_verifier")), first)
	if err != nil {
		return tokens{}, err
	}
	switch g.Outcome {
	case "ok":
	case "replayed":
		audit.CodeReplayed(r.Context(), request.Peer(r), q.client.ClientID, g.UserID, g.GrantID)
		return tokens{}, invalidGrant("The code was used before; what came of it is revoked", g.Outcome)
	case "wrong_verifier":
		return tokens{}, invalidGrant("The code_verifier does not match the code_challenge", g.Outcome)
	case "denied":
		return tokens{}, q.denied(r, "code", g)
	case "assertion_replayed":
		return tokens{}, errAssertionReplayed(r)
	case "unknown", "revoked", "expired", "wrong_client", "wrong_redirect_uri":
		// One answer for all: it must not tell a thief which part to fix.
		return tokens{}, invalidGrant(codeNotValid, g.Outcome)
	default:
		return tokens{}, fmt.Errorf("redeem code: unknown outcome %q", g.Outcome)
	}

	if len(resources) > 0 { // for fewer than were granted: RFC 8707 section 2.2
		if !within(resources, g.Resources) {
			return tokens{}, errOtherTarget // the code is used up
		}
		g.Resources = resources
	}
	issued, err := s.issue(q.client, g, g.Nonce)
	if err != nil {
		return tokens{}, err
	}
	if first != nil && g.Refreshable {
		issued.RefreshToken = first.text()
	}
	return issued, nil
}

const codeNotValid = "The code is not valid for this request"

// s256 returns the code_challenge of a verifier (RFC 7636 section 4.6); nothing
// for none. One that nobody may have made is that of nothing.
func s256(verifier string) string {
	if verifier == "" {
		return ""
	}
	hash := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}
