package opaque

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

var kind = Kind{Prefix: "ac_", Name: "API client secret"}

// Pinned, because what is stored and handed out outlives every release: the
// bytes 0 to 31 in base32, and the SHA-256 of the whole text.
const (
	golden       = "ac_aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"
	goldenSHA256 = "05253baad5a24cb9bc71009d9e7defc00baa231839fd2165ea489c92a1dc5831"
)

// What a secret scanner searches for.
var form = regexp.MustCompile(`^ac_[a-z2-7]{52}$`)

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s := kind.New()
		if !form.MatchString(s.Text()) {
			t.Fatalf("text %q, want %v", s.Text(), form)
		}
		if seen[s.Text()] {
			t.Fatalf("%q was made twice", s.Text())
		}
		seen[s.Text()] = true
		if again, err := kind.Parse(s.Text()); again != s || err != nil {
			t.Errorf("%q is read as %q, %v", s.Text(), again.Text(), err)
		}
	}
}

func TestGolden(t *testing.T) {
	s, err := kind.Parse(golden)
	if err != nil {
		t.Fatal(err)
	}
	// select sha256('ac_…')
	if sum := s.SHA256(); hex.EncodeToString(sum[:]) != goldenSHA256 {
		t.Errorf("SHA-256 %x, want %s", sum, goldenSHA256)
	}
}

func TestParse(t *testing.T) {
	encoded := strings.TrimPrefix(golden, "ac_")
	refused := map[string]string{
		"empty":                          "",
		"the prefix alone":               "ac_",
		"without the prefix":             encoded,
		"another prefix":                 "ap_" + encoded,
		"in upper case":                  strings.ToUpper(golden),
		"the bits in upper case":         "ac_" + strings.ToUpper(encoded),
		"one too short":                  golden[:len(golden)-1],
		"one too long":                   golden + "a",
		"padded":                         golden + "====",
		"padded to the length":           "ac_" + encoded[:48] + "====",
		"a digit that is in no base32":   "ac_" + encoded[:51] + "1",
		"bits behind the 256th":          "ac_" + encoded[:51] + "r",
		"a line break within":            "ac_" + encoded[:50] + "\r\n",
		"a line break at the end":        golden + "\n",
		"a blank before":                 " " + golden,
		"the scheme before":              "Bearer " + golden,
		"a letter that folds to k":       "ac_\u212a" + encoded[3:],
		"not UTF-8":                      "ac_\xff" + encoded[1:],
		"an app password":                "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj",
		"the hash, by which it is known": goldenSHA256,
	}
	for name, in := range refused {
		t.Run(name, func(t *testing.T) {
			s, err := kind.Parse(in)
			if !errors.Is(err, ErrForm) || s != (Secret{}) {
				t.Fatalf("kind.Parse(%q) = %q, %v; want ErrForm", in, s.Text(), err)
			}
		})
	}
}

func TestSecretHidesItself(t *testing.T) {
	s := kind.New()
	secret := s.Text()[3:19]
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "secret", s)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "secret", s, "in", struct{ S Secret }{s})
	encoded, err := json.Marshal(map[string]any{"secret": s, "key": map[Secret]int{s: 1}})
	if err != nil {
		t.Fatal(err)
	}
	shown := logged.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, []Secret{s})
	}
	if strings.Contains(shown, secret) || strings.Contains(shown, hex.EncodeToString([]byte(secret))) {
		t.Errorf("the secret shows in %s", shown)
	}
	if !strings.Contains(shown, "[API client secret]") {
		t.Error("it does not show that there is one")
	}
	if got := fmt.Sprint(Secret{}); got != "[no secret]" {
		t.Errorf("the zero secret is %q", got)
	}
}

// A text that is accepted is the only spelling of its secret, and one that
// could have been made; what was made is accepted.
func FuzzParse(f *testing.F) {
	f.Add(golden)
	f.Add(kind.New().Text())
	f.Add("ac_" + strings.Repeat("a", 52))
	f.Add("ac_" + strings.Repeat("7", 52))
	f.Add("ac_" + strings.Repeat("a", 50) + "\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := kind.Parse(in)
		canonical := form.MatchString(in) && (strings.HasSuffix(in, "a") || strings.HasSuffix(in, "q"))
		if (err == nil) != canonical {
			t.Fatalf("%q: %v, but could have been made: %v", in, err, canonical)
		}
		if err == nil && s.Text() != in {
			t.Fatalf("%q is printed as %q", in, s.Text())
		}
	})
}
