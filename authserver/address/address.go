package address

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// An Address is a mail address in the form in which it is stored. It is made by
// ParseAddress.
type Address struct {
	Local  string
	Domain Domain
}

const (
	maxLocal   = 64  // RFC 5321 section 4.5.3.1.1
	maxAddress = 254 // a path is 256 with its brackets, section 4.5.3.1.3
)

// atext are the characters of an atom besides letters and digits. RFC 5322 has
// '|' too, which starts a command where a server pipes mail to programs.
const atext = "!#$%&'*+-/=?^_`{}~"

// ParseAddress returns the address that s is. There are no quoted local parts,
// no comments and no address literals.
func ParseAddress(s string) (Address, error) {
	s, err := fold("address", s)
	if err != nil {
		return Address{}, err
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, errors.New("address has no @")
	}
	local := s[:at]
	if err := checkLocal(local); err != nil {
		return Address{}, err
	}
	domain, err := parseDomain(s[at+1:])
	if err != nil {
		return Address{}, err
	}
	a := Address{local, domain}
	if len(a.String()) > maxAddress {
		return Address{}, fmt.Errorf("address is longer than %d octets", maxAddress)
	}
	return a, nil
}

// checkLocal accepts a dot-atom (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
func checkLocal(local string) error {
	if local == "" {
		return errors.New("local part is empty")
	}
	if len(local) > maxLocal {
		return fmt.Errorf("local part is longer than %d octets", maxLocal)
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return errors.New("local part begins or ends with a dot, or has two in a row")
		}
		for _, r := range atom {
			if r < utf8.RuneSelf && !isAlphanumeric(r) && !strings.ContainsRune(atext, r) {
				return fmt.Errorf("local part has the character %q", r)
			}
		}
	}
	return nil
}

// String returns the address as ParseAddress accepts it.
func (a Address) String() string { return a.Local + "@" + string(a.Domain) }

// fold returns s with ASCII letters in lower case. It refuses text that no
// address or domain consists of; what names it in errors.
//
// Normalization is looked at last, because folding can undo it: capital H with
// a line below has no character of its own, the small letter has.
func fold(what, s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("%s is empty", what)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%s is not valid UTF-8", what)
	}
	for _, r := range s {
		switch {
		case r == ' ':
			return "", fmt.Errorf("%s has a blank", what)
		case r < ' ' || 0x7f <= r && r < 0xa0:
			return "", fmt.Errorf("%s has the control character %q", what, r)
		}
	}
	s = strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
	if !norm.NFC.IsNormalString(s) {
		return "", fmt.Errorf("%s is not in Unicode normalization form NFC", what)
	}
	return s, nil
}
