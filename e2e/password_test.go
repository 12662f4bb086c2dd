package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"authbridge/authserver/account"

	"github.com/jackc/pgx/v5"
)

// storedHash is a hash as the database holds it, and the password behind it.
type storedHash struct{ stored, password string }

const importedPassword = "Grüße, 1 correct horse"

// importedHashes are what other systems have stored for importedPassword, of
// every kind that crypt(3) verifies. Perl's crypt of Debian 12 has made them.
var importedHashes = map[string]string{
	"5":          "{CRYPT}$5$saltsaltsaltsalt$4wkqrAfRWq9kXwsLdmNq375QLmkVRLZSEKh/09V9cCB",
	"5-rounds":   "$5$rounds=10000$saltsaltsaltsalt$kvrlzAcODUYLBRmxAqVTkLB6A0jSylwP2Jwn5LKT.35",
	"6":          "{SHA512-CRYPT}$6$saltsalt$WSlBHobNSqf3DavGvynfHceLwmnKragMMR2m6qnMolvRrSMSSfV9ZqAQz5rpeVlwklP7dKgyFotiPvONKHOys0",
	"6-rounds":   "$6$rounds=10000$saltsaltsaltsalt$OB434of6xFrkgLutUlHzBR4medgAZJ6GaMMGbKxVyA.DvaC87u1wUIdh9U65bmSEK9rRrLeEOUonwhv9FSAem.",
	"2a":         "$2a$04$abcdefghijklmnopqrstuuRWVMpPqxYXdDTKJbhDJbgYU76ksY7AC",
	"2b":         "bcrypt$$2b$04$abcdefghijklmnopqrstuuRWVMpPqxYXdDTKJbhDJbgYU76ksY7AC",
	"2y":         "{BLF-CRYPT}$2y$04$abcdefghijklmnopqrstuuRWVMpPqxYXdDTKJbhDJbgYU76ksY7AC",
	"y":          "$y$jD5$abcdefghijklmnop$3mPXMJmpX3mEWoNKsulX1n7AKAVc.5C9Rh0Rtc75fZC",
	"y-shortest": "$y$j75$abcdefghijklmnop$Tqek5CO/j7Q4M.W5COsl3OtcFxvA/rY7JLCidzt7rUD",
}

// storedHashes are of every kind that we make, and of every kind that we take
// from other systems and hand out.
var storedHashes = sync.OnceValues(func() (map[string]storedHash, error) {
	hashes := map[string]storedHash{}
	for name, foreign := range importedHashes {
		stored, err := account.ImportHash(foreign)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		hashes[name] = storedHash{stored, importedPassword}
	}
	for name, made := range map[string]struct {
		profile  account.Profile
		password string
	}{
		"standard":         {account.Standard, "ein Käse für 5€"},
		"standard-longest": {account.Standard, strings.Repeat("Käse 5€", account.MaxPassword/10) + "!"},
		"portable-longest": {account.Portable, strings.Repeat("Käse 5€ ", account.MaxPortable/11) + "123456"},
	} {
		stored, err := account.Hash(context.Background(), made.password, made.profile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		hashes[name] = storedHash{stored, made.password}
	}
	app := account.NewAppPassword()
	stored, err := app.Crypt()
	if err != nil {
		return nil, err
	}
	hashes["app-password"] = storedHash{stored, app.Text()}
	return hashes, nil
})

func readStoredHashes(t *testing.T) map[string]storedHash {
	t.Helper()
	hashes, err := storedHashes()
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// wrong returns another password, of the same length.
func wrong(password string) string { return "X" + password[1:] }

// The programs that our hashes are for verify them.
func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	// Both say whether a password matches a hash.
	verifiers := map[string]func(root *Root, h storedHash) (bool, error){
		"doveadm": func(root *Root, h storedHash) (bool, error) {
			out, err := root.Try("doveadm", "pw", "-t", "{CRYPT}"+h.stored, "-p", h.password)
			switch {
			case err == nil && strings.Contains(out, "(verified)"):
				return true, nil
			case err != nil && strings.Contains(out, "Password mismatch"):
				return false, nil
			}
			return false, fmt.Errorf("%q, %w", out, err)
		},
		"crypt": func(root *Root, h storedHash) (bool, error) {
			out, err := root.Try("perl", "-e", `print crypt($ARGV[0], $ARGV[1])`, h.password, h.stored)
			if err == nil && len(out) != len(h.stored) {
				err = fmt.Errorf("crypt(3) does not know the hash: %q", out)
			}
			return out == h.stored, err
		},
	}
	for _, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			root := NewRoot(t, release)
			for name, h := range readStoredHashes(t) {
				for program, verifies := range verifiers {
					if ok, err := verifies(root, h); !ok || err != nil {
						t.Errorf("%s, %s: not verified: %v", name, program, err)
					}
					if ok, err := verifies(root, storedHash{h.stored, wrong(h.password)}); ok || err != nil {
						t.Errorf("%s, %s: a wrong password: verified %v, %v", name, program, ok, err)
					}
				}
			}
		})
	}
}

// The other way round: what Dovecot stores is verified here.
func TestDovecotHashes(t *testing.T) {
	t.Parallel()
	for version, d := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			root := NewRoot(t, d.root)
			for _, scheme := range []string{"SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "CRYPT", "ARGON2ID", "SSHA"} {
				foreign := dovecotHash(root, scheme)
				stored, err := account.ImportHash(foreign)
				if err != nil {
					t.Errorf("%s: %v", foreign, err)
					continue
				}
				if ok, _, err := account.Verify(t.Context(), stored, importedPassword, account.Standard); !ok || err != nil {
					t.Errorf("%s: not verified: %v", foreign, err)
				}
				if ok, _, err := account.Verify(t.Context(), stored, wrong(importedPassword), account.Standard); ok || err != nil {
					t.Errorf("%s: a wrong password: verified %v, %v", foreign, ok, err)
				}
			}
		})
	}
}

// dovecotHash returns the hash that Dovecot makes of importedPassword.
func dovecotHash(root *Root, scheme string) string {
	return strings.TrimSpace(root.Run("doveadm", "pw", "-s", scheme, "-p", importedPassword))
}

// unknownToCrypt returns hashes of importedPassword that only this system
// verifies.
func unknownToCrypt(t *testing.T, root *Root) map[string]storedHash {
	t.Helper()
	hashes := map[string]storedHash{}
	for name, foreign := range map[string]string{
		"argon2id": dovecotHash(root, "ARGON2ID"),
		"ssha":     dovecotHash(root, "SSHA"),
		"pbkdf2":   "pbkdf2_sha256$1000$seasalt$TfVI/X1w90TKkHLhpkYBvIfYE3j50kpGFIJ8ppDvj1A=",
	} {
		stored, err := account.ImportHash(foreign)
		if err != nil {
			t.Fatal(name, err)
		}
		if ok, _, err := account.Verify(t.Context(), stored, importedPassword, account.Standard); !ok || err != nil {
			t.Fatalf("%s: not verified: %v", name, err)
		}
		hashes[name] = storedHash{stored, importedPassword}
	}
	return hashes
}

// OpenSMTPD verifies whatever comes out of the database, and nothing that
// crypt(3) would not know comes out.
func TestOpenSMTPDHashes(t *testing.T) {
	t.Parallel()
	for version, o := range opensmtpds {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			smtpd := startOpenSMTPD(t, version, asItStands)
			conn := OpenDatabase(t, o.database).Connect(t)
			// At once, because OpenSMTPD takes its time to refuse.
			var logins sync.WaitGroup
			defer logins.Wait()
			try := func(name string, h storedHash, password string, code int) {
				login := addLogin(t, conn, name, h.stored)
				client := DialSMTP(t, smtpd.submission, true)
				logins.Go(func() {
					if err := LoginSMTP(client, login, password); ReplyCode(err) != code || (err == nil) != (code == 0) {
						t.Errorf("%s, password %q: %v, want %d", name, password, err, code)
					}
				})
			}
			for name, h := range readStoredHashes(t) {
				try(name, h, h.password, 0)
				try(name, h, wrong(h.password), 535)
			}
			for name, h := range unknownToCrypt(t, smtpd.Root) {
				try(name, h, h.password, 535)
				try(name, h, h.stored, 535)
			}
		})
	}
}

// addLogin gives alice a service user with this password hash.
func addLogin(t *testing.T, conn *pgx.Conn, name, stored string) (login string) {
	t.Helper()
	login = "svc-hash-" + name
	if _, err := conn.Exec(t.Context(), `
		with name as (insert into auth.login_names (name, kind) values ($1, 'service_user') on conflict do nothing)
		insert into auth.service_users (user_id, username, password_hash)
		select u.id, $1, $2 from auth.users u where u.identifier = 'alice'
		on conflict (username) do update set password_hash = excluded.password_hash`, login, stored); err != nil {
		t.Fatal(err)
	}
	return login
}

// A mail server sees the hash of a user or service user only if crypt(3) knows
// it.
func TestHashesThatLeave(t *testing.T) {
	t.Parallel()
	for version, d := range dovecots {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			conn := OpenDatabase(t, d.database).Connect(t)
			for name, h := range readStoredHashes(t) {
				if got := leaves(t, conn, h.stored); !slices.Equal(got, []string{h.stored, h.stored, h.stored, h.stored}) {
					t.Errorf("%s: %q", name, got)
				}
			}
			unknown := unknownToCrypt(t, NewRoot(t, d.root))
			unknown["unusable"] = storedHash{account.Unusable, ""}
			for name, h := range unknown {
				if account.CryptVerifiable(h.stored) {
					t.Errorf("%s: CryptVerifiable", name)
				}
				if got := leaves(t, conn, h.stored); len(got) > 0 {
					t.Errorf("%s: %q", name, got)
				}
			}
		})
	}
}

// leaves returns what the login of a mail server gets if a user and a service
// user had this password hash.
func leaves(t *testing.T, conn *pgx.Conn, stored string) []string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background()) // nothing that others see has changed
	for _, table := range []string{"users set password_hash = $1 where identifier = 'alice'", "service_users set password_hash = $1 where username = 'svc-printer'"} {
		if _, err := tx.Exec(t.Context(), "update auth."+table, stored); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(t.Context(), `set local session authorization "dovecot-authserver"`); err != nil {
		t.Fatal(err)
	}
	rows, _ := tx.Query(t.Context(), `
		select c.password
		  from (values ('alice@example.com'), ('svc-printer')) l (login),
		       lateral (select * from authserver_get_credentials(l.login)
		                union all
		                select * from authserver_get_credentials(l.login, 'imap')) c`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}
