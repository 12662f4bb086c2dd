package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"authbridge/authserver"
	"authbridge/authserver/account"
	"authbridge/internal/command"
	"authbridge/internal/daemon"
	"authbridge/internal/pg"
	"authbridge/internal/seal"

	"github.com/urfave/cli/v2"
	"golang.org/x/time/rate"
)

func serveCommand(db *database, profile *account.Profile) *cli.Command {
	cfg := newServeConfig()
	var secret secretKey
	var log daemon.Log
	listen := list[daemon.Address]{parse: daemon.ParseAddress}
	proxies := list[netip.Prefix]{parse: parseNetwork, variable: "TRUSTED_PROXIES"}
	exempt := list[netip.Prefix]{parse: parseNetwork, variable: "RATE_LIMIT_EXEMPT"}
	hosts := list[authserver.HostPattern]{parse: authserver.ParseHostPattern, variable: "ALLOWED_HOSTS"}
	mounts := list[authserver.Mount]{parse: authserver.ParseMount, variable: "OAUTH_MOUNTS"}

	return &cli.Command{
		Name:  "serve",
		Usage: "run the web server",
		Description: "--database names the login authserver_web. The server starts without the database,\n" +
			"too: /readyz says when it is there. SIGHUP reads the TLS files again, SIGTERM ends\n" +
			"the server when the requests at hand are answered.",
		Flags: append([]cli.Flag{
			&cli.GenericFlag{
				Name: "listen", Value: &listen, DefaultText: "$BINDIP:$BINDPORT, or 127.0.0.1:8999",
				Usage: "listen on `ADDRESS`, HOST:PORT or systemd; may be given several times. Sockets that systemd passes take its place",
			},
			&cli.StringFlag{
				Name: "tls-cert", EnvVars: []string{"TLS_CERT"}, Destination: &cfg.certFile,
				Usage: "serve HTTPS with the certificate chain in `FILE`, PEM; it is read again when it changes",
			},
			&cli.StringFlag{Name: "tls-key", EnvVars: []string{"TLS_KEY"}, Destination: &cfg.keyFile, Usage: "the private key for --tls-cert, in `FILE`"},
			&cli.StringFlag{
				Name: "client-ca", EnvVars: []string{"CLIENT_CA"}, Destination: &cfg.clientCAFile,
				Usage: "believe client certificates of the authorities in `FILE`: their holders may ask on behalf of others",
			},
			&cli.GenericFlag{
				Name: "trusted-proxy", EnvVars: []string{proxies.variable}, Value: &proxies,
				Usage: "believe X-Forwarded-For and X-Forwarded-Proto from `CIDR`; may be given several times",
			},
			&cli.BoolFlag{
				Name: "proxy-protocol", EnvVars: []string{"PROXY_PROTOCOL"}, Destination: &cfg.proxyProtocol,
				Usage: "demand the PROXY protocol from --trusted-proxy",
			},
			&cli.BoolFlag{
				Name: "assume-https", EnvVars: []string{"ASSUME_HTTPS"}, Destination: &cfg.site.AssumeHTTPS,
				Usage: "take all requests for HTTPS, because a proxy that says nothing lets in no others",
			},
			&cli.BoolFlag{
				Name: "use-x-forwarded-host", EnvVars: []string{"USE_X_FORWARDED_HOST"}, Destination: &cfg.site.ForwardedHost,
				Usage: "believe X-Forwarded-Host from --trusted-proxy, too",
			},
			&cli.GenericFlag{
				Name: "allowed-host", EnvVars: []string{hosts.variable}, Value: &hosts,
				Usage: "answer for `HOST` only, or .DOMAIN with all below it; may be given several times",
			},
			&cli.GenericFlag{
				Name: "rate-limit", EnvVars: []string{"RATE_LIMIT"}, Value: (*rateLimit)(&cfg.site.RateLimit),
				Usage: "answer this `NUMBER` of requests per second from one client address; 0: all",
			},
			&cli.GenericFlag{
				Name: "rate-burst", EnvVars: []string{"RATE_BURST"}, Value: (*rateBurst)(&cfg.site.RateBurst),
				Usage: "answer this `NUMBER` of requests at once before --rate-limit counts",
			},
			&cli.GenericFlag{
				Name: "rate-limit-exempt", EnvVars: []string{exempt.variable}, Value: &exempt,
				Usage: "answer all requests from `CIDR`, where servers ask on behalf of many users; may be given several times",
			},
			&cli.GenericFlag{
				Name: "metrics-listen", EnvVars: []string{"METRICS_LISTEN"}, Value: (*metricsAddress)(&cfg.metricsListen),
				Usage: "serve /metrics for Prometheus on `ADDRESS`, such as 127.0.0.1:8998",
			},
			&cli.GenericFlag{
				Name: "issuer", EnvVars: []string{"ISSUER"}, Value: (*issuer)(&cfg.issuer),
				Usage: "the OpenID Connect issuer is `URL`, which clients compare byte by byte",
			},
			&cli.GenericFlag{
				Name: "oauth-mount", EnvVars: []string{mounts.variable}, Value: &mounts,
				Usage: "serve OAuth 2.0 and OpenID Connect below `PATH`, too, such as /oauth2; may be given several times",
			},
			&cli.GenericFlag{
				Name: "session-idle-timeout", EnvVars: []string{"SESSION_IDLE_TIMEOUT"}, Value: (*positiveDuration)(&cfg.sessionIdle),
				Usage: "sign a browser out that has not been seen for this `DURATION`",
			},
			&cli.GenericFlag{
				Name: "session-lifetime", EnvVars: []string{"SESSION_LIFETIME"}, Value: (*positiveDuration)(&cfg.sessionLifetime),
				Usage: "sign a browser out after this `DURATION`, however busy it is",
			},
			&cli.BoolFlag{
				Name: "allow-password-grant", EnvVars: []string{"ALLOW_PASSWORD_GRANT"}, Destination: &cfg.passwordGrant,
				Usage: "let clients that have the grant type password send the passwords of users",
			},
			&cli.BoolFlag{
				Name: "legacy-anonymous-lookup", EnvVars: []string{"LEGACY_ANONYMOUS_LOOKUP"}, Destination: &cfg.anonymousLookup,
				Usage: "let anybody look users up at /checkpassword without a password",
			},
			&cli.GenericFlag{
				Name: "shutdown-timeout", EnvVars: []string{"SHUTDOWN_TIMEOUT"}, Value: (*positiveDuration)(&cfg.shutdownTimeout),
				Usage: "at the end, cut off requests that take longer than this `DURATION`",
			},
			secret.flag(),
		}, log.Flags()...),
		Action: func(c *cli.Context) error {
			cfg.database = db.admin
			cfg.database.ApplicationName, cfg.database.Actor = "authserver serve", "server"
			cfg.profile = *profile
			cfg.listen, cfg.site.TrustedProxies, cfg.site.AllowedHosts = listen.values, proxies.values, hosts.values
			cfg.site.RateExempt = exempt.values
			cfg.mounts = mounts.values
			if err := cfg.check(); err != nil {
				return err
			}
			var err error
			if cfg.master, err = secret.master(c); err != nil {
				return err
			}
			log.Start(c.App.ErrWriter)
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			cfg.hangups = hangups
			return serve(c.Context, cfg)
		},
	}
}

// serveConfig is what serve works with.
type serveConfig struct {
	database pg.Config // as authserver_web
	master   seal.Master
	profile  account.Profile

	listen                          []daemon.Address
	listeners                       []net.Listener // in place of listen, if there are any
	certFile, keyFile, clientCAFile string         // empty: plain HTTP
	proxyProtocol                   bool
	metricsListen                   daemon.Address // empty: none
	site                            authserver.Config
	issuer                          string
	mounts                          []authserver.Mount // besides those that are always there
	sessionIdle, sessionLifetime    time.Duration
	passwordGrant                   bool
	anonymousLookup                 bool
	shutdownTimeout                 time.Duration

	hangups   <-chan os.Signal       // each makes serve read its files again
	listening func(addrs []net.Addr) // is called once, if there is one: connections are accepted
	ready     func()                 // is called once, if there is one: the database is there, too
}

// newServeConfig returns what holds unless somebody says otherwise.
func newServeConfig() serveConfig {
	return serveConfig{
		site:            authserver.Config{RateLimit: 100, RateBurst: 500, Version: version()},
		sessionIdle:     12 * time.Hour,
		sessionLifetime: 14 * 24 * time.Hour,
		shutdownTimeout: 20 * time.Second,
	}
}

// version is that of the module this program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}

// check completes the configuration, or says what does not fit together.
func (cfg *serveConfig) check() error {
	if len(cfg.listen) == 0 {
		ip, port := os.Getenv("BINDIP"), os.Getenv("BINDPORT")
		if ip == "" {
			ip = "127.0.0.1"
		}
		if port == "" {
			port = "8999"
		}
		a, err := daemon.ParseAddress(net.JoinHostPort(strings.Trim(ip, "[]"), port))
		if err != nil {
			return command.Usagef("bad value in $BINDIP or $BINDPORT: %v", err)
		}
		cfg.listen = []daemon.Address{a}
	}
	switch {
	case (cfg.certFile == "") != (cfg.keyFile == ""):
		return command.Usagef("--tls-cert ($TLS_CERT) and --tls-key ($TLS_KEY) are given together, or neither")
	case cfg.clientCAFile != "" && cfg.certFile == "":
		return command.Usagef("--client-ca ($CLIENT_CA) needs --tls-cert ($TLS_CERT)")
	case cfg.proxyProtocol && len(cfg.site.TrustedProxies) == 0:
		return command.Usagef("--proxy-protocol ($PROXY_PROTOCOL) needs --trusted-proxy ($TRUSTED_PROXIES): from whom?")
	case cfg.site.ForwardedHost && len(cfg.site.TrustedProxies) == 0:
		return command.Usagef("--use-x-forwarded-host ($USE_X_FORWARDED_HOST) needs --trusted-proxy ($TRUSTED_PROXIES): from whom?")
	}
	if path := issuerPath(cfg.issuer); path != "" {
		if _, err := authserver.ParseMount(path); err != nil {
			return command.Usagef("bad value for --issuer ($ISSUER): %v", err)
		}
	}
	// A context that has ended lets Connect get no further than to read its
	// configuration. Bad configuration is for now, a database that is away for
	// later.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := cfg.database.Connect(ended); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serve runs the web server until ctx ends, which is how it is meant to end.
// It prints nothing.
func serve(ctx context.Context, cfg serveConfig) error {
	var certificates *daemon.Certificates
	if cfg.certFile != "" {
		var err error
		if certificates, err = daemon.LoadCertificates(cfg.certFile, cfg.keyFile, cfg.clientCAFile); err != nil {
			return err
		}
	}
	listeners := cfg.listeners
	var err error
	if listeners == nil {
		if listeners, err = daemon.Listen(cfg.listen); err != nil {
			return err
		}
	}
	closeAll := func() {
		for _, l := range listeners {
			l.Close() // of no interest: nobody was served
		}
	}

	back := &backEnd{}
	cfg.site.Rooms = back.rooms.Load
	cfg.site.Metrics = authserver.NewMetrics(back.poolStat)
	cfg.site.IssuerPath = issuerPath(cfg.issuer)
	cfg.site.Mounts = authserver.Mounts(endpointPath(cfg.issuer), cfg.mounts)
	back.cfg = cfg
	handler := authserver.New(cfg.site)
	var servers []daemon.Server
	var addrs []net.Addr
	for _, l := range listeners {
		addrs = append(addrs, l.Addr())
		slog.InfoContext(ctx, "listening", "address", l.Addr().String(), "tls", certificates != nil)
		if cfg.proxyProtocol {
			l = daemon.ProxyProtocol(l, cfg.site.TrustedProxies)
		}
		server := daemon.NewServer(handler)
		if certificates != nil {
			server.TLSConfig = certificates.Config()
		}
		servers = append(servers, daemon.Server{Server: server, Listener: l})
	}
	if cfg.metricsListen != "" {
		l, err := net.Listen("tcp", string(cfg.metricsListen))
		if err != nil {
			closeAll()
			return fmt.Errorf("metrics: %w", err)
		}
		addrs = append(addrs, l.Addr())
		slog.InfoContext(ctx, "listening for Prometheus", "address", l.Addr().String())
		servers = append(servers, daemon.Server{Server: daemon.NewServer(cfg.site.Metrics.Handler()), Listener: l})
	}
	if cfg.listening != nil {
		cfg.listening(addrs)
	}

	// What works in the background goes on until the last request is answered.
	// If it fails for good, the server ends.
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() {
		if err := back.run(background); err != nil {
			stop(err)
		}
	})
	work.Go(func() { daemon.Watchdog(background) })
	work.Go(func() { daemon.Hangups(background, cfg.hangups, reload(certificates)) })
	if certificates != nil {
		work.Go(func() { certificates.Watch(background, certificateInterval) })
	}

	err = daemon.Serve(serving, cfg.shutdownTimeout, servers...)
	cancel()
	work.Wait()
	back.close()
	if cause := context.Cause(serving); ctx.Err() == nil && cause != nil {
		return errors.Join(cause, err)
	}
	return err
}

// certificateInterval is how often TLS files are looked at. Their authorities
// renew them weeks before they end.
const certificateInterval = 10 * time.Second

func reload(certificates *daemon.Certificates) func() error {
	if certificates == nil {
		return func() error { return nil }
	}
	return certificates.Reload
}

// list is a flag that may be given several times, or an environment variable
// with commas. The flag takes the place of the variable.
type list[T fmt.Stringer] struct {
	parse    func(string) (T, error)
	variable string

	values []T
	sets   int
}

// Set implements flag.Value.
func (l *list[T]) Set(s string) error {
	// The variable comes first, if there is something in it.
	if l.sets == 1 && l.variable != "" && os.Getenv(l.variable) != "" {
		l.values = nil
	}
	l.sets++
	for part := range strings.SplitSeq(s, ",") {
		v, err := l.parse(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		l.values = append(l.values, v)
	}
	return nil
}

func (l *list[T]) String() string {
	var all []string
	for _, v := range l.values {
		all = append(all, v.String())
	}
	return strings.Join(all, ", ")
}

// parseNetwork reads a network or an address.
func parseNetwork(s string) (netip.Prefix, error) {
	var n networks
	if err := n.Set(s); err != nil {
		return netip.Prefix{}, err
	}
	return n[0], nil
}

// rateLimit is a number of requests per second.
type rateLimit rate.Limit

// Set implements flag.Value.
func (r *rateLimit) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return fmt.Errorf("%q is not a number of requests per second", s)
	}
	*r = rateLimit(v)
	return nil
}

func (r *rateLimit) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }

// rateBurst is a number of requests.
type rateBurst int

// Set implements flag.Value.
func (r *rateBurst) Set(s string) error {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil || v < 1 {
		return fmt.Errorf("%q is not a number of requests, from 1 on", s)
	}
	*r = rateBurst(v)
	return nil
}

func (r *rateBurst) String() string { return strconv.Itoa(int(*r)) }

// metricsAddress is an address that is not systemd's.
type metricsAddress daemon.Address

// Set implements flag.Value.
func (m *metricsAddress) Set(s string) error {
	a, err := daemon.ParseAddress(s)
	if err == nil && a == daemon.FromSystemd {
		err = errors.New("systemd passes no socket for metrics, want HOST:PORT")
	}
	*m = metricsAddress(a)
	return err
}

func (m *metricsAddress) String() string { return string(*m) }

// issuer is the URL of an OpenID provider (OpenID Connect Discovery 1.0
// section 3).
type issuer string

// Set implements flag.Value.
func (i *issuer) Set(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("want a URL that begins with https:// and a host")
	case u.User != nil:
		return errors.New("an issuer has no user in it")
	case strings.ContainsAny(s, "?#"):
		return errors.New("an issuer has neither query nor fragment")
	}
	*i = issuer(s)
	return nil
}

func (i *issuer) String() string { return string(*i) }

// issuerPath returns the path of the issuer, without a slash at its end; empty:
// it has none.
func issuerPath(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return "" // the flag has refused such a text
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// endpointPath returns the path below which discovery says that the endpoints of
// OAuth 2.0 and OpenID Connect are: that of the issuer, or the usual one.
func endpointPath(issuer string) string {
	if path := issuerPath(issuer); path != "" {
		return path
	}
	return string(authserver.DefaultMount)
}

// endpointBase returns their URL without the slash at its end; empty: there is
// no issuer.
func endpointBase(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || issuer == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + endpointPath(issuer)
}

// positiveDuration is how long something may take.
type positiveDuration time.Duration

// Set implements flag.Value.
func (d *positiveDuration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a duration such as 20s", s)
	}
	*d = positiveDuration(v)
	return nil
}

func (d *positiveDuration) String() string { return time.Duration(*d).String() }
