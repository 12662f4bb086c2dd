package session

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"authbridge/authserver/request"
	"authbridge/internal/opaque"
)

// A Saved is a request for authorization that waits until somebody has signed
// in or consented.
type Saved struct {
	ClientID   string
	ClientName string // for people
	Parameters url.Values
	CreatedAt  time.Time

	// AllowedOrigins are those of the client, to which its redirect URI may send
	// a browser on.
	AllowedOrigins []string
}

var handles = opaque.Kind{Prefix: "rq_", Name: "request handle"}

// savedLifetime is more than people take to sign in who have to look for their
// password first.
const savedLifetime = time.Hour

// LoginURL returns the path where somebody signs in, after which the saved
// request goes on.
func LoginURL(handle string) string {
	return loginPath + "?" + url.Values{"request": {handle}}.Encode()
}

// Save keeps the parameters of a request of a client for an hour, and returns by
// what it is found. The parameters are those that were found good. They name
// the redirect_uri, also if it was not sent: browsers let a form lead only where
// its page says.
func (s *Sessions) Save(ctx context.Context, clientID string, p url.Values) (handle string, err error) {
	for name, values := range p {
		for _, text := range append([]string{name}, values...) {
			if !request.IsText(text) {
				return "", &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: "A parameter is not UTF-8 text."}
			}
		}
	}
	secret := handles.New()
	if err := saveRequest(ctx, s.DB, secret, clientID, p); err != nil {
		return "", err
	}
	return secret.Text(), nil
}

// Load returns a saved request; nil: there is none, or no longer.
func (s *Sessions) Load(ctx context.Context, handle string) (*Saved, error) {
	secret, err := handles.Parse(handle)
	if err != nil {
		return nil, nil
	}
	return findRequest(ctx, s.DB, secret)
}

// Forget removes a saved request that is done with, if it is there.
func (s *Sessions) Forget(ctx context.Context, handle string) error {
	secret, err := handles.Parse(handle)
	if err != nil {
		return nil
	}
	return forgetRequest(ctx, s.DB, secret)
}
