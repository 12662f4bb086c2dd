package claims

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/client"
)

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every scope has its claims, and userinfo always says who it is about.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const (
		profile = `,"name":"Alice Example","preferred_username":"alice","nickname":"alice","username":"alice@example.com","locale":"de","picture":"https://example.com/alice.png"`
		groups  = `,"groups":["admins","wiki","member"]`
	)
	own := edited(func(c *client.Client) { c.GroupsInProfile = false })
	for _, tt := range []struct {
		client *client.Client
		scope  string
		asked  string
		want   string
	}{
		{wiki(), "openid", ``, ``},
		{wiki(), "openid profile", ``, profile + groups + `,"team":"Blue"`},
		{own, "openid profile", ``, profile + `,"team":"Blue"`},
		{own, "profile groups", ``, profile + groups + `,"team":"Blue"`},
		{wiki(), "openid email", ``, `,"email":"alice@example.com","email_verified":true`},
		{wiki(), "groups", ``, groups},
		{wiki(), "permissions", ``, `,"permissions":["wiki.read","wiki.write"]`},
		{wiki(), "scopes", ``, `,"scopes":["wiki.read","wiki.write"]`},
		{wiki(), "username", ``, `,"username":"alice@example.com"`},
		{wiki(), "address phone access offline_access unknown", ``, ``},
		{wiki(), "org", ``, `,"org.example/number":42,"roles":["editor","writer"],"staff":true,"unit":{"b":[1,2],"a":null}`},
		{wiki(), "openid", `{"userinfo":{"name":{"essential":true},"sub":{"value":"x"}}}`, `,"name":"Alice Example"`},
		{wiki(), "openid", `{"id_token":{"name":null}}`, ``},
		{own, "openid", `{"userinfo":{"groups":null}}`, groups},
		{edited(func(c *client.Client) { c.Scope = []string{"openid"} }), "openid", `{"userinfo":{"name":null,"groups":null,"staff":null}}`, ``},
	} {
		r, err := ParseRequest(tt.asked)
		if err != nil {
			t.Fatal(err)
		}
		got := text(t, h.UserInfo(tt.client, strings.Fields(tt.scope), r, alice()))
		want := `{"sub":"` + aliceID + `"` + tt.want
		if regexp.MustCompile(`\b(profile|email|username)\b`).MatchString(tt.scope) {
			want += `,"user_id":"alice@example.com"`
		}
		if want += "}"; got != want {
			t.Errorf("scope %q, claims %s:\ngot  %s\nwant %s", tt.scope, tt.asked, got, want)
		}
		checkNames(t, got)
	}
}

// What is empty is left out: whoever looks for a claim finds it or not.
func TestEmptyClaims(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	scope := append(slices.Clone(client.StandardScopes), "org")
	if got, want := text(t, h.UserInfo(wiki(), scope, Request{}, Identity{Subject: aliceID})), `{"sub":"`+aliceID+`"}`; got != want {
		t.Errorf("of nobody: %s, want %s", got, want)
	}
	id := alice()
	id.Groups, id.Permissions = []string{}, []string{}
	for name, empty := range map[string]string{"state": "", "locale": "", "roles": " , ,", "unit": "null", "team": ""} {
		id.Attributes[name] = empty
	}
	for _, unit := range []string{"null", `""`, " [ ] ", "{\n}"} {
		id.Attributes["unit"] = unit
		got := text(t, h.UserInfo(wiki(), scope, Request{}, id))
		checkNames(t, got)
		for _, name := range []string{"groups", "permissions", "scopes", "locale", "roles", "unit", "team"} {
			if strings.Contains(got, `"`+name+`":`) {
				t.Errorf("%s is empty, and there: %s", name, got)
			}
		}
	}
}

// The same user gives the same bytes, in whatever order the groups come.
func TestClaimsAreDeterministic(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	scope := append(slices.Clone(client.StandardScopes), "org")
	id := alice()
	for i := range 20 {
		id.Groups = append(id.Groups, fmt.Sprint("group", i))
	}
	want := text(t, h.UserInfo(wiki(), scope, Request{}, id))
	for range 20 {
		rand.Shuffle(len(id.Groups), func(i, j int) { id.Groups[i], id.Groups[j] = id.Groups[j], id.Groups[i] })
		if got := text(t, h.UserInfo(wiki(), scope, Request{}, id)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Of many groups the first are named, and the state is never lost.
func TestGroups(t *testing.T) {
	many := func(n int) []string {
		var groups []string
		for i := n; i > 0; i-- {
			groups = append(groups, fmt.Sprintf("group%04d", i))
		}
		return groups
	}
	for name, tt := range map[string]struct {
		groups []string
		state  string
		length int
		last   string
	}{
		"none":                             {nil, "", 0, ""},
		"a state alone":                    {nil, "member", 1, "member"},
		"a few":                            {[]string{"b", "a"}, "", 2, "b"},
		"a few, and a state before them":   {[]string{"c", "b"}, "a", 3, "a"},
		"a state like a group":             {[]string{"b", "a"}, "a", 2, "b"},
		"as many as there may be":          {many(256), "", 256, "group0256"},
		"as many, and a state":             {many(256), "member", 257, "member"},
		"more":                             {many(257), "", 256, "group0256"},
		"more, and a state":                {many(5000), "member", 257, "member"},
		"more, and a state like the first": {many(300), "group0001", 256, "group0256"},
		"more, and a state like one that is left out": {many(300), "group0300", 257, "group0300"},
	} {
		id := Identity{Groups: tt.groups, Attributes: map[string]string{"state": tt.state}}
		got := id.groups()
		if len(got) != tt.length || len(got) > 0 && got[len(got)-1] != tt.last {
			t.Errorf("%s: %d groups, %q", name, len(got), got)
		}
		if named := min(len(got), len(tt.groups)); !slices.IsSorted(got[:min(named, maxGroups)]) {
			t.Errorf("%s: not sorted: %q", name, got)
		}
	}
}

// An attribute is a text that somebody wrote; the claim says what it should be.
func TestCustomClaims(t *testing.T) {
	for _, tt := range []struct{ kind, value, want string }{
		{"string", "Blue", `{"x":"Blue"}`},
		{"string", "Bl\"ue\n\u2028é", `{"x":"Bl\"ue\n\u2028é"}`},
		{"string", "", `{}`},
		{"integer", "42", `{"x":42}`},
		{"integer", "-007", `{"x":-7}`},
		{"integer", "9223372036854775807", `{"x":9223372036854775807}`},
		{"integer", "9223372036854775808", `{}`},
		{"integer", "4.2", `{}`},
		{"integer", "many", `{}`},
		{"integer", `1,"sub":"mallory"`, `{}`},
		{"boolean", "true", `{"x":true}`},
		{"boolean", "false", `{"x":false}`},
		{"boolean", "yes", `{}`},
		{"boolean", "True", `{}`},
		{"list", "a, b ,c d,", `{"x":["a","b","c d"]}`},
		{"list", `a"],"sub":["mallory`, `{"x":["a\"]","\"sub\":[\"mallory"]}`},
		{"list", ",", `{}`},
		{"json", ` {"b": 1, "a": [ true ]} `, `{"x":{"b":1,"a":[true]}}`},
		{"json", `"text"`, `{"x":"text"}`},
		{"json", "12345678901234567890", `{"x":12345678901234567890}`},
		{"json", `{"a":1}}`, `{}`},
		{"json", `{} , "sub":"mallory"`, `{}`},
		{"json", `{"a":1`, `{}`},
		{"json", "null", `{}`},
		{"json", "[]", `{}`},
	} {
		var o Object
		addCustom(&o, client.Claim{Name: "x", Attribute: "a", Type: tt.kind}, &Identity{Attributes: map[string]string{"a": tt.value}})
		got, err := o.MarshalJSON()
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %q: %s, %v; want %s", tt.kind, tt.value, got, err, tt.want)
		}
	}
}

// No custom claim takes the place of one that a token or this package is
// responsible for, not even to a program that reads without case.
func TestReservedNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// The database refuses them all, so that nobody waits for a claim in vain.
	for _, name := range reserved {
		_, err := h.db.Owner.Exec(t.Context(), `insert into auth.oauth2_claims (name, attribute, scope) values ($1, 'mallory', 'openid')`, name)
		if err == nil || !strings.Contains(err.Error(), "oauth2_claims_name_is_free") {
			t.Errorf("%s is in the database: %v", name, err)
		}
	}
	if _, err := h.db.Owner.Exec(t.Context(), `alter table auth.oauth2_claims drop constraint oauth2_claims_name_is_free`); err != nil {
		t.Fatal(err)
	}
	for _, name := range reserved {
		for _, spelling := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if !isReserved(spelling) {
				t.Errorf("%s is not reserved", spelling)
			}
			h.createClaim(t, spelling, "mallory", "openid", "string")
		}
	}
	h.createClaim(t, "Locale", "language", "profile", "string")
	h.createClaim(t, "picture", "avatar", "openid", "string")
	h.load(t)
	id := alice()
	id.Attributes["mallory"], id.Attributes["avatar"] = "mallory", "https://example.com/avatar.png"
	got := text(t, h.UserInfo(wiki(), []string{"openid", "profile", "email", "groups"}, Request{}, id))
	checkNames(t, got)
	if strings.Contains(got, "mallory") {
		t.Errorf("a reserved name has another value: %s", got)
	}
	// Another attribute may be meant for these two; the user has one of them.
	if strings.Contains(strings.ToLower(got), `"locale":`) || !strings.Contains(got, `"picture":"https://example.com/avatar.png"`) {
		t.Errorf("custom claims: %s", got)
	}
	want := "Locale email email_verified groups locale name nickname org.example/number permissions picture preferred_username roles scopes staff sub team unit user_id username"
	if names := strings.Join(h.Names(), " "); names != want {
		t.Errorf("names\n%s, want\n%s", names, want)
	}
}

// The ancestor's clients read this as it is.
func TestFakeUserInfo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := time.Unix(1800000000, 0)
	o, err := h.FakeUserInfo(wiki(), alice(), at)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"sub":"` + aliceID + `","email":"alice@example.com","user_id":"alice@example.com","groups":["admins","wiki","member"],` +
		`"email_verified":true,"scopes":["wiki.read","wiki.write"],"nbf":1799999995,"exp":1800003600,"iss":"example.com"}`
	if got := text(t, o); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	id := alice()
	id.Groups, id.Permissions, id.Attributes = nil, nil, nil
	if o, err = h.FakeUserInfo(edited(func(c *client.Client) { c.Domain = "example.org" }), id, at); err != nil {
		t.Fatal(err)
	}
	if got := text(t, o); !strings.Contains(got, `"groups":[],`) || !strings.Contains(got, `"scopes":[],`) || !strings.HasSuffix(got, `"iss":"example.org"}`) {
		t.Errorf("without groups and permissions: %s", got)
	}
	if o, err := h.FakeUserInfo(edited(func(c *client.Client) { c.Domain = "example.invalid" }), id, at); err == nil {
		t.Errorf("without a domain: %s", text(t, o))
	}
}

// Whatever is put into a string comes out of it, and nothing else does.
func FuzzObject(f *testing.F) {
	f.Add("name", "value")
	f.Add("", "\x00\x1f\x7f\xff\u2028\U0001f600")
	f.Add(`"`, `","sub":"mallory`)
	f.Add(`\`, `\"`)
	f.Fuzz(func(t *testing.T, name, value string) {
		var o Object
		o.addText(name, value)
		o.addList("list of "+name, []string{value, value})
		plain, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(plain, &got); err != nil {
			t.Fatalf("%s: %v", plain, err)
		}
		name, value = valid(name), valid(value)
		members := 1
		if value != "" {
			members++
			if got[name] != value {
				t.Errorf("%q is %q in %s", name, got[name], plain)
			}
		}
		if list, ok := got["list of "+name].([]any); !ok || len(list) != 2 || list[0] != value || list[1] != value || len(got) != members {
			t.Errorf("%q, %q became %s", name, value, plain)
		}
	})
}

// valid returns what JSON makes of bytes that are no UTF-8: each is U+FFFD.
func valid(s string) string { return string([]rune(s)) }
