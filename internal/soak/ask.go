//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ask is what an export is asked for, in the words of the client and in those of
// the world.
type ask struct {
	path   string // of the kick-off
	params url.Values
	post   bool
	sel    selection
}

func (a ask) String() string {
	text := a.path + "?" + a.params.Encode()
	if a.post {
		text = "POST " + text
	}
	return text
}

func everything(tenant string) ask {
	return ask{path: "/fhir/$export", params: url.Values{}, sel: selection{tenant: tenant}}
}

// since limits an export to what is later than another one's transaction time.
func (a ask) since(at time.Time) ask {
	if !at.IsZero() {
		a.params = maps.Clone(a.params)
		a.params.Set("_since", at.Format(time.RFC3339Nano))
		a.sel.since = at.UnixMicro()
	}
	return a
}

func (a ask) elements() bool { return a.params.Has("_elements") }

// anyAsk makes up a request. earlier is the transaction time of an export, or
// zero.
func anyAsk(rng *rand.Rand, tenant string, patients int, earlier time.Time) ask {
	a := everything(tenant)
	switch rng.IntN(8) {
	case 0:
		a = a.since(earlier)
	case 1:
		a.ofTypes(rng)
		if rng.IntN(2) == 0 {
			a = a.since(earlier)
		}
	case 2:
		a.params.Set("_elements", "identifier")
	case 3:
		a.path, a.sel.group = "/fhir/Group/"+groupID+"/$export", groupID
	case 4:
		a.ofPatients(rng, patients)
	case 5:
		a.path, a.sel.inCompartment = "/fhir/Patient/$export", true
		a = a.since(earlier)
	}
	a.post = a.post || rng.IntN(4) == 0
	return a
}

func (a *ask) ofTypes(rng *rand.Rand) {
	names := kinds()
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	a.sel.kinds = names[:1+rng.IntN(3)]
	a.params.Set("_type", strings.Join(a.sel.kinds, ","))
}

// ofPatients limits an export to some patients, which must be there.
func (a *ask) ofPatients(rng *rand.Rand, patients int) {
	a.path, a.post = "/fhir/Patient/$export", true
	a.sel.inCompartment, a.sel.patients = true, map[string]bool{}
	for range 1 + rng.IntN(protectedPatients) {
		a.sel.patients[fmt.Sprintf("p%d", rng.IntN(min(protectedPatients, patients)))] = true
	}
	for _, id := range slices.Sorted(maps.Keys(a.sel.patients)) {
		a.params.Add("patient", "Patient/"+id)
	}
}

// call makes the kick-off request.
func (a ask) call(token string) call {
	c := call{method: http.MethodGet, path: a.path, token: token, header: map[string]string{
		"Accept": "application/fhir+json", "Prefer": "respond-async",
	}}
	if !a.post {
		if query := a.params.Encode(); query != "" {
			c.path += "?" + query
		}
		return c
	}
	c.method, c.body = http.MethodPost, a.parameters()
	c.header["Content-Type"] = "application/fhir+json"
	return c
}

// parameters returns the Parameters resource of a POST.
func (a ask) parameters() string {
	list := []map[string]any{}
	for name, values := range a.params {
		for _, value := range values {
			switch name {
			case "_since":
				list = append(list, map[string]any{"name": name, "valueInstant": value})
			case "patient":
				list = append(list, map[string]any{"name": name, "valueReference": map[string]any{"reference": value}})
			default:
				list = append(list, map[string]any{"name": name, "valueString": value})
			}
		}
	}
	text, err := json.Marshal(map[string]any{"resourceType": "Parameters", "parameter": list})
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return string(text)
}
