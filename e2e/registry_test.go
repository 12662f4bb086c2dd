package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// What clients say when they are refused: the server's words about passwords,
// and the registry's about rights.
var (
	saysWrongPassword = []string{"wrong user name or password", "invalid username/password"}
	saysNoRight       = []string{"denied", "authentication required", "access to the requested resource is not authorized", "UNAUTHORIZED", "unauthorized", "401 Unauthorized"}
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	for kind := range registryKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			db := OpenDatabase(t, "")
			r := StartRegistry(t, kind, db, StartIssuer(t, db))
			r.push(t, "public/hello:1")
			r.push(t, "team/base:1")
			r.push(t, "secret/plans:1")
			t.Run("clients", func(t *testing.T) {
				t.Run("docker", func(t *testing.T) { t.Parallel(); testDocker(t, r) })
				t.Run("skopeo", func(t *testing.T) { t.Parallel(); testSkopeo(t, r) })
				t.Run("crane", func(t *testing.T) { t.Parallel(); testCrane(t, r) })
				t.Run("podman", func(t *testing.T) { t.Parallel(); testPodman(t, r) })
				t.Run("anonymous", func(t *testing.T) { t.Parallel(); testAnonymous(t, r) })
				t.Run("mount", func(t *testing.T) { t.Parallel(); testMount(t, r) })
				t.Run("catalog", func(t *testing.T) { t.Parallel(); testCatalog(t, r) })
			})
		})
	}
}

// dockerLogin is what Docker keeps of a login.
type dockerLogin struct {
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
}

// stored returns what Docker keeps in the home of a client.
func (c Client) stored(t *testing.T) map[string]dockerLogin {
	t.Helper()
	var config struct{ Auths map[string]dockerLogin }
	if err := json.Unmarshal([]byte(c.root.Read(c.home+"/.docker/config.json")), &config); err != nil {
		t.Fatal(err)
	}
	return config.Auths
}

func testDocker(t *testing.T, r *Registry) {
	bob := r.NewClient()
	for _, tt := range []struct{ name, user, password string }{
		{"wrong password", "bob@example.com", "bob guesses"},
		{"unknown user", "mallory@example.com", "bob builds"},
		{"inactive user", "dave@example.com", "alice sings"},
		{"blocked address", "old@example.com", "alice sings"},
	} {
		out, err := bob.Login(tt.user, tt.password, "docker")
		if err == nil || !strings.Contains(out, "unauthorized: wrong user name or password") {
			t.Errorf("%s: %v, %s", tt.name, err, out)
		}
		if _, err := os.Stat(r.root.Path(bob.home + "/.docker/config.json")); err == nil && len(bob.stored(t)) > 0 {
			t.Errorf("%s: something is stored", tt.name)
		}
	}

	if out, err := bob.Login("bob@example.com", "bob builds", "docker"); err != nil || !strings.Contains(out, "Login Succeeded") {
		t.Fatalf("login: %v, %s", err, out)
	}
	login := bob.stored(t)[r.Address()]
	if auth, err := base64.StdEncoding.DecodeString(login.Auth); err != nil || string(auth) != "bob@example.com:" {
		t.Errorf("stored: %q, %v; want a name and no password", auth, err)
	}
	if !strings.HasPrefix(login.IdentityToken, "rt_") {
		t.Errorf("stored: identity token %q", login.IdentityToken)
	}
	if text := r.root.Read(bob.home + "/.docker/config.json"); strings.Contains(text, "builds") {
		t.Errorf("stored: %s", text)
	}

	// From here on, it is the refresh token.
	if out := bob.Run(t, "docker", "manifest", "inspect", r.Address("team/base:1")); !strings.Contains(out, "sha256:") {
		t.Errorf("manifest: %s", out)
	}
	bob.Refused(t, saysNoRight, "docker", "manifest", "inspect", r.Address("secret/plans:1"))
	if again := bob.stored(t)[r.Address()]; again != login {
		t.Errorf("stored: %+v after use, %+v before", again, login)
	}

	bob.Run(t, "docker", "logout", r.Address())
	if left := bob.stored(t); len(left) != 0 {
		t.Errorf("stored after logout: %v", left)
	}
	bob.Refused(t, saysNoRight, "docker", "manifest", "inspect", r.Address("team/base:1"))

	// Who has a login and no right.
	carol := r.NewClient()
	if out, err := carol.Login("carol@example.com", "carol cooks", "docker"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	carol.Refused(t, saysNoRight, "docker", "manifest", "inspect", r.Address("team/base:1"))
	carol.Run(t, "docker", "manifest", "inspect", r.Address("public/hello:1"))
}

func testSkopeo(t *testing.T, r *Registry) {
	bob := r.NewClient()
	if out, err := bob.Login("bob@example.com", "bob skips", "skopeo"); err == nil || !strings.Contains(out, "invalid username/password") {
		t.Errorf("wrong password: %v, %s", err, out)
	}
	if out, err := bob.Login("bob@example.com", "bob builds", "skopeo"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	image := r.newImage(t)
	for _, repository := range []string{"team/skopeo:1", "bob/skopeo:1"} {
		bob.Run(t, "skopeo", "copy", "oci:"+image, "docker://"+r.Address(repository))
		bob.Run(t, "skopeo", "copy", "docker://"+r.Address(repository), "dir:"+bob.home+"/"+rename.Replace(repository))
	}
	bob.Refused(t, saysNoRight, "skopeo", "copy", "oci:"+image, "docker://"+r.Address("secret/skopeo:1"))
	bob.Refused(t, saysNoRight, "skopeo", "inspect", "docker://"+r.Address("secret/plans:1"))

	bob.Run(t, "skopeo", "delete", "docker://"+r.Address("bob/skopeo:1"))
	bob.Refused(t, []string{"manifest unknown", "was deleted or has expired"}, "skopeo", "inspect", "docker://"+r.Address("bob/skopeo:1"))
	bob.Refused(t, saysNoRight, "skopeo", "delete", "docker://"+r.Address("team/skopeo:1"))
	bob.Run(t, "skopeo", "inspect", "docker://"+r.Address("team/skopeo:1"))

	// A refresh token that Docker has stored.
	docker := r.NewClient()
	if out, err := docker.Login("bob@example.com", "bob builds", "docker"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	docker.Run(t, "skopeo", "copy", "oci:"+r.newImage(t), "docker://"+r.Address("team/skopeo:2"))
	docker.Run(t, "skopeo", "inspect", "docker://"+r.Address("team/skopeo:2"))
}

// rename makes the name of an image one of a folder.
var rename = strings.NewReplacer("/", "-", ":", "-")

func testCrane(t *testing.T, r *Registry) {
	bob := r.NewClient()
	if out, err := bob.Login("bob@example.com", "bob builds", "crane", "auth"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	bob.Run(t, "crane", "push", r.newImage(t), r.Address("team/crane:1"))
	bob.Run(t, "crane", "pull", r.Address("team/crane:1"), bob.home+"/crane.tar")
	bob.Run(t, "crane", "copy", r.Address("team/crane:1"), r.Address("bob/crane:1"))
	bob.Run(t, "crane", "validate", "--remote", r.Address("bob/crane:1"))
	bob.Refused(t, saysNoRight, "crane", "push", r.newImage(t), r.Address("secret/crane:1"))
	bob.Refused(t, saysNoRight, "crane", "copy", r.Address("team/crane:1"), r.Address("secret/crane:1"))
	bob.Refused(t, saysNoRight, "crane", "copy", r.Address("secret/plans:1"), r.Address("team/plans:1"))

	wrong := r.NewClient()
	if out, err := wrong.Login("bob@example.com", "bob cranes", "crane", "auth"); err != nil {
		t.Fatalf("crane asks nobody, it stores: %v, %s", err, out)
	}
	wrong.Refused(t, saysWrongPassword, "crane", "manifest", r.Address("team/crane:1"))

	// A refresh token that Docker has stored.
	docker := r.NewClient()
	if out, err := docker.Login("bob@example.com", "bob builds", "docker"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	docker.Run(t, "crane", "push", r.newImage(t), r.Address("team/crane:2"))
	docker.Run(t, "crane", "copy", r.Address("team/crane:2"), r.Address("bob/crane:2"))
	docker.Refused(t, saysNoRight, "crane", "manifest", r.Address("secret/plans:1"))
}

// podman keeps images where the kernel need not help. It looks for cgroups,
// which only running containers need.
var podman = []string{"env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", "--storage-driver", "vfs", "--root", "/srv/podman", "--runroot", "/run/podman"}

func testPodman(t *testing.T, r *Registry) {
	if err := os.MkdirAll(r.root.Path("/sys/fs/cgroup"), 0o755); err != nil {
		t.Fatal(err)
	}
	bob := r.NewClient()
	command := func(args ...string) []string { return append(podman[:len(podman):len(podman)], args...) }
	if out, err := bob.Login("bob@example.com", "bob pods", podman...); err == nil || !strings.Contains(out, "invalid username/password") {
		t.Errorf("wrong password: %v, %s", err, out)
	}
	if out, err := bob.Login("bob@example.com", "bob builds", podman...); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	id := strings.TrimSpace(bob.Run(t, command("pull", "--quiet", "oci:"+r.newImage(t))...))
	bob.Run(t, command("push", id, r.Address("team/podman:1"))...)
	bob.Run(t, command("pull", r.Address("team/podman:1"))...)
	bob.Run(t, command("pull", r.Address("public/hello:1"))...)
	bob.Refused(t, saysNoRight, command("push", id, r.Address("secret/podman:1"))...)
	bob.Refused(t, saysNoRight, command("pull", r.Address("secret/plans:1"))...)
	bob.Run(t, command("logout", r.Address())...)
	bob.Refused(t, saysNoRight, command("pull", r.Address("team/base:1"))...)

	// With a refresh token it sends each scope as a field of its own.
	docker := r.NewClient()
	if out, err := docker.Login("bob@example.com", "bob builds", "docker"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	docker.Run(t, command("push", id, r.Address("team/podman:2"))...)
	docker.Run(t, command("pull", r.Address("team/podman:2"))...)
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {docker.stored(t)[r.Address()].IdentityToken}, "client_id": {"containers/image"},
		"scope": {"repository:team/podman:pull,push", "repository:team/base:pull", "repository:secret/plans:pull"},
	}
	if got := r.post(NewBrowser(t), form); got.Status != 200 || got.Scope != "repository:team/podman:pull,push repository:team/base:pull" {
		t.Errorf("repeated scopes: %+v", got)
	}
}

func testAnonymous(t *testing.T, r *Registry) {
	nobody := r.NewClient()
	nobody.Run(t, "docker", "manifest", "inspect", r.Address("public/hello:1"))
	nobody.Run(t, "skopeo", "copy", "docker://"+r.Address("public/hello:1"), "dir:"+nobody.home+"/skopeo")
	nobody.Run(t, "crane", "pull", r.Address("public/hello:1"), nobody.home+"/crane.tar")
	nobody.Refused(t, saysNoRight, "skopeo", "copy", "oci:"+r.newImage(t), "docker://"+r.Address("public/skopeo:1"))
	nobody.Refused(t, saysNoRight, "crane", "push", r.newImage(t), r.Address("public/crane:1"))
	nobody.Refused(t, saysNoRight, "skopeo", "inspect", "docker://"+r.Address("team/base:1"))
}

// A layer that is in another repository need not be sent again, if one may read
// that.
func testMount(t *testing.T, r *Registry) {
	b := NewBrowser(t)
	layerOf := func(repository string) string {
		token := r.token(b, "alice@example.com", "alice sings", "repository:"+repository+":pull").Token
		page := r.must(b, http.MethodGet, "/v2/"+repository+"/manifests/1", token)
		var manifest struct{ Layers []struct{ Digest string } }
		if err := json.Unmarshal([]byte(page.Body), &manifest); err != nil || len(manifest.Layers) != 1 {
			t.Fatalf("manifest of %s: status %d, %s", repository, page.Status, page.Body)
		}
		return manifest.Layers[0].Digest
	}
	for from, want := range map[string]int{"team/base": http.StatusCreated, "secret/plans": http.StatusUnauthorized} {
		answer := r.token(b, "bob@example.com", "bob builds", "repository:bob/mount:pull,push", "repository:"+from+":pull")
		if answer.Status != http.StatusOK || !strings.Contains(answer.Scope, "repository:bob/mount:pull,push") {
			t.Fatalf("token: %+v", answer)
		}
		path := "/v2/bob/mount/blobs/uploads/"
		page := r.must(b, http.MethodPost, path+"?from="+url.QueryEscape(from)+"&mount="+url.QueryEscape(layerOf(from)), answer.Token)
		if page.Status != want {
			t.Errorf("from %s: status %d, want %d", from, page.Status, want)
		}
		if page := r.must(b, http.MethodPost, path, answer.Token); page.Status != http.StatusAccepted {
			t.Errorf("upload with the token that was for %s, too: status %d", from, page.Status)
		}
	}
}

func testCatalog(t *testing.T, r *Registry) {
	alice, bob, nobody := r.NewClient(), r.NewClient(), r.NewClient()
	for _, login := range []struct {
		Client
		user, password string
	}{{alice, "alice@example.com", "alice sings"}, {bob, "bob@example.com", "bob builds"}} {
		if out, err := login.Login(login.user, login.password, "crane", "auth"); err != nil {
			t.Fatalf("login: %v, %s", err, out)
		}
	}
	if out := alice.Run(t, "crane", "catalog", r.Address()); !strings.Contains(out, "secret/plans\n") {
		t.Errorf("catalog: %s", out)
	}
	bob.Refused(t, saysNoRight, "crane", "catalog", r.Address())
	nobody.Refused(t, saysNoRight, "crane", "catalog", r.Address())
}
