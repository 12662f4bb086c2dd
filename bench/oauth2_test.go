package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authbridge/internal/opaque"
	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

// A provider is an authorization server and its PostgreSQL, which works with the
// settings that it comes with: a commit waits for the disk. Its users have a
// mailbox and two groups, and have signed in. Each of its two clients is called
// after the algorithm that signs its tokens, is confidential, and has openid,
// profile and email of its users. Much was granted before: the database has seen
// that its tables are large, and uses their indexes.
type provider struct {
	site
	conn *pgx.Conn // the superuser's
}

const (
	providerUsers  = 10_000
	providerGrants = 20_000 // from before
	providerSecret = "cs_a-secret-that-everybody-may-know"
	callback       = "https://app.example.org/callback"

	// RFC 7636 appendix B.
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// newProvider starts both.
var newProvider = sync.OnceValues(func() (*provider, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bench") // on a disk
	if err != nil {
		return nil, err
	}
	atExit(func() error { return os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	p := &provider{site: site{dir: dir}}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "authserver"), "authbridge/cmd/authserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build authserver: %w\n%s", err, out)
	}

	if p.cluster, err = pgcluster.Start(ctx, pgcluster.Options{
		Dir: filepath.Join(dir, "postgresql"), Durable: true,
		// No checkpoint comes between: after one, the first change of a page writes
		// all of it.
		Settings: []string{"shared_preload_libraries=pg_stat_statements", "checkpoint_timeout=1d", "max_wal_size=32GB", "shared_buffers=1GB"},
	}); err != nil {
		return nil, err
	}
	atExit(p.cluster.Stop)
	if p.conn, err = pgx.Connect(ctx, p.cluster.SuperuserURL("postgres")); err != nil {
		return nil, err
	}
	atExit(func() error { return p.conn.Close(ctx) })
	if err := sql.Init(ctx, p.conn); err != nil {
		return nil, err
	}
	if err := sql.Migrate(ctx, p.conn); err != nil {
		return nil, err
	}
	if err := p.populate(ctx); err != nil {
		return nil, err
	}
	if p.postgres, err = postmaster(ctx, p.conn); err != nil {
		return nil, err
	}

	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p.address = net.JoinHostPort("127.0.0.1", port)
	p.server = exec.Command(filepath.Join(dir, "authserver"), "serve", "--listen", p.address, "--assume-https",
		"--issuer", "https://auth.example", "--rate-limit", "0", "--log-level", "error")
	p.server.Env = []string{"DATABASE_URL=" + p.cluster.SocketURL("authserver_web", "postgres"), "SECRET_KEY=" + benchSecret}
	p.server.Stderr = os.Stderr
	if err := p.server.Start(); err != nil {
		return nil, err
	}
	atExit(func() error {
		p.server.Process.Kill()
		p.server.Wait() // killed
		return nil
	})
	for range 500 {
		answer, err := http.Get("http://" + p.address + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	return nil, errors.New("authserver serve did not become ready")
})

func (p *provider) populate(ctx context.Context) error {
	for _, args := range [][]string{
		{"domain", "create", "auth.example", "--create-key", "jwt", "--key-algorithm", "ecdsa-p256"},
		{"domain", "edit", "auth.example", "--create-key", "jwt", "--key-algorithm", "rsa"},
	} {
		cmd := exec.Command(filepath.Join(p.dir, "authserver"), args...)
		cmd.Env = []string{"DATABASE_URL=" + p.cluster.SocketURL("authserver_admin", "postgres"), "SECRET_KEY=" + benchSecret}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("authserver %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	hash := sha256.Sum256([]byte(providerSecret))
	if _, err := p.conn.PgConn().Exec(ctx, fmt.Sprintf(`
		create extension pg_stat_statements;
		insert into auth.login_names (name, kind) select 'u' || n, 'user' from generate_series(1, %[1]d) n;
		insert into auth.users (identifier, full_name) select 'u' || n, 'User ' || n from generate_series(1, %[1]d) n;
		insert into auth.aliases (local_part, domain_id, user_id) select u.identifier, d.id, u.id from auth.users u, auth.domains d;
		update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id;
		insert into auth.groups (name) values ('dev'), ('ops');
		insert into auth.group_members (group_id, user_id) select g.id, u.id from auth.groups g, auth.users u;
		insert into auth.sessions (secret_hash, user_id, auth_time, amr, acr, idle_timeout, expires_at)
		select sha256(convert_to(u.identifier, 'UTF8')), u.id, now(), '{pwd}', '1', '12 hours', now() + interval '1 day' from auth.users u;
		insert into auth.oauth2_clients
		  (client_id, name, type, token_endpoint_auth_method, grant_types, redirect_uris, scope, may_introspect, id_token_alg, access_token_alg)
		select a, a, 'confidential', 'client_secret_basic', '{authorization_code,refresh_token,client_credentials}', '{%[2]s}',
		       '{openid,profile,email,backup}', true, a, a
		  from unnest(array['ES256', 'RS256']) a;
		insert into auth.oauth2_client_secrets (client_id, secret_sha256) select c.id, '\x%[3]x' from auth.oauth2_clients c`,
		providerUsers, callback, hash)).ReadAll(); err != nil {
		return err
	}
	if _, err := p.families(ctx, "ES256", providerGrants); err != nil {
		return err
	}
	for _, statement := range []string{`vacuum analyze`, `checkpoint`} {
		if _, err := p.conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func openProvider(b *testing.B) *provider {
	b.Helper()
	p, err := newProvider()
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// codes makes grants of all users in turn, each with a code.
func (p *provider) codes(ctx context.Context, client string, n int) ([]string, error) {
	kind := opaque.Kind{Prefix: "oc_", Name: "authorization code"}
	codes, hashes := make([]string, n), make([][]byte, n)
	for i := range codes {
		code := kind.New()
		hash := code.SHA256()
		codes[i], hashes[i] = code.Text(), hash[:]
	}
	return codes, p.grants(ctx, client, hashes, false)
}

func (p *provider) grants(ctx context.Context, client string, codeHashes [][]byte, redeemed bool) error {
	_, err := p.conn.Exec(ctx, `
		insert into auth.oauth2_grants
		  (client_id, user_id, session_id, grant_type, scope, auth_time, amr, acr, code_hash, redirect_uri, code_challenge, code_expires_at, expires_at, redeemed_at)
		select c.id, s.user_id, s.id, 'authorization_code', '{openid,profile,email}', s.auth_time, s.amr, s.acr, h.hash, $3, $4,
		       now() + interval '1 hour', now() + interval '1 day', case when $5 then now() end
		  from auth.oauth2_clients c, unnest($2::bytea[]) with ordinality h (hash, n)
		  join (select s.*, row_number() over () - 1 as n from auth.sessions s) s on s.n = h.n % $6
		 where c.client_id = $1`, client, codeHashes, callback, codeChallenge, redeemed, providerUsers)
	return err
}

// families makes refresh tokens.
func (p *provider) families(ctx context.Context, client string, n int) ([]string, error) {
	encoding := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	tokens, ids, codes, secrets := make([]string, n), make([][16]byte, n), make([][]byte, n), make([][]byte, n)
	for i := range tokens {
		var raw [16 + 4 + 32]byte // family, generation, secret
		rand.Read(raw[:16])       // never fails
		rand.Read(raw[20:])
		code, secret := sha256.Sum256(raw[:]), sha256.Sum256(raw[20:])
		tokens[i], ids[i], codes[i], secrets[i] = "or_"+encoding.EncodeToString(raw[:]), [16]byte(raw[:16]), code[:], secret[:]
	}
	if err := p.grants(ctx, client, codes, true); err != nil {
		return nil, err
	}
	_, err := p.conn.Exec(ctx, `
		insert into auth.oauth2_refresh_tokens (id, grant_id, secret_hash)
		select t.id, g.id, t.secret
		  from unnest($1::uuid[], $2::bytea[], $3::bytea[]) t (id, code, secret)
		  join auth.oauth2_grants g on g.code_hash = t.code`, ids, codes, secrets)
	return tokens, err
}

// post returns a client's request to an endpoint, as it goes over the wire.
func post(client, endpoint string, form url.Values) []byte {
	body := form.Encode()
	return fmt.Appendf(nil, "POST /o2/%s HTTP/1.1\r\nHost: auth.example\r\nAuthorization: Basic %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		endpoint, base64.StdEncoding.EncodeToString([]byte(client+":"+providerSecret)), len(body), body)
}

// fetch sends a request, and returns the body of the answer, which must be 200.
// It stays good until the next.
func (c *caller) fetch(request []byte, body *bytes.Buffer) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	status, err := c.answer.ReadString('\n')
	if err != nil {
		return err
	}
	length := 0
	for line := []byte(status); len(line) > len("\r\n"); {
		if line, err = c.answer.ReadSlice('\n'); err != nil {
			return err
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(n))); err != nil {
				return err
			}
		}
	}
	body.Reset()
	if _, err := io.CopyN(body, c.answer, int64(length)); err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return fmt.Errorf("%s: %s", strings.TrimSpace(status), body)
	}
	return nil
}

// member returns a text of a JSON object that needs no escaping.
func member(object []byte, name string) string {
	_, rest, _ := bytes.Cut(object, []byte(`"`+name+`":"`))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(text)
}

// A work is one kind of request. Its functions are called by many at once.
type work struct {
	request  func(n int) []byte
	answered func(body []byte) // nil: of no interest
}

// works make what a benchmark of n requests needs.
var works = map[string]func(b *testing.B, p *provider, client string, n int) work{
	"client_credentials": func(b *testing.B, p *provider, client string, n int) work {
		request := post(client, "token", url.Values{"grant_type": {"client_credentials"}})
		return work{request: func(int) []byte { return request }}
	},
	"code": func(b *testing.B, p *provider, client string, n int) work {
		requests := p.exchanges(b, client, n)
		return work{request: func(n int) []byte { return requests[n] }}
	},
	// Each family is used in turn, by whoever comes.
	"refresh": func(b *testing.B, p *provider, client string, n int) work {
		tokens := make(chan string, min(n+2*openClients, 5000))
		families, err := p.families(b.Context(), client, cap(tokens))
		if err != nil {
			b.Fatal(err)
		}
		for _, token := range families {
			tokens <- token
		}
		return work{
			request: func(int) []byte {
				return post(client, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {<-tokens}})
			},
			answered: func(body []byte) { tokens <- member(body, "refresh_token") },
		}
	},
	"introspection": func(b *testing.B, p *provider, client string, n int) work {
		tokens := p.accessTokens(b, client)
		requests := make([][]byte, len(tokens))
		for i, token := range tokens {
			requests[i] = post(client, "introspect", url.Values{"token": {token}})
		}
		return work{request: func(n int) []byte { return requests[n%len(requests)] }}
	},
	"userinfo": func(b *testing.B, p *provider, client string, n int) work {
		tokens := p.accessTokens(b, client)
		requests := make([][]byte, len(tokens))
		for i, token := range tokens {
			requests[i] = fmt.Appendf(nil, "GET /o2/userinfo HTTP/1.1\r\nHost: auth.example\r\nAuthorization: Bearer %s\r\n\r\n", token)
		}
		return work{request: func(n int) []byte { return requests[n%len(requests)] }}
	},
}

// exchanges returns requests that exchange new codes.
func (p *provider) exchanges(b *testing.B, client string, n int) [][]byte {
	b.Helper()
	codes, err := p.codes(b.Context(), client, n)
	if err != nil {
		b.Fatal(err)
	}
	requests := make([][]byte, n)
	for i, code := range codes {
		requests[i] = post(client, "token", url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {codeVerifier},
		})
	}
	return requests
}

// accessTokens returns those of some users.
func (p *provider) accessTokens(b *testing.B, client string) (tokens []string) {
	b.Helper()
	c, err := p.call()
	if err != nil {
		b.Fatal(err)
	}
	defer c.conn.Close()
	var body bytes.Buffer
	for _, request := range p.exchanges(b, client, 100) {
		if err := c.fetch(request, &body); err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, member(body.Bytes(), "access_token"))
	}
	return tokens
}

// figures are what a provider has used and done, ever.
type figures struct {
	server, database time.Duration // of CPU
	calls, wal       int64         // statements of the server's role, and bytes
}

func (p *provider) figures(b *testing.B) figures {
	b.Helper()
	var f figures
	if err := p.conn.QueryRow(b.Context(), `
		select coalesce(sum(s.calls), 0), pg_current_wal_insert_lsn() - '0/0'
		  from pg_stat_statements s
		 where s.userid = 'authserver_web'::regrole`).Scan(&f.calls, &f.wal); err != nil {
		b.Fatal(err)
	}
	f.server, f.database = cpu(p.server.Process.Pid, false), cpu(p.postgres, true)
	return f
}

// report says what was used for each of b.N requests.
func (p *provider) report(b *testing.B, before figures, took []time.Duration) {
	b.Helper()
	after := p.figures(b)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(each(after.server-before.server), "server-cpu-ms/op")
	b.ReportMetric(each(after.database-before.database), "database-cpu-ms/op")
	b.ReportMetric(float64(after.calls-before.calls)/float64(b.N), "calls/op")
	b.ReportMetric(float64(after.wal-before.wal)/float64(b.N), "wal-B/op")
	b.ReportMetric(percentile(took, 50), "p50-ms")
	b.ReportMetric(percentile(took, 99), "p99-ms")
}

// BenchmarkOAuth2 has eight clients ask as fast as they get answers. What one
// signature takes at that time is reported, too: a code is answered by two, and
// so is a refresh token.
func BenchmarkOAuth2(b *testing.B) {
	signatures := map[string]func(*testing.B) time.Duration{"ES256": signatureP256, "RS256": signatureRSA}
	for _, name := range []string{"client_credentials", "code", "refresh", "introspection", "userinfo"} {
		for _, client := range []string{"ES256", "RS256"} {
			var signature time.Duration
			b.Run(name+"/"+client, func(b *testing.B) {
				p := openProvider(b)
				if signature == 0 {
					signature = signatures[client](b)
				}
				w := works[name](b, p, client, b.N)
				before := p.figures(b)
				b.ResetTimer()
				took := p.closedLoop(b, w, b.N)
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
				p.report(b, before, took)
				b.ReportMetric(float64(signature.Microseconds())/1000, "signature-ms")
			})
		}
	}
}

// closedLoop sends n requests, and returns how long each took.
func (p *provider) closedLoop(b *testing.B, w work, n int) []time.Duration {
	b.Helper()
	took := make([]time.Duration, n)
	p.callers(b, clients, n, func(n int, ask func(request []byte) bool) bool {
		request := w.request(n)
		start := time.Now()
		ok := ask(request)
		took[n] = time.Since(start)
		return ok
	}, w.answered)
	return took
}

// callers has connections call do for each of n numbers, and answered with what
// was answered to what it asks for then.
func (p *provider) callers(b *testing.B, connections, n int, do func(n int, ask func(request []byte) bool) bool, answered func(body []byte)) {
	b.Helper()
	all := make([]*caller, connections)
	for i := range all {
		var err error
		if all[i], err = p.call(); err != nil {
			b.Fatal(err)
		}
		defer all[i].conn.Close()
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for _, c := range all {
		workers.Go(func() {
			var body bytes.Buffer
			ask := func(request []byte) bool {
				err := c.fetch(request, &body)
				if err != nil {
					b.Error(err)
				}
				return err == nil
			}
			for {
				i := int(next.Add(1)) - 1
				if i >= n || !do(i, ask) {
					return
				}
				if answered != nil {
					answered(body.Bytes())
				}
			}
		})
	}
	workers.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// openClients are more than the server can make wait at half its rate.
const openClients = 64

// BenchmarkOAuth2FixedRate sends requests when their time has come, at half the
// rate at which eight clients can be served, whatever became of those before.
// What an answer takes is counted from that time: a server that stops for a
// moment lets many wait, and all of them count (no coordinated omission). What
// the benchmark itself was late by is a part of it, and reported.
func BenchmarkOAuth2FixedRate(b *testing.B) {
	for _, name := range []string{"client_credentials", "code", "refresh"} {
		var rate float64 // of requests per second
		b.Run(name, func(b *testing.B) {
			p := openProvider(b)
			if rate == 0 {
				const sample = 4000
				w := works[name](b, p, "ES256", sample)
				start := time.Now()
				p.closedLoop(b, w, sample)
				rate = sample / time.Since(start).Seconds() / 2
			}
			w := works[name](b, p, "ES256", b.N)
			before := p.figures(b)
			b.ResetTimer()
			took, late := p.openLoop(b, w, time.Duration(float64(time.Second)/rate))
			b.StopTimer()
			b.ReportMetric(rate, "requests/s")
			p.report(b, before, took)
			b.ReportMetric(percentile(late, 99), "late-p99-ms")
		})
	}
}

// openLoop sends b.N requests, one each interval, and returns how long after its
// time each was answered and sent.
func (p *provider) openLoop(b *testing.B, w work, interval time.Duration) (took, late []time.Duration) {
	b.Helper()
	took, late = make([]time.Duration, b.N), make([]time.Duration, b.N)
	start := time.Now()
	p.callers(b, openClients, b.N, func(n int, ask func(request []byte) bool) bool {
		request := w.request(n)
		due := start.Add(time.Duration(n) * interval)
		<-time.After(time.Until(due))
		late[n] = time.Since(due)
		ok := ask(request)
		took[n] = time.Since(due)
		return ok
	}, w.answered)
	return took, late
}
