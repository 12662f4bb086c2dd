package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed templates/*.html
var templates embed.FS

// A Page is one template, templates/<name>.html, inside the layout. T is the
// struct that it shows.
type Page[T any] struct{ tmpl *template.Template }

// NewPage parses a page. Pages are package variables, so that a template that
// does not parse fails every test.
func NewPage[T any](name string) Page[T] {
	return Page[T]{template.Must(template.ParseFS(templates, "templates/layout.html", "templates/"+name+".html"))}
}

// Options are what a page needs besides its struct.
type Options struct {
	// UILocales are the languages that the client has asked for (OpenID Connect
	// Core section 3.1.2.1), with blanks between; they count for more than those
	// of the browser.
	UILocales string

	// FormAction is where forms of the page may lead besides this server,
	// redirects included, as FormActionSource returns it. Empty ones are left
	// out.
	FormAction []string

	// Script lets the page run the script that sends its form.
	Script bool
}

// Render writes the page with v in the language that the request asks for. If
// it returns an error before anything is sent, headers included, the caller can
// still answer something else.
func (p Page[T]) Render(w http.ResponseWriter, r *http.Request, status int, v T, o Options) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	lang := negotiate(o.UILocales, r.Header.Values("Accept-Language"))

	var b bytes.Buffer
	err = p.tmpl.ExecuteTemplate(&b, "layout.html", view[T]{
		Lang:      lang,
		Text:      catalogues[lang],
		Data:      v,
		Script:    o.Script,
		RequestID: w.Header().Get("X-Request-Id"),
		Ours:      status >= http.StatusInternalServerError,
	})
	if err != nil {
		return fmt.Errorf("rendering a page: %w", err)
	}

	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Language")
	w.WriteHeader(status)
	// Whether the client still listens is its own affair.
	b.WriteTo(w)
	return nil
}

// A view is what templates see.
type view[T any] struct {
	Lang      string
	Text      *texts
	Data      T
	Script    bool
	RequestID string // by which the log knows the request; empty: by none
	Ours      bool   // what went wrong is our own trouble
}

// Static returns where a file of static/ is served.
func (view[T]) Static(name string) (string, error) { return staticPath(name) }

// Link returns uri as the destination of a link or a form. html/template would
// let only a few schemes through, but a redirect URI may be that of an app.
func (view[T]) Link(uri string) (template.URL, error) {
	if FormActionSource(uri) == "" {
		return "", fmt.Errorf("not a URI that a page may lead to")
	}
	return template.URL(uri), nil
}
