// Package opaque is secrets that say nothing: random texts by which a program
// proves itself, and of which the database keeps no more than a hash. An API
// client has one, and so has a Docker client that has logged in.
package opaque

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// A Kind is what secrets are for. It is a constant of the program that makes
// them: what was handed out outlives every release.
type Kind struct {
	Prefix string // what the text begins with, for secret scanners and for people who find one
	Name   string // what it is called where it does not show itself
}

// A Secret is 256 random bits:
//
//	ac_kdmfryeyl3gh6ycbrkxqzrnllb7ufqsxbkeebfnj5dgkzuhwkroa
//
// That is the prefix of its kind, and the bits in base32 (RFC 4648) in lower
// case: characters that need no escaping in a header, a URL, a form or a shell.
// Programs copy it, nobody types it, so there is one spelling and no checksum.
//
// A Secret hides itself from fmt, log/slog and encoding/json. Text is the only
// way to see it. Secrets are compared by their hashes.
type Secret struct{ name, text string }

const size = 32 // bytes

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ErrForm means a text that has not the form of a secret of the kind.
var ErrForm = errors.New("it has not the form of this secret")

// New makes a secret that there was never before.
func (k Kind) New() Secret {
	random := make([]byte, size)
	rand.Read(random) // never fails
	return Secret{k.Name, k.Prefix + encoding.EncodeToString(random)}
}

// Parse reads a secret as it was sent, with nothing around it. The error is
// ErrForm, and does not repeat the text.
func (k Kind) Parse(s string) (Secret, error) {
	encoded, ok := strings.CutPrefix(s, k.Prefix)
	if !ok || len(encoded) != encoding.EncodedLen(size) {
		return Secret{}, ErrForm
	}
	decoded, err := encoding.DecodeString(encoded)
	// The decoder skips line breaks, and ignores what the last character has
	// beyond the 256th bit.
	if err != nil || encoding.EncodeToString(decoded) != encoded {
		return Secret{}, ErrForm
	}
	return Secret{k.Name, s}, nil
}

// Text returns the secret as it is sent.
func (s Secret) Text() string { return s.text }

// SHA256 returns the hash of the text, by which the database knows the secret.
// 256 random bits need no slower one.
func (s Secret) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(s.text)) }

// String says that there is a secret, or none.
func (s Secret) String() string {
	if s.text == "" {
		return "[no secret]"
	}
	return "[" + s.name + "]"
}

// Format implements fmt.Formatter: it hides the secret from every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
