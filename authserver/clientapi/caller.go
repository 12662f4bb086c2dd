package clientapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/audit"
)

// secure refuses requests that somebody on the way could read.
func secure(r *http.Request) error {
	if r.URL.Scheme != "https" {
		return errInsecure
	}
	return nil
}

// trusted reports whether the caller has proved to be a server of ours. A
// secret that is not that of an API client is an error, and not a stranger: a
// server whose secret was revoked must not hear that passwords are wrong.
func (a *API) trusted(r *http.Request) (bool, error) {
	scheme, credentials, err := authorization(r)
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
		audit.ClientRefused(r.Context(), peer(r))
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
	secret, err := account.ParseAPIClientSecret(text)
	if err != nil {
		return false, nil
	}
	name, err := verifyAPIClient(r.Context(), a.DB, secret, peer(r))
	return name != "", err
}

// hasClientCertificate reports whether the listener has verified one.
func hasClientCertificate(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0
}

// authorization returns the scheme of the Authorization header, in lower case,
// and what follows it. Two headers are refused: a proxy may have looked at the
// other one.
func authorization(r *http.Request) (scheme, credentials string, err error) {
	switch values := r.Header.Values("Authorization"); len(values) {
	case 0:
		return "", "", nil
	case 1:
		scheme, credentials, _ = strings.Cut(values[0], " ")
		return strings.ToLower(scheme), strings.Trim(credentials, " "), nil
	default:
		return "", "", &Error{Status: http.StatusBadRequest, Message: "More than one Authorization header"}
	}
}

// parseBasic reads the credentials of RFC 7617: the name ends at the first
// colon, the password may have more of them. What is in them need not be UTF-8;
// nobody's name or password is anything else.
func parseBasic(credentials string) (name, password string, err error) {
	text, decodeErr := base64.StdEncoding.DecodeString(credentials)
	name, password, found := strings.Cut(string(text), ":")
	if decodeErr != nil || !found {
		return "", "", &Error{Status: http.StatusBadRequest, Message: "Malformed Basic credentials"}
	}
	return name, password, nil
}

// peer returns the address that the request came from.
func peer(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from.Addr().Unmap().WithZone("")
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
	if s == "" || len(s) > 64 || !isText(s) {
		return errParameters
	}
	return nil
}

// isText reports whether s can be a parameter of a query, and in a token.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

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

// maxBody is the longest body that is read, in bytes.
const maxBody = 64 << 10

// readJSON reads a body into v, whatever its Content-Type. What is wrong with a
// body is not in the error: it may be a part of a password.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return bodyError(err)
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

// readForm reads a body into r.PostForm: nothing, if it is no form.
func readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	// ParseMultipartForm does the same, but says nothing of fields that it
	// cannot read. One may be a scope.
	if err := r.ParseForm(); err != nil {
		return bodyError(err)
	}
	if err := r.ParseMultipartForm(maxBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return bodyError(err)
	}
	return nil
}

// bodyError returns what a caller hears about a body that could not be read.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	return errParameters
}
