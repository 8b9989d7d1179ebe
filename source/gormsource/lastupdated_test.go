package gormsource_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

type visit struct {
	N       int `gorm:"primaryKey"`
	Changed time.Time
	Body    string
}

func visits(t testing.TB, db *gorm.DB) *gormsource.Tables {
	t.Helper()
	require.NoError(t, db.AutoMigrate(&visit{}))
	return newTables(t, db, gormsource.Table{
		Name: "visits", Type: "Encounter", KeyColumn: "n", BodyColumn: "body", LastUpdatedColumn: "changed",
	})
}

// testZones has gorm store times that lie close together, in zones that turn
// the order of their texts around.
func testZones(t *testing.T, open database) {
	db := open(t)
	source := visits(t, db)
	base := time.Date(2024, 3, 1, 0, 30, 0, 0, time.UTC)
	steps := []time.Duration{
		-time.Hour, -time.Second, -time.Millisecond, -time.Microsecond, 0, time.Microsecond,
		999 * time.Microsecond, time.Millisecond, 1001 * time.Microsecond, 100 * time.Millisecond,
		999600 * time.Microsecond, 999999 * time.Microsecond, time.Second, time.Minute, time.Hour,
	}
	zones := []int{0, -12 * 3600, 14 * 3600, 5*3600 + 1800, -3*3600 - 1800, 3600}
	for i, step := range steps {
		for j, offset := range zones {
			zone := time.FixedZone("", offset)
			if j == 0 {
				zone = time.UTC
			}
			at := base.Add(step).In(zone)
			require.NoError(t, db.Create(&visit{N: i*len(zones) + j + 1, Changed: at, Body: "{}"}).Error)
		}
	}
	for i, step := range steps {
		for _, offset := range zones {
			q := query("Encounter")
			q.Since = base.Add(step).In(time.FixedZone("", offset))
			require.Len(t, read(t, source, q), (len(steps)-1-i)*len(zones), "since %v", step)
			q.Since, q.Until = time.Time{}, q.Since
			require.Len(t, read(t, source, q), i*len(zones), "until %v", step)
		}
		// Between the microseconds that both databases can hold.
		q := query("Encounter")
		q.Since = base.Add(step + 1)
		require.Len(t, read(t, source, q), (len(steps)-1-i)*len(zones), "since a nanosecond after %v", step)
		q.Since = base.Add(step - 1)
		require.Len(t, read(t, source, q), (len(steps)-i)*len(zones), "since a nanosecond before %v", step)
		q.Since, q.Until = time.Time{}, base.Add(step+1)
		require.Len(t, read(t, source, q), (i+1)*len(zones), "until a nanosecond after %v", step)
	}
}

// TestTimeTexts has what others than gorm write into a column of SQLite.
func TestTimeTexts(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	source := visits(t, db)
	late := []string{
		"2024-03-01 12:00:00.000000001+00:00", "2024-03-01 12:00:00.5Z", "2024-03-01T12:00:01Z",
		"2024-03-01T12:00:00.10", "2024-03-01 12:01", "2024-03-02", "2024-03-01 10:00:00.001-02:00",
		"2024-03-01T12:00:00.0000001", "", "yesterday", // never lost
	}
	early := []string{
		"2024-03-01 12:00:00", "2024-03-01 12:00:00.000", "2024-03-01T12:00:00Z", "2024-03-01 12:00",
		"2024-03-01 14:00:00+02:00", "2024-03-01", "2024-03-01 11:59:59.999999999", "2024-02-29 23:59:59.9-12:00",
	}
	for i, text := range append(late, early...) {
		require.NoError(t, db.Exec("INSERT INTO visits VALUES (?, ?, ?)", i, text, text+"!").Error)
	}
	q := query("Encounter")
	q.Since = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	want := make([]string, len(late))
	for i, text := range late {
		want[i] = text + "!"
	}
	require.Equal(t, want, read(t, source, q))
}

func testIntegerTimes(t *testing.T, open database) {
	db := open(t)
	moments := []time.Time{
		time.Unix(-10, 0), time.Unix(-1, 0), time.Unix(0, 0), time.Unix(1, 0), time.Unix(1_700_000_000, 0),
	}
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond, time.Nanosecond} {
		name := fmt.Sprintf("per_%d", unit)
		create(t, db, "CREATE TABLE "+name+" (n BIGINT PRIMARY KEY, changed BIGINT NOT NULL, body TEXT)")
		for i, at := range moments {
			changed := at.Unix() * int64(time.Second/unit)
			require.NoError(t, db.Exec("INSERT INTO "+name+" VALUES (?, ?, '{}')", i, changed).Error)
		}
		source := newTables(t, db, gormsource.Table{
			Name: name, Type: "Patient", KeyColumn: "n", BodyColumn: "body",
			LastUpdatedColumn: "changed", LastUpdatedUnit: unit,
		})
		count := func(since, until time.Time) int {
			q := query("Patient")
			q.Since, q.Until = since, until
			return len(read(t, source, q))
		}
		none, n := time.Time{}, len(moments)
		for i, at := range moments {
			require.Equal(t, n-1-i, count(at, none), "%v since %v", unit, at)
			require.Equal(t, n-1-i, count(at.Add(1), none), "%v since %v", unit, at)
			require.Equal(t, n-i, count(at.Add(-1), none), "%v since %v", unit, at)
			require.Equal(t, i, count(none, at), "%v until %v", unit, at)
			require.Equal(t, i+1, count(none, at.Add(1)), "%v until %v", unit, at)
			require.Equal(t, i, count(none, at.Add(-1)), "%v until %v", unit, at)
		}
		far := time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
		require.Equal(t, n, count(far, none))
		require.Equal(t, 0, count(none, far))
		far = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
		require.Equal(t, 0, count(far, none))
		require.Equal(t, n, count(none, far))
	}
}
