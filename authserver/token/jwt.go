package token

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A SigningKey is a key that tokens are signed with.
type SigningKey struct {
	KID    string // RFC 7638
	Public crypto.PublicKey

	algorithm Algorithm
	method    jwt.SigningMethod                     // the one of the algorithm, whatever a token says
	private   crypto.Signer                         // nil: it cannot be opened, and the key only verifies
	headers   map[Hint]func() (string, error)       // of every token, in base64url, and the dot behind it; made once
	typed     map[headerKind]func() (string, error) // the same, of SignAs

	holder      string // what the certificate calls it: a domain, or the client id of a registry
	createdAt   time.Time
	sealed      []byte
	certificate func() ([]byte, error) // makes it once
}

// A Hint is how the header of a token says which key has signed it.
type Hint string

const (
	HintKID      Hint = "kid"          // RFC 7638, the name of the key in the JWKS
	HintLibtrust Hint = "kid-libtrust" // what registries before version 3 call a key of their bundle
	HintX5C      Hint = "x5c"          // the certificate
	HintX5CKID   Hint = "x5c+kid"      // both the certificate and the kid of RFC 7638
)

var hints = []Hint{HintKID, HintLibtrust, HintX5C, HintX5CKID}

// ParseHint returns the hint of this name.
func ParseHint(name string) (Hint, error) {
	if h := Hint(name); slices.Contains(hints, h) {
		return h, nil
	}
	return "", fmt.Errorf("%q is not a key hint, want %s, %s, %s or %s", name, HintKID, HintLibtrust, HintX5C, HintX5CKID)
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

// Sign returns claims as SignHinted does, with the kid of RFC 7638.
func (k *SigningKey) Sign(claims any) (string, error) { return k.SignHinted(HintKID, claims) }

// SignHinted returns claims as a compact JWS (RFC 7515 section 3.1) with typ JWT
// and what the hint stands for. Claims are marshalled as JSON; times in them
// must be integers, because some verifiers refuse fractions.
func (k *SigningKey) SignHinted(hint Hint, claims any) (string, error) {
	if k.private == nil {
		return "", k.errSealed()
	}
	makeHeader := k.headers[hint]
	if makeHeader == nil {
		return "", fmt.Errorf("%q is not a key hint", string(hint))
	}
	header, err := makeHeader()
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	return k.signCompact(k.method, header, payload)
}

// signCompact returns a compact JWS.
func (k *SigningKey) signCompact(method jwt.SigningMethod, header string, payload []byte) (string, error) {
	base64url := base64.RawURLEncoding
	jws := make([]byte, 0, len(header)+base64url.EncodedLen(len(payload))+1+base64url.EncodedLen(maxSignature))
	jws = append(jws, header...)
	jws = base64url.AppendEncode(jws, payload)
	signature, err := method.Sign(string(jws), k.private)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.KID, err)
	}
	jws = append(jws, '.')
	return string(base64url.AppendEncode(jws, signature)), nil
}

// maxSignature is the length of a signature with the usual RSA key. There may
// be longer ones.
const maxSignature = rsaBits / 8

// errSealed is the error of what only a private key can do.
func (k *SigningKey) errSealed() error {
	return errors.New("the private key of " + k.KID + " is not open")
}

// protectedHeader is the JOSE header of a token (RFC 7515 section 4.1).
type protectedHeader struct {
	Algorithm string   `json:"alg"`
	KID       string   `json:"kid,omitempty"`
	Type      string   `json:"typ"`
	X5C       [][]byte `json:"x5c,omitempty"` // base64 with padding, unlike all else in a JWS: section 4.1.6
}

// encode returns the header as a token begins with it.
func (h protectedHeader) encode() (string, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("JOSE header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(text) + ".", nil
}

// open lets the key sign.
func (k *SigningKey) open(private crypto.Signer) {
	k.private = private
	k.headers = map[Hint]func() (string, error){}
	for _, hint := range hints {
		k.headers[hint] = sync.OnceValues(func() (string, error) { return k.makeHeader(hint) })
	}
	k.typed = map[headerKind]func() (string, error){}
	for _, alg := range k.Algs() {
		for _, typ := range typs {
			header := protectedHeader{Algorithm: string(alg), KID: k.KID, Type: string(typ)}
			k.typed[headerKind{alg, typ}] = sync.OnceValues(header.encode)
		}
	}
}

// makeHeader encodes a header of k.headers.
func (k *SigningKey) makeHeader(hint Hint) (string, error) {
	header := protectedHeader{Algorithm: k.method.Alg(), Type: "JWT"}
	var err error
	switch hint {
	case HintKID, HintX5CKID:
		header.KID = k.KID
	case HintLibtrust:
		if header.KID, err = libtrustKID(k.Public); err != nil {
			return "", err
		}
	}
	switch hint {
	case HintX5C, HintX5CKID:
		der, err := k.Certificate()
		if err != nil {
			return "", err
		}
		header.X5C = [][]byte{der}
	}
	return header.encode()
}
