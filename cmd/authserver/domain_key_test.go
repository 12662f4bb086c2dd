package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"
	"authbridge/internal/pgtest"
	"authbridge/internal/seal"

	"github.com/jackc/pgx/v5"
)

const testSecret = "for-these-tests-only-and-long-enough-0123456789"

// shell is the command line as an operator uses it, on a database of its own.
type shell struct {
	t  *testing.T
	db pgtest.DB
}

func newShell(t *testing.T) shell {
	db := pgtest.New(t, "authserver_admin")
	t.Setenv("DATABASE_URL", db.URL)
	t.Setenv("SECRET_KEY", testSecret)
	t.Setenv("SECRET_KEY_FILE", "")
	return shell{t, db}
}

// run returns the exit code and both outputs of one command.
func (s shell) run(stdin string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	code = command.Run(s.t.Context(), app(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// must runs a command that has to succeed, and returns its stdout.
func (s shell) must(args ...string) string {
	s.t.Helper()
	code, stdout, stderr := s.run("", args...)
	if code != command.Done {
		s.t.Fatalf("%q: exit %d: %s", args, code, stderr)
	}
	return stdout
}

// conn returns a connection as the command line has one.
func (s shell) conn() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// privateKey opens a stored key with nothing but the sealing key of its
// purpose, as a daemon does.
func privateKey(t *testing.T, k sealedKey) crypto.Signer {
	t.Helper()
	master, err := seal.NewMaster(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := seal.ParseKey(master.Derive(seal.Purpose(k.Purpose)).Export())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := sealing.Open(k.SealedKey, k.owner().row(k.PublicKey))
	if err != nil {
		t.Fatalf("%s: %v", k.label(), err)
	}
	key, err := token.UnmarshalPrivate(plain)
	if err != nil {
		t.Fatalf("%s: %v", k.label(), err)
	}
	return key
}

// verifies reports whether pub verifies what key signs.
func verifies(t *testing.T, pub crypto.PublicKey, key crypto.Signer) bool {
	t.Helper()
	message := []byte("hello")
	digest := sha256.Sum256(message)
	input, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
	if _, ok := pub.(ed25519.PublicKey); ok {
		input, opts = message, crypto.Hash(0)
	}
	signature, err := key.Sign(rand.Reader, input, opts)
	if err != nil {
		t.Fatal(err)
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message, signature)
	}
	t.Fatalf("no verification for %T", pub)
	return false
}

// What a new key signs, the public key verifies that others are given.
func TestCreatedKeysSign(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com", "--create-key=jwt", "--create-key=dkim")
	s.must("domain", "edit", "example.com", "--create-key=jwt", "--key-algorithm=ecdsa-p256")
	s.must("domain", "edit", "example.com", "--create-key=jwt", "--key-algorithm=ed25519")

	keys, err := sealedKeys(t.Context(), s.conn())
	if err != nil || len(keys) != 5 {
		t.Fatalf("%d keys, %v; want 5", len(keys), err)
	}
	for _, k := range keys {
		key := privateKey(t, k)
		algorithm, err := token.AlgorithmOf(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		text := s.must("domain", "pubkey", "example.com", "--key", k.Purpose, "--key-algorithm", string(algorithm))
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			t.Fatalf("%s: pubkey printed %q", k.label(), text)
		}
		pub, err := token.UnmarshalPublic(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !verifies(t, pub, key) {
			t.Errorf("%s: its signature does not verify with what pubkey prints", k.label())
		}
		if k.KID != nil {
			if kid, err := token.KID(pub); err != nil || kid != *k.KID {
				t.Errorf("kid %s, want %s, %v", *k.KID, kid, err)
			}
		}
		if pub, ok := pub.(*rsa.PublicKey); ok && pub.N.BitLen() != 2048 {
			t.Errorf("%s has %d bits", k.label(), pub.N.BitLen())
		}
		if bytes.Contains(k.SealedKey, k.PublicKey) {
			t.Errorf("%s is not sealed", k.label())
		}
	}
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestImportKey(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0") // to make a key that is too short
	rsaKey := func(bits int) *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	pkcs1 := func(key *rsa.PrivateKey) string {
		return pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), nil)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemOf(t, "PRIVATE KEY", der, err)
	}
	strong, short, tooShort := rsaKey(2048), rsaKey(1024), rsaKey(512)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	public, publicErr := x509.MarshalPKIXPublicKey(&strong.PublicKey)

	tests := map[string]struct {
		purpose, text string
		args          string
		key           crypto.Signer // nil: it is refused
		name          string        // selector
		stderr        string
	}{
		"RSA of the ancestor, for tokens":  {"jwt", pkcs1(strong), "", strong, "", "Key jwt "},
		"RSA of the ancestor, for mail":    {"dkim", pkcs1(strong), "", strong, "default", "Key dkim default (rsa) imported for example.com"},
		"with the line ends of Windows":    {"dkim", strings.ReplaceAll(pkcs1(strong), "\n", "\r\n"), "", strong, "default", ""},
		"PKCS #8":                          {"dkim", pkcs8(strong), "--selector Mail.2026", strong, "mail.2026", ""},
		"Ed25519 for mail":                 {"dkim", pkcs8(edwards), "", edwards, "default-ed25519", ""},
		"Ed25519 under another selector":   {"dkim", pkcs8(edwards), "--selector ed", edwards, "ed", ""},
		"Ed25519 for tokens":               {"jwt", pkcs8(edwards), "", edwards, "", ""},
		"ECDSA for tokens":                 {"jwt", pemOf(t, "EC PRIVATE KEY", sec1, err), "", curve, "", ""},
		"ECDSA for mail":                   {"dkim", pkcs8(curve), "", nil, "", "DKIM has no signatures with ECDSA"},
		"RSA of 1024 bits for mail":        {"dkim", pkcs1(short), "", short, "default", "warning: an RSA key of less than 2048 bits"},
		"RSA of 1024 bits for tokens":      {"jwt", pkcs1(short), "", nil, "", "the RSA key has 1024 bits"},
		"RSA of 512 bits":                  {"dkim", pkcs1(tooShort), "", nil, "", "want"},
		"garbage":                          {"dkim", "hello\n", "", nil, "", "the key is not PEM"},
		"garbage in PEM":                   {"dkim", pemOf(t, "RSA PRIVATE KEY", []byte("hello"), nil), "", nil, "", "no valid key"},
		"nothing":                          {"jwt", "", "", nil, "", "the key is not PEM"},
		"the public half":                  {"jwt", pemOf(t, "PUBLIC KEY", public, publicErr), "", nil, "", "want the private key"},
		"two keys":                         {"jwt", pkcs1(strong) + pkcs1(strong), "", nil, "", "more than one"},
		"more than any key":                {"jwt", strings.Repeat("x", maxKeyFile+1), "", nil, "", "not PEM"},
		"a selector that is none":          {"dkim", pkcs1(strong), "--selector a..b", nil, "", "bad value for --selector"},
		"a selector for tokens":            {"jwt", pkcs1(strong), "--selector a", nil, "", "only a DKIM key has a selector"},
		"a second key of the same kind":    {"dkim", pkcs1(strong), "--again", nil, "", "--overwrite takes its place"},
		"a second key, with --overwrite":   {"dkim", pkcs1(strong), "--again --overwrite", strong, "default", ""},
		"a domain that does not exist":     {"dkim", pkcs1(strong), "--elsewhere", nil, "", "there is no domain example.org"},
		"a name that is no domain":         {"dkim", pkcs1(strong), "--nowhere", nil, "", "two in a row"},
		"no SECRET_KEY":                    {"dkim", pkcs1(strong), "--unsealed", nil, "", "SECRET_KEY is not set"},
		"a purpose that is none":           {"tls", pkcs1(strong), "", nil, "", "neither jwt nor dkim"},
		"an algorithm that nobody asks of": {"dkim", pkcs1(strong), "--key-algorithm rsa", nil, "", "unknown flag --key-algorithm"},
	}
	s := newShell(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := shell{t, s.db}
			s.run("", "domain", "remove", "-y", "example.com")
			s.must("domain", "create", "example.com")
			file := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}

			args := []string{"domain", "import-key", "--key", tt.purpose, "example.com", "-"}
			for _, arg := range strings.Fields(tt.args) {
				switch arg {
				case "--again": // from a file, for a change
					s.must("domain", "import-key", "--key", tt.purpose, "example.com", file)
				case "--elsewhere":
					args[4] = "example.org"
				case "--nowhere":
					args[4] = "a..b"
				case "--unsealed":
					t.Setenv("SECRET_KEY", "")
				default:
					args = append(args, arg)
				}
			}
			code, stdout, stderr := s.run(tt.text, args...)
			if (code == command.Done) != (tt.key != nil) || !strings.Contains(stderr, tt.stderr) || stdout != "" {
				t.Fatalf("exit %d, stdout %q, stderr %q; want %q", code, stdout, stderr, tt.stderr)
			}
			if lines := strings.Split(tt.text, "\n"); len(lines) > 2 && strings.Contains(stderr, lines[1]) {
				t.Errorf("the key shows: %s", stderr)
			}
			if tt.key == nil {
				return
			}
			keys, err := sealedKeys(t.Context(), s.conn())
			if err != nil || len(keys) != 1 {
				t.Fatalf("%d keys, %v; want one", len(keys), err)
			}
			if !verifies(t, tt.key.Public(), privateKey(t, keys[0])) {
				t.Error("what is stored is another key")
			}
			if keys[0].Selector != nil && *keys[0].Selector != tt.name {
				t.Errorf("selector %q, want %q", *keys[0].Selector, tt.name)
			}
		})
	}
}

// Two redirects that are harmless each: not both are made.
func TestRedirectRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "a.test")
	s.must("domain", "create", "b.test")
	edits := []struct{ from, to address.Domain }{{"a.test", "b.test"}, {"b.test", "a.test"}}
	conns := []*pgx.Conn{s.conn(), s.conn()}
	for range 20 {
		var racers sync.WaitGroup
		errs := make([]error, len(edits))
		for i, e := range edits {
			racers.Go(func() {
				to := redirectTarget(e.to)
				errs[i] = editDomain(t.Context(), conns[i], e.from, domainSettings{redirect: &to}, keyChange{})
			})
		}
		racers.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("want one to win: %v", errs)
		}
		none := redirectTarget("")
		for i, e := range edits {
			if err := editDomain(t.Context(), conns[i], e.from, domainSettings{redirect: &none}, keyChange{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Many create one domain: one does, the others hear why not.
func TestCreateDomainRace(t *testing.T) {
	s := newShell(t)
	var racers sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		conn := s.conn()
		racers.Go(func() {
			var made domainSettings
			made.jwtSubdomains, made.transactional = new(bool), new(bool)
			made.fillIn()
			errs[i] = createDomain(t.Context(), conn, "example.com", made, nil)
		})
	}
	racers.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if err.Error() != "domain example.com already exists" {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// Many activate keys of one kind at once, each another: each has its turn, one
// signs in the end, and what signed before verifies.
func TestActivateKeyRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com", "--create-key=jwt", "--key-algorithm=ed25519")
	const racers = 20
	for range racers {
		s.must("domain", "publish-key", "example.com", "--key=jwt", "--key-algorithm=ed25519")
	}
	owner := domainOwner("example.com", "")
	keys, err := findKeys(t.Context(), s.conn(), owner)
	if err != nil || len(keys) != racers+1 {
		t.Fatalf("%d keys, %v; want %d", len(keys), err, racers+1)
	}
	var wg sync.WaitGroup
	changes, errs := make([]keyChanged, racers), make([]error, racers)
	for i, k := range keys[1:] {
		conn := s.conn()
		wg.Go(func() { changes[i], errs[i] = activateKey(t.Context(), conn, owner, *k.KID) })
	}
	wg.Wait()
	retired := map[string]bool{}
	for i := range racers {
		if errs[i] != nil {
			t.Error(errs[i])
		}
		retired[changes[i].Other] = true
	}
	if len(retired) != racers || retired[""] {
		t.Errorf("%d keys were retired, want %d", len(retired), racers)
	}
	if keys, err = findKeys(t.Context(), s.conn(), owner); err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	for _, k := range keys {
		states[k.State]++
	}
	if states["active"] != 1 || states["retired"] != racers || len(keys) != racers+1 {
		t.Errorf("%v, want one active, %d retired", states, racers)
	}
}

// A key that appears while the others are being sealed anew is not left
// behind under the old secret.
func TestResealRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com", "--create-key=jwt", "--key-algorithm=ed25519")
	old, err := seal.NewMaster(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := seal.NewMaster(strings.ToUpper(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := sealedKeys(t.Context(), s.conn())
	if err != nil {
		t.Fatal(err)
	}
	anew, _, err := sealAnew(keys, old, fresh)
	if err != nil {
		t.Fatal(err)
	}

	s.must("domain", "create", "example.org", "--create-key=jwt", "--key-algorithm=ed25519")
	if done, err := resealKeys(t.Context(), s.conn(), anew); done || err != nil {
		t.Fatalf("resealed without the new key: %v, %v", done, err)
	}
	resealed, total, err := reseal(t.Context(), s.conn(), old, fresh, false)
	if resealed != 2 || total != 2 || err != nil {
		t.Errorf("resealed %d of %d, %v; want both", resealed, total, err)
	}
	if _, _, err := reseal(t.Context(), s.conn(), old, old, false); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("with the old secret alone: %v", err)
	}
}

// A selector that is accepted is one in the table and in the DNS, and is
// itself when it is typed again.
func FuzzDKIMSelector(f *testing.F) {
	for _, s := range []string{"default", "Mail.2026", "a..b", "-a", "_x", "é", "\u212a", "a b", "", "a-ed25519"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var s, again dkimSelector
		if s.Set(in) != nil {
			return
		}
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is %q, then %q, %v", in, s, again, err)
		}
		if _, err := address.ParseDomain(strings.ReplaceAll(s.String(), "_", "x") + ed25519Suffix + ".test"); err != nil {
			t.Errorf("%q is %q: %v", in, s, err)
		}
	})
}
