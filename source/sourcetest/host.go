package sourcetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

// host is the server under test during one case.
type host struct {
	DataSet
	tenant   string
	patience time.Duration
	reopen   func() bulkexport.ResourceSource

	mu      sync.Mutex
	rev     int
	updated time.Time
}

func newHost(t *testing.T, data DataSet, tenant string, patience time.Duration) *host {
	t.Helper()
	return &host{
		DataSet:  data,
		tenant:   tenant,
		patience: patience,
		reopen:   func() bulkexport.ResourceSource { return data.Reopen(t) },
	}
}

// resource is one version of a resource that the suite puts.
type resource struct {
	typ, id string
	// members are further JSON members, each with a comma before it.
	members string
	rev     int
}

// label names the version in comparisons and messages.
func (r resource) label() string { return fmt.Sprintf("%s/%s#%d", r.typ, r.id, r.rev) }

// json carries the revision in implicitRules, which every type has.
func (r resource) json() []byte {
	return fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"implicitRules":"urn:revision:%d"%s}`,
		r.typ, r.id, r.rev, r.members)
}

// refer makes a member that holds a reference.
func refer(element, reference string) string {
	return fmt.Sprintf(`,%q:{"reference":%q}`, element, reference)
}

// observation makes one about patients: the first is the subject, the others
// are performers.
func observation(id string, patients ...string) resource {
	var performers []string
	for _, patient := range patients[1:] {
		performers = append(performers, fmt.Sprintf(`{"reference":"Patient/%s"}`, patient))
	}
	r := resource{typ: "Observation", id: id, members: refer("subject", "Patient/"+patients[0])}
	if len(performers) > 0 {
		r.members += `,"performer":[` + strings.Join(performers, ",") + `]`
	}
	return r
}

// series returns n resources whose order by id is not the order they come in.
func series(typ string, n int) []resource {
	all := make([]resource, n)
	for i := range all {
		all[i] = resource{typ: typ, id: fmt.Sprintf("%s-%d", string('a'+rune(i*7%26)), i)}
	}
	return all
}

// store puts versions in one call, gives each a revision of its own and returns
// their labels. It may be called by several goroutines.
func (h *host) store(
	ctx context.Context, tenant string, resources ...resource,
) ([]string, time.Time, error) {
	docs, labels := make([][]byte, len(resources)), make([]string, len(resources))
	h.mu.Lock()
	for i, r := range resources {
		h.rev++
		r.rev = h.rev
		docs[i], labels[i] = r.json(), r.label()
	}
	h.mu.Unlock()
	updated, err := h.Put(ctx, tenant, docs...)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("DataSet.Put: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if updated.After(h.updated) {
		h.updated = updated
	}
	return labels, updated, nil
}

// put is store for the tenant of the harness. It ends the case on an error.
func (h *host) put(t tester, resources ...resource) []string {
	t.Helper()
	return h.putIn(t, h.tenant, resources...)
}

func (h *host) putIn(t tester, tenant string, resources ...resource) []string {
	t.Helper()
	names, _ := h.putTimed(t, tenant, resources...)
	return names
}

// putOne also returns the last update.
func (h *host) putOne(t tester, r resource) (string, time.Time) {
	t.Helper()
	names, updated := h.putTimed(t, h.tenant, r)
	return names[0], updated
}

func (h *host) putTimed(
	t tester, tenant string, resources ...resource,
) (names []string, updated time.Time) {
	t.Helper()
	h.within(t, "DataSet.Put: resources are stored", func(ctx context.Context) (err error) {
		names, updated, err = h.store(ctx, tenant, resources...)
		return err
	})
	return names, updated
}

// population puts patients p1 to pn with an Observation o1 to on each, and
// returns the labels of both by the number of the patient.
func (h *host) population(t tester, n int) (patients, observations []string) {
	t.Helper()
	patients, observations = []string{""}, []string{""}
	for i := 1; i <= n; i++ {
		id := fmt.Sprint("p", i)
		patients = append(patients, h.put(t, resource{typ: "Patient", id: id})...)
		observations = append(observations, h.put(t, observation(fmt.Sprint("o", i), id))...)
	}
	return patients, observations
}

// remove deletes a resource and returns the label of a marker put after it, a
// Basic: its last update bounds the time of the deletion, which nothing tells.
func (h *host) remove(t tester, typ, id string) string {
	t.Helper()
	h.within(t, "DataSet.Delete: a resource is deleted", func(ctx context.Context) error {
		return h.Delete(ctx, h.tenant, typ, id)
	})
	return h.put(t, resource{typ: "Basic", id: "marker"})[0]
}

func (h *host) lastUpdate() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.updated
}

// query selects all resources of a type, at system level.
func (h *host) query(typ string) bulkexport.Query {
	return bulkexport.Query{Scope: h.scope(bulkexport.LevelSystem), Type: typ}
}

// asOf selects what an incremental export does at a moment.
func (h *host) asOf(typ string, since, at time.Time) bulkexport.Query {
	q := h.query(typ)
	q.Since, q.AsOf = since, at
	return q
}

func (h *host) scope(level bulkexport.Level) bulkexport.Scope {
	return bulkexport.Scope{Tenant: h.tenant, Level: level}
}

// transactionTime returns what an exporter would work with.
func (h *host) transactionTime(ctx context.Context) (time.Time, error) {
	at, err := h.Source.(bulkexport.SourceClock).TransactionTime(ctx, h.tenant)
	if err != nil {
		return time.Time{}, fmt.Errorf("TransactionTime: %w", err)
	}
	return at.UTC().Truncate(time.Millisecond), nil
}

// cut returns a transactionTime at which all that was put is visible.
func (h *host) cut(t tester) time.Time {
	t.Helper()
	var at time.Time
	const rule = "TransactionTime: reaches the last update of every committed change"
	h.within(t, rule, func(ctx context.Context) (err error) {
		for {
			if at, err = h.transactionTime(ctx); err != nil || !at.Before(h.lastUpdate()) {
				return err
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
	})
	return at
}

// moment returns a time after all that was put and before all that will be.
func (h *host) moment(t tester) time.Time {
	t.Helper()
	if needClock().met(h.DataSet) {
		return h.cut(t)
	}
	h.within(t, "time goes by", pause)
	_, updated := h.putOne(t, resource{typ: "Basic", id: "marker"})
	h.within(t, "time goes by", pause)
	return updated.UTC()
}

// pause lets others work, and a clock of milliseconds go on.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Millisecond):
		return nil
	}
}

// within runs fn and ends the case if fn fails, or does not return in time.
func (h *host) within(t tester, rule string, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	// What does not heed the context is left behind.
	timer := time.NewTimer(h.patience + h.patience/4)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("%s; got error: %v", rule, err)
		}
	case <-timer.C:
		t.Fatalf("%s; still waiting after %v", rule, h.patience)
	}
}

// outcome is within for a call that may fail. It returns the call's error.
func (h *host) outcome(t tester, rule string, call func(context.Context) error) (outcome error) {
	t.Helper()
	h.within(t, rule, func(ctx context.Context) error {
		outcome = call(ctx)
		return nil
	})
	return outcome
}

// together is within for several functions at once.
func (h *host) together(t tester, rule string, fns ...func(context.Context) error) {
	t.Helper()
	h.within(t, rule, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var wg sync.WaitGroup
		for _, fn := range fns {
			wg.Go(func() {
				if err := fn(ctx); err != nil {
					cancel(err)
				}
			})
		}
		wg.Wait()
		return context.Cause(ctx)
	})
}
