package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// Node is a running node.
type Node struct {
	*serverproc.Process
	// ID is what River calls it.
	ID string
}

// StartNode starts a node with further flags, and waits until it listens or ctx
// ends. Nodes are started one after the other.
func (f *Fleet) StartNode(ctx context.Context, args ...string) (*Node, error) {
	f.starting.Lock()
	defer f.starting.Unlock()
	before, err := f.nodes(ctx)
	if err != nil {
		return nil, err
	}
	process, err := serverproc.Start(ctx, f.Command(ctx, append(f.Args(), args...)...))
	if err != nil {
		return nil, err
	}
	after, err := f.nodes(ctx)
	if err == nil {
		for _, id := range after {
			if !slices.Contains(before, id) {
				return &Node{process, id}, nil
			}
		}
		err = errors.New("the node is not in the database")
	}
	process.Kill()
	return nil, err
}

// nodes returns the ids of all nodes that there were. There are none before the first
// has made the table.
func (f *Fleet) nodes(ctx context.Context) ([]string, error) {
	var there bool
	err := f.DB.QueryRow(ctx, `SELECT to_regclass('bulkexport_river.bulkexport_node') IS NOT NULL`).Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	rows, err := f.DB.Query(ctx, `SELECT id FROM bulkexport_river.bulkexport_node`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Leader returns the id of River's leader; empty if there is none now.
func (f *Fleet) Leader(ctx context.Context) (string, error) {
	var id string
	err := f.DB.QueryRow(ctx, `SELECT leader_id FROM bulkexport_river.river_leader WHERE expires_at > now()`).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// Held is a part that a node is at, according to River.
type Held struct {
	Node, Job string
	Part      int
}

// Held returns the parts that are being performed, by nodes that live or have died.
func (f *Fleet) Held(ctx context.Context) ([]Held, error) {
	rows, err := f.DB.Query(ctx, `SELECT attempted_by[array_upper(attempted_by, 1)], args->>'job', (args->>'part')::int
		FROM bulkexport_river.river_job WHERE state = 'running' AND kind = 'bulkexport_part' ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Held])
}

// Queued reports whether a part that a node was at is in the queue again, or with another
// node.
func (f *Fleet) Queued(ctx context.Context, h Held) (found bool, err error) {
	err = f.DB.QueryRow(ctx, `SELECT
		EXISTS (SELECT FROM bulkexport_river.bulkexport_task WHERE kind = 'part' AND job = $1 AND part = $2)
		OR EXISTS (SELECT FROM bulkexport_river.river_job
			WHERE kind = 'bulkexport_part' AND args @> jsonb_build_object('job', $1::text, 'part', $2::int)
			AND (state = 'available' OR attempted_by[array_upper(attempted_by, 1)] <> $3 AND state = 'running'))`,
		h.Job, h.Part, h.Node).Scan(&found)
	return found, err
}

// Next is when a part was begun by another node.
type Next struct {
	Node string // empty if it was not
	At   time.Time
}

// Next returns who was the first to perform a part after a time.
func (f *Fleet) Next(ctx context.Context, h Held, after time.Time) (Next, error) {
	var found Next
	err := f.DB.QueryRow(ctx, `SELECT attempted_by[array_upper(attempted_by, 1)], attempted_at
		FROM bulkexport_river.river_job
		WHERE kind = 'bulkexport_part' AND args->>'job' = $1 AND (args->>'part')::int = $2 AND attempted_at > $3
		ORDER BY attempted_at LIMIT 1`, h.Job, h.Part, after).Scan(&found.Node, &found.At)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return found, err
}
