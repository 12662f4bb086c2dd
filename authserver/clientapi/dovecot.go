package clientapi

import (
	"errors"
	"net/http"

	"authbridge/authserver/account"
)

// DovecotPolicy serves POST /dovecot/auth-policy. A Dovecot that verifies
// passwords itself asks before and after it does whether it may (allow), and
// says how it went (report).
func (a *API) DovecotPolicy(w http.ResponseWriter, r *http.Request) error {
	if err := secure(r); err != nil {
		return err
	}
	if err := a.requireTrusted(r); err != nil {
		return err
	}
	var p policyRequest
	if err := readJSON(w, r, &p); err != nil {
		return err
	}
	login, err := p.login()
	if err != nil {
		return err
	}

	var answer policyAnswer
	switch command := r.URL.Query().Get("command"); {
	case command != "allow" && command != "report":
		return &Error{Status: http.StatusBadRequest, Message: "Invalid command (can be allow or report)"}
	case command == "report" && p.Success == nil:
		return errParameters
	case login.Name == "":
		// Dovecot asks for connections, too, that end before a name is sent.
	case command == "allow":
		answer, err = a.allow(r, login)
	case p.counts():
		err = a.Verifier.Report(r.Context(), login, *p.Success, p.Attrs.Cred)
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// allow says no to a login that is throttled. After a delay, which Dovecot can
// do as well, the guess would be verified all the same. Only this name from
// this network is refused: its owner gets in from elsewhere.
func (a *API) allow(r *http.Request, login account.Login) (policyAnswer, error) {
	err := a.Verifier.Throttled(r.Context(), login)
	var throttled *account.ThrottledError
	if errors.As(err, &throttled) {
		return policyAnswer{Status: -1, Message: "Too many wrong passwords, try again later"}, nil
	}
	return policyAnswer{}, err
}

// policyRequest is what Dovecot sends, as far as it is read. Only those without
// a slash in auth_policy_request_attributes are at the top.
type policyRequest struct {
	Login    *string `json:"login"`
	Remote   string  `json:"remote"`
	PwHash   string  `json:"pwhash"` // tells one wrong password from the next
	Protocol string  `json:"protocol"`

	// With report only.
	Success      *bool  `json:"success"`
	PolicyReject bool   `json:"policy_reject"`
	FailType     string `json:"fail_type"` // Dovecot 2.4

	Attrs struct {
		Cred string `json:"cred"` // what was verified, as account.Account.Credential
	} `json:"attrs"`
}

// policyAnswer is what Dovecot reads: negative is no, positive is to wait for so
// many seconds.
type policyAnswer struct {
	Status  int    `json:"status"`
	Message string `json:"msg"`
}

func (p policyRequest) login() (account.Login, error) {
	if p.Login == nil {
		return account.Login{}, errParameters
	}
	client, err := parseClient(p.Remote)
	if err != nil {
		return account.Login{}, err
	}
	service := p.Protocol
	if service == "" {
		service = "dovecot"
	}
	return account.Login{Name: *p.Login, Password: p.PwHash, Service: service, Client: client}, checkService(service)
}

// counts reports whether a result says something about a password: it was
// looked at, and not refused by us or lost in trouble of Dovecot's own.
func (p policyRequest) counts() bool {
	return *p.Success || !p.PolicyReject && p.FailType != "policy" && p.FailType != "internal"
}
