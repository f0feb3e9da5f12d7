"""Writes the bundle: trees, tables, calibration, self-test, manifest."""

import hashlib
import json
import pathlib

import lightgbm as lgb
import numpy as np
import sklearn.isotonic

import evaluate
import labelled

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEVELS = {"low": 0.01, "medium": 0.001, "high": 0.0001}
# The share of generated names that the calibration assumes: far below that of
# the training, though still above that of most networks.
PRIOR = 0.01
MAX_POINTS = 64

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
TABLES = ["alexa.grams", "algorithmic.lm", "popular.lm", "suffixes.tsv", "words.grams"]


def thresholds(benign):
    return {level: evaluate.threshold(benign, fpr) for level, fpr in LEVELS.items()}


def calibrate(benign, dga):
    """Points of a monotone line from score to probability, at share PRIOR of
    generated names: isotonic regression, thinned."""
    w = np.r_[np.full(len(benign), (1 - PRIOR) / len(benign)), np.full(len(dga), PRIOR / len(dga))]
    y = np.r_[np.zeros(len(benign)), np.ones(len(dga))]
    fit = sklearn.isotonic.IsotonicRegression(y_min=0, y_max=1).fit(np.r_[benign, dga], y, sample_weight=w)
    x, y = fit.X_thresholds_, fit.y_thresholds_
    # Points where the probability has moved most, by its logit.
    z = np.log((y + 1e-4) / (1 - y + 1e-4))
    at = np.unique(np.searchsorted(z, np.linspace(z[0], z[-1], MAX_POINTS - 2)))
    at = np.unique(np.r_[0, at[at < len(x)], len(x) - 1])
    x, y = x[at], y[at]
    keep = np.r_[True, np.diff(x) > 0]
    return dict(x=[float(v) for v in x[keep]], y=[float(min(max(v, 0), 1)) for v in y[keep]])


def probability(calibration, scores):
    return np.interp(scores, calibration["x"], calibration["y"])


def reliability(calibration, benign, dga, bins=12):
    """(predicted, observed, names) in bins of the predicted probability, on other
    names than the calibration's, at the same share of generated names."""
    p = np.r_[probability(calibration, benign), probability(calibration, dga)]
    y = np.r_[np.zeros(len(benign)), np.ones(len(dga))]
    w = np.r_[np.full(len(benign), (1 - PRIOR) / len(benign)), np.full(len(dga), PRIOR / len(dga))]
    edges = np.concatenate([[0], np.geomspace(1e-4, 1, bins)])
    out = []
    for lo, hi in zip(edges[:-1], edges[1:]):
        m = (p > lo) & (p <= hi) if lo else p <= hi
        if m.sum() >= 50:
            out.append((float(np.average(p[m], weights=w[m])), float(np.average(y[m], weights=w[m])), int(m.sum())))
    return out


def write(c, model, features, cuts, calibration, training):
    out = c.out
    (out / "model.txt").write_text(full(model.booster, c.names, features))
    (out / "calibration.json").write_text(json.dumps(calibration) + "\n")
    names = [label + ".example" for label in SELF_TEST]
    x, registered = c.weir.features(names, out, c.scratch)
    if registered != names or not np.isfinite(x).all():
        raise SystemExit("a name of the self-test has no vector")
    lines = ["\t".join(["name", "score"] + c.names)]
    for name, row, score in zip(names, x, model.score(x[:, c.columns(features)])):
        lines.append("\t".join([name, repr(float(score))] + [f"{b:08x}" for b in row.view(np.uint32)]))
    (out / "selftest.tsv").write_text("\n".join(lines) + "\n")
    files = sorted([*TABLES, "calibration.json", "model.txt", "selftest.tsv"])
    labelled.dump(out / "manifest.json", dict(
        magic="weir-model", format=1, name="weir-dga" if not c.args.smoke else "smoke", version=c.args.date,
        created=c.args.date + "T00:00:00Z", feature_set=feature_set(),
        files={f: hashlib.sha256((out / f).read_bytes()).hexdigest() for f in files},
        thresholds={level: dict(score=t, fpr=LEVELS[level]) for level, t in cuts.items()},
        training=dict(lightgbm=lgb.__version__, **training)))


def full(booster, names, features):
    """The model's text over all features: those that the trees were not shown
    are named in it and split by nothing."""
    at = [names.index(f) for f in features]
    lines = []
    for line in booster.model_to_string().split("\n"):
        key, eq, value = line.partition("=")
        if key == "max_feature_idx":
            line = f"{key}={len(names) - 1}"
        elif key == "feature_names":
            line = f"{key}=" + " ".join(names)
        elif key == "feature_infos":
            infos = ["none"] * len(names)
            for i, info in zip(at, value.split(" ")):
                infos[i] = info
            line = f"{key}=" + " ".join(infos)
        elif key == "split_feature" and value:
            line = f"{key}=" + " ".join(str(at[int(v)]) for v in value.split(" "))
        lines.append(line)
        if line == "end of trees":
            break
    return "\n".join(lines) + "\n"


def feature_set():
    """feature.Version, from the one place where it is written."""
    for line in (ROOT / "detect" / "feature" / "feature.go").read_text().splitlines():
        if line.startswith("const Version = "):
            return line.split('"')[1]
    raise SystemExit("detect/feature/feature.go has no Version")
