package clientapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"authbridge/authserver/token"
)

// GetKey serves GET /getkey: the public half of the key that a domain signs
// with.
func (a *API) GetKey(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	query := r.URL.Query()
	switch query.Get("type") {
	case "", "d":
	case "r":
		return &Error{Status: http.StatusNotFound, Message: "Not a valid registry"}
	default:
		return &Error{Status: http.StatusBadRequest, Message: "Invalid type code (d and r are valid)"}
	}
	format := query.Get("format")
	switch format {
	case "", "pubkey", "cert", "jwks":
	default:
		return &Error{Status: http.StatusBadRequest, Message: "Invalid format (can be pubkey, cert or jwks)"}
	}

	host := query.Get("domain")
	if host == "" {
		host = r.Host
	}
	domain, err := a.domain(host)
	switch {
	case errors.Is(err, token.ErrNoDomain):
		return &Error{Status: http.StatusNotFound, Message: errNoAuthDomain.Message}
	case err != nil:
		return err
	}
	if format == "jwks" {
		return a.getJWKS(w, domain)
	}
	return a.getActive(w, domain, format)
}

// maxAge lets callers keep a key for a while that is shorter than the time
// between the publication of a key and its first use.
const maxAge = "public, max-age=300"

// getJWKS answers with all keys of a domain: those to come and those that only
// verify, too.
func (a *API) getJWKS(w http.ResponseWriter, domain *token.Domain) error {
	keys := domain.JWKS()
	if len(keys.Keys) == 0 {
		if key := a.Keys.Sealed(domain.Name); key != nil {
			return fmt.Errorf("the signing key %s of %s cannot be read", key.KID, domain.Name)
		}
		return &Error{Status: http.StatusNotFound, Message: errNoKey.Message}
	}
	w.Header().Set("Cache-Control", maxAge)
	writeJSON(w, http.StatusOK, keys)
	return nil
}

// getActive answers with the key that signs, as the lines of a PEM block. The
// last one is empty. A key that cannot be opened still verifies what it has
// signed, but there is no certificate of it.
func (a *API) getActive(w http.ResponseWriter, domain *token.Domain, format string) error {
	key := domain.Active()
	if key == nil {
		key = a.Keys.Sealed(domain.Name)
	}
	if key == nil {
		return &Error{Status: http.StatusNotFound, Message: errNoKey.Message}
	}
	var answer struct {
		PublicKeyPEM []string `json:"public_key_pem,omitempty"`
		Cert         []string `json:"cert,omitempty"`
	}
	if format == "cert" {
		text, err := key.CertificatePEM()
		if err != nil {
			return err
		}
		answer.Cert = strings.Split(text, "\n")
	} else {
		text, err := token.PublicPEM(key.Public)
		if err != nil {
			return err
		}
		answer.PublicKeyPEM = strings.Split(text, "\n")
	}
	w.Header().Set("Cache-Control", maxAge)
	writeJSON(w, http.StatusOK, answer)
	return nil
}
