package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"authbridge/internal/opaque"
)

// cookieName has a prefix that browsers know (RFC 6265bis section 4.1.3.2): only
// this host can set such a cookie, by TLS, for all of its paths.
const cookieName = "__Host-session"

var secrets = opaque.Kind{Prefix: "ss_", Name: "session"}

// cookie returns what the browser is known by. It may be of no session: one
// that has ended, or none yet.
func cookie(r *http.Request) (secret opaque.Secret, ok bool) {
	// A browser has one. Whoever managed to add another does not choose which of
	// them counts.
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 {
		return opaque.Secret{}, false
	}
	secret, err := secrets.Parse(cookies[0].Value)
	return secret, err == nil
}

// Hash returns the SHA-256 of the session's cookie, for stored functions that
// decide about the session as well; nil: there is no such cookie.
func Hash(r *http.Request) []byte {
	secret, ok := cookie(r)
	if !ok {
		return nil
	}
	hash := secret.SHA256()
	return hash[:]
}

// setCookie gives the browser a secret, in the place of one that this answer
// would have given it.
func setCookie(w http.ResponseWriter, secret opaque.Secret) {
	writeCookie(w, http.Cookie{Value: secret.Text()})
}

func removeCookie(w http.ResponseWriter) { writeCookie(w, http.Cookie{MaxAge: -1}) }

// writeCookie sends what all our cookies have in common, and only the last of
// them: two of one name in an answer have no order (RFC 6265 section 4.1.1).
func writeCookie(w http.ResponseWriter, c http.Cookie) {
	c.Name, c.Path = cookieName, "/"
	c.Secure, c.HttpOnly, c.SameSite = true, true, http.SameSiteLaxMode
	lines := w.Header()["Set-Cookie"]
	w.Header().Del("Set-Cookie")
	for _, line := range lines {
		if other, err := http.ParseSetCookie(line); err != nil || other.Name != cookieName {
			w.Header().Add("Set-Cookie", line)
		}
	}
	http.SetCookie(w, &c)
}

// given returns the secret that this answer gives the browser.
func given(w http.ResponseWriter) (secret opaque.Secret, ok bool) {
	for _, line := range w.Header()["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == cookieName {
			secret, err := secrets.Parse(c.Value)
			return secret, err == nil
		}
	}
	return opaque.Secret{}, false
}

// CSRF returns what a form for a purpose has in its field csrf, and gives a
// browser that is not known yet a cookie to go with it. It is called before
// the answer begins. What it returns is good for this browser until it signs
// in or out.
func (s *Sessions) CSRF(w http.ResponseWriter, r *http.Request, purpose string) string {
	secret, ok := given(w)
	if !ok {
		secret, ok = cookie(r)
	}
	if !ok {
		secret = secrets.New()
		setCookie(w, secret)
	}
	return csrf(secret, purpose)
}

// CheckCSRF reports whether a form that was posted is one of ours, shown to this
// browser for this purpose: by what the browser says of where the form was, and
// by the token in its field csrf. Older browsers say nothing, and the token
// decides alone.
func CheckCSRF(r *http.Request, purpose, token string) bool {
	secret, ok := cookie(r)
	return ok && crossOrigin.Check(r) == nil && hmac.Equal([]byte(token), []byte(csrf(secret, purpose)))
}

var crossOrigin = http.NewCrossOriginProtection()

// csrf derives a form's token from the cookie: nothing to store, and nobody who
// sees a page can make the cookie of it.
func csrf(secret opaque.Secret, purpose string) string {
	h := hmac.New(sha256.New, []byte(secret.Text()))
	h.Write([]byte("csrf " + purpose))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
