// Package account is who may log in, and with what: users, service users,
// groups, application permissions, and the verification of passwords.
//
//	loginname.go    names that log in and are no address
//	password.go     hashes of passwords that people choose, and of imported ones
//	apppassword.go  generated passwords for one device or program
//
// A password that a person chose is kept as a crypt(3) hash, because Dovecot,
// OpenSMTPD and Apache read the same hash through SQL and ask crypt(3). A
// generated password needs no slow hash: this server looks it up by its id and
// compares SHA-256.
//
// Who is active, in a group or throttled is decided by the stored functions.
// This package computes what they store and compare.
package account
