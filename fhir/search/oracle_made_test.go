package search_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// maker makes up resources that have a value at every element which search
// expressions name, of any type, from few words, so that queries meet them.
type maker struct {
	*rand.Rand
	elements map[string]string
	names    []string // of the elements, sorted
}

func newMaker(o *oracle, seed uint64) *maker {
	return &maker{rand.New(rand.NewPCG(seed, 1)), o.elements, slices.Sorted(maps.Keys(o.elements))}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

func (m *maker) resource(resourceType string) map[string]any {
	r := m.element(resourceType)
	r["resourceType"] = resourceType
	r["id"] = pick(m.Rand, ids)
	if meta, ok := m.value("Meta").(map[string]any); ok {
		meta["lastUpdated"] = pick(m.Rand, []string{"2024-03-01T10:20:30.123+01:00",
			"2025-01-01T00:00:00Z"})
		r["meta"] = meta
	}
	r["contained"] = []any{map[string]any{
		"resourceType": resourceType, "id": "a", "status": "final", "name": "Zoë",
	}}
	return r
}

// element fills some of the children that the definitions know.
func (m *maker) element(path string) map[string]any {
	object := map[string]any{}
	for _, name := range m.names {
		child, ok := strings.CutPrefix(name, path+".")
		if !ok || strings.Contains(child, ".") || m.chance(15) {
			continue
		}
		typ := pick(m.Rand, strings.Split(m.elements[name], "|"))
		typ, _, _ = strings.Cut(typ, " ")
		if base, isChoice := strings.CutSuffix(child, "[x]"); isChoice {
			child = base + strings.ToUpper(typ[:1]) + typ[1:]
		}
		value := func() any {
			if typ == "element" {
				return m.element(name)
			}
			return m.value(typ)
		}
		switch {
		case m.chance(30):
			object[child] = []any{value(), value()}
		case m.chance(5):
			object["_"+child] = map[string]any{"extension": []any{map[string]any{"url": "http://x.example/e"}}}
		default:
			object[child] = value()
		}
	}
	return object
}

var (
	ids     = []string{"a", "b", "1", "x-1"}
	systems = []string{"http://s.example/1", "http://s.example/2", "urn:oid:1.2.3"}
	codes   = []string{"a", "A", "b", "final", "active", "8480-6", "c,d", `e\f`, "g|h", "i$j",
		"+1 555", "k&l"}
	words = []string{"Zoë", "zoe", "ZOE\u0308 Müller", "Straße 5", "Łódź", "a, b", "ΣΑΣ",
		"50% + x", "O'Hara", "日本"}
	dates = []string{"2013", "2013-01", "2013-02", "2013-01-14", "2013-01-15"}
	times = []string{"2013", "2013-01", "2013-01-14", "2013-01-14T10:00:00Z",
		"2013-01-14T10:00:00.5+02:00",
		"2013-01-14T23:30:00-05:00", "2013-01-14T10:00:00.123456Z", "nonsense"}
	numbers = []string{"10", "9.5", "10.5", "100", "99.5", "1e2", "-3", "0", "0.10", "0.1", "0.05",
		"1.5E-1", "-0.0"}
	integers = []string{"10", "100", "0", "7", "-3"}
	urls     = []string{"http://x.example/fhir", "http://x.example/fhir/A",
		"http://x.example/fhir/AB",
		"http://x.example/fhir/A/1", "http://x.example/fhir/"}
	references = []string{"Patient/a", "Patient/1", "Practitioner/a", "Location/b",
		"Patient/a/_history/2",
		"https://own.example/fhir/Patient/a", "https://other.example/fhir/Patient/a",
		"Organization/x-1",
		"https://other.example/fhir/Device/1/_history/1",
		"urn:uuid:c3f1a5d0-1d7e-4a55-8d3b-2f0e9a7b6c11", "#a",
		"RelatedPerson/1", "Encounter/b", "Observation/a"}
)

// value makes one of a data type.
func (m *maker) value(typ string) any {
	r := m.Rand
	some := func(object map[string]any) any {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if m.chance(25) {
				delete(object, name)
			}
		}
		return object
	}
	switch typ {
	case "boolean":
		return m.chance(50)
	case "date":
		return pick(r, dates)
	case "dateTime", "instant":
		return pick(r, times)
	case "decimal":
		return json.Number(pick(r, numbers))
	case "integer", "positiveInt", "unsignedInt":
		return json.Number(pick(r, integers))
	case "uri", "url":
		return pick(r, urls)
	case "canonical":
		return pick(r, urls) + pick(r, []string{"", "|1", "|2"})
	case "string", "markdown":
		return pick(r, words)
	case "code", "id":
		return pick(r, codes)
	case "Coding":
		return some(map[string]any{"system": pick(r, systems), "code": pick(r, codes),
			"display": pick(r, words)})
	case "CodeableConcept":
		return some(map[string]any{"coding": []any{m.value("Coding"), m.value("Coding")},
			"text": pick(r, words)})
	case "Identifier":
		return some(map[string]any{"system": pick(r, systems), "value": pick(r, codes),
			"type": m.value("CodeableConcept")})
	case "ContactPoint":
		return some(map[string]any{"system": pick(r, []string{"phone", "email"}), "value": pick(r,
			codes)})
	case "Period":
		return some(map[string]any{"start": pick(r, times), "end": pick(r, times)})
	case "Timing":
		return some(map[string]any{"event": []any{pick(r, times), pick(r, times)},
			"repeat": some(map[string]any{"boundsPeriod": m.value("Period"), "frequency": 1})})
	case "Range":
		return some(map[string]any{"low": m.value("Quantity"), "high": m.value("Quantity")})
	case "Quantity", "Age", "Duration", "SampledData":
		q := map[string]any{"value": m.value("decimal"), "unit": pick(r, words), "system": pick(r,
			systems),
			"code": pick(r, codes)}
		if m.chance(20) {
			q["comparator"] = pick(r, []string{"<", "<=", ">", ">="})
		}
		return some(q)
	case "Money":
		return some(map[string]any{"value": m.value("decimal"), "currency": pick(r, []string{"EUR",
			"USD"})})
	case "Reference":
		return some(map[string]any{"reference": pick(r, references), "type": pick(r,
			[]string{"Patient", "Group"}),
			"identifier": m.value("Identifier")})
	case "HumanName":
		return some(map[string]any{"family": pick(r, words), "given": []any{pick(r, words), pick(r,
			words)},
			"text": pick(r, words), "use": "official"})
	case "Address":
		object := m.element("Address")
		object["line"] = []any{pick(r, words), pick(r, words)}
		return some(object)
	default:
		return m.element(typ)
	}
}

// criterion derives a criterion from a value that some resource has.
func (m *maker) criterion(o *oracle, from node, code string) (criterion, bool) {
	d := o.find(from.path, code)
	c := criterion{name: code, modifier: m.modifier(d)}
	if c.modifier == "missing" {
		c.alternatives = []alternative{{value: pick(m.Rand, []string{"true", "false"})}}
		return c, true
	}
	found := o.values(from, d.Expression, d.Type)
	for range min(len(found), 1+m.IntN(2)) {
		if a, ok := m.alternative(o, pick(m.Rand, found), d, &c.modifier); ok {
			c.alternatives = append(c.alternatives, a)
		}
		if c.modifier != "" && d.Type == "reference" {
			break // the modifier depends on the value
		}
	}
	return c, len(c.alternatives) > 0
}

func (m *maker) modifier(d definition) string {
	if d.Type != "composite" && m.chance(7) {
		return "missing"
	}
	modifiers := map[string][]string{
		"token":  {"not", "text", "of-type"},
		"string": {"exact", "contains"}, "uri": {"above", "below"}, "reference": {"identifier",
			"type"},
	}[d.Type]
	if len(modifiers) == 0 || m.chance(70) {
		return ""
	}
	return pick(m.Rand, modifiers)
}

func (m *maker) alternative(o *oracle, n node, d definition, modifier *string) (alternative, bool) {
	switch d.Type {
	case "token":
		return m.token(n, modifier)
	case "string":
		all := stringsOf(n)
		if len(all) == 0 {
			return alternative{}, false
		}
		return m.text(pick(m.Rand, all), *modifier)
	case "date":
		return m.date(n)
	case "number", "quantity":
		return m.number(n, d.Type)
	case "uri":
		s, _ := n.value.(string)
		if *modifier != "" && !strings.Contains(s, "://") {
			*modifier = ""
		}
		return alternative{value: s}, s != ""
	case "reference":
		return m.reference(n, d, modifier)
	default:
		var a alternative
		for _, c := range d.Component {
			part := o.byURL[c.Definition]
			found := o.values(n, c.Expression, part.Type)
			if len(found) == 0 {
				return alternative{}, false
			}
			none := ""
			inner, ok := m.alternative(o, pick(m.Rand, found), part, &none)
			if !ok || none != "" {
				return alternative{}, false
			}
			a.components = append(a.components, inner)
		}
		return a, true
	}
}

func (m *maker) token(n node, modifier *string) (alternative, bool) {
	isCode := slices.Contains([]string{"CodeableConcept", "Coding", "Identifier"}, n.typ)
	if *modifier == "text" || *modifier == "of-type" {
		if !isCode || *modifier == "of-type" && n.typ != "Identifier" {
			return alternative{}, false
		}
	}
	if *modifier == "text" {
		texts := slices.DeleteFunc(textsOfCode(n), func(s string) bool { return s == "" })
		if len(texts) == 0 {
			return alternative{}, false
		}
		return m.text(pick(m.Rand, texts), "")
	}
	pairs := slices.DeleteFunc(tokensOf(n), func(p [2]string) bool { return p[1] == "" })
	if len(pairs) == 0 {
		return alternative{}, false
	}
	pair := pick(m.Rand, pairs)
	if *modifier == "of-type" {
		types := tokensOf(node{value: n.value.(map[string]any)["type"], typ: "CodeableConcept"})
		if len(types) == 0 || types[0][0] == "" || types[0][1] == "" {
			return alternative{}, false
		}
		return alternative{scoped: true, system: types[0][0], unit: types[0][1], value: pair[1]},
			true
	}
	a := alternative{value: pair[1]}
	if system, _, _ := strings.Cut(pair[0],
		","); m.chance(50) && system != "" && n.typ != "boolean" {
		a.scoped, a.system = true, system
	} else if isCode && m.chance(20) {
		a.scoped = true
	}
	if a.system != "" && isCode && m.chance(15) {
		a.value = ""
	}
	if isCode && m.chance(20) {
		a.value = strings.ToUpper(a.value)
	}
	return a, true
}

func (m *maker) text(s, modifier string) (alternative, bool) {
	runes := []rune(s)
	switch {
	case modifier == "exact":
		return alternative{value: s}, s != ""
	case len(runes) == 0:
		return alternative{}, false
	}
	from, to := 0, 1+m.IntN(len(runes))
	if modifier == "contains" {
		from = m.IntN(to)
	}
	s = string(runes[from:to])
	if m.chance(30) {
		s = strings.ToUpper(s)
	}
	return alternative{value: s}, true
}

var prefixes = []string{"", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

func (m *maker) date(n node) (alternative, bool) {
	var all []string
	collect(n.value, &all)
	all = slices.DeleteFunc(all, func(s string) bool { _, ok := precise(s); return !ok })
	if len(all) == 0 {
		return alternative{}, false
	}
	s := pick(m.Rand, all)
	if length := pick(m.Rand, []int{4, 7, 10, 100}); len(s) > length {
		s = s[:length]
	}
	return alternative{prefix: pick(m.Rand, prefixes), value: s}, true
}

func collect(value any, all *[]string) {
	switch v := value.(type) {
	case string:
		*all = append(*all, v)
	case []any:
		for _, e := range v {
			collect(e, all)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			collect(v[name], all)
		}
	}
}

func (m *maker) number(n node, kind string) (alternative, bool) {
	target, ok := extentOf(n)
	if !ok {
		return alternative{}, false
	}
	a := alternative{prefix: pick(m.Rand, prefixes), value: pick(m.Rand, numbers)}
	if r := target.low; r != nil && m.chance(80) {
		a.value = r.FloatString(m.IntN(5))
	}
	if a.value == "-0" {
		a.value = "0"
	}
	if kind == "number" || len(target.units) == 0 || m.chance(40) {
		return a, true
	}
	unit := target.units[0]
	switch {
	case unit[0] != "" && unit[1] != "":
		a.scoped, a.system, a.unit = true, unit[0], unit[1]
	case unit[2] != "":
		a.scoped, a.unit = true, unit[2]
	}
	return a, true
}

func (m *maker) reference(n node, d definition, modifier *string) (alternative, bool) {
	if n.typ != "Reference" {
		*modifier = ""
		s, _ := n.value.(string)
		if url, _, ok := strings.Cut(s, "|"); ok && m.chance(50) {
			s = url
		}
		return alternative{value: s}, s != ""
	}
	if *modifier == "identifier" {
		object, _ := n.value.(map[string]any)
		none := ""
		return m.token(node{value: object["identifier"], typ: "Identifier"}, &none)
	}
	s := text(n.value, "reference")
	parts := literalReference.FindStringSubmatch(s)
	switch {
	case parts == nil:
		*modifier = ""
		return alternative{value: s}, strings.HasPrefix(s, "urn:")
	case *modifier == "type":
		*modifier = parts[2]
		return alternative{value: parts[3]}, slices.Contains(d.Target,
			parts[2]) || d.Target[0] == "Resource"
	}
	short, _, _ := strings.Cut(s, "/_history/")
	return alternative{value: pick(m.Rand, []string{parts[3], s, short})}, true
}

// String writes the query as a client would.
func (q query) String() string {
	var criteria []string
	for _, c := range q.criteria {
		var values []string
		for _, a := range c.alternatives {
			values = append(values, a.text(c.modifier == "of-type"))
		}
		name := c.name
		if c.modifier != "" {
			name += ":" + c.modifier
		}
		criteria = append(criteria, name+"="+percent.Replace(strings.Join(values, ",")))
	}
	return q.resourceType + "?" + strings.Join(criteria, "&")
}

var (
	percent   = strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", "#", "%23", "=", "%3D")
	backslash = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)
)

func (a alternative) text(ofType bool) string {
	value := backslash.Replace(a.value)
	switch {
	case a.components != nil:
		var parts []string
		for _, c := range a.components {
			parts = append(parts, c.text(false))
		}
		return strings.Join(parts, "$")
	case ofType:
		return fmt.Sprintf("%s|%s|%s", backslash.Replace(a.system), backslash.Replace(a.unit),
			value)
	case a.scoped && a.unit != "":
		return fmt.Sprintf("%s%s|%s|%s", a.prefix, value, backslash.Replace(a.system),
			backslash.Replace(a.unit))
	case a.scoped:
		return backslash.Replace(a.system) + "|" + value
	default:
		return a.prefix + value
	}
}
