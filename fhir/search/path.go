package search

import "strings"

// dataType is the FHIR type of an element as far as matching differs by it.
type dataType int

const (
	typeText dataType = iota // string, markdown; the element of a composite
	typeID
	typeURI // uri, url
	typeCode
	typeBoolean
	typeTrue // any value counts as true
	typeCodeableConcept
	typeCoding
	typeIdentifier
	typeContactPoint
	typeName
	typeAddress
	typeDate // date, dateTime
	typeInstant
	typePeriod
	typeTiming
	typeNumber
	typeQuantity
	typeMoney
	typeRange
	typeReference
	typeCanonical
)

func dataTypeOf(name string) dataType {
	switch name {
	case "id":
		return typeID
	case "uri", "url":
		return typeURI
	case "code":
		return typeCode
	case "boolean":
		return typeBoolean
	case "true":
		return typeTrue
	case "CodeableConcept":
		return typeCodeableConcept
	case "Coding":
		return typeCoding
	case "Identifier":
		return typeIdentifier
	case "ContactPoint":
		return typeContactPoint
	case "HumanName":
		return typeName
	case "Address":
		return typeAddress
	case "date", "dateTime":
		return typeDate
	case "instant":
		return typeInstant
	case "Period":
		return typePeriod
	case "Timing":
		return typeTiming
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return typeNumber
	case "Quantity", "Age", "Duration":
		return typeQuantity
	case "Money":
		return typeMoney
	case "Range":
		return typeRange
	case "Reference":
		return typeReference
	case "canonical":
		return typeCanonical
	default:
		return typeText
	}
}

// path leads from the resource, or from the element of a composite, to the
// values of a parameter. Arrays may occur at any step.
type path struct {
	steps []step
	typ   dataType
	// systems are the code systems of an element of type code, where known.
	systems []string
}

// step is a member and what its value has to meet.
type step struct {
	name string
	// choice is name without the type, of a choice element. An element has at
	// most one of its choices.
	choice string
	// A reference has to lead to the type target; or the object has to have
	// the member with the value.
	target, member, value string
}

// parsePaths reads the notation of the generated table, which
// internal/gen/expression.go describes.
func parsePaths(text string) []path {
	var paths []path
	for field := range strings.FieldsSeq(text) {
		steps, name, _ := strings.Cut(field, ":")
		name, systems, known := strings.Cut(name, "@")
		p := path{typ: dataTypeOf(name)}
		if known {
			p.systems = strings.Split(systems, ",")
		}
		for steps != "" {
			var first string
			first, steps, _ = strings.Cut(steps, ".")
			p.steps = append(p.steps, parseStep(first))
		}
		paths = append(paths, p)
	}
	return paths
}

func parseStep(text string) step {
	name, condition, found := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	choice, typ, _ := strings.Cut(name, "+")
	s := step{name: choice + typ, choice: choice}
	if member, value, ok := strings.Cut(condition, "="); ok {
		s.member, s.value = member, value
	} else if found {
		s.target = condition
	}
	return s
}

// node is a step of a tree that joins the paths of several criteria, so that
// one walk serves all.
type node struct {
	step
	// bit stands for the name of a first step; see [conjunction].
	bit      uint64
	children []*node
	leaves   []leaf
}

// leaf is where the value is judged by a criterion.
type leaf struct {
	criterion int
	typ       dataType
	systems   []string
}

// child returns the node of a step, which it adds if there is none.
func (n *node) child(s step) *node {
	for _, c := range n.children {
		if c.step == s {
			return c
		}
	}
	c := &node{step: s}
	n.children = append(n.children, c)
	return c
}
