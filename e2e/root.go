package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take for anything.
const patience = 30 * time.Second

// rootsDir is where the script roots puts the Debian roots.
func rootsDir() string {
	if dir := os.Getenv("E2E_ROOTS"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/root/.cache"
	}
	return filepath.Join(cache, "authbridge/roots")
}

// debianRoot returns the folder of the root with this name.
func debianRoot(name string) (string, error) {
	dir := filepath.Join(rootsDir(), name)
	if _, err := os.Stat(filepath.Join(dir, ".stamp")); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no Debian root %s: run make test-deps", dir)
	} else if err != nil {
		return "", err
	}
	return dir, nil
}

// Root is a Debian root that one test may change: what it writes is in memory
// and goes when the test ends.
type Root struct {
	t   *testing.T
	dir string
}

// NewRoot returns a fresh copy of the root with this name: see the script
// roots.
func NewRoot(t *testing.T, name string) *Root {
	t.Helper()
	lower, err := debianRoot(name)
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	r := &Root{t, filepath.Join(tmp, "root")}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(tmp, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.mount("overlay", r.dir, "lowerdir="+lower+",upperdir="+tmp+"/upper,workdir="+tmp+"/work")
	r.mount("proc", filepath.Join(r.dir, "proc"), "")
	t.Cleanup(r.empty)
	return r
}

// empty ends what servers have left behind in the root. Postfix's script, for
// one, ends without its daemons.
func (r *Root) empty() {
	deadline := time.After(patience)
	signal := syscall.SIGTERM
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		pids := r.processes()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			syscall.Kill(pid, signal) // an error means that it has ended
		}
		select {
		case <-time.After(wait):
		case <-deadline:
			r.t.Errorf("processes %v did not end within %v", pids, patience)
			signal = syscall.SIGKILL
		}
	}
}

// processes returns the ids of the processes whose root folder is this one or
// in it.
func (r *Root) processes() []int { return processesIn(r.dir, "root") }

// processesIn returns the ids of the processes whose root or cwd, whichever is
// asked for, is this folder or in it.
func processesIn(folder, link string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/" + link)
	var pids []int
	for _, link := range links {
		if dir, err := os.Readlink(link); err == nil && (dir == folder || strings.HasPrefix(dir, folder+"/")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func (r *Root) mount(fstype, target, options string) {
	r.t.Helper()
	if err := syscall.Mount(fstype, target, fstype, 0, options); err != nil {
		r.t.Fatalf("mounting %s on %s: %v", fstype, target, err)
	}
	r.t.Cleanup(func() {
		// The kernel closes the files of a process a little after its end.
		err := syscall.EBUSY
		for wait := time.Millisecond; err == syscall.EBUSY && wait < patience; wait *= 2 {
			if err, _ = syscall.Unmount(target, 0).(syscall.Errno); err == syscall.EBUSY {
				<-time.After(wait)
			}
		}
		if err != 0 {
			r.t.Errorf("unmounting %s: %v", target, err)
		}
	})
}

// Path returns the name of a file in the root as this process sees it.
func (r *Root) Path(name string) string { return filepath.Join(r.dir, name) }

// Write writes a file in the root, with the folders above it. An existing file
// keeps its owner and mode.
func (r *Root) Write(name, content string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.Path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.Path(name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// Install copies a program of this machine into the root.
func (r *Root) Install(program, name string) {
	r.t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.Path(name), content, 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// Read returns the content of a file in the root, which must exist.
func (r *Root) Read(name string) string {
	r.t.Helper()
	content, err := os.ReadFile(r.Path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

func (r *Root) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/env", args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Setsid: true}
	return cmd
}

// Run runs a command in the root, which must succeed, and returns what it
// printed.
func (r *Root) Run(args ...string) string {
	r.t.Helper()
	out, err := r.Try(args...)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Try is Run for a command that may fail.
func (r *Root) Try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	out, err := r.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// Server is a process in a root, most often one that serves a port of 127.0.0.1.
type Server struct {
	Port int

	name string
	cmd  *exec.Cmd
	done chan struct{}
	log  log
}

// Start starts a server, which must stay in the foreground, and waits until it
// accepts connections on port. It is stopped when the test ends, and what it
// wrote is shown if the test failed.
func (r *Root) Start(port int, args ...string) *Server {
	r.t.Helper()
	s := r.spawn(args...)
	s.Port = port
	s.await(r.t, "accept connections", func() bool {
		conn, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// spawn is Start for a process that need not serve anything.
func (r *Root) spawn(args ...string) *Server {
	r.t.Helper()
	s := &Server{name: args[0], done: make(chan struct{})}
	s.cmd = r.command(context.Background(), args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	// Grandchildren may keep the output open: they end with the namespace.
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		s.cmd.Wait() // how it ended is in its log
		close(s.done)
	}()
	r.t.Cleanup(func() { s.stop(r.t) })
	return s
}

// await waits until something is so that a server does.
func (s *Server) await(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for wait := time.Millisecond; !isSo(); wait = min(2*wait, 100*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-s.done:
			t.Fatalf("%s ended early: %v", s.name, s.cmd.ProcessState)
		case <-deadline:
			t.Fatalf("%s did not %s within %v", s.name, what, patience)
		}
	}
}

func (s *Server) stop(t *testing.T) {
	s.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Errorf("%s did not end within %v", s.name, patience)
		s.cmd.Process.Kill()
		<-s.done
	}
	if t.Failed() {
		t.Logf("%s wrote:\n%s", s.name, s.log.String())
	}
}

// log is a buffer that a process and a test use at once.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
