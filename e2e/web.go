package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A Browser visits web servers from an address that is its own, so that wrong
// passwords of one test are not counted for another.
type Browser struct {
	Address string

	t      *testing.T
	client *http.Client
}

var lastBrowser atomic.Int32

// NewBrowser returns a browser that nobody has seen before.
func NewBrowser(t *testing.T) *Browser {
	n := lastBrowser.Add(1)
	address := net.IPv4(127, 1, byte(n>>8), byte(n))
	transport := &http.Transport{
		// All names are of this machine.
		DialContext: func(ctx context.Context, network, server string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(server)
			if err != nil {
				return nil, err
			}
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}
			return from.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
		// Who the site is, is not what is tested.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &Browser{address.String(), t, &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// A Page is what a browser has got.
type Page struct {
	Status int
	Header http.Header
	Body   string
}

// Visit gets a URL as a user with a password; neither means without any. More
// headers come as names and values.
func (b *Browser) Visit(url, user, password string, headers ...string) Page {
	b.t.Helper()
	page, err := b.visit(url, user, password, headers...)
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

func (b *Browser) visit(url, user, password string, headers ...string) (Page, error) {
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return Page{}, err
	}
	if user != "" || password != "" {
		r.SetBasicAuth(user, password)
	}
	for header := range slices.Chunk(headers, 2) {
		r.Header[header[0]] = append(r.Header[header[0]], header[1]) // as it is written
	}
	return b.do(r)
}

func (b *Browser) do(r *http.Request) (Page, error) {
	answer, err := b.client.Do(r)
	if err != nil {
		return Page{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return Page{answer.StatusCode, answer.Header, string(body)}, err
}

// Guess tries eleven wrong passwords: one more than are free.
func (b *Browser) Guess(url, user string, headers ...string) {
	b.t.Helper()
	for i := range 11 {
		if got := b.Visit(url, user, "guess "+strconv.Itoa(i), headers...); got.Status == http.StatusOK {
			b.t.Fatalf("guess %d: status %d", i, got.Status)
		}
	}
}

// listen takes connections on a port until the test ends, hands them to serve,
// and counts them.
func listen(t *testing.T, port int, serve func(net.Conn)) *atomic.Int32 {
	t.Helper()
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			stop := context.AfterFunc(t.Context(), func() { conn.Close() })
			serving.Go(func() {
				defer stop()
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return &taken
}

// NewApplication starts an application that shows the headers it got, one line
// each, and returns where it listens.
func NewApplication(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "This is the application.")
		for name, values := range r.Header {
			for _, value := range values {
				fmt.Fprintf(w, "%s: %s\n", name, value)
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// IsApplication tells whether this is what an application of NewApplication
// says.
func (p Page) IsApplication() bool {
	return p.Status == http.StatusOK && strings.HasPrefix(p.Body, "This is the application.\n")
}

// Got returns the values of a header that the application got, whether it was
// written with '-' or '_', each after "name: ".
func (p Page) Got(name string) []string {
	var values []string
	for line := range strings.Lines(p.Body) {
		if got, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok &&
			strings.EqualFold(strings.ReplaceAll(got, "_", "-"), name) {
			values = append(values, value)
		}
	}
	return values
}

// startSite starts a web server of one site, which it waits for.
func (r *Root) startSite(site string, args ...string) *Server {
	r.t.Helper()
	u, err := neturl.Parse(site)
	if err != nil {
		r.t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Start(port, args...)
}

// apiClient makes an API client as a page of docs/integrations says, under a
// name of its own, and returns its secret.
func apiClient(t *testing.T, db *Database, page string) string {
	t.Helper()
	lines, err := consoleLines(page)
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(lines[0])[1:]
	args[len(args)-1] += "-" + strconv.Itoa(int(lastAPIClient.Add(1)))
	return strings.TrimSpace(db.Operate(t, args...))
}

var lastAPIClient atomic.Int32

// appPassword makes an app password of a user, for these services or all.
func appPassword(t *testing.T, db *Database, user string, services ...string) string {
	t.Helper()
	args := []string{"apppassword", "create", "--user", user}
	for _, service := range services {
		args = append(args, "--service", service)
	}
	return strings.TrimSpace(db.Operate(t, args...))
}

// throttled returns for which services wrong passwords from an address were
// counted.
func (d *Database) throttled(t *testing.T, address string) (services []string) {
	t.Helper()
	d.QueryRow(t, `select coalesce(array_agg(distinct t.service), '{}') from auth.login_throttles t
		where host(t.network) = '`+address+`'`, &services)
	return services
}
