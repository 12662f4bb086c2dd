package e2e

import (
	"debug/elf"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where a Docker registry is installed, quickstart starts it, too, and what it
// prints logs in there.
func TestQuickstartRegistry(t *testing.T) {
	t.Parallel()
	root := NewRoot(t, "trixie-docker")
	root.Install(Tool(t, "crane"), "/usr/local/bin/crane")
	dir := t.TempDir()
	for _, shut := range []string{dir, filepath.Dir(root.Path("/")), filepath.Dir(dir)} {
		// PostgreSQL and the registry have an account of their own.
		if err := os.Chmod(shut, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	onThisMachine(t, root, "/usr/bin/docker-registry", filepath.Join(dir, "docker-registry"))
	start := func() *quickstart {
		cmd := exec.Command(Binary(t, "authserver"), "quickstart", "--dir", dir+"/state")
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return startQuickstart(t, cmd, dir+"/state")
	}
	docker := regexp.MustCompile(`(?m)^  (echo \S+ \| docker login .* localhost:(\d+))$`)

	q := start()
	login := docker.FindStringSubmatch(q.printed)
	if login == nil {
		t.Fatalf("no docker login is printed\n%s", q.printed)
	}
	if out, err := root.Try("HOME=/root", "sh", "-c", login[1]); err != nil || !strings.Contains(out, "Login Succeeded") {
		t.Errorf("%s: %v\n%s", login[1], err, out)
	}
	image := "localhost:" + login[2] + "/alice/tiny:1"
	root.Write("/root/content", "x")
	root.Run("tar", "-C", "/root", "-cf", "/root/layer.tar", "content")
	root.Run("HOME=/root", "crane", "append", "--oci-empty-base", "-f", "/root/layer.tar", "-t", image)
	if out, err := root.Try("HOME=/nonexistent", "crane", "digest", image); err == nil || !strings.Contains(out, "UNAUTHORIZED") {
		t.Errorf("without a login: %v\n%s", err, out)
	}
	q.pressCtrlC(t)
	if conn, err := net.Dial("tcp4", "127.0.0.1:"+login[2]); err == nil {
		conn.Close()
		t.Error("something still listens at the port of the registry")
	}

	// The second time, images and logins are what they were.
	q = start()
	if again := docker.FindStringSubmatch(q.printed); again == nil || again[1] != login[1] {
		t.Errorf("printed %q, and then %q", login[1], again)
	}
	root.Run("HOME=/root", "crane", "digest", image)

	// It ends with quickstart, however that ends.
	if err := q.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	q.cmd.Wait() // killed
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+login[2])
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the registry outlives quickstart")
		}
	}
}

// onThisMachine makes a program that runs the one of a root outside of it, with
// the root's libraries.
func onThisMachine(t *testing.T, root *Root, program, name string) {
	t.Helper()
	file, err := elf.Open(root.Path(program))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var loader string
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			if err != nil {
				t.Fatal(err)
			}
			loader = strings.TrimRight(string(text), "\x00")
		}
	}
	libraries, err := filepath.Glob(root.Path("/usr/lib/*-linux-gnu*"))
	if err != nil || loader == "" || len(libraries) == 0 {
		t.Fatalf("loader %q and libraries %q of %s: %v", loader, libraries, program, err)
	}
	script := "#!/bin/sh\nexec '" + root.Path(loader) + "' --library-path '" + strings.Join(libraries, ":") + "' '" + root.Path(program) + "' \"$@\"\n"
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}
