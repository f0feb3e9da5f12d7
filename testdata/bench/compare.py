#!/usr/bin/env python3
"""Measures weir beside its peers in one run, on loopback.

One server at a time, pinned to core 0 with one worker; dnsperf and the
upstream (NSD) on core 1. The figure is CPU time of the server's process, user
and system, per answered query, from /proc; queries a second are what dnsperf
saw. Servers take turns within a round, so that drift of the machine hits all
alike; medians over the rounds are printed as a Markdown table, with the median
of the ratios to Unbound's figure of the same round.

weir scores, has a list and records COF and its database; peers do nothing but
answer, except where a kind says so:

  hit      10,000 names by a Zipf distribution, asked for once before
  miss     names that are never repeated, each a registered domain of its own
  blocked  names of a list of 100,000, which all servers have
  mixed    hits, one in ten a name of a list of a million (weir alone)
  tcp      hits over eight kept connections, pipelined
  log      hits, with a log of all queries to a file (weir: transactions)
  latency  hits at 2,000 queries a second: what the client saw, p50 and p99
  two      hits, by two workers on both cores, dnsperf anywhere: if a query
           costs as much as with one worker, two do twice as much

Needs Linux, two cores, and Debian's nsd, unbound and dnsperf; dnsdist and
dnsmasq where they are to be measured. Go peers are measured when a binary is
given: --peer coredns=FILE, sdns=, blocky=, dnsproxy=.

    make bench-peers
    python3 testdata/bench/compare.py --rounds 5 --seconds 5 --kinds hit,miss
    python3 testdata/bench/compare.py --servers weir,old --weir old=/tmp/weir
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
MANY = 1_000_000      # names on the list of "mixed"
UNIQUE = 400_000      # names for one round of misses: more than can be asked
RATE = 2_000          # queries a second, for latency
KINDS = ("hit", "miss", "blocked", "mixed", "tcp", "log", "latency", "two")
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


def questions(path, names):
    write(path, "".join(f"{n} A\n" for n in names))


def prepare(work, kinds):
    """Writes the questions, the lists and the upstream's zone."""
    rng = random.Random(7)
    hits = [f"{word(rng)}.com" for _ in range(NAMES)]
    blocked = [f"{word(rng)}{i}.com" for i in range(BLOCKED)]
    asked = zipf(rng, hits, 200_000)
    for kind in ("hit", "tcp", "log", "latency", "two"):
        questions(f"{work}/{kind}", asked)
    questions(f"{work}/warm", hits)
    questions(f"{work}/blocked", zipf(rng, blocked, 200_000))
    write(f"{work}/short.txt", "".join(f"{n}\n" for n in blocked))
    # Each server is started anew for each measurement, so all may be asked the
    # same names.
    questions(f"{work}/miss", (f"{word(rng)}x{i}.com" for i in range(UNIQUE)))
    if "mixed" in kinds:
        many = [f"{word(rng)}y{i}.com" for i in range(MANY)]
        write(f"{work}/long.txt", "".join(f"{n}\n" for n in many))
        questions(f"{work}/mixed", (rng.choice(many) if i % 10 == 0 else n for i, n in enumerate(asked)))
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


def workers(kind):
    return 2 if kind == "two" else 1


# Each of these writes a server's configuration for a kind and returns its
# command line.

def weir(binary):
    def command(name, work, kind):
        path = write(f"{work}/{name}.yaml", f"""resolver:
  listen: [127.0.0.1:{PORT[name]}]
  workers: {workers(kind)}
  upstream: {{servers: ["127.0.0.1:{PORT['nsd']}"]}}
detect:
  block: {{action: nxdomain}}
  model: {{mode: monitor}}
lists:
  - {{name: blocked, file: {work}/{'long' if kind == 'mixed' else 'short'}.txt}}
state_dir: {work}/state-{name}-{kind}
records:
  cof: {{enabled: true}}
  transactions: {{enabled: {str(kind == 'log').lower()}}}
admin: {{listen: ""}}
""")
        return [binary, "serve", "-c", path]
    return command


def listed(work, kind, line):
    """line of each name of the list, where peers have one."""
    if kind != "blocked":
        return ""
    with open(f"{work}/short.txt") as f:
        return "".join(line.format(n.strip()) for n in f)


def unbound(name, work, kind):
    path = write(f"{work}/{name}.conf", f"""server:
  interface: 127.0.0.1@{PORT[name]}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  username: ""
  chroot: ""
  directory: "{work}"
  pidfile: ""
  use-syslog: no
  logfile: "{work}/{name}.queries"
  log-queries: {'yes' if kind == 'log' else 'no'}
  log-replies: {'yes' if kind == 'log' else 'no'}
  do-daemonize: no
  num-threads: {workers(kind)}
  so-reuseport: yes
  module-config: "iterator"
  msg-cache-size: 64m
  rrset-cache-size: 64m
  outgoing-range: 4096
  num-queries-per-thread: 2048
  so-rcvbuf: 4m
{listed(work, kind, '  local-zone: "{}." always_nxdomain' + chr(10))}remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{PORT['nsd']}
""")
    return ["unbound", "-d", "-c", path]


def dnsmasq(name, work, kind):
    path = write(f"{work}/{name}.conf", f"""port={PORT[name]}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
pid-file=
cache-size=10000
dns-forward-max=2048
server=127.0.0.1#{PORT['nsd']}
{f'log-queries{chr(10)}log-facility={work}/{name}.queries' if kind == 'log' else ''}
{listed(work, kind, 'address=/{}/' + chr(10))}""")
    return ["dnsmasq", "-k", "-C", path]


def dnsdist(name, work, kind):
    path = write(f"{work}/{name}.conf", f"""setLocal("127.0.0.1:{PORT[name]}")
setACL({{"127.0.0.0/8"}})
newServer({{address="127.0.0.1:{PORT['nsd']}", healthCheckMode="up"}})
getPool(""):setCache(newPacketCache(100000))
{f'addAction(AllRule(), LogAction("{work}/{name}.queries", true, true, true))' if kind == 'log' else ''}
{f'''blocked = newSuffixMatchNode()
for n in io.lines("{work}/short.txt") do blocked:add(newDNSName(n)) end
addAction(SuffixMatchNodeRule(blocked), RCodeAction(DNSRCode.NXDOMAIN))''' if kind == 'blocked' else ''}
""")
    return ["dnsdist", "--supervised", "--disable-syslog", "-C", path]


def coredns(binary):
    def command(name, work, kind):
        path = write(f"{work}/{name}.conf", f""".:{PORT[name]} {{
  bind 127.0.0.1
  cache
  forward . 127.0.0.1:{PORT['nsd']}
  {'log' if kind == 'log' else ''}
}}
""")
        return [binary, "-conf", path, "-quiet"]
    return command


def sdns(binary):
    def command(name, work, kind):
        path = write(f"{work}/{name}.conf", f"""version = "1.8.0"
directory = "{work}/{name}"
bind = "127.0.0.1:{PORT[name]}"
api = ""
loglevel = "error"
accesslog = "{f'{work}/{name}.queries' if kind == 'log' else ''}"
rootservers = ["127.0.0.1:{PORT['nsd']}"]
forwarderservers = ["127.0.0.1:{PORT['nsd']}"]
blocklists = []
accesslist = ["127.0.0.0/8"]
dnssec = "off"
cachesize = 256000
""")
        return [binary, "-c", path]
    return command


def blocky(binary):
    def command(name, work, kind):
        path = write(f"{work}/{name}.yaml", f"""ports: {{dns: "127.0.0.1:{PORT[name]}"}}
log: {{level: error}}
upstreams: {{init: {{strategy: fast}}, groups: {{default: ["127.0.0.1:{PORT['nsd']}"]}}}}
{f'queryLog: {{type: csv, target: {work}}}' if kind == 'log' else ''}
""")
        return [binary, "--config", path, "serve"]
    return command


def dnsproxy(binary):
    def command(name, work, kind):
        log = ["-v", "-o", f"{work}/{name}.queries"] if kind == "log" else []
        return [binary, "-l", "127.0.0.1", "-p", str(PORT[name]), "-u", f"127.0.0.1:{PORT['nsd']}", "--cache", "--cache-size=67108864", *log]
    return command


SERVERS = {"weir": weir("./bin/weir"), "unbound": unbound, "dnsmasq": dnsmasq, "dnsdist": dnsdist}
PEERS = {"coredns": coredns, "sdns": sdns, "blocky": blocky, "dnsproxy": dnsproxy}
CANNOT = {("dnsmasq", "two"), ("dnsdist", "two"), ("coredns", "blocked"), ("sdns", "blocked"), ("blocky", "blocked"), ("dnsproxy", "blocked")}
PORT = {}


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(argv, cores, log):
    """A process of its own group on one core or several, ended at the end."""
    with open(log, "a") as out:
        p = subprocess.Popen(["taskset", "-c", cores, *argv], stdout=out, stderr=out, env={**ENV, "GOMAXPROCS": str(cores.count(",") + 1)}, start_new_session=True)
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


def wait_ready(server, log):
    for _ in range(600):
        out = subprocess.run(["dig", "+tries=1", "+time=1", "+short", "-p", str(PORT[server]), "@127.0.0.1", "ready.com"], capture_output=True, text=True)
        if "192.0.2.1" in out.stdout:
            return
        time.sleep(0.1)
    with open(log) as f:
        sys.exit(f"{server} did not start:\n{f.read()[-2000:]}")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def dnsperf(server, data, *options, cores="1"):
    return subprocess.run(["taskset", "-c", cores, "dnsperf", "-s", "127.0.0.1", "-p", str(PORT[server]), "-d", data, "-c", "8", "-T", "1", "-q", "200", *options],
                          capture_output=True, text=True, env=ENV).stdout


def counted(out):
    """Queries answered, sent, and answered a second, as dnsperf says."""
    return (int(re.search(r"Queries completed:\s+(\d+)", out).group(1)), int(re.search(r"Queries sent:\s+(\d+)", out).group(1)),
            float(re.search(r"Queries per second:\s+([\d.]+)", out).group(1)))


@contextlib.contextmanager
def profiled(pid, seconds, path):
    """Has perf write the stacks of a process meanwhile, for a flame graph."""
    p = subprocess.Popen(["perf", "record", "-q", "-F", "499", "-g", "-e", "cpu-clock", "-o", path, "-p", str(pid), "--", "sleep", str(seconds)])
    try:
        yield
    finally:
        p.wait()


def measure(work, server, kind, seconds, flames=None):
    log = f"{work}/{server}.log"
    with running(SERVERS[server](server, work, kind), "0,1" if kind == "two" else "0", log) as p:
        wait_ready(server, log)
        figures = {"idle": rss(p.pid)}
        if kind not in ("miss", "blocked"):
            dnsperf(server, f"{work}/warm", "-n", "1")
        watched = profiled(p.pid, seconds, f"{flames}/{kind}.perf") if flames else contextlib.nullcontext()
        options = {"tcp": ["-m", "tcp"], "latency": ["-Q", str(RATE), "-v"]}.get(kind, [])
        before = cpu(p.pid)
        with watched:
            out = dnsperf(server, f"{work}/{kind}", "-l", str(seconds), *options, cores="0,1" if kind == "two" else "1")
        done, sent, qps = counted(out)
        time.sleep(0.6)  # what is still recorded belongs to the cost
        figures |= {"us": (cpu(p.pid) - before) / done * 1e6, "qps": qps, "lost": 1 - done / sent, "rss": rss(p.pid)}
        if kind == "latency":
            took = sorted(float(x) for x in re.findall(r"^> \S+ \S+ \S+ ([\d.]+)$", out, re.M))
            figures["p50"], figures["p99"] = (took[int(q * (len(took) - 1))] * 1e6 for q in (0.5, 0.99))
        return figures


def row(results, kind, server, base):
    rows = results[kind, server]
    med = {k: statistics.median(r[k] for r in rows) for k in rows[0]}
    ratio = "" if base not in (s for k, s in results if k == kind) else f"{statistics.median(a['us'] / b['us'] for a, b in zip(rows, results[kind, base])):.2f}"
    latency = f"{med['p50']:.0f} / {med['p99']:.0f}" if kind == "latency" else ""
    return f"| {kind}, {server} | {med['us']:.1f} | {ratio} | {med['qps']:,.0f} | {latency} | {med['lost']:.2%} | {med['idle']:.0f} | {med['rss']:.0f} |"


def pairs(text):
    name, equals, path = text.partition("=")
    if not equals or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{text}: want NAME=FILE, with a program that can be run")
    return name, path


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--seconds", type=float, default=5)
    args.add_argument("--kinds", default=",".join(KINDS), help="of " + ",".join(KINDS))
    args.add_argument("--servers", help="default: weir, those of unbound, dnsdist and dnsmasq that are there, and all that --weir and --peer name")
    args.add_argument("--weir", action="append", type=pairs, default=[], metavar="NAME=FILE", help="another build of weir")
    args.add_argument("--peer", action="append", type=pairs, default=[], metavar="NAME=FILE", help="one of " + ", ".join(PEERS))
    args.add_argument("--flame", metavar="FOLDER", help="have perf write each kind's stacks into FOLDER, of one server")
    args = args.parse_args()
    SERVERS.update((name, weir(path)) for name, path in args.weir)
    for name, path in args.peer:
        if name not in PEERS:
            sys.exit(f"--peer {name}: not one of {', '.join(PEERS)}")
        SERVERS[name] = PEERS[name](path)
    there = [s for s in SERVERS if s not in ("unbound", "dnsdist", "dnsmasq") or shutil.which(s, path=ENV["PATH"])]
    kinds, servers = args.kinds.split(","), args.servers.split(",") if args.servers else there
    for unknown in [k for k in kinds if k not in KINDS] + [s for s in servers if s not in SERVERS]:
        sys.exit(f"{unknown}: no such kind or server")
    if args.flame and len(servers) > 1:
        sys.exit("--flame: of one server, by --servers")
    for tool in ("nsd", "dnsperf", "dig", "taskset", *(["perf"] if args.flame else [])):
        if not shutil.which(tool, path=ENV["PATH"]):
            sys.exit(f"{tool} is needed")
    PORT.update({name: port() for name in ("nsd", *SERVERS)})
    work = tempfile.mkdtemp(prefix="weir-bench-")
    weirs = {"weir", *(name for name, _ in args.weir)}
    try:
        prepare(work, kinds)
        results = {}
        with running(["nsd", "-d", "-c", f"{work}/nsd.conf"], "1", f"{work}/nsd.log"):
            time.sleep(1)
            for r in range(args.rounds):
                for kind in kinds:
                    for server in servers:
                        if (server, kind) in CANNOT or kind == "mixed" and server not in weirs:
                            continue
                        m = measure(work, server, kind, args.seconds, args.flame)
                        results.setdefault((kind, server), []).append(m)
                        print(f"round {r + 1}: {kind:8} {server:8} {m['us']:7.2f} us/query {m['qps']:9.0f} q/s, lost {m['lost']:.2%}, {m['rss']:.0f} MB", file=sys.stderr)
        base = "unbound" if "unbound" in servers else servers[0]
        print(f"| | CPU µs a query | of {base}'s | queries/s | p50 / p99 µs | lost | RSS MB idle | and after |\n|---|--:|--:|--:|--:|--:|--:|--:|")
        for kind, server in results:
            print(row(results, kind, server, base))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
