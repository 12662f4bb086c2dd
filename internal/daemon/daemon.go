// Package daemon is what every server program shares around its own work.
//
//	daemon.go  Serve: until the context ends, then gracefully
//	listen.go  Address, Listen: by address or from systemd; the PROXY protocol
//	tls.go     Certificates: read again when they change
//	log.go     Log: logfmt or JSON, the level, attributes that a context carries
//	notify.go  Ready, Reloading, Watchdog: what systemd is told
//
// Signals that end a program are package command's: they end the context.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// A Server answers on a listener: with TLS if its TLSConfig is set.
type Server struct {
	*http.Server
	Listener net.Listener
}

// Serve runs all servers until ctx ends or one of them does. Then none accepts
// anything more, connections without a request are closed, and requests that
// are being answered have until the deadline. The error is that of a server
// that ended by itself, or that the deadline has cut requests off.
func Serve(ctx context.Context, deadline time.Duration, servers ...Server) error {
	ended := make(chan error, len(servers))
	for _, s := range servers {
		go func() { ended <- s.run() }()
	}
	var failed error
	left := len(servers)
	select {
	case <-ctx.Done():
	case failed = <-ended:
		left--
	}
	Stopping()

	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	stopped := make(chan error, len(servers))
	for _, s := range servers {
		go func() { stopped <- s.stop(bounded, deadline) }()
	}
	for range servers {
		failed = errors.Join(failed, <-stopped)
	}
	for range left {
		failed = errors.Join(failed, <-ended)
	}
	return failed
}

func (s Server) run() error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(s.Listener, "", "")
	} else {
		err = s.Server.Serve(s.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("listener %s: %w", s.Listener.Addr(), err)
}

func (s Server) stop(ctx context.Context, deadline time.Duration) error {
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.Close() // of connections that are in the middle of something: their errors say so
		return fmt.Errorf("listener %s: requests that took longer than %v were cut off", s.Listener.Addr(), deadline)
	}
	if errors.Is(err, net.ErrClosed) {
		return nil // the listener, which is what was wanted
	}
	return err
}

// NewServer returns an HTTP server with limits that no client of ours comes
// near, and which hold off those who send slowly or without end.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		// The handler answers OPTIONS * too, with the headers of all answers.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(slog.Default().Handler(), slog.LevelInfo),
	}
}
