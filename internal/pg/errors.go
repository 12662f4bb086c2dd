package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"authbridge/internal/command"
)

// oneLine is an error with another text.
type oneLine struct {
	text string
	err  error
}

func (e *oneLine) Error() string { return e.text }
func (e *oneLine) Unwrap() error { return e.err }

// explain returns err as one line if it is about the server's whereabouts.
// ctx is the caller's, without our timeout.
func explain(ctx context.Context, config *pgx.ConnConfig, timeout time.Duration, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var connecting *pgconn.ConnectError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &connecting):
		return &oneLine{fmt.Sprintf("%s: %s", name(config), reasons(connecting, timeout)), err}
	case IsReadOnly(err):
		return &oneLine{name(config) + " is read-only (a standby?)", err}
	case isLost(err):
		return &oneLine{fmt.Sprintf("%s: connection lost: %s", name(config), reason(err, timeout)), err}
	}
	return err
}

// IsReadOnly says whether err is that a read-only database was to be changed.
func IsReadOnly(err error) bool {
	return sqlState(err) == "25006" // read_only_sql_transaction
}

func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// isLost says whether err ended the connection.
func isLost(err error) bool {
	if state := sqlState(err); state != "" {
		return strings.HasPrefix(state, "57P") || strings.HasPrefix(state, "08") // shutdown, connection exceptions
	}
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}

// name says which database config means: "database at db1:5432, db2:5432
// (authserver)".
func name(config *pgx.ConnConfig) string {
	s := "database at " + strings.Join(hosts(config), ", ")
	if config.Database != "" {
		s += " (" + config.Database + ")"
	}
	return command.OneLine(s)
}

// hosts lists the servers of config. pgx lists one twice if it tries it with
// and without TLS.
func hosts(config *pgx.ConnConfig) []string {
	list := []string{address(config.Host, config.Port)}
	for _, fallback := range config.Fallbacks {
		if a := address(fallback.Host, fallback.Port); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") { // the folder of a socket
		return host + ":" + strconv.Itoa(int(port))
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// reasons says why connecting did not work: in one word if it is the same
// everywhere, or else for each server that was tried.
func reasons(err *pgconn.ConnectError, timeout time.Duration) string {
	attempts := []error{err.Unwrap()}
	if several, ok := err.Unwrap().(interface{ Unwrap() []error }); ok {
		attempts = several.Unwrap()
	}
	var short, long []string
	for _, attempt := range attempts {
		why := reason(attempt, timeout)
		if why == "server refused TLS connection" && len(attempts) > 1 {
			continue // and was asked without TLS then
		}
		if !slices.Contains(short, why) {
			short = append(short, why)
		}
		where, _, named := strings.Cut(attempt.Error(), " (") // "10.0.0.1:5432 (db1): dial error: …"
		if named && !strings.Contains(where, " ") {
			why = where + ": " + why
		}
		if !slices.Contains(long, why) {
			long = append(long, why)
		}
	}
	if len(short) == 1 {
		return short[0]
	}
	return strings.Join(long, "; ")
}

// reason says why one attempt did not work, without the steps that led there.
func reason(err error, timeout time.Duration) string {
	var pgErr *pgconn.PgError
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &pgErr):
		return command.OneLine(pgErr.Message) + " (SQLSTATE " + pgErr.Code + ")"
	case errors.As(err, &dns) && !dns.IsTimeout:
		return command.OneLine(dns.Name + ": " + dns.Err)
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %v", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server closed the connection"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return command.OneLine(err.Error())
		}
		err = inner
	}
}
