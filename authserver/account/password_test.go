package account

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each stored hash is that of its password, made by another program: crypt(3),
// Django, the reference argon2 and OpenLDAP's rules.
var vectors = map[string]struct{ stored, password string }{
	// "Unix crypt using SHA-256 and SHA-512", test vectors.
	"sha256-crypt, default rounds": {"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"},
	"sha256-crypt, rounds":         {"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"},
	"sha512-crypt, default rounds": {"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"},
	"sha512-crypt, no salt":        {"$6$rounds=1000$$MwL1ngOSTyhRTmswE6q2bTvDqHdFuhV10m2l0x3JOy.OEau0xfOpeR/0OC9iLEfgib0feJ9KJveLUAQeA8NXr1", "x"},
	"bcrypt 2a":                    {"$2a$04$abcdefghijklmnopqrstuuFuhxWRTXIsURoluSTZ1N4tYaWGn9oOi", "opensesame"},
	"bcrypt 2b":                    {"$2b$04$abcdefghijklmnopqrstuuFuhxWRTXIsURoluSTZ1N4tYaWGn9oOi", "opensesame"},
	"bcrypt 2y":                    {"$2y$04$abcdefghijklmnopqrstuuFuhxWRTXIsURoluSTZ1N4tYaWGn9oOi", "opensesame"},
	"bcrypt cut at 72 bytes":       {"$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i", strings.Repeat("x", 80)},
	"yescrypt, least cost":         {"$y$j75$z7ztFz2FayrKI79/jEwlL.$u5x/j193MQ09wbFaRGYr0AH/A/jh3kunjuhYRVRNkmC", "test1"},
	"yescrypt, Debian's cost":      {"$y$j9T$fqIAg4Vpv9o1MKgWMnyax.$BxkUx27fLJlPOfyIfNEBPzjrDQ95LXKgN5OJii3GL7.", "test5"},
	"argon2id":                     {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
	"Django":                       {"pbkdf2_sha256$24000$seasalt$V9DfCAVoweeLwxC/L2mb+7swhzF0XYdyQMqmusZqiTc=", "lètmein"},
	"LDAP":                         {"{SSHA}br3Pzk4F4oUXBWHR6BjmkFbB3PZzYWx0c2FsdA==", "opensesame"},
}

func TestVerifyVectors(t *testing.T) {
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, needsRehash, err := Verify(t.Context(), v.stored, v.password, Standard)
			if err != nil || !ok {
				t.Fatalf("Verify = %v, %v; want the password to match", ok, err)
			}
			if want := !strings.HasPrefix(v.stored, "$y$j9T$"); needsRehash != want {
				t.Errorf("needs rehash: %v, want %v", needsRehash, want)
			}

			// The first characters differ, as bcrypt ignores what comes last.
			ok, needsRehash, err = Verify(t.Context(), v.stored, "X"+v.password, Standard)
			if err != nil || ok || needsRehash {
				t.Errorf("another password: Verify = %v, %v, %v; want false, false, nil", ok, needsRehash, err)
			}
		})
	}
}

func TestVerifyMatchesNothing(t *testing.T) {
	good := vectors["sha512-crypt, default rounds"]
	cut := vectors["bcrypt 2b"]
	tests := map[string]struct{ stored, password string }{
		"no hash":                    {"", "secret"},
		"no hash, no password":       {"", ""},
		"unusable":                   {Unusable, "!"},
		"Django's unusable":          {"!kq2v3pXo8bL0dJ5tYwRzUe7sHfGcA1nM9iT4xKvE", "secret"},
		"locked":                     {"!" + good.stored, good.password},
		"shadow's star":              {"*", "*"},
		"crypt's failure":            {"*0", "secret"},
		"empty password":             {good.stored, ""},
		"NUL and more after it":      {cut.stored, cut.password + "\x00x"},
		"longer than crypt(3) takes": {good.stored, strings.Repeat("x", MaxPassword+1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ok, needsRehash, err := Verify(t.Context(), tt.stored, tt.password, Standard)
			if ok || needsRehash || err != nil {
				t.Errorf("Verify = %v, %v, %v; want false, false, nil", ok, needsRehash, err)
			}
		})
	}
}

// A hash of the empty password is not matched by it either.
func TestVerifyHashOfEmptyPassword(t *testing.T) {
	stored := perlCrypt(t, "", "$6$rounds=1000$salt$")
	if ok, _, err := Verify(t.Context(), stored, "", Standard); ok || err != nil {
		t.Errorf("Verify = %v, %v; want false, nil", ok, err)
	}
}

func TestVerifyRefusesHashes(t *testing.T) {
	sha256Key, sha512Key := strings.Repeat("a", 43), strings.Repeat("a", 86)
	bcryptRest := strings.Repeat("a", 53)
	argon2Rest := "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	django := "$seasalt$V9DfCAVoweeLwxC/L2mb+7swhzF0XYdyQMqmusZqiTc="
	tests := map[string]struct {
		stored string
		want   error
	}{
		"a password in clear":             {"secret", ErrUnsupportedHash},
		"DES":                             {"ab1l0x4dSJFkM", ErrUnsupportedHash},
		"MD5":                             {"$1$salt$qJH7.N4xYta3aEG/dfqo/0", ErrUnsupportedHash},
		"bcrypt with the sign bug":        {"$2x$04$" + bcryptRest, ErrUnsupportedHash},
		"bcrypt cost below 4":             {"$2b$03$" + bcryptRest, ErrUnsupportedHash},
		"bcrypt, short":                   {"$2b$04$" + bcryptRest[1:], ErrUnsupportedHash},
		"bcrypt, a day":                   {"$2b$31$" + bcryptRest, ErrCostlyHash},
		"bcrypt, one more than the limit": {"$2b$15$" + bcryptRest, ErrCostlyHash},
		"sha-crypt, hours":                {"$6$rounds=999999999$salt$" + sha512Key, ErrCostlyHash},
		"sha-crypt, one over the limit":   {"$5$rounds=2000001$salt$" + sha256Key, ErrCostlyHash},
		"sha-crypt, too few rounds":       {"$6$rounds=999$salt$" + sha512Key, ErrUnsupportedHash},
		"sha-crypt, leading zero":         {"$6$rounds=01000$salt$" + sha512Key, ErrUnsupportedHash},
		"sha-crypt, rounds twice":         {"$6$rounds=1000,rounds=999999999$salt$" + sha512Key, ErrUnsupportedHash},
		"sha-crypt, long salt":            {"$6$saltsaltsaltsalts$" + sha512Key, ErrUnsupportedHash},
		"sha-crypt, key of the other":     {"$5$salt$" + sha512Key, ErrUnsupportedHash},
		"yescrypt, a gigabyte":            {"$y$jFT$" + strings.Repeat("a", 22) + "$" + sha256Key, ErrCostlyHash},
		"yescrypt, an exabyte":            {"$y$jzz$" + strings.Repeat("a", 22) + "$" + sha256Key, ErrUnsupportedHash},
		"yescrypt, other flavour":         {"$y$/7/$abcdefghijklmnop$uP9.FKcWEh1OuZcpvhQlqQ1udEBQzAFaIIg81EX5LW.", ErrUnsupportedHash},
		"yescrypt, salt of no byte":       {"$y$j75$a$" + sha256Key[1:] + "1", ErrUnsupportedHash},
		"argon2i":                         {"$argon2i$v=19$m=256,t=2,p=1" + argon2Rest, ErrUnsupportedHash},
		"argon2id, old version":           {"$argon2id$v=16$m=256,t=2,p=1" + argon2Rest, ErrUnsupportedHash},
		"argon2id, terabytes":             {"$argon2id$v=19$m=4294967295,t=1,p=1" + argon2Rest, ErrCostlyHash},
		"argon2id, more than 32 bits":     {"$argon2id$v=19$m=9999999999,t=9999999999,p=1" + argon2Rest, ErrCostlyHash},
		"argon2id, many passes":           {"$argon2id$v=19$m=65536,t=17,p=1" + argon2Rest, ErrCostlyHash},
		"argon2id, many small passes":     {"$argon2id$v=19$m=8,t=101,p=1" + argon2Rest, ErrCostlyHash},
		"argon2id, many lanes":            {"$argon2id$v=19$m=65536,t=1,p=10000" + argon2Rest, ErrCostlyHash},
		"argon2id, no lane":               {"$argon2id$v=19$m=65536,t=1,p=0" + argon2Rest, ErrUnsupportedHash},
		"argon2id, memory twice":          {"$argon2id$v=19$m=8,t=1,p=1,m=4294967295" + argon2Rest, ErrUnsupportedHash},
		"Django, hours":                   {"pbkdf2_sha256$4000000000" + django, ErrCostlyHash},
		"Django, no iteration":            {"pbkdf2_sha256$0" + django, ErrUnsupportedHash},
		"Django with SHA-1":               {"pbkdf2_sha1$24000$seasalt$WPMJ9YHWXqdNCmhfYTnGdbWLRSA=", ErrUnsupportedHash},
		"LDAP without salt":               {"{SSHA}oUXBWHR6BjmkFbB3PZzYWx0c2E=", ErrUnsupportedHash},
		"prefix that import takes off":    {"{CRYPT}" + vectors["sha512-crypt, default rounds"].stored, ErrUnsupportedHash},
		"very long":                       {"pbkdf2_sha256$1000$" + strings.Repeat("s", maxHash), ErrUnsupportedHash},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ok, _, err := Verify(t.Context(), tt.stored, "secret", Standard)
			if ok || !errors.Is(err, tt.want) {
				t.Fatalf("Verify = %v, %v; want %v", ok, err, tt.want)
			}
			for _, part := range strings.Split(tt.stored, "$") {
				if len(part) > 10 && strings.Contains(err.Error(), part) {
					t.Errorf("error %q repeats %q of the hash", err, part)
				}
			}
			if CryptVerifiable(tt.stored) {
				t.Error("may leave through SQL")
			}
		})
	}
}

func TestHash(t *testing.T) {
	form := map[Profile]*regexp.Regexp{
		Standard: regexp.MustCompile(`^\$y\$j9T\$[./0-9A-Za-z]{22}\$[./0-9A-Za-z]{43}$`),
		Portable: regexp.MustCompile(`^\$2b\$12\$[./0-9A-Za-z]{53}$`),
	}
	for profile, form := range form {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			stored, err := Hash(t.Context(), "correct horse", profile)
			if err != nil {
				t.Fatal(err)
			}
			if !form.MatchString(stored) {
				t.Fatalf("hash %q, want %v", stored, form)
			}
			if !CryptVerifiable(stored) || !profile.made(stored) {
				t.Errorf("%q may not leave through SQL, or would be replaced", stored)
			}
			if got := perlCrypt(t, "correct horse", stored); got != stored {
				t.Errorf("crypt(3) makes %q of it, not %q", got, stored)
			}
		})
	}
}

// A decoy costs what a hash of the profile costs.
func TestDecoy(t *testing.T) {
	for _, profile := range []Profile{Standard, Portable, ""} {
		if decoy := profile.Decoy(); !CryptVerifiable(decoy) || !profile.made(decoy) {
			t.Errorf("%q: decoy %q is no hash of it", profile, decoy)
		}
	}
}

func TestProfileSet(t *testing.T) {
	var p Profile
	if err := p.Set("portable"); err != nil || p != Portable {
		t.Errorf("Set: %v, %q", err, p)
	}
	if err := p.Set("md5"); err == nil || p != Portable {
		t.Errorf("Set of an unknown profile: %v, %q", err, p)
	}
}

// A password that the wanted profile cannot hash stays with its old hash.
func TestVerifyNoRehashOfLongPassword(t *testing.T) {
	long := strings.Repeat("x", MaxPortable+1)
	stored := perlCrypt(t, long, "$6$rounds=1000$salt$")
	for profile, want := range map[Profile]bool{Standard: true, Portable: false} {
		ok, needsRehash, err := Verify(t.Context(), stored, long, profile)
		if !ok || needsRehash != want || err != nil {
			t.Errorf("%s: Verify = %v, %v, %v; want true, %v, nil", profile, ok, needsRehash, err, want)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	tests := map[string]struct {
		password string
		profile  Profile
		ok       bool
	}{
		"ordinary":                   {"correct horse", Standard, true},
		"colon, bar and quotes":      {`a:b|c'd"e`, Standard, true},
		"UTF-8":                      {"lètmein", Portable, true},
		"empty":                      {"", Standard, false},
		"NUL":                        {"a\x00b", Standard, false},
		"newline":                    {"a\nb", Standard, false},
		"carriage return at the end": {"a\r", Standard, false},
		"not UTF-8":                  {"l\xe8tmein", Standard, false},
		"as long as crypt takes":     {strings.Repeat("x", MaxPassword), Standard, true},
		"longer than crypt takes":    {strings.Repeat("x", MaxPassword+1), Standard, false},
		"as long as bcrypt takes":    {strings.Repeat("x", MaxPortable), Portable, true},
		"an app password":            {"apk3f9x2-7q0wzr4-m8n5t1c-v6b2h9d-e3s7yxj", Standard, false},
		"one with a typing error":    {"APK3F9X2 7q0wzr4 m8n5t1c v6b2h9d e3s7yxk", Standard, false},
		"longer than bcrypt takes":   {strings.Repeat("x", MaxPortable+1), Portable, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := CheckPassword(tt.password, tt.profile)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrNotAllowed) {
				t.Errorf("CheckPassword: %v", err)
			}
			if !tt.ok {
				if stored, err := Hash(t.Context(), tt.password, tt.profile); !errors.Is(err, ErrNotAllowed) {
					t.Errorf("Hash = %q, %v; want ErrNotAllowed", stored, err)
				}
			}
		})
	}
}

func TestCryptVerifiable(t *testing.T) {
	for name, v := range vectors {
		want := strings.HasPrefix(v.stored, "$") && !strings.HasPrefix(v.stored, "$argon2")
		if got := CryptVerifiable(v.stored); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, stored := range []string{"", "!", "*", "$", "$6$", "$y$j9T$", "{CRYPT}$6$x$y", "secret"} {
		if CryptVerifiable(stored) {
			t.Errorf("%q may leave through SQL", stored)
		}
	}
}

func TestImportHash(t *testing.T) {
	sha512, sha256 := vectors["sha512-crypt, default rounds"].stored, vectors["sha256-crypt, rounds"].stored
	bcrypt, argon2, ssha := vectors["bcrypt 2y"].stored, vectors["argon2id"].stored, vectors["LDAP"].stored
	tests := map[string]struct{ foreign, want string }{ // want "": an error
		"bare":                   {sha256, sha256},
		"line of a file":         {sha256 + "\n", sha256},
		"OpenLDAP":               {"{CRYPT}" + sha512, sha512},
		"OpenLDAP in lower case": {"{crypt}" + sha512, sha512},
		"Dovecot":                {"{SHA512-CRYPT}" + sha512, sha512},
		"Dovecot, bcrypt":        {"{BLF-CRYPT}" + bcrypt, bcrypt},
		"Dovecot, argon2":        {"{ARGON2ID}" + argon2, argon2},
		"Django, argon2":         {"argon2" + argon2, argon2},
		"Django, bcrypt":         {"bcrypt$" + bcrypt, bcrypt},
		"salted SHA-1":           {"{ssha}" + strings.TrimPrefix(ssha, "{SSHA}"), ssha},
		"nothing":                {"", Unusable},
		"Django's unusable":      {"!kq2v3pXo8bL0dJ5tYwRzUe7sHfGcA1nM9iT4xKvE", Unusable},
		"shadow's locked":        {"{CRYPT}!", Unusable},
		"clear text":             {"{PLAIN}secret", ""},
		"plain MD5":              {"{MD5}X03MO1qnZdYdgyfeuILPmQ==", ""},
		"two prefixes":           {"{CRYPT}{CRYPT}" + sha512, ""},
		"absurd cost":            {"{CRYPT}$2b$31$" + strings.Repeat("a", 53), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ImportHash(tt.foreign)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("ImportHash = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// Every format that crypt(3) verifies is verified here too, whoever made it.
func TestVerifyWhatCryptMakes(t *testing.T) {
	settings := map[string]string{
		"sha256-crypt": "$5$rounds=1000$0123456789abcdef$",
		"sha512-crypt": "$6$rounds=1000$./ABCDEF$",
		"bcrypt":       "$2b$04$......................",
		"yescrypt":     "$y$j75$abcdefghijklmnop",
	}
	passwords := []string{"x", "correct horse", "lètmein", "with : | ' \" \\ $ %", strings.Repeat("0123456789", 7)}
	for name, setting := range settings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, password := range passwords {
				stored := perlCrypt(t, password, setting)
				if ok, _, err := Verify(t.Context(), stored, password, Standard); !ok || err != nil {
					t.Errorf("%q, hash %q: Verify = %v, %v", password, stored, ok, err)
				}
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	t.Run("one waits for the other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := make(places, 1)
			if err := p.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			second := make(chan error)
			go func() { second <- p.acquire(t.Context()) }()
			synctest.Wait()
			select {
			case err := <-second:
				t.Fatalf("no place was free, acquire: %v", err)
			default:
			}
			p.release()
			if err := <-second; err != nil {
				t.Errorf("a place was free, acquire: %v", err)
			}
		})
	})
	t.Run("nobody waits for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := make(places, 1)
			p.acquire(t.Context())
			start := time.Now()
			err := p.acquire(t.Context())
			if waited := time.Since(start); !errors.Is(err, ErrBusy) || waited != maxWait {
				t.Errorf("acquire: %v after %v; want ErrBusy after %v", err, waited, maxWait)
			}
		})
	})
	t.Run("who has left gets no place", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := make(places, 1).acquire(ctx); !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
			t.Errorf("acquire: %v; want ErrBusy and context.Canceled", err)
		}
	})
}

// With every core taken, what needs one is refused, and what does not is served.
func TestBusy(t *testing.T) {
	for range cap(cores) {
		if err := cores.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer cores.release()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if _, err := Hash(ctx, "secret", Standard); !errors.Is(err, ErrBusy) {
		t.Errorf("Hash: %v, want ErrBusy", err)
	}
	for name, v := range vectors {
		cheap := strings.HasPrefix(name, "sha512-crypt") || name == "sha256-crypt, default rounds" || name == "LDAP"
		ok, _, err := Verify(ctx, v.stored, v.password, Standard)
		if ok != cheap || !cheap && !errors.Is(err, ErrBusy) {
			t.Errorf("%s: Verify = %v, %v", name, ok, err)
		}
	}
}

// Whatever is stored, Verify returns, and its error repeats nothing of it that
// could help to guess. Only hashes that are well formed and affordable are
// computed.
func FuzzVerify(f *testing.F) {
	for name, v := range vectors {
		if name != "yescrypt, Debian's cost" {
			f.Add(v.stored, v.password)
		}
	}
	f.Add("$6$rounds=999999999$salt$"+strings.Repeat("a", 86), "x")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "x")
	f.Add("$2b$31$"+strings.Repeat("a", 53), "\x00")
	f.Fuzz(func(t *testing.T, stored, password string) {
		ok, needsRehash, err := Verify(t.Context(), stored, password, Standard)
		if ok && (password == "" || unusable(stored) || err != nil) {
			t.Errorf("Verify(%q, %q) = true, %v", stored, password, err)
		}
		if needsRehash && !ok {
			t.Errorf("Verify(%q, %q): rehash without a match", stored, password)
		}
		if err == nil && CryptVerifiable(stored) && !regexp.MustCompile(`^\$(5|6|2[aby]|y)\$`).MatchString(stored) {
			t.Errorf("%q may leave through SQL", stored)
		}
		if again, err := ImportHash(stored); err == nil {
			if twice, err := ImportHash(again); err != nil || twice != again {
				t.Errorf("ImportHash(%q) = %q, and of that %q, %v", stored, again, twice, err)
			}
		}
	})
}

// perlCrypt returns what crypt(3) makes of password.
func perlCrypt(t *testing.T, password, setting string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "perl", "-e",
		`chomp(my ($password, $setting) = <STDIN>); print crypt($password, $setting)`)
	cmd.Stdin = strings.NewReader(password + "\n" + setting + "\n")
	out, err := cmd.Output()
	if err != nil || strings.HasPrefix(string(out), "*") {
		t.Fatalf("perl crypt: %q, %v", out, err)
	}
	return string(out)
}

func BenchmarkHash(b *testing.B) {
	for _, p := range []Profile{Standard, Portable} {
		b.Run(string(p), func(b *testing.B) {
			for b.Loop() {
				if _, err := Hash(b.Context(), "correct horse", p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	salt, key := strings.Repeat("a", 16), strings.Repeat("a", 43)
	for name, stored := range map[string]string{
		"yescrypt":           Standard.Decoy(),
		"bcrypt12":           Portable.Decoy(),
		"sha256crypt1070000": fmt.Sprintf("$5$rounds=1070000$%s$%s", salt, key),
		"sha512crypt656000":  fmt.Sprintf("$6$rounds=656000$%s$%s%s", salt, key, key),
		"sha512crypt1000":    fmt.Sprintf("$6$rounds=1000$%s$%s%s", salt, key, key),
		"argon2id64MiB":      "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"django1000000":      "pbkdf2_sha256$1000000$seasalt$V9DfCAVoweeLwxC/L2mb+7swhzF0XYdyQMqmusZqiTc=",
		"ssha":               vectors["LDAP"].stored,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ok, _, err := Verify(b.Context(), stored, "correct horse", Standard); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
