package checkpassword

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"authbridge/internal/command"
)

// A URL is where a server is asked.
type URL struct{ url.URL }

// Set implements flag.Value. Passwords go there, so it is https, or a server on
// this machine.
func (u *URL) Set(s string) error {
	parsed, err := url.Parse(s)
	switch {
	case err != nil:
		// The error of url.Parse repeats a text that may hold a password.
		return errors.New("this is no URL")
	case parsed.User != nil:
		return errors.New("a URL on a command line is no place for credentials")
	case parsed.Hostname() == "" || parsed.Fragment != "":
		return errors.New("want https://HOST/PATH")
	case parsed.Scheme == "http" && !loopback(parsed.Hostname()):
		return errors.New("http is for servers on this machine: want https")
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		return errors.New("want https")
	}
	u.URL = *parsed
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// A Proxy is the HTTP proxy that servers are reached through, if any.
type Proxy struct {
	text string
	of   func(*http.Request) (*url.URL, error)
}

// Set implements flag.Value.
func (p *Proxy) Set(s string) error {
	switch s {
	case "none":
		*p = Proxy{text: s}
		return nil
	case "environment":
		*p = Proxy{s, http.ProxyFromEnvironment}
		return nil
	}
	parsed, err := url.Parse(s)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return errors.New("want none, environment or http://HOST:PORT")
	}
	if parsed.User != nil {
		return errors.New("a URL on a command line is no place for credentials")
	}
	*p = Proxy{s, http.ProxyURL(parsed)}
	return nil
}

func (p *Proxy) String() string { return p.text }

// A Connection says how servers are reached. The zero value trusts the
// certificate authorities of the machine.
type Connection struct {
	CAFile   string // PEM certificates to trust instead; wins over Insecure
	Insecure bool   // do not verify who the server is

	CertificateFile, KeyFile string // PEM; how the server knows this machine

	Proxy Proxy
}

// bundle is where Debian keeps all authorities. crypto/x509 would read it, and
// then the folder with the same certificates one by one, which takes longer
// than everything else that this program does.
const bundle = "/etc/ssl/certs/ca-certificates.crt"

// Client returns an HTTP client for one request to u. It follows no redirects:
// the password is for the server that was named.
func (c Connection) Client(u *url.URL) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case c.CAFile != "":
		pem, err := readFile(c.CAFile, 8<<20)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no certificate", c.CAFile)
		}
	case c.Insecure:
		config.InsecureSkipVerify = true
	case u.Scheme == "https":
		if pem, err := os.ReadFile(bundle); err == nil {
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM(pem)
		}
	}
	if c.CertificateFile != "" {
		cert, err := readFile(c.CertificateFile, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		key, err := readPrivate(c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client key: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  c.Proxy.of,
			DialContext:            new(net.Dialer).DialContext,
			TLSClientConfig:        config,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
			// No HTTP/2: it costs more than the one request that follows.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// ReadSecret reads a client credential: one line of a file.
func ReadSecret(name string) (command.Secret, error) {
	content, err := readPrivate(name)
	if err != nil {
		return "", fmt.Errorf("client secret: %w", err)
	}
	secret := string(bytes.TrimRight(content, "\r\n"))
	if secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("client secret: %s is not one line with a credential", name)
	}
	return command.Secret(secret), nil
}

// readPrivate reads a file unless everybody on the machine may.
func readPrivate(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o006 != 0 {
		return nil, fmt.Errorf("everybody can read or write %s: chmod o-rw it", name)
	}
	return readLimited(file, 64<<10)
}
