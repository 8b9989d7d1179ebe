package conformance_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func timeChecks() []check {
	return []check{
		{
			title: "_since excludes its instant, _until too",
			ids:   ids("P-20", "P-21", "P-30"), run: checkWindow,
		},
		{
			title: "windows that meet lose nothing and repeat nothing",
			ids:   ids("P-30", "W-78"), run: checkWindows,
		},
		{
			title: "_since counts for every resource, whatever refers to it",
			ids:   ids("T-08"), run: checkSinceForAll,
		},
		{
			title: "at Group level _since counts for resources and not for members",
			ids:   ids("P-21", "T-07", "W-49"), run: checkSinceOfGroup,
		},
		{
			title: "instants have any offset and fraction, and a plus sign may be a blank",
			ids:   ids("P-20", "T-16", "R-19", "R-20"), run: checkInstants,
		},
		{
			title: "what is no instant, or in the future, is refused",
			ids:   ids("P-110", "R-20"), run: checkNoInstants,
		},
		{
			title: "the history of a new member comes with patient, without _since",
			ids:   ids("T-07", "W-50"), run: checkNewMember,
		},
	}
}

func stamp(t time.Time) string { return url.QueryEscape(t.Format(time.RFC3339Nano)) }

func checkWindow(t *testing.T) {
	k := start(t, setup{})
	k.put("Patient/a")
	at := k.put("Patient/b")
	k.put("Patient/c")
	for query, want := range map[string][]string{
		"_since=" + stamp(at):                        {"Patient/c"},
		"_since=" + stamp(at.Add(-time.Millisecond)): {"Patient/b", "Patient/c"},
		"_until=" + stamp(at):                        {"Patient/a"},
		"_until=" + stamp(at.Add(time.Millisecond)):  {"Patient/a", "Patient/b"},
		"_since=" + stamp(at.Add(-time.Millisecond)) + "&_until=" + stamp(at.Add(time.Microsecond)): {"Patient/b"},
	} {
		require.Equal(t, want, k.export("/$export?"+query).names(), query)
	}
}

func checkWindows(t *testing.T) {
	k := start(t, setup{data: ward()})
	half := k.clock.read().Add(-8 * time.Second)
	earlier := k.export("/$export?_until=" + stamp(half.Add(time.Millisecond))).names()
	later := k.export("/$export?_since=" + stamp(half)).names()
	require.NotEmpty(t, earlier)
	require.NotEmpty(t, later)
	require.Equal(t, everything(), sorted(append(earlier, later...)...))
}

func checkSinceForAll(t *testing.T) {
	k := start(t, setup{data: ward()})
	at := k.clock.read()
	k.put(`Observation/new "status":"final",` + subject("a"))
	for _, level := range []string{"", "/Patient", "/Group/ward"} {
		require.Equal(t, []string{"Observation/new"}, k.export(level+"/$export?_since="+stamp(at)).names())
	}
}

func checkSinceOfGroup(t *testing.T) {
	k := start(t, setup{data: ward()})
	at := k.clock.read()
	k.put("Observation/new "+subject("a"), "Observation/other "+subject("c"))
	require.Equal(t, []string{"Observation/new"}, k.export("/Group/ward/$export?_since="+stamp(at)).names(),
		"neither patient nor Group has changed")
}

func checkInstants(t *testing.T) {
	k := start(t, setup{})
	k.put("Patient/a")
	for _, instant := range []string{
		"2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5Z", "2020-01-01T00:00:00.123456789Z",
		"2020-01-01T00:00:00%2B02:00", "2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00-11:30",
	} {
		require.Equal(t, []string{"Patient/a"}, k.export("/$export?_since="+instant).names(), instant)
		require.Empty(t, k.export("/$export?_until="+instant).names(), instant)
	}
}

func checkNoInstants(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, text := range []string{
		"2020", "2020-01-01", "2020-01-01T00:00Z", "2020-01-01T00:00:00", "2020-13-01T00:00:00Z", "yesterday", "",
		"2020-01-01T24:00:00Z", "2020-02-30T00:00:00Z",
	} {
		k.refused(k.get("/$export?_since="+text), 400, "_since")
		k.refused(k.get("/$export?_until="+text), 400, "_until")
	}
	k.refused(k.get("/$export?_since="+stamp(time.Now().Add(time.Hour))), 400, "_since")
	k.kickOff("/$export?_since=" + stamp(time.Now().Add(time.Minute)))
}

func checkNewMember(t *testing.T) {
	k := start(t, setup{data: ward()})
	at := k.clock.read()
	k.put(`Group/ward "actual":true,` + members("Patient/a", "Patient/b", "Patient/c"))
	require.Equal(t, []string{"Group/ward"}, k.export("/Group/ward/$export?_since="+stamp(at)).names())
	history := k.exportPost("/Group/ward/$export", parameter("patient", "Reference", "Patient/c"))
	require.Equal(t, sorted("Condition/c2", "Group/ward", "Observation/c1", "Patient/c"), history.names())
}
