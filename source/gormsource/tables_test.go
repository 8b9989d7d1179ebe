package gormsource_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// docs is a table for all types without tenants.
func docs(t testing.TB, db *gorm.DB) gormsource.Table {
	t.Helper()
	create(t, db, `CREATE TABLE docs (n BIGINT PRIMARY KEY, kind TEXT, changed BIGINT NOT NULL, body TEXT)`)
	return docsTable()
}

func docsTable() gormsource.Table {
	return gormsource.Table{
		Name: "docs", TypeColumn: "kind", KeyColumn: "n", BodyColumn: "body",
		LastUpdatedColumn: "changed", LastUpdatedUnit: time.Second,
	}
}

func addDoc(t testing.TB, db *gorm.DB, n int, kind string, body any) {
	t.Helper()
	require.NoError(t, db.Exec("INSERT INTO docs VALUES (?, ?, ?, ?)", n, kind, n, body).Error)
}

func testConfigFaults(t *testing.T, open database) {
	db := open(t)
	good := docs(t, db)
	refused := func(cfg gormsource.TablesConfig, want ...string) {
		t.Helper()
		_, err := gormsource.NewTables(t.Context(), db, cfg)
		for _, part := range want {
			require.ErrorContains(t, err, part)
		}
	}
	refused(gormsource.TablesConfig{}, "gormsource: TablesConfig.Tables is required")
	refused(gormsource.TablesConfig{Tables: []gormsource.Table{good, {
		Type: "Secret", TenantColumn: "t", Tenant: "t", LastUpdatedUnit: time.Minute,
	}}}, "Tables[1].Name is required", "Tables[1].Type \"Secret\"", "Tables[1].Tenant and TenantColumn",
		"Tables[1].KeyColumn is required", "Tables[1].BodyColumn is required",
		"Tables[1].LastUpdatedColumn is required", "Tables[1].LastUpdatedUnit")
	refused(gormsource.TablesConfig{Tables: []gormsource.Table{good, good}}, "Tables[0] and [1] may hold the same")

	for name, change := range map[string]func(*gormsource.Table){
		"nowhere":      func(t *gormsource.Table) { t.Name = "nowhere" },
		"no_key":       func(t *gormsource.Table) { t.KeyColumn = "no_key" },
		"no_body":      func(t *gormsource.Table) { t.BodyColumn = "no_body" },
		"no_update":    func(t *gormsource.Table) { t.LastUpdatedColumn = "no_update" },
		"no_type":      func(t *gormsource.Table) { t.TypeColumn = "no_type" },
		"no_id":        func(t *gormsource.Table) { t.IDColumn = "no_id" },
		"no_tenant":    func(t *gormsource.Table) { t.TenantColumn = "no_tenant" },
		"no_such_col":  func(t *gormsource.Table) { t.Scope = where("no_such_col = 1") },
		"no_such_col2": func(t *gormsource.Table) { t.PatientScope = where("no_such_col2 = 1") },
		"wrong handle": func(t *gormsource.Table) {
			t.Scope = func(db *gorm.DB) *gorm.DB { _ = db.AddError(errors.New("wrong handle")); return db }
		},
		"returned nil": func(t *gormsource.Table) { t.Scope = func(*gorm.DB) *gorm.DB { return nil } },
		// Types that will not do.
		"IDColumn n":             func(t *gormsource.Table) { t.IDColumn = "n" },
		"LastUpdatedColumn kind": func(t *gormsource.Table) { t.LastUpdatedColumn = "kind" },
		"LastUpdatedUnit 0s":     func(t *gormsource.Table) { t.LastUpdatedUnit = 0 },
	} {
		table := good
		change(&table)
		refused(gormsource.TablesConfig{Tables: []gormsource.Table{table}}, "gormsource: TablesConfig.Tables[0]", name)
	}
	create(t, db, `CREATE TABLE odd (n REAL, changed TIMESTAMP, body TEXT)`)
	odd := gormsource.Table{Name: "odd", Type: "Patient", KeyColumn: "n", BodyColumn: "body", LastUpdatedColumn: "changed"}
	refused(gormsource.TablesConfig{Tables: []gormsource.Table{odd}}, "(odd): KeyColumn n is of type")
}

func where(condition string, args ...any) func(*gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB { return db.Where(condition, args...) }
}

func testHandles(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	for want, handle := range map[string]*gorm.DB{
		"no database":         nil,
		"has conditions":      db.Where("n > 1"),
		"is a transaction":    db.Begin(),
		"database handle: no": {Error: errors.New("no"), Config: db.Config, Statement: db.Statement},
	} {
		_, err := gormsource.NewTables(t.Context(), handle, gormsource.TablesConfig{Tables: []gormsource.Table{table}})
		require.ErrorContains(t, err, "gormsource: ")
		require.ErrorContains(t, err, want)
		_, err = gormsource.NewRepository(handle, gormsource.RepositoryConfig{})
		require.ErrorContains(t, err, want)
	}
}

// testPreparedHandle has a host that prepares its statements and translates
// errors.
func testPreparedHandle(t *testing.T, open database) {
	db := open(t)
	db.TranslateError = true
	repo := newRepository(t, db.Session(&gorm.Session{PrepareStmt: true}))
	putPatients(t, repo, 3, 10)
	putPatients(t, repo, 3, 10)
	require.Len(t, read(t, repo, query("Patient")), 3)
}

// testScopeIsApart has conditions that would let other types and tenants in, if
// their OR reached beyond them.
func testScopeIsApart(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	addDoc(t, db, 1, "Patient", `{"resourceType":"Patient","id":"1"}`)
	addDoc(t, db, 2, "Patient", `{"resourceType":"Patient","id":"2"}`)
	addDoc(t, db, 3, "Group", `{"resourceType":"Group","id":"3"}`)
	for name, scope := range map[string]func(*gorm.DB) *gorm.DB{
		"text":        where("n = 1 OR n = 3"),
		"a line each": where("n = 1\nOR\nn = 3"),
		"Or":          func(db *gorm.DB) *gorm.DB { return db.Where("n = ?", 1).Or("n = ?", 3) },
		"Or alone":    func(db *gorm.DB) *gorm.DB { return db.Or("n = 1").Or("n = 3") },
		"nested":      func(db *gorm.DB) *gorm.DB { return db.Where("n = 1").Scopes(or("n = 3")) },
		"a clause": func(db *gorm.DB) *gorm.DB {
			return db.Clauses(clause.Or(clause.Eq{Column: "n", Value: 1}, clause.Eq{Column: "n", Value: 3}))
		},
	} {
		table.Scope = scope
		source := newTables(t, db, table)
		require.Equal(t, []string{`{"resourceType":"Patient","id":"1"}`}, read(t, source, query("Patient")), name)
		q := query("Patient")
		q.Tenant = "other"
		require.Empty(t, read(t, source, q), name)
		types, err := source.Types(t.Context(), query("").Scope)
		require.NoError(t, err)
		require.Equal(t, []string{"Group", "Patient"}, types, name)
	}
}

func or(condition string) func(*gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB { return db.Or(condition) }
}

func testPatientScope(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	addDoc(t, db, 1, "Patient", `{"resourceType":"Patient","id":"1"}`)
	addDoc(t, db, 2, "Observation", `{"resourceType":"Observation","id":"2"}`)
	addDoc(t, db, 3, "Observation", `{"resourceType":"Observation","id":"3","subject":{"reference":"Patient/1"}}`)
	addDoc(t, db, 4, "Observation", `not JSON`)
	addDoc(t, db, 5, "Device", `{"resourceType":"Device","id":"5","patient":{"reference":"Patient/1"}}`)
	q := query("Observation")
	q.Level = bulkexport.LevelPatient

	source := newTables(t, db, table)
	require.Len(t, read(t, source, q), 2) // what cannot be read is for the export to report
	table.PatientScope = where("n = 2")
	scoped := newTables(t, db, table)
	require.Equal(t, []string{`{"resourceType":"Observation","id":"2"}`}, read(t, scoped, q))
	n, err := scoped.Count(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	for _, source := range []*gormsource.Tables{source, scoped} {
		q.Type = "Patient"
		require.Len(t, read(t, source, q), 1)
		q.Type = "Device"
		require.Empty(t, read(t, source, q))
		q.Type = "Observation"
		types, err := source.Types(t.Context(), q.Scope)
		require.NoError(t, err)
		require.Equal(t, []string{"Observation", "Patient"}, types)
	}
}

func testDamagedRows(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	addDoc(t, db, 1, "Patient", nil)
	addDoc(t, db, 2, "Patient", "")
	addDoc(t, db, 3, "Patient", `{"resourceType":"Patient","id":"3"}`)
	var seen []string
	for r, err := range newTables(t, db, table).Resources(t.Context(), query("Patient")) {
		var fault *bulkexport.ResourceError
		switch {
		case errors.As(err, &fault):
			seen = append(seen, string(r.Key)+" "+fault.Type)
		default:
			require.NoError(t, err)
			seen = append(seen, string(r.Key))
		}
	}
	require.Equal(t, []string{"1 Patient", "2 Patient", "3"}, seen)
}

func testRowWithoutKey(t *testing.T, open database) {
	db := open(t)
	create(t, db, `CREATE TABLE loose (k TEXT, changed BIGINT NOT NULL, body TEXT)`)
	source := newTables(t, db, gormsource.Table{
		Name: "loose", Type: "Patient", KeyColumn: "k", BodyColumn: "body",
		LastUpdatedColumn: "changed", LastUpdatedUnit: time.Second,
	})
	for _, key := range []any{nil, ""} {
		require.NoError(t, db.Exec("DELETE FROM loose").Error)
		require.NoError(t, db.Exec("INSERT INTO loose VALUES (?, 1, '{}')", key).Error)
		var faults []error
		for _, err := range source.Resources(t.Context(), query("Patient")) {
			faults = append(faults, err)
		}
		require.Len(t, faults, 1)
		require.EqualError(t, faults[0], "gormsource: read Patient: a row has no key")
	}
}

func testTypeInTwoTables(t *testing.T, open database) {
	db := open(t)
	all := docs(t, db)
	create(t, db, `CREATE TABLE patients (n BIGINT PRIMARY KEY, changed BIGINT NOT NULL, body TEXT)`)
	own := gormsource.Table{
		Name: "patients", Type: "Patient", KeyColumn: "n", BodyColumn: "body",
		LastUpdatedColumn: "changed", LastUpdatedUnit: time.Second,
	}
	require.NoError(t, db.Exec("INSERT INTO patients VALUES (7, 7, '{}')").Error)
	source := newTables(t, db, all, own)
	types, err := source.Types(t.Context(), query("").Scope)
	require.NoError(t, err)
	require.Equal(t, []string{"Patient"}, types)
	require.Equal(t, []string{"{}"}, read(t, source, query("Patient")))

	addDoc(t, db, 1, "Patient", "{}")
	_, err = source.Types(t.Context(), query("").Scope)
	require.EqualError(t, err, "gormsource: list types: Patient has a table of its own, but is in docs too")
}

func testFixedTenant(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	table.Tenant = "a"
	addDoc(t, db, 1, "Patient", "{}")
	source := newTables(t, db, table)
	for tenant, want := range map[string]int{"": 0, "a": 1, "b": 0, "A": 0} {
		q := query("Patient")
		q.Tenant = tenant
		require.Len(t, read(t, source, q), want)
		types, err := source.Types(t.Context(), q.Scope)
		require.NoError(t, err)
		require.Len(t, types, want)
	}
}

func testLag(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	source := func(lag time.Duration) func() time.Time {
		cfg := gormsource.TablesConfig{Tables: []gormsource.Table{table}, Lag: lag}
		source, err := gormsource.NewTables(t.Context(), db, cfg)
		require.NoError(t, err)
		return func() time.Time {
			at, err := source.TransactionTime(t.Context(), "")
			require.NoError(t, err)
			return at
		}
	}
	none, hour, usual := source(-1), source(time.Hour), source(0)
	a, b, c, d, e := none(), hour(), none(), usual(), none()
	require.LessOrEqual(t, a.Sub(b), time.Hour)
	require.GreaterOrEqual(t, c.Sub(b), time.Hour)
	require.LessOrEqual(t, c.Sub(d), 5*time.Second)
	require.GreaterOrEqual(t, e.Sub(d), 5*time.Second)
	require.Equal(t, time.UTC, a.Location())
}

// testOpenTransaction has a host that takes its stamps within transactions. The
// column tells seconds apart, and so does TransactionTime.
func testOpenTransaction(t *testing.T, open database) {
	db := open(t)
	source := newTables(t, db, docs(t, db))
	tx := db.Begin()
	require.NoError(t, tx.Error)
	require.NoError(t, tx.Exec("INSERT INTO docs VALUES (1, 'Patient', 1, '{}')").Error)
	if db.Name() == "sqlite" { // waits for the writer
		type result struct {
			at  time.Time
			err error
		}
		during := make(chan result, 1)
		go func() {
			at, err := source.TransactionTime(t.Context(), "")
			during <- result{at, err}
		}()
		stamp := time.Now()
		require.NoError(t, tx.Commit().Error)
		r := <-during
		require.NoError(t, r.err)
		require.False(t, r.at.Before(stamp.Add(-time.Second)))
		return
	}
	var begun time.Time
	require.NoError(t, tx.Raw("SELECT now()").Row().Scan(&begun))
	during, err := source.TransactionTime(t.Context(), "")
	require.NoError(t, err)
	require.False(t, during.After(begun))
	require.NoError(t, tx.Commit().Error)
	after, err := source.TransactionTime(t.Context(), "")
	require.NoError(t, err)
	require.True(t, after.After(begun.Add(-time.Second)))
}
