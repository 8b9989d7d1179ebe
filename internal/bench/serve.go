package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bulkexport/bulkexport/httpadapter"
)

// Paths of the server of a child beside those of the exports.
const (
	exportPath = "/fhir/$export"
	emptyPath  = "/empty" // answers with nothing
	barePath   = "/bare/" // followed by the path of an output file, served by net/http alone
)

// serve answers requests until the input ends. Its address is the first line of
// the output.
func (x *exporting) serve(ctx context.Context, input io.Reader, output io.Writer) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	handler, err := httpadapter.New(x.Exporter, httpadapter.Config{
		BaseURL: base, Open: true, PollLimit: -1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	for _, pattern := range handler.Patterns() {
		mux.Handle(pattern, handler)
	}
	mux.HandleFunc(emptyPath, func(http.ResponseWriter, *http.Request) {})
	mux.Handle(barePath, http.StripPrefix(barePath, bare(x.files)))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if err := json.NewEncoder(output).Encode(base); err != nil {
		return errors.Join(err, server.Close())
	}
	_, err = io.Copy(io.Discard, input)
	err = errors.Join(err, server.Close())
	if errServe := <-ended; !errors.Is(errServe, http.ErrServerClosed) {
		err = errors.Join(err, errServe)
	}
	return err
}

func bare(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer file.Close()
		w.Header().Set("Content-Type", "application/fhir+ndjson")
		http.ServeContent(w, r, "", time.Time{}, file)
	})
}

// serving is a child that serves, with a client.
type serving struct {
	*process
	*client
}

func (r *round) serve(ctx context.Context, t task) (*serving, error) {
	t.Do = "serve"
	p, err := r.start(ctx, t)
	if err != nil {
		return nil, err
	}
	var base string
	line, err := p.output.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &base)
	}
	if err != nil {
		_, errWait := p.wait()
		return nil, errors.Join(errWait, err, p.clear())
	}
	return &serving{process: p, client: newClient(base)}, nil
}

// stop ends the process and removes what it has written.
func (s *serving) stop() error {
	s.http.CloseIdleConnections()
	_, err := s.wait()
	return errors.Join(err, s.clear())
}
