package synthetic

import "strings"

// wardSize is how many patients are in the Group.
const wardSize = 10

func writeWard(r *recorder, patients []string) {
	members := `{"entity":{"reference":"Patient/` + strings.Join(patients, `"}},{"entity":{"reference":"Patient/`) + `"}}`
	r.set("members", "["+members+"]")
	r.write("Group", firstMoment+2*365*day)
}

// writePatient records one patient with everything that happened to him.
func writePatient(r *recorder, clinics []clinic) {
	home := pick(r, clinics)
	setPatient(r)
	setClinic(r, home)
	visits := r.between(2, 6)
	first := firstMoment + int64(r.below(2*365*day))
	r.write("Patient", first)

	usual := newVitalSigns(r)
	gap := (lastMoment - day - first) / int64(visits)
	for i := range visits {
		setClinic(r, home)
		v := newVisit(r, first+int64(i)*gap+int64(r.below(int(gap))))
		v.write(r, usual)
		if i == 0 && r.below(3) == 0 {
			v.writeAllergy(r)
		}
	}
}

func setPatient(r *recorder) {
	gender := pick(r, []string{"female", "male"})
	given, family := pick(r, givenNames[gender]), pick(r, familyNames)
	race, marital, birthplace := pick(r, races), pick(r, maritalStatuses), pick(r, cities)
	born := firstMoment - int64(r.between(18*365, 90*365))*day
	r.set("patient", r.id(), "patientName", given+" "+family,
		"family", family, "given", given, "middle", pick(r, givenNames[gender]),
		"gender", gender, "birthSex", strings.ToUpper(gender[:1]), "birthDate", date(born),
		"raceCode", race.code, "race", race.display,
		"maritalCode", marital.code, "marital", marital.display,
		"birthCity", birthplace.name, "birthState", birthplace.state,
		"mrn", r.digits(8), "ssn", "999-"+r.digits(2)+"-"+r.digits(4))
	setAddress(r)
}

func setClinic(r *recorder, c clinic) {
	who := pick(r, c.practitioners)
	r.set("organization", c.organization, "organizationName", c.name,
		"location", c.location, "locationName", c.locationName,
		"practitioner", who.id, "practitionerName", who.name)
}
