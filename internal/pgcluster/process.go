package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// child is a process that gets a signal when this process dies.
type child struct {
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // how, after done
	cmd  *exec.Cmd
}

// startChild starts cmd. The kernel sends it signal when we die.
//
// More precisely, the kernel does when the thread dies that started the
// process, and the Go runtime ends threads at will. So the thread is locked to
// a goroutine that lasts as long as the child.
func startChild(cmd *exec.Cmd, signal syscall.Signal) (*child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
	c := &child{done: make(chan struct{}), cmd: cmd}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.pid = cmd.Process.Pid
	return c, nil
}

// end asks the child to end by one signal and, when its time is up, by
// another, and then kills it. Only an end by the first is without error.
func (c *child) end(first syscall.Signal, firstWait time.Duration, second syscall.Signal, secondWait time.Duration) error {
	if c.signal(first, firstWait) {
		return nil
	}
	err := fmt.Errorf("process %d did not end within %v", c.pid, firstWait)
	if !c.signal(second, secondWait) {
		c.cmd.Process.Kill() // an error means that it has ended
		<-c.done
	}
	return err
}

// signal says whether the child ended within wait of being sent a signal.
func (c *child) signal(signal syscall.Signal, wait time.Duration) bool {
	c.cmd.Process.Signal(signal) // an error means that it has ended
	select {
	case <-c.done:
		return true
	case <-time.After(wait):
		return false
	}
}

// command returns one of the server's programs, ready to run as its account.
// A session of its own keeps the terminal's Ctrl-C away: who started the
// cluster decides when it stops.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(c.relative(filepath.Join(c.bin.dir, name)), args...)
	cmd.Dir = c.inside("")
	// PGDATA, PGPORT, PGOPTIONS and the like are meant for other servers.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Chroot: c.opt.Root}
	if c.account.foreign {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.account.uid), Gid: uint32(c.account.gid)}
	}
	cmd.ExtraFiles = []*os.File{c.server}
	if c.sweep != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, c.sweep.hold)
	}
	return cmd
}

// sweeper removes temporary folders when this process and the server are gone,
// whichever is last and however they ended. It is a shell that waits for the
// end of a pipe, whose other end they hold open.
type sweeper struct {
	hold *os.File
	cmd  *exec.Cmd
}

func startSweeper(dirs []string) (*sweeper, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	args := append([]string{"-c", `read -r _; exec rm -rf -- "$@"`, "sh"}, dirs...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Stdin = r
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("remove temporary folders later: %w", err), w.Close())
	}
	return &sweeper{w, cmd}, nil
}

// finish removes the folders. The server must be gone.
func (s *sweeper) finish() error {
	s.hold.Close() // nothing was written
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("remove temporary folders: %w", err)
	}
	return nil
}
