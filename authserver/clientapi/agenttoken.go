package clientapi

import (
	"net/http"
	"strings"
	"time"

	"authbridge/authserver/request"
)

// ValidateAgentToken serves POST /email-agent-auth-tokens/validate: it tells
// whether a token is good, and burns it if it is.
func (a *API) ValidateAgentToken(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	token, err := readAgentToken(w, r)
	if err != nil {
		return err
	}

	var redeemed *redeemedToken
	if token != "" {
		if redeemed, err = redeemAgentToken(r.Context(), a.DB, token); err != nil {
			return err
		}
	}
	if redeemed == nil {
		writeJSON(w, http.StatusUnauthorized, struct {
			Valid bool `json:"valid"`
		}{false})
		return nil
	}

	writeJSON(w, http.StatusOK, validToken{
		Valid:  true,
		Burned: true,
		Creator: tokenCreator{
			Identifier:   redeemed.Creator,
			UUID:         redeemed.CreatorID,
			PrimaryEmail: redeemed.PrimaryAddress,
		},
		TokenHint: redeemed.TokenHint,
		UsedAt:    redeemed.BurnedAt.UTC(),
	})
	return nil
}

type validToken struct {
	Valid     bool         `json:"valid"`
	Burned    bool         `json:"burned"`
	Creator   tokenCreator `json:"creator"`
	TokenHint string       `json:"token_hint"`
	UsedAt    time.Time    `json:"used_at"`
}

type tokenCreator struct {
	Identifier   string  `json:"identifier"`
	UUID         string  `json:"uuid"`
	PrimaryEmail *string `json:"primary_email"`
}

// readAgentToken returns the token of a request as it is hashed: people paste
// tokens with blanks around them, or in upper case. Empty: there is none.
func readAgentToken(w http.ResponseWriter, r *http.Request) (string, error) {
	var text string
	if isJSON(r) {
		var body struct {
			Token string `json:"token"`
		}
		if err := readJSON(w, r, &body); err != nil {
			return "", err
		}
		text = body.Token
	} else {
		if err := request.ReadForm(w, r); err != nil {
			return "", err
		}
		text = r.PostForm.Get("token")
	}
	return strings.ToLower(strings.TrimSpace(text)), nil
}
