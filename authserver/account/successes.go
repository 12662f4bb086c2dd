package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// successes remembers for a while which stored hash a password was right for,
// because some clients log in for every request. It is only a hint: the
// database says in the same call as everything else whether that hash is still
// the user's. So a changed password or a deactivated user counts at once, on
// all servers. The zero value is empty.
type successes struct {
	mu    sync.Mutex
	key   [32]byte // of this process: what is remembered names no password to others
	known map[[sha256.Size]byte]success
}

type success struct {
	hash  [sha256.Size]byte // SHA-256 of the stored hash
	until time.Time
}

const (
	successLifetime = 5 * time.Minute
	maxSuccesses    = 10_000
)

// hash returns the SHA-256 of the hash that this password was right for, or
// nil.
func (s *successes) hash(login Login) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		return nil
	}
	found, ok := s.known[s.name(login)]
	if !ok || !time.Now().Before(found.until) {
		return nil
	}
	return found.hash[:]
}

// add remembers that a password was right for a stored hash.
func (s *successes) add(login Login, stored string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		rand.Read(s.key[:]) // never fails
		s.known = map[[sha256.Size]byte]success{}
	}
	now := time.Now()
	if len(s.known) >= maxSuccesses {
		for name, old := range s.known {
			if !now.Before(old.until) {
				delete(s.known, name)
			}
		}
	}
	for name := range s.known { // any will do
		if len(s.known) < maxSuccesses {
			break
		}
		delete(s.known, name)
	}
	s.known[s.name(login)] = success{sha256.Sum256([]byte(stored)), now.Add(successLifetime)}
}

// name is that of login name and password together.
func (s *successes) name(login Login) (name [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(login.Name))
	h.Write([]byte{0}) // no login name has one
	h.Write([]byte(login.Password))
	h.Sum(name[:0])
	return name
}
