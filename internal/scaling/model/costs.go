// Package model simulates an export of a fleet of nodes on one database and one
// store of files, in virtual time. It is what docs/scaling.md takes its tables from.
//
// The model knows what is measured: what a resource, a part, a file, a heartbeat, a
// look at all parts and an idle node cost. Everything else is queues: work waits for
// the processors of the database, of its node, for disks, networks and the lock of
// the dispatcher, first come, first served.
package model

import (
	_ "embed" // of the measured constants
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Costs are the constants of the model. Processor times are seconds of one core, on
// the node or on the server of the database. The tags say what each is and which
// experiment of `go run ./internal/scaling -measure` measures it.
//
//nolint:lll // tags cannot be broken
type Costs struct {
	ResourceBytes    float64 `json:"resourceBytes" unit:"B" by:"export" about:"a resource as a line of a file"`
	StoredBytes      float64 `json:"storedBytes" unit:"B" by:"export" about:"a resource in its table, where the database reads it from disk"`
	NodeResource     float64 `json:"nodeResource" unit:"CPU µs" by:"export" about:"resource: read, check, hash and write it, on the node"`
	DatabaseResource float64 `json:"databaseResource" unit:"CPU µs" by:"export" about:"resource: read it, on the database"`
	PlanResource     float64 `json:"planResource" unit:"CPU µs" by:"plan" about:"resource: count it and cut the ranges, on the database, by one connection"`
	PlanPart         float64 `json:"planPart" unit:"CPU µs" by:"store" about:"part: it is stored with the plan, on node and database"`

	NodePart       float64 `json:"nodePart" unit:"CPU ms" by:"export" about:"part with its one file: claim, commit, River's rows, on the node"`
	DatabasePart   float64 `json:"databasePart" unit:"CPU ms" by:"export" about:"part with its one file, on the database"`
	PartSeconds    float64 `json:"partSeconds" unit:"ms" by:"export" about:"part: time besides processor time, above all syncs and the wait for the next task"`
	PartStatements float64 `json:"partStatements" unit:"" by:"export" about:"part: statements"`
	PartWAL        float64 `json:"partWAL" unit:"B" by:"export" about:"part: write-ahead log"`

	NodeFile       float64 `json:"nodeFile" unit:"CPU ms" by:"export" about:"each further file of a part, on the node"`
	DatabaseFile   float64 `json:"databaseFile" unit:"CPU ms" by:"export" about:"each further file of a part, on the database"`
	FileStatements float64 `json:"fileStatements" unit:"" by:"export" about:"each further file: statements"`

	DispatchSeconds float64 `json:"dispatchSeconds" unit:"ms" by:"river" about:"dispatch: statements under the lock that all nodes share, for each part and each second of each node"`
	CommitSeconds   float64 `json:"commitSeconds" unit:"ms" by:"store" about:"commit of one row: time until it is on disk"`
	EnqueueTask     float64 `json:"enqueueTask" unit:"CPU µs" by:"river" about:"task that waits already and is enqueued again by each sweep, on the database"`
	EnqueueWAL      float64 `json:"enqueueWAL" unit:"B" by:"river" about:"the same: write-ahead log"`

	NodeBeat       float64 `json:"nodeBeat" unit:"CPU µs" by:"store" about:"heartbeat of a part, every 0.7 s while it is performed, on the node"`
	DatabaseBeat   float64 `json:"databaseBeat" unit:"CPU µs" by:"store" about:"heartbeat, on the database"`
	BeatStatements float64 `json:"beatStatements" unit:"" by:"store" about:"heartbeat: statements"`
	BeatWAL        float64 `json:"beatWAL" unit:"B" by:"store" about:"heartbeat: write-ahead log"`

	NodeRead     float64 `json:"nodeRead" unit:"CPU µs" by:"store" about:"look at all parts (sweep, finish, status, page, download): each part, on the node"`
	DatabaseRead float64 `json:"databaseRead" unit:"CPU µs" by:"store" about:"the same, on the database"`
	DatabaseSum  float64 `json:"databaseSum" unit:"CPU µs" by:"store" about:"poll that finds nothing new: each part, on the database"`
	RecordBytes  float64 `json:"recordBytes" unit:"B" by:"store" about:"record of a part with one file"`
	ReadMemory   float64 `json:"readMemory" unit:"B" by:"store" about:"memory of a look at all parts, for each part"`

	NodeIdle       float64 `json:"nodeIdle" unit:"CPU ms/s" by:"idle" about:"idle node, on the node"`
	DatabaseIdle   float64 `json:"databaseIdle" unit:"CPU ms/s" by:"idle" about:"idle node, on the database"`
	IdleStatements float64 `json:"idleStatements" unit:"/s" by:"idle" about:"idle node: statements"`

	EntryBytes   float64 `json:"entryBytes" unit:"B" by:"export" about:"file in the manifest"`
	NodeMemory   float64 `json:"nodeMemory" unit:"MiB" by:"export" about:"node with one worker: peak of resident memory"`
	WorkerMemory float64 `json:"workerMemory" unit:"MiB" by:"export" about:"each further worker"`
}

//go:embed costs.json
var measured []byte

// Measured returns the constants that the tables of docs/scaling.md are made of.
func Measured() (Costs, error) {
	var c Costs
	if err := json.Unmarshal(measured, &c); err != nil {
		return c, fmt.Errorf("costs.json: %w", err)
	}
	return c, nil
}

// Stretched returns the costs where all that is computed takes so many times as long.
func (c Costs) Stretched(times float64) Costs {
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if strings.HasPrefix(v.Type().Field(i).Tag.Get("unit"), "CPU ") {
			v.Field(i).SetFloat(v.Field(i).Float() * times)
		}
	}
	c.DispatchSeconds *= times
	return c
}

// Scale returns how many of a unit are one in the base units of [Costs]: seconds and
// bytes.
func Scale(unit string) float64 {
	switch {
	case strings.Contains(unit, "µs"):
		return 1e6
	case strings.Contains(unit, "ms"):
		return 1e3
	case unit == "MiB":
		return 1.0 / (1 << 20)
	}
	return 1
}

// Digits rounds to so many digits that count.
func Digits(value float64, digits int) float64 {
	if value == 0 || math.IsNaN(value) || math.IsInf(value, 0) {
		return value
	}
	place := math.Floor(math.Log10(math.Abs(value))) + 1 - float64(digits)
	if place < 0 {
		scale := math.Pow(10, -place)
		return math.Round(value*scale) / scale
	}
	scale := math.Pow(10, place)
	return math.Round(value/scale) * scale
}
