package gormsource

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// TestWindows reads limited populations with windows of few places, which from
// without would take a hundred thousand resources. What many patients share is
// in most windows, and what one batch and what many wrote is far apart.
func TestWindows(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	random := rand.New(rand.NewPCG(1, 2))
	patients := shared(t, repo, random)
	for range 30 {
		repo.windowPlaces, repo.provenancePlaces = 1+random.IntN(40), 1+random.IntN(40)
		chosen := slices.Clone(patients)
		random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:1+random.IntN(6)]
		q := bulkexport.Query{
			Scope: bulkexport.Scope{
				Level: bulkexport.LevelPatient, Patients: bulkexport.PatientSet{Limited: true, IDs: chosen},
			},
			Type: []string{"Appointment", provenanceType}[random.IntN(2)],
		}
		all := bulkexport.Query{Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: q.Type}
		want := slices.DeleteFunc(streamed(t, repo, all), func(resource string) bool {
			return !slices.ContainsFunc(chosen, func(id string) bool { return strings.Contains(resource, "Patient/"+id+`"`) })
		})
		require.Equal(t, want, streamed(t, repo, q))
		n, err := repo.Count(t.Context(), q)
		require.NoError(t, err)
		require.EqualValues(t, len(want), n)
		cuts, err := repo.Split(t.Context(), q, 7)
		require.NoError(t, err)
		require.Len(t, cuts, max(0, len(want)-1)/7)
		var parts []string
		for _, cut := range append(cuts, nil) {
			q.UpTo = cut
			parts = append(parts, streamed(t, repo, q)...)
			q.After = cut
		}
		require.Equal(t, want, parts)
	}
}

// shared writes Appointments of several patients, each with a Provenance that
// has their names in a note, the first half one by one. It returns the patients.
func shared(t *testing.T, repo *Repository, random *rand.Rand) []string {
	t.Helper()
	patients := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var rest strings.Builder
	for i := range 200 {
		var actors []string
		for range random.IntN(5) {
			actors = append(actors, fmt.Sprintf(`{"actor":{"reference":"Patient/%s"}}`, patients[random.IntN(len(patients))]))
		}
		names := strings.Join(actors, ",")
		for _, resource := range []string{
			fmt.Sprintf(`{"resourceType":"Appointment","id":"%d","participant":[%s]}`, i, names),
			fmt.Sprintf(`{"resourceType":"Provenance","id":"%d","target":[{"reference":"Appointment/%[1]d"},`+
				`{"reference":"Appointment/%[1]d/_history/1"}],"note":[%s]}`, i, names),
		} {
			if i >= 100 {
				rest.WriteString(resource + "\n")
				continue
			}
			_, err := repo.Put(t.Context(), "", []byte(resource))
			require.NoError(t, err)
		}
	}
	_, err := repo.Load(t.Context(), "", strings.NewReader(rest.String()), LoadOptions{})
	require.NoError(t, err)
	return patients
}

func streamed(t *testing.T, repo *Repository, q bulkexport.Query) []string {
	t.Helper()
	found := []string{}
	for r, err := range repo.Resources(t.Context(), q) {
		require.NoError(t, err)
		found = append(found, string(r.JSON))
	}
	return found
}
