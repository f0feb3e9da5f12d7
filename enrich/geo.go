package enrich

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/weirdns/weir/detect"
)

// geo is up to two mmdb files. They are mapped, not read: whoever brings a new one
// has to put it in the old one's place by renaming.
type geo struct{ city, asn *maxminddb.Reader }

// openGeo opens the files that cfg names. Its errors begin with the setting.
func openGeo(cfg *Config) (*geo, error) {
	g := &geo{}
	var cityErr, asnErr error
	g.city, cityErr = openMMDB("city", cfg.City, "City", "Country", "Enterprise", "Location")
	g.asn, asnErr = openMMDB("asn", cfg.ASN, "ASN", "ISP", "Enterprise")
	if err := errors.Join(cityErr, asnErr); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// openMMDB opens a file whose type has one of the words in it: a city file in the
// place of the other one would find nothing, and say nothing.
func openMMDB(setting, path string, words ...string) (*maxminddb.Reader, error) {
	if path == "" {
		return nil, nil
	}
	r, err := maxminddb.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", setting, path, err)
	}
	for _, w := range words {
		if strings.Contains(r.Metadata.DatabaseType, w) {
			return r, nil
		}
	}
	err = fmt.Errorf("%s: %s is of type %q, which has not what is needed here (%s)", setting, path, r.Metadata.DatabaseType, strings.Join(words, ", "))
	return nil, errors.Join(err, r.Close())
}

func (g *geo) close() (err error) {
	for _, r := range []*maxminddb.Reader{g.city, g.asn} {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}
	return err
}

// none says that there is no file to look in.
func (g *geo) none() bool { return g.city == nil && g.asn == nil }

// place is what the files say of all of p: of a network that they know in parts,
// nothing.
func (g *geo) place(p netip.Prefix) (out detect.Place, err error) {
	if r, ok := found(g.city, p, &err); ok {
		err = errors.Join(err, r.DecodePath(&out.Country, "country", "iso_code"), r.DecodePath(&out.City, "city", "names", "en"))
	}
	if r, ok := found(g.asn, p, &err); ok {
		err = errors.Join(err, r.DecodePath(&out.ASN, "autonomous_system_number"), r.DecodePath(&out.Org, "autonomous_system_organization"))
	}
	return out, err
}

func found(db *maxminddb.Reader, p netip.Prefix, err *error) (r maxminddb.Result, ok bool) {
	if db == nil || p.Addr().Is6() && db.Metadata.IPVersion == 4 {
		return r, false
	}
	r = db.Lookup(p.Addr())
	if e := r.Err(); e != nil {
		*err = errors.Join(*err, e)
		return r, false
	}
	return r, r.Found() && r.Prefix().Bits() <= p.Bits()
}
