package request

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"authbridge/authserver/account"
)

// A Refusal is an answer that is no success, in the words of a protocol.
type Refusal interface {
	HTTPStatus() int
	Write(w http.ResponseWriter)
}

// Refusals are the words of a protocol.
type Refusals struct {
	// Of returns what the client hears about an error that is its own doing;
	// nil if it is not.
	Of func(error) Refusal

	// Later returns what it hears if the same request may be answered another
	// time: with status 429 after too many wrong passwords, with 503 in our own
	// trouble.
	Later func(status int, retryAfter time.Duration) Refusal
}

// retryAfter is when to ask again after our own trouble.
const retryAfter = 5 * time.Second

// Handle lets an endpoint return its error. The client hears about what is its
// own doing; all else is ours, and is only logged. No answer is stored, unless
// the endpoint says so.
func (p Refusals) Handle(endpoint func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := endpoint(w, r)
		if err == nil {
			return
		}

		refusal := p.Of(err)
		var throttled *account.ThrottledError
		switch {
		case refusal != nil:
			slog.InfoContext(r.Context(), "request refused", "path", r.URL.Path, "status", refusal.HTTPStatus(), "err", err)
		case errors.As(err, &throttled): // audit has a line about it
			refusal = p.Later(http.StatusTooManyRequests, throttled.RetryAfter)
		default:
			level := slog.LevelError
			if errors.Is(err, account.ErrBusy) || errors.Is(err, context.Canceled) {
				level = slog.LevelWarn
			}
			slog.Log(r.Context(), level, "request failed", "path", r.URL.Path, "err", err)
			refusal = p.Later(http.StatusServiceUnavailable, retryAfter)
		}
		refusal.Write(w)
	})
}
