// Command authserver is the operator's command line: one noun per file, and
// under each noun the verbs.
//
//	main.go      the list of nouns
//	database.go  how a command reaches PostgreSQL, and as whom
//	output.go    how lists are printed
//	prompt.go    questions, passwords, --dry-run
//	NOUN.go      authserver NOUN …
//
// Data goes to stdout, everything else to stderr. Exit codes are those of
// package command: 0 done, 1 failed or not found, 2 usage, 3 declined.
package main

import (
	"authbridge/internal/command"

	"github.com/urfave/cli/v2"
)

func main() { command.Main(app()) }

func app() *cli.App {
	var db database
	return &cli.App{
		Name:  "authserver",
		Usage: "one identity for everything that logs in, on PostgreSQL",
		Flags: db.flags(),
		Commands: []*cli.Command{
			appPasswordCommand(&db),
			auditCommand(&db),
			dbCommand(&db),
			domainCommand(&db),
			emailAgentTokenCommand(&db),
			emailAliasCommand(&db),
			groupCommand(&db),
			mailingListCommand(&db),
			migrateCommand(&db),
			permissionsCommand(&db),
			secretCommand(&db),
			quickstartCommand(),
			serviceUserCommand(&db),
			spapiCommand(&db),
			userCommand(&db),
		},
	}
}
