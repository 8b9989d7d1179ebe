package bulkexport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ReadParameters reads the FHIR Parameters resource of a POST kick-off (Bulk
// Data Access, "Request Flow"). A string may come as any of the types that FHIR
// derives from it, an instant also as a dateTime, a code also as a Coding.
//
// Members have exactly the names that FHIR gives them, each at most once: a
// reader that took the last of two, or another case, could make a list of
// patients into everybody. The error is a [*RequestError], or joins several. It
// never quotes values.
func ReadParameters(body []byte) (url.Values, error) {
	resource, err := members(body)
	if err != nil {
		return nil, bodyFault("it is not a Parameters resource in JSON")
	}
	var resourceType string
	if err := unmarshal(resource["resourceType"], &resourceType); err != nil || resourceType != "Parameters" {
		return nil, bodyFault("it is " + quote(resourceType) + " and not a Parameters resource")
	}
	list := resource["parameter"]
	if list == nil || string(list) == "null" {
		return url.Values{}, nil
	}
	values := url.Values{}
	var faults faultList
	decoder := json.NewDecoder(bytes.NewReader(list))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return nil, bodyFault("parameter is not a list")
	}
	for i := 0; decoder.More() && len(faults.errs) < maxFaults; i++ {
		var parameter json.RawMessage
		if err := decoder.Decode(&parameter); err != nil {
			return nil, bodyFault("parameter is not a list in JSON")
		}
		readParameter(i, parameter, values, &faults)
	}
	return values, faults.err()
}

func bodyFault(reason string) error {
	return &RequestError{Parameter: "body", Code: "structure", Reason: reason}
}

func readParameter(index int, raw json.RawMessage, values url.Values, faults *faultList) {
	parameter, err := members(raw)
	var name string
	if err != nil || unmarshal(parameter["name"], &name) != nil || name == "" {
		faults.add("body", "structure", fmt.Sprintf("parameter[%d] has no name, or is none", index))
		return
	}
	value, err := parameterValue(parameter)
	if err != nil {
		faults.add(name, "structure", err.Error())
		return
	}
	values.Add(name, value)
}

var errNoObject = errors.New("not a JSON object with each member once")

// members returns the members of a JSON object, names to the letter.
func members(object []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(object) {
		return nil, errNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errNoObject
	}
	found := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		key, ok := name.(string)
		if _, again := found[key]; again || !ok {
			return nil, errNoObject
		}
		found[key] = value
	}
	return found, nil
}

// unmarshal takes neither nothing nor null for a value.
func unmarshal(raw json.RawMessage, value any) error {
	if raw == nil || string(raw) == "null" {
		return errWrongInside
	}
	return json.Unmarshal(raw, value)
}

// textMember reads a member of an object.
func textMember(object json.RawMessage, name string) (string, error) {
	inside, err := members(object)
	if err != nil {
		return "", err
	}
	var text string
	return text, unmarshal(inside[name], &text)
}

var (
	errNoValue     = errors.New("the parameter needs one value")
	errManyValues  = errors.New("the parameter has several values; repeat it instead")
	errValueType   = errors.New("the value is not of a type that is used here")
	errWrongInside = errors.New("the value does not fit its type")
)

// parameterValue returns the value[x] of a parameter as text.
func parameterValue(parameter map[string]json.RawMessage) (string, error) {
	var kind string
	for name := range parameter {
		switch {
		case !strings.HasPrefix(name, "value"):
		case kind != "":
			return "", errManyValues
		default:
			kind = strings.TrimPrefix(name, "value")
		}
	}
	raw := parameter["value"+kind]
	var value string
	var err error
	switch kind {
	case "":
		return "", errNoValue
	case "String", "Code", "Uri", "Url", "Canonical", "Id", "Markdown", "Instant", "DateTime", "Date":
		err = unmarshal(raw, &value)
	case "Boolean":
		var truth bool
		err = unmarshal(raw, &truth)
		value = strconv.FormatBool(truth)
	case "Reference":
		value, err = textMember(raw, "reference")
	case "Coding":
		value, err = textMember(raw, "code")
	default:
		return "", errValueType
	}
	if err != nil {
		return "", errWrongInside
	}
	return value, nil
}
