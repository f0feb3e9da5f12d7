package blocklist

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/xfr"
)

// Transfer is where a policy zone comes from: its primary, by AXFR and then by
// IXFR as the zone's SOA says. An empty primary means that the list is not one.
type Transfer struct {
	// Primary is the server's address, "IP" or "IP:port". No name: it would have
	// to be resolved.
	Primary string `yaml:"primary"`
	// Zone is the zone's name.
	Zone string `yaml:"zone"`
	// TSIGName is the name of the key that requests and answers are signed with.
	// Default none: unsigned.
	TSIGName string `yaml:"tsig_name"`
	// TSIGAlgorithm: hmac-sha256, hmac-sha384 or hmac-sha512. Default hmac-sha256.
	TSIGAlgorithm string `yaml:"tsig_algorithm"`
	// TSIGKeyFile holds the key in base64, on one line; it is read before each
	// transfer.
	TSIGKeyFile string `yaml:"tsig_key_file"`
}

const (
	// maxChanges bounds what an incremental transfer may say; a larger one is
	// asked for as a whole.
	maxChanges = 200_000
	// Bounds of what a zone's SOA may ask of us.
	minZoneWait = 30 * time.Second
	maxZoneWait = maxRefresh
	dnsPort     = 53
)

func (t *Transfer) set() bool { return *t != Transfer{} }

// address is the primary's address and port.
func (t *Transfer) address() (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(t.Primary); err == nil {
		return netip.AddrPortFrom(a, dnsPort), nil
	}
	return netip.ParseAddrPort(t.Primary)
}

// check says what is wrong with t.
func (t *Transfer) check() (errs []error) {
	if !t.set() {
		return nil
	}
	if a, err := t.address(); err != nil || a.Port() == 0 {
		errs = append(errs, fmt.Errorf("transfer.primary: want IP or IP:port, got %q", t.Primary))
	}
	if _, err := dnsname.ParseHost(t.Zone); err != nil {
		errs = append(errs, fmt.Errorf("transfer.zone: %w", err))
	}
	if (t.TSIGName == "") != (t.TSIGKeyFile == "") {
		errs = append(errs, errors.New("transfer.tsig_name: a key has a name and a file, or there is none"))
	}
	if t.TSIGName != "" {
		if _, err := dnsname.Parse(t.TSIGName); err != nil {
			errs = append(errs, fmt.Errorf("transfer.tsig_name: %w", err))
		}
	}
	switch t.TSIGAlgorithm {
	case "", "hmac-sha256", "hmac-sha384", "hmac-sha512":
	default:
		errs = append(errs, fmt.Errorf("transfer.tsig_algorithm: want hmac-sha256, hmac-sha384 or hmac-sha512, got %q", t.TSIGAlgorithm))
	}
	return errs
}

// zone makes the client's form of t, with its key read.
func (t *Transfer) zone(timeout time.Duration) (*xfr.Zone, error) {
	primary, err := t.address()
	if err != nil {
		return nil, err
	}
	z := &xfr.Zone{Name: t.Zone, Primary: primary, Dialer: &net.Dialer{Timeout: dialTimeout}, Timeout: timeout}
	if t.TSIGName == "" {
		return z, nil
	}
	secret, err := readKey(t.TSIGKeyFile)
	if err != nil {
		return nil, &refusal{resultNoKey, fmt.Errorf("transfer.tsig_key_file: %w", err)}
	}
	z.Key = &xfr.Key{Name: t.TSIGName, Algorithm: t.TSIGAlgorithm, Secret: secret}
	if z.Key.Algorithm == "" {
		z.Key.Algorithm = "hmac-sha256"
	}
	if err := z.Key.Check(); err != nil {
		return nil, &refusal{resultNoKey, fmt.Errorf("transfer.tsig_key_file: %w", err)}
	}
	return z, nil
}

// transfer asks the primary once and compiles what it gets. The text of the
// zone, one record a line, is the stored copy; changes are applied to that, so
// that no zone is ever held in memory.
func transfer(ctx context.Context, q *request) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, q.cfg.Timeout)
	defer cancel()
	z, err := q.cfg.Transfer.zone(q.cfg.Timeout)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", q.cfg.Name, err)
	}
	f, err := transferZone(ctx, q, z, q.soa)
	if err != nil && q.soa != nil && ctx.Err() == nil {
		f, err = transferZone(ctx, q, z, nil) // whatever it was that did not fit: all of it
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = refuse(resultNetwork, "not done within %v", q.cfg.Timeout)
	}
	if err != nil {
		return nil, &refusal{resultOf(err, resultNetwork), fmt.Errorf("list %s: %w", q.cfg.Name, err)}
	}
	return f, nil
}

// transferZone is transfer with or without a state to begin from.
func transferZone(ctx context.Context, q *request, z *xfr.Zone, have *xfr.SOA) (*fetched, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	h := &zoneText{q: q, out: bufio.NewWriterSize(w, readBuffer), begun: make(chan struct{})}
	type outcome struct {
		soa     xfr.SOA
		changed bool
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		soa, changed, err := z.Fetch(ctx, have, h)
		if err == nil && changed {
			err = h.finish()
		}
		w.CloseWithError(err) // nil: the end of the text
		done <- outcome{soa, changed, err}
	}()
	select {
	case o := <-done: // over before it began: nothing new, or an error
		if o.err != nil {
			return nil, o.err
		}
		done <- o
		if !o.changed {
			return &fetched{soa: &o.soa}, nil
		}
	case <-h.begun:
	}
	f := &fetched{spool: newSpool(q.path)}
	body := &bounded{r: r, max: q.cfg.MaxBytes}
	d, err := compile(io.TeeReader(body, f.spool), q.cfg, q.guard, q.shop)
	cancel()
	r.CloseWithError(context.Canceled)
	o := <-done
	if err == nil {
		err = o.err
	}
	if err == nil {
		err = plausible(d, q)
	}
	if err != nil {
		d.release()
		f.spool.close()
		return nil, err
	}
	f.data, f.soa = d, &o.soa
	d.soa = f.soa
	f.loaded = time.Now().UTC().Truncate(time.Second)
	f.checked = f.loaded
	f.sha256 = f.spool.sum()
	f.spool.finish(storeHeader{List: q.cfg.Name, URLHash: urlHash(q.cfg), Fetched: f.loaded, SOA: f.soa})
	return f, nil
}

// zoneText writes a zone as text while it is transferred: all of it, or what is
// left of the stored copy and then what is new.
type zoneText struct {
	q     *request
	out   *bufio.Writer
	begun chan struct{}
	full  bool
	gone  map[string]bool
	fresh map[string]bool // in the order of order
	order []string
}

var errManyChanges = errors.New("more changes than are taken one by one")

// Begin is for xfr.
func (t *zoneText) Begin(full bool, soa string) error {
	t.full = full
	close(t.begun)
	_, err := fmt.Fprintf(t.out, "$ORIGIN %s.\n%s\n", strings.TrimSuffix(t.q.cfg.Transfer.Zone, "."), soa)
	if !full {
		t.gone, t.fresh = make(map[string]bool), make(map[string]bool)
	}
	return err
}

// Delete is for xfr.
func (t *zoneText) Delete(record string) error {
	if t.fresh[record] { // new in an earlier step
		delete(t.fresh, record)
		return nil
	}
	t.gone[record] = true
	return t.bound()
}

// Add is for xfr.
func (t *zoneText) Add(record string) error {
	if t.full {
		_, err := t.out.WriteString(record + "\n")
		return err
	}
	if t.gone[record] { // gone in an earlier step
		delete(t.gone, record)
		return nil
	}
	t.fresh[record] = true
	t.order = append(t.order, record)
	return t.bound()
}

func (t *zoneText) bound() error {
	if len(t.gone)+len(t.order) > maxChanges {
		return errManyChanges
	}
	return nil
}

// finish writes what an incremental transfer leaves, and flushes.
func (t *zoneText) finish() error {
	if t.full {
		return t.out.Flush()
	}
	old, err := openCopy(t.q.path, t.q.cfg)
	if err != nil {
		return err
	}
	defer old.close()
	lines := bufio.NewReaderSize(old, readBuffer)
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		// The first two lines are $ORIGIN and SOA, of which Begin has newer ones.
		if line = strings.TrimSuffix(line, "\n"); n >= 2 && line != "" && !t.gone[line] {
			if _, err := t.out.WriteString(line + "\n"); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := old.check(); err != nil {
		return err
	}
	for _, record := range t.order {
		if t.fresh[record] {
			if _, err := t.out.WriteString(record + "\n"); err != nil {
				return err
			}
		}
	}
	return t.out.Flush()
}

// zoneWait is how long the SOA says to wait, within bounds.
func zoneWait(seconds uint32) time.Duration {
	return min(max(time.Duration(seconds)*time.Second, minZoneWait), maxZoneWait)
}

// expireLocked withdraws a zone whose primary has not been reached for as long
// as its SOA lets it serve: it says itself that it is not to be believed any
// more. That is an alarm, and lets names pass.
func (l *Lists) expireLocked(s *source, now time.Time) {
	if s.soa == nil || s.list.set == nil || now.Sub(s.list.Checked) < zoneWait(s.soa.Expire) {
		return
	}
	err := fmt.Sprintf("expired: its primary has not confirmed it for %v", now.Sub(s.list.Checked).Truncate(time.Second))
	s.list = &List{Name: s.list.Name, Kind: s.list.Kind, Format: s.list.Format, Checked: s.list.Checked, Err: err, Failed: now}
	s.soa = nil // and then all of it
	l.metrics.loaded(s.cfg.Name, resultExpired, nil)
	l.deps.Log.Error("list withdrawn, its zone has expired", zap.String("list", s.cfg.Name))
	if s.path != "" {
		os.Remove(s.path)
	}
}
