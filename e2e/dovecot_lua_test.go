package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

func TestScratchLua(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			root := NewRoot(t, dovecots[version].root)
			c, k := newCertificate(t)
			pair, err := tls.X509KeyPair([]byte(c), []byte(k))
			if err != nil {
				t.Fatal(err)
			}
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
			if err != nil {
				t.Fatal(err)
			}
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				t.Logf("%s %s %v %s", r.Method, r.URL, r.Header, b)
				fmt.Fprintln(w, `{"user":"alice@example.com"}`)
			})}
			go s.Serve(l)
			t.Cleanup(func() { s.Close() })
			port := l.Addr().(*net.TCPAddr).Port
			root.Write("/etc/hosts", "127.0.0.1 localhost "+AuthHost+"\n")
			root.Write("/usr/local/share/ca-certificates/auth.crt", c)
			root.Run("update-ca-certificates")
			root.Run("mkdir", "-p", "/usr/share/authserver/dovecot")
			root.Install("../docs/integrations/authserver.lua", "/usr/share/authserver/dovecot/authserver.lua")
			root.Write("/etc/dovecot/authserver.secret", "ac_test\n")
			root.Write("/etc/dovecot/authserver-login.lua", fmt.Sprintf(`authserver = { url = "https://auth.example.com:%d/verify", secret_file="/etc/dovecot/authserver.secret", permissions={"imap"}}
dofile("/usr/share/authserver/dovecot/authserver.lua")
`, port))
			root.Run("sh", "-euc", "adduser --system --group --home /var/vmail --shell /usr/sbin/nologin virtmail; sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf")
			conf := `
first_valid_uid = 100
passdb {
  driver = lua
  args = file=/etc/dovecot/authserver-login.lua blocking=yes
}
userdb {
  driver = static
  args = uid=virtmail gid=virtmail home=/var/vmail/%d/%n
}
`
			if version == "2.4" {
				conf = `
first_valid_uid = 100
ssl_client_ca_dir = /etc/ssl/certs
passdb lua {
  lua_file = /etc/dovecot/authserver-login.lua
}
userdb static {
  fields {
    uid = virtmail
    gid = virtmail
    home = /var/vmail/%{user|domain}/%{user|username}
  }
}
`
			}
			root.Write("/etc/dovecot/local.conf", conf)
			p := FreePort()
			root.Write("/etc/dovecot/conf.d/99-e2e.conf", fmt.Sprintf(dovecots[version].ports, p)+"\nauth_debug = yes\n")
			root.Start(p, "dovecot", "-F")
			t.Log(DialIMAP(t, p).Login("alice@example.com", "a \"b\\ü%u\v"))
			t.Log(DialIMAP(t, p).Login("alice@example.com", "again"))
			t.Log(root.Try("doveadm", "auth", "test", "-x", "service=submission", "-x", "rip=127.0.0.3", "bob", "pä"))
			t.Fail()
		})
	}
}
