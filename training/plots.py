"""The card's plots, as SVG without dates or random ids: the same figures give
the same files."""

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np

STYLE = {"svg.hashsalt": "weir", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
COLOURS = {"weir": "#0b5394", "weir with suffix": "#6fa8dc", "Databricks 4": "#cc0000", "Devo 3": "#e69138",
           "FANCI-like": "#38761d", "entropy rule": "#888888"}


def draw(c, m, unseen, two, out):
    out.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, figure in {"model-roc": roc(m, unseen, two), "model-families": families(c, m),
                             "model-importance": importance(m), "model-reliability": reliability(m)}.items():
            figure.savefig(out / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)


def roc(m, unseen, two):
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for ax, mask, title in ((axes[0], slice(None), "all test names"), (axes[1], two, "in two lists, one recent")):
        n = len(next(iter(unseen["weir"].benign.values()))[mask])
        # The curve begins where ten benign names are flagged.
        points = np.geomspace(max(10 / n, 1e-4), 0.1, 25)
        for name, s in unseen.items():
            ax.plot(points, s.against(mask).roc(points), color=COLOURS[name], lw=1.8 if name == "weir" else 1, label=name)
        ax.set_xscale("log")
        ax.set_title(f"{title} ({n:,})")
        ax.set_xlabel("FPR")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("macro TPR, unseen lineages")
    axes[0].set_ylim(0, 1)
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def families(c, m):
    ours, theirs = m["unseen_two"]["weir"]["table"], m["unseen_two"]["Databricks 4"]["table"]
    order = sorted(ours, key=lambda f: ours[f]["tpr"][1])
    figure, ax = plt.subplots(figsize=(6, 0.17 * len(order) + 0.8))
    at = np.arange(len(order))
    ax.barh(at, [ours[f]["tpr"][1] for f in order], color=COLOURS["weir"], height=0.7, label="weir")
    ax.plot([theirs[f]["tpr"][1] for f in order], at, "|", color=COLOURS["Databricks 4"], ms=7, label="Databricks 4")
    ax.set_yticks(at, order, fontsize=7)
    ax.set_ylim(-1, len(order))
    ax.set_xlim(0, 1)
    ax.set_xlabel("TPR at FPR 0.1 %, lineage unseen, benign names of two lists")
    ax.legend(frameon=False, fontsize=7, loc="lower right")
    return figure


def importance(m):
    top = m["importance"][:20][::-1]
    figure, ax = plt.subplots(figsize=(5, 3.6))
    ax.barh([n for n, _ in top], [g for _, g in top], color=COLOURS["weir"])
    ax.tick_params(axis="y", labelsize=7)
    ax.set_xlabel("share of the gain in training")
    return figure


def reliability(m):
    figure, ax = plt.subplots(figsize=(3.4, 3.2))
    ax.plot([1e-5, 1], [1e-5, 1], color="#888888", lw=0.8)
    points = [(p, max(o, 1e-5)) for p, o, _ in m["reliability"]]
    ax.plot([max(p, 1e-5) for p, _ in points], [o for _, o in points], "o-", color=COLOURS["weir"], ms=4)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("probability said")
    ax.set_ylabel("share of generated names")
    ax.grid(alpha=0.3)
    return figure
