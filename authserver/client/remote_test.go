package client

import (
	"context"
	"crypto"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// publisher stands for what is at a jwks_uri.
type publisher struct {
	text  atomic.Pointer[[]byte] // nil: it is down
	asked atomic.Int64
	takes time.Duration
}

func (p *publisher) publish(text []byte) { p.text.Store(&text) }

func (p *publisher) fetch(ctx context.Context, _ string) ([]byte, error) {
	p.asked.Add(1)
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if text := p.text.Load(); text != nil {
		return *text, nil
	}
	return nil, errors.New("it is down")
}

func TestRemoteKeys(t *testing.T) {
	t.Parallel()
	s := signers()
	old, both, replaced := jwks(t, map[string]crypto.Signer{"r": s.rsa}), jwks(t, map[string]crypto.Signer{"r": s.rsa, "d": s.ed}), jwks(t, map[string]crypto.Signer{"d": s.ed})

	synctest.Test(t, func(t *testing.T) {
		var p publisher
		ctx, logged := recorded(t.Context())
		keys := newRemoteKeys("https://app.example.com/jwks", p.fetch)
		verify := func(kid string) error {
			method, key := jwt.SigningMethod(jwt.SigningMethodRS256), any(s.rsa)
			if kid == "d" {
				method, key = jwt.SigningMethodEdDSA, s.ed
			}
			a, err := parseAssertion(sign(t, method, key, map[string]any{"kid": kid}, claimsOf("signs", nil)))
			if err != nil {
				t.Fatal(err)
			}
			return a.verify(ctx, keys)
		}
		step := func(what, kid string, want bool, asked int64) {
			t.Helper()
			if err := verify(kid); (err == nil) != want {
				t.Errorf("%s: %v", what, err)
			}
			if got := p.asked.Load(); got != asked {
				t.Errorf("%s: asked %d times, want %d", what, got, asked)
			}
		}

		step("down from the start", "r", false, 1)
		step("still down", "r", false, 1)
		if lines := logged.take(); !strings.Contains(lines, "it is down") || strings.Contains(lines, "\n") {
			t.Errorf("the log says %q", lines)
		}
		p.publish(old)
		step("up, but just asked", "r", false, 1)
		<-time.After(keysRetried)
		step("asked again", "r", true, 2)
		step("remembered", "r", true, 2)
		<-time.After(keysFresh - time.Second)
		step("remembered for minutes", "r", true, 2)
		<-time.After(2 * time.Second)
		step("asked after that", "r", true, 3)

		step("an unknown key, just asked", "d", false, 3)
		p.publish(both)
		<-time.After(keysRetried)
		step("an unknown key", "d", true, 4)
		step("the old key", "r", true, 4)
		p.publish(replaced)
		for range 100 {
			step("what nobody has", "x", false, 4)
		}
		<-time.After(keysRetried)
		step("what nobody has, later", "x", false, 5)
		step("replaced", "r", false, 5)
		step("by this", "d", true, 5)

		p.text.Store(nil)
		<-time.After(keysFresh)
		step("down, still remembered", "d", true, 6)
		step("down, not asked each time", "d", true, 6)
		<-time.After(keysStale - keysFresh - time.Second)
		step("down, remembered for an hour", "d", true, 7)
		<-time.After(2 * time.Second)
		step("down, not for longer", "d", false, 7)
		p.publish([]byte(`{"keys":[]}`))
		<-time.After(keysRetried)
		step("nothing of use", "d", false, 8)
		p.publish(replaced)
		<-time.After(keysRetried)
		step("back", "d", true, 9)
	})
}

// Nobody with a good key waits for the publisher because somebody else sends an
// unknown one; whoever waits is one question; and whoever hangs up does not end it.
func TestRemoteKeysSlow(t *testing.T) {
	t.Parallel()
	s := signers()
	synctest.Test(t, func(t *testing.T) {
		p := publisher{}
		p.publish(jwks(t, map[string]crypto.Signer{"r": s.rsa}))
		keys := newRemoteKeys("https://app.example.com/jwks", p.fetch)
		first, err := keys.keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(keysRetried)
		p.takes = 4 * time.Second
		p.publish(jwks(t, map[string]crypto.Signer{"d": s.ed}))

		hangsUp, hangUp := context.WithCancel(t.Context())
		began := time.Now()
		type answer struct {
			set  *keySet
			err  error
			took time.Duration
		}
		answers := make(chan answer, 10)
		for i := range cap(answers) {
			ctx := t.Context()
			if i == 0 {
				ctx = hangsUp
			}
			go func() {
				set, err := keys.newer(ctx, first)
				answers <- answer{set, err, time.Since(began)}
			}()
			synctest.Wait() // the first of them is the first
		}
		if set, err := keys.keys(t.Context()); set != first || err != nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v, %v", time.Since(began), set, err)
		}
		hangUp()
		for range cap(answers) {
			a := <-answers
			if a.set == nil || a.set == first || a.err != nil || a.set.keys[0].kid != "d" || a.took != p.takes {
				t.Errorf("after %v: %v, %v", a.took, a.set, a.err)
			}
		}
		if p.asked.Load() != 2 {
			t.Errorf("asked %d times", p.asked.Load())
		}

		// Who waits for another's question may hang up.
		<-time.After(keysRetried)
		second := keys.last.Load()
		done := make(chan struct{})
		go func() {
			defer close(done)
			keys.newer(t.Context(), second)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if set, err := keys.newer(ctx, second); set != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hung up: %v, %v", set, err)
		}
		<-done
	})
}
