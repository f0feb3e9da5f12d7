#!/usr/bin/env python3
"""Write a capture of one DNS query for each layer that may be around it.

usage: layers.py FOLDER
       layers.py --text BINARY

Each file NNN_name.pcap (or .pcapng) has one query, built octet by octet from
the documents of its layers. testdata/bench/tshark.py then says where weir finds
less in them than tshark does:

    python3 testdata/bench/layers.py /tmp/layers
    python3 testdata/bench/tshark.py --weir bin/weir /tmp/layers

With --text, the packets and files go to standard output as capture/testdata/layers.txt
has them, each with the messages that BINARY finds: look at the difference.
"""
import gzip
import json
import pathlib
import re
import struct
import subprocess
import sys
import zlib

QNAME = b"\x01a\x07example\x00"
QUERY = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + QNAME + struct.pack(">HH", 1, 1)
ANSWER = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0) + QNAME + struct.pack(">HH", 1, 1) + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\xc0\x00\x02\x50"
MACS = bytes.fromhex("020000000002020000000001")


def be16(*v):
    return struct.pack(">%dH" % len(v), *v)


def be32(*v):
    return struct.pack(">%dI" % len(v), *v)


def le32(*v):
    return struct.pack("<%dI" % len(v), *v)


def checksum(b):
    b += b"\0" * (len(b) % 2)
    s = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def ip4(proto, payload, options=b"", at=0, ident=1, src=b"\xc0\x00\x02\x0a", dst=b"\xc6\x33\x64\x35"):
    n = 20 + len(options)
    h = struct.pack(">BBHHHBBH4s4s", 0x40 | n // 4, 0, n + len(payload), ident, at, 64, proto, 0, src, dst) + options
    return h[:10] + be16(checksum(h)) + h[12:] + payload


def ip6(proto, payload):
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), proto, 64, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x0a", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x35") + payload


def udp(port, payload, src=40000):
    return be16(src, port, 8 + len(payload), 0) + payload


def tcp(payload, port=53, seq=1, flags=0x18, src=40000):
    return struct.pack(">HHIIBBHHH", src, port, seq, 1, 0x50, flags, 65535, 0, 0) + payload


D = udp(53, QUERY)
D4, D6 = ip4(17, D), ip6(17, D)
E4, E6 = MACS + be16(0x0800) + D4, MACS + be16(0x86DD) + D6
SNAP = b"\xaa\xaa\x03\0\0\0"
L4, L6 = SNAP + be16(0x0800) + D4, SNAP + be16(0x86DD) + D6


def eth(kind, payload):
    return MACS + be16(kind) + payload


def wifi(fc, payload, qos=False, four=False, htc=False):
    h = struct.pack("<HH", fc, 0) + b"\2\0\0\0\0\1" + b"\2\0\0\0\0\2" + b"\2\0\0\0\0\3" + be16(0)
    if four:
        h += b"\2\0\0\0\0\4"
    if qos:
        h += be16(0)
    if htc:
        h += be32(0)
    return h + payload


def tlv(kind, value):  # of NFLOG
    b = struct.pack("<HH", 4 + len(value), kind) + value
    return b + bytes(-len(b) % 4)


def pdu(*tags):  # exported PDUs
    b = b""
    for kind, value in tags:
        value += bytes(-len(value) % 4)
        b += be16(kind, len(value)) + value
    return b + be16(0, 0)


def chunk(payload, tsn=1, flags=3, kind=0):
    b = struct.pack(">BBHIHHI", kind, flags, 16 + len(payload) + 4 * (kind == 64), tsn, 0, 0, 0) + be32(0) * (kind == 64) + payload
    return b + bytes(-len(b) % 4)


def sctp(*chunks):
    return be16(40000, 53) + be32(1, 0) + b"".join(chunks)


def amsdu(*bodies, radiotap=b""):
    b = radiotap + wifi(0x0188, b"", qos=True)[:24] + b"\x80\0"
    for i, body in enumerate(bodies):
        b += MACS + be16(len(body)) + body + bytes(-(14 + len(body)) % 4 if i + 1 < len(bodies) else 0)
    return b


def layers():
    """Name, link type, octets."""
    ether = lambda kind, b: (1, eth(kind, b))
    raw = lambda b: (101, b)
    over = lambda port, b: (101, ip4(17, udp(port, b)))
    yield "eth_ipv4", 1, E4
    yield "eth_ipv6", 1, E6
    yield "eth_port_40053", *over(40053, QUERY)
    yield "eth_port_40053_answer", *over(40053, ANSWER)
    head = lambda flags, *counts: be16(7, flags, *counts)
    yield "port_40053_cut_question", *over(40053, QUERY[:17])
    yield "port_40053_broken_question", *over(40053, QUERY[:12] + b"\xff" * 15)
    yield "port_40053_no_answers", *over(40053, head(0x8380, 1, 1, 0, 0) + QUERY[12:])
    yield "port_40053_40_answers", *over(40053, head(0x8180, 1, 40, 0, 0) + ANSWER[12:27] + ANSWER[27:] * 40)
    yield "mdns", *over(5353, QUERY)
    yield "llmnr", *over(5355, QUERY)
    yield "mdns_from", 101, ip4(17, udp(40000, QUERY, src=5353))
    for n in (4, 8, 11, 12, 13, 20):
        yield f"udp_payload_of_{n}", *over(53, QUERY[:n])
    for n in (42, 46, 48, 52, 54, 60, 68):
        yield f"snaplen_{n}", 1, (E4[:n], len(E4))
    yield "udp_length_0", 101, ip4(17, be16(40000, 53, 0, 0) + QUERY)
    yield "udp_length_short", 101, ip4(17, be16(40000, 53, 20, 0) + QUERY)
    yield "udp_length_long", 101, ip4(17, be16(40000, 53, 200, 0) + QUERY)
    yield "ip_options", 101, ip4(17, D, options=b"\x94\x04\0\0\x01\x01\x01\0")
    yield "ip_total_0", 101, D4[:2] + b"\0\0" + D4[4:]
    yield "ip_total_long", 101, D4[:2] + be16(len(D4) + 100) + D4[4:]
    yield "ip_total_short", 101, D4[:2] + be16(len(D4) - 10) + D4[4:]
    yield "ipv4_ah", 101, ip4(51, b"\x11\x04\0\0" + bytes(20) + D)
    yield "ipv6_ah", 101, ip6(51, b"\x11\x04\0\0" + bytes(20) + D)
    yield "ipv6_hop", 101, ip6(0, b"\x11\0\x01\x04\0\0\0\0" + D)
    yield "ipv6_hip", 101, ip6(139, b"\x11\0" + bytes(6) + D)
    yield "ipv6_shim6", 101, ip6(140, b"\x11\0\x80" + bytes(5) + D)
    yield "ipv6_mobility", 101, ip6(135, b"\x11\0" + bytes(6) + D)
    yield "ipv6_srh", 101, ip6(43, b"\x11\x02\x04\0\0\0\0\0" + bytes(16) + D)
    yield "ipv6_many", 101, ip6(0, b"\x3c\0\x01\x04\0\0\0\0" + b"\x3c\0\x01\x04\0\0\0\0" * 7 + b"\x11\0\x01\x04\0\0\0\0" + D)
    yield "ipv6_atomic_fragment", 101, ip6(44, b"\x11\0\0\0\0\0\0\1" + D)
    yield "ipv6_jumbo", 101, ip6(0, b"\x11\0\xc2\x04" + be32(8 + len(D)) + D)[:4] + b"\0\0" + ip6(0, b"\x11\0\xc2\x04" + be32(8 + len(D)) + D)[6:]
    yield "udplite", 101, ip4(136, D)
    yield "sctp", 101, ip4(132, sctp(chunk(QUERY)))
    yield "sctp_over_udp", *over(9899, sctp(chunk(QUERY)))
    yield "sctp_two", 101, ip4(132, sctp(chunk(QUERY), chunk(QUERY, 2)))
    yield "sctp_sack_three", 101, ip6(132, sctp(struct.pack(">BBHIIHH", 3, 0, 16, 1, 65535, 0, 0), chunk(QUERY), chunk(ANSWER, 2), chunk(QUERY, 3)))
    yield "sctp_interleaved", 101, ip4(132, sctp(chunk(QUERY, kind=64), chunk(QUERY, 2, kind=64)))
    yield "dccp", 101, ip4(33, be16(40000, 53) + b"\x03\0\0\0" + b"\x04\0\0\1" + QUERY)
    # EtherTypes
    for name, kind in (("vlan", 0x8100), ("qinq", 0x88A8), ("vlan_9100", 0x9100), ("vlan_9200", 0x9200), ("vlan_9300", 0x9300), ("eero", 0x9104)):
        yield name, *ether(kind, be16(11, 0x0800) + D4)
    yield "vlan_3", *ether(0x88A8, be16(11, 0x8100, 12, 0x8100, 13, 0x86DD) + D6)
    yield "vlan_llc", *ether(0x8100, be16(11, len(L4)) + L4)
    yield "vntag", *ether(0x8926, be32(1) + be16(0x0800) + D4)
    yield "vntag_vlan", *ether(0x8926, be32(1) + be16(0x8100, 11, 0x0800) + D4)
    yield "etag", *ether(0x893F, bytes(6) + be16(0x0800) + D4)
    yield "802.1cb", *ether(0xF1C1, bytes(4) + be16(0x0800) + D4)
    yield "hsr", *ether(0x892F, be16(52, 1, 0x0800) + D4)
    yield "cmd", *ether(0x8909, b"\x01\x01\x00\x01\x00\x02" + be16(0x0800) + D4)
    yield "macsec_plain", *ether(0x88E5, b"\x00\x00" + be32(1) + be16(0x0800) + D4 + bytes(16))
    yield "macsec_sci", *ether(0x88E5, b"\x20\x00" + be32(1) + bytes(8) + be16(0x0800) + D4 + bytes(16))
    yield "trill", *ether(0x22F3, be16(0, 1, 2) + E4)
    yield "nsh_ip", *ether(0x894F, be16(0x0FC6) + b"\x01\x01" + bytes(4) + bytes(16) + D4)
    yield "nsh_eth", *ether(0x894F, be16(0x0FC2) + b"\x02\x03" + bytes(4) + E4)
    yield "eth_in_eth", *ether(0x6558, E4)
    yield "eth_6559", *ether(0x6559, E4)
    yield "jumbo_llc", *ether(0x8870, L4)
    yield "802.1ah", *ether(0x88E7, be32(1) + E4)
    yield "batadv_15", *ether(0x4305, b"\x40\x0f\x32\x01" + bytes(6) + E4)
    yield "ppp_in_eth", *ether(0x880B, b"\xff\x03\x00\x21" + D4)
    yield "llc_snap", 1, MACS + be16(len(L4)) + L4
    yield "llc_snap_rfc1042_802.1h", 1, MACS + be16(len(L4)) + b"\xaa\xaa\x03\0\0\xf8" + L4[6:]
    yield "llc_snap_cisco", 1, MACS + be16(len(L4)) + b"\xaa\xaa\x03\0\0\x0c" + L4[6:]
    yield "llc_snap_bridged", 1, MACS + be16(len(E4) + 10) + b"\xaa\xaa\x03\0\x80\xc2" + be16(7) + bytes(2) + E4
    yield "llc_ip", 1, MACS + be16(len(D4) + 3) + b"\x06\x06\x03" + D4
    yield "isl", 1, b"\x01\0\x0c\0\0" + b"\0" + MACS[6:] + be16(len(E4) + 12) + b"\xaa\xaa\x03\0\0\x0c" + be16(2, 0, 0) + E4 + bytes(4)
    yield "fabricpath", 1, b"\x02\0\0\0\0\2\x02\0\0\0\0\1\x89\x03" + be16(0x0041) + E4
    yield "eth_trailer_fcs", 1, E4 + bytes(8)
    yield "mpls", *ether(0x8847, be32(0x00001140) + D4)
    yield "mpls_multicast", *ether(0x8848, be32(0x00001140) + D4)
    yield "mpls_10", *ether(0x8847, be32(0x00001040) * 9 + be32(0x00001140) + D4)
    yield "mpls_pw", *ether(0x8847, be32(0x00001140) + be32(0) + E4)
    yield "mpls_pw_no_cw", *ether(0x8847, be32(0x00001140) + E4)
    yield "mpls_ach_ip", *ether(0x8847, be32(0x00001140) + b"\x10\0\0\x21" + D4)
    yield "mpls_entropy", *ether(0x8847, be32(0x00007040) + be32(0x00001140) + D6)
    yield "pppoe", *ether(0x8864, b"\x11\0\0\1" + be16(len(D4) + 2, 0x21) + D4)
    yield "pppoe_vlan6", *ether(0x8100, be16(11, 0x8864) + b"\x11\0\0\1" + be16(len(D6) + 2, 0x57) + D6)
    for name, proto, b in (("ip", 0x21, D4), ("ip6", 0x57, D6), ("bcp", 0x31, b"\0\1" + E4), ("bcp_fcs", 0x31, b"\x80\1" + E4 + bytes(4)), ("0800", 0x800, D4), ("86dd", 0x86DD, D6),
                           ("mp", 0x3D, b"\xc0\0\0\1\0\x21" + D4), ("mp_short", 0x3D, b"\xc0\1\0\x21" + D4), ("mux", 0x59, bytes([0x80, len(D4) + 2]) + be16(0x21) + D4),
                           ("vj", 0x2F, D4), ("llc", 0x4B, L4), ("mpls", 0x281, be32(0x00001140) + D4), ("comp", 0xFD, D4)):
        yield "ppp_" + name, 9, b"\xff\x03" + be16(proto) + b
    yield "ppp_pfc", 9, b"\x21" + D4
    yield "ppp_hdlc", 50, b"\xff\x03\0\x21" + D4
    yield "ppp_hdlc_cisco", 50, b"\x0f\0\x08\0" + D4
    yield "chdlc", 104, b"\x0f\0\x08\0" + D4
    yield "chdlc_mpls", 104, b"\x0f\0\x88\x47" + be32(0x00001140) + D4
    yield "chdlc_eth", 104, b"\x0f\0\x65\x58" + E4
    yield "chdlc_dir", 205, b"\x01\x0f\0\x08\0" + D4
    yield "ppp_dir", 204, b"\x01\xff\x03\0\x21" + D4
    yield "pppoe_link", 51, b"\x11\0\0\1" + be16(len(D4) + 2, 0x21) + D4
    # Links
    yield "null", 0, le32(2) + D4
    yield "null_be", 0, be32(2) + D4
    yield "null_24", 0, le32(24) + D6
    yield "null_ethertype", 0, le32(0x800) + D4
    yield "null_ppp", 0, b"\xff\x03\0\x21" + D4
    yield "null_ethertype_be16", 0, be16(0, 0x86DD) + D6
    yield "loop", 108, be32(2) + D4
    yield "raw12", 12, D4
    yield "raw14", 14, D4
    yield "ipv4", 228, D4
    yield "ipv6", 229, D6
    yield "slip", 8, D4
    for sub in (0, 2, 8, 12):
        fc = 0x0108 | sub << 4
        yield f"wifi_subtype_{sub}", 105, wifi(fc, b"\xaa\xaa\x03\0\0\0\x08\0" + D4, qos=sub >= 8)
    yield "wifi_from_ds", 105, wifi(0x0208, L6)
    yield "wifi_wds", 105, wifi(0x0388, L4, qos=True, four=True)
    yield "wifi_htc", 105, wifi(0x8188, L4, qos=True, htc=True)
    yield "wifi_protected", 105, wifi(0x4108, L4)
    arp = SNAP + be16(0x0806) + bytes(28)
    yield "wifi_amsdu", 105, amsdu(L4)
    yield "wifi_amsdu_two", 105, amsdu(L4, L6)
    yield "wifi_amsdu_four", 105, amsdu(arp, L6, SNAP + be16(0x0800) + ip4(6, tcp(be16(len(QUERY)) + QUERY)), L4)
    yield "radiotap_amsdu_fcs", 127, amsdu(L4, L6, radiotap=b"\0\0\x09\0" + le32(2) + b"\x10") + bytes(4)
    yield "capwap_amsdu", *over(5247, b"\0\x10\x03\0" + bytes(4) + amsdu(L4, L4))
    yield "wifi_ethertype", 105, wifi(0x0108, be16(0x0800) + D4)
    w = wifi(0x0108, L4)
    yield "radiotap", 127, b"\0\0\x08\0" + le32(0) + w
    yield "radiotap_flags_fcs", 127, b"\0\0\x09\0" + le32(2) + b"\x10" + w + bytes(4)
    yield "radiotap_pad", 127, b"\0\0\x09\0" + le32(2) + b"\x20" + wifi(0x0188, b"", qos=True) + b"\0\0" + L4
    yield "prism", 119, le32(0x44, 144) + bytes(136) + w
    yield "prism_avs", 119, be32(0x80211001, 64) + bytes(56) + w
    yield "avs", 163, be32(0x80211001, 64) + bytes(56) + w
    yield "ppi_wifi", 192, b"\0\0\x08\0" + le32(105) + w
    yield "ppi_eth", 192, b"\0\0\x08\0" + le32(1) + E4
    yield "sll", 113, be16(0, 1, 6) + bytes(8) + be16(0x0800) + D4
    yield "sll_llc", 113, be16(0, 1, 6) + bytes(8) + be16(4) + L4
    yield "sll_raw_eth", 113, be16(0, 1, 6) + bytes(8) + be16(3) + E4
    yield "sll_ppp", 113, be16(0, 512, 0) + bytes(8) + be16(7) + b"\0\x21" + D4
    yield "sll_wifi", 113, be16(0, 801, 6) + bytes(8) + be16(0x19) + w
    yield "sll_radiotap", 113, be16(0, 803, 6) + bytes(8) + be16(0x19) + b"\0\0\x08\0" + le32(0) + w
    yield "sll_gre", 113, be16(0, 778, 4) + bytes(8) + be16(0x0800) + D4
    yield "sll_gre_eth", 113, be16(0, 778, 4) + bytes(8) + be16(0x6558) + E4
    yield "sll_frad", 113, be16(0, 770, 2) + bytes(8) + be16(0) + b"\x18\x41\x03\xcc" + D4
    yield "sll_vlan", 113, be16(0, 1, 6) + bytes(8) + be16(0x8100, 11, 0x86DD) + D6
    yield "sll_raw_no_type", 113, be16(0, 65534, 0) + bytes(8) + be16(0) + D4
    yield "sll2", 276, be16(0x0800, 0) + be32(1) + be16(1) + b"\0\6" + bytes(8) + D4
    yield "sll2_llc", 276, be16(4, 0) + be32(1) + be16(1) + b"\0\6" + bytes(8) + L4
    yield "sll2_radiotap", 276, be16(0x19, 0) + be32(1) + be16(803) + b"\0\6" + bytes(8) + b"\0\0\x08\0" + le32(0) + w
    yield "sll2_gre", 276, be16(0x6558, 0) + be32(1) + be16(778) + b"\0\6" + bytes(8) + E4
    yield "nflog", 239, b"\x02\0\0\0" + tlv(1, be16(0x0800) + b"\0\0") + tlv(10, b"pre\0") + tlv(9, D4)
    yield "nflog_6", 239, b"\x0a\0\0\0" + tlv(9, D6)
    yield "nflog_bridge", 239, b"\x07\0\0\0" + tlv(9, E4)
    yield "pktap", 258, le32(108, 1, 1) + b"en0" + bytes(93) + E4
    yield "pktap_raw", 258, le32(108, 1, 12) + b"utun0" + bytes(91) + D4
    yield "pktap_null", 258, le32(108, 1, 0) + b"lo0" + bytes(93) + le32(2) + D4
    yield "pktap_user2", 149, le32(108, 1, 1) + b"en0" + bytes(93) + E4
    yield "pflog", 117, bytes([61, 2, 0, 0]) + b"em0" + bytes(57) + D4
    yield "pflog_64", 117, bytes([64, 24, 0, 0]) + b"em0" + bytes(57) + D6
    yield "pflog_old", 17, be32(2) + bytes(24) + D4
    yield "enc", 109, le32(2, 0, 0) + D4
    yield "enc_be", 109, be32(24, 0, 0) + D6
    yield "ipnet", 226, b"\x01\x02" + be16(0) + be32(1, 1, 0, 0, 0) + D4
    yield "ipnet_6", 226, b"\x01\x1a" + be16(0) + be32(1, 1, 0, 0, 0) + D6
    yield "fddi", 10, b"\x50" + MACS + L4
    yield "token_ring", 6, b"\x10\x40" + MACS + L4
    yield "token_ring_routed", 6, b"\x10\x40" + MACS[:6] + b"\x82" + MACS[7:] + b"\x06\x30\0\x11\0\x20" + L4
    yield "arcnet", 7, b"\1\2\xd4\0\0\0"[:3] + b"\0" + be16(1) + D4
    yield "arcnet_1051", 7, b"\1\2\xf0" + D4
    yield "arcnet_linux", 129, b"\1\2\0\0\xd4\0\0\1" + D4
    yield "atm_rfc1483", 100, L4
    yield "atm_rfc1483_bridged", 100, b"\xaa\xaa\x03\0\x80\xc2\0\7\0\0" + E4
    yield "atm_clip", 19, L4
    yield "atm_clip_ip", 19, D4
    yield "sunatm", 123, b"\x02\0\0\x20" + L4
    yield "ip_over_fc", 122, bytes(16) + L4
    yield "ieee1394", 138, bytes(16) + be16(0x0800) + D4
    yield "frelay", 107, b"\x18\x41\x03\xcc" + D4
    yield "frelay_6", 107, b"\x18\x41\x03\x8e" + D6
    yield "frelay_snap", 107, b"\x18\x41\x03\0\x80\0\0\0\x08\0" + D4
    yield "frelay_bridged", 107, b"\x18\x41\x03\0\x80\0\x80\xc2\0\7" + E4
    yield "frelay_bridged_nopad", 107, b"\x18\x41\x03\x80\0\x80\xc2\0\7" + E4
    yield "frelay_cisco", 107, b"\x18\x41\x08\0" + D4
    yield "frelay_ppp", 107, b"\x18\x41\x03\xcf\0\x21" + D4
    yield "frelay_4", 107, b"\x18\x40\x10\x01\x03\xcc" + D4
    yield "frelay_dir", 206, b"\x01\x18\x41\x03\xcc" + D4
    yield "mpls_link", 219, be32(0x00001140) + D4
    yield "docsis", 143, b"\0\0" + be16(len(E4)) + b"\0\0" + E4
    yield "netanalyzer", 240, bytes(4) + E4 + bytes(4)
    yield "netanalyzer_transparent", 241, bytes(4) + b"\x55" * 7 + b"\xd5" + E4 + bytes(4)
    yield "mpacket", 274, b"\x55" * 7 + b"\xd5" + E4 + bytes(4)
    yield "epon", 259, b"\x55\x55\xd5\x55\x55\0\1\0" + E4
    yield "ipoib", 242, bytes(40) + be16(0x0800, 0) + D4
    yield "ipoib_20", 242, bytes(20) + be16(0x0800, 0) + D4
    yield "infiniband", 247, b"\0\2\0\1" + be16(20, 2) + b"\x04\0\xff\xff" + be32(1, 1) + be32(0, 1) + be16(0x0800, 0) + D4 + bytes(6)
    yield "erf_eth", 197, bytes(8) + b"\x02\x04" + be16(18 + len(E4), 0, len(E4)) + b"\0\0" + E4
    yield "erf_color_eth", 197, bytes(8) + b"\x0b\x04" + be16(18 + len(E4), 0, len(E4)) + b"\0\0" + E4
    yield "erf_ext_eth", 197, bytes(8) + b"\x82\x04" + be16(26 + len(E4), 0, len(E4)) + b"\x03" + bytes(7) + b"\0\0" + E4
    yield "erf_ipv4", 197, bytes(8) + b"\x16\x04" + be16(16 + len(D4), 0, len(D4)) + D4
    yield "erf_ipv6", 197, bytes(8) + b"\x17\x04" + be16(16 + len(D6), 0, len(D6)) + D6
    yield "erf_hdlc", 197, bytes(8) + b"\x01\x04" + be16(20 + len(D4), 0, 4 + len(D4)) + b"\x0f\0\x08\0" + D4
    yield "erf_aal5", 197, bytes(8) + b"\x04\x04" + be16(20 + len(L4), 0, 4 + len(L4)) + bytes(4) + L4
    for name, tags, payload in (("dns", [(12, b"dns")], QUERY), ("ip", [(12, b"ip")], D4), ("ipv6", [(12, b"ipv6")], D6), ("eth", [(12, b"eth")], E4), ("eth_withoutfcs", [(12, b"eth_withoutfcs")], E4), ("udp", [(12, b"udp")], D),
                                ("mdns", [(12, b"mdns"), (20, b"\x0a\0\0\1"), (21, b"\xe0\0\0\xfb"), (24, be32(3)), (25, be32(5353)), (26, be32(5353))], QUERY),
                                ("table", [(14, b"udp.port"), (32, be32(53)), (20, b"\x0a\0\0\1"), (21, b"\x0a\0\0\2"), (24, be32(3)), (25, be32(40000)), (26, be32(53))], QUERY)):
        yield "exported_" + name, 252, pdu(*tags) + payload
    yield "juniper_ether", 178, b"MGC\x00" + E4
    yield "juniper_ether_ext", 178, b"MGC\x81" + be16(6) + b"\1\1\x0a\2\1\1" + E4
    yield "juniper_ether_no_l2", 178, b"MGC\x82" + be16(0) + le32(2) + D4
    yield "juniper_ppp", 179, b"MGC\x00" + b"\xff\x03\0\x21" + D4
    yield "juniper_ppp_plain", 179, b"MGC\x00" + b"\0\x21" + D4
    yield "juniper_frelay", 180, b"MGC\x00" + b"\x18\x41\x03\xcc" + D4
    yield "juniper_chdlc", 181, b"MGC\x00" + b"\x0f\0\x08\0" + D4
    yield "juniper_ggsn", 133, b"MGC\x00" + struct.pack("<HH", 2, 0) + D4
    yield "juniper_mlppp", 130, b"MGC\x00" + b"\0\0" + b"\0\x21" + D4
    yield "juniper_mlfr", 131, b"MGC\x00" + bytes(4) + D4
    yield "juniper_atm1", 135, b"MGC\x00" + bytes(4) + L4
    yield "juniper_atm1_ip", 135, b"MGC\x00" + bytes(4) + D4
    yield "juniper_atm2", 137, b"MGC\x00" + bytes(8) + L4
    yield "juniper_pppoe", 167, b"MGC\x00" + b"\x11\0\0\1" + be16(len(D4) + 2, 0x21) + D4
    yield "juniper_pppoe_atm", 168, b"MGC\x00" + be16(0x8864) + b"\x11\0\0\1" + be16(len(D4) + 2, 0x21) + D4
    yield "juniper_vp", 183, b"MGC\x00" + bytes(18) + D4
    yield "juniper_st", 200, b"MGC\x00" + E4
    yield "juniper_vn", 262, b"MGC\x00" + E4
    yield "ax25_kiss", 202, b"\0" + bytes(12) + b"\0" * 1 + b"\x61\x03\xcc" + D4
    yield "x2e_xoraya", 296, E4
    yield "dsa", 284, E4
    yield "vpp", 280, bytes([0, 1, 2]) + E4
    yield "bluetooth_bnep", 201, be32(0) + b"\x02\x01\x20" + struct.pack("<HHH", len(D4) + 4 + 3, len(D4) + 3, 0x40) + b"\x02\x08\x00" + D4
    yield "netlink", 253, be16(4, 824) + bytes(10) + be16(5) + struct.pack("<IHHII", 20, 0x400, 0, 0, 0) + b"\2\0\0\0"
    # IP protocols
    yield "ipip", *raw(ip4(4, D4))
    yield "6in4", *raw(ip4(41, D6))
    yield "4in6", *raw(ip6(4, D4))
    yield "ipip_94", *raw(ip4(94, D4))
    yield "ip_in_ip_8", *raw(ip4(4, ip4(4, ip4(4, ip4(4, ip4(4, ip4(4, ip4(4, D4))))))))
    yield "eth_143", *raw(ip6(143, E4))
    yield "etherip", *raw(ip4(97, b"\x30\0" + E4))
    yield "mpls_in_ip", *raw(ip4(137, be32(0x00001140) + D4))
    yield "l2tpv3_ip", *raw(ip4(115, be32(1) + E4))
    yield "l2tpv3_ip_hdlc", *raw(ip4(115, be32(1) + b"\x0f\0\x08\0" + D4))
    yield "esp_null", *raw(ip4(50, be32(1, 1) + D4 + b"\1\2\2\4" + bytes(12)))
    yield "ipcomp", *raw(ip4(108, b"\x11\0" + be16(2) + zlib.compress(D)[2:-4]))
    yield "ipcomp_ipv6", *raw(ip6(108, b"\x11\0" + be16(0x1234) + zlib.compress(D)[2:-4]))
    yield "ipcomp_ip", *raw(ip4(108, b"\4\0" + be16(2) + zlib.compress(D4)[2:-4]))
    yield "ipcomp_raw", *raw(ip4(108, b"\x11\0" + be16(2) + D))
    yield "minenc", *raw(ip4(55, b"\x11\0" + be16(0) + b"\xc6\x33\x64\x35" + D))
    # GRE
    for name, b in (("ip", be16(0, 0x800) + D4), ("ip6", be16(0, 0x86DD) + D6), ("key_seq", be16(0x3000, 0x800) + be32(1, 1) + D4), ("checksum", be16(0x8000, 0x800) + be32(0) + D4),
                    ("eth", be16(0, 0x6558) + E4), ("eth_6400", be16(0, 0x6400) + E4), ("frelay", be16(0, 0x6559) + b"\x18\x41\x03\xcc" + D4), ("ppp", be16(0, 0x880B) + b"\xff\x03\0\x21" + D4), ("pptp", be16(0x3081, 0x880B) + be16(len(D4) + 4, 1) + be32(1, 1) + b"\xff\x03\0\x21" + D4),
                    ("pptp_nofields", be16(0x3001, 0x880B) + be16(len(D4) + 4, 1) + be32(1) + b"\x21" + D4),
                    ("cdma_881a", be16(0, 0x8881) + b"\x7e\xff\x7d\x23\0\x21" + D4 + b"\0\0\x7e"), ("wccp", be16(0, 0x883E) + D4), ("wccp_redirect", be16(0, 0x883E) + be32(0) + D4), ("wccp_eth", be16(0x2000, 0x883E) + be32(0) + D4),
                    ("wlan", be16(0, 0x8200) + wifi(0x0108, L4)), ("nsh", be16(0, 0x894F) + be16(0x0FC2) + b"\x02\x03" + bytes(4) + E4), ("mpls", be16(0, 0x8847) + be32(0x00001140) + D4), ("vlan", be16(0, 0x8100, 11, 0x800) + D4),
                    ("erspan1", be16(0, 0x88BE) + E4), ("erspan2", be16(0x1000, 0x88BE) + be32(1) + be16(0x1001, 1, 0, 0) + E4), ("erspan3", be16(0x1000, 0x22EB) + be32(1) + be16(0x2001, 1) + be32(0) + be16(0, 0) + E4),
                    ("erspan3_sub", be16(0x1000, 0x22EB) + be32(1) + be16(0x2001, 1) + be32(0) + be16(0, 1) + bytes(8) + E4), ("erspan3_ip", be16(0x1000, 0x22EB) + be32(1) + be16(0x2001, 1) + be32(0) + be16(0, 0x0800) + D4),
                    ("erspan_88be_v3", be16(0x1000, 0x88BE) + be32(1) + be16(0x2001, 1) + be32(0) + be16(0, 0) + E4), ("routing", be16(0x4000, 0x800) + be32(0) + bytes(4) + D4), ("arista", be16(0, 0xD28B) + be16(1, 0) + bytes(8) + E4),
                    ("grebonding", be16(0x2000, 0x0101) + be32(1) + D4), ("nvgre_inner_vlan", be16(0x2000, 0x6558) + be32(0x100) + MACS + be16(0x8100, 11, 0x86DD) + D6)):
        yield "gre_" + name, *raw(ip4(47, b))
    # Tunnels on UDP
    vx = lambda flags, rest: bytes([flags, 0, 0, rest]) + be32(0x100)
    yield "vxlan", *over(4789, vx(8, 0) + E4)
    yield "vxlan_gbp", *over(4789, b"\x88\0\0\1" + be32(0x100) + E4)
    yield "vxlan_novni", *over(4789, vx(0, 0) + E4)
    yield "vxlan_8472", *over(8472, vx(8, 0) + E4)
    for name, n, b in (("ip", 1, D4), ("ip6", 2, D6), ("eth", 3, E4), ("nsh", 4, be16(0x0FC2) + b"\x02\x03" + bytes(4) + E4), ("mpls", 5, be32(0x00001140) + D4)):
        yield "vxlan_gpe_" + name, *over(4790, vx(0x0C, n) + b)
    yield "geneve_eth", *over(6081, be16(0, 0x6558) + be32(0x100) + E4)
    yield "geneve_opt", *over(6081, be16(0x0240, 0x0800) + be32(0x100) + be16(1) + b"\1\1" + bytes(4) + D4)
    yield "geneve_nsh", *over(6081, be16(0, 0x894F) + be32(0x100) + be16(0x0FC2) + b"\x02\x03" + bytes(4) + E4)
    yield "gtpu", *over(2152, b"\x30\xff" + be16(len(D4)) + be32(1) + D4)
    yield "gtpu_ext", *over(2152, b"\x34\xff" + be16(len(D4) + 8) + be32(1) + b"\0\0\0\x85\1\0\0\0" + D4)
    yield "gtpu_ppp", *over(2152, b"\x30\xff" + be16(len(D4) + 4) + be32(1) + b"\xff\x03\0\x21" + D4)
    yield "gtpu_eth", *over(2152, b"\x30\xff" + be16(len(E4)) + be32(1) + E4)
    yield "gtpv0", *over(3386, b"\x1e\xff" + be16(len(D4), 1, 1) + bytes(12) + D4)
    yield "gtp_2123", *over(2123, b"\x30\xff" + be16(len(D4)) + be32(1) + D4)
    yield "teredo", *over(3544, D6)
    yield "teredo_from", 101, ip4(17, udp(40000, D6, src=3544))
    yield "gre_in_udp", *over(4754, be16(0, 0x800) + D4)
    yield "mpls_in_udp", *over(6635, be32(0x00001140) + D4)
    yield "l2tp", *over(1701, be16(0x0002, 1, 1) + b"\xff\x03\0\x21" + D4)
    yield "l2tp_length", *over(1701, be16(0x4002, 12 + len(D4), 1, 1) + b"\xff\x03\0\x21" + D4)
    yield "l2tp_seq_offset", *over(1701, be16(0x4A02, 20 + len(D4), 1, 1, 5, 6, 2) + b"\0\0" + b"\xff\x03\0\x21" + D4)
    yield "l2tp_nohdlc", *over(1701, be16(0x0002, 1, 1) + b"\0\x21" + D4)
    yield "l2tpv3_udp", *over(1701, be16(0x0003, 0) + be32(1) + E4)
    yield "lisp", *over(4341, b"\x80\0\0\0" + be32(0) + D4)
    yield "lisp_6", *over(4341, b"\x80\0\0\0" + be32(0) + D6)
    yield "tzsp", *over(37008, b"\1\0\0\1" + b"\1" + E4)
    yield "tzsp_tags", *over(37008, b"\1\0\0\1" + b"\x0a\1\x33" + b"\0" + b"\1" + E4)
    yield "tzsp_wifi", *over(37008, b"\1\0\0\x12" + b"\1" + w)
    yield "capwap_wifi", *over(5247, b"\0\x10\x03\0" + bytes(4) + w)
    yield "capwap_native", *over(5247, b"\0\x10\x02\x00" + bytes(4) + w)
    yield "capwap_wifi_swapped", *over(5247, b"\0\x10\x03\0" + bytes(4) + w[1:2] + w[:1] + w[2:])
    yield "capwap_802.3", *over(5247, b"\0\x10\0\0" + bytes(4) + E4)
    yield "ayiya", *over(5072, b"\x44\x52\x11\x29" + be32(0) + bytes(16) + bytes(20) + D6)
    yield "amt", *over(2268, b"\6\0" + D4)
    yield "openvpn", *over(1194, b"\x30" + D4)
    yield "udpencap_esp", *over(4500, be32(1, 1) + D4)
    yield "aruba_erm", *over(5555, w)
    yield "batadv_udp", *over(4305, b"\x40\x0f\x32\x01" + bytes(6) + E4)
    yield "stt", *raw(ip4(6, tcp(bytes(18) + E4, port=7471)))
    yield "llc_udp", *over(12000, L4)
    yield "cisco_lwapp", *over(12222, b"\0\0" + be16(len(w)) + bytes(2) + w)
    yield "infiniband_roce", *over(4791, b"\x04\0\xff\xff" + be32(1, 1) + be32(0, 1) + be16(0x0800, 0) + D4)
    yield "mip_udp", *over(434, b"\x04\x04\0\0" + D4)
    yield "socks_udp", *over(1080, b"\0\0\0\1\xc6\x33\x64\x35\0\x35" + QUERY)
    yield "stun_channel", *over(3478, be16(0x4000, len(QUERY)) + QUERY)
    pad = lambda b: b + bytes(-len(b) % 4)
    raw_header = lambda kind, b: be32(1, 16 + len(pad(b)), kind, len(b) + 4, 4, len(b)) + pad(b)
    flow = lambda *records: be32(1, 32 + sum(map(len, records)), 1, 1, 1, 1, 0, 1, 2, len(records)) + b"".join(records)
    expanded = lambda *records: be32(3, 44 + sum(map(len, records)), 1, 0, 1, 1, 1, 0, 0, 1, 0, 2, len(records)) + b"".join(records)
    sflow = lambda *samples, agent=be32(1) + b"\xc0\0\2\1": over(6343, be32(5) + agent + be32(0, 1, 1, len(samples)) + b"".join(samples))
    yield "sflow", *sflow(flow(raw_header(1, E4)))
    yield "sflow_6", *sflow(flow(raw_header(1, E6)), agent=be32(2) + bytes(16))
    yield "sflow_cut", *sflow(flow(raw_header(1, E4[:60])))
    yield "sflow_ip", *sflow(flow(raw_header(11, D4)), expanded(raw_header(12, D6)))
    yield "sflow_three", *sflow(flow(raw_header(1, E4)), be32(2, 12) + be32(1, 1, 0), expanded(be32(1001, 16, 1, 0, 2, 0), raw_header(1, E6)), flow(raw_header(1, eth(0x0800, ip4(6, tcp(be16(len(QUERY)) + QUERY))))))
    yield "sflow_ppp", *sflow(flow(raw_header(7, b"\xff\x03\0\x21" + D4)), flow(raw_header(13, be32(0x00001140) + D4)))
    yield "sflow_4", *over(6343, be32(4, 1) + b"\xc0\0\2\1" + be32(1, 1, 1))
    yield "udplite_40053", 101, ip4(136, udp(40053, QUERY))
    yield "lwapp_88bb", *ether(0x88BB, b"\0\0" + be16(len(w)) + bytes(2) + w)
    yield "lwapp_bbbb", *ether(0xBBBB, b"\0\0" + be16(len(w)) + bytes(2) + w)
    yield "bpq", *ether(0x08FF, b"\x28\0" + bytes(13) + b"\x61\x03\xcc" + D4)
    yield "arista_64", *ether(0xD28B, be16(1, 0x10) + bytes(8) + be16(0x0800) + D4)
    yield "arista_48", *ether(0xD28B, be16(1, 0x20) + bytes(6) + be16(0x0800) + D4)
    yield "atm_rfc1483_11", 11, L4
    yield "atm_clip_106", 106, L4
    yield "gre_eoip", *raw(ip4(47, be16(0x2001, 0x6400) + struct.pack(">HH", len(E4), 1) + E4))
    for name, tags, payload in (("ethertype", [(14, b"ethertype"), (32, be32(0x800))], D4), ("ip.proto", [(14, b"ip.proto"), (32, be32(17))], D), ("heuristic", [(13, b"dns_udp")], QUERY),
                                ("llc", [(12, b"llc")], L4), ("tcp", [(12, b"tcp")], tcp(be16(len(QUERY)) + QUERY)), ("wlan", [(12, b"wlan_withoutfcs")], w)):
        yield "exported_" + name, 252, pdu(*tags) + payload
    yield "tipc_ip", *ether(0x88CA, be32(0x40000000 | len(D4) + 24) + be32(0, 1, 0, 0, 0) + D4)
    yield "gsmtap", *over(4729, b"\2\4\1\0" + bytes(12) + D4)
    yield "bfd_none", *over(3784, QUERY)
    # ICMP
    yield "icmp_unreachable", *raw(ip4(1, b"\3\3\0\0\0\0\0\0" + D4))
    yield "icmp_extension", *raw(ip4(1, b"\3\3\0\0\0\x20\0\0" + D4 + bytes(128 - len(D4)) + b"\x20\0\0\0"))
    yield "icmpv6_unreachable", *raw(ip6(58, b"\1\4\0\0\0\0\0\0" + D6))
    yield "icmpv6_redirect", *raw(ip6(58, b"\x89\0\0\0\0\0\0\0" + bytes(32) + b"\4" + bytes([(8 + len(D6) + 7) // 8]) + bytes(6) + D6 + bytes(-len(D6) % 8)))
    yield "icmp_quoted_tcp", *raw(ip4(1, b"\3\3\0\0\0\0\0\0" + ip4(6, tcp(be16(len(QUERY)) + QUERY))))
    yield "icmp_in_gre", *raw(ip4(47, be16(0, 0x800) + ip4(1, b"\3\3\0\0\0\0\0\0" + D4)))
    # TCP
    yield "tcp", *raw(ip4(6, tcp(be16(len(QUERY)) + QUERY)))
    yield "tcp_ipv6", *raw(ip6(6, tcp(be16(len(QUERY)) + QUERY)))
    yield "tcp_two", *raw(ip4(6, tcp((be16(len(QUERY)) + QUERY) * 2)))
    yield "tcp_5353", *raw(ip4(6, tcp(be16(len(QUERY)) + QUERY, port=5353)))
    yield "tcp_cut", *raw(ip4(6, tcp(be16(len(QUERY)) + QUERY[:20])))
    yield "tcp_short", *raw(ip4(6, tcp(be16(8) + QUERY[:8])))
    yield "tcp_other", *raw(ip4(6, tcp(be16(len(QUERY)) + QUERY, port=40053)))
    yield "tcp_syn_data", *raw(ip4(6, tcp(be16(len(QUERY)) + QUERY, flags=2)))
    yield "tcp_answer", *raw(ip4(6, tcp(be16(len(ANSWER)) + ANSWER, port=40000, src=53)))


def pcap(link, packets, order="<", nano=False, magic=None, minor=4, swap=False):
    b = struct.pack(order + "IHHiIII", magic or (0xA1B23C4D if nano else 0xA1B2C3D4), 2, minor, 0, 0, 262144, link)
    for i, p in enumerate(packets):
        p, n = p if isinstance(p, tuple) else (p, len(p))
        lengths = (n, len(p)) if swap else (len(p), n)
        b += struct.pack(order + "IIII", 1772366400 + i, 1000, *lengths)
        if magic == 0xA1B2CD34:  # Kuznetzov's: interface, protocol, type
            b += struct.pack(order + "IHBB", 1, 0x0800, 0, 0)
        b += p
    return b


def block(kind, body, order="<"):
    n = 12 + len(body) + -len(body) % 4
    return struct.pack(order + "II", kind, n) + body + bytes(-len(body) % 4) + struct.pack(order + "I", n)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link, order="<", snap=0, options=b""):
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(n, p, order="<", cut=None):
    part = p if cut is None else p[:cut]
    return block(6, struct.pack(order + "IIIII", n, 0x60000, 1, len(part), len(p)) + part, order)


def files():
    """Name and octets of captures that are written in other ways."""
    yield "pcap_be", pcap(1, [E4], ">")
    yield "pcap_ns", pcap(1, [E4], nano=True)
    yield "pcap_ns_be", pcap(1, [E4], ">", nano=True)
    yield "pcap_fcs_bits", pcap(1 | 0x24000000, [E4])
    yield "pcap_minor_3", pcap(1, [E4], minor=3)
    yield "pcap_minor_2_swapped", pcap(1, [(E4[:70], len(E4))], minor=2, swap=True)
    yield "pcap_kuznetzov", pcap(1, [E4, E6], magic=0xA1B2CD34)
    yield "pcap_kuznetzov_be", pcap(1, [E4, E6], ">", magic=0xA1B2CD34)
    yield "pcap_len_below_caplen", pcap(1, [(E4, 20), E6])
    frags = [ip4(17, D[:24], at=0x2000), ip4(17, D[24:], at=3)]
    yield "frag4", pcap(101, frags)
    yield "frag4_reversed", pcap(101, frags[::-1])
    yield "frag4_twice", pcap(101, frags + frags)
    yield "frag4_repeated", pcap(101, [frags[0], frags[0], frags[1]])
    yield "frag4_overlap", pcap(101, [ip4(17, D[:24], at=0x2000), ip4(17, D[16:], at=2)])
    yield "frag4_first_only", pcap(101, frags[:1])
    yield "frag4_in_gre", pcap(101, [ip4(47, be16(0, 0x800) + f) for f in frags])
    other = udp(40053, ANSWER)
    yield "frag4_port_40053", pcap(101, [ip4(17, other[:40], at=0x2000), ip4(17, other[40:], at=5)])
    yield "frag4_snaplen", pcap(101, [(frags[0][:40], len(frags[0])), frags[1]])
    f6 = [ip6(44, b"\x11\0" + be16(1) + be32(9) + D[:24]), ip6(44, b"\x11\0" + be16(24) + be32(9) + D[24:])]
    yield "frag6", pcap(101, f6)
    yield "frag6_reversed", pcap(101, f6[::-1])
    f6x = [ip6(0, b"\x2c\0\x01\x04\0\0\0\0" + f[40:]) for f in f6]
    yield "frag6_hop", pcap(101, f6x)
    dest = b"\x11\0\x01\x04\0\0\0\0" + D
    yield "frag6_options", pcap(101, [ip6(44, b"\x3c\0" + be16(1) + be32(9) + dest[:24]), ip6(44, b"\x3c\0" + be16(24) + be32(9) + dest[24:])])
    stream = (be16(len(QUERY)) + QUERY) * 3
    syn = ip4(6, tcp(b"", seq=0, flags=2))
    seg = lambda a, b, **k: ip4(6, tcp(stream[a:b], seq=1 + a, **k))
    yield "tcp_split_prefix", pcap(101, [syn, seg(0, 1), seg(1, len(stream))])
    yield "tcp_by_octet", pcap(101, [syn] + [seg(i, i + 1) for i in range(len(stream))])
    yield "tcp_split_3", pcap(101, [syn, seg(0, 10), seg(10, 20), seg(20, len(stream))])
    yield "tcp_reordered", pcap(101, [syn, seg(0, 10), seg(20, len(stream)), seg(10, 20)])
    yield "tcp_retransmitted", pcap(101, [syn, seg(0, 40), seg(0, 40), seg(40, len(stream))])
    yield "tcp_no_syn", pcap(101, [seg(0, 40), seg(40, len(stream))])
    yield "tcp_midstream", pcap(101, [seg(10, 40), seg(40, len(stream))])
    yield "tcp_gap", pcap(101, [syn, seg(0, 10), seg(27, len(stream))])
    yield "tcp_gap_message", pcap(101, [syn, seg(27, 54), seg(54, 81)])
    yield "tcp_fin_data", pcap(101, [syn, seg(0, len(stream), flags=0x19)])
    yield "tcp_keepalive", pcap(101, [syn, seg(0, 27), ip4(6, tcp(b"\0", seq=27)), seg(27, 54)])
    yield "tcp_port_reuse", pcap(101, [syn, seg(0, 27), ip4(6, tcp(b"", seq=5000, flags=2)), ip4(6, tcp(stream[:27], seq=5001))])
    yield "tcp_snaplen", pcap(101, [syn, (seg(0, 27)[:60], len(seg(0, 27))), seg(27, 54)])
    options = lambda flags, seq, b: ip4(6, struct.pack(">HHIIBBHHH", 40000, 53, seq, 0, 0xA0, flags, 65535, 0, 0) + b"\x01" * 20 + b)
    yield "tcp_snaplen_options", pcap(101, [(options(2, 0, b"")[:50], 60), (options(0x18, 1, stream[:29])[:50], 89), seg(29, 58)])
    yield "tcp_snaplen_no_syn", pcap(101, [(seg(0, 29)[:48], len(seg(0, 29)))])
    yield "tcp_snaplen_cut_header", pcap(101, [syn, (seg(0, 29)[:46], len(seg(0, 29))), seg(29, 58)])
    yield "tcp_reset", pcap(101, [syn, seg(0, 27), ip4(6, tcp(b"", seq=28, flags=4)), seg(27, 54)])
    for name, order in (("le", "<"), ("be", ">")):
        yield f"ng_{name}", section(order) + interface(1, order) + enhanced(0, E4, order)
        yield f"ng_links_{name}", section(order) + interface(1, order) + interface(101, order, 40) + interface(113, order) + enhanced(2, be16(0, 1, 6) + bytes(8) + be16(0x800) + D4, order) + enhanced(1, D4, order) + enhanced(0, E6, order)
        yield f"ng_simple_{name}", section(order) + interface(1, order) + block(3, struct.pack(order + "I", len(E4)) + E4, order)
        yield f"ng_simple_snap_{name}", section(order) + interface(1, order, 60) + block(3, struct.pack(order + "I", len(E4)) + E4[:60], order) + enhanced(0, E6, order)
        yield f"ng_obsolete_{name}", section(order) + interface(1, order) + block(2, struct.pack(order + "HHIIII", 0, 0xFFFF, 0x60000, 1, len(E4), len(E4)) + E4, order)
    odd = block(0x0BAD, b"\0\0\0\1custom") + block(0x40000BAD, b"\0\0\0\1custom") + block(5, struct.pack("<III", 0, 0, 0)) + block(4, b"\0\0\0\0") + block(10, struct.pack("<II", 0x544C534B, 4) + b"keys") + block(9, b"__REALTIME_TIMESTAMP=1\n") + block(0x12345, b"")
    yield "ng_odd_blocks", section() + interface(1) + odd + enhanced(0, E4) + odd + enhanced(0, E6)
    yield "ng_two_sections", section() + interface(1) + enhanced(0, E4) + section(">") + interface(101, ">") + enhanced(0, D4, ">")
    yield "ng_tsresol_9", section() + interface(1, options=struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)) + enhanced(0, E4)
    yield "ng_tsresol_2pow20", section() + interface(1, options=struct.pack("<HHB3xHH", 9, 1, 0x80 | 20, 0, 0)) + enhanced(0, E4)
    yield "ng_tsresol_15", section() + interface(1, options=struct.pack("<HHB3xHH", 9, 1, 15, 0, 0)) + enhanced(0, E4)
    yield "ng_packet_options", section() + interface(1) + block(6, struct.pack("<IIIII", 0, 0x60000, 1, len(E4), len(E4)) + E4 + bytes(-len(E4) % 4) + struct.pack("<HH4sHH", 1, 4, b"note", 0, 0))
    yield "ng_options_no_end", section() + interface(1, options=struct.pack("<HH4s", 2, 4, b"eth0")) + enhanced(0, E4)
    yield "ng_interface_later", section() + interface(1) + enhanced(0, E4) + interface(101) + enhanced(1, D4)
    yield "ng_no_interface", section() + enhanced(0, E4) + interface(1) + enhanced(0, E6)
    yield "ng_unknown_link", section() + interface(65000) + interface(1) + enhanced(0, E4) + enhanced(1, E4)
    yield "ng_section_length", block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, len(interface(1) + enhanced(0, E4)))) + interface(1) + enhanced(0, E4)
    yield "ng_minor_2", block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 2, -1)) + interface(1) + enhanced(0, E4)
    yield "ng_cut", section() + interface(1) + enhanced(0, E4) + enhanced(0, E6)[:50]
    yield "snoop_eth", snoop(4, [E4, E6])
    yield "snoop_802.3", snoop(0, [MACS + be16(len(L4)) + L4])
    yield "snoop_snap", snoop(4, [(E4[:60], len(E4))])
    yield "snoop_fddi", snoop(8, [b"\x50" + MACS + L4])
    yield "snoop_token_ring", snoop(2, [b"\x10\x40" + MACS + L4])
    yield "erf_file_eth", erf(2, [E4, E6])
    yield "erf_file_ip", erf(22, [D4])
    yield "erf_file_pad", erf(48, [b""]) + erf(2, [E4])
    yield "ng_caplen_over_len", section() + interface(1) + block(6, struct.pack("<IIIII", 0, 0x60000, 1, len(E4), 20) + E4)


def snoop(link, packets):
    b = b"snoop\0\0\0" + be32(2, link)
    for p in packets:
        p, n = p if isinstance(p, tuple) else (p, len(p))
        pad = -len(p) % 4
        b += be32(n, len(p), 24 + len(p) + pad, 0, 1772366400, 1000) + p + bytes(pad)
    return b


def erf(kind, packets):
    b = b""
    for i, p in enumerate(packets):
        p = (b"\0\0" + p) if kind == 2 else p
        b += struct.pack("<Q", 1772366400 + i << 32 | 1 << 31) + bytes([kind, 4]) + be16(16 + len(p), 0, len(p)) + p
    return b


def text(binary):
    print("# Name, link type or the word file, DNS messages, octets. Written by testdata/bench/layers.py --text.")
    for name, kind, b in [(n, k, p) for n, k, p in layers() if not isinstance(p, tuple)] + [(n, "file", b) for n, b in files()]:
        whole = b if kind == "file" else pcap(kind, [b])
        out = subprocess.run([binary, "sniff", "--summary", "-", "-"], input=whole, capture_output=True, check=False).stdout
        print(name, kind, json.loads(out)["dns_messages"] if out else 0, b.hex())


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--text":
        return text(sys.argv[2])
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    n = 0

    def write(name, suffix, b):
        nonlocal n
        n += 1
        (out / f"{n:03d}_{re.sub('[^a-z0-9.]+', '_', name)}{suffix}").write_bytes(b)

    for name, link, packet in layers():
        write(name, ".pcap", pcap(link, [packet]))
    for name, b in files():
        write(name, ".pcapng" if name.startswith("ng_") else ".pcap", b)
    write("gzip", ".pcap.gz", gzip.compress(pcap(1, [E4])))
    write("gzip_ng_two_members", ".pcapng.gz", gzip.compress(section() + interface(1)) + gzip.compress(enhanced(0, E4)))


if __name__ == "__main__":
    main()
