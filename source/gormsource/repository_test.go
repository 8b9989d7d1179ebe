package gormsource_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

func testBytesAreKept(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	want := []string{
		`{"resourceType":"Patient","id":"1"}`,
		" {\n\t\"id\" : \"2\",\r\n \"resourceType\":\"Patient\", \"x\":1.50, \"y\":1e400 } \n",
		`{"resourceType":"Patient","id":"3","x":"\u0000\u00e9 é 😀 \\ ' \" ? $1 %s"}`,
		`{"resourceType":"Patient","id":"4","x":"` + strings.Repeat("x", 3<<20) + `"}`,
	}
	for _, resource := range want {
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
	require.Equal(t, want, read(t, repo, query("Patient")))
}

func testPutStamps(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	at, err := repo.TransactionTime(t.Context(), "")
	require.NoError(t, err)
	const resource = `{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2001-02-03T04:05:06Z"}}`
	updated, err := repo.Put(t.Context(), "", []byte(resource))
	require.NoError(t, err)
	require.True(t, updated.After(at))
	other := strings.Replace(resource, `"1"`, `"2"`, 1)
	_, err = repo.Load(t.Context(), "", strings.NewReader(other), gormsource.LoadOptions{})
	require.NoError(t, err)
	for since, want := range map[time.Time]int{at: 2, updated: 1, updated.Add(time.Hour): 0} {
		q := query("Patient")
		q.Since = since
		require.Len(t, read(t, repo, q), want)
	}
}

func testPutRefuses(t *testing.T, open database) {
	repo := newRepository(t, open(t))
	for name, resource := range map[string]string{
		"nothing":          ``,
		"no JSON":          `{"resourceType":"Patient","id":"secret"`,
		"text after it":    `{"resourceType":"Patient","id":"secret"} x`,
		"no UTF-8":         "{\"resourceType\":\"Patient\",\"id\":\"secret\",\"x\":\"\xff\"}",
		"an array":         `[{"resourceType":"Patient","id":"secret"}]`,
		"no type":          `{"id":"secret"}`,
		"unknown type":     `{"resourceType":"Secret","id":"1"}`,
		"no id":            `{"resourceType":"Patient","x":"secret"}`,
		"empty id":         `{"resourceType":"Patient","id":""}`,
		"id with a slash":  `{"resourceType":"Patient","id":"secret/1"}`,
		"id of 65 letters": `{"resourceType":"Patient","id":"` + strings.Repeat("s", 65) + `"}`,
		"bad lastUpdated":  `{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"secret"}}`,
	} {
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.ErrorIs(t, err, gormsource.ErrInvalidResource, name)
		require.NotContains(t, strings.ToLower(err.Error()), "secret", name)
		require.True(t, strings.HasPrefix(err.Error(), "gormsource: put: "), err)
	}
	require.Empty(t, read(t, repo, query("Patient")))
}

func testDeleteKeepsCompartment(t *testing.T, open database) {
	db := open(t)
	repo := newRepository(t, db)
	observation := `{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"}}`
	_, err := repo.Put(t.Context(), "a", []byte(observation))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, repo.Delete(t.Context(), "a", "Observation", "o"))
		for _, never := range []string{"never", "", "o'", "o\x00", "\xff"} {
			require.NoError(t, repo.Delete(t.Context(), "a", "Observation", never))
		}
		require.NoError(t, repo.Delete(t.Context(), "b", "Observation", "o"))
	}
	type row struct {
		Type, ID, Patient, Body string
		Flags                   int
	}
	var rows []row
	require.NoError(t, db.Table("bulkexport_resources r").
		Joins("JOIN bulkexport_compartment c ON c.tenant = r.tenant AND c.type = r.type AND c.seq = r.seq").
		Order("r.seq").Select("r.type, r.id, c.patient, r.body, r.flags").Scan(&rows).Error)
	require.Equal(t, []row{
		{"Observation", "o", "p", observation, 1},
		{"Observation", "o", "p", "", 3},
	}, rows)
}

func testMigrateTwice(t *testing.T, open database) {
	db := open(t)
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() {
			repo, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
			if errs[i] = err; err == nil {
				errs[i] = repo.Migrate(t.Context())
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	repo := newRepository(t, db)
	_, err := repo.Put(t.Context(), "", []byte(`{"resourceType":"Patient","id":"1"}`))
	require.NoError(t, err)
	require.Len(t, read(t, newRepository(t, db), query("Patient")), 1)
}

func testBaseURLs(t *testing.T, open database) {
	db := open(t)
	newRepository(t, db)
	repo, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{BaseURLs: []string{"https://a.test/fhir/"}})
	require.NoError(t, err)
	for i, base := range []string{"https://a.test/fhir/", "https://b.test/fhir/"} {
		resource := fmt.Sprintf(`{"resourceType":"Observation","id":"%d","subject":{"reference":"%sPatient/1"}}`, i, base)
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
	q := query("Observation")
	q.Level = bulkexport.LevelPatient
	found := read(t, repo, q)
	require.Len(t, found, 1)
	require.Contains(t, found[0], "a.test")
}

func testFHIRVersion(t *testing.T, open database) {
	db := open(t)
	_, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{FHIRVersion: "3.0.2"})
	require.EqualError(t, err, "gormsource: RepositoryConfig.FHIRVersion is neither R4 nor R5")
	_, err = gormsource.NewTables(t.Context(), db, gormsource.TablesConfig{FHIRVersion: "3.0.2"})
	require.ErrorContains(t, err, "gormsource: TablesConfig.FHIRVersion is neither R4 nor R5")

	r4 := newRepository(t, db)
	r5, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{FHIRVersion: fhir.R5})
	require.NoError(t, err)
	const task = `{"resourceType":"Task","id":"1","for":{"reference":"Patient/1"}}`
	const actor = `{"resourceType":"ActorDefinition","id":"1"}`
	q := query("Task")
	q.Level = bulkexport.LevelPatient
	_, err = r4.Put(t.Context(), "", []byte(task))
	require.NoError(t, err)
	require.Empty(t, read(t, r4, q))
	_, err = r4.Put(t.Context(), "", []byte(actor))
	require.ErrorIs(t, err, gormsource.ErrInvalidResource)
	for _, resource := range []string{task, actor} {
		_, err = r5.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
	require.Len(t, read(t, r5, q), 1)
	types, err := r5.Types(t.Context(), q.Scope)
	require.NoError(t, err)
	require.Equal(t, []string{"Task"}, types)
}

// testWritersInFlight follows few resources by increments while several writers
// put and load the same ones at once.
func testWritersInFlight(t *testing.T, open database) {
	const writers, rounds, resources = 4, 25, 6
	repo := newRepository(t, open(t))
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				if err := disturb(t.Context(), repo, w, i, resources); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()

	has := make(map[string]string)
	var since time.Time
	follow := func() {
		at, err := repo.TransactionTime(t.Context(), "")
		require.NoError(t, err)
		require.Zero(t, at.Nanosecond()%int(time.Millisecond))
		q := query("Observation")
		q.Since, q.AsOf = since, at
		seen := make(map[string]bool)
		for _, resource := range read(t, repo, q) {
			id, err := fhir.Identify([]byte(resource))
			require.NoError(t, err)
			require.False(t, seen[id.ID], "one version at a time")
			seen[id.ID], has[id.ID] = true, resource
		}
		since = at
	}
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		follow()
	}
	want := make(map[string]string)
	for _, resource := range read(t, repo, query("Observation")) {
		id, err := fhir.Identify([]byte(resource))
		require.NoError(t, err)
		want[id.ID] = resource
	}
	require.Len(t, want, resources)
	require.Equal(t, want, has)
}

func disturb(ctx context.Context, repo *gormsource.Repository, writer, round, resources int) error {
	var ndjson strings.Builder
	for i := range resources {
		fmt.Fprintf(&ndjson, `{"resourceType":"Observation","id":"%d","x":"%d-%d"}`+"\n", i, writer, round)
	}
	if round%3 == 0 {
		_, err := repo.Load(ctx, "", strings.NewReader(ndjson.String()), gormsource.LoadOptions{})
		return err
	}
	lines := strings.Split(ndjson.String(), "\n")
	_, err := repo.Put(ctx, "", []byte(lines[(writer+round)%resources]))
	return err
}

func testUnsupportedLevel(t *testing.T, open database) {
	db := open(t)
	repo := newRepository(t, db)
	q := query("Patient")
	q.Level = "ward"
	for _, err := range repo.Resources(t.Context(), q) {
		require.ErrorContains(t, err, `"ward"`)
	}
	_, err := repo.Types(t.Context(), q.Scope)
	require.ErrorContains(t, err, `"ward"`)
	_, err = repo.Count(t.Context(), q)
	require.ErrorContains(t, err, `"ward"`)
	_, err = repo.Split(t.Context(), q, 1)
	require.ErrorContains(t, err, `"ward"`)
	q = query("Patient")
	q.After = []byte("no number")
	_, err = repo.Count(t.Context(), q)
	require.EqualError(t, err, "gormsource: count Patient: malformed key")
}
