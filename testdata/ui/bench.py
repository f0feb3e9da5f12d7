"""How long the dashboard takes on a full database: pages in Chromium, and the
operations under them. Prints the tables of docs/dashboard.md."""

import argparse
import http.client
import json
import pathlib
import re
import statistics
import subprocess
import time
import urllib.parse

from playwright.sync_api import sync_playwright

TIMES = 20


class Weir:
    """A running weir with that state folder, which asks nobody."""

    def __init__(self, weir, state):
        self.weir, self.state = weir, state
        conf = pathlib.Path(state) / "bench.yaml"
        conf.write_text('resolver: {listen: ["127.0.0.1:0"], upstream: {servers: ["127.0.0.1:9"]}}\nadmin: {listen: "127.0.0.1:0"}\nprivacy: {client_address: full}\nstore: {clients: true, fold_names: 1000000000}\n')
        self.process = subprocess.Popen([weir, "serve", "-c", str(conf), "--state", state], stderr=subprocess.PIPE, text=True)
        self.base = re.search(r'"metrics":"(http://[^"]+/)metrics"', self.process.stderr.readline())[1]
        self.netloc = urllib.parse.urlsplit(self.base).netloc
        self.token = None
        for _ in range(600):  # until the socket and the database are open
            time.sleep(0.1)
            try:
                self.token = (pathlib.Path(state) / "dashboard.token").read_text().strip()
                if self.get("/api/v1/detections?since=1h")[0] == 200:
                    return
            except OSError:
                pass
        raise SystemExit("weir does not open its database within a minute")

    def link(self):
        return subprocess.check_output([self.weir, "dashboard", "--state", self.state], text=True, stderr=subprocess.DEVNULL).strip()

    def get(self, path):
        began = time.perf_counter()
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        connection.request("GET", path, headers={"Authorization": "Bearer " + self.token})
        response = connection.getresponse()
        size = len(response.read())
        connection.close()
        return response.status, 1000 * (time.perf_counter() - began), size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weir", required=True)
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--state", required=True)
    args = parser.parse_args()
    weir = Weir(args.weir, args.state)
    try:
        name, client = "www.site7.example7.com", "192.168.7.23"
        operations = [
            "/api/v1/overview", "/api/v1/detections?since=24h", "/api/v1/detections?since=7d&limit=1000", "/api/v1/detections?since=7d&q=e1000",
            f"/api/v1/detections?name={name}&since=30d", f"/api/v1/investigate?name={name}", f"/api/v1/investigate?client={client}", f"/api/v1/explain?name={name}",
            "/query/busy.net?subtree=true&format=json&limit=100", "/query/198.18.7.0/24?format=json&limit=1000", "/api/v1/unusual?limit=100", "/api/v1/findings",
            "/api/v1/lists", "/api/v1/models", "/api/v1/incidents", "/api/v1/alerts", "/api/v1/clients",
        ]
        print("| operation | median ms | slowest ms | KB |\n|---|---|---|---|")
        for path in operations:
            got = [weir.get(path) for _ in range(TIMES)]
            if any(status != 200 for status, _, _ in got):
                raise SystemExit(f"{path}: {[status for status, _, _ in got]}")
            took = [ms for _, ms, _ in got]
            print(f"| `{path}` | {statistics.median(took):.0f} | {max(took):.0f} | {got[0][2] / 1000:.0f} |", flush=True)
        print("\n| page | first paint ms | all of it ms |\n|---|---|---|")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
            page = browser.new_page(viewport={"width": 1200, "height": 820})
            page.set_default_timeout(60_000)
            page.goto(weir.link())
            page.wait_for_function("() => document.documentElement.dataset.shown === 'overview'")
            for path in ["overview", "detections", "detections?since=7d", f"name?n={name}", f"client?c={client}", "unusual", "alerts", "lists", "models"]:
                paints, wholes = [], []
                for _ in range(TIMES // 2):
                    page.goto("about:blank")
                    page.goto(f"{weir.base}#/{path}")
                    page.wait_for_function("p => document.documentElement.dataset.shown === p", arg=path.split("?")[0])
                    wholes.append(page.evaluate("performance.now()"))
                    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
                    paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
                print(f"| `{path}` | {statistics.median(paints):.0f} | {statistics.median(wholes):.0f} |", flush=True)
            browser.close()
    finally:
        weir.process.terminate()
        weir.process.communicate()


if __name__ == "__main__":
    main()
