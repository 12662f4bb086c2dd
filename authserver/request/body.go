package request

import (
	"errors"
	"io"
	"net/http"
)

// What is wrong with a body.
var (
	ErrTooLarge      = errors.New("request body too large")
	ErrMalformedBody = errors.New("malformed request body")
)

// MaxBody is the longest body that is read, in bytes.
const MaxBody = 64 << 10

// Body returns a body, or ErrTooLarge, or ErrMalformedBody if it does not
// arrive as a whole.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, bodyError(err)
	}
	return body, nil
}

// ReadForm reads a body into r.PostForm: nothing, if it is no form. The error is
// ErrTooLarge or ErrMalformedBody, the latter also for a query that cannot be
// read.
func ReadForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	// ParseMultipartForm does the same, but says nothing of fields that it
	// cannot read. One may be a scope.
	if err := r.ParseForm(); err != nil {
		return bodyError(err)
	}
	if err := r.ParseMultipartForm(MaxBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return bodyError(err)
	}
	return nil
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return ErrTooLarge
	}
	return ErrMalformedBody
}
