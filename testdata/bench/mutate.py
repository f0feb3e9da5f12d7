#!/usr/bin/env python3
"""Write captures that are others after something happened to them.

usage: mutate.py [--seed N] [--count N] [--packets N] FOLDER FILE_OR_FOLDER...

What happens is what networks, mirror ports and writers of captures do: packets
are lost, cut, doubled, overtaken and fragmented, streams are cut into other
segments, begin in the middle or come again with other octets, and files are
written in other byte orders and formats. Of each file the first --packets are
taken. The same seed gives the same files; testdata/bench/tshark.py then says
where weir finds less in them than tshark:

    python3 testdata/bench/mutate.py --seed 1 --count 500 /tmp/mutants CAPTURES
    python3 testdata/bench/tshark.py --weir bin/weir /tmp/mutants
"""
import argparse
import gzip
import pathlib
import random
import struct
import zlib

# A packet is (time in ns, link type, octets, length on the wire).


def read_pcap(b):
    magic = b[:4]
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1 if magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1000
    link = struct.unpack_from(order + "I", b, 20)[0] & 0x03FFFFFF
    at, out = 24, []
    while at + 16 <= len(b):
        sec, frac, have, length = struct.unpack_from(order + "IIII", b, at)
        at += 16
        if at + have > len(b):
            break
        out.append((sec * 10**9 + frac * unit, link, b[at:at + have], max(length, have)))
        at += have
    return out


def read_pcapng(b):
    at, out, links, order = 0, [], [], "<"
    while at + 12 <= len(b):
        kind = struct.unpack_from(order + "I", b, at)[0]
        if kind == 0x0A0D0D0A:
            order = "<" if b[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        size = struct.unpack_from(order + "I", b, at + 4)[0]
        if size < 12 or at + size > len(b):
            break
        if kind == 1:
            links.append(struct.unpack_from(order + "H", b, at + 8)[0])
        elif kind == 6:
            n, high, low, have, length = struct.unpack_from(order + "IIIII", b, at + 8)
            out.append(((high << 32 | low) * 1000, links[n], b[at + 28:at + 28 + have], max(length, have)))
        at += (size + 3) & ~3
    return out


def read(path):
    b = path.read_bytes()
    if b[:2] == b"\x1f\x8b":
        b = zlib.decompressobj(31).decompress(b)
    if b[:4] == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(b)
    if b[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d"):
        return read_pcap(b)
    return []


def write_pcap(packets, order="<", nano=False):
    """One file, of packets of one link type."""
    b = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262144, packets[0][1])
    for t, _, data, length in packets:
        b += struct.pack(order + "IIII", t // 10**9 & 0xFFFFFFFF, t % 10**9 // (1 if nano else 1000), len(data), length) + data
    return b


def write_pcapng(packets, order="<"):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))

    b, links = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)), []
    for t, link, data, length in packets:
        if link not in links:
            links.append(link)
            b += block(1, struct.pack(order + "HHI", link, 0, 0))
        b += block(6, struct.pack(order + "IIIII", links.index(link), t // 1000 >> 32, t // 1000 & 0xFFFFFFFF, len(data), length) + data)
    return b


def checksum(b):
    b += b"\0" * (len(b) % 2)
    s = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def find_ip(link, b):
    """Where the IP header of a packet begins, or None."""
    at = {0: 4, 12: 0, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20}.get(link)
    if link == 1 and len(b) >= 18:
        kind, at = struct.unpack_from(">H", b, 12)[0], 14
        while kind in (0x8100, 0x88A8) and at + 4 <= len(b):
            kind, at = struct.unpack_from(">H", b, at + 2)[0], at + 4
        at = at if kind in (0x800, 0x86DD) else None
    if at is None or len(b) < at + 20 or b[at] >> 4 not in (4, 6) or b[at] >> 4 == 6 and len(b) < at + 40:
        return None
    return at


def split(p):
    """Octets in front of the transport, its protocol and its own; of a whole
    packet that is no fragment, otherwise None."""
    link, b = p[1], p[2]
    at = find_ip(link, b)
    if at is None or len(b) != p[3]:
        return None
    if b[at] >> 4 == 4:
        n, total, frag, proto = (b[at] & 15) * 4, *struct.unpack_from(">HxxH", b, at + 2), b[at + 9]
        if frag & 0x3FFF or total < n or at + total > len(b):
            return None
        return b[:at], b[at:at + n], proto, b[at + n:at + total]
    total, proto = struct.unpack_from(">HB", b, at + 4)
    if at + 40 + total > len(b):
        return None
    return b[:at], b[at:at + 40], proto, b[at + 40:at + 40 + total]


def join(p, front, ip, payload, proto=None, frag=0, ident=None):
    """The packet p with another payload."""
    ip = bytearray(ip)
    if ip[0] >> 4 == 4:
        struct.pack_into(">H", ip, 2, len(ip) + len(payload))
        struct.pack_into(">H", ip, 6, frag)
        if ident is not None:
            struct.pack_into(">H", ip, 4, ident)
        if proto is not None:
            ip[9] = proto
        struct.pack_into(">H", ip, 10, 0)
        struct.pack_into(">H", ip, 10, checksum(bytes(ip)))
    else:
        struct.pack_into(">H", ip, 4, len(payload))
        if proto is not None:
            ip[6] = proto
    b = front + bytes(ip) + payload
    return (p[0], p[1], b, len(b))


def tcp_parts(s):
    """Header and data of a TCP segment."""
    n = (s[12] >> 4) * 4 if len(s) >= 20 else 0
    return (s[:n], s[n:]) if 20 <= n <= len(s) else None


def segments(r, ps, each):
    """Every TCP segment with data is what each makes of it: a list of (offset,
    data), in that order, of which the last keeps FIN."""
    out = []
    for p in ps:
        parts = split(p)
        t = tcp_parts(parts[3]) if parts and parts[2] == 6 else None
        if not t or len(t[1]) < 2:
            out.append(p)
            continue
        seq = struct.unpack_from(">I", t[0], 4)[0]
        for i, (off, data) in enumerate(each(t[1])):
            h = bytearray(t[0])
            struct.pack_into(">I", h, 4, seq + off & 0xFFFFFFFF)
            if off + len(data) < len(t[1]):
                h[13] &= ~1
            q = join(p, parts[0], parts[1], bytes(h) + data)
            out.append((q[0] + i * 1000, *q[1:]))
    return out


def pieces(r, data, most):
    cuts = sorted(r.sample(range(1, len(data)), min(len(data) - 1, r.randint(1, most))))
    return [(a, data[a:b]) for a, b in zip([0] + cuts, cuts + [len(data)])]


def cut_segments(r, ps):
    return segments(r, ps, lambda d: pieces(r, d, 4))


def octets(r, ps):
    return segments(r, ps[:60], lambda d: [(i, d[i:i + 1]) for i in range(len(d))] if len(d) < 400 else pieces(r, d, 50))


def split_prefix(r, ps):
    return segments(r, ps, lambda d: [(0, d[:1]), (1, d[1:])])


def prefix_alone(r, ps):
    return segments(r, ps, lambda d: [(0, d[:2]), (2, d[2:])] if len(d) > 2 else [(0, d)])


def out_of_order(r, ps):
    def each(d):
        out = pieces(r, d, 4)
        r.shuffle(out)
        return out
    return segments(r, ps, each)


def retransmitted(r, ps):
    def each(d):
        out = pieces(r, d, 3)
        return out + [out[r.randrange(len(out))]] if r.random() < 0.5 else [out[0]] + out
    return segments(r, ps, each)


def retransmitted_otherwise(r, ps):
    def each(d):
        out = pieces(r, d, 3)
        off, b = out[r.randrange(len(out))]
        return out + [(off, bytes(x ^ 0x55 for x in b))]
    return segments(r, ps, each)


def overlapping(r, ps):
    return segments(r, ps, lambda d: [(a, d[a:min(len(d), a + len(b) + r.randint(0, 20))]) for a, b in pieces(r, d, 3)])


def missing_segment(r, ps):
    def each(d):
        out = pieces(r, d, 4)
        if r.random() < 0.3:
            out.pop(r.randrange(len(out)))
        return out
    return segments(r, ps, each)


def lost(r, ps):
    rate = r.choice((0.05, 0.2, 0.5))
    return [p for p in ps if r.random() >= rate]


def swapped(r, ps):
    ps = list(ps)
    for i in range(len(ps) - 1):
        if r.random() < 0.2:
            a, b = ps[i], ps[i + 1]
            ps[i], ps[i + 1] = (a[0], *b[1:]), (a[0] + 1000, *a[1:])
    return ps


def shuffled(r, ps):
    order = sorted(range(len(ps)), key=lambda i: i + r.uniform(0, 8))
    return [(ps[0][0] + k * 10**6, *ps[i][1:]) for k, i in enumerate(order)]


def backward(r, ps):
    """In the order of time, and not."""
    return [(ps[0][0] + i * 10**6, *p[1:]) for i, p in enumerate(reversed(ps))]


def doubled(r, ps):
    return [q for p in ps for q in ([p, (p[0] + 20000, *p[1:])] if r.random() < 0.3 else [p])]


def snapped(r, ps):
    n = r.choice((42, 54, 58, 60, 64, 68, 76, 80, 96, 128, 200, 256, 512))
    return [(t, link, b[:n], length) for t, link, b, length in ps]


def snapped_some(r, ps):
    return [(t, link, b[:r.randint(20, len(b))], length) if r.random() < 0.2 and len(b) > 20 else (t, link, b, length) for t, link, b, length in ps]


def late(r, ps):
    return ps[r.randrange(max(1, len(ps) // 2)):]


def data_only(r, ps):
    """Without the segments that have no data: no handshake was seen."""
    out = []
    for p in ps:
        parts = split(p)
        if parts and parts[2] == 6 and (t := tcp_parts(parts[3])) and not t[1]:
            continue
        out.append(p)
    return out


def damaged(r, ps):
    out = []
    for t, link, b, length in ps:
        b = bytearray(b)
        if r.random() < 0.3 and len(b) > 42:
            for _ in range(r.randint(1, 4)):
                b[r.randrange(34, len(b))] = r.randrange(256)
        out.append((t, link, bytes(b), length))
    return out


def damaged_anywhere(r, ps):
    out = []
    for t, link, b, length in ps:
        b = bytearray(b)
        if r.random() < 0.3 and b:
            b[r.randrange(len(b))] = r.randrange(256)
        out.append((t, link, bytes(b), length))
    return out


def fragmented(r, ps, order=None):
    out = []
    for i, p in enumerate(ps):
        parts = split(p)
        if not parts or parts[2] not in (6, 17) or len(parts[3]) < 24:
            out.append(p)
            continue
        front, ip, proto, b = parts
        step = 8 * r.randint(1, max(1, len(b) // 16))
        step = max(step, (len(b) // 40 + 7) & ~7)
        cuts = list(range(0, len(b), step))
        made = []
        for a in cuts:
            more = a + step < len(b)
            if ip[0] >> 4 == 4:
                made.append(join(p, front, ip, b[a:a + step], frag=(0x2000 if more else 0) | a // 8, ident=i + 1))
            else:
                made.append(join(p, front, ip, struct.pack(">BBHI", proto, 0, a | more, i + 1) + b[a:a + step], proto=44))
        if order:
            made = order(made)
        out += [(q[0] + k * 1000, *q[1:]) for k, q in enumerate(made)]
    return out


def fragmented_backward(r, ps):
    return fragmented(r, ps, lambda f: f[::-1])


def fragmented_shuffled(r, ps):
    return fragmented(r, ps, lambda f: r.sample(f, len(f)))


def fragmented_doubled(r, ps):
    return fragmented(r, ps, lambda f: [q for p in f for q in (p, p)] if r.random() < 0.5 else f + [f[0]])


def over_tcp(r, ps):
    """The messages of UDP in TCP connections, several in one, in segments of any
    size."""
    streams, out, first = {}, [], ps[0]
    for p in ps:
        parts = split(p)
        if not parts or parts[2] != 17 or len(parts[3]) < 8 + 12:
            continue
        front, ip, _, b = parts
        a, c = struct.unpack_from(">HH", b)
        if 53 not in (a, c):
            continue
        key = (ip[12:20] if ip[0] >> 4 == 4 else ip[8:40], a, c)
        streams.setdefault(key, (p, front, ip, a, c, []))[5].append(b[8:])
    for p, front, ip, a, c, messages in streams.values():
        seq, ack = r.randrange(1 << 32), r.randrange(1 << 32)
        data = b"".join(struct.pack(">H", len(m)) + m for m in messages)

        def segment(seq, flags, b):
            return join(p, front, ip, struct.pack(">HHIIBBHHH", a, c, seq & 0xFFFFFFFF, ack, 0x50, flags, 65535, 0, 0) + b, proto=6)
        if r.random() < 0.8:
            out.append(segment(seq - 1, 2 if c == 53 else 18, b""))
        at = 0
        while at < len(data):
            n = r.choice((1, 2, 3, 20, 100, 536, 1400, len(data)))
            n = min(n, 60000)
            out.append(segment(seq + at, 0x18, data[at:at + n]))
            at += n
        if r.random() < 0.5:
            out.append(segment(seq + len(data), 0x11, b""))
    return [(first[0] + i * 100000, *q[1:]) for i, q in enumerate(out)] or ps


def over_tcp_out_of_order(r, ps):
    return swapped(r, over_tcp(r, ps))


def over_tcp_lossy(r, ps):
    return lost(r, over_tcp(r, ps))


def tunnelled(r, ps):
    """In GRE, IP, VXLAN, MPLS or EtherIP."""
    out, which = [], r.randrange(5)
    for p in ps:
        at = find_ip(p[1], p[2])
        if at is None or len(p[2]) != p[3]:
            out.append(p)
            continue
        ip = p[2][at:]
        v4 = ip[0] >> 4 == 4
        kind, proto = (0x800, 4) if v4 else (0x86DD, 41)
        ether = bytes(12) + struct.pack(">H", kind) + ip
        outer = lambda n, b: struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(b), 1, 0, 64, n, 0, b"\x0a\0\0\1", b"\x0a\0\0\2") + b
        b = (
            lambda: outer(47, struct.pack(">HH", 0, kind) + ip), lambda: outer(proto, ip),
            lambda: outer(17, struct.pack(">HHHH", 50000, 4789, 16 + len(ether), 0) + b"\x08\0\0\0\0\0\1\0" + ether),
            lambda: outer(137, b"\0\0\x11\x40" + ip), lambda: outer(97, b"\x30\0" + ether))[which]()
        out.append((p[0], 101, b, len(b)))
    return out


MUTATIONS = [cut_segments, octets, split_prefix, prefix_alone, out_of_order, retransmitted, retransmitted_otherwise, overlapping, missing_segment,
             lost, swapped, shuffled, backward, doubled, snapped, snapped_some, late, data_only, damaged, damaged_anywhere,
             fragmented, fragmented_backward, fragmented_shuffled, fragmented_doubled, over_tcp, over_tcp_out_of_order, over_tcp_lossy, tunnelled]
OF_TCP = {cut_segments, octets, split_prefix, prefix_alone, out_of_order, retransmitted, retransmitted_otherwise, overlapping, missing_segment, data_only}


def write(r, packets):
    order = r.choice("<>")
    if len({p[1] for p in packets}) > 1 or r.random() < 0.3:
        b = write_pcapng(packets, order)
    else:
        b = write_pcap(packets, order, r.random() < 0.5)
    if r.random() < 0.05:
        b = b[:r.randint(40, len(b))]
    return b


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--count", type=int, default=500)
    a.add_argument("--packets", type=int, default=300)
    a.add_argument("folder", type=pathlib.Path)
    a.add_argument("paths", nargs="+", type=pathlib.Path)
    a = a.parse_args()
    r = random.Random(a.seed)
    sources = []
    for f in [f for q in a.paths for f in (sorted(q.iterdir()) if q.is_dir() else [q])]:
        if ".pcap" in f.name and (ps := read(f)[:a.packets]):
            sources.append((f.name.split(".")[0], ps, any((t := split(p)) and t[2] == 6 and 53 in struct.unpack(">HH", t[3][:4]) for p in ps if len(p[2]) > 44)))
    of_tcp = [s for s in sources if s[2]]
    a.folder.mkdir(parents=True, exist_ok=True)
    for i in range(a.count):
        done = [MUTATIONS[i % len(MUTATIONS)]] + r.sample(MUTATIONS, r.choice((0, 0, 0, 1, 2)))
        name, packets, _ = r.choice(of_tcp if done[0] in OF_TCP else sources)
        if r.random() < 0.1:  # two captures in one
            other = r.choice(sources)
            name += "+" + other[0]
            packets = [p for a, b in zip(packets, other[1]) for p in (a, (a[0] + 1000, *b[1:]))]
        for m in done:
            packets = m(r, packets) or packets
        name += "".join("." + m.__name__ for m in done)
        b = write(r, packets)
        if r.random() < 0.1:
            (a.folder / f"{i:04d}_{name}.pcap.gz").write_bytes(gzip.compress(b))
        else:
            (a.folder / f"{i:04d}_{name}.pcap").write_bytes(b)


if __name__ == "__main__":
    main()
