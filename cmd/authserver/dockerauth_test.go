package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/seal"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What a registry's new key signs, its public key verifies; and the key opens
// for nothing else, be there a domain of the registry's name.
func TestRegistryKeys(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "hub.example.com", "--create-key=jwt", "--key-algorithm=ed25519")
	s.must("dockerauth", "registry", "create", "--client-id=hub.example.com", "--name=Hub", "--domain=hub.example.com")
	s.must("dockerauth", "registry", "publish-key", "hub.example.com", "--algorithm=ecdsa-p256")
	s.must("dockerauth", "registry", "publish-key", "hub.example.com", "--algorithm=ed25519")

	keys, err := sealedKeys(t.Context(), s.conn())
	if err != nil || len(keys) != 4 {
		t.Fatalf("%d keys, %v; want 4", len(keys), err)
	}
	master, err := seal.NewMaster(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		pub, err := token.UnmarshalPublic(k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if !verifies(t, pub, privateKey(t, k)) {
			t.Errorf("%s: its signature does not verify with its public key", k.label())
		}
		other := registryOwner("hub.example.com")
		if k.Registry != nil {
			other = domainOwner("hub.example.com", "")
		}
		if _, err := master.Derive(seal.Purpose(k.Purpose)).Open(k.SealedKey, other.row(k.PublicKey)); err == nil {
			t.Errorf("%s opens for %s", k.label(), other)
		}
	}
}

// Many create one registry: one does, the others hear why not.
func TestCreateRegistryRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com")
	domain := address.Domain("example.com")
	signs, hint, short := domainKey, keyHint(token.HintKID), lifetime(time.Minute)
	var racers sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		conn := s.conn()
		racers.Go(func() {
			errs[i] = createRegistry(t.Context(), conn, newRegistry{
				clientID: "hub.example.com", name: registryName(fmt.Sprintf("Hub %d", i%2)),
				settings: registrySettings{domain: &domain, signingKey: &signs, keyHint: &hint, pullLifetime: &short, pushLifetime: &short},
			})
		})
	}
	racers.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if err.Error() != "registry hub.example.com already exists" {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// Many add to one rule at once: nothing of it is lost.
func TestAllowRuleRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com")
	s.must("dockerauth", "registry", "create", "--client-id=hub.example.com", "--name=Hub", "--domain=example.com", "--signing-key=domain")
	registry, err := oneRegistry(t.Context(), s.conn(), "Hub")
	if err != nil {
		t.Fatal(err)
	}
	var racers sync.WaitGroup
	errs := make([]error, 3*len(allActions))
	for i := range errs {
		conn := s.conn()
		racers.Go(func() {
			_, _, errs[i] = allowRule(t.Context(), conn, registry, everything, ruleSubject{kind: "users"}, allActions[i%len(allActions):][:1])
		})
	}
	racers.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	rules, err := listRules(t.Context(), s.conn(), &registry, nil, nil)
	if err != nil || len(rules) != 1 || !slices.Equal(rules[0].Actions, allActions) {
		t.Errorf("%+v, %v; want one rule with all actions", rules, err)
	}
}

// A client id or issuer that a flag accepts is one for the table, and no other
// is.
func TestClientIDsAreThoseOfTheTable(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com")
	texts := []string{"", " ", " a", "a ", "a b", "é", "a\u2028b", strings.Repeat("x", 255), strings.Repeat("x", 256)}
	for c := 1; c < 0x80; c++ {
		texts = append(texts, string(rune(c)), "a"+string(rune(c))+"b")
	}
	tx, err := s.db.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	errDone := errors.New("done") // takes back what was tried
	// stores tells whether the table takes a row with this text in a column.
	stores := func(clientID, issuer string) bool {
		err := pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(),
				`insert into auth.docker_registries (client_id, name, domain_id, issuer) select $1, 'Hub', d.id, $2 from auth.domains d`,
				clientID, issuer); err != nil {
				return err
			}
			return errDone
		})
		var refused *pgconn.PgError
		switch {
		case errors.Is(err, errDone):
			return true
		case errors.As(err, &refused) && refused.Code == "23514": // check_violation
			return false
		}
		t.Fatal(err)
		return false
	}
	for _, text := range texts {
		var id clientID
		if err, stored := id.Set(text), stores(text, "x"); (err == nil) != stored {
			t.Errorf("client id %q: %v, and stored is %v", text, err, stored)
		}
		var iss issuerName
		if err, stored := iss.Set(text), stores("x", text); text != "" && (err == nil) != stored { // empty is the default
			t.Errorf("issuer %q: %v, and stored is %v", text, err, stored)
		}
	}
}

// What each program can work with: by certificates, 2.8 has libtrust's kid for
// keys and 3 that of RFC 7638; both take a chain instead, unless there is
// nothing but a JWKS to verify it with.
func TestRegistryConfigCheck(t *testing.T) {
	const certificates, keySets, both = "bundle", "jwks", "bundle jwks"
	hints := []token.Hint{token.HintKID, token.HintLibtrust, token.HintX5C, token.HintX5CKID}
	tests := []struct {
		program   registryProgram
		algorithm token.Algorithm
		files     string
		works     []token.Hint
		warns     []token.Hint
	}{
		{registry28, token.RSA, certificates, hints[1:], nil},
		{registry28, token.P256, certificates, hints[1:], nil},
		{registry28, token.Ed25519, certificates, nil, nil},
		{registry28, token.RSA, keySets, nil, nil},
		{registry28, token.RSA, both, nil, nil},
		{distribution3, token.RSA, certificates, []token.Hint{token.HintKID, token.HintX5C, token.HintX5CKID}, nil},
		{distribution3, token.P256, certificates, []token.Hint{token.HintKID, token.HintX5C, token.HintX5CKID}, hints[:1]},
		{distribution3, token.Ed25519, certificates, []token.Hint{token.HintKID, token.HintX5C, token.HintX5CKID}, hints[:1]},
		{distribution3, token.RSA, keySets, hints[:1], nil},
		{distribution3, token.P256, keySets, hints[:1], nil},
		{distribution3, token.Ed25519, keySets, hints[:1], nil},
		{distribution3, token.P256, both, []token.Hint{token.HintKID, token.HintX5C, token.HintX5CKID}, nil},
	}
	for _, tt := range tests {
		for _, hint := range hints {
			config := registryConfig{program: tt.program}
			if strings.Contains(tt.files, certificates) {
				config.bundle = "keys.pem"
			}
			if strings.Contains(tt.files, keySets) {
				config.jwks = "keys.json"
			}
			keys := keySet{tt.algorithm, []ownedKey{{listedKey: listedKey{Algorithm: string(tt.algorithm), State: "active"}}}}
			err := config.check(keys, hint)
			if works := slices.Contains(tt.works, hint); (err == nil) != works {
				t.Errorf("%s, %s, %s, %s: %v; works: %v", tt.program, tt.algorithm, tt.files, hint, err, works)
			}
			if err != nil {
				continue
			}
			if warnings, want := config.warnings(keys, hint), slices.Contains(tt.warns, hint); (len(warnings) > 0) != want {
				t.Errorf("%s, %s, %s, %s: warnings %q, want some: %v", tt.program, tt.algorithm, tt.files, hint, warnings, want)
			}
		}
	}
}

// The shell reads what is shown to be typed as what it was.
func TestShellWord(t *testing.T) {
	for _, s := range []string{"", "hub.example.com", "old hub", "it's", "$HOME", "`id`", "a;b", "*", "~", "#x", `\`, "a\"b", "-n", "é", "''"} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+shellWord(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q is shown as %s, which is %q, %v", s, shellWord(s), out, err)
		}
	}
}

// A lifetime that is accepted is one of the table, and itself when it is typed
// as it is shown.
func FuzzLifetime(f *testing.F) {
	for _, s := range []string{"5m", "30m", "1h", "24h", "1m30s", "90s", "59s", "24h0m1s", "1.5m", "61.5s", "-5m", "5", "", "1e9h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var l, again lifetime
		if l.Set(in) != nil {
			return
		}
		if err := again.Set(l.String()); err != nil || again != l {
			t.Errorf("%q is %s, then %s, %v", in, l, again, err)
		}
		value, err := l.IntervalValue()
		if err != nil || value.Microseconds < 60e6 || value.Microseconds > 24*60*60e6 || value.Microseconds%1e6 != 0 {
			t.Errorf("%q is %+v, %v", in, value, err)
		}
		if err := again.ScanInterval(value); err != nil || again != l {
			t.Errorf("%q is stored as %s, %v", in, again, err)
		}
	})
}

// Actions are accepted in any order, and none that is not there.
func FuzzDockerActions(f *testing.F) {
	for _, s := range []string{"pull", "push,pull", "pull,pull", "admin", "admin,pull", "catalog,delete,push,pull", "", ",", "pull,", "Pull", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var a, again dockerActions
		if a.Set(in) != nil {
			return
		}
		for _, action := range a {
			if in != "admin" && !slices.Contains(strings.Split(in, ","), action) {
				t.Errorf("%q is %s", in, &a)
			}
		}
		if err := again.Set(a.String()); err != nil || !slices.Equal(again, a) || len(a) == 0 {
			t.Errorf("%q is %s, then %s, %v", in, &a, &again, err)
		}
	})
}
