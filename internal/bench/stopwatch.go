package main

import (
	"syscall"
	"time"
)

// stopwatch is a time that has begun.
type stopwatch struct {
	began time.Time
	cpu   time.Duration // of this process
}

func newStopwatch() stopwatch { return stopwatch{began: time.Now(), cpu: processorTime()} }

func (s stopwatch) seconds() float64 { return time.Since(s.began).Seconds() }

// took notes how long something took in this process.
func (o *outcome) took(s stopwatch) {
	o.Seconds, o.CPU = s.seconds(), (processorTime() - s.cpu).Seconds()
}

// processorTime returns the time that this process has used, in all threads; 0 if
// that cannot be told.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
