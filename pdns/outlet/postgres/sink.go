package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
)

// Sink copies rows to the server, and there into the table.
type Sink struct {
	cfg     Config
	server  *pgx.ConnConfig
	rows    *encode.Rows
	columns []encode.Column
	names   []string // of columns
	now     func() time.Time

	conn    *pgx.Conn // nil until it is needed, and after a failure
	days    map[time.Time]bool
	expired time.Time // when old partitions were last looked for
}

// New reads the files that the configuration names. It connects to nobody. Sensor
// is what the rows call this instance.
func New(cfg Config, sensor string, client *privacy.Guard) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	password, err := outlet.ReadSecret("password_file", cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg, rows: encode.NewRows(sensor, client.Text, nil), columns: encode.Columns(), now: time.Now, days: map[time.Time]bool{}}
	for _, c := range s.columns {
		s.names = append(s.names, c.Name)
	}
	if s.server, err = cfg.server(); err != nil {
		return nil, err
	}
	s.server.Password = password
	if cfg.UseTLS {
		if s.server.TLSConfig, err = cfg.TLS.Load(); err != nil {
			return nil, fmt.Errorf("tls.%w", err)
		}
		if s.server.TLSConfig.ServerName == "" {
			s.server.TLSConfig.ServerName = s.server.Host
		}
	}
	return s, nil
}

// server says all that the library would else take from the environment.
func (c *Config) server() (*pgx.ConnConfig, error) {
	host, port := c.Address, "5432"
	if !path.IsAbs(host) {
		host, port, _ = net.SplitHostPort(c.Address) // Validate did
	}
	literal := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	out, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s dbname=%s user=%s password='' sslmode=disable application_name=weir target_session_attrs=read-write",
		literal(host), literal(port), literal(c.Database), literal(c.User)))
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	out.RuntimeParams["timezone"] = "UTC"
	return out, nil
}

// staging is where COPY goes; only INSERT knows what is there already.
const staging = "weir_staging"

// connect makes the connection, and the tables if they are missing.
func (s *Sink) connect(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.server)
	if err != nil {
		return err
	}
	if err = s.migrate(ctx, conn); err == nil {
		_, err = conn.Exec(ctx, "CREATE TEMP TABLE "+staging+" (LIKE "+quoted(s.cfg.Table)+") ON COMMIT DELETE ROWS")
	}
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	s.conn = conn
	clear(s.days)
	return nil
}

// Send brings b into the table, all of it or nothing.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return judged(ctx, err)
		}
	}
	now := s.now()
	if s.cfg.Retention > 0 && now.Sub(s.expired).Abs() >= time.Hour {
		if err := s.expire(ctx, s.conn, now); err != nil {
			return s.failed(ctx, err)
		}
		s.expired = now
		clear(s.days)
	}
	outside, err := s.write(ctx, b, now)
	if err != nil {
		return s.failed(ctx, err)
	}
	if outside > 0 {
		return &outlet.Refused{Rows: outside, Err: errors.New("rows are older than retention, or of the future")}
	}
	return nil
}

// ahead is how far a sensor's clock may be fast.
const ahead = 2 * day

// write copies b, and counts the rows that no partition is made for.
func (s *Sink) write(ctx context.Context, b *outlet.Batch, now time.Time) (outside int, err error) {
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		days := map[time.Time]bool{}
		next, stop := iter.Pull2(s.values(b, now, &outside, days))
		defer stop()
		_, err := tx.CopyFrom(ctx, pgx.Identifier{staging}, s.names, pgx.CopyFromFunc(func() ([]any, error) {
			row, err, _ := next() // nil, nil at the end, as it wants it
			return row, err
		}))
		if err != nil {
			return err
		}
		for _, d := range inOrder(days) {
			if !s.days[d] {
				if err := s.partition(ctx, tx, d); err != nil {
					return err
				}
			}
		}
		list := make([]string, len(s.names))
		for i, n := range s.names {
			list[i] = quoted(n)
		}
		columns := strings.Join(list, ", ")
		if _, err := tx.Exec(ctx, "INSERT INTO "+quoted(s.cfg.Table)+" ("+columns+") SELECT "+columns+" FROM "+staging+" ON CONFLICT DO NOTHING"); err != nil {
			return err
		}
		for d := range days {
			s.days[d] = true // until the connection breaks, if this is rolled back
		}
		return nil
	})
	return outside, err
}

func inOrder(days map[time.Time]bool) []time.Time {
	out := make([]time.Time, 0, len(days))
	for d := range days {
		out = append(out, d)
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// values are the rows of b as COPY takes them. The slice is the same each time.
func (s *Sink) values(b *outlet.Batch, now time.Time, outside *int, days map[time.Time]bool) iter.Seq2[[]any, error] {
	stopped := errors.New("stopped")
	oldest, latest := s.oldest(now), now.Add(ahead)
	row := make([]any, len(s.columns))
	return func(yield func([]any, error) bool) {
		err := b.Each(func(r outlet.Row) error {
			flat := s.rows.Row(r.ID.String(), r.Transaction)
			for i := range s.columns {
				v, err := value(&s.columns[i], flat)
				if err != nil {
					return err
				}
				if at, ok := v.(time.Time); ok {
					if s.cfg.Retention > 0 && (at.Before(oldest) || at.After(latest)) {
						*outside++
						return nil
					}
					days[at.Truncate(day)] = true
				}
				row[i] = v
			}
			row[slices.Index(s.names, identity)] = [16]byte(r.ID)
			if !yield(row, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, err)
		}
	}
}

// answer has the names of passive DNS.
type answer struct {
	Name  string `json:"rrname"`
	Type  string `json:"rrtype"`
	TTL   uint32 `json:"ttl"`
	Rdata string `json:"rdata"`
}

// value is what a column shows of a row; nil where there is none.
func value(c *encode.Column, r *encode.Row) (any, error) {
	switch c.Type {
	case encode.Text:
		if v := c.Text(r); v != "" || !c.Null {
			return v, nil
		}
	case encode.Int:
		if v := c.Int(r); v >= 0 || !c.Null {
			return v, nil
		}
	case encode.Float:
		if v := c.Float(r); !math.IsNaN(v) || !c.Null {
			return v, nil
		}
	case encode.Bool:
		return c.Bool(r), nil
	case encode.Time:
		return c.Time(r), nil
	case encode.Texts:
		return append([]string{}, c.Texts(r)...), nil
	case encode.Answers:
		list := []answer{}
		for _, a := range c.Answers(r) {
			list = append(list, answer(a))
		}
		return json.Marshal(list)
	default:
		return nil, fmt.Errorf("column %s has type %v", c.Name, c.Type)
	}
	return nil, nil
}

// failed lets go of the connection: what it did is undone.
func (s *Sink) failed(ctx context.Context, err error) error {
	return judged(ctx, errors.Join(err, s.Close()))
}

// judged says what an error means for the batch. What the server quotes of it
// stays unsaid.
func judged(ctx context.Context, err error) error {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		if ctx.Err() != nil {
			return ctx.Err() // why the connection broke
		}
		return err
	}
	const noPartition = "23514" // dropped since
	plain := fmt.Errorf("the server answers %s %s", said.Severity, said.Code)
	switch class := said.Code[:min(2, len(said.Code))]; {
	case said.Code == noPartition:
		return plain
	case class == "22", class == "23", class == "54": // data, constraints, limits
		return &outlet.Refused{Err: plain}
	}
	return fmt.Errorf("%w: %s", plain, strconv.QuoteToASCII(said.Message))
}

// closing is how long a farewell may take.
const closing = time.Second

// Close lets go of the connection.
func (s *Sink) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = conn.Close(ctx) // if it was broken, what broke it was said
	<-conn.PgConn().CleanupDone()
	return nil
}
