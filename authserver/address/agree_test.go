package address

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"authbridge/internal/pgcluster"
	"authbridge/sql"

	"github.com/jackc/pgx/v5"
)

// The same address is typed on the command line and asked for by a mail server,
// over SQL. Both must mean the same, whatever locale a database was made with.
func TestAgreesWithSQL(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	server := connect(t, cluster.SuperuserURL("postgres"))

	inputs := append(generate(20_000), corpus...)
	for database, locale := range map[string]string{"c": "C", "cutf8": "C.UTF-8"} {
		t.Run(locale, func(t *testing.T) {
			if _, err := server.Exec(t.Context(), `create database `+database+` template template0 encoding 'UTF8' locale '`+locale+`'`); err != nil {
				t.Fatal(err)
			}
			conn := connect(t, cluster.SuperuserURL(database))
			if err := sql.Init(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if err := sql.Migrate(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			checkAgreement(t, conn, inputs)
		})
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// parsed is what auth.parse_address makes of an address: nulls are empty.
type parsed struct{ Local, Domain string }

func checkAgreement(t *testing.T, conn *pgx.Conn, inputs []string) {
	var asked []string
	for _, in := range inputs {
		if utf8.ValidString(in) && !strings.Contains(in, "\x00") {
			asked = append(asked, in)
			continue
		}
		// PostgreSQL has no such text.
		if a, err := ParseAddress(in); err == nil {
			t.Errorf("%q is %s in Go", in, a)
		}
		if _, err := conn.Exec(t.Context(), `select auth.parse_address($1)`, in); err == nil {
			t.Errorf("%q is a text in SQL", in)
		}
	}
	answers := parseInSQL(t, conn, asked)

	var typed []string // accepted addresses, the domain in U-labels
	var accepted []Address
	for i, in := range asked {
		got := answers[i]
		want, err := ParseAddress(in)
		if isASCII(in[strings.LastIndexByte(in, '@')+1:]) {
			if got != (parsed{want.Local, string(want.Domain)}) {
				t.Errorf("%q is %q, %v in Go and %q in SQL", in, want, err, got)
			}
		} else if got.Domain != "" && (isASCII(got.Domain) || checkLocal(got.Local) != nil || err == nil && got.Local != want.Local) {
			// SQL does not convert U-labels. It must not take them for a
			// domain that is written in ASCII, nor be laxer about the rest.
			t.Errorf("%q is %q, %v in Go and %q in SQL", in, want, err, got)
		}
		if err == nil {
			typed = append(typed, want.Local+"@"+want.Domain.Unicode())
			accepted = append(accepted, want)
		}
	}
	t.Logf("%d addresses, %d of them good", len(asked), len(accepted))
	if len(accepted) < len(asked)/20 || len(accepted) > len(asked)/2 {
		t.Error("the addresses do not test much")
	}

	// The U-labels that Go stores are those that SQL asks for.
	for i, got := range parseInSQL(t, conn, typed) {
		if want := (parsed{accepted[i].Local, accepted[i].Domain.Unicode()}); got != want {
			t.Errorf("%q is %q in SQL", typed[i], got)
		}
	}
}

func parseInSQL(t *testing.T, conn *pgx.Conn, addresses []string) []parsed {
	t.Helper()
	rows, _ := conn.Query(t.Context(), `
		select coalesce(p.local_part, '') as local, coalesce(p.domain, '') as domain
		  from unnest($1::text[]) with ordinality as a (address, n), auth.parse_address(a.address) p
		 order by a.n`, addresses)
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[parsed])
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// generate returns n addresses, put together from pieces that are good, nasty,
// or both. All characters are older than the Unicode version of any PostgreSQL
// in use: about later ones Go and PostgreSQL may differ for a while.
func generate(n int) []string {
	pieces := []string{
		"a", "B", "alice", "Z9", "0", "+", "-", "_", "=", "'", "`", "{}", "~", "!#$%&*/?^",
		".", "..", "@", "|", `"`, `\`, "(", ")", "<", ">", "[", "]", ",", ":", ";", " ", "\t", "\n", "\r\n", "\x00", "\x1b", "\x7f",
		"\u0080", "\u0085", "\u009f", "\u00a0", "é", "É", "ß", "ı", "İ", "ſ", "Σ", "ς", "\u212a", "ǆ", "ǅ", "ﬁ", "用", "🙂",
		"\u0301", "\u0327", "\u0331", "e\u0301", "H\u0331", "I\u0307", "\u1100", "\u1161", "\u11a8", "가", "\u0344", "\u2126", "\ufb1d",
		"\u200b", "\u200d", "\u2028", "\u3000", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\xff", "\xc3", "\xed\xa0\x80",
		"xn--", "xn--bcher-kva", "a--b", "-a", "a-", "example.com", "EXAMPLE.org", "bücher.example", "straße", "例え。テスト", "ｅｘ.com", "\u05d0", "\u0627",
		strings.Repeat("x", 31), strings.Repeat("y", 63), strings.Repeat("z", 64), strings.Repeat("é", 32), label63 + "." + label63 + ".", domain253[:248],
	}
	r := rand.New(rand.NewPCG(1, 2)) // the same every time
	some := func(from []string, most int) string {
		var b strings.Builder
		for range 1 + r.IntN(most) {
			b.WriteString(from[r.IntN(len(from))])
		}
		return b.String()
	}
	good := []string{"a", "B", "alice", "Z9", "+", "-", "_", "é", "用", "x.y"}
	domains := []string{"example.com", "EXAMPLE.org", "a", "xn--bcher-kva.example", "bücher.example", "1.2.3.4", domain253[:248]}

	addresses := make([]string, n)
	for i := range addresses {
		switch r.IntN(4) {
		case 0:
			addresses[i] = some(pieces, 6)
		case 1:
			addresses[i] = some(good, 3) + "@" + some(pieces, 3)
		case 2:
			addresses[i] = some(pieces, 3) + "@" + some(domains, 1)
		case 3:
			addresses[i] = some(good, 5) + "@" + some(domains, 1)
		}
	}
	return addresses
}
