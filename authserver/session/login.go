package session

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
	"authbridge/authserver/web"
	"authbridge/internal/audit"
	"authbridge/internal/opaque"
)

const (
	loginPath = "/login"
	homePath  = "/"

	service = "web" // by which failures are counted and app passwords are limited
)

// What forms of this package are for.
const (
	forLogin  = "login"
	forLogout = "logout"
)

// busyRetryAfter is when to try again if there is too much to do.
const busyRetryAfter = 5 * time.Second

// Login serves GET /login, which shows the page, and POST, which its form sends.
//
// The wrong name and the wrong password have one answer, and nothing in the
// request says where a login leads but the handle of a saved request.
func (s *Sessions) Login(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return s.showLogin(w, r, http.StatusOK, loginForm{request: r.URL.Query().Get("request")}, "")
	}
	if err := request.ReadForm(w, r); err != nil {
		return err
	}
	form := loginForm{
		request:  r.PostForm.Get("request"),
		username: strings.TrimSpace(r.PostForm.Get("username")),
		sent:     true,
	}
	if !CheckCSRF(r, forLogin, r.PostForm.Get("csrf")) {
		return s.showLogin(w, r, http.StatusForbidden, form, web.LoginExpired)
	}

	from := request.Peer(r)
	login := account.Login{Name: form.username, Password: r.PostForm.Get("password"), Service: service, Client: from}
	secret := secrets.New()
	who, id, err := s.signIn(r, login, secret, form.request)
	if errors.Is(err, errChanged) {
		// The password was changed just now, or got another hash: which of both, it
		// says itself.
		who, id, err = s.signIn(r, login, secret, form.request)
	}
	var throttled *account.ThrottledError
	switch {
	case errors.Is(err, account.ErrDenied), errors.Is(err, errChanged):
		return s.showLogin(w, r, http.StatusForbidden, form, web.LoginDenied)
	case errors.Is(err, errService):
		return s.showLogin(w, r, http.StatusForbidden, form, web.LoginService)
	case errors.As(err, &throttled):
		setRetryAfter(w, throttled.RetryAfter)
		return s.showLogin(w, r, http.StatusTooManyRequests, form, web.LoginThrottled)
	case errors.Is(err, account.ErrBusy):
		slog.WarnContext(r.Context(), "login not verified", "err", err)
		setRetryAfter(w, busyRetryAfter)
		return s.showLogin(w, r, http.StatusServiceUnavailable, form, web.LoginBusy)
	case err != nil:
		return err
	}
	setCookie(w, secret)
	audit.SessionStarted(r.Context(), id, who.Identifier, who.ServiceUser, from)
	http.Redirect(w, r, s.continueURL(form.request), http.StatusSeeOther)
	return nil
}

var (
	errChanged = errors.New("the credential has changed since it was verified")
	errService = errors.New("service users sign in for applications only")
)

// signIn verifies a login, and starts a session for whoever it is. The session
// takes the place of the one that the request belongs to. handle is that of the
// saved request; empty: there is none.
func (s *Sessions) signIn(r *http.Request, login account.Login, secret opaque.Secret, handle string) (who account.Account, id string, err error) {
	if who, err = s.Verifier.Verify(r.Context(), login); err != nil {
		return account.Account{}, "", err
	}
	if who.ServiceUser != "" {
		saved, err := s.Load(r.Context(), handle)
		if err != nil {
			return account.Account{}, "", err
		}
		if saved == nil {
			return account.Account{}, "", errService
		}
	}
	id, err = s.startSession(r.Context(), secret, Hash(r), who, login.Client, userAgent(r))
	return who, id, err
}

// continueURL is where a login leads.
func (s *Sessions) continueURL(handle string) string {
	if _, err := handles.Parse(handle); err != nil {
		return homePath
	}
	return s.ContinueURL + "?" + url.Values{"id": {handle}}.Encode()
}

// loginForm is what the login page begins with.
type loginForm struct {
	request  string // handle of the saved request, if it is one
	username string
	sent     bool // by the browser, so that username stands, were it empty
}

// showLogin shows the login page. A saved request that is gone is a problem,
// too, if there is no other.
func (s *Sessions) showLogin(w http.ResponseWriter, r *http.Request, status int, form loginForm, problem web.LoginProblem) error {
	saved, err := s.Load(r.Context(), form.request)
	if err != nil {
		return err
	}
	data := web.LoginData{Action: loginPath, Name: form.username, Problem: problem}
	options := web.Options{UILocales: uiLocales(r, saved)}
	switch {
	case saved != nil:
		data.Request = form.request
		data.Client = saved.ClientName
		if !form.sent {
			data.Name = saved.Parameters.Get("login_hint")
		}
		// Somebody who has consented before is sent on at once, and browsers see
		// where the form led (CSP 3 section 6.4.1.1).
		options.FormAction = web.FormActions(saved.Parameters.Get("redirect_uri"), saved.AllowedOrigins)
	case form.request != "" && problem == "":
		data.Problem = web.LoginExpired
	}
	if len(data.Name) > maxShownName || !request.IsText(data.Name) {
		data.Name = ""
	}
	data.CSRF = s.CSRF(w, r, forLogin)
	return web.Login.Render(w, r, status, data, options)
}

// maxShownName is more than the longest address has (RFC 5321 section 4.5.3.1).
const maxShownName = 320

// uiLocales returns in which languages a page is wanted: as the application has
// said whose request is saved, or else the query.
func uiLocales(r *http.Request, saved *Saved) string {
	if saved != nil {
		return saved.Parameters.Get("ui_locales")
	}
	return r.URL.Query().Get("ui_locales")
}

// maxUserAgent is what auth.sessions stores, in bytes.
const maxUserAgent = 255

// userAgent returns what the browser calls itself, without what is no text.
func userAgent(r *http.Request) string {
	text := strings.Map(func(c rune) rune {
		if c == utf8.RuneError || unicode.IsControl(c) {
			return -1
		}
		return c
	}, r.UserAgent())
	if len(text) > maxUserAgent {
		text = strings.ToValidUTF8(text[:maxUserAgent], "")
	}
	return text
}
