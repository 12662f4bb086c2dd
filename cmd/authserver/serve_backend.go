package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/clientapi"
	"authbridge/authserver/token"
	"authbridge/internal/daemon"
	"authbridge/internal/pg"
	"authbridge/internal/seal"
	"authbridge/sql"

	"github.com/jackc/pgx/v5/pgxpool"
)

// backEnd is what the web server asks: the database, and the keys in it. It
// comes when the database does.
type backEnd struct {
	cfg  serveConfig
	api  atomic.Pointer[clientapi.API]
	pool atomic.Pointer[pgxpool.Pool]
	work sync.WaitGroup
}

// Between attempts to reach the database.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// run brings up everything, as soon as the database allows, and keeps it up
// until ctx ends. It returns an error if waiting is of no use.
func (b *backEnd) run(ctx context.Context) error {
	tried := false
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		api, err := b.open(ctx)
		var final *finalError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &final):
			return err
		}
		if !tried {
			daemon.Ready() // for connections; /readyz says for what
			tried = true
		}
		if err == nil {
			b.api.Store(api)
			slog.InfoContext(ctx, "the database is there")
			if b.cfg.ready != nil {
				b.cfg.ready()
			}
			break
		}
		pause := backoff/2 + rand.N(backoff/2) // servers that have lost the same database do not come back at once
		slog.ErrorContext(ctx, "waiting for the database", "err", b.cfg.database.Explain(err), "retry_in", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	b.work.Go(func() { b.purge(ctx) })
	return b.api.Load().Keys.Run(ctx)
}

// finalError is one that does not go away by itself.
type finalError struct{ error }

// open returns the whole API, or what stands against it.
func (b *backEnd) open(ctx context.Context) (api *clientapi.API, err error) {
	pool, err := b.cfg.database.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if err := pg.CheckVersion(ctx, pool, sql.Version); err != nil {
		if errors.Unwrap(err) == nil { // it is the version, and not the way there
			return nil, &finalError{err}
		}
		return nil, err
	}
	if err := pg.WarnIfOtherFunctions(ctx, pool, sql.FunctionDigest); err != nil {
		return nil, err
	}
	if err := pg.WarnIfOwner(ctx, pool); err != nil {
		return nil, err
	}
	if err := pg.WarnIfOperator(ctx, pool, "authserver_web"); err != nil {
		return nil, err
	}
	sealing := b.cfg.master.Derive(seal.JWT)
	keys, err := token.OpenKeys(ctx, pool, func(row string, sealed []byte) ([]byte, error) { return sealing.Open(sealed, row) })
	if err != nil {
		return nil, err
	}
	b.pool.Store(pool)
	return &clientapi.API{
		DB:   pool,
		Keys: keys,
		Verifier: &account.Verifier{
			DB: pool, Profile: b.cfg.profile, MACKey: b.cfg.master.DeriveMAC("login"), Observe: b.cfg.site.Metrics.Login,
		},
		Issuer:          b.cfg.issuer,
		AnonymousLookup: b.cfg.anonymousLookup,
	}, nil
}

// purgeInterval is how often throttles that hold nobody back any more are
// removed.
const purgeInterval = time.Hour

// purge calls api.purge_login_throttles until ctx ends.
func (b *backEnd) purge(ctx context.Context) {
	tick := time.NewTicker(purgeInterval)
	defer tick.Stop()
	for {
		if _, err := b.pool.Load().Exec(ctx, `select api.purge_login_throttles()`); err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "old login throttles stay", "err", b.cfg.database.Explain(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// close ends the connections to the database when nothing uses them.
func (b *backEnd) close() {
	b.work.Wait()
	if api := b.api.Load(); api != nil {
		api.Verifier.Wait()
	}
	if pool := b.pool.Load(); pool != nil {
		pool.Close()
	}
}

func (b *backEnd) poolStat() *pgxpool.Stat {
	if pool := b.pool.Load(); pool != nil {
		return pool.Stat()
	}
	return nil
}
