// Package docs holds the guides of this folder, for programs that show them
// with names and ports filled in, and for the tests that do what they say.
package docs

import (
	"embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed integrations/*.md
var guides embed.FS

// Guide is what one section of a page of docs/integrations says to do.
type Guide struct {
	Files    []File   // in the order of the page
	Commands []string // blocks of shell
	Queries  []string // blocks of SQL
}

// File is a block that is introduced by the name of the file it is for.
type File struct{ Name, Content string }

var fileName = regexp.MustCompile("`(/[^`]+)`")

// ReadGuide reads the section of a page with this heading, of any level, up to
// the next heading of the same or a higher level.
func ReadGuide(page, heading string) (Guide, error) {
	text, err := guides.ReadFile("integrations/" + page)
	if err != nil {
		return Guide{}, err
	}
	var g Guide
	level := 0         // of our section; 0: not in it
	var name string    // the last file that the paragraph before named
	paragraph := false // whether the last line belongs to one
	var fence string
	var block strings.Builder
	found := false
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimRight(line, "\n")
		switch {
		case fence != "" && trimmed == "```":
			switch {
			case fence == "sh":
				g.Commands = append(g.Commands, block.String())
			case fence == "sql":
				g.Queries = append(g.Queries, block.String())
			case name != "":
				g.Files = append(g.Files, File{name, block.String()})
			}
			fence, name, paragraph = "", "", false
			block.Reset()
		case fence != "":
			block.WriteString(line)
		case strings.HasPrefix(trimmed, "#"):
			hashes := len(trimmed) - len(strings.TrimLeft(trimmed, "#"))
			if level > 0 && hashes <= level {
				level = 0
			}
			if strings.TrimSpace(trimmed[hashes:]) == heading {
				level, found = hashes, true
			}
		case level == 0 && strings.HasPrefix(trimmed, "```"):
			fence = "skip"
			name = ""
		case level == 0:
		case strings.HasPrefix(trimmed, "```"):
			if fence = strings.TrimPrefix(trimmed, "```"); fence == "" {
				fence = "text"
			}
		case trimmed == "":
			paragraph = false
		default:
			if !paragraph {
				name, paragraph = "", true
			}
			if m := fileName.FindAllStringSubmatch(trimmed, -1); m != nil {
				name = m[len(m)-1][1]
			}
		}
	}
	if !found {
		return Guide{}, fmt.Errorf("docs/integrations/%s has no section %q", page, heading)
	}
	return g, nil
}

// Placeholders of the guides, which a reader replaces by their own.
const (
	Host     = "db.example.net"
	Port     = "5432"
	Password = "change-me"
)

// Configure replaces the placeholders in text.
func Configure(text, host, port, password string) string {
	return strings.NewReplacer(Host, host, Port, port, Password, password).Replace(text)
}
