"""Measures. A threshold at FPR f is the least score that at most a share f of
the benign names reach."""

import numpy as np

FPRS = (0.01, 0.001, 0.0001)
# Below this many negatives 0.01 % is a handful of names and says nothing.
MIN_NEGATIVES = {0.01: 1000, 0.001: 10_000, 0.0001: 100_000}


def threshold(benign, fpr):
    """Midway between the last score that is flagged and the first that is not."""
    s = np.sort(benign)[::-1]
    k = int(fpr * len(s))
    while k > 0 and s[k - 1] == s[k]:
        k -= 1
    return float((s[k - 1] + s[k]) / 2) if k > 0 else float(np.nextafter(s[0], 2))


def auc(benign, dga):
    s = np.sort(benign)
    below = (np.searchsorted(s, dga, "left") + np.searchsorted(s, dga, "right")) / 2
    return float(below.mean() / len(s))


class Scores:
    """Scores of DGA rows by family, and for each family the scores that the same
    model gave the benign test names (folds have models of their own)."""

    def __init__(self):
        self.dga, self.fold_of, self.benign = {}, {}, {}

    def add(self, fold, benign, family, scores):
        if len(scores) == 0:
            return
        self.benign[fold] = benign
        self.fold_of[family] = fold
        self.dga[family] = scores

    def families(self):
        return sorted(self.dga)

    def table(self):
        """family -> names, auc, tpr at each FPR, by thresholds of this benign set."""
        cuts = {fold: [threshold(b, f) for f in FPRS] for fold, b in self.benign.items()}
        out = {}
        for family, s in self.dga.items():
            fold = self.fold_of[family]
            out[family] = dict(names=len(s), auc=auc(self.benign[fold], s),
                               tpr=[float((s >= t).mean()) for t in cuts[fold]])
        return out

    def summary(self):
        t = self.table()
        n = np.array([t[f]["names"] for f in self.families()], float)
        tpr = np.array([t[f]["tpr"] for f in self.families()])
        a = np.array([t[f]["auc"] for f in self.families()])
        negatives = min(len(b) for b in self.benign.values())
        keep = [MIN_NEGATIVES[f] <= negatives for f in FPRS]

        def row(v):
            return [float(x) if ok else None for x, ok in zip(v, keep)]

        return dict(families=len(n), names=int(n.sum()), negatives=negatives,
                    macro=dict(auc=float(a.mean()), tpr=row(tpr.mean(axis=0))),
                    micro=dict(auc=float((a * n).sum() / n.sum()), tpr=row((tpr * n[:, None]).sum(axis=0) / n.sum())))

    def bootstrap(self, lineage_of, replicates=200, seed=1):
        """Macro TPR at each FPR in resamples: lineages with replacement, benign
        names by Poisson weights. The draws depend on seed alone, so two sets of
        scores of the same names give paired replicates."""
        rng = np.random.default_rng(seed)
        lineages = sorted({lineage_of[f] for f in self.dga})
        members = {l: [f for f in self.families() if lineage_of[f] == l] for l in lineages}
        dga = {f: np.sort(s) for f, s in self.dga.items()}
        tops = {fold: np.argsort(-b, kind="stable")[: int(0.03 * len(b)) + 50] for fold, b in sorted(self.benign.items())}
        out = np.zeros((replicates, len(FPRS)))
        for r in range(replicates):
            drawn = [lineages[i] for i in rng.integers(0, len(lineages), len(lineages))]
            # A weight a name, the same for every fold and model: the same
            # names are drawn again.
            n = len(next(iter(self.benign.values())))
            weight = rng.poisson(1, n)
            cuts = {}
            for fold, b in self.benign.items():
                top = tops[fold]
                flagged = np.cumsum(weight[top])
                at = np.searchsorted(flagged, [f * n for f in FPRS], "right")
                cuts[fold] = b[top][np.minimum(at, len(top) - 1)]
            rows = [[1 - np.searchsorted(dga[f], c, "right") / len(dga[f]) for c in cuts[self.fold_of[f]]]
                    for l in drawn for f in members[l]]
            out[r] = np.mean(rows, axis=0)
        return out


def interval(replicates):
    lo, hi = np.percentile(replicates, [2.5, 97.5], axis=0)
    return [[float(a), float(b)] for a, b in zip(lo, hi)]
