package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/smtp"
	"net/textproto"
	"strconv"
	"testing"
	"time"
)

// WriteKey writes a new key and a certificate for localhost into the root.
func (r *Root) WriteKey(certFile, keyFile string) {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotAfter:     time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Write(certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	r.Write(keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	r.Run("chmod", "0600", keyFile)
}

// anyCertificate trusts whom it talks to: it is on this machine.
var anyCertificate = &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}

// DialSMTP connects to a server on 127.0.0.1, with STARTTLS if it is to be
// encrypted.
func DialSMTP(t *testing.T, port int, encrypted bool) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial("127.0.0.1:" + strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if encrypted {
		if err := c.StartTLS(anyCertificate); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// LoginSMTP authenticates by the mechanism PLAIN.
func LoginSMTP(c *smtp.Client, user, password string) error {
	return c.Auth(smtp.PlainAuth("", user, password, "127.0.0.1"))
}

// Send sends a message that is nothing but its subject.
func Send(c *smtp.Client, from, to, subject string) error {
	if err := c.Mail(from); err != nil {
		return fmt.Errorf("MAIL: %w", err)
	}
	if err := c.Rcpt(to); err != nil {
		return fmt.Errorf("RCPT: %w", err)
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	if _, err := fmt.Fprintf(w, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n", from, to, subject); err != nil {
		return err
	}
	return w.Close()
}

// ReplyCode is the code of the SMTP reply that err is, or 0.
func ReplyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}
