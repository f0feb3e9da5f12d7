"""How the models are measured: one function a protocol."""

import random

import numpy as np
import pandas as pd

import evaluate
import labelled
import models
import parallel
import synthetic
from corpus import SEED

BASELINES = ("Databricks 4", "Devo 3", "FANCI-like", "entropy rule")


def by_family(c, model, dga, features, fold, scores, benign):
    for family, rows in dga.groupby("family", sort=True):
        scores.add(fold, benign, family, model.score(c.matrix(rows, features, fold)))


def unseen(c, size, progress):
    """Every family by a model that saw nothing of its lineage."""
    out, benign = {}, c.benign("test")
    for name, (features, made) in models.sets(c.names).items():
        def one(fold):
            out = c.left_in(fold)
            test, train = c.dga_all[c.dga_all.lineage.isin(out)], c.dga_train[~c.dga_train.lineage.isin(out)]
            model = models.fit(c, c.benign_train, train, features, size, fold, made)
            return (model.score(c.matrix(benign, features, fold)),
                    [(f, model.score(c.matrix(rows, features, fold))) for f, rows in test.groupby("family", sort=True)])

        scores = evaluate.Scores(c.lineage_of)
        for fold, (b, families) in enumerate(parallel.each(one, range(labelled.FOLDS), c.args.threads)):
            for family, s in families:
                scores.add(fold, b, family, s)
        out[name] = scores
        progress(f"unseen lineages, {name}")
    return out


def seen(c, size, progress):
    """Models of all lineages, measured on other names of theirs; and the models."""
    out, fitted, benign = {}, {}, c.benign("test")
    for name, (features, made) in models.sets(c.names).items():
        model = models.fit(c, c.benign_train, c.dga_train, features, size, None, made)
        scores = evaluate.Scores(c.lineage_of)
        by_family(c, model, c.dga_test, features, None, scores, model.score(c.matrix(benign, features)))
        out[name], fitted[name] = scores, model
        progress(f"seen families, {name}")
    return out, fitted


def forward(c, size, progress):
    """Tables and benign names of lists up to 2023 alone; measured on names that
    only lists of 2026 have."""
    out = {}
    new = labelled.recent(c.d)
    old_tables = pd.concat([c.part("table"), c.part("language")])
    tables = c.scratch / "old"
    tables.mkdir(exist_ok=True)
    c.fit_tables(tables, c.dga_language, old_tables[~new[old_tables.index]])
    train = c.benign_train[~new[c.benign_train.index]]
    benign = pd.concat([c.benign(part) for part in ("select", "threshold", "test")])
    benign = benign[new[benign.index]]
    rows = pd.concat([train, benign, c.dga_train, c.dga_test])
    x, _ = c.weir.features([*rows.fqdn, *c.synthetic], tables, c.scratch)
    at = {row: i for i, row in enumerate(rows.index)}
    two = labelled.confirmed(benign).to_numpy()

    def matrix(d, features):
        return x[[at[i] for i in d.index]][:, c.columns(features)]

    for name, (features, made) in models.sets(c.names).items():
        if features == models.ENTROPY:
            model = models.Rule()
        else:
            a, b = matrix(train, features), matrix(c.dga_train, features)
            y = np.r_[np.zeros(len(a)), np.ones(len(b))]
            w = np.r_[np.ones(len(a)), labelled.weights(c.dga_train)]
            parts = [a, b]
            if made:
                s = x[len(rows):][:, c.columns(features)]
                parts, y, w = parts + [s], np.r_[y, np.ones(len(s))], np.r_[w, np.full(len(s), size["synthetic"])]
            model = models.fit_trees(np.vstack(parts), y, w, features, size)
        scores, b = evaluate.Scores(c.lineage_of), model.score(matrix(benign, features))
        for family, group in c.dga_test.groupby("family", sort=True):
            scores.add(None, b, family, model.score(matrix(group, features)))
        out[name] = scores
        progress(f"time-forward, {name}")
    return out, two


def adversarial(c, fitted, cuts):
    """Shares of edited benign names that reach the model's own FPR thresholds.
    They are nobody's DGA names: labels of the test part, two letters changed."""
    r = random.Random(SEED)
    labels = sorted({l for l in c.benign("test").label_text if len(l) >= 6 and l.isalpha() and l.isascii()})
    labels = r.sample(labels, min(4000, len(labels)))
    forms = {
        "two letters changed (as CharBot)": [synthetic.edited(l, r) for l in labels],
        "four letters put before": ["".join(r.choice(synthetic.LETTERS) for _ in range(4)) + l for l in labels],
        "letters in another order": ["".join(r.sample(l, len(l))) for l in labels],
    }
    out = {}
    for form, made in forms.items():
        x, _ = c.weir.features([l + ".com" for l in made], c.out, c.scratch)
        out[form] = {name: [float((model.score(x[:, c.columns(models.sets(c.names)[name][0])]) >= t).mean()) for t in cuts[name]]
                     for name, model in fitted.items()}
    return out, len(labels)


def query_weighted(c, benign_scores, cuts):
    """The share of queries flagged if a name of rank r is asked for 1/r times as
    often as the first: FPR by query instead of by name, on ranked test names."""
    test = c.benign("test")
    rank = pd.to_numeric(test["rank"], errors="coerce").to_numpy()
    ranked = np.isfinite(rank) & (rank > 0)
    if ranked.sum() < evaluate.MIN_NEGATIVES[0.01]:
        return None, int(ranked.sum())
    w = 1 / rank[ranked]
    return {name: [float(w[s[ranked] >= t].sum() / w.sum()) for t in cuts[name]] for name, s in benign_scores.items()}, int(ranked.sum())


def summaries(scores, replicates):
    """Figures of each model with intervals, and the gain of weir and of weir with
    suffix over Databricks 4."""
    boot = evaluate.bootstrap(scores, replicates)
    out = {}
    for name, s in scores.items():
        out[name] = s.summary() | dict(interval=evaluate.interval(boot[name]),
                                       gain=evaluate.interval(boot[name] - boot["Databricks 4"]))
    return out
