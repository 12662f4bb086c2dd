package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"authbridge/internal/command"

	"github.com/urfave/cli/v2"
)

// format is how a list is printed: table, json or csv, or by a name that one
// command has for its own plain lines.
type format struct {
	name  string
	known []string
}

// flag returns --format. The names that a command has besides table, json and
// csv come first; the first of all is the default.
func (f *format) flag(own ...string) cli.Flag {
	return f.oneOf(append(own, "table", "json", "csv")...)
}

// objectFlag returns --format for what is one line or one JSON object.
func (f *format) objectFlag() cli.Flag { return f.oneOf("plain", "json") }

func (f *format) oneOf(known ...string) cli.Flag {
	f.known, f.name = known, known[0]
	return &cli.GenericFlag{
		Name: "format", Aliases: []string{"f"},
		Usage: "print as `FORMAT`: " + strings.Join(known, ", "),
		Value: f,
	}
}

// containsFlag returns --contains.
func containsFlag(text *string, usage string) cli.Flag {
	return &cli.StringFlag{Name: "contains", Aliases: []string{"c"}, Usage: usage, Destination: text}
}

// Set implements flag.Value.
func (f *format) Set(s string) error {
	if !slices.Contains(f.known, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(f.known, ", "))
	}
	f.name = s
	return nil
}

func (f *format) String() string { return f.name }

var errNoResults = command.Exit(command.Failed, errors.New("no results"))

// printList prints rows, structs whose json tags name the columns, in their
// order. line returns the plain line of a row, and may be nil if the command
// has no format of its own.
//
// For a program no rows are an answer: "[]". For a person, and for a shell that
// looks at the exit code, they are errNoResults.
func printList[T any](w io.Writer, f format, rows []T, line func(T) string) error {
	switch f.name {
	case "json":
		if rows == nil {
			rows = []T{} // nil would print as null
		}
		return printJSON(w, rows)
	case "csv":
		return printCSV(w, rows)
	}
	if len(rows) == 0 {
		return errNoResults
	}
	if f.name == "table" {
		return printTable(w, rows)
	}
	for _, row := range rows {
		if _, err := fmt.Fprintln(w, line(row)); err != nil {
			return err
		}
	}
	return nil
}

// match is a row that a selector found. The id is empty if it found none.
type match[T any] interface {
	match() (selector, id string, row T)
}

// matches returns the rows that were found, each once. If there are selectors
// that found none, the error says so: "no SELECTS "x"".
func matches[M match[T], T any](found []M, selects string) ([]T, error) {
	var rows []T
	var missing []string
	seen := map[string]bool{}
	for _, m := range found {
		selector, id, row := m.match()
		switch {
		case id == "":
			missing = append(missing, strconv.Quote(selector))
		case !seen[id]:
			seen[id] = true
			rows = append(rows, row)
		}
	}
	if len(missing) > 0 {
		return rows, fmt.Errorf("no %s %s", selects, strings.Join(missing, " or "))
	}
	return rows, nil
}

// printFound prints the rows that came with err, and returns err: a program
// reads what there is, and the exit code says that it is not all.
func printFound[T any](w io.Writer, out format, rows []T, err error) error {
	if err != nil && len(rows) == 0 && out.name != "json" {
		return err
	}
	return errors.Join(printList(w, out, rows, nil), err)
}

// printJSON prints v as other programs expect it: indented, one object or an
// array of them.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "    ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printCSV prints rows as RFC 4180 wants them, header first.
func printCSV[T any](w io.Writer, rows []T) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	out.Write(columns[T]()) // Flush reports its error
	for _, row := range rows {
		out.Write(cells(row, map[bool]string{true: "true", false: "false"}))
	}
	out.Flush()
	return out.Error()
}

// printTable prints rows for people: aligned, nothing cut off, nothing that
// could steer a terminal.
func printTable[T any](w io.Writer, rows []T) error {
	header := columns[T]()
	for i, name := range header {
		header[i] = strings.ToUpper(strings.ReplaceAll(name, "_", " "))
	}
	table := [][]string{header}
	for _, row := range rows {
		table = append(table, cells(row, map[bool]string{true: "yes", false: "no"}))
	}

	width := make([]int, len(header))
	for _, line := range table {
		for i, cell := range line {
			line[i] = command.OneLine(cell)
			width[i] = max(width[i], utf8.RuneCountInString(line[i]))
		}
	}
	var b strings.Builder
	for _, line := range table {
		var text strings.Builder
		for i, cell := range line {
			fmt.Fprintf(&text, "%-*s   ", width[i], cell)
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns returns the names of T's fields in JSON.
func columns[T any]() []string {
	var names []string
	row := reflect.TypeFor[T]()
	for i := range row.NumField() {
		name, _, _ := strings.Cut(row.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// cells returns the fields of row as text. word is what is written for true
// and false; a nil pointer is empty.
func cells(row any, word map[bool]string) []string {
	var cells []string
	v := reflect.ValueOf(row)
	for i := range v.NumField() {
		field := v.Field(i)
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		text := ""
		if field.IsValid() {
			switch value := field.Interface().(type) {
			case bool:
				text = word[value]
			case []string:
				text = strings.Join(value, ", ")
			case time.Time:
				text = value.UTC().Format(time.RFC3339)
			default:
				text = fmt.Sprint(value)
			}
		}
		cells = append(cells, text)
	}
	return cells
}

// say writes a line of status text to stderr. Names in it may be anybody's: what
// could steer a terminal is escaped.
func say(c *cli.Context, format string, args ...any) {
	fmt.Fprintln(c.App.ErrWriter, command.OneLine(fmt.Sprintf(format, args...)))
}

// plural returns "1 alias" or "2 aliases".
func plural(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return strconv.Itoa(n) + " " + many
}
