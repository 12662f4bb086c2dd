// Command checkpassword asks an authserver about a login, for programs that
// start another program to do so: those of djb's checkpassword interface
// (Dovecot 2.3, qmail), and Apache's mod_authnz_external.
//
//	main.go     flags
//	mode.go     what each mode does, and its exit codes
//	watch.go    watch-keys, which stays
//	process.go  arguments, descriptors, core dumps, exec
//
// Exit codes are those that the callers of a mode know. A wrong command line is
// 2 in all of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"authbridge/checkpassword"
	"authbridge/internal/command"

	"github.com/urfave/cli/v2"
)

func main() {
	hide()
	app := app()
	os.Exit(command.Run(context.Background(), app, endFlags(app.Flags, os.Args[1:]), os.Stdin, os.Stdout, os.Stderr))
}

// config is what the command line says.
type config struct {
	mode   mode
	url    checkpassword.URL
	owner  checkpassword.Owner
	format checkpassword.Format
	jwtkey string
	domain domain
	scopes []string

	interval time.Duration
	reload   string
	environ  []string // what this process was started with, without --envdir

	connection checkpassword.Connection
	secretFile string
	legacy     bool
	timeout    time.Duration

	service     service
	unknownCode exitCode
	program     checkpassword.Program
}

func app() *cli.App {
	cfg := config{
		mode:    "checkpassword",
		owner:   "d",
		format:  "pubkey",
		environ: os.Environ(),
		program: checkpassword.Program{Home: "/nonexistent", Shell: "/usr/sbin/nologin"},
	}
	if err := cfg.connection.Proxy.Set("none"); err != nil {
		panic(err)
	}
	var scopes list
	return &cli.App{
		Name:  "checkpassword",
		Usage: "ask an authserver whether a login is good",
		Description: "Modes:\n" +
			"  checkpassword  name and password on descriptor 3; starts PROG on success\n" +
			"  authext        name and password on two lines of stdin\n" +
			"  authextgroup   name and permissions on two lines of stdin; one of these is enough\n" +
			"  init           make the key file, unless it exists; --url is that of /getkey/\n" +
			"  check          compare the key file with the server's keys; --url is that of /getkey/\n" +
			"  watch-keys     keep the key file up to date; --url is that of /getkey/\n\n" +
			"Flags end at PROG. What follows is its own.",
		ArgsUsage: "[PROG] [ARG...]",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "mode", Aliases: []string{"m"}, Usage: "what to do: checkpassword, authext, authextgroup, init, check, watch-keys", Value: &cfg.mode},
			&cli.GenericFlag{Name: "url", Aliases: []string{"u"}, Usage: "ask the server at `URL`", Value: &cfg.url, Required: true},
			&cli.StringFlag{Name: "jwtkey", Usage: "`FILE` with the keys that answers are signed with: PEM or JWKS (init and check: - for none)", Destination: &cfg.jwtkey, Required: true},
			&cli.GenericFlag{Name: "format", Aliases: []string{"f"}, Usage: "what init, check and watch-keys ask for: pubkey, cert, bundle or jwks", Value: &cfg.format},
			&cli.GenericFlag{Name: "type", Usage: "whose keys they ask for: d, those of a domain; r, those of a registry", Value: &cfg.owner},
			&cli.GenericFlag{Name: "domain", Usage: "answers must be issued by `DOMAIN`; without it, by the host of the URL or a domain above it (with --type r: client id of the registry)", Value: &cfg.domain},
			&cli.DurationFlag{Name: "interval", Usage: "watch-keys: `TIME` between two looks; 0: look once and end", Value: 5 * time.Minute, Destination: &cfg.interval},
			&cli.StringFlag{Name: "reload", Usage: "watch-keys: run `COMMAND` by /bin/sh after the file was replaced", Destination: &cfg.reload},
			&cli.GenericFlag{Name: "scope", Aliases: []string{"s"}, Usage: "require `PERMISSION` (repeatable: all of them)", Value: &scopes},
			&cli.StringFlag{Name: "ca-file", Usage: "trust the certificate authorities in `FILE` (PEM) and no others", Destination: &cfg.connection.CAFile},
			&cli.BoolFlag{Name: "no-ssl-validate", Usage: "send passwords to whoever answers", Destination: &cfg.connection.Insecure},
			&cli.StringFlag{Name: "client-secret-file", Usage: "`FILE` with this machine's credential, not readable by everybody", Destination: &cfg.secretFile},
			&cli.StringFlag{Name: "client-cert", Usage: "`FILE` with this machine's TLS certificate (PEM)", Destination: &cfg.connection.CertificateFile},
			&cli.StringFlag{Name: "client-key", Usage: "`FILE` with its key (PEM), not readable by everybody", Destination: &cfg.connection.KeyFile},
			&cli.GenericFlag{Name: "proxy", Usage: "reach the server through an HTTP proxy: none, environment or `URL`", Value: &cfg.connection.Proxy},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`, whatever it was spent on", Value: 10 * time.Second, Destination: &cfg.timeout},
			&cli.GenericFlag{Name: "service", Usage: "log in for `SERVICE` (default: $SERVICE, as Dovecot sets it; http in authext)", Value: &cfg.service},
			&cli.GenericFlag{Name: "user-unknown-code", Usage: "exit with `CODE` if a lookup finds no such user (default: 3, in authextgroup 1)", Value: &cfg.unknownCode},
			&cli.BoolFlag{Name: "legacy-server", Usage: "the server is a Python authserver: accept answers without a nonce, and lookups without a credential", Destination: &cfg.legacy},
			&cli.GenericFlag{Name: "home", Usage: "HOME of PROG; %u is the user's address, %n@%d its parts", Value: &cfg.program.Home},
			&cli.StringFlag{Name: "shell", Usage: "SHELL of PROG", Value: cfg.program.Shell, Destination: &cfg.program.Shell},
			&cli.GenericFlag{Name: "export", Usage: "put `NAME=VALUE` into the environment of PROG (repeatable); %u, %n, %d as in --home", Value: &cfg.program.Export},
		},
		Action: func(c *cli.Context) error {
			cfg.scopes = scopes
			if err := cfg.check(c.Args().Present()); err != nil {
				return err
			}
			if cfg.connection.Insecure && cfg.connection.CAFile == "" {
				risk := "passwords go to whoever answers"
				if cfg.mode.fetches() {
					risk = "keys are taken from whoever answers"
				}
				fmt.Fprintf(c.App.ErrWriter, "checkpassword: warning: --no-ssl-validate: %s; use --ca-file\n", risk)
			}
			return cfg.run(c)
		},
	}
}

// check refuses flags that do not go together.
func (cfg *config) check(program bool) error {
	con := cfg.connection
	switch {
	case cfg.mode == "checkpassword" && !program:
		return command.Usagef("argument PROG is missing")
	case cfg.mode != "checkpassword" && program:
		return command.Usagef("mode %s starts no program", cfg.mode)
	case (con.CertificateFile == "") != (con.KeyFile == ""):
		return command.Usagef("--client-cert and --client-key go together")
	case cfg.timeout <= 0:
		return command.Usagef("bad value for --timeout: want more than nothing")
	case cfg.jwtkey == "":
		return command.Usagef("bad value for --jwtkey: want the name of a file")
	case cfg.jwtkey == "-" && cfg.mode != "init" && cfg.mode != "check":
		return command.Usagef("--jwtkey - is for init and check")
	case cfg.owner == "r" && !cfg.mode.fetches():
		return command.Usagef("--type r is for init, check and watch-keys")
	case cfg.reload != "" && cfg.mode != "watch-keys":
		return command.Usagef("--reload is for watch-keys")
	case cfg.interval < 0 || cfg.interval > 0 && cfg.interval < time.Second:
		return command.Usagef("bad value for --interval: want a second or more, or 0 to look once")
	}
	if cfg.owner == "d" {
		if err := cfg.domain.check(); err != nil {
			return command.Usagef("bad value for --domain: %v", err)
		}
	}
	return nil
}

// list is the values of a repeated flag.
type list []string

// Set implements flag.Value; it adds to the list.
func (l *list) Set(s string) error {
	if len(checkpassword.ParseScopes(s)) != 1 {
		return errors.New("want one name, without blanks and commas")
	}
	*l = append(*l, s)
	return nil
}

func (l *list) String() string { return strings.Join(*l, " ") }

// domain is the name of a domain, as the server writes it, or the client id of
// a registry.
type domain string

// Set implements flag.Value. It takes what a client id may be: printable ASCII
// without quotes and backslashes, and no blanks at its ends. Whether it is to be
// a domain, another flag says.
func (d *domain) Set(s string) error {
	if s == "" || len(s) > 255 || strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r > '~' || r == '"' || r == '\\'
	}) {
		return errors.New("want a domain name, internationalized ones as xn--…, or the client id of a registry")
	}
	*d = domain(s)
	return nil
}

// check refuses what is no domain. Domains are in lower case from here on.
func (d *domain) check() error {
	if strings.ContainsFunc(string(*d), func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return errors.New("want a domain name, internationalized ones as xn--… (the client id of a registry needs --type r)")
	}
	*d = domain(strings.ToLower(string(*d)))
	return nil
}

func (d *domain) String() string { return string(*d) }

// service is the name of what somebody logs in to.
type service string

// Set implements flag.Value.
func (s *service) Set(v string) error {
	if v == "" || len(v) > 64 || strings.ContainsFunc(v, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	}) {
		return errors.New("want a name such as imap, in lower case")
	}
	*s = service(v)
	return nil
}

func (s *service) String() string { return string(*s) }

// exitCode is one that is no success; 0 stands for the mode's own.
type exitCode int

// Set implements flag.Value.
func (c *exitCode) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 255 {
		return errors.New("want a number from 1 to 255")
	}
	*c = exitCode(n)
	return nil
}

func (c *exitCode) String() string {
	if *c == 0 {
		return ""
	}
	return strconv.Itoa(int(*c))
}
