package fhir

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// subsetted is the tag that tells a reader that elements are missing.
const (
	subsettedSystem = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
	subsettedCode   = "SUBSETTED"
	subsettedTag    = `{"system":"` + subsettedSystem + `","code":"` + subsettedCode + `"}`
)

// Projection cuts resources of one type down to some of their root elements.
// It is immutable and safe for concurrent use. [Version.NewProjection] makes it.
type Projection struct {
	resourceType string
	// members are the names that stay, by length: there are few of each.
	members [][]string
}

// NewProjection returns the projection of a resource type on root elements,
// each named as in [Version.HasElement]. Besides those it keeps
//
//   - resourceType and id, which name the resource, and meta, whose
//     lastUpdated, profile and security labels readers need to handle what is
//     left;
//   - what is mandatory by the definition of the type (minimum cardinality 1);
//   - what may change the meaning of the rest by the definition (isModifier):
//     implicitRules and modifierExtension of all types, and elements such as
//     Patient.active, Patient.link or MedicationRequest.doNotPerform.
//
// So language, text, contained and extension go unless they are asked for. The
// error is [ErrUnknownType], or [ErrUnknownElement] for the first such element.
func (v Version) NewProjection(resourceType string, elements []string) (*Projection, error) {
	t, ok := v.lookUp(resourceType)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownType, resourceType)
	}
	p := &Projection{resourceType: t.name}
	p.keep([]string{"resourceType", "id", "meta"})
	for _, name := range elements {
		members := t.members(name)
		if len(members) == 0 {
			return nil, fmt.Errorf("%w: %s.%s", ErrUnknownElement, resourceType, name)
		}
		p.keep(members)
	}
	for word := range strings.FieldsSeq(t.elements) {
		if e := parseElement(word); e.essential {
			p.keep(e.members(e.name))
		}
	}
	return p, nil
}

func (p *Projection) keep(members []string) {
	for _, name := range members {
		if missing := len(name) + 1 - len(p.members); missing > 0 {
			p.members = append(p.members, make([][]string, missing)...)
		}
		if !slices.Contains(p.members[len(name)], name) {
			p.members[len(name)] = append(p.members[len(name)], name)
		}
	}
}

// keeps reports whether the member stays. _birthDate, which extends birthDate,
// goes with it.
func (p *Projection) keeps(name []byte) bool {
	if len(name) > 0 && name[0] == '_' {
		name = name[1:]
	}
	if len(name) >= len(p.members) {
		return false
	}
	for _, member := range p.members[len(name)] {
		if member == string(name) {
			return true
		}
	}
	return false
}

// Append appends the resource to dst with the elements of the projection only,
// and returns the longer slice. The tag SUBSETTED is added behind the tags that
// meta has, unless it is there already, also where nothing else has changed; a
// resource without meta gets one at its end. All other bytes that stay are as
// they were: order, number text, white space.
//
// A resource of another type, and one that has meta or meta.tag twice, is
// [ErrMalformed], like what is no resource; dst is then returned as it was. The
// resource must not overlap the free room of dst.
func (p *Projection) Append(dst, resource []byte) ([]byte, error) {
	r := reducer{splicer: splicer{scanner: scanner{data: resource}, dst: dst}}
	r.peek()
	end, first := r.pos+1, true
	for name := range r.members {
		start, keep := end, p.keeps(name)
		if keep && first {
			r.cutComma(start)
			first = false
		}
		r.member(name, p.resourceType)
		end = r.pos
		if !keep {
			r.cut(start, end)
		}
	}
	r.finish(end)
	return r.result(len(dst))
}

// reducer is one run of a projection.
type reducer struct {
	splicer
	typed  bool
	tagged bool
}

// cutComma makes the member that starts there the first one, if those before
// have been cut.
func (r *reducer) cutComma(start int) {
	if r.copied > 0 {
		r.cut(start, start+bytes.IndexByte(r.data[start:], ',')+1)
	}
}

// member reads the value of the member, which is next.
func (r *reducer) member(name []byte, resourceType string) {
	switch string(name) {
	case "resourceType":
		r.typed = true
		if !r.isText(resourceType) {
			r.fail("another resourceType")
		}
	case "meta":
		if r.tagged {
			r.fail("meta twice")
		}
		r.meta()
	default:
		r.skip()
	}
}

func (r *reducer) meta() {
	empty := true
	for name := range r.members {
		empty = false
		if string(name) == "tag" {
			if r.tagged {
				r.fail("meta.tag twice")
			}
			r.tags()
		}
	}
	if !r.tagged {
		r.insert(r.pos-1, empty, `"tag":[`+subsettedTag+`]`)
	}
}

func (r *reducer) tags() {
	empty, found := true, false
	for range r.elements {
		empty = false
		found = r.isSubsetted() || found
	}
	if !found {
		r.insert(r.pos-1, empty, subsettedTag)
	}
	r.tagged = true
}

// isSubsetted reads the tag that is next.
func (r *reducer) isSubsetted() bool {
	if r.peek() != '{' {
		return false
	}
	system, code := false, false
	for name := range r.members {
		switch string(name) {
		case "system":
			system = r.isText(subsettedSystem)
		case "code":
			code = r.isText(subsettedCode)
		}
	}
	return system && code
}

// insert adds text at the end of an object or array.
func (r *reducer) insert(at int, empty bool, text string) {
	if r.err != nil {
		return
	}
	r.cut(at, at)
	if !empty {
		r.dst = append(r.dst, ',')
	}
	r.dst = append(r.dst, text...)
	r.tagged = true
}

// finish completes the resource whose last member ends there.
func (r *reducer) finish(end int) {
	if r.err == nil && !r.typed {
		r.fail("no resourceType")
	}
	if !r.tagged {
		r.insert(end, false, `"meta":{"tag":[`+subsettedTag+`]}`)
	}
}
