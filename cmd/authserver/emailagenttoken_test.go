package main

import (
	"context"
	"maps"
	"regexp"
	"testing"

	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

// Many redeem one token: one is told that it is valid.
func TestRedeemEmailAgentTokenRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	users := arrangeUsers(t, db, "alice")
	token := newEmailAgentToken()
	if _, err := createEmailAgentToken(t.Context(), connect(t, db.URL), users["alice"], token); err != nil {
		t.Fatal(err)
	}
	count := race(t, db, func(ctx context.Context, conn *pgx.Conn, i int) (string, error) {
		answer, err := redeemEmailAgentToken(ctx, conn, token)
		return answer.Outcome, err
	})
	if want := map[string]int{"valid": 1, "burned": racers - 1}; !maps.Equal(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
	if n := number(t, db, `select count(*) from auth.audit a where a.action = 'email_agent_token.burn'`); n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
}

// A token that is accepted is what could have been made; it is the same however
// it is pasted.
func FuzzParseEmailAgentToken(f *testing.F) {
	form := regexp.MustCompile(`^[0-9a-f]{32}$`)
	f.Add(string(newEmailAgentToken()))
	f.Add(" 0123456789ABCDEF0123456789abcdef\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if token, ok := parseEmailAgentToken(s); ok {
			if again, ok := parseEmailAgentToken("\t" + string(token)); !ok || again != token || !form.MatchString(string(token)) {
				t.Errorf("%q is %q, which is %q, %v", s, token, again, ok)
			}
		} else if form.MatchString(s) {
			t.Errorf("%q is refused", s)
		}
	})
}
