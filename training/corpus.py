"""The names with their vectors, and what of them is used for what."""

import shutil

import numpy as np
import pandas as pd

import labelled
import smoke
import synthetic

SEED = 20261122
LANGUAGE_CAP = 2000     # names of a lineage that fit the language of algorithms
LINEAGE_CAP = 1500      # rows of one lineage that the trees see
FAMILY_CAP = 500        # rows of one family that are scored
BENIGN_TREES = 80_000   # benign rows that the trees see
# Benign rows of the other parts: what the rates need, and no more.
BENIGN = {"select": 40_000, "threshold": 100_000, "test": 100_000, "table": 20_000}
SYNTHETIC = 1000        # labels of each generator
# What the language of algorithms has a say in: in a fold it is fitted anew
# without the lineages that are left out.
CONTRAST = ["lm_contrast", "lm_contrast_sum"]


class Corpus:
    def __init__(self, args, weir, out, scratch):
        self.args, self.weir, self.out, self.scratch = args, weir, out, scratch
        if args.smoke:
            domains, families, words = smoke.names()
            args.words = scratch / "words"
            args.words.write_text("\n".join(words) + "\n")
        else:
            domains = labelled.read(args.data / "train" / "domains.tsv.gz")
            listed = args.data / "train" / "families.tsv"
            families = labelled.read(listed) if listed.exists() else pd.DataFrame(
                {"family": sorted(set(domains.family) - {""}), "scheme": "not said"})
        self.scheme = dict(zip(families.family, families.scheme))
        # A name is split by the program; this needs no tables and they need it.
        domains["registered"] = weir.registered(domains.fqdn)
        domains["label_text"] = domains.registered.str.split(".").str[0]
        self.d, self.left_out = labelled.prepare(domains)
        d, dga = self.d, self.d.label == "dga"
        self.lineage_of = dict(zip(d.family[dga], d.lineage[dga]))
        self.dga_language = labelled.cap(d[dga & (d.part == "language")], "lineage", LANGUAGE_CAP, SEED)
        self.dga_train = labelled.cap(d[dga & (d.part == "trees")], "lineage", LINEAGE_CAP, SEED)
        self.dga_test = labelled.cap(d[dga & (d.part == "test")], "family", FAMILY_CAP, SEED)
        self.dga_all = labelled.cap(d[dga & (d.part != "language")], "family", FAMILY_CAP, SEED)
        self.benign_train = self.some(self.part("trees"), BENIGN_TREES)
        self.used = {part: self.some(self.part(part), n) for part, n in BENIGN.items()}
        self.folds = labelled.folds(families[families.family.isin(set(self.lineage_of))])
        self.per_generator = SYNTHETIC if not args.smoke else 50
        self.synthetic = [label + ".com" for label in synthetic.labels(self.per_generator, SEED)]

    @staticmethod
    def some(rows, n):
        return rows.sample(min(n, len(rows)), random_state=SEED).sort_index()

    def part(self, part):
        """All benign rows of a part."""
        return self.d[(self.d.label == "legit") & (self.d.part == part)]

    def benign(self, part):
        """Those of them that are scored."""
        return self.used[part]

    def fit_tables(self, out, dga, popular=None):
        if popular is None:
            popular = pd.concat([self.part("table"), self.part("language")])
        self.weir.fit_tables(self.part("table").fqdn, self.args.words, popular.fqdn, dga.fqdn, out, self.scratch)

    def vectors(self):
        """The matrix of the rows that are used, and below it the synthetic ones;
        and for each fold what the language of algorithms says that it may know."""
        self.fit_tables(self.out, self.dga_language)
        self.names = self.weir.feature_names(self.out)
        rows = self.rows([*self.used.values(), self.benign_train, self.dga_train, self.dga_test, self.dga_all])
        x, _ = self.weir.features([*self.d.fqdn[rows], *self.synthetic], self.out, self.scratch)
        if not np.isfinite(x).all():
            raise SystemExit("a name that is used has no vector")
        self.x, self.made, self.at = x[: len(rows)], x[len(rows):], pd.Series(np.arange(len(rows)), rows)
        rows = self.rows([self.benign("select"), self.benign("test"), self.benign_train, self.dga_train, self.dga_all])
        names = [*self.d.fqdn[rows], *self.synthetic]
        self.fold_at = pd.Series(np.arange(len(rows)), rows)
        self.contrast = [self.fold_contrast(fold, names) for fold in range(labelled.FOLDS)]

    def fold_contrast(self, fold, names):
        tables = self.scratch / f"fold{fold}"
        shutil.copytree(self.out, tables, dirs_exist_ok=True)
        known = self.dga_language[~self.dga_language.lineage.isin(self.left_in(fold))]
        self.weir.fit_algorithmic(self, known, tables)
        x, _ = self.weir.features(names, tables, self.scratch)
        return x[:, self.columns(CONTRAST)]

    @staticmethod
    def rows(parts):
        return np.unique(np.concatenate([p.index for p in parts]))

    def left_in(self, fold):
        """The lineages that the fold leaves out of training."""
        return {l for l, f in self.folds.items() if f == fold}

    def columns(self, features):
        return [self.names.index(f) for f in features]

    def matrix(self, rows, features, fold=None):
        x = self.x[self.at[rows.index]]
        if fold is not None and set(features) & set(CONTRAST):
            x[:, self.columns(CONTRAST)] = self.contrast[fold][self.fold_at[rows.index]]
        return x[:, self.columns(features)]

    def synthetic_matrix(self, features, fold=None):
        x = self.made.copy()
        if fold is not None:
            x[:, self.columns(CONTRAST)] = self.contrast[fold][-len(x):]
        return x[:, self.columns(features)]
