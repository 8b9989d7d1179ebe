package fhir_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	const base = "https://ehr.example/fhir/"
	for name, tt := range map[string]struct {
		members          string
		patients, groups []string
	}{
		"none":     {`[]`, nil, nil},
		"a Group":  {`[{"entity":{"reference":"Group/g"}}]`, nil, []string{"g"}},
		"versions": {`[{"entity":{"reference":"Patient/p/_history/2"}}]`, []string{"p"}, nil},
		"sorted and once": {
			`[{"entity":{"reference":"Patient/b"}},{"entity":{"reference":"Patient/a"}},
			  {"entity":{"display":"x","reference":"Patient/b"}}]`, []string{"a", "b"}, nil,
		},
		"own base URL": {
			`[{"entity":{"reference":"https://ehr.example/fhir/Patient/p"}},
			  {"entity":{"reference":"https://other.example/fhir/Patient/q"}},
			  {"entity":{"reference":"https://ehr.example/fhirs/Patient/q"}}]`, []string{"p"}, nil,
		},
		"others": {
			`[{"entity":{"reference":"Practitioner/p"}},{"entity":{"reference":"#p"}},
			  {"entity":{"reference":"Patient/"}},{"entity":{"reference":"Patient/a/b"}},
			  {"entity":{"reference":"Patient?_id=p"}},{"entity":{"identifier":{"value":"p"}}},
			  {"entity":{}},{}]`, nil, nil,
		},
		"inactive": {
			`[{"entity":{"reference":"Patient/a"},"inactive":true},
			  {"inactive":true,"entity":{"reference":"Group/b"}},
			  {"inactive" : false,"entity":{"reference":"Patient/c"}}]`, []string{"c"}, nil,
		},
		"an extension": {
			`[{"extension":[{"url":"x","valueBoolean":true}],"modifierExtension":[],
			   "entity":{"reference":"Patient/a"}}]`, []string{"a"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resource := []byte(`{"resourceType":"Group","type":"person","actual":true,"member":` +
				tt.members + `,"modifierExtension":[]}`)
			require.True(t, json.Valid(resource))
			members, err := fhir.GroupMembers(resource, time.Now(), base)
			require.NoError(t, err)
			require.Equal(t, fhir.Members{Patients: tt.patients, Groups: tt.groups}, members)
		})
	}
}

func TestGroupMembersUntilTheirPeriodEnds(t *testing.T) {
	t.Parallel()
	for end, after := range map[string]string{
		"2026":                                "2027-01-01T00:00:00Z",
		"2026-02":                             "2026-03-01T00:00:00Z",
		"2024-02-29":                          "2024-03-01T00:00:00Z",
		"2026-03-15T10:00:00Z":                "2026-03-15T10:00:01Z",
		"2026-03-15T10:00:00+02:00":           "2026-03-15T08:00:01Z",
		"2026-03-15T10:00:00.5-01:00":         "2026-03-15T11:00:00.6Z",
		"2026-03-15T10:00:00.123Z":            "2026-03-15T10:00:00.124Z",
		"2026-03-15T10:00:00.123456789Z":      "2026-03-15T10:00:00.12345679Z",
		"2026-03-15T10:00:00.1234567890123Z":  "2026-03-15T10:00:00.12345679Z",
		"2026-03-15T10:00:00.000-00:00":       "2026-03-15T10:00:00.001Z",
		"2026-03-15T10:00:00.00000+00:00":     "2026-03-15T10:00:00.00001Z",
		"2026-03-15T23:59:59.999999999+14:00": "2026-03-15T10:00:00Z",
	} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			resource := []byte(`{"resourceType":"Group","member":[{"period":{"start":"2020","end":"` + end +
				`"},"entity":{"reference":"Patient/p"}}]}`)
			gone := moment(t, after)
			members, err := fhir.GroupMembers(resource, gone)
			require.NoError(t, err)
			require.Empty(t, members.Patients)
			members, err = fhir.GroupMembers(resource, gone.Add(-1))
			require.NoError(t, err)
			require.Equal(t, []string{"p"}, members.Patients)
		})
	}
}

func TestGroupMembersThatCannotBeTold(t *testing.T) {
	t.Parallel()
	const (
		describes = "the Group describes its members and does not name them"
		modified  = "the Group has a modifier extension that this server does not know"
		malformed = "the Group is malformed"
	)
	for name, tt := range map[string]struct{ group, reason string }{
		"a description":         {`{"actual":false}`, describes},
		"definitional":          {`{"membership":"definitional"}`, describes},
		"conceptual":            {`{"membership":"conceptual"}`, describes},
		"a filter":              {`{"modifierExtension":[{"url":"secret"}]}`, modified},
		"a modified member":     {`{"member":[{"modifierExtension":[{"url":"x"}]}]}`, modified},
		"a modified ex-member":  {`{"member":[{"inactive":true,"modifierExtension":[{}]}]}`, modified},
		"actual is text":        {`{"actual":"secret"}`, malformed},
		"inactive is text":      {`{"member":[{"inactive":"true"}]}`, malformed},
		"a member is a string":  {`{"member":["secret"]}`, malformed},
		"members are an object": {`{"member":{}}`, malformed},
		"an entity is a string": {`{"member":[{"entity":"Patient/secret"}]}`, malformed},
		"a day that is none":    {`{"member":[{"period":{"end":"secret"}}]}`, malformed},
		"a month that is none":  {`{"member":[{"period":{"end":"2026-13"}}]}`, malformed},
		"a time without zone":   {`{"member":[{"period":{"end":"2026-03-15T10:00:00"}}]}`, malformed},
		"cut off":               {`{"actual":true,"member":[{"entity":`, malformed},
		"nothing":               {``, malformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members, err := fhir.GroupMembers([]byte(tt.group), time.Now())
			require.Empty(t, members)
			var cannot *fhir.GroupError
			require.ErrorAs(t, err, &cannot)
			require.Equal(t, tt.reason, cannot.Reason)
			require.Equal(t, tt.reason == malformed, errors.Is(err, fhir.ErrMalformed))
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestEnumeratedGroup(t *testing.T) {
	t.Parallel()
	members, err := fhir.GroupMembers([]byte(`{"resourceType":"Group","membership":"enumerated",`+
		`"member":[{"entity":{"reference":"Patient/p"}}]}`), time.Now())
	require.NoError(t, err)
	require.Equal(t, []string{"p"}, members.Patients)
}

func FuzzGroupMembers(f *testing.F) {
	f.Add([]byte(`{"actual":true,"member":[{"entity":{"reference":"Patient/p"},"inactive":false,` +
		`"period":{"end":"2026-03-15T10:00:00.5Z"},"modifierExtension":[]}]}`))
	f.Add([]byte(`{"member":[{"inactive":`))
	f.Fuzz(func(t *testing.T, resource []byte) {
		members, err := fhir.GroupMembers(resource, time.Unix(0, 0))
		if err == nil {
			for _, id := range append(members.Patients, members.Groups...) {
				require.True(t, fhir.ValidID(id))
			}
		}
	})
}
