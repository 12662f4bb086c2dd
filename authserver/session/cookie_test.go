package session

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The whole line, because browsers take back what has another Path, and refuse
// the prefix __Host- without Secure or with a Domain.
var (
	cookieLine  = regexp.MustCompile(`^__Host-session=(ss_[a-z2-7]{52}); Path=/; HttpOnly; Secure; SameSite=Lax$`)
	removalLine = "__Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
)

// ask returns a request of a browser with these Cookie headers.
func ask(cookies ...string) *http.Request {
	r := httptest.NewRequest("POST", "https://auth.example.com/login", nil)
	r.Header["Cookie"] = cookies
	return r
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	new(Sessions).CSRF(w, ask(), "login")
	if lines := w.Header()["Set-Cookie"]; len(lines) != 1 || !cookieLine.MatchString(lines[0]) {
		t.Errorf("a cookie is set by %q", lines)
	}
	w = httptest.NewRecorder()
	if err := new(Sessions).End(w, ask()); err != nil {
		t.Fatal(err)
	}
	if lines := w.Header()["Set-Cookie"]; !slices.Equal(lines, []string{removalLine}) {
		t.Errorf("it is taken back by %q", lines)
	}
}

// An answer sets one cookie of ours, the last, and leaves those of others.
func TestOneSetCookie(t *testing.T) {
	t.Parallel()
	s, w, r := new(Sessions), httptest.NewRecorder(), ask()
	http.SetCookie(w, &http.Cookie{Name: "other", Value: "1"})
	first := s.CSRF(w, r, "login")
	if again := s.CSRF(w, r, "login"); again != first {
		t.Error("a second form of the answer belongs to another cookie")
	}
	setCookie(w, secrets.New())
	if s.CSRF(w, r, "login") == first {
		t.Error("a form belongs to a cookie that is not sent")
	}
	http.SetCookie(w, &http.Cookie{Name: "another", Value: "2"})
	secret := secrets.New()
	setCookie(w, secret)
	want := []string{"other=1", "another=2", "__Host-session=" + secret.Text() + "; Path=/; HttpOnly; Secure; SameSite=Lax"}
	if lines := w.Header()["Set-Cookie"]; !slices.Equal(lines, want) {
		t.Errorf("cookies %q, want %q", lines, want)
	}
}

// What is no cookie of ours is none: nobody is signed in, the database is not
// asked, no form can be sent, and the next page gives the browser a cookie.
func TestCookieRefused(t *testing.T) {
	t.Parallel()
	good, other := secrets.New().Text(), secrets.New().Text()
	for name, cookies := range map[string][]string{
		"none":                       nil,
		"empty":                      {"__Host-session="},
		"another name":               {"session=" + good},
		"without the prefix's case":  {"__host-session=" + good},
		"two of the name":            {"__Host-session=" + good + "; __Host-session=" + other},
		"the same twice":             {"__Host-session=" + good + "; __Host-session=" + good},
		"two headers":                {"__Host-session=" + good, "__Host-session=" + other},
		"a malformed one besides":    {"__Host-session=x; __Host-session=" + good},
		"60 KB":                      {"__Host-session=" + strings.Repeat("a", 60<<10)},
		"60 KB behind a secret":      {"__Host-session=" + good + strings.Repeat("a", 60<<10)},
		"a character too few":        {"__Host-session=" + good[:len(good)-1]},
		"in upper case":              {"__Host-session=" + strings.ToUpper(good)},
		"NUL":                        {"__Host-session=" + good[:54] + "\x00"},
		"NUL behind it":              {"__Host-session=" + good + "\x00"},
		"not UTF-8":                  {"__Host-session=" + good[:54] + "\xff"},
		"another secret of ours":     {"__Host-session=" + handles.New().Text()},
		"the hash of one":            {"__Host-session=" + strings.Repeat("0f", sha256.Size)},
		"with a blank for the equal": {"__Host-session " + good},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(Sessions) // without a database
			if hash := Hash(ask(cookies...)); hash != nil {
				t.Errorf("hash %x", hash)
			}
			if found, err := s.Find(ask(cookies...)); found != nil || err != nil {
				t.Errorf("%+v, %v", found, err)
			}
			for _, text := range []string{good, other, ""} {
				secret, _ := secrets.Parse(text)
				if CheckCSRF(ask(cookies...), "login", csrf(secret, "login")) {
					t.Error("a form is taken")
				}
			}
			w := httptest.NewRecorder()
			token := s.CSRF(w, ask(cookies...), "login")
			line := cookieLine.FindStringSubmatch(w.Header().Get("Set-Cookie"))
			if line == nil || line[1] == good || line[1] == other || !CheckCSRF(ask("__Host-session="+line[1]), "login", token) {
				t.Errorf("the next cookie is %q", line)
			}
		})
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	text := secrets.New().Text()
	want := sha256.Sum256([]byte(text))
	if got := Hash(ask("a=b; __Host-session=" + text + "; c=d")); string(got) != string(want[:]) {
		t.Errorf("hash %x, want %x", got, want)
	}
}

func TestCheckCSRF(t *testing.T) {
	t.Parallel()
	mine, theirs := secrets.New(), secrets.New()
	cookie := "__Host-session=" + mine.Text()
	token := csrf(mine, "login")
	if !CheckCSRF(ask(cookie), "login", token) {
		t.Fatal("the right token is refused")
	}
	if w := httptest.NewRecorder(); new(Sessions).CSRF(w, ask(cookie), "login") != token || len(w.Header()["Set-Cookie"]) != 0 {
		t.Error("a browser with a cookie gets another, or another token")
	}
	for name, wrong := range map[string]string{
		"none":                    "",
		"another browser's":       csrf(theirs, "login"),
		"another form's":          csrf(mine, "logout"),
		"the cookie itself":       mine.Text(),
		"a part":                  token[:len(token)-1],
		"with something added":    token + "=",
		"in another case":         strings.ToUpper(token),
		"of a cookie of no bytes": csrf(noSecret, "login"),
		"60 KB":                   strings.Repeat(token, 1500),
	} {
		if CheckCSRF(ask(cookie), "login", wrong) {
			t.Errorf("%s: is taken", name)
		}
	}
	if CheckCSRF(ask(), "login", token) || CheckCSRF(ask("__Host-session="+theirs.Text()), "login", token) {
		t.Error("the token is taken from a browser that has not the cookie")
	}
}

var noSecret, _ = secrets.Parse("")

// With the right cookie and the right token, a page of another site is refused
// all the same, if the browser says that it is one.
func TestCheckCSRFCrossOrigin(t *testing.T) {
	t.Parallel()
	secret := secrets.New()
	for name, tt := range map[string]struct {
		header http.Header
		want   bool
	}{
		"our page":                 {http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		"an address that is typed": {http.Header{"Sec-Fetch-Site": {"none"}}, true},
		"another site":             {http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		"a neighbour's subdomain":  {http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		"an origin":                {http.Header{"Origin": {"https://auth.example.com"}}, true},
		"another origin":           {http.Header{"Origin": {"https://evil.example.org"}}, false},
		"another port":             {http.Header{"Origin": {"https://auth.example.com:8443"}}, false},
		"a sandboxed page":         {http.Header{"Origin": {"null"}}, false},
		"neither header":           {http.Header{}, true},
		"a site that claims our origin, in a browser that knows better": {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://auth.example.com"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask("__Host-session=" + secret.Text())
			for name, values := range tt.header {
				r.Header[name] = values
			}
			if got := CheckCSRF(r, "login", csrf(secret, "login")); got != tt.want {
				t.Errorf("taken: %v", got)
			}
		})
	}
}

// Whatever the cookies are, a browser is known by a secret that it has sent
// itself, once; a token is taken only if it is that secret's; and the form that
// is shown next can be sent.
func FuzzCookie(f *testing.F) {
	secret := secrets.New()
	f.Add("__Host-session="+secret.Text(), csrf(secret, "login"))
	f.Add("a=b; __Host-session="+secret.Text()+"; __Host-session="+secret.Text(), csrf(secret, "login"))
	f.Add(`__Host-session="`+secret.Text()+`"`, csrf(secret, "login"))
	f.Add("__Host-session=ss_; ;;=; __Host-session", "")
	f.Add("__Host-session=\x00\r\nSet-Cookie: x=y", "\x00")
	f.Fuzz(func(t *testing.T, cookies, token string) {
		s, r := new(Sessions), ask(cookies)
		hash := Hash(r)
		w := httptest.NewRecorder()
		next := s.CSRF(w, r, "login")
		if hash == nil {
			if CheckCSRF(r, "login", token) || CheckCSRF(r, "login", next) {
				t.Errorf("%q is nobody's, and a form is taken", cookies)
			}
			lines := w.Header()["Set-Cookie"]
			if len(lines) != 1 || !cookieLine.MatchString(lines[0]) || strings.Contains(cookies, cookieLine.FindStringSubmatch(lines[0])[1]) {
				t.Fatalf("%q is answered with cookies %q", cookies, lines)
			}
			if !CheckCSRF(ask("__Host-session="+cookieLine.FindStringSubmatch(lines[0])[1]), "login", next) {
				t.Errorf("the form after %q cannot be sent", cookies)
			}
			return
		}
		found := false
		for _, text := range regexp.MustCompile(`ss_[a-z2-7]{52}`).FindAllString(cookies, -1) {
			sum := sha256.Sum256([]byte(text))
			found = found || string(sum[:]) == string(hash)
		}
		if !found || strings.Count(cookies, cookieName) < 1 {
			t.Errorf("%q is known by a secret that is not in it", cookies)
		}
		if CheckCSRF(r, "login", token) != (token == next) || !CheckCSRF(r, "login", next) || CheckCSRF(r, "logout", next) {
			t.Errorf("%q with token %q", cookies, token)
		}
		if len(w.Header()["Set-Cookie"]) != 0 {
			t.Errorf("%q is replaced", cookies)
		}
	})
}
