package gormsource_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

func testGroupTables(t *testing.T, open database) {
	db := open(t)
	create(t, db, `CREATE TABLE rosters (grp TEXT, patient TEXT)`, `INSERT INTO rosters VALUES ('g', '1')`)
	table := docs(t, db)
	addDoc(t, db, 1, "Patient", `{"resourceType":"Patient","id":"1"}`)
	addDoc(t, db, 2, "Patient", `{"resourceType":"Patient","id":"2"}`)
	addDoc(t, db, 3, "Observation", `{"resourceType":"Observation","id":"1"}`)
	addDoc(t, db, 4, "Device", `{"resourceType":"Device","id":"1"}`)
	// The last digit of the id says whose it is.
	table.GroupScope = func(db *gorm.DB, group string) *gorm.DB {
		return db.Where("EXISTS (SELECT 1 FROM rosters WHERE grp = ? AND body LIKE '%\"' || patient || '\"}')", group)
	}
	check := func(_ context.Context, _, id string) error {
		if id != "g" && id != "empty" {
			return bulkexport.ErrGroupNotFound
		}
		return nil
	}
	cfg := gormsource.TablesConfig{Tables: []gormsource.Table{table}}
	source, err := gormsource.NewGroupTables(t.Context(), db, cfg, check)
	require.NoError(t, err)
	at := func(resourceType, group string) bulkexport.Query {
		return bulkexport.Query{
			Scope: bulkexport.Scope{Level: bulkexport.LevelGroup, Group: group}, Type: resourceType,
		}
	}
	require.Equal(t, []string{`{"resourceType":"Patient","id":"1"}`}, read(t, source, at("Patient", "g")))
	require.Equal(t, []string{`{"resourceType":"Observation","id":"1"}`}, read(t, source, at("Observation", "g")))
	require.Empty(t, read(t, source, at("Device", "g"))) // not in any compartment
	require.Empty(t, read(t, source, at("Patient", "empty")))
	types, err := source.Types(t.Context(), at("", "g").Scope)
	require.NoError(t, err)
	require.Equal(t, []string{"Observation", "Patient"}, types)

	require.NoError(t, source.CheckGroup(t.Context(), "", "g"))
	require.ErrorIs(t, source.CheckGroup(t.Context(), "", "gone"), bulkexport.ErrGroupNotFound)
	_, err = source.Count(t.Context(), at("Patient", "gone"))
	require.ErrorIs(t, err, bulkexport.ErrGroupNotFound)

	cfg.Tables[0].GroupScope = nil
	source, err = gormsource.NewGroupTables(t.Context(), db, cfg, check)
	require.NoError(t, err)
	require.Empty(t, read(t, source, at("Patient", "g")))

	_, err = gormsource.NewGroupTables(t.Context(), db, cfg, nil)
	require.ErrorContains(t, err, "gormsource: NewGroupTables needs a function")
	var plain bulkexport.ResourceSource = newTables(t, db, table)
	require.NotImplements(t, (*bulkexport.SourceGroups)(nil), plain)
	_, err = plain.Types(t.Context(), at("", "g").Scope)
	require.ErrorContains(t, err, `"group"`)
}

// testTargets has Provenance of what cannot be looked up, for want of a column.
func testTargets(t *testing.T, open database) {
	db := open(t)
	table := docs(t, db)
	addDoc(t, db, 1, "Observation", `{"resourceType":"Observation","id":"1"}`)
	for n, target := range map[int]string{11: "Observation/1", 12: "Condition/1", 13: "Organization/1", 14: "Patient/1"} {
		addDoc(t, db, n, "Provenance", `{"resourceType":"Provenance","target":[{"reference":"`+target+`"}]}`)
	}
	create(t, db, `ALTER TABLE docs ADD id TEXT`, `UPDATE docs SET id = '1'`)
	q := query("Provenance")
	q.Level = bulkexport.LevelPatient
	keys := func() (keys []string) {
		for r, err := range newTables(t, db, table).Resources(t.Context(), q) {
			require.NoError(t, err)
			keys = append(keys, string(r.Key))
		}
		return keys
	}
	require.Equal(t, []string{"11", "12", "14"}, keys())
	table.IDColumn = "id"
	require.Equal(t, []string{"14"}, keys()) // the Observation has no patient
	table.PatientScope = where("n < 14")
	require.Equal(t, []string{"11", "12", "13"}, keys())
}
