package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"authbridge/authserver/account"
	"authbridge/docs"
	"authbridge/internal/command"
	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func quickstartCommand() *cli.Command {
	var dir string
	return &cli.Command{
		Name:  "quickstart",
		Usage: "run everything on a PostgreSQL of its own, with something to try",
		Description: "Starts a private PostgreSQL from the server programs on this machine, sets it up\n" +
			"with a demo domain, and prints what to try. Ctrl-C stops it; the data stays in the\n" +
			"folder, and the next start goes on with it. As root, it all runs as an unprivileged\n" +
			"account.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "keep everything in `FOLDER`", DefaultText: "/var/lib/authserver-quickstart as root, else below $XDG_STATE_HOME", Destination: &dir},
		},
		Action: func(c *cli.Context) error {
			if dir == "" {
				var err error
				if dir, err = stateDir(); err != nil {
					return err
				}
			}
			return quickstart(c.Context, dir, c.App.Writer, c.App.ErrWriter)
		},
	}
}

// stateDir is where quickstart keeps its state if nobody says otherwise.
func stateDir() (string, error) {
	const name = "authserver-quickstart"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name), nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("where to keep the data: %w; name a folder with --dir", err)
	}
	return filepath.Join(home, ".local/state", name), nil
}

// quickstart runs until ctx ends, which is how it is meant to end, or one of
// the servers does.
func quickstart(ctx context.Context, dir string, out, log io.Writer) (err error) {
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir, Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	checkpassword := checkpasswordProgram()
	if err := dropRoot(); err != nil {
		return err
	}

	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	q := quick{cluster: cluster, root: root, dir: dir, out: out, log: log, checkpassword: checkpassword}
	if err := q.prepare(ctx); err != nil {
		return err
	}
	if err := q.createRegistry(ctx); err != nil {
		return err
	}
	web, err := q.startWeb(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, web.close()) }()
	relyingParty, err := q.startRelyingParty(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, relyingParty.close()) }()
	images, err := q.startRegistry(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, images.close()) }()
	if err := q.save(); err != nil {
		return err
	}
	if err := q.print(images != nil); err != nil {
		return err
	}

	registryEnded := images.done()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-web.ended:
			web.ended <- nil
			return fmt.Errorf("the web server has stopped by itself: %w", err)
		case <-registryEnded:
			registryEnded = nil // the others go on
			fmt.Fprintf(log, "authserver quickstart: warning: the Docker registry has stopped by itself; its messages are in %s\n", filepath.Join(dir, registryLogName))
		case <-cluster.Done():
			return fmt.Errorf("PostgreSQL has stopped by itself; its messages are in %s", cluster.LogFile())
		}
	}
}

// dropRoot makes root the account that PostgreSQL runs as. The folder is its,
// and nothing from here on needs more.
func dropRoot() error {
	if os.Geteuid() != 0 {
		return nil
	}
	to, err := pgcluster.Account()
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(to.Uid)
	gid, err2 := strconv.Atoi(to.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("account %s: %w", to.Username, err)
	}
	if err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		return fmt.Errorf("becoming %s: %w", to.Username, err)
	}
	return nil
}

// quick is a private installation.
type quick struct {
	cluster *pgcluster.Cluster
	root    *os.Root // the state folder
	dir     string   // its name
	out     io.Writer
	log     io.Writer
	demo    demo

	checkpassword   string // the client's program
	registryProgram string // empty: none is installed
}

// demo is what can be tried. It is kept in the state folder, which is closed to
// others, so that a second start can show it again.
type demo struct {
	Consumers      map[string]string `json:"consumers"` // logins of mail servers, with their passwords
	UserPassword   string            `json:"user_password"`
	AppPassword    string            `json:"app_password"`
	ServiceUser    string            `json:"service_user"`
	ServiceUserPwd string            `json:"service_user_password"`
	WebPort        int               `json:"web_port"`
	RegistryPort   int               `json:"registry_port,omitempty"` // 0: there was no registry to start yet

	// The relying party of OpenID Connect, and its credentials.
	RelyingPartyPort int    `json:"relying_party_port"`
	ClientID         string `json:"client_id"`
	ClientSecret     string `json:"client_secret"`
}

// Files of the state folder, besides those of pgcluster.
const (
	demoName   = "demo.json" // written last: its presence says that the set-up is whole
	secretName = "secret-key"
)

const (
	quickDatabase = "authserver"
	demoDomain    = "example.test"
	demoUser      = "alice@" + demoDomain
)

// consumers are the logins of mail servers that quickstart makes.
var consumers = []string{"dovecot-authserver", "opensmtpd-authserver", "postfix-authserver"}

// prepare brings database and demo to the state of this program, whatever it
// finds.
func (q *quick) prepare(ctx context.Context) error {
	text, err := q.root.ReadFile(demoName)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &q.demo); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(q.dir, demoName), err)
		}
		return q.install(ctx)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}

	// A first start, or one that was interrupted: there is nothing to keep.
	if err := q.recreate(ctx); err != nil {
		return err
	}
	if err := q.install(ctx); err != nil {
		return err
	}
	if err := q.populate(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return q.save()
}

// save keeps what can be tried for the next start.
func (q *quick) save() error {
	text, err := json.MarshalIndent(q.demo, "", "  ")
	if err != nil {
		return err
	}
	return q.write(demoName, text)
}

// write makes a file that only this account can read, whole or not at all.
func (q *quick) write(name string, content []byte) error {
	if err := q.root.WriteFile(name+".new", content, 0o600); err != nil {
		return err
	}
	return q.root.Rename(name+".new", name)
}

// recreate makes an empty database, a SECRET_KEY, and the logins of mail
// servers.
func (q *quick) recreate(ctx context.Context) error {
	var secret bytes.Buffer
	if err := q.run(ctx, nil, &secret, "secret", "generate"); err != nil {
		return err
	}
	if err := q.write(secretName, secret.Bytes()); err != nil {
		return err
	}
	return q.superuser(ctx, "postgres", func(conn *pgx.Conn) error {
		for _, statement := range []string{
			`drop database if exists ` + quickDatabase + ` with (force)`,
			`create database ` + quickDatabase + ` encoding 'UTF8' template template0`,
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		q.demo.Consumers = map[string]string{}
		for _, login := range consumers {
			password := rand.Text()
			q.demo.Consumers[login] = password
			statement, err := alterPassword(ctx, conn, login, password)
			if err != nil {
				return err
			}
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("login %s: %w", login, err)
			}
		}
		return nil
	})
}

// alterPassword returns the statement that makes a login, unless there is one
// from an interrupted start, and gives it a password. ALTER ROLE takes no
// parameters.
func alterPassword(ctx context.Context, conn *pgx.Conn, login, password string) (string, error) {
	var statement string
	err := conn.QueryRow(ctx, `
		select format('%s role %I login noinherit password %L',
		              case when exists (select from pg_roles r where r.rolname = $1) then 'alter' else 'create' end, $1::text, $2::text)`,
		login, password).Scan(&statement)
	return statement, err
}

// install sets up roles, tables and functions, or upgrades them.
func (q *quick) install(ctx context.Context) error {
	return q.superuser(ctx, quickDatabase, func(conn *pgx.Conn) error {
		if err := sql.Init(ctx, conn); err != nil {
			return err
		}
		if err := sql.Migrate(ctx, conn); err != nil {
			return err
		}
		if err := sql.InstallSPAPI(ctx, conn); err != nil {
			return err
		}
		return sql.GrantSPAPI(ctx, conn, consumers)
	})
}

func (q *quick) superuser(ctx context.Context, database string, f func(conn *pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, q.cluster.SuperuserURL(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// populate makes the demo, by the commands that an operator would type.
func (q *quick) populate(ctx context.Context) error {
	fmt.Fprintln(q.out, "Setting up the demo:")
	q.demo.UserPassword = rand.Text()
	for _, step := range []struct {
		stdin string
		keep  *string
		args  []string
	}{
		{args: []string{"domain", "create", demoDomain, "--create-key", "dkim", "--create-key", "jwt"}},
		{args: []string{"domain", "create", webDomain, "--create-key", "jwt"}},
		{args: []string{"domain", "edit", webDomain, "--create-key", "jwt", "--key-algorithm", "ecdsa-p256"}},
		{args: []string{"permissions", "create", "imap", "--name", "Read mail"}},
		{args: []string{"permissions", "create", "smtp", "--name", "Send mail"}},
		{args: []string{"group", "create", "mail"}},
		{args: []string{"permissions", "grant", "group", "mail", "imap", "smtp"}},
		{args: []string{"user", "create", "alice", "Alice Example", "--password", "-"}, stdin: q.demo.UserPassword + "\n"},
		{args: []string{"emailalias", "create", demoUser, "-u", "alice"}},
		{args: []string{"user", "set-delivery-mailbox", "alice", demoUser}},
		{args: []string{"permissions", "grant", "membership", "alice", "mail"}},
		{args: []string{"emailalias", "create", "sales@" + demoDomain, "-u", "alice"}},
		{args: []string{"mailinglist", "create", "team", demoUser, "team@example.org"}},
		{args: []string{"emailalias", "create", "team@" + demoDomain, "-m", "team"}},
		{args: []string{"emailalias", "blacklist", "abuse-me@" + demoDomain, "--create-if-missing"}},
		{args: []string{"apppassword", "create", "-u", "alice", "--description", "phone"}, keep: &q.demo.AppPassword},
		{args: []string{"serviceuser", "create", "-u", "alice", "--username", "svc-printer", "--description", "printer"}, keep: &q.demo.ServiceUserPwd},
	} {
		fmt.Fprintln(q.out, "  authserver", strings.Join(quoted(step.args), " "))
		var stdout bytes.Buffer
		if err := q.run(ctx, strings.NewReader(step.stdin), &stdout, step.args...); err != nil {
			return err
		}
		if step.keep != nil {
			*step.keep = strings.TrimSpace(stdout.String())
		}
	}
	q.demo.ServiceUser = "svc-printer"
	// What these commands print must be what they are taken for.
	for _, password := range []string{q.demo.AppPassword, q.demo.ServiceUserPwd} {
		if _, err := account.ParseAppPassword(password); err != nil {
			return err
		}
	}
	return nil
}

// run runs a command of this program.
func (q *quick) run(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	var stderr bytes.Buffer
	args = append([]string{"--database", q.cluster.SocketURL("authserver_admin", quickDatabase)}, args...)
	if args[2] == "domain" || args[2] == "dockerauth" && args[4] == "create" {
		args = append(args, "--secret-key-file", filepath.Join(q.dir, secretName))
	}
	if code := command.Run(ctx, app(), args, stdin, stdout, &stderr); code != command.Done {
		return fmt.Errorf("authserver %s: exit code %d: %s", args[2], code, command.OneLine(stderr.String()))
	}
	return nil
}

// quoted returns words as a shell takes them.
func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		if strings.ContainsAny(word, " '\"$\\&|;<>()*?[]{}~#`!") || word == "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		out[i] = word
	}
	return out
}

// print says what there is to try, with a registry or without.
func (q *quick) print(registry bool) error {
	self, err := os.Executable()
	if err != nil {
		self = "authserver"
	}
	port := strconv.Itoa(q.cluster.Port())
	configure := func(login, text string) string {
		return docs.Configure(text, "127.0.0.1", port, q.demo.Consumers[login])
	}

	var b strings.Builder
	fmt.Fprintf(&b, `
PostgreSQL %d is at 127.0.0.1:%s, its data in %s

The command line:
  export DATABASE_URL=%s
  export SECRET_KEY_FILE=%s
  %s user list

What a mail server asks:
  PGPASSWORD=%s psql -h 127.0.0.1 -p %s -U dovecot-authserver %s -c "select * from authserver_get_credentials('sales@%s')"

Logins:
  %-20s  password      %s
  %-20s  app password  %s  (Dovecot, and Postfix through it)
  %-20s  password      %s
`,
		q.cluster.Version(), port, q.dir,
		quoted([]string{q.cluster.SocketURL("authserver_admin", quickDatabase)})[0],
		quoted([]string{filepath.Join(q.dir, secretName)})[0],
		self,
		q.demo.Consumers["dovecot-authserver"], port, quickDatabase, demoDomain,
		demoUser, q.demo.UserPassword,
		demoUser, q.demo.AppPassword,
		q.demo.ServiceUser, q.demo.ServiceUserPwd)
	q.printRelyingParty(&b)
	q.printWeb(&b)
	if registry {
		q.printRegistry(&b)
	}

	for _, server := range []struct{ name, page, heading, login string }{
		{"Dovecot", "dovecot.md", dovecotHeading(), "dovecot-authserver"},
		{"OpenSMTPD", "opensmtpd.md", "Configuration", "opensmtpd-authserver"},
	} {
		guide, err := docs.ReadGuide(server.page, server.heading)
		if err != nil {
			return err
		}
		for _, file := range guide.Files {
			if !strings.Contains(file.Content, docs.Password) {
				continue
			}
			fmt.Fprintf(&b, "\n%s, %s (the rest is in docs/integrations/%s):\n\n%s", server.name, file.Name, server.page,
				indented(configure(server.login, file.Content)))
		}
	}
	fmt.Fprint(&b, "\nCtrl-C stops everything; the data stays.\n")
	_, err = io.WriteString(q.out, b.String())
	return err
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// dovecotHeading is the section of the guide for the Dovecot of this machine,
// or for that of its Debian if there is none.
func dovecotHeading() string {
	if version, err := exec.Command("dovecot", "--version").Output(); err == nil {
		if strings.HasPrefix(string(version), "2.3.") {
			return "Dovecot 2.3"
		}
		return "Dovecot 2.4"
	}
	if release, err := os.ReadFile("/etc/debian_version"); err == nil && strings.HasPrefix(string(release), "12") {
		return "Dovecot 2.3"
	}
	return "Dovecot 2.4"
}
