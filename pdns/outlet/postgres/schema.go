package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// layout is the version of what stands beside the columns: keys, indexes, views.
// One that differs is changed by a step of its own in migrate.
const layout = 1

// lockKey is that of the advisory lock under which tables are made, so that two
// weirs do not make one together. Any number does that nobody else uses.
const lockKey = 0x77656972_646e73

// types of columns in PostgreSQL.
var types = map[encode.Type]string{
	encode.Text: "text", encode.Int: "bigint", encode.Float: "double precision", encode.Bool: "boolean",
	encode.Time: "timestamptz", encode.Texts: "text[]", encode.Answers: "jsonb",
}

// typeOf is a column's type with what it may not be.
func typeOf(c *encode.Column) string {
	kind := types[c.Type]
	if c.Name == identity {
		kind = "uuid"
	}
	if !c.Null {
		kind += " NOT NULL"
	}
	return kind
}

// identity is the column that tells a row from its repetition.
const identity = "weir_id"

// quoted is a name as statements have it.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// words are SQL literals of words of ours.
func words[T fmt.Stringer](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = "'" + w.String() + "'"
	}
	return strings.Join(out, ", ")
}

// migrate brings the tables to what this weir writes.
func (s *Sink) migrate(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey); err != nil {
			return err
		}
		versions := quoted(s.cfg.Table + "_schema")
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+versions+
			" (layout integer NOT NULL, columns integer NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (layout, columns))"); err != nil {
			return err
		}
		var haveLayout, haveColumns int
		err := tx.QueryRow(ctx, "SELECT coalesce(max(layout), 0), coalesce(max(columns), 0) FROM "+versions).Scan(&haveLayout, &haveColumns)
		switch {
		case err != nil:
			return err
		case haveLayout > layout:
			return fmt.Errorf("the tables are of a newer weir (%d, this one knows %d)", haveLayout, layout)
		case haveLayout == layout && haveColumns >= encode.ColumnsVersion: // a newer weir's columns stay empty
			return nil
		}
		for _, statement := range s.statements() {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, "INSERT INTO "+versions+" (layout, columns) VALUES ($1, $2)", layout, encode.ColumnsVersion)
		return err
	})
}

// statements make what is missing; what is there they leave as it is.
func (s *Sink) statements() []string {
	table := quoted(s.cfg.Table)
	var columns, add []string
	for _, c := range s.columns {
		columns = append(columns, quoted(c.Name)+" "+typeOf(&c))
		// Of rows that are there nothing is known, so a later column is always one
		// without a value.
		add = append(add, "ADD COLUMN IF NOT EXISTS "+quoted(c.Name)+" "+strings.TrimSuffix(typeOf(&c), " NOT NULL"))
	}
	index := func(name, on string) string {
		return "CREATE INDEX IF NOT EXISTS " + quoted(s.cfg.Table+"_"+name) + " ON " + table + " " + on
	}
	detections := "origin IN (" + words(outlet.DetectionOrigins()) + ") AND action <> '" + detect.Pass.String() + "'"
	return []string{
		"CREATE TABLE IF NOT EXISTS " + table + " (" + strings.Join(columns, ", ") + `, PRIMARY KEY (weir_id, "time")) PARTITION BY RANGE ("time")`,
		"ALTER TABLE " + table + " " + strings.Join(add, ", "),
		index("time", `USING brin ("time")`),
		index("domain", `(registered_domain, "time")`),
		index("client", `(client, "time")`),
		index("found", `("time") WHERE `+detections),
		"DROP VIEW IF EXISTS " + quoted(s.cfg.Table+"_detections"),
		"CREATE VIEW " + quoted(s.cfg.Table+"_detections") + " AS SELECT * FROM " + table + " WHERE " + detections,
		"DROP VIEW IF EXISTS " + quoted(s.cfg.Table+"_answers"),
		"CREATE VIEW " + quoted(s.cfg.Table+"_answers") + ` AS SELECT d.weir_id, d."time", d.sensor_id, a.rrname, a.rrtype, a.ttl, a.rdata FROM ` + table +
			" AS d CROSS JOIN LATERAL jsonb_to_recordset(d.answers) AS a(rrname text, rrtype text, ttl bigint, rdata text) WHERE d.source IN (" +
			words([]detect.Source{detect.FromUpstream, detect.FromCache, detect.FromStale, detect.FromWire}) + ")",
	}
}

const partitionDate = "20060102"

// partition makes the partition of at's day, if there is none.
func (s *Sink) partition(ctx context.Context, tx pgx.Tx, at time.Time) error {
	from := at.UTC().Truncate(day)
	name := s.cfg.Table + "_" + from.Format(partitionDate)
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", quoted(name)).Scan(&there); err != nil || there {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s PARTITION OF %s FOR VALUES FROM ('%s') TO ('%s')",
		quoted(name), quoted(s.cfg.Table), from.Format(time.RFC3339), from.Add(day).Format(time.RFC3339)))
	return err
}

// expire drops the partitions all of whose rows are too old.
func (s *Sink) expire(ctx context.Context, conn *pgx.Conn, now time.Time) error {
	rows, err := conn.Query(ctx, "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1)", quoted(s.cfg.Table))
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		date, ok := strings.CutPrefix(name, s.cfg.Table+"_")
		begin, err := time.Parse(partitionDate, date)
		if !ok || err != nil || begin.Add(day).After(s.oldest(now)) {
			continue // an operator's own, or still wanted
		}
		_, err = conn.Exec(ctx, "DROP TABLE IF EXISTS "+quoted(name))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// oldest is how old rows may be.
func (s *Sink) oldest(now time.Time) time.Time {
	if s.cfg.Retention == 0 {
		return time.Time{}
	}
	return now.UTC().Add(-s.cfg.Retention).Truncate(day)
}
