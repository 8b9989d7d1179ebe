package gormstore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
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
