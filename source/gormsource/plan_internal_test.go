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
)

// These tests look inside: which plan a statement gets, and how batches grow,
// cannot be seen from without but by the time it takes.

// TestPlans asks SQLite how it would run what a Repository reads with.
func TestPlans(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	const (
		index = "USING INDEX bulkexport_resources_order (tenant=? AND type=? AND seq>?"
		cover = "USING COVERING INDEX bulkexport_resources_order (tenant=? AND type=?"
	)
	plain := bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: "Observation",
		After: []byte("1"), AsOf: time.Now(),
	}
	since, patient, upTo := plain, plain, plain
	since.Since = time.Now()
	patient.Level = bulkexport.LevelPatient
	upTo.UpTo = []byte("9")
	for _, q := range []bulkexport.Query{plain, since, patient, upTo} {
		s, err := repo.selection(t.Context(), q)
		require.NoError(t, err)
		query, err := s.query(t.Context(), repo.gorm)
		require.NoError(t, err)
		query = query.Session(&gorm.Session{}) // to go on with several times
		requirePlan(t, repo, s.inKeyOrder(query, s.key, s.body).Limit(10), index)
		requirePlan(t, repo, s.inKeyOrder(query, s.key).Limit(1).Offset(10), cover)
		requirePlan(t, repo, query.Clauses(clause.Select{Expression: clause.Expr{SQL: "count(*)"}}), cover)
	}
	types := selection{table: resourcesTable, key: column("type"), after: []byte("A"), conditions: []clause.Expression{
		clause.Eq{Column: column("tenant"), Value: ""},
	}}
	query, err := types.query(t.Context(), repo.gorm)
	require.NoError(t, err)
	requirePlan(t, repo, types.inKeyOrder(query, types.key).Limit(1),
		"USING COVERING INDEX bulkexport_resources_order (tenant=? AND type>?)")
}

func newRepository(t *testing.T) *Repository {
	t.Helper()
	db, err := gorm.Open(sqlite.Open(filepath.Join(t.TempDir(), "test.db")))
	require.NoError(t, err)
	repo, err := NewRepository(db, RepositoryConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, repo.pool.Close()) })
	require.NoError(t, repo.Migrate(t.Context()))
	return repo
}

// requirePlan demands one search of one index, without a sort.
func requirePlan(t *testing.T, repo *Repository, query *gorm.DB, want string) {
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
	require.Len(t, steps, 1, text)
	require.True(t, strings.HasPrefix(steps[0], "SEARCH bulkexport_resources "), steps)
	require.Contains(t, steps[0], want)
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
	s, err := repo.selection(t.Context(), bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: "Binary",
	})
	require.NoError(t, err)
	var b batch
	require.NoError(t, repo.read(t.Context(), s, 100, &b))
	require.Len(t, b.rows, 3)
	require.False(t, b.last)
	s.after = b.lastKey()
	require.NoError(t, repo.read(t.Context(), s, 4, &b))
	require.Len(t, b.rows, 3)
}

func TestBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rows, size, want int }{
		{64, 64, 256},                      // grows fourfold at most
		{256, 256 << 10, 1024},             // to a MiB
		{1024, 1 << 20, 1024},              // stays
		{1000, 8 << 20, 125},               // shrinks
		{1, 5 << 20, 1},                    // but not to nothing
		{64, 0, 256},                       // what has no size at all
		{1 << 20, 1 << 30, 1 << 20 / 1024}, // no overflow
	} {
		require.Equal(t, c.want, nextBatch(c.rows, c.size), c)
	}
}
