package bulkexport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// secret stands for protected health information in test resources.
const secret = "Szczepański"

// listSource serves lists of resources, all of them to everybody. It is about
// the least that a source can be, and has hooks for trouble.
type listSource struct {
	lists map[string][]string
	// before, if set, is called before each resource is yielded; an error is
	// yielded instead.
	before func(ctx context.Context, resourceType string, n int) error
	reads  atomic.Int64

	mu      sync.Mutex
	queries []bulkexport.Query
}

// newListSource makes so many resources of each type.
func newListSource(counts map[string]int) *listSource {
	s := &listSource{lists: map[string][]string{}}
	for name, n := range counts {
		for i := range n {
			s.lists[name] = append(s.lists[name],
				fmt.Sprintf(`{"resourceType":%q,"id":"%s-%d","name":[{"family":%q}],"n":%d.00}`, name, name, i, secret, i))
		}
	}
	return s
}

func (s *listSource) Types(context.Context, bulkexport.Scope) ([]string, error) {
	return slices.Collect(maps.Keys(s.lists)), nil
}

func listKey(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i+1)) }

func (s *listSource) Resources(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Resource, error] {
	s.mu.Lock()
	s.queries = append(s.queries, q)
	s.mu.Unlock()
	s.reads.Add(1)
	return func(yield func(bulkexport.Resource, error) bool) {
		for i, body := range s.lists[q.Type] {
			key := listKey(i)
			if bytes.Compare(key, q.After) <= 0 {
				continue
			}
			if q.UpTo != nil && bytes.Compare(key, q.UpTo) > 0 {
				return
			}
			var err error
			if s.before != nil {
				err = s.before(ctx, q.Type, i)
			}
			if !yield(bulkexport.Resource{Key: key, JSON: []byte(body)}, err) {
				return
			}
		}
	}
}

// all returns every resource of the types as the lines of their files.
func (s *listSource) all(types ...string) map[string][]string {
	lines := map[string][]string{}
	for _, name := range types {
		lines[name] = s.lists[name]
	}
	return lines
}

// countingSource can count and split as well.
type countingSource struct{ *listSource }

func (s countingSource) between(q bulkexport.Query) []int {
	var indexes []int
	for i := range s.lists[q.Type] {
		key := listKey(i)
		if bytes.Compare(key, q.After) > 0 && (q.UpTo == nil || bytes.Compare(key, q.UpTo) <= 0) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (s countingSource) Count(_ context.Context, q bulkexport.Query) (int64, error) {
	return int64(len(s.between(q))), nil
}

func (s countingSource) Split(_ context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	var cuts [][]byte
	indexes := s.between(q)
	for n := int(size); n < len(indexes); n += int(size) {
		cuts = append(cuts, listKey(indexes[n-1]))
	}
	return cuts, nil
}

// kit is an exporter with memory parts, in a synctest bubble.
type kit struct {
	*testing.T
	store    *memstore.Store
	sink     *memsink.Sink
	exporter *bulkexport.Exporter
	log      *bytes.Buffer
	logger   *slog.Logger
}

var alice = bulkexport.Access{Caller: bulkexport.Caller{Tenant: "north", Client: "alice"}}

// newKit makes an exporter that is not started. Zero fields of cfg are filled.
func newKit(t *testing.T, cfg bulkexport.Config) *kit {
	t.Helper()
	k := &kit{T: t, store: memstore.New(), sink: memsink.New(), log: &bytes.Buffer{}}
	k.logger = slog.New(slog.NewTextHandler(k.log, nil)) // one, since it has the buffer's lock
	k.open(cfg)
	return k
}

// open makes another exporter on the same store and sink.
func (k *kit) open(cfg bulkexport.Config) {
	k.Helper()
	if cfg.Store == nil {
		cfg.Store = k.store
	}
	if cfg.Sink == nil {
		cfg.Sink = k.sink
	}
	if cfg.Runner == nil {
		cfg.Runner = bulkexport.NewPool(2)
	}
	if cfg.Logger == nil {
		cfg.Logger = k.logger
	}
	exporter, err := bulkexport.New(cfg)
	require.NoError(k, err)
	k.exporter = exporter
}

func (k *kit) start() {
	k.Helper()
	require.NoError(k, k.exporter.Start(k.Context()))
}

func (k *kit) stop() {
	k.Helper()
	require.NoError(k, k.exporter.Stop(context.Background()))
}

// stopper stops what is the exporter now, whatever is opened later.
func (k *kit) stopper() func() {
	exporter := k.exporter
	return func() {
		k.Helper()
		require.NoError(k, exporter.Stop(context.Background()))
	}
}

func (k *kit) kickOff(types ...string) string {
	k.Helper()
	job, err := k.exporter.KickOff(k.Context(), alice,
		bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Types: types})
	require.NoError(k, err)
	return job.ID
}

func (k *kit) status(id string) bulkexport.Status {
	k.Helper()
	status, err := k.exporter.Status(k.Context(), alice, id)
	require.NoError(k, err)
	return status
}

// wait lets time go by until the job has ended.
func (k *kit) wait(id string) bulkexport.Status {
	k.Helper()
	for range 1000 {
		synctest.Wait()
		if status := k.status(id); status.Job.State.Ended() {
			return status
		}
		pass(time.Second)
	}
	require.Fail(k, "the job does not end")
	return bulkexport.Status{}
}

// content reads a file to its end.
func (k *kit) content(id, name string) string {
	k.Helper()
	file, err := k.exporter.OpenFile(k.Context(), alice, id, name)
	require.NoError(k, err)
	content, err := io.ReadAll(file)
	require.NoError(k, err)
	require.NoError(k, file.Close())
	require.EqualValues(k, len(content), file.Size())
	return string(content)
}

// contents reads all files by their public names.
func (k *kit) contents(id string) map[string]string {
	k.Helper()
	contents := map[string]string{}
	for _, file := range k.status(id).Files {
		contents[file.PublicName] = k.content(id, file.PublicName)
	}
	return contents
}

// lines reads the lines of all output files by type, and checks what must hold
// for every file.
func (k *kit) lines(id string) map[string][]string {
	k.Helper()
	lines := map[string][]string{}
	for _, file := range k.status(id).Files {
		content := k.content(id, file.PublicName)
		parts := bytes.Split([]byte(content), []byte("\n"))
		require.Empty(k, parts[len(parts)-1], "%s ends with a line feed", file.PublicName)
		parts = parts[:len(parts)-1]
		require.NotEmpty(k, parts, "%s has no line", file.PublicName)
		require.EqualValues(k, len(parts), file.Count)
		for _, part := range parts {
			lines[file.Type] = append(lines[file.Type], string(part))
		}
	}
	return lines
}
