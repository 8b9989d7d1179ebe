package synthetic

// measure is something observed: a LOINC code, a UCUM unit, and the normal
// range. Values are integers, to be divided by 10^places.
type measure struct {
	code
	unit              string
	low, high, places int
}

// panel is a set of laboratory measures that are ordered together.
type panel struct {
	code
	measures []measure
}

// diagnosis is a finding (SNOMED CT, ICD-10) and what it is treated with (RxNorm).
type diagnosis struct {
	code
	icd     string
	chronic bool
	drug    code
}

// allergen is a substance and the category that FHIR puts it in.
type allergen struct {
	code
	category string
}

var (
	vitals = []measure{
		{code{"8302-2", "Body height"}, "cm", 1500, 1950, 1},
		{code{"29463-7", "Body weight"}, "kg", 480, 1050, 1},
		{code{"8867-4", "Heart rate"}, "/min", 55, 95, 0},
		{code{"8310-5", "Body temperature"}, "Cel", 362, 374, 1},
	}
	panels = []panel{
		{code{"51990-0", "Basic metabolic panel - Blood"}, []measure{
			{code{"2339-0", "Glucose [Mass/volume] in Blood"}, "mg/dL", 700, 1000, 1},
			{code{"6299-2", "Urea nitrogen [Mass/volume] in Blood"}, "mg/dL", 70, 200, 1},
			{code{"38483-4", "Creatinine [Mass/volume] in Blood"}, "mg/dL", 60, 130, 2},
			{code{"2947-0", "Sodium [Moles/volume] in Blood"}, "mmol/L", 1350, 1450, 1},
			{code{"6298-4", "Potassium [Moles/volume] in Blood"}, "mmol/L", 350, 510, 2},
		}},
		{code{"57698-3", "Lipid panel with direct LDL - Serum or Plasma"}, []measure{
			{code{"2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"}, "mg/dL", 1250, 2000, 1},
			{code{"2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"}, "mg/dL", 500, 1500, 1},
			{code{"18262-6", "Cholesterol in LDL [Mass/volume] in Serum or Plasma"}, "mg/dL", 500, 1300, 1},
			{code{"2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"}, "mg/dL", 400, 700, 1},
		}},
		{code{"58410-2", "Complete blood count panel - Blood by Automated count"}, []measure{
			{code{"6690-2", "Leukocytes [#/volume] in Blood"}, "10*3/uL", 450, 1100, 2},
			{code{"789-8", "Erythrocytes [#/volume] in Blood"}, "10*6/uL", 410, 590, 2},
			{code{"718-7", "Hemoglobin [Mass/volume] in Blood"}, "g/dL", 120, 175, 1},
			{code{"777-3", "Platelets [#/volume] in Blood"}, "10*3/uL", 150, 400, 0},
		}},
		{code{"4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"}, []measure{
			{code{"4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"}, "%", 400, 570, 2},
		}},
	}
	diagnoses = []diagnosis{
		{code{"38341003", "Hypertensive disorder"}, "I10", true, code{"314076", "lisinopril 10 MG Oral Tablet"}},
		{code{"44054006", "Type 2 diabetes mellitus"}, "E11.9", true,
			code{"861007", "metformin hydrochloride 500 MG Oral Tablet"}},
		{code{"55822004", "Hyperlipidemia"}, "E78.5", true, code{"314231", "simvastatin 10 MG Oral Tablet"}},
		{code{"195967001", "Asthma"}, "J45.909", true, code{"311040", "montelukast 10 MG Oral Tablet"}},
		{code{"40930008", "Hypothyroidism"}, "E03.9", true,
			code{"966224", "levothyroxine sodium 0.05 MG Oral Tablet"}},
		{code{"444814009", "Viral sinusitis"}, "J01.90", false, code{"313782", "acetaminophen 325 MG Oral Tablet"}},
		{code{"10509002", "Acute bronchitis"}, "J20.9", false,
			code{"308182", "amoxicillin 250 MG Oral Capsule"}},
		{code{"38822007", "Cystitis"}, "N30.90", false, code{"311989", "nitrofurantoin 100 MG Oral Capsule"}},
		{code{"44465007", "Sprain of ankle"}, "S93.409A", false, code{"310965", "ibuprofen 200 MG Oral Tablet"}},
	}
	procedures = []code{
		{"29303009", "Electrocardiographic procedure"}, {"23426006", "Measurement of respiratory function"},
		{"399208008", "Plain X-ray of chest"}, {"430193006", "Medication reconciliation"},
		{"171207006", "Depression screening"}, {"73761001", "Colonoscopy"},
	}
	vaccines = []code{
		{"140", "Influenza, seasonal, injectable, preservative free"}, {"113", "Td (adult) preservative free"},
		{"33", "pneumococcal polysaccharide vaccine, 23 valent"}, {"121", "zoster live"},
		{"43", "Hep B, adult"}, {"52", "Hep A, adult"},
	}
	allergens = []allergen{
		{code{"256259004", "Pollen"}, "environment"}, {code{"264287008", "Animal dander"}, "environment"},
		{code{"762952008", "Peanut"}, "food"}, {code{"735029006", "Shellfish"}, "food"},
		{code{"764146007", "Penicillin"}, "medication"},
	}
	visitTypes = []code{
		{"162673000", "General examination of patient"}, {"185345009", "Encounter for symptom"},
		{"390906007", "Follow-up encounter"}, {"185349003", "Encounter for check up"},
	}
)
