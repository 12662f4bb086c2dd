package main

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"authbridge/authserver/account"
	"authbridge/internal/pgtest"
)

// An app password that this program generates is known to authserver_verify,
// the function for other servers: however it is typed, within its limits, for
// its own user, and not otherwise.
func TestAppPasswordVerifies(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, "authserver_admin")
	users := arrangeUsers(t, db, "alice", "bob", "inactive", "nobox")
	conn := connect(t, db.URL)
	for _, name := range []string{"alice", "bob", "inactive"} {
		execute(t, db, `insert into auth.aliases (local_part, domain_id, user_id)
			select l, d.id, u.id from auth.domains d, auth.users u, unnest(array[$1, $1 || '.other']) l where u.identifier = $1`, name)
		execute(t, db, `update auth.users u set delivery_mailbox_id = a.id from auth.aliases a where a.user_id = u.id and a.local_part = $1`, name)
	}
	execute(t, db, `insert into auth.aliases (local_part, domain_id, user_id, blocked)
		select 'blocked', d.id, u.id, true from auth.domains d, auth.users u where u.identifier = 'alice'`)

	create := func(user string, limit appPasswordLimits) account.AppPassword {
		t.Helper()
		password, err := createAppPassword(t.Context(), conn, users[user], "", limit)
		if err != nil {
			t.Fatal(err)
		}
		return password
	}
	createService := func(user, name string) account.AppPassword {
		t.Helper()
		made, err := createServiceUser(t.Context(), conn, users[user], &name, "", newCredential{generate: true})
		if err != nil {
			t.Fatal(err)
		}
		return *made.password
	}
	tomorrow := time.Now().AddDate(0, 0, 1)
	var (
		plain    = create("alice", appPasswordLimits{})
		bobs     = create("bob", appPasswordLimits{})
		nobody   = create("inactive", appPasswordLimits{})
		nobox    = create("nobox", appPasswordLimits{})
		mail     = create("alice", appPasswordLimits{services: services{"imap", "smtp"}})
		homeOnly = create("alice", appPasswordLimits{networks: networks{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
		lasting  = create("alice", appPasswordLimits{expires: expiry{&tomorrow}})
		expired  = create("alice", appPasswordLimits{expires: expiry{&tomorrow}})
		revoked  = create("alice", appPasswordLimits{})
		removed  = create("alice", appPasswordLimits{})
		service  = createService("alice", "printer")
		other    = createService("alice", "scanner")
		replaced = createService("alice", "backup")
		orphan   = createService("alice", "gone")
	)
	execute(t, db, `update auth.users u set active = false where u.identifier = 'inactive'`)
	execute(t, db, `update auth.app_passwords ap set expires_at = now() - interval '1 s' where ap.id = $1`, expired.ID())
	if err := revokeAppPasswords(t.Context(), conn, []string{revoked.ID()}); err != nil {
		t.Fatal(err)
	}
	if err := removeAppPasswords(t.Context(), conn, []string{removed.ID()}, false); err != nil {
		t.Fatal(err)
	}
	find := func(name string) []listedServiceUser {
		t.Helper()
		found, err := findServiceUsers(t.Context(), conn, []string{name}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	remade, err := editServiceUsers(t.Context(), conn, find("backup"), serviceUserChange{}, newCredential{generate: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := removeServiceUsers(t.Context(), conn, find("gone"), false); err != nil {
		t.Fatal(err)
	}

	text := plain.Text()
	bare := strings.ReplaceAll(text, "-", "")
	wrong := []byte(bare)
	wrong[20] = map[bool]byte{true: 'x', false: 'y'}[wrong[20] != 'x']
	const alice, bob, home = "alice@example.com", "bob@example.com", "192.0.2.7"
	tests := map[string]struct {
		login, password, service, from string
		want                           string // primary address; empty: refused
	}{
		"as printed":                   {alice, text, "imap", home, alice},
		"without hyphens":              {alice, bare, "imap", home, alice},
		"with blanks":                  {alice, " " + strings.ReplaceAll(text, "-", " ") + " ", "imap", home, alice},
		"in upper case":                {alice, strings.ToUpper(text), "imap", home, alice},
		"hyphens elsewhere":            {alice, bare[:1] + "-" + bare[1:17] + "--" + bare[17:], "imap", home, alice},
		"o for 0":                      {alice, strings.ReplaceAll(text, "0", "o"), "imap", home, alice},
		"capital O for 0":              {alice, strings.ReplaceAll(text, "0", "O"), "imap", home, alice},
		"l for 1":                      {alice, strings.ReplaceAll(text, "1", "l"), "imap", home, alice},
		"capital I for 1":              {alice, strings.ReplaceAll(text, "1", "I"), "imap", home, alice},
		"another address of the user":  {"alice.other@example.com", text, "imap", home, alice},
		"a sub-address":                {"alice+shop@example.com", text, "imap", home, alice},
		"the address in upper case":    {"ALICE@Example.COM", text, "imap", home, alice},
		"any service":                  {alice, text, "anything", home, alice},
		"no client address":            {alice, text, "imap", "", alice},
		"not the same":                 {alice, string(wrong), "imap", home, ""},
		"cut short":                    {alice, bare[:len(bare)-1], "imap", home, ""},
		"one character more":           {alice, bare + "0", "imap", home, ""},
		"its id alone":                 {alice, bare[:8], "imap", home, ""},
		"empty":                        {alice, "", "imap", home, ""},
		"its hash":                     {alice, hashHex(plain), "imap", home, ""},
		"another user's address":       {bob, text, "imap", home, ""},
		"another user's password":      {alice, bobs.Text(), "imap", home, ""},
		"a blocked address":            {"blocked@example.com", text, "imap", home, ""},
		"no address":                   {"alice", text, "imap", home, ""},
		"an unknown address":           {"nobody@example.com", text, "imap", home, ""},
		"two at signs":                 {"alice@example.com@example.com", text, "imap", home, ""},
		"an inactive user":             {"inactive@example.com", nobody.Text(), "imap", home, ""},
		"a user without mailbox":       {"nobox@example.com", nobox.Text(), "imap", home, ""},
		"one of its services":          {alice, mail.Text(), "smtp", home, alice},
		"not one of its services":      {alice, mail.Text(), "pop3", home, ""},
		"its service in capitals":      {alice, mail.Text(), "IMAP", home, ""},
		"no service":                   {alice, mail.Text(), "", home, ""},
		"from its network":             {alice, homeOnly.Text(), "imap", home, alice},
		"from its IPv6 network":        {alice, homeOnly.Text(), "imap", "2001:db8::1", alice},
		"from another network":         {alice, homeOnly.Text(), "imap", "198.51.100.7", ""},
		"from nowhere":                 {alice, homeOnly.Text(), "imap", "", ""},
		"from what is no address":      {alice, homeOnly.Text(), "imap", "localhost", ""},
		"from a whole network":         {alice, homeOnly.Text(), "imap", "0.0.0.0/0", ""},
		"before it expires":            {alice, lasting.Text(), "imap", home, alice},
		"after it has expired":         {alice, expired.Text(), "imap", home, ""},
		"revoked":                      {alice, revoked.Text(), "imap", home, ""},
		"removed":                      {alice, removed.Text(), "imap", home, ""},
		"a service user":               {"printer", service.Text(), "imap", home, alice},
		"a service user in capitals":   {"PRINTER", strings.ToUpper(service.Text()), "imap", home, alice},
		"that of a service user":       {alice, service.Text(), "imap", home, alice},
		"another service user's":       {"printer", other.Text(), "imap", home, ""},
		"the user's own, as a service": {"printer", text, "imap", home, ""},
		"replaced":                     {"backup", replaced.Text(), "imap", home, ""},
		"replaced, as the user":        {alice, replaced.Text(), "imap", home, ""},
		"the replacement":              {"backup", remade.password.Text(), "imap", home, alice},
		"a removed service user":       {"gone", orphan.Text(), "imap", home, ""},
		"of a removed service user":    {alice, orphan.Text(), "imap", home, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rows, err := db.Owner.Query(t.Context(),
				`select primary_alias from authserver_verify($1, $2, $3, $4)`, tt.login, tt.password, tt.service, tt.from)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var got string
			for rows.Next() {
				if err := rows.Scan(&got); err != nil {
					t.Fatal(err)
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("means %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseExpiry(t *testing.T) {
	zone := time.FixedZone("here", 2*60*60)
	now := time.Date(2030, 6, 15, 12, 0, 0, 0, zone)
	tests := map[string]struct {
		in   string
		want string // empty: an error is wanted
	}{
		"days":                        {"90d", "2030-09-13T12:00:00+02:00"},
		"one day":                     {"1d", "2030-06-16T12:00:00+02:00"},
		"a hundred years":             {"36500d", "2130-05-22T12:00:00+02:00"},
		"a date begins here":          {"2030-06-16", "2030-06-16T00:00:00+02:00"},
		"a time here":                 {"2030-06-15 12:00:01", "2030-06-15T12:00:01+02:00"},
		"a time elsewhere":            {"2030-06-15T10:00:01Z", "2030-06-15T10:00:01Z"},
		"today has begun":             {"2030-06-15", ""},
		"now is past":                 {"2030-06-15T10:00:00Z", ""},
		"no days":                     {"0d", ""},
		"days past":                   {"-1d", ""},
		"a sign":                      {"+1d", ""},
		"more than a hundred years":   {"36501d", ""},
		"more than a number":          {"99999999999999999999d", ""},
		"a day that there is not":     {"2031-02-29", ""},
		"hours would be no use":       {"12h", ""},
		"empty":                       {"", ""},
		"the unit alone":              {"d", ""},
		"a year of more than 4 digit": {"12030-01-01", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, err := parseExpiry(tt.in, now)
			got := ""
			if err == nil {
				got = at.Format(time.RFC3339)
			}
			if got != tt.want {
				t.Errorf("parseExpiry(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

// An expiry that is accepted is in the future, and not so far that the
// database could not hold it.
func FuzzParseExpiry(f *testing.F) {
	now := time.Date(2030, 6, 15, 12, 0, 0, 0, time.UTC)
	for _, s := range []string{"90d", "2031-01-01", "2031-01-01T00:00:00+14:00", "9999-12-31 23:59:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseExpiry(s, now)
		if err == nil && (!at.After(now) || at.Year() > 10000) {
			t.Errorf("%q is %v", s, at)
		}
	})
}

// A service that is accepted can stand in a list that commas and blanks
// separate; what is set is what is said.
func FuzzServices(f *testing.F) {
	f.Add("imap")
	f.Add("i,map")
	f.Add("imap\u00a0")
	f.Fuzz(func(t *testing.T, s string) {
		var names services
		err := names.Set(s)
		if err == nil && (len(names) != 1 || names[0] != s || names.String() != s || len(strings.Fields(s)) != 1 || strings.ContainsAny(s, ",\x00\n\x7f")) {
			t.Errorf("%q is %q", s, names)
		}
		if err != nil && names != nil {
			t.Errorf("%q is refused, but set", s)
		}
	})
}

// A network that is accepted prints as what is accepted as the same, with no
// bit behind its prefix, as PostgreSQL's type cidr demands.
func FuzzNetworks(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1/24", "2001:db8::/32", "192.0.2.1", "::ffff:192.0.2.0/120", "fe80::1%eth0", "1.2.3.4/032"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var first, again networks
		if first.Set(s) != nil {
			return
		}
		if err := again.Set(first.String()); err != nil || again[0] != first[0] || first[0].Masked() != first[0] || first[0].Addr().Zone() != "" {
			t.Errorf("%q is %v, which is %v, %v", s, first, again, err)
		}
	})
}

// An id that is accepted has the form that the database demands, and every
// generated one is accepted.
func FuzzParseAppPasswordID(f *testing.F) {
	form := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{6}$`)
	for range 5 {
		f.Add(account.NewAppPassword().ID())
	}
	f.Add("apOIL000")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := parseAppPasswordID(s); ok {
			if again, ok := parseAppPasswordID("AP" + id); !ok || again != id || !form.MatchString(id) {
				t.Errorf("%q is %q, which is %q, %v", s, id, again, ok)
			}
		} else if form.MatchString(s) {
			t.Errorf("%q is refused", s)
		}
	})
}
