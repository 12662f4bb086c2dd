package token

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNoDomain means a name that none of our domains answers for.
var ErrNoDomain = errors.New("not one of our domains")

// Keys is the signing keys of all domains, as the database has them.
type Keys struct {
	db      *pgxpool.Pool
	open    func(row string, sealed []byte) ([]byte, error)
	every   time.Duration // between reloads that nothing asks for
	current atomic.Pointer[snapshot]
}

// snapshot is what the database had at one time. It is never changed.
type snapshot struct {
	domains map[string]*Domain     // by name
	keys    map[string]*SigningKey // by row, those that cannot sign as well
	sealed  map[string]*SigningKey // by domain, if it has an active key and none opens
}

// OpenKeys loads all keys. open returns what a sealed key is: see internal/seal,
// and Row for what row is. A key that it cannot open is logged and verifies
// only.
func OpenKeys(ctx context.Context, db *pgxpool.Pool, open func(row string, sealed []byte) ([]byte, error)) (*Keys, error) {
	k := &Keys{db: db, open: open, every: time.Minute}
	k.current.Store(&snapshot{})
	if err := k.load(ctx, db); err != nil {
		return nil, err
	}
	return k, nil
}

// Domain returns the domain that answers for a host name (without a port):
// that name itself, or the nearest above it whose key may sign for those
// below; else ErrNoDomain. Case does not matter, nor does a dot at the end.
// Letters beyond ASCII must be in A-labels. It may have no active key.
//
// api.find_parent_domain is the same rule, for programs that hold no keys.
func (k *Keys) Domain(host string) (*Domain, error) {
	name, ok := hostName(host)
	if !ok {
		return nil, ErrNoDomain
	}
	domains := k.current.Load().domains
	if d := domains[name]; d != nil {
		return d, nil
	}
	for _, above, found := strings.Cut(name, "."); found; _, above, found = strings.Cut(above, ".") {
		if d := domains[above]; d != nil && d.subdomains {
			return d, nil
		}
	}
	return nil, ErrNoDomain
}

// Sealed returns an active key of a domain, by its name as in Domain, that
// cannot be opened, if the domain has no other that signs; else nil. The key
// has no Public if that cannot be read either.
func (k *Keys) Sealed(domain string) *SigningKey { return k.current.Load().sealed[domain] }

// Unwilling returns the nearest domain above a host name that has an active
// key, if none may sign for the host; else nil. It is for messages.
func (k *Keys) Unwilling(host string) *Domain {
	name, ok := hostName(host)
	if _, err := k.Domain(host); !ok || err == nil {
		return nil
	}
	now := k.current.Load()
	for _, above, found := strings.Cut(name, "."); found; _, above, found = strings.Cut(above, ".") {
		if d := now.domains[above]; d != nil && (d.Active() != nil || now.sealed[above] != nil) {
			return d
		}
	}
	return nil
}

// hostName returns a host name as the database has domains, and false if it is
// none. Only ASCII letters are folded: to strings.ToLower, the Kelvin sign is a
// k.
func hostName(host string) (name string, ok bool) {
	host = strings.TrimSuffix(host, ".")
	if len(host) > maxHost {
		return "", false
	}
	upper, label := false, 0
	for i := range len(host) {
		label++
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case 'A' <= c && c <= 'Z':
			upper = true
		case c == '.' && label > 1:
			label = 0
		default:
			return "", false
		}
	}
	if upper {
		host = strings.ToLower(host)
	}
	return host, label > 0
}

// maxHost is the length of the longest domain name (RFC 1035 section 2.3.4), as
// text.
const maxHost = 253

// loadTimeout is longer than it takes to read all keys, and shorter than the
// network's own patience with a server that is gone.
const loadTimeout = 10 * time.Second

// querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// load calls api.signing_keys.
func (k *Keys) load(ctx context.Context, db querier) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, _ := db.Query(ctx, // its error comes out of CollectRows
		`select domain, jwt_subdomains, coalesce(kid, '') as kid, coalesce(state, '') as state, public_key, sealed_key,
		        coalesce(created_at, 'epoch') as created_at
		   from api.signing_keys()`)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[keyRow])
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}

	was := k.current.Load()
	is := &snapshot{domains: map[string]*Domain{}, keys: map[string]*SigningKey{}, sealed: map[string]*SigningKey{}}
	for _, row := range found {
		d := is.domains[row.Domain]
		if d == nil {
			d = &Domain{Name: row.Domain, subdomains: row.JWTSubdomains}
			is.domains[row.Domain] = d
		}
		if row.KID == "" {
			continue // the domain has no keys
		}
		name := Row(row.Domain, row.PublicKey)
		key := was.keys[name]
		if !key.stands(row) {
			if key, err = row.key(k.open, name); err != nil {
				slog.ErrorContext(ctx, "signing key is of no use", "domain", row.Domain, "kid", row.KID, "err", err)
			}
		}
		is.keys[name] = key
		d.add(key, row.State)
		if other := is.sealed[row.Domain]; row.State == "active" && key.private == nil && (other == nil || other.Public == nil) {
			is.sealed[row.Domain] = key
		}
	}
	maps.DeleteFunc(is.sealed, func(domain string, _ *SigningKey) bool { return is.domains[domain].Active() != nil })
	k.current.Store(is)
	return nil
}

// keyRow is a key of a domain as api.signing_keys has it, or a domain without
// keys.
type keyRow struct {
	Domain        string
	JWTSubdomains bool
	KID           string // empty: the domain has no keys, and what follows is void
	State         string
	PublicKey     []byte
	SealedKey     []byte
	CreatedAt     time.Time
}

// key returns the key of a row. With an error it is one that cannot sign, and
// if its public half cannot be read either, one that cannot verify.
func (r keyRow) key(open func(row string, sealed []byte) ([]byte, error), name string) (*SigningKey, error) {
	key := &SigningKey{KID: r.KID, domain: r.Domain, createdAt: r.CreatedAt, sealed: r.SealedKey}
	key.certificate = sync.OnceValues(key.makeCertificate)
	pub, err := UnmarshalPublic(r.PublicKey)
	if err != nil {
		return key, err
	}
	if err := check(pub, JWT); err != nil {
		return key, err
	}
	if kid, err := KID(pub); err != nil || kid != r.KID {
		return key, errors.Join(errors.New("its kid is that of another key"), err)
	}
	if key.algorithm, err = AlgorithmOf(pub); err != nil {
		return key, err
	}
	key.Public, key.method = pub, signingMethod(key.algorithm)

	plain, err := open(name, r.SealedKey)
	if err != nil {
		return key, fmt.Errorf("private key: %w; is SECRET_KEY the one that it was sealed with? \"authserver secret check\" tells", err)
	}
	defer clear(plain)
	private, err := UnmarshalPrivate(plain)
	if err != nil {
		return key, err
	}
	if !pub.(interface{ Equal(crypto.PublicKey) bool }).Equal(private.Public()) {
		return key, errors.New("the private key is not that of the public key")
	}
	return key, key.open(private)
}

// stands reports whether a key that was loaded before is still what the
// database has. There is only one private key for a public one, so a key that
// can sign keeps doing so when it is sealed anew, even for a SECRET_KEY that
// this server does not have yet.
func (k *SigningKey) stands(row keyRow) bool {
	return k != nil && k.createdAt.Equal(row.CreatedAt) &&
		(k.private != nil || string(k.sealed) == string(row.SealedKey))
}

// Between attempts to reach the database.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// Run reloads the keys whenever the database says that they have changed, after
// it was away, and every minute, until ctx ends; then it returns nil. While the
// database cannot be reached, the keys stay what they are. Only one Run at a
// time.
func (k *Keys) Run(ctx context.Context) error {
	backoff := minBackoff
	away := false
	for {
		began := time.Now()
		err := k.follow(ctx, func() {
			if away {
				slog.InfoContext(ctx, "the database is back, signing keys are up to date")
			}
			away = false
		})
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		if !away { // once, however long it takes
			slog.WarnContext(ctx, "the database is gone, signing keys stay as they are", "err", err)
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

	// minInterval is the least time between two reloads: every login of the
	// database may notify, and as often as it likes.
	minInterval = 250 * time.Millisecond
)

// follow keeps the keys up to date on a connection of its own, until that ends.
// It calls loaded whenever they are.
func (k *Keys) follow(ctx context.Context, loaded func()) error {
	conn, err := k.connect(ctx)
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
		if err := k.load(ctx, conn); err != nil {
			return err
		}
		loaded()
		next := time.Now().Add(minInterval)
		if err := wait(ctx, conn, k.every); err != nil {
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

// connect returns a connection that listens to changes of domains. It comes out
// of the pool, which knows how to connect, and does not go back.
func (k *Keys) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	pooled, err := k.db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	conn := pooled.Hijack()
	if _, err := conn.Exec(ctx, `listen authserver_domain`); err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("listen: %w", err)
	}
	return conn, nil
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
