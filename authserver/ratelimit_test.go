package authserver

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestLimiterFillsAgain(t *testing.T) {
	l := newLimiter(2, 4, 100)
	client := netip.MustParseAddr("192.0.2.1")
	now := time.Now()
	for i := range 4 {
		if ok, _ := l.allow(client, now); !ok {
			t.Fatalf("request %d of a burst of 4 is refused", i)
		}
	}
	if ok, wait := l.allow(client, now); ok || wait != time.Second {
		t.Errorf("after the burst: %v, come back in %v; want false, 1s", ok, wait)
	}
	now = now.Add(500 * time.Millisecond)
	if ok, _ := l.allow(client, now); !ok {
		t.Error("half a second later, at two per second, the next one is refused")
	}
	if ok, _ := l.allow(client, now); ok {
		t.Error("and the one after it is not")
	}
	if ok, _ := l.allow(netip.Addr{}, now); !ok {
		t.Error("an unknown client counts as this one")
	}
}

// Memory is bounded, and whoever keeps asking is not forgotten by it.
func TestLimiterForgets(t *testing.T) {
	const most = 1000
	l := newLimiter(.0001, 2, most)
	attacker := netip.MustParseAddr("203.0.113.1")
	now := time.Now()
	l.allow(attacker, now)
	l.allow(attacker, now)
	other := netip.MustParseAddr("10.0.0.0")
	for i := range 10 * most {
		other = other.Next()
		l.allow(other, now)
		if i%(most/2) == 0 {
			if ok, _ := l.allow(attacker, now); ok {
				t.Fatalf("after %d others the attacker is forgotten", i)
			}
		}
		if len(l.recent) > most || len(l.old) > most {
			t.Fatalf("%d and %d buckets", len(l.recent), len(l.old))
		}
	}
}

// Of many requests at once, no more than the burst pass.
func TestLimiterRace(t *testing.T) {
	l := newLimiter(.0001, 50, 10)
	now := time.Now()
	var wg sync.WaitGroup
	passed := make(chan struct{}, 1000)
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if ok, _ := l.allow(netip.MustParseAddr("192.0.2.1"), now); ok {
					passed <- struct{}{}
				}
			}
		})
	}
	wg.Wait()
	if len(passed) != 50 {
		t.Errorf("%d passed, want 50", len(passed))
	}
}
