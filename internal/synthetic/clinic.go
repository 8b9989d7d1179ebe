package synthetic

// practitionersPerClinic is how many practitioners work at each clinic.
const practitionersPerClinic = 5

// clinic is an organization with its one location and its staff.
type clinic struct {
	organization, name     string
	location, locationName string
	practitioners          []practitioner
}

type practitioner struct{ id, name string }

// writeClinics records what the patients share.
func writeClinics(r *recorder) []clinic {
	clinics := make([]clinic, len(clinicNames))
	for i, name := range clinicNames {
		c := clinic{
			organization: r.id(), name: name,
			location: r.id(), locationName: name + ", Outpatient Department",
		}
		r.set("organization", c.organization, "organizationName", c.name,
			"location", c.location, "locationName", c.locationName, "npi", r.digits(10))
		setAddress(r)
		r.write("Organization", firstMoment)
		r.write("Location", firstMoment)
		for range practitionersPerClinic {
			c.practitioners = append(c.practitioners, writePractitioner(r))
		}
		clinics[i] = c
	}
	return clinics
}

func writePractitioner(r *recorder) practitioner {
	gender := pick(r, []string{"female", "male"})
	given, family := pick(r, givenNames[gender]), pick(r, familyNames)
	p := practitioner{id: r.id(), name: "Dr. " + given + " " + family}
	r.set("practitioner", p.id, "gender", gender, "given", given, "family", family,
		"npi", r.digits(10), "phone", phone(r))
	r.write("Practitioner", firstMoment)
	return p
}

func setAddress(r *recorder) {
	city := pick(r, cities)
	r.set("line", r.digits(3)+" "+pick(r, streets), "city", city.name, "state", city.state,
		"zip", city.zip+r.digits(2), "phone", phone(r))
}

// phone returns a number of the range kept free for fiction.
func phone(r *recorder) string { return "555-01" + r.digits(2) + "-" + r.digits(4) }
