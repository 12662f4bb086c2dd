package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Script is a running program of the folder npm, which is called line by
// line.
type Script struct {
	t      *testing.T
	server *Server
	in     *os.File
	out    *os.File
	lines  *bufio.Reader
}

// StartScript starts a program of the folder npm in a Debian root with Node.js,
// a copy of trixie-browser, as an account without rights. It trusts those whose
// certificates are in the file /etc/ssl/auth.pem: see Authserver.Reachable.
func StartScript(r *Root, name string) *Script {
	r.t.Helper()
	if _, err := os.Stat(r.Path("npm")); err != nil {
		if err := os.CopyFS(r.Path("npm/node_modules"), os.DirFS(Tool(r.t, "node_modules"))); err != nil {
			r.t.Fatal(err)
		}
	}
	source, err := os.ReadFile(filepath.Join("npm", name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.Write("/npm/"+name, string(source))

	s := &Script{t: r.t, server: &Server{name: name, done: make(chan struct{})}}
	stdin, in, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer stdout.Close()
	s.in, s.out, s.lines = in, out, bufio.NewReader(out)
	r.t.Cleanup(func() {
		in.Close()
		out.Close()
	})

	cmd := exec.Command("/usr/bin/node", "/npm/"+name)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "NODE_EXTRA_CA_CERTS=/etc/ssl/auth.pem"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Setsid: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &s.server.log
	cmd.WaitDelay = time.Second
	s.server.cmd = cmd
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		cmd.Wait() // how it ended is in its log
		close(s.server.done)
	}()
	r.t.Cleanup(func() { s.server.stop(r.t) })
	return s
}

// A ScriptError is what a script has to say in place of a result. If it is an
// OAuth error, OAuth and Description are those of the provider, and Status that
// of its answer.
type ScriptError struct {
	Name        string
	Message     string
	Cause       string
	Code        string
	OAuth       string `json:"error"`
	Description string `json:"error_description"`
	Status      int
}

func (e *ScriptError) Error() string {
	text := e.Name + ": " + e.Message
	for _, more := range []string{e.Code, e.OAuth, e.Description, e.Cause} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}

// Call calls a function of the script with parameters, and stores its result,
// unless that is nil. Its error is a *ScriptError.
func (s *Script) Call(function string, parameters, result any) error {
	s.t.Helper()
	line, err := json.Marshal(map[string]any{"call": function, "with": parameters})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		s.t.Fatalf("calling %s: %v", function, err)
	}
	if err := s.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	if line, err = s.lines.ReadBytes('\n'); err != nil {
		s.t.Fatalf("calling %s: %v", function, err)
	}
	var answer struct {
		Result json.RawMessage
		Error  *ScriptError
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		s.t.Fatalf("%s answers %s: %v", function, line, err)
	}
	if answer.Error != nil {
		return answer.Error
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		s.t.Fatalf("%s answers %s: %v", function, line, err)
	}
	return nil
}

// A Registration is how a provider knows a relying party.
type Registration struct {
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"`
	// Authentication is client_secret_basic, which is what it is with a secret
	// if empty, client_secret_post, private_key_jwt, or none.
	Authentication string `json:"authentication,omitempty"`
	// Key is a private JWK with alg and kid, for private_key_jwt.
	Key json.RawMessage `json:"key,omitempty"`
	// Metadata are client metadata by their names, such as
	// id_token_signed_response_alg.
	Metadata map[string]any `json:"metadata,omitempty"`
}

// A RelyingParty is a client made of npm's openid-client: see npm/client.mjs.
// It uses PKCE, state and nonce, and verifies all that it gets. What it refuses
// and what it is refused are *ScriptErrors.
type RelyingParty struct {
	// Provider is the metadata that the provider was discovered with.
	Provider map[string]any

	script *Script
}

// Tokens are what a token endpoint has answered, with the verified claims of
// the ID token.
type Tokens struct {
	AccessToken  string         `json:"access_token"`
	RefreshToken string         `json:"refresh_token"`
	IDToken      string         `json:"id_token"`
	TokenType    string         `json:"token_type"`
	ExpiresIn    int            `json:"expires_in"`
	Scope        string         `json:"scope"`
	Claims       map[string]any `json:"claims"`
}

// StartRelyingParty starts a relying party in a root that can reach the
// provider, and has it discover that.
func StartRelyingParty(r *Root, registration Registration) *RelyingParty {
	r.t.Helper()
	p := &RelyingParty{script: StartScript(r, "client.mjs")}
	if err := p.script.Call("discover", registration, &p.Provider); err != nil {
		r.t.Fatalf("discovering %s: %v", registration.Issuer, err)
	}
	return p
}

// Authorize returns the URL to send a browser to for a login. The redirect_uri
// must be among the parameters; the scope is openid if it is not.
func (p *RelyingParty) Authorize(parameters map[string]string) string {
	p.script.t.Helper()
	var url string
	p.must("authorize", parameters, &url)
	return url
}

// Redeem takes what the browser came back with, and redeems the code in it.
// parameters go to the token endpoint, too.
func (p *RelyingParty) Redeem(back Return, parameters map[string]string) (Tokens, error) {
	p.script.t.Helper()
	with := map[string]any{"url": back.URL, "parameters": parameters}
	if back.Form != "" {
		with["form"] = back.Form
	}
	return p.tokens("callback", with)
}

// Refresh redeems a refresh token.
func (p *RelyingParty) Refresh(refreshToken string, parameters map[string]string) (Tokens, error) {
	p.script.t.Helper()
	return p.tokens("refresh", map[string]any{"refresh_token": refreshToken, "parameters": parameters})
}

// ClientCredentials asks for a token of the client's own.
func (p *RelyingParty) ClientCredentials(parameters map[string]string) (Tokens, error) {
	p.script.t.Helper()
	return p.tokens("clientCredentials", map[string]any{"parameters": parameters})
}

func (p *RelyingParty) tokens(function string, with map[string]any) (Tokens, error) {
	p.script.t.Helper()
	var tokens Tokens
	err := p.script.Call(function, with, &tokens)
	return tokens, err
}

// Userinfo asks for the claims about a subject; an empty one is not checked.
func (p *RelyingParty) Userinfo(accessToken, subject string) (map[string]any, error) {
	p.script.t.Helper()
	with := map[string]string{"access_token": accessToken}
	if subject != "" {
		with["sub"] = subject
	}
	var claims map[string]any
	err := p.script.Call("userinfo", with, &claims)
	return claims, err
}

// Introspect asks what a token is.
func (p *RelyingParty) Introspect(token string) (map[string]any, error) {
	p.script.t.Helper()
	var answer map[string]any
	err := p.script.Call("introspect", map[string]string{"token": token}, &answer)
	return answer, err
}

// Revoke revokes a token.
func (p *RelyingParty) Revoke(token string) error {
	p.script.t.Helper()
	return p.script.Call("revoke", map[string]string{"token": token}, nil)
}

// EndSession returns the URL to send a browser to for a logout.
func (p *RelyingParty) EndSession(parameters map[string]string) string {
	p.script.t.Helper()
	var url string
	p.must("endSession", map[string]any{"parameters": parameters}, &url)
	return url
}

func (p *RelyingParty) must(function string, with, result any) {
	p.script.t.Helper()
	if err := p.script.Call(function, with, result); err != nil {
		p.script.t.Fatalf("%s: %v", function, err)
	}
}

// A Callback is the web site of a relying party, where browsers come back to.
type Callback struct {
	URL         string // of the redirect; the site answers at all others, too
	Certificate string // the site's, PEM; it is its own authority

	t       *testing.T
	returns chan Return
}

// A Return is a browser that comes back.
type Return struct {
	URL  string // whole
	Form string // the body, if it came by POST
}

// StartCallback starts a site with this host name, which is over TLS.
func StartCallback(t *testing.T, host string) *Callback {
	t.Helper()
	certificate, key := newCertificate(t, host)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	c := &Callback{Certificate: certificate, t: t, returns: make(chan Return, 100)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			http.NotFound(w, r)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return // the browser has gone away
		}
		c.returns <- Return{"https://" + r.Host + r.URL.String(), string(body)}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><html lang="en"><title>Back</title><p>You are back.`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	c.URL = "https://" + net.JoinHostPort(host, port) + "/callback"
	return c
}

// Await waits for the next browser that comes back.
func (c *Callback) Await() Return {
	c.t.Helper()
	select {
	case back := <-c.returns:
		return back
	case <-time.After(patience):
		c.t.Fatalf("nobody came to %s within %v", c.URL, patience)
		return Return{}
	}
}

// Parameters returns what the provider has sent along.
func (r Return) Parameters(t *testing.T) url.Values {
	t.Helper()
	query := r.Form
	if query == "" {
		_, query, _ = strings.Cut(r.URL, "?")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// A KubernetesAnswer is what the Kubernetes API server makes of a token.
type KubernetesAnswer struct {
	Refused string // why; empty if it is accepted
	User    string
	Groups  []string
}

// AskKubernetes asks the authenticator of the Kubernetes API server about
// tokens, in a root that can reach their issuer. The flags are those of
// kube-apiserver that begin with --oidc-.
func AskKubernetes(r *Root, flags []string, tokens ...string) []KubernetesAnswer {
	r.t.Helper()
	r.Install(Tool(r.t, "kubernetes"), "/usr/local/bin/kubernetes")
	var stdout, stderr bytes.Buffer
	cmd := r.command(r.t.Context(), append([]string{"kubernetes"}, flags...)...)
	cmd.Stdin = strings.NewReader(strings.Join(tokens, "\n") + "\n")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("kubernetes: %v\n%s", err, &stderr)
	}
	var answers []KubernetesAnswer
	for decoder := json.NewDecoder(&stdout); ; {
		var answer KubernetesAnswer
		err := decoder.Decode(&answer)
		if err == io.EOF {
			break
		}
		if err != nil {
			r.t.Fatal(fmt.Errorf("reading what kubernetes says: %w", err))
		}
		answers = append(answers, answer)
	}
	if len(answers) != len(tokens) {
		r.t.Fatalf("kubernetes: %d answers for %d tokens\n%s", len(answers), len(tokens), &stderr)
	}
	return answers
}
