package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

// siteSaveInterval is what a crash may cost of the site's figures.
const siteSaveInterval = 5 * time.Minute

// siteFileName is its name in the state folder.
const siteFileName = "site-scores"

// maxSiteFile bounds what is read of the file; a good one has about 1 MiB.
const maxSiteFile = 4 << 20

// siteKeeper keeps the site's figures of scores in the state folder.
type siteKeeper struct {
	site     *detect.Site
	path     string
	log      *zap.Logger
	every    time.Duration
	failures prometheus.Counter
	restored error // why the last run's figures were not taken up
}

// newSiteKeeper takes up the figures of the last run. With a file that cannot
// be used the site begins anew: until enough names were seen the levels of the
// model's card decide, as ever. run says in the log how it went.
func newSiteKeeper(dir string, site *detect.Site, log *zap.Logger, reg prometheus.Registerer) *siteKeeper {
	k := &siteKeeper{
		site: site, path: filepath.Join(dir, siteFileName), log: log, every: siteSaveInterval,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_site_save_failures_total", Help: "Times that the site's figures of scores could not be written to the state folder.",
		}),
	}
	reg.MustRegister(k.failures)
	if k.restored = restoreSite(k.path, site); k.restored != nil {
		var key detect.SiteKey
		_, _ = rand.Read(key[:]) // cannot fail
		site.Reset(key)
	}
	return k
}

func (k *siteKeeper) announce() {
	switch {
	case k.restored == nil:
		k.log.Info("site's own scores taken up", zap.Int("names", k.site.Names()))
	case errors.Is(k.restored, fs.ErrNotExist): // the first run
	case errors.Is(k.restored, detect.ErrSiteModel):
		k.log.Info("site's own scores begin anew: those of the last run were of another model")
	default:
		k.log.Warn("site's own scores begin anew: those of the last run cannot be used", zap.Error(k.restored))
	}
}

// restoreSite reads the file into site.
func restoreSite(path string, site *detect.Site) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	data, err := io.ReadAll(io.LimitReader(f, maxSiteFile))
	if err != nil {
		return err
	}
	return site.Restore(data)
}

// run writes the figures from time to time, and at the end.
func (k *siteKeeper) run(ctx context.Context) error {
	k.announce()
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return k.save()
		case <-tick.C:
			if err := k.save(); err != nil {
				k.log.Warn("site's own scores not written", zap.Error(err))
			}
		}
	}
}

// save writes the figures, so that after a crash there are the old ones or the
// new ones.
func (k *siteKeeper) save() (err error) {
	data := k.site.Append(nil)
	if len(data) == 0 {
		return nil // the model is off: what the file says of it stays
	}
	defer func() {
		if err != nil {
			k.failures.Inc()
		}
	}()
	return atomicfile.Write(k.path, 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
