// Package pgcluster runs a PostgreSQL server of its own: for quickstart, which
// keeps its data, and for tests, which throw theirs away.
//
//	pgcluster.go  Options, Start, the addresses of a Cluster, Stop
//	binaries.go   which server programs are on the machine
//	folder.go     the state folder: who owns it, who uses it, what is in it
//	process.go    child processes that do not outlive this one
//
// PostgreSQL refuses to run as root. When this process is root, the server
// runs as the account postgres, or nobody where that does not exist, and the
// state folder belongs to it.
//
// The server stops with the process that started it, however that ends: the
// kernel sends it the signal for a fast shutdown. Everything that must happen
// after that, without us, hangs on two open files that the server inherits: a
// lock, which makes the next Start wait for the end of the shutdown, and a
// pipe, at whose other end a shell waits to remove temporary folders.
//
// Who may connect: the folder that holds the socket is closed to everybody but
// the server's account and root, so whoever gets there may log in as any role.
// On TCP, which any local user can reach, a role needs its password
// (scram-sha-256). The superuser has none, so nobody becomes superuser there.
// Only a cluster with test settings trusts everybody.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what Start starts. The zero value is a temporary cluster with
// test settings.
type Options struct {
	// Dir is the state folder. It is created if it does not exist, with mode
	// 0700, and kept. Empty means a temporary folder, in memory where there is
	// room, that goes when the cluster stops.
	Dir string

	// Durable means PostgreSQL's own settings and passwords on TCP. Otherwise
	// the server is quick, forgets on a crash of the machine, and trusts
	// everybody who can reach it.
	Durable bool

	// Settings of the server, as "name=value", besides those above.
	Settings []string

	// Locale of a new cluster; empty means C.UTF-8. The encoding is UTF-8.
	Locale string

	// BinDir is the folder of the server programs. Empty means the version
	// that made Dir, or the newest one installed.
	BinDir string

	// Root is a folder that the server sees as its root folder; only root may
	// use it. Dir and BinDir are inside it but, as the rest of the interface,
	// named as this process sees them.
	Root string
}

// Cluster is a running PostgreSQL server.
type Cluster struct {
	opt       Options
	account   account
	bin       binaries
	dir       string   // the state folder
	root      *os.Root // the same, safe from links that lead out of it
	socketDir string   // dir, unless its name does not do for a socket
	port      int

	ours, server *os.File     // locks: see folder.go
	sweep        *sweeper     // removes temporary folders; nil if there are none
	postmaster   *child       // nil until it runs
	stop         func() error // Stop, once
}

// superuser is the role that a new cluster begins with.
const superuser = "postgres"

// Start starts a server and returns when it accepts connections. ctx bounds
// the start only. The caller must call Stop.
func Start(ctx context.Context, opt Options) (*Cluster, error) {
	if opt.Locale == "" {
		opt.Locale = "C.UTF-8"
	}
	c := &Cluster{opt: opt}
	c.stop = sync.OnceValue(c.shutdown)
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.account, err = serverAccount(c.opt.Root); err != nil {
		return err
	}
	if err := c.openFolder(ctx); err != nil {
		return err
	}
	version, err := c.dataVersion()
	if err != nil {
		return err
	}
	if c.bin, err = findBinaries(ctx, c.opt, version); err != nil {
		if version != 0 {
			return fmt.Errorf("%s holds data of PostgreSQL %d: %w", c.dir, version, err)
		}
		return err
	}
	if version == 0 {
		if err := c.initdb(ctx); err != nil {
			return fmt.Errorf("new PostgreSQL cluster in %s: %w", c.dir, err)
		}
	}
	if err := c.launch(ctx); err != nil {
		return fmt.Errorf("PostgreSQL in %s: %w", c.dir, err)
	}
	return nil
}

// Port is the TCP port on 127.0.0.1. A kept folder keeps its port too, unless
// something else has taken it meanwhile.
func (c *Cluster) Port() int { return c.port }

// SocketDir is the folder of the unix socket, as libpq's host parameter takes
// it.
func (c *Cluster) SocketDir() string { return c.socketDir }

// LogFile is the file with the server's messages since its start.
func (c *Cluster) LogFile() string { return filepath.Join(c.dir, logName) }

// Version is the server's major version.
func (c *Cluster) Version() int { return c.bin.major }

// Done is closed when the server has ended, by Stop or by itself.
func (c *Cluster) Done() <-chan struct{} { return c.postmaster.done }

// URL returns the connection URL for user on TCP, without a password.
func (c *Cluster) URL(user, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(user),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketURL returns the connection URL for user on the unix socket, where no
// password is asked.
func (c *Cluster) SocketURL(user, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(user),
		Path:     "/" + database,
		RawQuery: "host=" + url.PathEscape(c.socketDir) + "&port=" + strconv.Itoa(c.port),
	}
	return u.String()
}

// SuperuserURL returns the connection URL of the superuser, which only
// processes that may enter SocketDir can use.
func (c *Cluster) SuperuserURL(database string) string { return c.SocketURL(superuser, database) }

// How long Stop waits for a fast shutdown, which writes everything to disk,
// and then for an immediate one, which the next start repairs.
const (
	fastShutdown      = 30 * time.Second
	immediateShutdown = 5 * time.Second
)

// Stop ends all sessions, shuts the server down and waits for it. It removes
// temporary folders and keeps Options.Dir. Another call does nothing.
func (c *Cluster) Stop() error { return c.stop() }

func (c *Cluster) shutdown() error {
	var errs []error
	if c.postmaster != nil {
		errs = append(errs, c.postmaster.end(syscall.SIGINT, fastShutdown, syscall.SIGQUIT, immediateShutdown))
	}
	if c.sweep != nil {
		errs = append(errs, c.sweep.finish())
	}
	for _, lock := range []*os.File{c.server, c.ours} {
		if lock != nil {
			lock.Close() // nothing was written
		}
	}
	if c.root != nil {
		c.root.Close()
	}
	return errors.Join(errs...)
}

// initdb makes the data folder, all or nothing: an interrupted initdb leaves
// data.new, which the next one replaces.
func (c *Cluster) initdb(ctx context.Context) error {
	if err := c.root.RemoveAll(newDataName); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + c.inside(newDataName),
		"--username=" + superuser,
		"--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--locale=" + c.opt.Locale,
		"--lc-messages=C", // launch looks for one of them
		"--no-instructions",
	}
	if !c.opt.Durable {
		args = append(args, "--no-sync", "--wal-segsize=1")
	}
	var out strings.Builder
	init := c.command("initdb", args...)
	init.Stdout, init.Stderr = &out, &out
	p, err := startChild(init, syscall.SIGTERM)
	if err != nil {
		return c.explain(err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.end(syscall.SIGTERM, immediateShutdown, syscall.SIGKILL, 0))
	}
	if p.err != nil {
		return fmt.Errorf("initdb: %s (%w)", lastMessage(out.String(), "error: "), p.err)
	}
	return c.root.Rename(newDataName, dataName)
}

// settings are what launch adds to postgresql.conf.
func (c *Cluster) settings(port int) []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		`unix_socket_directories="` + strings.ReplaceAll(c.relative(c.socketDir), `"`, `""`) + `"`,
		"unix_socket_permissions=0700",
	}
	if c.opt.Durable {
		return append(settings, c.opt.Settings...)
	}
	settings = append(settings,
		"hba_file="+c.inside(trustName),
		// Nothing needs to survive, and many small databases come and go.
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"wal_level=minimal", "max_wal_senders=0",
		"autovacuum=off", "jit=off",
		"shared_buffers=32MB", "max_connections=400",
		"dynamic_shared_memory_type=mmap", // files in the state folder, so that they go with it
		"log_line_prefix=%m [%p] db=%d ",
	)
	return append(settings, c.opt.Settings...)
}

// launch starts the server on a free port.
func (c *Cluster) launch(ctx context.Context) error {
	if !c.opt.Durable {
		trust := "local all all trust\nhost all all 127.0.0.1/32 trust\n"
		if err := c.writeFile(trustName, trust); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		port, err := c.freePort(attempt)
		if err != nil {
			return err
		}
		err = c.launchOn(ctx, port)
		if err == nil {
			c.port = port
			return c.writeFile(portName, strconv.Itoa(port)+"\n")
		}
		// Between our asking for a free port and the server's binding it,
		// somebody else may have got it.
		if !errors.Is(err, errPortTaken) || attempt == 10 {
			return err
		}
	}
}

// freePort returns the port of the last time if it is free, or else one that
// the kernel picks.
func (c *Cluster) freePort(attempt int) (int, error) {
	if last, err := c.root.ReadFile(portName); err == nil && attempt == 1 {
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(last))))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

var errPortTaken = errors.New("port taken")

func (c *Cluster) launchOn(ctx context.Context, port int) error {
	logFile, err := c.create(logName, os.O_TRUNC)
	if err != nil {
		return err
	}
	defer logFile.Close()

	args := []string{"-D", c.inside(dataName)}
	for _, setting := range c.settings(port) {
		args = append(args, "-c", setting)
	}
	cmd := c.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	postmaster, err := startChild(cmd, syscall.SIGINT)
	if err != nil {
		return c.explain(err)
	}

	for wait := time.Millisecond; !c.ready(postmaster.pid); wait = min(2*wait, 20*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-postmaster.done:
			log, err := c.root.ReadFile(logName)
			if err != nil {
				return err
			}
			if strings.Contains(string(log), "could not create any TCP/IP sockets") {
				return fmt.Errorf("%w: 127.0.0.1:%d", errPortTaken, port)
			}
			return fmt.Errorf("%s (%w)", lastMessage(string(log), "FATAL: "), postmaster.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), postmaster.end(syscall.SIGINT, immediateShutdown, syscall.SIGQUIT, immediateShutdown))
		}
	}
	c.postmaster = postmaster
	return nil
}

// ready says whether the server has written into its pid file that it accepts
// connections. A file that another server left behind names another process.
func (c *Cluster) ready(pid int) bool {
	content, err := c.root.ReadFile(dataName + "/postmaster.pid")
	if err != nil {
		return false
	}
	lines := strings.Split(string(content), "\n")
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready"
}

// lastMessage returns the last line of output that begins with marker after
// what the server puts before it, or else the last line.
func lastMessage(output, marker string) string {
	last := "no message"
	found := false
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if _, message, ok := strings.Cut(line, marker); ok {
			last, found = strings.TrimSpace(message), true
		} else if line != "" && !found {
			last = line
		}
	}
	return last
}
