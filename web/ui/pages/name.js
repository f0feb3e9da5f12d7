// All that is known of a name.
import { h, put, table, card, facts, nameLink, clientLink, verdict, level, score, when, number, link, bare } from '../dom.js';
import { get, lines, query } from '../api.js';
import { pulls } from '../chart.js';
import { allowForm } from './allow.js';

const effects = { enforce: 'blocks', monitor: 'would block, only watched', observe: 'only seen: many share it', pass: 'lets pass', overruled: 'overruled' };

const recordColumns = [
  { label: 'Name', kind: 'name', cell: (r) => nameLink(r.rrname) },
  { label: 'Type', cell: (r) => r.rrtype },
  { label: 'Data', kind: 'name', cell: (r) => (r.folded ? 'many names, only counted' : /^(CNAME|NS|PTR|DNAME)$/.test(r.rrtype) ? nameLink(r.rdata) : r.rdata) },
  { label: 'First', cell: (r) => when(r.time_first) },
  { label: 'Last', cell: (r) => when(r.time_last) },
  { label: 'Count', kind: 'num', cell: (r) => number(r.count) },
];

function explained(e) {
  const known = [
    ['Verdict', verdict(e)],
    ['Unicode', e.u_labels],
    ['Registered domain', e.registered_domain ? nameLink(e.registered_domain) : null],
    ['Public suffix', e.public_suffix],
    ['Score', e.score === null ? `none: ${e.reason_text ?? e.reason}` : [score(e.score), ' ', level(e.level)]],
    ['Probability', e.probability === null ? null : e.probability.toFixed(4)],
    ['On this site', e.one_in ? `1 in ${number(e.one_in)} names scores this high` : null],
    ['Looks like', e.lookalike ? [nameLink(e.lookalike.brand), ` (${e.lookalike.kind}, grade ${e.lookalike.grade})`] : null],
    ['Shadow model', e.shadow ? `${score(e.shadow.score)}, level ${e.shadow.level} (${e.shadow.model})` : null],
    ['Popular', e.popular ? 'yes: no detection is enforced for it' : null],
    ['Group', e.group],
  ];
  return h('section', { class: 'card', id: 'verdict' }, h('h2', {}, 'Verdict'), facts(known));
}

function why(e) {
  if (e.score === null || !e.why) return null;
  const grounds = e.why.filter((g) => Math.abs(g.log_odds) >= 0.005);
  return h('section', { class: 'card', id: 'why' }, h('h2', {}, 'Why this score'),
    pulls('What moved the score: right of the line towards machine-made, left away from it', [{ label: 'for any name', value: e.bias }, ...grounds.map((g) => ({ label: g.text, value: g.log_odds }))]),
    h('p', { class: 'soft' }, `In log-odds these add up to ${e.margin.toFixed(3)}, a score of ${score(e.score)}. Model ${e.model.name} ${e.model.version}.`),
    h('details', {}, h('summary', {}, `All ${e.features.length} features`), table('Features, the strongest first', [
      { label: 'Feature', cell: (f) => f.feature },
      { label: 'Value', kind: 'num', cell: (f) => +f.value.toFixed(4) },
      { label: 'Log-odds', kind: 'num', cell: (f) => f.log_odds.toFixed(4) },
    ], e.features)));
}

function lists(e) {
  return card('Lists', table('Entries that it meets', [
    { label: 'List', cell: (l) => l.list },
    { label: 'Rule', kind: 'name', cell: (l) => l.rule },
    { label: 'Does', cell: (l) => l.note || effects[l.effect] || l.effect },
    { label: 'Lines', cell: (l) => (l.lines ?? []).join(', ') },
    { label: 'Says', kind: 'text', cell: (l) => l.info },
  ], e.lists ?? [], 'None: no list has this name, or one above it.'));
}

export default async function name(view, params, context) {
  const { signal, can, say } = context;
  const n = params.get('n') ?? '';
  put(view, h('h1', { class: 'mono' }, bare(n)), h('p', { class: 'soft' }, 'Looking …'));
  const none = (error) => { if (!signal.aborted) say(error.message, true); return null; };
  const [e, seen, found, below] = await Promise.all([
    get(query('/api/v1/explain', { name: n, client: params.get('c') ?? '' }), signal).catch(none),
    can('GET /api/v1/investigate') ? get(query('/api/v1/investigate', { name: n }), signal).catch(none) : null,
    can('GET /api/v1/detections') ? get(query('/api/v1/detections', { name: bare(n), since: '30d', limit: 50 }), signal).catch(none) : null,
    can('GET /query/{what...}') ? lines(query('/query/', { what: n, subtree: 'true', format: 'json', limit: 100 }), signal).catch(() => []) : [],
  ]);
  if (signal.aborted) return;
  const others = below.filter((r) => bare(r.rrname) !== bare(seen?.name ?? n));
  put(view, h('h1', { class: 'mono' }, bare(e?.normal_form || n)),
    context.readOnly ? null : h('section', { class: 'card' }, h('h2', {}, 'Do'), allowForm(bare(e?.normal_form || n), context)),
    h('div', { class: 'grid' },
      e ? explained(e) : null,
      e ? lists(e) : null,
      e ? h('div', { class: 'wide' }, why(e)) : null,
      seen?.registered_domain ? card('Registered domain', facts([
        ['Domain', nameLink(seen.registered_domain.name)], ['First seen', when(seen.registered_domain.time_first)],
        ['Last seen', when(seen.registered_domain.time_last)], ['Answers', number(seen.registered_domain.count)]])) : null,
      seen ? card('Who asked', seen.clients === null ? h('p', { class: 'empty' }, 'Clients are not kept: store.clients is off.')
        : table('Clients', [
          { label: 'Client', kind: 'name', cell: (c) => clientLink(c.client) },
          { label: 'First', cell: (c) => when(c.time_first) },
          { label: 'Last', cell: (c) => when(c.time_last) },
          { label: 'Count', kind: 'num', cell: (c) => number(c.count) },
        ], seen.clients, 'Nobody: no query for it is kept.')) : null),
    h('p', {}),
    seen ? card('Answers', table('Records of this name, from the passive DNS database', recordColumns, seen.records, 'None: nobody asked for it, or it was blocked and so no server was asked.')) : null,
    others.length > 0 ? card('Names below', table('Records of names below it, 100 at most', recordColumns, others)) : null,
    seen?.pointing_here.length > 0 ? card('Pointing here', table('Records with this name as their data', recordColumns, seen.pointing_here)) : null,
    seen ? seen.addresses.filter((a) => a.names.length > 1).map((a) => card(`Also at ${a.address}`, table(`Records with the address ${a.address}`, recordColumns, a.names))) : null,
    found ? card('Detections', table('Of the last 30 days, by hour', [
      { label: 'Last', cell: (d) => when(d.time_last) },
      { label: 'Verdict', cell: (d) => verdict(d) },
      { label: 'Level', cell: (d) => level(d.level) },
      { label: 'Score', kind: 'num', cell: (d) => score(d.score) },
      { label: 'Lists', cell: (d) => d.lists.join(', ') },
      { label: 'Queries', kind: 'num', cell: (d) => number(d.count) },
    ], found.rows, 'None: nothing spoke against it when it was asked for.')) : null,
    can('GET /api/v1/incidents') ? h('p', {}, link('incidents', { n: bare(n) }, 'Put this name into an incident record')) : null);
}
