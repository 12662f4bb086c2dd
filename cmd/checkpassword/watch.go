package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"authbridge/checkpassword"
	"authbridge/internal/daemon"

	"github.com/urfave/cli/v2"
)

// watchKeys keeps the key file up to date: once, or until a signal ends it.
func (cfg *config) watchKeys(c *cli.Context) error {
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal kills

	// What is wrong with the flags is wrong for ever.
	if _, err := cfg.connection.Client(&cfg.url.URL); err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(c.App.ErrWriter, nil)))
	w := checkpassword.Watcher{
		File: cfg.jwtkey,
		Fetch: func(ctx context.Context) ([]byte, checkpassword.Keys, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.timeout)
			defer cancel()
			return cfg.fetch(ctx)
		},
		Ready: daemon.Ready,
		Log:   slog.Default(),
	}
	if cfg.reload != "" {
		w.Reload = func(ctx context.Context) error {
			return runShell(ctx, cfg.reload, cfg.environ, c.App.ErrWriter)
		}
	}
	if cfg.interval == 0 {
		return w.Update(ctx)
	}
	w.Run(ctx, cfg.interval)
	daemon.Stopping()
	return nil
}
