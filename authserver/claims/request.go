package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"authbridge/authserver/client"
)

// A Request is the claims parameter (OpenID Connect Core section 5.5). The zero
// Request asks for nothing.
type Request struct {
	UserInfo []Requested // by name, each once
	IDToken  []Requested // by name, each once
}

// A Requested is one claim that is asked for by name.
type Requested struct {
	Name      string
	Essential bool
	Values    []string // that would do, of value or values; empty: any
}

// maxRequest is the longest claims parameter, in bytes: more than a request can
// have, since the database puts blanks into what it stores.
const maxRequest = 32 << 10

// ParseRequest reads a claims parameter, or what MarshalJSON made of one. An
// empty text asks for nothing, as does null. Members that it does not know are
// ignored, and so are values that are no strings. Text that is malformed is an
// error with the zero Request; the protocol does not know that error, and who
// reads the parameter ignores it. So is the character 0, which the database
// cannot store.
func ParseRequest(text string) (Request, error) {
	if text == "" {
		return Request{}, nil
	}
	if len(text) > maxRequest {
		return Request{}, fmt.Errorf("claims parameter: longer than %d bytes", maxRequest)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return Request{}, fmt.Errorf("claims parameter: %w", err)
	}
	userInfo, err := parseRequested(members["userinfo"])
	if err != nil {
		return Request{}, fmt.Errorf("claims parameter: userinfo: %w", err)
	}
	idToken, err := parseRequested(members["id_token"])
	if err != nil {
		return Request{}, fmt.Errorf("claims parameter: id_token: %w", err)
	}
	return Request{userInfo, idToken}, nil
}

// parseRequested reads a member of a claims parameter, which may be missing.
func parseRequested(text json.RawMessage) ([]Requested, error) {
	if text == nil {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	var all []Requested
	for name, text := range members {
		r, err := parseOne(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Requested) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

var errZero = errors.New("there is a character 0")

// parseOne reads what is said of one claim: null, or an object.
func parseOne(name string, text json.RawMessage) (Requested, error) {
	r := Requested{Name: name}
	if strings.Contains(name, "\x00") {
		return r, errZero
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return r, errors.New("a claim is neither null nor an object")
	}
	if essential := members["essential"]; essential != nil {
		if err := json.Unmarshal(essential, &r.Essential); err != nil {
			return r, errors.New("essential is neither true nor false")
		}
	}
	var values []json.RawMessage
	if list := members["values"]; list != nil {
		if err := json.Unmarshal(list, &values); err != nil {
			return r, errors.New("values is no array")
		}
	}
	if one := members["value"]; one != nil {
		values = []json.RawMessage{one}
	}
	for _, value := range values {
		var s *string
		if json.Unmarshal(value, &s) == nil && s != nil {
			if strings.Contains(*s, "\x00") {
				return r, errZero
			}
			r.Values = append(r.Values, *s)
		}
	}
	return r, nil
}

// IsZero reports whether nothing is asked for.
func (r Request) IsZero() bool { return len(r.UserInfo) == 0 && len(r.IDToken) == 0 }

// MarshalJSON implements json.Marshaler: what is to be stored, without what was
// ignored. It is null if nothing is asked for.
func (r Request) MarshalJSON() ([]byte, error) {
	if r.IsZero() {
		return []byte("null"), nil
	}
	var o Object
	for _, member := range []struct {
		name  string
		asked []Requested
	}{{"userinfo", r.UserInfo}, {"id_token", r.IDToken}} {
		if len(member.asked) == 0 {
			continue
		}
		var claims Object
		for _, asked := range member.asked {
			text, err := asked.object().MarshalJSON()
			if err != nil {
				return nil, err
			}
			claims.addJSON(asked.Name, text)
		}
		text, err := claims.MarshalJSON()
		if err != nil {
			return nil, err
		}
		o.addJSON(member.name, text)
	}
	return o.MarshalJSON()
}

// object returns what is said of a claim.
func (r Requested) object() Object {
	var o Object
	if r.Essential {
		o.addBool("essential", true)
	}
	o.addList("values", r.Values)
	return o
}

// Subject returns the only user that will do (Core section 5.5.1), or nothing.
func (r Request) Subject() string {
	for _, asked := range [][]Requested{r.IDToken, r.UserInfo} {
		if sub := find(asked, "sub"); len(sub.Values) == 1 {
			return sub.Values[0]
		}
	}
	return ""
}

// ACR returns the levels of which the authentication must have one, if that is
// essential (Core section 5.5.1.1); else nothing.
func (r Request) ACR() []string {
	if acr := find(r.IDToken, "acr"); acr.Essential {
		return acr.Values
	}
	return nil
}

// find returns what is asked for under a name, or the zero Requested.
func find(asked []Requested, name string) Requested {
	for _, r := range asked {
		if r.Name == name {
			return r
		}
	}
	return Requested{}
}

// Scope returns the scopes that the claims belong to which are asked for, as far
// as the client may ask for them: what a user consents to, besides the scope
// parameter. They are sorted.
func (i *Issuer) Scope(c *client.Client, r Request) []string {
	var scope []string
	add := func(name string, words []string) {
		if find(r.UserInfo, name).Name == "" && find(r.IDToken, name).Name == "" {
			return
		}
		for _, word := range words { // the first that will do
			if c.Allows([]string{word}) == "" {
				scope = append(scope, word)
				return
			}
		}
	}
	for _, s := range standard {
		add(s.name, scopeOf(c, s.name, s.scope))
	}
	for _, custom := range i.custom() {
		add(custom.Name, []string{custom.Scope})
	}
	slices.Sort(scope)
	return slices.Compact(scope)
}
