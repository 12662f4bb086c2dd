// Package audit writes the log lines that other programs read: fail2ban
// watches for login.failed, the operator greps for the rest. Each event is one
// function, so its name and attributes are the same everywhere.
//
// The client's address is the first attribute, and what somebody has typed the
// last: a pattern that is anchored at the start of the line, as the filter in
// docs/operations.md is, cannot be made to see another address by a login name
// that looks like a line.
package audit

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// LoginFailed is written once per refused login. name is what was typed, and
// may be no account at all; reason is for the operator alone.
func LoginFailed(ctx context.Context, name, service string, from netip.Addr, reason string) {
	slog.LogAttrs(ctx, slog.LevelWarn, "login.failed", slog.String("from", client(from)),
		slog.String("reason", reason), slog.String("service", typed(service)), slog.String("name", typed(name)))
}

// LoginRepeated is written for a refused login that is no guess: the same wrong
// password as before, which phones send for hours, an app password with a typing
// error, or a secret that was good once or is good elsewhere, which machines send
// for months. fail2ban is not to ban their owners.
func LoginRepeated(ctx context.Context, name, service string, from netip.Addr, reason string) {
	slog.LogAttrs(ctx, slog.LevelInfo, "login.repeated", slog.String("from", client(from)),
		slog.String("reason", reason), slog.String("service", typed(service)), slog.String("name", typed(name)))
}

// LoginThrottled is written for a login that was not looked at, because of too
// many that failed.
func LoginThrottled(ctx context.Context, name, service string, from netip.Addr, retryAfter time.Duration) {
	slog.LogAttrs(ctx, slog.LevelWarn, "login.throttled", slog.String("from", client(from)),
		slog.Duration("retry_after", retryAfter), slog.String("service", typed(service)), slog.String("name", typed(name)))
}

// LoginForbidden is written for somebody who is who they say, and lacks
// permissions that were asked for.
func LoginForbidden(ctx context.Context, name, service string, from netip.Addr, missing []string) {
	slog.LogAttrs(ctx, slog.LevelInfo, "login.forbidden", slog.String("from", client(from)),
		slog.String("missing", typed(strings.Join(missing, ","))), slog.String("service", typed(service)), slog.String("name", typed(name)))
}

// ClientRefused is written for a secret that is not that of an API client, or
// not from one of its networks. from is the server that sent it.
func ClientRefused(ctx context.Context, from netip.Addr) {
	slog.LogAttrs(ctx, slog.LevelWarn, "client.refused", slog.String("from", client(from)))
}

// SessionStarted is written for a browser that has signed in. id is that of the
// session; serviceUser is the service user that the login named, or empty.
func SessionStarted(ctx context.Context, id, identifier, serviceUser string, from netip.Addr) {
	attrs := []slog.Attr{slog.String("from", client(from)), slog.String("session", id), slog.String("user", typed(identifier))}
	if serviceUser != "" {
		attrs = append(attrs, slog.String("service_user", typed(serviceUser)))
	}
	slog.LogAttrs(ctx, slog.LevelInfo, "session.started", attrs...)
}

// SessionEnded is written for a browser that has signed out. Sessions that end
// by themselves, or with the password of their user, have no line.
func SessionEnded(ctx context.Context, id string, from netip.Addr) {
	slog.LogAttrs(ctx, slog.LevelInfo, "session.ended", slog.String("from", client(from)), slog.String("session", id))
}

func client(from netip.Addr) string {
	if !from.IsValid() {
		return "unknown"
	}
	return from.Unmap().WithZone("").String()
}

// maxTyped is more than the longest address has (RFC 5321 section 4.5.3.1).
const maxTyped = 320

// typed is what somebody sent, cut to what a log line can bear.
func typed(s string) string {
	if len(s) > maxTyped {
		return strings.ToValidUTF8(s[:maxTyped], "") + "…"
	}
	return s
}
