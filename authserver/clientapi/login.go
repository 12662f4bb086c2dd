package clientapi

import (
	"context"
	"slices"

	"authbridge/authserver/account"
	"authbridge/internal/audit"
)

// verify is Verifier.Verify for answers that name a mailbox: an account without
// one is denied.
func (a *API) verify(ctx context.Context, login account.Login) (account.Account, error) {
	who, err := a.Verifier.Verify(ctx, login)
	if err == nil && who.PrimaryAddress == "" {
		audit.LoginFailed(ctx, login.Name, login.Service, login.Client, "no mailbox")
		return account.Account{}, account.ErrDenied
	}
	return who, err
}

// permitted reports whether an account has all of these permissions. The log
// has those that are missing: they are not in the answer.
func permitted(ctx context.Context, login account.Login, who account.Account, permissions []string) bool {
	if who.Holds(permissions) {
		return true
	}
	missing := slices.DeleteFunc(slices.Clone(permissions), func(p string) bool { return who.Holds([]string{p}) })
	audit.LoginForbidden(ctx, login.Name, login.Service, login.Client, missing)
	return false
}
