package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// StandardScopes are what a client may ask for that has no list of its own,
// besides the scopes of custom claims.
var StandardScopes = []string{
	"openid", "profile", "email", "address", "phone", "groups", "scopes", "permissions", "access", "username", OfflineAccess,
}

// EmptyScopes are those for which nobody gets anything. Clients of the ancestor
// send them.
var EmptyScopes = []string{"address", "phone", "access"}

// OfflineAccess lets a grant outlive the session of its user (OpenID Connect
// Core section 11).
const OfflineAccess = "offline_access"

const (
	maxScope     = 128 // words
	maxScopeWord = 255 // bytes
)

// ParseScope reads a scope parameter (RFC 6749 section 3.3): words between
// blanks, each of them once in what is returned, in their order. No text is no
// words. The error is for the client.
func ParseScope(text string) ([]string, error) {
	var scope []string
	seen := map[string]bool{}
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case word == "" || seen[word]:
			continue
		case len(word) > maxScopeWord:
			return nil, fmt.Errorf("scope has a word of more than %d bytes", maxScopeWord)
		case strings.ContainsFunc(word, func(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }):
			return nil, errors.New("scope has a character that no scope has")
		case len(scope) == maxScope:
			return nil, fmt.Errorf("scope has more than %d words", maxScope)
		}
		seen[word] = true
		scope = append(scope, word)
	}
	return scope, nil
}

// Allows returns the first word of a scope that the client may not ask for, or
// nothing.
func (c *Client) Allows(scope []string) (refused string) {
	for _, word := range scope {
		if !c.allows(word) {
			return word
		}
	}
	return ""
}

func (c *Client) allows(word string) bool {
	if c.Scope != nil {
		return slices.Contains(c.Scope, word)
	}
	return slices.Contains(StandardScopes, word) || slices.Contains(c.custom, word)
}

// DefaultScope is what a client asks for that names no scope: all that it may,
// but offline_access. The list is the caller's own.
func (c *Client) DefaultScope() []string {
	all := slices.Clone(c.Scope)
	if c.Scope == nil {
		all = slices.Concat(StandardScopes, c.custom)
	}
	return slices.DeleteFunc(all, func(word string) bool { return word == OfflineAccess })
}

// OwnScope is what the client may ask for without a user, by client
// credentials: none of StandardScopes. The list is the caller's own.
func (c *Client) OwnScope() []string {
	return slices.DeleteFunc(slices.Clone(c.Scope), func(word string) bool { return slices.Contains(StandardScopes, word) })
}
