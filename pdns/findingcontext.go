package pdns

import (
	"sync"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
)

// FindingContexts gives findings what is known of their client's network, name and
// answers, and hands them on. It is a detect.FindingSink, for any number of
// goroutines; findings are few, so one waits for another.
type FindingContexts struct {
	next detect.FindingSink

	mu       sync.Mutex // guards what is below
	contexts *contexts
}

// NewFindingContexts asks e about no more of clients than guard lets be kept.
func NewFindingContexts(e Enricher, guard *privacy.Guard, next detect.FindingSink) *FindingContexts {
	return &FindingContexts{next: next, contexts: newContexts(e, guard)}
}

// Find hands on a copy of f with its context.
func (c *FindingContexts) Find(f *detect.Finding) {
	found, t := *f, detect.Transaction{}
	if f.Transaction != nil {
		t = *f.Transaction
	}
	t.Query.Client = f.Client
	// Who is asked about detections is asked about what was found, too.
	t.Verdict.Level = max(t.Verdict.Level, f.Level)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.contexts.add(&t)
	found.Context = t.Context
	c.next.Find(&found)
}
