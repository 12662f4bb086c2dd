package token

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the certificates of testdata anew")

// Certificates are kept by others, who compare them: the bytes are the same
// after any change of this program, of Go, and of the machine.
func TestCertificateIsPinned(t *testing.T) {
	for name, file := range map[string]string{
		"rsa": "rsa2048.pkcs8.pem", "ecdsa-p256": "p256.pkcs8.pem", "ed25519": "ed25519.pkcs8.pem",
	} {
		t.Run(name, func(t *testing.T) {
			golden := "certificate." + name + ".pem"
			got, err := signingKey(t, file).CertificatePEM()
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(filepath.Join("testdata", golden), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, golden); got != want {
				t.Errorf("got %s want %s", got, want)
			}
		})
	}
}

func TestCertificate(t *testing.T) {
	usages := map[Algorithm]x509.KeyUsage{
		RSA:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		P256:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
		Ed25519: x509.KeyUsageDigitalSignature,
	}
	for a, usage := range usages {
		t.Run(string(a), func(t *testing.T) {
			private, err := Generate(a)
			if err != nil {
				t.Fatal(err)
			}
			// Two servers have loaded the key.
			one, two := loaded(t, private), loaded(t, private)
			text, err := one.CertificatePEM()
			if err != nil {
				t.Fatal(err)
			}
			block, rest := pem.Decode([]byte(text))
			if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
				t.Fatalf("PEM %q", text)
			}
			other, err := two.Certificate()
			if err != nil {
				t.Fatal(err)
			}
			if string(other) != string(block.Bytes) {
				t.Error("another server has another certificate")
			}

			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
				t.Error(err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(c)
			if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: c.NotBefore}); err != nil {
				t.Errorf("whoever trusts it does not accept it: %v", err)
			}
			if c.Version != 3 || c.Subject.String() != "CN=example.com" || c.Issuer.String() != "CN=example.com" {
				t.Errorf("version %d, subject %s, issuer %s", c.Version, c.Subject, c.Issuer)
			}
			if !c.BasicConstraintsValid || c.IsCA || c.KeyUsage != usage {
				t.Errorf("basic constraints %v, CA %v, usage %b", c.BasicConstraintsValid, c.IsCA, c.KeyUsage)
			}
			for _, e := range c.Extensions {
				if !e.Critical {
					t.Errorf("extension %v is not critical", e.Id)
				}
			}
			if n := c.SerialNumber; n.Sign() != 1 || n.BitLen() > 128 {
				t.Errorf("serial %v", n)
			}
			from, to := time.Date(2026, 2, 3, 3, 5, 6, 0, time.UTC), time.Date(2036, 2, 3, 3, 5, 6, 0, time.UTC)
			if !c.NotBefore.Equal(from) || !c.NotAfter.Equal(to) {
				t.Errorf("valid from %v to %v, want %v to %v", c.NotBefore, c.NotAfter, from, to)
			}
			if !c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(private.Public()) {
				t.Error("it certifies another key")
			}
		})
	}
}

// A bundle is what a registry keeps in a file, and compares.
func TestBundle(t *testing.T) {
	var keys KeySet
	var want string
	for _, file := range []string{"rsa2048.pkcs8.pem", "p256.pkcs8.pem", "ed25519.pkcs8.pem"} {
		key := signingKey(t, file)
		keys.add(key, len(keys.public) == 0)
		text, err := key.CertificatePEM()
		if err != nil {
			t.Fatal(err)
		}
		want += text
	}
	for range 2 {
		if got, err := keys.Bundle(); err != nil || got != want {
			t.Errorf("%v, got %s want %s", err, got, want)
		}
	}
	if got, err := new(KeySet).Bundle(); err != nil || got != "" {
		t.Errorf("without keys: %q, %v", got, err)
	}

	// A bundle without one of the keys is worse than none.
	sealed := signingKey(t, "rsa2048.pkcs8.pem")
	sealed.private, sealed.certificate = nil, sealed.makeCertificate
	keys.add(sealed, false)
	if got, err := keys.Bundle(); err == nil {
		t.Errorf("a bundle with a sealed key: %s", got)
	}
}
