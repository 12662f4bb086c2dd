package token

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// An Alg is how a token is signed, as alg in its header says (RFC 7518 section
// 3.1, RFC 8037 section 3.1). An RSA key can sign in two ways, the others in
// one.
type Alg string

const (
	RS256 Alg = "RS256"
	PS256 Alg = "PS256"
	ES256 Alg = "ES256"
	EdDSA Alg = "EdDSA"
)

var algs = []Alg{RS256, PS256, ES256, EdDSA}

// ParseAlg returns the algorithm of this name.
func ParseAlg(name string) (Alg, error) {
	if a := Alg(name); slices.Contains(algs, a) {
		return a, nil
	}
	return "", fmt.Errorf("%q is not a signature algorithm, want %s, %s, %s or %s", name, RS256, PS256, ES256, EdDSA)
}

// Key returns the kind of key that signs so. a is one of the constants.
func (a Alg) Key() Algorithm {
	switch a {
	case RS256, PS256:
		return RSA
	case ES256:
		return P256
	case EdDSA:
		return Ed25519
	}
	panic("token: no signatures by " + string(a))
}

// Hash returns the hash function of the signature, by which at_hash is made
// (OpenID Connect Core section 3.1.3.6).
func (a Alg) Hash() hash.Hash {
	if a == EdDSA {
		return sha512.New()
	}
	return sha256.New()
}

// method returns what signs and verifies.
func (a Alg) method() jwt.SigningMethod {
	if a == PS256 {
		return jwt.SigningMethodPS256
	}
	return signingMethod(a.Key())
}

// A Typ is what a token is, as typ in its header says (RFC 8725 section 3.11).
type Typ string

const (
	TypJWT         Typ = "JWT"
	TypAccessToken Typ = "at+jwt" // RFC 9068 section 2.1
)

var typs = []Typ{TypJWT, TypAccessToken}

// A headerKind is what a key has one header for.
type headerKind struct {
	alg Alg
	typ Typ
}

// SignAs returns a payload as a compact JWS. The payload is JSON, and the
// header says alg, kid and typ. It is an error if the key does not sign so.
func (k *SigningKey) SignAs(alg Alg, typ Typ, payload []byte) (string, error) {
	if k.private == nil {
		return "", k.errSealed()
	}
	makeHeader := k.typed[headerKind{alg, typ}]
	if makeHeader == nil {
		return "", fmt.Errorf("the key %s makes no %q by %q", k.KID, string(typ), string(alg))
	}
	header, err := makeHeader()
	if err != nil {
		return "", err
	}
	return k.signCompact(alg.method(), header, payload)
}

// Algs returns the ways in which the key signs, or would.
func (k *SigningKey) Algs() []Alg {
	switch k.algorithm {
	case RSA:
		return []Alg{RS256, PS256}
	case P256:
		return []Alg{ES256}
	case Ed25519:
		return []Alg{EdDSA}
	}
	return nil // its public half cannot be read
}

// ActiveAlg returns the key that signs by this algorithm, or nil if there is
// none.
func (s *KeySet) ActiveAlg(a Alg) *SigningKey { return s.ActiveAlgorithm(a.Key()) }

// SealedAlg returns a key that should sign by this algorithm and cannot be
// opened, if there is no other that does; else nil. It is for messages.
func (s *KeySet) SealedAlg(a Alg) *SigningKey {
	if s.ActiveAlg(a) != nil {
		return nil
	}
	for _, key := range s.sealed {
		if key.algorithm == a.Key() {
			return key
		}
	}
	return nil
}

// Algs returns the algorithms by which any domain signs, in the order of the
// constants.
func (k *Keys) Algs() []Alg {
	domains := k.current.Load().sorted
	return slices.DeleteFunc(slices.Clone(algs), func(a Alg) bool {
		return !slices.ContainsFunc(domains, func(d *Domain) bool { return d.ActiveAlg(a) != nil })
	})
}

// JWKS returns the public keys of all domains (RFC 7517), by the name of the
// domain and in the order of KeySet.JWKS: each once. Registries' own keys are
// not among them. With bothRSA, the RSA keys have no member alg: it names one
// algorithm, and a client that looks for PS256 would pass over a key of RS256.
// The list is the caller's own.
func (k *Keys) JWKS(bothRSA bool) jose.JSONWebKeySet {
	now := k.current.Load()
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(now.public))}
	for _, d := range now.sorted {
		for _, key := range d.public {
			if now.public[key.KID] != key {
				continue // another domain has it, too
			}
			jwk := key.jwk()
			if bothRSA && key.algorithm == RSA {
				jwk.Algorithm = ""
			}
			set.Keys = append(set.Keys, jwk)
		}
	}
	return set
}

// A Verified is a token that a key of one of our domains has signed.
type Verified struct {
	Alg     Alg
	Typ     Typ // any; empty: the header has none
	KID     string
	Payload []byte // a JSON object; nothing in it is checked
}

// ErrSignature means a text that is no token, or that no key of our domains has
// signed.
var ErrSignature = errors.New("not a token that was signed here")

// parser takes no token that has a second spelling.
var parser = jwt.NewParser(
	jwt.WithValidMethods([]string{string(RS256), string(PS256), string(ES256), string(EdDSA)}),
	jwt.WithStrictDecoding(),
	jwt.WithoutClaimsValidation(),
)

// Verify returns what a compact JWS says, if a key of a domain has signed it,
// be the key active, published or retired; else ErrSignature. The key is the one
// that kid names, and it says which algorithms there are: RS256 and PS256 for
// RSA, one for the others. Keys of registries do not count.
//
// These keys sign tokens of many kinds: which one it is, the caller has to find
// out.
func (k *Keys) Verify(text string) (Verified, error) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder of base64 skips
		return Verified{}, fmt.Errorf("%w: it has line breaks", ErrSignature)
	}
	var v Verified
	var claims payload
	_, err := parser.ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // we know no extensions: RFC 7515 section 4.1.11
			return nil, errors.New("crit")
		}
		typ, _ := t.Header["typ"].(string)
		v.Typ = Typ(typ)
		v.KID, _ = t.Header["kid"].(string)
		v.Alg = Alg(t.Method.Alg())
		key := k.current.Load().public[v.KID]
		if key == nil || !slices.Contains(key.Algs(), v.Alg) {
			return nil, errors.New("no such key")
		}
		return key.Public, nil
	})
	if err == nil && claims.text == nil { // null does not ask UnmarshalJSON
		err = errNoObject
	}
	if err != nil {
		return Verified{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	v.Payload = claims.text
	return v, nil
}

var errNoObject = errors.New("the claims are no object")

// payload takes the claims of a token as they are.
type payload struct {
	jwt.Claims // none of its methods is called
	text       []byte
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *payload) UnmarshalJSON(text []byte) error {
	if text[0] != '{' {
		return errNoObject
	}
	p.text = slices.Clone(text)
	return nil
}
