package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
)

// Sink inserts a batch as one block.
type Sink struct {
	tables tables
	login  login
	rows   *encode.Rows
	insert string            // the statement
	given  map[string]string // the table's columns, unless weir has made it
	made   bool              // the tables are as they should be
}

// New reads the files that the configuration names. It connects to nobody. Sensor
// is what the rows call this instance.
func New(cfg Config, sensor string, client *privacy.Guard) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{tables: tables{&cfg}, rows: encode.NewRows(sensor, client.Text, nil), login: login{database: cfg.Database, user: cfg.User}}
	var err error
	if s.login.target, err = outlet.ParseTarget(cfg.URL, schemes...); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if s.login.tls, err = cfg.TLS.Load(); err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	if s.login.password, err = outlet.ReadSecret("password_file", cfg.PasswordFile); err != nil {
		return nil, err
	}
	return s, nil
}

// Send inserts b.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	c, err := s.login.dial(ctx)
	if err == nil {
		defer c.close()
		err = s.send(c, b)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err() // why the connection broke
	}
	var said *serverError
	if !errors.As(err, &said) {
		return err
	}
	return s.judge(said, err)
}

func (s *Sink) send(c *conn, b *outlet.Batch) error {
	if !s.made {
		if err := s.prepare(c); err != nil {
			return err
		}
		s.made = true
	}
	columns, err := columnsFor(s.given)
	if err != nil {
		return err
	}
	err = b.Each(func(r outlet.Row) error {
		flat := s.rows.Row(r.ID.String(), r.Transaction)
		for i := range columns {
			columns[i].add(r.ID, flat)
		}
		return nil
	})
	if err != nil {
		return err
	}
	input := make(proto.Input, len(columns))
	for i, col := range columns {
		input[i] = proto.InputColumn{Name: col.name, Data: col.data}
	}
	return c.insert(s.insert, settings(b), input)
}

// prepare makes the tables what they should be, or finds out what they are.
func (s *Sink) prepare(c *conn) (err error) {
	switch {
	case s.tables.ManageTables && c.old():
		return fmt.Errorf("the server is ClickHouse %s, which has not what weir's tables need: make one for it (manage_tables: false)", c.version)
	case s.tables.ManageTables:
		err = s.tables.migrate(c)
	default:
		s.given, err = s.tables.given(c)
	}
	if err != nil {
		return err
	}
	columns, err := columnsFor(s.given)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range columns {
		names = append(names, quoted(c.name))
	}
	s.insert = "INSERT INTO " + s.tables.full("") + " (" + strings.Join(names, ", ") + ") FORMAT Native"
	return nil
}

// settings make an INSERT one that has happened when it is answered, and that
// changes nothing when it comes again: neither the table nor what is summed up
// from it.
func settings(b *outlet.Batch) []proto.Setting {
	return []proto.Setting{
		{Key: "insert_deduplicate", Value: "1"}, {Key: "insert_deduplication_token", Value: b.Key()},
		{Key: "deduplicate_blocks_in_dependent_materialized_views", Value: "1"},
		{Key: "async_insert", Value: "0"}, {Key: "insert_distributed_sync", Value: "1"},
		{Key: "max_partitions_per_insert_block", Value: "0"}, // a capture may be of many days
	}
}

// Errors of ClickHouse (src/Common/ErrorCodes.cpp).
var (
	refuses = []int{131, 321, 469}        // TOO_LARGE_STRING_SIZE, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE, VIOLATED_CONSTRAINT
	busy    = []int{202, 241, 252}        // TOO_MANY_SIMULTANEOUS_QUERIES, MEMORY_LIMIT_EXCEEDED, TOO_MANY_PARTS
	missing = []int{10, 16, 60, 81, 1001} // columns, a table, a database that are gone
)

// judge says what an error of the server means for the batch.
func (s *Sink) judge(said *serverError, err error) error {
	switch {
	case slices.Contains(refuses, said.code):
		return &outlet.Refused{Err: said}
	case slices.Contains(busy, said.code):
		return &outlet.Later{Err: said}
	case slices.Contains(missing, said.code):
		s.made = false // somebody took them away
	}
	return err
}

// explained adds what the server says of a statement of ours, which quotes no row.
func explained(err error) error {
	const longest = 300
	var said *serverError
	if !errors.As(err, &said) {
		return err
	}
	return fmt.Errorf("%w: %s", err, strconv.QuoteToASCII(said.message[:min(len(said.message), longest)]))
}

// Close does nothing: no connection outlives its batch.
func (s *Sink) Close() error { return nil }
