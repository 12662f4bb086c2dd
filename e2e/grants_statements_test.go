package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var storedFunction = regexp.MustCompile(`api\.[a-z0-9_]+`)

// What a request costs the database, as the database sees it: everything that
// the server's role has executed is in pg_stat_statements, with begin and commit
// if there are any.
func TestGrantsStatements(t *testing.T) {
	t.Parallel()
	s := newGrantServer(t, 4)
	wires := s.wires(4)
	const requests = 100
	robot := request("robot", "token", url.Values{"grant_type": {"client_credentials"}})
	wrong := request("app", "token", url.Values{"grant_type": {"authorization_code"}, "code": {"oc_" + strings.Repeat("a", 52)}, "redirect_uri": {appURI}})
	codes := s.codes(requests)
	var refreshable, active []string

	for _, tt := range []struct {
		name     string
		requests func() [][]byte
		status   int
		want     map[string]int // calls, by function
	}{
		{"client credentials", func() [][]byte { return slices.Repeat([][]byte{robot}, requests) }, http.StatusOK, map[string]int{}},
		{"code", func() [][]byte { return each(redeem, codes) }, http.StatusOK, map[string]int{"api.redeem_code": requests}},
		{"refresh token", func() [][]byte { return each(refresh, refreshable) }, http.StatusOK, map[string]int{"api.rotate_refresh_token": requests}},
		{"introspection", func() [][]byte { return each(introspect, active) }, http.StatusOK, map[string]int{"api.check_access_token": requests}},
		{"unknown code", func() [][]byte { return slices.Repeat([][]byte{wrong}, requests) }, http.StatusBadRequest, map[string]int{"api.redeem_code": requests}},
		{"code that was used", func() [][]byte { return each(redeem, codes) }, http.StatusBadRequest, map[string]int{"api.redeem_code": requests}},
	} {
		s.execute("authserver", `select pg_stat_statements_reset()`)
		answers := s.all(wires, tt.requests())
		for n, a := range answers {
			if a.status != tt.status {
				t.Fatalf("%s %d is answered %v", tt.name, n, a)
			}
		}
		if answers[0].RefreshToken != "" {
			refreshable, active = refreshTokens(answers), accessTokens(answers)
		}
		got := map[string]int{}
		for _, statement := range rows[struct {
			Text  string
			Calls int
		}](s, `
			select s.query, s.calls
			  from pg_stat_statements s
			 where s.userid = 'authserver_web'::regrole`) {
			name := statement.Text
			if f := storedFunction.FindString(name); f != "" {
				name = f
			}
			// What a server tidies up when it starts, nobody has asked for.
			if !strings.HasPrefix(name, "api.purge_") {
				got[name] += statement.Calls
			}
		}
		if !maps.Equal(got, tt.want) {
			t.Errorf("%d × %s: the database has executed %v, want %v", requests, tt.name, got, tt.want)
		}
	}
}
