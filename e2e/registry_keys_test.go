package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// supervisor is the part of systemd: it starts a registry, its arguments,
// whenever it ends.
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

// changed returns when a file of the machine was written.
func (r *Registry) changed(name string) time.Time {
	r.t.Helper()
	info, err := os.Stat(r.root.Path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return info.ModTime()
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

// startSupervised is start for a registry that comes again.
func (r *Registry) startSupervised() *Server {
	r.t.Helper()
	r.root.Write("/usr/local/bin/systemctl", systemctl)
	r.root.Run("chmod", "0755", "/usr/local/bin/systemctl")
	return r.root.Start(r.Port, append([]string{"sh", "-c", supervisor, "supervisor"}, registryKinds[r.kind].command...)...)
}

// watchKeys starts the service of the guide.
func (r *Registry) watchKeys() {
	r.t.Helper()
	r.follow("Keys")
	command := execStart.FindStringSubmatch(r.root.Read("/etc/systemd/system/registry-keys.service"))[1]
	r.root.spawn("sh", "-euc", "exec "+command+" --interval 1s")
}

// awaitRestart waits until the registry was restarted so often.
func (r *Registry) awaitRestart(s *Server, times int) {
	r.t.Helper()
	s.await(r.t, "start again", func() bool { return r.restarts() >= times })
}

var execStart = regexp.MustCompile(`(?m)^ExecStart=(.*)$`)

// A puller pulls all the time, with a token that it has just got, and with one
// that it keeps.
type puller struct {
	r          *Registry
	b          *Browser
	repository string
	path       string // of a manifest

	mu      sync.Mutex
	pulls   int
	away    int    // times that the registry did not answer
	kept    string // a token; empty: none
	refused []string
}

// run starts to pull, until the function that it returns is called.
func (p *puller) run() (end func()) {
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
	return sync.OnceFunc(func() { close(ended); pulling.Wait() })
}

// pull pulls once with each token.
func (p *puller) pull() {
	tokens := map[string]string{}
	p.mu.Lock()
	if p.kept != "" {
		tokens["kept"] = p.kept
	}
	p.mu.Unlock()
	fresh, err := p.r.tryToken(p.b, "bob@example.com", "bob builds", "repository:"+p.repository+":pull")
	tokens["fresh"] = fresh.Token

	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || fresh.Status != http.StatusOK {
		p.refused = append(p.refused, fmt.Sprintf("no token: %v, %+v", err, fresh))
		return
	}
	for name, token := range tokens {
		page, err := p.r.ask(p.b, http.MethodGet, p.path, token)
		switch {
		case isAway(err):
			p.away++
		case err != nil:
			p.refused = append(p.refused, name+" token: "+err.Error())
		case page.Status != http.StatusOK:
			p.refused = append(p.refused, name+" token: status "+strconv.Itoa(page.Status))
		default:
			p.pulls++
		}
	}
}

// isAway tells whether a server has ended, or has not yet started.
func isAway(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// keep changes the token that is kept.
func (p *puller) keep(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = token
}

// more waits until it has pulled some more.
func (p *puller) more(s *Server) {
	p.b.t.Helper()
	pulls := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.pulls
	}
	until := pulls() + 10
	s.await(p.b.t, "be pulled from", func() bool { return pulls() >= until })
}

// check reports what was refused, when it has ended.
func (p *puller) check(t *testing.T) {
	t.Helper()
	t.Logf("%d pulls, %d times there was no registry", p.pulls, p.away)
	if len(p.refused) > 0 {
		t.Errorf("refused: %q", p.refused)
	}
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
			registry := r.startSupervised()
			r.watchKeys()
			r.push(t, "team/base:1")

			p := &puller{r: r, b: NewBrowser(t), path: "/v2/team/base/manifests/1", repository: "team/base"}
			old := r.token(p.b, "bob@example.com", "bob builds", "repository:team/base:pull").Token
			p.keep(old)
			end := p.run()
			defer end()
			restarted := func(times int) {
				t.Helper()
				r.awaitRestart(registry, times)
				p.more(registry)
			}
			p.more(registry)

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
			// The file would have the same certificates in another order, which is
			// nothing to restart for.
			p.keep("")
			p.more(registry)
			db.Operate(t, "dockerauth", "registry", "remove-key", "-y", r.ClientID, "--", first)
			restarted(2)
			end()
			p.check(t)
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
			registry := r.startSupervised()

			bob := r.NewClient()
			if out, err := bob.Login("bob@example.com", "bob builds", "docker"); err != nil {
				t.Fatalf("login: %v, %s", err, out)
			}
			bob.Run(t, "skopeo", "copy", "oci:"+r.newImage(t), "docker://"+r.Address("team/old:1"))
			bob.Run(t, "docker", "manifest", "inspect", r.Address("team/old:1"))
			bob.Run(t, "crane", "copy", r.Address("team/old:1"), r.Address("bob/old:1"))
			bob.Refused(t, saysNoRight, "crane", "push", r.newImage(t), r.Address("secret/old:1"))

			// It can get a key of its own, one step after the other.
			p := &puller{r: r, b: NewBrowser(t), path: "/v2/team/old/manifests/1", repository: "team/old"}
			end := p.run()
			defer end()
			r.watchKeys()
			db.Type(t, r.edit.Replace(sectionLines(t, registryGuide, "A registry of the Python authserver")[1]))
			registry.await(t, "have both keys", func() bool {
				const bundle = "/etc/docker/registry/keys/bundle.pem"
				return strings.Count(r.root.Read(bundle), "BEGIN CERTIFICATE") == 2 && r.changed("/run/registry.pid").After(r.changed(bundle))
			})
			p.more(registry)
			own := r.keys(t)["published"][0]
			db.Operate(t, "dockerauth", "registry", "activate-key", r.ClientID, "--", own)
			db.Operate(t, "dockerauth", "registry", "edit", r.ClientID, "--set-signing-key", "registry")
			registry.await(t, "get tokens of its own key", func() bool {
				return kid(t, r.token(p.b, "bob@example.com", "bob builds").Token) == own
			})
			p.more(registry)
			end()
			p.check(t)
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
		for line := range strings.Lines(db.Type(t, strings.ReplaceAll(lines[i], "registry.example.com", r.ClientID))) {
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
}

// kid returns the name of the key that has signed a token.
func kid(t *testing.T, token string) string {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ KID string }
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	return header.KID
}
