package search_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The oracle judges queries in the slow and obvious way: it decodes resources
// and walks the expressions of the published definitions. It shares no code
// with the package, nor the generated table.
type oracle struct {
	parameters map[string]definition // by type and code: "Observation status"
	byURL      map[string]definition
	elements   map[string]string
}

type definition struct {
	ID, Code, Type, Expression string
	Base, Target               []string
	Component                  []struct{ Definition, Expression string }
}

func newOracle(tb testing.TB) *oracle {
	tb.Helper()
	o := &oracle{parameters: map[string]definition{}, byURL: map[string]definition{}}
	var definitions []definition
	readJSON(tb, "internal/gen/parameters.json", &definitions)
	readJSON(tb, "internal/gen/elements.json", &o.elements)
	for _, d := range definitions {
		for _, base := range d.Base {
			o.parameters[base+" "+d.Code] = d
		}
		o.byURL["http://hl7.org/fhir/SearchParameter/"+d.ID] = d
	}
	return o
}

func readJSON(tb testing.TB, file string, value any) {
	tb.Helper()
	data, err := os.ReadFile(file)
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(data, value))
}

func (o *oracle) find(resourceType, code string) definition {
	if d, ok := o.parameters[resourceType+" "+code]; ok {
		return d
	}
	return o.parameters["Resource "+code]
}

// node is a value with its data type and the path of its definition.
type node struct {
	value any
	typ   string
	path  string
}

func (o *oracle) resource(value any) node {
	resourceType, _ := value.(map[string]any)["resourceType"].(string)
	return node{value: value, typ: "element", path: resourceType}
}

// types are those that a kind of parameter can be judged by.
var types = map[string]string{
	"token":     "boolean canonical code CodeableConcept Coding ContactPoint id Identifier string uri",
	"date":      "date dateTime instant Period Timing",
	"string":    "Address HumanName markdown string",
	"reference": "canonical Reference uri",
	"quantity":  "Age Duration Money Quantity Range",
	"number":    "decimal integer positiveInt Range unsignedInt",
	"uri":       "canonical uri url",
}

// values evaluates an expression, and keeps what the kind can be judged by.
func (o *oracle) values(from node, expression, kind string) []node {
	var found []node
	for part := range strings.SplitSeq(expression, "|") {
		for _, n := range o.evaluate(from, strings.TrimSpace(part)) {
			typ, _, _ := strings.Cut(n.typ, " ")
			if kind == "composite" || slices.Contains(strings.Fields(types[kind]), typ) && hasValue(n.value) {
				found = append(found, n)
			}
		}
	}
	return found
}

func hasValue(value any) bool {
	object, ok := value.(map[string]any)
	if !ok {
		return value != nil
	}
	for name := range object {
		if name != "id" && name != "extension" {
			return true
		}
	}
	return false
}

var (
	cast  = regexp.MustCompile(`^\((.*) as (\w+)\)(.*)$`)
	steps = regexp.MustCompile(`\w+\((?:resolve\(\)|[^()])*\)|\w+`)
)

func (o *oracle) evaluate(from node, part string) []node {
	if target, _, ok := strings.Cut(part, ".exists() and"); ok {
		return []node{{value: o.exists(from, target), typ: "boolean"}}
	}
	if m := cast.FindStringSubmatch(part); m != nil {
		part = m[1] + ".as(" + m[2] + ")" + m[3]
	}
	at := []node{from}
	for i, step := range steps.FindAllString(part, -1) {
		if i == 0 && (step == from.path || step == "Resource") {
			continue
		}
		if i == 0 && step[0] >= 'A' && step[0] <= 'Z' {
			return nil // a branch of another type
		}
		var next []node
		for _, n := range at {
			next = append(next, o.step(n, step)...)
		}
		at = next
	}
	return at
}

func (o *oracle) exists(from node, target string) bool {
	return slices.ContainsFunc(o.evaluate(from, target), func(n node) bool { return n.value != false })
}

func (o *oracle) step(n node, step string) []node {
	name, argument, isFunction := strings.Cut(strings.TrimSuffix(step, ")"), "(")
	if !isFunction {
		return o.children(n, name)
	}
	if name == "as" && !strings.EqualFold(n.typ, argument) {
		return nil
	}
	if target, ok := strings.CutPrefix(argument, "resolve() is "); name == "where" && ok {
		if referencedType(n.value) != target {
			return nil
		}
	} else if name == "where" {
		member, value, _ := strings.Cut(argument, "=")
		if text(n.value, member) != strings.Trim(value, "'") {
			return nil
		}
	}
	return []node{n}
}

// children finds a member, also of a choice: valueString for value.
func (o *oracle) children(n node, name string) []node {
	object, _ := n.value.(map[string]any)
	parent := n.path
	if n.typ != "element" {
		parent = n.typ
	}
	if _, ok := o.elements[parent+"."+name]; !ok && (name == "id" || name == "meta") {
		parent = "Resource"
	}
	var found []node
	if typ, ok := o.elements[parent+"."+name]; ok {
		for _, v := range list(object[name]) {
			found = append(found, node{v, typ, parent + "." + name})
		}
	}
	for typ := range strings.SplitSeq(o.elements[parent+"."+name+"[x]"], "|") {
		if typ == "" {
			continue
		}
		for _, v := range list(object[name+strings.ToUpper(typ[:1])+typ[1:]]) {
			found = append(found, node{v, typ, parent + "." + name})
		}
	}
	return found
}

func list(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// text returns a member that is a string.
func text(value any, name string) string {
	object, _ := value.(map[string]any)
	s, _ := object[name].(string)
	return s
}

var literalReference = regexp.MustCompile(`^(?:(.+?)/)??([A-Z]\w*)/([^/]+)(?:/_history/([^/]+))?$`)

func referencedType(value any) string {
	if m := literalReference.FindStringSubmatch(text(value, "reference")); m != nil {
		return m[2]
	}
	return text(value, "type")
}
