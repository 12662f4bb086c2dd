package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const (
	secretKey = "SoBMx2Xq9hJ0mVfZ6cWk1tYrLd8PnEaUgI3wTz5yRv7bQeHsOjKi4lGuDxCpNf0A"
	row       = "auth.keys/example.com/dkim/mail2026"
)

// Pinned: what is in a database today must open with every later release.
const (
	goldenKey  = "dkim:E6MwRxpxLE8pFi4qx9mvk7paz4WQYm380nxnJ9glQsvICFej"
	goldenID   = "44db6075a4c40fcb"
	goldenBlob = "0144db6075a4c40fcbeca215712fad1cbc312e8efa0bd8f01df249fc6e09579fcc71f4795ff3e551f0575d7050008985e872"
	goldenText = "a private key"
)

func master(t testing.TB, secret string) Master {
	t.Helper()
	m, err := NewMaster(secret)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGolden(t *testing.T) {
	k := master(t, secretKey).Derive(DKIM)
	if k.Export() != goldenKey {
		t.Errorf("key %q, want %q", k.Export(), goldenKey)
	}
	if k.ID() != goldenID {
		t.Errorf("id %s, want %s", k.ID(), goldenID)
	}
	blob, err := hex.DecodeString(goldenBlob)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := k.Open(blob, row)
	if err != nil || string(plain) != goldenText {
		t.Errorf("Open = %q, %v; want %q", plain, err, goldenText)
	}
}

func TestSealAndOpen(t *testing.T) {
	k := master(t, secretKey).Derive(TOTP)
	for _, plain := range []string{"", "x", strings.Repeat("a private key ", 1000)} {
		sealed := k.Seal([]byte(plain), row)
		if id, err := sealed.KeyID(); err != nil || id != k.ID() {
			t.Errorf("KeyID = %s, %v; want %s", id, err, k.ID())
		}
		if len(plain) > 8 && bytes.Contains(sealed, []byte(plain[:8])) {
			t.Error("the blob shows what it holds")
		}
		got, err := k.Open(sealed, row)
		if err != nil || string(got) != plain {
			t.Errorf("Open = %q, %v; want %q", got, err, plain)
		}
		if bytes.Equal(sealed, k.Seal([]byte(plain), row)) {
			t.Error("sealed twice, the blobs are the same")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	m := master(t, secretKey)
	k := m.Derive(DKIM)
	sealed := k.Seal([]byte("a private key"), row)

	t.Run("another row", func(t *testing.T) {
		for _, other := range []string{"", row + "2", "auth.totp/example.com/dkim/mail2026"} {
			if _, err := k.Open(sealed, other); !errors.Is(err, ErrDamaged) {
				t.Errorf("row %q: %v, want ErrDamaged", other, err)
			}
		}
	})
	others := map[string]Key{
		"another purpose":    m.Derive(JWT),
		"another SECRET_KEY": master(t, strings.ToLower(secretKey)).Derive(DKIM),
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			_, err := other.Open(sealed, row)
			if !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), k.ID()) || !strings.Contains(err.Error(), other.ID()) {
				t.Errorf("%v; want ErrWrongKey with %s and %s", err, k.ID(), other.ID())
			}
			// Nor with the id of this key written into the blob.
			forged := append(append(Sealed{version}, other.id[:]...), sealed[headerLen:]...)
			if _, err := other.Open(forged, row); !errors.Is(err, ErrDamaged) {
				t.Errorf("key id replaced: %v, want ErrDamaged", err)
			}
		})
	}
	t.Run("any bit flipped", func(t *testing.T) {
		for i := range len(sealed) * 8 {
			damaged := bytes.Clone(sealed)
			damaged[i/8] ^= 1 << (i % 8)
			want := ErrDamaged
			if 1 <= i/8 && i/8 < headerLen {
				want = ErrWrongKey
			}
			if _, err := k.Open(damaged, row); !errors.Is(err, want) {
				t.Fatalf("bit %d: %v, want %v", i, err, want)
			}
		}
	})
	t.Run("any length but its own", func(t *testing.T) {
		for n := range sealed {
			if _, err := k.Open(sealed[:n], row); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%d bytes: %v, want ErrDamaged", n, err)
			}
		}
		if _, err := k.Open(append(bytes.Clone(sealed), 0), row); !errors.Is(err, ErrDamaged) {
			t.Errorf("one byte more: %v, want ErrDamaged", err)
		}
	})
}

func TestNewMaster(t *testing.T) {
	tests := map[string]struct {
		secret string
		ok     bool
	}{
		"48 random bytes":      {secretKey, true},
		"32 bytes":             {secretKey[:32], true},
		"31 bytes":             {secretKey[:31], false},
		"31 bytes and blanks":  {secretKey[:31] + " \r\n", false},
		"empty":                {"", false},
		"the ancestor's DEBUG": {"secretsekrit", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewMaster(tt.secret)
			if (err == nil) != tt.ok {
				t.Fatalf("NewMaster: %v", err)
			}
			if err != nil && tt.secret != "" && strings.Contains(err.Error(), tt.secret) {
				t.Errorf("the error has the secret: %v", err)
			}
		})
	}
	// The same from a file, which ends with a line end.
	if a, b := master(t, secretKey).Derive(JWT), master(t, secretKey+"\n").Derive(JWT); a != b {
		t.Error("a line end at its end makes another key")
	}
}

func TestDeriveKeysOfTheirOwn(t *testing.T) {
	seen := map[string]Purpose{}
	for _, p := range []Purpose{DKIM, JWT, TOTP, Refresh} {
		k := master(t, secretKey).Derive(p)
		if other, found := seen[k.ID()]; found || k.Purpose() != p {
			t.Errorf("%s: key %v, the same as for %q", p, k, other)
		}
		seen[k.ID()] = p
	}
}

func TestDeriveMAC(t *testing.T) {
	m := master(t, secretKey)
	// Pinned: what the database knows by this key must mean the same later.
	const golden = "86a4441a7f7d3648d40ad95064b058cb686989cfffc6f380db003ed3ca26dcf7"
	login := m.DeriveMAC("login")
	if got := hex.EncodeToString(login[:]); got != golden {
		t.Errorf("%s, want %s", got, golden)
	}
	if m.DeriveMAC("Login") == login || m.DeriveMAC("") == login {
		t.Error("another name has the same key")
	}
	if master(t, strings.ToLower(secretKey)).DeriveMAC("login") == login {
		t.Error("another SECRET_KEY has the same key")
	}
	for _, p := range []Purpose{DKIM, JWT, TOTP, Refresh} {
		if m.DeriveMAC(string(p)) == m.Derive(p).material {
			t.Errorf("the sealing key for %s is also one for codes", p)
		}
	}
}

func TestParseKey(t *testing.T) {
	k := master(t, secretKey).Derive(DKIM)
	text := k.Export()
	got, err := ParseKey(" " + text + "\r\n")
	if err != nil || got != k {
		t.Fatalf("ParseKey = %v, %v; want %v", got, err, k)
	}
	sealed := k.Seal([]byte("x"), row)
	if _, err := got.Open(sealed, row); err != nil {
		t.Errorf("Open: %v", err)
	}

	wrong := map[string]string{
		"empty":                "",
		"SECRET_KEY itself":    secretKey,
		"no purpose":           strings.TrimPrefix(text, "dkim:"),
		"unknown purpose":      "mail" + strings.TrimPrefix(text, "dkim"),
		"purpose of another":   "jwt" + strings.TrimPrefix(text, "dkim"),
		"purpose in capitals":  "DKIM" + strings.TrimPrefix(text, "dkim"),
		"short":                text[:len(text)-1],
		"long":                 text + "A",
		"broken into lines":    text[:20] + "\n" + text[20:],
		"not base64":           text[:20] + "!" + text[21:],
		"two letters swapped":  text[:21] + text[22:23] + text[21:22] + text[23:],
		"key without checksum": "dkim:" + base64.URLEncoding.EncodeToString(k.material[:]),
	}
	for name, text := range wrong {
		t.Run(name, func(t *testing.T) {
			_, err := ParseKey(text)
			if err == nil {
				t.Fatalf("%q was read", text)
			}
			if _, tail, _ := strings.Cut(text, ":"); len(tail) > 8 && strings.Contains(err.Error(), tail[:8]) {
				t.Errorf("the error has the key: %v", err)
			}
			if strings.Contains(err.Error(), secretKey[:8]) {
				t.Errorf("the error has SECRET_KEY: %v", err)
			}
		})
	}
	t.Run("any character replaced", func(t *testing.T) {
		for i := range text {
			for _, c := range []byte("Az0_") {
				if text[i] == c {
					continue
				}
				if _, err := ParseKey(text[:i] + string(c) + text[i+1:]); err == nil {
					t.Errorf("%q for character %d was read", c, i)
				}
			}
		}
	})
}

func TestKeyring(t *testing.T) {
	old := master(t, secretKey).Derive(JWT)
	fresh := master(t, strings.ToUpper(secretKey)).Derive(JWT)
	foreign := master(t, strings.ToLower(secretKey)).Derive(JWT)
	ring := Keyring{fresh, old}
	sealed := old.Seal([]byte("a private key"), row)

	if plain, err := ring.Open(sealed, row); err != nil || string(plain) != "a private key" {
		t.Errorf("Open = %q, %v", plain, err)
	}
	resealed, changed, err := ring.Reseal(sealed, row)
	if err != nil || !changed {
		t.Fatalf("Reseal = %v, %v; want another blob", changed, err)
	}
	if plain, err := fresh.Open(resealed, row); err != nil || string(plain) != "a private key" {
		t.Errorf("Open with the new key = %q, %v", plain, err)
	}
	if _, err := old.Open(resealed, row); !errors.Is(err, ErrWrongKey) {
		t.Errorf("Open with the old key: %v, want ErrWrongKey", err)
	}
	again, changed, err := ring.Reseal(resealed, row)
	if err != nil || changed || !bytes.Equal(again, resealed) {
		t.Errorf("a second Reseal = %v, %v; want the blob as it is", changed, err)
	}

	_, err = ring.Open(foreign.Seal([]byte("x"), row), row)
	for _, k := range []Key{old, fresh, foreign} {
		if !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), k.ID()) {
			t.Errorf("%v; want ErrWrongKey with %s", err, k.ID())
		}
	}
	if _, _, err := ring.Reseal(sealed, "auth.keys/example.org"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Reseal for another row: %v, want ErrDamaged", err)
	}
}

func TestKeysHideThemselves(t *testing.T) {
	m := master(t, secretKey)
	k := m.Derive(DKIM)
	_, exported, _ := strings.Cut(k.Export(), ":")
	shown := k.String() + m.String()
	var log bytes.Buffer
	for _, v := range []any{k, &k, m, &m, Keyring{k}, struct{ K Key }{k}, struct{ M Master }{m}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			shown += fmt.Sprintf(verb, v)
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("here", "key", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("here", "key", v)
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		shown += string(encoded)
	}
	shown += log.String()
	secrets := []string{
		secretKey[:16], hex.EncodeToString([]byte(secretKey[:16])), exported[:16],
		hex.EncodeToString(k.material[:8]), strings.ToUpper(hex.EncodeToString(k.material[:8])),
		fmt.Sprint(k.material[:8])[1:20],
	}
	for _, secret := range secrets {
		if strings.Contains(shown, secret) {
			t.Errorf("%q shows in %s", secret, shown)
		}
	}
}

// Only what Seal made opens.
func FuzzOpen(f *testing.F) {
	k := master(f, secretKey).Derive(DKIM)
	good, err := hex.DecodeString(goldenBlob)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, row)
	f.Add([]byte(good[:headerLen]), row)
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, blob []byte, forRow string) {
		plain, err := k.Open(blob, forRow)
		if err == nil && !(bytes.Equal(blob, good) && forRow == row) {
			t.Errorf("Open(%x, %q) = %q", blob, forRow, plain)
		}
		if err != nil && !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrDamaged) {
			t.Errorf("Open(%x, %q): %v", blob, forRow, err)
		}
	})
}

// Whatever is read as a key prints as the same text.
func FuzzParseKey(f *testing.F) {
	for _, p := range []Purpose{DKIM, JWT, TOTP, Refresh} {
		f.Add(master(f, secretKey).Derive(p).Export())
	}
	f.Add("dkim:")
	f.Fuzz(func(t *testing.T, in string) {
		if k, err := ParseKey(in); err == nil && k.Export() != strings.TrimSpace(in) {
			t.Errorf("%q printed as %q", in, k.Export())
		}
	})
}
