package clientapi

import (
	"errors"
	"net/http"

	"authbridge/authserver/account"
)

// Verify serves POST /verify: a login for servers that hold an API client's
// secret and read plain JSON, such as Dovecot's Lua script.
//
// A server that gets anything but 200, or 401 with the error "denied", has not
// learned whether the password is right.
func (a *API) Verify(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	if err := a.requireTrusted(r); err != nil {
		return err
	}
	var q struct {
		Username *string `json:"username"`
		Password *string `json:"password"`
		Service  string  `json:"service"`
		RemoteIP *string `json:"remote_ip"` // empty: the caller does not know it either
		Scopes   scopes  `json:"scopes"`
	}
	if err := readJSON(w, r, &q); err != nil {
		return err
	}
	// A caller that forgets the address would have everybody's wrong passwords
	// counted as one client's.
	if q.Username == nil || q.Password == nil || q.RemoteIP == nil {
		return errParameters
	}
	if err := checkService(q.Service); err != nil {
		return err
	}
	client, err := parseClient(*q.RemoteIP)
	if err != nil {
		return err
	}

	login := account.Login{Name: *q.Username, Password: *q.Password, Service: q.Service, Client: client}
	who, err := a.verify(r.Context(), login)
	switch {
	case errors.Is(err, account.ErrDenied):
		return &Error{Status: http.StatusUnauthorized, Message: "denied"}
	case err != nil:
		return err
	case !permitted(r.Context(), login, who, q.Scopes):
		return &Error{Status: http.StatusForbidden, Message: "forbidden"}
	}
	writeJSON(w, http.StatusOK, verified{
		User:        who.PrimaryAddress,
		Identifier:  who.Identifier,
		Credential:  who.Credential,
		Permissions: append([]string{}, who.Permissions...), // lists, be they empty
		Groups:      append([]string{}, who.Groups...),
	})
	return nil
}

// verified is who has logged in.
type verified struct {
	User        string   `json:"user"`
	Identifier  string   `json:"identifier"`
	Credential  string   `json:"credential"`
	Permissions []string `json:"permissions"`
	Groups      []string `json:"groups"`
}
