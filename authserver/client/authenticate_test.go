package client

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/opaque"
)

// post returns a request with a body and, if it is not empty, an Authorization
// header.
func post(ctx context.Context, authorization string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://auth.example.com/o2/token", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// form returns a form of names and values.
func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	const odd = "s p+a%20c:e/ü&="
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	two := confidential("two", "old", "new")
	two.SecretExpiresAt[0] = &future
	late := confidential("late", "old", "new")
	late.SecretExpiresAt[0] = &past
	posts := confidential("posts", "s3cret")
	posts.TokenEndpointAuthMethod = SecretPost
	signs := confidential("signs", "s3cret")
	signs.TokenEndpointAuthMethod = PrivateKeyJWT
	publicWithSecret := public("leftover")
	publicWithSecret.SecretIDs, publicWithSecret.SecretSHA256 = two.SecretIDs, two.SecretSHA256
	publicWithSecret.SecretHash, publicWithSecret.SecretExpiresAt = two.SecretHash, two.SecretExpiresAt

	cs := with(t,
		confidential("web", "s3cret"), two, late, posts, signs, public("native"), publicWithSecret,
		confidential("odd/id+1%20", odd), confidential("a%2Fb", "raw"), confidential("a/b", "decoded"),
		confidential("off", "s3cret").disabled(), public("native-off").disabled(), confidential("bare"), confidential("empty", ""),
	)
	tests := map[string]struct {
		authorization string
		form          url.Values
		want          string // client_id; empty: ErrInvalidClient; "request": ErrInvalidRequest
	}{
		"Basic":                              {basic("web", "s3cret"), nil, "web"},
		"Basic with other fields":            {basic("web", "s3cret"), form("grant_type", "x", "code", "y"), "web"},
		"Basic in lower case":                {"basic " + base64.StdEncoding.EncodeToString([]byte("web:s3cret")), nil, "web"},
		"Basic with empty fields":            {basic("web", "s3cret"), form("client_id", "", "client_secret", ""), "web"}, // Dovecot
		"Basic with its client_id":           {basic("web", "s3cret"), form("client_id", "web"), "web"},
		"Basic with another client_id":       {basic("web", "s3cret"), form("client_id", "two"), "request"},
		"Basic of one who posts":             {basic("posts", "s3cret"), nil, "posts"},
		"Basic, old secret":                  {basic("two", "old"), nil, "two"},
		"Basic, new secret":                  {basic("two", "new"), nil, "two"},
		"Basic, expired secret":              {basic("late", "old"), nil, ""},
		"Basic beside an expired secret":     {basic("late", "new"), nil, "late"},
		"Basic, encoded":                     {basic(url.QueryEscape("odd/id+1%20"), url.QueryEscape(odd)), nil, "odd/id+1%20"},
		"Basic, encoded with its client_id":  {basic(url.QueryEscape("odd/id+1%20"), url.QueryEscape(odd)), form("client_id", "odd/id+1%20"), "odd/id+1%20"},
		"Basic, as it is":                    {basic("odd/id+1%20", odd), nil, "odd/id+1%20"},
		"Basic, one of two readings":         {basic("a%2Fb", "raw"), nil, "a%2Fb"},
		"Basic, the other of two readings":   {basic("a%2Fb", "decoded"), nil, "a/b"},
		"Basic, readings mixed":              {basic("a/b", "raw"), nil, ""},
		"Basic, a reading that is not meant": {basic("a%2Fb", "decoded"), form("client_id", "a%2Fb"), ""},
		"Basic, wrong":                       {basic("web", "S3cret"), nil, ""},
		"Basic, wrong and longer":            {basic("web", "s3cret "), nil, ""},
		"Basic, that of somebody else":       {basic("web", "new"), nil, ""},
		"Basic, no secret":                   {basic("web", ""), nil, ""},
		"Basic, nobody":                      {basic("nobody", "s3cret"), nil, ""},
		"Basic, nobody without secret":       {basic("nobody", ""), nil, ""},
		"Basic, another case":                {basic("WEB", "s3cret"), nil, ""},
		"Basic, disabled":                    {basic("off", "s3cret"), nil, ""},
		"Basic, no secret registered":        {basic("bare", "s3cret"), nil, ""},
		"Basic, an empty secret":             {basic("empty", ""), nil, ""},
		"Basic, the hash":                    {basic("web", hex.EncodeToString(confidential("x", "s3cret").SecretSHA256[0])), nil, ""},
		"Basic of one who signs":             {basic("signs", "s3cret"), nil, ""},
		"Basic of a public client":           {basic("native", ""), nil, "native"},
		"Basic of a public, with a secret":   {basic("native", "s3cret"), nil, ""},
		"Basic, empty":                       {basic("", ""), nil, ""},
		"Basic, malformed":                   {"Basic x", nil, ""},
		"Basic, no colon":                    {"Basic " + base64.StdEncoding.EncodeToString([]byte("web")), nil, ""},
		"Basic and nothing":                  {"Basic", nil, ""},
		"Basic, and a secret":                {basic("web", "s3cret"), form("client_id", "web", "client_secret", "s3cret"), "request"},
		"Basic, and an assertion":            {basic("web", "s3cret"), form("client_assertion", "x", "client_assertion_type", AssertionType), "request"},
		"Basic, and half an assertion":       {basic("web", "s3cret"), form("client_assertion_type", AssertionType), "request"},
		"Bearer":                             {"Bearer s3cret", form("client_id", "native"), ""},
		"Bearer, and a secret":               {"Bearer s3cret", form("client_id", "web", "client_secret", "s3cret"), "request"},
		"posted":                             {"", form("client_id", "posts", "client_secret", "s3cret"), "posts"},
		"posted by one with Basic":           {"", form("client_id", "web", "client_secret", "s3cret"), "web"},
		"posted as it is":                    {"", form("client_id", "odd/id+1%20", "client_secret", odd), "odd/id+1%20"},
		"posted, encoded twice":              {"", form("client_id", "odd/id+1%20", "client_secret", url.QueryEscape(odd)), ""},
		"posted, wrong":                      {"", form("client_id", "posts", "client_secret", "x"), ""},
		"posted, nobody":                     {"", form("client_id", "nobody", "client_secret", "s3cret"), ""},
		"posted, disabled":                   {"", form("client_id", "off", "client_secret", "s3cret"), ""},
		"posted of one who signs":            {"", form("client_id", "signs", "client_secret", "s3cret"), ""},
		"posted without a client_id":         {"", form("client_secret", "s3cret"), "request"},
		"posted twice":                       {"", form("client_id", "posts", "client_secret", "s3cret", "client_secret", "s3cret"), "request"},
		"posted for two":                     {"", form("client_id", "posts", "client_id", "web", "client_secret", "s3cret"), "request"},
		"posted and asserted":                {"", form("client_id", "web", "client_secret", "s3cret", "client_assertion", "x", "client_assertion_type", AssertionType), "request"},
		"public":                             {"", form("client_id", "native"), "native"},
		"public with an empty secret":        {"", form("client_id", "native", "client_secret", ""), "native"},
		"public with a secret":               {"", form("client_id", "native", "client_secret", "x"), ""},
		"public with a secret left over":     {"", form("client_id", "leftover", "client_secret", "new"), ""},
		"public, disabled":                   {"", form("client_id", "native-off"), ""},
		"confidential without a secret":      {"", form("client_id", "web"), ""},
		"who signs, without a signature":     {"", form("client_id", "signs"), ""},
		"nobody":                             {"", form("client_id", "nobody"), ""},
		"nothing":                            {"", nil, ""},
		"an empty client_id":                 {"", form("client_id", ""), ""},
		"another kind of assertion":          {"", form("client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), "request"},
		"an assertion without a kind":        {"", form("client_assertion", "x"), "request"},
		"a kind without an assertion":        {"", form("client_assertion_type", AssertionType), "request"},
		"an assertion that is none":          {"", form("client_assertion", "x", "client_assertion_type", AssertionType), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, assertion, err := cs.Authenticate(post(t.Context(), tt.authorization), tt.form, nil)
			if assertion != nil {
				t.Errorf("assertion %+v", assertion)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") && strings.Contains(err.Error(), `"s3cret"`) || strings.Contains(err.Error(), odd)) {
				t.Errorf("the error has a secret: %v", err)
			}
			switch tt.want {
			case "":
				if c != nil || !errors.Is(err, ErrInvalidClient) || errors.Is(err, ErrInvalidRequest) {
					t.Errorf("got %v, %v; want ErrInvalidClient", c, err)
				}
			case "request":
				if c != nil || !errors.Is(err, ErrInvalidRequest) || errors.Is(err, ErrInvalidClient) {
					t.Errorf("got %v, %v; want ErrInvalidRequest", c, err)
				}
			default:
				if err != nil || c.ClientID != tt.want {
					t.Errorf("got %v, %v; want %s", c, err, tt.want)
				}
			}
		})
	}
	t.Run("two headers", func(t *testing.T) {
		r := post(t.Context(), basic("web", "s3cret"))
		r.Header.Add("Authorization", basic("web", "s3cret"))
		if c, _, err := cs.Authenticate(r, nil, nil); c != nil || !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("got %v, %v", c, err)
		}
	})
}

// What is generated authenticates; nothing near it does.
func TestAuthenticateGenerated(t *testing.T) {
	t.Parallel()
	secrets := []opaque.Secret{Secret.New(), Secret.New()}
	cs := with(t, confidential("web", secrets[0].Text(), secrets[1].Text()))
	for _, secret := range secrets {
		text := secret.Text()
		if !strings.HasPrefix(text, "cs_") {
			t.Fatalf("%q", text)
		}
		if _, _, err := cs.Authenticate(post(t.Context(), basic("web", text)), nil, nil); err != nil {
			t.Error(err)
		}
		sum := secret.SHA256()
		for _, near := range []string{text[1:], text[:len(text)-1], text + "a", strings.ToUpper(text), hex.EncodeToString(sum[:]), string(sum[:])} {
			if _, _, err := cs.Authenticate(post(t.Context(), basic("web", near)), nil, nil); !errors.Is(err, ErrInvalidClient) {
				t.Errorf("%q: %v", near, err)
			}
		}
	}
}

// Nobody learns from an answer which clients there are: whoever has no secret is
// compared with one that nobody knows. Not parallel: here it is known.
func TestRefusedAfterComparing(t *testing.T) {
	before := nobody
	defer func() { nobody = before }()
	nobody = with(t, confidential("decoy", "decoy")).Client("decoy")

	cs := with(t, confidential("bare"), confidential("bare-off").disabled(), public("native"))
	for _, id := range []string{"bare", "bare-off", "native", "gone"} {
		if ok, err := cs.matches(t.Context(), cs.Client(id), "decoy", netip.Addr{}); !ok || err != nil {
			t.Errorf("%s is not compared: %v", id, err)
		}
		for _, secret := range []string{"decoy", "wrong"} {
			if c, _, err := cs.Authenticate(post(t.Context(), basic(id, secret)), nil, nil); c != nil || !errors.Is(err, ErrInvalidClient) {
				t.Errorf("%s with %s: %v, %v", id, secret, c, err)
			}
		}
	}
	if len(before.secrets) != 1 || len(before.secrets[0].sha256) != 32 || before.secrets[0].hash != "" {
		t.Errorf("nobody has %+v", before.secrets)
	}
}

// slowHash returns one that account.Verify takes a place among the cores for,
// but is not as slow as those that people should have.
func slowHash(t testing.TB, secret string) string {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, secret, []byte("salt"), 1000, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	return "pbkdf2_sha256$1000$salt$" + base64.StdEncoding.EncodeToString(key)
}

func imported(t testing.TB, id, secret string) clientRow {
	t.Helper()
	return confidential(id).withSecret(1, nil, slowHash(t, secret), nil)
}

func TestAuthenticateImported(t *testing.T) {
	t.Parallel()
	row := imported(t, "old", "hunter2")
	cs := with(t, row)
	ask := func(secret string) error {
		_, _, err := cs.Authenticate(post(t.Context(), basic("old", secret)), nil, nil)
		return err
	}
	if err := ask("hunter3"); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
	if known := cs.Client("old").secrets[0].known.Load(); known != nil {
		t.Error("a wrong secret is remembered")
	}
	if err := ask(""); !errors.Is(err, ErrInvalidClient) {
		t.Error(err)
	}
	if err := ask("hunter2"); err != nil {
		t.Fatal(err)
	}

	// Now it needs no place, and is not forgotten by a load that changes others.
	fill(t, cs)
	cs.replace(t.Context(), []clientRow{row, confidential("new", "s3cret")}, nil)
	if err := ask("hunter2"); err != nil {
		t.Error(err)
	}
	if err := ask(""); !errors.Is(err, ErrInvalidClient) {
		t.Errorf("no secret: %v", err)
	}
	// A wrong one needs one.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := cs.Authenticate(post(ctx, basic("old", "hunter3")), nil, nil); !errors.Is(err, account.ErrBusy) || errors.Is(err, ErrInvalidClient) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	// Another hash, another id or an expiry is another secret.
	past := time.Now().Add(-time.Hour)
	cs.replace(t.Context(), []clientRow{confidential("old").withSecret(1, nil, row.SecretHash[0], &past)}, nil)
	if err := ask("hunter2"); !errors.Is(err, ErrInvalidClient) {
		t.Errorf("expired: %v", err)
	}
	cs.replace(t.Context(), []clientRow{confidential("old").withSecret(2, nil, row.SecretHash[0], nil)}, nil)
	if known := cs.Client("old").secrets[0].known.Load(); known != nil {
		t.Error("another secret is remembered")
	}
}

// fill takes all places of those who compute.
func fill(t testing.TB, cs *Clients) {
	t.Helper()
	for range cap(cs.places) {
		cs.places <- struct{}{}
	}
	t.Cleanup(func() {
		for range cap(cs.places) {
			<-cs.places
		}
	})
}

// Guesses at an imported secret are many, and each costs a hash. Whoever makes
// them waits for their own, and the client itself, which is elsewhere, does not.
func TestGuessesWaitForGuesses(t *testing.T) {
	t.Parallel()
	cs := with(t, imported(t, "old", "hunter2"))
	// All that the guesser's network may have at once are being computed.
	guesser, own := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range cap(cs.places) {
		leave, err := cs.lines.Enter(t.Context(), guesser)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	ended, end := context.WithCancel(t.Context())
	end()
	ask := func(ctx context.Context, from netip.Addr, secret string) error {
		r := post(ctx, basic("old", secret))
		r.RemoteAddr = netip.AddrPortFrom(from, 4711).String()
		_, _, err := cs.Authenticate(r, nil, nil)
		return err
	}
	if err := ask(ended, guesser, "guess"); !errors.Is(err, account.ErrBusy) {
		t.Errorf("one guess more: %v", err)
	}
	if err := ask(t.Context(), own, "hunter2"); err != nil {
		t.Errorf("the client itself: %v", err)
	}
}

// Secrets are pasted into the wrong field.
func TestSecretInPlaceOfID(t *testing.T) {
	t.Parallel()
	cs := with(t, confidential("wiki"))
	secret := Secret.New().Text()
	_, _, err := cs.Authenticate(post(t.Context(), basic(secret, "wiki")), nil, nil)
	if !errors.Is(err, ErrInvalidClient) || strings.Contains(err.Error(), secret[:20]) {
		t.Errorf("the log gets %v", err)
	}
	if got := ShowID("wiki"); got != `"wiki"` {
		t.Errorf("an id is shown as %s", got)
	}
}

// A secret that is imported beside a generated one costs nobody a hash who has
// the other.
func TestAuthenticateImportedBesideGenerated(t *testing.T) {
	t.Parallel()
	row := imported(t, "both", "hunter2")
	sums := confidential("x", "generated").SecretSHA256
	cs := with(t, row.withSecret(2, sums[0], "", nil))
	fill(t, cs)
	if c, _, err := cs.Authenticate(post(t.Context(), basic("both", "generated")), nil, nil); err != nil || c.ClientID != "both" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestUnusableSecrets(t *testing.T) {
	t.Parallel()
	ctx, logged := recorded(t.Context())
	cs := newClients(nil)
	cs.replace(ctx, []clientRow{
		confidential("md5").withSecret(1, nil, "$1$salt$qJH7.N4xYta3aEG/dfqo/0", nil),
		confidential("costly").withSecret(2, nil, "$2b$31$"+strings.Repeat("a", 53), nil),
		confidential("prefixed").withSecret(3, nil, "{CRYPT}$2b$04$"+strings.Repeat("a", 53), nil),
	}, nil)
	lines := logged.take()
	for _, id := range []string{"md5", "costly", "prefixed"} {
		if !strings.Contains(lines, "client_id="+id) {
			t.Errorf("the log says nothing of %s: %s", id, lines)
		}
		if _, _, err := cs.Authenticate(post(t.Context(), basic(id, "s3cret")), nil, nil); !errors.Is(err, ErrInvalidClient) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if strings.Contains(lines, "salt") || strings.Contains(lines, "aaaa") {
		t.Errorf("the log has a hash: %s", lines)
	}
}

func TestLooksGenerated(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		Secret.New().Text():                true,
		"0123456789abcdef0123456789abcdef": true,
		"3f786850-e387-550f-dab8-36ed7e6d": true,
		"0123456789abcdef0123456789abcde":  false,
		"correct horse battery staple 123": false,
		strings.Repeat("abc", 20):          false,
		strings.Repeat("ä", 32):            false,
		"":                                 false,
	} {
		if got := LooksGenerated(text); got != want {
			t.Errorf("LooksGenerated(%q) = %v", text, got)
		}
	}
}

// However it is sent, what comes out is what was meant; and nothing but that or
// the text as it is.
func FuzzBasic(f *testing.F) {
	f.Add("web", "s3cret", "")
	f.Add("a%2Fb", "c+d:e", "a/b")
	f.Add("%zz", "%", "%zz")
	f.Add("", "", "")
	f.Add("web", "\xff\x00", "web")
	f.Fuzz(func(t *testing.T, id, secret, clientID string) {
		meant := pair{id, secret}
		encode := func(id, secret string) string { return strings.TrimPrefix(basic(id, secret), "Basic ") }

		pairs, err := readBasic("basic", encode(url.QueryEscape(id), url.QueryEscape(secret)), "")
		if err != nil || !slices.Contains(pairs, meant) {
			t.Fatalf("encoded %q: %q, %v", meant, pairs, err)
		}
		if strings.Contains(id, ":") {
			return // cannot be sent in another way
		}
		pairs, err = readBasic("basic", encode(id, secret), "")
		if err != nil || !slices.Contains(pairs, meant) || len(pairs) > 2 {
			t.Fatalf("raw %q: %q, %v", meant, pairs, err)
		}
		for _, p := range pairs {
			if p == meant {
				continue
			}
			decodedID, idErr := url.QueryUnescape(id)
			decodedSecret, secretErr := url.QueryUnescape(secret)
			if idErr != nil || secretErr != nil || p != (pair{decodedID, decodedSecret}) {
				t.Fatalf("raw %q: %q", meant, p)
			}
		}
		pairs, err = readBasic("basic", encode(id, secret), clientID)
		for _, p := range pairs {
			if clientID != "" && p.clientID != clientID {
				t.Fatalf("raw %q for %q: %q", meant, clientID, p)
			}
		}
		if (len(pairs) == 0) != errors.Is(err, ErrInvalidRequest) {
			t.Fatalf("raw %q for %q: %q, %v", meant, clientID, pairs, err)
		}
	})
}

// Whatever the header is, there is a client or an error, never both.
func FuzzAuthorization(f *testing.F) {
	f.Add(basic("web", "s3cret"), "", "")
	f.Add("Bearer x", "native", "")
	f.Add("", "web", "s3cret")
	f.Add("Basic \x00", "", "")
	cs := with(f, confidential("web", "s3cret"), public("native"))
	f.Fuzz(func(t *testing.T, header, clientID, secret string) {
		r := post(t.Context(), "")
		r.Header["Authorization"] = []string{header}
		c, _, err := cs.Authenticate(r, form("client_id", clientID, "client_secret", secret), nil)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v, %v", c, err)
		}
		if err != nil && !errors.Is(err, ErrInvalidClient) && !errors.Is(err, ErrInvalidRequest) {
			t.Fatal(err)
		}
		if c == nil {
			return
		}
		_, encoded, _ := strings.Cut(header, " ")
		text, _ := base64.StdEncoding.DecodeString(strings.Trim(encoded, " "))
		switch c.ClientID {
		case "web":
			name, password, _ := strings.Cut(string(text), ":")
			decodedName, _ := url.QueryUnescape(name)
			decodedPassword, _ := url.QueryUnescape(password)
			if (decodedName != "web" || decodedPassword != "s3cret") && (clientID != "web" || secret != "s3cret") {
				t.Fatalf("%q, %q, %q is web", header, clientID, secret)
			}
		case "native":
			if secret != "" {
				t.Fatalf("%q, %q, %q is native", header, clientID, secret)
			}
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	secret := Secret.New().Text()
	row := imported(b, "imported", "hunter2")
	cs := with(b, confidential("web", secret, Secret.New().Text()), row)
	if _, _, err := cs.Authenticate(post(b.Context(), basic("imported", "hunter2")), nil, nil); err != nil {
		b.Fatal(err)
	}
	for name, r := range map[string]*http.Request{
		"basic":    post(b.Context(), basic("web", secret)),
		"imported": post(b.Context(), basic("imported", "hunter2")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := cs.Authenticate(r, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("post", func(b *testing.B) {
		b.ReportAllocs()
		r, body := post(b.Context(), ""), form("client_id", "web", "client_secret", secret)
		for b.Loop() {
			if _, _, err := cs.Authenticate(r, body, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
