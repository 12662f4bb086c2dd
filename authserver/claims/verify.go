package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"authbridge/authserver/token"
)

// ErrToken means a text that is no token of ours of the kind that is wanted, or
// one that has expired.
var ErrToken = errors.New("not a valid token")

// verify returns the typ and the claims of a token that one of our keys has
// signed and that this issuer has issued.
func (i *Issuer) verify(text string) (token.Typ, *members, error) {
	v, err := i.Keys.Verify(text)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	// A map: names count as they are written, and a struct would take any case.
	m := &members{}
	if err := json.Unmarshal(v.Payload, &m.all); err != nil {
		return "", nil, fmt.Errorf("%w: claims: %w", ErrToken, err)
	}
	if iss := m.text("iss"); iss != i.URL {
		return "", nil, fmt.Errorf("%w: its issuer is %.100q", ErrToken, iss)
	}
	return v.Typ, m, nil
}

// members are the claims of a token that was verified.
type members struct {
	all       map[string]json.RawMessage
	malformed bool // a claim that was looked at has another type
}

// has reports whether there is a claim.
func (m *members) has(name string) bool { return m.all[name] != nil }

// text returns a claim that is a string, or nothing if there is none.
func (m *members) text(name string) string {
	text := m.all[name]
	if len(text) > 1 && text[0] == '"' && !slices.ContainsFunc(text, isEscaped) {
		return string(text[1 : len(text)-1]) // as most are, and without a decoder
	}
	var value string
	m.decode(text, &value)
	return value
}

// isEscaped reports whether a byte of a JSON string may stand for another.
func isEscaped(c byte) bool { return c == '\\' || c > '~' }

// list returns a claim that is strings, or nothing if there is none.
func (m *members) list(name string) []string {
	var values []string
	m.decode(m.all[name], &values)
	return values
}

// time returns a claim that is a time in whole seconds, or the zero Time if
// there is none.
func (m *members) time(name string) time.Time {
	text := m.all[name]
	if text == nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		m.malformed = true
	}
	return time.Unix(seconds, 0)
}

// audience returns aud, which may be one string or several.
func (m *members) audience() []string {
	if text := m.all["aud"]; len(text) > 0 && text[0] == '"' {
		return []string{m.text("aud")}
	}
	return m.list("aud")
}

// decode reads a claim into value, if there is one.
func (m *members) decode(text json.RawMessage, value any) {
	if text == nil {
		return
	}
	if err := json.Unmarshal(text, value); err != nil || string(text) == "null" {
		m.malformed = true
	}
}

// isUUID reports whether a text is a UUID as the database writes it.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
