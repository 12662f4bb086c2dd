package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"authbridge/authserver/account"
	"authbridge/authserver/address"
	"authbridge/authserver/client"
	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

func oauth2CreateCommand(db *database, profile *account.Profile) *cli.Command {
	var domain *domainName
	var id *oauth2ClientID
	redirectURIs := settingFlag{setting: settingNamed("redirect_uris")}
	clientType := settingFlag{setting: settingNamed("client_type"), texts: []string{"confidential"}}
	grant := ancestorGrant("authorization-code")
	var trusted, skipPKCE, dryRun bool
	var secret givenSecret
	var publish publishFlags
	return &cli.Command{
		Name:  "create",
		Usage: "add a client, and publish its credentials",
		Description: "The secret is shown this once: on standard output, unless a flag says where else it\n" +
			"goes. It is published when the client is there. If that fails, the exit code is 2, and\n" +
			"\"authserver oauth2 rotate-secret\" makes and publishes another.\n\n" +
			"What else can be set, \"authserver oauth2 edit\" sets.",
		ArgsUsage: "NAME",
		Flags: append([]cli.Flag{
			&cli.GenericFlag{
				Name: "domain", Value: &optional[domainName, *domainName]{&domain},
				Usage: "keys of `DOMAIN`, or of the nearest above it that may sign for it, sign its tokens (default: that of the issuer)",
			},
			&cli.GenericFlag{Name: "redirect-uri", Usage: "users come back to `URI`, exactly; may be given several times", Value: &redirectURIs},
			&cli.GenericFlag{Name: "client-type", Usage: "`confidential|public`: whether it can keep a secret", Value: &clientType},
			&cli.GenericFlag{Name: "grant-type", Usage: "it gets tokens by `GRANT`: authorization-code (which brings refresh tokens), client-credentials, password", Value: &grant},
			&cli.BoolFlag{Name: "skip-authorization", Usage: "users are not asked for consent", Destination: &trusted},
			&cli.BoolFlag{Name: "skip-pkce", Usage: "it need not use PKCE", Destination: &skipPKCE},
			&cli.GenericFlag{Name: "client-id", Value: &optional[oauth2ClientID, *oauth2ClientID]{&id}, Usage: "it has this `ID` already (default: a new one)"},
			secret.flag(),
			dryRunFlag(&dryRun),
		}, publish.flags()...),
		Action: func(c *cli.Context) error {
			name, err := account.ParseName(c.Args().First())
			if err != nil {
				return command.Usagef("%v", err)
			}
			settings := clientSettings{
				"name":         mustJSON(name),
				"type":         mustJSON(clientType.texts[0]),
				"grant_types":  mustJSON(grant.types()),
				"trusted":      mustJSON(trusted),
				"require_pkce": mustJSON(!skipPKCE),
			}
			if redirectURIs.texts != nil {
				settings["redirect_uris"] = mustJSON(redirectURIs.texts)
			}
			public := clientType.texts[0] == "public"
			switch {
			case public && skipPKCE:
				return command.Usagef("--skip-pkce: %s", clientRules["oauth2_clients_public_uses_pkce"])
			case public && grant == "client-credentials":
				return command.Usagef("%s", clientRules["oauth2_clients_public_has_users"])
			case public && c.IsSet("client-secret-file"):
				return command.Usagef("--client-secret-file: a public client has no secret")
			}
			if err := checkRedirectURIs(nil, settings); err != nil {
				return err
			}
			made := oauth2Credentials{Name: name, ClientID: newOAuth2ClientID()}
			if id != nil {
				made.ClientID = string(*id)
			}
			publishers, err := publish.publishers(c)
			if err != nil {
				return err
			}
			var stored storedSecret
			if !public {
				if made.ClientSecret, stored, err = secret.readOrMake(c, *profile); err != nil {
					return err
				}
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if domain != nil {
					signing, err := findSigningDomain(ctx, conn, address.Domain(*domain))
					if err != nil {
						return err
					}
					settings["domain"] = mustJSON(signing.String())
				}
				create := func() error { return createOAuth2Client(ctx, conn, made.ClientID, settings, stored) }
				if dryRun {
					if err := rehearse(ctx, conn, create); err != nil {
						return err
					}
					say(c, "dry run: would create client %s", made.Name)
					return nil
				}
				if err := create(); err != nil {
					return err
				}
				say(c, "Created client %s (ID: %s)", made.Name, made.ClientID)
				warnAboutSettings(c, settings)
				if redirectURIs.texts == nil && grant == "authorization-code" {
					say(c, "warning: nobody can sign in to it: it has no redirect URI; oauth2 edit --set-redirect-uri gives it one")
				}
				published, err := publishers.publish(ctx, made)
				if err == nil {
					return nil
				}
				if public {
					return command.Exit(command.Usage, fmt.Errorf("%w; client %s is there, and has no secret to lose", err, made.Name))
				}
				known := "nobody has its secret"
				if len(published) > 0 {
					known = "its secret is " + strings.Join(published, " and ")
				}
				return command.Exit(command.Usage, fmt.Errorf("%w; client %s is there, and %s; this makes and publishes another: %s",
					err, made.Name, known, publish.again("authserver oauth2 rotate-secret "+made.ClientID)))
			})
		},
	}
}

func oauth2RotateSecretCommand(db *database, profile *account.Profile) *cli.Command {
	var secret givenSecret
	var publish publishFlags
	var keep keepOld
	var dryRun bool
	return &cli.Command{
		Name:  "rotate-secret",
		Usage: "give a client another secret, and publish its credentials; the old one ends",
		Description: "Does not ask. The secret is shown this once: on standard output, unless a flag says\n" +
			"where else it goes. The old one ends when that is done, or with --keep-old later: both\n" +
			"are good so long. If it cannot be published, the new one ends and the old one stays.\n\n" +
			"A client has two secrets at most. \"authserver oauth2 end-secret\" ends one.\n" + clientSelectors,
		ArgsUsage: "CLIENT",
		Flags: append([]cli.Flag{
			&cli.GenericFlag{Name: "keep-old", Usage: "the old secret is good for another `DURATION`, such as 24h", Value: &keep},
			secret.flag(),
			dryRunFlag(&dryRun),
		}, publish.flags()...),
		Action: func(c *cli.Context) error {
			publishers, err := publish.publishers(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				client, err := oneOAuth2Client(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				if method := settingOf[string](client.Settings, "token_endpoint_auth_method"); !strings.HasPrefix(method, "client_secret_") {
					return errNoSecret
				}
				if keep > 0 && len(client.Secrets) > 1 {
					return fmt.Errorf("client %s has two secrets already; oauth2 end-secret ends one", client.name())
				}
				if dryRun {
					return showDryRun(c, "give client "+client.name()+" another secret, and end these", endingSecrets(client, keep))
				}
				made := oauth2Credentials{Name: client.name(), ClientID: client.ClientID}
				var stored storedSecret
				if made.ClientSecret, stored, err = secret.readOrMake(c, *profile); err != nil {
					return err
				}
				return rotateOAuth2Secret(ctx, c, conn, client, stored, time.Duration(keep), func() error {
					_, err := publishers.publish(ctx, made)
					return err
				})
			})
		},
	}
}

// rotateOAuth2Secret gives a client another secret, which publish hands out. The
// old one ends when it has; if it fails, the new one does. Of two, the older ends
// first.
func rotateOAuth2Secret(ctx context.Context, c *cli.Context, conn *pgx.Conn, client oauth2Client, stored storedSecret, keep time.Duration, publish func() error) error {
	old := client.Secrets
	if len(old) > 1 {
		// There is room for one of them beside the new one.
		if err := endOAuth2Secret(ctx, conn, client, old[0].ID, 0); err != nil {
			return err
		}
		old = old[1:]
	}
	fresh, err := addOAuth2Secret(ctx, conn, client, stored)
	if err != nil {
		return err
	}
	if err := publish(); err != nil {
		outcome := "the old secret stays, and the new one has ended"
		// An interrupt may be why; the new secret ends all the same.
		if ended := endOAuth2Secret(context.WithoutCancel(ctx), conn, client, fresh, 0); ended != nil {
			err = errors.Join(err, ended)
			outcome = fmt.Sprintf("oauth2 end-secret %s %d ends the new secret", client.ClientID, fresh)
		}
		return command.Exit(command.Usage, fmt.Errorf("%w; %s", err, outcome))
	}
	for _, s := range old {
		if err := endOAuth2Secret(ctx, conn, client, s.ID, keep); err != nil {
			return err
		}
	}
	say(c, "Client %s has a new secret", client.name())
	if keep > 0 && len(old) > 0 {
		say(c, "The old one is good for another %s", spanText(keep))
	}
	return nil
}

// endingSecret is a secret that a rotation ends.
type endingSecret struct {
	ID        int64     `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	EndsAfter string    `json:"ends_after"`
}

func endingSecrets(client oauth2Client, keep keepOld) []endingSecret {
	var rows []endingSecret
	for _, s := range client.Secrets {
		rows = append(rows, endingSecret{s.ID, s.CreatedAt, keep.String()})
	}
	return rows
}

func oauth2EndSecretCommand(db *database) *cli.Command {
	var dryRun bool
	var id secretID
	return &cli.Command{
		Name:        "end-secret",
		Usage:       "end a secret of a client at once",
		Description: "Does not ask. \"authserver oauth2 show\" prints the IDs. " + clientSelectors,
		ArgsUsage:   "CLIENT ID",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			if err := id.Set(c.Args().Get(1)); err != nil {
				return command.Usagef("%v", err)
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				client, err := oneOAuth2Client(ctx, conn, c.Args().First())
				if err != nil {
					return err
				}
				if dryRun {
					return rehearse(ctx, conn, func() error {
						if err := endOAuth2Secret(ctx, conn, client, int64(id), 0); err != nil {
							return err
						}
						say(c, "dry run: would end secret %d of client %s", id, client.name())
						return nil
					})
				}
				if err := endOAuth2Secret(ctx, conn, client, int64(id), 0); err != nil {
					return err
				}
				say(c, "Secret %d of client %s has ended", id, client.name())
				if len(client.Secrets) == 1 {
					say(c, "warning: it has no other, and cannot prove itself any more")
				}
				return nil
			})
		},
	}
}

// secretID is what a secret of a client is called. No error repeats it: it may be
// a secret.
type secretID int64

func (i *secretID) Set(s string) error {
	if _, err := fmt.Sscanf(s, "%d", i); err != nil || fmt.Sprint(*i) != s {
		return errors.New("an ID is a number that oauth2 show prints, and nothing of a secret")
	}
	return nil
}

func (i secretID) String() string { return fmt.Sprint(int64(i)) }

// keepOld is how long an old secret is good beside a new one.
type keepOld time.Duration

func (k *keepOld) Set(s string) error {
	d, err := parseSpan(s)
	if err == nil && d > 365*24*time.Hour {
		err = errors.New("want 365d at most")
	}
	*k = keepOld(d)
	return err
}

func (k keepOld) String() string { return spanText(time.Duration(k)) }

// settingNamed returns the setting that files call so.
func settingNamed(name string) *oauth2Setting {
	for i := range oauth2Settings {
		if oauth2Settings[i].name == name {
			return &oauth2Settings[i]
		}
	}
	return nil
}

// oauth2ClientID is a client id. The table auth.oauth2_clients has the same
// rules.
type oauth2ClientID string

var oauth2ClientIDForm = regexp.MustCompile(`^[!-~]{1,255}$`)

func (i *oauth2ClientID) Set(s string) error {
	if !oauth2ClientIDForm.MatchString(s) {
		return errors.New("a client id consists of 1 to 255 printable ASCII characters, without blanks")
	}
	if _, err := client.Secret.Parse(s); err == nil {
		return errors.New("that is a secret where a client id is expected")
	}
	*i = oauth2ClientID(s)
	return nil
}

func (i *oauth2ClientID) String() string { return string(*i) }

// newOAuth2ClientID returns a client id that there was never before.
func newOAuth2ClientID() string { return strings.ToLower(rand.Text()) }

// ancestorGrant is a grant type as the ancestor's --grant-type has it.
type ancestorGrant string

func (g *ancestorGrant) Set(s string) error {
	switch s = strings.ReplaceAll(s, "_", "-"); s {
	case "authorization-code", "client-credentials", "password":
		*g = ancestorGrant(s)
		return nil
	case "implicit", "openid-hybrid":
		return fmt.Errorf("%s hands tokens to the browser, which this server does not do: want authorization-code, with PKCE if there is no secret", s)
	}
	return fmt.Errorf("%q is none of authorization-code, client-credentials, password", s)
}

func (g *ancestorGrant) String() string { return string(*g) }

// types returns the grant types of a client that begins with this one.
func (g ancestorGrant) types() []string {
	grant := strings.ReplaceAll(string(g), "-", "_")
	if g == "client-credentials" {
		return []string{grant}
	}
	return []string{grant, "refresh_token"}
}

// givenSecret is a secret that a client has already.
type givenSecret struct{ file string }

func (g *givenSecret) flag() cli.Flag {
	return &cli.StringFlag{
		Name: "client-secret-file", Destination: &g.file,
		Usage: "it has the secret in `FILE` already, or one line of stdin if that is \"-\" (default: a new one is made)",
	}
}

// storedSecret is what the database keeps of a secret: one of the two, or
// neither if there is none.
type storedSecret struct {
	sha256 []byte
	hash   *string
}

// readOrMake returns the secret of the file, or a new one.
func (g *givenSecret) readOrMake(c *cli.Context, profile account.Profile) (command.Secret, storedSecret, error) {
	if !c.IsSet("client-secret-file") {
		made := client.Secret.New()
		sum := made.SHA256()
		return command.Secret(made.Text()), storedSecret{sha256: sum[:]}, nil
	}
	var text string
	var err error
	if g.file == "-" {
		text, err = interruptible(c.Context, func() (string, error) { return readLine(c.App.Reader) })
		if err == io.EOF {
			err = nil // an empty secret is refused below
		}
	} else {
		var content []byte
		content, err = os.ReadFile(g.file)
		text = strings.TrimRight(string(content), "\r\n")
	}
	if err != nil {
		return "", storedSecret{}, fmt.Errorf("client secret: %w", err)
	}
	stored, err := storeSecret(c.Context, text, profile)
	return command.Secret(text), stored, err
}

// clientSecretForm is what a secret may consist of: RFC 6749 appendix A.2.
var clientSecretForm = regexp.MustCompile(`^[ -~]{1,512}$`)

// storeSecret returns what the database keeps of a secret: a hash that need not
// be slow, if it cannot be guessed.
func storeSecret(ctx context.Context, text string, profile account.Profile) (storedSecret, error) {
	if !clientSecretForm.MatchString(text) {
		return storedSecret{}, command.Usagef("a client secret consists of 1 to 512 printable ASCII characters")
	}
	if client.LooksGenerated(text) {
		sum := sha256.Sum256([]byte(text))
		return storedSecret{sha256: sum[:]}, nil
	}
	hash, err := account.Hash(ctx, text, profile)
	if err != nil {
		return storedSecret{}, fmt.Errorf("client secret: %w", err)
	}
	return storedSecret{hash: &hash}, nil
}

// findSigningDomain returns the domain whose key signs for a domain: that
// itself, or the nearest above it that may.
func findSigningDomain(ctx context.Context, conn *pgx.Conn, domain address.Domain) (address.Domain, error) {
	found, err := queryValue[*string](ctx, conn, `select api.find_parent_domain($1, true)`, domain.String())
	if err != nil {
		return "", fmt.Errorf("find parent domain: %w", err)
	}
	if found == nil {
		return "", fmt.Errorf("no key for jwt signs for domain %s: domain create --create-key jwt, or domain edit, makes one", domain)
	}
	return address.Domain(*found), nil
}

// createOAuth2Client calls api.create_oauth2_client. That the client is there is
// an error of its own: a script that has lost the secret would wait for it.
func createOAuth2Client(ctx context.Context, conn *pgx.Conn, clientID string, settings clientSettings, secret storedSecret) error {
	made, err := queryRow[struct {
		Outcome string
		Detail  []string
	}](ctx, conn, `select outcome, detail from api.create_oauth2_client($1, $2, $3, $4)`, clientID, settings, secret.sha256, secret.hash)
	if err != nil {
		return explainClient("create client", err)
	}
	switch made.Outcome {
	case "ok":
		return nil
	case "exists", "name_exists":
		return command.Exit(command.Usage, errors.New("OAuth2 client already exists and client secret can only be read once; authserver oauth2 rotate-secret makes another"))
	}
	return clientRefused("create client", made.Outcome, made.Detail, settings)
}

// addOAuth2Secret calls api.add_oauth2_client_secret. It returns the id of the
// secret.
func addOAuth2Secret(ctx context.Context, conn *pgx.Conn, client oauth2Client, secret storedSecret) (int64, error) {
	added, err := queryRow[struct {
		Outcome  string
		Detail   []string
		SecretID *int64
	}](ctx, conn, `select outcome, detail, secret_id from api.add_oauth2_client_secret($1::bigint, $2, $3)`, client.ID, secret.sha256, secret.hash)
	if err != nil {
		return 0, fmt.Errorf("add a secret: %w", err)
	}
	switch added.Outcome {
	case "ok":
		return *added.SecretID, nil
	case "too_many":
		return 0, fmt.Errorf("client %s has two secrets already, %s; oauth2 end-secret ends one", client.name(), strings.Join(added.Detail, " and "))
	}
	return 0, clientRefused("add a secret", added.Outcome, added.Detail, client.Settings)
}

// endOAuth2Secret calls api.end_oauth2_client_secret.
func endOAuth2Secret(ctx context.Context, conn *pgx.Conn, client oauth2Client, id int64, after time.Duration) error {
	outcome, err := queryValue[string](ctx, conn, `select api.end_oauth2_client_secret($1::bigint, $2, $3)`, client.ID, id, after)
	if err != nil {
		return fmt.Errorf("end a secret: %w", err)
	}
	switch outcome {
	case "ok":
		return nil
	case "unknown":
		return fmt.Errorf("client %s has no secret %d", client.name(), id)
	}
	return fmt.Errorf("end a secret: unknown outcome %q", outcome)
}
