package smart_test

import "net/http"

// kickOffAsk is a kick-off request.
type kickOffAsk struct {
	method, path, body string
	types              []string // asked for
	group, patient     string   // whose tenant is the last five letters
}

func kickOffAsks() []kickOffAsk {
	post := func(name, value string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"` + name + `",` + value + `}]}`
	}
	get := http.MethodGet
	asks := []kickOffAsk{
		{method: get, path: "/fhir/$export"},
		{method: get, path: "/fhir/$export?_type=Patient", types: []string{"Patient"}},
		{method: get, path: "/fhir/$export?_type=Patient,Observation", types: []string{"Observation", "Patient"}},
		{method: get, path: "/fhir/$export?_type=Flag", types: []string{"Flag"}},
		{method: get, path: "/fhir/$export?_type=Group", types: []string{"Group"}},
		{method: get, path: "/fhir/Patient/$export"},
		{method: get, path: "/fhir/Patient/$export?_type=Observation", types: []string{"Observation"}},
		{method: http.MethodPost, path: "/fhir/$export", body: post("_type", `"valueString":"Patient"`),
			types: []string{"Patient"}},
		{method: http.MethodPost, path: "/fhir/Patient/$export", body: post("_type", `"valueString":"Immunization"`),
			types: []string{"Immunization"}},
	}
	for _, tenant := range []string{"never", "north", "south"} { // the first is of nobody
		group, patient := "group-"+tenant, "canary-"+tenant+"-patient-1"
		asks = append(asks,
			kickOffAsk{method: get, path: "/fhir/Group/" + group + "/$export", group: tenant},
			kickOffAsk{method: get, path: "/fhir/Group/" + group + "/$export?_type=Patient", group: tenant,
				types: []string{"Patient"}},
			kickOffAsk{method: http.MethodPost, path: "/fhir/Patient/$export", patient: tenant,
				body: post("patient", `"valueReference":{"reference":"Patient/`+patient+`"}`)})
	}
	return asks
}

// whose returns the tenant that a request is about, if it names one.
func (a kickOffAsk) whose() string { return a.group + a.patient }

// answerTo is the status of the answer, and the types of the export if there is one.
func (a kickOffAsk) answerTo(b bearer) (status int, types []string) {
	types = a.types
	if types == nil {
		types = b.types
	}
	switch {
	case !b.valid:
		return http.StatusUnauthorized, nil
	case b.types != nil && len(b.types) == 0, a.group != "" && !b.may("Group"),
		a.patient != "" && !b.may("Patient"), !b.may(a.types...):
		return http.StatusForbidden, nil
	case a.group != "" && a.group != b.caller.Tenant:
		return http.StatusNotFound, nil
	case a.patient != "" && a.patient != b.caller.Tenant:
		return http.StatusBadRequest, nil
	}
	return http.StatusAccepted, types
}
