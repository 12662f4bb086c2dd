package claims

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"authbridge/authserver/client"
	"authbridge/authserver/token"
	"authbridge/internal/pgtest"
	"authbridge/internal/seal"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const issuerURL = "https://id.example.com/o2"

// house is an issuer with the database behind it. example.com has keys of all
// kinds and answers for the issuer's host; example.org has RSA alone,
// example.net none.
type house struct {
	*Issuer
	db      pgtest.DB
	sealing seal.Key
}

// private are the keys of all houses, by kind: it takes a while to make one.
var private = map[token.Algorithm]func() (crypto.Signer, error){
	token.RSA:     sync.OnceValues(func() (crypto.Signer, error) { return token.Generate(token.RSA) }),
	token.P256:    sync.OnceValues(func() (crypto.Signer, error) { return token.Generate(token.P256) }),
	token.Ed25519: sync.OnceValues(func() (crypto.Signer, error) { return token.Generate(token.Ed25519) }),
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{db: pgtest.New(t, "authserver_web"), sealing: sealingKey(t, "for these tests only, and long enough")}
	h.createDomain(t, "example.com", h.sealing, token.Ed25519, token.P256, token.RSA)
	h.createDomain(t, "example.org", h.sealing, token.RSA)
	h.createDomain(t, "example.net", h.sealing)
	h.createClaim(t, "team", "team", "profile", "string")
	h.createClaim(t, "org.example/number", "number", "org", "integer")
	h.createClaim(t, "staff", "staff", "org", "boolean")
	h.createClaim(t, "roles", "roles", "org", "list")
	h.createClaim(t, "unit", "unit", "org", "json")
	h.load(t)
	return h
}

func sealingKey(t testing.TB, secret string) seal.Key {
	t.Helper()
	master, err := seal.NewMaster(secret)
	if err != nil {
		t.Fatal(err)
	}
	return master.Derive(seal.JWT)
}

// load makes the issuer of what the database has.
func (h *house) load(t testing.TB) {
	t.Helper()
	keys, err := token.OpenKeys(t.Context(), h.db.Pool, func(row string, sealed []byte) ([]byte, error) { return h.sealing.Open(sealed, row) })
	if err != nil {
		t.Fatal(err)
	}
	clients, err := client.Open(t.Context(), h.db.Pool)
	if err != nil {
		t.Fatal(err)
	}
	h.Issuer = &Issuer{URL: issuerURL, Keys: keys, Clients: clients}
}

func (h *house) createDomain(t testing.TB, name string, sealing seal.Key, algorithms ...token.Algorithm) {
	t.Helper()
	type sealedKey struct {
		Purpose   token.Purpose   `json:"purpose"`
		Algorithm token.Algorithm `json:"algorithm"`
		KID       string          `json:"kid"`
		PublicKey []byte          `json:"public_key"`
		SealedKey []byte          `json:"sealed_key"`
		SealedBy  string          `json:"sealed_by"`
	}
	keys := []sealedKey{}
	for _, a := range algorithms {
		key := mustKey(t, a)
		der, err := token.MarshalPublic(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		plain, err := token.MarshalPrivate(key)
		if err != nil {
			t.Fatal(err)
		}
		kid, err := token.KID(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, sealedKey{token.JWT, a, kid, der, sealing.Seal(plain, token.Row(name, der)), sealing.ID()})
	}
	var outcome string
	err := h.db.Owner.QueryRow(t.Context(), `select outcome from api.create_domain($1, null, null, true, false, 'default', '+-', $2)`, name, keys).Scan(&outcome)
	if err != nil || outcome != "ok" {
		t.Fatalf("create_domain: %s, %v", outcome, err)
	}
}

func mustKey(t testing.TB, a token.Algorithm) crypto.Signer {
	t.Helper()
	key, err := private[a]()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// createClaim makes a custom claim behind the back of the functions that check
// it.
func (h *house) createClaim(t testing.TB, name, attribute, scope, kind string) {
	t.Helper()
	if _, err := h.db.Owner.Exec(t.Context(), `insert into auth.oauth2_claims values ($1, $2, $3, $4)`, name, attribute, scope, kind); err != nil {
		t.Fatal(err)
	}
}

// wiki is a client as the database makes it.
func wiki() *client.Client {
	return &client.Client{
		ClientID:            "wiki",
		Enabled:             true,
		Type:                client.Confidential,
		Subject:             "uuid",
		IDTokenClaims:       "minimal",
		AccessTokenClaims:   "minimal",
		GroupsInProfile:     true,
		IDTokenAlg:          "RS256",
		AccessTokenTyp:      "at+jwt",
		AccessTokenLifetime: 5 * time.Minute,
		IDTokenLifetime:     time.Hour,
	}
}

// edited returns the client wiki with a change.
func edited(edit func(c *client.Client)) *client.Client {
	c := wiki()
	edit(c)
	return c
}

const (
	aliceID = "4b3f6ac1-37a5-4c5e-9a9a-0d9c9f1f2a33"
	grantID = "9d5c5b9e-7a55-4e6d-8a8f-55a4e7a1b2c3"
	session = "0e2f8a54-6c7c-4a43-b1d3-3f3d3c1b9a77"
)

func alice() Identity {
	return Identity{
		UserID:         aliceID,
		Subject:        aliceID,
		Identifier:     "alice",
		FullName:       "Alice Example",
		PrimaryAddress: "alice@example.com",
		Groups:         []string{"wiki", "admins"},
		Permissions:    []string{"wiki.write", "wiki.read"},
		Attributes: map[string]string{
			"locale": "de", "picture": "https://example.com/alice.png", "state": "member",
			"team": "Blue", "number": "42", "staff": "true", "roles": "editor, writer,,", "unit": `{"b": [1, 2], "a": null}`,
		},
	}
}

func signedIn() Authentication {
	return Authentication{Time: time.Unix(1800000000, 0), AMR: []string{"pwd"}, ACR: "1", SessionID: session}
}

// parts returns the header and the payload of a token.
func parts(t testing.TB, text string) (header, payload string) {
	t.Helper()
	var decoded [2]string
	for i, part := range strings.SplitN(text, ".", 3)[:2] {
		plain, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		decoded[i] = string(plain)
	}
	return decoded[0], decoded[1]
}

// algOf returns alg and typ of a token.
func algOf(t testing.TB, text string) string {
	t.Helper()
	var header struct{ Alg, Typ string }
	plain, _ := parts(t, text)
	if err := json.Unmarshal([]byte(plain), &header); err != nil {
		t.Fatal(err)
	}
	return header.Alg + " " + header.Typ
}

// jwks serves the public keys, as other programs read them.
func (h *house) jwks(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(h.Keys.JWKS(true))
	}))
	t.Cleanup(server.Close)
	return server
}

// peer returns a verifier of another make.
func (h *house) peer(t testing.TB, clientID string, algs ...string) *oidc.IDTokenVerifier {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	keys := oidc.NewRemoteKeySet(ctx, h.jwks(t).URL)
	return oidc.NewVerifier(issuerURL, keys, &oidc.Config{ClientID: clientID, SupportedSigningAlgs: algs})
}

// verifyJWS returns the payload of a token, as another library verifies it with
// the JWKS.
func (h *house) verifyJWS(t testing.TB, text string, alg string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	set := h.Keys.JWKS(false)
	found := set.Key(jws.Signatures[0].Protected.KeyID)
	if len(found) != 1 {
		t.Fatalf("the JWKS has %d keys for the token", len(found))
	}
	payload, err := jws.Verify(found[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

// text returns an object as it is sent.
func text(t testing.TB, o Object) string {
	t.Helper()
	plain, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// checkNames fails if a JSON object has a name twice, as some programs read it:
// without case. That would be for a reader to choose.
func checkNames(t testing.TB, object string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		folded := strings.ToLower(name.(string))
		if seen[folded] {
			t.Errorf("%q is there twice in %s", name, object)
		}
		seen[folded] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		if string(value) == "null" || string(value) == `""` || string(value) == "[]" {
			t.Errorf("%q is empty in %s", name, object)
		}
	}
}
