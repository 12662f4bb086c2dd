package command

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return "exit " + strconv.Itoa(e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Exit returns an error that ends the program with this exit code, after err
// is printed. A nil err prints nothing.
func Exit(code int, err error) error { return &exitError{code, err} }

type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

// Usagef returns an error about the command line: it is printed with the name
// of the command and a hint to its --help, and the exit code is Usage.
func Usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// maxMessage is more than a terminal shows at once. An argument that an error
// repeats can be far longer.
const maxMessage = 4000

// message returns the text of err as one line of at most maxMessage bytes.
func message(err error) string {
	text := OneLine(err.Error())
	if len(text) <= maxMessage {
		return text
	}
	end := maxMessage
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// OneLine returns s fit for one line of a terminal: line ends become blanks,
// and what does not print is escaped.
func OneLine(s string) string {
	var b strings.Builder
	for _, line := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for i, r := range line {
			if unicode.IsPrint(r) && (r != utf8.RuneError || strings.HasPrefix(line[i:], "\uFFFD")) {
				b.WriteRune(r)
				continue
			}
			_, size := utf8.DecodeRuneInString(line[i:])
			quoted := strconv.QuoteToASCII(line[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
