package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"authbridge/internal/command"
	"authbridge/internal/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"authserver": main,
		"readpassword": func() {
			var given command.Secret
			command.Main(&cli.App{
				Name:  "readpassword",
				Flags: []cli.Flag{passwordFlag("password", &given)},
				Action: func(c *cli.Context) error {
					password, err := readPassword(c, "password", given)
					if err == nil {
						fmt.Fprintf(c.App.Writer, "read %q\n", string(password))
					}
					return err
				},
			})
		},
	})
}

// TestScripts runs the command line as its users do: testdata/*.txtar, each
// with a migrated database of its own. Besides the commands of testscript there
// are those of scriptCommands.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, "authserver_admin")
			testscript.Run(t, testscript.Params{
				Files:               []string{script},
				Cmds:                scriptCommands(db),
				RequireExplicitExec: true,
				Setup: func(env *testscript.Env) error {
					env.Setenv("DATABASE_URL", db.URL)
					env.Setenv("DATABASE_OWNER_URL", db.OperatorURL)
					// The race detector would hold up each command for a second.
					env.Setenv("GORACE", "atexit_sleep_ms=0")
					return nil
				},
			})
		})
	}
}

func scriptCommands(db pgtest.DB) map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits":     exits,
		"json":      checkJSON,
		"setjson":   setJSON,
		"published": new(publishedTo).command,
		"setlogin": func(ts *testscript.TestScript, neg bool, args []string) {
			setLogin(ts, db, neg, args)
		},
		"sql": func(ts *testscript.TestScript, neg bool, args []string) {
			runSQL(ts, db, neg, args)
		},
	}
}

// exits CODE PROGRAM ARG... runs a program that must exit with this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// json PATH WANT compares a value in the JSON on stdout: "0.name" is the field
// name of the first element, "length" the length of the array, "keys" the names
// of the first object's fields in their order.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH WANT")
	}
	got, err := lookupJSON([]byte(ts.ReadFile("stdout")), args[0])
	if err != nil && !neg {
		ts.Fatalf("%v", err)
	}
	if (err == nil && got == args[1]) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %v)", args[0], got, args[1], neg)
	}
}

// setlogin VAR LOGIN puts the URL by which another login reaches the database
// into a variable.
func setLogin(ts *testscript.TestScript, db pgtest.DB, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setlogin VAR LOGIN")
	}
	ts.Setenv(args[0], strings.Replace(db.URL, "authserver_admin@", args[1]+"@", 1))
}

// setjson VAR PATH puts a value from the JSON on stdout into a variable.
func setJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setjson VAR PATH")
	}
	got, err := lookupJSON([]byte(ts.ReadFile("stdout")), args[1])
	ts.Check(err)
	ts.Setenv(args[0], got)
}

// sql QUERY runs a query as superuser and prints its rows to stdout, fields
// separated by tabs.
func runSQL(ts *testscript.TestScript, db pgtest.DB, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql QUERY")
	}
	conn, err := pgx.Connect(context.Background(), db.SuperURL)
	ts.Check(err)
	defer conn.Close(context.Background())
	results, err := conn.PgConn().Exec(context.Background(), args[0]).ReadAll()
	ts.Check(err)
	for _, result := range results {
		for _, row := range result.Rows {
			fmt.Fprintf(ts.Stdout(), "%s\n", bytes.Join(row, []byte("\t")))
		}
	}
}

// lookupJSON returns the value at path as text: strings and numbers as they
// are, everything else as JSON.
func lookupJSON(text []byte, path string) (string, error) {
	var v json.RawMessage
	if err := json.Unmarshal(text, &v); err != nil {
		return "", fmt.Errorf("stdout is no JSON: %w", err)
	}
	for step := range strings.SplitSeq(path, ".") {
		var array []json.RawMessage
		isArray := json.Unmarshal(v, &array) == nil
		switch index, err := strconv.Atoi(step); {
		case isArray && step == "length":
			return strconv.Itoa(len(array)), nil
		case isArray && step == "keys" && len(array) > 0:
			return keysOf(array[0])
		case isArray && err == nil && 0 <= index && index < len(array):
			v = array[index]
		case !isArray && step == "keys":
			return keysOf(v)
		default:
			var object map[string]json.RawMessage
			field, ok := json.RawMessage(nil), false
			if json.Unmarshal(v, &object) == nil {
				field, ok = object[step]
			}
			if !ok {
				return "", fmt.Errorf("%s: nothing at %q in %s", path, step, v)
			}
			v = field
		}
	}
	var s string
	if json.Unmarshal(v, &s) == nil && !bytes.Equal(v, []byte("null")) {
		return s, nil
	}
	return string(v), nil
}

// keysOf returns the names of an object's fields, separated by blanks.
func keysOf(object json.RawMessage) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", fmt.Errorf("%s is no object", object)
	}
	var keys []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return "", err
		}
		keys = append(keys, fmt.Sprint(key))
		if err := dec.Decode(new(json.RawMessage)); err != nil {
			return "", err
		}
	}
	return strings.Join(keys, " "), nil
}

func TestLookupJSON(t *testing.T) {
	const text = `[{"name": "wiki", "id": "7", "n": 3, "ok": true, "none": null, "of": ["a", "b"]}, {}]`
	tests := map[string]string{
		"length": "2", "keys": "name id n ok none of", "0.keys": "name id n ok none of", "1.keys": "",
		"0.name": "wiki", "0.id": "7", "0.n": "3", "0.ok": "true", "0.none": "null", "0.of": `["a", "b"]`,
		"0.of.length": "2", "0.of.1": "b",
	}
	for path, want := range tests {
		if got, err := lookupJSON([]byte(text), path); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"name", "2", "0.missing", "0.name.x", "0.n.length"} {
		if got, err := lookupJSON([]byte(text), path); err == nil {
			t.Errorf("%s is %q, want an error", path, got)
		}
	}
}
