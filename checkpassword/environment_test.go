package checkpassword

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func environment(t *testing.T, env []string) map[string]string {
	t.Helper()
	variables := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if _, twice := variables[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		variables[name] = value
	}
	return variables
}

func TestEnvironment(t *testing.T) {
	given := []string{"PATH=/bin", "USER=dovecot", "HOME=/root", "AUTHORIZED=1", "userdb_uid=root", "EXTRA=x"}
	alice := Answer{User: "alice@example.com"}
	var export Variables
	for _, v := range []string{"userdb_uid=vmail", "userdb_mail=maildir:/var/vmail/%d/%n", "PERCENT=100%%", "USERDB=%u", "userdb_quota=a=b"} {
		if err := export.Set(v); err != nil {
			t.Fatal(err)
		}
	}
	program := Program{Home: "/var/vmail/%d/%n", Shell: "/bin/false", Export: export}
	want := map[string]string{
		"PATH": "/bin", "USER": "alice@example.com", "HOME": "/var/vmail/example.com/alice", "SHELL": "/bin/false",
		"AUTHORIZED": "1", "userdb_uid": "vmail", "userdb_mail": "maildir:/var/vmail/example.com/alice",
		"PERCENT": "100%", "USERDB": "alice@example.com", "userdb_quota": "a=b",
		"EXTRA": "userdb_uid userdb_mail userdb_quota",
	}
	got, err := program.Environment(given, alice, false)
	if err != nil || !maps.Equal(environment(t, got), want) {
		t.Errorf("%v, %v", got, err)
	}

	want["AUTHORIZED"] = "2"
	if got, err := program.Environment(given, alice, true); err != nil || !maps.Equal(environment(t, got), want) {
		t.Errorf("lookup: %v, %v", got, err)
	}

	want["EXTRA"] = "userdb_uid"
	program.Export = append(program.Export, Variable{"EXTRA", "userdb_uid"})
	if got, err := program.Environment(given, alice, true); err != nil || !maps.Equal(environment(t, got), want) {
		t.Errorf("EXTRA of one's own: %v, %v", got, err)
	}
	if given[1] != "USER=dovecot" {
		t.Error("the caller's environment was changed")
	}
}

// A name is no way to somebody else's files, and no way to more variables.
func TestEnvironmentOfBadNames(t *testing.T) {
	program := Program{Home: "/var/vmail/%d/%n"}
	for _, user := range []string{"../bob@example.com", "a/b@example.com", "..@example.com", ".@example.com", "a@..", "alice", "@example.com", "alice@"} {
		if env, err := program.Environment(nil, Answer{User: user}, false); err == nil {
			t.Errorf("%q: %q", user, env)
		}
	}
	for _, user := range []string{"", "alice\n@example.com", "alice\x00@example.com"} {
		if env, err := (Program{Home: "/"}).Environment(nil, Answer{User: user}, false); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%q: %q, %v", user, env, err)
		}
	}
}

func TestVariables(t *testing.T) {
	for _, in := range []string{"", "NAME", "=value", "A B=c", "1A=b", "A=%", "A=%x", "A=50% off", "AUTHORIZED=2", "A=\x00"} {
		var v Variables
		if err := v.Set(in); err == nil || len(v) > 0 {
			t.Errorf("%q is accepted", in)
		}
	}
}

// Names add no folder to the path that a template is for.
func FuzzTemplate(f *testing.F) {
	f.Add("/var/vmail/%d/%n", "alice@example.com")
	f.Add("%%%u", "a/../b@example.com")
	f.Fuzz(func(t *testing.T, text, user string) {
		var template Template
		if template.Set(text) != nil {
			return
		}
		got, err := template.expand(user)
		if err != nil {
			return
		}
		if strings.Count(got, "/") != strings.Count(text, "/") {
			t.Errorf("%q for %q is %q", text, user, got)
		}
	})
}
