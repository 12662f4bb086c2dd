package clientapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"authbridge/authserver/token"
)

// issuerRel is the relation of OpenID Connect Discovery 1.0 section 2.
const issuerRel = "http://openid.net/specs/connect/1.0/issuer"

// WebFinger serves GET /.well-known/webfinger (RFC 7033): which OpenID Connect
// issuer is an account's. It is the same for every account of a domain, be
// there one or not.
func (a *API) WebFinger(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Access-Control-Allow-Origin", "*") // RFC 7033 section 5
	if err := secure(r); err != nil {
		return err
	}
	query := r.URL.Query()
	resource := query.Get("resource")
	host := resourceHost(resource)
	if host == "" {
		return &Error{Status: http.StatusBadRequest, Message: "Missing or invalid resource"}
	}
	asked, err := a.keyedDomain(r.Host)
	if err != nil {
		return err
	}
	theirs, err := a.keyedDomain(host)
	if err != nil {
		return err
	}
	if asked.Name != theirs.Name {
		return &Error{Status: http.StatusBadRequest, Message: "Resource does not match this authorization domain"}
	}

	type link struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
	links := []link{}
	if rels := query["rel"]; len(rels) == 0 || slices.Contains(rels, issuerRel) {
		issuer := a.Issuer
		if issuer == "" {
			issuer = "https://" + r.Host + "/o2"
		}
		links = append(links, link{issuerRel, issuer})
	}
	w.Header().Set("Content-Type", "application/jrd+json")
	json.NewEncoder(w).Encode(struct { // an error means that the caller has gone
		Subject string `json:"subject"`
		Links   []link `json:"links"`
	}{resource, links})
	return nil
}

// resourceHost returns the host of an acct: URI (RFC 7565) or of a URL; empty
// if it is neither.
func resourceHost(resource string) string {
	if account, ok := strings.CutPrefix(resource, "acct:"); ok {
		at := strings.LastIndexByte(account, '@')
		if at <= 0 {
			return ""
		}
		return account[at+1:]
	}
	u, err := url.Parse(resource)
	if err != nil || u.Scheme == "" {
		return ""
	}
	return u.Host
}

// keyedDomain returns the domain that signs for a host.
func (a *API) keyedDomain(host string) (*token.Domain, error) {
	domain, err := a.domain(host)
	switch {
	case errors.Is(err, token.ErrNoDomain):
		return nil, errNoAuthDomain
	case err != nil:
		return nil, err
	case domain.Active() == nil && a.Keys.Sealed(domain.Name) == nil:
		return nil, errNoAuthDomain
	}
	return domain, nil
}
