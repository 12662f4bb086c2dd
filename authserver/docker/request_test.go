package docker

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	registrytoken "github.com/docker/distribution/registry/auth/token"
)

// Whatever is sent, there is no panic and no trouble of our own, and what is
// granted to nobody in particular is what anyone may have.
func FuzzRequest(f *testing.F) {
	h := newHouse(f)
	h.arrange(f, `delete from auth.docker_registries r where r.client_id = $1`, keyless)
	h.reload(f)
	service := "service=" + url.QueryEscape(ours)
	f.Add(false, service+"&scope=repository:public/a:pull,push&offline_token=true&client_id=docker&account=alice", "", "")
	f.Add(false, service+"&scope=repository:a:*+registry:catalog:*&scope=repository(plugin):h.example:5000/a:delete", "", "Basic YWxpY2VAZXhhbXBsZS5jb206eA==")
	f.Add(true, "", "grant_type=password&username=alice@example.com&password=x&access_type=offline&"+service, "")
	f.Add(true, "x=y", "grant_type=refresh_token&refresh_token=rt_kdmfryeyl3gh6ycbrkxqzrnllb7ufqsxbkeebfnj5dgkzuhwkroa&"+service, "")
	f.Add(true, "", "grant_type=%zz", "Bearer x")
	f.Add(false, service+"&scope=%00&scope=a:b:c:d&client_id=%ff", "\x00", "Basic \xff")
	f.Fuzz(func(t *testing.T, isPost bool, query, form, authorization string) {
		r := httptest.NewRequest("GET", "https://auth.example.com/docker/token", strings.NewReader(form))
		if isPost {
			r.Method = "POST"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		res := h.do(r)
		body, _ := io.ReadAll(res.Body) // out of memory
		if res.StatusCode >= 500 || res.StatusCode != 200 && res.StatusCode < 400 {
			t.Fatalf("%s %s", res.Status, body)
		}
		if res.StatusCode != http.StatusOK {
			var refused struct{ Details, Error string }
			if err := json.Unmarshal(body, &refused); err != nil || refused.Details == "" || refused.Error == "" {
				t.Errorf("%s %s: %v", res.Status, body, err)
			}
			return
		}
		var got answer
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		parsed, err := registrytoken.NewToken(got.Token)
		if err != nil || parsed.Claims.Access == nil || bytes.Contains(body, []byte("null")) {
			t.Fatalf("%s: %v", body, err)
		}
		for _, a := range parsed.Claims.Access {
			granted := Access{a.Type, a.Name, a.Actions}
			if a.Actions == nil || !isName(a.Name) || a.Type != "repository" && a.Type != "registry" {
				t.Errorf("an entry %+v", granted)
			}
			if parsed.Claims.Subject == "" && granted.granted() != 0 && (granted.granted() != pull || !strings.HasPrefix(a.Name, "public/")) {
				t.Errorf("anyone is granted %s", granted)
			}
		}
	})
}

func TestClientID(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// What is taken is stored with a refresh token.
	for _, id := range []string{"", "docker", "containers/image", strings.Repeat("x", 255), "a b", "ä", "'; drop", "\u00a0"} {
		if !isClientID(id) {
			t.Errorf("%q is refused", id)
		}
		h.issue(t, withBasic(get(url.Values{"service": {ours}, "offline_token": {"true"}, "client_id": {id}}), "alice@example.com", secret))
	}
	for _, id := range []string{"\x00", "a\x01", "\n", "\x7f", "\u0080", "\u009f", "\xff", strings.Repeat("ä", 128)} {
		if isClientID(id) {
			t.Errorf("%q is taken", id)
		}
	}
}
