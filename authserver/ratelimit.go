package authserver

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds the memory of a limiter: twice as many clients are
// remembered, at about 200 bytes each. Whoever has more addresses than that to
// ask from is not stopped by counting addresses.
const maxBuckets = 1 << 15

// limiter counts the requests of each client.
type limiter struct {
	limit rate.Limit
	burst int
	max   int // of each of the maps

	mu sync.Mutex
	// Clients of late, and those before. Whenever recent is full it becomes
	// old, and what was old is forgotten: whoever keeps asking is kept.
	recent, old map[netip.Prefix]*rate.Limiter
}

func newLimiter(limit rate.Limit, burst, max int) *limiter {
	return &limiter{limit: limit, burst: burst, max: max, recent: map[netip.Prefix]*rate.Limiter{}}
}

// allow counts a request. If it is one too many it returns false, and when to
// come back.
func (l *limiter) allow(client netip.Addr, now time.Time) (ok bool, retryAfter time.Duration) {
	bucket := l.bucket(network(client))
	if bucket.AllowN(now, 1) {
		return true, 0
	}
	wait := (1 - bucket.TokensAt(now)) / float64(l.limit)
	return false, time.Duration(math.Ceil(max(wait, 1))) * time.Second
}

func (l *limiter) bucket(n netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.recent[n]; b != nil {
		return b
	}
	b := l.old[n]
	if b == nil {
		b = rate.NewLimiter(l.limit, l.burst)
	}
	if len(l.recent) >= l.max {
		l.old, l.recent = l.recent, map[netip.Prefix]*rate.Limiter{}
	}
	l.recent[n] = b
	return b
}

// network is what counts as one client: an IPv4 address, or 64 bits of IPv6,
// which every home has. It is invalid, and one client, for an unknown address.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails for the unknown address
	return p
}
