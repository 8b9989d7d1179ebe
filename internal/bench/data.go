package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport/internal/synthetic"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

const (
	// A host's settings.
	measured = "?_journal_mode=WAL&_busy_timeout=5000&_synchronous=NORMAL"
	// An interrupted load is thrown away.
	loading = "?_journal_mode=OFF&_synchronous=OFF&_locking_mode=EXCLUSIVE&_cache_size=-262144"
)

func openSQLite(path, settings string) (*gorm.DB, error) {
	return gorm.Open(sqlite.Open(path+settings), &gorm.Config{Logger: logger.Discard})
}

// closeDatabase is to be deferred; an error in err is kept.
func closeDatabase(db *gorm.DB, err *error) {
	pool, errPool := db.DB()
	if errPool == nil {
		errPool = pool.Close()
	}
	*err = errors.Join(*err, errPool)
}

// realistic returns a database of so many resources of about 1.4 kB.
func (b *bench) realistic(ctx context.Context, resources int) (path string, err error) {
	return b.database(ctx, fmt.Sprintf("resources-%d.db", resources), func(db *gorm.DB) error {
		return load(ctx, db, generate(resources))
	})
}

// database returns the path of a database in the folder of the bench, which fill
// makes unless an earlier run has.
func (b *bench) database(ctx context.Context, name string, fill func(*gorm.DB) error) (path string, err error) {
	path = filepath.Join(b.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	unfinished := path + ".loading"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	began := time.Now()
	if err := makeDatabase(ctx, unfinished, fill); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "made %s in %v\n", name, time.Since(began).Round(time.Second))
	return path, os.Rename(unfinished, path)
}

func makeDatabase(ctx context.Context, path string, fill func(*gorm.DB) error) (err error) {
	db, err := openSQLite(path, loading)
	if err != nil {
		return err
	}
	defer closeDatabase(db, &err)
	pool, err := db.DB()
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1) // locked for itself
	if err := fill(db); err != nil {
		return err
	}
	return db.WithContext(ctx).Exec("PRAGMA journal_mode=WAL").Error
}

// load fills the tables of a [gormsource.Repository], in the order of its Load.
func load(ctx context.Context, db *gorm.DB, ndjson io.Reader) error {
	repository, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	if err != nil {
		return err
	}
	if err := repository.Migrate(ctx); err != nil {
		return err
	}
	_, err = repository.Load(ctx, "", ndjson, gormsource.LoadOptions{})
	return err
}

// generate makes up exactly so many resources.
func generate(resources int) io.Reader {
	return stream(func(write func([]byte) bool) {
		left := resources
		for resource := range synthetic.Resources(resources) {
			if left--; !write(append(bytes.Clone(resource), '\n')) || left == 0 {
				return
			}
		}
	})
}

// stream turns a function that writes into a reader. write returns false when
// nobody reads any more.
func stream(fn func(write func([]byte) bool)) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		fn(func(p []byte) bool {
			_, err := writer.Write(p)
			return err == nil
		})
		_ = writer.Close() // never fails
	}()
	return reader
}
