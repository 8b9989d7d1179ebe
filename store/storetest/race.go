package storetest

import (
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

const (
	// writers work at once on a store, updates is how often each of them writes.
	writers = 8
	updates = 15
	// patience is how long an update's function waits for a rival that must not
	// get in between. It decides only how surely a wrong store is caught.
	patience = 50 * time.Millisecond
)

// together runs fn(0) to fn(n-1) at once and waits until all have returned.
func together(n int, fn func(i int)) {
	var running sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		running.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	running.Wait()
}

// either returns one of two stores, in turn.
func either(i int, s, rival bulkexport.JobStore) bulkexport.JobStore {
	if i%2 == 0 {
		return s
	}
	return rival
}

// intruder is a call that is made in the middle of another.
type intruder struct {
	call func()
	once sync.Once
	done chan struct{}
}

func newIntruder(call func()) *intruder {
	return &intruder{call: call, done: make(chan struct{})}
}

// intrude starts the call, the first time, and gives it a chance to finish. It
// reports whether it has: a store may keep it waiting, or may let it through
// and call the function of the update again.
func (i *intruder) intrude() bool {
	i.once.Do(func() {
		go func() {
			defer close(i.done)
			i.call()
		}()
	})
	select {
	case <-i.done:
		return true
	case <-time.After(patience):
		return false
	}
}

// wait returns when the call, if it was started, has returned.
func (i *intruder) wait() {
	i.once.Do(func() { close(i.done) })
	<-i.done
}
