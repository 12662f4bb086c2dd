package clientapi

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
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
		"":                                  {200, pubkey},
		"?type=d&format=pubkey":             {200, pubkey},
		"?domain=example.com":               {200, pubkey},
		"?domain=x.Example.com:5000":        {200, pubkey},
		"?domain=example.org":               {404, noKey},
		"?domain=example.org&format=cert":   {404, noKey},
		"?domain=example.org&format=jwks":   {404, noKey},
		"?domain=example.org&format=bundle": {404, noKey},
		"?domain=auth.example.org":          {404, notOurs},
		"?domain=%00":                       {404, notOurs},
		"?domain=a%40example.com":           {404, notOurs},
		"?type=r":                           {404, `{"error": "Not a valid registry"}`},
		"?type=x":                           {400, `{"error": "Invalid type code (d and r are valid)"}`},
		"?format=der":                       {400, `{"error": "Invalid format (can be pubkey, cert, bundle or jwks)"}`},
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

// A keyed is what /getkey says in all its formats, by the names of the keys.
type keyed struct {
	signs string   // pubkey and cert
	all   []string // bundle and jwks
}

// ask asks for the keys of whatever a query names, in all formats, and returns
// the bundle as it came, too. All answers must be 200.
func (h *house) ask(t *testing.T, host, query string) (got keyed, bundle string) {
	t.Helper()
	answers := map[string]string{}
	for _, format := range []string{"pubkey", "cert", "bundle", "jwks"} {
		r := newRequest("GET", "/getkey?"+query+"&format="+format, "", "")
		r.Host = host
		a := h.do(r)
		if a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=300" {
			t.Fatalf("%s, %s: %s", query, format, a)
		}
		answers[format] = a.body
	}
	for format, member := range map[string]string{"pubkey": "public_key_pem", "cert": "cert"} {
		kids := pemKIDs(t, answers[format], member)
		if len(kids) != 1 || got.signs != "" && kids[0] != got.signs {
			t.Errorf("%s: %s is of %q, the other of %q", query, format, kids, got.signs)
		}
		got.signs = kids[0]
	}
	got.all = pemKIDs(t, answers["bundle"], "bundle")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(answers["jwks"]), &set); err != nil {
		t.Fatalf("%v: %s", err, answers["jwks"])
	}
	for i, key := range set.Keys {
		if i >= len(got.all) || key.KeyID != got.all[i] || !key.IsPublic() {
			t.Errorf("%s: the JWKS is not of %q: %s", query, got.all, answers["jwks"])
		}
	}
	if len(set.Keys) != len(got.all) {
		t.Errorf("%s: the JWKS has %d keys, the bundle %q", query, len(set.Keys), got.all)
	}
	return got, answers["bundle"]
}

// pemKIDs returns the names of the keys in an answer with the lines of a PEM
// file as its only member.
func pemKIDs(t *testing.T, body, member string) []string {
	t.Helper()
	var answer map[string][]string
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer) != 1 || len(answer[member]) == 0 {
		t.Fatalf("%s: %v, %s", member, err, body)
	}
	lines := answer[member]
	if lines[len(lines)-1] != "" {
		t.Errorf("%s: no empty line at the end: %q", member, lines)
	}
	var kids []string
	block, rest := pem.Decode([]byte(strings.Join(lines, "\n")))
	for ; block != nil; block, rest = pem.Decode(rest) {
		var public crypto.PublicKey
		var err error
		if block.Type == "CERTIFICATE" {
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = c.PublicKey
			}
		} else {
			public, err = token.UnmarshalPublic(block.Bytes)
		}
		if err != nil {
			t.Fatal(err)
		}
		kid, err := token.KID(public)
		if err != nil {
			t.Fatal(err)
		}
		kids = append(kids, kid)
	}
	if len(rest) != 0 {
		t.Errorf("%s: %q is left", member, rest)
	}
	return kids
}

// addRegistry makes a Docker registry.
func (h *house) addRegistry(t *testing.T, clientID, domain, signingKey string) {
	t.Helper()
	h.arrange(t, `insert into auth.docker_registries (client_id, name, domain_id, signing_key)
		select $1, $1, d.id, $3 from auth.domains d where d.name = $2`, clientID, domain, signingKey)
}

// addKey makes a key of a registry, or else of a domain, and returns its name.
func (h *house) addKey(t *testing.T, owner, state string) string {
	t.Helper()
	signer, err := token.Generate(token.P256)
	if err != nil {
		t.Fatal(err)
	}
	kid, err := token.KID(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	public, err := token.MarshalPublic(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := token.MarshalPrivate(signer)
	if err != nil {
		t.Fatal(err)
	}
	h.arrange(t, `
		insert into auth.keys (domain_id, registry_id, purpose, algorithm, state, kid, public_key, sealed_key, sealed_by, activated_at, retired_at)
		select case when r.id is null then d.id end, r.id, 'jwt', 'ecdsa-p256', $2, $3, $4, $5, 'test',
		       case $2 when 'active' then now() end, case $2 when 'retired' then now() end
		  from (select $1::text as name) n
		  left join auth.docker_registries r on r.client_id = n.name
		  left join auth.domains d on d.name = n.name`, owner, state, kid, public, private)
	return kid
}

// kid returns the name of the key of example.com.
func (h *house) kid(t *testing.T) string {
	t.Helper()
	kid, err := token.KID(h.key)
	if err != nil {
		t.Fatal(err)
	}
	return kid
}

func TestGetKeyOfRegistry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.arrange(t, `insert into auth.domains (name, jwt_subdomains) values ('example.net', true), ('xn--bcher-kva.example', true)`)
	const own, moving, only, named = "own.example.com:5000", "moving.example.com", "Registry of example.net", "example.com"
	h.addRegistry(t, own, "example.com", "registry")
	h.addRegistry(t, moving, "example.com", "domain")
	h.addRegistry(t, only, "example.net", "domain")
	h.addRegistry(t, named, "xn--bcher-kva.example", "registry") // like another's domain
	retired, active, next := h.addKey(t, own, "retired"), h.addKey(t, own, "active"), h.addKey(t, own, "published")
	ahead := h.addKey(t, moving, "active")
	netRetired, net := h.addKey(t, "example.net", "retired"), h.addKey(t, "example.net", "active")
	other := h.addKey(t, named, "active")
	h.reopen(t, nil)

	ofOwn := keyed{active, []string{active, next, retired}}
	ofNet := keyed{net, []string{net, netRetired}}
	ofNamed := keyed{other, []string{other}}
	for name, tt := range map[string]struct {
		host, domain string
		want         keyed
	}{
		"with a port in its client id": {"auth.example.com", own, ofOwn},
		"as the host of the request":   {own, "", ofOwn},
		"during the change over":       {"auth.example.com", moving, keyed{h.kid(t), []string{h.kid(t), ahead}}},
		"with its domain's keys":       {"auth.example.com", only, ofNet},
		"by its domain":                {"auth.example.com", "example.net", ofNet},
		"by its domain and a port":     {"auth.example.com", "Example.net.:443", ofNet},
		"by the host as its domain":    {"example.net:8443", "", ofNet},
		"by its domain's U-label":      {"auth.example.com", "bücher.example", ofNamed},
		"called like another's domain": {"auth.example.com", named, ofNamed},
	} {
		query := "type=r"
		if tt.domain != "" {
			query += "&domain=" + url.QueryEscape(tt.domain)
		}
		got, bundle := h.ask(t, tt.host, query)
		if got.signs != tt.want.signs || !slices.Equal(got.all, tt.want.all) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		// Whoever keeps the bundle compares its bytes, whichever server answers.
		h.reopen(t, nil)
		if _, again := h.ask(t, tt.host, query); again != bundle {
			t.Errorf("%s: the bundle changes", name)
		}
	}
	got, _ := h.ask(t, "auth.example.com", "type=d&domain=example.net")
	if got.signs != net || !slices.Equal(got.all, ofNet.all) {
		t.Errorf("the domain: %+v, want %+v", got, ofNet)
	}
	// A registry's own keys are not its domain's.
	got, _ = h.ask(t, "auth.example.com", "type=d")
	if want := []string{h.kid(t)}; !slices.Equal(got.all, want) {
		t.Errorf("the domain: %+v, want %q", got, want)
	}
}

// Registries are found by what they are called and by nothing like it.
func TestGetKeyOfNoRegistry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.arrange(t, `insert into auth.domains (name, jwt_subdomains) values ('two.example.com', true)`)
	h.addRegistry(t, "one.two.example.com", "two.example.com", "domain")
	h.addRegistry(t, "two.two.example.com", "two.example.com", "domain")
	h.addRegistry(t, "keyless", "example.org", "registry")
	h.addRegistry(t, "shared", "example.com", "domain")
	h.reopen(t, nil)
	const none, keyless = `{"error": "Not a valid registry"}`, `{"error": "Registry has no key"}`
	for name, tt := range map[string]struct {
		status int
		want   string
	}{
		"":                         {404, none}, // the host is below a domain
		"auth.example.com":         {404, none},
		"example.net":              {404, none},
		"SHARED":                   {404, none},
		"shared:443":               {404, none},
		"registry:shared":          {404, none},
		"\x00":                     {404, none},
		"\xff":                     {404, none},
		strings.Repeat("a.", 1000): {404, none},
		"keyless":                  {404, keyless},
		"example.org":              {404, keyless},
		"two.example.com":          {400, `{"error": "Several registries have this domain: ask by client id"}`},
		"two.two.example.com":      {404, keyless},
	} {
		for _, format := range []string{"pubkey", "cert", "bundle", "jwks"} {
			got := h.do(newRequest("GET", "/getkey?type=r&domain="+url.QueryEscape(name)+"&format="+format, "", ""))
			got.want(t, tt.status, tt.want)
			if c := got.header.Get("Cache-Control"); c != "no-store" {
				t.Errorf("%q: Cache-Control: %s", name, c)
			}
		}
	}
	h.do(newRequest("GET", "/getkey?type=r&domain=shared&format=der", "", "")).
		want(t, 400, `{"error": "Invalid format (can be pubkey, cert, bundle or jwks)"}`)
}

// With a wrong SECRET_KEY a registry is not told to forget a key.
func TestGetSealedKeyOfRegistry(t *testing.T) {
	h := newHouse(t)
	h.addRegistry(t, "own", "example.com", "registry")
	h.addRegistry(t, "shared", "example.com", "domain")
	kids := map[string]string{"own": h.addKey(t, "own", "active"), "shared": h.kid(t)}
	log := captureLog(t)
	h.reopen(t, errors.New("sealed with another key"))
	const trouble = `{"error": "Temporarily unavailable"}`
	get := func(name, format string) answer {
		return h.do(newRequest("GET", "/getkey?type=r&domain="+name+"&format="+format, "", ""))
	}
	for name, kid := range kids {
		for _, format := range []string{"cert", "bundle"} {
			log.Reset()
			get(name, format).want(t, 503, trouble)
			if !strings.Contains(log.String(), kid) {
				t.Errorf("%s: the log does not name the key: %s", name, log)
			}
		}
		if got := pemKIDs(t, get(name, "pubkey").body, "public_key_pem"); !slices.Equal(got, []string{kid}) {
			t.Errorf("%s: %q", name, got)
		}
		if got := get(name, "jwks"); got.status != 200 || !strings.Contains(got.body, kid) {
			t.Errorf("%s: %s", name, got)
		}
	}

	// Not even one key to come may be left out.
	h.reopen(t, nil)
	before, _ := h.ask(t, "auth.example.com", "type=r&domain=own")
	h.addKey(t, "own", "published")
	h.arrange(t, `update auth.keys set sealed_key = 'x' where state = 'published'`)
	h.reopen(t, nil)
	get("own", "bundle").want(t, 503, trouble)
	if got := pemKIDs(t, get("own", "cert").body, "cert"); got[0] != before.signs {
		t.Errorf("%q signs, want %s", got, before.signs)
	}

	// Keys that cannot even be read.
	h.arrange(t, `update auth.keys set public_key = convert_to('x' || id, 'UTF8')`)
	h.reopen(t, nil)
	for name := range kids {
		for _, format := range []string{"pubkey", "cert", "bundle", "jwks"} {
			get(name, format).want(t, 503, trouble)
		}
	}
}
