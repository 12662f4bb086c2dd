package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func registryConfigCommand(db *database) *cli.Command {
	program := distribution3
	var realm realmURL
	var server issuer
	bundle := keyFile("/etc/docker/registry/keys/bundle.pem")
	var jwks *keyFile
	return &cli.Command{
		Name:  "config",
		Usage: "print the section auth of a registry's configuration",
		Description: "The comment in it is the command that fills the key file, on the registry's machine.\n\n" +
			"What the registry could not work with is refused. That depends on its key hint and\n" +
			"keys: docker-registry 2.8 takes the hints kid-libtrust, x5c and x5c+kid, and neither\n" +
			"Ed25519 nor JWKS; distribution 3 takes kid, x5c and x5c+kid, and with a JWKS alone\n" +
			"only kid.\n" + registrySelectors,
		ArgsUsage: "REGISTRY",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "for", Usage: "the registry is docker-registry 2.8 or distribution 3: `2.8|3`", Value: &program},
			&cli.GenericFlag{Name: "realm", Usage: "clients get tokens at `URL` (default: /docker/token of the server's ISSUER)", Value: &realm},
			&cli.GenericFlag{Name: "issuer", EnvVars: []string{"ISSUER"}, Usage: "the ISSUER of the server is `URL`", Value: &server},
			&cli.GenericFlag{Name: "rootcertbundle", Usage: "the registry reads certificates from `FILE`", Value: &bundle},
			&cli.GenericFlag{
				Name: "jwks", Value: &optional[keyFile, *keyFile]{&jwks},
				Usage: "the registry reads keys from `FILE`, a JWKS, and certificates only if --rootcertbundle is given, too",
			},
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				registry, err := oneRegistry(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				config := registryConfig{program: program, name: registry.Name, service: registry.ClientID}
				if config.realm, config.issuer, err = endpoint(registry, realm, server); err != nil {
					return err
				}
				if jwks != nil {
					config.jwks = *jwks
				}
				if jwks == nil || c.IsSet("rootcertbundle") {
					config.bundle = bundle
				}
				keys, err := signingKeys(ctx, conn, registry)
				if err != nil {
					return err
				}
				if err := config.check(keys, token.Hint(registry.KeyHint)); err != nil {
					return err
				}
				config.algorithms = keys.algorithms()
				for _, warning := range config.warnings(keys, token.Hint(registry.KeyHint)) {
					say(c, "warning: %s", warning)
				}
				text, err := config.yaml()
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(c.App.Writer, text)
				return err
			})
		},
	}
}

// endpoint returns where clients get tokens for a registry, and who issues them.
func endpoint(registry listedRegistry, realm realmURL, server issuer) (at realmURL, name string, err error) {
	host := issuerHost(string(server))
	if name = host; registry.Issuer != nil {
		name = *registry.Issuer
	}
	switch {
	case realm == "" && host == "":
		return "", "", command.Usagef("which server? Give --issuer ($ISSUER) as the server has it, or --realm")
	case name == "":
		return "", "", command.Usagef("registry %s has no issuer of its own: give --issuer ($ISSUER) as the server has it", registry.ClientID)
	case realm == "":
		realm = realmURL("https://" + host + "/docker/token")
	}
	return realm, name, nil
}

// keySet is the keys that a registry verifies tokens with.
type keySet struct {
	signs token.Algorithm // the kind of key that signs; empty: none does
	all   []ownedKey
}

// signingKeys returns the keys that sign for a registry, and its own.
func signingKeys(ctx context.Context, conn *pgx.Conn, registry listedRegistry) (keySet, error) {
	own, err := findKeys(ctx, conn, registryOwner(registry.ClientID))
	if err != nil || registry.SigningKey == string(ownKey) {
		return keySet{firstActive(own), own}, err
	}
	theirs, err := findKeys(ctx, conn, domainOwner(address.Domain(registry.Domain), ""))
	if err != nil {
		return keySet{}, err
	}
	theirs = slices.DeleteFunc(theirs, func(k ownedKey) bool { return k.Purpose != string(token.JWT) })
	return keySet{firstActive(theirs), append(theirs, own...)}, nil
}

// firstActive returns the kind of the key that signs, of keys in the order of
// api.find_keys: RSA before others.
func firstActive(keys []ownedKey) token.Algorithm {
	for _, k := range keys {
		if k.State == "active" {
			return token.Algorithm(k.Algorithm)
		}
	}
	return ""
}

// has tells whether there is a key of this kind, whatever it does.
func (s keySet) has(a token.Algorithm) bool {
	return slices.ContainsFunc(s.all, func(k ownedKey) bool { return k.Algorithm == string(a) })
}

// algorithms returns the names in JOSE of what signs or is about to.
func (s keySet) algorithms() []string {
	names := map[string]string{string(token.RSA): "RS256", string(token.P256): "ES256", string(token.Ed25519): "EdDSA"}
	var all []string
	for _, k := range s.all {
		if name := names[k.Algorithm]; k.State != "retired" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// registryProgram is what a registry runs.
type registryProgram string

const (
	registry28    registryProgram = "2.8"
	distribution3 registryProgram = "3"
)

func (p *registryProgram) Set(s string) error {
	if s != string(registry28) && s != string(distribution3) {
		return fmt.Errorf("%q is neither %s nor %s", s, registry28, distribution3)
	}
	*p = registryProgram(s)
	return nil
}

func (p *registryProgram) String() string { return string(*p) }

// title is what people call the program.
func (p registryProgram) title() string {
	if p == registry28 {
		return "docker-registry 2.8"
	}
	return "distribution 3"
}

// realmURL is where clients get tokens.
type realmURL string

func (r *realmURL) Set(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#\"") {
		return errors.New("want https://HOST/PATH, without a query")
	}
	// Passwords go there. Where clients are on this machine, nobody listens.
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != webDomain) {
		return errors.New("want https://HOST/PATH; http is for localhost")
	}
	*r = realmURL(s)
	return nil
}

func (r *realmURL) String() string { return string(*r) }

// keyFile is the name of a file on the registry's machine.
type keyFile string

func (f *keyFile) Set(s string) error {
	switch {
	case s == "":
		return errors.New("the name of the file is empty")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("the name of the file has a control character, or is not UTF-8")
	}
	*f = keyFile(s)
	return nil
}

func (f *keyFile) String() string { return string(*f) }

// registryConfig is what the configuration of a registry says.
type registryConfig struct {
	program         registryProgram
	name            string // of the registry, for people
	realm           realmURL
	service, issuer string
	bundle, jwks    keyFile // empty: not used
	algorithms      []string
}

// check refuses what the program could not work with: what it finds keys by,
// and of which kind they may be, was read in its versions 2.8.3, 3.0.0 and
// 3.1.1.
func (r registryConfig) check(keys keySet, hint token.Hint) error {
	other := func(hints string) error {
		return fmt.Errorf("%s finds no key by the hint %s here: authserver dockerauth registry edit %s --set-key-hint %s", r.program.title(), hint, shellWord(r.service), hints)
	}
	x5c := hint == token.HintX5C || hint == token.HintX5CKID
	switch {
	case r.program == registry28 && r.jwks != "":
		return errors.New("docker-registry 2.8 reads no JWKS: leave --jwks out")
	case r.program == registry28 && keys.has(token.Ed25519):
		// It refuses to start, whether the key signs or not.
		return errors.New("docker-registry 2.8 does not start with an Ed25519 key in its bundle: activate another, and remove that (dockerauth registry keys)")
	case r.program == registry28 && hint == token.HintKID:
		return other("x5c+kid")
	case r.program == distribution3 && hint == token.HintLibtrust && r.bundle == "":
		return other("kid")
	case r.program == distribution3 && hint == token.HintLibtrust:
		return other("x5c+kid")
	case r.bundle == "" && x5c:
		// The chain is verified before the kid is looked at, and fails.
		return other("kid")
	}
	return nil
}

// warnings says what works in some versions only, or not yet.
func (r registryConfig) warnings(keys keySet, hint token.Hint) []string {
	var all []string
	if keys.signs == "" {
		all = append(all, "no key signs for the registry, so nobody gets in (dockerauth registry keys)")
	}
	if r.jwks == "" && hint == token.HintKID && (keys.has(token.P256) || keys.has(token.Ed25519)) {
		all = append(all, "distribution 3.0 finds only RSA keys by their kid, 3.1 others, too; with the key hint x5c+kid both do")
	}
	return all
}

// yaml returns the section as text. A string of JSON is one of YAML, too.
func (r registryConfig) yaml() (string, error) {
	server, err := url.Parse(string(r.realm))
	if err != nil {
		return "", fmt.Errorf("realm: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, for %s. The registry reads its keys when it starts.\n", command.OneLine(r.name), r.program.title())
	b.WriteString("# This keeps them up to date, and restarts it when they have changed:\n")
	keep := func(file keyFile, form string) {
		if file == "" {
			return
		}
		fmt.Fprintf(&b, "#   checkpassword -m watch-keys --url %s://%s/getkey/ --type r --domain %s \\\n", server.Scheme, server.Host, shellWord(r.service))
		fmt.Fprintf(&b, "#     --format %s --jwtkey %s --reload 'systemctl try-restart docker-registry.service'\n", form, shellWord(string(file)))
	}
	keep(r.bundle, "bundle")
	keep(r.jwks, "jwks")
	b.WriteString("auth:\n  token:\n")
	for _, option := range []struct{ name, value string }{
		{"realm", string(r.realm)},
		{"service", r.service},
		{"issuer", r.issuer},
		{"rootcertbundle", string(r.bundle)},
		{"jwks", string(r.jwks)},
	} {
		if option.value == "" {
			continue
		}
		quoted, err := yamlString(option.value)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "    %s: %s\n", option.name, quoted)
	}
	if r.program == distribution3 && len(r.algorithms) > 0 {
		b.WriteString("    signingalgorithms:\n")
		for _, name := range r.algorithms {
			fmt.Fprintf(&b, "      - %s\n", name)
		}
	}
	return b.String(), nil
}

// yamlString returns s in double quotes.
func yamlString(s string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return "", fmt.Errorf("quote %q: %w", s, err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// shellWord returns s as a word of the shell, in quotes only if it needs them.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._/:@+,", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
