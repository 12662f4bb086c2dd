// Package command is what the main function of every program shares: how a
// command line is read, what goes to which stream, and what the exit code
// says.
//
//	command.go  Main and Run; exit codes
//	args.go     the order of flags and arguments, sub-commands, --envdir
//	envdir.go   a folder with one file per environment variable
//	errors.go   Exit, Usagef, and how an error becomes one line
//	value.go    flag values that name flag and variable when they are bad
//	secret.go   Secret, the flag value that never shows
//	help.go     --help
//
// A program is a urfave/cli App made of plain values. Before urfave sees the
// arguments they are taken apart along the command tree, because urfave stops
// looking for flags at the first argument and knows no flag of a sub-command
// before the sub-command's name. urfave then evaluates flags and environment
// and runs the action; it prints nothing and never exits.
//
// A command states its arguments in ArgsUsage, which is checked: "NAME
// [ADDRESS...]" is one argument or more, and an empty ArgsUsage is none.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

// The exit codes of every program here, except where a caller's convention
// prescribes others.
const (
	Done     = 0
	Failed   = 1 // failed, refused, or not found
	Usage    = 2 // the command line or the environment is wrong; nothing was tried
	Declined = 3 // the operator said no, or there was nobody to ask
)

// Main runs app on the process's own arguments and streams, and exits. The
// first SIGINT or SIGTERM cancels the context that actions see, the second
// kills.
func Main(app *cli.App) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	os.Exit(Run(ctx, app, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run runs app on args, which do not include the program's name, and returns
// the exit code. Actions find the streams as Reader, Writer and ErrWriter of
// their App. Run changes app, so each call needs one of its own; --envdir
// changes the environment of the process.
func Run(ctx context.Context, app *cli.App, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	inv, err := parse(rootOf(app), args)
	if err == nil {
		err = run(ctx, app, inv, stdin, stdout, stderr)
	}
	return report(ctx, app.Name, inv, err, stderr)
}

func run(ctx context.Context, app *cli.App, inv *invocation, stdin io.Reader, stdout, stderr io.Writer) error {
	if inv.help {
		return writeHelp(stdout, inv.path)
	}
	if inv.version {
		_, err := fmt.Fprintln(stdout, app.Name, app.Version)
		return err
	}
	if cmd := inv.command(); cmd.Action == nil {
		if err := writeHelp(stderr, inv.path); err != nil {
			return err
		}
		return Usagef("a sub-command is missing")
	}
	for _, dir := range inv.envdirs {
		if err := readEnvdir(dir); err != nil {
			return Exit(Usage, err)
		}
	}
	if err := inv.check(); err != nil {
		return err
	}

	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	app.HideVersion = true
	app.DisableSliceFlagSeparator = true
	app.ExitErrHandler = func(*cli.Context, error) {}
	values := nameValues(app)
	app.OnUsageError = values.usageError
	app.HideHelp = true
	walk(app.Commands, func(cmd *cli.Command) {
		cmd.OnUsageError = values.usageError
		// Without this, "create help" would show help and not create "help".
		cmd.HideHelp = true
	})
	return app.RunContext(ctx, append([]string{app.Name}, inv.args()...))
}

// report writes err to stderr, once, and returns the exit code for it.
func report(ctx context.Context, program string, inv *invocation, err error, stderr io.Writer) int {
	var usage *usageError
	var exit *exitError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &usage):
		name := inv.name()
		fmt.Fprintf(stderr, "%s: %s\nsee %s --help\n", name, message(err), name)
		return Usage
	case errors.Is(err, syscall.EPIPE):
		// The reader has seen enough, as in "| head".
		return Failed
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintf(stderr, "%s: %s\n", program, message(err))
		}
		return exit.code
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "%s: interrupted\n", program)
		return Failed
	}
	fmt.Fprintf(stderr, "%s: %s\n", program, message(err))
	return Failed
}

// walk calls f for each command below cmds.
func walk(cmds []*cli.Command, f func(*cli.Command)) {
	for _, cmd := range cmds {
		f(cmd)
		walk(cmd.Subcommands, f)
	}
}
