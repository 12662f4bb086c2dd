package command

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// values remembers which typed value refused its text, because urfave passes
// on no more than a text, which also repeats the value. That may hold a
// password, as a database URL does.
type values struct{ refused error }

// nameValues puts a namedValue before the value of each generic flag of app.
func nameValues(app *cli.App) *values {
	var v values
	v.name(app.Flags)
	walk(app.Commands, func(cmd *cli.Command) { v.name(cmd.Flags) })
	return &v
}

func (v *values) name(flags []cli.Flag) {
	for _, flag := range flags {
		f, ok := flag.(*cli.GenericFlag)
		if !ok {
			continue
		}
		if f.Value == nil {
			f.Value = f.Destination
		}
		if _, named := f.Value.(*namedValue); !named { // a flag may be shared by commands
			f.Value = &namedValue{f.Value, f, v}
		}
		f.Destination = nil
	}
}

// usageError is the OnUsageError of every command.
func (v *values) usageError(_ *cli.Context, err error, _ bool) error {
	if v.refused != nil {
		return v.refused
	}
	return Usagef("%v", err)
}

// namedValue is a flag's value that knows the flag.
type namedValue struct {
	cli.Generic
	flag *cli.GenericFlag
	all  *values
}

// alias is what Serialize returns and Set ignores. urfave sets a flag's other
// names from the text of the one that was used, which all are this same value;
// a Secret would be replaced by its hidden text, a list would be doubled.
const alias = "\x00alias"

func (v *namedValue) Serialize() string { return alias }

func (v *namedValue) Set(s string) error {
	if s == alias {
		return nil
	}
	err := v.Generic.Set(s)
	if err != nil && v.all.refused == nil {
		v.all.refused = Usagef("bad value for %s: %v", describe(v.flag), err)
	}
	return err
}

// describe names a flag and the environment variables that also set it.
func describe(f cli.Flag) string {
	name := dashed(f.Names()[0])
	if env := environment(f); len(env) > 0 {
		name += " ($" + strings.Join(env, ", $") + ")"
	}
	return name
}

// dashed returns a flag's name as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func environment(f cli.Flag) []string {
	if doc, ok := f.(cli.DocGenerationFlag); ok {
		return doc.GetEnvVars()
	}
	return nil
}
