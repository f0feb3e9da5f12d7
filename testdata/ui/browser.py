"""A weir to look at, and a browser that looks: what the checks of ui.py stand on."""

import atexit
import contextlib
import http.client
import pathlib
import re
import secrets
import signal
import socket
import struct
import subprocess
import tempfile
import urllib.parse

PATIENCE = 60_000  # ms; CI machines are slow, and nothing here is about speed


def check(ok, broken):
    if not ok:
        raise SystemExit(f"FAILED: {broken}")


class Demo:
    """A running weir demo."""

    def __init__(self, weir, *flags):
        self.weir = weir
        self.process = subprocess.Popen([weir, "demo", *flags], stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)  # where a check fails; no harm if it has ended
        text = ""
        for line in self.process.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        self.link = re.search(r"dashboard\s+(http://\S+)", text)[1]
        self.base = self.link.split("#")[0]
        self.netloc = urllib.parse.urlsplit(self.base).netloc
        dns = re.search(r"dig @(\S+) -p (\d+) (\S+)", text)
        self.dns, self.generated = (dns[1], int(dns[2])), dns[3]
        self.state = re.search(r"weir dashboard --state (\S+)", text)[1]

    def new_link(self):
        return subprocess.check_output([self.weir, "dashboard", "--state", self.state], text=True, stderr=subprocess.DEVNULL).strip()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        rest = self.process.stdout.read()
        check(self.process.wait(60) == 0 and "nothing stays behind" in rest, f"the demo ends badly: {rest}")
        check(not pathlib.Path(self.state).exists(), "the demo leaves its folder behind")

    def ask(self, labels):
        """Ask for a name of these labels, whatever is in them."""
        wire = b"".join(bytes([len(part)]) + part for part in labels) + b"\0"
        query = struct.pack(">6H", secrets.randbelow(65536), 0x0100, 1, 0, 0, 0) + wire + struct.pack(">2H", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            for _ in range(3):
                s.sendto(query, self.dns)
                with contextlib.suppress(TimeoutError):
                    return s.recv(4096)
        check(False, f"weir does not answer for {labels}")

    def http(self, method, path, body=None, **headers):
        """One request without a browser; host= is the Host header."""
        host = headers.pop("host", self.netloc)
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host)
        data = None if body is None else body.encode()
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        for key, value in headers.items():
            connection.putheader(key.replace("_", "-"), value)
        connection.endheaders(data)
        response = connection.getresponse()
        response.read()
        return response.status


class Idle(Demo):
    """A weir that nobody has asked anything, and whose upstream is away."""

    def __init__(self, weir):
        self.weir, self.folder = weir, tempfile.TemporaryDirectory()
        self.state = self.folder.name
        self.process = subprocess.Popen([weir, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", "127.0.0.1:9", "--state", self.state],
                                        stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        for line in self.process.stderr:
            if '"weir serves"' in line:
                break
        self.link = self.new_link()
        self.base = self.link.split("#")[0]

    def end(self):
        self.process.terminate()
        self.process.communicate(timeout=60)
        self.folder.cleanup()


class Browser:
    """A browser that logged in, and complains about what pages complain about."""

    def __init__(self, chromium, demo, scheme="light", width=1200, height=820):
        self.demo = demo
        self.context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, reduced_motion="reduce")
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" and "401" not in m.text else None)
        self.page.on("request", lambda r: check(r.url.startswith((demo.base, "blob:", "data:")), f"a page asks elsewhere: {r.url}"))
        self.page.goto(demo.new_link())
        self.heading("Overview")

    def heading(self, text):
        self.page.wait_for_function("t => document.querySelector('main h1')?.textContent === t", arg=text)

    def open(self, path, heading):
        self.page.evaluate("""to => {
            delete document.documentElement.dataset.shown;
            if (new URL(to, location).hash === location.hash) location.reload();
            else location.hash = to;
        }""", f"#/{path}")
        self.heading(heading)
        self.page.wait_for_function("p => document.documentElement.dataset.shown === p", arg=path.split("?")[0])

    def notice(self, part):
        self.page.wait_for_function("t => document.getElementById('notice').textContent.includes(t)", arg=part)

    def until(self, expression, broken):
        try:
            self.page.wait_for_function("() => " + expression)
        except Exception as error:
            raise SystemExit(f"FAILED: {broken} ({error})") from error

    def calm(self, where):
        check(not self.complaints, f"{where}: {self.complaints}")
        check(self.page.locator("#notice.bad").count() == 0, f"{where}: {self.page.inner_text('#notice')}")
        text = self.page.inner_text("main")
        for word in ("undefined", "NaN", "[object"):
            check(word not in text, f"{where} shows {word!r}")

    def close(self):
        self.calm("at the end")
        self.context.close()
