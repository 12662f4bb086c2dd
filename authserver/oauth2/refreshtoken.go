package oauth2

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
)

// A refreshToken is one of a family: of the tokens that come out of one grant,
// each with its number. As a text it is
//
//	or_ and the base32 of family (16 bytes), generation (4) and secret (32)
//
// in the alphabet of package opaque. Each secret makes the next one, with a key
// of ours: a client whose answer was lost sends the same token again and gets
// the same successor, and the database has to keep no more than hashes.
//
// It hides itself from fmt, log/slog and encoding/json.
type refreshToken struct {
	family     [16]byte // a UUID, by which the database finds it
	generation uint32
	secret     [32]byte
}

const (
	refreshTokenPrefix = "or_"
	refreshTokenSize   = 16 + 4 + 32
)

var refreshTokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

var errRefreshToken = errors.New("not a refresh token")

// newRefreshToken returns the first of a new family.
func newRefreshToken() refreshToken {
	var t refreshToken
	rand.Read(t.family[:]) // never fails
	rand.Read(t.secret[:])
	t.family[6] = t.family[6]&0x0f | 0x40 // a random UUID: RFC 9562 section 5.4
	t.family[8] = t.family[8]&0x3f | 0x80
	return t
}

// parseRefreshToken reads a token as it was sent. There is one spelling of each.
// The error is errRefreshToken, and does not repeat the text.
func parseRefreshToken(text string) (refreshToken, error) {
	encoded, ok := strings.CutPrefix(text, refreshTokenPrefix)
	if !ok || len(encoded) != refreshTokenEncoding.EncodedLen(refreshTokenSize) {
		return refreshToken{}, errRefreshToken
	}
	b, err := refreshTokenEncoding.DecodeString(encoded)
	if err != nil || len(b) != refreshTokenSize {
		return refreshToken{}, errRefreshToken
	}
	var t refreshToken
	copy(t.family[:], b)
	t.generation = binary.BigEndian.Uint32(b[16:])
	copy(t.secret[:], b[20:])
	// The decoder skips line breaks, and ignores what the last character has
	// beyond the last bit. The database counts as far as an int.
	if t.text() != text || t.generation >= math.MaxInt32 {
		return refreshToken{}, errRefreshToken
	}
	return t, nil
}

// text returns the token as it is sent.
func (t refreshToken) text() string {
	b := make([]byte, 0, refreshTokenSize)
	b = append(b, t.family[:]...)
	b = binary.BigEndian.AppendUint32(b, t.generation)
	b = append(b, t.secret[:]...)
	return refreshTokenPrefix + refreshTokenEncoding.EncodeToString(b)
}

// hash returns by what the database knows the secret. 256 random bits need no
// slower one.
func (t refreshToken) hash() []byte {
	hash := sha256.Sum256(t.secret[:])
	return hash[:]
}

// next returns the successor of a token.
func (t refreshToken) next(key [32]byte) refreshToken {
	n := refreshToken{family: t.family, generation: t.generation + 1}
	h := hmac.New(sha256.New, key[:])
	h.Write(n.family[:])
	h.Write(binary.BigEndian.AppendUint32(nil, n.generation))
	h.Write(t.secret[:])
	h.Sum(n.secret[:0])
	return n
}

// String says that there is one.
func (refreshToken) String() string { return "[refresh token]" }

// Format implements fmt.Formatter: it hides the token from every verb.
func (t refreshToken) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// LogValue implements slog.LogValuer.
func (t refreshToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler.
func (t refreshToken) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
