"""The labelled names: reading, leaving out, splitting into parts.

Every name is judged by its registered label, so everything that must not be on
two sides of a split is kept together by that label.
"""

import gzip
import hashlib
import json
import pathlib
import subprocess

import numpy as np
import pandas as pd

# Families whose generators are known to share code or word lists. What stands
# in one group is never on both sides of a leave-out fold.
LINEAGES = {
    "gameover_p2p": "zeus", "newgoz": "zeus", "murofet": "zeus", "murofet_v3": "zeus",
    "dircrypt": "ramnit", "ramnit": "ramnit",
    "fobber": "tinba", "tinba": "tinba",
    "gozi": "gozi", "rovnix_dict": "gozi",
    "ccleaner": "shadowpad", "xshellghost": "shadowpad",
}

# A row that only this source has is left out: its names come from DGArchive,
# whose terms are believed to exclude commercial use.
EXCLUDED_SOURCE = "ayub2021"
# Popular names of this source fit the table of popular n-grams.
TABLE_SOURCE = "alexa2013"
FOLDS = 8


class Weir:
    """The program that computes the features."""

    def __init__(self, path):
        self.path = str(path)

    def fit_tables(self, names, words, out):
        subprocess.run([self.path, "features", "--fit-tables", str(out), "--words", str(words)],
                       input="".join(n + "\n" for n in names), text=True, check=True)

    def features(self, names, tables, scratch):
        """The vectors of names (NaN: none) and their registered domains."""
        npy = pathlib.Path(scratch) / "features.npy"
        table = subprocess.run([self.path, "features", "--tables", str(tables), "--npy", str(npy)],
                               input="".join(n + "\n" for n in names), text=True, check=True,
                               stdout=subprocess.PIPE).stdout.splitlines()[1:]
        x = np.load(npy)
        npy.unlink()
        if len(table) != len(names) or len(x) != len(names):
            raise SystemExit(f"{len(names)} names gave {len(table)} rows and {len(x)} vectors")
        return x, [line.split("\t")[1] for line in table]

    def feature_names(self, tables):
        head = subprocess.run([self.path, "features", "--tables", str(tables)], input="", text=True,
                              check=True, stdout=subprocess.PIPE).stdout.splitlines()[0]
        return head.split("\t")[2:]


def read(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt") as f:
        return pd.read_csv(f, sep="\t", dtype=str, keep_default_na=False, quoting=3)


def bucket(label, salt, n):
    """A number below n that depends on the label alone."""
    return int.from_bytes(hashlib.blake2b(f"{salt}:{label}".encode(), digest_size=8).digest(), "big") % n


def prepare(domains):
    """Leave out what may not or cannot be used; say how much of what that was."""
    left_out = {}

    def drop(mask, why):
        nonlocal domains
        left_out[why] = {k: int(v) for k, v in domains[mask].label.value_counts().items()}
        domains = domains[~mask]

    drop(domains.source == EXCLUDED_SOURCE, f"only source is {EXCLUDED_SOURCE}")
    drop(domains.registered != domains.fqdn, "not itself a registered domain by the public suffix list in use")
    drop(domains.registered.str.startswith("xn--"), "punycode")
    domains = domains.copy()
    domains["part"] = parts(domains)
    domains["lineage"] = [LINEAGES.get(f, f) for f in domains.family]
    return domains.reset_index(drop=True), left_out


def parts(d):
    """table: fits the n-gram table, and no label of it is used for anything else
    on the benign side. trees, select, threshold, test: by hash of the label.
    select is what the size of the model is chosen on."""
    fitted = set(d.label_text[(d.label == "legit") & d.source.str.split("+").map(lambda s: TABLE_SOURCE in s)])
    out = []
    for label, kind in zip(d.label_text, d.label):
        at = bucket(label, "part", 100)
        if kind == "legit":
            if label in fitted:
                out.append("table")
            else:
                out.append("trees" if at < 40 else "select" if at < 55 else "threshold" if at < 77 else "test")
        else:
            out.append("trees" if at < 70 else "test")
    return out


def cap(d, by, limit, seed):
    """At most limit rows of each group, drawn evenly over the families in it."""
    rng = np.random.default_rng(seed)
    keep = []
    for _, group in d.groupby(by, sort=True):
        left, families = limit, sorted(group.groupby("family", sort=True).indices.items(), key=lambda kv: len(kv[1]))
        for i, (_, at) in enumerate(families):
            n = min(len(at), left // (len(families) - i))
            keep.append(group.index.to_numpy()[rng.permutation(at)[:n]])
            left -= n
    return d.loc[np.sort(np.concatenate(keep))]


def weights(d):
    """1/sqrt(n) for a lineage of n rows, the benign rows 1 each, DGA rows 1 on
    average: a lineage with many names does not drown the others."""
    w = np.ones(len(d))
    dga = (d.label == "dga").to_numpy()
    n = d[dga].lineage.map(d[dga].lineage.value_counts()).to_numpy()
    w[dga] = 1 / np.sqrt(n)
    w[dga] *= dga.sum() / w[dga].sum()
    return w


def folds(families):
    """Lineages to folds: ordered by the form of their names and dealt out, so
    that every fold holds out some of each form. families has columns family and
    scheme."""
    scheme = {}
    for family, s in zip(families.family, families.scheme):
        scheme.setdefault(LINEAGES.get(family, family), s)
    order = sorted(scheme, key=lambda l: (scheme[l], l))
    return {lineage: i % FOLDS for i, lineage in enumerate(order)}


def dump(path, value):
    pathlib.Path(path).write_text(json.dumps(value, indent=1) + "\n")
