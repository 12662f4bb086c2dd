// Verifier2 asks the access controller of docker/distribution 2.8 about tokens.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"authbridge/e2e/distribution"

	dcontext "github.com/docker/distribution/context"
	"github.com/docker/distribution/registry/auth"
	_ "github.com/docker/distribution/registry/auth/token"
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
		_, err := controller.Authorized(dcontext.WithRequest(context.Background(), r), needed...)
		return err
	}, nil
}
