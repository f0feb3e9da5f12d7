"""Names a second of `weir score -` beside LightGBM's own predictor.

    python3 testdata/bench/score.py --weir bin/weir --names FILE [--count 1000000]

FILE has a name a line (gzip if it ends in .gz; of a TSV the first column). weir reads
names and writes verdicts as JSON; LightGBM predicts from the matrix that `weir features`
made of the same names, so it is spared parsing, the public suffix list, features and
output. Their scores have to agree. Both have one processor; they take turns, and the
processor's time of the quicker of two runs counts, so that other work on the machine
does not. Needs lightgbm and numpy.
"""
import argparse
import gzip
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import lightgbm
import numpy as np

MODEL = pathlib.Path(__file__).parents[2] / "detect" / "model"


def used():
    """Seconds of processor that ended children and this process took."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default="bin/weir")
    p.add_argument("--names", required=True)
    p.add_argument("--count", type=int, default=1_000_000)
    args = p.parse_args()
    with (gzip.open if args.names.endswith(".gz") else open)(args.names, "rt") as f:
        names = [n for n in (line.split("\t")[0].strip() for line in f) if "." in n][:args.count]
    text = "".join(n + "\n" for n in names)
    one = {**os.environ, "GOMAXPROCS": "1"}
    weir = lambda *a, stdout=subprocess.PIPE: subprocess.run([args.weir, *a], input=text, text=True, check=True, stdout=stdout, env=one)  # noqa: E731
    with tempfile.TemporaryDirectory() as d:
        weir("features", "--npy", f"{d}/x.npy", stdout=subprocess.DEVNULL)
        x = np.load(f"{d}/x.npy")
    header = subprocess.run([args.weir, "features"], input="", text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()[0].split("\t")[2:]
    booster = lightgbm.Booster(model_file=str(MODEL / "model.txt"))
    x = np.ascontiguousarray(x[:, [header.index(n) for n in booster.feature_name()]])
    judged = ~np.isnan(x).any(axis=1)

    took = {"weir score -": [], "LightGBM predict": []}
    for _ in range(2):
        cpu, wall = used(), time.monotonic()
        out = weir("score", "--no-features", "-").stdout
        took["weir score -"].append((used() - cpu, time.monotonic() - wall))
        cpu, wall = used(), time.monotonic()
        want = booster.predict(x[judged], num_threads=1)
        took["LightGBM predict"].append((used() - cpu, time.monotonic() - wall))

    got = [json.loads(line) for line in out.splitlines()]
    if [g["name"] for g in got] != names:
        sys.exit("weir did not answer each name")
    both = np.array([g["scored"] for g in got]) & judged
    apart = np.abs(np.array([g["score"] if g["scored"] else np.nan for g in got])[both] - want[both[judged]])
    print(f"{len(names)} names, {both.sum()} with a score, {booster.num_trees()} trees; LightGBM {lightgbm.__version__}")
    for who, runs in took.items():
        cpu, wall = min(runs)
        print(f"| {who} | {len(names) / cpu:,.0f} names/s of a processor | {len(names) / wall:,.0f} names/s by the clock |")
    # The matrix is float32, the features that weir scores are float64: a few names fall
    # weir keeps scores as float32.
    print(f"scores are equal to 1e-7 for {np.mean(apart < 1e-7):.4%}, the largest difference is {apart.max():.2g}")
    if np.mean(apart < 1e-7) < 0.99:
        sys.exit("scores differ")


if __name__ == "__main__":
    main()
