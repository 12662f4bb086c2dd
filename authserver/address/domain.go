package address

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A Domain is a domain name in lower-case A-labels, without a dot at its end.
// It is made by ParseDomain.
type Domain string

const (
	maxLabel  = 63  // RFC 1035 section 2.3.4
	maxDomain = 253 // as text; 255 on the wire
)

// uLabels converts what people type (UTS 46, nontransitional).
var uLabels = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.StrictDomainName(true),
)

// ParseDomain returns the domain that s names, in A-labels or U-labels. Labels
// that begin with "xn--" are not looked into.
func ParseDomain(s string) (Domain, error) {
	s, err := fold("domain", s)
	if err != nil {
		return "", err
	}
	return parseDomain(s)
}

// parseDomain is ParseDomain for folded text.
func parseDomain(s string) (Domain, error) {
	if !isASCII(s) {
		ascii, err := uLabels.ToASCII(s)
		if err != nil {
			return "", fmt.Errorf("domain has no form in A-labels: %w", err)
		}
		s = ascii
	}
	if s == "" {
		return "", errors.New("domain is empty")
	}
	if len(s) > maxDomain {
		return "", fmt.Errorf("domain is longer than %d octets", maxDomain)
	}
	for label := range strings.SplitSeq(s, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	return Domain(s), nil
}

// checkLabel accepts letters, digits and inner hyphens (RFC 1123 section 2.1).
func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("domain begins or ends with a dot, or has two in a row")
	case len(label) > maxLabel:
		return fmt.Errorf("domain has a label longer than %d octets", maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("domain has a label that begins or ends with a hyphen")
	}
	for _, r := range label {
		if !isAlphanumeric(r) && r != '-' {
			return fmt.Errorf("domain has the character %q", r)
		}
	}
	return nil
}

// String returns the domain in A-labels.
func (d Domain) String() string { return string(d) }

// Unicode returns the domain in U-labels, or as it is if it has none or would
// not be the same domain when typed in again.
func (d Domain) Unicode() string {
	unicode, err := uLabels.ToUnicode(string(d))
	if err != nil {
		return string(d)
	}
	if again, err := ParseDomain(unicode); err != nil || again != d {
		return string(d)
	}
	return unicode
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isAlphanumeric(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }
