package claims

import (
	"encoding/json"
	"strconv"
)

// An Object is a JSON object. Its members have the order in which they were
// added.
type Object struct{ text []byte }

// MarshalJSON implements json.Marshaler.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o.text) == 0 {
		return []byte("{}"), nil
	}
	return append(o.text[:len(o.text):len(o.text)], '}'), nil
}

// name begins a member.
func (o *Object) name(name string) {
	separator := byte(',')
	if len(o.text) == 0 {
		separator = '{'
	}
	o.text = append(appendString(append(o.text, separator), name), ':')
}

// addText adds a string, unless it is empty.
func (o *Object) addText(name, value string) {
	if value != "" {
		o.name(name)
		o.text = appendString(o.text, value)
	}
}

// addInteger adds a number.
func (o *Object) addInteger(name string, value int64) {
	o.name(name)
	o.text = strconv.AppendInt(o.text, value, 10)
}

// addBool adds true or false.
func (o *Object) addBool(name string, value bool) {
	o.name(name)
	o.text = strconv.AppendBool(o.text, value)
}

// addList adds strings, unless there are none.
func (o *Object) addList(name string, values []string) {
	if len(values) > 0 {
		o.addArray(name, values)
	}
}

// addArray adds strings, or an empty array.
func (o *Object) addArray(name string, values []string) {
	o.name(name)
	o.text = append(o.text, '[')
	for i, value := range values {
		if i > 0 {
			o.text = append(o.text, ',')
		}
		o.text = appendString(o.text, value)
	}
	o.text = append(o.text, ']')
}

// addJSON adds a value that is JSON.
func (o *Object) addJSON(name string, value []byte) {
	o.name(name)
	o.text = append(o.text, value...)
}

// appendString appends a JSON string. Most have nothing to escape, and those
// need no encoder.
func appendString(text []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // has no error for a string
			return append(text, quoted...)
		}
	}
	text = append(text, '"')
	text = append(text, s...)
	return append(text, '"')
}
