package bulkexport

import (
	"bytes"
	"context"
	"slices"
)

// deletionsPerLine is how many deletions make a transaction: small enough for
// a client to apply at once.
const deletionsPerLine = 100

// writeNotices writes what a client is told about its request. There is no
// cursor in it, so all is committed at once.
func (a *attempt) writeNotices(ctx context.Context) error {
	for _, notice := range noticesOf(a.job.Request) {
		if err := a.putError(ctx, outcomeLine(notice)); err != nil {
			return err
		}
		a.errors.countIssue(notice.Severity)
	}
	return nil
}

// readDeletions reads what was deleted, type after type. The cursor is that of
// the source behind the name of the type.
func (a *attempt) readDeletions(ctx context.Context) error {
	var entries []deletionEntry
	var cursor []byte
	flush := func() error {
		if len(entries) == 0 {
			return nil
		}
		if err := a.put(ctx, a.output, deletionLine(entries)); err != nil {
			return err
		}
		a.add.processed += int64(len(entries))
		a.seen.Add(int64(len(entries)))
		a.add.cursor = append(a.add.cursor[:0], cursor...)
		entries = entries[:0]
		return nil
	}
	types, after := a.deletionsLeft()
	source := a.e.cfg.Source.(SourceDeletions)
	for _, name := range types {
		q := a.e.queryFor(a.job, Part{Type: name, After: after})
		q.Filters = nil
		after = nil
		for deletion, err := range source.Deletions(ctx, q) {
			a.answers.Add(1)
			if err != nil {
				return sourceFault("read deletions of %s: %w", name, err)
			}
			if len(deletion.Key) == 0 || deletion.ID == "" {
				return sourceFault("read deletions of %s: one has no key or no id", name)
			}
			entries = append(entries, deletionEntry{deletionRequest{"DELETE", name + "/" + deletion.ID}})
			cursor = slices.Concat([]byte(name), []byte("/"), deletion.Key)
			if len(entries) < deletionsPerLine {
				continue
			}
			if err := flush(); err != nil {
				return err
			}
		}
		a.answers.Add(1)
	}
	return flush()
}

// deletionsLeft returns the types that are still to be read, and the key after
// which to go on in the first of them.
func (a *attempt) deletionsLeft() (types []string, after []byte) {
	types = a.e.deletedTypes(a.job.Request)
	name, key, found := bytes.Cut(a.part.Cursor, []byte("/"))
	if !found {
		return types, nil
	}
	i, same := slices.BinarySearch(types, string(name))
	if !same {
		return types[i:], nil
	}
	return types[i:], key
}
