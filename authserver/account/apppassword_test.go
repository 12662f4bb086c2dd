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

// Pinned, because what is stored and printed outlives every release.
const (
	goldenText   = "apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj"
	goldenID     = "k3f9x2"
	goldenSHA256 = "8ba333f6ccf1935a0b0eb2dad40bc59529a602ddb9b078e14510abf4bd461a16"
)

func TestNewAppPassword(t *testing.T) {
	// What a secret scanner searches for.
	form := regexp.MustCompile(`^ap[0-9a-hjkmnp-tv-z]{6}(-[0-9a-hjkmnp-tv-z]{7}){4}$`)
	seen := map[string]bool{}
	for range 100 {
		a := NewAppPassword()
		if !form.MatchString(a.Text()) {
			t.Fatalf("text %q, want %v", a.Text(), form)
		}
		if got := a.Text()[2:8]; got != a.ID() {
			t.Errorf("id %q, but the text begins with %q", a.ID(), got)
		}
		if seen[a.Text()] {
			t.Fatalf("%q was made twice", a.Text())
		}
		seen[a.Text()] = true
		if len(a.Text()) > MaxPortable {
			t.Errorf("%q: too long for some servers", a.Text())
		}
		if err := CheckPassword(a.Text(), Standard); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%q as the password that somebody chooses: %v", a.Text(), err)
		}
	}
}

func TestAppPasswordGolden(t *testing.T) {
	a, err := ParseAppPassword(goldenText)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID() != goldenID {
		t.Errorf("id %q, want %q", a.ID(), goldenID)
	}
	// select sha256(convert_to(translate(lower($1), 'ilo- ', '110'), 'UTF8'))
	if sum := a.SHA256(); hex.EncodeToString(sum[:]) != goldenSHA256 {
		t.Errorf("SHA-256 %x, want %s", sum, goldenSHA256)
	}
}

func TestParseAppPassword(t *testing.T) {
	bare := strings.ReplaceAll(goldenText, "-", "")
	tests := map[string]struct {
		in   string
		want error
	}{
		"as printed":                {goldenText, nil},
		"without hyphens":           {bare, nil},
		"in upper case":             {strings.ToUpper(goldenText), nil},
		"with blanks":               {" " + strings.ReplaceAll(goldenText, "-", " ") + " ", nil},
		"hyphens anywhere":          {"a-p" + bare[2:] + "-", nil},
		"o for 0":                   {strings.ReplaceAll(goldenText, "0", "o"), nil},
		"capital O for 0":           {strings.ReplaceAll(goldenText, "0", "O"), nil},
		"l for 1":                   {strings.ReplaceAll(goldenText, "1", "l"), nil},
		"capital I for 1":           {strings.ReplaceAll(goldenText, "1", "I"), nil},
		"empty":                     {"", ErrNotAppPassword},
		"a person's password":       {"correct horse", ErrNotAppPassword},
		"other prefix":              {"aq" + bare[2:], ErrNotAppPassword},
		"one too short":             {bare[:35], ErrNotAppPassword},
		"one too long":              {bare + "0", ErrNotAppPassword},
		"u is in no app password":   {"apu" + bare[3:], ErrNotAppPassword},
		"letter that folds to k":    {"ap\u212a" + bare[3:], ErrNotAppPassword},
		"not UTF-8":                 {"ap\xff" + bare[3:], ErrNotAppPassword},
		"newline at the end":        {goldenText + "\n", ErrNotAppPassword},
		"very many hyphens":         {bare + strings.Repeat("-", maxHash), ErrNotAppPassword},
		"two characters swapped":    {"ap3k" + bare[4:], ErrMistyped},
		"wrong character":           {"apz" + bare[3:], ErrMistyped},
		"wrong character in check":  {bare[:35] + "z", ErrMistyped},
		"all zero is not by chance": {"ap" + strings.Repeat("0", 34), ErrMistyped},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, err := ParseAppPassword(tt.in)
			if !errors.Is(err, tt.want) {
				t.Fatalf("ParseAppPassword(%q): %v, want %v", tt.in, err, tt.want)
			}
			if err == nil && a.Text() != goldenText {
				t.Errorf("read as %q", a.Text())
			}
		})
	}
}

// crypt(3) and this package agree about what was printed.
func TestAppPasswordCrypt(t *testing.T) {
	a := NewAppPassword()
	stored, err := a.Crypt()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\$6\$rounds=1000\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}$`).MatchString(stored) {
		t.Errorf("hash %q", stored)
	}
	if got := perlCrypt(t, a.Text(), stored); got != stored {
		t.Errorf("crypt(3) makes %q of the printed text, not %q", got, stored)
	}
	if ok, _, err := Verify(t.Context(), stored, a.Text(), Standard); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func TestAppPasswordHidesItself(t *testing.T) {
	a := NewAppPassword()
	secret := a.Text()[9:16]
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "password", a)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "password", a, "in", struct{ A AppPassword }{a})
	encoded, err := json.Marshal(map[string]any{"password": a})
	if err != nil {
		t.Fatal(err)
	}
	shown := logged.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, a) + fmt.Sprintf(verb, &a) + fmt.Sprintf(verb, []AppPassword{a})
	}
	if strings.Contains(shown, secret) || strings.Contains(shown, hex.EncodeToString([]byte(secret))) {
		t.Errorf("the secret shows in %s", shown)
	}
	if !strings.Contains(shown, a.ID()) {
		t.Error("the id does not show")
	}
}

// Whatever parses prints as one text, which parses to the same; and any other
// character in its place is found.
func FuzzParseAppPassword(f *testing.F) {
	f.Add(goldenText, uint8(3))
	f.Add(strings.ToUpper(goldenText), uint8(0))
	f.Add("ap"+strings.Repeat("0", 34), uint8(7))
	f.Fuzz(func(t *testing.T, in string, by uint8) {
		a, err := ParseAppPassword(in)
		if err != nil {
			return
		}
		again, err := ParseAppPassword(a.Text())
		if err != nil || again != a || canonical(in) != a.canonical {
			t.Fatalf("%q printed as %q, which is %v, %v", in, a.Text(), again, err)
		}
		for i := len(appPrefix); i < appTextLen; i++ {
			wrong := []byte(a.canonical)
			at := strings.IndexByte(crockford, wrong[i])
			wrong[i] = crockford[(at+1+int(by)%31)%32]
			if _, err := ParseAppPassword(string(wrong)); !errors.Is(err, ErrMistyped) {
				t.Errorf("%q for %q: %v, want ErrMistyped", wrong, a.canonical, err)
			}
		}
	})
}

func BenchmarkAppPassword(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			NewAppPassword()
		}
	})
	b.Run("parse and SHA-256", func(b *testing.B) {
		for b.Loop() {
			a, err := ParseAppPassword(goldenText)
			if err != nil {
				b.Fatal(err)
			}
			a.SHA256()
		}
	})
	b.Run("crypt", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewAppPassword().Crypt(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
