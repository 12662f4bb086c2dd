package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What is in the state folder, besides the socket.
const (
	dataName    = "data"           // the cluster
	newDataName = "data.new"       // the cluster, while initdb makes it
	logName     = "postgresql.log" // messages of the server, since its start
	portName    = "port"           // the TCP port of the last start
	trustName   = "trust_hba.conf" // who may connect to a cluster with test settings
	oursName    = "lock"           // locked by the process that called Start
	serverName  = "server.lock"    // locked until the last server process is gone
)

// account is the local account that the server runs as.
type account struct {
	name     string
	uid, gid int
	foreign  bool // it is not this process's own
}

// Account returns the account that the server runs as: this process's own or,
// if that is root, postgres, or nobody where that does not exist.
func Account() (*user.User, error) {
	if os.Geteuid() != 0 {
		return user.Current()
	}
	for _, name := range unprivileged {
		if u, err := user.Lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, errNoAccount
}

var (
	unprivileged = []string{"postgres", "nobody"}
	errNoAccount = errors.New("PostgreSQL does not run as root, and there is no account postgres or nobody to run it as")
)

// serverAccount is Account for a server that sees root as its root folder.
func serverAccount(root string) (account, error) {
	if root == "" {
		u, err := Account()
		if err != nil {
			return account{}, err
		}
		return newAccount(u.Username, u.Uid, u.Gid)
	}
	if os.Geteuid() != 0 {
		return account{}, fmt.Errorf("PostgreSQL in %s: only root may start a server in another root folder", root)
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return account{}, fmt.Errorf("accounts of %s: %w", root, err)
	}
	for _, name := range unprivileged {
		for line := range strings.Lines(string(passwd)) {
			if f := strings.Split(line, ":"); f[0] == name && len(f) > 3 {
				return newAccount(name, f[2], f[3])
			}
		}
	}
	return account{}, errNoAccount
}

func newAccount(name, uid, gid string) (account, error) {
	u, err1 := strconv.ParseUint(uid, 10, 32)
	g, err2 := strconv.ParseUint(gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return account{}, fmt.Errorf("account %s: %w", name, err)
	}
	return account{name, int(u), int(g), int(u) != os.Geteuid()}, nil
}

// below returns path as a process sees it whose root folder is root.
func below(root, path string) string {
	if root == "" {
		return path
	}
	return filepath.Join("/", strings.TrimPrefix(path, filepath.Clean(root)))
}

// inside returns the name of a file of the state folder for the server.
func (c *Cluster) inside(name string) string { return c.relative(filepath.Join(c.dir, name)) }

func (c *Cluster) relative(path string) string { return below(c.opt.Root, path) }

// openFolder finds or makes the state folder and takes it for this process.
func (c *Cluster) openFolder(ctx context.Context) error {
	if c.opt.Root != "" {
		root, err := filepath.Abs(c.opt.Root)
		if err != nil {
			return err
		}
		c.opt.Root = root
	}
	var temporary []string
	var err error
	if c.opt.Dir == "" {
		if c.dir, err = c.makeTemp(tempDir(c.opt.Root)); err != nil {
			return err
		}
		temporary = append(temporary, c.dir)
	} else {
		if c.dir, err = filepath.Abs(c.opt.Dir); err != nil {
			return err
		}
		if c.opt.Root != "" && !strings.HasPrefix(c.dir, c.opt.Root+"/") {
			return fmt.Errorf("%s is not in %s", c.dir, c.opt.Root)
		}
		if err := c.makeDir(); err != nil {
			return err
		}
	}
	if c.root, err = os.OpenRoot(c.dir); err != nil {
		return errors.Join(err, remove(temporary))
	}

	c.socketDir = c.dir
	if len(c.dir) > maxSocketDir || strings.Contains(c.dir, ",") { // clients read a list of hosts
		if c.socketDir, err = c.makeTemp(filepath.Join("/", c.opt.Root, "tmp")); err != nil {
			return errors.Join(err, remove(temporary))
		}
		temporary = append(temporary, c.socketDir)
	}
	if len(temporary) > 0 {
		if c.sweep, err = startSweeper(temporary); err != nil {
			return errors.Join(err, remove(temporary))
		}
	}
	return c.lock(ctx)
}

func remove(dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// maxSocketDir is the longest name of a folder that has room for a socket in
// sockaddr_un, whose 108 bytes end with a zero byte.
const maxSocketDir = 107 - len("/.s.PGSQL.65535")

// memory is a file system in memory that Linux always mounts.
const memory = "/dev/shm"

// tempDir returns the folder for temporary folders below root. Making a cluster writes a
// thousand files; in memory that takes a fraction of the time that it takes on
// a disk. A container's memory file system is often too small.
func tempDir(root string) string {
	if root != "" {
		return filepath.Join(root, "tmp")
	}
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= 2<<30 {
		return memory
	}
	return os.TempDir()
}

// makeTemp makes a temporary folder that belongs to the server.
func (c *Cluster) makeTemp(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "pgcluster-")
	if err != nil {
		return "", err
	}
	if err := os.Chown(dir, c.account.uid, c.account.gid); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

// makeDir makes the state folder, or checks that it can be one.
func (c *Cluster) makeDir() error {
	if err := os.MkdirAll(filepath.Dir(c.dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(c.dir, 0o700)
	if err == nil {
		return os.Chown(c.dir, c.account.uid, c.account.gid)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(c.dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", c.dir)
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != c.account.uid {
		// An empty folder is taken over, because the administrator made it for us.
		entries, err := os.ReadDir(c.dir)
		if err != nil {
			return err
		}
		if os.Geteuid() != 0 || owner != 0 || len(entries) > 0 {
			return fmt.Errorf("%s belongs to user %s, but PostgreSQL would run as %s", c.dir, userName(owner), c.account.name)
		}
		if err := os.Chown(c.dir, c.account.uid, c.account.gid); err != nil {
			return err
		}
	}
	return os.Chmod(c.dir, 0o700) // the socket in it asks for no password
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// lock takes the folder for this process, and waits for the server of one that
// was killed to finish its shutdown.
func (c *Cluster) lock(ctx context.Context) error {
	var err error
	if c.ours, err = c.create(oursName, 0); err != nil {
		return err
	}
	if err := flock(c.ours); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s is in use by another process", c.dir)
		}
		return fmt.Errorf("lock %s: %w", c.dir, err)
	}
	if c.server, err = c.create(serverName, 0); err != nil {
		return err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := flock(c.server)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", c.dir, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("the last server in %s is still shutting down: %w", c.dir, ctx.Err())
		}
	}
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// create opens a file of the state folder for writing, as the server's own.
func (c *Cluster) create(name string, flag int) (*os.File, error) {
	f, err := c.root.OpenFile(name, os.O_RDWR|os.O_CREATE|flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.dir, err)
	}
	if c.account.foreign {
		if err := f.Chown(c.account.uid, c.account.gid); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func (c *Cluster) writeFile(name, content string) error {
	f, err := c.create(name, os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// dataVersion returns the major version that the data folder belongs to, or 0
// if there is none.
func (c *Cluster) dataVersion() (int, error) {
	content, err := c.root.ReadFile(dataName + "/PG_VERSION")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.dir, err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("%s/%s/PG_VERSION: %q is not a version that is supported", c.dir, dataName, content)
	}
	return version, nil
}

// explain makes the usual reason for err, from starting a program as the
// server's account, readable.
func (c *Cluster) explain(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for dir := c.dir; dir != "/"; {
		dir = filepath.Dir(dir)
		info, statErr := os.Stat(dir)
		if statErr != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		search := info.Mode().Perm()&0o001 != 0
		if int(stat.Uid) == c.account.uid {
			search = info.Mode().Perm()&0o100 != 0
		} else if int(stat.Gid) == c.account.gid {
			search = info.Mode().Perm()&0o010 != 0
		}
		if !search {
			return fmt.Errorf("user %s, as which PostgreSQL runs, may not enter %s", c.account.name, dir)
		}
	}
	return err
}
