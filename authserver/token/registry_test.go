package token

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
)

// createRegistry makes a Docker registry with keys of its own that are active.
func (h house) createRegistry(t testing.TB, clientID, domain, signingKey string, keys ...sealedKey) {
	t.Helper()
	h.must(t, `api.create_docker_registry($1, $1, $2, null, $3, 'x5c+kid', interval '5 min', interval '30 min', $4, null)`,
		clientID, domain, signingKey, keys)
}

// letSign says whose keys sign for a registry.
func (h house) letSign(t testing.TB, clientID, signingKey string) {
	t.Helper()
	h.must(t, `api.edit_docker_registry((select r.id from auth.docker_registries r where r.client_id = $1), null, null, null, $2, null, null, null)`,
		clientID, signingKey)
}

// signs returns the name of the key that signs, or "".
func (s *KeySet) signs() string {
	if key := s.Active(); key != nil {
		return key.KID
	}
	return ""
}

// kids returns the names of the keys that are published, in order.
func (s *KeySet) kids() []string {
	var kids []string
	for _, key := range s.JWKS().Keys {
		kids = append(kids, key.KeyID)
	}
	return kids
}

// certified returns the subjects of the bundle, in order.
func (s *KeySet) certified(t *testing.T) []string {
	t.Helper()
	text, err := s.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, c.Subject.CommonName)
	}
	return subjects
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const own, shared, moving, leaving, other = "own.example.com:5000", "shared.example.com", "moving.example.com", "leaving.example.com", "Other Registry"
	// Three: append leaves room for one more, which two registries must not share.
	var domain [3]sealedKey
	for i, a := range []Algorithm{RSA, P256, Ed25519} {
		domain[i] = h.newKey(t, "example.com", a)
	}
	first := h.newKey(t, RegistryOwner(own), RSA)
	next := h.newKey(t, RegistryOwner(own), RSA)
	ahead := h.newKey(t, RegistryOwner(moving), P256)
	aheadToo := h.newKey(t, RegistryOwner(leaving), P256)
	another := h.newKey(t, RegistryOwner(other), P256)
	h.createDomain(t, "example.com", true, domain[:]...)
	h.createDomain(t, "a.example.com", true)
	h.createRegistry(t, own, "example.com", "registry", first)
	h.createRegistry(t, moving, "example.com", "domain", ahead)
	h.createRegistry(t, leaving, "example.com", "domain", aheadToo)
	h.createRegistry(t, shared, "example.com", "domain")
	h.createRegistry(t, other, "a.example.com", "registry", another)
	h.must(t, `api.publish_keys('docker_registry', $1, $2)`, own, []sealedKey{next})
	h.must(t, `api.activate_key('docker_registry', $1, $2)`, own, next.KID)
	keys := h.openKeys(t)

	domainKIDs := []string{domain[0].KID, domain[1].KID, domain[2].KID}
	for clientID, want := range map[string]struct {
		domain    string
		signs     string
		publishes []string
		certified []string
	}{
		own:     {"example.com", next.KID, []string{next.KID, first.KID}, []string{own, own}},
		shared:  {"example.com", domain[0].KID, domainKIDs, []string{"example.com", "example.com", "example.com"}},
		moving:  {"example.com", domain[0].KID, append(slices.Clone(domainKIDs), ahead.KID), []string{"example.com", "example.com", "example.com", moving}},
		other:   {"a.example.com", another.KID, []string{another.KID}, []string{other}},
		leaving: {"example.com", domain[0].KID, append(slices.Clone(domainKIDs), aheadToo.KID), []string{"example.com", "example.com", "example.com", leaving}},
	} {
		r := keys.Registry(clientID)
		if r == nil || r.ClientID != clientID || r.Domain != want.domain {
			t.Fatalf("%s is not there, or is another", clientID)
		}
		if r.signs() != want.signs || !slices.Equal(r.kids(), want.publishes) || r.Sealed() != nil {
			t.Errorf("%s: signs with %q, publishes %q; want %+v", clientID, r.signs(), r.kids(), want)
		}
		if got := r.certified(t); !slices.Equal(got, want.certified) {
			t.Errorf("%s: certificates of %q, want %q", clientID, got, want.certified)
		}
	}
	// A registry's own key signs for nothing else, and not before its time.
	if got := keys.mustDomain(t, "example.com").kids(); !slices.Equal(got, domainKIDs) {
		t.Errorf("the domain publishes %q, want %q", got, domainKIDs)
	}
	if got := keys.Registry(moving).ActiveAlgorithm(P256).KID; got != domain[1].KID {
		t.Errorf("%s signs with %s, want the domain's %s", moving, got, domain[1].KID)
	}
	if len(keys.mustDomain(t, "a.example.com").kids()) != 0 {
		t.Error("a domain has the key of its registry")
	}

	for _, clientID := range []string{"", "own.example.com", "OWN.example.com:5000", own + " ", "example.com", RegistryOwner(own)} {
		if r := keys.Registry(clientID); r != nil {
			t.Errorf("Registry(%q) = %q", clientID, r.ClientID)
		}
	}
	for name, want := range map[string][]string{
		"example.com":   {leaving, moving, own, shared},
		"a.example.com": {other},
		"b.example.com": nil,
		"com":           nil,
		"":              nil,
	} {
		var got []string
		for _, r := range keys.RegistriesOf(name) {
			got = append(got, r.ClientID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("RegistriesOf(%q) = %q, want %q", name, got, want)
		}
	}
	keys.RegistriesOf("example.com")[0] = nil
	if keys.RegistriesOf("example.com")[0] == nil {
		t.Error("a caller has changed the list of another")
	}
}

// A registry leaves its domain's keys for its own while a server runs: its own
// are known before they sign.
func TestRegistryChangesOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const clientID = "registry.example.com"
	old, fresh := h.newKey(t, "example.com", P256), h.newKey(t, RegistryOwner(clientID), P256)
	h.createDomain(t, "example.com", false, old)
	keys := h.openKeys(t)
	run(t, keys)
	state := func(signs string, publishes ...string) func() bool {
		return func() bool {
			r := keys.Registry(clientID)
			return r != nil && r.signs() == signs && slices.Equal(r.kids(), publishes)
		}
	}

	h.createRegistry(t, clientID, "example.com", "domain")
	await(t, "created", state(old.KID, old.KID))
	h.must(t, `api.publish_keys('docker_registry', $1, $2)`, clientID, []sealedKey{fresh})
	await(t, "published", state(old.KID, old.KID, fresh.KID))
	h.must(t, `api.activate_key('docker_registry', $1, $2)`, clientID, fresh.KID)
	h.letSign(t, clientID, "registry")
	await(t, "changed over", state(fresh.KID, fresh.KID))
	next := h.newKey(t, "example.com", P256)
	h.must(t, `api.publish_keys('domain', 'example.com', $1)`, []sealedKey{next})
	await(t, "another key of the domain", func() bool { return len(keys.mustDomain(t, "example.com").kids()) == 2 })
	if !state(fresh.KID, fresh.KID)() {
		t.Errorf("the registry believes %q", keys.Registry(clientID).kids())
	}
	h.exec(t, `select from api.remove_docker_registries(array(select r.id from auth.docker_registries r), false)`)
	await(t, "removed", func() bool { return keys.Registry(clientID) == nil && len(keys.RegistriesOf("example.com")) == 0 })
}

// Neither a domain nor another registry opens a registry's key, whoever puts it
// there.
func TestRegistryKeyIsBound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// Of the domain, of the registry that is called the same, and of another.
	domain := h.newKey(t, "example.com", P256)
	own := h.newKey(t, RegistryOwner("example.com"), Ed25519)
	h.createDomain(t, "example.com", false, domain, own)
	h.createRegistry(t, "example.com", "example.com", "registry", domain, own)
	h.createRegistry(t, "registry:example.com", "example.com", "registry", domain, own)
	keys := h.openKeys(t)
	if d := keys.mustDomain(t, "example.com"); d.signs() != domain.KID || d.ActiveAlgorithm(Ed25519) != nil {
		t.Error("the domain signs with the registry's key")
	}
	if r := keys.Registry("example.com"); r.signs() != own.KID || r.ActiveAlgorithm(P256) != nil {
		t.Error("the registry signs with the domain's key")
	}
	if r := keys.Registry("registry:example.com"); r.signs() != "" {
		t.Error("another registry signs with their keys")
	}
}

func TestSealedRegistryKey(t *testing.T) {
	h := newHouse(t)
	stranger := house{h.DB, sealingKey(t, "another secret that is long enough for this")}
	const own, shared, beside, ahead = "own.example.com", "shared.example.com", "beside.example.com", "ahead.example.org"
	domain := stranger.newKey(t, "example.com", P256)
	sealed := stranger.newKey(t, RegistryOwner(own), P256)
	good := h.newKey(t, RegistryOwner(beside), Ed25519)
	h.createDomain(t, "example.com", false, domain)
	h.createDomain(t, "example.org", false, h.newKey(t, "example.org", P256))
	h.createRegistry(t, own, "example.com", "registry", sealed)
	h.createRegistry(t, shared, "example.com", "domain")
	h.createRegistry(t, beside, "example.com", "registry", stranger.newKey(t, RegistryOwner(beside), P256), good)
	h.createRegistry(t, ahead, "example.org", "domain", stranger.newKey(t, RegistryOwner(ahead), P256))
	l := captureLog(t)
	keys := h.openKeys(t)

	for clientID, want := range map[string]string{own: sealed.KID, shared: domain.KID, beside: "", ahead: ""} {
		r := keys.Registry(clientID)
		got := ""
		if key := r.Sealed(); key != nil {
			got = key.KID
		}
		if got != want || (r.signs() == "") != (want != "") {
			t.Errorf("%s: %q is sealed, want %q; %q signs", clientID, got, want, r.signs())
		}
		if _, err := r.Bundle(); err == nil {
			t.Errorf("%s: a bundle that leaves out a key", clientID)
		}
		if len(r.kids()) == 0 {
			t.Errorf("%s: what was signed cannot be verified any more", clientID)
		}
	}
	for _, want := range []string{"level=ERROR", "owner=registry:" + own, "kid=" + sealed.KID, "authserver secret check"} {
		if l.count(want) == 0 {
			t.Errorf("the log has no %q: %s", want, &l.text)
		}
	}
}

// A registry without any key answers, and signs nothing.
func TestRegistryWithoutKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.createDomain(t, "example.com", false)
	h.exec(t, `insert into auth.docker_registries (client_id, name, domain_id, signing_key)
		select n.client_id, n.client_id, d.id, n.signing_key
		  from (values ('own', 'registry'), ('shared', 'domain')) n (client_id, signing_key), auth.domains d`)
	keys := h.openKeys(t)
	for _, clientID := range []string{"own", "shared"} {
		r := keys.Registry(clientID)
		if r == nil || r.signs() != "" || r.Sealed() != nil || r.JWKS().Keys == nil || len(r.kids()) != 0 {
			t.Errorf("%s: not there, or it has keys", clientID)
		}
	}
	if got := len(keys.RegistriesOf("example.com")); got != 2 {
		t.Errorf("%d registries of the domain, want 2", got)
	}
}
