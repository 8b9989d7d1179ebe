package gormsource_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// lines makes n resources of about 1.4 kB, half of them Observations, those of
// a patient one after the other.
func lines(n int) []byte {
	types := []string{"Patient", "Encounter", "Condition", "MedicationRequest", "MedicationRequest"}
	var b bytes.Buffer
	for i := range n {
		resourceType := "Observation"
		if i%2 == 0 {
			resourceType = types[i/2%len(types)]
		}
		fmt.Fprintf(&b, `{"resourceType":%q,"id":"%08x-%d","meta":{"lastUpdated":"2024-05-06T07:08:09.123+02:00"},`+
			`"status":"final","subject":{"reference":"Patient/%08x-%d"},"valueQuantity":{"value":%d.50,"unit":"mg"},`+
			`"note":[{"text":"%s"}]}`+"\n",
			resourceType, uint32(i)*2654435761, i, uint32(i/10*10)*2654435761, i/10*10, i,
			strings.Repeat("lorem ipsum ", 85+i%20))
	}
	return b.Bytes()
}

func load(b *testing.B, db *gorm.DB, n int) *gormsource.Repository {
	b.Helper()
	repo := newRepository(b, db)
	stored, err := repo.Load(b.Context(), "", bytes.NewReader(lines(n)), gormsource.LoadOptions{})
	require.NoError(b, err)
	require.EqualValues(b, n, stored)
	return repo
}

// BenchmarkResources reads half of 200,000 resources: from a Repository, from a
// table of the host, and from the same table as a host would do it first, with
// gorm's FindInBatches into structs. The shares of processor time are those of
// the process, without the server's.
func BenchmarkResources(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkResources(b, openSQLite) })
	b.Run("sqlite by driver", func(b *testing.B) { benchmarkResources(b, openSQLiteByDriver) })
	b.Run("postgres", func(b *testing.B) { benchmarkResources(b, openPostgres(pgtest.DSN(b))) })
}

func benchmarkResources(b *testing.B, open database) {
	const n = 200_000
	db := open(b)
	repo := load(b, db, n)
	host := copyToHost(b, db)
	at, err := repo.TransactionTime(b.Context(), "")
	require.NoError(b, err)
	q := query("Observation")
	q.AsOf = at

	var repository, table, structs usage
	for b.Loop() {
		repository.add(func() { require.Equal(b, n/2, drain(b, repo, q)) })
		table.add(func() { require.Equal(b, n/2, drain(b, host, q)) })
		structs.add(func() { require.Equal(b, n/2, findInBatches(b, db)) })
	}
	read := float64(n/2) * float64(b.N)
	repository.report(b, "repository", read)
	table.report(b, "table", read)
	structs.report(b, "structs", read)
	b.ReportMetric(structs.wall.Seconds()/table.wall.Seconds(), "table-to-structs")
}

// usage is what something took.
type usage struct {
	wall, cpu time.Duration
	allocs    uint64
}

func (u *usage) add(fn func()) {
	started, cpu, allocs := time.Now(), processorTime(), mallocs()
	fn()
	u.wall += time.Since(started)
	u.cpu += processorTime() - cpu
	u.allocs += mallocs() - allocs
}

func (u *usage) report(b *testing.B, name string, resources float64) {
	b.Helper()
	b.ReportMetric(resources/u.wall.Seconds(), name+"/s")
	b.ReportMetric(float64(u.cpu.Nanoseconds())/resources, name+"-cpu-ns")
	b.ReportMetric(float64(u.allocs)/resources, name+"-allocs")
}

func processorTime() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// document is a table as hosts have them.
type document struct {
	ID           int64  `gorm:"primaryKey;index:document_order,priority:3"`
	TenantID     string `gorm:"index:document_order,priority:1"`
	ResourceType string `gorm:"index:document_order,priority:2"`
	ResourceID   string
	VersionID    int
	LastUpdated  time.Time
	DeletedAt    *time.Time
	Body         string
}

func copyToHost(b *testing.B, db *gorm.DB) *gormsource.Tables {
	b.Helper()
	require.NoError(b, db.AutoMigrate(&document{}))
	require.NoError(b, db.Exec("INSERT INTO documents SELECT seq, tenant, type, id, 1, ?, NULL, body "+
		"FROM bulkexport_resources ORDER BY seq", time.Now()).Error)
	if db.Name() == "postgres" {
		require.NoError(b, db.Exec("VACUUM ANALYZE").Error)
	}
	return newTables(b, db, gormsource.Table{
		Name: "documents", TypeColumn: "resource_type", TenantColumn: "tenant_id", KeyColumn: "id",
		BodyColumn: "body", LastUpdatedColumn: "last_updated", Scope: where("deleted_at IS NULL"),
	})
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

func drain(b *testing.B, source bulkexport.ResourceSource, q bulkexport.Query) int {
	b.Helper()
	count := 0
	for _, err := range source.Resources(b.Context(), q) {
		if err != nil {
			b.Fatal(err)
		}
		count++
	}
	return count
}

func findInBatches(b *testing.B, db *gorm.DB) int {
	b.Helper()
	count := 0
	var rows []document
	err := db.Where("tenant_id = ? AND resource_type = ? AND deleted_at IS NULL", "", "Observation").
		FindInBatches(&rows, 1000, func(*gorm.DB, int) error {
			count += len(rows)
			return nil
		}).Error
	require.NoError(b, err)
	return count
}

// BenchmarkLoad loads into empty tables.
func BenchmarkLoad(b *testing.B) {
	const n = 50_000
	ndjson := lines(n)
	for name, open := range map[string]database{"sqlite": openSQLite, "postgres": openPostgres(pgtest.DSN(b))} {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				repo := newRepository(b, open(b))
				started := time.Now()
				_, err := repo.Load(b.Context(), "", bytes.NewReader(ndjson), gormsource.LoadOptions{})
				require.NoError(b, err)
				took += time.Since(started)
			}
			b.ReportMetric(n*float64(b.N)/took.Seconds(), "resources/s")
		})
	}
}

// BenchmarkSplit counts and cuts half of the rows.
func BenchmarkSplit(b *testing.B) {
	repo := load(b, openSQLite(b), 200_000)
	for b.Loop() {
		cuts, err := repo.Split(b.Context(), query("Observation"), 10_000)
		require.NoError(b, err)
		require.Len(b, cuts, 9)
	}
}

// BenchmarkGroup reads what 100 patients have among many, each with ten
// Observations and a Provenance of them, and then what half of all have. The
// time for the former is not to grow with the number of all.
func BenchmarkGroup(b *testing.B) {
	for name, open := range map[string]database{"sqlite": openSQLite, "postgres": openPostgres(pgtest.DSN(b))} {
		for _, n := range []int{2_000, 20_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchmarkGroup(b, open, n) })
		}
	}
}

func benchmarkGroup(b *testing.B, open database, patients int) {
	repo := newRepository(b, open(b))
	_, err := repo.Load(b.Context(), "", bytes.NewReader(wardsOf(patients)), gormsource.LoadOptions{})
	require.NoError(b, err)
	at, err := repo.TransactionTime(b.Context(), "")
	require.NoError(b, err)
	group := func(resourceType, id string) bulkexport.Query {
		return bulkexport.Query{
			Scope: bulkexport.Scope{Level: bulkexport.LevelGroup, Group: id}, Type: resourceType, AsOf: at,
		}
	}
	var few, provenance, half, blocks, all time.Duration
	measure := func(took *time.Duration, want int, fn func() int) {
		started := time.Now()
		require.Equal(b, want, fn())
		*took += time.Since(started)
	}
	for b.Loop() {
		measure(&few, 1000, func() int { return drain(b, repo, group("Observation", "few")) })
		measure(&provenance, 100, func() int { return drain(b, repo, group("Provenance", "few")) })
		measure(&half, patients/2*10, func() int { return drain(b, repo, group("Observation", "half")) })
		measure(&all, patients*10, func() int { return drain(b, repo, query("Observation")) })
		measure(&blocks, patients/2*12, func() int {
			return drainBlocks(b, repo, group("Patient", "half"), "Patient", "Observation", "Provenance")
		})
	}
	loops := float64(b.N)
	b.ReportMetric(few.Seconds()*1000/loops, "ms/few")
	b.ReportMetric(provenance.Seconds()*1000/loops, "ms/few-provenance")
	b.ReportMetric(loops*float64(patients/2*10)/half.Seconds(), "half/s")
	b.ReportMetric(loops*float64(patients*10)/all.Seconds(), "system/s")
	b.ReportMetric(loops*float64(patients/2*12)/blocks.Seconds(), "blocks/s")
}

// wardsOf makes patients, what they have one kind after the other, and Groups of
// 100 and of half of them.
func wardsOf(patients int) []byte {
	var b bytes.Buffer
	note := strings.Repeat("lorem ipsum ", 40)
	for i := range patients {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d"}`+"\n", i)
	}
	for k := range 10 {
		for i := range patients {
			fmt.Fprintf(&b, `{"resourceType":"Observation","id":"%d-%d","subject":{"reference":"Patient/p%d"},`+
				`"note":[{"text":%q}]}`+"\n", i, k, i, note)
		}
	}
	for i := range patients {
		fmt.Fprintf(&b, `{"resourceType":"Provenance","id":"%d","target":[{"reference":"Observation/%d-0"},`+
			`{"reference":"Observation/%d-1"}],"recorded":"2026-01-01T00:00:00Z"}`+"\n", i, i, i)
	}
	for id, every := range map[string]int{"few": patients / 100, "half": 2} {
		var members []string
		for i := 0; i < patients; i += every {
			members = append(members, fmt.Sprintf(`{"entity":{"reference":"Patient/p%d"}}`, i))
		}
		fmt.Fprintf(&b, `{"resourceType":"Group","id":%q,"actual":true,"member":[%s]}`+"\n",
			id, strings.Join(members, ","))
	}
	return b.Bytes()
}

func drainBlocks(b *testing.B, repo *gormsource.Repository, q bulkexport.Query, types ...string) int {
	b.Helper()
	count := 0
	for _, err := range repo.Blocks(b.Context(), q, types) {
		if err != nil {
			b.Fatal(err)
		}
		count++
	}
	return count
}
