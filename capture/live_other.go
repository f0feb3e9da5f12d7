//go:build !linux

package capture

import "context"

// Live reads interfaces; not on this system.
type Live struct{}

// OpenLive fails.
func (c *Capture) OpenLive() (*Live, error) { return nil, ErrLiveSystem }

// Run is never reached.
func (l *Live) Run(context.Context) error { return ErrLiveSystem }

// Close is never reached.
func (l *Live) Close() {}
