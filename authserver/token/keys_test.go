package token

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/internal/pgtest"
	"authbridge/internal/seal"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is a database with a server's keys to it.
type house struct {
	pgtest.DB
	sealing seal.Key
}

func newHouse(t testing.TB) house {
	t.Helper()
	db := pgtest.New(t, "authserver_web")
	return house{db, sealingKey(t, "for these tests only, and long enough")}
}

func sealingKey(t testing.TB, secret string) seal.Key {
	t.Helper()
	master, err := seal.NewMaster(secret)
	if err != nil {
		t.Fatal(err)
	}
	return master.Derive(seal.JWT)
}

// open is what a server gives to OpenKeys.
func (h house) open(row string, sealed []byte) ([]byte, error) { return h.sealing.Open(sealed, row) }

// openKeys loads the keys as a server does.
func (h house) openKeys(t testing.TB) *Keys {
	t.Helper()
	keys, err := OpenKeys(t.Context(), h.Pool, h.open)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// run keeps the keys up to date until the test ends.
func run(t *testing.T, keys *Keys) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- keys.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// sealedKey is a key as auth.insert_keys takes it.
type sealedKey struct {
	Purpose   Purpose   `json:"purpose"`
	Algorithm Algorithm `json:"algorithm"`
	Selector  string    `json:"selector,omitempty"`
	KID       string    `json:"kid,omitempty"`
	PublicKey []byte    `json:"public_key"`
	SealedKey []byte    `json:"sealed_key"`
	SealedBy  string    `json:"sealed_by"`
}

// newKey makes a key for tokens of an owner, as Row has it.
func (h house) newKey(t testing.TB, owner string, a Algorithm) sealedKey {
	t.Helper()
	key, err := Generate(a)
	if err != nil {
		t.Fatal(err)
	}
	der, err := MarshalPublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := MarshalPrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	name, err := KID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return sealedKey{
		Purpose: JWT, Algorithm: a, KID: name, PublicKey: der,
		SealedKey: h.sealing.Seal(plain, Row(owner, der)), SealedBy: h.sealing.ID(),
	}
}

// must calls a stored function whose outcome has to be ok.
func (h house) must(t testing.TB, call string, args ...any) {
	t.Helper()
	var outcome string
	if err := h.Owner.QueryRow(t.Context(), "select outcome from "+call, args...).Scan(&outcome); err != nil || outcome != "ok" {
		t.Fatalf("%s: %s, %v", call, outcome, err)
	}
}

// createDomain makes a domain with keys that sign.
func (h house) createDomain(t testing.TB, name string, subdomains bool, keys ...sealedKey) {
	t.Helper()
	h.must(t, `api.create_domain($1, null, null, $2, false, 'default', '+-', $3)`, name, subdomains, keys)
}

// exec runs a statement as the owner.
func (h house) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := h.Owner.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (k *Keys) mustDomain(t testing.TB, host string) *Domain {
	t.Helper()
	d, err := k.Domain(host)
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	return d
}

// await waits until a condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not after %v", what, time.Since(began))
		}
	}
	t.Logf("%s: after %v", what, time.Since(began))
}

func signsWith(keys *Keys, domain, kid string) bool {
	d, err := keys.Domain(domain)
	return err == nil && d.Active() != nil && d.Active().KID == kid
}

func TestDomain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.createDomain(t, "example.com", true, h.newKey(t, "example.com", P256))
	h.createDomain(t, "closed.example.com", false)
	h.createDomain(t, "closed.test", false, h.newKey(t, "closed.test", P256))
	h.createDomain(t, "keyless.test", true)
	h.createDomain(t, "org", true, h.newKey(t, "org", P256))
	h.createDomain(t, "xn--bcher-kva.example", false)
	h.createDomain(t, "k.test", false)
	keys := h.openKeys(t)

	tests := map[string]struct {
		host string
		want string // empty: none
	}{
		"a domain":                               {"example.com", "example.com"},
		"below it":                               {"a.example.com", "example.com"},
		"far below it":                           {"a.b.c.example.com", "example.com"},
		"as far as a name can be":                {strings.Repeat("a.", 121) + "example.com", "example.com"},
		"a domain without a key, in between":     {"closed.example.com", "closed.example.com"},
		"below that, which signs for itself":     {"a.closed.example.com", "example.com"},
		"a key that does not sign for others":    {"closed.test", "closed.test"},
		"below that":                             {"a.closed.test", ""},
		"a domain without a key that would sign": {"a.keyless.test", "keyless.test"},
		"a top-level domain":                     {"org", "org"},
		"below a top-level domain":               {"a.example.org", "org"},
		"above a domain":                         {"com", ""},
		"a name that ends like a domain":         {"notexample.com", ""},
		"A-labels":                               {"XN--Bcher-kva.example", "xn--bcher-kva.example"},
		"nothing":                                {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// The stored function has the same rule.
			var stored *string
			if err := h.Owner.QueryRow(t.Context(), `select api.find_parent_domain($1, false)`, strings.ToLower(tt.host)).Scan(&stored); err != nil {
				t.Fatal(err)
			}
			if (stored != nil) != (tt.want != "") || stored != nil && *stored != tt.want {
				t.Errorf("api.find_parent_domain(%q) = %v, want %q", tt.host, stored, tt.want)
			}
			for _, host := range []string{tt.host, strings.ToUpper(tt.host), tt.host + "."} {
				d, err := keys.Domain(host)
				if tt.want == "" {
					if !errors.Is(err, ErrNoDomain) {
						t.Errorf("Domain(%q) = %v, %v; want ErrNoDomain", host, d, err)
					}
				} else if err != nil || d.Name != tt.want {
					t.Errorf("Domain(%q) = %v, %v; want %s", host, d, err, tt.want)
				}
			}
		})
	}

	for name, host := range map[string]string{
		"a port":                     "example.com:443",
		"an address":                 "[2001:db8::1]",
		"two dots at the end":        "example.com..",
		"a dot at the beginning":     ".example.com",
		"an empty label":             "a..example.com",
		"a dot alone":                ".",
		"a Kelvin sign":              "\u212a.test",
		"a U-label":                  "bücher.example",
		"a path":                     "a/.example.com",
		"a NUL":                      "a\x00.example.com",
		"longer than a name":         strings.Repeat("a.", 122) + "example.com",
		"longer than a name by far":  strings.Repeat("a.", 1<<20) + "example.com",
		"bytes that are not letters": "\xff.example.com",
	} {
		if d, err := keys.Domain(host); !errors.Is(err, ErrNoDomain) {
			t.Errorf("%s: Domain = %v, %v; want ErrNoDomain", name, d, err)
		}
	}

	if d := keys.mustDomain(t, "closed.example.com"); d.Active() != nil || d.ActiveAlgorithm(P256) != nil || d.JWKS().Keys == nil || len(d.JWKS().Keys) != 0 {
		t.Error("a domain without keys has some")
	}
}

// Whoever answers for a name is that name, or above it and the nearest there.
func FuzzDomain(f *testing.F) {
	keys := &Keys{}
	domains := map[string]*Domain{
		"example.com":       {Name: "example.com", subdomains: true},
		"a.example.com":     {Name: "a.example.com"},
		"b.a.example.com":   {Name: "b.a.example.com", subdomains: true},
		"test":              {Name: "test", subdomains: true},
		"x.closed.test":     {Name: "x.closed.test"},
		"k.example.invalid": {Name: "k.example.invalid"},
	}
	keys.current.Store(&snapshot{domains: domains})
	for name := range domains {
		f.Add(name)
		f.Add("X." + name + ".")
	}
	f.Add("\u212a.example.invalid")
	f.Fuzz(func(t *testing.T, host string) {
		d, err := keys.Domain(host)
		if (d == nil) != errors.Is(err, ErrNoDomain) {
			t.Fatalf("Domain(%q) = %v, %v", host, d, err)
		}
		if d == nil {
			return
		}
		name := strings.TrimSuffix(host, ".")
		if strings.EqualFold(name, d.Name) && len(name) == len(d.Name) {
			return
		}
		if !d.subdomains || len(name) < len(d.Name)+2 || !strings.EqualFold(name[len(name)-len(d.Name)-1:], "."+d.Name) {
			t.Errorf("%s answers for %q", d.Name, host)
		}
		for _, other := range domains {
			if other.subdomains && len(other.Name) > len(d.Name) && strings.HasSuffix(strings.ToLower(name), "."+other.Name) {
				t.Errorf("%s answers for %q, %s is nearer", d.Name, host, other.Name)
			}
		}
	})
}

// What this house signs, another library verifies with nothing but the JWKS.
func TestSign(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all []sealedKey
	for _, a := range []Algorithm{Ed25519, P256, RSA} {
		all = append(all, h.newKey(t, "example.com", a))
	}
	h.createDomain(t, "example.com", false, all...)
	d := h.openKeys(t).mustDomain(t, "example.com")

	published, err := json.Marshal(d.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(published), `"d"`) {
		t.Fatal("the JWKS has private keys")
	}
	var known jose.JSONWebKeySet
	if err := json.Unmarshal(published, &known); err != nil {
		t.Fatal(err)
	}

	type claims struct {
		Subject string `json:"sub"`
		Expires int64  `json:"exp"`
	}
	want := claims{`<"alice"@example.com>`, 1800000000}
	algorithms := map[Algorithm]jose.SignatureAlgorithm{RSA: jose.RS256, P256: jose.ES256, Ed25519: jose.EdDSA}
	for _, made := range all {
		key := d.ActiveAlgorithm(made.Algorithm)
		if key == nil || key.KID != made.KID || key.Algorithm() != made.Algorithm {
			t.Fatalf("ActiveAlgorithm(%s) = %v, want %s", made.Algorithm, key, made.KID)
		}
		text, err := key.Sign(want)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{algorithms[made.Algorithm]})
		if err != nil {
			t.Fatal(err)
		}
		header := jws.Signatures[0].Protected
		if header.KeyID != made.KID || header.ExtraHeaders[jose.HeaderType] != "JWT" || len(header.ExtraHeaders) != 1 {
			t.Errorf("header %+v", header)
		}
		jwk := known.Key(header.KeyID)
		if len(jwk) != 1 || jwk[0].Algorithm != header.Algorithm || jwk[0].Use != "sig" || !jwk[0].IsPublic() {
			t.Fatalf("JWKS has %+v for %s", jwk, header.KeyID)
		}
		payload, err := jws.Verify(jwk[0])
		if err != nil {
			t.Fatalf("%s: %v", made.Algorithm, err)
		}
		var got claims
		if err := json.Unmarshal(payload, &got); err != nil || got != want {
			t.Errorf("claims %s, %v", payload, err)
		}
	}
	if d.Active().KID != all[2].KID {
		t.Errorf("%s signs, want the RSA key", d.Active().Algorithm())
	}
	if _, err := d.Active().Sign(func() {}); err == nil {
		t.Error("a function was signed")
	}
}

// A key is replaced while two servers run: every token that one of them signs
// is verified by what the other publishes, before, meanwhile and after.
func TestRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old, fresh := h.newKey(t, "example.com", P256), h.newKey(t, "example.com", P256)
	h.createDomain(t, "example.com", false, old)
	servers := []*Keys{h.openKeys(t), h.openKeys(t)}
	for _, keys := range servers {
		run(t, keys)
	}

	stop := make(chan struct{})
	var users sync.WaitGroup
	for i, keys := range servers {
		other := servers[1-i]
		users.Go(func() {
			for signed := 0; ; signed++ {
				select {
				case <-stop:
					t.Logf("%d tokens", signed)
					return
				default:
				}
				key := keys.mustActive(t, "example.com")
				if key == nil {
					return
				}
				text, err := key.Sign(map[string]string{"sub": "alice"})
				if err != nil {
					t.Error(err)
					return
				}
				d, err := other.Domain("example.com")
				if err != nil {
					t.Error(err)
					return
				}
				if !verifiedBy(d, text) {
					t.Errorf("the other server does not know %s", key.KID)
					return
				}
			}
		})
	}

	all := func(condition func(keys *Keys) bool) func() bool {
		return func() bool { return condition(servers[0]) && condition(servers[1]) }
	}
	knows := func(keys *Keys, kid string) bool {
		d, err := keys.Domain("example.com")
		if err != nil {
			return false
		}
		set := d.JWKS()
		return len(set.Key(kid)) == 1
	}
	h.must(t, `api.publish_keys('domain', 'example.com', $1)`, []sealedKey{fresh})
	await(t, "published", all(func(keys *Keys) bool { return knows(keys, fresh.KID) }))
	for _, keys := range servers {
		if !signsWith(keys, "example.com", old.KID) {
			t.Error("a published key signs")
		}
	}
	h.must(t, `api.activate_key('domain', 'example.com', $1)`, fresh.KID)
	await(t, "activated", all(func(keys *Keys) bool { return signsWith(keys, "example.com", fresh.KID) }))
	for _, keys := range servers {
		set := keys.mustDomain(t, "example.com").JWKS()
		if len(set.Keys) != 2 || set.Keys[0].KeyID != fresh.KID || set.Keys[1].KeyID != old.KID {
			t.Errorf("JWKS %+v, want the active key, then the retired one", set)
		}
	}
	close(stop)
	users.Wait()

	h.must(t, `api.remove_key('domain', 'example.com', $1, false)`, old.KID)
	await(t, "removed", all(func(keys *Keys) bool { return !knows(keys, old.KID) }))
	h.createDomain(t, "example.org", false)
	await(t, "another domain", all(func(keys *Keys) bool { _, err := keys.Domain("example.org"); return err == nil }))
	h.must(t, `api.remove_domains(array(select id from auth.domains where name = 'example.com'), false, false)`)
	await(t, "no domain any more", all(func(keys *Keys) bool { _, err := keys.Domain("example.com"); return err != nil }))
}

// mustActive is for goroutines, which must not call Fatal.
func (k *Keys) mustActive(t *testing.T, domain string) *SigningKey {
	d, err := k.Domain(domain)
	if err != nil || d.Active() == nil {
		t.Errorf("%s: no active key, %v", domain, err)
		return nil
	}
	return d.Active()
}

func verifiedBy(d *Domain, text string) bool {
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return false
	}
	set := d.JWKS()
	known := set.Key(jws.Signatures[0].Protected.KeyID)
	if len(known) != 1 {
		return false
	}
	_, err = jws.Verify(known[0])
	return err == nil
}

// terminate ends all connections of the server.
func (h house) terminate(t *testing.T, super *pgxpool.Pool) {
	t.Helper()
	var ended int
	if err := super.QueryRow(t.Context(), `
		select count(pg_terminate_backend(a.pid)) from pg_stat_activity a
		 where a.datname = $1 and a.usename = 'authserver_web'`, h.Owner.Config().ConnConfig.Database).Scan(&ended); err != nil || ended == 0 {
		t.Fatalf("%d connections ended, %v", ended, err)
	}
}

func superuser(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgtest.Cluster(t).URL("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// listening reports whether a server has connected to be told of changes.
func (h house) listening(t *testing.T, super *pgxpool.Pool) func() bool {
	return func() bool {
		var n int
		// The connection's last statement was the load that follows LISTEN.
		if err := super.QueryRow(t.Context(), `
			select count(*) from pg_stat_activity a
			 where a.datname = $1 and a.usename = 'authserver_web' and a.state = 'idle' and a.query like '%api.signing_keys()%'`,
			h.Owner.Config().ConnConfig.Database).Scan(&n); err != nil {
			t.Error(err)
		}
		return n > 0
	}
}

// While there is no database, the keys that there were sign.
func TestRunWithoutDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, second := h.newKey(t, "example.com", P256), h.newKey(t, "example.com", P256)
	h.createDomain(t, "example.com", false, first)
	h.must(t, `api.publish_keys('domain', 'example.com', $1)`, []sealedKey{second})
	super := superuser(t)
	keys := h.openKeys(t)
	h.Pool.Reset()
	run(t, keys)
	await(t, "listening", h.listening(t, super))

	name := pgx.Identifier{h.Owner.Config().ConnConfig.Database}.Sanitize()
	if _, err := super.Exec(t.Context(), "alter database "+name+" allow_connections false"); err != nil {
		t.Fatal(err)
	}
	h.terminate(t, super)
	h.must(t, `api.activate_key('domain', 'example.com', $1)`, second.KID) // on a connection that is still there
	if _, err := OpenKeys(t.Context(), h.Pool, h.open); err == nil {
		t.Error("OpenKeys succeeds without a database")
	}
	if !signsWith(keys, "example.com", first.KID) {
		t.Fatal("the keys are gone with the database")
	}
	if _, err := keys.mustDomain(t, "example.com").Active().Sign(map[string]int{"exp": 1}); err != nil {
		t.Error(err)
	}
	if _, err := super.Exec(t.Context(), "alter database "+name+" allow_connections true"); err != nil {
		t.Fatal(err)
	}
	await(t, "what has changed meanwhile", func() bool { return signsWith(keys, "example.com", second.KID) })
}

// log is what the program logs, for several goroutines.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how often something is in the log.
func (l *log) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// captureLog returns all that is logged until the end of the test. Tests that
// use it are not parallel.
func captureLog(t *testing.T) *log {
	t.Helper()
	was := slog.Default()
	t.Cleanup(func() { slog.SetDefault(was) })
	l := &log{}
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	return l
}

// Whoever reads the log is told what to look at.
func TestSealedKeyInTheLog(t *testing.T) {
	h := newHouse(t)
	stranger := house{h.DB, sealingKey(t, "another secret that is long enough for this")}
	h.createDomain(t, "example.com", false, stranger.newKey(t, "example.com", P256))
	l := captureLog(t)
	h.openKeys(t)
	for _, want := range []string{"level=ERROR", "example.com", "SECRET_KEY", "authserver secret check"} {
		if l.count(want) == 0 {
			t.Errorf("the log has no %q: %s", want, &l.text)
		}
	}
}

func TestUnwilling(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := house{h.DB, sealingKey(t, "another secret that is long enough for this")}
	h.createDomain(t, "example.com", false, h.newKey(t, "example.com", P256))
	h.createDomain(t, "keyless.example.com", false)
	h.createDomain(t, "sealed.test", false, stranger.newKey(t, "sealed.test", P256))
	h.createDomain(t, "open.test", true, h.newKey(t, "open.test", P256))
	keys := h.openKeys(t)
	for host, want := range map[string]string{
		"auth.example.com":          "example.com",
		"A.B.example.com.":          "example.com",
		"a.keyless.example.com":     "example.com",
		"auth.sealed.test":          "sealed.test",
		"example.com":               "",
		"keyless.example.com":       "",
		"auth.open.test":            "",
		"auth.example.net":          "",
		"notexample.com":            "",
		"com":                       "",
		"":                          "",
		"a..example.com":            "",
		"auth.example.com:443":      "",
		strings.Repeat("a.", 1<<20): "",
	} {
		got := ""
		if d := keys.Unwilling(host); d != nil {
			got = d.Name
		}
		if got != want {
			t.Errorf("%.99q: %q, want %q", host, got, want)
		}
	}
}

// A key that cannot be opened, or is not what it should be, costs nothing but
// itself.
func TestKeysOfNoUse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := house{h.DB, sealingKey(t, "another secret that is long enough for this")}
	good := h.newKey(t, "good.test", P256)
	wrongSecret := stranger.newKey(t, "secret.test", P256)
	beside := h.newKey(t, "secret.test", Ed25519)
	copied := good // the private key of another domain, with its public key
	swapped := h.newKey(t, "swapped.test", P256)
	swapped.SealedKey = good.SealedKey // the private key of another row
	garbage := h.newKey(t, "garbage.test", P256)
	garbage.PublicKey = []byte("pub")
	renamed := h.newKey(t, "renamed.test", P256)
	renamed.KID = good.KID
	weak := h.newKey(t, "weak.test", RSA)
	weak.PublicKey = publicDER(t, "rsa1024.pkcs1.pem")

	h.createDomain(t, "good.test", false, good)
	h.createDomain(t, "secret.test", false, wrongSecret, beside)
	h.createDomain(t, "copied.test", false, copied)
	h.createDomain(t, "swapped.test", false, swapped)
	h.createDomain(t, "garbage.test", false, garbage)
	h.createDomain(t, "renamed.test", false, renamed)
	h.createDomain(t, "weak.test", false, weak)

	h.createDomain(t, "keyless.test", false)
	published := stranger.newKey(t, "published.test", P256)
	h.createDomain(t, "published.test", false)
	h.must(t, `api.publish_keys('domain', 'published.test', $1)`, []sealedKey{published})
	readable := stranger.newKey(t, "both.test", Ed25519)
	unreadable := h.newKey(t, "both.test", P256)
	unreadable.PublicKey = []byte("pub2")
	h.createDomain(t, "both.test", false, unreadable, readable)
	keys := h.openKeys(t)

	tests := map[string]struct{ signs, publishes, sealed string }{
		"good.test":      {good.KID, good.KID, ""},
		"secret.test":    {beside.KID, wrongSecret.KID + " " + beside.KID, ""},
		"copied.test":    {"", copied.KID, copied.KID},
		"swapped.test":   {"", swapped.KID, swapped.KID},
		"garbage.test":   {"", "", garbage.KID},
		"renamed.test":   {"", "", renamed.KID},
		"weak.test":      {"", "", weak.KID},
		"keyless.test":   {"", "", ""},
		"published.test": {"", published.KID, ""}, // it need not sign yet
		"both.test":      {"", readable.KID, readable.KID},
	}
	if keys.Sealed("nobody.test") != nil {
		t.Error("a domain that is none has a sealed key")
	}
	for name, want := range tests {
		d := keys.mustDomain(t, name)
		signs := ""
		if d.Active() != nil {
			signs = d.Active().KID
		}
		var publishes []string
		for _, key := range d.JWKS().Keys {
			publishes = append(publishes, key.KeyID)
		}
		sealed := ""
		if key := keys.Sealed(name); key != nil {
			sealed = key.KID
		}
		if signs != want.signs || strings.Join(publishes, " ") != want.publishes || sealed != want.sealed {
			t.Errorf("%s: signs with %q, publishes %q, has %q sealed; want %+v", name, signs, publishes, sealed, want)
		}
	}
	if key := keys.mustDomain(t, "secret.test").ActiveAlgorithm(P256); key != nil {
		t.Error("a key signs that cannot be opened")
	}
	for _, key := range keys.current.Load().keys {
		if key.private != nil {
			continue
		}
		if _, err := key.Sign(map[string]int{}); err == nil {
			t.Errorf("%s signs", key.KID)
		}
		if _, err := key.Certificate(); err == nil {
			t.Errorf("%s has a certificate", key.KID)
		}
	}
}

// publicDER returns the public half of a key in testdata.
func publicDER(t *testing.T, file string) []byte {
	t.Helper()
	key, err := ParsePrivate(read(t, file), DKIM)
	if err != nil {
		t.Fatal(err)
	}
	der, err := MarshalPublic(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A server that has a key open keeps it, when the operator seals it anew under
// a secret that the server is given later. One that starts then must have it.
func TestKeysSealedAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.newKey(t, "example.com", P256)
	h.createDomain(t, "example.com", false, key)
	keys := h.openKeys(t)
	before := keys.mustDomain(t, "example.com").Active()

	fresh := sealingKey(t, "another secret that is long enough for this")
	row := Row("example.com", key.PublicKey)
	plain, err := h.sealing.Open(key.SealedKey, row)
	if err != nil {
		t.Fatal(err)
	}
	h.exec(t, `update auth.keys set sealed_key = $1, sealed_by = $2`, fresh.Seal(plain, row), fresh.ID())
	if err := keys.load(t.Context(), h.Pool); err != nil {
		t.Fatal(err)
	}
	if keys.mustDomain(t, "example.com").Active() != before {
		t.Error("the server has lost its key")
	}
	if h.openKeys(t).mustDomain(t, "example.com").Active() != nil {
		t.Error("the old secret opens it still")
	}
	keys = (house{h.DB, fresh}).openKeys(t)
	if !signsWith(keys, "example.com", key.KID) {
		t.Error("the new secret does not open it")
	}
}

// One that could not be opened is tried again when it is sealed anew.
func TestKeyOpensLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := house{h.DB, sealingKey(t, "another secret that is long enough for this")}
	key := stranger.newKey(t, "example.com", P256)
	h.createDomain(t, "example.com", false, key)
	tried := 0
	keys, err := OpenKeys(t.Context(), h.Pool, func(row string, sealed []byte) ([]byte, error) {
		tried++
		return h.open(row, sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.load(t.Context(), h.Pool); err != nil || tried != 1 {
		t.Errorf("tried %d times, want once: %v", tried, err)
	}
	row := Row("example.com", key.PublicKey)
	plain, err := stranger.sealing.Open(key.SealedKey, row)
	if err != nil {
		t.Fatal(err)
	}
	h.exec(t, `update auth.keys set sealed_key = $1`, h.sealing.Seal(plain, row))
	if err := keys.load(t.Context(), h.Pool); err != nil {
		t.Fatal(err)
	}
	if !signsWith(keys, "example.com", key.KID) {
		t.Error("it cannot sign")
	}
}

// A stolen login of the server opens no key and sees none that signs mail.
func TestWebRoleSeesNoMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	mail := h.newKey(t, "example.com", Ed25519)
	mail.Purpose, mail.Selector, mail.KID = DKIM, "default", ""
	h.createDomain(t, "example.com", false, mail, h.newKey(t, "example.com", P256))

	for _, query := range []string{
		`select * from auth.keys`,
		`select * from auth.domains`,
		`select * from api.sealed_keys()`,
		`select * from api.find_keys('domain', 'example.com')`,
		`select * from api.publish_keys('domain', 'example.com', '[]')`,
		`select * from api.activate_key('domain', 'example.com', 'default')`,
		`select * from api.retire_key('domain', 'example.com', 'default')`,
		`select * from api.remove_key('domain', 'example.com', 'default', false)`,
		`select auth.insert_keys(null, '[]', 'active')`,
	} {
		_, err := h.Exec(t.Context(), query)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "42501" {
			t.Errorf("%s: %v, want insufficient privilege", query, err)
		}
	}
	var n, leaked int
	if err := h.QueryRow(t.Context(), `select count(*), count(*) filter (where public_key = $1) from api.signing_keys()`, mail.PublicKey).Scan(&n, &leaked); err != nil || n != 1 || leaked != 0 {
		t.Errorf("%d keys, %d of them for mail, %v; want one for tokens", n, leaked, err)
	}
	// Any login can send the hint; it makes a server look, and nothing else.
	if _, err := h.Exec(t.Context(), `notify authserver_domain, 'example.org'`); err != nil {
		t.Error(err)
	}
}

// signingKey returns a key of testdata as if the database had it.
func signingKey(t testing.TB, file string) *SigningKey {
	t.Helper()
	private, err := ParsePrivate(read(t, file), JWT)
	if err != nil {
		t.Fatal(err)
	}
	return loaded(t, private)
}

func loaded(t testing.TB, private crypto.Signer) *SigningKey {
	t.Helper()
	row := keyRow{Domain: "example.com", State: "active", CreatedAt: time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.FixedZone("", 3600))}
	var err error
	if row.KID, err = KID(private.Public()); err != nil {
		t.Fatal(err)
	}
	if row.PublicKey, err = MarshalPublic(private.Public()); err != nil {
		t.Fatal(err)
	}
	key, err := row.key(func(string, []byte) ([]byte, error) { return MarshalPrivate(private) }, "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}
