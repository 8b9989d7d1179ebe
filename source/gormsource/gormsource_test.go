package gormsource_test

import (
	"testing"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// tests run on both databases, side by side.
func tests() map[string]func(t *testing.T, open database) {
	return map[string]func(t *testing.T, open database){
		"repository/conformance":              testRepositoryConformance,
		"repository/bytes are kept":           testBytesAreKept,
		"repository/put refuses":              testPutRefuses,
		"repository/delete keeps compartment": testDeleteKeepsCompartment,
		"repository/migrate twice":            testMigrateTwice,
		"repository/base URLs":                testBaseURLs,
		"repository/writers in flight":        testWritersInFlight,
		"repository/what is not supported":    testUnsupportedLevel,
		"load/many":                           testLoad,
		"load/lines":                          testLoadLines,
		"load/stops at a bad line":            testLoadStopsAtBadLine,
		"load/reader fails":                   testLoadReaderFails,
		"load/keeps last updates":             testLoadKeepsLastUpdated,
		"tables/conformance":                  testTablesConformance,
		"tables/faults of the configuration":  testConfigFaults,
		"tables/handles":                      testHandles,
		"tables/scope is apart":               testScopeIsApart,
		"tables/Patient scope":                testPatientScope,
		"tables/damaged rows":                 testDamagedRows,
		"tables/a type in two tables":         testTypeInTwoTables,
		"tables/fixed tenant":                 testFixedTenant,
		"tables/lag":                          testLag,
		"tables/open transaction":             testOpenTransaction,
		"tables/zones":                        testZones,
		"tables/integer times":                testIntegerTimes,
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	for name, run := range tests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, openSQLite)
		})
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, run := range tests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, openPostgres(cluster.DSN(t)))
		})
	}
}
