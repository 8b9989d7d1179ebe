//go:build unix

package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport/internal/bulkclient"
)

const (
	// Each client polls so often, which is far more than Retry-After says.
	pollInterval    = 250 * time.Millisecond
	kickOffInterval = 200 * time.Millisecond
	// idleTime is how long the same is measured while nothing else goes on.
	idleTime = 15 * time.Second
	smallAsk = "?_type=Organization"
)

// latency is the mode latency: how long kick-offs and polls take, beside a large
// export and without one.
func latency(ctx context.Context, r *rig) error {
	if err := r.startNodes(ctx, r.nodes, r.workers, r.partSize(), nil); err != nil {
		return err
	}
	at := r.any(r.random(1))
	small, err := r.client.KickOff(ctx, at(), smallAsk)
	if err != nil {
		return err
	}
	idle, end := context.WithTimeout(ctx, idleTime)
	defer end()
	r.load(idle, small, "idle")

	job, err := r.kickOff(ctx, at)
	if err != nil {
		return err
	}
	busy, end := context.WithCancel(ctx)
	defer end()
	var loading sync.WaitGroup
	loading.Go(func() { r.load(busy, job, "beside an export") })
	began := time.Now()
	_, err = r.await(ctx, job, at)
	r.report("the large export", "%d resources in %.1f s", r.lines(), time.Since(began).Seconds())
	end()
	loading.Wait()
	return errors.Join(err, r.remove(ctx, job, at), r.remove(ctx, small, at))
}

// load polls a job from many clients, and kicks off small exports, until ctx ends.
func (r *rig) load(ctx context.Context, job, when string) {
	var clients sync.WaitGroup
	for i := range r.pollers {
		at := r.any(r.random(uint64(3000 + i)))
		clients.Go(func() {
			for pause(ctx, about(r.random(uint64(i)), pollInterval)) {
				r.request(ctx, "status, "+when+" (ms)", func() error {
					_, err := r.client.Do(ctx, http.MethodGet, at()+job)
					return err
				})
			}
		})
	}
	at := r.any(r.random(4000))
	for pause(ctx, kickOffInterval) {
		var small string
		r.request(ctx, "kick-off, "+when+" (ms)", func() (err error) {
			small, err = r.client.KickOff(ctx, at(), smallAsk)
			return err
		})
		if small != "" {
			clients.Go(func() {
				if err := r.remove(context.WithoutCancel(ctx), small, at); err != nil {
					r.violate("%v", err)
				}
			})
		}
	}
	clients.Wait()
}

// request measures one.
func (r *rig) request(ctx context.Context, name string, ask func() error) {
	began := time.Now()
	err := ask()
	var refused *bulkclient.StatusError
	switch {
	case errors.As(err, &refused):
		r.violate("%s: %v", name, err)
	case err == nil:
		r.sample(name, time.Since(began).Seconds()*1000)
	case ctx.Err() == nil:
		r.violate("%s: no answer: %v", name, err)
	}
}
