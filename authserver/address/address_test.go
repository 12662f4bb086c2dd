package address

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var (
	label63 = strings.Repeat("a", 63)
	// 253 octets: three labels of 63, one of 61, three dots.
	domain253 = label63 + "." + label63 + "." + label63 + "." + label63[:61]
)

func TestParseAddress(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string // empty: an error is wanted, which contains err
		err  string
	}{
		"a plain address":               {"alice@example.com", "alice@example.com", ""},
		"capitals are folded":           {"Alice.B@Example.COM", "alice.b@example.com", ""},
		"only ASCII capitals are":       {"Émile@example.com", "Émile@example.com", ""},
		"all of atext":                  {"a0!#$%&'*+-/=?^_`{}~@example.com", "a0!#$%&'*+-/=?^_`{}~@example.com", ""},
		"one character":                 {"a@b", "a@b", ""},
		"a local part beyond ASCII":     {"用户.é@example.com", "用户.é@example.com", ""},
		"a no-break space is a letter":  {"a\u00a0b@example.com", "a\u00a0b@example.com", ""},
		"the replacement character":     {"\ufffd@example.com", "\ufffd@example.com", ""},
		"U-labels":                      {"alice@Bücher.example", "alice@xn--bcher-kva.example", ""},
		"sharp s stays itself":          {"alice@straße.example", "alice@xn--strae-oqa.example", ""},
		"an ideographic full stop":      {"alice@例え。テスト", "alice@xn--r8jz45g.xn--zckzah", ""},
		"fullwidth letters are ASCII":   {"alice@ｅｘａｍｐｌｅ.com", "alice@example.com", ""},
		"A-labels":                      {"alice@XN--BCHER-KVA.example", "alice@xn--bcher-kva.example", ""},
		"A-labels that decode to none":  {"alice@xn--a.example", "alice@xn--a.example", ""},
		"a local part of 64 octets":     {label63 + "b@example.com", label63 + "b@example.com", ""},
		"a local part of 65 octets":     {label63 + "bc@example.com", "", "local part is longer than 64 octets"},
		"64 characters, more octets":    {strings.Repeat("é", 33) + "@example.com", "", "local part is longer than 64 octets"},
		"a domain of 253 octets":        {"@" + domain253, "", "local part is empty"},
		"254 octets in all":             {"abcde@" + domain253[:248], "abcde@" + domain253[:248], ""},
		"255 octets in all":             {"abcdef@" + domain253[:248], "", "address is longer than 254 octets"},
		"nothing":                       {"", "", "address is empty"},
		"no @":                          {"alice", "", "address has no @"},
		"nothing before the @":          {"@example.com", "", "local part is empty"},
		"nothing behind the @":          {"alice@", "", "domain is empty"},
		"two @":                         {"alice@example.org@example.com", "", `local part has the character '@'`},
		"a quoted local part":           {`"alice"@example.com`, "", `local part has the character '"'`},
		"a quoted @":                    {`"a@b"@example.com`, "", "local part has the character"},
		"a bar":                         {"|sh@example.com", "", `local part has the character '|'`},
		"a backslash":                   {`a\b@example.com`, "", `local part has the character '\\'`},
		"a comment":                     {"alice(work)@example.com", "", `local part has the character '('`},
		"angle brackets":                {"<alice@example.com>", "", `local part has the character '<'`},
		"an address literal":            {"alice@[192.0.2.1]", "", `domain has the character '['`},
		"a leading dot":                 {".alice@example.com", "", "local part begins or ends with a dot"},
		"a trailing dot":                {"alice.@example.com", "", "local part begins or ends with a dot"},
		"two dots":                      {"a..b@example.com", "", "local part begins or ends with a dot, or has two in a row"},
		"a leading blank":               {" alice@example.com", "", "address has a blank"},
		"a trailing blank":              {"alice@example.com ", "", "address has a blank"},
		"a blank inside":                {"al ice@example.com", "", "address has a blank"},
		"a tab":                         {"alice\t@example.com", "", `address has the control character '\t'`},
		"a line end":                    {"alice@example.com\n", "", `address has the control character '\n'`},
		"a header smuggled in":          {"alice@example.com\r\nBcc: x", "", `address has the control character '\r'`},
		"NUL":                           {"alice\x00@example.com", "", `address has the control character '\x00'`},
		"DEL":                           {"alice\x7f@example.com", "", `address has the control character '\x7f'`},
		"a C1 control character":        {"alice\u0085@example.com", "", "address has the control character"},
		"half a character":              {"alic\xc3@example.com", "", "address is not valid UTF-8"},
		"a surrogate":                   {"alic\xed\xa0\x80@example.com", "", "address is not valid UTF-8"},
		"a loose accent":                {"e\u0301@example.com", "", "NFC"},
		"a loose accent in the domain":  {"alice@bu\u0308cher.example", "", "NFC"},
		"folding undoes normalization":  {"H\u0331@example.com", "", "NFC"},
		"folding makes it normal":       {"I\u0307@example.com", "i\u0307@example.com", ""},
		"a domain that ends with a dot": {"alice@example.com.", "", "domain begins or ends with a dot"},
		"a domain that begins with one": {"alice@.example.com", "", "domain begins or ends with a dot"},
		"two dots in the domain":        {"alice@example..com", "", "two in a row"},
		"an underscore in the domain":   {"alice@ex_ample.com", "", `domain has the character '_'`},
		"a label with a leading hyphen": {"alice@-example.com", "", "begins or ends with a hyphen"},
		"a label with a trailing one":   {"alice@example-.com", "", "begins or ends with a hyphen"},
		"a label of 63 octets":          {"alice@" + label63 + ".com", "alice@" + label63 + ".com", ""},
		"a label of 64 octets":          {"alice@a" + label63 + ".com", "", "label longer than 63 octets"},
		"a port":                        {"alice@example.com:25", "", `domain has the character ':'`},
		"letters that IDNA refuses":     {"alice@\u2260.example", "", "domain has no form in A-labels"},
		"two directions in a label":     {"alice@a\u05d0.example", "", "domain has no form in A-labels"},
		"a U-label too long in ASCII":   {"alice@" + strings.Repeat("ü", 60) + ".example", "", "label longer than 63 octets"},
		"U-labels and a dot at the end": {"alice@bücher.example.", "", "domain"},
		"a sign that maps to a slash":   {"alice@\u2100.example", "", "domain"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAddress(tt.in)
			switch {
			case tt.want == "":
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("ParseAddress(%q) = %v, %v; want error %q", tt.in, got, err, tt.err)
				}
				if got != (Address{}) {
					t.Errorf("ParseAddress(%q) = %v with an error", tt.in, got)
				}
			case err != nil || got.String() != tt.want:
				t.Errorf("ParseAddress(%q) = %v, %v; want %s", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestParseDomain(t *testing.T) {
	tests := map[string]struct {
		in      string
		want    Domain // empty: an error is wanted
		unicode string
	}{
		"ASCII":                         {"Example.COM", "example.com", "example.com"},
		"one label":                     {"localhost", "localhost", "localhost"},
		"digits":                        {"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		"U-labels":                      {"bücher.example", "xn--bcher-kva.example", "bücher.example"},
		"U-labels in capitals":          {"BÜCHER.example", "xn--bcher-kva.example", "bücher.example"},
		"A-labels":                      {"xn--bcher-kva.example", "xn--bcher-kva.example", "bücher.example"},
		"A-labels that are none":        {"xn--a.example", "xn--a.example", "xn--a.example"},
		"A-labels of what IDNA refuses": {"xn--1ch.example", "xn--1ch.example", "xn--1ch.example"},
		"A-labels of what is ASCII":     {"xn--example-.com", "", ""},
		"253 octets":                    {domain253, Domain(domain253), domain253},
		"254 octets":                    {domain253 + "a", "", ""},
		"nothing":                       {"", "", ""},
		"an address":                    {"alice@example.com", "", ""},
		"a dot":                         {".", "", ""},
		"an asterisk":                   {"*.example.com", "", ""},
		"a blank":                       {"example.com ", "", ""},
		"a joiner hidden inside":        {"exam\u200dple.com", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDomain(tt.in)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Fatalf("ParseDomain(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
			if err == nil && got.Unicode() != tt.unicode {
				t.Errorf("%s.Unicode() = %q, want %q", got, got.Unicode(), tt.unicode)
			}
		})
	}
}

// upper is the opposite of fold.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - ('a' - 'A')
		}
		return r
	}, s)
}

// checkError fails if an error could harm the terminal it is printed on.
func checkError(t *testing.T, in string, err error) {
	t.Helper()
	if msg := err.Error(); !utf8.ValidString(msg) || strings.ContainsFunc(msg, unicode.IsControl) {
		t.Errorf("%q: the error holds control characters: %q", in, msg)
	}
}

// What is accepted is stored, and is the same address when it comes back from
// there, or is typed in capitals.
func FuzzParseAddress(f *testing.F) {
	for _, s := range corpus {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil {
			checkError(t, in, err)
			return
		}
		s := a.String()
		for _, same := range []string{s, upper(s), a.Local + "@" + a.Domain.Unicode()} {
			if again, err := ParseAddress(same); again != a || err != nil {
				t.Errorf("%q is %s, but %q is %v, %v", in, s, same, again, err)
			}
		}
		if len(s) > maxAddress || len(a.Local) > maxLocal || strings.Count(s, "@") != 1 ||
			!norm.NFC.IsNormalString(s) || strings.ContainsAny(s, " |\"\\") || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("%q is %q", in, s)
		}
	})
}

func FuzzParseDomain(f *testing.F) {
	for _, s := range corpus {
		f.Add(s[strings.LastIndexByte(s, '@')+1:])
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, err := ParseDomain(in)
		if err != nil {
			checkError(t, in, err)
			return
		}
		for _, same := range []string{d.String(), upper(d.String()), d.Unicode(), upper(d.Unicode())} {
			if again, err := ParseDomain(same); again != d || err != nil {
				t.Errorf("%q is %s, but %q is %q, %v", in, d, same, again, err)
			}
		}
		if !isASCII(string(d)) || strings.ToLower(string(d)) != string(d) || len(d) > maxDomain || strings.ContainsAny(string(d), "@_: ") {
			t.Errorf("%q is %q", in, d)
		}
	})
}

// corpus are addresses, good and bad, that a parser may trip over.
var corpus = []string{
	"alice@example.com", "Alice.B@Example.COM", "a+b@example.com", "@example.com", "alice@", "alice", "", "@",
	"a@b@c", `"a"@example.com`, `"a@b"@example.com`, "a..b@example.com", ".a@example.com", "a.@example.com",
	"a|b@example.com", "a b@example.com", " a@example.com", "a@example.com ", "a@example.com\n", "a\x00@example.com",
	"a\x7f@example.com", "a\u0080@example.com", "a\u009f@example.com", "a\u00a0@example.com", "\ufffd@example.com",
	"\uffff@example.com", "\U0001f600@example.com", "\xff@example.com", "\xed\xa0\x80@example.com",
	"é@example.com", "e\u0301@example.com", "H\u0331@example.com", "I\u0307@example.com", "\u0130@example.com",
	"\u017f@example.com", "\u212a@example.com", "\u03a3@example.com", "用户@example.com", "\u1100\u1161@example.com",
	"a\u0301\u0327@example.com", "\u0301@example.com", "a@\u0301.example", "\u2028@example.com", "a\u200d@example.com",
	"a@bücher.example", "a@BÜCHER.example", "a@bu\u0308cher.example", "a@xn--bcher-kva.example", "a@xn--a.example",
	"a@xn--", "a@xn--.example", "a@ab--c.example", "a@straße.example", "a@例え。テスト", "a@ｅｘａｍｐｌｅ.com",
	"a@example.com.", "a@.example.com", "a@example..com", "a@-a.example", "a@a-.example", "a@a--b.example", "a@1.2.3.4",
	"a@[192.0.2.1]", "a@ex_ample.com", "a@example.com:25", "a@example.com/x", "a@" + "\u2260.example", "a@a\u05d0.example",
	label63 + "b@example.com", label63 + "bc@example.com", strings.Repeat("é", 32) + "@example.com",
	strings.Repeat("é", 33) + "@example.com", "a@" + label63 + ".com", "a@a" + label63 + ".com",
	"abcde@" + domain253[:248], "abcdef@" + domain253[:248], "a@" + domain253, "A'B*C/D=E?F^G_H`I{J}K~@X",
}
