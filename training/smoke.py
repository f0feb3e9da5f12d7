"""Made-up labelled names, for a run that needs no data: it shows that the
training works, and nothing about any model."""

import random

import pandas as pd

SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
WORDS = ("river stone market silver garden window table yellow summer cloud simple travel doctor school people "
         "answer mother father engine corner house bridge winter forest paper letter music light water coffee").split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def names(seed=1, benign=16_000, per_family=250):
    r = random.Random(seed)
    rows = {}

    def add(label, kind, family, source):
        rows.setdefault(label + ".com", (label + ".com", kind, family, source, ""))

    for i in range(benign):
        source = ("alexa2013", "cloudflare2023", "cloudflare2023+tranco2026", "tranco2026", "tranco2026+umbrella2026")[i % 5]
        style = r.random()
        if style < 0.4:
            label = r.choice(WORDS) + r.choice(["", "", "-"]) + r.choice(WORDS) + r.choice(["", "", str(r.randint(1, 999))])
        elif style < 0.98:
            label = "".join(r.choice(SYLLABLES) for _ in range(r.randint(2, 5))) + r.choice(["", "n", "s", "24"])
        else:
            label = "".join(r.choice(LETTERS) for _ in range(r.randint(3, 9)))
        add(label, "legit", "", source)
    generators = {
        "letters": lambda: "".join(r.choice(LETTERS) for _ in range(r.randint(8, 20))),
        "short": lambda: "".join(r.choice(LETTERS) for _ in range(7)),
        "hex": lambda: "".join(r.choice("0123456789abcdef") for _ in range(16)),
        "base36": lambda: "".join(r.choice(LETTERS + "0123456789") for _ in range(r.randint(12, 26))),
        "digits": lambda: "".join(r.choice("0123456789") for _ in range(10)),
        "upper_half": lambda: "".join(r.choice("nopqrstuvwxyz") for _ in range(12)),
        "pronounceable": lambda: "".join(r.choice(SYLLABLES) for _ in range(r.randint(4, 6))),
        "words": lambda: "".join(r.choice(WORDS) for _ in range(3)),
        "long": lambda: "".join(r.choice(LETTERS) for _ in range(r.randint(25, 32))),
    }
    for family, make in generators.items():
        for _ in range(per_family):
            add(make(), "dga", family, "made")
    d = pd.DataFrame(sorted(rows.values()), columns=["fqdn", "label", "family", "source", "rank"])
    families = pd.DataFrame({"family": list(generators), "scheme": "made"})
    return d, families, WORDS + [w + s for w in WORDS for s in ("s", "ed", "ing")]
