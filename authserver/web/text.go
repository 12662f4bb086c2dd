package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed languages/*.json
var languageFiles embed.FS

// texts are what the pages say in one language: a file of languages/, whose
// keys are these names with a small first letter.
type texts struct {
	Login struct {
		Title, Name, Password, Submit string
		Client                        message // {client}
		Problems                      map[LoginProblem]string
	}
	Consent struct {
		Title         string
		Heading       message // {client}
		User          message // {user}
		Scope, Others string
		Redirect      message // {host}
		Allow, Deny   string
	}
	Denied struct {
		Title        string
		User         message // {user}
		Advice, Home string
	}
	Error struct {
		Title, Advice                string // the client's doing
		OursTitle, OursAdvice        string // our own trouble
		Code, Description, RequestID string
	}
	LogoutConfirm struct {
		Title          string
		User           message // {user}
		Submit, Cancel string
	}
	LoggedOut struct {
		Title, Advice, Login, Continue string
		Client                         message // {client}
	}
	Home struct {
		Title, Nobody, Login, Logout string
		User                         message // {user}
	}
	FormPost struct {
		Title, Advice, Submit string
	}
	Scopes map[string]string
}

// Problem returns what to say about p.
func (t *texts) Problem(p LoginProblem) (string, error) {
	text, ok := t.Login.Problems[p]
	if !ok {
		return "", fmt.Errorf("no text for login problem %q", p)
	}
	return text, nil
}

// Scope returns what a scope lets a client see or do; empty: only those who
// have made the scope up know.
func (t *texts) Scope(scope string) string { return t.Scopes[scope] }

// A message is a text with places like {client}.
type message string

// A piece of a filled message is either the text around a place, or what was
// given for it.
type piece struct {
	Text  string
	Given bool
}

// Fill returns the message with value in the place.
func (m message) Fill(place, value string) ([]piece, error) {
	before, after, ok := strings.Cut(string(m), "{"+place+"}")
	if !ok || strings.Contains(after, "{") {
		return nil, fmt.Errorf("message %q is not one with a place {%s}", m, place)
	}
	return []piece{{Text: before}, {value, true}, {Text: after}}, nil
}

// catalogues are the texts of every language.
var catalogues = loadCatalogues()

func loadCatalogues() map[string]*texts {
	all := map[string]*texts{}
	for _, lang := range Languages() {
		t, err := parseTexts(lang)
		if err != nil {
			panic(fmt.Sprintf("web: languages/%s.json: %v", lang, err))
		}
		all[lang] = t
	}
	return all
}

func parseTexts(lang string) (*texts, error) {
	file, err := languageFiles.Open("languages/" + lang + ".json")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d := json.NewDecoder(file)
	d.DisallowUnknownFields()
	var t texts
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	return &t, nil
}
