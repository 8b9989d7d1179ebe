package gormsource

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

// These tests look inside: which plan a statement gets, and how batches grow,
// cannot be seen from without but by the time it takes.

// statistics are states that a database may be in: what the planner believes
// must not matter.
func statistics() map[string]func(t *testing.T, repo *Repository) {
	const (
		observation = `{"resourceType":"Observation","id":"%d","subject":{"reference":"Patient/%[1]d"}}` + "\n"
		provenance  = `{"resourceType":"Provenance","id":"%d","target":[{"reference":"Observation/%[1]d"}]}` + "\n"
	)
	analyzed := func(t *testing.T, repo *Repository, resources ...string) {
		var ndjson strings.Builder
		for i := range 300 {
			for _, resource := range resources {
				fmt.Fprintf(&ndjson, resource, i)
			}
		}
		_, err := repo.Load(t.Context(), "", strings.NewReader(ndjson.String()), LoadOptions{})
		require.NoError(t, err)
		require.NoError(t, repo.gorm.Exec("ANALYZE").Error)
	}
	return map[string]func(t *testing.T, repo *Repository){
		"none":     func(*testing.T, *Repository) {},
		"analyzed": func(t *testing.T, repo *Repository) { analyzed(t, repo, observation, provenance) },
		"one type": func(t *testing.T, repo *Repository) { analyzed(t, repo, observation) },
		"empty by now": func(t *testing.T, repo *Repository) {
			analyzed(t, repo, observation, provenance)
			for _, table := range []string{resourcesTable, compartmentTable, targetsTable} {
				require.NoError(t, repo.gorm.Exec("DELETE FROM "+table).Error)
			}
		},
	}
}

// TestPlans asks SQLite how it would run what a Repository reads with.
func TestPlans(t *testing.T) {
	t.Parallel()
	for name, prepare := range statistics() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t)
			prepare(t, repo)
			repo.session = reopened(t, repo) // statistics are read once
			testStreamPlans(t, repo)
			testNestedPlans(t, repo)
		})
	}
}

func testStreamPlans(t *testing.T, repo *Repository) {
	const (
		index = "SEARCH bulkexport_resources USING INDEX bulkexport_resources_order (tenant=? AND type=? AND seq>?"
		cover = "SEARCH bulkexport_resources USING COVERING INDEX bulkexport_resources_order (tenant=? AND type=?"
	)
	plain := bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: "Observation",
		After: []byte("1"), AsOf: time.Now(),
	}
	since, patient, upTo, provenance := plain, plain, plain, plain
	since.Since = time.Now()
	patient.Level = bulkexport.LevelPatient
	upTo.UpTo = []byte("9")
	provenance.Level, provenance.Type = bulkexport.LevelPatient, provenanceType
	for _, q := range []bulkexport.Query{plain, since, patient, upTo, provenance} {
		var targets []string
		if q.Type == provenanceType {
			targets = []string{
				"CORRELATED SCALAR SUBQUERY", "SEARCH t USING COVERING INDEX bulkexport_targets_seq (seq=?)",
				"SEARCH x USING INDEX bulkexport_resources_id (tenant=? AND type=? AND id=? AND superseded_at>?)",
			}
		}
		for _, deletions := range []bool{false, true} {
			_, v, err := repo.view(t.Context(), q)
			require.NoError(t, err)
			v.deletions = deletions
			s := repo.selection(&v)
			query, err := s.query(t.Context(), repo.gorm)
			require.NoError(t, err)
			query = query.Session(&gorm.Session{}) // to go on with several times
			requirePlan(t, repo, s.inKeyOrder(query, s.key, s.body).Limit(10), append([]string{index}, targets...)...)
			requirePlan(t, repo, s.inKeyOrder(query, s.key).Limit(1).Offset(10), append([]string{cover}, targets...)...)
			requirePlan(t, repo, query.Clauses(clause.Select{Expression: clause.Expr{SQL: "count(*)"}}),
				append([]string{cover}, targets...)...)
		}
	}
	types := selection{table: resourcesTable, key: column("type"), after: []byte("A"), conditions: []clause.Expression{
		clause.Eq{Column: column("tenant"), Value: ""},
	}}
	query, err := types.query(t.Context(), repo.gorm)
	require.NoError(t, err)
	requirePlan(t, repo, types.inKeyOrder(query, types.key).Limit(1),
		"SEARCH bulkexport_resources USING COVERING INDEX")
}

// testNestedPlans demands that every table is searched by all that is known.
func testNestedPlans(t *testing.T, repo *Repository) {
	v := viewAt(bulkexport.Query{Type: "Observation"}, present)
	w := window{after: 1, upTo: 9}
	ids, types := []string{"1", "2"}, []string{"Observation", "Patient"}
	const (
		list    = "SCAN m VIRTUAL TABLE INDEX 1:"
		tie     = "SEARCH c USING PRIMARY KEY (tenant=? AND patient=? AND type=? AND seq>? AND seq<?)"
		anyTie  = "SEARCH c USING PRIMARY KEY (tenant=? AND patient=?)"
		place   = "SEARCH %s USING COVERING INDEX bulkexport_resources_order (tenant=? AND type=? AND seq=? AND "
		byPlace = "SEARCH %s USING INTEGER PRIMARY KEY (rowid=?)"
		byID    = "SEARCH %s USING INDEX bulkexport_resources_id (tenant=? AND type=? AND id=? AND superseded_at>?)"
		target  = "SEARCH t USING PRIMARY KEY (tenant=? AND type=? AND id=?)"
		targets = "SEARCH t USING COVERING INDEX bulkexport_targets_seq (seq=?)"
	)
	as := fmt.Sprintf
	for _, c := range []struct {
		nested  *nested
		columns string
		want    []string
	}{
		{repo.ties(&v, ids, types[:1], w), "c.seq", []string{list, tie, as(place, "r")}},
		{repo.ties(&v, ids, types, w), "m.key, c.type, c.seq", []string{list, tie, as(place, "r")}},
		{repo.targeted(&v, ids, w), "t.seq", []string{list, anyTie, as(byPlace, "x"), target, as(place, "p")}},
		{repo.named(&v, ids), "r.seq, r.patients", []string{list, as(byID, "r")}},
		{repo.targeting("", present, "Patient", "1"), "p.seq", []string{list, target, as(place, "p")}},
		{repo.targetsOf(&v, ids), "t.seq, x.patients", []string{list, targets, as(byID, "x")}},
		{repo.dialect.places(repo.dialect, "", "", "[1,2]"), "r.body", []string{list, as(byPlace, "r")}},
	} {
		query, args := c.nested.selecting(c.columns)
		requirePlan(t, repo, repo.gorm.Raw(query, args...), c.want...)
	}
}

func reopened(t *testing.T, repo *Repository) session {
	t.Helper()
	var file string
	require.NoError(t, repo.gorm.Raw("SELECT file FROM pragma_database_list").Row().Scan(&file))
	again, err := gorm.Open(sqlite.Open(file))
	require.NoError(t, err)
	s, err := newSession(again)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.pool.Close()) })
	return s
}

func newRepository(t *testing.T) *Repository {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := gorm.Open(sqlite.Open("file:" + file + "?_journal_mode=WAL&_synchronous=OFF"))
	require.NoError(t, err)
	repo, err := NewRepository(db, RepositoryConfig{})
	require.NoError(t, err)
	pool := repo.pool
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	require.NoError(t, repo.Migrate(t.Context()))
	return repo
}

// requirePlan demands these steps and no other.
func requirePlan(t *testing.T, repo *Repository, query *gorm.DB, want ...string) {
	t.Helper()
	text, args, err := statement(query)
	require.NoError(t, err)
	rows, err := repo.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
		steps = append(steps, detail)
	}
	require.NoError(t, rows.Err())
	require.Len(t, steps, len(want), "%s\n%s", text, strings.Join(steps, "\n"))
	for i, step := range steps {
		require.True(t, strings.HasPrefix(step, want[i]), "%s\nin %s", step, text)
	}
}

// TestBatchIsBounded asks for rows that are larger than those before.
func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	for i := range 6 {
		resource := fmt.Sprintf(`{"resourceType":"Binary","id":"%d","data":"%s"}`, i, strings.Repeat("x", 3<<20))
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
	_, v, err := repo.view(t.Context(), bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: "Binary",
	})
	require.NoError(t, err)
	wants := map[*manyRows][]int{nil: {3, 3, 0}}
	if sqliterows.SourceID() != "" {
		wants[repo.dialect.manyRows] = []int{1, 1, 1, 1, 1, 1}
	}
	for way, want := range wants {
		r := reader{session: repo.session, selection: repo.selection(&v)}
		r.dialect.manyRows = way
		var got []int
		for limit := 100; !r.last; limit = 4 {
			require.NoError(t, r.next(t.Context(), limit))
			got = append(got, len(r.Rows))
		}
		require.Equal(t, want, got)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rows, size, want int }{
		{64, 64, 256},                      // grows fourfold at most
		{512, 512 << 10, 2048},             // to 2 MiB
		{2048, 2 << 20, 2048},              // stays
		{1000, 8 << 20, 250},               // shrinks
		{1, 5 << 20, 1},                    // but not to nothing
		{64, 0, 256},                       // what has no size at all
		{1 << 20, 1 << 30, 2 << 20 / 1024}, // no overflow
	} {
		require.Equal(t, c.want, nextBatch(c.rows, c.size), c)
	}
}
