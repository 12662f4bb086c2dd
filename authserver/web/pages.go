package web

// The pages. Names and descriptions in their structs come from anywhere; the
// templates escape them.
var (
	Login         = NewPage[LoginData]("login")
	Consent       = NewPage[ConsentData]("consent")
	Denied        = NewPage[DeniedData]("denied")
	Error         = NewPage[ErrorData]("error")
	LogoutConfirm = NewPage[LogoutConfirmData]("logout_confirm")
	LoggedOut     = NewPage[LoggedOutData]("logged_out")
	Home          = NewPage[HomeData]("home")
	FormPost      = NewPage[FormPostData]("form_post")
)

// LoginData asks for name and password. The form has the fields username,
// password, request and csrf.
type LoginData struct {
	Action  string // where the form goes
	CSRF    string
	Request string // handle of the saved request; empty: there is none
	Name    string // what to begin with
	Client  string // who wants to know; empty: nobody but this server
	Problem LoginProblem
}

// A LoginProblem is why one has to try again; empty: one does not.
type LoginProblem string

// What may be wrong. Name and password are wrong together: which of the two
// is nobody's business.
const (
	LoginDenied    LoginProblem = "denied"    // wrong name or password
	LoginThrottled LoginProblem = "throttled" // too many wrong ones
	LoginBusy      LoginProblem = "busy"      // our own trouble
	LoginExpired   LoginProblem = "expired"   // the form is too old
	LoginService   LoginProblem = "service"   // a service user, who can sign in to clients only
)

// loginProblems are all of them.
var loginProblems = []LoginProblem{LoginDenied, LoginThrottled, LoginBusy, LoginExpired, LoginService}

// ConsentData asks whether a client may have what it asks for. The form has the
// fields request and csrf, and its buttons are decision=allow and
// decision=deny.
type ConsentData struct {
	Action       string
	CSRF         string
	Request      string
	Client       string
	User         string
	Scope        []string
	RedirectHost string // where it goes on; empty: not told
}

// DeniedData says that the user may not use the client, without naming it.
type DeniedData struct {
	User string
}

// ErrorData says that there is nothing to go on with. Both are for whoever runs
// the client, and are shown as they are. With a status from 500 the page says
// that the fault is ours.
type ErrorData struct {
	Code        string
	Description string
}

// LogoutConfirmData asks whether one wants to sign out. Fields are sent with
// the form, besides csrf.
type LogoutConfirmData struct {
	Action string
	CSRF   string
	User   string
	Fields [][2]string
}

// LoggedOutData says that nobody is signed in any more.
type LoggedOutData struct {
	Continue string // where the client would like one to go on; empty: nowhere
	Client   string // its name, if there is Continue
}

// HomeData says who is signed in; the form to sign out goes to /logout with
// the field csrf.
type HomeData struct {
	User     string // empty: nobody
	FullName string
	CSRF     string
}

// FormPostData is a form that the browser sends on by itself, if
// Options.Script lets it, or by a button (OAuth 2.0 Form Post Response Mode).
type FormPostData struct {
	Action string
	Fields [][2]string
}
