package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"authbridge/docs"
)

// ReadGuide reads a section of a page of docs/integrations.
func ReadGuide(t *testing.T, page, heading string) docs.Guide {
	t.Helper()
	guide, err := docs.ReadGuide(page, heading)
	if err != nil {
		t.Fatal(err)
	}
	return guide
}

// Follow does in the root what the guide says, with the database that is
// there.
func (r *Root) Follow(g docs.Guide, db *Database) {
	r.t.Helper()
	r.follow(g, db.Configure)
}

// follow is Follow with files and commands as edit makes them.
func (r *Root) follow(g docs.Guide, edit func(string) string) {
	r.t.Helper()
	for _, f := range g.Files {
		r.Write(f.Name, edit(f.Content))
	}
	for _, c := range g.Commands {
		r.Run("sh", "-euc", edit(c))
	}
}

var consoleLine = regexp.MustCompile(`(?m)^\$ (authserver .*)$`)

// consoleLines returns what a page of docs/integrations says to type where
// authserver is installed.
func consoleLines(page string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join("../docs/integrations", page))
	if err != nil {
		return nil, err
	}
	lines := commandsIn(string(text))
	if len(lines) == 0 {
		return nil, fmt.Errorf("docs/integrations/%s says nothing to type", page)
	}
	return lines, nil
}

// sectionLines is consoleLines for one section, of the second level.
func sectionLines(t *testing.T, page, heading string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs/integrations", page))
	if err != nil {
		t.Fatal(err)
	}
	lines := commandsIn(section(string(text), heading))
	if len(lines) == 0 {
		t.Fatalf("docs/integrations/%s says nothing to type about %q", page, heading)
	}
	return lines
}

// section returns what is below a heading of the second level; nothing if there is
// no such heading.
func section(text, heading string) string {
	_, section, _ := strings.Cut(text, "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

func commandsIn(text string) (lines []string) {
	for _, m := range consoleLine.FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1])
	}
	return lines
}
