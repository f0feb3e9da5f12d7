#!/usr/bin/env python3
"""Packets a CPU second of programs that read a capture, side by side.

usage: sniffpeers.py --file CAPTURE [--rounds 3] --peer NAME=BINARY ...

NAME is weir, weir-plain (no model), tshark (names asked for), tshark-answers
(records too), tshark-json (messages whole), dnscap, passivedns, dnscollector or
dnsmonster: the program, and how it is asked. All take turns in every round. The
time is the process's own, user and system; lines are what it wrote, beside the
packets of the file, since some drop what they cannot keep up with: a rate with
fewer lines than messages, of who writes each, is that of dropping. A program that
does not end by itself is ended when it has been idle for three seconds.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

COLLECTOR = """
global: {trace: {verbose: false}}
pipelines:
  - name: ingest
    file-ingestor: {watch-dir: DIR, watch-mode: pcap, pcap-dns-port: 53, delete-after: false}
    routing-policy: {forward: [console]}
  - name: console
    stdout: {mode: json}
"""


def command(name, binary, capture, work):
    """The command, the file that it writes (None: standard output), and whether it ends."""
    out = work / "out"
    if name == "weir":
        return [binary, "sniff", "-r", capture, "--cof", out], out, True
    if name == "weir-plain":
        conf = work / "plain.yaml"
        conf.write_text("detect:\n  model:\n    mode: off\n")
        return [binary, "sniff", "-c", conf, "-r", capture, "--cof", out], out, True
    if name == "tshark":
        return [binary, "-n", "-r", capture, "-T", "fields", "-e", "dns.qry.name"], None, True
    if name == "tshark-answers":
        fields = ("time", "qry.name", "qry.type", "resp.name", "resp.type", "a", "aaaa", "cname")
        return [binary, "-n", "-r", capture, "-T", "fields", *(x for f in fields for x in ("-e", f"dns.{f}"))], None, True
    if name == "tshark-json":
        return [binary, "-n", "-r", capture, "-T", "ek", "-J", "dns"], None, True
    if name == "dnscap":
        return [binary, "-g", "-r", capture], None, True
    if name == "passivedns":
        return [binary, "-q", "-r", capture, "-l", out, "-L", work / "err", "-p", work / "pid"], out, True
    if name == "dnsmonster":
        # Its outputs take a message only if one of their workers waits for it that
        # moment, else it is dropped: as many workers as messages may be under way
        # keep all of them. Of its forms CSV costs it least.
        return [binary, f"--pcapfile={capture}", "--stdoutoutputtype=1", "--stdoutoutputworkercount=32768",
                "--resultchannelsize=1000", "--packetchannelsize=1000", "--stdoutoutputformat=csv_no_header"], None, True
    if name == "dnscollector":
        folder, conf = work / "in", work / "conf.yml"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(capture, folder / "x.pcap")
        conf.write_text(COLLECTOR.replace("DIR", str(folder)))
        return [binary, "-config", conf], None, False
    raise SystemExit(f"how is {name} asked?")


def used(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(name, binary, capture):
    with tempfile.TemporaryDirectory() as tmp:
        work = pathlib.Path(tmp)
        argv, out, ends = command(name, binary, capture, work)
        stdout = work / "stdout"
        with open(stdout, "wb") as f, open(work / "log", "wb") as log:
            # dnscap prints to standard error.
            p = subprocess.Popen([str(a) for a in argv], stdout=f, stderr=f if name == "dnscap" else log)
            if not ends:
                last, since = -1.0, time.monotonic()
                while time.monotonic() - since < 3:
                    time.sleep(0.5)
                    if used(p.pid) > last + 0.05:
                        last, since = used(p.pid), time.monotonic()
                p.terminate()
            _, _, usage = os.wait4(p.pid, 0)
            p.returncode = 0
        with open(out or stdout, "rb") as f:
            lines = sum(1 for _ in f)
        return usage.ru_utime + usage.ru_stime, lines, usage.ru_maxrss


def packets(capture):
    out = subprocess.run(["capinfos", "-Mc", capture], capture_output=True, text=True, check=True).stdout
    return int(out.split()[-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--file", required=True)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--peer", action="append", required=True, metavar="NAME=BINARY")
    a = p.parse_args()
    peers = [peer.split("=", 1) for peer in a.peer]
    n = packets(a.file)
    results = {name: [] for name, _ in peers}
    for _ in range(a.rounds):
        for name, binary in peers:
            results[name].append(run(name, binary, a.file))
    print(f"{n} packets, {a.rounds} rounds, median")
    for name, rounds in results.items():
        cpu = statistics.median(r[0] for r in rounds)
        fewest, most = min(r[1] for r in rounds), max(r[1] for r in rounds)
        lines = f"{most}" if fewest == most else f"{fewest} to {most}"
        print(f"{name:14} {cpu:7.2f} s {n / cpu:9.0f} packets/s  {lines} lines  {rounds[-1][2] // 1024:5} MB")


if __name__ == "__main__":
    main()
