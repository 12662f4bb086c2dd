package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"authbridge/internal/command"
)

// Many commands create the same alias: one does, the others say that it is
// there, and nothing is half made.
func TestCreateAliasRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com")
	s.must("user", "create", "alice", "Alice")
	s.must("user", "create", "bob", "Bob")

	codes := make([]int, racers)
	said := make([]string, racers)
	var wg sync.WaitGroup
	for i := range racers {
		owner := []string{"alice", "bob"}[i%2]
		wg.Go(func() {
			codes[i], _, said[i] = s.run("", "emailalias", "create", "Sales@example.com", "-u", owner)
		})
	}
	wg.Wait()

	winners := 0
	for i := range racers {
		switch {
		case codes[i] == command.Done:
			winners++
		case codes[i] != command.Failed || said[i] != "authserver: alias sales@example.com already exists\n":
			t.Errorf("exit %d: %s", codes[i], said[i])
		}
	}
	if winners != 1 {
		t.Errorf("%d commands created the alias", winners)
	}
	if n := number(t, s.db, `select count(*) from auth.aliases`); n != 1 {
		t.Errorf("there are %d aliases", n)
	}
	if n := number(t, s.db, `select count(*) from auth.audit where action = 'alias.create'`); n != 1 {
		t.Errorf("the audit trail has %d creations", n)
	}
}

// Commands that change the same aliases in every way at once neither lock each
// other out nor fail in words that are PostgreSQL's.
func TestChangeAliasesRace(t *testing.T) {
	s := newShell(t)
	s.must("domain", "create", "example.com")
	s.must("domain", "create", "example.org")
	s.must("user", "create", "alice", "Alice")
	s.must("user", "create", "bob", "Bob")
	s.must("mailinglist", "create", "team", "a@example.net")
	const aliases = 4
	for i := range aliases {
		s.must(strings.Fields(fmt.Sprintf("emailalias create a%d@example.com -u alice", i))...)
	}

	// An error is fine if it says what the matter is.
	expected := []string{
		"already exists", "no alias has the address", "no alias is selected", "is no longer there", "no mailing list has the name",
		"is the delivery mailbox of", "is no alias", "is not an alias of", "belongs to nobody", "no user is meant", "there is no domain",
		"are the delivery mailboxes of", "at none of our domains", "no domain is or contains", "is gone already",
	}
	var wg sync.WaitGroup
	for i := range 60 {
		one, other := fmt.Sprintf("a%d@example.com", i%aliases), fmt.Sprintf("a%d@example.com", (i+1)%aliases)
		words := []string{
			"emailalias edit -y -c a --set-user bob",
			"emailalias edit -y -c a --set-mailing-list team",
			"emailalias edit " + one + " --set-domain example.org",
			"emailalias edit " + one + " --set-mailprefix a9",
			"emailalias blacklist --create-if-missing " + other + " " + one,
			"emailalias remove -y " + one + " " + other,
			"user set-delivery-mailbox bob " + one,
			"mailinglist remove -y team",
			"user remove -y bob",
			"domain remove -y --with-aliases example.org",
		}[i%10]
		wg.Go(func() {
			code, _, stderr := s.run("", strings.Fields(words)...)
			if code == command.Done {
				return
			}
			for _, e := range expected {
				if strings.Contains(stderr, e) {
					return
				}
			}
			t.Errorf("authserver %s: exit %d: %s", words, code, stderr)
		})
	}
	wg.Wait()
	// Each change of a row is in the trail: what is left is the last of each.
	if n := number(t, s.db, `
		select count(*)
		  from auth.aliases a
		 where to_jsonb(a) is distinct from (
		       select t.after from auth.audit t
		        where t.action like 'alias.%' and coalesce(t.after, t.before) ->> 'id' = a.id::text
		        order by t.id desc limit 1)`); n != 0 {
		t.Errorf("the audit trail has another state of %d aliases", n)
	}
}

// Whatever local part a flag accepts is that of an address.
func FuzzParseLocalPart(f *testing.F) {
	for _, s := range []string{"alice", "Alice.B", "a@b", "", "a b", "用户", ".a", "a\x00", "a@b@c", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		local, err := parseLocalPart(in)
		if err != nil {
			return
		}
		if again, err := parseAddresses([]string{local + "@example.com"}); err != nil || again[0] != local+"@example.com" {
			t.Errorf("%q is the local part %q, with which there is no address: %v", in, local, err)
		}
	})
}
