#!/usr/bin/env python3
"""Memory of weir sniff while a capture of any size comes through a pipe.

usage: bigstream.py --weir bin/weir --gigabytes 10 [--file CAPTURE]

CAPTURE (classic pcap of little-endian order) is repeated, each time later, as
often as it takes; nothing is on disk. Once a second the resident memory of weir
is printed, and at the end the packets that were sent and counted, which have to
be equal.
"""
import argparse
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time


def records(data):
    """The offset of each record's time."""
    at, out = 24, []
    while at + 16 <= len(data):
        out.append(at)
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    return out, at


def resident(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return next((int(line.split()[1]) // 1024 for line in f if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default="bin/weir")
    p.add_argument("--gigabytes", type=float, default=1)
    p.add_argument("--file", required=True)
    a = p.parse_args()
    with open(a.file, "rb") as f:
        data = bytearray(f.read())
    at, end = records(data)
    data = data[:end]
    first, last = (struct.unpack_from("<I", data, o)[0] for o in (at[0], at[-1]))
    with tempfile.NamedTemporaryFile() as cof:
        w = subprocess.Popen([a.weir, "sniff", "--cof", cof.name, "--summary", "-", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        summary, sent, most = [], [0, 0], 0
        reader = threading.Thread(target=lambda: summary.append(w.stdout.read()))
        reader.start()
        w.stdin.write(data[:24])
        start = shown = time.monotonic()
        while sent[1] < a.gigabytes * 1e9:
            for o in range(24, len(data), 1 << 20):
                w.stdin.write(data[o:o + (1 << 20)])
                if time.monotonic() - shown >= 1:
                    shown = time.monotonic()
                    most = max(most, resident(w.pid))
                    print(f"{shown - start:6.0f} s {(sent[1] + o) / 1e9:7.2f} GB {resident(w.pid):5} MB", flush=True)
            sent = [sent[0] + len(at), sent[1] + len(data) - 24]
            for o in at:
                struct.pack_into("<I", data, o, (struct.unpack_from("<I", data, o)[0] + last - first + 1) & 0xffffffff)
        w.stdin.close()
        reader.join()
        code = w.wait()
    counted = json.loads(summary[0])["packets"]
    print(f"{sent[0]} packets sent, {counted} counted, at most {most} MB, exit code {code}")
    sys.exit(counted != sent[0] or code != 0)


if __name__ == "__main__":
    main()
