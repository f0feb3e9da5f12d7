"""Octets a record of the records of `make bench-store`, written by SQLite and as Parquet.

    python3 testdata/bench/storepeers.py [--records 10000000] [--folder DIR]

The record store answers by name, subtree and address. SQLite gets a table with an index
for names (reversed, so that subtrees are ranges) and one for addresses, and once more
without; Parquet is what it is. Needs pyarrow and numpy.
"""
import argparse
import os
import pathlib
import sqlite3
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 250_000
SEEN = 1_772_366_400


def records(n):
    """Chunks of (name, address) as pdns/store's bench_test.go makes them."""
    kinds = np.array(["www", "cdn", "api", "mail"])
    for at in range(0, n, CHUNK):
        i = np.arange(at, min(at + CHUNK, n), dtype=np.uint64)
        h = i * np.uint64(0x9E3779B97F4A7C15)
        site = (i // np.uint64(10)) * np.uint64(0xC2B2AE35) & np.uint64(0xFFFFFF)
        names = [f"{k}{j}.site{s:x}.com" for k, j, s in zip(kinds[(h >> np.uint64(62)).astype(int)], (i % np.uint64(7)).tolist(), site.tolist())]
        octet = lambda by: ((h >> np.uint64(by)) & np.uint64(255)).tolist()  # noqa: E731
        yield names, [f"{a}.{b}.{c}.{d}" for a, b, c, d in zip(octet(24), octet(32), octet(40), octet(48))]


def size(path):
    return sum(f.stat().st_size for f in pathlib.Path(path).parent.glob(pathlib.Path(path).name + "*"))


def sqlite(path, n, indexed):
    db = sqlite3.connect(path)
    db.execute("pragma journal_mode = wal")
    db.execute("create table pdns (rrname text, rrtype integer, rdata text, time_first integer, time_last integer, count integer)")
    if indexed:
        db.execute("create unique index by_name on pdns (rrname, rrtype, rdata)")
        db.execute("create index by_rdata on pdns (rdata)")
    took = 0.0
    for names, addresses in records(n):
        rows = [(".".join(reversed(name.split("."))), 1, addr, SEEN, SEEN, 1) for name, addr in zip(names, addresses)]
        cpu = time.process_time()
        with db:
            db.executemany("insert or ignore into pdns values (?, ?, ?, ?, ?, ?)", rows)
        took += time.process_time() - cpu
    cpu = time.process_time()
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    return took + time.process_time() - cpu


def parquet(path, n):
    schema = pa.schema([("rrname", pa.string()), ("rrtype", pa.string()), ("rdata", pa.string()), ("time_first", pa.int64()), ("time_last", pa.int64()), ("count", pa.int64())])
    took = 0.0
    with pq.ParquetWriter(path, schema, compression="zstd") as w:
        for names, addresses in records(n):
            k = len(names)
            cpu = time.process_time()
            table = pa.table([pa.array(names), pa.repeat("A", k), pa.array(addresses), pa.repeat(SEEN, k), pa.repeat(SEEN, k), pa.repeat(1, k)], schema=schema)
            w.write_table(table.sort_by("rrname"))
            took += time.process_time() - cpu
    return took


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--records", type=int, default=10_000_000)
    p.add_argument("--folder", default=tempfile.gettempdir())
    args = p.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as d:
        for what, write in [("SQLite, two indexes", lambda f: sqlite(f, args.records, True)), ("SQLite, no index", lambda f: sqlite(f, args.records, False)),
                            ("Parquet, zstd, each chunk sorted by name", lambda f: parquet(f, args.records))]:
            path = os.path.join(d, "records")
            took = write(path)
            print(f"| {what} | {size(path) / args.records:.1f} octets a record | {args.records / took:,.0f} records a second of a processor |", flush=True)
            for f in pathlib.Path(d).iterdir():
                f.unlink()


if __name__ == "__main__":
    main()
