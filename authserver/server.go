// Package authserver is the web server, put together.
//
//	server.go      New: every URL, and who may call it
//	middleware.go  what is done with every request before and after
//	client.go      who is asking: trusted proxies, X-Forwarded-*
//	ratelimit.go   how often one client may ask
//	health.go      is it alive, does it work
//	metrics.go     what is counted
//
// Endpoints see a request as the client sent it, whatever proxies were between:
// RemoteAddr, URL.Scheme and Host are the client's, and the headers that tell
// them are gone.
package authserver

import (
	"net/http"
	"net/netip"

	"authbridge/authserver/clientapi"
	"authbridge/authserver/docker"

	"golang.org/x/time/rate"
)

// Config is what the server works with. The zero value of a field is explained
// where there is one.
type Config struct {
	// Rooms are the endpoints that ask the database; nil while it has not
	// answered yet. Then they answer 503.
	Rooms func() *Rooms

	Metrics *Metrics

	// Version is what /health shows.
	Version string

	// TrustedProxies are networks whose X-Forwarded-* headers are believed;
	// empty: nobody's are.
	TrustedProxies []netip.Prefix

	// ForwardedHost lets trusted proxies say by X-Forwarded-Host which host the
	// client has asked for.
	ForwardedHost bool

	// AssumeHTTPS takes every request for one that the client sent with TLS.
	AssumeHTTPS bool

	// AllowedHosts are those that requests may be for; empty: all.
	AllowedHosts []HostPattern

	// RateLimit is how many requests a client address, or an IPv6 network of
	// 64 bits, may send per second, and RateBurst how many at once; 0: as many
	// as it likes.
	RateLimit rate.Limit
	RateBurst int

	// RateExempt are networks of servers that ask on behalf of many: they send
	// as many requests as they like. Wrong passwords are counted all the same.
	RateExempt []netip.Prefix
}

// Rooms are the packages with endpoints that ask the database.
type Rooms struct {
	ClientAPI *clientapi.API // what other servers ask
	Docker    *docker.API    // tokens for Docker registries
}

// An endpoint is one URL, in one of the rooms.
type endpoint = func(*Rooms) http.Handler

// clientAPI is an endpoint of that room.
func clientAPI(e func(*clientapi.API, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		return in.ClientAPI.Handle(func(w http.ResponseWriter, r *http.Request) error { return e(in.ClientAPI, w, r) })
	}
}

// dockerAPI is an endpoint of that room.
func dockerAPI(e func(*docker.API, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		return in.Docker.Handle(func(w http.ResponseWriter, r *http.Request) error { return e(in.Docker, w, r) })
	}
}

// New returns the whole site. Each line is one URL; the word before the handler
// says who may call it. Patterns have no slash at their end: one is stripped
// before the mux is asked.
func New(cfg Config) http.Handler {
	health := health{rooms: cfg.Rooms, version: cfg.Version}

	// anyone: no credentials. Nothing that depends on who asks.
	anyone := func(h http.HandlerFunc) http.Handler { return h }
	// public: anyone, and the database is asked.
	public := func(e endpoint) http.Handler { return whenReady(cfg.Rooms, e) }
	// user: the request has somebody's password, which is verified and counted.
	user := public
	// server: a server that has a credential of its own, which the endpoint
	// demands.
	server := public

	mux := http.NewServeMux()
	mux.Handle("/healthz", anyone(health.alive))
	mux.Handle("/readyz", anyone(health.ready))
	mux.Handle("/health", anyone(health.report))
	mux.Handle("/robots.txt", anyone(robots))

	mux.Handle("GET /getkey", public(clientAPI((*clientapi.API).GetKey)))
	mux.Handle("GET /.well-known/webfinger", public(clientAPI((*clientapi.API).WebFinger)))
	mux.Handle("POST /email-agent-auth-tokens/validate", public(clientAPI((*clientapi.API).ValidateAgentToken))) // the token is used up by it

	mux.Handle("POST /checkpassword", user(clientAPI((*clientapi.API).CheckPassword))) // without a password: server
	mux.Handle("/forward-auth", user(clientAPI((*clientapi.API).ForwardAuth)))         // any method: proxies pass on the client's

	mux.Handle("POST /verify", server(clientAPI((*clientapi.API).Verify)))
	mux.Handle("POST /dovecot/auth-policy", server(clientAPI((*clientapi.API).DovecotPolicy)))

	for _, path := range []string{"/docker/token", "/auth/token"} {
		mux.Handle("GET "+path, user(dockerAPI((*docker.API).Token))) // without a password: public
		mux.Handle("POST "+path, user(dockerAPI((*docker.API).Token)))
	}

	return cfg.around(mux)
}

// whenReady serves an endpoint as soon as the database has answered.
func whenReady(rooms func() *Rooms, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := rooms()
		if in == nil {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
			writeString(w, `{"error": "Temporarily unavailable"}`+"\n")
			return
		}
		e(in).ServeHTTP(w, r)
	})
}

// robots keeps all of the site out of search engines.
func robots(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	writeString(w, "User-agent: *\nDisallow: /\n")
}
