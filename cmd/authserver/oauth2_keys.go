package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"authbridge/authserver/address"
	"authbridge/authserver/token"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func oauth2KeysCommand(db *database) *cli.Command {
	var dir string
	var clients selectors
	var dryRun bool
	return &cli.Command{
		Name:  "keys",
		Usage: "write the public keys that verify tokens to files",
		Description: "Dovecot, which verifies tokens by itself, finds a key at DIR/default/ALG/KID; for tokens\n" +
			"with the claim azp, as ID tokens have, at DIR/CLIENT_ID/ALG/KID. A job that runs this\n" +
			"from time to time brings new keys there, and removes those that are no more; what is\n" +
			"up to date is not touched, and nothing is ever half written. Files of other names stay.\n" +
			clientSelectors,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dovecot", Usage: "write them below `DIR`, which is made", Destination: &dir, Required: true},
			&cli.GenericFlag{Name: "client", Usage: "also for tokens whose azp is `CLIENT`; may be given several times", Value: &clients},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			if dir == "" {
				return command.Usagef("--dovecot is empty")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				names := []string{"default"}
				if len(clients) > 0 {
					found, err := findOAuth2Clients(ctx, conn, clients)
					if err != nil {
						return err
					}
					for _, client := range found {
						names = append(names, azpNames(client.ClientID)...)
					}
				}
				if i := slices.IndexFunc(names, func(name string) bool { return !filepath.IsLocal(name) || name == "." }); i >= 0 {
					return fmt.Errorf("client id %q cannot be the name of a directory", names[i])
				}
				keys, err := verifyingKeys(ctx, conn)
				if err != nil {
					return err
				}
				changes, err := keyFiles(dir, names, keys)
				if err != nil {
					return err
				}
				for _, change := range changes {
					if !dryRun {
						if err := change.make(); err != nil {
							return err
						}
					}
					say(c, "%s%s", map[bool]string{true: "dry run: would have ", false: ""}[dryRun], change)
				}
				if len(changes) == 0 {
					say(c, "Nothing to do: %s is up to date", dir)
				}
				return nil
			})
		},
	}
}

// azpNames returns what Dovecot calls the directory of a client: 2.3 escapes
// dots, later ones do not.
func azpNames(clientID string) []string {
	escaped := strings.NewReplacer("%", "%25", "/", "%2f").Replace(clientID)
	names := []string{escaped}
	if dotless := strings.ReplaceAll(escaped, ".", "%2e"); dotless != escaped {
		names = append(names, dotless)
	}
	return names
}

// verifyingKey is a public key that tokens are verified by.
type verifyingKey struct {
	kid  string
	algs []string // of RFC 7518 and RFC 8037
	pem  []byte   // SubjectPublicKeyInfo
}

// verifyingKeys returns the keys of all domains, also those that do not sign yet
// or any more.
func verifyingKeys(ctx context.Context, conn *pgx.Conn) ([]verifyingKey, error) {
	domains, err := findDomains(ctx, conn, domainFilter{})
	if err != nil {
		return nil, err
	}
	var all []verifyingKey
	for _, domain := range domains {
		keys, err := findKeys(ctx, conn, domainOwner(address.Domain(domain.Name), ""))
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if key.Purpose != string(token.JWT) {
				continue
			}
			all = append(all, verifyingKey{
				kid: *key.KID,
				algs: map[token.Algorithm][]string{
					token.RSA: {"RS256", "PS256"}, token.P256: {"ES256"}, token.Ed25519: {"EDDSA"}, // Dovecot writes it large
				}[token.Algorithm(key.Algorithm)],
				pem: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key.PublicKey}),
			})
		}
	}
	return all, nil
}

// staleKeyFile is a file of a key that is not as it should be.
type staleKeyFile struct {
	path string
	want []byte // nil: it should not be there
}

func (f staleKeyFile) String() string {
	if f.want == nil {
		return "removed " + f.path
	}
	return "written " + f.path
}

// kidForm is the form of our kids, which files of keys are called by: RFC 7638 with
// SHA-256.
var kidForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// keyFiles returns the files below dir that are not as these keys, in the
// directories of these names, would have them.
func keyFiles(dir string, names []string, keys []verifyingKey) ([]staleKeyFile, error) {
	var stale []staleKeyFile
	for _, name := range names {
		wanted := map[string][]byte{}
		for _, key := range keys {
			for _, alg := range key.algs {
				wanted[filepath.Join(dir, name, alg, key.kid)] = key.pem
			}
		}
		there, err := filepath.Glob(filepath.Join(escapeGlob(dir), escapeGlob(name), "[A-Z]*", "*"))
		if err != nil {
			return nil, err
		}
		for _, path := range there {
			if kidForm.MatchString(filepath.Base(path)) && wanted[path] == nil {
				stale = append(stale, staleKeyFile{path: path})
			}
		}
		for path, want := range wanted {
			content, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if !bytes.Equal(content, want) {
				stale = append(stale, staleKeyFile{path, want})
			}
		}
	}
	slices.SortFunc(stale, func(a, b staleKeyFile) int { return strings.Compare(a.path, b.path) })
	return stale, nil
}

// escapeGlob returns a name as a pattern that it alone matches.
func escapeGlob(name string) string {
	return regexp.MustCompile(`[*?\[\\]`).ReplaceAllString(name, `\$0`)
}

// make makes the file what it should be, or removes it. Whoever reads it
// meanwhile sees it whole, as it was or as it is.
func (f staleKeyFile) make() error {
	if f.want == nil {
		return os.Remove(f.path)
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(f.want)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
