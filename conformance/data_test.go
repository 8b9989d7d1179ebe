package conformance_test

import (
	"slices"
	"strings"
)

// ward are three patients, two of them in a Group, with data of several types.
func ward() []string {
	return []string{
		`Organization/hospital "name":"General"`,
		`Location/l1 "name":"Ward 7"`,
		`Patient/a "gender":"female","birthDate":"1970-02-01"`,
		`Patient/b "gender":"male","birthDate":"2001-03-02"`,
		`Patient/c "gender":"other"`,
		`Encounter/ea "status":"finished","class":{"code":"AMB"},` + subject("a"),
		`Observation/a1 "status":"final","code":{"text":"K"},` + subject("a"),
		`Observation/a2 "status":"preliminary","code":{"text":"Na"},` + subject("a"),
		`Observation/b1 "status":"amended","code":{"text":"K"},` + subject("b"),
		`Observation/c1 "status":"final","code":{"text":"K"},` + subject("c"),
		`Condition/c2 "code":{"text":"cold"},` + subject("c"),
		`Group/ward "type":"person","actual":true,` + members("Patient/a", "Patient/b"),
		`Group/all "type":"person","actual":true,` + members("Group/ward", "Patient/c", "Group/all"),
		`Group/nobody "type":"person","actual":true`,
		`Group/idea "type":"person","actual":false`,
		`ValueSet/v "status":"active"`,
	}
}

// everything are the names of ward, sorted; ofPatients those of them that belong
// to patients.
func everything() []string {
	return sorted("Condition/c2", "Encounter/ea", "Group/all", "Group/idea", "Group/nobody", "Group/ward", "Location/l1",
		"Observation/a1", "Observation/a2", "Observation/b1", "Observation/c1", "Organization/hospital",
		"Patient/a", "Patient/b", "Patient/c", "ValueSet/v")
}

func ofPatients() []string {
	return sorted("Condition/c2", "Encounter/ea", "Group/all", "Group/ward",
		"Observation/a1", "Observation/a2", "Observation/b1", "Observation/c1", "Patient/a", "Patient/b", "Patient/c")
}

// ofWard are those at the level of Group/ward.
func ofWard() []string {
	return sorted("Encounter/ea", "Group/ward", "Observation/a1", "Observation/a2", "Observation/b1",
		"Patient/a", "Patient/b")
}

func subject(patient string) string { return `"subject":{"reference":"Patient/` + patient + `"}` }

func members(references ...string) string {
	var list []string
	for _, reference := range references {
		list = append(list, `{"entity":{"reference":"`+reference+`"}}`)
	}
	return `"member":[` + strings.Join(list, ",") + `]`
}

func target(references ...string) string {
	var list []string
	for _, reference := range references {
		list = append(list, `{"reference":"`+reference+`"}`)
	}
	return `"target":[` + strings.Join(list, ",") + `]`
}

func sorted(names ...string) []string {
	slices.Sort(names)
	return names
}

// only are those names that begin with a type.
func only(names []string, resourceType string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !strings.HasPrefix(name, resourceType+"/")
	})
}
