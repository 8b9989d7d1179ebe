package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const version = "4.0.1"

// bundle is what the originals have in common.
type bundle[T any] struct {
	Entry []struct{ Resource T }
}

func read[T any](dir, name string) ([]T, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("gen: %w", err)
	}
	var b bundle[T]
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("gen: read %s: %w", name, err)
	}
	var resources []T
	for _, e := range b.Entry {
		resources = append(resources, e.Resource)
	}
	return resources, nil
}

// reduce rewrites the two inputs from the originals in dir.
func reduce(dir string) error {
	definitions, err := reduceParameters(dir)
	if err != nil {
		return err
	}
	types, err := reduceElements(dir, definitions)
	if err != nil {
		return err
	}
	var lines [][]byte
	for _, d := range definitions {
		line, err := marshal(d)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	parametersFile = slices.Concat([]byte("[\n"), bytes.Join(lines, []byte(",\n")), []byte("\n]\n"))
	if elementsFile, err = json.MarshalIndent(types, "", ""); err != nil {
		return err
	}
	elementsFile = append(elementsFile, '\n')
	const folder = "internal/gen/"
	if err := os.WriteFile(folder+"parameters.json", parametersFile, 0o644); err != nil {
		return err
	}
	return os.WriteFile(folder+"elements.json", elementsFile, 0o644)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// reduceParameters leaves out what is not of this version, which some copies
// of the file have in addition.
func reduceParameters(dir string) ([]definition, error) {
	type original struct {
		definition
		URL     string
		Version string
	}
	all, err := read[original](dir, "search-parameters.json")
	if err != nil {
		return nil, err
	}
	var kept []definition
	for _, o := range all {
		if o.Version != version || o.URL != "http://hl7.org/fhir/SearchParameter/"+o.ID {
			continue
		}
		o.Expression = qualify(o.Expression, o.Base)
		if o.ID == "DocumentReference-relationship" { // names the other's definition in 4.0.1
			c := o.Component
			c[0].Definition, c[1].Definition = c[1].Definition, c[0].Definition
		}
		if len(o.Target) > 100 { // any type
			o.Target = []string{"Resource"}
		}
		kept = append(kept, o.definition)
	}
	return kept, nil
}

// qualify gives two expressions of 4.0.1 the type that they lack:
// ".subject.where(…)" of Account and "name | alias" of InsurancePlan.
func qualify(expression string, base []string) string {
	if len(base) != 1 || strings.Contains(expression, base[0]) || expression == "" {
		return expression
	}
	parts := strings.Split(expression, "|")
	for i, p := range parts {
		parts[i] = base[0] + "." + strings.TrimPrefix(strings.TrimSpace(p), ".")
	}
	return strings.Join(parts, " | ")
}

// structure is the part of a StructureDefinition that says what types its
// elements have.
type structure struct {
	ResourceType string
	Kind         string
	Derivation   string
	Snapshot     struct {
		Element []struct {
			Path             string
			Type             []struct{ Code string }
			Binding          struct{ Strength, ValueSet string }
			ContentReference string
		}
	}
}

// reduceElements keeps the elements that an expression may name: those of
// resources, and of data types what the expressions name there.
func reduceElements(dir string, definitions []definition) (elements, error) {
	systems, err := codeSystems(dir)
	if err != nil {
		return nil, err
	}
	all := make(elements)
	for _, name := range []string{"profiles-resources.json", "profiles-types.json"} {
		structures, err := read[structure](dir, name)
		if err != nil {
			return nil, err
		}
		for _, s := range structures {
			if s.ResourceType == "StructureDefinition" && s.Derivation != "constraint" {
				all.add(s, systems)
			}
		}
	}
	return all.named(definitions), nil
}

func (e elements) add(s structure, systems map[string]string) {
	for _, element := range s.Snapshot.Element {
		var types []string
		for _, t := range element.Type {
			name := strings.TrimPrefix(t.Code, "http://hl7.org/fhirpath/System.")
			switch {
			case name == "BackboneElement" || name == "Element":
				name = "element"
			case name == "String": // id of a resource, the one that expressions name
				name = "id"
			case name == "code" && element.Binding.Strength == "required":
				valueSet, _, _ := strings.Cut(element.Binding.ValueSet, "|")
				name = strings.TrimSpace(name + " " + systems[valueSet])
			}
			types = append(types, name)
		}
		if element.ContentReference != "" { // the same content as another element
			types = []string{strings.TrimPrefix(element.ContentReference, "#")}
		}
		e[element.Path] = strings.Join(types, "|")
	}
}

// named returns the elements on the ways of the expressions.
func (e elements) named(definitions []definition) elements {
	used := make(elements)
	recording := make(recorder)
	for _, d := range definitions {
		for _, base := range d.Base {
			recording.note(e, d, base)
		}
	}
	for path := range recording {
		used[path] = e[path]
	}
	return used
}

// recorder holds the paths of elements.
type recorder map[string]bool

// note follows each word of the expressions as far as it names elements.
func (r recorder) note(e elements, d definition, base string) {
	starts := branches(d.Expression, base)
	for _, start := range starts {
		places := r.follow(e, base, start)
		for _, c := range d.Component {
			for part := range strings.SplitSeq(c.Expression, "|") {
				for _, p := range places {
					r.follow(e, p, part)
				}
			}
		}
	}
}

// follow returns the paths under which the children of the last element stand.
func (r recorder) follow(e elements, base, text string) []string {
	text, _, _ = strings.Cut(strings.TrimLeft(strings.TrimSpace(text), "("), " ")
	at := []string{base}
	for _, name := range strings.Split(strings.TrimPrefix(strings.TrimPrefix(text, base), "."), ".") {
		var next []string
		for _, parent := range at {
			for _, path := range []string{parent + "." + name, parent + "." + name + "[x]"} {
				types, ok := e[path]
				if !ok {
					continue
				}
				r[path] = true
				next = append(next, path)
				for t := range strings.SplitSeq(types, "|") {
					if _, isType := e[t]; isType {
						next = append(next, t)
					}
				}
			}
		}
		if next != nil {
			at = next
		}
	}
	return at
}

// codeSystems maps the URL of a value set to the code systems it is made of,
// joined by commas. Sets that are defined in other ways are left out.
func codeSystems(dir string) (map[string]string, error) {
	type valueSet struct {
		ResourceType, URL string
		Compose           struct {
			Include []struct {
				System   string
				ValueSet []string
			}
		}
	}
	sets, err := read[valueSet](dir, "valuesets.json")
	if err != nil {
		return nil, err
	}
	systems := make(map[string]string)
	for _, set := range sets {
		var names []string
		for _, include := range set.Compose.Include {
			names = append(names, include.System)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if set.ResourceType == "ValueSet" && len(names) > 0 && !slices.Contains(names, "") {
			systems[set.URL] = strings.Join(names, ",")
		}
	}
	return systems, nil
}
