package behaviour

// Calibrate ends the day and says what one in n client-days reached in it.
func (w *Watcher) Calibrate(n int) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.days++ // as if there had been one before
	w.turn((w.day + 1) * daySeconds)
	t, _ := w.peaks.reachedBy(n)
	return t
}
