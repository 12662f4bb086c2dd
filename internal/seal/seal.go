// Package seal keeps secrets in the database unreadable without a key that is
// not there: private signing keys, TOTP seeds, and the key of the refresh
// tokens.
//
//	SECRET_KEY ── Master ── Derive(purpose) ── Key ── Seal, Open
//	                                 "dkim:…" ── ParseKey ┘
//
// Each purpose has a key of its own (HKDF-SHA256, RFC 5869), so that a daemon
// is given no more than it needs: the mail signer runs with the key that
// Master.Derive(DKIM).Export() prints and opens nothing else.
//
// What is sealed (AES-256-GCM) opens only with the key of its purpose and for
// the row that it was sealed for: a blob that somebody copies to another row,
// or to another table, is damaged. The blob begins with the id of its key, so
// that a wrong key is told from a damaged blob, and a Keyring finds the key
// while old rows are sealed again under a new one.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

var (
	// ErrWrongKey means a blob that was sealed with another key. The error's
	// text has the ids of both.
	ErrWrongKey = errors.New("sealed with another key")

	// ErrDamaged means a blob that is not what Seal made, or not for this row.
	ErrDamaged = errors.New("sealed data is damaged or belongs to another row")
)

// A Purpose is what a key is for. Each has a key of its own.
type Purpose string

const (
	DKIM    Purpose = "dkim"    // private keys that sign mail
	JWT     Purpose = "jwt"     // private keys that sign tokens
	TOTP    Purpose = "totp"    // seeds of one-time passwords
	Refresh Purpose = "refresh" // the key that refresh tokens are computed with
)

// ParsePurpose returns the purpose of that name.
func ParsePurpose(s string) (Purpose, error) {
	switch p := Purpose(s); p {
	case DKIM, JWT, TOTP, Refresh:
		return p, nil
	}
	return "", fmt.Errorf("%q is not the purpose of a sealing key, want %s, %s, %s or %s", s, DKIM, JWT, TOTP, Refresh)
}

// MinSecret is the shortest SECRET_KEY in bytes. Each of its characters
// carries six bits at most, and it is all that protects a stolen database.
const MinSecret = 32

// A Master derives the keys of all purposes. It hides itself from fmt,
// log/slog and encoding/json.
type Master struct{ secret string }

// NewMaster takes the text of SECRET_KEY as it is, but for blanks and line
// ends around it, which files have and environment variables have not.
func NewMaster(secretKey string) (Master, error) {
	secret := strings.TrimSpace(secretKey)
	if len(secret) < MinSecret {
		return Master{}, fmt.Errorf("SECRET_KEY has %d bytes, want at least %d: make one with \"openssl rand -base64 48\"",
			len(secret), MinSecret)
	}
	return Master{secret}, nil
}

// Derive returns the key for a purpose.
func (m Master) Derive(p Purpose) Key {
	material, err := hkdf.Key(sha256.New, []byte(m.secret), nil, "authserver seal 1 "+string(p), keyLen)
	if err != nil {
		panic("seal: " + err.Error()) // only for a length that HKDF does not have
	}
	return newKey(p, [keyLen]byte(material))
}

// DeriveMAC returns a key for message authentication codes, another for each
// name and for all sealing keys.
func (m Master) DeriveMAC(name string) [32]byte {
	key, err := hkdf.Key(sha256.New, []byte(m.secret), nil, "authserver mac 1 "+name, 32)
	if err != nil {
		panic("seal: " + err.Error()) // only for a length that HKDF does not have
	}
	return [32]byte(key)
}

const (
	keyLen      = 32
	idLen       = 8
	checksumLen = 4
)

// A Key seals and opens what is kept for one purpose. It hides itself from fmt,
// log/slog and encoding/json; Export is the only way to see it.
type Key struct {
	purpose  Purpose
	material [keyLen]byte
	id       [idLen]byte
}

func newKey(p Purpose, material [keyLen]byte) Key {
	id := digest("id", p, material)
	return Key{p, material, [idLen]byte(id[:idLen])}
}

// digest hashes a key for something that is not secret.
func digest(what string, p Purpose, material [keyLen]byte) [sha256.Size]byte {
	return sha256.Sum256([]byte("authserver seal 1 " + what + "\x00" + string(p) + "\x00" + string(material[:])))
}

// ParseKey reads what Export printed, such as "dkim:" and 48 characters of
// base64. Blanks and line ends around it are allowed, a typing error is not.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	name, encoded, found := strings.Cut(text, ":")
	if !found {
		return Key{}, errors.New("not a sealing key: want a purpose, a colon and 48 characters")
	}
	p, err := ParsePurpose(name)
	if err != nil {
		// The text may be a key after all, so it is not repeated.
		return Key{}, errors.New("not a sealing key: it does not begin with a purpose, such as \"dkim:\"")
	}
	raw, err := base64.URLEncoding.DecodeString(encoded)
	if err != nil || len(raw) != keyLen+checksumLen {
		return Key{}, fmt.Errorf("not a sealing key: want 48 characters of base64 after %q", name+":")
	}
	k := newKey(p, [keyLen]byte(raw))
	// The whole text, because the decoder passes over line ends.
	if subtle.ConstantTimeCompare([]byte(k.Export()), []byte(text)) != 1 {
		return Key{}, fmt.Errorf("sealing key for %s has a typing error: its checksum does not match", p)
	}
	return k, nil
}

// Export returns the key as text, for a daemon that is not to have SECRET_KEY.
func (k Key) Export() string {
	checksum := digest("checksum", k.purpose, k.material)
	return string(k.purpose) + ":" + base64.URLEncoding.EncodeToString(append(k.material[:], checksum[:checksumLen]...))
}

// ID returns the fingerprint of the key, 16 hexadecimal digits. It is no
// secret.
func (k Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Purpose returns what the key is for.
func (k Key) Purpose() Purpose { return k.purpose }

// Sealed is what Seal made: a version, the id of the key, a nonce, and the
// ciphertext with its tag.
//
//	01 | key id, 8 bytes | nonce, 12 bytes | ciphertext | tag, 16 bytes
type Sealed []byte

const (
	version   = 1
	headerLen = 1 + idLen
	minSealed = headerLen + 12 + 16
)

// KeyID returns the id of the key that the blob was sealed with, or ErrDamaged.
func (s Sealed) KeyID() (string, error) {
	if len(s) < minSealed || s[0] != version {
		return "", ErrDamaged
	}
	return hex.EncodeToString(s[1:headerLen]), nil
}

// Seal encrypts plain for one row of the database. row names table and row,
// such as "auth.keys:example.com:" and the SHA-256 of the public key; Open
// wants the same.
//
// The nonce is random, which is safe for 2^32 blobs of one key.
func (k Key) Seal(plain []byte, row string) Sealed {
	header := append([]byte{version}, k.id[:]...)
	return k.aead().Seal(header, nil, plain, k.associated(header, row))
}

// Open decrypts what Seal made for the row. The error is ErrWrongKey or
// ErrDamaged.
func (k Key) Open(s Sealed, row string) ([]byte, error) {
	id, err := s.KeyID()
	if err != nil {
		return nil, err
	}
	if id != k.ID() {
		return nil, fmt.Errorf("%w: it wants %s, this is %s", ErrWrongKey, id, k.ID())
	}
	header := s[:headerLen]
	plain, err := k.aead().Open(nil, nil, s[headerLen:], k.associated(header, row))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

func (k Key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.material[:])
	if err != nil {
		panic("seal: " + err.Error()) // only for a length that AES does not have
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: " + err.Error()) // only for a block size that GCM does not have
	}
	return aead
}

// associated is what a blob is bound to. A purpose has no NUL, so it ends
// where it seems to.
func (k Key) associated(header []byte, row string) []byte {
	return append(header[:headerLen:headerLen], string(k.purpose)+"\x00"+row...)
}

// A Keyring opens with any of its keys, and seals with the first: the new key,
// then those that are on their way out.
type Keyring []Key

// Open decrypts with the key that the blob was sealed with.
func (r Keyring) Open(s Sealed, row string) ([]byte, error) {
	id, err := s.KeyID()
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(r))
	for i, k := range r {
		if k.ID() == id {
			return k.Open(s, row)
		}
		ids[i] = k.ID()
	}
	return nil, fmt.Errorf("%w: it wants %s, there is %s", ErrWrongKey, id, strings.Join(ids, ", "))
}

// Reseal returns the blob sealed with the first key, and whether that is
// another blob than s. The keyring must not be empty.
func (r Keyring) Reseal(s Sealed, row string) (Sealed, bool, error) {
	plain, err := r.Open(s, row)
	if err != nil {
		return nil, false, err
	}
	defer clear(plain)
	if id, _ := s.KeyID(); id == r[0].ID() {
		return s, false, nil
	}
	return r[0].Seal(plain, row), true, nil
}

// String names the key without showing it.
func (k Key) String() string {
	if k.purpose == "" {
		return "[no sealing key]"
	}
	return "[sealing key " + k.ID() + " for " + string(k.purpose) + "]"
}

// GoString implements fmt.GoStringer.
func (k Key) GoString() string { return k.String() }

// Format implements fmt.Formatter: it hides the key from every verb.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// String names the master key without showing it.
func (m Master) String() string { return "[master key]" }

// GoString implements fmt.GoStringer.
func (m Master) GoString() string { return m.String() }

// Format implements fmt.Formatter: it hides the master key from every verb.
func (m Master) Format(f fmt.State, _ rune) { io.WriteString(f, m.String()) }

// LogValue implements slog.LogValuer.
func (m Master) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (m Master) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
