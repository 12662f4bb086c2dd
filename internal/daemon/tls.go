package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Certificates are files that a TLS listener works with. Connections that
// exist keep what they began with; each new one gets what was read last.
type Certificates struct {
	cert, key, clientCA string

	current atomic.Pointer[tls.Config]

	mu   sync.Mutex // of what follows
	seen [3]stamp
}

// stamp is what tells a file from another one with its name.
type stamp struct {
	modified time.Time
	size     int64
	file     fs.FileInfo // for os.SameFile
}

// LoadCertificates reads a certificate chain and its key, PEM. With clientCA,
// clients may show a certificate, which must then be from one of those
// authorities; without a certificate they are let in, too.
func LoadCertificates(cert, key, clientCA string) (*Certificates, error) {
	c := &Certificates{cert: cert, key: key, clientCA: clientCA}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config returns the configuration of a listener.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}
}

// Reload reads the files again. If they are no good, the ones before stay.
func (c *Certificates) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.stamps() // before they are read: a change meanwhile is another one
	return c.load()
}

func (c *Certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("TLS certificate %s, key %s: %w", c.cert, c.key, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if c.clientCA != "" {
		pem, err := os.ReadFile(c.clientCA)
		if err != nil {
			return fmt.Errorf("authorities of client certificates: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("authorities of client certificates: no certificate in %s", c.clientCA)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A resumed session is not asked for its certificate again, which may
		// have expired, or its authority gone.
		config.SessionTicketsDisabled = true
	}
	c.current.Store(config)
	return nil
}

// Watch reads the files again when they have changed, which it looks for once
// per interval, until ctx ends.
func (c *Certificates) Watch(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch changed, err := c.reloadIfChanged(); {
		case err != nil:
			slog.ErrorContext(ctx, "TLS certificates are not read again, the old ones stay", "err", err)
		case changed:
			slog.InfoContext(ctx, "TLS certificates read again", "cert", c.cert)
		}
	}
}

// reloadIfChanged says nothing more of files that are no good until they
// change again. Certificate and key are replaced one after the other, so that
// is no rare thing to see.
func (c *Certificates) reloadIfChanged() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps := c.stamps()
	if same(stamps, c.seen) {
		return false, nil
	}
	c.seen = stamps
	return true, c.load()
}

func (c *Certificates) stamps() [3]stamp {
	var s [3]stamp
	for i, name := range []string{c.cert, c.key, c.clientCA} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.ModTime(), info.Size(), info}
		}
	}
	return s
}

func same(a, b [3]stamp) bool {
	for i := range a {
		if !a[i].modified.Equal(b[i].modified) || a[i].size != b[i].size ||
			(a[i].file == nil) != (b[i].file == nil) || a[i].file != nil && !os.SameFile(a[i].file, b[i].file) {
			return false
		}
	}
	return true
}
