package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Kind says which rules a Record follows.
type Kind string

const (
	KindDKIM  Kind = "dkim"
	KindSPF   Kind = "spf"
	KindDMARC Kind = "dmarc"
)

// A Record is a TXT record that a domain should publish.
type Record struct {
	Kind Kind
	Name string // without the dot at the end
	Text string
}

// DKIMRecord returns the record of a DKIM key, RSA or Ed25519. Domain and
// selector are as they stand in a signature.
func DKIMRecord(domain, selector string, pub crypto.PublicKey) (Record, error) {
	key, err := NewDKIMKey(pub)
	if err != nil {
		return Record{}, err
	}
	return Record{KindDKIM, selector + "._domainkey." + domain, key.String()}, nil
}

// SPFRecord suggests a record for a domain whose mail leaves through the
// servers that receive its mail (RFC 7208). Anything else is better known to
// the operator.
func SPFRecord(domain string) Record {
	return Record{KindSPF, domain, "v=spf1 mx ~all"}
}

// DMARCRecord suggests a record to begin with (RFC 7489): it asks for reports
// and changes nothing, until they show that a stricter policy loses no mail.
func DMARCRecord(domain string) Record {
	return Record{KindDMARC, "_dmarc." + domain, "v=DMARC1; p=none; rua=mailto:postmaster@" + domain}
}

// Zone returns the record as a line of a zone file. A long text is several
// strings, because one holds 255 octets (RFC 1035 section 3.3).
func (r Record) Zone() string {
	const limit = 255
	var quoted []string
	for part := range slices.Chunk([]byte(r.Text), limit) {
		quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(part))+`"`)
	}
	text := strings.Join(quoted, " ")
	if len(quoted) != 1 {
		text = "( " + text + " )"
	}
	return r.Name + ". IN TXT " + text
}

// DKIMDNS returns the text of a DKIM record as the ancestor's "domain pubkey
// --format dkimdns" prints it: its beginning, then the lines of the key as PEM
// has them, each in quotes.
func DKIMDNS(pub crypto.PublicKey) (string, error) {
	key, err := NewDKIMKey(pub)
	if err != nil {
		return "", err
	}
	const pemLine = 64
	var lines []string
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(key.PublicKey)), pemLine) {
		lines = append(lines, `"`+string(line)+`"`)
	}
	return fmt.Sprintf(`"v=DKIM1\; k=%s\; p=" %s`, key.Type, strings.Join(lines, "\n")), nil
}

// A DKIMKey is what the TXT record of a DKIM key says (RFC 6376 section 3.6.1).
type DKIMKey struct {
	Type      string   // k=, "rsa" unless the record says otherwise
	PublicKey []byte   // p=, SPKI DER for RSA, 32 bytes for Ed25519; empty if the key is revoked
	Hashes    []string // h=, nil for all
	Services  []string // s=, nil for all
	Flags     []string // t=, nil for none
}

// NewDKIMKey returns what the record of a public key has to say: RSA as RFC
// 6376, Ed25519 as RFC 8463.
func NewDKIMKey(pub crypto.PublicKey) (DKIMKey, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		der, err := MarshalPublic(pub)
		return DKIMKey{Type: "rsa", PublicKey: der}, err
	case ed25519.PublicKey:
		return DKIMKey{Type: "ed25519", PublicKey: pub}, nil
	}
	return DKIMKey{}, fmt.Errorf("DKIM has no signatures with a %T", pub)
}

// String returns the text of the record.
func (k DKIMKey) String() string {
	text := "v=DKIM1; "
	for _, list := range []struct {
		tag    string
		values []string
	}{{"h", k.Hashes}, {"s", k.Services}, {"t", k.Flags}} {
		if len(list.values) > 0 {
			text += list.tag + "=" + strings.Join(list.values, ":") + "; "
		}
	}
	return text + "k=" + k.Type + "; p=" + base64.StdEncoding.EncodeToString(k.PublicKey)
}

// ParseDKIMKey reads the text of a record. Tags that it does not know are
// allowed, as the RFC says; a tag that is there twice makes the record void.
func ParseDKIMKey(text string) (DKIMKey, error) {
	tags, err := parseTags(text)
	if err != nil {
		return DKIMKey{}, err
	}
	k := DKIMKey{Type: "rsa"}
	published := false
	for i, t := range tags {
		switch t.name {
		case "v":
			if i != 0 || t.value != "DKIM1" {
				return DKIMKey{}, errors.New("v= must be the first tag, and DKIM1")
			}
		case "k":
			k.Type = t.value
		case "p":
			published = true
			blank := func(r rune) rune {
				if strings.ContainsRune(blanks, r) {
					return -1
				}
				return r
			}
			if k.PublicKey, err = base64.StdEncoding.DecodeString(strings.Map(blank, t.value)); err != nil {
				return DKIMKey{}, errors.New("p= is not base64")
			}
		case "h":
			k.Hashes = splitList(t.value)
		case "s":
			k.Services = splitList(t.value)
		case "t":
			k.Flags = splitList(t.value)
		}
	}
	if !published {
		return DKIMKey{}, errors.New("p= is missing")
	}
	return k, nil
}

// covers returns why a verifier that finds the record k does not accept what
// the key of want signs, or "".
func (k DKIMKey) covers(want DKIMKey) string {
	switch {
	case len(k.PublicKey) == 0:
		return "the key is revoked: p= is empty"
	case k.Type != want.Type:
		return fmt.Sprintf("k=%s, want %s", k.Type, want.Type)
	case !bytes.Equal(k.PublicKey, want.PublicKey):
		return "p= is another key"
	case k.Hashes != nil && !slices.Contains(k.Hashes, "sha256"):
		return "h= leaves out sha256"
	case k.Services != nil && !slices.Contains(k.Services, "*") && !slices.Contains(k.Services, "email"):
		return "s= leaves out email"
	}
	return ""
}

// A tag is one name and value of a tag list.
type tag struct{ name, value string }

// blanks are what may stand around names and values of a tag list.
const blanks = " \t\r\n"

// parseTags reads a tag list: RFC 6376 section 3.2, which DMARC uses too.
func parseTags(text string) ([]tag, error) {
	var tags []tag
	parts := strings.Split(text, ";")
	if strings.Trim(parts[len(parts)-1], blanks) == "" {
		parts = parts[:len(parts)-1] // the last semicolon is optional
	}
	for _, part := range parts {
		name, value, found := strings.Cut(part, "=")
		t := tag{strings.Trim(name, blanks), strings.Trim(value, blanks)}
		if !found || !isTagName(t.name) {
			return nil, errors.New("not a list of tag=value with semicolons between")
		}
		for _, c := range []byte(t.value) {
			if (c < '!' || c > '~') && strings.IndexByte(blanks, c) < 0 {
				return nil, fmt.Errorf("%s= has a character that is not printable ASCII", t.name)
			}
		}
		if slices.ContainsFunc(tags, func(u tag) bool { return u.name == t.name }) {
			return nil, fmt.Errorf("%s= is there twice", t.name)
		}
		tags = append(tags, t)
	}
	return tags, nil
}

func isTagName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// splitList reads the value of a tag that is a list with colons.
func splitList(value string) []string {
	list := strings.Split(value, ":")
	for i := range list {
		list[i] = strings.Trim(list[i], blanks)
	}
	return list
}

// A Status is how a published record compares with the wanted one.
type Status string

const (
	OK        Status = "ok"
	Missing   Status = "missing"
	Differs   Status = "differs"
	Temporary Status = "temporary error" // nothing is known: the DNS did not answer
)

// A Finding is what CheckDNS found out about one record.
type Finding struct {
	Record Record // as wanted
	Status Status
	Found  []string // the texts that are published for this purpose
	Detail string   // for people: what is wrong, or "" if nothing is
}

// CheckDNS looks the records up and compares each by the rules of its kind: a
// DKIM key must be the wanted one, however its record is written; of SPF and
// DMARC there must be exactly one valid record, whatever its policy. It
// returns a finding for each record, in their order, when all are known or ctx
// ends; a resolver of another make than Resolver's may wait longer.
func CheckDNS(ctx context.Context, resolver *net.Resolver, records []Record) []Finding {
	findings := make([]Finding, len(records))
	var all sync.WaitGroup
	for i, r := range records {
		all.Go(func() { findings[i] = r.check(ctx, resolver) })
	}
	all.Wait()
	return findings
}

func (r Record) check(ctx context.Context, resolver *net.Resolver) Finding {
	f := Finding{Record: r, Status: Missing}
	texts, err := resolver.LookupTXT(ctx, r.Name+".") // the dot: no search domains
	var dns *net.DNSError
	if err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
		f.Status, f.Detail = Temporary, err.Error()
		if dns != nil {
			f.Detail = dns.Err // without a server's name, which is not that of a resolver that dials elsewhere
		}
		return f
	}
	for _, text := range texts {
		// Others have TXT records at a domain's name too. At the other names
		// whatever is there is in the way of what should be.
		if r.Kind == KindDKIM || hasVersion(text, r.Kind) {
			f.Found = append(f.Found, text)
		}
	}
	switch len(f.Found) {
	case 0:
	case 1:
		if f.Detail = r.compare(f.Found[0]); f.Detail == "" {
			f.Status = OK
		} else {
			f.Status = Differs
		}
	default:
		f.Status, f.Detail = Differs, fmt.Sprintf("there are %d records, want one", len(f.Found))
	}
	return f
}

// hasVersion reports whether text is an SPF (RFC 7208 section 4.5) or a DMARC
// record (RFC 7489 section 6.6.3) at all.
func hasVersion(text string, k Kind) bool {
	if k == KindSPF {
		version, _, _ := strings.Cut(text, " ")
		return strings.EqualFold(version, "v=spf1")
	}
	first, _, _ := strings.Cut(text, ";")
	name, value, _ := strings.Cut(first, "=")
	return strings.Trim(name, blanks) == "v" && strings.Trim(value, blanks) == "DMARC1"
}

// compare returns what is wrong with a published text, or "".
func (r Record) compare(found string) string {
	switch r.Kind {
	case KindDKIM:
		want, err := ParseDKIMKey(r.Text)
		if err != nil {
			return "the wanted record is void: " + err.Error()
		}
		got, err := ParseDKIMKey(found)
		if err != nil {
			return "not a DKIM key: " + err.Error()
		}
		return got.covers(want)
	case KindDMARC:
		if err := checkDMARC(found); err != nil {
			return "not a DMARC policy: " + err.Error()
		}
	}
	return ""
}

// checkDMARC returns why receivers would ignore a record that begins as a DMARC
// policy (RFC 7489 section 6.3), or nil.
func checkDMARC(text string) error {
	tags, err := parseTags(text)
	if err != nil {
		return err
	}
	policy := false
	for _, t := range tags {
		if t.name != "p" && t.name != "sp" {
			continue
		}
		switch strings.ToLower(t.value) {
		case "none", "quarantine", "reject":
			policy = policy || t.name == "p"
		default:
			return fmt.Errorf("%s= is not none, quarantine or reject", t.name)
		}
	}
	if !policy {
		return errors.New("p= is missing")
	}
	return nil
}

// Resolver returns a resolver that asks one server, "host", "host:port" or
// "[address]:port", or those of the system if server is empty.
func Resolver(server string) (*net.Resolver, error) {
	var override string
	if server != "" {
		var err error
		if override, err = serverAddress(server); err != nil {
			return nil, err
		}
	}
	var dialer net.Dialer
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if override != "" {
				address = override
			}
			conn, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				// A lookup that waits for an answer heeds the deadline of its
				// context, but not its end.
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		},
	}, nil
}

// serverAddress returns the address of a DNS server with its port.
func serverAddress(server string) (string, error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil { // no port
		host, port = server, "53"
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		}
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if host == "" || err != nil || number == 0 {
		return "", fmt.Errorf("%q is not a DNS server, want HOST, HOST:PORT or [ADDRESS]:PORT", server)
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, "[]/: ") {
		return "", fmt.Errorf("%q is not a DNS server: no such address or name", server)
	}
	return net.JoinHostPort(host, port), nil
}
