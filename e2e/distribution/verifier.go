// Package distribution has programs made of the code of Docker's registry, in a
// module of their own, whose dependencies are nobody else's:
//
//	verifier2  asks the access controller of docker/distribution 2.8
//	verifier3  asks that of distribution 3
//	registry   is the registry of distribution 3
//
// There are two versions of distribution 3: that of go.mod, and, with
// go build -modfile=v3.0.mod, its first release. The script ../tools builds
// them all.
package distribution

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// A Question is what a verifier reads: how a registry is configured, and
// requests that come to it.
type Question struct {
	// Options are those of auth.token in the registry's configuration.
	Options  map[string]any
	Requests []Request
}

// A Request comes with a token, and needs this access.
type Request struct {
	Token  string
	Access []Access
}

// Access is one action on a resource.
type Access struct{ Type, Name, Action string }

// An Answer is what a verifier prints.
type Answer struct {
	// Refused is why a registry with these options does not start.
	Refused string
	// Results has for each request why it is refused, which is empty if it
	// is not.
	Results []string
}

// A Controller tells why a registry refuses a request that needs this access.
type Controller func(r *http.Request, access []Access) error

// Verify reads a Question, asks the controller that open makes of its options,
// and writes the Answer.
func Verify(in io.Reader, out io.Writer, open func(options map[string]any) (Controller, error)) error {
	var q Question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("reading the question: %w", err)
	}
	var a Answer
	controller, err := open(q.Options)
	if err != nil {
		return json.NewEncoder(out).Encode(Answer{Refused: err.Error()})
	}
	for _, request := range q.Requests {
		r, err := http.NewRequest(http.MethodGet, "https://registry.example.com/v2/", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+request.Token)
		result := ""
		if err := controller(r, request.Access); err != nil {
			result = err.Error()
		}
		a.Results = append(a.Results, result)
	}
	return json.NewEncoder(out).Encode(a)
}
