package cryptsink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/filesink"
)

// A host wraps its sink. Without the key of a job its files are as good as deleted.
func Example() {
	dir, err := os.MkdirTemp("", "bulkexport-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	files, err := filesink.New(filepath.Join(dir, "files"))
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close()
	keys, err := cryptsink.NewKeyFolder(filepath.Join(dir, "keys"))
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	sink := cryptsink.New(files, keys) // for bulkexport.Config.Sink

	ctx := context.Background()
	w, err := sink.Create(ctx, "job", "Patient.ndjson")
	if err != nil {
		log.Fatal(err)
	}
	_, err = io.WriteString(w, `{"resourceType":"Patient"}`+"\n")
	if err = errors.Join(err, w.Commit()); err != nil {
		log.Fatal(err)
	}
	r, err := sink.Open(ctx, "job", "Patient.ndjson")
	if err != nil {
		log.Fatal(err)
	}
	_, err = io.Copy(os.Stdout, r)
	if err = errors.Join(err, r.Close()); err != nil {
		log.Fatal(err)
	}

	if err := keys.DeleteKey(ctx, "job"); err != nil {
		log.Fatal(err)
	}
	_, err = sink.Open(ctx, "job", "Patient.ndjson")
	fmt.Println(errors.Is(err, bulkexport.ErrFileNotFound))
	// Output:
	// {"resourceType":"Patient"}
	// true
}
