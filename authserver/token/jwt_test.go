package token

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
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
