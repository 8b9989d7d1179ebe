package search

import (
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport/fhir"
)

// compiler turns the parameters of one query into criteria.
type compiler struct {
	Options
	resourceType string
}

// criterion compiles a parameter. It is false for one that every resource
// meets.
func (c *compiler) criterion(p *pair) (cr criterion, some bool, fault *Error) {
	d, fault := c.find(*p)
	if fault != nil {
		return criterion{}, false, fault
	}
	isText := d.kind == "string" || p.modifier == "text"
	if p.value, fault = decode(p.value, isText); fault != nil {
		return criterion{}, false, fault
	}
	cr.paths = parsePaths(d.paths)
	values := splitEscaped(p.value, ',')
	if slices.Contains(values, "") {
		return criterion{}, false, malformed("a value is empty")
	}
	if p.modifier == "missing" && d.kind != "composite" {
		fault = cr.setMissing(values)
	} else {
		fault = c.set(&cr, d, p.modifier, values)
	}
	if fault != nil {
		return criterion{}, false, fault
	}
	return cr, !cr.settleExistence(), nil
}

// find looks the parameter up, and refuses what is no criterion or cannot be
// judged.
func (c *compiler) find(p pair) (definition, *Error) {
	if strings.Contains(p.name, ".") || strings.Contains(p.modifier, ".") {
		return definition{}, unsupported("chained parameters are not supported")
	}
	if reason, ok := refused(p.name); ok {
		return definition{}, unsupported(reason)
	}
	d, ok := define(c.resourceType, p.name)
	switch {
	case !ok:
		return definition{}, unsupported("R4 defines no such search parameter for this type")
	case !d.judged():
		return definition{}, unsupported("this search parameter is not supported")
	default:
		return d, nil
	}
}

// refused says why a parameter that is not about one resource cannot be used.
func refused(name string) (reason string, ok bool) {
	switch name {
	case "_sort", "_count", "_include", "_revinclude", "_summary", "_elements", "_total",
		"_contained", "_containedType", "_score", "_format", "_pretty":
		return "it controls the result of a search and is no filter criterion", true
	case "_has":
		return "reverse chaining is not supported", true
	case "_filter", "_query", "_text", "_content", "_list":
		return "this kind of search is not supported", true
	case "_type":
		return "a filter is about the one type it begins with", true
	default:
		return "", false
	}
}

// setMissing makes the criterion one about there being a value.
func (cr *criterion) setMissing(values []string) *Error {
	if len(values) != 1 || values[0] != "true" && values[0] != "false" {
		return malformed("the modifier missing wants true or false")
	}
	cr.present, cr.negated = true, values[0] == "true"
	return nil
}

// set compiles the values as the kind of parameter and the modifier want it.
func (c *compiler) set(cr *criterion, d definition, modifier string, values []string) *Error {
	if d.kind == "reference" && fhir.R4.IsResourceType(modifier) {
		if !d.leadsTo(modifier) {
			return malformed("the parameter does not lead to the type that its modifier names")
		}
		return c.setTypedReference(cr, modifier, values)
	}
	switch d.kind + ":" + modifier {
	case "token:", "token:not":
		cr.negated = modifier == "not"
		return cr.setTokens(values)
	case "token:text":
		return cr.setDisplay(values)
	case "token:of-type":
		return cr.setIdentifierOfType(values)
	case "string:":
		cr.texts = newTextTest(textPrefix, unescapeAll(values))
	case "string:contains":
		cr.texts = newTextTest(textContains, unescapeAll(values))
	case "string:exact":
		cr.texts = newTextTest(textExact, unescapeAll(values))
	case "date:":
		return c.setDates(cr, values)
	case "number:":
		return setAll(&cr.numbers, values, newNumberTest)
	case "quantity:":
		return setAll(&cr.quantities, values, newQuantityTest)
	case "reference:":
		return c.setReferences(cr, values)
	case "reference:identifier":
		return cr.setReferenceIdentifier(values)
	case "uri:":
		return cr.setURIs(uriWhole, values)
	case "uri:above":
		return cr.setURIs(uriAbove, values)
	case "uri:below":
		return cr.setURIs(uriBelow, values)
	case "composite:":
		return c.setAlternatives(cr, d, values)
	default:
		return unsupported("the modifier is not supported for parameters of type " + d.kind)
	}
	return nil
}

// setAll reads every alternative of a list.
func setAll[T any](tests *[]T, values []string, read func(string) (T, *Error)) *Error {
	for _, v := range values {
		t, fault := read(v)
		if fault != nil {
			return fault
		}
		*tests = append(*tests, t)
	}
	return nil
}

func unescapeAll(values []string) []string {
	plain := make([]string, len(values))
	for i, v := range values {
		plain[i] = unescape(v)
	}
	return plain
}

func (c *compiler) setDates(cr *criterion, values []string) *Error {
	return setAll(&cr.dates, values, func(v string) (dateTest, *Error) {
		return newDateTest(v, c.Now)
	})
}

func (c *compiler) setReferences(cr *criterion, values []string) *Error {
	cr.baseURLs = c.BaseURLs
	canonical := cr.hasOther(typeReference)
	return setAll(&cr.references, values, func(v string) (referenceTest, *Error) {
		return newReferenceTest(v, c.BaseURLs, canonical)
	})
}

// setTypedReference is for a modifier that names the type.
func (c *compiler) setTypedReference(cr *criterion, resourceType string, values []string) *Error {
	cr.baseURLs = c.BaseURLs
	cr.keep(typeReference)
	if len(cr.paths) == 0 {
		return unsupported("a type as modifier is not supported for canonical references")
	}
	return setAll(&cr.references, values, func(v string) (referenceTest, *Error) {
		return newTypedReferenceTest(resourceType, v)
	})
}

func (cr *criterion) setReferenceIdentifier(values []string) *Error {
	cr.ofIdentifier = true
	cr.keep(typeReference)
	if len(cr.paths) == 0 {
		return unsupported("the modifier identifier is not supported for canonical references")
	}
	return setAll(&cr.tokens, values, newToken)
}

func (cr *criterion) setURIs(mode uriMode, values []string) *Error {
	return setAll(&cr.uris, values, func(v string) (uriTest, *Error) {
		v = unescape(v)
		if cr.hasOther(typeCanonical) && strings.Contains(v, "|") {
			return uriTest{}, unsupported("a version is supported in canonical references only")
		}
		if mode != uriWhole && !strings.Contains(v, "://") {
			return uriTest{}, unsupported("the modifiers above and below are for URLs only")
		}
		return newURITest(mode, v), nil
	})
}

// setAlternatives compiles the values of a composite, each a conjunction to be
// met within one element.
func (c *compiler) setAlternatives(cr *criterion, d definition, values []string) *Error {
	for _, v := range values {
		parts := splitEscaped(v, '$')
		if len(parts) != len(d.components) || slices.Contains(parts, "") {
			return malformed("the composite wants as many values as it has components, joined by $")
		}
		var all conjunction
		for i, part := range parts {
			inner := criterion{paths: parsePaths(d.components[i].paths)}
			own := definition{kind: d.components[i].kind}
			if fault := c.set(&inner, own, "", []string{part}); fault != nil {
				return fault
			}
			all.add(inner)
		}
		cr.alternatives = append(cr.alternatives, all)
	}
	return nil
}

// keep drops the paths that lead to other types than those given.
func (cr *criterion) keep(types ...dataType) {
	cr.paths = slices.DeleteFunc(cr.paths, func(p path) bool { return !slices.Contains(types, p.typ) })
}

func (cr *criterion) hasOther(typ dataType) bool {
	return slices.ContainsFunc(cr.paths, func(p path) bool { return p.typ != typ })
}
