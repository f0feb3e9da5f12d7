"""Runs examples/spark on the lake that spark.sh made, and wants every row and no made-up score."""
import json
import pathlib
import subprocess
import sys

from counts import counts
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from score_lake import COF, score_lake

work = pathlib.Path(sys.argv[1])
binary = str(work / "weir")
ROWS = 30_000


def want(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: got {got!r}, want {expected!r}")


spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false").config("spark.sql.session.timeZone", "UTC")
         .config("spark.sql.shuffle.partitions", "2").config("spark.task.maxFailures", "1").getOrCreate())
spark.sparkContext.setLogLevel("OFF")

# weir's Parquet as it is.
lake = spark.read.parquet(str(work / "lake"))
by = counts(lake)
want("rows", by.agg(F.sum("rows")).first()[0], ROWS)
want("days", sorted(str(r.day) for r in by.select("day").distinct().collect()), ["2026-03-01", "2026-03-02", "2026-03-03"])
want("domains", by.select("registered_domain").distinct().count(), lake.select("registered_domain").distinct().count())
want("answers", lake.select(F.explode("answers").alias("a")).select("a.rrtype", "a.rdata").where("rdata like '198.18.%'").count(), ROWS)

# Scored, by row and by name: the same, and the same as weir says of the name by itself.
for distinct in (False, True):
    done = score_lake(lake, "qname", binary, distinct=distinct).cache()
    want("scored rows", (done.count(), done.select("weir_id").distinct().count()), (ROWS, ROWS))
    want("rows without a score", done.where("weir_score is null").count(), 0)
    said = {r.qname: r.weir_score for r in done.select("qname", "weir_score").distinct().collect()}
    names = sorted(said)[:50]
    alone = subprocess.run([binary, "score", "--no-features", *names], check=True, capture_output=True, text=True).stdout
    want("scores", [said[n] for n in names], [json.loads(line)["score"] for line in alone.splitlines()])
    want("levels", sum(r["rows"] for r in counts(done).collect()), ROWS)

# COF, and what is no name or has no score: nothing says 0.
hostile = ["www.example.com.", "localhost.", "", "two\nlines.example.", "bad..name", "a\\010b\\\"c.example.com.", None, "1.2.0.192.in-addr.arpa.", "xn--bcher-kva.com."]
(work / "cof").mkdir()
with open(work / "cof" / "a.jsonl", "w") as f:
    for n in hostile:
        f.write(json.dumps({"rrname": n, "rrtype": "A", "rdata": ["192.0.2.1"], "time_first": 1, "time_last": 2, "count": 1}) + "\n")
cof = spark.read.schema(COF).option("mode", "FAILFAST").json(str(work / "cof"))
for distinct in (False, True):
    got = {r.rrname: (r.weir_score is not None, r.weir_level is not None, r.weir_unscored_reason) for r in score_lake(cof, "rrname", binary, distinct=distinct).collect()}
    want("names", set(got), set(hostile))
    want("a name with a score", got["www.example.com."], (True, True, None))
    for n, reason in {"localhost.": "special_use", "": "not_a_name", "two\nlines.example.": "not_a_name", "bad..name": "not_a_name", None: "not_a_name",
                      "1.2.0.192.in-addr.arpa.": "reverse_zone", "xn--bcher-kva.com.": "idn"}.items():
        want(f"{n!r}", got[n], (False, False, reason))

# What fails ends the job.
def script(name, text):
    path = work / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


for what, broken, config in [
    ("a binary that ends early", script("early", f'head -n 100 | {binary} score --no-features -\n'), None),
    ("a binary that fails at the end", script("late", f'{binary} score --no-features -\nexit 3\n'), None),
    ("a binary that answers for other names", script("other", f"sed s/name1/name2/ | {binary} score --no-features -\n"), None),
    ("a binary whose scores are missing", script("null", f"{binary} score --no-features - | sed 's/\"score\":[^,]*/\"score\":null/'\n"), None),
    ("a binary that is not there", str(work / "none"), None),
    ("a configuration that is not there", binary, "/nonexistent.yaml"),
]:
    try:
        score_lake(lake, "qname", broken, config, shipped=False).write.mode("overwrite").parquet(str(work / "bad"))
    except Exception as e:  # noqa: BLE001
        lines = str(e).splitlines()
        print(f"{what}: {next((line for line in lines if 'Error: ' in line), lines[0])[:160]}")
        continue
    sys.exit(f"{what} ends no job")
(work / "cof" / "b.jsonl").write_text("no JSON\n")
try:
    score_lake(spark.read.schema(COF).option("mode", "FAILFAST").json(str(work / "cof")), "rrname", binary).collect()
    sys.exit("a line that is no COF ends no job")
except Exception:  # noqa: BLE001
    print("a line that is no COF: ends the job")
spark.stop()
print(f"Spark {spark.version} scored and counted {ROWS} rows of weir's Parquet, and COF")
