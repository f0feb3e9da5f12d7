#!/usr/bin/env python3
"""Count what lists hold in another way than weir does, and compare.

    counts.py WEIR FILE...

WEIR is the binary, each FILE a list (plain or gzip) in the format domains,
hosts, adblock or rpz. Names are gathered here by patterns of this script's
own. What weir refuses by a rule that needs more than the line (public
suffixes and so on) is taken from its report, line by line; all else must
agree. Exit code 1 if a list differs.
"""
import gzip
import ipaddress
import json
import re
import subprocess
import sys

LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = rf"(?:{LABEL}\.)+{LABEL}"
PATTERNS = {
    "domains": re.compile(rf"^(?:\*?\.)?({NAME}|[0-9A-Fa-f:./]+)\s*(?:#.*)?$"),
    "hosts": re.compile(rf"^[0-9a-fA-F:.]+\s+({NAME})\s*(?:#.*)?$"),
    "adblock": re.compile(rf"^(?:\|\|)?({NAME}|\[[0-9A-Fa-f:]+\])\^?$"),
    "rpz": re.compile(rf"^(?:\*\.)?({NAME})\s+CNAME\s+\.\s*(?:;.*)?$"),
}
RULES = {"public_suffix", "single_label", "own_host", "private_address", "ip_as_name", "address_range"}


def lines(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as f:
        return f.read().splitlines()


def address(text):
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def main():
    weir, failed = sys.argv[1], False
    for path in sys.argv[2:]:
        out = subprocess.run([weir, "lists", "check", "--json", path], capture_output=True, text=True).stdout
        objects = [json.loads(line) for line in out.splitlines()]
        report = objects[-1]
        refused = {o["line"] for o in objects[:-1] if o["reason"] in RULES}
        if not report["ok"]:
            print(f"{path}: refused as a whole: {report['error']}")
            continue
        pattern = PATTERNS.get(report["format"])
        if pattern is None:
            print(f"{path}: no pattern for format {report['format']}: skipped")
            continue
        names, addresses = set(), set()
        for number, line in enumerate(lines(path), 1):
            m = pattern.match(line.strip())
            if not m or number in refused:
                continue
            a = address(m[1])
            if a is not None:
                addresses.add(a)
            else:
                names.add(m[1].lower().rstrip("."))
        same = (len(names), len(addresses)) == (report["names"], report["addresses"])
        failed |= not same
        print(f"{path}: {report['format']}, weir {report['names']} names {report['addresses']} addresses, "
              f"here {len(names)} and {len(addresses)}: {'equal' if same else 'DIFFERENT'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
