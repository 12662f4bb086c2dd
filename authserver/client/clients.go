package client

import (
	"context"
	"crypto/rand"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Clients is all clients and custom claims, as the database has them. It is
// made by Open, and used by pointer; Wait is called when nobody authenticates
// any more.
type Clients struct {
	// Fetch is how keys are read that clients publish. It may be changed before
	// the first use.
	Fetch Fetcher

	db      *pgxpool.Pool
	current atomic.Pointer[snapshot]

	loading sync.Mutex
	remote  map[string]*remoteKeys // by jwks_uri

	macKey  [32]byte // of this process: see secret.known
	lines   account.Queues
	places  chan struct{} // for who computes a slow hash, and is the first of its line
	working sync.WaitGroup
}

// snapshot is never changed, but for what secrets remember.
type snapshot struct {
	clients map[string]*Client
	all     []*Client
	claims  []Claim
	origins map[string]bool
	secrets map[int64]*secret
}

// Open loads all clients and claims.
func Open(ctx context.Context, db *pgxpool.Pool) (*Clients, error) {
	ctx, cancel := context.WithTimeout(ctx, pg.LoadTimeout)
	defer cancel()
	cs := newClients(db)
	if err := cs.load(ctx, db); err != nil {
		return nil, err
	}
	return cs, nil
}

func newClients(db *pgxpool.Pool) *Clients {
	cs := &Clients{
		db:     db,
		remote: map[string]*remoteKeys{},
		// Whoever guesses here leaves cores to those who log in.
		places: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	rand.Read(cs.macKey[:]) // never fails
	cs.current.Store(&snapshot{})
	return cs
}

// Run reloads clients and claims whenever the database says that something of
// them has changed, and every minute, until ctx ends; then it returns nil.
// While the database cannot be reached, they stay what they are.
func (cs *Clients) Run(ctx context.Context) error {
	return pg.Follow(ctx, cs.db, pg.Followed{
		What: "OAuth 2.0 clients",
		// A client has the name of its domain.
		Channels: []string{"authserver_oauth2_client", "authserver_oauth2_claim", "authserver_domain"},
		Every:    time.Minute,
		Load:     cs.load,
	})
}

// Wait returns when nothing is left to do for clients that were answered.
func (cs *Clients) Wait() { cs.working.Wait() }

// Client returns the client with this client_id, enabled or not; nil if there
// is none.
func (cs *Clients) Client(id string) *Client { return cs.current.Load().clients[id] }

// All returns all clients by client_id. The list is not the caller's to change.
func (cs *Clients) All() []*Client { return cs.current.Load().all }

// Claims returns all custom claims by name. The list is not the caller's to
// change.
func (cs *Clients) Claims() []Claim { return cs.current.Load().claims }

// AnyOrigin reports whether scripts from an origin, as browsers write it, may
// ask for some enabled client.
func (cs *Clients) AnyOrigin(origin string) bool { return cs.current.Load().origins[origin] }

// load reads everything anew. Between its two questions something may change;
// then it is called again.
func (cs *Clients) load(ctx context.Context, db pg.Querier) error {
	rows, err := findClients(ctx, db)
	if err != nil {
		return err
	}
	claims, err := findClaims(ctx, db)
	if err != nil {
		return err
	}
	cs.replace(ctx, rows, claims)
	return nil
}

// replace makes these all clients and claims that there are. What is known of
// secrets and keys that are still there stays known.
func (cs *Clients) replace(ctx context.Context, rows []clientRow, claims []Claim) {
	cs.loading.Lock()
	defer cs.loading.Unlock()
	before := cs.current.Load()
	now := &snapshot{
		clients: make(map[string]*Client, len(rows)),
		all:     make([]*Client, 0, len(rows)),
		claims:  claims,
		origins: map[string]bool{},
		secrets: map[int64]*secret{},
	}
	var custom []string
	for _, claim := range claims {
		if !slices.Contains(StandardScopes, claim.Scope) {
			custom = append(custom, claim.Scope)
		}
	}
	slices.Sort(custom)
	custom = slices.Compact(custom)

	remote := map[string]*remoteKeys{}
	for _, row := range rows {
		c := row.client()
		c.custom = custom
		redirectURI := func(s string) error { _, err := CheckRedirectURI(s, c.Type); return err }
		origin := func(s string) error { _, err := ParseOrigin(s); return err }
		c.RedirectURIs = c.usable(ctx, "redirect URI", c.RedirectURIs, redirectURI)
		c.PostLogoutRedirectURIs = c.usable(ctx, "post-logout redirect URI", c.PostLogoutRedirectURIs, redirectURI)
		c.AllowedOrigins = c.usable(ctx, "allowed origin", c.AllowedOrigins, origin)
		for _, s := range row.secrets() {
			if known := before.secrets[s.id]; known != nil && known.same(s) {
				s = known
			}
			if s.hash != "" {
				if read, err := account.ImportHash(s.hash); err != nil || read != s.hash {
					slog.ErrorContext(ctx, "a secret of an OAuth 2.0 client cannot be verified; rotate it", "client_id", c.ClientID, "err", err)
					continue
				}
			}
			now.secrets[s.id] = s
			c.secrets = append(c.secrets, s)
		}
		c.keys = cs.keysOf(ctx, row, remote)
		if c.Enabled {
			for _, origin := range c.AllowedOrigins {
				now.origins[origin] = true
			}
		}
		now.clients[c.ClientID] = c
		now.all = append(now.all, c)
	}
	slices.SortFunc(now.all, func(a, b *Client) int { return strings.Compare(a.ClientID, b.ClientID) })
	cs.remote = remote
	cs.current.Store(now)
}

// keysOf returns the keys of a client; nil if there are none. remote has those
// that clients publish, which are shared by address and outlive a load.
func (cs *Clients) keysOf(ctx context.Context, row clientRow, remote map[string]*remoteKeys) keySource {
	switch {
	case row.JWKS != nil:
		keys, err := parseJWKS(row.JWKS)
		if err != nil {
			slog.ErrorContext(ctx, "the keys of an OAuth 2.0 client are of no use", "client_id", row.ClientID, "err", err)
			return nil
		}
		return fixedKeys{&keySet{keys: keys}}
	case row.JWKSURI != "":
		known := remote[row.JWKSURI]
		if known == nil {
			known = cs.remote[row.JWKSURI]
		}
		if known == nil {
			known = newRemoteKeys(row.JWKSURI, cs.Fetch.get)
		}
		remote[row.JWKSURI] = known
		return known
	}
	return nil
}

// usable returns what may be registered. The command line takes nothing else,
// but it is not alone with the database.
func (c *Client) usable(ctx context.Context, what string, texts []string, check func(string) error) []string {
	return slices.DeleteFunc(texts, func(text string) bool {
		err := check(text)
		if err != nil {
			slog.ErrorContext(ctx, "a setting of an OAuth 2.0 client is of no use", "client_id", c.ClientID, "setting", what, "value", text, "err", err)
		}
		return err != nil
	})
}
