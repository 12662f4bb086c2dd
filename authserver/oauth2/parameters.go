package oauth2

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/request"
)

// maxParameter is how long the value of a parameter may be, in bytes.
const maxParameter = 8 << 10

// maxParameters is how long all of an authorization request may be, in bytes: whoever has
// not signed in can let us save it.
const maxParameters = 8 << 10

// single returns the value of a parameter. One without a value is not there, and
// none may be there twice: which of two is meant is anybody's guess (RFC 6749
// section 3.1).
func single(p url.Values, name string) (string, error) {
	switch values := p[name]; {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", invalidRequest(name + " is there more than once")
	case len(values[0]) > maxParameter:
		return "", invalidRequest(name + " is too long")
	case !request.IsText(values[0]):
		return "", invalidRequest(name + " is not UTF-8 text")
	default:
		return values[0], nil
	}
}

// authorizationParameters are what an authorization request may say, in the
// order in which mistakes are found, but for client_id, redirect_uri and state.
// What else it says is ignored, and not saved.
var authorizationParameters = []string{
	"response_mode", "ui_locales", "request", "request_uri", "registration", "response_type", "scope", "nonce",
	"code_challenge", "code_challenge_method", "prompt", "max_age",
	"id_token_hint", "login_hint", "acr_values", "claims",
}

// defaultRedirect is in saved parameters instead of what was not sent. It is
// none that anybody could send: only those above are saved.
const defaultRedirect = "authserver_default_redirect_uri"

// An authorization is an authorization request that was found good.
type authorization struct {
	client   *client.Client
	response response

	// handle is that of the saved request; empty: it has not been saved. at is
	// when it was sent, before or after which somebody has signed in.
	handle string
	at     time.Time

	parameters url.Values // to be saved
	lacks      *Error     // what is missing; somebody who may not use the client does not hear of it

	redirectURI string // as it was sent; empty: it was not
	scope       []string
	implied     []string // scopes that the claims parameter asks for some of
	resources   []string
	challenge   string // S256; empty: none
	nonce       string
	claims      []byte // JSON; nil: none
	subject     string // who has to be signed in; empty: anybody
	acr         []string
	prompt      prompt
	maxAge      time.Duration // negative: any
}

// A prompt is what the client wants to happen (OpenID Connect Core section
// 3.1.2.1).
type prompt struct{ none, login, consent bool }

// since returns before when a proof of who it is does not count; the zero Time:
// it always does.
func (q *authorization) since() time.Time {
	switch {
	case q.prompt.login:
		return q.at
	case q.maxAge >= 0:
		return q.at.Add(-q.maxAge)
	}
	return time.Time{}
}

// readParameters returns what a request to /authorize says, wherever it does.
func readParameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		p, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, request.ErrMalformedBody
		}
		return p, nil
	}
	return readForm(w, r)
}

// readForm returns what is in the body of a POST. What is in its URL as well
// would be in logs, and perhaps not what a proxy has looked at (RFC 6749 section
// 2.3.1).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("The parameters are to be in the body, as application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, invalidRequest("The parameters of a POST are to be in its body, not in the URL")
	}
	if err := request.ReadForm(w, r); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

// target returns who asks, and where the answer goes. As long as that is not
// clear, errors are for people: nobody is redirected by them (RFC 6749 section
// 4.1.2.1).
func (s *Server) target(p url.Values) (*authorization, error) {
	clientID, err := single(p, "client_id")
	if err != nil {
		return nil, err
	}
	if clientID == "" {
		return nil, invalidRequest("client_id is missing")
	}
	c := s.Clients.Client(clientID)
	if c == nil || !c.Enabled {
		return nil, unknownClient(clientID)
	}
	q := &authorization{client: c, maxAge: -1, parameters: url.Values{"client_id": {clientID}}, response: response{issuer: s.Issuer.URL, origins: c.AllowedOrigins}}

	sent, err := single(p, "redirect_uri")
	switch {
	case err != nil:
		return nil, err
	case sent != "" && !c.Redirect(sent):
		return nil, &Error{Code: "invalid_request", Description: "The application has no such redirect_uri", Err: fmt.Errorf("client %s: %.200q", clientID, sent)}
	case sent != "":
		q.response.uri = sent
		if !p.Has(defaultRedirect) {
			q.redirectURI = sent
		}
	// RFC 6749 section 3.1.2.3; OpenID Connect Core section 3.1.2.1 requires it.
	case len(c.RedirectURIs) == 1 && !slices.Contains(strings.Fields(p.Get("scope")), "openid"):
		q.response.uri = c.RedirectURIs[0]
	default:
		return nil, invalidRequest("redirect_uri is missing")
	}
	q.parameters.Set("redirect_uri", q.response.uri)
	if q.redirectURI == "" {
		q.parameters.Set(defaultRedirect, "true")
	}
	return q, nil
}

// read reads all that target has left. Errors are for the client, by its
// redirect URI.
func (s *Server) read(q *authorization, p url.Values) error {
	state, err := single(p, "state")
	if err != nil {
		return err // without the state
	}
	q.response.state = state
	q.parameters.Set("state", state)
	for _, name := range authorizationParameters {
		value, err := single(p, name)
		if err != nil {
			return err
		}
		if value == "" {
			continue
		}
		if err := s.readParameter(q, name, value); err != nil {
			return err
		}
		q.parameters.Set(name, value)
	}

	switch {
	case p.Get("response_type") == "":
		return invalidRequest("response_type is missing")
	case !q.client.Grants(client.AuthorizationCode):
		return &Error{Code: "unauthorized_client", Description: "The application may not use this grant type"}
	case q.challenge == "" && p.Get("code_challenge_method") != "":
		return invalidRequest("code_challenge is missing")
	case q.challenge != "" && p.Get("code_challenge_method") != "S256": // not said is plain
		return invalidRequest("code_challenge_method has to be S256")
	case q.challenge == "" && (q.client.RequirePKCE || q.client.Type == client.Public):
		q.lacks = invalidRequest("code_challenge is missing: the application has to use PKCE")
	}
	if q.scope == nil {
		if q.scope, err = requestedScope(q.client, ""); err != nil {
			return err
		}
		// What somebody consents to is what the page shows, whatever the client may
		// ask for by then.
		q.parameters.Set("scope", list(q.scope))
	}
	if q.resources, err = requestedResources(q.client, p); err != nil {
		return err
	}
	q.parameters["resource"] = q.resources
	size := 0
	for _, values := range q.parameters {
		for _, value := range values {
			size += len(value)
		}
	}
	if size > maxParameters {
		return invalidRequest("The request is too large")
	}
	return nil
}

// readParameter reads one of authorizationParameters.
func (s *Server) readParameter(q *authorization, name, value string) (err error) {
	switch name {
	case "response_mode":
		switch value {
		case "query":
		case "form_post":
			q.response.formPost = true
		default:
			return invalidRequest("response_mode has to be query or form_post")
		}
	case "request":
		return &Error{Code: "request_not_supported", Description: "This server reads no request objects"}
	case "request_uri":
		return &Error{Code: "request_uri_not_supported", Description: "This server fetches no request objects"}
	case "registration":
		return &Error{Code: "registration_not_supported", Description: "This server registers nobody by a parameter"}
	case "response_type":
		if value != "code" {
			return &Error{Code: "unsupported_response_type", Description: "response_type has to be code"}
		}
	case "scope":
		q.scope, err = requestedScope(q.client, value)
		return err
	case "nonce":
		q.nonce = value
	case "code_challenge":
		if hash, err := base64.RawURLEncoding.Strict().DecodeString(value); err != nil || len(hash) != 32 || len(value) != 43 {
			return invalidRequest("code_challenge is not the base64url of a SHA-256")
		}
		q.challenge = value
	case "prompt":
		q.prompt, err = readPrompt(value)
		return err
	case "max_age":
		q.maxAge, err = readMaxAge(value)
		return err
	case "ui_locales":
		q.response.uiLocales = value
	case "id_token_hint":
		return s.readHint(q, value)
	case "claims":
		return s.readClaims(q, value)
	}
	// login_hint is for the login page. acr_values are wishes, and each of our
	// logins is of the only level that there is.
	return nil
}

// readPrompt ignores what it does not know. To choose another account is to sign
// in again: a browser has one at a time.
func readPrompt(value string) (prompt, error) {
	var p prompt
	words := strings.Fields(value)
	for _, word := range words {
		switch word {
		case "none":
			p.none = true
		case "login", "select_account":
			p.login = true
		case "consent":
			p.consent = true
		}
	}
	if p.none && len(words) > 1 {
		return prompt{}, invalidRequest("prompt has none and something else")
	}
	return p, nil
}

// maxMaxAge is more than any session lasts, in seconds.
const maxMaxAge = 10 * 365 * 24 * 60 * 60

// readMaxAge refuses what is no number of seconds: a client that gets it wrong
// would take everybody for just signed in.
func readMaxAge(value string) (time.Duration, error) {
	if len(value) > 20 || strings.ContainsFunc(value, func(r rune) bool { return r < '0' || '9' < r }) {
		return 0, invalidRequest("max_age is not a number of seconds")
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds > maxMaxAge {
		seconds = maxMaxAge
	}
	return time.Duration(seconds) * time.Second, nil
}

// readHint reads who is to be signed in. A token that is not ours, or was for
// somebody else, says nothing.
func (s *Server) readHint(q *authorization, value string) error {
	hint, err := s.Issuer.VerifyIDTokenHint(value)
	if err != nil || hint.ClientID != q.client.ClientID {
		return invalidRequest("id_token_hint is not an ID token that this application has got here")
	}
	return q.mustBe(hint.Subject)
}

// mustBe notes who is to be signed in. Nobody is two.
func (q *authorization) mustBe(subject string) error {
	if subject != "" && q.subject != "" && subject != q.subject {
		return &Error{Code: "login_required", Description: "The application asks for two users at once"}
	}
	if subject != "" {
		q.subject = subject
	}
	return nil
}

// readClaims ignores what is malformed (OpenID Connect Core section 5.5).
func (s *Server) readClaims(q *authorization, value string) error {
	wanted, err := claims.ParseRequest(value)
	if err != nil || wanted.IsZero() {
		return nil
	}
	if q.claims, err = json.Marshal(wanted); err != nil {
		return fmt.Errorf("claims parameter: %w", err)
	}
	q.acr = wanted.ACR()
	q.implied = s.Issuer.Scope(q.client, wanted)
	return q.mustBe(wanted.Subject())
}
