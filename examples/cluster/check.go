package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
	"github.com/bulkexport/bulkexport/internal/bulkclient"
)

// download reads all files from the last node, and checks that they are what was
// loaded.
func (p *play) download(ctx context.Context) error {
	from := p.last()
	p.step("Download from " + from.name)
	_, manifest, err := p.client.Status(ctx, from.BaseURL, p.job)
	switch {
	case err != nil:
		return err
	case manifest == nil:
		return errors.New("the export runs again")
	case len(manifest.Error) > 0:
		return errors.New("the manifest lists errors")
	}
	began := time.Now()
	found := newInventory()
	for _, file := range manifest.Output {
		if err := p.save(ctx, from, file, found); err != nil {
			return err
		}
	}
	if err := found.check(p.loaded); err != nil {
		return err
	}
	p.say("%d files, %d lines, %.1f MB in %.1f s: counts and SHA-256 as in the manifest,",
		len(manifest.Output), len(found.ids), float64(found.size)/1e6, time.Since(began).Seconds())
	p.say("each id exactly once, and the lines are those that were loaded, byte for byte.")
	return nil
}

// save downloads one file.
func (p *play) save(ctx context.Context, from *node, file bulkclient.File, found *inventory) (err error) {
	if p.dir != "" {
		kept, openErr := os.Create(filepath.Join(p.dir, filepath.Base(file.Name())))
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, kept.Close()) }()
		found.copy = kept
	}
	content, err := p.client.Download(ctx, from.BaseURL, file, found.add)
	found.size += content.Bytes
	return err
}

// inventory is what was downloaded.
type inventory struct {
	digest dataset.Digest
	ids    map[string]int // how often there is each Type/id
	size   int64
	copy   io.Writer // gets the lines too
	err    error
}

func newInventory() *inventory { return &inventory{ids: map[string]int{}, copy: io.Discard} }

func (i *inventory) add(line []byte) {
	var resource struct{ ResourceType, ID string }
	err := json.Unmarshal(line, &resource)
	i.ids[resource.ResourceType+"/"+resource.ID]++
	for _, piece := range [][]byte{line, {'\n'}} {
		_, wrong := i.digest.Write(piece)
		_, full := i.copy.Write(piece)
		err = errors.Join(err, wrong, full)
	}
	i.err = errors.Join(i.err, err)
}

// check compares with what was loaded. Its errors show nothing of the resources.
func (i *inventory) check(loaded map[string]dataset.Fingerprint) error {
	if i.err != nil {
		return i.err
	}
	found, err := i.digest.Types()
	if err != nil {
		return err
	}
	for _, n := range i.ids {
		if n > 1 {
			return fmt.Errorf("a resource is there %d times", n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(loaded)) {
		if found[name] != loaded[name] {
			return fmt.Errorf("%s: the %d lines exported are not the %d loaded", name, found[name].Lines, loaded[name].Lines)
		}
	}
	if len(found) != len(loaded) {
		return errors.New("there are types that nobody loaded")
	}
	return nil
}

func digestInto(d *dataset.Digest) func(io.Reader) error {
	return func(r io.Reader) error {
		_, err := io.Copy(d, r)
		return err
	}
}

// total adds up lines and bytes, line feeds included.
func total(types map[string]dataset.Fingerprint) (lines, size int64) {
	for _, f := range types {
		lines += f.Lines
		size += f.Bytes + f.Lines
	}
	return lines, size
}
