package claims

import (
	"slices"
	"time"

	"authbridge/authserver/client"
)

// UserInfo returns what userinfo answers (OpenID Connect Core section 5.3.2) to
// a token of a client with this scope. user_id is the ancestor's, whose clients
// know a user by the address: here they are those that may know it.
func (i *Issuer) UserInfo(c *client.Client, scope []string, r Request, id Identity) Object {
	var o Object
	o.addText("sub", id.Subject)
	i.addIdentity(&o, selection{client: c, scope: scope, asked: r.UserInfo}, &id)
	if slices.ContainsFunc([]string{"profile", "email", "username"}, func(s string) bool { return slices.Contains(scope, s) }) {
		o.addText("user_id", id.PrimaryAddress)
	}
	return o
}

const (
	fakeLifetime = time.Hour
	clockSkew    = 5 * time.Second // of those whose clock is late
)

// FakeUserInfo returns what the ancestor's /o2/fake-userinfo/ answers, whatever
// the scope: the claims of a token, and no token. Its issuer is the domain whose
// keys sign for the client. The identity has a primary address, its groups and
// its permissions. Lists are there although they are empty, as the ancestor's
// are.
func (i *Issuer) FakeUserInfo(c *client.Client, id Identity, now time.Time) (Object, error) {
	d, err := i.domain(c)
	if err != nil {
		return Object{}, err
	}
	var o Object
	o.addText("sub", id.Subject)
	o.addText("email", id.PrimaryAddress)
	o.addText("user_id", id.PrimaryAddress)
	o.addArray("groups", id.groups())
	o.addBool("email_verified", true)
	o.addArray("scopes", id.permissions())
	o.addInteger("nbf", now.Add(-clockSkew).Unix())
	o.addInteger("exp", now.Add(fakeLifetime).Unix())
	o.addText("iss", d.Name)
	return o, nil
}
