package token

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The header is the same for every token of a key, and says no more than it
// must: alg, kid and typ.
func TestSignHeader(t *testing.T) {
	for file, want := range map[string]string{
		"rsa2048.pkcs8.pem": `{"alg":"RS256","kid":"`,
		"p256.pkcs8.pem":    `{"alg":"ES256","kid":"`,
		"ed25519.pkcs8.pem": `{"alg":"EdDSA","kid":"`,
	} {
		key := signingKey(t, file)
		text, err := key.Sign(map[string]int64{"exp": 1800000000})
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(text, ".")
		if len(parts) != 3 {
			t.Fatalf("%s: %d parts", file, len(parts))
		}
		header, err := base64.RawURLEncoding.DecodeString(parts[0])
		if err != nil || string(header) != want+key.KID+`","typ":"JWT"}` {
			t.Errorf("%s: header %s, %v", file, header, err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || string(payload) != `{"exp":1800000000}` {
			t.Errorf("%s: payload %s, %v", file, payload, err)
		}
	}
}

// Whichever way a token names its key, whoever has the certificate finds it and
// verifies the token.
func TestSignHinted(t *testing.T) {
	for file, alg := range map[string]jose.SignatureAlgorithm{
		"rsa2048.pkcs8.pem": jose.RS256, "p256.pkcs8.pem": jose.ES256, "ed25519.pkcs8.pem": jose.EdDSA,
	} {
		key := signingKey(t, file)
		libtrust, err := libtrustKID(key.Public)
		if err != nil {
			t.Fatal(err)
		}
		der, err := key.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		x5c := `"x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]`

		for hint, want := range map[Hint]string{
			HintKID:      `{"alg":"` + string(alg) + `","kid":"` + key.KID + `","typ":"JWT"}`,
			HintLibtrust: `{"alg":"` + string(alg) + `","kid":"` + libtrust + `","typ":"JWT"}`,
			HintX5C:      `{"alg":"` + string(alg) + `","typ":"JWT",` + x5c + `}`,
			HintX5CKID:   `{"alg":"` + string(alg) + `","kid":"` + key.KID + `","typ":"JWT",` + x5c + `}`,
		} {
			for range 2 {
				text, err := key.SignHinted(hint, map[string]int64{"exp": 1800000000})
				if err != nil {
					t.Fatal(err)
				}
				encoded, _, _ := strings.Cut(text, ".")
				header, err := base64.RawURLEncoding.DecodeString(encoded)
				if err != nil || string(header) != want {
					t.Errorf("%s: header %s, %v; want %s", hint, header, err, want)
				}

				jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{alg})
				if err != nil {
					t.Fatal(err)
				}
				if payload, err := jws.Verify(certificate.PublicKey); err != nil || string(payload) != `{"exp":1800000000}` {
					t.Errorf("%s: %s, %v", hint, payload, err)
				}
				if hint == HintX5C || hint == HintX5CKID {
					chains, err := jws.Signatures[0].Protected.Certificates(x509.VerifyOptions{
						Roots: roots, CurrentTime: certificate.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
					})
					if err != nil || len(chains) != 1 {
						t.Errorf("%s: chains %v, %v", hint, chains, err)
					}
				}
			}
		}
		if text, err := key.SignHinted("jku", nil); err == nil {
			t.Errorf("a hint that is none: %s", text)
		}
	}
}

// The certificate of an RSA key costs as much as a token. It is made when the
// first token has it, and not again.
func TestHeaderIsMadeOnce(t *testing.T) {
	key := signingKey(t, "rsa2048.pkcs8.pem")
	made, certificate := 0, key.certificate
	key.certificate = func() ([]byte, error) {
		made++
		return certificate()
	}
	for _, step := range []struct {
		hint Hint
		made int
	}{{HintKID, 0}, {HintLibtrust, 0}, {HintX5CKID, 1}, {HintX5CKID, 1}, {HintX5C, 2}, {HintX5C, 2}} {
		if _, err := key.SignHinted(step.hint, nil); err != nil || made != step.made {
			t.Errorf("%s: asked %d times for the certificate, want %d; %v", step.hint, made, step.made, err)
		}
	}
}

func TestParseHint(t *testing.T) {
	for _, name := range []string{"kid", "kid-libtrust", "x5c", "x5c+kid"} {
		if h, err := ParseHint(name); err != nil || string(h) != name {
			t.Errorf("ParseHint(%q) = %q, %v", name, h, err)
		}
	}
	for _, name := range []string{"", "KID", "kid ", "x5c kid", "kid+x5c", "jku"} {
		if h, err := ParseHint(name); err == nil {
			t.Errorf("ParseHint(%q) = %q", name, h)
		}
	}
}

// A token as /checkpassword answers with one, beside the signature alone.
func BenchmarkSign(b *testing.B) {
	type claims struct {
		Subject       string   `json:"sub"`
		Canonical     string   `json:"canonical_username"`
		Authenticated bool     `json:"authenticated"`
		Authorized    bool     `json:"authorized"`
		Scopes        []string `json:"scopes"`
		NotBefore     int64    `json:"nbf"`
		Expires       int64    `json:"exp"`
		IssuedAt      int64    `json:"iat"`
		Issuer        string   `json:"iss"`
		Audience      string   `json:"aud"`
		ID            string   `json:"jti"`
		Nonce         string   `json:"nonce"`
	}
	content := claims{
		"alice@example.com", "alice@example.com", true, true, []string{"mail", "files", "wiki"},
		1800000000, 1800003600, 1800000005, "example.com", "net.maurus.authclient", "4Zs2o8rTqW1xYb7N", "q83vEjRWeJCrze8SNFZ4kA",
	}
	for _, a := range []Algorithm{RSA, P256, Ed25519} {
		private, err := Generate(a)
		if err != nil {
			b.Fatal(err)
		}
		key := loaded(b, private)
		text, err := key.Sign(content)
		if err != nil {
			b.Fatal(err)
		}
		message := []byte(text[:strings.LastIndex(text, ".")])
		b.Run(string(a)+"/token", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(content); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, hint := range []Hint{HintLibtrust, HintX5CKID} {
			b.Run(string(a)+"/token "+string(hint), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := key.SignHinted(hint, content); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(string(a)+"/signature", func(b *testing.B) {
			b.ReportAllocs()
			opts := crypto.Hash(crypto.SHA256)
			if a == Ed25519 {
				opts = 0
			}
			for b.Loop() {
				input := message
				if a != Ed25519 {
					digest := sha256.Sum256(message)
					input = digest[:]
				}
				if _, err := private.Sign(rand.Reader, input, opts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
