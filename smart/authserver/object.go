package authserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

var (
	errNotObject = errors.New("it is not a JSON object")
	errTwice     = errors.New("it has a member twice")
)

// readObject returns the members of a JSON object. Unlike package json it knows
// names by each letter, and refuses the same one twice: what one reader takes for the
// client, another one must not take for somebody else.
func readObject(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) {
		return nil, errNotObject
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errNotObject
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNotObject
		}
		if _, ok := members[name]; ok {
			return nil, errTwice
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errNotObject
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errNotObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return members, nil
}

// asText returns a JSON string.
func asText(value json.RawMessage) (string, bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// asTexts returns a JSON string, or an array of them.
func asTexts(value json.RawMessage) ([]string, bool) {
	if text, ok := asText(value); ok {
		return []string{text}, true
	}
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return nil, false
	}
	texts := make([]string, len(items))
	for i, item := range items {
		var ok bool
		if texts[i], ok = asText(item); !ok {
			return nil, false
		}
	}
	return texts, true
}

// lastSecond is the last one of the year 9999.
const lastSecond = 253402300799

// asDate returns a NumericDate (RFC 7519): seconds since 1970, with a fraction or
// without.
func asDate(value json.RawMessage) (time.Time, bool) {
	date, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(date >= 0 && date <= lastSecond) { // also refuses NaN
		return time.Time{}, false
	}
	seconds, fraction := math.Modf(date)
	return time.Unix(int64(seconds), int64(fraction*1e9)), true
}
