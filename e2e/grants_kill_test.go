package e2e

// What becomes of grants when servers are killed under load, by SIGKILL: the web
// server; PostgreSQL as a whole; its postmaster alone, while the backends may
// still finish what they are at. All are started again, and PostgreSQL recovers.
//
// 16 clients exchange codes and refresh tokens meanwhile. A client whose request
// was lost, or answered by 503, sends it again, as it is, until somebody says
// what has become of it. There is no other answer than 200, 400 invalid_grant,
// 503 and none.
//
// What is asserted of codes:
//
//   - No code is answered by tokens twice.
//   - A code is refused only to a client that has sent it more than once. It was
//     exchanged then, its answer was lost, and the second use has revoked the
//     grant: that is what RFC 6749 section 4.1.2 asks for. The user has to sign
//     in again, and nobody else has got anything.
//   - What was answered is kept. A code that was exchanged before a crash is
//     refused after it, and its grant is then revoked.
//
// Of refresh tokens:
//
//   - No family is lost. Whoever sends a token again within 10 seconds of its
//     first use gets a successor, whether the exchange was committed or not; and
//     whoever has not sent it during a crash can use it after that. Families
//     whose code was sent twice are excepted, if that has revoked them.
//   - No family forks, or goes back. The successor is always of the next
//     generation, and in the end the database knows of each family the
//     generation and the secret that its client has.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"authbridge/internal/pgcluster"
)

// refreshGrace is the time in which a refresh token may be sent again.
const refreshGrace = 10 * time.Second

// A customer is one of the clients, with the grants that it has.
type customer struct {
	t       *testing.T
	wire    *wire
	stop    <-chan struct{} // no more new requests
	answers atomic.Int64    // to requests that the server understood
	lost    int             // answers
	grants  []*customerGrant
}

// A customerGrant is a code and what came of it.
type customerGrant struct {
	code    int // its number
	sent    int // how often it was
	token   string
	uses    int    // of refresh tokens
	refused string // why there are no more tokens; empty: there are
}

// insist sends a request until an answer says what has become of it. It returns
// how often it was sent.
func (c *customer) insist(what string, request []byte) (a answer, sent int) {
	for deadline := time.Now().Add(patience); ; {
		var err error
		a, err = c.wire.ask(request)
		switch {
		case errors.Is(err, errNotSent):
		case err != nil, a.status == http.StatusServiceUnavailable:
			sent++
			c.lost++
		case a.ok(), a.invalidGrant():
			c.answers.Add(1)
			return a, sent + 1
		default:
			c.t.Errorf("%s is answered %v", what, a)
			return a, sent + 1
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%s has no answer within %v: %v, %v", what, patience, a, err)
			return a, sent
		}
		<-time.After(10 * time.Millisecond)
	}
}

// redeem exchanges a code for a new grant.
func (c *customer) redeem(number int, code string) {
	g := &customerGrant{code: number}
	c.grants = append(c.grants, g)
	what := fmt.Sprint("code ", number)
	var a answer
	a, g.sent = c.insist(what, redeem(code))
	switch f, err := readRefreshToken(a.RefreshToken); {
	case a.ok() && (err != nil || f.generation != 0):
		c.t.Errorf("%s: the refresh token is one of generation %d, %v", what, f.generation, err)
		g.refused = "bad refresh token"
	case a.ok():
		g.token = a.RefreshToken
	default:
		g.refused = a.String()
		if g.sent == 1 {
			c.t.Errorf("%s is answered %v the first time", what, a)
		}
	}
}

// refresh exchanges the refresh token of a grant.
func (c *customer) refresh(g *customerGrant) {
	old, err := readRefreshToken(g.token)
	if err != nil {
		c.t.Error(err)
		return
	}
	what := fmt.Sprintf("generation %d of code %d", old.generation, g.code)
	start := time.Now()
	a, sent := c.insist(what, refresh(g.token))
	if !a.ok() {
		took := time.Since(start)
		g.refused = fmt.Sprintf("%s was sent %d times in %v, and refused", what, sent, took.Round(time.Millisecond))
		if sent > 1 && took > refreshGrace {
			g.refused += ": no server was there within the grace"
		}
		return
	}
	if f, err := readRefreshToken(a.RefreshToken); err != nil || f.id != old.id || f.generation != old.generation+1 {
		c.t.Errorf("%s: the successor is generation %d, of the same family: %t, %v", what, f.generation, f.id == old.id, err)
	}
	g.token = a.RefreshToken
	g.uses++
}

// work goes on until it is stopped: with a new code, or a grant that it has.
func (c *customer) work(codes []string, next *atomic.Int64) {
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		if len(c.grants) == 0 || rand.N(4) == 0 {
			if n := int(next.Add(1)) - 1; n < len(codes) {
				c.redeem(n, codes[n])
				continue
			}
		}
		if g := c.grants[rand.N(len(c.grants))]; g.refused == "" {
			c.refresh(g)
		}
	}
}

// kill ends the web server at once.
func (s *grantServer) kill() {
	s.t.Helper()
	if err := s.process.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.process.done
}

// killDatabase ends PostgreSQL at once, or only its postmaster, and starts it
// again on what it has left behind.
func (s *grantServer) killDatabase(whole bool) {
	s.t.Helper()
	conn := s.superuser("authserver")
	postmaster := parent(s.t, int(conn.PgConn().PID()))
	victims := []int{postmaster}
	if whole {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", postmaster))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, child := range strings.Fields(string(children)) {
			pid, err := strconv.Atoi(child)
			if err != nil {
				s.t.Fatal(err)
			}
			victims = append(victims, pid)
		}
	}
	for _, pid := range victims { // the postmaster first, which would start others
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.t.Fatalf("killing process %d: %v", pid, err)
		}
	}
	conn.Close(s.t.Context()) // of no interest: its server is gone
	<-s.cluster.Done()
	if err := s.cluster.Stop(); err != nil {
		s.t.Fatal(err)
	}
	port := s.cluster.Port()
	var err error
	if s.cluster, err = pgcluster.Start(s.t.Context(), s.opt); err != nil {
		s.t.Fatal(err)
	}
	if s.cluster.Port() != port {
		s.t.Fatalf("PostgreSQL is back on port %d, and was on %d: the server looks for the old one", s.cluster.Port(), port)
	}
	log, err := os.ReadFile(s.cluster.LogFile())
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(log), "automatic recovery in progress") {
		s.t.Errorf("PostgreSQL had nothing to recover from:\n%s", log)
	}
}

// parent returns the process that has started another.
func parent(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return parent
		}
	}
	t.Fatalf("process %d has no parent", pid)
	return 0
}

func TestGrantsKill(t *testing.T) {
	const (
		customers = 16
		kills     = 9
		between   = 200 // answers
	)
	s := newGrantServer(t, customers)
	codes := s.codes(5000)
	stop := make(chan struct{})
	var next atomic.Int64
	var work sync.WaitGroup
	all := make([]*customer, customers)
	for i := range all {
		all[i] = &customer{t: t, wire: &wire{server: s}, stop: stop}
		work.Go(func() {
			defer all[i].wire.close()
			all[i].work(codes, &next)
		})
	}
	// A failure ends the test, and not before them.
	finish := sync.OnceFunc(func() { close(stop); work.Wait() })
	defer finish()

	// busy waits until the clients have got so many answers, each of them one.
	busy := func(answers int) {
		t.Helper()
		before := make([]int64, customers)
		for i, c := range all {
			before[i] = c.answers.Load()
		}
		s.process.await(t, "serve all clients", func() bool {
			sum, idle := int64(0), 0
			for i, c := range all {
				n := c.answers.Load() - before[i]
				sum += n
				if n < 2 { // the first may have been on its way
					idle++
				}
			}
			return sum >= int64(answers) && idle == 0
		})
	}
	for n := range kills {
		busy(between + rand.N(between))
		switch n % 3 {
		case 0:
			s.kill()
			s.serve()
		case 1:
			s.killDatabase(true)
		case 2:
			s.killDatabase(false)
		}
	}
	busy(between)
	finish()

	// What the database knows of each code.
	type row struct {
		Code       []byte
		Redeemed   bool
		Reason     string
		Family     *[16]byte
		Generation *int
		Hash       []byte
	}
	look := func() map[string]row {
		found := map[string]row{}
		for _, r := range rows[row](s, `
			select g.code_hash, g.redeemed_at is not null, coalesce(g.revoked_reason, ''), t.id, t.generation, t.secret_hash
			  from auth.oauth2_grants g
			  left join auth.oauth2_refresh_tokens t on t.grant_id = g.id`) {
			found[string(r.Code)] = r
		}
		return found
	}
	found := look()
	var good, bad, lost, uses int
	var goodCodes, tokens []string
	for _, c := range all {
		lost += c.lost
		for _, g := range c.grants {
			uses += g.uses
			r := found[codeHash(codes[g.code])]
			switch {
			case g.token == "": // the code was refused
				bad++
				if !r.Redeemed || r.Reason != "code replayed" {
					t.Errorf("code %d was sent %d times and refused, %s; in the database it was redeemed: %t, revoked: %q", g.code, g.sent, g.refused, r.Redeemed, r.Reason)
				}
			case g.sent > 1 && r.Reason == "code replayed":
				bad++
			case g.refused != "":
				t.Errorf("the family of code %d is lost: %s; the database has it revoked: %q", g.code, g.refused, r.Reason)
			default:
				good++
				goodCodes, tokens = append(goodCodes, codes[g.code]), append(tokens, g.token)
				f, err := readRefreshToken(g.token)
				if err != nil {
					t.Errorf("code %d: %v", g.code, err)
				} else if r.Family == nil || *r.Family != f.id || *r.Generation != int(f.generation) || string(r.Hash) != string(f.hash[:]) || r.Reason != "" {
					t.Errorf("code %d: the client has generation %d of family %x; the database has %+v", g.code, f.generation, f.id, r)
				}
			}
		}
	}
	t.Logf("%d kills: %d answers lost, %d codes exchanged, %d refused, %d refresh tokens exchanged", kills, lost, good, bad, uses)
	if lost < kills || good < kills || uses < kills {
		t.Error("the clients were not busy when servers were killed, or got nothing")
	}
	if n := int(next.Load()); n > len(codes) {
		t.Logf("all %d codes were exchanged before the end", len(codes))
	}

	// All go on, and no code is good again.
	wires := s.wires(customers)
	for n, a := range s.all(wires, each(refresh, tokens)) {
		if !a.ok() {
			t.Errorf("a family of %d is lost: its token is answered %v in the end", n, a)
		}
	}
	for n, a := range s.all(wires, each(redeem, goodCodes)) {
		if !a.invalidGrant() {
			t.Errorf("code %d of those that were exchanged is answered %v in the end", n, a)
		}
	}
	found = look()
	for n, code := range goodCodes {
		if r := found[codeHash(code)]; r.Reason != "code replayed" {
			t.Errorf("code %d of those that were exchanged was replayed in the end; revoked: %q", n, r.Reason)
		}
	}
}
