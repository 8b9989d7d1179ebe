package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// drainTime bounds what is waited for after a signal: requests in progress and
// workers that put their work down. What was interrupted goes on at the next start.
const drainTime = 10 * time.Second

// serve answers requests until ctx ends, and then drains.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, exporter *bulkexport.Exporter) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    320 << 10, // a kick-off has at most 256 KiB of query
		// No WriteTimeout: a download takes as long as the client needs. And no
		// ReadTimeout, which would cancel the context of a request that is being
		// answered; the bodies of kick-offs have a bound of their own.
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, drain(ctx, server, exporter))
	case <-ctx.Done():
		return drain(ctx, server, exporter)
	}
}

// drain closes the listener, then ends requests and workers side by side: a slow
// download takes no time from the workers.
func drain(ctx context.Context, server *http.Server, exporter *bulkexport.Exporter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var workers sync.WaitGroup
	var stopErr error
	workers.Go(func() { stopErr = exporter.Stop(ctx) })
	shutdownErr := server.Shutdown(ctx)
	workers.Wait()
	if errors.Is(shutdownErr, context.DeadlineExceeded) {
		// A download that still runs is cut off. Its client resumes it with a range.
		shutdownErr = server.Close()
	}
	return errors.Join(shutdownErr, stopErr)
}
