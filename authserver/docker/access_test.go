package docker

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// registry returns a registry with rules, each "KIND[:NAME] PATTERN ACTION,…".
func registry(t testing.TB, texts ...string) *Registry {
	t.Helper()
	r := &Registry{ClientID: "registry.example.com", user: map[string]*rules{}, group: map[string]*rules{}}
	for i, text := range texts {
		fields := strings.Fields(text)
		pattern, err := ParsePattern(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		kind, name, _ := strings.Cut(fields[0], ":")
		rule := Rule{ID: int64(i + 1), Pattern: pattern, Kind: SubjectKind(kind), Actions: strings.Split(fields[2], ",")}
		switch rule.Kind {
		case User:
			rule.UserID = name
		case Group:
			rule.Group = name
		}
		r.add(rule)
	}
	return r
}

// scopes reads scopes with blanks between.
func scopes(t testing.TB, text string) []Scope {
	t.Helper()
	s, err := parseScopes([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	nobody = Subject{}
	alice  = Subject{UserID: "id-alice", Identifier: "alice", Groups: []string{"dev", "ops"}}
	bob    = Subject{UserID: "id-bob", Identifier: "bob"}
)

func TestGrant(t *testing.T) {
	r := registry(t,
		"anyone public/** pull",
		"users shared/* pull,push",
		"user:id-alice team/app pull",
		"group:dev team/** push",
		"group:ops ** pull,push,delete,catalog",
		"user:id-bob ${user}/** pull,push,delete",
	)
	inDev := Subject{UserID: "id-alice", Identifier: "alice", Groups: []string{"dev"}}
	limited := func(s Subject, actions ...string) Subject {
		s.Actions = append([]string{}, actions...)
		return s
	}
	for name, tt := range map[string]struct {
		who   Subject
		asked string
		want  string // entries with / between, each as a scope
	}{
		"nothing asked, nothing listed":         {alice, "", ""},
		"anonymous pull":                        {nobody, "repository:public/app:pull", "repository:public/app:pull"},
		"anonymous push":                        {nobody, "repository:public/app:pull,push", "repository:public/app:pull"},
		"anonymous on what is not public":       {nobody, "repository:team/app:pull", "repository:team/app:"},
		"anonymous on what all users have":      {nobody, "repository:shared/app:pull", "repository:shared/app:"},
		"rules for anyone are for users, too":   {bob, "repository:public/app:pull", "repository:public/app:pull"},
		"a user as such":                        {bob, "repository:shared/app:push", "repository:shared/app:push"},
		"the rules of user and group add up":    {inDev, "repository:team/app:pull,push", "repository:team/app:pull,push"},
		"one's own place":                       {bob, "repository:bob/a/b:pull,push,delete", "repository:bob/a/b:pull,push,delete"},
		"somebody else's place":                 {bob, "repository:alice/a:pull", "repository:alice/a:"},
		"an administrator":                      {alice, "registry:catalog:* repository:x:delete", "registry:catalog:* repository:x:delete"},
		"the catalogue without a rule":          {inDev, "registry:catalog:*", "registry:catalog:"},
		"the catalogue for nobody":              {nobody, "registry:catalog:*", "registry:catalog:"},
		"the catalogue has one action":          {alice, "registry:catalog:pull,catalog", "registry:catalog:"},
		"other resources of the registry":       {alice, "registry:users:*", "registry:users:"},
		"* is what it means":                    {alice, "repository:a:*", "repository:a:pull,push,delete"},
		"* is what of it is allowed":            {inDev, "repository:team/x:*", "repository:team/x:push"},
		"* and more":                            {alice, "repository:a:push,*", "repository:a:pull,push,delete"},
		"one order":                             {alice, "repository:a:delete,push,pull", "repository:a:pull,push,delete"},
		"merged by name":                        {alice, "repository:a:push repository:b:pull repository:a:pull", "repository:a:pull,push repository:b:pull"},
		"actions that nobody gets":              {alice, "repository:a:frobnicate,pull,catalog", "repository:a:pull"},
		"types that nobody gets":                {alice, "chart:a:pull repository:a:pull", "repository:a:pull"},
		"a class makes no other resource":       {alice, "repository(plugin):a:pull repository:a:push", "repository:a:pull,push"},
		"mount: the source cannot be read":      {inDev, "repository:team/app:pull,push repository:secret/app:pull", "repository:team/app:pull,push repository:secret/app:"},
		"a limited credential":                  {limited(alice, "pull"), "repository:a:pull,push,delete", "repository:a:pull"},
		"a limited credential and *":            {limited(alice, "pull"), "repository:a:*", "repository:a:pull"},
		"a limited credential, anonymous rules": {limited(bob, "push"), "repository:public/a:pull", "repository:public/a:"},
		"a limited credential, the catalogue":   {limited(alice, "pull", "push", "delete"), "registry:catalog:*", "registry:catalog:"},
		"a credential for nothing":              {limited(alice), "repository:a:pull", "repository:a:"},
		"a limit allows nothing":                {limited(bob, "pull", "push", "delete", "catalog"), "repository:a:* registry:catalog:*", "repository:a: registry:catalog:"},
	} {
		t.Run(name, func(t *testing.T) {
			access := r.Grant(tt.who, scopes(t, tt.asked))
			texts := make([]string, len(access))
			for i, a := range access {
				texts[i] = a.String()
				if a.Actions == nil {
					t.Errorf("%s: no list", a)
				}
			}
			if got := strings.Join(texts, " "); got != tt.want || access == nil {
				t.Errorf("granted %q, want %q", got, tt.want)
			}
		})
	}
}

// A rule for the catalogue that is not about all repositories allows nothing,
// wherever it comes from.
func TestCatalogNeedsAllRepositories(t *testing.T) {
	r := registry(t, "anyone * catalog", "anyone catalog catalog", "anyone */** catalog,pull")
	for _, a := range r.Grant(nobody, scopes(t, "registry:catalog:*")) {
		if len(a.Actions) > 0 {
			t.Errorf("granted %s", a)
		}
	}
}

func TestExplain(t *testing.T) {
	r := registry(t,
		"group:ops ** pull,push,delete,catalog",
		"anyone public/** pull",
		"user:id-alice public/app pull,push",
		"user:id-bob ** pull",
	)
	type reason struct {
		action  string
		granted bool
		rules   []int64
		unknown bool
	}
	pullOnly := alice
	pullOnly.Actions = []string{"pull"}
	for name, tt := range map[string]struct {
		who   Subject
		asked string
		want  []reason
	}{
		"all rules that allow it": {alice, "repository:public/app:pull,push", []reason{{"pull", true, []int64{1, 2, 3}, false}, {"push", true, []int64{1, 3}, false}}},
		"no rule":                 {nobody, "repository:public/app:push", []reason{{"push", false, nil, false}}},
		"the credential":          {pullOnly, "repository:x:pull,push", []reason{{"pull", true, []int64{1}, false}, {"push", false, []int64{1}, false}}},
		"each of *":               {bob, "repository:x:push,*", []reason{{"push", false, nil, false}, {"pull", true, []int64{4}, false}, {"delete", false, nil, false}}},
		"the catalogue":           {alice, "registry:catalog:*", []reason{{"*", true, []int64{1}, false}}},
		"what nobody gets":        {alice, "repository:x:frobnicate", []reason{{"frobnicate", false, nil, true}}},
		"a type that nobody gets": {alice, "chart:x:pull,*", []reason{{"pull", false, nil, true}, {"*", false, nil, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []reason
			for _, s := range r.Explain(tt.who, scopes(t, tt.asked)[0]) {
				var ids []int64
				for _, rule := range s.Rules {
					ids = append(ids, rule.ID)
				}
				got = append(got, reason{s.Action, s.Granted, ids, s.Unknown})
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A chance makes rules, subjects and scopes that often have to do with each
// other.
type chance struct{ *rand.Rand }

func pick[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

func (c chance) some(of []string) []string {
	var some []string
	for _, s := range of {
		if c.IntN(2) == 0 {
			some = append(some, s)
		}
	}
	return some
}

func (c chance) path(of ...string) string {
	segments := make([]string, 1+c.IntN(3))
	for i := range segments {
		segments[i] = pick(c, of...)
	}
	return strings.Join(segments, "/")
}

func (c chance) subject() Subject {
	if c.IntN(4) == 0 {
		return Subject{}
	}
	name := pick(c, "alice", "bob", "a")
	s := Subject{UserID: "id-" + name, Identifier: name, Groups: c.some([]string{"dev", "ops"})}
	if c.IntN(3) == 0 {
		s.Actions = append([]string{}, c.some(actionNames)...)
	}
	return s
}

func (c chance) rule() string {
	actions := c.some(actionNames)
	if len(actions) == 0 {
		actions = []string{"pull"}
	}
	return pick(c, "user:id-alice", "user:id-bob", "user:id-a", "group:dev", "group:ops", "users", "anyone") + " " +
		c.path("**", "**", "${user}", "a", "b", "*", "a*", "alice", "catalog") + " " + strings.Join(actions, ",")
}

func (c chance) scope() Scope {
	actions := c.some([]string{"delete", "push", "*", "frobnicate", "catalog", "pull"})
	if len(actions) == 0 {
		actions = []string{"pull"}
	}
	return Scope{pick(c, "repository", "repository", "repository", "registry", "chart"), c.path("a", "b", "ab", "alice", "bob", "catalog"), actions}
}

// naivelyGranted is what Grant should grant: of the rules, one at a time, by a
// regular expression.
func naivelyGranted(rules []string, who Subject, kind, name, action string) bool {
	limit := action
	if kind == "registry" {
		if name != "catalog" || action != "*" {
			return false
		}
		limit = "catalog"
	} else if kind != "repository" || !slices.Contains([]string{"pull", "push", "delete"}, action) {
		return false
	}
	if who.Actions != nil && !slices.Contains(who.Actions, limit) {
		return false
	}
	for _, rule := range rules {
		fields := strings.Fields(rule)
		subject, pattern, actions := fields[0], fields[1], strings.Split(fields[2], ",")
		mine := subject == "anyone"
		if who.UserID != "" {
			mine = mine || subject == "users" || subject == "user:"+who.UserID
			for _, g := range who.Groups {
				mine = mine || subject == "group:"+g
			}
		}
		if mine && slices.Contains(actions, limit) && naiveMatch(pattern, name, who.Identifier) && (limit != "catalog" || pattern == "**") {
			return true
		}
	}
	return false
}

// Whatever the rules, the subject and the scopes: what is granted is exactly
// what was asked for and is allowed.
func TestGrantIsAskedAndAllowed(t *testing.T) {
	seed := rand.Uint64()
	c := chance{rand.New(rand.NewPCG(seed, 0))}
	for range 3000 {
		var rules []string
		for range c.IntN(8) {
			rules = append(rules, c.rule())
		}
		var asked []Scope
		for range c.IntN(5) {
			asked = append(asked, c.scope())
		}
		who := c.subject()
		r := registry(t, rules...)
		access := r.Grant(who, asked)
		what := fmt.Sprintf("seed %d: rules %q, %+v asks for %v and gets %v", seed, rules, who, asked, access)

		if slices.ContainsFunc(access, func(a Access) bool { return a.Type == "chart" }) {
			t.Fatalf("%s: an entry of a type that nobody gets", what)
		}
		for _, s := range asked {
			if s.Type == "chart" {
				continue
			}
			var entries []Access
			for _, a := range access {
				if a.Type == s.Type && a.Name == s.Name {
					entries = append(entries, a)
				}
			}
			if len(entries) != 1 {
				t.Fatalf("%s: %d entries for %s", what, len(entries), s)
			}
		}
		for _, a := range access {
			if !slices.IsSortedFunc(a.Actions, func(x, y string) int {
				return slices.Index(actionNames, x) - slices.Index(actionNames, y)
			}) {
				t.Fatalf("%s: another order", what)
			}
			asks := map[string]bool{}
			for _, s := range asked {
				if s.Type != a.Type || s.Name != a.Name {
					continue
				}
				for _, action := range s.Actions {
					asks[action] = true
				}
			}
			for _, action := range []string{"pull", "push", "delete", "catalog", "frobnicate", "*"} {
				wanted := asks[action] || a.Type == "repository" && asks["*"] && action != "frobnicate" && action != "catalog"
				want := wanted && naivelyGranted(rules, who, a.Type, a.Name, action)
				if got := slices.Contains(a.Actions, action); got != want {
					t.Fatalf("%s: %s %s is granted: %v, want %v", what, a.Name, action, got, want)
				}
			}
		}

		// Explain says the same.
		for _, s := range asked {
			for _, reason := range r.Explain(who, s) {
				if want := naivelyGranted(rules, who, s.Type, s.Name, reason.Action); reason.Granted != want {
					t.Fatalf("%s: explained as %+v", what, reason)
				}
			}
		}

		// The log knows it, too.
		short := false
		for _, s := range asked {
			for _, action := range s.Actions {
				parts := []string{action}
				if s.Type == "repository" && action == "*" {
					parts = []string{"pull", "push", "delete"}
				}
				for _, part := range parts {
					short = short || !naivelyGranted(rules, who, s.Type, s.Name, part)
				}
			}
		}
		if got := fallsShort(access, asked); got != short {
			t.Fatalf("%s: falls short: %v", what, got)
		}
	}
}

func BenchmarkGrant(b *testing.B) {
	kinds := map[string]func(i int) string{
		"1000 rules of 1000 users": func(i int) string { return fmt.Sprintf("user:id-%d team%d/** pull,push", i, i) },
		"1000 rules of one group":  func(i int) string { return fmt.Sprintf("group:dev team%d/** pull,push", i) },
		"1000 names for anyone":    func(i int) string { return fmt.Sprintf("anyone team/app%d pull", i) },
		"1000 globs for all users": func(i int) string { return fmt.Sprintf("users */app%d-*/** pull,push", i) },
	}
	for name, rule := range kinds {
		b.Run(name, func(b *testing.B) {
			rules := make([]string, 1000)
			for i := range rules {
				rules[i] = rule(i)
			}
			r := registry(b, rules...)
			asked := scopes(b, "repository:team/application/x:pull,push")
			b.ReportAllocs()
			for b.Loop() {
				r.Grant(alice, asked)
			}
		})
	}
}
