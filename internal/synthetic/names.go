package synthetic

// code is a code of a terminology with its meaning.
type code struct{ code, display string }

var (
	familyNames = []string{
		"Abbott", "Bauer", "Castillo", "Dubois", "Eriksson", "Fischer", "García", "Hayes", "Ivanova", "Jansen",
		"Kowalski", "Lindqvist", "Müller", "Nguyen", "O'Brien", "Patel", "Quinn", "Rossi", "Søndergaard", "Tanaka",
		"Ueda", "Véliz", "Williams", "Xu", "Yılmaz", "Zielińska", "Anderson", "Brown", "Chen", "Davis",
	}
	givenNames = map[string][]string{
		"female": {
			"Ana", "Beatrice", "Chloé", "Dagmar", "Elif", "Fatima", "Grace", "Hannah", "Ingrid", "Julia",
			"Keiko", "Laura", "María", "Nora", "Olivia", "Priya", "Rosa", "Sofia", "Teresa", "Yasmin",
		},
		"male": {
			"Adam", "Björn", "Carlos", "Daniel", "Emre", "Felipe", "Georg", "Henry", "Ivan", "José",
			"Kenji", "Lukas", "Mateo", "Noah", "Oskar", "Pavel", "Rahul", "Samuel", "Thomas", "Viktor",
		},
	}
	streets = []string{
		"Elm Street", "Maple Avenue", "Harbor Road", "Mill Lane", "Station Road", "Chestnut Hill",
		"Washington Boulevard", "Orchard Way", "River Walk", "Cedar Court",
	}
	cities = []struct{ name, state, zip string }{
		{"Boston", "MA", "021"}, {"Worcester", "MA", "016"}, {"Springfield", "MA", "011"},
		{"Providence", "RI", "029"}, {"Hartford", "CT", "061"}, {"New Haven", "CT", "065"},
		{"Portland", "ME", "041"}, {"Manchester", "NH", "031"}, {"Burlington", "VT", "054"},
	}
	clinicNames = []string{
		"Harborview Community Hospital", "Mill River Family Practice", "St. Brigid Medical Center",
		"Northfield Health Clinic", "Oak Grove Primary Care", "Lakeside General Hospital",
		"Pine Street Health Center", "Green Valley Medical Group",
	}
	races = []code{
		{"2106-3", "White"}, {"2054-5", "Black or African American"}, {"2028-9", "Asian"},
		{"1002-5", "American Indian or Alaska Native"}, {"2131-1", "Other Race"},
	}
	maritalStatuses = []code{{"M", "Married"}, {"S", "Never Married"}, {"D", "Divorced"}, {"W", "Widowed"}}
)
