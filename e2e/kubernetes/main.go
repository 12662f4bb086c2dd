// Kubernetes asks the OpenID Connect authenticator of the Kubernetes API server
// about ID tokens. It is in a module of its own, whose dependencies are nobody
// else's; the script ../tools builds it.
//
//	kubernetes --oidc-issuer-url=URL --oidc-client-id=ID [--oidc-...] <tokens
//
// The flags are those of kube-apiserver, with the same defaults. Each line of
// the input is a token, and is answered by one line: an Answer as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

// An Answer is what the API server makes of a token.
type Answer struct {
	// Refused is why a token is; it is empty if the token is accepted.
	Refused string
	User    string
	Groups  []string
}

// patience is how long the issuer may take to be discovered. The authenticator
// would try again after ten seconds, for ever.
const patience = 8 * time.Second

func main() {
	log.SetFlags(0)
	log.SetPrefix("kubernetes: ")
	opt, err := options()
	if err != nil {
		log.Fatal(err)
	}
	if err := authenticate(context.Background(), opt, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// authority is what the issuer's certificate is checked against, as PEM.
type authority []byte

func (a authority) CurrentCABundleContent() []byte { return a }

// options reads the flags, as kube-apiserver does.
func options() (oidc.Options, error) {
	issuer := flag.String("oidc-issuer-url", "", "`URL` of the issuer")
	clientID := flag.String("oidc-client-id", "", "`ID` of the client that tokens must be for")
	ca := flag.String("oidc-ca-file", "", "`file` with the authority of the issuer's certificate")
	username := flag.String("oidc-username-claim", "sub", "`claim` with the user's name")
	usernamePrefix := flag.String("oidc-username-prefix", "", "`text` before the user's name; - is none, the default for email")
	groups := flag.String("oidc-groups-claim", "", "`claim` with the user's groups")
	groupsPrefix := flag.String("oidc-groups-prefix", "", "`text` before each group")
	algorithms := flag.String("oidc-signing-algs", "RS256", "accepted `algorithms`, with commas between them")
	var required []apiserver.ClaimValidationRule
	flag.Func("oidc-required-claim", "a `claim=value` that must be there; may be repeated", func(rule string) error {
		claim, value, ok := strings.Cut(rule, "=")
		if !ok {
			return errors.New("need claim=value")
		}
		required = append(required, apiserver.ClaimValidationRule{Claim: claim, RequiredValue: value})
		return nil
	})
	flag.Parse()

	switch {
	case *usernamePrefix == "-":
		*usernamePrefix = ""
	case *usernamePrefix == "" && *username != "email":
		*usernamePrefix = *issuer + "#"
	}
	opt := oidc.Options{
		JWTAuthenticator: apiserver.JWTAuthenticator{
			Issuer:               apiserver.Issuer{URL: *issuer, Audiences: []string{*clientID}},
			ClaimValidationRules: required,
			ClaimMappings: apiserver.ClaimMappings{
				Username: apiserver.PrefixedClaimOrExpression{Claim: *username, Prefix: usernamePrefix},
			},
		},
		SupportedSigningAlgs: strings.Split(*algorithms, ","),
	}
	if *groups != "" {
		opt.JWTAuthenticator.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Claim: *groups, Prefix: groupsPrefix}
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return oidc.Options{}, err
		}
		opt.CAContentProvider = authority(pem)
	}
	return opt, nil
}

// authenticate answers each token of in by a line of out.
func authenticate(ctx context.Context, opt oidc.Options, in io.Reader, out io.Writer) error {
	authenticator, err := oidc.New(ctx, opt)
	if err != nil {
		return err
	}
	if err := discover(authenticator.HealthCheck); err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	tokens := bufio.NewScanner(in)
	tokens.Buffer(nil, 1<<20)
	for tokens.Scan() {
		var answer Answer
		response, ok, err := authenticator.AuthenticateToken(ctx, tokens.Text())
		switch {
		case err != nil:
			answer.Refused = err.Error()
		case !ok:
			answer.Refused = "the token is not of this issuer"
		default:
			answer.User, answer.Groups = response.User.GetName(), response.User.GetGroups()
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return tokens.Err()
}

// discover waits for the authenticator, which asks the issuer in the background.
func discover(health func() error) error {
	deadline := time.After(patience)
	for {
		err := health()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			return fmt.Errorf("discovering the issuer: %w", err)
		}
	}
}
