package main

import (
	"context"
	"fmt"
	"strconv"

	"authbridge/authserver/docker"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func explainCommand(db *database) *cli.Command {
	var anonymous bool
	var out format
	return &cli.Command{
		Name:  "explain",
		Usage: "say what of a scope a user would get, and by which rules",
		Description: "Either USER REGISTRY SCOPE or --anonymous REGISTRY SCOPE. The server decides by the\n" +
			"same code. USER is a SELECTOR. An app password may\n" +
			"allow less than its user.\n\n" +
			"SCOPE is what a client asks for: repository:team/app:pull,push, or registry:catalog:*.\n" +
			userSelectors + "\n" + registrySelectors,
		ArgsUsage: "[USER] REGISTRY [SCOPE]", // two at least, as the description says
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "anonymous", Usage: "for somebody who has not logged in", Destination: &anonymous},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			var selector string
			if !anonymous {
				selector, args = args[0], args[1:]
			}
			switch {
			case len(args) == 0:
				return command.Usagef("arguments REGISTRY and SCOPE are missing")
			case len(args) == 1:
				return command.Usagef("argument SCOPE is missing")
			case len(args) > 2:
				return command.Usagef("too many arguments: with --anonymous there is no USER")
			}
			scope, err := docker.ParseScope(args[1])
			if err != nil {
				return command.Usagef("%v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				var who docker.Subject
				if !anonymous {
					if who, err = dockerSubject(ctx, c, conn, selector); err != nil {
						return err
					}
				}
				registry, err := oneRegistry(ctx, conn, args[0])
				if err != nil {
					return err
				}
				rules, err := db.registryRules(ctx, registry)
				if err != nil {
					return err
				}
				return printExplained(c, out, explainReasons(rules.Explain(who, scope)))
			})
		},
	}
}

// dockerSubject returns the user that a selector means, as rules know users.
func dockerSubject(ctx context.Context, c *cli.Context, conn *pgx.Conn, selector string) (docker.Subject, error) {
	user, err := oneUser(ctx, conn, selector)
	if err != nil {
		return docker.Subject{}, err
	}
	if !user.IsActive {
		say(c, "warning: %s is not active and gets no token; the rules say:", user.Identifier)
	}
	memberships, err := listMemberships(ctx, conn, user)
	if err != nil {
		return docker.Subject{}, err
	}
	who := docker.Subject{UserID: user.UUID, Identifier: user.Identifier}
	for _, m := range memberships {
		who.Groups = append(who.Groups, m.GroupName)
	}
	return who, nil
}

// registryRules returns a registry as the server has it in memory.
func (d *database) registryRules(ctx context.Context, registry listedRegistry) (*docker.Registry, error) {
	pool, err := d.admin.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	registries, err := docker.OpenRegistries(ctx, pool)
	if err != nil {
		return nil, err
	}
	rules := registries.Registry(registry.ClientID)
	if rules == nil {
		return nil, registryGone(registry)
	}
	return rules, nil
}

// explained is why an action is granted or not.
type explained struct {
	Action  string          `json:"action"`
	Granted bool            `json:"granted"`
	Reason  string          `json:"reason"`
	Rules   []explainedRule `json:"rules"`
}

// explainedRule is a rule that grants an action.
type explainedRule struct {
	ID      string  `json:"id"`
	Pattern string  `json:"pattern"`
	Subject string  `json:"subject"`
	Group   *string `json:"group_name"` // through which it is for the user
}

func explainReasons(reasons []docker.Reason) []explained {
	all := []explained{}
	for _, r := range reasons {
		e := explained{Action: r.Action, Granted: r.Granted, Rules: []explainedRule{}}
		for _, rule := range r.Rules {
			found := explainedRule{ID: strconv.FormatInt(rule.ID, 10), Pattern: rule.Pattern.String(), Subject: string(rule.Kind)}
			if rule.Kind == docker.Group {
				found.Group = &rule.Group
			}
			e.Rules = append(e.Rules, found)
		}
		switch {
		case r.Unknown:
			e.Reason = "nobody is ever granted this"
		case len(r.Rules) == 0:
			e.Reason = "no rule allows it"
		case len(r.Rules) == 1:
			e.Reason = "a rule allows it"
		default:
			e.Reason = fmt.Sprintf("%d rules allow it", len(r.Rules))
		}
		all = append(all, e)
	}
	return all
}

// explainedRow is a line about an action and a rule that grants it, if there is
// one.
type explainedRow struct {
	Action  string  `json:"action"`
	Granted bool    `json:"granted"`
	Reason  string  `json:"reason"`
	Rule    *string `json:"rule"`
	Pattern *string `json:"pattern"`
	Subject *string `json:"subject"`
	Group   *string `json:"group_name"`
}

// printExplained prints what is granted: an object for each action as JSON, and
// otherwise a line for each rule. That it is nothing is an answer, too.
func printExplained(c *cli.Context, out format, all []explained) error {
	if out.name == "json" {
		return printJSON(c.App.Writer, all)
	}
	var rows []explainedRow
	for _, e := range all {
		if len(e.Rules) == 0 {
			rows = append(rows, explainedRow{Action: e.Action, Granted: e.Granted, Reason: e.Reason})
		}
		for _, r := range e.Rules {
			rows = append(rows, explainedRow{e.Action, e.Granted, e.Reason, &r.ID, &r.Pattern, &r.Subject, r.Group})
		}
	}
	return printList(c.App.Writer, out, rows, nil)
}
