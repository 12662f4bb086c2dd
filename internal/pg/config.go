// Package pg is how a daemon or a command reaches PostgreSQL: where the
// database is, as whom, and what to say when that does not work.
//
//	config.go  Config: flags and environment, Connect, Open
//	url.go     URL, a flag value that never shows its password
//	errors.go  errors of the connection as one line that names the server
//	checks.go  is this login too powerful, is the database of our version
//	follow.go  Follow: what a program keeps in memory stays up to date by LISTEN
//
// A connection carries who works with it: the parameters authserver.actor and
// authserver.origin are set from its first moment, and the stored functions
// write them into the audit rows of what they change.
package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v2"

	"authbridge/internal/command"
)

// Config says how to connect. It is filled by its flags, or by hand.
type Config struct {
	// URL is the database. Without it the ancestor's environment variables
	// count: DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD, POSTGRESQL_CA,
	// DB_SSLCERT and DB_SSLKEY.
	URL URL

	// ParentRole, if there is one, is the role that the connection acts as, in
	// place of the one that logged in (SET ROLE).
	ParentRole string

	// Timeout bounds connecting, all hosts of the URL together; 0 means
	// DefaultTimeout.
	Timeout time.Duration

	// ApplicationName is what pg_stat_activity shows, unless the URL says it.
	ApplicationName string

	// Actor and Origin say in audit rows who works here, and from where.
	Actor, Origin string

	flag, variable string  // where URL comes from
	base           *Config // what counts while URL is empty
}

// DefaultTimeout is how long connecting may take.
const DefaultTimeout = 5 * time.Second

// Flags returns the flags that fill c.
func (c *Config) Flags() []cli.Flag {
	c.Timeout = DefaultTimeout
	return []cli.Flag{
		c.urlFlag("database", "DATABASE_URL", "PostgreSQL connection `URL`"),
		&cli.StringFlag{
			Name:        "database-parentrole",
			Usage:       "act as `ROLE` after connecting",
			EnvVars:     []string{"DATABASE_PARENTROLE"},
			Destination: &c.ParentRole,
		},
		&cli.GenericFlag{
			Name:    "database-timeout",
			Usage:   "give up connecting after this `DURATION`",
			EnvVars: []string{"DATABASE_TIMEOUT"},
			Value:   (*timeout)(&c.Timeout),
		},
	}
}

// OwnerFlags returns the flags that fill c as the connection of the owner of
// the database, for what changes its structure. While they are not given, all
// of c but the fields set by hand is as in base, which has flags of its own.
func (c *Config) OwnerFlags(base *Config) []cli.Flag {
	c.base = base
	return []cli.Flag{
		c.urlFlag("database-owner", "DATABASE_OWNER_URL", "PostgreSQL connection `URL` of a login that may act as the owner; --database if not given"),
	}
}

func (c *Config) urlFlag(name, variable, usage string) cli.Flag {
	c.flag, c.variable = "--"+name, variable
	return &cli.GenericFlag{Name: name, Usage: usage, EnvVars: []string{variable}, Value: &c.URL}
}

// effective returns c with everything that counts filled in, but for the URL
// of the ancestor's variables.
func (c Config) effective() Config {
	if c.base != nil {
		base := c.base.effective()
		if c.URL.Secret == "" {
			c.URL, c.ParentRole = base.URL, base.ParentRole
			c.flag, c.variable = base.flag, base.variable
		}
		if c.Timeout == 0 {
			c.Timeout = base.Timeout
		}
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.flag == "" {
		c.flag, c.variable = "--database", "DATABASE_URL"
	}
	return c
}

// pool returns what pgx needs to know.
func (c Config) pool() (*pgxpool.Config, error) {
	raw := string(c.URL.Secret)
	if raw == "" {
		raw = legacy()
	}
	if raw == "" {
		return nil, command.Usagef("which database? Give %s or set %s", c.flag, c.variable)
	}
	pool, err := parse(raw)
	if err != nil {
		if c.URL.Secret == "" {
			return nil, command.Usagef("bad value in DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD, POSTGRESQL_CA, DB_SSLCERT or DB_SSLKEY: %v", err)
		}
		return nil, command.Usagef("bad value for %s ($%s): %v", c.flag, c.variable, err)
	}

	conn := pool.ConnConfig
	// pgx applies its timeout to each host.
	conn.ConnectTimeout = c.Timeout / time.Duration(len(hosts(conn)))
	if _, named := conn.RuntimeParams["application_name"]; !named && c.ApplicationName != "" {
		conn.RuntimeParams["application_name"] = c.ApplicationName
	}
	for _, p := range []struct{ name, value string }{
		{"role", c.ParentRole},
		{"authserver.actor", c.Actor},
		{"authserver.origin", c.Origin},
	} {
		if p.value == "" {
			continue
		}
		if err := checkParameter(p.value); err != nil {
			return nil, fmt.Errorf("connection parameter %s: %w", p.name, err)
		}
		conn.RuntimeParams[p.name] = p.value
	}
	return pool, nil
}

// checkParameter refuses what the server would take without a look, because it
// comes before the session has an encoding.
func checkParameter(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("contains a control character")
	case len(s) > 1000:
		return fmt.Errorf("%d bytes long, 1000 are allowed", len(s))
	}
	return nil
}

// legacy returns the ancestor's environment as a connection string, or nothing
// if none of it is set.
func legacy() string {
	var set bool
	get := func(name, otherwise string) string {
		value := os.Getenv(name)
		if value == "" {
			return otherwise
		}
		set = true
		return value
	}
	host := "127.0.0.1"
	ca := get("POSTGRESQL_CA", "")
	if ca != "" {
		host = "postgresql.local"
	}
	var b strings.Builder
	add := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
		}
	}
	add("host", host)
	add("port", "5432")
	add("dbname", get("DATABASE_NAME", "authserver"))
	add("user", get("DATABASE_USER", "authserver"))
	add("password", get("DATABASE_PASSWORD", ""))
	if ca != "" {
		add("sslmode", "verify-full")
		add("sslrootcert", ca)
	}
	add("sslcert", get("DB_SSLCERT", ""))
	add("sslkey", get("DB_SSLKEY", ""))
	if !set {
		return ""
	}
	return b.String()
}

// Connect returns one connection. An error says in one line which server it
// was and why, and never shows a password.
func (c Config) Connect(ctx context.Context) (*pgx.Conn, error) {
	c = c.effective()
	pool, err := c.pool()
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(bounded, pool.ConnConfig)
	if err != nil {
		return nil, explain(ctx, pool.ConnConfig, c.Timeout, err)
	}
	return conn, nil
}

// Open returns a pool of connections, of which one was tried. Its errors are
// those of Connect; what the pool returns later, Explain makes readable.
func (c Config) Open(ctx context.Context) (*pgxpool.Pool, error) {
	c = c.effective()
	config, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, explain(ctx, config.ConnConfig, c.Timeout, err)
	}
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := pool.Ping(bounded); err != nil {
		pool.Close()
		if bounded.Err() != nil && ctx.Err() == nil { // the pool's own error says no more
			return nil, &oneLine{fmt.Sprintf("%s: no answer within %v", name(config.ConnConfig), c.Timeout), err}
		}
		return nil, explain(ctx, config.ConnConfig, c.Timeout, err)
	}
	return pool, nil
}

// Explain returns err, from work on a connection of c, as one line that names
// the server if the trouble is that the database cannot be reached, went away
// or is read-only. Any other error comes back as it is.
func (c Config) Explain(err error) error {
	c = c.effective()
	pool, bad := c.pool()
	if err == nil || bad != nil {
		return err
	}
	return explain(context.Background(), pool.ConnConfig, c.Timeout, err)
}
