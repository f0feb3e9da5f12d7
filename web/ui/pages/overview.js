// How it goes: queries, answers, cache, latency, what was blocked.
import { h, put, table, card, figures, number, percent, millis, bytes, nameLink, clientLink, clock, when } from '../dom.js';
import { get } from '../api.js';
import { bars, passed, watched as wouldBlock, blocked as didBlock } from '../chart.js';

const sum = (items, keep = () => true) => items.filter(keep).reduce((n, i) => n + i.count, 0);

function byRcode(answers) {
  const all = new Map();
  for (const a of answers) all.set(a.rcode, (all.get(a.rcode) ?? 0) + a.count);
  return [...all].map(([rcode, count]) => ({ rcode, count })).sort((a, b) => b.count - a.count);
}

function draw(view, o) {
  const answers = sum(o.answers);
  const blocked = sum(o.verdicts, (v) => v.action !== 'pass' && v.mode === 'enforce');
  const watched = sum(o.verdicts, (v) => v.action !== 'pass' && v.mode === 'monitor');
  const judged = sum(o.verdicts);
  const hits = o.cache.hits ?? 0;
  const misses = o.cache.misses ?? 0;
  const upstream = o.latency.find((l) => l.source === 'upstream');
  const lost = Object.entries(o.records).reduce((n, [, r]) => n + r.dropped, 0);
  const rcodes = byRcode(o.answers);
  put(view, 
    h('h1', {}, 'Overview'),
    o.missing.length ? h('p', { class: 'bad' }, `Not ready: ${o.missing.join('; ')}`) : null,
    figures([
      ['Answers', number(answers), `since ${clock(o.started)}`],
      ['Blocked', number(blocked), percent(blocked, judged)],
      ['Would be blocked', number(watched), percent(watched, judged)],
      ['From the cache', percent(hits, hits + misses), `${number(o.cache.entries ?? 0)} answers, ${bytes(o.cache.bytes ?? 0)}`],
      ['Upstream, median', millis(upstream?.p50), upstream ? `90 %: ${millis(upstream.p90)}, 99 %: ${millis(upstream.p99)}` : 'none asked yet'],
      ['Records lost', number(lost), lost ? 'see below' : 'none'],
    ]),
    h('div', { class: 'grid' },
      h('div', { class: 'card wide' }, o.minutes ? bars('Queries by minute, the last hour', [passed, wouldBlock, didBlock],
        o.minutes.map((m) => ({ label: clock(m.time).slice(-8, -3), values: [Math.max(m.queries - m.flagged - m.blocked, 0), m.flagged, m.blocked], gap: m.gap })))
        : h('p', { class: 'empty' }, 'Minutes are not counted (store.enabled).')),
      card('Answers by response code', table('Since the start', [
        { label: 'Code', cell: (r) => r.rcode === 'none' ? 'dropped' : r.rcode },
        { label: 'Answers', kind: 'num', cell: (r) => number(r.count) },
        { label: 'Share', kind: 'num', cell: (r) => percent(r.count, answers) },
      ], rcodes, 'None yet: weir has answered nobody since it started. Clients have to ask it at one of its addresses (weir status).')),
      card('What decided', table('Queries since the start', [
        { label: 'By', cell: (v) => v.origin },
        { label: 'Action', cell: (v) => v.action },
        { label: 'So it', cell: (v) => (v.action === 'pass' ? '' : v.mode === 'enforce' ? h('span', { class: 'tag blocked' }, 'blocked') : h('span', { class: 'tag watched' }, 'would be blocked')) },
        { label: 'Queries', kind: 'num', cell: (v) => number(v.count) },
      ], o.verdicts.filter((v) => v.count > 0).sort((a, b) => b.count - a.count), 'None yet: each query comes here under the list, model or finding that decided about it.')),
      card('Time to answer', table('Of answers that were not at hand, since the start', [
        { label: 'From', cell: (l) => l.source },
        { label: 'Answers', kind: 'num', cell: (l) => number(l.count) },
        { label: 'Median', kind: 'num', cell: (l) => millis(l.p50) },
        { label: '90 %', kind: 'num', cell: (l) => millis(l.p90) },
        { label: '99 %', kind: 'num', cell: (l) => millis(l.p99) },
      ], o.latency.filter((l) => l.count > 0), 'None yet: no upstream was asked. What the cache answers is not counted here.')),
      card('Busiest domains', table('Domains of the last half hour to hour', [
        { label: 'Registered domain', kind: 'name', cell: (c) => nameLink(c.name) },
        { label: 'Queries', kind: 'num', cell: (c) => number(c.count) },
      ], (o.domains ?? []).slice(0, 10), o.domains ? 'None: nothing was asked for in that time.' : 'Domains are not counted (store.enabled).')),
      card('Busiest clients', o.clients === null ? h('p', { class: 'empty' }, 'Clients are not counted: store.clients is off.')
        : table('Clients of the last half hour to hour', [
          { label: 'Client', kind: 'name', cell: (c) => clientLink(c.name) },
          { label: 'Queries', kind: 'num', cell: (c) => number(c.count) },
        ], o.clients.slice(0, 10), 'None: nobody asked in that time.')),
      card('Records', table('Transactions by where they go', [
        { label: 'To', cell: ([k]) => k },
        { label: 'Recorded', kind: 'num', cell: ([, r]) => number(r.recorded) },
        { label: 'Lost', kind: 'num', cell: ([, r]) => number(r.dropped) },
      ], Object.entries(o.records), 'Nothing is recorded (records, store, outlets).')),
      card('Not served', table('Messages without an answer, or with an error', [
        { label: 'Why', cell: ([k]) => k.replaceAll('_', ' ') },
        { label: 'Messages', kind: 'num', cell: ([, n]) => number(n) },
      ], Object.entries(o.not_served).filter(([, n]) => n > 0), 'None: every message was a query that weir answered.'))),
    h('p', { class: 'soft' }, 'As of ', when(o.now), '.'));
}

export default async function overview(view, params, { signal, every }) {
  draw(view, await get('/api/v1/overview', signal));
  every(5000, async () => {
    // Not under the reader's hands: an open table or a focus would be lost.
    if (view.contains(document.activeElement) && document.activeElement !== view.querySelector('h1') || view.querySelector('details[open]')) return;
    draw(view, await get('/api/v1/overview', signal));
  });
}
