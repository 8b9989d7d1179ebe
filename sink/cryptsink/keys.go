package cryptsink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"
)

// KeySize is the length of a job's key in bytes.
const KeySize = 32

// Key is the secret of one job: random bytes. It shows itself neither in formatted
// texts nor in logs of slog.
type Key [KeySize]byte

const hidden = "[key]"

// Format implements [fmt.Formatter].
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements [slog.LogValuer].
func (Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// ErrKeyNotFound is what [Keys] return for a job that has no key: it never had one, or
// it was deleted.
var ErrKeyNotFound = errors.New("the job has no key")

// Keys keep one key for each job. Methods are safe for concurrent use, also by
// several processes. Errors do not hold key material; one that no repetition will cure
// wraps [bulkexport.ErrPermanent].
//
// Each file asks twice when it is written and once when it is opened. An
// implementation that remembers keys lets deleted exports be read for as long as it
// does.
type Keys interface {
	// CreateKey returns the key of the job, and makes one from a cryptographic source if
	// there is none. All callers get the same one until DeleteKey. When it has
	// returned, the key survives a crash as the job's files do.
	CreateKey(ctx context.Context, jobID string) (Key, error)

	// Key returns the key of the job. Absent is an error that wraps [ErrKeyNotFound].
	Key(ctx context.Context, jobID string) (Key, error)

	// DeleteKey destroys the key of the job, for ever when it has returned. Absent is no
	// error. A later CreateKey makes another one.
	DeleteKey(ctx context.Context, jobID string) error
}

// KeyInventory is implemented by [Keys] that can say which there are. With it a
// key that belongs to no export is found and removed by [bulkexport.Exporter.CleanUp].
type KeyInventory interface {
	// Jobs streams the ids of the jobs whose keys were made before that time, each once, in
	// any order. The stream ends with the first error.
	Jobs(ctx context.Context, before time.Time) iter.Seq2[string, error]
}

func newKey() (key Key) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}

var _ Keys = (*MemoryKeys)(nil)

// MemoryKeys are [Keys] in memory, for tests: with the process all exports end.
type MemoryKeys struct {
	mu   sync.Mutex
	keys map[string]Key
}

// NewMemoryKeys returns keys of no job.
func NewMemoryKeys() *MemoryKeys { return &MemoryKeys{keys: map[string]Key{}} }

// CreateKey implements [Keys].
func (m *MemoryKeys) CreateKey(ctx context.Context, jobID string) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.keys[jobID]
	if !ok && ctx.Err() == nil {
		key = newKey()
		m.keys[jobID] = key
	}
	return key, ctx.Err()
}

// Key implements [Keys].
func (m *MemoryKeys) Key(ctx context.Context, jobID string) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.keys[jobID]
	if !ok {
		return Key{}, ErrKeyNotFound
	}
	return key, ctx.Err()
}

// DeleteKey implements [Keys].
func (m *MemoryKeys) DeleteKey(ctx context.Context, jobID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() == nil {
		delete(m.keys, jobID)
	}
	return ctx.Err()
}
