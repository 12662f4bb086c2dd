package docker

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"authbridge/authserver/request"
)

// A grant is how a client says who is asking (RFC 6749 section 1.3).
type grant string

const (
	anonymous    grant = "anonymous"
	password     grant = "password"
	refreshToken grant = "refresh_token"

	// unknownScheme is credentials that are not for us.
	unknownScheme grant = ""
)

// A tokenRequest is what a client asks for, however it was sent. It has
// secrets.
type tokenRequest struct {
	grant    grant
	service  string // the client id of a registry
	scopes   []Scope
	offline  bool   // a refresh token is wanted
	clientID string // what the program calls itself

	username, password string // of the grant password
	refreshToken       string // of the grant refresh_token
}

const (
	maxScopes   = 100
	maxClientID = 255 // bytes
)

// readRequest reads a GET with a query, or a POST with a form.
func readRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	var q tokenRequest
	fields, err := q.readGrant(w, r)
	if err != nil {
		return tokenRequest{}, err
	}
	// RFC 6749 section 3.2: no parameter may be there twice. Which of two is
	// meant is anybody's guess.
	for _, name := range []string{"service", "client_id", "offline_token", "access_type", "grant_type", "username", "password", "refresh_token"} {
		if len(fields[name]) > 1 {
			return tokenRequest{}, invalidRequest(name + " is there twice")
		}
	}
	if q.service = fields.Get("service"); q.service == "" {
		return tokenRequest{}, invalidRequest("service is missing")
	}
	if q.clientID = fields.Get("client_id"); !isClientID(q.clientID) {
		return tokenRequest{}, invalidRequest("malformed client_id")
	}
	q.offline = r.Method != http.MethodHead && (fields.Get("offline_token") == "true" || fields.Get("access_type") == "offline") // nobody reads the answer to HEAD
	q.scopes, err = parseScopes(fields["scope"])
	return q, err
}

// readGrant reads who is asking, and returns where all else is.
func (q *tokenRequest) readGrant(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	scheme, credentials, err := request.Authorization(r)
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost {
		fields, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, invalidRequest("malformed parameters")
		}
		switch scheme {
		case "":
			q.grant = anonymous
		case "basic":
			q.grant = password
			q.username, q.password, err = request.ParseBasic(credentials)
			// What docker and containerd send that have a refresh token and no
			// name, after they were refused a POST.
			if _, formErr := refreshTokens.Parse(q.password); formErr == nil && (q.username == "" || q.username == "<token>") {
				q.grant, q.refreshToken = refreshToken, q.password
			}
		default:
			q.grant = unknownScheme
		}
		return fields, err
	}

	if err := request.ReadForm(w, r); err != nil {
		return nil, err
	}
	form := r.PostForm
	switch q.grant = grant(form.Get("grant_type")); {
	case scheme != "":
		return nil, invalidRequest("the credentials of a POST are in its form, not in a header")
	case q.grant == "":
		return nil, invalidRequest("grant_type is missing")
	case q.grant == password && !(form.Has("username") && form.Has("password")):
		return nil, invalidRequest("username or password is missing")
	case q.grant == refreshToken && !form.Has("refresh_token"):
		return nil, invalidRequest("refresh_token is missing")
	case q.grant != password && q.grant != refreshToken:
		return nil, &Error{
			Status:  http.StatusBadRequest,
			Code:    "unsupported_grant_type",
			Message: "grant_type can be password or refresh_token",
		}
	}
	q.username, q.password, q.refreshToken = form.Get("username"), form.Get("password"), form.Get("refresh_token")
	return form, nil
}

// parseScopes reads scopes that are repeated, separated by blanks, or both.
func parseScopes(lists []string) ([]Scope, error) {
	var scopes []Scope
	for _, list := range lists {
		for text := range strings.SplitSeq(list, " ") {
			if text == "" {
				continue
			}
			if len(scopes) == maxScopes {
				return nil, invalidScope(fmt.Sprintf("more than %d scopes", maxScopes))
			}
			s, err := ParseScope(text)
			if err != nil {
				return nil, invalidScope(fmt.Sprintf("scope %d: %v", len(scopes)+1, err))
			}
			scopes = append(scopes, s)
		}
	}
	return scopes, nil
}

func invalidScope(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_scope", Message: message}
}

// isClientID reports whether the database stores s as the name of a program.
func isClientID(s string) bool {
	return len(s) <= maxClientID && request.IsText(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || 0x7f <= r && r <= 0x9f
	})
}
