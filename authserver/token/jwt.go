package token

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A SigningKey is a key that tokens are signed with.
type SigningKey struct {
	KID    string // RFC 7638
	Public crypto.PublicKey

	algorithm Algorithm
	method    jwt.SigningMethod // the one of the algorithm, whatever a token says
	private   crypto.Signer     // nil: it cannot be opened, and the key only verifies
	header    string            // of every token, in base64url, and the dot behind it

	domain      string
	createdAt   time.Time
	sealed      []byte
	certificate func() ([]byte, error) // makes it once
}

// signingMethod returns what a kind of key signs tokens with (RFC 7518 section
// 3.1, RFC 8037 section 3.1).
func signingMethod(a Algorithm) jwt.SigningMethod {
	switch a {
	case RSA:
		return jwt.SigningMethodRS256
	case P256:
		return jwt.SigningMethodES256
	case Ed25519:
		return jwt.SigningMethodEdDSA
	}
	panic("token: no signatures with " + string(a))
}

// Algorithm returns the kind of the key.
func (k *SigningKey) Algorithm() Algorithm { return k.algorithm }

// Sign returns claims as a compact JWS (RFC 7515 section 3.1) with typ JWT and
// the key's kid. Claims are marshalled as JSON; times in them must be integers,
// because some verifiers refuse fractions.
func (k *SigningKey) Sign(claims any) (string, error) {
	if k.private == nil {
		return "", errors.New("the private key of " + k.KID + " is not open")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	base64url := base64.RawURLEncoding
	jws := make([]byte, 0, len(k.header)+base64url.EncodedLen(len(payload))+1+base64url.EncodedLen(maxSignature))
	jws = append(jws, k.header...)
	jws = base64url.AppendEncode(jws, payload)
	signature, err := k.method.Sign(string(jws), k.private)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.KID, err)
	}
	jws = append(jws, '.')
	return string(base64url.AppendEncode(jws, signature)), nil
}

// maxSignature is the length of a signature with the usual RSA key. There may
// be longer ones.
const maxSignature = rsaBits / 8

// protectedHeader is the JOSE header of a token (RFC 7515 section 4.1).
type protectedHeader struct {
	Algorithm string `json:"alg"`
	KID       string `json:"kid"`
	Type      string `json:"typ"`
}

// open lets the key sign.
func (k *SigningKey) open(private crypto.Signer) error {
	header, err := json.Marshal(protectedHeader{k.method.Alg(), k.KID, "JWT"})
	if err != nil {
		return fmt.Errorf("JOSE header: %w", err)
	}
	k.private = private
	k.header = base64.RawURLEncoding.EncodeToString(header) + "."
	return nil
}
