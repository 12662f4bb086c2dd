package authserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is what the server counts, for Prometheus.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	limited  prometheus.Counter
	logins   *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	oauth2   *prometheus.CounterVec
}

// NewMetrics returns metrics of requests, of the Go runtime and process, and of
// a pool of database connections, whose state pool returns; nil: there is none
// yet.
func NewMetrics(pool func() *pgxpool.Stat) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "authserver_http_request_duration_seconds",
			Help:    "Time to answer a request, by route and class of status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "status"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authserver_logins_total",
			Help: "Logins that were asked about, by outcome: ok, denied, throttled, busy or error.",
		}, []string{"outcome"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authserver_docker_tokens_total",
			Help: "Tokens for Docker registries, by grant: password, refresh_token or anonymous.",
		}, []string{"grant"}),
		oauth2: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authserver_oauth2_requests_total",
			Help: "Requests for authorization and tokens of OAuth 2.0, by grant and outcome: ok, or the error code of the answer.",
		}, []string{"grant", "outcome"}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "authserver_http_rate_limited_total",
			Help: "Requests refused because their client sent too many.",
		}),
	}
	m.registry.MustRegister(m.requests, m.limited, m.logins, m.tokens, m.oauth2, poolCollector{pool},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler returns what Prometheus reads: GET /metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// Login counts a login: see account.Verifier.
func (m *Metrics) Login(outcome string) { m.logins.WithLabelValues(outcome).Inc() }

// DockerToken counts a token for a Docker registry: see docker.API.
func (m *Metrics) DockerToken(grant string) { m.tokens.WithLabelValues(grant).Inc() }

// OAuth2 counts a request for authorization or a token: see oauth2.Server.
func (m *Metrics) OAuth2(grant, outcome string) { m.oauth2.WithLabelValues(grant, outcome).Inc() }

// observe counts an answer. route is a pattern of the mux, so that there are
// only so many, whatever is asked for.
func (m *Metrics) observe(route string, status int, d time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Observe(d.Seconds())
}

// poolCollector shows the state of a pool of database connections.
type poolCollector struct{ stat func() *pgxpool.Stat }

var (
	poolConnections = prometheus.NewDesc("authserver_db_connections", "Connections to the database.", []string{"state"}, nil)
	poolMax         = prometheus.NewDesc("authserver_db_connections_max", "Most connections to the database.", nil, nil)
	poolWaits       = prometheus.NewDesc("authserver_db_waits_total", "How often a connection was waited for.", nil, nil)
	poolWaitTime    = prometheus.NewDesc("authserver_db_wait_seconds_total", "How long connections were waited for.", nil, nil)
	poolCanceled    = prometheus.NewDesc("authserver_db_canceled_waits_total", "How often waiting for a connection was given up.", nil, nil)
)

func (c poolCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConnections, poolMax, poolWaits, poolWaitTime, poolCanceled} {
		descs <- d
	}
}

func (c poolCollector) Collect(metrics chan<- prometheus.Metric) {
	s := c.stat()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v int32, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(poolConnections, s.AcquiredConns(), "used")
	gauge(poolConnections, s.IdleConns(), "idle")
	gauge(poolConnections, s.ConstructingConns(), "connecting")
	gauge(poolMax, s.MaxConns())
	counter(poolWaits, float64(s.EmptyAcquireCount()))
	counter(poolWaitTime, s.EmptyAcquireWaitTime().Seconds())
	counter(poolCanceled, float64(s.CanceledAcquireCount()))
}
