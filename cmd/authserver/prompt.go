package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// Questions and warnings go to stderr, so that stdout holds data only. Nothing
// waits for an answer that cannot come: the end of stdin is a no.

// consent is what a command that destroys something, or changes several rows
// at once, needs before it does so.
type consent struct{ yes, dryRun bool }

// flags returns --yes and --dry-run.
func (g *consent) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask", Destination: &g.yes},
		dryRunFlag(&g.dryRun),
	}
}

func dryRunFlag(dryRun *bool) cli.Flag {
	return &cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and do nothing", Destination: dryRun}
}

// ask shows rows and asks whether to do what, such as "remove 2 users". It
// returns true for a yes or --yes, false for --dry-run, and for anything else an
// error that exits with command.Declined.
func ask[T any](c *cli.Context, g consent, what string, rows []T) (bool, error) {
	if g.dryRun {
		return false, showDryRun(c, what, rows)
	}
	if g.yes {
		return true, nil
	}
	if err := printTable(c.App.ErrWriter, rows); err != nil {
		return false, err
	}
	for {
		fmt.Fprintf(c.App.ErrWriter, "%s? [y/N] ", command.OneLine(what))
		answer, err := interruptible(c.Context, func() (string, error) { return readLine(c.App.Reader) })
		if err != nil && err != io.EOF {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return true, nil
		case "n", "no", "":
			if err == io.EOF {
				fmt.Fprintln(c.App.ErrWriter)
			}
			return false, command.Exit(command.Declined, errors.New("nothing was done"))
		}
		say(c, "please answer yes or no")
	}
}

// askToChange asks about a change that removes nothing: only if there are
// several rows. What would be refused is not worth asking for, and no dry run
// shows it, so change is rehearsed first.
func askToChange[T any](ctx context.Context, c *cli.Context, conn *pgx.Conn, g consent, what string, rows []T, change func() error) (bool, error) {
	if !g.dryRun && (g.yes || len(rows) == 1) {
		return true, nil
	}
	if err := rehearse(ctx, conn, change); err != nil {
		return false, err
	}
	return ask(c, g, what, rows)
}

// askToRemove removes what, such as "2 users", if the answer is yes, and returns
// what it was. remove, with dryRun, says what would go.
func askToRemove[T any](c *cli.Context, g consent, what string, remove func(dryRun bool) ([]T, error)) ([]T, error) {
	rows, err := remove(true)
	if err != nil {
		return nil, err
	}
	if ok, err := ask(c, g, "remove "+what, rows); err != nil || !ok {
		return nil, err
	}
	return remove(false)
}

// showDryRun says on stderr that what would be done, and prints to which rows.
func showDryRun[T any](c *cli.Context, what string, rows []T) error {
	say(c, "dry run: would %s", what)
	return printTable(c.App.Writer, rows)
}

// passwordFlag returns --password, or a flag of another name, for readPassword.
func passwordFlag(name string, password *command.Secret) cli.Flag {
	return &cli.GenericFlag{
		Name:  name,
		Usage: "the `PASSWORD`, visible to other users of this machine; \"-\" reads one line from stdin, or asks on a terminal",
		Value: password,
	}
}

// readPassword returns the password that the flag of this name has or points
// to. Without the flag it asks on the terminal, twice and without echo; where
// there is no terminal, that is a usage error.
func readPassword(c *cli.Context, name string, given command.Secret) (command.Secret, error) {
	switch {
	case given == "-" && !isTerminal(c):
		line, err := interruptible(c.Context, func() (string, error) { return readLine(c.App.Reader) })
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("password from stdin: %w", err)
		}
		given = command.Secret(line)
	case c.IsSet(name) && given != "-":
		say(c, "warning: the value of --%s can be seen in the process list; --%s - reads it from stdin", name, name)
	default:
		tty, ok := terminal(c)
		if !ok {
			return "", command.Usagef("stdin is no terminal to ask for a password: use --%s -", name)
		}
		first, err := askHidden(c, tty, "password: ")
		if err != nil {
			return "", err
		}
		second, err := askHidden(c, tty, "again: ")
		if err != nil {
			return "", err
		}
		if first != second {
			return "", errors.New("the passwords differ")
		}
		given = command.Secret(first)
	}
	if given == "" {
		return "", errors.New("the password is empty")
	}
	return given, nil
}

// isTerminal tells whether somebody sits there who can be asked.
func isTerminal(c *cli.Context) bool {
	_, ok := terminal(c)
	return ok
}

// terminal returns the terminal on stdin, if that is one.
func terminal(c *cli.Context) (*os.File, bool) {
	file, ok := c.App.Reader.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// askHidden asks on tty without echo.
func askHidden(c *cli.Context, tty *os.File, prompt string) (string, error) {
	state, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(c.App.ErrWriter, prompt)
	defer fmt.Fprintln(c.App.ErrWriter)
	password, err := interruptible(c.Context, func() ([]byte, error) { return term.ReadPassword(int(tty.Fd())) })
	if c.Context.Err() != nil {
		// The reader is still there and cannot switch the echo on again.
		return "", errors.Join(err, term.Restore(int(tty.Fd()), state))
	}
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	return string(password), nil
}

// interruptible returns what read does, or the error of ctx if that ends first:
// a read from a terminal cannot be cancelled, only left behind.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// maxLine is more than any answer or password needs.
const maxLine = 4096

// readLine returns a line without its end. It reads no byte more, which may be
// the answer to the next question. The last line may lack its end; io.EOF
// comes with an empty line only if there is none.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for char := make([]byte, 1); len(line) < maxLine; {
		n, err := r.Read(char)
		if n == 1 {
			if char[0] == '\n' {
				return strings.TrimSuffix(string(line), "\r"), nil
			}
			line = append(line, char[0])
		}
		if err == io.EOF && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("line longer than %d bytes", maxLine)
}
