#!/usr/bin/env python3
"""Real tunnels through a running weir: which are told, after how much, by serve and by sniff.

Everything happens in two network namespaces that end with this script: a site, where
weir and the tunnels' servers run, and a client. It needs root, and iodine and dns2tcp of
Debian; dnscat2 where DNSCAT2 names a checkout of it with client/dnscat built and a ruby
that can run server/dnscat2.rb (DNSCAT2_RUBY: the command, default "ruby"). Without root
or a tool it says so and leaves that out.

    make tunnels [ARGS="--enforce --seconds 20 --only iodine"]
"""

import argparse
import datetime
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOMAIN = "weir-tunnels.net"  # nobody else is asked for it: weir's only upstream is the tunnel's server
SITE, CLIENT = "10.53.53.1", "10.53.53.2"  # ends of the link between the namespaces
IODINE_SITE = "10.54.54.1"  # of the network in iodine's tunnel
SERVER_PORT, SINK_PORT = 5353, 9000
NS_SITE, NS_CLIENT = f"weir-site-{os.getpid()}", f"weir-client-{os.getpid()}"

# What the far end of a tunnel is for: it takes octets and notes when how many had come.
SINK = """
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', int(sys.argv[1]))); s.listen(1)
total = 0
while True:
    c, _ = s.accept()
    while data := c.recv(4096):
        total += len(data)
        print(time.time(), total, flush=True)
"""

# Sends random octets until it is stopped or nobody takes them.
SOURCE = """
import os, socket, sys, time
end = time.time() + float(sys.argv[3])
while time.time() < end:
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
        break
    except OSError:
        time.sleep(0.2)
else:
    sys.exit(1)
while time.time() < end:
    s.sendall(os.urandom(512))
"""


class Session:
    """One tunnel: how its two ends are started, and what passes through it."""

    def __init__(self, tool, qtype, server, client, source=None, idle=False, direct=False):
        self.tool, self.qtype, self.server, self.client = tool, qtype, server, client
        self.source, self.idle = source, idle
        self.direct = direct  # the client asks the tunnel's server itself: only a sniffer sees it

    @property
    def label(self):
        return f"{self.tool}, {self.qtype}" + (", idle" if self.idle else "") + (", past weir" if self.direct else "")


def sessions():
    """All sessions whose tools are here."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    have = lambda tool: shutil.which(tool, path=path)
    upload = lambda host, port: ["python3", "-c", SOURCE, host, str(port)]
    out, missing = [], []
    if have("iodine") and have("iodined"):
        server = ["iodined", "-f", "-c", "-P", "weir", "-l", "127.0.0.1", "-p", str(SERVER_PORT), IODINE_SITE + "/24", "t." + DOMAIN]
        for qtype in ["NULL", "PRIVATE", "TXT", "SRV", "MX", "CNAME", "A"]:
            client = ["iodine", "-f", "-r", "-T", qtype, "-P", "weir", SITE, "t." + DOMAIN]
            out.append(Session("iodine", qtype, server, client, upload(IODINE_SITE, SINK_PORT)))
            if qtype in ("NULL", "CNAME"):
                out.append(Session("iodine", qtype, server, client, idle=True))
    else:
        missing.append("iodine (apt-get install iodine)")
    if have("dns2tcpc") and have("dns2tcpd"):
        # Its names are base64. weir asks with names in lower case, or in random case, so
        # that no session through it comes up.
        for qtype in ["TXT", "KEY"]:
            client = ["dns2tcpc", "-r", "sink", "-k", "weir", "-z", DOMAIN, "-l", "8888", "-T", qtype, SITE]
            out.append(Session("dns2tcp", qtype, ["dns2tcpd", "-F", "-f", "{dir}/dns2tcpd.conf"], client, upload("127.0.0.1", 8888), direct=True))
    else:
        missing.append("dns2tcp (apt-get install dns2tcp)")
    dnscat2 = os.environ.get("DNSCAT2", "")
    if os.path.exists(dnscat2 + "/client/dnscat"):
        ruby = shlex.split(os.environ.get("DNSCAT2_RUBY", "ruby"))
        server = ruby + ["-C", dnscat2 + "/server", "dnscat2.rb", "--security=open", "--auto-command=",
                         "--dns", f"host=127.0.0.1,port={SERVER_PORT},domain={DOMAIN}"]
        for qtype in ["TXT", "MX", "CNAME", "A"]:
            client = [dnscat2 + "/client/dnscat", "--no-encryption", "--dns", f"domain={DOMAIN},server={SITE},port=53,type={qtype}"]
            out.append(Session("dnscat2", qtype, server, client + ["--delay", "50", "--console"], source="stdin"))
            if qtype == "TXT":
                out.append(Session("dnscat2", qtype, server, client, idle=True))
    else:
        missing.append("dnscat2 (DNSCAT2=DIR, a checkout with client/dnscat built)")
    for tool in missing:
        print("left out:", tool, file=sys.stderr)
    return out


class Site:
    """The namespaces and what runs in them."""

    def __init__(self, work):
        self.work, self.running = work, []

    def __enter__(self):
        ip = lambda *args: subprocess.run(["ip", *args], check=True)
        for ns in (NS_SITE, NS_CLIENT):
            ip("netns", "add", ns)
            ip("-n", ns, "link", "set", "lo", "up")
        ip("-n", NS_SITE, "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", NS_CLIENT)
        for ns, link, addr in ((NS_SITE, "up0", SITE), (NS_CLIENT, "up1", CLIENT)):
            ip("-n", ns, "addr", "add", addr + "/24", "dev", link)
            ip("-n", ns, "link", "set", link, "up")
        return self

    def __exit__(self, *_):
        self.stop()
        for ns in (NS_SITE, NS_CLIENT):
            subprocess.run(["ip", "netns", "del", ns], check=False)

    def start(self, ns, command, log, stdin=subprocess.DEVNULL, cwd=None):
        with open(f"{self.work}/{log}", "ab") as out:
            p = subprocess.Popen(["ip", "netns", "exec", ns, *command], stdin=stdin, stdout=out, stderr=out, cwd=cwd,
                                 start_new_session=True)
        self.running.append(p)
        return p

    def stop(self, *which):
        """Ends processes and what they started, the last first."""
        for p in list(which) or reversed(self.running):
            for sig, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
                try:
                    os.killpg(p.pid, sig)
                except ProcessLookupError:
                    break
                try:
                    p.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
            if p in self.running:
                self.running.remove(p)


def wait_for(what, there, patience=30):
    end = time.time() + patience
    while not there():
        if time.time() > end:
            raise RuntimeError(f"{what} did not come within {patience} s")
        time.sleep(0.1)


def tunnels_told(path):
    """The findings of tunnels in a file, in their order."""
    told = []
    if os.path.exists(path):
        with open(path) as lines:
            told = [f for f in map(json.loads, lines) if f["kind"] == "tunnel"]
    return told


def unix(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def run(site, s, args):
    """One session from beginning to end, and what was told of it."""
    work = tempfile.mkdtemp(dir=site.work)
    with open(work + "/dns2tcpd.conf", "w") as f:
        f.write(f"listen = {SITE}\nport = 53\nuser = nobody\nchroot = /tmp\ndomain = {DOMAIN}\nkey = weir\nresources = sink:127.0.0.1:{SINK_PORT} , other:127.0.0.1:{SINK_PORT}\n")
    seconds, mode = args.seconds, "enforce" if args.enforce else "monitor"
    with open(work + "/weir.yaml", "w") as f:
        f.write(f"state_dir: {work}/state\nadmin:\n  listen: ''\nresolver:\n  listen: [{SITE}:53]\n  upstream:\n    servers: [127.0.0.1:{SERVER_PORT}]\n    case_randomization: {str(args.random_case).lower()}\n"
                f"records:\n  transactions:\n    enabled: true\ndetect:\n  behaviour:\n    tunnels:\n      mode: {mode}\n")
    inside = lambda command: [part.replace("{dir}", work) for part in command]
    site.start(NS_SITE, ["python3", "-c", SINK, str(SINK_PORT)], os.path.relpath(work + "/sink", site.work))
    site.start(NS_SITE, inside(s.server), os.path.relpath(work + "/server", site.work), stdin=subprocess.PIPE)
    if not s.direct:
        weir = site.start(NS_SITE, [ROOT + "/bin/weir", "serve", "-c", work + "/weir.yaml"], os.path.relpath(work + "/weir", site.work))
        wait_for("weir", lambda: "weir serves" in open(work + "/weir").read())
    dump = site.start(NS_CLIENT, ["tcpdump", "-i", "up1", "-U", "-n", "-w", work + "/traffic.pcap", "port 53"], os.path.relpath(work + "/tcpdump", site.work))
    wait_for("tcpdump", lambda: "listening on" in open(work + "/tcpdump").read())
    time.sleep(1)  # for the tunnel's server, which says nothing when it is there
    began = time.time()
    stdin = subprocess.PIPE if s.source == "stdin" else subprocess.DEVNULL
    client = site.start(NS_CLIENT, inside(s.client), os.path.relpath(work + "/client", site.work), stdin=stdin)
    if s.source == "stdin":
        while time.time() < began + seconds and client.poll() is None:
            try:
                client.stdin.write(os.urandom(256).hex().encode() + b"\n")
                client.stdin.flush()
            except BrokenPipeError:
                break
            time.sleep(0.5)
    elif s.source:
        site.start(NS_CLIENT, [*s.source, str(seconds)], os.path.relpath(work + "/source", site.work))
    time.sleep(max(0, began + seconds - time.time()))
    site.stop(client)
    time.sleep(0.5)
    site.stop(dump)
    if not s.direct:
        site.stop(weir)  # which writes its records to the end
    site.stop()

    sniffed, transactions = work + "/sniffed.jsonl", work + "/transactions.jsonl"
    subprocess.run([ROOT + "/bin/weir", "sniff", "-r", work + "/traffic.pcap", "--findings", sniffed, "--transactions", transactions],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    live = tunnels_told(sniffed)
    if not s.direct:
        live, transactions = tunnels_told(work + "/state/records/findings.jsonl"), work + "/state/records/transactions.jsonl"
    arrivals = [line.split() for line in open(work + "/sink") if line[:1].isdigit()]
    row = {"session": s.label, "idle": s.idle, "serve": not s.direct, "queries": 0, "told": bool(live), "sniff": bool(tunnels_told(sniffed)), "level": live[-1]["level"] if live else ""}
    names, carried = set(), 0
    first = unix(live[0]["time"]) if live else float("inf")
    for line in open(transactions) if os.path.exists(transactions) else ():
        t = json.loads(line)
        if not t["qname"].rstrip(".").lower().endswith(DOMAIN):
            continue
        row["queries"] += 1
        if unix(t["time"]) <= first:
            names.add(t["qname"].lower())
            carried += len(t["qname"]) - len(DOMAIN)
    row["names"], row["octets"] = len(names), carried
    row["after"] = first - began if live else None
    before = [int(total) for at, total in arrivals if float(at) <= first]
    row["payload"] = max(before, default=0)
    row["all"] = int(arrivals[-1][1]) if arrivals else 0
    return row


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--seconds", type=float, default=12, help="how long a session lasts")
    args.add_argument("--only", default="", help="only sessions whose name begins so")
    args.add_argument("--enforce", action="store_true", help="let weir block what it tells")
    args.add_argument("--random-case", action="store_true", help="leave weir's random case on, which stops dns2tcp by itself")
    args.add_argument("--keep", action="store_true", help="leave the files of the sessions")
    args = args.parse_args()
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("skipped: network namespaces need root and ip (apt-get install iproute2)", file=sys.stderr)
        return 0
    if not shutil.which("tcpdump", path=os.environ["PATH"] + ":/usr/sbin"):
        print("skipped: tcpdump is needed (apt-get install tcpdump)", file=sys.stderr)
        return 0
    todo = [s for s in sessions() if s.label.startswith(args.only)]
    if not todo:
        print("skipped: there is no tunnel to run", file=sys.stderr)
        return 0
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    work = tempfile.mkdtemp(prefix="weir-tunnels-")
    rows = []
    try:
        with Site(work) as site:
            for s in todo:
                try:
                    rows.append(run(site, s, args))
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
                finally:
                    site.stop()
    finally:
        if args.keep:
            print("files:", work, file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)
    print("| session | queries | told after | octets in names until then | payload until then | in all | level at the end | sniff |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        told = f"{r['names']} names, {r['after']:.1f} s" if r["told"] else "not told"
        print(f"| {r['session']} | {r['queries']} | {told} | {r['octets']:,} | {r['payload']:,} | {r['all']:,} | {r['level']} | {'told' if r['sniff'] else 'not told'} |")
    busy = [r for r in rows if not r["idle"]]
    lost = [r["session"] for r in busy if not (r["told"] and r["sniff"])]
    print(f"\n{len(busy) - len(lost)} of {len(busy)} busy sessions told by serve and sniff, or by sniff where weir is passed")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
