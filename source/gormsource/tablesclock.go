package gormsource

import (
	"context"
	"time"
)

// TransactionTime implements [bulkexport.SourceClock]. It stays behind the
// clock by Lag and by what LastUpdatedUnit cannot tell apart. On PostgreSQL it
// also stays before the beginning of every transaction that is open in the
// database, as far as the role may see them (pg_monitor sees all).
func (t *Tables) TransactionTime(ctx context.Context, _ string) (time.Time, error) {
	now, err := t.dialect.now(ctx, t.pool)
	if err != nil {
		return time.Time{}, wrap(ctx, "transaction time", err)
	}
	behind := max(t.lag, 0)
	for i := range t.tables {
		behind = max(behind, max(t.lag, 0)+t.tables[i].LastUpdatedUnit)
	}
	return now.Add(-behind).UTC(), nil
}
