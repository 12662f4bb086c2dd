package docker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
	"authbridge/authserver/token"

	registrytoken "github.com/docker/distribution/registry/auth/token"
)

// service is what logins here are counted by, and what an app password has to
// be for.
const service = "docker"

// clockSkew is how far the clock of a registry may be behind.
const clockSkew = 5 * time.Second

// Token serves GET and POST /docker/token.
func (a *API) Token(w http.ResponseWriter, r *http.Request) error {
	if !request.Secure(r) {
		return invalidRequest("This endpoint must be called securely")
	}
	q, err := readRequest(w, r)
	if err != nil {
		return err
	}
	registry := a.Registries.Registry(q.service)
	if registry == nil {
		return errUnknownService
	}
	signer, err := a.signer(registry)
	if err != nil {
		return err
	}
	who, refreshToken, err := a.login(r, q, signer)
	if err != nil {
		return err
	}

	subject := Subject{UserID: who.UserID, Identifier: who.Identifier, Groups: who.Groups, Actions: who.RegistryActions}
	access := registry.Grant(subject, q.scopes)
	if fallsShort(access, q.scopes) {
		slog.InfoContext(r.Context(), "access to a Docker registry is less than was asked for",
			"registry", registry.ClientID, "user", who.Identifier, "asked", cut(list(q.scopes)), "granted", cut(granted(access)))
	}
	answer, err := signer.sign(who.UserID, access)
	if err != nil {
		return err
	}
	answer.RefreshToken = refreshToken
	if a.Observe != nil {
		a.Observe(string(q.grant))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// answer is what a client gets. It has the token twice: Docker reads token, and
// OAuth 2.0 has access_token (RFC 6749 section 5.1).
type answer struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	ExpiresIn    int       `json:"expires_in"` // seconds
	IssuedAt     time.Time `json:"issued_at"`
	Scope        string    `json:"scope"` // what is granted
	RefreshToken string    `json:"refresh_token,omitempty"`
}

// login returns who is asking, and the refresh token that is wanted.
func (a *API) login(r *http.Request, q tokenRequest, signer signer) (account.Account, string, error) {
	who, err := a.authenticate(r, q, signer)
	if err != nil {
		return account.Account{}, "", err
	}
	refreshToken, err := a.refreshToken(r, q, signer, who)
	if errors.Is(err, errChanged) {
		// The password was changed just now, or got another hash: which of both,
		// it says itself.
		if who, err = a.authenticate(r, q, signer); err == nil {
			refreshToken, err = a.refreshToken(r, q, signer, who)
		}
	}
	return who, refreshToken, err
}

// authenticate returns who is asking; nobody, if that is anonymous.
func (a *API) authenticate(r *http.Request, q tokenRequest, signer signer) (account.Account, error) {
	switch q.grant {
	case anonymous:
		return account.Account{}, nil
	case password:
		login := account.Login{Name: q.username, Password: q.password, Service: service, Registry: q.service, Client: request.Peer(r)}
		who, err := a.Verifier.Verify(r.Context(), login)
		if errors.Is(err, account.ErrDenied) {
			err = errDenied(signer.issuer, err)
		}
		return who, err
	case refreshToken:
		return a.refresh(r, q, signer)
	}
	return account.Account{}, &Error{
		Status:  http.StatusUnauthorized,
		Code:    "invalid_grant",
		Message: "want Basic credentials",
		Realm:   signer.issuer,
	}
}

// A signer is what makes the tokens of a registry.
type signer struct {
	registry *Registry
	issuer   string
	key      *token.SigningKey
	hint     token.Hint
}

// signer returns the signer of a registry. It is our own trouble if there is
// none.
func (a *API) signer(registry *Registry) (signer, error) {
	s := signer{registry: registry, issuer: registry.Issuer}
	if s.issuer == "" {
		s.issuer = a.Issuer
	}
	if s.issuer == "" {
		return signer{}, fmt.Errorf("the Docker registry %s has no issuer: set ISSUER, or authserver dockerauth registry edit --set-issuer", registry.ClientID)
	}
	keys := a.Keys.Registry(registry.ClientID)
	switch {
	case keys == nil: // it has just been made
		return signer{}, fmt.Errorf("the keys of the Docker registry %s are not here yet", registry.ClientID)
	case keys.Active() != nil:
		s.key, s.hint = keys.Active(), keys.Hint
		return s, nil
	case keys.Sealed() != nil:
		return signer{}, fmt.Errorf("the signing key %s of the Docker registry %s cannot be opened: see authserver secret check", keys.Sealed().KID, registry.ClientID)
	}
	return signer{}, fmt.Errorf("the Docker registry %s has no signing key: see authserver dockerauth registry keys", registry.ClientID)
}

// sign returns an answer with a token that grants access. subject is empty for
// nobody in particular.
func (s signer) sign(subject string, access []Access) (answer, error) {
	lifetime := s.registry.PullLifetime
	resources := make([]*registrytoken.ResourceActions, 0, len(access)) // null is no list
	for _, a := range access {
		if a.granted()&(push|remove) != 0 {
			lifetime = s.registry.PushLifetime
		}
		resources = append(resources, &registrytoken.ResourceActions{Type: a.Type, Name: a.Name, Actions: a.Actions})
	}
	now := time.Now()
	signed, err := s.key.SignHinted(s.hint, registrytoken.ClaimSet{
		Issuer:     s.issuer,
		Subject:    subject,
		Audience:   s.registry.ClientID,
		Expiration: now.Add(lifetime).Unix(),
		NotBefore:  now.Add(-clockSkew).Unix(),
		IssuedAt:   now.Unix(),
		JWTID:      rand.Text(),
		Access:     resources,
	})
	if err != nil {
		return answer{}, fmt.Errorf("token for the Docker registry %s: %w", s.registry.ClientID, err)
	}
	return answer{
		Token:       signed,
		AccessToken: signed,
		ExpiresIn:   int(lifetime.Seconds()),
		IssuedAt:    now.UTC().Truncate(time.Second),
		Scope:       granted(access),
	}, nil
}

// fallsShort reports whether access is less than the scopes.
func fallsShort(access []Access, scopes []Scope) bool {
	return slices.ContainsFunc(scopes, func(s Scope) bool {
		var got actions
		if i := slices.IndexFunc(access, func(a Access) bool { return a.Type == s.Type && a.Name == s.Name }); i >= 0 {
			got = access[i].granted()
		}
		return slices.ContainsFunc(s.Actions, func(action string) bool {
			wanted := s.asks(action)
			return wanted == 0 || wanted&^got != 0
		})
	})
}

// granted lists access as scopes, without that to nothing.
func granted(access []Access) string {
	var scopes []Scope
	for _, a := range access {
		if len(a.Actions) > 0 {
			scopes = append(scopes, Scope(a))
		}
	}
	return list(scopes)
}

// list returns scopes with blanks between (RFC 6749 section 3.3).
func list(scopes []Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = s.String()
	}
	return strings.Join(texts, " ")
}

// maxLogged is more than people ask for; programs may ask for a hundred scopes.
const maxLogged = 1000

// cut shortens a list of scopes to what a log line can bear.
func cut(list string) string {
	if len(list) > maxLogged {
		return list[:maxLogged] + "…"
	}
	return list
}
