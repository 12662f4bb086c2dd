// Package token is the keys that domains and Docker registries sign with: their
// making and import, their names, how others learn the public half, and the
// tokens they sign.
//
//	key.go          making, importing and naming keys: PKCS #8, SPKI, RFC 7638
//	keys.go         Keys, what the database has, kept up to date; which domain answers for a host
//	jwt.go          SigningKey, the one place where JWTs are made: RFC 7515, RFC 7519
//	alg.go          the ways to sign, and what was signed here: RFC 7518, RFC 8725
//	jwks.go         KeySet, the keys of a domain or of a registry: RFC 7517
//	certificate.go  one self-signed certificate for each key: RFC 5280
//	dns.go          DKIM, SPF and DMARC records to publish, and whether they are
//
// A private key is a crypto.Signer everywhere but here. It is stored as PKCS #8
// DER, which internal/seal seals first, and its public half as SPKI DER. No
// error of this package has key material in it.
//
// A key is published (others can learn it), active (it signs) or retired (it
// only verifies); sql/api/key.sql has the ways between. A server holds all keys
// of tokens in memory, in a snapshot that is replaced as a whole: looking one up
// asks no database and takes no lock, and goes on while the database is away.
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// An Algorithm is a kind of key.
type Algorithm string

const (
	RSA     Algorithm = "rsa"
	Ed25519 Algorithm = "ed25519"
	P256    Algorithm = "ecdsa-p256"
)

// A Purpose is what a key signs.
type Purpose string

const (
	DKIM Purpose = "dkim" // mail
	JWT  Purpose = "jwt"  // tokens
)

// Lengths of RSA keys in bits.
const (
	rsaBits    = 2048 // of a key made here, and the least for tokens: RFC 7518 section 3.3
	minRSABits = 1024 // what a verifier of DKIM may still accept: RFC 8301 section 3.2
	maxRSABits = 8192 // beyond, crypto/x509 and others do not verify
)

// Generate makes a key: RSA with 2048 bits, Ed25519, or ECDSA on P-256.
func Generate(a Algorithm) (crypto.Signer, error) {
	switch a {
	case RSA:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case P256:
		for {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return nil, err
			}
			if full, err := hasFullCoordinates(&key.PublicKey); full || err != nil {
				return key, err
			}
		}
	}
	return nil, fmt.Errorf("%q is not a key algorithm, want %s, %s or %s", string(a), RSA, Ed25519, P256)
}

// hasFullCoordinates reports whether neither coordinate of a point begins with
// a zero byte. Registries of the docker/distribution family drop such bytes
// before they hash a key for its kid, and then do not find it.
func hasFullCoordinates(pub *ecdsa.PublicKey) (bool, error) {
	point, err := pub.Bytes() // 04, then x and y
	if err != nil {
		return false, err
	}
	x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
	return x[0] != 0 && y[0] != 0, nil
}

// AlgorithmOf returns the kind of a public key.
func AlgorithmOf(pub crypto.PublicKey) (Algorithm, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return RSA, nil
	case ed25519.PublicKey:
		return Ed25519, nil
	case *ecdsa.PublicKey:
		if pub.Curve == elliptic.P256() {
			return P256, nil
		}
		return "", fmt.Errorf("the key is on curve %s, want P-256", pub.Curve.Params().Name)
	}
	return "", fmt.Errorf("the key is a %T, want RSA, Ed25519 or ECDSA on P-256", pub)
}

// Weak reports whether a key that ParsePrivate accepts should be replaced: an
// RSA key shorter than 2048 bits, with which RFC 8301 section 3.2 tells signers
// not to sign.
func Weak(pub crypto.PublicKey) bool {
	key, ok := pub.(*rsa.PublicKey)
	return ok && key.N.BitLen() < rsaBits
}

// check returns why a key cannot be used for a purpose, or nil.
func check(pub crypto.PublicKey, p Purpose) error {
	a, err := AlgorithmOf(pub)
	if err != nil {
		return err
	}
	if a == P256 && p == DKIM {
		return errors.New("DKIM has no signatures with ECDSA: want an RSA or Ed25519 key")
	}
	key, ok := pub.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	least := minRSABits
	if p != DKIM {
		least = rsaBits
	}
	if n := key.N.BitLen(); n < least || n > maxRSABits {
		return fmt.Errorf("the RSA key has %d bits, want %d to %d", n, least, maxRSABits)
	}
	return nil
}

// ParsePrivate reads a private key that somebody made elsewhere: one PEM block
// of PKCS #8, PKCS #1 or SEC 1, with either kind of line end. An EC PARAMETERS
// block may come before it, as openssl writes it. For DKIM, the base64 of an
// Ed25519 seed alone is a key too: dknewkey writes it so.
//
// RSA keys are refused below 1024 bits for DKIM (see Weak for those below 2048)
// and below 2048 bits for tokens.
func ParsePrivate(text string, p Purpose) (crypto.Signer, error) {
	key, err := parsePEM(strings.TrimSpace(text), p)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok { // X25519
		return nil, errors.New("the key is for key agreement, not for signatures")
	}
	if err := check(signer.Public(), p); err != nil {
		return nil, err
	}
	return signer, nil
}

// parsePEM reads the one key in text. What the parsers of the standard library
// say about a key that they refuse is left out.
func parsePEM(text string, p Purpose) (any, error) {
	if !strings.HasPrefix(text, "-----BEGIN ") {
		if seed, err := base64.StdEncoding.DecodeString(text); err == nil && len(seed) == ed25519.SeedSize && p == DKIM {
			return ed25519.NewKeyFromSeed(seed), nil
		}
		return nil, errors.New("the key is not PEM: it does not begin with -----BEGIN")
	}
	block, rest := pem.Decode([]byte(text))
	if block != nil && block.Type == "EC PARAMETERS" {
		text = strings.TrimSpace(string(rest))
		block, rest = pem.Decode([]byte(text))
	}
	switch {
	case block == nil:
		return nil, errors.New("the key is not PEM: its base64 or its last line is damaged")
	case strings.TrimSpace(string(rest)) != "" || strings.Count(text, "-----BEGIN ") != 1:
		// pem.Decode passes over a block that it cannot read, so they are counted.
		return nil, errors.New("there is more than one PEM block, or text after it: want one key alone")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" || block.Headers["Proc-Type"] != "":
		return nil, errors.New("the key is encrypted: decrypt it first, with \"openssl pkey\"")
	}

	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errors.New("this is the public half: want the private key")
	case "OPENSSH PRIVATE KEY":
		return nil, errors.New("the key is in the format of OpenSSH: want PKCS #8")
	default:
		return nil, errors.New("the PEM block is of another type than a private key")
	}
	if err != nil {
		return nil, fmt.Errorf("the PEM block %q holds no valid key of that format", block.Type)
	}
	return key, nil
}

// MarshalPrivate returns a key as PKCS #8 DER, which is what is sealed and
// stored.
func MarshalPrivate(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("marshal a key that is a %T: not a private key of this package", key)
	}
	return der, nil
}

// UnmarshalPrivate reads what MarshalPrivate returned.
func UnmarshalPrivate(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("stored private key is not PKCS #8")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("stored private key is not for signatures")
	}
	return signer, nil
}

// MarshalPublic returns a public key as SPKI DER, which is what is stored
// beside the sealed one.
func MarshalPublic(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("marshal public key: %w", err)
	}
	return der, nil
}

// UnmarshalPublic reads what MarshalPublic returned.
func UnmarshalPublic(der []byte) (crypto.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("stored public key: %w", err)
	}
	return pub, nil
}

// Row names the row of auth.keys that a private key is sealed for, as
// sql/api/key.sql says: by owner and public key (SPKI DER), which are known
// before the row is, and stay. Selector, state and id may change. The owner is
// the name of a domain, or what RegistryOwner returns.
func Row(owner string, publicKey []byte) string {
	hash := sha256.Sum256(publicKey)
	return "auth.keys:" + owner + ":" + hex.EncodeToString(hash[:])
}

// RegistryOwner returns the owner of a Docker registry's own keys. It is not
// the name of any domain.
func RegistryOwner(clientID string) string { return "registry:" + clientID }

// PublicPEM returns a public key as a PEM block of SPKI.
func PublicPEM(pub crypto.PublicKey) (string, error) {
	der, err := MarshalPublic(pub)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// KID returns the name of a public key in a JWKS and in the header of a token:
// its JWK thumbprint with SHA-256 (RFC 7638) in base64url.
func KID(pub crypto.PublicKey) (string, error) {
	thumbprint, err := (&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint of a key that is a %T: %w", pub, err)
	}
	return base64.RawURLEncoding.EncodeToString(thumbprint), nil
}

// libtrustKID returns the name that github.com/docker/libtrust gives to a public
// key: 240 bits of the SHA-256 of its SPKI, in base32, in groups of four. The
// library knows no Ed25519; the name follows the same rule.
func libtrustKID(pub crypto.PublicKey) (string, error) {
	der, err := MarshalPublic(pub)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(der)
	var groups []string
	for group := range slices.Chunk([]byte(base32.StdEncoding.EncodeToString(hash[:30])), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, ":"), nil
}
