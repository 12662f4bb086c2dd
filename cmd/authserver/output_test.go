package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

type listed struct {
	ID      string     `json:"id"`
	Name    string     `json:"full_name"`
	Active  bool       `json:"is_active"`
	Mailbox *string    `json:"delivery_mailbox"`
	Lists   []string   `json:"lists"`
	Seen    *time.Time `json:"last_seen"`
}

func someRows() []listed {
	mailbox := "bob@example.com"
	seen := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("CET", 3600))
	return []listed{
		{"1", "Alice <\"A\"> \x1b[31m, red", true, nil, []string{"a", "b"}, nil},
		{"12", "Bøb\nbuilder", false, &mailbox, []string{}, &seen},
	}
}

func TestPrintList(t *testing.T) {
	tests := map[string]struct{ format, want string }{
		"JSON keeps the order of fields": {"json", `[
    {
        "id": "1",
        "full_name": "Alice <\"A\"> \u001b[31m, red",
        "is_active": true,
        "delivery_mailbox": null,
        "lists": [
            "a",
            "b"
        ],
        "last_seen": null
    },
    {
        "id": "12",
        "full_name": "Bøb\nbuilder",
        "is_active": false,
        "delivery_mailbox": "bob@example.com",
        "lists": [],
        "last_seen": "2026-01-02T03:04:05+01:00"
    }
]
`},
		"CSV quotes as RFC 4180 says": {"csv", "id,full_name,is_active,delivery_mailbox,lists,last_seen\r\n" +
			"1,\"Alice <\"\"A\"\"> \x1b[31m, red\",true,,\"a, b\",\r\n" +
			"12,\"Bøb\r\nbuilder\",false,bob@example.com,,2026-01-02T02:04:05Z\r\n"},
		"a table is aligned and cannot steer the terminal": {"table", "" +
			"ID   FULL NAME                   IS ACTIVE   DELIVERY MAILBOX   LISTS   LAST SEEN\n" +
			"1    Alice <\"A\"> \\x1b[31m, red   yes                            a, b\n" +
			"12   Bøb builder                 no          bob@example.com            2026-01-02T02:04:05Z\n"},
		"a format of one command": {"list", "   1   Alice\n  12   Bob\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			names := map[string]string{"1": "Alice", "12": "Bob"}
			line := func(l listed) string { return fmt.Sprintf("%4s   %s", l.ID, names[l.ID]) }
			if err := printList(&b, format{name: tt.format}, someRows(), line); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", b.String(), tt.want)
			}
		})
	}
}

func TestPrintListWithoutRows(t *testing.T) {
	for name, want := range map[string]string{
		"json": "[]\n", "csv": "id,full_name,is_active,delivery_mailbox,lists,last_seen\r\n", "table": "", "list": "",
	} {
		var b bytes.Buffer
		err := printList(&b, format{name: name}, []listed(nil), nil)
		if b.String() != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v; want %q", name, b.String(), err, want)
		}
		if want == "" && !errors.Is(err, errNoResults) {
			t.Errorf("%s: %v, want %v", name, err, errNoResults)
		}
	}
}

func TestFormatFlag(t *testing.T) {
	var f format
	f.flag("list")
	if f.String() != "list" {
		t.Errorf("default is %s", f.String())
	}
	if err := f.Set("csv"); err != nil || f.name != "csv" {
		t.Errorf("csv: %v", err)
	}
	if err := f.Set("xml"); err == nil || err.Error() != `"xml" is none of list, table, json, csv` {
		t.Errorf("xml: %v", err)
	}
}

// A name in a status text cannot steer the terminal.
func TestSay(t *testing.T) {
	_, _, stderr := runAction(t.Context(), nil, func(c *cli.Context) error {
		say(c, "User %s created", "\u202eecila\n\x1b[2J")
		return nil
	}, strings.NewReader(""))
	if want := "User \\u202eecila \\x1b[2J created\n"; stderr != want {
		t.Errorf("%q, want %q", stderr, want)
	}
}
