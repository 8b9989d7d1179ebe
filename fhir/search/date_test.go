package search_test

import "testing"

// TestDatesOfTheSpecification has the examples of R4's page on search.
func TestDatesOfTheSpecification(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"a day": {
			observed(`"effectiveDateTime":"2013-01-14"`),
			[]string{"date=2013-01-14", "date=eq2013-01-14", "date=lt2013-01-14T10:00",
				"date=gt2013-01-14T10:00", "date=2013-01", "date=2013"},
			[]string{"date=ne2013-01-14", "date=2013-01-14T00:00Z"},
		},
		"midnight belongs to the day that begins": {
			observed(`"effectiveDateTime":"2013-01-14T00:00:00Z"`),
			[]string{"date=2013-01-14", "date=gt2013-01-13", "date=sa2013-01-13"},
			[]string{"date=2013-01-13", "date=eb2013-01-14", "date=ne2013-01-14"},
		},
		"and ends the one before": {
			observed(`"effectiveDateTime":"2013-01-15T00:00:00Z"`),
			[]string{"date=ne2013-01-14", "date=sa2013-01-14"},
			[]string{"date=2013-01-14", "date=le2013-01-14"},
		},
		"from 21 January on": {
			observed(`"effectivePeriod":{"start":"2013-01-21"}`),
			[]string{"date=ge2013-03-14", "date=le2013-03-14", "date=gt2030",
				"date=ne2013-03-14"},
			[]string{"date=sa2013-03-14", "date=eb2013-03-14", "date=2013-03-14",
				"date=lt2013-01-21", "date=2013"},
		},
		"until 21 January": {
			observed(`"effectivePeriod":{"end":"2013-01-21"}`),
			[]string{"date=lt1900", "date=eb2013-01-22", "date=gt2013-01-20"},
			[]string{"date=gt2013-01-21", "date=eb2013-01-21", "date=sa1900"},
		},
		"from 15 March on": {
			observed(`"effectivePeriod":{"start":"2013-03-15"}`),
			[]string{"date=sa2013-03-14", "date=gt2013-03-14"},
			[]string{"date=sa2013-03-15", "date=lt2013-03-15"},
		},
	})
}

func observed(effective string) string {
	return `{"resourceType":"Observation",` + effective + `}`
}

func TestDates(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"time zones": {
			observed(`"effectiveDateTime":"2013-01-14T23:30:00-05:00"`),
			[]string{"date=2013-01-15", "date=2013-01-15T04:30:00Z", "date=2013-01-15T04:30Z",
				"date=2013-01-15T05:30:00%2B01:00", "date=2013-01-15T05:30:00+01:00",
				"date=2013-01-15T05:30:00 01:00", "date=2013-01-15T04:30:00",
				"date=ge2013-01-14T23:30:00-05:00"},
			[]string{"date=2013-01-14", "date=2013-01-15T04:30:01Z",
				"date=2013-01-14T23:30:00"},
		},
		"fractions of a second": {
			observed(`"effectiveInstant":"2013-01-14T10:00:00.123Z"`),
			[]string{"date=2013-01-14T10:00:00Z", "date=2013-01-14T10:00:00.123Z",
				"date=2013-01-14T10:00:00.12Z", "date=2013-01-14T10:00:00.1230Z",
				"date=gt2013-01-14T10:00:00.122Z", "date=lt2013-01-14T10:00:00.124Z"},
			[]string{"date=2013-01-14T10:00:00.124Z", "date=gt2013-01-14T10:00:00.1230Z",
				"date=gt2013-01-14T10:00:00Z"},
		},
		"a dateTime is as wide as it is written": {
			observed(`"effectiveDateTime":"2013-01-14T10:00:00.123Z"`),
			[]string{"date=2013-01-14T10:00:00.123Z", "date=gt2013-01-14T10:00:00.1230Z"},
			[]string{"date=2013-01-14T10:00:00.1230Z", "date=gt2013-01-14T10:00:00.1239Z"},
		},
		"ge and le count what ends or begins within the date": {
			observed(`"effectivePeriod":{"start":"2013-01-10T08:00:00Z","end":"2013-01-20T08:00:00Z"}`),
			[]string{"date=ge2013-01-20", "date=le2013-01-10", "date=ge2013", "date=le2013"},
			[]string{"date=ge2013-01-21", "date=le2013-01-09", "date=gt2013-01-20", "date=lt2013-01-10"},
		},
		"the end of a month, a leap day and a leap second": {
			observed(`"effectiveDateTime":"2016-12-31T23:59:60Z"`),
			[]string{"date=2017-01-01", "date=gt2016-12-31", "date=sa2016-02-29"},
			[]string{"date=2016"},
		},
		"a month is wider than a day of it": {
			observed(`"effectiveDateTime":"2013-01"`),
			[]string{"date=2013-01", "date=2013", "date=gt2013-01-14",
				"date=lt2013-01-14", "date=ap2013-01-14", "date=ne2013-01-14"},
			[]string{"date=2013-01-14", "date=sa2013-01-14", "date=ge2013-02"},
		},
		"ap is a tenth of the distance to now": { // 2026-06-01
			observed(`"effectiveDateTime":"2016-06-01"`),
			[]string{"date=ap2016-06-01", "date=ap2017-04-01", "date=ap2015-06-01",
				"date=ap2015"},
			[]string{"date=ap2006", "date=ap2018-01-01", "date=ap2014-01-01", "date=ap2026-06-01"},
		},
		"a Period with both ends": {
			observed(`"effectivePeriod":{"start":"2013-01-10T08:00:00Z","end":"2013-01-20"}`),
			[]string{"date=2013-01", "date=gt2013-01-19", "date=lt2013-01-11",
				"date=eb2013-01-21", "date=sa2013-01-09", "date=ge2013-01-10"},
			[]string{"date=2013-01-10", "date=gt2013-01-20", "date=eb2013-01-20",
				"date=sa2013-01-10"},
		},
		"a Period that cannot be read": {
			observed(`"effectivePeriod":{"start":"soon","end":"2013-01-20"}`),
			[]string{"date:missing=false"},
			[]string{"date=ne2013", "date=lt2020", "date=eb2020"},
		},
		"a Period without ends or in reverse": {
			observed(`"effectivePeriod":{"start":"2014","end":"2013"},"issued":"2013-02-30"`),
			nil,
			[]string{"date=ne1999", "date=lt2020"},
		},
		"the outer limits of a Timing": {
			observed(`"effectiveTiming":{"event":["2013-03-24","2013-01-31"],"repeat":{"boundsDuration":{"value":3}}}`),
			[]string{"date=2013", "date=gt2013-03-23", "date=lt2013-02",
				"date=ge2013-02-01", "date=eb2013-03-25"},
			[]string{"date=2013-02-01", "date=gt2013-03-24", "date=lt2013-01-31"},
		},
		"the bounds of a Timing": {
			observed(`"effectiveTiming":{"repeat":{"boundsPeriod":{"start":"2013-02"}},"event":["2013-01-31"]}`),
			[]string{"date=gt2030", "date=sa2013-01-30"},
			[]string{"date=sa2013-01-31"},
		},
		"a Timing without dates": {
			observed(`"effectiveTiming":{"repeat":{"frequency":1}}`),
			[]string{"date:missing=false"},
			[]string{"date=ne2013", "date=lt2030"},
		},
		"a string is no date": {
			`{"resourceType":"Immunization","occurrenceString":"2013"}`,
			[]string{"date:missing=true"},
			[]string{"date=2013", "date=ne2012"},
		},
	})
}
