package fhir

import (
	"errors"
	"slices"
	"strings"
)

// ErrUnknownType means that the FHIR version has no such resource type. Texts
// around it name the type.
var ErrUnknownType = errors.New("fhir: unknown resource type")

// ErrUnknownElement means that the resource type has no such root element.
// Texts around it name the type and the element.
var ErrUnknownElement = errors.New("fhir: unknown element")

// HasElement reports whether element is a root element of the type, or of every
// resource (id, meta, text, ...). Case matters. A choice may be asked for as a
// whole (value, value[x]) or by one of its JSON names (valueQuantity). The path
// of an element below the root (name.family) is none, nor is resourceType. An
// unknown type has no elements.
func (v Version) HasElement(resourceType, element string) bool {
	t, _ := v.lookUp(resourceType)
	return len(t.members(element)) > 0
}

// members returns the names under which JSON may have the element; none if the
// type lacks it.
func (t resourceType) members(element string) []string {
	for word := range strings.FieldsSeq(t.elements) {
		if members := parseElement(word).members(element); len(members) > 0 {
			return members
		}
	}
	return nil
}

// element is a root element of a resource type.
type element struct {
	name string
	// choices are the JSON names of a choice; none for other elements.
	choices []string
	// essential elements are mandatory or change the meaning of the others.
	essential bool
}

// parseElement reads a word of the tables: name, or name[Type,Type] for a
// choice, with ! behind it where the element is essential.
func parseElement(word string) element {
	var e element
	word, e.essential = strings.CutSuffix(word, "!")
	name, types, isChoice := strings.Cut(strings.TrimSuffix(word, "]"), "[")
	e.name = name
	if isChoice {
		for suffix := range strings.SplitSeq(types, ",") {
			e.choices = append(e.choices, name+suffix)
		}
	}
	return e
}

// members returns the JSON names that asked, an element or a JSON name, means
// if it means this element.
func (e element) members(asked string) []string {
	switch {
	case len(e.choices) == 0 && asked == e.name:
		return []string{e.name}
	case len(e.choices) > 0 && strings.TrimSuffix(asked, "[x]") == e.name:
		return e.choices
	case slices.Contains(e.choices, asked):
		return []string{asked}
	}
	return nil
}
