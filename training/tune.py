"""The search for parameters: Optuna over LightGBM's, and other learners beside
it, each by how well it finds lineages that were left out, against benign names
that are used for nothing else."""

import numpy as np
import optuna

import evaluate
import labelled
import models
import parallel
from corpus import SEED

# A search sees fewer rows than the training that follows.
BENIGN, LINEAGE, FAMILY = 20_000, 400, 200
DEFAULT = dict(trees=100, leaves=24, rate=0.1, least=50, share=0.6, l2=1.0, synthetic=0.3)


class Search:
    def __init__(self, corpus, progress):
        self.c, self.progress = corpus, progress
        small = 1 if not corpus.args.smoke else 20
        self.features = models.sets(corpus.names)["weir"][0]
        self.benign = corpus.benign_train.sample(min(BENIGN // small, len(corpus.benign_train)), random_state=SEED).sort_index()
        self.train = labelled.cap(corpus.dga_train, "lineage", LINEAGE // small, SEED)
        self.test = labelled.cap(corpus.dga_all, "family", FAMILY // small, SEED)
        self.select = corpus.benign("select")
        self.two = labelled.confirmed(self.select).to_numpy()
        self.rows = []

    def measure(self, name, params, fit):
        """fit makes a model of (x, y, w). The trial's value is the mean of four
        rates: FPR 1 % and 0.1 %, on all benign names and on those of two lists."""
        scores = evaluate.Scores(self.c.lineage_of)
        weight = params.get("synthetic", DEFAULT["synthetic"])

        def one(fold):
            out = self.c.left_in(fold)
            test, train = self.test[self.test.lineage.isin(out)], self.train[~self.train.lineage.isin(out)]
            model = fit(*models.data(self.c, self.benign, train, self.features, fold, weight))
            return (model.score(self.c.matrix(self.select, self.features, fold)),
                    [(f, model.score(self.c.matrix(rows, self.features, fold))) for f, rows in test.groupby("family", sort=True)])

        for fold, (b, families) in enumerate(parallel.each(one, range(labelled.FOLDS), self.c.args.threads)):
            for family, s in families:
                scores.add(fold, b, family, s)
        rates = [scores.roc(evaluate.FPRS), scores.against(self.two).roc(evaluate.FPRS)]
        value = float(np.mean(rates))
        self.rows.append(dict(learner=name, **params, tpr_all=[float(v) for v in rates[0]],
                              tpr_two=[float(v) for v in rates[1]], value=value))
        self.progress(f"{name} {value:.4f}")
        return value

    def trees(self, params):
        return self.measure("LightGBM", params, lambda x, y, w: models.fit_trees(x, y, w, self.features, params))

    def run(self, trials):
        """The parameters of the best LightGBM: no other learner's model can be
        shipped, they show what the choice of LightGBM costs."""
        for name, make in models.others().items():
            self.measure(name, {}, lambda x, y, w, make=make: models.fit_other(make, x, y, w))
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED, n_startup_trials=6))
        study.enqueue_trial({k: v for k, v in DEFAULT.items()})
        study.optimize(lambda t: self.trees(dict(
            trees=t.suggest_categorical("trees", [80, 100, 120, 150]),
            leaves=t.suggest_int("leaves", 10, 31),
            rate=t.suggest_float("rate", 0.05, 0.2, log=True),
            least=t.suggest_int("least", 20, 300, log=True),
            share=t.suggest_float("share", 0.3, 0.9),
            l2=t.suggest_float("l2", 0.5, 30, log=True),
            synthetic=t.suggest_float("synthetic", 0.1, 1.0, log=True),
        )), n_trials=trials)
        return max((r for r in self.rows if r["learner"] == "LightGBM"), key=lambda r: r["value"])

    def table(self):
        """All trials, tab-separated."""
        names = list(DEFAULT)
        lines = ["\t".join(["trial", "learner", *names, "tpr_fpr1_all", "tpr_fpr01_all", "tpr_fpr1_two_lists", "tpr_fpr01_two_lists", "mean"])]
        for i, r in enumerate(self.rows):
            cells = [f"{r[n]:.4g}" if n in r else "" for n in names]
            lines.append("\t".join([str(i), r["learner"], *cells, *[f"{v:.4f}" for v in r["tpr_all"] + r["tpr_two"] + [r["value"]]]]))
        return "\n".join(lines) + "\n"
