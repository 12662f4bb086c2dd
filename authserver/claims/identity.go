package claims

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"authbridge/authserver/client"
)

// An Identity is a user as the database knows it. What is not asked for may be
// empty.
type Identity struct {
	UserID         string
	Subject        string // sub, as the client gets to know the user; always there
	Identifier     string
	FullName       string
	PrimaryAddress string
	Groups         []string
	Permissions    []string
	Attributes     map[string]string
}

// standard are the claims that need no configuration, in the order in which
// they are said. Each belongs to the scopes behind its name.
var standard = []struct {
	name  string
	scope []string
	add   func(o *Object, name string, id *Identity)
}{
	{"name", []string{"profile"}, func(o *Object, name string, id *Identity) { o.addText(name, id.FullName) }},
	{"preferred_username", []string{"profile"}, func(o *Object, name string, id *Identity) { o.addText(name, id.Identifier) }},
	{"nickname", []string{"profile"}, func(o *Object, name string, id *Identity) { o.addText(name, id.Identifier) }},
	{"username", []string{"profile", "username"}, addPrimaryAddress},
	{"locale", []string{"profile"}, addAttribute},
	{"picture", []string{"profile"}, addAttribute},
	{"email", []string{"email"}, addPrimaryAddress},
	// A primary address is one of our own, which nobody else receives mail for.
	{"email_verified", []string{"email"}, func(o *Object, name string, id *Identity) {
		if id.PrimaryAddress != "" {
			o.addBool(name, true)
		}
	}},
	{"groups", []string{"groups"}, func(o *Object, name string, id *Identity) { o.addList(name, id.groups()) }},
	{"permissions", []string{"permissions"}, func(o *Object, name string, id *Identity) { o.addList(name, id.permissions()) }},
	{"scopes", []string{"scopes"}, func(o *Object, name string, id *Identity) { o.addList(name, id.permissions()) }},
}

func addPrimaryAddress(o *Object, name string, id *Identity) { o.addText(name, id.PrimaryAddress) }

// addAttribute adds the attribute of the claim's own name.
func addAttribute(o *Object, name string, id *Identity) { o.addText(name, id.Attributes[name]) }

// reserved are names that no custom claim has, as the table auth.oauth2_claims
// says, too: what a token says of itself,
// what tells kinds of tokens apart, and what is known of users without
// attributes. locale and picture are missing, which another attribute may be
// meant for.
var reserved = strings.Fields(`
	iss sub aud exp iat nbf jti auth_time nonce acr amr azp at_hash c_hash s_hash sid
	client_id scope cnf act may_act events active token_type grant_id access
	name preferred_username nickname username email email_verified groups permissions scopes user_id state`)

// isReserved compares without case, because there are programs that read claims
// so: to them, Email_Verified would be a second email_verified.
func isReserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}

// custom returns the custom claims that there can be, by name.
func (i *Issuer) custom() []client.Claim {
	all := i.Clients.Claims()
	if !slices.ContainsFunc(all, func(c client.Claim) bool { return isReserved(c.Name) }) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(c client.Claim) bool { return isReserved(c.Name) })
}

// Names returns the names of all claims that there can be about a user, sorted:
// claims_supported of discovery, without those of a token.
func (i *Issuer) Names() []string {
	names := []string{"sub", "user_id"}
	for _, s := range standard {
		names = append(names, s.name)
	}
	for _, c := range i.custom() {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A selection is what somebody asks for about a user.
type selection struct {
	client *client.Client
	scope  []string    // as granted
	asked  []Requested // by name, which does not mean that the client may
}

// wants reports whether a claim that belongs to these scopes is asked for: by
// one of them, or by its name if the client may ask for one of them.
func (s selection) wants(name string, scope []string) bool {
	for _, word := range scope {
		if slices.Contains(s.scope, word) {
			return true
		}
	}
	if !slices.ContainsFunc(s.asked, func(r Requested) bool { return r.Name == name }) {
		return false
	}
	return slices.ContainsFunc(scope, func(word string) bool { return s.client.Allows([]string{word}) == "" })
}

// scopeOf returns the scopes that a standard claim belongs to.
func scopeOf(c *client.Client, name string, scope []string) []string {
	if name == "groups" && c.GroupsInProfile {
		return []string{"groups", "profile"}
	}
	return scope
}

// addIdentity adds the claims that are asked for.
func (i *Issuer) addIdentity(o *Object, s selection, id *Identity) {
	custom := i.custom()
	for _, claim := range standard {
		scope := scopeOf(s.client, claim.name, claim.scope)
		wanted := s.wants(claim.name, scope) || claim.name == "email_verified" && s.wants("email", scope)
		if wanted && !isCustom(custom, claim.name) {
			claim.add(o, claim.name, id)
		}
	}
	for _, claim := range custom {
		if s.wants(claim.Name, []string{claim.Scope}) {
			addCustom(o, claim, id)
		}
	}
}

// isCustom reports whether a custom claim takes the place of another.
func isCustom(custom []client.Claim, name string) bool {
	return slices.ContainsFunc(custom, func(c client.Claim) bool { return strings.EqualFold(c.Name, name) })
}

// addCustom adds a custom claim, unless the user has no such attribute. One that
// is not of the claim's type is left out and logged: it is no reason not to let
// the user in.
func addCustom(o *Object, c client.Claim, id *Identity) {
	value := id.Attributes[c.Attribute]
	if value == "" {
		return
	}
	valid := true
	switch c.Type {
	case "integer":
		n, err := strconv.ParseInt(value, 10, 64)
		if valid = err == nil; valid {
			o.addInteger(c.Name, n)
		}
	case "boolean":
		if valid = value == "true" || value == "false"; valid {
			o.addBool(c.Name, value == "true")
		}
	case "list":
		o.addList(c.Name, splitList(value))
	case "json":
		var text bytes.Buffer
		if valid = json.Compact(&text, []byte(value)) == nil; valid && !isEmptyJSON(text.String()) {
			o.addJSON(c.Name, text.Bytes())
		}
	default:
		o.addText(c.Name, value)
	}
	if !valid {
		slog.Warn("attribute is not what the claim says, and left out",
			"user", id.UserID, "attribute", c.Attribute, "claim", c.Name, "type", c.Type)
	}
}

// splitList returns words between commas, without blanks around them and
// without empty ones.
func splitList(value string) []string {
	var words []string
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// isEmptyJSON reports whether compact JSON says nothing.
func isEmptyJSON(text string) bool {
	return text == "null" || text == `""` || text == "[]" || text == "{}"
}

// maxGroups is how many groups a claim names at most. What consumers do with
// thousands, they have never tried.
const maxGroups = 256

// groups returns the claim groups: the names sorted, as many as maxGroups, and
// the user's state at last, so that it is never among those that are left out.
func (id *Identity) groups() []string {
	groups := sorted(id.Groups)
	if len(groups) > maxGroups {
		slog.Warn("user has more groups than the claim names", "user", id.UserID, "groups", len(groups), "limit", maxGroups)
		groups = groups[:maxGroups]
	}
	if state := id.Attributes["state"]; state != "" && !slices.Contains(groups, state) {
		groups = append(slices.Clip(groups), state)
	}
	return groups
}

func (id *Identity) permissions() []string { return sorted(id.Permissions) }

// sorted returns names in order, in which the database has them already.
func sorted(names []string) []string {
	if slices.IsSorted(names) {
		return names
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}
