#!/usr/bin/env python3
"""Trains the DGA model and writes its bundle, card and plots.

    python3 training/train.py --data DIR --out detect/model
    python3 training/train.py --smoke

README.md beside this file says what DIR holds and what is measured how.
Features come from `weir features`: there is one implementation of them.
"""

import argparse
import datetime
import hashlib
import os
import pathlib
import subprocess
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes share the work (parallel.py), not threads

import lightgbm as lgb
import numpy as np
from tqdm import tqdm

import baselines
import bundle
import card
import elsewhere
import evaluate
import labelled
import models
import plots
import protocols
import tune
from corpus import SEED, Corpus

ROOT = bundle.ROOT


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, help="directory with train/domains.tsv.gz and the rest")
    p.add_argument("--out", type=pathlib.Path, help="directory for the bundle")
    p.add_argument("--docs", type=pathlib.Path, help="directory for card, plots and trials (default docs, with --smoke a scratch one)")
    p.add_argument("--weir", type=pathlib.Path, help="the weir program (default: built from this tree)")
    p.add_argument("--words", type=pathlib.Path, default="/usr/share/dict/words", help="English word list")
    p.add_argument("--date", default=datetime.date.today().isoformat(), help="date of the model (default today)")
    p.add_argument("--trials", type=int, default=4, help="LightGBM trials of the search")
    p.add_argument("--threads", type=int, default=2, help="processes for the folds")
    p.add_argument("--baselines", action="store_true", help="only train the models of the seeds and print their figures")
    p.add_argument("--smoke", action="store_true", help="a quick run on names of its own making; no data needed")
    args = p.parse_args()
    if not args.smoke and not (args.data and (args.out or args.baselines)):
        p.error("--data and --out are needed, or --smoke")
    if args.smoke:
        args.threads, args.trials = 1, 2
    with tempfile.TemporaryDirectory() as scratch:
        run(args, pathlib.Path(scratch))


def build(scratch):
    path = scratch / "weir"
    subprocess.run(["go", "build", "-o", path, "./cmd/weir"], cwd=ROOT, check=True)
    return path


def run(args, scratch):
    out = args.out if args.out and not args.baselines else scratch / "bundle"
    docs = args.docs or (scratch if args.smoke else ROOT / "docs")
    out.mkdir(parents=True, exist_ok=True)
    sets = 6  # of features: each is a step of three protocols
    bar = tqdm(total=4 + args.trials + 3 + 3 * sets + 2, unit="step", smoothing=0, dynamic_ncols=True)

    def progress(what):
        bar.update()
        tqdm.write(f"{bar.format_dict['elapsed']:6.0f} s  {what}")

    weir = labelled.Weir(args.weir or build(scratch))
    c = Corpus(args, weir, out, scratch)
    progress(f"{len(c.d)} names read; left out: {c.left_out}")
    c.vectors()
    progress(f"{len(c.names)} features")
    if args.baselines:
        baselines.run(c, progress)
        return
    replicates = 20 if args.smoke else 200
    m = dict(seed=SEED)
    search = tune.Search(c, progress)
    m["size"] = size = search.run(args.trials)
    m["trials"] = search.rows
    (docs / "model-trials.tsv").write_text(search.table())

    two = labelled.confirmed(c.benign("test")).to_numpy()
    m["two"] = int(two.sum())
    scores = protocols.unseen(c, size, progress)
    m["unseen"] = protocols.summaries(scores, replicates)
    m["unseen_two"] = protocols.summaries({k: s.against(two) for k, s in scores.items()}, replicates)
    unseen_scores = scores
    scores, fitted = protocols.seen(c, size, progress)
    m["seen"] = protocols.summaries(scores, replicates)
    m["seen_two"] = protocols.summaries({k: s.against(two) for k, s in scores.items()}, replicates)
    seen_scores = scores
    scores, new_two = protocols.forward(c, size, progress)
    m["forward"] = protocols.summaries(scores, replicates)
    m["forward_two"] = protocols.summaries({k: s.against(new_two) for k, s in scores.items()}, replicates)

    benign_test = {k: next(iter(s.benign.values())) for k, s in seen_scores.items()}
    own = {k: [evaluate.threshold(b, f) for f in evaluate.FPRS] for k, b in benign_test.items()}
    m["adversarial"], m["adversarial_names"] = protocols.adversarial(c, fitted, own)
    m["weighted"], m["weighted_names"] = protocols.query_weighted(c, benign_test, own)

    features, model = models.sets(c.names)["weir"][0], fitted["weir"]
    m["features"] = features
    benign = model.score(c.matrix(c.benign("threshold"), features))
    m["threshold_names"] = len(benign)
    m["cuts"] = cuts = bundle.thresholds(benign)
    half = np.array([labelled.bucket(l, "calibration", 2) == 0 for l in c.dga_test.label_text])
    dga = model.score(c.matrix(c.dga_test, features))
    m["calibration"] = calibration = bundle.calibrate(benign, dga[half])
    m["reliability"] = bundle.reliability(calibration, benign_test["weir"], dga[~half])
    m["elsewhere"] = elsewhere.rates(c, model, features, cuts, benign_test["weir"])
    m["examples"] = elsewhere.examples(c, model, features, cuts, calibration)
    gain = model.booster.feature_importance("gain")
    m["importance"] = sorted(zip(features, gain / gain.sum()), key=lambda kv: -kv[1])
    progress("levels and calibration")

    bundle.write(c, model, features, cuts, calibration, dict(
        seed=SEED, size={k: size[k] for k in tune.DEFAULT}, labelled_sha256=data_sum(args),
        benign=len(c.benign_train), dga=len(c.dga_train), synthetic=len(c.synthetic),
        families=int(c.dga_train.family.nunique()), lineages=int(c.dga_train.lineage.nunique()),
        language_names=len(c.part("table")) + len(c.part("language")), threshold_names=m["threshold_names"],
        sources=sources(c), unseen_macro_tpr=dict(zip(("low", "medium"), m["unseen"]["weir"]["tpr"])),
        card="docs/model-card.md"))
    if not args.smoke:
        plots.draw(c, m, unseen_scores, two, docs / "img")
    (docs / "model-card.md").write_text(card.render(c, m))
    check(out)
    progress(f"done: {out}")
    bar.close()


def sources(c):
    used = {s for group in c.benign_train.source.unique() for s in group.split("+")}
    used |= {s for group in c.dga_train.source.unique() for s in group.split("+")}
    return sorted(used - {labelled.EXCLUDED_SOURCE})


def data_sum(args):
    if args.smoke:
        return None
    return hashlib.sha256((args.data / "train" / "domains.tsv.gz").read_bytes()).hexdigest()


def check(out):
    """The program's own checks of the bundle, self-test included."""
    subprocess.run(["go", "test", "-count=1", "-run", "TestBundleOfEnvironment", "./detect"], cwd=ROOT, check=True,
                   env=os.environ | {"WEIR_MODEL_DIR": str(out.resolve())}, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
