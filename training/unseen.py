#!/usr/bin/env python3
"""Writes how rarely a benign name scores as high as each name does, by models
that know nothing of the name's lineage: what a client's account of generated
names is measured with (`make hosts-sim`).

    python3 training/unseen.py --data DIR --out unseen.tsv.gz

Each line: label (legit or dga), family, lineage, tail, name. The tail of a name
is the share of the benign names of the part "select" that score as high, by the
model of the fold that leaves the lineage out; that of a benign name, of the part
"test", is by the model of one fold, in turn. No name of either part was trained
on, whatever the fold.
"""

import argparse
import gzip
import json
import pathlib
import tempfile

import numpy as np

import labelled
import models
import train
from corpus import Corpus


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, required=True, help="directory with train/domains.tsv.gz")
    p.add_argument("--out", type=pathlib.Path, required=True, help="file to write, gzip")
    p.add_argument("--weir", type=pathlib.Path, help="the weir program (default: built from this tree)")
    p.add_argument("--words", type=pathlib.Path, default="/usr/share/dict/words", help="English word list")
    args = p.parse_args()
    args.smoke = False
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        run(args, scratch)


def run(args, scratch):
    bundle = scratch / "bundle"
    bundle.mkdir()
    c = Corpus(args, labelled.Weir(args.weir or train.build(scratch)), bundle, scratch)
    c.vectors()
    size = json.loads((train.ROOT / "detect" / "model" / "manifest.json").read_text())["training"]["size"]
    features, made = models.sets(c.names)["weir"]
    known, benign = c.benign("select"), c.benign("test")
    with gzip.open(args.out, "wt") as out:
        for fold in range(labelled.FOLDS):
            left = c.left_in(fold)
            dga, rest = c.dga_all[c.dga_all.lineage.isin(left)], c.dga_train[~c.dga_train.lineage.isin(left)]
            model = models.fit(c, c.benign_train, rest, features, size, fold, made)
            ordered = np.sort(model.score(c.matrix(known, features, fold)))

            def write(rows, label):
                scores = model.score(c.matrix(rows, features, fold))
                tails = (len(ordered) - np.searchsorted(ordered, scores, "left") + 1) / (len(ordered) + 1)
                for name, family, lineage, tail in zip(rows.registered, rows.family, rows.lineage, tails):
                    print(label, family, lineage, f"{tail:.6g}", name, sep="\t", file=out)

            write(dga, "dga")
            write(benign.iloc[fold::labelled.FOLDS], "legit")


if __name__ == "__main__":
    main()
