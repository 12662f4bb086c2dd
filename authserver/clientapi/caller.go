package clientapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/authserver/request"
	"authbridge/authserver/token"
	"authbridge/internal/audit"
)

// secure refuses requests that somebody on the way could read.
func secure(r *http.Request) error {
	if !request.Secure(r) {
		return errInsecure
	}
	return nil
}

// trusted reports whether the caller has proved to be a server of ours. A
// secret that is not that of an API client is an error, and not a stranger: a
// server whose secret was revoked must not hear that passwords are wrong.
func (a *API) trusted(r *http.Request) (bool, error) {
	scheme, credentials, err := request.Authorization(r)
	if err != nil {
		return false, err
	}
	if scheme != "bearer" {
		return hasClientCertificate(r), nil
	}
	known, err := a.isAPIClient(r, credentials)
	if err != nil {
		return false, err
	}
	if !known {
		audit.ClientRefused(r.Context(), request.Peer(r))
		return false, &Error{
			Status:    http.StatusUnauthorized,
			Message:   "Not the secret of an API client",
			Challenge: bearerChallenge + `, error="invalid_token"`,
		}
	}
	return true, nil
}

// requireTrusted refuses callers that are not servers of ours.
func (a *API) requireTrusted(r *http.Request) error {
	trusted, err := a.trusted(r)
	if err != nil {
		return err
	}
	if !trusted {
		return &Error{
			Status:    http.StatusUnauthorized,
			Message:   "This endpoint is for API clients",
			Challenge: bearerChallenge,
		}
	}
	return nil
}

const bearerChallenge = `Bearer realm="authserver"`

func (a *API) isAPIClient(r *http.Request, text string) (bool, error) {
	secret, err := account.APIClientSecret.Parse(text)
	if err != nil {
		return false, nil
	}
	name, err := verifyAPIClient(r.Context(), a.DB, secret, request.Peer(r))
	return name != "", err
}

// hasClientCertificate reports whether the listener has verified one.
func hasClientCertificate(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}

// parseClient reads the address of somebody's client, as a trusted caller tells
// it. Empty is the zero Addr: nobody knows.
func parseClient(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errParameters
	}
	return addr.Unmap().WithZone(""), nil
}

// checkService refuses what cannot be the name of a service.
func checkService(s string) error {
	if s == "" || len(s) > 64 || !request.IsText(s) {
		return errParameters
	}
	return nil
}

// hostname returns the name in what a Host header or a parameter says: a port
// and a dot at the end do not matter. It is empty if there is more to it.
func hostname(host string) string {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// domain returns the domain that answers for a host; token.ErrNoDomain if there
// is none.
func (a *API) domain(host string) (*token.Domain, error) {
	name, err := address.ParseDomain(hostname(host))
	if err != nil {
		return nil, token.ErrNoDomain
	}
	return a.Keys.Domain(name.String())
}

// readJSON reads a body into v, whatever its Content-Type. What is wrong with a
// body is not in the error: it may be a part of a password.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := request.Body(w, r)
	if err != nil {
		return err
	}
	if !utf8.Valid(body) { // encoding/json would replace it
		return errJSON
	}
	err = json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return errJSON
	case err != nil:
		return errParameters
	}
	return nil
}
