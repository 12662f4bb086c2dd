package claims

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"authbridge/authserver/client"
)

func TestParseRequest(t *testing.T) {
	tests := map[string]struct {
		in   string
		want Request
	}{
		// OpenID Connect Core section 5.5.
		"the example of the specification": {
			`{"userinfo":{"given_name":{"essential":true},"nickname":null,"email":{"essential":true},"http://example.info/claims/groups":null},
			  "id_token":{"auth_time":{"essential":true},"acr":{"values":["urn:mace:incommon:iap:silver"]}}}`,
			Request{
				UserInfo: []Requested{{Name: "email", Essential: true}, {Name: "given_name", Essential: true}, {Name: "http://example.info/claims/groups"}, {Name: "nickname"}},
				IDToken:  []Requested{{Name: "acr", Values: []string{"urn:mace:incommon:iap:silver"}}, {Name: "auth_time", Essential: true}},
			},
		},
		"nothing":                        {``, Request{}},
		"null":                           {`null`, Request{}},
		"an empty object":                {`{}`, Request{}},
		"empty members":                  {`{"userinfo":{},"id_token":null}`, Request{}},
		"a member that is not known":     {`{"verified_claims":[1],"ID_TOKEN":{"sub":null},"id_token":{"sub":{"purpose":"x"}}}`, Request{IDToken: []Requested{{Name: "sub"}}}},
		"a value":                        {`{"id_token":{"sub":{"value":"alice"}}}`, Request{IDToken: []Requested{{Name: "sub", Values: []string{"alice"}}}}},
		"a value and values":             {`{"id_token":{"sub":{"value":"alice","values":["bob"]}}}`, Request{IDToken: []Requested{{Name: "sub", Values: []string{"alice"}}}}},
		"values that are no strings":     {`{"id_token":{"acr":{"values":[1,null,{},"1"]},"sub":{"value":1}}}`, Request{IDToken: []Requested{{Name: "acr", Values: []string{"1"}}, {Name: "sub"}}}},
		"a claim twice":                  {`{"id_token":{"acr":null,"acr":{"essential":true}}}`, Request{IDToken: []Requested{{Name: "acr", Essential: true}}}},
		"as much as there may be":        {`{"x":"` + strings.Repeat("x", maxRequest-8) + `"}`, Request{}},
		"essential that is null, as not": {`{"id_token":{"acr":{"essential":null}}}`, Request{IDToken: []Requested{{Name: "acr"}}}},
	}
	for name, tt := range tests {
		got, err := ParseRequest(tt.in)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tt.want)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for _, in := range []string{
		`x`, `1`, `"text"`, `[]`, `true`, `{`, `{} {}`, `{"id_token":{}}}`, ` `,
		`{"id_token":1}`, `{"id_token":[]}`, `{"userinfo":"email"}`, `{"userinfo":true}`,
		`{"id_token":{"acr":true}}`, `{"id_token":{"acr":"1"}}`, `{"id_token":{"acr":[]}}`,
		`{"id_token":{"acr":{"essential":1}}}`, `{"id_token":{"acr":{"essential":"true"}}}`,
		`{"id_token":{"acr":{"values":"1"}}}`, `{"id_token":{"acr":{"values":{}}}}`,
		`{"id_token":{"a\u0000b":null}}`, `{"id_token":{"sub":{"value":"\u0000"}}}`,
		`{"x":"` + strings.Repeat("x", maxRequest-7) + `"}`,
		strings.Repeat("[", 20000), strings.Repeat(`{"id_token":`, 2000),
	} {
		if got, err := ParseRequest(in); err == nil || !reflect.DeepEqual(got, Request{}) {
			t.Errorf("%.100s: %+v, %v", in, got, err)
		}
	}
}

func TestRequestSubjectAndACR(t *testing.T) {
	for _, tt := range []struct{ in, subject, acr string }{
		{``, "", ""},
		{`{"id_token":{"sub":{"value":"alice"}}}`, "alice", ""},
		{`{"userinfo":{"sub":{"value":"alice"}}}`, "alice", ""},
		{`{"userinfo":{"sub":{"value":"bob"}},"id_token":{"sub":{"value":"alice"}}}`, "alice", ""},
		{`{"id_token":{"sub":null}}`, "", ""},
		{`{"id_token":{"acr":{"values":["1","2"]}}}`, "", ""},
		{`{"id_token":{"acr":{"essential":true,"values":["1","2"]}}}`, "", "1 2"},
		{`{"id_token":{"acr":{"essential":true}}}`, "", ""},
		{`{"userinfo":{"acr":{"essential":true,"value":"1"}}}`, "", ""},
	} {
		r, err := ParseRequest(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if subject, acr := r.Subject(), strings.Join(r.ACR(), " "); subject != tt.subject || acr != tt.acr {
			t.Errorf("%s: subject %q, acr %q", tt.in, subject, acr)
		}
	}
}

// A user consents to what a client asks for by name as to what it asks for by
// scope.
func TestRequestScope(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	few := edited(func(c *client.Client) { c.Scope = []string{"openid", "profile"} })
	for _, tt := range []struct {
		client   *client.Client
		in, want string
	}{
		{wiki(), ``, ""},
		{wiki(), `{"id_token":{"sub":null,"acr":null,"unknown":null}}`, ""},
		{wiki(), `{"id_token":{"email":null,"email_verified":null},"userinfo":{"name":null,"nickname":null}}`, "email profile"},
		{wiki(), `{"userinfo":{"groups":null,"username":null}}`, "groups profile"},
		{few, `{"userinfo":{"groups":null,"email":null,"permissions":null}}`, "profile"},
		{few, `{"userinfo":{"team":null,"staff":null}}`, "profile"},
		{edited(func(c *client.Client) { c.Scope = []string{"org"} }), `{"userinfo":{"team":null,"staff":null}}`, "org"},
	} {
		r, err := ParseRequest(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(h.Scope(tt.client, r), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// The database stores a request as jsonb, which has its own spelling.
func TestRequestInTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := `{"userinfo":{"` + strings.Repeat("é", 500) + `":{"essential":true}},"id_token":{` + strings.Repeat(`"a":null,`, 500) + `"b\"\u001f\ud800":{"values":["<x>","2"]}}}`
	r, err := ParseRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	var stored string
	if err := h.db.QueryRow(t.Context(), `select $1::jsonb::text`, string(mustJSON(t, r))).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if got, err := ParseRequest(stored); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v; want %+v", got, err, r)
	}
}

// What was read once is read so again, and there is nothing in it that was not
// asked for.
func FuzzParseRequest(f *testing.F) {
	f.Add(`{"userinfo":{"email":{"essential":true}},"id_token":{"acr":{"values":["1","2"]},"sub":{"value":"alice"}}}`)
	f.Add(`{"id_token":null}`)
	f.Add(`{"id_token":{"\ud800":{"value":"<>&\u2028"}}}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ParseRequest(in)
		if err != nil {
			if !r.IsZero() {
				t.Errorf("%q: %+v, %v", in, r, err)
			}
			return
		}
		stored, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		// Escapes make it longer, by six at most.
		if len(stored) > 8*len(in)+8 {
			t.Errorf("%q became %d bytes", in, len(stored))
		}
		again, err := ParseRequest(string(stored))
		if err != nil && len(stored) <= maxRequest || err == nil && !reflect.DeepEqual(again, r) {
			t.Errorf("%q: %+v, then %+v, %v", in, r, again, err)
		}
		if strings.Contains(string(stored), `\u0000`) && !strings.Contains(string(stored), `\\u0000`) {
			t.Errorf("%q has a character that the database cannot store: %s", in, stored)
		}
	})
}
