package authbridge

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// layers lists the packages from the ground up. A package imports only from
// the lines above its own, so that what two rooms need moves down and rooms on
// one floor stay strangers. A new package must be given its place here, which
// is the moment to ask whether it should exist.
var layers = []string{
	"sql docs internal/seal internal/pgcluster internal/command internal/opaque",
	"internal/audit internal/daemon internal/pg",
	"internal/pgtest",
	"authserver/account authserver/address authserver/token checkpassword",
	"authserver/request authserver/web",
	"authserver/client authserver/session",
	"authserver/claims",
	"authserver/clientapi authserver/docker authserver/oauth2 authserver/oidc",
	"authserver",
	"cmd/authserver cmd/checkpassword",
	"bench e2e",
}

func TestLayers(t *testing.T) {
	const module = "authbridge/"

	floor := map[string]int{}
	for i, line := range layers {
		for _, pkg := range strings.Fields(line) {
			floor[pkg] = i
		}
	}

	seen := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := path.Base(name); name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			// A module in a module is no room of the house.
			if _, err := os.Stat(path.Join(name, "go.mod")); name != "." && err == nil {
				return fs.SkipDir
			}
			return nil
		}
		pkg := path.Dir(name)
		if !strings.HasSuffix(name, ".go") || pkg == "." {
			return nil
		}
		mine, placed := floor[pkg]
		if !placed {
			if !seen[pkg] {
				t.Errorf("package %s has no place in layers", pkg)
			}
			seen[pkg] = true
			return nil
		}
		seen[pkg] = true

		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range file.Imports {
			imported, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			imported, ours := strings.CutPrefix(imported, module)
			// A test may arrange the rooms above its own, except programs.
			if !ours || strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(imported, "cmd/") {
				continue
			}
			if theirs, ok := floor[imported]; !ok || theirs >= mine {
				t.Errorf("%s imports %s, which is not below %s", name, imported, pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	for _, line := range layers {
		for pkg := range strings.FieldsSeq(line) {
			if !seen[pkg] {
				t.Errorf("layers names %s, which does not exist", pkg)
			}
		}
	}
}
