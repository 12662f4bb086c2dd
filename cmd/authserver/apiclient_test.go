package main

import (
	"context"
	"maps"
	"net/netip"
	"testing"

	"authbridge/authserver/account"
	"authbridge/internal/opaque"
	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

// verifyAPIClient returns the API client that has the secret, as the server
// asks.
func verifyAPIClient(t *testing.T, ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, secret opaque.Secret, from string) string {
	t.Helper()
	hash := secret.SHA256()
	var name *string
	if err := db.QueryRow(ctx, `select name from api.verify_api_client($1, $2)`, hash[:], netip.MustParseAddr(from)).Scan(&name); err != nil {
		t.Error(err)
	}
	if name == nil {
		return ""
	}
	return *name
}

// Many make an API client of one name: one does, and only its secret is good.
func TestCreateAPIClientRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	made := make([]madeAPIClient, racers)
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (_ string, err error) {
		made[i], err = createAPIClient(ctx, conn, "mx", "", nil)
		return "made", err
	})
	if want := map[string]int{"made": 1, `API client "mx" already exists`: racers - 1}; !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	for _, m := range made {
		if m.name != "" && verifyAPIClient(t, t.Context(), db, m.secret, "192.0.2.7") != "mx" {
			t.Error("the secret of the one that was made is not good")
		}
	}
	if n := number(t, db, `select count(*) from auth.audit a where a.action = 'api_client.create'`); n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
}

// Many rotate one secret: all are done, and of all the secrets the last is good.
func TestRotateAPIClientSecretRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	conn := connect(t, db.URL)
	old, err := createAPIClient(t.Context(), conn, "mx", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	found, err := findAPIClients(t.Context(), conn, []string{"mx"})
	if err != nil {
		t.Fatal(err)
	}
	made := make([]madeAPIClient, racers)
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (_ string, err error) {
		made[i], err = rotateAPIClientSecret(ctx, conn, found[0])
		return "rotated", err
	})
	if want := map[string]int{"rotated": racers}; !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	good := 0
	for _, m := range append(made, old) {
		if verifyAPIClient(t, t.Context(), db, m.secret, "192.0.2.7") == "mx" {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d secrets are good, want 1", good)
	}
}

// A request of an API client does not wait for somebody who is editing it, and
// many at once write its last use once.
func TestVerifyAPIClientWaitsForNobody(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	client, err := createAPIClient(t.Context(), connect(t, db.URL), "mx", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `update auth.api_clients set description = 'being edited'`); err != nil {
		t.Fatal(err)
	}
	waiting := connect(t, db.URL)
	if _, err := waiting.Exec(t.Context(), `set lock_timeout = '10s'`); err != nil {
		t.Fatal(err)
	}
	if got := verifyAPIClient(t, t.Context(), waiting, client.secret, "192.0.2.7"); got != "mx" {
		t.Errorf("while it is being edited, the secret is that of %q", got)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}

	execute(t, db, `create table auth.uses (at timestamptz)`)
	execute(t, db, `create function auth.count_use() returns trigger language plpgsql as
		$$ begin insert into auth.uses values (new.last_used_at); return new; end $$`)
	execute(t, db, `create trigger count_use after update on auth.api_clients for each row execute function auth.count_use()`)
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (string, error) {
		return verifyAPIClient(t, ctx, conn, client.secret, "192.0.2.7"), nil
	})
	if want := map[string]int{"mx": racers}; !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	if n := number(t, db, `select count(*) from auth.uses`); n != 1 {
		t.Errorf("the last use was written %d times, want once", n)
	}
}

// A name is refused by this program if and only if the table refuses it.
func TestAPIClientNames(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	secret := account.APIClientSecret.New().Text()
	names := []string{
		"mx", "mx1.example.com", "ünïcode", "a+b", "a=b", "ac_", secret[:54], secret + "x", "x" + secret,
		"", "-y", "a b", "a\tb", "a@b", "a/b", "a:b", "a|b", "a,b", "a;b", "a'b", `a"b`, "a`b", `a\b`, "a\u00a0b", "e\u0301", secret, secret[:54] + "2",
	}
	refused := 0
	for _, name := range names {
		parsed, err := parseAPIClientName(name)
		if err != nil {
			refused++
			parsed = name
		}
		_, refusal := db.Owner.Exec(t.Context(),
			`insert into auth.api_clients (name, secret_hash) values ($1, sha256(convert_to($1, 'UTF8')))`, parsed)
		if (err == nil) != (refusal == nil) {
			t.Errorf("%q: this program says %v, the table %v", name, err, refusal)
		}
	}
	if refused != 18 {
		t.Errorf("%d names are refused, want 18", refused)
	}
}

// A name that is accepted is accepted as the same, and is no secret.
func FuzzParseAPIClientName(f *testing.F) {
	for _, s := range []string{"mx", "MX1.Example.com", account.APIClientSecret.New().Text(), "-y", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := parseAPIClientName(s)
		if err != nil {
			return
		}
		if again, err := parseAPIClientName(name); err != nil || again != name {
			t.Errorf("%q is %q, which is %q, %v", s, name, again, err)
		}
		if _, err := account.APIClientSecret.Parse(name); err == nil {
			t.Error("a secret is accepted as a name")
		}
	})
}
