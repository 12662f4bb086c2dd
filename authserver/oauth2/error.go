package oauth2

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/request"
	"authbridge/authserver/session"
	"authbridge/authserver/web"
)

// An Error is an error response of RFC 6749, as JSON (section 5.2), as a page,
// or as the parameters of a redirect (section 4.1.2.1). Code and Description
// reach the client, or whoever sits before the page; Err is for our log only.
type Error struct {
	Status      int // zero: 400
	Code        string
	Description string        // without quotation marks and backslashes
	Basic       bool          // the client is asked for credentials by the scheme that it used
	RetryAfter  time.Duration // whole seconds; zero: not said
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

func invalidRequest(description string) *Error {
	return &Error{Code: "invalid_request", Description: description}
}

func invalidScope(description string) *Error {
	return &Error{Code: "invalid_scope", Description: description}
}

func invalidTarget(description string) *Error {
	return &Error{Code: "invalid_target", Description: description}
}

// invalidGrant has the reason for the log.
func invalidGrant(description string, reason string) *Error {
	return &Error{Code: "invalid_grant", Description: description, Err: errors.New(reason)}
}

// What is said in several places.
var (
	errInsecure = &Error{Code: "invalid_request", Description: "This endpoint must be called securely, by https", Err: request.ErrInsecure}
	errMethod   = &Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This endpoint does not answer such a method"}
)

// unknownClient is the same for a client that is not enabled: nobody is told
// that it was there.
func unknownClient(clientID string) *Error {
	return &Error{Code: "invalid_client", Description: "The application is not known here", Err: fmt.Errorf("client %s", client.ShowID(clientID))}
}

// refusalOf returns what the client hears about an error that is its own doing;
// nil if it is not.
func refusalOf(err error) *Error {
	var refused *Error
	var page *session.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &page):
		return &Error{Status: page.Status, Code: page.Code, Description: page.Description, Err: page.Err}
	case errors.Is(err, request.ErrManyAuthorizations):
		return invalidRequest("There is more than one Authorization header")
	case errors.Is(err, request.ErrMalformedBasic):
		return invalidRequest("The Basic credentials are malformed")
	case errors.Is(err, request.ErrMalformedBody):
		return invalidRequest("The parameters are malformed")
	case errors.Is(err, request.ErrTooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The request is too large"}
	}
	return nil
}

// clientError returns what a client hears that did not authenticate. Whoever
// used the Authorization header is told so (RFC 6749 section 5.2); a script in a
// browser that did not would only see a dialog of the browser.
func clientError(r *http.Request, err error) error {
	switch {
	case errors.Is(err, client.ErrInvalidClient):
		return &Error{
			Status:      http.StatusUnauthorized,
			Code:        "invalid_client",
			Description: "The client is not known, or has not proved who it is",
			Basic:       r.Header.Get("Authorization") != "",
			Err:         err,
		}
	case errors.Is(err, client.ErrInvalidRequest):
		return &Error{Code: "invalid_request", Description: describe(strings.TrimPrefix(err.Error(), client.ErrInvalidRequest.Error()+": "))}
	}
	return err
}

// describe makes a text that a client is to hear one of the characters that RFC
// 6749 has for it.
func describe(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || '~' < r:
			return '?'
		}
		return r
	}, text)
}

// later is what a client hears if the same request may be answered another time.
func later(status int, retryAfter time.Duration) *Error {
	if status == http.StatusTooManyRequests {
		return &Error{Status: status, Code: "slow_down", Description: "Too many wrong passwords, try again later", RetryAfter: retryAfter}
	}
	return &Error{Status: status, Code: "temporarily_unavailable", Description: "Temporarily unavailable, try again later", RetryAfter: retryAfter}
}

// Handle lets an endpoint for programs return its error: an *Error and what
// package request has found are the client's doing and are shown to it as JSON,
// anything else is ours and is only logged.
func (s *Server) Handle(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return request.Refusals{
		Of: func(err error) request.Refusal {
			if refused := refusalOf(err); refused != nil {
				return refused
			}
			return nil
		},
		Later: func(status int, retryAfter time.Duration) request.Refusal { return later(status, retryAfter) },
	}.Handle(endpoint)
}

// HandlePage is Handle for an endpoint that browsers are sent to for an
// authorization: they see a page.
func (s *Server) HandlePage(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Where we are has a state, or a handle. To ourselves browsers have to say
		// from where a form comes.
		w.Header().Set("Referrer-Policy", "same-origin")
		request.Refusals{
			Of: func(err error) request.Refusal {
				if refused := refusalOf(err); refused != nil {
					return errorPage{refused, r}
				}
				return nil
			},
			Later: func(status int, retryAfter time.Duration) request.Refusal {
				return errorPage{later(status, retryAfter), r}
			},
		}.Handle(func(w http.ResponseWriter, r *http.Request) error {
			err := endpoint(w, r)
			if err != nil { // what is answered without one is counted where it is
				s.observe(authorizing, outcomeOf(err))
			}
			return err
		}).ServeHTTP(w, r)
	})
}

// HTTPStatus implements request.Refusal.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// headers sets what an answer has besides its body.
func (e *Error) headers(w http.ResponseWriter) {
	if e.Basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="oauth2", charset="UTF-8"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	if e.Status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, POST")
	}
}

// Write implements request.Refusal.
func (e *Error) Write(w http.ResponseWriter) {
	e.headers(w)
	writeJSON(w, e.HTTPStatus(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

// An errorPage shows an Error to whoever sits before the browser.
type errorPage struct {
	*Error
	r *http.Request
}

// Write implements request.Refusal.
func (e errorPage) Write(w http.ResponseWriter) {
	e.headers(w)
	err := web.Error.Render(w, e.r, e.HTTPStatus(), web.ErrorData{Code: e.Code, Description: e.Description},
		web.Options{UILocales: e.r.URL.Query().Get("ui_locales")})
	if err != nil {
		panic("oauth2: " + err.Error()) // two texts can be rendered
	}
}

// writeJSON answers with v, which is one of our structs.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("oauth2: " + err.Error()) // texts and numbers have a JSON form
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(body) // an error means that the client has gone
}
