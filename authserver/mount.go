package authserver

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Mount is a path under which the endpoints of OAuth 2.0 and OpenID Connect
// are. It begins with a slash and has none at its end.
type Mount string

// DefaultMount is where they always are: clients of the ancestor know no other.
const DefaultMount Mount = "/o2"

// mountForm is one or more segments that need no escaping.
var mountForm = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// ParseMount reads a mount. A slash at its end is taken away.
func ParseMount(s string) (Mount, error) {
	m := strings.TrimSuffix(s, "/")
	if !mountForm.MatchString(m) {
		return "", fmt.Errorf("%q is not a path such as /oauth2", s)
	}
	first, _, _ := strings.Cut(m[1:], "/")
	if slices.Contains(taken, first) {
		return "", fmt.Errorf("below /%s is something else", first)
	}
	return Mount(m), nil
}

// taken are the first segments of all other URLs.
var taken = []string{
	"action", "auth", "checkpassword", "docker", "dovecot", "email-agent-auth-tokens", "forward-auth", "getkey", "health", "healthz",
	"login", "logout", "readyz", "static", "verify",
}

func (m Mount) String() string { return string(m) }

// Mounts returns the mounts of a server: the path below which discovery says
// that the endpoints are, the default, and others, each once.
func Mounts(endpoints string, others []Mount) []string {
	all := []string{endpoints}
	for _, m := range append([]Mount{DefaultMount}, others...) {
		if !slices.Contains(all, string(m)) {
			all = append(all, string(m))
		}
	}
	return all
}
