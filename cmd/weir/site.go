package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
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
	stateFile
	site     *detect.Site
	restored error // why the last run's figures were not taken up
}

// newSiteKeeper takes up the figures of the last run. With a file that cannot
// be used the site begins anew: until enough names were seen the levels of the
// model's card decide, as ever. run says in the log how it went.
func newSiteKeeper(dir string, site *detect.Site, log *zap.Logger, reg prometheus.Registerer) *siteKeeper {
	k := &siteKeeper{site: site, stateFile: stateFile{
		path: filepath.Join(dir, siteFileName), every: siteSaveInterval,
		what: "site's own scores", log: log,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_site_save_failures_total", Help: "Times that the site's figures of scores could not be written to the state folder.",
		}),
	}}
	reg.MustRegister(k.failures)
	if k.restored = restoreSite(k.path, site); k.restored != nil {
		var key detect.SiteKey
		_, _ = rand.Read(key[:]) // cannot fail
		site.Reset(key)
	}
	return k
}

// restoreSite reads the file into site.
func restoreSite(path string, site *detect.Site) error {
	data, err := readState(path, maxSiteFile)
	if err != nil {
		return err
	}
	return site.Restore(data)
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

// run writes the figures from time to time, and at the end.
func (k *siteKeeper) run(ctx context.Context) error {
	k.announce()
	return k.keep(ctx, k.save)
}

func (k *siteKeeper) save() error {
	data := k.site.Append(nil)
	if len(data) == 0 {
		return nil // the model is off: what the file says of it stays
	}
	return k.write(data)
}
