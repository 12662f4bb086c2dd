package oauth2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

// Pinned, because what is handed out outlives every release: family 00 to 0f,
// generation 1, secret 20 to 3f; and its successor by the key 01 02 03 00 ….
const (
	goldenRefreshToken = "or_aaaqeayeaudaocajbifqydiob4aaaaabeaqseizeeutcokbjfivsyljof4ydcmrtgq2tmnzyhe5dwpb5hy7q"
	goldenNextSecret   = "effb24c1daa9f67aedbf2c04ee265910b801175d1e659c3f024e7f21f68d29cd"
)

func exampleRefreshToken() refreshToken {
	t := refreshToken{generation: 1}
	for i := range t.family {
		t.family[i] = byte(i)
	}
	for i := range t.secret {
		t.secret[i] = byte(0x20 + i)
	}
	return t
}

func TestRefreshTokenGolden(t *testing.T) {
	example := exampleRefreshToken()
	if got := example.text(); got != goldenRefreshToken {
		t.Errorf("text %s", got)
	}
	next := example.next([32]byte{1, 2, 3})
	if next.family != example.family || next.generation != 2 || hex.EncodeToString(next.secret[:]) != goldenNextSecret {
		t.Errorf("the next is %x, generation %d of %x", next.secret, next.generation, next.family)
	}
}

// A successor depends on the key, the family, the generation and the secret, and
// on nothing else.
func TestNext(t *testing.T) {
	key := [32]byte{1, 2, 3}
	example := exampleRefreshToken()
	next, again := example.next(key), exampleRefreshToken().next(key)
	if next != again {
		t.Error("two successors of one token")
	}
	seen := map[[32]byte]string{example.secret: "itself", next.secret: "its successor"}
	for name, other := range map[string]refreshToken{
		"another family":     {family: [16]byte{1}, generation: 1, secret: example.secret},
		"another generation": {family: example.family, generation: 2, secret: example.secret},
		"another secret":     {family: example.family, generation: 1, secret: [32]byte{1}},
		"another key":        example,
	} {
		k := key
		if name == "another key" {
			k[31]++
		}
		next := other.next(k)
		if was := seen[next.secret]; was != "" {
			t.Errorf("%s has the secret of %s", name, was)
		}
		seen[next.secret] = name
	}
}

func TestNewRefreshToken(t *testing.T) {
	form := regexp.MustCompile(`^or_[a-z2-7]{84}$`)
	families := map[[16]byte]bool{}
	for range 100 {
		n := newRefreshToken()
		if !form.MatchString(n.text()) || n.generation != 0 || families[n.family] || n.family[6]>>4 != 4 || n.family[8]>>6 != 2 {
			t.Fatalf("%q of %x", n.text(), n.family)
		}
		families[n.family] = true
		if again, err := parseRefreshToken(n.text()); err != nil || again != n {
			t.Errorf("%q is read as %q, %v", n.text(), again.text(), err)
		}
	}
}

func TestParseRefreshToken(t *testing.T) {
	last := exampleRefreshToken()
	last.generation = 1<<31 - 1
	far := exampleRefreshToken()
	far.generation = 1 << 31
	encoded := strings.TrimPrefix(goldenRefreshToken, "or_")
	for name, text := range map[string]string{
		"empty":                         "",
		"the prefix alone":              "or_",
		"without the prefix":            encoded,
		"another prefix":                "oc_" + encoded,
		"in upper case":                 strings.ToUpper(goldenRefreshToken),
		"one too short":                 goldenRefreshToken[:len(goldenRefreshToken)-1],
		"one too long":                  goldenRefreshToken + "a",
		"padded":                        goldenRefreshToken + "====",
		"a digit that is in no base32":  "or_1" + encoded[1:],
		"bits behind the last":          "or_" + encoded[:83] + "l",
		"a line break within":           "or_" + encoded[:82] + "\r\n",
		"a line break at the end":       goldenRefreshToken + "\n",
		"not UTF-8":                     "or_\xff" + encoded[1:],
		"has no successor":              last.text(),
		"more than the database counts": far.text(),
		"a code":                        codes.New().Text(),
	} {
		if got, err := parseRefreshToken(text); err != errRefreshToken || got != (refreshToken{}) {
			t.Errorf("%s: %q is read as %q, %v", name, text, got.text(), err)
		}
	}
}

func TestRefreshTokenHidesItself(t *testing.T) {
	example := exampleRefreshToken()
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "token", example)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "token", example, "in", struct{ T refreshToken }{example})
	encoded, err := json.Marshal(map[string]any{"token": example, "pointer": &example})
	if err != nil {
		t.Fatal(err)
	}
	shown := logged.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, example) + fmt.Sprintf(verb, &example) + fmt.Sprintf(verb, []refreshToken{example})
	}
	for _, part := range []string{goldenRefreshToken[10:40], "21222324", "33 34 35", "33, 34, 35"} {
		if strings.Contains(shown, part) {
			t.Errorf("%q shows in %s", part, shown)
		}
	}
	if !strings.Contains(shown, "[refresh token]") {
		t.Error("it does not show that there is one")
	}
}

// A text that is accepted is the only spelling of its token, and has a
// successor; what was made is accepted.
func FuzzRefreshToken(f *testing.F) {
	f.Add(goldenRefreshToken)
	f.Add(newRefreshToken().text())
	f.Add("or_" + strings.Repeat("a", 84))
	f.Add("or_" + strings.Repeat("7", 84))
	f.Add("or_" + strings.Repeat("a", 82) + "\n\n")
	form := regexp.MustCompile(`^or_[a-z2-7]{84}$`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseRefreshToken(text)
		if err != nil {
			if got != (refreshToken{}) {
				t.Errorf("%q is refused, and %q", text, got.text())
			}
			return
		}
		if got.text() != text || !form.MatchString(text) {
			t.Errorf("%q is read as %q", text, got.text())
		}
		next, err := parseRefreshToken(got.next([32]byte{7}).text())
		if got.generation < 1<<31-2 && (err != nil || next.generation != got.generation+1 || next.family != got.family) {
			t.Errorf("the successor of %q is %v, %v", text, next.generation, err)
		}
	})
}
