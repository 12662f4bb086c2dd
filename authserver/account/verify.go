package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"authbridge/internal/audit"

	"golang.org/x/sync/singleflight"
)

// A Login is somebody's claim to be a user.
type Login struct {
	// Name is an address of the user, by alias or sub-address, the name of a
	// service user, or the identifier of a user who is staff.
	Name string

	// Password is the user's, a service user's, or an app password.
	Password string

	// Service is what the login is for: 'imap', 'smtp', 'http', … App passwords
	// are limited to services, and failures are counted for each: a client that
	// chose the service itself would have as many guesses as it finds names.
	Service string

	// Registry is the client id of the Docker registry that the login is for;
	// empty: it is for none. App passwords may be limited to some.
	Registry string

	// Client is from where the login comes; the zero Addr if nobody knows.
	Client netip.Addr
}

// An Account is who logged in, as of now.
type Account struct {
	UserID         string // a UUID
	Identifier     string
	FullName       string
	Staff          bool
	PrimaryAddress string   // of the mailbox that receives the user's mail; empty: there is none
	ServiceUser    string   // the service user that the login named; empty: none
	Credential     string   // what was verified: 'password', 'service' or 'app:' and the id of an app password; empty: nothing
	Groups         []string // sorted
	Permissions    []string // by permission_name, sorted, direct and through groups

	// RegistryActions is what the app password is limited to at Docker
	// registries: pull, push, delete, catalog; nil: whatever its user may.
	RegistryActions []string

	// CredentialSHA256 is that of the app password or of the stored password
	// hash, by which something can be bound to this very credential.
	CredentialSHA256 []byte
}

// Holds reports whether the account has all of these permissions.
func (a Account) Holds(permissions []string) bool {
	for _, p := range permissions {
		if !slices.Contains(a.Permissions, p) {
			return false
		}
	}
	return true
}

// ErrDenied means that there is no such account, that it is not active, or
// that the password is wrong: one answer for all, and after the same time.
var ErrDenied = errors.New("login denied")

// A ThrottledError means that there were too many wrong passwords for this
// name from this network. Nothing was verified.
type ThrottledError struct {
	RetryAfter time.Duration // a whole number of seconds, at least one
}

func (e *ThrottledError) Error() string {
	return "too many wrong passwords, try again in " + e.RetryAfter.String()
}

// A Verifier decides who may log in. Every face of the house asks it, or the
// stored functions that it asks. It is used by pointer; Wait is called when no
// more logins come.
type Verifier struct {
	DB      querier
	Profile Profile // of new hashes

	// Observe, if there is one, is told how each login went: ok, denied,
	// throttled, busy or error.
	Observe func(outcome string)

	// MACKey names wrong passwords in the database without telling them. All
	// servers of an installation have the same.
	MACKey [32]byte

	verified successes
	attempts singleflight.Group
	queues   Queues
	slowest  atomic.Int64   // a time.Duration: see verifyHash
	working  sync.WaitGroup // what nobody waits for
}

// Verify returns the account that a login is for. The error is ErrDenied, a
// *ThrottledError, ErrBusy, or one of the database.
//
// An account without a mailbox has no PrimaryAddress: a face whose answer
// needs one denies it.
func (v *Verifier) Verify(ctx context.Context, login Login) (Account, error) {
	who, err := v.verify(ctx, login.normal())
	if v.Observe != nil {
		v.Observe(outcomeOf(err))
	}
	return who, err
}

// outcomeOf names what Verify returned.
func outcomeOf(err error) string {
	var throttled *ThrottledError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrDenied):
		return "denied"
	case errors.As(err, &throttled):
		return "throttled"
	case errors.Is(err, ErrBusy):
		return "busy"
	}
	return "error"
}

func (v *Verifier) verify(ctx context.Context, login Login) (Account, error) {
	if reason := login.impossible(); reason != "" {
		audit.LoginFailed(ctx, login.Name, login.Service, login.Client, reason)
		return Account{}, ErrDenied
	}
	app, err := ParseAppPassword(login.Password)
	switch {
	case err == nil:
		return v.verifyAppPassword(ctx, login, app)
	case errors.Is(err, ErrMistyped):
		audit.LoginRepeated(ctx, login.Name, login.Service, login.Client, "app password with a typing error")
		return Account{}, ErrDenied
	}
	return v.verifyOnce(ctx, login)
}

// verifyOnce is verifyPassword for all who come with the same at the same time:
// a page with thirty pictures is one attempt, and one hash.
func (v *Verifier) verifyOnce(ctx context.Context, login Login) (Account, error) {
	mac := v.mac(login)
	same := string(mac) + login.Client.String() + " " + login.Service
	// It goes on if the first of them hangs up, but not for longer than that one
	// would have waited.
	attempt := v.attempts.DoChan(same, func() (any, error) {
		attempt := context.WithoutCancel(ctx)
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			attempt, cancel = context.WithDeadline(attempt, deadline)
			defer cancel()
		}
		return v.verifyPassword(attempt, login, mac)
	})
	select {
	case done := <-attempt:
		who, _ := done.Val.(Account)
		return who, done.Err
	case <-ctx.Done():
		v.working.Go(func() { <-attempt })
		return Account{}, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
}

// normal returns the login with its client's address in the form that is
// counted, compared and logged: IPv4 by way of IPv6 is IPv4.
func (l Login) normal() Login {
	l.Client = l.Client.Unmap().WithZone("")
	return l
}

// impossible returns why no account can have this name or password, or
// nothing. Nobody learns from it who exists.
func (l Login) impossible() string {
	if reason := l.uncountable(); reason != "" {
		return reason
	}
	switch {
	case l.Password == "":
		return "empty password"
	case len(l.Password) > MaxPassword || strings.Contains(l.Password, "\x00"):
		return "not a password"
	}
	return ""
}

// uncountable returns why there is nobody and nothing that failures could be
// counted for, or nothing.
func (l Login) uncountable() string {
	switch {
	case !isLoginName(l.Name):
		return "no login name"
	case !isText(l.Service) || l.Service == "" || len(l.Service) > maxService:
		return "no service"
	}
	return ""
}

const (
	maxLoginName = 1024 // what auth.parse_address reads of an address at most
	maxService   = 64   // what auth.login_throttles stores
)

func isLoginName(s string) bool { return isText(s) && s != "" && len(s) <= maxLoginName }

// isText reports whether PostgreSQL takes s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func (v *Verifier) verifyAppPassword(ctx context.Context, login Login, app AppPassword) (Account, error) {
	sum := app.SHA256()
	begun, err := beginLogin(ctx, v.DB, login, app.ID(), sum[:], nil, nil)
	if err != nil {
		return Account{}, err
	}
	switch begun.Outcome {
	case "ok":
		return begun.account("app:" + app.ID()), nil
	case "denied":
		audit.LoginFailed(ctx, login.Name, login.Service, login.Client, begun.Reason)
		return Account{}, ErrDenied
	case "repeated":
		audit.LoginRepeated(ctx, login.Name, login.Service, login.Client, begun.Reason)
		return Account{}, ErrDenied
	}
	return Account{}, fmt.Errorf("begin login with an app password: unknown outcome %q", begun.Outcome)
}

func (v *Verifier) verifyPassword(ctx context.Context, login Login, mac []byte) (Account, error) {
	begun, err := beginLogin(ctx, v.DB, login, "", nil, mac, v.verified.hash(login))
	if err != nil {
		return Account{}, err
	}
	credential := "password"
	if begun.ServiceUser != "" {
		credential = "service"
	}
	switch begun.Outcome {
	case "ok":
		return begun.account(credential), nil
	case "denied":
		audit.LoginFailed(ctx, login.Name, login.Service, login.Client, begun.Reason)
		return Account{}, ErrDenied
	case "repeated":
		audit.LoginRepeated(ctx, login.Name, login.Service, login.Client, begun.Reason)
		return Account{}, ErrDenied
	case "throttled":
		throttled := &ThrottledError{RetryAfter: time.Duration(begun.RetryAfter) * time.Second}
		audit.LoginThrottled(ctx, login.Name, login.Service, login.Client, throttled.RetryAfter)
		return Account{}, throttled
	case "verify":
	default:
		return Account{}, fmt.Errorf("begin login: unknown outcome %q", begun.Outcome)
	}

	began := time.Now()
	leave, err := v.queues.Enter(ctx, login.Client)
	var ok, needsRehash bool
	if err == nil {
		ok, needsRehash, err = v.verifyHash(ctx, begun, login.Password)
		leave()
	}
	result := "ok"
	switch {
	case err != nil:
		result = "abandoned"
	case !ok:
		result = "wrong"
	}
	delay, endErr := endLogin(ctx, v.DB, login, mac, begun.PasswordHash, result)
	switch {
	case err != nil:
		return Account{}, err
	case endErr != nil:
		return Account{}, endErr
	case !ok:
		audit.LoginFailed(ctx, login.Name, login.Service, login.Client, begun.Reason)
		wait(ctx, max(delay, time.Duration(v.slowest.Load())-time.Since(began)))
		return Account{}, ErrDenied
	}
	v.verified.add(login, begun.PasswordHash)
	if needsRehash {
		v.rehash(ctx, begun, login)
	}
	return begun.account(credential), nil
}

// verifyHash is Verify for a hash that may be missing or of no use: it then
// takes as long, and the answer is no.
//
// An imported hash takes another time than one of today's, which would tell
// that the name exists. So a wrong password for it costs one of today's as
// well, and from then on every wrong answer waits for as long as the slowest
// imported hash has taken.
func (v *Verifier) verifyHash(ctx context.Context, begun begunLogin, password string) (ok, needsRehash bool, err error) {
	if stored := begun.PasswordHash; !unusable(stored) {
		began := time.Now()
		ok, needsRehash, err = Verify(ctx, stored, password, v.Profile)
		switch {
		case errors.Is(err, ErrUnsupportedHash), errors.Is(err, ErrCostlyHash):
			slog.ErrorContext(ctx, "a stored password hash cannot be verified; set a new password",
				"identifier", begun.Identifier, "service_user", begun.ServiceUser, "err", err)
		case err != nil || v.Profile.made(stored):
			return ok, needsRehash, err
		default:
			if !ok {
				Verify(ctx, v.Profile.Decoy(), password, v.Profile) // whatever comes of it, the password was wrong
			}
			v.slow(time.Since(began))
			return ok, needsRehash, nil
		}
	}
	_, _, err = Verify(ctx, v.Profile.Decoy(), password, v.Profile)
	return false, false, err
}

// slow notes that an imported hash took d.
func (v *Verifier) slow(d time.Duration) {
	d = min(d, maxSlowest)
	for {
		was := v.slowest.Load()
		if int64(d) <= was || v.slowest.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// maxSlowest is more than imported hashes of usual cost take. One that had to
// wait for a core must not make every wrong answer wait as long.
const maxSlowest = time.Second

// rehash stores a hash of today's kind for a password that was right. The login
// does not wait for it.
func (v *Verifier) rehash(ctx context.Context, begun begunLogin, login Login) {
	ctx = context.WithoutCancel(ctx)
	v.working.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, rehashTimeout)
		defer cancel()
		made, err := Hash(ctx, login.Password, v.Profile)
		if errors.Is(err, ErrNotAllowed) || errors.Is(err, ErrBusy) {
			return // the old hash is good, and there will be other logins
		}
		if err == nil {
			err = rehashPassword(ctx, v.DB, begun, made)
		}
		if err != nil {
			slog.ErrorContext(ctx, "rehash of a password", "identifier", begun.Identifier, "service_user", begun.ServiceUser, "err", err)
			return
		}
		v.verified.add(login, made)
	})
}

// rehashTimeout bounds what nobody waits for.
const rehashTimeout = 30 * time.Second

// Wait returns when nothing is left to do for logins that were answered.
func (v *Verifier) Wait() { v.working.Wait() }

// mac names a password for a login name.
func (v *Verifier) mac(login Login) []byte {
	h := hmac.New(sha256.New, v.MACKey[:])
	h.Write([]byte(login.Name))
	h.Write([]byte{0}) // no login name has one
	h.Write([]byte(login.Password))
	return h.Sum(nil)
}

// wait lets somebody who guesses wait.
func wait(ctx context.Context, delay time.Duration) {
	if delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Find returns the active account that a login name is for, without a
// password; ErrDenied if there is none. Whoever may ask this learns who exists.
func (v *Verifier) Find(ctx context.Context, name string) (Account, error) {
	if !isLoginName(name) {
		return Account{}, ErrDenied
	}
	return findLogin(ctx, v.DB, name)
}

// Throttled returns a *ThrottledError if a login with this name, service and
// client would get one; login.Password is not looked at. For servers that
// verify passwords themselves, like Dovecot with its auth-policy.
func (v *Verifier) Throttled(ctx context.Context, login Login) error {
	login = login.normal()
	if login.uncountable() != "" {
		return nil
	}
	retryAfter, err := checkLogin(ctx, v.DB, login)
	if err != nil || retryAfter == 0 {
		return err
	}
	audit.LoginThrottled(ctx, login.Name, login.Service, login.Client, retryAfter)
	return &ThrottledError{RetryAfter: retryAfter}
}

// Report counts what a server that verifies passwords itself has found out.
// login.Password is whatever tells one wrong password from the next: Dovecot
// sends a hash. credential is as in Account, or empty.
func (v *Verifier) Report(ctx context.Context, login Login, ok bool, credential string) error {
	login = login.normal()
	if !ok {
		audit.LoginFailed(ctx, login.Name, login.Service, login.Client, "reported")
	}
	if login.uncountable() != "" {
		return nil
	}
	app, isApp := strings.CutPrefix(credential, "app:")
	if !isApp || !isText(app) {
		app = ""
	}
	return reportLogin(ctx, v.DB, login, ok, v.mac(login), app)
}
