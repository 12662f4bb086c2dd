package token

import (
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// A Domain is a domain with its keys, as of when it was looked up.
type Domain struct {
	Name string // in A-labels

	subdomains bool          // its keys sign for the domains below, too
	active     []*SigningKey // that can sign, preferred ones first
	public     []jose.JSONWebKey
}

// add adds a key in a state. Keys come in the order of api.signing_keys.
func (d *Domain) add(key *SigningKey, state string) {
	if key.Public == nil {
		return // it cannot even verify
	}
	if state == "active" && key.private != nil {
		d.active = append(d.active, key)
	}
	d.public = append(d.public, key.jwk())
}

// Active returns the key that signs, RSA before others, since every client
// knows RS256; or nil if there is none.
func (d *Domain) Active() *SigningKey {
	if len(d.active) == 0 {
		return nil
	}
	return d.active[0]
}

// ActiveAlgorithm returns the key of this kind that signs, or nil if there is
// none.
func (d *Domain) ActiveAlgorithm(a Algorithm) *SigningKey {
	for _, key := range d.active {
		if key.algorithm == a {
			return key
		}
	}
	return nil
}

// JWKS returns all public keys of the domain (RFC 7517): active, published and
// retired, in this order. The list is the caller's own.
func (d *Domain) JWKS() jose.JSONWebKeySet {
	keys := slices.Clone(d.public)
	if keys == nil {
		keys = []jose.JSONWebKey{} // the member "keys" is an array, even if it is empty
	}
	return jose.JSONWebKeySet{Keys: keys}
}

// jwk returns the public half as a JWK.
func (k *SigningKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.Public, KeyID: k.KID, Algorithm: k.method.Alg(), Use: "sig"}
}
