package bulkexport_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// exportAll runs one export with everything in memory and prints its files.
func exportAll(source bulkexport.ResourceSource, filter bulkexport.FilterFunc) error {
	ctx := context.Background()
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: source, Store: memstore.New(), Sink: memsink.New(), Filter: filter,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	if err := exporter.Start(ctx); err != nil {
		return err
	}
	defer exporter.Stop(ctx)
	access := bulkexport.Access{}
	job, err := exporter.KickOff(ctx, access, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
	if err != nil {
		return err
	}
	for poll := time.NewTicker(time.Millisecond); ; <-poll.C {
		status, err := exporter.Status(ctx, access, job.ID)
		if err != nil {
			return err
		}
		if !status.Job.State.Ended() {
			continue
		}
		for _, file := range status.Files {
			opened, err := exporter.OpenFile(ctx, access, job.ID, file.PublicName)
			if err != nil {
				return err
			}
			content, err := io.ReadAll(opened)
			if err != nil {
				return err
			}
			fmt.Printf("%s: %d\n%s", file.PublicName, file.Count, content)
		}
		return nil
	}
}

// A unit test of what a host exports needs no database and no files, and takes
// some milliseconds.
func Example_inMemory() {
	source := memsource.New(memsource.Config{})
	for _, resource := range []string{
		`{"resourceType":"Patient","id":"p1"}`,
		`{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"},"valueInteger":7}`,
		`{"resourceType":"Patient","id":"p2"}`,
	} {
		if _, err := source.Put("", []byte(resource)); err != nil {
			log.Fatal(err)
		}
	}
	if err := exportAll(source, nil); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Observation.ndjson: 1
	// {"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"},"valueInteger":7}
	// Patient.ndjson: 2
	// {"resourceType":"Patient","id":"p1"}
	// {"resourceType":"Patient","id":"p2"}
}

// wards is a source of its own making: it has nothing but some Locations.
type wards []string

func (w wards) Types(context.Context, bulkexport.Scope) ([]string, error) {
	return []string{"Location"}, nil
}

func (w wards) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		if q.Type != "Location" {
			return
		}
		// The key is the place in the list, from 1, so that the order of keys is
		// that of the list and an interrupted read goes on after q.After.
		next := uint64(0)
		if q.After != nil {
			next = binary.BigEndian.Uint64(q.After)
		}
		for ; next < uint64(len(w)); next++ {
			if ctx.Err() != nil {
				yield(bulkexport.Resource{}, ctx.Err())
				return
			}
			location := fmt.Sprintf(`{"resourceType":"Location","id":"ward-%d","name":%q}`, next+1, w[next])
			key := binary.BigEndian.AppendUint64(nil, next+1)
			if !yield(bulkexport.Resource{Key: key, JSON: []byte(location)}, nil) {
				return
			}
		}
	}
}

// A source needs two methods. What else it can do are optional interfaces; this
// one cannot split, so its queries have no UpTo. Package sourcetest proves it.
func ExampleResourceSource() {
	if err := exportAll(wards{"Cardiology", "Surgery"}, nil); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Location.ndjson: 2
	// {"resourceType":"Location","id":"ward-1","name":"Cardiology"}
	// {"resourceType":"Location","id":"ward-2","name":"Surgery"}
}

// A filter drops what a patient does not want to share, and masks what the
// client may not see.
func ExampleFilterFunc() {
	filter := func(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
		text := string(resource)
		if strings.Contains(text, "Surgery") {
			return nil, nil // dropped, and counted
		}
		return []byte(strings.ReplaceAll(text, "Cardiology", "(masked)")), nil
	}
	if err := exportAll(wards{"Cardiology", "Surgery", "Radiology"}, filter); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Location.ndjson: 2
	// {"resourceType":"Location","id":"ward-1","name":"(masked)"}
	// {"resourceType":"Location","id":"ward-3","name":"Radiology"}
}
