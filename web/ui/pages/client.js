// What is known of a client: what it did, whom it asked for, what came back.
import { h, put, table, card, facts, nameLink, clientLink, verdict, level, when, number, link, bare } from '../dom.js';
import { get, query } from '../api.js';
import { findingColumns } from './findings.js';

// judged is what the evidence comes to, in a few words.
function judged(findings, flagged, standing) {
  const high = findings.some((f) => f.level === 'high');
  if (high || standing === 'infected') return h('span', { class: 'tag high' }, 'look at it now');
  if (findings.length > 0 || flagged.length > 0 || standing === 'suspicious') return h('span', { class: 'tag medium' }, 'worth a look');
  return h('span', { class: 'tag good' }, 'nothing stands out');
}

function branch(n) {
  return h('li', {}, nameLink(n.name), h('span', { class: 'soft' }, ` ${number(n.count)} times, last `, when(n.time_last)),
    n.records.length + n.clients.length === 0 ? null : h('ul', {},
      n.records.slice(0, 8).map((r) => h('li', {}, h('span', { class: 'soft' }, r.rrtype), ' ', h('span', { class: 'mono' }, r.folded ? 'many names, only counted' : r.rdata))),
      n.records.length > 8 ? h('li', { class: 'soft' }, `and ${n.records.length - 8} more`) : null,
      n.clients.length > 0 ? h('li', { class: 'soft' }, 'also asked by ', n.clients.slice(0, 5).map((c, i) => [i ? ', ' : '', clientLink(c.client)]), n.clients.length > 5 ? ` and ${n.clients.length - 5} more` : '') : null));
}

export default async function client(view, params, { signal, can, say, readOnly }) {
  const c = params.get('c') ?? '';
  put(view, h('h1', { class: 'mono' }, c), h('p', { class: 'soft' }, 'Looking …'));
  const none = (error) => { if (!signal.aborted) say(error.message, true); return null; };
  const [seen, findings, found, incidents, standings] = await Promise.all([
    get(query('/api/v1/investigate', { client: c }), signal).catch(none),
    can('GET /api/v1/findings') ? get('/api/v1/findings', signal).catch(none) : [],
    can('GET /api/v1/detections') ? get(query('/api/v1/detections', { since: '7d', limit: 1000 }), signal).catch(none) : null,
    can('GET /api/v1/incidents') ? true : false,
    can('GET /api/v1/clients') ? get('/api/v1/clients', signal).catch(none) : null,
  ]);
  if (signal.aborted) return;
  const own = (findings ?? []).filter((f) => f.client === (seen?.client ?? c) || f.client === c);
  const standing = standings?.clients.find((x) => x.client === (seen?.client ?? c));
  const asked = new Map((seen?.names ?? []).map((n) => [bare(n.name), n]));
  const flagged = [];
  for (const d of found?.rows ?? []) {
    if (asked.has(d.name) && !flagged.some((f) => f.name === d.name)) flagged.push(d);
  }
  const names = [...(seen?.names ?? [])].sort((a, b) => b.time_last - a.time_last);
  const types = new Map();
  for (const n of names) for (const r of n.records) types.set(r.rrtype, (types.get(r.rrtype) ?? 0) + 1);
  put(view, h('h1', { class: 'mono' }, seen?.client ?? c),
    h('div', { class: 'grid' },
      card('Verdict', facts([
        ['In short', judged(own, flagged, standing?.standing)],
        ['Looks infected', standing ? [standing.standing, standing.since ? [' since ', when(standing.since)] : '', `, evidence ${standing.evidence.toFixed(1)} (infected from ${standings.infected.toFixed(1)} on)`] : null],
        ['Findings', own.length], ['Detected names that it asked for', flagged.length],
      ])),
      card('Profile', seen ? facts([
        ['Names', `${number(names.length)}${seen.truncated ? ' and more' : ''}`],
        ['Queries', number(names.reduce((n, x) => n + x.count, 0))],
        ['First', names.length ? when(Math.min(...names.map((n) => n.time_first))) : null],
        ['Last', names.length ? when(names[0].time_last) : null],
        ['Names without any answer', number(names.filter((n) => n.records.length === 0).length)],
        ['Names that it alone asked for', number(names.filter((n) => n.clients.length === 0).length)],
        ['Records by type', [...types].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([t, n]) => `${t} ${n}`).join(', ')],
      ]) : h('p', { class: 'empty' }, 'Nothing is kept of what clients ask for (store.clients), so there is no profile and no tree.'))),
    h('p', {}),
    standing?.names?.length > 0 ? card('Evidence: names', table('That speak for an infection, ten at most', [
      { label: 'Name', kind: 'name', cell: (n) => nameLink(n.name) },
      { label: 'Weight', kind: 'num', cell: (n) => n.weight.toFixed(2) },
      { label: 'Exists', cell: (n) => (n.nxdomain ? 'no' : 'yes') },
      { label: 'Last', cell: (n) => when(n.time) },
    ], standing.names)) : null,
    card('Evidence: findings', table('What its queries together show, the latest first', findingColumns.filter((col) => col.label !== 'Client'), own, 'None since weir started.')),
    card('Evidence: detected names', table('That it asked for, of the last 7 days', [
      { label: 'Name', kind: 'name', cell: (d) => nameLink(d.name) },
      { label: 'Verdict', cell: (d) => verdict(d) },
      { label: 'Level', cell: (d) => level(d.level) },
      { label: 'It asked', kind: 'num', cell: (d) => number(asked.get(d.name).count) },
      { label: 'Last', cell: (d) => when(asked.get(d.name).time_last) },
    ], flagged.slice(0, 200), 'None: of the names that were detected it asked for none.')),
    seen ? h('section', { class: 'card' }, h('h2', {}, 'Names and answers'),
      names.length === 0 ? h('p', { class: 'empty' }, 'None is kept: it did not ask, or its records have grown old.') : null,
      h('ul', { class: 'tree' }, names.slice(0, 100).map(branch)),
      names.length > 100 ? h('p', { class: 'soft' }, `The latest 100 of ${names.length}.`) : null) : null,
    incidents && !readOnly ? h('p', {}, link('incidents', { c: seen?.client ?? c }, 'Put this client into an incident record')) : null);
}
