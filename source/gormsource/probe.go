package gormsource

import "context"

// Probe implements [bulkexport.SourceProbe]: the shortest query there is, on a
// connection of the host's pool. It is slow when the database is, when all
// connections are in use, and when this process has too little of the processor.
func (s session) Probe(ctx context.Context) error {
	var one int
	err := s.pool.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return wrap(ctx, "probe", err)
}
