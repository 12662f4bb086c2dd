package authserver

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"authbridge/internal/daemon"
)

// maxBody is how many bytes a request may have. The longest that is asked for
// is a password and a few names.
const maxBody = 64 << 10

// around puts everything that happens with every request around the site. The
// first is the outermost: it sees the request first and the answer last.
func (cfg Config) around(site http.Handler) http.Handler {
	h := site
	for _, step := range slices.Backward([]func(http.Handler) http.Handler{
		cfg.identify,
		cfg.observe,
		recoverPanics,
		secure,
		cfg.allowHosts,
		cfg.limitRate,
		limitBody,
		routable,
	}) {
		h = step(h)
	}
	return h
}

// identify gives the request an id, which log lines and the answer show, and
// makes it what the client sent.
func (cfg Config) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r.Header.Get("X-Request-Id"))
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); id == "" || err != nil || !daemon.Contains(cfg.TrustedProxies, peer.Addr()) {
			id = newRequestID()
		}
		w.Header().Set("X-Request-Id", id)

		// One copy for all that follows, so that what the mux finds out is seen
		// here, too.
		r = r.WithContext(daemon.WithLogAttr(r.Context(), slog.String("request_id", id)))
		u := *r.URL
		r.URL = &u
		cfg.asClientSent(r)
		next.ServeHTTP(w, r)
	})
}

func newRequestID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// requestID returns an id from a proxy, or nothing if it is none that belongs
// into a log.
func requestID(s string) string {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:", r))
	}) {
		return ""
	}
	return s
}

// client returns the address that identify has found; the zero Addr if nobody
// knows.
func client(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // fails if nobody knows
	return peer.Addr()
}

// observe writes the access log and counts. The line has nothing of the query,
// of other headers or of bodies: they hold tokens and passwords.
func (cfg Config) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		asked := r.URL.Path
		res := &response{ResponseWriter: w}
		defer func() {
			d := time.Since(start)
			from := "unknown"
			if c := client(r); c.IsValid() {
				from = c.String()
			}
			slog.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("client", from),
				slog.String("method", cut(r.Method, 16)), slog.String("path", cut(asked, 256)), slog.Int("status", res.code()),
				slog.Int64("bytes", res.bytes), slog.Duration("duration", d))
			cfg.Metrics.observe(r.Pattern, res.code(), d)
		}()
		next.ServeHTTP(res, r)
	})
}

// cut shortens what somebody has sent to what a log line can bear.
func cut(s string, max int) string {
	if len(s) > max {
		return strings.ToValidUTF8(s[:max], "") + "…"
	}
	return s
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status int // 0: nothing yet
	bytes  int64
}

func (res *response) WriteHeader(status int) {
	if res.status == 0 && status >= 200 {
		res.status = status
	}
	res.ResponseWriter.WriteHeader(status)
}

func (res *response) Write(b []byte) (int, error) {
	if res.status == 0 {
		res.status = http.StatusOK
	}
	n, err := res.ResponseWriter.Write(b)
	res.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (res *response) Unwrap() http.ResponseWriter { return res.ResponseWriter }

// code is the status; one who answers nothing has answered 200.
func (res *response) code() int {
	if res.status == 0 {
		return http.StatusOK
	}
	return res.status
}

// recoverPanics answers 500 for a panic of ours. An answer that has begun is
// broken off, so that nobody takes it for a whole one.
func recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := w.Header().Get("X-Request-Id")
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			slog.ErrorContext(r.Context(), "panic", "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			if res, ok := w.(*response); ok && res.status != 0 {
				panic(http.ErrAbortHandler)
			}
			clear(w.Header()) // whatever the answer was to be
			w.Header().Set("X-Request-Id", id)
			setSecurity(w, r)
			http.Error(w, "Internal server error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

// secure sets the headers that every answer has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecurity(w, r)
		next.ServeHTTP(w, r)
	})
}

func setSecurity(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Robots-Tag", "noindex, nofollow, noarchive, nosnippet, noimageindex, notranslate, max-image-preview:none, max-snippet:0, max-video-preview:0")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Vary", "Cookie, origin")
	if r.URL.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// allowHosts refuses requests for hosts that are not ours. Health checks come
// by whatever address the load balancer knows.
func (cfg Config) allowHosts(next http.Handler) http.Handler {
	if len(cfg.AllowedHosts) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimSuffix(r.URL.Path, "/") {
		case "/healthz", "/readyz", "/health":
			next.ServeHTTP(w, r)
			return
		}
		name := hostName(r.Host)
		if !slices.ContainsFunc(cfg.AllowedHosts, func(p HostPattern) bool { return p.matches(name) }) {
			http.Error(w, "This server does not answer for the host that was asked for", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// limitRate refuses clients that ask too often, before anything is done for
// them.
func (cfg Config) limitRate(next http.Handler) http.Handler {
	if cfg.RateLimit <= 0 {
		return next
	}
	limiter := newLimiter(cfg.RateLimit, cfg.RateBurst, maxBuckets)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := client(r)
		if daemon.Contains(cfg.RateExempt, who) {
			next.ServeHTTP(w, r)
			return
		}
		ok, retryAfter := limiter.allow(who, time.Now())
		if !ok {
			cfg.Metrics.limited.Inc()
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
			http.Error(w, "Too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// limitBody refuses bodies that say they are too long, and ends those that turn
// out to be: reading on gives a *http.MaxBytesError.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			w.Header().Set("Connection", "close") // nobody wants to read the rest
			http.Error(w, "Request body too large", http.StatusRequestEntityTooLarge)
			return
		}
		server := w
		if res, ok := w.(*response); ok {
			server = res.ResponseWriter // which closes the connection then
		}
		r.Body = http.MaxBytesReader(server, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// routable strips one slash from the end of the path, and lets nothing through
// to the mux that it would answer by a redirect: a client that follows one may
// send a POST as a GET, or a password to where it does not belong.
func routable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
			return
		}
		if escaped := r.URL.EscapedPath(); len(escaped) > 1 && strings.HasSuffix(escaped, "/") {
			r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
			r.URL.RawPath = strings.TrimSuffix(r.URL.RawPath, "/")
		}
		escaped := r.URL.EscapedPath()
		if !strings.HasPrefix(escaped, "/") || path.Clean(escaped) != escaped || r.RequestURI == "*" {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// writeString writes a whole body. Whether the client still listens is its own
// affair.
func writeString(w io.Writer, s string) { io.WriteString(w, s) }
