package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	keysFresh   = 10 * time.Minute // how long keys are not asked for again
	keysStale   = time.Hour        // how long they are used while nobody answers
	keysRetried = 30 * time.Second // between two attempts
)

// remoteKeys are published by a client at its jwks_uri.
type remoteKeys struct {
	uri   string
	fetch func(ctx context.Context, uri string) ([]byte, error)

	last atomic.Pointer[keySet] // nil: they were never there

	fetching chan struct{} // who has a place in it fetches
	tried    time.Time     // belongs to who fetches
}

func newRemoteKeys(uri string, fetch func(context.Context, string) ([]byte, error)) *remoteKeys {
	return &remoteKeys{uri: uri, fetch: fetch, fetching: make(chan struct{}, 1)}
}

// keys returns what was published in the last ten minutes; or, while that cannot
// be read, in the last hour.
func (r *remoteKeys) keys(ctx context.Context) (*keySet, error) {
	last := r.last.Load()
	if last != nil && time.Since(last.at) < keysFresh {
		return last, nil
	}
	last, err := r.newest(ctx)
	if err != nil {
		return nil, err
	}
	if last == nil || time.Since(last.at) > keysStale {
		return nil, errors.New("its jwks_uri cannot be read")
	}
	return last, nil
}

// newer returns what is published now, unless somebody has asked a moment ago.
func (r *remoteKeys) newer(ctx context.Context, before *keySet) (*keySet, error) {
	last, err := r.newest(ctx)
	if err != nil || last == before {
		return nil, err
	}
	return last, nil
}

// newest returns the last keys there were, after another attempt to read them,
// if it is time for one; nil: never any. The error is the end of ctx.
func (r *remoteKeys) newest(ctx context.Context) (*keySet, error) {
	select {
	case r.fetching <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-r.fetching }()

	last := r.last.Load()
	if !r.tried.IsZero() && time.Since(r.tried) < keysRetried {
		return last, nil
	}
	r.tried = time.Now()
	// Others wait for the same, and find that it was done just now; whoever hangs
	// up does not end it.
	keys, err := r.read(context.WithoutCancel(ctx))
	if err != nil {
		slog.WarnContext(ctx, "the keys of an OAuth 2.0 client cannot be read", "jwks_uri", r.uri, "err", err)
		return last, nil
	}
	last = &keySet{keys, r.tried}
	r.last.Store(last)
	return last, nil
}

func (r *remoteKeys) read(ctx context.Context) ([]key, error) {
	text, err := r.fetch(ctx, r.uri)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	return parseJWKS(text)
}
