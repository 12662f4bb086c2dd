package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"
	"authbridge/internal/seal"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func domainPubkeyCommand(db *database) *cli.Command {
	var keys keyFlags
	want := keyPurpose(token.JWT)
	var create bool
	form := pubkeyFormat("pem")
	var file string
	var secret secretKey
	return &cli.Command{
		Name:  "pubkey",
		Usage: "print the public half of a key that signs for a domain",
		Description: "The JWT key is that of the domain or, if there is no such domain, of the nearest\n" +
			"above it whose key may sign for those below. The DKIM key is the domain's own.",
		ArgsUsage: "DOMAIN",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "key", Usage: "the key for `jwt|dkim`", Value: &want},
			keys.algorithmFlag(),
			&cli.BoolFlag{Name: "create-key", Usage: "make one if there is none", Destination: &create},
			&cli.GenericFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `pem|dkimdns`", Value: &form},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`; \"-\" is stdout", Value: "-", Destination: &file},
			secret.flag(),
		},
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			keys.create = keyPurposes{token.Purpose(want)}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if want == keyPurpose(token.JWT) {
					if domain, err = findParentDomain(ctx, conn, domain); err != nil {
						return err
					}
				}
				if create {
					if err := createMissing(ctx, c, conn, domain, keys, &secret); err != nil {
						return err
					}
				}
				pub, err := activeKey(ctx, conn, domain, token.Purpose(want), keys.algorithm)
				if err != nil {
					return err
				}
				text, err := form.print(pub)
				if err != nil {
					return err
				}
				if file == "-" {
					_, err := io.WriteString(c.App.Writer, text)
					return err
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					return err
				}
				say(c, "Public key exported to %s", file)
				return nil
			})
		},
	}
}

// createMissing makes the key that a domain lacks, if it does.
func createMissing(ctx context.Context, c *cli.Context, conn *pgx.Conn, domain address.Domain, keys keyFlags, secret *secretKey) error {
	_, err := activeKey(ctx, conn, domain, keys.create[0], keys.algorithm)
	if !errors.Is(err, errNoKey) {
		return err
	}
	found, err := findDomain(ctx, conn, domain)
	if err != nil {
		return err
	}
	fresh, err := keys.generate(c, secret, domain, found.DKIMSelector)
	if err != nil {
		return err
	}
	return editDomain(ctx, conn, domain, domainSettings{}, keyChange{add: fresh})
}

// pubkeyFormat is how a public key is printed.
type pubkeyFormat string

func (f *pubkeyFormat) Set(s string) error {
	if s != "pem" && s != "dkimdns" {
		return fmt.Errorf("%q is neither pem nor dkimdns", s)
	}
	*f = pubkeyFormat(s)
	return nil
}

func (f *pubkeyFormat) String() string { return string(*f) }

func (f pubkeyFormat) print(pub crypto.PublicKey) (string, error) {
	if f == "pem" {
		return token.PublicPEM(pub)
	}
	text, err := token.DKIMDNS(pub)
	return text + "\n", err
}

var errNoKey = errors.New("no key")

// activeKey returns the public half of the key that a domain signs with: of
// this algorithm, or if that is empty the first of api.find_keys. An error that
// is errNoKey says that there is none.
func activeKey(ctx context.Context, conn *pgx.Conn, domain address.Domain, p token.Purpose, a keyAlgorithm) (crypto.PublicKey, error) {
	if _, err := findDomain(ctx, conn, domain); err != nil {
		return nil, err
	}
	keys, err := findKeys(ctx, conn, domain)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.State == "active" && k.Purpose == string(p) && (a == "" || k.Algorithm == string(a)) {
			return token.UnmarshalPublic(k.PublicKey)
		}
	}
	kind := string(p)
	if a != "" {
		kind += " " + string(a)
	}
	return nil, fmt.Errorf("domain %s has %w for %s; --create-key makes one", domain, errNoKey, kind)
}

// maxKeyFile is more than any private key needs.
const maxKeyFile = 64 << 10

func domainImportKeyCommand(db *database) *cli.Command {
	var want keyPurpose
	var named *dkimSelector
	var replace bool
	var secret secretKey
	return &cli.Command{
		Name:  "import-key",
		Usage: "give a domain a private key that was made elsewhere",
		Description: "FILE is PEM (PKCS #8, PKCS #1 or SEC 1), not encrypted; \"-\" is stdin. Only the\n" +
			"key's sealed form is stored.",
		ArgsUsage: "DOMAIN FILE",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "key", Usage: "it is for `jwt|dkim`", Value: &want, Required: true},
			&cli.GenericFlag{
				Name: "selector", Value: &optional[dkimSelector, *dkimSelector]{&named},
				Usage: "the `SELECTOR` of a DKIM key (default: what the domain names its keys)",
			},
			&cli.BoolFlag{Name: "overwrite", Usage: "let it take the place of an old one", Destination: &replace},
			secret.flag(),
		},
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			if named != nil && want != keyPurpose(token.DKIM) {
				return command.Usagef("only a DKIM key has a selector")
			}
			master, err := secret.master(c)
			if err != nil {
				return err
			}
			key, err := readKey(c, c.Args().Get(1), token.Purpose(want))
			if err != nil {
				return err
			}
			if token.Weak(key.Public()) {
				say(c, "warning: an RSA key of less than 2048 bits is not trusted everywhere; replace it soon")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findDomain(ctx, conn, domain)
				if err != nil {
					return err
				}
				fresh, err := sealKey(master, domain, token.Purpose(want), key, found.DKIMSelector)
				if err != nil {
					return err
				}
				if named != nil {
					fresh.Selector = string(*named)
				}
				if err := editDomain(ctx, conn, domain, domainSettings{}, keyChange{add: []newKey{fresh}, replace: replace}); err != nil {
					return err
				}
				say(c, "Key %s imported for %s", fresh.name(), domain)
				return nil
			})
		},
	}
}

// readKey reads a private key from a file, or from stdin if that is "-".
func readKey(c *cli.Context, file string, p token.Purpose) (crypto.Signer, error) {
	name, r := file, c.App.Reader
	if file == "-" {
		name = "stdin"
	} else {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := interruptible(c.Context, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxKeyFile)) })
	if err != nil {
		return nil, err
	}
	key, err := token.ParsePrivate(string(text), p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

func domainKeysCommand(db *database) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "keys",
		Usage: "print the keys of a domain, those that sign first",
		Description: "state: published (known to others, not used yet), active (signs), retired (only\n" +
			"verifies what it has signed).",
		ArgsUsage: "DOMAIN",
		Flags:     []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if _, err := findDomain(ctx, conn, domain); err != nil {
					return err
				}
				keys, err := findKeys(ctx, conn, domain)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, listKeys(keys), nil)
			})
		},
	}
}

func domainPublishKeyCommand(db *database) *cli.Command {
	var want keyPurpose
	var keys keyFlags
	var named *dkimSelector
	var secret secretKey
	return &cli.Command{
		Name:  "publish-key",
		Usage: "make a key that others can learn before it signs",
		Description: "The first step to replace a key without a gap. Wait until everybody who verifies\n" +
			"has the new one: for dkim, publish the records that \"authserver domain dns\" prints.\n" +
			"Then activate it, and remove the old one when nothing that it signed is in use.",
		ArgsUsage: "DOMAIN",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "key", Usage: "it is for `jwt|dkim`", Value: &want, Required: true},
			keys.algorithmFlag(),
			&cli.GenericFlag{
				Name: "selector", Value: &optional[dkimSelector, *dkimSelector]{&named},
				Usage: "name DKIM keys `SELECTOR`, and SELECTOR-ed25519 (default: what the domain names its keys)",
			},
			secret.flag(),
		},
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			if named != nil && want != keyPurpose(token.DKIM) {
				return command.Usagef("only a DKIM key has a selector")
			}
			keys.create = keyPurposes{token.Purpose(want)}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				found, err := findDomain(ctx, conn, domain)
				if err != nil {
					return err
				}
				selector := found.DKIMSelector
				if named != nil {
					selector = string(*named)
				}
				fresh, err := keys.generate(c, &secret, domain, selector)
				if err != nil {
					return err
				}
				if err := publishKeys(ctx, conn, domain, fresh); err != nil {
					return err
				}
				for _, key := range fresh {
					say(c, "Key %s published for %s", key.name(), domain)
				}
				return nil
			})
		},
	}
}

// keyArguments is the usage of the commands that are about one key.
const keyArguments = "DOMAIN KID|SELECTOR"

// afterDashes is what their help says about one key in 64.
const afterDashes = "A KID that begins with a dash comes after \"--\"."

func domainActivateKeyCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "activate-key",
		Usage: "let a key sign; the one of its kind that did is retired",
		Description: "The key is a published one or, to undo a step, a retired one. Servers that run\n" +
			"use it at once. " + afterDashes,
		ArgsUsage: keyArguments,
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				change, err := activateKey(ctx, conn, domain, c.Args().Get(1))
				if err != nil {
					return err
				}
				say(c, "Key %s signs for %s", change.Key, domain)
				if change.Other != "" {
					say(c, "Key %s only verifies", change.Other)
				}
				return nil
			})
		},
	}
}

func domainRetireKeyCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:        "retire-key",
		Usage:       "let a key sign no more; what it has signed can still be verified",
		Description: "To put another in its place, activate that instead: it takes one step. " + afterDashes,
		ArgsUsage:   keyArguments,
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				change, err := retireKey(ctx, conn, domain, c.Args().Get(1))
				if err != nil {
					return err
				}
				say(c, "Key %s of %s only verifies", change.Key, domain)
				if change.Other == "" {
					say(c, "warning: no key signs in its place")
				} else {
					say(c, "Key %s signs", change.Other)
				}
				return nil
			})
		},
	}
}

func domainRemoveKeyCommand(db *database) *cli.Command {
	var g consent
	return &cli.Command{
		Name:  "remove-key",
		Usage: "remove a key that does not sign, for good",
		Description: "What a retired key has signed cannot be verified any more: mail with its selector,\n" +
			"tokens with its kid. " + afterDashes,
		ArgsUsage: keyArguments,
		Flags:     g.flags(),
		Action: func(c *cli.Context) error {
			domain, err := domainArgument(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				removed, err := askToRemove(c, g, "this key for good", func(dryRun bool) ([]removedKey, error) {
					return removeKey(ctx, conn, domain, c.Args().Get(1), dryRun)
				})
				for _, r := range removed {
					say(c, "Key %s of %s removed", r.Key, r.Domain)
				}
				return err
			})
		},
	}
}

// listedKey is a key as the list shows it.
type listedKey struct {
	Purpose     string     `json:"purpose"`
	Algorithm   string     `json:"algorithm"`
	State       string     `json:"state"`
	Selector    *string    `json:"selector"`
	KID         *string    `json:"kid"`
	CreatedAt   time.Time  `json:"created_at"`
	ActivatedAt *time.Time `json:"activated_at"`
	RetiredAt   *time.Time `json:"retired_at"`
}

func listKeys(keys []domainKey) []listedKey {
	var list []listedKey
	for _, k := range keys {
		list = append(list, k.listedKey)
	}
	return list
}

// keyPurpose is what a key is for, as a flag's value.
type keyPurpose token.Purpose

func (p *keyPurpose) Set(s string) error {
	if s != string(token.JWT) && s != string(token.DKIM) {
		return fmt.Errorf("%q is neither jwt nor dkim", s)
	}
	*p = keyPurpose(s)
	return nil
}

func (p *keyPurpose) String() string { return string(*p) }

// keyAlgorithm is a kind of key, as a flag's value; empty means all that are
// usual.
type keyAlgorithm token.Algorithm

func (a *keyAlgorithm) Set(s string) error {
	switch token.Algorithm(s) {
	case token.RSA, token.Ed25519, token.P256:
		*a = keyAlgorithm(s)
		return nil
	}
	return fmt.Errorf("%q is none of %s, %s, %s", s, token.RSA, token.Ed25519, token.P256)
}

func (a *keyAlgorithm) String() string { return string(*a) }

// keyFlags say which keys to make.
type keyFlags struct {
	create    keyPurposes
	algorithm keyAlgorithm
}

func (f *keyFlags) flags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "create-key", Usage: "make a key for `jwt|dkim`; may be given twice", Value: &f.create},
		f.algorithmFlag(),
	}
}

func (f *keyFlags) algorithmFlag() cli.Flag {
	return &cli.GenericFlag{
		Name: "key-algorithm", Value: &f.algorithm,
		Usage: "the `ALGORITHM` of the key: rsa, ed25519, ecdsa-p256 (default: rsa for jwt, rsa and ed25519 for dkim)",
	}
}

// generate makes the keys, sealed for a domain. It asks for SECRET_KEY only if
// there are any.
func (f *keyFlags) generate(c *cli.Context, secret *secretKey, domain address.Domain, selector string) ([]newKey, error) {
	if len(f.create) == 0 {
		return nil, nil
	}
	if f.algorithm == keyAlgorithm(token.P256) && slices.Contains(f.create, token.DKIM) {
		return nil, command.Usagef("DKIM knows no %s", token.P256)
	}
	master, err := secret.master(c)
	if err != nil {
		return nil, err
	}
	var made []newKey
	for _, p := range f.create {
		algorithms := []token.Algorithm{token.RSA}
		switch {
		case f.algorithm != "":
			algorithms = []token.Algorithm{token.Algorithm(f.algorithm)}
		case p == token.DKIM:
			algorithms = []token.Algorithm{token.RSA, token.Ed25519}
		}
		for _, a := range algorithms {
			key, err := token.Generate(a)
			if err != nil {
				return nil, fmt.Errorf("make a key: %w", err)
			}
			sealed, err := sealKey(master, domain, p, key, selector)
			if err != nil {
				return nil, err
			}
			made = append(made, sealed)
		}
	}
	return made, nil
}

// newKey is a key as auth.insert_keys takes it.
type newKey struct {
	Purpose   token.Purpose   `json:"purpose"`
	Algorithm token.Algorithm `json:"algorithm"`
	Selector  string          `json:"selector,omitempty"`
	KID       string          `json:"kid,omitempty"`
	PublicKey []byte          `json:"public_key"`
	SealedKey []byte          `json:"sealed_key"`
	SealedBy  string          `json:"sealed_by"`
}

// name is what the key is called in messages.
func (k newKey) name() string {
	return fmt.Sprintf("%s %s (%s)", k.Purpose, k.Selector+k.KID, k.Algorithm)
}

// ed25519Suffix is behind the selector of an Ed25519 key, beside the RSA key
// that has the selector alone.
const ed25519Suffix = "-ed25519"

// sealKey seals a private key for its row. A DKIM key is named after selector.
func sealKey(master seal.Master, domain address.Domain, p token.Purpose, key crypto.Signer, selector string) (newKey, error) {
	made := newKey{Purpose: p}
	var err error
	if made.Algorithm, err = token.AlgorithmOf(key.Public()); err != nil {
		return newKey{}, err
	}
	switch {
	case p == token.JWT:
		if made.KID, err = token.KID(key.Public()); err != nil {
			return newKey{}, err
		}
	case made.Algorithm == token.Ed25519:
		made.Selector = selector + ed25519Suffix
	default:
		made.Selector = selector
	}
	if made.PublicKey, err = token.MarshalPublic(key.Public()); err != nil {
		return newKey{}, err
	}
	plain, err := token.MarshalPrivate(key)
	if err != nil {
		return newKey{}, err
	}
	defer clear(plain)
	sealing := master.Derive(seal.Purpose(p))
	made.SealedKey, made.SealedBy = sealing.Seal(plain, token.Row(domain.String(), made.PublicKey)), sealing.ID()
	return made, nil
}

// keyChange is what becomes of the keys of a domain.
type keyChange struct {
	add     []newKey
	remove  keyPurposes
	replace bool // new keys take the place of old ones
}

// domainKey is a key as the database has it, without the private half.
type domainKey struct {
	listedKey
	PublicKey []byte
}

// findKeys calls api.find_keys.
func findKeys(ctx context.Context, conn *pgx.Conn, domain address.Domain) ([]domainKey, error) {
	keys, err := queryRows[domainKey](ctx, conn,
		`select purpose, algorithm, state, selector, kid, public_key, created_at, activated_at, retired_at from api.find_keys($1)`,
		domain.String())
	if err != nil {
		return nil, fmt.Errorf("find keys: %w", err)
	}
	return keys, nil
}

// publishKeys calls api.publish_keys.
func publishKeys(ctx context.Context, conn *pgx.Conn, domain address.Domain, keys []newKey) error {
	result, err := queryRow[refusal](ctx, conn,
		`select outcome, coalesce(detail, '') as detail from api.publish_keys($1, $2)`, domain.String(), keys)
	if err != nil {
		return fmt.Errorf("publish keys: %w", err)
	}
	if result.Outcome == "key_exists" {
		return fmt.Errorf("domain %s already has the key %s; --selector names the new one", domain, result.Detail)
	}
	return result.of(domain, "publish keys")
}

// keyChanged is a key in its state after a change, and another that matters
// then, or "".
type keyChanged struct{ Outcome, Key, Other string }

// activateKey calls api.activate_key. Other is the key that is retired by it.
func activateKey(ctx context.Context, conn *pgx.Conn, domain address.Domain, name string) (keyChanged, error) {
	change, err := queryRow[keyChanged](ctx, conn,
		`select outcome, coalesce(key, '') as key, coalesce(retired, '') as other from api.activate_key($1, $2)`,
		domain.String(), name)
	if err != nil {
		return keyChanged{}, fmt.Errorf("activate key: %w", err)
	}
	return change, refusedKey(domain, name, change.Outcome, "activate key")
}

// retireKey calls api.retire_key. Other is the key that signs instead.
func retireKey(ctx context.Context, conn *pgx.Conn, domain address.Domain, name string) (keyChanged, error) {
	change, err := queryRow[keyChanged](ctx, conn,
		`select outcome, coalesce(key, '') as key, coalesce(active, '') as other from api.retire_key($1, $2)`,
		domain.String(), name)
	if err != nil {
		return keyChanged{}, fmt.Errorf("retire key: %w", err)
	}
	if change.Outcome == "published" {
		return keyChanged{}, fmt.Errorf("the key %s has never signed: activate or remove it", change.Key)
	}
	return change, refusedKey(domain, name, change.Outcome, "retire key")
}

// removedKey is a key that goes.
type removedKey struct {
	Domain string `json:"domain"`
	Key    string `json:"key"`
}

// removeKey calls api.remove_key.
func removeKey(ctx context.Context, conn *pgx.Conn, domain address.Domain, name string, dryRun bool) ([]removedKey, error) {
	result, err := queryRow[struct{ Outcome, Key string }](ctx, conn,
		`select outcome, coalesce(key, '') as key from api.remove_key($1, $2, $3)`, domain.String(), name, dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove key: %w", err)
	}
	if result.Outcome == "active" {
		return nil, fmt.Errorf("the key %s signs for %s: activate another of its kind or retire it first", result.Key, domain)
	}
	return []removedKey{{domain.String(), result.Key}}, refusedKey(domain, name, result.Outcome, "remove key")
}

// refusedKey returns an outcome that all functions about one key have as an
// error, or nil if it is ok.
func refusedKey(domain address.Domain, name, outcome, doing string) error {
	switch outcome {
	case "ok":
		return nil
	case "unknown":
		return noDomain(domain)
	case "no_key":
		return fmt.Errorf("domain %s has no key %q", domain, name)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

// findParentDomain calls api.find_parent_domain.
func findParentDomain(ctx context.Context, conn *pgx.Conn, domain address.Domain) (address.Domain, error) {
	found, err := queryValue[*string](ctx, conn, `select api.find_parent_domain($1, false)`, domain.String())
	if err != nil {
		return "", fmt.Errorf("find parent domain: %w", err)
	}
	if found == nil {
		return "", fmt.Errorf("there is no domain %s, and none above it that may sign for it", domain)
	}
	return address.Domain(*found), nil
}
