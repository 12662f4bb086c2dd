package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/request"
	"authbridge/authserver/token"

	"github.com/docker/distribution/registry/auth"
	registrytoken "github.com/docker/distribution/registry/auth/token"
	"github.com/golang-jwt/jwt/v5"
)

// docker login asks for no scope. The registry takes what it gets.
func TestLogin(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.issue(t, withBasic(ask(ours), "alice@example.com", secret))
	if got.Scope != "" || got.claims.Subject != h.userID(t, "alice") || got.claims.Access == nil || len(got.claims.Access) > 0 {
		t.Errorf("got %+v", got)
	}
	if !h.guard(t, ours, issuer).lets(t, got.Token, "") {
		t.Error("the registry does not let alice in")
	}
	if h.guard(t, ours, issuer).lets(t, got.Token, "repository:public/app:pull") {
		t.Error("nothing was asked for, and something is allowed")
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	seen := map[string]bool{}
	for _, tt := range []struct{ registry, issuer string }{{ours, issuer}, {theirs, "issuer.test"}, {imported, issuer}} {
		before := time.Now().Unix()
		got := h.issue(t, withBasic(ask(tt.registry, "repository:team/app:pull", "repository:secret/app:pull,push", "chart:x:pull"), "alice@example.com", secret))
		var raw map[string]any
		payload, err := jwt.NewParser().DecodeSegment(strings.Split(got.Token, ".")[1])
		if err != nil || json.Unmarshal(payload, &raw) != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		// Numbers without a fraction, a string for aud, and lists that are lists:
		// registries of version 2 refuse all else.
		iat := int64(raw["iat"].(float64))
		want := map[string]any{
			"iss": tt.issuer, "aud": tt.registry, "sub": h.userID(t, "alice"),
			"exp": float64(iat + 300), "nbf": float64(iat - 5), "iat": float64(iat), "jti": raw["jti"],
			"access": []any{
				map[string]any{"type": "repository", "name": "team/app", "actions": []any{"pull"}},
				map[string]any{"type": "repository", "name": "secret/app", "actions": []any{}},
			},
		}
		if !reflect.DeepEqual(raw, want) || strings.Contains(string(payload), ".0") || strings.Contains(string(payload), "e+") {
			t.Errorf("claims %s, want %v", payload, want)
		}
		if id, _ := raw["jti"].(string); len(id) < 20 || seen[id] {
			t.Errorf("jti %q", id)
		} else {
			seen[id] = true
		}
		if iat < before || iat > time.Now().Unix() || got.IssuedAt.Unix() != iat || got.ExpiresIn != 300 || got.AccessToken != got.Token {
			t.Errorf("answer %+v", got.answer)
		}
		if got.Scope != "repository:team/app:pull" {
			t.Errorf("scope %q", got.Scope)
		}
		if at, _ := got.raw["issued_at"].(string); !strings.HasSuffix(at, "Z") || len(at) != len("2026-01-02T03:04:05Z") {
			t.Errorf("issued_at %q", at)
		}
	}
}

// A registry lets in who has a token for it, and for no other registry.
func TestTokenIsForOneRegistry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	guards := map[string]guard{ours: h.guard(t, ours, issuer), theirs: h.guard(t, theirs, "issuer.test")}
	// Some registries look neither at the issuer nor at the audience. What is left
	// is the key.
	strangers := map[string]guard{ours: h.guardWith(t, theirs, ours, issuer), theirs: h.guardWith(t, ours, theirs, "issuer.test")}
	for name := range guards {
		got := h.issue(t, withBasic(ask(name, "repository:team/app:pull,push"), "alice@example.com", secret))
		for other, g := range guards {
			if g.lets(t, got.Token, "repository:team/app:pull,push") != (other == name) {
				t.Errorf("the token of %q at %q: let in %v", name, other, other != name)
			}
		}
		if strangers[name].lets(t, got.Token, "repository:team/app:pull") {
			t.Errorf("the token of %q is good for whoever has the other's keys", name)
		}
	}

	// Two that know the same key are told apart by the name.
	got := h.issue(t, withBasic(ask(imported, "repository:team/app:pull"), "alice@example.com", secret))
	domain, err := h.api.Keys.Domain("example.com")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(got.Token, func(*jwt.Token) (any, error) { return domain.Active().Public, nil }, jwt.WithAudience(imported), jwt.WithIssuer(issuer))
	if err != nil || parsed.Header["kid"] != domain.Active().KID {
		t.Errorf("%v, %v", parsed.Header, err)
	}
	if _, err := jwt.Parse(got.Token, func(*jwt.Token) (any, error) { return domain.Active().Public, nil }, jwt.WithAudience(ours)); err == nil {
		t.Error("the token is for two registries")
	}
}

// Clients write scopes in different ways, and all of them count.
func TestScopesOfClients(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const app, lib = "repository:team/app:pull,push", "repository:team/lib:pull"
	form := func(scopes ...string) *http.Request {
		return post(url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {secret}, "service": {ours}, "scope": scopes})
	}
	for name, r := range map[string]*http.Request{
		"GET, repeated":                withBasic(ask(ours, app, lib), "alice@example.com", secret),
		"GET, with blanks":             withBasic(ask(ours, app+" "+lib), "alice@example.com", secret),
		"GET, with too many blanks":    withBasic(ask(ours, "", " "+app+"  "+lib+" "), "alice@example.com", secret),
		"GET, the same in other words": withBasic(ask(ours, app, "repository:team/app:push,pull", lib, lib), "alice@example.com", secret),
		"POST, repeated":               form(app, lib),
		"POST, with blanks":            form(app + " " + lib),
		"POST, both":                   form("repository:team/app:push repository:team/lib:pull", "repository:team/app:pull"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.issue(t, r); got.access() != app+" "+lib || got.Scope != app+" "+lib {
				t.Errorf("access %q, scope %q", got.access(), got.Scope)
			}
		})
	}
}

// What a real registry makes of what was granted.
func TestAccess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.allow(t, ours, "users", "mirror.example.com:5000/**", "pull")
	h.reload(t)
	g := h.guard(t, ours, issuer)
	for name, tt := range map[string]struct {
		who, asked string
		granted    string
		can        []string
		cannot     []string
	}{
		"a name with a port":          {"alice@example.com", "repository:mirror.example.com:5000/a/b:pull", "repository:mirror.example.com:5000/a/b:pull", []string{"repository:mirror.example.com:5000/a/b:pull"}, []string{"repository:a/b:pull"}},
		"a class":                     {"alice@example.com", "repository(plugin):team/app:pull", "repository:team/app:pull", []string{"repository:team/app:pull"}, nil},
		"the catalogue":               {"carol@example.com", "registry:catalog:*", "registry:catalog:*", []string{"registry:catalog:*"}, []string{"repository:team/app:pull"}},
		"the catalogue, staff":        {"carol", "registry:catalog:*", "registry:catalog:*", []string{"registry:catalog:*"}, nil},
		"the catalogue, not allowed":  {"alice@example.com", "registry:catalog:*", "registry:catalog:", nil, []string{"registry:catalog:*"}},
		"*":                           {"alice@example.com", "repository:home/alice/x:*", "repository:home/alice/x:pull,push,delete", []string{"repository:home/alice/x:pull,push,delete"}, []string{"repository:home/alice/x:frobnicate"}},
		"a mount":                     {"alice@example.com", "repository:team/app:pull,push repository:secret/app:pull", "repository:team/app:pull,push repository:secret/app:", []string{"repository:team/app:pull,push"}, []string{"repository:secret/app:pull"}},
		"public, anonymous":           {"", "repository:public/app:pull,push", "repository:public/app:pull", []string{"repository:public/app:pull"}, []string{"repository:public/app:push"}},
		"private, anonymous":          {"", "repository:team/app:pull", "repository:team/app:", []string{""}, []string{"repository:team/app:pull"}},
		"a service user":              {"svc-alice", "repository:home/alice/x:pull", "repository:home/alice/x:pull", []string{"repository:home/alice/x:pull"}, nil},
		"somebody else's own place":   {"alice@example.com", "repository:home/carol/x:pull", "repository:home/carol/x:", nil, []string{"repository:home/carol/x:pull"}},
		"by another address of alice": {"ALICE+ci@Example.com", "repository:home/alice/x:pull", "repository:home/alice/x:pull", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(ours, tt.asked)
			if tt.who != "" {
				r = withBasic(r, tt.who, secret)
			}
			got := h.issue(t, r)
			if got.access() != tt.granted || tt.who == "" && got.claims.Subject != "" {
				t.Errorf("granted %q to %q, want %q", got.access(), got.claims.Subject, tt.granted)
			}
			for _, scope := range tt.can {
				if !g.lets(t, got.Token, scope) {
					t.Errorf("the registry refuses %s", scope)
				}
			}
			for _, scope := range tt.cannot {
				if g.lets(t, got.Token, scope) {
					t.Errorf("the registry allows %s", scope)
				}
			}
		})
	}
	if h.granted["anonymous"] != 2 || h.granted["password"] != 10 || h.granted["refresh_token"] != 0 {
		t.Errorf("counted %v", h.granted)
	}
}

// A push may take longer than a pull.
func TestLifetime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for asked, want := range map[string]int{
		"repository:team/app:pull":       5 * 60,
		"repository:team/app:pull,push":  30 * 60,
		"repository:home/alice/x:delete": 30 * 60,
		"repository:secret/app:push":     5 * 60, // which is not granted
		"registry:catalog:*":             5 * 60,
		"repository:secret/app:push repository:public/a:pull repository:team/a:*": 30 * 60,
	} {
		got := h.issue(t, withBasic(ask(ours, strings.Fields(asked)...), "alice@example.com", secret))
		if got.ExpiresIn != want || got.claims.Expiration != got.claims.IssuedAt+int64(want) {
			t.Errorf("%s: %d s, want %d s", asked, got.ExpiresIn, want)
		}
	}
}

// A registry takes a token for a minute longer and a minute before: clocks
// differ.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, err := h.api.signer(h.api.Registries.Registry(theirs)) // by kid: the certificate is not valid in the year 2000
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := h.api.Keys.Registry(theirs).Bundle()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(file, []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	controller, err := auth.GetAccessController("token", map[string]any{"realm": "x", "issuer": s.issuer, "service": theirs, "rootcertbundle": file})
	if err != nil {
		t.Fatal(err)
	}
	g := guard{controller}
	synctest.Test(t, func(t *testing.T) {
		answer, err := s.sign("", []Access{{"repository", "a", []string{"pull"}}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(5*time.Minute + 59*time.Second)
		if !g.lets(t, answer.Token, "repository:a:pull") {
			t.Error("refused after 59 s")
		}
		<-time.After(2 * time.Second)
		if g.lets(t, answer.Token, "repository:a:pull") {
			t.Error("accepted after 61 s")
		}
	})
}

// Whatever is in a password, and whatever else clients do to it.
func TestPasswords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	basic := func(scheme, name, password string) *http.Request {
		r := withBasic(ask(ours), name, password)
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Basic", scheme, 1))
		return r
	}
	form := func(name, password string) *http.Request {
		return post(url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}, "service": {ours}})
	}
	for _, r := range []*http.Request{
		basic("Basic", "alice@example.com", secret), basic("basic", "alice@example.com", secret), basic("BASIC", "alice@example.com", secret),
		basic("Basic ", "alice@example.com", secret), form("alice@example.com", secret),
	} {
		h.issue(t, r)
	}
	for name, r := range map[string]*http.Request{
		"cut at a colon":               basic("Basic", "alice@example.com", "correct horse"),
		"no password":                  basic("Basic", "alice@example.com", ""),
		"no name":                      basic("Basic", "", secret),
		"neither":                      basic("Basic", "", ""),
		"Latin 1":                      basic("Basic", "alice@example.com", strings.Replace(secret, "ä", "\xe4", 1)),
		"a name that is not UTF-8":     basic("Basic", "alic\xe9", secret),
		"a NUL":                        basic("Basic", "alice@example.com\x00", secret),
		"what docker stores as a name": basic("Basic", "<token>", refreshTokens.New().Text()),
		"a password that is not UTF-8": form("alice@example.com", "\xff\xfe"),
		"form without a password":      form("alice@example.com", ""),
		"a very long password":         form("alice@example.com", strings.Repeat("x", 10000)),
	} {
		t.Run(name, func(t *testing.T) { h.refused(t, r, 401) })
	}
}

// What has only a refresh token sends it by POST and, when it is refused, by GET
// as a password without a name. It is the same there, and no guess.
func TestRefreshTokenAsPassword(t *testing.T) {
	h := newHouse(t)
	good := h.offline(t, ours, "alice@example.com", secret)
	for _, name := range []string{"", "<token>"} {
		if got := h.issue(t, withBasic(ask(ours, "repository:team/app:pull"), name, good)); got.access() != "repository:team/app:pull" {
			t.Errorf("%q: granted %s", name, got.access())
		}
		log := captureLog(t)
		h.refused(t, withBasic(ask(ours), name, refreshTokens.New().Text()), 401)
		if strings.Contains(log.String(), "login.failed") || !strings.Contains(log.String(), "login.repeated") {
			t.Errorf("%q: %s", name, log)
		}
	}
	h.refused(t, withBasic(ask(ours), "alice@example.com", good), 401)
}

// An app password that is good for something else is no guess either: machines
// try it again and again.
func TestOtherAppPasswordIsNoGuess(t *testing.T) {
	h := newHouse(t)
	elsewhere := h.addAppPassword(t, []string{"elsewhere.example.com"}, nil)
	revoked := h.addAppPassword(t, nil, nil)
	h.arrange(t, `update auth.app_passwords ap set revoked_at = now() where ap.id = $1`, revoked.ID())
	for want, app := range map[string]account.AppPassword{
		"is not for this registry": elsewhere, "revoked app password": revoked, "unknown app password": account.NewAppPassword(),
	} {
		log := captureLog(t)
		h.refused(t, withBasic(ask(ours), "alice@example.com", app.Text()), 401)
		event := "login.repeated"
		if strings.HasPrefix(want, "unknown") {
			event = "login.failed"
		}
		if !strings.Contains(log.String(), event) || !strings.Contains(log.String(), want) {
			t.Errorf("no %s with %q in %s", event, want, log)
		}
	}
}

// Nobody reads the answer to HEAD, and so nobody gets a refresh token by it.
func TestHeadMakesNoRefreshToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := withBasic(ask(ours), "alice@example.com", secret)
	r.Method = http.MethodHead
	r.URL.RawQuery += "&offline_token=true"
	h.do(r)
	var made int
	if err := h.db.Owner.QueryRow(t.Context(), `select count(*) from auth.docker_refresh_tokens`).Scan(&made); err != nil || made != 0 {
		t.Errorf("%d refresh tokens, %v", made, err)
	}
}

// containerd sends a wrong password by POST and then by GET: one failure.
func TestSecondAttemptIsNoGuess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.refused(t, post(url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {"wrong"}, "service": {ours}, "client_id": {"containerd-client"}}), 401)
	h.refused(t, withBasic(ask(ours), "alice@example.com", "wrong"), 401)
	var failures float64
	if err := h.db.Owner.QueryRow(t.Context(), `select t.failures from auth.login_throttles t`).Scan(&failures); err != nil {
		t.Fatal(err)
	}
	if failures <= 0 || failures > 1 { // it is forgiven bit by bit
		t.Errorf("%v failures", failures)
	}
}

// Whoever has no password learns nothing about who exists: answers are the same
// to the byte.
func TestEnumeration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for kind, r := range map[string]func(name, password string) *http.Request{
		"GET": func(name, password string) *http.Request {
			return withBasic(ask(ours, "repository:public/app:pull"), name, password)
		},
		"POST": func(name, password string) *http.Request {
			return post(url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}, "service": {ours}, "access_type": {"offline"}})
		},
	} {
		want := h.refused(t, r("alice@example.com", "wrong"), 401)
		app := h.addAppPassword(t, []string{theirs}, nil)
		for who, r := range map[string]*http.Request{
			"unknown":                       r("nobody@example.com", secret),
			"unknown domain":                r("nobody@nowhere.test", secret),
			"not active":                    r("bob@example.com", secret),
			"not active, wrong":             r("bob@example.com", "wrong"),
			"no staff":                      r("alice", secret),
			"app password of nobody":        r("alice@example.com", account.NewAppPassword().Text()),
			"app password of somebody else": r("carol@example.com", app.Text()),
			"app password for elsewhere":    r("alice@example.com", app.Text()),
			"wrong service user":            r("svc-alice", "wrong"),
			"wrong, again":                  r("alice@example.com", "wrong"),
			"nothing":                       r("", ""),
		} {
			if got := h.refused(t, r, 401); got != want {
				t.Errorf("%s, %s: %s\nwant %s", kind, who, got, want)
			}
		}
	}
}

func TestAppPasswordLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, tt := range map[string]struct {
		registries, actions []string
		want                string // of pull and push; empty: refused
	}{
		"none":                {nil, nil, "repository:team/app:pull,push"},
		"this registry":       {[]string{theirs, ours}, nil, "repository:team/app:pull,push"},
		"another registry":    {[]string{theirs}, nil, ""},
		"reading":             {nil, []string{"pull"}, "repository:team/app:pull"},
		"both":                {[]string{ours}, []string{"pull", "delete"}, "repository:team/app:pull"},
		"what alice may not":  {nil, []string{"delete", "catalog"}, "repository:team/app:"},
		"reading elsewhere":   {[]string{imported}, []string{"pull"}, ""},
		"all that can be":     {nil, []string{"pull", "push", "delete", "catalog"}, "repository:team/app:pull,push"},
		"a registry not ours": {[]string{"gone.example.com"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			app := h.addAppPassword(t, tt.registries, tt.actions)
			r := withBasic(ask(ours, "repository:team/app:*"), "alice@example.com", app.Text())
			if tt.want == "" {
				h.refused(t, r, 401)
				return
			}
			if got := h.issue(t, r); got.access() != tt.want {
				t.Errorf("granted %q, want %q", got.access(), tt.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	form := func(with url.Values) *http.Request {
		fields := url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {secret}, "service": {ours}}
		for name, values := range with {
			if fields[name] = values; values == nil {
				delete(fields, name)
			}
		}
		return post(fields)
	}
	raw := func(method, query, mediaType, body string) *http.Request {
		r := httptest.NewRequest(method, "https://auth.example.com/docker/token", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", mediaType)
		return r
	}
	insecure := withBasic(ask(ours), "alice@example.com", secret)
	insecure.URL.Scheme = "http"
	const urlencoded = "application/x-www-form-urlencoded"
	for name, tt := range map[string]struct {
		r      *http.Request
		status int
		code   string // Docker's
		error  string // OAuth's
		detail string
	}{
		"plain HTTP":                   {insecure, 400, "UNSUPPORTED", "invalid_request", "This endpoint must be called securely"},
		"no service":                   {get(url.Values{"scope": {"repository:a:pull"}}), 400, "UNSUPPORTED", "invalid_request", "service is missing"},
		"an unknown service":           {ask("nowhere.example.com"), 400, "UNSUPPORTED", "invalid_request", "unknown service"},
		"an unknown service, POST":     {form(url.Values{"service": {"nowhere.example.com"}}), 400, "UNSUPPORTED", "invalid_request", "unknown service"},
		"a service in another case":    {ask(strings.ToUpper(ours)), 400, "UNSUPPORTED", "invalid_request", "unknown service"},
		"two services":                 {get(url.Values{"service": {ours, theirs}}), 400, "UNSUPPORTED", "invalid_request", "service is there twice"},
		"two passwords":                {form(url.Values{"password": {"x", secret}}), 400, "UNSUPPORTED", "invalid_request", "password is there twice"},
		"a damaged query":              {raw("GET", "service=%zz", "", ""), 400, "UNSUPPORTED", "invalid_request", "malformed parameters"},
		"semicolons in the query":      {raw("GET", "service=a;scope=b", "", ""), 400, "UNSUPPORTED", "invalid_request", "malformed parameters"},
		"a damaged form":               {raw("POST", "", urlencoded, "service=%zz"), 400, "UNSUPPORTED", "invalid_request", "malformed parameters"},
		"JSON":                         {raw("POST", "", "application/json", `{"grant_type": "password"}`), 400, "UNSUPPORTED", "invalid_request", "grant_type is missing"},
		"a form in the query":          {raw("POST", "grant_type=password&username=a&password=b&service="+url.QueryEscape(ours), urlencoded, ""), 400, "UNSUPPORTED", "invalid_request", "grant_type is missing"},
		"a client id with a line":      {get(url.Values{"service": {ours}, "client_id": {"a\nb"}}), 400, "UNSUPPORTED", "invalid_request", "malformed client_id"},
		"a client id that is not text": {get(url.Values{"service": {ours}, "client_id": {"\xff"}}), 400, "UNSUPPORTED", "invalid_request", "malformed client_id"},
		"a long client id":             {get(url.Values{"service": {ours}, "client_id": {strings.Repeat("x", 256)}}), 400, "UNSUPPORTED", "invalid_request", "malformed client_id"},
		"no grant_type":                {form(url.Values{"grant_type": nil}), 400, "UNSUPPORTED", "invalid_request", "grant_type is missing"},
		"another grant_type":           {form(url.Values{"grant_type": {"client_credentials"}}), 400, "UNSUPPORTED", "unsupported_grant_type", "grant_type can be password or refresh_token"},
		"anonymous by POST":            {form(url.Values{"grant_type": {"anonymous"}}), 400, "UNSUPPORTED", "unsupported_grant_type", "grant_type can be password or refresh_token"},
		"POST without a name":          {form(url.Values{"username": nil}), 400, "UNSUPPORTED", "invalid_request", "username or password is missing"},
		"POST without a password":      {form(url.Values{"password": nil}), 400, "UNSUPPORTED", "invalid_request", "username or password is missing"},
		"POST without a refresh token": {form(url.Values{"grant_type": {"refresh_token"}}), 400, "UNSUPPORTED", "invalid_request", "refresh_token is missing"},
		"POST with two credentials":    {withBasic(form(nil), "alice@example.com", secret), 400, "UNSUPPORTED", "invalid_request", "the credentials of a POST are in its form, not in a header"},
		"Basic that is not base64":     {withAuthorization(ask(ours), "Basic ***"), 400, "UNSUPPORTED", "invalid_request", "malformed Basic credentials"},
		"Basic without a colon":        {withAuthorization(ask(ours), "Basic YWxpY2U="), 400, "UNSUPPORTED", "invalid_request", "malformed Basic credentials"},
		"two Authorization headers":    {withAuthorization(withAuthorization(ask(ours), "Basic Og=="), "Basic Og=="), 400, "UNSUPPORTED", "invalid_request", "more than one Authorization header"},
		"another scheme":               {withAuthorization(ask(ours), "Bearer eyJhbGciOiJub25lIn0."), 401, "UNAUTHORIZED", "invalid_grant", "want Basic credentials"},
		"a word for a scheme":          {withAuthorization(ask(ours), "x"), 401, "UNAUTHORIZED", "invalid_grant", "want Basic credentials"},
		"a wrong password":             {withBasic(ask(ours), "alice@example.com", "wrong"), 401, "UNAUTHORIZED", "invalid_grant", "wrong user name or password"},
		"no refresh token":             {refresh(ours, ""), 401, "UNAUTHORIZED", "invalid_grant", "the refresh token is no longer good, log in again"},
		"an unknown refresh token":     {refresh(ours, refreshTokens.New().Text()), 401, "UNAUTHORIZED", "invalid_grant", "the refresh token is no longer good, log in again"},
		"a scope that is none":         {ask(ours, "repository:a:pull", "foo"), 400, "UNSUPPORTED", "invalid_scope", "scope 2: " + errScopeForm.Error()},
		"a scope without actions":      {ask(ours, "repository:a:"), 400, "UNSUPPORTED", "invalid_scope", "scope 1: " + errScopeAction.Error()},
		"a name that is none":          {ask(ours, "repository:../a:pull"), 400, "UNSUPPORTED", "invalid_scope", "scope 1: " + errScopeName.Error()},
		"101 scopes":                   {ask(ours, strings.Repeat("repository:a:pull ", 101)), 400, "UNSUPPORTED", "invalid_scope", "more than 100 scopes"},
		"10000 scopes":                 {ask(ours, slices.Repeat([]string{"repository:a:pull"}, 10000)...), 400, "UNSUPPORTED", "", ""}, // many parameters are an error of their own
		"a long scope":                 {ask(ours, "repository:a:"+strings.Repeat("x", 2000)), 400, "UNSUPPORTED", "invalid_scope", "scope 1: " + errScopeLength.Error()},
		"a long form":                  {form(url.Values{"scope": {strings.Repeat("x", request.MaxBody)}}), 413, "UNSUPPORTED", "invalid_request", "request body too large"},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.refused(t, tt.r, tt.status)
			want := fmt.Sprintf(`{"details":%[1]q,"errors":[{"code":%[2]q,"message":%[1]q}],"error":%[3]q,"error_description":%[1]q}`, tt.detail, tt.code, tt.error)
			if tt.error != "" && !strings.HasSuffix(got, want+"\n") {
				t.Errorf("%s\nwant %s", got, want)
			}
			if strings.Contains(got, "401") && !strings.Contains(got, `Www-Authenticate: Basic realm="auth.example.com", charset="UTF-8"`) {
				t.Errorf("%s: no challenge", got)
			}
		})
	}
	h.issue(t, ask(ours, slices.Repeat([]string{"repository:a:pull"}, 100)...))
}

// The challenge has the issuer of the registry.
func TestChallengeOfOtherIssuer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if got := h.refused(t, withAuthorization(ask(theirs), "Negotiate x"), 401); !strings.Contains(got, `Basic realm="issuer.test"`) {
		t.Error(got)
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.arrange(t, `insert into auth.login_throttles (login_hash, network, service, failures)
		values (auth.login_hash('alice@example.com'), '192.0.2.1/32', 'docker', 11)`)
	for _, r := range []*http.Request{
		withBasic(ask(ours), "alice@example.com", secret),
		post(url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {secret}, "service": {ours}}),
	} {
		if got := h.refused(t, r, 429); !strings.Contains(got, `"error":"slow_down"`) || !strings.Contains(got, `"code":"TOOMANYREQUESTS"`) {
			t.Error(got)
		}
	}
	// Neither an app password nor another login suffers.
	h.issue(t, withBasic(ask(ours), "alice@example.com", h.addAppPassword(t, nil, nil).Text()))
	h.issue(t, withBasic(ask(ours), "carol@example.com", secret))
	h.issue(t, ask(ours))
}

// Our own trouble is a 503 that tells the client nothing, and the log what to
// do.
func TestOwnTrouble(t *testing.T) {
	h := newHouse(t)
	gone := *h.api
	gone.DB = newHouse(t).db.Pool
	gone.DB.Close()
	gone.Verifier = &account.Verifier{DB: gone.DB, Profile: account.Standard}
	nameless := *h.api
	nameless.Issuer = ""
	hungUp, cancel := context.WithCancel(t.Context())
	cancel()
	other := errors.New("sealed by another SECRET_KEY")
	keys, err := token.OpenKeys(t.Context(), h.db.Pool, func(string, []byte) ([]byte, error) { return nil, other })
	if err != nil {
		t.Fatal(err)
	}
	sealed := *h.api
	sealed.Keys = keys
	for name, tt := range map[string]struct {
		api  *API
		r    *http.Request
		want string
	}{
		"a sealed key":     {&sealed, ask(ours), "authserver secret check"},
		"no issuer":        {&nameless, withBasic(ask(ours), "alice@example.com", secret), "set ISSUER"},
		"no key":           {h.api, withBasic(ask(keyless), "alice@example.com", secret), "authserver dockerauth registry keys"},
		"no key, no login": {h.api, ask(keyless), "authserver dockerauth registry keys"},
		"no database":      {&gone, withBasic(ask(ours), "alice@example.com", secret), "closed pool"},
		"no database, app": {&gone, withBasic(ask(ours), "alice@example.com", account.NewAppPassword().Text()), "closed pool"},
		"no database, POST": {&gone, refresh(ours, refreshTokens.New().Text()),
			"closed pool"},
		"no time": {h.api, withBasic(ask(ours), "alice@example.com", "some other").WithContext(hungUp), "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			log := captureLog(t)
			was := h.mux
			defer func() { h.mux = was }()
			h.mux = http.NewServeMux()
			h.mux.Handle("/docker/token", tt.api.Handle(tt.api.Token))
			got := h.refused(t, tt.r, 503)
			want := `{"details":"temporarily unavailable","errors":[{"code":"UNAVAILABLE","message":"temporarily unavailable"}],` +
				`"error":"temporarily_unavailable","error_description":"temporarily unavailable"}`
			if !strings.HasSuffix(got, want+"\n") {
				t.Errorf("%s\nwant %s", got, want)
			}
			if !strings.Contains(log.String(), "request failed") || !strings.Contains(log.String(), tt.want) {
				t.Errorf("the log has no %q: %s", tt.want, log)
			}
		})
	}

	// A registry with an issuer of its own needs no other, and who is anonymous
	// needs no database.
	w := httptest.NewRecorder()
	nameless.Handle(nameless.Token).ServeHTTP(w, ask(theirs))
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	gone.Handle(gone.Token).ServeHTTP(w, ask(ours, "repository:public/app:pull"))
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// An operator sees why a push was denied: once, by whom, and no secret.
func TestLessThanAskedIsLogged(t *testing.T) {
	h := newHouse(t)
	log := captureLog(t)
	less := func() []string {
		var lines []string
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "less than was asked for") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	h.issue(t, withBasic(ask(ours, "repository:team/app:pull,push", "repository:home/alice/a:*"), "alice@example.com", secret))
	h.issue(t, ask(ours, "repository:public/app:pull"))
	if got := less(); len(got) > 0 {
		t.Errorf("all was granted: %s", got)
	}
	h.issue(t, withBasic(ask(ours, "repository:public/app:pull,push", "repository:team/app:pull"), "alice@example.com", secret))
	got := less()
	if len(got) != 1 {
		t.Fatalf("%d lines: %s", len(got), log)
	}
	for _, want := range []string{"level=INFO", "registry=" + ours, "user=alice", `asked="repository:public/app:pull,push repository:team/app:pull"`, `granted="repository:public/app:pull repository:team/app:pull"`} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %s in %s", want, got[0])
		}
	}
	log.Reset()
	h.issue(t, ask(ours, slices.Repeat([]string{"repository:" + strings.Repeat("x", 255) + ":pull"}, 100)...))
	if got := less(); len(got) != 1 || len(got[0]) > 2000 {
		t.Errorf("%d lines: %s", len(got), got)
	}
}

// No secret is logged, whatever comes of the request.
func TestLogHasNoSecrets(t *testing.T) {
	h := newHouse(t)
	app, elsewhere := h.addAppPassword(t, nil, nil), h.addAppPassword(t, []string{theirs}, nil)
	log := captureLog(t)
	const wrong = "wr0ng-and-n0t-to-be-seen"
	offline := h.issue(t, withBasic(get(url.Values{"service": {ours}, "offline_token": {"true"}}), "alice@example.com", secret))
	secrets := []string{secret, "bättery", wrong, app.Text(), elsewhere.Text(), offline.RefreshToken, offline.RefreshToken[3:], "eyJ"}
	for _, registry := range []string{ours, theirs, keyless, "unknown"} {
		for _, password := range []string{secret, wrong, app.Text(), elsewhere.Text(), offline.RefreshToken, offline.Token} {
			for _, name := range []string{"alice@example.com", "bob@example.com", ""} {
				h.do(withBasic(ask(registry, "repository:secret/app:push"), name, password))
				h.do(withBasic(ask(registry, wrong), name, password))
				h.do(post(url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}, "service": {registry}, "access_type": {"offline"}}))
				h.do(post(url.Values{"grant_type": {password}, "username": {name}, "password": {password}, "service": {registry}}))
			}
			h.do(refresh(registry, password, "repository:secret/app:push"))
			h.do(withAuthorization(ask(registry), "Bearer "+password))
			h.do(withAuthorization(ask(registry), "Basic "+password))
			h.do(ask(password))
			h.do(get(url.Values{"service": {registry, password}, "client_id": {password, password}}))
		}
	}
	for _, s := range secrets {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log has %q", s)
		}
	}
	for _, want := range []string{"login.failed", "login.repeated", "request refused", "request failed", "less than was asked for"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q: has it been captured?", want)
		}
	}
}

// While rules change, each token is either as before or as after, and none is
// more.
func TestTokensWhileRulesChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := h.addAppPassword(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var running, clients sync.WaitGroup
	running.Go(func() {
		if err := h.api.Registries.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := make(chan struct{})
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			h.allow(t, ours, "user:alice", "moving/app", "pull", "push")
			h.reload(t)
			h.deny(t, ours, "user:alice", "moving/app", "push")
			h.reload(t)
			h.deny(t, ours, "user:alice", "moving/app")
		}
	})
	for range 8 {
		clients.Go(func() {
			for i := range 50 {
				r := ask(ours, "repository:moving/app:pull,push", "repository:team/app:pull,push")
				if i%2 == 0 {
					r = withBasic(r, "alice@example.com", app.Text())
				}
				w := httptest.NewRecorder()
				h.mux.ServeHTTP(w, r)
				var a answer
				if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
				parsed, err := registrytoken.NewToken(a.Token)
				if err != nil {
					t.Error(err)
					return
				}
				moving, team := parsed.Claims.Access[0].Actions, parsed.Claims.Access[1].Actions
				if i%2 == 1 && len(moving)+len(team) > 0 || i%2 == 0 && (len(team) != 2 || slices.Equal(moving, []string{"push"})) {
					t.Errorf("granted %v and %v", moving, team)
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	cancel()
	running.Wait()
}

// A hint that this program does not know is our own trouble, not a token by
// another one.
func TestUnknownHint(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.api.Keys.Registry(ours).Hint = token.Hint("jku")
	h.refused(t, ask(ours), 503)
}
