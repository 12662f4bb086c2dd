package account

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Queues keep one network of clients from having all cores compute its hashes:
// whoever guesses passwords of many names waits for the guesses before, and
// others log in meanwhile. The zero value is ready for use.
type Queues struct {
	mu    sync.Mutex
	lines map[netip.Prefix]*line // of networks that somebody waits in
	most  time.Duration          // to wait; 0: maxWait
}

type line struct {
	places chan struct{}
	people int // who wait or have a place
}

// Enter returns when it is the turn of somebody from this client's network, and
// how to leave again; or ErrBusy if that takes too long. Clients that nobody
// knows are one network.
func (q *Queues) Enter(ctx context.Context, client netip.Addr) (leave func(), err error) {
	network := networkOf(client)
	q.mu.Lock()
	l := q.lines[network]
	if l == nil {
		l = &line{places: make(chan struct{}, max(1, cap(cores)/2))}
		if q.lines == nil {
			q.lines = map[netip.Prefix]*line{}
		}
		q.lines[network] = l
	}
	l.people++
	q.mu.Unlock()

	gone := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.people--; l.people == 0 {
			delete(q.lines, network)
		}
	}
	timer := time.NewTimer(cmp.Or(q.most, maxWait))
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places; gone() }, nil
	case <-timer.C:
		err = context.DeadlineExceeded
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	gone()
	return nil, fmt.Errorf("%w: %w", ErrBusy, err)
}

// networkOf is that of auth.login_network: an IPv6 host has a /64.
func networkOf(client netip.Addr) netip.Prefix {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
