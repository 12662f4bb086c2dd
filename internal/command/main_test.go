package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestMain turns the test binary into a program that has one of these actions,
// if the environment says so.
func TestMain(m *testing.M) {
	actions := map[string]cli.ActionFunc{
		"wait": func(c *cli.Context) error {
			io.WriteString(c.App.Writer, "ready\n")
			<-c.Context.Done()
			return c.Context.Err()
		},
		"ignore": func(c *cli.Context) error {
			io.WriteString(c.App.Writer, "ready\n")
			<-c.Context.Done()
			io.WriteString(c.App.Writer, "still here\n")
			select {}
		},
		"print": func(c *cli.Context) error {
			for {
				if _, err := io.WriteString(c.App.Writer, "line\n"); err != nil {
					return err
				}
			}
		},
	}
	if action := actions[os.Getenv("COMMAND_TEST_ACTION")]; action != nil {
		Main(&cli.App{Name: "program", Action: action})
	}
	os.Exit(m.Run())
}

// start starts this test binary as a program with the named action, and
// returns its stdout, line by line.
func start(t *testing.T, action string) (cmd *exec.Cmd, stdout *bufio.Reader, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel) // kills what is left
	cmd = exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), "COMMAND_TEST_ACTION="+action, "GORACE=atexit_sleep_ms=0")
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out), stderr
}

func readLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if line, err := r.ReadString('\n'); line != want+"\n" {
		t.Fatalf("stdout has %q, %v; want %q", line, err, want)
	}
}

func TestSignalCancels(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, stdout, stderr := start(t, "wait")
		readLine(t, stdout, "ready")
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != Failed || stderr.String() != "program: interrupted\n" {
			t.Errorf("%v: exit %d, stderr %q", signal, code, stderr)
		}
	}
}

func TestSecondSignalKills(t *testing.T) {
	cmd, stdout, _ := start(t, "ignore")
	readLine(t, stdout, "ready")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	readLine(t, stdout, "still here")
	// The handler goes a moment after the context is done, so it may take
	// more than one.
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	for {
		select {
		case <-done:
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("the program ended with %v", cmd.ProcessState)
			}
			return
		default:
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
}

// What "| head -n 1" does.
func TestReaderHasSeenEnough(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "COMMAND_TEST_ACTION=print", "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	readLine(t, bufio.NewReader(r), "line")
	r.Close()
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("the program ended with %v and said %q", cmd.ProcessState, stderr.String())
	}
}
