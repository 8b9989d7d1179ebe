package search

import (
	"slices"
	"strings"
)

func (cr *criterion) setTokens(values []string) *Error {
	if fault := setAll(&cr.tokens, values, newToken); fault != nil {
		return fault
	}
	for i := range cr.tokens {
		if fault := cr.checkToken(&cr.tokens[i]); fault != nil {
			return fault
		}
	}
	return nil
}

// newToken reads code, system|code, |code or system|.
//
// No code begins with a blank. A telephone number may with the plus sign that
// the blank was before somebody decoded the query as a form.
func newToken(value string) (token, *Error) {
	if strings.HasPrefix(value, " ") {
		value = "+" + value[1:]
	}
	parts := splitEscaped(value, '|')
	switch {
	case len(parts) == 1:
		return token{code: []byte(unescape(parts[0]))}, nil
	case len(parts) > 2 || value == "|":
		return token{}, malformed("not a token: want code, system|code, |code or system|")
	case parts[0] == "":
		return token{scope: noSystem, code: []byte(unescape(parts[1]))}, nil
	default:
		return token{
			scope: oneSystem, system: unescape(parts[0]), code: []byte(unescape(parts[1])),
		}, nil
	}
}

// checkToken refuses a token that no value can ever meet, and one whose system
// cannot be judged.
func (cr *criterion) checkToken(t *token) *Error {
	var fault *Error
	for _, p := range cr.paths {
		fault = p.check(t)
		if fault == nil {
			return nil
		}
	}
	return fault
}

func (p path) check(t *token) *Error {
	code := string(t.code)
	switch {
	case p.typ == typeCodeableConcept || p.typ == typeCoding || p.typ == typeIdentifier:
		return nil
	case p.typ == typeCode && t.scope == oneSystem && len(p.systems) == 0:
		return unsupported("the code system of this parameter is not known: ask for the code alone")
	case p.typ == typeCode:
		return nil
	case t.scope != anySystem:
		return malformed("the values of this parameter have no system")
	case (p.typ == typeBoolean || p.typ == typeTrue) && code != "true" && code != "false":
		return malformed("the parameter wants true or false")
	default:
		return nil
	}
}

// setDisplay is for :text.
func (cr *criterion) setDisplay(values []string) *Error {
	cr.keep(typeCodeableConcept, typeCoding, typeIdentifier)
	if len(cr.paths) == 0 {
		return unsupported("the modifier text is not supported for values without a text")
	}
	cr.texts = newTextTest(textPrefix, unescapeAll(values))
	cr.texts.display = true
	return nil
}

// setIdentifierOfType reads system|code|value.
func (cr *criterion) setIdentifierOfType(values []string) *Error {
	cr.keep(typeIdentifier)
	if len(cr.paths) == 0 {
		return unsupported("the modifier of-type is supported for identifiers only")
	}
	return setAll(&cr.tokens, values, func(v string) (token, *Error) {
		parts := splitEscaped(v, '|')
		if len(parts) != 3 || slices.Contains(parts, "") {
			return token{}, malformed("the modifier of-type wants system|code|value")
		}
		return token{
			code: []byte(unescape(parts[2])),
			typ: &token{
				scope: oneSystem, system: unescape(parts[0]), code: []byte(unescape(parts[1])),
			},
		}, nil
	})
}

// settleExistence is about a parameter that has a value in every resource,
// since presence counts as true (Patient.deceased): what is not true is false.
// It reports whether the criterion is met by every resource.
func (cr *criterion) settleExistence() (always bool) {
	if !cr.hasType(typeTrue) {
		return false
	}
	yes, no := cr.present, cr.present
	for _, t := range cr.tokens {
		yes = yes || string(t.code) == "true"
		no = no || string(t.code) == "false"
	}
	switch {
	case yes && no && !cr.negated:
		return true
	case yes && no:
		*cr = criterion{} // never met
	case no:
		cr.negated = !cr.negated
		cr.tokens = []token{{code: []byte("true")}}
	}
	return false
}

func (cr *criterion) hasType(typ dataType) bool {
	return slices.ContainsFunc(cr.paths, func(p path) bool { return p.typ == typ })
}
