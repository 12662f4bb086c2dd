package docker

import (
	"errors"
	"net/http"
	"strings"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
	"authbridge/internal/audit"
	"authbridge/internal/opaque"
)

// refreshTokens are what clients keep instead of a password. What one is good
// for, the database knows; to a registry it says nothing.
var refreshTokens = opaque.Kind{Prefix: "rt_", Name: "refresh token"}

// refresh returns whose refresh token it is. One that is refused is no guess of
// anybody: machines send for months what was good once, and fail2ban is not to
// ban them.
func (a *API) refresh(r *http.Request, q tokenRequest, signer signer) (account.Account, error) {
	from := request.Peer(r)
	reason := "not a refresh token"
	secret, err := refreshTokens.Parse(q.refreshToken)
	var who account.Account
	if err == nil {
		who, reason, err = useRefreshToken(r.Context(), a.DB, secret, signer.registry.ClientID, from)
	}
	if errors.Is(err, account.ErrDenied) || errors.Is(err, opaque.ErrForm) {
		audit.LoginRepeated(r.Context(), "", service, from, reason)
		refused := errDenied(signer.issuer, err)
		refused.Message = "the refresh token is no longer good, log in again"
		return account.Account{}, refused
	}
	return who, err
}

// refreshToken returns the refresh token of an answer; empty: none is wanted.
// A client that has one keeps it: some do not store another.
func (a *API) refreshToken(r *http.Request, q tokenRequest, signer signer, who account.Account) (string, error) {
	switch {
	case !q.offline, q.grant == anonymous:
		return "", nil
	case q.grant == refreshToken:
		return q.refreshToken, nil
	}
	secret := refreshTokens.New()
	if err := createRefreshToken(r.Context(), a.DB, secret, signer.registry.ClientID, q.username, who, q.clientID, request.Peer(r)); err != nil {
		return "", err
	}
	return secret.Text(), nil
}

// appPassword returns the id of the app password that was verified; empty: it
// was another password.
func appPassword(who account.Account) string {
	id, _ := strings.CutPrefix(who.Credential, "app:")
	if id == who.Credential {
		return ""
	}
	return id
}
