package token

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
)

// certificateYears is how long a certificate is valid. It carries a public key
// to programs that know no other way, and proves nothing; when it ends, so does
// the trust that they have put into the key.
const certificateYears = 10

// Certificate returns the key's self-signed certificate, DER. It is the same
// bytes every time and on every server, since programs compare and pin it,
// although it is kept nowhere: all that it says belongs to the key, and it is
// signed without chance.
func (k *SigningKey) Certificate() ([]byte, error) { return k.certificate() }

// CertificatePEM returns Certificate as a PEM block.
func (k *SigningKey) CertificatePEM() (string, error) {
	der, err := k.Certificate()
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// makeCertificate signs what Certificate returns.
func (k *SigningKey) makeCertificate() ([]byte, error) {
	if k.private == nil {
		return nil, k.errSealed()
	}
	kid, err := base64.RawURLEncoding.DecodeString(k.KID)
	if err != nil {
		return nil, fmt.Errorf("kid: %w", err)
	}
	notBefore := k.createdAt.UTC()
	template := &x509.Certificate{
		// At most 20 octets, with the one that says it is positive: RFC 5280
		// section 4.1.2.2.
		SerialNumber:          new(big.Int).SetBytes(kid[:16]),
		Subject:               pkix.Name{CommonName: k.holder},
		NotBefore:             notBefore,
		NotAfter:              notBefore.AddDate(certificateYears, 0, 0),
		BasicConstraintsValid: true, // CA:FALSE
		KeyUsage:              keyUsage(k.algorithm),
		SignatureAlgorithm:    certificateSignature(k.algorithm),
	}
	// Without a source of chance, ECDSA takes its nonce from key and message
	// (RFC 6979 section 3.2). The other two need none.
	der, err := x509.CreateCertificate(nil, template, template, k.Public, k.private)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", k.KID, err)
	}
	return der, nil
}

// keyUsage returns what a kind of key can do at all: RFC 3279 section 2.3.1, RFC
// 8813 section 3, RFC 8410 section 5.
func keyUsage(a Algorithm) x509.KeyUsage {
	switch a {
	case RSA:
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	case P256:
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement
	}
	return x509.KeyUsageDigitalSignature
}

// certificateSignature returns what a kind of key signs its certificate with.
func certificateSignature(a Algorithm) x509.SignatureAlgorithm {
	switch a {
	case RSA:
		return x509.SHA256WithRSA
	case P256:
		return x509.ECDSAWithSHA256
	}
	return x509.PureEd25519
}
