package gormsource_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/source/sourcetest"
)

// TestReplica has a primary and a hot standby.
func TestReplica(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	standby := cluster.Standby(t)
	//nolint:paralleltest // what is paused is the server, so one after the other
	for name, run := range map[string]func(t *testing.T, r *replicated){
		"kick-off waits":         testKickOffWaits,
		"behind":                 testBehind,
		"part waits elsewhere":   testPartWaitsElsewhere,
		"several at one address": testSeveralReplicas,
		"conflict with recovery": testRecoveryConflict,
	} {
		t.Run(name, func(t *testing.T) { run(t, newReplicated(t, cluster, standby)) })
	}
	t.Run("unpaused", func(t *testing.T) {
		for name, run := range map[string]func(t *testing.T, r *replicated){
			"repository/conformance": testReplicaRepositoryConformance,
			"repository/chain":       testReplicaRepositoryChain,
			"repository/populations": testReplicaPopulations,
			"tables/conformance":     testReplicaTablesConformance,
			"tables/chain":           testReplicaTablesChain,
			"repository/consumer":    testReplicaSlowConsumer,
			"documented":             testReplicaPage,
			"configuration":          testReplicaConfiguration,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, newReplicated(t, cluster, standby))
			})
		}
	})
}

// replicated is a database of its own, with a handle on either server.
type replicated struct {
	*pgtest.Standby
	dsn, standbyDSN  string
	primary, standby *gorm.DB
}

func newReplicated(t *testing.T, cluster *pgtest.Cluster, standby *pgtest.Standby) *replicated {
	t.Helper()
	// As on a server that keeps its data: what is committed is sent at once.
	dsn := withSetting(t, cluster.DSN(t), "synchronous_commit", "on")
	r := &replicated{Standby: standby, dsn: dsn, standbyDSN: standby.DSN(t, dsn)}
	r.primary, r.standby = open(t, postgres.Open(dsn)), open(t, postgres.Open(r.standbyDSN))
	return r
}

// repository returns one as another process would have it.
func (r *replicated) repository(t *testing.T, wait time.Duration) *gormsource.Repository {
	t.Helper()
	return r.repositoryOn(t, r.standby, wait)
}

func (r *replicated) repositoryOn(t *testing.T, replica *gorm.DB, wait time.Duration) *gormsource.Repository {
	t.Helper()
	repo, err := gormsource.NewRepository(r.primary, gormsource.RepositoryConfig{Replica: replica, ReplicaWait: wait})
	require.NoError(t, err)
	require.NoError(t, repo.Migrate(t.Context()))
	return repo
}

func (r *replicated) tables(t *testing.T, wait time.Duration, tables ...gormsource.Table) *gormsource.Tables {
	t.Helper()
	source, err := gormsource.NewTables(t.Context(), r.primary, gormsource.TablesConfig{
		Tables: tables, Lag: -1, Replica: r.standby, ReplicaWait: wait,
	})
	require.NoError(t, err)
	return source
}

// awaitWait returns when a source asks the standby where it is, which is paused. If the
// call is over instead it has not waited.
func (r *replicated) awaitWait(t *testing.T, over func() bool) {
	t.Helper()
	var now time.Time
	require.NoError(t, r.standby.Raw("SELECT clock_timestamp()").Row().Scan(&now))
	const query = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query_start > ?
		AND query IN ('SELECT stamp FROM bulkexport_clock', 'SELECT txid_snapshot_xmax(txid_current_snapshot()) - 1'))`
	for waits := false; !waits; {
		require.False(t, over())
		require.NoError(t, r.standby.Raw(query, now).Row().Scan(&waits))
	}
}

// testReplicaPopulations reads Groups and patients in all ways that there are.
func testReplicaPopulations(t *testing.T, r *replicated) {
	repo := newRepository(t, r.primary)
	_, err := repo.Load(t.Context(), "", bytes.NewReader(ward(100)), gormsource.LoadOptions{})
	require.NoError(t, err)
	for i := range 20 {
		require.NoError(t, repo.Delete(t.Context(), "", "Observation", fmt.Sprintf("%d-1", 5*i)))
	}
	onReplica := limitedReads(t, r.repository(t, 0), "")
	for name, onPrimary := range limitedReads(t, repo, "") {
		require.Equal(t, onPrimary(), onReplica[name](), name)
	}
}

// sameOnReplica are what only costs time here: the statements are those of other cases.
func sameOnReplica() map[sourcetest.Category]string {
	skip := map[sourcetest.Category]string{}
	for _, category := range []sourcetest.Category{
		sourcetest.Basics, sourcetest.Order, sourcetest.Bytes, sourcetest.Large, sourcetest.Tenants, sourcetest.Times,
		sourcetest.Groups, sourcetest.Patients, sourcetest.Tombstones, sourcetest.Release, sourcetest.Concurrency,
		sourcetest.Persistence,
	} {
		skip[category] = "is the same on a primary"
	}
	return skip
}

func testReplicaRepositoryConformance(t *testing.T, r *replicated) {
	repo := r.repository(t, 0)
	tables := []string{"bulkexport_resources", "bulkexport_compartment", "bulkexport_targets"}
	sourcetest.Run(t, sourcetest.Harness{Skip: sameOnReplica(), Open: func(t *testing.T) sourcetest.DataSet {
		empty(t, r.primary, tables...)
		return sourcetest.DataSet{
			Source: repo,
			Put: func(ctx context.Context, tenant string, resources ...[]byte) (time.Time, error) {
				return putOrLoad(ctx, r.primary, repo, tenant, resources)
			},
			Delete: repo.Delete,
			Block:  blocking(r.primary, append(tables, "bulkexport_clock")...),
			Reopen: func(t *testing.T) bulkexport.ResourceSource { return r.repository(t, 0) },
		}
	}})
}

func testReplicaTablesConformance(t *testing.T, r *replicated) {
	host := newHospital(t, r.primary)
	sourcetest.Run(t, sourcetest.Harness{Skip: sameOnReplica(), Open: func(t *testing.T) sourcetest.DataSet {
		empty(t, r.primary, "patients", "observations", "others")
		return sourcetest.DataSet{
			Source: r.tables(t, 0, hospitalTables()...),
			Put:    host.put,
			Delete: host.delete,
			Block:  blocking(r.primary, "patients", "observations", "others"),
			Reopen: func(t *testing.T) bulkexport.ResourceSource { return r.tables(t, 0, hospitalTables()...) },
		}
	}})
}

func testReplicaRepositoryChain(t *testing.T, r *replicated) {
	chainOfRepository(t, r.repository(t, 0), open(t, postgres.Open(r.dsn)))
}

func testReplicaTablesChain(t *testing.T, r *replicated) {
	host := newHospital(t, open(t, postgres.Open(r.dsn)))
	chainOfTables(t, host, r.tables(t, 0, hospitalTables()...))
}

// testKickOffWaits has replay stand still when a resource is written and an export of
// it begins.
func testKickOffWaits(t *testing.T, r *replicated) {
	repo := r.repository(t, 0)
	putPatients(t, repo, 1, 1)
	f := newFollower(t, repo)
	f.next()
	require.Len(t, f.has, 1)

	r.Pause(t)
	putPatients(t, repo, 1, 2)
	require.NoError(t, repo.Delete(t.Context(), "", "Patient", "0-1"))
	job := f.kickOff(f.since)
	r.awaitWait(t, func() bool { return len(f.ended) > 0 })
	status, err := f.exporter.Status(t.Context(), client, job.ID)
	require.NoError(t, err)
	require.Zero(t, status.Job.TransactionTime, "it is not settled before it can be read")
	r.Resume(t)
	f.apply(f.finish(job))
	require.Equal(t, map[string]string{"Patient/0-2": read(t, repo, query("Patient"))[0]}, f.has)
}

// testBehind has a replica that does not get on in time.
func testBehind(t *testing.T, r *replicated) {
	host := newHospital(t, r.primary)
	const millisecond = time.Millisecond
	for name, source := range map[string]interface {
		bulkexport.ResourceSource
		bulkexport.SourceClock
	}{
		"repository": r.repository(t, millisecond), "tables": r.tables(t, millisecond, hospitalTables()...),
	} {
		r.Resume(t)
		_, err := host.put(t.Context(), "", []byte(`{"resourceType":"Patient","id":"`+name+`"}`))
		require.NoError(t, err)
		at, err := source.TransactionTime(t.Context(), "")
		for ; err != nil; at, err = source.TransactionTime(t.Context(), "") { // as exporters do
			require.ErrorIs(t, err, gormsource.ErrReplicaBehind, name)
		}
		r.Pause(t)
		_, err = source.TransactionTime(t.Context(), "")
		require.ErrorIs(t, err, gormsource.ErrReplicaBehind)
		require.ErrorContains(t, err, "the last transaction that it has replayed was committed ")
		require.NotErrorIs(t, err, bulkexport.ErrPermanent)
		q := query("Patient")
		q.AsOf = at.Truncate(millisecond)
		read(t, source, q) // it was there before
	}
	r.Resume(t)
}

// testPartWaitsElsewhere reads in a process that has not named the moment.
func testPartWaitsElsewhere(t *testing.T, r *replicated) {
	type source interface {
		bulkexport.ResourceSource
		bulkexport.SourceCounter
	}
	host := newHospital(t, r.primary)
	repo := newRepository(t, r.primary)
	direct := newTables(t, r.primary, hospitalTables()...)
	r.CatchUp(t)
	sources := map[string]func(wait time.Duration) source{
		"repository": func(wait time.Duration) source { return r.repository(t, wait) },
		"tables":     func(wait time.Duration) source { return r.tables(t, wait, hospitalTables()...) },
	}
	put := map[string]func(resource string) error{
		"repository": func(resource string) error {
			_, err := repo.Put(t.Context(), "", []byte(resource))
			return err
		},
		"tables": func(resource string) error {
			_, err := host.put(t.Context(), "", []byte(resource))
			return err
		},
	}
	for name, clock := range map[string]bulkexport.SourceClock{"repository": repo, "tables": direct} {
		r.Pause(t)
		require.NoError(t, put[name](`{"resourceType":"Patient","id":"p"}`))
		require.NoError(t, put[name](`{"resourceType":"Basic","id":"b"}`))
		var err error
		q := query("Patient")
		q.AsOf, err = clock.TransactionTime(t.Context(), "")
		require.NoError(t, err)

		require.Contains(t, readTypes(t, sources[name](-1)), "Basic", "types have no moment: the primary names them")
		for _, err := range sources[name](time.Millisecond).Resources(t.Context(), q) {
			require.ErrorIs(t, err, gormsource.ErrReplicaBehind, "and nothing else comes")
		}
		_, err = sources[name](-1).Count(t.Context(), q)
		require.ErrorIs(t, err, gormsource.ErrReplicaBehind)

		patient := sources[name](0)
		found := make(chan int64, 1)
		go func() {
			n, err := patient.Count(t.Context(), q)
			if err != nil {
				t.Errorf("count: %v", err)
			}
			found <- n
		}()
		r.awaitWait(t, func() bool { return len(found) > 0 })
		r.Resume(t)
		require.Positive(t, <-found, name)
	}
}

// testSeveralReplicas has every statement come to another server: one of them is
// ahead and one stands still.
func testSeveralReplicas(t *testing.T, r *replicated) {
	repo := r.repository(t, 0)
	putPatients(t, repo, 150, 1)
	r.CatchUp(t)
	r.Pause(t)
	putPatients(t, repo, 150, 2)
	at, err := newRepository(t, r.primary).TransactionTime(t.Context(), "")
	require.NoError(t, err)
	q := query("Patient")
	q.AsOf = at

	servers := &inTurn{
		to: []driver.Connector{connectorTo(t, r.dsn), connectorTo(t, r.standbyDSN)}, turns: make(chan struct{}, 1000),
	}
	spread := sql.OpenDB(servers)
	source := r.repositoryOn(t, open(t, postgres.New(postgres.Config{Conn: spread})), 0)
	spread.SetMaxIdleConns(-1)
	done := make(chan []string, 1)
	go func() {
		var found []string
		for resource, err := range source.Resources(t.Context(), q) {
			if err != nil {
				t.Errorf("read: %v", err)
			}
			found = append(found, string(resource.JSON))
		}
		done <- found
	}()
	for range 10 { // by then it has met either more than once
		select {
		case <-servers.turns:
		case <-done:
			require.Fail(t, "it has not waited")
		}
	}
	r.Resume(t)
	require.Equal(t, read(t, newRepository(t, r.primary), q), <-done)
}

// inTurn connects to one after the other.
type inTurn struct {
	next  atomic.Int64
	to    []driver.Connector
	turns chan struct{}
}

func (c *inTurn) Connect(ctx context.Context) (driver.Conn, error) {
	c.turns <- struct{}{}
	return c.to[int(c.next.Add(1))%len(c.to)].Connect(ctx)
}

func (c *inTurn) Driver() driver.Driver { return c.to[0].Driver() }

func connectorTo(t *testing.T, dsn string) driver.Connector {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	return stdlib.GetConnector(*config)
}

// testRecoveryConflict has the standby cancel a read: the primary has cleaned up what was
// visible to it.
func testRecoveryConflict(t *testing.T, r *replicated) {
	create(t, r.standby, "ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")
	t.Cleanup(func() {
		create(t, r.standby, "ALTER SYSTEM RESET max_standby_streaming_delay", "SELECT pg_reload_conf()")
	})
	table := gatedDocs(t, r.primary)
	create(t, r.primary, "CREATE TABLE waste (n INT)")
	err := requireInterrupted(t, r.tables(t, 0, table), r.standby, func() {
		create(t, r.primary, "INSERT INTO waste VALUES (1)", "DELETE FROM waste", "VACUUM waste")
	})
	require.ErrorContains(t, err, "conflict with recovery")
}

func testReplicaSlowConsumer(t *testing.T, r *replicated) {
	source := open(t, postgres.Open(withSetting(t, r.standbyDSN, "application_name", "source")))
	requireNoneStays(t, r.repositoryOn(t, source, 0), r.standby)
}

func testReplicaConfiguration(t *testing.T, r *replicated) {
	_, err := gormsource.NewRepository(openSQLite(t), gormsource.RepositoryConfig{Replica: openSQLite(t)})
	require.ErrorContains(t, err, "sqlite has no replicas")

	newRepository(t, r.primary)
	table := docs(t, r.primary)
	r.CatchUp(t)
	swapped, err := gormsource.NewRepository(r.standby, gormsource.RepositoryConfig{})
	require.NoError(t, err)
	_, err = swapped.TransactionTime(t.Context(), "")
	require.ErrorContains(t, err, "only RepositoryConfig.Replica may be a standby")
	_, err = newTables(t, r.standby, table).TransactionTime(t.Context(), "")
	require.ErrorContains(t, err, "only TablesConfig.Replica may be one")

	gone := open(t, postgres.Open(r.standbyDSN))
	repo := r.repositoryOn(t, gone, 0)
	require.NoError(t, repo.Probe(t.Context()))
	pool, err := gone.DB()
	require.NoError(t, err)
	require.NoError(t, pool.Close())
	require.Error(t, repo.Probe(t.Context()), "it is the replica that is read from")

	stranger := open(t, postgres.Open(pgtest.DSN(t)))
	_, err = gormsource.NewTables(t.Context(), r.primary, gormsource.TablesConfig{
		Tables: []gormsource.Table{table}, Replica: stranger,
	})
	require.ErrorContains(t, err, "it is no standby of the database")
}
