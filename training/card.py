"""The model card, in Markdown, from the figures of a training."""

import bundle
import evaluate
import labelled
import tune

LEVEL_FPRS = ["1 %", "0.1 %", "0.01 %"]
FPRS = ["1 %", "0.1 %"]

SOURCES = """| tag | what | from | date | licence stated there |
|---|---|---|---|---|
| gen:baderj | DGA names, output of published re-implementations | baderj/domain_generation_algorithms | seeds and dates 2015 to 2025 | GPL-2.0 for the code |
| gen:360netlab | the same | 360netlab/DGA | the same | MIT |
| andrewaeva | DGA names | andrewaeva/DGA | 2015-2016 | GPL-2.0 |
| wbdga | DGA names made of words | hanhvxhou/ICECCME_WBDGA_Detection | 2026 | MIT badge |
| alexa2013 | Alexa top 100k; fits the tables, no tree sees it | SuperCowPowers/data_hacking | 2013 | MIT |
| alexa2016 | Alexa top 100k | zer0h/top-1000000-domains | 2016-03 | none |
| cloudflare2023 | names of the Cloudflare top million, from captures | ggyggy666/DNS-Tunnel-Datasets | 2023-08 | none; cite GraphTunnel |
| faf2023 | top 65k of an unnamed list | errantmind/faf-dns-bench | 2023-09 | AGPL-3.0 |
| cloudflare2026 | Cloudflare Radar top 100k | MISP/misp-warninglists | 2026-08 | CC0 |
| tranco2026 | Tranco top 100k | 983111/Scam-Detector-Model | 2026-04 | MIT |
| umbrella2026 | Cisco Umbrella top 100k | Loughty/Cisco-Umbrella-Top-1M-PiHole-Whitelist | 2026-07 | none |
| chinalist2026 | Chinese sites | felixonmars/dnsmasq-china-list | 2026-08 | WTFPL |
| universities2026 | universities | Hipo/university-domains-list | 2026-06 | MIT |
| dotgov2026 | .gov | cisagov/dotgov-data | 2026-08 | CC0 |
| opendns2014_top, _random | OpenDNS lists, names that another list has too | opendns/public-domain-lists | 2014-11 | public domain |
| words | English words (Debian wamerican, from SCOWL) | wordlist.sourceforge.net | 2020.12.07 | SCOWL's, permissive with notice (below) |"""

SCOWL = """The table of words holds counts of letter groups from SCOWL, which is Copyright 2000-2011 by
Kevin Atkinson: "Permission to use, copy, modify, distribute and sell these word lists, the
associated scripts, the output created from the scripts, and its documentation for any purpose is
hereby granted without fee, provided that the above copyright notice appears in all copies and that
both that copyright notice and this permission notice appear in supporting documentation. Kevin
Atkinson makes no representations about the suitability of this array for any purpose. It is
provided "as is" without express or implied warranty.\""""


def pct(v, digits=1):
    return "–" if v is None else f"{100 * v:.{digits}f}"


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def comparison(results):
    lines = [row("model", "AUC", *[f"macro TPR at FPR {p}" for p in FPRS], *[f"micro {p}" for p in FPRS],
                 "gain over Databricks 4 at 0.1 %, points"), "|---|" + "--:|" * 6]
    for name, r in results.items():
        macro = [f"{pct(v)} [{pct(lo)} to {pct(hi)}]" if v is not None else "–" for v, (lo, hi) in zip(r["tpr"], r["interval"])]
        lo, hi = r["gain"][1]
        gain = "" if name == "Databricks 4" else "–" if r["tpr"][1] is None else f"{100 * lo:+.1f} to {100 * hi:+.1f}"
        lines.append(row(name, f"{r['auc']:.3f}", *macro, *[pct(v) for v in r["micro"]], gain))
    return "\n".join(lines)


def families(c, m):
    a, b = m["unseen"]["weir"]["table"], m["unseen_two"]["weir"]["table"]
    d, seen = m["unseen_two"]["Databricks 4"]["table"], m["seen_two"]["weir"]["table"]
    lines = [row("family", "form of the names", "lineage", "names", "unseen 1 %", "unseen 0.1 %", "two lists: unseen 1 %", "unseen 0.1 %",
                 "Databricks 4, unseen 0.1 %", "seen 0.1 %"), "|---|---|---|" + "--:|" * 7]
    for f in sorted(a, key=lambda f: (-b[f]["tpr"][1], f)):
        lines.append(row(f, c.scheme.get(f, ""), c.lineage_of[f], a[f]["names"], *[pct(v) for v in a[f]["tpr"] + b[f]["tpr"]],
                         pct(d[f]["tpr"][1]), pct(seen[f]["tpr"][1]) if f in seen else "–"))
    return "\n".join(lines)


RANDOM = {"random-letters", "random-alnum", "hash-hex", "hash-base36"}


def by_scheme(c, m):
    lines = [row("form", "families", *[f"unseen, {p}" for p in FPRS], *[f"two lists: unseen, {p}" for p in FPRS], "seen, 0.1 %"), "|---|" + "--:|" * 6]
    groups = {}
    for f in m["unseen"]["weir"]["table"]:
        groups.setdefault(c.scheme.get(f, ""), []).append(f)
    random_looking = sorted(f for s in RANDOM for f in groups.get(s, []))
    long = [f for f in random_looking if c.d.label_text[c.d.family == f].str.len().median() >= 12]
    rows = [*sorted(groups.items()), ("all random-looking", random_looking), ("of these, half of the labels 12 bytes and more", long)]
    for name, members in rows:
        def mean(part, i):
            t = m[part]["weir"]["table"]
            v = [t[f]["tpr"][i] for f in members if f in t]
            return pct(sum(v) / len(v)) if v else "–"
        lines.append(row(name, len(members), mean("unseen", 0), mean("unseen", 1), mean("unseen_two", 0), mean("unseen_two", 1), mean("seen_two", 1)))
    return "\n".join(lines)


def elsewhere(m):
    lines = [row("names", "count", "low (1 %)", "medium (0.1 %)", "high (0.01 %)"), "|---|" + "--:|" * 4]
    for name, v in m["elsewhere"].items():
        lines.append(row(name, v["names"], *[pct(r, 2) if r is not None else "–" for r in v["rates"]]))
    return "\n".join(lines)


def other_protocols(m):
    names = list(m["seen"])
    lines = [row("set", "FPR", *names), "|---|---|" + "--:|" * len(names)]
    for form, rates in m["adversarial"].items():
        for i, p in enumerate(FPRS):
            lines.append(row(form, p, *[pct(rates[n][i]) for n in names]))
    if m["weighted"]:
        for i, p in enumerate(FPRS):
            lines.append(row("benign queries flagged, by 1/rank", p, *[pct(m["weighted"][n][i], 3) for n in names]))
    return "\n".join(lines)


def trials(m):
    lines = [row("learner", "trials", *[f"all, {p}" for p in FPRS], *[f"two lists, {p}" for p in FPRS], "mean"), "|---|" + "--:|" * 6]
    best = {}
    for r in m["trials"]:
        best.setdefault(r["learner"], []).append(r)
    for learner, rows in sorted(best.items(), key=lambda kv: -max(r["value"] for r in kv[1])):
        r = max(rows, key=lambda r: r["value"])
        lines.append(row(learner, len(rows), *[pct(v) for v in r["tpr_all"] + r["tpr_two"]], pct(r["value"])))
    return "\n".join(lines)


def targets(c, m):
    """The targets that the project set itself, and what this training reached."""
    def verdict(got, want):
        return "reached" if got >= want else f"missed by {100 * (want - got):.1f} points"

    t = m["unseen_two"]["weir"]["table"]
    looking = [t[f]["tpr"][1] for f in t if c.scheme.get(f) in RANDOM]
    lines = [row("target, macro TPR at FPR 0.1 %, benign names of two lists", "figure", ""), "|---|--:|---|"]
    for what, got, want in (("seen families, 75 %", m["seen_two"]["weir"]["tpr"][1], 0.75),
                            ("unseen lineages, 55 %", m["unseen_two"]["weir"]["tpr"][1], 0.55),
                            ("random-looking unseen families, 92 %", sum(looking) / max(len(looking), 1), 0.92)):
        lines.append(row(what, pct(got), verdict(got, want) if got is not None else "not enough names"))
    low = [m[p]["weir"]["gain"][1][0] for p in ("unseen", "unseen_two", "seen", "seen_two", "forward", "forward_two") if m[p]["weir"]["tpr"][1] is not None]
    lines.append(row("gain over Databricks 4, every interval above 0", f"{100 * min(low, default=0):+.1f} at the least",
                     "reached" if low and min(low) > 0 else "missed"))
    return "\n".join(lines)


def left_out(c):
    return "; ".join(f"{why} ({', '.join(f'{n:,} {k}' for k, n in sorted(v.items()))})" for why, v in c.left_out.items() if v)


def render(c, m):
    d, size, plots = c.d, m["size"], not c.args.smoke
    legit = d[d.label == "legit"].part.value_counts()
    examples = "\n".join([row("name", "score", "probability", "level"), "|---|--:|--:|---|"] +
                         [row(f"`{e['name']}`", f"{e['score']:.3f}", f"{e['probability']:.3f}", e["level"]) for e in m["examples"]])
    cuts = "\n".join([row("level", "nominal FPR", "score from"), "|---|--:|--:|"] +
                     [row(level, p, f"{m['cuts'][level]:.4f}") for level, p in zip(("low", "medium", "high"), LEVEL_FPRS)])
    importance = ", ".join(f"{n} {100 * g:.0f} %" for n, g in m["importance"][:8])
    test = m["elsewhere"]["all test names"]
    unseen = m["unseen"]["weir"]
    lineages = sorted({f"{v}: " + " ".join(sorted(k for k in labelled.LINEAGES if labelled.LINEAGES[k] == v)) for v in labelled.LINEAGES.values()})

    def plot(name, text):
        return f"\n![{text}](img/{name}.svg)\n" if plots else ""

    return f"""# Model card: {"weir-dga" if not c.args.smoke else "smoke"} {c.args.date}

Written by training/train.py with the model; its figures are those of that run. Do not edit by hand.

**What it is.** {size['trees']} gradient-boosted trees of up to {size['leaves']} leaves (LightGBM, binary log loss) over
{len(m['features'])} numbers computed from one label: the one left of the public suffix (`example` of
`www.example.co.uk`). It estimates whether an algorithm made that label. It sees neither the suffix
nor the subdomains, the answer, the client or the time.

**What it is for.** Sorting the registered domains of a network's queries so that a person, or a
second stage with context, looks at few. **What it is not for.** Blocking on its own. "Algorithmic" is
not "malware": advertising, telemetry and content networks use such names too, and a name's score says
nothing about who asks for it and how often.

## Targets and figures

{targets(c, m)}

Every figure below is of this training's own splits of public lists, which its authors have looked at while
choosing features. None is a measurement on a real network.

## Levels

The levels are set on {m['threshold_names']:,} benign names that neither the trees nor the tables saw:

{cuts}

They are nominal. On {test['names']:,} other names of the same lists the rates were
{pct(test['rates'][0], 2)} %, {pct(test['rates'][1], 3)} % and {pct(test['rates'][2], 4)} %; on other kinds of names they differ, tenfold and more,
as the table shows. At the nominal rate, 100,000 distinct registered domains a day mean 100 false alarms at medium. Set
thresholds on your own traffic where you can.

{elsewhere(m)}

Popular lists hold names that algorithms made, some of them malware's, so part of these rates is wrong
labels and not wrong scores; in what proportion is not known. "Suspect benign names" are those that an
n-gram model scores far on the DGA side: they were kept in training and in every rate above wherever the lists
had them. For the newly registered and adversarial names the rates are shares flagged, not errors.

**Calibration.** The bundle maps scores to probabilities, by isotonic regression on the names of the levels and
half of the DGA test names, as if {100 * bundle.PRIOR:g} name in a hundred were generated. That share is a convention:
where it is another, the probability is. The plot is of other names than those.
{plot("model-reliability", "Reliability of the probability")}
## How well it finds

TPR in percent, in brackets 95 % bootstrap intervals over lineages and benign names. Thresholds are read off the
benign names of each table, each model its own. Macro: mean over lineages of the mean over their families. Micro: over
names, at most 500 a family. All rows but the entropy rule are the same trees, data and weights with other features:
Databricks 4 (length, entropy, alexa_grams, word_grams), Devo 3 (length, entropy, vowel_proportion), FANCI-like (12 of
FANCI's that one label has). The synthetic labels of the training (below) are in the two weir rows only.
"weir with suffix" is the same with three features of the public suffix and **does not ship**.

**Lineages it has not seen** ({labelled.FOLDS} folds of whole lineages; {unseen['families']} families in {unseen['lineages']} lineages,
{unseen['names']:,} names), against all {unseen['negatives']:,} benign test names:

{comparison(m['unseen'])}

The same against the {m['two']:,} of them that two lists have, one of them of 2023 or 2026:

{comparison(m['unseen_two'])}
{plot("model-roc", "ROC at low FPR, unseen lineages")}
**Families it has seen**, other names of theirs ({m['seen']['weir']['names']:,} names; the model that ships), all benign test names:

{comparison(m['seen'])}

Against names of two lists:

{comparison(m['seen_two'])}

**Time-forward**: tables and benign training names from lists up to 2023 alone, benign test names that only lists of 2026
have ({m['forward']['weir']['negatives']:,}); other names of seen families (the DGA names carry no dates):

{comparison(m['forward'])}

Of those, the {m['forward_two']['weir']['negatives']:,} that two lists have:

{comparison(m['forward_two'])}

**Edited names and queries.** Shares flagged at each model's own FPR on all test names: of {m['adversarial_names']:,} benign test labels
edited by this training, and of benign queries if a name of rank r is asked for 1/r times as often as the first
({m['weighted_names']:,} ranked test names):

{other_protocols(m)}

By the form of the names (mean over families, not lineages):

{by_scheme(c, m)}

Every family, TPR in percent:
{plot("model-families", "TPR of every family")}
{families(c, m)}

What carries it, by share of the gain in training: {importance}.
{plot("model-importance", "Feature importance")}
## Does the suffix generalise?

Three features of the public suffix (how rare among popular names, private, country) find more of the families that
the training has and fewer of those that it lacks: compare the two weir rows of the tables above. It is the registries of
the training's families that such trees learn. The features are computed and stand in the vector; the trees that
ship were not shown them, so a label scores the same below every suffix.

## Examples

{examples}

`asdklgb` and `googlee` are the examples of the notebooks that weir's features come from. `google` is
among the names that fitted the tables. A made-up label of seven letters is at the edge of what one
string can tell; a look-alike such as `googlee` is not what this model looks for.

## Not scored

Names without a registered domain (public suffixes, single labels), punycode (`xn--`), and whatever the
inspection leaves out before it asks (reverse zones, service labels, special-use and own zones). These are
"not judged", which is not a low score.

## Known blind spots

- **Word lists** (suppobox, gozi, rovnix_dict, ngioweb): close to nothing is found on unseen lineages. One string does
  not tell these from names that people choose. Of lists that the training has, the language of algorithms knows the
  words, and finds part.
- **Short labels**: of seven random letters much less is found than of twelve (table of forms); benign lists are full of
  abbreviations.
- **Names made to evade** (CharBot: a popular name with two letters changed).
- **Names that are not Latin or not English**: pinyin abbreviations and digits are flagged more often than average (the
  China list above).
- **Names of advertising and content networks** that are algorithmic and benign: the Umbrella row above.

What the error analysis found and what was done: families of hexadecimal names (verblecon, 32 digits) were found fully
when their lineage was in training and not at all when it was not, because all-digit labels, which are nearly all
benign, were the nearest thing that the trees knew; synthetic labels of simple generators, written for this
training, close that gap (verblecon from 0 to nearly all, enviserv likewise) and gained 3 to 5 points over all unseen
lineages. A larger weight for them gained nothing more. Customers of free dynamic zones that the public suffix list lacks
(mooo.com, dynserv.com, yi.org) were judged by the provider's label and are now names of their own.

## Data

{len(d):,} registered domains were used: {(d.label == 'legit').sum():,} benign, {(d.label == 'dga').sum():,} DGA of {d[d.label == 'dga'].family.nunique()} families.
Left out: {left_out(c)}. Rows whose only source is {labelled.EXCLUDED_SOURCE} come from DGArchive, whose terms are believed to
exclude commercial use.

{SOURCES}

No list of names is part of weir: the bundle holds counts and probabilities of n-grams, counts of suffixes, and the trees.

{SCOWL}

## Training

- Benign names are split by hash of the label: {legit.get('language', 0):,} and the {legit.get('table', 0):,} whose label is in the Alexa list
  of 2013 fit the language of popular names, {legit.get('trees', 0):,} are for the trees ({len(c.benign_train):,} used), {legit.get('select', 0):,} for the
  search, {legit.get('threshold', 0):,} for levels and calibration, {legit.get('test', 0):,} for the tests. No name that fits a table is seen by a
  tree or a threshold: fitted on the trees' own names, tables would look better than they are.
- The language of algorithms is fitted on {len(c.dga_language):,} DGA names, at most 2,000 a lineage, that are used for nothing
  else; in each fold it is fitted anew without the lineages that the fold leaves out.
- DGA names for the trees: at most 1,500 a lineage, weight 1/√n, {len(c.dga_train):,} rows; {len(c.synthetic):,} synthetic labels of
  {len(c.synthetic) // max(1, c.per_generator)} generators, weight {size['synthetic']:.2f} each. Lineages: families that share a generator or word list are one
  ({', '.join(lineages)}); merged from published analyses, not verified sample by sample.
- Search: {len(m['trials'])} trials ([all of them](model-trials.tsv)), each on smaller samples and by the mean of four rates on lineages left out.
  The best of each learner:

{trials(m)}

  Only LightGBM's trees can be shipped, so the best of these was: {', '.join(f'{k} {size[k]:.3g}' for k in tune.DEFAULT)}. The same
  lineages serve the comparison above, with other benign names, so it is slightly kind to the parameters.
- LightGBM's deterministic mode, one seed ({m['seed']}), no seeds varied: intervals do not hold what another seed would change.
"""
