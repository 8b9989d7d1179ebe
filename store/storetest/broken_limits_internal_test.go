package storetest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

var _ bulkexport.Limiter = (*faulty)(nil)

func (s *faulty) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	return s.take(ctx, key, cost, burst)
}

const (
	limitsBurst    = "limits/burst goes through, and then nothing"
	limitsRefused  = "limits/what is refused costs nothing"
	limitsRandom   = "limits/random calls are answered as by a model"
	limitsKeys     = "limits/keys are compared byte for byte"
	limitsWait     = "limits/who waits as long as told succeeds, and nobody before"
	limitsOnce     = "limits/once is once, for as long as it costs"
	limitsRaces    = "atomicity/of many takes at once as many succeed as may"
	limitsRaceOnce = "atomicity/of many takes at once of what happens once, one succeeds"
)

// wrongLimiters let too much through, or too little.
func wrongLimiters() []brokenStore {
	return []brokenStore{
		{"nothing is limited", breaking(func(s *faulty) {
			s.take = func(context.Context, string, time.Duration, time.Duration) (time.Duration, error) { return 0, nil }
		}), []string{limitsBurst, limitsRefused, limitsRandom, limitsKeys, limitsWait, limitsOnce, limitsRaces}},
		{"what is refused costs all the same", breaking(func(s *faulty) {
			s.take = func(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
				wait, err := s.Store.Take(ctx, key, cost, burst)
				if wait > 0 {
					_, err = s.Store.Take(ctx, key, cost, bulkexport.MaxBurst)
				}
				return wait, err
			}
		}), []string{limitsRefused, limitsRandom, limitsWait}},
		{"the wait is what is owed", onWait(func(_, burst time.Duration) time.Duration { return burst }),
			[]string{limitsBurst, limitsRefused, limitsRandom}},
		{"the wait is a guess", onWait(func(time.Duration, time.Duration) time.Duration { return time.Millisecond }),
			[]string{limitsBurst, limitsRandom, limitsWait}},
		{"burst is a little less", onTake(func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration) {
			return key, cost, burst - time.Second
		}), []string{limitsBurst, limitsOnce, limitsRaceOnce}},
		{"burst has a ceiling", onTake(func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration) {
			return key, cost, min(burst, 24*time.Hour)
		}), []string{limitsBurst}},
		{"whole seconds are counted", breaking(inSeconds), []string{limitsWait}},
		{"what is owed stays owed", breaking(neverPaid), []string{limitsOnce}},
		{"keys are cut", onTake(func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration) {
			return key[:min(len(key), 255)], cost, burst
		}), []string{limitsKeys}},
		{"keys are words", onTake(func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration) {
			return strings.ToLower(strings.TrimSpace(key)), cost, burst
		}), []string{limitsKeys, limitsRandom}},
		{"keys end with NUL", onTake(func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration) {
			before, _, _ := strings.Cut(key, "\x00")
			return before, cost, burst
		}), []string{limitsKeys}},
		{"keys are made UTF-8", onTake(func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration) {
			return strings.ToValidUTF8(key, "?"), cost, burst
		}), []string{limitsKeys}},
		{"it is counted for ever", breaking(func(s *faulty) {
			s.take = func(_ context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
				return s.Store.Take(context.Background(), key, cost, burst)
			}
		}), []string{"limits/an ended context ends the call"}},
		{"look, then count", breaking(lookThenCount), []string{limitsRaces, limitsRaceOnce}},
		{"each process counts for itself", breakingPair(func(s *faulty) {
			s.take = bulkexport.NewLimiter().Take
		}), []string{
			"persistence/another store counts the same",
			"sharing/of many takes at once as many succeed as may",
			"sharing/of many takes at once of what happens once, one succeeds",
		}},
	}
}

// onWait tells other waits.
func onWait(told func(cost, burst time.Duration) time.Duration) func() stores {
	return breaking(func(s *faulty) {
		s.take = func(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
			wait, err := s.Store.Take(ctx, key, cost, burst)
			if wait > 0 {
				wait = told(cost, burst)
			}
			return wait, err
		}
	})
}

// onTake asks for something else.
func onTake(
	change func(key string, cost, burst time.Duration) (string, time.Duration, time.Duration),
) func() stores {
	return breaking(func(s *faulty) {
		s.take = func(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
			key, cost, burst = change(key, cost, burst)
			return s.Store.Take(ctx, key, cost, burst)
		}
	})
}

// inSeconds rounds what things cost, but not what it says.
func inSeconds(s *faulty) {
	s.take = func(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
		up := func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
		wait, err := s.Store.Take(ctx, key, up(cost), up(burst))
		return min(wait, cost), err
	}
}

// neverPaid adds up, as one does who forgets that time passes.
func neverPaid(s *faulty) {
	var mu sync.Mutex
	owed := map[string]time.Duration{}
	s.take = func(_ context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		if wait := owed[key] + cost - burst; wait > 0 {
			return wait, nil
		}
		owed[key] += cost
		return 0, nil
	}
}

// lookThenCount decides by what it has read a moment ago.
func lookThenCount(s *faulty) {
	var mu sync.Mutex
	freeAt := map[string]time.Time{}
	s.take = func(_ context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
		mu.Lock()
		now, then := time.Now(), freeAt[key]
		mu.Unlock()
		if then.Before(now) {
			then = now
		}
		if wait := then.Add(cost).Sub(now) - burst; wait > 0 {
			return wait, nil
		}
		linger()
		mu.Lock()
		defer mu.Unlock()
		freeAt[key] = then.Add(cost)
		return 0, nil
	}
}
