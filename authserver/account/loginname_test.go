package account

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestParseLoginName(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string // empty: an error is wanted
	}{
		"a plain name":                   {"alice", "alice"},
		"capitals are folded":            {"Alice", "alice"},
		"only ASCII capitals are folded": {"Émile", "Émile"},
		"a UUID":                         {"9B2C7A52-5A0E-4C9F-8F5E-0D6E2F3B1A11", "9b2c7a52-5a0e-4c9f-8f5e-0d6e2f3b1a11"},
		"letters beyond ASCII":           {"用户", "用户"},
		"64 octets":                      {strings.Repeat("a", 64), strings.Repeat("a", 64)},
		"65 octets":                      {strings.Repeat("a", 65), ""},
		"64 characters of two octets":    {strings.Repeat("é", 64), ""},
		"nothing":                        {"", ""},
		"an address":                     {"alice@example.com", ""},
		"a leading hyphen":               {"-alice", ""},
		"a hyphen inside":                {"alice-b", "alice-b"},
		"a blank":                        {"alice b", ""},
		"a blank at the end":             {"alice ", ""},
		"a no-break space":               {"alice\u00a0b", ""},
		"a line end":                     {"alice\n", ""},
		"NUL":                            {"al\x00ice", ""},
		"DEL":                            {"al\x7fice", ""},
		"a C1 control character":         {"al\u0085ice", ""},
		"a colon":                        {"alice:b", ""},
		"a bar":                          {"alice|b", ""},
		"a comma":                        {"alice,b", ""},
		"a semicolon":                    {"alice;b", ""},
		"a double quote":                 {`alice"`, ""},
		"a single quote":                 {"o'brien", ""},
		"a backquote":                    {"`id`", ""},
		"a backslash":                    {`dom\alice`, ""},
		"a slash":                        {"../alice", ""},
		"half a character":               {"alic\xc3", ""},
		"a letter with a loose accent":   {"e\u0301mile", ""},
		"folding undoes normalization":   {"H\u0331", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseLoginName(tt.in)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("ParseLoginName(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestParseName(t *testing.T) {
	tests := map[string]struct {
		in string
		ok bool
	}{
		"a name of two words":          {"Wiki Editors", true},
		"punctuation":                  {`"O'Brien", B/C: <a@b>`, true},
		"255 octets":                   {strings.Repeat("a", 255), true},
		"256 octets":                   {strings.Repeat("a", 256), false},
		"nothing":                      {"", false},
		"a leading blank":              {" wiki", false},
		"a trailing blank":             {"wiki ", false},
		"a line end":                   {"wi\nki", false},
		"a C1 control character":       {"wi\u009bki", false},
		"half a character":             {"\xc3wiki", false},
		"a letter with a loose accent": {"e\u0301", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseName(tt.in)
			if (err == nil) != tt.ok || tt.ok && got != tt.in {
				t.Errorf("ParseName(%q) = %q, %v; want ok %v", tt.in, got, err, tt.ok)
			}
		})
	}
}

// What is accepted is stored, and must be found again under the same name.
func FuzzParseLoginName(f *testing.F) {
	f.Add("Alice")
	f.Add("e\u0301")
	f.Add("H\u0331")
	f.Fuzz(func(t *testing.T, in string) {
		name, err := ParseLoginName(in)
		if err != nil {
			if !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("ParseLoginName(%q): error %q cannot be printed", in, err)
			}
			return
		}
		if again, err := ParseLoginName(name); again != name || err != nil {
			t.Errorf("ParseLoginName(%q) = %q, and then %q, %v", in, name, again, err)
		}
		if !norm.NFC.IsNormalString(name) || strings.ContainsAny(name, "@ ") {
			t.Errorf("ParseLoginName(%q) = %q", in, name)
		}
	})
}
