package oidc

import (
	"net/http"
	"net/url"
	"strings"

	"authbridge/authserver/claims"
	"authbridge/authserver/client"
	"authbridge/authserver/request"
	"authbridge/authserver/session"
	"authbridge/authserver/web"
)

// confirmLogout is what the confirmation's CSRF token is for.
const confirmLogout = "end session"

// EndSession serves GET and POST of the endpoint to which relying parties send
// a browser to sign out (OpenID Connect RP-Initiated Logout 1.0).
//
// Only an ID token of this very session signs out without a question: any page
// can send a browser here, and an old ID token is in many logs.
func (s *Server) EndSession(w http.ResponseWriter, r *http.Request) error {
	q, refused := s.readLogout(w, r)
	if refused != "" {
		return s.refuse(w, r, q.uiLocales, "invalid_request", refused)
	}
	current, err := s.Sessions.Find(r)
	switch {
	case err != nil:
		return err
	case current == nil:
		return s.signedOut(w, r, q)
	case q.hint.SessionID == "" || q.hint.SessionID != current.ID:
		return web.LogoutConfirm.Render(w, r, http.StatusOK, web.LogoutConfirmData{
			Action: s.basePath() + "/logout/confirm",
			CSRF:   s.Sessions.CSRF(w, r, confirmLogout),
			User:   current.DisplayName(),
			Fields: q.fields(),
		}, web.Options{UILocales: q.uiLocales, FormAction: q.formAction()})
	}
	if err := s.Sessions.End(w, r); err != nil {
		return err
	}
	return s.signedOut(w, r, q)
}

// ConfirmLogout serves POST of the form that EndSession shows.
func (s *Server) ConfirmLogout(w http.ResponseWriter, r *http.Request) error {
	q, refused := s.readLogout(w, r)
	switch {
	case refused != "":
		return s.refuse(w, r, q.uiLocales, "invalid_request", refused)
	case !session.CheckCSRF(r, confirmLogout, r.PostForm.Get("csrf")):
		return s.refuse(w, r, q.uiLocales, "invalid_request", "This form is too old; go back and try again")
	}
	if err := s.Sessions.End(w, r); err != nil {
		return err
	}
	return s.signedOut(w, r, q)
}

// refuse shows what is wrong with a request that no relying party may be told
// about.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, uiLocales, code, description string) error {
	return web.Error.Render(w, r, http.StatusBadRequest, web.ErrorData{Code: code, Description: description}, web.Options{UILocales: uiLocales})
}

// signedOut sends the browser back to where it came from, or says that it is
// done.
func (s *Server) signedOut(w http.ResponseWriter, r *http.Request, q logoutRequest) error {
	if q.redirect == "" {
		var name string
		if q.client != nil {
			name = q.client.Name
		}
		return web.LoggedOut.Render(w, r, http.StatusOK, web.LoggedOutData{Client: name}, web.Options{UILocales: q.uiLocales})
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, q.target(), http.StatusSeeOther)
	return nil
}

// logoutRequest is what a relying party asks for. Everything in it is good.
type logoutRequest struct {
	client    *client.Client // nil: nobody says whom it is from
	hint      claims.Hint
	redirect  string // post_logout_redirect_uri; empty: none
	state     string
	uiLocales string
}

// maxParameter is more than anybody needs, in bytes.
const maxParameter = 8 << 10

// readLogout reads the parameters of the query, or of the form that was posted.
// refused says why the request is answered by a page of ours.
func (s *Server) readLogout(w http.ResponseWriter, r *http.Request) (q logoutRequest, refused string) {
	parameters, err := url.ParseQuery(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		if err = request.ReadForm(w, r); err == nil {
			parameters = r.PostForm
		}
	}
	if err != nil {
		return q, "The parameters cannot be read"
	}
	for _, values := range parameters {
		if len(values) > 1 {
			return q, "A parameter is given more than once"
		}
		if len(values[0]) > maxParameter || !request.IsText(values[0]) {
			return q, "A parameter is too long, or no text"
		}
	}
	q.uiLocales, q.state = parameters.Get("ui_locales"), parameters.Get("state")

	clientID := parameters.Get("client_id")
	if text := parameters.Get("id_token_hint"); text != "" {
		if q.hint, err = s.Issuer.VerifyIDTokenHint(text); err != nil {
			return q, "The id_token_hint is not an ID token of this server"
		}
		if clientID != "" && clientID != q.hint.ClientID {
			return q, "The id_token_hint is that of another client"
		}
		clientID = q.hint.ClientID
	}
	if clientID != "" {
		if q.client = s.Clients.Client(clientID); q.client == nil || !q.client.Enabled {
			q.client = nil
			return q, "The client is not known"
		}
	}
	redirect := parameters.Get("post_logout_redirect_uri")
	switch {
	case redirect == "":
		return q, ""
	case q.client == nil:
		return q, "A post_logout_redirect_uri needs an id_token_hint or client_id"
	case !q.client.PostLogoutRedirect(redirect):
		return q, "The post_logout_redirect_uri is not registered for this client"
	}
	q.redirect = redirect
	return q, ""
}

// target is where the browser goes in the end: the address as it is registered,
// and state.
func (q logoutRequest) target() string {
	switch {
	case q.state == "":
		return q.redirect
	case strings.Contains(q.redirect, "?"):
		return q.redirect + "&state=" + url.QueryEscape(q.state)
	}
	return q.redirect + "?state=" + url.QueryEscape(q.state)
}

// fields are what the confirmation sends back: the same request, without the ID
// token.
func (q logoutRequest) fields() [][2]string {
	var fields [][2]string
	if q.client != nil {
		fields = append(fields, [2]string{"client_id", q.client.ClientID})
	}
	for _, f := range [][2]string{{"post_logout_redirect_uri", q.redirect}, {"state", q.state}, {"ui_locales", q.uiLocales}} {
		if f[1] != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

// formAction is where the confirmation may lead besides here.
func (q logoutRequest) formAction() []string {
	if q.redirect == "" {
		return nil
	}
	return web.FormActions(q.redirect, q.client.AllowedOrigins)
}
