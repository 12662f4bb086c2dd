package docker

import (
	"errors"
	"slices"
	"strings"
)

// A Scope is what a client asks for: actions on a resource.
type Scope struct {
	Type    string   // repository or registry; nobody gets anything of another
	Name    string   // as the grammar of repository names has it
	Actions []string // at least one, each once, in the order of the client
}

// What is wrong with a scope.
var (
	errScopeForm   = errors.New("a scope is TYPE:NAME:ACTION[,ACTION]")
	errScopeType   = errors.New("a type of scope is lower-case letters and digits")
	errScopeName   = errors.New("not the name of a repository")
	errScopeAction = errors.New("an action is lower-case letters, or *")
	errScopeLength = errors.New("the scope is too long")
)

// maxScope is longer than a scope with the longest name and all actions.
const maxScope = 1024

// ParseScope reads a scope of the token authentication of Docker registries:
//
//	repository:team/app:pull,push
//	repository:registry.example.com:5000/team/app:*
//	registry:catalog:*
//
// The type ends at the first colon and the name at the last: it may begin with
// a host and a port. A class behind the type, as in repository(plugin), means
// nothing any more and is dropped. The error does not repeat the text.
func ParseScope(text string) (Scope, error) {
	if len(text) > maxScope {
		return Scope{}, errScopeLength
	}
	kind, rest, found := strings.Cut(text, ":")
	last := strings.LastIndexByte(rest, ':')
	if !found || last < 0 {
		return Scope{}, errScopeForm
	}
	s := Scope{Name: rest[:last]}
	var ok bool
	if s.Type, ok = scopeType(kind); !ok {
		return Scope{}, errScopeType
	}
	if !isName(s.Name) {
		return Scope{}, errScopeName
	}
	for action := range strings.SplitSeq(rest[last+1:], ",") {
		if action != "*" && !all(action, isLower) {
			return Scope{}, errScopeAction
		}
		if !slices.Contains(s.Actions, action) {
			s.Actions = append(s.Actions, action)
		}
	}
	return s, nil
}

// String returns the scope as ParseScope reads it.
func (s Scope) String() string { return s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ",") }

// scopeType reads a type and drops its class.
func scopeType(text string) (kind string, ok bool) {
	kind, class, hasClass := strings.Cut(text, "(")
	if hasClass {
		class, ok = strings.CutSuffix(class, ")")
		if !ok || !all(class, isLowerOrDigit) {
			return "", false
		}
	}
	return kind, all(kind, isLowerOrDigit)
}

// maxName is the longest name that registries take, in bytes.
const maxName = 255

// isName reports whether s is the name of a repository: components of the OCI
// Distribution Specification ("Pulling manifests") between slashes, the first
// of which may instead be a host, with a port or without.
func isName(s string) bool {
	if len(s) > maxName {
		return false
	}
	first, rest, found := strings.Cut(s, "/")
	if !isComponent(first) && !(found && isHost(first)) {
		return false
	}
	for found {
		var component string
		component, rest, found = strings.Cut(rest, "/")
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent reports whether s is [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func isComponent(s string) bool {
	separator := ""
	for i := range len(s) {
		if isLowerOrDigit(s[i]) {
			separator = ""
			continue
		}
		// What stands before this character, and is no letter, is a part of the
		// same separator.
		separator = s[i-len(separator) : i+1]
		switch {
		case i < len(separator): // nothing before it
			return false
		case separator == ".", separator == "_", separator == "__", strings.Trim(separator, "-") == "":
		default:
			return false
		}
	}
	return s != "" && separator == ""
}

// isHost reports whether s is a host name or an IPv4 address, with a port or
// without.
func isHost(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	if hasPort && !all(port, isDigit) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !all(label, isHostCharacter) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// all reports whether s is not empty and has only characters that are so.
func all(s string, so func(c byte) bool) bool {
	for i := range len(s) {
		if !so(s[i]) {
			return false
		}
	}
	return s != ""
}

func isLower(c byte) bool        { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool        { return '0' <= c && c <= '9' }
func isLowerOrDigit(c byte) bool { return isLower(c) || isDigit(c) }
func isHostCharacter(c byte) bool {
	return isLowerOrDigit(c) || 'A' <= c && c <= 'Z' || c == '-'
}
