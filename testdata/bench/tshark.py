#!/usr/bin/env python3
"""Hold the DNS messages that weir finds in captures against those that tshark finds.

usage: tshark.py [--weir bin/weir] FILE_OR_FOLDER...

A message is a DNS header: tshark says dns.id once for each, mDNS, LLMNR and what
ICMP errors quote included, as weir's dns_messages does. The exit code is 1 if
weir finds fewer in any capture.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys


def tshark(path):
    """Messages by tshark, and what it calls them."""
    out = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-Y", "dns or mdns or llmnr", "-T", "fields",
         "-e", "dns.id", "-e", "_ws.col.Protocol", "-E", "occurrence=a", "-E", "aggregator=,"],
        capture_output=True, text=True, check=False)
    count, kinds = 0, collections.Counter()
    for line in out.stdout.splitlines():
        ids, _, kind = line.partition("\t")
        n = len(ids.split(",")) if ids else 0
        count += n
        kinds[kind] += n
    return count, kinds


def weir(binary, path):
    out = subprocess.run([binary, "sniff", "-r", str(path), "--summary", "-"], capture_output=True, text=True, check=False)
    return json.loads(out.stdout) if out.stdout else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default="bin/weir")
    p.add_argument("paths", nargs="+", type=pathlib.Path)
    a = p.parse_args()
    files = [f for q in a.paths for f in (sorted(q.iterdir()) if q.is_dir() else [q])]
    files = [f for f in files if f.is_file() and ".pcap" in f.name]
    total = [0, 0]
    below = above = 0
    for f in files:
        theirs, kinds = tshark(f)
        s = weir(a.weir, f)
        ours = s["dns_messages"] if s else 0
        total[0] += ours
        total[1] += theirs
        if s and s["panics"]:
            print(f"{f.name}: {s['panics']} panics")
            below += 1
        if ours != theirs:
            drops = {f"{stage}.{why}": n for stage, m in (s or {}).get("drops", {}).items() for why, n in m.items()}
            print(f"{f.name}: weir {ours}, tshark {theirs} {dict(kinds)}, drops {drops}")
        below += ours < theirs
        above += ours > theirs
    print(f"{len(files)} captures: {len(files) - below - above} equal, {above} above, {below} below; {total[0]} messages, tshark {total[1]}")
    sys.exit(below > 0)


if __name__ == "__main__":
    main()
