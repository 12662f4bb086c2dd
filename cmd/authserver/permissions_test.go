package main

import (
	"strings"
	"sync"
	"testing"
	"unicode"

	"authbridge/internal/command"
)

// What is accepted is one item of a list that blanks or commas separate.
func FuzzParsePermissionName(f *testing.F) {
	for _, s := range []string{"wiki.edit", "a b", "a,b", "", "é", "e\u0301", "a\u00a0b", "a\x00", strings.Repeat("a", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		name, err := parsePermissionName(in)
		if err != nil {
			return
		}
		if name != in || len(name) > 255 || strings.ContainsAny(name, ", ") || strings.ContainsFunc(name, unicode.IsControl) {
			t.Errorf("%q is %q", in, name)
		}
	})
}

// Commands that give and take the same permissions, and remove one meanwhile,
// give all or nothing, in words that are ours.
func TestGrantRace(t *testing.T) {
	s := newShell(t)
	s.must("user", "create", "alice", "Alice")
	s.must("group", "create", "wiki")
	s.must("permissions", "create", "a", "--name", "A")
	s.must("permissions", "create", "b", "--name", "B")
	s.must("permissions", "create", "c", "--name", "C")
	var wg sync.WaitGroup
	for i := range 40 {
		words := []string{
			"permissions grant user alice a b c",
			"permissions grant group wiki c b a",
			"permissions revoke user --all alice",
			"permissions revoke group wiki b",
			"permissions remove b",
			"permissions grant membership alice wiki",
			"permissions revoke membership alice wiki",
			"permissions create b --name B",
		}[i%8]
		wg.Go(func() {
			code, _, stderr := s.run("", strings.Fields(words)...)
			if code != command.Done && !strings.Contains(stderr, "no permission has the name") && !strings.Contains(stderr, "already exists") {
				t.Errorf("authserver %s: exit %d: %s", words, code, stderr)
			}
		})
	}
	wg.Wait()
}
