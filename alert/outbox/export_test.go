package outbox

import "time"

// SetRetry makes the first wait shorter, for tests.
func (o *Outbox) SetRetry(d time.Duration) { o.retry = d }
