package faulttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

// explorer runs schedules one after the other on the same parts.
type explorer struct {
	t       *testing.T
	harness Harness
	parts   Parts
	apart   Parts
	want    result
	calls   []Call // of an export without faults
	counts  map[Kind]int
	random  int
}

// explore opens parts and runs an export without faults: once without wrappers,
// and once to count its calls.
func explore(t *testing.T, h Harness) (*explorer, error) {
	t.Helper()
	h.Every, h.Items, h.Schedules = cmp.Or(h.Every, 1), cmp.Or(h.Items, 1), cmp.Or(h.Schedules, 100)
	h.Seed = cmp.Or(h.Seed, 1)
	if h.Kinds == nil {
		h.Kinds = Kinds()
	}
	x := &explorer{t: t, harness: h, counts: map[Kind]int{}}
	if h.Open == nil {
		return nil, errors.New("Harness.Open is required")
	}
	return x, x.open()
}

func (x *explorer) open() error {
	x.parts = x.harness.Open(x.t)
	x.apart = x.reopen()
	r, err := x.run(nil, nil)
	if err != nil {
		return fmt.Errorf("without faults: %w", err)
	}
	switch {
	case len(r.got.files) == 0:
		return errors.New("without faults: the export has no file")
	case x.harness.Marker != "" && !r.got.marked:
		return errors.New("without faults: no file has the marker")
	}
	x.want, x.calls = r.got, r.injector.Calls()
	return x.bare()
}

// bare runs the export without wrappers, so that they do not decide what it is.
func (x *explorer) bare() error {
	w := x.world()
	q := &queue{}
	cfg := w.cfg
	cfg.Source, cfg.Store, cfg.Sink, cfg.Runner = x.parts.Source, x.parts.Store, x.parts.Sink, q
	exporter, err := bulkexport.New(cfg)
	if err != nil {
		return err
	}
	c, err := newClient(x.apart, cfg, x.harness.Access, x.harness.Marker)
	if err != nil {
		return err
	}
	ctx := context.Background()
	job, err := exporter.KickOff(ctx, x.harness.Access, x.harness.Request)
	if err != nil {
		return fmt.Errorf("without faults: %w", err)
	}
	drain := func() {
		for task, ok := q.pop(); ok && err == nil; task, ok = q.pop() {
			err = exporter.Perform(ctx, task)
		}
	}
	if drain(); err != nil {
		return fmt.Errorf("without faults: %w", err)
	}
	got, err := c.read(job.ID)
	if err != nil {
		return fmt.Errorf("without wrappers: %w", err)
	}
	if err := got.same(x.want); err != nil {
		return fmt.Errorf("with wrappers and without: %w", err)
	}
	err = exporter.Delete(ctx, x.harness.Access, job.ID)
	w.clock.move(w.cfg.Lease)
	drain()
	return err
}

func (x *explorer) world() world {
	cfg := x.harness.Config
	cfg.Lease = cmp.Or(cfg.Lease, 15*time.Second)
	cfg.Slice = cmp.Or(cfg.Slice, 30*time.Second)
	cfg.TTL = cmp.Or(cfg.TTL, 24*time.Hour)
	w := world{
		harness: x.harness, parts: x.parts, apart: x.apart, reopen: x.reopen,
		clock: &clock{}, log: &strings.Builder{},
	}
	cfg.Now = w.clock.now
	cfg.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.cfg = cfg
	return w
}

func (x *explorer) reopen() Parts {
	if x.harness.Reopen == nil {
		return x.parts
	}
	return x.harness.Reopen(x.t, x.parts)
}

func (x *explorer) run(schedule Schedule, want *result) (*run, error) {
	r, err := newRun(x.world(), schedule, want)
	if err != nil {
		return nil, err
	}
	return r, r.play()
}

// try runs a schedule. After a failure all begins anew, and the schedule is made
// as short as it can be.
func (x *explorer) try(schedule Schedule) error {
	r, err := x.once(schedule)
	if err == nil || r == nil {
		return err
	}
	for i := 0; i < len(schedule) && len(schedule) > 1; {
		if err := x.open(); err != nil {
			return err
		}
		shorter := schedule.without(i)
		if again, fault := x.once(shorter); fault != nil {
			r, err, schedule, i = again, fault, shorter, 0
			continue
		}
		i++
	}
	var strikes strings.Builder
	for _, s := range r.injector.Strikes() {
		fmt.Fprintf(&strikes, "\n  %s", s)
	}
	err = fmt.Errorf("%w\nafter:%s\nschedule:\n  %s", err, strikes.String(), schedule)
	return errors.Join(err, x.open())
}

// once runs a schedule. Where the data were changed, the next export must have
// the change, and is what others are compared to from then on.
func (x *explorer) once(schedule Schedule) (*run, error) {
	r, err := x.run(schedule, &x.want)
	if err != nil || r == nil || !r.changed {
		return r, err
	}
	next, err := x.run(nil, nil)
	if err != nil {
		return r, fmt.Errorf("without faults, after the data were changed: %w", err)
	}
	if slices.Equal(next.got.files, x.want.files) {
		return r, broken(Snapshot, "the export that follows does not have the change")
	}
	x.want = next.got
	return r, nil
}

// matrix yields one schedule for each kind of fault and each call, or each n-th
// where it is possible.
func (x *explorer) matrix(yield func(Kind, Schedule) bool) {
	for i, kind := range x.harness.Kinds {
		if kind == Change && x.harness.Change == nil {
			continue
		}
		holds := []int{UntilEnded}
		if kind.freezes() {
			holds = []int{UntilEnded, UntilDeleted, 7}
		}
		for _, hold := range holds {
			n := i + int(x.harness.Seed%1000) // so that not all kinds skip the same calls
			for _, c := range x.calls {
				if !kind.fits(c) {
					continue
				}
				if n++; n%x.harness.Every == 0 && !yield(kind, Schedule{{kind, c.Number, hold}}) {
					return
				}
			}
		}
	}
}

// schedule makes a random schedule of two to five faults.
func (x *explorer) schedule(random *rand.Rand) Schedule {
	kinds := slices.DeleteFunc(slices.Clone(x.harness.Kinds), func(k Kind) bool {
		return k == Change && x.harness.Change == nil
	})
	var s Schedule
	for range 2 + random.IntN(4) {
		f := Fault{Kind: kinds[random.IntN(len(kinds))], Call: 1 + random.IntN(len(x.calls))}
		if f.Kind.freezes() {
			f.Hold = random.IntN(60)
		}
		s = append(s, f)
	}
	slices.SortStableFunc(s, func(a, b Fault) int { return cmp.Compare(a.Call, b.Call) })
	return s
}
