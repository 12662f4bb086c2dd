package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Guide is what one section of a page of docs/integrations says to do.
type Guide struct {
	Files    []GuideFile // in the order of the page
	Commands []string    // blocks of shell
	Queries  []string    // blocks of SQL
}

// GuideFile is a block that is introduced by the name of the file it is for.
type GuideFile struct{ Name, Content string }

var fileName = regexp.MustCompile("`(/[^`]+)`")

// ReadGuide reads the section with this heading, of any level, up to the next
// heading of the same or a higher level.
func ReadGuide(t *testing.T, page, heading string) Guide {
	t.Helper()
	g, err := readGuide(page, heading)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func readGuide(page, heading string) (Guide, error) {
	text, err := os.ReadFile(filepath.Join("../docs/integrations", page))
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
				g.Files = append(g.Files, GuideFile{name, block.String()})
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

// Follow does in the root what the guide says, with the database that is
// there.
func (r *Root) Follow(g Guide, db *Database) {
	r.t.Helper()
	for _, f := range g.Files {
		r.Write(f.Name, db.Configure(f.Content))
	}
	for _, c := range g.Commands {
		r.Run("sh", "-euc", c)
	}
}
