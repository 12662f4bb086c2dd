package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// dockerToken returns a request for a token, as docker sends it.
func (s *site) dockerToken(registry, scope, name, password string) []byte {
	var authorization string
	if name != "" {
		authorization = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\n"
	}
	return fmt.Appendf(nil, "GET /docker/token/?service=%s&client_id=docker&scope=%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
		registry, scope, authorization)
}

// pullers returns requests of all users to pull and push, with their app
// passwords.
func (s *site) pullers(registry string) func(n int) []byte {
	var requests [siteUsers][]byte
	for n := range requests {
		requests[n] = s.dockerToken(registry, fmt.Sprintf("repository:team%d/app:pull,push", n), fmt.Sprintf("u%d@p256.example", n), s.apps[n])
	}
	return func(n int) []byte { return requests[n%siteUsers] }
}

// dockerTokens is logins, and also says how often the database was asked for
// each token.
func dockerTokens(b *testing.B, s *site, request func(n int) []byte, unit func(b *testing.B) time.Duration) {
	b.Helper()
	var asked atomic.Int64
	before := s.transactions(b)
	logins(b, s, func(n int) []byte { asked.Add(1); return request(n) }, unit)
	b.ReportMetric(float64(s.transactions(b)-before)/float64(asked.Load()), "transactions/op")
}

// transactions returns how many transactions the server's database has seen.
func (s *site) transactions(b *testing.B) (n int64) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.cluster.URL("postgres", "postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	// What a backend has done is told by itself, a second later at most.
	for last := int64(-1); n != last; {
		last = n
		<-time.After(1500 * time.Millisecond)
		if err := conn.QueryRow(ctx, `select xact_commit from pg_stat_database where datname = 'postgres'`).Scan(&n); err != nil {
			b.Fatal(err)
		}
		if n-last < 50 { // our own, and those of the server's timers
			break
		}
	}
	return n
}

// A token for a login with an app password, signed with ES256: the header names
// the key by kid and x5c.
func BenchmarkDockerTokenAppES256(b *testing.B) {
	s := openSite(b)
	dockerTokens(b, s, s.pullers("p256.registry.example"), signatureP256)
}

// The same with RS256. The unit is one signature.
func BenchmarkDockerTokenAppRS256(b *testing.B) {
	s := openSite(b)
	dockerTokens(b, s, s.pullers("rsa.registry.example"), signatureRSA)
}

// A token for nobody in particular, who may pull.
func BenchmarkDockerTokenAnonymousES256(b *testing.B) {
	s := openSite(b)
	request := s.dockerToken("p256.registry.example", "repository:public/app:pull", "", "")
	dockerTokens(b, s, func(int) []byte { return request }, signatureP256)
}
