#!/usr/bin/env python3
"""Trains the DGA model and writes its bundle and card.

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
import time

import lightgbm as lgb
import numpy as np
import pandas as pd

import card
import evaluate
import labelled
import smoke

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 20261122
LINEAGE_CAP = 2000      # rows of one lineage that the trees see
TEST_CAP = 2000         # rows of one family that are scored
BENIGN_TREES = 200_000  # benign rows that the trees see
LEVELS = {"low": 0.01, "medium": 0.001, "high": 0.0001}

# Sizes tried, smallest first: trees, leaves, learning rate.
GRID = [(100, 15, 0.15), (150, 31, 0.1), (300, 31, 0.1)]
# A larger model is taken only for this much more macro TPR at FPR 0.1 % on
# lineages it has not seen: every tree is paid for in every new name.
WORTH = 0.01

DEVO = ["length", "entropy", "vowel_proportion"]
DATABRICKS = ["length", "entropy", "alexa_grams", "word_grams"]

# Labels of the self-test, all below .example: what every build of the program
# has to compute as this training did.
SELF_TEST = """google googlee asdklgb facebook wikipedia amazon microsoft cloudflare debian kernel stackoverflow
a 1 - ab x9 t 163 4399 888 9gag coca-cola rolls-royce t-mobile a-b-c-d a_b 007 xkcd rhythms strengths
kq3v9xw1lmzt qgzrvxwkpt jxkzqvwpfhgtb ojqdwpxmvhtlrcz vbnxqzkjhgtrwpsdfm 0f9c4b7e2d81a6c35e90b7d4f2a18c63
deadbeefcafe00d1 6d1f0b22a9 xq81zk20pvt4m0w9l7r5 8271649305 bakoretimu lodanevisoru tikatuko remolavidenu
rivergardentable marketdoctorpeople silver-window summer2019 internationalassociationofnetworks
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
abababababababababababababababababababababababababababababababa
012345678901234567890123456789012345678901234567890123456789012
weather24 bet365live casino777 shop-online newsdaily univ-lyon bjhxjd zhongguowang szdnet mynetworkprinter""".split()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, help="directory with train/domains.tsv.gz and the rest")
    p.add_argument("--out", type=pathlib.Path, help="directory for the bundle")
    p.add_argument("--card", type=pathlib.Path, help="file for the model card (default docs/model-card.md, none with --smoke)")
    p.add_argument("--weir", type=pathlib.Path, help="the weir program (default: built from this tree)")
    p.add_argument("--words", type=pathlib.Path, default="/usr/share/dict/words", help="English word list")
    p.add_argument("--date", default=datetime.date.today().isoformat(), help="date of the model (default today)")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--smoke", action="store_true", help="a quick run on names of its own making; no data needed")
    args = p.parse_args()
    if not args.smoke and not (args.data and args.out):
        p.error("--data and --out are needed, or --smoke")
    if args.smoke:
        args.threads = 1  # LightGBM's threads wait for each other by spinning: slow on a busy machine
    with tempfile.TemporaryDirectory() as scratch:
        Training(args, pathlib.Path(scratch)).run()


class Training:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        self.out = args.out or scratch / "bundle"
        self.out.mkdir(parents=True, exist_ok=True)
        self.started = time.time()

    def log(self, *what):
        print(f"{time.time() - self.started:6.0f} s ", *what, flush=True)

    def run(self):
        self.weir = labelled.Weir(self.args.weir or self.build())
        self.load()
        self.log(self.d.groupby(["label", "part"]).size().to_dict(), "left out:", self.left_out)
        size = self.choose_size()
        m = dict(size=dict(trees=size[0], leaves=size[1], rate=size[2]), grid=self.grid)
        self.log("leave lineages out")
        m["unseen"] = self.unseen(size)
        self.log("final model and random split")
        m["seen"] = self.seen(size)
        m["thresholds"] = self.thresholds()
        m["carried"] = self.carried()
        m["examples"] = self.examples()
        self.write(m)
        self.check()
        if card_at := self.args.card or (None if self.args.smoke else ROOT / "docs" / "model-card.md"):
            card_at.write_text(card.render(self, m))
        self.log("done:", self.out)

    def build(self):
        path = self.scratch / "weir"
        subprocess.run(["go", "build", "-o", path, "./cmd/weir"], cwd=ROOT, check=True)
        return path

    def load(self):
        if self.args.smoke:
            domains, self.families, words = smoke.names()
            self.args.words = self.scratch / "words"
            self.args.words.write_text("\n".join(words) + "\n")
        else:
            train = self.args.data / "train"
            domains = labelled.read(train / "domains.tsv.gz")
            self.families = labelled.read(train / "families.tsv")
        fit = domains[(domains.label == "legit") & domains.source.str.split("+").map(lambda s: labelled.TABLE_SOURCE in s)]
        self.weir.fit_tables(fit.fqdn, self.args.words, self.out)
        self.names = self.weir.feature_names(self.out)
        x, domains["registered"] = self.weir.features(domains.fqdn, self.out, self.scratch)
        domains["label_text"] = domains.registered.str.split(".").str[0]
        domains["row"] = np.arange(len(domains))
        self.d, self.left_out = labelled.prepare(domains)
        self.x = x[self.d.row]
        if not np.isfinite(self.x).all():
            raise SystemExit("a name that is used has no vector")
        d = self.d
        self.dga_train = labelled.cap(d[(d.label == "dga") & (d.part == "trees")], "lineage", LINEAGE_CAP, SEED)
        self.dga_test = labelled.cap(d[(d.label == "dga") & (d.part == "test")], "family", TEST_CAP, SEED)
        self.dga_all = labelled.cap(d[d.label == "dga"], "family", TEST_CAP, SEED)
        trees = d[(d.label == "legit") & (d.part == "trees")]
        self.benign_train = trees.sample(min(BENIGN_TREES, len(trees)), random_state=SEED).sort_index()
        self.folds = labelled.folds(self.families[self.families.family.isin(set(self.dga_all.family))])

    # Models.

    def fit(self, rows, size, features):
        trees, leaves, rate = size
        params = dict(objective="binary", num_leaves=leaves, learning_rate=rate, min_data_in_leaf=50,
                      feature_fraction=0.8, bagging_fraction=0.8, bagging_freq=1, lambda_l2=1.0,
                      seed=SEED, deterministic=True, force_row_wise=True, num_threads=self.args.threads, verbosity=-1)
        data = lgb.Dataset(self.x[rows.index][:, self.columns(features)], (rows.label == "dga").to_numpy().astype(int),
                           weight=labelled.weights(rows), feature_name=features)
        return lgb.train(params, data, trees)

    def columns(self, features):
        return [self.names.index(f) for f in features]

    def predict(self, model, rows, features):
        return model.predict(self.x[rows.index][:, self.columns(features)].astype(np.float64), num_threads=self.args.threads)

    def benign(self, part):
        return self.d[(self.d.label == "legit") & (self.d.part == part)]

    def leave_out(self, size, features, benign):
        """Scores of every family by a model that saw nothing of its lineage."""
        scores = evaluate.Scores()
        for fold in range(labelled.FOLDS):
            out = {l for l, f in self.folds.items() if f == fold}
            test = self.dga_all[self.dga_all.lineage.isin(out)]
            if len(test) == 0:
                continue
            train = pd.concat([self.benign_train, self.dga_train[~self.dga_train.lineage.isin(out)]])
            model = self.fit(train, size, features)
            b = self.predict(model, benign, features)
            for family, rows in test.groupby("family", sort=True):
                scores.add(fold, b, family, self.predict(model, rows, features))
        return scores

    def choose_size(self):
        """The smallest of GRID that no larger one beats by WORTH, by lineages
        left out and benign names that are used for nothing else."""
        grid = GRID[:2] if self.args.smoke else GRID
        self.grid = []
        for size in grid:
            s = self.leave_out(size, self.names, self.benign("select")).summary()
            self.grid.append(dict(trees=size[0], leaves=size[1], rate=size[2], **s["macro"]))
            self.log("size", size, s["macro"])
        tpr = [g["tpr"][1] or 0 for g in self.grid]
        best = 0
        for i in range(1, len(grid)):
            if tpr[i] >= tpr[best] + WORTH:
                best = i
        return grid[best]

    def sets(self):
        return {"weir": self.names, "databricks4": DATABRICKS, "devo3": DEVO}

    def unseen(self, size):
        benign = self.benign("test")
        lineage_of = dict(zip(self.dga_all.family, self.dga_all.lineage))
        out, replicates = {}, {}
        for name, features in self.sets().items():
            scores = self.leave_out(size, features, benign)
            replicates[name] = scores.bootstrap(lineage_of, 20 if self.args.smoke else 200)
            out[name] = scores.summary() | dict(families_table=scores.table(), interval=evaluate.interval(replicates[name]))
            self.log(name, "unseen", out[name]["macro"], out[name]["interval"])
        for name in ("databricks4", "devo3"):
            out[name]["gain"] = evaluate.interval(replicates["weir"] - replicates[name])
        return out

    def seen(self, size):
        """The models on all lineages; the one with all features is the one that
        ships. Test names are others of the same lineages."""
        train, benign = pd.concat([self.benign_train, self.dga_train]), self.benign("test")
        out = {}
        for name, features in self.sets().items():
            model = self.fit(train, size, features)
            scores = evaluate.Scores()
            b = self.predict(model, benign, features)
            for family, rows in self.dga_test.groupby("family", sort=True):
                scores.add(0, b, family, self.predict(model, rows, features))
            out[name] = scores.summary() | dict(families_table=scores.table())
            self.log(name, "seen", out[name]["macro"])
            if name == "weir":
                self.model, self.test_scores = model, b
                gain = model.feature_importance("gain")
                self.importance = sorted(zip(self.names, gain / gain.sum()), key=lambda kv: -kv[1])
        return out

    # What the shipped model does elsewhere.

    def thresholds(self):
        s = self.predict(self.model, self.benign("threshold"), self.names)
        self.cuts = {level: evaluate.threshold(s, fpr) for level, fpr in LEVELS.items()}
        return dict(names=len(s), **self.cuts)

    def rates(self, scores):
        return dict(names=len(scores), rates=[float((scores >= t).mean()) if len(scores) else None for t in self.cuts.values()])

    def carried(self):
        """Shares of other sets of names that reach the thresholds."""
        out = {"all test names": self.rates(self.test_scores)}
        test = self.benign("test")
        sources = test.source.str.split("+").map(set)
        groups = {
            "in two lists or more": sources.map(len) >= 2,
            "only in Cisco Umbrella 2026": sources.map(lambda s: s == {"umbrella2026"}),
            "in Cloudflare Radar 2026 or Tranco 2026": sources.map(lambda s: bool(s & {"cloudflare2026", "tranco2026"})),
            "only in Cloudflare 2023 (top million)": sources.map(lambda s: s == {"cloudflare2023"}),
            "only in the China list 2026": sources.map(lambda s: s == {"chinalist2026"}),
            ".gov and universities": sources.map(lambda s: s <= {"dotgov2026", "universities2026"}),
            "labels of 1 to 7 bytes": test.label_text.str.len() <= 7,
            "labels of 8 to 12 bytes": test.label_text.str.len().between(8, 12),
            "labels of 13 to 20 bytes": test.label_text.str.len().between(13, 20),
            "labels of 21 bytes and more": test.label_text.str.len() >= 21,
        }
        for name, mask in groups.items():
            out[name] = self.rates(self.test_scores[mask.to_numpy()])
        table = self.benign("table")
        out["Alexa 2013, which fitted the n-gram table"] = self.rates(self.predict(self.model, table, self.names))
        if not self.args.smoke:
            self.other_files(out)
        return out

    def other_files(self, out):
        used = set(self.d.label_text[(self.d.part != "test") & (self.d.label == "legit")])
        train = self.args.data / "train"

        def score(d, column):
            x, registered = self.weir.features(d[column], self.out, self.scratch)
            d = d.assign(registered=registered)
            ok = np.isfinite(x).all(axis=1)
            d = d[ok].assign(score=self.model.predict(x[ok].astype(np.float64), num_threads=self.args.threads))
            return d.assign(new=~d.registered.str.split(".").str[0].isin(used))

        hosts = score(labelled.read(train / "hosts_legit.tsv.gz"), "fqdn")
        out["benign hosts, by host"] = self.rates(hosts.score.to_numpy())
        for kind, rows in hosts.groupby("kind"):
            out[f"benign hosts, {kind}"] = self.rates(rows.score.to_numpy())
        once = hosts.drop_duplicates("registered")
        out["benign hosts, by registered domain"] = self.rates(once.score.to_numpy())
        out["benign hosts, registered domains not used in training"] = self.rates(once.score[once.new].to_numpy())
        suspect = score(labelled.read(train / "suspect_legit.tsv.gz"), "fqdn")
        out["suspect benign names (likely wrong labels)"] = self.rates(suspect.score.to_numpy())
        new = score(labelled.read(train / "nrd_unlabelled_2026-08.tsv.gz"), "fqdn")
        out["newly registered 2026-08, no labels"] = self.rates(new.score.to_numpy())
        adversarial = labelled.read(train / "adversarial.tsv.gz")
        bare = ~adversarial.name.str.contains(".", regex=False)  # some came without a suffix
        adversarial.loc[bare, "name"] += ".com"
        for kind, rows in score(adversarial, "name").groupby("kind"):
            out[f"adversarial, {kind}"] = self.rates(rows.score.to_numpy())

    def examples(self):
        names = ["ns1.asdklgb.cf", "www.googlee.com", "google.com", "wikipedia.org", "xjpakmdcfuqe.com", "rivergardentable.net"]
        x, _ = self.weir.features(names, self.out, self.scratch)
        out = []
        for name, score in zip(names, self.model.predict(x.astype(np.float64))):
            level = [l for l, t in self.cuts.items() if score >= t]
            out.append(dict(name=name, score=float(score), level=level[-1] if level else "none"))
        return out

    # The bundle.

    def write(self, m):
        (self.out / "model.txt").write_text(self.model.model_to_string())
        names = [label + ".example" for label in SELF_TEST]
        x, registered = self.weir.features(names, self.out, self.scratch)
        if registered != names or not np.isfinite(x).all():
            raise SystemExit("a name of the self-test has no vector")
        lines = ["\t".join(["name", "score"] + self.names)]
        for name, row, score in zip(names, x, self.model.predict(x.astype(np.float64))):
            lines.append("\t".join([name, repr(float(score))] + [f"{b:08x}" for b in row.view(np.uint32)]))
        (self.out / "selftest.tsv").write_text("\n".join(lines) + "\n")
        files = ["alexa.grams", "model.txt", "selftest.tsv", "words.grams"]
        d = self.d
        used = pd.concat([self.benign_train, self.dga_train])
        labelled.dump(self.out / "manifest.json", dict(
            magic="weir-model", format=1, name="weir-dga" if not self.args.smoke else "smoke", version=self.args.date,
            created=self.args.date + "T00:00:00Z", feature_set=feature_set(),
            files={f: hashlib.sha256((self.out / f).read_bytes()).hexdigest() for f in files},
            thresholds={level: dict(score=t, fpr=LEVELS[level]) for level, t in self.cuts.items()},
            training=dict(
                lightgbm=lgb.__version__, seed=SEED, size=m["size"], labelled_sha256=self.data_sum(),
                benign=len(self.benign_train), dga=len(self.dga_train),
                families=int(self.dga_train.family.nunique()), lineages=int(self.dga_train.lineage.nunique()),
                table_names=int((d.part == "table").sum()), threshold_names=m["thresholds"]["names"],
                sources=sorted({s for group in used.source.unique() for s in group.split("+")} - {labelled.EXCLUDED_SOURCE}),
                unseen_macro_tpr=dict(zip(LEVELS, m["unseen"]["weir"]["macro"]["tpr"])),
                card="docs/model-card.md")))

    def data_sum(self):
        if self.args.smoke:
            return None
        return hashlib.sha256((self.args.data / "train" / "domains.tsv.gz").read_bytes()).hexdigest()

    def check(self):
        """The program's own checks of the bundle, self-test included."""
        subprocess.run(["go", "test", "-count=1", "-run", "TestBundleOfEnvironment", "./detect"], cwd=ROOT, check=True,
                       env=os.environ | {"WEIR_MODEL_DIR": str(self.out.resolve())})


def feature_set():
    """feature.Version, from the one place where it is written."""
    for line in (ROOT / "detect" / "feature" / "feature.go").read_text().splitlines():
        if line.startswith("const Version = "):
            return line.split('"')[1]
    raise SystemExit("detect/feature/feature.go has no Version")


if __name__ == "__main__":
    main()
