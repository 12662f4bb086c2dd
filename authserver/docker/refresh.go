package docker

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

// A RefreshToken is what a client keeps instead of a password:
//
//	rt_kdmfryeyl3gh6ycbrkxqzrnllb7ufqsxbkeebfnj5dgkzuhwkroa
//
// That is "rt_", for secret scanners and for people who find one, and 256
// random bits in base32 (RFC 4648) in lower case. It says nothing, least of all
// to a registry: what it is good for, the database knows.
//
// A RefreshToken hides itself from fmt, log/slog and encoding/json. Text is the
// only way to see it.
type RefreshToken struct{ text string }

const (
	refreshPrefix = "rt_"
	refreshBytes  = 32
)

var refreshEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// errNotRefreshToken means a text that has not the form of a refresh token.
var errNotRefreshToken = errors.New("not a refresh token")

// newRefreshToken makes a token that there was never before.
func newRefreshToken() RefreshToken {
	random := make([]byte, refreshBytes)
	rand.Read(random) // never fails
	return RefreshToken{refreshPrefix + refreshEncoding.EncodeToString(random)}
}

// parseRefreshToken reads a token as it was sent. The error is
// errNotRefreshToken, and does not repeat the text.
func parseRefreshToken(s string) (RefreshToken, error) {
	encoded, ok := strings.CutPrefix(s, refreshPrefix)
	if !ok || len(encoded) != refreshEncoding.EncodedLen(refreshBytes) {
		return RefreshToken{}, errNotRefreshToken
	}
	decoded, err := refreshEncoding.DecodeString(encoded)
	// The decoder skips line breaks, and ignores what the last character has
	// beyond the 256th bit.
	if err != nil || refreshEncoding.EncodeToString(decoded) != encoded {
		return RefreshToken{}, errNotRefreshToken
	}
	return RefreshToken{s}, nil
}

// Text returns the token as it is sent.
func (t RefreshToken) Text() string { return t.text }

// SHA256 returns the hash of the text, by which the database knows the token.
func (t RefreshToken) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(t.text)) }

// String says that there is a token, or none.
func (t RefreshToken) String() string {
	if t.text == "" {
		return "[no refresh token]"
	}
	return "[refresh token]"
}

// Format implements fmt.Formatter: it hides the token from every verb.
func (t RefreshToken) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// LogValue implements slog.LogValuer.
func (t RefreshToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler.
func (t RefreshToken) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
