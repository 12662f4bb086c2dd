package e2e

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests of package sql, which run on this machine's PostgreSQL there, run
// here on that of the newest Debian: the pgTAP files, upgrades, set-up by a
// login that is no superuser, and taking over from the Python authserver.
func TestPostgres17(t *testing.T) {
	t.Parallel()
	root := NewRoot(t, "trixie")
	if got := root.Run("ls", "/usr/lib/postgresql"); strings.TrimSpace(got) != "17" {
		t.Fatalf("the root has PostgreSQL %q", got)
	}
	const dir = "/srv/sql"
	if err := os.CopyFS(root.Path(dir), os.DirFS("../sql")); err != nil {
		t.Fatal(err)
	}
	root.Install(PackageTests(t, "sql"), dir+"/sql.test")

	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	cmd := root.command(ctx, "--chdir="+dir, "./sql.test", "-test.v")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	passed := strings.Split(string(out), "\n")
	for _, name := range []string{"TestPGTAP", "TestUpgrade", "TestInstallWithoutSuperuser", "TestTakeOver"} {
		if !slices.ContainsFunc(passed, func(line string) bool { return strings.HasPrefix(line, "--- PASS: "+name+" ") }) {
			t.Errorf("%s has not passed", name)
		}
	}
}
