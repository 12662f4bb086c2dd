package e2e

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"authbridge/docs"
)

// What quickstart prints is all that one needs beside the guides: mail servers
// with the files that it shows take the logins that it shows.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	t.Run("on this machine", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for parent := dir; parent != os.TempDir(); parent = filepath.Dir(parent) {
			// PostgreSQL has an account of its own.
			if err := os.Chmod(parent, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(Binary(t, "authserver"), "quickstart", "--dir", dir+"/state")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		Binary(t, "checkpassword") // beside it
		q := startQuickstart(t, cmd, dir+"/state")
		q.checkPasswords(t)
		version := q.dovecotVersion(t)
		q.serveMail(t, NewRoot(t, dovecots[version].root), version)
		q.pressCtrlC(t)
	})
	// With the PostgreSQL and the Dovecot of that release.
	t.Run("on Debian 13", func(t *testing.T) {
		t.Parallel()
		root := NewRoot(t, "trixie")
		root.Install(Binary(t, "authserver"), "/usr/local/bin/authserver")
		cmd := root.command(context.Background(), "/usr/local/bin/authserver", "quickstart", "--dir", "/var/lib/demo")
		q := startQuickstart(t, cmd, root.Path("/var/lib/demo"))
		if version := q.dovecotVersion(t); version != "2.4" {
			t.Fatalf("files for Dovecot %s are printed", version)
		}
		q.serveMail(t, root, "2.4")
		q.pressCtrlC(t)
	})
}

// quickstart is a running authserver quickstart.
type quickstart struct {
	cmd    *exec.Cmd
	dir    string // its state folder
	port   string // of its PostgreSQL
	files  map[string]string
	logins map[string]login // by what the second column says

	checkpassword []string // command lines
	printed       string
}

type login struct{ user, password string }

var (
	quickPort  = regexp.MustCompile(`(?m)^PostgreSQL \d+ is at 127\.0\.0\.1:(\d+), `)
	quickFile  = regexp.MustCompile(`(?m)^\w+, (/\S+) \(the rest is in docs/integrations/\S+\):\n\n((?:  .*\n|\n)+)`)
	quickCheck = regexp.MustCompile(`(?m)^  (.*checkpassword -m .*)$`)
	quickLogin = regexp.MustCompile(`(?m)^  (\S+) +((?:app )?password) +(\S+)(?:  \(.*\))?$`)
)

// startQuickstart starts cmd and reads what it prints up to its last line.
func startQuickstart(t *testing.T, cmd *exec.Cmd, dir string) *quickstart {
	t.Helper()
	var stderr log
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // if the test has not ended it
	deadline := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer deadline.Stop()

	var printed strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C ") {
			break
		}
	}
	text := printed.String()
	port := quickPort.FindStringSubmatch(text)
	if port == nil {
		cmd.Process.Kill()
		t.Fatalf("quickstart: %v\n%s%s", cmd.Wait(), text, stderr.String())
	}
	q := &quickstart{cmd: cmd, dir: dir, port: port[1], printed: text, files: map[string]string{}, logins: map[string]login{}}
	for _, m := range quickFile.FindAllStringSubmatch(text, -1) {
		q.files[m[1]] = regexp.MustCompile(`(?m)^  `).ReplaceAllString(m[2], "")
	}
	for _, m := range quickLogin.FindAllStringSubmatch(text, -1) {
		kind := m[2]
		if !strings.Contains(m[1], "@") {
			kind = "service user"
		}
		q.logins[kind] = login{m[1], m[3]}
	}
	for _, m := range quickCheck.FindAllStringSubmatch(text, -1) {
		q.checkpassword = append(q.checkpassword, m[1])
	}
	if len(q.logins) != 3 {
		t.Errorf("the logins are %v in\n%s", q.logins, text)
	}
	return q
}

// checkPasswords runs the printed lines of checkpassword.
func (q *quickstart) checkPasswords(t *testing.T) {
	t.Helper()
	if len(q.checkpassword) != 2 {
		t.Fatalf("%d lines of checkpassword are printed: %q", len(q.checkpassword), q.checkpassword)
	}
	for i, want := range []string{"Key written to ", "welcome\n"} {
		if out, err := exec.Command("sh", "-c", q.checkpassword[i]).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s: %v\n%s", q.checkpassword[i], err, out)
		}
	}
}

// dovecotVersion is the one for whose section of the guide files were printed.
func (q *quickstart) dovecotVersion(t *testing.T) string {
	t.Helper()
	for version, d := range dovecots {
		missing := false
		for name := range withPassword(ReadGuide(t, "dovecot.md", d.heading)) {
			_, printed := q.files[name]
			missing = missing || !printed
		}
		if !missing {
			return version
		}
	}
	t.Fatalf("no section of the guide fits the files %v", q.files)
	return ""
}

// withPassword returns the files of a guide that need editing, by their names.
func withPassword(g docs.Guide) map[string]string {
	files := map[string]string{}
	for _, f := range g.Files {
		if strings.Contains(f.Content, docs.Password) {
			files[f.Name] = f.Content
		}
	}
	return files
}

// serveMail starts Dovecot and OpenSMTPD with the printed files in place of
// those of the guides, and logs in.
func (q *quickstart) serveMail(t *testing.T, root *Root, version string) {
	t.Helper()
	printed := map[string]string{} // by what the guide says
	for _, guide := range []docs.Guide{ReadGuide(t, "dovecot.md", dovecots[version].heading), ReadGuide(t, "opensmtpd.md", "Configuration")} {
		for name, content := range withPassword(guide) {
			printed[content] = q.files[name]
			if !strings.Contains(q.files[name], q.port) {
				t.Fatalf("%s is printed as %q", name, q.files[name])
			}
		}
	}
	edit := func(content string) string {
		if instead, ok := printed[content]; ok {
			return instead
		}
		return content
	}
	dovecot := startDovecotIn(t, root, version, edit)
	smtpd := startOpenSMTPDIn(t, root, edit)

	for kind, l := range q.logins {
		if err := DialIMAP(t, dovecot.Port).Login(l.user, l.password); err != nil {
			t.Errorf("IMAP, %s: %v", kind, err)
		}
		if err := DialIMAP(t, dovecot.Port).Login(l.user, "x"+l.password); err == nil || !strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
			t.Errorf("IMAP, %s, a wrong password: %v", kind, err)
		}

		client := DialSMTP(t, smtpd.submission, true)
		err := LoginSMTP(client, l.user, l.password)
		if kind == "app password" {
			// OpenSMTPD asks for the one hash of a name: that of the password.
			if ReplyCode(err) != 535 {
				t.Errorf("SMTP, %s: %v", kind, err)
			}
			continue
		}
		if err == nil {
			err = Send(client, "alice@example.test", "sales@example.test", strings.ReplaceAll(kind, " ", "-"))
		}
		if err != nil {
			t.Errorf("SMTP, %s: %v", kind, err)
		}
		if err := LoginSMTP(DialSMTP(t, smtpd.submission, true), l.user, "x"+l.password); ReplyCode(err) != 535 {
			t.Errorf("SMTP, %s, a wrong password: %v", kind, err)
		}
	}
	smtpd.await(t, "deliver", func() bool { return len(maildirs(t, root, "service-user")) > 0 })
	if got := maildirs(t, root, "service-user"); len(got) != 1 || got[0] != "alice@example.test" {
		t.Errorf("delivered to %q", got)
	}
}

// pressCtrlC ends quickstart as a terminal does, and looks whether everything
// has ended, with mail servers still connected.
func (q *quickstart) pressCtrlC(t *testing.T) {
	t.Helper()
	if len(processesIn(q.dir, "cwd")) == 0 {
		t.Error("no process of PostgreSQL is to be seen")
	}
	if err := syscall.Kill(-q.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(patience, func() { q.cmd.Process.Kill() })
	defer deadline.Stop()
	if err := q.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if left := processesIn(q.dir, "cwd"); len(left) > 0 {
		t.Errorf("processes %v outlive quickstart", left)
	}
	if conn, err := net.Dial("tcp4", "127.0.0.1:"+q.port); err == nil {
		conn.Close()
		t.Error("something still listens at the port of PostgreSQL")
	}
	if _, err := os.Stat(filepath.Join(q.dir, "data/PG_VERSION")); err != nil {
		t.Errorf("the data has not stayed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(q.dir, "data/postmaster.pid")); err == nil {
		t.Error("PostgreSQL was not shut down")
	}
}
