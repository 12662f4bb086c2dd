package checkpassword

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Template is a text with places for parts of a user's address: %u is all of
// it, %n what is before the @, %d what is behind it, %% a percent sign.
type Template string

// Set implements flag.Value.
func (t *Template) Set(s string) error {
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			break
		}
		if after == "" || !strings.Contains("und%", after[:1]) {
			return errors.New("a % stands before u, n, d or another %")
		}
		rest = after[1:]
	}
	if strings.Contains(s, "\x00") {
		return errors.New("there is a NUL in it")
	}
	*t = Template(s)
	return nil
}

func (t *Template) String() string { return string(*t) }

// expand fills in the parts of user. They often end up in a path, so none may
// lead to another folder than its own.
func (t Template) expand(user string) (string, error) {
	local, domain, _ := strings.Cut(user, "@")
	parts := map[byte]string{'u': user, 'n': local, 'd': domain, '%': "%"}
	var b strings.Builder
	for rest := string(t); ; {
		before, after, found := strings.Cut(rest, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		part := parts[after[0]]
		if part == "" || part == "." || part == ".." || strings.Contains(part, "/") {
			return "", fmt.Errorf("%q does not fit into %q", user, string(t))
		}
		b.WriteString(part)
		rest = after[1:]
	}
}

// A Variable is one to export.
type Variable struct {
	Name  string
	Value Template
}

// Variables are those of repeated flags, NAME=VALUE each.
type Variables []Variable

// Set implements flag.Value; it adds to the list.
func (v *Variables) Set(s string) error {
	name, value, found := strings.Cut(s, "=")
	if !found || !isVariable(name) {
		return errors.New("want NAME=VALUE")
	}
	if name == "AUTHORIZED" {
		return errors.New("AUTHORIZED says what was verified, and nothing else")
	}
	variable := Variable{Name: name}
	if err := variable.Value.Set(value); err != nil {
		return err
	}
	*v = append(*v, variable)
	return nil
}

func isVariable(name string) bool {
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

func (v *Variables) String() string {
	var all []string
	for _, variable := range *v {
		all = append(all, variable.Name+"="+string(variable.Value))
	}
	return strings.Join(all, " ")
}

// A Program is what a login starts, by djb's convention.
type Program struct {
	Home   Template
	Shell  string
	Export Variables
}

// Environment returns env as the program for a user finds it. lookup tells
// whether the caller has asked for a user without a password: it wants to see
// that this was understood.
//
// Dovecot takes from the environment only what EXTRA lists. It cannot be told
// with blanks in an argument, so all exported variables with names as Dovecot's
// are listed, unless EXTRA itself is exported.
func (p Program) Environment(env []string, a Answer, lookup bool) ([]string, error) {
	if a.User == "" || strings.ContainsFunc(a.User, unicode.IsControl) {
		return nil, fmt.Errorf("%w: the answer names no user", ErrUnavailable)
	}
	home, err := p.Home.expand(a.User)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	set := func(name, value string) {
		env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, name+"=") })
		env = append(env, name+"="+value)
	}
	set("USER", a.User)
	set("HOME", home)
	set("SHELL", p.Shell)
	var extra []string
	for _, variable := range p.Export {
		if strings.HasPrefix(variable.Name, "userdb_") && !slices.Contains(extra, variable.Name) {
			extra = append(extra, variable.Name)
		}
	}
	if len(extra) > 0 {
		set("EXTRA", strings.Join(extra, " "))
	}
	for _, variable := range p.Export {
		value, err := variable.Value.expand(a.User)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable.Name, err)
		}
		set(variable.Name, value)
	}
	if lookup {
		set("AUTHORIZED", "2")
	}
	return env, nil
}
