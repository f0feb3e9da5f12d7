package blocklist

import (
	"errors"
	"slices"
	"time"
)

// minReask is how long after it was asked a URL is left alone by Reload: a
// storm of signals must not become one of requests.
const minReask = time.Minute

// Reload is Reconfigure for somebody who says "now": files are read again even
// if their configuration is the same, and URLs are asked at once instead of
// when they are due. All or nothing: if a file cannot be read, or the
// configuration cannot be used, everything stays as it was. Run asks the URLs.
func (l *Lists) Reload(cfgs []Config) error {
	if err := ValidateAll(cfgs); err != nil {
		return err
	}
	type read struct {
		s     *source
		data  *data
		stamp fileStamp
	}
	l.mu.Lock()
	sources := slices.Clone(l.sources)
	l.mu.Unlock()
	var files []read
	var errs []error
	for _, s := range sources {
		if s.cfg.File == "" || !slices.ContainsFunc(cfgs, s.isFor) {
			continue
		}
		l.mu.Lock()
		g, had := l.guardFor(s, l.guard), s.entries()
		l.mu.Unlock()
		d, stamp, err := loadFile(&s.cfg, g, l.shop, had, time.Now())
		files = append(files, read{s, d, stamp})
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil {
		err = l.Reconfigure(cfgs)
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		l.mu.Lock()
		before := f.s.list
		l.mu.Unlock()
		_ = l.settle(f.s, f.data, nil, func() { f.s.stamp = f.stamp }) // there is no error to return
		l.swapped(f.s, before)
	}
	l.mu.Lock()
	now := time.Now()
	for _, s := range l.sources {
		if s.cfg.remote() && now.Sub(s.list.Checked) >= minReask {
			s.next = now
		}
	}
	l.mu.Unlock()
	l.wake()
	return nil
}

// isFor says whether s is the source of the list that c describes.
func (s *source) isFor(c Config) bool {
	d := c.withDefaults()
	return !c.Disabled && s.cfg.equal(&d)
}
