package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"authbridge/authserver/token"
	"authbridge/internal/command"
	"authbridge/internal/seal"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// keyOwner is who has keys: a domain or a registry.
type keyOwner struct {
	noun     string // domainNoun, registryNoun: what the functions of sql/api/key.sql call it
	name     string // the domain, or the registry's client id
	selector string // what a domain's DKIM keys are named after
}

const (
	domainNoun   = "domain"
	registryNoun = "docker_registry"
)

// String is what the owner is called in messages.
func (o keyOwner) String() string {
	if o.noun == registryNoun {
		return "registry " + o.name
	}
	return "domain " + o.name
}

// row names the row of a key of this owner, as token.Row has it.
func (o keyOwner) row(publicKey []byte) string {
	if o.noun == registryNoun {
		return token.Row(token.RegistryOwner(o.name), publicKey)
	}
	return token.Row(o.name, publicKey)
}

// keyNoun is a noun of the command line whose things have keys.
type keyNoun struct {
	argument string // what ArgsUsage calls one of them
	name     string // what a KEY is called by
	dkim     bool   // it has keys of both purposes, so --key says which

	// owner reads the first argument. What it returns finds the owner in the
	// database.
	owner func(c *cli.Context) (ownerFinder, error)
}

type ownerFinder func(ctx context.Context, conn *pgx.Conn) (keyOwner, error)

// arguments is the usage of the commands that are about one key.
func (n keyNoun) arguments() string { return n.argument + " " + n.name }

// use runs f with a connection and the owner that the first argument means.
func (n keyNoun) use(c *cli.Context, db *database, f func(ctx context.Context, conn *pgx.Conn, owner keyOwner) error) error {
	find, err := n.owner(c)
	if err != nil {
		return err
	}
	return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
		owner, err := find(ctx, conn)
		if err != nil {
			return err
		}
		return f(ctx, conn, owner)
	})
}

// afterDashes is what the help of commands about one key says about one kid in
// 64.
const afterDashes = "A KID that begins with a dash comes after \"--\"."

func keysCommand(db *database, noun keyNoun, usage string) *cli.Command {
	var out format
	return &cli.Command{
		Name:  "keys",
		Usage: usage,
		Description: "state: published (known to others, not used yet), active (signs), retired (only\n" +
			"verifies what it has signed).",
		ArgsUsage: noun.argument,
		Flags:     []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return noun.use(c, db, func(ctx context.Context, conn *pgx.Conn, owner keyOwner) error {
				keys, err := findKeys(ctx, conn, owner)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, listKeys(keys), nil)
			})
		},
	}
}

func publishKeyCommand(db *database, noun keyNoun, description string) *cli.Command {
	want := keyPurpose(token.JWT)
	var keys keyFlags
	var named *dkimSelector
	var secret secretKey
	flags := []cli.Flag{keys.jwtAlgorithmFlag(), secret.flag()}
	if noun.dkim {
		flags = append([]cli.Flag{keys.algorithmFlag(), secret.flag()},
			&cli.GenericFlag{Name: "key", Usage: "it is for `jwt|dkim`", Value: &want, Required: true},
			&cli.GenericFlag{
				Name: "selector", Value: &optional[dkimSelector, *dkimSelector]{&named},
				Usage: "name DKIM keys `SELECTOR`, and SELECTOR-ed25519 (default: what the domain names its keys)",
			})
	}
	return &cli.Command{
		Name:        "publish-key",
		Usage:       "make a key that others can learn before it signs",
		Description: description,
		ArgsUsage:   noun.argument,
		Flags:       flags,
		Action: func(c *cli.Context) error {
			if named != nil && want != keyPurpose(token.DKIM) {
				return command.Usagef("only a DKIM key has a selector")
			}
			keys.create = keyPurposes{token.Purpose(want)}
			return noun.use(c, db, func(ctx context.Context, conn *pgx.Conn, owner keyOwner) error {
				if named != nil {
					owner.selector = string(*named)
				}
				fresh, err := keys.generate(c, &secret, owner)
				if err != nil {
					return err
				}
				if err := publishKeys(ctx, conn, owner, fresh); err != nil {
					return err
				}
				for _, key := range fresh {
					say(c, "Key %s published for %s", key.name(), owner.name)
				}
				return nil
			})
		},
	}
}

func activateKeyCommand(db *database, noun keyNoun) *cli.Command {
	return &cli.Command{
		Name:  "activate-key",
		Usage: "let a key sign; the one of its kind that did is retired",
		Description: "The key is a published one or, to undo a step, a retired one. Servers that run\n" +
			"use it at once. " + afterDashes,
		ArgsUsage: noun.arguments(),
		Action: func(c *cli.Context) error {
			return noun.use(c, db, func(ctx context.Context, conn *pgx.Conn, owner keyOwner) error {
				change, err := activateKey(ctx, conn, owner, c.Args().Get(1))
				if err != nil {
					return err
				}
				say(c, "Key %s signs for %s", change.Key, owner.name)
				if strings.HasPrefix(change.Key, string(token.JWT)+" ") && !strings.Contains(change.Key, "("+string(token.RSA)+",") {
					say(c, "note: while an RSA key signs, too, tokens are signed with that: retire it when all verifiers know this one")
				}
				if change.Other != "" {
					say(c, "Key %s only verifies", change.Other)
				}
				return nil
			})
		},
	}
}

func retireKeyCommand(db *database, noun keyNoun) *cli.Command {
	return &cli.Command{
		Name:        "retire-key",
		Usage:       "let a key sign no more; what it has signed can still be verified",
		Description: "To put another in its place, activate that instead: it takes one step. " + afterDashes,
		ArgsUsage:   noun.arguments(),
		Action: func(c *cli.Context) error {
			return noun.use(c, db, func(ctx context.Context, conn *pgx.Conn, owner keyOwner) error {
				change, err := retireKey(ctx, conn, owner, c.Args().Get(1))
				if err != nil {
					return err
				}
				say(c, "Key %s of %s only verifies", change.Key, owner.name)
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

// removeKeyCommand returns remove-key. row is how the question shows a key.
func removeKeyCommand[T any](db *database, noun keyNoun, description string, row func(owner, key string) T) *cli.Command {
	var g consent
	return &cli.Command{
		Name:        "remove-key",
		Usage:       "remove a key that does not sign, for good",
		Description: description + " " + afterDashes,
		ArgsUsage:   noun.arguments(),
		Flags:       g.flags(),
		Action: func(c *cli.Context) error {
			return noun.use(c, db, func(ctx context.Context, conn *pgx.Conn, owner keyOwner) error {
				var key string
				removed, err := askToRemove(c, g, "this key for good", func(dryRun bool) (rows []T, err error) {
					if key, err = removeKey(ctx, conn, owner, c.Args().Get(1), dryRun); err != nil {
						return nil, err
					}
					return []T{row(owner.name, key)}, nil
				})
				if len(removed) > 0 {
					say(c, "Key %s of %s removed", key, owner.name)
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

func listKeys(keys []ownedKey) []listedKey {
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

// jwtAlgorithmFlag is algorithmFlag for who has keys for jwt only.
func (f *keyFlags) jwtAlgorithmFlag() cli.Flag {
	return &cli.GenericFlag{
		Name: "algorithm", Aliases: []string{"key-algorithm"}, Value: &f.algorithm,
		Usage: "the `ALGORITHM` of the key: rsa, ecdsa-p256, ed25519 (default: rsa)",
	}
}

// generate makes the keys, sealed for their owner. It asks for SECRET_KEY only
// if there are any.
func (f *keyFlags) generate(c *cli.Context, secret *secretKey, owner keyOwner) ([]newKey, error) {
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
			sealed, err := sealKey(master, owner, p, key)
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

// sealKey seals a private key for its row.
func sealKey(master seal.Master, owner keyOwner, p token.Purpose, key crypto.Signer) (newKey, error) {
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
		made.Selector = owner.selector + ed25519Suffix
	default:
		made.Selector = owner.selector
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
	made.SealedKey, made.SealedBy = sealing.Seal(plain, owner.row(made.PublicKey)), sealing.ID()
	return made, nil
}

// ownedKey is a key as the database has it, without the private half.
type ownedKey struct {
	listedKey
	PublicKey []byte
}

// findKeys calls api.find_keys. An owner that is not there has none.
func findKeys(ctx context.Context, conn *pgx.Conn, owner keyOwner) ([]ownedKey, error) {
	keys, err := queryRows[ownedKey](ctx, conn,
		`select purpose, algorithm, state, selector, kid, public_key, created_at, activated_at, retired_at from api.find_keys($1, $2)`,
		owner.noun, owner.name)
	if err != nil {
		return nil, fmt.Errorf("find keys: %w", err)
	}
	return keys, nil
}

// publishKeys calls api.publish_keys.
func publishKeys(ctx context.Context, conn *pgx.Conn, owner keyOwner, keys []newKey) error {
	result, err := queryRow[refusal](ctx, conn,
		`select outcome, coalesce(detail, '') as detail from api.publish_keys($1, $2, $3)`, owner.noun, owner.name, keys)
	if err != nil {
		return fmt.Errorf("publish keys: %w", err)
	}
	if result.Outcome == "key_exists" {
		return fmt.Errorf("%s already has the key %s; --selector names the new one", owner, result.Detail)
	}
	return refusedKey(owner, "", result.Outcome, "publish keys")
}

// keyChanged is a key in its state after a change, and another that matters
// then, or "".
type keyChanged struct{ Outcome, Key, Other string }

// activateKey calls api.activate_key. Other is the key that is retired by it.
func activateKey(ctx context.Context, conn *pgx.Conn, owner keyOwner, name string) (keyChanged, error) {
	change, err := queryRow[keyChanged](ctx, conn,
		`select outcome, coalesce(key, '') as key, coalesce(retired, '') as other from api.activate_key($1, $2, $3)`,
		owner.noun, owner.name, name)
	if err != nil {
		return keyChanged{}, fmt.Errorf("activate key: %w", err)
	}
	return change, refusedKey(owner, name, change.Outcome, "activate key")
}

// retireKey calls api.retire_key. Other is the key that signs instead.
func retireKey(ctx context.Context, conn *pgx.Conn, owner keyOwner, name string) (keyChanged, error) {
	change, err := queryRow[keyChanged](ctx, conn,
		`select outcome, coalesce(key, '') as key, coalesce(active, '') as other from api.retire_key($1, $2, $3)`,
		owner.noun, owner.name, name)
	if err != nil {
		return keyChanged{}, fmt.Errorf("retire key: %w", err)
	}
	if change.Outcome == "published" {
		return keyChanged{}, fmt.Errorf("the key %s has never signed: activate or remove it", change.Key)
	}
	return change, refusedKey(owner, name, change.Outcome, "retire key")
}

// removeKey calls api.remove_key, and returns what the key is called.
func removeKey(ctx context.Context, conn *pgx.Conn, owner keyOwner, name string, dryRun bool) (string, error) {
	result, err := queryRow[struct{ Outcome, Key string }](ctx, conn,
		`select outcome, coalesce(key, '') as key from api.remove_key($1, $2, $3, $4)`, owner.noun, owner.name, name, dryRun)
	if err != nil {
		return "", fmt.Errorf("remove key: %w", err)
	}
	if result.Outcome == "active" {
		return "", fmt.Errorf("the key %s signs for %s: activate another of its kind or retire it first", result.Key, owner.name)
	}
	return result.Key, refusedKey(owner, name, result.Outcome, "remove key")
}

// refusedKey returns an outcome that all functions about keys have as an error,
// or nil if it is ok.
func refusedKey(owner keyOwner, name, outcome, doing string) error {
	switch outcome {
	case "ok":
		return nil
	case "unknown":
		return fmt.Errorf("there is no %s", owner)
	case "no_key":
		return fmt.Errorf("%s has no key %q", owner, name)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

var errNoKey = errors.New("no key")
