package pg

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A Querier is a connection, a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Followed is what a program keeps in memory of the database. All fields are
// required.
type Followed struct {
	What     string        // a plural, for the log: "signing keys"
	Channels []string      // of NOTIFY, on which changes are told
	Every    time.Duration // between loads that nothing asks for

	// Load reads it anew, as a whole. Its context ends after LoadTimeout.
	Load func(ctx context.Context, db Querier) error
}

// LoadTimeout is longer than it takes to read what a program keeps in memory,
// and shorter than the network's own patience with a server that is gone.
const LoadTimeout = 10 * time.Second

// Between attempts to reach the database.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// Follow calls f.Load at once, whenever the database says that something has
// changed, after it was away, and every f.Every, until ctx ends; then it
// returns nil. While the database cannot be reached, or Load fails, what was
// loaded stays, and the log says so once.
func Follow(ctx context.Context, db *pgxpool.Pool, f Followed) error {
	backoff := minBackoff
	away := false
	for {
		err := f.follow(ctx, db, func() {
			backoff = minBackoff
			if away {
				slog.InfoContext(ctx, "the database is back, "+f.What+" are up to date")
			}
			away = false
		})
		if ctx.Err() != nil {
			return nil
		}
		if !away { // once, however long it takes
			slog.WarnContext(ctx, "the database is gone, "+f.What+" stay as they are", "err", err)
		}
		away = true
		// Servers that have lost the same database do not come back at once.
		pause := backoff/2 + rand.N(backoff/2)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

const (
	// coalesce is how long a change waits for others to be loaded with it.
	coalesce = 20 * time.Millisecond

	// minInterval is the least time between two loads: every login of the
	// database may notify, and as often as it likes.
	minInterval = 250 * time.Millisecond
)

// follow loads on a connection of its own, until that ends. It calls loaded
// after each time.
func (f *Followed) follow(ctx context.Context, db *pgxpool.Pool, loaded func()) error {
	conn, err := f.listen(ctx, db)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(ctx) // nothing is lost with it
	}()
	for {
		// Whatever is committed after this is notified, or loaded.
		if err := f.load(ctx, conn); err != nil {
			return err
		}
		loaded()
		next := time.Now().Add(minInterval)
		if err := wait(ctx, conn, f.Every); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, max(coalesce, time.Until(next)))
		for err = nil; err == nil; {
			_, err = conn.WaitForNotification(soon)
		}
		cancel()
		if soon.Err() == nil {
			return fmt.Errorf("notifications: %w", err)
		}
	}
}

// listen returns a connection that hears of changes. It comes out of the pool,
// which knows how to connect, and does not go back.
func (f *Followed) listen(ctx context.Context, db *pgxpool.Pool) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, LoadTimeout)
	defer cancel()
	pooled, err := db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	conn := pooled.Hijack()
	for _, channel := range f.Channels {
		if _, err := conn.Exec(ctx, `listen `+pgx.Identifier{channel}.Sanitize()); err != nil {
			conn.Close(ctx)
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	return conn, nil
}

func (f *Followed) load(ctx context.Context, db Querier) error {
	ctx, cancel := context.WithTimeout(ctx, LoadTimeout)
	defer cancel()
	return f.Load(ctx, db)
}

// wait returns nil after a notification, or after a time without one.
func wait(ctx context.Context, conn *pgx.Conn, most time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if _, err := conn.WaitForNotification(bounded); err != nil && bounded.Err() == nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return ctx.Err()
}
