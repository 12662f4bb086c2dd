package account

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

var (
	// ErrNotAllowed means that the text cannot be a new password: it is empty
	// or too long, or has a character that some protocol cannot carry. The
	// error's text is for the person who chose the password.
	ErrNotAllowed = errors.New("password not allowed")

	// ErrUnsupportedHash means a stored hash that is malformed or of a kind
	// that this package does not verify.
	ErrUnsupportedHash = errors.New("unsupported password hash")

	// ErrCostlyHash means a stored hash whose cost parameters ask for more time
	// or memory than a login may take. Nothing was computed.
	ErrCostlyHash = errors.New("password hash is too costly to verify")

	// ErrBusy means that every core was computing a hash for as long as the
	// caller could wait. The answer is 503, exit code 111 or a 4xx reply.
	ErrBusy = errors.New("too many password hashes at once")
)

// Limits on a password's length in bytes.
const (
	// MaxPassword is the longest that crypt(3) of Debian takes.
	MaxPassword = 511
	// MaxPortable is the longest that bcrypt looks at. A longer password is
	// refused for Portable: bcrypt would ignore the rest of it.
	MaxPortable = 72
)

// Unusable is stored for an account without a password. No password matches
// it, nor any other text that begins with '!' or '*'.
const Unusable = "!"

// A Profile is a choice of hash for the passwords that people choose.
type Profile string

const (
	// Standard is yescrypt: memory-hard, and verified by crypt(3) of Debian. The
	// zero Profile means the same.
	Standard Profile = "standard"
	// Portable is bcrypt, for when servers on OpenBSD or with musl read the
	// hashes.
	Portable Profile = "portable"
)

// Cost of new hashes. yescrypt with 2^12 blocks of 128·32 bytes is what
// crypt_gensalt(3) and passwd(1) of Debian choose: 16 MiB, "$y$j9T$".
const (
	yescryptLogN = 12
	yescryptR    = 32
	bcryptCost   = 12
)

// Most that verifying an imported hash may cost: 128 MiB, and one or two
// seconds of a core (five for sha-crypt of the longest password). What programs
// choose by default is well below; what the formats allow is hours and terabytes.
const (
	maxRounds     = 2_000_000 // sha-crypt; the ancestor's hashes have 1 070 000
	maxBcryptCost = 14
	maxMemory     = 128 << 20
	maxArgon2Work = 1 << 20 // KiB of memory times passes
	maxIterations = 4_000_000
)

// cheapRounds is the most sha-crypt rounds that need no place among the
// cores: a few milliseconds.
const cheapRounds = 5000

// Set implements flag.Value.
func (p *Profile) Set(s string) error {
	switch v := Profile(s); v {
	case Standard, Portable:
		*p = v
		return nil
	}
	return fmt.Errorf("%q is not a password profile, want %s or %s", s, Standard, Portable)
}

// String implements flag.Value.
func (p *Profile) String() string { return string(*p) }

// Decoy returns a hash of the profile that no password matches. Verifying
// against it when there is no account takes as long as when there is one.
func (p Profile) Decoy() string {
	if p == Portable {
		return "$2b$12$" + strings.Repeat(".", 53)
	}
	return "$y$j9T$" + strings.Repeat(".", 22) + "$" + strings.Repeat(".", 43)
}

// made reports whether the stored hash is as Hash would make it.
func (p Profile) made(stored string) bool {
	if p == Portable {
		return strings.HasPrefix(stored, "$2b$12$")
	}
	return strings.HasPrefix(stored, "$y$j9T$")
}

// CheckPassword returns an ErrNotAllowed that says why password cannot be a
// new password, or nil. It is no judge of strength.
//
// A NUL ends a string in C, and line ends separate the fields of the table and
// pipe protocols that carry passwords. The bytes are hashed as they are: a
// server that asks crypt(3) does not normalise them either.
func CheckPassword(password string, p Profile) error {
	limit := MaxPassword
	if p == Portable {
		limit = MaxPortable
	}
	switch {
	case password == "":
		return fmt.Errorf("%w: it is empty", ErrNotAllowed)
	case len(password) > limit:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrNotAllowed, limit)
	case strings.ContainsAny(password, "\x00\r\n"):
		return fmt.Errorf("%w: it has a line end or a NUL character", ErrNotAllowed)
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: it is not UTF-8", ErrNotAllowed)
	}
	if _, err := ParseAppPassword(password); err == nil || errors.Is(err, ErrMistyped) {
		return fmt.Errorf("%w: it has the form of an app password, and would be taken for one", ErrNotAllowed)
	}
	return nil
}

// Hash returns the hash to store for a new password. It waits for a free core;
// when ctx ends before, the error is ErrBusy.
func Hash(ctx context.Context, password string, p Profile) (string, error) {
	if err := CheckPassword(password, p); err != nil {
		return "", err
	}

	var hasher algorithm.Hash
	var err error
	if p == Portable {
		hasher, err = bcrypt.New(bcrypt.WithCost(bcryptCost))
	} else {
		hasher, err = scrypt.New(scrypt.WithVariant(scrypt.VariantYescrypt),
			scrypt.WithLN(yescryptLogN), scrypt.WithR(yescryptR), scrypt.WithP(1))
	}
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}

	if err := cores.acquire(ctx); err != nil {
		return "", err
	}
	defer cores.release()
	digest, err := hasher.Hash(password)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return digest.Encode(), nil
}

// Verify reports whether password is the one behind the stored hash, and, if
// so, whether the hash is not as Hash makes it for p and should be replaced by
// that of the same password.
//
// It verifies $5$, $6$, $2a$, $2b$, $2y$, $y$, $argon2id$, Django's
// pbkdf2_sha256$ and {SSHA}. An empty or unusable hash matches no password,
// and no hash matches the empty password. A hash that is none of these is
// ErrUnsupportedHash, one that asks for too much is ErrCostlyHash; no error
// repeats any of it. Costly hashes wait for a free core; when ctx ends before,
// the error is ErrBusy.
//
// A password that bcrypt would cut at 72 bytes is cut, as crypt(3) does:
// a hash made elsewhere may depend on it.
func Verify(ctx context.Context, stored, password string, p Profile) (ok, needsRehash bool, err error) {
	if unusable(stored) {
		return false, false, nil
	}
	h, err := parse(stored)
	if err != nil {
		return false, false, err
	}
	// crypt(3) would compare what is before the NUL.
	if password == "" || len(password) > MaxPassword || strings.Contains(password, "\x00") {
		return false, false, nil
	}

	if h.costly {
		if err := cores.acquire(ctx); err != nil {
			return false, false, err
		}
		defer cores.release()
	}
	ok, err = h.match(password)
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	needsRehash = ok && !p.made(stored) && CheckPassword(password, p) == nil
	return ok, needsRehash, nil
}

// CryptVerifiable reports whether the stored hash may leave through SQL: it is
// of a kind that crypt(3) of Debian verifies ($5$, $6$, $2a$, $2b$, $2y$,
// $y$), well formed, and costs the server that asks for it no more than a
// login may.
func CryptVerifiable(stored string) bool {
	h, err := parse(stored)
	return err == nil && h.crypt
}

// ImportHash returns the hash to store for one that another system stored.
// The names that LDAP servers and Dovecot ({CRYPT}, {SHA512-CRYPT}, …) or
// Django (argon2$, bcrypt$) write before a hash are taken off, because
// crypt(3) must be able to read what is stored. An unusable hash, which is how
// Django marks an account without a password, becomes Unusable.
func ImportHash(foreign string) (string, error) {
	stored := strings.TrimSpace(foreign)
	if unusable(stored) {
		return Unusable, nil
	}
	if scheme, rest, found := strings.Cut(stored, "}"); found {
		switch scheme = strings.ToUpper(scheme); scheme {
		case "{CRYPT", "{SHA256-CRYPT", "{SHA512-CRYPT", "{BLF-CRYPT", "{ARGON2ID":
			stored = rest
		case "{SSHA":
			stored = "{SSHA}" + rest
		}
	}
	if rest, found := strings.CutPrefix(stored, "argon2$"); found {
		stored = "$" + rest
	}
	if rest, found := strings.CutPrefix(stored, "bcrypt$"); found {
		stored = rest
	}
	if unusable(stored) { // {CRYPT}! is how a locked account leaves shadow(5)
		return Unusable, nil
	}
	if _, err := parse(stored); err != nil {
		return "", err
	}
	return stored, nil
}

func unusable(stored string) bool {
	return stored == "" || stored[0] == '!' || stored[0] == '*'
}

// A hash is a stored hash that was read and found affordable.
type hash struct {
	match  func(password string) (bool, error)
	crypt  bool // crypt(3) of Debian verifies it
	costly bool // takes more than a few milliseconds, or much memory
}

// maxHash is longer than any hash that is read.
const maxHash = 512

// Each pattern takes only what its format's own programs write: one order of
// parameters, no sign, no leading zero. go-crypt, which reads the hash again,
// then cannot find other parameters than those whose cost was checked.
var (
	shaCryptHash = regexp.MustCompile(`^\$[56]\$(?:rounds=([1-9][0-9]{3,8})\$)?[./0-9A-Za-z]{0,16}\$([./0-9A-Za-z]+)$`)
	bcryptHash   = regexp.MustCompile(`^\$2[aby]\$([0-3][0-9])\$[./0-9A-Za-z]{53}$`)
	yescryptHash = regexp.MustCompile(`^\$y\$j([./0-9A-Za-z])([./0-9A-Za-z])\$[./0-9A-Za-z]{0,86}\$[./0-9A-Za-z]{43}$`)
	argon2Hash   = regexp.MustCompile(`^\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,7})\$[+/0-9A-Za-z]{11,86}\$[+/0-9A-Za-z]{22,86}$`)
	pbkdf2Hash   = regexp.MustCompile(`^pbkdf2_sha256\$([1-9][0-9]{0,9})\$([^$]{1,128})\$([+/0-9A-Za-z]{43}=)$`)
	sshaHash     = regexp.MustCompile(`^\{SSHA\}([+/0-9A-Za-z]{28,}={0,2})$`)
)

// parse reads a stored hash and checks what verifying it would cost.
func parse(stored string) (hash, error) {
	if len(stored) > maxHash {
		return hash{}, fmt.Errorf("%w: longer than %d bytes", ErrUnsupportedHash, maxHash)
	}
	if m := shaCryptHash.FindStringSubmatch(stored); m != nil {
		return parseSHACrypt(stored, m[1], m[2])
	}
	if m := bcryptHash.FindStringSubmatch(stored); m != nil {
		return parseBcrypt(stored, m[1])
	}
	if m := yescryptHash.FindStringSubmatch(stored); m != nil {
		return parseYescrypt(stored, m[1][0], m[2][0])
	}
	if m := argon2Hash.FindStringSubmatch(stored); m != nil {
		return parseArgon2(stored, m[1], m[2], m[3])
	}
	if m := pbkdf2Hash.FindStringSubmatch(stored); m != nil {
		return parsePBKDF2(m[1], m[2], m[3])
	}
	if m := sshaHash.FindStringSubmatch(stored); m != nil {
		return parseSSHA(m[1])
	}
	return hash{}, ErrUnsupportedHash
}

func parseSHACrypt(stored, rounds, key string) (hash, error) {
	n := shacrypt.IterationsDefaultOmitted
	if rounds != "" {
		n = number(rounds)
	}
	if n > maxRounds {
		return hash{}, fmt.Errorf("%w: more than %d rounds", ErrCostlyHash, maxRounds)
	}
	want := 43 // base64 of 32 bytes
	if stored[1] == '6' {
		want = 86
	}
	if len(key) != want {
		return hash{}, ErrUnsupportedHash
	}
	h, err := decoded(shacrypt.Decode(stored))
	h.costly = n > cheapRounds
	return h, err
}

func parseBcrypt(stored, cost string) (hash, error) {
	n := number(cost)
	if n < 4 {
		return hash{}, ErrUnsupportedHash
	}
	if n > maxBcryptCost {
		return hash{}, fmt.Errorf("%w: bcrypt cost above %d", ErrCostlyHash, maxBcryptCost)
	}
	return decoded(bcrypt.Decode(stored))
}

func parseYescrypt(stored string, logN, r byte) (hash, error) {
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	n, block := strings.IndexByte(digits, logN)+1, strings.IndexByte(digits, r)+1
	// What crypt_gensalt(3) makes. Beyond, the format needs more than one
	// character for a number.
	if n < 10 || n > 18 || block > 32 {
		return hash{}, ErrUnsupportedHash
	}
	if 128*block<<n > maxMemory {
		return hash{}, fmt.Errorf("%w: more than %d MiB", ErrCostlyHash, maxMemory>>20)
	}
	digest, err := scrypt.Decode(stored)
	// go-crypt reads a salt or key that is not whole bytes as no bytes at all;
	// crypt(3) refuses it.
	if err == nil && (len(digest.Key()) != 32 || digest.Salt() == nil) {
		return hash{}, ErrUnsupportedHash
	}
	return decoded(digest, err)
}

func parseArgon2(stored, memory, passes, lanes string) (hash, error) {
	m, t, p := number(memory), number(passes), number(lanes)
	if m > maxMemory>>10 || m*t > maxArgon2Work || t > 100 || p > 16 {
		return hash{}, fmt.Errorf("%w: more than %d MiB, %d MiB times passes, 100 passes or 16 lanes",
			ErrCostlyHash, maxMemory>>20, maxArgon2Work>>10)
	}
	h, err := decoded(argon2.Decode(stored))
	h.crypt = false // libxcrypt has no argon2
	return h, err
}

// decoded wraps what a go-crypt decoder returned.
func decoded(digest algorithm.Digest, err error) (hash, error) {
	if err != nil {
		return hash{}, ErrUnsupportedHash // go-crypt's error repeats parts of the hash
	}
	return hash{match: digest.MatchAdvanced, crypt: true, costly: true}, nil
}

// parsePBKDF2 reads Django's pbkdf2_sha256$iterations$salt$key. The salt is
// used as it is written.
func parsePBKDF2(iterations, salt, key string) (hash, error) {
	n := number(iterations)
	if n > maxIterations {
		return hash{}, fmt.Errorf("%w: more than %d iterations", ErrCostlyHash, maxIterations)
	}
	want, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return hash{}, ErrUnsupportedHash
	}
	match := func(password string) (bool, error) {
		got, err := pbkdf2.Key(sha256.New, password, []byte(salt), n, len(want))
		return subtle.ConstantTimeCompare(got, want) == 1, err
	}
	return hash{match: match, costly: true}, nil
}

// parseSSHA reads the {SSHA} of LDAP servers: base64 of SHA-1 of password and
// salt, then the salt.
func parseSSHA(text string) (hash, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) <= sha1.Size {
		return hash{}, ErrUnsupportedHash
	}
	want, salt := raw[:sha1.Size], raw[sha1.Size:]
	match := func(password string) (bool, error) {
		got := sha1.Sum(append([]byte(password), salt...))
		return subtle.ConstantTimeCompare(got[:], want) == 1, nil
	}
	return hash{match: match}, nil
}

// number reads what a pattern found to be at most ten digits.
func number(s string) int {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("account: a pattern let through a number of more than ten digits")
	}
	return int(n)
}

// cores has a place for every core of the process. Each costly hash takes one:
// more at once would not finish sooner, and each may need maxMemory.
var cores = make(places, runtime.GOMAXPROCS(0))

// maxWait is the longest that a hash waits for its place, even if the caller
// would wait longer: whoever asked has given up by then.
const maxWait = 10 * time.Second

type places chan struct{}

// acquire takes a place, or returns ErrBusy when ctx ends before there is one.
func (p places) acquire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if ctx.Err() == nil {
		select {
		case p <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
}

func (p places) release() { <-p }
