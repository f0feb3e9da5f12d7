"""The model card, in Markdown, from the figures of a training."""

import labelled
from evaluate import FPRS

PERCENT = ["1 %", "0.1 %", "0.01 %"]

SOURCES = """| tag | what | from | date | licence stated there |
|---|---|---|---|---|
| gen:baderj | DGA names, output of published re-implementations | baderj/domain_generation_algorithms | seeds and dates 2015 to 2025 | GPL-2.0 for the code |
| gen:360netlab | the same | 360netlab/DGA | the same | MIT |
| andrewaeva | DGA names | andrewaeva/DGA | 2015-2016 | GPL-2.0 |
| wbdga | DGA names made of words | hanhvxhou/ICECCME_WBDGA_Detection | 2026 | MIT badge |
| alexa2013 | Alexa top 100k; fits the n-gram table, no tree sees it | SuperCowPowers/data_hacking | 2013 | MIT |
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


def spans(interval, keep, sign=False):
    form = "{:+.1f} to {:+.1f}" if sign else "{:.1f} to {:.1f}"
    return [form.format(100 * lo, 100 * hi) if k is not None else "–" for (lo, hi), k in zip(interval, keep)]


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def comparison(results, intervals):
    lines = [row("features", "AUC macro", *[f"macro TPR at FPR {p}" for p in PERCENT], *[f"micro {p}" for p in PERCENT]),
             "|---|" + "--:|" * 7]
    for key, name in (("weir", "weir"), ("databricks4", "Databricks 4"), ("devo3", "Devo 3")):
        r = results[key]
        macro = [pct(v) for v in r["macro"]["tpr"]]
        if intervals:
            macro = [f"{v} [{s}]" for v, s in zip(macro, spans(r["interval"], r["macro"]["tpr"]))]
        lines.append(row(name, f"{r['macro']['auc']:.3f}", *macro, *[pct(v) for v in r["micro"]["tpr"]]))
    return "\n".join(lines)


def gains(unseen):
    lines = []
    for key, name in (("databricks4", "Databricks 4"), ("devo3", "Devo 3")):
        s = spans(unseen[key]["gain"], unseen["weir"]["macro"]["tpr"], sign=True)
        lines.append(f"Gain over {name}, paired 95 % intervals, points: " +
                     ", ".join(f"{v} at {p}" for v, p in zip(s, PERCENT)) + ".")
    return "\n".join(lines)


def families(t, unseen, seen):
    scheme = dict(zip(t.families.family, t.families.scheme))
    a, b, c = (unseen["weir"]["families_table"], unseen["databricks4"]["families_table"], seen["weir"]["families_table"])
    lines = [row("family", "form of the names", "lineage", "names", "unseen 1 %", "unseen 0.1 %", "unseen 0.01 %",
                 "Databricks 4, unseen 0.1 %", "seen 0.1 %"), "|---|---|---|" + "--:|" * 6]
    for f in sorted(a, key=lambda f: -a[f]["tpr"][1]):
        lines.append(row(f, scheme.get(f, ""), labelled.LINEAGES.get(f, f), a[f]["names"], *[pct(v) for v in a[f]["tpr"]],
                         pct(b[f]["tpr"][1]), pct(c[f]["tpr"][1]) if f in c else "–"))
    return "\n".join(lines)


def by_scheme(t, unseen):
    scheme = dict(zip(t.families.family, t.families.scheme))
    table = unseen["weir"]["families_table"]
    groups = {}
    for f, v in table.items():
        groups.setdefault(scheme.get(f, ""), []).append(v["tpr"])
    lines = [row("form", "families", *[f"macro TPR, unseen, {p}" for p in PERCENT]), "|---|" + "--:|" * 4]
    for s, rows in sorted(groups.items()):
        lines.append(row(s, len(rows), *[pct(sum(r[i] for r in rows) / len(rows)) for i in range(len(FPRS))]))
    return "\n".join(lines)


def elsewhere(carried):
    lines = [row("names", "count", "low (1 %)", "medium (0.1 %)", "high (0.01 %)"), "|---|" + "--:|" * 4]
    for name, v in carried.items():
        lines.append(row(name.replace("(label only)", ""), v["names"], *[pct(r, 2) if v["names"] else "–" for r in v["rates"]]))
    return "\n".join(lines)


def left_out(t):
    return "; ".join(f"{why} ({', '.join(f'{n:,} {k}' for k, n in sorted(v.items()))})" for why, v in t.left_out.items() if v)


def render(t, m):
    d, size, unseen, seen = t.d, m["size"], m["unseen"], m["seen"]
    legit = d[d.label == "legit"].part.value_counts()
    grid = ", ".join(f"{g['trees']} × {g['leaves']}: {pct(g['tpr'][1])} %" for g in m["grid"])
    examples = "\n".join([row("name", "score", "level"), "|---|--:|---|"] +
                         [row(f"`{e['name']}`", f"{e['score']:.3f}", e["level"]) for e in m["examples"]])
    cuts = "\n".join([row("level", "nominal FPR", "score from"), "|---|--:|--:|"] +
                     [row(level, p, f"{m['thresholds'][level]:.4f}") for level, p in zip(("low", "medium", "high"), PERCENT)])
    importance = ", ".join(f"{n} {100 * g:.0f} %" for n, g in t.importance[:8])
    high = m["carried"]["all test names"]["rates"]
    return f"""# Model card: weir-dga {t.args.date}

Written by training/train.py with the model; its figures are those of that run. Do not edit by hand.

**What it is.** {size['trees']} gradient-boosted trees of {size['leaves']} leaves (LightGBM, binary log loss) over
{len(t.names)} numbers computed from one label: the one left of the public suffix (`example` of
`www.example.co.uk`). It estimates whether an algorithm made that label. It sees neither the suffix
nor the subdomains, the answer, the client or the time.

**What it is for.** Sorting the registered domains of a network's queries so that a person, or a
second stage with context, looks at few. **What it is not for.** Blocking on its own. "Algorithmic" is
not "malware": advertising, telemetry and content networks use such names too, and a name's score says
nothing about who asks for it and how often.

## Levels

Scores are not probabilities: DGA names are a fourth of the training rows and far rarer anywhere else.
The levels are set on {m['thresholds']['names']:,} benign names that neither the trees nor the tables saw:

{cuts}

They are nominal. On {m['carried']['all test names']['names']:,} other names of the same lists the rates were
{pct(high[0], 2)} %, {pct(high[1], 3)} % and {pct(high[2], 4)} %; on other kinds of names they differ, tenfold and more,
as the table shows. At the nominal rate, 100,000 distinct registered domains a day mean 100 false alarms at medium. Set
thresholds on your own traffic where you can.

{elsewhere(m['carried'])}

Popular lists hold names that algorithms made, some of them malware's, so part of these rates is wrong
labels and not wrong scores; in what proportion is not known. "Suspect benign names" are those that an
n-gram model scores far on the DGA side: they were kept in training and in every rate above wherever the lists
had them. For the newly registered and adversarial names the rates are shares flagged, not errors.

## How well it finds

TPR in percent. Thresholds here are read off the benign test names ({unseen['weir']['negatives']:,}), each model its own.
Macro: mean over families. Micro: over names, at most 2,000 a family. All three rows are the same
trees, data and weights; only the features differ (Databricks 4: length, entropy, alexa_grams, word_grams;
Devo 3: length, entropy, vowel_proportion).

**Lineages it has not seen** ({labelled.FOLDS} folds of whole lineages; {unseen['weir']['families']} families, {unseen['weir']['names']:,} names;
in brackets 95 % bootstrap intervals over lineages and benign names):

{comparison(unseen, True)}

{gains(unseen)}

**Families it has seen**, other names of theirs ({seen['weir']['names']:,} names; the model that ships):

{comparison(seen, False)}

By the form of the names, unseen lineages:

{by_scheme(t, unseen)}

Every family, TPR in percent:

{families(t, unseen, seen)}

What carries it, by share of the gain in training: {importance}.

## Examples

{examples}

`asdklgb` and `googlee` are the examples of the notebooks that weir's features come from. `google` is
among the names that fitted the n-gram table. A made-up label of seven letters is at the edge of what one
string can tell; a look-alike such as `googlee` is not what this model looks for.

## Not scored

Names without a registered domain (public suffixes, single labels), punycode (`xn--`), and whatever the
inspection leaves out before it asks (reverse zones, service labels, special-use and own zones). These are
"not judged", which is not a low score.

## Known blind spots

- **Word lists** (suppobox, gozi, rovnix_dict, ngioweb): close to nothing is found at FPR 0.1 % on unseen
  lineages, and little on seen ones. One string does not tell these from names that people choose.
- **Short labels**: up to seven bytes, almost nothing reaches medium.
- **Forms without a relative in training**: a family of hexadecimal names (verblecon, 32 digits) is found fully
  when its lineage was in training and not at all when it was not, where Databricks 4 finds some; monerodownloader
  and enviserv are similar. Why is not established. All-digit labels, which share their statistics, are nearly
  all benign in the training names.
- **Names made to evade** (CharBot: a popular name with two letters changed).
- **Names that are not Latin or not English**: the tables know popular names of 2013 and English; pinyin
  abbreviations and digits are flagged more often than average at level low (the China list above).
- **Dynamic DNS zones that the public suffix list lacks** (mooo.com, dynserv.com, ...): the label scored is
  the provider's, and the customer's own choice is not seen.
- **Names of advertising and content networks** that are algorithmic and benign: the Umbrella row above.

## Data

{len(d):,} registered domains were used: {(d.label == 'legit').sum():,} benign, {(d.label == 'dga').sum():,} DGA of {d[d.label == 'dga'].family.nunique()} families.
Left out: {left_out(t)}. Rows whose only source is {labelled.EXCLUDED_SOURCE} come from DGArchive, whose terms are believed to
exclude commercial use.

{SOURCES}

No list of names is part of weir: the bundle holds counts of n-grams and the trees.

{SCOWL}

## Training

- Benign names are split by hash of the label: {legit.get('trees', 0):,} for the trees ({len(t.benign_train):,} used), {legit.get('select', 0):,} for choosing
  the size, {legit.get('threshold', 0):,} for the thresholds, {legit.get('test', 0):,} for the tests. The {legit.get('table', 0):,} names whose label is
  in the Alexa list of 2013 fit the n-gram table and are used for nothing else: a table fitted on the names that
  the trees learn from would look better than it is.
- DGA names: at most 2,000 a lineage, weight 1/√n, {len(t.dga_train):,} rows. Lineages: families that share a generator or
  word list are one ({', '.join(sorted({f'{v}: ' + ' '.join(sorted(k for k in labelled.LINEAGES if labelled.LINEAGES[k] == v)) for v in labelled.LINEAGES.values()}))}); merged from
  published analyses, not verified sample by sample.
- Size, by macro TPR at FPR 0.1 % on lineages left out and the names kept for that: {grid}; the smallest that no larger
  one beats by a point. The same lineages serve the comparison above, with other benign names, so it is slightly kind to
  the size, alike for all three feature sets. Tried on the same names and left out, being worse: monotone constraints on
  the n-gram features, with and without hex_ratio, and with the unnormalised sums left out.
- No other parameter was searched. Learning rate {size['rate']}, LightGBM's deterministic mode, one seed (in the manifest), no seeds varied.
- These figures come from public lists. No query log was used: how the levels do on a real network is not measured.
"""
