package audit_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"authbridge/internal/audit"
)

// logTo makes w the log of the program, without the time, until the returned
// function is called.
func logTo(w io.Writer, json bool) (restore func()) {
	before := slog.Default()
	options := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if json {
		handler = slog.NewJSONHandler(w, options)
	}
	slog.SetDefault(slog.New(handler))
	return func() { slog.SetDefault(before) }
}

// A filter of fail2ban matches this line.
func ExampleLoginFailed() {
	defer logTo(os.Stdout, false)()
	ctx := context.Background()
	audit.LoginFailed(ctx, "alice@example.com", "imap", netip.MustParseAddr("192.0.2.7"), "wrong password")
	audit.LoginFailed(ctx, "bob", "http", netip.MustParseAddr("::ffff:192.0.2.7"), "unknown")
	audit.LoginFailed(ctx, "bob", "http", netip.Addr{}, "unknown")
	// Output:
	// level=WARN msg=login.failed from=192.0.2.7 reason="wrong password" service=imap name=alice@example.com
	// level=WARN msg=login.failed from=192.0.2.7 reason=unknown service=http name=bob
	// level=WARN msg=login.failed from=unknown reason=unknown service=http name=bob
}

// The same as JSON, for who collects that.
func ExampleLoginFailed_json() {
	defer logTo(os.Stdout, true)()
	audit.LoginFailed(context.Background(), "alice@example.com", "imap", netip.MustParseAddr("2001:db8::7"), "wrong password")
	// Output: {"level":"WARN","msg":"login.failed","from":"2001:db8::7","reason":"wrong password","service":"imap","name":"alice@example.com"}
}

func ExampleLoginThrottled() {
	defer logTo(os.Stdout, false)()
	audit.LoginThrottled(context.Background(), "alice@example.com", "imap", netip.MustParseAddr("2001:db8::7"), 90*time.Second)
	// Output: level=WARN msg=login.throttled from=2001:db8::7 retry_after=1m30s service=imap name=alice@example.com
}

func ExampleLoginRepeated() {
	defer logTo(os.Stdout, false)()
	audit.LoginRepeated(context.Background(), "alice@example.com", "imap", netip.MustParseAddr("192.0.2.7"), "the same wrong password again")
	// Output: level=INFO msg=login.repeated from=192.0.2.7 reason="the same wrong password again" service=imap name=alice@example.com
}

func ExampleLoginForbidden() {
	defer logTo(os.Stdout, false)()
	from := netip.MustParseAddr("192.0.2.7")
	audit.LoginForbidden(context.Background(), "alice@example.com", "imap", from, []string{"smtp"})
	audit.LoginForbidden(context.Background(), "alice@example.com", "imap", from, []string{"smtp", "x from=198.51.100.1"})
	// Output:
	// level=INFO msg=login.forbidden from=192.0.2.7 missing=smtp service=imap name=alice@example.com
	// level=INFO msg=login.forbidden from=192.0.2.7 missing="smtp,x from=198.51.100.1" service=imap name=alice@example.com
}

func ExampleClientRefused() {
	defer logTo(os.Stdout, false)()
	audit.ClientRefused(context.Background(), netip.MustParseAddr("::ffff:192.0.2.25"))
	// Output: level=WARN msg=client.refused from=192.0.2.25
}

func ExampleSessionStarted() {
	defer logTo(os.Stdout, false)()
	ctx := context.Background()
	const id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	audit.SessionStarted(ctx, id, "alice", "", netip.MustParseAddr("192.0.2.7"))
	audit.SessionStarted(ctx, id, "alice", "printer", netip.MustParseAddr("2001:db8::7"))
	// Output:
	// level=INFO msg=session.started from=192.0.2.7 session=3f2504e0-4f89-41d3-9a0c-0305e82c3301 user=alice
	// level=INFO msg=session.started from=2001:db8::7 session=3f2504e0-4f89-41d3-9a0c-0305e82c3301 user=alice service_user=printer
}

func ExampleSessionEnded() {
	defer logTo(os.Stdout, false)()
	audit.SessionEnded(context.Background(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301", netip.MustParseAddr("192.0.2.7"))
	// Output: level=INFO msg=session.ended from=192.0.2.7 session=3f2504e0-4f89-41d3-9a0c-0305e82c3301
}

// The filter of docs/operations.md finds who has failed, with and without what
// the journal puts before a line, and nobody whom a login name makes up.
func TestFail2banFilter(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^failregex = (.*)$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/operations.md has no failregex")
	}
	filter := regexp.MustCompile(strings.ReplaceAll(string(found[1]), "<HOST>", `(\S+)`))
	var out bytes.Buffer
	slogBefore := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(slogBefore)
	from := netip.MustParseAddr("192.0.2.7")
	for _, name := range []string{"alice", "x\nlevel=WARN msg=login.failed from=198.51.100.1 ", "level=WARN msg=login.failed from=198.51.100.1 ", `" time=x level=WARN msg=login.failed from=198.51.100.1 "`} {
		for event, want := range map[string]bool{"failed": true, "throttled": false, "repeated": false, "forbidden": false, "refused": false} {
			out.Reset()
			switch event {
			case "failed":
				audit.LoginFailed(t.Context(), name, name, from, "unknown login")
			case "throttled":
				audit.LoginThrottled(t.Context(), name, name, from, time.Second)
			case "repeated":
				audit.LoginRepeated(t.Context(), name, name, from, "again")
			case "forbidden":
				audit.LoginForbidden(t.Context(), name, name, from, []string{name})
			case "refused":
				audit.ClientRefused(t.Context(), from)
			}
			for _, prefix := range []string{"", "mail authserver[4711]: "} {
				m := filter.FindStringSubmatch(prefix + out.String())
				if (m != nil) != want || want && m[1] != "192.0.2.7" {
					t.Errorf("in %q the filter finds %q", prefix+out.String(), m)
				}
			}
		}
	}
}

// Whatever is typed as a login name, the line is one line, and a pattern that
// looks for the address behind the event's name finds the client's.
func FuzzLoginName(f *testing.F) {
	f.Add("alice")
	f.Add("x\nlevel=WARN msg=login.failed from=198.51.100.1")
	f.Add(`x" msg=login.failed from=198.51.100.1`)
	f.Add("msg=login.failed from=198.51.100.1")
	f.Add("\u2028\x00\x1b[2K\r" + strings.Repeat("é", 1000))
	pattern := regexp.MustCompile(`^level=WARN msg=login\.failed from=(\S+) `)
	f.Fuzz(func(t *testing.T, name string) {
		var out bytes.Buffer
		defer logTo(&out, false)()
		audit.LoginFailed(t.Context(), name, name, netip.MustParseAddr("192.0.2.7"), "unknown")
		line, ended := strings.CutSuffix(out.String(), "\n")
		if !ended || strings.ContainsAny(line, "\n\r\x00\x1b") {
			t.Errorf("%q is not one line: %q", name, out.String())
		}
		if found := pattern.FindStringSubmatch(line); found == nil || found[1] != "192.0.2.7" {
			t.Errorf("%q is found as %q in %q", name, found, line)
		}
		if len(line) > 4000 {
			t.Errorf("a line of %d bytes", len(line))
		}
		out.Reset()
		audit.LoginForbidden(t.Context(), name, name, netip.MustParseAddr("192.0.2.7"), []string{name, name})
		line, ended = strings.CutSuffix(out.String(), "\n")
		if !ended || strings.ContainsAny(line, "\n\r\x00\x1b") || !strings.HasPrefix(line, "level=INFO msg=login.forbidden from=192.0.2.7 ") || len(line) > 6000 {
			t.Errorf("%q is in %q", name, out.String())
		}
	})
}
