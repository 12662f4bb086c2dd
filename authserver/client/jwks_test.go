package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// jwkOf returns a JWK as members, changed: nil removes.
func jwkOf(t testing.TB, key any, changed map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	maps.Copy(members, changed)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	return members
}

func setOf(t testing.TB, keys ...any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParseJWKS(t *testing.T) {
	t.Parallel()
	s := signers()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := jwkOf(t, s.ed.Public(), map[string]any{"kid": "good"})
	rsaWith := func(changed map[string]any) any { return jwkOf(t, s.rsa.Public(), changed) }

	tests := map[string]struct {
		text string
		want string // kid:algorithms of each; empty: an error
	}{
		"all kinds": {
			setOf(t, rsaWith(map[string]any{"kid": "r"}), jwkOf(t, s.ec.Public(), map[string]any{"use": "sig"}), good),
			"r:RS256,PS256 :ES256 good:EdDSA",
		},
		"an algorithm":         {setOf(t, rsaWith(map[string]any{"alg": "PS256"})), ":PS256"},
		"operations":           {setOf(t, rsaWith(map[string]any{"key_ops": []string{"verify"}})), ":RS256,PS256"},
		"more than is read":    {`{"keys":[` + strings.TrimSuffix(strings.TrimPrefix(setOf(t, good), `{"keys":[`), "]}") + `],"x":1}`, "good:EdDSA"},
		"a certificate":        {setOf(t, rsaWith(map[string]any{"x5c": []string{"!"}, "x5u": "http://evil.test/", "x5t": "!"})), ":RS256,PS256"},
		"another use":          {setOf(t, rsaWith(map[string]any{"use": "enc"}), good), "good:EdDSA"},
		"other operations":     {setOf(t, rsaWith(map[string]any{"key_ops": []string{"encrypt"}}), good), "good:EdDSA"},
		"odd operations":       {setOf(t, rsaWith(map[string]any{"key_ops": "verify"}), good), "good:EdDSA"},
		"another algorithm":    {setOf(t, rsaWith(map[string]any{"alg": "RS512"}), good), "good:EdDSA"},
		"that of another kind": {setOf(t, rsaWith(map[string]any{"alg": "ES256"}), good), "good:EdDSA"},
		"HMAC":                 {setOf(t, rsaWith(map[string]any{"alg": "HS256"}), good), "good:EdDSA"},
		"none":                 {setOf(t, rsaWith(map[string]any{"alg": "none"}), good), "good:EdDSA"},
		"a small RSA key":      {setOf(t, jwkOf(t, small.Public(), nil), good), "good:EdDSA"},
		"a huge RSA key":       {setOf(t, rsaWith(map[string]any{"n": strings.Repeat("_", 2000)}), good), "good:EdDSA"},
		"another curve":        {setOf(t, jwkOf(t, p384.Public(), nil), good), "good:EdDSA"},
		"a point elsewhere":    {setOf(t, jwkOf(t, s.ec.Public(), map[string]any{"x": strings.Repeat("A", 43)}), good), "good:EdDSA"},
		"an unknown kind":      {setOf(t, map[string]any{"kty": "new"}, good), "good:EdDSA"},
		"no kind":              {setOf(t, map[string]any{}, good), "good:EdDSA"},
		"half a key":           {setOf(t, rsaWith(map[string]any{"e": nil}), good), "good:EdDSA"},
		"a kid of a kind":      {setOf(t, rsaWith(map[string]any{"kid": 7}), good), "good:EdDSA"},

		"a private RSA key":     {setOf(t, jwkOf(t, s.rsa, nil), good), ""},
		"a private EC key":      {setOf(t, jwkOf(t, s.ec, nil), good), ""},
		"a private Ed25519 key": {setOf(t, jwkOf(t, s.ed, nil), good), ""},
		"a symmetric key":       {setOf(t, jwkOf(t, []byte("s3cret"), nil), good), ""},
		"a private member":      {setOf(t, rsaWith(map[string]any{"d": nil, "dp": "x"}), good), ""},
		"only of no use":        {setOf(t, rsaWith(map[string]any{"use": "enc"})), ""},
		"no keys":               {setOf(t), ""},
		"no set":                {`{}`, ""},
		"a key":                 {strings.TrimSuffix(strings.TrimPrefix(setOf(t, good), `{"keys":[`), "]}"), ""},
		"a list":                {`[]`, ""},
		"null":                  {`null`, ""},
		"nothing":               {``, ""},
		"HTML":                  {`<html>`, ""},
		"keys that are none":    {`{"keys":[1]}`, ""},
		"keys that are no list": {`{"keys":{}}`, ""},
		"too many keys":         {setOf(t, slices.Repeat([]any{good}, maxKeys+1)...), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			keys, err := parseJWKS([]byte(tt.text))
			var got []string
			for _, k := range keys {
				got = append(got, k.kid+":"+strings.Join(k.algorithms, ","))
			}
			if strings.Join(got, " ") != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error has a key: %v", err)
			}
			if again := ParseJWKS([]byte(tt.text)); fmt.Sprint(again) != fmt.Sprint(err) {
				t.Errorf("ParseJWKS: %v", again)
			}
		})
	}
}

// What metadata promises is what is done.
func TestSigningAlgorithms(t *testing.T) {
	t.Parallel()
	if got := slices.Sorted(maps.Keys(algorithms)); !slices.Equal(got, slices.Sorted(slices.Values(SigningAlgorithms))) {
		t.Errorf("%q and %q", got, SigningAlgorithms)
	}
	for name, method := range algorithms {
		if method.Alg() != name {
			t.Errorf("%s does %s", name, method.Alg())
		}
	}
}

// Every key that is read is public, and good for what it says.
func FuzzParseJWKS(f *testing.F) {
	s := signers()
	f.Add(jwks(f, map[string]crypto.Signer{"r": s.rsa, "e": s.ec, " d": s.ed}))
	f.Add([]byte(setOf(f, jwkOf(f, s.ec, nil))))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseJWKS(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%q: %d keys, %v", text, len(keys), err)
		}
		for _, k := range keys {
			if len(k.algorithms) == 0 {
				t.Fatalf("%q has a key for nothing", text)
			}
			for _, name := range k.algorithms {
				// A key of the wrong kind is told apart from a wrong signature.
				if err := algorithms[name].Verify("x", make([]byte, 64), k.public); err == nil || strings.Contains(err.Error(), "key is of invalid type") {
					t.Fatalf("%q has a key of %T for %s: %v", text, k.public, name, err)
				}
			}
		}
	})
}
