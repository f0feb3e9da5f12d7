#!/usr/bin/env python3
"""Measures weir beside Unbound and dnsmasq in one run, on loopback.

One server at a time, pinned to core 0 with one worker; dnsperf and the
upstream (NSD) on core 1. The figure is CPU time of the server's process, user
and system, per answered query, from /proc; queries a second are what dnsperf
saw. Servers take turns within a round, so that drift of the machine hits all
alike; medians over the rounds are printed as a Markdown table.

Needs Linux, two cores, and Debian's nsd, unbound, dnsmasq-base and dnsperf.

    make build && python3 testdata/bench/compare.py --rounds 5 --seconds 5
"""
import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

NAMES = 10_000        # in the working set of the hits
BLOCKED = 100_000     # names on the list
UNIQUE = 400_000      # names for one round of misses: more than can be asked
HZ = os.sysconf("SC_CLK_TCK")
ENV = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def word(rng):
    """A label that looks like a site's: what the model sees of benign traffic."""
    parts = ["shop", "news", "cloud", "data", "blue", "home", "soft", "web", "media", "art", "city", "play", "book", "food", "lab"]
    return rng.choice(parts) + rng.choice(parts) + str(rng.randrange(10**6))


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def zipf(rng, names, count):
    weights = [1 / (i + 1) for i in range(len(names))]
    return rng.choices(names, weights, k=count)


def prepare(work):
    rng = random.Random(7)
    hits = [f"{word(rng)}.com" for _ in range(NAMES)]
    blocked = [f"{word(rng)}{i}.com" for i in range(BLOCKED)]
    write(f"{work}/hit", "".join(f"{n} A\n" for n in zipf(rng, hits, 200_000)))
    write(f"{work}/warm", "".join(f"{n} A\n" for n in hits))
    write(f"{work}/blocked", "".join(f"{n} A\n" for n in zipf(rng, blocked, 200_000)))
    # Each server is started anew for each measurement, so all may be asked the
    # same names.
    write(f"{work}/miss", "".join(f"{word(rng)}x{i}.com A\n" for i in range(UNIQUE)))
    write(f"{work}/com.zone", "$ORIGIN com.\n$TTL 3600\n@ SOA ns admin 1 3600 600 86400 60\n@ NS ns\n* A 192.0.2.1\n")
    write(f"{work}/nsd.conf", f"""server:
  ip-address: 127.0.0.1@{PORT['nsd']}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{work}"
  xfrdir: "{work}"
  xfrdfile: "{work}/xfrd"
  zonelistfile: "{work}/zones"
  pidfile: "{work}/nsd.pid"
  logfile: "{work}/nsd.log"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: com
  zonefile: com.zone
""")
    write(f"{work}/unbound.conf", f"""server:
  interface: 127.0.0.1@{PORT['unbound']}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  username: ""
  chroot: ""
  directory: "{work}"
  pidfile: ""
  use-syslog: no
  logfile: "{work}/unbound.log"
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  msg-cache-size: 64m
  rrset-cache-size: 64m
  outgoing-range: 4096
  num-queries-per-thread: 2048
  so-rcvbuf: 4m
""" + "".join(f'  local-zone: "{n}." always_nxdomain\n' for n in blocked) + f"""remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{PORT['nsd']}
""")
    write(f"{work}/dnsmasq.conf", f"""port={PORT['dnsmasq']}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
pid-file=
cache-size=10000
dns-forward-max=2048
server=127.0.0.1#{PORT['nsd']}
""" + "".join(f"address=/{n}/\n" for n in blocked))
    write(f"{work}/blocked.txt", "".join(f"{n}\n" for n in blocked))
    for server in WEIRS:
        write(f"{work}/{server}.yaml", f"""resolver:
  listen: [127.0.0.1:{PORT[server]}]
  workers: 1
  upstream: {{servers: ["127.0.0.1:{PORT['nsd']}"]}}
detect:
  block: {{action: nxdomain}}
  model: {{mode: monitor}}
lists:
  - {{name: blocked, file: {work}/blocked.txt}}
state_dir: {work}/state-{server}
records:
  cof: {{enabled: true}}
admin: {{listen: ""}}
""")


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


KINDS = ("hit", "miss", "blocked")
WEIRS = {}  # name: binary
PORT = {name: port() for name in ("unbound", "dnsmasq", "nsd")}


def commands(work):
    return {
        **{name: [binary, "serve", "-c", f"{work}/{name}.yaml"] for name, binary in WEIRS.items()},
        "unbound": ["unbound", "-d", "-c", f"{work}/unbound.conf"],
        "dnsmasq": ["dnsmasq", "-k", "-C", f"{work}/dnsmasq.conf"],
    }


@contextlib.contextmanager
def running(argv, core, log):
    """A process of its own group on one core, ended at the end."""
    with open(log, "a") as out:
        p = subprocess.Popen(["taskset", "-c", str(core), *argv], stdout=out, stderr=out, env={**ENV, "GOMAXPROCS": "1"}, start_new_session=True)
    try:
        yield p
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGTERM)
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()


def wait_ready(server):
    for _ in range(300):
        out = subprocess.run(["dig", "+tries=1", "+time=1", "+short", "-p", str(PORT[server]), "@127.0.0.1", "ready.com"], capture_output=True, text=True)
        if "192.0.2.1" in out.stdout:
            return
        time.sleep(0.1)
    sys.exit(f"{server} did not start")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def dnsperf(server, data, *limits):
    out = subprocess.run(["taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", str(PORT[server]), "-d", data, "-c", "8", "-T", "1", "-q", "200", *limits],
                         capture_output=True, text=True, env=ENV).stdout
    done = int(re.search(r"Queries completed:\s+(\d+)", out).group(1))
    sent = int(re.search(r"Queries sent:\s+(\d+)", out).group(1))
    qps = float(re.search(r"Queries per second:\s+([\d.]+)", out).group(1))
    return done, sent, qps


def measure(work, server, kind, seconds):
    argv = commands(work)[server]
    with running(argv, 0, f"{work}/{server}.log") as p:
        wait_ready(server)
        if kind == "hit":
            dnsperf(server, f"{work}/warm", "-n", "1")
        data = f"{work}/{kind}"
        before = cpu(p.pid)
        done, sent, qps = dnsperf(server, data, "-l", str(seconds))
        if kind == "miss":
            time.sleep(0.3)  # what is still recorded belongs to the cost
        return {"us": (cpu(p.pid) - before) / done * 1e6, "qps": qps, "lost": 1 - done / sent, "rss": rss(p.pid)}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=float, default=5)
    args.add_argument("--kinds", default=",".join(KINDS), help="of " + ",".join(KINDS))
    args.add_argument("--servers", default="weir,unbound,dnsmasq")
    args.add_argument("--weir", action="append", metavar="NAME=FILE", help="another build of weir, measured as NAME; give it in --servers too")
    args = args.parse_args()
    WEIRS["weir"] = "./bin/weir"
    WEIRS.update(w.split("=", 1) for w in args.weir or [])
    PORT.update({name: port() for name in WEIRS})
    kinds, servers = args.kinds.split(","), args.servers.split(",")
    for tool in ("nsd", "unbound", "dnsmasq", "dnsperf", "dig", "taskset"):
        if not shutil.which(tool, path=ENV["PATH"]):
            sys.exit(f"{tool} is needed")
    work = tempfile.mkdtemp(prefix="weir-bench-")
    try:
        prepare(work)
        results = {}
        with running(["nsd", "-d", "-c", f"{work}/nsd.conf"], 1, f"{work}/nsd.log"):
            time.sleep(1)
            for r in range(args.rounds):
                for kind in kinds:
                    for server in servers:
                        m = measure(work, server, kind, args.seconds)
                        results.setdefault((kind, server), []).append(m)
                        print(f"round {r + 1}: {kind:8} {server:8} {m['us']:7.2f} us/query {m['qps']:9.0f} q/s, lost {m['lost']:.2%}, {m['rss']:.0f} MB", file=sys.stderr)
        base = "unbound" if "unbound" in servers else servers[0]
        print(f"| | CPU µs a query | of {base}'s | queries/s | lost | RSS MB |\n|---|--:|--:|--:|--:|--:|")
        for kind in kinds:
            for server in servers:
                rows = results[kind, server]
                med = {k: statistics.median(row[k] for row in rows) for k in rows[0]}
                ratio = statistics.median(a["us"] / b["us"] for a, b in zip(rows, results[kind, base]))
                print(f"| {kind}, {server} | {med['us']:.1f} | {ratio:.2f} | {med['qps']:,.0f} | {med['lost']:.2%} | {med['rss']:.0f} |")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
