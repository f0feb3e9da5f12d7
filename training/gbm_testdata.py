"""Writes detect/gbm/testdata: small models that LightGBM itself made, and what
LightGBM itself answers, so that the tests of detect/gbm compare with the
original and not with themselves.

    python3 training/gbm_testdata.py detect/gbm/testdata
"""

import pathlib
import sys

import lightgbm as lgb
import numpy as np

FEATURES = ["length", "entropy", "vowels", "digits"]


def main(out):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 4)).astype(np.float32)
    x[:, 0] = rng.integers(1, 64, size=4000)  # values that meet thresholds exactly
    x[:, 3] = rng.integers(0, 5, size=4000) / 4
    y = (x[:, 0] / 64 + x[:, 1] * x[:, 2] + x[:, 3] ** 2 + rng.normal(size=4000) > 0.7).astype(int)
    base = dict(objective="binary", num_leaves=8, learning_rate=0.2, verbosity=-1, seed=1, deterministic=True, num_threads=1)

    def train(trees=12, data=None, categorical="auto", **extra):
        data = x if data is None else data
        d = lgb.Dataset(data, y, feature_name=FEATURES, categorical_feature=categorical, free_raw_data=False)
        return lgb.train(base | extra, d, trees)

    good = train()
    good.save_model(out / "binary.txt")
    probe = np.vstack([x[:200], np.zeros((1, 4)), np.full((1, 4), 1e30), np.full((1, 4), -1e30)]).astype(np.float32).astype(float)
    with open(out / "binary.tsv", "w") as f:
        f.write("\t".join(FEATURES) + "\tscore\n")
        for row, score in zip(probe, good.predict(probe)):
            f.write("\t".join(float(v).hex() for v in row) + "\t" + float(score).hex() + "\n")

    integers = x.copy()
    integers[:, 3] *= 4
    train(2, integers, ["digits"], min_data_per_group=1).save_model(out / "categorical.txt")
    train(2, linear_tree=True).save_model(out / "linear.txt")
    train(2, boosting="rf", bagging_freq=1, bagging_fraction=0.5).save_model(out / "forest.txt")
    train(2, sigmoid=2.0).save_model(out / "sigmoid2.txt")
    train(2, zero_as_missing=True).save_model(out / "zero_as_missing.txt")
    train(2, objective="regression").save_model(out / "regression.txt")


main(pathlib.Path(sys.argv[1]))
