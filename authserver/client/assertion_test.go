package client

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer        = "https://auth.example.com"
	tokenEndpoint = "https://auth.example.com/o2/token/"
)

var audiences = []string{issuer, tokenEndpoint}

// signers are keys that cost time to make.
var signers = sync.OnceValue(func() (s struct {
	rsa, otherRSA *rsa.PrivateKey
	ec            *ecdsa.PrivateKey
	ed            ed25519.PrivateKey
}) {
	s.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	s.otherRSA, _ = rsa.GenerateKey(rand.Reader, 2048)
	s.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, s.ed, _ = ed25519.GenerateKey(rand.Reader)
	return s
})

// jwks returns a JWK Set of public keys by kid; one that begins with a blank is
// left out.
func jwks(t testing.TB, keys map[string]crypto.Signer) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for kid, key := range keys {
		if strings.HasPrefix(kid, " ") {
			kid = ""
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: kid})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signing returns a client that proves itself with keys.
func signing(id string, jwks []byte) clientRow {
	row := confidential(id)
	row.TokenEndpointAuthMethod, row.JWKS = PrivateKeyJWT, jwks
	return row
}

// claimsOf returns those of an assertion that is good, changed: nil removes.
func claimsOf(id string, changed map[string]any) jwt.MapClaims {
	now := time.Now().Unix()
	claims := jwt.MapClaims{"iss": id, "sub": id, "aud": issuer, "exp": now + 60, "iat": now, "jti": rand.Text()}
	for name, value := range changed {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

// sign returns a compact JWS; header is added to alg.
func sign(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func assertionForm(text string) (form map[string][]string) {
	return map[string][]string{"client_assertion_type": {AssertionType}, "client_assertion": {text}}
}

func (cs *Clients) assert(ctx context.Context, text string) (*Client, *Assertion, error) {
	return cs.Authenticate(post(ctx, ""), assertionForm(text), audiences)
}

func TestAuthenticateAssertion(t *testing.T) {
	t.Parallel()
	s := signers()
	cs := with(t, signing("signs", jwks(t, map[string]crypto.Signer{"r": s.rsa, "e": s.ec, "d": s.ed})))
	kid := func(kid string) map[string]any { return map[string]any{"kid": kid} }
	good := map[string]string{
		"RS256":        sign(t, jwt.SigningMethodRS256, s.rsa, kid("r"), claimsOf("signs", nil)),
		"PS256":        sign(t, jwt.SigningMethodPS256, s.rsa, kid("r"), claimsOf("signs", nil)),
		"ES256":        sign(t, jwt.SigningMethodES256, s.ec, kid("e"), claimsOf("signs", nil)),
		"EdDSA":        sign(t, jwt.SigningMethodEdDSA, s.ed, kid("d"), claimsOf("signs", nil)),
		"without kid":  sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", nil)),
		"without iat":  sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"iat": nil})),
		"with nbf":     sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"nbf": time.Now().Unix()})),
		"endpoint":     sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"aud": tokenEndpoint})),
		"one of many":  sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"aud": []string{"https://x.test", tokenEndpoint}})),
		"clock ahead":  sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"iat": time.Now().Unix() + 20, "nbf": time.Now().Unix() + 20})),
		"clock behind": sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"exp": time.Now().Unix() - 20})),
		"ten minutes":  sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"exp": time.Now().Unix() + 600})),
		"a long jti":   sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"jti": strings.Repeat("x", 255)})),
		"fractions":    sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"exp": float64(time.Now().UnixMilli())/1000 + 60})),
	}
	for name, text := range good {
		t.Run(name, func(t *testing.T) {
			c, assertion, err := cs.assert(t.Context(), text)
			if err != nil || c.ClientID != "signs" {
				t.Fatalf("got %v, %v", c, err)
			}
			var claims jwt.RegisteredClaims
			if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(claims.ID))
			// While it could be taken again, it must be known as taken.
			if !bytes.Equal(assertion.JTIHash, sum[:]) || !assertion.ExpiresAt.Equal(claims.ExpiresAt.Add(skew)) {
				t.Errorf("got %+v of %+v", assertion, claims)
			}
			_, again, err := cs.assert(t.Context(), text)
			if err != nil || !bytes.Equal(again.JTIHash, assertion.JTIHash) || !again.ExpiresAt.Equal(assertion.ExpiresAt) {
				t.Errorf("the second time it is %+v, %v", again, err)
			}
			both := assertionForm(text)
			both["client_id"] = []string{"signs"}
			if _, _, err := cs.Authenticate(post(t.Context(), ""), both, audiences); err != nil {
				t.Errorf("with client_id: %v", err)
			}
			both["client_id"] = []string{"other"}
			if _, _, err := cs.Authenticate(post(t.Context(), ""), both, audiences); !errors.Is(err, ErrInvalidRequest) {
				t.Errorf("with another client_id: %v", err)
			}
		})
	}
}

func TestAuthenticateAssertionRefused(t *testing.T) {
	t.Parallel()
	s := signers()
	set := jwks(t, map[string]crypto.Signer{"r": s.rsa, "e": s.ec, "d": s.ed})
	cs := with(t,
		signing("signs", set), signing("other", jwks(t, map[string]crypto.Signer{"r": s.otherRSA})),
		signing("off", set).disabled(), confidential("web", "s3cret"), public("native"),
	)
	now := time.Now().Unix()
	claim := func(name string, value any) string {
		return sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{name: value}))
	}
	// by signs claims that are good in an unusual way.
	by := func(method jwt.SigningMethod, key any, header map[string]any) string {
		return sign(t, method, key, header, claimsOf("signs", nil))
	}
	der, err := x509.MarshalPKIXPublicKey(s.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&s.rsa.PublicKey)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mine := jose.JSONWebKey{Key: s.otherRSA.Public(), KeyID: "r"}
	valid := by(jwt.SigningMethodEdDSA, s.ed, nil)
	parts := strings.Split(valid, ".")
	swap := func(part int, text string) string {
		swapped := append([]string{}, parts...)
		swapped[part] = base64.RawURLEncoding.EncodeToString([]byte(text))
		return strings.Join(swapped, ".")
	}

	tests := map[string]string{
		// The client's own time and name.
		"expired":                     claim("exp", now-31),
		"expired long ago":            claim("exp", 0),
		"without exp":                 claim("exp", nil),
		"exp too far":                 claim("exp", now+700),
		"exp very far":                claim("exp", 1e300),
		"exp before time":             claim("exp", -1e300),
		"exp as text":                 claim("exp", "soon"),
		"nbf in the future":           claim("nbf", now+60),
		"iat in the future":           claim("iat", now+60),
		"without jti":                 claim("jti", nil),
		"an empty jti":                claim("jti", ""),
		"a jti too long":              claim("jti", strings.Repeat("x", 256)),
		"a jti that is a number":      claim("jti", 7),
		"without iss":                 claim("iss", nil),
		"without sub":                 claim("sub", nil),
		"another iss":                 claim("iss", "other"),
		"another sub":                 claim("sub", "other"),
		"a sub that is a list":        claim("sub", []string{"signs"}),
		"without aud":                 claim("aud", nil),
		"aud of somebody else":        claim("aud", "https://auth.example.org"),
		"aud with a slash":            claim("aud", issuer+"/"),
		"aud in upper case":           claim("aud", strings.ToUpper(issuer)),
		"aud below":                   claim("aud", issuer+"/o2"),
		"aud the client":              claim("aud", "signs"),
		"an empty aud":                claim("aud", ""),
		"aud that is empty":           claim("aud", []string{}),
		"aud of others":               claim("aud", []string{"https://a.test", "https://b.test"}),
		"nobody":                      sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("gone", nil)),
		"disabled":                    sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("off", nil)),
		"a client with a secret":      sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("web", nil)),
		"a public client":             sign(t, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("native", nil)),
		"the key of another client":   sign(t, jwt.SigningMethodRS256, s.rsa, map[string]any{"kid": "r"}, claimsOf("other", nil)),
		"of another, without its kid": sign(t, jwt.SigningMethodRS256, s.rsa, nil, claimsOf("other", nil)),

		// Algorithms and keys.
		"none":                      by(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"None":                      swap(0, `{"alg":"None"}`),
		"no signature":              parts[0] + "." + parts[1] + ".",
		"HS256 with the secret":     sign(t, jwt.SigningMethodHS256, []byte("s3cret"), nil, claimsOf("web", nil)),
		"HS256 with the DER":        by(jwt.SigningMethodHS256, der, map[string]any{"kid": "r"}),
		"HS256 with the PEM":        by(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), map[string]any{"kid": "r"}),
		"HS256 with PKCS 1":         by(jwt.SigningMethodHS256, pkcs1, map[string]any{"kid": "r"}),
		"HS256 with the modulus":    by(jwt.SigningMethodHS256, s.rsa.N.Bytes(), map[string]any{"kid": "r"}),
		"HS256 with the set":        by(jwt.SigningMethodHS256, set, map[string]any{"kid": "r"}),
		"HS256 with nothing":        by(jwt.SigningMethodHS256, []byte{}, nil),
		"HS256 with the Ed25519":    by(jwt.SigningMethodHS256, []byte(s.ed.Public().(ed25519.PublicKey)), map[string]any{"kid": "d"}),
		"RS512":                     by(jwt.SigningMethodRS512, s.rsa, map[string]any{"kid": "r"}),
		"ES384":                     by(jwt.SigningMethodES384, p384, nil),
		"ES256 with the kid of RSA": by(jwt.SigningMethodES256, s.ec, map[string]any{"kid": "r"}),
		"RS256 with the kid of EC":  by(jwt.SigningMethodRS256, s.rsa, map[string]any{"kid": "e"}),
		"ES256 header, RSA signed":  by(jwt.SigningMethodRS256, s.rsa, map[string]any{"alg": "ES256", "kid": "r"}),
		"RS256 header, EdDSA":       by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"alg": "RS256", "kid": "r"}),
		"RS256 header, PS256":       by(jwt.SigningMethodPS256, s.rsa, map[string]any{"alg": "RS256", "kid": "r"}),
		"alg in lower case":         by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"alg": "eddsa"}),
		"alg that is a list":        by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"alg": []string{"EdDSA"}}),
		"another key":               by(jwt.SigningMethodRS256, s.otherRSA, map[string]any{"kid": "r"}),
		"jwk in the header":         by(jwt.SigningMethodRS256, s.otherRSA, map[string]any{"kid": "r", "jwk": mine}),
		"jwk and no kid":            by(jwt.SigningMethodRS256, s.otherRSA, map[string]any{"jwk": mine}),
		"jku":                       by(jwt.SigningMethodRS256, s.otherRSA, map[string]any{"kid": "r", "jku": "https://evil.test/jwks"}),
		"x5u":                       by(jwt.SigningMethodRS256, s.otherRSA, map[string]any{"kid": "r", "x5u": "https://evil.test/cert"}),
		"x5c":                       by(jwt.SigningMethodRS256, s.otherRSA, map[string]any{"kid": "r", "x5c": []string{base64.StdEncoding.EncodeToString(der)}}),
		"an unknown kid":            by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"kid": "x"}),
		"an empty kid":              by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"kid": ""}),
		"a kid that is a number":    by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"kid": 7}),
		"a kid that is a path":      by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"kid": "../d"}),
		"crit":                      by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"crit": []string{"exp"}}),
		"crit, unencoded":           by(jwt.SigningMethodEdDSA, s.ed, map[string]any{"crit": []string{"b64"}, "b64": false}),

		// The text.
		"empty":                    ".",
		"dots":                     "..",
		"two parts":                parts[0] + "." + parts[1],
		"four parts":               valid + ".",
		"five parts":               valid + ".a.b",
		"a blank behind":           valid + " ",
		"padded":                   valid + "=",
		"bits behind the last":     valid[:len(valid)-1] + string(valid[len(valid)-1]+1),
		"a line break within":      parts[0] + ".\n" + parts[1] + "." + parts[2],
		"JSON":                     `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"another payload":          swap(1, `{"iss":"signs","sub":"signs","aud":"https://auth.example.com","exp":`+"99999999999"+`,"jti":"x"}`),
		"no payload":               swap(1, ""),
		"a payload of null":        swap(1, "null"),
		"a payload that is a list": swap(1, "[]"),
		"a header of null":         swap(0, "null"),
		"a header that is no JSON": swap(0, "{"),
		"a header that is a list":  swap(0, "[]"),
		"too long":                 claim("pad", strings.Repeat("x", maxAssertion)),
		"very long":                strings.Repeat("x", 200_000),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			c, assertion, err := cs.assert(t.Context(), text)
			if c != nil || assertion != nil || !errors.Is(err, ErrInvalidClient) {
				t.Errorf("got %v, %+v, %v", c, assertion, err)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	if c, _, err := cs.assert(t.Context(), valid); err != nil || c.ClientID != "signs" {
		t.Errorf("what they were made of: %v, %v", c, err)
	}
	// For nobody in particular.
	for _, audiences := range [][]string{nil, {}, {""}} {
		if c, _, err := cs.Authenticate(post(t.Context(), ""), assertionForm(valid), audiences); c != nil || !errors.Is(err, ErrInvalidClient) {
			t.Errorf("for %q: %v, %v", audiences, c, err)
		}
	}
}

func TestSelectKey(t *testing.T) {
	t.Parallel()
	rs, es := []string{"RS256", "PS256"}, []string{"ES256"}
	keys := []key{
		{kid: "a", algorithms: rs, public: 1}, {kid: "b", algorithms: rs, public: 2}, {algorithms: rs, public: 3},
		{kid: "a", algorithms: es, public: 4}, {algorithms: []string{"EdDSA"}, public: 5}, {kid: "c", algorithms: rs, public: 6}, {kid: "c", algorithms: rs, public: 7},
	}
	tests := []struct {
		algorithm, kid string
		want           any // nil: none
	}{
		{"RS256", "a", 1}, {"PS256", "b", 2}, {"ES256", "a", 4},
		{"RS256", "x", 3},     // it may be that without a kid
		{"ES256", "x", nil},   // the one there is has another
		{"RS256", "", nil},    // one of many
		{"ES256", "", 4},      // the only one
		{"EdDSA", "a", 5},     // that of RSA has the kid, and does not count
		{"EdDSA", "", 5},      //
		{"RS256", "c", nil},   // twice
		{"HS256", "a", nil},   //
		{"", "a", nil},        //
		{"RS256", "A", 3},     // a kid is compared as it is
		{"ES512", "", nil},    //
		{"none", "", nil},     //
		{"RS256 ", "a", nil},  //
		{"PS256", "\x00a", 3}, //
	}
	for _, tt := range tests {
		got, err := selectKey(keys, tt.algorithm, tt.kid)
		if got.public != tt.want || (err == nil) != (tt.want != nil) {
			t.Errorf("selectKey(%q, %q) = %v, %v; want %v", tt.algorithm, tt.kid, got.public, err, tt.want)
		}
	}
	if _, err := selectKey(append(keys, key{algorithms: rs}), "RS256", "x"); err == nil {
		t.Error("one of two keys without kid is taken")
	}
}

// Nobody without the key makes an assertion that is taken, out of good ones or
// out of nothing.
func FuzzAssertion(f *testing.F) {
	s := signers()
	cs := with(f, signing("signs", jwks(f, map[string]crypto.Signer{"r": s.rsa, "e": s.ec, "d": s.ed})))
	valid := map[string]bool{}
	for _, text := range []string{
		sign(f, jwt.SigningMethodEdDSA, s.ed, map[string]any{"kid": "d"}, claimsOf("signs", map[string]any{"jti": "1"})),
		sign(f, jwt.SigningMethodRS256, s.rsa, map[string]any{"kid": "r"}, claimsOf("signs", map[string]any{"jti": "2"})),
	} {
		if _, _, err := cs.assert(context.Background(), text); err != nil {
			f.Fatal(err)
		}
		valid[text] = true
		f.Add(text)
		f.Add(text[1:])
		f.Add(text[:len(text)-1])
		f.Add(strings.Replace(text, ".", "..", 1))
	}
	f.Add(sign(f, jwt.SigningMethodHS256, []byte("x"), nil, claimsOf("signs", nil)))
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claimsOf("signs", nil)))
	f.Add("eyJhbGciOiJFZERTQSJ9.bnVsbA.")
	f.Fuzz(func(t *testing.T, text string) {
		// What is read is said in one way.
		if a, err := parseAssertion(text); err == nil {
			if _, known := algorithms[a.algorithm]; !known || text != a.signed+"."+base64.RawURLEncoding.EncodeToString(a.signature) {
				t.Fatalf("%q is read as %+v", text, a)
			}
		}
		c, assertion, err := cs.assert(t.Context(), text)
		if (c == nil) != (err != nil) || (assertion == nil) != (err != nil) {
			t.Fatalf("%q: %v, %v, %v", text, c, assertion, err)
		}
		if err == nil && !valid[text] {
			t.Fatalf("%q is taken", text)
		}
		if err != nil && !errors.Is(err, ErrInvalidClient) && !errors.Is(err, ErrInvalidRequest) {
			t.Fatal(err)
		}
	})
}

func BenchmarkAssertion(b *testing.B) {
	s := signers()
	cs := with(b, signing("signs", jwks(b, map[string]crypto.Signer{"r": s.rsa, "e": s.ec, "d": s.ed})))
	for _, text := range []string{
		sign(b, jwt.SigningMethodRS256, s.rsa, nil, claimsOf("signs", map[string]any{"exp": time.Now().Unix() + 600})),
		sign(b, jwt.SigningMethodES256, s.ec, nil, claimsOf("signs", map[string]any{"exp": time.Now().Unix() + 600})),
		sign(b, jwt.SigningMethodEdDSA, s.ed, nil, claimsOf("signs", map[string]any{"exp": time.Now().Unix() + 600})),
	} {
		a, err := parseAssertion(text)
		if err != nil {
			b.Fatal(err)
		}
		r, body := post(b.Context(), ""), assertionForm(text)
		b.Run(a.algorithm, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := cs.Authenticate(r, body, audiences); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
