package bulkexport_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// notebook is where several goroutines write to.
type notebook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notebook) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

// TestMarksAreObservedNowhere has records that are marked, sound and broken ones, and an
// observer that writes down all that it is told: neither that nor logs nor error files
// have a mark.
func TestMarksAreObservedNowhere(t *testing.T) {
	t.Parallel()
	const mark = "CANARY-5e1b"
	synctest.Test(t, func(t *testing.T) {
		var notes notebook
		source := newListSource(map[string]int{"Patient": 9, "Observation": 1})
		copy(source.lists["Patient"], []string{
			`{"resourceType":"Patient","name":"` + mark, `{"resourceType":"` + mark + `"}`, mark, `{"` + mark + `":1}`,
			`{"resourceType":"Patient","x":` + mark + `}`, "{\"resourceType\":\"Patient\",\"x\":\"" + mark + "\n\"}",
			"{\"resourceType\":\"Patient\",\"x\":\"" + mark + "\xff\"}", `{"resourceType":"Patient"} ` + mark,
		})
		source.lists["Observation"][0] = `{"resourceType":"Observation","id":"1","note":"` + mark + `"}`
		cfg := bulkexport.Config{
			Source: source, Logger: slog.New(slog.NewJSONHandler(&notes, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Observer: bulkexport.Observer{
				JobAccepted: func(_ context.Context, job bulkexport.Job) { fmt.Fprintf(&notes, "%+v\n", job) },
				JobEnded:    func(_ context.Context, job bulkexport.Job) { fmt.Fprintf(&notes, "%+v\n", job) },
				PartEnded: func(_ context.Context, _ bulkexport.Job, attempt bulkexport.PartAttempt) {
					fmt.Fprintf(&notes, "%+v\n", attempt)
				},
				FileCommitted: func(_ context.Context, _ bulkexport.Job, file bulkexport.File) {
					fmt.Fprintf(&notes, "%+v\n", file)
				},
				FileOpened: func(_ context.Context, _ bulkexport.Job, file bulkexport.OutputFile) {
					fmt.Fprintf(&notes, "%+v\n", file)
				},
				CleanedUp: func(_ context.Context, storage bulkexport.Storage) { fmt.Fprintf(&notes, "%+v\n", storage) },
			},
		}
		k := newKit(t, cfg)
		k.start()
		defer k.stop()
		id := k.kickOff()
		k.wait(id)
		files := k.contents(id)
		require.Contains(t, files["Observation.ndjson"], mark)
		require.Equal(t, 8, strings.Count(files["errors.ndjson"], "\n"))
		require.NotContains(t, files["errors.ndjson"], mark)
		_, err := k.exporter.CleanUp(t.Context())
		require.NoError(t, err)
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		synctest.Wait()
		notes.mu.Lock()
		defer notes.mu.Unlock()
		for _, told := range []string{id, "Observation.ndjson", "export completed", "Claim:"} {
			require.Contains(t, notes.text.String(), told)
		}
		require.NotContains(t, notes.text.String(), mark)
	})
}
