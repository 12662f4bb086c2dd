package checkpassword

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// source is where a Watcher gets keys, and the program that it tells.
type source struct {
	mu       sync.Mutex
	text     string
	err      error
	broken   error       // of each reload
	fetched  []time.Time // when it was asked
	reloaded []time.Time
}

func (s *source) set(text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.err = text, err
}

func (s *source) fetch(context.Context) ([]byte, Keys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = append(s.fetched, time.Now())
	if s.err != nil {
		return nil, nil, s.err
	}
	keys, err := ParseKeys([]byte(s.text))
	return []byte(s.text), keys, err
}

func (s *source) reload(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloaded = append(s.reloaded, time.Now())
	return s.broken
}

// breakReload makes reloads fail, or succeed again.
func (s *source) breakReload(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// counts returns how often keys were fetched and reloaded.
func (s *source) counts() (fetched, reloaded int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetched), len(s.reloaded)
}

// watcher returns one of a file that is not there yet, in a folder of its own.
func (s *source) watcher(t testing.TB) *Watcher {
	return &Watcher{
		File: filepath.Join(t.TempDir(), "keys"), Fetch: s.fetch, Reload: s.reload,
		Log: slog.New(slog.DiscardHandler),
	}
}

func expectFile(t testing.TB, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("the file is %q, %v; want %q", got, err, want)
	}
}

// expectAlone finds files that were left behind beside the key file.
func expectAlone(t testing.TB, name string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) > 1 {
		t.Errorf("beside the key file: %v, %v", entries, err)
	}
}

func public(t testing.TB, algs ...string) string {
	t.Helper()
	var all string
	for _, alg := range algs {
		_, text := encode(t, signers()[alg].key.Public())
		all += string(text)
	}
	return all
}

const interval = 5 * time.Minute

// run starts w.Run in the bubble of a test, which ends before the test does.
func run(t *testing.T, w *Watcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, interval)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	synctest.Wait()
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// A change is in the file within an interval, and the program is told of it
// once, however often nothing changes afterwards.
func TestWatcherSeesChanges(t *testing.T) {
	one, two := public(t, "ES256"), public(t, "ES256", "RS256")
	cert, renewed := certificate(t, signers()["ES256"]), certificate(t, signers()["ES256"])
	synctest.Test(t, func(t *testing.T) {
		s := source{text: one}
		w := s.watcher(t)
		run(t, w)
		expectFile(t, w.File, one)

		for i, text := range []string{two, one, cert, renewed} {
			s.set(text, nil)
			pass(interval)
			expectFile(t, w.File, text)
			before, _ := s.counts()
			pass(10 * interval)
			if after, reloaded := s.counts(); reloaded != i+2 || after < before+10 || after > before+14 {
				t.Errorf("after change %d: fetched %d times, reloaded %d times", i+1, after-before, reloaded)
			}
		}
		expectAlone(t, w.File)
	})
}

// A reload that fails is tried again at each interval, also while there is
// nothing to fetch; not at the pace at which the server is asked.
func TestWatcherRepeatsReload(t *testing.T) {
	one, two := public(t, "ES256"), public(t, "RS256")
	synctest.Test(t, func(t *testing.T) {
		s := source{text: one, broken: errors.New("exit status 1")}
		w := s.watcher(t)
		run(t, w)
		s.set("", ErrUnavailable)
		pass(10 * interval)
		fetched, reloaded := s.counts()
		if reloaded < 8 || reloaded > 14 {
			t.Errorf("reloaded %d times in 10 intervals", reloaded)
		}
		if fetched < reloaded+3 {
			t.Errorf("fetched %d times in 10 intervals", fetched)
		}
		s.mu.Lock()
		for i, at := range s.reloaded[1:] {
			if gap := at.Sub(s.reloaded[i]); gap < earliest(interval) {
				t.Errorf("reloaded again after %v", gap)
			}
		}
		s.mu.Unlock()

		s.set(two, nil)
		pass(interval)
		_, again := s.counts()
		if again <= reloaded {
			t.Error("the change was not told")
		}
		s.breakReload(nil)
		pass(interval)
		_, reloaded = s.counts()
		pass(10 * interval)
		if _, last := s.counts(); last != reloaded {
			t.Errorf("reloaded %d times more after it succeeded", last-reloaded)
		}
		expectAlone(t, w.File)
	})
}

// New keys are told at once, even if a reload has failed a moment before.
func TestWatcherTellsOfNewKeysAtOnce(t *testing.T) {
	one, two := public(t, "ES256"), public(t, "RS256")
	synctest.Test(t, func(t *testing.T) {
		s := source{text: one, broken: errors.New("exit status 1")}
		w := s.watcher(t)
		run(t, w)
		s.set("", ErrUnavailable)
		for fetched := 1; fetched < 2; fetched, _ = s.counts() {
			pass(time.Second)
		}
		if _, reloaded := s.counts(); reloaded != 2 {
			t.Fatalf("reloaded %d times", reloaded)
		}
		s.set(two, nil)
		pass(firstRetry)
		expectFile(t, w.File, two)
		if _, reloaded := s.counts(); reloaded != 3 {
			t.Errorf("reloaded %d times", reloaded)
		}
	})
}

// While the server is away, it is asked soon and then ever later, never later
// than at the interval.
func TestWatcherBacksOff(t *testing.T) {
	one, two := public(t, "ES256"), public(t, "RS256")
	synctest.Test(t, func(t *testing.T) {
		s := source{text: one}
		w := s.watcher(t)
		run(t, w)
		s.set("", ErrUnavailable)
		pass(8 * interval)
		expectFile(t, w.File, one)
		s.mu.Lock()
		waits := []time.Duration{interval, 5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, interval, interval}
		for i, want := range waits {
			if gap := s.fetched[i+1].Sub(s.fetched[i]); gap > want || gap < earliest(want) {
				t.Errorf("wait %d took %v, want up to %v", i, gap, want)
			}
		}
		last := len(s.fetched) - 1
		s.mu.Unlock()

		s.set(two, nil)
		pass(interval)
		expectFile(t, w.File, two)
		s.set("", ErrUnavailable)
		pass(2 * interval)
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, at := range s.fetched[last+2:] {
			if at.Sub(s.fetched[last+1+i]) <= firstRetry {
				return // it starts from the beginning
			}
		}
		t.Error("no quick retry after the server was back")
	})
}

// Ready comes when there is a file to read, and before Reload, which may wait
// for it.
func TestWatcherReady(t *testing.T) {
	one := public(t, "ES256")
	t.Run("without a file", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := source{err: ErrUnavailable}
			w := s.watcher(t)
			ready := 0
			w.Ready = func() {
				ready++
				if _, reloaded := s.counts(); reloaded != 0 {
					t.Error("reloaded before Ready")
				}
			}
			run(t, w)
			pass(3 * interval)
			if ready != 0 {
				t.Error("ready without a file")
			}
			s.set(one, nil)
			pass(3 * interval)
			if _, reloaded := s.counts(); ready != 1 || reloaded != 1 {
				t.Errorf("ready %d times, reloaded %d times", ready, reloaded)
			}
		})
	})
	t.Run("with a file, while the server is away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := source{err: ErrUnavailable}
			w := s.watcher(t)
			ready := 0
			w.Ready = func() { ready++ }
			if err := WriteKeys(w.File, []byte(one)); err != nil {
				t.Fatal(err)
			}
			run(t, w)
			if ready != 1 {
				t.Errorf("ready %d times", ready)
			}
		})
	})
}

// The end of the context ends a wait, a fetch and a reload. What was not told
// is told at the next start.
func TestWatcherEnds(t *testing.T) {
	one := public(t, "ES256")
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	tests := map[string]func(s *source, w *Watcher){
		"a wait": func(*source, *Watcher) {},
		"a fetch": func(s *source, w *Watcher) {
			w.Fetch = func(ctx context.Context) ([]byte, Keys, error) { return nil, nil, hang(ctx) }
		},
		"a reload": func(s *source, w *Watcher) { w.Reload = hang },
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := source{text: one}
				w := s.watcher(t)
				arrange(&s, w)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begun := time.Now()
				w.Run(ctx, interval)
				if took := time.Since(begun); took != time.Minute {
					t.Errorf("ended after %v", took)
				}
				w.Fetch, w.Reload = s.fetch, s.reload
				if err := w.Update(t.Context()); err != nil {
					t.Error(err)
				}
				if _, reloaded := s.counts(); reloaded != 1 {
					t.Errorf("told %d times", reloaded)
				}
			})
		})
	}
}

// Whatever a server answers instead of keys, the file stays, nobody is told, and
// the next good answer is taken.
func TestWatcherBadAnswers(t *testing.T) {
	good := `{"bundle": ["` + strings.ReplaceAll(certificate(t, signers()["ES256"]), "\n", `", "`) + `"]}`
	var status atomic.Int32
	var body atomic.Value
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		io.WriteString(w, body.Load().(string))
	})
	s := source{}
	w := s.watcher(t)
	w.Fetch = func(ctx context.Context) ([]byte, Keys, error) {
		return FetchKeys(ctx, client.HTTP, client.URL, KeyRequest{Owner: "r", Name: "registry.example.com", Format: "bundle"})
	}
	old := certificate(t, signers()["RS256"])
	if err := WriteKeys(w.File, []byte(old)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		status int32
		body   string
		want   error // nil: any
	}{
		"there is no such registry": {404, `{"error": "Not a valid registry"}`, ErrNoKey},
		"several have this domain":  {400, `{"error": "several registries"}`, nil},
		"it has trouble":            {500, "", nil},
		"it is about to stop":       {503, "<html>", nil},
		"it sends us elsewhere":     {302, "", nil},
		"nothing":                   {200, "", nil},
		"no JSON":                   {200, "<html></html>", nil},
		"half of the answer":        {200, good[:len(good)-10], nil},
		"no keys":                   {200, `{"bundle": []}`, nil},
		"null":                      {200, `{"bundle": null}`, nil},
		"another format":            {200, strings.Replace(good, "bundle", "cert", 1), nil},
		"half a certificate":        {200, `{"bundle": ["-----BEGIN CERTIFICATE-----"]}`, nil},
		"far too much":              {200, `{"bundle": ["` + strings.Repeat("a", maxBody) + `"]}`, ErrUnavailable},
	}
	for name, tt := range tests {
		status.Store(tt.status)
		body.Store(tt.body)
		if err := w.Update(t.Context()); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		expectFile(t, w.File, old)
		expectAlone(t, w.File)
	}
	if _, reloaded := s.counts(); reloaded != 0 {
		t.Errorf("reloaded %d times", reloaded)
	}
	status.Store(200)
	body.Store(good)
	if err := w.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, reloaded := s.counts(); reloaded != 1 {
		t.Errorf("reloaded %d times", reloaded)
	}
}

// A server that is down leaves the file as it is, and its return is noticed.
func TestWatcherServerDownAndUp(t *testing.T) {
	one := public(t, "ES256")
	var down atomic.Bool
	down.Store(true)
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler) // no answer at all
		}
		io.WriteString(w, `{"public_key_pem": ["`+strings.ReplaceAll(one, "\n", `", "`)+`"]}`)
	})
	s := source{}
	w := s.watcher(t)
	w.Fetch = func(ctx context.Context) ([]byte, Keys, error) {
		return FetchKeys(ctx, client.HTTP, client.URL, KeyRequest{Format: "pubkey"})
	}
	if err := w.Update(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	if _, err := os.Stat(w.File); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("down, and there is a file: %v", err)
	}
	down.Store(false)
	if err := w.Update(t.Context()); err != nil {
		t.Errorf("up: %v", err)
	}
	expectFile(t, w.File, one)
}

// A reload that another process did not get done is done by the next.
func TestWatcherFinishesReload(t *testing.T) {
	s := source{text: public(t, "ES256"), broken: errors.New("exit status 1")}
	w := s.watcher(t)
	if err := w.Update(t.Context()); !errors.Is(err, ErrReload) {
		t.Errorf("a reload that fails: %v", err)
	}
	expectFile(t, w.File, s.text)

	s.err = ErrUnavailable
	again := *w
	if err := again.Update(t.Context()); !errors.Is(err, ErrReload) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("both fail: %v", err)
	}
	s.err, s.broken = nil, nil
	again = *w
	if err := again.Update(t.Context()); err != nil {
		t.Errorf("the next process: %v", err)
	}
	if err := w.Update(t.Context()); err != nil || len(s.reloaded) != 3 {
		t.Errorf("reloaded %d times, %v", len(s.reloaded), err)
	}
	expectAlone(t, w.File)
}

// Nobody is told of a change that did not get into the file.
func TestWatcherCannotWrite(t *testing.T) {
	s := source{text: public(t, "ES256")}
	w := s.watcher(t)
	w.Fetch = func(ctx context.Context) ([]byte, Keys, error) {
		if err := os.Mkdir(w.File, 0o700); err != nil {
			t.Error(err)
		}
		return s.fetch(ctx)
	}
	if err := w.Update(t.Context()); err == nil {
		t.Error("a folder was replaced")
	}
	if len(s.reloaded) != 0 {
		t.Error("reloaded")
	}
	expectAlone(t, w.File)
}

// The mode of a file stays, and its owner.
func TestWatcherKeepsOwnerAndMode(t *testing.T) {
	one, two := public(t, "ES256"), public(t, "RS256")
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 { // nobody else could
		uid, gid = 65534, 65533
	}
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o600, 0o444} {
		s := source{text: two}
		w := s.watcher(t)
		if err := os.WriteFile(w.File, []byte(one), mode); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(w.File, mode), os.Chown(w.File, uid, gid)); err != nil {
			t.Fatal(err)
		}
		if err := w.Update(t.Context()); err != nil {
			t.Errorf("%v: %v", mode, err)
			continue
		}
		expectFile(t, w.File, two)
		info, err := os.Stat(w.File)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != mode || int(stat.Uid) != uid || int(stat.Gid) != gid {
			t.Errorf("%v became %v of %d:%d", mode, info.Mode(), stat.Uid, stat.Gid)
		}
	}
}

// What must not be replaced is noticed before a server is asked.
func TestWatcherRefusesFiles(t *testing.T) {
	one := public(t, "ES256")
	write := func(mode fs.FileMode) func(name string) error {
		return func(name string) error {
			return errors.Join(os.WriteFile(name, []byte(one), 0o600), os.Chmod(name, mode))
		}
	}
	tests := map[string]func(name string) error{
		"one that everybody can write": write(0o646),
		"a folder":                     func(name string) error { return os.Mkdir(name, 0o700) },
		"a pipe":                       func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"a link":                       func(name string) error { return os.Symlink("/dev/null", name) },
		"a link to keys": func(name string) error {
			return errors.Join(write(0o600)(name+".real"), os.Symlink(name+".real", name))
		},
		"one in a folder that is gone": func(name string) error { return os.Remove(filepath.Dir(name)) },
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			s := source{text: public(t, "RS256")}
			w := s.watcher(t)
			if err := arrange(w.File); err != nil {
				t.Fatal(err)
			}
			if err := w.Update(t.Context()); err == nil || len(s.fetched)+len(s.reloaded) > 0 {
				t.Errorf("%v, asked %d times, told %d times", err, len(s.fetched), len(s.reloaded))
			}
			if content, err := os.ReadFile(w.File + ".real"); err == nil && string(content) != one {
				t.Error("what the link points to was replaced")
			}
		})
	}
}

// A link in the place of the note that a reload is due leads nowhere.
func TestWatcherMarkerLink(t *testing.T) {
	s := source{text: public(t, "ES256")}
	w := s.watcher(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, w.marker()); err != nil {
		t.Fatal(err)
	}
	if err := w.Update(t.Context()); err != nil || len(s.reloaded) != 1 {
		t.Errorf("%v, reloaded %d times", err, len(s.reloaded))
	}
	expectFile(t, victim, "precious")
	expectAlone(t, w.File)
}

// Empty and damaged files are replaced like others.
func TestWatcherRepairs(t *testing.T) {
	for _, content := range []string{"", "hello\n", public(t, "RS256")[:40]} {
		s := source{text: public(t, "ES256")}
		w := s.watcher(t)
		if err := os.WriteFile(w.File, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Update(t.Context()); err != nil || len(s.reloaded) != 1 {
			t.Errorf("%q: %v", content, err)
		}
		expectFile(t, w.File, s.text)
	}
}

// levels remembers the levels of log lines.
type levels struct {
	slog.Handler
	seen []slog.Level
}

func (l *levels) Enabled(context.Context, slog.Level) bool { return true }

func (l *levels) Handle(_ context.Context, r slog.Record) error {
	l.seen = append(l.seen, r.Level)
	return nil
}

// That no key is left of those that were there is worth a look; that some go
// and others come is not.
func TestWatcherWarns(t *testing.T) {
	for _, tt := range []struct {
		before, after []string
		want          slog.Level
	}{
		{nil, []string{"ES256"}, slog.LevelInfo},
		{[]string{"ES256"}, []string{"ES256", "RS256"}, slog.LevelInfo},
		{[]string{"ES256", "RS256"}, []string{"RS256", "EdDSA"}, slog.LevelInfo},
		{[]string{"ES256"}, []string{"RS256"}, slog.LevelWarn},
		{[]string{"ES256", "EdDSA"}, []string{"RS256"}, slog.LevelWarn},
	} {
		s := source{text: public(t, tt.after...)}
		w := s.watcher(t)
		log := levels{}
		w.Log, w.Reload = slog.New(&log), nil
		if err := os.WriteFile(w.File, []byte(public(t, tt.before...)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Update(t.Context()); err != nil || !slices.Equal(log.seen, []slog.Level{tt.want}) {
			t.Errorf("%v to %v: %v, %v", tt.before, tt.after, log.seen, err)
		}
		expectFile(t, w.File, s.text)
		expectAlone(t, w.File)
	}
}

// Who reads the file at any time finds all of the old keys or all of the new.
func TestWatcherAtomic(t *testing.T) {
	one, two := public(t, "ES256"), public(t, "RS256", "ES256", "EdDSA")
	s := source{text: one}
	w := s.watcher(t)
	if err := w.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reads := map[string]int{}
	reader.Go(func() {
		for ctx.Err() == nil {
			content, err := os.ReadFile(w.File)
			if err != nil {
				t.Error(err)
				return
			}
			reads[string(content)]++
		}
	})
	for i := range 200 {
		s.set([]string{two, one}[i%2], nil)
		if err := w.Update(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	reader.Wait()
	if len(reads) > 2 || reads[one]+reads[two] == 0 {
		t.Errorf("read %d kinds of content", len(reads))
	}
	for content, n := range reads {
		if content != one && content != two {
			t.Errorf("%d times %q", n, content)
		}
	}
}

// The key that signs comes first. When that is another one, no program need be
// told.
func TestWatcherOrder(t *testing.T) {
	t.Parallel()
	jwks := func(algs ...string) string {
		var set jose.JSONWebKeySet
		for _, alg := range algs {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: signers()[alg].key.Public(), KeyID: alg})
		}
		text, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, form := range map[string]func(...string) string{
		"PEM": func(algs ...string) string { return public(t, algs...) }, "JWKS": jwks,
	} {
		t.Run(name, func(t *testing.T) {
			var s source
			w := s.watcher(t)
			for i, step := range []struct {
				algs     []string
				reloaded int
			}{
				{[]string{"RS256", "ES256"}, 1}, {[]string{"ES256", "RS256"}, 1}, {[]string{"ES256", "RS256", "EdDSA"}, 2}, {[]string{"EdDSA", "ES256"}, 3},
			} {
				s.set(form(step.algs...), nil)
				if err := w.Update(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, reloaded := s.counts(); reloaded != step.reloaded {
					t.Errorf("step %d: reloaded %d times, want %d", i, reloaded, step.reloaded)
				}
			}
		})
	}
}
