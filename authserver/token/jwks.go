package token

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A KeySet is the keys that somebody signs with, and those by which others
// verify it, as of when it was looked up.
type KeySet struct {
	active []*SigningKey // that can sign, preferred ones first
	sealed []*SigningKey // that should sign, and cannot be opened
	public []*SigningKey // that verify: active, published and retired, in this order
}

// A Domain is a domain with its keys.
type Domain struct {
	Name string // in A-labels
	KeySet

	subdomains bool // its keys sign for the domains below, too
}

// A Registry is a Docker registry with the keys that tokens for it are signed
// with: its own, or those of its domain. In the second case its own may be
// there, too, so that the registry learns them before they sign.
type Registry struct {
	ClientID string
	Domain   string // its name
	Hint     Hint   // how its tokens say which key has signed them
	KeySet
}

// add adds a key, which is to sign or only to verify. Keys come in the order of
// api.signing_keys.
func (s *KeySet) add(key *SigningKey, signs bool) {
	switch {
	case signs && key.private != nil:
		s.active = append(s.active, key)
	case signs:
		s.sealed = append(s.sealed, key)
	}
	if key.Public != nil {
		s.public = append(s.public, key)
	}
}

// share returns a set with the same keys, to which others can be added.
func (s *KeySet) share() KeySet {
	return KeySet{active: slices.Clip(s.active), sealed: slices.Clip(s.sealed), public: slices.Clip(s.public)}
}

// Active returns the key that signs, RSA before others, since every client
// knows RS256; or nil if there is none.
func (s *KeySet) Active() *SigningKey {
	if len(s.active) == 0 {
		return nil
	}
	return s.active[0]
}

// ActiveAlgorithm returns the key of this kind that signs, or nil if there is
// none.
func (s *KeySet) ActiveAlgorithm(a Algorithm) *SigningKey {
	for _, key := range s.active {
		if key.algorithm == a {
			return key
		}
	}
	return nil
}

// Sealed returns a key that should sign and cannot be opened, if there is no
// other that signs; else nil. The key has no Public if that cannot be read
// either.
func (s *KeySet) Sealed() *SigningKey {
	if len(s.active) > 0 || len(s.sealed) == 0 {
		return nil
	}
	for _, key := range s.sealed {
		if key.Public != nil {
			return key
		}
	}
	return s.sealed[0]
}

// JWKS returns all public keys (RFC 7517): active, published and retired, in
// this order. The list is the caller's own.
func (s *KeySet) JWKS() jose.JSONWebKeySet {
	keys := make([]jose.JSONWebKey, len(s.public)) // the member "keys" is an array, even if it is empty
	for i, key := range s.public {
		keys[i] = key.jwk()
	}
	return jose.JSONWebKeySet{Keys: keys}
}

// Bundle returns the certificates of all keys as PEM, in the order of JWKS. It
// is an error if a key has none because it cannot be opened: whoever replaces
// its bundle by one without that key would no longer believe it.
func (s *KeySet) Bundle() (string, error) {
	var bundle strings.Builder
	for _, key := range s.public {
		text, err := key.CertificatePEM()
		if err != nil {
			return "", fmt.Errorf("bundle: %w", err)
		}
		bundle.WriteString(text)
	}
	return bundle.String(), nil
}

// jwk returns the public half as a JWK.
func (k *SigningKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.Public, KeyID: k.KID, Algorithm: k.method.Alg(), Use: "sig"}
}
