"""The models that weir's features come from, as their notebooks made them, on
the splits of this training: the random forest of 20 trees over four features
(Databricks, after Click Security's notebook), and 50 gradient-boosted trees of
five levels over three (Devo, H2O's defaults)."""

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

import evaluate
import labelled
import models
from corpus import SEED

SEEDS = {
    "Databricks 4, random forest": (models.DATABRICKS, lambda: RandomForestClassifier(n_estimators=20, random_state=SEED)),
    "Devo 3, gradient boosting": (models.DEVO, lambda: GradientBoostingClassifier(n_estimators=50, max_depth=5, random_state=SEED)),
}


def run(c, progress):
    two = labelled.confirmed(c.benign("test")).to_numpy()
    for name, (features, make) in SEEDS.items():
        for protocol in ("seen", "unseen"):
            scores = measure(c, features, make, protocol)
            for benign, s in (("all test names", scores), ("two lists", scores.against(two))):
                r = s.summary()
                print("\t".join([name, protocol, benign, f"AUC {r['auc']:.3f}"] +
                                [f"TPR at FPR {100 * f:g} % {100 * t:.1f} %" if t is not None else "-" for f, t in zip(evaluate.FPRS, r["tpr"])]))
            progress(f"{name}, {protocol}")


def measure(c, features, make, protocol):
    scores, benign = evaluate.Scores(c.lineage_of), c.benign("test")
    for fold in [None] if protocol == "seen" else range(labelled.FOLDS):
        out = set() if fold is None else c.left_in(fold)
        test = c.dga_test if fold is None else c.dga_all[c.dga_all.lineage.isin(out)]
        if len(test) == 0:
            continue
        x, y, w = models.data(c, c.benign_train, c.dga_train[~c.dga_train.lineage.isin(out)], features, None, 0)
        model = models.fit_other(make, x, y, w)
        b = model.score(c.matrix(benign, features)).astype(np.float64)
        for family, rows in test.groupby("family", sort=True):
            scores.add(fold, b, family, model.score(c.matrix(rows, features)))
    return scores
