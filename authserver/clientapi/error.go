package clientapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"authbridge/authserver/request"
)

// An Error is a request that is refused. Message and the headers reach the
// caller; Err is for our log only.
type Error struct {
	Status     int
	Message    string
	Challenge  string        // WWW-Authenticate; empty: none
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

// What is said in several places.
var (
	errInsecure     = &Error{Status: http.StatusBadRequest, Message: "This endpoint must be called securely"}
	errParameters   = &Error{Status: http.StatusBadRequest, Message: "Missing or invalid parameters"}
	errJSON         = &Error{Status: http.StatusBadRequest, Message: "Invalid JSON"}
	errTooLarge     = &Error{Status: http.StatusRequestEntityTooLarge, Message: "Request body too large"}
	errNoAuthDomain = &Error{Status: http.StatusBadRequest, Message: "Not a valid authorization domain"}
	errNoKey        = &Error{Status: http.StatusBadRequest, Message: "Domain is not JWT enabled"}
)

// refusalOf returns what the caller hears about an error that is its own doing;
// nil if it is not.
func refusalOf(err error) *Error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, request.ErrManyAuthorizations):
		return &Error{Status: http.StatusBadRequest, Message: "More than one Authorization header"}
	case errors.Is(err, request.ErrMalformedBasic):
		return &Error{Status: http.StatusBadRequest, Message: "Malformed Basic credentials"}
	case errors.Is(err, request.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, request.ErrMalformedBody):
		return errParameters
	}
	return nil
}

// Handle lets an endpoint return its error: an *Error and what package request
// has found are the caller's doing and are shown to it, anything else is ours
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
			message := "Temporarily unavailable"
			if status == http.StatusTooManyRequests {
				message = "Too many wrong passwords, try again later"
			}
			return &Error{Status: status, Message: message, RetryAfter: retryAfter}
		},
	}.Handle(endpoint)
}

// HTTPStatus implements request.Refusal.
func (e *Error) HTTPStatus() int { return e.Status }

// Write implements request.Refusal.
func (e *Error) Write(w http.ResponseWriter) {
	if e.Challenge != "" {
		w.Header().Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	writeJSON(w, e.Status, struct {
		Error string `json:"error"`
	}{e.Message})
}

// writeJSON answers with v, which is one of our structs.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // an error means that the caller has gone
}
