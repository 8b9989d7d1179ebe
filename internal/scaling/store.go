package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/scaling/model"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// manyParts is how many parts the looks at all of them are measured with.
const manyParts = 20_000

const storeJob = "scalingscalingscalingscali"

// measureStore makes the calls of a job store that cost more the more parts there are,
// and heartbeats, in this process.
func measureStore(ctx context.Context, l *lab, o options, c *model.Costs) (err error) {
	store, err := gormstore.New(l.gorm)
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.DeleteJob(ctx, storeJob)) }()
	stored, err := l.repeat(ctx, options{rounds: 1}, 1, func(int) error { return makeParts(ctx, store) })
	if err != nil {
		return err
	}
	c.PlanPart = (stored.node + stored.database.cpu) / manyParts
	if _, err := l.db.ExecContext(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	err = l.db.QueryRowContext(ctx, "SELECT avg(octet_length(doc)) FROM bulkexport_parts WHERE job_id = $1"+probe,
		storeJob).Scan(&c.RecordBytes)
	if err != nil {
		return err
	}

	if err := l.measureCommit(ctx, c); err != nil {
		return err
	}
	const reads, sums, beats = 10, 100, 1000
	allocated := garbage()
	read, err := l.repeat(ctx, o, reads, func(int) error {
		_, err := store.Parts(ctx, storeJob)
		return err
	})
	if err != nil {
		return err
	}
	c.NodeRead, c.DatabaseRead = read.node/reads/manyParts, read.database.cpu/reads/manyParts
	c.ReadMemory = (garbage() - allocated) / float64(reads*o.rounds) / manyParts
	sum, err := l.repeat(ctx, o, sums, func(int) error {
		_, err := store.Revision(ctx, storeJob)
		return err
	})
	if err != nil {
		return err
	}
	c.DatabaseSum = sum.database.cpu / sums / manyParts
	beat, err := l.repeat(ctx, o, beats, func(i int) error {
		_, err := store.UpdatePart(ctx, storeJob, i, func(_ bulkexport.Job, p *bulkexport.Part) error {
			p.Seen++
			return nil
		})
		return err
	})
	c.NodeBeat, c.DatabaseBeat = beat.node/beats, beat.database.cpu/beats
	c.BeatStatements, c.BeatWAL = beat.database.statements/beats, beat.database.wal/beats
	return err
}

// makeParts stores a job with parts as long exports have them.
func makeParts(ctx context.Context, store *gormstore.Store) error {
	err := store.CreateJob(ctx, bulkexport.Job{ID: storeJob, State: bulkexport.JobRunning, CreatedAt: time.Now()})
	if err != nil {
		return err
	}
	parts := make([]bulkexport.Part, manyParts)
	for i := range parts {
		key := fmt.Append(nil, int64(i)*500_000)
		parts[i] = bulkexport.Part{
			Index: i, Type: "Observation", After: key, UpTo: key, Cursor: key, Total: 500_000, Processed: 500_000,
			Seen: 500_000, Claim: bulkexport.Claim{Attempt: 1, LeaseUntil: time.Now()},
			Files: []bulkexport.File{{
				Name: fmt.Sprintf("Observation-%d-1-1.output.ndjson", i), Type: "Observation",
				Kind: bulkexport.FileOutput, Count: 500_000, Size: 250_000_000, SHA256: strings.Repeat("0f", 32),
			}},
		}
	}
	return store.SetParts(ctx, storeJob, parts)
}

// measureCommit has a row written, many times.
func (l *lab) measureCommit(ctx context.Context, c *model.Costs) error {
	if _, err := l.db.ExecContext(ctx, "CREATE TABLE scaling (n bigint); INSERT INTO scaling VALUES (0)"); err != nil {
		return err
	}
	took := make([]float64, 200)
	for i := range took {
		began := time.Now()
		if _, err := l.db.ExecContext(ctx, "UPDATE scaling SET n = n + 1"); err != nil {
			return err
		}
		took[i] = time.Since(began).Seconds()
	}
	c.CommitSeconds = median(took)
	return nil
}

// repeat returns what so many calls cost this process and the database, as the median
// of the rounds.
func (l *lab) repeat(ctx context.Context, o options, times int, do func(i int) error) (outcome, error) {
	var nodes, cpus, statements, wals []float64
	for range o.rounds {
		before, err := l.read(ctx)
		if err != nil {
			return outcome{}, err
		}
		self, err := readStat(os.Getpid())
		if err != nil {
			return outcome{}, err
		}
		for i := range times {
			if err := do(i); err != nil {
				return outcome{}, err
			}
		}
		after, err := readStat(os.Getpid())
		if err != nil {
			return outcome{}, err
		}
		read, err := l.read(ctx)
		if err != nil {
			return outcome{}, err
		}
		d := read.since(before)
		nodes, cpus = append(nodes, after.own-self.own), append(cpus, d.cpu)
		statements, wals = append(statements, d.statements), append(wals, d.wal)
	}
	return outcome{node: median(nodes), database: reading{median(cpus), median(statements), median(wals)}}, nil
}

// measurePlan counts and cuts as the planner does, in ranges of a hundredth.
func measurePlan(ctx context.Context, l *lab, o options, c *model.Costs) error {
	records, err := gormsource.NewRepository(l.gorm, gormsource.RepositoryConfig{})
	if err != nil {
		return err
	}
	scope := bulkexport.Scope{Level: bulkexport.LevelSystem}
	types, err := records.Types(ctx, scope)
	if err != nil {
		return err
	}
	const times = 5
	plan, err := l.repeat(ctx, o, times, func(int) error {
		for _, name := range types {
			q := bulkexport.Query{Scope: scope, Type: name, AsOf: time.Now()}
			_, errCount := records.Count(ctx, q)
			_, errSplit := records.Split(ctx, q, l.resources/100)
			if err := errors.Join(errCount, errSplit); err != nil {
				return err
			}
		}
		return nil
	})
	c.PlanResource = plan.database.cpu / times / float64(l.resources)
	return err
}
