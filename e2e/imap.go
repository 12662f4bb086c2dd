package e2e

import (
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
)

// IMAP is a client connection (RFC 3501).
type IMAP struct {
	t    *testing.T
	conn *textproto.Conn
}

// DialIMAP connects to a server on 127.0.0.1.
func DialIMAP(t *testing.T, port int) *IMAP {
	t.Helper()
	conn, err := textproto.Dial("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if greeting, err := conn.ReadLine(); err != nil || !strings.HasPrefix(greeting, "* OK") {
		t.Fatalf("greeting %q, %v", greeting, err)
	}
	return &IMAP{t, conn}
}

// Do sends a command and returns the untagged responses. The error is the
// server's NO or BAD.
func (c *IMAP) Do(format string, args ...any) ([]string, error) {
	c.t.Helper()
	id, err := c.conn.Cmd("x "+format, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.conn.StartResponse(id)
	defer c.conn.EndResponse(id)
	var untagged []string
	for {
		line, err := c.conn.ReadLine()
		if err != nil {
			c.t.Fatal(err)
		}
		status, tagged := strings.CutPrefix(line, "x ")
		switch {
		case !tagged:
			untagged = append(untagged, line)
		case strings.HasPrefix(status, "OK"):
			return untagged, nil
		default:
			return untagged, fmt.Errorf("%s", status)
		}
	}
}

// Login logs in with a password.
func (c *IMAP) Login(user, password string) error {
	c.t.Helper()
	_, err := c.Do("LOGIN %s %s", quoteIMAP(user), quoteIMAP(password))
	return err
}

func quoteIMAP(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
