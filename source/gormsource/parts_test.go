package gormsource_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// testBalancedParts has keys with a crowd, a gap and long distances, among those of
// another type: parts have equal numbers of resources all the same.
func testBalancedParts(t *testing.T, open database) {
	db := open(t)
	source := newTables(t, db, docs(t, db))
	const rows = 130
	for i := range rows {
		key := i * 2
		if i > 100 {
			key = 1<<40 + i*i*i*i*2
		}
		addDoc(t, db, key, "Patient", fmt.Sprintf(`{"resourceType":"Patient","id":"%d"}`, i))
		if i%10 == 0 {
			addDoc(t, db, key+1, "Basic", fmt.Sprintf(`{"resourceType":"Basic","id":"%d"}`, i))
		}
	}
	ended := make(chan bulkexport.PartAttempt, 100)
	f := &follower{t: t, ended: make(chan bulkexport.Job, 1)}
	f.exporter = startExporter(t, bulkexport.Config{
		Source: source, MaxFileResources: 20,
		Observer: bulkexport.Observer{
			JobEnded:  func(_ context.Context, job bulkexport.Job) { f.ended <- job },
			PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) { ended <- a },
		},
	})
	f.finish(f.kickOff(time.Time{}))
	sizes := map[string][]int64{}
	for range 8 { // the last one may be told of after the job
		part := (<-ended).Part
		sizes[part.Type] = append(sizes[part.Type], part.Processed)
	}
	require.ElementsMatch(t, []int64{19, 19, 19, 19, 19, 19, 16}, sizes["Patient"])
	require.Equal(t, []int64{13}, sizes["Basic"])
}

func testPostgresSlowConsumer(t *testing.T, dsn string) {
	source := open(t, postgres.Open(withSetting(t, dsn, "application_name", "source")))
	requireNoneStays(t, newRepository(t, source), open(t, postgres.Open(dsn)))
}

// requireNoneStays has the consumer of each resource look on the server that is read
// from: its source holds no transaction and no snapshot there, however long it takes.
func requireNoneStays(t *testing.T, repo *gormsource.Repository, server *gorm.DB) {
	t.Helper()
	putPatients(t, repo, 130, 100_000) // in several windows
	const query = `SELECT count(*), count(xact_start) + count(backend_xmin) FROM pg_stat_activity
		WHERE application_name = 'source' AND datname = current_database()`
	looks := make(chan [2]int, 1000)
	look := func(context.Context, bulkexport.Job, string, []byte) ([]byte, error) {
		var sessions, open int
		err := server.Raw(query).Row().Scan(&sessions, &open)
		looks <- [2]int{sessions, open}
		return nil, err
	}
	f := &follower{t: t, ended: make(chan bulkexport.Job, 1)}
	f.exporter = startExporter(t, bulkexport.Config{
		Source: repo, Filter: look, // one type, hence one part and one reader
		Observer: bulkexport.Observer{JobEnded: func(_ context.Context, job bulkexport.Job) { f.ended <- job }},
	})
	require.Empty(t, f.finish(f.kickOff(time.Time{})).output)
	require.Len(t, looks, 130)
	for range 130 {
		seen := <-looks
		require.Positive(t, seen[0])
		require.Zero(t, seen[1])
	}
}
