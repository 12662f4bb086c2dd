package pg

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/urfave/cli/v2"

	"authbridge/internal/command"
	"authbridge/internal/pgcluster"
)

// cluster asks for passwords on TCP.
var cluster *pgcluster.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = pgcluster.Start(context.Background(), pgcluster.Options{Durable: true}); err != nil {
		log.Fatal(err)
	}
	code := 1
	if err := setUp(); err != nil {
		log.Print(err)
	} else {
		code = m.Run()
	}
	if err := cluster.Stop(); err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

func setUp() error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, cluster.SuperuserURL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		create role alice login password 'correct-horse';
		create role parent nologin;
		grant parent to alice;
		create role "o'wner" superuser login password 'battery\''staple';
		create role authserver_owner nologin;
		create role member login;
		grant authserver_owner to member`)
	return err
}

func configFor(t *testing.T, url string) Config {
	t.Helper()
	u, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return Config{URL: u}
}

func withPassword(url, password string) string { return strings.Replace(url, "@", ":"+password+"@", 1) }

func TestConnect(t *testing.T) {
	c := configFor(t, withPassword(cluster.URL("alice", "postgres"), "correct-horse"))
	c.ParentRole = "parent"
	c.ApplicationName = "pg_test"
	c.Actor = "älice; O'Hara \\ \"x\""
	c.Origin = "192.0.2.7"
	const who = `select array[session_user, current_user, current_setting('application_name'),
		current_setting('authserver.actor'), current_setting('authserver.origin')]`
	want := fmt.Sprint([]string{"alice", "parent", "pg_test", c.Actor, c.Origin})

	conn, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	pool, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, db := range []Querier{conn, pool} {
		var got []string
		if err := db.QueryRow(t.Context(), who).Scan(&got); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%T: %v, %v; want %v", db, got, err, want)
		}
	}
}

// The role can be part of the URL, and so can parameters of pgx's pool.
func TestURLParameters(t *testing.T) {
	c := configFor(t, withPassword(cluster.URL("alice", "postgres"), "correct-horse")+"&role=parent&pool_max_conns=3&application_name=mine")
	c.ApplicationName = "ours"
	conn, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var role, app string
	if err := conn.QueryRow(t.Context(), "select current_user, current_setting('application_name')").Scan(&role, &app); err != nil || role != "parent" || app != "mine" {
		t.Errorf("role %s, application name %s, %v", role, app, err)
	}
	pool, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if n := pool.Config().MaxConns; n != 3 {
		t.Errorf("pool of %d", n)
	}
}

func TestBadParameters(t *testing.T) {
	for _, bad := range []string{"a\nb", "a\x00b", "\xff", strings.Repeat("x", 1001)} {
		c := configFor(t, cluster.SuperuserURL("postgres"))
		c.Actor = bad
		if conn, err := c.Connect(t.Context()); err == nil {
			conn.Close(t.Context())
			t.Errorf("actor %q is accepted", bad)
		} else if !strings.Contains(err.Error(), "connection parameter authserver.actor: ") {
			t.Errorf("actor %q: %v", bad, err)
		}
	}
}

// listen returns the port of a listener that treats connections with serve.
func listen(t *testing.T, serve func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

func TestConnectErrors(t *testing.T) {
	silent := listen(t, func(c net.Conn) { t.Cleanup(func() { c.Close() }) })
	rude := listen(t, func(c net.Conn) { c.Close() })
	closed := func() int {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}()
	nowhere := t.TempDir()

	tests := map[string]struct{ url, want string }{
		"nobody listens": {
			fmt.Sprintf("postgres://alice:hidden@127.0.0.1:%d/authserver", closed),
			fmt.Sprintf("database at 127.0.0.1:%d (authserver): connection refused", closed)},
		"no answer": {
			fmt.Sprintf("postgres://alice:hidden@127.0.0.1:%d/authserver", silent),
			fmt.Sprintf("database at 127.0.0.1:%d (authserver): no answer within 300ms", silent)},
		"hangs up": {
			fmt.Sprintf("postgres://alice:hidden@127.0.0.1:%d/authserver?sslmode=disable", rude),
			fmt.Sprintf("database at 127.0.0.1:%d (authserver): the server closed the connection", rude)},
		"two hosts, two reasons": {
			fmt.Sprintf("postgres://alice:hidden@127.0.0.1:%d,127.0.0.1:%d/authserver?sslmode=disable", silent, closed),
			fmt.Sprintf("database at 127.0.0.1:%d, 127.0.0.1:%d (authserver): 127.0.0.1:%[1]d: no answer within 300ms; 127.0.0.1:%[2]d: connection refused", silent, closed)},
		"two hosts, both at once": {
			fmt.Sprintf("postgres://alice:hidden@127.0.0.1:%d,127.0.0.1:%d/authserver", closed, rude),
			fmt.Sprintf("database at 127.0.0.1:%d, 127.0.0.1:%d (authserver): 127.0.0.1:%[1]d: connection refused; 127.0.0.1:%[2]d: the server closed the connection", closed, rude)},
		"no socket": {
			"postgres://alice:hidden@/authserver?port=5432&host=" + nowhere,
			"database at " + nowhere + ":5432 (authserver): no such file or directory"},
		"wrong password": {
			withPassword(cluster.URL("alice", "postgres"), "hidden") + "&sslmode=prefer",
			fmt.Sprintf(`database at 127.0.0.1:%d (postgres): password authentication failed for user "alice" (SQLSTATE 28P01)`, cluster.Port())},
		"no such database": {
			withPassword(cluster.URL("alice", "none"), "correct-horse"),
			fmt.Sprintf(`database at 127.0.0.1:%d (none): database "none" does not exist (SQLSTATE 3D000)`, cluster.Port())},
		"no such role": {
			cluster.SuperuserURL("postgres") + "&role=none_such",
			fmt.Sprintf(`database at %s:%d (postgres): role "none_such" does not exist (SQLSTATE 22023)`, cluster.SocketDir(), cluster.Port())},
		"not a standby": {
			cluster.SuperuserURL("postgres") + "&target_session_attrs=standby",
			fmt.Sprintf("database at %s:%d (postgres): server is not in hot standby mode", cluster.SocketDir(), cluster.Port())},
		"TLS required": {
			withPassword(strings.TrimSuffix(cluster.URL("alice", "postgres"), "disable"), "hidden") + "require",
			fmt.Sprintf("database at 127.0.0.1:%d (postgres): server refused TLS connection", cluster.Port())},
	}
	for name, tt := range tests {
		c := configFor(t, tt.url)
		c.Timeout = 300 * time.Millisecond
		began := time.Now()
		conn, err := c.Connect(t.Context())
		if err == nil {
			conn.Close(t.Context())
			t.Errorf("%s: no error", name)
			continue
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if err.Error() != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, err, tt.want)
		}
		pool, poolErr := c.Open(t.Context())
		if poolErr == nil {
			pool.Close()
			t.Errorf("%s: the pool opens", name)
			continue
		}
		for _, text := range []string{err.Error(), poolErr.Error(), c.Explain(poolErr).Error()} {
			if strings.ContainsAny(text, "\n\t") || strings.Contains(text, "hidden") || strings.Contains(text, "postgres:/") || !strings.HasPrefix(text, "database at ") {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
}

func TestConnectInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	port := listen(t, func(c net.Conn) {
		t.Cleanup(func() { c.Close() })
		cancel()
	})
	_, err := configFor(t, fmt.Sprintf("postgres://alice@127.0.0.1:%d/authserver", port)).Connect(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReasonUnknownHost(t *testing.T) {
	err := fmt.Errorf("lookup: %w", &net.DNSError{Err: "no such host", Name: "db.example.test", Server: "192.0.2.53:53"})
	if got := reason(err, time.Second); got != "db.example.test: no such host" {
		t.Error(got)
	}
}

func TestExplain(t *testing.T) {
	c := configFor(t, cluster.SuperuserURL("postgres")+"&default_transaction_read_only=on")
	where := fmt.Sprintf("database at %s:%d (postgres)", cluster.SocketDir(), cluster.Port())
	conn, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())

	_, err = conn.Exec(t.Context(), "create table t()")
	if got := c.Explain(err); !IsReadOnly(err) || got.Error() != where+" is read-only (a standby?)" || !IsReadOnly(got) {
		t.Errorf("read-only: %v", got)
	}
	_, err = conn.Exec(t.Context(), "select nonsense")
	if got := c.Explain(err); got != err || IsReadOnly(got) {
		t.Errorf("other errors: %v", got)
	}
	if c.Explain(nil) != nil {
		t.Error("no error")
	}
	_, err = conn.Exec(t.Context(), "select pg_terminate_backend(pg_backend_pid())")
	if got := c.Explain(err); got.Error() != where+": connection lost: terminating connection due to administrator command (SQLSTATE 57P01)" {
		t.Errorf("session ended: %v", got)
	}
	_, err = conn.Exec(t.Context(), "select 1")
	if got := c.Explain(err); got == nil || got.Error() != where+": connection lost: conn closed" {
		t.Errorf("connection closed: %v", got)
	}
}

// run runs args as a program with both databases, and returns what it says and
// the configurations as its action sees them.
func run(t *testing.T, args ...string) (said string, code int, database, owner Config) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	app := &cli.App{
		Name:  "program",
		Flags: append(database.Flags(), owner.OwnerFlags(&database)...),
		Action: func(c *cli.Context) error {
			for _, config := range []Config{database, owner} {
				if _, err := config.effective().pool(); err != nil {
					return err
				}
			}
			return nil
		},
	}
	code = command.Run(t.Context(), app, args, nil, &stdout, &stderr)
	return stdout.String() + stderr.String(), code, database, owner
}

func clearEnvironment(t *testing.T) {
	for _, name := range []string{
		"DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_PARENTROLE", "DATABASE_TIMEOUT", "DATABASE_NAME",
		"DATABASE_USER", "DATABASE_PASSWORD", "POSTGRESQL_CA", "DB_SSLCERT", "DB_SSLKEY",
	} {
		t.Setenv(name, "")
	}
}

func effective(t *testing.T, c Config) (Config, *pgx.ConnConfig) {
	t.Helper()
	c = c.effective()
	pool, err := c.pool()
	if err != nil {
		t.Fatal(err)
	}
	return c, pool.ConnConfig
}

func TestFlags(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("DATABASE_URL", "postgres://web:secret@db1:5433,db2/auth")
	t.Setenv("DATABASE_PARENTROLE", "parent")

	said, code, database, owner := run(t, "--database-timeout", "2s")
	if code != 0 {
		t.Fatal(said)
	}
	for name, config := range map[string]Config{"database": database, "owner falls back": owner} {
		c, conn := effective(t, config)
		if c.Timeout != 2*time.Second || conn.ConnectTimeout != time.Second ||
			conn.User != "web" || conn.Password != "secret" || conn.RuntimeParams["role"] != "parent" ||
			fmt.Sprint(hosts(conn)) != "[db1:5433 db2:5433]" && fmt.Sprint(hosts(conn)) != "[db1:5433 db2:5432]" {
			t.Errorf("%s: %v, %v, %v, role %s, hosts %v", name, c.Timeout, conn.ConnectTimeout, conn.User, conn.RuntimeParams["role"], hosts(conn))
		}
	}

	t.Setenv("DATABASE_OWNER_URL", "postgres://boss@db3/auth")
	said, code, database, owner = run(t, "--database", "postgres://other@db4/auth")
	if code != 0 {
		t.Fatal(said)
	}
	if _, conn := effective(t, database); conn.User != "other" || conn.Host != "db4" {
		t.Errorf("the flag does not win over the variable: %s at %s", conn.User, conn.Host)
	}
	if c, conn := effective(t, owner); conn.User != "boss" || conn.Host != "db3" || conn.RuntimeParams["role"] != "" || c.Timeout != DefaultTimeout {
		t.Errorf("owner: %s at %s as %q within %v", conn.User, conn.Host, conn.RuntimeParams["role"], c.Timeout)
	}
}

func TestBadFlags(t *testing.T) {
	tests := map[string]struct {
		variable, value string
		args            []string
		want            string
	}{
		"nothing":          {"", "", nil, "which database? Give --database or set DATABASE_URL"},
		"not a URL":        {"DATABASE_URL", "hidden", nil, "bad value for --database ($DATABASE_URL): not of the form postgres://"},
		"port":             {"DATABASE_URL", "postgres://u:hidden@h:port/d", nil, "bad value for --database ($DATABASE_URL): invalid port"},
		"mislaid password": {"DATABASE_URL", "postgres://a@u:hidden:x@h/d", nil, "bad value for --database ($DATABASE_URL): invalid port"},
		"percent":          {"DATABASE_OWNER_URL", "postgres://u:hidden%zz@h/d", nil, "bad value for --database-owner ($DATABASE_OWNER_URL): not of the form"},
		"parameter":        {"DATABASE_URL", "postgres://u:hidden@h/d?target_session_attrs=hidden", nil, "bad value for --database ($DATABASE_URL): unknown target_session_attrs value"},
		"pool parameter":   {"DATABASE_URL", "postgres://u:hidden@h/d?pool_max_conns=hidden", nil, "bad value for --database ($DATABASE_URL): cannot parse pool_max_conns"},
		"no CA file":       {"DATABASE_URL", "postgres://u:hidden@h/d?sslrootcert=/none", nil, "failed to configure TLS (unable to read CA file: open the file: no such file or directory)"},
		"empty":            {"", "", []string{"--database="}, "bad value for --database ($DATABASE_URL): empty"},
		"no duration":      {"DATABASE_TIMEOUT", "soon", nil, "bad value for --database-timeout ($DATABASE_TIMEOUT): not a positive duration like 5s or 500ms"},
		"no time":          {"", "", []string{"--database-timeout", "0s"}, "bad value for --database-timeout ($DATABASE_TIMEOUT): not a positive duration"},
		"ancestor's CA":    {"POSTGRESQL_CA", "/none", nil, "bad value in DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD, POSTGRESQL_CA, DB_SSLCERT or DB_SSLKEY: failed to configure TLS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clearEnvironment(t)
			if tt.variable != "" {
				t.Setenv(tt.variable, tt.value)
			}
			said, code, _, _ := run(t, tt.args...)
			if code != command.Usage || !strings.Contains(said, tt.want) || strings.Contains(said, "hidden") {
				t.Errorf("exit %d: %s\nwant %s", code, said, tt.want)
			}
		})
	}
}

// The ancestor's environment, authserver's own settings.py in short.
func TestLegacyEnvironment(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("DATABASE_PASSWORD", `it's a \ secret`)
	if _, conn := effective(t, Config{}); conn.Host != "127.0.0.1" || conn.Port != 5432 || conn.Database != "authserver" ||
		conn.User != "authserver" || conn.Password != `it's a \ secret` {
		t.Errorf("%s@%s:%d/%s", conn.User, conn.Host, conn.Port, conn.Database)
	}

	t.Setenv("DATABASE_NAME", "auth")
	t.Setenv("DATABASE_USER", "web")
	cert, key := certificate(t)
	t.Setenv("POSTGRESQL_CA", cert)
	t.Setenv("DB_SSLCERT", cert)
	t.Setenv("DB_SSLKEY", key)
	_, conn := effective(t, Config{})
	if conn.Host != "postgresql.local" || conn.Database != "auth" || conn.User != "web" || len(conn.Fallbacks) > 0 ||
		conn.TLSConfig == nil || conn.TLSConfig.ServerName != "postgresql.local" || conn.TLSConfig.InsecureSkipVerify ||
		conn.TLSConfig.RootCAs == nil || len(conn.TLSConfig.Certificates) != 1 {
		t.Errorf("%s@%s/%s, TLS %+v", conn.User, conn.Host, conn.Database, conn.TLSConfig)
	}

	t.Setenv("DATABASE_URL", "postgres://u@h/d")
	said, code, database, _ := run(t)
	if code != 0 {
		t.Fatal(said)
	}
	if _, conn := effective(t, database); conn.Host != "h" || conn.User != "u" {
		t.Errorf("DATABASE_URL does not win: %s@%s", conn.User, conn.Host)
	}
}

// certificate returns the files of a certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}

func TestURLIsHidden(t *testing.T) {
	c := configFor(t, "postgres://alice:hidden@db.example.test/auth")
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "config", c, "url", c.URL)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "config", c, "url", c.URL)
	fmt.Fprintf(&buf, "%v %+v %#v %s %q %x", c, c, c, c.URL, c.URL, c.URL)
	if strings.Contains(buf.String(), "hidden") || strings.Contains(buf.String(), fmt.Sprintf("%x", "hidden")) {
		t.Error(buf.String())
	}
}

// A password never gets into the error about its URL, wherever it is cut.
func FuzzURLError(f *testing.F) {
	for _, s := range []string{"", "%zz", "/", "?x=", "@h:", "?sslmode=", "?target_session_attrs=", "?sslrootcert=", "?connect_timeout=", "?pool_max_conns=", "`: ", "[", "' "} {
		f.Add(s, s)
		f.Add(s, "")
	}
	const password = "correct-horse"
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, form := range []string{"postgres://alice:%s@db/auth", "host=db password='%s'", "alice:%s@db"} {
			var u URL
			if err := u.Set(fmt.Sprintf(form, before+password+after)); err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("%q, %q: %v", before, after, err)
			}
		}
	})
}

func TestWarnIfOwner(t *testing.T) {
	was := slog.Default()
	defer slog.SetDefault(was)
	for login, want := range map[string]bool{"alice": false, "member": true, "postgres": true} {
		conn, err := configFor(t, cluster.SocketURL(login, "postgres")).Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var warnings bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&warnings, nil)))
		if err := WarnIfOwner(t.Context(), conn); err != nil {
			t.Errorf("%s: %v", login, err)
		}
		if warned := warnings.Len() > 0; warned != want || warned && !strings.Contains(warnings.String(), "login="+login) {
			t.Errorf("%s: %s", login, warnings.String())
		}
	}

	conn, err := configFor(t, cluster.SuperuserURL("postgres")).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "alter role authserver_owner rename to away"); err != nil {
		t.Fatal(err)
	}
	if err := WarnIfOwner(t.Context(), tx); err != nil {
		t.Errorf("no such role: %v", err)
	}
}

func TestWarnIfOperator(t *testing.T) {
	was := slog.Default()
	defer slog.SetDefault(was)
	conn, err := configFor(t, cluster.SuperuserURL("postgres")).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	warns := func(tx pgx.Tx) bool {
		t.Helper()
		var warnings bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&warnings, nil)))
		if err := WarnIfOperator(t.Context(), tx, "authserver_web"); err != nil {
			t.Error(err)
		}
		return strings.Contains(warnings.String(), "use=authserver_web")
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if warns(tx) {
		t.Error("a warning where there is no such role")
	}
	if _, err := tx.Exec(t.Context(), "create role authserver_admin; create role web; create role twofold in role authserver_admin"); err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]bool{"authserver_admin": true, "twofold": true, "web": false} {
		if _, err := tx.Exec(t.Context(), "set local role "+role); err != nil {
			t.Fatal(err)
		}
		if warns(tx) != want {
			t.Errorf("as %s: a warning is %v", role, want)
		}
		if _, err := tx.Exec(t.Context(), "reset role"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	const notSetUp = "database is not set up, or not for this login: run authserver db init and authserver migrate"
	steps := []struct{ sql, want string }{
		{"select", notSetUp},
		{"create schema api", notSetUp},
		{"create function api.schema_version() returns int language sql as 'select 3'", "database is at version 3, this program needs 5: run authserver migrate"},
		{"create or replace function api.schema_version() returns int language sql as 'select 5'", ""},
		{"create or replace function api.schema_version() returns int language sql as 'select 6'", "database is at version 6, newer than this program (5)"},
	}
	conn, err := configFor(t, cluster.SuperuserURL("postgres")).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	defer func() {
		if _, err := conn.Exec(t.Context(), "drop schema api cascade"); err != nil {
			t.Error(err)
		}
	}()
	for _, step := range steps {
		if _, err := conn.Exec(t.Context(), step.sql); err != nil {
			t.Fatal(err)
		}
		err := CheckVersion(t.Context(), conn, 5)
		if err == nil && step.want != "" || err != nil && err.Error() != step.want {
			t.Errorf("%s: %v; want %s", step.sql, err, step.want)
		}
	}

	stranger, err := configFor(t, cluster.SocketURL("alice", "postgres")).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(t.Context())
	if err := CheckVersion(t.Context(), stranger, 6); err == nil || err.Error() != notSetUp {
		t.Errorf("without privileges: %v", err)
	}
}

// Errors keep their cause.
func TestErrorsUnwrap(t *testing.T) {
	_, err := configFor(t, withPassword(cluster.URL("alice", "postgres"), "wrong")).Connect(t.Context())
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
		t.Error(err)
	}
}
