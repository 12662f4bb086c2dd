package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

var testFiles = map[Alg]string{
	RS256: "rsa2048.pkcs8.pem", PS256: "rsa2048.pkcs8.pem", ES256: "p256.pkcs8.pem", EdDSA: "ed25519.pkcs8.pem",
}

// keysOf returns keys as if each was that of a domain of its own.
func keysOf(keys ...*SigningKey) *Keys {
	is := &snapshot{domains: map[string]*Domain{}}
	for i, key := range keys {
		d := &Domain{Name: string(rune('a'+i)) + ".example.com"}
		d.add(key, true)
		is.domains[d.Name] = d
	}
	is.sort()
	k := &Keys{}
	k.current.Store(is)
	return k
}

func TestSignAs(t *testing.T) {
	for alg, file := range testFiles {
		key := signingKey(t, file)
		for _, typ := range []Typ{TypJWT, TypAccessToken} {
			text, err := key.SignAs(alg, typ, []byte(`{"exp":1800000000}`))
			if err != nil {
				t.Fatal(err)
			}
			encoded, _, _ := strings.Cut(text, ".")
			header, err := base64.RawURLEncoding.DecodeString(encoded)
			if want := `{"alg":"` + string(alg) + `","kid":"` + key.KID + `","typ":"` + string(typ) + `"}`; err != nil || string(header) != want {
				t.Errorf("header %s, %v; want %s", header, err, want)
			}
			jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if payload, err := jws.Verify(key.Public); err != nil || string(payload) != `{"exp":1800000000}` {
				t.Errorf("%s: %s, %v", alg, payload, err)
			}
		}
		for other := range testFiles {
			if _, err := key.SignAs(other, TypJWT, []byte(`{}`)); (err == nil) != (other.Key() == alg.Key()) {
				t.Errorf("%s signs by %s: %v", key.Algorithm(), other, err)
			}
		}
		if text, err := key.SignAs(alg, "logout", []byte(`{}`)); err == nil {
			t.Errorf("a typ that is none: %s", text)
		}
	}
	if text, err := (&SigningKey{KID: "x"}).SignAs(ES256, TypJWT, []byte(`{}`)); err == nil {
		t.Errorf("a key that cannot sign: %s", text)
	}
}

func TestParseAlg(t *testing.T) {
	for _, name := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		if a, err := ParseAlg(name); err != nil || string(a) != name {
			t.Errorf("ParseAlg(%q) = %q, %v", name, a, err)
		}
	}
	for _, name := range []string{"", "none", "HS256", "RS512", "rs256", "Ed25519", "ES256 "} {
		if a, err := ParseAlg(name); err == nil {
			t.Errorf("ParseAlg(%q) = %q", name, a)
		}
	}
}

// Core section 3.1.3.6 takes the hash function of alg; Ed25519 has SHA-512.
func TestAlgHash(t *testing.T) {
	for alg, want := range map[Alg]int{RS256: 32, PS256: 32, ES256: 32, EdDSA: 64} {
		if got := alg.Hash().Size(); got != want {
			t.Errorf("%s hashes to %d bytes, want %d", alg, got, want)
		}
	}
}

func TestVerify(t *testing.T) {
	var signers []*SigningKey
	for _, alg := range []Alg{RS256, ES256, EdDSA} {
		signers = append(signers, signingKey(t, testFiles[alg]))
	}
	keys := keysOf(signers...)
	for _, key := range signers {
		for _, alg := range key.Algs() {
			text, err := key.SignAs(alg, TypAccessToken, []byte(`{"sub":"alice"}`))
			if err != nil {
				t.Fatal(err)
			}
			v, err := keys.Verify(text)
			if err != nil || v.Alg != alg || v.Typ != TypAccessToken || v.KID != key.KID || string(v.Payload) != `{"sub":"alice"}` {
				t.Errorf("Verify = %+v, %v", v, err)
			}
			for _, payload := range []string{`null`, `[]`, `"x"`, `1`, `{`, ``} {
				text, err := key.SignAs(alg, TypJWT, []byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				if v, err := keys.Verify(text); !errors.Is(err, ErrSignature) {
					t.Errorf("payload %s: %+v, %v", payload, v, err)
				}
			}
		}
	}

	// Docker tokens have no kid, or another.
	for _, hint := range []Hint{HintX5C, HintLibtrust} {
		text, err := signers[0].SignHinted(hint, map[string]string{"sub": "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := keys.Verify(text); !errors.Is(err, ErrSignature) {
			t.Errorf("hint %s: %+v, %v", hint, v, err)
		}
	}
}

// compact returns a JWS with whatever header and signature.
func compact(header, payload string, sign func(input string) []byte) string {
	base64url := base64.RawURLEncoding
	input := base64url.EncodeToString([]byte(header)) + "." + base64url.EncodeToString([]byte(payload))
	return input + "." + base64url.EncodeToString(sign(input))
}

// RFC 8725 section 2: the header of a token says nothing about how it is to be
// verified but the name of a key.
func TestVerifyAttacks(t *testing.T) {
	rsaKey, ecKey, edKey := signingKey(t, testFiles[RS256]), signingKey(t, testFiles[ES256]), signingKey(t, testFiles[EdDSA])
	stranger, err := Generate(P256)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(rsaKey, ecKey, edKey)
	header := func(alg string, kid string, more string) string {
		return `{"alg":"` + alg + `","kid":"` + kid + `","typ":"JWT"` + more + `}`
	}
	const claims = `{"sub":"mallory"}`
	digest := func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		return sum[:]
	}
	pkcs1 := func(input string) []byte {
		signature, err := rsa.SignPKCS1v15(nil, rsaKey.private.(*rsa.PrivateKey), crypto.SHA256, digest(input))
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	ec := func(key crypto.Signer) func(string) []byte {
		return func(input string) []byte {
			text, err := loaded(t, key).method.Sign(input, key)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	ed := func(input string) []byte {
		signature, err := edKey.private.Sign(nil, []byte(input), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	none := func(string) []byte { return nil }
	hs := func(secret []byte) func(string) []byte {
		return func(input string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			return mac.Sum(nil)
		}
	}
	der, err := MarshalPublic(rsaKey.Public)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := PublicPEM(rsaKey.Public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: stranger.Public()})
	if err != nil {
		t.Fatal(err)
	}
	strangerKID, err := KID(stranger.Public())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := keys.Verify(compact(header("RS256", rsaKey.KID, ""), claims, pkcs1)); err != nil {
		t.Fatalf("the attacks begin with what is no attack: %v", err)
	}
	good := compact(header("ES256", ecKey.KID, ""), claims, ec(ecKey.private))
	if _, err := keys.Verify(good); err != nil {
		t.Fatalf("the attacks begin with what is no attack: %v", err)
	}
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"alg none":                             compact(header("none", rsaKey.KID, ""), claims, none),
		"alg None":                             compact(header("None", rsaKey.KID, ""), claims, none),
		"no alg":                               compact(`{"kid":"`+rsaKey.KID+`"}`, claims, none),
		"no signature":                         compact(header("ES256", ecKey.KID, ""), claims, none),
		"HS256 with the public key, DER":       compact(header("HS256", rsaKey.KID, ""), claims, hs(der)),
		"HS256 with the public key, PEM":       compact(header("HS256", rsaKey.KID, ""), claims, hs([]byte(pem))),
		"RS384 with an RSA key":                compact(header("RS384", rsaKey.KID, ""), claims, pkcs1),
		"PS256 with a signature of RS256":      compact(header("PS256", rsaKey.KID, ""), claims, pkcs1),
		"RS256 with an EC key":                 compact(header("RS256", ecKey.KID, ""), claims, pkcs1),
		"ES256 with an RSA key":                compact(header("ES256", rsaKey.KID, ""), claims, ec(ecKey.private)),
		"EdDSA with an EC key":                 compact(header("EdDSA", ecKey.KID, ""), claims, ed),
		"the kid of another of our keys":       compact(header("EdDSA", rsaKey.KID, ""), claims, ed),
		"a stranger's key under our kid":       compact(header("ES256", ecKey.KID, ""), claims, ec(stranger)),
		"a stranger's key under its own kid":   compact(header("ES256", strangerKID, ""), claims, ec(stranger)),
		"a stranger's key in the header":       compact(header("ES256", strangerKID, `,"jwk":`+string(jwk)), claims, ec(stranger)),
		"a stranger's key at an address":       compact(header("ES256", strangerKID, `,"jku":"https://example.org/"`), claims, ec(stranger)),
		"no kid":                               compact(`{"alg":"ES256","typ":"JWT"}`, claims, ec(ecKey.private)),
		"a kid that is a number":               compact(`{"alg":"ES256","kid":1}`, claims, ec(ecKey.private)),
		"an extension that must be known":      compact(header("ES256", ecKey.KID, `,"crit":["exp"],"exp":1`), claims, ec(ecKey.private)),
		"a payload that is not encoded":        compact(header("ES256", ecKey.KID, `,"b64":false,"crit":["b64"]`), claims, ec(ecKey.private)),
		"a signature of zeros":                 compact(header("ES256", ecKey.KID, ""), claims, func(string) []byte { return make([]byte, 64) }),
		"a signature as DER":                   compact(header("ES256", ecKey.KID, ""), claims, func(input string) []byte { s, _ := ecKey.private.Sign(nil, digest(input), crypto.SHA256); return s }),
		"other claims":                         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"alice"}`)) + "." + parts[2],
		"another header":                       base64.RawURLEncoding.EncodeToString([]byte(header("ES256", ecKey.KID, " "))) + "." + parts[1] + "." + parts[2],
		"two parts":                            parts[0] + "." + parts[1],
		"four parts":                           good + ".",
		"five parts, as encrypted tokens have": good + ".x.y",
		"padding":                              good + "==",
		"a blank before":                       " " + good,
		"a line break behind":                  good + "\n",
		"a line break in the signature":        good[:len(good)-9] + "\r\n" + good[len(good)-9:],
		"a line break inside":                  good[:40] + "\n" + good[40:],
		"the JSON serialisation":               `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"nothing":                              "",
		"dots":                                 "..",
	} {
		if v, err := keys.Verify(text); !errors.Is(err, ErrSignature) || v.Payload != nil {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}

	// The last character of a signature has bits that decode to nothing.
	last := good[len(good)-1]
	for c := range strings.SplitSeq("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "") {
		if _, err := keys.Verify(good[:len(good)-1] + c); (err == nil) != (c[0] == last) {
			t.Errorf("%q in the place of %q: %v", c, last, err)
		}
	}
}

// ECDSA lets anybody make a second signature of one. What is signed stays the
// same, so nothing may depend on the text of a token as a whole.
func TestVerifySecondSignature(t *testing.T) {
	key := signingKey(t, testFiles[ES256])
	text, err := key.SignAs(ES256, TypJWT, []byte(`{"sub":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	i := strings.LastIndexByte(text, '.') + 1
	signature := decode(t, text[i:])
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(key.Public.(*ecdsa.PublicKey).Curve.Params().N, s).FillBytes(signature[32:])
	v, err := keysOf(key).Verify(text[:i] + base64.RawURLEncoding.EncodeToString(signature))
	if err != nil || string(v.Payload) != `{"sub":"alice"}` {
		t.Errorf("%+v, %v", v, err)
	}
}

// Whatever is accepted, was signed: no header or payload but those.
func FuzzVerify(f *testing.F) {
	var signers []*SigningKey
	for _, alg := range []Alg{RS256, ES256, EdDSA} {
		signers = append(signers, signingKey(f, testFiles[alg]))
	}
	keys := keysOf(signers...)
	signed := map[string]bool{}
	for _, key := range signers {
		for _, alg := range key.Algs() {
			text, err := key.SignAs(alg, TypJWT, []byte(`{"sub":"alice"}`))
			if err != nil {
				f.Fatal(err)
			}
			signed[text[:strings.LastIndexByte(text, '.')]] = true
			f.Add(text)
			f.Add(text + "=")
			f.Add("eyJhbGciOiJub25lIn0" + text[strings.IndexByte(text, '.'):])
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := keys.Verify(text)
		if (err == nil) == (v.Payload == nil) || err != nil && !errors.Is(err, ErrSignature) {
			t.Fatalf("Verify(%q) = %+v, %v", text, v, err)
		}
		if err == nil && !signed[text[:strings.LastIndexByte(text, '.')]] {
			t.Errorf("%q was never signed", text)
		}
	})
}

// The keys of all domains are one JWKS, and each of them verifies; those of
// registries are not for the clients of OAuth 2.0.
func TestKeysOfAllDomains(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	com := []sealedKey{h.newKey(t, "example.com", RSA), h.newKey(t, "example.com", Ed25519)}
	org := h.newKey(t, "example.org", P256)
	registry := h.newKey(t, RegistryOwner("registry.example.com"), P256)
	h.createDomain(t, "example.org", false, org)
	h.createDomain(t, "example.com", false, com...)
	h.createRegistry(t, "registry.example.com", "example.com", "registry", registry)
	h.exec(t, `update auth.keys set state = 'retired', retired_at = now() where kid = $1`, com[1].KID)
	keys := h.openKeys(t)

	var kids, algs []string
	for _, jwk := range keys.JWKS(false).Keys {
		kids, algs = append(kids, jwk.KeyID), append(algs, jwk.Algorithm)
	}
	if want := []string{com[0].KID, com[1].KID, org.KID}; !slices.Equal(kids, want) || strings.Join(algs, " ") != "RS256 EdDSA ES256" {
		t.Errorf("JWKS has %q with %q, want %q", kids, algs, want)
	}
	algs = nil
	for _, jwk := range keys.JWKS(true).Keys {
		algs = append(algs, jwk.Algorithm)
	}
	if strings.Join(algs, " ") != " EdDSA ES256" {
		t.Errorf("algs of a JWKS for PS256: %q", algs)
	}
	text, err := json.Marshal(keys.JWKS(true))
	if err != nil || strings.Contains(string(text), `"alg":""`) || strings.Contains(string(text), `"d"`) {
		t.Errorf("%s, %v", text, err)
	}

	if got := keys.Algs(); !slices.Equal(got, []Alg{RS256, PS256, ES256}) {
		t.Errorf("domains sign by %q", got)
	}
	d := keys.mustDomain(t, "example.com")
	if d.ActiveAlg(EdDSA) != nil || d.ActiveAlg(PS256) != d.ActiveAlg(RS256) || d.ActiveAlg(RS256).KID != com[0].KID {
		t.Error("example.com signs with other keys than it has")
	}

	for key, want := range map[*SigningKey]bool{
		d.ActiveAlg(RS256): true,
		keys.mustDomain(t, "example.org").ActiveAlg(ES256):          true,
		keys.Registry("registry.example.com").ActiveAlgorithm(P256): false,
	} {
		text, err := key.Sign(map[string]string{"sub": "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := keys.Verify(text); (err == nil) != want {
			t.Errorf("Verify by %s = %+v, %v", key.KID, v, err)
		}
	}
}

// Two domains may have been given the same key elsewhere.
func TestSharedKeyIsPublishedOnce(t *testing.T) {
	keys := keysOf(signingKey(t, testFiles[ES256]), signingKey(t, testFiles[RS256]), signingKey(t, testFiles[ES256]))
	if got := keys.JWKS(false).Keys; len(got) != 2 || got[0].KeyID == got[1].KeyID {
		t.Errorf("JWKS has %d keys, want 2", len(got))
	}
	text, err := keys.mustDomain(t, "c.example.com").ActiveAlg(ES256).SignAs(ES256, TypJWT, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(text); err != nil {
		t.Error(err)
	}
}

// A key that cannot be opened is named, although another one signs.
func TestSealedAlg(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := house{h.DB, sealingKey(t, "another secret that is long enough for this")}
	shut := stranger.newKey(t, "example.com", P256)
	h.createDomain(t, "example.com", false, shut, h.newKey(t, "example.com", RSA))
	d := h.openKeys(t).mustDomain(t, "example.com")
	if key := d.SealedAlg(ES256); key == nil || key.KID != shut.KID || d.ActiveAlg(ES256) != nil {
		t.Errorf("SealedAlg(ES256) = %v", key)
	}
	if d.SealedAlg(RS256) != nil || d.SealedAlg(EdDSA) != nil || d.Sealed() != nil {
		t.Error("a key cannot be opened that can, or that is none")
	}
	if jwks := h.openKeys(t).JWKS(false); len(jwks.Keys) != 2 {
		t.Errorf("JWKS has %d keys: one that cannot be opened still verifies", len(jwks.Keys))
	}
}
