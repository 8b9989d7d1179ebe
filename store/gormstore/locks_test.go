package gormstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// testPartsDoNotWait updates one part, another job and another part within the
// update of a part.
func testPartsDoNotWait(t *testing.T, open newDatabase) {
	t.Helper()
	store := openStore(t, openDB(t, open(t)))
	id := running(t, store, 2)
	ctx := t.Context()
	require.NoError(t, store.CreateJob(ctx, bulkexport.Job{ID: "another"}))
	_, err := store.UpdatePart(ctx, id, 0, func(bulkexport.Job, *bulkexport.Part) error {
		_, partErr := store.UpdatePart(ctx, id, 1, func(bulkexport.Job, *bulkexport.Part) error { return nil })
		_, jobErr := store.UpdateJob(ctx, "another", func(*bulkexport.Job) error { return nil })
		return errors.Join(partErr, jobErr)
	})
	require.NoError(t, err)
}

// testReadsDoNotWait polls the status while somebody writes.
func testReadsDoNotWait(t *testing.T, open newDatabase) {
	t.Helper()
	store := openStore(t, openDB(t, open(t)))
	id := running(t, store, 1)
	_, err := store.UpdateJob(t.Context(), id, func(*bulkexport.Job) error {
		_, jobErr := store.Job(t.Context(), id)
		_, partsErr := store.Parts(t.Context(), id)
		return errors.Join(jobErr, partsErr)
	})
	require.NoError(t, err)
}

// testCountTogether has two processes count in a job and in its part. It is for
// connections whose isolation level, if the store used it, would abort
// transactions instead of letting them wait.
func testCountTogether(t *testing.T, open newDatabase) {
	t.Helper()
	const rounds = 20
	database := open(t)
	stores := []*gormstore.Store{openStore(t, openDB(t, database)), openStore(t, openDB(t, database))}
	id := running(t, stores[0], 1)
	var all sync.WaitGroup
	errs := make([]error, len(stores))
	for i, store := range stores {
		all.Go(func() {
			for range rounds {
				_, jobErr := store.UpdateJob(t.Context(), id, func(j *bulkexport.Job) error {
					j.Failures++
					return nil
				})
				_, partErr := store.UpdatePart(t.Context(), id, 0, func(_ bulkexport.Job, p *bulkexport.Part) error {
					p.Failures++
					return nil
				})
				errs[i] = errors.Join(errs[i], jobErr, partErr)
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	job, err := stores[0].Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, rounds*len(stores), job.Failures)
	parts, err := stores[0].Parts(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, rounds*len(stores), parts[0].Failures)
}

// testConflicts has the database abort the first two updates of a job.
func testConflicts(t *testing.T, open newDatabase) {
	t.Helper()
	for code, wantCalls := range map[string]int{"40001": 3, "40P01": 3, "23514": 1} {
		db := openDB(t, open(t))
		store := openStore(t, db)
		id := running(t, store, 1)
		abortTwice(t, db, code, "BEFORE UPDATE ON bulkexport_jobs")
		calls := 0
		job, err := store.UpdateJob(t.Context(), id, func(j *bulkexport.Job) error {
			calls++
			j.Failures++
			return nil
		})
		require.Equal(t, wantCalls, calls, code)
		if wantCalls == 1 {
			require.ErrorContains(t, err, "gormstore: update job: ")
			require.ErrorContains(t, err, code)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, job.Failures)
	}
}

// TestUpdateLocksFile looks whether the lock is taken before the function of an
// update is called, and not only when its result is written.
func TestUpdateLocksFile(t *testing.T) {
	t.Parallel()
	database := sqliteFile(t, "_journal_mode=WAL&_busy_timeout=0")
	store := openStore(t, openDB(t, database))
	id := running(t, store, 1)
	write := func() error {
		return openDB(t, database).Exec("UPDATE bulkexport_jobs SET tenant = tenant").Error
	}
	require.NoError(t, write())
	_, err := store.UpdateJob(t.Context(), id, func(*bulkexport.Job) error {
		require.ErrorContains(t, write(), "locked")
		return nil
	})
	require.NoError(t, err)
	_, err = store.UpdatePart(t.Context(), id, 0, func(bulkexport.Job, *bulkexport.Part) error {
		require.ErrorContains(t, write(), "locked")
		return nil
	})
	require.NoError(t, err)
}

// TestLockedFile meets a writer that does not let go, in a file that was opened
// so that SQLite does not wait by itself.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	database := sqliteFile(t, "_journal_mode=WAL&_busy_timeout=0")
	store := openStore(t, openDB(t, database))
	id := running(t, store, 1)
	update := func(ctx context.Context) error {
		_, err := store.UpdateJob(ctx, id, func(*bulkexport.Job) error { return nil })
		return err
	}

	other := openDB(t, database).Begin()
	require.NoError(t, other.Exec("UPDATE bulkexport_jobs SET tenant = tenant").Error)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := update(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "gormstore: update job: ")

	waiting := make(chan error)
	go func() { waiting <- update(t.Context()) }()
	require.NoError(t, other.Rollback().Error)
	require.NoError(t, <-waiting)
}

// lockedError says what SQLite says when another attempt helps.
type lockedError struct{}

func (lockedError) Error() string { return "database is locked" }

func (lockedError) SQLState() string { return "40001" }

func testRefusalIsNotAConflict(t *testing.T, open newDatabase) {
	t.Helper()
	store := openStore(t, openDB(t, open(t)))
	id := running(t, store, 1)
	calls := 0
	_, err := store.UpdateJob(t.Context(), id, func(*bulkexport.Job) error {
		calls++
		return lockedError{}
	})
	require.Equal(t, lockedError{}, err)
	_, err = store.UpdatePart(t.Context(), id, 0, func(bulkexport.Job, *bulkexport.Part) error {
		calls++
		return lockedError{}
	})
	require.Equal(t, lockedError{}, err)
	require.Equal(t, 2, calls)
}

// abortTwice has PostgreSQL abort the first two statements of a kind with an error code.
func abortTwice(t *testing.T, db *gorm.DB, code, when string) {
	t.Helper()
	for _, statement := range []string{
		`CREATE SEQUENCE attempts`,
		`CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('attempts') < 3 THEN
				RAISE EXCEPTION 'conflict' USING ERRCODE = '` + code + `';
			END IF;
			RETURN NEW;
		END $$`,
		`CREATE TRIGGER conflict ` + when + ` FOR EACH ROW EXECUTE FUNCTION conflict()`,
	} {
		require.NoError(t, db.Exec(statement).Error)
	}
}
