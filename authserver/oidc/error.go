package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"authbridge/authserver/request"
)

// An Error is a refused request with an access token (RFC 6750 section 3.1).
// Err is for our log only.
type Error struct {
	Status      int
	Code        string // empty: the request had no credentials
	Description string
	Scope       string        // that the token should have
	RetryAfter  time.Duration // whole seconds; zero: not said
	Err         error
}

func (e *Error) Error() string {
	text := e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	if text == "" {
		text = "no access token"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// HTTPStatus implements request.Refusal.
func (e *Error) HTTPStatus() int { return e.Status }

// Write implements request.Refusal. Nothing in the challenge comes from the
// request.
func (e *Error) Write(w http.ResponseWriter) {
	h := w.Header()
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		h.Set("WWW-Authenticate", e.challenge())
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	if e.Code == "" {
		w.Write([]byte("{}\n"))
		return
	}
	json.NewEncoder(w).Encode(struct { // whether the client still listens is its own affair
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

// challenge is a WWW-Authenticate header (RFC 6750 section 3).
func (e *Error) challenge() string {
	parts := []string{`realm="userinfo"`}
	for _, p := range [][2]string{{"error", e.Code}, {"error_description", e.Description}, {"scope", e.Scope}} {
		if p[1] != "" {
			parts = append(parts, p[0]+`="`+p[1]+`"`)
		}
	}
	return "Bearer " + strings.Join(parts, ", ")
}

func invalidRequest(description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: description}
}

// invalidToken is one answer for all tokens that are not good, whatever the
// reason.
func invalidToken(err error) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is not valid", Err: err}
}

// Handle lets an endpoint return its error: an *Error and what package request
// has found are the client's doing and are shown to it, anything else is ours
// and is only logged.
func (s *Server) Handle(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return request.Refusals{
		Of: func(err error) request.Refusal {
			if refused := refusalOf(err); refused != nil {
				return refused
			}
			return nil
		},
		Later: func(status int, retryAfter time.Duration) request.Refusal {
			return &Error{Status: status, Code: "temporarily_unavailable", Description: "Try again later", RetryAfter: retryAfter}
		},
	}.Handle(endpoint)
}

func refusalOf(err error) *Error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, request.ErrManyAuthorizations):
		return invalidRequest("There is more than one Authorization header")
	case errors.Is(err, request.ErrMalformedBody):
		return invalidRequest("The body cannot be read")
	case errors.Is(err, request.ErrTooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The body is too large"}
	}
	return nil
}
