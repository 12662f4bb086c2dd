// Package account is who may log in, and with what: users, service users,
// groups, application permissions, and the verification of passwords.
//
//	loginname.go    names that log in and are no address
//	password.go     hashes of passwords that people choose, and of imported ones
//	apppassword.go  generated passwords for one device or program
//	verify.go       the one place that decides who may log in
//	queues.go       whose hashes are computed next
//	successes.go    passwords that were right a moment ago
//	apiclient.go    secrets of machines that ask on behalf of others
//	db.go           calls into sql/api/login.sql
//
// A password that a person chose is kept as a crypt(3) hash, because Dovecot,
// OpenSMTPD and Apache read the same hash through SQL and ask crypt(3). A
// generated password needs no slow hash: this server looks it up by its id and
// compares SHA-256.
//
// Who is active, in a group or throttled is decided by the stored functions;
// sql/api/login.sql tells how a login goes. This package computes what they
// store and compare.
package account
