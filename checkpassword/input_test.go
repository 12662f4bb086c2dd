package checkpassword

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"authbridge/internal/command"
)

func TestReadInput(t *testing.T) {
	for length, want := range map[int]error{0: nil, 511: nil, 512: nil, 513: ErrTooLong, 100000: ErrTooLong} {
		if input, err := ReadInput(strings.NewReader(strings.Repeat("x", length)), 512); !errors.Is(err, want) || err == nil && len(input) != length {
			t.Errorf("%d bytes: read %d, %v", length, len(input), err)
		}
	}
}

func TestParseDescriptor(t *testing.T) {
	long := strings.Repeat("x", 512-len("alice\x00\x00\x00"))
	tests := map[string]struct {
		in     string
		want   Login
		denied bool // if there is no login: somebody typed that, and no program is to blame
	}{
		"djb":                   {"alice\x00secret\x00Y123456\x00", Login{"alice", "secret"}, false},
		"Dovecot":               {"alice\x00secret\x00\x00", Login{"alice", "secret"}, false},
		"Dovecot, a lookup":     {"alice\x00\x00\x00", Login{"alice", ""}, false},
		"no timestamp":          {"alice\x00secret\x00", Login{"alice", "secret"}, false},
		"timestamp without NUL": {"alice\x00secret\x00Y123", Login{"alice", "secret"}, false},
		"more behind it":        {"alice\x00secret\x00Y123\x00more\x00", Login{"alice", "secret"}, false},
		"blanks and line ends":  {"alice\x00 sec ret\r\n\x00\x00", Login{"alice", " sec ret\r\n"}, false},
		"512 bytes":             {"alice\x00" + long + "\x00\x00", Login{"alice", command.Secret(long)}, false},
		"513 bytes":             {"alice\x00" + long + "x\x00\x00", Login{}, false},
		"nothing":               {"", Login{}, false},
		"a name":                {"alice", Login{}, false},
		"a name and a NUL":      {"alice\x00", Login{}, false},
		"password without NUL":  {"alice\x00secret", Login{}, false},
		"no name":               {"\x00secret\x00\x00", Login{}, true},
		"a name of two lines":   {"alice\nbob\x00secret\x00\x00", Login{}, true},
		"name not UTF-8":        {"al\xffice\x00secret\x00\x00", Login{}, true},
		"password not UTF-8":    {"alice\x00sec\xffret\x00\x00", Login{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDescriptor([]byte(tt.in))
			if got != tt.want || (err == nil) != (tt.want.Name != "") || errors.Is(err, ErrDenied) != tt.denied {
				t.Errorf("%q, %q, %v", got.Name, string(got.Password), err)
			}
		})
	}
}

// refusedLines are what a browser can make of two lines, and what is cut off.
var refusedLines = map[string]string{
	"nothing":               "",
	"one line":              "alice\n",
	"no final line end":     "alice\nsecret",
	"a third line":          "alice\nsecret\nmore\n",
	"a third line, no end":  "alice\nsecret\nmore",
	"an empty third line":   "alice\nsecret\n\n",
	"a line before":         "\nalice\nsecret\n",
	"a carriage return":     "alice\r\nsecret\r\n",
	"a CR in the password":  "alice\nsec\rret\n",
	"a NUL in the name":     "ali\x00ce\nsecret\n",
	"a NUL at the end":      "alice\nsecret\n\x00",
	"no name":               "\nsecret\n",
	"a name with a control": "ali\x1bce\nsecret\n",
	"a name not UTF-8":      "ali\xffce\nsecret\n",
	"too long":              "alice\n" + strings.Repeat("x", 8192-len("alice\n\n")+1) + "\n",
}

func TestParsePassword(t *testing.T) {
	longest := strings.Repeat("x", 8192-len("alice\n\n"))
	tests := map[string]Login{
		"alice\nsecret\n":              {"alice", "secret"},
		"alice\n\n":                    {"alice", ""},
		"alice\n sec ret\t\n":          {"alice", " sec ret\t"},
		" alice \nsecret\n":            {" alice ", "secret"},
		"alice\npä\u2028ss\n":          {"alice", "pä\u2028ss"},
		"alice\n" + longest + "\n":     {"alice", command.Secret(longest)},
		"alice@example.com\nsecret\n":  {"alice@example.com", "secret"},
		"alice\n\"$(id)\" 'x' \\n%n\n": {"alice", "\"$(id)\" 'x' \\n%n"},
	}
	for in, want := range tests {
		if got, err := ParsePassword([]byte(in)); got != want || err != nil {
			t.Errorf("%q: %q, %q, %v", in, got.Name, string(got.Password), err)
		}
	}
	refused := map[string]string{"a password not UTF-8": "alice\nsec\xffret\n"}
	maps.Copy(refused, refusedLines)
	for name, in := range refused {
		if got, err := ParsePassword([]byte(in)); !errors.Is(err, ErrDenied) || got != (Login{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestParseGroups(t *testing.T) {
	tests := map[string][]string{
		"admins":              {"admins"},
		"admins staff":        {"admins", "staff"},
		"  admins\t staff ":   {"admins", "staff"},
		"":                    nil,
		"   ":                 nil,
		`"admins" 'staff'`:    {"admins", "staff"},
		`"web masters" staff`: {"web masters", "staff"},
		`"a\"b" 'c\\d' "e'f" "g\h"`: {
			`a"b`, `c\d`, `e'f`, `g\h`,
		},
		`""`:       nil,
		`ad"mins`:  {`ad"mins`},
		"a,b":      {"a,b"},
		"a\u00a0b": {"a\u00a0b"}, // no blank to Apache
	}
	for line, want := range tests {
		name, got, err := ParseGroups([]byte("alice\n" + line + "\n"))
		if name != "alice" || !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: %q, %q, %v", line, name, got, err)
		}
	}
	refused := map[string]string{"a quote without end": "alice\nadmins \"staff\n", "an escaped end": "alice\n'admins\\'\n"}
	maps.Copy(refused, refusedLines)
	for name, in := range refused {
		if user, got, err := ParseGroups([]byte(in)); !errors.Is(err, ErrDenied) || user != "" || got != nil {
			t.Errorf("%s: %q, %q, %v", name, user, got, err)
		}
	}
}

func TestParseScopes(t *testing.T) {
	for in, want := range map[string][]string{
		"":                  {},
		"imap":              {"imap"},
		" imap, smtp\thttp": {"imap", "smtp", "http"},
		",,imap,":           {"imap"},
	} {
		if got := ParseScopes(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// A login is what stands at the beginning, byte for byte.
func FuzzParseDescriptor(f *testing.F) {
	f.Add([]byte("alice\x00secret\x00Y123\x00"))
	f.Add([]byte("alice\x00\x00\x00"))
	f.Add([]byte("alice\x00sec\xffret\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		login, err := ParseDescriptor(in)
		if err != nil {
			if login != (Login{}) {
				t.Error("a login and an error")
			}
			return
		}
		if !bytes.HasPrefix(in, []byte(login.Name+"\x00"+string(login.Password)+"\x00")) {
			t.Errorf("%q is not how %q begins", login.Name, in)
		}
		checkLogin(t, login, in, MaxDescriptor)
	})
}

// Both lines together are all of the input: no two inputs are the same login.
func FuzzParsePassword(f *testing.F) {
	f.Add([]byte("alice\nsecret\n"))
	f.Add([]byte("alice\nadmins\nsecret\n"))
	f.Add([]byte("alice\r\nsecret\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		login, err := ParsePassword(in)
		if err != nil {
			if login != (Login{}) || !errors.Is(err, ErrDenied) {
				t.Errorf("%v, %v", login, err)
			}
			return
		}
		if string(in) != login.Name+"\n"+string(login.Password)+"\n" {
			t.Errorf("%q is not %q", login.Name, in)
		}
		checkLogin(t, login, in, MaxPipe)
	})
}

// Groups come from the second line alone, and without quotes they are its
// words.
func FuzzParseGroups(f *testing.F) {
	f.Add([]byte("alice\nadmins staff\n"))
	f.Add([]byte("alice\n\"web masters\" 'a\\'b'\n"))
	f.Add([]byte("alice\nusers\nadmins\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		name, groups, err := ParseGroups(in)
		if err != nil {
			if name != "" || groups != nil || !errors.Is(err, ErrDenied) {
				t.Errorf("%q, %q, %v", name, groups, err)
			}
			return
		}
		checkLogin(t, Login{Name: name}, in, MaxPipe)
		line, found := strings.CutPrefix(string(in), name+"\n")
		line, ended := strings.CutSuffix(line, "\n")
		if !found || !ended || strings.Contains(line, "\n") {
			t.Errorf("%q is not the first of two lines of %q", name, in)
		}
		if words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\v\f", r) }); !strings.ContainsAny(line, `"'`) && !slices.Equal(groups, words) {
			t.Errorf("%q, want %q", groups, words)
		}
		for _, group := range groups {
			if group == "" || len(group) > len(line) {
				t.Errorf("group %q of %q", group, line)
			}
		}
	})
}

func checkLogin(t *testing.T, login Login, in []byte, limit int) {
	t.Helper()
	if login.Name == "" || !utf8.ValidString(login.Name) || !utf8.ValidString(string(login.Password)) ||
		strings.ContainsFunc(login.Name, unicode.IsControl) || len(in) > limit {
		t.Errorf("%q is accepted", in)
	}
}
