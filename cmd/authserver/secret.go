package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"authbridge/authserver/token"
	"authbridge/internal/command"
	"authbridge/internal/seal"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func secretCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "secret",
		Usage: "the secret that seals the private keys in the database",
		Description: "SECRET_KEY is in the environment or in a file, never on the command line, where\n" +
			"others can see it.",
		Subcommands: []*cli.Command{
			secretGenerateCommand(),
			secretDeriveCommand(),
			secretCheckCommand(db),
			secretResealCommand(db),
		},
	}
}

// secretKey is where SECRET_KEY is: in a file, on stdin, or in the environment.
type secretKey struct{ file string }

func (s *secretKey) flag() cli.Flag {
	return &cli.StringFlag{
		Name: "secret-key-file", EnvVars: []string{"SECRET_KEY_FILE"}, Destination: &s.file,
		Usage: "read SECRET_KEY from `FILE`, or one line of stdin if that is \"-\" (default: $SECRET_KEY)",
	}
}

// master reads SECRET_KEY. If there is none, or it is too short, the exit code
// is that of a wrong command line.
func (s *secretKey) master(c *cli.Context) (seal.Master, error) {
	if s.file != "" {
		return readMaster(c, s.file)
	}
	text := os.Getenv("SECRET_KEY")
	if text == "" {
		return seal.Master{}, command.Exit(command.Usage, errors.New("SECRET_KEY is not set: put it into the environment or a file (--secret-key-file), \"authserver secret generate\" makes one"))
	}
	master, err := seal.NewMaster(text)
	if err != nil {
		return seal.Master{}, command.Exit(command.Usage, err)
	}
	return master, nil
}

// readMaster reads a SECRET_KEY from a file, or one line of stdin for "-".
func readMaster(c *cli.Context, file string) (seal.Master, error) {
	name := file
	var text string
	var err error
	if file == "-" {
		name = "stdin"
		text, err = interruptible(c.Context, func() (string, error) { return readLine(c.App.Reader) })
		if err == io.EOF {
			err = command.Exit(command.Usage, errors.New("it is empty"))
		}
	} else {
		var content []byte
		content, err = os.ReadFile(file)
		text = string(content)
	}
	if err != nil {
		return seal.Master{}, fmt.Errorf("SECRET_KEY from %s: %w", name, err)
	}
	master, err := seal.NewMaster(text)
	if err != nil {
		return seal.Master{}, command.Exit(command.Usage, fmt.Errorf("%s: %w", name, err))
	}
	return master, nil
}

func secretGenerateCommand() *cli.Command {
	return &cli.Command{
		Name:  "generate",
		Usage: "print a new SECRET_KEY",
		Action: func(c *cli.Context) error {
			random := make([]byte, 48)
			rand.Read(random) // never fails
			_, err := fmt.Fprintln(c.App.Writer, base64.StdEncoding.EncodeToString(random))
			return err
		},
	}
}

func secretDeriveCommand() *cli.Command {
	var secret secretKey
	return &cli.Command{
		Name:        "derive",
		Usage:       "print the sealing key for one purpose, for a daemon that is not to have SECRET_KEY",
		Description: "The purposes: dkim, jwt, totp, refresh.",
		ArgsUsage:   "PURPOSE",
		Flags:       []cli.Flag{secret.flag()},
		Action: func(c *cli.Context) error {
			purpose, err := seal.ParsePurpose(c.Args().First())
			if err != nil {
				return command.Usagef("%v", err)
			}
			master, err := secret.master(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.App.Writer, master.Derive(purpose).Export())
			return err
		},
	}
}

func secretCheckCommand(db *database) *cli.Command {
	var secret secretKey
	var out format
	return &cli.Command{
		Name:        "check",
		Usage:       "tell whether SECRET_KEY opens all sealed keys",
		Description: "Prints the keys that it does not open, and why; exits 1 if there are any.",
		Flags:       []cli.Flag{secret.flag(), out.flag()},
		Action: func(c *cli.Context) error {
			master, err := secret.master(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				keys, err := sealedKeys(ctx, conn)
				if err != nil {
					return err
				}
				var closed []closedKey
				for _, k := range keys {
					if err := k.check(master); err != nil {
						closed = append(closed, closedKey{k.Domain, k.Registry, k.Purpose, k.name(), err.Error()})
					}
				}
				if len(closed) > 0 || out.name != "table" {
					if err := printList(c.App.Writer, out, closed, nil); err != nil {
						return err
					}
				}
				if len(closed) > 0 {
					return fmt.Errorf("%d of %s cannot be opened", len(closed), plural(len(keys), "sealed key", "sealed keys"))
				}
				say(c, "%s, all open", plural(len(keys), "sealed key", "sealed keys"))
				return nil
			})
		},
	}
}

// closedKey is a key that does not open, as the list shows it.
type closedKey struct {
	Domain   *string `json:"domain"`
	Registry *string `json:"registry"`
	Purpose  string  `json:"purpose"`
	Key      string  `json:"key"`
	Error    string  `json:"error"`
}

func secretResealCommand(db *database) *cli.Command {
	var secret secretKey
	var file string
	var dryRun bool
	return &cli.Command{
		Name:  "reseal",
		Usage: "seal all keys anew under another SECRET_KEY",
		Description: "SECRET_KEY is the old one. Keys that are under the new one already stay as they\n" +
			"are; either all the others are resealed or none. Then give the new SECRET_KEY,\n" +
			"or what derives from it, to every program that opens keys.",
		Flags: []cli.Flag{
			secret.flag(),
			&cli.StringFlag{
				Name: "new-secret-key-file", Destination: &file, Required: true,
				Usage: "read the new SECRET_KEY from `FILE`, or one line of stdin if that is \"-\"",
			},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			old, err := secret.master(c)
			if err != nil {
				return err
			}
			fresh, err := readMaster(c, file)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				resealed, total, err := reseal(ctx, conn, old, fresh, dryRun)
				if err != nil {
					return err
				}
				would := ""
				if dryRun {
					would = "dry run: would be "
				}
				say(c, "%sresealed: %d, under the new SECRET_KEY already: %d", would, resealed, total-resealed)
				return nil
			})
		},
	}
}

// maxReseals is how often resealing begins again because keys have changed
// meanwhile.
const maxReseals = 10

// reseal puts all keys under another master key. It returns how many were not
// under it, and how many there are.
func reseal(ctx context.Context, conn *pgx.Conn, old, fresh seal.Master, dryRun bool) (resealed, total int, err error) {
	for range maxReseals {
		keys, err := sealedKeys(ctx, conn)
		if err != nil {
			return 0, 0, err
		}
		anew, resealed, err := sealAnew(keys, old, fresh)
		if err != nil {
			return 0, 0, err
		}
		if dryRun || resealed == 0 {
			return resealed, len(keys), nil
		}
		done, err := resealKeys(ctx, conn, anew)
		if err != nil {
			return 0, 0, err
		}
		if !done {
			continue
		}
		if keys, err = sealedKeys(ctx, conn); err != nil {
			return 0, 0, err
		}
		for _, k := range keys {
			if err := k.check(fresh); err != nil {
				return 0, 0, fmt.Errorf("resealed, but %s does not open with the new SECRET_KEY: %w", k.label(), err)
			}
		}
		return resealed, len(keys), nil
	}
	return 0, 0, errors.New("keys are being changed all the time; nothing was resealed, try again")
}

// sealAnew returns what the keys are under the master key fresh, in four
// columns, and how many of them that changes. Each one is opened before and
// after.
func sealAnew(keys []sealedKey, old, fresh seal.Master) (anew resealing, resealed int, err error) {
	for _, k := range keys {
		purpose := seal.Purpose(k.Purpose)
		row := k.owner().row(k.PublicKey)
		blob, changed, err := seal.Keyring{fresh.Derive(purpose), old.Derive(purpose)}.Reseal(k.SealedKey, row)
		if err != nil {
			return resealing{}, 0, fmt.Errorf("%s: %w", k.label(), err)
		}
		after := k
		after.SealedKey, after.SealedBy = blob, fresh.Derive(purpose).ID()
		if err := after.check(fresh); err != nil {
			return resealing{}, 0, fmt.Errorf("%s: %w", k.label(), err)
		}
		if changed || k.SealedBy != after.SealedBy {
			resealed++
		}
		anew.ids = append(anew.ids, k.ID)
		anew.was = append(anew.was, k.SealedKey)
		anew.sealed = append(anew.sealed, blob)
		anew.by = append(anew.by, after.SealedBy)
	}
	return anew, resealed, nil
}

// resealing is what api.reseal_keys takes: a column each, a key in each row.
type resealing struct {
	ids    []int64
	was    [][]byte
	sealed [][]byte
	by     []string
}

// resealKeys calls api.reseal_keys. It returns false if the keys in the
// database are not what they were.
func resealKeys(ctx context.Context, conn *pgx.Conn, anew resealing) (bool, error) {
	outcome, err := queryValue[string](ctx, conn, `select outcome from api.reseal_keys($1, $2, $3, $4)`,
		anew.ids, anew.was, anew.sealed, anew.by)
	if err != nil {
		return false, fmt.Errorf("reseal keys: %w", err)
	}
	switch outcome {
	case "ok":
		return true, nil
	case "changed":
		return false, nil
	}
	return false, fmt.Errorf("reseal keys: unknown outcome %q", outcome)
}

// sealedKey is a sealed key and what its seal is bound to.
type sealedKey struct {
	ID        int64
	Domain    *string // nil: it is a registry's
	Registry  *string // its client id; nil: it is a domain's
	Purpose   string
	Selector  *string
	KID       *string
	PublicKey []byte
	SealedKey []byte
	SealedBy  string
}

// sealedKeys calls api.sealed_keys.
func sealedKeys(ctx context.Context, conn *pgx.Conn) ([]sealedKey, error) {
	keys, err := queryRows[sealedKey](ctx, conn, `select * from api.sealed_keys()`)
	if err != nil {
		return nil, fmt.Errorf("sealed keys: %w", err)
	}
	return keys, nil
}

// name is the key's selector or kid.
func (k sealedKey) name() string {
	if k.Selector != nil {
		return *k.Selector
	}
	return *k.KID
}

// owner is whose key it is.
func (k sealedKey) owner() keyOwner {
	if k.Registry != nil {
		return keyOwner{noun: registryNoun, name: *k.Registry}
	}
	return keyOwner{noun: domainNoun, name: *k.Domain}
}

// label is what the key is called in messages.
func (k sealedKey) label() string {
	return strings.Join([]string{k.owner().name, k.Purpose, k.name()}, " ")
}

// check returns why a master key does not open the key, or nil.
func (k sealedKey) check(master seal.Master) error {
	sealing := master.Derive(seal.Purpose(k.Purpose))
	plain, err := sealing.Open(k.SealedKey, k.owner().row(k.PublicKey))
	if err != nil {
		return err
	}
	defer clear(plain)
	if k.SealedBy != sealing.ID() {
		return fmt.Errorf("sealed_by is %s, the key that opens it is %s", k.SealedBy, sealing.ID())
	}
	key, err := token.UnmarshalPrivate(plain)
	if err != nil {
		return err
	}
	public, err := token.MarshalPublic(key.Public())
	if err != nil {
		return err
	}
	if !bytes.Equal(public, k.PublicKey) {
		return errors.New("the private key is not that of the public key")
	}
	return nil
}
