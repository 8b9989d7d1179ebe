package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func TestDrainingCutsOffARequestThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exporter, err := bulkexport.New(bulkexport.Config{
			Source: sourceOf(t, 1), Store: memstore.New(), Sink: memsink.New(),
		})
		require.NoError(t, err)
		require.NoError(t, exporter.Start(t.Context()))
		client, conn := net.Pipe()
		defer client.Close()
		started := make(chan struct{})
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(started)
			<-r.Context().Done()
		})
		ctx, signal := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- serve(ctx, listenFor(conn), handler, exporter) }()

		_, err = io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		<-started
		began := time.Now()
		signal()
		require.NoError(t, <-ended)
		require.Equal(t, drainTime, time.Since(began).Truncate(time.Second))
	})
}

// pipeListener accepts the connections in it.
type pipeListener chan net.Conn

func listenFor(conn net.Conn) pipeListener {
	l := make(pipeListener, 1)
	l <- conn
	return l
}

func (l pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-l; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (l pipeListener) Close() error {
	close(l)
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
