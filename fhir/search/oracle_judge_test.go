package search_test

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// query is what the oracle judges and what is written out for the package.
type query struct {
	resourceType string
	criteria     []criterion
}

type criterion struct {
	name, modifier string
	alternatives   []alternative
}

// alternative is one value of a list in its parts.
type alternative struct {
	prefix     string
	scoped     bool // a system is given, perhaps the empty one
	system     string
	value      string
	unit       string
	components []alternative
}

func (o *oracle) matches(resource any, q query) bool {
	root := o.resource(resource)
	if root.path != q.resourceType {
		return false
	}
	for _, c := range q.criteria {
		if !o.meets(root, c) {
			return false
		}
	}
	return true
}

func (o *oracle) meets(root node, c criterion) bool {
	d := o.find(root.path, c.name)
	found := o.values(root, d.Expression, d.Type)
	if c.modifier == "missing" {
		return (len(found) == 0) == (c.alternatives[0].value == "true")
	}
	met := slices.ContainsFunc(found, func(n node) bool {
		return slices.ContainsFunc(c.alternatives, func(a alternative) bool { return o.judge(n, d, c.modifier, a) })
	})
	return met != (c.modifier == "not")
}

func (o *oracle) judge(n node, d definition, modifier string, a alternative) bool {
	switch d.Type {
	case "token":
		return judgeToken(n, modifier, a)
	case "string":
		return slices.ContainsFunc(stringsOf(n), func(s string) bool { return judgeString(s, modifier, a.value) })
	case "date":
		return judgeDate(n, a)
	case "number", "quantity":
		return judgeNumber(n, a)
	case "uri":
		return judgeURI(n, modifier, a.value)
	case "reference":
		return judgeReference(n, modifier, a)
	default:
		return o.judgeComposite(n, d, a)
	}
}

func (o *oracle) judgeComposite(n node, d definition, a alternative) bool {
	for i, c := range d.Component {
		part := o.byURL[c.Definition]
		if !slices.ContainsFunc(o.values(n, c.Expression, part.Type), func(n node) bool {
			return o.judge(n, part, "", a.components[i])
		}) {
			return false
		}
	}
	return true
}

func judgeToken(n node, modifier string, a alternative) bool {
	if modifier == "text" {
		return slices.ContainsFunc(textsOfCode(n), func(s string) bool { return judgeString(s, "", a.value) })
	}
	fold := slices.Contains(strings.Fields("CodeableConcept Coding Identifier ContactPoint string"), n.typ)
	for _, pair := range tokensOf(n) {
		if modifier == "of-type" {
			typ := node{value: n.value.(map[string]any)["type"], typ: "CodeableConcept"}
			if strings.EqualFold(pair[1], a.value) &&
				judgeToken(typ, "", alternative{scoped: true, system: a.system, value: a.unit}) {
				return true
			}
			continue
		}
		sameCode := pair[1] == a.value || fold && strings.EqualFold(pair[1], a.value)
		if pair[1] == "" && (a.value != "" || !fold) {
			continue
		}
		systems := strings.Split(pair[0], ",")
		if (a.value == "" || sameCode) && (!a.scoped || slices.Contains(systems, a.system) ||
			a.system == "" && !fold) {
			return true
		}
	}
	return false
}

// tokensOf returns pairs of system and code.
func tokensOf(n node) [][2]string {
	var pairs [][2]string
	typ, systems, _ := strings.Cut(n.typ, " ")
	switch typ {
	case "CodeableConcept":
		object, _ := n.value.(map[string]any)
		for _, c := range list(object["coding"]) {
			pairs = append(pairs, [2]string{text(c, "system"), text(c, "code")})
		}
	case "Coding":
		pairs = append(pairs, [2]string{text(n.value, "system"), text(n.value, "code")})
	case "Identifier":
		pairs = append(pairs, [2]string{text(n.value, "system"), text(n.value, "value")})
	case "ContactPoint":
		pairs = append(pairs, [2]string{"", text(n.value, "value")})
	case "boolean":
		if n.value == true {
			return [][2]string{{"http://hl7.org/fhir/special-values", "true"}}
		}
		return [][2]string{{"http://hl7.org/fhir/special-values", "false"}}
	default:
		s, _ := n.value.(string)
		pairs = append(pairs, [2]string{systems, s})
	}
	return pairs
}

func textsOfCode(n node) []string {
	object, _ := n.value.(map[string]any)
	switch n.typ {
	case "CodeableConcept":
		texts := []string{text(object, "text")}
		for _, c := range list(object["coding"]) {
			texts = append(texts, text(c, "display"))
		}
		return texts
	case "Coding":
		return []string{text(object, "display")}
	case "Identifier":
		return []string{text(object["type"], "text")}
	default:
		return nil
	}
}

func stringsOf(n node) []string {
	if s, ok := n.value.(string); ok {
		return []string{s}
	}
	parts := "text family given prefix suffix"
	if n.typ == "Address" {
		parts = "text line city district state postalCode country"
	}
	object, _ := n.value.(map[string]any)
	var all []string
	for name := range strings.FieldsSeq(parts) {
		for _, v := range list(object[name]) {
			if s, ok := v.(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

func judgeString(s, modifier, want string) bool {
	switch modifier {
	case "exact":
		return s == want
	case "contains":
		return strings.Contains(plain(s), plain(want))
	default:
		return s != "" && strings.HasPrefix(plain(s), plain(want))
	}
}

func plain(s string) string {
	return strings.ToLower(strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))))
}

func judgeURI(n node, modifier, want string) bool {
	have, _ := n.value.(string)
	if n.typ == "canonical" {
		url, version, hasVersion := strings.Cut(want, "|")
		haveURL, haveVersion, _ := strings.Cut(have, "|")
		if hasVersion && version != haveVersion {
			return false
		}
		have, want = haveURL, url
	}
	switch modifier {
	case "above":
		return have == want || strings.HasPrefix(want, strings.TrimSuffix(have, "/")+"/")
	case "below":
		return have == want || strings.HasPrefix(have, strings.TrimSuffix(want, "/")+"/")
	default:
		return have == want
	}
}

func judgeReference(n node, modifier string, a alternative) bool {
	if n.typ != "Reference" {
		return judgeURI(n, "", a.value)
	}
	if modifier == "identifier" {
		object, _ := n.value.(map[string]any)
		return object["identifier"] != nil &&
			judgeToken(node{value: object["identifier"], typ: "Identifier"}, "", a)
	}
	have := text(n.value, "reference")
	local := strings.TrimPrefix(have, ownBase+"/")
	parts := literalReference.FindStringSubmatch(local)
	want := strings.TrimPrefix(a.value, ownBase+"/")
	if modifier != "" {
		want = modifier + "/" + want
	}
	switch {
	case parts == nil:
		return have == want
	case !strings.ContainsAny(want, "/:"):
		return parts[1] == "" && parts[3] == want
	case strings.Contains(want, "/_history/"):
		return local == want
	default:
		local, _, _ = strings.Cut(local, "/_history/")
		return local == want
	}
}

// ownBase is the base URL that the filters are compiled for.
const ownBase = "https://own.example/fhir"

// now is the time that they are compiled for.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// period has nil for an open end.
type period struct{ from, to *time.Time }

func judgeDate(n node, a alternative) bool {
	target, ok := periodOf(n)
	if !ok {
		return false
	}
	asked, _ := precise(a.value)
	low, high := *asked.from, *asked.to
	contains := target.from != nil && target.to != nil && !target.from.Before(low) && !target.to.After(high)
	above := target.to == nil || target.to.After(high)
	below := target.from == nil || target.from.Before(low)
	switch a.prefix {
	case "ne":
		return !contains
	case "gt":
		return above
	case "ge":
		return target.to == nil || target.to.After(low)
	case "lt":
		return below
	case "le":
		return target.from == nil || target.from.Before(high)
	case "sa":
		return target.from != nil && !target.from.Before(high)
	case "eb":
		return target.to != nil && !target.to.After(low)
	case "ap":
		gap := max(low.Unix()-now.Unix(), now.Unix()-high.Unix(), 0) / 10
		low, high = low.Add(-time.Duration(gap)*time.Second), high.Add(time.Duration(gap)*time.Second)
		return (target.to == nil || target.to.After(low)) && (target.from == nil || target.from.Before(high))
	default:
		return contains
	}
}

func periodOf(n node) (period, bool) {
	switch n.typ {
	case "Period":
		return closedPeriod(text(n.value, "start"), text(n.value, "end"))
	case "Timing":
		return outerLimits(n.value.(map[string]any))
	case "instant":
		s, _ := n.value.(string)
		p, ok := precise(s)
		if ok {
			point := p.from.Add(1)
			p.to = &point
		}
		return p, ok
	default:
		s, _ := n.value.(string)
		return precise(s)
	}
}

func closedPeriod(start, end string) (p period, ok bool) {
	ok = start != "" || end != ""
	if start != "" {
		first, good := precise(start)
		p.from, ok = first.from, ok && good
	}
	if end != "" {
		last, good := precise(end)
		p.to, ok = last.to, ok && good
	}
	return p, ok && (p.from == nil || p.to == nil || p.from.Before(*p.to))
}

func outerLimits(timing map[string]any) (period, bool) {
	var all []period
	for _, e := range list(timing["event"]) {
		s, _ := e.(string)
		if p, ok := precise(s); ok {
			all = append(all, p)
		}
	}
	repeat, _ := timing["repeat"].(map[string]any)
	if p, ok := closedPeriod(text(repeat["boundsPeriod"], "start"), text(repeat["boundsPeriod"], "end")); ok {
		all = append(all, p)
	}
	if len(all) == 0 {
		return period{}, false
	}
	outer := all[0]
	for _, p := range all[1:] {
		if outer.from != nil && (p.from == nil || p.from.Before(*outer.from)) {
			outer.from = p.from
		}
		if outer.to != nil && (p.to == nil || p.to.After(*outer.to)) {
			outer.to = p.to
		}
	}
	return outer, true
}

// precise returns the time that a date stands for.
func precise(s string) (period, bool) {
	span := func(from, to time.Time) (period, bool) { return period{&from, &to}, true }
	if t, err := time.Parse("2006", s); err == nil {
		return span(t, t.AddDate(1, 0, 0))
	}
	if t, err := time.Parse("2006-01", s); err == nil {
		return span(t, t.AddDate(0, 1, 0))
	}
	if t, err := time.Parse("2006-01-02", s); err == nil {
		return span(t, t.AddDate(0, 0, 1))
	}
	for _, layout := range []string{"2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return span(t, t.Add(time.Minute))
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			width := time.Second
			if _, fraction, ok := strings.Cut(s, "."); ok {
				for _, c := range fraction {
					if c < '0' || c > '9' {
						break
					}
					width /= 10
				}
			}
			return span(t, t.Add(width))
		}
	}
	return period{}, false
}

// extent is a range of numbers; nil is an open end, strict leaves the end out.
type extent struct {
	low, high             *big.Rat
	strictLow, strictHigh bool
	units                 [][3]string // system, code, unit
}

func judgeNumber(n node, a alternative) bool {
	target, ok := extentOf(n)
	if !ok {
		return false
	}
	if a.scoped && !slices.ContainsFunc(target.units, func(u [3]string) bool {
		if a.system == "" {
			return u[1] == a.unit || u[2] == a.unit
		}
		return u[0] == a.system && u[1] == a.unit
	}) {
		return false
	}
	return target.compare(a.prefix, a.value)
}

func (e extent) compare(prefix, number string) bool {
	n, _ := new(big.Rat).SetString(number)
	half := precisionOf(number)
	low, high := new(big.Rat).Sub(n, half), new(big.Rat).Add(n, half)
	contains := e.low != nil && e.high != nil && e.low.Cmp(low) >= 0 && e.high.Cmp(high) < 0
	reachesUp := func(x *big.Rat, orEqual bool) bool {
		return e.high == nil || e.high.Cmp(x) > 0 || orEqual && e.high.Cmp(x) == 0 && !e.strictHigh
	}
	reachesDown := func(x *big.Rat, orEqual bool) bool {
		return e.low == nil || e.low.Cmp(x) < 0 || orEqual && e.low.Cmp(x) == 0 && !e.strictLow
	}
	switch prefix {
	case "ne":
		return !contains
	case "gt":
		return reachesUp(n, false)
	case "ge":
		return reachesUp(n, true)
	case "lt":
		return reachesDown(n, false)
	case "le":
		return reachesDown(n, true)
	case "sa":
		return !reachesDown(n, true)
	case "eb":
		return !reachesUp(n, true)
	case "ap":
		margin := new(big.Rat).Mul(new(big.Rat).Abs(n), big.NewRat(1, 10))
		if margin.Cmp(half) < 0 {
			margin = half
		}
		return reachesUp(new(big.Rat).Sub(n, margin), true) && reachesDown(new(big.Rat).Add(n, margin), true)
	default:
		return contains
	}
}

// precisionOf returns half of what the last digit is worth.
func precisionOf(number string) *big.Rat {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	last := big.NewRat(1, 1)
	if exponent != "" {
		last, _ = new(big.Rat).SetString("1e" + exponent)
	}
	_, fraction, _ := strings.Cut(mantissa, ".")
	for range fraction {
		last.Quo(last, big.NewRat(10, 1))
	}
	return last.Quo(last, big.NewRat(2, 1))
}

func extentOf(n node) (extent, bool) {
	if number, ok := n.value.(json.Number); ok {
		r, _ := new(big.Rat).SetString(number.String())
		return extent{low: r, high: r}, true
	}
	object, _ := n.value.(map[string]any)
	if n.typ == "Range" {
		low, hasLow := extentOf(node{value: object["low"]})
		high, hasHigh := extentOf(node{value: object["high"]})
		units := low.units
		if !hasLow {
			units = high.units
		}
		return extent{low: low.low, high: high.high, strictLow: low.strictLow, strictHigh: high.strictHigh,
				units: units}, (hasLow || hasHigh) &&
				hasLow == (object["low"] != nil) && hasHigh == (object["high"] != nil)
	}
	number, ok := object["value"].(json.Number)
	if !ok {
		return extent{}, false
	}
	r, _ := new(big.Rat).SetString(number.String())
	e := extent{low: r, high: r, units: [][3]string{{
		text(object, "system"), text(object, "code"), text(object, "unit"),
	}}}
	if n.typ == "Money" {
		e.units = [][3]string{{"urn:iso:std:iso:4217", text(object, "currency"), ""}}
	}
	comparator := text(object, "comparator")
	if strings.HasPrefix(comparator, "<") {
		e.low, e.strictHigh = nil, comparator == "<"
	}
	if strings.HasPrefix(comparator, ">") {
		e.high, e.strictLow = nil, comparator == ">"
	}
	return e, true
}
