package clientapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/authserver/request"
	"authbridge/authserver/token"
)

// CheckPassword serves POST /checkpassword: whether a password is right, or,
// without one and for trusted callers only, who a user is. A yes is a JWT
// signed by the domain that was asked.
//
// Some callers look at the status alone. 200 to a request with Basic
// credentials means that the password is right.
func (a *API) CheckPassword(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	domain, key, err := a.signer(r)
	if err != nil {
		return err
	}
	trusted, err := a.trusted(r)
	if err != nil {
		return err
	}
	q, err := readQuestion(w, r)
	if err != nil {
		return err
	}
	login, err := q.login(r, trusted)
	if err != nil {
		return err
	}

	who, err := a.answer(r.Context(), q, login, trusted)
	switch {
	case errors.Is(err, account.ErrDenied):
		writeJSON(w, http.StatusUnauthorized, refusal{})
		return nil
	case err != nil:
		return err
	case !permitted(r.Context(), login, who, q.Scopes):
		writeJSON(w, http.StatusForbidden, refusal{Authenticated: !a.isLookup(q), Requested: q.Scopes})
		return nil
	}

	now := time.Now()
	claims := claims{
		Subject:           login.Name,
		CanonicalUsername: who.PrimaryAddress,
		Authenticated:     !a.isLookup(q),
		Authorized:        true,
		Scopes:            append([]string{}, who.Permissions...), // a list, be it empty
		NotBefore:         now.Add(-clockSkew).Unix(),
		Expires:           now.Add(lifetime).Unix(),
		Issuer:            domain.Name,
		Audience:          audience,
		IssuedAt:          now.Unix(),
		ID:                rand.Text(),
		Nonce:             q.Nonce,
		Credential:        who.Credential,
	}
	if login.Client.IsValid() {
		claims.ClientIP = login.Client.String()
	}
	if claims.Authenticated {
		// RFC 8176 has no value of its own for generated passwords; cred tells
		// them apart.
		claims.Methods = []string{"pwd"}
	}
	if claims.Credential == "password" {
		claims.Credential = "primary"
	}
	signed, err := key.Sign(claims)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwt")
	io.WriteString(w, signed)
	return nil
}

// refusal is the answer to a login that is denied (401), or whose user lacks a
// permission (403). It repeats what was asked for, and says nothing about what
// the user has.
type refusal struct {
	Authenticated bool     `json:"authenticated"`
	Authorized    bool     `json:"authorized"`
	Requested     []string `json:"requested,omitempty"`
}

const (
	audience  = "net.maurus.authclient"
	lifetime  = time.Hour
	clockSkew = 5 * time.Second // of callers whose clock is late
)

// claims is what the JWT of an answer says.
type claims struct {
	Subject           string   `json:"sub"` // the login name as it was asked for
	CanonicalUsername string   `json:"canonical_username"`
	Authenticated     bool     `json:"authenticated"` // false: nobody has shown a password
	Authorized        bool     `json:"authorized"`
	Scopes            []string `json:"scopes"` // all permissions of the user, sorted
	NotBefore         int64    `json:"nbf"`
	Expires           int64    `json:"exp"`
	Issuer            string   `json:"iss"`
	Audience          string   `json:"aud"`
	IssuedAt          int64    `json:"iat"`
	ID                string   `json:"jti"`
	Nonce             string   `json:"nonce,omitempty"`
	ClientIP          string   `json:"client_ip,omitempty"`
	Credential        string   `json:"cred,omitempty"` // primary, service, or app: and the id of an app password
	Methods           []string `json:"amr,omitempty"`  // RFC 8176
}

// signer returns the domain that answers for the host that was asked, and its
// key.
func (a *API) signer(r *http.Request) (*token.Domain, *token.SigningKey, error) {
	domain, err := a.domain(r.Host)
	switch {
	case errors.Is(err, token.ErrNoDomain):
		return nil, nil, a.noAuthDomain(r.Host)
	case err != nil:
		return nil, nil, err
	}
	if key := domain.Active(); key != nil {
		return domain, key, nil
	}
	if key := a.Keys.Sealed(domain.Name); key != nil {
		return nil, nil, fmt.Errorf("the signing key %s of %s cannot be opened, see \"authserver secret check\"", key.KID, domain.Name)
	}
	return nil, nil, errNoKey
}

// noAuthDomain is errNoAuthDomain, with what the operator wants to know: which
// host that was, and what keeps the domain above it from signing.
func (a *API) noAuthDomain(host string) error {
	refused := *errNoAuthDomain
	refused.Err = fmt.Errorf("the host is %.253q", host) // no name is longer
	name, err := address.ParseDomain(hostname(host))
	if err != nil {
		return &refused
	}
	if above := a.Keys.Unwilling(name.String()); above != nil {
		refused.Err = fmt.Errorf("%s has a key but may not sign for %s: authserver domain edit %[1]s --jwt-allow-subdomain-signing true", above.Name, name)
	}
	return &refused
}

// answer returns the account that a question is about, which has a primary
// address, or account.ErrDenied.
func (a *API) answer(ctx context.Context, q question, login account.Login, trusted bool) (account.Account, error) {
	var who account.Account
	var err error
	switch {
	case !a.isLookup(q):
		return a.verify(ctx, login)
	case trusted, a.AnonymousLookup:
		who, err = a.Verifier.Find(ctx, login.Name)
	default:
		err = account.ErrDenied
	}
	if err == nil && who.PrimaryAddress == "" {
		err = account.ErrDenied
	}
	return who, err
}

// A question is what a caller wants to know, however it was sent.
type question struct {
	Username *string `json:"username"`
	Password *string `json:"password"`
	Scopes   scopes  `json:"scopes"`
	Nonce    string  `json:"nonce"`

	// Of trusted callers: about the client that wants to log in.
	RemoteIP string `json:"remote_ip"`
	Service  string `json:"service"`
	Protocol string `json:"protocol"`

	source source
}

// source is how a question was sent.
type source int

const (
	fromBasic source = iota
	fromJSON
	fromForm
)

// isLookup reports whether the caller wants to know who somebody is: JSON
// without a password. An empty one is that of a user who left the field empty,
// and a caller who passes it on and looks at the status must not let anybody in;
// but the ancestor's client sends one when it means a lookup.
func (a *API) isLookup(q question) bool {
	return q.source == fromJSON && (q.Password == nil || *q.Password == "" && a.AnonymousLookup)
}

// maxNonce is the longest nonce, in bytes.
const maxNonce = 255

// readQuestion reads a request: Basic credentials, which win over a body, or
// JSON or a form.
func readQuestion(w http.ResponseWriter, r *http.Request) (question, error) {
	scheme, credentials, err := request.Authorization(r)
	if err != nil {
		return question{}, err
	}
	if scheme == "basic" {
		name, password, err := request.ParseBasic(credentials)
		if err != nil {
			return question{}, err
		}
		return question{
			Username: &name,
			Password: &password,
			Scopes:   splitScopes(r.Header.Values("X-Auth-Scopes")),
			source:   fromBasic,
		}, nil
	}

	q := question{source: fromJSON}
	if isJSON(r) {
		err = readJSON(w, r, &q)
	} else {
		q, err = readFormQuestion(w, r)
	}
	if err != nil {
		return question{}, err
	}
	if q.Username == nil || len(q.Nonce) > maxNonce || !request.IsText(q.Nonce) {
		return question{}, errParameters
	}
	return q, nil
}

func readFormQuestion(w http.ResponseWriter, r *http.Request) (question, error) {
	if err := request.ReadForm(w, r); err != nil {
		return question{}, err
	}
	form := r.PostForm
	if !form.Has("username") || !form.Has("password") {
		return question{}, errParameters
	}
	name, password := form.Get("username"), form.Get("password")
	return question{
		Username: &name,
		Password: &password,
		Scopes:   splitScopes(form["scopes"]),
		Nonce:    form.Get("nonce"),
		RemoteIP: form.Get("remote_ip"),
		Service:  form.Get("service"),
		Protocol: form.Get("protocol"),
		source:   fromForm,
	}, nil
}

// login returns the login that a question is about. What it says about the
// client counts if the caller is trusted.
func (q question) login(r *http.Request, trusted bool) (account.Login, error) {
	login := account.Login{Name: *q.Username, Service: "checkpassword", Client: request.Peer(r)}
	if q.Password != nil {
		login.Password = *q.Password
	}
	if !trusted {
		return login, nil
	}
	if q.RemoteIP != "" {
		client, err := parseClient(q.RemoteIP)
		if err != nil {
			return account.Login{}, err
		}
		login.Client = client
	}
	switch {
	case q.Service != "":
		login.Service = q.Service
	case q.Protocol != "":
		login.Service = q.Protocol
	}
	return login, checkService(login.Service)
}

// scopes are permissions that somebody must have: in JSON a list, or a string
// with commas.
type scopes []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scopes) UnmarshalJSON(text []byte) error {
	var list string
	if json.Unmarshal(text, &list) == nil {
		*s = splitScopes([]string{list})
		return nil
	}
	return json.Unmarshal(text, (*[]string)(s))
}

// splitScopes returns the scopes of several lists with commas. Not one may be
// overlooked: a header or a field can come twice.
func splitScopes(lists []string) scopes {
	var s scopes
	for _, list := range lists {
		for scope := range strings.SplitSeq(list, ",") {
			if scope = strings.TrimSpace(scope); scope != "" {
				s = append(s, scope)
			}
		}
	}
	return s
}

// isJSON reports whether a request says that its body is JSON.
func isJSON(r *http.Request) bool {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType == "application/json"
}
