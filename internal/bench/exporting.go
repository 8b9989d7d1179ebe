package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// exporting is an exporter with the settings that a host has that sets none.
type exporting struct {
	*bulkexport.Exporter
	files     string
	ended     chan struct{} // has a value once a job has ended
	databases []*gorm.DB    // to be closed, as a host would
}

// stop ends the exporter, and closes what it has used.
func (x *exporting) stop(ctx context.Context) error {
	err := x.Stop(ctx)
	for _, db := range x.databases {
		closeDatabase(db, &err)
	}
	return err
}

// newExporting keeps jobs beside the resources on PostgreSQL, and otherwise in a
// SQLite database of their own.
func newExporting(ctx context.Context, t task) (*exporting, error) {
	x := &exporting{files: filepath.Join(t.Folder, "files"), ended: make(chan struct{}, 1)}
	from, err := x.open(ctx, t.Source)
	if err != nil {
		return nil, err
	}
	store, err := x.openStore(ctx, t)
	if err != nil {
		return nil, err
	}
	sink, err := filesink.New(x.files)
	if err != nil {
		return nil, err
	}
	cfg := bulkexport.Config{
		Source: from, Store: store, Sink: sink, Logger: slog.New(slog.DiscardHandler),
		Observer: bulkexport.Observer{JobEnded: x.jobEnded},
	}
	if t.Gzip {
		cfg.GzipLevel = gzip.BestSpeed
	}
	if x.Exporter, err = bulkexport.New(cfg); err != nil {
		return nil, err
	}
	return x, x.Start(ctx)
}

// openStore returns a store without jobs: those of an earlier run that broke off
// would go on.
func (x *exporting) openStore(ctx context.Context, t task) (*gormstore.Store, error) {
	var db *gorm.DB
	if len(x.databases) > 0 && x.databases[0].Name() == "postgres" {
		db = x.databases[0]
	} else {
		var err error
		if db, err = openSQLite(filepath.Join(t.Folder, "jobs.db"), measured); err != nil {
			return nil, err
		}
		x.databases = append(x.databases, db)
	}
	store, err := gormstore.New(db)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	for _, table := range []string{"bulkexport_parts", "bulkexport_jobs"} {
		if err := db.WithContext(ctx).Exec("DELETE FROM " + table).Error; err != nil {
			return nil, err
		}
	}
	return store, nil
}

func (x *exporting) open(ctx context.Context, s source) (bulkexport.ResourceSource, error) {
	if s.Kind == "memory" {
		from := memsource.New(memsource.Config{})
		_, err := from.Load(ctx, "", generate(s.Resources))
		return from, err
	}
	db, err := s.openDatabase()
	if err != nil {
		return nil, err
	}
	x.databases = append(x.databases, db)
	switch s.Kind {
	case "tables":
		return gormsource.NewTables(ctx, db, gormsource.TablesConfig{Tables: []gormsource.Table{hostTable()}})
	case "repository":
		return gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	}
	return nil, fmt.Errorf("unknown source %q", s.Kind)
}

func (s source) openDatabase() (*gorm.DB, error) {
	if strings.HasPrefix(s.Database, "postgres:") {
		return openPostgres(s.Database)
	}
	return openSQLite(s.Database, measured)
}

func openPostgres(url string) (*gorm.DB, error) {
	return gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
}

// jobEnded does not keep the worker: nobody may wait.
func (x *exporting) jobEnded(context.Context, bulkexport.Job) {
	select {
	case x.ended <- struct{}{}:
	default:
	}
}

// export measures from the kick-off until the manifest is there.
func (x *exporting) export(ctx context.Context, request bulkexport.ExportRequest) (outcome, error) {
	if request.Level == "" {
		request.Level = bulkexport.LevelSystem
	}
	before, watch := mallocs(), newStopwatch()
	job, err := x.KickOff(ctx, bulkexport.Access{}, request)
	if err != nil {
		return outcome{}, err
	}
	select {
	case <-x.ended:
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	status, err := x.Status(ctx, bulkexport.Access{}, job.ID)
	if err != nil {
		return outcome{}, err
	}
	out := outcome{Mallocs: mallocs() - before, Files: len(status.Files)}
	out.took(watch)
	if status.Job.State != bulkexport.JobCompleted {
		return outcome{}, errors.New("the export has failed: " + status.Job.FailureReason)
	}
	for _, file := range status.Files {
		out.Resources += file.Count
		out.Bytes += file.Size
	}
	return out, nil
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}
