package bulkexport

import (
	"context"
	"sync"
)

// standing is what a poll is told of an export that has not ended.
type standing struct {
	revision int64 // that it is of, or older
	job      Job
	progress Progress
	retrying bool
	more     bool
}

// maxStandings bounds what is remembered. To forget one costs reading it again.
const maxStandings = 1000

// standings remember, of exports that were polled, what the last poll read. It
// holds for as long as the store has the same revision, so that each poll still
// tells what is stored, whichever process has stored it. It is safe for
// concurrent use.
type standings struct {
	revisions timedRevisions // without a store nothing is remembered

	mu    sync.Mutex
	byJob map[string]standing
}

// look returns what is known of a job, and whether that is how it is now. In any
// case it has a revision that there was before or during the call. Trouble with
// the store, or no such job, is for the read that follows to find.
func (s *standings) look(ctx context.Context, jobID string) (now standing, known bool) {
	if s.revisions.store == nil {
		return standing{}, false
	}
	revision, err := s.revisions.Revision(ctx, jobID)
	if err != nil {
		return standing{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, known = s.byJob[jobID]
	if known && now.revision == revision {
		return now, true
	}
	delete(s.byJob, jobID)
	return standing{revision: revision}, false
}

// note remembers what was read after a look. What is newer than its revision is
// as good: that revision does not come again.
func (s *standings) note(is standing) {
	if s.revisions.store == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byJob == nil || len(s.byJob) >= maxStandings {
		s.byJob = map[string]standing{}
	}
	s.byJob[is.job.ID] = is
}
