package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"authbridge/authserver"
	"authbridge/authserver/account"
	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/clientapi"
	"authbridge/authserver/docker"
	"authbridge/authserver/oauth2"
	"authbridge/authserver/oidc"
	"authbridge/authserver/session"
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
	cfg     serveConfig
	rooms   atomic.Pointer[authserver.Rooms]
	pool    atomic.Pointer[pgxpool.Pool]
	clients *client.Clients // set before rooms
	work    sync.WaitGroup
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
		rooms, err := b.open(ctx)
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
			b.rooms.Store(rooms)
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
	rooms := b.rooms.Load()
	b.work.Go(func() { rooms.Docker.Registries.Run(ctx) }) // until ctx ends
	b.work.Go(func() { b.clients.Run(ctx) })
	return rooms.ClientAPI.Keys.Run(ctx)
}

// finalError is one that does not go away by itself.
type finalError struct{ error }

// open returns all rooms, or what stands against it.
func (b *backEnd) open(ctx context.Context) (rooms *authserver.Rooms, err error) {
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
	registries, err := docker.OpenRegistries(ctx, pool)
	if err != nil {
		return nil, err
	}
	clients, err := client.Open(ctx, pool)
	if err != nil {
		return nil, err
	}
	verifier := &account.Verifier{
		DB: pool, Profile: b.cfg.profile, MACKey: b.cfg.master.DeriveMAC("login"), Observe: b.cfg.site.Metrics.Login,
	}
	sessions := &session.Sessions{
		DB: pool, Verifier: verifier, Idle: b.cfg.sessionIdle, Lifetime: b.cfg.sessionLifetime,
		ContinueURL: endpointPath(b.cfg.issuer) + "/continue",
	}
	b.pool.Store(pool)
	b.clients = clients
	rooms = &authserver.Rooms{
		Sessions: sessions,
		ClientAPI: &clientapi.API{
			DB: pool, Keys: keys, Verifier: verifier, Issuer: b.cfg.issuer, AnonymousLookup: b.cfg.anonymousLookup,
		},
		Docker: &docker.API{
			DB: pool, Keys: keys, Verifier: verifier, Registries: registries,
			Issuer: issuerHost(b.cfg.issuer), Observe: b.cfg.site.Metrics.DockerToken,
		},
	}
	if b.cfg.issuer == "" {
		return rooms, nil
	}
	warnIfKeyless(ctx, b.cfg.issuer, keys)
	issuer := &claims.Issuer{URL: b.cfg.issuer, Keys: keys, Clients: clients}
	base := endpointBase(b.cfg.issuer)
	rooms.OAuth2 = &oauth2.Server{
		DB: pool, Clients: clients, Issuer: issuer, Sessions: sessions, Verifier: verifier, Base: base,
		RefreshKey: b.cfg.master.DeriveMAC("refresh"), PasswordGrant: b.cfg.passwordGrant, Observe: b.cfg.site.Metrics.OAuth2,
	}
	rooms.OIDC = &oidc.Server{
		DB: pool, Clients: clients, Issuer: issuer, Sessions: sessions, Base: base, PasswordGrant: b.cfg.passwordGrant,
	}
	return rooms, nil
}

// warnIfKeyless says that there are no keys for tokens of clients without a domain
// of their own. There may be by the time that somebody asks.
func warnIfKeyless(ctx context.Context, issuer string, keys *token.Keys) {
	u, err := url.Parse(issuer)
	if err != nil {
		return // the flag has refused such a text
	}
	domain, err := keys.Domain(u.Hostname())
	switch {
	case err != nil:
		slog.WarnContext(ctx, "no domain answers for the host of the issuer, so clients without a domain of their own get no tokens",
			"host", u.Hostname(), "remedy", "authserver domain create "+u.Hostname()+" --create-key jwt")
	case domain.ActiveAlg(token.RS256) == nil:
		slog.WarnContext(ctx, "the domain of the issuer has no RSA key that signs, so clients of RS256 without a domain of their own get no ID tokens",
			"domain", domain.Name, "remedy", "authserver domain edit "+domain.Name+" --create-key jwt")
	}
}

// issuerHost returns host[:port] of the OpenID Connect issuer, by which tokens
// for registries without an issuer of their own are known.
func issuerHost(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return "" // the flag has refused such a text
	}
	return u.Host
}

// purgeInterval is how often what is of no more use is removed. Nothing depends
// on it: whether something has expired is looked at when it is used.
const purgeInterval = 10 * time.Minute

// purge removes what nobody can use again, until ctx ends. Any number of servers
// may do it at once.
func (b *backEnd) purge(ctx context.Context) {
	tick := time.NewTicker(purgeInterval)
	defer tick.Stop()
	for {
		for _, cleanup := range cleanups {
			if _, err := cleanup.run(ctx, b.pool.Load()); err != nil && ctx.Err() == nil {
				slog.ErrorContext(ctx, "what is of no more use stays", "err", b.cfg.database.Explain(err))
			}
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
	if rooms := b.rooms.Load(); rooms != nil {
		rooms.ClientAPI.Verifier.Wait()
		b.clients.Wait()
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
