// Package address is the grammar of mail addresses and domains: what is
// accepted, and the one form in which it is stored and compared.
//
//	address.go  an address: RFC 5321 section 4.1.2, RFC 6531 section 3.3
//	domain.go   a domain: A-labels, RFC 5890
//
// ASCII letters are folded to lower case, and no others: locales disagree
// about those. Text must be in Unicode normalization form NFC and a domain
// becomes A-labels, so that equal names are equal strings. Nothing is trimmed.
//
// The stored function auth.parse_address has the same grammar for what other
// servers ask, and agrees with ParseAddress wherever the domain is ASCII. A
// domain with other letters is known there as the U-labels stored beside it.
package address
