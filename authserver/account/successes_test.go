package account

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var remembered = Login{Name: "alice@example.com", Password: "secret", Service: "imap", Client: netip.MustParseAddr("192.0.2.7")}

func TestSuccesses(t *testing.T) {
	var s successes
	if got := s.hash(remembered); got != nil {
		t.Errorf("before the first: %x", got)
	}
	s.add(remembered, "$y$stored")
	if got, want := s.hash(remembered), sha256.Sum256([]byte("$y$stored")); string(got) != string(want[:]) {
		t.Errorf("hash = %x, want %x", got, want)
	}

	for name, change := range map[string]func(*Login){
		"another password":        func(l *Login) { l.Password = "Secret" },
		"another name":            func(l *Login) { l.Name = "bob@example.com" },
		"another service":         func(l *Login) { l.Service = "smtp" },
		"another client":          func(l *Login) { l.Client = netip.MustParseAddr("192.0.2.8") },
		"an unknown client":       func(l *Login) { l.Client = netip.Addr{} },
		"a client of IPv6":        func(l *Login) { l.Client = netip.MustParseAddr("2001:db8::") },
		"characters moved across": func(l *Login) { l.Name, l.Service = "alice@example.comi", "map" },
	} {
		login := remembered
		change(&login)
		if got := s.hash(login); got != nil {
			t.Errorf("%s is remembered", name)
		}
	}

	six := remembered
	six.Client = netip.MustParseAddr("2001:db8::1")
	s.add(six, "$y$stored")
	if six.Client = netip.MustParseAddr("2001:db8::ffff:0:0:2"); s.hash(six) == nil {
		t.Error("the same /64 is not remembered")
	}
	if six.Client = netip.MustParseAddr("2001:db8:0:1::1"); s.hash(six) != nil {
		t.Error("the next /64 is remembered")
	}
}

func TestSuccessesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s successes
		s.add(remembered, "$y$stored")
		<-time.After(successLifetime - 1) // of the bubble's clock
		if s.hash(remembered) == nil {
			t.Error("forgotten before the time")
		}
		<-time.After(successLifetime - 1)
		if s.hash(remembered) == nil {
			t.Error("forgotten although it was in use")
		}
		<-time.After(successLifetime)
		if s.hash(remembered) != nil {
			t.Error("remembered after the time")
		}
	})
}

// Who is remembered is not throttled, so guesses at what is remembered are few.
func TestSuccessesEndWithGuesses(t *testing.T) {
	var s successes
	s.add(remembered, "$y$stored")
	guess := remembered
	for i := range maxMisses {
		if s.hash(remembered) == nil {
			t.Fatalf("forgotten after %d guesses", i)
		}
		guess.Password = fmt.Sprint(i)
		s.hash(guess)
	}
	if s.hash(remembered) != nil {
		t.Errorf("remembered after %d guesses", maxMisses)
	}
}

func TestSuccessesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s successes
		login := remembered
		add := func(n int) {
			for i := range n {
				login.Name = fmt.Sprint(i, time.Now())
				s.add(login, "$y$stored")
			}
		}
		add(maxSuccesses - 1)
		s.add(remembered, "$y$stored")
		s.add(remembered, "$y$stored")
		if len(s.known) != maxSuccesses {
			t.Errorf("%d are remembered, want %d", len(s.known), maxSuccesses)
		}
		<-time.After(time.Nanosecond)
		add(10)
		if len(s.known) != maxSuccesses {
			t.Errorf("%d are remembered, want %d", len(s.known), maxSuccesses)
		}
		if s.hash(login) == nil {
			t.Error("the last one is forgotten")
		}
		<-time.After(successLifetime)
		add(1)
		if len(s.known) != 1 {
			t.Errorf("%d are remembered after the others have expired", len(s.known))
		}
	})
}
