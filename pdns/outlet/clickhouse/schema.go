package clickhouse

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/outlet"
)

// layout is the version of what stands beside the columns: keys, engines, views.
// One that differs is changed by a step of its own in migrate.
const layout = 1

// window is how many of the latest inserts a table knows, so that one which is sent
// again changes nothing.
const window = 1000

// quoted is a name as statements have it; config lets no ` or \ in.
func quoted(name string) string { return "`" + name + "`" }

// words are SQL literals of words of ours.
func words[T fmt.Stringer](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = "'" + w.String() + "'"
	}
	return strings.Join(out, ", ")
}

// reversed is a name with its labels from the root down, so that a subtree lies
// together.
func reversed(name string) string {
	return "arrayStringConcat(arrayReverse(splitByChar('.', " + name + ")), '.')"
}

// tables writes the statements for one configuration.
type tables struct{ *Config }

// full is the name of a table with its database.
func (t tables) full(name string) string { return quoted(t.Database) + "." + quoted(t.Table+name) }

// local is the one that has the rows; in a cluster the full name is that of all of
// them together.
func (t tables) local(name string) string {
	if t.Cluster == "" {
		return t.full(name)
	}
	return t.full(name + "_local")
}

// everywhere makes a statement run on all servers.
func (t tables) everywhere() string {
	if t.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + quoted(t.Cluster)
}

// engine is that of a table that has rows.
func (t tables) engine(kind, name string) string {
	if t.Cluster == "" {
		return kind
	}
	return "Replicated" + kind + "('/clickhouse/tables/{shard}/" + t.Database + "/" + t.Table + name + "_local', '{replica}')"
}

// settings of a table: how many inserts it knows.
func (t tables) settings() string {
	if t.Cluster == "" {
		return fmt.Sprintf(" SETTINGS non_replicated_deduplication_window = %d", window)
	}
	return fmt.Sprintf(" SETTINGS replicated_deduplication_window = %d", window)
}

// ttl is for how long rows are kept. A part goes when all of it is old.
func ttl(keep time.Duration) string {
	if keep == 0 {
		return ""
	}
	return fmt.Sprintf(" TTL toDateTime(time) + toIntervalDay(%d)", keep/day)
}

// versions is the table of what was made.
func (t tables) versions() string {
	return "CREATE TABLE IF NOT EXISTS " + t.local("_schema") + t.everywhere() +
		" (layout UInt32, columns UInt32, retention UInt32, detection_retention UInt32, at DateTime64(6, 'UTC') DEFAULT now64(6)) ENGINE = " +
		t.engine("MergeTree", "_schema") + " ORDER BY at"
}

// make makes what is missing; what is there it leaves as it is, but for columns,
// which are added.
func (t tables) make() []string {
	var columns, add []string
	for _, c := range newColumns() {
		text := quoted(c.name) + " " + c.kind
		if c.codec != "" {
			text += " CODEC(" + c.codec + ")"
		}
		columns = append(columns, text)
		add = append(add, "ADD COLUMN IF NOT EXISTS "+text)
	}
	columns = append(columns, "qname_rev String MATERIALIZED "+reversed("qname")+" CODEC(ZSTD(1))")
	body := "(" + strings.Join(columns, ", ") + ", INDEX by_client client TYPE bloom_filter GRANULARITY 4)"
	summed := "(rrname_rev String CODEC(ZSTD(1)), rrname SimpleAggregateFunction(any, String) CODEC(ZSTD(1)), rrtype LowCardinality(String), rdata String CODEC(ZSTD(1)), " +
		"time_first SimpleAggregateFunction(min, DateTime64(6, 'UTC')), time_last SimpleAggregateFunction(max, DateTime64(6, 'UTC')), count SimpleAggregateFunction(sum, UInt64))"
	found := "origin IN (" + words(outlet.DetectionOrigins()) + ") AND action != '" + detect.Pass.String() + "'"
	answered := "source IN (" + words([]detect.Source{detect.FromUpstream, detect.FromCache, detect.FromStale, detect.FromWire}) + ")"
	sum := "SELECT " + reversed("name") + " AS rrname_rev, any(name) AS rrname, rrtype, rdata, min(time) AS time_first, max(time) AS time_last, count() AS count FROM " + t.local("") +
		" ARRAY JOIN answers.rrname AS name, answers.rrtype AS rrtype, answers.rdata AS rdata WHERE " + answered + " GROUP BY rrname_rev, rrtype, rdata"
	table := func(name, body, engine, order, rest string) string {
		return "CREATE TABLE IF NOT EXISTS " + t.local(name) + t.everywhere() + " " + body + " ENGINE = " + t.engine(engine, name) + " " + order + rest + t.settings()
	}
	view := func(name, query string) string {
		return "CREATE MATERIALIZED VIEW IF NOT EXISTS " + t.full(name+"_view") + t.everywhere() + " TO " + t.local(name) + " AS " + query
	}
	out := []string{
		table("", body, "ReplacingMergeTree", "PARTITION BY toDate(time) PRIMARY KEY (registered_domain, qname_rev, time) ORDER BY (registered_domain, qname_rev, time, weir_id)", ttl(t.Retention)),
		table("_detections", body, "ReplacingMergeTree", "PARTITION BY toYYYYMM(time) PRIMARY KEY (time) ORDER BY (time, weir_id)", ttl(t.DetectionRetention)),
		table("_pdns", summed, "AggregatingMergeTree", "ORDER BY (rrname_rev, rrtype, rdata)", ""),
		table("_pdns_by_rdata", summed, "AggregatingMergeTree", "ORDER BY (rdata, rrtype, rrname_rev)", ""),
	}
	for _, name := range []string{"", "_detections"} {
		out = append(out, "ALTER TABLE "+t.local(name)+t.everywhere()+" "+strings.Join(add, ", "))
	}
	detections := "SELECT * FROM " + t.local("") + " WHERE " + found
	out = append(out,
		view("_detections", detections), "ALTER TABLE "+t.full("_detections_view")+t.everywhere()+" MODIFY QUERY "+detections, // of the columns that there are now
		view("_pdns", sum), view("_pdns_by_rdata", sum),
	)
	if t.Cluster != "" {
		for name, key := range map[string]string{"": "registered_domain", "_detections": "registered_domain", "_pdns": "rrname_rev", "_pdns_by_rdata": "rdata", "_schema": "at"} {
			out = append(out, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s ENGINE = Distributed(%s, %s, %s, cityHash64(%s))",
				t.full(name), t.everywhere(), t.local(name), quoted(t.Cluster), quoted(t.Database), quoted(t.Table+name+"_local"), key))
		}
	}
	return out
}

// keep changes for how long a table keeps rows, from so many days. 0 is for ever.
func (t tables) keep(name string, was uint32, keep time.Duration) []string {
	alter := "ALTER TABLE " + t.local(name) + t.everywhere()
	switch {
	case keep > 0:
		return []string{alter + " MODIFY" + ttl(keep)}
	case was > 0:
		return []string{alter + " REMOVE TTL"} // of which there has to be one
	}
	return nil
}

// migrate brings the tables to what this weir writes.
func (t tables) migrate(c *conn) error {
	if err := c.exec(t.versions()); err != nil {
		return explained(err)
	}
	have := make([]proto.ColUInt32, 4)
	err := c.read("SELECT max(layout) AS a, max(columns) AS b, argMax(retention, at) AS c, argMax(detection_retention, at) AS d FROM "+t.local("_schema"), proto.Results{
		{Name: "a", Data: &have[0]}, {Name: "b", Data: &have[1]}, {Name: "c", Data: &have[2]}, {Name: "d", Data: &have[3]},
	})
	if err != nil {
		return explained(err)
	}
	days, found := uint32(t.Retention/day), uint32(t.DetectionRetention/day)
	switch {
	case len(have[0]) != 1:
		return fmt.Errorf("the server has %d answers to one question", len(have[0]))
	case have[0][0] > layout:
		return fmt.Errorf("the tables are of a newer weir (%d, this one knows %d)", have[0][0], layout)
	case have[0][0] == layout && have[1][0] >= encode.ColumnsVersion && have[2][0] == days && have[3][0] == found:
		return nil // a newer weir's columns stay empty
	}
	statements := append(t.make(), t.keep("", have[2][0], t.Retention)...)
	for _, statement := range append(statements, t.keep("_detections", have[3][0], t.DetectionRetention)...) {
		if err := c.exec(statement); err != nil {
			return explained(err)
		}
	}
	return explained(c.exec(fmt.Sprintf("INSERT INTO %s (layout, columns, retention, detection_retention) SELECT %d, greatest(%d, max(columns)), %d, %d FROM %s",
		t.local("_schema"), layout, encode.ColumnsVersion, days, found, t.local("_schema"))))
}
