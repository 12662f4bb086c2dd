package main

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"authbridge/internal/command"
)

func TestReadAddressList(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string // separated by blanks
		err  string
	}{
		"one in a line":             {"a@example.com\nb@example.com\n", "a@example.com b@example.com", ""},
		"no line end":               {"a@example.com", "a@example.com", ""},
		"line ends of other worlds": {"a@example.com\r\nb@example.com\r\n", "a@example.com b@example.com", ""},
		"commas between":            {"a@example.com,b@example.com", "a@example.com b@example.com", ""},
		"commas and blanks":         {" a@example.com ,\tb@example.com,,\n\n ,", "a@example.com b@example.com", ""},
		"each once, in order":       {"b@example.com\na@example.com\nB@EXAMPLE.COM", "b@example.com a@example.com", ""},
		"nothing":                   {"", "", ""},
		"blank lines":               {"\n \n", "", ""},
		"a line that is none":       {"a@example.com\n\nb\n", "", `stdin, line 3: "b": address has no @`},
		"a name before the address": {"Alice <alice@example.com>", "", `address has a blank`},
		"two with a blank between":  {"a@example.com b@example.com", "", `address has a blank`},
		"half a character":          {"a\xc3@example.com", "", `not valid UTF-8`},
		"a line without end":        {strings.Repeat("a", 1<<21), "", "stdin has a line longer than 1048576 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l addressList
			err := l.read(strings.NewReader(tt.in))
			switch {
			case tt.err != "":
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
			case err != nil || strings.Join(l.addresses, " ") != tt.want:
				t.Errorf("got %q, %v; want %q", l.addresses, err, tt.want)
			}
		})
	}
}

// What is read comes out the same when it is written down and read again, and
// no address comes twice.
func FuzzReadAddressList(f *testing.F) {
	for _, s := range []string{"a@example.com\nb@example.com", "a@example.com,,A@example.com\r\n", "a@bücher.example", "", "a", "a@b,c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var first, second addressList
		if first.read(strings.NewReader(in)) != nil {
			return
		}
		if err := second.read(strings.NewReader(strings.Join(first.addresses, "\n"))); err != nil || !slices.Equal(first.addresses, second.addresses) {
			t.Errorf("%q: %q, then %q, %v", in, first.addresses, second.addresses, err)
		}
		sorted := slices.Sorted(slices.Values(first.addresses))
		if len(slices.Compact(sorted)) != len(first.addresses) {
			t.Errorf("%q: %q", in, first.addresses)
		}
	})
}

// Commands that take different addresses off one list never leave it empty.
func TestRemoveAddressRace(t *testing.T) {
	s := newShell(t)
	s.must("mailinglist", "create", "team", "a@example.com", "b@example.com", "c@example.com", "d@example.com")
	var wg sync.WaitGroup
	codes := make([]int, 4)
	for i, address := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"} {
		wg.Go(func() {
			var stderr string
			codes[i], _, stderr = s.run("", "mailinglist", "remove-address", "-m", "team", address)
			if codes[i] != command.Done && !strings.Contains(stderr, "would have no address left") {
				t.Errorf("exit %d: %s", codes[i], stderr)
			}
		})
	}
	wg.Wait()
	if slices.Sort(codes); !slices.Equal(codes, []int{0, 0, 0, 1}) {
		t.Errorf("exit codes %d", codes)
	}
	if n := number(t, s.db, `select count(*) from auth.mailing_list_addresses`); n != 1 {
		t.Errorf("%d addresses are left", n)
	}
}
