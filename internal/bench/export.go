package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/synthetic"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

func openDatabase(path string) (*gorm.DB, error) {
	return gorm.Open(sqlite.Open(path + "?_journal_mode=WAL&_busy_timeout=5000&_synchronous=NORMAL"))
}

func openSource(path string) (*gormsource.Repository, error) {
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	return gormsource.NewRepository(db, gormsource.RepositoryConfig{})
}

// prepare fills a database unless an earlier run has.
func prepare(ctx context.Context, path string, resources int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	unfinished := path + ".loading"
	if err := errors.Join(os.RemoveAll(unfinished), os.RemoveAll(unfinished+"-wal")); err != nil {
		return err
	}
	db, err := openDatabase(unfinished)
	if err != nil {
		return err
	}
	repository, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	if err != nil {
		return err
	}
	if err := repository.Migrate(ctx); err != nil {
		return err
	}
	began := time.Now()
	n, err := repository.Load(ctx, "", generate(resources), gormsource.LoadOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "loaded %d resources, %.0f per second\n", n, float64(n)/time.Since(began).Seconds())
	pool, err := db.DB()
	if err != nil {
		return err
	}
	if err := pool.Close(); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// generate makes up exactly so many resources.
func generate(resources int) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		left := resources
		for resource := range synthetic.Resources(resources) {
			if _, err := writer.Write(append(bytes.Clone(resource), '\n')); err != nil {
				return
			}
			if left--; left == 0 {
				break
			}
		}
		_ = writer.Close() // never fails
	}()
	return reader
}

// child is the process that is measured.
func child(ctx context.Context, o options) error {
	source, err := openSource(filepath.Join(o.dir, fmt.Sprintf("resources-%d.db", o.sizes[0])))
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp(o.dir, "state-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	exporter, err := newExporter(ctx, source, state)
	if err != nil {
		return err
	}
	var out outcome
	if o.child == "export" {
		if out, err = export(ctx, exporter); err != nil {
			return err
		}
	}
	if err := exporter.Stop(ctx); err != nil {
		return err
	}
	if out.PeakKiB, err = peakMemory(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// peakMemory returns the largest resident size that this process has had, in KiB.
func peakMemory() (kib int64, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("peak memory is measured on Linux only: %w", err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &kib)
	return kib, err
}

func newExporter(ctx context.Context, source bulkexport.ResourceSource, dir string) (*bulkexport.Exporter, error) {
	db, err := openDatabase(filepath.Join(dir, "jobs.db"))
	if err != nil {
		return nil, err
	}
	store, err := gormstore.New(db)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	sink, err := filesink.New(filepath.Join(dir, "files"))
	if err != nil {
		return nil, err
	}
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: source, Store: store, Sink: sink, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return exporter, exporter.Start(ctx)
}

// export measures from the kick-off until the manifest is there.
func export(ctx context.Context, exporter *bulkexport.Exporter) (outcome, error) {
	began := time.Now()
	job, err := exporter.KickOff(ctx, bulkexport.Access{}, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
	if err != nil {
		return outcome{}, err
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		status, err := exporter.Status(ctx, bulkexport.Access{}, job.ID)
		switch {
		case err != nil:
			return outcome{}, err
		case status.Job.State == bulkexport.JobFailed:
			return outcome{}, errors.New(status.Job.FailureReason)
		case status.Job.State == bulkexport.JobCompleted:
			out := outcome{Seconds: time.Since(began).Seconds(), Files: len(status.Files)}
			for _, file := range status.Files {
				out.Resources += file.Count
				out.Bytes += file.Size
			}
			return out, nil
		}
	}
	return outcome{}, ctx.Err()
}
