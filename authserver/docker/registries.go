package docker

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"authbridge/internal/pg"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Registries is all registries and their rules, as the database has them.
type Registries struct {
	db      *pgxpool.Pool
	current atomic.Pointer[map[string]*Registry] // by client id; never changed
}

// A Registry asks its clients for tokens of ours. It is as the database had it
// when it was looked up.
type Registry struct {
	ClientID string // what it calls itself: service, and aud of its tokens
	Issuer   string // empty: that of the server

	// How long a token lasts that can only read, and any other.
	PullLifetime, PushLifetime time.Duration

	// Rules, by whom they are for.
	anyone, users rules
	user          map[string]*rules // by user id
	group         map[string]*rules // by name
}

// rules are those for one subject, by what their patterns begin with: of very
// many, few are looked at.
type rules struct {
	keyed map[string][]Rule // by Pattern.key
	other []Rule            // patterns without one
}

// OpenRegistries loads all registries and rules.
func OpenRegistries(ctx context.Context, db *pgxpool.Pool) (*Registries, error) {
	ctx, cancel := context.WithTimeout(ctx, pg.LoadTimeout)
	defer cancel()
	r := &Registries{db: db}
	if err := r.load(ctx, db); err != nil {
		return nil, err
	}
	return r, nil
}

// Run reloads the registries whenever the database says that something of them
// has changed, and every minute, until ctx ends; then it returns nil. While the
// database cannot be reached, they stay what they are.
func (r *Registries) Run(ctx context.Context) error {
	return pg.Follow(ctx, r.db, pg.Followed{
		What: "Docker registries",
		// Whoever removes a user or a group notifies about their rules, too.
		Channels: []string{"authserver_docker_registry", "authserver_docker_rule"},
		Every:    time.Minute,
		Load:     r.load,
	})
}

// Registry returns the registry with this client id; nil if there is none.
func (r *Registries) Registry(clientID string) *Registry { return (*r.current.Load())[clientID] }

// load reads everything anew. Between its two questions something may change;
// then it is called again.
func (r *Registries) load(ctx context.Context, db pg.Querier) error {
	registries, err := findRegistries(ctx, db)
	if err != nil {
		return err
	}
	rules, err := findRules(ctx, db)
	if err != nil {
		return err
	}

	loaded := make(map[string]*Registry, len(registries))
	for _, row := range registries {
		loaded[row.ClientID] = row.registry()
	}
	for _, row := range rules {
		registry := loaded[row.Registry]
		if registry == nil {
			continue // it came in between
		}
		rule, err := row.rule()
		if err != nil {
			slog.ErrorContext(ctx, "a rule of a Docker registry is of no use", "registry", row.Registry, "rule", row.ID, "err", err)
			continue // rules only allow
		}
		registry.add(rule)
	}
	r.current.Store(&loaded)
	return nil
}

func (r *Registry) add(rule Rule) {
	rule.allows = parseActions(rule.Actions)
	if rule.Pattern.text != everything {
		rule.allows &^= catalog
	}
	switch rule.Kind {
	case Anyone:
		r.anyone.add(rule)
	case Users:
		r.users.add(rule)
	case User:
		if r.user[rule.UserID] == nil {
			r.user[rule.UserID] = &rules{}
		}
		r.user[rule.UserID].add(rule)
	case Group:
		if r.group[rule.Group] == nil {
			r.group[rule.Group] = &rules{}
		}
		r.group[rule.Group].add(rule)
	}
}

func (r *rules) add(rule Rule) {
	key := rule.Pattern.key()
	if key == "" {
		r.other = append(r.other, rule)
		return
	}
	if r.keyed == nil {
		r.keyed = map[string][]Rule{}
	}
	r.keyed[key] = append(r.keyed[key], rule)
}

// rulesFor returns the rules that are for the subject and may be about a name.
func (r *Registry) rulesFor(who Subject, name string) [][]Rule {
	sets := make([]*rules, 0, 3+len(who.Groups))
	sets = append(sets, &r.anyone)
	if who.UserID != "" {
		sets = append(sets, &r.users, r.user[who.UserID])
		for _, group := range who.Groups {
			sets = append(sets, r.group[group])
		}
	}
	lists := make([][]Rule, 0, 3*len(sets))
	first, _, more := strings.Cut(name, "/")
	for _, set := range sets {
		if set == nil {
			continue
		}
		lists = append(lists, set.other, set.keyed[first])
		if more {
			lists = append(lists, set.keyed[name])
		}
	}
	return lists
}
