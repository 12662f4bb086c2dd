package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// policy returns the Content-Security-Policy of a page.
func (o Options) policy() (string, error) {
	formAction := "form-action 'self'"
	for _, source := range o.FormAction {
		if source == "" {
			continue
		}
		if !isSource(source) {
			return "", fmt.Errorf("form action %q is no source of a Content-Security-Policy", source)
		}
		formAction += " " + source
	}
	directives := []string{
		"default-src 'none'",
		"style-src 'self'",
		"img-src 'self'",
		formAction,
		"frame-ancestors 'none'",
		"base-uri 'none'",
	}
	if o.Script {
		directives = append(directives, "script-src 'self'")
	}
	return strings.Join(directives, "; "), nil
}

// FormActionSource returns what Options.FormAction needs so that a form may
// lead to redirectURI: its origin, or its scheme if it has no host that a
// Content-Security-Policy can name: the redirect URI of an app, an IPv6 address,
// most IPv4 addresses (CSP 3 sections 2.3.1 and 6.7.2.9). Empty: a page must not lead there, because it is no
// absolute URI or one that runs or shows what it contains.
func FormActionSource(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || !isScheme(u.Scheme) {
		return ""
	}
	switch u.Scheme {
	case "javascript", "vbscript", "data", "blob", "filesystem", "about", "file", "view-source":
		return ""
	case "http", "https":
	default:
		return u.Scheme + ":"
	}
	if u.Opaque != "" || u.Host == "" {
		return ""
	}
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if !isOrigin(origin) {
		return u.Scheme + ":"
	}
	return origin
}

// FormActions returns what Options.FormAction needs so that a form may lead to
// redirectURI, and from there to one of the application's origins: browsers look
// at every redirect that follows a form, also at those of other sites.
func FormActions(redirectURI string, origins []string) []string {
	var sources []string
	for _, uri := range append([]string{redirectURI}, origins...) {
		if source := FormActionSource(uri); source != "" && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return sources
}

// isSource reports whether s is the source of an origin or of a scheme, and so
// has nothing that ends a source or a directive.
func isSource(s string) bool {
	if scheme, ok := strings.CutSuffix(s, ":"); ok {
		return isScheme(scheme)
	}
	return isOrigin(s)
}

// isOrigin reports whether s is a host-source with scheme and without path,
// in lower case.
func isOrigin(s string) bool {
	scheme, host, ok := strings.Cut(s, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return false
	}
	if name, port, ok := strings.Cut(host, ":"); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		host = name
	}
	if len(host) > 253 || strings.ContainsFunc(host, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.')
	}) {
		return false
	}
	labels := strings.Split(host, ".")
	if slices.Contains(labels, "") {
		return false
	}
	// What ends in a number is an IPv4 address, or nothing (URL Standard,
	// section 3.5). Of those a source matches only one (CSP 3 section 6.7.2.9).
	last := labels[len(labels)-1]
	return last[0] < '0' || '9' < last[0] || host == "127.0.0.1"
}

// isScheme reports whether s is a scheme (RFC 3986 section 3.1), in lower case.
func isScheme(s string) bool {
	if s == "" || s[0] < 'a' || 'z' < s[0] {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("+-.", r))
	})
}
