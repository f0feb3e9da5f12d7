"""Reads the 50,000 rows of TestRealS3 as DuckDB and pyarrow do, and wants all of them.

Usage: lake.py FOLDER
"""
import sys

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq

ROWS = 50_000
root = sys.argv[1]


def want(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: got {got!r}, want {expected!r}")


lake = f"read_parquet('{root}/**/*.parquet', hive_partitioning = true)"


def ask(sql):
    return duckdb.sql(sql).fetchall()


want("rows and identities", ask(f"select count(*), count(distinct weir_id), count(distinct qname) from {lake}"), [(ROWS, ROWS, ROWS)])
want("partitions", ask(f"select dt::varchar, hour::int, count(*) from {lake} group by all order by all"),
     [("2026-03-01", 11, 1000), ("2026-03-01", 12, ROWS - 1000)])
want("rows outside of their hour", ask(f"select count(*) from {lake} where hour::int <> extract(hour from time at time zone 'UTC')"), [(0,)])
want("domains", ask(f"select registered_domain, count(*) from {lake} group by all order by all"),
     [(f"d{i}\\\"\\\\'.example", len(range(i, ROWS, 3))) for i in range(3)])
want("a hostile name", ask(f"select qname from {lake} where latency_us = 1500 and starts_with(qname, 'n7.')"), [("n7.d1\\\"\\\\'.example",)])
want("answers", ask(f"select distinct a.rrtype, a.ttl, a.rdata from (select unnest(answers) a from {lake})"), [("A", 60, "203.0.113.9")])
want("detections", ask(f"select count(*), min(score), max(probability), min(lists[1]), max(rules[1]) from {lake} where level = 'high'"),
     [(ROWS // 10, 0.75, 0.5, "urlhaus", "example")])
want("missing values", ask(f"select count(*) from {lake} where score is null and one_in is null and lookalike_brand is null and len(lists) = 0"),
     [(ROWS - ROWS // 10,)])
want("clients", ask(f"select distinct client, sensor_id, flags from {lake}"), [("192.0.2.0/24", "edge-1", "qr rd ra")])

data = ds.dataset(root, format="parquet", partitioning="hive")
want("rows of pyarrow", data.count_rows(), ROWS)
one = data.to_table(filter=(ds.field("hour") == 11) & (ds.field("level") == "high"), columns=["qname", "time", "answers", "score"])
want("detections of an hour", one.num_rows, 100)
want("the time's type", str(one.schema.field("time").type), "timestamp[us, tz=UTC]")
want("an answer", one.column("answers")[0].as_py()[0]["rdata"], "203.0.113.9")
for path in data.files:
    f = pq.ParquetFile(path)
    want("columns' version", f.schema_arrow.metadata[b"weir.columns_version"], b"1")
    group = f.metadata.row_group(0)
    want("compression", group.column(0).compression, "ZSTD")
    domain = f.schema_arrow.names.index("registered_domain")
    want("sorted by", [c.column_index for c in group.sorting_columns], [domain, f.schema_arrow.names.index("time")])
    if not group.column(domain).is_stats_set:
        sys.exit("no statistics of domains, by which readers skip")
    rows = f.read(["registered_domain", "time"]).to_pylist()
    want("order", rows, sorted(rows, key=lambda r: (r["registered_domain"], r["time"])))
print(f"DuckDB {duckdb.__version__} and pyarrow read {ROWS} rows of {len(data.files)} files")
