//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
)

// marker is in every resource and must be in no log.
const marker = "soak-content-9d1c7e"

// groupID is the one Group of a tenant. It is changed, but never deleted.
const groupID = "g0"

// ref names a resource.
type ref struct{ tenant, kind, id string }

func (r ref) String() string { return r.tenant + "/" + r.kind + "/" + r.id }

// shape is what resources are made by: what is in one follows from its name and
// the number of its version, so that none has to be kept.
type shape struct{ patients int }

// random gives what is particular to a version.
func random(r ref, number int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.String())) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), uint64(number)))
}

// patientsOf returns the patients to whose compartments a version belongs.
func (s shape) patientsOf(r ref, number int) []string {
	rng := random(r, number)
	patient := func() string { return fmt.Sprintf("p%d", rng.IntN(s.patients)) }
	switch r.kind {
	case "Patient":
		return []string{r.id}
	case "Observation", "Encounter":
		if rng.IntN(8) == 0 {
			return nil
		}
		return []string{patient()}
	case "Group":
		members := make([]string, 5+rng.IntN(5))
		for i := range members {
			members[i] = patient()
		}
		return members
	}
	return nil
}

// body returns a version as it is stored. Some have a line break in them, which
// is not in the line of an export.
func (s shape) body(r ref, number int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"resourceType":%q,"id":%q,"identifier":[{"value":"%s/%d"}],`, r.kind, r.id, r, number)
	if number%5 == 0 {
		b.WriteByte('\n')
	}
	patients := s.patientsOf(r, number)
	switch {
	case r.kind == "Group":
		b.WriteString(`"type":"person","actual":true,"member":[`)
		for i, id := range patients {
			b.WriteString(strings.Repeat(",", min(i, 1)))
			fmt.Fprintf(&b, `{"entity":{"reference":"Patient/%s"}}`, id)
		}
		b.WriteString(`],`)
	case r.kind != "Patient" && len(patients) > 0:
		fmt.Fprintf(&b, `"status":"final","subject":{"reference":"Patient/%s"},"valueQuantity":{"value":1.50},`, patients[0])
	}
	fmt.Fprintf(&b, `"text":{"status":"generated","div":"%s é \u00e9 <&> `, marker)
	rng := random(r, number)
	words := 4 + rng.IntN(80)
	if r.tenant == tenants()[0] { // files that do not fit into the buffers of a connection
		words *= 10
	}
	for range words {
		b.Write(strconv.AppendUint(nil, rng.Uint64(), 36))
	}
	b.WriteString(`"}}`)
	return b.Bytes()
}

// line returns a version as an export has it.
func (s shape) line(r ref, number int) []byte {
	return bytes.ReplaceAll(s.body(r, number), []byte("\n"), nil)
}

// exported is what a line of an export says of itself.
type exported struct {
	ref    ref
	number int
}

// identity are the members of a resource that say what it is.
type identity struct {
	ResourceType, ID string
	Identifier       []struct{ Value string }
	Text             json.RawMessage
	Meta             struct{ Tag []struct{ Code string } }
}

// readLine reads a line and compares it byte for byte with what it says to be.
func (s shape) readLine(line []byte) (exported, error) {
	e, _, err := identify(line)
	if err != nil {
		return e, err
	}
	if want := s.line(e.ref, e.number); !bytes.Equal(line, want) {
		return e, fmt.Errorf("%s version %d is not as it was stored (%d bytes instead of %d)",
			e.ref, e.number, len(line), len(want))
	}
	return e, nil
}

// readElements reads a line of an export with _elements=identifier.
func (s shape) readElements(line []byte) (exported, error) {
	e, found, err := identify(line)
	switch {
	case err != nil:
	case found.Text != nil:
		err = fmt.Errorf("%s has an element that was not asked for", e.ref)
	case len(found.Meta.Tag) != 1 || found.Meta.Tag[0].Code != "SUBSETTED":
		err = fmt.Errorf("%s is not tagged SUBSETTED", e.ref)
	}
	return e, err
}

func identify(line []byte) (exported, identity, error) {
	var found identity
	if err := json.Unmarshal(line, &found); err != nil {
		return exported{}, found, fmt.Errorf("a line is not a JSON object: %w", err)
	}
	if len(found.Identifier) != 1 {
		return exported{}, found, fmt.Errorf("%s/%s has no identifier", found.ResourceType, found.ID)
	}
	name, number, _ := cutLast(found.Identifier[0].Value, "/")
	tenant, name, _ := strings.Cut(name, "/")
	e := exported{ref: ref{tenant, found.ResourceType, found.ID}}
	var err error
	if e.number, err = strconv.Atoi(number); err != nil || name != found.ResourceType+"/"+found.ID {
		return e, found, errors.New(e.ref.String() + " has the content of another resource")
	}
	return e, found, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
