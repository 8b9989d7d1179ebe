package gormsource_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// openTransactionTests have a host that stamps with the beginning of its
// transactions, as now() does, so that all of them are stamped too early.
func openTransactionTests() map[string]func(t *testing.T, w *workplace) {
	return map[string]func(t *testing.T, w *workplace){
		"own":                testOwnTransaction,
		"of another role":    testHiddenTransaction,
		"stays":              testStays,
		"prepared":           testPreparedTransaction,
		"idle session":       testIdleSession,
		"of a reader":        testReader,
		"of who may write":   testWhoMayWrite,
		"are waited for":     testMaxWait,
		"wait is cancelled":  testWaitIsCancelled,
		"in other databases": testOtherDatabase,
	}
}

// workplace is a database of its own with a table, and roles that use it.
type workplace struct {
	cluster *pgtest.Cluster
	dsn     string
	admin   *gorm.DB // a superuser
}

func newWorkplace(t *testing.T, cluster *pgtest.Cluster) *workplace {
	t.Helper()
	w := &workplace{cluster: cluster, dsn: cluster.DSN(t)}
	w.admin = open(t, postgres.Open(w.dsn))
	var super bool
	require.NoError(t, w.admin.Raw("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Row().Scan(&super))
	if !super {
		t.Skip("needs a superuser, to make roles")
	}
	create(t, w.admin, `CREATE TABLE docs (n SERIAL, changed TIMESTAMP NOT NULL DEFAULT now(), body TEXT NOT NULL)`)
	return w
}

func (w *workplace) role(t *testing.T, grants ...string) (name, dsn string) {
	t.Helper()
	name = "r" + strings.ToLower(rand.Text())
	create(t, w.admin, "CREATE ROLE "+name+" LOGIN PASSWORD 'secret'")
	t.Cleanup(func() { create(t, w.admin, "DROP OWNED BY "+name, "DROP ROLE "+name) })
	for _, grant := range grants {
		create(t, w.admin, strings.ReplaceAll(grant, "@role", name))
	}
	u, err := url.Parse(w.dsn)
	require.NoError(t, err)
	u.User = url.UserPassword(name, "secret")
	return name, u.String()
}

// writer returns a session of a role that may write the table.
func (w *workplace) writer(t *testing.T) *gorm.DB {
	t.Helper()
	_, dsn := w.role(t, "GRANT ALL ON docs, docs_n_seq TO @role")
	return open(t, postgres.Open(dsn))
}

// source reads the table as a role that may do nothing else.
func (w *workplace) source(t *testing.T, wait time.Duration) (role string, source *gormsource.Tables) {
	t.Helper()
	role, dsn := w.role(t, "GRANT SELECT ON docs TO @role")
	return role, w.tables(t, open(t, postgres.Open(dsn)), wait)
}

// A lag hides the moment in which a transaction has begun and is not seen to
// have. The tests have transactions that are open for longer.
const shortLag = 200 * time.Millisecond

func (w *workplace) tables(t *testing.T, db *gorm.DB, wait time.Duration) *gormsource.Tables {
	t.Helper()
	source, err := gormsource.NewTables(t.Context(), db, gormsource.TablesConfig{
		Tables: []gormsource.Table{{
			Name: "docs", Type: "Patient", KeyColumn: "n", BodyColumn: "body", LastUpdatedColumn: "changed",
		}},
		Lag: shortLag, MaxWait: wait,
	})
	require.NoError(t, err)
	return source
}

const latePatient = `{"resourceType":"Patient","id":"late"}`

// beginLate begins a transaction and has it write, which nobody sees yet.
func beginLate(t *testing.T, db *gorm.DB) *gorm.DB {
	t.Helper()
	tx := db.Begin(&sql.TxOptions{Isolation: sql.LevelReadCommitted})
	require.NoError(t, tx.Error)
	t.Cleanup(func() { tx.Rollback() })
	require.NoError(t, tx.Exec("INSERT INTO docs (body) VALUES (?)", latePatient).Error)
	return tx
}

func begun(t *testing.T, tx *gorm.DB) (at time.Time) {
	t.Helper()
	require.NoError(t, tx.Raw("SELECT now()").Row().Scan(&at))
	return at
}

// pass lets the server's clock go on until a transaction of now is beyond the lag
// of one that began at a moment.
func (w *workplace) pass(t *testing.T, at time.Time) {
	t.Helper()
	require.NoError(t, w.admin.Exec("SELECT pg_sleep(0.01 + greatest(0, extract(epoch FROM ? - clock_timestamp())))",
		at.Add(shortLag)).Error)
}

// requireNotLost ends the transaction in the middle of a chain of exports, and
// looks for what it has written.
func requireNotLost(t *testing.T, w *workplace, f *follower, commit func()) {
	t.Helper()
	w.pass(t, time.Now())
	job := f.kickOff(time.Time{})
	if commit != nil {
		w.awaitWait(t, func() bool { return len(f.ended) > 0 })
		commit()
	}
	f.apply(f.finish(job))
	f.reach(time.Now())
	require.Equal(t, map[string]string{"Patient/late": latePatient}, f.has)
}

// awaitWait returns when a source has looked twice for open transactions, which
// it does when it waits for one, or when there is nothing to wait for.
func (w *workplace) awaitWait(t *testing.T, over func() bool) {
	t.Helper()
	const query = `SELECT query_start::text FROM pg_stat_activity WHERE query LIKE '%pg_locks WHERE granted%'
		AND datname = current_database() AND pid <> pg_backend_pid()`
	looks := map[string]bool{}
	for len(looks) < 2 && !over() {
		var at []string
		require.NoError(t, w.admin.Raw(query).Scan(&at).Error)
		for _, at := range at {
			looks[at] = true
		}
	}
}

func testOwnTransaction(t *testing.T, w *workplace) {
	_, dsn := w.role(t, "GRANT ALL ON docs, docs_n_seq TO @role")
	db := open(t, postgres.Open(dsn))
	source := w.tables(t, db, 0)
	tx := beginLate(t, db)
	w.pass(t, begun(t, tx))
	require.False(t, requireTime(t, source).After(begun(t, tx)))
	f := newFollower(t, source)
	f.next()
	require.Empty(t, f.has)
	require.NoError(t, tx.Commit().Error)
	requireNotLost(t, w, f, nil)
}

func testHiddenTransaction(t *testing.T, w *workplace) {
	_, source := w.source(t, 0)
	tx := beginLate(t, w.writer(t))
	requireNotLost(t, w, newFollower(t, source), func() { require.NoError(t, tx.Commit().Error) })
}

// testStays has transactions that stay for longer than a source waits.
func testStays(t *testing.T, w *workplace) {
	role, source := w.source(t, 0)
	tx := beginLate(t, w.writer(t))
	other := newWorkplace(t, w.cluster)
	defer other.prepare(t)()
	sourceOfOther := other.tables(t, other.admin, 0)
	prepared := make(chan error, 1)
	go func() {
		_, err := sourceOfOther.TransactionTime(t.Context(), "")
		prepared <- err
	}()
	_, err := source.TransactionTime(t.Context(), "")
	require.ErrorContains(t, err, "GRANT pg_read_all_stats")
	require.ErrorContains(t, <-prepared, "pg_prepared_xacts")

	create(t, w.admin, "GRANT pg_read_all_stats TO "+role)
	at := requireTime(t, source)
	require.False(t, at.After(begun(t, tx)))
	require.False(t, at.Before(begun(t, tx).Add(-2*shortLag)))
	f := newFollower(t, source)
	f.next()
	require.Empty(t, f.has)
	require.NoError(t, tx.Commit().Error)
	requireNotLost(t, w, f, nil)
}

// prepare leaves a transaction prepared, and returns what commits it.
func (w *workplace) prepare(t *testing.T) (commit func()) {
	t.Helper()
	var most int
	require.NoError(t, w.admin.Raw("SELECT current_setting('max_prepared_transactions')").Row().Scan(&most))
	if most == 0 {
		t.Skip("the server has max_prepared_transactions = 0")
	}
	name := strings.ToLower(rand.Text())
	pool, err := w.writer(t).DB()
	require.NoError(t, err)
	conn, err := pool.Conn(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{
		"BEGIN", "INSERT INTO docs (body) VALUES ('" + latePatient + "')", "PREPARE TRANSACTION '" + name + "'",
	} {
		_, err := conn.ExecContext(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close())
	return func() { require.NoError(t, w.admin.Exec("COMMIT PREPARED '"+name+"'").Error) }
}

func testPreparedTransaction(t *testing.T, w *workplace) {
	_, source := w.source(t, 0)
	requireNotLost(t, w, newFollower(t, source), w.prepare(t))
}

// testIdleSession has sessions of other roles that are connected all the time, as
// monitoring and pools are. Nobody can see that they are idle.
func testIdleSession(t *testing.T, w *workplace) {
	writer := w.writer(t)
	for _, db := range []*gorm.DB{w.admin, writer} {
		pool, err := db.DB()
		require.NoError(t, err)
		conn, err := pool.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })
		_, err = conn.ExecContext(t.Context(), "SELECT 1")
		require.NoError(t, err)
	}
	_, source := w.source(t, 0)
	var before time.Time
	require.NoError(t, w.admin.Raw("SELECT clock_timestamp()").Row().Scan(&before))
	require.False(t, requireTime(t, source).Before(before.Add(-shortLag)))
}

// testReader has a dump that runs for long.
func testReader(t *testing.T, w *workplace) {
	_, dsn := w.role(t, "GRANT pg_read_all_data TO @role")
	dump := open(t, postgres.Open(dsn)).Begin(&sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	t.Cleanup(func() { dump.Rollback() })
	require.NoError(t, dump.Exec("SELECT * FROM docs").Error)
	w.pass(t, begun(t, dump))
	_, low := w.source(t, 0)
	for _, source := range []*gormsource.Tables{low, w.tables(t, w.admin, 0)} {
		require.True(t, requireTime(t, source).After(begun(t, dump)))
	}
}

// testWhoMayWrite has roles without any privilege on the table which can write
// it all the same.
func testWhoMayWrite(t *testing.T, w *workplace) {
	owner, _ := w.role(t, "GRANT ALL ON docs, docs_n_seq TO @role")
	create(t, w.admin, "CREATE VIEW seen AS SELECT * FROM docs", "CREATE TABLE cause (n INT)",
		`CREATE FUNCTION add() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO docs (body) VALUES (''{}'')'`,
		"REVOKE EXECUTE ON FUNCTION add FROM PUBLIC")
	source := w.tables(t, w.admin, 0)
	for name, grant := range map[string]string{
		"member":             "GRANT " + owner + " TO @role",
		"member by SET ROLE": "ALTER ROLE @role NOINHERIT; GRANT " + owner + " TO @role",
		"a column":           "GRANT UPDATE (body) ON docs TO @role",
		"a view":             "GRANT INSERT ON seen TO @role",
		"another table":      "GRANT DELETE ON cause TO @role",
		"a function":         "GRANT EXECUTE ON FUNCTION add TO @role",
		"superuser":          "ALTER ROLE @role SUPERUSER",
	} {
		_, dsn := w.role(t, strings.Split(grant, "; ")...)
		tx := open(t, postgres.Open(dsn)).Begin()
		at := begun(t, tx)
		w.pass(t, at)
		require.False(t, requireTime(t, source).After(at), name)
		require.NoError(t, tx.Rollback().Error)
		require.True(t, requireTime(t, source).After(at), name)
	}
}

func testMaxWait(t *testing.T, w *workplace) {
	tx := beginLate(t, w.writer(t))
	f := newFollower(t, w.tables(t, w.admin, time.Hour))
	requireNotLost(t, w, f, func() { require.NoError(t, tx.Commit().Error) })

	tx = beginLate(t, w.writer(t))
	at := begun(t, tx)
	w.pass(t, at)
	require.False(t, requireTime(t, w.tables(t, w.admin, time.Millisecond)).After(at))
}

func testWaitIsCancelled(t *testing.T, w *workplace) {
	_, source := w.source(t, time.Hour)
	beginLate(t, w.writer(t))
	requireCancel(t, func(over func() bool) { w.awaitWait(t, over) }, func(ctx context.Context) error {
		_, err := source.TransactionTime(ctx, "")
		return err
	})
}

func testOtherDatabase(t *testing.T, w *workplace) {
	other := newWorkplace(t, w.cluster)
	tx := beginLate(t, other.admin)
	at := begun(t, tx)
	w.pass(t, at)
	_, source := w.source(t, 0)
	require.True(t, requireTime(t, source).After(at))
	defer other.prepare(t)()
	require.True(t, requireTime(t, source).After(at))
}
