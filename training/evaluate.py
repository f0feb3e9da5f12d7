"""Measures. A threshold at FPR f is the least score that at most a share f of
the benign names reach. Macro is the mean over lineages of the mean over their
families."""

import numpy as np

FPRS = (0.01, 0.001)
# Below this many negatives the rate is a handful of names and says nothing.
MIN_NEGATIVES = {0.01: 1000, 0.001: 10_000}


def threshold(benign, fpr):
    """Midway between the last score that is flagged and the first that is not."""
    s = np.sort(benign)[::-1]
    k = int(fpr * len(s))
    while k > 0 and s[k - 1] == s[k]:
        k -= 1
    return float((s[k - 1] + s[k]) / 2) if k > 0 else float(np.nextafter(s[0], np.inf))


def auc(benign, dga):
    s = np.sort(benign)
    below = (np.searchsorted(s, dga, "left") + np.searchsorted(s, dga, "right")) / 2
    return float(below.mean() / len(s))


class Scores:
    """Scores of DGA rows by family, and for each family the scores that the same
    model gave the benign names (folds have models of their own)."""

    def __init__(self, lineage_of):
        self.lineage_of = lineage_of
        self.dga, self.fold_of, self.benign = {}, {}, {}

    def add(self, fold, benign, family, scores):
        self.benign[fold] = benign
        self.fold_of[family] = fold
        self.dga[family] = scores

    def against(self, mask):
        """The same with some of the benign names."""
        out = Scores(self.lineage_of)
        out.dga, out.fold_of = self.dga, self.fold_of
        out.benign = {fold: b[mask] for fold, b in self.benign.items()}
        return out

    def families(self):
        return sorted(self.dga)

    def weights(self):
        """Of the families in a macro mean."""
        lineages = [self.lineage_of[f] for f in self.families()]
        w = np.array([1 / lineages.count(l) for l in lineages])
        return w / w.sum()

    def table(self):
        """family -> names, auc, tpr at each FPR, by thresholds of these benign names."""
        cuts = {fold: [threshold(b, f) for f in FPRS] for fold, b in self.benign.items()}
        out = {}
        for family in self.families():
            s, fold = self.dga[family], self.fold_of[family]
            out[family] = dict(names=len(s), auc=auc(self.benign[fold], s), tpr=[float((s >= t).mean()) for t in cuts[fold]])
        return out

    def summary(self):
        t, w = self.table(), self.weights()
        n = np.array([t[f]["names"] for f in self.families()], float)
        tpr = np.array([t[f]["tpr"] for f in self.families()])
        a = np.array([t[f]["auc"] for f in self.families()])
        negatives = min(len(b) for b in self.benign.values())
        keep = [MIN_NEGATIVES[f] <= negatives for f in FPRS]

        def row(v):
            return [float(x) if ok else None for x, ok in zip(v, keep)]

        return dict(families=len(n), lineages=len(set(self.lineage_of[f] for f in t)), names=int(n.sum()), negatives=negatives,
                    auc=float(w @ a), tpr=row(w @ tpr), micro=row((tpr * n[:, None]).sum(axis=0) / n.sum()), table=t)

    def roc(self, points):
        """Macro TPR at each FPR of points."""
        cuts = {fold: [threshold(b, f) for f in points] for fold, b in self.benign.items()}
        rows = [[float((self.dga[f] >= t).mean()) for t in cuts[self.fold_of[f]]] for f in self.families()]
        return self.weights() @ np.array(rows)


def bootstrap(models, replicates=200, seed=1):
    """Macro TPR at each FPR of each model in resamples: lineages with replacement,
    benign names by Poisson weights. All models were scored on the same names and
    share the draws, so that their differences are paired."""
    rng = np.random.default_rng(seed)
    any_model = next(iter(models.values()))
    lineage_of = any_model.lineage_of
    lineages = sorted({lineage_of[f] for f in any_model.dga})
    members = {l: [f for f in any_model.families() if lineage_of[f] == l] for l in lineages}
    n = len(next(iter(any_model.benign.values())))
    dga = {name: {f: np.sort(s) for f, s in m.dga.items()} for name, m in models.items()}
    tops = {name: {fold: np.argsort(-b, kind="stable")[: int(0.03 * n) + 50] for fold, b in m.benign.items()} for name, m in models.items()}
    out = {name: np.zeros((replicates, len(FPRS))) for name in models}
    for r in range(replicates):
        weight = rng.poisson(1, n)
        drawn = rng.integers(0, len(lineages), len(lineages))
        for name, m in models.items():
            cuts = {}
            for fold, top in tops[name].items():
                at = np.searchsorted(np.cumsum(weight[top]), [f * n for f in FPRS], "right")
                cuts[fold] = m.benign[fold][top][np.minimum(at, len(top) - 1)]
            tpr = {f: 1 - np.searchsorted(s, cuts[m.fold_of[f]], "right") / len(s) for f, s in dga[name].items()}
            mean = [np.mean([tpr[f] for f in members[l]], axis=0) for l in lineages]
            out[name][r] = np.mean([mean[i] for i in drawn], axis=0)
    return out


def interval(replicates):
    lo, hi = np.percentile(replicates, [2.5, 97.5], axis=0)
    return [[float(a), float(b)] for a, b in zip(lo, hi)]
