package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxAssertion         = 8 << 10          // bytes
	maxJTI               = 255              // bytes
	maxAssertionLifetime = 10 * time.Minute // left, when it comes
	skew                 = 30 * time.Second // of the client's clock
)

// assertionParser refuses encodings of which there is more than one.
var assertionParser = jwt.NewParser(jwt.WithStrictDecoding())

// An assertion is a JWT that a client has sent. What it says is not believed
// before verify.
type assertion struct {
	jwt.RegisteredClaims

	algorithm string // one of algorithms
	kid       string // empty: it names no key
	signed    string
	signature []byte
}

// authenticateAssertion returns the client that has signed text (RFC 7523
// section 3, OpenID Connect Core section 9). clientID is what the request says
// besides; empty: nothing.
func (cs *Clients) authenticateAssertion(ctx context.Context, text, clientID string, audiences []string) (*Client, *Assertion, error) {
	refuse := func(reason error) (*Client, *Assertion, error) {
		return nil, nil, fmt.Errorf("%w: assertion: %w", ErrInvalidClient, reason)
	}
	a, err := parseAssertion(text)
	if err != nil {
		return refuse(err)
	}
	if clientID != "" && clientID != a.Subject {
		return nil, nil, fmt.Errorf("%w: client_id is another one than in client_assertion", ErrInvalidRequest)
	}
	// Keys may have to be fetched, which is not done for what is refused anyway.
	if err := a.check(time.Now(), audiences); err != nil {
		return refuse(err)
	}
	c := cs.Client(a.Subject)
	switch {
	case c == nil:
		return refuse(fmt.Errorf("no client %.64q", a.Subject))
	case !c.Enabled:
		return refuse(fmt.Errorf("client %q is disabled", c.ClientID))
	case c.AuthMethod != PrivateKeyJWT || c.keys == nil:
		return refuse(fmt.Errorf("client %q does not authenticate by %s", c.ClientID, PrivateKeyJWT))
	}
	if err := a.verify(ctx, c.keys); err != nil {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		return refuse(fmt.Errorf("client %q: %w", c.ClientID, err))
	}
	sum := sha256.Sum256([]byte(a.ID))
	return c, &Assertion{JTIHash: sum[:], ExpiresAt: a.ExpiresAt.Add(skew)}, nil
}

// parseAssertion reads a compact JWS (RFC 7515 section 3.1). Of its header only
// alg and kid count: what else points at keys (jwk, jku, x5c, x5u) is up to
// whoever has written it.
func parseAssertion(text string) (*assertion, error) {
	if len(text) > maxAssertion {
		return nil, fmt.Errorf("longer than %d bytes", maxAssertion)
	}
	a := &assertion{}
	token, parts, err := assertionParser.ParseUnverified(text, &a.RegisteredClaims)
	if err != nil {
		return nil, fmt.Errorf("malformed: %w", err)
	}
	a.algorithm = token.Method.Alg()
	if _, ok := algorithms[a.algorithm]; !ok {
		return nil, fmt.Errorf("alg %s is not accepted", a.algorithm)
	}
	if kid, there := token.Header["kid"]; there {
		if a.kid, _ = kid.(string); a.kid == "" {
			return nil, fmt.Errorf("malformed kid")
		}
	}
	// No extension is understood: RFC 7515 section 4.1.11.
	if _, there := token.Header["crit"]; there {
		return nil, fmt.Errorf("crit is not understood")
	}
	if a.signature, err = assertionParser.DecodeSegment(parts[2]); err != nil {
		return nil, fmt.Errorf("malformed signature")
	}
	a.signed = text[:strings.LastIndexByte(text, '.')]
	return a, nil
}

// check checks what the assertion says of itself.
func (a *assertion) check(now time.Time, audiences []string) error {
	switch {
	case a.Subject == "":
		return fmt.Errorf("sub is missing")
	case a.Issuer != a.Subject:
		return fmt.Errorf("iss is not sub")
	case !slices.ContainsFunc(a.Audience, func(to string) bool { return slices.Contains(audiences, to) }):
		return fmt.Errorf("aud is somebody else")
	case a.ExpiresAt == nil:
		return fmt.Errorf("exp is missing")
	case !now.Before(a.ExpiresAt.Add(skew)):
		return fmt.Errorf("expired")
	case a.ExpiresAt.After(now.Add(maxAssertionLifetime + skew)):
		return fmt.Errorf("exp is more than %v ahead", maxAssertionLifetime)
	case a.NotBefore != nil && a.NotBefore.After(now.Add(skew)):
		return fmt.Errorf("nbf is in the future")
	case a.IssuedAt != nil && a.IssuedAt.After(now.Add(skew)):
		return fmt.Errorf("iat is in the future")
	case a.ID == "":
		return fmt.Errorf("jti is missing")
	case len(a.ID) > maxJTI:
		return fmt.Errorf("jti is longer than %d bytes", maxJTI)
	}
	return nil
}

// verify checks the signature. Keys that do not verify it may have been
// replaced.
func (a *assertion) verify(ctx context.Context, source keySource) error {
	set, err := source.keys(ctx)
	if err != nil {
		return err
	}
	refused := a.verifyBy(set.keys)
	if refused == nil {
		return nil
	}
	newer, err := source.newer(ctx, set)
	if err != nil || newer == nil {
		return refused
	}
	return a.verifyBy(newer.keys)
}

func (a *assertion) verifyBy(keys []key) error {
	k, err := selectKey(keys, a.algorithm, a.kid)
	if err != nil {
		return err
	}
	if err := algorithms[a.algorithm].Verify(a.signed, a.signature, k.public); err != nil {
		return fmt.Errorf("the signature is not of its key")
	}
	return nil
}
