package request

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// What is wrong with credentials.
var (
	ErrManyAuthorizations = errors.New("more than one Authorization header")
	ErrMalformedBasic     = errors.New("malformed Basic credentials")
)

// Authorization returns the scheme of the Authorization header, in lower case,
// and what follows it; nothing if there is no header. Two headers are
// ErrManyAuthorizations: a proxy may have looked at the other one.
func Authorization(r *http.Request) (scheme, credentials string, err error) {
	switch values := r.Header.Values("Authorization"); len(values) {
	case 0:
		return "", "", nil
	case 1:
		scheme, credentials, _ = strings.Cut(values[0], " ")
		return strings.ToLower(scheme), strings.Trim(credentials, " "), nil
	}
	return "", "", ErrManyAuthorizations
}

// ParseBasic reads the credentials of RFC 7617, or returns ErrMalformedBasic:
// the name ends at the first colon, the password may have more of them. What is
// in them need not be UTF-8; nobody's name or password is anything else.
func ParseBasic(credentials string) (name, password string, err error) {
	text, err := base64.StdEncoding.DecodeString(credentials)
	name, password, found := strings.Cut(string(text), ":")
	if err != nil || !found {
		return "", "", ErrMalformedBasic
	}
	return name, password, nil
}
