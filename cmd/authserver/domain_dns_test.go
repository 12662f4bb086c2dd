package main

import (
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/token"
	"authbridge/internal/command"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers TXT questions on the loopback.
type nameServer struct {
	addr string

	mu     sync.Mutex
	texts  map[string][]string // by name, without the dot at its end
	broken bool                // it answers SERVFAIL
}

func newNameServer(t *testing.T) *nameServer {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{addr: socket.LocalAddr().String(), texts: map[string][]string{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		packet := make([]byte, 4096)
		for {
			n, client, err := socket.ReadFrom(packet)
			if err != nil {
				return // closed below
			}
			if answer, err := s.answer(packet[:n]); err != nil {
				t.Errorf("question: %v", err)
			} else if _, err := socket.WriteTo(answer, client); err != nil {
				t.Errorf("answer: %v", err)
			}
		}
	})
	t.Cleanup(func() {
		socket.Close()
		serving.Wait()
	})
	return s
}

func (s *nameServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *nameServer) answer(packet []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return nil, err
	}
	question, err := p.Question()
	if err != nil {
		return nil, err
	}
	texts, exists := s.texts[strings.TrimSuffix(question.Name.String(), ".")]
	header.Response, header.RecursionAvailable = true, true
	switch {
	case s.broken:
		header.RCode = dnsmessage.RCodeServerFailure
	case !exists:
		header.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, header)
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(question); err != nil {
		return nil, err
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	if !s.broken {
		for _, text := range texts {
			var parts []string
			for ; len(text) > 255; text = text[255:] {
				parts = append(parts, text[:255])
			}
			answer := dnsmessage.TXTResource{TXT: append(parts, text)}
			name := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 60}
			if err := b.TXTResource(name, answer); err != nil {
				return nil, err
			}
		}
	}
	return b.Finish()
}

func TestCheckDNS(t *testing.T) {
	s := newShell(t)
	dns := newNameServer(t)
	s.must("domain", "create", "example.com", "--create-key=dkim")

	// check returns the status of each record, and the last line on stderr.
	check := func(code int) (status []string, verdict string) {
		t.Helper()
		got, stdout, stderr := s.run("", "domain", "check-dns", "example.com", "--resolver", dns.addr, "-f", "json")
		if got != code {
			t.Fatalf("exit %d, want %d: %s%s", got, code, stdout, stderr)
		}
		var findings []listedFinding
		if err := json.Unmarshal([]byte(stdout), &findings); err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			status = append(status, f.Kind+" "+f.Status)
		}
		return status, stderr
	}
	want := func(code int, status, verdict string) {
		t.Helper()
		got, stderr := check(code)
		if strings.Join(got, ", ") != status || !strings.Contains(stderr, verdict) || (verdict == "") != (stderr == "") {
			t.Errorf("%q, %q; want %q, %q", got, stderr, status, verdict)
		}
	}

	want(command.Failed, "dkim missing, dkim missing, spf missing, dmarc missing", "4 of 4 records missing or different")

	// What "domain dns" prints is what "domain check-dns" wants.
	var records []listedRecord
	if err := json.Unmarshal([]byte(s.must("domain", "dns", "example.com", "-f", "json")), &records); err != nil {
		t.Fatal(err)
	}
	dns.set(func() {
		for _, r := range records {
			dns.texts[r.Name] = []string{r.Text}
		}
		dns.texts["example.com"] = append(dns.texts["example.com"], "some-verification=1")
	})
	want(command.Done, "dkim ok, dkim ok, spf ok, dmarc ok", "")
	for i, key := range []string{"rsa", "ed25519"} {
		parsed, err := token.ParseDKIMKey(records[i].Text)
		if err != nil || parsed.Type != key {
			t.Errorf("%s: %+v, %v", key, parsed, err)
		}
	}

	// The keys of another domain, two SPF records, no DMARC record.
	dns.set(func() {
		rsa, ed := "default._domainkey.example.com", "default-ed25519._domainkey.example.com"
		dns.texts[rsa], dns.texts[ed] = dns.texts[ed], dns.texts[rsa]
		dns.texts["example.com"] = []string{"v=spf1 -all", "v=spf1 mx -all"}
		delete(dns.texts, "_dmarc.example.com")
	})
	want(command.Failed, "dkim differs, dkim differs, spf differs, dmarc missing", "4 of 4 records missing or different")

	// No answer is another matter than a wrong one.
	dns.set(func() { dns.broken = true })
	want(command.Failed, "dkim temporary error, dkim temporary error, spf temporary error, dmarc temporary error", "4 of 4 records not known: the DNS does not answer, try again")
}

func TestVerdict(t *testing.T) {
	finding := func(status ...token.Status) (all []token.Finding) {
		for _, s := range status {
			all = append(all, token.Finding{Status: s})
		}
		return all
	}
	if err := verdict(finding(token.OK, token.OK)); err != nil {
		t.Error(err)
	}
	err := verdict(finding(token.OK, token.Differs, token.Missing, token.Temporary))
	if want := "DNS: 2 of 4 records missing or different, 1 not known: the DNS does not answer, try again"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
