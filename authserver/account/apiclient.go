package account

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

// An APIClientSecret is what an API client, a machine that may ask on behalf of
// others, proves itself with:
//
//	ac_kdmfryeyl3gh6ycbrkxqzrnllb7ufqsxbkeebfnj5dgkzuhwkroa
//
// That is "ac_", for secret scanners and for people who find one, and 256
// random bits in base32 (RFC 4648) in lower case. It is sent as it stands, as a
// bearer token (RFC 6750): its characters need no escaping in a header, a URL
// or a shell. Programs copy it, nobody types it, so there is one spelling and
// no checksum.
//
// An APIClientSecret hides itself from fmt, log/slog and encoding/json. Text is
// the only way to see it.
type APIClientSecret struct{ text string }

const (
	apiClientPrefix   = "ac_"
	apiClientBytes    = 32
	apiClientAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

var apiClientEncoding = base32.NewEncoding(apiClientAlphabet).WithPadding(base32.NoPadding)

// ErrNotAPIClientSecret means a text that has not the form of an API client's
// secret.
var ErrNotAPIClientSecret = errors.New("not the secret of an API client")

// NewAPIClientSecret makes a secret that there was never before.
func NewAPIClientSecret() APIClientSecret {
	random := make([]byte, apiClientBytes)
	rand.Read(random) // never fails
	return APIClientSecret{apiClientPrefix + apiClientEncoding.EncodeToString(random)}
}

// ParseAPIClientSecret reads a secret as it was sent, with nothing around it.
// The error is ErrNotAPIClientSecret, and does not repeat the text.
func ParseAPIClientSecret(s string) (APIClientSecret, error) {
	encoded, ok := strings.CutPrefix(s, apiClientPrefix)
	if !ok || len(encoded) != apiClientEncoding.EncodedLen(apiClientBytes) {
		return APIClientSecret{}, ErrNotAPIClientSecret
	}
	decoded, err := apiClientEncoding.DecodeString(encoded)
	// The decoder skips line breaks, and ignores what the last character has
	// beyond the 256th bit.
	if err != nil || apiClientEncoding.EncodeToString(decoded) != encoded {
		return APIClientSecret{}, ErrNotAPIClientSecret
	}
	return APIClientSecret{s}, nil
}

// Text returns the secret as it is printed, once, and sent.
func (s APIClientSecret) Text() string { return s.text }

// SHA256 returns the hash of the text, by which the database knows the secret.
func (s APIClientSecret) SHA256() [sha256.Size]byte { return sha256.Sum256([]byte(s.text)) }

// String says that there is a secret, or none.
func (s APIClientSecret) String() string {
	if s.text == "" {
		return "[no API client secret]"
	}
	return "[API client secret]"
}

// Format implements fmt.Formatter: it hides the secret from every verb.
func (s APIClientSecret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s APIClientSecret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s APIClientSecret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
