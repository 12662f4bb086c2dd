package client

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	many := make([]string, maxScope)
	for i := range many {
		many[i] = "s" + strings.Repeat("x", i)
	}
	tests := map[string][]string{
		"":                         nil,
		" ":                        nil,
		"openid":                   {"openid"},
		"openid email":             {"openid", "email"},
		" openid  email openid ":   {"openid", "email"},
		"Openid openid":            {"Openid", "openid"},
		"https://api.test/.read":   {"https://api.test/.read"},
		"!#[]~":                    {"!#[]~"},
		strings.Join(many, " "):    many,
		strings.Repeat("a", 255):   {strings.Repeat("a", 255)},
		strings.Repeat("a ", 5000): {"a"},
	}
	for in, want := range tests {
		if got, err := ParseScope(in); !slices.Equal(got, want) || err != nil {
			t.Errorf("ParseScope(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"a\tb", "a\nb", "a\x00", `a"b`, `a\b`, "ä", "a\xff", "\x7f", "a\u00a0b", strings.Repeat("a", 256), strings.Join(many, " ") + " more",
	} {
		if got, err := ParseScope(in); got != nil || err == nil {
			t.Errorf("ParseScope(%q) = %q, %v", in, got, err)
		}
	}
}

// What is read is read again as the same, and can stand in a token and a log.
func FuzzParseScope(f *testing.F) {
	f.Add("openid email openid")
	f.Add("  a\tb ")
	f.Add(strings.Repeat("a ", 300) + `"`)
	f.Fuzz(func(t *testing.T, in string) {
		scope, err := ParseScope(in)
		if err != nil {
			return
		}
		text := strings.Join(scope, " ")
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Fatalf("%q has %q", in, text)
		}
		if again, err := ParseScope(text); !slices.Equal(again, scope) || err != nil {
			t.Fatalf("%q is read as %q, and that as %q, %v", in, scope, again, err)
		}
		for word := range strings.SplitSeq(in, " ") {
			if word != "" && !slices.Contains(scope, word) {
				t.Fatalf("%q has no %q in %q", in, word, scope)
			}
		}
	})
}

func TestScopesOfClient(t *testing.T) {
	t.Parallel()
	standard, few, none := confidential("standard"), confidential("few"), confidential("none")
	few.Scope = []string{"openid", "reports", "offline_access", "jobs"}
	none.Scope = []string{}
	cs := newClients(nil)
	cs.replace(context.Background(), []clientRow{standard, few, none}, []Claim{
		{"dept", "department", "org", "string"}, {"tags", "tags", "labels", "list"}, {"cost", "cost_centre", "org", "integer"}, {"nick", "nick", "profile", "string"},
	})
	tests := map[string]struct {
		allowed, refused string
		byDefault, own   string
	}{
		"standard": {
			"openid profile email address phone groups scopes permissions access username offline_access org labels", "reports Openid opened openidx",
			"openid profile email address phone groups scopes permissions access username labels org", "",
		},
		"few":  {"openid reports offline_access jobs", "email org profile", "openid reports jobs", "reports jobs"},
		"none": {"", "openid offline_access org", "", ""},
	}
	for id, want := range tests {
		c := cs.Client(id)
		if refused := c.Allows(strings.Fields(want.allowed)); refused != "" {
			t.Errorf("%s: refuses %q", id, refused)
		}
		for _, word := range strings.Fields(want.refused) {
			if refused := c.Allows(append(strings.Fields(want.allowed), word, "another")); refused != word {
				t.Errorf("%s: refuses %q, want %q", id, refused, word)
			}
		}
		if got := strings.Join(c.DefaultScope(), " "); got != want.byDefault {
			t.Errorf("%s: by default %q, want %q", id, got, want.byDefault)
		}
		if got := strings.Join(c.OwnScope(), " "); got != want.own {
			t.Errorf("%s: its own is %q, want %q", id, got, want.own)
		}
		// Lists are the caller's.
		for _, list := range [][]string{c.DefaultScope(), c.OwnScope()} {
			for i := range list {
				list[i] = "spoilt"
			}
		}
		if c.Allows([]string{"spoilt"}) == "" || slices.Contains(c.DefaultScope(), "spoilt") || slices.Contains(StandardScopes, "spoilt") {
			t.Errorf("%s: a caller has changed the client", id)
		}
	}
}
