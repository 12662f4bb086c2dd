package clientapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
)

// ForwardAuth serves /forward-auth, which nginx, Caddy and Traefik ask whether
// a request may pass. Yes is 200, with the user in headers.
func (a *API) ForwardAuth(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	gate, err := parseGate(r)
	if err != nil {
		return err
	}
	scheme, credentials, err := request.Authorization(r)
	if err != nil {
		return err
	}
	name, password, malformed := request.ParseBasic(credentials)
	if scheme != "basic" || malformed != nil {
		return gate.denied(nil)
	}

	login := account.Login{Name: name, Password: password, Service: gate.service, Client: request.Peer(r)}
	who, err := a.verify(r.Context(), login)
	switch {
	case errors.Is(err, account.ErrDenied):
		return gate.denied(err)
	case err != nil:
		return err
	case !permitted(r.Context(), login, who, gate.permissions):
		return &Error{Status: http.StatusForbidden, Message: "forbidden"}
	}

	// All of them, be they empty: a proxy that copies headers then also
	// overwrites those that its client has made up.
	w.Header().Set("Remote-User", who.PrimaryAddress)
	w.Header().Set("Remote-Name", who.FullName)
	w.Header().Set("Remote-Email", who.PrimaryAddress)
	w.Header().Set("Remote-Groups", strings.Join(separable(who.Groups), ","))
	w.WriteHeader(http.StatusOK)
	return nil
}

// separable returns the groups that can stand in a list with commas. A group
// named "staff,admins" must not make anybody an admin.
func separable(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(name string) bool { return strings.Contains(name, ",") })
}

// A gate is what a proxy's configuration asks for.
type gate struct {
	permissions []string // all of them
	service     string
	realm       string
}

// httpServices are the services that anybody may ask for. Wrong passwords are
// counted for each, so somebody who could make names up would have as many
// guesses as names.
var httpServices = []string{"http", "webdav", "caldav", "carddav", "git"}

// parseGate reads the query. A part that is misspelt must not be overlooked: it
// may have been a permission.
func parseGate(r *http.Request) (gate, error) {
	g := gate{service: "http", realm: "authserver"}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return gate{}, errParameters
	}
	for name, values := range query {
		switch {
		case name == "permission":
			g.permissions = values
		case len(values) != 1:
			return gate{}, errParameters
		case name == "service":
			g.service = values[0]
		case name == "realm":
			g.realm = values[0]
		default:
			return gate{}, &Error{Status: http.StatusBadRequest, Message: "Unknown parameter (can be permission, service or realm)"}
		}
	}
	if !isRealm(g.realm) {
		return gate{}, &Error{Status: http.StatusBadRequest, Message: "Invalid realm (want printable ASCII)"}
	}
	if !slices.Contains(httpServices, g.service) && !hasClientCertificate(r) {
		return gate{}, &Error{
			Status:  http.StatusBadRequest,
			Message: "Invalid service (without a client certificate, can be " + strings.Join(httpServices, ", ") + ")",
		}
	}
	return g, checkService(g.service)
}

func isRealm(s string) bool {
	return len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// denied asks for other credentials (RFC 7617).
func (g gate) denied(err error) error {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(g.realm)
	return &Error{
		Status:    http.StatusUnauthorized,
		Message:   "denied",
		Challenge: `Basic realm="` + quoted + `", charset="UTF-8"`,
		Err:       err,
	}
}
