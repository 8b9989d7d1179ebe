// Package fhir holds what FHIR defines and a host should not have to write
// down again, for R4 (4.0.1) and R5 (5.0.0): the resource types, the Patient
// compartment, the root elements, the places of Attachments, and the few
// members that name a resource.
//
// Resources are read as raw JSON bytes, in place. Nothing is decoded to Go
// values, so numbers and key order are never touched. The functions expect
// valid JSON and do not prove that it is: malformed input gives an error that
// wraps [ErrMalformed], or less of a result, but never a panic.
package fhir

import "errors"

//go:generate go run ./internal/gen

// ErrMalformed means that the bytes are not a FHIR resource: not JSON, not an
// object, without resourceType, or with a member of the wrong JSON type. Texts
// around it never quote content.
var ErrMalformed = errors.New("fhir: malformed resource")

// ValidID reports whether s follows the grammar of a FHIR id: 1 to 64 ASCII
// letters, digits, hyphens and dots.
func ValidID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if !isIDByte(s[i]) {
			return false
		}
	}
	return true
}

func isIDByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.'
}
