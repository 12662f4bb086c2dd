package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Tool returns the file name of a program that the script tools builds.
func Tool(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("E2E_TOOLS")
	if dir == "" {
		dir = filepath.Join(filepath.Dir(rootsDir()), "tools")
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("there is no program %s: run make test-deps", file)
	}
	return file
}

// registryKinds are the registries that we test with: the section of the guide
// about each, and what starts it.
var registryKinds = map[string]struct {
	section string
	program string // of the script tools; empty: of Debian
	command []string
}{
	"2.8": {"docker-registry 2.8", "", []string{"docker-registry", "serve", "/etc/docker/registry/config.yml"}},
	"3.0": {"distribution 3", "registry-3.0", []string{"registry", "serve", "/etc/distribution/config.yml"}},
	"3.1": {"distribution 3", "registry-3.1", []string{"registry", "serve", "/etc/distribution/config.yml"}},
}

const registryGuide = "docker-registry.md"

// A Registry is a Docker registry that the database knows, and its machine,
// which is that of its clients, too.
type Registry struct {
	ClientID string // and the name of its host
	Port     int

	t    *testing.T
	kind string
	db   *Database
	auth *Authserver
	root *Root
	edit *strings.Replacer // of what the guide says, to where things are here
}

var lastRegistry atomic.Int32

// StartIssuer starts an authserver that can issue tokens for registries.
func StartIssuer(t *testing.T, db *Database) *Authserver {
	t.Helper()
	return StartAuthserver(t, db, "--issuer", "https://"+AuthHost)
}

// NewRegistry makes a registry of this kind known, as the first line to type in
// a section of the guide does it, with these flags besides.
func NewRegistry(t *testing.T, kind string, db *Database, auth *Authserver, section string, flags ...string) *Registry {
	t.Helper()
	n := strconv.Itoa(int(lastRegistry.Add(1)))
	r := &Registry{ClientID: "registry" + n + ".example.com", Port: FreePort(), t: t, kind: kind, db: db, auth: auth}
	r.edit = strings.NewReplacer(
		"registry.example.com", r.ClientID,
		"--name Images", "--name Images-"+n,
		"addr: :5000", "addr: 127.0.0.1:"+strconv.Itoa(r.Port),
		":5000", ":"+strconv.Itoa(r.Port),
		"https://"+AuthHost, auth.URL(""),
	)
	db.Type(t, strings.Join(append([]string{r.edit.Replace(sectionLines(t, registryGuide, section)[0])}, flags...), " "))
	return r
}

// install makes the machine of the registry.
func (r *Registry) install() {
	r.t.Helper()
	r.root = NewRoot(r.t, "trixie-docker")
	r.auth.Reachable(r.root, r.ClientID)
	r.root.Install(Binary(r.t, "checkpassword"), "/usr/local/bin/checkpassword")
	r.root.Install(Tool(r.t, "crane"), "/usr/local/bin/crane")
	if program := registryKinds[r.kind].program; program != "" {
		r.root.Install(Tool(r.t, program), "/usr/local/bin/registry")
	}
	certificate, key := newCertificate(r.t, r.ClientID)
	r.root.Write("/etc/docker/registry/tls/cert.pem", certificate)
	r.root.Write("/etc/docker/registry/tls/key.pem", key)
	// The system trusts whom its administrator trusts.
	const system = "/etc/ssl/certs/ca-certificates.crt"
	r.root.Write(system, r.root.Read(system)+r.auth.Certificate+certificate)
	r.follow(registryKinds[r.kind].section)
}

// follow does what a section of the guide says.
func (r *Registry) follow(section string) {
	r.t.Helper()
	r.root.follow(ReadGuide(r.t, registryGuide, section), r.edit.Replace)
}

// start starts the registry, whose key file must be there.
func (r *Registry) start() *Server {
	r.t.Helper()
	return r.root.Start(r.Port, registryKinds[r.kind].command...)
}

// StartRegistry starts a registry that is set up as the guide says, with its
// rules.
func StartRegistry(t *testing.T, kind string, db *Database, auth *Authserver) *Registry {
	t.Helper()
	r := NewRegistry(t, kind, db, auth, "Registry")
	r.typeRules()
	r.install()
	r.follow("Keys")
	r.start()
	return r
}

// typeRules makes the rules of the guide, and waits until the server has them.
func (r *Registry) typeRules() {
	r.t.Helper()
	for _, line := range sectionLines(r.t, registryGuide, "Who may do what") {
		r.db.Type(r.t, r.edit.Replace(line))
	}
	b := NewBrowser(r.t)
	r.auth.await(r.t, "learn of new rules", func() bool {
		answer := r.token(b, "alice@example.com", "alice sings", "registry:catalog:*")
		return answer.Status == http.StatusOK && answer.Scope != ""
	})
}

// Address returns the name of the registry, or of something in it, as clients
// write it.
func (r *Registry) Address(repository ...string) string {
	return strings.Join(append([]string{r.ClientID + ":" + strconv.Itoa(r.Port)}, repository...), "/")
}

// A Client is an account on the machine of a registry, with a home of its own.
type Client struct {
	*Registry
	home string
}

// NewClient returns an account that knows nothing.
func (r *Registry) NewClient() Client {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.root.Path("/home"), "client")
	if err != nil {
		r.t.Fatal(err)
	}
	return Client{r, "/home/" + filepath.Base(dir)}
}

// Try runs a program, which may fail, and returns what it printed.
func (c Client) Try(args ...string) (string, error) {
	return c.root.Try(append([]string{"HOME=" + c.home, "XDG_RUNTIME_DIR=" + c.home}, args...)...)
}

// Run is Try for a program that must succeed.
func (c Client) Run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.Try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Refused runs a program that must fail, and print one of these texts.
func (c Client) Refused(t *testing.T, texts []string, args ...string) {
	t.Helper()
	out, err := c.Try(args...)
	if err == nil {
		t.Errorf("%s: not refused\n%s", strings.Join(args, " "), out)
		return
	}
	for _, text := range texts {
		if strings.Contains(out, text) {
			return
		}
	}
	t.Errorf("%s: got %q, want any of %q", strings.Join(args, " "), out, texts)
}

// Login has a program log in, be it docker, podman, skopeo or crane: by its
// command (crane auth login), with the password on its standard input.
func (c Client) Login(user, password string, program ...string) (string, error) {
	script := `printf %s "$1" | "${@:4}" login --username "$2" --password-stdin "$3"`
	return c.Try(append([]string{"bash", "-c", script, "login", password, user, c.Address()}, program...)...)
}

// newImage makes an image that nobody has, one small file, and returns its
// folder in the root: an OCI image layout.
func (r *Registry) newImage(t *testing.T) string {
	t.Helper()
	name := "/srv/image-" + rand.Text()
	var layer bytes.Buffer
	zip := gzip.NewWriter(&layer)
	archive := tar.NewWriter(zip)
	content := []byte(rand.Text())
	if err := archive.WriteHeader(&tar.Header{Name: "content", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() error{
		func() error { _, err := archive.Write(content); return err },
		archive.Close,
		zip.Close,
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(layer.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}

	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	digest := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	blob := func(mediaType string, content []byte) descriptor {
		d := descriptor{mediaType, digest(content), len(content)}
		r.root.Write(name+"/blobs/"+strings.Replace(d.Digest, ":", "/", 1), string(content))
		return d
	}
	marshal := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	type object map[string]any
	config := blob("application/vnd.oci.image.config.v1+json", marshal(object{
		"architecture": "amd64", "os": "linux", "rootfs": object{"type": "layers", "diff_ids": []string{digest(plain)}},
	}))
	manifest := blob("application/vnd.oci.image.manifest.v1+json", marshal(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config,
		"layers": []descriptor{blob("application/vnd.oci.image.layer.v1.tar+gzip", layer.Bytes())},
	}))
	r.root.Write(name+"/index.json", string(marshal(object{"schemaVersion": 2, "manifests": []descriptor{manifest}})))
	r.root.Write(name+"/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	return name
}

// push puts a new image into a repository, as its administrator.
func (r *Registry) push(t *testing.T, repository string) {
	t.Helper()
	r.NewClient().Run(t, "skopeo", "copy", "--dest-creds", "alice@example.com:alice sings",
		"oci:"+r.newImage(t), "docker://"+r.Address(repository))
}

// An Answer is what a client gets from /docker/token.
type Answer struct {
	Status       int    `json:"-"`
	Token        string `json:"token"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	Details      string `json:"details"`
}

// token gets a token by GET, as the password's owner or, without a user, as
// nobody in particular.
func (r *Registry) token(b *Browser, user, password string, scopes ...string) Answer {
	r.t.Helper()
	answer, err := r.tryToken(b, user, password, scopes...)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (r *Registry) tryToken(b *Browser, user, password string, scopes ...string) (Answer, error) {
	query := url.Values{"service": {r.ClientID}, "client_id": {"docker"}, "scope": scopes}
	page, err := b.visit(r.auth.URL("/docker/token?"+query.Encode()), user, password)
	if err != nil {
		return Answer{}, err
	}
	return page.answer()
}

// post gets a token by POST, as a form says.
func (r *Registry) post(b *Browser, form url.Values) Answer {
	r.t.Helper()
	form.Set("service", r.ClientID)
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, r.auth.URL("/docker/token"), strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	page, err := b.do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := page.answer()
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (p Page) answer() (Answer, error) {
	answer := Answer{Status: p.Status}
	if err := json.Unmarshal([]byte(p.Body), &answer); err != nil {
		return Answer{}, fmt.Errorf("status %d, %q: %w", p.Status, p.Body, err)
	}
	return answer, nil
}

// ask sends a request with a token to the registry itself.
func (r *Registry) ask(b *Browser, method, path, token string) (Page, error) {
	request, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+r.Address()+path, nil)
	if err != nil {
		return Page{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	return b.do(request)
}

// must is ask for a registry that is there.
func (r *Registry) must(b *Browser, method, path, token string) Page {
	r.t.Helper()
	page, err := r.ask(b, method, path, token)
	if err != nil {
		r.t.Fatal(err)
	}
	return page
}

// Access is one action on a resource.
type Access struct{ Type, Name, Action string }

// A Presented token comes with a request that needs this access.
type Presented struct {
	Token  string
	Access []Access
}

// askVerifier asks the code of a registry, a version of distribution, about
// tokens. It returns why each is refused, empty if it is not; and, if the registry
// would not start with these options of auth.token, why.
func askVerifier(t *testing.T, version string, options map[string]any, tokens ...Presented) (results []string, refused string) {
	t.Helper()
	question, err := json.Marshal(struct {
		Options  map[string]any
		Requests []Presented
	}{options, tokens})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, Tool(t, "verifier-"+version))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(question), &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("verifier %s: %v\n%s", version, err, &stderr)
	}
	var answer struct {
		Refused string
		Results []string
	}
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		t.Fatalf("verifier %s: %q: %v", version, &stdout, err)
	}
	if answer.Refused == "" && len(answer.Results) != len(tokens) {
		t.Fatalf("verifier %s: %d results for %d tokens", version, len(answer.Results), len(tokens))
	}
	t.Cleanup(func() {
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("verifier %s wrote:\n%s", version, &stderr)
		}
	})
	return answer.Results, answer.Refused
}

// keyFile gets the public keys of a registry, or with type d of a domain, and
// writes them to a file. The formats are those of a registry's options.
func keyFile(t *testing.T, auth *Authserver, owner, domain, format string) string {
	t.Helper()
	query := url.Values{"type": {owner}, "domain": {domain}, "format": {format}}
	page := NewBrowser(t).Visit(auth.URL("/getkey/?"+query.Encode()), "", "")
	if page.Status != http.StatusOK {
		t.Fatalf("keys of %s: status %d, %s", domain, page.Status, page.Body)
	}
	content := page.Body
	if format != "jwks" {
		var lines map[string][]string
		if err := json.Unmarshal([]byte(content), &lines); err != nil {
			t.Fatalf("keys of %s: %q: %v", domain, content, err)
		}
		content = strings.Join(lines[format], "\n")
	}
	file := filepath.Join(t.TempDir(), format)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
