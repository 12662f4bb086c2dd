package account

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"authbridge/internal/pgtest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(logHandler{}))
	pgtest.Main(m)
}

// A log keeps what is logged with the context of recorded, one line for each
// record: tests that run at once do not see each other's.
type log struct {
	mu    sync.Mutex
	lines []string
}

type logKey struct{}

func recorded(ctx context.Context) (context.Context, *log) {
	l := new(log)
	return context.WithValue(ctx, logKey{}, l), l
}

// take returns the lines since it was last called.
func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Join(l.lines, "\n")
	l.lines = nil
	return lines
}

type logHandler struct{}

func (logHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h logHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h logHandler) WithGroup(string) slog.Handler          { return h }

func (logHandler) Handle(ctx context.Context, r slog.Record) error {
	l, ok := ctx.Value(logKey{}).(*log)
	if !ok {
		return nil
	}
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}
