package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/authserver/client"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// clientSettings are settings of a client as the stored functions take them, by
// the names of columns; JSON null where there is none.
type clientSettings map[string]json.RawMessage

// settingOf returns a setting, or the zero value if there is none or it is null.
func settingOf[T any](s clientSettings, column string) (value T) {
	if text, ok := s[column]; ok {
		if err := json.Unmarshal(text, &value); err != nil {
			panic(err) // the database, or parse below, has made it
		}
	}
	return value
}

// settingKind is what a setting consists of.
type settingKind int

const (
	textSetting   settingKind = iota
	listSetting               // of texts
	wordsSetting              // a list, which files have as a text with blanks: scope
	boolSetting               //
	spanSetting               // seconds, which people read as 5m
	objectSetting             // JSON, from a file
)

// oauth2Setting is one setting of a client. Everything that can be set is in the
// table oauth2Settings, which the flags of edit, the files of apply and what is
// printed come from.
type oauth2Setting struct {
	name   string // in files: that of RFC 7591 section 2, where it has one
	column string // in the database; empty: as name
	flag   string // --set-FLAG; empty: as name, with hyphens
	kind   settingKind
	unset  bool // there may be none
	usage  string
	parse  func(string) (string, error) // of a text, or of each in a list; nil: it is taken as it is
}

var oauth2Settings = []oauth2Setting{
	{name: "client_name", column: "name", flag: "name", usage: "the `NAME` that people read", parse: account.ParseName},
	{name: "domain", unset: true, usage: "keys of `DOMAIN` sign its tokens (unset: those of the issuer's domain)", parse: parseSettingDomain},
	{name: "enabled", kind: boolSetting, usage: "it may be used"},
	{name: "client_type", column: "type", usage: "`confidential|public`: whether it can keep a secret", parse: oneOf("confidential", "public")},
	{name: "token_endpoint_auth_method", usage: "it proves itself by `METHOD`: client_secret_basic, client_secret_post, private_key_jwt, none",
		parse: oneOf("client_secret_basic", "client_secret_post", "private_key_jwt", "none")},
	{name: "grant_types", flag: "grant-type", kind: listSetting, usage: "it may use `GRANT`: authorization_code, refresh_token, client_credentials, password", parse: parseGrantType},
	{name: "redirect_uris", flag: "redirect-uri", kind: listSetting, unset: true, usage: "users come back to `URI`, exactly", parse: parseRedirectURI},
	{name: "post_logout_redirect_uris", flag: "post-logout-redirect-uri", kind: listSetting, unset: true, usage: "users come back to `URI` after logging out", parse: parseRedirectURI},
	{name: "allowed_origins", flag: "allowed-origin", kind: listSetting, unset: true, usage: "its scripts in browsers come from `ORIGIN`, such as https://app.example.com", parse: client.ParseOrigin},
	{name: "scope", kind: wordsSetting, unset: true, usage: "it may ask for `SCOPE` (unset: for all of OpenID Connect)", parse: parseScopeToken},
	{name: "resources", flag: "resource", kind: listSetting, unset: true, usage: "its access tokens may be for `URI`, besides itself", parse: client.ParseResource},
	{name: "jwks", kind: objectSetting, unset: true, usage: "its public keys, for private_key_jwt, are the JWK set in `FILE`"},
	{name: "jwks_uri", unset: true, usage: "its public keys, for private_key_jwt, are at `URL`", parse: client.ParseJWKSURI},
	{name: "trusted", kind: boolSetting, usage: "users are not asked for consent"},
	{name: "require_pkce", kind: boolSetting, usage: "it has to use PKCE"},
	{name: "may_introspect", kind: boolSetting, usage: "it may ask about the tokens of all clients"},
	{name: "required_permissions", flag: "required-permission", kind: listSetting, unset: true, usage: "its users need `PERMISSION`, by either name", parse: notEmpty},
	{name: "allowed_groups", flag: "allowed-group", kind: listSetting, unset: true, usage: "members of `GROUP` may use it, with those of other groups and states that are named", parse: notEmpty},
	{name: "allowed_states", flag: "allowed-state", kind: listSetting, unset: true, usage: "users whose attribute state is `STATE` may use it, with those of other states and groups that are named", parse: notEmpty},
	{name: "subject", usage: "tokens call a user by `uuid|identifier|email|legacy_id`", parse: oneOf("uuid", "identifier", "email", "legacy_id")},
	{name: "id_token_claims", usage: "`minimal|scoped`: ID tokens tell also what userinfo does", parse: oneOf("minimal", "scoped")},
	{name: "access_token_claims", usage: "`minimal|scoped`: access tokens tell also what userinfo does", parse: oneOf("minimal", "scoped")},
	{name: "groups_in_profile", kind: boolSetting, usage: "the scope profile is enough for groups"},
	{name: "id_token_alg", usage: "ID tokens are signed by `ALG`: RS256, PS256, ES256, EdDSA", parse: oneOf("RS256", "PS256", "ES256", "EdDSA")},
	{name: "access_token_alg", unset: true, usage: "access tokens are signed by `ALG` (unset: ES256 if there is such a key, else as ID tokens)", parse: oneOf("RS256", "PS256", "ES256", "EdDSA")},
	{name: "access_token_typ", usage: "the header typ of access tokens is `at+jwt|JWT`", parse: oneOf("at+jwt", "JWT")},
	{name: "code_lifetime", kind: spanSetting, usage: "authorization codes are good for `DURATION`"},
	{name: "access_token_lifetime", kind: spanSetting, usage: "access tokens are good for `DURATION`"},
	{name: "id_token_lifetime", kind: spanSetting, usage: "ID tokens are good for `DURATION`"},
	{name: "refresh_token_lifetime", kind: spanSetting, usage: "refresh tokens are good for `DURATION` since the last use"},
	{name: "grant_lifetime", kind: spanSetting, usage: "whatever is used: users sign in again after `DURATION`, such as 90d"},
	{name: "debug", kind: boolSetting, usage: "the tokens that it gets are logged, without secrets"},
}

// stored is what the database calls the setting.
func (s *oauth2Setting) stored() string {
	if s.column != "" {
		return s.column
	}
	return s.name
}

// flagName is what follows --set- and --unset-.
func (s *oauth2Setting) flagName() string {
	if s.flag != "" {
		return s.flag
	}
	return strings.ReplaceAll(s.name, "_", "-")
}

// fromTexts returns the setting that flags have as texts: one, unless it is a
// list.
func (s *oauth2Setting) fromTexts(texts []string) (json.RawMessage, error) {
	switch s.kind {
	case wordsSetting:
		texts = strings.Fields(strings.Join(texts, " "))
	case spanSetting:
		d, err := parseSpan(texts[0])
		return mustJSON(int64(d / time.Second)), err
	case objectSetting:
		content, err := os.ReadFile(texts[0])
		if err != nil {
			return nil, err
		}
		return parseJWKS(content)
	}
	values := []string{}
	for _, text := range texts {
		value, err := s.check(text)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	if s.kind == textSetting {
		return mustJSON(values[0]), nil
	}
	return mustJSON(values), nil
}

// fromFile returns the setting that a file has as JSON.
func (s *oauth2Setting) fromFile(text json.RawMessage) (json.RawMessage, error) {
	if bytes.Equal(text, []byte("null")) {
		if !s.unset || s.kind == listSetting {
			return nil, errors.New("want a value")
		}
		return text, nil
	}
	switch s.kind {
	case boolSetting:
		var value bool
		if json.Unmarshal(text, &value) != nil {
			return nil, errors.New("want true or false")
		}
		return mustJSON(value), nil
	case listSetting:
		var values []string
		if json.Unmarshal(text, &values) != nil {
			return nil, errors.New("want a list of texts")
		}
		return s.fromTexts(values)
	case objectSetting:
		return parseJWKS(text)
	case spanSetting:
		var seconds int64
		if json.Unmarshal(text, &seconds) == nil {
			text = mustJSON(strconv.FormatInt(seconds, 10) + "s")
		}
	}
	var value string
	if json.Unmarshal(text, &value) != nil {
		return nil, errors.New("want a text")
	}
	return s.fromTexts([]string{value})
}

func (s *oauth2Setting) check(text string) (string, error) {
	if s.parse == nil {
		return text, nil
	}
	return s.parse(text)
}

// toFile returns a stored setting as files have it.
func (s *oauth2Setting) toFile(stored json.RawMessage) json.RawMessage {
	switch {
	case bytes.Equal(stored, []byte("null")):
	case s.kind == spanSetting, s.kind == wordsSetting:
		return mustJSON(s.toText(stored))
	}
	return stored
}

// toText returns a stored setting as people read it.
func (s *oauth2Setting) toText(stored json.RawMessage) string {
	values := clientSettings{"": stored}
	switch s.kind {
	case textSetting:
		return settingOf[string](values, "")
	case listSetting:
		return strings.Join(settingOf[[]string](values, ""), ", ")
	case wordsSetting:
		return strings.Join(settingOf[[]string](values, ""), " ")
	case spanSetting:
		return spanText(time.Duration(settingOf[int64](values, "")) * time.Second)
	}
	if bytes.Equal(stored, []byte("null")) {
		return ""
	}
	return string(stored)
}

// settingFlag is the value of --set-…: what was given, each time.
type settingFlag struct {
	setting *oauth2Setting
	texts   []string
}

// Set implements flag.Value.
func (f *settingFlag) Set(text string) error {
	if f.setting.kind != listSetting && f.setting.kind != wordsSetting {
		f.texts = nil
	}
	f.texts = append(f.texts, text)
	_, err := f.setting.fromTexts(f.texts)
	return err
}

func (f *settingFlag) String() string { return strings.Join(f.texts, ", ") }

// settingFlags are the flags of edit: --set-… and --unset-… for each setting.
type settingFlags struct {
	given []*settingFlag
	set   []bool // of settings that are true or false
	unset []bool
}

func (f *settingFlags) flags() []cli.Flag {
	f.set, f.unset = make([]bool, len(oauth2Settings)), make([]bool, len(oauth2Settings))
	var flags []cli.Flag
	for i := range oauth2Settings {
		s := &oauth2Settings[i]
		given := &settingFlag{setting: s}
		f.given = append(f.given, given)
		usage := s.usage
		if s.kind == listSetting {
			usage += "; may be given several times, and takes the place of those before"
		}
		if s.kind == boolSetting {
			flags = append(flags, &cli.BoolFlag{Name: "set-" + s.flagName(), Usage: usage, Destination: &f.set[i]})
		} else {
			flags = append(flags, &cli.GenericFlag{Name: "set-" + s.flagName(), Usage: usage, Value: given})
		}
		if s.kind == boolSetting || s.unset {
			not := "none"
			if s.kind == boolSetting {
				not = "not so"
			}
			flags = append(flags, &cli.BoolFlag{Name: "unset-" + s.unsetName(), Usage: not, Destination: &f.unset[i]})
		}
	}
	return flags
}

// unsetName is what follows --unset-: of a list, all go.
func (s *oauth2Setting) unsetName() string {
	if s.kind == listSetting {
		return s.flagName() + "s"
	}
	return s.flagName()
}

// settings returns what the flags say.
func (f *settingFlags) settings() (clientSettings, error) {
	settings := clientSettings{}
	for i, given := range f.given {
		s := given.setting
		set := f.set[i] || given.texts != nil
		switch {
		case set && f.unset[i]:
			return nil, command.Usagef("--set-%s and --unset-%s exclude each other", s.flagName(), s.unsetName())
		case s.kind == boolSetting && (set || f.unset[i]):
			settings[s.stored()] = mustJSON(set)
		case set:
			value, err := s.fromTexts(given.texts)
			if err != nil {
				return nil, command.Usagef("--set-%s: %v", s.flagName(), err)
			}
			settings[s.stored()] = value
		case f.unset[i] && s.kind == listSetting:
			settings[s.stored()] = mustJSON([]string{})
		case f.unset[i]:
			settings[s.stored()] = mustJSON(nil)
		}
	}
	return settings, nil
}

func oauth2EditCommand(db *database) *cli.Command {
	var given settingFlags
	var dryRun bool
	return &cli.Command{
		Name:  "edit",
		Usage: "change a client; what no flag names stays as it is",
		Description: "Does not ask. Running servers hear of it at once. A change of type or authentication\n" +
			"method brings the other with it; secrets that are not asked for any more end.\n" + clientSelectors,
		ArgsUsage: "CLIENT",
		Flags:     append(given.flags(), dryRunFlag(&dryRun)),
		Action: func(c *cli.Context) error {
			settings, err := given.settings()
			if err != nil {
				return err
			}
			if len(settings) == 0 {
				return command.Usagef("there is nothing to change")
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				was, err := oneOAuth2Client(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				if err := checkRedirectURIs(was.Settings, settings); err != nil {
					return err
				}
				if dryRun {
					return rehearse(ctx, conn, func() error {
						changed, err := editOAuth2Client(ctx, conn, was, settings)
						if err != nil {
							return err
						}
						edited, err := oneOAuth2Client(ctx, conn, was.ClientID)
						if err != nil {
							return err
						}
						return showDryRun(c, "edit client "+was.name(), changedSettings(was, edited, changed))
					})
				}
				changed, err := editOAuth2Client(ctx, conn, was, settings)
				if err != nil {
					return err
				}
				if len(changed) == 0 {
					say(c, "Nothing to do: client %s is like that", was.name())
					return nil
				}
				say(c, "Client %s edited: %s", was.name(), strings.Join(settingNames(changed), ", "))
				warnAboutSettings(c, settings)
				edited, err := oneOAuth2Client(ctx, conn, was.ClientID)
				if err != nil {
					return err
				}
				warnAboutClient(c, edited)
				return nil
			})
		},
	}
}

// changedSetting is a setting before and after.
type changedSetting struct {
	Setting string `json:"setting"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

// changedSettings returns the settings of these columns before and after.
func changedSettings(was, made oauth2Client, columns []string) []changedSetting {
	var rows []changedSetting
	for _, s := range oauth2Settings {
		if slices.Contains(columns, s.stored()) {
			rows = append(rows, changedSetting{s.name, s.toText(was.Settings[s.stored()]), s.toText(made.Settings[s.stored()])})
		}
	}
	return rows
}

// settingNames returns what files call these columns, sorted.
func settingNames(columns []string) []string {
	names := slices.Clone(columns)
	for i := range names {
		for _, s := range oauth2Settings {
			if s.stored() == columns[i] {
				names[i] = s.name
			}
		}
	}
	slices.Sort(names)
	return names
}

// warnAboutSettings says what new settings may do that nobody wants.
func warnAboutSettings(c *cli.Context, settings clientSettings) {
	if seconds := settingOf[int64](settings, "access_token_lifetime"); 0 < seconds && seconds < 60 {
		say(c, "warning: access tokens that are good for less than a minute end before slow clients have used them, or clocks agree")
	}
	if slices.Contains(settingOf[[]string](settings, "grant_types"), "password") {
		say(c, "warning: users give their passwords to a client with the password grant; servers refuse it without --allow-password-grant")
	}
	for _, uri := range redirectURIsOf(settings) {
		if warning, err := client.CheckRedirectURI(uri, client.Confidential); err == nil && warning != "" {
			say(c, "warning: %s: %s", uri, warning)
		}
	}
}

// warnAboutClient says what does not work with all settings of a client together.
func warnAboutClient(c *cli.Context, edited oauth2Client) {
	method := settingOf[string](edited.Settings, "token_endpoint_auth_method")
	if strings.HasPrefix(method, "client_secret_") && len(edited.Secrets) == 0 {
		say(c, "warning: it has no secret; authserver oauth2 rotate-secret makes one")
	}
	if settingOf[string](edited.Settings, "type") == client.Public && settingOf[bool](edited.Settings, "may_introspect") {
		say(c, "warning: a public client cannot prove who it is, and so may not introspect")
	}
	if slices.Contains(settingOf[[]string](edited.Settings, "grant_types"), client.AuthorizationCode) && len(settingOf[[]string](edited.Settings, "redirect_uris")) == 0 {
		say(c, "warning: nobody can sign in to it: it has no redirect URI; --set-redirect-uri gives it one")
	}
}

// redirectURIsOf returns all of them, after a login and after a logout.
func redirectURIsOf(settings clientSettings) []string {
	return slices.Concat(settingOf[[]string](settings, "redirect_uris"), settingOf[[]string](settings, "post_logout_redirect_uris"))
}

// checkRedirectURIs refuses new settings with which servers would pass over a
// redirect URI: whether one will do depends on the type of the client, which was
// as it was before, or is new.
func checkRedirectURIs(was, settings clientSettings) error {
	made := maps.Clone(was)
	if made == nil {
		made = clientSettings{}
	}
	maps.Copy(made, settings)
	clientType := settingOf[string](made, "type")
	if method, ok := settings["token_endpoint_auth_method"]; ok && settings["type"] == nil {
		clientType = client.Confidential
		if bytes.Equal(method, mustJSON(client.None)) {
			clientType = client.Public
		}
	}
	for _, uri := range redirectURIsOf(made) {
		if _, err := client.CheckRedirectURI(uri, clientType); err != nil {
			return command.Usagef("%s: %v", uri, err)
		}
	}
	return nil
}

// editOAuth2Client calls api.edit_oauth2_client. It returns the columns that
// have changed.
func editOAuth2Client(ctx context.Context, conn *pgx.Conn, was oauth2Client, settings clientSettings) ([]string, error) {
	edited, err := queryRow[struct {
		Outcome string
		Detail  []string
	}](ctx, conn, `select outcome, detail from api.edit_oauth2_client($1::bigint, $2)`, was.ID, settings)
	if err != nil {
		return nil, explainClient("edit client", err)
	}
	if edited.Outcome != "ok" {
		merged := maps.Clone(was.Settings)
		maps.Copy(merged, settings)
		return nil, clientRefused("edit client", edited.Outcome, edited.Detail, merged)
	}
	return edited.Detail, nil
}

// oneOf returns a parser that lets some texts through.
func oneOf(texts ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		if !slices.Contains(texts, s) {
			return "", fmt.Errorf("%q is none of %s", s, strings.Join(texts, ", "))
		}
		return s, nil
	}
}

func notEmpty(s string) (string, error) {
	if s == "" {
		return "", errors.New("it is empty")
	}
	return s, nil
}

func parseSettingDomain(s string) (string, error) {
	domain, err := address.ParseDomain(s)
	return domain.String(), err
}

// parseGrantType takes the ancestor's spelling, too.
func parseGrantType(s string) (string, error) {
	return oneOf("authorization_code", "refresh_token", "client_credentials", "password")(strings.ReplaceAll(s, "-", "_"))
}

// parseRedirectURI is client.ParseRedirectURI for whoever means a pattern.
func parseRedirectURI(s string) (string, error) {
	if strings.Contains(s, "*") {
		return "", errors.New("it has a *, and is compared as it is")
	}
	return client.ParseRedirectURI(s)
}

// scopeToken is the grammar of RFC 6749 section 3.3.
var scopeToken = regexp.MustCompile(`^[!#-\[\]-~]{1,64}$`)

func parseScopeToken(s string) (string, error) {
	if !scopeToken.MatchString(s) {
		return "", fmt.Errorf("%q is no scope: want 1 to 64 printable ASCII characters but for blank, \" and \\", s)
	}
	return s, nil
}

// parseJWKS returns a set of public keys that servers will verify by.
func parseJWKS(text []byte) (json.RawMessage, error) {
	if err := client.ParseJWKS(text); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// parseSpan reads a duration of whole seconds, also in days: 90d.
func parseSpan(s string) (time.Duration, error) {
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d < 0 || d%time.Second != 0 {
		return 0, errors.New("want a duration such as 5m, 12h or 90d")
	}
	return d, nil
}

// spanText is the other way of parseSpan.
func spanText(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	return lifetime(d).String()
}
