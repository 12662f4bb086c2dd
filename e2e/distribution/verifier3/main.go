// Verifier3 asks the access controller of distribution 3 about tokens.
package main

import (
	"log"
	"net/http"
	"os"

	"authbridge/e2e/distribution"

	"github.com/distribution/distribution/v3/registry/auth"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
)

func main() {
	if err := distribution.Verify(os.Stdin, os.Stdout, open); err != nil {
		log.Fatal(err)
	}
}

func open(options map[string]any) (distribution.Controller, error) {
	controller, err := auth.GetAccessController("token", options)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request, access []distribution.Access) error {
		var needed []auth.Access
		for _, a := range access {
			needed = append(needed, auth.Access{Resource: auth.Resource{Type: a.Type, Name: a.Name}, Action: a.Action})
		}
		_, err := controller.Authorized(r, needed...)
		return err
	}, nil
}
