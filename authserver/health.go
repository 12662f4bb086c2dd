package authserver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"authbridge/sql"
)

// health says whether the server works.
type health struct {
	rooms   func() *Rooms
	version string
}

// alive serves /healthz: the process answers, whatever the database does.
func (h health) alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	writeString(w, "ok\n")
}

// ready serves /readyz: whether requests that need the database can be
// answered.
func (h health) ready(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if trouble := h.trouble(r.Context()); trouble != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		writeString(w, trouble+"\n")
		return
	}
	writeString(w, "ok\n")
}

// report serves /health as the ancestor did, to the blank.
func (h health) report(w http.ResponseWriter, r *http.Request) {
	version, err := json.Marshal(h.version)
	if err != nil {
		panic("health: " + err.Error()) // a string has a JSON form
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	if h.trouble(r.Context()) != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		writeString(w, fmt.Sprintf(`{"status": "error", "error": true, "version": %s}`, version))
		return
	}
	writeString(w, fmt.Sprintf(`{"status": "ok", "error": false, "version": %s}`, version))
}

// healthTimeout is how long the database may take for a health check.
const healthTimeout = 2 * time.Second

// trouble returns what is wrong, or nothing. Anybody may read it.
func (h health) trouble(ctx context.Context) string {
	rooms := h.rooms()
	if rooms == nil {
		return "the database has not answered yet"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var version int
	if err := rooms.ClientAPI.DB.QueryRow(ctx, `select api.schema_version()`).Scan(&version); err != nil {
		slog.ErrorContext(ctx, "health check", "err", err)
		return "the database does not answer"
	}
	if version != sql.Version {
		return fmt.Sprintf("the database is at version %d, this program needs %d", version, sql.Version)
	}
	return ""
}
