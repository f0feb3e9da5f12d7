// What was detected, by day, with search and list.
import { h, put, table, card, nameLink, verdict, level, score, when, number } from '../dom.js';
import { get, query } from '../api.js';
import { bars, watched, blocked } from '../chart.js';

const periods = { '1h': 'the last hour', '24h': '24 hours', '7d': '7 days', '30d': '30 days' };

function select(id, value, options) {
  return h('select', { id }, Object.entries(options).map(([k, text]) => h('option', { value: k, selected: k === value }, text)));
}

export default async function detections(view, params, { signal, say }) {
  const q = h('input', { id: 'q', type: 'search', value: params.get('q') ?? '', autocomplete: 'off', spellcheck: 'false' });
  const since = select('since', params.get('since') ?? '24h', periods);
  const origin = select('origin', params.get('origin') ?? '', { '': 'all', blocklist: 'lists', model: 'model', lookalike: 'look-alike', rebinding: 'rebinding', behaviour: 'finding' });
  const mode = select('mode', params.get('mode') ?? '', { '': 'both', enforced: 'blocked', watched: 'would be blocked' });
  const out = h('div', {});
  put(view, h('h1', {}, 'Detections'),
    h('form', { class: 'row', onsubmit: (event) => { event.preventDefault(); load(); } },
      h('label', { for: 'q' }, 'Name, list or rule with', q), h('label', { for: 'since' }, 'Seen in', since),
      h('label', { for: 'origin' }, 'By', origin), h('label', { for: 'mode' }, 'Blocked or not', mode),
      h('button', { class: 'main' }, 'Search')),
    out);

  async function load() {
    const asked = { q: q.value.trim(), since: since.value, origin: origin.value, mode: mode.value };
    history.replaceState(null, '', query('#/detections', asked));
    const found = await get(query('/api/v1/detections', asked), signal).catch((error) => {
      if (!signal.aborted) say(error.message, true);
      return null;
    });
    if (found === null) return;
    const days = [...found.days].reverse();
    put(out, 
      days.length > 0 ? h('div', { class: 'card' }, bars('Queries for detected names, by day', [watched, blocked],
        days.map((d) => ({ label: d.day, values: [d.queries - d.enforced, d.enforced] })))) : null,
      card('List', table('Names by hour, the latest first', [
        { label: 'Last', cell: (d) => when(d.time_last) },
        { label: 'Name', kind: 'name', cell: (d) => nameLink(d.name) },
        { label: 'Verdict', cell: (d) => verdict(d) },
        { label: 'Level', cell: (d) => level(d.level) },
        { label: 'Score', kind: 'num', cell: (d) => score(d.score) },
        { label: 'Lists', kind: 'text', cell: (d) => d.lists.map((l, i) => h('div', {}, `${l}: ${d.rules[i]}`)) },
        { label: 'Queries', kind: 'num', cell: (d) => number(d.count) },
      ], found.rows, asked.q || asked.origin || asked.mode ? 'None that is as you search for: less may find more.' : 'None: no list, model or finding spoke against what was asked for in this time.')),
      found.more ? h('p', { class: 'soft' }, `There are more than the ${found.rows.length} shown: search, or choose a shorter time.`) : null,
      found.reached ? h('p', { class: 'soft' }, 'There is too much to look at all of it: this goes back to ', when(found.reached), '.') : null);
    say(`${found.rows.length} found${found.more ? ', and more' : ''}`);
  }
  for (const s of [since, origin, mode]) s.addEventListener('change', load);
  await load();
}
