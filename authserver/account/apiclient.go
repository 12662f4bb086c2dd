package account

import "authbridge/internal/opaque"

// APIClientSecret is what an API client, a machine that may ask on behalf of
// others, proves itself with. It is sent as a bearer token (RFC 6750).
var APIClientSecret = opaque.Kind{Prefix: "ac_", Name: "API client secret"}
