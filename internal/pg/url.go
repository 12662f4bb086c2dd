package pg

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"authbridge/internal/command"
)

// URL is where a database is: a libpq connection URL or keyword/value string,
// several hosts and pgx's pool_ parameters included. It never shows itself,
// because it may hold a password. The zero value is no URL.
type URL struct{ command.Secret }

// ParseURL returns s as a URL.
func ParseURL(s string) (URL, error) {
	var u URL
	err := u.Set(s)
	return u, err
}

// Set implements flag.Value. Its error shows nothing of a password.
func (u *URL) Set(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	if _, err := parse(s); err != nil {
		return err
	}
	u.Secret = command.Secret(s)
	return nil
}

// parse reads a connection string. pgx's own error repeats the string, and
// knows only some of the places where a password can be in a mistyped one. So
// only what it says about the kind of mistake counts, and no value.
func parse(s string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(s)
	if err == nil {
		return config, nil
	}
	text := err.Error()
	const end = "`: " // of the repeated string; there is no other behind it
	if i := strings.LastIndex(text, end); i >= 0 {
		text = text[i+len(end):]
	}
	switch kind, _, _ := strings.Cut(text, " ("); {
	case strings.HasPrefix(kind, "failed to parse as"):
		return nil, errors.New("not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters written like %2F")
	case kind == "failed to configure TLS":
		var file *fs.PathError
		if errors.As(err, &file) {
			text = strings.ReplaceAll(text, file.Path, "the file")
		}
		return nil, errors.New(command.OneLine(text))
	default:
		kind, _, _ = strings.Cut(kind, ": ")
		return nil, errors.New(command.OneLine(kind))
	}
}

// timeout is a flag value: a positive duration.
type timeout time.Duration

func (d *timeout) String() string { return time.Duration(*d).String() }

func (d *timeout) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return errors.New("not a positive duration like 5s or 500ms")
	}
	*d = timeout(v)
	return nil
}
