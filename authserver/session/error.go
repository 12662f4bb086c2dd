package session

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"authbridge/authserver/request"
	"authbridge/authserver/web"
)

// An Error is a request that is refused with a page. Code and Description reach
// the reader; Err is for our log only.
type Error struct {
	Status      int
	Code        string // of RFC 6749, which has one for most
	Description string
	Err         error
}

func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

var errInsecure = &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: "This page must be called securely, by https.", Err: request.ErrInsecure}

// refusalOf returns what the reader is shown of an error that is their own
// doing; nil if it is not.
func refusalOf(err error) *Error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, request.ErrTooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The request is too large."}
	case errors.Is(err, request.ErrMalformedBody):
		return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: "The request cannot be read."}
	}
	return nil
}

// Handle lets an endpoint that answers with pages return its error: an *Error
// and what package request has found are the reader's doing and are shown,
// anything else is ours and is only logged. A request that came without TLS is
// refused.
func (s *Sessions) Handle(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request.Refusals{
			Of: func(err error) request.Refusal {
				if refused := refusalOf(err); refused != nil {
					return errorPage{r, refused, 0}
				}
				return nil
			},
			Later: func(status int, retryAfter time.Duration) request.Refusal {
				return errorPage{r, &Error{Status: status, Code: "temporarily_unavailable", Description: "Try again later."}, retryAfter}
			},
		}.Handle(func(w http.ResponseWriter, r *http.Request) error {
			if !request.Secure(r) {
				return errInsecure
			}
			return endpoint(w, r)
		}).ServeHTTP(w, r)
	})
}

// An errorPage is an error as the answer to a request.
type errorPage struct {
	r          *http.Request
	err        *Error
	retryAfter time.Duration // zero: not said
}

// HTTPStatus implements request.Refusal.
func (p errorPage) HTTPStatus() int { return p.err.Status }

// Write implements request.Refusal.
func (p errorPage) Write(w http.ResponseWriter) {
	setRetryAfter(w, p.retryAfter)
	data := web.ErrorData{Code: p.err.Code, Description: p.err.Description}
	if err := web.Error.Render(w, p.r, p.err.Status, data, web.Options{UILocales: uiLocales(p.r, nil)}); err != nil {
		slog.ErrorContext(p.r.Context(), "error page", "err", err)
		http.Error(w, p.err.Description, p.err.Status)
	}
}

func setRetryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(d.Seconds())))
	}
}
