package clientapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
)

// GetKey serves GET /getkey: the public half of the keys that a domain, or a
// Docker registry, signs with.
func (a *API) GetKey(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	query := r.URL.Query()
	var find func(name string) (keyOwner, error)
	switch query.Get("type") {
	case "", "d":
		find = a.domainKeys
	case "r":
		find = a.registryKeys
	default:
		return &Error{Status: http.StatusBadRequest, Message: "Invalid type code (d and r are valid)"}
	}
	var answer func(http.ResponseWriter, keyOwner) error
	switch query.Get("format") {
	case "", "pubkey":
		answer = getPublicKey
	case "cert":
		answer = getCertificate
	case "bundle":
		answer = getBundle
	case "jwks":
		answer = getJWKS
	default:
		return &Error{Status: http.StatusBadRequest, Message: "Invalid format (can be pubkey, cert, bundle or jwks)"}
	}

	name := query.Get("domain")
	if name == "" {
		name = r.Host
	}
	owner, err := find(name)
	if err != nil {
		return err
	}
	return answer(w, owner)
}

// A keyOwner is whose keys are asked for.
type keyOwner struct {
	*token.KeySet
	name    string // for the log
	keyless string // what the caller hears if there are no keys
}

// domainKeys returns the domain that answers for a host.
func (a *API) domainKeys(host string) (keyOwner, error) {
	domain, err := a.domain(host)
	switch {
	case errors.Is(err, token.ErrNoDomain):
		return keyOwner{}, &Error{Status: http.StatusNotFound, Message: errNoAuthDomain.Message}
	case err != nil:
		return keyOwner{}, err
	}
	return keyOwner{&domain.KeySet, domain.Name, errNoKey.Message}, nil
}

// registryKeys returns the registry with a client id, or else the only one of a
// domain: the ancestor knew registries by that.
func (a *API) registryKeys(name string) (keyOwner, error) {
	registry := a.Keys.Registry(name)
	if registry == nil {
		var all []*token.Registry
		if domain, err := address.ParseDomain(hostname(name)); err == nil {
			all = a.Keys.RegistriesOf(domain.String())
		}
		switch len(all) {
		case 0:
			return keyOwner{}, &Error{Status: http.StatusNotFound, Message: "Not a valid registry"}
		case 1:
			registry = all[0]
		default:
			return keyOwner{}, &Error{Status: http.StatusBadRequest, Message: "Several registries have this domain: ask by client id"}
		}
	}
	return keyOwner{&registry.KeySet, registry.ClientID, "Registry has no key"}, nil
}

// noKey is the error if there is nothing to answer with. A key that is only
// damaged, or sealed, is our trouble.
func (o keyOwner) noKey() error {
	if key := o.Sealed(); key != nil {
		return fmt.Errorf("the signing key %s of %s cannot be read", key.KID, o.name)
	}
	return &Error{Status: http.StatusNotFound, Message: o.keyless}
}

// signing returns the key that signs. One that cannot be opened still verifies
// what it has signed.
func (o keyOwner) signing() (*token.SigningKey, error) {
	key := o.Active()
	if key == nil {
		key = o.Sealed()
	}
	if key == nil || key.Public == nil {
		return nil, o.noKey()
	}
	return key, nil
}

// A keyAnswer has the lines of a PEM file, of which the last is empty.
type keyAnswer struct {
	PublicKeyPEM []string `json:"public_key_pem,omitempty"`
	Cert         []string `json:"cert,omitempty"`
	Bundle       []string `json:"bundle,omitempty"`
}

func lines(text string) []string { return strings.Split(text, "\n") }

// getPublicKey answers with the key that signs.
func getPublicKey(w http.ResponseWriter, owner keyOwner) error {
	key, err := owner.signing()
	if err != nil {
		return err
	}
	text, err := token.PublicPEM(key.Public)
	if err != nil {
		return err
	}
	return writeKeys(w, keyAnswer{PublicKeyPEM: lines(text)})
}

// getCertificate answers with the certificate of the key that signs. There is
// none of a key that cannot be opened.
func getCertificate(w http.ResponseWriter, owner keyOwner) error {
	key, err := owner.signing()
	if err != nil {
		return err
	}
	text, err := key.CertificatePEM()
	if err != nil {
		return err
	}
	return writeKeys(w, keyAnswer{Cert: lines(text)})
}

// getBundle answers with the certificates of all keys: those to come and those
// that only verify, too.
func getBundle(w http.ResponseWriter, owner keyOwner) error {
	text, err := owner.Bundle()
	switch {
	case err != nil:
		return fmt.Errorf("keys of %s: %w", owner.name, err)
	case text == "":
		return owner.noKey()
	}
	return writeKeys(w, keyAnswer{Bundle: lines(text)})
}

// getJWKS answers with the same keys as getBundle.
func getJWKS(w http.ResponseWriter, owner keyOwner) error {
	set := owner.JWKS()
	if len(set.Keys) == 0 {
		return owner.noKey()
	}
	return writeKeys(w, set)
}

// writeKeys answers with what callers may keep for a while that is shorter than
// the time between the publication of a key and its first use.
func writeKeys(w http.ResponseWriter, answer any) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, answer)
	return nil
}
