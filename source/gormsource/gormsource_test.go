package gormsource_test

import (
	"strings"
	"testing"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// tests run on both databases, side by side.
func tests() map[string]func(t *testing.T, open database) {
	return map[string]func(t *testing.T, open database){
		"repository/conformance":              testRepositoryConformance,
		"repository/bytes are kept":           testBytesAreKept,
		"repository/put stamps":               testPutStamps,
		"repository/put refuses":              testPutRefuses,
		"repository/delete keeps compartment": testDeleteKeepsCompartment,
		"repository/migrate twice":            testMigrateTwice,
		"repository/base URLs":                testBaseURLs,
		"repository/FHIR version":             testFHIRVersion,
		"repository/writers in flight":        testWritersInFlight,
		"repository/what is not supported":    testUnsupportedLevel,
		"stream/one connection":               testOneConnection,
		"stream/no moment":                    testNoMoment,
		"stream/split is even":                testSplitIsEven,
		"stream/cancelled":                    testCancelled,
		"stream/uneven sizes":                 testUnevenSizes,
		"load/many":                           testLoad,
		"load/lines":                          testLoadLines,
		"load/keeps types together":           testLoadKeepsTypesTogether,
		"load/stops at a bad line":            testLoadStopsAtBadLine,
		"load/reader fails":                   testLoadReaderFails,
		"load/keeps last updates":             testLoadKeepsLastUpdated,
		"clock/tables conformance":            testTablesConformance,
		"tables/faults of the configuration":  testConfigFaults,
		"tables/handles":                      testHandles,
		"repository/prepared statements":      testPreparedHandle,
		"tables/scope is apart":               testScopeIsApart,
		"tables/Patient scope":                testPatientScope,
		"tables/groups":                       testGroupTables,
		"tables/targets":                      testTargets,
		"tables/damaged rows":                 testDamagedRows,
		"tables/row without a key":            testRowWithoutKey,
		"tables/a type in two tables":         testTypeInTwoTables,
		"tables/fixed tenant":                 testFixedTenant,
		"clock/lag":                           testLag,
		"clock/open transaction":              testOpenTransaction,
		"tables/zones":                        testZones,
		"tables/integer times":                testIntegerTimes,
		"tables/balanced parts":               testBalancedParts,
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	testSQLite(t, openSQLite)
}

// TestSQLiteByDriver is for where rows do not come at once: what is read must be
// the same.
func TestSQLiteByDriver(t *testing.T) {
	t.Parallel()
	testSQLite(t, openSQLiteByDriver)
}

func testSQLite(t *testing.T, open database) {
	for name, run := range tests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open)
		})
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	shared := cluster.DSN(t)
	for name, run := range tests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := shared
			if strings.HasPrefix(name, "clock/") { // open transactions of others count
				dsn = cluster.DSN(t)
			}
			run(t, openPostgres(dsn))
		})
	}
	for name, run := range map[string]func(t *testing.T, dsn string){
		"columns": testPostgresColumns, "deadlock": testPostgresDeadlock, "cost": testPostgresCost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, cluster.DSN(t))
		})
	}
}

// TestPostgresOthers has a server on which others are at work: they have open
// transactions, locks and slow statements. Each test has databases of its own.
func TestPostgresOthers(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, run := range openTransactionTests() {
		t.Run("open transaction/"+name, func(t *testing.T) {
			t.Parallel()
			run(t, newWorkplace(t, cluster))
		})
	}
	for name, run := range map[string]func(t *testing.T, dsn string){
		"repository chain": testPostgresRepositoryChain, "tables chain": testPostgresTablesChain,
		"slow consumer": testPostgresSlowConsumer,
		"locked tables": testPostgresLockedTables, "lost connection": testPostgresLostConnection,
		"delete in a slow read": testPostgresSlowRead, "delete elsewhere in a slow read": testPostgresSlowReadElsewhere,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, cluster.DSN(t))
		})
	}
}
