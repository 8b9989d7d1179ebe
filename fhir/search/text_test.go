package search_test

import "testing"

func TestStrings(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"begin, without case and accents": {
			`{"resourceType":"Patient","name":[{"family":"Müller-Łoś","given":["Zoë","Jean  Luc"]}]}`,
			[]string{"family=muller", "family=M%C3%9CLLER", "family=Mu%CC%88ller-", "given=zoe",
				"given=ZOE", "name=mull", "name=zo", "given=jean++luc", "family=x,mull"},
			[]string{"family=ller", "family=mueller", "given=zoee", "name=luc",
				"given=jean luc", "family=muller los"},
		},
		":contains": {
			`{"resourceType":"Patient","name":[{"family":"Van der Bergé"}]}`,
			[]string{"family:contains=BERGE", "family:contains=van", "family:contains=%20der%20",
				"family:contains=r+b"},
			[]string{"family:contains=derb"},
		},
		":exact": {
			`{"resourceType":"Patient","name":[{"family":"Bergé"}]}`,
			[]string{"family:exact=Berg%C3%A9", "family:exact=Bergé"},
			[]string{"family:exact=Berg", "family:exact=bergé", "family:exact=Berge"},
		},
		"parts of a HumanName": {
			`{"resourceType":"Patient","name":[{"use":"official","text":"Dr Ann Lee","family":"Lee","given":["Ann"],
				"prefix":["Dr"],"suffix":["PhD"],"period":{"start":"2000"}}]}`,
			[]string{"name=dr ann", "name=lee", "name=ann", "name=phd", "name=dr"},
			[]string{"name=official", "name=2000"},
		},
		"parts of an Address": {
			`{"resourceType":"Patient","address":[{"use":"home","type":"both","text":"1 Elm St, Ulm",
				"line":["1 Elm St","Flat 2"],"city":"Ulm","district":"Süd","state":"BW","postalCode":"89073","country":"DE"}]}`,
			[]string{"address=ulm", "address=flat", "address=sud", "address=8907",
				"address=de", "address=bw", "address-city=ulm", "address-use=home",
				"address=1 elm st\\, u"},
			[]string{"address=home", "address=both", "address=elm"},
		},
		"of other scripts": {
			`{"resourceType":"Patient","name":[{"family":"ΣΊΣΥΦΟΣ","given":["山田","Иван"]}]}`,
			[]string{"family=σισυφος", "family=Σίσυφοσ", "given=山", "given=иван"},
			[]string{"given=田", "given=иваны"},
		},
		"markdown and the text of a choice": {
			`{"resourceType":"Observation","valueCodeableConcept":{"text":"Positive"}}`,
			[]string{"value-string=posi"},
			[]string{"value-string=neg"},
		},
		"commas and blanks": {
			`{"resourceType":"Organization","name":"Smith, Jones & Co. + 50%"}`,
			[]string{`name=smith\, jones`, "name=smith%5C,+jones+%26+co.+%2B+50%25"},
			[]string{"name=smith\\,jones", "name=jones,x"},
		},
	})
}
