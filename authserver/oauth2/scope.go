package oauth2

import (
	"net/url"
	"slices"
	"strings"

	"authbridge/authserver/client"
	"authbridge/authserver/request"
)

// requestedScope returns what a client asks for that does so for a user (RFC
// 6749 section 3.3): what it may have anyway, if it says nothing.
func requestedScope(c *client.Client, text string) ([]string, error) {
	if text == "" {
		scope := c.DefaultScope()
		if len(scope) == 0 {
			return nil, invalidScope("scope is missing")
		}
		return scope, nil
	}
	scope, err := parseScope(text)
	if err != nil {
		return nil, err
	}
	if refused := c.Allows(scope); refused != "" {
		return nil, invalidScope("The application may not ask for the scope " + refused)
	}
	return scope, nil
}

func parseScope(text string) ([]string, error) {
	scope, err := client.ParseScope(text)
	if err != nil || len(scope) == 0 {
		return nil, invalidScope("The scope is malformed")
	}
	return scope, nil
}

// maxResources is more than an access token should be for.
const maxResources = 16

// readResources returns for what the access tokens are to be (RFC 8707 section
// 2). It is the only parameter that may be there several times.
func readResources(p url.Values) ([]string, error) {
	resources := []string{} // a list, be it empty
	for _, text := range p["resource"] {
		if text == "" || slices.Contains(resources, text) {
			continue
		}
		if len(resources) == maxResources { // a body has room for thousands, each compared with all
			return nil, invalidTarget("There are too many resources")
		}
		if len(text) > maxParameter || !request.IsText(text) {
			return nil, invalidTarget("A resource is malformed")
		}
		if _, err := client.ParseResource(text); err != nil {
			return nil, invalidTarget("A resource is malformed")
		}
		resources = append(resources, text)
	}
	return resources, nil
}

// requestedResources is readResources, as far as the client may have tokens for
// them.
func requestedResources(c *client.Client, p url.Values) ([]string, error) {
	resources, err := readResources(p)
	if err != nil {
		return nil, err
	}
	if !within(resources, c.Resources) {
		return nil, errOtherTarget
	}
	return resources, nil
}

var errOtherTarget = invalidTarget("There are no tokens for that resource")

// within reports whether all words are in a list.
func within(words, list []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(list, word) })
}

// list returns words with blanks between.
func list(words []string) string { return strings.Join(words, " ") }
