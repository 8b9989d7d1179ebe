package gormstore_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// BenchmarkUpdatePart is the heartbeat of a worker, with so many files
// committed.
func BenchmarkUpdatePart(b *testing.B) {
	for _, files := range []int{0, 100} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			store := openStore(b, openDB(b, sqliteFile(b, "_journal_mode=WAL")))
			id := running(b, store, 100)
			_, err := store.UpdatePart(b.Context(), id, 50, func(_ bulkexport.Job, p *bulkexport.Part) error {
				p.Files = make([]bulkexport.File, files)
				return nil
			})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				_, err := store.UpdatePart(b.Context(), id, 50, func(_ bulkexport.Job, p *bulkexport.Part) error {
					p.Seen++
					return nil
				})
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkJob is what a status request looks up first.
func BenchmarkJob(b *testing.B) {
	store := openStore(b, openDB(b, sqliteFile(b, "_journal_mode=WAL")))
	id := running(b, store, 100)
	b.ReportAllocs()
	for b.Loop() {
		_, err := store.Job(b.Context(), id)
		require.NoError(b, err)
	}
}

// BenchmarkTake is what a request that is counted adds, beside an UpdateJob in each
// round: "updates" says how many of these it costs. One in ten is refused.
func BenchmarkTake(b *testing.B) {
	for name, database := range map[string]gorm.Dialector{
		"sqlite":   sqliteFile(b, "_journal_mode=WAL"),
		"postgres": postgres.Open(pgtest.DSN(b)),
	} {
		store := openStore(b, openDB(b, database))
		id, keys := running(b, store, 1), 0
		b.Run(name, func(b *testing.B) {
			var takes, updates time.Duration
			for ; b.Loop(); keys++ {
				begun := time.Now()
				_, err := store.UpdateJob(b.Context(), id, func(*bulkexport.Job) error { return nil })
				require.NoError(b, err)
				updated := time.Now()
				_, err = store.Take(b.Context(), strconv.Itoa(keys/10), time.Hour, 9*time.Hour)
				require.NoError(b, err)
				updates, takes = updates+updated.Sub(begun), takes+time.Since(updated)
			}
			b.ReportMetric(float64(takes)/float64(updates), "updates")
			b.ReportMetric(float64(takes.Nanoseconds())/float64(b.N), "ns/take")
		})
	}
}
