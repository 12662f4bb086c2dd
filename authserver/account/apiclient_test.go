package account

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

// Pinned, because what is stored and handed out outlives every release: the
// bytes 0 to 31 in base32, and the SHA-256 of the whole text.
const (
	goldenAPIClient       = "ac_aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"
	goldenAPIClientSHA256 = "05253baad5a24cb9bc71009d9e7defc00baa231839fd2165ea489c92a1dc5831"
)

// What a secret scanner searches for.
var apiClientForm = regexp.MustCompile(`^ac_[a-z2-7]{52}$`)

func TestNewAPIClientSecret(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s := NewAPIClientSecret()
		if !apiClientForm.MatchString(s.Text()) {
			t.Fatalf("text %q, want %v", s.Text(), apiClientForm)
		}
		if seen[s.Text()] {
			t.Fatalf("%q was made twice", s.Text())
		}
		seen[s.Text()] = true
		if again, err := ParseAPIClientSecret(s.Text()); again != s || err != nil {
			t.Errorf("%q is read as %q, %v", s.Text(), again.Text(), err)
		}
	}
}

func TestAPIClientSecretGolden(t *testing.T) {
	s, err := ParseAPIClientSecret(goldenAPIClient)
	if err != nil {
		t.Fatal(err)
	}
	// select sha256('ac_…')
	if sum := s.SHA256(); hex.EncodeToString(sum[:]) != goldenAPIClientSHA256 {
		t.Errorf("SHA-256 %x, want %s", sum, goldenAPIClientSHA256)
	}
}

func TestParseAPIClientSecret(t *testing.T) {
	encoded := strings.TrimPrefix(goldenAPIClient, "ac_")
	refused := map[string]string{
		"empty":                          "",
		"the prefix alone":               "ac_",
		"without the prefix":             encoded,
		"another prefix":                 "ap_" + encoded,
		"in upper case":                  strings.ToUpper(goldenAPIClient),
		"the bits in upper case":         "ac_" + strings.ToUpper(encoded),
		"one too short":                  goldenAPIClient[:len(goldenAPIClient)-1],
		"one too long":                   goldenAPIClient + "a",
		"padded":                         goldenAPIClient + "====",
		"padded to the length":           "ac_" + encoded[:48] + "====",
		"a digit that is in no base32":   "ac_" + encoded[:51] + "1",
		"bits behind the 256th":          "ac_" + encoded[:51] + "r",
		"a line break within":            "ac_" + encoded[:50] + "\r\n",
		"a line break at the end":        goldenAPIClient + "\n",
		"a blank before":                 " " + goldenAPIClient,
		"the scheme before":              "Bearer " + goldenAPIClient,
		"a letter that folds to k":       "ac_\u212a" + encoded[3:],
		"not UTF-8":                      "ac_\xff" + encoded[1:],
		"an app password":                goldenText,
		"the hash, by which it is known": goldenAPIClientSHA256,
	}
	for name, in := range refused {
		t.Run(name, func(t *testing.T) {
			s, err := ParseAPIClientSecret(in)
			if !errors.Is(err, ErrNotAPIClientSecret) || s != (APIClientSecret{}) {
				t.Fatalf("ParseAPIClientSecret(%q) = %q, %v; want ErrNotAPIClientSecret", in, s.Text(), err)
			}
		})
	}
}

func TestAPIClientSecretHidesItself(t *testing.T) {
	s := NewAPIClientSecret()
	secret := s.Text()[3:19]
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "secret", s)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "secret", s, "in", struct{ S APIClientSecret }{s})
	encoded, err := json.Marshal(map[string]any{"secret": s, "key": map[APIClientSecret]int{s: 1}})
	if err != nil {
		t.Fatal(err)
	}
	shown := logged.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, []APIClientSecret{s})
	}
	if strings.Contains(shown, secret) || strings.Contains(shown, hex.EncodeToString([]byte(secret))) {
		t.Errorf("the secret shows in %s", shown)
	}
	if !strings.Contains(shown, "[API client secret]") {
		t.Error("it does not show that there is one")
	}
	if got := fmt.Sprint(APIClientSecret{}); got != "[no API client secret]" {
		t.Errorf("the zero secret is %q", got)
	}
}

// A text that is accepted is the only spelling of its secret, and one that
// could have been made; what was made is accepted.
func FuzzParseAPIClientSecret(f *testing.F) {
	f.Add(goldenAPIClient)
	f.Add(NewAPIClientSecret().Text())
	f.Add("ac_" + strings.Repeat("a", 52))
	f.Add("ac_" + strings.Repeat("7", 52))
	f.Add("ac_" + strings.Repeat("a", 50) + "\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseAPIClientSecret(in)
		canonical := apiClientForm.MatchString(in) && (strings.HasSuffix(in, "a") || strings.HasSuffix(in, "q"))
		if (err == nil) != canonical {
			t.Fatalf("%q: %v, but could have been made: %v", in, err, canonical)
		}
		if err == nil && s.Text() != in {
			t.Fatalf("%q is printed as %q", in, s.Text())
		}
	})
}
