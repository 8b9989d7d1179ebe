package gormsource

import "context"

// Probe makes the shortest query there is, on a connection of the host's pool. It is
// slow when the database is, when all connections are in use, and when this process
// has too little of the processor.
func (s session) Probe(ctx context.Context) error {
	var one int
	err := s.pool.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return wrap(ctx, "probe", err)
}

// Probe implements [bulkexport.SourceProbe]: that of the database which exports read, the
// replica if there is one.
func (r *Repository) Probe(ctx context.Context) error {
	if r.replica != nil {
		return r.replica.Probe(ctx)
	}
	return r.session.Probe(ctx)
}

// Probe implements [bulkexport.SourceProbe], like [Repository.Probe].
func (t *Tables) Probe(ctx context.Context) error {
	if t.replica != nil {
		return t.replica.Probe(ctx)
	}
	return t.session.Probe(ctx)
}
