package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A note is a number in the database that a program keeps in memory.
type note struct {
	name     string // of its table and its channel, and of the program
	db       *pgxpool.Pool
	followed Followed

	value, loads atomic.Int64 // as the program has it; how often it was loaded
	away         atomic.Bool  // the database refuses to be connected to
	refused      atomic.Int64
	broken       atomic.Bool // Load fails
}

func newNote(t *testing.T) *note {
	t.Helper()
	n := &note{name: strings.ToLower(t.Name())}
	config, err := pgxpool.ParseConfig(cluster.SuperuserURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = n.name
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		if n.away.Load() {
			n.refused.Add(1)
			return errors.New("nobody answers")
		}
		return nil
	}
	if n.db, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.db.Close)
	n.followed = Followed{What: "notes", Channels: []string{n.name, n.name + " 2"}, Every: time.Minute, Load: n.load}
	n.exec(t, "create table "+n.name+" as select 0 as value")
	t.Cleanup(func() { n.exec(t, "drop table "+n.name) })
	return n
}

func (n *note) load(ctx context.Context, db Querier) error {
	if n.broken.Load() {
		return errors.New("damaged")
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("nothing ends Load")
	}
	var value int64
	if err := db.QueryRow(ctx, "select n.value from "+n.name+" n").Scan(&value); err != nil {
		return err
	}
	n.value.Store(value)
	n.loads.Add(1)
	return nil
}

// run follows the note until the test ends, or the function is called.
func (n *note) run(t *testing.T) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Follow(ctx, n.db, n.followed) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Follow = %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

// exec runs a statement on a connection that n.away does not concern.
func (n *note) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also when the test is at its end
	conn, err := pgx.Connect(ctx, cluster.SuperuserURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		t.Fatal(err)
	}
}

// change changes the note and tells it on a channel.
func (n *note) change(t *testing.T, value int, channel string) {
	t.Helper()
	n.exec(t, fmt.Sprintf("do $$ begin update %s set value = %d; perform pg_notify('%s', ''); end $$", n.name, value, channel))
}

// set changes the note and tells nobody.
func (n *note) set(t *testing.T, value int) {
	t.Helper()
	n.exec(t, fmt.Sprintf("update %s set value = %d", n.name, value))
}

// terminate ends the program's connections.
func (n *note) terminate(t *testing.T) {
	t.Helper()
	n.exec(t, `select pg_terminate_backend(a.pid) from pg_stat_activity a where a.application_name = $1`, n.name)
}

// await waits until a condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not yet", what)
		}
	}
}

func (n *note) is(value int64) func() bool { return func() bool { return n.value.Load() == value } }

func TestFollow(t *testing.T) {
	n := newNote(t)
	n.set(t, 1)
	end := n.run(t)
	await(t, "what there is at the beginning", n.is(1))
	for i, channel := range n.followed.Channels {
		n.change(t, i+2, channel)
		await(t, channel, n.is(int64(i+2)))
	}

	end()
	await(t, "the end of the connection", func() bool {
		var left int
		if err := n.db.QueryRow(t.Context(), `select count(*) from pg_stat_activity a
			where a.application_name = $1 and a.pid <> pg_backend_pid()`, n.name).Scan(&left); err != nil {
			t.Error(err)
		}
		return left == 0
	})
}

func TestFollowSurvivesItsConnection(t *testing.T) {
	n := newNote(t)
	n.run(t)
	for i := range int64(3) {
		await(t, "a load", func() bool { return n.loads.Load() > i })
		n.terminate(t)
		n.change(t, int(i)+1, n.name)
		await(t, "a change after the connection was lost", n.is(i+1))
	}
}

// A change that nobody was told about is found by looking now and then.
func TestFollowLooksByItself(t *testing.T) {
	n := newNote(t)
	n.followed.Every = 10 * time.Millisecond
	n.run(t)
	for i := range 2 {
		n.set(t, i+1)
		await(t, "a silent change", n.is(int64(i)+1))
	}
}

// Any login of the database may notify, as often as it likes. Between two loads
// there is some time nevertheless, and they do not cease.
func TestFollowUnderManyNotifications(t *testing.T) {
	n := newNote(t)
	began := time.Now()
	n.run(t)
	await(t, "three loads", func() bool {
		n.exec(t, "notify "+n.name)
		return n.loads.Load() >= 3
	})
	if took := time.Since(began); took < 2*minInterval {
		t.Errorf("three loads in %v", took)
	}
}

// Changes that come together are loaded together.
func TestFollowCoalesces(t *testing.T) {
	n := newNote(t)
	n.run(t)
	await(t, "a load", func() bool { return n.loads.Load() == 1 })
	for i := range 20 {
		n.change(t, i+1, n.name)
	}
	await(t, "all changes", n.is(20))
	if loads := n.loads.Load(); loads > 10 {
		t.Errorf("%d loads for 20 changes", loads)
	}
}

// captureLog returns what is logged until the end of the test.
func captureLog(t *testing.T) *logged {
	t.Helper()
	was := slog.Default()
	t.Cleanup(func() { slog.SetDefault(was) })
	l := &logged{}
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	return l
}

// logged is a log that several goroutines write.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how often something is in the log.
func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

const (
	gone = `msg="the database is gone, notes stay as they are"`
	back = `msg="the database is back, notes are up to date"`
)

// A database that is away is one line in the log, however often it is tried,
// and one when it is back.
func TestFollowTellsOnce(t *testing.T) {
	n := newNote(t)
	l := captureLog(t)
	n.run(t)
	for round := range 2 {
		await(t, "a load", func() bool { return n.loads.Load() > int64(round) })
		if l.count(gone) != round || l.count(back) != round {
			t.Errorf("round %d: gone %d times, back %d times", round, l.count(gone), l.count(back))
		}
		n.refused.Store(0)
		n.away.Store(true)
		n.terminate(t)
		attempts := int64(3 - 2*round) // the pause between them grows
		await(t, "attempts", func() bool { return n.refused.Load() >= attempts })
		if l.count(gone) != round+1 {
			t.Errorf("round %d: gone %d times", round, l.count(gone))
		}
		n.away.Store(false)
		await(t, "back", func() bool { return l.count(back) == round+1 })
	}
	if warnings := l.count("level=WARN"); warnings != 2 {
		t.Errorf("%d warnings", warnings)
	}
}

// What cannot be read stays as it was, until it can.
func TestFollowLoadFails(t *testing.T) {
	n := newNote(t)
	l := captureLog(t)
	n.run(t)
	await(t, "a load", func() bool { return n.loads.Load() == 1 })
	n.broken.Store(true)
	n.exec(t, "notify "+n.name)
	await(t, "a failure", func() bool { return l.count("err=damaged") == 1 })
	n.set(t, 7)
	n.broken.Store(false)
	await(t, "a load that succeeds", n.is(7))
	await(t, "back", func() bool { return l.count(back) == 1 })
}

// Whoever stops the program does not wait for a database that is away.
func TestFollowEndsWithoutDatabase(t *testing.T) {
	n := newNote(t)
	captureLog(t)
	n.away.Store(true)
	end := n.run(t)
	await(t, "attempts", func() bool { return n.refused.Load() >= 3 }) // the next pause is 200 ms at least
	began := time.Now()
	end()
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}
