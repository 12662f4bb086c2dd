package e2e

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

var lastLeaver atomic.Int32

// newLeaver makes a user with an address and a password, who will not stay.
func newLeaver(t *testing.T, db *Database) (address, password string) {
	t.Helper()
	name := "leaver" + strconv.Itoa(int(lastLeaver.Add(1)))
	password = "leaves soon, that is " + name
	db.Operate(t, "user", "create", "--password", password, name, "Leaver")
	db.Operate(t, "emailalias", "create", name+"@example.com", "--user", name)
	db.Operate(t, "user", "set-delivery-mailbox", name, name+"@example.com")
	return name + "@example.com", password
}

// A refresh token is no more than the login that it was made for.
func TestRegistryRefreshTokenEnds(t *testing.T) {
	t.Parallel()
	// One of its own, for the users that come and go.
	db, err := newDatabase("")
	if err != nil {
		t.Fatal(err)
	}
	r := StartRegistry(t, "3.1", db, StartIssuer(t, db))
	for name, end := range map[string]func(t *testing.T, address string){
		"user deactivated": func(t *testing.T, address string) { db.Operate(t, "user", "deactivate", address) },
		"password changed": func(t *testing.T, address string) {
			db.Operate(t, "user", "edit", address, "--set-password", "comes back, and is another")
		},
		"user removed": func(t *testing.T, address string) { db.Operate(t, "user", "remove", "-y", address) },
		"revoked": func(t *testing.T, address string) {
			db.Operate(t, "dockerauth", "refresh-token", "revoke", "-y", "--user", address)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, password := newLeaver(t, db)
			mine := strings.TrimSuffix(address, "@example.com") + "/app"
			client := r.NewClient()
			if out, err := client.Login(address, password, "docker"); err != nil {
				t.Fatalf("login: %v, %s", err, out)
			}
			client.Run(t, "skopeo", "copy", "oci:"+r.newImage(t), "docker://"+r.Address(mine+":1"))
			client.Run(t, "docker", "manifest", "inspect", r.Address(mine+":1"))
			end(t, address)
			client.Refused(t, []string{"log in again"}, "docker", "manifest", "inspect", r.Address(mine+":1"))
			client.Refused(t, []string{"unauthorized", "401"}, "skopeo", "inspect", "docker://"+r.Address(mine+":1"))
			client.Refused(t, []string{"UNAUTHORIZED", "401"}, "crane", "manifest", r.Address(mine+":1"))
		})
	}
}

// A machine has an app password, as the guide makes it: for one registry, and to
// pull.
func TestRegistryMachine(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	auth := StartIssuer(t, db)
	r := StartRegistry(t, "2.8", db, auth)
	other := newIssuing(t, db, auth, "ecdsa-p256", "x5c+kid")
	r.push(t, "team/base:1")
	password := strings.TrimSpace(db.Type(t, r.edit.Replace(sectionLines(t, registryGuide, "Machines")[0])))

	machine := r.NewClient()
	if out, err := machine.Login("bob@example.com", password, "docker"); err != nil {
		t.Fatalf("login: %v, %s", err, out)
	}
	if token := machine.stored(t)[r.Address()].IdentityToken; !strings.HasPrefix(token, "rt_") {
		t.Errorf("stored: identity token %q", token)
	}
	if out := db.Type(t, r.edit.Replace(sectionLines(t, registryGuide, "docker login")[0])); !strings.Contains(out, "app:"+password[2:8]) {
		t.Errorf("refresh tokens: %s", out)
	}
	plain := []string{"--creds", "bob@example.com:" + password}
	for name, credentials := range map[string][]string{"refresh token": nil, "password": plain} {
		from, to := append([]string{"skopeo", "inspect"}, credentials...), []string{"skopeo", "copy"}
		if credentials != nil {
			to = append(to, "--dest-creds", credentials[1])
		}
		machine.Run(t, append(from, "docker://"+r.Address("team/base:1"))...)
		out, err := machine.Try(append(to, "oci:"+r.newImage(t), "docker://"+r.Address("team/machine:1"))...)
		if err == nil {
			t.Errorf("%s: pushes: %s", name, out)
		}
	}
	b := NewBrowser(t)
	if got := r.token(b, "bob@example.com", password, "repository:team/base:pull,push"); got.Scope != "repository:team/base:pull" {
		t.Errorf("token: %+v", got)
	}
	if got := other.token(b, "bob@example.com", password, "repository:team/base:pull"); got.Status != http.StatusUnauthorized {
		t.Errorf("at another registry: %+v", got)
	}
	if page := b.Visit(auth.URL("/checkpassword/"), "bob@example.com", password); page.Status == http.StatusOK {
		t.Errorf("as a password of anything else: status %d", page.Status)
	}

	// What was made of it ends with it.
	db.Operate(t, "apppassword", "revoke", "-y", password[2:8])
	machine.Refused(t, []string{"log in again"}, "docker", "manifest", "inspect", r.Address("team/base:1"))
	machine.Refused(t, saysWrongPassword, append(append([]string{"skopeo", "inspect"}, plain...), "docker://"+r.Address("team/base:1"))...)
}

// containerd posts a password, and if that is wrong, sends it again by GET. That
// is one wrong password.
func TestRegistryContainerd(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	r := newIssuing(t, db, StartIssuer(t, db), "rsa", "x5c+kid")
	r.pull(t)
	b := NewBrowser(t)
	const address = "carol@example.com"
	tries := func(password string) (post, get int) {
		post = r.post(b, url.Values{
			"grant_type": {"password"}, "client_id": {"containerd-client"}, "username": {address}, "password": {password},
			"scope": {"repository:team/app:pull repository:team/base:pull"},
		}).Status
		if post == http.StatusOK {
			return post, 0
		}
		return post, r.token(b, address, password, "repository:team/app:pull", "repository:team/base:pull").Status
	}
	failures := func() (n float64) {
		db.QueryRow(t, `select coalesce(sum(t.failures), 0) from auth.login_throttles t
			where host(t.network) = '`+b.Address+`' and t.service = 'docker'`, &n)
		return n
	}

	if post, get := tries("carol ships"); post != http.StatusUnauthorized || get != http.StatusUnauthorized {
		t.Errorf("wrong password: POST %d, GET %d", post, get)
	}
	if n := failures(); n < 0.9 || n > 1 {
		t.Errorf("one wrong password counts as %v", n)
	}
	if post, _ := tries("carol cooks"); post != http.StatusOK {
		t.Errorf("right password: status %d", post)
	}
	// Ten are free: five would be, if each counted twice.
	for i := range 9 {
		if post, get := tries("carol ships " + strconv.Itoa(i)); post != http.StatusUnauthorized || get != http.StatusUnauthorized {
			t.Fatalf("wrong password %d: POST %d, GET %d", i, post, get)
		}
	}
}

// A name that somebody guesses is throttled, and clients say so.
func TestRegistryThrottle(t *testing.T) {
	t.Parallel()
	db := OpenDatabase(t, "")
	r := newIssuing(t, db, StartIssuer(t, db), "rsa", "x5c+kid")
	r.pull(t)
	b := NewBrowser(t)
	for i := range 11 {
		r.token(b, "eve@example.com", "guess "+strconv.Itoa(i))
	}
	got := r.token(b, "eve@example.com", "alice sings")
	if got.Status != http.StatusTooManyRequests || !strings.Contains(got.Details, "too many wrong passwords") {
		t.Errorf("throttled: %+v", got)
	}
}
