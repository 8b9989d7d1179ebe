//go:build cgo && linux && !bulkexport_nocgo

package gormsource

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

// TestManyRows looks whether SQLite itself fills the batches, which cannot be seen
// from without but by the time it takes.
func TestManyRows(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	for _, resource := range []string{`{"resourceType":"Patient","id":"1"}`, `{"resourceType":"Patient","id":"2"}`} {
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
	_, v, err := repo.view(t.Context(), bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: "Patient", UpTo: []byte("99999"),
	})
	require.NoError(t, err)
	r := reader{session: repo.session, selection: repo.selection(&v)}
	for range 2 { // without a key and with one
		require.NoError(t, r.prepare(t.Context(), 1))
		require.NoError(t, repo.dialect.manyRows.fill(t.Context(), repo.pool, r.text, r.args, 1, &r.batch))
		require.Len(t, r.Rows, 1)
		r.after = r.lastKey()
	}
	b := repo.bodies("", "body")
	b.seqs, b.types = append([]byte{','}, r.after...), []byte(`,"Patient"`)
	args, err := b.prepare(t.Context())
	require.NoError(t, err)
	require.NoError(t, repo.dialect.manyRows.fill(t.Context(), repo.pool, b.text, args, 9, &b.batch))
	require.Len(t, b.batch.Rows, 1)
}

// TestManyRowsOfAnotherCopy has a connection whose library calls itself otherwise
// than the one that is linked here.
func TestManyRowsOfAnotherCopy(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.pool.SetMaxOpenConns(1)
	require.NoError(t, onConn(t.Context(), repo.pool, func(conn *sql.Conn) error {
		return conn.Raw(func(driverConn any) error {
			return driverConn.(interface {
				RegisterFunc(name string, fn any, pure bool) error
			}).RegisterFunc("sqlite_source_id", func() string { return "another" }, true)
		})
	}))
	var b batch
	err := repo.dialect.manyRows.fill(t.Context(), repo.pool, "SELECT 1, 2", nil, 9, &b)
	require.ErrorIs(t, err, sqliterows.ErrUnsupported)
	require.NoError(t, repo.fill(t.Context(), "SELECT 1, 2", nil, 9, &b))
	require.Equal(t, "12", string(b.Bytes))
}
