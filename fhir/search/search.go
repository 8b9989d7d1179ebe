// Package search judges FHIR R4 (4.0.1) search queries on single resources: it
// is what the bulk export parameter _typeFilter asks for, without a database.
//
// [Compile] reads a query like
//
//	Observation?status=final&date=ge2026-01-01&code=http://loinc.org|8480-6
//
// and [Filter.Match] says of the raw JSON of a resource whether it meets all of
// its criteria. Nothing is decoded to Go values, and what is not asked for is
// passed over.
//
// What cannot be judged is refused by Compile with an [Error], never taken as
// met: parameters that R4 does not have, chains, _has, _filter, result
// parameters, unknown modifiers and prefixes. [Parameters] lists what can be
// used.
//
// Where R4 leaves a choice, or where it matters:
//
//   - Tokens are compared without case in CodeableConcept, Coding, Identifier,
//     ContactPoint and string, as R4 advises where a code system says nothing
//     else; system URIs, ids, and elements of type code and uri to the letter.
//   - Strings match at their beginning, without case and accents; punctuation
//     counts.
//   - Dates are the spans of their precision on both sides, compared as R4's
//     table of prefixes says. A time without zone is taken for UTC. Of a Timing
//     the outer limits count.
//   - Numbers are compared exactly, as decimals; eq and ne have the precision
//     that the query is written in. Units are compared, not converted. A
//     SampledData is no number.
//   - The modifier not is also met by a resource without any such value.
//   - Contained resources are not searched, nor extensions.
package search

import (
	"strings"
	"time"
)

// Options are what a query may depend on besides the resource.
type Options struct {
	// Now is the time that the prefix ap measures the distance of a date from.
	// An export that gives its transactionTime here filters alike whenever it
	// is resumed. Defaults to the time of the call.
	Now time.Time
	// BaseURLs are the host's own: a reference that begins with one of them
	// means the same as without it. Without them an absolute reference is that
	// of another server.
	BaseURLs []string
}

// Filter is a compiled query. It is safe for concurrent use.
type Filter struct {
	resourceType string
	text         string
	conjunction  conjunction
}

// Compile reads a query of the form Type?parameter=value&…, as it is after one
// decoding of the URL it came in; the percent escapes of the query itself are
// decoded here. Type? without parameters is met by every resource of the type,
// as in FHIR. An error is an [*Error].
func Compile(query string, options Options) (*Filter, error) {
	if options.Now.IsZero() {
		options.Now = time.Now()
	}
	resourceType, pairs, fault := parseQuery(query)
	if fault != nil {
		return nil, fault
	}
	if len(pairs) >= maxCriteria {
		return nil, &Error{Type: resourceType, Reason: "too many parameters", Unsupported: true}
	}
	f := &Filter{resourceType: resourceType}
	f.conjunction.add(criterion{
		paths:  parsePaths("resourceType:code"),
		tokens: []token{{code: []byte(resourceType)}},
	})
	c := compiler{Options: options.normalized(), resourceType: resourceType}
	for i := range pairs {
		cr, some, fault := c.criterion(&pairs[i])
		if fault != nil {
			fault.Type, fault.Parameter = resourceType, pairs[i].label()
			return nil, fault
		}
		if some {
			f.conjunction.add(cr)
		}
	}
	f.text = format(resourceType, pairs)
	return f, nil
}

func (o Options) normalized() Options {
	var bases []string
	for _, b := range o.BaseURLs {
		bases = append(bases, strings.TrimSuffix(b, "/"))
	}
	o.BaseURLs = bases
	return o
}

func format(resourceType string, pairs []pair) string {
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = encode(p.label()) + "=" + encode(p.value)
	}
	return resourceType + "?" + strings.Join(texts, "&")
}

// Type returns the resource type that the query is about.
func (f *Filter) Type() string { return f.resourceType }

// String returns the query in a normal form, which compiles to the same filter.
func (f *Filter) String() string { return f.text }

// Match reports whether the resource is of the filter's type and meets all
// criteria. It reads no further than the answer needs, and does not prove that
// the rest is valid JSON; an error wraps [fhir.ErrMalformed].
func (f *Filter) Match(resource []byte) (bool, error) {
	s := scanner{data: resource}
	met := f.conjunction.holds(&s)
	return met && s.err == nil, s.err
}

// Filters are alternatives: the queries on one type, of which a resource has to
// meet one.
type Filters []*Filter

// Match reports whether the resource meets any of the filters.
func (fs Filters) Match(resource []byte) (bool, error) {
	for _, f := range fs {
		if met, err := f.Match(resource); met || err != nil {
			return met, err
		}
	}
	return false, nil
}
