// Package checkpassword asks an authserver whether a password is right, or who
// a user is, and believes nothing but a signed answer to its own question.
//
//	client.go       the question, and which responses answer it
//	answer.go       the JWT: its signature, and the claims that must fit the question
//	key.go          key files, and how /getkey/ fills them
//	watch.go        a key file that is kept up to date
//	http.go         how servers are reached
//	input.go        what callers write: descriptor 3 (djb), stdin (Apache)
//	environment.go  what a program finds that is started for a user
//
// A process asks one question and ends, so keys are read for each; only that of
// a Watcher stays. Every error of a question is one of three kinds: ErrDenied is
// the server's no, ErrUnavailable that it gave no answer that can be used, and
// any other is a mistake on this side. Callers turn them into exit codes; none
// of them is ever a yes.
package checkpassword

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"authbridge/internal/command"
)

var (
	// ErrDenied means that the server, or what it has signed, says no.
	ErrDenied = errors.New("denied")

	// ErrUnknownUser is the ErrDenied of a lookup. Whether a wrong password was
	// that of a user nobody learns.
	ErrUnknownUser = fmt.Errorf("%w: unknown user", ErrDenied)

	// ErrForbidden is the ErrDenied of a user who may log in, but not here.
	ErrForbidden = fmt.Errorf("%w: a permission is missing", ErrDenied)

	// ErrUnavailable means that nothing is known about the user: the server was
	// not reached in time, is in trouble, or its answer cannot be verified.
	ErrUnavailable = errors.New("no answer")
)

// A Question is what the server is asked.
type Question struct {
	Name string

	// Password is verified, unless this is a Lookup, which has none.
	Password command.Secret
	Lookup   bool

	Scopes  []string   // permissions that the user must have, all of them
	Service string     // what the login is for; empty: the server's default
	Client  netip.Addr // where the login comes from; sent only with a credential
}

// A Client asks one server. URL, HTTP, Keys and Now are required.
type Client struct {
	URL  *url.URL
	HTTP *http.Client // of Connection.Client
	Keys Keys
	Now  func() time.Time

	// Issuer is the domain that answers are issued by; empty: the host of URL or
	// a domain above it.
	Issuer string

	// Secret is the credential of this machine; empty: it has none, other than
	// perhaps a certificate (Certificate).
	Secret      command.Secret
	Certificate bool

	// Legacy accepts answers of servers that know no nonce and let anybody look
	// up users.
	Legacy bool
}

// request is the body of a question.
type request struct {
	Username string   `json:"username"`
	Password *string  `json:"password,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Nonce    string   `json:"nonce"`
	Service  string   `json:"service,omitempty"`
	RemoteIP string   `json:"remote_ip,omitempty"`
}

// Ask returns the server's verified yes. An empty name is denied, and so is an
// empty password: sent, it would ask for a lookup.
func (c *Client) Ask(ctx context.Context, q Question) (Answer, error) {
	if q.Name == "" || q.Password == "" && !q.Lookup {
		return Answer{}, ErrDenied
	}
	ask := request{Username: q.Name, Scopes: q.Scopes, Nonce: rand.Text(), Service: q.Service}
	if !q.Lookup {
		password := string(q.Password)
		ask.Password = &password
	}
	if c.known() && q.Client.IsValid() {
		ask.RemoteIP = q.Client.Unmap().WithZone("").String()
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/jwt, application/json")
	if c.Secret != "" {
		req.Header.Set("Authorization", "Bearer "+string(c.Secret))
	}

	res, content, err := do(c.HTTP, req)
	if err != nil {
		return Answer{}, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/jwt" {
			return Answer{}, fmt.Errorf("%w: the response is no JWT", ErrUnavailable)
		}
		return c.verify(strings.TrimSpace(string(content)), q, ask.Nonce)
	case http.StatusUnauthorized:
		return Answer{}, c.unauthorized(q, res, content)
	case http.StatusForbidden:
		return Answer{}, ErrForbidden
	case http.StatusTooManyRequests:
		return Answer{}, fmt.Errorf("%w: the server asks to wait: too many wrong passwords or requests", ErrUnavailable)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return Answer{}, fmt.Errorf("%w: %s: is --url that of /checkpassword/?", ErrUnavailable, status(res, content))
	}
	return Answer{}, fmt.Errorf("%w: %s", ErrUnavailable, status(res, content))
}

// known tells whether the server is shown who asks.
func (c *Client) known() bool { return c.Secret != "" || c.Certificate }

// unauthorized tells the two meanings of status 401 apart: no to the user, and
// no to the machine that asks. A mail server bounces mail for unknown users, so
// a lookup is sure that it was the former.
func (c *Client) unauthorized(q Question, res *http.Response, content []byte) error {
	for _, challenge := range res.Header.Values("WWW-Authenticate") {
		// RFC 6750 section 3. A user is never asked for a bearer token.
		if scheme, _, _ := strings.Cut(challenge, " "); strings.EqualFold(scheme, "Bearer") {
			return fmt.Errorf("%w: the server wants a client credential that it knows", ErrUnavailable)
		}
	}
	if !q.Lookup {
		return ErrDenied
	}
	if !c.known() && !c.Legacy {
		return fmt.Errorf("%w: the server refuses a lookup without a client credential", ErrUnavailable)
	}
	var refusal struct{ Authenticated, Authorized *bool }
	if err := json.Unmarshal(content, &refusal); err != nil ||
		refusal.Authenticated == nil || *refusal.Authenticated ||
		refusal.Authorized == nil || *refusal.Authorized {
		return fmt.Errorf("%w: %s", ErrUnavailable, status(res, content))
	}
	return ErrUnknownUser
}

// maxBody limits what is read of a response.
const maxBody = 64 << 10

// do sends req and reads the whole response. Errors are ErrUnavailable.
func do(client *http.Client, req *http.Request) (*http.Response, []byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reading the response: %w", ErrUnavailable, err)
	}
	if len(content) > maxBody {
		return nil, nil, fmt.Errorf("%w: the response is longer than %d bytes", ErrUnavailable, maxBody)
	}
	return res, content, nil
}

// status describes a response that is no answer, for the operator.
func status(res *http.Response, content []byte) string {
	var body struct{ Error string }
	if err := json.Unmarshal(content, &body); err == nil && body.Error != "" && len(body.Error) <= 200 {
		return fmt.Sprintf("status %d: %s", res.StatusCode, body.Error)
	}
	return fmt.Sprintf("status %d", res.StatusCode)
}
