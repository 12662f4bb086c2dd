package oauth2

import (
	"net/http"
	"net/url"
	"strings"

	"authbridge/authserver/web"
)

// A response is where the answer to an authorization request goes, and what is
// in it whatever the answer. The URI is one of the client's.
type response struct {
	uri      string
	formPost bool   // else by a query
	state    string // as it was sent; empty: it was not
	issuer   string
	origins  []string // of the application, to which uri may send the browser on

	uiLocales string // the languages for pages
}

// send answers with a parameter, be it code or error, and what belongs to it.
func (a response) send(w http.ResponseWriter, r *http.Request, parameters ...[2]string) error {
	if a.state != "" {
		parameters = append(parameters, [2]string{"state", a.state})
	}
	parameters = append(parameters, [2]string{"iss", a.issuer}) // RFC 9207
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	if a.formPost {
		h.Set("Referrer-Policy", "origin") // else the form is from nowhere, and refused by careful applications
		return web.FormPost.Render(w, r, http.StatusOK, web.FormPostData{Action: a.uri, Fields: parameters}, web.Options{
			UILocales:  a.uiLocales,
			FormAction: web.FormActions(a.uri, a.origins),
			Script:     true,
		})
	}
	h.Set("Location", withQuery(a.uri, parameters))
	// 303, so that a form that somebody has sent here is not sent on, with what is
	// in it (RFC 9700 section 4.12).
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// withQuery returns uri with parameters behind those that it has already, of
// which no byte is changed (RFC 6749 section 3.1.2).
func withQuery(uri string, parameters [][2]string) string {
	var b strings.Builder
	b.WriteString(uri)
	separator := byte('?')
	if strings.Contains(uri, "?") {
		separator = '&'
		if strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&") {
			separator = 0
		}
	}
	for _, p := range parameters {
		if separator != 0 {
			b.WriteByte(separator)
		}
		separator = '&'
		b.WriteString(url.QueryEscape(p[0]))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p[1]))
	}
	return b.String()
}

// seeOther sends the browser on to a path of ours.
func seeOther(w http.ResponseWriter, path string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}
