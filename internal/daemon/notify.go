package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Ready tells systemd that the program does its work, after its start or a
// reload. Without systemd nothing happens; so it is with all of these.
func Ready() { notify(sd.SdNotifyReady) }

// Stopping tells systemd that the program is about to end.
func Stopping() { notify(sd.SdNotifyStopping) }

// Reloading tells systemd that the program reads its files again. Ready says
// when that is done.
func Reloading() {
	// With Type=notify-reload systemd wants to know when, on this clock.
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		slog.Warn("no time for systemd", "err", err)
		return
	}
	notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, now.Nano()/1000))
}

// Watchdog tells systemd again and again that the program is alive, if it
// wants to hear that, until ctx ends.
func Watchdog(ctx context.Context) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		slog.WarnContext(ctx, "systemd gets no signs of life", "err", err)
	}
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			notify(sd.SdNotifyWatchdog)
		}
	}
}

// Hangups calls reload for each signal, and tells systemd, until ctx ends. An
// error leaves things as they were.
func Hangups(ctx context.Context, signals <-chan os.Signal, reload func() error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		Reloading()
		if err := reload(); err != nil {
			slog.ErrorContext(ctx, "nothing is read again, all stays as it was", "err", err)
		} else {
			slog.InfoContext(ctx, "files read again")
		}
		Ready()
	}
}

func notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		slog.Warn("systemd is not told", "state", state, "err", err)
	}
}
