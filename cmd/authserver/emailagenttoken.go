package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"authbridge/internal/command"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v2"
)

// tokenArgument is the help text about a token as an argument.
const tokenArgument = "TOKEN \"-\" reads it from stdin; as an argument it is visible to other users of this\n" +
	"machine."

func emailAgentTokenCommand(db *database) *cli.Command {
	return &cli.Command{
		Name:  "emailagenttoken",
		Usage: "tokens that an external mail filter accepts once",
		Subcommands: []*cli.Command{
			emailAgentTokenCreateCommand(db),
			emailAgentTokenListCommand(db),
			emailAgentTokenCheckCommand(db, "check", "tell whether a token is valid", checkEmailAgentToken),
			emailAgentTokenCheckCommand(db, "check-and-burn", "tell whether a token is valid, and if so, that it no longer is", redeemEmailAgentToken),
			emailAgentTokenBurnCommand(db),
			emailAgentTokenCleanupCommand(db),
		},
	}
}

func emailAgentTokenCreateCommand(db *database) *cli.Command {
	var selector string
	var out format
	return &cli.Command{
		Name:        "create",
		Usage:       "make a token, and print it",
		Description: "The token is shown this once; lists show its first characters.",
		Flags:       []cli.Flag{userFlag(&selector, "the user whose token it is", true), out.objectFlag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := oneUser(ctx, conn, selector)
				if err != nil {
					return err
				}
				token := newEmailAgentToken()
				id, err := createEmailAgentToken(ctx, conn, user, token)
				if err != nil {
					return err
				}
				say(c, "Token %s… of %s created", token.hint(), user.Identifier)
				if out.name == "json" {
					return printJSON(c.App.Writer, struct {
						ID        string `json:"id"`
						Creator   string `json:"creator"`
						TokenHint string `json:"token_hint"`
						Token     string `json:"token"`
					}{id, user.Identifier, token.hint(), string(token)})
				}
				_, err = fmt.Fprintln(c.App.Writer, string(token))
				return err
			})
		},
	}
}

func emailAgentTokenListCommand(db *database) *cli.Command {
	var selector string
	var out format
	return &cli.Command{
		Name:  "list",
		Usage: "print tokens, newest first, by their first characters",
		Flags: []cli.Flag{userFlag(&selector, "only those of this user", false), out.flag()},
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := optionalUser(ctx, c, conn, "user", selector)
				if err != nil {
					return err
				}
				tokens, err := listEmailAgentTokens(ctx, conn, user)
				if err != nil {
					return err
				}
				return printList(c.App.Writer, out, tokens, nil)
			})
		},
	}
}

func emailAgentTokenCheckCommand(
	db *database, name, usage string,
	check func(context.Context, *pgx.Conn, emailAgentToken) (tokenAnswer, error),
) *cli.Command {
	var out format
	return &cli.Command{
		Name:  name,
		Usage: usage,
		Description: "Prints VALID, or INVALID with exit code 1. A token is invalid as long as its creator\n" +
			"is not active.\n" + tokenArgument,
		ArgsUsage: "TOKEN",
		Flags:     []cli.Flag{out.objectFlag()},
		Action: func(c *cli.Context) error {
			token, err := readToken(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				answer, err := check(ctx, conn, token)
				if err != nil {
					return err
				}
				return answer.print(c, out)
			})
		},
	}
}

func emailAgentTokenBurnCommand(db *database) *cli.Command {
	var dryRun bool
	return &cli.Command{
		Name:        "burn",
		Usage:       "make a token useless; it may be already",
		Description: tokenArgument,
		ArgsUsage:   "TOKEN",
		Flags:       []cli.Flag{dryRunFlag(&dryRun)},
		Action: func(c *cli.Context) error {
			token, err := readToken(c)
			if err != nil {
				return err
			}
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				if dryRun {
					answer, err := checkEmailAgentToken(ctx, conn, token)
					if err != nil {
						return err
					}
					if answer.Outcome == "unknown" {
						return errNoSuchToken
					}
					say(c, "dry run: would burn token %s…", token.hint())
					return nil
				}
				already, err := burnEmailAgentToken(ctx, conn, token)
				if err != nil {
					return err
				}
				if already {
					say(c, "Token %s… was burned before", token.hint())
				} else {
					say(c, "Token %s… burned", token.hint())
				}
				return nil
			})
		},
	}
}

func emailAgentTokenCleanupCommand(db *database) *cli.Command {
	var selector string
	var g consent
	return &cli.Command{
		Name:        "cleanup",
		Usage:       "remove burned tokens from the list",
		Description: "Without --user those of all users, and asks.",
		Flags:       append(g.flags(), userFlag(&selector, "only those of this user", false)),
		Action: func(c *cli.Context) error {
			return db.use(c, func(ctx context.Context, conn *pgx.Conn) error {
				user, err := optionalUser(ctx, c, conn, "user", selector)
				if err != nil {
					return err
				}
				burned, err := removeBurnedEmailAgentTokens(ctx, conn, user, true)
				if err != nil {
					return err
				}
				g.yes = g.yes || user != nil || len(burned) == 0
				if ok, err := ask(c, g, "remove "+plural(len(burned), "burned token", "burned tokens"), burned); err != nil || !ok {
					return err
				}
				if burned, err = removeBurnedEmailAgentTokens(ctx, conn, user, false); err != nil {
					return err
				}
				say(c, "%s removed", plural(len(burned), "burned token", "burned tokens"))
				return nil
			})
		},
	}
}

// emailAgentToken is 32 lower-case hexadecimal digits. What was never made may
// be any text.
type emailAgentToken string

func newEmailAgentToken() emailAgentToken {
	random := make([]byte, 16)
	rand.Read(random) // never fails
	return emailAgentToken(hex.EncodeToString(random))
}

// parseEmailAgentToken reads a token as somebody pasted it: with blanks around
// it, or in upper case.
func parseEmailAgentToken(s string) (emailAgentToken, bool) {
	token := strings.ToLower(strings.TrimSpace(s))
	_, err := hex.DecodeString(token)
	return emailAgentToken(token), err == nil && len(token) == 32
}

// hint is what lists and the audit trail show of a token.
func (t emailAgentToken) hint() string { return string(t[:12]) }

// sha256 returns what is stored of a token: nothing for the zero token.
func (t emailAgentToken) sha256() []byte {
	if t == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(t))
	return hash[:]
}

// readToken returns the argument, or the line of stdin that it means, as a
// token. Text that has not its form is the zero token, which never was made.
func readToken(c *cli.Context) (emailAgentToken, error) {
	text := c.Args().First()
	if text == "-" {
		line, err := interruptible(c.Context, func() (string, error) { return readLine(c.App.Reader) })
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("token from stdin: %w", err)
		}
		text = line
	}
	token, ok := parseEmailAgentToken(text)
	if !ok {
		return "", nil
	}
	return token, nil
}

// createEmailAgentToken calls api.create_email_agent_token.
func createEmailAgentToken(ctx context.Context, conn *pgx.Conn, user listedUser, token emailAgentToken) (id string, err error) {
	made, err := queryRow[struct {
		Outcome string
		ID      *string
	}](ctx, conn, `select outcome, id::text from api.create_email_agent_token($1, $2, $3)`, user.UUID, token.sha256(), token.hint())
	if err != nil {
		return "", fmt.Errorf("create email agent token: %w", err)
	}
	switch made.Outcome {
	case "ok":
		return *made.ID, nil
	case "gone":
		return "", userGone([]listedUser{user}, user.UUID)
	case "inactive":
		return "", fmt.Errorf("%s is not active: the token would be invalid", user.Identifier)
	}
	return "", fmt.Errorf("create email agent token: unknown outcome %q", made.Outcome)
}

// listedToken is a token as lists show it.
type listedToken struct {
	ID          string     `json:"id"`
	Creator     string     `json:"creator"`
	CreatorUUID string     `json:"creator_uuid"`
	TokenHint   string     `json:"token_hint"`
	Burned      bool       `json:"burned"`
	CreatedAt   time.Time  `json:"created_at"`
	UsedAt      *time.Time `json:"used_at"`
}

// listedTokenColumns are the fields of a listedToken.
const listedTokenColumns = `id::text, creator, creator_id::text as creator_uuid, token_hint, burned_at is not null as burned, created_at, burned_at as used_at`

// listEmailAgentTokens calls api.list_email_agent_tokens. A nil user is
// everybody.
func listEmailAgentTokens(ctx context.Context, conn *pgx.Conn, user *listedUser) ([]listedToken, error) {
	tokens, err := queryRows[listedToken](ctx, conn,
		`select `+listedTokenColumns+` from api.list_email_agent_tokens($1)`, idOf(user))
	if err != nil {
		return nil, fmt.Errorf("list email agent tokens: %w", err)
	}
	return tokens, nil
}

// removeBurnedEmailAgentTokens calls api.remove_burned_email_agent_tokens. A
// nil user is everybody.
func removeBurnedEmailAgentTokens(ctx context.Context, conn *pgx.Conn, user *listedUser, dryRun bool) ([]listedToken, error) {
	tokens, err := queryRows[listedToken](ctx, conn,
		`select `+listedTokenColumns+` from api.remove_burned_email_agent_tokens($1, $2)`, idOf(user), dryRun)
	if err != nil {
		return nil, fmt.Errorf("remove burned email agent tokens: %w", err)
	}
	return tokens, nil
}

// tokenAnswer is what the database says about a token.
type tokenAnswer struct {
	Outcome        string // valid, burned, inactive, unknown
	Creator        *string
	CreatorID      *string
	PrimaryAddress *string
	TokenHint      *string
	BurnedAt       *time.Time
}

const tokenAnswerColumns = `outcome, creator, creator_id::text, primary_address, token_hint, burned_at`

// checkEmailAgentToken calls api.check_email_agent_token.
func checkEmailAgentToken(ctx context.Context, conn *pgx.Conn, token emailAgentToken) (tokenAnswer, error) {
	answer, err := queryRow[tokenAnswer](ctx, conn,
		`select `+tokenAnswerColumns+` from api.check_email_agent_token($1)`, token.sha256())
	if err != nil {
		return tokenAnswer{}, fmt.Errorf("check email agent token: %w", err)
	}
	return answer, nil
}

// redeemEmailAgentToken calls api.redeem_email_agent_token: of many who ask at
// once, one gets a valid answer.
func redeemEmailAgentToken(ctx context.Context, conn *pgx.Conn, token emailAgentToken) (tokenAnswer, error) {
	answer, err := queryRow[tokenAnswer](ctx, conn,
		`select `+tokenAnswerColumns+` from api.redeem_email_agent_token($1)`, token.sha256())
	if err != nil {
		return tokenAnswer{}, fmt.Errorf("redeem email agent token: %w", err)
	}
	return answer, nil
}

var errNoSuchToken = errors.New("no such token")

// burnEmailAgentToken calls api.burn_email_agent_token, and says whether the
// token was burned already.
func burnEmailAgentToken(ctx context.Context, conn *pgx.Conn, token emailAgentToken) (already bool, err error) {
	outcome, err := queryValue[string](ctx, conn, `select outcome from api.burn_email_agent_token($1)`, token.sha256())
	if err != nil {
		return false, fmt.Errorf("burn email agent token: %w", err)
	}
	switch outcome {
	case "ok":
		return false, nil
	case "burned":
		return true, nil
	case "unknown":
		return false, errNoSuchToken
	}
	return false, fmt.Errorf("burn email agent token: unknown outcome %q", outcome)
}

// print prints a verdict for programs on stdout, and why a token is invalid on
// stderr, by the error.
func (a tokenAnswer) print(c *cli.Context, out format) error {
	valid := a.Outcome == "valid"
	var err error
	switch {
	case out.name != "json" && valid:
		_, err = fmt.Fprintln(c.App.Writer, "VALID")
	case out.name != "json":
		_, err = fmt.Fprintln(c.App.Writer, "INVALID")
	case valid:
		err = printJSON(c.App.Writer, validToken{
			Valid: true, Burned: a.BurnedAt != nil,
			Creator:   tokenCreator{*a.Creator, *a.CreatorID, a.PrimaryAddress},
			TokenHint: *a.TokenHint, UsedAt: a.BurnedAt,
		})
	default:
		err = printJSON(c.App.Writer, struct {
			Valid bool `json:"valid"`
		}{})
	}
	if err != nil {
		return err
	}
	switch a.Outcome {
	case "valid":
		return nil
	case "burned":
		return command.Exit(command.Failed, fmt.Errorf("token %s… of %s was burned at %s", *a.TokenHint, *a.Creator, a.BurnedAt.UTC().Format(time.RFC3339)))
	case "inactive":
		return command.Exit(command.Failed, fmt.Errorf("the creator of token %s…, %s, is not active", *a.TokenHint, *a.Creator))
	case "unknown":
		return errNoSuchToken
	}
	return fmt.Errorf("check email agent token: unknown outcome %q", a.Outcome)
}

// validToken is the JSON about a valid token: what the validation endpoint
// answers to a mail filter.
type validToken struct {
	Valid     bool         `json:"valid"`
	Burned    bool         `json:"burned"`
	Creator   tokenCreator `json:"creator"`
	TokenHint string       `json:"token_hint"`
	UsedAt    *time.Time   `json:"used_at"`
}

type tokenCreator struct {
	Identifier   string  `json:"identifier"`
	UUID         string  `json:"uuid"`
	PrimaryEmail *string `json:"primary_email"`
}
