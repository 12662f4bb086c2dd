package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// algorithms are what clients may sign with (RFC 7518 section 3.1, RFC 8037
// section 3.1). All are asymmetric: a MAC by a public key proves nothing.
var algorithms = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256,
	"PS256": jwt.SigningMethodPS256,
	"ES256": jwt.SigningMethodES256,
	"EdDSA": jwt.SigningMethodEdDSA,
}

// SigningAlgorithms are those of algorithms, as metadata names them
// (token_endpoint_auth_signing_alg_values_supported of RFC 8414).
var SigningAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// A key verifies signatures of a client.
type key struct {
	kid        string // empty: it has none
	algorithms []string
	public     any // as the methods of algorithms want it
}

// A keySet is never changed.
type keySet struct {
	keys []key
	at   time.Time // when it was asked for
}

// A keySource has the keys of a client.
type keySource interface {
	keys(ctx context.Context) (*keySet, error)

	// newer returns other keys than before; nil: there are none.
	newer(ctx context.Context, before *keySet) (*keySet, error)
}

// fixedKeys are registered with the client.
type fixedKeys struct{ set *keySet }

func (k fixedKeys) keys(context.Context) (*keySet, error)         { return k.set, nil }
func (fixedKeys) newer(context.Context, *keySet) (*keySet, error) { return nil, nil }

const (
	maxKeys    = 64
	minRSABits = 2048
	maxRSABits = 8192 // each verification costs the cores of others
)

// ParseJWKS returns an error if text is no JWK Set (RFC 7517) with a public key
// that can verify assertions, or if it has a private or symmetric key.
func ParseJWKS(text []byte) error {
	_, err := parseJWKS(text)
	return err
}

// parseJWKS returns the keys of a set that can verify. Others are passed over:
// section 5.
func parseJWKS(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("no JWK Set: not a JSON object with keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	var keys []key
	for i, text := range set.Keys {
		k, usable, err := parseJWK(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if usable {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key that verifies RS256, PS256, ES256 or EdDSA")
	}
	return keys, nil
}

// errPrivate means that somebody has published what only they should have.
var errPrivate = errors.New("it is private or symmetric; register the public key, and replace this one")

func parseJWK(text []byte) (k key, usable bool, err error) {
	// Private members are found before anything else reads them.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return key{}, false, errors.New("not a JSON object")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, there := members[private]; there {
			return key{}, false, errPrivate
		}
	}
	// Certificates tell nothing that is looked at here.
	for _, name := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
		delete(members, name)
	}
	if operations, there := members["key_ops"]; there {
		var names []string
		if json.Unmarshal(operations, &names) != nil || !slices.Contains(names, "verify") {
			return key{}, false, nil
		}
	}
	text, err = json.Marshal(members)
	if err != nil {
		return key{}, false, err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil || jwk.Use != "" && jwk.Use != "sig" {
		return key{}, false, nil
	}
	k = key{kid: jwk.KeyID, public: jwk.Key}
	switch public := jwk.Key.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minRSABits || n > maxRSABits {
			return key{}, false, nil
		}
		k.algorithms = []string{"RS256", "PS256"}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return key{}, false, nil
		}
		k.algorithms = []string{"ES256"}
	case ed25519.PublicKey:
		k.algorithms = []string{"EdDSA"}
	default:
		return key{}, false, nil
	}
	if jwk.Algorithm != "" {
		if !slices.Contains(k.algorithms, jwk.Algorithm) {
			return key{}, false, nil
		}
		k.algorithms = []string{jwk.Algorithm}
	}
	return k, true, nil
}

// selectKey returns the one key that a signature must be of: that with the kid;
// or, if there is none, the only one without a kid; or, if the signature names
// no kid, the only one for its algorithm.
func selectKey(keys []key, algorithm, kid string) (key, error) {
	var named, unnamed, all []key
	for _, k := range keys {
		if !slices.Contains(k.algorithms, algorithm) {
			continue
		}
		all = append(all, k)
		switch k.kid {
		case "":
			unnamed = append(unnamed, k)
		case kid:
			named = append(named, k)
		}
	}
	found := all
	switch {
	case kid != "" && len(named) > 0:
		found = named
	case kid != "":
		found = unnamed
	}
	switch len(found) {
	case 0:
		return key{}, fmt.Errorf("no key for %s with its kid", algorithm)
	case 1:
		return found[0], nil
	}
	return key{}, fmt.Errorf("more than one key for %s", algorithm)
}
