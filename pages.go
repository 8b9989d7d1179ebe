package bulkexport

import (
	"cmp"
	"slices"
)

// A manifest of several pages (allowPartialManifests) may be shown while the
// export runs. What a client has seen never changes, so pages are cut from the
// order that files will have in the end: a page is shown once all its files are
// committed, and all that stand before them, and one more, so that the page is
// known to have a link to the next; the last one is shown when the export has
// ended.
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

// pages are those pages of a manifest that can be shown.
type pages struct {
	data, errors []OutputFile
	// size is the number of data files on a page, count the number of pages.
	size, count int
	// last says that no more pages will come.
	last bool
}

func pagesOf(job Job, parts []Part, size int) pages {
	ended := job.State == JobCompleted
	if !job.Request.AllowPartial {
		p := pages{last: true}
		if ended {
			p.data, p.count = OutputFiles(parts), 1
			p.size = len(p.data)
		}
		return p
	}
	if !ended && (lateErrors(parts) && job.PublishedAt.IsZero() || !noticesDone(parts)) {
		return pages{}
	}
	data, errors := paged(settled(parts))
	if ended {
		return pages{data, errors, size, max((len(data)+size-1)/size, 1), true}
	}
	errors = slices.DeleteFunc(errors, func(f OutputFile) bool { return f.part != PartNotices })
	return pages{data, errors, size, max(len(data)-1, 0) / size, false}
}

// at returns the files of a page, counted from 1, whether there is such a page
// yet, and whether another one follows.
func (p pages) at(number int) (files []OutputFile, ready, more bool) {
	if number < 1 || number > p.count {
		return nil, false, false
	}
	first := (number - 1) * p.size
	last := min(number*p.size, len(p.data))
	return slices.Concat(p.data[first:last], p.errors), true, number < p.count || !p.last
}

// files returns those on all pages, and the one that continues the last of them.
func (p pages) files() []OutputFile {
	end := min(p.count*p.size, len(p.data))
	if end > 0 && end < len(p.data) && p.data[end-1].ContinuesIn != "" {
		end++
	}
	return slices.Concat(p.data[:end], p.errors)
}

func noticesDone(parts []Part) bool {
	return !slices.ContainsFunc(parts, func(p Part) bool { return p.Kind == PartNotices && !p.Done })
}
