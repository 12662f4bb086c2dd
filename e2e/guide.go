package e2e

import (
	"testing"

	"authbridge/docs"
)

// ReadGuide reads a section of a page of docs/integrations.
func ReadGuide(t *testing.T, page, heading string) docs.Guide {
	t.Helper()
	guide, err := docs.ReadGuide(page, heading)
	if err != nil {
		t.Fatal(err)
	}
	return guide
}

// Follow does in the root what the guide says, with the database that is
// there.
func (r *Root) Follow(g docs.Guide, db *Database) {
	r.t.Helper()
	for _, f := range g.Files {
		r.Write(f.Name, db.Configure(f.Content))
	}
	for _, c := range g.Commands {
		r.Run("sh", "-euc", c)
	}
}
