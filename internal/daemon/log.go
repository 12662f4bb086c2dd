package daemon

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"
)

// Log is how a daemon logs.
type Log struct {
	Format logFormat // logfmt if empty
	Level  logLevel
}

// Flags returns the flags that fill l.
func (l *Log) Flags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{
			Name: "log-format", EnvVars: []string{"LOG_FORMAT"}, Value: &l.Format,
			Usage: "write log lines as `FORMAT`: logfmt or json",
		},
		&cli.GenericFlag{
			Name: "log-level", EnvVars: []string{"LOG_LEVEL", "APPLICATION_LOGLEVEL"}, Value: &l.Level,
			Usage: "log what is at least of this `LEVEL`: debug, info, warning or error",
		},
	}
}

// Start makes this the log of the program, written to w.
func (l Log) Start(w io.Writer) { slog.SetDefault(slog.New(l.handler(w))) }

func (l Log) handler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: slog.Level(l.Level)}
	if l.Format == "json" {
		return contextHandler{slog.NewJSONHandler(w, options)}
	}
	return contextHandler{slog.NewTextHandler(w, options)}
}

type logFormat string

func (f *logFormat) Set(s string) error {
	switch s {
	case "logfmt", "json":
		*f = logFormat(s)
		return nil
	}
	return fmt.Errorf("%q is not a log format, want logfmt or json", s)
}

func (f *logFormat) String() string { return cmp.Or(string(*f), "logfmt") }

type logLevel slog.Level

// Set also takes Python's names, which the ancestor's environment has.
func (l *logLevel) Set(s string) error {
	switch strings.ToLower(s) {
	case "debug":
		*l = logLevel(slog.LevelDebug)
	case "info":
		*l = logLevel(slog.LevelInfo)
	case "warning", "warn":
		*l = logLevel(slog.LevelWarn)
	case "error", "critical", "fatal":
		*l = logLevel(slog.LevelError)
	default:
		return fmt.Errorf("%q is not a log level, want debug, info, warning or error", s)
	}
	return nil
}

func (l *logLevel) String() string { return strings.ToLower(slog.Level(*l).String()) }

type logKey struct{}

// WithLogAttr returns a context whose log lines, written by the Context
// functions of log/slog, end with this attribute.
func WithLogAttr(ctx context.Context, attr slog.Attr) context.Context {
	attrs, _ := ctx.Value(logKey{}).([]slog.Attr)
	return context.WithValue(ctx, logKey{}, append(attrs[:len(attrs):len(attrs)], attr))
}

// contextHandler adds the attributes that WithLogAttr has put into a context.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if attrs, ok := ctx.Value(logKey{}).([]slog.Attr); ok {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}
