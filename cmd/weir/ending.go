package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
)

// untilSignal is a context that ends at the first SIGTERM or SIGINT, so that what
// was read by then can be written. The second finds nobody listening, and ends
// the process as if the first had not been.
func untilSignal(log *zap.Logger) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	disarm := context.AfterFunc(ctx, func() {
		stop()
		log.Info("weir ends and writes what it has; a second signal ends it at once")
	})
	return ctx, func() {
		disarm()
		stop()
	}
}

// brokenPipes has writes to a standard output that nobody reads any more fail
// as others do, instead of ending the process. (Ignored, it would be ignored by
// the programs that are started, too.)
func brokenPipes() (stop func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// ended puts say in the place of what the end of a context did to err; nil: say
// nothing.
func ended(err, say error) error {
	var errs []error
	told := false
	for _, e := range split(err) {
		switch {
		case !errors.Is(e, context.Canceled):
			errs = append(errs, e)
		case !told:
			told = true
			errs = append(errs, say)
		}
	}
	return errors.Join(errs...)
}
