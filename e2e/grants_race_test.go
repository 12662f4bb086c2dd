package e2e

// The race harness: what becomes of authorization codes and refresh tokens that
// many clients present at once.
//
// 64 clients have connections that are open and warm, over TLS; the server has 16
// to its database. For each of 1000 codes, and for each of 1000 refresh tokens,
// the clients wait until all of them are there, and send the same request at the
// same moment. What must be so afterwards:
//
//	code           one client gets tokens, 63 get invalid_grant, and the grant is
//	               revoked, because its code was seen twice (RFC 6749 section 4.1.2)
//	refresh token  all 64 get the same successor, which is good; there is one
//	               family, with one generation; and a token of two generations
//	               back revokes it (RFC 9700 section 4.14.2)
//
// and no answer is a 5xx. The tests are not parallel to others: with the
// processors to themselves, the clients meet in the database more often.
//
// Killing servers in between is in grants_kill_test.go.

import (
	"sync"
	"testing"
)

const (
	racers = 64
	races  = 1000
)

// race sends each request over all connections at once, and gives the answers to
// judge.
func (s *grantServer) race(wires []*wire, requests [][]byte, judge func(n int, answers []answer)) {
	s.t.Helper()
	answers := make([]answer, len(wires))
	for n, request := range requests {
		gate := make(chan struct{})
		var ready, done sync.WaitGroup
		ready.Add(len(wires))
		for i, w := range wires {
			done.Go(func() {
				ready.Done()
				<-gate
				var err error
				if answers[i], err = w.ask(request); err != nil {
					s.t.Errorf("request %d of client %d: %v", n, i, err)
				}
			})
		}
		ready.Wait()
		close(gate)
		done.Wait()
		judge(n, answers)
	}
}

func TestGrantsRaceForCodes(t *testing.T) {
	s := newGrantServer(t, 16)
	wires := s.wires(racers)

	// One that nobody else wants is good, so that it means something if others
	// are not.
	alone := s.all(wires, each(redeem, s.codes(1)))[0]
	if !alone.ok() || alone.IDToken == "" {
		t.Fatalf("a code is answered %v", alone)
	}

	winners := make([]answer, 0, races)
	s.race(wires, each(redeem, s.codes(races)), func(n int, answers []answer) {
		won := 0
		for _, a := range answers {
			switch {
			case a.ok():
				won++
				winners = append(winners, a)
			case !a.invalidGrant():
				won = -racers // whoever has won
			}
		}
		if won != 1 {
			t.Errorf("code %d: want one winner and %d × 400 invalid_grant; got %s", n, racers-1, count(answers))
		}
	})

	for n, a := range s.all(wires, each(introspect, accessTokens(winners))) {
		if !a.ok() || a.Active {
			t.Errorf("winner %d: introspection of the access token is %v, active %t; want 200, false", n, a, a.Active)
		}
	}
	for n, a := range s.all(wires, each(refresh, refreshTokens(winners))) {
		if !a.invalidGrant() {
			t.Errorf("winner %d: the refresh token is answered %v, want 400 invalid_grant", n, a)
		}
	}
	if a := s.all(wires, each(introspect, []string{alone.AccessToken}))[0]; !a.Active {
		t.Error("the access token of the code that was redeemed once is not active")
	}
	if a := s.all(wires, each(refresh, []string{alone.RefreshToken}))[0]; !a.ok() {
		t.Errorf("the refresh token of the code that was redeemed once is answered %v", a)
	}

	got := rows[struct{ Grants, Redeemed, Revoked, Families int }](s, `
		select count(*), count(g.redeemed_at), count(*) filter (where g.revoked_reason = 'code replayed'), count(t.id)
		  from auth.oauth2_grants g
		  left join auth.oauth2_refresh_tokens t on t.grant_id = g.id`)[0]
	if got.Grants != races+1 || got.Redeemed != races+1 || got.Revoked != races || got.Families != races+1 {
		t.Errorf("the database has %+v; want %d grants, all redeemed with a family each, and %d of them revoked", got, races+1, races)
	}
}

func TestGrantsRaceForRefreshTokens(t *testing.T) {
	s := newGrantServer(t, 16)
	wires := s.wires(racers)
	first := s.all(wires, each(redeem, s.codes(races)))
	for n, a := range first {
		if !a.ok() || a.RefreshToken == "" {
			t.Fatalf("code %d is answered %v, with the refresh token %q", n, a, a.RefreshToken)
		}
	}

	second := make([]answer, races)
	s.race(wires, each(refresh, refreshTokens(first)), func(n int, answers []answer) {
		second[n] = answers[0]
		successors := map[string]bool{}
		for _, a := range answers {
			if a.ok() {
				successors[a.RefreshToken] = true
			} else {
				successors[""] = true
			}
		}
		if len(successors) != 1 || successors[""] || successors[first[n].RefreshToken] {
			t.Errorf("refresh token %d: want %d × 200 with one successor; got %s with %d different", n, racers, count(answers), len(successors))
		}
	})

	third := s.all(wires, each(refresh, refreshTokens(second)))
	for n, a := range third {
		if !a.ok() || a.RefreshToken == second[n].RefreshToken {
			t.Errorf("successor %d is answered %v, want 200 and another token", n, a)
		}
	}

	type row struct {
		ID         [16]byte
		Generation int
		Hash       []byte
		Revoked    bool
	}
	const families = `
		select t.id, t.generation, t.secret_hash, g.revoked_at is not null
		  from auth.oauth2_refresh_tokens t join auth.oauth2_grants g on g.id = t.grant_id`
	stored := map[[16]byte]row{}
	for _, r := range rows[row](s, families) {
		stored[r.ID] = r
	}
	if len(stored) != races {
		t.Errorf("the database has %d families, want %d", len(stored), races)
	}
	for n, a := range third {
		f, err := readRefreshToken(a.RefreshToken)
		if err != nil {
			t.Errorf("refresh token %d: %v", n, err)
			continue
		}
		if r := stored[f.id]; r.Generation != 2 || f.generation != 2 || string(r.Hash) != string(f.hash[:]) || r.Revoked {
			t.Errorf("refresh token %d: the client has generation %d, want 2; the database has %d, its hash is equal: %t, revoked: %t",
				n, f.generation, r.Generation, string(r.Hash) == string(f.hash[:]), r.Revoked)
		}
	}

	// Every tenth was stolen, when it was new.
	var stolen, ended, access, others []string
	for n := range first {
		if n%10 == 0 {
			stolen = append(stolen, first[n].RefreshToken)
			ended = append(ended, third[n].RefreshToken)
			access = append(access, third[n].AccessToken)
		} else {
			others = append(others, third[n].RefreshToken)
		}
	}
	for n, a := range s.all(wires, each(introspect, access)) {
		if !a.Active {
			t.Errorf("access token %d is not active before", n*10)
		}
	}
	for n, a := range s.all(wires, each(refresh, stolen)) {
		if !a.invalidGrant() {
			t.Errorf("refresh token %d: the one of two generations ago is answered %v, want 400 invalid_grant", n*10, a)
		}
	}
	for n, a := range s.all(wires, each(refresh, ended)) {
		if !a.invalidGrant() {
			t.Errorf("refresh token %d: after a replay the current one is answered %v, want 400 invalid_grant", n*10, a)
		}
	}
	for n, a := range s.all(wires, each(introspect, access)) {
		if !a.ok() || a.Active {
			t.Errorf("refresh token %d: after a replay its access token is answered %v, active %t", n*10, a, a.Active)
		}
	}
	for n, a := range s.all(wires, each(introspect, others)) {
		if !a.Active {
			t.Errorf("refresh token %d of those that were not stolen is not active", n)
		}
	}
	revoked := 0
	for _, r := range rows[row](s, families) {
		if r.Revoked {
			revoked++
		}
	}
	if revoked != len(stolen) {
		t.Errorf("%d families are revoked, want %d", revoked, len(stolen))
	}
}

func accessTokens(answers []answer) (tokens []string) {
	for _, a := range answers {
		tokens = append(tokens, a.AccessToken)
	}
	return tokens
}

func refreshTokens(answers []answer) (tokens []string) {
	for _, a := range answers {
		tokens = append(tokens, a.RefreshToken)
	}
	return tokens
}
