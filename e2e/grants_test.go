package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"authbridge/internal/opaque"
	"authbridge/internal/pgcluster"

	"github.com/jackc/pgx/v5"
)

// A grantServer is an authserver serve with a PostgreSQL of its own, which keeps
// what it has committed: its tests use both as hard as they can, and kill them.
//
// alice has signed in, and two clients are known, by one secret:
//
//	app    exchanges codes and refresh tokens, and asks about them
//	robot  has tokens for itself
//
// Their tokens are signed with ES256. The servers talk over a socket, so that
// no port of the one is in the way of the other's when it comes back.
type grantServer struct {
	t           *testing.T
	cluster     *pgcluster.Cluster
	opt         pgcluster.Options
	dir         string // of the certificate
	port        int
	connections int // of the server to its database
	trust       *tls.Config
	process     *Server
}

// newGrantServer starts both, with so many connections between them.
func newGrantServer(t *testing.T, connections int) *grantServer {
	t.Helper()
	// Not t.TempDir: the folder around that is root's alone.
	dir, err := os.MkdirTemp("", "grants")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &grantServer{t: t, dir: dir, port: FreePort(), connections: connections}
	s.opt = pgcluster.Options{
		Dir: filepath.Join(dir, "postgresql"), Durable: true,
		Settings: []string{"shared_preload_libraries=pg_stat_statements"},
	}
	if s.cluster, err = pgcluster.Start(t.Context(), s.opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.execute("postgres", `create role operator login createrole`)
	s.execute("postgres", `create database authserver owner operator`)
	s.execute("authserver", `create extension pg_stat_statements`)
	for _, command := range []string{
		"db init --apply", "migrate", "domain create " + AuthHost + " --create-key jwt --key-algorithm ecdsa-p256",
	} {
		cmd := exec.CommandContext(t.Context(), Binary(t, "authserver"), strings.Fields(command)...)
		cmd.Env = []string{
			"DATABASE_OWNER_URL=" + s.cluster.SocketURL("operator", "authserver"),
			"DATABASE_URL=" + s.cluster.SocketURL("authserver_admin", "authserver"), "SECRET_KEY=" + secretKey,
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("authserver %s: %v\n%s", command, err, out)
		}
	}
	secret := sha256.Sum256([]byte(appSecret))
	s.execute("authserver", `with
		name as (insert into auth.login_names (name, kind) values ('alice', 'user')),
		alice as (insert into auth.users (identifier, full_name) values ('alice', 'Alice') returning id),
		mailbox as (
			insert into auth.aliases (local_part, domain_id, user_id) select 'alice', d.id, alice.id from alice, auth.domains d returning id),
		session as (
			insert into auth.sessions (secret_hash, user_id, auth_time, amr, acr, idle_timeout, expires_at)
			select sha256('alice'), alice.id, now(), '{pwd}', '1', '12 hours', now() + interval '1 day' from alice),
		clients as (
			insert into auth.oauth2_clients (client_id, name, type, token_endpoint_auth_method, grant_types, redirect_uris, scope, id_token_alg, access_token_alg)
			values ('app', 'App', 'confidential', 'client_secret_basic', '{authorization_code,refresh_token}', array[$2], null, 'ES256', 'ES256'),
			       ('robot', 'Robot', 'confidential', 'client_secret_basic', '{client_credentials}', '{}', '{backup}', 'ES256', 'ES256')
			returning id)
		insert into auth.oauth2_client_secrets (client_id, secret_sha256) select clients.id, $1 from clients`, secret[:], appURI)
	s.execute("authserver", `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id`)

	certificate, key := newCertificate(t)
	for name, content := range map[string]string{"cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(certificate))
	s.trust = &tls.Config{RootCAs: pool, ServerName: AuthHost, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	t.Cleanup(func() {
		if s.process != nil {
			s.process.stop(t)
		}
	})
	s.serve()
	return s
}

const (
	appSecret = "cs_a-secret-that-everybody-may-know"
	appURI    = "https://app.example.org/callback"

	// What the app keeps to itself, and what it has told (RFC 7636 appendix B).
	appVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	appChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// serve starts authserver serve, as the account that may enter the database's
// folder, and waits until it is ready.
func (s *grantServer) serve() {
	s.t.Helper()
	account, err := pgcluster.Account()
	if err != nil {
		s.t.Fatal(err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &Server{Port: s.port, name: "authserver", done: make(chan struct{})}
	p.cmd = exec.Command(Binary(s.t, "authserver"), "serve", "--listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		"--tls-cert", filepath.Join(s.dir, "cert.pem"), "--tls-key", filepath.Join(s.dir, "key.pem"),
		"--issuer", "https://"+AuthHost, "--rate-limit", "0", "--log-level", "error")
	p.cmd.Env = []string{
		"DATABASE_URL=" + s.cluster.SocketURL("authserver_web", "authserver") + "&pool_max_conns=" + strconv.Itoa(s.connections),
		"SECRET_KEY=" + secretKey,
	}
	p.cmd.Dir = "/"
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	s.process = p
	p.await(s.t, "be ready", func() bool {
		w := &wire{server: s}
		defer w.close()
		answer, err := w.ask([]byte("GET /readyz HTTP/1.1\r\nHost: " + AuthHost + "\r\n\r\n"))
		return err == nil && answer.status == http.StatusOK
	})
}

// superuser connects to the database, for one question.
func (s *grantServer) superuser(database string) *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.cluster.SuperuserURL(database))
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func (s *grantServer) execute(database, query string, args ...any) {
	s.t.Helper()
	conn := s.superuser(database)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(s.t.Context(), query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

// rows returns what the database knows, as rows of T.
func rows[T any](s *grantServer, query string, args ...any) []T {
	s.t.Helper()
	conn := s.superuser("authserver")
	defer conn.Close(context.Background())
	found, _ := conn.Query(s.t.Context(), query, args...) // its error comes out of CollectRows
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[T])
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return all
}

// codes makes grants of alice for the app, each with a code, as api.authorize
// does.
func (s *grantServer) codes(n int) []string {
	s.t.Helper()
	kind := opaque.Kind{Prefix: "oc_", Name: "authorization code"}
	codes, hashes := make([]string, n), make([][]byte, n)
	for i := range codes {
		codes[i] = kind.New().Text()
		hashes[i] = []byte(codeHash(codes[i]))
	}
	s.execute("authserver", `
		insert into auth.oauth2_grants
		  (client_id, user_id, session_id, grant_type, scope, auth_time, amr, acr, code_hash, redirect_uri, code_challenge, code_expires_at, expires_at)
		select c.id, s.user_id, s.id, 'authorization_code', '{openid,email}', s.auth_time, s.amr, s.acr, h, $2, $3, now() + interval '10 min', now() + interval '1 day'
		  from auth.oauth2_clients c, auth.sessions s, unnest($1::bytea[]) h
		 where c.client_id = 'app'`, hashes, appURI, appChallenge)
	return codes
}

// codeHash is by what the database knows a code.
func codeHash(code string) string {
	hash := sha256.Sum256([]byte(code))
	return string(hash[:])
}

// A family is what a refresh token says of itself.
type family struct {
	id         [16]byte
	generation uint32
	hash       [sha256.Size]byte // by which the database knows its secret
}

func readRefreshToken(text string) (family, error) {
	encoded, ok := strings.CutPrefix(text, "or_")
	b, err := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).DecodeString(encoded)
	if !ok || err != nil || len(b) != 16+4+32 {
		return family{}, errors.New("no refresh token")
	}
	return family{[16]byte(b), uint32(b[16])<<24 | uint32(b[17])<<16 | uint32(b[18])<<8 | uint32(b[19]), sha256.Sum256(b[20:])}, nil
}

// request is a client's to an endpoint, as it goes over the wire.
func request(client, endpoint string, form url.Values) []byte {
	body := form.Encode()
	return fmt.Appendf(nil, "POST /o2/%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		endpoint, AuthHost, base64.StdEncoding.EncodeToString([]byte(client+":"+appSecret)), len(body), body)
}

func redeem(code string) []byte {
	return request("app", "token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {appURI}, "code_verifier": {appVerifier},
	})
}

func refresh(token string) []byte {
	return request("app", "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func introspect(token string) []byte {
	return request("app", "introspect", url.Values{"token": {token}})
}

// A wire is a connection of one client, which stays open. It is as little of an
// HTTP client as will do: the processors are for the servers.
type wire struct {
	server *grantServer
	conn   *tls.Conn
	in     *bufio.Reader
}

// An answer is what a server has said.
type answer struct {
	status       int
	Error        string `json:"error"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Active       bool   `json:"active"`
}

// String is what an answer is counted as.
func (a answer) String() string {
	if a.Error != "" {
		return fmt.Sprint(a.status, " ", a.Error)
	}
	return strconv.Itoa(a.status)
}

func (a answer) ok() bool { return a.status == http.StatusOK && a.Error == "" }

func (a answer) invalidGrant() bool {
	return a.status == http.StatusBadRequest && a.Error == "invalid_grant"
}

// errNotSent is of a request that the server has not got.
var errNotSent = errors.New("no connection")

// ask sends a request. An error other than errNotSent means that the server may
// have done what it was asked, and that nobody knows.
func (w *wire) ask(request []byte) (answer, error) {
	if w.conn == nil {
		tcp, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(w.server.port)))
		if err != nil {
			return answer{}, fmt.Errorf("%w: %w", errNotSent, err)
		}
		conn := tls.Client(tcp, w.server.trust)
		conn.SetDeadline(time.Now().Add(patience))
		if err := conn.Handshake(); err != nil {
			tcp.Close()
			return answer{}, fmt.Errorf("%w: %w", errNotSent, err)
		}
		w.conn, w.in = conn, bufio.NewReader(conn)
	}
	a, err := w.exchange(request)
	if err != nil {
		w.close()
	}
	return a, err
}

func (w *wire) exchange(request []byte) (answer, error) {
	w.conn.SetDeadline(time.Now().Add(patience))
	if _, err := w.conn.Write(request); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode}
	if bytes.HasPrefix(body, []byte("{")) {
		if err := json.Unmarshal(body, &a); err != nil {
			return answer{}, fmt.Errorf("%s: %w", body, err)
		}
	}
	return a, nil
}

func (w *wire) close() {
	if w.conn != nil {
		w.conn.Close()
	}
	w.conn = nil
}

// wires opens connections, until the test ends.
func (s *grantServer) wires(n int) []*wire {
	s.t.Helper()
	all := make([]*wire, n)
	for i := range all {
		all[i] = &wire{server: s}
		if _, err := all[i].ask(introspect("")); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(all[i].close)
	}
	return all
}

// all sends requests over several connections, each once, and returns the
// answers, as soon as may be.
func (s *grantServer) all(wires []*wire, requests [][]byte) []answer {
	s.t.Helper()
	answers := make([]answer, len(requests))
	var work sync.WaitGroup
	for i, w := range wires {
		work.Go(func() {
			for n := i; n < len(requests); n += len(wires) {
				var err error
				if answers[n], err = w.ask(requests[n]); err != nil {
					s.t.Errorf("request %d: %v", n, err)
				}
			}
		})
	}
	work.Wait()
	return answers
}

// each returns the request for each of some texts.
func each(request func(string) []byte, texts []string) [][]byte {
	requests := make([][]byte, len(texts))
	for i, text := range texts {
		requests[i] = request(text)
	}
	return requests
}

// count says how many answers there are of each kind.
func count(answers []answer) string {
	counts := map[string]int{}
	for _, a := range answers {
		counts[a.String()]++
	}
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d × %s", counts[kind], kind))
	}
	return strings.Join(words, ", ")
}
