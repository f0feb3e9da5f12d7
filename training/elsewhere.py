"""What the shipped model's levels become on other sets of names."""

import numpy as np

import bundle
import labelled


def shares(scores, cuts):
    return dict(names=len(scores), rates=[float((scores >= t).mean()) if len(scores) else None for t in cuts.values()])


def rates(c, model, features, cuts, test_scores):
    """Shares of sets of names that reach the levels."""
    out = {"all test names": shares(test_scores, cuts)}
    test = c.benign("test")
    tags = test.source.str.split("+").map(set)
    length = test.label_text.str.len()
    groups = {
        "in two lists or more, one of 2023 or 2026": labelled.confirmed(test),
        "only in lists of 2026": labelled.recent(test),
        "only in Cisco Umbrella 2026": tags.map(lambda s: s == {"umbrella2026"}),
        "in Cloudflare Radar 2026 or Tranco 2026": tags.map(lambda s: bool(s & {"cloudflare2026", "tranco2026"})),
        "only in Cloudflare 2023 (top million)": tags.map(lambda s: s == {"cloudflare2023"}),
        "only in the China list 2026": tags.map(lambda s: s == {"chinalist2026"}),
        ".gov and universities": tags.map(lambda s: s <= {"dotgov2026", "universities2026"}),
        "labels of 1 to 7 bytes": length <= 7,
        "labels of 8 to 12 bytes": length.between(8, 12),
        "labels of 13 to 20 bytes": length.between(13, 20),
        "labels of 21 bytes and more": length >= 21,
    }
    for name, mask in groups.items():
        out[name] = shares(test_scores[mask.to_numpy()], cuts)
    out["Alexa 2013, which fitted the tables"] = shares(model.score(c.matrix(c.benign("table"), features)), cuts)
    if not c.args.smoke:
        for name, s in files(c, model, features):
            out[name] = shares(s, cuts)
    return out


def files(c, model, features):
    """The other files of the data, those of them that there are."""
    used = set(c.d.label_text[(c.d.part != "test") & (c.d.label == "legit")])
    train = c.args.data / "train"

    def score(d, column):
        x, registered = c.weir.features(d[column], c.out, c.scratch)
        d = d.assign(registered=registered)
        ok = np.isfinite(x).all(axis=1)
        return d[ok].assign(score=model.score(x[ok][:, c.columns(features)]))

    def read(file):
        return labelled.read(train / file) if (train / file).exists() else None

    if (d := read("hosts_legit.tsv.gz")) is not None:
        hosts = score(d, "fqdn")
        yield "benign hosts, by host", hosts.score.to_numpy()
        for kind, rows in hosts.groupby("kind"):
            yield f"benign hosts, {kind}", rows.score.to_numpy()
        once = hosts.drop_duplicates("registered")
        yield "benign hosts, by registered domain", once.score.to_numpy()
        new = ~once.registered.str.split(".").str[0].isin(used)
        yield "benign hosts, registered domains not used in training", once.score[new].to_numpy()
    if (d := read("suspect_legit.tsv.gz")) is not None:
        yield "suspect benign names (likely wrong labels)", score(d, "fqdn").score.to_numpy()
    if (d := read("nrd_unlabelled_2026-08.tsv.gz")) is not None:
        yield "newly registered 2026-08, no labels", score(d, "fqdn").score.to_numpy()
    if (d := read("adversarial.tsv.gz")) is not None:
        bare = ~d.name.str.contains(".", regex=False)  # some came without a suffix
        d.loc[bare, "name"] += ".com"
        for kind, rows in score(d, "name").groupby("kind"):
            yield f"adversarial, {kind}", rows.score.to_numpy()


def examples(c, model, features, cuts, calibration):
    names = ["ns1.asdklgb.cf", "www.googlee.com", "google.com", "wikipedia.org", "xjpakmdcfuqe.com", "rivergardentable.net"]
    x, _ = c.weir.features(names, c.out, c.scratch)
    out = []
    for name, score in zip(names, model.score(x[:, c.columns(features)])):
        level = [l for l, t in cuts.items() if score >= t]
        out.append(dict(name=name, score=float(score), level=level[-1] if level else "none",
                        probability=float(bundle.probability(calibration, score))))
    return out
