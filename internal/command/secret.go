package command

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is a flag value that never shows in --help, in an error or in a
// log. string(s) is the secret itself. Package fmt looks into unexported fields
// without asking them, so a struct that may be printed must not hide one there.
type Secret string

const hidden = "[secret]"

// String hides the secret. It is empty if there is none, so that --help shows
// no default.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Set implements flag.Value.
func (s *Secret) Set(v string) error {
	*s = Secret(v)
	return nil
}

// Format implements fmt.Formatter: it hides the secret from every verb,
// including those that are wrong for a string.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
