package gormsource_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// envRounds is how often each writer of a chain writes.
const envRounds = "BULKEXPORT_TEST_CHAIN_ROUNDS"

const chainWriters = 3

// TestSQLiteChains exports what changed since the last time, again and again, while
// others write, over connections of their own.
func TestSQLiteChains(t *testing.T) {
	t.Parallel()
	t.Run("repository chain", func(t *testing.T) { t.Parallel(); testRepositoryChain(t, twoOfSQLite) })
	t.Run("tables chain", func(t *testing.T) { t.Parallel(); testTablesChain(t, twoOfSQLite) })
}

func testPostgresRepositoryChain(t *testing.T, dsn string) {
	testRepositoryChain(t, twoOfPostgres(dsn))
}

func testPostgresTablesChain(t *testing.T, dsn string) { testTablesChain(t, twoOfPostgres(dsn)) }

// twoHandles makes two handles, as two processes have them, on an empty database.
type twoHandles func(t *testing.T) (a, b *gorm.DB)

func twoOfSQLite(t *testing.T) (a, b *gorm.DB) {
	t.Helper()
	name := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=20000"
	return open(t, sqlite.Open(name)), open(t, sqlite.Open(name))
}

func twoOfPostgres(dsn string) twoHandles {
	return func(t *testing.T) (a, b *gorm.DB) {
		t.Helper()
		return open(t, postgres.Open(dsn)), open(t, postgres.Open(dsn))
	}
}

// chain is a follower and those who write meanwhile.
type chain struct {
	*follower
	rounds  int
	writing sync.WaitGroup
	// links has one for each link, as far as anybody takes it.
	links chan struct{}
	seen  []seen
}

// seen is what a client has after an export.
type seen struct {
	what string
	at   time.Time
	has  map[string]string
}

func newChain(t *testing.T, source bulkexport.ResourceSource) *chain {
	t.Helper()
	c := &chain{follower: newFollower(t, source), rounds: 120, links: make(chan struct{})}
	if n, err := strconv.Atoi(os.Getenv(envRounds)); err == nil {
		c.rounds = n
	}
	return c
}

// write has a writer do something in each round, until there is an error.
func (c *chain) write(round func(i int) error) {
	c.writing.Go(func() {
		for i := range c.rounds {
			if err := round(i); err != nil {
				c.t.Errorf("round %d: %v", i, err)
				return
			}
		}
	})
}

// run exports until all have written, once more after that, and returns how
// many exports there were.
func (c *chain) run() (exports int) {
	done := make(chan struct{})
	go func() { c.writing.Wait(); close(done) }()
	for over := false; !over; exports++ {
		select {
		case <-done:
			over = true
		case c.links <- struct{}{}:
		default:
		}
		if exports%3 == 2 {
			full := c.export(time.Time{})
			c.seen = append(c.seen, seen{"full export", full.at, full.output})
		}
		c.next()
		c.seen = append(c.seen, seen{"chain", c.since, maps.Clone(c.has)})
	}
	return len(c.seen)
}

// event is something that happened to a resource between two moments, or at
// the moment that both are. Its new state is empty where it was deleted.
type event struct {
	from, to time.Time
	state    string
}

// history has the events of each resource in order, by type/id.
type history struct {
	mu     sync.Mutex
	events map[string][]event
}

func (h *history) add(e event, names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		h.events[name] = append(h.events[name], e)
	}
}

// states returns what a resource may have been at a moment: more than one thing
// only where it is not known whether an event was before.
func (h *history) states(name string, at time.Time) []string {
	states := []string{""}
	for _, e := range h.events[name] {
		switch {
		case !e.to.After(at):
			states = []string{e.state}
		case e.from.Before(at):
			states = append(states, e.state)
		}
	}
	return states
}

// require compares what a client has with the state at the transactionTime.
func (h *history) require(t *testing.T, s seen) {
	t.Helper()
	for name := range h.events {
		require.Contains(t, h.states(name, s.at), s.has[name], "%s at %v in the %s", name, s.at, s.what)
	}
	for name := range s.has {
		require.Contains(t, h.events, name)
	}
}

func testRepositoryChain(t *testing.T, two twoHandles) {
	db, others := two(t)
	chainOfRepository(t, newRepository(t, db), others)
}

func chainOfRepository(t *testing.T, source *gormsource.Repository, others *gorm.DB) {
	c := newChain(t, source)
	h := &history{events: map[string][]event{}}
	for w := range chainWriters {
		writer := repositoryWriter{ctx: t.Context(), history: h, number: w}
		writer.repo = newRepository(t, others)
		c.write(writer.round)
	}
	exports := c.run()
	for _, s := range c.seen {
		h.require(t, s)
	}
	last := c.export(time.Time{})
	require.Equal(t, last.output, c.has)
	t.Logf("%d exports beside %d writes of %d resources", exports, chainWriters*c.rounds, len(h.events))
}

// repositoryWriter has resources that no other one writes.
type repositoryWriter struct {
	ctx     context.Context
	repo    chainRepository
	history *history
	number  int
}

type chainRepository interface {
	Put(ctx context.Context, tenant string, resource []byte) (time.Time, error)
	Delete(ctx context.Context, tenant, resourceType, id string) error
}

const perWriter = 8

// resource is what a writer makes of a name in a round.
func chainResource(name string, round int) string {
	resourceType, id, _ := strings.Cut(name, "/")
	return fmt.Sprintf(`{"resourceType":%q,"id":%q,"implicitRules":"urn:%d"}`, resourceType, id, round)
}

func chainName(writer, n int) string {
	return fmt.Sprintf("%s/%d-%d", []string{"Patient", "Observation", "Organization"}[n%3], writer, n)
}

func (w repositoryWriter) round(i int) error {
	name := chainName(w.number, i*5%perWriter)
	if i%4 != 3 {
		_, err := w.put(name, i)
		return err
	}
	// Nothing tells when a deletion was, but for what was written before and after.
	marker := fmt.Sprintf("Basic/%d", w.number)
	before, err := w.put(marker, i)
	if err != nil {
		return err
	}
	resourceType, id, _ := strings.Cut(name, "/")
	if err := w.repo.Delete(w.ctx, "", resourceType, id); err != nil {
		return err
	}
	after, err := w.put(marker, i+1)
	w.history.add(event{from: before, to: after}, name)
	return err
}

func (w repositoryWriter) put(name string, round int) (time.Time, error) {
	resource := chainResource(name, round)
	at, err := w.repo.Put(w.ctx, "", []byte(resource))
	if err == nil {
		w.history.add(event{from: at, to: at, state: resource}, name)
	}
	return at, err
}

func testTablesChain(t *testing.T, two twoHandles) {
	db, others := two(t)
	chainOfTables(t, newHospital(t, others), newTables(t, db, hospitalTables()...))
}

// chainOfTables has a host's own tables. Resources may come in a newer version
// than that of the transactionTime, and deletions are not told, but nothing is
// lost.
func chainOfTables(t *testing.T, host hospital, source *gormsource.Tables) {
	c := newChain(t, source)
	live := make([]map[string]string, chainWriters+1)
	for w := range live {
		live[w] = map[string]string{}
		writer := tablesWriter{ctx: t.Context(), host: host, live: live[w], number: w}
		switch {
		case w < chainWriters:
			c.write(writer.round)
		case host.db.Name() == "postgres": // SQLite lets nobody else write meanwhile
			c.writing.Go(func() {
				for i := range 5 {
					if err := writer.commitLate(i, c.links); err != nil {
						t.Errorf("late commit: %v", err)
						return
					}
				}
			})
		}
	}
	exports := c.run()
	c.reach(time.Now())
	want := map[string]string{}
	for _, resources := range live {
		maps.Copy(want, resources)
	}
	maps.DeleteFunc(c.has, func(name, _ string) bool { return want[name] == "" })
	require.Equal(t, want, c.has)
	t.Logf("%d exports beside %d writes", exports, chainWriters*c.rounds)
}

type tablesWriter struct {
	ctx    context.Context
	host   hospital
	live   map[string]string
	number int
}

func (w tablesWriter) round(i int) error {
	name := chainName(w.number, i*5%perWriter)
	if i%4 == 3 && w.live[name] != "" {
		delete(w.live, name)
		resourceType, id, _ := strings.Cut(name, "/")
		return w.host.delete(w.ctx, "", resourceType, id)
	}
	w.live[name] = chainResource(name, i)
	_, err := w.host.put(w.ctx, "", []byte(w.live[name]))
	return err
}

// commitLate writes, and commits when two more links have been begun.
func (w tablesWriter) commitLate(i int, links <-chan struct{}) error {
	return w.host.db.WithContext(w.ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE others SET kind = kind WHERE 1 = 0").Error; err != nil {
			return err
		}
		for n := range perWriter {
			name := chainName(w.number, n)
			w.live[name] = chainResource(name, i)
			if _, err := w.host.putOne(tx, "", []byte(w.live[name])); err != nil {
				return err
			}
			if n%(perWriter/2) == 0 {
				<-links
			}
		}
		return nil
	})
}
