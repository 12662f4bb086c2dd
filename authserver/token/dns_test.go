package token

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// RFC 8463 appendix A.2.
const ed25519Record = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

func TestDKIMRecord(t *testing.T) {
	r, err := DKIMRecord("football.example.com", "brisbane", ed25519.PublicKey(decode(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")))
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "brisbane._domainkey.football.example.com" || r.Text != ed25519Record {
		t.Errorf("%s: %q", r.Name, r.Text)
	}
	if want := `brisbane._domainkey.football.example.com. IN TXT "` + ed25519Record + `"`; r.Zone() != want {
		t.Errorf("Zone = %s, want %s", r.Zone(), want)
	}

	p256, err := Generate(P256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DKIMRecord("example.com", "s", p256.Public()); err == nil {
		t.Error("a P-256 key has a DKIM record")
	}
}

func TestDKIMRecordOfRSA(t *testing.T) {
	r := rsaRecord(t)
	// openssl wrote the same key, in lines.
	lines := strings.Split(strings.TrimSpace(read(t, "rsa2048.public.pem")), "\n")
	encoded := strings.Join(lines[1:len(lines)-1], "")
	if want := "v=DKIM1; k=rsa; p=" + encoded; r.Text != want {
		t.Errorf("text %q, want %q", r.Text, want)
	}

	text, found := strings.CutPrefix(r.Zone(), `mail2026._domainkey.example.com. IN TXT ( "`)
	text, end := strings.CutSuffix(text, `" )`)
	if !found || !end {
		t.Fatalf("Zone = %s", r.Zone())
	}
	parts := strings.Split(text, `" "`)
	for _, part := range parts {
		if len(part) > 255 {
			t.Errorf("a string of %d octets", len(part))
		}
	}
	if len(parts) != 2 || strings.Join(parts, "") != r.Text {
		t.Errorf("Zone = %s, want the text in two strings", r.Zone())
	}

	dkimdns, err := DKIMDNS(parsed(t, "rsa2048.pkcs8.pem"))
	if want := `"v=DKIM1\; k=rsa\; p=" "` + strings.Join(lines[1:len(lines)-1], "\"\n\"") + `"`; dkimdns != want || err != nil {
		t.Errorf("DKIMDNS = %s, %v; want %s", dkimdns, err, want)
	}
}

func TestDKIMDNSOfEd25519(t *testing.T) {
	got, err := DKIMDNS(ed25519.PublicKey(decode(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")))
	if want := `"v=DKIM1\; k=ed25519\; p=" "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`; got != want || err != nil {
		t.Errorf("DKIMDNS = %s, %v; want %s", got, err, want)
	}
}

func TestParseDKIMKey(t *testing.T) {
	key := []byte("0123456789abcdef")
	p := base64.StdEncoding.EncodeToString(key)
	tests := map[string]struct {
		text string
		want DKIMKey // zero: an error is wanted
	}{
		"all that we write":          {"v=DKIM1; k=ed25519; p=" + p, DKIMKey{Type: "ed25519", PublicKey: key}},
		"the key alone is RSA":       {"p=" + p, DKIMKey{Type: "rsa", PublicKey: key}},
		"last semicolon":             {"v=DKIM1;p=" + p + ";", DKIMKey{Type: "rsa", PublicKey: key}},
		"blanks around":              {" v = DKIM1 ;\tp = " + p + " ; ", DKIMKey{Type: "rsa", PublicKey: key}},
		"blanks in the key":          {"p=" + p[:5] + " \r\n\t" + p[5:], DKIMKey{Type: "rsa", PublicKey: key}},
		"revoked":                    {"v=DKIM1; p=", DKIMKey{Type: "rsa", PublicKey: []byte{}}},
		"hashes, services and flags": {"h=sha1 : sha256; s=email; t=y:s; p=" + p, DKIMKey{"rsa", key, []string{"sha1", "sha256"}, []string{"email"}, []string{"y", "s"}}},
		"unknown tags and notes":     {"v=DKIM1; n=see=https://example.com/; x_1=y; p=" + p, DKIMKey{Type: "rsa", PublicKey: key}},
		"empty":                      {"", DKIMKey{}},
		"no key":                     {"v=DKIM1; k=rsa", DKIMKey{}},
		"SPF":                        {"v=spf1 mx -all", DKIMKey{}},
		"other version":              {"v=DKIM2; p=" + p, DKIMKey{}},
		"version in lower case":      {"v=dkim1; p=" + p, DKIMKey{}},
		"version not first":          {"p=" + p + "; v=DKIM1", DKIMKey{}},
		"key twice":                  {"p=" + p + "; p=" + p, DKIMKey{}},
		"key not base64":             {"p=%%%", DKIMKey{}},
		"key cut off":                {"p=" + p[:len(p)-3], DKIMKey{}},
		"two semicolons":             {"v=DKIM1;; p=" + p, DKIMKey{}},
		"quotes of a zone file":      {`"v=DKIM1; p=` + p + `"`, DKIMKey{}},
		"name with a digit first":    {"1a=b; p=" + p, DKIMKey{}},
		"not ASCII":                  {"n=ü; p=" + p, DKIMKey{}},
		"backslash before semicolon": {`v=DKIM1\; p=` + p, DKIMKey{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDKIMKey(tt.text)
			if (err != nil) != (tt.want.Type == "") || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseDKIMKey(%q) = %+v, %v; want %+v", tt.text, got, err, tt.want)
			}
		})
	}
}

// Whatever parses prints as a record that says the same.
func FuzzParseDKIMKey(f *testing.F) {
	f.Add(ed25519Record)
	f.Add("v=DKIM1; h=sha1 : sha256; s=email; t=y:s; n=x=y; p=\tMIIB\r\n IjAN;")
	f.Add("p=")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseDKIMKey(text)
		if err != nil {
			return
		}
		again, err := ParseDKIMKey(k.String())
		if err != nil || !reflect.DeepEqual(again, k) {
			t.Errorf("%q is %+v, printed as %q, which is %+v, %v", text, k, k.String(), again, err)
		}
		if reason := k.covers(k); reason != "" && len(k.PublicKey) > 0 && k.Hashes == nil && k.Services == nil {
			t.Errorf("%q does not cover itself: %s", text, reason)
		}
	})
}

func TestCheckDNS(t *testing.T) {
	dkim := rsaRecord(t)
	spf, dmarc := SPFRecord("example.com"), DMARCRecord("example.com")
	_, p, _ := strings.Cut(dkim.Text, "p=")
	other := base64.StdEncoding.EncodeToString(make([]byte, 294))
	tests := map[string]struct {
		record    Record
		published []string
		status    Status
		detail    string // part of it
	}{
		"DKIM as wanted":                      {dkim, []string{dkim.Text}, OK, ""},
		"DKIM written otherwise":              {dkim, []string{"p=" + p[:40] + " " + p[40:] + ";t=s; s=*; h=sha256"}, OK, ""},
		"DKIM is not there":                   {dkim, nil, Missing, ""},
		"DKIM has another key":                {dkim, []string{"v=DKIM1; k=rsa; p=" + other}, Differs, "another key"},
		"DKIM has the key cut off":            {dkim, []string{dkim.Text[:255]}, Differs, ""},
		"DKIM has another algorithm":          {dkim, []string{"v=DKIM1; k=ed25519; p=" + p}, Differs, "k=ed25519, want rsa"},
		"DKIM is revoked":                     {dkim, []string{"v=DKIM1; p="}, Differs, "revoked"},
		"DKIM for SHA-1 alone":                {dkim, []string{"h=sha1; p=" + p}, Differs, "sha256"},
		"DKIM for another service":            {dkim, []string{"s=tlsrpt; p=" + p}, Differs, "s="},
		"DKIM is there twice":                 {dkim, []string{dkim.Text, "v=DKIM1; p=" + other}, Differs, "2 records"},
		"DKIM has the answer of a wildcard":   {dkim, []string{"v=spf1 -all"}, Differs, "not a DKIM key"},
		"SPF as wanted":                       {spf, []string{"v=spf1 mx ~all"}, OK, ""},
		"SPF with another policy, and others": {spf, []string{"google-site-verification=x", "v=spf1 ip4:192.0.2.1 -all"}, OK, ""},
		"SPF is not there":                    {spf, []string{"google-site-verification=x"}, Missing, ""},
		"SPF of a later version":              {spf, []string{"v=spf10 mx"}, Missing, ""},
		"SPF is there twice":                  {spf, []string{"v=spf1 mx", "V=SPF1 a"}, Differs, "2 records"},
		"DMARC as wanted":                     {dmarc, []string{dmarc.Text}, OK, ""},
		"DMARC with another policy":           {dmarc, []string{"v = DMARC1 ; p=Reject; sp=none; rua=mailto:a@example.org,mailto:b@example.net!10m"}, OK, ""},
		"DMARC is not there":                  {dmarc, nil, Missing, ""},
		"DMARC without policy":                {dmarc, []string{"v=DMARC1; rua=mailto:a@example.org"}, Differs, "p= is missing"},
		"DMARC with an unknown policy":        {dmarc, []string{"v=DMARC1; p=discard"}, Differs, "p="},
		"DMARC is no list of tags":            {dmarc, []string{"v=DMARC1; reject"}, Differs, "tag=value"},
		"DMARC is there twice":                {dmarc, []string{"v=DMARC1; p=none", "v=DMARC1; p=reject"}, Differs, "2 records"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serveDNS(t, &dnsServer{txt: map[string][]string{tt.record.Name + ".": tt.published}})
			findings := CheckDNS(t.Context(), server.resolver(t), []Record{tt.record})
			if len(findings) != 1 || findings[0].Record != tt.record {
				t.Fatalf("findings %+v", findings)
			}
			f := findings[0]
			if f.Status != tt.status || !strings.Contains(f.Detail, tt.detail) || (f.Detail != "") != (f.Status == Differs) {
				t.Errorf("%s (%s), want %s (%s)", f.Status, f.Detail, tt.status, tt.detail)
			}
			if f.Status == Differs && len(f.Found) == 0 {
				t.Error("it does not tell what was found")
			}
		})
	}
}

// A long record comes over TCP, in several strings.
func TestCheckDNSOverTCP(t *testing.T) {
	dkim := rsaRecord(t)
	long := strings.Replace(dkim.Text, "p=", "n="+strings.Repeat("note", 300)+"; p=", 1)
	server := serveDNS(t, &dnsServer{txt: map[string][]string{dkim.Name + ".": {long}}})
	f := CheckDNS(t.Context(), server.resolver(t), []Record{dkim})[0]
	if f.Status != OK || len(f.Found) != 1 || f.Found[0] != long {
		t.Errorf("%+v", f)
	}
	if server.tcp.Load() == 0 {
		t.Error("nothing was asked over TCP")
	}
}

func TestCheckDNSOfNoAnswer(t *testing.T) {
	dkim, spf := rsaRecord(t), SPFRecord("example.com")
	t.Run("the server fails for one name", func(t *testing.T) {
		server := serveDNS(t, &dnsServer{txt: map[string][]string{spf.Name + ".": {spf.Text}}, fail: dkim.Name + "."})
		f := CheckDNS(t.Context(), server.resolver(t), []Record{dkim, spf})
		if f[0].Status != Temporary || f[0].Detail == "" || f[1].Status != OK {
			t.Errorf("%+v", f)
		}
	})
	t.Run("the caller does not wait", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		server := serveDNS(t, &dnsServer{silence: cancel})
		if f := CheckDNS(ctx, server.resolver(t), []Record{spf})[0]; f.Status != Temporary || f.Detail == "" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("there is no server", func(t *testing.T) {
		resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("connection refused")
		}}
		if f := CheckDNS(t.Context(), resolver, []Record{spf})[0]; f.Status != Temporary || f.Detail == "" {
			t.Errorf("%+v", f)
		}
	})
}

func TestResolver(t *testing.T) {
	for _, server := range []string{"", "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53", "ns.example.com", "ns.example.com:53"} {
		if _, err := Resolver(server); err != nil {
			t.Error(err)
		}
	}
	for _, server := range []string{":53", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:dns", "a:b:c", "[2001:db8::1", "2001:db8::1]", "[ns.example.com", "https://example.com/", "a b"} {
		if _, err := Resolver(server); err == nil {
			t.Errorf("%q is a DNS server", server)
		}
	}
}

func rsaRecord(t *testing.T) Record {
	t.Helper()
	r, err := DKIMRecord("example.com", "mail2026", parsed(t, "rsa2048.pkcs8.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// parsed returns the public half of a key in testdata.
func parsed(t *testing.T, file string) any {
	t.Helper()
	key, err := ParsePrivate(read(t, file), DKIM)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// dnsServer is an authority for TXT records on loopback.
type dnsServer struct {
	txt     map[string][]string // by name, with the dot at the end
	fail    string              // the name that gets SERVFAIL
	silence func()              // if set, it is called instead of answering
	addr    string
	tcp     atomic.Int32 // how many questions came over TCP
}

// serveDNS starts s, over UDP and TCP, until the test ends.
func serveDNS(t *testing.T, s *dnsServer) *dnsServer {
	t.Helper()
	stream, packet := listenBoth(t)
	s.addr = stream.Addr().String()

	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := packet.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := s.answer(buf[:n], 512); reply != nil {
				packet.WriteTo(reply, from)
			}
		}
	})
	all.Go(func() {
		for {
			conn, err := stream.Accept()
			if err != nil {
				return
			}
			s.tcp.Add(1)
			s.serveTCP(conn)
		}
	})
	t.Cleanup(func() {
		stream.Close()
		packet.Close()
		all.Wait()
	})
	return s
}

// listenBoth listens on one free port with TCP and UDP.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	var err error
	for range 20 {
		var stream net.Listener
		if stream, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		var packet net.PacketConn
		if packet, err = net.ListenPacket("udp", stream.Addr().String()); err == nil {
			return stream, packet
		}
		stream.Close() // something else has the port with UDP
	}
	t.Fatal(err)
	return nil, nil
}

// serveTCP answers one question: RFC 1035 section 4.2.2.
func (s *dnsServer) serveTCP(conn net.Conn) {
	defer conn.Close()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, question); err != nil {
		return
	}
	if reply := s.answer(question, 65535); reply != nil {
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
}

// answer returns the reply to a question, truncated if it is longer than limit.
func (s *dnsServer) answer(packet []byte, limit int) []byte {
	if s.silence != nil {
		s.silence()
		return nil
	}
	var question dnsmessage.Message
	if err := question.Unpack(packet); err != nil || len(question.Questions) != 1 {
		return nil
	}
	q := question.Questions[0]
	name := q.Name.String()
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, RecursionAvailable: true},
		Questions: question.Questions,
	}
	texts, found := s.txt[name]
	switch {
	case name == s.fail:
		reply.RCode = dnsmessage.RCodeServerFailure
	case !found:
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range texts {
		var parts []string
		for len(text) > 255 {
			parts, text = append(parts, text[:255]), text[255:]
		}
		reply.Answers = append(reply.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.TXTResource{TXT: append(parts, text)},
		})
	}
	packed, err := reply.Pack()
	if err == nil && len(packed) > limit {
		reply.Truncated, reply.Answers = true, nil
		packed, err = reply.Pack()
	}
	if err != nil {
		return nil
	}
	return bytes.Clone(packed)
}

func (s *dnsServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	r, err := Resolver(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
