// Package authserver is the web server, put together.
//
//	server.go      New: every URL, and who may call it
//	middleware.go  what is done with every request before and after
//	forwarded.go   who is asking: trusted proxies, X-Forwarded-*
//	ratelimit.go   how often one client may ask
//	health.go      is it alive, does it work
//	metrics.go     what is counted
//
// Endpoints see a request as the client sent it, whatever proxies were between:
// RemoteAddr, URL.Scheme and Host are the client's, and the headers that tell
// them are gone.
package authserver

import (
	"log/slog"
	"net/http"
	"net/netip"

	"authbridge/authserver/clientapi"
	"authbridge/authserver/docker"
	"authbridge/authserver/oauth2"
	"authbridge/authserver/oidc"
	"authbridge/authserver/session"
	"authbridge/authserver/web"

	"golang.org/x/time/rate"
)

// Config is what the server works with. The zero value of a field is explained
// where there is one.
type Config struct {
	// Rooms are the endpoints that ask the database; nil while it has not
	// answered yet. Then they answer 503.
	Rooms func() *Rooms

	Metrics *Metrics

	// Mounts are the paths under which the endpoints of OAuth 2.0 and OpenID
	// Connect are, each without a slash at its end. One is that of the issuer,
	// whose URLs discovery tells.
	Mounts []string

	// IssuerPath is the path of the issuer's URL; empty: it has none.
	IssuerPath string

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
	ClientAPI *clientapi.API    // what other servers ask
	Docker    *docker.API       // tokens for Docker registries
	Sessions  *session.Sessions // browsers that have signed in
	OAuth2    *oauth2.Server    // nil: no issuer is configured
	OIDC      *oidc.Server      // nil: no issuer is configured
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

// signIn is an endpoint of that room.
func signIn(e func(*session.Sessions, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		return in.Sessions.Handle(func(w http.ResponseWriter, r *http.Request) error { return e(in.Sessions, w, r) })
	}
}

// oauth2API is an endpoint of that room which programs ask.
func oauth2API(e func(*oauth2.Server, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		if in.OAuth2 == nil {
			return http.HandlerFunc(noIssuer)
		}
		return in.OAuth2.Handle(func(w http.ResponseWriter, r *http.Request) error { return e(in.OAuth2, w, r) })
	}
}

// oauth2Page is an endpoint of that room which browsers are sent to.
func oauth2Page(e func(*oauth2.Server, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		if in.OAuth2 == nil {
			return http.HandlerFunc(noIssuer)
		}
		return in.OAuth2.HandlePage(func(w http.ResponseWriter, r *http.Request) error { return e(in.OAuth2, w, r) })
	}
}

// oidcAPI is an endpoint of that room which programs ask.
func oidcAPI(e func(*oidc.Server, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		if in.OIDC == nil {
			return http.HandlerFunc(noIssuer)
		}
		return in.OIDC.Handle(func(w http.ResponseWriter, r *http.Request) error { return e(in.OIDC, w, r) })
	}
}

// oidcPage is an endpoint of that room which browsers are sent to.
func oidcPage(e func(*oidc.Server, http.ResponseWriter, *http.Request) error) endpoint {
	return func(in *Rooms) http.Handler {
		if in.OIDC == nil {
			return http.HandlerFunc(noIssuer)
		}
		return in.Sessions.Handle(func(w http.ResponseWriter, r *http.Request) error { return e(in.OIDC, w, r) })
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
	// browser: somebody's browser, with the cookie of its session if it has one.
	// Relying parties send it here.
	browser := func(e endpoint) http.Handler { return fromPopups(public(e)) }
	// form: a browser that sends a form of ours. Whatever changes something for
	// the user of a cookie comes this way.
	sameOrigin := http.NewCrossOriginProtection()
	form := func(e endpoint) http.Handler { return sameOrigin.Handler(browser(e)) }
	// client: a client of OAuth 2.0, which the endpoint authenticates, or whoever
	// bears a token that it got. Pages of other sites may ask, without cookies.
	client := public

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

	mux.Handle("GET /{$}", browser(signIn((*session.Sessions).Home)))
	for _, path := range []string{"/login", "/action/login"} {
		mux.Handle("GET "+path, browser(signIn((*session.Sessions).Login)))
		mux.Handle("POST "+path, form(signIn((*session.Sessions).Login)))
	}
	mux.Handle("GET /logout", browser(signIn((*session.Sessions).Logout)))
	for _, path := range []string{"/logout", "/action/logout"} {
		mux.Handle("POST "+path, form(signIn((*session.Sessions).Logout)))
	}
	mux.Handle("GET /static/{file}", anyone(web.Static.ServeHTTP))

	for _, mount := range cfg.Mounts {
		for _, method := range []string{"GET ", "POST "} {
			mux.Handle(method+mount+"/authorize", browser(oauth2Page((*oauth2.Server).Authorize)))
			mux.Handle(method+mount+"/logout", browser(oidcPage((*oidc.Server).EndSession))) // asks, unless the relying party proves the session
			mux.Handle(method+mount+"/userinfo", client(oidcAPI((*oidc.Server).UserInfo)))
		}
		mux.Handle("GET "+mount+"/continue", browser(oauth2Page((*oauth2.Server).Continue)))
		mux.Handle("POST "+mount+"/consent", form(oauth2Page((*oauth2.Server).Consent)))
		mux.Handle("POST "+mount+"/logout/confirm", form(oidcPage((*oidc.Server).ConfirmLogout)))

		mux.Handle("POST "+mount+"/token", client(oauth2API((*oauth2.Server).Token)))
		mux.Handle("POST "+mount+"/revoke_token", client(oauth2API((*oauth2.Server).Revoke)))
		mux.Handle("POST "+mount+"/revoke", client(oauth2API((*oauth2.Server).Revoke)))
		mux.Handle("POST "+mount+"/introspect", client(oauth2API((*oauth2.Server).Introspect)))
		mux.Handle("GET "+mount+"/fake-userinfo", client(oidcAPI((*oidc.Server).FakeUserInfo)))
		for _, path := range []string{"/token", "/revoke_token", "/revoke", "/userinfo"} {
			mux.Handle("OPTIONS "+mount+path, client(oidcAPI((*oidc.Server).Preflight)))
		}

		mux.Handle("GET "+mount+"/.well-known/openid-configuration", public(oidcAPI((*oidc.Server).Discovery)))
		mux.Handle("GET "+mount+"/.well-known/oauth-authorization-server", public(oidcAPI((*oidc.Server).Discovery)))
		mux.Handle("GET "+mount+"/.well-known/jwks.json", public(oidcAPI((*oidc.Server).JWKS)))
	}
	// Where RFC 8414 section 3.1 puts it, and those who look there for the other.
	mux.Handle("GET /.well-known/openid-configuration"+cfg.IssuerPath, public(oidcAPI((*oidc.Server).Discovery)))
	mux.Handle("GET /.well-known/oauth-authorization-server"+cfg.IssuerPath, public(oidcAPI((*oidc.Server).Discovery)))
	mux.Handle("GET /.well-known/jwks.json", public(oidcAPI((*oidc.Server).JWKS)))

	return cfg.around(mux)
}

// fromPopups lets a relying party sign its users in by a window that it has
// opened: such a window would otherwise lose who opened it as soon as it is here,
// and could not say that it is done.
func fromPopups(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cross-Origin-Opener-Policy", "unsafe-none")
		next.ServeHTTP(w, r)
	})
}

// noIssuer answers for endpoints that need one.
func noIssuer(w http.ResponseWriter, r *http.Request) {
	slog.WarnContext(r.Context(), "OpenID Connect needs an issuer: set --issuer or ISSUER", "path", r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	writeString(w, `{"error": "temporarily_unavailable", "error_description": "This server has no issuer"}`+"\n")
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
