package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// supervisor is systemd's part in TestRegistryRotation: it starts a registry, its
// arguments, whenever it ends.
const supervisor = `trap 'kill $pid; wait $pid; exit 0' TERM
while :; do "$@" & pid=$!; echo $pid >/run/registry.pid; wait $pid; done`

// systemctl is what the guide's service calls to restart it.
const systemctl = `#!/bin/sh
test "$*" = "try-restart docker-registry.service" || exit 1
kill "$(cat /run/registry.pid)" && echo again >>/run/restarts`

// restarts returns how often the registry was restarted.
func (r *Registry) restarts() int {
	text, err := os.ReadFile(r.root.Path("/run/restarts"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// keys returns the registry's keys: KIDs by state.
func (r *Registry) keys(t *testing.T) map[string][]string {
	t.Helper()
	var listed []struct{ KID, State string }
	if err := json.Unmarshal([]byte(r.db.Operate(t, "dockerauth", "registry", "keys", r.ClientID, "-f", "json")), &listed); err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	for _, k := range listed {
		keys[k.State] = append(keys[k.State], k.KID)
	}
	return keys
}

var execStart = regexp.MustCompile(`(?m)^ExecStart=(.*)$`)

// A puller pulls all the time, with a token that it has just got, and with one
// that it keeps.
type puller struct {
	r    *Registry
	b    *Browser
	path string // of a manifest

	mu      sync.Mutex
	pulls   int
	away    int    // times that the registry did not answer
	kept    string // a token
	refused []string
}

// pull pulls once.
func (p *puller) pull() {
	fresh := p.r.token(p.b, "bob@example.com", "bob builds", "repository:team/base:pull")
	p.mu.Lock()
	kept := p.kept
	p.mu.Unlock()
	for name, token := range map[string]string{"fresh": fresh.Token, "kept": kept} {
		if token == "" && name == "kept" {
			continue
		}
		page, err := p.r.ask(p.b, http.MethodGet, p.path, token)
		p.mu.Lock()
		switch {
		case err != nil && p.b.t.Context().Err() != nil: // the test ends
		case err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !strings.Contains(err.Error(), "EOF"):
			p.refused = append(p.refused, name+" token: "+err.Error())
		case err != nil:
			p.away++
		case page.Status != http.StatusOK:
			p.refused = append(p.refused, name+" token: status "+strconv.Itoa(page.Status))
		default:
			p.pulls++
		}
		p.mu.Unlock()
	}
}

// keep changes the token that is kept.
func (p *puller) keep(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = token
}

// soFar returns how often it has pulled.
func (p *puller) soFar() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pulls
}

// A registry gets a new key as the guide says, and nobody notices.
func TestRegistryRotation(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"2.8", "3.1"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			db := OpenDatabase(t, "")
			r := NewRegistry(t, kind, db, StartIssuer(t, db), "Registry")
			r.typeRules()
			r.install()
			r.follow("Keys")
			r.root.Write("/usr/local/bin/systemctl", systemctl)
			r.root.Run("chmod", "0755", "/usr/local/bin/systemctl")
			registry := r.root.Start(r.Port, append([]string{"sh", "-c", supervisor, "supervisor"}, registryKinds[kind].command...)...)
			command := execStart.FindStringSubmatch(r.root.Read("/etc/systemd/system/registry-keys.service"))[1]
			r.root.spawn("sh", "-euc", "exec "+command+" --interval 1s")
			r.push(t, "team/base:1")

			p := &puller{r: r, b: NewBrowser(t), path: "/v2/team/base/manifests/1"}
			old := r.token(p.b, "bob@example.com", "bob builds", "repository:team/base:pull").Token
			p.keep(old)
			var pulling sync.WaitGroup
			ended := make(chan struct{})
			pulling.Go(func() {
				for {
					select {
					case <-ended:
						return
					default:
						p.pull()
					}
				}
			})
			end := sync.OnceFunc(func() { close(ended); pulling.Wait() })
			defer end()
			// more waits until what is so was pulled with.
			more := func() {
				t.Helper()
				until := p.soFar() + 10
				registry.await(t, "be pulled from", func() bool { return p.soFar() >= until })
			}
			restarted := func(times int) {
				t.Helper()
				registry.await(t, "start again", func() bool { return r.restarts() >= times })
				more()
			}
			more()

			first := r.keys(t)["active"][0]
			db.Operate(t, "dockerauth", "registry", "publish-key", r.ClientID)
			next := r.keys(t)["published"][0]
			restarted(1)
			db.Operate(t, "dockerauth", "registry", "activate-key", r.ClientID, "--", next)
			if keys := r.keys(t); len(keys["active"]) != 1 || keys["active"][0] != next || keys["retired"][0] != first {
				t.Fatalf("keys: %v", keys)
			}
			registry.await(t, "get tokens of the new key", func() bool {
				return kid(t, r.token(p.b, "bob@example.com", "bob builds").Token) == next
			})
			// The new bundle has the same certificates in another order.
			restarted(2)

			p.keep("")
			more()
			db.Operate(t, "dockerauth", "registry", "remove-key", "-y", r.ClientID, "--", first)
			restarted(3)
			end()

			t.Logf("%d pulls, %d times there was no registry", p.pulls, p.away)
			if len(p.refused) > 0 {
				t.Errorf("refused: %q", p.refused)
			}
			if page := r.must(p.b, http.MethodGet, p.path, old); page.Status != http.StatusUnauthorized {
				t.Errorf("token of a key that was removed: status %d", page.Status)
			}
		})
	}
}

// A registry that was set up against the Python authserver, with a certificate
// that it was given once, goes on.
func TestRegistryOfAncestor(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"3.0", "3.1"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			db := OpenDatabase(t, "")
			auth := StartIssuer(t, db)
			r := NewRegistry(t, kind, db, auth, "A registry of the Python authserver")
			r.typeRules()
			r.install()
			bundle, err := os.ReadFile(keyFile(t, auth, "d", "example.com", "cert"))
			if err != nil {
				t.Fatal(err)
			}
			r.root.Write("/etc/docker/registry/keys/bundle.pem", string(bundle))
			r.start()

			bob := r.NewClient()
			if out, err := bob.Login("bob@example.com", "bob builds", "docker"); err != nil {
				t.Fatalf("login: %v, %s", err, out)
			}
			bob.Run(t, "skopeo", "copy", "oci:"+r.newImage(t), "docker://"+r.Address("team/old:1"))
			bob.Run(t, "docker", "manifest", "inspect", r.Address("team/old:1"))
			bob.Run(t, "crane", "copy", r.Address("team/old:1"), r.Address("bob/old:1"))
			bob.Refused(t, saysNoRight, "crane", "push", r.newImage(t), r.Address("secret/old:1"))
		})
	}
}

// The guide has what the command line prints.
func TestRegistryConfig(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	r := NewRegistry(t, "3.1", db, StartIssuer(t, db), "Registry")
	lines := sectionLines(t, registryGuide, "Registry")[1:]
	for i, section := range []string{"docker-registry 2.8", "distribution 3"} {
		var printed []string
		for line := range strings.Lines(db.Type(t, r.edit.Replace(lines[i]))) {
			if !strings.HasPrefix(line, "#") {
				printed = append(printed, line)
			}
		}
		want := strings.Join(printed, "")
		config := ReadGuide(t, registryGuide, section).Files[0]
		if got := strings.ReplaceAll(config.Content, "registry.example.com", r.ClientID); !strings.HasSuffix(got, want) || want == "" {
			t.Errorf("%s:\n%s\nwant at its end:\n%s", config.Name, got, want)
		}
	}
	for _, section := range []string{"docker login", "Machines"} {
		for _, line := range sectionLines(t, registryGuide, section) {
			db.Type(t, r.edit.Replace(line))
		}
	}
}

// kid returns the name of the key that has signed a token.
func kid(t *testing.T, token string) string {
	t.Helper()
	var header struct{ KID string }
	decodeSegment(t, strings.Split(token, ".")[0], &header)
	return header.KID
}

