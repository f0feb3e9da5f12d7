"""Makes a lake to measure with: names of a file times clients, in the columns of weir's
Parquet that reading and scoring it need.

    python3 make_lake.py --names FILE --rows 10000000 LAKE

FILE has a name a line (gzip if it ends in .gz; of a TSV the first column). A few names
are asked for often and most of them now and then.
"""
import argparse
import gzip
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HOURS = 48
CLIENTS = 5000
DAY = np.datetime64("2026-03-01T00:00:00", "us")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--names", required=True)
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("lake", type=pathlib.Path)
    args = p.parse_args()
    with (gzip.open if args.names.endswith(".gz") else open)(args.names, "rt") as f:
        names = pa.array(sorted({line.split("\t")[0].strip() for line in f if "." in line}))
    rng = np.random.default_rng(args.seed)
    order = rng.permutation(len(names))
    clients = pa.array([f"10.0.{i >> 8}.{i & 255}" for i in range(CLIENTS)])
    qtypes = pa.array(["A", "AAAA", "HTTPS"])
    row = 0
    for hour in range(HOURS):
        n = args.rows * (hour + 1) // HOURS - row
        row += n
        # Half of the rows are of popular names, half of any.
        popular = np.minimum(rng.zipf(1.2, n) - 1, len(names) - 1)
        which = order[np.where(rng.random(n) < 0.5, popular, rng.integers(0, len(names), n))]
        at = np.sort(DAY + np.timedelta64(hour, "h") + rng.integers(0, 3_600_000_000, n).astype("timedelta64[us]"))
        table = pa.table({
            "time": pa.array(at, pa.timestamp("us", "UTC")),
            "client": clients.take(pa.array(rng.integers(0, CLIENTS, n))),
            "qname": names.take(pa.array(which)),
            "registered_domain": names.take(pa.array(which)),
            "qtype": qtypes.take(pa.array(rng.integers(0, 3, n))),
            "latency_us": pa.array(rng.integers(20, 40_000, n)),
            "level": pa.repeat("none", n),
            "score": pa.nulls(n, pa.float64()),
        }).sort_by([("registered_domain", "ascending"), ("time", "ascending")])
        folder = args.lake / f"dt={str(DAY + np.timedelta64(hour, 'h'))[:10]}" / f"hour={hour % 24:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "made.parquet", compression="zstd", row_group_size=131072)
    print(f"{row} rows of {len(names)} names")


if __name__ == "__main__":
    main()
