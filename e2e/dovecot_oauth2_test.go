package e2e

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"authbridge/docs"

	"golang.org/x/oauth2"
)

const dovecotOAuth2Page = "dovecot-oauth2.md"

// An oauthDovecot is a Dovecot that takes tokens, and the provider of them.
type oauthDovecot struct {
	*Server

	db   *Database
	auth *Provider
	root *Root
	mail Credentials // of mail programs
}

// newOAuthDovecot makes the clients of the guide, and a root that knows the
// provider.
func newOAuthDovecot(t *testing.T, root string, byKeys bool) (d *oauthDovecot, edit func(string) string) {
	t.Helper()
	d = &oauthDovecot{db: OpenProviderDatabase(t), root: NewRoot(t, root)}
	sections := []string{"Mail programs", "Client of Dovecot"}
	if byKeys {
		sections[1] = "Keys"
	}
	var lines []string
	for _, section := range sections {
		for _, line := range sectionLines(t, dovecotOAuth2Page, section) {
			lines = append(lines, strings.ReplaceAll(line, " /etc/", " "+d.root.Path("/etc")+"/"))
		}
	}
	clients := typeClients(t, d.db, lines)
	d.mail = clients["mail"]
	d.auth = StartProvider(t, "/o2")
	d.auth.Reachable(d.root)
	replacer := strings.NewReplacer(
		"https://"+AuthHost, d.auth.URL(""), "@"+AuthHost+"/", "@"+AuthHost+":"+strconv.Itoa(d.auth.Port)+"/",
		"CLIENT_ID", clients["dovecot"].ClientID, "CLIENT_SECRET", clients["dovecot"].ClientSecret,
	)
	return d, func(s string) string { return d.db.Configure(replacer.Replace(s)) }
}

// startOAuthDovecot starts a Dovecot of the guide, which verifies tokens by
// introspection or by keys, with files as change makes them.
func startOAuthDovecot(t *testing.T, version string, byKeys bool, change func(string) string) *oauthDovecot {
	t.Helper()
	d, edit := newOAuthDovecot(t, map[string]string{"2.3": "bookworm-dovecot", "2.4": "trixie"}[version], byKeys)
	heading := dovecots[version].heading
	guides := []docs.Guide{ReadGuide(t, "dovecot.md", heading), ReadGuide(t, dovecotOAuth2Page, heading)}
	if byKeys {
		guides = append(guides, ReadGuide(t, dovecotOAuth2Page, heading+", by keys"))
	}
	d.Server = runDovecot(t, d.root, version, func(s string) string { return edit(change(s)) }, guides...)
	return d
}

// program is a mail program that gets tokens as the guide says.
func (d *oauthDovecot) program(t *testing.T) *goClient {
	t.Helper()
	g := newGoClient(t, d.auth, d.mail)
	g.config.RedirectURL = "http://127.0.0.1:" + strconv.Itoa(FreePort()) + "/"
	g.config.Scopes = []string{"openid", "email", "imap", "offline_access"}
	return g
}

// A sasl is a mechanism that takes tokens.
type sasl string

const (
	xoauth2     sasl = "XOAUTH2"
	oauthbearer sasl = "OAUTHBEARER" // RFC 7628
)

// loginByToken connects and logs in by a token. The error is the server's NO, or
// that it has closed the connection.
func loginByToken(t *testing.T, port int, mechanism sasl, user, token string) (*IMAP, error) {
	t.Helper()
	client := imapFrom(t, newMailClient(), port)
	response, ok := "user="+user+"\x01auth=Bearer "+token+"\x01\x01", ""
	if mechanism == oauthbearer {
		response, ok = "n,a="+user+",\x01host=imap.example.com\x01port=143\x01auth=Bearer "+token+"\x01\x01", "AQ=="
	}
	if err := client.conn.PrintfLine("a AUTHENTICATE %s %s", mechanism, base64.StdEncoding.EncodeToString([]byte(response))); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := client.conn.ReadLine()
		if err != nil {
			return client, err
		}
		status, done := strings.CutPrefix(line, "a ")
		switch {
		case strings.HasPrefix(line, "+ "): // it says why, as JSON, and wants to be told that this was heard
			if err := client.conn.PrintfLine("%s", ok); err != nil {
				t.Fatal(err)
			}
		case done && strings.HasPrefix(status, "OK"):
			return client, nil
		case done:
			return client, fmt.Errorf("%s", status)
		}
	}
}

// admits tells whether a token is good for a user, by both mechanisms.
func (d *oauthDovecot) admits(t *testing.T, user, token string) bool {
	t.Helper()
	var admitted [2]bool
	for i, mechanism := range []sasl{xoauth2, oauthbearer} {
		_, err := loginByToken(t, d.Port, mechanism, user, token)
		code := responseCode(t, err)
		if code != "" && code != refused {
			t.Errorf("%s as %s: %v", mechanism, user, err)
		}
		admitted[i] = code == ""
	}
	if admitted[0] != admitted[1] {
		t.Errorf("as %s, the mechanisms do not agree: %v", user, admitted)
	}
	return admitted[0]
}

// asked is how often the provider was asked about a token.
func (d *oauthDovecot) asked() int { return strings.Count(d.auth.log.String(), " path=/o2/introspect") }

// testOAuthLogins logs in to a Dovecot by tokens of all kinds.
func testOAuthLogins(t *testing.T, d *oauthDovecot, byKeys bool) {
	who, other := newMember(t, d.db), newMember(t, d.db)
	program := d.program(t)
	person := NewPerson(t)
	tokens, _ := program.signIn(person, who.address, who.password)
	refresh := func(g *goClient, tokens *oauth2.Token) *oauth2.Token {
		t.Helper()
		next, err := g.config.TokenSource(g.ctx, expired(tokens)).Token()
		if err != nil {
			t.Fatal(err)
		}
		return next
	}

	for _, mechanism := range []sasl{xoauth2, oauthbearer} {
		for i, name := range []string{who.address, strings.ToUpper(who.address[:1]) + strings.Replace(who.address[1:], "example.com", "Example.COM", 1)} {
			before := d.asked()
			client, err := loginByToken(t, d.Port, mechanism, name, tokens.AccessToken)
			if err != nil {
				t.Fatalf("%s as %s: %v", mechanism, name, err)
			}
			folder := fmt.Sprintf("%s-%d", mechanism, i)
			if _, err := client.Do("CREATE %s", folder); err != nil {
				t.Fatal(err)
			}
			d.root.Read("/var/vmail/example.com/" + who.name + "/Maildir/." + folder + "/cur/../maildirfolder")
			want := 1
			if byKeys {
				want = 0
			}
			if got := d.asked() - before; got != want {
				t.Errorf("the provider was asked %d times about one login", got)
			}
		}
	}
	if next := refresh(program, tokens); !d.admits(t, who.address, next.AccessToken) {
		t.Error("a refreshed token is refused")
	} else {
		tokens = next
	}
	if got := responseCode(t, loginFrom(t, newMailClient(), d.Port, who.address, who.password)); got != "" {
		t.Errorf("by the password: %s", got)
	}

	elsewhere := StartProvider(t, "") // with the same keys and clients
	atElsewhere := newGoClient(t, elsewhere, d.mail)
	atElsewhere.config.RedirectURL, atElsewhere.config.Scopes = program.config.RedirectURL, program.config.Scopes
	ofElsewhere, _ := atElsewhere.signIn(NewPerson(t), who.address, who.password)
	noScope := d.program(t)
	noScope.config.Scopes = []string{"openid", "email", "offline_access"}
	poor, _ := noScope.signIn(person, "", "")
	ofOther, _ := program.signIn(NewPerson(t), other.address, other.password)
	changed := []byte(tokens.AccessToken)
	changed[len(changed)-10] ^= 1
	parts, others := strings.Split(tokens.AccessToken, "."), strings.Split(ofOther.AccessToken, ".")
	t.Run("refused", func(t *testing.T) {
		for what, attempt := range map[string][2]string{
			"as somebody else":     {other.address, tokens.AccessToken},
			"somebody else's":      {who.address, ofOther.AccessToken},
			"by the identifier":    {who.name, tokens.AccessToken},
			"as nobody":            {"mallory@example.com", tokens.AccessToken},
			"without the scope":    {who.address, poor.AccessToken},
			"of another issuer":    {who.address, ofElsewhere.AccessToken},
			"an ID token":          {who.address, tokens.Extra("id_token").(string)},
			"a refresh token":      {who.address, tokens.RefreshToken},
			"another signature":    {who.address, string(changed)},
			"signature of another": {who.address, parts[0] + "." + others[1] + "." + parts[2]},
			"unsigned":             {who.address, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."},
			"a key that is a file": {who.address, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT","kid":"../../../../etc/ssl/auth.pem"}`)) + "." + parts[1] + "." + parts[2]},
			"a password":           {who.address, who.password},
			"nothing":              {who.address, ""},
			"something":            {who.address, "x"},
			"with a parameter":     {other.address, ofElsewhere.AccessToken + "&token=" + ofOther.AccessToken},
			"with a line more":     {who.address, tokens.AccessToken + "\r\nX-Header: x"},
		} {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				if d.admits(t, attempt[0], attempt[1]) {
					t.Error("it is good")
				}
			})
		}
	})
	if got := responseCode(t, loginFrom(t, newMailClient(), d.Port, who.address, tokens.AccessToken)); got != refused {
		t.Errorf("a token for a password: %q", got)
	}
	alice, _ := program.signIn(NewPerson(t), "alice@example.com", "alice sings")
	if d.admits(t, "sales@example.com", alice.AccessToken) || !d.admits(t, "alice@example.com", alice.AccessToken) {
		t.Error("an alias is good, or the primary address is not")
	}

	// There is no shorter lifetime.
	d.db.Operate(t, "oauth2", "edit", d.mail.ClientID, "--set-access-token-lifetime", "10s")
	var aged *oauth2.Token
	d.auth.await(t, "know of the lifetime", func() bool {
		aged = refresh(program, ofOther)
		ofOther = aged
		return time.Until(aged.Expiry) < time.Minute
	})
	if !d.admits(t, other.address, aged.AccessToken) {
		t.Error("a token that will soon expire is refused")
	}
	<-time.After(time.Until(aged.Expiry) + time.Second)
	if d.admits(t, other.address, aged.AccessToken) {
		t.Error("a token that has expired is good")
	}

	// Of what follows, keys know nothing. Clients hear of it when they refresh.
	ofOther = refresh(program, ofOther)
	d.db.Operate(t, "oauth2", "revoke", "-u", who.address, "--client", d.mail.ClientID)
	if d.admits(t, who.address, tokens.AccessToken) != byKeys {
		t.Errorf("a token that is revoked is good: %t", !byKeys)
	}
	d.db.Operate(t, "permissions", "require", d.mail.ClientID, "imap")
	again, _ := program.signIn(person, "", "")
	if !d.admits(t, who.address, again.AccessToken) {
		t.Error("the token of somebody who holds the permission is refused")
	}
	d.db.Operate(t, "permissions", "revoke", "membership", who.address, "staff")
	if d.admits(t, who.address, again.AccessToken) != byKeys {
		t.Errorf("the token of somebody without the permission is good: %t", !byKeys)
	}
	// Who is deactivated has no mailbox any more.
	d.db.Operate(t, "user", "deactivate", other.address)
	for _, mechanism := range []sasl{xoauth2, oauthbearer} {
		if _, err := loginByToken(t, d.Port, mechanism, other.address, ofOther.AccessToken); err == nil {
			t.Error("the token of somebody who is deactivated is good")
		}
	}
}

func TestDovecotOAuth2(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		for how, byKeys := range map[string]bool{"introspection": false, "keys": true} {
			t.Run(version+" by "+how, func(t *testing.T) {
				t.Parallel()
				testOAuthLogins(t, startOAuthDovecot(t, version, byKeys, asItStands), byKeys)
			})
		}
	}
}

// Tokens that are signed by RSA are as good, and only keys that are there count,
// once Dovecot reads them anew.
func TestDovecotOAuth2Keys(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			d := startOAuthDovecot(t, version, true, asItStands)
			who, program, person := newMember(t, d.db), d.program(t), NewPerson(t)
			byEC, _ := program.signIn(person, who.address, who.password)
			d.db.Operate(t, "oauth2", "edit", d.mail.ClientID, "--set-access-token-alg", "RS256")
			var byRSA *oauth2.Token
			d.auth.await(t, "sign by RSA", func() bool {
				byRSA, _ = program.signIn(person, "", "")
				return header(t, byRSA.AccessToken).Algorithm == "RS256"
			})
			if alg := header(t, byEC.AccessToken).Algorithm; alg != "ES256" {
				t.Errorf("the first token is signed by %s", alg)
			}
			if !d.admits(t, who.address, byEC.AccessToken) || !d.admits(t, who.address, byRSA.AccessToken) {
				t.Error("a good token is refused")
			}
			d.root.Run("rm", "-r", "/etc/dovecot/authserver-keys/default/ES256")
			d.root.Run("doveadm", "reload")
			d.await(t, "forget the key", func() bool { return !d.admits(t, who.address, byEC.AccessToken) })
			if !d.admits(t, who.address, byRSA.AccessToken) {
				t.Error("without the key of one token, the other is refused")
			}
			d.db.Operate(t, "oauth2", "keys", "--dovecot", d.root.Path("/etc/dovecot/authserver-keys"))
			if !d.admits(t, who.address, byEC.AccessToken) {
				t.Error("with the key, the token is refused")
			}
		})
	}
}

// While the provider is away, no token is good, unless by keys, and passwords are
// as ever. Dovecot 2.4 does not tell it from a token that is not good.
func TestDovecotOAuth2Away(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		for how, byKeys := range map[string]bool{"introspection": false, "keys": true} {
			t.Run(version+" by "+how, func(t *testing.T) {
				t.Parallel()
				d := startOAuthDovecot(t, version, byKeys, asItStands)
				who := newMember(t, d.db)
				tokens, _ := d.program(t).signIn(NewPerson(t), who.address, who.password)
				d.auth.stop(t)
				want := map[string]string{"2.3": unavailable, "2.4": refused}[version]
				if byKeys {
					want = ""
				}
				for _, mechanism := range []sasl{xoauth2, oauthbearer} {
					_, err := loginByToken(t, d.Port, mechanism, who.address, tokens.AccessToken)
					if got := responseCode(t, err); got != want {
						t.Errorf("%s: %q, want %q", mechanism, got, want)
					}
				}
				if err := loginFrom(t, newMailClient(), d.Port, who.address, who.password); err != nil {
					t.Errorf("by the password: %v", err)
				}
			})
		}
	}
}

// Tokens are nothing to ask the database about: while it is away, those that are
// no good are refused as ever, and at once.
func TestDovecotOAuth2DatabaseAway(t *testing.T) {
	t.Parallel()
	for version := range dovecots {
		for how, byKeys := range map[string]bool{"introspection": false, "keys": true} {
			t.Run(version+" by "+how, func(t *testing.T) {
				t.Parallel()
				d := startOAuthDovecot(t, version, byKeys, func(s string) string {
					return strings.ReplaceAll(s, docs.Port, strconv.Itoa(FreePort()))
				})
				started := time.Now()
				for range 2 {
					if d.admits(t, "alice@example.com", "x") {
						t.Error("nonsense is a good token")
					}
				}
				if took := time.Since(started); took > patience {
					t.Errorf("it took %v", took)
				}
			})
		}
	}
}

// Dovecot 2.3.19 takes tokens, beside passwords that the Lua script asks for.
func TestDovecotOAuth2Bookworm(t *testing.T) {
	t.Parallel()
	for how, byKeys := range map[string]bool{"introspection": false, "keys": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			d, edit := newOAuthDovecot(t, "bookworm", byKeys)
			d.root.Run("mkdir", "-p", "/usr/share/authserver/dovecot")
			d.root.Install("../docs/integrations/authserver.lua", "/usr/share/authserver/dovecot/authserver.lua")
			secret := apiClient(t, d.db, "dovecot-lua.md")
			tokens := docs.Guide{}
			for section := range map[string]bool{"Dovecot 2.3": true, "Dovecot 2.3, by keys": byKeys} {
				for _, f := range ReadGuide(t, dovecotOAuth2Page, section).Files {
					if f.Name == "/etc/dovecot/authserver-oauth2.conf.ext" && (byKeys == strings.Contains(section, "keys")) {
						tokens.Files = append(tokens.Files, f)
					}
				}
			}
			d.Server = runDovecot(t, d.root, "2.3", func(s string) string { return edit(strings.ReplaceAll(s, "ac_change-me", secret)) },
				ReadGuide(t, "dovecot-lua.md", "Dovecot 2.3"), ReadGuide(t, dovecotOAuth2Page, "Dovecot 2.3.19"), tokens)

			who, program, person := newMember(t, d.db), d.program(t), NewPerson(t)
			first, _ := program.signIn(person, who.address, who.password)
			if d.admits(t, who.address, first.AccessToken) == byKeys {
				t.Errorf("a token whose typ is at+jwt is good: %t", byKeys)
			}
			d.db.Type(t, strings.Replace(sectionLines(t, dovecotOAuth2Page, "Dovecot 2.3.19")[0], " mail ", " "+d.mail.ClientID+" ", 1))
			var next *oauth2.Token
			d.auth.await(t, "issue tokens of another typ", func() bool {
				next, _ = program.signIn(person, "", "")
				return header(t, next.AccessToken).ExtraHeaders["typ"] == "JWT"
			})
			if !d.admits(t, who.address, next.AccessToken) {
				t.Error("a good token is refused")
			}
			if d.admits(t, "alice@example.com", next.AccessToken) {
				t.Error("it is good for somebody else")
			}
			if err := loginFrom(t, newMailClient(), d.Port, who.address, who.password); err != nil {
				t.Errorf("by the password: %v", err)
			}
			if got := responseCode(t, loginFrom(t, newMailClient(), d.Port, who.address, next.AccessToken)); got != refused {
				t.Errorf("a token for a password: %q", got)
			}
		})
	}
}
