package checkpassword

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func encode(t testing.TB, key crypto.PublicKey) (der, text []byte) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// certificate returns one of s, which has long expired.
func certificate(t testing.TB, s signer) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.com"},
		NotBefore: t0.AddDate(-2, 0, 0), NotAfter: t0.AddDate(-1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func jwks(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseKeys(t *testing.T) {
	rs, es, ed := signers()["RS256"], signers()["ES256"], signers()["EdDSA"]
	pub := func(s signer) string {
		_, text := encode(t, s.key.Public())
		return string(text)
	}
	tests := map[string]struct {
		text string
		want Keys
	}{
		"a public key":          {pub(rs), Keys{rs.key.Public()}},
		"three, while rotating": {pub(rs) + pub(es) + "\n" + pub(ed), Keys{rs.key.Public(), es.key.Public(), ed.key.Public()}},
		"a certificate":         {certificate(t, rs), Keys{rs.key.Public()}},
		"a certificate and a key": {
			"Certificate:\n    Data:\n" + certificate(t, es) + pub(rs), Keys{es.key.Public(), rs.key.Public()},
		},
		"a key set": {
			" \n" + jwks(t,
				jose.JSONWebKey{Key: rs.key.Public(), KeyID: "a", Algorithm: "RS256", Use: "sig"},
				jose.JSONWebKey{Key: es.key.Public(), KeyID: "b"},
				jose.JSONWebKey{Key: ed.key.Public(), KeyID: "c", Algorithm: "EdDSA"}),
			Keys{rs.key.Public(), es.key.Public(), ed.key.Public()},
		},
		"a key set with keys for others": {
			strings.Replace(jwks(t,
				jose.JSONWebKey{Key: rs.key.Public(), Use: "enc"},
				jose.JSONWebKey{Key: rs.key.Public(), Algorithm: "PS256"},
				jose.JSONWebKey{Key: p384(t).Public()},
				jose.JSONWebKey{Key: es.key.Public()}),
				`"keys":[`, `"keys":[{"kty":"unheard of"},`, 1),
			Keys{es.key.Public()},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKeys([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if mine, theirs := got.Compare(tt.want); len(got) != len(tt.want) || mine+theirs != 0 {
				t.Errorf("%d keys, %d and %d differ", len(got), mine, theirs)
			}
		})
	}
}

func p384(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// shortRSA returns a key of 1024 bits. No private key belongs to it.
func shortRSA(t testing.TB) string {
	t.Helper()
	n := new(big.Int).SetBit(big.NewInt(1), 1023, 1)
	_, text := encode(t, &rsa.PublicKey{N: n, E: 65537})
	return string(text)
}

func TestBadKeys(t *testing.T) {
	private, err := x509.MarshalPKCS8PrivateKey(signers()["ES256"].key)
	if err != nil {
		t.Fatal(err)
	}
	_, good := encode(t, signers()["ES256"].key.Public())
	_, wrongCurve := encode(t, p384(t).Public())
	tests := map[string]string{
		"an empty file":            "",
		"no key":                   "hello\n",
		"an error page":            "<html></html>",
		"a private key":            string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"a public and a private":   string(good) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"a short RSA key":          shortRSA(t),
		"another curve":            string(wrongCurve),
		"half a key":               string(good[:len(good)/2]),
		"a good one and half":      string(good) + string(good[:len(good)/2]),
		"half and a good one":      string(good[:len(good)/2]) + string(good),
		"garbage in PEM":           "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"an empty key set":         `{"keys": []}`,
		"no key set":               `{"public_key_pem": []}`,
		"half a key set":           `{"keys": [`,
		"a symmetric key":          jwks(t, jose.JSONWebKey{Key: []byte("0123456789abcdef")}, jose.JSONWebKey{Key: signers()["ES256"].key.Public()}),
		"a private key in a set":   jwks(t, jose.JSONWebKey{Key: signers()["ES256"].key}),
		"a key set of others only": jwks(t, jose.JSONWebKey{Key: signers()["RS256"].key.Public(), Use: "enc"}),
	}
	for name, text := range tests {
		if keys, err := ParseKeys([]byte(text)); err == nil || keys != nil {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
}

func TestCompareKeys(t *testing.T) {
	a, b, c := signers()["RS256"].key.Public(), signers()["ES256"].key.Public(), signers()["EdDSA"].key.Public()
	if mine, theirs := (Keys{a, b}).Compare(Keys{b, c}); mine != 1 || theirs != 1 {
		t.Errorf("%d, %d", mine, theirs)
	}
	if mine, theirs := (Keys{a, b}).Compare(Keys{b, a, b}); mine != 0 || theirs != 0 {
		t.Errorf("%d, %d, in another order", mine, theirs)
	}
}

func TestFetchKeys(t *testing.T) {
	es := signers()["ES256"]
	_, text := encode(t, es.key.Public())
	cert := certificate(t, es)
	rs, ed := signers()["RS256"], signers()["EdDSA"]
	bundle := certificate(t, rs) + cert + certificate(t, ed)
	lines := func(field, text string) any { return map[string][]string{field: strings.Split(text, "\n")} }
	const registry = "domain=registry.example.com%3A5000&format="
	responses := map[string]any{
		"domain=example.com&format=bundle":   lines("bundle", bundle),
		registry + "bundle&type=r":           lines("bundle", certificate(t, rs)),
		"domain=keys.example&format=bundle":  lines("bundle", cert+string(text)),
		"domain=keys.example&format=cert":    lines("cert", string(text)),
		"domain=keys.example&format=jwks":    json.RawMessage(`"` + "-----BEGIN" + `"`),
		"domain=keys.example&format=pubkey":  lines("public_key_pem", cert),
		"domain=example.com&format=pubkey":   map[string]any{"public_key_pem": strings.Split(string(text), "\n")},
		"domain=example.com&format=cert":     map[string]any{"cert": strings.Split(cert, "\n")},
		"domain=example.com&format=jwks":     json.RawMessage(jwks(t, jose.JSONWebKey{Key: es.key.Public(), KeyID: "a"})),
		"format=pubkey&type=d":               map[string]any{"public_key_pem": strings.Split(string(text), "\n")},
		"domain=empty.example&format=pubkey": map[string]any{"public_key_pem": []string{}},
		"domain=wrong.example&format=pubkey": map[string]any{"cert": strings.Split(cert, "\n")},
	}
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		response, found := responses[r.URL.RawQuery]
		switch {
		case r.URL.RawQuery == "domain=broken.example&format=pubkey":
			w.WriteHeader(500)
			io.WriteString(w, `{"error": "out of order"}`)
		case !found:
			w.WriteHeader(404)
		default:
			if err := json.NewEncoder(w).Encode(response); err != nil {
				t.Error(err)
			}
		}
	})

	fetch := func(u *url.URL, name string, format Format) ([]byte, Keys, error) {
		return FetchKeys(t.Context(), client.HTTP, u, KeyRequest{Owner: "d", Name: name, Format: format})
	}
	for format, want := range map[Format]Keys{
		"pubkey": {es.key.Public()}, "cert": {es.key.Public()}, "jwks": {es.key.Public()},
		"bundle": {rs.key.Public(), es.key.Public(), ed.key.Public()},
	} {
		content, keys, err := fetch(client.URL, "example.com", format)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		file := filepath.Join(t.TempDir(), "key")
		if err := WriteKeys(file, content); err != nil {
			t.Fatal(err)
		}
		read, err := ReadKeys(file)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		for _, k := range []Keys{keys, read} {
			if mine, theirs := k.Compare(want); len(k) != len(want) || mine+theirs != 0 {
				t.Errorf("%s: other keys", format)
			}
		}
	}

	withQuery := *client.URL
	withQuery.RawQuery = "type=d"
	if _, _, err := fetch(&withQuery, "", "pubkey"); err != nil {
		t.Errorf("a query of one's own: %v", err)
	}
	_, keys, err := FetchKeys(t.Context(), client.HTTP, client.URL, KeyRequest{Owner: "r", Name: "registry.example.com:5000", Format: "bundle"})
	if err != nil || len(keys) != 1 || !rs.key.Public().(*rsa.PublicKey).Equal(keys[0]) {
		t.Errorf("a registry: %d keys, %v", len(keys), err)
	}
	if _, _, err := fetch(client.URL, "unknown.example", "pubkey"); !errors.Is(err, ErrNoKey) {
		t.Errorf("unknown domain: %v", err)
	}
	for _, domain := range []string{"broken.example", "empty.example", "wrong.example"} {
		_, _, err := fetch(client.URL, domain, "pubkey")
		if err == nil || errors.Is(err, ErrNoKey) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", domain, err)
		}
	}
	// Keys, but not in the form that was asked for.
	for _, format := range []Format{"pubkey", "cert", "bundle", "jwks"} {
		if _, _, err := fetch(client.URL, "keys.example", format); err == nil || errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestWriteKeys(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key.pem")
	if err := WriteKeys(name, []byte("key\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// A folder cannot be replaced by a file, and a link may point anywhere.
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"folder", "link"} {
		if err := WriteKeys(filepath.Join(dir, other), nil); err == nil {
			t.Errorf("a %s was replaced", other)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestReadSecret(t *testing.T) {
	write := func(content string, mode os.FileMode) string {
		name := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, mode := range []os.FileMode{0o600, 0o640, 0o400} {
		if got, err := ReadSecret(write("ac_secret\n", mode)); string(got) != "ac_secret" || err != nil {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o644, 0o604, 0o602, 0o666} {
		if _, err := ReadSecret(write("ac_secret\n", mode)); err == nil {
			t.Errorf("mode %v is accepted", mode)
		}
	}
	for _, content := range []string{"", "\n", "two words\n", "two\nlines\n", "ac_\r\nX-Header: y\n", "ac_\x00\n", "ac_é\n"} {
		if _, err := ReadSecret(write(content, 0o600)); err == nil || strings.Contains(err.Error(), "ac_") {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestURL(t *testing.T) {
	tests := map[string]bool{
		"https://auth.example.com/checkpassword/": true,
		"https://auth.example.com:8443":           true,
		"http://localhost:8999/checkpassword/":    true,
		"http://127.0.0.1:8999/checkpassword/":    true,
		"http://[::1]:8999/checkpassword/":        true,
		"http://auth.example.com/checkpassword/":  false,
		"http://localhost.example.com/":           false,
		"http://192.0.2.1/":                       false,
		"https://alice:secret@example.com/":       false,
		"https:///checkpassword/":                 false,
		"auth.example.com":                        false,
		"ftp://auth.example.com/":                 false,
		"https://secret%":                         false,
		"":                                        false,
	}
	for in, good := range tests {
		var u URL
		err := u.Set(in)
		if (err == nil) != good {
			t.Errorf("%q: %v", in, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q is repeated: %v", in, err)
		}
	}
}

// Every key that is read can verify something, and is the same when it is read
// again in another format.
func FuzzParseKeys(f *testing.F) {
	for _, s := range signers() {
		_, text := encode(f, s.key.Public())
		f.Add(text)
		f.Add([]byte(certificate(f, s)))
		f.Add([]byte(jwks(f, jose.JSONWebKey{Key: s.key.Public(), KeyID: "a", Use: "sig"})))
		f.Add([]byte(jwks(f, jose.JSONWebKey{Key: s.key})))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		var again string
		usable := map[string]int{}
		for _, key := range keys {
			alg, err := algorithm(key)
			if err != nil || !slices.Contains(algorithms, alg) {
				t.Fatalf("%T: %q, %v", key, alg, err)
			}
			usable[alg]++
			_, text := encode(t, key)
			again += string(text)
		}
		for alg := range maps.Keys(usable) {
			if set, err := keys.forMethod(alg); err != nil || len(set.Keys) != usable[alg] {
				t.Errorf("%s: %d of %d keys, %v", alg, len(set.Keys), usable[alg], err)
			}
		}
		if len(keys) > 0 {
			reread, err := ParseKeys([]byte(again))
			if err != nil {
				t.Fatal(err)
			}
			if mine, theirs := keys.Compare(reread); mine+theirs > 0 {
				t.Error("the keys differ when they are read again")
			}
		}
	})
}

// What a response makes a key file of, the program that reads the file finds:
// as many keys, and nothing that is not of the format.
func FuzzKeyResponse(f *testing.F) {
	es := signers()["ES256"]
	_, public := encode(f, es.key.Public())
	cert := certificate(f, es)
	for field, text := range map[string]string{
		"public_key_pem": string(public), "cert": cert, "bundle": cert + certificate(f, signers()["RS256"]) + certificate(f, signers()["EdDSA"]),
	} {
		for _, lines := range [][]string{strings.Split(text, "\n"), {text}, strings.Split(text+string(public), "\n"), {}} {
			body, err := json.Marshal(map[string][]string{field: lines})
			if err != nil {
				f.Fatal(err)
			}
			for i := range 4 {
				f.Add(byte(i), body)
			}
		}
	}
	f.Add(byte(3), []byte(jwks(f, jose.JSONWebKey{Key: es.key.Public()})))
	f.Add(byte(1), []byte(`{"bundle": null}`))
	f.Fuzz(func(t *testing.T, n byte, body []byte) {
		format := []Format{"pubkey", "cert", "bundle", "jwks"}[n%4]
		content, keys, err := parseResponse(format, body)
		if err != nil {
			return
		}
		reread, err := ParseKeys(content)
		if mine, theirs := keys.Compare(reread); err != nil || len(keys) == 0 || len(reread) != len(keys) || mine+theirs != 0 {
			t.Fatalf("%d keys, %d of them in the file, %v", len(keys), len(reread), err)
		}
		kind := map[Format]string{"pubkey": "PUBLIC KEY", "cert": "CERTIFICATE", "bundle": "CERTIFICATE"}[format]
		blocks := 0
		for rest := content; kind != ""; blocks++ {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != kind {
				t.Errorf("%s has a block %q", format, block.Type)
			}
		}
		if kind != "" && blocks != len(keys) {
			t.Errorf("%d blocks for %d keys", blocks, len(keys))
		}
	})
}

// Nobody but the owner of a key file, and root's group, may have written it.
func TestReadKeysWriters(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "key.pem")
	for _, tt := range []struct {
		mode fs.FileMode
		gid  uint32
		want string // empty: it is trusted
	}{
		{0o600, 1000, ""},
		{0o644, 1000, ""},
		{0o464, 0, ""},
		{0o664, 1000, "chmod g-w"},
		{0o620, 1000, "chmod g-w"},
		{0o646, 0, "chmod go-w"},
		{0o666, 1000, "chmod go-w"},
	} {
		err := checkWriters(name, fileInfo{tt.mode, tt.gid})
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), name)) {
			t.Errorf("%v of group %d: %v, want %q", tt.mode, tt.gid, err, tt.want)
		}
	}

	_, text := encode(t, signers()["ES256"].key.Public())
	if err := WriteKeys(name, text); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeys(name); err != nil {
		t.Errorf("what WriteKeys has written: %v", err)
	}
	if err := os.Chmod(name, 0o646); err != nil {
		t.Fatal(err)
	}
	if keys, err := ReadKeys(name); err == nil || keys != nil {
		t.Errorf("a file for everybody: %v, %v", keys, err)
	}
}

// fileInfo is a file of this mode and group.
type fileInfo struct {
	mode fs.FileMode
	gid  uint32
}

func (f fileInfo) Name() string       { return "" }
func (f fileInfo) Size() int64        { return 0 }
func (f fileInfo) Mode() fs.FileMode  { return f.mode }
func (f fileInfo) ModTime() time.Time { return time.Time{} }
func (f fileInfo) IsDir() bool        { return false }
func (f fileInfo) Sys() any           { return &syscall.Stat_t{Gid: f.gid} }
