package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var place = regexp.MustCompile(`\{[^{}]*\}`)

// leaves returns every text of a catalogue by its path, as "login.title", with
// whether it is a message.
func leaves(t *testing.T, v reflect.Value, at string, into map[string]leaf) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		_, isMessage := v.Interface().(message)
		into[at] = leaf{v.String(), isMessage}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			leaves(t, v.Field(i), at+"."+strings.ToLower(name[:1])+name[1:], into)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			leaves(t, v.MapIndex(key), at+"."+key.String(), into)
		}
	case reflect.Pointer:
		leaves(t, v.Elem(), at, into)
	default:
		t.Fatalf("%s is a %s", at, v.Kind())
	}
}

type leaf struct {
	text    string
	message bool
}

func catalogue(t *testing.T, lang string) map[string]leaf {
	t.Helper()
	all := map[string]leaf{}
	leaves(t, reflect.ValueOf(catalogues[lang]), "", all)
	return all
}

// Every language says everything that English says, with the same places.
func TestCatalogues(t *testing.T) {
	original := catalogue(t, "en")
	for _, lang := range Languages() {
		t.Run(lang, func(t *testing.T) {
			texts := catalogue(t, lang)
			for key := range texts {
				if _, ok := original[key]; !ok {
					t.Errorf("%s: not in English", key)
				}
			}
			for key, want := range original {
				got, ok := texts[key]
				if !ok || got.text == "" {
					t.Errorf("%s: missing", key)
					continue
				}
				if got.text != strings.TrimSpace(got.text) || strings.Contains(got.text, "  ") {
					t.Errorf("%s: %q has blanks too many", key, got.text)
				}
				if strings.ContainsFunc(got.text, func(r rune) bool { return !unicode.IsPrint(r) && r != ' ' && r != '\u00a0' }) {
					t.Errorf("%s: %q has what cannot be read", key, got.text)
				}
				places := place.FindAllString(got.text, -1)
				if wanted := place.FindAllString(want.text, -1); !slices.Equal(places, wanted) {
					t.Errorf("%s: places %q, want %q", key, places, wanted)
				}
				if got.message && len(places) != 1 || !got.message && strings.ContainsAny(got.text, "{}") {
					t.Errorf("%s: %q has %d places", key, got.text, len(places))
				}
			}
		})
	}
}

// A translation is one, and not a copy of the original that was forgotten.
func TestTranslated(t *testing.T) {
	for _, lang := range Languages()[1:] {
		for key, original := range catalogue(t, "en") {
			if catalogue(t, lang)[key].text == original.text {
				t.Errorf("%s: %s is English: %q", lang, key, original.text)
			}
		}
	}
}

// Russian and Ukrainian are written in Cyrillic letters: one that only looks
// like it is a Latin one, and letters of the one are not in the other.
func TestAlphabets(t *testing.T) {
	for lang, foreign := range map[string]string{"ru": "іїєґІЇЄҐ", "uk": "ыэъёЫЭЪЁ", "de": "ẞ"} {
		for key, l := range catalogue(t, lang) {
			text := place.ReplaceAllString(l.text, "")
			if i := strings.IndexAny(text, foreign); i >= 0 {
				t.Errorf("%s: %s: %q has a letter of another alphabet", lang, key, text)
			}
			cyrillic := strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) })
			latin := strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Latin, r) })
			if lang == "de" && cyrillic || lang != "de" && latin {
				t.Errorf("%s: %s: %q has a letter of another alphabet", lang, key, text)
			}
		}
	}
}

// Keys are written as the fields are called, and once: the decoder would take
// any case, and the last of two.
func TestKeys(t *testing.T) {
	want := slices.Sorted(maps.Keys(catalogue(t, "en")))
	for _, lang := range Languages() {
		data, err := languageFiles.ReadFile("languages/" + lang + ".json")
		if err != nil {
			t.Fatal(err)
		}
		keys, err := jsonKeys(data)
		if err != nil {
			t.Fatalf("%s: %v", lang, err)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, want) {
			t.Errorf("%s has the keys\n%q, want\n%q", lang, keys, want)
		}
	}
}

// jsonKeys returns the paths of all strings in an object of objects, as often
// as they are there.
func jsonKeys(data []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	var keys []string
	var object func(at string) error
	object = func(at string) error {
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			value, err := d.Token()
			if err != nil {
				return err
			}
			here := fmt.Sprint(at, ".", key)
			switch value.(type) {
			case json.Delim:
				if err := object(here); err != nil {
					return err
				}
			default:
				keys = append(keys, here)
			}
		}
		_, err := d.Token() // the end of the object
		return err
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if err := object(""); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one object (%v)", err)
	}
	return keys, nil
}

// What the server knows has a text in every language.
func TestKnown(t *testing.T) {
	scopes := []string{"openid", "profile", "email", "address", "phone", "groups", "permissions", "scopes", "access", "username", "offline_access"}
	for _, lang := range Languages() {
		texts := catalogues[lang]
		for _, scope := range scopes {
			if texts.Scope(scope) == "" {
				t.Errorf("%s: no text for scope %s", lang, scope)
			}
		}
		if len(texts.Scopes) != len(scopes) {
			t.Errorf("%s: %d scopes, want %d", lang, len(texts.Scopes), len(scopes))
		}
		if texts.Scope("example.read") != "" {
			t.Errorf("%s: a text for a scope that was made up", lang)
		}
		for _, p := range loginProblems {
			if text, err := texts.Problem(p); err != nil || text == "" {
				t.Errorf("%s: %s: %q, %v", lang, p, text, err)
			}
		}
		if len(texts.Login.Problems) != len(loginProblems) {
			t.Errorf("%s: %d problems, want %d", lang, len(texts.Login.Problems), len(loginProblems))
		}
		if _, err := texts.Problem("nonsense"); err == nil {
			t.Errorf("%s: a text for nonsense", lang)
		}
	}
}

func TestFill(t *testing.T) {
	pieces, err := message("Sign in to {client}, please").Fill("client", "{client}")
	want := []piece{{"Sign in to ", false}, {"{client}", true}, {", please", false}}
	if err != nil || !slices.Equal(pieces, want) {
		t.Errorf("%v, %v; want %v", pieces, err, want)
	}
	for _, m := range []message{"", "Sign in", "Sign in as {user}", "{client} and {client}", "{client} and {user}"} {
		if pieces, err := m.Fill("client", "Wiki"); err == nil {
			t.Errorf("%q: %v", m, pieces)
		}
	}
}
