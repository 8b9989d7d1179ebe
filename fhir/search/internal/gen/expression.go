package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// elements maps the path of an element to its data types, joined by "|". A
// choice element keeps its [x]. After the type code stand the code systems
// that its values are from, where they are known: "code http://…".
type elements map[string]string

// judged are the data types that a parameter of a kind is judged by. The
// others that an expression may reach have no meaning there (the string of
// Immunization.occurrence[x] is not a date), or R4 gives none (SampledData).
var judged = map[string][]string{
	"token": {"boolean", "canonical", "code", "CodeableConcept", "Coding", "ContactPoint", "id",
		"Identifier", "string", "uri"},
	"date":      {"date", "dateTime", "instant", "Period", "Timing"},
	"string":    {"Address", "HumanName", "markdown", "string"},
	"reference": {"canonical", "Reference", "uri"},
	"quantity":  {"Age", "Duration", "Money", "Quantity", "Range"},
	"number":    {"decimal", "integer", "positiveInt", "Range", "unsignedInt"},
	"uri":       {"canonical", "uri", "url"},
}

var (
	parenthesised = regexp.MustCompile(`^\((.*) as (\w+)\)(.*)$`)
	existence     = regexp.MustCompile(`^([\w.]+)\.exists\(\) and ([\w.]+) != false$`)
	step          = regexp.MustCompile(`^\.?(as|where)\(([^()]*(?:\(\)[^()]*)?)\)|^\.?(\w+)`)
	byMember      = regexp.MustCompile(`^(\w+)='([^']*)'$`)
	byTarget      = regexp.MustCompile(`^resolve\(\) is (\w+)$`)
)

// branches returns the parts of a union that belong to the resource type.
func branches(expression, base string) []string {
	var own []string
	for b := range strings.SplitSeq(expression, "|") {
		b = strings.TrimSpace(b)
		first, _, _ := strings.Cut(strings.TrimPrefix(b, "("), ".")
		if first == base {
			own = append(own, b)
		}
	}
	return own
}

// paths returns what an expression leads to in the table's notation, sorted:
//
//	component.value+Quantity:Quantity    value[x] as valueQuantity
//	relatedArtifact(type=depends-on).resource:canonical
//	subject(Patient):Reference           a reference to a Patient
//	status:code@http://…                 with the code system
//	deceased+DateTime:true               counts as true where it is present
//
// start is the element where branches begin that do not name their type.
func (e elements) paths(branches []string, start, base, kind string) ([]string, error) {
	var paths []string
	for _, p := range branches {
		found, err := e.branch(strings.TrimSpace(p), start, base, kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

func (e elements) branch(text, start, base, kind string) ([]string, error) {
	if kind == "special" || strings.Contains(text, "[0]") || strings.HasPrefix(text, "%resource") {
		return nil, nil // geography, inlined resources, and components elsewhere: not judged
	}
	exists := false
	if m := existence.FindStringSubmatch(text); m != nil && m[1] == m[2] {
		text, exists = m[1], true
	}
	if m := parenthesised.FindStringSubmatch(text); m != nil {
		text = m[1] + ".as(" + m[2] + ")" + m[3]
	}
	at := place{element: start, types: []string{"element"}}
	if types, ok := e[start]; ok {
		at.types = strings.Split(types, "|")
	}
	w := walk{elements: e, at: []place{at}}
	text = strings.TrimPrefix(text, base)
	for text != "" {
		m := step.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("cannot read %q", text)
		}
		if err := w.step(m[1], m[2], m[3]); err != nil {
			return nil, err
		}
		text = text[len(m[0]):]
	}
	return w.leaves(kind, exists), nil
}

// place is an element that a walk has come to.
type place struct {
	element string   // its path in the definitions, without [x]
	json    string   // its path in JSON, from the start of the walk
	types   []string // its data types
	choice  bool     // whether the JSON name still lacks the type
}

type walk struct {
	elements elements
	at       []place
}

func (w *walk) step(function, argument, name string) error {
	var next []place
	for _, p := range w.at {
		switch function {
		case "":
			found, err := w.child(p, name)
			if err != nil {
				return err
			}
			next = append(next, found)
		case "as":
			next = append(next, p.as(argument))
		case "where":
			filtered, err := p.where(argument)
			if err != nil {
				return err
			}
			next = append(next, filtered)
		}
	}
	w.at = next
	return nil
}

func (w *walk) child(p place, name string) (place, error) {
	parent := p.element
	if len(p.types) == 1 && p.types[0] != "element" {
		parent = p.types[0]
	}
	next := place{element: parent + "." + name, json: strings.TrimPrefix(p.json+"."+name, ".")}
	types, ok := w.elements[next.element]
	if !ok {
		types, ok = w.elements[next.element+"[x]"]
		next.choice = ok
	}
	if !ok {
		return place{}, fmt.Errorf("unknown element %s", next.element)
	}
	next.types = strings.Split(types, "|")
	return next, nil
}

// as keeps one type. The definitions write dateTime with a capital letter once.
func (p place) as(name string) place {
	p.types = slices.DeleteFunc(slices.Clone(p.types), func(t string) bool {
		return !strings.EqualFold(t, name)
	})
	if p.choice && len(p.types) == 1 {
		p.json += "+" + strings.ToUpper(p.types[0][:1]) + p.types[0][1:]
		p.choice = false
	}
	return p
}

func (p place) where(condition string) (place, error) {
	if m := byMember.FindStringSubmatch(condition); m != nil {
		p.json += "(" + m[1] + "=" + m[2] + ")"
		return p, nil
	}
	if m := byTarget.FindStringSubmatch(condition); m != nil {
		p.json += "(" + m[1] + ")"
		return p, nil
	}
	return p, fmt.Errorf("cannot judge where(%s)", condition)
}

// leaves spells the places out, each with each type that the kind judges.
func (w *walk) leaves(kind string, exists bool) []string {
	var paths []string
	for _, p := range w.at {
		for _, t := range p.types {
			name, systems, _ := strings.Cut(t, " ")
			path := p.json
			if p.choice {
				path += "+" + strings.ToUpper(name[:1]) + name[1:]
			}
			switch {
			case kind == "composite":
				paths = append(paths, path+":element")
			case exists && name != "boolean":
				paths = append(paths, path+":true")
			case slices.Contains(judged[kind], name) && systems != "":
				paths = append(paths, path+":"+name+"@"+systems)
			case slices.Contains(judged[kind], name):
				paths = append(paths, path+":"+name)
			}
		}
	}
	return paths
}
