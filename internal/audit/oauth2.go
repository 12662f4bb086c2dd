package audit

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
)

// A Denial is a user who may not use an OAuth 2.0 client.
type Denial struct {
	Stage      string // authorize, code, refresh, password, userinfo or introspect
	Reason     string // of auth.oauth2_denial
	ClientID   string
	UserID     string // empty: unknown
	Identifier string // empty: unknown
}

// OAuth2Denied is written for somebody who is who they say, and whom a policy
// does not let use a client.
func OAuth2Denied(ctx context.Context, from netip.Addr, d Denial) {
	attrs := []slog.Attr{slog.String("from", client(from)), slog.String("stage", d.Stage), slog.String("reason", d.Reason), slog.String("client_id", d.ClientID)}
	if d.UserID != "" {
		attrs = append(attrs, slog.String("user_id", d.UserID))
	}
	if d.Identifier != "" {
		attrs = append(attrs, slog.String("user", d.Identifier))
	}
	slog.LogAttrs(ctx, slog.LevelWarn, "oauth2.denied", attrs...)
}

// CodeReplayed is written for an authorization code that comes a second time: it
// has leaked, or a client has a bug. What came of it was revoked.
func CodeReplayed(ctx context.Context, from netip.Addr, clientID, userID, grantID string) {
	replayed(ctx, "oauth2.code_replayed", from, clientID, userID, grantID)
}

// RefreshTokenReplayed is the same for a refresh token.
func RefreshTokenReplayed(ctx context.Context, from netip.Addr, clientID, userID, grantID string) {
	replayed(ctx, "oauth2.refresh_token_replayed", from, clientID, userID, grantID)
}

func replayed(ctx context.Context, event string, from netip.Addr, clientID, userID, grantID string) {
	slog.LogAttrs(ctx, slog.LevelWarn, event, slog.String("from", client(from)),
		slog.String("client_id", clientID), slog.String("user_id", userID), slog.String("grant_id", grantID))
}

// ConsentGiven is written for a user who lets a client have what it asks for.
func ConsentGiven(ctx context.Context, from netip.Addr, clientID string, scope []string, identifier string) {
	slog.LogAttrs(ctx, slog.LevelInfo, "oauth2.consent_given", slog.String("from", client(from)),
		slog.String("client_id", clientID), slog.String("scope", strings.Join(scope, " ")), slog.String("user", identifier))
}

// Issued is which tokens a client got, and what it sent for them. Of secrets it
// has only whether they were there, so that none can get into the log.
type Issued struct {
	ClientID       string
	UserID         string // empty: there is none
	GrantType      string
	RedirectURI    string // as it was sent
	RequestedScope string
	Scope          string
	TokenType      string
	ExpiresIn      int // seconds

	// What was sent.
	Code, RefreshToken, ClientSecret, Assertion bool

	// What was issued.
	AccessTokenOut, RefreshOut, IDTokenOut bool
}

// redacted stands for a secret that was there.
const redacted = "<redacted>"

// TokenIssued is written for tokens that a client got, at a level that is on for
// clients that are being debugged. What was not there is not in the line.
func TokenIssued(ctx context.Context, level slog.Level, from netip.Addr, t Issued) {
	attrs := []slog.Attr{slog.String("from", client(from)), slog.String("client_id", t.ClientID), slog.String("grant_type", t.GrantType)}
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, typed(value)))
		}
	}
	secret := func(name string, there bool) {
		if there {
			attrs = append(attrs, slog.String(name, redacted))
		}
	}
	text("user_id", t.UserID)
	secret("code", t.Code)
	secret("refresh_token_sent", t.RefreshToken)
	secret("client_secret", t.ClientSecret)
	secret("client_assertion", t.Assertion)
	text("token_type", t.TokenType)
	attrs = append(attrs, slog.Int("expires_in", t.ExpiresIn))
	text("scope", t.Scope)
	secret("access_token", t.AccessTokenOut)
	secret("refresh_token", t.RefreshOut)
	secret("id_token", t.IDTokenOut)
	text("redirect_uri", t.RedirectURI)
	text("requested_scope", t.RequestedScope)
	slog.LogAttrs(ctx, level, "oauth2.token_issued", attrs...)
}
