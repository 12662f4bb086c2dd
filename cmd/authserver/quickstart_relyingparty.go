package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// demoClient is the name of the relying party among OAuth 2.0 clients.
const demoClient = "demo"

// relyingParty is an application that lets users in by OpenID Connect, and shows
// what it learns of them. It is there to be looked at: what it knows, it forgets
// when it ends.
type relyingParty struct {
	url, issuer, clientID, clientSecret string

	mu       sync.Mutex
	provider *oidc.Provider   // nil: not asked yet
	visits   map[string]visit // by the browser's cookie

	server *http.Server
	ended  chan error
}

// visit is what is known of a browser.
type visit struct {
	state, nonce, verifier string // of a login that has begun
	idToken                string
	claims                 []claim
}

type claim struct{ From, Name, Value string }

// maxVisits bounds what is remembered.
const maxVisits = 1000

// startRelyingParty makes the client of the relying party, unless there is one,
// and starts it at the port of the last time, or at 9000, or at whatever is
// free.
func (q *quick) startRelyingParty(ctx context.Context) (*relyingParty, error) {
	listener, err := listenAgain(q.demo.RelyingPartyPort, 9000)
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	rp := &relyingParty{
		url:    "http://" + net.JoinHostPort(webDomain, strconv.Itoa(port)),
		issuer: q.issuer(),
		visits: map[string]visit{},
		ended:  make(chan error, 1),
	}
	if err := q.registerRelyingParty(ctx, rp.url, port); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	rp.clientID, rp.clientSecret = q.demo.ClientID, q.demo.ClientSecret

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", rp.home)
	mux.HandleFunc("GET /login", rp.login)
	mux.HandleFunc("GET /callback", rp.callback)
	mux.HandleFunc("GET /logout", rp.logout)
	rp.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go func() { rp.ended <- rp.server.Serve(listener) }()
	return rp, nil
}

// registerRelyingParty makes the relying party a client, or moves the one that
// there is to another port.
func (q *quick) registerRelyingParty(ctx context.Context, base string, port int) error {
	if q.demo.ClientSecret == "" {
		var stdout bytes.Buffer
		if err := q.run(ctx, nil, &stdout, "oauth2", "create", demoClient, "--redirect-uri", base+"/callback"); err != nil {
			return err
		}
		var made struct {
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
		}
		if err := json.Unmarshal(stdout.Bytes(), &made); err != nil {
			return fmt.Errorf("authserver oauth2 create: %w", err)
		}
		q.demo.ClientID, q.demo.ClientSecret = made.ClientID, made.ClientSecret
	}
	if port == q.demo.RelyingPartyPort {
		return nil
	}
	q.demo.RelyingPartyPort = port
	return q.run(ctx, nil, io.Discard, "oauth2", "edit", demoClient,
		"--set-redirect-uri", base+"/callback", "--set-post-logout-redirect-uri", base+"/")
}

// close ends the relying party.
func (rp *relyingParty) close() error {
	rp.server.Close() // of no interest: nothing is kept
	if err := <-rp.ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// config returns how to ask the provider. It is found out with the first login:
// the provider may start later.
func (rp *relyingParty) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	if rp.provider == nil {
		var err error
		if rp.provider, err = oidc.NewProvider(ctx, rp.issuer); err != nil {
			return nil, nil, err
		}
	}
	return &oauth2.Config{
		ClientID: rp.clientID, ClientSecret: rp.clientSecret, RedirectURL: rp.url + "/callback",
		Endpoint: rp.provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", "email", "groups"},
	}, rp.provider, nil
}

// visitCookie names the browser's visit.
const visitCookie = "relying-party-demo"

// visit returns what is known of a browser, and the name of its visit.
func (rp *relyingParty) visit(r *http.Request) (id string, v visit) {
	cookie, err := r.Cookie(visitCookie)
	if err != nil {
		return "", visit{}
	}
	rp.mu.Lock()
	defer rp.mu.Unlock()
	return cookie.Value, rp.visits[cookie.Value]
}

// remember makes v what is known of a browser, by a new name.
func (rp *relyingParty) remember(w http.ResponseWriter, before string, v visit) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	delete(rp.visits, before)
	if len(rp.visits) >= maxVisits {
		clear(rp.visits)
	}
	id := rand.Text()
	rp.visits[id] = v
	http.SetCookie(w, &http.Cookie{Name: visitCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (rp *relyingParty) login(w http.ResponseWriter, r *http.Request) {
	cfg, _, err := rp.config(r.Context())
	if err != nil {
		http.Error(w, "The OpenID provider cannot be reached: "+err.Error(), http.StatusBadGateway)
		return
	}
	before, _ := rp.visit(r)
	v := visit{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	rp.remember(w, before, v)
	http.Redirect(w, r, cfg.AuthCodeURL(v.state, oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier)), http.StatusSeeOther)
}

func (rp *relyingParty) callback(w http.ResponseWriter, r *http.Request) {
	id, v := rp.visit(r)
	query := r.URL.Query()
	if v.state == "" || query.Get("state") != v.state {
		http.Error(w, "This is no answer to a login that began here", http.StatusBadRequest)
		return
	}
	if code := query.Get("error"); code != "" {
		http.Error(w, "The OpenID provider says: "+code+" "+query.Get("error_description"), http.StatusForbidden)
		return
	}
	v, err := rp.finish(r.Context(), v, query.Get("code"))
	if err != nil {
		http.Error(w, "The login did not work: "+err.Error(), http.StatusBadGateway)
		return
	}
	rp.remember(w, id, v)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// finish exchanges the code for tokens, and returns what they say.
func (rp *relyingParty) finish(ctx context.Context, begun visit, code string) (visit, error) {
	cfg, provider, err := rp.config(ctx)
	if err != nil {
		return visit{}, err
	}
	tokens, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(begun.verifier))
	if err != nil {
		return visit{}, err
	}
	text, _ := tokens.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: rp.clientID}).Verify(ctx, text)
	if err != nil {
		return visit{}, err
	}
	if idToken.Nonce != begun.nonce {
		return visit{}, errors.New("the ID token has another nonce")
	}
	userInfo, err := provider.UserInfo(ctx, cfg.TokenSource(ctx, tokens))
	if err != nil {
		return visit{}, err
	}
	v := visit{idToken: text}
	for from, source := range map[string]interface{ Claims(any) error }{"ID token": idToken, "UserInfo": userInfo} {
		var values map[string]json.RawMessage
		if err := source.Claims(&values); err != nil {
			return visit{}, err
		}
		for name, value := range values {
			v.claims = append(v.claims, claim{from, name, string(value)})
		}
	}
	slices.SortFunc(v.claims, func(a, b claim) int { return strings.Compare(a.From+" "+a.Name, b.From+" "+b.Name) })
	return v, nil
}

// logout ends the visit, and the session at the provider.
func (rp *relyingParty) logout(w http.ResponseWriter, r *http.Request) {
	_, provider, err := rp.config(r.Context())
	if err != nil {
		http.Error(w, "The OpenID provider cannot be reached: "+err.Error(), http.StatusBadGateway)
		return
	}
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil || metadata.EndSession == "" {
		http.Error(w, "The OpenID provider has no end session endpoint", http.StatusBadGateway)
		return
	}
	id, v := rp.visit(r)
	if v.idToken == "" { // nobody has signed in
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	rp.remember(w, id, visit{})
	http.Redirect(w, r, metadata.EndSession+"?"+url.Values{"id_token_hint": {v.idToken}, "post_logout_redirect_uri": {rp.url + "/"}}.Encode(),
		http.StatusSeeOther)
}

func (rp *relyingParty) home(w http.ResponseWriter, r *http.Request) {
	_, v := rp.visit(r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	relyingPartyPage.Execute(w, v.claims) // whether the browser still listens is its own affair
}

var relyingPartyPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A relying party</title>
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 3rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8886; overflow-wrap: anywhere; vertical-align: top }
td:last-child { font-family: ui-monospace, monospace }
</style>
<main>
<h1>A relying party</h1>
{{if .}}
<p>This application knows you by OpenID Connect. What it was told:</p>
<table>
<tr><th>from<th>claim<th>value</tr>
{{range .}}<tr><td>{{.From}}<td>{{.Name}}<td>{{.Value}}</tr>
{{end}}</table>
<p><a href="/logout">Sign out</a>, here and at the provider</p>
{{else}}
<p>This application knows nobody. It has no passwords, and asks an OpenID provider.</p>
<p><a href="/login">Sign in with authserver</a></p>
{{end}}
</main>
`))

// printRelyingParty says where to log in.
func (q *quick) printRelyingParty(b *strings.Builder) {
	fmt.Fprintf(b, `
A relying party of OpenID Connect is at http://%s/
  sign in there as %s with the password %s
  the issuer is %s
`, net.JoinHostPort(webDomain, strconv.Itoa(q.demo.RelyingPartyPort)), demoUser, q.demo.UserPassword, q.issuer())
}
