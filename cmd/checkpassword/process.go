package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"authbridge/checkpassword"

	"github.com/urfave/cli/v2"
)

// cores is the limit on core dumps that this program was started with.
var cores syscall.Rlimit

// hide keeps passwords out of core dumps and out of the reach of other
// processes of the same account: web servers run programs of many under one.
// A system that does not know how cannot do it to us either.
func hide() {
	const prSetDumpable = 4 // linux/prctl.h
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &cores); err == nil {
		syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 0, Max: cores.Max})
	}
}

// replace lets program take this process over. It returns only if it could
// not; the login was good then, and so that is trouble.
func replace(path string, program, env []string) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &cores); err != nil {
		return fmt.Errorf("%w: core limit: %w", checkpassword.ErrUnavailable, err)
	}
	err := syscall.Exec(path, program, env)
	return fmt.Errorf("%w: %s: %w", checkpassword.ErrUnavailable, path, err)
}

// shellTime is more than services take to start again. What takes longer hangs,
// and nobody would look for new keys meanwhile.
const shellTime = 3 * time.Minute

// runShell runs a command line, with this environment and what it writes going
// to output, and ends all of it when ctx does. The error has its exit status.
func runShell(ctx context.Context, line string, environ []string, output io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, shellTime)
	defer cancel()
	// What it starts may dump its core, as far as we might. We stay hidden.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &cores); err != nil {
		return fmt.Errorf("core limit: %w", err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Env = slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return strings.HasPrefix(variable, "NOTIFY_SOCKET=") // systemd listens to us alone
	})
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what did not care; an error means that there is nothing
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// readDescriptor reads descriptor 3 to its end and closes it, so that the
// program which is started cannot read it again.
func readDescriptor() ([]byte, error) {
	// Go's runtime opens files of its own before main is called. If nobody gave
	// us a descriptor 3, it may be one of these, but they close at exec, which
	// none can do that has come through one.
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, 3, syscall.F_GETFD, 0)
	if errno == 0 && flags&syscall.FD_CLOEXEC != 0 {
		errno = syscall.EBADF
	}
	if errno != 0 {
		return nil, errno
	}
	file := os.NewFile(3, "descriptor 3")
	defer file.Close()
	return checkpassword.ReadInput(file, checkpassword.MaxDescriptor)
}

// readPipe reads stdin. Input that is too long is an attack and denied, like
// any other that is not as it should be.
func readPipe(c *cli.Context) ([]byte, error) {
	input, err := checkpassword.ReadInput(c.App.Reader, checkpassword.MaxPipe)
	if errors.Is(err, checkpassword.ErrTooLong) {
		return nil, fmt.Errorf("%w: stdin: %w", checkpassword.ErrDenied, err)
	}
	if err != nil {
		return nil, fmt.Errorf("stdin: %w", err)
	}
	return input, nil
}

// endFlags puts "--" before the first argument that is neither a flag nor the
// value of one: what follows belongs to the program that is started.
func endFlags(flags []cli.Flag, args []string) []string {
	takesValue := func(name string) bool {
		for _, flag := range flags {
			if slices.Contains(flag.Names(), name) {
				doc, ok := flag.(cli.DocGenerationFlag)
				return ok && doc.TakesValue()
			}
		}
		return name == "envdir" || name == "settings" // of package command
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return args
		case strings.HasPrefix(arg, "--"):
			name, _, valued := strings.Cut(arg[2:], "=")
			if !valued && takesValue(name) {
				i++
			}
		case strings.HasPrefix(arg, "-") && arg != "-":
			letters := arg[1:]
			for letters != "" {
				_, size := utf8.DecodeRuneInString(letters)
				name := letters[:size]
				letters = letters[size:]
				if takesValue(name) {
					if letters == "" {
						i++
					}
					break
				}
			}
		default:
			return slices.Insert(slices.Clone(args), i, "--")
		}
	}
	return args
}
