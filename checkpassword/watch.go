package checkpassword

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A Watcher keeps a key file up to date, for a program that reads it at its
// start only, as registries do. Whatever goes wrong, the file stays as it is.
//
// A change is not over before Reload has succeeded. Until then there is an empty
// file beside the key file, .NAME.reload, so that neither the end of this
// process nor a crash leaves a program on the keys of yesterday.
type Watcher struct {
	File  string
	Fetch func(context.Context) ([]byte, Keys, error) // as FetchKeys

	// Reload makes the program read the file again; nil: it does so by itself.
	Reload func(context.Context) error

	// Ready is told by Run that the file holds keys, before the first Reload:
	// that may wait for who waits for Ready. It may be nil.
	Ready func()

	Log *slog.Logger
}

// ErrReload means that the file is up to date, and that the program which uses
// it was not told.
var ErrReload = errors.New("reload")

// Update gets the keys once, replaces the file if it holds any others, and
// reloads if that is due. It does so too if the keys could not be fetched: the
// error is then that of FetchKeys, or ErrReload, or both.
func (w *Watcher) Update(ctx context.Context) error {
	_, err := w.refresh(ctx)
	return errors.Join(err, w.reload(ctx))
}

// firstRetry is how long Run waits after the first failure. It doubles with
// each that follows, up to the interval.
const firstRetry = 5 * time.Second

// Run updates the file once per interval, until ctx ends. If the keys cannot be
// fetched or written it tries again sooner. A Reload that fails is called again
// after the interval, and at once when the keys change.
func (w *Watcher) Run(ctx context.Context, interval time.Duration) {
	var retry time.Duration // 0: the last fetch was good
	var reloadDue time.Time
	ready := w.Ready
	for {
		wait := interval
		replaced, err := w.refresh(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			retry = min(max(2*retry, firstRetry), interval)
			wait = retry
			level := slog.LevelError
			if errors.Is(err, ErrUnavailable) {
				level = slog.LevelWarn
			}
			w.Log.Log(ctx, level, "key file stays as it is", "file", w.File, "err", err, "retry", wait)
		case retry > 0:
			retry = 0
			w.Log.InfoContext(ctx, "keys are fetched again", "file", w.File)
		}
		if ready != nil {
			if _, keys, currentErr := w.current(); currentErr == nil && len(keys) > 0 {
				ready()
				ready = nil
			}
		}
		if replaced || !time.Now().Before(reloadDue) {
			if err := w.reload(ctx); err != nil {
				if ctx.Err() != nil {
					return // it is outstanding, and the next start sees that
				}
				w.Log.ErrorContext(ctx, "keys are not in use", "file", w.File, "err", err, "retry", interval)
				reloadDue = time.Now().Add(earliest(interval))
			}
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(earliest(wait) + rand.N(wait-earliest(wait)+1)):
		}
	}
}

// earliest is the beginning of the time in which a wait ends: machines that were
// started together do not ask together for ever.
func earliest(wait time.Duration) time.Duration { return wait - wait/4 }

// refresh tells whether it has replaced the file.
func (w *Watcher) refresh(ctx context.Context) (replaced bool, err error) {
	// Before the server is asked: a file that could not be replaced is to be
	// noticed on the first day, and not on that of a change.
	old, had, err := w.current()
	if err != nil {
		return false, err
	}
	content, keys, err := w.Fetch(ctx)
	if err != nil {
		return false, err
	}
	if bytes.Equal(old, content) || len(had) > 0 && slices.Equal(pieces(old), pieces(content)) {
		return false, nil
	}
	if err := w.replace(content); err != nil {
		return false, err
	}

	dropped, added := had.Compare(keys)
	level, message := slog.LevelInfo, "key file replaced"
	if len(had) > 0 && dropped == len(had) {
		level, message = slog.LevelWarn, "key file replaced, and none of its keys is left"
	}
	w.Log.Log(ctx, level, message, "file", w.File, "keys", len(keys), "added", added, "dropped", dropped)
	return true, nil
}

// pieces returns what a key file is made of, whatever its order: PEM blocks, or
// the keys of a JWKS. The server puts first what signs, and when another key
// begins to, no program need be told.
func pieces(text []byte) []string {
	var all []string
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal(text, &set) == nil {
		for _, key := range set.Keys {
			all = append(all, string(key))
		}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, string(pem.EncodeToMemory(block)))
	}
	slices.Sort(all)
	return all
}

// current reads the file. One that is missing, or whose content is damaged, has
// no keys. It is an error if the file must not or cannot be replaced.
func (w *Watcher) current() ([]byte, Keys, error) {
	const writeAndSearch = 2 | 1 // unistd.h: W_OK, X_OK
	folder := filepath.Dir(w.File)
	if err := syscall.Access(folder, writeAndSearch); err != nil {
		return nil, nil, fmt.Errorf("folder %s: %w", folder, err)
	}
	switch info, err := regular(w.File); {
	case err != nil:
		return nil, nil, err
	case info == nil:
		return nil, nil, nil
	}
	content, err := readKeyFile(w.File)
	if err != nil {
		return nil, nil, err
	}
	keys, err := ParseKeys(content)
	if err != nil {
		return content, nil, nil
	}
	return content, keys, nil
}

// replace notes that a reload is due, unless there is nobody to tell.
func (w *Watcher) replace(content []byte) error {
	if w.Reload == nil {
		return WriteKeys(w.File, content)
	}
	marker, err := os.OpenFile(w.marker(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	due := errors.Is(err, fs.ErrExist)
	if err != nil && !due {
		return err
	}
	if !due {
		marker.Close()
	}
	err = WriteKeys(w.File, content)
	if err != nil && !due {
		os.Remove(w.marker()) // or the program would be told of nothing, again and again
	}
	return err
}

// reload calls Reload if that is due.
func (w *Watcher) reload(ctx context.Context) error {
	if w.Reload == nil || !w.reloadIsDue() {
		return nil
	}
	if err := w.Reload(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrReload, err)
	}
	if err := os.Remove(w.marker()); err != nil {
		return fmt.Errorf("%w: %w", ErrReload, err)
	}
	w.Log.InfoContext(ctx, "keys are in use", "file", w.File)
	return nil
}

func (w *Watcher) marker() string {
	return filepath.Join(filepath.Dir(w.File), "."+filepath.Base(w.File)+".reload")
}

func (w *Watcher) reloadIsDue() bool {
	_, err := os.Lstat(w.marker())
	return err == nil
}
