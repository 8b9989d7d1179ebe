package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// Databases of small resources are loaded in part, and then multiplied by SQL:
// the ids of the first copy begin with firstCopy, which occurs nowhere else.
const (
	firstCopy = "c00000"
	loaded    = 100_000 // resources that are loaded at most
)

// smallRecords makes resources of about 300 bytes, patient by patient.
func smallRecords(patients, others int) io.Reader {
	types := []string{"Observation", "Observation", "Condition", "Observation", "Encounter"}
	return stream(func(write func([]byte) bool) {
		var b bytes.Buffer
		for i := range patients {
			b.Reset()
			patient := fmt.Sprintf("%s-p%d", firstCopy, i)
			fmt.Fprintf(&b, `{"resourceType":"Patient","id":%q,"meta":{"lastUpdated":"2024-05-06T07:08:09.123Z"},`+
				`"identifier":[{"system":"https://hospital.example.org/mrn","value":"%08d"}],"active":true,`+
				`"name":[{"family":"Lindqvist","given":["Ingrid"]}],"gender":"female","birthDate":"1956-03-12"}`+"\n",
				patient, i)
			for k := range others {
				fmt.Fprintf(&b, `{"resourceType":%q,"id":"%s-%d-%d","meta":{"lastUpdated":"2024-05-06T07:08:09.123Z"},`+
					`"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4",`+
					`"display":"Heart rate"}]},"subject":{"reference":"Patient/%s"},`+
					`"valueQuantity":{"value":%d,"unit":"/min","system":"http://unitsofmeasure.org"}}`+"\n",
					types[k%len(types)], firstCopy, i, k, patient, 60+k)
			}
			if !write(b.Bytes()) {
				return
			}
		}
	})
}

// smallDatabase fills a database with at least so many small resources, in the
// order that Repository.Load gives them, and returns how many patients a copy has
// and how many copies there are.
func smallDatabase(ctx context.Context, db *gorm.DB, patients, others int) (inCopy, copies int, err error) {
	copies = (patients*(others+1) + loaded - 1) / loaded
	inCopy = (patients + copies - 1) / copies
	if err := load(ctx, db, smallRecords(inCopy, others)); err != nil {
		return 0, 0, err
	}
	return inCopy, copies, multiply(db.WithContext(ctx), copies)
}

// multiply makes so many copies of what a database holds, with ids of their own,
// as if they had been loaded one after the other.
func multiply(db *gorm.DB, copies int) error {
	var step int64
	const next = "SELECT ((max(seq) >> 12) + 1) << 12 FROM bulkexport_resources"
	if err := db.Raw(next).Scan(&step).Error; err != nil {
		return err
	}
	for n := 1; n < copies; n++ {
		prefix, shift := fmt.Sprintf("c%05d", n), int64(n)*step
		err := db.Exec(`INSERT INTO bulkexport_resources
			SELECT seq + @shift, tenant, type, replace(id, @from, @to), last_updated, superseded_at, flags,
				replace(patients, @from, @to), replace(body, @from, @to)
			FROM bulkexport_resources WHERE seq < @step ORDER BY seq`, sqlNames(shift, step, prefix)).Error
		if err != nil {
			return err
		}
		err = db.Exec(`INSERT INTO bulkexport_compartment
			SELECT tenant, replace(patient, @from, @to), type, seq + @shift
			FROM bulkexport_compartment WHERE tenant = '' AND patient > @from AND patient < 'c00001'
			ORDER BY tenant, patient, type, seq`, sqlNames(shift, step, prefix)).Error
		if err != nil {
			return err
		}
	}
	return db.Exec("UPDATE bulkexport_clock SET batch = (SELECT (max(seq) >> 12) + 1 FROM bulkexport_resources)").Error
}

func sqlNames(shift, step int64, prefix string) map[string]any {
	return map[string]any{"shift": shift, "step": step, "from": firstCopy, "to": prefix}
}

// wardsOf returns a database with a tenth as many patients as resources are asked for.
func wardsOf(ctx context.Context, b *bench) (string, error) {
	patients := b.resources / 10
	return b.database(ctx, fmt.Sprintf("wards-%d.db", patients), wards(ctx, patients))
}

// wards fills a database with patients who have two observations each, and Groups:
// all, with all of them, and few, with one in a thousand.
func wards(ctx context.Context, patients int) func(*gorm.DB) error {
	return func(db *gorm.DB) error {
		inCopy, copies, err := smallDatabase(ctx, db, patients, 2)
		if err != nil {
			return err
		}
		var all, few []string
		for i := range inCopy * copies {
			id := fmt.Sprintf("c%05d-p%d", i/inCopy, i%inCopy)
			all = append(all, id)
			if i%1000 == 0 {
				few = append(few, id)
			}
		}
		return load(ctx, db, bytes.NewReader(slices.Concat(group("all", all), group("few", few))))
	}
}

func group(id string, patients []string) []byte {
	const between = `"}},{"entity":{"reference":"Patient/`
	return fmt.Appendf(nil, `{"resourceType":"Group","id":%q,"type":"person","actual":true,`+
		`"member":[{"entity":{"reference":"Patient/%s"}}]}`+"\n", id, strings.Join(patients, between))
}

// large makes resources of so many bytes, and a little more.
func large(resources, size int) io.Reader {
	return stream(func(write func([]byte) bool) {
		data := strings.Repeat("TG9yZW0gaXBzdW0g", size/16)
		for i := range resources {
			if !write(fmt.Appendf(nil, `{"resourceType":"DocumentReference","id":"d%d","status":"current",`+
				`"content":[{"attachment":{"contentType":"text/plain","data":%q}}]}`+"\n", i, data)) {
				return
			}
		}
	})
}
