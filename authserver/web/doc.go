// Package web is how the pages of the server look, and in which language they
// speak. What they are about is decided elsewhere.
//
//	page.go        Page: a template, the struct that it shows, and how it is written
//	pages.go       every page there is, and its struct
//	policy.go      the Content-Security-Policy of a page: where its forms may lead
//	language.go    which language a page is written in
//	text.go        the texts of a language, and the places to fill in
//	static.go      stylesheet, script and icons
//	templates/     layout.html is around every page; one file per page
//	languages/     the texts, one file per language; en.json is the original
//	static/        the files that static.go serves
//
// A page is plain HTML that works without script and without style: links are
// GET, forms are POST. Nothing in it comes from another site.
//
// A language is added by a file in languages/ and its name in language.go; the
// tests say what of it is missing. A text may have places like {client}, which
// are filled in by the template that shows it.
package web
