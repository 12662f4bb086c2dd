package command

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// The flags that every program has. urfave never sees them.
var (
	helpFlag    = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this text", DisableDefaultText: true}
	versionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	envdirFlag  = &cli.StringFlag{Name: "envdir", Usage: "read environment variables from the files in `DIR` first"}
	// The ancestor's scripts pass Django's settings module to every command.
	settingsFlag = &cli.StringFlag{Name: "settings", Usage: "ignored", Hidden: true}
)

// rootOf returns app as the command that all others are below.
func rootOf(app *cli.App) *cli.Command {
	flags := append(slices.Clip(app.Flags), envdirFlag, settingsFlag, helpFlag)
	if app.Version != "" {
		flags = append(flags, versionFlag)
	}
	return &cli.Command{
		Name: app.Name, Usage: app.Usage, Description: app.Description, ArgsUsage: app.ArgsUsage,
		Flags: flags, Subcommands: app.Commands, Action: app.Action,
	}
}

// invocation is a command line taken apart.
type invocation struct {
	path    []*cli.Command // from the program to the command that is meant
	given   []given        // flags, in their order
	flags   [][]string     // flags per command of path, as urfave reads them
	operand []string       // arguments that are no flags

	help, version bool
	envdirs       []string
}

// given is one flag on the command line.
type given struct {
	name   string
	typed  string // with its dashes, for messages
	value  string
	valued bool // --name=value, --name value
}

func (inv *invocation) command() *cli.Command { return inv.path[len(inv.path)-1] }

// name returns the words that call the command: "authserver user create".
func (inv *invocation) name() string { return fullName(inv.path) }

func fullName(path []*cli.Command) string {
	var words []string
	for _, cmd := range path {
		words = append(words, cmd.Name)
	}
	return strings.Join(words, " ")
}

// parse takes args apart. A flag may stand anywhere before "--": it belongs to
// the innermost of the commands named that defines it. On an error the
// invocation is that of the commands seen so far.
func parse(root *cli.Command, args []string) (*invocation, error) {
	inv := &invocation{path: []*cli.Command{root}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			inv.operand = append(inv.operand, args...)
			args = nil
		case strings.HasPrefix(arg, "--"):
			args, err = inv.long(arg, args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			args, err = inv.short(arg, args)
		default:
			err = inv.word(arg)
		}
		if err != nil {
			return inv, err
		}
	}
	return inv, inv.assign()
}

// word takes an argument that is no flag: a sub-command's name, if one may
// follow, or an operand.
func (inv *invocation) word(arg string) error {
	cmd := inv.command()
	if len(cmd.Subcommands) == 0 || len(inv.operand) > 0 {
		inv.operand = append(inv.operand, arg)
		return nil
	}
	sub := cmd.Command(arg)
	switch {
	case sub != nil:
		inv.path = append(inv.path, sub)
	case arg == "help":
		inv.help = true
	case cmd.Action != nil:
		inv.operand = append(inv.operand, arg)
	default:
		return Usagef("unknown sub-command %q", arg)
	}
	return nil
}

// long takes --name, --name=value or --name value, and returns what is left
// of the arguments behind it.
func (inv *invocation) long(arg string, rest []string) ([]string, error) {
	name, value, valued := strings.Cut(arg[2:], "=")
	g := given{name, "--" + name, value, valued}
	takes, err := inv.takesValue(g, rest)
	if err != nil {
		return nil, err
	}
	if takes && !valued {
		if g.value, rest, err = next(g, rest); err != nil {
			return nil, err
		}
		g.valued = true
	}
	inv.given = append(inv.given, g)
	return rest, nil
}

// short takes -x, -x value, -xvalue, -x=value, and several such letters of
// which only the last has a value: -yf json.
func (inv *invocation) short(arg string, rest []string) ([]string, error) {
	letters := arg[1:]
	for letters != "" {
		_, size := utf8.DecodeRuneInString(letters)
		g := given{name: letters[:size], typed: "-" + letters[:size]}
		letters = letters[size:]
		takes, err := inv.takesValue(g, rest)
		if err != nil {
			return nil, err
		}
		switch {
		case strings.HasPrefix(letters, "="), takes && letters != "":
			g.value, g.valued = strings.TrimPrefix(letters, "="), true
			letters = ""
		case takes:
			if g.value, rest, err = next(g, rest); err != nil {
				return nil, err
			}
			g.valued = true
		}
		inv.given = append(inv.given, g)
	}
	return rest, nil
}

// next takes the value of a flag from the arguments behind it. What looks like
// a flag is none: "--password --staff" forgot the password.
func next(g given, rest []string) (string, []string, error) {
	if len(rest) == 0 || strings.HasPrefix(rest[0], "-") && rest[0] != "-" {
		return "", nil, Usagef("%s needs a value (%s=VALUE if it begins with a dash)", g.typed, g.typed)
	}
	return rest[0], rest[1:], nil
}

// takesValue tells whether a flag has a value. The command that defines it may
// not have been named yet, so all that can follow are asked, too.
func (inv *invocation) takesValue(g given, rest []string) (bool, error) {
	var with, without bool
	ask := func(f cli.Flag) {
		if f != nil {
			with, without = with || valued(f), without || !valued(f)
		}
	}
	if level := inv.definedAt(g.name); level >= 0 {
		ask(lookup(inv.path[level], g.name))
	}
	cmd := inv.command()
	walk(cmd.Subcommands, func(sub *cli.Command) { ask(lookup(sub, g.name)) })

	if !with && !without {
		return false, Usagef("unknown flag %s", g.typed)
	}
	if with && without && len(rest) > 0 {
		// Commands differ. Only the name of one where the flag has no value can
		// follow it directly.
		if f := lookup(cmd.Command(rest[0]), g.name); f != nil && !valued(f) {
			return false, nil
		}
	}
	return with, nil
}

// definedAt returns the innermost command of path that has a flag of this
// name, or -1.
func (inv *invocation) definedAt(name string) int {
	for level, cmd := range slices.Backward(inv.path) {
		if lookup(cmd, name) != nil {
			return level
		}
	}
	return -1
}

// assign gives each flag to its command.
func (inv *invocation) assign() error {
	inv.flags = make([][]string, len(inv.path))
	for _, g := range inv.given {
		level := inv.definedAt(g.name)
		if level < 0 {
			return Usagef("unknown flag %s", g.typed)
		}
		switch lookup(inv.path[level], g.name) {
		case helpFlag:
			inv.help = true
		case versionFlag:
			inv.version = true
		case settingsFlag:
		case envdirFlag:
			inv.envdirs = append(inv.envdirs, g.value)
		default:
			arg := "--" + g.name
			if g.valued {
				if _, err := strconv.ParseBool(g.value); err != nil && !valued(lookup(inv.path[level], g.name)) {
					return Usagef("bad value for %s: want true or false", g.typed)
				}
				arg += "=" + g.value
			}
			inv.flags[level] = append(inv.flags[level], arg)
		}
	}
	return nil
}

// check reports arguments and flags that are missing, and arguments that are
// too many.
func (inv *invocation) check() error {
	for _, cmd := range inv.path {
		for _, f := range cmd.Flags {
			if r, ok := f.(cli.RequiredFlag); ok && r.IsRequired() && !inv.has(f) {
				return Usagef("%s is missing", describe(f))
			}
		}
	}
	return checkOperands(inv.command().ArgsUsage, inv.operand)
}

// has tells whether f is on the command line or in the environment.
func (inv *invocation) has(f cli.Flag) bool {
	for _, g := range inv.given {
		if slices.Contains(f.Names(), g.name) {
			return true
		}
	}
	for _, name := range environment(f) {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// checkOperands compares arguments with a usage such as "NAME [ADDRESS...]".
func checkOperands(usage string, operand []string) error {
	left := len(operand)
	for word := range strings.FieldsSeq(usage) {
		many := strings.Contains(word, "...")
		if left == 0 && !strings.HasPrefix(word, "[") {
			return Usagef("argument %s is missing", strings.Trim(word, "[]."))
		}
		left = max(left-1, 0)
		if many {
			left = 0
		}
	}
	if left > 0 {
		return Usagef("too many arguments, beginning with %q", operand[len(operand)-left])
	}
	return nil
}

// args returns the arguments in the order that urfave understands.
func (inv *invocation) args() []string {
	var args []string
	for i, cmd := range inv.path {
		if i > 0 {
			args = append(args, cmd.Name)
		}
		args = append(args, inv.flags[i]...)
	}
	return append(append(args, "--"), inv.operand...)
}

// lookup returns the flag of cmd with this name, or nil.
func lookup(cmd *cli.Command, name string) cli.Flag {
	if cmd == nil {
		return nil
	}
	for _, f := range cmd.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func valued(f cli.Flag) bool {
	doc, ok := f.(cli.DocGenerationFlag)
	return ok && doc.TakesValue()
}
