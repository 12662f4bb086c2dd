package web

import (
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// languages are those that pages are written in. The first is for whoever
// understands none of them.
var languages = []language.Tag{language.English, language.German, language.Russian, language.Ukrainian}

var matcher = language.NewMatcher(languages)

// Languages returns the tags of the languages that pages are written in
// (RFC 5646), the one of last resort first.
func Languages() []string {
	tags := make([]string, len(languages))
	for i, tag := range languages {
		tags[i] = tag.String()
	}
	return tags
}

// maxLanguages is how many languages are looked at, and maxLanguage how long
// one may be with its weight: more than anybody speaks, and less than takes any
// time.
const (
	maxLanguages = 32
	maxLanguage  = 64
)

// negotiate returns the language for a page: the first that is asked for and
// spoken here. Only if there is none, one may do that its speakers are said to
// understand: German for Luxembourgish.
func negotiate(uiLocales string, accept []string) string {
	asked := append(parseLocales(uiLocales), parseAccept(accept)...)
	for _, tag := range asked {
		base, _ := tag.Base()
		for _, lang := range languages {
			if spoken, _ := lang.Base(); base == spoken {
				return lang.String()
			}
		}
	}
	_, i, _ := matcher.Match(asked...)
	return languages[i].String()
}

// parseLocales returns the languages of a ui_locales parameter, without those
// that do not exist.
func parseLocales(s string) []language.Tag {
	var tags []language.Tag
	seen := 0
	for field := range strings.FieldsSeq(s) {
		if seen++; seen > maxLanguages {
			break
		}
		if len(field) > maxLanguage {
			continue
		}
		if tag, err := language.Parse(field); err == nil {
			tags = append(tags, tag)
		}
	}
	return tags
}

// parseAccept returns the languages of Accept-Language headers (RFC 9110
// section 12.5.4), the dearest first, without those that do not exist and those
// that are not wanted.
func parseAccept(headers []string) []language.Tag {
	type weighted struct {
		tag    language.Tag
		weight float32
	}
	var all []weighted
	seen := 0
	for field := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		if seen++; seen > maxLanguages {
			break
		}
		if len(field) > maxLanguage {
			continue
		}
		// One at a time: a language that does not exist must not cost the
		// others.
		tags, weights, err := language.ParseAcceptLanguage(field)
		if err != nil {
			continue
		}
		for i, tag := range tags {
			if weights[i] > 0 {
				all = append(all, weighted{tag, weights[i]})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b weighted) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	tags := make([]language.Tag, len(all))
	for i, w := range all {
		tags[i] = w.tag
	}
	return tags
}
