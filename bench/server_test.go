package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

const benchSecret = "a secret key of the benchmarks that everybody may know"

// A site is a running authserver serve with people who can log in: user n has
// the address un@rsa.example and un@p256.example, an app password, and the
// password "password n". The domains sign with the keys they are named after,
// and so do the Docker registries rsa.registry.example and
// p256.registry.example.
type site struct {
	address  string // host:port, plain HTTP
	dir      string // where the programs and key files are
	server   *exec.Cmd
	cluster  *pgcluster.Cluster
	apps     []string // app passwords by user
	postgres int      // process id of its postmaster
}

const siteUsers = 50

// newSite starts PostgreSQL and the programs as they are installed.
var newSite = sync.OnceValues(func() (*site, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir}
	atExit(func() error { return os.RemoveAll(dir) })
	for _, name := range []string{"authserver", "checkpassword"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "authbridge/cmd/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build %s: %w\n%s", name, err, out)
		}
	}

	if s.cluster, err = pgcluster.Start(ctx, pgcluster.Options{}); err != nil {
		return nil, err
	}
	atExit(s.cluster.Stop)
	super, err := pgx.Connect(ctx, s.cluster.URL("postgres", "postgres"))
	if err != nil {
		return nil, err
	}
	defer super.Close(ctx)
	if err := sql.Init(ctx, super); err != nil {
		return nil, err
	}
	if err := sql.Migrate(ctx, super); err != nil {
		return nil, err
	}
	if err := s.populate(ctx, super); err != nil {
		return nil, err
	}
	if s.postgres, err = postmaster(ctx, super); err != nil {
		return nil, err
	}

	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.address = net.JoinHostPort("127.0.0.1", port)
	s.server = exec.Command(filepath.Join(dir, "authserver"), "serve", "--listen", s.address, "--assume-https", "--rate-limit", "0", "--log-level", "error")
	s.server.Env = []string{"DATABASE_URL=" + s.cluster.SocketURL("authserver_web", "postgres"), "SECRET_KEY=" + benchSecret}
	s.server.Stderr = os.Stderr
	if err := s.server.Start(); err != nil {
		return nil, err
	}
	atExit(func() error {
		s.server.Process.Kill()
		s.server.Wait() // killed
		return nil
	})
	for range 500 {
		answer, err := http.Get("http://" + s.address + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("authserver serve did not become ready")
})

// populate makes the domains, by the operator's commands, and the users.
func (s *site) populate(ctx context.Context, super *pgx.Conn) error {
	for _, args := range [][]string{
		{"domain", "create", "rsa.example", "--create-key", "jwt", "--key-algorithm", "rsa"},
		{"domain", "create", "p256.example", "--create-key", "jwt", "--key-algorithm", "ecdsa-p256"},
		{"domain", "create", "localhost", "--create-key", "jwt", "--key-algorithm", "ecdsa-p256"},
		{"dockerauth", "registry", "create", "--client-id", "rsa.registry.example", "--name", "RSA", "--domain", "rsa.example", "--issuer", "auth.example", "--algorithm", "rsa"},
		{"dockerauth", "registry", "create", "--client-id", "p256.registry.example", "--name", "P-256", "--domain", "p256.example", "--issuer", "auth.example", "--algorithm", "ecdsa-p256"},
		{"dockerauth", "rule", "allow", "rsa.registry.example", "**", "pull,push", "--users"},
		{"dockerauth", "rule", "allow", "p256.registry.example", "**", "pull,push", "--users"},
		{"dockerauth", "rule", "allow", "p256.registry.example", "public/**", "pull", "--anyone"},
	} {
		cmd := exec.Command(filepath.Join(s.dir, "authserver"), args...)
		cmd.Env = []string{"DATABASE_URL=" + s.cluster.URL("authserver_admin", "postgres"), "SECRET_KEY=" + benchSecret}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("authserver %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	for n := range siteUsers {
		app := account.NewAppPassword()
		s.apps = append(s.apps, app.Text())
		sum := app.SHA256()
		crypt, err := app.Crypt()
		if err != nil {
			return err
		}
		hash, err := account.Hash(ctx, fmt.Sprintf("password %d", n), account.Standard)
		if err != nil {
			return err
		}
		if _, err := super.Exec(ctx, `
			with name as (insert into auth.login_names (name, kind) values ('u' || $1, 'user')),
			made as (insert into auth.users (identifier, full_name, password_hash) values ('u' || $1, 'User', $2) returning id),
			app as (insert into auth.app_passwords (id, user_id, secret_hash, crypt_hash) select $3, made.id, $4, $5 from made)
			insert into auth.aliases (local_part, domain_id, user_id) select 'u' || $1, d.id, made.id from auth.domains d, made`,
			strconv.Itoa(n), hash, app.ID(), sum[:], crypt); err != nil {
			return err
		}
	}
	_, err := super.Exec(ctx, `
		update auth.users u set delivery_mailbox_id = (select min(a.id) from auth.aliases a where a.user_id = u.id)`)
	return err
}

// postmaster returns the process that all of a server's processes are children
// of.
func postmaster(ctx context.Context, conn *pgx.Conn) (int, error) {
	backend := conn.PgConn().PID()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", backend))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return strconv.Atoi(fields[1])
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

// cpu returns what a process has used, and with children also what its
// children have, dead or alive.
func cpu(pid int, children bool) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	count := 2
	if children {
		count = 4
	}
	var ticks int
	for _, f := range fields[11 : 11+count] {
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	used := time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
	if children {
		kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, kid := range strings.Fields(string(kids)) {
			n, _ := strconv.Atoi(kid)
			used += cpu(n, true)
		}
	}
	return used
}

func openSite(b *testing.B) *site {
	b.Helper()
	s, err := newSite()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// login returns a request to log in, as it goes over the wire.
func (s *site) login(name, domain, password string) []byte {
	body := fmt.Sprintf(`{"username": %q, "password": %q}`, name+"@"+domain, password)
	return fmt.Appendf(nil, "POST /checkpassword/ HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		domain, len(body), body)
}

// A caller is a connection to the server. It is as little of an HTTP client as
// will do, so that most of the processor's time is the server's.
type caller struct {
	conn   net.Conn
	answer *bufio.Reader
}

func (s *site) call() (*caller, error) {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	return &caller{conn, bufio.NewReader(conn)}, nil
}

// ask sends a request, and returns the status of the answer and how long it
// took.
func (c *caller) ask(request []byte) (status int, took time.Duration, err error) {
	start := time.Now()
	if _, err := c.conn.Write(request); err != nil {
		return 0, 0, err
	}
	line, err := c.answer.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	status, err = strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	if err != nil {
		return 0, 0, err
	}
	length := 0
	for len(line) > len("\r\n") {
		if line, err = c.answer.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(n))); err != nil {
				return 0, 0, err
			}
		}
	}
	_, err = c.answer.Discard(length)
	return status, time.Since(start), err
}

// clients is how many ask at once.
const clients = 8

// logins has eight callers log in, and reports rates, the CPU time of server
// and database for each login, and how many signatures or hashes the server's
// is worth: unit measures one.
func logins(b *testing.B, s *site, request func(n int) []byte, unit func(b *testing.B) time.Duration) {
	b.Helper()
	one := unit(b) // in each round: the machine is not the same all the time
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	b.SetParallelism((clients + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	serverBefore, databaseBefore := cpu(s.server.Process.Pid, false), cpu(s.postgres, true)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := s.call()
		if err != nil {
			b.Error(err)
			return
		}
		defer c.conn.Close()
		var mine []time.Duration
		for pb.Next() {
			status, d, err := c.ask(request(int(next.Add(1))))
			if err != nil || status != http.StatusOK {
				b.Error("login: ", status, err)
				return
			}
			mine = append(mine, d)
		}
		mu.Lock()
		took = append(took, mine...)
		mu.Unlock()
	})
	b.StopTimer()
	server := cpu(s.server.Process.Pid, false) - serverBefore
	database := cpu(s.postgres, true) - databaseBefore
	if len(took) == 0 {
		return
	}
	perServer := float64(server.Microseconds()) / 1000 / float64(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(perServer, "server-cpu-ms/op")
	b.ReportMetric(float64(database.Microseconds())/1000/float64(b.N), "database-cpu-ms/op")
	b.ReportMetric(perServer/(float64(one.Microseconds())/1000), "server-cpu/unit")
	b.ReportMetric(percentile(took, 99), "p99-ms")
}

// prepared returns the requests of all users with one password each.
func (s *site) prepared(domain string, password func(n int) string) func(n int) []byte {
	var requests [siteUsers][]byte
	for n := range requests {
		requests[n] = s.login(fmt.Sprint("u", n), domain, password(n))
	}
	return func(n int) []byte { return requests[n%siteUsers] }
}

func signatureRSA(b *testing.B) time.Duration {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	return cost(func() {
		if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	})
}

func signatureP256(b *testing.B) time.Duration {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	return cost(func() {
		if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	})
}

func yescryptHash(b *testing.B) time.Duration {
	return cost(func() {
		if _, _, err := account.Verify(b.Context(), account.Standard.Decoy(), "guess", account.Standard); err != nil {
			b.Fatal(err)
		}
	})
}

// cost returns the CPU time that f takes while all cores do nothing else.
func cost(f func()) time.Duration {
	var n atomic.Int64
	var workers sync.WaitGroup
	before, end := cpu(os.Getpid(), false), time.Now().Add(2*time.Second)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for time.Now().Before(end) {
				f()
				n.Add(1)
			}
		})
	}
	workers.Wait()
	return (cpu(os.Getpid(), false) - before) / time.Duration(n.Load())
}

// A login with an app password, answered by an RS256 token. The unit is one
// signature.
func BenchmarkCheckPasswordAppRS256(b *testing.B) {
	s := openSite(b)
	logins(b, s, s.prepared("rsa.example", func(n int) string { return s.apps[n] }), signatureRSA)
}

// The same, answered by an ES256 token.
func BenchmarkCheckPasswordAppES256(b *testing.B) {
	s := openSite(b)
	logins(b, s, s.prepared("p256.example", func(n int) string { return s.apps[n] }), signatureP256)
}

// A login with the password of a person, each time as if for the first: what is
// remembered is a name with a password, so every request has a name of its own.
// The unit is one yescrypt hash.
func BenchmarkCheckPasswordYescrypt(b *testing.B) {
	s := openSite(b)
	logins(b, s, func(n int) []byte {
		return s.login(fmt.Sprintf("u%d+%d", n%siteUsers, serial.Add(1)), "p256.example", fmt.Sprintf("password %d", n%siteUsers))
	}, yescryptHash)
}

var serial atomic.Int64

// A password that was right a moment ago.
func BenchmarkCheckPasswordRemembered(b *testing.B) {
	s := openSite(b)
	requests := s.prepared("p256.example", func(n int) string { return fmt.Sprintf("password %d", n) })
	c, err := s.call()
	if err != nil {
		b.Fatal(err)
	}
	defer c.conn.Close()
	for n := range siteUsers {
		if status, _, err := c.ask(requests(n)); err != nil || status != http.StatusOK {
			b.Fatal("login: ", status, err)
		}
	}
	logins(b, s, requests, signatureP256)
}

// Right app passwords, one at a time, while eight callers guess passwords of
// many names.
func BenchmarkCheckPasswordUnderFlood(b *testing.B) {
	s := openSite(b)
	ctx, cancel := context.WithCancel(context.Background())
	var guessers sync.WaitGroup
	var guesses atomic.Int64
	for range clients {
		guessers.Go(func() {
			c, err := s.call()
			if err != nil {
				b.Error(err)
				return
			}
			defer c.conn.Close()
			for ctx.Err() == nil {
				n := guesses.Add(1)
				if _, _, err := c.ask(s.login(fmt.Sprint("u", n), "p256.example", fmt.Sprint("guess ", n))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	c, err := s.call()
	if err != nil {
		b.Fatal(err)
	}
	defer c.conn.Close()
	requests := s.prepared("p256.example", func(n int) string { return s.apps[n] })
	var took []time.Duration
	for b.Loop() {
		status, d, err := c.ask(requests(len(took)))
		if err != nil || status != http.StatusOK {
			b.Fatal("login: ", status, err)
		}
		took = append(took, d)
	}
	cancel()
	guessers.Wait()
	b.ReportMetric(float64(guesses.Load())/b.Elapsed().Seconds(), "guesses/s")
	b.ReportMetric(percentile(took, 50), "p50-ms")
	b.ReportMetric(percentile(took, 99), "p99-ms")
}

// The client, from exec to exit.
func BenchmarkCheckpasswordProgram(b *testing.B) {
	s := openSite(b)
	keys := filepath.Join(s.dir, "keys.json")
	answer, err := http.Get("http://" + s.address + "/getkey/?domain=localhost&format=jwks")
	if err != nil {
		b.Fatal(err)
	}
	jwks, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(keys, jwks, 0o644); err != nil {
		b.Fatal(err)
	}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		b.Fatal(err)
	}
	input := "u1@p256.example\n" + s.apps[1] + "\n"
	var took []time.Duration
	for b.Loop() {
		cmd := exec.Command(filepath.Join(s.dir, "checkpassword"), "-m", "authext", "-u", "http://localhost:"+port+"/checkpassword/", "--jwtkey", keys)
		cmd.Stdin = strings.NewReader(input)
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		took = append(took, time.Since(start))
	}
	b.ReportMetric(percentile(took, 50), "p50-ms")
	b.ReportMetric(percentile(took, 99), "p99-ms")
}

// What an idle server needs, if no other benchmark has run before.
func BenchmarkServerMemory(b *testing.B) {
	s := openSite(b)
	for b.Loop() {
		status, err := os.Open(fmt.Sprintf("/proc/%d/status", s.server.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		for lines := bufio.NewScanner(status); lines.Scan(); {
			if kb, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
				n, _ := strconv.Atoi(strings.Fields(kb)[0])
				b.ReportMetric(float64(n)/1024, "RSS-MB")
			}
		}
		status.Close()
	}
}
