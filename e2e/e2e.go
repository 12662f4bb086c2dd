// Package e2e tests this system with other people's servers and clients: those
// that ask our stored functions and our web server, in the versions that Debian
// ships, configured by the guides in docs/integrations.
//
//	roots        builds the Debian roots that the servers live in
//	tools        builds programs that Debian does not have, from modules of their own
//	e2e.go       Main: a place where they can neither harm nor outlive anybody
//	root.go      one test's private copy of a Debian root, and processes in it
//	database.go  a PostgreSQL server with our schema and the people of testdata
//	program.go   our own programs, as they are installed
//	authserver.go  a running authserver serve, for those that ask over HTTP
//	provider.go  the OpenID provider, and people who sign in with plain forms
//	browser.go   Chromium, for what depends on a browser
//	relyingparty.go  applications by npm's openid-client, and kube-apiserver's
//	             authenticator; npm/ and kubernetes/ have their programs
//	registry.go  Docker registries, their clients, and what their code says of a token
//	guide.go     what a guide says to type and to write
//	imap.go, smtp.go, web.go  clients, as small as the questions they ask
//
// The test process runs in namespaces of its own: as the first process of a
// PID namespace, so that everything it started ends with it; with private
// mounts, so that temporary files are in memory that is freed with it; and with
// a network that has only loopback, where every port is free.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

// inside marks the process that runs in the namespaces.
const inside = "E2E_INSIDE"

// Main runs the tests of a package; call it from TestMain.
func Main(m *testing.M) {
	if os.Getenv(inside) == "" {
		fmt.Fprintln(os.Stderr, "e2e:", enter())
		os.Exit(1)
	}
	if err := errors.Join(loopbackUp(), privateTemp("/dev/shm"), os.Setenv("TMPDIR", "/dev/shm"), moreParallel()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stopDatabases(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// moreParallel runs more tests at once than there are cores, unless go test
// -parallel says how many: they wait for servers most of the time.
func moreParallel() error {
	const name = "test.parallel"
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return nil
	}
	return flag.Set(name, strconv.Itoa(3*runtime.GOMAXPROCS(0)))
}

// enter replaces this process by one that runs the same program in new
// namespaces. It returns only if it cannot.
func enter() error {
	if os.Geteuid() != 0 {
		return errors.New("these tests start servers in roots of their own: run them as root")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--", self}
	return syscall.Exec(unshare, append(args, os.Args[1:]...), append(os.Environ(), inside+"=1"))
}

// privateTemp makes a folder of temporary files one of this process and its
// children.
func privateTemp(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", dir, err)
	}
	return nil
}

// loopbackUp brings up the one interface of a new network namespace.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	// struct ifreq: the name, then the flags.
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], "lo")
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return fmt.Errorf("bringing up loopback: %w", errno)
	}
	return nil
}

var lastPort atomic.Int32

// FreePort returns a port that nobody uses: nobody else is in this network,
// and the kernel picks its own above 32767.
func FreePort() int { return 10000 + int(lastPort.Add(1)) }
