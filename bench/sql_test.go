// Package bench measures. Nothing here is a test: run it with make bench, and
// read the figures.
//
//	sql_test.go     lookups of mail servers at 1 million aliases, and Migrate
//	server_test.go  logins over HTTP, and the checkpassword client
package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

// cluster is the PostgreSQL that the benchmarks of lookups share, from million
// on.
var cluster *pgcluster.Cluster

// ends are what has to end, last first.
var ends []func() error

func atExit(f func() error) { ends = append(ends, f) }

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(ends) {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	users   = 200_000
	domains = 1000
	aliases = 5 // of each user
)

// million is a database of 200 000 users with 5 aliases each, and a consumer
// that may call the stored-procedure API, made once for all benchmarks.
var million = sync.OnceValue(func() (err error) {
	ctx := context.Background()
	if cluster, err = pgcluster.Start(ctx, pgcluster.Options{
		Settings: []string{"shared_buffers=1GB"}, // as much as a server of this size would have
	}); err != nil {
		return err
	}
	atExit(cluster.Stop)
	super, err := pgx.Connect(ctx, cluster.URL("postgres", "postgres"))
	if err != nil {
		return err
	}
	defer super.Close(ctx)
	if err := sql.Init(ctx, super); err != nil {
		return err
	}
	if err := sql.Migrate(ctx, super); err != nil {
		return err
	}
	if err := sql.InstallSPAPI(ctx, super); err != nil {
		return err
	}
	for _, statements := range []string{
		fmt.Sprintf(`
		insert into auth.domains (name) select 'd' || i || '.example' from generate_series(0, %[2]d) i;
		insert into auth.permissions (permission_name, name) values ('imap', 'IMAP');
		insert into auth.groups (name) values ('mail');
		insert into auth.group_permissions (group_id, permission_id) select g.id, p.id from auth.groups g, auth.permissions p;
		insert into auth.login_names (name, kind) select 'u' || i, 'user' from generate_series(1, %[1]d) i;
		insert into auth.users (identifier, full_name, password_hash)
		select 'u' || i, 'User ' || i, '$6$rounds=1000$abcdefgh$' || repeat('x', 86) from generate_series(1, %[1]d) i;
		insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u;
		insert into auth.aliases (local_part, domain_id, user_id)
		select case when n = 0 then '' else 'a' || n || '.' end || u.identifier, d.id, u.id
		  from auth.users u
		  join auth.domains d on d.name = 'd' || substr(u.identifier, 2)::int %% %[2]d || '.example'
		 cross join generate_series(0, %[3]d - 1) n;
		update auth.users u set delivery_mailbox_id = a.id
		  from auth.aliases a where a.user_id = u.id and a.local_part = u.identifier;
		create role consumer login noinherit`, users, domains, aliases),
		`vacuum analyze`,
		`checkpoint`,
		// The server has been up for a while: what lookups read is in memory.
		`set enable_seqscan = off; set enable_bitmapscan = off;
		select count(*) from (select a.domain_id, a.local_part from auth.aliases a order by a.domain_id, a.local_part) x;
		select count(*) from (select a.* from auth.aliases a order by a.id) x;
		select count(*) from (select u.* from auth.users u order by u.id) x;
		select count(*) from (select m.* from auth.group_members m order by m.user_id, m.group_id) x;
		reset enable_seqscan; reset enable_bitmapscan`,
	} {
		if _, err := super.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
			return err
		}
	}
	return sql.GrantSPAPI(ctx, super, []string{"consumer"})
})

// connect opens a connection to the database of million.
func connect(b *testing.B, user string) *pgx.Conn {
	b.Helper()
	if err := million(); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), cluster.URL(user, "postgres"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// sequentialScans returns how often tables of many rows were read from end to
// end since the server started.
func sequentialScans(b *testing.B, super *pgx.Conn) (n int) {
	b.Helper()
	if err := super.QueryRow(b.Context(), `
		select coalesce(sum(s.seq_scan), 0)
		  from pg_stat_user_tables s
		 where s.schemaname = 'auth' and s.n_live_tup > 100`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// An address of a random user: one of the aliases, with an extension or not.
func address(extension string) string {
	user := rand.IntN(users) + 1
	return fmt.Sprintf("a%d.u%d%s@d%d.example", rand.IntN(aliases-1)+1, user, extension, user%domains)
}

func BenchmarkResolveAlias(b *testing.B) {
	lookups(b, `SELECT * FROM authserver_resolve_alias($1, TRUE)`, "")
}

func BenchmarkResolveSubAddress(b *testing.B) {
	lookups(b, `SELECT * FROM authserver_resolve_alias($1, TRUE)`, "-x+y")
}

func BenchmarkGetCredentials(b *testing.B) {
	lookups(b, `SELECT * FROM authserver_get_credentials($1)`, "")
}

func BenchmarkGetCredentialsWithPermission(b *testing.B) {
	lookups(b, `SELECT * FROM authserver_get_credentials($1, 'imap')`, "")
}

// The query of deployed configurations.
func BenchmarkJoinedCredentials(b *testing.B) {
	lookups(b, `SELECT creds.primary_alias, creds.password
		FROM authserver_resolve_alias($1, FALSE) AS res, authserver_get_credentials(res.alias, 'imap') AS creds`, "")
}

// lookups runs a prepared query for random addresses on one connection, in turn
// with a question that needs no answer: what that one takes is the machine's
// and the network's part. It reports lookups per second and percentiles of
// both, and fails if the database read a table of many rows from end to end.
func lookups(b *testing.B, query, extension string) {
	ctx := b.Context()
	super, conn := connect(b, "postgres"), connect(b, "consumer")
	for name, query := range map[string]string{"lookup": query, "empty": `SELECT $1::varchar`} {
		if _, err := conn.Prepare(ctx, name, query); err != nil {
			b.Fatal(err)
		}
	}
	ask := func(prepared, address string) time.Duration {
		start := time.Now()
		rows, err := conn.Query(ctx, prepared, address)
		if err != nil {
			b.Fatal(err)
		}
		found := rows.Next()
		rows.Close()
		if !found || rows.Err() != nil {
			b.Fatal("not found", rows.Err())
		}
		return time.Since(start)
	}
	before := sequentialScans(b, super)
	for range 100 { // as has the connection
		ask("lookup", address(extension))
	}

	var lookups, empty []time.Duration
	for b.Loop() {
		lookups = append(lookups, ask("lookup", address(extension)))
		empty = append(empty, ask("empty", "alice@example.com"))
	}
	var total time.Duration
	for _, d := range lookups {
		total += d
	}
	b.ReportMetric(float64(len(lookups))/total.Seconds(), "lookups/s")
	b.ReportMetric(percentile(lookups, 50), "p50-ms")
	b.ReportMetric(percentile(lookups, 99), "p99-ms")
	b.ReportMetric(percentile(empty, 50), "empty-p50-ms")
	b.ReportMetric(percentile(empty, 99), "empty-p99-ms")

	if _, err := conn.Exec(ctx, `select pg_stat_force_next_flush()`); err != nil {
		b.Fatal(err)
	}
	if after := sequentialScans(b, super); after != before {
		b.Fatalf("%d sequential scans", after-before)
	}
}

// percentile returns, in milliseconds, what n of 100 durations stay below.
func percentile(durations []time.Duration, n int) float64 {
	slices.Sort(durations)
	return float64(durations[len(durations)*n/100].Microseconds()) / 1000
}

// A program that starts, or a migrate that configuration management runs again
// and again, finds the database up to date.
func BenchmarkMigrateUpToDate(b *testing.B) {
	super := connect(b, "postgres")
	for b.Loop() {
		if err := sql.Migrate(b.Context(), super); err != nil {
			b.Fatal(err)
		}
	}
}
