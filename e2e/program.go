package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Binary returns the file name of one of our programs, the folder of cmd that
// has its name. It is built once for all tests of the process, without C, so
// that it runs in any root. The modules it is made of must be on the machine:
// there is no network here.
func Binary(t *testing.T, name string) string {
	t.Helper()
	file, err := binary(name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func binary(name string) (string, error) {
	return compile(name, "authbridge/cmd/"+name, "build")
}

// PackageTests returns the file name of the tests of one of our packages,
// compiled as Binary does, for running them in a root.
func PackageTests(t *testing.T, pkg string) string {
	t.Helper()
	file, err := compile(path.Base(pkg)+".test", "authbridge/"+pkg, "test", "-c")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var (
	compiled   sync.Map // from the name to the OnceValues that makes the file
	programDir = sync.OnceValues(newProgramDir)
)

// compile has the go tool make an executable with this name, once.
func compile(name, pkg string, command ...string) (string, error) {
	once, _ := compiled.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		dir, err := programDir()
		if err != nil {
			return "", err
		}
		file := filepath.Join(dir, name)
		cmd := exec.Command("go", append(command, "-buildvcs=false", "-o", file, pkg)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s %s: %w\n%s", strings.Join(command, " "), pkg, err, out)
		}
		return file, nil
	}))
	return once.(func() (string, error))()
}

// newProgramDir makes a folder whose programs any account may run. It goes with
// the namespace, as all temporary files.
func newProgramDir() (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "programs")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// lookAtSources lists all folders of the module. The go tool repeats the last
// result of a test while all that the test has looked at is unchanged, and
// does not know that a program is made of its sources.
func lookAtSources() error {
	return filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && name != ".." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin") {
			return fs.SkipDir
		}
		return err
	})
}
