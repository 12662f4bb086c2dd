package pgcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The major versions that the rest of the program works with.
const (
	oldest = 15
	newest = 18
)

// binaries are the server programs of one version.
type binaries struct {
	dir   string // as this process sees it
	major int
}

// findBinaries returns the programs of version want, or of the newest
// supported version that is there if want is 0.
func findBinaries(ctx context.Context, opt Options, want int) (binaries, error) {
	var found []binaries
	if opt.BinDir != "" {
		dir, err := filepath.Abs(opt.BinDir)
		if err != nil {
			return binaries{}, err
		}
		major, err := askVersion(ctx, dir, opt.Root)
		if err != nil {
			return binaries{}, err
		}
		found = append(found, binaries{dir, major})
	} else {
		found = debianBinaries(opt.Root)
		if path, err := exec.LookPath("postgres"); err == nil && opt.Root == "" {
			if path, err = filepath.EvalSymlinks(path); err != nil {
				return binaries{}, err
			}
			dir := filepath.Dir(path)
			known := slices.ContainsFunc(found, func(b binaries) bool { return b.dir == dir })
			if !known && hasServer(dir) {
				major, err := askVersion(ctx, dir, "")
				if err != nil {
					return binaries{}, err
				}
				found = append(found, binaries{dir, major})
			}
		}
	}
	return choose(found, want)
}

// choose picks the binaries that serve version want, or the newest that are
// supported.
func choose(found []binaries, want int) (binaries, error) {
	var best binaries
	for _, b := range found {
		supported := oldest <= b.major && b.major <= newest
		if supported && (want == 0 || b.major == want) && b.major > best.major {
			best = b
		}
	}
	if best.major != 0 {
		return best, nil
	}

	if want != 0 && (want < oldest || want > newest) {
		return binaries{}, fmt.Errorf("only PostgreSQL %d to %d is supported", oldest, newest)
	}
	which, pkg := fmt.Sprintf("%d to %d", oldest, newest), "postgresql"
	if want != 0 {
		which, pkg = strconv.Itoa(want), fmt.Sprintf("postgresql-%d", want)
	}
	var there string
	for _, b := range found {
		there += fmt.Sprintf(", but %d in %s", b.major, b.dir)
	}
	return binaries{}, fmt.Errorf("the server of PostgreSQL %s is not installed%s; install it: apt install %s", which, there, pkg)
}

// debianBinaries lists the versions in the folders that Debian's packages use,
// below root.
func debianBinaries(root string) []binaries {
	var found []binaries
	dirs, _ := filepath.Glob(filepath.Join(root, "/usr/lib/postgresql/*/bin")) // the pattern is valid
	for _, dir := range dirs {
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && hasServer(dir) {
			found = append(found, binaries{dir, major})
		}
	}
	slices.SortFunc(found, func(a, b binaries) int { return b.major - a.major })
	return found
}

// hasServer says whether dir holds the server and not only the client.
func hasServer(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

var versionPattern = regexp.MustCompile(`^postgres \(PostgreSQL\) ([0-9]+)`)

// askVersion returns the major version of the server in dir.
func askVersion(ctx context.Context, dir, root string) (int, error) {
	program := filepath.Join(dir, "postgres")
	cmd := exec.CommandContext(ctx, below(root, program), "--version")
	if root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		cmd.Dir = "/"
	}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("version of %s: %w", program, err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("version of %s: %q is not one", program, strings.TrimSpace(string(out)))
	}
	return strconv.Atoi(string(match[1]))
}
