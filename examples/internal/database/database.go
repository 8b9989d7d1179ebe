// Package database opens the database of an example host. How pools are set
// here is worth copying.
package database

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// DB is one database with a pool of connections for each of its users, since an
// export holds a connection as long as it reads. Close it when nobody uses it.
type DB struct {
	// Resources is for reading and loading records.
	Resources *gorm.DB
	// Jobs is for the job store.
	Jobs *gorm.DB

	pools []*sql.DB
}

// OpenSQLite opens the database in a file, which is made if it is missing.
func OpenSQLite(file string) (*DB, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	// With the write-ahead log, readers and the writer do not wait for each other.
	// It needs no sync at each commit to survive a crash of the process. Writers
	// wait for one another: for that they must say at the start of a transaction
	// that they will write (immediate), and must be given time.
	query := url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_busy_timeout": {"10000"},
		"_txlock":       {"immediate"},
	}
	dsn := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
	// SQLite has one writer at a time. More connections for jobs would only make
	// them wait inside the database instead of in front of it.
	return open(sqlite.Open(dsn), 1)
}

// OpenPostgres opens the PostgreSQL database that a DSN names.
func OpenPostgres(dsn string) (*DB, error) {
	return open(postgres.Open(dsn), runtime.GOMAXPROCS(0))
}

func open(dialector gorm.Dialector, jobConns int) (*DB, error) {
	db := &DB{}
	var err error
	if db.Resources, err = db.pool(dialector, 4+2*runtime.GOMAXPROCS(0)); err == nil {
		db.Jobs, err = db.pool(dialector, jobConns)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.Close())
	}
	return db, nil
}

func (db *DB) pool(dialector gorm.Dialector, conns int) (*gorm.DB, error) {
	// gorm's logger prints statements with their arguments, which name patients.
	handle, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	pool, err := handle.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db.pools = append(db.pools, pool)
	return handle, nil
}

// Close closes all connections.
func (db *DB) Close() error {
	var faults []error
	for _, pool := range db.pools {
		faults = append(faults, pool.Close())
	}
	return errors.Join(faults...)
}
