package parquetout

import (
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
)

// Deps are what a Sink works with.
type Deps struct {
	// Work is a folder of its own for files on their way to a bucket.
	Work string
	// Sensor names this instance in every row.
	Sensor string
	// Now is the clock that files in a folder grow old by; nil means the system's.
	Now func() time.Time
}

// Sink writes each batch as a file, or as several where its rows are of several
// hours. A batch that comes again is the same files again.
type Sink struct {
	cfg     Config
	rows    *encode.Rows
	columns []encode.Column
	schema  *parquet.Schema
	target  target
	now     func() time.Time

	// Of the batch under way: what is there already, since a try that failed is
	// not to write it again.
	key  string
	done map[int64]bool // by hours since 1970
}

// target is where files go.
type target interface {
	// put has path hold what write writes, all of it or nothing. Path has slashes.
	put(ctx context.Context, path string, write func(io.Writer) error) error
	// tend keeps what is there within its bounds.
	tend(now time.Time) error
	close()
}

// New reads the files that the configuration names. It connects to nobody, and
// touches no folder.
func New(cfg Config, client *privacy.Guard, deps Deps) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg, columns: encode.Columns(), now: deps.Now, rows: encode.NewRows(deps.Sensor, client.Text, nil)}
	if s.now == nil {
		s.now = time.Now
	}
	s.schema = schema(s.columns)
	if cfg.Folder != "" {
		s.target = &folder{root: cfg.Folder, maxBytes: cfg.MaxBytes, maxAge: cfg.MaxAge}
		return s, nil
	}
	b, err := newBucket(cfg.S3, deps.Work)
	if err != nil {
		return nil, err
	}
	s.target = b
	return s, nil
}

// place is where a row goes, and where it is.
type place struct {
	domain string
	micros int64 // since 1970
	id     outlet.ID
}

const hourMicros = int64(time.Hour / time.Microsecond)

func (p *place) hour() int64 { return p.micros / hourMicros }

// Send writes b.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	places, err := s.sort(b)
	if err != nil {
		return err
	}
	if key := b.Key(); key != s.key {
		s.key, s.done = key, map[int64]bool{}
	}
	for len(places) > 0 {
		hour := places[0].hour()
		n := 0
		for n < len(places) && places[n].hour() == hour {
			n++
		}
		if !s.done[hour] {
			if err := s.write(ctx, b, places[:n]); err != nil {
				return err
			}
			s.done[hour] = true
		}
		places = places[n:]
	}
	return s.Tend()
}

// Tend removes files that are too old, and the oldest where there is too much.
func (s *Sink) Tend() error { return s.target.tend(s.now()) }

// sort reads b once, and says in which order its rows are written. Nothing of a
// batch that has a damaged row has been written then.
func (s *Sink) sort(b *outlet.Batch) ([]place, error) {
	places := make([]place, 0, b.Rows)
	domains := map[string]string{} // each is kept once
	err := b.Each(func(r outlet.Row) error {
		domain, at := s.rows.Key(r.Transaction)
		one, ok := domains[domain]
		if !ok {
			one = domain
			domains[domain] = domain
		}
		places = append(places, place{one, at.UnixMicro(), r.ID})
		return nil
	})
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.hour(), b.hour()), cmp.Compare(a.domain, b.domain), cmp.Compare(a.micros, b.micros))
	})
	return places, err
}

// write writes the file of one hour.
func (s *Sink) write(ctx context.Context, b *outlet.Batch, places []place) error {
	at := time.UnixMicro(places[0].micros).UTC()
	path := at.Format("dt=2006-01-02/hour=15/") + b.Key() + suffix
	return s.target.put(ctx, path, func(w io.Writer) error {
		out := parquet.NewWriter(w, s.options()...)
		v := values{columns: s.columns}
		batch := make([]parquet.Row, 1)
		n := 0
		err := b.Pick(ids(places), func(r outlet.Row) error {
			if n++; n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			batch[0] = v.of(s.rows.Row(r.ID.String(), r.Transaction))
			_, err := out.WriteRows(batch)
			return err
		})
		if err != nil {
			return err
		}
		return out.Close()
	})
}

func ids(places []place) iter.Seq[outlet.ID] {
	return func(yield func(outlet.ID) bool) {
		for i := range places {
			if !yield(places[i].id) {
				return
			}
		}
	}
}

// Sizes that a writer's memory comes from: a page for each column, and a dictionary.
const (
	pageBytes       = 128 << 10
	dictionaryBytes = 1 << 20
)

func (s *Sink) options() []parquet.WriterOption {
	return []parquet.WriterOption{
		s.schema,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}), parquet.MaxRowsPerRowGroup(int64(s.cfg.RowGroupRows)),
		parquet.PageBufferSize(pageBytes), parquet.DictionaryMaxBytes(dictionaryBytes),
		parquet.CreatedBy("weir", "", ""), parquet.KeyValueMetadata("weir.columns_version", strconv.Itoa(encode.ColumnsVersion)),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.NullsFirst(parquet.Ascending("registered_domain")), parquet.Ascending("time"))),
	}
}

// Close lets go of connections.
func (s *Sink) Close() error {
	s.target.close()
	return nil
}
