package synthetic

import (
	"strconv"
	"strings"
)

// visit is what the records of one encounter have in common.
type visit struct{ start, end int64 }

// newVisit sets the values of an encounter that begins at start.
func newVisit(r *recorder, start int64) visit {
	minutes := r.between(15, 60)
	v := visit{start: start, end: start + int64(60*minutes)}
	kind := pick(r, visitTypes)
	r.set("encounter", r.id(), "visitNumber", r.digits(9), "visitCode", kind.code, "visit", kind.display,
		"minutes", strconv.Itoa(minutes), "date", date(v.start),
		"start", instant(v.start), "end", instant(v.end), "issued", instant(v.end))
	return v
}

// write records the encounter and what was found and done.
func (v visit) write(r *recorder, usual vitalSigns) {
	r.write("Encounter", v.end)
	v.writeVitals(r, usual)
	if r.below(2) == 0 {
		v.writePanel(r, pick(r, panels))
	}
	if r.below(2) == 0 {
		v.writeDiagnosis(r, pick(r, diagnoses))
	}
	if r.below(3) == 0 {
		done := pick(r, procedures)
		r.set("id", r.id(), "procedureCode", done.code, "procedure", done.display)
		r.write("Procedure", v.end)
	}
	if r.below(2) == 0 {
		given := pick(r, vaccines)
		r.set("id", r.id(), "vaccineCode", given.code, "vaccine", given.display, "lot", r.digits(6))
		r.write("Immunization", v.end)
	}
	v.writeAudit(r)
}

// vitalSigns are the values around which those of one person vary.
type vitalSigns struct {
	values              []int
	systolic, diastolic int
}

func newVitalSigns(r *recorder) vitalSigns {
	usual := vitalSigns{systolic: r.between(100, 150), diastolic: r.between(60, 95)}
	for _, m := range vitals {
		usual.values = append(usual.values, r.between(m.low, m.high))
	}
	return usual
}

func (v visit) writeVitals(r *recorder, usual vitalSigns) {
	r.set("observation", r.id(),
		"systolic", strconv.Itoa(usual.systolic+r.between(-8, 8)),
		"diastolic", strconv.Itoa(usual.diastolic+r.between(-5, 5)))
	r.write("BloodPressure", v.end)

	r.set("profile", "us-core-vital-signs", "categoryCode", "vital-signs", "category", "Vital Signs")
	for i, m := range vitals {
		spread := (m.high - m.low) / 20
		v.writeObservation(r, m, usual.values[i]+r.between(-spread, spread))
	}
}

// writePanel records laboratory results and the report that lists them.
func (v visit) writePanel(r *recorder, p panel) {
	r.set("profile", "us-core-observation-lab", "categoryCode", "laboratory", "category", "Laboratory")
	var results []string
	for _, m := range p.measures {
		spread := (m.high - m.low) / 4
		id := v.writeObservation(r, m, r.between(m.low-spread, m.high+spread))
		results = append(results, `{"reference":"Observation/`+id+`","display":"`+m.display+`"}`)
	}
	r.set("report", r.id(), "panelCode", p.code.code, "panel", p.display, "results", strings.Join(results, ","))
	r.write("DiagnosticReport", v.end)
}

func (v visit) writeObservation(r *recorder, m measure, value int) string {
	reading := code{"N", "Normal"}
	switch {
	case value < m.low:
		reading = code{"L", "Low"}
	case value > m.high:
		reading = code{"H", "High"}
	}
	id := r.id()
	r.set("observation", id, "loinc", m.code.code, "measure", m.display, "unit", m.unit,
		"value", decimal(value, m.places), "low", decimal(m.low, m.places), "high", decimal(m.high, m.places),
		"interpretationCode", reading.code, "interpretation", reading.display)
	r.write("Observation", v.end)
	return id
}

func (v visit) writeDiagnosis(r *recorder, d diagnosis) {
	clinical, order := "resolved", "completed"
	if d.chronic {
		clinical, order = "active", "active"
	}
	r.set("condition", r.id(), "findingCode", d.code.code, "finding", d.display, "icd", d.icd,
		"clinicalStatus", clinical)
	r.write("Condition", v.end)
	r.set("id", r.id(), "orderStatus", order, "drugCode", d.drug.code, "drug", d.drug.display,
		"perDay", strconv.Itoa(r.between(1, 3)))
	r.write("MedicationRequest", v.end)
}

func (v visit) writeAllergy(r *recorder) {
	a := pick(r, allergens)
	r.set("id", r.id(), "allergyCode", a.code.code, "allergy", a.display, "allergyCategory", a.category)
	r.write("AllergyIntolerance", v.end)
}

// writeAudit records who read or changed the chart.
func (v visit) writeAudit(r *recorder) {
	for _, access := range []struct{ interaction, action string }{{"read", "R"}, {"update", "U"}} {
		if r.below(2) == 0 {
			continue
		}
		r.set("id", r.id(), "interaction", access.interaction, "action", access.action,
			"address", "192.0.2."+strconv.Itoa(r.between(1, 254)))
		r.write("AuditEvent", v.end)
	}
}
