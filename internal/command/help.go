package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// writeHelp describes the last command of path. It is written here and not by
// urfave, so that it works when the environment holds a bad value, and shows
// the flags of all commands of path.
func writeHelp(w io.Writer, path []*cli.Command) error {
	cmd := path[len(path)-1]
	var b strings.Builder
	b.WriteString("usage: " + fullName(path))
	if len(cmd.Subcommands) > 0 {
		b.WriteString(" COMMAND")
	}
	b.WriteString(" [flags]")
	if cmd.ArgsUsage != "" {
		b.WriteString(" " + cmd.ArgsUsage)
	}
	b.WriteString("\n")
	for _, text := range []string{cmd.Usage, cmd.Description} {
		if text != "" {
			b.WriteString("\n" + text + "\n")
		}
	}

	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	if len(cmd.Subcommands) > 0 {
		fmt.Fprint(t, "\ncommands:\n")
		for _, sub := range cmd.Subcommands {
			if !sub.Hidden {
				fmt.Fprintf(t, "  %s\t%s\n", strings.Join(sub.Names(), ", "), sub.Usage)
			}
		}
	}
	for i, cmd := range slices.Backward(path) {
		heading := "flags"
		if i < len(path)-1 {
			heading = "flags of " + fullName(path[:i+1])
		}
		if lines := flagLines(cmd); lines != "" {
			fmt.Fprintf(t, "\n%s:\n%s", heading, lines)
		}
	}
	t.Flush() // a strings.Builder takes all
	_, err := io.WriteString(w, b.String())
	return err
}

func flagLines(cmd *cli.Command) string {
	var b strings.Builder
	for _, f := range cmd.Flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
		required := ""
		if r, ok := f.(cli.RequiredFlag); ok && r.IsRequired() {
			required = " (required)"
		}
		fmt.Fprintf(&b, "  %s%s\n", f, required)
	}
	return b.String()
}
