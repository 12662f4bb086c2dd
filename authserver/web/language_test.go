package web

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		uiLocales string
		accept    []string
		want      string
	}{
		{"", nil, "en"},
		{"", []string{""}, "en"},
		{"", []string{"de"}, "de"},
		{"", []string{"DE-at"}, "de"},
		{"", []string{"de-Latn-CH-1996"}, "de"},
		{"", []string{"en-GB,de;q=0.9"}, "en"},
		{"", []string{"uk-UA,uk;q=0.9,ru;q=0.8,en-US;q=0.7,en;q=0.6"}, "uk"},
		{"", []string{"ru-UA,uk;q=0.9"}, "ru"},
		{"", []string{"fr-CH, fr;q=0.9, de;q=0.7, *;q=0.5"}, "de"},
		{"", []string{"en;q=0.3, ru;q=0.4"}, "ru"},
		{"", []string{"de;q=0, ru;q=0.1"}, "ru"},
		{"", []string{"fr", "uk"}, "uk"},
		{"", []string{"*"}, "en"},
		{"", []string{"zh-Hans, ja"}, "en"},

		// Somebody else's language only if there is nothing better.
		{"", []string{"lb"}, "de"},
		{"", []string{"lb, en;q=0.1"}, "en"},
		{"", []string{"be, uk;q=0.5"}, "uk"},

		// What cannot be read costs nothing but itself.
		{"", []string{"englisch, de"}, "de"},
		{"", []string{"de;q=viel, ru;q=0.5"}, "ru"},
		{"", []string{"\xff\x00, ;;, uk"}, "uk"},
		{"", []string{strings.Repeat("a-", 4000) + ", de"}, "de"},
		{"", []string{strings.Repeat("fr, ", 4000) + "de"}, "en"},
		{"", []string{strings.Repeat("englisch, ", 4000) + "de"}, "en"},

		{"de", nil, "de"},
		{"fr-CA fr uk", []string{"de"}, "uk"},
		{"  ru\tde ", []string{"en"}, "ru"},
		{"fr", []string{"de"}, "de"},
		{"no-such-language-at-all", []string{"de"}, "de"},
		{"de,ru", []string{"uk"}, "uk"}, // blanks are what stands between
		{strings.Repeat("fr ", 4000) + "de", []string{"uk"}, "uk"},
		{strings.Repeat("englisch ", 4000) + "de", []string{"uk"}, "uk"},
		{strings.Repeat("x", 8000) + " ru", []string{"uk"}, "ru"},
	} {
		if got := negotiate(tt.uiLocales, tt.accept); got != tt.want {
			t.Errorf("ui_locales %.40q, Accept-Language %.40q: %s, want %s", tt.uiLocales, tt.accept, got, tt.want)
		}
	}
}

// Somebody who asks for one language is never given another, whatever stands
// behind it; and the answer is always a language that there is.
func FuzzNegotiate(f *testing.F) {
	f.Add("de", "en;q=0.5")
	f.Add("", "fr-CH, fr;q=0.9, *;q=0.1")
	f.Add("x y\x00z", "de;q=\xff,,,")
	f.Add(strings.Repeat("a-", 100), strings.Repeat("-", 2000))
	f.Fuzz(func(t *testing.T, uiLocales, accept string) {
		if got := negotiate(uiLocales, []string{accept}); !slices.Contains(Languages(), got) {
			t.Errorf("%q", got)
		}
		for _, lang := range Languages() {
			if got := negotiate(lang+" "+uiLocales, []string{accept}); got != lang {
				t.Errorf("%s, asked for first by ui_locales, is answered in %s", lang, got)
			}
		}
	})
}

func TestLanguages(t *testing.T) {
	for _, lang := range Languages() {
		if tag, err := language.Parse(lang); err != nil || tag.String() != lang {
			t.Errorf("%q is %v, %v", lang, tag, err)
		}
	}
	files, err := languageFiles.ReadDir("languages")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if lang, _ := strings.CutSuffix(file.Name(), ".json"); !slices.Contains(Languages(), lang) {
			t.Errorf("languages/%s is not in language.go", file.Name())
		}
	}
}
