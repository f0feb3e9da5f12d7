"""Scores a lake of DNS records on Spark with the binary that blocks: `weir score -`.

    spark-submit score_lake.py --weir ./weir --in LAKE --out SCORED [--format parquet|cof]

The lake is weir's Parquet (column qname), any other Parquet (--column), or passive DNS
in the Common Output Format (JSON lines, column rrname). Each partition has one weir,
which reads names from a pipe and keeps to one processor. What it cannot judge has no
score and says why; if it fails the job fails, and no row ever gets a score that was not
computed.
"""
import argparse
import collections
import io
import itertools
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from pyspark import SparkFiles
from pyspark.sql import SparkSession
from pyspark.sql import types as T

# What scoring adds to each row, and the field of weir's line that it is.
ADDED = [
    ("weir_registered_domain", T.StringType(), "registered_domain"),
    ("weir_score", T.DoubleType(), "score"),
    ("weir_probability", T.DoubleType(), "probability"),
    ("weir_level", T.StringType(), "level"),
    ("weir_unscored_reason", T.StringType(), "reason"),
    ("weir_origin", T.StringType(), "origin"),
    ("weir_action", T.StringType(), "action"),
    ("weir_lists", T.ArrayType(T.StringType()), "lists"),
]

# A line of weir, as far as it is wanted.
LINE = pa.schema([("name", pa.string()), ("registered_domain", pa.string()), ("scored", pa.bool_()), ("reason", pa.string()),
                  ("score", pa.float64()), ("probability", pa.float64()), ("level", pa.string()), ("origin", pa.string()),
                  ("action", pa.string()), ("matches", pa.list_(pa.struct([("list", pa.string())])))])

# Names that weir may be ahead of what was read from it. It works in batches, so it has to
# be ahead by some; with these the memory of a partition is bounded.
AHEAD = 20_000

COF = "rrname string, rrtype string, rdata array<string>, time_first long, time_last long, count long, bailiwick string, sensor_id string"


class Weir:
    """One `weir score -`: names in, verdicts out in the same order."""

    def __init__(self, binary, config):
        command = [binary, "score", "--no-features", *(["--config", config] if config else []), "-"]
        self.errors = tempfile.TemporaryFile()
        # Spark counts one processor for a partition, so weir is to use one.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        env={**os.environ, "GOMAXPROCS": "1"})
        self.names = queue.SimpleQueue()
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()

    def feed(self):
        try:
            while (names := self.names.get()) is not None:
                self.process.stdin.write("".join(n + "\n" for n in names).encode())
            self.process.stdin.close()
        except OSError:
            pass  # weir has ended: the reader sees it

    def put(self, names):
        """Names for weir; None after the last."""
        self.names.put(names)

    def verdicts(self, names):
        """What weir says of the next names, which have to be these."""
        lines = list(itertools.islice(self.process.stdout, len(names)))
        if len(lines) < len(names):
            raise self.failed("it ended early")
        if not names:
            return LINE.empty_table()
        options = pj.ParseOptions(explicit_schema=LINE, unexpected_field_behavior="ignore")
        out = pj.read_json(io.BytesIO(b"".join(lines)), parse_options=options)
        if out.num_rows != len(names) or not out["name"].combine_chunks().equals(pa.array(names, pa.string())):
            raise self.failed("it answers other names than it was asked for")
        if pc.any(pc.and_(out["scored"], pc.is_null(out["score"]))).as_py() or out["scored"].null_count:
            raise self.failed("a score is missing")
        return out

    def end(self):
        """Wants weir to end well, with nothing left to say, after all names were read back."""
        self.feeder.join()
        if self.process.stdout.read(1):
            raise self.failed("it says more than it was asked for")
        if self.process.wait() != 0:
            raise self.failed(f"exit status {self.process.returncode}")

    def failed(self, why):
        self.kill()
        self.errors.seek(0)
        return RuntimeError(f"weir score: {why}: {self.errors.read(2000).decode(errors='replace')}")

    def kill(self):
        self.process.kill()
        self.process.wait()


def sendable(name):
    """A name of one line; of others weir is not asked."""
    return name is not None and name.strip() != "" and "\n" not in name and "\r" not in name


def scored(batch, names, weir):
    """batch with what weir says of its names. Rows that it was not asked about, and those
    that it does not score, have no score: it is missing, never 0."""
    said = weir.verdicts([n for n in names if sendable(n)])
    row = itertools.count()
    at = pa.array([next(row) if sendable(n) else None for n in names], pa.int64())
    matches = said["matches"].combine_chunks()
    lists = pc.list_flatten(matches).field("list") if len(matches) else pa.array([], pa.string())
    offsets = pc.cumulative_sum(pa.concat_arrays([pa.array([0], pa.int32()), pc.fill_null(pc.list_value_length(matches), 0)]))
    said = said.append_column("lists", pa.ListArray.from_arrays(offsets, lists))
    asked = pc.is_valid(at)
    columns = []
    for _, _, field in ADDED:
        c = said[field].combine_chunks().take(at)
        if field == "reason":
            c = pc.if_else(asked, c, "not_a_name")
        elif field == "level":  # of no score there is none either
            c = pc.if_else(pc.is_valid(said["score"].combine_chunks().take(at)), c, pa.scalar(None, pa.string()))
        if field in ("reason", "registered_domain"):
            c = pc.if_else(pc.equal(c, ""), pa.scalar(None, pa.string()), c)
        columns.append(c)
    return pa.RecordBatch.from_arrays(batch.columns + columns, names=batch.schema.names + [name for name, _, _ in ADDED])


def scorer(column, binary, config, shipped):
    """A function for mapInArrow, of which rows are never Python objects."""

    def score(batches):
        weir = Weir(SparkFiles.get(os.path.basename(binary)) if shipped else binary, config)
        waiting, ahead = collections.deque(), 0
        try:
            for batch in batches:
                names = batch.column(column).to_pylist()
                weir.put([n for n in names if sendable(n)])
                waiting.append((batch, names))
                ahead += len(names)
                while ahead - len(waiting[0][1]) >= AHEAD:
                    ahead -= len(waiting[0][1])
                    yield scored(*waiting.popleft(), weir)
            weir.put(None)
            while waiting:
                yield scored(*waiting.popleft(), weir)
            weir.end()
        finally:
            weir.kill()  # also where Spark gives up on the partition

    return score


def score_lake(rows, column, binary, config=None, distinct=False, shipped=True):
    """The rows with what weir says of each. distinct asks once for each name."""
    if shipped:
        rows.sparkSession.sparkContext.addFile(binary)
    run = scorer(column, binary, config, shipped)

    def ask(frame):
        added = [T.StructField(name, kind) for name, kind, _ in ADDED]
        return frame.mapInArrow(run, T.StructType(frame.schema.fields + added))

    if not distinct:
        return ask(rows)
    verdicts = ask(rows.select(column).distinct()).withColumnRenamed(column, "weir_name")
    return rows.join(verdicts, rows[column].eqNullSafe(verdicts["weir_name"]), "left").drop("weir_name")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", required=True, help="the static binary; it is sent to every executor")
    p.add_argument("--on-executors", action="store_true", help="--weir is a path that every executor has: send nothing")
    p.add_argument("--config", help="configuration whose lists, model and policy judge; a path that every executor has")
    p.add_argument("--in", dest="source", required=True)
    p.add_argument("--out", required=True, help="where the scored lake goes, as Parquet; must not be there yet")
    p.add_argument("--format", choices=["parquet", "cof"], default="parquet")
    p.add_argument("--column", help="with the names; default: qname, of cof rrname")
    p.add_argument("--distinct", action="store_true", help="ask once for each name, and join")
    args = p.parse_args()

    spark = SparkSession.builder.appName("weir score").getOrCreate()
    if args.format == "cof":
        # A line that is no COF ends the job, as the rest would look harmless without it.
        rows = spark.read.schema(COF).option("mode", "FAILFAST").json(args.source)
    else:
        rows = spark.read.parquet(args.source)
    column = args.column or ("rrname" if args.format == "cof" else "qname")
    begin = time.monotonic()
    score_lake(rows, column, args.weir, args.config, args.distinct, not args.on_executors).write.parquet(args.out)
    took = time.monotonic() - begin
    done = spark.read.parquet(args.out)
    counts = {r["weir_level"] or r["weir_unscored_reason"]: r["count"] for r in done.groupBy("weir_level", "weir_unscored_reason").count().collect()}
    total = sum(counts.values())
    print(f"{total} rows in {took:.1f} s, {total / took:.0f} rows/s: {counts}")
    if total != rows.count():
        sys.exit("rows were lost")


if __name__ == "__main__":
    main()
