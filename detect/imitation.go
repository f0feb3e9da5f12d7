package detect

import (
	"errors"
	"fmt"

	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
)

// LookalikeConfig says which brands are watched for imitations.
type LookalikeConfig struct {
	// Mode: off, monitor or enforce. Default monitor.
	Mode string `yaml:"mode"`
	// Grade from which an imitation counts as a detection: low, medium or high.
	// docs/detections.md has the false alarms of each. Default high.
	Grade string `yaml:"grade"`
	// Action overrides block.action for imitations.
	Action string `yaml:"action"`
	// Builtin adds the brands that forgers use most to yours. Default true.
	Builtin bool `yaml:"builtin"`
	// Brands are registered domains to protect, your own first of all.
	Brands []string `yaml:"brands"`
	// Owned are further registered domains of yours, which imitate nobody.
	Owned []string `yaml:"owned"`
}

// imitations finds look-alikes.
type imitations struct {
	index *lookalike.Index
	grade lookalike.Grade
	rule  rule
}

// newImitations is nil where the detector is off.
func newImitations(errs *[]error, c *LookalikeConfig, r rule) *imitations {
	checkMode(errs, "lookalike.mode", c.Mode, ModeOff, ModeMonitor, ModeEnforce)
	grade, err := lookalike.ParseGrade(c.Grade)
	if err != nil {
		*errs = append(*errs, fmt.Errorf("lookalike.grade: %w", err))
	}
	var brands []lookalike.Brand
	for _, b := range c.Brands {
		brands = append(brands, lookalike.Brand{Domain: b, Owned: c.Owned})
	}
	if c.Builtin {
		for _, b := range lookalike.Builtin() {
			b.Owned = append(b.Owned, c.Owned...)
			brands = append(brands, b)
		}
	}
	index, err := lookalike.New(brands)
	if err != nil {
		for _, e := range unjoin(err) {
			*errs = append(*errs, fmt.Errorf("lookalike: %w", e))
		}
		return nil
	}
	if c.Mode == ModeOff || index.Len() == 0 {
		return nil
	}
	return &imitations{index: index, grade: grade, rule: r}
}

// unjoin takes joined errors apart.
func unjoin(err error) []error {
	if j, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// ask says which brand the name imitates, as lookalike.Match.Pack does.
func (i *imitations) ask(name dnsname.Name, split dnsname.Split) uint32 {
	m, _ := i.index.Match(name, split)
	return i.index.Pack(m)
}

// imitates fills in the look-alike's part of a verdict.
func (st *state) imitates(registered dnsname.Name, m lookalike.Match, v *Verdict) {
	i := st.policy.imitations
	if v.Lookalike = m; m.Grade < i.grade {
		return
	}
	popular := st.popular.Has(registered)
	v.Popular = v.Popular || popular
	i.rule.apply(v, OriginLookalike, !popular)
}
