package client

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/internal/pgtest"

	"github.com/golang-jwt/jwt/v5"
)

func arrange(t testing.TB, db pgtest.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Owner.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
}

func open(t testing.TB, db pgtest.DB) *Clients {
	t.Helper()
	cs, err := Open(t.Context(), db.Pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cs.Wait)
	return cs
}

func TestOpen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_web")
	cs := open(t, db)
	if cs.Client("web") != nil || len(cs.All()) != 0 || len(cs.Claims()) != 0 || cs.AnyOrigin("https://app.example.com") {
		t.Error("there is something in an empty database")
	}

	arrange(t, db, `insert into auth.domains (name) values ('example.com')`)
	arrange(t, db, `insert into auth.oauth2_clients (client_id, name, domain_id, type, token_endpoint_auth_method, grant_types,
		redirect_uris, post_logout_redirect_uris, allowed_origins, scope, resources, trusted, require_pkce, may_introspect,
		subject, id_token_claims, access_token_claims, groups_in_profile, id_token_alg, access_token_alg, access_token_typ,
		code_lifetime, access_token_lifetime, id_token_lifetime, refresh_token_lifetime, grant_lifetime, debug)
		select 'web', 'Web', d.id, 'confidential', 'client_secret_post', '{authorization_code,refresh_token}',
		  '{https://app.example.com/a,"https://evil.test/#"}', '{https://app.example.com/b}', '{https://app.example.com,"*"}', '{openid,jobs}',
		  '{https://api.example.com}', true, false, true,
		  'email', 'scoped', 'scoped', false, 'ES256', 'EdDSA', 'JWT',
		  interval '30 s', interval '10 min', interval '1 day', interval '30 days', interval '365 days', true
		  from auth.domains d`)
	arrange(t, db, `insert into auth.oauth2_clients (client_id, name, enabled, type, token_endpoint_auth_method, grant_types, scope, allowed_origins)
		values ('app', 'App', false, 'public', 'none', '{authorization_code}', '{}', '{https://off.example.com}')`)
	keys := signers()
	arrange(t, db, `insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, jwks)
		values ('signs', 'Signs', 'confidential', 'private_key_jwt', '{client_credentials}', $1)`, string(jwks(t, map[string]crypto.Signer{"d": keys.ed})))
	arrange(t, db, `insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, jwks_uri)
		values ('publishes', 'Publishes', 'confidential', 'private_key_jwt', '{client_credentials}', 'https://app.example.com/jwks')`)
	first, second := sha256.Sum256([]byte("first")), sha256.Sum256([]byte("second"))
	arrange(t, db, `insert into auth.oauth2_client_secrets (client_id, secret_sha256, secret_hash, expires_at)
		select c.id, s.sum, s.hash, s.ends from auth.oauth2_clients c, (values
		  ($1::bytea, null, now() + interval '1 hour'), ($2, null, null), (sha256('gone'), null, now() - interval '1 s'), (null, '$1$old', null)) s (sum, hash, ends)
		 where c.client_id = 'web'`, first[:], second[:])
	arrange(t, db, `insert into auth.oauth2_claims (name, attribute, scope, type) values ('dept', 'department', 'org', 'string'), ('age', 'age', 'about', 'integer')`)

	ctx, logged := recorded(t.Context())
	cs, err := Open(ctx, db.Pool)
	if err != nil {
		t.Fatal(err)
	}
	want := &Client{
		ClientID: "web", Name: "Web", Domain: "example.com", Enabled: true, Type: Confidential, AuthMethod: SecretPost,
		GrantTypes: []string{AuthorizationCode, RefreshToken}, RedirectURIs: []string{"https://app.example.com/a"},
		PostLogoutRedirectURIs: []string{"https://app.example.com/b"}, AllowedOrigins: []string{"https://app.example.com"},
		Scope: []string{"openid", "jobs"}, Resources: []string{"https://api.example.com"}, Trusted: true, RequirePKCE: false, MayIntrospect: true,
		Subject: "email", IDTokenClaims: "scoped", AccessTokenClaims: "scoped", GroupsInProfile: false,
		IDTokenAlg: "ES256", AccessTokenAlg: "EdDSA", AccessTokenTyp: "JWT",
		CodeLifetime: 30 * time.Second, AccessTokenLifetime: 10 * time.Minute, IDTokenLifetime: 24 * time.Hour,
		RefreshTokenLifetime: 30 * 24 * time.Hour, GrantLifetime: 365 * 24 * time.Hour, Debug: true,
		custom: []string{"about", "org"},
	}
	web := cs.Client("web")
	secrets := web.secrets
	got := *web
	got.secrets = nil
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("got  %+v\nwant %+v", got, *want)
	}
	if len(secrets) != 2 || !bytes.Equal(secrets[0].sha256, first[:]) || secrets[0].expiresAt.IsZero() ||
		!bytes.Equal(secrets[1].sha256, second[:]) || !secrets[1].expiresAt.IsZero() {
		t.Errorf("secrets %+v", secrets)
	}
	if !web.Grants(RefreshToken) || web.Grants(Password) || web.Grants("") || web.Grants("refresh") || !web.Origin("https://app.example.com") ||
		web.Origin("https://app.example.com/") || web.Origin("null") || web.Origin("*") || web.Origin("") {
		t.Error("it may what it may not, or the other way round")
	}
	// What must not be there is said, and not used.
	lines := logged.take()
	for _, part := range []string{"https://evil.test/#", "value=*", "cannot be verified"} {
		if !strings.Contains(lines, part) {
			t.Errorf("the log has no %q: %s", part, lines)
		}
	}
	if strings.Contains(lines, "$1$old") {
		t.Errorf("the log has a hash: %s", lines)
	}

	app := cs.Client("app")
	if app.Enabled || app.Type != Public || app.AuthMethod != None || app.Domain != "" || !app.RequirePKCE || app.Scope == nil || len(app.DefaultScope()) != 0 ||
		app.Allows([]string{"openid"}) != "openid" || app.AccessTokenAlg != "" || app.IDTokenAlg != "RS256" || app.Subject != "uuid" {
		t.Errorf("got %+v", app)
	}
	if signs := cs.Client("signs"); signs.Scope != nil || signs.keys == nil || !signs.RequirePKCE || signs.Allows([]string{"openid", "org"}) != "" {
		t.Errorf("got %+v", signs)
	}
	assertion := sign(t, jwt.SigningMethodEdDSA, keys.ed, nil, claimsOf("signs", nil))
	if _, _, err := cs.assert(t.Context(), assertion); err != nil {
		t.Error(err)
	}
	if remote, ok := cs.Client("publishes").keys.(*remoteKeys); !ok || remote.uri != "https://app.example.com/jwks" {
		t.Errorf("got %+v", cs.Client("publishes").keys)
	}
	var ids []string
	for _, c := range cs.All() {
		ids = append(ids, c.ClientID)
	}
	if !slices.Equal(ids, []string{"app", "publishes", "signs", "web"}) {
		t.Errorf("all are %q", ids)
	}
	if want := []Claim{{"age", "age", "about", "integer"}, {"dept", "department", "org", "string"}}; !slices.Equal(cs.Claims(), want) {
		t.Errorf("claims %+v", cs.Claims())
	}
	for origin, want := range map[string]bool{"https://app.example.com": true, "https://off.example.com": false, "*": false, "": false, "null": false} {
		if cs.AnyOrigin(origin) != want {
			t.Errorf("AnyOrigin(%q) = %v", origin, !want)
		}
	}

	// Keys of no use are none.
	arrange(t, db, `update auth.oauth2_clients c set jwks = '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}' where c.client_id = 'signs'`)
	if cs, err = Open(ctx, db.Pool); err != nil {
		t.Fatal(err)
	}
	if lines := logged.take(); !strings.Contains(lines, "client_id=signs") || strings.Contains(lines, "c2VjcmV0") {
		t.Errorf("the log says %q", lines)
	}
	if _, _, err := cs.assert(t.Context(), assertion); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
}

func TestOpenWithoutDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_web")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if cs, err := Open(ctx, db.Pool); cs != nil || err == nil {
		t.Errorf("got %v, %v", cs, err)
	}
}

// await waits until a condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not yet", what)
		}
	}
}

// run lets cs follow the database until the test ends.
func run(t *testing.T, cs *Clients) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- cs.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A change counts as soon as the database tells it.
func TestClientsFollow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_web")
	arrange(t, db, `insert into auth.domains (name) values ('example.com')`)
	cs := open(t, db)
	run(t, cs)
	sum := sha256.Sum256([]byte("s3cret"))
	arrange(t, db, `with client as (
		  insert into auth.oauth2_clients (client_id, name, domain_id, type, token_endpoint_auth_method, grant_types)
		  select 'web', 'Web', d.id, 'confidential', 'client_secret_basic', '{authorization_code}' from auth.domains d returning id)
		insert into auth.oauth2_client_secrets (client_id, secret_sha256) select c.id, $1 from client c`, sum[:])
	arrange(t, db, `notify authserver_oauth2_client`)
	authenticates := func() bool {
		_, _, err := cs.Authenticate(post(t.Context(), basic("web", "s3cret")), nil, nil)
		return err == nil
	}
	await(t, "a client", authenticates)
	arrange(t, db, `insert into auth.oauth2_claims (name, attribute, scope) values ('dept', 'department', 'org')`)
	arrange(t, db, `notify authserver_oauth2_claim`)
	await(t, "a claim", func() bool { return len(cs.Claims()) == 1 && cs.Client("web").Allows([]string{"org"}) == "" })
	arrange(t, db, `update auth.domains d set name = 'example.org'`)
	arrange(t, db, `notify authserver_domain`)
	await(t, "a domain", func() bool { return cs.Client("web").Domain == "example.org" })
	arrange(t, db, `update auth.oauth2_clients c set enabled = false`)
	arrange(t, db, `notify authserver_oauth2_client`)
	await(t, "nobody", func() bool { return !authenticates() })
}

// An imported secret that nobody can guess gets the fast hash; one that somebody
// may have chosen keeps its own.
func TestConvertSecret(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_web")
	const generated = "Zr4u7xLQ2mN9sWc1VdYk8PfTg3HbJe6A"
	add := func(id, secret string) {
		arrange(t, db, `with client as (
			  insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types)
			  values ($1, $1, 'confidential', 'client_secret_basic', '{authorization_code}') returning id)
			insert into auth.oauth2_client_secrets (client_id, secret_hash) select c.id, $2 from client c`, id, slowHash(t, secret))
	}
	add("generated", generated)
	add("chosen", "hunter2")
	cs := open(t, db)
	ask := func(id, secret string) error {
		_, _, err := cs.Authenticate(post(t.Context(), basic(id, secret)), nil, nil)
		return err
	}
	stored := func(id string) (sum []byte) {
		t.Helper()
		if err := db.Owner.QueryRow(t.Context(), `select s.secret_sha256 from auth.oauth2_client_secrets s join auth.oauth2_clients c on c.id = s.client_id
			where c.client_id = $1`, id).Scan(&sum); err != nil {
			t.Fatal(err)
		}
		return sum
	}

	if err := ask("generated", generated+"x"); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
	cs.Wait()
	if stored("generated") != nil {
		t.Fatal("converted for a wrong secret")
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := ask("generated", generated); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := ask("chosen", "hunter2"); err != nil {
		t.Error(err)
	}
	cs.Wait()
	sum := sha256.Sum256([]byte(generated))
	if !bytes.Equal(stored("generated"), sum[:]) || stored("chosen") != nil {
		t.Errorf("stored %x and %x", stored("generated"), stored("chosen"))
	}

	// It is told to others, and as good as before.
	run(t, cs)
	await(t, "the fast hash", func() bool { return cs.Client("generated").secrets[0].sha256 != nil })
	fill(t, cs)
	if err := ask("generated", generated); err != nil {
		t.Error(err)
	}
	if err := ask("generated", generated+"x"); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
	var changes int
	if err := db.Owner.QueryRow(t.Context(), `select count(*) from auth.audit a where a.action = 'oauth2_client.rehash_secret'`).Scan(&changes); err != nil || changes != 1 {
		t.Errorf("recorded %d times, %v", changes, err)
	}
}

// A database that is away does not stop anybody, and is tried again.
func TestConvertSecretLater(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_web")
	const generated = "Zr4u7xLQ2mN9sWc1VdYk8PfTg3HbJe6A"
	hash := slowHash(t, generated)
	cs := open(t, db)
	cs.replace(t.Context(), []clientRow{confidential("web").withSecret(1, nil, hash, nil)}, nil)
	arrange(t, db, `revoke execute on function api.rehash_oauth2_client_secret from authserver_web`)
	ctx, logged := recorded(t.Context())
	for range 2 {
		if _, _, err := cs.Authenticate(post(ctx, basic("web", generated)), nil, nil); err != nil {
			t.Error(err)
		}
		cs.Wait()
		if lines := logged.take(); !strings.Contains(lines, "permission denied") || strings.Contains(lines, generated) || strings.Contains(lines, hash) {
			t.Errorf("the log says %q", lines)
		}
	}
}
