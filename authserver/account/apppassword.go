package account

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// An AppPassword is a generated password for one device or program:
//
//	apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj
//	| |      |                            |
//	| id     secret                       check
//	"ap"
//
// Its canonical text is 36 characters of Crockford's base32 in lower case: the
// prefix, 6 of the id, 26 of the secret (130 bits) and 2 of a checksum over
// both. It is printed in groups, so that the first group is the part that may
// be shown later. Lower case only, because some servers fold passwords as they
// look them up; no letter that is read as a digit; no character that a
// password protocol uses. The prefix has a letter that is no hexadecimal digit:
// a secret scanner that searches for it finds no digests and UUIDs.
//
// An AppPassword hides itself from fmt, log/slog and encoding/json. Text is the
// only way to see it.
type AppPassword struct{ canonical string }

const (
	appPrefix = "ap"

	appIDLen     = 6
	appSecretLen = 26
	appCheckLen  = 2
	appTextLen   = len(appPrefix) + appIDLen + appSecretLen + appCheckLen

	appFirstGroup = len(appPrefix) + appIDLen
	appGroup      = 7
)

// crockford is the alphabet of Crockford's base32, in lower case.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

var (
	// ErrNotAppPassword means a text that has not the form of an app password.
	ErrNotAppPassword = errors.New("not an app password")

	// ErrMistyped means a text that has the form of an app password, but not
	// its checksum. Nobody guesses that way, so it need not count as a failure.
	ErrMistyped = errors.New("app password with a typing error")
)

// NewAppPassword makes an app password. Its id is one of 2^30: a caller that
// finds it taken makes another.
func NewAppPassword() AppPassword {
	random := make([]byte, appIDLen+appSecretLen)
	rand.Read(random) // never fails
	for i, b := range random {
		random[i] = crockford[b%32]
	}
	return AppPassword{appPrefix + string(random) + appCheck(string(random))}
}

// ParseAppPassword reads an app password as somebody typed or pasted it: with
// or without hyphens and blanks, in either case, with i or l for 1 and o for 0.
// The error is ErrNotAppPassword or ErrMistyped.
func ParseAppPassword(s string) (AppPassword, error) {
	if len(s) > maxHash {
		return AppPassword{}, ErrNotAppPassword
	}
	text := canonical(s)
	if len(text) != appTextLen || !strings.HasPrefix(text, appPrefix) {
		return AppPassword{}, ErrNotAppPassword
	}
	for _, c := range []byte(text) {
		if strings.IndexByte(crockford, c) < 0 {
			return AppPassword{}, ErrNotAppPassword
		}
	}
	payload, check := text[len(appPrefix):appTextLen-appCheckLen], text[appTextLen-appCheckLen:]
	if appCheck(payload) != check {
		return AppPassword{}, ErrMistyped
	}
	return AppPassword{text}, nil
}

// canonical is the same as the SQL function authserver_verify has it:
//
//	translate(lower(password collate "C"), 'ilo- ', '110')
func canonical(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		switch r {
		case 'i', 'l':
			return '1'
		case 'o':
			return '0'
		case '-', ' ':
			return -1
		}
		return r
	}, s)
}

// appCheck returns the CRC-10 (generator x^10+x^9+x^5+x^4+x+1) of payload as
// two characters. A CRC finds every error within as many neighbouring bits as
// it has itself: any wrong character, and any two that were swapped or are
// wrong side by side.
func appCheck(payload string) string {
	const generator = 0x233
	crc := uint(0x3ff)
	for _, c := range []byte(payload) {
		crc ^= uint(strings.IndexByte(crockford, c)) << 5
		for range 5 {
			crc <<= 1
			if crc&0x400 != 0 {
				crc ^= 0x400 | generator
			}
		}
	}
	return string([]byte{crockford[crc>>5], crockford[crc&31]})
}

// ID returns the 6 characters that find the app password. They are no secret.
func (a AppPassword) ID() string {
	return a.canonical[len(appPrefix):appFirstGroup]
}

// Text returns the app password as it is printed, once, for its owner.
func (a AppPassword) Text() string {
	text := a.canonical[:appFirstGroup]
	for i := appFirstGroup; i < appTextLen; i += appGroup {
		text += "-" + a.canonical[i:i+appGroup]
	}
	return text
}

// SHA256 returns the hash by which this server and the SQL function
// authserver_verify know the app password: that of the canonical text, without
// hyphens. 130 random bits need no slower hash.
func (a AppPassword) SHA256() [sha256.Size]byte {
	return sha256.Sum256([]byte(a.canonical))
}

// Crypt returns the hash for servers that ask crypt(3): $6$rounds=1000$, a
// fraction of a millisecond. It is that of the text as printed, with hyphens,
// because crypt(3) sees what the user entered, and that is pasted.
func (a AppPassword) Crypt() (string, error) {
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithRounds(1000))
	if err != nil {
		return "", fmt.Errorf("hash app password: %w", err)
	}
	digest, err := hasher.Hash(a.Text())
	if err != nil {
		return "", fmt.Errorf("hash app password: %w", err)
	}
	return digest.Encode(), nil
}

// String names the app password without its secret.
func (a AppPassword) String() string {
	if a.canonical == "" {
		return "[no app password]"
	}
	return "[app password " + a.ID() + "]"
}

// Format implements fmt.Formatter: it hides the secret from every verb.
func (a AppPassword) Format(f fmt.State, _ rune) { io.WriteString(f, a.String()) }

// LogValue implements slog.LogValuer.
func (a AppPassword) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText implements encoding.TextMarshaler.
func (a AppPassword) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
