package docker

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestOpenRegistries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if got := h.api.Registries.Registry("nowhere.example.com"); got != nil {
		t.Errorf("there is %+v", got)
	}
	got := h.api.Registries.Registry(theirs)
	if got.ClientID != theirs || got.Issuer != "issuer.test" ||
		got.PullLifetime != 5*time.Minute || got.PushLifetime != 30*time.Minute {
		t.Errorf("got %+v", got)
	}
	if got := h.api.Registries.Registry(ours); got.Issuer != "" {
		t.Errorf("got %+v", got)
	}
	h.arrange(t, `update auth.docker_registries r set pull_lifetime = interval '1 day', push_lifetime = interval '61 s' where r.client_id = $1`, ours)
	h.reload(t)
	if got := h.api.Registries.Registry(ours); got.PullLifetime != 24*time.Hour || got.PushLifetime != 61*time.Second {
		t.Errorf("got %v and %v", got.PullLifetime, got.PushLifetime)
	}

	// A rule is found by all that it says.
	reasons := got.Explain(Subject{UserID: h.userID(t, "carol"), Identifier: "carol"}, scopes(t, "repository:home/carol/x:push")[0])
	if len(reasons) != 1 || len(reasons[0].Rules) != 2 {
		t.Fatalf("explained as %+v", reasons)
	}
	admin, home := reasons[0].Rules[0], reasons[0].Rules[1]
	if admin.Kind != User || admin.UserID != h.userID(t, "carol") || admin.Pattern.String() != "**" || strings.Join(admin.Actions, " ") != "pull push delete catalog" ||
		home.Kind != Users || home.Pattern.String() != "home/${user}/**" {
		t.Errorf("explained by %+v and %+v", admin, home)
	}
}

// What the database stores as a pattern is one, and nothing else.
func TestPatternsAsInDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, pattern := range append(badPatterns, goodPatterns...) {
		_, want := ParsePattern(pattern)
		if strings.Contains(pattern, "\x00") {
			continue // is no text at all there
		}
		_, got := h.db.Owner.Exec(t.Context(), `insert into auth.docker_rules (registry_id, pattern, subject, actions)
			select r.id, $2, 'anyone', '{delete}' from auth.docker_registries r where r.client_id = $1`, ours, pattern)
		if (got == nil) != (want == nil) {
			t.Errorf("%q: %v, but in the database %v", pattern, want, got)
		}
	}
}

// await waits until a condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not yet", what)
		}
	}
}

// A change counts as soon as the database tells it.
func TestRegistriesFollow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.api.Registries.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	app := h.addAppPassword(t, nil, nil).Text()
	refreshToken := h.offline(t, ours, "alice@example.com", app)
	const what = "repository:moving/app:pull,push"
	granted := func(want string) func() bool {
		return func() bool {
			byPassword := h.issue(t, withBasic(ask(ours, what), "alice@example.com", app)).access()
			byToken := h.issue(t, refresh(ours, refreshToken, what)).access()
			return byPassword == want && byToken == want
		}
	}
	h.allow(t, ours, "user:alice", "moving/**", "pull", "push")
	await(t, "a rule", granted("repository:moving/app:pull,push"))
	h.deny(t, ours, "user:alice", "moving/**", "push")
	await(t, "less of a rule", granted("repository:moving/app:pull"))
	h.deny(t, ours, "user:alice", "moving/**")
	await(t, "no rule", granted("repository:moving/app:"))

	registry := func(so func(r *Registry) bool) func() bool {
		return func() bool { return so(h.api.Registries.Registry(ours)) }
	}
	h.arrange(t, `select api.edit_docker_registry(r.id, 'Ours', null, 'issuer.example.com', null, null, interval '2 min', null)
		from auth.docker_registries r where r.client_id = $1`, ours)
	await(t, "another registry", registry(func(r *Registry) bool {
		return r.Issuer == "issuer.example.com" && r.PullLifetime == 2*time.Minute
	}))

	// With a user or a group, their rules go.
	h.allow(t, ours, "group:ops", "**", "pull")
	h.allow(t, ours, "user:bob", "**", "pull")
	bob := Subject{UserID: h.userID(t, "bob"), Identifier: "bob"}
	ops := Subject{UserID: "another", Groups: []string{"ops"}}
	rules := func(who Subject) func() bool {
		return registry(func(r *Registry) bool { return len(r.Explain(who, scopes(t, "repository:x:pull")[0])[0].Rules) > 0 })
	}
	await(t, "rules of a user and a group", func() bool { return rules(bob)() && rules(ops)() })
	h.arrange(t, `select from api.remove_group('ops')`)
	await(t, "the group is gone", func() bool { return !rules(ops)() })
	h.arrange(t, `select from api.remove_users(array[$1]::uuid[], false)`, bob.UserID)
	await(t, "the user is gone", func() bool { return !rules(bob)() })

	h.arrange(t, `select from api.remove_docker_registries(array(select r.id from auth.docker_registries r where r.client_id = $1), false)`, ours)
	await(t, "the registry is gone", registry(func(r *Registry) bool { return r == nil }))
	h.refused(t, ask(ours), 400)
}
