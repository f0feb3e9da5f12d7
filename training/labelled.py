"""The labelled names: reading, leaving out, splitting into parts.

Every name is judged by its registered label, so everything that must not be on
two sides of a split is kept together by that label.
"""

import gzip
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

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
FOLDS = 4


class Weir:
    """The program that computes the features."""

    def __init__(self, path):
        self.path = str(path)

    def fit_tables(self, alexa, words, popular, algorithmic, out, scratch):
        """Tables in out: n-grams of alexa and words, languages of popular and
        algorithmic names."""
        files = {}
        for option, names in (("--popular", popular), ("--algorithmic", algorithmic)):
            files[option] = pathlib.Path(scratch) / f"names{option}"
            files[option].write_text("".join(n + "\n" for n in names))
        subprocess.run([self.path, "features", "--fit-tables", str(out), "--words", str(words),
                        *[str(a) for pair in files.items() for a in pair]],
                       input="".join(n + "\n" for n in alexa), text=True, check=True)

    def fit_algorithmic(self, corpus, names, out):
        """Fits the language of algorithms in out anew; the other tables stay."""
        with tempfile.TemporaryDirectory() as other:
            few = corpus.part("table")[:2000]  # for the tables that are not kept
            self.fit_tables(few.fqdn, corpus.args.words, few.fqdn, names.fqdn, other, corpus.scratch)
            shutil.copy(pathlib.Path(other) / "algorithmic.lm", out)

    def registered(self, names):
        """The registered domain of each name, empty where there is none."""
        table = subprocess.run([self.path, "features", "--only-names"], input="".join(n + "\n" for n in names),
                               text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()[1:]
        if len(table) != len(names):
            raise SystemExit(f"{len(names)} names gave {len(table)} rows")
        return [line.split("\t")[1] for line in table]

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


# Shares of the benign labels, in percent, that each part ends at.
BENIGN_PARTS = (("language", 30), ("trees", 56), ("select", 64), ("threshold", 82), ("test", 100))
DGA_PARTS = (("language", 25), ("trees", 70), ("test", 100))


def parts(d):
    """What a row is for, by hash of its label. table fits the n-gram table of the
    seeds' features, language the language models (table does too), trees the
    trees, select chooses parameters, threshold sets levels and calibration.
    Benign labels of one part are in no other."""
    fitted = set(d.label_text[(d.label == "legit") & d.source.str.split("+").map(lambda s: TABLE_SOURCE in s)])
    out = []
    for label, kind in zip(d.label_text, d.label):
        at = bucket(label, "part", 100)
        if kind == "legit" and label in fitted:
            out.append("table")
        else:
            out.append(next(part for part, end in (BENIGN_PARTS if kind == "legit" else DGA_PARTS) if at < end))
    return out


def confirmed(d):
    """Rows that two lists have, one of them recent; all rows if no row has two."""
    two = (d.source.str.count(r"\+") > 0) & d.source.str.contains("2023|2026")
    return two if two.any() else ~two


def recent(d):
    """Rows that only lists of 2026 have."""
    return d.source.str.split("+").map(lambda s: all(tag.endswith("2026") for tag in s))


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
