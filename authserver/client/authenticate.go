package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"authbridge/authserver/request"
)

var (
	// ErrInvalidClient means that somebody is not the client that they say they
	// are, or that it is disabled or does not exist: one answer for all, the
	// invalid_client of RFC 6749 section 5.2. What else the error says is for the
	// log.
	ErrInvalidClient = errors.New("client authentication")

	// ErrInvalidRequest means credentials that contradict each other. What the
	// error says is for the client, with the invalid_request of the same section.
	ErrInvalidRequest = errors.New("invalid request")
)

// An Assertion is by what a client has proved itself: it counts once, which is
// for the database to see to, in the call that grants something.
type Assertion struct {
	JTIHash   []byte    // SHA-256 of jti, which is unique for the client
	ExpiresAt time.Time // from when on it is refused without being known
}

// AssertionType is the client_assertion_type of RFC 7523 section 2.2.
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Authenticate returns the client that sends a request (RFC 6749 section 2.3).
// The form is that of its body; audiences are what a JWT may be for. The
// Assertion is nil, unless there was a JWT. The error is ErrInvalidClient,
// ErrInvalidRequest, account.ErrBusy, or the end of the request.
func (cs *Clients) Authenticate(r *http.Request, form url.Values, audiences []string) (*Client, *Assertion, error) {
	sent, err := readCredentials(r, form)
	if err != nil {
		return nil, nil, err
	}
	if sent.assertion != "" {
		return cs.authenticateAssertion(r.Context(), sent.assertion, sent.clientID, audiences)
	}
	c, err := cs.authenticateSecret(r.Context(), sent.pairs, request.Peer(r))
	return c, nil, err
}

// credentials are what a request has of them: an assertion, or pairs of which
// one must be right.
type credentials struct {
	assertion string
	clientID  string // beside the assertion; empty: none
	pairs     []pair
}

// A pair is a client and its secret, which may be empty.
type pair struct{ clientID, secret string }

// readCredentials finds the one way in which a request authenticates. Empty
// parameters are none: Dovecot sends them beside Basic.
func readCredentials(r *http.Request, form url.Values) (credentials, error) {
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		if len(form[name]) > 1 {
			return credentials{}, fmt.Errorf("%w: %s is sent more than once", ErrInvalidRequest, name)
		}
	}
	scheme, header, err := request.Authorization(r)
	if err != nil {
		return credentials{}, fmt.Errorf("%w: %w", ErrInvalidRequest, err)
	}
	clientID, secret := form.Get("client_id"), form.Get("client_secret")
	assertion, assertionType := form.Get("client_assertion"), form.Get("client_assertion_type")

	byHeader, bySecret, byAssertion := scheme != "", secret != "", assertion != "" || assertionType != ""
	switch {
	case byHeader && bySecret, byHeader && byAssertion, bySecret && byAssertion:
		return credentials{}, fmt.Errorf("%w: the client authenticates in more than one way", ErrInvalidRequest)
	case byHeader:
		pairs, err := readBasic(scheme, header, clientID)
		return credentials{pairs: pairs}, err
	case byAssertion && assertionType != AssertionType:
		return credentials{}, fmt.Errorf("%w: client_assertion_type is not %s", ErrInvalidRequest, AssertionType)
	case byAssertion && assertion == "":
		return credentials{}, fmt.Errorf("%w: client_assertion is missing", ErrInvalidRequest)
	case byAssertion:
		return credentials{assertion: assertion, clientID: clientID}, nil
	case bySecret && clientID == "":
		return credentials{}, fmt.Errorf("%w: client_id is missing", ErrInvalidRequest)
	case clientID == "":
		return credentials{}, fmt.Errorf("%w: no credentials", ErrInvalidClient)
	}
	return credentials{pairs: []pair{{clientID, secret}}}, nil
}

// readBasic reads the Authorization header. Its two parts are form-urlencoded
// (RFC 6749 section 2.3.1); many programs do not know that, and send the text as
// it is, so both readings are returned, if there are two. A client_id in the
// body must be that of the header.
func readBasic(scheme, header, clientID string) ([]pair, error) {
	if scheme != "basic" {
		return nil, fmt.Errorf("%w: not by Basic", ErrInvalidClient)
	}
	id, secret, err := request.ParseBasic(header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidClient, err)
	}
	pairs := make([]pair, 0, 2)
	raw := pair{id, secret}
	if decodedID, err := url.QueryUnescape(id); err == nil {
		if decodedSecret, err := url.QueryUnescape(secret); err == nil {
			pairs = append(pairs, pair{decodedID, decodedSecret})
		}
	}
	if len(pairs) == 0 || pairs[0] != raw {
		pairs = append(pairs, raw)
	}
	if clientID == "" {
		return pairs, nil
	}
	same := pairs[:0]
	for _, p := range pairs {
		if p.clientID == clientID {
			same = append(same, p)
		}
	}
	if len(same) == 0 {
		return nil, fmt.Errorf("%w: client_id is another one than in the Authorization header", ErrInvalidRequest)
	}
	return same, nil
}

// authenticateSecret returns the client that one of the pairs is right for.
// Whatever is wrong, all secrets are compared.
func (cs *Clients) authenticateSecret(ctx context.Context, pairs []pair, from netip.Addr) (*Client, error) {
	var found *Client
	var refused error
	for _, p := range pairs {
		c := cs.Client(p.clientID)
		ok, err := cs.matches(ctx, c, p.secret, from)
		if err != nil {
			return nil, err
		}
		reason := c.refuses(p, ok)
		switch {
		case reason == "" && found == nil:
			found = c
		case refused == nil:
			refused = fmt.Errorf("%w: %s: %s", ErrInvalidClient, ShowID(p.clientID), reason)
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, refused
}

// ShowID returns for the log what somebody has sent as a client_id. Some send the
// secret in its place.
func ShowID(clientID string) string {
	if secret, err := Secret.Parse(clientID); err == nil {
		return secret.String()
	}
	return fmt.Sprintf("%.64q", clientID)
}

// refuses returns why a pair does not authenticate c, or nothing; matches says
// that it has the right secret. c may be nil.
func (c *Client) refuses(p pair, matches bool) (reason string) {
	switch {
	case c == nil:
		return "no such client"
	case !c.Enabled:
		return "the client is disabled"
	case c.AuthMethod == PrivateKeyJWT:
		return "the client authenticates by " + PrivateKeyJWT
	case c.Type == Public && p.secret != "":
		return "a public client has no secret"
	case c.Type == Public:
		return ""
	case p.secret == "":
		return "no secret"
	case len(c.secrets) == 0:
		return "the client has no secret that is good"
	case !matches:
		return "wrong secret"
	}
	return ""
}
