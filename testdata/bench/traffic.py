#!/usr/bin/env python3
"""A capture of DNS traffic to measure with: questions over UDP and their answers.

usage: traffic.py --names FILE --out CAPTURE [--questions 1500000] [--seed 1]

FILE has one name a line, the most popular first. A name is asked for by its rank
to the power of -0.91 (Jung and others, "DNS Performance and the Effectiveness of
Caching", 2002), by one of a thousand clients, for A or AAAA; one name in
twelve does not exist. A name's addresses are always the same two, as they mostly
are in life; with --fresh they are drawn anew for every answer, which no sensor
can sum up. Answers come 20 ms after their questions, 1,000 questions a second.
"""
import argparse
import ipaddress
import struct

import numpy as np


def wire(name):
    return b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0"


def udp(src, dst, sport, dport, payload):
    length = 8 + len(payload)
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, 17, 0, src, dst)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + head + struct.pack(">HHHH", sport, dport, length, 0) + payload


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--names", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--questions", type=int, default=1_500_000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--fresh", action="store_true")
    a = p.parse_args()
    with open(a.names, "rb") as f:
        names = [wire(line.strip()) for line in f if line.strip()]
    rng = np.random.default_rng(a.seed)
    odds = np.arange(1, len(names) + 1) ** -0.91
    asked = rng.choice(len(names), a.questions, p=odds / odds.sum())
    home = rng.integers(0, 256, (len(names), 32), dtype=np.uint8).tobytes()
    missing = rng.random(len(names)) < 1 / 12
    client = rng.integers(0, 1000, a.questions)
    sixth = rng.random(a.questions) < 0.3
    port = rng.integers(1024, 65536, a.questions)
    ids = rng.integers(0, 65536, a.questions)
    server = ipaddress.ip_address("10.0.0.53").packed
    clients = [ipaddress.ip_address(f"10.1.{i // 250}.{i % 250 + 1}").packed for i in range(1000)]

    def addresses(name):
        return rng.bytes(32) if a.fresh else home[32 * name:32 * name + 32]

    def answer(i):
        name, six = int(asked[i]), bool(sixth[i])
        question = names[name] + struct.pack(">HH", 28 if six else 1, 1)
        if missing[name]:
            soa = b"\0" + struct.pack(">HHIH", 6, 1, 900, 22) + b"\0\0" + struct.pack(">5I", 1, 1800, 900, 604800, 900)
            return struct.pack(">6H", ids[i], 0x8183, 1, 0, 1, 0) + question + soa
        data, size = addresses(name), 16 if six else 4
        rrset = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 28 if six else 1, 1, 300, size) + data[k * size:(k + 1) * size] for k in range(2))
        return struct.pack(">6H", ids[i], 0x8180, 1, 2, 0, 0) + question + rrset

    start, lag = 1_600_000_000_000, 20  # milliseconds
    with open(a.out, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))

        def write(ms, frame):
            out.write(struct.pack("<IIII", ms // 1000, ms % 1000 * 1000, len(frame), len(frame)) + frame)

        for t in range(a.questions + lag):
            if t >= lag:
                i = t - lag
                write(start + t, udp(server, clients[client[i]], 53, int(port[i]), answer(i)))
            if t < a.questions:
                question = names[asked[t]] + struct.pack(">HH", 28 if sixth[t] else 1, 1)
                write(start + t, udp(clients[client[t]], server, int(port[t]), 53, struct.pack(">6H", ids[t], 0x0100, 1, 0, 0, 0) + question))


if __name__ == "__main__":
    main()
