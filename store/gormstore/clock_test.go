package gormstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
)

func TestSQLiteHasNoClock(t *testing.T) {
	t.Parallel()
	_, err := openStore(t, openDB(t, sqliteFile(t, ""))).Time(t.Context())
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// testClock compares with what the server itself says, in a session of another
// time zone.
func testClock(t *testing.T, schemas newDatabase) {
	db := openDB(t, postgres.Open(schemas(t).(*postgres.Dialector).DSN+"&TimeZone=Asia/Kolkata"))
	store := openStore(t, db)
	var before, after time.Time
	require.NoError(t, db.Raw("SELECT clock_timestamp()").Row().Scan(&before))
	at, err := store.Time(t.Context())
	require.NoError(t, err)
	require.NoError(t, db.Raw("SELECT clock_timestamp()").Row().Scan(&after))
	require.WithinRange(t, at, before, after)
	require.Equal(t, time.UTC, at.Location())
}
