package audit_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"authbridge/internal/audit"
)

func ExampleOAuth2Denied() {
	defer logTo(os.Stdout, false)()
	ctx := context.Background()
	from := netip.MustParseAddr("192.0.2.7")
	audit.OAuth2Denied(ctx, from, audit.Denial{
		Stage: "authorize", Reason: "client", ClientID: "wiki", UserID: "0190c2a0-0000-7000-8000-000000000001", Identifier: "alice",
	})
	audit.OAuth2Denied(ctx, from, audit.Denial{Stage: "refresh", Reason: "disabled", ClientID: "wiki"})
	// Output:
	// level=WARN msg=oauth2.denied from=192.0.2.7 stage=authorize reason=client client_id=wiki user_id=0190c2a0-0000-7000-8000-000000000001 user=alice
	// level=WARN msg=oauth2.denied from=192.0.2.7 stage=refresh reason=disabled client_id=wiki
}

func ExampleCodeReplayed() {
	defer logTo(os.Stdout, false)()
	audit.CodeReplayed(context.Background(), netip.MustParseAddr("192.0.2.7"), "wiki",
		"0190c2a0-0000-7000-8000-000000000001", "0190c2a0-0000-7000-8000-000000000002")
	// Output: level=WARN msg=oauth2.code_replayed from=192.0.2.7 client_id=wiki user_id=0190c2a0-0000-7000-8000-000000000001 grant_id=0190c2a0-0000-7000-8000-000000000002
}

func ExampleRefreshTokenReplayed() {
	defer logTo(os.Stdout, false)()
	audit.RefreshTokenReplayed(context.Background(), netip.MustParseAddr("2001:db8::7"), "wiki",
		"0190c2a0-0000-7000-8000-000000000001", "0190c2a0-0000-7000-8000-000000000002")
	// Output: level=WARN msg=oauth2.refresh_token_replayed from=2001:db8::7 client_id=wiki user_id=0190c2a0-0000-7000-8000-000000000001 grant_id=0190c2a0-0000-7000-8000-000000000002
}

func ExampleConsentGiven() {
	defer logTo(os.Stdout, false)()
	audit.ConsentGiven(context.Background(), netip.MustParseAddr("192.0.2.7"), "wiki", []string{"openid", "email"}, "alice")
	// Output: level=INFO msg=oauth2.consent_given from=192.0.2.7 client_id=wiki scope="openid email" user=alice
}

func ExampleTokenIssued() {
	defer logTo(os.Stdout, false)()
	ctx := context.Background()
	from := netip.MustParseAddr("192.0.2.25")
	audit.TokenIssued(ctx, slog.LevelInfo, from, audit.Issued{
		ClientID: "wiki", UserID: "0190c2a0-0000-7000-8000-000000000001", GrantType: "authorization_code",
		RedirectURI: "https://wiki.example.com/cb", Scope: "openid", TokenType: "Bearer", ExpiresIn: 300,
		Code: true, ClientSecret: true, AccessTokenOut: true, IDTokenOut: true,
	})
	audit.TokenIssued(ctx, slog.LevelInfo, from, audit.Issued{
		ClientID: "backup", GrantType: "client_credentials", TokenType: "Bearer", ExpiresIn: 300, Assertion: true, AccessTokenOut: true,
	})
	// Output:
	// level=INFO msg=oauth2.token_issued from=192.0.2.25 client_id=wiki grant_type=authorization_code user_id=0190c2a0-0000-7000-8000-000000000001 code=<redacted> client_secret=<redacted> token_type=Bearer expires_in=300 scope=openid access_token=<redacted> id_token=<redacted> redirect_uri=https://wiki.example.com/cb
	// level=INFO msg=oauth2.token_issued from=192.0.2.25 client_id=backup grant_type=client_credentials client_assertion=<redacted> token_type=Bearer expires_in=300 access_token=<redacted>
}

// Whatever a client sends, the line is one line of bounded length, and begins
// with what we know.
func FuzzTokenIssued(f *testing.F) {
	f.Add("https://wiki.example.com/cb", "openid")
	f.Add("x\nlevel=INFO msg=oauth2.token_issued from=198.51.100.1", "\u2028\x00\x1b[2K\r"+strings.Repeat("é", 1000))
	begins := regexp.MustCompile(`^level=INFO msg=oauth2\.token_issued from=192\.0\.2\.7 client_id=wiki `)
	f.Fuzz(func(t *testing.T, redirectURI, scope string) {
		var out bytes.Buffer
		defer logTo(&out, false)()
		audit.TokenIssued(t.Context(), slog.LevelInfo, netip.MustParseAddr("192.0.2.7"), audit.Issued{
			ClientID: "wiki", GrantType: "authorization_code", RedirectURI: redirectURI, RequestedScope: scope, Code: true,
		})
		line, ended := strings.CutSuffix(out.String(), "\n")
		if !ended || strings.ContainsAny(line, "\n\r\x00\x1b") || !begins.MatchString(line) || len(line) > 6000 {
			t.Errorf("%q and %q make %q", redirectURI, scope, out.String())
		}
	})
}
