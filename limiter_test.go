package bulkexport_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// take expects an answer.
func take(t require.TestingT, l bulkexport.Limiter, key string, cost, burst time.Duration) time.Duration {
	wait, err := l.Take(context.Background(), key, cost, burst)
	require.NoError(t, err)
	return wait
}

func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the clock is that of synctest
}

func TestLimiterLetsBurstThroughAndThenOneEachCost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const cost, burst = time.Minute, 3 * time.Minute
		l := bulkexport.NewLimiter()
		for range 3 {
			require.Zero(t, take(t, l, "a", cost, burst))
		}
		for range 10 {
			require.Equal(t, cost, take(t, l, "a", cost, burst), "what is refused costs nothing")
		}
		require.Zero(t, take(t, l, "b", cost, burst), "another key")
		elapse(cost - time.Millisecond)
		require.Equal(t, time.Millisecond, take(t, l, "a", cost, burst))
		elapse(time.Millisecond)
		require.Zero(t, take(t, l, "a", cost, burst))
		require.Equal(t, cost, take(t, l, "a", cost, burst))
		elapse(time.Hour)
		for range 3 {
			require.Zero(t, take(t, l, "a", cost, burst), "no more than burst is saved up")
		}
		require.Equal(t, cost, take(t, l, "a", cost, burst))
	})
}

func TestLimiterRoundsWaitUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := bulkexport.NewLimiter()
		require.Zero(t, take(t, l, "a", time.Second, time.Second))
		elapse(100 * time.Microsecond)
		wait := take(t, l, "a", time.Second, time.Second)
		require.Equal(t, time.Second, wait)
		elapse(wait)
		require.Zero(t, take(t, l, "a", time.Second, time.Second))
	})
}

// taking is a call of a limiter, some time after the one before.
type taking struct {
	passed, cost, burst time.Duration
	key                 string
}

func takings() *rapid.Generator[[]taking] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) taking {
		milliseconds := func(least, most int, name string) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Millisecond
		}
		next := taking{passed: milliseconds(0, 30, "passed"), cost: milliseconds(1, 20, "cost")}
		next.burst = next.cost + milliseconds(0, 50, "more")
		next.key = rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "key")
		return next
	}), 1, 50)
}

// TestLimiterIsAsItsModel compares random calls with what is owed by the contract.
func TestLimiterIsAsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		calls := takings().Draw(rt, "calls")
		var waits []time.Duration
		synctest.Test(t, func(t *testing.T) {
			l := bulkexport.NewLimiter()
			for _, c := range calls {
				elapse(c.passed)
				waits = append(waits, take(t, l, c.key, c.cost, c.burst))
			}
		})
		owed := map[string]time.Duration{}
		for i, c := range calls {
			for key := range owed {
				owed[key] = max(0, owed[key]-c.passed)
			}
			want := max(0, owed[c.key]+c.cost-c.burst)
			if want == 0 {
				owed[c.key] += c.cost
			}
			require.Equal(rt, want, waits[i], "call %d", i)
		}
	})
}

func TestLimiterCountsCallsAtOnce(t *testing.T) {
	t.Parallel()
	for _, allowed := range []int64{1, 7} {
		l := bulkexport.NewLimiter()
		var won atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				wait, err := l.Take(t.Context(), "a", time.Hour, time.Duration(allowed)*time.Hour)
				if err == nil && wait == 0 {
					won.Add(1)
				}
			})
		}
		all.Wait()
		require.Equal(t, allowed, won.Load())
	}
}

func TestLimiterTakesBoundedMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 100_000
		l := bulkexport.NewLimiter()
		for i := range most {
			require.Zero(t, take(t, l, strconv.Itoa(i), time.Minute, time.Minute))
		}
		_, err := l.Take(t.Context(), "new", time.Minute, time.Minute)
		require.ErrorIs(t, err, bulkexport.ErrLimiterFull)
		require.Equal(t, time.Minute, take(t, l, "7", time.Minute, time.Minute), "what is counted goes on")
		elapse(time.Minute)
		require.Zero(t, take(t, l, "new", time.Minute, time.Minute), "what owes nothing makes room")
	})
}

func TestLimiterHeedsItsContext(t *testing.T) {
	t.Parallel()
	l := bulkexport.NewLimiter()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Take(ctx, "a", time.Hour, time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, take(t, l, "a", time.Hour, time.Hour), "nothing was taken")
}

// countingStore is a store that also limits.
type countingStore struct {
	bulkexport.JobStore
	bulkexport.Limiter
}

// hungLimiter answers when its context has ended.
type hungLimiter struct{}

func (hungLimiter) Take(ctx context.Context, _ string, _, _ time.Duration) (time.Duration, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func limiterOf(t *testing.T, store bulkexport.JobStore) bulkexport.Limiter {
	t.Helper()
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: memsource.New(memsource.Config{}), Store: store, Sink: memsink.New(),
	})
	require.NoError(t, err)
	return exporter.Limiter()
}

// plainStore is a store and nothing else.
type plainStore struct{ bulkexport.JobStore }

func TestLimiterIsThatOfTheStore(t *testing.T) {
	t.Parallel()
	shared := countingStore{memstore.New(), bulkexport.NewLimiter()}
	require.Zero(t, take(t, limiterOf(t, shared), "a", time.Hour, time.Hour))
	require.NotZero(t, take(t, limiterOf(t, shared), "a", time.Hour, time.Hour))

	plain := plainStore{memstore.New()}
	require.Zero(t, take(t, limiterOf(t, plain), "a", time.Hour, time.Hour))
	require.Zero(t, take(t, limiterOf(t, plain), "a", time.Hour, time.Hour), "each process for itself")
}

func TestLimiterOfAStoreEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := limiterOf(t, countingStore{memstore.New(), hungLimiter{}})
		_, err := hung.Take(t.Context(), "a", time.Hour, time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
