package oauth2

import (
	"net/http"
	"net/url"
	"slices"

	"authbridge/authserver/client"
	"authbridge/authserver/request"
	"authbridge/authserver/session"
	"authbridge/authserver/web"
)

// askConsent shows what the client asks for. The form goes to a URL of its own,
// which other sites cannot send anything to.
func (s *Server) askConsent(w http.ResponseWriter, r *http.Request, q *authorization, d decision) error {
	if err := s.save(r, q); err != nil {
		return err
	}
	user := d.FullName
	if user == "" {
		user = d.Identifier
	}
	// What the client gets nothing for, nobody needs to think about.
	scope := slices.DeleteFunc(slices.Clone(q.scope), func(name string) bool { return slices.Contains(client.EmptyScopes, name) })
	for _, implied := range q.implied {
		if !slices.Contains(scope, implied) {
			scope = append(scope, implied)
		}
	}
	return web.Consent.Render(w, r, http.StatusOK, web.ConsentData{
		Action:       s.consentURL(),
		CSRF:         s.Sessions.CSRF(w, r, consentPurpose(q.handle)),
		Request:      q.handle,
		Client:       q.client.Name,
		User:         user,
		Scope:        scope,
		RedirectHost: redirectHost(q.response.uri),
	}, web.Options{
		UILocales:  q.response.uiLocales,
		FormAction: web.FormActions(q.response.uri, q.client.AllowedOrigins), // browsers follow no other redirect of the form
	})
}

// Consent serves POST /consent: what the user says.
func (s *Server) Consent(w http.ResponseWriter, r *http.Request) error {
	if !request.Secure(r) {
		return errInsecure
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	fields := map[string]string{"request": "", "csrf": "", "decision": ""}
	for name := range fields {
		if fields[name], err = single(form, name); err != nil {
			return err
		}
	}
	// Before anything is looked at: whoever cannot read our pages learns nothing.
	if !session.CheckCSRF(r, consentPurpose(fields["request"]), fields["csrf"]) {
		return &Error{
			Status:      http.StatusForbidden,
			Code:        "invalid_request",
			Description: "The form is too old, or comes from somewhere else: go back to the application and begin again",
		}
	}
	q, err := s.load(w, r, fields["request"])
	if err != nil || q == nil {
		return err
	}
	switch fields["decision"] {
	case "allow":
		return s.decide(w, r, q, given)
	case "deny":
		return s.refuse(w, r, q, errAccessDenied)
	}
	return invalidRequest("decision has to be allow or deny")
}

// consentPurpose makes a form good for one request only.
func consentPurpose(handle string) string { return "consent " + handle }

// consentURL is beside where saved requests go on.
func (s *Server) consentURL() string {
	base, err := url.Parse(s.Base)
	if err != nil {
		panic("oauth2: base URL: " + err.Error()) // it is configured, and was parsed then
	}
	return base.Path + "/consent"
}

// redirectHost is where the browser goes afterwards, for people; empty: to an
// app on this device.
func redirectHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Host
}
