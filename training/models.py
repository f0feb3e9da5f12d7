"""The feature sets that are compared and the learners that are tried."""

import lightgbm as lgb
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import labelled
from corpus import SEED

DEVO = ["length", "entropy", "vowel_proportion"]
DATABRICKS = ["length", "entropy", "alexa_grams", "word_grams"]
# What FANCI computes of one label; its features of the whole name and its
# n-gram statistics other than entropy have no counterpart here.
FANCI = ["length", "entropy", "vowel_proportion", "digit_ratio", "unique_ratio", "repeated_ratio", "hex_ratio",
         "consecutive_consonant_ratio", "consecutive_digit_ratio", "bigram_entropy", "first_is_digit", "hyphens"]
ENTROPY = ["entropy"]

SUFFIX = "suffix_"  # features of the suffix: computed, and kept from the trees that ship


def sets(names):
    """name -> features, and whether synthetic labels are trained on."""
    label = [n for n in names if not n.startswith(SUFFIX)]
    return {
        "weir": (label, True),
        "weir with suffix": (names, True),
        "Databricks 4": (DATABRICKS, False),
        "Devo 3": (DEVO, False),
        "FANCI-like": (FANCI, False),
        "entropy rule": (ENTROPY, False),
    }


class Rule:
    """A feature taken for the score."""

    def score(self, x):
        return x[:, 0]


class Trees:
    def __init__(self, booster):
        self.booster = booster

    def score(self, x):
        return self.booster.predict(x.astype(np.float64), num_threads=1)


class Classifier:
    def __init__(self, model):
        self.model = model

    def score(self, x):
        return self.model.predict_proba(x)[:, 1]


def data(corpus, benign, dga, features, fold, synthetic):
    """Matrix, labels, weights. synthetic is the weight of one synthetic label."""
    x = [corpus.matrix(benign, features, fold), corpus.matrix(dga, features, fold)]
    y = [np.zeros(len(benign)), np.ones(len(dga))]
    w = [np.ones(len(benign)), labelled.weights(dga)]
    if synthetic > 0:
        made = corpus.synthetic_matrix(features, fold)
        x, y, w = x + [made], y + [np.ones(len(made))], w + [np.full(len(made), synthetic)]
    return np.vstack(x), np.concatenate(y), np.concatenate(w)


def fit_trees(x, y, w, features, size):
    params = dict(objective="binary", num_leaves=size["leaves"], learning_rate=size["rate"], min_data_in_leaf=size["least"],
                  feature_fraction=size["share"], bagging_fraction=0.8, bagging_freq=1, lambda_l2=size["l2"], max_bin=127,
                  seed=SEED, deterministic=True, force_row_wise=True, num_threads=1, verbosity=-1)
    return Trees(lgb.train(params, lgb.Dataset(x, y, weight=w, feature_name=list(features)), size["trees"]))


def fit(corpus, benign, dga, features, size, fold=None, synthetic=True):
    if features == ENTROPY:
        return Rule()
    x, y, w = data(corpus, benign, dga, features, fold, size["synthetic"] if synthetic else 0)
    return fit_trees(x, y, w, features, size)


# Learners other than LightGBM, for the table of trials.

def others():
    return {
        "logistic regression, C 0.1": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)),
        "random forest, 20 x 12 levels": lambda: RandomForestClassifier(
            20, max_depth=12, min_samples_leaf=5, max_samples=0.3, n_jobs=1, random_state=SEED),
        "extra trees, 20 x 14 levels": lambda: ExtraTreesClassifier(
            20, max_depth=14, min_samples_leaf=5, bootstrap=True, max_samples=0.3, n_jobs=1, random_state=SEED),
    }


def fit_other(make, x, y, w):
    model = make()
    last = model.steps[-1][0] + "__" if hasattr(model, "steps") else ""
    model.fit(x, y, **{last + "sample_weight": w})
    return Classifier(model)
