package docker

import (
	"cmp"
	"slices"
	"strings"
)

// A Subject is who asks for access. The zero Subject is anonymous.
type Subject struct {
	UserID     string // a UUID; empty: nobody has logged in
	Identifier string
	Groups     []string

	// Actions is what the credential is limited to, whatever its user may; nil:
	// no limit.
	Actions []string
}

// A Rule allows actions on the repositories that its pattern stands for. What
// several rules allow adds up, and nothing forbids.
type Rule struct {
	ID      int64
	Pattern Pattern
	Kind    SubjectKind
	UserID  string // of the user, if it is for one
	Group   string // the name of the group, if it is for one
	Actions []string

	allows actions
}

// A SubjectKind is whom a rule is for.
type SubjectKind string

const (
	User   SubjectKind = "user"   // one
	Group  SubjectKind = "group"  // all users in it
	Users  SubjectKind = "users"  // everybody who has logged in
	Anyone SubjectKind = "anyone" // also who has not
)

// An Access is what is granted on a resource.
type Access struct {
	Type    string
	Name    string
	Actions []string // never nil; empty: nothing
}

// String returns the access as the scope that it is.
func (a Access) String() string { return Scope(a).String() }

// granted returns what the access is, as a set.
func (a Access) granted() actions {
	if slices.Contains(a.Actions, "*") {
		return catalog
	}
	return parseActions(a.Actions)
}

// actions is a set of what can be done.
type actions uint8

const (
	pull actions = 1 << iota
	push
	remove
	catalog

	// all that can be done with a repository
	whole = pull | push | remove
)

// actionNames are the actions in the order in which they are listed.
var actionNames = []string{"pull", "push", "delete", "catalog"}

// names lists the actions.
func (a actions) names() []string {
	names := []string{}
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// parseActions returns the set of what is in a list; what is no action is left
// out.
func parseActions(names []string) actions {
	var set actions
	for i, name := range actionNames {
		if slices.Contains(names, name) {
			set |= 1 << i
		}
	}
	return set
}

// asks returns what an action of a scope means: nothing, if nobody is ever
// granted it.
func (s Scope) asks(action string) actions {
	switch {
	case s.Type == "registry" && s.Name == "catalog" && action == "*":
		return catalog
	case s.Type != "repository":
		return 0
	case action == "*":
		return whole
	}
	return parseActions([]string{action}) & whole
}

// grants returns the names of granted actions as a token has them. A registry
// takes * for everything, so it is there only where it means one thing.
func (s Scope) grants(granted actions) []string {
	if granted == catalog {
		return []string{"*"}
	}
	return granted.names()
}

// Grant returns what of the scopes the subject gets: an entry for each
// repository and each resource of the registry, in the order in which they were
// asked for, be there nothing to get. Other types of resources have none.
func (r *Registry) Grant(who Subject, scopes []Scope) []Access {
	access := make([]Access, 0, len(scopes))
	asked := make([]actions, 0, len(scopes)) // for each of access
	for _, s := range scopes {
		if s.Type != "repository" && s.Type != "registry" {
			continue
		}
		i := slices.IndexFunc(access, func(a Access) bool { return a.Type == s.Type && a.Name == s.Name })
		if i < 0 {
			i = len(access)
			access = append(access, Access{Type: s.Type, Name: s.Name})
			asked = append(asked, 0)
		}
		for _, action := range s.Actions {
			asked[i] |= s.asks(action)
		}
	}
	for i, a := range access {
		wanted := asked[i] & who.limit()
		access[i].Actions = Scope(a).grants(wanted & r.allowed(who, a.Name, wanted))
	}
	return access
}

// limit is what the subject's credential is good for.
func (who Subject) limit() actions {
	if who.Actions == nil {
		return whole | catalog
	}
	return parseActions(who.Actions)
}

// allowed returns what rules allow the subject to do with a name, or at least
// that much of it that all of wanted is in it. The catalogue is no repository:
// only rules for all of them allow it.
func (r *Registry) allowed(who Subject, name string, wanted actions) actions {
	if wanted == 0 {
		return 0
	}
	var allowed actions
	components := strings.Split(name, "/")
	for _, list := range r.rulesFor(who, name) {
		for i := range list {
			if wanted&^allowed == 0 {
				return allowed
			}
			if rule := &list[i]; rule.allows&wanted&^allowed != 0 && rule.Pattern.match(components, who.Identifier) {
				allowed |= rule.allows
			}
		}
	}
	return allowed
}

// A Reason is why an action that was asked for is granted, or is not.
type Reason struct {
	Action  string // for * on a repository, there is one for each that it means
	Granted bool

	// Rules are all that allow it. If it is not granted for all that, the
	// subject's credential is limited to others.
	Rules []Rule

	// Unknown means an action that nobody is ever granted on such a resource.
	Unknown bool
}

// Explain returns for each action of a scope whether Grant would grant it, and
// why.
func (r *Registry) Explain(who Subject, scope Scope) []Reason {
	var (
		reasons    []Reason
		explained  actions
		components = strings.Split(scope.Name, "/")
	)
	for _, asked := range scope.Actions {
		means := scope.asks(asked)
		if means == 0 {
			reasons = append(reasons, Reason{Action: asked, Unknown: true})
		}
		for action := pull; action <= catalog; action <<= 1 {
			if action&means&^explained == 0 {
				continue
			}
			explained |= action
			reason := Reason{Action: scope.grants(action)[0]}
			for _, list := range r.rulesFor(who, scope.Name) {
				for _, rule := range list {
					if rule.allows&action != 0 && rule.Pattern.match(components, who.Identifier) {
						reason.Rules = append(reason.Rules, rule)
					}
				}
			}
			slices.SortFunc(reason.Rules, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
			reason.Granted = len(reason.Rules) > 0 && who.limit()&action != 0
			reasons = append(reasons, reason)
		}
	}
	return reasons
}
