package docker

import (
	"regexp"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern  string
		matches  []string // of alice
		excluded []string
	}{
		{"**", []string{"a", "a/b", "a/b/c", "h.example:5000/a"}, nil},
		{"team/app", []string{"team/app"}, []string{"team", "team/app/x", "team/application", "x/team/app", "Team/app"}},
		{"team/*", []string{"team/app", "team/a-b"}, []string{"team", "team/a/b", "steam/app"}},
		{"team/**", []string{"team/app", "team/a/b/c"}, []string{"team", "teams/app", "x/team/app"}},
		{"**/app", []string{"team/app", "a/b/app", "app/app"}, []string{"app", "team/app/x", "team/xapp"}},
		{"**/**", []string{"a/b", "a/b/c"}, []string{"a"}},
		{"a/**/z", []string{"a/b/z", "a/z/z", "a/b/z/c/z"}, []string{"a/z", "a/b/z/c", "a/b"}},
		{"**/x/**/x/**", []string{"a/x/b/x/c", "x/x/x/x/x"}, []string{"x/a/x/b/x", "a/x/x/c"}},
		{"team-*/app", []string{"team-/app", "team-1/app"}, []string{"team/app", "team-1/x/app"}},
		{"*-*-*", []string{"a-b-c", "a--b", "a-b-c-d"}, []string{"a-b", "a/b-c-d"}},
		{"a*a", []string{"aa", "aba", "aaa", "abaaba"}, []string{"a", "ab", "baa"}},
		{"${user}/**", []string{"alice/app", "alice/a/b"}, []string{"alice", "bob/app", "alices/app", "x/alice/app"}},
		{"home/${user}", []string{"home/alice"}, []string{"home/bob", "home"}},
		{"h.example:5000/*", []string{"h.example:5000/app"}, []string{"h.example/app", "hxexample:5000/app"}},
	} {
		p, err := ParsePattern(tt.pattern)
		if err != nil || p.String() != tt.pattern {
			t.Errorf("%s: %v, %v", tt.pattern, p, err)
			continue
		}
		for _, name := range tt.matches {
			if !p.Match(name, "alice") {
				t.Errorf("%s does not match %s", tt.pattern, name)
			}
		}
		for _, name := range tt.excluded {
			if p.Match(name, "alice") {
				t.Errorf("%s matches %s", tt.pattern, name)
			}
		}
	}
}

// Nobody in particular has no place of their own, whatever it is called.
func TestPatternOfNobody(t *testing.T) {
	for _, pattern := range []string{"${user}", "${user}/**", "**/${user}"} {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"", "/", "/app", "app/", "a", "a/b", "${user}/x", "${user}"} {
			if p.Match(name, "") {
				t.Errorf("%s matches %q", pattern, name)
			}
		}
	}
}

var badPatterns = []string{
	"", "/", "/a", "a/", "a//b", "A", "ä", "a b", "***", "a**", "**a", "a**b", "a/b**/c", "${user", "$user", "${USER}", "x${user}",
	"${user}x", "${user}*", "${group}", "a?b", "[ab]", "a,b", "a\n", "a\x00b", "(a)", strings.Repeat("a", 256),
}

var goodPatterns = []string{
	"**", "*", "a", "a*", "*a*", "*a*b*", "team/*", "team/**", "**/a/**", "${user}/**", "**/${user}", "${user}", "h.example:5000/a_b-c/*", "..", "-", strings.Repeat("a", 255),
}

func TestParsePatternRefuses(t *testing.T) {
	for _, pattern := range badPatterns {
		if _, err := ParsePattern(pattern); err == nil {
			t.Errorf("%q is a pattern", pattern)
		}
	}
	for _, pattern := range goodPatterns {
		if _, err := ParsePattern(pattern); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// The grammar of patterns, as the constraint of auth.docker_rules has it.
var patternGrammar = regexp.MustCompile(`\A(\*\*|\$\{user\}|[a-z0-9._:*-]+)(/(\*\*|\$\{user\}|[a-z0-9._:*-]+))*\z`)

func FuzzParsePattern(f *testing.F) {
	for _, pattern := range append(badPatterns, goodPatterns...) {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, in string) {
		want := len(in) <= maxPattern && patternGrammar.MatchString(in)
		for s := range strings.SplitSeq(in, "/") {
			want = want && (s == "**" || !strings.Contains(s, "**"))
		}
		p, err := ParsePattern(in)
		if (err == nil) != want {
			t.Errorf("%q: %v, but by the grammar %v", in, err, want)
		}
		if err == nil && p.String() != in {
			t.Errorf("%q prints as %q", in, p)
		}
	})
}

// naiveMatch is Pattern.Match by a regular expression.
func naiveMatch(pattern, name, identifier string) bool {
	var segments []string
	for s := range strings.SplitSeq(pattern, "/") {
		switch s {
		case "**":
			s = `[^/]*(?:/[^/]*)*`
		case "${user}":
			if identifier == "" {
				return false
			}
			s = regexp.QuoteMeta(identifier)
		default:
			s = strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, `[^/]*`)
		}
		segments = append(segments, s)
	}
	return regexp.MustCompile(`\A(?s:` + strings.Join(segments, "/") + `)\z`).MatchString(name)
}

func FuzzMatch(f *testing.F) {
	f.Add("team/**/app-*", "team/a/b/app-1", "alice")
	f.Add("**/**/x", "x/x/x", "x")
	f.Add("a*b*c", "abcabc", "")
	f.Add("${user}/**", "alice/x", "alice")
	f.Add("**/*a*/**/a", "a/a/ba/a/c/a", "")
	f.Fuzz(func(t *testing.T, pattern, name, identifier string) {
		p, err := ParsePattern(pattern)
		if err != nil || strings.Contains(identifier, "/") { // no identifier has one
			return
		}
		if len(name) > 255 || strings.ToValidUTF8(name, "") != name || strings.ToValidUTF8(identifier, "") != identifier {
			return // the regular expression would see other characters
		}
		if got, want := p.Match(name, identifier), naiveMatch(pattern, name, identifier); got != want {
			t.Errorf("%q matches %q for %q: %v, want %v", pattern, name, identifier, got, want)
		}
	})
}
