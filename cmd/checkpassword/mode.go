package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"authbridge/checkpassword"
	"authbridge/internal/command"

	"github.com/urfave/cli/v2"
)

// mode is what to do.
type mode string

// codes are the exit codes of a mode.
type codes struct {
	denied      int // the server says no
	unknown     int // it knows no such user
	unavailable int // it cannot be asked
	other       int // we, or who calls us, do it wrong
}

// modes lists them all.
//
//   - djb's interface has 1 for no, 2 for misuse and 111 for trouble that may
//     pass. Dovecot takes 3 for an unknown user, and bounces mail to it.
//   - Apache takes anything but 0 for a no. 1 to 3 are those of the Python
//     client.
var modes = map[mode]codes{
	"checkpassword": {denied: 1, unknown: 3, unavailable: 111, other: 2},
	"authext":       {denied: 1, unknown: 1, unavailable: 2, other: 3},
	"authextgroup":  {denied: 1, unknown: 1, unavailable: 2, other: 3},
	"init":          {denied: 1, unknown: 1, unavailable: 2, other: 3},
	"check":         {denied: 1, unknown: 1, unavailable: 2, other: 3},
	"watch-keys":    {denied: 1, unknown: 1, unavailable: 2, other: 3},
}

// Set implements flag.Value.
func (m *mode) Set(s string) error {
	if _, found := modes[mode(s)]; !found {
		return errors.New("want checkpassword, authext, authextgroup, init, check or watch-keys")
	}
	*m = mode(s)
	return nil
}

func (m *mode) String() string { return string(*m) }

// fetches tells whether a mode gets keys instead of asking about a user.
func (m mode) fetches() bool { return m == "init" || m == "check" || m == "watch-keys" }

// run does what the mode says, and gives an error the mode's exit code.
func (cfg *config) run(c *cli.Context) error {
	var err error
	if cfg.mode == "watch-keys" {
		err = cfg.watchKeys(c)
	} else {
		err = cfg.actInTime(c)
	}

	code := modes[cfg.mode]
	if cfg.unknownCode != 0 {
		code.unknown = int(cfg.unknownCode)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, checkpassword.ErrUnknownUser):
		return command.Exit(code.unknown, err)
	case errors.Is(err, checkpassword.ErrDenied), errors.Is(err, checkpassword.ErrNoKey), errors.Is(err, errDifferent):
		return command.Exit(code.denied, err)
	case errors.Is(err, checkpassword.ErrUnavailable):
		return command.Exit(code.unavailable, err)
	}
	return command.Exit(code.other, err)
}

// actInTime does what the mode says in the time there is.
func (cfg *config) actInTime(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, cfg.timeout)
	defer cancel()
	done := make(chan error, 1)
	// A caller that never closes its end of a pipe, or a key file on a server
	// that is gone, knows no context. The process ends, and this with it.
	go func() { done <- cfg.act(ctx, c) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w within %v", checkpassword.ErrUnavailable, cfg.timeout)
	}
}

// act does what the mode says. With mode checkpassword it does not return on
// success.
func (cfg *config) act(ctx context.Context, c *cli.Context) error {
	switch cfg.mode {
	case "authext":
		return cfg.authExt(ctx, c)
	case "authextgroup":
		return cfg.authExtGroup(ctx, c)
	case "init":
		return cfg.initKeys(ctx, c)
	case "check":
		return cfg.checkKeys(ctx, c)
	}
	return cfg.checkPassword(ctx, c.Args().Slice())
}

// client returns who asks.
func (cfg *config) client() (*checkpassword.Client, error) {
	keys, err := checkpassword.ReadKeys(cfg.jwtkey)
	if err != nil {
		return nil, err
	}
	var secret command.Secret
	if cfg.secretFile != "" {
		if secret, err = checkpassword.ReadSecret(cfg.secretFile); err != nil {
			return nil, err
		}
	}
	transport, err := cfg.connection.Client(&cfg.url.URL)
	if err != nil {
		return nil, err
	}
	return &checkpassword.Client{
		URL: &cfg.url.URL, HTTP: transport, Keys: keys, Now: time.Now,
		Issuer: string(cfg.domain),
		Secret: secret, Certificate: cfg.connection.CertificateFile != "",
		Legacy: cfg.legacy,
	}, nil
}

// checkPassword is djb's interface. Dovecot asks for a user without a password
// by AUTHORIZED=1 in the environment; without that, an empty password is one
// that somebody has typed.
func (cfg *config) checkPassword(ctx context.Context, program []string) error {
	path, err := exec.LookPath(program[0])
	if err != nil {
		return err
	}
	input, err := readDescriptor()
	if err != nil {
		return fmt.Errorf("descriptor 3: %w", err)
	}
	login, err := checkpassword.ParseDescriptor(input)
	if err != nil {
		return fmt.Errorf("descriptor 3: %w", err)
	}
	client, err := cfg.client()
	if err != nil {
		return err
	}
	authorized := os.Getenv("AUTHORIZED") == "1"
	answer, err := client.Ask(ctx, checkpassword.Question{
		Name: login.Name, Password: login.Password, Lookup: authorized && login.Password == "",
		Scopes: cfg.scopes, Service: cfg.serviceOr(os.Getenv("SERVICE")), Client: address("TCPREMOTEIP"),
	})
	if err != nil {
		return err
	}
	env, err := cfg.program.Environment(os.Environ(), answer, authorized)
	if err != nil {
		return err
	}
	return replace(path, program, env)
}

// authExt is a DefineExternalAuth of Apache, with method pipe.
func (cfg *config) authExt(ctx context.Context, c *cli.Context) error {
	if err := calledFor("PASS"); err != nil {
		return err
	}
	input, err := readPipe(c)
	if err != nil {
		return err
	}
	login, err := checkpassword.ParsePassword(input)
	if err != nil {
		return err
	}
	client, err := cfg.client()
	if err != nil {
		return err
	}
	_, err = client.Ask(ctx, checkpassword.Question{
		Name: login.Name, Password: login.Password,
		Scopes: cfg.required(), Service: cfg.serviceOr("http"), Client: address("IP"),
	})
	return err
}

// authExtGroup is a DefineExternalGroup of Apache, with method pipe: "require
// external-group a b" wants one of a and b.
func (cfg *config) authExtGroup(ctx context.Context, c *cli.Context) error {
	if err := calledFor("GROUP"); err != nil {
		return err
	}
	input, err := readPipe(c)
	if err != nil {
		return err
	}
	name, groups, err := checkpassword.ParseGroups(input)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return fmt.Errorf("%w: no group was asked for", checkpassword.ErrDenied)
	}
	client, err := cfg.client()
	if err != nil {
		return err
	}
	answer, err := client.Ask(ctx, checkpassword.Question{
		Name: name, Lookup: true,
		Scopes: cfg.required(), Service: cfg.serviceOr("http"), Client: address("IP"),
	})
	if err != nil {
		return err
	}
	if !answer.HoldsAny(groups) {
		return fmt.Errorf("%w: none of the groups", checkpassword.ErrDenied)
	}
	return nil
}

// calledFor refuses to be configured as the other kind of program: the line of
// groups would be what somebody has typed as a password, and give entry to
// those who name a permission that they hold.
func calledFor(kind string) error {
	if is := os.Getenv("AUTHTYPE"); is != "" && is != kind {
		return fmt.Errorf("AUTHTYPE is %s, which is for another mode", is)
	}
	return nil
}

// required returns the scopes of the command line and of AuthExternalContext.
func (cfg *config) required() []string {
	return append(cfg.scopes, checkpassword.ParseScopes(os.Getenv("CONTEXT"))...)
}

// serviceOr returns the service that the flag names, or else this one, if it
// is the name of one.
func (cfg *config) serviceOr(name string) string {
	s := cfg.service
	if s == "" && s.Set(strings.ToLower(name)) != nil {
		return ""
	}
	return string(s)
}

// address returns the IP address in an environment variable. What is none
// counts as unknown.
func address(variable string) netip.Addr {
	addr, err := netip.ParseAddr(os.Getenv(variable))
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

func (cfg *config) fetch(ctx context.Context) ([]byte, checkpassword.Keys, error) {
	client, err := cfg.connection.Client(&cfg.url.URL)
	if err != nil {
		return nil, nil, err
	}
	return checkpassword.FetchKeys(ctx, client, &cfg.url.URL, checkpassword.KeyRequest{
		Owner: cfg.owner, Name: string(cfg.domain), Format: cfg.format,
	})
}

// initKeys makes the key file.
func (cfg *config) initKeys(ctx context.Context, c *cli.Context) error {
	if cfg.jwtkey != "-" {
		switch _, err := os.Lstat(cfg.jwtkey); {
		case err == nil:
			_, err := fmt.Fprintf(c.App.Writer, "Path %s already exists. Doing nothing.\n", cfg.jwtkey)
			return err
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	content, _, err := cfg.fetch(ctx)
	if err != nil {
		return err
	}
	if cfg.jwtkey == "-" {
		_, err := c.App.Writer.Write(content)
		return err
	}
	if err := checkpassword.WriteKeys(cfg.jwtkey, content); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "Key written to %s\n", cfg.jwtkey)
	return err
}

// errDifferent means that the key file does not hold what the server has.
var errDifferent = errors.New("the key file differs from the server")

// checkKeys compares the key file with the server's keys.
func (cfg *config) checkKeys(ctx context.Context, c *cli.Context) error {
	_, theirs, err := cfg.fetch(ctx)
	if err != nil {
		return err
	}
	if cfg.jwtkey != "-" {
		mine, err := checkpassword.ReadKeys(cfg.jwtkey)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", errDifferent, err)
		}
		if err != nil {
			return err
		}
		if stale, missing := mine.Compare(theirs); stale+missing > 0 {
			return fmt.Errorf("%w: %d keys only in %s, %d only at the server", errDifferent, stale, cfg.jwtkey, missing)
		}
	}
	_, err = fmt.Fprintln(c.App.Writer, "Check successful.")
	return err
}
