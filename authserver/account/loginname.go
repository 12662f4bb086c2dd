package account

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// notInLoginNames are the characters that a shell, a map or a table file of the
// servers that look names up would trip over.
const notInLoginNames = "|:,;\"'`\\/"

// ParseLoginName returns a login name as it is stored: the identifier of a user
// or the name of a service user, with ASCII letters in lower case. Other
// letters are not folded, and nothing is trimmed. The table auth.login_names
// has the same rules.
func ParseLoginName(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("login name is empty")
	case !utf8.ValidString(s):
		return "", errors.New("login name is not valid UTF-8")
	case len(s) > 64:
		return "", errors.New("login name is longer than 64 octets")
	case s[0] == '-':
		return "", errors.New("login name begins with a hyphen, which reads as a flag")
	}
	for _, r := range s {
		switch {
		case r == '@':
			return "", errors.New("login name has an @: that would be an address")
		case r <= ' ' || 0x7f <= r && r <= 0xa0 || strings.ContainsRune(notInLoginNames, r):
			return "", fmt.Errorf("login name has the character %q", r)
		}
	}
	// Folding can undo normalization: some small letters with an accent are a
	// character of their own where the capital is not.
	s = strings.Map(foldASCII, s)
	if !norm.NFC.IsNormalString(s) {
		return "", errors.New("login name is not in Unicode normalization form NFC")
	}
	return s, nil
}

// ParseName returns a name for people to read, of a group, a list or a person:
// anything in one line, in NFC, with no blank at either end, and at most 255
// octets. Case is kept.
func ParseName(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("name is empty")
	case !utf8.ValidString(s):
		return "", errors.New("name is not valid UTF-8")
	case len(s) > 255:
		return "", errors.New("name is longer than 255 octets")
	case s[0] == ' ' || s[len(s)-1] == ' ':
		return "", errors.New("name has a blank at its beginning or end")
	}
	for _, r := range s {
		if r < ' ' || 0x7f <= r && r <= 0x9f {
			return "", fmt.Errorf("name has the control character %q", r)
		}
	}
	if !norm.NFC.IsNormalString(s) {
		return "", errors.New("name is not in Unicode normalization form NFC")
	}
	return s, nil
}

// foldASCII is strings.Map's function for lower case of ASCII letters only:
// about others, locales disagree.
func foldASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}
