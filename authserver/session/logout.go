package session

import (
	"net/http"

	"authbridge/authserver/request"
	"authbridge/authserver/web"
)

const logoutPath = "/logout"

// Logout serves GET /logout, which asks, and POST, which signs out. When nobody
// is signed in, it says so.
func (s *Sessions) Logout(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return s.confirmLogout(w, r, http.StatusOK)
	}
	if err := request.ReadForm(w, r); err != nil {
		return err
	}
	if !CheckCSRF(r, forLogout, r.PostForm.Get("csrf")) {
		return s.confirmLogout(w, r, http.StatusForbidden)
	}
	if err := s.End(w, r); err != nil {
		return err
	}
	http.Redirect(w, r, logoutPath, http.StatusSeeOther)
	return nil
}

// confirmLogout asks who is signed in whether they want to sign out.
func (s *Sessions) confirmLogout(w http.ResponseWriter, r *http.Request, status int) error {
	current, err := s.Find(r)
	if err != nil {
		return err
	}
	options := web.Options{UILocales: uiLocales(r, nil)}
	if current == nil {
		return web.LoggedOut.Render(w, r, http.StatusOK, web.LoggedOutData{}, options)
	}
	return web.LogoutConfirm.Render(w, r, status, web.LogoutConfirmData{
		Action: logoutPath,
		CSRF:   s.CSRF(w, r, forLogout),
		User:   current.DisplayName(),
	}, options)
}

// Home serves GET /: who is signed in.
func (s *Sessions) Home(w http.ResponseWriter, r *http.Request) error {
	current, err := s.Find(r)
	if err != nil {
		return err
	}
	var data web.HomeData
	if current != nil {
		data = web.HomeData{User: current.DisplayName(), FullName: current.FullName, CSRF: s.CSRF(w, r, forLogout)}
	}
	return web.Home.Render(w, r, http.StatusOK, data, web.Options{UILocales: uiLocales(r, nil)})
}
