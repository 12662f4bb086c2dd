package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"authbridge/checkpassword"
)

// demoRegistry is what the demo's Docker registry calls itself.
const demoRegistry = "registry." + demoDomain

// dockerRegistry is the program of Debian's package.
const dockerRegistry = "docker-registry"

// Names in the state folder.
const (
	registryConfigName = "registry.yml"
	registryBundleName = "registry-bundle.pem"
	registryLogName    = "registry.log"
	registryFolder     = "registry" // its images
)

// A registry is the demo's running Docker registry.
type registry struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
}

// done is closed when the registry has ended by itself; nil if there is none.
func (r *registry) done() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.ended
}

// createRegistry makes the demo's registry, by the commands that an operator
// would type, if a program to run it is installed on this machine.
func (q *quick) createRegistry(ctx context.Context) error {
	var err error
	if q.registryProgram, err = exec.LookPath(dockerRegistry); err != nil {
		return nil
	}
	var there bytes.Buffer
	if err := q.run(ctx, nil, &there, "dockerauth", "registry", "show", "--client-id", demoRegistry); err != nil {
		return err
	}
	if there.Len() > 0 && q.demo.RegistryPort != 0 {
		return nil
	}
	fmt.Fprintln(q.out, "Setting up the Docker registry:")
	for _, args := range [][]string{
		{"dockerauth", "registry", "create", "--client-id", demoRegistry, "--name", "Demo", "--domain", demoDomain, "--issuer", webDomain},
		{"dockerauth", "rule", "allow", demoRegistry, "${user}/**", "pull,push,delete", "--users"},
		{"dockerauth", "rule", "allow", demoRegistry, "public/**", "pull", "--anyone"},
		{"dockerauth", "rule", "allow", demoRegistry, "**", "admin", "--user", "alice"},
	} {
		if args[2] == "create" && there.Len() > 0 {
			continue // the start before was interrupted
		}
		fmt.Fprintln(q.out, "  authserver", strings.Join(quoted(args), " "))
		if err := q.run(ctx, nil, io.Discard, args...); err != nil {
			return err
		}
	}
	return nil
}

// startRegistry starts the registry, which asks the web server who may do what,
// or returns nil if there is no program to run it. One that does not work is
// not what somebody came to see: it is only said.
func (q *quick) startRegistry(ctx context.Context) (*registry, error) {
	if q.registryProgram == "" {
		return nil, nil
	}
	if err := q.configureRegistry(ctx); err != nil {
		return nil, fmt.Errorf("files for the Docker registry: %w", err)
	}
	log := filepath.Join(q.dir, registryLogName)
	r, err := runRegistry(q.registryProgram, filepath.Join(q.dir, registryConfigName), log)
	if err == nil {
		if err = r.wait(ctx, q.demo.RegistryPort); err != nil {
			err = errors.Join(err, r.close())
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		fmt.Fprintf(q.log, "authserver quickstart: warning: no Docker registry: %s: %v; its messages are in %s\n", q.registryProgram, err, log)
		return nil, nil
	}
	return r, nil
}

// configureRegistry writes what the registry reads: the certificates of the
// keys that its tokens are signed with, and where to get such tokens.
func (q *quick) configureRegistry(ctx context.Context) error {
	listener, err := listenAgain(q.demo.RegistryPort, 5000)
	if err != nil {
		return err
	}
	q.demo.RegistryPort = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil { // the registry opens it anew
		return err
	}

	server := &url.URL{Scheme: "http", Host: net.JoinHostPort(webDomain, strconv.Itoa(q.demo.WebPort))}
	bundle, _, err := checkpassword.FetchKeys(ctx, http.DefaultClient, server.JoinPath("getkey"),
		checkpassword.KeyRequest{Owner: "r", Name: demoRegistry, Format: "bundle"})
	if err != nil {
		return err
	}
	if err := q.write(registryBundleName, bundle); err != nil {
		return err
	}
	return q.write(registryConfigName, fmt.Appendf(nil, `version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: %s
  delete:
    enabled: true
http:
  addr: 127.0.0.1:%d
auth:
  token:
    realm: %s
    service: %s
    issuer: %s
    rootcertbundle: %s
`,
		strconv.Quote(filepath.Join(q.dir, registryFolder)), q.demo.RegistryPort,
		server.JoinPath("docker/token"), demoRegistry, webDomain, strconv.Quote(filepath.Join(q.dir, registryBundleName))))
}

// runRegistry starts the program. It ends with this one, however that ends.
func runRegistry(program, config, log string) (*registry, error) {
	messages, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer messages.Close()
	r := &registry{cmd: exec.Command(program, "serve", config), ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = messages, messages
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // not the terminal's Ctrl-C
	started := make(chan error)
	go func() {
		// The kernel takes the end of the thread that has started a process for
		// that of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.cmd.Start()
		started <- err
		if err == nil {
			r.cmd.Wait() // what it had to say is in its log
			close(r.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return r, nil
}

// wait returns when the registry answers, or why it does not.
func (r *registry) wait(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-r.ended:
			return errors.New("it has stopped by itself")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// close ends the registry, and returns when it has ended. It may be nil.
func (r *registry) close() error {
	if r == nil {
		return nil
	}
	err := r.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-r.ended:
	case <-time.After(5 * time.Second):
		err = errors.Join(err, r.cmd.Process.Kill())
		<-r.ended
	}
	return err
}

// printRegistry says what to try with the registry.
func (q *quick) printRegistry(b *strings.Builder) {
	fmt.Fprintf(b, `
A Docker registry is at localhost:%[1]d. Its users have alice/… and the like for
themselves, everybody may pull public/…, and alice may do anything:
  echo %[2]s | docker login --username %[3]s --password-stdin localhost:%[1]d
`, q.demo.RegistryPort, q.demo.UserPassword, demoUser)
}
