package pgcluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// childVar makes the test binary a program that starts a cluster with these
// options, says where it is, and waits to be killed.
const childVar = "PGCLUSTER_TEST_CHILD"

func TestMain(m *testing.M) {
	if opt := os.Getenv(childVar); opt != "" {
		beChild(opt)
	}
	os.Exit(m.Run())
}

type childReport struct {
	Dir, URL   string
	Postmaster int
}

func beChild(options string) {
	var opt Options
	err := json.Unmarshal([]byte(options), &opt)
	if err == nil {
		var c *Cluster
		if c, err = Start(context.Background(), opt); err == nil {
			json.NewEncoder(os.Stdout).Encode(childReport{c.dir, c.URL(superuser, "postgres"), c.postmaster.pid})
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func start(t *testing.T, opt Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// refused returns the SQLSTATE of a refused login.
func refused(t *testing.T, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		conn.Close(t.Context())
		return ""
	}
	_, message, _ := strings.Cut(err.Error(), "(SQLSTATE ")
	state, _, _ := strings.Cut(message, ")")
	return state
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// stateDir returns the name of a folder that does not exist yet, in one that
// the server's account may enter, which go test's own are not.
func stateDir(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp(tempDir(""), "pgcluster-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "state")
}

func TestTemporary(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := start(t, Options{})
	t.Logf("started in %v, version %d, %s", time.Since(began), c.Version(), c.dir)

	for _, url := range []string{c.URL(superuser, "postgres"), c.SuperuserURL("postgres")} {
		if got := query(t, url, "select concat_ws(' ', current_user, current_setting('server_encoding'), current_setting('lc_collate', true), current_setting('fsync'))"); !strings.HasPrefix(got, "postgres UTF8") || !strings.HasSuffix(got, "off") {
			t.Errorf("%s: %s", url, got)
		}
	}
	if got := query(t, c.SuperuserURL("template1"), "select datcollate from pg_database where datname = 'template1'"); got != "C.UTF-8" {
		t.Errorf("locale %s", got)
	}
	if info, err := os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state folder: %v, %v", info.Mode(), err)
	}
	if uid := owner(t, c.dir); uid == 0 || uid != c.account.uid {
		t.Errorf("state folder belongs to %d", uid)
	}

	// Stop is for sessions in the middle of something, too.
	conn, err := pgx.Connect(t.Context(), c.URL(superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if !missing(c.dir) {
		t.Errorf("%s is still there", c.dir)
	}
	select {
	case <-c.Done():
	default:
		t.Error("not Done after Stop")
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func owner(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestDurable(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c := start(t, Options{Dir: dir, Durable: true})
	execute(t, c.SuperuserURL("postgres"), "create role dovecot login password 'right'; create table kept as select 'yes' as answer")
	if got := query(t, c.SuperuserURL("postgres"), "select current_setting('fsync') || current_setting('full_page_writes') || current_setting('synchronous_commit')"); got != "ononon" {
		t.Errorf("fsync, full_page_writes, synchronous_commit: %s", got)
	}

	withPassword := func(user, password string) string {
		return strings.Replace(c.URL(user, "postgres"), "@", ":"+password+"@", 1)
	}
	const wrongPassword = "28P01"
	logins := map[string]struct{ url, state string }{
		"TCP, password":             {withPassword("dovecot", "right"), ""},
		"TCP, wrong password":       {withPassword("dovecot", "wrong"), wrongPassword},
		"TCP, superuser":            {withPassword(superuser, superuser), wrongPassword},
		"socket, superuser":         {c.SuperuserURL("postgres"), ""},
		"socket, role, no password": {c.SocketURL("dovecot", "postgres"), ""},
	}
	for name, login := range logins {
		if got := refused(t, login.url); got != login.state {
			t.Errorf("%s: SQLSTATE %q, want %q", name, got, login.state)
		}
	}

	if _, err := Start(t.Context(), Options{Dir: dir, Durable: true}); err == nil || err.Error() != dir+" is in use by another process" {
		t.Errorf("second start: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}

	again := start(t, Options{Dir: dir, Durable: true})
	if got := query(t, again.SuperuserURL("postgres"), "select answer from kept"); got != "yes" {
		t.Errorf("data after restart: %q", got)
	}
	if again.Port() != c.Port() {
		t.Errorf("port after restart %d, before %d", again.Port(), c.Port())
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}

	// A port that is taken is no reason to fail.
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(c.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	moved := start(t, Options{Dir: dir, Durable: true})
	if moved.Port() == c.Port() {
		t.Error("the server uses a port that is taken")
	}
	query(t, strings.Replace(moved.URL("dovecot", "postgres"), "@", ":right@", 1), "select ''")
}

// A port can be taken after we found it free.
func TestPortTakenMeanwhile(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	if err := c.postmaster.end(syscall.SIGINT, fastShutdown, syscall.SIGQUIT, immediateShutdown); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := c.launchOn(t.Context(), l.Addr().(*net.TCPAddr).Port); !errors.Is(err, errPortTaken) {
		t.Errorf("launch on a port in use: %v", err)
	}
	if err := c.launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	query(t, c.URL(superuser, "postgres"), "select ''")
}

// The thread that starts the server may end at any time; the server stays.
func TestThreadEnds(t *testing.T) {
	t.Parallel()
	var c *Cluster
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // without an unlock, the thread ends here
		c, err = Start(context.Background(), Options{})
	}()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	runtime.GC()
	query(t, c.URL(superuser, "postgres"), "select pg_sleep(0.05)::text")
}

// spawn runs Start in a process of its own.
func spawn(t *testing.T, opt Options) (*exec.Cmd, childReport) {
	t.Helper()
	options, err := json.Marshal(opt)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe") // os.Executable may be out of reach
	cmd.Env = append(os.Environ(), childVar+"="+string(options))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("child: %v: %s", err, stderr.String())
	}
	var report childReport
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	return cmd, report
}

// The server of a process that is killed shuts down in good order, and a
// temporary folder goes.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	cmd, report := spawn(t, Options{})
	if got := query(t, report.URL, "select 'up'"); got != "up" {
		t.Fatal(got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	eventually(t, "server ends", func() bool { return missing(fmt.Sprintf("/proc/%d", report.Postmaster)) })
	eventually(t, "folder goes", func() bool { return missing(report.Dir) })
}

// The folder of a process that was killed can be used at once: Start waits for
// the end of the shutdown.
func TestStartAfterParentKilled(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	cmd, _ := spawn(t, Options{Dir: dir, Durable: true})
	if _, err := Start(t.Context(), Options{Dir: dir}); err == nil || err.Error() != dir+" is in use by another process" {
		t.Errorf("while the other process lives: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	c := start(t, Options{Dir: dir, Durable: true})
	if log, err := os.ReadFile(c.LogFile()); err != nil || bytes.Contains(log, []byte("not properly shut down")) {
		t.Errorf("the killed process's server did not shut down properly: %v\n%s", err, log)
	}
}

// A server that is killed leaves its pid file; the next start repairs.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c := start(t, Options{Dir: dir, Durable: true})
	execute(t, c.SuperuserURL("postgres"), "create table kept as select 'yes' as answer")
	if err := c.postmaster.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if missing(filepath.Join(dir, "data/postmaster.pid")) {
		t.Error("no pid file is left: the test tests nothing")
	}
	again := start(t, Options{Dir: dir, Durable: true})
	if got := query(t, again.SuperuserURL("postgres"), "select answer from kept"); got != "yes" {
		t.Errorf("data after a crash: %q", got)
	}
}

// A first start that is interrupted leaves nothing that a second stumbles on.
func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled start: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, newDataName, "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := start(t, Options{Dir: dir})
	query(t, c.URL(superuser, "postgres"), "select ''")
	if err := c.Stop(); err != nil {
		t.Error(err)
	}

	// What a cluster allowed under test settings ends with them.
	durable := start(t, Options{Dir: dir, Durable: true})
	if state := refused(t, strings.Replace(durable.URL(superuser, "postgres"), "@", ":none@", 1)); state != "28P01" {
		t.Errorf("superuser on TCP: SQLSTATE %q", state)
	}
}

func TestLongFolderName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(stateDir(t), strings.Repeat("long name ", 10))
	c := start(t, Options{Dir: dir})
	query(t, c.SuperuserURL("postgres"), "select ''")
	if c.SocketDir() == dir {
		t.Fatal("the test's folder name is too short")
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if !missing(c.SocketDir()) {
		t.Errorf("%s is still there", c.SocketDir())
	}
	if missing(filepath.Join(dir, "data")) {
		t.Error("the data is gone")
	}
}

func TestFolderNameNeedsQuotes(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Dir: filepath.Join(stateDir(t), `a "b", c`)})
	query(t, c.SuperuserURL("postgres"), "select ''")
}

func TestRefusedFolders(t *testing.T) {
	t.Parallel()
	version := func(v string) string {
		dir := stateDir(t)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "data/PG_VERSION"), []byte(v), 0o600); err != nil {
			t.Fatal(err)
		}
		who, err := serverAccount("")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, who.uid, who.gid); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	file := filepath.Join(filepath.Dir(stateDir(t)), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ dir, want string }{
		"older version":   {version("14\n"), "holds data of PostgreSQL 14: only PostgreSQL 15 to 18 is supported"},
		"missing version": {version("18\n"), "holds data of PostgreSQL 18: the server of PostgreSQL 18 is not installed"},
		"ancient version": {version("9.6\n"), "is not a version that is supported"},
		"a file":          {file, "is not a folder"},
	}
	if os.Geteuid() == 0 {
		closed := stateDir(t)
		if err := os.Mkdir(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		cases["parent closed to the server"] = struct{ dir, want string }{
			filepath.Join(closed, "below"), "user postgres, as which PostgreSQL runs, may not enter " + closed}
		foreign := stateDir(t)
		if err := os.MkdirAll(filepath.Join(foreign, "something"), 0o755); err != nil {
			t.Fatal(err)
		}
		cases["somebody else's"] = struct{ dir, want string }{
			foreign, "belongs to user root, but PostgreSQL would run as postgres"}
	} else {
		cases["somebody else's"] = struct{ dir, want string }{
			"/usr", "belongs to user root, but PostgreSQL would run as "}
	}
	for name, tt := range cases {
		c, err := Start(t.Context(), Options{Dir: tt.dir})
		if err == nil {
			c.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %q", name, err, tt.want)
		}
	}
}

// An administrator makes the folder, root starts the cluster.
func TestEmptyFolderIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := start(t, Options{Dir: dir})
	if uid := owner(t, dir); uid != c.account.uid {
		t.Errorf("belongs to %d", uid)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		found []int
		want  int
		got   int
		err   string
	}{
		"newest":                {[]int{17, 15, 16}, 0, 17, ""},
		"newest supported":      {[]int{19, 16, 14}, 0, 16, ""},
		"that of the data":      {[]int{17, 15}, 15, 15, ""},
		"nothing":               {nil, 0, 0, "the server of PostgreSQL 15 to 18 is not installed; install it: apt install postgresql"},
		"nothing supported":     {[]int{13}, 0, 0, "the server of PostgreSQL 15 to 18 is not installed, but 13 in /bin13; install it: apt install postgresql"},
		"not that of the data":  {[]int{17}, 16, 0, "the server of PostgreSQL 16 is not installed, but 17 in /bin17; install it: apt install postgresql-16"},
		"data of a later world": {[]int{17}, 21, 0, "only PostgreSQL 15 to 18 is supported"},
	}
	for name, tt := range tests {
		var found []binaries
		for _, major := range tt.found {
			found = append(found, binaries{fmt.Sprintf("/bin%d", major), major})
		}
		got, err := choose(found, tt.want)
		var message string
		if err != nil {
			message = err.Error()
		}
		if got.major != tt.got || message != tt.err {
			t.Errorf("%s: %d, %q", name, got.major, message)
		}
	}
}

func TestDebianBinaries(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"15/bin/postgres": 0o755, "15/bin/initdb": 0o755,
		"16/bin/psql":     0o755, // only the client
		"17/bin/postgres": 0o755, "17/bin/initdb": 0o755,
		"18/bin/postgres": 0o644, "18/bin/initdb": 0o644,
		"old/bin/postgres": 0o755, "old/bin/initdb": 0o755,
	} {
		path := filepath.Join(root, "usr/lib/postgresql", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	for _, b := range debianBinaries(root) {
		got = append(got, b.major)
	}
	if fmt.Sprint(got) != "[17 15]" {
		t.Errorf("found %v", got)
	}
}

func TestBinDir(t *testing.T) {
	t.Parallel()
	bin := debianBinaries("")[0]
	c := start(t, Options{BinDir: bin.dir})
	if c.Version() != bin.major {
		t.Errorf("version %d, want %d", c.Version(), bin.major)
	}
	if _, err := Start(t.Context(), Options{BinDir: "/nowhere"}); err == nil || !strings.Contains(err.Error(), "/nowhere/postgres") {
		t.Errorf("BinDir that does not exist: %v", err)
	}
}

// TestAsNormalUser runs the other tests again as nobody. They cannot tell the
// difference when they already run as a normal user.
func TestAsNormalUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^(TestTemporary|TestDurable|TestParentKilled|TestRefusedFolders|TestRoot)$", "-test.v")
	cmd.ExtraFiles = []*os.File{program}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestTemporary")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// A server in another root folder: a copy of the one that is installed here,
// with what it loads.
func TestRoot(t *testing.T) {
	t.Parallel()
	root := filepath.Dir(stateDir(t))
	if os.Geteuid() != 0 {
		if _, err := Start(t.Context(), Options{Root: root}); err == nil || !strings.Contains(err.Error(), "only root may start a server in another root folder") {
			t.Errorf("as a normal user: %v", err)
		}
		return
	}
	bin := debianBinaries("")[0]
	if err := buildRoot(root, bin); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"temporary": "", "kept": filepath.Join(root, "srv/cluster")} {
		c := start(t, Options{Root: root, Dir: dir, Locale: "C"})
		if !strings.HasPrefix(c.bin.dir, root) || !strings.HasPrefix(c.dir, root) {
			t.Errorf("%s: binaries %s, state %s", name, c.bin.dir, c.dir)
		}
		if got := query(t, c.SuperuserURL("postgres"), "show data_directory"); got != strings.TrimPrefix(c.dir, root)+"/data" {
			t.Errorf("%s: the server sees its data in %s", name, got)
		}
		query(t, c.URL(superuser, "postgres"), "select ''")
		if uid := owner(t, c.dir); uid != 4711 {
			t.Errorf("%s: belongs to %d, not to the root folder's postgres", name, uid)
		}
	}
	if _, err := Start(t.Context(), Options{Root: root, Dir: "/elsewhere"}); err == nil || !strings.Contains(err.Error(), "/elsewhere is not in "+root) {
		t.Errorf("state folder outside: %v", err)
	}
}

func buildRoot(root string, bin binaries) error {
	version := strconv.Itoa(bin.major)
	script := `set -e
cd "$1"
mkdir -p tmp srv dev etc bin
chmod 1777 tmp; chmod 755 .
cp --parents -r /usr/lib/postgresql/"$2"/bin/postgres /usr/lib/postgresql/"$2"/bin/initdb /usr/share/postgresql/"$2" .
cp --parents /usr/lib/postgresql/"$2"/lib/plpgsql.so /usr/lib/postgresql/"$2"/lib/dict_snowball.so /usr/lib/postgresql/"$2"/lib/*_and_*.so /bin/sh . 2>/dev/null || true
ldd /usr/lib/postgresql/"$2"/bin/postgres /usr/lib/postgresql/"$2"/bin/initdb /bin/sh | grep -o '/[^ :]*\.so[^ :]*' | sort -u | xargs cp --parents -L -t .
test -e /etc/postgresql-common && cp --parents -r /etc/postgresql-common . || true
echo postgres:x:4711:4711::/:/bin/sh > etc/passwd
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/urandom c 1 9
`
	out, err := exec.Command("/bin/sh", "-c", script, "sh", root, version).CombinedOutput()
	if err != nil {
		return fmt.Errorf("root folder: %w: %s", err, out)
	}
	return nil
}
