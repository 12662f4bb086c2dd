package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"

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
	fresh, err := keys.generate(c, secret, domainOwner(domain, found.DKIMSelector))
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

// activeKey returns the public half of the key that a domain signs with: of
// this algorithm, or if that is empty the first of api.find_keys. An error that
// is errNoKey says that there is none.
func activeKey(ctx context.Context, conn *pgx.Conn, domain address.Domain, p token.Purpose, a keyAlgorithm) (crypto.PublicKey, error) {
	if _, err := findDomain(ctx, conn, domain); err != nil {
		return nil, err
	}
	keys, err := findKeys(ctx, conn, domainOwner(domain, ""))
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
				fresh, err := sealKey(master, domainOwner(domain, found.DKIMSelector), token.Purpose(want), key)
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

// domainKeys is the noun domain, as the commands about keys need it.
var domainKeys = keyNoun{
	argument: "DOMAIN", name: "KID|SELECTOR", dkim: true,
	owner: func(c *cli.Context) (ownerFinder, error) {
		domain, err := domainArgument(c)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, conn *pgx.Conn) (keyOwner, error) {
			found, err := findDomain(ctx, conn, domain)
			return domainOwner(domain, found.DKIMSelector), err
		}, nil
	},
}

// domainOwner returns a domain as the owner of keys.
func domainOwner(domain address.Domain, selector string) keyOwner {
	return keyOwner{domainNoun, domain.String(), selector}
}

func domainKeysCommand(db *database) *cli.Command {
	return keysCommand(db, domainKeys, "print the keys of a domain, those that sign first")
}

func domainPublishKeyCommand(db *database) *cli.Command {
	return publishKeyCommand(db, domainKeys,
		"The first step to replace a key without a gap. Wait until everybody who verifies\n"+
			"has the new one: for dkim, publish the records that \"authserver domain dns\" prints.\n"+
			"Then activate it, and remove the old one when nothing that it signed is in use.")
}

func domainActivateKeyCommand(db *database) *cli.Command { return activateKeyCommand(db, domainKeys) }

func domainRetireKeyCommand(db *database) *cli.Command { return retireKeyCommand(db, domainKeys) }

func domainRemoveKeyCommand(db *database) *cli.Command {
	return removeKeyCommand(db, domainKeys,
		"What a retired key has signed cannot be verified any more: mail with its selector,\n"+
			"tokens with its kid.",
		func(domain, key string) removedKey { return removedKey{domain, key} })
}

// removedKey is a key that goes.
type removedKey struct {
	Domain string `json:"domain"`
	Key    string `json:"key"`
}

// keyChange is what becomes of the keys of a domain.
type keyChange struct {
	add     []newKey
	remove  keyPurposes
	replace bool // new keys take the place of old ones
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
