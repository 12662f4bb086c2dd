package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"
)

// address is a typed flag value.
type address struct{ netip.AddrPort }

func (a *address) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.AddrPort.String()
}

func (a *address) Set(s string) (err error) {
	a.AddrPort, err = netip.ParseAddrPort(s)
	if err != nil {
		return errors.New("this is no IP:PORT")
	}
	return nil
}

// call is what an action of the test program saw.
type call struct {
	Command  string
	Args     []string
	Format   string
	Keys     []string
	Yes      bool
	Password string
	Listen   string
}

// program has the shapes that matter: a flag of the program, groups in
// groups, a flag that has a value in one sub-command and none in another.
func program(got *call, action func(*cli.Context) error) *cli.App {
	var listen address
	record := func(password *Secret) cli.ActionFunc {
		return func(c *cli.Context) error {
			*got = call{
				Command: c.Command.Name, Args: c.Args().Slice(), Format: c.String("format"),
				Keys: c.StringSlice("create-key"), Yes: c.Bool("yes"), Listen: listen.String(),
			}
			if password != nil {
				got.Password = string(*password)
			}
			if action != nil {
				return action(c)
			}
			return nil
		}
	}
	format := func() cli.Flag {
		return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `FORMAT`", EnvVars: []string{"TEST_FORMAT"}}
	}
	yes := func() cli.Flag {
		return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
	}
	var password, required Secret
	return &cli.App{
		Name:    "authserver",
		Usage:   "identity for everything",
		Version: "1.2",
		Flags: []cli.Flag{&cli.GenericFlag{
			Name: "listen", Usage: "serve on `IP:PORT`", EnvVars: []string{"TEST_LISTEN"}, Destination: &listen,
		}},
		Commands: []*cli.Command{
			{
				Name: "domain", Usage: "domains of mail and logins",
				Subcommands: []*cli.Command{
					{Name: "create", Usage: "add a domain", ArgsUsage: "DOMAIN", Action: record(nil),
						Flags: []cli.Flag{&cli.StringSliceFlag{Name: "create-key"}, &cli.BoolFlag{Name: "jwt"}}},
					{Name: "edit", ArgsUsage: "DOMAIN", Action: record(nil), Flags: []cli.Flag{&cli.StringFlag{Name: "jwt"}}},
					{Name: "list", ArgsUsage: "[DOMAIN]", Action: record(nil), Flags: []cli.Flag{format()}},
					{Name: "remove", ArgsUsage: "DOMAIN...", Action: record(nil), Flags: []cli.Flag{format(), yes()}},
				},
			},
			{
				Name: "user", Usage: "people",
				Subcommands: []*cli.Command{
					{Name: "create", ArgsUsage: "IDENTIFIER FULLNAME", Action: record(&password),
						Flags: []cli.Flag{yes(), &cli.GenericFlag{
							Name: "password", Aliases: []string{"p"}, EnvVars: []string{"TEST_PASSWORD"}, Destination: &password}}},
					{Name: "rename", Action: record(&required),
						Flags: []cli.Flag{&cli.GenericFlag{Name: "to", EnvVars: []string{"TEST_TO"}, Value: &required, Required: true}}},
					{Name: "grant", Subcommands: []*cli.Command{
						{Name: "group", ArgsUsage: "NAME", Action: record(nil)},
					}},
				},
			},
		},
	}
}

// run1 runs the test program with args.
func run1(t *testing.T, action func(*cli.Context) error, args ...string) (got call, code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), program(&got, action), args, strings.NewReader(""), &out, &errs)
	return got, code, out.String(), errs.String()
}

func TestArgumentsInAnyOrder(t *testing.T) {
	tests := map[string]struct {
		args string // separated by blanks
		want call
	}{
		"flags before arguments":               {"domain list --format json example.com", call{Command: "list", Args: []string{"example.com"}, Format: "json"}},
		"flags after arguments":                {"domain list example.com --format json", call{Command: "list", Args: []string{"example.com"}, Format: "json"}},
		"a value after an equals sign":         {"domain list example.com --format=json", call{Command: "list", Args: []string{"example.com"}, Format: "json"}},
		"an empty value":                       {"domain list --format= example.com", call{Command: "list", Args: []string{"example.com"}}},
		"flags before the sub-command":         {"domain --format json list example.com", call{Command: "list", Args: []string{"example.com"}, Format: "json"}},
		"flags before the noun":                {"--format json domain list example.com", call{Command: "list", Args: []string{"example.com"}, Format: "json"}},
		"a value named like a sub-command":     {"domain --format list list list", call{Command: "list", Args: []string{"list"}, Format: "list"}},
		"a flag of the program at the end":     {"domain list --listen 127.0.0.1:80", call{Command: "list", Args: []string{}, Listen: "127.0.0.1:80"}},
		"Django's settings before the verb":    {"domain --settings=authserver.settings create --create-key jwt example.com", call{Command: "create", Args: []string{"example.com"}, Keys: []string{"jwt"}}},
		"Django's settings as two words":       {"--settings authserver.settings domain create example.com --settings x", call{Command: "create", Args: []string{"example.com"}}},
		"a flag twice":                         {"domain create --create-key jwt example.com --create-key dkim", call{Command: "create", Args: []string{"example.com"}, Keys: []string{"jwt", "dkim"}}},
		"a comma is no separator":              {"domain create --create-key jwt,dkim example.com", call{Command: "create", Args: []string{"example.com"}, Keys: []string{"jwt,dkim"}}},
		"a flag without value":                 {"domain remove -y a.example b.example", call{Command: "remove", Args: []string{"a.example", "b.example"}, Yes: true}},
		"a flag without value, switched off":   {"domain remove a.example --yes=false", call{Command: "remove", Args: []string{"a.example"}}},
		"short flags in one word":              {"domain remove a.example -yf json", call{Command: "remove", Args: []string{"a.example"}, Format: "json", Yes: true}},
		"a short flag that touches its value":  {"domain remove a.example -yfjson", call{Command: "remove", Args: []string{"a.example"}, Format: "json", Yes: true}},
		"a short flag and an equals sign":      {"domain remove a.example -f=json", call{Command: "remove", Args: []string{"a.example"}, Format: "json"}},
		"a dash is an argument":                {"domain remove - --yes", call{Command: "remove", Args: []string{"-"}, Yes: true}},
		"a dash is a value":                    {"user create --password - alice Alice", call{Command: "create", Args: []string{"alice", "Alice"}, Password: "-"}},
		"a value that begins with a dash":      {"user create --password=--yes alice Alice", call{Command: "create", Args: []string{"alice", "Alice"}, Password: "--yes"}},
		"a secret by its short name":           {"user create -p s3cret alice Alice", call{Command: "create", Args: []string{"alice", "Alice"}, Password: "s3cret"}},
		"no flag behind two dashes":            {"domain remove --yes -- --format -x --settings=a", call{Command: "remove", Args: []string{"--format", "-x", "--settings=a"}, Yes: true}},
		"an argument named like a command":     {"user create help h", call{Command: "create", Args: []string{"help", "h"}}},
		"a flag with a value here, none there": {"domain --jwt create example.com", call{Command: "create", Args: []string{"example.com"}}},
		"and there":                            {"domain --jwt false edit example.com", call{Command: "edit", Args: []string{"example.com"}}},
		"a group in a group":                   {"user grant group staff", call{Command: "group", Args: []string{"staff"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, code, _, stderr := run1(t, nil, strings.Split(tt.args, " ")...)
			if tt.want.Keys == nil {
				tt.want.Keys = got.Keys // nil or empty, depending on the command
			}
			if code != Done || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: exit %d, %+v, %s; want %+v", tt.args, code, got, stderr, tt.want)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	tests := map[string]struct {
		args string
		want string // first line on stderr
	}{
		"an unknown flag":                        {"domain create --bogus example.com", `authserver domain create: unknown flag --bogus`},
		"an unknown flag of the program":         {"--bogus domain create example.com", `authserver: unknown flag --bogus`},
		"an unknown short flag among others":     {"domain remove -yq example.com", `authserver domain remove: unknown flag -q`},
		"a flag of another sub-command":          {"domain --create-key jwt list", `authserver domain list: unknown flag --create-key`},
		"an unknown noun":                        {"domian list", `authserver: unknown sub-command "domian"`},
		"an unknown verb":                        {"domain destroy", `authserver domain: unknown sub-command "destroy"`},
		"a verb with a line end":                 {"domain a\nb", `authserver domain: unknown sub-command "a\nb"`},
		"a missing argument":                     {"user create alice", `authserver user create: argument FULLNAME is missing`},
		"a missing argument of many":             {"domain remove", `authserver domain remove: argument DOMAIN is missing`},
		"too many arguments":                     {"domain list a.example b.example c.example", `authserver domain list: too many arguments, beginning with "b.example"`},
		"arguments where none belong":            {"user rename --to bob alice", `authserver user rename: too many arguments, beginning with "alice"`},
		"a flag without its value":               {"domain list --format", `authserver domain list: --format needs a value (--format=VALUE if it begins with a dash)`},
		"a flag where a value belongs":           {"user create --password --yes alice Alice", `authserver user create: --password needs a value (--password=VALUE if it begins with a dash)`},
		"a missing flag":                         {"user rename", `authserver user rename: --to ($TEST_TO) is missing`},
		"a bad value names flag and variable":    {"--listen postgres://u:s3cret@h domain list", `authserver domain list: bad value for --listen ($TEST_LISTEN): this is no IP:PORT`},
		"a bad value of a flag without a value":  {"domain remove --yes=maybe example.com", `authserver domain remove: bad value for --yes: want true or false`},
		"a word that is both help and no action": {"help nothing", `authserver: unknown sub-command "nothing"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, code, stdout, stderr := run1(t, nil, strings.Split(tt.args, " ")...)
			line, hint, _ := strings.Cut(stderr, "\n")
			command, _, _ := strings.Cut(line, ":")
			if code != Usage || line != tt.want || hint != "see "+command+" --help\n" {
				t.Errorf("exit %d, stderr %q; want exit 2, %q and a hint", code, stderr, tt.want)
			}
			if stdout != "" || got.Command != "" {
				t.Errorf("printed %q, ran %q", stdout, got.Command)
			}
		})
	}
}

func TestBadValueInEnvironment(t *testing.T) {
	t.Setenv("TEST_LISTEN", "s3cret")
	_, code, _, stderr := run1(t, nil, "domain", "list")
	want := "authserver domain list: bad value for --listen ($TEST_LISTEN): this is no IP:PORT\nsee authserver domain list --help\n"
	if code != Usage || stderr != want {
		t.Errorf("exit %d, %q; want 2, %q", code, stderr, want)
	}

	_, code, stdout, _ := run1(t, nil, "domain", "list", "--help")
	if code != Done || !strings.HasPrefix(stdout, "usage: authserver domain list") {
		t.Errorf("--help: exit %d, %q", code, stdout)
	}
}

func TestRequiredFlagFromEnvironment(t *testing.T) {
	t.Setenv("TEST_TO", "bob")
	if got, code, _, stderr := run1(t, nil, "user", "rename"); code != Done || got.Password != "bob" {
		t.Errorf("exit %d, %+v, %s", code, got, stderr)
	}
	t.Setenv("TEST_TO", "")
	if _, code, _, _ := run1(t, nil, "user", "rename"); code != Usage {
		t.Errorf("an empty variable: exit %d, want %d", code, Usage)
	}
}

// The ancestor exited 0, which hid the mistake from scripts.
func TestMissingSubcommand(t *testing.T) {
	for _, args := range [][]string{{}, {"domain"}, {"user", "grant"}, {"domain", "--"}} {
		_, code, stdout, stderr := run1(t, nil, args...)
		if code != Usage || stdout != "" || !strings.HasPrefix(stderr, "usage: authserver") || !strings.Contains(stderr, "a sub-command is missing") {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	tests := map[string][]string{ // args: texts that must show
		"--help":                           {"usage: authserver COMMAND", "domain ", "--listen IP:PORT", "$TEST_LISTEN", "--envdir DIR"},
		"help":                             {"usage: authserver COMMAND"},
		"-h":                               {"usage: authserver COMMAND"},
		"domain --help":                    {"usage: authserver domain COMMAND", "create", "add a domain"},
		"help domain":                      {"usage: authserver domain COMMAND"},
		"help domain list":                 {"usage: authserver domain list [flags] [DOMAIN]"},
		"domain help list":                 {"usage: authserver domain list"},
		"--help user create":               {"usage: authserver user create [flags] IDENTIFIER FULLNAME", "--password"},
		"user create alice --help":         {"usage: authserver user create"},
		"user rename --help":               {"--to", "(required)"},
		"user create --password s3cret -h": {"usage: authserver user create"},
	}
	t.Setenv("TEST_PASSWORD", "s3cret")
	for args, want := range tests {
		t.Run(args, func(t *testing.T) {
			_, code, stdout, stderr := run1(t, nil, strings.Fields(args)...)
			if code != Done || stderr != "" {
				t.Errorf("exit %d, stderr %q", code, stderr)
			}
			for _, text := range want {
				if !strings.Contains(stdout, text) {
					t.Errorf("%q is not in\n%s", text, stdout)
				}
			}
			for _, text := range []string{"settings", "s3cret", hidden} {
				if strings.Contains(stdout, text) {
					t.Errorf("%q is in\n%s", text, stdout)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if _, code, stdout, _ := run1(t, nil, "--version"); code != Done || stdout != "authserver 1.2\n" {
		t.Errorf("exit %d, %q", code, stdout)
	}
}

func TestExitCodes(t *testing.T) {
	tests := map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"done":                       {nil, Done, ""},
		"a failure":                  {errors.New("no such user"), Failed, "authserver: no such user\n"},
		"a failure of several lines": {errors.New("connect:\n\t10.0.0.1: refused\n\t\x1b[31m10.0.0.2"), Failed, "authserver: connect: 10.0.0.1: refused \\x1b[31m10.0.0.2\n"},
		"declined":                   {Exit(Declined, errors.New("nothing was done")), Declined, "authserver: nothing was done\n"},
		"declined, with context":     {fmt.Errorf("remove: %w", Exit(Declined, errors.New("nothing was done"))), Declined, "authserver: remove: nothing was done\n"},
		"silent":                     {Exit(Failed, nil), Failed, ""},
		"usage":                      {Usagef("--user and --list exclude each other"), Usage, "authserver domain list: --user and --list exclude each other\nsee authserver domain list --help\n"},
		"an argument like a book":    {errors.New(strings.Repeat("ä", 3000)), Failed, "authserver: " + strings.Repeat("ä", 2000) + "…\n"},
		"head has seen enough":       {&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}, Failed, ""},
		"urfave's own exit error":    {cli.Exit("gone", 7), Failed, "authserver: gone\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, code, stdout, stderr := run1(t, func(*cli.Context) error { return tt.err }, "domain", "list")
			if code != tt.code || stderr != tt.stderr || stdout != "" {
				t.Errorf("exit %d, %q, stdout %q; want %d, %q", code, stderr, stdout, tt.code, tt.stderr)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	app := program(new(call), func(c *cli.Context) error {
		cancel()
		<-c.Context.Done()
		return fmt.Errorf("ask: %w", c.Context.Err())
	})
	code := Run(ctx, app, []string{"domain", "list"}, strings.NewReader(""), io.Discard, &stderr)
	if code != Failed || stderr.String() != "authserver: interrupted\n" {
		t.Errorf("exit %d, %q", code, stderr.String())
	}
}

func TestEnvdir(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"TEST_FORMAT": "json \t\nsecond line\n",
		"TEST_LISTEN": "",
		"TEST_NUL":    "a\x00b",
		"TEST_BLANK":  "\n",
		".hidden":     "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"TEST_FORMAT", "TEST_LISTEN", "TEST_NUL", "TEST_BLANK"} {
		t.Setenv(name, "no address") // restored afterwards
	}

	for _, args := range [][]string{
		{"--envdir", dir, "domain", "list"},
		{"domain", "list", "--envdir=" + dir},
	} {
		got, code, _, stderr := run1(t, nil, args...)
		if code != Done || got.Format != "json" {
			t.Errorf("%q: exit %d, %+v, %s", args, code, got, stderr)
		}
	}
	if _, set := os.LookupEnv("TEST_LISTEN"); set {
		t.Error("an empty file did not unset its variable")
	}
	if got := os.Getenv("TEST_NUL"); got != "a\nb" {
		t.Errorf("NUL became %q", got)
	}
	if got, set := os.LookupEnv("TEST_BLANK"); got != "" || !set {
		t.Errorf("an empty line became %q, %v", got, set)
	}
	if got, _, _, _ := run1(t, nil, "domain", "list", "--envdir", dir, "--format", "csv"); got.Format != "csv" {
		t.Errorf("a flag does not win over a file: %+v", got)
	}
}

func TestEnvdirUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "FOLDER"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(dir, "missing"), dir} {
		got, code, _, stderr := run1(t, nil, "domain", "list", "--envdir", dir)
		if code != Usage || !strings.Contains(stderr, dir) || strings.Count(stderr, "\n") != 1 || got.Command != "" {
			t.Errorf("exit %d, %q, ran %q", code, stderr, got.Command)
		}
	}
}

func TestSecretNeverShows(t *testing.T) {
	var b bytes.Buffer
	s := Secret("s3cret")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		fmt.Fprintf(&b, verb+"\n", s)
		fmt.Fprintf(&b, verb+"\n", struct{ Password Secret }{s})
		fmt.Fprintf(&b, verb+"\n", &s)
		fmt.Fprintf(&b, verb+"\n", []Secret{s})
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Info("login", "password", s, "all", struct{ Password Secret }{s})
	slog.New(slog.NewTextHandler(&b, nil)).Info("login", "password", s, "all", struct{ Password Secret }{s})
	if err := json.NewEncoder(&b).Encode(map[string]Secret{"password": s}); err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"s3cret", "733363726574", "115"} {
		if strings.Contains(b.String(), trace) {
			t.Errorf("%q shows in\n%s", trace, b.String())
		}
	}
	if string(s) != "s3cret" || Secret("").String() != "" {
		t.Error("the secret itself is lost, or an empty one shows as one")
	}
}

func TestOneLine(t *testing.T) {
	tests := map[string]string{
		"plain":               "plain",
		"Müller ✓":            "Müller ✓",
		"a\r\n\tb\n\n c \n":   "a b c",
		"\x1b]0;owned\x07":    `\x1b]0;owned\a`,
		"half \xff character": `half \xff character`,
		"\u202eright to left": `\u202eright to left`,
	}
	for in, want := range tests {
		if got := OneLine(in); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

// Whatever is typed, there is an answer, and what urfave gets has flags before
// arguments, all of them known.
func FuzzParse(f *testing.F) {
	f.Add("domain\x00--settings=x\x00create\x00--create-key\x00jwt\x00example.com")
	f.Add("-yf\x00json\x00domain\x00remove\x00--\x00-x")
	f.Add("user\x00--password\x00-\x00create\x00a\x00b\x00-h")
	f.Fuzz(func(t *testing.T, words string) {
		inv, err := parse(rootOf(program(new(call), nil)), strings.Split(words, "\x00"))
		if err != nil {
			var usage *usageError
			if !errors.As(err, &usage) || inv.name() == "" {
				t.Fatalf("%q: %v", words, err)
			}
			return
		}
		if inv.help || inv.version {
			return
		}
		level, rest := 0, inv.args()
		for ; rest[0] != "--"; rest = rest[1:] {
			name, _, _ := strings.Cut(strings.TrimPrefix(rest[0], "--"), "=")
			if !strings.HasPrefix(rest[0], "--") {
				level++
			} else if lookup(inv.path[level], name) == nil {
				t.Fatalf("%q: flag %q at %s", words, rest[0], inv.path[level].Name)
			}
		}
		if !reflect.DeepEqual(append([]string{}, rest[1:]...), append([]string{}, inv.operand...)) {
			t.Fatalf("%q: arguments became %q", words, rest)
		}
	})
}
