package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authbridge/authserver/token"
	"authbridge/internal/seal"

	registrytoken "github.com/docker/distribution/registry/auth/token"
	"github.com/jackc/pgx/v5/pgxpool"
)

var lastIssuing atomic.Int32

// An issuing is a registry that nobody runs: its tokens are what is looked at.
type issuing struct {
	*Registry
	bundle, jwks string // files
}

// newIssuing makes a registry whose tokens are signed by a key of its own, and
// in which anybody may pull.
func newIssuing(t *testing.T, db *Database, auth *Authserver, algorithm token.Algorithm, hint token.Hint) issuing {
	t.Helper()
	id := "issuing" + strconv.Itoa(int(lastIssuing.Add(1))) + ".example.com"
	db.Operate(t, "dockerauth", "registry", "create", "--client-id", id, "--name", id, "--domain", "example.com",
		"--allow-unauthenticated-pull", "--algorithm", string(algorithm), "--key-hint", string(hint))
	r := issuing{Registry: &Registry{ClientID: id, t: t, db: db, auth: auth}}
	b := NewBrowser(t)
	auth.await(t, "know the registry", func() bool {
		page := b.Visit(auth.URL("/getkey/?type=r&format=jwks&domain="+url.QueryEscape(id)), "", "")
		return page.Status == 200
	})
	r.bundle, r.jwks = keyFile(t, auth, "r", id, "bundle"), keyFile(t, auth, "r", id, "jwks")
	return r
}

// pull returns a token for pulling as nobody in particular, and what it is for.
func (r issuing) pull(t *testing.T) Presented {
	t.Helper()
	var answer Answer
	b := NewBrowser(t)
	// Keys and rules come to the server by themselves.
	r.auth.await(t, "issue a token", func() bool {
		answer = r.token(b, "", "", "repository:team/app:pull")
		return answer.Status == 200 && answer.Scope != ""
	})
	return Presented{answer.Token, []Access{{"repository", "team/app", "pull"}}}
}

// options are those of auth.token, with the named key files.
func (r issuing) options(keys ...string) map[string]any {
	options := map[string]any{"realm": r.auth.URL("/docker/token"), "service": r.ClientID, "issuer": AuthHost}
	for _, name := range keys {
		options[name] = map[string]string{"rootcertbundle": r.bundle, "jwks": r.jwks}[name]
	}
	return options
}

var (
	registryAlgorithms = []token.Algorithm{token.RSA, token.P256, token.Ed25519}
	registryHints      = []token.Hint{token.HintKID, token.HintLibtrust, token.HintX5C, token.HintX5CKID}
	registryKeyFiles   = map[string][]string{"bundle": {"rootcertbundle"}, "jwks": {"jwks"}, "both": {"rootcertbundle", "jwks"}}
)

// Every version of distribution believes the tokens of the server, or does not:
// this is what the guide and dockerauth registry config say about it.
func TestRegistryVerifiers(t *testing.T) {
	t.Parallel()
	believes := func(version, keys string, algorithm token.Algorithm, hint token.Hint) bool {
		x5c := hint == token.HintX5C || hint == token.HintX5CKID
		switch {
		case version == "2.8":
			return hint != token.HintKID
		case keys == "jwks":
			// A chain to nowhere is refused, whatever the kid is.
			return hint == token.HintKID
		case x5c:
			return true
		case hint == token.HintLibtrust:
			return false
		}
		// Of keys that are no RSA keys, 3.0 computes another thumbprint.
		return keys == "both" || version != "3.0" || algorithm == token.RSA
	}
	// Registries that do not start with such a configuration.
	starts := func(version, keys string, algorithm token.Algorithm) bool {
		return version != "2.8" || keys != "jwks" && algorithm != token.Ed25519
	}

	db := OpenDatabase(t, "")
	auth := StartIssuer(t, db)
	for _, algorithm := range registryAlgorithms {
		for _, hint := range registryHints {
			t.Run(fmt.Sprintf("%s %s", algorithm, hint), func(t *testing.T) {
				r := newIssuing(t, db, auth, algorithm, hint)
				good := r.pull(t)
				// Alike in all but what it lets its bearer do.
				beyond := Presented{good.Token, []Access{{"repository", "team/app", "push"}}}
				for _, version := range []string{"2.8", "3.0", "3.1"} {
					for keys, files := range registryKeyFiles {
						cell := version + ", " + keys
						results, refused := askVerifier(t, version, r.options(files...), good, beyond)
						if got, want := refused == "", starts(version, keys, algorithm); got != want {
							t.Errorf("%s: starts %v, want %v (%s)", cell, got, want, refused)
							continue
						}
						if refused != "" {
							continue
						}
						want := "invalid token"
						if believes(version, keys, algorithm, hint) {
							want = ""
						}
						if results[0] != want {
							t.Errorf("%s: %q, want %q", cell, results[0], want)
						}
						if want == "" {
							want = "insufficient scope"
						}
						if results[1] != want {
							t.Errorf("%s: beyond its access: %q, want %q", cell, results[1], want)
						}
					}
				}
			})
		}
	}
}

// A token is for one registry.
func TestRegistryTokenOfAnother(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartIssuer(t, db)
	mine := newIssuing(t, db, auth, token.P256, token.HintX5CKID)
	other := newIssuing(t, db, auth, token.P256, token.HintX5CKID)
	for _, version := range []string{"2.8", "3.0", "3.1"} {
		theirs := other.pull(t)
		results, refused := askVerifier(t, version, mine.options("rootcertbundle"), mine.pull(t), theirs)
		if refused != "" {
			t.Fatal(refused)
		}
		if results[0] != "" || results[1] != "invalid token" {
			t.Errorf("%s: own token: %q, that of another: %q", version, results[0], results[1])
		}
		// Not even a registry that has the other's keys, too, takes its tokens.
		options := other.options("rootcertbundle")
		options["service"] = mine.ClientID
		if results, _ := askVerifier(t, version, options, theirs); len(results) != 1 || results[0] != "invalid token" {
			t.Errorf("%s: token of another audience: %q", version, results)
		}
		// Nor one of its own tokens by a key of the other.
		if results, _ := askVerifier(t, version, options, mine.pull(t)); len(results) != 1 || results[0] != "invalid token" {
			t.Errorf("%s: token of another key: %q", version, results)
		}
		options = other.options("rootcertbundle")
		options["issuer"] = "auth.example.org"
		if results, _ := askVerifier(t, version, options, theirs); len(results) != 1 || results[0] != "invalid token" {
			t.Errorf("%s: token of another issuer: %q", version, results)
		}
	}
}

// Clocks may differ by a minute.
func TestRegistryTokenTimes(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartIssuer(t, db)
	r := newIssuing(t, db, auth, token.P256, token.HintX5CKID)
	r.pull(t)
	key := db.registryKey(t, r.ClientID)
	const margin = 20 * time.Second // that a busy machine may take to ask
	for _, tt := range []struct {
		name                 string
		notBefore, expiresIn time.Duration
		result               string
	}{
		{"now", 0, time.Minute, ""},
		{"a clock behind", time.Minute - time.Second, time.Hour, ""},
		{"a clock far behind", time.Minute + margin, time.Hour, "invalid token"},
		{"a clock ahead", -time.Hour, -time.Minute + margin, ""},
		{"a clock far ahead", -time.Hour, -time.Minute - time.Second, "invalid token"},
	} {
		now := time.Now()
		signed, err := key.SignHinted(token.HintX5CKID, registrytoken.ClaimSet{
			Issuer:     AuthHost,
			Audience:   r.ClientID,
			NotBefore:  now.Add(tt.notBefore).Unix(),
			Expiration: now.Add(tt.expiresIn).Unix(),
			IssuedAt:   now.Unix(),
			JWTID:      "1",
			Access:     []*registrytoken.ResourceActions{{Type: "repository", Name: "team/app", Actions: []string{"pull"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"2.8", "3.0", "3.1"} {
			results, refused := askVerifier(t, version, r.options("rootcertbundle"), Presented{signed, []Access{{"repository", "team/app", "pull"}}})
			if refused != "" || results[0] != tt.result {
				t.Errorf("%s, %s: %q %s, want %q", version, tt.name, results, refused, tt.result)
			}
		}
	}
}

// registryKey returns the key that signs for a registry.
func (d *Database) registryKey(t *testing.T, clientID string) *token.SigningKey {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), d.cluster.URL("authserver_web", "authserver"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	master, err := seal.NewMaster(secretKey)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.OpenKeys(context.WithoutCancel(t.Context()), pool, func(row string, sealed []byte) ([]byte, error) {
		return master.Derive(seal.JWT).Open(sealed, row)
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := keys.Registry(clientID)
	if registry == nil || registry.Active() == nil {
		t.Fatalf("no key signs for %s", clientID)
	}
	return registry.Active()
}

// No kind of token passes for another.
func TestRegistryTokenKinds(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartIssuer(t, db)
	r := newIssuing(t, db, auth, token.RSA, token.HintX5CKID)
	access := r.pull(t)
	b := NewBrowser(t)
	login := r.post(b, url.Values{
		"grant_type": {"password"}, "username": {"bob@example.com"}, "password": {"bob builds"},
		"access_type": {"offline"}, "client_id": {"docker"},
	})
	if login.Status != 200 || !strings.HasPrefix(login.RefreshToken, "rt_") {
		t.Fatalf("login: %+v", login)
	}
	for _, version := range []string{"2.8", "3.0", "3.1"} {
		results, _ := askVerifier(t, version, r.options("rootcertbundle"), access, Presented{login.RefreshToken, access.Access})
		if len(results) != 2 || results[0] != "" || results[1] == "" {
			t.Errorf("%s: access token %q, refresh token %q", version, results[0], results[1])
		}
	}
	for name, text := range map[string]string{"access token": login.Token, "refresh token": login.RefreshToken} {
		answer := r.post(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}, "client_id": {"docker"}})
		if want := map[string]int{"access token": 401, "refresh token": 200}[name]; answer.Status != want {
			t.Errorf("%s as refresh token: status %d, want %d", name, answer.Status, want)
		}
	}
}
