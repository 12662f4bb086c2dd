package clientapi

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"authbridge/authserver/token"

	"github.com/go-jose/go-jose/v4"
)

// pubkeyAnswer is what /getkey says of example.com.
func (h *house) pubkeyAnswer(t *testing.T) string {
	t.Helper()
	text, err := token.PublicPEM(h.key)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string][]string{"public_key_pem": strings.Split(text, "\n")}) // strings
	return string(body)
}

func TestGetKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const notOurs, noKey = `{"error": "Not a valid authorization domain"}`, `{"error": "Domain is not JWT enabled"}`
	pubkey := h.pubkeyAnswer(t)
	for query, tt := range map[string]struct {
		status int
		want   string
	}{
		"":                                {200, pubkey},
		"?type=d&format=pubkey":           {200, pubkey},
		"?domain=example.com":             {200, pubkey},
		"?domain=x.Example.com:5000":      {200, pubkey},
		"?domain=example.org":             {404, noKey},
		"?domain=example.org&format=cert": {404, noKey},
		"?domain=example.org&format=jwks": {404, noKey},
		"?domain=example.org&format=bundle": {404, noKey},
		"?domain=auth.example.org":        {404, notOurs},
		"?domain=%00":                     {404, notOurs},
		"?domain=a%40example.com":         {404, notOurs},
		"?type=r":                         {404, `{"error": "Not a valid registry"}`},
		"?type=x":                         {400, `{"error": "Invalid type code (d and r are valid)"}`},
		"?format=der":                     {400, `{"error": "Invalid format (can be pubkey, cert, bundle or jwks)"}`},
	} {
		got := h.do(newRequest("GET", "/getkey"+query, "", ""))
		got.want(t, tt.status, tt.want)
		cache := "no-store"
		if tt.status == 200 {
			cache = "public, max-age=300"
		}
		if c := got.header.Get("Cache-Control"); c != cache {
			t.Errorf("%s: Cache-Control: %s, want %s", query, c, cache)
		}
	}
}

// The certificate is for the key that signs, and the same every time; its lines
// joined are a PEM file.
func TestGetKeyCertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.do(newRequest("GET", "/getkey?format=cert", "", ""))
	var answer struct {
		Cert         []string `json:"cert"`
		PublicKeyPEM []string `json:"public_key_pem"`
	}
	if err := json.Unmarshal([]byte(first.body), &answer); err != nil || answer.PublicKeyPEM != nil {
		t.Fatalf("%v: %s", err, first)
	}
	block, rest := pem.Decode([]byte(strings.Join(answer.Cert, "\n")))
	if block == nil || len(rest) != 0 || answer.Cert[len(answer.Cert)-1] != "" {
		t.Fatalf("lines %q", answer.Cert)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !h.key.(interface{ Equal(crypto.PublicKey) bool }).Equal(cert.PublicKey) {
		t.Error("the certificate is for another key")
	}
	if again := h.do(newRequest("GET", "/getkey?format=cert", "", "")); again.body != first.body {
		t.Error("the certificate changes")
	}
}

func TestGetKeyJWKS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.do(newRequest("GET", "/getkey?format=jwks", "", ""))
	if got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s", got)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(got.body), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v: %s", err, got)
	}
	if kid, _ := token.KID(h.key); !set.Keys[0].IsPublic() || len(set.Key(kid)) != 1 {
		t.Errorf("keys %s", got.body)
	}
}

