package bulkexport

import (
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
// The error is a [*RequestError], or joins several. It never quotes values.
func ReadParameters(body []byte) (url.Values, error) {
	var resource struct {
		ResourceType string                       `json:"resourceType"`
		Parameter    []map[string]json.RawMessage `json:"parameter"`
	}
	if err := json.Unmarshal(body, &resource); err != nil {
		return nil, &RequestError{Parameter: "body", Code: "structure", Reason: "it is not a Parameters resource in JSON"}
	}
	if resource.ResourceType != "Parameters" {
		return nil, &RequestError{Parameter: "body", Code: "structure",
			Reason: "it is " + quote(resource.ResourceType) + " and not a Parameters resource"}
	}
	values := url.Values{}
	var faults faultList
	for i, parameter := range resource.Parameter {
		var name string
		if err := json.Unmarshal(parameter["name"], &name); err != nil || name == "" {
			faults.add("body", "structure", fmt.Sprintf("parameter[%d] has no name", i))
			continue
		}
		value, err := parameterValue(parameter)
		if err != nil {
			faults.add(name, "structure", err.Error())
			continue
		}
		values.Add(name, value)
	}
	return values, faults.err()
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
		err = json.Unmarshal(raw, &value)
	case "Boolean":
		var truth bool
		err = json.Unmarshal(raw, &truth)
		value = strconv.FormatBool(truth)
	case "Reference":
		var reference struct{ Reference string }
		err = json.Unmarshal(raw, &reference)
		value = reference.Reference
	case "Coding":
		var coding struct{ Code string }
		err = json.Unmarshal(raw, &coding)
		value = coding.Code
	default:
		return "", errValueType
	}
	if err != nil || string(raw) == "null" {
		return "", errWrongInside
	}
	return value, nil
}
