package docker

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want Scope
		err  error
	}{
		"pull and push":             {"repository:team/app:pull,push", Scope{"repository", "team/app", []string{"pull", "push"}}, nil},
		"one component":             {"repository:app:pull", Scope{"repository", "app", []string{"pull"}}, nil},
		"separators of a component": {"repository:a.b/c_d/e__f/g---h/0:pull", Scope{"repository", "a.b/c_d/e__f/g---h/0", []string{"pull"}}, nil},
		"a host":                    {"repository:Registry.Example.com/app:pull", Scope{"repository", "Registry.Example.com/app", []string{"pull"}}, nil},
		"a host with a port":        {"repository:registry.example.com:5000/team/app:pull", Scope{"repository", "registry.example.com:5000/team/app", []string{"pull"}}, nil},
		"an address with a port":    {"repository:192.0.2.7:5000/app:pull", Scope{"repository", "192.0.2.7:5000/app", []string{"pull"}}, nil},
		"a class is dropped":        {"repository(plugin):team/app:pull", Scope{"repository", "team/app", []string{"pull"}}, nil},
		"the catalogue":             {"registry:catalog:*", Scope{"registry", "catalog", []string{"*"}}, nil},
		"everything":                {"repository:app:*", Scope{"repository", "app", []string{"*"}}, nil},
		"twice the same action":     {"repository:app:push,pull,push", Scope{"repository", "app", []string{"push", "pull"}}, nil},
		"an action of others":       {"repository:app:frobnicate", Scope{"repository", "app", []string{"frobnicate"}}, nil},
		"a type of others":          {"helm3:app:pull", Scope{"helm3", "app", []string{"pull"}}, nil},
		"the longest name":          {"repository:" + strings.Repeat("a", 255) + ":pull", Scope{"repository", strings.Repeat("a", 255), []string{"pull"}}, nil},

		"nothing":                       {"", Scope{}, errScopeForm},
		"a word":                        {"foo", Scope{}, errScopeForm},
		"no action":                     {"repository:app", Scope{}, errScopeForm},
		"an empty action":               {"repository:app:", Scope{}, errScopeAction},
		"a comma at the end":            {"repository:app:pull,", Scope{}, errScopeAction},
		"a star among letters":          {"repository:app:p*", Scope{}, errScopeAction},
		"an action in upper case":       {"repository:app:PULL", Scope{}, errScopeAction},
		"a blank":                       {"repository:app:pull push", Scope{}, errScopeAction},
		"no type":                       {":app:pull", Scope{}, errScopeType},
		"a type in upper case":          {"Repository:app:pull", Scope{}, errScopeType},
		"an empty class":                {"repository():app:pull", Scope{}, errScopeType},
		"an open class":                 {"repository(plugin:app:pull", Scope{}, errScopeType},
		"a class and more":              {"repository(plugin)s:app:pull", Scope{}, errScopeType},
		"two classes":                   {"repository(a)(b):app:pull", Scope{}, errScopeType},
		"no name":                       {"repository::pull", Scope{}, errScopeName},
		"a name in upper case":          {"repository:App:pull", Scope{}, errScopeName},
		"upper case behind a host":      {"repository:example.com/App:pull", Scope{}, errScopeName},
		"a port alone":                  {"repository:app:5000:pull", Scope{}, errScopeName},
		"a port without digits":         {"repository:app:/x:pull", Scope{}, errScopeName},
		"a port with letters":           {"repository:app:80a/x:pull", Scope{}, errScopeName},
		"a port in the middle":          {"repository:x/app:5000/x:pull", Scope{}, errScopeName},
		"two ports":                     {"repository:app:1:2/x:pull", Scope{}, errScopeName},
		"a host that begins with -":     {"repository:-Host/x:pull", Scope{}, errScopeName},
		"a host with an empty label":    {"repository:Host..com/x:pull", Scope{}, errScopeName},
		"a slash first":                 {"repository:/app:pull", Scope{}, errScopeName},
		"a slash last":                  {"repository:app/:pull", Scope{}, errScopeName},
		"two slashes":                   {"repository:a//b:pull", Scope{}, errScopeName},
		"the folder above":              {"repository:team/../app:pull", Scope{}, errScopeName},
		"a dot first":                   {"repository:.app:pull", Scope{}, errScopeName},
		"a dot last":                    {"repository:app.:pull", Scope{}, errScopeName},
		"two dots":                      {"repository:a..b:pull", Scope{}, errScopeName},
		"three underscores":             {"repository:a___b:pull", Scope{}, errScopeName},
		"mixed separators":              {"repository:a-_b:pull", Scope{}, errScopeName},
		"a name that is a pattern":      {"repository:team/*:pull", Scope{}, errScopeName},
		"a name that is not ASCII":      {"repository:ärger:pull", Scope{}, errScopeName},
		"a NUL":                         {"repository:a\x00b:pull", Scope{}, errScopeName},
		"a line":                        {"repository:app:pull\n", Scope{}, errScopeAction},
		"a name of 256 bytes":           {"repository:" + strings.Repeat("a", 256) + ":pull", Scope{}, errScopeName},
		"a scope that is much too long": {"repository:app:" + strings.Repeat("pull,", 300) + "pull", Scope{}, errScopeLength},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseScope(tt.in)
			if !errors.Is(err, tt.err) || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseScope(%q) = %+v, %v; want %+v, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

// The grammar of scopes, with names as in the OCI Distribution Specification
// and what may be before them.
var scopeGrammar = func() *regexp.Regexp {
	const (
		component = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
		label     = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
		host      = label + `(?:\.` + label + `)*(?::[0-9]+)?`
		name      = `(?:` + host + `/)?` + component + `(?:/` + component + `)*`
		action    = `(?:[a-z]+|\*)`
	)
	return regexp.MustCompile(`\A([a-z0-9]+)(?:\([a-z0-9]+\))?:(` + name + `):(` + action + `(?:,` + action + `)*)\z`)
}()

// What ParseScope accepts is the grammar, and it prints what it has read: the
// name ends up in a signed token.
func FuzzParseScope(f *testing.F) {
	for _, s := range []string{
		"repository:team/app:pull,push", "repository(plugin):h.example:5000/a-b/c__d:*", "registry:catalog:*",
		"repository:app:", "foo", ":::", "a:b:c:d", "repository:a:80/b:1/c:pull", "repository:A/b:x,x", "repository:a/-:pull", "repository:-/a:pull",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseScope(in)
		want := scopeGrammar.FindStringSubmatch(in)
		if want != nil && (len(in) > maxScope || len(want[2]) > maxName) {
			want = nil
		}
		if (err == nil) != (want != nil) {
			t.Fatalf("%q: %v, but by the grammar %q", in, err, want)
		}
		if err != nil {
			if len(err.Error()) > 100 || in != "" && len(in) > 12 && strings.Contains(err.Error(), in) {
				t.Errorf("%q: the error repeats it: %v", in, err)
			}
			return
		}
		if s.Type != want[1] || s.Name != want[2] {
			t.Errorf("%q is %+v", in, s)
		}
		if again, err := ParseScope(s.String()); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q prints as %q, which is %+v, %v", in, s, again, err)
		}
		for action := range strings.SplitSeq(want[3], ",") {
			if n := strings.Count(","+strings.Join(s.Actions, ",")+",", ","+action+","); n != 1 {
				t.Errorf("%q has %q %d times: %q", in, action, n, s.Actions)
			}
		}
	})
}

func BenchmarkParseScope(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseScope("repository:registry.example.com:5000/team/app:pull,push"); err != nil {
			b.Fatal(err)
		}
	}
}
