package checkpassword

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Keys are public keys that answers may be signed with: *rsa.PublicKey of 2048
// bits or more, *ecdsa.PublicKey on P-256, and ed25519.PublicKey.
type Keys []crypto.PublicKey

// algorithms are those of Keys, one for each type. The public key is no secret,
// so none of them may be symmetric.
var algorithms = []string{"RS256", "ES256", "EdDSA"}

// algorithm returns the only one that key may be used with.
func algorithm(key crypto.PublicKey) (string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return "", fmt.Errorf("an RSA key of %d bits is too short", key.N.BitLen())
		}
		return "RS256", nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", fmt.Errorf("a key on the curve %s is not supported", key.Params().Name)
		}
		return "ES256", nil
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", fmt.Errorf("a key of type %T is not supported", key)
}

// forMethod returns the keys that a token with this algorithm may be verified
// with, whatever key id it names: every key in the file is trusted.
func (k Keys) forMethod(alg string) (jwt.VerificationKeySet, error) {
	var set jwt.VerificationKeySet
	for _, key := range k {
		if a, err := algorithm(key); err == nil && a == alg {
			set.Keys = append(set.Keys, key)
		}
	}
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("no %s key", alg)
	}
	return set, nil
}

// Compare counts the keys that only k has, and those that only other has.
func (k Keys) Compare(other Keys) (mine, theirs int) {
	count := func(a, b Keys) (n int) {
		for _, key := range a {
			if !slices.ContainsFunc(b, func(o crypto.PublicKey) bool {
				return key.(interface{ Equal(crypto.PublicKey) bool }).Equal(o)
			}) {
				n++
			}
		}
		return n
	}
	return count(k, other), count(other, k)
}

// maxKeyFile is more than the keys of any domain or registry take.
const maxKeyFile = 1 << 20

// ReadKeys reads a key file, of whichever format, unless others may write it:
// whoever can add a key can sign a yes.
func ReadKeys(name string) (Keys, error) {
	content, err := readKeyFile(name)
	if err != nil {
		return nil, err
	}
	keys, err := ParseKeys(content)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", name, err)
	}
	return keys, nil
}

func readKeyFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if err := checkWriters(name, info); err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	content, err := readLimited(file, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return content, nil
}

// checkWriters refuses a file that others than its owner may write. The group
// of root is no others.
func checkWriters(name string, info fs.FileInfo) error {
	mode := info.Mode().Perm()
	stat, ok := info.Sys().(*syscall.Stat_t)
	ofRoot := ok && stat.Gid == 0
	switch {
	case mode&0o002 != 0:
		return fmt.Errorf("everybody can write %s: chmod go-w it", name)
	case mode&0o020 != 0 && !ofRoot:
		return fmt.Errorf("its group can write %s: chmod g-w it", name)
	}
	return nil
}

// ParseKeys reads public keys and certificates in PEM, as many as there are, or
// a JSON Web Key Set (RFC 7517). Certificates are no more than a way to write
// down a key: the file is trusted as it stands, and so their dates and
// signatures do not matter. There is at least one key if there is no error.
func ParseKeys(text []byte) (Keys, error) {
	if text := bytes.TrimLeft(text, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		return atLeastOne(parseJWKS(text))
	}
	return atLeastOne(parsePEM(text, "PUBLIC KEY", "CERTIFICATE"))
}

func atLeastOne(keys Keys, err error) (Keys, error) {
	if err == nil && len(keys) == 0 {
		err = errors.New("there is no public key in it")
	}
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// parsePEM reads blocks of these types: PUBLIC KEY, CERTIFICATE or both.
func parsePEM(text []byte, types ...string) (Keys, error) {
	var keys Keys
	begun := bytes.Count(text, []byte("-----BEGIN "))
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if !slices.Contains(types, block.Type) {
			return nil, fmt.Errorf("a block is %q, want %s", block.Type, strings.Join(types, " or "))
		}
		var key crypto.PublicKey
		var err error
		if block.Type == "PUBLIC KEY" {
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		} else {
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				key = cert.PublicKey
			}
		}
		if err != nil {
			return nil, err
		}
		if _, err := algorithm(key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	// pem.Decode passes over what it cannot read.
	if len(keys) != begun {
		return nil, errors.New("a PEM block is damaged")
	}
	return keys, nil
}

// parseJWKS leaves out keys that are for something else or that this program
// cannot use (RFC 7517 section 5), and refuses those that should not be here.
func parseJWKS(text []byte) (Keys, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("JWKS: %w", err)
	}
	var keys Keys
	for _, raw := range set.Keys {
		var kind struct{ Kty, D, K json.RawMessage }
		if err := json.Unmarshal(raw, &kind); err != nil {
			return nil, fmt.Errorf("JWKS: %w", err)
		}
		if kind.D != nil || kind.K != nil {
			return nil, errors.New("JWKS: a key is not public")
		}
		var jwk jose.JSONWebKey
		if err := jwk.UnmarshalJSON(raw); err != nil || !jwk.Valid() || jwk.Use != "" && jwk.Use != "sig" {
			continue
		}
		alg, err := algorithm(jwk.Key)
		if err != nil || jwk.Algorithm != "" && jwk.Algorithm != alg {
			continue
		}
		keys = append(keys, jwk.Key)
	}
	return keys, nil
}

// A Format is one that the server gives keys out in: pubkey and cert are the
// key that signs, bundle and jwks are all of them, as certificates or as a JSON
// Web Key Set.
type Format string

// Set implements flag.Value.
func (f *Format) Set(s string) error {
	switch s {
	case "pubkey", "cert", "bundle", "jwks":
		*f = Format(s)
		return nil
	}
	return errors.New("want pubkey, cert, bundle or jwks")
}

func (f *Format) String() string { return string(*f) }

// An Owner is what keys belong to: "d" is a domain, "r" a registry.
type Owner string

// Set implements flag.Value.
func (o *Owner) Set(s string) error {
	if s != "d" && s != "r" {
		return errors.New("want d for a domain or r for a registry")
	}
	*o = Owner(s)
	return nil
}

func (o *Owner) String() string { return string(*o) }

// A KeyRequest says which keys are wanted.
type KeyRequest struct {
	Owner Owner

	// Name is that of a domain, or the client id of a registry, or that of its
	// domain. Empty: the host of the URL.
	Name string

	Format Format
}

// ErrNoKey means that the server has no key for the domain or registry.
var ErrNoKey = errors.New("the server has no key for this domain or registry")

// FetchKeys gets keys from the /getkey/ at u, as the content of a key file.
// There is at least one if there is no error. Only the transport vouches for
// them. The error is ErrNoKey, ErrUnavailable if the server was not reached, or
// another.
func FetchKeys(ctx context.Context, client *http.Client, u *url.URL, want KeyRequest) ([]byte, Keys, error) {
	ask := *u
	query := ask.Query()
	if want.Owner == "r" { // d is what a server takes it for, and query may have one
		query.Set("type", "r")
	}
	if want.Name != "" {
		query.Set("domain", want.Name)
	}
	query.Set("format", string(want.Format))
	ask.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, content, err := do(client, req)
	switch {
	case err != nil:
		return nil, nil, err
	case res.StatusCode == http.StatusNotFound:
		return nil, nil, fmt.Errorf("%w: %s", ErrNoKey, status(res, content))
	case res.StatusCode != http.StatusOK:
		return nil, nil, errors.New(status(res, content))
	}
	content, keys, err := parseResponse(want.Format, content)
	if err != nil {
		return nil, nil, fmt.Errorf("the response is no key: %w", err)
	}
	return content, keys, nil
}

// parseResponse makes a key file of the body of a response. It has nothing but
// what the format says: a registry does not start with anything else in its
// file.
func parseResponse(format Format, body []byte) ([]byte, Keys, error) {
	if format == "jwks" {
		keys, err := atLeastOne(parseJWKS(body))
		return body, keys, err
	}
	var response struct {
		PublicKeyPEM []string `json:"public_key_pem"`
		Cert         []string `json:"cert"`
		Bundle       []string `json:"bundle"`
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return nil, nil, err
	}
	lines, kind := response.PublicKeyPEM, "PUBLIC KEY"
	switch format {
	case "cert":
		lines, kind = response.Cert, "CERTIFICATE"
	case "bundle":
		lines, kind = response.Bundle, "CERTIFICATE"
	}
	content := []byte(strings.TrimSpace(strings.Join(lines, "\n")) + "\n")
	keys, err := atLeastOne(parsePEM(content, kind))
	return content, keys, err
}

// WriteKeys makes or replaces a key file. Other processes see all of it, or
// what was there before. A new file is one that everybody may read; owner, group
// and mode of an old one stay.
func WriteKeys(name string, content []byte) (err error) {
	old, err := regular(name)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	mode := fs.FileMode(0o644)
	if old != nil {
		mode = old.Mode().Perm()
		// Only root gives files away. Where everybody may read the file, nobody
		// who reads it notices.
		if owner, ok := old.Sys().(*syscall.Stat_t); ok {
			if err := temp.Chown(int(owner.Uid), int(owner.Gid)); err != nil && mode&0o004 == 0 {
				return err
			}
		}
	}
	if err := temp.Chmod(mode); err != nil {
		return err
	}
	if _, err := temp.Write(content); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), name)
}

// regular returns nil if there is no such file, and an error if it is one that
// is not replaced by another: a folder or a device, or a symbolic link, which
// whoever may write the folder could point to any file of the machine.
func regular(name string) (fs.FileInfo, error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return info, nil
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readLimited(file, limit)
}

func readLimited(file *os.File, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", file.Name(), limit)
	}
	return content, err
}
