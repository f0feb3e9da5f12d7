"""A capture written as rows by weir and by others: records a second of a processor, octets a record.

    python3 testdata/bench/ingest.py [--peer dnsmonster=FILE] [--names FILE] [--exchanges 300000]

The capture is made here: questions over UDP for names of a file (a name a line; else
made-up ones) with popular ones more often, each answered with two addresses. weir reads
it as `weir sniff` does, and its Parquet outlet writes the lake (a row for a question and
its answer); dnsmonster reads the same file into its Parquet output (a row for each
message). Needs Go, for weir's part. No name is scored by either.
"""
import argparse
import os
import pathlib
import random
import re
import resource
import struct
import subprocess
import tempfile
import time


def wire(name):
    return b"".join(bytes([len(l)]) + l for l in name.encode().split(b".")) + b"\0"


def packet(at, src, dst, sport, dport, payload):
    udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, src, dst)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    frame = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + head + udp
    return struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), len(frame)) + frame


def capture(path, names, n):
    rnd = random.Random(1)
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i in range(n):
            name = names[min(int(rnd.paretovariate(0.6)) - 1, rnd.randrange(len(names)) + 1000, len(names) - 1)]
            q, at, ident = wire(name), 1772366400 + i / 1000, rnd.randrange(65536)
            client, server, port = bytes([10, 0, rnd.randrange(20), rnd.randrange(250)]), bytes([192, 0, 2, 53]), rnd.randrange(1024, 65536)
            ask = q + b"\0\1\0\1"
            rr = b"".join(b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + bytes([198, 18, len(name), k]) for k in (1, 2))
            f.write(packet(at, client, server, port, 53, struct.pack(">HHHHHH", ident, 0x100, 1, 0, 0, 0) + ask))
            f.write(packet(at + 0.01, server, client, 53, port, struct.pack(">HHHHHH", ident, 0x8180, 1, 2, 0, 0) + ask + rr))


def run(command, **kw):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, capture_output=True, text=True, check=False, **kw)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--peer", action="append", default=[], help="NAME=FILE; dnsmonster is known")
    p.add_argument("--names")
    p.add_argument("--exchanges", type=int, default=300_000)
    args = p.parse_args()
    names = [f"{w}{i % 97}.site{i}.example" for i in range(100_000) for w in ("www",)]
    if args.names:
        names = [l.strip() for l in open(args.names, encoding="ascii", errors="ignore") if 0 < len(l.strip()) < 200 and all(0 < len(x) < 64 for x in l.strip().split("."))]
    root = pathlib.Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as d:
        file = os.path.join(d, "capture.pcap")
        capture(file, names, args.exchanges)
        print(f"{args.exchanges} exchanges, {os.path.getsize(file) / args.exchanges / 2:.0f} octets a packet")
        out, _ = run(["go", "test", "-count=1", "-run", "TestLakeOfACapture", "-v", "-timeout", "30m", "./pdns/outlet/parquetout"], cwd=root,
                     env={**os.environ, "WEIR_LAKE": os.path.join(d, "lake"), "WEIR_LAKE_CAPTURE": file})
        said = re.search(r"(\d+) rows in .*?(\d+) rows/s of a processor.*?([\d.]+) a row", out.stdout)
        if not said:
            raise SystemExit(out.stdout + out.stderr)
        print(f"| weir, capture to Parquet | {said[2]} rows/s of a processor | {said[3]} octets a row | {said[1]} rows, a question with its answer each |", flush=True)
        for one in args.peer:
            name, binary = one.split("=", 1)
            if name != "dnsmonster":
                raise SystemExit(f"{name} is not known")
            to = os.path.join(d, "peer")
            os.mkdir(to)
            begin = time.time()
            out, cpu = run([binary, f"--pcapfile={file}", "--parquetoutputtype=1", f"--parquetoutputpath={to}/out.parquet", "--loglevel=3"], timeout=1800)
            size = sum(f.stat().st_size for f in pathlib.Path(to).rglob("*") if f.is_file())
            rows = "?"
            try:
                import pyarrow.parquet as pq
                rows = sum(pq.ParquetFile(f).metadata.num_rows for f in pathlib.Path(to).rglob("*") if f.is_file())
                print(f"| dnsmonster, capture to Parquet | {rows / cpu:,.0f} rows/s of a processor | {size / rows:.1f} octets a row | {rows} rows, a message each; {time.time() - begin:.0f} s by the clock |")
            except Exception as e:  # noqa: BLE001: whatever the file is not
                print(f"dnsmonster: {rows} rows, {size} octets, {cpu:.1f} s of processors: {e}\n{out.stdout[-2000:]}{out.stderr[-2000:]}")


if __name__ == "__main__":
    main()
