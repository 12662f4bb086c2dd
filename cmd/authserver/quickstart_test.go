package main

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startQuickstart runs quickstart in a process of its own, as it is meant to be
// used, and returns what it printed up to the last line.
func startQuickstart(t *testing.T, dir string, uid int) (printed string, cmd *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main knows what to be by its name.
	bin := filepath.Join(t.TempDir(), "authserver")
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
	if uid != os.Geteuid() {
		// Test folders are closed to others, all the way up.
		for parent := filepath.Dir(bin); parent != os.TempDir(); parent = filepath.Dir(parent) {
			if err := os.Chmod(parent, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		copyFile(t, self, bin)
	}
	cmd = exec.Command(bin, "quickstart", "--dir", dir)
	cmd.Env = append(os.Environ(), "DATABASE_URL=postgres://127.0.0.1:1/not-this-one", "SECRET_KEY=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // if the test has not ended it
	deadline := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer deadline.Stop()

	var b strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		b.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			return b.String(), cmd
		}
	}
	cmd.Wait()
	t.Fatalf("quickstart ended early:\n%s%s", b.String(), stderr.String())
	return "", nil
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// interrupt presses Ctrl-C and waits for everything to end.
func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// find returns what the parentheses of a pattern match in printed.
func find(t *testing.T, printed, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, printed)
	}
	return m[1]
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	users := map[string]int{"as it is": os.Geteuid()}
	if os.Geteuid() == 0 {
		users["as a normal user"] = 65534
	}
	for name, uid := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "quickstart")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			if err := os.Chown(dir, uid, uid); err != nil {
				t.Fatal(err)
			}
			dir = filepath.Join(dir, "state")
			if uid == os.Geteuid() {
				if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}

			printed, cmd := startQuickstart(t, dir, uid)
			port := find(t, printed, `is at 127\.0\.0\.1:(\d+),`)

			// The psql line, as pasted.
			psql := find(t, printed, `^  (PGPASSWORD=.*psql.*)$`)
			output, err := exec.Command("sh", "-c", psql).CombinedOutput()
			if err != nil || !strings.Contains(string(output), "alice@example.test") || !strings.Contains(string(output), "$y$") {
				t.Errorf("%s: %v\n%s", psql, err, output)
			}

			// The login of a mail server can do that and no more; without its
			// password nobody gets in over TCP, and not as the superuser.
			mail := "postgres://dovecot-authserver:" + find(t, printed, `user=dovecot-authserver password=(\S+)`) + "@127.0.0.1:" + port + "/authserver"
			conn, err := pgx.Connect(t.Context(), mail)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), `select * from auth.users`); err == nil {
				t.Error("a mail server reads tables")
			}
			var verified string
			if err := conn.QueryRow(t.Context(), `select primary_alias from authserver_verify('alice@example.test', $1, 'imap', '')`,
				find(t, printed, `app password  (\S+)`)).Scan(&verified); err != nil || verified != "alice@example.test" {
				t.Errorf("the printed app password: %q, %v", verified, err)
			}
			conn.Close(t.Context())
			for _, user := range []string{"dovecot-authserver", "authserver_admin", "postgres"} {
				if conn, err := pgx.Connect(t.Context(), "postgres://"+user+"@127.0.0.1:"+port+"/authserver"); err == nil {
					conn.Close(t.Context())
					t.Errorf("%s gets in without a password", user)
				}
			}

			// The command line, as pasted.
			database := find(t, printed, `^  export DATABASE_URL='?(.*?)'?$`)
			bin := cmd.Path
			authserver := func(args ...string) string {
				t.Helper()
				c := exec.Command(bin, args...)
				c.Env = append(os.Environ(), "DATABASE_URL="+database, "SECRET_KEY_FILE="+find(t, printed, `SECRET_KEY_FILE=(\S+)$`))
				c.SysProcAttr = cmd.SysProcAttr
				output, err := c.CombinedOutput()
				if err != nil {
					t.Errorf("authserver %s: %v\n%s", strings.Join(args, " "), err, output)
				}
				return string(output)
			}
			authserver("group", "create", "kept")
			authserver("secret", "check")

			// What nginx asks, as pasted, but for curl.
			answer, err := http.PostForm(find(t, printed, `^  curl .* (http://localhost:\d+/checkpassword/)$`), url.Values{
				"username": {find(t, printed, `^  curl .* username=(\S+)`)},
				"password": {find(t, printed, `^  curl .* password=(\S+)`)},
			})
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/jwt" {
				t.Errorf("the web server answers %s, %s", answer.Status, answer.Header.Get("Content-Type"))
			}

			checkRelyingParty(t, printed)

			// A second one in the same folder says why not.
			second := exec.Command(bin, "quickstart", "--dir", dir)
			second.SysProcAttr = cmd.SysProcAttr
			if output, err := second.CombinedOutput(); err == nil || strings.Count(string(output), "\n") != 1 {
				t.Errorf("a second quickstart in the folder: %v\n%s", err, output)
			}

			interrupt(t, cmd)
			if conn, err := pgx.Connect(t.Context(), mail); err == nil {
				conn.Close(t.Context())
				t.Error("PostgreSQL outlives quickstart")
			}

			// The next start has the same data, passwords and port.
			again, cmd := startQuickstart(t, dir, uid)
			if _, rest, _ := strings.Cut(printed, "\nPostgreSQL"); !strings.HasSuffix(withoutProgram(again), withoutProgram(rest)) {
				t.Errorf("the second start printed\n%s\nthe first\n%s", again, printed)
			}
			if strings.Contains(again, "Setting up") {
				t.Error("the second start sets up again")
			}
			if groups := authserver("group", "list"); !strings.Contains(groups, "kept") {
				t.Errorf("the data is gone: %s", groups)
			}
			checkRelyingParty(t, again)
			interrupt(t, cmd)
		})
	}
}

// withoutProgram leaves out the line that names the program, which each start
// of this test has under another name, and the port of the web server, which
// somebody else may have taken meanwhile.
func withoutProgram(printed string) string {
	printed = regexp.MustCompile(`localhost:\d+`).ReplaceAllString(printed, "localhost")
	return regexp.MustCompile(`(?m)^.*/authserver user list$`).ReplaceAllString(printed, "")
}

// A first start that is interrupted leaves nothing that the next one trips
// over.
func TestQuickstartInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for parent := dir; parent != os.TempDir(); parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(dir, "state")
	_, cmd := startQuickstart(t, dir, os.Geteuid())
	interrupt(t, cmd)
	// As if it had ended before the last step.
	if err := os.Remove(filepath.Join(dir, demoName)); err != nil {
		t.Fatal(err)
	}
	printed, cmd := startQuickstart(t, dir, os.Geteuid())
	if !strings.Contains(printed, "Setting up") {
		t.Error("the second start takes the half for the whole")
	}
	interrupt(t, cmd)
}

// PostgreSQL that ends by itself is an error, not silence.
func TestQuickstartNoticesTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for parent := dir; parent != os.TempDir(); parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(dir, "state")
	_, cmd := startQuickstart(t, dir, os.Geteuid())
	pidfile, err := os.ReadFile(filepath.Join(dir, "data/postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(pidfile), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err == nil {
		t.Error("quickstart ended well although PostgreSQL has ended")
	} else if exit, _ = err.(*exec.ExitError); exit == nil || exit.ExitCode() != 1 {
		t.Errorf("quickstart: %v", err)
	}
}
