package docker

import (
	"errors"
	"slices"
	"strings"
)

// A Pattern stands for names of repositories. Between its slashes are
//
//	**       one or more whole components
//	${user}  the identifier of the user who asks
//	team-*   a component with any characters in place of each *, be it none
//
// so that "**" is all repositories, "team/*" those right below team, and
// "home/${user}/**" those in everybody's own place.
type Pattern struct {
	text     string
	segments []segment
}

// A segment of a pattern stands for a component of a name; deep stands for more.
type segment struct {
	kind segmentKind
	text string
}

type segmentKind int

const (
	literal segmentKind = iota
	glob
	user
	deep
)

// everything is the pattern of all repositories.
const everything = "**"

// maxPattern is the longest pattern that the database stores, in bytes.
const maxPattern = 255

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	if len(text) > maxPattern {
		return Pattern{}, errors.New("a pattern has at most 255 characters")
	}
	p := Pattern{text: text}
	for s := range strings.SplitSeq(text, "/") {
		kind := literal
		switch {
		case s == everything:
			kind = deep
		case s == "${user}":
			kind = user
		case s == "":
			return Pattern{}, errors.New("a pattern has something before, after and between its slashes")
		case !all(s, isPatternCharacter):
			return Pattern{}, errors.New("a pattern is of lower-case letters, digits, . _ : - * and /, or ${user} between slashes")
		case strings.Contains(s, everything):
			return Pattern{}, errors.New("** stands alone between slashes")
		case strings.Contains(s, "*"):
			kind = glob
		}
		p.segments = append(p.segments, segment{kind, s})
	}
	return p, nil
}

func isPatternCharacter(c byte) bool {
	return isLowerOrDigit(c) || c == '.' || c == '_' || c == ':' || c == '-' || c == '*'
}

// String returns the pattern as ParsePattern reads it.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern stands for a name when the user with this
// identifier asks; empty: nobody in particular.
func (p Pattern) Match(name, identifier string) bool {
	return p.match(strings.Split(name, "/"), identifier)
}

// match is Match for the components of a name. Only the last ** so far is ever
// extended: what those before it could take besides, it can.
func (p Pattern) match(name []string, identifier string) bool {
	if len(name) < len(p.segments) {
		return false
	}
	var (
		s, n = 0, 0
		last = -1 // the last ** so far
		end  = 0  // of what it takes
	)
	for n < len(name) {
		switch {
		case s < len(p.segments) && p.segments[s].kind == deep:
			last, end = s, n+1
			s, n = s+1, n+1
		case s < len(p.segments) && p.segments[s].match(name[n], identifier):
			s, n = s+1, n+1
		case last >= 0:
			end++
			s, n = last+1, end
		default:
			return false
		}
	}
	return s == len(p.segments)
}

// key returns what every name that the pattern stands for is, or has as its
// first component; empty if there is no such thing.
func (p Pattern) key() string {
	if !slices.ContainsFunc(p.segments, func(s segment) bool { return s.kind != literal }) {
		return p.text
	}
	if first := p.segments[0]; first.kind == literal {
		return first.text
	}
	return ""
}

func (s segment) match(component, identifier string) bool {
	switch s.kind {
	case literal:
		return component == s.text
	case glob:
		return matchGlob(s.text, component)
	case user:
		return identifier != "" && component == identifier
	}
	return false
}

// matchGlob reports whether s is the pattern with any characters in place of
// each *. As with **, only the last one is extended.
func matchGlob(pattern, s string) bool {
	var (
		p, i = 0, 0
		last = -1
		end  = 0
	)
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			last, end = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p, i = p+1, i+1
		case last >= 0:
			end++
			p, i = last+1, end
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
