package client

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

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

// with returns clients that no database has.
func with(t testing.TB, rows ...clientRow) *Clients {
	t.Helper()
	cs := newClients(nil)
	cs.replace(context.Background(), rows, nil)
	t.Cleanup(cs.Wait)
	return cs
}

// confidential returns a client with secrets.
func confidential(id string, secrets ...string) clientRow {
	row := clientRow{
		ClientID: id, Name: id, Enabled: true, Type: Confidential, TokenEndpointAuthMethod: SecretBasic,
		GrantTypes: []string{AuthorizationCode},
	}
	for _, secret := range secrets {
		sum := sha256.Sum256([]byte(secret))
		row = row.withSecret(int64(len(row.SecretIDs)+1), sum[:], "", nil)
	}
	return row
}

func public(id string) clientRow {
	return clientRow{
		ClientID: id, Name: id, Enabled: true, Type: Public, TokenEndpointAuthMethod: None,
		GrantTypes: []string{AuthorizationCode},
	}
}

func (r clientRow) withSecret(id int64, sum []byte, hash string, expiresAt *time.Time) clientRow {
	r.SecretIDs = append(r.SecretIDs, id)
	r.SecretSHA256 = append(r.SecretSHA256, sum)
	r.SecretHash = append(r.SecretHash, hash)
	r.SecretExpiresAt = append(r.SecretExpiresAt, expiresAt)
	return r
}

func (r clientRow) disabled() clientRow {
	r.Enabled = false
	return r
}
