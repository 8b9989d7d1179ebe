package fhir

import (
	"bytes"
	"slices"
	"strings"
)

// AppendPatientIDs appends to dst the ids of all patients in whose Patient
// compartment the resource is, sorted, each once, and returns the longer slice.
// A Patient is in its own compartment and in those of the patients it links to.
// A resource of a type outside the compartment, known or not, adds nothing. On
// an error ([ErrMalformed]) dst is returned as it was.
//
// A reference counts in these forms, each with or without /_history/version:
//
//	Patient/id
//	base/Patient/id     base being one of baseURLs
//
// baseURLs are the host's own base URLs, compared as text. Without them no
// absolute reference counts, since a Patient of another server is not a Patient
// of this one. References to contained resources, by urn: and by identifier
// alone name no Patient here. Whether the named Patient exists is not asked.
func (v Version) AppendPatientIDs(
	dst []string, resource []byte, baseURLs ...string,
) ([]string, error) {
	t, err := v.typeOf(resource)
	if err != nil || len(t.patientPaths) == 0 {
		return dst, err
	}
	c := collector{scanner: scanner{data: resource}, baseURLs: baseURLs, ids: dst[len(dst):]}
	for name := range c.members {
		if t.name == "Patient" && string(name) == "id" {
			c.add(c.text())
		}
		for _, path := range t.patientPaths {
			if first, rest, _ := strings.Cut(path, "."); string(name) == first {
				c.follow(rest)
			}
		}
	}
	if c.err != nil {
		return dst, c.err
	}
	slices.Sort(c.ids)
	return append(dst, slices.Compact(c.ids)...), nil
}

// typeOf finds the type first, wherever it stands, since it decides which
// elements count.
func (v Version) typeOf(resource []byte) (resourceType, error) {
	s := scanner{data: resource}
	for name := range s.members {
		if string(name) != "resourceType" {
			continue
		}
		if value := s.text(); len(value) > 0 && s.err == nil {
			t, _ := v.lookUp(string(value))
			return t, nil
		}
		break
	}
	if s.err == nil {
		s.fail("no resourceType")
	}
	return resourceType{}, s.err
}

// collector gathers the ids of the patients that a resource refers to.
type collector struct {
	scanner
	baseURLs []string
	ids      []string
}

// follow takes the value that is next along the path. An array counts with
// each of its elements.
func (c *collector) follow(path string) {
	if c.peek() != '[' {
		c.step(path)
		return
	}
	for range c.elements {
		c.step(path)
	}
}

func (c *collector) step(path string) {
	switch next := c.peek(); {
	case path == "" && next == '"':
		if id, ok := patientID(c.text(), c.baseURLs); ok {
			c.add(id)
		}
	case path != "" && next == '{':
		first, rest, _ := strings.Cut(path, ".")
		for name := range c.members {
			if string(name) == first {
				c.follow(rest)
			}
		}
	}
}

// add leaves out an id that came just before: most repeats are of that kind,
// and cost no copy. The others are found at the end.
func (c *collector) add(id []byte) {
	if n := len(c.ids); n > 0 && c.ids[n-1] == string(id) {
		return
	}
	if s := string(id); ValidID(s) {
		c.ids = append(c.ids, s)
	}
}

// patientID returns the id in a reference to a Patient of this server.
func patientID(ref []byte, baseURLs []string) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(withoutBase(ref, baseURLs), []byte("Patient/"))
	if !ok {
		return nil, false
	}
	id, tail, more := bytes.Cut(rest, []byte("/"))
	if !more {
		return id, true
	}
	version, ok := bytes.CutPrefix(tail, []byte("_history/"))
	return id, ok && ValidID(string(version))
}
