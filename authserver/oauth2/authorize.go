package oauth2

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"authbridge/authserver/request"
	"authbridge/authserver/session"
	"authbridge/authserver/web"
	"authbridge/internal/audit"
	"authbridge/internal/opaque"
)

// authorizing is what is counted of browsers, beside the grant types.
const authorizing = "authorize"

// codes are authorization codes.
var codes = opaque.Kind{Prefix: "oc_", Name: "authorization code"}

// Authorize serves GET and POST /authorize.
//
// A form that another site sends comes without our cookie, which is SameSite=Lax:
// a POST is saved, and the browser comes back by a GET.
func (s *Server) Authorize(w http.ResponseWriter, r *http.Request) error {
	if err := forBrowsers(r); err != nil {
		return err
	}
	p, err := readParameters(w, r)
	if err != nil {
		return err
	}
	p.Del(defaultRedirect)
	q, err := s.target(p)
	if err != nil {
		return err
	}
	q.at = time.Now()
	if err := s.read(q, p); err != nil {
		return s.refuse(w, r, q, err)
	}
	if r.Method == http.MethodPost {
		return s.away(w, r, q, s.continueURL)
	}
	return s.decide(w, r, q, remembered)
}

// Continue serves GET /continue: a saved request goes on, after a login.
func (s *Server) Continue(w http.ResponseWriter, r *http.Request) error {
	if err := forBrowsers(r); err != nil {
		return err
	}
	q, err := s.load(w, r, r.URL.Query().Get("id"))
	if err != nil || q == nil {
		return err
	}
	return s.decide(w, r, q, remembered)
}

// forBrowsers refuses what no browser sends that somebody uses: a HEAD would use
// up what the GET after it asks for.
func forBrowsers(r *http.Request) error {
	switch {
	case !request.Secure(r):
		return errInsecure
	case r.Method == http.MethodHead:
		return errMethod
	}
	return nil
}

// load returns a saved request; nil: it was answered, because the client may no
// longer ask for what it has asked for.
func (s *Server) load(w http.ResponseWriter, r *http.Request, handle string) (*authorization, error) {
	saved, err := s.Sessions.Load(r.Context(), handle)
	if err != nil {
		return nil, err
	}
	if saved == nil {
		return nil, invalidRequest("The request is too old, or was answered already: go back to the application and begin again")
	}
	q, err := s.target(saved.Parameters)
	if err != nil {
		return nil, err
	}
	q.handle, q.at = handle, saved.CreatedAt
	if err := s.read(q, saved.Parameters); err != nil {
		return nil, s.refuse(w, r, q, err)
	}
	return q, nil
}

// away sends the browser to another page of ours with the handle of the request,
// which is saved until it comes back.
func (s *Server) away(w http.ResponseWriter, r *http.Request, q *authorization, to func(handle string) string) error {
	if err := s.save(r, q); err != nil {
		return err
	}
	seeOther(w, to(q.handle))
	return nil
}

// save saves a request, unless it is.
func (s *Server) save(r *http.Request, q *authorization) (err error) {
	if q.handle == "" {
		q.handle, err = s.Sessions.Save(r.Context(), q.client.ClientID, q.parameters)
	}
	return err
}

// continueURL needs no escaping: the characters of a handle need none.
func (s *Server) continueURL(handle string) string { return s.Sessions.ContinueURL + "?id=" + handle }

// A consent is what is known of the user's will.
type consent string

const (
	remembered consent = "remembered" // what was consented to before
	ask        consent = "ask"        // that does not count
	given      consent = "given"      // just now
)

// decide asks the database what becomes of a request, and answers that.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, q *authorization, will consent) error {
	// What the claims parameter asks for beyond the scope is nowhere remembered,
	// and consent to a client counts for nobody who may be another one. Nothing is
	// granted to a request that lacks something.
	counts := q.client.Trusted || within(q.implied, q.scope) && q.client.Assured(q.response.uri)
	if q.lacks != nil || will == remembered && (q.prompt.consent || !counts) {
		will = ask
	}
	code := codes.New()
	d, err := authorize(r.Context(), s.DB, q, will, session.Hash(r), code, request.Peer(r))
	if err != nil {
		return err
	}

	if q.lacks != nil && d.Outcome != "denied" {
		return s.refuse(w, r, q, q.lacks)
	}
	switch d.Outcome {
	case "ok":
		if will == given {
			audit.ConsentGiven(r.Context(), request.Peer(r), q.client.ClientID, q.scope, d.Identifier)
		}
		s.forget(r, q)
		s.observe(authorizing, "ok")
		return q.response.send(w, r, [2]string{"code", code.Text()})
	case "login_required":
		return s.login(w, r, q)
	case "consent_required":
		if q.prompt.none {
			return s.refuse(w, r, q, &Error{Code: "consent_required", Description: "The user has not consented yet"})
		}
		return s.askConsent(w, r, q, d)
	case "denied":
		return s.denied(w, r, q, d)
	case "unmet_acr":
		return s.refuse(w, r, q, &Error{
			Code:        "unmet_authentication_requirements", // OpenID Connect Core Error Code unmet_authentication_requirements 1.0
			Description: "No login here is of the level that the application needs",
		})
	}
	return fmt.Errorf("authorize: unknown outcome %q", d.Outcome)
}

// login sends the browser to the login page.
func (s *Server) login(w http.ResponseWriter, r *http.Request, q *authorization) error {
	refused := &Error{Code: "login_required", Description: "The user has to sign in"}
	if q.prompt.none {
		return s.refuse(w, r, q, refused)
	}
	if q.handle != "" && q.subject != "" {
		// Somebody has just signed in, and is not who the client wants. To ask once
		// more would go on for ever.
		who, err := s.Sessions.Find(r)
		if err != nil {
			return err
		}
		if who != nil && !who.AuthTime.Before(q.at) {
			refused.Description = "Another user has signed in"
			return s.refuse(w, r, q, refused)
		}
	}
	return s.away(w, r, q, session.LoginURL)
}

// denied tells somebody who may not use the client. The page does not name it:
// that it is there is for those to know who may.
func (s *Server) denied(w http.ResponseWriter, r *http.Request, q *authorization, d decision) error {
	audit.OAuth2Denied(r.Context(), request.Peer(r), audit.Denial{
		Stage: "authorize", Reason: d.Reason, ClientID: q.client.ClientID, UserID: d.UserID, Identifier: d.Identifier,
	})
	switch {
	case d.Reason == "disabled": // just now
		return unknownClient(q.client.ClientID)
	case q.prompt.none:
		return s.refuse(w, r, q, errAccessDenied)
	}
	s.forget(r, q)
	s.observe(authorizing, errAccessDenied.Code)
	return web.Denied.Render(w, r, http.StatusForbidden, web.DeniedData{User: d.Identifier}, web.Options{UILocales: q.response.uiLocales})
}

var errAccessDenied = &Error{Code: "access_denied", Description: "The user may not use the application, or does not want to"}

// refuse answers a request with an error: to the client, which hears why it gets
// no code (RFC 6749 section 4.1.2.1), unless it is our own trouble.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, q *authorization, err error) error {
	refused := refusalOf(err)
	if refused == nil {
		return err
	}
	s.forget(r, q)
	s.observe(authorizing, refused.Code)
	slog.InfoContext(r.Context(), "request refused", "path", r.URL.Path, "client_id", q.client.ClientID, "err", refused)
	return q.response.send(w, r, [2]string{"error", refused.Code}, [2]string{"error_description", refused.Description})
}

// forget removes a saved request that was answered. If it stays, it goes by
// itself before long.
func (s *Server) forget(r *http.Request, q *authorization) {
	if q.handle == "" {
		return
	}
	if err := s.Sessions.Forget(r.Context(), q.handle); err != nil {
		slog.WarnContext(r.Context(), "a saved request stays", "err", err)
	}
}
