package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"authbridge/authserver/docker"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

const (
	// everything is the pattern of all repositories.
	everything = "**"

	// patternHelp is the help text about patterns.
	patternHelp = "PATTERN is the name of a repository, in which * is any text but for a slash, and as a\n" +
		"whole segment ** is one segment or more, ${user} the identifier of who asks. Quote it\n" +
		"for the shell."
)

func ruleCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:        "rule",
		Aliases:     []string{"repo"},
		Usage:       "who may do what with which repositories",
		Description: "Rules add up: what one of them allows, no other forbids.\n" + patternHelp,
		Subcommands: []*cli.Command{
			ruleAllowCommand(db),
			ruleDenyCommand(db),
			ruleListCommand(db),
		},
	}
}

func ruleAllowCommand(db *database) *cli.Command {
	var subjects ruleSubjects
	return &cli.Command{
		Name:  "allow",
		Usage: "allow actions, besides those that are allowed already",
		Description: "ACTIONS are pull, push, delete and catalog (to list all repositories), with commas\n" +
			"between. A push takes pull, too. With the pattern '**', admin is all four.\n" + patternHelp + "\n" + registrySelectors,
		ArgsUsage: "REGISTRY PATTERN ACTIONS",
		Flags:     subjects.flags(),
		Action: func(c *cli.Context) error {
			wanted, err := parseRule(c)
			if err != nil {
				return err
			}
			if wanted.subjects, err = subjects.list(); err != nil {
				return err
			}
			return wanted.allow(c, db)
		},
	}
}

func ruleDenyCommand(db *database) *cli.Command {
	var subjects ruleSubjects
	var dryRun bool
	return &cli.Command{
		Name:  "deny",
		Usage: "allow actions no longer; without ACTIONS, the rule goes",
		Description: "Does not ask. What other rules allow stays allowed: \"authserver dockerauth explain\"\n" +
			"says by which. Tokens that are there stay valid until they expire.\n" + registrySelectors,
		ArgsUsage: "REGISTRY PATTERN [ACTIONS]",
		Flags:     append(subjects.flags(), dryRunFlag(&dryRun)),
		Action: func(c *cli.Context) error {
			wanted, err := parseRule(c)
			if err != nil {
				return err
			}
			if wanted.subjects, err = subjects.list(); err != nil {
				return err
			}
			return wanted.deny(c, db, dryRun)
		},
	}
}

func ruleListCommand(db *database) *cli.Command {
	var selector, group string
	var out format
	return &cli.Command{
		Name:        "list",
		Usage:       "print rules: all, or those of one registry",
		Description: registrySelectors,
		ArgsUsage:   "[REGISTRY]",
		Flags: []cli.Flag{
			userFlag(&selector, "only those for this user, and not for their groups", false),
			&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only those for this group: `GROUP`, a name or id", Destination: &group},
			out.flag(),
		},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				var registry *listedRegistry
				if c.Args().Present() {
					one, err := oneRegistry(ctx, conn, c.Args().First())
					if err != nil {
						return err
					}
					registry = &one
				}
				user, err := optionalUser(ctx, c, conn, "user", selector)
				if err != nil {
					return err
				}
				var members *string
				if c.IsSet("group") {
					if _, err := findGroup(ctx, conn, group); err != nil {
						return err
					}
					members = &group
				}
				rules, err := listRules(ctx, conn, registry, user, members)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, rules, nil)
			})
		},
	}
}

// ruleKind is a kind of subject that has commands of its own under registry:
// rules for all repositories.
type ruleKind struct{ noun, usage, argument, selectors string }

var (
	userRules  = ruleKind{"user", "what users may do with all repositories of a registry", "SELECTOR", userSelectors}
	groupRules = ruleKind{"group", "what groups may do with all repositories of a registry", "GROUP", "GROUP is a name or id."}
)

// subjects returns the arguments behind the first as subjects of rules.
func (k ruleKind) subjects(c *cli.Context) []ruleSubject {
	var subjects []ruleSubject
	for _, name := range c.Args().Tail() {
		subjects = append(subjects, ruleSubject{k.noun, name})
	}
	return subjects
}

// everythingCommand returns the commands of a ruleKind.
func everythingCommand(db *database, kind ruleKind) *cli.Command {
	return &cli.Command{
		Name:        kind.noun,
		Usage:       kind.usage,
		Description: "These are the rules for the pattern '**'; \"authserver dockerauth rule\" knows others, too.",
		Subcommands: []*cli.Command{
			everythingAllowCommand(db, kind),
			everythingDenyCommand(db, kind),
			everythingListCommand(db, kind),
		},
	}
}

func everythingAllowCommand(db *database, kind ruleKind) *cli.Command {
	actions := dockerActions{"pull", "push"}
	return &cli.Command{
		Name:        "allow",
		Usage:       "allow actions, besides those that are allowed already",
		Description: kind.selectors + "\n" + registrySelectors,
		ArgsUsage:   "REGISTRY " + kind.argument + "...",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "actions", Usage: "`ACTIONS` pull, push, delete, catalog, with commas between; or admin, which is all", Value: &actions},
		},
		Action: func(c *cli.Context) error {
			return rule{everything, actions, kind.subjects(c)}.allow(c, db)
		},
	}
}

func everythingDenyCommand(db *database, kind ruleKind) *cli.Command {
	var actions dockerActions
	var dryRun bool
	return &cli.Command{
		Name:  "deny",
		Usage: "allow actions no longer",
		Description: "Does not ask. What other rules allow stays allowed. " + registrySelectors + "\n" +
			kind.selectors,
		ArgsUsage: "REGISTRY " + kind.argument + "...",
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "actions", Usage: "`ACTIONS` with commas between (default: all)", Value: &actions},
			dryRunFlag(&dryRun),
		},
		Action: func(c *cli.Context) error {
			return rule{everything, actions, kind.subjects(c)}.deny(c, db, dryRun)
		},
	}
}

func everythingListCommand(db *database, kind ruleKind) *cli.Command {
	var out format
	return &cli.Command{
		Name:        "list",
		Usage:       "print what they may do with all repositories",
		Description: registrySelectors,
		ArgsUsage:   "REGISTRY",
		Flags:       []cli.Flag{out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				registry, err := oneRegistry(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				rules, err := listRules(ctx, conn, &registry, nil, nil)
				if err != nil {
					return err
				}
				rules = slices.DeleteFunc(rules, func(r listedRule) bool { return r.Subject != kind.noun || r.Pattern != everything })
				return printList(c.App.Writer, out, rules, nil)
			})
		},
	}
}

// dockerActions is what may be done at a registry, in the order in which it is
// stored.
type dockerActions []string

var allActions = dockerActions{"pull", "push", "delete", "catalog"}

// Set reads actions with commas between, or admin.
func (a *dockerActions) Set(s string) error {
	wanted := strings.Split(s, ",")
	if s == "admin" {
		wanted = allActions
	}
	for _, action := range wanted {
		if !slices.Contains(allActions, action) {
			return fmt.Errorf("%q is none of %s", action, strings.Join(allActions, ", "))
		}
	}
	*a = nil
	for _, action := range allActions {
		if slices.Contains(wanted, action) {
			*a = append(*a, action)
		}
	}
	return nil
}

func (a *dockerActions) String() string { return strings.Join(*a, ",") }

// rule is a rule, or several that differ in the subject only.
type rule struct {
	pattern  string
	actions  dockerActions // nil: all
	subjects []ruleSubject
}

// parseRule reads the arguments PATTERN and ACTIONS. No ACTIONS are nil.
func parseRule(c *cli.Context) (rule, error) {
	r := rule{pattern: c.Args().Get(1)}
	if _, err := docker.ParsePattern(r.pattern); err != nil {
		return rule{}, command.Usagef("%v", err)
	}
	if c.NArg() > 2 {
		if err := r.actions.Set(c.Args().Get(2)); err != nil {
			return rule{}, command.Usagef("%v", err)
		}
	}
	if r.pattern != everything && slices.Contains(r.actions, "catalog") {
		return rule{}, command.Usagef("catalog, and so admin, is about all repositories: the pattern has to be '**'")
	}
	return r, nil
}

// ruleSubject is whom a rule is for.
type ruleSubject struct {
	kind string // user, group, users, anyone
	name string // of a user or group, as somebody typed it
}

// String is what the subject is called in messages.
func (s ruleSubject) String() string {
	switch s.kind {
	case "users":
		return "all users"
	case "anyone":
		return "anyone"
	}
	return s.kind + " " + s.name
}

// of returns the name if the subject is of this kind, or else nil.
func (s ruleSubject) of(kind string) *string {
	if s.kind != kind {
		return nil
	}
	name := s.name
	if kind == "user" {
		name = userSelector(name)
	}
	return &name
}

// ruleSubjects are the flags that say whom a rule is for.
type ruleSubjects struct {
	users, groups     selectors
	everybody, anyone bool
}

func (s *ruleSubjects) flags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{
			Name: "user", Aliases: []string{"u"}, Value: &s.users,
			Usage: "for this user: `SELECTOR`, a UUID, identifier, address or name of a service user; may be given several times",
		},
		&cli.GenericFlag{Name: "group", Aliases: []string{"g"}, Usage: "for this group: `GROUP`, a name or id; may be given several times", Value: &s.groups},
		&cli.BoolFlag{Name: "users", Usage: "for everybody who logs in", Destination: &s.everybody},
		&cli.BoolFlag{Name: "anyone", Usage: "for everybody, also without a login", Destination: &s.anyone},
	}
}

// list returns the subjects. None is a usage error.
func (s *ruleSubjects) list() ([]ruleSubject, error) {
	var subjects []ruleSubject
	for _, name := range s.users {
		subjects = append(subjects, ruleSubject{"user", name})
	}
	for _, name := range s.groups {
		subjects = append(subjects, ruleSubject{"group", name})
	}
	if s.everybody {
		subjects = append(subjects, ruleSubject{kind: "users"})
	}
	if s.anyone {
		subjects = append(subjects, ruleSubject{kind: "anyone"})
	}
	if len(subjects) == 0 {
		return nil, command.Usagef("for whom? Give --user, --group, --users or --anyone")
	}
	return subjects, nil
}

// checkSubjects refuses names that nobody has, before anything is done.
func checkSubjects(ctx context.Context, conn *pgx.Conn, subjects []ruleSubject) error {
	var users []string
	for _, s := range subjects {
		switch s.kind {
		case "user":
			users = append(users, s.name)
		case "group":
			if _, err := findGroup(ctx, conn, s.name); err != nil {
				return err
			}
		}
	}
	if len(users) == 0 {
		return nil
	}
	_, err := findUsers(ctx, conn, users, "", nil)
	return err
}

// use runs f with a connection and the registry that the first argument means,
// if all subjects are there.
func (r rule) use(c *cli.Context, db *database, f func(ctx context.Context, conn *pgx.Conn, registry listedRegistry) error) error {
	return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
		registry, err := oneRegistry(ctx, conn, c.Args().First())
		if err != nil {
			return err
		}
		if err := checkSubjects(ctx, conn, r.subjects); err != nil {
			return err
		}
		return f(ctx, conn, registry)
	})
}

// allow allows the actions, and says what is allowed then.
func (r rule) allow(c *cli.Context, db *database) error {
	return r.use(c, db, func(ctx context.Context, conn *pgx.Conn, registry listedRegistry) error {
		for _, s := range r.subjects {
			allowed, changed, err := allowRule(ctx, conn, registry, r.pattern, s, r.actions)
			if err != nil {
				return err
			}
			if !changed {
				say(c, "Nothing to do: %s may %s %s of %s", s, strings.Join(allowed, ", "), r.pattern, registry.ClientID)
				continue
			}
			say(c, "Allowed %s: %s %s of %s", s, strings.Join(allowed, ", "), r.pattern, registry.ClientID)
			if s.kind == "anyone" && (slices.Contains(allowed, "push") || slices.Contains(allowed, "delete")) {
				say(c, "warning: that is everybody, without a password")
			}
		}
		return nil
	})
}

// deny takes the actions out of the rules, and says what is left of them.
func (r rule) deny(c *cli.Context, db *database, dryRun bool) error {
	return r.use(c, db, func(ctx context.Context, conn *pgx.Conn, registry listedRegistry) error {
		var rows []denied
		deny := func() error {
			for _, s := range r.subjects {
				taken, left, err := denyRule(ctx, conn, registry, r.pattern, s, r.actions)
				if err != nil {
					return err
				}
				rows = append(rows, denied{s.String(), r.pattern, taken, left})
			}
			return nil
		}
		if dryRun {
			if err := rehearse(ctx, conn, deny); err != nil {
				return err
			}
			return showDryRun(c, "change these rules of registry "+registry.ClientID, rows)
		}
		err := deny()
		for _, row := range rows {
			switch {
			case len(row.Denied) == 0:
				say(c, "Nothing to do: the rule for %s and %s allows none of this", row.Subject, row.Pattern)
			case len(row.Left) == 0:
				say(c, "Denied %s: %s %s of %s; nothing is left of the rule", row.Subject, strings.Join(row.Denied, ", "), row.Pattern, registry.ClientID)
			default:
				say(c, "Denied %s: %s %s of %s; left: %s", row.Subject, strings.Join(row.Denied, ", "), row.Pattern, registry.ClientID, strings.Join(row.Left, ", "))
			}
		}
		return err
	})
}

// denied is what is taken out of a rule, and what is left of it.
type denied struct {
	Subject string   `json:"subject"`
	Pattern string   `json:"pattern"`
	Denied  []string `json:"denied"`
	Left    []string `json:"left"`
}

// allowRule calls api.allow_docker_rule. It returns all that the rule allows,
// and whether that is more than before.
func allowRule(ctx context.Context, conn *pgx.Conn, registry listedRegistry, pattern string, s ruleSubject, actions dockerActions) (allowed []string, changed bool, err error) {
	result, err := queryRow[struct {
		Outcome string
		Actions []string
		Changed bool
	}](ctx, conn,
		`select outcome, actions, coalesce(changed, false) as changed from api.allow_docker_rule($1::bigint, $2, $3, $4, $5, $6)`,
		registry.ID, pattern, s.kind, s.of("user"), s.of("group"), []string(actions))
	if err != nil {
		return nil, false, fmt.Errorf("allow rule: %w", err)
	}
	return result.Actions, result.Changed, s.refused(registry, pattern, "allow rule", result.Outcome)
}

// denyRule calls api.deny_docker_rule. Nil actions are all. It returns what the
// rule allowed of them, and what it still allows.
func denyRule(ctx context.Context, conn *pgx.Conn, registry listedRegistry, pattern string, s ruleSubject, actions dockerActions) (taken, left []string, err error) {
	result, err := queryRow[struct {
		Outcome          string
		Changed, Actions []string
	}](ctx, conn,
		`select outcome, changed, actions from api.deny_docker_rule($1::bigint, $2, $3, $4, $5, $6)`,
		registry.ID, pattern, s.kind, s.of("user"), s.of("group"), []string(actions))
	if err != nil {
		return nil, nil, fmt.Errorf("deny rule: %w", err)
	}
	return result.Changed, result.Actions, s.refused(registry, pattern, "deny rule", result.Outcome)
}

// refused returns an outcome of the functions about rules as an error, or nil if
// it is ok.
func (s ruleSubject) refused(registry listedRegistry, pattern, doing, outcome string) error {
	switch outcome {
	case "ok":
		return nil
	case "gone":
		return registryGone(registry)
	case "no_user":
		return fmt.Errorf("no user is meant by %q", s.name)
	case "no_group":
		return noGroup(s.name)
	case "no_rule":
		return fmt.Errorf("registry %s has no rule for %s and %s", registry.ClientID, s, pattern)
	}
	return fmt.Errorf("%s: unknown outcome %q", doing, outcome)
}

// listedRule is a rule as lists show it.
type listedRule struct {
	ID             string    `json:"id"`
	Registry       string    `json:"registry"`
	Pattern        string    `json:"pattern"`
	Subject        string    `json:"subject"`
	UserIdentifier *string   `json:"user_identifier"`
	GroupName      *string   `json:"group_name"`
	Actions        []string  `json:"actions"`
	CreatedAt      time.Time `json:"created_at"`
}

// listRules calls api.list_docker_rules. Nil matches all.
func listRules(ctx context.Context, conn *pgx.Conn, registry *listedRegistry, user *listedUser, group *string) ([]listedRule, error) {
	rules, err := queryRows[listedRule](ctx, conn,
		`select id::text, registry, pattern, subject, user_identifier, group_name, actions, created_at
		   from api.list_docker_rules($1::bigint, $2, $3)`, registry.id(), idOf(user), group)
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return rules, nil
}
