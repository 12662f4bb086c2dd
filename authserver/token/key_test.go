package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/libtrust"
)

func TestGenerate(t *testing.T) {
	for _, a := range []Algorithm{RSA, Ed25519, P256} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			key, err := Generate(a)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := AlgorithmOf(key.Public()); got != a || err != nil {
				t.Errorf("AlgorithmOf = %q, %v", got, err)
			}
			if err := check(key.Public(), JWT); err != nil {
				t.Error(err)
			}
			if Weak(key.Public()) {
				t.Error("the key is weak")
			}

			der, err := MarshalPrivate(key)
			if err != nil {
				t.Fatal(err)
			}
			again, err := UnmarshalPrivate(der)
			if err != nil {
				t.Fatal(err)
			}
			if !again.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				t.Error("another key came back from PKCS #8")
			}
			if der, err = MarshalPublic(key.Public()); err != nil {
				t.Fatal(err)
			}
			pub, err := UnmarshalPublic(der)
			if err != nil {
				t.Fatal(err)
			}
			if kid(t, pub) != kid(t, key.Public()) {
				t.Error("another key came back from SPKI")
			}
		})
	}
	if _, err := Generate("dsa"); err == nil {
		t.Error("an unknown algorithm made a key")
	}
}

// One key in 128 has a coordinate that begins with a zero byte.
func TestGenerateFullCoordinates(t *testing.T) {
	for range 1000 {
		key, err := Generate(P256)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.Public().(*ecdsa.PublicKey).Bytes()
		if err != nil || len(point) != 65 {
			t.Fatalf("point of %d bytes, %v", len(point), err)
		}
		if point[1] == 0 || point[33] == 0 {
			t.Fatalf("point %x", point)
		}
	}
}

func TestParsePrivate(t *testing.T) {
	tests := map[string]struct {
		file       string
		purpose    Purpose
		want       Algorithm
		weak       bool
		wantsError string // part of it; then want is not looked at
	}{
		"PKCS #1":                      {"rsa2048.pkcs1.pem", JWT, RSA, false, ""},
		"PKCS #8":                      {"rsa2048.pkcs8.pem", DKIM, RSA, false, ""},
		"PKCS #8 of Ed25519":           {"ed25519.pkcs8.pem", DKIM, Ed25519, false, ""},
		"PKCS #8 of P-256":             {"p256.pkcs8.pem", JWT, P256, false, ""},
		"SEC 1, after EC PARAMETERS":   {"p256.sec1.pem", JWT, P256, false, ""},
		"1024 bits for DKIM":           {"rsa1024.pkcs1.pem", DKIM, RSA, true, ""},
		"1024 bits for tokens":         {"rsa1024.pkcs1.pem", JWT, "", false, "1024 bits, want 2048"},
		"512 bits":                     {"rsa512.pkcs1.pem", DKIM, "", false, "512 bits, want 1024"},
		"P-256 for DKIM":               {"p256.pkcs8.pem", DKIM, "", false, "want an RSA or Ed25519 key"},
		"P-384":                        {"p384.sec1.pem", JWT, "", false, "curve P-384, want P-256"},
		"X25519":                       {"x25519.pkcs8.pem", DKIM, "", false, "for key agreement"},
		"encrypted PKCS #1":            {"rsa2048.pkcs1.encrypted.pem", DKIM, "", false, "is encrypted"},
		"encrypted PKCS #8":            {"rsa2048.pkcs8.encrypted.pem", DKIM, "", false, "is encrypted"},
		"OpenSSH":                      {"ed25519.openssh.pem", DKIM, "", false, "format of OpenSSH"},
		"the public half":              {"rsa2048.public.pem", DKIM, "", false, "want the private key"},
		"what is beside the keys here": {"README", DKIM, "", false, "not PEM"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := read(t, tt.file)
			for _, text := range []string{text, strings.TrimSpace(text), "\n" + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"} {
				key, err := ParsePrivate(text, tt.purpose)
				if tt.wantsError != "" {
					if err == nil || !strings.Contains(err.Error(), tt.wantsError) {
						t.Fatalf("error %v, want %q", err, tt.wantsError)
					}
					showsNothing(t, err, text)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, err := AlgorithmOf(key.Public()); got != tt.want || err != nil {
					t.Errorf("AlgorithmOf = %q, %v; want %q", got, err, tt.want)
				}
				if Weak(key.Public()) != tt.weak {
					t.Errorf("weak: %v, want %v", !tt.weak, tt.weak)
				}
			}
		})
	}
}

// PKCS #1 and PKCS #8 of one key are one key.
func TestParsePrivateFormatsAgree(t *testing.T) {
	for _, pair := range [][2]string{{"rsa2048.pkcs1.pem", "rsa2048.pkcs8.pem"}, {"p256.sec1.pem", "p256.pkcs8.pem"}} {
		var kids [2]string
		for i, file := range pair {
			key, err := ParsePrivate(read(t, file), JWT)
			if err != nil {
				t.Fatal(err)
			}
			kids[i] = kid(t, key.Public())
		}
		if kids[0] != kids[1] {
			t.Errorf("%v have the names %v", pair, kids)
		}
	}
	key, err := ParsePrivate(read(t, "rsa2048.pkcs1.pem"), JWT)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := PublicPEM(key.Public()); got != read(t, "rsa2048.public.pem") || err != nil {
		t.Errorf("PublicPEM = %q, %v; want as openssl wrote it", got, err)
	}
}

func TestParsePrivateRefusesDamagedText(t *testing.T) {
	rsa2048, ed := read(t, "rsa2048.pkcs8.pem"), read(t, "ed25519.pkcs8.pem")
	tests := map[string]string{
		"empty":                         "",
		"a line of dashes":              "-----BEGIN ",
		"two keys":                      rsa2048 + ed,
		"the same key twice":            ed + ed,
		"text after it":                 rsa2048 + "# backup\n",
		"text before it":                "# backup\n" + rsa2048,
		"a damaged block before it":     strings.Replace(ed, "M", "!", 1) + ed,
		"a damaged block after it":      ed + strings.Replace(ed, "-----END", "----END", 1),
		"no last line":                  rsa2048[:strings.Index(rsa2048, "-----END")],
		"another last line":             strings.Replace(rsa2048, "END PRIVATE", "END RSA PRIVATE", 1),
		"half of it":                    rsa2048[:len(rsa2048)/2] + "\n-----END PRIVATE KEY-----\n",
		"nothing between":               "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		"wrong label":                   strings.ReplaceAll(rsa2048, "PRIVATE KEY", "RSA PRIVATE KEY"),
		"unknown label":                 strings.ReplaceAll(rsa2048, "PRIVATE KEY", "DSA PRIVATE KEY"),
		"parameters and no key":         "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
		"without its frame":             strings.Join(strings.Split(ed, "\n")[1:2], ""),
		"seed of 31 bytes":              base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"a digit of the number changed": strings.Replace(rsa2048, rsa2048[400:402], "AA", 1),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePrivate(text, DKIM)
			if err == nil {
				t.Fatal("it was read")
			}
			showsNothing(t, err, text)
		})
	}
}

// RFC 8463 appendix A.2: the key as dknewkey writes it.
func TestParsePrivateSeed(t *testing.T) {
	const seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
	key, err := ParsePrivate(seed+"\n", DKIM)
	if err != nil {
		t.Fatal(err)
	}
	pub := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	if want := "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="; pub != want {
		t.Errorf("public key %s, want %s", pub, want)
	}
	if _, err := ParsePrivate(seed, JWT); err == nil {
		t.Error("a seed was read as a key for tokens")
	}
}

func TestKIDVectors(t *testing.T) {
	tests := map[string]struct {
		pub  crypto.PublicKey
		want string
	}{
		"RFC 7638 section 3.1": {&rsa.PublicKey{
			N: new(big.Int).SetBytes(decode(t, "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")),
			E: 65537,
		}, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 8037 appendix A.3": {
			ed25519.PublicKey(decode(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
			"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := kid(t, tt.pub); got != tt.want {
				t.Errorf("KID = %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := KID("no key"); err == nil {
		t.Error("a string has a KID")
	}
}

// RFC 7518 section 6.2.1.2: coordinates have their full length, zeros included.
func TestLibtrustKID(t *testing.T) {
	for _, file := range []string{"rsa2048.pkcs8.pem", "p256.pkcs8.pem"} {
		key := signingKey(t, file)
		theirs, err := libtrust.FromCryptoPublicKey(key.Public)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := libtrustKID(key.Public); err != nil || got != theirs.KeyID() {
			t.Errorf("%s: %s, %v; want %s", file, got, err, theirs.KeyID())
		}
	}
	got, err := libtrustKID(signingKey(t, "ed25519.pkcs8.pem").Public)
	if err != nil || !regexp.MustCompile(`^[A-Z2-7]{4}(:[A-Z2-7]{4}){11}$`).MatchString(got) {
		t.Errorf("Ed25519: %s, %v", got, err)
	}
	if _, err := libtrustKID("no key"); err == nil {
		t.Error("what is no key has a name")
	}
}

func TestKIDOfShortCoordinate(t *testing.T) {
	var key *ecdsa.PrivateKey
	for full := true; full; {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
		if full, err = hasFullCoordinates(&key.PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(map[string]string{ // its names sorted, as RFC 7638 wants them
		"crv": "P-256", "kty": "EC",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(point[33:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(jwk)
	if got, want := kid(t, &key.PublicKey), base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("KID = %s, want %s", got, want)
	}
}

// Whatever is read as a key is one that can be stored and read again.
func FuzzParsePrivate(f *testing.F) {
	files, err := filepath.Glob("testdata/*.pem")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(read(f, filepath.Base(file)), true)
		f.Add(read(f, filepath.Base(file)), false)
	}
	f.Fuzz(func(t *testing.T, text string, dkim bool) {
		p := JWT
		if dkim {
			p = DKIM
		}
		key, err := ParsePrivate(text, p)
		if err != nil {
			return
		}
		if err := check(key.Public(), p); err != nil {
			t.Error(err)
		}
		der, err := MarshalPrivate(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := UnmarshalPrivate(der)
		if err != nil || kid(t, again.Public()) != kid(t, key.Public()) {
			t.Errorf("another key came back: %v", err)
		}
	})
}

// showsNothing fails the test if an error repeats a part of the key's text.
func showsNothing(t *testing.T, err error, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); len(line) > 8 && !strings.HasPrefix(line, "-") && strings.Contains(err.Error(), line[:8]) {
			t.Errorf("error %q repeats the key", err)
		}
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func kid(t *testing.T, pub crypto.PublicKey) string {
	t.Helper()
	kid, err := KID(pub)
	if err != nil {
		t.Fatal(err)
	}
	return kid
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkGenerate(b *testing.B) {
	for _, a := range []Algorithm{RSA, Ed25519, P256} {
		b.Run(fmt.Sprint(a), func(b *testing.B) {
			for b.Loop() {
				if _, err := Generate(a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
