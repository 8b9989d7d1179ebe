package bulkexport

import (
	"cmp"
	"slices"
)

// A manifest of several pages (allowPartialManifests) may be shown while the
// export runs. What a client has seen never changes, so pages are cut from the
// order that files will have in the end: a page is shown once all its files are
// committed, and all that stand before them, and only a page that is not the
// last one links to the next.
//
// All pages have the same list of error files, which must therefore be known
// when the first is shown: as long as there are none but that of the notices,
// which stands first in the plan. An error after that fails the export. As long
// as none was shown, it only means that the first page waits for the end.

// settled returns the files whose place is certain: all up to the first that is
// still to be written.
func settled(parts []Part) []OutputFile {
	sorted := slices.SortedFunc(slices.Values(parts), func(a, b Part) int {
		return cmp.Compare(a.Index, b.Index)
	})
	for i, part := range sorted {
		if !part.Done {
			return OutputFiles(sorted[:i+1])
		}
	}
	return OutputFiles(sorted)
}

// lateErrors reports whether there are error files besides that of the notices.
func lateErrors(parts []Part) bool {
	return slices.ContainsFunc(parts, func(p Part) bool {
		return p.Kind != PartNotices && slices.ContainsFunc(p.Files, func(f File) bool { return f.Kind == FileError })
	})
}

// paged tells error files, which are on every page, from all others.
func paged(files []OutputFile) (data, errors []OutputFile) {
	for _, file := range files {
		if file.Kind == FileError {
			errors = append(errors, file)
		} else {
			data = append(data, file)
		}
	}
	return data, errors
}

// page returns the files of a page, counted from 1, whether there is such a page
// yet, and whether another one follows.
func page(job Job, parts []Part, number, size int) (files []OutputFile, ready, more bool) {
	ended := job.State == JobCompleted
	if !job.Request.AllowPartial {
		return OutputFiles(parts), ended && number == 1, false
	}
	if !ended && (lateErrors(parts) && job.PublishedAt.IsZero() || !noticesDone(parts)) {
		return nil, false, false
	}
	data, errors := paged(settled(parts))
	if !ended {
		errors = slices.DeleteFunc(errors, func(f OutputFile) bool { return f.part != PartNotices })
	}
	if number < 1 || number > 1+len(data)/size {
		return nil, false, false
	}
	first, last := (number-1)*size, number*size
	if number > 1 && first == len(data) || !ended && last > len(data) {
		return nil, false, false
	}
	return append(data[first:min(last, len(data)):min(last, len(data))], errors...), true, last < len(data)
}

func noticesDone(parts []Part) bool {
	return !slices.ContainsFunc(parts, func(p Part) bool { return p.Kind == PartNotices && !p.Done })
}
