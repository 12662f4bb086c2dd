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
// all servers.
//
// Who is remembered is not throttled. So that nobody else can guess by asking
// what is remembered, that is for the network and service of the login only,
// as failures are counted, and after maxMisses other passwords it is forgotten.
//
// The zero value is empty.
type successes struct {
	mu    sync.Mutex
	key   [32]byte // of this process: what is remembered names no password to others
	known map[loginMAC]*success
}

type loginMAC [sha256.Size]byte

type success struct {
	password loginMAC
	hash     [sha256.Size]byte // SHA-256 of the stored hash
	until    time.Time
	misses   int
}

const (
	successLifetime = 5 * time.Minute
	maxSuccesses    = 10_000
	maxMisses       = 100
)

// hash returns the SHA-256 of the hash that this password was right for, or
// nil.
func (s *successes) hash(login Login) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		return nil
	}
	name, password := s.macs(login)
	found := s.known[name]
	switch {
	case found == nil:
		return nil
	case !time.Now().Before(found.until):
		delete(s.known, name)
		return nil
	case !hmac.Equal(found.password[:], password[:]):
		if found.misses++; found.misses >= maxMisses {
			delete(s.known, name)
		}
		return nil
	}
	// Whoever comes every minute is never asked for a hash again: the database
	// is asked each time.
	found.until = time.Now().Add(successLifetime)
	return found.hash[:]
}

// add remembers that a password was right for a stored hash.
func (s *successes) add(login Login, stored string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		rand.Read(s.key[:]) // never fails
		s.known = map[loginMAC]*success{}
	}
	now := time.Now()
	name, password := s.macs(login)
	delete(s.known, name)
	if len(s.known) >= maxSuccesses {
		for old, success := range s.known {
			if !now.Before(success.until) {
				delete(s.known, old)
			}
		}
	}
	for old := range s.known { // any will do
		if len(s.known) < maxSuccesses {
			break
		}
		delete(s.known, old)
	}
	s.known[name] = &success{password: password, hash: sha256.Sum256([]byte(stored)), until: now.Add(successLifetime)}
}

// macs are those of who logs in for what from where, and of that with the
// password.
func (s *successes) macs(login Login) (name, password loginMAC) {
	bits := 32
	if login.Client.Is6() {
		bits = 64 // as in auth.login_network
	}
	network, _ := login.Client.Prefix(bits) // the zero Prefix if nobody knows
	h := hmac.New(sha256.New, s.key[:])
	for _, text := range []string{login.Name, login.Service, network.String()} {
		h.Write([]byte(text))
		h.Write([]byte{0}) // none of them has one
	}
	h.Sum(name[:0])
	h.Write([]byte(login.Password))
	h.Sum(password[:0])
	return name, password
}
