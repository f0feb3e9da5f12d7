package behaviour

import "github.com/weirdns/weir/detect"

// Name is the output's name in metrics.
func (w *Watcher) Name() string { return "behaviour" }

// Wants says, on the answer path, whether a transaction is looked at.
func (w *Watcher) Wants(t *detect.Transaction) bool { return watches(t) }

// Consume is Record.
func (w *Watcher) Consume(t *detect.Transaction) { w.Record(t) }

// Tend, Stopping and Close have nothing to do: whoever keeps the state asks for
// it.
func (w *Watcher) Tend() error  { return nil }
func (w *Watcher) Stopping()    {}
func (w *Watcher) Close() error { return nil }

// Recorded counts transactions that were looked at.
func (w *Watcher) Recorded() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watched
}

// Dropped is 0: there is always room.
func (w *Watcher) Dropped() uint64 { return 0 }
