// Command authserver is the operator's command line: one noun per file, and
// under each noun the verbs.
//
//	main.go      the list of nouns
//	database.go  how a command reaches PostgreSQL, and as whom
//	output.go    how lists are printed
//	prompt.go    questions, passwords, --dry-run
//	key.go       the keys of domains and registries, which have the same commands
//	NOUN.go      authserver NOUN …
//
// Data goes to stdout, everything else to stderr. Exit codes are those of
// package command: 0 done, 1 failed or not found, 2 usage, 3 declined.
package main

import (
	"authbridge/authserver/account"
	"authbridge/internal/command"

	"github.com/urfave/cli/v2"
)

func main() { command.Main(app()) }

func app() *cli.App {
	var db database
	profile := account.Standard
	return &cli.App{
		Name:  "authserver",
		Usage: "one identity for everything that logs in, on PostgreSQL",
		Flags: append(db.flags(), &cli.GenericFlag{
			Name:    "password-profile",
			Usage:   "hash new passwords of people as `PROFILE`: standard (yescrypt), or portable (bcrypt), for mail servers that verify no other",
			EnvVars: []string{"PASSWORD_PROFILE"},
			Value:   &profile,
		}),
		Commands: []*cli.Command{
			apiClientCommand(&db),
			appPasswordCommand(&db),
			auditCommand(&db),
			cleanupCommand(&db),
			dbCommand(&db),
			dockerAuthCommand(&db),
			domainCommand(&db),
			emailAgentTokenCommand(&db),
			emailAliasCommand(&db),
			groupCommand(&db),
			mailingListCommand(&db),
			migrateCommand(&db),
			oauth2Command(&db, &profile),
			permissionsCommand(&db),
			quickstartCommand(),
			secretCommand(&db),
			serveCommand(&db, &profile),
			serviceUserCommand(&db, &profile),
			spapiCommand(&db),
			throttleCommand(&db),
			userCommand(&db, &profile),
		},
	}
}
