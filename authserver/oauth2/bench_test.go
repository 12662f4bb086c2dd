package oauth2

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// The grants with their real database, in one process and by one client, from
// the request to the answer. Access tokens are ES256, ID tokens as alg says.
func BenchmarkGrants(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256"} {
		b.Run(alg, func(b *testing.B) {
			h := newHouse(b)
			h.edit(b, "trusted", `id_token_alg = '`+alg+`'`)
			who := h.signIn(b, "alice", time.Minute)
			ask := func(b *testing.B, r *http.Request) {
				w := httptest.NewRecorder()
				h.mux.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
			b.Run("client_credentials", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ask(b, asClient("robot", "/o2/token", url.Values{"grant_type": {"client_credentials"}}))
				}
			})
			b.Run("code", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					r := exchange("trusted", who.code(b, trustedRequest()), trustedURI)
					b.StartTimer()
					ask(b, r)
				}
			})
			b.Run("refresh", func(b *testing.B) {
				current := h.issued(b, exchange("trusted", who.code(b, trustedRequest()), trustedURI)).RefreshToken
				b.ReportAllocs()
				for b.Loop() {
					current = h.issued(b, refresh("trusted", current)).RefreshToken
				}
			})
			b.Run("authorize", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					who.code(b, trustedRequest())
				}
			})
			b.Run("introspect", func(b *testing.B) {
				token := h.issued(b, exchange("trusted", who.code(b, trustedRequest()), trustedURI)).AccessToken
				b.ReportAllocs()
				for b.Loop() {
					ask(b, asClient("mail", "/o2/introspect", url.Values{"token": {token}}))
				}
			})
		})
	}
}
