package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"authbridge/internal/daemon"
	"authbridge/internal/pg"
	"authbridge/internal/seal"
)

// webDomain is the domain that the demo's web server answers for: every machine
// knows this name.
const webDomain = "localhost"

// web is the running web server of quickstart.
type web struct {
	stop  context.CancelFunc
	ended chan error
}

// startWeb starts the web server at the port of the last time, or at 8999, or
// at whatever is free, and waits until it works. Only this machine reaches it,
// and so its plain HTTP is as good as HTTPS.
func (q *quick) startWeb(ctx context.Context) (*web, error) {
	listener, err := listenAgain(q.demo.WebPort, 8999)
	if err != nil {
		return nil, err
	}
	q.demo.WebPort = listener.Addr().(*net.TCPAddr).Port
	secret, err := q.root.ReadFile(secretName)
	if err != nil {
		return nil, err
	}
	cfg := newServeConfig()
	cfg.listeners = []net.Listener{listener}
	cfg.site.AssumeHTTPS = true
	cfg.issuer = q.issuer()
	ready := make(chan struct{})
	cfg.ready = func() { close(ready) }
	cfg.database.ApplicationName, cfg.database.Actor = "authserver quickstart", "server"
	if cfg.database.URL, err = pg.ParseURL(q.cluster.SocketURL("authserver_web", quickDatabase)); err != nil {
		return nil, err
	}
	if cfg.master, err = seal.NewMaster(string(secret)); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(q.dir, secretName), err)
	}
	daemon.Log{}.Start(q.log)

	// It ends when it is closed, after the wish to end and before PostgreSQL.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &web{stop: stop, ended: make(chan error, 1)}
	go func() { w.ended <- serve(serving, cfg) }()
	select {
	case <-ready:
		return w, nil
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), w.close())
	case err := <-w.ended:
		stop()
		return nil, fmt.Errorf("web server: %w", err)
	}
}

// issuer is the OpenID Connect issuer of the web server.
func (q *quick) issuer() string {
	return "http://" + net.JoinHostPort(webDomain, strconv.Itoa(q.demo.WebPort)) + "/o2"
}

// close ends the web server, and returns when it has ended.
func (w *web) close() error {
	w.stop()
	return <-w.ended
}

// listenAgain listens at the port of the last time, unless that is 0, or at the
// usual one, or at whatever is free. Only this machine can connect.
func listenAgain(last, usual int) (l net.Listener, err error) {
	ports := []int{usual, 0}
	if last != 0 {
		ports = append([]int{last}, ports...)
	}
	for _, port := range ports {
		l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}

// checkpasswordProgram returns the client that was built with this program, or
// its name alone. It is looked for as the user who started us.
func checkpasswordProgram() string {
	const name = "checkpassword"
	self, err := os.Executable()
	if err != nil {
		return name
	}
	beside := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(beside); err != nil {
		return name
	}
	return beside
}

// printWeb says what to try with the web server.
func (q *quick) printWeb(b *strings.Builder) {
	url := "http://" + net.JoinHostPort(webDomain, strconv.Itoa(q.demo.WebPort))
	key := quoted([]string{filepath.Join(q.dir, webDomain+".pem")})[0]
	fmt.Fprintf(b, `
The web server is at %[1]s. What nginx asks, answered with a signed token:
  curl -sS -w '\n' --data-urlencode username=%[2]s --data-urlencode password=%[3]s %[1]s/checkpassword/

What Apache runs: once for the key that verifies answers, then for each login:
  %[4]s -m init -u %[1]s/getkey/ --jwtkey %[5]s
  printf '%%s\n' %[2]s %[3]s | %[4]s -m authext -u %[1]s/checkpassword/ --jwtkey %[5]s && echo welcome
`, url, demoUser, q.demo.UserPassword, q.checkpassword, key)
}
