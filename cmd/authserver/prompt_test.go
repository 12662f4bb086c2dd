package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"authbridge/internal/command"

	"github.com/urfave/cli/v2"
)

// runAction runs one action with flags as a program of its own.
func runAction(ctx context.Context, flags []cli.Flag, action cli.ActionFunc, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = command.Run(ctx, &cli.App{Name: "test", Flags: flags, Action: action}, args, stdin, &out, &errs)
	return code, out.String(), errs.String()
}

type victim struct {
	Name string `json:"name"`
}

func TestAsk(t *testing.T) {
	const shown = "NAME\nwiki\n"
	const question = "remove 1 group? [y/N] "
	const nothing = "test: nothing was done\n"
	tests := map[string]struct {
		args, stdin string
		done        bool
		code        int
		stdout      string
		stderr      string
	}{
		"yes":                       {"", "y\n", true, command.Done, "", shown + question},
		"yes, spelt out":            {"", " YES \r\n", true, command.Done, "", shown + question},
		"yes, without line end":     {"", "yes", true, command.Done, "", shown + question},
		"no":                        {"", "n\n", false, command.Declined, "", shown + question + nothing},
		"an empty line means no":    {"", "\n", false, command.Declined, "", shown + question + nothing},
		"nobody there means no":     {"", "", false, command.Declined, "", shown + question + "\n" + nothing},
		"neither yes nor no":        {"", "sure\nyes\n", true, command.Done, "", shown + question + "please answer yes or no\n" + question},
		"neither, and nobody there": {"", "sure", false, command.Declined, "", shown + question + "please answer yes or no\n" + question + "\n" + nothing},
		"--yes does not ask":        {"--yes", "n\n", true, command.Done, "", ""},
		"-y does not ask":           {"-y", "", true, command.Done, "", ""},
		"--dry-run does nothing":    {"--dry-run -y", "y\n", false, command.Done, shown, "dry run: would remove 1 group\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var g consent
			done := false
			code, stdout, stderr := runAction(t.Context(), g.flags(), func(c *cli.Context) error {
				ok, err := ask(c, g, "remove 1 group", []victim{{"wiki"}})
				done = ok
				return err
			}, strings.NewReader(tt.stdin), strings.Fields(tt.args)...)
			if done != tt.done || code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
				t.Errorf("done %v, exit %d, stdout %q, stderr %q; want %+v", done, code, stdout, stderr, tt)
			}
		})
	}
}

// Two questions: the first must not swallow the answer to the second.
func TestReadLine(t *testing.T) {
	r := strings.NewReader("one\r\ntwo\n\nlast")
	for _, want := range []string{"one", "two", "", "last"} {
		if got, err := readLine(r); got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if _, err := readLine(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxLine))); err == nil {
		t.Error("an endless line was accepted")
	}
}

func TestReadPassword(t *testing.T) {
	tests := map[string]struct {
		args, stdin string
		want        string
		code        int
		stderr      string // a part of it
	}{
		"from stdin":               {"--password -", "s3cret\nmore\n", "s3cret", command.Done, ""},
		"from stdin, with blanks":  {"--password -", "  s3 cret ", "  s3 cret ", command.Done, ""},
		"from an empty stdin":      {"--password -", "", "", command.Failed, "test: the password is empty\n"},
		"on the command line":      {"--password s3cret", "", "s3cret", command.Done, "warning: the value of --password can be seen in the process list"},
		"empty on the line":        {"--password=", "", "", command.Failed, "test: the password is empty\n"},
		"no flag, and no terminal": {"", "s3cret\n", "", command.Usage, "use --password -"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var given, got command.Secret
			code, _, stderr := runAction(t.Context(), []cli.Flag{passwordFlag("password", &given)}, func(c *cli.Context) (err error) {
				got, err = readPassword(c, "password", given)
				return err
			}, strings.NewReader(tt.stdin), strings.Fields(tt.args)...)
			if string(got) != tt.want || code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("%q, exit %d, stderr %q", string(got), code, stderr)
			}
			if strings.Contains(stderr, "s3cret") {
				t.Errorf("the password shows: %q", stderr)
			}
		})
	}
}

// Ctrl-C at the question ends the program, though the read goes on.
func TestAskInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	var g consent
	code, _, stderr := runAction(ctx, g.flags(), func(c *cli.Context) error {
		cancel()
		_, err := ask(c, g, "remove 1 group", []victim{{"wiki"}})
		return err
	}, r)
	if code != command.Failed || !strings.HasSuffix(stderr, "test: interrupted\n") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
