package checkpassword

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"authbridge/internal/command"
)

// The most that callers write.
const (
	MaxDescriptor = 512  // djb's checkpassword interface
	MaxPipe       = 8192 // stdin
)

// ErrTooLong means that a caller wrote more than it may.
var ErrTooLong = errors.New("the input is too long")

// ReadInput reads r to its end. More than limit bytes are ErrTooLong.
func ReadInput(r io.Reader, limit int) ([]byte, error) {
	input, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(input) > limit {
		err = ErrTooLong
	}
	return input, err
}

// A Login is a name and what was typed as its password.
type Login struct {
	Name     string
	Password command.Secret
}

// ParseDescriptor reads what djb's checkpassword interface has on descriptor 3:
// name, password and a timestamp, each ended by a NUL, and perhaps more. The
// timestamp may be empty or unfinished; nobody reads it. An error that is not
// ErrDenied means that the caller does not keep to the interface.
func ParseDescriptor(input []byte) (Login, error) {
	if len(input) > MaxDescriptor {
		return Login{}, ErrTooLong
	}
	fields := bytes.SplitN(input, []byte{0}, 3)
	if len(fields) < 3 {
		return Login{}, errors.New("want a name, a password and a timestamp, each ended by a NUL")
	}
	return newLogin(fields[0], fields[1])
}

// ParsePassword reads what Apache's mod_authnz_external writes to ask for a
// password: a line with the name and a line with the password. Everything else
// is ErrDenied, because a browser may have sent line ends in either, to make
// one input look like another.
func ParsePassword(input []byte) (Login, error) {
	name, password, err := twoLines(input)
	if err != nil {
		return Login{}, err
	}
	return newLogin(name, password)
}

// ParseGroups reads what mod_authnz_external writes to ask for groups: a line
// with the name, and a line with groups as they stand in the configuration,
// where quotes may hold a blank. Everything else is ErrDenied.
func ParseGroups(input []byte) (name string, groups []string, err error) {
	first, second, err := twoLines(input)
	if err != nil {
		return "", nil, err
	}
	login, err := newLogin(first, nil)
	if err != nil {
		return "", nil, err
	}
	if groups, err = splitWords(string(second)); err != nil {
		return "", nil, err
	}
	return login.Name, groups, nil
}

// twoLines returns the two lines of input without their line ends. The second
// one is needed, too: a list that was cut off could name another group.
func twoLines(input []byte) (first, second []byte, err error) {
	lines := bytes.Split(input, []byte("\n"))
	if len(input) > MaxPipe || len(lines) != 3 || len(lines[2]) > 0 || bytes.ContainsAny(input, "\r\x00") {
		return nil, nil, fmt.Errorf("%w: the input is not two lines", ErrDenied)
	}
	return lines[0], lines[1], nil
}

// newLogin refuses what JSON or an environment would change: two different
// passwords must not become one.
func newLogin(name, password []byte) (Login, error) {
	if len(name) == 0 || !utf8.Valid(name) || bytes.ContainsFunc(name, unicode.IsControl) {
		return Login{}, fmt.Errorf("%w: this is no login name", ErrDenied)
	}
	if !utf8.Valid(password) {
		return Login{}, fmt.Errorf("%w: the password is not UTF-8", ErrDenied)
	}
	return Login{string(name), command.Secret(password)}, nil
}

// splitWords splits s as Apache splits its configuration.
func splitWords(s string) ([]string, error) {
	var words []string
	for {
		if s = strings.TrimLeft(s, " \t\v\f"); s == "" {
			return words, nil
		}
		quote := s[0]
		if quote != '"' && quote != '\'' {
			end := strings.IndexAny(s, " \t\v\f")
			if end < 0 {
				end = len(s)
			}
			words, s = append(words, s[:end]), s[end:]
			continue
		}
		var word strings.Builder
		for s = s[1:]; ; s = s[1:] {
			if s == "" {
				return nil, fmt.Errorf("%w: a quote has no end", ErrDenied)
			}
			if s[0] == quote {
				break
			}
			if s[0] == '\\' && len(s) > 1 && (s[1] == quote || s[1] == '\\') {
				s = s[1:]
			}
			word.WriteByte(s[0])
		}
		if word.Len() > 0 {
			words = append(words, word.String())
		}
		s = s[1:]
	}
}

// ParseScopes splits a list with blanks or commas between its words, as it
// stands behind AuthExternalContext.
func ParseScopes(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}
