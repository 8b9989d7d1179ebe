package gormsource

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"
)

// positions tells the position of moments for tables of a host: the number of a
// transaction that began when all that wrote something earlier were over. It is found
// out when a moment is named, and anew by a process that comes to hear of the moment
// later, since any later position will do. It is safe for concurrent use.
type positions struct {
	mu    sync.Mutex
	known []positioned // by moment
}

type positioned struct {
	moment   time.Time
	position int64
}

// maxPositions is how many moments are remembered: more than exports run at once.
const maxPositions = 1000

// of returns the position of a moment, which is over. Zero is now.
func (p *positions) of(ctx context.Context, primary *sql.DB, moment time.Time) (int64, error) {
	if position, ok := p.find(moment); ok {
		return position, nil
	}
	return p.settle(ctx, primary, moment)
}

// settle finds out the position of a moment that is over by now.
func (p *positions) settle(ctx context.Context, primary *sql.DB, moment time.Time) (position int64, err error) {
	err = primary.QueryRowContext(ctx, `SELECT txid_current()`).Scan(&position)
	if err == nil && !moment.IsZero() {
		p.add(positioned{moment, position})
	}
	return position, err
}

// find looks for the moment, or the next one that is known.
func (p *positions) find(moment time.Time) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearchFunc(p.known, moment, positioned.compare)
	if moment.IsZero() || i == len(p.known) {
		return 0, false
	}
	return p.known[i].position, true
}

func (p *positions) add(settled positioned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := slices.BinarySearchFunc(p.known, settled.moment, positioned.compare)
	if !ok {
		p.known = slices.Insert(p.known, i, settled)
	}
	if len(p.known) > maxPositions { // one that is asked for all the same has that of a later one
		p.known = slices.Delete(p.known, 0, 1)
	}
}

func (p positioned) compare(moment time.Time) int {
	return cmp.Compare(p.moment.UnixNano(), moment.UnixNano())
}
