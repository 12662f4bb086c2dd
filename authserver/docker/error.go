package docker

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"authbridge/authserver/request"
)

// An Error is a request that is refused. Err is for our log only, all else
// reaches the client.
type Error struct {
	Status     int
	Code       string        // RFC 6749 section 5.2
	Message    string        // a sentence that clients show
	Realm      string        // of the challenge of a 401
	RetryAfter time.Duration // whole seconds; zero: not said
	Err        error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

func invalidRequest(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: message}
}

var errUnknownService = invalidRequest("unknown service")

// errDenied is one answer for all who do not get in, whatever the reason.
func errDenied(realm string, err error) *Error {
	return &Error{
		Status:  http.StatusUnauthorized,
		Code:    "invalid_grant",
		Message: "wrong user name or password",
		Realm:   realm,
		Err:     err,
	}
}

// Handle lets an endpoint return its error: an *Error and what package request
// has found are the client's doing and are shown to it, anything else is ours
// and is only logged.
func (a *API) Handle(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return request.Refusals{
		Of: func(err error) request.Refusal {
			if refused := refusalOf(err); refused != nil {
				return refused
			}
			return nil
		},
		Later: func(status int, retryAfter time.Duration) request.Refusal {
			later := &Error{Status: status, Code: "temporarily_unavailable", Message: "temporarily unavailable", RetryAfter: retryAfter}
			if status == http.StatusTooManyRequests {
				later.Code, later.Message = "slow_down", "too many wrong passwords, try again later"
			}
			return later
		},
	}.Handle(endpoint)
}

// refusalOf returns what the client hears about an error that is its own doing;
// nil if it is not.
func refusalOf(err error) *Error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, request.ErrManyAuthorizations):
		return invalidRequest("more than one Authorization header")
	case errors.Is(err, request.ErrMalformedBasic):
		return invalidRequest("malformed Basic credentials")
	case errors.Is(err, request.ErrMalformedBody):
		return invalidRequest("malformed parameters")
	case errors.Is(err, request.ErrTooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Message: "request body too large"}
	}
	return nil
}

// errorCodes are the codes of the Docker Registry HTTP API for a status. There
// is none for a bad request: UNSUPPORTED is also an invalid set of parameters.
var errorCodes = map[int]string{
	http.StatusUnauthorized:       "UNAUTHORIZED",
	http.StatusTooManyRequests:    "TOOMANYREQUESTS",
	http.StatusServiceUnavailable: "UNAVAILABLE",
}

// HTTPStatus implements request.Refusal.
func (e *Error) HTTPStatus() int { return e.Status }

// Write answers in the words of all who read errors: docker login shows details,
// other clients errors as a registry has them, and OAuth 2.0 has its own.
func (e *Error) Write(w http.ResponseWriter) {
	code := errorCodes[e.Status]
	if code == "" {
		code = "UNSUPPORTED"
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+e.Realm+`", charset="UTF-8"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	type coded struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	writeJSON(w, e.Status, struct {
		Details     string  `json:"details"`
		Errors      []coded `json:"errors"`
		Error       string  `json:"error"`
		Description string  `json:"error_description"`
	}{
		Details:     e.Message, // clients put the code before it
		Errors:      []coded{{code, e.Message}},
		Error:       e.Code,
		Description: e.Message,
	})
}

// writeJSON answers with v, which is one of our structs. Its length is said
// first: an answer with a certificate in its token is too long for net/http to
// do so.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("docker: " + err.Error()) // texts, numbers and times have a JSON form
	}
	body = append(body, '\n') // for people who look
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // an error means that the client has gone
}
