package oauth2

import (
	"net/http"

	"authbridge/authserver/client"
)

// allowOrigin lets a script in a browser read the answer, if it is from a site
// of the client that it asks for. It sends no cookies, and needs none. Browsers
// have asked before whether they may send a request at all, with a preflight
// that names no client: it is answered for all clients at once, elsewhere.
func allowOrigin(w http.ResponseWriter, r *http.Request, c *client.Client) {
	w.Header().Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && c.Origin(origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
}
