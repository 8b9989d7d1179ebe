package httpadapter_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	bothApplied    = "respond-async, separate-export-status"
	lenientApplied = "respond-async, handling=lenient"
)

// preferTests are Prefer headers, and what is applied of them.
var preferTests = []struct{ header, applied string }{
	{"", ""},
	{"respond-async", ""},
	{"RESPOND-ASYNC", ""},
	{"return=representation, wait=100, unknown; a=b", ""},
	{"respond-async,separate-export-status", bothApplied},
	{"respond-async, Separate-Export-Status", bothApplied},
	{"separate-export-status", bothApplied},
	{"respond-async\r\nPrefer: separate-export-status", bothApplied},
	{`separate-export-status=""`, bothApplied},
	{"separate-export-status ; reason=none", bothApplied},
	{"separate-export-status=no", ""},
	{"respond-async, handling=lenient", lenientApplied},
	{"handling=lenient", lenientApplied},
	{"Handling = LENIENT", lenientApplied},
	{`handling="lenient"`, lenientApplied},
	{`handling="len\ient"`, lenientApplied},
	{"handling=lenient; q=1, respond-async; wait=10", lenientApplied},
	{"handling=strict", ""},
	{"handling", ""},
	{"handling=lenient=x", ""},
	{"handlings=lenient", ""},
	{"handling=strict, handling=lenient", ""},
	{"handling=strict\r\nPrefer: handling=lenient", ""},
	{"handling=lenient, handling=strict", lenientApplied},
	{`foo="a, handling=lenient", respond-async`, ""},
	{`foo="a\", handling=lenient", respond-async`, ""},
	{`foo="a", handling=lenient`, lenientApplied},
	{`foo; bar="x, y; z", handling=lenient`, lenientApplied},
	{`foo="never closed, handling=lenient`, ""},
	{`"handling=lenient"`, ""},
	{`handling="lenient`, ""},
	{",;=,\"\",\\", ""},
	{"handling=lenient, separate-export-status", "respond-async, separate-export-status, handling=lenient"},
}

func TestPrefer(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	for _, test := range preferTests {
		res := k.get("/fhir/$export", "Prefer: "+test.header)
		req := k.accepted(res)
		require.Equal(t, test.applied, res.header.Get("Preference-Applied"), test.header)
		require.Equal(t, test.applied != "" && test.applied != lenientApplied, req.SeparateStatus, test.header)
		require.Equal(t, test.applied != "" && test.applied != bothApplied, req.Lenient, test.header)
	}
}

// TestLenient asks for what there is not.
func TestLenient(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	const target = "/fhir/$export?_type=Patient,Unheard&_new=1"
	require.Equal(t, 400, k.get(target).status)
	require.Equal(t, 400, k.get(target, "Prefer: handling=strict").status)
	req := k.accepted(k.get(target, "Prefer: respond-async, handling=lenient"))
	require.Equal(t, []string{"Patient"}, req.Types)
	require.Len(t, req.Ignored, 2)
}
