package client

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/opaque"
)

// Secret is the kind of those that are generated.
var Secret = opaque.Kind{Prefix: "cs_", Name: "client secret"}

// A secret is what is known of one: either hash.
type secret struct {
	id        int64
	sha256    []byte    // of one that nobody can guess; nil: it has the other
	hash      string    // of an imported one, as the account package verifies it
	expiresAt time.Time // zero: never

	// known is the MAC of the text that was found to have the slow hash, by the
	// key of this process: clients send theirs with every request.
	known      atomic.Pointer[[sha256.Size]byte]
	converting atomic.Bool
}

// same reports whether s and o can be told apart by nothing but what they
// remember.
func (s *secret) same(o *secret) bool {
	return s.id == o.id && bytes.Equal(s.sha256, o.sha256) && s.hash == o.hash && s.expiresAt.Equal(o.expiresAt)
}

// live reports whether the secret is still good at a time.
func (s *secret) live(now time.Time) bool { return s.expiresAt.IsZero() || now.Before(s.expiresAt) }

// nobody has the secrets of clients that have none or do not exist, so that
// being refused does not tell which. No text is known that has the hash.
var nobody = func() *Client {
	sum := make([]byte, sha256.Size)
	rand.Read(sum) // never fails
	return &Client{secrets: []*secret{{sha256: sum}}}
}()

// matches reports whether text, sent by somebody from an address, is a secret of
// c, which may be nil. The error is account.ErrBusy.
func (cs *Clients) matches(ctx context.Context, c *Client, text string, from netip.Addr) (bool, error) {
	if c == nil || len(c.secrets) == 0 {
		c = nobody
	}
	now := time.Now()
	sum := sha256.Sum256([]byte(text))
	found, slow := 0, 0
	for _, s := range c.secrets { // all of them: how long it takes does not tell which it is
		if !s.live(now) {
			continue
		}
		if s.sha256 == nil {
			slow++
			continue
		}
		found |= subtle.ConstantTimeCompare(s.sha256, sum[:])
	}
	if found == 1 || slow == 0 || text == "" {
		return found == 1, nil
	}

	for _, s := range c.secrets {
		if s.live(now) && s.sha256 == nil && cs.remembers(s, text) {
			cs.convert(ctx, c, s, text)
			return true, nil
		}
	}
	return cs.matchesSlow(ctx, c, text, from)
}

// hashWait is the longest that somebody waits for the hashes of others.
const hashWait = 5 * time.Second

// matchesSlow computes the slow hashes of c. Whoever guesses waits for the guesses
// before from the same network, and not the client itself, which is elsewhere.
func (cs *Clients) matchesSlow(ctx context.Context, c *Client, text string, from netip.Addr) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	leave, err := cs.lines.Enter(ctx, from)
	if err != nil {
		return false, err
	}
	defer leave()
	select {
	case cs.places <- struct{}{}:
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", account.ErrBusy, context.Cause(ctx))
	}
	defer func() { <-cs.places }()

	for _, s := range c.secrets {
		if s.sha256 != nil || !s.live(time.Now()) {
			continue
		}
		ok := cs.remembers(s, text) // somebody else has computed it meanwhile
		if !ok {
			var err error
			ok, _, err = account.Verify(ctx, s.hash, text, account.Standard)
			if err != nil { // what cannot be verified is in no snapshot
				return false, fmt.Errorf("secret of %q: %w", c.ClientID, err)
			}
		}
		if ok {
			mac := cs.mac(text)
			s.known.Store(&mac)
			cs.convert(ctx, c, s, text)
			return true, nil
		}
	}
	return false, nil
}

// remembers reports whether text was found to have the slow hash.
func (cs *Clients) remembers(s *secret, text string) bool {
	known := s.known.Load()
	if known == nil {
		return false
	}
	mac := cs.mac(text)
	return hmac.Equal(known[:], mac[:])
}

// mac names a text that may be a secret, without telling it.
func (cs *Clients) mac(text string) (mac [sha256.Size]byte) {
	h := hmac.New(sha256.New, cs.macKey[:])
	h.Write([]byte(text))
	h.Sum(mac[:0])
	return mac
}

// convert replaces the slow hash of a text that nobody can guess. No request
// waits for it; what fails is tried again with the next.
func (cs *Clients) convert(ctx context.Context, c *Client, s *secret, text string) {
	if !LooksGenerated(text) || !s.converting.CompareAndSwap(false, true) {
		return
	}
	sum := sha256.Sum256([]byte(text))
	ctx = context.WithoutCancel(ctx)
	cs.working.Go(func() {
		if err := rehashSecret(ctx, cs.db, s, sum); err != nil {
			slog.ErrorContext(ctx, "rehash of a client secret", "client_id", c.ClientID, "err", err)
			s.converting.Store(false)
		}
	})
}

const (
	minGenerated = 32 // characters: 128 bits in hexadecimal
	minDistinct  = 8  // of them: what a program has drawn has no fewer
)

// LooksGenerated reports whether a program has made up the secret, so that a
// fast hash is enough for it.
func LooksGenerated(text string) bool {
	if len(text) < minGenerated {
		return false
	}
	var seen [2]uint64
	for i := range len(text) {
		c := text[i]
		if !isUnreserved(c) {
			return false
		}
		seen[c/64] |= 1 << (c % 64)
	}
	return bits.OnesCount64(seen[0])+bits.OnesCount64(seen[1]) >= minDistinct
}
