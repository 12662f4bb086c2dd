package token

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNoDomain means a name that none of our domains answers for.
var ErrNoDomain = errors.New("not one of our domains")

// Keys is the signing keys of all domains and Docker registries, as the database
// has them.
type Keys struct {
	db      *pgxpool.Pool
	open    func(row string, sealed []byte) ([]byte, error)
	current atomic.Pointer[snapshot]
}

// snapshot is what the database had at one time. It is never changed.
type snapshot struct {
	domains    map[string]*Domain     // by name
	sorted     []*Domain              // by name
	registries map[string]*Registry   // by client id
	of         map[string][]*Registry // by the name of their domain, each list by client id
	keys       map[string]*SigningKey // by row, those that cannot sign as well
	public     map[string]*SigningKey // of domains, by kid: those that verify
}

// OpenKeys loads all keys. open returns what a sealed key is: see internal/seal,
// and Row for what row is. A key that it cannot open is logged and verifies
// only.
func OpenKeys(ctx context.Context, db *pgxpool.Pool, open func(row string, sealed []byte) ([]byte, error)) (*Keys, error) {
	k := &Keys{db: db, open: open}
	k.current.Store(&snapshot{})
	ctx, cancel := context.WithTimeout(ctx, pg.LoadTimeout)
	defer cancel()
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

// Registry returns the Docker registry with a client id, which is compared byte
// by byte; nil if there is none.
func (k *Keys) Registry(clientID string) *Registry { return k.current.Load().registries[clientID] }

// RegistriesOf returns the registries that belong to the domain of a name, by
// client id. It is not for those above or below it. The list is the caller's
// own.
func (k *Keys) RegistriesOf(domain string) []*Registry {
	return slices.Clone(k.current.Load().of[domain])
}

// Sealed returns what KeySet.Sealed does, of a domain by its name as in Domain.
func (k *Keys) Sealed(domain string) *SigningKey {
	d := k.current.Load().domains[domain]
	if d == nil {
		return nil
	}
	return d.Sealed()
}

// Unwilling returns the nearest domain above a host name that has an active
// key, if none may sign for the host; else nil. It is for messages.
func (k *Keys) Unwilling(host string) *Domain {
	name, ok := hostName(host)
	if _, err := k.Domain(host); !ok || err == nil {
		return nil
	}
	now := k.current.Load()
	for _, above, found := strings.Cut(name, "."); found; _, above, found = strings.Cut(above, ".") {
		if d := now.domains[above]; d != nil && (d.Active() != nil || d.Sealed() != nil) {
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

// load calls api.signing_keys.
func (k *Keys) load(ctx context.Context, db pg.Querier) error {
	rows, _ := db.Query(ctx, // its error comes out of CollectRows
		`select domain, jwt_subdomains, coalesce(registry, '') as registry, coalesce(signing_key, '') as signing_key,
		        coalesce(key_hint, '') as key_hint, coalesce(kid, '') as kid, coalesce(state, '') as state, public_key, sealed_key,
		        coalesce(created_at, 'epoch') as created_at
		   from api.signing_keys()`)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[keyRow])
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}

	was := k.current.Load()
	is := &snapshot{
		domains: map[string]*Domain{}, registries: map[string]*Registry{}, of: map[string][]*Registry{},
		keys: map[string]*SigningKey{},
	}
	for _, row := range found {
		set := is.keySet(row)
		if row.KID == "" {
			continue // it has no keys
		}
		name := Row(row.owner(), row.PublicKey)
		key := was.keys[name]
		if !key.stands(row) {
			if key, err = row.key(k.open, name); err != nil {
				slog.ErrorContext(ctx, "signing key is of no use", "owner", row.owner(), "kid", row.KID, "err", err)
			}
		}
		is.keys[name] = key
		// A registry's own keys only verify while its domain's sign.
		set.add(key, row.State == "active" && row.SigningKey != "domain")
	}
	is.sort()
	k.current.Store(is)
	return nil
}

// sort fills in what follows from the domains.
func (s *snapshot) sort() {
	s.sorted = slices.SortedFunc(maps.Values(s.domains), func(a, b *Domain) int { return strings.Compare(a.Name, b.Name) })
	s.public = map[string]*SigningKey{}
	for _, d := range s.sorted {
		for _, key := range d.public {
			if s.public[key.KID] == nil {
				s.public[key.KID] = key
			}
		}
	}
}

// keySet returns the keys that those of a row are added to. Domains come before
// registries.
func (s *snapshot) keySet(row keyRow) *KeySet {
	if row.Registry == "" {
		d := s.domains[row.Domain]
		if d == nil {
			d = &Domain{Name: row.Domain, subdomains: row.JWTSubdomains}
			s.domains[row.Domain] = d
		}
		return &d.KeySet
	}
	r := s.registries[row.Registry]
	if r == nil {
		r = &Registry{ClientID: row.Registry, Domain: row.Domain, Hint: row.KeyHint}
		if row.SigningKey == "domain" {
			r.KeySet = s.domains[row.Domain].share()
		}
		s.registries[row.Registry] = r
		s.of[row.Domain] = append(s.of[row.Domain], r)
	}
	return &r.KeySet
}

// keyRow is a key as api.signing_keys has it, or a domain or a registry without
// keys.
type keyRow struct {
	Domain        string
	JWTSubdomains bool
	Registry      string // client id; empty: the key is the domain's
	SigningKey    string // whose keys sign for the registry: registry, domain
	KeyHint       Hint   // how the registry's tokens say which key it was
	KID           string // empty: there is no key, and what follows is void
	State         string
	PublicKey     []byte
	SealedKey     []byte
	CreatedAt     time.Time
}

// owner returns whose key it is, as Row has it.
func (r keyRow) owner() string {
	if r.Registry != "" {
		return RegistryOwner(r.Registry)
	}
	return r.Domain
}

// key returns the key of a row. With an error it is one that cannot sign, and
// if its public half cannot be read either, one that cannot verify.
func (r keyRow) key(open func(row string, sealed []byte) ([]byte, error), name string) (*SigningKey, error) {
	key := &SigningKey{KID: r.KID, holder: cmp.Or(r.Registry, r.Domain), createdAt: r.CreatedAt, sealed: r.SealedKey}
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
	key.open(private)
	return key, nil
}

// stands reports whether a key that was loaded before is still what the
// database has. There is only one private key for a public one, so a key that
// can sign keeps doing so when it is sealed anew, even for a SECRET_KEY that
// this server does not have yet.
func (k *SigningKey) stands(row keyRow) bool {
	return k != nil && k.createdAt.Equal(row.CreatedAt) &&
		(k.private != nil || string(k.sealed) == string(row.SealedKey))
}

// Run reloads the keys whenever the database says that they have changed, after
// it was away, and every minute, until ctx ends; then it returns nil. While the
// database cannot be reached, the keys stay what they are. Only one Run at a
// time.
func (k *Keys) Run(ctx context.Context) error {
	return pg.Follow(ctx, k.db, pg.Followed{
		What:     "signing keys",
		Channels: []string{"authserver_domain", "authserver_docker_registry"},
		Every:    time.Minute,
		Load:     k.load,
	})
}
